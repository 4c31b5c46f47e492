//! The project's file, `wschat.toml`: what its commands are about, for everybody who works on it.
//!
//! `[default]` holds for every run, `[env.NAME]` for those with `--env NAME`, and `[local.parameters]` for those with
//! `--local`. Which keys there are, and what takes precedence over the file: `settings`. Where there is no wschat.toml,
//! SAM's samconfig.toml is read (`sam`). What runs write into it: `write`.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use toml::de::{DeTable, DeValue};

use super::error::CommandError;
use crate::core::words::nearest;
use settings::{Form, OF_LOCAL_CLOUD, SETTINGS, Setting};

pub mod sam;
pub mod settings;
pub mod show;
mod write;

/// The file's name.
pub const FILE: &str = "wschat.toml";

/// The table that holds for every run.
const DEFAULT: &str = "default";

/// The table of environments.
const ENVIRONMENTS: &str = "env";

/// The table for runs with `--local`.
const LOCAL: &str = "local";

/// The key of parameters; in `LOCAL` that of those with `--local`.
const PARAMETERS: &str = "parameters";

/// The usual folder for templates: the file is in the folder above it.
const TEMPLATES: &str = "templates";

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
    /// What `[local]` says: the parameters of runs with `--local`, and the settings of the local cloud itself.
    local: Values,
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
        config.values.extend(tables.local);
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

    /// The parameters that the file gives: those of `[local.parameters]` with `--local`, after an environment's and before all
    /// others.
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
}

/// The folders that may contain the file: the template's, and if that is `templates`, the one above. A new file goes
/// into the last one.
fn folders(template: Option<&Path>) -> Vec<PathBuf> {
    let here = || PathBuf::from(".");
    let Some(template) = template else { return vec![PathBuf::from(TEMPLATES), PathBuf::new()] };
    let mut folder =
        template.parent().filter(|folder| !folder.as_os_str().is_empty()).map_or_else(here, Path::to_owned);
    let mut real = folder.canonicalize().unwrap_or_else(|_| folder.clone());
    // What a tool writes, it also deletes.
    while is_output(&real) {
        folder = if folder == here() || folder.ends_with("..") { folder.join("..") } else { above(&folder) };
        real = folder.canonicalize().unwrap_or_else(|_| folder.clone());
    }
    let folder = if folder == here() { PathBuf::new() } else { folder };
    if !real.ends_with(TEMPLATES) {
        return vec![folder];
    }
    let above = if folder.ends_with(TEMPLATES) { folder.parent().map(Path::to_owned) } else { None };
    let above = above.unwrap_or_else(|| folder.join(".."));
    vec![folder, above]
}

/// The folder above one with a name.
fn above(folder: &Path) -> PathBuf {
    match folder.parent() {
        Some(above) if !above.as_os_str().is_empty() => above.to_owned(),
        _ => PathBuf::from("."),
    }
}

/// Whether a folder is what another tool writes its templates to: the CDK (an app, or one within it) or the Serverless Framework.
fn is_output(folder: &Path) -> bool {
    let name = folder.file_name().unwrap_or_default().to_string_lossy();
    ["cdk.out", ".serverless"].contains(&&*name)
        || name.starts_with("assembly-") && folder.parent().is_some_and(is_output)
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
                let local = read_keys(&text, LOCAL, table, &|setting| match setting.key {
                    PARAMETERS => Some(PARAMETERS),
                    key => key.strip_prefix(OF_LOCAL_CLOUD),
                })?;
                let full = |key| if key == PARAMETERS { settings::LOCAL_PARAMETERS } else { key };
                tables.local = local.into_iter().map(|(key, found)| (full(key), found)).collect();
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
    read_keys(text, name, table, &|setting| (!setting.key.starts_with(OF_LOCAL_CLOUD)).then_some(setting.key))
}

/// The settings of a table: those that have a key there, which `key_of` gives.
fn read_keys(
    text: &Text<'_>,
    name: &str,
    table: &DeTable<'_>,
    key_of: &dyn Fn(&Setting) -> Option<&'static str>,
) -> Result<Values, Mistake> {
    let mut values = Values::new();
    for (key, value) in table {
        let place = key.span().start;
        let key = key.get_ref().as_ref();
        let known = SETTINGS.iter().filter_map(|setting| Some((key_of(setting)?, setting)));
        let Some((_, setting)) = known.clone().find(|(known, _)| *known == key) else {
            let known: Vec<&str> = known.map(|(key, _)| key).collect();
            return Err(unknown(text.at(place, format!("unknown key \"{key}\" in [{name}]")), key, &known));
        };
        let value = read_value(setting, key, value.get_ref()).map_err(|what| text.at(place, what))?;
        values.insert(setting.key, Found { value, line: text.line(place), table: name.to_owned() });
    }
    Ok(values)
}

/// The value of a setting that has this key in its table.
fn read_value(setting: &Setting, key: &str, value: &DeValue<'_>) -> Result<Value, String> {
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
        Form::Paths | Form::Texts => match value {
            DeValue::Array(items) => items.iter().map(|item| some_text(item.get_ref())).collect::<Option<_>>(),
            value => some_text(value).map(|text| vec![text]),
        }
        .map(Value::List)
        .ok_or_else(|| format!("{key} must be a list of texts: [\"a\", \"b\"]")),
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
            ("[local]\nhoist = \"x\"\n", "wschat.toml:2: unknown key \"hoist\" in [local]\n  did you mean \"host\"?"),
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
