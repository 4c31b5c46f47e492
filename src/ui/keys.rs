//! Keys, as they are pressed: the terminal neither waits for the end of a line nor echoes them as long as a `Keyboard` is open.
//! However the process ends, the terminal is as before.

use std::io;
use std::panic;
use std::sync::{Mutex, MutexGuard, Once, PoisonError};
use std::time::{Duration, Instant};

use rustix::process::{Signal, getpgrp, getpid, kill_process};
use rustix::termios::{
    LocalModes, OptionalActions, SpecialCodeIndex, Termios, isatty, tcgetattr, tcgetpgrp, tcsetattr,
};
use tokio::sync::mpsc;

/// The terminal, as far as keys are read from it. Its settings are changed by the holder of the lock only.
static TERMINAL: Mutex<Terminal> = Mutex::new(Terminal { wanted: false, before: None });

struct Terminal {
    /// Whether keys are to be read.
    wanted: bool,
    /// The settings before, while keys are read.
    before: Option<Termios>,
}

/// How long a look for keys takes where none is pressed, in tenths of a second: the terminal's own unit.
const LOOK: u8 = 1;

/// A key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Key {
    Char(char),
    Enter,
    Backspace,
    Escape,
    /// Ctrl-D.
    End,
    /// Ctrl-U.
    Clear,
}

/// The keyboard of the terminal that the process runs in.
#[derive(Debug)]
pub struct Keyboard {
    keys: mpsc::UnboundedReceiver<Key>,
}

impl Keyboard {
    /// Opens it; `None` where stdin or stderr is no terminal.
    pub fn open() -> Option<Self> {
        static HOOK: Once = Once::new();
        if !isatty(io::stdin()) || !isatty(io::stderr()) {
            return None;
        }
        HOOK.call_once(|| {
            let before = panic::take_hook();
            panic::set_hook(Box::new(move |panic| {
                restore();
                before(panic);
            }));
        });
        terminal().enter();
        let (sender, keys) = mpsc::unbounded_channel();
        // A thread, because a read of a terminal cannot be given up. It ends within a look after the keyboard.
        std::thread::Builder::new().name("keys".to_owned()).spawn(move || look(&sender)).ok()?;
        Some(Self { keys })
    }

    /// The next key. It never comes where the terminal has gone.
    pub async fn next(&mut self) -> Key {
        match self.keys.recv().await {
            Some(key) => key,
            None => std::future::pending().await,
        }
    }

    /// Stops the process as Ctrl-Z does, with the terminal as before; returns when it goes on.
    pub fn suspend(&self) {
        restore();
        // The shell must see it stopped, which a handled signal would not do.
        let _ = kill_process(getpid(), Signal::STOP);
        terminal().enter();
    }
}

impl Drop for Keyboard {
    fn drop(&mut self) {
        restore();
    }
}

/// Gives the terminal the settings that it had before.
pub fn restore() {
    let mut terminal = terminal();
    terminal.wanted = false;
    if let Some(before) = terminal.before.take() {
        let _ = tcsetattr(io::stdin(), OptionalActions::Now, &before);
    }
}

fn terminal() -> MutexGuard<'static, Terminal> {
    TERMINAL.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Terminal {
    /// Ctrl-C and Ctrl-Z stay signals, and output is unchanged: only line mode and echo are off.
    fn enter(&mut self) {
        self.wanted = true;
        let terminal = io::stdin();
        if !is_in_foreground() {
            return;
        }
        let Ok(before) = tcgetattr(&terminal) else { return };
        let mut keys = before.clone();
        keys.local_modes.remove(LocalModes::ICANON | LocalModes::ECHO);
        keys.special_codes[SpecialCodeIndex::VMIN] = 0;
        keys.special_codes[SpecialCodeIndex::VTIME] = LOOK;
        if tcsetattr(&terminal, OptionalActions::Now, &keys).is_ok() {
            self.before.get_or_insert(before);
        }
    }

    /// After `bg` and `fg`; but not when the keyboard was closed, or is suspended, in the meantime.
    fn enter_again(&mut self) {
        if self.wanted && self.before.is_none() {
            self.enter();
        }
    }
}

/// A process in the background that reads from the terminal, or changes its settings, is stopped.
fn is_in_foreground() -> bool {
    tcgetpgrp(io::stdin()).is_ok_and(|group| group == getpgrp())
}

#[expect(clippy::disallowed_methods, reason = "it is a thread of its own")]
fn look(keys: &mpsc::UnboundedSender<Key>) {
    let pause = Duration::from_millis(u64::from(LOOK) * 100);
    let mut decoder = Decoder::default();
    while !keys.is_closed() {
        if !is_in_foreground() {
            std::thread::sleep(pause);
            continue;
        }
        terminal().enter_again();
        let mut bytes = [0; 256];
        let begun = Instant::now();
        match rustix::io::read(io::stdin(), &mut bytes) {
            Ok(length @ 1..) => {
                for key in decoder.decode(&bytes[..length]) {
                    if keys.send(key).is_err() {
                        return;
                    }
                }
            }
            // Nothing was pressed; or the terminal has gone, which a signal says, too.
            _ if begun.elapsed() < pause / 2 => std::thread::sleep(pause),
            _ => {}
        }
    }
}

/// Makes keys of what a terminal sends.
#[derive(Debug, Default)]
struct Decoder {
    /// The beginning of a character.
    begun: Vec<u8>,
}

impl Decoder {
    fn decode(&mut self, bytes: &[u8]) -> Vec<Key> {
        let mut keys = Vec::new();
        let mut rest = bytes;
        while let Some((byte, after)) = rest.split_first() {
            rest = after;
            match byte {
                // A sequence for another key (an arrow) comes as a whole.
                0x1b if matches!(rest.first(), Some(b'[' | b'O')) => {
                    let end = rest[1..].iter().position(|byte| (0x40..=0x7e).contains(byte));
                    rest = end.map_or(&[], |end| &rest[end + 2..]);
                }
                0x1b => keys.push(Key::Escape),
                b'\r' | b'\n' => keys.push(Key::Enter),
                0x08 | 0x7f => keys.push(Key::Backspace),
                0x04 => keys.push(Key::End),
                0x15 => keys.push(Key::Clear),
                0..0x20 => {}
                _ => {
                    self.begun.push(*byte);
                    match std::str::from_utf8(&self.begun) {
                        Ok(text) => {
                            keys.extend(text.chars().map(Key::Char));
                            self.begun.clear();
                        }
                        Err(error) if error.error_len().is_some() => self.begun.clear(),
                        Err(_) => {}
                    }
                }
            }
        }
        keys
    }
}

/// A line that is typed.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Line(String);

/// What becomes of a line with a key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Typed {
    Going,
    Done(String),
    GivenUp,
}

impl Line {
    /// Takes a key.
    pub fn press(&mut self, key: Key) -> Typed {
        match key {
            Key::Char(character) => self.0.push(character),
            Key::Backspace => drop(self.0.pop()),
            Key::Clear => self.0.clear(),
            Key::Enter => return Typed::Done(std::mem::take(&mut self.0)),
            Key::Escape | Key::End => return Typed::GivenUp,
        }
        Typed::Going
    }

    /// What is typed so far.
    pub fn text(&self) -> &str {
        &self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_what_a_terminal_sends_for_them() {
        let mut decoder = Decoder::default();
        for (bytes, expected) in [
            (&b"q"[..], vec![Key::Char('q')]),
            (b"a\r", vec![Key::Char('a'), Key::Enter]),
            (b"\x1b", vec![Key::Escape]),
            (b"\x1b[A\x1b[1;5Cx", vec![Key::Char('x')]),
            (b"\x1bOPy", vec![Key::Char('y')]),
            (b"\x7f\x04\x15", vec![Key::Backspace, Key::End, Key::Clear]),
            ("\u{e4}\u{1f389}".as_bytes(), vec![Key::Char('\u{e4}'), Key::Char('\u{1f389}')]),
            (b"\xc3", vec![]),
            (b"\xa4", vec![Key::Char('\u{e4}')]),
            (b"\xff!", vec![Key::Char('!')]),
        ] {
            assert_eq!(decoder.decode(bytes), expected, "{bytes:?}");
        }
    }

    #[test]
    fn a_line_is_typed_and_corrected() {
        let mut line = Line::default();
        for key in [Key::Char('h'), Key::Char('x'), Key::Backspace, Key::Char('i')] {
            assert_eq!(line.press(key), Typed::Going);
        }
        assert_eq!(line.text(), "hi");
        assert_eq!(line.press(Key::Enter), Typed::Done("hi".to_owned()));
        assert_eq!(line.press(Key::Escape), Typed::GivenUp);
    }
}
