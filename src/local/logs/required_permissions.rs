//! The permissions that operations of CloudWatch Logs need (Service Authorization Reference, "Amazon CloudWatch Logs").

use std::collections::BTreeMap;

use super::{Input, groups};
use crate::core::iam::need::{Need, creation};
use crate::local::protocol::service::ServiceCall;

type Tags = BTreeMap<String, String>;

/// The operation on its group, or on one of its streams.
pub fn on_group(call: &ServiceCall) -> Vec<Need> {
    let (resource, tags) = subject(call);
    vec![Need::new(action(call), resource).with_tags(tags)]
}

/// `CreateLogGroup`, and `TagResource` for its tags.
pub fn creating(call: &ServiceCall) -> Vec<Need> {
    let (resource, tags) = subject(call);
    creation(action(call), "logs:TagResource", resource, &tags.into_iter().collect::<Vec<_>>())
}

fn action(call: &ServiceCall) -> String {
    format!("logs:{}", call.operation.name)
}

/// The resource that a call is about, and the tags in it.
fn subject(call: &ServiceCall) -> (String, Tags) {
    let input: Input = call.request.json().unwrap_or_default();
    let tags = serde_json::from_value(input.tags.clone()).unwrap_or_default();
    // A resource given by ARN is used unchanged. For one given by name AWS appends the part for streams, empty where
    // there is none (its refusals show it), so policies must allow `log-group:NAME:*`.
    if let Some(arn) = input.resource_arn {
        return (arn, tags);
    }
    let group = input.group().unwrap_or_default();
    let stream = input.log_stream_name.unwrap_or_default();
    (format!("{}:log-stream:{stream}", groups::arn(call.region(), &group)), tags)
}

#[cfg(test)]
mod tests {
    use super::super::Logs;
    use super::*;
    use crate::local::protocol::service::Service;
    use crate::local::protocol::service::testing::needs;
    use crate::local::protocol::wire::Request;

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
            let mut request = Request::in_test("POST", "/", body);
            request.headers.insert("x-amz-target", format!("{}{operation}", Logs::TARGETS[0]).parse().unwrap());
            let expected: Vec<_> = expected
                .iter()
                .map(|(action, rest)| (format!("logs:{action}"), groups::arn("eu-west-1", rest)))
                .collect();
            assert_eq!(needs::<Logs>(request), expected, "{operation} {body}");
        }
    }
}
