//! Rules about declarations other than resources.

use std::collections::BTreeSet;

use serde_json::Value;

use super::LintContext;
use super::names::names_in;
use crate::core::stack::pattern;
use crate::core::template::LeftOut;
use crate::core::words::{Path, Problem, Step};

/// What the names of secrets end in, in lower case.
const SECRET: &[&str] = &["password", "passwd", "passphrase", "secret", "token", "apikey", "accesskey", "privatekey"];

pub fn visible_secret(context: &LintContext<'_>) -> Vec<Problem> {
    let secret = |name: &str| {
        let name = name.to_lowercase();
        SECRET.iter().any(|word| name.ends_with(word))
    };
    let visible = context.template.parameters.iter().filter(|(name, parameter)| {
        !parameter.no_echo && parameter.type_name == "String" && parameter.allowed_values.is_empty() && secret(name)
    });
    visible
        .map(|(name, _)| {
            let what = format!(
                "{name} looks like a secret, and its value is shown in plans and to everyone who can read the stack"
            );
            Problem::of_key(section("Parameters").key(name), what).help("add \"NoEcho: true\"")
        })
        .collect()
}

pub fn left_out(context: &LintContext<'_>) -> Vec<Problem> {
    let left_out = context.template.left_out.iter();
    left_out.map(|LeftOut { path, what }| Problem::of_key(path.clone(), *what)).collect()
}

pub fn unquoted_answer(context: &LintContext<'_>) -> Vec<Problem> {
    // In other places a boolean may be intended.
    const TEXTS: &[&str] = &["AllowedValues", "Default", "Fn::Equals", "Mappings", "Tags", "Variables"];
    let of_text = |path: &Path| path.0.iter().any(|step| matches!(step, Step::Key(key) if TEXTS.contains(&&**key)));
    let answers = context.template.source.truths().filter(|(path, at_key)| *at_key || of_text(path));
    // An author who omits quotes once omits them everywhere.
    let mut members = BTreeSet::new();
    answers
        .filter(|(path, _)| members.insert(path.0.iter().take(2).cloned().collect::<Vec<_>>()))
        .map(|(path, at_key)| {
            let what = "without quotes this is true or false, not a string";
            let help = "put it in quotes, or write true or false";
            Problem { at_key, ..Problem::new(path, what).help(help) }
        })
        .collect()
}

pub fn unsubstituted(context: &LintContext<'_>) -> Vec<Problem> {
    let mut found = Vec::new();
    for name in ["Resources", "Outputs"] {
        if let Some(section) = context.template.tree.get(name) {
            plain_texts(section, &Path::default().key(name), &mut |path, text| {
                let names = text.split("${").skip(1).filter_map(|rest| Some(rest.split_once('}')?.0));
                let mut meant = names.filter(|name| {
                    let head = name.split('.').next().unwrap_or(name);
                    head.starts_with("AWS::")
                        || context.template.parameters.contains_key(head)
                        || context.template.tree["Resources"].get(head).is_some()
                });
                if let Some(name) = meant.next() {
                    let what = format!("${{{name}}} stands in a text that nothing is put into");
                    found.push(Problem::new(path.clone(), what).help("write !Sub before the text"));
                }
            });
        }
    }
    found
}

/// Calls `found` with each text outside of `Fn::Sub`, descriptions and code.
fn plain_texts<'v>(value: &'v Value, path: &Path, found: &mut impl FnMut(&Path, &'v str)) {
    const OTHERS: &[&str] = &["Description", "Fn::Sub", "InlineCode", "Metadata", "ZipFile"];
    match value {
        Value::String(text) => found(path, text),
        Value::Array(items) => {
            items.iter().enumerate().for_each(|(index, item)| plain_texts(item, &path.index(index), found));
        }
        Value::Object(entries) => {
            for (name, value) in entries.iter().filter(|(name, _)| !OTHERS.contains(&name.as_str())) {
                plain_texts(value, &path.key(name), found);
            }
        }
        _ => {}
    }
}

pub fn unused_parameter(context: &LintContext<'_>) -> Vec<Problem> {
    let used: BTreeSet<&str> = sections(context).flat_map(names_in).collect();
    let unused = context.template.parameters.keys().filter(|name| !used.contains(name.as_str()));
    unused.map(|name| unused_of("parameter", "Parameters", name)).collect()
}

pub fn unchecked_pattern(context: &LintContext<'_>) -> Vec<Problem> {
    let patterns =
        context.template.tree["Parameters"].as_object().into_iter().flatten().filter_map(|(name, parameter)| {
            let pattern = parameter.get("AllowedPattern")?.as_str()?;
            (pattern::whole(pattern).is_none() && pattern::is_of_java(pattern)).then_some((name, pattern))
        });
    let problem = |(name, pattern): (&String, &str)| {
        let path = section("Parameters").key(name).key("AllowedPattern");
        let what = format!("\"{pattern}\" is not checked: wschat cannot read it");
        Problem::new(path, what)
            .help("lookaheads and references back are not read; the rest of the constraints is checked")
    };
    patterns.map(problem).collect()
}

pub fn unused_mapping(context: &LintContext<'_>) -> Vec<Problem> {
    let mut maps = Vec::new();
    for section in sections(context) {
        each_call(section, "Fn::FindInMap", &mut |argument| maps.push(&argument[0]));
    }
    // A map with a computed name may be any map.
    if maps.iter().any(|name| !name.is_string()) {
        return Vec::new();
    }
    let unused = context.template.mappings.keys().filter(|name| !maps.iter().any(|map| *map == name.as_str()));
    unused.map(|name| unused_of("mapping", "Mappings", name)).collect()
}

pub fn unused_condition(context: &LintContext<'_>) -> Vec<Problem> {
    let mut used = BTreeSet::new();
    for section in sections(context) {
        each_call(section, "Fn::If", &mut |argument| used.extend(argument[0].as_str()));
        each_call(section, "Condition", &mut |argument| used.extend(argument.as_str()));
    }
    let unused = context.template.conditions.keys().filter(|name| !used.contains(name.as_str()));
    unused.map(|name| unused_of("condition", "Conditions", name)).collect()
}

fn unused_of(what: &str, section_name: &str, name: &str) -> Problem {
    Problem::of_key(section(section_name).key(name), format!("nothing uses the {what} {name}")).help("remove it")
}

fn section(name: &str) -> Path {
    Path::default().key(name)
}

/// The sections in which names are used, as the user wrote them.
fn sections<'a>(context: &LintContext<'a>) -> impl Iterator<Item = &'a Value> {
    let sections = context.template.tree.as_object().into_iter().flatten();
    sections
        .filter(|(name, _)| !["Parameters", "Mappings", "Metadata"].contains(&name.as_str()))
        .map(|(_, section)| section)
}

/// Calls `found` with every value under `key`, at any depth.
fn each_call<'v>(value: &'v Value, key: &str, found: &mut impl FnMut(&'v Value)) {
    match value {
        Value::Array(items) => items.iter().for_each(|item| each_call(item, key, found)),
        Value::Object(entries) => {
            for (name, value) in entries {
                if name == key {
                    found(value);
                }
                each_call(value, key, found);
            }
        }
        _ => {}
    }
}
