//! What REST and HTTP APIs share: the document that describes their paths, written by the functions' events.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

use super::super::{Resource, Template, intrinsics};
use super::events::{Event, Target};
use super::expansion::Expansion;
use super::shape::truthy;
use super::{PREFIX, function};
use crate::core::words::{Path, Problem, ProblemKind};

/// API Gateway's name for what a method leads to.
pub const INTEGRATION: &str = "x-amazon-apigateway-integration";

/// API Gateway's name for all methods of a path.
pub const ANY_METHOD: &str = "x-amazon-apigateway-any-method";

/// The documents of APIs, by logical id.
pub type Documents = BTreeMap<String, Document>;

/// The OpenAPI document of an API.
#[derive(Debug, Clone)]
pub struct Document {
    pub body: Map<String, Value>,
    /// SAM writes it: the user gave none.
    pub managed: bool,
    /// Settings of routes that events give (HTTP APIs).
    pub route_settings: Map<String, Value>,
}

impl Document {
    /// What the user gave as the API's `DefinitionBody`, or one without paths, of this `version`.
    pub fn of(given: Option<&Value>, version: (&str, &str)) -> Self {
        let given = given.filter(|body| truthy(body)).and_then(Value::as_object);
        let skeleton = || {
            let info = json!({ "version": "1.0", "title": { "Ref": "AWS::StackName" } });
            let parts = [(version.0, version.1.into()), ("info", info), ("paths", json!({}))];
            parts.into_iter().map(|(name, value)| (name.to_owned(), value)).collect()
        };
        Self { managed: given.is_none(), body: given.cloned().unwrap_or_else(skeleton), route_settings: Map::new() }
    }

    /// The paths with their methods.
    pub fn paths(&mut self) -> Option<&mut Map<String, Value>> {
        self.body.get_mut("paths").and_then(Value::as_object_mut)
    }

    /// The definition of one method, if it leads somewhere.
    pub fn method(&self, path: &str, method: &str) -> Option<&Value> {
        let method = self.body.get("paths")?.get(path)?.get(method)?;
        method.get(INTEGRATION).filter(|integration| truthy(integration)).map(|_| method)
    }

    /// Adds a method.
    pub fn insert(&mut self, path: &str, method: &str, definition: Value) {
        let Some(paths) = self.paths() else { return };
        let item = paths.entry(path).or_insert_with(|| json!({}));
        if let Some(item) = item.as_object_mut() {
            item.insert(method.to_owned(), definition);
        }
    }
}

/// `GET` as a document has it.
pub fn normalized(method: &str) -> String {
    match method.to_ascii_lowercase().as_str() {
        "any" => ANY_METHOD.to_owned(),
        method => method.to_owned(),
    }
}

/// `path` as it stands in what a permission is for: `*` for each parameter that `is_parameter`, no slash at the end.
pub fn permitted_path(path: &str, is_parameter: fn(&str) -> bool) -> String {
    let mut rest = path.strip_suffix('/').filter(|path| !path.is_empty()).unwrap_or(path);
    let mut permitted = String::new();
    while let Some((before, after)) = rest.split_once('{') {
        permitted.push_str(before);
        rest = match after.split_once('}') {
            Some((name, after)) if is_parameter(name) => {
                permitted.push('*');
                after
            }
            _ => {
                permitted.push('{');
                after
            }
        };
    }
    permitted + rest
}

/// Whether `name` is what SAM takes for the name of a path's parameter.
pub fn is_name(name: &str) -> bool {
    !name.is_empty() && name.chars().all(|letter| letter.is_ascii_alphanumeric() || "._-".contains(letter))
}

/// What invokes `target`, in the form of an integration.
pub fn integration_uri(partition: &str, target: &Target, streams: bool) -> Value {
    let (version, call) = match streams {
        true => ("2021-11-15", "response-streaming-invocations"),
        false => ("2015-03-31", "invocations"),
    };
    let called = match target.arn.get("Ref").and_then(Value::as_str) {
        Some(alias) => alias.to_owned(),
        None => format!("{}.Arn", target.id),
    };
    json!({ "Fn::Sub": format!(
        "arn:{partition}:apigateway:${{AWS::Region}}:lambda:path/{version}/functions/${{{called}}}/{call}"
    ) })
}

/// The logical id of the API that `event` is of, which the property `name` refers to: one of the `types`.
pub fn api_of(expansion: &mut Expansion<'_>, event: &Event, name: &str, types: &[&str]) -> Option<String> {
    let given = event.get(name)?;
    let id = given.get("Ref").unwrap_or(given).as_str();
    let resource = id.and_then(|id| expansion.template.resources.get(id));
    if let (Some(id), Some(resource)) = (id, resource)
        && types.contains(&resource.type_name.as_str())
    {
        return Some(id.to_owned());
    }
    if !id.is_some_and(|id| expansion.template.is_broken(id)) {
        let what = format!("{name} must be a valid reference to an '{}' resource in same template", types[0]);
        expansion.report(Problem::new(event.place(name), what).kind(ProblemKind::BadReference));
    }
    None
}

/// Refuses an event of a function that may not exist: its path would have to be under the same condition.
pub fn refuse_condition(expansion: &mut Expansion<'_>, event: &Event) -> bool {
    let conditional = expansion.resource.condition.is_some();
    if conditional {
        let what =
            format!("events of the type {} of a function with a Condition are not supported yet", event.kind.name);
        expansion.report(Problem::of_key(event.path.clone(), what).kind(ProblemKind::Unsupported));
    }
    conditional
}

/// An API that SAM creates for events that name none.
struct Implicit {
    event: &'static str,
    /// The property with which an event names its API.
    names: &'static str,
    logical_id: &'static str,
    type_name: &'static str,
}

const IMPLICIT: &[Implicit] = &[
    Implicit {
        event: "Api",
        names: "RestApiId",
        logical_id: super::rest_api::IMPLICIT,
        type_name: super::rest_api::TYPE.name,
    },
    Implicit {
        event: "HttpApi",
        names: "ApiId",
        logical_id: super::http_api::IMPLICIT,
        type_name: super::http_api::TYPE.name,
    },
];

/// Adds the APIs that SAM creates for events that name none, to be expanded like the others.
pub fn add_implicit(template: &mut Template) {
    for implicit in IMPLICIT {
        let mut api = Resource { type_name: implicit.type_name.to_owned(), ..Resource::default() };
        let mut tags = Map::new();
        let mut written = None;
        for (logical_id, function) in &template.resources {
            if function.type_name != function::TYPE.name {
                continue;
            }
            let path = Path::default().key("Resources").key(logical_id).key("Properties").key("Events");
            for (name, event) in function.properties.get("Events").and_then(Value::as_object).into_iter().flatten() {
                let named = event["Properties"].get(implicit.names).is_some();
                // SAM does without an empty one of REST: what is missing is reported with the event.
                let empty = implicit.event == "Api" && !truthy(&event["Properties"]);
                if event["Type"] != implicit.event || named || empty {
                    continue;
                }
                written.get_or_insert_with(|| path.key(name));
                let global = template.globals.get(function::TYPE.name.trim_start_matches(PREFIX));
                let given = |name: &str| {
                    let own = function.properties.get(name).filter(|value| truthy(value));
                    own.or_else(|| global?.get(name).filter(|value| truthy(value)))
                };
                if let (Some(_), Some(Value::Object(own))) = (given("PropagateTags"), given("Tags")) {
                    tags.extend(own.clone());
                }
                for (of_api, of_function) in [
                    (&mut api.deletion_policy, &function.deletion_policy),
                    (&mut api.update_replace_policy, &function.update_replace_policy),
                ] {
                    // One that wants to keep it is enough.
                    if of_function.is_some() && of_api.as_deref() != Some("Retain") {
                        of_api.clone_from(of_function);
                    }
                }
            }
        }
        let Some(written) = written else { continue };
        if implicit.event == "Api" {
            api.properties.insert("StageName".to_owned(), "Prod".into());
        }
        if !tags.is_empty() {
            api.properties.insert("Tags".to_owned(), tags.into());
            api.properties.insert("PropagateTags".to_owned(), true.into());
        }
        if template.resources.contains_key(implicit.logical_id) {
            let what = format!("SAM makes a resource {} of this, and there is one of that name", implicit.logical_id);
            template.problems.push(Problem::of_key(written, what).kind(ProblemKind::Duplicate));
            continue;
        }
        template.origins.note(Path::default().key("Resources").key(implicit.logical_id), written);
        template.resources.insert(implicit.logical_id.to_owned(), api);
    }
}

/// Whether `value` is a call, which cannot be looked into.
pub fn is_call(value: &Value) -> bool {
    intrinsics::call(value).is_some()
}
