//! References to resources that a template does not have yet: what they give stands in their place.

use std::collections::BTreeSet;

use serde_json::{Map, Value};

/// `value` without references to the resources that are `gone`. What they gave is what `known` says of a logical id and an
/// attribute (`Ref` for what `Ref` gives); `lacking` gets those that are not known.
pub fn without(
    value: &Value,
    gone: &BTreeSet<&str>,
    known: &dyn Fn(&str, &str) -> Option<String>,
    lacking: &mut BTreeSet<String>,
) -> Value {
    let mut of = |id: &str, attribute: &str| {
        known(id, attribute).unwrap_or_else(|| {
            lacking.insert(if attribute == "Ref" { id.to_owned() } else { format!("{id}.{attribute}") });
            String::new()
        })
    };
    match value {
        Value::Object(members) if members.len() == 1 => {
            match members.iter().next().map(|(name, argument)| (name.as_str(), argument)) {
                Some(("Ref", Value::String(id))) if gone.contains(id.as_str()) => return of(id, "Ref").into(),
                Some(("Fn::GetAtt", argument)) => {
                    if let Some((id, attribute)) = attribute(argument).filter(|(id, _)| gone.contains(id.as_str())) {
                        return of(&id, &attribute).into();
                    }
                }
                Some(("Fn::Sub", Value::String(text))) => {
                    return Value::Object(one("Fn::Sub", filled(text, gone, &BTreeSet::new(), &mut of).into()));
                }
                Some(("Fn::Sub", Value::Array(arguments))) => {
                    if let [Value::String(text), Value::Object(own)] = arguments.as_slice() {
                        let own_names = own.keys().map(String::as_str).collect();
                        let text = filled(text, gone, &own_names, &mut of);
                        let own = without(&Value::Object(own.clone()), gone, known, lacking);
                        return Value::Object(one("Fn::Sub", vec![text.into(), own].into()));
                    }
                }
                _ => {}
            }
            members
                .iter()
                .map(|(name, member)| (name.clone(), without(member, gone, known, lacking)))
                .collect::<Map<_, _>>()
                .into()
        }
        Value::Object(members) => members
            .iter()
            .map(|(name, member)| (name.clone(), without(member, gone, known, lacking)))
            .collect::<Map<_, _>>()
            .into(),
        Value::Array(items) => items.iter().map(|item| without(item, gone, known, lacking)).collect::<Vec<_>>().into(),
        other => other.clone(),
    }
}

fn one(name: &str, value: Value) -> Map<String, Value> {
    Map::from_iter([(name.to_owned(), value)])
}

/// The logical id and the attribute of `Fn::GetAtt`.
fn attribute(argument: &Value) -> Option<(String, String)> {
    match argument {
        Value::String(text) => text.split_once('.').map(|(id, attribute)| (id.to_owned(), attribute.to_owned())),
        Value::Array(parts) => match parts.as_slice() {
            [Value::String(id), Value::String(attribute)] => Some((id.clone(), attribute.clone())),
            _ => None,
        },
        _ => None,
    }
}

/// The text of `Fn::Sub` with what is `gone` filled in; `own` are names that the function itself gives values to.
fn filled(text: &str, gone: &BTreeSet<&str>, own: &BTreeSet<&str>, of: &mut dyn FnMut(&str, &str) -> String) -> String {
    let mut parts = text.split("${");
    let mut out = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        let (name, after) = part.split_once('}').map_or((None, part), |(name, after)| (Some(name), after));
        let reference = name.map(|name| name.split_once('.').unwrap_or((name, "Ref")));
        match reference.filter(|(id, _)| gone.contains(id) && !own.contains(id)) {
            Some((id, attribute)) => {
                out.push_str(&of(id, attribute));
                out.push_str(after);
            }
            None => {
                out.push_str("${");
                out.push_str(part);
            }
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn references_to_what_is_gone_become_what_they_gave() {
        let known = |id: &str, attribute: &str| (id != "Nothing").then(|| format!("{id}/{attribute}"));
        let gone = BTreeSet::from(["A", "Nothing"]);
        for (value, expected, unknown) in [
            (json!({"Ref": "A"}), json!("A/Ref"), None),
            (json!({"Ref": "B"}), json!({"Ref": "B"}), None),
            (json!([{"Fn::GetAtt": ["A", "Arn"]}, {"Fn::GetAtt": "A.X.Y"}]), json!(["A/Arn", "A/X.Y"]), None),
            (json!({"Fn::Sub": "a ${A} ${B} ${!A} ${A.Arn}-"}), json!({"Fn::Sub": "a A/Ref ${B} ${!A} A/Arn-"}), None),
            (
                json!({"Fn::Sub": ["${A}${C}", {"A": "own", "C": {"Ref": "A"}}]}),
                json!({"Fn::Sub": ["${A}${C}", {"A": "own", "C": "A/Ref"}]}),
                None,
            ),
            (json!({"X": {"Ref": "Nothing"}}), json!({"X": ""}), Some("Nothing")),
            (json!({"Fn::GetAtt": ["Nothing", "Arn"]}), json!(""), Some("Nothing.Arn")),
            (json!({"Fn::Sub": "${"}), json!({"Fn::Sub": "${"}), None),
        ] {
            let mut lacking = BTreeSet::new();
            assert_eq!(without(&value, &gone, &known, &mut lacking), expected, "{value}");
            assert_eq!(lacking.iter().map(String::as_str).collect::<Vec<_>>(), unknown.into_iter().collect::<Vec<_>>());
        }
    }
}
