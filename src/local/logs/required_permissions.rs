//! The permissions that operations of CloudWatch Logs need (Service Authorization Reference, "Amazon CloudWatch Logs").

use std::collections::BTreeMap;

use super::{Input, groups};
use crate::core::iam::need::{Need, creation};
use crate::local::wire::Request;

/// The permissions that a call needs: the operation on its group, or on one of its streams.
pub fn of(operation: &str, request: &Request) -> Vec<Need> {
    let input: Input = request.json().unwrap_or_default();
    let action = format!("logs:{operation}");
    let tags: BTreeMap<String, String> = serde_json::from_value(input.tags.clone()).unwrap_or_default();
    // A resource given by ARN is used unchanged. For one given by name AWS appends the part for streams, empty where there is
    // none (its refusals show it), so policies must allow `log-group:NAME:*`.
    if let Some(arn) = input.resource_arn {
        return vec![Need::new(action, arn).with_tags(tags)];
    }
    let group = input.group().unwrap_or_default();
    let stream = input.log_stream_name.unwrap_or_default();
    let resource = format!("{}:log-stream:{stream}", groups::arn(&request.caller.region, &group));
    match operation {
        "CreateLogGroup" => {
            creation(action, "logs:TagResource", resource, &tags.into_iter().collect::<Vec<(String, String)>>())
        }
        _ => vec![Need::new(action, resource).with_tags(tags)],
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Actions and resources.
    type Pairs<'a> = &'a [(&'a str, &'a str)];

    #[test]
    fn operations_need_their_action_on_their_group() {
        let cases: &[(&str, &str, Pairs<'_>)] = &[
            ("DescribeLogGroups", "{}", &[("DescribeLogGroups", ":log-stream:")]),
            ("CreateLogGroup", r#"{"logGroupName":"/a"}"#, &[("CreateLogGroup", "/a:log-stream:")]),
            (
                "CreateLogGroup",
                r#"{"logGroupName":"/a","tags":{"k":"v"}}"#,
                &[("CreateLogGroup", "/a:log-stream:"), ("TagResource", "/a:log-stream:")],
            ),
            (
                "PutLogEvents",
                r#"{"logGroupName":"/a","logStreamName":"s","logEvents":[]}"#,
                &[("PutLogEvents", "/a:log-stream:s")],
            ),
            (
                "UntagResource",
                r#"{"resourceArn":"arn:aws:logs:eu-west-1:000000000000:log-group:/a","tagKeys":["k"]}"#,
                &[("UntagResource", "/a")],
            ),
        ];
        for (operation, body, expected) in cases {
            let request = Request::in_test("POST", "/", body);
            let expected: Vec<_> = expected
                .iter()
                .map(|(action, rest)| (format!("logs:{action}"), groups::arn("eu-west-1", rest)))
                .collect();
            let needs: Vec<_> = of(operation, &request).into_iter().map(|need| (need.action, need.resource)).collect();
            assert_eq!(needs, expected, "{operation} {body}");
        }
    }
}
