//! The APIs that SAM creates for events that name none.

use serde_json::{Map, Value};

use super::super::{Resource, Template};
use super::shape::truthy;
use super::{PREFIX, events, function, http_api, rest_api};
use crate::core::words::{Path, Problem, ProblemKind};

/// An API that SAM creates for events that name none.
struct Implicit {
    event: &'static str,
    /// The property with which an event names its API.
    names: &'static str,
    logical_id: &'static str,
    type_name: &'static str,
}

const IMPLICIT: &[Implicit] = &[
    Implicit { event: "Api", names: "RestApiId", logical_id: events::REST_API, type_name: rest_api::TYPE.name },
    Implicit { event: "HttpApi", names: "ApiId", logical_id: events::HTTP_API, type_name: http_api::TYPE.name },
];

/// Adds the APIs that SAM creates for events that name none, to be expanded like the others.
pub fn add(template: &mut Template) {
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
