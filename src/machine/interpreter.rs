//! The machine's own node and python, which run code of Lambda's managed runtimes here.

use std::collections::HashMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::{Mutex, OnceLock, PoisonError};

use sha2::{Digest, Sha256};
use tokio::process::Command;

use super::program;

/// Prefixes of the variables of version managers, which determine where node and python are.
pub const VERSION_MANAGERS: &[&str] = &["ASDF_", "FNM_", "MISE_", "NODENV_", "NVM_", "PYENV_", "VOLTA_"];

/// A language of Lambda's managed runtimes that can run here.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Language {
    Node,
    Python,
}

impl Language {
    /// The language of a runtime, as Lambda names runtimes: `nodejs20.x`, `nodejs8.10` (before 10), `python3.12`.
    pub fn of(runtime: &str) -> Option<Self> {
        let number = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
        if let Some((major, minor)) = runtime.strip_prefix("nodejs").and_then(|version| version.split_once('.')) {
            return (number(major) && (minor == "x" || number(minor))).then_some(Self::Node);
        }
        runtime.strip_prefix("python3.").is_some_and(number).then_some(Self::Python)
    }
}

/// An interpreter of this machine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Interpreter {
    /// The real executable: version managers put shims into the PATH, which slow down every start.
    pub program: PathBuf,
    /// `20.20.2`
    pub version: String,
}

/// This machine has no interpreter for a runtime.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("no {} found to run {runtime}", self.program())]
pub struct Missing {
    runtime: String,
}

impl Missing {
    fn program(&self) -> &'static str {
        if Language::of(&self.runtime) == Some(Language::Python) { "python3" } else { "node" }
    }

    /// What to do about it.
    pub fn help(&self) -> String {
        let (what, url) = match Language::of(&self.runtime) {
            Some(Language::Python) => ("Python", "https://www.python.org/downloads"),
            _ => ("Node.js", "https://nodejs.org"),
        };
        let version = release(&self.runtime);
        format!("install {what} {version} ({url}), so that {} is in the PATH", self.program())
    }
}

/// The release in a runtime's name: `20` of `nodejs20.x`, `3.12` of `python3.12`.
pub fn release(runtime: &str) -> &str {
    runtime.trim_start_matches(|c: char| !c.is_ascii_digit()).trim_end_matches(".x")
}

impl Interpreter {
    /// The name of the folder for its packages, beside those of other versions: `python3.11`.
    pub fn site(&self) -> String {
        let release: Vec<&str> = self.version.split('.').take(2).collect();
        format!("python{}", release.join("."))
    }

    /// Whether its version is of the runtime's release.
    pub fn is_of(&self, runtime: &str) -> bool {
        self.version.strip_prefix(release(runtime)).is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
    }
}

/// Finds the interpreter for `runtime` in `folder`, by default in the PATH. For Python the same release is preferred.
///
/// # Errors
/// When none is found.
pub async fn find(runtime: &str, folder: Option<&Path>) -> Result<Interpreter, Missing> {
    for executable in candidates(runtime, folder) {
        if let Some(interpreter) = ask(runtime, &executable).await {
            return Ok(interpreter);
        }
    }
    Err(Missing { runtime: runtime.to_owned() })
}

/// The same, without asking an interpreter that an earlier call has asked: its answer is kept in the folder `cache` until the
/// executable changes. Asking takes longer than all else that is done for a stack without changes. A version manager's shim
/// is asked each time, because its answer depends on the folder.
///
/// # Errors
/// When none is found.
pub async fn find_or_recall(runtime: &str, folder: Option<&Path>, cache: &Path) -> Result<Interpreter, Missing> {
    for executable in candidates(runtime, folder) {
        let recalled = Recalled::of(&executable, cache);
        if let Some(interpreter) = recalled.as_ref().and_then(Recalled::read) {
            return Ok(interpreter);
        }
        if let Some(interpreter) = ask_or_remember(runtime, &executable).await {
            if let Some(recalled) = recalled {
                recalled.write(&interpreter);
            }
            return Ok(interpreter);
        }
    }
    Err(Missing { runtime: runtime.to_owned() })
}

/// What executables have answered, by runtime.
type Answers = HashMap<(String, PathBuf), Option<Interpreter>>;

/// The answers, once `ask_once` was called.
static ANSWERS: OnceLock<Mutex<Answers>> = OnceLock::new();

/// From now on, `find_or_recall` asks each executable once in this process, a shim and one that does not run, too: for a process
/// that builds with every save. A change of the version manager's settings is not noticed then.
pub fn ask_once() {
    ANSWERS.get_or_init(Mutex::default);
}

async fn ask_or_remember(runtime: &str, executable: &Path) -> Option<Interpreter> {
    let key = (runtime.to_owned(), executable.to_owned());
    let answers = || ANSWERS.get().map(|answers| answers.lock().unwrap_or_else(PoisonError::into_inner));
    if let Some(known) = answers().and_then(|answers| answers.get(&key).cloned()) {
        return known;
    }
    let answer = ask(runtime, executable).await;
    if let Some(mut answers) = answers() {
        answers.insert(key, answer.clone());
    }
    answer
}

/// The executables that may be an interpreter for `runtime`, the best first.
fn candidates(runtime: &str, folder: Option<&Path>) -> Vec<PathBuf> {
    let names = match Language::of(runtime) {
        Some(Language::Node) => vec!["node"],
        Some(Language::Python) => vec![runtime, "python3"],
        None => Vec::new(),
    };
    names.into_iter().filter_map(|name| program::locate(name, folder)).collect()
}

/// What an executable says of itself; `None` where it does not run.
async fn ask(runtime: &str, executable: &Path) -> Option<Interpreter> {
    let question = match Language::of(runtime)? {
        Language::Node => ["-p", "process.execPath + '\\n' + process.versions.node"],
        Language::Python => {
            ["-c", "import sys; print(sys.executable); print('.'.join(map(str, sys.version_info[:3])))"]
        }
    };
    let mut command = Command::new(executable);
    // With these, Node.js loads certificates and modules before it answers, which takes most of the time.
    command.env_remove("NODE_EXTRA_CA_CERTS").env_remove("NODE_OPTIONS");
    let output = command.args(question).stdin(Stdio::null()).kill_on_drop(true).output().await.ok()?;
    if !output.status.success() {
        return None;
    }
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let mut lines = text.lines();
    let (program, version) = (lines.next()?, lines.next()?);
    Some(Interpreter { program: PathBuf::from(program), version: version.to_owned() })
}

/// The kept answer of an executable.
struct Recalled {
    file: PathBuf,
    /// The state of the executable, which the file must name in its first line.
    state: String,
}

impl Recalled {
    fn of(executable: &Path, cache: &Path) -> Option<Self> {
        let name = hex::encode(&Sha256::digest(executable.as_os_str().as_encoded_bytes())[..8]);
        Some(Self { file: cache.join(format!("interpreter-{name}.txt")), state: program::state(executable)? })
    }

    fn read(&self) -> Option<Interpreter> {
        let text = fs::read_to_string(&self.file).ok()?;
        let mut lines = text.lines();
        let (state, path, version) = (lines.next()?, lines.next()?, lines.next()?);
        let is_same = state == self.state && program::state(Path::new(path))? == self.state;
        is_same.then(|| Interpreter { program: PathBuf::from(path), version: version.to_owned() })
    }

    /// Keeps an answer, unless it was a shim's, whose executable is another one. Without it, the next run asks again.
    fn write(&self, interpreter: &Interpreter) {
        if program::state(&interpreter.program).is_some_and(|state| state == self.state) {
            let text = format!("{}\n{}\n{}\n", self.state, interpreter.program.display(), interpreter.version);
            let kept = fs::create_dir_all(self.file.parent().unwrap_or(Path::new("")))
                .and_then(|()| fs::write(&self.file, text));
            if let Err(error) = kept {
                tracing::debug!("{} cannot be written: {error}", self.file.display());
            }
        }
    }
}

/// A program's path for a command: in `folder`, or the bare name for the PATH.
pub fn within(folder: Option<&Path>, name: &str) -> PathBuf {
    folder.map_or_else(|| PathBuf::from(name), |folder| folder.join(name))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn runtimes_have_languages() {
        for (runtime, language) in [
            ("nodejs20.x", Some(Language::Node)),
            ("nodejs8.10", Some(Language::Node)),
            ("nodejs4.3-edge", None),
            ("nodejs", None),
            ("nodejs.x", None),
            ("python3.12", Some(Language::Python)),
            ("python2.7", None),
            ("provided.al2023", None),
        ] {
            assert_eq!(Language::of(runtime), language, "{runtime}");
        }
    }

    #[test]
    fn an_interpreters_release_is_compared_exactly() {
        let version = |version: &str| Interpreter { program: PathBuf::new(), version: version.to_owned() };
        assert!(version("20.20.2").is_of("nodejs20.x"));
        assert!(!version("2.0.0").is_of("nodejs20.x"));
        assert!(version("3.1.4").is_of("python3.1") && !version("3.11.4").is_of("python3.1"));
    }

    #[tokio::test]
    async fn a_missing_interpreter_is_reported_with_what_to_install() {
        let empty = tempfile::tempdir().unwrap();
        let missing = find("nodejs20.x", Some(empty.path())).await.unwrap_err();
        assert_eq!(missing.to_string(), "no node found to run nodejs20.x");
        assert_eq!(missing.help(), "install Node.js 20 (https://nodejs.org), so that node is in the PATH");
        let missing = find("python3.12", Some(empty.path())).await.unwrap_err();
        assert_eq!(missing.to_string(), "no python3 found to run python3.12");
    }

    #[cfg(unix)]
    #[tokio::test]
    async fn an_interpreter_is_asked_again_when_it_has_changed_and_a_shim_each_time() {
        use std::os::unix::fs::PermissionsExt;
        let folder = tempfile::tempdir().unwrap();
        let (bin, cache) = (folder.path().join("bin"), folder.path().join("cache"));
        fs::create_dir_all(&bin).unwrap();
        let node = bin.join("node");
        let asked = || fs::read_to_string(bin.join("asked")).unwrap_or_default().lines().count();
        let write = |program: &Path, version: &str| {
            let script = format!(
                "#!/bin/sh\necho asked >> '{}/asked'\necho '{}'\necho {version}\n",
                bin.display(),
                program.display()
            );
            fs::write(&node, script).unwrap();
            fs::set_permissions(&node, fs::Permissions::from_mode(0o755)).unwrap();
        };
        let find = async || find_or_recall("nodejs20.x", Some(&bin), &cache).await.unwrap().version;

        write(&node, "20.1.0");
        assert_eq!((find().await, asked()), ("20.1.0".to_owned(), 1));
        assert_eq!((find().await, asked()), ("20.1.0".to_owned(), 1));
        write(&node, "20.20.20");
        assert_eq!((find().await, asked()), ("20.20.20".to_owned(), 2));
        assert_eq!((find().await, asked()), ("20.20.20".to_owned(), 2));

        let real = bin.join("real");
        fs::write(&real, "").unwrap();
        write(&real, "22.0.0");
        assert_eq!((find().await, asked()), ("22.0.0".to_owned(), 3));
        assert_eq!((find().await, asked()), ("22.0.0".to_owned(), 4));
    }
}
