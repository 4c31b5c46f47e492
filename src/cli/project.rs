//! The template of a run, and how its problems are shown.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{self, BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Command as Shell, Stdio};
use std::sync::OnceLock;

use super::command::{Command, Flags};
use super::config::settings::TAGS_OPTION;
use super::error::CommandError;
use super::parameters::{self, Source};
use crate::core::stack::Stack;
use crate::core::template::render::{Rendering, render};
use crate::core::types::tags::{self, Tags};
use crate::core::words::{Problem, Scope};
use crate::deploy::assembly::{Assembly, NoStack};
use crate::deploy::deployment::NoPlan;
use crate::deploy::execute::BuildError;
use crate::deploy::project::Project;
use crate::package::Code;
use crate::ui::Ui;
use crate::ui::event;

/// Which template, with which parameters.
#[derive(Debug, Clone, clap::Args)]
#[group(skip)]
pub struct Args {
    /// The template, or the folder of a synthesised CDK app, of which --stack says the stack [default: template.yaml, template.yml
    /// or template.json here, or the one in templates/, or cdk.out]
    #[arg(long, short, value_name = "FILE")]
    template: Option<PathBuf>,
    /// Run this command first, which synthesises a CDK app: --app "npx cdk synth"
    #[arg(long, value_name = "COMMAND")]
    app: Option<String>,
    /// Whether it has run.
    #[arg(skip)]
    synthesised: OnceLock<()>,
    #[command(flatten)]
    pub parameters: parameters::Args,
    /// A tag for every resource that can have tags, unless the template gives it one of that key; may be given several times
    #[arg(long = "tag", value_name = "KEY=VALUE", value_parser = tag)]
    tags: Vec<(String, String)>,
    /// The project's file's.
    #[arg(id = TAGS_OPTION, long = TAGS_OPTION, hide = true, value_parser = tag)]
    tags_of_project: Vec<(String, String)>,
}

/// A tag as it is typed.
fn tag(text: &str) -> Result<(String, String), String> {
    let (key, value) = text.split_once('=').ok_or("it must be KEY=VALUE")?;
    tags::check(key, value)?;
    Ok((key.to_owned(), value.to_owned()))
}

/// The template has problems.
#[derive(Debug, thiserror::Error)]
#[error("{file} has {count}")]
struct BadTemplate {
    file: String,
    count: String,
}

impl Args {
    /// Finds and reads the template; of a CDK app, that of the stack with this name.
    ///
    /// # Errors
    /// When there is none, or it cannot be read.
    pub fn read(&self, stack: Option<&str>) -> Result<Project, CommandError> {
        let path = match &self.template {
            Some(path) => path.clone(),
            None => find()?,
        };
        if path.is_dir() {
            let app = app_in(&path)?;
            let chosen = app.stack(stack).map_err(no_stack)?;
            return Ok(self.load(chosen.template.clone())?.of_app(&app, chosen));
        }
        self.load(path)
    }

    fn load(&self, path: PathBuf) -> Result<Project, CommandError> {
        let shown = path.display().to_string();
        let project = Project::load(path, self.parameters.read()?);
        let project = project.map_err(|error| format!("cannot read the template {shown}: {error}"))?;
        Ok(project.tagged(self.tags()?))
    }

    /// Runs the command of `--app`, once: before a template is checked or deployed, not where its stack is only looked at. Shows
    /// what it says meanwhile: it may take a minute.
    ///
    /// # Errors
    /// When it fails.
    pub fn synthesise(&self, ui: &Ui) -> Result<(), CommandError> {
        let Some(command) = self.app.as_ref().filter(|_| self.synthesised.get().is_none()) else { return Ok(()) };
        let failed = |why: String| CommandError::new(format!("--app: `{command}` {why}"));
        let not_run = |error: io::Error| failed(format!("could not be run: {error}"));
        ui.say(format_args!("Running {command}"));
        let mut shell = Shell::new("sh");
        // What it prints on stdout is the template, and it writes that, too.
        shell.args(["-c", command]).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped());
        let mut child = shell.spawn().map_err(not_run)?;
        for line in child.stderr.take().into_iter().flat_map(|said| BufReader::new(said).split(b'\n')) {
            ui.say_coloured(String::from_utf8_lossy(&line.map_err(not_run)?).trim_end());
        }
        let status = child.wait().map_err(not_run)?;
        if !status.success() {
            return Err(failed(format!("failed ({status})")));
        }
        // Once a run; `dev` runs it again when it is started again.
        let _ = self.synthesised.set(());
        Ok(())
    }

    /// The command of `--app`.
    pub fn app(&self) -> Option<&str> {
        self.app.as_deref()
    }

    /// The tags for every resource.
    ///
    /// # Errors
    /// More than AWS allows.
    pub fn tags(&self) -> Result<Tags, CommandError> {
        let tags: Tags = self.tags_of_project.iter().chain(&self.tags).cloned().collect();
        tags::check_count(&tags)?;
        Ok(tags)
    }

    /// Takes the tags that a stack has, too, where this run is not given one of that key and every resource can carry it; gives those.
    pub fn add_tags(&mut self, tags: Tags) -> Tags {
        let given = |key: &String| self.tags_of_project.iter().chain(&self.tags).any(|(given, _)| given == key);
        let added: Tags =
            tags.into_iter().filter(|(key, value)| !given(key) && tags::check(key, value).is_ok()).collect();
        self.tags_of_project.extend(added.clone());
        added
    }

    /// Whether the command line or the environment gives this tag.
    pub fn gives_tag(&self, key: &str) -> bool {
        self.tags.iter().any(|(given, _)| given == key)
    }

    /// The values that this run gives and later runs are to have, too: those that are given by options and may be shown.
    ///
    /// # Errors
    /// A parameter file that cannot be read.
    pub fn to_remember(&self, project: &Project) -> Result<BTreeMap<String, String>, CommandError> {
        let given = self.parameters.sources()?.into_iter();
        Ok(given
            .filter(|(name, given)| matches!(given.from, Source::Option | Source::File(_)) && project.may_show(name))
            .map(|(name, given)| (name, given.value))
            .collect())
    }

    /// The parameters that later runs are not to have a value of.
    pub fn to_forget(&self) -> BTreeSet<String> {
        self.parameters.defaults()
    }

    /// The files that parameters are read from.
    pub fn parameter_files(&self) -> Vec<PathBuf> {
        self.parameters.paths()
    }

    /// The template that was named.
    pub fn named(&self) -> Option<&Path> {
        self.template.as_deref()
    }

    /// The template's path, unless none was named and none can be found.
    pub fn path(&self) -> Option<PathBuf> {
        self.template.clone().or_else(|| find().ok())
    }

    /// Whether a template was named, or one can be found.
    pub fn exists(&self) -> bool {
        self.template.is_some() || find().is_ok()
    }
}

impl Flags for Args {
    /// Values of parameters that may be secrets are left for the user to put in.
    fn add_to(&self, command: &mut Command) {
        let Self { template, app, synthesised: _, parameters, tags, tags_of_project: _ } = self;
        command.option("--template", template.as_ref());
        command.option("--app", app.as_ref());
        for (key, value) in tags {
            command.option("--tag", Some(format!("{key}={value}")));
        }
        if parameters.is_empty() {
            return;
        }
        // A pipe is empty by now.
        let path = template.clone().or_else(|| find().ok()).filter(|path| path.is_file());
        let project = path.and_then(|path| Project::load(path, BTreeMap::new()).ok());
        parameters.add_to(command, |name| project.as_ref().is_some_and(|project| project.may_show(name)));
    }
}

/// The folder that the CDK writes to.
const CDK_OUTPUT: &str = "cdk.out";

/// The CDK app in `folder`.
fn app_in(folder: &Path) -> Result<Assembly, CommandError> {
    if !Assembly::is_in(folder) {
        let what = format!("{} is a folder, and not that of a CDK app: it has no manifest.json", folder.display());
        return Err(CommandError::new(what).advice("name a template's file, or the folder that `cdk synth` writes"));
    }
    Assembly::read(folder).map_err(no_stack)
}

/// The names of the stacks of a CDK app, each after those that it depends on.
///
/// # Errors
/// When there is no app at `template`, or here.
pub fn names_in_app(template: Option<&Path>) -> Result<Vec<String>, CommandError> {
    let folder = match template {
        Some(folder) => folder.to_owned(),
        None => find()?,
    };
    if !folder.is_dir() {
        let what = format!("{} is the template of one stack, and --all-stacks is for a CDK app", folder.display());
        return Err(CommandError::new(what).advice("name the folder that `cdk synth` writes: --template cdk.out"));
    }
    Ok(app_in(&folder)?.stacks.into_iter().map(|stack| stack.name).collect())
}

fn no_stack(NoStack { what, help }: NoStack) -> CommandError {
    CommandError::new(what).advice_lines(help.as_deref())
}

/// The template of the current folder.
///
/// # Errors
/// When there is none, or it cannot be told which one it is.
pub fn find() -> Result<PathBuf, CommandError> {
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
        [] if Assembly::is_in(Path::new(CDK_OUTPUT)) => Ok(PathBuf::from(CDK_OUTPUT)),
        [] if Path::new("cdk.json").is_file() => {
            Err(CommandError::new("this is a CDK app, and it is not synthesised yet: there is no cdk.out")
                .advice("run `npx cdk synth` first, or let this command do it: --app \"npx cdk synth\""))
        }
        [] => Err("there is no template here (template.yaml, or one in templates/); name it with --template".into()),
        several => {
            let names: Vec<String> = several.iter().map(|path| path.display().to_string()).collect();
            Err(format!("templates/ holds several templates ({}); name one with --template", names.join(", ")).into())
        }
    }
}

/// The stack that the template describes in `scope`; `with_code`, its functions' code is there, too.
///
/// # Errors
/// When the template has problems, each with its place.
pub fn stack(project: &Project, scope: &Scope, with_code: bool, ui: &Ui) -> Result<Stack, CommandError> {
    let stack = if with_code { project.stack_with_code(scope) } else { project.stack(scope) };
    let stack = stack.map_err(|problems| bad(project, &problems, ui))?;
    ui.hide(&stack.secrets);
    Ok(stack)
}

/// Checks the template before any call is made; `with_code`, also whether its functions' code is there.
///
/// # Errors
/// When the template has problems, each with its place.
pub fn check(
    project: &Project,
    stack: &str,
    region: Option<&str>,
    with_code: bool,
    ui: &Ui,
) -> Result<(), CommandError> {
    ui.hide(&project.secrets());
    project.check(stack, region, with_code).map_err(|problems| bad(project, &problems, ui))
}

/// The error that there is no plan: what is wrong with the template is shown at its place.
pub fn no_plan(project: &Project, error: NoPlan, ui: &Ui) -> CommandError {
    match error {
        NoPlan::Retired(problems) => bad(project, &problems, ui),
        error => error.into(),
    }
}

fn bad(project: &Project, problems: &[Problem], ui: &Ui) -> CommandError {
    let (file, text) = (project.file(), project.text());
    // Without a place in the text there is nothing to show beside the error.
    if let [problem] = problems
        && problem.path.0.is_empty()
        && problem.position.is_none()
    {
        let events = event::Problem::all_of(problems, &file, &text);
        let what = project.secrets().mask(&format!("{file}: {}", problem.what));
        return CommandError::new(what).advice_lines(problem.help.as_deref()).problems(events);
    }
    let rendering = Rendering { file: &file, text: &text, colour: ui.colour() };
    let shown = project.secrets().mask_in_place(&render(problems, rendering));
    let count = match problems.len() {
        1 => "1 error".to_owned(),
        count => format!("{count} errors"),
    };
    let problems = event::Problem::all_of(problems, &file, &text);
    CommandError::from(BadTemplate { file, count }).details(shown).problems(problems)
}

/// The code that the stack's functions come from; says which of it stands for code in S3, and which lies outside of the project.
///
/// # Errors
/// When a folder cannot be one function's code.
pub fn code(project: &Project, stack: &Stack, ui: &Ui) -> Result<Vec<Code>, CommandError> {
    let code = project.code(stack).map_err(|error| format!("{}: {error}", project.file()))?;
    for (note, functions) in project.substitutes(stack).map_err(|error| format!("{}: {error}", project.file()))? {
        ui.say(format!("{}: {note}", functions.join(", ")));
    }
    for (warning, functions) in project.outside(&code).map_err(BuildError::from)? {
        ui.say(format!("{}: {warning}", functions.join(", ")));
    }
    Ok(code)
}
