//! The permissions that Lambda's operations need (Service Authorization Reference, "AWS Lambda").

use serde::Deserialize;
use serde::de::IgnoredAny;
use std::collections::BTreeMap;

use super::name::{FunctionId, Reference};
use crate::core::iam::need::{Need, creation, pass_role};
use crate::local::wire::Request;

/// The members of a request's body that permissions depend on.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
struct Body {
    function_name: Option<String>,
    role: Option<String>,
    tags: BTreeMap<String, String>,
    layers: Vec<String>,
    /// The largest member of a request; it is parsed but not stored.
    #[serde(rename = "Code")]
    _code: Option<IgnoredAny>,
}

/// The permissions that a call needs: the operation on its function, `iam:PassRole` for a role, and access to layers.
pub fn of(operation: &str, request: &Request) -> Vec<Need> {
    let action = match operation {
        "Invoke" => "lambda:InvokeFunction".to_owned(),
        // On AWS this is a presigned S3 URL, which needs no permission.
        "DownloadFunctionCode" => return Vec::new(),
        _ => format!("lambda:{operation}"),
    };
    if operation == "ListFunctions" {
        return vec![Need::new(action, "*")];
    }
    let body: Body = match operation {
        "CreateFunction" | "UpdateFunctionConfiguration" | "TagResource" => request.json().unwrap_or_default(),
        _ => Body::default(),
    };
    let region = &request.caller.region;
    let segments = request.segments();
    let named = body.function_name.as_ref().or(segments.get(2)).map_or("", String::as_str);
    let function = match Reference::read(named, request.query("Qualifier"), region) {
        Ok(reference) => reference.arn(),
        Err(_) => FunctionId { region: region.clone(), name: named.to_owned() }.arn(),
    };
    let tags: Vec<(String, String)> = body.tags.into_iter().collect();
    let mut needs = match operation {
        "CreateFunction" => creation(action, "lambda:TagResource", function, &tags),
        _ => vec![Need::new(action, function).with_tags(tags)],
    };
    needs.extend(body.role.iter().map(|role| pass_role(role, "lambda.amazonaws.com")));
    needs.extend(body.layers.iter().map(|layer| Need::new("lambda:GetLayerVersion", layer)));
    needs
}

#[cfg(test)]
mod tests {
    use super::super::routes;
    use super::*;

    /// Actions and resources.
    type Pairs<'a> = &'a [(&'a str, &'a str)];

    #[test]
    fn operations_need_their_action_on_their_function() {
        const ROLE: &str = "arn:aws:iam::000000000000:role/r";
        const FUNCTION: &str = "arn:aws:lambda:eu-west-1:000000000000:function:chat";
        let create =
            format!(r#"{{"FunctionName":"chat","Role":"{ROLE}","Code":{{"ZipFile":"x"}},"Tags":{{"a":"b"}}}}"#);
        let configure = format!(r#"{{"Role":"{ROLE}","Layers":["arn:aws:lambda:eu-west-1:1:layer:l:1"]}}"#);
        let live = format!("{FUNCTION}:live");
        let tags = format!("/2017-03-31/tags/{}", FUNCTION.replace(':', "%3A"));
        let cases: &[(&str, &str, &str, Pairs<'_>)] = &[
            (
                "POST",
                "/2015-03-31/functions",
                &create,
                &[("lambda:CreateFunction", FUNCTION), ("lambda:TagResource", FUNCTION), ("iam:PassRole", ROLE)],
            ),
            ("POST", "/2015-03-31/functions", r#"{"FunctionName":"chat"}"#, &[("lambda:CreateFunction", FUNCTION)]),
            (
                "PUT",
                "/2015-03-31/functions/chat/configuration",
                &configure,
                &[
                    ("lambda:UpdateFunctionConfiguration", FUNCTION),
                    ("iam:PassRole", ROLE),
                    ("lambda:GetLayerVersion", "arn:aws:lambda:eu-west-1:1:layer:l:1"),
                ],
            ),
            ("PUT", "/2015-03-31/functions/chat/code", "", &[("lambda:UpdateFunctionCode", FUNCTION)]),
            ("GET", "/2015-03-31/functions", "", &[("lambda:ListFunctions", "*")]),
            ("GET", "/2015-03-31/functions/chat/policy?Qualifier=live", "", &[("lambda:GetPolicy", &live)]),
            ("POST", "/2015-03-31/functions/chat:live/invocations", "", &[("lambda:InvokeFunction", &live)]),
            ("POST", &tags, r#"{"Tags":{"a":"b"}}"#, &[("lambda:TagResource", FUNCTION)]),
            ("GET", "/2015-03-31/functions/chat/code/x", "", &[]),
        ];
        for (method, uri, body, expected) in cases {
            let (path, query) = uri.split_once('?').unwrap_or((uri, ""));
            let query = crate::local::router::decode_query(query.as_bytes());
            let request = Request { query, ..Request::in_test(method, path, body) };
            let needs = of(routes::operation(&request).unwrap(), &request);
            let pairs: Vec<_> = needs.iter().map(|need| (need.action.as_str(), need.resource.as_str())).collect();
            assert_eq!(pairs, *expected, "{method} {uri}");
        }
    }
}
