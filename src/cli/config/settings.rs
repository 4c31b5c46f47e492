//! The settings: every option that a project's file or the environment can give, in one table; and the command line with
//! what they say filled in.
//!
//! Precedence: the option, its environment variable, `[env.NAME]` of the file, `[default]` of the file, the built-in default. The
//! file's values are given to clap as defaults, so that they are checked as if they had been typed.

use std::ffi::OsString;
use std::path::PathBuf;

use clap::builder::FalseyValueParser;
use clap::error::{ContextKind, ContextValue};
use clap::parser::ValueSource;
use clap::{Arg, ArgAction, ArgMatches, Command};

use super::{Config, Found, Value};
use crate::cli::error::CommandError;
use crate::cli::exit::Exit;

/// One setting.
#[derive(Debug)]
pub struct Setting {
    /// Its key in the file.
    pub key: &'static str,
    /// The option, without `--`.
    pub option: &'static str,
    pub variables: Variables,
    pub form: Form,
    /// The built-in default, for people.
    pub default: &'static str,
}

/// The environment variables that take precedence over the file.
#[derive(Debug)]
pub enum Variables {
    /// wschat's own, which clap reads.
    Own(&'static str),
    /// Those that AWS's SDKs and tools read, too. The local cloud does not look at them.
    Aws(&'static [&'static str]),
    /// Variables with this prefix, one for each entry of a table.
    Each(&'static str),
}

/// What a setting's value is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Form {
    Text,
    /// A path; in the file relative to that.
    Path,
    /// Several paths; in the file relative to that.
    Paths,
    /// Several texts; in a variable with commas between them.
    Texts,
    Switch,
    /// Values by name; those of several sources are put together.
    Table,
}

/// The key under which `[local.parameters]` is kept.
pub const LOCAL_PARAMETERS: &str = "local.parameters";

/// The settings of the local cloud itself stand in `[local]`; so their keys begin.
pub const OF_LOCAL_CLOUD: &str = "local.";

/// Every setting, in the order of docs/configuration.md.
pub const SETTINGS: &[Setting] = &[
    setting("stack", "stack", Variables::Own("WSCHAT_STACK"), Form::Text, "the folder's name"),
    setting(
        "region",
        "region",
        Variables::Aws(&["AWS_REGION", "AWS_DEFAULT_REGION"]),
        Form::Text,
        "the profile's; `us-east-1` with `--local`",
    ),
    setting("profile", "profile", Variables::Aws(&["AWS_PROFILE", "AWS_ACCESS_KEY_ID"]), Form::Text, "`default`"),
    setting("endpoint_url", "endpoint-url", Variables::Aws(&["AWS_ENDPOINT_URL"]), Form::Text, "AWS's"),
    setting("local", "local", Variables::Own("WSCHAT_LOCAL"), Form::Switch, "false"),
    setting("data", "data", Variables::Own("WSCHAT_LOCAL_DIR"), Form::Path, "`.wschat/local`"),
    setting("local.host", "host", Variables::Own("WSCHAT_LOCAL_HOST"), Form::Text, "loopback alone"),
    setting("local.origins", "origin", Variables::Own("WSCHAT_LOCAL_ORIGINS"), Form::Texts, "none"),
    setting("template", "template", Variables::Own("WSCHAT_TEMPLATE"), Form::Path, "the one that is found"),
    setting("app", "app", Variables::Own("WSCHAT_APP"), Form::Text, "none"),
    setting("parameters", "parameter", Variables::Each("WSCHAT_PARAMETER_"), Form::Table, "the template's"),
    setting("parameter_files", "parameter-file", Variables::Own("WSCHAT_PARAMS_FILE"), Form::Paths, "none"),
    setting("tags", "tag", Variables::Own("WSCHAT_TAGS"), Form::Table, "none"),
    setting("confirm", "confirm", Variables::Own("WSCHAT_CONFIRM"), Form::Switch, "false"),
    setting("build_with", "build-with", Variables::Own("WSCHAT_BUILD_WITH"), Form::Text, "`auto`"),
    setting("ignore_scripts", "ignore-scripts", Variables::Own("WSCHAT_IGNORE_SCRIPTS"), Form::Switch, "false"),
    setting("keep_on_failure", "keep-on-failure", Variables::Own("WSCHAT_KEEP_ON_FAILURE"), Form::Switch, "false"),
    setting("no_drain", "no-drain", Variables::Own("WSCHAT_NO_DRAIN"), Form::Switch, "false"),
    setting("no_interruption", "no-interruption", Variables::Own("WSCHAT_NO_INTERRUPTION"), Form::Switch, "false"),
];

const fn setting(
    key: &'static str,
    option: &'static str,
    variables: Variables,
    form: Form,
    default: &'static str,
) -> Setting {
    Setting { key, option, variables, form, default }
}

/// Options that are filled in and never typed: how the file's path and tables come to the arguments.
pub const FILE_OPTION: &str = "[file]";
pub const PARAMETERS_OPTION: &str = "[parameters]";
pub const TAGS_OPTION: &str = "[tags]";

/// A command line that was read.
#[derive(Debug)]
pub struct Line {
    pub matches: ArgMatches,
    /// Every setting of the command, with its value and where that comes from.
    pub effective: Vec<Effective>,
    /// What of SAM's file is not used, and why.
    pub ignored: Option<String>,
}

/// The value of a setting in a run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Effective {
    pub key: &'static str,
    /// `None` for the built-in default, unless that is a fixed value.
    pub value: Option<String>,
    /// `--region`, `WSCHAT_STACK`, `wschat.toml [env.prod]`, `default: auto`.
    pub from: String,
}

/// Why a command line could not be read.
#[derive(Debug)]
pub enum NoLine {
    /// As clap says; help and the version are among them.
    Clap(clap::Error),
    /// The project's file is wrong.
    File(CommandError),
}

/// Reads a command line, the environment, and the project's file if the command has settings. `find` finds a template where none
/// was named.
///
/// # Errors
/// What is wrong with any of them.
pub fn line(command: &Command, typed: &[OsString], find: impl Fn() -> Option<PathBuf>) -> Result<Line, NoLine> {
    let mut first = with_variables(command.clone());
    let matches = first.try_get_matches_from_mut(typed).map_err(NoLine::Clap)?;
    let (verb, innermost) = innermost(&first, &matches);
    if !verb.get_arguments().any(|arg| of(arg).is_some()) {
        return Ok(Line { matches, effective: Vec::new(), ignored: None });
    }
    let given = |option: &str| {
        let arg = verb.get_arguments().find(|arg| arg.get_long() == Some(option))?;
        is_given(innermost, arg.get_id().as_str()).then(|| arg.get_id().as_str())
    };
    let text = |option: &str| Some(innermost.get_one::<String>(given(option)?)?.clone());
    let template = given("template").and_then(|id| innermost.get_one::<PathBuf>(id).cloned()).or_else(find);
    let config = Config::read(template.as_deref(), text("env").as_deref()).map_err(NoLine::File)?;
    let environment = text("env").filter(|name| !name.is_empty());
    // `dev` is local unless it is told otherwise; an environment is where `up` deploys it.
    let prefers_local = config.switch("local") || (verb.get_name() == "dev" && environment.is_none());
    let is_elsewhere = given("endpoint-url").is_some() || given("aws").is_some();
    let is_local = given("local").is_some_and(|id| innermost.get_flag(id))
        || (prefers_local && given("local").is_none() && !is_elsewhere && !is_off("WSCHAT_LOCAL"));
    let has_place = verb.get_arguments().any(|arg| arg.get_long() == Some("local"));
    let sees_aws = has_place && !is_local;
    let chosen = Chosen { config: &config, is_local, sees_aws, typed_local: given("local").is_some() };
    let mut second = chosen.fill(with_variables(command.clone()));
    let matches = second.try_get_matches_from_mut(typed).map_err(|error| NoLine::File(chosen.blame(&error)))?;
    let effective = chosen.effective(&second, &matches);
    Ok(Line { effective, matches, ignored: config.ignored().map(str::to_owned) })
}

/// The setting that an argument gives.
fn of(arg: &Arg) -> Option<&'static Setting> {
    SETTINGS.iter().find(|setting| arg.get_long() == Some(setting.option))
}

/// The variable for an entry of a table; `None` where all entries have one.
pub fn variable_of(key: &str, entry: &str) -> Option<String> {
    match SETTINGS.iter().find(|setting| setting.key == key)?.variables {
        Variables::Each(prefix) => Some(format!("{prefix}{entry}")),
        Variables::Own(_) | Variables::Aws(_) => None,
    }
}

/// Whether an argument was typed, or its variable is set.
fn is_given(matches: &ArgMatches, id: &str) -> bool {
    matches.value_source(id).is_some_and(|source| source != ValueSource::DefaultValue)
}

/// The command with the variables of all settings.
pub fn with_variables(command: Command) -> Command {
    each_argument(command, &|arg| match of(&arg).map(|setting| (&setting.variables, setting.form)) {
        // It is as if it was not typed, and so it does not stand against `--endpoint-url`.
        Some((Variables::Own(name), Form::Switch)) if is_off(name) => arg,
        Some((Variables::Own(name), Form::Switch)) => {
            arg.env(name).hide_env_values(true).value_parser(FalseyValueParser::new())
        }
        // No tag and no origin has a comma.
        Some((Variables::Own(name), Form::Table | Form::Texts)) => {
            arg.env(name).hide_env_values(true).value_delimiter(',')
        }
        Some((Variables::Own(name), _)) => arg.env(name).hide_env_values(true),
        _ => arg,
    })
}

/// Changes every argument of a command and of those below it.
fn each_argument(command: Command, change: &dyn Fn(Arg) -> Arg) -> Command {
    command.mut_args(change).mut_subcommands(|verb| each_argument(verb, change))
}

/// The command that was chosen, however deep, and what was given to it.
fn innermost<'a>(command: &'a Command, matches: &'a ArgMatches) -> (&'a Command, &'a ArgMatches) {
    match matches.subcommand() {
        Some((name, below)) => match command.find_subcommand(name) {
            Some(command) => innermost(command, below),
            None => (command, matches),
        },
        None => (command, matches),
    }
}

/// A file that was chosen, and where the run is.
struct Chosen<'a> {
    config: &'a Config,
    is_local: bool,
    /// Whether AWS's own environment variables count.
    sees_aws: bool,
    /// Whether the option or variable says whether it is local.
    typed_local: bool,
}

impl Chosen<'_> {
    /// The file's value of a setting, where it counts.
    fn found(&self, setting: &Setting) -> Option<&Found> {
        let found = self.config.found(setting.key)?;
        match setting.variables {
            // What the SDK reads from the environment counts before the file.
            Variables::Aws(names) if self.sees_aws && names.iter().any(|name| is_set(name)) => None,
            Variables::Own(name) if setting.form == Form::Switch && is_off(name) => None,
            _ if setting.key == "endpoint_url" && self.is_local => None,
            _ if setting.key == "local" && (!self.is_local || self.typed_local) => None,
            _ => Some(found),
        }
    }

    /// The command with the file's values as defaults.
    fn fill(&self, command: Command) -> Command {
        each_argument(command, &|arg| self.fill_in(arg))
    }

    fn fill_in(&self, arg: Arg) -> Arg {
        let pairs = |table: std::collections::BTreeMap<String, String>| {
            table.into_iter().map(|(name, value)| kept(format!("{name}={value}"))).collect::<Vec<_>>()
        };
        match arg.get_long() {
            Some(FILE_OPTION) => return arg.default_value(kept(self.config.path().display().to_string())),
            Some(PARAMETERS_OPTION) => return arg.default_values(pairs(self.config.parameters(self.is_local))),
            Some(TAGS_OPTION) => return arg.default_values(pairs(self.config.table("tags"))),
            _ => {}
        }
        let Some(setting) = of(&arg) else { return arg };
        if setting.key == "local" && self.is_local && !self.typed_local {
            return arg.default_value("true");
        }
        let Some(found) = self.found(setting) else { return arg };
        let path = |text: &str| kept(self.config.path_of(text).display().to_string());
        match &found.value {
            Value::Text(text) if setting.form == Form::Path => arg.default_value(path(text)),
            Value::Text(text) => arg.default_value(kept(text.clone())),
            Value::Switch(value) if matches!(arg.get_action(), ArgAction::SetTrue) => {
                arg.default_value(if *value { "true" } else { "false" })
            }
            Value::List(texts) if setting.form == Form::Texts => {
                arg.default_values(texts.iter().map(|text| kept(text.clone())).collect::<Vec<_>>())
            }
            Value::List(paths) => arg.default_values(paths.iter().map(|text| path(text)).collect::<Vec<_>>()),
            Value::Switch(_) | Value::Table(_) => arg,
        }
    }

    /// An error about a value that the file gave.
    fn blame(&self, error: &clap::Error) -> CommandError {
        let context = |kind| match error.get(kind) {
            Some(ContextValue::String(text)) => Some(text.as_str()),
            _ => None,
        };
        let argument = context(ContextKind::InvalidArg).unwrap_or_default();
        let option = argument.trim_start_matches("--").split([' ', '=']).next().unwrap_or_default();
        let is_meant = |setting: &&Setting| match option {
            PARAMETERS_OPTION => setting.key == super::PARAMETERS,
            TAGS_OPTION => setting.key == "tags",
            option => option.split('[').next() == Some(setting.option),
        };
        let setting = SETTINGS.iter().find(is_meant);
        let Some((setting, found)) = setting.and_then(|setting| Some((setting, self.found(setting)?))) else {
            return CommandError::new(error.to_string().trim_start_matches("error: ").trim()).exits(Exit::Usage);
        };
        let value = context(ContextKind::InvalidValue).unwrap_or_default();
        let what = format!("{}:{}: {} cannot be \"{value}\"", self.config.path().display(), found.line, setting.key);
        let reason = std::error::Error::source(error).map(ToString::to_string);
        let valid = match error.get(ContextKind::ValidValue) {
            Some(ContextValue::Strings(values)) => Some(format!("it is one of: {}", values.join(", "))),
            _ => None,
        };
        CommandError::new(what).advice_lines(reason.or(valid).as_deref())
    }

    /// Every setting of the chosen command.
    fn effective(&self, command: &Command, matches: &ArgMatches) -> Vec<Effective> {
        let (verb, matches) = innermost(command, matches);
        let of_verb = SETTINGS.iter().filter_map(|setting| {
            Some((setting, verb.get_arguments().find(|arg| arg.get_long() == Some(setting.option))?))
        });
        of_verb.map(|(setting, arg)| self.one(setting, arg.get_id().as_str(), matches)).collect()
    }

    fn one(&self, setting: &'static Setting, id: &str, matches: &ArgMatches) -> Effective {
        let typed = matches.value_source(id) == Some(ValueSource::CommandLine);
        let of_file = self.found(setting);
        let (own, aws): (Option<&str>, &[&str]) = match setting.variables {
            Variables::Own(name) => (Some(name), &[]),
            Variables::Aws(names) if self.sees_aws => (None, names),
            Variables::Aws(_) | Variables::Each(_) => (None, &[]),
        };
        let raw = || -> Option<String> {
            let values = matches.get_raw(id)?.map(|value| value.to_string_lossy().into_owned());
            Some(values.collect::<Vec<_>>().join(", "))
        };
        let value = match setting.form {
            Form::Switch => Some(matches.get_flag(id).to_string()),
            // Entries have origins of their own.
            Form::Table => None,
            _ => raw(),
        };
        let set = aws.iter().find(|name| is_set(name));
        let from = match (matches.value_source(id), of_file) {
            (Some(ValueSource::CommandLine), _) if typed => format!("--{}", setting.option),
            (Some(ValueSource::EnvVariable), _) => own.unwrap_or_default().to_owned(),
            _ if setting.form == Form::Switch && own.is_some_and(is_off) => own.unwrap_or_default().to_owned(),
            _ if set.is_some() => set.map(|name| (*name).to_owned()).unwrap_or_default(),
            (_, Some(found)) => format!("{} [{}]", self.config.path().display(), found.table),
            _ => format!("default: {}", setting.default.replace('`', "")),
        };
        let value = match set.filter(|_| !typed) {
            // An access key is not a profile, and must not be shown.
            Some(name) if name.ends_with("KEY_ID") => None,
            Some(name) => variable(name),
            None => value,
        };
        Effective { key: setting.key, value, from }
    }
}

/// A text for clap, which takes only what lives as long as the process.
fn kept(text: String) -> &'static str {
    text.leak()
}

#[expect(clippy::disallowed_methods, reason = "the SDK reads these: they are no option's")]
fn variable(name: &str) -> Option<String> {
    std::env::var(name).ok().filter(|value| !value.is_empty())
}

/// Whether a variable switches something off.
#[expect(clippy::disallowed_methods, reason = "clap takes a variable as it takes an option, which can only switch on")]
fn is_off(name: &str) -> bool {
    let off = ["", "0", "f", "false", "n", "no", "off"];
    std::env::var(name).is_ok_and(|value| off.contains(&value.to_ascii_lowercase().as_str()))
}

fn is_set(name: &str) -> bool {
    variable(name).is_some()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The lines of the table of settings in docs/configuration.md.
    fn documented() -> Vec<Vec<String>> {
        let page = include_str!("../../../docs/configuration.md");
        let lines = page.lines().skip_while(|line| !line.starts_with("| key | option |")).skip(2);
        let cells = |line: &str| line.trim_matches('|').split(" | ").map(|cell| cell.trim().to_owned()).collect();
        lines.take_while(|line| line.starts_with('|')).map(cells).collect()
    }

    #[test]
    fn the_page_has_every_setting_with_its_option_variable_and_default() {
        let expected: Vec<[String; 4]> = SETTINGS
            .iter()
            .map(|setting| {
                let variables = match setting.variables {
                    Variables::Own(name) => format!("`{name}`"),
                    Variables::Aws(names) => {
                        names.iter().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ")
                    }
                    Variables::Each(prefix) => format!("`{prefix}NAME`"),
                };
                [format!("`{}`", setting.key), format!("`--{}`", setting.option), variables, setting.default.to_owned()]
            })
            .collect();
        let documented: Vec<[String; 4]> = documented()
            .into_iter()
            .map(|cells| [0, 1, 2, 3].map(|index| cells.get(index).cloned().unwrap_or_default()))
            .collect();
        assert_eq!(documented, expected);
    }
}
