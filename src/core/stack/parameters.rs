//! The values of a template's parameters: given or default, checked against the template's constraints.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use super::Secrets;
use super::lookups::{self, Lookup, Lookups};
use super::pattern;
use crate::core::template::{Parameter, Template};
use crate::core::words::{Path, Problem, ProblemKind};

/// Parameter values, as `Ref` gives them: text, or a list of texts.
#[derive(Debug, Default)]
pub struct Parameters {
    pub values: BTreeMap<String, Value>,
    /// The secrets among the values.
    pub secrets: Secrets,
    /// What is looked up for the others.
    pub looked_up: BTreeSet<Lookup>,
    /// What of it is not known yet.
    pub lacking: BTreeSet<Lookup>,
}

impl Parameters {
    /// Whether the parameter `name` is a secret.
    pub fn is_secret(template: &Template, name: &str) -> bool {
        template.parameters.get(name).is_some_and(hides)
    }
}

fn hides(parameter: &Parameter) -> bool {
    parameter.no_echo && !parameter.made_up
}

/// The values of `NoEcho` parameters, given and default, valid or not.
pub fn secrets(template: &Template, given: &BTreeMap<String, String>) -> Secrets {
    let mut secrets = Secrets::default();
    // Of a value that SSM has, the name is given.
    let hidden =
        template.parameters.iter().filter(|(name, parameter)| hides(parameter) && looked_up(name, parameter).is_none());
    for (name, parameter) in hidden {
        let default = parameter.default.as_ref().map(|default| match default {
            Value::String(text) => text.clone(),
            other => other.to_string(),
        });
        for text in [given.get(name).cloned(), default].into_iter().flatten() {
            if parameter.type_name.contains("List") {
                secrets.add(&text.split(',').map(str::trim).collect());
            }
            secrets.add(&text.into());
        }
    }
    secrets
}

/// The values of `template`'s parameters where the user gave `given`; adds problems to `problems`.
///
/// A parameter of a type `AWS::SSM::Parameter::Value<…>` has the value that SSM has under the given name.
pub fn read(
    template: &Template,
    given: &BTreeMap<String, String>,
    lookups: &Lookups,
    problems: &mut Vec<Problem>,
) -> Parameters {
    let mut parameters = Parameters { secrets: secrets(template, given), ..Parameters::default() };
    for name in given.keys().filter(|name| !template.parameters.contains_key(*name) && !template.is_broken(name)) {
        let problem =
            Problem::of_text(None, format!("the template has no parameter \"{name}\"")).kind(ProblemKind::Unknown);
        let problem = problem.suggest(name, template.parameters.keys().map(String::as_str));
        let known: Vec<&str> = template.parameters.keys().map(String::as_str).collect();
        let known = if known.is_empty() { "it has none".to_owned() } else { format!("it has: {}", known.join(", ")) };
        let help = problem.help.clone().unwrap_or(known);
        problems.push(problem.help(help));
    }
    for (name, parameter) in &template.parameters {
        let path = Path::default().key("Parameters").key(name);
        let checked = Checked { name, parameter, path };
        let value = match checked.value(given.get(name)) {
            Ok(value) => value,
            Err(problem) => {
                problems.push(*problem);
                continue;
            }
        };
        let Some(inner) = looked_up(name, parameter) else {
            parameters.values.insert(name.clone(), value);
            continue;
        };
        let lookup = Lookup::Parameter { name: value.as_str().unwrap_or_default().to_owned(), secure: false };
        parameters.looked_up.insert(lookup.clone());
        match lookups.get(&lookup) {
            Some(Ok(found)) => {
                let value = if is_list(inner) { list(found) } else { found.as_str().into() };
                if hides(parameter) {
                    parameters.secrets.add(&value);
                }
                parameters.values.insert(name.clone(), value);
            }
            Some(Err(missing)) => problems.push(lookups::problem(checked.path.clone(), missing)),
            None => drop(parameters.lacking.insert(lookup)),
        }
    }
    parameters
}

/// Whether a parameter of this type is a list of texts.
fn is_list(type_name: &str) -> bool {
    type_name == "CommaDelimitedList" || type_name.starts_with("List<")
}

/// A list as it is written in one text.
fn list(text: &str) -> Value {
    if text.is_empty() { Value::Array(Vec::new()) } else { text.split(',').map(str::trim).collect() }
}

/// The type of the value that SSM has for a parameter; `None` for one that is not looked up.
pub fn looked_up<'p>(name: &str, parameter: &'p Parameter) -> Option<&'p str> {
    let stored = parameter.type_name.strip_prefix("AWS::SSM::Parameter::Value<")?.strip_suffix('>');
    stored.filter(|_| !is_bootstrap_version(name, parameter))
}

/// Whether it is the version of the CDK's bootstrap stack, which a rule of its templates requires: wschat needs no such stack.
fn is_bootstrap_version(name: &str, parameter: &Parameter) -> bool {
    let default = parameter.default.as_ref().and_then(Value::as_str);
    name == "BootstrapVersion" && default.is_some_and(|default| default.starts_with("/cdk-bootstrap/"))
}

struct Checked<'a> {
    name: &'a str,
    parameter: &'a Parameter,
    path: Path,
}

impl Checked<'_> {
    fn value(&self, given: Option<&String>) -> Result<Value, Box<Problem>> {
        let list = self.is_list()?;
        let text = match (given, &self.parameter.default) {
            (Some(given), _) => given.clone(),
            (None, Some(Value::String(text))) => text.clone(),
            (None, Some(scalar @ (Value::Number(_) | Value::Bool(_)))) => scalar.to_string(),
            (None, Some(_)) => {
                // CloudFormation's message.
                let what = "Every Default member must be a string.";
                return Err(Box::new(Problem::new(self.path.key("Default"), what).kind(ProblemKind::IllTyped)));
            }
            (None, None) => {
                let problem = Problem::of_key(self.path.clone(), format!("the parameter {} has no value", self.name))
                    .kind(ProblemKind::Missing);
                return Err(Box::new(problem.help(format!("give it: --parameter {}=VALUE", self.name))));
            }
        };
        let texts: Vec<&str> = match (list, text.is_empty()) {
            (true, true) => Vec::new(),
            (true, false) => text.split(',').map(str::trim).collect(),
            (false, _) => vec![&text],
        };
        for text in &texts {
            self.check(text)?;
        }
        Ok(if list { Value::from(texts) } else { Value::from(text.as_str()) })
    }

    /// Whether the parameter is a list of texts.
    fn is_list(&self) -> Result<bool, Box<Problem>> {
        match self.parameter.type_name.as_str() {
            "String" | "Number" => Ok(false),
            "CommaDelimitedList" => Ok(true),
            list if list.starts_with("List<") && list.ends_with('>') => Ok(true),
            _ if is_bootstrap_version(self.name, self.parameter) => Ok(false),
            // Ids of existing resources (`AWS::EC2::VPC::Id`): AWS will check that they exist; names of SSM's parameters.
            id if id.starts_with("AWS::") => Ok(false),
            unknown => {
                let problem = Problem::new(self.path.key("Type"), format!("unknown parameter type \"{unknown}\""))
                    .kind(ProblemKind::Unknown);
                Err(Box::new(problem.suggest(unknown, ["String", "Number", "CommaDelimitedList", "List<Number>"])))
            }
        }
    }

    fn check(&self, text: &str) -> Result<(), Box<Problem>> {
        let parameter = self.parameter;
        if !parameter.allowed_values.is_empty() && !parameter.allowed_values.iter().any(|allowed| allowed == text) {
            return Err(self.refuse(&format!("must be one of {}", parameter.allowed_values.join(", ")), text));
        }
        if matches!(parameter.type_name.as_str(), "Number" | "List<Number>") {
            let Some(number) = text.parse::<f64>().ok().filter(|number| number.is_finite()) else {
                return Err(self.refuse("must be a number", text));
            };
            if let Some(least) = parameter.min_value.filter(|least| number < *least) {
                return Err(self.refuse(&format!("must be at least {least}"), text));
            }
            if let Some(most) = parameter.max_value.filter(|most| number > *most) {
                return Err(self.refuse(&format!("must be at most {most}"), text));
            }
        }
        let length = text.chars().count();
        if let Some(least) = parameter.min_length.filter(|least| length < *least) {
            return Err(self.refuse(&format!("must have at least {least} characters"), text));
        }
        if let Some(most) = parameter.max_length.filter(|most| length > *most) {
            return Err(self.refuse(&format!("must have at most {most} characters"), text));
        }
        if let Some(pattern) = &parameter.allowed_pattern {
            match pattern::whole(pattern) {
                Some(regex) if !regex.is_match(text) => {
                    return Err(self.refuse(&format!("must match {pattern}"), text));
                }
                None if !pattern::is_of_java(pattern) => {
                    let what = format!("AllowedPattern \"{pattern}\" is not a regular expression");
                    return Err(Box::new(Problem::new(self.path.key("AllowedPattern"), what)));
                }
                // One that only Java reads is not checked; the linter warns of it.
                _ => {}
            }
        }
        Ok(())
    }

    fn refuse(&self, rule: &str, text: &str) -> Box<Problem> {
        let not = if self.parameter.no_echo { String::new() } else { format!(", not \"{text}\"") };
        let problem = Problem::of_key(self.path.clone(), format!("the parameter {} {rule}{not}", self.name));
        Box::new(match &self.parameter.constraint_description {
            Some(description) => problem.help(description.clone()),
            None => problem,
        })
    }
}
