//! Parameter values, where SAM resolves them before CloudFormation does.

use serde_json::Value;

use super::super::Template;
use super::{Context, sub};

/// The longest value that CloudFormation accepts, in bytes (its quota "Parameter values").
const MAX_LENGTH: usize = 4096;

/// What types of parameters begin with whose values SSM has.
const STORED: &str = "AWS::SSM::Parameter::Value<";

/// The values that SAM knows: given ones, defaults, and pseudo parameters.
#[derive(Clone, Copy)]
pub struct Parameters<'a> {
    pub template: &'a Template,
    pub context: Context<'a>,
}

impl Parameters<'_> {
    fn value(self, name: &str) -> Option<Value> {
        // Its value is in SSM, and what is given is the name that it has there.
        if self.template.parameters.get(name).is_some_and(|parameter| parameter.type_name.starts_with(STORED)) {
            return None;
        }
        let value = match self.context.parameters.get(name) {
            Some(given) => Some(given.as_str().into()),
            None => match name {
                "AWS::Region" => Some(self.context.region.into()),
                "AWS::Partition" => Some(self.context.partition.into()),
                _ => self.template.parameters.get(name)?.default.clone(),
            },
        };
        // Invalid values are reported elsewhere, but would do harm here: a map can refer to itself, and a huge text
        // could be inserted many times.
        value.filter(|value| match value {
            Value::String(text) => text.len() <= MAX_LENGTH,
            value => !value.is_array() && !value.is_object(),
        })
    }

    /// `value` with parameters substituted wherever `Ref` or `Fn::Sub` names them.
    ///
    /// # Errors
    /// The name of a parameter inside `Fn::Sub` that is not a string.
    pub fn resolve(self, value: &Value) -> Result<Value, String> {
        let resolved = match value {
            Value::Object(entries) if entries.len() == 1 => match entries.iter().next() {
                Some((function, Value::String(name))) if function == "Ref" => self.value(name),
                Some((function, argument)) if function == "Fn::Sub" => {
                    let mut wrong = None;
                    let argument = sub::replace(argument, |name| match self.value(name)? {
                        Value::String(text) => Some(text),
                        _ => {
                            wrong.get_or_insert_with(|| name.to_owned());
                            None
                        }
                    });
                    if let Some(name) = wrong {
                        return Err(name);
                    }
                    Some(serde_json::json!({ "Fn::Sub": argument }))
                }
                _ => None,
            },
            _ => None,
        };
        match resolved.as_ref().unwrap_or(value) {
            Value::Object(entries) => {
                entries.iter().map(|(key, value)| Ok((key.clone(), self.resolve(value)?))).collect()
            }
            Value::Array(items) => items.iter().map(|item| self.resolve(item)).collect(),
            scalar => Ok(scalar.clone()),
        }
    }

    /// The same, in place: SAM's translator resolves in place, so that the template it creates has the parameter's
    /// value. Only a value that is nothing but a `Ref` stays.
    ///
    /// # Errors
    /// As `resolve`.
    pub fn inline(self, value: &mut Value) -> Result<Value, String> {
        let resolved = self.resolve(value)?;
        let reference = value.as_object().is_some_and(|entries| entries.len() == 1 && entries.contains_key("Ref"));
        if !reference {
            *value = resolved.clone();
        }
        Ok(resolved)
    }
}
