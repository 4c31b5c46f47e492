//! From the text of a template to a tree of values, with every intrinsic function in its long form.

use serde_json::{Map, Number, Value};
use serde_yaml::Value as Yaml;

use super::intrinsics;
use super::locate::{MERGE, SourceMap};
use crate::core::words::{Path, Position, Problem, ProblemKind, Token};

/// The longest text that is read, in bytes: what CloudFormation accepts from S3 (its quota "Template body size in an S3
/// object for a template"). Everything after this point works in memory, so it needs a limit.
pub const LONGEST: usize = 1_048_576;

/// The largest size of a text with its aliases expanded, as `SourceMap::weight` counts. A megabyte of template without
/// aliases is smaller; the limit is against short texts that expand to billions of values.
const MAX_WEIGHT: u64 = 400_000;

/// Reads `bytes` as YAML or JSON, which is YAML too: the values, and their positions.
///
/// # Errors
/// One problem for text that cannot be read; else all values that no template may contain.
pub fn read(bytes: &[u8]) -> Result<(Value, SourceMap), Vec<Problem>> {
    let text = decode(bytes).map_err(|problem| vec![problem])?;
    let source = SourceMap::scan(text).map_err(|problem| vec![problem])?;
    if source.weight() > MAX_WEIGHT {
        let what = "the template is too large once its aliases are expanded";
        return Err(vec![Problem::of_text(None, what)]);
    }
    let yaml: Yaml = serde_yaml::from_str(&source.for_yaml_1_2(text)).map_err(|error| vec![unreadable(&error)])?;
    let mut problems = Vec::new();
    let tree = convert(yaml, &Path::default(), &mut problems);
    if problems.is_empty() { Ok((tree, source)) } else { Err(problems) }
}

/// The bytes as text, without a byte order mark.
fn decode(bytes: &[u8]) -> Result<&str, Problem> {
    if bytes.len() > LONGEST {
        let what = format!("the template is too long; the limit is {LONGEST} bytes");
        return Err(Problem::of_text(None, what));
    }
    match std::str::from_utf8(bytes) {
        Ok(text) => Ok(text.strip_prefix('\u{feff}').unwrap_or(text)),
        Err(error) => {
            let before = String::from_utf8_lossy(&bytes[..error.valid_up_to()]);
            let line = before.matches('\n').count() + 1;
            let column = before.rsplit('\n').next().unwrap_or_default().chars().count() + 1;
            let problem = Problem::of_text(Some(Position { line, column }), "the template is not UTF-8")
                .kind(ProblemKind::Syntax);
            let utf16 = bytes.starts_with(&[0xff, 0xfe]) || bytes.starts_with(&[0xfe, 0xff]);
            Err(if utf16 { problem.help("it looks like UTF-16: save it as UTF-8") } else { problem })
        }
    }
}

fn unreadable(error: &serde_yaml::Error) -> Problem {
    let position = error.location().map(|at| Position { line: at.line(), column: at.column() });
    let sentence = error.to_string();
    // The position is shown with the source line, not in the sentence.
    let sentence = sentence.split(" at line ").next().unwrap_or_default();
    Problem::of_text(position, sentence).kind(ProblemKind::Syntax)
}

/// Converts `yaml` to the internal form. A problem leaves a null.
fn convert(yaml: Yaml, path: &Path, problems: &mut Vec<Problem>) -> Value {
    match yaml {
        Yaml::Null => Value::Null,
        Yaml::Bool(truth) => Value::Bool(truth),
        Yaml::String(text) => {
            if Token::is_in(&text) {
                problems
                    .push(Problem::new(path.clone(), "the characters U+F0000 and U+F0001 may not be in a template"));
            }
            Value::String(text)
        }
        Yaml::Number(number) => {
            let exact = number.as_i64().map(Number::from).or_else(|| number.as_u64().map(Number::from));
            match exact.or_else(|| number.as_f64().and_then(Number::from_f64)) {
                Some(number) => Value::Number(number),
                None => {
                    problems.push(
                        Problem::new(path.clone(), format!("{number} is not a number in a template"))
                            .kind(ProblemKind::IllTyped),
                    );
                    Value::Null
                }
            }
        }
        Yaml::Sequence(items) => {
            let items = items.into_iter().enumerate();
            items.map(|(index, item)| convert(item, &path.index(index), problems)).collect()
        }
        Yaml::Mapping(entries) => {
            let mut map = Map::new();
            let mut merged = Vec::new();
            for (key, value) in entries {
                let Some(key) = key_text(&key) else {
                    problems.push(
                        Problem::new(path.clone(), "a key must be text").kind(ProblemKind::IllTyped).help("quote it"),
                    );
                    continue;
                };
                let below = path.key(&key);
                if key == MERGE {
                    match value {
                        Yaml::Sequence(maps) => merged.extend(maps),
                        map => merged.push(map),
                    }
                    continue;
                }
                let value = convert(value, &below, problems);
                if map.insert(key.clone(), value).is_some() {
                    problems
                        .push(Problem::of_key(below, format!("duplicate key \"{key}\"")).kind(ProblemKind::Duplicate));
                }
            }
            for source in merged {
                let Value::Object(source) = convert(source, path, problems) else {
                    problems.push(Problem::of_key(path.key(MERGE), "only maps can be merged"));
                    continue;
                };
                for (key, value) in source {
                    map.entry(key).or_insert(value);
                }
            }
            Value::Object(map)
        }
        Yaml::Tagged(tagged) => {
            let tag = tagged.tag.to_string();
            let tag = tag.trim_start_matches('!');
            let name = intrinsics::long_form(tag);
            if !intrinsics::NAMES.contains(&name.as_str()) {
                let tags = intrinsics::NAMES.iter().map(|name| name.trim_start_matches("Fn::"));
                problems.push(
                    Problem::new(path.clone(), format!("unknown tag \"!{tag}\""))
                        .kind(ProblemKind::Unknown)
                        .suggest(tag, tags),
                );
                return Value::Null;
            }
            let argument = convert(tagged.value, &path.key(&name), problems);
            let argument = match argument {
                Value::String(text) if name == "Fn::GetAtt" => match text.split_once('.') {
                    Some((logical_id, attribute)) => Value::from(vec![logical_id, attribute]),
                    None => Value::String(text),
                },
                other => other,
            };
            Value::Object(Map::from_iter([(name, argument)]))
        }
    }
}

/// A key as text: account ids and years are often left unquoted.
fn key_text(key: &Yaml) -> Option<String> {
    match key {
        Yaml::String(text) => Some(text.clone()),
        Yaml::Number(number) => Some(number.to_string()),
        Yaml::Bool(truth) => Some(truth.to_string()),
        _ => None,
    }
}
