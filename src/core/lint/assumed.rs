//! Assumed values, so that a template can be checked offline: for parameters without values, and for the account.

use std::collections::BTreeMap;

use serde_json::Value;

use super::names::names_in;
use crate::core::stack::{looked_up, pattern};
use crate::core::template::{Parameter, Template};
use crate::core::words::{Path, Problem, ProblemKind, Scope, Step};

/// Made-up values, by the names of parameters and pseudo parameters.
#[derive(Debug, Default)]
pub struct Assumed(BTreeMap<String, String>);

impl Assumed {
    /// Sets a default within its constraints for every parameter of `template` that has neither a default nor a value
    /// among `given`; and makes up an account.
    pub fn make(template: &mut Template, given: &BTreeMap<String, String>) -> (Self, Scope) {
        let scope = Scope {
            stack: "stack".to_owned(),
            account: "000000000000".to_owned(),
            region: "us-east-1".to_owned(),
            partition: "aws".to_owned(),
        };
        let mut values: BTreeMap<String, String> =
            [("AWS::AccountId", &scope.account), ("AWS::Region", &scope.region), ("AWS::Partition", &scope.partition)]
                .map(|(name, value)| (name.to_owned(), value.clone()))
                .into();
        for (name, parameter) in &mut template.parameters {
            if let Some(type_name) = looked_up(name, parameter).map(str::to_owned) {
                // What is given is the name of the value in SSM, and what the template demands is demanded of that.
                let (description, no_echo) = (parameter.description.take(), parameter.no_echo);
                *parameter = Parameter { description, no_echo, ..Parameter::of_type(type_name) };
                if let Some(given) = given.get(name) {
                    values.insert(name.clone(), given.clone());
                }
            }
            if parameter.default.is_none() && !given.contains_key(name) {
                let value = made_up_value(name, parameter);
                if !fits(parameter, &value) {
                    // The real value is unknown, so it is not checked.
                    parameter.allowed_pattern = None;
                }
                parameter.default = Some(Value::from(value.as_str()));
                parameter.made_up = true;
                values.insert(name.clone(), value);
            }
        }
        // A rule's result means nothing with made-up values.
        let made_up = |value: &Value| names_in(value).into_iter().any(|name| values.contains_key(name));
        template.rules.retain(|_, rule| {
            let condition = rule.rule_condition.iter();
            !condition.chain(rule.assertions.iter().map(|assertion| &assertion.assert)).any(made_up)
        });
        (Self(values), scope)
    }

    /// Whether a problem of the user's `template` may be caused by made-up values alone.
    pub fn explain(&self, template: &Template, problem: &Problem) -> bool {
        let made_up = |value: &Value| names_in(value).into_iter().any(|name| self.0.contains_key(name));
        // With other values, the condition may hold.
        if problem.kind == ProblemKind::ConditionFalse {
            return template.conditions.values().any(made_up);
        }
        let at = |path: &[Step]| {
            path.iter().try_fold(&template.tree, |value, step| match step {
                Step::Key(key) => value.get(key),
                Step::Index(index) => value.get(*index),
            })
        };
        // An element of a list that a parameter gives is not in the template, but the list's name is.
        let value_or_list = |path: &Path| {
            let list = || path.0.split_last().filter(|(last, _)| matches!(last, Step::Index(_))).map(|(_, list)| list);
            at(&path.0).or_else(|| at(list()?))
        };
        // For such problems, all regions and accounts are alike.
        let from_parameter = |name: &&str| self.0.contains_key(*name) && !name.starts_with("AWS::");
        if !problem.depends_on_values.is_empty() {
            let mut values = problem.depends_on_values.iter().filter_map(value_or_list);
            return values.any(|value| names_in(value).iter().any(from_parameter));
        }
        if problem.at_key {
            return false;
        }
        let names = value_or_list(&problem.path).map(names_in).unwrap_or_default();
        // A sentence about a wrong value quotes it.
        names.iter().any(|name| self.0.get(*name).is_some_and(|value| problem.what.contains(value.as_str())))
    }
}

/// A value for a parameter.
fn made_up_value(name: &str, parameter: &Parameter) -> String {
    if let Some(first) = parameter.allowed_values.first() {
        return first.clone();
    }
    if matches!(parameter.type_name.as_str(), "Number" | "List<Number>") {
        let least = parameter.min_value.unwrap_or(1.0);
        return parameter.max_value.map_or(least, |most| most.min(least)).to_string();
    }
    let candidates = [
        name.to_owned(),
        name.to_lowercase(),
        "1234567890".to_owned(),
        "123456789012".to_owned(),
        "example.com".to_owned(),
        "name@example.com".to_owned(),
        "https://example.com".to_owned(),
        "10.0.0.0/16".to_owned(),
        "10.0.0.1".to_owned(),
        "2030-01-01".to_owned(),
        "00000000-0000-0000-0000-000000000000".to_owned(),
        "arn:aws:iam::000000000000:role/name".to_owned(),
        "Abcdef1!".to_owned(),
    ];
    let shaped: Vec<String> = candidates.iter().map(|text| shape(text, parameter)).collect();
    shaped.iter().find(|text| fits(parameter, text)).unwrap_or(&shaped[0]).clone()
}

/// `text`, repeated or cut to the length that the parameter allows.
fn shape(text: &str, parameter: &Parameter) -> String {
    let most = parameter.max_length.unwrap_or(usize::MAX);
    let least = parameter.min_length.unwrap_or(0).min(most);
    // A template may require a text that fills the memory.
    text.chars().cycle().take(text.chars().count().clamp(least.min(4096), most.max(least))).collect()
}

fn fits(parameter: &Parameter, text: &str) -> bool {
    let pattern = parameter.allowed_pattern.as_ref();
    // One that cannot be read is not checked.
    pattern.and_then(|pattern| pattern::whole(pattern)).is_none_or(|regex| regex.is_match(text))
}
