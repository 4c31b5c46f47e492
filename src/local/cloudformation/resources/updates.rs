//! Changes of properties in place, of the types and properties that a new version of a handler or of its API needs. Others are refused
//! by name before anything is changed.

use futures_util::future::BoxFuture;
use serde_json::Value;

use super::{Existing, gateway, iam, lambda, policies};
use crate::local::cloudformation::calls::Calls;
use crate::local::protocol::wire::ApiError;

/// What CloudFormation changes in place of the resources of a type.
pub struct Update {
    type_name: &'static str,
    /// The properties that it may change.
    played: &'static [&'static str],
    run: for<'a> fn(&'a Calls, &'a Existing<'a>, &'a Value) -> BoxFuture<'a, Result<(), ApiError>>,
}

const UPDATES: &[Update] = &[
    Update {
        type_name: "AWS::Lambda::Function",
        played: &[
            "Code",
            "Description",
            "Environment",
            "Handler",
            "Layers",
            "MemorySize",
            "ReservedConcurrentExecutions",
            "Role",
            "Runtime",
            "Timeout",
        ],
        run: |calls, existing, new| Box::pin(lambda::update_function(calls, existing, new)),
    },
    in_gateway("AWS::ApiGatewayV2::Api", &["Description", "Name", "RouteSelectionExpression"]),
    in_gateway(
        "AWS::ApiGatewayV2::Integration",
        &["Description", "IntegrationMethod", "IntegrationUri", "RequestTemplates", "TimeoutInMillis"],
    ),
    in_gateway(
        "AWS::ApiGatewayV2::Route",
        &["AuthorizationType", "AuthorizerId", "RouteKey", "RouteResponseSelectionExpression", "Target"],
    ),
    in_gateway("AWS::ApiGatewayV2::Stage", &["DeploymentId", "Description", "StageVariables"]),
    Update {
        type_name: "AWS::IAM::Role",
        played: &["AssumeRolePolicyDocument", "ManagedPolicyArns", "Policies"],
        run: |calls, existing, new| Box::pin(iam::update_role(calls, existing, new)),
    },
    Update {
        type_name: "AWS::IAM::Policy",
        played: &["PolicyDocument"],
        run: |calls, _, new| Box::pin(iam::put_again(calls, new)),
    },
    // What it says of the CDK changes with every construct that an app uses.
    Update { type_name: "AWS::CDK::Metadata", played: &["Analytics"], run: |_, _, _| Box::pin(async { Ok(()) }) },
    over("AWS::SNS::TopicPolicy"),
    over("AWS::SQS::QueuePolicy"),
];

const fn in_gateway(type_name: &'static str, played: &'static [&'static str]) -> Update {
    Update { type_name, played, run: |calls, existing, new| Box::pin(gateway::update(calls, existing, new)) }
}

const fn over(type_name: &'static str) -> Update {
    Update {
        type_name,
        played: &["PolicyDocument"],
        run: |calls, existing, new| Box::pin(policies::put_again(calls, existing.type_name, new)),
    }
}

/// Those of a type's properties that are not changed in place.
pub fn not_played<'a>(type_name: &str, properties: &'a [String]) -> Vec<&'a str> {
    let played = UPDATES.iter().find(|one| one.type_name == type_name).map_or(&[][..], |one| one.played);
    properties.iter().map(String::as_str).filter(|property| !played.contains(property)).collect()
}

/// Gives a resource other properties.
///
/// # Errors
/// The service's refusal.
pub async fn update(calls: &Calls, existing: &Existing<'_>, new: &Value) -> Result<(), ApiError> {
    match UPDATES.iter().find(|one| one.type_name == existing.type_name) {
        Some(update) => (update.run)(calls, existing, new).await,
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::changed;
    use super::*;

    #[test]
    fn what_is_not_played_is_named() {
        let properties = ["Code", "VpcConfig"].map(str::to_owned);
        assert_eq!(not_played("AWS::Lambda::Function", &properties), ["VpcConfig"]);
        assert_eq!(not_played("AWS::DynamoDB::Table", &properties), ["Code", "VpcConfig"]);
        let (old, new) = (json!({"A": 1, "B": 2, "C": 3}), json!({"A": 1, "B": 4, "D": 5}));
        assert_eq!(Value::from(changed(&old, &new)), json!({"B": 4, "C": null, "D": 5}));
    }
}
