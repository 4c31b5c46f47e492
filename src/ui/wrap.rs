//! Breaks the lines of text for people between words: a terminal breaks them anywhere.

use unicode_width::UnicodeWidthStr;

/// Further rows of a line begin this much farther right than its first.
const INDENT: usize = 2;
/// The narrowest room that is worth breaking lines for.
const NARROWEST: usize = 20;

/// `text` in lines of at most `columns`, broken at spaces; a word that is longer stays whole. Colours take no room.
pub fn wrapped(text: &str, columns: usize) -> String {
    let lines: Vec<String> = text.split('\n').map(|line| wrapped_line(line, columns)).collect();
    lines.join("\n")
}

fn wrapped_line(line: &str, columns: usize) -> String {
    let own_indent = line.len() - line.trim_start_matches(' ').len();
    let indent = own_indent + INDENT;
    if shown_width(line) <= columns || columns < indent + NARROWEST {
        return line.to_owned();
    }
    let mut out = " ".repeat(own_indent);
    let mut width = own_indent;
    for (index, word) in line[own_indent..].split(' ').enumerate() {
        let word_width = shown_width(word);
        if index > 0 && width + 1 + word_width > columns && width > indent {
            out.push('\n');
            out.push_str(&" ".repeat(indent));
            width = indent;
        } else if index > 0 {
            out.push(' ');
            width += 1;
        }
        out.push_str(word);
        width += word_width;
    }
    out.lines().map(str::trim_end).collect::<Vec<_>>().join("\n")
}

/// What a compiler or a checker says, in lines of at most `columns`: its sentences broken between words, its excerpts of code cut.
/// An excerpt is a line above one that marks a place in it with `^`: a terminal that breaks the first puts the mark below something
/// else. Lines beside a rule (`12 | ...`) stay as they are: they have been cut already.
pub fn excerpts(text: &str, columns: usize) -> String {
    let mut out: Vec<String> = Vec::new();
    let mut lines = text.split('\n').peekable();
    while let Some(line) = lines.next() {
        match lines.next_if(|next| is_mark(next)) {
            Some(mark) => out.extend(excerpt(line, mark, columns)),
            None if is_beside_rule(line) => out.push(line.to_owned()),
            None => out.push(wrapped_line(line, columns)),
        }
    }
    out.join("\n")
}

/// Whether a line, without its colours, begins with a number or nothing and a rule.
fn is_beside_rule(line: &str) -> bool {
    shown_text(line)
        .trim_start()
        .trim_start_matches(|character: char| character.is_ascii_digit())
        .trim_start()
        .starts_with('|')
}

fn is_mark(line: &str) -> bool {
    line.contains('^') && line.chars().all(|character| character.is_whitespace() || matches!(character, '^' | '~'))
}

/// A line of code and the mark below it, cut to the part around the mark.
fn excerpt(code: &str, mark: &str, columns: usize) -> [String; 2] {
    if code.width().max(mark.width()) <= columns || columns < NARROWEST || code.contains('\u{1b}') {
        return [code.to_owned(), mark.to_owned()];
    }
    let code: Vec<char> = code.chars().map(|character| if character == '\t' { ' ' } else { character }).collect();
    let at = mark.chars().take_while(|character| *character != '^').count();
    // For the dots that stand for what is cut off.
    let room = columns - 2;
    let begin = at.saturating_sub(room * 2 / 3);
    let end = (begin + room).min(code.len());
    let shown: String = code.get(begin..end).unwrap_or_default().iter().collect();
    let (before, after) = (if begin > 0 { "…" } else { "" }, if end < code.len() { "…" } else { "" });
    let indent = " ".repeat(at - begin + before.chars().count());
    let marks: String = mark.trim().chars().take(room - (at - begin)).collect();
    [format!("{before}{shown}{after}"), format!("{indent}{marks}")]
}

/// The columns that a text takes, without its colours.
fn shown_width(text: &str) -> usize {
    if text.contains('\u{1b}') { shown_text(text).width() } else { text.width() }
}

/// A text without its colours (`ESC [ ... m`).
fn shown_text(text: &str) -> String {
    let mut in_colour = false;
    let shown = text.chars().filter(|character| {
        let begins = *character == '\u{1b}';
        let ends = in_colour && *character == 'm';
        let is_shown = !in_colour && !begins;
        in_colour = (in_colour || begins) && !ends;
        is_shown
    });
    shown.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_broken_between_words_and_keep_their_indent() {
        let text = "  error: one two three four five six\nshort";
        assert_eq!(wrapped(text, 24), "  error: one two three\n    four five six\nshort");
        assert_eq!(wrapped(text, 80), text);
        assert_eq!(wrapped("a  b", 80), "a  b");
    }

    #[test]
    fn a_word_that_is_too_long_stays_whole() {
        assert_eq!(
            wrapped("see arn:aws:lambda:us-east-1:1:function:x for more", 22),
            "see\n  arn:aws:lambda:us-east-1:1:function:x\n  for more"
        );
    }

    #[test]
    fn excerpts_keep_what_is_marked() {
        let code = "      if (other !== connectionId) posts.push(post(gateway, other, message.toUpperCase());";
        let mark = format!("{}^^^", " ".repeat(50));
        let text = format!("send-message/index.mjs:16\n{code}\n{mark}\n\nSyntaxError: missing )");
        assert_eq!(excerpts(&text, 100), text);
        let narrow = excerpts(&text, 40);
        let lines: Vec<&str> = narrow.lines().collect();
        assert_eq!(lines[1], "…ctionId) posts.push(post(gateway, othe…");
        assert_eq!(lines[2], "                          ^^^");
        assert_eq!((lines[0], lines[4]), ("send-message/index.mjs:16", "SyntaxError: missing )"));
        assert!(narrow.lines().all(|line| line.width() <= 40));
        // Sentences are broken, and what stands beside a rule is not.
        let told =
            "error: one two three four five\n  --> t.yaml:128:3\n128 |   OnConnectPermission: one two\n    |   ^^^";
        let lines =
            "error: one two three four\n  five\n  --> t.yaml:128:3\n128 |   OnConnectPermission: one two\n    |   ^^^";
        assert_eq!(excerpts(told, 25), lines);
        // A mark behind the end, and one without a line above it.
        assert_eq!(excerpts(&format!("{code}\n{}^", " ".repeat(200)), 40).lines().count(), 2);
        assert_eq!(excerpts("^", 40), "^");
    }

    #[test]
    fn colours_take_no_room() {
        let text = "\u{1b}[31mone two three four five\u{1b}[0m";
        assert_eq!(wrapped(text, 23), text);
        assert_eq!(wrapped(text, 22), "\u{1b}[31mone two three four\n  five\u{1b}[0m");
    }
}
