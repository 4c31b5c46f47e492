//! The permissions that the control plane's operations need (Service Authorization Reference, "Amazon API Gateway
//! Management V2"): the HTTP method as the action, the path as the resource.

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use serde::Deserialize;

use super::model::Strings;
use crate::core::iam::need::{Need, pass_role};
use crate::local::protocol::service::ServiceCall;

/// Everything except the unreserved characters of RFC 3986 is encoded in a path segment.
const SEGMENT: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'_').remove(b'.').remove(b'~');

/// The members of a request's body that permissions depend on.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Body {
    tags: Strings,
    credentials_arn: Option<String>,
    authorizer_credentials_arn: Option<String>,
}

/// The permissions of a call: its method on its path, `TagResource` for tags, and `iam:PassRole` for a role.
pub fn on_path(call: &ServiceCall) -> Vec<Need> {
    let body: Body = call.request.json().unwrap_or_default();
    let path = call.request.segments();
    // Paths of API version 1 have no version segment.
    let path = path.strip_prefix(&["v2".to_owned()]).unwrap_or(&path);
    let resource = arn(call, &path.join("/"));
    let mut needs = vec![Need::new(verb(call), resource.as_str()).with_tags(&body.tags)];
    if !body.tags.is_empty() {
        // On the parent path, because the new resource has no id yet (AWS's refusals name /apis and /apis/ID/stages).
        needs.push(Need::new("apigateway:TagResource", resource).with_tags(&body.tags));
    }
    let roles = body.credentials_arn.iter().chain(&body.authorizer_credentials_arn);
    needs.extend(roles.map(|role| pass_role(role, "apigateway.amazonaws.com")));
    needs
}

/// The permissions of a call about tags. They are a resource of their own, with the ARN of the tagged resource as one
/// segment (developer guide, "Using tags to control access"). The tag action is also checked on the tagged resource
/// itself.
pub fn on_tags(call: &ServiceCall) -> Vec<Need> {
    let body: Body = call.request.json().unwrap_or_default();
    let subject = call.ids.join("/");
    let tags = Need::new(verb(call), arn(call, &format!("tags/{}", utf8_percent_encode(&subject, SEGMENT))));
    let named = call.operation.changes().then(|| Need::new(format!("apigateway:{}", call.operation.name), subject));
    [Some(tags), named].into_iter().flatten().map(|need| need.with_tags(&body.tags)).collect()
}

fn verb(call: &ServiceCall) -> String {
    format!("apigateway:{}", call.operation.method)
}

fn arn(call: &ServiceCall, path: &str) -> String {
    format!("arn:aws:apigateway:{}::/{path}", call.region())
}

#[cfg(test)]
mod tests {
    use super::super::ApiGateway;
    use crate::local::protocol::service::testing::needs;
    use crate::local::protocol::wire::Request;

    /// Actions and resources.
    type Pairs<'a> = &'a [(&'a str, &'a str)];

    #[test]
    fn operations_need_their_verb_on_their_path() {
        let cases: &[(&str, &str, &str, Pairs<'_>)] = &[
            ("POST", "/v2/apis", "{}", &[("apigateway:POST", "/apis")]),
            (
                "POST",
                "/v2/apis",
                r#"{"tags":{"a":"b"}}"#,
                &[("apigateway:POST", "/apis"), ("apigateway:TagResource", "/apis")],
            ),
            ("GET", "/v2/apis", "", &[("apigateway:GET", "/apis")]),
            ("GET", "/account", "", &[("apigateway:GET", "/account")]),
            ("PATCH", "/v2/apis/x/routes/y", "{}", &[("apigateway:PATCH", "/apis/x/routes/y")]),
            ("DELETE", "/v2/apis/x/stages/dev", "", &[("apigateway:DELETE", "/apis/x/stages/dev")]),
            (
                "POST",
                "/v2/tags/arn%3Aaws%3Aapigateway%3Aeu-west-1%3A%3A%2Fapis%2Fx",
                r#"{"tags":{"a":"b"}}"#,
                &[
                    ("apigateway:POST", "/tags/arn%3Aaws%3Aapigateway%3Aeu-west-1%3A%3A%2Fapis%2Fx"),
                    ("apigateway:TagResource", "/apis/x"),
                ],
            ),
        ];
        for (method, path, body, expected) in cases {
            let request = Request::in_test(method, path, body);
            let expected: Vec<_> = expected
                .iter()
                .map(|(action, path)| ((*action).to_owned(), format!("arn:aws:apigateway:eu-west-1::{path}")))
                .collect();
            assert_eq!(needs::<ApiGateway>(request), expected, "{method} {path}");
        }
    }
}
