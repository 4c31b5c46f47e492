//! `Globals`: what all functions have in common, merged into each as SAM merges it.

use serde_json::{Map, Value};

use super::super::{Resource, Template, intrinsics};
use super::function;
use crate::diagnostic::{Path, Problem};

/// The resource types that SAM has `Globals` for. Those that are not functions cannot have an effect here, since their
/// resources are refused.
const TYPES: &[&str] = &[
    "Api",
    "CapacityProvider",
    "Function",
    "HttpApi",
    "LayerVersion",
    "MicroVMImage",
    "NetworkConnector",
    "SimpleTable",
    "StateMachine",
    "WebSocketApi",
];

/// Properties of functions that `Globals` cannot give.
const NEVER: &[&str] =
    &["Events", "FunctionName", "ImageConfig", "ImageUri", "InlineCode", "PackageType", "Policies", "Role"];

/// The one list that a function's own value replaces; SAM appends to all others.
const REPLACED: &str = "Architectures";

/// The functions' part of `Globals`, checked.
pub fn read(template: &mut Template) -> Map<String, Value> {
    let root = Path::default().key("Globals");
    for name in template.globals.keys().filter(|name| !TYPES.contains(&name.as_str())) {
        let problem = Problem::of_key(root.key(name), format!("SAM has no Globals for \"{name}\""));
        template.problems.push(problem.suggest(name, TYPES.iter().copied()));
    }
    let path = root.key("Function");
    match template.globals.get("Function") {
        None => Map::new(),
        Some(Value::Object(properties)) => {
            let allowed = || function::properties().filter(|property| !NEVER.contains(property));
            for name in properties.keys().filter(|name| !allowed().any(|property| property == name.as_str())) {
                let problem =
                    Problem::of_key(path.key(name), format!("\"{name}\" cannot be set in Globals for functions"));
                template.problems.push(problem.suggest(name, allowed()));
            }
            properties
                .iter()
                .filter(|(name, _)| allowed().any(|property| property == name.as_str()))
                .map(|(name, value)| (name.clone(), value.clone()))
                .collect()
        }
        Some(_) => {
            template.problems.push(Problem::of_key(path, "Function must be a map"));
            Map::new()
        }
    }
}

/// Gives `resource`, which is at `path`, what `globals` says and it does not refuse.
pub fn merge(template: &mut Template, globals: &Map<String, Value>, resource: &mut Resource, path: &Path) {
    let mut globals = globals.clone();
    match &resource.ignore_globals {
        None => {}
        Some(Value::String(all)) if all == "*" => globals.clear(),
        Some(Value::Array(names)) => {
            for (index, name) in names.iter().enumerate() {
                if name.as_str().and_then(|name| globals.shift_remove(name)).is_none() {
                    let path = path.key("IgnoreGlobals").index(index);
                    template.problems.push(Problem::new(path, "Globals give no such property"));
                }
            }
        }
        Some(_) => {
            let what = "IgnoreGlobals must be \"*\" or a list of properties";
            template.problems.push(Problem::new(path.key("IgnoreGlobals"), what));
        }
    }
    let mut merge = Merge { template };
    let own = std::mem::take(&mut resource.properties);
    let written = Path::default().key("Globals").key("Function");
    resource.properties = merge.maps(&globals, own, &written, &path.key("Properties"), true);
}

struct Merge<'a> {
    template: &'a mut Template,
}

impl Merge<'_> {
    /// `global` (written at `written`) and `own` (at `made`) as one: maps by key, lists one after the other, else `own`.
    fn maps(
        &mut self,
        global: &Map<String, Value>,
        own: Map<String, Value>,
        written: &Path,
        made: &Path,
        top: bool,
    ) -> Map<String, Value> {
        let mut merged = Map::new();
        let mut own = own;
        for (key, value) in global {
            let (written, made) = (written.key(key), made.key(key));
            let value = match own.shift_remove(key) {
                None => {
                    self.template.origins.note(made, written);
                    value.clone()
                }
                Some(own) if top && key == REPLACED => own,
                Some(own) => self.values(value, own, &written, &made),
            };
            merged.insert(key.clone(), value);
        }
        merged.extend(own);
        merged
    }

    fn values(&mut self, global: &Value, own: Value, written: &Path, made: &Path) -> Value {
        if is_call(global) || is_call(&own) {
            return own;
        }
        match (global, own) {
            (Value::Object(global), Value::Object(own)) => Value::Object(self.maps(global, own, written, made, false)),
            (Value::Array(global), Value::Array(own)) => {
                for index in 0..global.len() {
                    self.template.origins.note(made.index(index), written.index(index));
                }
                for index in 0..own.len() {
                    self.template.origins.note(made.index(global.len() + index), made.index(index));
                }
                global.iter().cloned().chain(own).collect()
            }
            (_, own) => own,
        }
    }
}

/// Intrinsic functions are merged like scalars.
fn is_call(value: &Value) -> bool {
    intrinsics::call(value).is_some()
}
