//! The text of `Fn::Sub`.

use serde_json::{Map, Value};

use crate::core::words::{Path, Problem};

/// A piece of such a text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Piece<'a> {
    Literal(&'a str),
    /// A name in `${}`.
    Variable(&'a str),
    /// Text in `${}` that is not a name.
    Invalid(&'a str),
}

/// The argument of a well-formed call.
pub(super) struct Substitution<'v> {
    pub text: &'v str,
    /// The path of the text.
    pub path: Path,
    /// The variables given with the text.
    variables: Option<&'v Map<String, Value>>,
}

impl<'v> Substitution<'v> {
    /// Reads the `argument` at `path`, if it is well formed.
    pub fn read(argument: &'v Value, path: &Path) -> Option<Self> {
        let (text, path, variables) = match argument {
            Value::String(text) => (text, path.clone(), None),
            Value::Array(parts) => match parts.as_slice() {
                [Value::String(text)] => (text, path.index(0), None),
                [Value::String(text), Value::Object(variables)] => (text, path.index(0), Some(variables)),
                _ => return None,
            },
            _ => return None,
        };
        Some(Self { text, path, variables })
    }

    /// The variable `name`, if it is given with the text.
    pub fn variable(&self, name: &str) -> Option<&'v Value> {
        self.variables?.get(name)
    }
}

/// The pieces of `text`, in order. `${!name}` is a literal `${name}`, and an unclosed `${` is literal, too.
pub(super) fn pieces(text: &str) -> Vec<Piece<'_>> {
    let mut pieces = Vec::new();
    let mut rest = text;
    while let Some(at) = rest.find("${") {
        let (before, opened) = rest.split_at(at);
        let Some((name, after)) = opened[2..].split_once('}') else { break };
        pieces.push(Piece::Literal(before));
        match name.strip_prefix('!') {
            Some(literal) => pieces.extend([Piece::Literal("${"), Piece::Literal(literal), Piece::Literal("}")]),
            None => {
                let name = name.trim();
                let allowed = |character: char| character.is_ascii_alphanumeric() || "_.:".contains(character);
                let sound = !name.is_empty() && name.chars().all(allowed);
                pieces.push(if sound { Piece::Variable(name) } else { Piece::Invalid(name) });
            }
        }
        rest = after;
    }
    pieces.push(Piece::Literal(rest));
    pieces
}

/// The problem of a piece that is not a name.
pub(super) fn invalid(name: &str, path: &Path) -> Problem {
    // CloudFormation's message.
    let what = "Template error: variable names in Fn::Sub syntax must contain only alphanumeric characters, underscores, \
                periods, and colons";
    Problem::new(path.clone(), what).within(name).help(format!("for a literal ${{{name}}} write ${{!{name}}}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_fall_into_pieces() {
        use Piece::{Invalid, Literal, Variable};
        for (text, expected) in [
            ("", vec![Literal("")]),
            ("a${B}c", vec![Literal("a"), Variable("B"), Literal("c")]),
            (
                "${A.B}${AWS::Region}",
                vec![Literal(""), Variable("A.B"), Literal(""), Variable("AWS::Region"), Literal("")],
            ),
            ("${ A }", vec![Literal(""), Variable("A"), Literal("")]),
            ("${!A}", vec![Literal(""), Literal("${"), Literal("A"), Literal("}"), Literal("")]),
            ("${}", vec![Literal(""), Invalid(""), Literal("")]),
            ("${A-B}", vec![Literal(""), Invalid("A-B"), Literal("")]),
            ("a${B", vec![Literal("a${B")]),
            ("$${A}}", vec![Literal("$"), Variable("A"), Literal("}")]),
        ] {
            assert_eq!(pieces(text), expected, "{text}");
        }
    }
}
