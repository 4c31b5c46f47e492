//! The intrinsic functions: one table, and one function each.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use super::resolve::{Reference, Resolver};
use super::{Scope, Token};
use crate::diagnostic::{Path, Problem};
use crate::resources::Attribute;
use crate::template::intrinsics;

/// Why a function has no value: a problem that is still to be reported, or one that was already.
pub enum Failure {
    Problem(Box<Problem>),
    Reported,
}

impl From<Problem> for Failure {
    fn from(problem: Problem) -> Self {
        Self::Problem(Box::new(problem))
    }
}

impl Failure {
    /// The problem, if it is still to be reported.
    pub fn into_problem(self) -> Option<Problem> {
        match self {
            Self::Problem(problem) => Some(*problem),
            Self::Reported => None,
        }
    }
}

/// What a function gives; `None` is `AWS::NoValue`.
type Outcome = Result<Option<Value>, Failure>;

/// A function of its argument and the argument's path.
type Function = fn(&mut Resolver<'_>, &Value, &Path) -> Outcome;

/// All intrinsic functions that give values.
const FUNCTIONS: &[(&str, Function)] = &[
    ("Fn::Base64", base64),
    ("Fn::FindInMap", find_in_map),
    ("Fn::GetAtt", get_att),
    ("Fn::If", if_),
    ("Fn::Join", join),
    ("Fn::Length", length),
    ("Fn::Select", select),
    ("Fn::Split", split),
    ("Fn::Sub", sub),
    ("Fn::ToJsonString", to_json_string),
    ("Ref", ref_),
];

/// Functions that only conditions may use.
const LOGIC: &[&str] = &["Fn::And", "Fn::Equals", "Fn::Not", "Fn::Or"];

/// The names that start with `AWS::`.
const PSEUDO: &[&str] = &[
    "AWS::AccountId",
    "AWS::NoValue",
    "AWS::Partition",
    "AWS::Region",
    "AWS::StackId",
    "AWS::StackName",
    "AWS::URLSuffix",
];

impl Resolver<'_> {
    /// `value` with all intrinsic functions in it evaluated; `None` is `AWS::NoValue`. What fails is reported and leaves
    /// an empty string behind.
    pub(super) fn evaluate(&mut self, value: &Value, path: &Path) -> Option<Value> {
        if let Some((name, argument)) = intrinsics::call(value) {
            return match self.call(name, argument, path) {
                Ok(value) => value,
                Err(failure) => {
                    self.problems.extend(failure.into_problem());
                    self.failed.push(path.clone());
                    Some(Value::from(""))
                }
            };
        }
        match value {
            Value::Array(items) => {
                let items = items.iter().enumerate();
                Some(items.filter_map(|(index, item)| self.evaluate(item, &path.index(index))).collect())
            }
            Value::Object(entries) => {
                let mut map = serde_json::Map::new();
                for (key, value) in entries {
                    let path = path.key(key);
                    // A misspelt sibling would make a call look like an ordinary map.
                    if key.starts_with("Fn::") {
                        let what = format!("{key} must stand alone in its map");
                        self.problems.push(Problem::of_key(path.clone(), what));
                        self.failed.push(path);
                    } else if let Some(value) = self.evaluate(value, &path) {
                        map.insert(key.clone(), value);
                    }
                }
                Some(Value::Object(map))
            }
            Value::Null => {
                // Reported when the template was read.
                self.failed.push(path.clone());
                Some(Value::Null)
            }
            scalar => Some(scalar.clone()),
        }
    }

    fn call(&mut self, name: &str, argument: &Value, path: &Path) -> Outcome {
        let below = path.key(name);
        if let Some((_, function)) = FUNCTIONS.iter().find(|(known, _)| *known == name) {
            return function(self, argument, &below);
        }
        let problem = if LOGIC.contains(&name) {
            Problem::of_key(below, format!("{name} can be used in conditions only"))
        } else if intrinsics::NAMES.contains(&name) {
            Problem::of_key(below, format!("{name} is not supported yet"))
        } else {
            let known = intrinsics::NAMES.iter().copied().filter(|known| known.starts_with("Fn::"));
            Problem::of_key(below, format!("unknown intrinsic function \"{name}\"")).suggest(name, known)
        };
        Err(problem.into())
    }

    /// An argument, evaluated.
    fn argument(&mut self, value: &Value, path: &Path) -> Outcome {
        let failed = self.failed.len();
        let value = self.evaluate(value, path);
        if self.failed.len() > failed { Err(Failure::Reported) } else { Ok(value) }
    }

    /// An argument that must be text or a number; numbers become text.
    fn text(&mut self, value: &Value, path: &Path) -> Result<String, Failure> {
        let value = self.argument(value, path)?;
        let text = value.as_ref().and_then(scalar);
        text.ok_or_else(|| Problem::new(path.clone(), "this must be a string").into())
    }

    /// An argument that must be text which is known now.
    fn known_text(&mut self, value: &Value, path: &Path) -> Result<String, Failure> {
        let text = self.text(value, path)?;
        self.known(&Value::from(text), path).map(|text| text.as_str().unwrap_or_default().to_owned())
    }

    /// `value` with the attributes that are known before anything exists; no others may be in it.
    fn known(&mut self, value: &Value, path: &Path) -> Result<Value, Failure> {
        let value = self.settle(value);
        match Token::find_all(&value).first() {
            None => Ok(value),
            Some(token) => {
                let shown = Token::readable(&Token::text(&token.logical_id, &token.attribute));
                let what = format!("{shown} is not known before it exists, so nothing can be computed from it");
                Err(Problem::new(path.clone(), what).into())
            }
        }
    }

    /// An argument that must be a list.
    fn list(&mut self, value: &Value, path: &Path) -> Result<Vec<Value>, Failure> {
        match self.argument(value, path)? {
            Some(Value::Array(items)) => Ok(items),
            _ => Err(Problem::new(path.clone(), "this must be a list").into()),
        }
    }

    /// What `Ref` (no attribute) or `Fn::GetAtt` of a resource gives: a token, for now.
    fn attribute(&mut self, logical_id: &str, attribute: Option<&str>, path: &Path) -> Outcome {
        if self.template.broken.contains(logical_id) {
            return Err(Failure::Reported);
        }
        let Some(kind) = self.kinds.get(logical_id).copied() else {
            if self.template.resources.contains_key(logical_id) {
                // CloudFormation's words, for a resource that its condition leaves out.
                let what = format!("Unresolved resource dependencies [{logical_id}]: its condition is false");
                return Err(Problem::new(path.clone(), what).into());
            }
            let what = format!("there is no resource \"{logical_id}\"");
            return Err(Problem::new(path.clone(), what).suggest(logical_id, self.kinds.keys().copied()).into());
        };
        // Whether there is such an attribute does not depend on the name.
        let name = kind.naming().map(|_| logical_id);
        let minted = match kind.attribute(self.scope, name, attribute) {
            Attribute::Known(_) => false,
            Attribute::Minted | Attribute::Ref => true,
            Attribute::Unknown(known) => {
                let given = attribute.unwrap_or("Ref");
                let what = format!("{} has no attribute \"{given}\"", kind.type_name());
                return Err(Problem::new(path.clone(), what).suggest(given, known.iter().copied()).into());
            }
        };
        let target = logical_id.to_owned();
        self.references.push(Reference { target, path: path.clone(), minted });
        Ok(Some(Token::text(logical_id, attribute.unwrap_or("Ref")).into()))
    }

    /// What `Ref` of a name gives.
    fn reference(&mut self, name: &str, path: &Path) -> Outcome {
        if let Some(value) = self.parameters.values.get(name) {
            return Ok(Some(value.clone()));
        }
        if self.template.parameters.contains_key(name) || self.template.broken.contains(name) {
            return Err(Failure::Reported);
        }
        if name == "AWS::NoValue" {
            return Ok(None);
        }
        if let Some(value) = pseudo(self.scope, name) {
            return Ok(Some(value.into()));
        }
        if self.template.resources.contains_key(name) {
            return self.attribute(name, None, path);
        }
        let parameters = self.template.parameters.keys().map(String::as_str);
        let known = parameters.chain(self.template.resources.keys().map(String::as_str)).chain(PSEUDO.iter().copied());
        let problem = Problem::new(path.clone(), format!("there is no resource or parameter \"{name}\""));
        Err(problem.suggest(name, known).into())
    }

    /// Whether the condition `name` holds.
    pub(super) fn condition(&mut self, name: &str, path: &Path) -> Result<bool, Failure> {
        match self.conditions.get(name) {
            Some(Some(truth)) => return Ok(*truth),
            Some(None) => {
                let what = format!("the condition {name} depends on itself");
                return Err(Problem::new(path.clone(), what).into());
            }
            None => {}
        }
        let template = self.template;
        let Some(condition) = template.conditions.get(name) else {
            let problem = Problem::new(path.clone(), format!("there is no condition \"{name}\""));
            return Err(problem.suggest(name, template.conditions.keys().map(String::as_str)).into());
        };
        self.conditions.insert(name.to_owned(), None);
        let truth = self.logic(condition, &Path::default().key("Conditions").key(name));
        match truth {
            Ok(truth) => {
                self.conditions.insert(name.to_owned(), Some(truth));
            }
            Err(_) => {
                self.conditions.remove(name);
            }
        }
        truth
    }

    /// A condition's expression.
    fn logic(&mut self, expression: &Value, path: &Path) -> Result<bool, Failure> {
        let single = expression.as_object().filter(|entries| entries.len() == 1);
        let Some((name, argument)) = single.and_then(|entries| entries.iter().next()) else {
            let problem = Problem::new(path.clone(), "a condition must be a function");
            return Err(problem.help("Fn::And, Fn::Equals, Fn::Not, Fn::Or or Condition").into());
        };
        let path = path.key(name);
        let parts = argument.as_array().map_or(&[][..], Vec::as_slice);
        let wrong = |what: &str| Err(Problem::new(path.clone(), what).into());
        match (name.as_str(), parts) {
            ("Condition", _) => match argument.as_str() {
                Some(name) => self.condition(name, &path),
                None => wrong("this must be the name of a condition"),
            },
            ("Fn::Equals", [one, other]) => {
                let one = self.known_text(one, &path.index(0))?;
                Ok(one == self.known_text(other, &path.index(1))?)
            }
            ("Fn::Equals", _) => wrong("Fn::Equals takes a list of two values"),
            ("Fn::Not", [part]) => Ok(!self.logic(part, &path.index(0))?),
            ("Fn::Not", _) => wrong("Fn::Not takes a list of one condition"),
            ("Fn::And" | "Fn::Or", parts) if (2..=10).contains(&parts.len()) => {
                let mut truths = Vec::new();
                for (index, part) in parts.iter().enumerate() {
                    truths.push(self.logic(part, &path.index(index))?);
                }
                Ok(if name == "Fn::And" { truths.iter().all(|truth| *truth) } else { truths.contains(&true) })
            }
            ("Fn::And" | "Fn::Or", _) => wrong("this takes a list of two to ten conditions"),
            _ => {
                let problem = Problem::of_key(path.clone(), format!("{name} is no condition"));
                Err(problem.suggest(name, LOGIC.iter().copied().chain(["Condition"])).into())
            }
        }
    }
}

/// A pseudo parameter's value.
fn pseudo(scope: &Scope, name: &str) -> Option<String> {
    Some(match name {
        "AWS::AccountId" => scope.account.clone(),
        "AWS::Partition" => scope.partition.clone(),
        "AWS::Region" => scope.region.clone(),
        "AWS::StackId" => stack_id(scope),
        "AWS::StackName" => scope.stack.clone(),
        "AWS::URLSuffix" => scope.url_suffix().to_owned(),
        _ => return None,
    })
}

/// An id in the form that CloudFormation gives stacks, and always the same for the same stack. Templates cut suffixes
/// from it to make names unique.
fn stack_id(scope: &Scope) -> String {
    let digest = hex::encode(Sha256::digest(format!("{} {} {}", scope.account, scope.region, scope.stack)));
    let uuid = [&digest[..8], &digest[8..12], &digest[12..16], &digest[16..20], &digest[20..32]].join("-");
    scope.arn("cloudformation", &format!("stack/{}/{uuid}", scope.stack))
}

/// A scalar as text.
fn scalar(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.clone()),
        Value::Number(_) | Value::Bool(_) => Some(value.to_string()),
        _ => None,
    }
}

/// The argument's parts, if it is a list of `N` of them.
fn parts<'v, const N: usize>(argument: &'v Value, path: &Path, takes: &str) -> Result<&'v [Value; N], Failure> {
    let parts = argument.as_array().and_then(|parts| parts.as_slice().try_into().ok());
    parts.ok_or_else(|| Problem::new(path.clone(), format!("this takes a list: {takes}")).into())
}

fn ref_(resolver: &mut Resolver<'_>, argument: &Value, path: &Path) -> Outcome {
    match argument {
        Value::String(name) => resolver.reference(name, path),
        _ => Err(Problem::new(path.clone(), "Ref takes the name of a resource or parameter").into()),
    }
}

fn get_att(resolver: &mut Resolver<'_>, argument: &Value, path: &Path) -> Outcome {
    let wrong = || Problem::new(path.clone(), "Fn::GetAtt takes a logical id and an attribute").into();
    let (logical_id, attribute) = match argument {
        Value::String(both) => match both.split_once('.') {
            Some((logical_id, attribute)) => (logical_id.to_owned(), attribute.to_owned()),
            None => return Err(wrong()),
        },
        Value::Array(parts) => match parts.as_slice() {
            // The attribute may be given by a parameter.
            [Value::String(logical_id), attribute] => {
                (logical_id.clone(), resolver.known_text(attribute, &path.index(1))?)
            }
            _ => return Err(wrong()),
        },
        _ => return Err(wrong()),
    };
    resolver.attribute(&logical_id, Some(&attribute), path)
}

fn sub(resolver: &mut Resolver<'_>, argument: &Value, path: &Path) -> Outcome {
    let (text, text_path, variables) = match argument {
        Value::String(text) => (text.as_str(), path.clone(), None),
        Value::Array(parts) => match parts.as_slice() {
            [Value::String(text)] => (text.as_str(), path.index(0), None),
            [Value::String(text), Value::Object(variables)] => (text.as_str(), path.index(0), Some(variables)),
            _ => {
                let what = "Fn::Sub takes a string, or a list of a string and a map of variables";
                return Err(Problem::new(path.clone(), what).into());
            }
        },
        _ => return Err(Problem::new(path.clone(), "Fn::Sub takes a string").into()),
    };
    let mut out = String::new();
    let mut rest = text;
    while let Some((before, after)) = rest.split_once("${") {
        out.push_str(before);
        let Some((name, after)) = after.split_once('}') else {
            out.push_str("${");
            rest = after;
            break;
        };
        rest = after;
        if let Some(literal) = name.strip_prefix('!') {
            out.push_str("${");
            out.push_str(literal);
            out.push('}');
            continue;
        }
        let name = name.trim();
        let allowed = |character: char| character.is_ascii_alphanumeric() || "_.:".contains(character);
        if name.is_empty() || !name.chars().all(allowed) {
            // CloudFormation's words.
            let what = "Template error: variable names in Fn::Sub syntax must contain only alphanumeric characters, \
                        underscores, periods, and colons";
            return Err(Problem::new(text_path, what)
                .help(format!("for a literal ${{{name}}} write ${{!{name}}}"))
                .into());
        }
        let value = match (variables.and_then(|variables| variables.get(name)), name.split_once('.')) {
            (Some(variable), _) => resolver.argument(variable, &path.index(1).key(name))?,
            (None, Some((logical_id, attribute))) => resolver.attribute(logical_id, Some(attribute), &text_path)?,
            (None, None) => resolver.reference(name, &text_path)?,
        };
        match value.as_ref().and_then(scalar) {
            Some(text) => out.push_str(&text),
            None => return Err(Problem::new(text_path, format!("${{{name}}} is not a string")).into()),
        }
    }
    out.push_str(rest);
    Ok(Some(out.into()))
}

fn join(resolver: &mut Resolver<'_>, argument: &Value, path: &Path) -> Outcome {
    let [delimiter, values] = parts(argument, path, "a delimiter and the list of what to join")?;
    let delimiter = resolver.text(delimiter, &path.index(0))?;
    let values = resolver.list(values, &path.index(1))?;
    let texts: Option<Vec<String>> = values.iter().map(scalar).collect();
    match texts {
        Some(texts) => Ok(Some(texts.join(&delimiter).into())),
        None => Err(Problem::new(path.index(1), "Fn::Join joins strings only").into()),
    }
}

fn select(resolver: &mut Resolver<'_>, argument: &Value, path: &Path) -> Outcome {
    let [index, values] = parts(argument, path, "an index and a list")?;
    let index = resolver.known_text(index, &path.index(0))?;
    let values = resolver.list(values, &path.index(1))?;
    let Ok(position) = index.parse::<usize>() else {
        return Err(Problem::new(path.index(0), format!("\"{index}\" is not an index")).into());
    };
    let count = values.len();
    match values.into_iter().nth(position) {
        Some(value) => Ok(Some(value)),
        None => {
            let what = format!("Fn::Select cannot select nonexistent value at index {position}");
            Err(Problem::new(path.clone(), what)
                .help(format!("the list has {count} values, and the first is 0"))
                .into())
        }
    }
}

fn split(resolver: &mut Resolver<'_>, argument: &Value, path: &Path) -> Outcome {
    let [delimiter, text] = parts(argument, path, "a delimiter and a string")?;
    let delimiter = resolver.known_text(delimiter, &path.index(0))?;
    let text = resolver.known_text(text, &path.index(1))?;
    if delimiter.is_empty() {
        return Err(Problem::new(path.index(0), "the delimiter of Fn::Split cannot be empty").into());
    }
    Ok(Some(text.split(delimiter.as_str()).collect()))
}

fn if_(resolver: &mut Resolver<'_>, argument: &Value, path: &Path) -> Outcome {
    let [condition, yes, no] = parts(argument, path, "a condition's name, the value if it holds, the value if not")?;
    let Some(condition) = condition.as_str() else {
        return Err(Problem::new(path.index(0), "this must be the name of a condition").into());
    };
    if resolver.condition(condition, &path.index(0))? {
        resolver.argument(yes, &path.index(1))
    } else {
        resolver.argument(no, &path.index(2))
    }
}

fn find_in_map(resolver: &mut Resolver<'_>, argument: &Value, path: &Path) -> Outcome {
    let [map, first, second] = parts(argument, path, "the name of a map, and two keys")?;
    let mut place = resolver.template.tree.get("Mappings").unwrap_or(&Value::Null);
    let mut keys = Vec::new();
    for (index, key) in [map, first, second].into_iter().enumerate() {
        let key = resolver.known_text(key, &path.index(index))?;
        place = match place.get(&key) {
            Some(below) => below,
            None => {
                let of = keys.last().map_or_else(|| "Mappings".to_owned(), String::clone);
                let known = place.as_object().into_iter().flat_map(|entries| entries.keys().map(String::as_str));
                let problem = Problem::new(path.index(index), format!("{of} has no key \"{key}\""));
                return Err(problem.suggest(&key, known).into());
            }
        };
        keys.push(key);
    }
    Ok(Some(place.clone()))
}

fn base64(resolver: &mut Resolver<'_>, argument: &Value, path: &Path) -> Outcome {
    let text = resolver.known_text(argument, path)?;
    Ok(Some(BASE64.encode(text).into()))
}

fn length(resolver: &mut Resolver<'_>, argument: &Value, path: &Path) -> Outcome {
    let count = resolver.list(argument, path)?.len();
    Ok(Some(json!(count)))
}

fn to_json_string(resolver: &mut Resolver<'_>, argument: &Value, path: &Path) -> Outcome {
    match resolver.argument(argument, path)? {
        Some(value @ (Value::Object(_) | Value::Array(_))) => Ok(Some(value.to_string().into())),
        _ => Err(Problem::new(path.clone(), "Fn::ToJsonString takes a map or a list").into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_function_has_a_name_of_the_language() {
        for name in FUNCTIONS.iter().map(|(name, _)| name).chain(LOGIC) {
            assert!(intrinsics::NAMES.contains(name), "{name}");
        }
    }
}
