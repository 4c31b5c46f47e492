//! Puts values into a template that are looked up outside of it.

use serde_json::Value;

use super::Token;
use super::intrinsics::Failure;
use super::lookups::{BEGIN, Lookup, Piece, pieces, problem};
use super::resolve::{Reference, Resolver};
use crate::core::words::{Path, Problem};

impl Resolver<'_> {
    /// The value of a lookup; a token while it is not known.
    pub(super) fn look_up(&mut self, lookup: Lookup, path: &Path) -> Result<String, Failure> {
        self.looked_up.insert(lookup.clone());
        match self.lookups.get(&lookup) {
            Some(Ok(value)) => Ok(value.clone()),
            Some(Err(missing)) => Err(problem(path.clone(), missing).into()),
            None => {
                // It may turn out to be a number.
                self.unknown.push(path.clone());
                let token = Token::of_lookup(&lookup.to_string());
                self.lacking.insert(lookup);
                Ok(token)
            }
        }
    }

    /// The resource of the template that a lookup reads, where it names one.
    fn own(&mut self, lookup: &Lookup) -> Option<String> {
        // The names of resources must not depend on those that are absent.
        let type_name = lookup.type_name().filter(|_| !self.pretending)?;
        let alike = self.kinds.iter().filter(|(_, kind)| kind.type_name() == type_name);
        let ids: Vec<String> = alike.map(|(id, _)| (*id).to_owned()).collect();
        ids.into_iter().find(|id| self.name(id).is_some_and(|name| lookup.is_of(&name)))
    }

    /// `value` with the values of its dynamic references. Those that name what is not known yet stay.
    pub(super) fn resolve_dynamic(&mut self, value: Value, path: &Path) -> Value {
        match value {
            Value::String(text) if text.contains(BEGIN) => self.resolve_text(&text, path).into(),
            Value::Array(items) => {
                let items = items.into_iter().enumerate();
                items.map(|(index, item)| self.resolve_dynamic(item, &path.index(index))).collect()
            }
            Value::Object(entries) => {
                let entries = entries.into_iter();
                Value::Object(
                    entries
                        .map(|(key, value)| {
                            let value = self.resolve_dynamic(value, &path.key(&key));
                            (key, value)
                        })
                        .collect(),
                )
            }
            other => other,
        }
    }

    fn resolve_text(&mut self, text: &str, path: &Path) -> String {
        let mut out = String::new();
        for piece in pieces(text) {
            let reference = match piece {
                Piece::Text(text) => {
                    out.push_str(text);
                    continue;
                }
                Piece::Reference(reference) if Token::is_in(reference) => {
                    self.unknown.push(path.clone());
                    out.extend([BEGIN, reference, "}}"]);
                    continue;
                }
                Piece::Reference(reference) => reference,
            };
            let lookup = Lookup::read(reference);
            // It is read when that has been made.
            if let Some(target) = lookup.as_ref().ok().and_then(|lookup| self.own(lookup)) {
                self.references.push(Reference { target, path: path.clone(), minted: true });
                self.unknown.push(path.clone());
                out.extend([BEGIN, reference, "}}"]);
                continue;
            }
            let found = match lookup {
                Ok(lookup) => self.look_up(lookup, path),
                Err(what) => Err(Problem::new(path.clone(), what).into()),
            };
            match found {
                Ok(value) => {
                    if !Token::is_in(&value) {
                        self.secrets.add(&value.as_str().into());
                    }
                    out.push_str(&value);
                }
                Err(failure) => {
                    self.problems.extend(failure.into_problem());
                    self.failed.push(path.clone());
                }
            }
        }
        out
    }
}
