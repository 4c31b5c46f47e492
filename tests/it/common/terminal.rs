//! Runs a command in a pseudo terminal of a given width, with typed input, and emulates the screen.

use std::io::{Read, Write};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::Duration;

use unicode_width::UnicodeWidthChar;

/// The key Ctrl-C.
pub const CTRL_C: &str = "\u{3}";

/// A command in a terminal.
pub struct Terminal {
    child: Child,
    keyboard: ChildStdin,
    written: Arc<Mutex<Vec<u8>>>,
    reader: JoinHandle<()>,
    columns: usize,
}

impl Terminal {
    /// Starts `command` in a terminal of this width, by util-linux's `script`.
    pub fn start(command: &Command, columns: usize) -> Self {
        let quoted = |text: &std::ffi::OsStr| format!("'{}'", text.to_str().unwrap().replace('\'', r"'\''"));
        let words: Vec<String> = std::iter::once(command.get_program()).chain(command.get_args()).map(quoted).collect();
        let line = format!("stty cols {columns} rows 40; exec {}", words.join(" "));
        let mut script = Command::new("script");
        script.args(["--quiet", "--return", "--command", &line, "/dev/null"]).env("SHELL", "/bin/sh");
        script.env("TERM", "xterm-256color").env_remove("NO_COLOR");
        script.current_dir(command.get_current_dir().unwrap());
        for (name, value) in command.get_envs() {
            match value {
                Some(value) => script.env(name, value),
                None => script.env_remove(name),
            };
        }
        let mut child = script.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        let written = Arc::new(Mutex::new(Vec::new()));
        let mut screen = child.stdout.take().unwrap();
        let kept = Arc::clone(&written);
        let reader = std::thread::spawn(move || {
            let mut bytes = [0; 4096];
            while let Ok(count @ 1..) = screen.read(&mut bytes) {
                kept.lock().unwrap().extend_from_slice(&bytes[..count]);
            }
        });
        let keyboard = child.stdin.take().unwrap();
        Self { child, keyboard, written, reader, columns }
    }

    /// Everything that was written so far.
    pub fn written(&self) -> String {
        String::from_utf8_lossy(&self.written.lock().unwrap()).into_owned()
    }

    /// Waits until `words` were written, or the command has ended.
    #[track_caller]
    pub fn until(&mut self, words: &str) {
        for _ in 0..6000 {
            if self.written().contains(words) {
                return;
            }
            assert!(self.child.try_wait().unwrap().is_none(), "it ended without {words:?}:\n{}", self.written());
            std::thread::sleep(Duration::from_millis(5));
        }
        panic!("no {words:?} in\n{}", self.written());
    }

    /// Types these keys.
    pub fn types(&mut self, keys: &str) {
        self.keyboard.write_all(keys.as_bytes()).unwrap();
        self.keyboard.flush().unwrap();
    }

    /// Waits for the command's end; returns its exit code and the final screen.
    pub fn end(self) -> (Option<i32>, Screen) {
        self.end_after(0)
    }

    /// The same, with only the output after byte `before` on the screen.
    pub fn end_after(mut self, before: usize) -> (Option<i32>, Screen) {
        let code = self.child.wait().unwrap().code();
        self.reader.join().unwrap();
        let written = String::from_utf8(self.written.lock().unwrap().clone()).unwrap();
        (code, Screen::of(&written[before..], self.columns))
    }
}

/// The screen of a terminal, including lines that were scrolled away.
#[derive(Debug)]
pub struct Screen {
    columns: usize,
    rows: Vec<String>,
    row: usize,
    column: usize,
    /// The pieces of text that were drawn between two moves of the cursor.
    pub drawn: Vec<String>,
}

impl Screen {
    /// The screen after `written` was written to it.
    pub fn of(written: &str, columns: usize) -> Self {
        let mut screen = Self { columns, rows: vec![String::new()], row: 0, column: 0, drawn: vec![String::new()] };
        let mut rest = written.chars().peekable();
        while let Some(character) = rest.next() {
            match character {
                '\r' => screen.to(screen.row, 0),
                '\n' => screen.to(screen.row + 1, screen.column),
                '\u{1b}' if rest.next_if_eq(&'[').is_some() => {
                    let mut parameter = String::new();
                    while let Some(digit) = rest.next_if(|next| !next.is_ascii_alphabetic()) {
                        parameter.push(digit);
                    }
                    let number = parameter.parse().unwrap_or(1);
                    match rest.next() {
                        Some('A') => screen.to(screen.row.checked_sub(number).unwrap(), screen.column),
                        Some('B') => screen.to(screen.row + number, screen.column),
                        Some('C') => screen.to(screen.row, screen.column + number),
                        Some('K') => screen.clear(if parameter == "2" { 0 } else { screen.column }),
                        Some('m' | 'h' | 'l') => {}
                        other => panic!("unknown sequence ESC[{parameter}{other:?}"),
                    }
                }
                control if control.is_control() => panic!("unknown control {control:?}"),
                shown => screen.put(shown),
            }
        }
        screen
    }

    fn to(&mut self, row: usize, column: usize) {
        (self.row, self.column) = (row, column);
        while self.rows.len() <= row {
            self.rows.push(String::new());
        }
        self.drawn.push(String::new());
    }

    fn clear(&mut self, from: usize) {
        let kept: String = self.rows[self.row].chars().take(from).collect();
        self.rows[self.row] = kept;
    }

    fn put(&mut self, character: char) {
        let width = character.width().unwrap_or(0);
        if self.column + width > self.columns {
            self.to(self.row + 1, 0);
        }
        // One cell per character: wide characters do not matter here.
        let mut row: Vec<char> = self.rows[self.row].chars().collect();
        row.resize(row.len().max(self.column + 1), ' ');
        row[self.column] = character;
        self.rows[self.row] = row.into_iter().collect();
        self.column += width;
        self.drawn.last_mut().unwrap().push(character);
    }

    /// The text on it, without trailing blanks.
    pub fn text(&self) -> String {
        let rows: Vec<&str> = self.rows.iter().map(|row| row.trim_end()).collect();
        rows.join("\n").trim_end().to_owned()
    }
}
