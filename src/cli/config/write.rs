//! What runs write into wschat.toml: settings and parameters, a line each. All else in the file stays as it is.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io::{self, Write};
use std::path::Path;

use super::{Config, FILE, LOCAL, PARAMETERS, Value, parse};

/// The table of tags.
const TAGS: &str = "tags";

/// The beginning of the file.
pub const HEAD: &str = "\
# The settings of wschat's commands in this folder. Commit this file: every
# clone then uses the same stack, whatever its folder is called.
";

impl Config {
    /// Stores the settings of an `up` that the file does not have yet: the stack's name and, if given, the region and the command
    /// that synthesises the app: without it, later runs would deploy what was synthesised last. A file that names another stack stays unchanged, as SAM's does. Returns a sentence on what was written, if anything was.
    ///
    /// # Errors
    /// Why it could not be written, and what to write by hand.
    pub fn remember(&self, stack: &str, region: Option<&str>, app: Option<&str>) -> Result<Option<String>, String> {
        if self.of_sam || self.stack().is_some_and(|named| named != stack) {
            return Ok(None);
        }
        let table = self.own_table();
        let values = [
            self.stack().is_none().then_some(("stack", stack)),
            region.filter(|_| self.text("region").is_none()).map(|region| ("region", region)),
            app.filter(|_| self.text("app").is_none()).map(|app| ("app", app)),
        ];
        let edits: Vec<Edit> = values.into_iter().flatten().map(|(key, value)| Edit::set(&table, key, value)).collect();
        let Some(what) = self.write(&edits)? else { return Ok(None) };
        Ok(Some(format!(
            "{} now has {what}: all commands in this folder use it. Commit the file.",
            self.path.display()
        )))
    }

    /// Stores values of parameters, and forgets others, for the runs of this environment; without one, for those on AWS or those
    /// with `--local`. Returns a sentence on what was written, if anything was.
    ///
    /// # Errors
    /// Why it could not be written, and what to write by hand.
    pub fn remember_parameters(
        &self,
        given: &BTreeMap<String, String>,
        forgotten: &BTreeSet<String>,
        is_local: bool,
    ) -> Result<Option<String>, String> {
        let known = self.parameters(is_local);
        let own = if is_local && self.environment.is_none() { LOCAL.to_owned() } else { self.own_table() };
        let new = given.iter().filter(|(name, value)| known.get(*name) != Some(value));
        let table = format!("{own}.{PARAMETERS}");
        let mut edits: Vec<Edit> = new.map(|(name, value)| Edit::set(&table, name, value)).collect();
        if self.of_sam {
            let names: Vec<&str> = edits.iter().map(|edit| edit.key.as_str()).collect();
            return if names.is_empty() {
                Ok(None)
            } else {
                Err(format!(
                    "{} is not remembered, because {} is SAM's; `wschat init --from-sam` makes a {FILE} of it",
                    names.join(", "),
                    self.path.display()
                ))
            };
        }
        edits.extend(forgotten.iter().filter(|name| known.contains_key(*name)).map(|name| Edit::remove(&table, name)));
        let Some(what) = self.write(&edits)? else { return Ok(None) };
        Ok(Some(format!("{} now has {what} in [{table}]: later runs use it.", self.path.display())))
    }

    /// Stores tags for the resources of this environment. Returns a sentence on what was written, if anything was.
    ///
    /// # Errors
    /// Why it could not be written, and what to write by hand.
    pub fn remember_tags(&self, tags: &BTreeMap<String, String>) -> Result<Option<String>, String> {
        let known = self.table(TAGS);
        let table = format!("{}.{TAGS}", self.own_table());
        let new = tags.iter().filter(|(key, value)| known.get(*key) != Some(value));
        let edits: Vec<Edit> = new.map(|(key, value)| Edit::set(&table, key, value)).collect();
        let Some(what) = self.write(&edits)? else { return Ok(None) };
        Ok(Some(format!("{} now has {what} in [{table}]: later runs tag with it.", self.path.display())))
    }

    /// Stores settings and parameters that the user has just chosen.
    ///
    /// # Errors
    /// Why it could not be written, and what to write by hand.
    pub fn store(
        &self,
        settings: &[(&str, Value)],
        parameters: &BTreeMap<String, String>,
    ) -> Result<Option<String>, String> {
        let table = self.own_table();
        let edits = settings.iter().map(|(key, value)| Edit {
            table: table.clone(),
            key: (*key).to_owned(),
            value: Some(value.in_toml()),
        });
        let parameters_table = format!("{table}.{PARAMETERS}");
        let parameters = parameters.iter().map(|(name, value)| Edit::set(&parameters_table, name, value));
        let written = self.write(&edits.chain(parameters).collect::<Vec<_>>())?;
        Ok(written.map(|_| format!("Saved in {}.", self.path.display())))
    }

    /// Writes values into the file, and leaves all else as it is. Returns what was written, if anything was.
    fn write(&self, edits: &[Edit]) -> Result<Option<String>, String> {
        if edits.is_empty() {
            return Ok(None);
        }
        if self.of_sam {
            let what = "is SAM's and is left as it is; `wschat init --from-sam` makes a";
            return Err(format!("{} {what} {FILE} of it", self.path.display()));
        }
        let what: Vec<String> = edits.iter().map(Edit::to_string).collect();
        let what = what.join(", ");
        let table = edits.first().map(|edit| edit.table.clone()).unwrap_or_default();
        let shown = self.path.display();
        let cannot =
            |why: &str| format!("{shown} could not be written: {why}\n  it should say, below [{table}]: {what}");
        let new = edited(self.text.as_deref().unwrap_or(HEAD), edits)
            .ok_or_else(|| cannot(&format!("it has no line [{table}]")))?;
        let written = match &self.text {
            None => create(&self.path, &new),
            Some(_) => fs::write(&self.path, new).map(|()| true),
        };
        match written {
            Ok(true) => Ok(Some(what)),
            // Another run has just created it.
            Ok(false) => Ok(None),
            Err(error) => Err(cannot(&error.to_string())),
        }
    }
}

impl Value {
    pub fn in_toml(&self) -> String {
        let text = |text: &str| toml::Value::from(text).to_string();
        match self {
            Self::Text(value) => text(value),
            Self::Switch(value) => value.to_string(),
            Self::List(values) => {
                format!("[{}]", values.iter().map(|value| text(value)).collect::<Vec<_>>().join(", "))
            }
            Self::Table(entries) => {
                let entries = entries.iter().map(|(key, value)| format!("{} = {}", key_in_toml(key), text(value)));
                format!("{{ {} }}", entries.collect::<Vec<_>>().join(", "))
            }
        }
    }
}

/// A key as TOML writes it.
pub fn key_in_toml(key: &str) -> String {
    let is_bare = !key.is_empty() && key.chars().all(|c| c.is_ascii_alphanumeric() || "-_".contains(c));
    if is_bare { key.to_owned() } else { toml::Value::from(key).to_string() }
}

/// A change of a line.
#[derive(Debug, Clone)]
struct Edit {
    /// `default`, `env.prod.parameters`.
    table: String,
    key: String,
    /// As TOML; `None` removes the line.
    value: Option<String>,
}

impl Edit {
    fn set(table: &str, key: &str, value: &str) -> Self {
        let value = Some(Value::Text(value.to_owned()).in_toml());
        Self { table: table.to_owned(), key: key.to_owned(), value }
    }

    fn remove(table: &str, key: &str) -> Self {
        Self { table: table.to_owned(), key: key.to_owned(), value: None }
    }

    /// The text with this change made, if the table is written with a line of its own or does not exist.
    fn apply(&self, text: &str) -> String {
        let mut lines: Vec<String> = text.split_inclusive('\n').map(str::to_owned).collect();
        if let Some(last) = lines.last_mut().filter(|line| !line.ends_with('\n')) {
            last.push('\n');
        }
        let code = |line: &str| line.split('#').next().unwrap_or_default().replace(' ', "").trim().to_owned();
        let line = self.value.as_ref().map(|value| format!("{} = {value}\n", key_in_toml(&self.key)));
        let Some(head) = lines.iter().position(|line| code(line) == format!("[{}]", self.table)) else {
            if let Some(line) = line {
                if lines.iter().any(|line| line.starts_with('[')) {
                    lines.push("\n".to_owned());
                }
                lines.push(format!("[{}]\n{line}", self.table));
            }
            return lines.concat();
        };
        let end = lines[head + 1..].iter().position(|line| line.trim_start().starts_with('[')).map(|at| head + 1 + at);
        let mine = |line: &String| {
            let name = line.split('=').next().unwrap_or_default().trim();
            line.contains('=') && (name == self.key || name.trim_matches(['"', '\'']) == self.key)
        };
        let place = lines[head + 1..end.unwrap_or(lines.len())].iter().position(mine).map(|at| head + 1 + at);
        match (place, line) {
            (Some(at), Some(line)) => lines[at] = line,
            (Some(at), None) => drop(lines.remove(at)),
            (None, Some(line)) => lines.insert(head + 1, line),
            (None, None) => {}
        }
        lines.concat()
    }
}

impl std::fmt::Display for Edit {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match &self.value {
            Some(value) => write!(f, "{} = {value}", key_in_toml(&self.key)),
            None => write!(f, "no {}", self.key),
        }
    }
}

/// The text with these changes; `None` if a table is written in another form than with a line of its own.
fn edited(text: &str, edits: &[Edit]) -> Option<String> {
    // Each is put right below its table's line.
    let out = edits.iter().rev().fold(text.to_owned(), |text, edit| edit.apply(&text));
    parse(&out).is_ok().then_some(out)
}

/// Creates the file; returns `false` if it exists.
fn create(path: &Path, text: &str) -> io::Result<bool> {
    match fs::OpenOptions::new().write(true).create_new(true).open(path) {
        Ok(mut file) => file.write_all(text.as_bytes()).map(|()| true),
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(false),
        Err(error) => Err(error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

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
            ("[env.b]\nstack = \"c\"\n", "[env.b]\nstack = \"c\"\n\n[default]\nstack = \"a\"\n"),
            (
                "[default]\nregion = \"r\"\nstack = \"b\"\n[env.c]\n",
                "[default]\nregion = \"r\"\nstack = \"a\"\n[env.c]\n",
            ),
        ];
        let edits = [Edit::set("default", "stack", "a")];
        for (text, expected) in table {
            assert_eq!(edited(text, &edits).as_deref(), Some(expected), "{text}");
        }
        assert_eq!(edited("default = { region = \"r\" }\n", &edits), None);
        let removed = [Edit::remove("default", "stack"), Edit::set("local.parameters", "A", "b \"c\"")];
        let expected = "[default]\n\n[local.parameters]\nA = 'b \"c\"'\n";
        assert_eq!(edited("[default]\nstack = \"a\"\n", &removed).as_deref(), Some(expected));
    }

    #[test]
    fn a_file_is_created_once_and_only_missing_settings_are_added() {
        let folder = tempfile::tempdir().unwrap();
        let template = folder.path().join("template.yaml");
        let read = || Config::read(Some(&template), None).unwrap();
        assert!(
            read()
                .remember("a", None, None)
                .unwrap()
                .unwrap()
                .ends_with("now has stack = \"a\": all commands in this folder use it. Commit the file.")
        );
        assert_eq!(read().stack(), Some("a"));
        assert_eq!(read().remember("a", None, None), Ok(None));
        assert_eq!(read().remember("b", Some("r"), None), Ok(None), "it is about another stack");
        assert!(read().remember("a", Some("r"), None).unwrap().is_some());
        assert_eq!((read().stack(), read().text("region")), (Some("a"), Some("r")));
        assert_eq!(read().remember("a", Some("s"), None), Ok(None));
        assert!(read().remember("a", None, Some("npx cdk synth")).unwrap().is_some());
        assert_eq!(read().text("app"), Some("npx cdk synth"));
        assert_eq!(read().remember("a", None, Some("another")), Ok(None));
    }
}
