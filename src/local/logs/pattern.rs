//! Filter patterns for unstructured log events: terms, phrases, `?either` and `-without`.
//!
//! Source: "Filter pattern syntax", CloudWatch Logs user guide. Terms are matched literally and
//! case-sensitively. The JSON, space-delimited and `%regular expression%` forms are refused, not misread.

/// A parsed pattern.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Pattern {
    all: Vec<String>,
    any: Vec<String>,
    none: Vec<String>,
}

impl Pattern {
    /// Parses a pattern.
    ///
    /// # Errors
    /// The mistake in it.
    pub fn parse(text: &str) -> Result<Self, &'static str> {
        let text = text.trim();
        if text.starts_with(['{', '[', '%']) {
            return Err("only patterns of terms are served here");
        }
        let mut pattern = Self::default();
        let mut rest = text;
        while !rest.is_empty() {
            let (list, after) = match rest.chars().next() {
                Some('?') => (&mut pattern.any, &rest[1..]),
                Some('-') => (&mut pattern.none, &rest[1..]),
                _ => (&mut pattern.all, rest),
            };
            let (term, remaining) = match after.strip_prefix('"') {
                Some(phrase) => phrase.split_once('"').ok_or("a phrase is not closed")?,
                None => after.split_once(char::is_whitespace).unwrap_or((after, "")),
            };
            if term.is_empty() {
                return Err("a term is empty");
            }
            list.push(term.to_owned());
            rest = remaining.trim_start();
        }
        // Optional terms have no effect beside required or excluded ones.
        if !pattern.all.is_empty() || !pattern.none.is_empty() {
            pattern.any.clear();
        }
        Ok(pattern)
    }

    /// Whether a message matches; the empty pattern matches everything.
    pub fn matches(&self, message: &str) -> bool {
        let has = |term: &String| message.contains(term.as_str());
        self.all.iter().all(has) && !self.none.iter().any(has) && (self.any.is_empty() || self.any.iter().any(has))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn terms_are_matched_as_the_guide_says() {
        let cases = [
            ("", "anything", true),
            ("ERROR", "[ERROR 400] BAD REQUEST", true),
            ("ERROR", "an error", false),
            ("ERROR ARGUMENTS", "[ERROR 419] MISSING ARGUMENTS", true),
            ("ERROR ARGUMENTS", "[ERROR 400] BAD REQUEST", false),
            ("\"INTERNAL SERVER ERROR\"", "[ERROR 500] INTERNAL SERVER ERROR", true),
            ("\"INTERNAL SERVER ERROR\"", "SERVER INTERNAL ERROR", false),
            ("?ERROR ?WARN", "a WARN", true),
            ("?ERROR ?WARN", "an INFO", false),
            ("?ERROR ?WARN REQUEST", "an INFO REQUEST", true),
            ("ERROR -ARGUMENTS", "[ERROR 400] BAD REQUEST", true),
            ("ERROR -ARGUMENTS", "[ERROR 419] MISSING ARGUMENTS", false),
        ];
        for (pattern, message, matches) in cases {
            assert_eq!(Pattern::parse(pattern).unwrap().matches(message), matches, "{pattern} on {message}");
        }
    }

    #[test]
    fn other_forms_are_refused() {
        for pattern in ["{ $.level = \"ERROR\" }", "[ip, user]", "%ERR.R%", "\"open", "- x", "\"\""] {
            assert!(Pattern::parse(pattern).is_err(), "{pattern}");
        }
    }
}
