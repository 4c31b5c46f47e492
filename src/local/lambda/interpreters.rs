//! Interpreters for Node.js and Python code: found on this machine, they run our client of the Runtime API.

use std::collections::HashMap;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use tokio::process::Command;
use tokio::sync::Mutex;

use super::inspect::Inspect;
use crate::local::context::store::write_atomically;
use crate::machine::interpreter::{self, Interpreter, Language};

/// The programs that the interpreters run.
const CLIENTS: [(&str, &str); 2] =
    [("node.cjs", include_str!("clients/node.cjs")), ("python.py", include_str!("clients/python.py"))];

/// The interpreters of this machine, each looked up when a function first needs it.
pub struct Interpreters {
    clients: PathBuf,
    found: Mutex<HashMap<String, Interpreter>>,
}

impl Interpreters {
    /// Writes the clients below `folder`, which also contains the functions' code.
    ///
    /// # Errors
    /// When they cannot be written.
    pub fn open(folder: &Path) -> io::Result<Self> {
        let clients = folder.join("clients");
        fs::create_dir_all(&clients)?;
        for (name, text) in CLIENTS {
            write_atomically(&clients.join(name), text.as_bytes())?;
        }
        // Node.js decides by the nearest package.json whether a file is a module. This one is found before that of a
        // project around the data folder.
        let manifest = folder.join("package.json");
        if !manifest.is_file() {
            write_atomically(&manifest, b"{\"private\":true}\n")?;
        }
        Ok(Self { clients: clients.canonicalize()?, found: Mutex::default() })
    }

    /// The command that runs code for a runtime with `memory` in MB, with the interpreter found in the PATH of this process.
    /// The code's folder and the handler are passed in the environment.
    ///
    /// # Errors
    /// A message where the interpreter is missing; it is looked up again the next time.
    pub async fn command(
        &self,
        language: Language,
        runtime: &str,
        memory: u32,
        inspect: Option<&Inspect>,
    ) -> Result<Command, String> {
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
                    tracing::warn!("{runtime} handlers run with version {} on this machine", interpreter.version);
                }
                found.insert(runtime.to_owned(), interpreter.clone());
                interpreter
            }
        };
        let mut command = Command::new(&interpreter.program);
        // Without this machine's own site packages, and with UTF-8 in every locale.
        let python = ["-S", "-s", "-X", "utf8"];
        match (language, inspect) {
            (Language::Node, inspect) => {
                command.args(inspect.map(|inspect| format!("--inspect=127.0.0.1:{}", inspect.port)));
                command.args(node_arguments(memory)).arg(self.clients.join("node.cjs"))
            }
            (Language::Python, Some(Inspect { port, modules: Some(modules), .. })) => {
                // Frozen modules have no source to stop in.
                command.args(["-X", "frozen_modules=off"]).args(python);
                command.arg("-c").arg(debugged(*port, modules, &self.clients.join("python.py")))
            }
            (Language::Python, _) => command.args(python).arg(self.clients.join("python.py")),
        };
        Ok(command)
    }
}

/// A program that runs another one under debugpy, which lies in the folder `modules`. Texts are Python's as they are JSON's.
fn debugged(port: u16, modules: &Path, program: &Path) -> String {
    let text = |path: &Path| serde_json::Value::from(path.to_string_lossy()).to_string();
    format!(
        "import runpy, sys\nsys.path.append({})\nimport debugpy\ndebugpy.listen((\"127.0.0.1\", {port}))\nrunpy.run_path({}, run_name=\"__main__\")\n",
        text(modules),
        text(program)
    )
}

/// The arguments that Lambda passes to node: a heap limit that fits the function's memory, without which garbage is collected
/// too late, and longer headers (`/var/runtime/bootstrap` of its Node.js runtimes).
fn node_arguments(memory: u32) -> [String; 4] {
    let new = memory / 10;
    [
        "--expose-gc".to_owned(),
        "--max-http-header-size=81920".to_owned(),
        format!("--max-semi-space-size={}", new / 2),
        format!("--max-old-space-size={}", memory - new),
    ]
}
