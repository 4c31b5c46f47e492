//! Node and Python code: which interpreter of this machine runs it, and our client of the Runtime API that it starts.

use std::collections::HashMap;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use tokio::process::Command;
use tokio::sync::Mutex;

use crate::local::store::write_atomically;
use crate::machine::interpreter::{self, Interpreter, Language};

/// What the interpreters start.
const CLIENTS: [(&str, &str); 2] =
    [("node.cjs", include_str!("clients/node.cjs")), ("python.py", include_str!("clients/python.py"))];

/// The interpreters of this machine, looked up when a function first needs one.
pub struct Interpreters {
    clients: PathBuf,
    found: Mutex<HashMap<String, Interpreter>>,
}

impl Interpreters {
    /// Writes the clients below `folder`, which holds the functions' code too.
    ///
    /// # Errors
    /// When they cannot be written.
    pub fn open(folder: &Path) -> io::Result<Self> {
        let clients = folder.join("clients");
        fs::create_dir_all(&clients)?;
        for (name, text) in CLIENTS {
            write_atomically(&clients.join(name), text.as_bytes())?;
        }
        // What node reads to tell modules from scripts, and finds first: not that of a project around the data folder.
        let manifest = folder.join("package.json");
        if !manifest.is_file() {
            write_atomically(&manifest, b"{\"private\":true}\n")?;
        }
        Ok(Self { clients: clients.canonicalize()?, found: Mutex::default() })
    }

    /// The command that runs code for a runtime with so much memory, in MB, in the PATH of this process. The code's folder and
    /// the handler are in the environment.
    ///
    /// # Errors
    /// In words, where the interpreter is missing: it is looked for again the next time.
    pub async fn command(&self, language: Language, runtime: &str, memory: u32) -> Result<Command, String> {
        let mut found = self.found.lock().await;
        let interpreter = match found.get(runtime) {
            Some(interpreter) => interpreter.clone(),
            None => {
                let interpreter = interpreter::find(runtime, None).await.map_err(|missing| {
                    format!(
                        "{missing} on this machine: {} of the local cloud (`wschat local stop` first)",
                        missing.help()
                    )
                })?;
                if !interpreter.is_of(runtime) {
                    tracing::warn!("{runtime} is run by version {} of this machine", interpreter.version);
                }
                found.insert(runtime.to_owned(), interpreter.clone());
                interpreter
            }
        };
        let mut command = Command::new(&interpreter.program);
        match language {
            Language::Node => command.args(node_arguments(memory)).arg(self.clients.join("node.cjs")),
            // Nothing of the packages that this machine has for itself, and UTF-8 whatever locales it knows.
            Language::Python => command.args(["-S", "-s", "-X", "utf8"]).arg(self.clients.join("python.py")),
        };
        Ok(command)
    }
}

/// What Lambda gives node: a heap that fits into the function's memory, without which it collects its garbage too late, and
/// longer headers (`/var/runtime/bootstrap` of its Node.js runtimes).
fn node_arguments(memory: u32) -> [String; 4] {
    let new = memory / 10;
    [
        "--expose-gc".to_owned(),
        "--max-http-header-size=81920".to_owned(),
        format!("--max-semi-space-size={}", new / 2),
        format!("--max-old-space-size={}", memory - new),
    ]
}
