//! A function under a debugger: what it takes, and how to attach.

use std::path::{Path, PathBuf};

use tokio::process::Command;

use super::super::error::CommandError;
use crate::core::types::Live;
use crate::machine::interpreter::{self, Language};

/// What a debugger of a function needs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Debugger {
    language: Language,
    /// The folder of Python's debugpy.
    pub modules: Option<PathBuf>,
    /// The folder of the function's code.
    folder: Option<PathBuf>,
}

/// What a debugger of a deployed function needs; `folder` is that of its code.
///
/// # Errors
/// When there is none for its runtime, or it is not installed.
pub async fn of(live: &Live, folder: Option<&Path>, cache: &Path) -> Result<Debugger, CommandError> {
    let runtime = live.properties["Runtime"].as_str().unwrap_or_default();
    let modules = match Language::of(runtime) {
        Some(Language::Node) => None,
        Some(Language::Python) => Some(debugpy(runtime, cache).await?),
        None => {
            let what = format!("--inspect: {runtime} has no debugger that wschat could start");
            return Err(CommandError::new(what).advice("it works for Node.js and Python"));
        }
    };
    let language = if modules.is_some() { Language::Python } else { Language::Node };
    Ok(Debugger { language, modules, folder: folder.map(Path::to_owned) })
}

/// The folder that has debugpy, for the interpreter that runs a runtime here.
async fn debugpy(runtime: &str, cache: &Path) -> Result<PathBuf, CommandError> {
    const WHERE: &str = "import debugpy, os; print(os.path.dirname(os.path.dirname(debugpy.__file__)))";
    let python = interpreter::find_or_recall(runtime, None, cache).await.map_err(|missing| missing.to_string())?;
    let program = python.program.display().to_string();
    let missing = || {
        CommandError::new(format!("--inspect: {program} has no debugpy"))
            .advice(format!("install it: {program} -m pip install debugpy"))
    };
    let output = Command::new(&python.program).args(["-c", WHERE]).output().await.map_err(|_| missing())?;
    let folder = String::from_utf8_lossy(&output.stdout).trim().to_owned();
    if output.status.success() && !folder.is_empty() { Ok(PathBuf::from(folder)) } else { Err(missing()) }
}

impl Debugger {
    /// The port on 127.0.0.1.
    pub fn port(&self) -> u16 {
        match self.language {
            Language::Node => 9229,
            Language::Python => 5678,
        }
    }

    /// What to do to attach one.
    pub fn how_to_attach(&self, function: &str) -> String {
        let port = self.port();
        let folder = self.folder.as_deref().map(|folder| folder.display().to_string()).unwrap_or_default();
        let (other, configuration) = match self.language {
            Language::Node => (
                "  Chrome: open chrome://inspect\n",
                format!(
                    r#"{{"type": "node", "request": "attach", "name": "{function}", "port": {port}, "restart": true, "localRoot": "{folder}", "remoteRoot": "/var/task"}}"#
                ),
            ),
            Language::Python => (
                "",
                format!(
                    r#"{{"type": "debugpy", "request": "attach", "name": "{function}", "connect": {{"host": "127.0.0.1", "port": {port}}}, "pathMappings": [{{"localRoot": "{folder}", "remoteRoot": "/var/task"}}], "justMyCode": true}}"#
                ),
            ),
        };
        format!(
            "{function} can be debugged on 127.0.0.1:{port}. It has no time limit; clients get an error after the gateway's 29 s.\n{other}  VS Code, in launch.json: {configuration}"
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_configuration_for_vs_code_is_json() {
        for language in [Language::Node, Language::Python] {
            let debugger = Debugger { language, modules: None, folder: Some(PathBuf::from("app/send")) };
            let text = debugger.how_to_attach("Send");
            let json = text.rsplit_once("launch.json: ").unwrap().1;
            let configuration: serde_json::Value = serde_json::from_str(json).unwrap();
            assert_eq!(configuration["name"], "Send");
            assert!(text.contains(&format!("127.0.0.1:{}", debugger.port())));
        }
    }
}
