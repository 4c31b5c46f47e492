//! Checks names in parts that are not evaluated: branches of `Fn::If` that are not taken, resources and outputs whose
//! condition is false. CloudFormation checks them too, so the template is valid for other parameters as well.

use serde_json::Value;

use super::intrinsics::Failure;
use super::resolve::Resolver;
use super::substitution::{self, Piece, Substitution};
use crate::core::template::intrinsics;
use crate::core::words::Path;

impl Resolver<'_> {
    /// Reports every name in `value` that does not exist.
    pub(super) fn check_names(&mut self, value: &Value, path: &Path) {
        let checked = match intrinsics::call(value) {
            Some((function, argument)) => self.check_call(function, argument, &path.key(function)),
            None => Ok(()),
        };
        self.problems.extend(checked.err().and_then(Failure::into_problem));
        match value {
            Value::Array(items) => {
                for (index, item) in items.iter().enumerate() {
                    self.check_names(item, &path.index(index));
                }
            }
            Value::Object(entries) => {
                for (key, value) in entries {
                    self.check_names(value, &path.key(key));
                }
            }
            _ => {}
        }
    }

    fn check_call(&mut self, function: &str, argument: &Value, path: &Path) -> Result<(), Failure> {
        match (function, argument) {
            ("Ref", Value::String(name)) => self.check_reference(name, path),
            ("Fn::GetAtt", Value::String(both)) => match both.split_once('.') {
                Some((logical_id, attribute)) => self.is_minted(logical_id, Some(attribute), path).map(drop),
                None => Ok(()),
            },
            ("Fn::GetAtt", Value::Array(parts)) => match parts.as_slice() {
                [Value::String(logical_id), Value::String(attribute)] => {
                    self.is_minted(logical_id, Some(attribute), path).map(drop)
                }
                _ => Ok(()),
            },
            ("Fn::If", Value::Array(parts)) => match parts.first() {
                Some(Value::String(name)) if !self.template.conditions.contains_key(name) => {
                    Err(self.no_condition(name, &path.index(0)).into())
                }
                _ => Ok(()),
            },
            ("Fn::Sub", argument) => {
                let Some(call) = Substitution::read(argument, path) else { return Ok(()) };
                for piece in substitution::pieces(call.text) {
                    let Piece::Variable(name) = piece else { continue };
                    match name.split_once('.') {
                        _ if call.variable(name).is_some() => {}
                        Some((logical_id, attribute)) => {
                            let minted = self.is_minted(logical_id, Some(attribute), &call.path);
                            minted.map_err(|failure| failure.within(name))?;
                        }
                        None => {
                            self.check_reference(name, &call.path).map_err(|failure| failure.within(name))?;
                        }
                    }
                }
                Ok(())
            }
            _ => Ok(()),
        }
    }

    fn check_reference(&self, name: &str, path: &Path) -> Result<(), Failure> {
        if self.is_parameter(name) {
            Ok(())
        } else if self.template.resources.contains_key(name) {
            self.is_minted(name, None, path).map(drop)
        } else {
            Err(self.no_name(name, path).into())
        }
    }
}
