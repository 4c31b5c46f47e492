//! The functions of a template: what a value is, once the resources that it names are there. (CloudFormation's template reference,
//! "Intrinsic functions", "Pseudo parameters".)

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Map, Value, json};

use crate::local::context::ACCOUNT;

/// What stands for a value that only exists once the changes of a change set are made (API reference, `ResourceChangeDetail`).
pub const KNOWN_AFTER_APPLY: &str = "{{changeSet:KNOWN_AFTER_APPLY}}";

/// The zones that the local cloud says a region has.
const ZONES: [&str; 3] = ["a", "b", "c"];

/// What a resource gives to others.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Attributes {
    /// The value of `Ref`.
    pub reference: String,
    /// The values of `Fn::GetAtt`.
    pub values: Map<String, Value>,
}

/// What names in a template stand for.
pub struct Scope<'a> {
    pub processed: &'a Value,
    pub region: &'a str,
    pub stack_name: &'a str,
    pub stack_id: &'a str,
    pub notification_arns: &'a [String],
    pub parameters: &'a BTreeMap<String, String>,
    pub exports: &'a BTreeMap<String, String>,
    /// The resources that exist.
    pub resources: &'a BTreeMap<String, Attributes>,
    /// Whether what does not exist yet has [`KNOWN_AFTER_APPLY`] for a value.
    pub is_preview: bool,
    /// The exports that were used.
    pub imported: RefCell<BTreeSet<String>>,
}

/// A value, or why it has none, in CloudFormation's words.
type Evaluated = Result<Value, String>;

impl Scope<'_> {
    /// A value with its functions evaluated. What is `AWS::NoValue` is left out.
    ///
    /// # Errors
    /// A name that means nothing, a function with arguments that it does not take.
    pub fn evaluate(&self, value: &Value) -> Evaluated {
        match value {
            Value::Array(items) => {
                let items = items.iter().filter(|item| !is_no_value(item)).map(|item| self.evaluate(item));
                let items: Vec<Value> = items.collect::<Result<_, _>>()?;
                Ok(items.into_iter().filter(|item| !is_no_value(item)).collect())
            }
            Value::Object(members) => {
                if let Some((name, argument)) = function(members) {
                    return self.apply(name, argument);
                }
                let mut all = Map::new();
                for (name, member) in members {
                    let member = self.evaluate(member)?;
                    if !is_no_value(&member) {
                        all.insert(name.clone(), member);
                    }
                }
                Ok(all.into())
            }
            plain => Ok(plain.clone()),
        }
    }

    /// A value as text.
    ///
    /// # Errors
    /// As [`Scope::evaluate`], and for what is not a text.
    pub fn text(&self, value: &Value) -> Result<String, String> {
        match self.evaluate(value)? {
            Value::String(text) => Ok(text),
            plain @ (Value::Number(_) | Value::Bool(_)) => Ok(plain.to_string()),
            other => Err(format!("Template error: every value must be a string, and this is none: {other}")),
        }
    }

    /// Whether the condition of a resource or an output holds.
    ///
    /// # Errors
    /// As [`Scope::condition`].
    pub fn applies(&self, declared: &Value) -> Result<bool, String> {
        declared["Condition"].as_str().map_or(Ok(true), |name| self.condition(name))
    }

    /// Whether a condition holds.
    ///
    /// # Errors
    /// A condition that is not there, or one of something that is none.
    pub fn condition(&self, name: &str) -> Result<bool, String> {
        match &self.processed["Conditions"][name] {
            Value::Null => Err(format!("Template format error: Unresolved condition dependency {name}")),
            condition => self.truth(condition),
        }
    }

    fn truth(&self, value: &Value) -> Result<bool, String> {
        let arguments = |argument: &Value| argument.as_array().cloned().unwrap_or_default();
        let found = value.as_object().and_then(|members| members.iter().next());
        match found.map(|(name, argument)| (name.as_str(), argument)) {
            Some(("Condition", Value::String(name))) => self.condition(name),
            Some(("Fn::Equals", argument)) => match &arguments(argument)[..] {
                [one, other] => Ok(self.evaluate(one)? == self.evaluate(other)?),
                _ => Err("Template error: Fn::Equals takes a list of two values".to_owned()),
            },
            Some(("Fn::Not", argument)) => match &arguments(argument)[..] {
                [one] => Ok(!self.truth(one)?),
                _ => Err("Template error: Fn::Not takes a list of one condition".to_owned()),
            },
            Some(("Fn::And", argument)) => {
                arguments(argument).iter().try_fold(true, |all, one| Ok(self.truth(one)? && all))
            }
            Some(("Fn::Or", argument)) => {
                arguments(argument).iter().try_fold(false, |any, one| Ok(self.truth(one)? || any))
            }
            _ => match self.evaluate(value)? {
                Value::Bool(truth) => Ok(truth),
                Value::String(text) if text == "true" || text == "false" => Ok(text == "true"),
                other => Err(format!("Template error: {other} is not a condition")),
            },
        }
    }

    fn apply(&self, name: &str, argument: &Value) -> Evaluated {
        match name {
            "Ref" => self.reference(argument.as_str().unwrap_or_default()),
            "Fn::GetAtt" => self.attribute(argument),
            "Fn::Sub" => self.substitute(argument),
            "Fn::If" => match argument.as_array().map(Vec::as_slice) {
                Some([Value::String(condition), yes, no]) => {
                    let chosen = if self.condition(condition)? { yes } else { no };
                    if is_no_value(chosen) { Ok(chosen.clone()) } else { self.evaluate(chosen) }
                }
                _ => Err("Template error: Fn::If takes the name of a condition and two values".to_owned()),
            },
            "Fn::Join" => match argument.as_array().map(Vec::as_slice) {
                Some([Value::String(between), list]) => {
                    let items = self.list(list)?;
                    Ok(items.join(between).into())
                }
                _ => Err("Template error: Fn::Join takes a delimiter and a list".to_owned()),
            },
            "Fn::Split" => match argument.as_array().map(Vec::as_slice) {
                Some([Value::String(between), text]) => Ok(self.text(text)?.split(between.as_str()).collect()),
                _ => Err("Template error: Fn::Split takes a delimiter and a text".to_owned()),
            },
            "Fn::Select" => match argument.as_array().map(Vec::as_slice) {
                Some([index, list]) => {
                    let index =
                        self.text(index)?.parse::<usize>().map_err(|_| "Template error: Fn::Select takes an index")?;
                    let items = self.list(list)?;
                    let item =
                        items.get(index).ok_or("Template error: Fn::Select cannot select a nonexistent value")?;
                    Ok(item.as_str().into())
                }
                _ => Err("Template error: Fn::Select takes an index and a list".to_owned()),
            },
            "Fn::FindInMap" => match argument.as_array().map(Vec::as_slice) {
                Some([map, first, second, ..]) => {
                    let (map, first, second) = (self.text(map)?, self.text(first)?, self.text(second)?);
                    match &self.processed["Mappings"][&map][&first][&second] {
                        Value::Null => {
                            Err(format!("Template error: Unable to get mapping for {map}::{first}::{second}"))
                        }
                        value => Ok(value.clone()),
                    }
                }
                _ => Err("Template error: Fn::FindInMap takes a mapping and two keys".to_owned()),
            },
            "Fn::ImportValue" => {
                let name = self.text(argument)?;
                let value = self.exports.get(&name).ok_or_else(|| format!("No export named {name} found."))?;
                self.imported.borrow_mut().insert(name);
                Ok(value.as_str().into())
            }
            "Fn::Base64" => Ok(STANDARD.encode(self.text(argument)?).into()),
            "Fn::GetAZs" => {
                let region = Some(self.text(argument)?).filter(|region| !region.is_empty());
                let region = region.unwrap_or_else(|| self.region.to_owned());
                Ok(ZONES.iter().map(|zone| format!("{region}{zone}")).collect())
            }
            "Fn::ToJsonString" => Ok(self.evaluate(argument)?.to_string().into()),
            "Fn::Length" => Ok(self.list(argument)?.len().into()),
            other => Err(format!("The local cloud's CloudFormation does not play {other}")),
        }
    }

    fn list(&self, value: &Value) -> Result<Vec<String>, String> {
        match self.evaluate(value)? {
            Value::Array(items) => items.iter().map(|item| self.text(item)).collect(),
            Value::String(text) if text == KNOWN_AFTER_APPLY => Ok(vec![text]),
            other => Err(format!("Template error: {other} is not a list")),
        }
    }

    fn reference(&self, name: &str) -> Evaluated {
        let pseudo = match name {
            "AWS::AccountId" => Some(ACCOUNT),
            "AWS::Partition" => Some("aws"),
            "AWS::Region" => Some(self.region),
            "AWS::StackId" => Some(self.stack_id),
            "AWS::StackName" => Some(self.stack_name),
            "AWS::URLSuffix" => Some("amazonaws.com"),
            _ => None,
        };
        if let Some(value) = pseudo {
            return Ok(value.into());
        }
        if name == "AWS::NotificationARNs" {
            return Ok(json!(self.notification_arns));
        }
        if name == "AWS::NoValue" {
            return Ok(json!({ "Ref": name }));
        }
        if let Some(value) = self.parameters.get(name) {
            let type_name = self.processed["Parameters"][name]["Type"].as_str().unwrap_or_default();
            let is_list = type_name.starts_with("List<") || type_name == "CommaDelimitedList";
            return Ok(if is_list { value.split(',').map(str::trim).collect() } else { value.as_str().into() });
        }
        match self.resources.get(name) {
            Some(resource) => Ok(resource.reference.as_str().into()),
            None => self.not_there(name, &format!("Ref {name}")),
        }
    }

    fn attribute(&self, argument: &Value) -> Evaluated {
        let (name, attribute) = match argument {
            Value::String(text) => {
                text.split_once('.').map(|(name, attribute)| (name.to_owned(), attribute.to_owned()))
            }
            Value::Array(parts) => match &parts[..] {
                [Value::String(name), attribute] => Some((name.clone(), self.text(attribute)?)),
                _ => None,
            },
            _ => None,
        }
        .ok_or("Template error: every Fn::GetAtt object requires two non-empty parameters")?;
        let Some(resource) = self.resources.get(&name) else {
            return self.not_there(&name, &format!("Fn::GetAtt {name}.{attribute}"));
        };
        let nested = attribute.split('.').try_fold(&Value::Null, |at, step| match at {
            Value::Null => resource.values.get(step),
            inner => inner.get(step),
        });
        let value = resource.values.get(&attribute).or(nested).cloned();
        let type_name = self.processed["Resources"][&name]["Type"].as_str().unwrap_or_default();
        value.ok_or_else(|| {
            format!("Template error: resource {name} of type {type_name} does not support attribute type {attribute} in Fn::GetAtt")
        })
    }

    fn not_there(&self, name: &str, what: &str) -> Evaluated {
        if self.is_preview && self.processed["Resources"][name].is_object() {
            return Ok(KNOWN_AFTER_APPLY.into());
        }
        Err(format!("Template error: instance of {what} references undefined resource {name}"))
    }

    fn substitute(&self, argument: &Value) -> Evaluated {
        let (text, own) = match argument {
            Value::String(text) => (text.as_str(), None),
            Value::Array(parts) => match &parts[..] {
                [Value::String(text), own] => (text.as_str(), Some(own)),
                [Value::String(text)] => (text.as_str(), None),
                _ => return Err("Template error: Fn::Sub takes a text and a map".to_owned()),
            },
            _ => return Err("Template error: Fn::Sub takes a text".to_owned()),
        };
        let mut all = String::new();
        let mut rest = text;
        while let Some((before, after)) = rest.split_once("${") {
            all.push_str(before);
            let Some((name, after)) = after.split_once('}') else { break };
            rest = after;
            if let Some(literal) = name.strip_prefix('!') {
                all.push_str(&format!("${{{literal}}}"));
                continue;
            }
            let name = name.trim();
            let value = match own.map(|own| &own[name]).filter(|value| !value.is_null()) {
                Some(value) => self.text(value)?,
                None if name.contains('.') => self.text(&json!({ "Fn::GetAtt": name }))?,
                None => self.text(&json!({ "Ref": name }))?,
            };
            all.push_str(&value);
        }
        all.push_str(rest);
        Ok(all.into())
    }
}

/// The function that a map is: its only member's name, and its argument.
fn function(members: &Map<String, Value>) -> Option<(&str, &Value)> {
    let (name, argument) = members.iter().next().filter(|_| members.len() == 1)?;
    (name == "Ref" || name.starts_with("Fn::")).then_some((name.as_str(), argument))
}

fn is_no_value(value: &Value) -> bool {
    value
        .as_object()
        .is_some_and(|members| members.len() == 1 && members.get("Ref").is_some_and(|name| name == "AWS::NoValue"))
}

/// The logical ids that a value names.
pub fn named_in(value: &Value, found: &mut BTreeSet<String>) {
    match value {
        Value::Array(items) => items.iter().for_each(|item| named_in(item, found)),
        Value::Object(members) => match function(members) {
            Some(("Ref", Value::String(name))) => {
                found.insert(name.clone());
            }
            Some(("Fn::GetAtt", Value::String(path))) => {
                found.extend(path.split('.').next().map(str::to_owned));
            }
            Some(("Fn::GetAtt", Value::Array(parts))) => {
                found.extend(parts.first().and_then(Value::as_str).map(str::to_owned));
            }
            Some(("Fn::Sub", argument)) => {
                let text = argument.as_str().or_else(|| argument[0].as_str()).unwrap_or_default();
                let names = text.split("${").skip(1).filter_map(|rest| rest.split('}').next());
                found.extend(names.filter_map(|name| name.split('.').next()).map(|name| name.trim().to_owned()));
                named_in(&argument[1], found);
            }
            _ => members.values().for_each(|member| named_in(member, found)),
        },
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn evaluated(value: Value) -> Evaluated {
        let processed = json!({
            "Parameters": { "Stage": { "Type": "String" }, "Zones": { "Type": "CommaDelimitedList" } },
            "Conditions": {
                "Live": { "Fn::Equals": [{ "Ref": "Stage" }, "live"] },
                "Both": { "Fn::And": [{ "Condition": "Live" }, { "Fn::Not": [{ "Fn::Equals": ["a", "b"] }] }] },
            },
            "Mappings": { "Sizes": { "live": { "memory": 512 } } },
            "Resources": { "Table": { "Type": "AWS::DynamoDB::Table" }, "Later": { "Type": "AWS::SNS::Topic" } },
        });
        let parameters: BTreeMap<String, String> =
            [("Stage", "live"), ("Zones", "a, b")].map(|(name, value)| (name.to_owned(), value.to_owned())).into();
        let exports: BTreeMap<String, String> = [("net-id".to_owned(), "vpc-1".to_owned())].into();
        let mut values = Map::new();
        values.insert("Arn".to_owned(), "arn:table".into());
        let table = Attributes { reference: "chat-Table-1".to_owned(), values };
        let resources: BTreeMap<String, Attributes> = [("Table".to_owned(), table)].into();
        let scope = Scope {
            processed: &processed,
            region: "eu-west-1",
            stack_name: "chat",
            stack_id: "arn:stack",
            notification_arns: &[],
            parameters: &parameters,
            exports: &exports,
            resources: &resources,
            is_preview: false,
            imported: RefCell::default(),
        };
        scope.evaluate(&value)
    }

    #[test]
    fn functions_have_values() {
        for (value, expected) in [
            (json!({ "Ref": "Table" }), json!("chat-Table-1")),
            (json!({ "Ref": "Zones" }), json!(["a", "b"])),
            (json!({ "Fn::GetAtt": ["Table", "Arn"] }), json!("arn:table")),
            (json!({ "Fn::GetAtt": "Table.Arn" }), json!("arn:table")),
            (json!({ "Fn::Sub": "${AWS::StackName}/${Table.Arn}/${!x}/$y" }), json!("chat/arn:table/${x}/$y")),
            (json!({ "Fn::Sub": ["${a}-${Stage}", { "a": { "Ref": "Table" } }] }), json!("chat-Table-1-live")),
            (json!({ "Fn::Join": ["-", ["a", { "Ref": "Stage" }]] }), json!("a-live")),
            (json!({ "Fn::Select": ["1", { "Ref": "Zones" }] }), json!("b")),
            (json!({ "Fn::Split": [",", "a,b"] }), json!(["a", "b"])),
            (json!({ "Fn::If": ["Both", { "a": 1 }, { "Ref": "AWS::NoValue" }] }), json!({ "a": 1 })),
            (json!({ "Fn::FindInMap": ["Sizes", { "Ref": "Stage" }, "memory"] }), json!(512)),
            (json!({ "Fn::ImportValue": { "Fn::Sub": "net-id" } }), json!("vpc-1")),
            (json!({ "Fn::Base64": "a" }), json!("YQ==")),
            (json!({ "a": { "Ref": "AWS::NoValue" }, "b": [{ "Ref": "AWS::NoValue" }, 1] }), json!({ "b": [1] })),
        ] {
            assert_eq!(evaluated(value.clone()), Ok(expected), "{value}");
        }
    }

    #[test]
    fn what_means_nothing_is_named() {
        for (value, expected) in [
            (json!({ "Ref": "Later" }), "Later"),
            (json!({ "Fn::GetAtt": ["Table", "Stream"] }), "Stream"),
            (json!({ "Fn::ImportValue": "none" }), "No export named none found."),
            (json!({ "Fn::If": ["Never", 1, 2] }), "Never"),
            (json!({ "Fn::Cidr": [] }), "Fn::Cidr"),
        ] {
            let why = evaluated(value.clone()).unwrap_err();
            assert!(why.contains(expected), "{value}: {why}");
        }
    }

    #[test]
    fn names_in_values_are_found() {
        let mut found = BTreeSet::new();
        named_in(
            &json!([{ "Ref": "A" }, { "a": { "Fn::GetAtt": "B.Arn" } }, { "Fn::Sub": ["${C.Arn} ${D}", { "x": { "Ref": "E" } }] }]),
            &mut found,
        );
        assert_eq!(found.into_iter().collect::<String>(), "ABCDE");
    }
}
