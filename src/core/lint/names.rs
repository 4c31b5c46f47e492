//! The names that values refer to, without evaluating them.

use std::collections::BTreeSet;

use serde_json::Value;

use crate::core::template::intrinsics;

/// The resources, parameters and pseudo parameters that `value` refers to, including branches not taken.
pub fn names_in(value: &Value) -> BTreeSet<&str> {
    let mut names = BTreeSet::new();
    collect(value, &mut names);
    names
}

fn collect<'v>(value: &'v Value, names: &mut BTreeSet<&'v str>) {
    match (intrinsics::call(value), value) {
        (Some(("Ref", Value::String(name))), _) => {
            names.insert(name);
        }
        (Some(("Fn::GetAtt", Value::String(both))), _) => {
            names.insert(before_dot(both));
        }
        (Some(("Fn::GetAtt", Value::Array(parts))), _) => {
            names.extend(parts.first().and_then(Value::as_str));
            parts.iter().skip(1).for_each(|part| collect(part, names));
        }
        (Some(("Fn::Sub", argument)), _) => {
            let text = argument.as_str().or_else(|| argument.get(0)?.as_str());
            let own = argument.get(1);
            let variables = text.into_iter().flat_map(|text| text.split("${").skip(1));
            let variables = variables.filter_map(|rest| Some(rest.split_once('}')?.0.trim()));
            let from_outside = variables.filter(|name| own.is_none_or(|own| own.get(*name).is_none()));
            names.extend(from_outside.map(before_dot));
            if let Some(own) = own {
                collect(own, names);
            }
        }
        (_, Value::Array(items)) => items.iter().for_each(|item| collect(item, names)),
        (_, Value::Object(entries)) => entries.values().for_each(|value| collect(value, names)),
        _ => {}
    }
}

fn before_dot(name: &str) -> &str {
    name.split('.').next().unwrap_or(name)
}
