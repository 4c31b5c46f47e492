//! `wschat.toml`: the stack and region of a project's commands.
//!
//! `[default]` has the stack's name and, if one was given, the region. `chosen` decides the precedence: flag,
//! environment variable, this file, default.

use std::fs;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use toml::de::{DeTable, DeValue};

use super::error::CommandError;
use crate::core::words::nearest;

/// The file's name.
pub const FILE: &str = "wschat.toml";

/// The table that is read.
const TABLE: &str = "default";

/// The keys of the table.
const KEYS: &[&str] = &["stack", "region"];

/// The usual folder for templates: the file is in the folder above it.
const TEMPLATES: &str = "templates";

/// The beginning of the file.
const HEAD: &str = "\
# What wschat's commands in this folder are about. Commit it: so other clones, and this one under another name, keep
# the stack.
";

/// The project's file, which may not exist.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Config {
    /// The file's path, even if it does not exist.
    path: PathBuf,
    /// The file's text; `None` if there is no file.
    text: Option<String>,
    settings: Settings,
}

/// The settings in a file.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
struct Settings {
    stack: Option<String>,
    region: Option<String>,
}

/// An error in a file.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Mistake {
    line: Option<usize>,
    what: String,
    help: Option<String>,
}

/// The value of a setting: the given one (from a flag, or from clap's variable for it), else the file's. The file's does
/// not count if one of the variables `elsewhere` is set: these take precedence over it, and the caller reads them itself.
#[expect(clippy::disallowed_methods, reason = "the SDK reads these: they are no flag's")]
pub fn chosen(given: Option<&str>, elsewhere: &[&str], file: Option<&str>) -> Option<String> {
    let is_set = |name: &&str| std::env::var_os(name).is_some_and(|value| !value.is_empty());
    given.or(file.filter(|_| !elsewhere.iter().any(is_set))).map(str::to_owned)
}

impl Config {
    /// Reads the file of the project that this template belongs to; without one, that of the current folder.
    ///
    /// # Errors
    /// What is wrong with the file, with its place.
    pub fn read(template: Option<&Path>) -> Result<Self, CommandError> {
        let folders = folders(template);
        for folder in &folders {
            let path = folder.join(FILE);
            let text = match fs::read_to_string(&path) {
                Ok(text) => text,
                Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
                Err(error) => return Err(format!("cannot read {}: {error}", path.display()).into()),
            };
            let settings = parse(&text).map_err(|mistake| mistake.error(&path))?;
            return Ok(Self { path, text: Some(text), settings });
        }
        let path = folders.last().map(|folder| folder.join(FILE)).unwrap_or_default();
        Ok(Self { path, ..Self::default() })
    }

    /// The places where the file of a project may be.
    pub fn places(template: Option<&Path>) -> Vec<PathBuf> {
        folders(template).into_iter().map(|folder| folder.join(FILE)).collect()
    }

    /// The path of the file, even if it does not exist.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The stack's name, if the file gives one.
    pub fn stack(&self) -> Option<&str> {
        self.settings.stack.as_deref()
    }

    /// The region, if the file gives one.
    pub fn region(&self) -> Option<&str> {
        self.settings.region.as_deref()
    }

    /// Stores the settings of an `up` that the file does not have yet: the stack's name and, if given, the region. A
    /// file that names another stack stays unchanged. Returns a sentence on what was written, if anything was.
    ///
    /// # Errors
    /// Why it could not be written, and what to write by hand.
    pub fn remember(&self, stack: &str, region: Option<&str>) -> Result<Option<String>, String> {
        if self.stack().is_some_and(|named| named != stack) {
            return Ok(None);
        }
        let line = |key: &str, value: &str| format!("{key} = {}", toml::Value::from(value));
        let lines: Vec<String> = [
            self.stack().is_none().then(|| line("stack", stack)),
            region.filter(|_| self.region().is_none()).map(|region| line("region", region)),
        ]
        .into_iter()
        .flatten()
        .collect();
        if lines.is_empty() {
            return Ok(None);
        }
        let what = lines.join(", ");
        let shown = self.path.display();
        let cannot =
            |why: String| format!("{shown} could not be written: {why}\n  it should say, below [{TABLE}]: {what}");
        let written = match &self.text {
            None => create(&self.path, &lines.join("\n")),
            Some(text) => match with_lines(text, &lines.join("\n")) {
                Some(text) => fs::write(&self.path, text).map(|()| true),
                None => return Err(cannot(format!("it has no line [{TABLE}]"))),
            },
        };
        match written {
            Ok(true) => Ok(Some(format!("{shown} now has {what}: every command here goes by it. Commit it."))),
            // Another run has just created it.
            Ok(false) => Ok(None),
            Err(error) => Err(cannot(error.to_string())),
        }
    }
}

/// Creates the file; returns `false` if it exists.
fn create(path: &Path, lines: &str) -> io::Result<bool> {
    match fs::OpenOptions::new().write(true).create_new(true).open(path) {
        Ok(mut file) => file.write_all(format!("{HEAD}[{TABLE}]\n{lines}\n").as_bytes()).map(|()| true),
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(false),
        Err(error) => Err(error),
    }
}

/// The text with lines added to its table, otherwise unchanged; `None` if the table is written in another form.
fn with_lines(text: &str, lines: &str) -> Option<String> {
    let is_head =
        |line: &str| line.split('#').next().is_some_and(|line| line.replace(' ', "").trim() == format!("[{TABLE}]"));
    let mut out = String::new();
    let mut found = false;
    for line in text.split_inclusive('\n') {
        out.push_str(line);
        if !found && is_head(line) {
            found = true;
            if !line.ends_with('\n') {
                out.push('\n');
            }
            out.push_str(&format!("{lines}\n"));
        }
    }
    if !found {
        if !out.is_empty() && !out.ends_with('\n') {
            out.push('\n');
        }
        out.push_str(&format!("[{TABLE}]\n{lines}\n"));
    }
    parse(&out).is_ok().then_some(out)
}

/// The folders that may contain the file: the template's, and if that is `templates`, the one above. A new file goes
/// into the last one.
fn folders(template: Option<&Path>) -> Vec<PathBuf> {
    let here = || PathBuf::from(".");
    let Some(template) = template else { return vec![PathBuf::from(TEMPLATES), PathBuf::new()] };
    let folder = template.parent().filter(|folder| !folder.as_os_str().is_empty()).map_or_else(here, Path::to_owned);
    let real = folder.canonicalize().unwrap_or_else(|_| folder.clone());
    let folder = if folder == here() { PathBuf::new() } else { folder };
    if !real.ends_with(TEMPLATES) {
        return vec![folder];
    }
    let above = if folder.ends_with(TEMPLATES) { folder.parent().map(Path::to_owned) } else { None };
    let above = above.unwrap_or_else(|| folder.join(".."));
    vec![folder, above]
}

fn parse(text: &str) -> Result<Settings, Mistake> {
    let line_of = |offset: usize| Some(text.get(..offset)?.matches('\n').count() + 1);
    let at = |offset: usize, what: String| Mistake { line: line_of(offset), what, help: None };
    let document = DeTable::parse(text).map_err(|error| Mistake {
        line: error.span().and_then(|span| line_of(span.start)),
        what: error.message().to_owned(),
        help: None,
    })?;
    let mut settings = Settings::default();
    for (name, value) in document.get_ref() {
        let place = name.span().start;
        let table = match value.get_ref() {
            DeValue::Table(table) if name.get_ref() == TABLE => table,
            _ if name.get_ref() == TABLE => return Err(at(place, format!("{TABLE} must be a table: [{TABLE}]"))),
            _ if KEYS.contains(&name.get_ref().as_ref()) => {
                let what = format!("\"{}\" stands outside of a table", name.get_ref());
                return Err(Mistake { help: Some(format!("put it below [{TABLE}]")), ..at(place, what) });
            }
            _ => {
                return Err(unknown(
                    at(place, format!("unknown key \"{}\"", name.get_ref())),
                    name.get_ref(),
                    &[TABLE],
                ));
            }
        };
        for (key, value) in table {
            let place = key.span().start;
            let setting = match key.get_ref().as_ref() {
                "stack" => &mut settings.stack,
                "region" => &mut settings.region,
                other => return Err(unknown(at(place, format!("unknown key \"{other}\" in [{TABLE}]")), other, KEYS)),
            };
            match value.get_ref() {
                DeValue::String(text) if !text.is_empty() => *setting = Some(text.to_string()),
                _ => return Err(at(place, format!("{} must be a text in quotes", key.get_ref()))),
            }
        }
    }
    Ok(settings)
}

fn unknown(mistake: Mistake, given: &str, known: &[&str]) -> Mistake {
    let help = match nearest(given, known) {
        Some(name) => format!("did you mean \"{name}\"?"),
        None => format!("known: {}", known.join(", ")),
    };
    Mistake { help: Some(help), ..mistake }
}

impl Mistake {
    fn error(&self, path: &Path) -> CommandError {
        let line = self.line.map(|line| format!(":{line}")).unwrap_or_default();
        CommandError::new(format!("{}{line}: {}", path.display(), self.what)).advice_lines(self.help.as_deref())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_mistake_is_reported_with_its_line_and_the_fix() {
        let table = [
            (
                "[default]\nstak = \"a\"\n",
                "wschat.toml:2: unknown key \"stak\" in [default]\n  did you mean \"stack\"?",
            ),
            ("\n[defualt]\n", "wschat.toml:2: unknown key \"defualt\"\n  did you mean \"default\"?"),
            (
                "[default]\nprofile = \"x\"\n",
                "wschat.toml:2: unknown key \"profile\" in [default]\n  known: stack, region",
            ),
            ("stack = \"a\"\n", "wschat.toml:1: \"stack\" stands outside of a table\n  put it below [default]"),
            ("[default]\n\nstack = 5\n", "wschat.toml:3: stack must be a text in quotes"),
            ("[default]\nregion = \"\"\n", "wschat.toml:2: region must be a text in quotes"),
            ("default = 1\n", "wschat.toml:1: default must be a table: [default]"),
        ];
        for (text, expected) in table {
            let error = parse(text).unwrap_err().error(Path::new(FILE)).to_string();
            assert_eq!(error, format!("error: {expected}"), "{text}");
        }
        assert_eq!(parse("[default]\nstack = \"a\nregion").unwrap_err().line, Some(3));
    }

    #[test]
    fn added_lines_leave_the_rest_unchanged() {
        let table = [
            ("", "[default]\nstack = \"a\"\n"),
            (
                "# mine\n[default] # of all\nregion = \"r\" # far\n",
                "# mine\n[default] # of all\nstack = \"a\"\nregion = \"r\" # far\n",
            ),
            ("[default]", "[default]\nstack = \"a\"\n"),
            ("# nothing yet", "# nothing yet\n[default]\nstack = \"a\"\n"),
        ];
        for (text, expected) in table {
            assert_eq!(with_lines(text, "stack = \"a\"").as_deref(), Some(expected), "{text}");
        }
        assert_eq!(with_lines("default = { region = \"r\" }\n", "stack = \"a\""), None);
    }

    #[test]
    fn a_file_is_created_once_and_only_missing_settings_are_added() {
        let folder = tempfile::tempdir().unwrap();
        let template = folder.path().join("template.yaml");
        let read = || Config::read(Some(&template)).unwrap();
        assert!(
            read()
                .remember("a", None)
                .unwrap()
                .unwrap()
                .ends_with("now has stack = \"a\": every command here goes by it. Commit it.")
        );
        assert_eq!(read().stack(), Some("a"));
        assert_eq!(read().remember("a", None), Ok(None));
        assert_eq!(read().remember("b", Some("r")), Ok(None), "it is about another stack");
        assert!(read().remember("a", Some("r")).unwrap().is_some());
        assert_eq!((read().stack(), read().region()), (Some("a"), Some("r")));
        assert_eq!(read().remember("a", Some("s")), Ok(None));
    }

    #[test]
    fn a_file_is_in_the_templates_folder_or_above_templates() {
        let folder = tempfile::tempdir().unwrap();
        let templates = folder.path().join(TEMPLATES);
        fs::create_dir(&templates).unwrap();
        let template = templates.join("chat.yaml");
        assert_eq!(Config::read(Some(&template)).unwrap().path(), folder.path().join(FILE));
        fs::write(folder.path().join(FILE), "[default]\nstack = \"above\"\n").unwrap();
        assert_eq!(Config::read(Some(&template)).unwrap().stack(), Some("above"));
        fs::write(templates.join(FILE), "[default]\nstack = \"beside\"\n").unwrap();
        assert_eq!(Config::read(Some(&template)).unwrap().stack(), Some("beside"));
        assert_eq!(folders(Some(Path::new("templates/chat.yaml"))), ["templates", ""].map(PathBuf::from));
        assert_eq!(folders(Some(Path::new("app.yaml"))), [PathBuf::new()]);
    }

    #[test]
    fn a_flag_wins_over_a_variable_and_that_over_the_file() {
        // In every test environment, `PATH` is set and `WSCHAT_NOT_SET` is not.
        let table = [
            (Some("flag"), "PATH", Some("file"), Some("flag")),
            (None, "PATH", Some("file"), None),
            (None, "WSCHAT_NOT_SET", Some("file"), Some("file")),
            (None, "WSCHAT_NOT_SET", None, None),
        ];
        for (given, variable, file, expected) in table {
            assert_eq!(chosen(given, &[variable], file).as_deref(), expected);
        }
    }
}
