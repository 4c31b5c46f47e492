//! Reads the log of one execution environment, message by message.

use super::frame::{Frame, frames, with_own_paths};
use super::platform::{self, Line, PlatformFailure};
use super::runtime::{self, Said, Thrown};
use super::{Failure, FailureKind, Function, Item, Level, Output, Platform, advice};

/// Reads one log stream. One failure is logged up to three times (by the runtime, again when the start is tried again, and by
/// Lambda when the process has ended), and a panic in several messages; each becomes one item.
#[derive(Debug, Clone)]
pub struct Reader {
    function: Function,
    /// The invocation that runs.
    request_id: Option<String>,
    /// What waits for more: for the lines of a panic, or for the invocation that it belongs to.
    held: Option<Held>,
    /// The last failure, until the next invocation.
    last: Option<Failure>,
    /// The last line of output before a failure, which may say what a process died of.
    last_words: Option<String>,
}

#[derive(Debug, Clone)]
enum Held {
    Panic {
        frame: Option<Frame>,
        message: String,
    },
    /// A failure outside of an invocation: of the start.
    Start(Failure),
}

impl Reader {
    /// Begins to read a stream of a function's log.
    pub fn new(function: Function) -> Self {
        Self { function, request_id: None, held: None, last: None, last_words: None }
    }

    /// What a message says, with what was held back before it.
    pub fn read(&mut self, message: &str) -> Vec<Item> {
        let mut items = Vec::new();
        match platform::read(message) {
            Some(Line::Platform(line)) => self.platform(line, &mut items),
            Some(Line::Failure(failure)) => {
                self.release_panic(&mut items);
                self.noticed(&failure, &mut items);
            }
            None => self.said(runtime::read(message), &mut items),
        }
        items
    }

    /// What was held back, when no more of it is to be expected.
    pub fn flush(&mut self) -> Vec<Item> {
        let mut items = Vec::new();
        self.release(&mut items);
        items
    }

    /// A failure of the start stays until it is known which invocation it made fail.
    fn release_panic(&mut self, items: &mut Vec<Item>) {
        if matches!(self.held, Some(Held::Panic { .. })) {
            self.release(items);
        }
    }

    fn release(&mut self, items: &mut Vec<Item>) {
        match self.held.take() {
            Some(Held::Panic { frame, message }) => {
                let failure =
                    self.failure(FailureKind::Panic, "panic", message.trim(), frame.into_iter().collect(), None);
                self.give(failure, items);
            }
            Some(Held::Start(failure)) => items.push(Item::Failure(failure)),
            None => {}
        }
    }

    fn platform(&mut self, line: Platform, items: &mut Vec<Item>) {
        match &line {
            Platform::Start { request_id, .. } => {
                if let Some(Held::Start(failure)) = &mut self.held {
                    failure.request_id.get_or_insert_with(|| request_id.clone());
                }
                self.release(items);
                self.request_id = Some(request_id.clone());
                self.last_words = None;
            }
            Platform::InitReport { status, error_type, .. } if status == "timeout" && self.last.is_none() => {
                let error_type = error_type.as_deref().unwrap_or("Sandbox.Timedout");
                let failure =
                    self.failure(FailureKind::Timeout, error_type, "the start took too long", Vec::new(), None);
                self.give(failure, items);
            }
            Platform::Report(report) => {
                self.release(items);
                if self.last.is_none()
                    && let Some(status) = &report.failed
                {
                    // JSON logs have no line of their own for what Lambda noticed.
                    let error_type = report.error_type.as_deref().unwrap_or(if status == "timeout" {
                        "Sandbox.Timedout"
                    } else {
                        ""
                    });
                    let message = match (status.as_str(), error_type) {
                        ("timeout", _) => format!("Task timed out after {:.2} seconds", report.duration / 1000.0),
                        (_, "Runtime.ExitError") => "Runtime exited".to_owned(),
                        (_, "") => "the invocation failed, and its log does not say why".to_owned(),
                        (_, error_type) => {
                            format!("the handler failed with {error_type}, and its log does not say more")
                        }
                    };
                    let failure = PlatformFailure {
                        request_id: report.request_id.clone(),
                        error_type: error_type.to_owned(),
                        message,
                    };
                    self.noticed(&failure, items);
                }
                self.request_id = None;
                self.last = None;
            }
            _ => {}
        }
        items.push(Item::Platform(line));
    }

    /// A failure that Lambda noticed.
    fn noticed(&mut self, noticed: &PlatformFailure, items: &mut Vec<Item>) {
        let kind = advice::kind(&noticed.error_type, &noticed.message, false);
        // The process has ended because of what it reported before, or its start took all the time that the invocation had.
        let follows = match kind {
            FailureKind::Exit => self.last.is_some(),
            FailureKind::Timeout => self.last.as_ref().is_some_and(|last| last.kind == FailureKind::Timeout),
            _ => false,
        };
        if follows {
            if let Some(Held::Start(failure)) = &mut self.held {
                failure.request_id.get_or_insert_with(|| noticed.request_id.clone());
            }
            return;
        }
        let request_id = Some(noticed.request_id.clone());
        let failure = self.failure(kind, &noticed.error_type, &noticed.message, Vec::new(), request_id);
        self.give(failure, items);
    }

    fn said(&mut self, said: Said, items: &mut Vec<Item>) {
        match (said, &mut self.held) {
            (Said::PanicNote, Some(Held::Panic { .. })) => self.release_panic(items),
            (Said::Output { level: None, text, .. }, Some(Held::Panic { message, .. })) => {
                if !message.is_empty() {
                    message.push('\n');
                }
                message.push_str(&text);
            }
            (Said::Panic { place, message }, _) => {
                self.release_panic(items);
                self.held = Some(Held::Panic { frame: Frame::parse(&place), message });
            }
            (Said::Thrown(thrown), _) => {
                self.release_panic(items);
                self.thrown(thrown, items);
            }
            (Said::PanicNote, _) => {}
            (Said::Output { level, text, request_id }, _) => {
                self.release_panic(items);
                self.output(level, &text, request_id, items);
            }
        }
    }

    fn output(&mut self, level: Option<Level>, text: &str, request_id: Option<String>, items: &mut Vec<Item>) {
        // lambda_runtime repeats a panic that was printed.
        let repeats = self.last.as_ref().is_some_and(|last| last.kind == FailureKind::Panic);
        if repeats && text.contains("user handler panicked") {
            return;
        }
        let text = with_own_paths(text, &self.function);
        let text: Vec<&str> = text.lines().filter(|line| !is_runtime_frame(line)).collect();
        let text = text.join("\n");
        self.last_words = Some(text.clone());
        items.push(Item::Output(Output {
            level,
            help: advice::access_denied(&text, &self.function),
            text,
            request_id: request_id.or_else(|| self.request_id.clone()),
        }));
    }

    fn thrown(&mut self, thrown: Thrown, items: &mut Vec<Item>) {
        let kind = advice::kind(&thrown.error_type, &thrown.message, thrown.rejection);
        // Who asked for a missing module, Node.js adds to the message; the stack has it, too.
        let message = thrown.message.split("\nRequire stack:").next().unwrap_or_default();
        let stack = frames(&thrown.stack, &self.function);
        let failure = self.failure(kind, &thrown.error_type, message, stack, thrown.request_id);
        self.give(failure, items);
    }

    fn failure(
        &self,
        kind: FailureKind,
        error_type: &str,
        message: &str,
        stack: Vec<Frame>,
        id: Option<String>,
    ) -> Failure {
        let message = with_own_paths(message, &self.function);
        let error_type = error_type.to_owned();
        let mut failure = Failure { kind, error_type, message, stack, request_id: id, help: String::new() };
        failure.request_id = failure.request_id.or_else(|| self.request_id.clone());
        failure.help = advice::help(&failure, &self.function, self.last_words.as_deref());
        failure
    }

    /// Gives a failure, unless it is the last one again. One of the start waits for the invocation that it made fail.
    fn give(&mut self, failure: Failure, items: &mut Vec<Item>) {
        let repeated = self.last.as_ref().is_some_and(|last| {
            (last.kind, &last.error_type, &last.message) == (failure.kind, &failure.error_type, &failure.message)
        });
        if repeated {
            return;
        }
        self.last = Some(failure.clone());
        match failure.request_id {
            Some(_) => items.push(Item::Failure(failure)),
            None => {
                self.release(items);
                self.held = Some(Held::Start(failure));
            }
        }
    }
}

/// A line of a stack that is of Node.js or of Lambda's runtime.
fn is_runtime_frame(line: &str) -> bool {
    let line = line.trim_start();
    line.starts_with("at ")
        && ["(node:", "at node:", "(/var/runtime/", "file:///var/runtime/", "(internal/"]
            .iter()
            .any(|of| line.contains(of))
}
