//! A function's log in Lambda's format: one stream per execution environment, with the platform's lines around the
//! handler's output.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use serde_json::{Value, json};
use time::OffsetDateTime;
use time::macros::format_description;
use uuid::Uuid;

use super::failure::{InvocationFailure, Status};
use super::settings::{LogFormat, runtime_version_arn};
use super::spec::{EnvironmentSpec, LambdaHost};
use super::state::{Registry, now};
use crate::local::context::clock::log_time;
use crate::local::context::ports::{LogEvent, LogSink};
use crate::local::context::recorder::{Recorder, Text, What};
use crate::local::lock::lock;
use crate::machine::interpreter::Language;

/// How much of the log `Invoke` returns, in bytes.
const TAIL_BYTES: usize = 4096;

/// The log of one execution environment.
pub struct FunctionLog {
    sink: Arc<dyn LogSink>,
    recorder: Arc<Recorder>,
    registry: Arc<Registry>,
    spec: Arc<EnvironmentSpec>,
    stream: String,
    tail: Mutex<String>,
    /// The invocation that the environment runs or has run last, or starts for.
    invocation: Mutex<Option<String>>,
}

/// Duration and memory of one invocation, for its `REPORT` line.
#[derive(Debug, Clone, Copy)]
pub struct Metrics {
    pub duration: Duration,
    /// `None` where the environment was warm.
    pub init: Option<Duration>,
    /// The peak memory so far in MB; `None` where the system does not provide it.
    pub memory: Option<u64>,
}

impl Metrics {
    /// The duration in milliseconds.
    pub fn milliseconds(self) -> f64 {
        milliseconds(self.duration)
    }

    /// The billed duration in whole milliseconds: with the init phase.
    pub fn billed(self) -> f64 {
        milliseconds(self.duration + self.init.unwrap_or_default()).ceil()
    }
}

impl FunctionLog {
    /// A new stream for an environment of `spec`.
    pub fn new(host: &LambdaHost, spec: Arc<EnvironmentSpec>) -> Self {
        let (sink, recorder) = (Arc::clone(&host.logs), Arc::clone(&host.context.recorder));
        let registry = Arc::clone(&host.registry);
        let format = format_description!("[year]/[month]/[day]");
        let date = OffsetDateTime::now_utc().format(format).unwrap_or_default();
        let stream = format!("{date}/[{}]{}", spec.version, Uuid::new_v4().simple());
        Self { sink, recorder, registry, spec, stream, tail: Mutex::default(), invocation: Mutex::default() }
    }

    pub fn stream(&self) -> &str {
        &self.stream
    }

    /// Attributes what is written from now on to an invocation.
    pub fn attribute(&self, request_id: &str) {
        *lock(&self.invocation) = Some(request_id.to_owned());
    }

    /// Writes the handler's output, one event per line, and records it.
    pub fn write(&self, lines: Vec<String>) {
        let lines = self.whole_messages(lines);
        self.record(&lines);
        self.deliver(lines);
    }

    /// Records lines for the console.
    fn record(&self, lines: &[String]) {
        let invocation = lock(&self.invocation).clone();
        let (function, region) = (self.spec.id.name.clone(), self.spec.id.region.clone());
        let text = Text::beginning(lines.join("\n").as_bytes());
        self.recorder.record(What::Logged { invocation, function, region, text });
    }

    fn whole_messages(&self, mut lines: Vec<String>) -> Vec<String> {
        // The clients write a message of several lines as one line, because it is one event.
        if Language::of(&self.spec.deployment.settings.runtime).is_some() {
            for line in lines.iter_mut().filter(|line| line.contains('\r')) {
                *line = line.replace('\r', "\n");
            }
        }
        lines
    }

    /// Writes lines to the function's log group, one event per line.
    fn deliver(&self, lines: Vec<String>) {
        let timestamp = now();
        let events: Vec<LogEvent> = lines
            .into_iter()
            .map(|mut line| {
                line.push('\n');
                LogEvent { timestamp, message: line }
            })
            .collect();
        {
            let mut tail = lock(&self.tail);
            for event in &events {
                tail.push_str(&event.message);
            }
            let mut excess = tail.len().saturating_sub(TAIL_BYTES);
            while !tail.is_char_boundary(excess) {
                excess += 1;
            }
            tail.drain(..excess);
        }
        let logging = &self.spec.deployment.settings.logging;
        let (region, group) = (&self.spec.id.region, &logging.log_group);
        // The last lines of a function that is deleted must not bring back a group that was deleted after it.
        let may_create = || self.registry.read(|state| state.function(&self.spec.id).is_ok());
        self.sink.append_if(region, group, &self.stream, events, &may_create);
    }

    /// The end of this invocation's log.
    pub fn tail(&self) -> String {
        lock(&self.tail).clone()
    }

    /// Logs that the environment starts.
    pub fn init_start(&self) {
        let runtime = &self.spec.deployment.settings.runtime;
        let version = runtime_version(runtime);
        let arn = runtime_version_arn(runtime, &self.spec.id.region);
        self.platform(
            || format!("INIT_START Runtime Version: {version}\tRuntime Version ARN: {arn}"),
            "platform.initStart",
            || {
                json!({
                    "initializationType": "on-demand",
                    "phase": "init",
                    "runtimeVersion": version,
                    "runtimeVersionArn": arn,
                    "functionName": self.spec.id.name,
                    "functionVersion": self.spec.version,
                })
            },
        );
    }

    /// Logs that the runtime did not start. `phase` is `init`, or `invoke` for the second try, during an invocation.
    pub fn init_failed(&self, phase: &str, took: Duration, failure: &InvocationFailure) {
        let status = failure.status.as_str();
        self.record(&[format!(
            "The runtime did not start ({phase}, {:.0} ms): {}",
            milliseconds(took),
            failure.error_type
        )]);
        self.platform(
            || {
                let error_type = match failure.status {
                    Status::Error => format!("\tError Type: {}", failure.error_type),
                    Status::Timeout => String::new(),
                };
                format!(
                    "INIT_REPORT Init Duration: {:.2} ms\tPhase: {phase}\tStatus: {status}{error_type}",
                    milliseconds(took)
                )
            },
            "platform.initReport",
            || {
                json!({
                    "initializationType": "on-demand",
                    "phase": phase,
                    "status": status,
                    "errorType": failure.error_type,
                    "metrics": { "durationMs": rounded(took) },
                })
            },
        );
    }

    /// Logs the start of an invocation; `tail` begins here.
    pub fn start(&self, request_id: &str) {
        lock(&self.tail).clear();
        self.platform(
            || format!("START RequestId: {request_id} Version: {}", self.spec.version),
            "platform.start",
            || json!({ "requestId": request_id, "version": self.spec.version }),
        );
    }

    /// Logs the end of an invocation.
    pub fn end(&self, request_id: &str, failure: Option<&InvocationFailure>, metrics: Metrics) {
        let settings = &self.spec.deployment.settings;
        let billed = metrics.billed();
        if settings.logging.log_format == LogFormat::Json {
            let mut record = json!({
                "requestId": request_id,
                "status": failure.map_or("success", |failure| failure.status.as_str()),
                "metrics": {
                    "durationMs": rounded(metrics.duration),
                    "billedDurationMs": billed,
                    "memorySizeMB": settings.memory_size,
                },
            });
            if let Some(failure) = failure {
                record["errorType"] = json!(failure.error_type);
            }
            if let Some(memory) = metrics.memory {
                record["metrics"]["maxMemoryUsedMB"] = json!(memory);
            }
            if let Some(init) = metrics.init {
                record["metrics"]["initDurationMs"] = json!(rounded(init));
            }
            self.deliver(vec![json_line("platform.report", record)]);
            return;
        }
        let mut lines = Vec::new();
        if let Some(failure) = failure {
            lines.extend(failure.log_line(request_id));
            if !lines.is_empty() {
                self.record(&lines);
            }
        }
        lines.push(format!("END RequestId: {request_id}"));
        let mut report = format!(
            "REPORT RequestId: {request_id}\tDuration: {:.2} ms\tBilled Duration: {} ms\tMemory Size: {} MB\t",
            milliseconds(metrics.duration),
            billed,
            settings.memory_size
        );
        if let Some(memory) = metrics.memory {
            report.push_str(&format!("Max Memory Used: {memory} MB\t"));
        }
        if let Some(init) = metrics.init {
            report.push_str(&format!("Init Duration: {:.2} ms\t", milliseconds(init)));
        }
        match failure.map(|failure| (failure.status, failure)) {
            Some((Status::Error, failure)) if failure.by_platform() => {
                report.push_str(&format!("Status: error\tError Type: {}", failure.error_type));
            }
            Some((Status::Timeout, _)) => report.push_str("Status: timeout"),
            _ => {}
        }
        lines.push(report);
        self.deliver(lines);
    }

    /// Logs one line of the platform in the function's log format.
    fn platform(&self, text: impl FnOnce() -> String, kind: &str, record: impl FnOnce() -> Value) {
        let line = match self.spec.deployment.settings.logging.log_format {
            LogFormat::Text => text(),
            LogFormat::Json => json_line(kind, record()),
        };
        self.deliver(vec![line]);
    }
}

fn json_line(kind: &str, record: Value) -> String {
    json!({ "time": log_time(), "type": kind, "record": record }).to_string()
}

/// `provided.al2023` as in the INIT_START line: `provided:al2023.v1`.
fn runtime_version(runtime: &str) -> String {
    let digit = |c: char| c.is_ascii_digit();
    let (family, release) = match runtime.split_once('.') {
        Some((family, release)) if !family.contains(digit) => (family, release),
        _ => runtime.split_at(runtime.find(digit).unwrap_or(runtime.len())),
    };
    format!("{family}:{}.v1", release.trim_end_matches(".x"))
}

fn milliseconds(duration: Duration) -> f64 {
    duration.as_secs_f64() * 1000.0
}

/// Milliseconds with three decimals, as JSON logs have them.
fn rounded(duration: Duration) -> f64 {
    (milliseconds(duration) * 1000.0).round() / 1000.0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn runtimes_are_named_as_in_init_start() {
        for (runtime, named) in [
            ("provided.al2023", "provided:al2023.v1"),
            ("nodejs22.x", "nodejs:22.v1"),
            ("python3.13", "python:3.13.v1"),
            ("java21", "java:21.v1"),
        ] {
            assert_eq!(runtime_version(runtime), named);
        }
    }
}
