//! `AWS::ApiGatewayV2::Deployment`: an immutable snapshot of an API's routes and integrations.
//!
//! A changed route does nothing until a new deployment has frozen it and the stage points there. So a deployment is
//! known by a digest of what it froze, kept at the end of its description: the one thing about it that can be written.

use std::collections::HashSet;

use serde::{Deserialize, Serialize};
use serde_json::Value;
use sha2::{Digest, Sha256};

use super::iam_permissions::{Permissions, Subject, api_part};
use super::{
    Attribute, Desired, Kind, Live, Names, Part, Planning, ResourceView, StackView, Within, canonical, names, protocol,
};
use crate::core::words::{Problem, ProblemKind, Scope, Token};

pub const TYPE: &str = names::DEPLOYMENT;

/// The property that the plan puts in: canonical properties of all routes, integrations and route responses.
pub const FREEZES: &str = "Freezes";

/// Where in a live deployment's properties the digest of what it froze stands.
pub const DIGEST: &str = "Digest";

/// What comes before the digest in a description.
const DIGEST_PREFIX: &str = "wschat:";

/// A snapshot of an API.
pub struct Deployment;

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct Props {
    pub(crate) api_id: String,
    #[serde(default)]
    pub(crate) description: String,
    pub(crate) freezes: Option<Value>,
}

/// The digest of a deployment's content. Its own logical id is part of it, so that two deployments of one API stay two.
pub fn digest(desired: &Desired) -> String {
    let frozen = desired.properties.get(FREEZES).unwrap_or(&Value::Null);
    let digest = Sha256::digest(format!("{}\n{}", desired.logical_id, sorted(frozen)));
    hex::encode(&digest[..8])
}

/// JSON text with its members in one order.
fn sorted(value: &Value) -> String {
    let mut value = value.clone();
    value.sort_all_objects();
    value.to_string()
}

pub(crate) fn description(props: &Props, digest: &str) -> String {
    [props.description.as_str(), DIGEST_PREFIX].join(if props.description.is_empty() { "" } else { " " }) + digest
}

/// A description without the ownership marker, and the digest in it.
pub(crate) fn split(description: &str) -> (&str, Option<&str>) {
    match description.rsplit_once(DIGEST_PREFIX) {
        Some((text, digest)) if digest.len() == 16 => (text.trim_end(), Some(digest)),
        _ => (description, None),
    }
}

impl Kind for Deployment {
    fn type_name(&self) -> &'static str {
        TYPE
    }

    fn noun(&self) -> &'static str {
        "deployment"
    }

    fn described(&self, live: &Live, names: &dyn Names) -> Option<String> {
        Some(format!("deployment of {}", names.logical_id(names::API, live.parent.as_deref()?)))
    }

    fn within(&self) -> Option<Within> {
        Some(Within { property: "ApiId", types: &[names::API] })
    }

    fn deleted_after(&self) -> &'static [&'static str] {
        &[names::STAGE]
    }

    fn canonical(&self, properties: &Value) -> Result<Value, Vec<Problem>> {
        canonical::<Props>(properties)
    }

    fn not_yet(&self) -> &'static [&'static str] {
        &["StageName"]
    }

    fn internal(&self) -> &'static [&'static str] {
        &[FREEZES]
    }

    fn create_only(&self) -> &'static [&'static str] {
        &["ApiId"]
    }

    fn hard(&self) -> &'static [&'static str] {
        &["ApiId"]
    }

    fn attribute(&self, _: &Scope, _: Option<&str>, attribute: Option<&str>) -> Attribute {
        match attribute {
            None => Attribute::Minted,
            Some("DeploymentId") => Attribute::Ref,
            Some(_) => Attribute::Unknown(&["DeploymentId"]),
        }
    }

    fn parent(&self) -> Option<&'static str> {
        Some(names::API)
    }

    fn is(&self, desired: &Desired, live: &Live) -> bool {
        desired.properties["ApiId"] == live.properties["ApiId"]
            && live.properties.get(DIGEST).and_then(Value::as_str) == Some(&digest(desired))
    }

    fn conflicts(&self, stack: &dyn StackView) -> Vec<Problem> {
        let with_key = stack.of(names::ROUTE).filter(|route| route.properties["RouteKey"].is_string());
        let served: HashSet<&Value> = with_key.filter_map(|route| route.properties.get("ApiId")).collect();
        let empty = |deployment: &ResourceView<'_>| {
            let made = protocol::api_of(deployment.properties, stack);
            if made.is_some_and(|api| api.properties.get("Body").or(api.properties.get("Target")).is_some()) {
                return false;
            }
            let api = deployment.properties.get("ApiId").filter(|api| **api != "");
            api.is_some_and(|api| !served.contains(api))
        };
        // "At least one route is required before deploying the Api" (API Gateway).
        let problem = |deployment: ResourceView<'_>| {
            let what = "this API has no route, and without one it cannot be deployed";
            let help = "give the API a route; a deployment is a snapshot of its routes";
            Problem::new(deployment.path_of("ApiId"), what).kind(ProblemKind::Missing).help(help)
        };
        stack.of(TYPE).filter(|_| stack.is_whole()).filter(empty).map(problem).collect()
    }

    /// What it will freeze: everything it waits for, as that is to be.
    fn complete(&self, it: &ResourceView<'_>, properties: &mut Value, stack: &dyn Planning) {
        let api = &it.properties["ApiId"];
        let api = api.as_str().unwrap_or_default();
        let of_api = |token: &Token| (token.attribute == "Ref").then(|| stack.get(&token.logical_id)).flatten();
        let selection = Token::sole(api).and_then(|token| of_api(&token));
        // Of an API that is imported or made by quick create: what makes its routes.
        let made =
            |api: ResourceView<'_>| ["Body", "Target"].iter().find_map(|name| api.properties.get(*name).cloned());
        let selection = selection
            .map(|api| made(api).unwrap_or_else(|| api.properties["RouteSelectionExpression"].clone()))
            .unwrap_or_default();
        let frozen = stack.parts(api).filter(|part| part.kind.is_frozen_by_deployments());
        let frozen = frozen.map(|part| part.properties.clone()).collect();
        properties[FREEZES] = Value::Array(vec![selection, Value::Array(frozen)]);
    }

    /// The digest says whether one froze the same; what it froze is not written anywhere in AWS.
    fn is_compared(&self, property: &str, _: bool) -> bool {
        !property.starts_with(FREEZES) && property != DIGEST
    }

    fn part(&self) -> Part {
        Part::Snapshot
    }

    fn is_left_behind(&self) -> bool {
        true
    }

    fn permissions(&self, it: &Subject<'_>, permissions: &mut Permissions) {
        api_part(it, permissions);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn desired(logical_id: &str, properties: Value) -> Desired {
        Desired { logical_id: logical_id.to_owned(), name: None, properties, code: None }
    }

    #[test]
    fn the_digest_is_of_what_is_frozen_in_any_order() {
        let one = desired("D", json!({"ApiId": "a", FREEZES: [{"RouteKey": "x", "Target": "integrations/1"}]}));
        let same = desired("D", json!({FREEZES: [{"Target": "integrations/1", "RouteKey": "x"}], "ApiId": "a"}));
        let other = desired("D", json!({"ApiId": "a", FREEZES: [{"RouteKey": "x", "Target": "integrations/2"}]}));
        assert_eq!(digest(&one), digest(&same));
        assert_ne!(digest(&one), digest(&other));
        assert_ne!(digest(&one), digest(&desired("E", one.properties.clone())));
    }

    #[test]
    fn a_description_keeps_the_users_words_and_the_digest() {
        for words in ["", "the first one", "ends in wschat: or so"] {
            let props = Props { api_id: "a".to_owned(), description: words.to_owned(), freezes: None };
            let text = description(&props, "0123456789abcdef");
            assert_eq!(split(&text), (words, Some("0123456789abcdef")), "{text}");
        }
        assert_eq!(split("made by hand"), ("made by hand", None));
    }
}
