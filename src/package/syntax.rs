//! Looks for syntax errors in code that nothing compiles, with the interpreter that would find them only when it loads it.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::Stdio;

use futures_util::future::join_all;
use tokio::process::Command;

use super::error::PackageErrorKind;
use super::{Code, Options, PackageError, Source, build_method, environment};
use crate::core::stack::Build;
use crate::machine::interpreter::{self, Language};

const DOING: &str = "read the code";

/// Compiles a file as Python does when it is imported, and writes nothing. Without a traceback of its own.
const PYTHON: &str = "\
import sys, traceback
try:
    with open(sys.argv[1], 'rb') as file:
        compile(file.read(), sys.argv[1], 'exec', dont_inherit=True)
except (SyntaxError, ValueError) as error:
    sys.exit(''.join(traceback.format_exception_only(type(error), error)))
";

/// Checks those of the saved files that are code of a function's language; files of installed packages, and what another tool
/// compiles, are not checked.
///
/// # Errors
/// The first syntax error, with its file and line.
pub async fn check_syntax(code: &Code, saved: &BTreeSet<PathBuf>, options: &Options) -> Result<(), PackageError> {
    let Some(language) = Language::of(&code.runtime) else { return Ok(()) };
    let Source::Path(folder) = &code.source else { return Ok(()) };
    if !matches!(build_method::method(code), Build::Ordinary | Build::Skip) {
        return Ok(());
    }
    let extensions: &[&str] = match language {
        Language::Node => &["js", "cjs", "mjs"],
        Language::Python => &["py"],
    };
    let is_code = |path: &&PathBuf| {
        path.extension().is_some_and(|extension| extensions.iter().any(|known| extension == *known)) && path.is_file()
    };
    let files: Vec<&PathBuf> = saved.iter().filter(is_code).collect();
    if files.is_empty() {
        return Ok(());
    }
    // Without the interpreter the build says so, where it needs it.
    let Ok(found) = interpreter::find_or_recall(&code.runtime, options.tools.as_deref(), &options.cache).await else {
        return Ok(());
    };
    let checks = files.into_iter().map(|file| check(&found.program, language, file, folder));
    let checked = join_all(checks).await.into_iter().collect::<Result<(), PackageError>>();
    checked.map_err(|error| error.of([&code.logical_id]))
}

async fn check(program: &Path, language: Language, file: &Path, folder: &Path) -> Result<(), PackageError> {
    let mut command = Command::new(program);
    environment::clean(&mut command, &[]);
    match language {
        Language::Node => command.arg("--check").arg(file),
        Language::Python => command.args(["-I", "-S", "-X", "utf8", "-c", PYTHON]).arg(file),
    };
    command.current_dir(folder).stdin(Stdio::null()).kill_on_drop(true);
    let Ok(output) = command.output().await else { return Ok(()) };
    if output.status.success() {
        return Ok(());
    }
    let said = String::from_utf8_lossy(&output.stderr);
    let (place, said) = match language {
        Language::Node => of_node(&said, file),
        Language::Python => of_python(&said, file),
    };
    let mut error = PackageError::new(DOING, format!("{place} has a syntax error"));
    error.kind = PackageErrorKind::Failed;
    error.compiler = Some(said);
    Err(error)
}

/// What node says of a file, without its own stack: the place (`FILE:LINE`), the line with a mark below it, and the error.
fn of_node(said: &str, file: &Path) -> (String, String) {
    let lines: Vec<&str> = said.lines().take_while(|line| !line.starts_with("    at ")).collect();
    let shown = file.display().to_string();
    let place = lines.iter().find_map(|line| {
        let rest = line.strip_prefix("file://").unwrap_or(line).strip_prefix(&*shown)?.strip_prefix(':')?;
        rest.parse::<usize>().ok()
    });
    let text = lines.join("\n").trim_end().to_owned();
    (place.map_or(shown.clone(), |line| format!("{shown}:{line}")), text)
}

/// What Python says of a file: the place, and the error as it prints it.
fn of_python(said: &str, file: &Path) -> (String, String) {
    let shown = file.display().to_string();
    let line = said.lines().find_map(|line| line.trim().rsplit_once(", line ")?.1.parse::<usize>().ok());
    (line.map_or(shown.clone(), |line| format!("{shown}:{line}")), said.trim_end().to_owned())
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;
    use crate::package::{Architecture, Backend};

    #[tokio::test]
    async fn a_syntax_error_is_told_with_its_file_and_line() {
        let root = tempfile::tempdir().unwrap();
        let options = Options {
            backend: Backend::Auto,
            cargo: PathBuf::from("cargo"),
            tools: None,
            sdk: root.path().join("sdk"),
            cache: root.path().join("cache"),
            color: false,
            ignore_scripts: false,
        };
        for (name, runtime, text, line) in [
            ("good.js", "nodejs22.x", "exports.handler = async () => 1;\n", None),
            ("good.mjs", "nodejs22.x", "export const handler = async () => 1;\n", None),
            ("bad.js", "nodejs22.x", "\nexports.handler = async ( => 1;\n", Some(2)),
            ("bad.mjs", "nodejs22.x", "export const handler =\n\n;\n", Some(3)),
            ("good.py", "python3.12", "def handler(event, context):\n    return {}\n", None),
            ("bad.py", "python3.12", "x = 1\ndef handler(event, context:\n    return {}\n", Some(2)),
            ("indent.py", "python3.12", "def f():\n  x = 1\n    y = 2\n", Some(3)),
        ] {
            let file = root.path().join(name);
            fs::write(&file, text).unwrap();
            let code = Code {
                logical_id: "Function".to_owned(),
                source: Source::Path(root.path().to_owned()),
                runtime: runtime.to_owned(),
                handler: "index.handler".to_owned(),
                layers: false,
                architecture: Architecture::X86_64,
                binary: None,
                build: Build::Ordinary,
                template: root.path().to_owned(),
            };
            let checked = check_syntax(&code, &[file.clone()].into(), &options).await;
            let place = line.map(|line| format!("{}:{line} has a syntax error", file.display()));
            assert_eq!(checked.as_ref().err().map(|error| error.why.clone()), place, "{checked:?}");
            if let Err(error) = checked {
                let said = error.compiler.unwrap();
                assert!(said.contains("Error: ") && !said.contains("    at "), "{said}");
            }
        }
    }
}
