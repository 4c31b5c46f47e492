//! SAM's policy templates: named statements with parameters.

use serde_json::{Map, Value, json};

const TEMPLATES: &str = include_str!("policy_templates.txt");

/// One policy template.
#[derive(Debug, Clone, Copy)]
pub struct PolicyTemplate {
    pub name: &'static str,
    /// Separated by spaces.
    parameters: &'static str,
    /// From the line after its name to the end of the data.
    rest: &'static str,
}

/// All policy templates.
pub fn all() -> impl Iterator<Item = PolicyTemplate> {
    let begins = |line: &str| line.starts_with(|first: char| first.is_ascii_alphabetic());
    let mut rest = TEMPLATES;
    std::iter::from_fn(move || {
        loop {
            let (line, after) = rest.split_once('\n')?;
            rest = after;
            if begins(line) {
                let (name, parameters) = line.split_once(' ').unwrap_or((line, ""));
                return Some(PolicyTemplate { name, parameters, rest });
            }
        }
    })
}

/// The policy template `name`.
pub fn find(name: &str) -> Option<PolicyTemplate> {
    all().find(|template| template.name == name)
}

impl PolicyTemplate {
    pub fn parameters(self) -> impl Iterator<Item = &'static str> {
        self.parameters.split_whitespace()
    }

    /// The policy document, with `values` for the parameters.
    pub fn document(self, values: &Map<String, Value>) -> Value {
        let mut statements: Vec<Value> = Vec::new();
        for line in self.rest.lines() {
            let Some((word, rest)) = line.strip_prefix("  ").and_then(|line| line.split_once(' ')) else { break };
            match word {
                "allow" => statements.push(json!({ "Effect": "Allow", "Action": list(rest, |action| action.into()) })),
                _ => {
                    let Some(statement) = statements.last_mut() else { break };
                    if word == "on" {
                        statement["Resource"] = list(rest, |resource| self.text(resource, values));
                    } else {
                        let mut parts = rest.splitn(3, ' ');
                        let (Some(operator), Some(key), Some(value)) = (parts.next(), parts.next(), parts.next())
                        else {
                            break;
                        };
                        statement["Condition"] = json!({ operator: { key: self.text(value, values) } });
                    }
                }
            }
        }
        json!({ "Statement": statements })
    }

    /// `text` as `Fn::Sub`, if it contains parameters.
    fn text(self, text: &str, values: &Map<String, Value>) -> Value {
        let names = text.split("${").skip(1).filter_map(|after| Some(after.split_once('}')?.0));
        let variables: Map<String, Value> = names
            .filter_map(|name| {
                let parameter = self.parameters().find(|parameter| parameter.eq_ignore_ascii_case(name))?;
                Some((name.to_owned(), values.get(parameter)?.clone()))
            })
            .collect();
        match text.contains("${") {
            false => text.into(),
            true if variables.is_empty() => json!({ "Fn::Sub": text }),
            true => json!({ "Fn::Sub": [text, variables] }),
        }
    }
}

/// `[a b]` as a list, `a` as itself.
fn list(text: &'static str, value: impl Fn(&'static str) -> Value) -> Value {
    match text.strip_prefix('[').and_then(|text| text.strip_suffix(']')) {
        Some(items) => items.split(' ').map(value).collect(),
        None => value(text),
    }
}
