//! What is printed with `--json`: an event a line, the last one with the exit code. docs/json.md describes them all, and
//! docs/json.schema.json is made of the types here.

use std::collections::BTreeMap;

#[cfg(test)]
use schemars::JsonSchema;
use serde::Serialize;

use crate::core::logs::{FailureKind, Frame, Level};
use crate::core::plan::{Action, PlanError, PlanErrorKind};
use crate::core::template::render::Source;
use crate::core::words::{self, ProblemKind, Scope};

/// A line of output.
#[derive(Debug, Serialize)]
#[cfg_attr(test, derive(JsonSchema))]
pub struct Line<'a> {
    #[serde(flatten)]
    pub event: &'a Event,
    /// The exit code of the command: the last line has it, and no other.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[cfg_attr(test, schemars(with = "u8"))]
    pub exit_code: Option<u8>,
}

/// What happened, or what a command has to say.
#[derive(Debug, Clone, Serialize)]
#[cfg_attr(test, derive(JsonSchema))]
#[serde(tag = "event", rename_all = "snake_case")]
pub enum Event {
    /// What is going to be done, or with `plan` would be; another one if another run has changed the stack in between.
    Plan(Plan),
    /// A step of the plan failed: this is how what the run did is rolled back.
    Undo(Plan),
    /// A step began.
    Started {
        #[serde(flatten)]
        step: Step,
    },
    /// What a step is waiting for.
    Waiting {
        #[serde(flatten)]
        step: Step,
        /// For people.
        text: String,
    },
    /// AWS refused a step whose references do not exist yet; it starts again when they do.
    PutBack {
        #[serde(flatten)]
        step: Step,
        /// AWS's answer.
        error: String,
    },
    /// The resource exists; it may not be ready.
    Made {
        #[serde(flatten)]
        step: Step,
        physical_id: String,
    },
    /// A step ended, and did what it was to do.
    Done {
        #[serde(flatten)]
        step: Step,
        /// Since the step began.
        milliseconds: u64,
    },
    /// A step failed.
    Failed {
        #[serde(flatten)]
        step: Step,
        /// For people.
        error: String,
        /// The call of AWS that failed, if one did.
        call: Option<Call>,
    },
    /// The end of `up` and `down`: what was asked for is done.
    Result(RunResult),
    /// `dev`: all is deployed, and saves are waited for; again when the URIs have changed.
    Watching(Watching),
    /// `dev`: files were saved that change what is deployed.
    Saved(SavedFiles),
    /// `dev`: what was saved is deployed.
    Updated(Updated),
    /// `dev`: what was saved is not deployed; what ran before goes on.
    Rejected(Rejection),
    /// The answer of `validate`.
    Validate(Validation),
    /// The answer of `status`.
    Status(Status),
    /// The answer of `list`.
    List(List),
    /// Something that a function of the stack logged, or an error that a client got: of `logs`.
    Log(Log),
    /// The end of `logs`.
    Logs(Logs),
    /// The end of every command that could not do its work.
    Failure(Failure),
}

/// A plan.
#[derive(Debug, Clone, Serialize)]
#[cfg_attr(test, derive(JsonSchema))]
pub struct Plan {
    /// What `up --plan` takes: twelve hexadecimal digits that no plan with other changes has.
    pub digest: String,
    pub steps: Vec<PlannedStep>,
}

/// What is to happen to a resource.
#[derive(Debug, Clone, Serialize)]
#[cfg_attr(test, derive(JsonSchema))]
pub struct PlannedStep {
    pub action: Action,
    /// The resource type.
    #[serde(rename = "type")]
    pub type_name: String,
    /// The logical id; of what has none, what it is called in AWS.
    pub resource: String,
    /// The resource as people call it.
    pub label: String,
    /// Null where it is not known yet.
    pub physical_id: Option<String>,
    /// For people.
    pub reason: String,
    pub changes: Vec<Change>,
    /// What the step interrupts, a sentence each.
    pub interrupts: Vec<String>,
    /// The data that is lost, a sentence each.
    pub loses: Vec<String>,
    /// What becomes allowed, a sentence each.
    pub permissions: Vec<String>,
    /// The steps to wait for, as indexes into the plan.
    pub after: Vec<usize>,
    /// How long the step waits for messages in flight; null where it does not.
    pub drain_ms: Option<u64>,
}

/// A property that changes.
#[derive(Debug, Clone, Serialize)]
#[cfg_attr(test, derive(JsonSchema))]
pub struct Change {
    pub property: String,
    /// As text; null where there is no value.
    pub old: Option<String>,
    /// As text; null where there will be no value.
    pub new: Option<String>,
    /// Whether it cannot be changed in place.
    pub create_only: bool,
}

/// A step of the last plan that was printed.
#[derive(Debug, Clone, Serialize)]
#[cfg_attr(test, derive(JsonSchema))]
pub struct Step {
    /// Its index in the plan.
    pub step: usize,
    /// The logical id; of what has none, what it is called in AWS.
    pub resource: String,
    /// The resource type.
    #[serde(rename = "type")]
    pub type_name: String,
    pub action: Action,
}

/// A call that AWS answered with an error, or not at all.
#[derive(Debug, Clone, Serialize)]
#[cfg_attr(test, derive(JsonSchema))]
pub struct Call {
    /// `lambda.CreateFunction`.
    pub operation: String,
    /// AWS's error code; empty where there was no answer.
    pub code: String,
    pub message: String,
    pub request_id: Option<String>,
}

/// How `up` and `down` ended.
#[derive(Debug, Clone, Serialize)]
#[cfg_attr(test, derive(JsonSchema))]
pub struct RunResult {
    pub stack: String,
    pub account: String,
    pub region: String,
    /// What to connect to: the URI of each stage.
    pub uris: Vec<String>,
    /// The template's outputs.
    pub outputs: BTreeMap<String, String>,
    /// What `down` left because its deletion policy is Retain.
    pub retained: Vec<Retained>,
    /// Whether outputs are printed with their secrets.
    #[serde(skip)]
    pub shows_secrets: bool,
}

/// A resource that stays.
#[derive(Debug, Clone, Serialize)]
#[cfg_attr(test, derive(JsonSchema))]
pub struct Retained {
    /// The resource type.
    #[serde(rename = "type")]
    pub type_name: String,
    pub physical_id: String,
}

/// What is deployed and watched.
#[derive(Debug, Clone, Serialize)]
#[cfg_attr(test, derive(JsonSchema))]
pub struct Watching {
    pub stack: String,
    pub account: String,
    pub region: String,
    /// What to connect to: the URI of each stage.
    pub uris: Vec<String>,
    /// The logical ids of the functions.
    pub functions: Vec<String>,
}

/// Files that were saved, removed or renamed.
#[derive(Debug, Clone, Serialize)]
#[cfg_attr(test, derive(JsonSchema))]
pub struct SavedFiles {
    /// Paths, relative to the current folder where they are below it.
    pub files: Vec<String>,
    /// The logical ids of functions whose code may be made from them.
    pub functions: Vec<String>,
    /// Whether the template, or a file with its parameters, is among them.
    pub template: bool,
}

/// What a save has come to.
#[derive(Debug, Clone, Serialize)]
#[cfg_attr(test, derive(JsonSchema))]
pub struct Updated {
    /// The logical ids of functions that have new code, and nothing else.
    pub functions: Vec<String>,
    /// How many steps of a plan were carried out; 0 where code alone was updated.
    pub steps: usize,
    /// Since the save was noticed.
    pub milliseconds: u64,
}

/// Why a save is not deployed.
#[derive(Debug, Clone, Serialize)]
#[cfg_attr(test, derive(JsonSchema))]
pub struct Rejection {
    #[serde(flatten)]
    pub failure: Failure,
    /// Since the save was noticed.
    pub milliseconds: u64,
}

/// What is wrong with a template.
#[derive(Debug, Clone, Serialize)]
#[cfg_attr(test, derive(JsonSchema))]
pub struct Validation {
    pub file: String,
    /// How many of the problems are errors.
    pub errors: usize,
    /// How many of the problems are warnings.
    pub warnings: usize,
    /// In the order of the text.
    pub problems: Vec<Problem>,
}

/// One thing that is wrong, with the template or with carrying it out.
#[derive(Debug, Clone, Serialize)]
#[cfg_attr(test, derive(JsonSchema))]
pub struct Problem {
    pub severity: Severity,
    /// What sort of error it is; null for a warning.
    pub kind: Option<Kind>,
    /// The rule that a warning is about; null for an error.
    pub rule: Option<String>,
    /// For people.
    pub message: String,
    /// What to do, for people.
    pub help: Option<String>,
    /// Keys and indexes from the template's root.
    pub path: Vec<words::Step>,
    /// The template; null for what is not about its text.
    pub file: Option<String>,
    /// From 1; null where it has no place in the text.
    pub line: Option<usize>,
    /// From 1, in characters; null where it has no place in the text.
    pub column: Option<usize>,
    /// The column after its last character; null where it has no place in the text.
    pub end_column: Option<usize>,
}

/// Whether the template can be deployed all the same.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[cfg_attr(test, derive(JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum Severity {
    Error,
    Warning,
}

/// What sort of error a problem is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[cfg_attr(test, derive(JsonSchema))]
#[serde(untagged)]
pub enum Kind {
    /// The template's own.
    Template(ProblemKind),
    /// What AWS has stands against it.
    Plan(PlanErrorKind),
}

/// A stack as it is.
#[derive(Debug, Clone, Serialize)]
#[cfg_attr(test, derive(JsonSchema))]
pub struct Status {
    pub stack: String,
    pub account: String,
    pub region: String,
    /// Whether everything is ready and as the template says; false for a stack that does not exist.
    pub healthy: bool,
    /// What to connect to: the URI of each stage.
    pub uris: Vec<String>,
    pub resources: Vec<Resource>,
    /// Why the template cannot be deployed onto what there is.
    pub problems: Vec<Problem>,
}

/// A resource as it is.
#[derive(Debug, Clone, Serialize)]
#[cfg_attr(test, derive(JsonSchema))]
pub struct Resource {
    /// The logical id; of what has none, what it is called in AWS.
    pub resource: String,
    /// The resource type.
    #[serde(rename = "type")]
    pub type_name: String,
    /// Empty where it does not exist and has no known name.
    pub physical_id: String,
    /// `ready`, `missing`, `unwanted`, `drifted`, `retained`, `failed`, or what AWS calls the state that it is passing through.
    pub state: String,
    /// How it differs from the template, or what failed, a sentence each.
    pub drift: Vec<String>,
}

/// The stacks of an account in a region.
#[derive(Debug, Clone, Serialize)]
#[cfg_attr(test, derive(JsonSchema))]
pub struct List {
    pub account: String,
    pub region: String,
    pub stacks: Vec<ListedStack>,
}

/// A stack, as it is listed.
#[derive(Debug, Clone, Serialize)]
#[cfg_attr(test, derive(JsonSchema))]
pub struct ListedStack {
    pub stack: String,
    /// How many it has.
    pub resources: usize,
    /// How many it has of each type.
    pub types: BTreeMap<String, usize>,
    /// What to connect to: the URI of each stage.
    pub uris: Vec<String>,
}

/// Something that a function logged, or an error that a client got.
#[derive(Debug, Clone, Serialize)]
#[cfg_attr(test, derive(JsonSchema))]
pub struct Log {
    /// RFC 3339, UTC, milliseconds.
    pub time: String,
    /// The logical id of the function; of an error that never reached one, that of the stage.
    pub function: String,
    /// The log stream: one execution environment of the function.
    pub stream: String,
    /// The route that the function was invoked for; null where that is not known.
    pub route: Option<String>,
    /// The client's connection; null where that is not known.
    pub connection: Option<String>,
    /// Lambda's id of the invocation; null where that is not known.
    pub request_id: Option<String>,
    #[serde(rename = "type")]
    pub what: Logged,
    /// Null for a line without one.
    pub level: Option<Level>,
    /// What was printed, or the message of the failure; one or more lines.
    pub text: String,
    /// What to do, for people.
    pub help: Option<String>,
    /// Only of a failure.
    pub failure: Option<LoggedFailure>,
    /// Only of a report.
    pub report: Option<LoggedReport>,
}

/// What a log event is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[cfg_attr(test, derive(JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum Logged {
    /// A line of the handler's.
    Output,
    /// An invocation failed, or a client got an error.
    Failure,
    /// An invocation ended.
    Report,
}

/// A failure in a log.
#[derive(Debug, Clone, Serialize)]
#[cfg_attr(test, derive(JsonSchema))]
pub struct LoggedFailure {
    pub kind: FailureKind,
    /// As the runtime or Lambda names it: `TypeError`; of the gateway's, the status and message that the client got.
    pub error_type: String,
    /// The innermost frame first, in the project's paths.
    pub stack: Vec<Frame>,
}

/// The end of an invocation.
#[derive(Debug, Clone, Serialize)]
#[cfg_attr(test, derive(JsonSchema))]
pub struct LoggedReport {
    pub duration_ms: f64,
    /// Null where the environment was warm.
    pub init_duration_ms: Option<f64>,
    pub memory_mb: u32,
    /// Null where it was not measured.
    pub memory_used_mb: Option<u32>,
}

/// How many log events there were.
#[derive(Debug, Clone, Serialize)]
#[cfg_attr(test, derive(JsonSchema))]
pub struct Logs {
    pub stack: String,
    pub account: String,
    pub region: String,
    /// How many `log` events were printed.
    pub events: usize,
}

/// Why a command could not do its work.
#[derive(Debug, Clone, Default, Serialize)]
#[cfg_attr(test, derive(JsonSchema))]
pub struct Failure {
    /// For people.
    pub error: String,
    /// What it follows from, the nearest first.
    pub causes: Vec<String>,
    /// What is wrong with the template, or with carrying it out.
    pub problems: Vec<Problem>,
    /// What to do.
    pub hints: Vec<Hint>,
}

/// What to do about a failure.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[cfg_attr(test, derive(JsonSchema))]
pub struct Hint {
    /// For people.
    pub text: String,
    /// The command to run, as it is typed in a shell.
    pub command: Option<String>,
}

impl RunResult {
    /// Of a stack of which nothing is to be told.
    pub fn of(scope: &Scope) -> Self {
        Self {
            stack: scope.stack.clone(),
            account: scope.account.clone(),
            region: scope.region.clone(),
            uris: Vec::new(),
            outputs: BTreeMap::new(),
            retained: Vec::new(),
            shows_secrets: false,
        }
    }
}

impl Event {
    /// Whether it may be printed with secrets, as the user wants it.
    pub fn shows_secrets(&self) -> bool {
        matches!(self, Self::Result(RunResult { shows_secrets: true, .. }))
    }
}

impl Problem {
    /// The problems of the template that is in `file` and has this text.
    pub fn all_of(problems: &[words::Problem], file: &str, text: &str) -> Vec<Self> {
        let source = Source::scan(text);
        problems.iter().map(|problem| Self::of(problem, file, &source)).collect()
    }

    fn of(problem: &words::Problem, file: &str, source: &Source<'_>) -> Self {
        let place = source.place(problem);
        Self {
            severity: if problem.rule.is_some() { Severity::Warning } else { Severity::Error },
            kind: problem.rule.is_none().then_some(Kind::Template(problem.kind)),
            rule: problem.rule.map(str::to_owned),
            message: problem.what.clone(),
            help: problem.help.clone(),
            path: problem.path.0.clone(),
            file: Some(file.to_owned()),
            line: place.map(|place| place.start.line),
            column: place.map(|place| place.start.column),
            end_column: place.map(|place| place.start.column + place.width),
        }
    }

    /// What keeps a plan from being made.
    pub fn of_plan(error: &PlanError) -> Self {
        Self {
            severity: Severity::Error,
            kind: Some(Kind::Plan(error.kind())),
            rule: None,
            message: error.message(),
            help: Some(error.help()),
            path: Vec::new(),
            file: None,
            line: None,
            column: None,
            end_column: None,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::path::Path;

    use super::*;

    #[test]
    fn the_published_schema_is_that_of_the_events() {
        let settings = schemars::generate::SchemaSettings::draft2020_12().for_serialize();
        let schema = settings.into_generator().into_root_schema_for::<Line<'_>>();
        let schema = serde_json::to_string_pretty(&schema).unwrap() + "\n";
        let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/json.schema.json");
        if fs::read_to_string(&file).unwrap_or_default() != schema {
            fs::write(&file, schema).unwrap();
            panic!("{} was out of date and is written anew: commit it", file.display());
        }
    }
}
