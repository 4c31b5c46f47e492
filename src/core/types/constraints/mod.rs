//! Constraints on a resource's own properties that AWS checks, checked before any call.
//!
//! Lengths, patterns, ranges and enumerations come from AWS's service models, through `constraints.tsv`, which
//! `make.py` writes. Constraints that only documentation states are in `documented`. Values are checked as the template
//! gives them, before defaults are filled in and lists are sorted, so that paths are the user's.

mod documented;

use std::collections::BTreeMap;
use std::sync::{LazyLock, OnceLock};

use regex_lite::Regex;
use serde_json::Value;

use crate::core::words::deserialize::subject;
use crate::core::words::{Path, Problem, ProblemKind, Token, instead};

/// The table, written by `make.py`.
const TABLE: &str = include_str!("constraints.tsv");

/// The constraints of each type.
static BY_TYPE: LazyLock<BTreeMap<&str, Vec<Constraint>>> = LazyLock::new(|| {
    let mut types: BTreeMap<&str, Vec<Constraint>> = BTreeMap::new();
    for line in TABLE.lines().filter(|line| !line.starts_with('#')) {
        if let Some((type_name, rest)) = line.split_once('\t') {
            types.entry(type_name).or_default().extend(Constraint::read(rest));
        }
    }
    types
});

/// A longer text is quoted in part.
const MAX_QUOTE: usize = 60;

/// What AWS would refuse of `properties`, one problem for each value. They are evaluated, with tokens inside for what
/// is not known yet; paths are relative to them.
pub fn check(type_name: &str, properties: &Value) -> Vec<Refusal> {
    let properties = &*documented::meant(type_name, properties);
    let mut refusals = documented::check(type_name, properties);
    let documented = refusals.len();
    for constraint in BY_TYPE.get(type_name).into_iter().flatten() {
        constraint.visit(&constraint.place, properties, &Path::default(), &mut refusals);
    }
    // The table's constraints do not know whose they are.
    let found = refusals[documented..].iter_mut().map(|refusal| &mut refusal.problem);
    for problem in found.filter(|problem| problem.kind == ProblemKind::Missing && problem.path.0.is_empty()) {
        problem.what = format!("{} of {type_name}", problem.what);
    }
    refusals
}

/// A value, or a missing one, that AWS would refuse.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    pub problem: Problem,
    /// Whether something is missing: then it may be given under a misspelt name.
    pub missing: bool,
}

impl Refusal {
    fn missing(problem: Problem) -> Self {
        Self { problem, missing: true }
    }
}

impl From<Problem> for Refusal {
    fn from(problem: Problem) -> Self {
        Self { problem, missing: false }
    }
}

/// A step from a value to the values that a constraint is about.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Step {
    Member(&'static str),
    /// Every element of a list.
    Element,
    /// Every value of a map.
    Value,
    /// Every key of a map.
    Key,
}

#[derive(Debug, Clone, Copy, PartialEq)]
enum Kind {
    Text,
    Number,
    List,
    /// Only its presence is checked.
    Any,
}

/// One line of the table.
#[derive(Debug)]
struct Constraint {
    place: Vec<Step>,
    kind: Kind,
    required: bool,
    /// Limits of a number, or of the length of a text or list.
    least: Option<f64>,
    most: Option<f64>,
    one_of: Vec<&'static str>,
    pattern: Option<Pattern>,
}

#[derive(Debug)]
struct Pattern {
    text: &'static str,
    /// A pattern that the value must not match.
    never: Option<&'static str>,
    /// What is allowed, in words for the user.
    words: Option<&'static str>,
    compiled: OnceLock<Option<(Regex, Option<Regex>)>>,
}

impl Pattern {
    fn compiled(&self) -> Option<&(Regex, Option<Regex>)> {
        let whole = |pattern: &str| Regex::new(&format!("^(?:{pattern})$")).ok();
        let compile = || Some((whole(self.text)?, self.never.and_then(whole)));
        self.compiled.get_or_init(compile).as_ref()
    }

    fn allows(&self, text: &str) -> bool {
        self.compiled().is_none_or(|(allowed, never)| {
            allowed.is_match(text) && !never.as_ref().is_some_and(|never| never.is_match(text))
        })
    }
}

impl Constraint {
    /// Reads a line of the table, after its type.
    fn read(line: &'static str) -> Option<Self> {
        let mut cells = line.split('\t');
        let place = read_place(cells.next()?);
        let kind = match cells.next()? {
            "text" => Kind::Text,
            "number" => Kind::Number,
            "list" => Kind::List,
            _ => Kind::Any,
        };
        let known: BTreeMap<&str, &'static str> = cells.filter_map(|cell| cell.split_once('=')).collect();
        let number = |name: &str| known.get(name).and_then(|number| number.parse().ok());
        let pattern = known.get("pattern").map(|text| Pattern {
            text,
            never: known.get("never").copied(),
            words: known.get("words").copied(),
            compiled: OnceLock::new(),
        });
        Some(Self {
            place,
            kind,
            required: known.contains_key("required"),
            least: number("least"),
            most: number("most"),
            one_of: known.get("one of").map(|all| all.split('|').collect()).unwrap_or_default(),
            pattern,
        })
    }

    /// Checks every value that `steps` lead to, from `value` at `path`.
    fn visit(&self, steps: &[Step], value: &Value, path: &Path, problems: &mut Vec<Refusal>) {
        let Some((step, rest)) = steps.split_first() else {
            let about = || subject(path);
            return self.check_value(value, path, false, about, problems);
        };
        match (step, value) {
            (Step::Member(name), Value::Object(members)) => match members.get(*name) {
                Some(below) if !below.is_null() => self.visit(rest, below, &path.key(name), problems),
                _ if self.required && rest.is_empty() => {
                    let of = if path.0.is_empty() { String::new() } else { format!(" of {}", subject(path)) };
                    let problem = Problem::new(path.clone(), format!("missing property \"{name}\"{of}"))
                        .kind(ProblemKind::Missing);
                    problems.push(Refusal::missing(problem));
                }
                _ => {}
            },
            (Step::Element, Value::Array(items)) => {
                for (index, item) in items.iter().enumerate() {
                    self.visit(rest, item, &path.index(index), problems);
                }
            }
            (Step::Key, Value::Object(members)) => {
                for key in members.keys() {
                    let about = || format!("a name in {}", subject(path));
                    self.check_value(&Value::from(key.as_str()), &path.key(key), true, about, problems);
                }
            }
            (Step::Value, Value::Object(members)) => {
                for (key, below) in members.iter().filter(|(_, below)| !below.is_null()) {
                    let path = path.key(key);
                    if rest.is_empty() {
                        self.check_value(below, &path, false, || subject(&path), problems);
                    } else {
                        self.visit(rest, below, &path, problems);
                    }
                }
            }
            // Some services have tags as a map, templates have them as a list.
            (Step::Key | Step::Value, Value::Array(tags)) => {
                let name = if *step == Step::Key { "Key" } else { "Value" };
                for (index, tag) in tags.iter().enumerate() {
                    let Some(below) = tag.get(name).filter(|below| !below.is_null()) else { continue };
                    let path = path.index(index).key(name);
                    self.check_value(below, &path, false, || format!("the {} of a tag", name.to_lowercase()), problems);
                }
            }
            _ => {}
        }
    }

    /// Checks the constraint on one value; `about()` is its name in the sentence.
    fn check_value(
        &self,
        value: &Value,
        path: &Path,
        at_key: bool,
        about: impl Fn() -> String,
        problems: &mut Vec<Refusal>,
    ) {
        // A more specific problem was found here already.
        if problems.iter().any(|found| found.problem.path == *path && !found.missing) {
            return;
        }
        let found = match self.kind {
            Kind::Text => text_of(value).and_then(|text| self.wrong_text(&text, &about)),
            Kind::Number => self.wrong_number(value, &about),
            Kind::List => value.as_array().and_then(|items| self.wrong_size(items.len(), &about)),
            Kind::Any => None,
        };
        if let Some((what, help)) = found {
            let problem = Problem::new(path.clone(), what);
            let depends_on_values = if at_key { Vec::new() } else { vec![path.clone()] };
            problems.push(Problem { at_key, help, depends_on_values, ..problem }.into());
        }
    }

    fn wrong_text(&self, text: &str, about: &impl Fn() -> String) -> Option<(String, Option<String>)> {
        let unknown = Token::is_in(text);
        // A part that AWS will fill in counts as empty.
        let length = Token::substitute_text(text, &|_| Some(String::new())).chars().count();
        if self.most.is_some_and(|most| length as f64 > most) {
            let at_least = if unknown { "at least " } else { "" };
            return Some((
                format!("{} may have {} characters at most, not {at_least}{length}", about(), shown(self.most)),
                None,
            ));
        }
        if unknown {
            return None;
        }
        if self.least.is_some_and(|least| (length as f64) < least) {
            let what = match length {
                0 => format!("{} must not be empty", about()),
                _ => format!("{} must have {} characters at least, not {length}", about(), shown(self.least)),
            };
            return Some((what, None));
        }
        let wrong = || format!("{} cannot be \"{}\"", about(), quoted(text));
        if !self.one_of.is_empty() && !self.one_of.contains(&text) {
            return Some((wrong(), Some(instead(text, &self.one_of))));
        }
        let pattern = self.pattern.as_ref().filter(|pattern| !pattern.allows(text))?;
        let help = match pattern.words {
            Some(words) => format!("allowed: {words}"),
            None => format!("it must match {}", pattern.text),
        };
        Some((wrong(), Some(help)))
    }

    fn wrong_number(&self, value: &Value, about: &impl Fn() -> String) -> Option<(String, Option<String>)> {
        // A value that is not a number was reported when it was read.
        let number = value.as_f64().or_else(|| value.as_str()?.trim().parse().ok())?;
        let known = number.to_string();
        if !self.one_of.is_empty() && !self.one_of.contains(&known.as_str()) {
            return Some((
                format!("{} cannot be {known}", about()),
                Some(format!("allowed: {}", self.one_of.join(", "))),
            ));
        }
        let low = self.least.is_some_and(|least| number < least);
        let high = self.most.is_some_and(|most| number > most);
        let range = match (self.least, self.most) {
            (Some(least), Some(most)) => format!("from {least} to {most}"),
            (Some(least), None) => format!("at least {least}"),
            (None, most) => format!("at most {}", shown(most)),
        };
        (low || high).then(|| (format!("{} must be {range}, not {known}", about()), None))
    }

    fn wrong_size(&self, size: usize, about: &impl Fn() -> String) -> Option<(String, Option<String>)> {
        if self.least.is_some_and(|least| (size as f64) < least) {
            return Some((format!("{} must have {} at least, not {size}", about(), elements(self.least)), None));
        }
        let over = self.most.is_some_and(|most| size as f64 > most);
        over.then(|| (format!("{} may have {} at most, not {size}", about(), elements(self.most)), None))
    }
}

/// `KeySchema[].AttributeName` as steps.
fn read_place(text: &'static str) -> Vec<Step> {
    let mut steps = Vec::new();
    for part in text.split('.') {
        let end = part.find(['[', '{']).unwrap_or(part.len());
        let (name, mut marks) = part.split_at(end);
        steps.push(Step::Member(name));
        while !marks.is_empty() {
            let known = [("[]", Step::Element), ("{}", Step::Value), ("{key}", Step::Key)];
            let Some((mark, step)) = known.into_iter().find(|(mark, _)| marks.starts_with(mark)) else { break };
            steps.push(step);
            marks = &marks[mark.len()..];
        }
    }
    steps
}

/// A value as text, converted as CloudFormation does.
fn text_of(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.clone()),
        Value::Number(_) | Value::Bool(_) => Some(value.to_string()),
        _ => None,
    }
}

fn quoted(text: &str) -> String {
    match text.char_indices().nth(MAX_QUOTE) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.to_owned(),
    }
}

fn shown(number: Option<f64>) -> String {
    number.map(|number| number.to_string()).unwrap_or_default()
}

fn elements(number: Option<f64>) -> String {
    format!("{} element{}", shown(number), if number == Some(1.0) { "" } else { "s" })
}

#[cfg(test)]
mod tests;
