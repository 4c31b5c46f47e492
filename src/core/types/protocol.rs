//! The two protocols of API Gateway v2. WebSocket APIs and HTTP APIs have the same types in CloudFormation and the same calls;
//! they differ in a few properties and defaults. So both are read and written by one file a type (`core::types`,
//! `aws::providers`), and what belongs to an HTTP API says so in a property of its own: a route does not name its protocol.
//!
//! (The other way would be Cloud Control, which has these types as well. It takes several calls and polls for each route, and
//! routes and integrations carry no tags, so that an API could record some twenty of them at most.)

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::{Never, StackView};
use crate::core::words::{Problem, ProblemKind, Token};

/// The property of what belongs to an HTTP API, which the resolver puts in. What belongs to a WebSocket API has none.
pub const PROPERTY: &str = "Protocol";

/// The value of that property, and of an API's `ProtocolType`.
pub const HTTP: &str = "HTTP";

/// How an HTTP API selects its routes, where it does not say (CreateApi, `routeSelectionExpression`).
pub const ROUTE_SELECTION: &str = "${request.method} ${request.path}";

/// The stage of an HTTP API that is served without its name in the path.
pub const DEFAULT_STAGE: &str = "$default";

/// The value of [`PROPERTY`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Protocol {
    #[serde(rename = "HTTP")]
    Http,
}

/// Which addresses reach an API; API Gateway's default is IPv4 alone.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum IpAddressType {
    #[default]
    Ipv4,
    Dualstack,
}

/// That of the parts of an API with these properties.
pub(crate) fn of_parts(api: &Value) -> Option<Protocol> {
    is_http_api(api).then_some(Protocol::Http)
}

/// Whether an API with these properties, of a template or canonical, is an HTTP API. One that is imported from an OpenAPI
/// document always is.
pub fn is_http_api(properties: &Value) -> bool {
    match properties.get("ProtocolType").filter(|protocol| !protocol.is_null()) {
        Some(protocol) => protocol == HTTP,
        None => ["Body", "BodyS3Location"].iter().any(|name| properties.get(*name).is_some()),
    }
}

/// Whether the routes of an API with these properties come from a document.
pub fn is_imported(properties: &Value) -> bool {
    properties.get("Body").is_some_and(|body| !body.is_null())
}

/// Whether a part with these properties belongs to an HTTP API.
pub fn is_http(properties: &Value) -> bool {
    properties.get(PROPERTY).is_some_and(|protocol| protocol == HTTP)
}

/// The API of a part, in a template.
pub(super) fn api_of<'s>(properties: &Value, stack: &'s dyn StackView) -> Option<super::ResourceView<'s>> {
    let token = Token::sole(properties.get("ApiId")?.as_str()?)?;
    stack.get(&token.logical_id)
}

/// Properties as they are, with defaults put in that an HTTP API has and a WebSocket API does not.
pub(super) fn with_http_defaults(properties: &Value, defaults: &[(&str, Value)]) -> Value {
    let mut properties = properties.clone();
    if is_http(&properties)
        && let Some(members) = properties.as_object_mut()
    {
        fill(members, defaults);
    }
    properties
}

fn fill(members: &mut Map<String, Value>, defaults: &[(&str, Value)]) {
    for (name, value) in defaults {
        if members.get(*name).is_none_or(Value::is_null) {
            members.insert((*name).to_owned(), value.clone());
        }
    }
}

/// Of two lists of properties that no resource can have, the one for the protocol of a part with these properties.
pub(super) fn never(properties: &Value, http: &'static [Never], websocket: &'static [Never]) -> &'static [Never] {
    if is_http(properties) { http } else { websocket }
}

/// Reports resources of a type that only WebSocket APIs have, where they are in an HTTP API.
pub(super) fn only_of_websockets(stack: &dyn StackView, type_name: &str, nouns: &str) -> Vec<Problem> {
    let problem = |one: super::ResourceView<'_>| {
        let what = format!("an HTTP API has no {nouns}, only a WebSocket API");
        Problem::new(one.path_of("ApiId"), what).kind(ProblemKind::Unsupported).help("remove it")
    };
    let in_http =
        |one: &super::ResourceView<'_>| api_of(one.properties, stack).is_some_and(|api| is_http_api(api.properties));
    stack.of(type_name).filter(in_http).map(problem).collect()
}

/// Reports parts of an API that is imported from a document: each import takes the place of all routes, integrations and
/// authorizers (`ReimportApi`).
pub(super) fn not_beside_imported(stack: &dyn StackView, type_name: &str, noun: &str) -> Vec<Problem> {
    let problem = |one: super::ResourceView<'_>| {
        let api = api_of(one.properties, stack).filter(|api| is_imported(api.properties))?;
        let what =
            format!("{} is described by its Body: each import of that would delete this {noun} again", api.logical_id);
        let help = "describe it in the Body, or everything by resources";
        Some(Problem::new(one.path_of("ApiId"), what).kind(ProblemKind::Unsupported).help(help))
    };
    stack.of(type_name).filter_map(problem).collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn an_api_is_told_by_its_protocol_or_its_document() {
        for (properties, expected) in [
            (json!({"ProtocolType": "HTTP"}), true),
            (json!({"ProtocolType": "WEBSOCKET"}), false),
            (json!({"Body": {}}), true),
            (json!({"BodyS3Location": {}}), true),
            (json!({"Body": {}, "ProtocolType": "WEBSOCKET"}), false),
            (json!({}), false),
        ] {
            assert_eq!(is_http_api(&properties), expected, "{properties}");
        }
    }

    #[test]
    fn only_parts_of_http_apis_get_their_defaults() {
        let defaults = [("TimeoutInMillis", json!(30_000))];
        assert_eq!(with_http_defaults(&json!({}), &defaults), json!({}));
        let http = json!({"Protocol": "HTTP"});
        assert_eq!(with_http_defaults(&http, &defaults), json!({"Protocol": "HTTP", "TimeoutInMillis": 30_000}));
        let given = json!({"Protocol": "HTTP", "TimeoutInMillis": 5});
        assert_eq!(with_http_defaults(&given, &defaults), given);
    }
}
