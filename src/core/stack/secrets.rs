//! Secrets, which must not be shown: values of `NoEcho` parameters, and values computed from them.

use std::collections::BTreeSet;

use serde_json::Value;

use crate::core::words::Problem;

/// The replacement for a secret.
pub const MASK: &str = "****";

/// From this length on a secret is masked anywhere in a text. A shorter one would match in half of all words, and is
/// masked only as a whole word.
const FOUND_ANYWHERE: usize = 4;

/// Texts that must not be shown.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Secrets(BTreeSet<String>);

impl Secrets {
    /// Adds the texts of a value, including its keys, and the other forms in which they may appear.
    pub fn add(&mut self, value: &Value) {
        match value {
            Value::String(text) => self.add_text(text),
            Value::Array(items) => items.iter().for_each(|item| self.add(item)),
            Value::Object(entries) => {
                for (key, value) in entries {
                    self.add_text(key);
                    self.add(value);
                }
            }
            // The only number that functions return is a count, which reveals nothing.
            Value::Number(_) | Value::Null | Value::Bool(_) => {}
        }
    }

    fn add_text(&mut self, text: &str) {
        if text.trim().is_empty() {
            return;
        }
        // A resource type may read the text as a number or as a document.
        let number = text.trim().parse::<f64>().ok().filter(|number| number.is_finite());
        self.0.extend(number.map(|number| number.to_string()));
        if text.trim_start().starts_with(['{', '['])
            && let Ok(document) = serde_json::from_str::<Value>(text)
        {
            self.add_leaves(&document);
        }
        // The forms in JSON and in HTML (`timings::html`), and single lines.
        let json = Value::from(text).to_string();
        let json = &json[1..json.len() - 1];
        let twice = Value::from(json).to_string();
        self.0.extend([json.to_owned(), twice[1..twice.len() - 1].to_owned(), html(text)]);
        if text.contains('\n') {
            self.0.extend(text.lines().map(str::trim).filter(|line| !line.is_empty()).map(str::to_owned));
        }
        self.0.insert(text.to_owned());
    }

    /// Keys of documents belong to the language, and are no secrets.
    fn add_leaves(&mut self, document: &Value) {
        match document {
            Value::Array(items) => items.iter().for_each(|item| self.add_leaves(item)),
            Value::Object(entries) => entries.values().for_each(|value| self.add_leaves(value)),
            Value::Number(number) => self.add_text(&number.to_string()),
            leaf => self.add(leaf),
        }
    }

    /// Adds all of `others`.
    pub fn extend(&mut self, others: &Self) {
        self.0.extend(others.0.iter().cloned());
    }

    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Masks the values that a problem quotes.
    pub fn mask_problem(&self, problem: &mut Problem) {
        problem.what = self.mask(&problem.what);
        problem.help = problem.help.as_ref().map(|help| self.mask(help));
    }

    /// Whether `text`, the text of a value, contains a secret.
    pub fn are_in(&self, text: &str) -> bool {
        self.0.iter().any(|secret| next(text, secret, 0).is_some())
    }

    /// Whether `mask` would change `text`.
    pub fn stand_in(&self, text: &str) -> bool {
        self.maskable().any(|secret| next(text, secret, 0).is_some())
    }

    /// The secrets to look for in any text. A single character reveals nothing, and is masked only in a value.
    fn maskable(&self) -> impl Iterator<Item = &String> {
        self.0.iter().filter(|secret| secret.chars().nth(1).is_some())
    }

    /// `text` with every secret replaced by `****`.
    pub fn mask(&self, text: &str) -> String {
        self.replace(text, |_| MASK.to_owned())
    }

    /// `text` with a star for every character of a secret: positions stay the same.
    pub fn mask_in_place(&self, text: &str) -> String {
        self.replace(text, |secret| "*".repeat(secret.chars().count()))
    }

    fn replace(&self, text: &str, with: impl Fn(&str) -> String) -> String {
        // Overlapping matches are merged, so that no end of a secret stays.
        let mut places: Vec<(usize, usize)> = Vec::new();
        for secret in self.maskable() {
            let mut from = 0;
            while let Some(at) = next(text, secret, from) {
                places.push((at, at + secret.len()));
                from = at + secret.chars().next().map_or(1, char::len_utf8);
            }
        }
        places.sort_unstable();
        let mut out = String::with_capacity(text.len());
        let mut shown = 0;
        let mut places = places.into_iter().peekable();
        while let Some((start, mut end)) = places.next() {
            while let Some((_, other)) = places.next_if(|(other, _)| *other < end) {
                end = end.max(other);
            }
            out.push_str(&text[shown..start]);
            out.push_str(&with(&text[start..end]));
            shown = end;
        }
        out + &text[shown..]
    }
}

/// The position of `secret` in `text`, from byte `from` on.
fn next(text: &str, secret: &str, from: usize) -> Option<usize> {
    let anywhere = secret.chars().count() >= FOUND_ANYWHERE;
    let is_part = |character: Option<char>| character.is_some_and(|character| character.is_alphanumeric());
    text[from..].match_indices(secret).map(|(at, _)| from + at).find(|at| {
        let (before, after) = (text[..*at].chars().next_back(), text[at + secret.len()..].chars().next());
        anywhere || !(is_part(before) || is_part(after))
    })
}

fn html(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;").replace('\'', "&#39;")
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn secrets(value: Value) -> Secrets {
        let mut secrets = Secrets::default();
        secrets.add(&value);
        secrets
    }

    #[test]
    fn secrets_are_masked_wherever_they_stand() {
        for (secret, text, expected) in [
            (json!("s3cret"), "key=s3cret;s3crets", "key=****;****s"),
            (json!(["abcdef", "defghi"]), "abcdefghi", "****"),
            (json!("a\"b\\c"), r#"{"x":"a\"b\\c"}"#, r#"{"x":"****"}"#),
            (json!("a<b>c"), "<td>a&lt;b&gt;c</td>", "<td>****</td>"),
            (json!("0128.50"), "128.5", "****"),
            (json!(r#"{"Id": "topsecret"}"#), "Id is topsecret", "Id is ****"),
            (json!("first line\nsecond line"), "second line\n", "****\n"),
            // Too short to be masked inside of words.
            (json!("ab"), "ab, cab, (ab) abc", "****, cab, (****) abc"),
            (json!(""), "nothing", "nothing"),
            (json!(" "), "no thing", "no thing"),
            (json!("ünï¢"), "xünï¢y", "x****y"),
        ] {
            let secrets = secrets(secret);
            assert_eq!(secrets.mask(text), expected);
            assert_eq!(secrets.are_in(text), text != expected, "{text}");
        }
        assert_eq!(secrets(json!("sécret")).mask_in_place("- sécret -"), "- ****** -");
    }
}
