//! Text that is not YAML, in the words of its author: the parser names what it expected, not the mistake.

use crate::core::words::{Position, Problem, ProblemKind};

/// Parts of the parser's messages; what they mean, and what to do. The first that matches counts.
const MESSAGES: &[(&str, &str, &str)] = &[
    ("tabs disallowed", "a tab where only spaces are allowed", SPACES),
    ("tab cannot be used", "a tab where only spaces are allowed", SPACES),
    ("a tab", "a tab where only spaces are allowed", SPACES),
    ("escape", "an escape that YAML does not know", "write \\\\ for a backslash, or use single quotes"),
    ("indentation in quoted scalar", "a quoted text that does not end", "is the closing quote missing?"),
    ("quoted scalar, found unexpected end", "a quoted text that does not end", "is the closing quote missing?"),
    (
        "trailing content after double-quoted",
        "text after a closing quote",
        "put all of it in the quotes; or is a \":\" or \",\" missing?",
    ),
    ("trailing content after single-quoted", "text after a closing quote", "write '' for a quote in single quotes"),
    ("unknown anchor", "an alias without an anchor", "quote a text that begins with *; an anchor is written &NAME"),
    (
        "did not find expected ',' or '}'",
        "a \",\" or \"}\" is missing",
        "every { needs a } and a \",\" between its entries",
    ),
    ("expected ',' or ']'", "a \",\" or \"]\" is missing", "every [ needs a ] and a \",\" between its elements"),
    ("misplaced bracket", "a bracket that closes nothing", "remove it, or quote the text that it belongs to"),
    ("expected node content", "a value is missing", AFTER_COMMA),
    ("unexpected character", "a text that begins with a special character", "quote it"),
    (
        "did not find expected '-' indicator",
        "a list and a map are mixed",
        "begin every element of the list with \"- \"",
    ),
    ("did not find expected key", "the indentation changes within a map", ""),
    ("mapping values are not allowed", "a \":\" where no key can be", ""),
    ("simple key expect", "a \":\" is missing", ""),
    ("illegal placement of ':'", "a \":\" where no key can be", "is a \"[\" or \"{\" before it not closed?"),
    ("indentation", "the indentation does not fit", ""),
];

const AFTER_COMMA: &str = "remove the \",\", or put a value before it";
const SPACES: &str = "indent with spaces: YAML allows no tabs there";

/// The problem that `text` is not YAML: what the parser said of it, at which position.
pub fn problem(said: &str, position: Position, text: &str) -> Problem {
    let problem = |position, what: &str| {
        Problem::of_text(Some(position), format!("this is not YAML: {what}")).kind(ProblemKind::Syntax)
    };
    let lines: Vec<&str> = text.lines().collect();
    if let Some((outer, inner)) = two_tags(&lines, position) {
        let name = outer.trim_start_matches('!');
        let long = if ["Ref", "Condition"].contains(&name) { name.to_owned() } else { format!("Fn::{name}") };
        return problem(position, &format!("two tags before one value, {outer} and {inner}"))
            .help(format!("write the first in its long form, on a line of its own: {long}: {inner} ..."));
    }
    let about_colon = ["simple key expect", "mapping values are not allowed", "illegal placement of ':'"];
    if about_colon.iter().any(|part| said.contains(part)) {
        if let Some((key, position)) = key_without_colon(&lines, position) {
            return problem(position, &format!("\":\" is missing after \"{key}\""));
        }
        if said.contains("mapping values") && line_up_to(&lines, position).contains(": ") {
            return problem(position, "a second \":\" in one line").help("quote a value that has \": \" in it");
        }
    }
    let Some((_, what, help)) = MESSAGES.iter().find(|(part, ..)| said.contains(part)) else {
        return problem(position, said);
    };
    let help = match *help {
        AFTER_COMMA if last_before(&lines, position) != Some(',') => {
            "is a \"[\" or \"{\" before it not closed?".to_owned()
        }
        "" => indentation(&lines, position),
        help => help.to_owned(),
    };
    problem(position, what).help(help)
}

/// The two tags that stand before one value in the line of `position`: YAML allows one.
fn two_tags<'t>(lines: &[&'t str], position: Position) -> Option<(&'t str, &'t str)> {
    let words: Vec<&str> = lines.get(position.line.checked_sub(1)?)?.split_whitespace().collect();
    let is_tag = |word: &&str| word.starts_with('!') && word.len() > 1;
    words.windows(2).find(|pair| pair.iter().all(is_tag)).map(|pair| (pair[0], pair[1]))
}

/// The key before `position` whose colon is missing, and where that belongs. The parser takes such a key for the first line
/// of a text, and reports the first colon after it.
fn key_without_colon<'t>(lines: &[&'t str], position: Position) -> Option<(&'t str, Position)> {
    let reported = lines.get(position.line.checked_sub(1)?)?;
    let (number, line) = line_before(lines, position)?;
    let (own, next) = (indent(line), indent(reported));
    let text = line.trim();
    let key = text.split_whitespace().next()?;
    let is_name = key.chars().all(|character| character.is_ascii_alphanumeric());
    // A key alone has its value below it; one with a value is followed by its sibling.
    let misses = !text.contains(": ") && if key == text { next > own } else { next == own };
    // A line of a text that goes on has no key above it.
    let above = lines[..number - 1].iter().rev().find(|line| !line.trim().is_empty() && indent(line) < own);
    let is_below_key = above.is_none_or(|line| line.trim_end().ends_with(':'));
    let column = own + key.chars().count() + 1;
    (is_name && misses && is_below_key).then_some((key, Position { line: number, column }))
}

/// The last line before `position` that has content, and its number.
fn line_before<'t>(lines: &[&'t str], position: Position) -> Option<(usize, &'t str)> {
    let before = lines.get(..position.line.saturating_sub(1))?.iter().enumerate().rev();
    let mut content = before.filter(|(_, line)| !line.trim().is_empty() && !line.trim_start().starts_with('#'));
    content.next().map(|(index, line)| (index + 1, *line))
}

/// The line of `position` up to it.
fn line_up_to(lines: &[&str], position: Position) -> String {
    let line = lines.get(position.line.saturating_sub(1)).copied().unwrap_or_default();
    line.chars().take(position.column.saturating_sub(1)).collect()
}

/// The last character before `position` that is not blank.
fn last_before(lines: &[&str], position: Position) -> Option<char> {
    let before = line_up_to(lines, position);
    let above = lines.iter().take(position.line.saturating_sub(1)).rev();
    [before.as_str()].into_iter().chain(above.copied()).find_map(|line| line.trim_end().chars().next_back())
}

fn indent(line: &str) -> usize {
    line.chars().take_while(|character| *character == ' ').count()
}

/// Which line to look at where the indentation is wrong.
fn indentation(lines: &[&str], position: Position) -> String {
    let line = position.line;
    match line_before(lines, position) {
        Some((before, _)) => format!("the indentation of line {before} or {line} does not fit the lines around it"),
        None => format!("the indentation of line {line} does not fit the lines around it"),
    }
}

#[cfg(test)]
mod tests {
    use crate::core::template::locate::SourceMap;

    #[test]
    fn mistakes_are_named_where_they_are() {
        let cases = [
            (
                "A:\n  B: !ImportValue !Sub '${C}-d'\n",
                "2:19 two tags before one value, !ImportValue and !Sub [write the first in its long form, on a line of its own: Fn::ImportValue: !Sub ...]",
            ),
            ("A: 1\nResources\n  Chat:\n    Type: T\n", "2:10 \":\" is missing after \"Resources\""),
            ("Resources:\n  Chat\n    Type: T\n", "2:7 \":\" is missing after \"Chat\""),
            ("Resources:\n  Chat:\n    Type T\n    Properties: {}\n", "3:9 \":\" is missing after \"Type\""),
            (
                "Resources:\n  Chat:\n    Type: T\n   Properties: {}\n",
                "4:4 the indentation changes within a map [the indentation of line 3 or 4 does not fit the lines around it]",
            ),
            (
                "Resources:\n  Chat:\n    Type: T\n\n     Properties: {}\n",
                "5:16 a \":\" where no key can be [the indentation of line 3 or 5 does not fit the lines around it]",
            ),
            (
                "Description: a long text\n  that goes on\n  and has: a colon\n",
                "3:10 a \":\" where no key can be [the indentation of line 2 or 3 does not fit the lines around it]",
            ),
            ("A: [\n", "2:1 a value is missing [is a \"[\" or \"{\" before it not closed?]"),
            ("A: b: c\n", "1:5 a second \":\" in one line [quote a value that has \": \" in it]"),
            ("A: [1, 2\nB: 3\n", "2:2 a \":\" where no key can be [is a \"[\" or \"{\" before it not closed?]"),
            ("A: @b\n", "1:4 a text that begins with a special character [quote it]"),
            ("A:\n  - a\n  b: c\n", "3:3 a list and a map are mixed [begin every element of the list with \"- \"]"),
            ("A: *b\n", "1:4 an alias without an anchor [quote a text that begins with *; an anchor is written &NAME]"),
            ("A: {a: b\n", "2:1 a \",\" or \"}\" is missing [every { needs a } and a \",\" between its entries]"),
            ("A: {a: b}}\n", "1:10 a bracket that closes nothing [remove it, or quote the text that it belongs to]"),
            ("A: [a\n", "2:1 a \",\" or \"]\" is missing [every [ needs a ] and a \",\" between its elements]"),
            (
                "A: \"a\" b\n",
                "1:8 text after a closing quote [put all of it in the quotes; or is a \":\" or \",\" missing?]",
            ),
            ("A: \"a\nB: c\n", "1:4 a quoted text that does not end [is the closing quote missing?]"),
            (
                "A: \"a\\q\"\n",
                "1:4 an escape that YAML does not know [write \\\\ for a backslash, or use single quotes]",
            ),
            ("A:\n\tB: 1\n", "2:2 a tab where only spaces are allowed [indent with spaces: YAML allows no tabs there]"),
            ("{\"A\": 1,, \"B\": 2}\n", "1:9 a value is missing [remove the \",\", or put a value before it]"),
        ];
        for (text, expected) in cases {
            let problem = SourceMap::scan(text).unwrap_err();
            let position = problem.position.unwrap();
            let what = problem.what.trim_start_matches("this is not YAML: ");
            let help = problem.help.map(|help| format!(" [{help}]")).unwrap_or_default();
            assert_eq!(format!("{}:{} {what}{help}", position.line, position.column), expected, "{text}");
        }
    }
}
