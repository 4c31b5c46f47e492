//! Problems as a person reads them: the sentence, the place, the line, a caret, and what to do.

use std::fmt::Write as _;

use super::locate::{SourceMap, Span};
use crate::diagnostic::{Position, Problem};

/// How problems are shown.
#[derive(Debug, Clone, Copy)]
pub struct Rendering<'a> {
    /// The template's file, as the user named it.
    pub file: &'a str,
    /// The text that the problems are about.
    pub text: &'a str,
    /// Whether to colour with ANSI codes.
    pub colour: bool,
}

/// All `problems`, a paragraph each.
///
/// ```text
/// error: unknown property "RouteKye" of AWS::ApiGatewayV2::Route
///   --> templates/chat.yaml:41:7
///    |
/// 41 |       RouteKye: $connect
///    |       ^^^^^^^^
///    = help: did you mean "RouteKey"?
/// ```
pub fn render(problems: &[Problem], rendering: Rendering<'_>) -> String {
    // A text that cannot be scanned has one problem only, and that has its position with it.
    let source = SourceMap::scan(rendering.text).unwrap_or_default();
    let shown: Vec<String> = problems.iter().map(|problem| paragraph(problem, &source, rendering)).collect();
    shown.join("\n")
}

fn paragraph(problem: &Problem, source: &SourceMap, rendering: Rendering<'_>) -> String {
    let style = |code: &str, text: &str| {
        if rendering.colour { format!("\u{1b}[{code}m{text}\u{1b}[0m") } else { text.to_owned() }
    };
    let mut out = format!("{}{}\n", style("1;31", "error"), style("1", &format!(": {}", problem.what)));
    let span = place(problem, source);
    let number = span.map_or(String::new(), |span| span.start.line.to_string());
    let gutter = " ".repeat(number.len());
    if let Some(Span { start: Position { line, column }, width }) = span {
        let _ = writeln!(out, "{gutter}{} {}:{line}:{column}", style("1;34", "-->"), rendering.file);
        let text = rendering.text.lines().nth(line - 1).unwrap_or_default();
        let width = width.min((text.chars().count() + 1).saturating_sub(column)).max(1);
        let bar = style("1;34", "|");
        // Tabs would put the caret elsewhere than the character it means.
        let text = text.replace('\t', " ");
        let caret = style("1;31", &"^".repeat(width));
        let _ = writeln!(out, "{gutter} {bar}");
        let _ = writeln!(out, "{} {bar} {}", style("1;34", &number), text.trim_end());
        let _ = writeln!(out, "{gutter} {bar} {}{caret}", " ".repeat(column - 1));
    }
    if let Some(help) = &problem.help {
        let indent = if span.is_some() { format!("{gutter} ") } else { "  ".to_owned() };
        let _ = writeln!(out, "{indent}{} {help}", style("1;34", "= help:"));
    }
    out
}

/// Where a problem is shown; nowhere if it is with the template as a whole.
fn place(problem: &Problem, source: &SourceMap) -> Option<Span> {
    match problem.position {
        Some(start) => Some(Span { start, width: 1 }),
        None if problem.path.0.is_empty() => None,
        None => source.span(&problem.path, problem.at_key),
    }
}
