//! The permissions that Lambda's operations need (Service Authorization Reference, "AWS Lambda").

use serde::Deserialize;
use serde::de::IgnoredAny;
use std::collections::BTreeMap;

use super::layer::layer_arn;
use super::mapping;
use super::name::{FunctionId, Reference};
use crate::core::iam::need::{Need, creation, pass_role};
use crate::local::protocol::service::ServiceCall;

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

impl Body {
    fn read(call: &ServiceCall) -> Self {
        call.request.json().unwrap_or_default()
    }

    /// The permissions to give a function this role and these layers.
    fn settings(&self) -> Vec<Need> {
        let role = self.role.iter().map(|role| pass_role(role, "lambda.amazonaws.com"));
        role.chain(self.layers.iter().map(|layer| Need::new("lambda:GetLayerVersion", layer))).collect()
    }
}

fn action(call: &ServiceCall) -> String {
    format!("lambda:{}", call.operation.name)
}

/// The ARN of a function, version or alias by its name or ARN.
fn arn(call: &ServiceCall, name: &str) -> String {
    match Reference::read(name, call.request.query("Qualifier"), call.region()) {
        Ok(reference) => reference.arn(),
        Err(_) => FunctionId { region: call.region().to_owned(), name: name.to_owned() }.arn(),
    }
}

/// The operation, on no function in particular.
pub fn on_all(call: &ServiceCall) -> Vec<Need> {
    vec![Need::new(action(call), "*")]
}

/// The operation on the function that the path names.
pub fn on_function(call: &ServiceCall) -> Vec<Need> {
    vec![Need::new(action(call), arn(call, call.id(0)))]
}

/// The ARN of a layer by its name or ARN.
fn layer(call: &ServiceCall) -> String {
    let named = call.id(0);
    let name = named.split_once(":layer:").map_or(named, |(_, name)| name);
    layer_arn(call.region(), name)
}

/// The operation on the layer that the path names.
pub fn on_layer(call: &ServiceCall) -> Vec<Need> {
    vec![Need::new(action(call), layer(call))]
}

/// The operation on the layer's version that the path names.
pub fn on_layer_version(call: &ServiceCall) -> Vec<Need> {
    vec![Need::new(action(call), format!("{}:{}", layer(call), call.id(1)))]
}

/// `ListLayers`, or `GetLayerVersion` of the version that the query names.
pub fn on_layers(call: &ServiceCall) -> Vec<Need> {
    match call.request.query("Arn").filter(|_| call.request.query("find") == Some("LayerVersion")) {
        Some(arn) => vec![Need::new("lambda:GetLayerVersion", arn)],
        None => on_all(call),
    }
}

/// `InvokeFunction`, as the action is called.
pub fn invoking(call: &ServiceCall) -> Vec<Need> {
    vec![Need::new("lambda:InvokeFunction", arn(call, call.id(0)))]
}

/// The operation on the function or event source mapping, with the tags of the request.
pub fn tagging(call: &ServiceCall) -> Vec<Need> {
    let resource = match mapping::uuid_in(call.id(0)) {
        Some(_) => call.id(0).to_owned(),
        None => arn(call, call.id(0)),
    };
    vec![Need::new(action(call), resource).with_tags(Body::read(call).tags)]
}

/// `CreateEventSourceMapping`, which has no resource, and `TagResource` for its tags: its UUID is not known yet.
pub fn mapping_source(call: &ServiceCall) -> Vec<Need> {
    let body = Body::read(call);
    let function = arn(call, body.function_name.as_deref().unwrap_or_default());
    let mut needs = vec![Need::new(action(call), "*").with("lambda:FunctionArn", function)];
    if !body.tags.is_empty() {
        needs.push(Need::new("lambda:TagResource", mapping::arn(call.region(), "*")).with_tags(body.tags));
    }
    needs
}

/// The operation on the event source mapping that the path names.
pub fn on_mapping(call: &ServiceCall) -> Vec<Need> {
    vec![Need::new(action(call), mapping::arn(call.region(), call.id(0)))]
}

/// The operation on the new function, its tags, `iam:PassRole` for its role, and access to its layers.
pub fn creating(call: &ServiceCall) -> Vec<Need> {
    let body = Body::read(call);
    let tags: Vec<_> = body.tags.iter().collect();
    let function = arn(call, body.function_name.as_deref().unwrap_or_default());
    let mut needs = creation(action(call), "lambda:TagResource", function, &tags);
    needs.extend(body.settings());
    needs
}

/// The operation on the function, `iam:PassRole` for a new role, and access to new layers.
pub fn configuring(call: &ServiceCall) -> Vec<Need> {
    let mut needs = on_function(call);
    needs.extend(Body::read(call).settings());
    needs
}

#[cfg(test)]
mod tests {
    use super::super::Lambda;
    use crate::local::protocol::service::testing::needs;
    use crate::local::protocol::wire::Request;

    /// Actions and resources.
    type Pairs<'a> = &'a [(&'a str, &'a str)];

    #[test]
    fn operations_need_their_action_on_their_function() {
        const ROLE: &str = "arn:aws:iam::000000000000:role/r";
        const FUNCTION: &str = "arn:aws:lambda:eu-west-1:000000000000:function:chat";
        const LAYER: &str = "arn:aws:lambda:eu-west-1:000000000000:layer:l";
        let layer_version = format!("{LAYER}:2");
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
            ("POST", "/2018-10-31/layers/l/versions", "", &[("lambda:PublishLayerVersion", LAYER)]),
            ("GET", "/2018-10-31/layers", "", &[("lambda:ListLayers", "*")]),
            ("DELETE", "/2018-10-31/layers/l/versions/2", "", &[("lambda:DeleteLayerVersion", &layer_version)]),
        ];
        for (method, uri, body, expected) in cases {
            let (path, query) = uri.split_once('?').unwrap_or((uri, ""));
            let query = crate::local::server::router::decode_query(query.as_bytes());
            let request = Request { query, ..Request::in_test(method, path, body) };
            let needs = needs::<Lambda>(request);
            let pairs: Vec<_> = needs.iter().map(|(action, resource)| (action.as_str(), resource.as_str())).collect();
            assert_eq!(pairs, *expected, "{method} {uri}");
        }
    }
}
