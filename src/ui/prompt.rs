//! Input while output goes on: a line at the bottom of the terminal that what is printed does not tear, or the lines of a
//! pipe.

use std::collections::VecDeque;
use std::io::{self, BufRead, IsTerminal, Read, Write};

use rustix::process::{Signal, getpid, kill_process};
use rustix::termios::{
    InputModes, LocalModes, OptionalActions, SpecialCodeIndex, Termios, tcgetattr, tcgetwinsize, tcsetattr,
};
use tokio::signal::unix::{Signal as SignalStream, SignalKind, signal};
use tokio::sync::mpsc;

use super::Ui;
use super::editor::{Edit, Editor, Key, Keys};

/// What stands before the line.
const PROMPT: &str = "> ";

/// Asks the terminal to mark what is pasted; and not to.
const MARK_PASTES: &str = "\x1b[?2004h";
const LEAVE_PASTES: &str = "\x1b[?2004l";

/// How many lines of a pipe are read ahead.
const AHEAD: usize = 16;

/// The line at the bottom, as far as it is shown, and the terminal's settings before it.
#[derive(Debug, Default)]
pub struct PromptLine {
    before: Option<Termios>,
    /// What is drawn, and the column of the cursor.
    drawn: Option<(String, usize)>,
}

impl PromptLine {
    /// Takes the line away while `write` prints, and draws it again below that.
    pub fn above<T>(&mut self, write: impl FnOnce() -> T) -> T {
        let drawn = self.drawn.take();
        if drawn.is_some() {
            print("\r\x1b[K");
        }
        let written = write();
        if let Some((text, cursor)) = drawn {
            self.draw(text, cursor);
        }
        written
    }

    fn draw(&mut self, text: String, cursor: usize) {
        let column = PROMPT.len() + cursor;
        print(&format!("\r\x1b[K{PROMPT}{text}\r\x1b[{column}C"));
        self.drawn = Some((text, cursor));
    }

    /// Takes the line away for good and restores the terminal; gives whether there was a line.
    pub fn end(&mut self) -> bool {
        let was_drawn = self.drawn.take().is_some();
        if let Some(before) = self.before.take() {
            print(&format!("\r\x1b[K{LEAVE_PASTES}"));
            let _ = tcsetattr(io::stdin(), OptionalActions::Now, &before);
        }
        was_drawn
    }

    /// Has the terminal give every key at once, without echo.
    fn begin(&mut self) -> io::Result<()> {
        let before = tcgetattr(io::stdin())?;
        let mut raw = before.clone();
        // Output stays as it is: a line end begins a new line.
        raw.local_modes.remove(LocalModes::ECHO | LocalModes::ICANON | LocalModes::ISIG | LocalModes::IEXTEN);
        raw.input_modes.remove(InputModes::IXON | InputModes::ICRNL | InputModes::INLCR | InputModes::ISTRIP);
        raw.special_codes[SpecialCodeIndex::VMIN] = 1;
        raw.special_codes[SpecialCodeIndex::VTIME] = 0;
        tcsetattr(io::stdin(), OptionalActions::Now, &raw)?;
        self.before = Some(before);
        print(MARK_PASTES);
        Ok(())
    }
}

fn print(text: &str) {
    let mut out = io::stdout();
    let _ = out.write_all(text.as_bytes());
    let _ = out.flush();
}

/// What a user types.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Input {
    Line(String),
    /// Ctrl-D, or the end of a pipe.
    End,
    /// Ctrl-C, or a signal to end.
    Interrupted,
    /// A line that is no UTF-8.
    NoText,
}

/// Lines from stdin: typed, if stdin and stdout are a terminal, else those of a pipe.
pub enum Lines {
    Typed(Box<Typed>),
    Piped(mpsc::Receiver<Input>),
}

impl Lines {
    /// Begins to read. With `as_events` stdout is not for people, and no line is drawn there.
    ///
    /// # Errors
    /// When the terminal's settings cannot be changed.
    pub fn open(ui: &Ui, as_events: bool) -> io::Result<Self> {
        if Self::are_typed() && !as_events {
            Typed::open(ui).map(Box::new).map(Self::Typed)
        } else {
            Ok(Self::Piped(piped()))
        }
    }

    /// Whether a person types at a terminal, and sees there what comes.
    pub fn are_typed() -> bool {
        io::stdin().is_terminal() && io::stdout().is_terminal()
    }

    /// The next line. May be dropped while it waits, without loss.
    pub async fn next(&mut self) -> Input {
        match self {
            Self::Typed(typed) => typed.next().await,
            Self::Piped(lines) => lines.recv().await.unwrap_or(Input::End),
        }
    }
}

/// The lines of a pipe, read by a thread that ends with the process.
fn piped() -> mpsc::Receiver<Input> {
    let (sender, lines) = mpsc::channel(AHEAD);
    std::thread::spawn(move || {
        let mut stdin = io::stdin().lock();
        loop {
            let mut line = Vec::new();
            if !matches!(stdin.read_until(b'\n', &mut line), Ok(1..)) {
                return;
            }
            while matches!(line.last(), Some(b'\n' | b'\r')) {
                line.pop();
            }
            let input = String::from_utf8(line).map_or(Input::NoText, Input::Line);
            if sender.blocking_send(input).is_err() {
                return;
            }
        }
    });
    lines
}

/// The line at the bottom of a terminal. The terminal is restored when this is dropped.
pub struct Typed {
    ui: Ui,
    bytes: mpsc::UnboundedReceiver<Vec<u8>>,
    keys: Keys,
    editor: Editor,
    ready: VecDeque<Input>,
    signals: Vec<SignalStream>,
}

impl Typed {
    fn open(ui: &Ui) -> io::Result<Self> {
        ui.prompt().begin()?;
        let (sender, bytes) = mpsc::unbounded_channel();
        std::thread::spawn(move || {
            let mut buffer = [0; 4096];
            let mut stdin = io::stdin().lock();
            while let Ok(count @ 1..) = stdin.read(&mut buffer) {
                if sender.send(buffer[..count].to_vec()).is_err() {
                    return;
                }
            }
        });
        // They would end the process and leave the terminal as it is now.
        let signals = [SignalKind::terminate(), SignalKind::hangup(), SignalKind::quit()];
        let typed = Self {
            ui: ui.clone(),
            bytes,
            keys: Keys::default(),
            editor: Editor::default(),
            ready: VecDeque::new(),
            signals: signals.into_iter().filter_map(|kind| signal(kind).ok()).collect(),
        };
        typed.draw();
        Ok(typed)
    }

    fn draw(&self) {
        let columns = tcgetwinsize(io::stdout()).ok().map(|size| usize::from(size.ws_col));
        // Some terminals do not say how wide they are.
        let columns = columns.filter(|columns| *columns > 0).unwrap_or(80).max(10);
        let (text, cursor) = self.editor.view(columns.saturating_sub(PROMPT.len()));
        self.ui.prompt().draw(text, cursor);
    }

    async fn next(&mut self) -> Input {
        loop {
            if let Some(input) = self.ready.pop_front() {
                return input;
            }
            let bytes = tokio::select! {
                bytes = self.bytes.recv() => bytes,
                () = any(&mut self.signals) => return Input::Interrupted,
            };
            let Some(bytes) = bytes else { return Input::End };
            for key in self.keys.feed(&bytes) {
                self.press(key);
            }
            self.draw();
        }
    }

    fn press(&mut self, key: Key) {
        match self.editor.press(key) {
            Edit::Changed => {}
            Edit::Line(line) => self.ready.push_back(Input::Line(line)),
            Edit::End => self.ready.push_back(Input::End),
            Edit::Interrupt => self.ready.push_back(Input::Interrupted),
            Edit::Clear => print("\x1b[H\x1b[2J"),
            Edit::Suspend => {
                self.ui.prompt().end();
                // This process stops here until it gets SIGCONT.
                let _ = kill_process(getpid(), Signal::TSTP);
                let _ = self.ui.prompt().begin();
            }
        }
    }
}

/// Waits for the first of these signals.
async fn any(signals: &mut [SignalStream]) {
    if signals.is_empty() {
        return std::future::pending().await;
    }
    futures_util::future::select_all(signals.iter_mut().map(|signal| Box::pin(signal.recv()))).await;
}

impl Drop for Typed {
    fn drop(&mut self) {
        self.ui.prompt().end();
    }
}
