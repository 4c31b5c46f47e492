//! The values of a template's parameters, from all sources: a value on the command line is visible to every user who
//! can list processes, one in a file or in the environment is not.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use serde_json::Value;

use super::command::Command;
use super::config::settings::PARAMETERS_OPTION;
use super::error::CommandError;

/// The prefix of environment variables that give parameters.
const VARIABLE_PREFIX: &str = "WSCHAT_PARAMETER_";

/// The longest file that is read: a parameter has 4096 characters at most
/// (<https://docs.aws.amazon.com/AWSCloudFormation/latest/UserGuide/cloudformation-limits.html>), a template 200 of
/// them.
const MAX_FILE_SIZE: u64 = 4 << 20;

/// The parameters given on the command line.
#[derive(Debug, Clone, clap::Args)]
#[group(skip)]
pub struct Args {
    /// The value of a parameter of the template, or @FILE to read it from a file (@@ for a value that begins with @); may
    /// be given several times
    #[arg(long = "parameter", value_name = "NAME=VALUE", value_parser = name_and_value)]
    parameters: Vec<(String, String)>,
    /// A JSON file with values of parameters: {"NAME": "VALUE"}, or a list as CloudFormation takes it; may be given several
    /// times, and the last one counts
    ///
    /// A value can also come from the environment variable WSCHAT_PARAMETER_NAME or from wschat.toml. If a parameter has several
    /// values, --parameter wins, then --parameter-file, then the environment variable, then wschat.toml.
    #[arg(long = "parameter-file", value_name = "FILE")]
    files: Vec<PathBuf>,
    /// Use the template's default of this parameter again, and forget the value that wschat.toml has; may be given several
    /// times
    #[arg(long = "parameter-default", value_name = "NAME")]
    defaults: Vec<String>,
    /// The project's file's.
    #[arg(id = PARAMETERS_OPTION, long = PARAMETERS_OPTION, hide = true, value_parser = name_and_value)]
    of_project: Vec<(String, String)>,
}

/// A value of a parameter.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Given {
    pub value: String,
    pub from: Source,
}

/// Where a value comes from, the weakest first.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Source {
    /// wschat.toml.
    Project,
    Variable,
    /// A parameter file.
    File(PathBuf),
    Option,
}

fn name_and_value(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((name, value)) if !name.is_empty() => Ok((name.to_owned(), value.to_owned())),
        _ => Err("it must be NAME=VALUE, or NAME=@FILE".to_owned()),
    }
}

impl Args {
    /// Whether the command line gives none.
    pub fn is_empty(&self) -> bool {
        self.parameters.is_empty() && self.files.is_empty() && self.defaults.is_empty()
    }

    /// The files that values are read from.
    pub fn paths(&self) -> Vec<PathBuf> {
        let named = self.parameters.iter().filter_map(|(_, value)| value.strip_prefix('@'));
        let named = named.filter(|path| !path.starts_with('@')).map(PathBuf::from);
        self.files.iter().cloned().chain(named).collect()
    }

    /// Adds the command line's parameters to `command`. A value is only included if its parameter `may_be_shown`; the
    /// user fills in the others.
    pub fn add_to(&self, command: &mut Command, may_be_shown: impl Fn(&str) -> bool) {
        // What the project's file has, the command will find there.
        let Self { parameters, files, defaults, of_project: _ } = self;
        for name in defaults {
            command.option("--parameter-default", Some(name));
        }
        for file in files {
            command.option("--parameter-file", Some(file));
        }
        for (name, value) in parameters {
            let is_file = value.starts_with('@') && !value.starts_with("@@");
            let value = if is_file || may_be_shown(name) { value } else { &format!("<value of {name}>") };
            command.option("--parameter", Some(format!("{name}={value}")));
        }
    }

    /// All values, by the parameters' names.
    ///
    /// # Errors
    /// A file that cannot be read, or is invalid.
    pub fn read(&self) -> Result<BTreeMap<String, String>, CommandError> {
        Ok(self.sources()?.into_iter().map(|(name, given)| (name, given.value)).collect())
    }

    /// Takes these values, too, as if they had been typed.
    pub fn add(&mut self, values: BTreeMap<String, String>) {
        let typed = |value: String| if value.starts_with('@') { format!("@{value}") } else { value };
        self.parameters.extend(values.into_iter().map(|(name, value)| (name, typed(value))));
    }

    /// The parameters that are to have their defaults again.
    pub fn defaults(&self) -> BTreeSet<String> {
        self.defaults.iter().cloned().collect()
    }

    /// The same with where each value comes from.
    ///
    /// # Errors
    /// A file that cannot be read, or is invalid.
    pub fn sources(&self) -> Result<BTreeMap<String, Given>, CommandError> {
        if let Some((name, _)) = self.parameters.iter().find(|(name, _)| self.defaults.contains(name)) {
            let what =
                format!("parameter {name} is given a value by --parameter and its default by --parameter-default");
            return Err(CommandError::new(what).advice("leave one of the two out"));
        }
        let of_project = self.of_project.iter().filter(|(name, _)| !self.defaults.contains(name));
        let mut values: BTreeMap<String, Given> = of_project
            .map(|(name, value)| (name.clone(), Given { value: value.clone(), from: Source::Project }))
            .collect();
        let from = |values: BTreeMap<String, String>, from: Source| {
            values.into_iter().map(move |(name, value)| (name, Given { value, from: from.clone() }))
        };
        values.extend(from(environment()?, Source::Variable));
        for path in &self.files {
            values.extend(from(of_file(path)?, Source::File(path.clone())));
        }
        for (name, value) in &self.parameters {
            let value = match value.strip_prefix('@') {
                None => value.clone(),
                Some(at) if at.starts_with('@') => at.to_owned(),
                Some(path) => of_one_file(name, Path::new(path))?,
            };
            values.insert(name.clone(), Given { value, from: Source::Option });
        }
        Ok(values)
    }
}

/// The values in the environment. Only the template knows which names are parameters: an unknown one is an error, as it
/// would be on the command line.
#[expect(
    clippy::disallowed_methods,
    reason = "clap reads variables whose names it knows, and these are the template's"
)]
fn environment() -> Result<BTreeMap<String, String>, CommandError> {
    let mut values = BTreeMap::new();
    for (variable, value) in std::env::vars_os() {
        let Some(name) = variable.to_str().and_then(|variable| variable.strip_prefix(VARIABLE_PREFIX)) else {
            continue;
        };
        let Some(value) = value.to_str() else {
            return Err(format!("the environment variable {VARIABLE_PREFIX}{name} is not UTF-8").into());
        };
        values.insert(name.to_owned(), value.to_owned());
    }
    Ok(values)
}

/// The value in a file of its own, without the final line break.
fn of_one_file(name: &str, path: &Path) -> Result<String, CommandError> {
    let text = text(path).map_err(|error| {
        let what = format!("cannot read the value of the parameter {name} from {}: {error}", path.display());
        CommandError::new(what).advice("a value that begins with @ is written @@")
    })?;
    let value = text.strip_suffix('\n').map_or(text.as_str(), |text| text.strip_suffix('\r').unwrap_or(text));
    Ok(value.to_owned())
}

fn text(path: &Path) -> io::Result<String> {
    let mut text = String::new();
    let read = File::open(path)?.take(MAX_FILE_SIZE + 1).read_to_string(&mut text)?;
    if read as u64 > MAX_FILE_SIZE {
        return Err(io::Error::other(format!("it is longer than {} MB", MAX_FILE_SIZE >> 20)));
    }
    Ok(text)
}

/// The values in a parameter file.
fn of_file(path: &Path) -> Result<BTreeMap<String, String>, CommandError> {
    let file = path.display();
    let text = text(path).map_err(|error| format!("cannot read the parameter file {file}: {error}"))?;
    let value: Value = serde_json::from_str(&text).map_err(|error| {
        // serde_json's message may quote what it read.
        format!("the parameter file {file} is not JSON: line {}, column {}", error.line(), error.column())
    })?;
    read(&value).map_err(|why| format!("the parameter file {file} cannot be used: {why}").into())
}

/// Reads `{"A": "b"}`, `[{"ParameterKey": "A", "ParameterValue": "b"}]` or `{"Parameters": {"A": "b"}}`. Errors never
/// quote a value.
fn read(value: &Value) -> Result<BTreeMap<String, String>, String> {
    match value {
        // The form of AWS CodePipeline's template configuration files.
        Value::Object(entries) if matches!(entries.get("Parameters"), Some(Value::Object(_))) => {
            read(&entries["Parameters"])
        }
        Value::Object(entries) => {
            entries.iter().map(|(name, value)| Ok((name.clone(), scalar(name, value)?))).collect()
        }
        Value::Array(items) => items.iter().enumerate().map(|(index, item)| of_item(index, item)).collect(),
        _ => Err("it must be an object, or a list of objects with ParameterKey and ParameterValue".to_owned()),
    }
}

fn of_item(index: usize, item: &Value) -> Result<(String, String), String> {
    let Some(name) = item["ParameterKey"].as_str() else {
        return Err(format!("entry {} of the list has no ParameterKey", index + 1));
    };
    match item.get("ParameterValue") {
        Some(value) => Ok((name.to_owned(), scalar(name, value)?)),
        None if item["UsePreviousValue"] == true => {
            Err(format!("UsePreviousValue of {name} needs a stack of CloudFormation's; give the value"))
        }
        None => Err(format!("{name} has no ParameterValue")),
    }
}

fn scalar(name: &str, value: &Value) -> Result<String, String> {
    match value {
        Value::String(text) => Ok(text.clone()),
        Value::Bool(_) => Ok(value.to_string()),
        Value::Number(number) if !number.is_f64() => Ok(value.to_string()),
        // 1.10 would become 1.1.
        Value::Number(_) => Err(format!("quote the value of {name}: a number with a fraction may not keep its digits")),
        Value::Array(items) => {
            let items: Result<Vec<String>, String> = items.iter().map(|item| scalar(name, item)).collect();
            Ok(items?.join(","))
        }
        Value::Null | Value::Object(_) => Err(format!("the value of {name} must be a string")),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn parameter_files_are_read_in_every_form() {
        let expected: BTreeMap<String, String> =
            [("A", "b"), ("N", "3"), ("T", "true"), ("L", "x,y")].map(|(a, b)| (a.to_owned(), b.to_owned())).into();
        let flat = json!({"A": "b", "N": 3, "T": true, "L": ["x", "y"]});
        let list: Vec<Value> = flat
            .as_object()
            .into_iter()
            .flatten()
            .map(|(name, value)| json!({"ParameterKey": name, "ParameterValue": value}))
            .collect();
        for form in [flat.clone(), json!({"Parameters": flat, "Tags": {"x": "y"}}), Value::from(list)] {
            assert_eq!(read(&form).unwrap(), expected, "{form}");
        }
    }

    #[test]
    fn invalid_parameter_files_are_refused_without_quoting_a_value() {
        for (form, expected) in [
            (json!("s3cret"), "it must be an object, or a list of objects with ParameterKey and ParameterValue"),
            (json!({"A": null}), "the value of A must be a string"),
            (json!({"A": {"s3cret": 1}}), "the value of A must be a string"),
            (json!({"A": 1.10}), "quote the value of A: a number with a fraction may not keep its digits"),
            (json!(["A=s3cret"]), "entry 1 of the list has no ParameterKey"),
            (json!([{"ParameterKey": "A"}]), "A has no ParameterValue"),
            (
                json!([{"ParameterKey": "A", "UsePreviousValue": true}]),
                "UsePreviousValue of A needs a stack of CloudFormation's; give the value",
            ),
        ] {
            assert_eq!(read(&form).unwrap_err(), expected, "{form}");
        }
    }
}
