//! The intrinsic functions that return values: one table, and one function each.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use super::conditions::LOGIC;
use super::parameters::Parameters;
use super::resolve::{Reference, Resolver};
use super::substitution::{self, Piece, Substitution};
use super::{Lookup, Scope, Token, network};
use crate::core::template::{LANGUAGE_EXTENSIONS, MOST_PROBLEMS, intrinsics};
use crate::core::types::Attribute;
use crate::core::words::{Path, Problem, ProblemKind};

/// Why a function has no value: a problem to report, or one that was reported already.
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

    /// The same, with the problem in the part `part` of its value.
    pub fn within(self, part: &str) -> Self {
        match self {
            Self::Problem(problem) => problem.within(part).into(),
            Self::Reported => Self::Reported,
        }
    }
}

/// The value of a function; `None` is `AWS::NoValue`.
type Outcome = Result<Option<Value>, Failure>;

/// Evaluates a function from its argument and the argument's path.
type Function = fn(&mut Resolver<'_>, &Value, &Path) -> Outcome;

/// All intrinsic functions that return values.
const FUNCTIONS: &[(&str, Function)] = &[
    ("Fn::Base64", base64),
    ("Fn::Cidr", cidr),
    ("Fn::FindInMap", find_in_map),
    ("Fn::GetAZs", get_azs),
    ("Fn::GetAtt", get_att),
    ("Fn::If", if_),
    ("Fn::ImportValue", import_value),
    ("Fn::Join", join),
    ("Fn::Length", length),
    ("Fn::Select", select),
    ("Fn::Split", split),
    ("Fn::Sub", sub),
    ("Fn::ToJsonString", to_json_string),
    ("Ref", ref_),
];

/// Functions that need CloudFormation itself; why they are not supported, and what to do.
const UNSUPPORTED: &[(&str, &str, &str)] = &[
    (
        "Fn::Transform",
        "Fn::Transform runs a macro inside CloudFormation, which wschat does not use",
        "write out what the macro would make",
    ),
    ("Fn::RefAll", "Fn::RefAll is not supported: CloudFormation looks its values up in the account", LIST_THEM),
    ("Fn::ValueOf", "Fn::ValueOf is not supported: CloudFormation looks its value up in the account", LIST_THEM),
    ("Fn::ValueOfAll", "Fn::ValueOfAll is not supported: CloudFormation looks its values up in the account", LIST_THEM),
];

const LIST_THEM: &str = "write out the values that are allowed";

/// The maximum depth of nested values, conditions and names taken together: all of them are evaluated recursively.
const MAX_DEPTH: usize = 400;

/// The most bytes that all functions of a template together may return: each may double another one's value.
const MAX_PRODUCED: usize = 32 << 20;

/// Functions that require the transform `AWS::LanguageExtensions`.
const EXTENSIONS: &[&str] = &["Fn::Length", "Fn::ToJsonString"];

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
    /// `value` with all intrinsic functions evaluated; `None` is `AWS::NoValue`. A failure is reported and leaves an
    /// empty string.
    pub(super) fn evaluate(&mut self, value: &Value, path: &Path) -> Option<Value> {
        let evaluated = self.deeper(path, |resolver| match intrinsics::call(value) {
            Some((name, argument)) => resolver.call(name, argument, path),
            None => Ok(resolver.ordinary(value, path)),
        });
        match evaluated {
            Ok(value) => value,
            Err(failure) => {
                self.problems.extend(failure.into_problem());
                self.failed.push(path.clone());
                Some(Value::from(""))
            }
        }
    }

    /// Runs `next` one level deeper, unless that is too deep.
    pub(super) fn deeper<T>(
        &mut self,
        path: &Path,
        next: impl FnOnce(&mut Self) -> Result<T, Failure>,
    ) -> Result<T, Failure> {
        if self.problems.len() > MOST_PROBLEMS {
            return Err(Failure::Reported);
        }
        if self.depth == MAX_DEPTH {
            let what = format!("values are built on each other here, more than {MAX_DEPTH} deep");
            return Err(Problem::new(path.clone(), what).into());
        }
        self.depth += 1;
        let outcome = next(self);
        self.depth -= 1;
        outcome
    }

    /// A value that is not a function call, with all calls below it evaluated.
    fn ordinary(&mut self, value: &Value, path: &Path) -> Option<Value> {
        match value {
            Value::Array(items) => {
                let items = items.iter().enumerate();
                Some(items.filter_map(|(index, item)| self.evaluate(item, &path.index(index))).collect())
            }
            Value::Object(entries) => {
                let mut map = serde_json::Map::new();
                for (key, value) in entries {
                    let path = path.key(key);
                    // With a sibling key, a call would look like an ordinary map.
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
        if EXTENSIONS.contains(&name) && !self.template.language_extensions {
            return Err(needs_extensions(below, name).into());
        }
        if let Some((_, function)) = FUNCTIONS.iter().find(|(known, _)| *known == name) {
            // A value computed from a secret is a secret.
            let written = self.writes_secret(argument);
            let around = std::mem::replace(&mut self.from_secret, written);
            let value = function(self, argument, &below);
            if self.from_secret
                && let Ok(Some(value)) = &value
            {
                self.secrets.add(value);
            }
            self.from_secret |= around;
            let value = value?;
            self.produced += value.as_ref().map_or(0, size);
            return if self.produced > MAX_PRODUCED { Err(too_much(&below)) } else { Ok(value) };
        }
        let problem = if LOGIC.contains(&name) {
            Problem::of_key(below, format!("{name} can be used in conditions only"))
        } else if let Some((_, what, help)) = UNSUPPORTED.iter().find(|(elsewhere, ..)| *elsewhere == name) {
            Problem::of_key(below, *what).kind(ProblemKind::Unsupported).help(*help)
        } else if intrinsics::OF_RULES.contains(&name) {
            Problem::of_key(below, format!("{name} can be used in rules only"))
        } else if name.starts_with("Fn::ForEach") {
            Problem::of_key(below, "Fn::ForEach is not supported yet")
                .kind(ProblemKind::Unsupported)
                .help("write the loop out")
        } else {
            let known = intrinsics::NAMES.iter().copied().filter(|known| known.starts_with("Fn::"));
            Problem::of_key(below, format!("unknown intrinsic function \"{name}\""))
                .kind(ProblemKind::Unknown)
                .suggest(name, known)
        };
        Err(problem.into())
    }

    /// Whether an argument contains a secret as written: SAM's transform substitutes parameters itself.
    fn writes_secret(&self, argument: &Value) -> bool {
        !self.secrets.is_empty() && self.secrets.stand_in(&argument.to_string())
    }

    /// An evaluated argument.
    fn argument(&mut self, value: &Value, path: &Path) -> Outcome {
        let failed = self.failed.len();
        let value = self.evaluate(value, path);
        if self.failed.len() > failed { Err(Failure::Reported) } else { Ok(value) }
    }

    /// An argument that must be text or a number; numbers become text.
    fn text(&mut self, value: &Value, path: &Path) -> Result<String, Failure> {
        let value = self.argument(value, path)?;
        let text = value.as_ref().and_then(scalar);
        text.ok_or_else(|| Problem::new(path.clone(), "this must be a string").kind(ProblemKind::IllTyped).into())
    }

    /// An argument that must be text and already known.
    pub(super) fn known_text(&mut self, value: &Value, path: &Path) -> Result<String, Failure> {
        let text = self.text(value, path)?;
        self.known(&Value::from(text), path).map(|text| text.as_str().unwrap_or_default().to_owned())
    }

    /// An argument that must be a list of texts, already known.
    pub(super) fn known_texts(&mut self, value: &Value, path: &Path) -> Result<Vec<String>, Failure> {
        let list = Value::from(self.list(value, path)?);
        let list = self.known(&list, path)?;
        let texts = list.as_array().into_iter().flatten().map(scalar).collect::<Option<_>>();
        texts.ok_or_else(|| {
            Problem::new(path.clone(), "this must be a list of strings").kind(ProblemKind::IllTyped).into()
        })
    }

    /// An argument that must be a whole number, already known.
    fn known_number(&mut self, value: &Value, path: &Path) -> Result<u32, Failure> {
        let text = self.known_text(value, path)?;
        text.parse().map_err(|_| {
            Problem::new(path.clone(), format!("\"{text}\" is not a whole number")).kind(ProblemKind::IllTyped).into()
        })
    }

    /// `value` with the attributes that are known before any resource exists; it must not contain others.
    fn known(&mut self, value: &Value, path: &Path) -> Result<Value, Failure> {
        let value = self.settle(value);
        // A name may be a secret.
        self.from_secret |= self.writes_secret(&value);
        match Token::find_all(&value).first() {
            None => Ok(value),
            Some(token) if token.is_of_lookup() => {
                self.undecided = true;
                Err(Failure::Reported)
            }
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
            _ => Err(Problem::new(path.clone(), "this must be a list").kind(ProblemKind::IllTyped).into()),
        }
    }

    /// The value of `Ref` (no attribute) or `Fn::GetAtt` of a resource: a token, for now.
    fn attribute(&mut self, logical_id: &str, attribute: Option<&str>, path: &Path) -> Outcome {
        let minted = self.is_minted(logical_id, attribute, path)?;
        if self.absent.contains_key(logical_id) && !self.pretending {
            // CloudFormation's message.
            let what = format!("Unresolved resource dependencies [{logical_id}]: its condition is false");
            return Err(Problem::new(path.clone(), what).kind(ProblemKind::ConditionFalse).into());
        }
        let target = logical_id.to_owned();
        self.references.push(Reference { target, path: path.clone(), minted });
        Ok(Some(Token::text(logical_id, attribute.unwrap_or("Ref")).into()))
    }

    /// Whether AWS mints an attribute of a resource; both must exist.
    pub(super) fn is_minted(&self, logical_id: &str, attribute: Option<&str>, path: &Path) -> Result<bool, Failure> {
        if self.template.is_broken(logical_id) {
            return Err(Failure::Reported);
        }
        let Some(kind) = self.kinds.get(logical_id).or_else(|| self.absent.get(logical_id)) else {
            if self.template.resources.contains_key(logical_id) {
                // Its type is not supported, which is reported.
                return Err(Failure::Reported);
            }
            let problem = Problem::new(path.clone(), format!("there is no resource \"{logical_id}\""))
                .kind(ProblemKind::BadReference);
            return Err(problem.suggest(logical_id, self.template.resources.keys().map(String::as_str)).into());
        };
        // Whether the attribute exists does not depend on the name.
        match kind.attribute(self.scope, kind.naming().map(|_| logical_id), attribute) {
            Attribute::Known(_) => Ok(false),
            Attribute::Minted | Attribute::Ref | Attribute::EndsInRef(_) => Ok(true),
            Attribute::NotYet => {
                let what = format!(
                    "the attribute {} of {} is not supported yet",
                    attribute.unwrap_or("Ref"),
                    kind.type_name()
                );
                Err(Problem::new(path.clone(), what).kind(ProblemKind::Unsupported).into())
            }
            Attribute::Unknown(known) => {
                let given = attribute.unwrap_or("Ref");
                let what = format!("{} has no attribute \"{given}\"", kind.type_name());
                Err(Problem::new(path.clone(), what)
                    .kind(ProblemKind::BadReference)
                    .suggest(given, known.iter().copied())
                    .into())
            }
        }
    }

    /// The value of `Ref`.
    fn reference(&mut self, name: &str, path: &Path) -> Outcome {
        if let Some(value) = self.parameters.values.get(name) {
            self.from_secret |= Parameters::is_secret(self.template, name);
            return Ok(Some(value.clone()));
        }
        if self.template.parameters.contains_key(name) || self.template.is_broken(name) {
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
        Err(self.no_name(name, path).into())
    }

    /// Whether `name` is a parameter or pseudo parameter, with or without a value.
    pub(super) fn is_parameter(&self, name: &str) -> bool {
        self.template.parameters.contains_key(name) || self.template.is_broken(name) || PSEUDO.contains(&name)
    }

    /// The problem that `name` does not exist.
    pub(super) fn no_name(&self, name: &str, path: &Path) -> Problem {
        let parameters = self.template.parameters.keys().map(String::as_str).chain(PSEUDO.iter().copied());
        let problem = |what: String| Problem::new(path.clone(), what).kind(ProblemKind::BadReference);
        let in_logic = ["Conditions", "Rules"].iter().any(|section| Path::default().key(section).is_above(path));
        if in_logic {
            return problem(format!("there is no parameter \"{name}\"")).suggest(name, parameters);
        }
        let none = problem(format!("there is no resource or parameter \"{name}\""));
        if name.split_once('.').is_some_and(|(id, _)| self.template.resources.contains_key(id)) {
            return none.help(format!("write !GetAtt {name}: an attribute is no part of !Ref"));
        }
        none.suggest(name, parameters.chain(self.template.resources.keys().map(String::as_str)))
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

/// An id in the form of CloudFormation's stack ids, always the same for the same stack. Templates cut suffixes from it
/// to make names unique.
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

/// The approximate size of a value in bytes.
fn size(value: &Value) -> usize {
    match value {
        Value::String(text) => text.len(),
        Value::Array(items) => items.iter().map(|item| 1 + size(item)).sum(),
        Value::Object(entries) => entries.iter().map(|(key, value)| key.len() + size(value)).sum(),
        _ => 1,
    }
}

fn too_much(path: &Path) -> Failure {
    let what = format!("the functions of the template give more than {} MB", MAX_PRODUCED >> 20);
    Problem::new(path.clone(), what).into()
}

/// The problem that a part of the language is used without its transform.
fn needs_extensions(path: Path, part: &str) -> Problem {
    Problem::of_key(path, format!("{part} needs the transform {LANGUAGE_EXTENSIONS}"))
        .help(format!("add \"Transform: {LANGUAGE_EXTENSIONS}\", before SAM's if there is one"))
}

/// The elements of the argument, if it is a list of `N`.
fn parts<'v, const N: usize>(argument: &'v Value, path: &Path, takes: &str) -> Result<&'v [Value; N], Failure> {
    let parts = argument.as_array().and_then(|parts| parts.as_slice().try_into().ok());
    parts.ok_or_else(|| {
        Problem::new(path.clone(), format!("this takes a list: {takes}")).kind(ProblemKind::IllTyped).into()
    })
}

fn ref_(resolver: &mut Resolver<'_>, argument: &Value, path: &Path) -> Outcome {
    match argument {
        Value::String(name) => resolver.reference(name, path),
        _ => Err(Problem::new(path.clone(), "Ref takes the name of a resource or parameter")
            .kind(ProblemKind::IllTyped)
            .into()),
    }
}

fn get_att(resolver: &mut Resolver<'_>, argument: &Value, path: &Path) -> Outcome {
    let wrong = || {
        Problem::new(path.clone(), "Fn::GetAtt takes a logical id and an attribute").kind(ProblemKind::IllTyped).into()
    };
    let (logical_id, attribute) = match argument {
        Value::String(both) => match both.split_once('.') {
            Some((logical_id, attribute)) => (logical_id.to_owned(), attribute.to_owned()),
            None => return Err(wrong()),
        },
        Value::Array(parts) => match parts.as_slice() {
            // The attribute may come from a parameter.
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
    let Some(call) = Substitution::read(argument, path) else {
        let what = "Fn::Sub takes a string, or a list of a string and a map of variables";
        return Err(Problem::new(path.clone(), what).kind(ProblemKind::IllTyped).into());
    };
    let mut out = String::new();
    for piece in substitution::pieces(call.text) {
        let name = match piece {
            Piece::Literal(literal) => {
                out.push_str(literal);
                continue;
            }
            Piece::Variable(name) => name,
            Piece::Invalid(name) => return Err(substitution::invalid(name, &call.path).into()),
        };
        let value = match (call.variable(name), name.split_once('.')) {
            (Some(variable), _) => resolver.argument(variable, &path.index(1).key(name))?,
            (None, Some((logical_id, attribute))) => {
                resolver.attribute(logical_id, Some(attribute), &call.path).map_err(|failure| failure.within(name))?
            }
            (None, None) => resolver.reference(name, &call.path).map_err(|failure| failure.within(name))?,
        };
        match value.as_ref().and_then(scalar) {
            Some(text) if out.len() + text.len() > MAX_PRODUCED => return Err(too_much(&call.path)),
            Some(text) => out.push_str(&text),
            None => {
                return Err(Problem::new(call.path, format!("${{{name}}} is not a string"))
                    .kind(ProblemKind::IllTyped)
                    .into());
            }
        }
    }
    Ok(Some(out.into()))
}

fn join(resolver: &mut Resolver<'_>, argument: &Value, path: &Path) -> Outcome {
    let [delimiter, values] = parts(argument, path, "a delimiter and the list of what to join")?;
    let delimiter = resolver.text(delimiter, &path.index(0))?;
    let values = resolver.list(values, &path.index(1))?;
    let texts: Option<Vec<String>> = values.iter().map(scalar).collect();
    match texts {
        Some(texts) if texts.len().saturating_mul(delimiter.len()) > MAX_PRODUCED => Err(too_much(path)),
        Some(texts) => Ok(Some(texts.join(&delimiter).into())),
        None => Err(Problem::new(path.index(1), "Fn::Join joins strings only").kind(ProblemKind::IllTyped).into()),
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
                .depending_on_values([path.clone()])
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
        return Err(Problem::new(path.index(0), "this must be the name of a condition")
            .kind(ProblemKind::IllTyped)
            .into());
    };
    let truth = resolver.condition(condition, &path.index(0))?;
    let ((taken, at), (left, aside)) = if truth { ((yes, 1), (no, 2)) } else { ((no, 2), (yes, 1)) };
    resolver.check_names(left, &path.index(aside));
    resolver.argument(taken, &path.index(at))
}

/// What another stack exports.
fn import_value(resolver: &mut Resolver<'_>, argument: &Value, path: &Path) -> Outcome {
    let name = resolver.known_text(argument, path)?;
    if name.is_empty() {
        return Err(Problem::new(path.clone(), "Fn::ImportValue takes the name of an export").into());
    }
    Ok(Some(resolver.look_up(Lookup::Export { name }, path)?.into()))
}

fn find_in_map(resolver: &mut Resolver<'_>, argument: &Value, path: &Path) -> Outcome {
    let (keys, default) = match argument.as_array().map(Vec::as_slice) {
        Some([map, first, second]) => ([map, first, second], None),
        Some([map, first, second, Value::Object(options)]) if options.contains_key("DefaultValue") => {
            if !resolver.template.language_extensions {
                return Err(needs_extensions(path.index(3).key("DefaultValue"), "DefaultValue of Fn::FindInMap").into());
            }
            ([map, first, second], options.get("DefaultValue"))
        }
        _ => {
            return Err(Problem::new(path.clone(), "this takes a list: the name of a map, and two keys")
                .kind(ProblemKind::IllTyped)
                .into());
        }
    };
    let mut place = resolver.template.tree.get("Mappings").unwrap_or(&Value::Null);
    let mut passed = Vec::new();
    for (index, key) in keys.into_iter().enumerate() {
        let key = resolver.known_text(key, &path.index(index))?;
        place = match (place.get(&key), default) {
            (Some(below), _) => below,
            (None, Some(default)) => return resolver.argument(default, &path.index(3).key("DefaultValue")),
            (None, None) => {
                let of = passed.last().map_or_else(|| "Mappings".to_owned(), String::clone);
                let known = place.as_object().into_iter().flat_map(|entries| entries.keys().map(String::as_str));
                let problem = Problem::new(path.index(index), format!("{of} has no key \"{key}\""))
                    .kind(ProblemKind::BadReference);
                return Err(problem.suggest(&key, known).into());
            }
        };
        passed.push(key);
    }
    Ok(Some(place.clone()))
}

/// The availability zones of the stack's region, or of the given one.
fn get_azs(resolver: &mut Resolver<'_>, argument: &Value, path: &Path) -> Outcome {
    let region = match resolver.known_text(argument, path)? {
        own if own.is_empty() => resolver.scope.region.clone(),
        named => named,
    };
    match network::zones(&region) {
        Some(zones) => Ok(Some(zones.into())),
        None => {
            let problem =
                Problem::new(path.clone(), format!("the zones of the region \"{region}\" are not known here"));
            Err(problem.help("write the list of zones out, or make it a parameter").into())
        }
    }
}

fn cidr(resolver: &mut Resolver<'_>, argument: &Value, path: &Path) -> Outcome {
    let [block, count, bits] =
        parts(argument, path, "a block of addresses, how many blocks to cut from it, the bits of each")?;
    let block = resolver.known_text(block, &path.index(0))?;
    let count = resolver.known_number(count, &path.index(1))?;
    let bits = resolver.known_number(bits, &path.index(2))?;
    match network::cut(&block, count, bits) {
        Ok(blocks) => Ok(Some(blocks.into())),
        Err(why) => Err(Problem::new(path.clone(), why).into()),
    }
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
        _ => {
            Err(Problem::new(path.clone(), "Fn::ToJsonString takes a map or a list").kind(ProblemKind::IllTyped).into())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_function_has_a_name_of_the_language() {
        for name in FUNCTIONS.iter().map(|(name, _)| name).chain(LOGIC).chain(intrinsics::OF_RULES) {
            assert!(intrinsics::NAMES.contains(name), "{name}");
        }
    }
}
