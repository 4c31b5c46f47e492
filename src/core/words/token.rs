//! Placeholders in resolved properties for attributes that AWS mints and whose values are not known yet.

use std::collections::BTreeSet;

use serde_json::Value;

/// An attribute that AWS has not minted yet, as it appears inside strings.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Token {
    pub logical_id: String,
    /// The attribute's name; `Ref` for what `Ref` gives.
    pub attribute: String,
}

/// Delimiters that no template text contains: private-use characters, which the parser refuses.
const OPEN: char = '\u{F0000}';
const CLOSE: char = '\u{F0001}';

/// What stands for the logical id in the token of a value that is looked up outside of the template. No logical id has colons.
const LOOKUP: &str = "::";

impl Token {
    /// The token of a value that is looked up outside of the template, as text; `what` is as the template asks for it.
    pub fn of_lookup(what: &str) -> String {
        Self::text(LOOKUP, what)
    }

    /// Whether it stands for a value that is looked up outside of the template.
    pub fn is_of_lookup(&self) -> bool {
        self.logical_id == LOOKUP
    }

    /// The token as text, to be put into a string.
    pub fn text(logical_id: &str, attribute: &str) -> String {
        format!("{OPEN}{logical_id}.{attribute}{CLOSE}")
    }

    /// Whether `text` contains any part of a token.
    pub fn is_in(text: &str) -> bool {
        text.contains([OPEN, CLOSE])
    }

    /// The tokens in `text`, in order.
    pub fn find(text: &str) -> Vec<Self> {
        text.split(OPEN)
            .skip(1)
            .filter_map(|rest| rest.split_once(CLOSE)?.0.split_once('.'))
            .map(|(logical_id, attribute)| Self { logical_id: logical_id.to_owned(), attribute: attribute.to_owned() })
            .collect()
    }

    /// All tokens anywhere in `value`.
    pub fn find_all(value: &Value) -> BTreeSet<Self> {
        match value {
            Value::String(text) => Self::find(text).into_iter().collect(),
            Value::Array(items) => items.iter().flat_map(Self::find_all).collect(),
            Value::Object(entries) => entries.values().flat_map(Self::find_all).collect(),
            _ => BTreeSet::new(),
        }
    }

    /// The token that `text` is, with nothing before or after it.
    pub fn sole(text: &str) -> Option<Self> {
        let (logical_id, attribute) = text.strip_prefix(OPEN)?.strip_suffix(CLOSE)?.split_once('.')?;
        (!Self::is_in(attribute)).then(|| Self { logical_id: logical_id.to_owned(), attribute: attribute.to_owned() })
    }

    /// Replaces in `value` every token that `known` has a value for; the others stay.
    pub fn fill(value: &mut Value, known: &dyn Fn(&Token) -> Option<String>) {
        match value {
            Value::String(text) if Self::is_in(text) => *text = Self::substitute_text(text, known),
            Value::Array(items) => items.iter_mut().for_each(|item| Self::fill(item, known)),
            Value::Object(entries) => entries.values_mut().for_each(|value| Self::fill(value, known)),
            _ => {}
        }
    }

    /// `value` with every token replaced that `known` has a value for; the others stay.
    pub fn substitute(value: &Value, known: &dyn Fn(&Token) -> Option<String>) -> Value {
        let mut value = value.clone();
        Self::fill(&mut value, known);
        value
    }

    /// `text` with every token replaced that `known` has a value for; the others stay.
    pub fn substitute_text(text: &str, known: &dyn Fn(&Token) -> Option<String>) -> String {
        let mut parts = text.split(OPEN);
        let mut out = parts.next().unwrap_or_default().to_owned();
        for part in parts {
            let (token, after) = part.split_once(CLOSE).unwrap_or((part, ""));
            let value = token.split_once('.').and_then(|(logical_id, attribute)| {
                known(&Self { logical_id: logical_id.to_owned(), attribute: attribute.to_owned() })
            });
            match value {
                Some(value) => out.extend([value.as_str(), after]),
                None => {
                    out.push(OPEN);
                    out.push_str(part);
                }
            }
        }
        out
    }

    /// `text` for display: tokens as `<ConnectInteg>`.
    pub fn readable(text: &str) -> String {
        Self::substitute_text(text, &|token| {
            let shown = if token.is_of_lookup() {
                format!("<{}>", token.attribute)
            } else if token.attribute == "Ref" {
                format!("<{}>", token.logical_id)
            } else {
                format!("<{}.{}>", token.logical_id, token.attribute)
            };
            Some(shown)
        })
    }
}
