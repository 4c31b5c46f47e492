//! A line that is typed: the keys of a terminal, what they do to the line, and what of it fits on the screen. Pure: bytes in,
//! lines out.

use unicode_width::UnicodeWidthChar;

use super::printable;

/// The longest line that is taken, in characters.
const LONGEST: usize = 1 << 20;

/// How many lines the history keeps.
const HISTORY: usize = 500;

/// What begins and ends a paste, where the terminal was asked to mark it.
const PASTE_BEGIN: &[u8] = b"\x1b[200~";
const PASTE_END: &[u8] = b"\x1b[201~";

/// A key, or what it means in a line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Key {
    Text(char),
    Enter,
    Backspace,
    Delete,
    Left,
    Right,
    WordLeft,
    WordRight,
    Home,
    End,
    Up,
    Down,
    /// Ctrl-K, Ctrl-U, Ctrl-W.
    KillToEnd,
    KillToStart,
    KillWord,
    /// Ctrl-C.
    Interrupt,
    /// Ctrl-D: the end of input on an empty line, else like Delete.
    EndOfInput,
    /// Ctrl-L.
    Clear,
    /// Ctrl-Z.
    Suspend,
    /// A key that does nothing here.
    Other,
}

/// Reads keys from a terminal's bytes, which may be cut anywhere.
#[derive(Debug, Default)]
pub struct Keys {
    bytes: Vec<u8>,
    pasting: bool,
}

impl Keys {
    /// The keys that are complete with these bytes.
    pub fn feed(&mut self, bytes: &[u8]) -> Vec<Key> {
        self.bytes.extend_from_slice(bytes);
        let mut keys = Vec::new();
        while let Some(length) = self.next(&mut keys) {
            self.bytes.drain(..length);
        }
        keys
    }

    /// Reads one key; gives how many bytes it has, or `None` where more must come.
    fn next(&mut self, keys: &mut Vec<Key>) -> Option<usize> {
        let bytes = &self.bytes;
        let first = *bytes.first()?;
        if self.pasting {
            if bytes.starts_with(PASTE_END) {
                self.pasting = false;
                return Some(PASTE_END.len());
            }
            if PASTE_END.starts_with(bytes) {
                return None;
            }
            if matches!(first, b'\r' | b'\n' | b'\t') {
                // Pasted lines are one message.
                keys.push(Key::Text(' '));
                return Some(1);
            }
        } else if bytes.starts_with(PASTE_BEGIN) {
            self.pasting = true;
            return Some(PASTE_BEGIN.len());
        }
        if first == 0x1b {
            return escape(bytes, keys);
        }
        if first < 0x20 || first == 0x7f {
            keys.push(control(first));
            return Some(1);
        }
        let length = match first {
            0x00..=0x7f => 1,
            0xc0..=0xdf => 2,
            0xe0..=0xef => 3,
            0xf0..=0xf7 => 4,
            _ => {
                keys.push(Key::Other);
                return Some(1);
            }
        };
        if bytes.len() < length {
            return None;
        }
        match std::str::from_utf8(&bytes[..length]) {
            Ok(text) => keys.extend(text.chars().map(Key::Text)),
            Err(_) => keys.push(Key::Other),
        }
        Some(length)
    }
}

fn control(byte: u8) -> Key {
    match byte {
        0x01 => Key::Home,
        0x02 => Key::Left,
        0x03 => Key::Interrupt,
        0x04 => Key::EndOfInput,
        0x05 => Key::End,
        0x06 => Key::Right,
        0x08 | 0x7f => Key::Backspace,
        b'\r' | b'\n' => Key::Enter,
        b'\t' => Key::Text(' '),
        0x0b => Key::KillToEnd,
        0x0c => Key::Clear,
        0x0e => Key::Down,
        0x10 => Key::Up,
        0x15 => Key::KillToStart,
        0x17 => Key::KillWord,
        0x1a => Key::Suspend,
        _ => Key::Other,
    }
}

/// A key that begins with ESC (ECMA-48; xterm's control sequences).
fn escape(bytes: &[u8], keys: &mut Vec<Key>) -> Option<usize> {
    match bytes.get(1)? {
        b'[' => {
            let end = bytes[2..].iter().position(|byte| (0x40..=0x7e).contains(byte))? + 2;
            let parameters = &bytes[2..end];
            let with_modifier = parameters.contains(&b';');
            keys.push(match (bytes[end], parameters) {
                (b'A', _) => Key::Up,
                (b'B', _) => Key::Down,
                (b'C', _) if with_modifier => Key::WordRight,
                (b'D', _) if with_modifier => Key::WordLeft,
                (b'C', _) => Key::Right,
                (b'D', _) => Key::Left,
                (b'H', _) | (b'~', b"1" | b"7") => Key::Home,
                (b'F', _) | (b'~', b"4" | b"8") => Key::End,
                (b'~', b"3") => Key::Delete,
                _ => Key::Other,
            });
            Some(end + 1)
        }
        b'O' => {
            keys.push(match bytes.get(2)? {
                b'A' => Key::Up,
                b'B' => Key::Down,
                b'C' => Key::Right,
                b'D' => Key::Left,
                b'H' => Key::Home,
                b'F' => Key::End,
                _ => Key::Other,
            });
            Some(3)
        }
        b'b' => Some(meta(keys, Key::WordLeft)),
        b'f' => Some(meta(keys, Key::WordRight)),
        0x7f => Some(meta(keys, Key::KillWord)),
        // ESC alone, and then another key.
        _ => {
            keys.push(Key::Other);
            Some(1)
        }
    }
}

fn meta(keys: &mut Vec<Key>, key: Key) -> usize {
    keys.push(key);
    2
}

/// What a key leads to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Edit {
    /// The line may look different.
    Changed,
    /// The line is complete.
    Line(String),
    /// The end of input.
    End,
    Interrupt,
    Suspend,
    Clear,
}

/// The line that is being typed, and the lines before it.
#[derive(Debug, Default)]
pub struct Editor {
    line: Vec<char>,
    /// Before which character the cursor stands.
    cursor: usize,
    history: Vec<String>,
    /// Which line of the history is shown; its length for a new one.
    shown: usize,
    /// The new line, while another one is shown.
    draft: String,
}

impl Editor {
    /// Does what a key does.
    pub fn press(&mut self, key: Key) -> Edit {
        match key {
            Key::Text(character) if self.line.len() < LONGEST => {
                self.line.insert(self.cursor, character);
                self.cursor += 1;
            }
            Key::Text(_) | Key::Other => {}
            Key::Enter => return Edit::Line(self.take()),
            Key::Backspace if self.cursor > 0 => {
                self.cursor -= 1;
                self.line.remove(self.cursor);
            }
            Key::EndOfInput if self.line.is_empty() => return Edit::End,
            Key::Delete | Key::EndOfInput if self.cursor < self.line.len() => {
                self.line.remove(self.cursor);
            }
            Key::Backspace | Key::Delete | Key::EndOfInput => {}
            Key::Left => self.cursor = self.cursor.saturating_sub(1),
            Key::Right => self.cursor = (self.cursor + 1).min(self.line.len()),
            Key::WordLeft => self.cursor = self.word_left(),
            Key::WordRight => self.cursor = self.word_right(),
            Key::Home => self.cursor = 0,
            Key::End => self.cursor = self.line.len(),
            Key::Up => self.show(self.shown.checked_sub(1)),
            Key::Down => self.show(Some(self.shown + 1)),
            Key::KillToEnd => self.line.truncate(self.cursor),
            Key::KillToStart => {
                self.line.drain(..self.cursor);
                self.cursor = 0;
            }
            Key::KillWord => {
                let from = self.word_left();
                self.line.drain(from..self.cursor);
                self.cursor = from;
            }
            Key::Interrupt => return Edit::Interrupt,
            Key::Suspend => return Edit::Suspend,
            Key::Clear => return Edit::Clear,
        }
        Edit::Changed
    }

    fn take(&mut self) -> String {
        let line: String = self.line.drain(..).collect();
        self.cursor = 0;
        self.draft.clear();
        if !line.trim().is_empty() && self.history.last() != Some(&line) {
            self.history.push(line.clone());
            if self.history.len() > HISTORY {
                self.history.remove(0);
            }
        }
        self.shown = self.history.len();
        line
    }

    /// Shows a line of the history, or after its last the new one.
    fn show(&mut self, at: Option<usize>) {
        let Some(at) = at.filter(|at| *at <= self.history.len()) else { return };
        if self.shown == self.history.len() {
            self.draft = self.line.iter().collect();
        }
        let line = self.history.get(at).unwrap_or(&self.draft);
        self.line = line.chars().collect();
        self.shown = at;
        self.cursor = self.line.len();
    }

    fn word_left(&self) -> usize {
        let mut at = self.cursor;
        while at > 0 && !self.line[at - 1].is_alphanumeric() {
            at -= 1;
        }
        while at > 0 && self.line[at - 1].is_alphanumeric() {
            at -= 1;
        }
        at
    }

    fn word_right(&self) -> usize {
        let mut at = self.cursor;
        while at < self.line.len() && !self.line[at].is_alphanumeric() {
            at += 1;
        }
        while at < self.line.len() && self.line[at].is_alphanumeric() {
            at += 1;
        }
        at
    }

    /// The part of the line around the cursor that fits into `columns`, and the column of the cursor in it.
    pub fn view(&self, columns: usize) -> (String, usize) {
        let shown = |character: char| if printable::is_hidden(character) { '·' } else { character };
        let width = |character: char| shown(character).width().unwrap_or(0);
        // A column stays free for the cursor after the last character.
        let room = columns.saturating_sub(1).max(1);
        let mut start = self.cursor;
        let mut before = 0;
        while start > 0 && before + width(self.line[start - 1]) <= room {
            start -= 1;
            before += width(self.line[start]);
        }
        let mut used = before;
        let mut end = self.cursor;
        while end < self.line.len() && used + width(self.line[end]) <= room {
            used += width(self.line[end]);
            end += 1;
        }
        (self.line[start..end].iter().map(|character| shown(*character)).collect(), before)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use unicode_width::UnicodeWidthStr;

    /// The lines that are complete after these bytes, and the one that is not.
    fn typed(bytes: &[u8]) -> (Vec<String>, String, usize) {
        let (mut keys, mut editor, mut lines) = (Keys::default(), Editor::default(), Vec::new());
        for byte in bytes {
            for key in keys.feed(&[*byte]) {
                if let Edit::Line(line) = editor.press(key) {
                    lines.push(line);
                }
            }
        }
        let (view, cursor) = editor.view(80);
        (lines, view, cursor)
    }

    #[test]
    fn keys_edit_the_line() {
        for (bytes, line, cursor) in [
            ("hello", "hello", 5),
            ("hellp\u{7f}o", "hello", 5),
            ("ello\x1b[Hh", "hello", 1),
            ("helo\x1b[Dl", "hello", 4),
            ("hello\x01\x1b[3~", "ello", 0),
            ("one two\x17", "one ", 4),
            ("one two\x1bb\x0b", "one ", 4),
            ("one two\x1bb\x15", "two", 0),
            ("one two\x01\x1b[1;5Cx", "onex two", 4),
            ("日本\x1b[D語", "日語本", 4),
            ("a\x1b[99~b\x1bOHc", "cab", 1),
            ("a\x1bzb", "azb", 3),
            ("x\x1b[200~{\n\t\"a\":1\r}\x1b[201~y", "x{  \"a\":1 }y", 12),
        ] {
            assert_eq!(typed(bytes.as_bytes()), (vec![], line.to_owned(), cursor), "{bytes:?}");
        }
    }

    #[test]
    fn lines_come_back_with_the_arrow_keys() {
        let (lines, view, _) = typed(b"one\rtwo\rtwo\r\rnew\x1b[A\x1b[A");
        assert_eq!((lines, view.as_str()), (["one", "two", "two", ""].map(str::to_owned).to_vec(), "one"));
        assert_eq!(typed(b"one\rnew\x1b[A\x1b[B").1, "new");
        assert_eq!(typed(b"one\rnew\x1b[A!\r").0, ["one", "one!"]);
        assert_eq!(typed(b"\x1b[A\x1b[Bx").1, "x");
    }

    #[test]
    fn control_keys_end_it() {
        let mut editor = Editor::default();
        assert_eq!(editor.press(Key::EndOfInput), Edit::End);
        editor.press(Key::Text('x'));
        assert_eq!(editor.press(Key::EndOfInput), Edit::Changed);
        assert_eq!(editor.press(Key::Interrupt), Edit::Interrupt);
        assert_eq!(
            Keys::default().feed(b"\x03\x04\x1a\x0c"),
            [Key::Interrupt, Key::EndOfInput, Key::Suspend, Key::Clear]
        );
    }

    proptest! {
        #[test]
        fn any_bytes_leave_a_view_that_fits(bytes in proptest::collection::vec(any::<u8>(), 0..60), columns in 1usize..40) {
            let (mut keys, mut editor) = (Keys::default(), Editor::default());
            for key in keys.feed(&bytes) {
                editor.press(key);
            }
            let (view, cursor) = editor.view(columns);
            prop_assert!(view.width() <= columns.max(2) && cursor <= columns.max(2), "{} {}", view, cursor);
        }

        #[test]
        fn how_the_bytes_are_cut_makes_no_difference(text in "[a-zé日 ]{0,20}", at in 0usize..20) {
            let whole = Keys::default().feed(text.as_bytes());
            let mut keys = Keys::default();
            let at = at.min(text.len());
            let mut cut = keys.feed(&text.as_bytes()[..at]);
            cut.extend(keys.feed(&text.as_bytes()[at..]));
            prop_assert_eq!(cut, whole);
        }
    }
}
