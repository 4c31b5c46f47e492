//! `Custom::AWS`, the CDK's `AwsCustomResource`: its properties name calls of the SDK, and the function behind it loads the clients by
//! those names.

use std::collections::BTreeSet;

use serde_json::Value;

/// Services as version 2 of the SDK calls them, in lower case, whose packages of version 3 are called otherwise. Only those that the
/// local cloud has: there is no other use for them.
const RENAMED: &[(&str, &str)] = &[
    ("cloudwatchevents", "cloudwatch-events"),
    ("cloudwatchlogs", "cloudwatch-logs"),
    ("resourcegroupstaggingapi", "resource-groups-tagging-api"),
    ("secretsmanager", "secrets-manager"),
];

/// The others: their packages are called as they are.
const SAME: &[&str] = &[
    "apigatewaymanagementapi",
    "apigatewayv2",
    "cloudcontrol",
    "cloudformation",
    "dynamodb",
    "eventbridge",
    "iam",
    "lambda",
    "s3",
    "scheduler",
    "sns",
    "sqs",
    "ssm",
    "sts",
];

/// The packages with the clients that the calls in `properties` need.
pub(super) fn packages(properties: &Value) -> Vec<String> {
    let calls = ["Create", "Update", "Delete"].iter().filter_map(|call| match &properties[*call] {
        // The CDK writes a call as JSON in a text.
        Value::String(text) => serde_json::from_str::<Value>(text).ok(),
        call => Some(call.clone()),
    });
    let packages: BTreeSet<String> = calls.filter_map(|call| package(call["service"].as_str()?)).collect();
    packages.into_iter().collect()
}

fn package(service: &str) -> Option<String> {
    let given = service.to_ascii_lowercase();
    let name = given.trim_start_matches("@aws-sdk/").trim_start_matches("client-");
    let renamed = RENAMED.iter().find(|(of_2, of_3)| *of_2 == name || *of_3 == name).map(|(_, of_3)| *of_3);
    let name = renamed.or_else(|| SAME.iter().find(|same| **same == name).copied())?;
    Some(format!("@aws-sdk/client-{name}"))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn calls_name_the_clients_that_they_need() {
        let call = |service: &str| json!({ "service": service, "action": "x" }).to_string();
        for (properties, expected) in [
            (json!({ "Create": call("SSM"), "Delete": call("SSM") }), vec!["@aws-sdk/client-ssm"]),
            (json!({ "Create": call("CloudWatchLogs") }), vec!["@aws-sdk/client-cloudwatch-logs"]),
            (json!({ "Update": call("@aws-sdk/client-secrets-manager") }), vec!["@aws-sdk/client-secrets-manager"]),
            (json!({ "Create": { "service": "S3" } }), vec!["@aws-sdk/client-s3"]),
            (json!({ "Create": call("Route53") }), vec![]),
            (json!({ "Create": "no JSON" }), vec![]),
            (json!({}), vec![]),
        ] {
            assert_eq!(packages(&properties), expected, "{properties}");
        }
    }
}
