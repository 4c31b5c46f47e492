//! What is printed with `--json`: an event a line, the last one with the exit code. docs/json.md describes them all,
//! and docs/json.schema.json is made of the types here.

use std::collections::BTreeMap;

#[cfg(test)]
use schemars::JsonSchema;
use serde::Serialize;

use crate::core::logs::{FailureKind, Level, StackFrame};
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
    Rollback(Plan),
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
    Requeued {
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
        call: Option<FailedCall>,
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
    /// The end of `adopt`.
    Adopt(Adopted),
    /// The answer of `list`.
    List(List),
    /// Something that a function of the stack logged, or an error that a client got: of `logs`.
    Log(Log),
    /// The end of `logs`.
    Logs(Logs),
    /// A WebSocket connection was made.
    Connected {
        url: String,
        /// What the server selected.
        subprotocol: Option<String>,
    },
    /// A WebSocket handshake was refused.
    Refused {
        url: String,
        /// The HTTP status in place of 101.
        status: u16,
        /// What the server said.
        body: String,
    },
    /// A message, ping or pong of `chat`.
    Frame(Frame),
    /// The end of `chat`.
    Chat(Chat),
    /// The answer of `invoke`.
    Invoke(Invocation),
    /// The answer of `connections`.
    Connections(Connections),
    /// The answer of `open`.
    Open {
        url: String,
        /// Whether a browser was started.
        opened: bool,
    },
    /// A step of a smoke test did what it should.
    SmokeStep {
        /// From 1.
        step: usize,
        /// The verb and the client: `send alice`.
        label: String,
        /// What was sent, or what came; for people.
        details: String,
        milliseconds: u64,
    },
    /// The end of a smoke test that passed.
    Smoke(Smoke),
    /// The answer of `url`.
    Url(Uris),
    /// The answer of `outputs`.
    Outputs(Outputs),
    /// The answer of `init`.
    Init(Written),
    /// The answer of `doctor`.
    Doctor(Checks),
    /// The answer of `cost`.
    Cost(Cost),
    /// The answer of `config`.
    Config(Settings),
    /// The answer of `policy`.
    Policy {
        /// The policy document.
        policy: serde_json::Value,
    },
    /// The answer of `env`.
    Env {
        /// What to set.
        variables: BTreeMap<String, String>,
        /// What to unset.
        unset: Vec<String>,
    },
    /// The answer of `local start` and `local status`.
    Local(LocalCloud),
    /// The answer of `local stop`.
    LocalStopped {
        /// Whether it ran.
        was_running: bool,
    },
    /// A line of the local cloud's own log: of `local logs`.
    LocalLog { line: String },
    /// A call that the local cloud answered: of `local logs --calls`.
    LocalCall(LocalCall),
    /// The end of `local logs`.
    LocalLogs {},
    /// The answer of `local reset`.
    LocalReset {
        /// Whether there was a local cloud.
        existed: bool,
        /// The part that was deleted; null for everything.
        only: Option<String>,
    },
    /// The answer of `completions`.
    Completions { shell: String, script: String },
    /// The answer of `man`.
    Man {
        folder: String,
        /// The names of the pages in it.
        files: Vec<String>,
    },
    /// The end of every command that could not do its work.
    Failure(Failure),
}

/// What is taken over, or would be.
#[derive(Debug, Clone, Serialize)]
#[cfg_attr(test, derive(JsonSchema))]
pub struct Adopted {
    pub stack: String,
    pub account: String,
    pub region: String,
    /// Whether the stack is wschat's now.
    pub done: bool,
    /// The physical ids of its resources, by logical id.
    pub resources: BTreeMap<String, String>,
    /// Where clients connect.
    pub uris: Vec<String>,
}

/// What went over a WebSocket connection.
#[derive(Debug, Clone, Serialize)]
#[cfg_attr(test, derive(JsonSchema))]
pub struct Frame {
    /// RFC 3339, UTC, with milliseconds.
    pub at: String,
    pub direction: Direction,
    pub kind: FrameKind,
    /// The text; null for what is none.
    pub text: Option<String>,
    /// The bytes in base64; null for a text.
    pub base64: Option<String>,
    /// How many bytes it has.
    pub bytes: usize,
    /// The gateway's error that it carries in place of an answer: `Internal server error`; null for any other message.
    pub gateway_error: Option<String>,
}

/// Who sent a frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[cfg_attr(test, derive(JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum Direction {
    Sent,
    Received,
}

/// What sort of frame it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[cfg_attr(test, derive(JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum FrameKind {
    Text,
    Binary,
    Ping,
    Pong,
}

/// How `chat` ended.
#[derive(Debug, Clone, Serialize)]
#[cfg_attr(test, derive(JsonSchema))]
pub struct Chat {
    pub url: String,
    /// How many messages were sent.
    pub sent: usize,
    /// How many messages came that are no error of the gateway.
    pub received: usize,
    /// How many errors of the gateway came.
    pub gateway_errors: usize,
    /// The close code: the other side's, or 1006 where the connection broke.
    pub code: u16,
    /// What the code means; for people.
    pub meaning: String,
    /// The reason beside the code; often empty.
    pub reason: String,
    /// Whether the other side closed it first.
    pub by_server: bool,
}

/// A smoke test that passed.
#[derive(Debug, Clone, Serialize)]
#[cfg_attr(test, derive(JsonSchema))]
pub struct Smoke {
    pub url: String,
    /// How many steps there were.
    pub steps: usize,
    pub milliseconds: u64,
}

/// What a function answered.
#[derive(Debug, Clone, Serialize)]
#[cfg_attr(test, derive(JsonSchema))]
pub struct Invocation {
    /// The logical id.
    pub function: String,
    pub physical_id: String,
    /// The version that ran.
    pub version: Option<String>,
    pub request_id: Option<String>,
    /// `Unhandled` where the function failed; null where it did not.
    pub function_error: Option<String>,
    /// What it returned; of a function that failed its error.
    pub payload: serde_json::Value,
    /// The end of its log, at most 4 KB.
    pub log: String,
    pub milliseconds: u64,
}

/// The open connections of a stack.
#[derive(Debug, Clone, Serialize)]
#[cfg_attr(test, derive(JsonSchema))]
pub struct Connections {
    pub connections: Vec<Connection>,
    /// The connection that was closed; null where none was to be.
    pub closed: Option<String>,
}

/// An open connection.
#[derive(Debug, Clone, Serialize)]
#[cfg_attr(test, derive(JsonSchema))]
pub struct Connection {
    pub connection_id: String,
    pub stage: String,
    /// ISO 8601, UTC.
    pub connected_at: String,
    /// ISO 8601, UTC.
    pub last_active_at: String,
    pub source_ip: String,
    pub user_agent: Option<String>,
    /// How many of the client's messages took each route; null on AWS, which does not tell.
    pub routes: Option<BTreeMap<String, u64>>,
}

/// The local cloud of a data folder.
#[derive(Debug, Clone, Serialize)]
#[cfg_attr(test, derive(JsonSchema))]
pub struct LocalCloud {
    pub state: LocalState,
    /// The data folder.
    pub data: String,
    /// The process; null unless it runs.
    pub process: Option<LocalProcess>,
}

/// Whether a local cloud runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[cfg_attr(test, derive(JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum LocalState {
    /// It runs; after `local start`: it ran already.
    Running,
    /// It was started now.
    Started,
    /// It was started now in place of another build's.
    Replaced,
    Stopped,
    /// It runs but does not answer.
    Silent,
}

/// The process of a local cloud.
#[derive(Debug, Clone, Serialize)]
#[cfg_attr(test, derive(JsonSchema))]
pub struct LocalProcess {
    /// Where this machine reaches it.
    pub url: String,
    pub port: u16,
    pub pid: u32,
    pub version: String,
    /// The time of its start: RFC 3339, UTC.
    pub started: String,
    /// The conditions file; null where it has none.
    pub conditions: Option<String>,
    /// The address that it listens on beside loopback; null where it does not.
    pub host: Option<String>,
    /// Where other machines reach it; null where they do not, or no address is known.
    pub url_elsewhere: Option<String>,
    /// The origins of the web pages that may call it.
    pub origins: Vec<String>,
    /// Whether it admits callers without its access key.
    pub open: bool,
}

/// A call that the local cloud answered.
#[derive(Debug, Clone, Serialize)]
#[cfg_attr(test, derive(JsonSchema))]
pub struct LocalCall {
    /// When the request had arrived: RFC 3339, UTC, with milliseconds.
    pub at: String,
    /// Until the answer was ready.
    pub milliseconds: u64,
    /// `lambda`; empty where no service matches the request.
    pub service: String,
    /// `CreateFunction`; empty where the service has no such operation.
    pub operation: String,
    pub region: String,
    /// The HTTP status.
    pub status: u16,
    /// The error code; null where the answer is no error.
    pub code: Option<String>,
    pub request_id: String,
    /// Whether the operation can change anything.
    pub mutating: bool,
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
pub struct FailedCall {
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
    /// The template's outputs, as far as they have values; empty without a template.
    pub outputs: BTreeMap<String, String>,
    pub resources: Vec<Resource>,
    /// Why the template cannot be deployed over the existing resources.
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
    /// `ready`, `missing`, `unwanted`, `drifted`, `retained`, `failed`, or what AWS calls the state that it is passing
    /// through.
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
    /// How many it has, without `log_groups`.
    pub resources: usize,
    /// How many log groups Lambda has made for its functions.
    pub log_groups: usize,
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
    pub stack: Vec<StackFrame>,
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

/// What a stack is connected to at.
#[derive(Debug, Clone, Serialize)]
#[cfg_attr(test, derive(JsonSchema))]
pub struct Uris {
    pub stack: String,
    pub account: String,
    pub region: String,
    /// The URI of each stage.
    pub uris: Vec<String>,
}

/// The template's outputs.
#[derive(Debug, Clone, Serialize)]
#[cfg_attr(test, derive(JsonSchema))]
pub struct Outputs {
    pub stack: String,
    pub account: String,
    pub region: String,
    /// Values by name.
    pub outputs: BTreeMap<String, String>,
    /// Whether they are printed with their secrets.
    #[serde(skip)]
    pub shows_secrets: bool,
}

/// Files that were written.
#[derive(Debug, Clone, Serialize)]
#[cfg_attr(test, derive(JsonSchema))]
pub struct Written {
    pub folder: String,
    /// By their paths in the folder.
    pub files: Vec<String>,
}

/// What this machine and account have and lack.
#[derive(Debug, Clone, Serialize)]
#[cfg_attr(test, derive(JsonSchema))]
pub struct Checks {
    pub checks: Vec<Check>,
}

/// One thing that was checked.
#[derive(Debug, Clone, Serialize)]
#[cfg_attr(test, derive(JsonSchema))]
pub struct Check {
    /// For people.
    pub name: String,
    pub state: State,
    /// What was found, for people.
    pub found: String,
    /// What to do, for people.
    pub help: Option<String>,
}

/// The result of a check.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[cfg_attr(test, derive(JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum State {
    Ok,
    /// It works, but may not for long or not for all.
    Warning,
    /// Something cannot work.
    Broken,
    /// It was not checked, or is not needed.
    Skipped,
}

/// What a stack costs, in US dollars.
#[derive(Debug, Clone, Serialize)]
#[cfg_attr(test, derive(JsonSchema))]
pub struct Cost {
    /// The day on which the prices were written down: `2026-11-29`.
    pub prices_of: String,
    /// The region of the prices.
    pub region: String,
    /// Without any message, for a month of 730 hours.
    pub idle_month: f64,
    /// For a million messages from clients.
    pub million_messages: f64,
    /// For a thousand connections that are open for a month.
    pub thousand_connections_month: f64,
    pub items: Vec<CostItem>,
}

/// A part of the cost.
#[derive(Debug, Clone, Serialize)]
#[cfg_attr(test, derive(JsonSchema))]
pub struct CostItem {
    /// `idle_month`, `million_messages` or `thousand_connections_month`.
    pub of: String,
    /// For people.
    pub what: String,
    /// How it is computed, for people.
    pub how: String,
    /// In US dollars.
    pub dollars: f64,
}

/// The settings of a run.
#[derive(Debug, Clone, Serialize)]
#[cfg_attr(test, derive(JsonSchema))]
pub struct Settings {
    /// The project's file, which may not exist.
    pub file: String,
    /// The chosen environment.
    pub environment: Option<String>,
    pub settings: Vec<Setting>,
}

/// A setting.
#[derive(Debug, Clone, Serialize)]
#[cfg_attr(test, derive(JsonSchema))]
pub struct Setting {
    /// Its key in wschat.toml.
    pub key: String,
    /// As text; null for a default that depends on the run.
    pub value: Option<String>,
    /// For people: `--region`, `WSCHAT_STACK`, `wschat.toml [env.prod]`, `default`.
    pub from: String,
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
    /// Of a stack without anything to report.
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
        matches!(
            self,
            Self::Result(RunResult { shows_secrets: true, .. }) | Self::Outputs(Outputs { shows_secrets: true, .. })
        )
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
            panic!("{} was out of date and was rewritten: commit it", file.display());
        }
    }
}
