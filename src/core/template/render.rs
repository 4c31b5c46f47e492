//! Problems rendered for the user: the sentence, the place, the line, a caret, and what to do.

use std::fmt::Write as _;

use unicode_width::UnicodeWidthChar;

use super::locate::{SourceMap, Span};
use crate::core::words::{Position, Problem};

/// How problems are shown.
#[derive(Debug, Clone, Copy)]
pub struct Rendering<'a> {
    /// The template's file, as the user named it.
    pub file: &'a str,
    /// The text that the problems are in.
    pub text: &'a str,
    /// Whether to use ANSI colours.
    pub colour: bool,
}

/// The longest source line that is shown whole, in columns of a terminal; of a longer one (JSON without line breaks is
/// one line), only the part around the caret is shown.
const MAX_COLUMNS: usize = 120;

/// How much of a long line is shown before the caret, in characters.
const BEFORE: usize = 40;

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
    let source = Source::scan(rendering.text);
    let shown: Vec<String> = problems.iter().map(|problem| paragraph(problem, &source, rendering)).collect();
    shown.join("\n")
}

/// A template's text with the positions of its parts.
#[derive(Debug)]
pub struct Source<'a> {
    map: SourceMap,
    lines: Vec<&'a str>,
}

impl<'a> Source<'a> {
    pub fn scan(text: &'a str) -> Self {
        // A text that cannot be scanned has a single problem, which carries its position.
        Self { map: SourceMap::scan(text).unwrap_or_default(), lines: text.lines().collect() }
    }

    /// The position of a problem, within one line; `None` if it is about the template as a whole.
    pub fn place(&self, problem: &Problem) -> Option<Span> {
        let Span { start, width } = match problem.position {
            Some(start) => Span { start, width: 1 },
            None if problem.path.0.is_empty() => return None,
            None => self.map.span(&problem.path, problem.at_key)?,
        };
        if let Some(part) = problem.part.as_deref().and_then(|part| self.variable(part, Span { start, width })) {
            return Some(part);
        }
        let left = self.line(start).chars().skip(start.column.saturating_sub(1)).take(width).count();
        Some(Span { start, width: left.max(1) })
    }

    /// Where a value, which may have several lines, says `${name}`.
    fn variable(&self, name: &str, value: Span) -> Option<Span> {
        let sought: Vec<char> = name.chars().collect();
        let mut at = value.start;
        let mut left = value.width;
        while left > 0 && at.line <= self.lines.len() {
            let line: Vec<char> = self.line(at).chars().skip(at.column.saturating_sub(1)).take(left).collect();
            for opened in (2..line.len()).filter(|index| line[index - 2..*index] == ['$', '{']) {
                let blanks = line[opened..].iter().take_while(|character| character.is_whitespace()).count();
                let rest = line[opened + blanks..].strip_prefix(sought.as_slice());
                if rest.is_some_and(|rest| rest.iter().find(|character| !character.is_whitespace()) == Some(&'}')) {
                    let start = Position { column: at.column + opened + blanks, ..at };
                    return Some(Span { start, width: sought.len().max(1) });
                }
            }
            left = left.saturating_sub(line.len() + 1);
            at = Position { line: at.line + 1, column: 1 };
        }
        None
    }

    fn line(&self, at: Position) -> &'a str {
        self.lines.get(at.line.saturating_sub(1)).copied().unwrap_or_default()
    }
}

fn paragraph(problem: &Problem, source: &Source<'_>, rendering: Rendering<'_>) -> String {
    let style = |code: &str, text: &str| {
        if rendering.colour { format!("\u{1b}[{code}m{text}\u{1b}[0m") } else { text.to_owned() }
    };
    let (severity, colour) = match problem.rule {
        None => ("error".to_owned(), "1;31"),
        Some(rule) => (format!("warning[{rule}]"), "1;33"),
    };
    let what = printable(&problem.what);
    let mut out = format!("{}{}\n", style(colour, &severity), style("1", &format!(": {what}")));
    let span = source.place(problem);
    let number = span.map_or(String::new(), |span| span.start.line.to_string());
    let gutter = " ".repeat(number.len());
    if let Some(span) = span {
        let Position { line, column } = span.start;
        let _ = writeln!(out, "{gutter}{} {}:{line}:{column}", style("1;34", "-->"), rendering.file);
        let excerpt = Excerpt::of(source.line(span.start), span);
        let bar = style("1;34", "|");
        let caret = style(colour, &"^".repeat(excerpt.width));
        let _ = writeln!(out, "{gutter} {bar}");
        let _ = writeln!(out, "{} {bar} {}", style("1;34", &number), excerpt.text.trim_end());
        let _ = writeln!(out, "{gutter} {bar} {}{caret}", " ".repeat(excerpt.indent));
    }
    if let Some(help) = &problem.help {
        let indent = if span.is_some() { format!("{gutter} ") } else { "  ".to_owned() };
        let _ = writeln!(out, "{indent}{} {}", style("1;34", "= help:"), printable(help));
    }
    out
}

/// The shown part of a source line and its caret, both in columns of a terminal.
struct Excerpt {
    text: String,
    /// The column of the caret.
    indent: usize,
    /// The width of the caret.
    width: usize,
}

impl Excerpt {
    fn of(line: &str, span: Span) -> Self {
        let at = span.start.column.saturating_sub(1);
        let is_long = columns(line.chars().take(MAX_COLUMNS + 1)) > MAX_COLUMNS;
        let skipped = if is_long { at.saturating_sub(BEFORE) } else { 0 };
        let cut = |from: usize, count: usize| -> String {
            printable(&line.chars().skip(from).take(count).collect::<String>())
        };
        let (before, marked) = (cut(skipped, at - skipped), cut(at, span.width.min(MAX_COLUMNS - BEFORE)));
        let mut text = if skipped > 0 { "…".to_owned() } else { String::new() };
        text.push_str(&before);
        let indent = columns(text.chars());
        text.push_str(&marked);
        let width = columns(marked.chars()).max(1);
        let mut left = MAX_COLUMNS.saturating_sub(indent + width);
        let mut rest = line.chars().skip(at + marked.chars().count());
        for character in rest.by_ref() {
            let character = shown_character(character);
            if is_long && columns([character]) > left {
                text.push('…');
                break;
            }
            left = left.saturating_sub(columns([character]));
            text.push(character);
        }
        Self { text, indent, width }
    }
}

/// The width of text in columns of a terminal: Chinese and Japanese characters take two, combining ones none.
fn columns(text: impl IntoIterator<Item = char>) -> usize {
    text.into_iter().map(|character| character.width().unwrap_or(1)).sum()
}

/// `text` without control characters, which would change the terminal instead of being shown.
fn printable(text: &str) -> String {
    text.chars().map(shown_character).collect()
}

fn shown_character(character: char) -> char {
    match character {
        // A tab would shift the caret away from its character.
        '\t' | '\n' | '\r' => ' ',
        control if control.is_control() => char::REPLACEMENT_CHARACTER,
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::template::parse;
    use crate::core::words::Path;

    fn shown(text: &str) -> String {
        let problems = parse(text.as_bytes()).map_or_else(|problems| problems, |template| template.problems);
        render(&problems, Rendering { file: "t.yaml", text, colour: false })
    }

    #[test]
    fn a_long_line_is_shown_around_the_caret() {
        let resources: Vec<String> = (0..40)
            .map(|index| format!(r#""Table{index}":{{"Type":"AWS::DynamoDB::Table","Propertys":{{"KeySchema":[]}}}}"#))
            .collect();
        let text = format!(r#"{{"Resources":{{{}}}}}"#, resources.join(","));
        let all = shown(&text);
        assert!(all.lines().all(|line| columns(line.chars()) <= MAX_COLUMNS + 10), "{all}");
        let paragraphs: Vec<&str> = all.split("\n\n").collect();
        insta::assert_snapshot!([paragraphs[0], paragraphs[20], paragraphs[39]].join("\n\n"));
    }

    #[test]
    fn wide_characters_and_tabs_leave_the_caret_in_its_place() {
        let text = "{\"Description\": \"聊天\", \"Outptus\": {},\t\"Resuorces\": {}}\n";
        insta::assert_snapshot!(shown(text));
    }

    #[test]
    fn the_caret_is_under_the_wrong_name_of_a_substitution() {
        let text = "Resources:\n  A:\n    Uri: !Sub |\n      first ${B}\n      then ${ Conect.Arn }\n    Name: x\n";
        let path = Path::default().key("Resources").key("A").key("Uri").key("Fn::Sub");
        let problem = Problem::new(path, "there is no resource \"Conect\"").within("Conect.Arn");
        let shown = render(&[problem], Rendering { file: "t.yaml", text, colour: false });
        let place = " --> t.yaml:5:15\n  |\n5 |       then ${ Conect.Arn }\n  |               ^^^^^^^^^^\n";
        assert!(shown.ends_with(place), "{shown}");
    }

    #[test]
    fn control_characters_are_not_printed() {
        let text = "Resources: {\"\\e[2J\": 1}\n";
        let shown = shown(text);
        assert!(!shown.chars().any(|character| character.is_control() && character != '\n'), "{shown:?}");
        assert!(shown.contains("the name \"\u{fffd}[2J\""), "{shown}");
    }
}
