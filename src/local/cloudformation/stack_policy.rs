//! Stack policies: which resources an update of a stack may modify and delete. (User guide, "Prevent updates to stack resources".)

use std::sync::Arc;

use serde_json::{Value, json};

use super::calls::Calls;
use super::model::{Change, invalid};
use super::request::object_text;
use super::{Answer, CloudFormation};
use crate::core::iam::document::statements;
use crate::core::iam::evaluate::{Verdict, verdict};
use crate::core::iam::need::Need;
use crate::local::protocol::query::{Query, Xml, constraint};
use crate::local::protocol::wire::ApiError;

/// The longest policy (API reference, `SetStackPolicy`).
const LONGEST: usize = 16_384;

pub async fn set_stack_policy(service: &Arc<CloudFormation>, calls: Calls, query: &Query) -> Answer {
    let id = service.state.now().stack(calls.region(), query.required("StackName")?)?.id.clone();
    let policy = given(&calls, query, "StackPolicy").await?;
    service.state.change(|state| {
        state.stack_mut(calls.region(), &id)?.policy = policy;
        Ok(Xml::new())
    })
}

pub async fn get_stack_policy(service: &Arc<CloudFormation>, calls: Calls, query: &Query) -> Answer {
    let state = service.state.now();
    let stack = state.stack(calls.region(), query.required("StackName")?)?;
    Ok(Xml::new().optional("StackPolicyBody", stack.policy.as_ref()))
}

/// The policy that a request gives as `{parameter}Body` or `{parameter}URL`.
///
/// # Errors
/// AWS's refusals of a policy that is too long or is none, and of an address without one.
pub async fn given(calls: &Calls, query: &Query, parameter: &str) -> Result<Option<String>, ApiError> {
    let text = match (query.get(&format!("{parameter}Body")), query.get(&format!("{parameter}URL"))) {
        (Some(_), Some(_)) => {
            return Err(invalid(format!("You cannot specify both {parameter}Body and {parameter}URL")));
        }
        (Some(body), None) => body.to_owned(),
        (None, Some(url)) => object_text(calls, url, &format!("{parameter}URL")).await?,
        (None, None) => return Ok(None),
    };
    if text.len() > LONGEST {
        let rule = format!("Member must have length less than or equal to {LONGEST}");
        return Err(constraint("Value at 'stackPolicyBody'", &rule));
    }
    let document: Option<Value> = serde_json::from_str(&text).ok();
    if document.is_none_or(|document| statements(&document).is_none()) {
        return Err(invalid("Error validating stack policy: Invalid stack policy"));
    }
    Ok(Some(text))
}

/// Why a policy does not let an update make a change; `None` where it does, and for what is added.
pub fn refusal(policy: &str, change: &Change) -> Option<String> {
    let action = match change.action.as_str() {
        "Remove" => "Update:Delete",
        // What is no property of the resource is not changed on the resource.
        "Modify" if !change.properties.is_empty() => "Update:Modify",
        _ => return None,
    };
    let resource = format!("LogicalResourceId/{}", change.logical_id);
    let need = Need::new(action, &resource).with("ResourceType", &change.type_name);
    match verdict([policy], &need) {
        Verdict::Allowed => None,
        Verdict::Denied => {
            let document: Value = serde_json::from_str(policy).unwrap_or_default();
            let denies =
                |one: &&Value| verdict([json!({ "Statement": [one] }).to_string().as_str()], &need) == Verdict::Denied;
            let number = statements(&document).unwrap_or_default().iter().position(denies).map_or(1, |at| at + 1);
            Some(format!(
                "Action denied by stack policy: Statement [#{number}] does not allow [{action}] for resource [{resource}];"
            ))
        }
        // After a policy is set, all that it does not allow is denied.
        Verdict::Unmentioned => Some(format!(
            "Action not allowed by stack policy: no statement allows [{action}] for resource [{resource}];"
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_policy_allows_some_changes() {
        let policy = json!({ "Statement": [
            { "Effect": "Allow", "Action": "Update:*", "Principal": "*", "NotResource": "LogicalResourceId/Api*" },
            { "Effect": "Deny", "Action": ["Update:Delete", "Update:Replace"], "Principal": "*", "Resource": "*",
              "Condition": { "StringLike": { "ResourceType": "AWS::DynamoDB::*" } } },
        ]})
        .to_string();
        let change = |action: &str, logical_id: &str, type_name: &str, properties: &[&str]| Change {
            action: action.to_owned(),
            logical_id: logical_id.to_owned(),
            type_name: type_name.to_owned(),
            properties: properties.iter().map(|name| (*name).to_owned()).collect(),
            ..Change::default()
        };
        for (change, expected) in [
            (change("Modify", "Rows", "AWS::DynamoDB::Table", &["BillingMode"]), None),
            (
                change("Remove", "Rows", "AWS::DynamoDB::Table", &[]),
                Some("Statement [#2] does not allow [Update:Delete] for resource [LogicalResourceId/Rows]"),
            ),
            (change("Remove", "Queue", "AWS::SQS::Queue", &[]), None),
            (
                change("Modify", "ApiChat", "AWS::ApiGatewayV2::Api", &["Name"]),
                Some("no statement allows [Update:Modify] for resource [LogicalResourceId/ApiChat]"),
            ),
            (change("Modify", "ApiChat", "AWS::ApiGatewayV2::Api", &[]), None),
            (change("Add", "ApiOther", "AWS::ApiGatewayV2::Api", &[]), None),
        ] {
            let refused = refusal(&policy, &change);
            match expected {
                Some(expected) => assert!(refused.as_ref().is_some_and(|why| why.contains(expected)), "{refused:?}"),
                None => assert_eq!(refused, None),
            }
        }
    }
}
