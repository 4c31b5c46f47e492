//! Which template a run is about, and what is shown of its problems.

use std::collections::BTreeMap;
use std::path::PathBuf;

use super::command::{Command, Flags};
use super::error::CommandError;
use super::parameters;
use crate::core::stack::Stack;
use crate::core::template::render::{Rendering, render};
use crate::core::words::{Problem, Scope};
use crate::deploy::execute::BuildError;
use crate::deploy::project::Project;
use crate::package::Code;
use crate::ui::Ui;
use crate::ui::event;

/// Which template, with which parameters.
#[derive(Debug, Clone, clap::Args)]
#[group(skip)]
pub struct Args {
    /// The template [default: template.yaml, template.yml or template.json here, or the one in templates/]
    #[arg(long, short, value_name = "FILE")]
    template: Option<PathBuf>,
    #[command(flatten)]
    parameters: parameters::Args,
}

/// The template has problems.
#[derive(Debug, thiserror::Error)]
#[error("the template {file} cannot be used: {count}")]
struct BadTemplate {
    file: String,
    count: String,
}

impl Args {
    /// Finds and reads the template.
    ///
    /// # Errors
    /// When there is none, or it cannot be read.
    pub fn read(&self) -> Result<Project, CommandError> {
        let path = match &self.template {
            Some(path) => path.clone(),
            None => find()?,
        };
        let shown = path.display().to_string();
        let project = Project::load(path, self.parameters.read()?);
        Ok(project.map_err(|error| format!("cannot read the template {shown}: {error}"))?)
    }

    /// The template's file, if one was named or can be found.
    pub fn path(&self) -> Option<PathBuf> {
        self.template.clone().or_else(|| find().ok())
    }

    /// The files that parameters are read from.
    pub fn parameter_files(&self) -> Vec<PathBuf> {
        self.parameters.paths()
    }

    /// Whether a template was named, or one can be found.
    pub fn exists(&self) -> bool {
        self.template.is_some() || find().is_ok()
    }
}

impl Flags for Args {
    /// Values of parameters that may be secrets are left for the user to put in.
    fn add_to(&self, command: &mut Command) {
        let Self { template, parameters } = self;
        command.option("--template", template.as_ref());
        if parameters.is_empty() {
            return;
        }
        // A pipe is empty by now.
        let path = template.clone().or_else(|| find().ok()).filter(|path| path.is_file());
        let project = path.and_then(|path| Project::load(path, BTreeMap::new()).ok());
        parameters.add_to(command, |name| project.as_ref().is_some_and(|project| project.may_show(name)));
    }
}

fn find() -> Result<PathBuf, CommandError> {
    let names = ["template.yaml", "template.yml", "template.json"];
    if let Some(path) = names.iter().map(PathBuf::from).find(|path| path.is_file()) {
        return Ok(path);
    }
    let is_template = |path: &PathBuf| {
        path.extension().is_some_and(|extension| ["yaml", "yml", "json"].iter().any(|known| extension == *known))
    };
    let mut found: Vec<PathBuf> = std::fs::read_dir("templates")
        .into_iter()
        .flatten()
        .filter_map(|entry| Some(entry.ok()?.path()))
        .filter(is_template)
        .collect();
    found.sort();
    match found.as_slice() {
        [path] => Ok(path.clone()),
        [] => Err("there is no template here (template.yaml, or one in templates/); name it with --template".into()),
        several => {
            let names: Vec<String> = several.iter().map(|path| path.display().to_string()).collect();
            Err(format!("templates/ holds several templates ({}); name one with --template", names.join(", ")).into())
        }
    }
}

/// The stack that the template describes in `scope`.
///
/// # Errors
/// When the template has problems, each with its place.
pub fn stack(project: &Project, scope: &Scope, ui: &Ui) -> Result<Stack, CommandError> {
    let stack = project.stack(scope).map_err(|problems| bad(project, &problems, ui))?;
    ui.hide(&stack.secrets);
    Ok(stack)
}

/// Whether the template is sound, before anybody is asked anything.
///
/// # Errors
/// When the template has problems, each with its place.
pub fn check(project: &Project, stack: &str, region: Option<&str>, ui: &Ui) -> Result<(), CommandError> {
    ui.hide(&project.secrets());
    project.check(stack, region).map_err(|problems| bad(project, &problems, ui))
}

fn bad(project: &Project, problems: &[Problem], ui: &Ui) -> CommandError {
    let (file, text) = (project.file(), project.text());
    let rendering = Rendering { file: &file, text: &text, colour: ui.colour() };
    let shown = project.secrets().mask_in_place(&render(problems, rendering));
    let count = match problems.len() {
        1 => "it has a problem".to_owned(),
        count => format!("it has {count} problems"),
    };
    let problems = event::Problem::all_of(problems, &file, &text);
    CommandError::from(BadTemplate { file, count }).details(shown).problems(problems)
}

/// The code that the stack's functions come from; says which of it lies outside of the project.
///
/// # Errors
/// When a folder cannot be one function's code.
pub fn code(project: &Project, stack: &Stack, ui: &Ui) -> Result<Vec<Code>, CommandError> {
    let code = project.code(stack).map_err(|error| format!("{}: {error}", project.file()))?;
    for (warning, functions) in project.outside(&code).map_err(BuildError::from)? {
        ui.say(format!("{}: {warning}", functions.join(", ")));
    }
    Ok(code)
}
