//! Makes text from outside (a template, tags, AWS's answers) safe for a terminal: escapes control characters, and characters
//! that hide or reorder the text around them.
//!
//! The escapes are JSON's (`\u001b`), so that a line of JSON stays equivalent JSON.

use std::fmt::Write as _;

/// Whether a character is a control character, reorders the text around it (bidirectional controls, Unicode Standard Annex
/// 9), or is invisible.
pub fn is_hidden(character: char) -> bool {
    character.is_control()
        || matches!(character,
            '\u{ad}' | '\u{61c}' | '\u{180e}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}'
            | '\u{2060}'..='\u{206f}' | '\u{feff}' | '\u{fff9}'..='\u{fffb}' | '\u{e0000}'..='\u{e007f}')
}

/// Escapes text that may have several lines.
pub fn block(text: &str) -> String {
    escaped(text, |character| character == '\n' || character == '\t')
}

/// Escapes text that is part of a line; line ends are escaped, too.
pub fn line(text: &str) -> String {
    escaped(text, |_| false)
}

/// Escapes text that was coloured by wschat or by a tool; the colour sequences stay.
pub fn coloured(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find("\u{1b}[") {
        let (before, from) = rest.split_at(at);
        out.push_str(&block(before));
        let parameters = from[2..].bytes().take_while(|byte| byte.is_ascii_digit() || *byte == b';').count();
        let length = if from.as_bytes().get(2 + parameters) == Some(&b'm') { 3 + parameters } else { 0 };
        out.push_str(&from[..length]);
        if length == 0 {
            out.push_str(&block(&from[..1]));
        }
        rest = &from[length.max(1)..];
    }
    out + &block(rest)
}

fn escaped(text: &str, stays: impl Fn(char) -> bool) -> String {
    let mut out = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            shown if stays(shown) || !is_hidden(shown) => out.push(shown),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            hidden => {
                for unit in hidden.encode_utf16(&mut [0; 2]) {
                    let _ = write!(out, "\\u{unit:04x}");
                }
            }
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn control_characters_are_escaped() {
        for (text, expected) in [
            ("plain, ünïcode, 聊天", "plain, ünïcode, 聊天"),
            ("\u{1b}[2J", "\\u001b[2J"),
            ("\u{9b}2J\u{7f}\u{0}\u{7}", "\\u009b2J\\u007f\\u0000\\u0007"),
            ("a\r\nb\tc", "a\\r\\nb\\tc"),
            ("x\u{202e}cod.exe\u{2069}", "x\\u202ecod.exe\\u2069"),
            ("a\u{200b}b\u{feff}", "a\\u200bb\\ufeff"),
            ("\u{e0041}", "\\udb40\\udc41"),
        ] {
            assert_eq!(line(text), expected);
        }
        assert_eq!(block("a\nb\tc\r"), "a\nb\tc\\r");
    }

    #[test]
    fn escaped_json_stays_equivalent() {
        let value = serde_json::json!({"name\u{202e}": ["\u{7f}\u{9b}\u{e0041}\u{feff}", "\u{1b}[0m\n"]});
        let shown = block(&value.to_string());
        assert!(!shown.chars().any(is_hidden), "{shown:?}");
        assert_eq!(serde_json::from_str::<serde_json::Value>(&shown).unwrap(), value);
    }

    #[test]
    fn only_colour_sequences_stay_in_coloured_text() {
        for (text, expected) in [
            ("\u{1b}[1;31merror\u{1b}[0m: x\n", "\u{1b}[1;31merror\u{1b}[0m: x\n"),
            ("\u{1b}[m\u{1b}[2J\u{1b}[31", "\u{1b}[m\\u001b[2J\\u001b[31"),
            ("\u{1b}]0;title\u{7}\u{202e}", "\\u001b]0;title\\u0007\\u202e"),
        ] {
            assert_eq!(coloured(text), expected);
        }
    }
}
