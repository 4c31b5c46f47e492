//! The steps of a smoke test: what a file says, or what follows from the routes of the API.

use std::collections::{BTreeMap, BTreeSet};

use regex_lite::Regex;
use serde::Deserialize;
use serde_json::Value;

use super::close;
use super::expect::Expected;
use super::message::Form;
use crate::core::words::{Path, Problem, ProblemKind, deserialize, nearest};

/// How long a step may take, unless it says otherwise, in seconds.
pub const TIMEOUT: f64 = 5.0;

/// The longest time that a step may be given, in seconds.
const LONGEST: f64 = 600.0;

/// The variable that every test has: a text that no other run has.
pub const RUN: &str = "run";

/// The steps, in order.
#[derive(Debug, Clone, PartialEq)]
pub struct Steps(pub Vec<Step>);

/// One step.
#[derive(Debug, Clone, PartialEq)]
pub struct Step {
    /// The client that it is about; of `expect` the clients, any of which will do.
    pub clients: Vec<String>,
    pub act: Act,
    /// How long it may take, in seconds.
    pub timeout: f64,
}

/// What a step does.
#[derive(Debug, Clone, PartialEq)]
pub enum Act {
    Connect {
        headers: Vec<(String, String)>,
        query: Vec<(String, String)>,
        subprotocols: Vec<String>,
        /// The status that the handshake is to be refused with.
        refused: Option<u16>,
    },
    Send(String),
    Expect {
        what: Expected,
        /// The members of the JSON that came, by the variables that they give.
        save: BTreeMap<String, String>,
    },
    Close(u16),
}

impl Step {
    /// What it does, in words: `expect bob`.
    pub fn label(&self) -> String {
        let clients = self.clients.join(" or ");
        match &self.act {
            Act::Connect { .. } => format!("connect {clients}"),
            Act::Send(_) => format!("send {clients}"),
            Act::Expect { .. } => format!("expect {clients}"),
            Act::Close(_) => format!("close {clients}"),
        }
    }

    /// The same step with the values of variables in its texts.
    pub fn with(&self, variables: &BTreeMap<String, String>) -> Self {
        let text = |text: &str| substitute(text, variables, str::to_owned);
        let pairs =
            |pairs: &[(String, String)]| pairs.iter().map(|(name, value)| (name.clone(), text(value))).collect();
        let act = match &self.act {
            Act::Connect { headers, query, subprotocols, refused } => Act::Connect {
                headers: pairs(headers),
                query: pairs(query),
                subprotocols: subprotocols.iter().map(|one| text(one)).collect(),
                refused: *refused,
            },
            Act::Send(message) => Act::Send(text(message)),
            Act::Expect { what, save } => {
                let what = match what {
                    Expected::Text(one) => Expected::Text(text(one)),
                    Expected::Contains(one) => Expected::Contains(text(one)),
                    Expected::Matches(pattern) => Expected::Matches(substitute(pattern, variables, regex_lite::escape)),
                    Expected::Json(value) => Expected::Json(in_texts(value, &text)),
                    other => other.clone(),
                };
                Act::Expect { what, save: save.clone() }
            }
            Act::Close(code) => Act::Close(*code),
        };
        Self { act, ..self.clone() }
    }
}

impl Steps {
    /// Two clients connect, one says something in this form, one of the two hears it, both leave. A text that goes to
    /// `$default` may be answered with anything.
    pub fn of(form: &Form, headers: &[(String, String)], query: &[(String, String)], subprotocols: &[String]) -> Self {
        let step = |clients: &[&str], act| Step {
            clients: clients.iter().map(|client| (*client).to_owned()).collect(),
            act,
            timeout: TIMEOUT,
        };
        let connect = || Act::Connect {
            headers: headers.to_vec(),
            query: query.to_vec(),
            subprotocols: subprotocols.to_vec(),
            refused: None,
        };
        let text = format!("smoke test ${{{RUN}}}");
        let what = match form {
            Form::Plain => Expected::Any,
            Form::Object { .. } => Expected::Contains(text.clone()),
        };
        Self(vec![
            step(&["alice"], connect()),
            step(&["bob"], connect()),
            step(&["alice"], Act::Send(form.message(&text))),
            step(&["bob", "alice"], Act::Expect { what, save: BTreeMap::new() }),
            step(&["alice"], Act::Close(1000)),
            step(&["bob"], Act::Close(1000)),
        ])
    }

    /// Reads a file's value; `variables` are the names of those that are given beside it.
    ///
    /// # Errors
    /// Everything that is wrong with it.
    pub fn read(file: &Value, variables: &[String]) -> Result<Self, Vec<Problem>> {
        let File { timeout, steps } = deserialize::read(file)?;
        let mut problems = Vec::new();
        let root = Path::default();
        let default = timeout.unwrap_or(TIMEOUT);
        problems.extend(bad_timeout(&root.key("timeout"), timeout));
        if steps.is_empty() {
            problems.push(Problem::new(root.key("steps"), "there are no steps").kind(ProblemKind::Missing));
        }
        let mut known: BTreeSet<String> = variables.iter().cloned().chain([RUN.to_owned()]).collect();
        let mut connected = BTreeSet::new();
        let mut found = Vec::new();
        for (index, raw) in steps.iter().enumerate() {
            let path = root.key("steps").index(index);
            problems.extend(bad_timeout(&path.key("timeout"), raw.timeout));
            if let Some(step) = raw.step(&path, default, &mut problems) {
                check(&step, &path, &mut known, &mut connected, &mut problems);
                found.push(step);
            }
        }
        if problems.is_empty() { Ok(Self(found)) } else { Err(problems) }
    }
}

#[derive(Debug, Deserialize)]
struct File {
    timeout: Option<f64>,
    steps: Vec<Raw>,
}

/// A step as a file has it.
#[derive(Debug, Deserialize)]
struct Raw {
    connect: Option<String>,
    send: Option<String>,
    expect: Option<Value>,
    close: Option<String>,
    timeout: Option<f64>,
    // Of connect.
    headers: Option<BTreeMap<String, String>>,
    query: Option<BTreeMap<String, String>>,
    subprotocols: Option<Vec<String>>,
    refused: Option<u16>,
    // Of send and expect.
    text: Option<String>,
    json: Option<Value>,
    // Of expect.
    contains: Option<String>,
    matches: Option<String>,
    nothing: Option<bool>,
    closed: Option<Value>,
    save: Option<BTreeMap<String, String>>,
    // Of close.
    code: Option<u16>,
}

const VERBS: [&str; 4] = ["connect", "send", "expect", "close"];

impl Raw {
    /// The members that are there, other than verbs and `timeout`.
    fn members(&self) -> Vec<&'static str> {
        [
            ("headers", self.headers.is_some()),
            ("query", self.query.is_some()),
            ("subprotocols", self.subprotocols.is_some()),
            ("refused", self.refused.is_some()),
            ("text", self.text.is_some()),
            ("json", self.json.is_some()),
            ("contains", self.contains.is_some()),
            ("matches", self.matches.is_some()),
            ("nothing", self.nothing.is_some()),
            ("closed", self.closed.is_some()),
            ("save", self.save.is_some()),
            ("code", self.code.is_some()),
        ]
        .into_iter()
        .filter_map(|(name, is_there)| is_there.then_some(name))
        .collect()
    }

    fn step(&self, path: &Path, default: f64, problems: &mut Vec<Problem>) -> Option<Step> {
        let before = problems.len();
        let verbs = [self.connect.is_some(), self.send.is_some(), self.expect.is_some(), self.close.is_some()];
        let given: Vec<&str> = VERBS.into_iter().zip(verbs).filter_map(|(verb, given)| given.then_some(verb)).collect();
        let [verb] = given[..] else {
            let what = if given.is_empty() { "no verb".to_owned() } else { format!("{} verbs", given.len()) };
            let what = format!("a step has one verb with the client's name, and this has {what}");
            problems.push(Problem::new(path.clone(), what).help(format!("one of {}", VERBS.join(", "))));
            return None;
        };
        let allowed: &[&str] = match verb {
            "connect" => &["headers", "query", "subprotocols", "refused"],
            "send" => &["text", "json"],
            "expect" => &["text", "json", "contains", "matches", "nothing", "closed", "save"],
            _ => &["code"],
        };
        for member in self.members().into_iter().filter(|member| !allowed.contains(member)) {
            let problem = Problem::new(path.key(member), format!("\"{verb}\" has no \"{member}\""));
            problems.push(problem.kind(ProblemKind::Unknown).help(format!("it has {}", allowed.join(", "))));
        }
        let mut clients: Vec<String> =
            [&self.connect, &self.send, &self.close].into_iter().flatten().cloned().collect();
        let act = match verb {
            "connect" => Act::Connect {
                headers: self.headers.clone().unwrap_or_default().into_iter().collect(),
                query: self.query.clone().unwrap_or_default().into_iter().collect(),
                subprotocols: self.subprotocols.clone().unwrap_or_default(),
                refused: self.refused,
            },
            "send" => match (&self.text, &self.json) {
                (Some(text), None) => Act::Send(text.clone()),
                (None, Some(value)) => Act::Send(value.to_string()),
                _ => {
                    problems.push(Problem::new(path.clone(), "\"send\" needs either \"text\" or \"json\""));
                    return None;
                }
            },
            "expect" => {
                clients = self.expected_clients(path, problems);
                let what = self.what(path, problems)?;
                if self.save.is_some() && !matches!(what, Expected::Json(_) | Expected::Any) {
                    let what = "\"save\" takes members of a JSON message: it goes with \"json\", or alone";
                    problems.push(
                        Problem::new(path.key("save"), what).help("the named groups of \"matches\" are variables, too"),
                    );
                }
                Act::Expect { what, save: self.save.clone().unwrap_or_default() }
            }
            _ => {
                let code = self.code.unwrap_or(1000);
                if !close::may_be_sent(code) {
                    let what = format!("a client may not close with {code}");
                    problems.push(Problem::new(path.key("code"), what).help("1000, 1001, or one of 3000 to 4999"));
                }
                Act::Close(code)
            }
        };
        let timeout = self.timeout.unwrap_or(default);
        (problems.len() == before).then_some(Step { clients, act, timeout })
    }

    fn expected_clients(&self, path: &Path, problems: &mut Vec<Problem>) -> Vec<String> {
        let names: Option<Vec<String>> = match &self.expect {
            Some(Value::String(name)) => Some(vec![name.clone()]),
            Some(Value::Array(names)) if !names.is_empty() => {
                names.iter().map(|name| name.as_str().map(str::to_owned)).collect()
            }
            _ => None,
        };
        names.unwrap_or_else(|| {
            let what = "\"expect\" is the name of a client, or a list of names";
            problems.push(Problem::new(path.key("expect"), what).kind(ProblemKind::IllTyped));
            Vec::new()
        })
    }

    fn what(&self, path: &Path, problems: &mut Vec<Problem>) -> Option<Expected> {
        let closed = match &self.closed {
            None => None,
            Some(Value::Bool(true)) => Some(Expected::Closed(None)),
            Some(code) => match code.as_u64().and_then(|code| u16::try_from(code).ok()) {
                Some(code) => Some(Expected::Closed(Some(code))),
                None => {
                    let what = "\"closed\" is true, or a close code";
                    problems.push(Problem::new(path.key("closed"), what).kind(ProblemKind::IllTyped));
                    return None;
                }
            },
        };
        if let Some(pattern) = &self.matches
            && let Err(error) = Regex::new(&substitute_all(pattern, "x"))
        {
            problems.push(Problem::new(path.key("matches"), format!("not a regular expression: {error}")));
            return None;
        }
        let given = [
            self.text.clone().map(Expected::Text),
            self.contains.clone().map(Expected::Contains),
            self.matches.clone().map(Expected::Matches),
            self.json.clone().map(Expected::Json),
            self.nothing.filter(|nothing| *nothing).map(|_| Expected::Nothing),
            closed,
        ];
        let given: Vec<Expected> = given.into_iter().flatten().collect();
        match <[Expected; 1]>::try_from(given) {
            Ok([one]) => Some(one),
            Err(none) if none.is_empty() => Some(Expected::Any),
            Err(_) => {
                let what = "\"expect\" takes one of text, contains, matches, json, nothing and closed";
                problems.push(Problem::new(path.clone(), what));
                None
            }
        }
    }
}

fn bad_timeout(path: &Path, timeout: Option<f64>) -> Option<Problem> {
    let timeout = timeout.filter(|timeout| !(*timeout > 0.0 && *timeout <= LONGEST))?;
    Some(Problem::new(path.clone(), format!("a timeout is more than 0 and at most {LONGEST} seconds, not {timeout}")))
}

/// Checks that a step's clients are connected and its variables known, and adds those that it makes.
fn check(
    step: &Step,
    path: &Path,
    known: &mut BTreeSet<String>,
    connected: &mut BTreeSet<String>,
    problems: &mut Vec<Problem>,
) {
    for client in &step.clients {
        match &step.act {
            Act::Connect { refused, .. } => {
                if refused.is_none() && !connected.insert(client.clone()) {
                    problems.push(Problem::new(path.clone(), format!("\"{client}\" is connected already")));
                }
            }
            _ if connected.contains(client) => {}
            _ => {
                let names: Vec<&str> = connected.iter().map(String::as_str).collect();
                let problem = Problem::new(path.clone(), format!("\"{client}\" is not connected in a step before"));
                let problem = problem.kind(ProblemKind::BadReference);
                problems.push(match nearest(client, &names) {
                    Some(near) => problem.help(format!("did you mean \"{near}\"?")),
                    None => problem,
                });
            }
        }
        if matches!(step.act, Act::Close(_)) {
            connected.remove(client);
        }
    }
    for name in used(step) {
        if !known.contains(&name) {
            let names: Vec<&str> = known.iter().map(String::as_str).collect();
            let problem = Problem::new(path.clone(), format!("nothing before this step gives the variable \"{name}\""));
            let problem = problem.kind(ProblemKind::BadReference);
            problems.push(match nearest(&name, &names) {
                Some(near) => problem.help(format!("did you mean \"{near}\"?")),
                None => {
                    problem.help("a \"save\" of an earlier step, a named group of \"matches\", or --var NAME=VALUE")
                }
            });
        }
    }
    if let Act::Expect { what, save } = &step.act {
        known.extend(save.keys().cloned());
        if let Expected::Matches(pattern) = what
            && let Ok(regex) = Regex::new(&substitute_all(pattern, "x"))
        {
            known.extend(regex.capture_names().flatten().map(str::to_owned));
        }
    }
}

/// The variables that a step uses.
fn used(step: &Step) -> BTreeSet<String> {
    let names = std::cell::RefCell::new(BTreeSet::new());
    let note = |text: &str| {
        names.borrow_mut().extend(pieces(text).filter_map(|piece| match piece {
            Piece::Variable(name) => Some(name.to_owned()),
            Piece::Text(_) => None,
        }));
        String::new()
    };
    match &step.act {
        Act::Connect { headers, query, subprotocols, .. } => {
            headers.iter().chain(query).for_each(|(_, value)| drop(note(value)));
            subprotocols.iter().for_each(|one| drop(note(one)));
        }
        Act::Send(text)
        | Act::Expect { what: Expected::Text(text) | Expected::Contains(text) | Expected::Matches(text), .. } => {
            note(text);
        }
        Act::Expect { what: Expected::Json(value), .. } => drop(in_texts(value, &note)),
        Act::Expect { .. } | Act::Close(_) => {}
    }
    names.into_inner()
}

enum Piece<'a> {
    Text(&'a str),
    Variable(&'a str),
}

/// The pieces of a text with variables, `${name}`. What has not this form is text.
fn pieces(text: &str) -> impl Iterator<Item = Piece<'_>> {
    let mut rest = text;
    let is_name = |name: &str| !name.is_empty() && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_');
    std::iter::from_fn(move || {
        if rest.is_empty() {
            return None;
        }
        if let Some((name, after)) = rest.strip_prefix("${").and_then(|rest| rest.split_once('}'))
            && is_name(name)
        {
            rest = after;
            return Some(Piece::Variable(name));
        }
        let first = rest.chars().next().map_or(0, char::len_utf8);
        let end = rest[first..].find("${").map_or(rest.len(), |at| at + first);
        let (text, after) = rest.split_at(end);
        rest = after;
        Some(Piece::Text(text))
    })
}

/// A text with the values of its variables, each changed by `form`. Variables without a value stay as they are.
fn substitute(text: &str, variables: &BTreeMap<String, String>, form: impl Fn(&str) -> String) -> String {
    let value = |piece| match piece {
        Piece::Text(text) => text.to_owned(),
        Piece::Variable(name) => variables.get(name).map_or_else(|| format!("${{{name}}}"), |value| form(value)),
    };
    pieces(text).map(value).collect()
}

fn substitute_all(text: &str, value: &str) -> String {
    let value = |piece| match piece {
        Piece::Text(text) => text,
        Piece::Variable(_) => value,
    };
    pieces(text).map(value).collect()
}

/// The same value with its texts changed.
fn in_texts(value: &Value, change: &impl Fn(&str) -> String) -> Value {
    match value {
        Value::String(text) => Value::String(change(text)),
        Value::Array(items) => items.iter().map(|item| in_texts(item, change)).collect(),
        Value::Object(members) => members.iter().map(|(name, value)| (name.clone(), in_texts(value, change))).collect(),
        other => other.clone(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::message::{TEXT_FIELD, USUAL_EXPRESSION};
    use super::*;

    fn variables(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
        pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
    }

    #[test]
    fn a_file_is_read() {
        let file = json!({
            "timeout": 2,
            "steps": [
                {"connect": "alice", "headers": {"Authorization": "${token}"}, "query": {"room": 7}},
                {"connect": "mallory", "refused": 401},
                {"send": "alice", "json": {"action": "who", "run": "${run}"}},
                {"expect": "alice", "json": {"run": "${run}"}, "save": {"id": "user.id"}, "timeout": 0.5},
                {"send": "alice", "text": "bye ${id} ${ not a variable } é${id}"},
                {"expect": ["alice"], "matches": "^bye (?<whom>.*) ${id}$"},
                {"expect": "alice", "contains": "${whom}"},
                {"expect": "alice", "nothing": true},
                {"expect": "alice", "closed": 1001},
                {"close": "alice"},
            ]
        });
        let Steps(steps) = Steps::read(&file, &["token".to_owned()]).unwrap();
        let labels: Vec<String> = steps.iter().map(Step::label).collect();
        assert_eq!(labels[..4], ["connect alice", "connect mallory", "send alice", "expect alice"]);
        assert_eq!((steps[0].timeout, steps[3].timeout), (2.0, 0.5));
        let values = variables(&[("run", "R"), ("id", "a.b"), ("token", "T")]);
        let Act::Connect { headers, query, .. } = steps[0].with(&values).act else { panic!() };
        assert_eq!((headers[0].1.as_str(), query[0].1.as_str()), ("T", "7"));
        assert_eq!(steps[2].with(&values).act, Act::Send(r#"{"action":"who","run":"R"}"#.into()));
        assert_eq!(steps[4].with(&values).act, Act::Send("bye a.b ${ not a variable } éa.b".into()));
        let Act::Expect { what, .. } = steps[5].with(&values).act else { panic!() };
        assert_eq!(what, Expected::Matches(r"^bye (?<whom>.*) a\.b$".into()));
        assert_eq!(steps[9].act, Act::Close(1000));
    }

    #[test]
    fn every_mistake_in_a_file_is_found() {
        let table = [
            (json!({"steps": []}), "there are no steps"),
            (json!({"stepz": []}), "stepz"),
            (json!({"steps": [{"text": "x"}]}), "this has no verb"),
            (json!({"steps": [{"connect": "a", "send": "a", "text": "x"}]}), "this has 2 verbs"),
            (json!({"steps": [{"connect": "a", "text": "x"}]}), "\"connect\" has no \"text\""),
            (json!({"steps": [{"connect": "a"}, {"send": "a"}]}), "either \"text\" or \"json\""),
            (json!({"steps": [{"connect": "a"}, {"send": "a", "txt": "x"}]}), "txt"),
            (json!({"steps": [{"send": "a", "text": "x"}]}), "\"a\" is not connected in a step before"),
            (json!({"steps": [{"connect": "a"}, {"connect": "a"}]}), "connected already"),
            (json!({"steps": [{"connect": "a"}, {"send": "a", "text": "${ru}"}]}), "the variable \"ru\""),
            (json!({"steps": [{"connect": "a"}, {"expect": "a", "matches": "("}]}), "not a regular expression"),
            (json!({"steps": [{"connect": "a"}, {"expect": "a", "text": "x", "json": 1}]}), "takes one of"),
            (json!({"steps": [{"connect": "a"}, {"expect": []}]}), "the name of a client, or a list"),
            (json!({"steps": [{"connect": "a"}, {"expect": "a", "closed": "x"}]}), "true, or a close code"),
            (json!({"steps": [{"connect": "a"}, {"expect": "a", "text": "x", "save": {"a": "b"}}]}), "\"save\" takes"),
            (json!({"steps": [{"connect": "a"}, {"close": "a", "code": 1006}]}), "may not close with 1006"),
            (json!({"steps": [{"connect": "a", "timeout": 0}]}), "more than 0"),
            (json!({"timeout": 1e9, "steps": [{"connect": "a"}]}), "more than 0"),
        ];
        for (file, words) in table {
            let problems = Steps::read(&file, &[]).unwrap_err();
            let shown: Vec<&str> = problems.iter().map(|problem| problem.what.as_str()).collect();
            assert!(shown.iter().any(|what| what.contains(words)), "{words}: {shown:?}");
        }
    }

    #[test]
    fn steps_follow_from_the_routes() {
        let routes: Vec<String> = ["$connect", "sendmessage", "$default"].map(str::to_owned).into();
        let form = Form::of(USUAL_EXPRESSION, &routes, None, TEXT_FIELD).unwrap();
        let Steps(steps) = Steps::of(&form, &[], &[], &[]);
        let steps: Vec<Step> = steps.iter().map(|step| step.with(&variables(&[(RUN, "7")]))).collect();
        assert_eq!(steps[2].act, Act::Send(r#"{"action":"sendmessage","message":"smoke test 7"}"#.into()));
        let Act::Expect { what, .. } = &steps[3].act else { panic!() };
        assert_eq!(*what, Expected::Contains("smoke test 7".into()));
        let Steps(plain) = Steps::of(&Form::Plain, &[], &[], &[]);
        assert!(matches!(plain[3].act, Act::Expect { what: Expected::Any, .. }));
    }
}
