//! The values of a template's parameters: given or default, checked against the template's constraints.

use std::collections::BTreeMap;

use regex_lite::Regex;
use serde_json::Value;

use super::Secrets;
use crate::core::template::{Parameter, Template};
use crate::core::words::{Path, Problem, ProblemKind};

/// Parameter values, as `Ref` gives them: text, or a list of texts.
#[derive(Debug, Default)]
pub struct Parameters {
    pub values: BTreeMap<String, Value>,
    /// The secrets among the values.
    pub secrets: Secrets,
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
    for (name, parameter) in template.parameters.iter().filter(|(_, parameter)| hides(parameter)) {
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
pub fn read(template: &Template, given: &BTreeMap<String, String>, problems: &mut Vec<Problem>) -> Parameters {
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
        match checked.value(given.get(name)) {
            Ok(value) => {
                parameters.values.insert(name.clone(), value);
            }
            Err(problem) => problems.push(*problem),
        }
    }
    parameters
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
            // The version of the CDK's bootstrap stack, which a rule of its templates requires: wschat needs no such
            // stack.
            _ if self.is_bootstrap_version() => Ok(false),
            stored if stored.starts_with("AWS::SSM::Parameter::Value<") => {
                let what = format!(
                    "a parameter of type {stored} is looked up inside CloudFormation, which wschat does not use"
                );
                let problem = Problem::new(self.path.key("Type"), what).kind(ProblemKind::Unsupported);
                let help = format!("make it a String, and give its value: --parameter {}=VALUE", self.name);
                Err(Box::new(problem.help(help)))
            }
            // Ids of existing resources (`AWS::EC2::VPC::Id`): AWS will check that they exist.
            id if id.starts_with("AWS::") => Ok(false),
            unknown => {
                let problem = Problem::new(self.path.key("Type"), format!("unknown parameter type \"{unknown}\""))
                    .kind(ProblemKind::Unknown);
                Err(Box::new(problem.suggest(unknown, ["String", "Number", "CommaDelimitedList", "List<Number>"])))
            }
        }
    }

    fn is_bootstrap_version(&self) -> bool {
        let default = self.parameter.default.as_ref().and_then(Value::as_str);
        self.name == "BootstrapVersion" && default.is_some_and(|default| default.starts_with("/cdk-bootstrap/"))
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
            // The whole value must match.
            let Ok(regex) = Regex::new(&format!("^(?:{pattern})$")) else {
                let what = format!("AllowedPattern \"{pattern}\" is not a regular expression that wschat can read");
                return Err(Box::new(Problem::new(self.path.key("AllowedPattern"), what)));
            };
            if !regex.is_match(text) {
                return Err(self.refuse(&format!("must match {pattern}"), text));
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
