//! `Globals`: properties for all resources of a type, merged into each as SAM merges them.

use std::collections::BTreeMap;

use serde_json::{Map, Value};

use super::super::{Resource, Template, intrinsics};
use super::shape::truthy;
use super::{PREFIX, TYPES, Type};
use crate::core::words::{Path, Problem};

/// The sections that SAM has. Those for types that are refused cannot have an effect.
const SECTIONS: &[&str] = &[
    "Api",
    "CapacityProvider",
    "Function",
    "HttpApi",
    "LayerVersion",
    "MicrovmImage",
    "NetworkConnector",
    "SimpleTable",
    "StateMachine",
    "WebSocketApi",
];

/// The only list that a resource's own value replaces; SAM appends to all others.
const REPLACED: &str = "Architectures";

/// The most bytes, as JSON, that `Globals` may add up to in all the resources that get them: many times what a template
/// needs, and small enough for memory.
const MAX_SIZE: usize = 16 * 1_048_576;

/// The values in `Globals`, by type and property.
pub type Globals = BTreeMap<&'static str, Map<String, Value>>;

/// Reads and checks the sections of types that are expanded.
pub fn read(template: &mut Template) -> Globals {
    let root = Path::default().key("Globals");
    for name in template.globals.keys().filter(|name| !SECTIONS.contains(&name.as_str())) {
        let problem = Problem::of_key(root.key(name), format!("SAM has no Globals for \"{name}\""));
        template.problems.push(problem.suggest(name, SECTIONS.iter().copied()));
    }
    let mut globals = Globals::new();
    for known in TYPES {
        let section = section(known);
        let Some(given) = template.globals.get(section) else { continue };
        let path = root.key(section);
        let Value::Object(given) = given else {
            template.problems.push(Problem::of_key(path, format!("{section} must be a map")));
            continue;
        };
        let allowed = || known.properties.iter().filter(|property| property.global).map(|property| property.name);
        for name in given.keys().filter(|name| !allowed().any(|property| property == name.as_str())) {
            let what = format!("\"{name}\" cannot be set in Globals for {section}");
            template.problems.push(Problem::of_key(path.key(name), what).suggest(name, allowed()));
        }
        let resources = template.resources.values().filter(|resource| resource.type_name == known.name).count();
        if section_size(given).saturating_mul(resources) > MAX_SIZE {
            let what = format!("Globals for {section} are too large to be repeated in {resources} resources");
            template.problems.push(Problem::of_key(path, what));
            continue;
        }
        let taken = given.iter().filter(|(name, _)| allowed().any(|property| property == name.as_str()));
        globals.insert(known.name, taken.map(|(name, value)| (name.clone(), value.clone())).collect());
    }
    globals
}

/// The length of a section as JSON.
fn section_size(section: &Map<String, Value>) -> usize {
    section.iter().map(|(name, value)| name.len() + value.to_string().len()).sum()
}

/// The name of a type's section: without SAM's prefix.
fn section(known: &Type) -> &'static str {
    known.name.trim_start_matches(PREFIX)
}

/// Merges `globals` of its type into `resource`, which is at `path`, unless it ignores them.
pub fn merge(template: &mut Template, known: &Type, globals: &Globals, resource: &mut Resource, path: &Path) {
    let Some(mut globals) = globals.get(known.name).cloned() else { return };
    let place = path.key("IgnoreGlobals");
    match resource.ignore_globals.as_ref().filter(|ignored| truthy(ignored)) {
        None => {}
        Some(Value::String(all)) if all == "*" => globals.clear(),
        Some(Value::Array(names)) => {
            for (index, name) in names.iter().enumerate() {
                if name.as_str().and_then(|name| globals.shift_remove(name)).is_none() {
                    template.problems.push(Problem::new(place.index(index), "Globals give no such property"));
                }
            }
        }
        Some(_) => {
            let what = "IgnoreGlobals must be \"*\" or a list of properties";
            template.problems.push(Problem::new(place, what));
        }
    }
    let mut merge = Merge { template };
    let own = std::mem::take(&mut resource.properties);
    let written = Path::default().key("Globals").key(section(known));
    resource.properties = merge.maps(&globals, own, &written, &path.key("Properties"), true);
}

struct Merge<'a> {
    template: &'a mut Template,
}

impl Merge<'_> {
    /// Merges `global` (written at `written`) and `own` (at `made`): maps by key, lists one after the other; any other
    /// `own` value wins.
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

/// Intrinsic functions are merged like scalars, and so is what the translator mistakes for one.
fn is_call(value: &Value) -> bool {
    let condition = |entries: &Map<String, Value>| entries.len() == 1 && entries.contains_key("Condition");
    intrinsics::call(value).is_some() || value.as_object().is_some_and(condition)
}
