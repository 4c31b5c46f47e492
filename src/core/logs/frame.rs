//! Stacks, in the user's own paths.

use serde::Serialize;
use serde_json::Value;

#[cfg(test)]
use schemars::JsonSchema;

use super::Function;

/// Where Lambda has a function's code.
const TASK: &str = "/var/task/";

/// How many frames of libraries are kept where none is of the user's own code.
const MAX_FOREIGN: usize = 3;

/// A place that a stack names.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[cfg_attr(test, derive(JsonSchema))]
pub struct Frame {
    /// A path as the user knows it (`connect/index.js`), where it is the user's own.
    pub file: String,
    /// From 1.
    pub line: Option<u32>,
    /// From 1.
    pub column: Option<u32>,
    /// The function, where the stack names it.
    pub function: Option<String>,
    /// The source line, where the stack shows it.
    pub source: Option<String>,
}

/// Whose the code of a frame is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Owner {
    User,
    /// A library's.
    Library,
    /// The runtime's, or the language's.
    Runtime,
}

impl Frame {
    fn at(file: &str, line: Option<u32>, column: Option<u32>) -> Self {
        Self { file: file.to_owned(), line, column, function: None, source: None }
    }

    /// `connect/index.js:4:9`
    pub fn place(&self) -> String {
        let mut place = self.file.clone();
        for number in [self.line, self.line.and(self.column)].into_iter().flatten() {
            place.push_str(&format!(":{number}"));
        }
        place
    }

    /// `src/main.rs:12:5`
    pub fn parse(place: &str) -> Option<Self> {
        let (file, line, column) = numbers(place);
        line.map(|line| Self::at(file, Some(line), column))
    }
}

/// The frames of a stack that Node.js or Python printed, the innermost first, in the user's paths and without what is not the
/// user's. `text` is the whole stack.
pub(super) fn frames(text: &str, function: &Function) -> Vec<Frame> {
    let mut found = node(text);
    if found.is_empty() {
        found = python(text);
    }
    let mut frames: Vec<(Owner, Frame)> = Vec::new();
    for mut frame in found {
        let (owner, file) = own_path(&frame.file, function);
        frame.file = file;
        if owner != Owner::Runtime && !frames.iter().any(|(_, known)| *known == frame) {
            frames.push((owner, frame));
        }
    }
    let most = if frames.iter().any(|(owner, _)| *owner == Owner::User) {
        frames.retain(|(owner, _)| *owner == Owner::User);
        usize::MAX
    } else {
        MAX_FOREIGN
    };
    frames.into_iter().take(most).map(|(_, frame)| frame).collect()
}

/// A stack as JSON logs have it: a text, or an array of lines.
pub(super) fn stack_text(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Array(lines) => {
            let lines: Vec<&str> =
                lines.iter().filter_map(Value::as_str).map(|line| line.trim_end_matches('\n')).collect();
            lines.join("\n")
        }
        _ => String::new(),
    }
}

/// `at handler (/var/task/index.js:4:9)`, and the place that a syntax error begins with: `/var/task/index.js:4`.
fn node(text: &str) -> Vec<Frame> {
    let mut frames = Vec::new();
    let mut lines = text.lines().peekable();
    while let Some(line) = lines.next() {
        let trimmed = line.trim();
        let Some(place) = trimmed.strip_prefix("at ") else {
            let bare = trimmed.strip_prefix("file://").unwrap_or(trimmed);
            if line.starts_with(['/', 'f']) && bare.starts_with('/') && !bare.contains(' ') {
                let (file, number, column) = numbers(bare);
                if number.is_some() {
                    let source =
                        lines.peek().map(|source| source.trim().to_owned()).filter(|source| !source.is_empty());
                    frames.push(Frame { source, ..Frame::at(file, number, column) });
                }
            }
            continue;
        };
        let (function, place) = match place.rsplit_once(" (") {
            Some((function, place)) => (Some(function), place.trim_end_matches(')')),
            None => (None, place),
        };
        let place = place.strip_prefix("async ").unwrap_or(place);
        let (file, line, column) = numbers(place);
        if line.is_none() {
            continue;
        }
        let function = function.map(|name| {
            let name = name.strip_prefix("async ").unwrap_or(name);
            name.trim_start_matches("Runtime.").trim_start_matches("exports.").to_owned()
        });
        let function = function.filter(|name| !name.contains("<anonymous>"));
        frames.push(Frame { function, ..Frame::at(file, line, column) });
    }
    frames
}

/// `File "/var/task/app.py", line 5, in handler`, with the source line below it. Python has the innermost frame last.
fn python(text: &str) -> Vec<Frame> {
    let mut frames = Vec::new();
    let mut lines = text.lines().peekable();
    while let Some(line) = lines.next() {
        let trimmed = trim(line);
        let Some((file, rest)) = trimmed.strip_prefix("File \"").and_then(|rest| rest.split_once('"')) else {
            continue;
        };
        let rest = rest.trim_start_matches([',', ' ']);
        let Some(rest) = rest.strip_prefix("line ").or_else(|| rest.strip_prefix("Line ")) else { continue };
        let digits = rest.find(|letter: char| !letter.is_ascii_digit()).unwrap_or(rest.len());
        let function = rest[digits..].strip_prefix(", in ").map(str::trim).filter(|name| *name != "<module>");
        let is_source = |line: &&str| {
            let source = trim(line);
            !source.is_empty() && !source.starts_with("File \"") && line.starts_with([' ', '\u{a0}'])
        };
        let source = lines.peek().copied().filter(is_source).map(|line| trim(line).to_owned());
        frames.push(Frame {
            file: file.to_owned(),
            line: rest[..digits].parse().ok(),
            column: None,
            function: function.map(str::to_owned),
            source,
        });
    }
    frames.reverse();
    frames
}

/// Python's lines begin with no-break spaces in the log.
fn trim(line: &str) -> &str {
    line.trim_matches(|letter: char| letter.is_whitespace() || letter == '\u{a0}')
}

/// The path, line and column of `/var/task/index.js:4:9`.
fn numbers(place: &str) -> (&str, Option<u32>, Option<u32>) {
    let place = place.strip_prefix("file://").unwrap_or(place);
    let number = |text: &str| text.parse::<u32>().ok();
    let Some((rest, last)) = place.rsplit_once(':') else { return (place, None, None) };
    let Some(last) = number(last) else { return (place, None, None) };
    match rest.rsplit_once(':') {
        Some((file, line)) if number(line).is_some() => (file, number(line), Some(last)),
        _ => (rest, Some(last), None),
    }
}

/// A path of the machine that ran the code as the user knows it, and whose the file is.
fn own_path(path: &str, function: &Function) -> (Owner, String) {
    let Some(below) = below_task(path) else {
        // The local cloud's own runtimes lie in its data folder, wherever that is.
        let runtime = !path.starts_with('/')
            || path.contains("/lambda/clients/")
            || ["/var/runtime", "/var/lang", "/usr/", "/opt/"].iter().any(|of| path.starts_with(of));
        let library =
            ["/node_modules/", "/site-packages/", "/dist-packages/", "/python3."].iter().any(|of| path.contains(of));
        let owner = if runtime || (!library && !path.starts_with("/tmp/")) { Owner::Runtime } else { Owner::Library };
        return (owner, path.to_owned());
    };
    let library = ["node_modules/", "site-packages/", "dist-packages/"];
    let is_library = library.iter().any(|of| below.starts_with(of) || below.contains(&format!("/{of}")));
    let owner = if is_library { Owner::Library } else { Owner::User };
    (owner, own(below, function))
}

fn own(below: &str, function: &Function) -> String {
    match function.folder.as_str() {
        "" => below.to_owned(),
        folder => format!("{folder}/{below}"),
    }
}

/// The path of a file within the code's folder. Where functions have no file system of their own, the local cloud runs the code
/// in a folder that is named by its digest.
fn below_task(path: &str) -> Option<&str> {
    if let Some(below) = path.strip_prefix(TASK) {
        return Some(below);
    }
    let mut rest = path;
    while let Some((segment, after)) = rest.split_once('/') {
        if segment.len() == 64 && segment.bytes().all(|byte| byte.is_ascii_hexdigit()) {
            return Some(after);
        }
        rest = after;
    }
    None
}

/// A text with the paths of the function's code as the user knows them.
pub(super) fn with_own_paths(text: &str, function: &Function) -> String {
    if !text.contains(TASK) {
        return text.to_owned();
    }
    let folder = own("", function);
    text.replace(&format!("file://{TASK}"), &folder).replace(TASK, &folder)
}
