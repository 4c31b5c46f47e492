//! The Velocity Template Language, as API Gateway's mapping templates have it: Velocity 1.x (user guide of 1.7), in which a condition
//! is false for `false` and null alone. Pure: text and variables in, text out.
//!
//! ```text
//! text --parse--> nodes (ast) --evaluate--> text          methods: what Java's strings, lists and maps can do
//!                                  |
//!                                  +-- Host: $input, $util and what else the embedder knows
//! ```
//!
//! Where API Gateway differs from Velocity: what has no value is the empty text, in the output and in conditions, where it is true
//! (toqoz/api-gateway-mapping-template#5, dherault/serverless-offline#50).
//!
//! A template is written by the developer, but what it works on comes from clients. So everything is bounded ([`Limits`]), and
//! nothing panics; what goes wrong is an [`Error`] with its place.
//!
//! There are Rust crates for languages like this one (`velocity_template`, `kg-template`), none of which is this one or is maintained.

mod ast;
mod evaluate;
mod methods;
mod parse;
mod value;

#[cfg(test)]
mod tests;

use std::fmt;

pub use self::value::{Heap, Value};

/// What a template may take.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// The longest template, in characters. (API Gateway: 300 KB.)
    pub template: usize,
    /// The longest output, in bytes. (API Gateway's largest payload: 10 MB.)
    pub output: usize,
    /// Bytes for all texts, lists and maps that it makes.
    pub memory: usize,
    /// Nodes and expressions evaluated, and what they look at: a step for 64 items, 256 bytes of text, or a letter of a pattern.
    pub steps: usize,
    /// Iterations of one `#foreach`. (API Gateway's quota: 1,000.)
    pub iterations: usize,
    /// How deep directives, expressions and macros may nest.
    pub depth: usize,
}

/// How much is looked at in one step of [`Limits::steps`].
const PER_STEP: usize = 64;

/// How many bytes of text are as much work as an item.
const BYTES_PER_ITEM: usize = 4;

impl Limits {
    pub const API_GATEWAY: Self = Self {
        template: 300 * 1024,
        output: 10 * 1024 * 1024,
        memory: 64 * 1024 * 1024,
        steps: 1_000_000,
        iterations: 1_000,
        depth: 48,
    };
}

/// What is wrong with a template, and where. Lines and columns count from 1.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Error {
    pub line: usize,
    pub column: usize,
    pub message: String,
}

impl fmt::Display for Error {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "line {}, column {}: {}", self.line, self.column, self.message)
    }
}

/// An error with its place in characters from the beginning.
#[derive(Debug)]
struct Fault {
    at: usize,
    message: String,
}

impl Fault {
    fn new(at: usize, message: impl Into<String>) -> Self {
        Self { at, message: message.into() }
    }

    fn in_text(self, text: &str) -> Error {
        let before = text.chars().take(self.at);
        let (mut line, mut column) = (1, 1);
        for letter in before {
            (line, column) = if letter == '\n' { (line + 1, 1) } else { (line, column + 1) };
        }
        Error { line, column, message: self.message }
    }
}

/// The objects that a template gets and that are no plain values: [`Value::Object`].
pub trait Host {
    /// The property `name` of the host's object; [`Value::Null`] where there is none.
    ///
    /// # Errors
    /// Why it cannot be read.
    fn property(&self, object: &str, name: &str, heap: &mut Heap) -> Result<Value, String>;

    /// What a method of the host's object returns; `None` where there is no such method.
    ///
    /// # Errors
    /// Why it failed.
    fn call(&self, object: &str, method: &str, arguments: &[Value], heap: &mut Heap) -> Result<Option<Value>, String>;
}

/// What a template gave.
#[derive(Debug)]
pub struct Rendered {
    pub text: String,
    heap: Heap,
    variables: std::collections::HashMap<String, Value>,
}

impl Rendered {
    /// A variable as it is at the end, as JSON; null where it has no value.
    pub fn variable(&self, name: &str) -> serde_json::Value {
        self.variables.get(name).and_then(|value| self.heap.to_json(value).ok()).unwrap_or_default()
    }
}

/// Evaluates a template. `variables` makes the values that it begins with.
///
/// # Errors
/// What is wrong with the template, or went wrong in it, and where.
pub fn render(
    text: &str,
    host: &dyn Host,
    limits: Limits,
    variables: impl FnOnce(&mut Heap) -> Result<Vec<(&'static str, Value)>, String>,
) -> Result<Rendered, Error> {
    let nodes = parse::parse(text, limits).map_err(|fault| fault.in_text(text))?;
    let mut heap = Heap::new(limits);
    let variables = variables(&mut heap).map_err(|message| Fault::new(0, message).in_text(text))?;
    evaluate::render(&nodes, host, limits, heap, variables).map_err(|fault| fault.in_text(text))
}
