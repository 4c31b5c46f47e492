//! `AWS::ApiGatewayV2::Api` of protocol HTTP: made of resources, imported from an OpenAPI document (`Body`, as SAM makes
//! them), or by quick create (`Target`).
//!
//! A document cannot be read back as it was given. So a tag has a digest of it, and of the other properties that no reading
//! gives; the routes and integrations that it makes are the document's, and no plan looks at them.

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use super::cloud_control::TAGS;
use super::protocol::{self, IpAddressType, ROUTE_SELECTION, is_imported};
use super::tags::{self, Tags};
use super::{ResourceView, canonical, to_value};
use crate::core::words::{Path, Problem, ProblemKind};

/// The member of a document's tag with the value that the API's tag gets.
const VALUE: &str = "x-amazon-apigateway-tag-value";

/// What begins the digest of an API that is imported.
const OF_BODY: &str = "body-";

/// That digest where an import has begun, and is not known to have ended.
pub(crate) const UNFINISHED: &str = "body-";

/// The other spelling of how an HTTP API selects its routes, which AWS shows.
const SPELLED: &str = "$request.method $request.path";

/// Properties that no reading gives back.
pub(crate) const UNREAD: &[&str] = &["Body", "BasePath", "FailOnWarnings", "Target", "RouteKey", "CredentialsArn"];

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct Props {
    #[serde(default = "http")]
    pub(crate) protocol_type: String,
    pub(crate) name: Option<String>,
    #[serde(default = "selection")]
    pub(crate) route_selection_expression: String,
    pub(crate) api_key_selection_expression: Option<String>,
    pub(crate) description: Option<String>,
    pub(crate) version: Option<String>,
    pub(crate) disable_execute_api_endpoint: Option<bool>,
    pub(crate) disable_schema_validation: Option<bool>,
    pub(crate) ip_address_type: Option<IpAddressType>,
    pub(crate) cors_configuration: Option<Cors>,
    pub(crate) body: Option<Value>,
    pub(crate) base_path: Option<String>,
    pub(crate) fail_on_warnings: Option<bool>,
    /// Quick create: a function's ARN or a URL, behind the route `RouteKey` (`$default` where it is not given).
    pub(crate) target: Option<String>,
    pub(crate) route_key: Option<String>,
    pub(crate) credentials_arn: Option<String>,
    #[serde(default, deserialize_with = "tags::deserialize")]
    pub(crate) tags: Tags,
}

/// Whose pages may read the answers.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct Cors {
    #[serde(default)]
    pub(crate) allow_credentials: bool,
    #[serde(default)]
    pub(crate) allow_headers: Vec<String>,
    #[serde(default)]
    pub(crate) allow_methods: Vec<String>,
    #[serde(default)]
    pub(crate) allow_origins: Vec<String>,
    #[serde(default)]
    pub(crate) expose_headers: Vec<String>,
    /// In seconds; 0 is none.
    #[serde(default)]
    pub(crate) max_age: i32,
}

fn http() -> String {
    protocol::HTTP.to_owned()
}

fn selection() -> String {
    ROUTE_SELECTION.to_owned()
}

impl Cors {
    /// In one spelling: the service compares without regard to case and order.
    pub(crate) fn normal(mut self) -> Self {
        let lists = [&mut self.allow_headers, &mut self.allow_origins, &mut self.expose_headers];
        for list in lists {
            list.iter_mut().for_each(|one| one.make_ascii_lowercase());
            list.sort();
            list.dedup();
        }
        self.allow_methods.iter_mut().for_each(|one| one.make_ascii_uppercase());
        self.allow_methods.sort();
        self.allow_methods.dedup();
        self
    }
}

impl Props {
    /// Whether a document describes it.
    pub(crate) fn is_imported(&self) -> bool {
        self.body.is_some()
    }

    fn read_body(&self) -> Option<Value> {
        match self.body.as_ref()? {
            // YAML reads JSON, too.
            Value::String(text) => serde_yaml::from_str(text).ok(),
            body => Some(body.clone()),
        }
    }

    /// The tags that an import of the document sets, as SAM writes them.
    fn tags_of_document(&self) -> Tags {
        let body = self.read_body().unwrap_or_default();
        let tags = body["tags"].as_array().into_iter().flatten().filter_map(|tag| {
            let value = match tag.get(VALUE)? {
                Value::String(text) => text.clone(),
                other => other.to_string(),
            };
            Some((tag["name"].as_str()?.to_owned(), value))
        });
        tags.collect()
    }

    /// The document's text, with these tags in it: an import sets an API's tags to those that its document has.
    pub(crate) fn document(&self) -> Option<String> {
        let mut body = self.read_body()?;
        let members = body.as_object_mut()?;
        let listed = members.entry("tags").or_insert_with(|| json!([]));
        let listed = listed.as_array_mut()?;
        for (name, value) in &self.tags {
            match listed.iter_mut().find(|tag| tag["name"] == name.as_str()) {
                Some(tag) if tag.is_object() => tag[VALUE] = value.as_str().into(),
                _ => listed.push(json!({ "name": name, VALUE: value })),
            }
        }
        Some(body.to_string())
    }
}

/// Template properties in canonical form. What a document says need not be said by properties.
pub(super) fn canonical_of(properties: &Value) -> Result<Value, Vec<Problem>> {
    let read = canonical::<Props>(properties)?;
    let mut props: Props = super::read(&read).map_err(|error| vec![Problem::new(Path::default(), error.0)])?;
    let mut problems = Vec::new();
    // "For HTTP APIs, the routeSelectionExpression must be ${request.method} ${request.path}" (CreateApi).
    if ![ROUTE_SELECTION, SPELLED].contains(&props.route_selection_expression.as_str()) {
        let path = Path::default().key("RouteSelectionExpression");
        let what = format!("the RouteSelectionExpression of an HTTP API is {ROUTE_SELECTION}");
        problems.push(Problem::new(path.clone(), what).depending_on_values([path]).help("remove it"));
    }
    props.route_selection_expression = selection();
    if !props.is_imported() {
        if props.name.is_none() {
            problems.push(Problem::new(Path::default(), "missing property \"Name\"").kind(ProblemKind::Missing));
        }
        props.description.get_or_insert_default();
        props.version.get_or_insert_default();
        props.disable_execute_api_endpoint.get_or_insert(false);
        props.ip_address_type.get_or_insert_default();
    } else if let Some(Value::String(text)) = &props.body
        && !serde_yaml::from_str::<Value>(text).is_ok_and(|body| body.is_object())
    {
        let path = Path::default().key("Body");
        problems.push(Problem::new(path, "Body is not an OpenAPI document").kind(ProblemKind::IllTyped));
    }
    if props.is_imported() && props.target.is_some() {
        let what = "an API is made by quick create (Target) or from a document (Body), not both";
        problems.push(Problem::of_key(Path::default().key("Target"), what).help("remove one of the two"));
    }
    if props.target.is_none() {
        for (name, is_given) in
            [("RouteKey", props.route_key.is_some()), ("CredentialsArn", props.credentials_arn.is_some())]
        {
            if is_given {
                let what = format!("{name} of an API belongs to quick create, and there is no Target");
                problems.push(Problem::of_key(Path::default().key(name), what).help("give a Target, or remove it"));
            }
        }
    }
    if !problems.is_empty() {
        return Err(problems);
    }
    for (name, value) in props.tags_of_document() {
        props.tags.entry(name).or_insert(value);
    }
    props.cors_configuration = props.cors_configuration.map(Cors::normal);
    Ok(to_value(&props))
}

/// Puts the digest of what no reading gives into desired properties.
pub(super) fn complete(it: &ResourceView<'_>, properties: &mut Value) {
    let given: Vec<(&str, &Value)> =
        UNREAD.iter().filter_map(|name| Some((*name, it.properties.get(*name)?))).collect();
    if given.is_empty() {
        return;
    }
    let digest = hex::encode(&Sha256::digest(json!(given).to_string())[..8]);
    let prefix = if is_imported(it.properties) { OF_BODY } else { "" };
    properties[TAGS][tags::WRITE_ONLY] = format!("{prefix}{digest}").into();
}

/// Whether the tags of a live API say that its routes are those of a document.
pub(crate) fn is_document_of(live: &Value) -> bool {
    live[TAGS][tags::WRITE_ONLY].as_str().is_some_and(|digest| digest.starts_with(OF_BODY))
}

/// What of a live API is compared: of one that a document describes what the template states beside it.
pub(super) fn seen_as(live: &Value, desired: &Value) -> Option<Value> {
    let (live, wanted) = (live.as_object()?, desired.as_object()?);
    if !UNREAD.iter().any(|name| wanted.contains_key(*name)) {
        return None;
    }
    let is_seen = |name: &str| !is_imported(desired) || wanted.contains_key(name) || name == TAGS;
    let mut seen: serde_json::Map<String, Value> =
        live.iter().filter(|(name, _)| is_seen(name)).map(|(name, value)| (name.clone(), value.clone())).collect();
    for name in UNREAD {
        if let Some(value) = wanted.get(*name) {
            seen.insert((*name).to_owned(), value.clone());
        }
    }
    Some(Value::Object(seen))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_document_gets_the_tags_of_its_api() {
        let body = json!({"openapi": "3.0.1", "tags": [{"name": "a", "x-amazon-apigateway-tag-value": "old"}]});
        let tags: Tags = [("a", "1"), ("b", "2")].map(|(key, value)| (key.to_owned(), value.to_owned())).into();
        let text = "openapi: 3.0.1\ntags: [{name: a, x-amazon-apigateway-tag-value: old}]\n";
        for body in [body, Value::from(text)] {
            let props: Props = serde_json::from_value(json!({"Body": body})).unwrap();
            let document = Props { tags: tags.clone(), ..props }.document().unwrap();
            let document: Value = serde_json::from_str(&document).unwrap();
            let value = |at: usize| document["tags"][at]["x-amazon-apigateway-tag-value"].clone();
            assert_eq!((value(0), value(1)), (json!("1"), json!("2")));
        }
    }

    #[test]
    fn what_a_document_says_need_not_be_said_beside_it() {
        let body =
            json!({"openapi": "3.0.1", "tags": [{"name": "a", "x-amazon-apigateway-tag-value": "b"}, {"name": "c"}]});
        let canonical = canonical_of(&json!({"Body": body, "Tags": {"d": "e"}})).unwrap();
        assert_eq!(canonical["Tags"], json!({"a": "b", "d": "e"}));
        let problems = canonical_of(&json!({"ProtocolType": "HTTP"})).unwrap_err();
        assert_eq!(problems[0].what, "missing property \"Name\"");
        let problems = canonical_of(&json!({"Body": "- a list"})).unwrap_err();
        assert_eq!(problems[0].what, "Body is not an OpenAPI document");
    }

    #[test]
    fn cors_lists_have_one_spelling() {
        let given: Cors = serde_json::from_value(json!({
            "AllowHeaders": ["X-B", "x-a", "X-A"], "AllowMethods": ["post", "GET"],
        }))
        .unwrap();
        let normal = given.normal();
        assert_eq!(normal.allow_headers, ["x-a", "x-b"]);
        assert_eq!(normal.allow_methods, ["GET", "POST"]);
    }
}
