//! JSON as Python's `json.dumps` writes it with sorted keys: SAM's logical ids have hashes of it.

use std::fmt::Write as _;

use serde_json::Value;

/// `value` without spaces.
pub fn compact(value: &Value) -> String {
    let mut text = String::new();
    write(value, None, &mut text);
    text
}

/// `value` indented by four spaces.
pub fn indented(value: &Value) -> String {
    let mut text = String::new();
    write(value, Some(0), &mut text);
    text
}

fn write(value: &Value, depth: Option<usize>, text: &mut String) {
    let inner = depth.map(|depth| depth + 1);
    let line = |depth: Option<usize>, text: &mut String| {
        if let Some(depth) = depth {
            text.push('\n');
            text.push_str(&"    ".repeat(depth));
        }
    };
    match value {
        Value::String(value) => string(value, text),
        Value::Array(items) => {
            text.push('[');
            for (index, item) in items.iter().enumerate() {
                text.push_str(if index > 0 { "," } else { "" });
                line(inner, text);
                write(item, inner, text);
            }
            line(depth.filter(|_| !items.is_empty()), text);
            text.push(']');
        }
        Value::Object(entries) => {
            let mut entries: Vec<(&String, &Value)> = entries.iter().collect();
            entries.sort_unstable_by_key(|(key, _)| *key);
            text.push('{');
            for (index, (key, value)) in entries.iter().enumerate() {
                text.push_str(if index > 0 { "," } else { "" });
                line(inner, text);
                string(key, text);
                text.push_str(if depth.is_some() { ": " } else { ":" });
                write(value, inner, text);
            }
            line(depth.filter(|_| !entries.is_empty()), text);
            text.push('}');
        }
        scalar => {
            // Python writes very small and very large numbers with an exponent of at least two digits.
            let extreme = |number: &f64| *number != 0.0 && !(1e-4..1e16).contains(&number.abs());
            let float = scalar.as_f64().filter(|number| scalar.is_f64() && extreme(number));
            let written = float.map(|number| format!("{number:e}")).unwrap_or_default();
            let _ = match written.split_once('e').and_then(|(number, power)| Some((number, power.parse::<i32>().ok()?)))
            {
                Some((number, power)) => write!(text, "{number}e{power:+03}"),
                None => write!(text, "{scalar}"),
            };
        }
    }
}

fn string(value: &str, text: &mut String) {
    text.push('"');
    for letter in value.chars() {
        match letter {
            '"' => text.push_str("\\\""),
            '\\' => text.push_str("\\\\"),
            '\n' => text.push_str("\\n"),
            '\r' => text.push_str("\\r"),
            '\t' => text.push_str("\\t"),
            '\u{8}' => text.push_str("\\b"),
            '\u{c}' => text.push_str("\\f"),
            ' '..='~' => text.push(letter),
            _ => {
                for unit in letter.encode_utf16(&mut [0; 2]) {
                    let _ = write!(text, "\\u{unit:04x}");
                }
            }
        }
    }
    text.push('"');
}
