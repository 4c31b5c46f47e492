//! `AllowedPattern`: CloudFormation reads it as Java does ("A regular expression that represents the patterns to allow for String or
//! CommaDelimitedList types").

use regex_lite::Regex;

/// The regular expression that a whole value must match; `None` for one that only Java can read, such as one with a lookahead.
pub fn whole(pattern: &str) -> Option<Regex> {
    Regex::new(&format!("^(?:{})$", with_literal_hyphens(pattern))).ok()
}

/// Whether `pattern` has what Java reads and wschat does not: lookarounds and other groups, references back, classes by name, in one
/// another or in common, quotations. What cannot be read without any of them is a mistake.
pub fn is_of_java(pattern: &str) -> bool {
    let referring = pattern.split('\\').skip(1).any(|rest| rest.starts_with(|it: char| ('1'..='9').contains(&it)));
    let forms = ["(?", "\\p", "\\P", "\\k", "\\Q", "\\h", "\\R", "\\Z", "&&", "[["];
    referring || forms.iter().any(|form| pattern.contains(form))
}

/// `pattern` with a backslash before each hyphen beside a class in brackets (`[\w-.]`): it can begin no range, so Java takes
/// it for itself, and Rust's reader for a mistake.
fn with_literal_hyphens(pattern: &str) -> String {
    const CLASSES: &str = "dDsSwW";
    let mut written = String::with_capacity(pattern.len());
    let mut rest = pattern.chars().peekable();
    let (mut in_brackets, mut after_class) = (false, false);
    while let Some(character) = rest.next() {
        let was_after_class = std::mem::take(&mut after_class);
        match character {
            '\\' => {
                written.push('\\');
                if let Some(escaped) = rest.next() {
                    written.push(escaped);
                    after_class = in_brackets && CLASSES.contains(escaped);
                }
                continue;
            }
            '[' => in_brackets = true,
            ']' => in_brackets = false,
            '-' if was_after_class && rest.peek() != Some(&']') => written.push('\\'),
            _ => {}
        }
        written.push(character);
    }
    written
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_are_read_as_java_reads_them() {
        let cases = [
            (r"[\w-\.]+@[\w-]+", "a-b.c@d-e", "a+b@c"),
            (r"[\d-x]+", "1-x", "y"),
            (r"[a-c]+", "abc", "a-c"),
            (r"[a\\-c]+", "a\\b", "-"),
            (r"a|b", "b", "ab"),
            (r"[A-Za-z0-9_\-\/\.]*", "a/b-c.d", "a b"),
        ];
        for (pattern, fitting, other) in cases {
            let read = whole(pattern).unwrap_or_else(|| panic!("{pattern}"));
            assert!(read.is_match(fitting), "{pattern} {fitting}");
            assert!(!read.is_match(other), "{pattern} {other}");
        }
        for pattern in ["(?=.*[0-9]).{8,}", r"(a)\1", r"\p{Alpha}+", "[a-z&&[^b]]+"] {
            assert!(whole(pattern).is_none() && is_of_java(pattern), "{pattern}");
        }
        for pattern in ["[a-z", "a)", "*a", r"\"] {
            assert!(whole(pattern).is_none() && !is_of_java(pattern), "{pattern}");
        }
    }
}
