//! JSON texts in one line or in many, without a change of what they say: numbers keep their digits, objects the order of
//! their members and every duplicate.

use serde::de::IgnoredAny;

/// The text in one line; `None` where it is no JSON.
pub fn compact(text: &str) -> Option<String> {
    is_json(text).then(|| tokens(text).concat())
}

/// The text with a line for each member, indented by two spaces; `None` where it is no JSON.
pub fn pretty(text: &str) -> Option<String> {
    if !is_json(text) {
        return None;
    }
    let mut out = String::new();
    let mut depth: usize = 0;
    let tokens = tokens(text);
    let line = |out: &mut String, depth: usize| {
        out.push('\n');
        out.push_str(&"  ".repeat(depth));
    };
    for (index, token) in tokens.iter().enumerate() {
        let next = tokens.get(index + 1).copied();
        match *token {
            "{" | "[" => {
                depth += 1;
                out.push_str(token);
                if !matches!(next, Some("}" | "]")) {
                    line(&mut out, depth);
                }
            }
            "}" | "]" => {
                depth = depth.saturating_sub(1);
                if !matches!(tokens.get(index.wrapping_sub(1)), Some(&("{" | "["))) {
                    line(&mut out, depth);
                }
                out.push_str(token);
            }
            "," => {
                out.push(',');
                line(&mut out, depth);
            }
            ":" => out.push_str(": "),
            other => out.push_str(other),
        }
    }
    Some(out)
}

/// Whether a text is JSON.
pub fn is_json(text: &str) -> bool {
    serde_json::from_str::<IgnoredAny>(text).is_ok()
}

/// The tokens of a valid JSON text: punctuation, strings with their quotes, literals.
fn tokens(text: &str) -> Vec<&str> {
    let mut found = Vec::new();
    let mut rest = text.trim_start();
    while let Some(first) = rest.chars().next() {
        let length = match first {
            '"' => {
                let mut escaped = false;
                let end = rest[1..].find(|c| {
                    let ends = c == '"' && !escaped;
                    escaped = c == '\\' && !escaped;
                    ends
                });
                end.map_or(rest.len(), |end| end + 2)
            }
            '{' | '}' | '[' | ']' | ',' | ':' => 1,
            _ => rest.find(|c: char| c.is_whitespace() || "{}[],:\"".contains(c)).unwrap_or(rest.len()),
        };
        let (token, after) = rest.split_at(length);
        found.push(token);
        rest = after.trim_start();
    }
    found
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::Value;

    use super::*;

    #[test]
    fn only_blanks_change() {
        for (text, expected) in [
            (r#" { "a" : [ 1 , 2.50 ] } "#, r#"{"a":[1,2.50]}"#),
            (r#"{"a": "x \" , \\", "a": 12345678901234567890123}"#, r#"{"a":"x \" , \\","a":12345678901234567890123}"#),
            ("[ ]", "[]"),
            ("\"a b\"", "\"a b\""),
            (" null ", "null"),
        ] {
            assert_eq!(compact(text).as_deref(), Some(expected));
            assert_eq!(compact(&pretty(text).unwrap()).as_deref(), Some(expected));
        }
        for text in ["hello", "", "{", "{a:1}", "1 2"] {
            assert_eq!((compact(text), pretty(text)), (None, None), "{text}");
        }
        assert_eq!(pretty(r#"{"a":[1,{}],"b":[]}"#).unwrap(), "{\n  \"a\": [\n    1,\n    {}\n  ],\n  \"b\": []\n}");
    }

    fn value() -> impl Strategy<Value = Value> {
        let leaf =
            prop_oneof![Just(Value::Null), any::<i64>().prop_map(Value::from), "\\PC{0,8}".prop_map(Value::from)];
        leaf.prop_recursive(3, 20, 4, |inner| {
            prop_oneof![
                proptest::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
                proptest::collection::btree_map("[ -~]{0,5}", inner, 0..4)
                    .prop_map(|map| Value::Object(map.into_iter().collect())),
            ]
        })
    }

    proptest! {
        #[test]
        fn any_json_is_the_same_in_one_line_and_in_many(value in value()) {
            let lines = serde_json::to_string_pretty(&value).unwrap();
            prop_assert_eq!(compact(&lines).unwrap(), value.to_string());
            prop_assert_eq!(pretty(&value.to_string()).unwrap(), lines);
        }
    }
}
