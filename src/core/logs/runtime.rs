//! The lines of the runtimes and of handlers: Node.js, Python and Rust, as text and as JSON.

use serde_json::Value;

use super::Level;
use super::frame::stack_text;

/// What a message that is not Lambda's own says.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Said {
    Output {
        level: Option<Level>,
        text: String,
        request_id: Option<String>,
    },
    /// An error that nothing caught.
    Thrown(Thrown),
    /// The first line of a panic: its message follows in the next lines, where it is not here already.
    Panic {
        place: String,
        message: String,
    },
    /// Where the panic's message ends.
    PanicNote,
}

/// An error that nothing caught, as the runtime logs it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Thrown {
    pub error_type: String,
    pub message: String,
    /// As it was logged.
    pub stack: String,
    pub request_id: Option<String>,
    /// Whether it is a rejected promise.
    pub rejection: bool,
}

/// Reads a message that is not Lambda's own.
pub(super) fn read(message: &str) -> Said {
    match line(message) {
        // Node.js prints its warnings with console.error.
        Said::Output { text, request_id, .. } if is_node_warning(&text) => {
            Said::Output { level: Some(Level::Warn), text, request_id }
        }
        said => said,
    }
}

/// Whether it is a warning of Node.js's own: `(node:8) [DEP0040] DeprecationWarning: ...`, and how to find its cause.
fn is_node_warning(text: &str) -> bool {
    let named = text.strip_prefix("(node:").and_then(|rest| rest.split_once(") "));
    named.is_some_and(|(id, rest)| id.parse::<u32>().is_ok() && rest.contains("Warning: "))
        || text.starts_with("(Use `node --trace-")
}

fn line(message: &str) -> Said {
    let message = message.trim_end_matches(['\n', '\r']);
    if let Some(said) = message.starts_with('{').then(|| json(message)).flatten() {
        return said;
    }
    node(message)
        .or_else(|| python(message))
        .or_else(|| panic(message))
        .or_else(|| tracing(message))
        .or_else(|| bare_thrown(message))
        .unwrap_or_else(|| Said::Output { level: None, text: message.to_owned(), request_id: None })
}

fn request_id(text: &str) -> Option<String> {
    (!text.is_empty() && text != "undefined" && text != "null").then(|| text.to_owned())
}

/// Whether this is a time like `2024-05-04T10:00:00.123Z`.
fn is_time(text: &str) -> bool {
    text.len() >= 20
        && text.ends_with('Z')
        && text.as_bytes().get(10) == Some(&b'T')
        && text.starts_with(|c: char| c.is_ascii_digit())
}

/// `TIME\tREQUEST-ID\tLEVEL\tmessage`
fn node(message: &str) -> Option<Said> {
    let mut parts = message.splitn(4, '\t');
    let (time, id, level, text) = (parts.next()?, parts.next()?, parts.next()?, parts.next().unwrap_or_default());
    let level = Level::parse(level).filter(|_| is_time(time))?;
    let request_id = request_id(id);
    for (words, rejection) in
        [("Invoke Error", false), ("Uncaught Exception", false), ("Unhandled Promise Rejection", true)]
    {
        if let Some(document) = text.strip_prefix(words).map(str::trim).filter(|rest| rest.starts_with('{'))
            && let Ok(document) = serde_json::from_str::<Value>(document)
        {
            return Some(Said::Thrown(thrown(&document, request_id, rejection)));
        }
    }
    Some(Said::Output { level: Some(level), text: text.to_owned(), request_id })
}

/// An error document of a runtime: with `stack`, `stackTrace` or `trace`.
fn thrown(document: &Value, request_id: Option<String>, rejection: bool) -> Thrown {
    let text = |name: &str| document[name].as_str().unwrap_or_default().to_owned();
    let stack = ["stack", "stackTrace", "trace"].iter().map(|name| stack_text(&document[*name]));
    let mut error_type = text("errorType");
    let mut message = text("errorMessage");
    // The reason of a rejection is the error itself.
    let reason = &document["reason"];
    let rejection = rejection || error_type == "Runtime.UnhandledPromiseRejection";
    if rejection && let Some(name) = reason["errorType"].as_str() {
        error_type = name.to_owned();
        message = reason["errorMessage"].as_str().unwrap_or(&message).to_owned();
    }
    Thrown {
        error_type,
        message,
        stack: stack.into_iter().find(|stack| !stack.is_empty()).unwrap_or_default(),
        request_id,
        rejection,
    }
}

/// `[LEVEL]\tTIME\tREQUEST-ID\tmessage`, and `[ERROR] Type: message` with a traceback.
fn python(message: &str) -> Option<Said> {
    let (level, rest) = message.strip_prefix('[')?.split_once(']')?;
    let level = Level::parse(level)?;
    if let Some(rest) = rest.strip_prefix('\t') {
        let mut parts = rest.splitn(3, '\t');
        let (time, id, text) = (parts.next()?, parts.next()?, parts.next().unwrap_or_default());
        if !is_time(time) {
            return None;
        }
        return Some(Said::Output { level: Some(level), text: text.to_owned(), request_id: request_id(id) });
    }
    let (head, trace) = match rest.split_once("\nTraceback (most recent call last):") {
        Some((head, trace)) => (head, Some(trace)),
        None => (rest, None),
    };
    let head = head.trim();
    if level != Level::Error || (trace.is_none() && !head.starts_with("Runtime.")) {
        return None;
    }
    let (error_type, text) = head.split_once(": ").unwrap_or((head, ""));
    let stack = trace.unwrap_or_default().to_owned();
    let (error_type, message) = (error_type.to_owned(), text.to_owned());
    Some(Said::Thrown(Thrown { error_type, message, stack, ..Thrown::default() }))
}

/// `Runtime.UnhandledPromiseRejection: Error: x` with its stack, as nodejs24.x prints it without a prefix.
fn bare_thrown(message: &str) -> Option<Said> {
    let (head, stack) = message.split_once("\n    at ")?;
    let (error_type, text) = head.lines().next()?.split_once(": ")?;
    let rest = error_type.strip_prefix("Runtime.")?;
    Some(Said::Thrown(Thrown {
        error_type: error_type.to_owned(),
        message: text.to_owned(),
        stack: format!("    at {stack}"),
        request_id: None,
        rejection: rest == "UnhandledPromiseRejection",
    }))
}

/// `thread 'main' panicked at src/main.rs:4:5:`, with its message below; before Rust 1.73: `... panicked at 'message', PLACE`.
fn panic(message: &str) -> Option<Said> {
    if message.starts_with("note: run with `RUST_BACKTRACE=") || message.starts_with("stack backtrace:") {
        return Some(Said::PanicNote);
    }
    let (_, rest) = message.strip_prefix("thread '")?.split_once(" panicked at ")?;
    if let Some((text, place)) = rest.strip_prefix('\'').and_then(|rest| rest.rsplit_once("', ")) {
        return Some(Said::Panic { place: place.trim().to_owned(), message: text.to_owned() });
    }
    let (place, text) = rest.split_once('\n').unwrap_or((rest, ""));
    Some(Said::Panic { place: place.trim().trim_end_matches(':').to_owned(), message: text.trim().to_owned() })
}

/// A line of `tracing`: `TIME  LEVEL span{requestId="..."}: target: message`, with or without the time and colours.
fn tracing(message: &str) -> Option<Said> {
    let text = without_colours(message);
    let trimmed = text.trim_start();
    let (first, rest) = trimmed.split_once(' ')?;
    let (level, rest) = if is_time(first) {
        let (level, rest) = rest.trim_start().split_once(' ')?;
        (level, rest)
    } else {
        (first, rest)
    };
    let known = ["TRACE", "DEBUG", "INFO", "WARN", "ERROR"].contains(&level);
    let level = Level::parse(level).filter(|_| known)?;
    let id = rest.split_once("requestId=").map(|(_, id)| id.trim_start_matches('"'));
    let id = id.map(|id| id.split(['"', ' ', '}']).next().unwrap_or_default());
    // The runtime's own span says nothing that the prefix of our line does not.
    let shown = match rest.trim_start().strip_prefix("Lambda runtime invoke{").and_then(|rest| rest.split_once("}: ")) {
        Some((_, rest)) => rest,
        None => rest.trim_start(),
    };
    Some(Said::Output { level: Some(level), text: shown.to_owned(), request_id: id.and_then(request_id) })
}

fn without_colours(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some((before, after)) = rest.split_once("\u{1b}[") {
        out.push_str(before);
        rest = after.trim_start_matches(|letter: char| letter.is_ascii_digit() || letter == ';');
        rest = rest.strip_prefix('m').unwrap_or(rest);
    }
    out + rest
}

/// A line of JSON with a level: Lambda's log format, and that of loggers which write JSON.
fn json(message: &str) -> Option<Said> {
    let document: Value = serde_json::from_str(message).ok()?;
    let fields = document.as_object()?;
    let text = |name: &str| document[name].as_str();
    let id = ["requestId", "request_id", "AWSRequestId", "function_request_id"].iter().find_map(|name| text(name));
    let id = id.or_else(|| document["span"]["requestId"].as_str()).and_then(request_id);
    let level = ["level", "log_level", "severity"].iter().find_map(|name| text(name)).and_then(Level::parse);
    let said = &document["message"];
    // An error as the only thing that is logged: Node.js has it below `message`, Python at the top.
    let error = if said["errorType"].is_string() { said } else { &document };
    let is_thrown = error["errorType"].is_string()
        && (error["stackTrace"].is_array() || error["stack"].is_array() || error["trace"].is_array());
    let by_runtime = level >= Some(Level::Error) && is_uncaught(error, &document);
    if is_thrown && by_runtime {
        return Some(Said::Thrown(thrown(error, id, false)));
    }
    let (level, said) = match (level, said, &document["fields"]["message"]) {
        (None, _, _) => return None,
        (level, said, _) if !said.is_null() => (level, said),
        (level, _, said) if !said.is_null() => (level, said),
        (level, ..) => (level, text("msg").map_or(&Value::Null, |_| &document["msg"])),
    };
    let mut shown = match said {
        Value::String(text) => text.clone(),
        Value::Null => String::new(),
        other => other.to_string(),
    };
    // What else was logged, but for what every line has.
    const USUAL: &[&str] = &[
        "timestamp",
        "time",
        "level",
        "log_level",
        "severity",
        "requestId",
        "request_id",
        "AWSRequestId",
        "message",
        "msg",
        "target",
        "span",
        "spans",
        "fields",
        "logger",
        "stackTrace",
        "location",
        "xrayTraceId",
        "function_request_id",
    ];
    let inner = document["fields"].as_object().into_iter().flatten();
    for (name, value) in
        fields.iter().chain(inner).filter(|(name, value)| !USUAL.contains(&name.as_str()) && !value.is_null())
    {
        let value = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
        let gap = if shown.is_empty() { "" } else { " " };
        shown.push_str(&format!("{gap}{name}={value}"));
    }
    let stack = stack_text(&document["stackTrace"]);
    if !stack.is_empty() {
        shown.push('\n');
        shown.push_str(&stack);
    }
    Some(Said::Output { level, text: shown, request_id: id })
}

/// Whether the runtime logged an error, rather than the handler. Neither says it in JSON: the runtime of Node.js logs only the
/// error, that of Python has no logger.
fn is_uncaught(error: &Value, document: &Value) -> bool {
    let below_message = !std::ptr::eq(error, document);
    if below_message {
        return true;
    }
    document.get("logger").is_none() && document.get("message").is_none()
}
