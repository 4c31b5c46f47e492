//! The project's file, `wschat.toml`: what its commands are about, for everybody who works on it.
//!
//! `[default]` holds for every run, `[env.NAME]` for those with `--env NAME`, and `[local.parameters]` for those with
//! `--local`. Which keys there are, and what takes precedence over the file: `settings`. Where there is no wschat.toml,
//! SAM's samconfig.toml is read (`sam`).

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use toml::de::{DeTable, DeValue};

use super::error::CommandError;
use crate::core::words::nearest;
use settings::{Form, SETTINGS, Setting};

pub mod sam;
pub mod settings;
pub mod show;

/// The file's name.
pub const FILE: &str = "wschat.toml";

/// The table that holds for every run.
const DEFAULT: &str = "default";

/// The table of environments.
const ENVIRONMENTS: &str = "env";

/// The table for runs with `--local`.
const LOCAL: &str = "local";

/// The only key of `LOCAL`.
const PARAMETERS: &str = "parameters";

/// The usual folder for templates: the file is in the folder above it.
const TEMPLATES: &str = "templates";

/// The beginning of the file.
const HEAD: &str = "\
# What wschat's commands in this folder are about. Commit it: so other clones, and this one under another name, keep
# the stack.
";

/// The option for the environment.
#[derive(Debug, Clone, Default, clap::Args)]
#[group(skip)]
pub struct Environment {
    /// Use the settings of [env.NAME] in wschat.toml, before those of [default]
    #[arg(
        id = "env",
        long = "env",
        value_name = "NAME",
        env = "WSCHAT_ENV",
        hide_env_values = true,
        alias = "config-env"
    )]
    pub name: Option<String>,
}

/// The project's file, which may not exist, as a run in one environment takes it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Config {
    /// The file's path, even if it does not exist.
    path: PathBuf,
    /// The file's text; `None` if there is no file.
    text: Option<String>,
    /// Whether it is SAM's file.
    of_sam: bool,
    /// The chosen environment.
    environment: Option<String>,
    values: Values,
    /// What of SAM's file is not used, and why.
    ignored: Option<String>,
}

/// Settings by their keys.
type Values = BTreeMap<&'static str, Found>;

/// A value in the file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Found {
    pub value: Value,
    /// The line that it stands in, from 1.
    pub line: usize,
    /// The table that it stands in: `default`, `env.prod`.
    pub table: String,
}

/// A setting's value. Paths are as the file has them: relative to its folder.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Value {
    Text(String),
    Switch(bool),
    List(Vec<String>),
    Table(BTreeMap<String, String>),
}

/// All tables of a file.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
struct Tables {
    default: Values,
    environments: BTreeMap<String, Values>,
    /// The parameters of runs with `--local`.
    local: Option<Found>,
}

/// An error in a file.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Mistake {
    line: Option<usize>,
    what: String,
    help: Option<String>,
}

impl Config {
    /// Reads the file of the project that this template belongs to; without one, that of the current folder.
    ///
    /// # Errors
    /// What is wrong with the file, with its place; an environment that it does not have.
    pub fn read(template: Option<&Path>, environment: Option<&str>) -> Result<Self, CommandError> {
        let folders = folders(template);
        for name in [FILE, sam::FILE] {
            for folder in &folders {
                let path = folder.join(name);
                if path.is_file() || path.is_symlink() {
                    return Self::open(path, environment);
                }
            }
        }
        let path = folders.last().map(|folder| folder.join(FILE)).unwrap_or_default();
        Self::open(path, environment)
    }

    /// Reads the file at `path`, which may not exist.
    ///
    /// # Errors
    /// As `read`.
    pub fn open(path: PathBuf, environment: Option<&str>) -> Result<Self, CommandError> {
        let environment = environment.filter(|name| !name.is_empty());
        let text = match fs::read_to_string(&path) {
            Ok(text) => text,
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                return match environment {
                    None => Ok(Self { path, ..Self::default() }),
                    Some(name) => {
                        let what = format!("there is no environment \"{name}\": there is no {}", path.display());
                        Err(CommandError::new(what).advice(format!("write it, with a table [env.{name}]")))
                    }
                };
            }
            Err(error) => return Err(format!("cannot read {}: {error}", path.display()).into()),
        };
        let of_sam = path.file_name().is_some_and(|name| name == sam::FILE);
        let (tables, ignored) = if of_sam { sam::parse(&text) } else { parse(&text).map(|tables| (tables, None)) }
            .map_err(|mistake| mistake.error(&path))?;
        let values = tables.select(environment, of_sam).map_err(|mistake| mistake.error(&path))?;
        let environment = environment.map(str::to_owned);
        let mut config = Self { path, text: Some(text), of_sam, environment, values, ignored };
        config.add_local(tables.local);
        Ok(config)
    }

    /// The places where the file of a project may be.
    pub fn places(template: Option<&Path>) -> Vec<PathBuf> {
        folders(template).into_iter().map(|folder| folder.join(FILE)).collect()
    }

    /// The path of the file, even if it does not exist.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The chosen environment.
    pub fn environment(&self) -> Option<&str> {
        self.environment.as_deref()
    }

    /// What of SAM's file is not used, and why: a sentence.
    pub fn ignored(&self) -> Option<&str> {
        self.ignored.as_deref()
    }

    /// A setting's value, if the file gives one.
    pub fn found(&self, key: &str) -> Option<&Found> {
        self.values.get(key)
    }

    /// A setting's text, if the file gives one.
    pub fn text(&self, key: &str) -> Option<&str> {
        match &self.values.get(key)?.value {
            Value::Text(text) => Some(text),
            _ => None,
        }
    }

    /// Whether the file sets this switch.
    pub fn switch(&self, key: &str) -> bool {
        self.values.get(key).is_some_and(|found| found.value == Value::Switch(true))
    }

    /// A table's entries; none where the file does not have it.
    pub fn table(&self, key: &str) -> BTreeMap<String, String> {
        match self.values.get(key).map(|found| &found.value) {
            Some(Value::Table(table)) => table.clone(),
            _ => BTreeMap::new(),
        }
    }

    /// A path of the file, which is relative to the file's folder.
    pub fn path_of(&self, text: &str) -> PathBuf {
        self.path.parent().unwrap_or(Path::new("")).join(text)
    }

    /// The stack's name, if the file gives one.
    pub fn stack(&self) -> Option<&str> {
        self.text("stack")
    }

    /// The parameters of `[local.parameters]` count with `--local`: after an environment's, before all others.
    fn add_local(&mut self, local: Option<Found>) {
        if let Some(found) = local {
            self.values.insert(settings::LOCAL_PARAMETERS, found);
        }
    }

    /// The parameters that the file gives.
    pub fn parameters(&self, is_local: bool) -> BTreeMap<String, String> {
        let mut parameters = self.table(PARAMETERS);
        if is_local && self.environment.is_none() {
            parameters.extend(self.table(settings::LOCAL_PARAMETERS));
        }
        parameters
    }

    /// The table that runs of this kind write to.
    fn own_table(&self) -> String {
        self.environment.as_ref().map_or_else(|| DEFAULT.to_owned(), |name| format!("{ENVIRONMENTS}.{name}"))
    }

    /// Stores the settings of an `up` that the file does not have yet: the stack's name and, if given, the region. A
    /// file that names another stack stays unchanged, as SAM's does. Returns a sentence on what was written, if anything was.
    ///
    /// # Errors
    /// Why it could not be written, and what to write by hand.
    pub fn remember(&self, stack: &str, region: Option<&str>) -> Result<Option<String>, String> {
        if self.of_sam || self.stack().is_some_and(|named| named != stack) {
            return Ok(None);
        }
        let table = self.own_table();
        let values = [
            self.stack().is_none().then_some(("stack", stack)),
            region.filter(|_| self.text("region").is_none()).map(|region| ("region", region)),
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
    fn in_toml(&self) -> String {
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
fn key_in_toml(key: &str) -> String {
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

impl Tables {
    /// The settings of runs in this environment. Those of an environment stand before the default ones; an environment of SAM's
    /// stands alone.
    fn select(&self, environment: Option<&str>, alone: bool) -> Result<Values, Mistake> {
        let Some(name) = environment else { return Ok(self.default.clone()) };
        let Some(own) = self.environments.get(name) else {
            let known: Vec<&str> = self.environments.keys().map(String::as_str).collect();
            let mistake = Mistake { line: None, what: format!("there is no environment \"{name}\""), help: None };
            let near = nearest(name, &known).map(|near| format!("did you mean \"{near}\"? "));
            let all = match known.as_slice() {
                [] => format!("write a table [{ENVIRONMENTS}.{name}]"),
                known => format!("there are: {}", known.join(", ")),
            };
            return Err(Mistake { help: Some(format!("{}{all}", near.unwrap_or_default())), ..mistake });
        };
        let mut values = if alone { Values::new() } else { self.default.clone() };
        // Two environments in one stack would overwrite each other.
        if let Some(Found { value: Value::Text(stack), .. }) = values.get_mut("stack") {
            *stack = format!("{stack}-{name}");
        }
        for (key, found) in own {
            match (values.get_mut(key), &found.value) {
                (Some(Found { value: Value::Table(below), .. }), Value::Table(own)) => below.extend(own.clone()),
                _ => drop(values.insert(key, found.clone())),
            }
        }
        Ok(values)
    }
}

/// What a file's text has to say where something is wrong: the lines of places.
struct Text<'a>(&'a str);

impl Text<'_> {
    fn line(&self, offset: usize) -> usize {
        self.0.get(..offset).map_or(1, |before| before.matches('\n').count() + 1)
    }

    fn at(&self, offset: usize, what: String) -> Mistake {
        Mistake { line: Some(self.line(offset)), what, help: None }
    }

    fn document(&self) -> Result<toml::Spanned<DeTable<'_>>, Mistake> {
        DeTable::parse(self.0).map_err(|error| Mistake {
            line: error.span().map(|span| self.line(span.start)),
            what: error.message().to_owned(),
            help: None,
        })
    }
}

fn parse(text: &str) -> Result<Tables, Mistake> {
    let text = Text(text);
    let document = text.document()?;
    let mut tables = Tables::default();
    for (name, value) in document.get_ref() {
        let place = name.span().start;
        let name = name.get_ref().as_ref();
        let known = [DEFAULT, ENVIRONMENTS, LOCAL];
        let table = match value.get_ref() {
            DeValue::Table(table) if known.contains(&name) => table,
            _ if known.contains(&name) => return Err(text.at(place, format!("{name} must be a table: [{name}]"))),
            _ if SETTINGS.iter().any(|setting| setting.key == name) => {
                let what = format!("\"{name}\" is outside of a table");
                return Err(Mistake { help: Some(format!("put it below [{DEFAULT}]")), ..text.at(place, what) });
            }
            _ => return Err(unknown(text.at(place, format!("unknown key \"{name}\"")), name, &known)),
        };
        match name {
            DEFAULT => tables.default = read(&text, DEFAULT, table)?,
            LOCAL => {
                let local = read_keys(&text, LOCAL, table, &|setting| setting.key == PARAMETERS)?;
                tables.local = local.into_values().next();
            }
            _ => {
                for (name, value) in table {
                    let place = name.span().start;
                    let name = name.get_ref().as_ref();
                    let shown = format!("{ENVIRONMENTS}.{name}");
                    let DeValue::Table(table) = value.get_ref() else {
                        return Err(text.at(place, format!("{shown} must be a table: [{shown}]")));
                    };
                    let is_name = |c: char| c.is_ascii_alphanumeric() || c == '-';
                    if name.is_empty() || !name.chars().all(is_name) {
                        let what = format!("\"{name}\" cannot name an environment: letters, digits and hyphens");
                        return Err(text.at(place, what));
                    }
                    tables.environments.insert(name.to_owned(), read(&text, &shown, table)?);
                }
            }
        }
    }
    Ok(tables)
}

fn read(text: &Text<'_>, name: &str, table: &DeTable<'_>) -> Result<Values, Mistake> {
    read_keys(text, name, table, &|_| true)
}

/// The settings of a table, which may be these.
fn read_keys(
    text: &Text<'_>,
    name: &str,
    table: &DeTable<'_>,
    may_be: &dyn Fn(&Setting) -> bool,
) -> Result<Values, Mistake> {
    let mut values = Values::new();
    for (key, value) in table {
        let place = key.span().start;
        let key = key.get_ref().as_ref();
        let mut known = SETTINGS.iter().filter(|setting| may_be(setting));
        let Some(setting) = known.clone().find(|setting| setting.key == key) else {
            let known: Vec<&str> = known.by_ref().map(|setting| setting.key).collect();
            return Err(unknown(text.at(place, format!("unknown key \"{key}\" in [{name}]")), key, &known));
        };
        let value = read_value(setting, value.get_ref()).map_err(|what| text.at(place, what))?;
        values.insert(setting.key, Found { value, line: text.line(place), table: name.to_owned() });
    }
    Ok(values)
}

fn read_value(setting: &Setting, value: &DeValue<'_>) -> Result<Value, String> {
    let key = setting.key;
    let some_text = |value: &DeValue<'_>| match value {
        DeValue::String(text) if !text.is_empty() => Some(text.to_string()),
        _ => None,
    };
    match setting.form {
        Form::Text | Form::Path => {
            some_text(value).map(Value::Text).ok_or_else(|| format!("{key} must be a text in quotes"))
        }
        Form::Switch => match value {
            DeValue::Boolean(value) => Ok(Value::Switch(*value)),
            _ => Err(format!("{key} must be true or false")),
        },
        Form::Paths => match value {
            DeValue::Array(items) => items.iter().map(|item| some_text(item.get_ref())).collect::<Option<_>>(),
            value => some_text(value).map(|text| vec![text]),
        }
        .map(Value::List)
        .ok_or_else(|| format!("{key} must be a list of texts: [\"a.json\"]")),
        Form::Table => {
            let DeValue::Table(entries) = value else {
                return Err(format!("{key} must be a table: {key} = {{ NAME = \"value\" }}"));
            };
            let entries = entries.iter().map(|(name, value)| {
                let name = name.get_ref().to_string();
                let value = scalar(value.get_ref()).ok_or_else(|| {
                    format!("{key}: {name} must be a text in quotes, a whole number, true or false, or a list of them")
                })?;
                Ok((name, value))
            });
            Ok(Value::Table(entries.collect::<Result<_, String>>()?))
        }
    }
}

/// A value as a parameter has it. A number with a fraction may not keep its digits.
fn scalar(value: &DeValue<'_>) -> Option<String> {
    match value {
        DeValue::String(text) => Some(text.to_string()),
        DeValue::Boolean(value) => Some(value.to_string()),
        DeValue::Integer(number) => i64::from_str_radix(number.as_str(), number.radix()).ok().map(|it| it.to_string()),
        DeValue::Array(items) => {
            let items: Option<Vec<String>> = items.iter().map(|item| scalar(item.get_ref())).collect();
            Some(items?.join(","))
        }
        _ => None,
    }
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
            ("[local]\nhoist = \"x\"\n", "wschat.toml:2: unknown key \"hoist\" in [local]\n  known: parameters"),
            ("stack = \"a\"\n", "wschat.toml:1: \"stack\" is outside of a table\n  put it below [default]"),
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
                .remember("a", None)
                .unwrap()
                .unwrap()
                .ends_with("now has stack = \"a\": all commands in this folder use it. Commit the file.")
        );
        assert_eq!(read().stack(), Some("a"));
        assert_eq!(read().remember("a", None), Ok(None));
        assert_eq!(read().remember("b", Some("r")), Ok(None), "it is about another stack");
        assert!(read().remember("a", Some("r")).unwrap().is_some());
        assert_eq!((read().stack(), read().text("region")), (Some("a"), Some("r")));
        assert_eq!(read().remember("a", Some("s")), Ok(None));
    }

    #[test]
    fn a_file_is_in_the_templates_folder_or_above_templates() {
        let folder = tempfile::tempdir().unwrap();
        let templates = folder.path().join(TEMPLATES);
        fs::create_dir(&templates).unwrap();
        let template = templates.join("chat.yaml");
        assert_eq!(Config::read(Some(&template), None).unwrap().path(), folder.path().join(FILE));
        fs::write(folder.path().join(FILE), "[default]\nstack = \"above\"\n").unwrap();
        assert_eq!(Config::read(Some(&template), None).unwrap().stack(), Some("above"));
        fs::write(templates.join(FILE), "[default]\nstack = \"beside\"\n").unwrap();
        assert_eq!(Config::read(Some(&template), None).unwrap().stack(), Some("beside"));
        assert_eq!(folders(Some(Path::new("templates/chat.yaml"))), ["templates", ""].map(PathBuf::from));
        assert_eq!(folders(Some(Path::new("app.yaml"))), [PathBuf::new()]);
    }

    #[test]
    fn an_environment_stands_before_the_default_and_has_a_stack_of_its_own() {
        let text = "[default]\nstack = \"chat\"\nconfirm = true\n[default.parameters]\nA = \"1\"\nB = [1, 2]\n\
                    [env.dev]\nconfirm = false\n[env.dev.parameters]\nA = 2\n[env.own]\nstack = \"mine\"\n\
                    [local.parameters]\nA = \"l\"\n";
        let config = |environment: Option<&str>| {
            let folder = tempfile::tempdir().unwrap();
            let path = folder.path().join(FILE);
            fs::write(&path, text).unwrap();
            Config::open(path, environment).unwrap()
        };
        let parameters = |environment, is_local| {
            let found = config(environment).parameters(is_local);
            found.iter().map(|(name, value)| format!("{name}={value}")).collect::<Vec<_>>().join(" ")
        };
        assert_eq!((config(None).stack(), config(None).switch("confirm")), (Some("chat"), true));
        assert_eq!((config(Some("dev")).stack(), config(Some("dev")).switch("confirm")), (Some("chat-dev"), false));
        assert_eq!(config(Some("own")).stack(), Some("mine"));
        assert_eq!(parameters(None, false), "A=1 B=1,2");
        assert_eq!(parameters(None, true), "A=l B=1,2");
        assert_eq!(parameters(Some("dev"), true), "A=2 B=1,2");
    }
}
