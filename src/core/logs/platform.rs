//! The lines that Lambda itself writes into a function's log, as text and as JSON (Lambda developer guide, "Working with Lambda
//! function logs" and "Telemetry API Event schema reference").

use serde_json::Value;

/// A line of Lambda's own.
#[derive(Debug, Clone, PartialEq)]
pub enum Platform {
    /// An execution environment starts.
    InitStart {
        runtime: String,
    },
    /// The runtime started, or did not. Text logs have it for failures only.
    InitReport {
        phase: String,
        status: String,
        error_type: Option<String>,
        milliseconds: f64,
    },
    Start {
        request_id: String,
        version: String,
    },
    End {
        request_id: String,
    },
    Report(Report),
    /// Extensions, tracing, warnings, and whatever Lambda adds.
    Other(String),
}

/// How an invocation ended.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Report {
    pub request_id: String,
    /// In milliseconds, as all durations here.
    pub duration: f64,
    /// `None` where the environment was warm.
    pub init_duration: Option<f64>,
    /// In MB.
    pub memory: u32,
    /// In MB; `None` where it was not measured.
    pub memory_used: Option<u32>,
    /// `error`, `timeout` or `failure`; `None` for a success. Text logs have it only for what the platform noticed.
    pub failed: Option<String>,
    pub error_type: Option<String>,
}

/// A failure that Lambda noticed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct PlatformFailure {
    pub request_id: String,
    pub error_type: String,
    pub message: String,
}

/// What Lambda's lines are.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Line {
    Platform(Platform),
    Failure(PlatformFailure),
}

impl Platform {
    /// The invocation that it belongs to.
    pub fn request_id(&self) -> Option<&str> {
        match self {
            Self::Start { request_id, .. } | Self::End { request_id } => Some(request_id),
            Self::Report(report) => Some(&report.request_id),
            Self::InitStart { .. } | Self::InitReport { .. } | Self::Other(_) => None,
        }
    }
}

/// A message that Lambda wrote; `None` for the handler's.
pub(super) fn read(message: &str) -> Option<Line> {
    let message = message.trim_end();
    if let Some(value) = message.starts_with('{').then(|| serde_json::from_str::<Value>(message).ok()).flatten() {
        let kind = value["type"].as_str()?.strip_prefix("platform.")?;
        return value.get("record").map(|record| Line::Platform(json(kind, record)));
    }
    text(message)
}

fn text(message: &str) -> Option<Line> {
    let id = |rest: &str| rest.split_whitespace().next().unwrap_or_default().to_owned();
    if let Some(rest) = message.strip_prefix("START RequestId: ") {
        let version = rest.split_once("Version: ").map_or("", |(_, version)| version.trim()).to_owned();
        return Some(Line::Platform(Platform::Start { request_id: id(rest), version }));
    }
    if let Some(rest) = message.strip_prefix("END RequestId: ") {
        return Some(Line::Platform(Platform::End { request_id: id(rest) }));
    }
    if let Some(rest) = message.strip_prefix("REPORT RequestId: ") {
        return Some(Line::Platform(Platform::Report(report(rest))));
    }
    if let Some(rest) = message.strip_prefix("INIT_START Runtime Version: ") {
        let runtime = rest.split('\t').next().unwrap_or_default().to_owned();
        return Some(Line::Platform(Platform::InitStart { runtime }));
    }
    if message.starts_with("INIT_REPORT ") || message.starts_with("RESTORE_REPORT ") {
        let field = |name: &str| field(message, name);
        return Some(Line::Platform(Platform::InitReport {
            phase: field("Phase").unwrap_or("init").to_owned(),
            status: field("Status").unwrap_or("success").to_owned(),
            error_type: field("Error Type").map(str::to_owned),
            milliseconds: field("Init Duration").and_then(number).unwrap_or_default(),
        }));
    }
    if let Some(failure) = failure(message) {
        return Some(Line::Failure(failure));
    }
    let others = ["EXTENSION\t", "TELEMETRY\t", "LOGS\t", "XRAY TraceId:", "RESTORE_START ", "LAMBDA_WARNING:"];
    let is_other = others.iter().any(|begin| message.starts_with(begin));
    is_other.then(|| Line::Platform(Platform::Other(message.replace('\t', "  "))))
}

/// `RequestId: ID Error: Runtime exited with error: exit status 1\nRuntime.ExitError`, and the line of a timeout:
/// `2024-05-04T10:00:03.010Z ID Task timed out after 3.00 seconds`.
fn failure(message: &str) -> Option<PlatformFailure> {
    if let Some((id, rest)) = message.strip_prefix("RequestId: ").and_then(|rest| rest.split_once(" Error: ")) {
        let (what, error_type) = match rest.split_once('\n') {
            Some((what, error_type)) => (what, error_type.trim()),
            None => (rest, ""),
        };
        let error_type = if error_type.is_empty() { "Runtime.ExitError" } else { error_type };
        return Some(PlatformFailure {
            request_id: id.to_owned(),
            error_type: error_type.to_owned(),
            message: what.to_owned(),
        });
    }
    let (time, rest) = message.split_once(' ')?;
    let (id, rest) = rest.split_once(' ')?;
    (time.ends_with('Z') && rest.starts_with("Task timed out after ")).then(|| PlatformFailure {
        request_id: id.to_owned(),
        error_type: "Sandbox.Timedout".to_owned(),
        message: rest.trim_end().to_owned(),
    })
}

/// A field of a line with tabs or spaces between `Name: value` pairs.
fn field<'a>(line: &'a str, name: &str) -> Option<&'a str> {
    let part = line.split(['\t', '\n']).find_map(|part| {
        // The first part of INIT_REPORT has the line's own name before it.
        let part = part.trim().trim_start_matches("INIT_REPORT ").trim_start_matches("RESTORE_REPORT ");
        part.strip_prefix(name)?.strip_prefix(": ")
    });
    part.map(str::trim)
}

fn number(text: &str) -> Option<f64> {
    text.split(' ').next()?.parse().ok()
}

fn report(rest: &str) -> Report {
    let number = |name: &str| field(rest, name).and_then(number);
    let megabytes = |name: &str| number(name).map(|number| number as u32);
    Report {
        request_id: rest.split_whitespace().next().unwrap_or_default().to_owned(),
        duration: number("Duration").unwrap_or_default(),
        init_duration: number("Init Duration"),
        memory: megabytes("Memory Size").unwrap_or_default(),
        memory_used: megabytes("Max Memory Used"),
        failed: field(rest, "Status").filter(|status| *status != "success").map(str::to_owned),
        error_type: field(rest, "Error Type").map(str::to_owned),
    }
}

fn json(kind: &str, record: &Value) -> Platform {
    let text = |name: &str| record[name].as_str().unwrap_or_default().to_owned();
    let metric = |name: &str| record["metrics"][name].as_f64();
    let error_type = record["errorType"].as_str().map(str::to_owned);
    match kind {
        "initStart" => Platform::InitStart { runtime: text("runtimeVersion") },
        "initReport" => Platform::InitReport {
            phase: text("phase"),
            status: text("status"),
            error_type,
            milliseconds: metric("durationMs").unwrap_or_default(),
        },
        "start" => Platform::Start { request_id: text("requestId"), version: text("version") },
        "report" => Platform::Report(Report {
            request_id: text("requestId"),
            duration: metric("durationMs").unwrap_or_default(),
            init_duration: metric("initDurationMs"),
            memory: metric("memorySizeMB").unwrap_or_default() as u32,
            memory_used: metric("maxMemoryUsedMB").map(|used| used as u32),
            failed: record["status"].as_str().filter(|status| *status != "success").map(str::to_owned),
            error_type,
        }),
        _ => Platform::Other(format!("{kind} {record}")),
    }
}
