//! Finds syntax errors in handlers for Node.js and Python before they are deployed: the machine's own interpreter parses the
//! function's own files, and runs none of them. It keeps running, because its start takes longer than all that it parses: to the
//! next function, and, in `wschat dev`, to the next save.
//!
//! Where no interpreter is installed, nothing is checked; nor where it is older than the runtime on AWS, which may know more.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Read, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError, Sender};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;

use serde::Deserialize;

use super::folder::Files;
use super::{Code, PackageError, Target, handler, sdk};
use crate::machine::interpreter::{Language, release};
use crate::machine::program;

/// What does the parsing; given to the interpreter as its program.
const NODE: &str = include_str!("syntax/check.cjs");
const PYTHON: &str = include_str!("syntax/check.py");

/// How many files are checked at most; where there are more, most belong to packages, and only the handler's is checked.
const MAX_FILES: usize = 500;

/// How long an interpreter may take to answer. Parsing takes milliseconds.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(10);

/// How long an answer may be, in bytes.
const MAX_ANSWER: u64 = 4 << 20;

/// A syntax error.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SyntaxError {
    /// As the user knows it: relative to the current folder, if it is below that.
    pub file: String,
    /// From 1; 0 where it has none.
    pub line: u32,
    pub message: String,
    /// The line and a caret below it, or nothing.
    pub excerpt: String,
}

/// The interpreter's answer.
#[derive(Debug, Deserialize)]
struct Answer {
    version: String,
    errors: Vec<Found>,
}

/// A file with a syntax error.
#[derive(Debug, Deserialize)]
struct Found {
    file: PathBuf,
    line: u32,
    message: String,
    excerpt: String,
}

/// An interpreter that waits for files to parse. Dropped, it is ended; and it ends with this process, which closes its input.
#[derive(Debug)]
struct Checker {
    process: Child,
    questions: Sender<String>,
    answers: Receiver<String>,
}

/// Why a checker has no answer.
#[derive(Debug, PartialEq, Eq)]
enum NoAnswer {
    /// It has ended, or its answer is none.
    Ended,
    Late,
}

/// An interpreter's checker, once it is needed.
type Slot = Arc<Mutex<Option<Checker>>>;

/// The checkers that run, by their interpreters.
static CHECKERS: Mutex<BTreeMap<PathBuf, Slot>> = Mutex::new(BTreeMap::new());

impl Checker {
    fn start(language: Language, interpreter: &Path) -> Option<Self> {
        let mut command = Command::new(interpreter);
        match language {
            Language::Node => command.args(["--experimental-vm-modules", "--no-warnings", "-e", NODE]),
            Language::Python => command.args(["-I", "-S", "-B", "-c", PYTHON]),
        };
        command.env_remove("NODE_OPTIONS").env_remove("NODE_EXTRA_CA_CERTS");
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null());
        Self::of(command.spawn().ok()?)
    }

    fn of(mut process: Child) -> Option<Self> {
        let (input, output) = (process.stdin.take()?, process.stdout.take()?);
        let ((questions, asked), (answering, answers)) = (mpsc::channel(), mpsc::channel());
        // It ends with the process, or when the checker is dropped.
        thread::spawn(move || relay(input, output, &asked, &answering));
        Some(Self { process, questions, answers })
    }

    /// What it finds in these files.
    fn ask(&self, files: &[String], within: Duration) -> Result<Answer, NoAnswer> {
        let question = serde_json::to_string(files).map_err(|_| NoAnswer::Ended)? + "\n";
        self.questions.send(question).map_err(|_| NoAnswer::Ended)?;
        let answer = self.answers.recv_timeout(within).map_err(|error| match error {
            RecvTimeoutError::Timeout => NoAnswer::Late,
            RecvTimeoutError::Disconnected => NoAnswer::Ended,
        })?;
        serde_json::from_str(&answer).map_err(|_| NoAnswer::Ended)
    }
}

/// Passes questions to an interpreter and its answers, which are lines, back, until one of the two ends or an answer is too long.
fn relay(mut input: ChildStdin, output: ChildStdout, asked: &Receiver<String>, answering: &Sender<String>) {
    let mut output = BufReader::new(output);
    for question in asked {
        let mut answer = String::new();
        let read =
            input.write_all(question.as_bytes()).and_then(|()| output.by_ref().take(MAX_ANSWER).read_line(&mut answer));
        if read.is_err() || !answer.ends_with('\n') || answering.send(answer).is_err() {
            return;
        }
    }
}

impl Drop for Checker {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// Ends all interpreters that wait for files, before this process becomes another program.
pub fn end_checkers() {
    for slot in std::mem::take(&mut *lock(&CHECKERS)).into_values() {
        *lock(&slot) = None;
    }
}

/// What an interpreter finds in these files; `None` where it does not run or does not answer. One that has ended meanwhile is
/// started again.
fn ask(language: Language, interpreter: &Path, files: &[String]) -> Option<Answer> {
    let slot = Arc::clone(lock(&CHECKERS).entry(interpreter.to_owned()).or_default());
    let mut slot = lock(&slot);
    if let Some(checker) = slot.as_ref() {
        match checker.ask(files, ANSWER_TIMEOUT) {
            Ok(answer) => return Some(answer),
            Err(why) => {
                *slot = None;
                if why == NoAnswer::Late {
                    return None;
                }
            }
        }
    }
    let answer = slot.insert(Checker::start(language, interpreter)?).ask(files, ANSWER_TIMEOUT);
    if answer.is_err() {
        *slot = None;
    }
    answer.ok()
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl SyntaxError {
    /// `connect/index.js:3`
    fn place(&self) -> String {
        if self.line == 0 { self.file.clone() } else { format!("{}:{}", self.file, self.line) }
    }

    /// One sentence.
    pub fn sentence(&self) -> String {
        format!("syntax error in {}: {}", self.place(), self.message)
    }
}

/// The interpreter that checks code for a runtime: in `folder`, by default in the PATH.
pub(super) fn interpreter(runtime: &str, folder: Option<&Path>) -> Option<PathBuf> {
    let names: &[&str] = match Language::of(runtime)? {
        Language::Node => &["node"],
        Language::Python => &[runtime, "python3"],
    };
    names.iter().find_map(|name| program::locate(name, folder))
}

/// Checks a function's own files, by their names in the zip.
///
/// # Errors
/// The first syntax error in a file that the handler uses.
pub(super) fn check(
    code: &Code,
    language: Language,
    target: Target,
    interpreter: Option<&Path>,
    files: &Files,
) -> Result<(), PackageError> {
    let Some(interpreter) = interpreter else { return Ok(()) };
    let files = checked_files(code, language, files);
    let found = run(language, interpreter, &code.runtime, target, &files);
    match found.into_iter().find(|(file, _)| is_used(code, language, &files, file)) {
        None => Ok(()),
        Some((_, error)) => {
            let mut failure = PackageError::new("package the code", error.sentence());
            if !error.excerpt.is_empty() {
                failure.compiler = Some(format!("{}\n{}", error.place(), error.excerpt));
            }
            Err(failure)
        }
    }
}

/// The files of a function to check: not those of packages that are installed beside it.
pub(super) fn checked_files(code: &Code, language: Language, files: &Files) -> Files {
    let own = || files.iter().filter(|(name, _)| sdk::is_source(language, name));
    let vendored = files.keys().any(|name| name.split('/').next().is_some_and(|top| top.ends_with(".dist-info")));
    let all = own().map(|(name, path)| (name.clone(), path.clone()));
    if !vendored && own().count() <= MAX_FILES {
        return all.collect();
    }
    let candidates = handler::files(language, &code.handler);
    all.filter(|(name, _)| candidates.contains(name)).collect()
}

/// Whether the handler uses a file: it is the handler's own, or another file names it. What only lies beside it (a fixture of a
/// test) may be broken.
pub(super) fn is_used(code: &Code, language: Language, files: &Files, file: &Path) -> bool {
    let Some((name, _)) = files.iter().find(|(_, path)| *path == file) else { return false };
    if handler::files(language, &code.handler).contains(name) {
        return true;
    }
    let parts: Vec<&str> = name.split('/').collect();
    let stem = |part: &str| part.split('.').next().unwrap_or(part).to_owned();
    let mut module = parts.last().map(|last| stem(last)).unwrap_or_default();
    if ["index", "__init__"].contains(&module.as_str()) && parts.len() > 1 {
        module = parts[parts.len() - 2].to_owned();
    }
    let names = |text: &str| {
        text.match_indices(module.as_str()).any(|(at, _)| {
            let edge = |letter: Option<char>| letter.is_none_or(|letter| !letter.is_alphanumeric() && letter != '_');
            edge(text[..at].chars().next_back()) && edge(text[at + module.len()..].chars().next())
        })
    };
    let others = files.values().filter(|path| path.as_path() != file);
    others.filter_map(|path| std::fs::read_to_string(path).ok()).any(|text| names(&text))
}

/// The syntax errors of these files.
pub(super) fn run(
    language: Language,
    interpreter: &Path,
    runtime: &str,
    target: Target,
    files: &Files,
) -> Vec<(PathBuf, SyntaxError)> {
    let names: Vec<String> = files.values().map(|path| path.display().to_string()).collect();
    if names.is_empty() {
        return Vec::new();
    }
    let Some(Answer { version, errors }) = ask(language, interpreter, &names) else { return Vec::new() };
    if target == Target::Lambda && is_older(&version, release(runtime)) {
        return Vec::new();
    }
    let here = std::env::current_dir().unwrap_or_default();
    let error = |Found { file, line, message, excerpt }| {
        let shown = file.strip_prefix(&here).unwrap_or(&file).display().to_string();
        (file, SyntaxError { file: shown, line, message, excerpt })
    };
    errors.into_iter().map(error).collect()
}

/// Whether `version` (`20.20.2`) is older than a release (`22`, `3.12`).
fn is_older(version: &str, release: &str) -> bool {
    let numbers = |text: &str| text.split('.').map(|part| part.parse().unwrap_or(0)).collect::<Vec<u32>>();
    let (version, release) = (numbers(version), numbers(release));
    version.iter().zip(&release).find(|(one, other)| one != other).is_some_and(|(one, other)| one < other)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_process_checks_all_files_and_is_replaced_if_it_ends() {
        let folder = tempfile::tempdir().unwrap();
        let (good, bad) = (folder.path().join("good.js"), folder.path().join("bad.js"));
        std::fs::write(&good, "exports.handler = 1;\n").unwrap();
        std::fs::write(&bad, "let x = 1;\nlet y = ;\n").unwrap();
        // Under a name of its own, so that no other test has the process.
        let node = folder.path().join("node");
        std::os::unix::fs::symlink(program::locate("node", None).unwrap(), &node).unwrap();
        let run = |path: &Path| {
            let files = [("x.js".to_owned(), path.to_owned())].into();
            run(Language::Node, &node, "nodejs22.x", Target::Host, &files)
        };
        let slot = || Arc::clone(lock(&CHECKERS).get(&node).unwrap());
        let process = || lock(&slot()).as_ref().unwrap().process.id();
        assert_eq!(run(&good), []);
        let first = process();
        let found = run(&bad);
        assert_eq!((found[0].0.as_path(), found[0].1.line), (bad.as_path(), 2));
        assert_eq!(process(), first);
        lock(&slot()).as_mut().unwrap().process.kill().unwrap();
        assert_eq!(run(&bad).len(), 1);
        assert_ne!(process(), first);
    }

    #[test]
    fn an_interpreter_that_does_not_answer_or_does_not_stop_is_given_up() {
        let ask = |script: &str, milliseconds| {
            let mut command = Command::new("sh");
            command.args(["-c", script]).stdin(Stdio::piped()).stdout(Stdio::piped());
            let checker = Checker::of(command.spawn().unwrap()).unwrap();
            checker.ask(&["x.js".to_owned()], Duration::from_millis(milliseconds)).map(|answer| answer.version)
        };
        let long = 60_000;
        assert_eq!(ask("exec sleep 600", 100), Err(NoAnswer::Late));
        assert_eq!(ask("exit", long), Err(NoAnswer::Ended));
        assert_eq!(ask("read question; exec cat /dev/zero", long), Err(NoAnswer::Ended));
        let answer = r#"{"version": "22.1.0", "errors": []}"#;
        assert_eq!(ask(&format!("read question; echo '{answer}'"), long), Ok("22.1.0".to_owned()));
    }

    #[test]
    fn versions_are_compared_as_numbers() {
        for (version, release, older) in [
            ("20.20.2", "22", true),
            ("22.1.0", "22", false),
            ("3.9.1", "3.12", true),
            ("3.13.0", "3.12", false),
            ("24.0.0", "22", false),
        ] {
            assert_eq!(is_older(version, release), older, "{version} {release}");
        }
    }
}
