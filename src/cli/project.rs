//! The template of a run, from its file to a stack; and the code that it names.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use time::Date;

use super::command::{Command, Flags};
use super::{Failure, parameters};
use crate::core::lint;
use crate::core::stack::{self, Secrets, Stack};
use crate::core::template;
use crate::core::types::{self, function};
use crate::core::words::{self, Problem, Scope, nearest};
use crate::package::{self, Architecture, Code, Source};
use crate::ui::Ui;

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

/// The rules of warnings about functions' code, and what happens to those who do not keep them.
pub const RULES: &[(&str, &str)] = &[
    (
        "code-outside",
        "the code of a function lies outside of the template's repository, so others do not get it with that",
    ),
    ("code-with-credentials", "a file that looks like credentials is left out of the zip, and the code may miss it"),
];

/// A template's file, read.
#[derive(Debug, Clone)]
pub struct Project {
    path: PathBuf,
    bytes: Vec<u8>,
    parameters: BTreeMap<String, String>,
}

/// The template has problems; they have been shown.
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
    pub fn read(&self) -> Result<Project, Failure> {
        let path = match &self.template {
            Some(path) => path.clone(),
            None => find()?,
        };
        let bytes = read(&path).map_err(|error| format!("cannot read the template {}: {error}", path.display()))?;
        Ok(Project { path, bytes, parameters: self.parameters.read()? })
    }

    /// The template's file, if one was named or can be found.
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
        let Self { template, parameters } = self;
        command.option("--template", template.as_ref());
        if parameters.is_empty() {
            return;
        }
        // A pipe is empty by now.
        let path = template.clone().or_else(|| find().ok()).filter(|path| path.is_file());
        let described = path.and_then(|path| template::parse(&read(&path).ok()?).ok());
        parameters.add_to(command, |name| {
            let parameter = described.as_ref().and_then(|template| template.parameters.get(name));
            parameter.is_some_and(|parameter| !parameter.no_echo)
        });
    }
}

/// What a file has, or just too much of it: it may have no end.
fn read(path: &Path) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    File::open(path)?.take(template::LONGEST as u64 + 1).read_to_end(&mut bytes)?;
    Ok(bytes)
}

fn find() -> Result<PathBuf, Failure> {
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

/// The names of what is in the folder that `path` leads into.
fn names_beside(path: &Path) -> Vec<String> {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
    entries.map(|entry| entry.file_name().to_string_lossy().into_owned()).collect()
}

impl Project {
    /// The stack that the template describes in `scope`.
    ///
    /// # Errors
    /// When the template has problems: they are shown, each with its place.
    pub fn stack(&self, scope: &Scope, ui: &Ui) -> Result<Stack, Failure> {
        let stack = self.resolve(scope).map_err(|problems| self.show(&problems, ui))?;
        ui.hide(&stack.secrets);
        Ok(stack)
    }

    fn show(&self, problems: &[Problem], ui: &Ui) -> Failure {
        let (file, text) = (self.file(), self.text());
        let rendering = template::render::Rendering { file: &file, text: &text, colour: ui.colour() };
        ui.say_coloured(self.secrets().mask_in_place(&template::render::render(problems, rendering)));
        let count = match problems.len() {
            1 => "it has a problem".to_owned(),
            count => format!("it has {count} problems"),
        };
        BadTemplate { file, count }.into()
    }

    /// The stack as it would be in some account: enough to tell whether the template is sound before anybody is asked.
    ///
    /// # Errors
    /// When the template has problems: they are shown, each with its place.
    pub fn check(&self, stack: &str, region: Option<&str>, ui: &Ui) -> Result<(), Failure> {
        ui.hide(&self.secrets());
        let scope = Scope {
            stack: stack.to_owned(),
            account: "000000000000".to_owned(),
            region: region.unwrap_or("us-east-1").to_owned(),
            partition: "aws".to_owned(),
        };
        match self.resolve(&scope) {
            Err(problems) if !self.hangs_on_scope() => Err(self.show(&problems, ui)),
            _ => Ok(()),
        }
    }

    /// All that is wrong with the template and all that is doubtful on the day `today`, in the order of the text.
    pub fn inspect(&self, today: Date) -> Vec<Problem> {
        lint::inspect(&self.bytes, &self.parameters, today, |stack| self.wrong_code(stack))
    }

    /// What is wrong with the code of functions, as far as it shows without building it.
    fn wrong_code(&self, stack: &Stack) -> Vec<Problem> {
        let mut problems = Vec::new();
        for code in self.code(stack).unwrap_or_default() {
            // What is missing has been reported.
            if code.runtime.is_empty() || code.handler.is_empty() {
                continue;
            }
            let resource = &stack.resources[&code.logical_id].path;
            let properties = resource.key("Properties");
            let place = properties.key("Code");
            match self.reach(&code) {
                Err(error) => {
                    problems.push(Problem { help: error.help, ..Problem::new(place, error.why) });
                    continue;
                }
                Ok(Some(warning)) => {
                    problems.push(Problem { rule: Some("code-outside"), ..Problem::new(place, warning) })
                }
                Ok(None) => {}
            }
            if let Some(warning) = package::credentials_warning(&code) {
                let problem = Problem::new(properties.key("Code"), warning);
                problems.push(Problem { rule: Some("code-with-credentials"), ..problem });
            }
            match &code.source {
                Source::Path(path) if !path.exists() => problems.push(self.missing(path, properties.key("Code"))),
                _ => problems.extend(package::check(&code).err().map(|(property, error)| {
                    let place = match property {
                        "BuildMethod" => resource.key("Metadata").key(property),
                        property => properties.key(property),
                    };
                    let problem = Problem::new(place, error.why);
                    Problem { help: error.help, ..problem }
                })),
            }
        }
        problems
    }

    /// Where code lies: a warning where it is outside of the project.
    fn reach(&self, code: &Code) -> Result<Option<String>, package::PackageError> {
        let Ok(folder) = self.folder() else { return Ok(None) };
        Ok(match package::locate(&folder, code, std::env::home_dir().as_deref())? {
            package::CodeLocation::Inside => None,
            package::CodeLocation::Outside(warning) => Some(warning),
        })
    }

    /// That there is no code at `code`.
    fn missing(&self, code: &Path, place: words::Path) -> Problem {
        let below = self.folder().ok().and_then(|folder| Some(code.strip_prefix(folder).ok()?.to_owned()));
        let shown = below.map_or(code.to_owned(), |below| self.path.with_file_name(below));
        let problem = Problem::new(place, package::missing(&shown));
        let names = names_beside(code);
        let names: Vec<&str> = names.iter().map(String::as_str).collect();
        let given = code.file_name().unwrap_or_default().to_string_lossy();
        match nearest(&given, &names) {
            Some(name) => problem.help(format!("did you mean \"{name}\"?")),
            None => problem.help("code is looked for beside the template"),
        }
    }

    /// What must not be shown, as far as the template alone tells.
    pub fn secrets(&self) -> Secrets {
        template::parse(&self.bytes).map(|template| stack::secrets(&template, &self.parameters)).unwrap_or_default()
    }

    /// How many warnings `validate` has on the day `today`.
    pub fn warnings(&self, today: Date) -> usize {
        self.inspect(today).iter().filter(|problem| problem.rule.is_some()).count()
    }

    /// The template's file, as the user named it.
    pub fn file(&self) -> String {
        self.path.display().to_string()
    }

    /// The template's text, as far as it is text.
    pub fn text(&self) -> Cow<'_, str> {
        String::from_utf8_lossy(&self.bytes)
    }

    /// Whether what is wrong in one account and region may be right in another.
    fn hangs_on_scope(&self) -> bool {
        let text = self.text();
        ["FindInMap", "Conditions"].iter().any(|word| text.contains(word))
            && ["AWS::AccountId", "AWS::Region", "AWS::Partition"].iter().any(|word| text.contains(word))
    }

    fn resolve(&self, scope: &Scope) -> Result<Stack, Vec<Problem>> {
        let template = template::expand::expand(template::parse(&self.bytes)?, self.context(scope));
        stack::resolve(&template, &self.parameters, scope, &types::kinds())
    }

    fn context<'a>(&'a self, scope: &'a Scope) -> template::expand::Context<'a> {
        template::expand::Context { partition: &scope.partition, region: &scope.region, parameters: &self.parameters }
    }

    /// The folder that the template is in.
    fn folder(&self) -> io::Result<PathBuf> {
        let folder = self.path.parent().filter(|folder| !folder.as_os_str().is_empty());
        std::path::absolute(folder.unwrap_or(Path::new(".")))
    }

    /// The code that the stack's functions come from.
    ///
    /// # Errors
    /// When the template's folder cannot be told.
    pub fn code(&self, stack: &Stack) -> Result<Vec<Code>, Failure> {
        let folder = self.folder().map_err(|error| format!("{}: {error}", self.file()))?;
        let functions = stack.resources.values().filter(|resource| resource.kind.type_name() == function::TYPE);
        Ok(functions
            .filter_map(|resource| {
                let text = |name: &str| resource.properties[name].as_str().unwrap_or_default().to_owned();
                let architecture = match resource.properties["Architectures"][0].as_str() {
                    Some("arm64") => Architecture::Arm64,
                    _ => Architecture::X86_64,
                };
                let source = match resource.code.as_ref()? {
                    stack::Code::Local(path) => Source::Path(folder.join(path)),
                    stack::Code::Inline(text) => Source::Inline(text.clone()),
                };
                Some(Code {
                    logical_id: resource.logical_id.clone(),
                    source,
                    runtime: text("Runtime"),
                    handler: text("Handler"),
                    layers: resource.properties["Layers"].as_array().is_some_and(|layers| !layers.is_empty()),
                    architecture,
                    binary: resource.binary.clone(),
                    build: resource.build.clone(),
                    template: folder.clone(),
                })
            })
            .collect())
    }

    /// Builds the code.
    ///
    /// # Errors
    /// What the compiler said, and what else went wrong.
    pub async fn build(
        &self,
        code: Vec<Code>,
        target: package::Target,
        options: &package::Options,
        ui: &Ui,
    ) -> Result<BTreeMap<String, package::Artifact>, Failure> {
        let mut outside: BTreeMap<String, Vec<&str>> = BTreeMap::new();
        for code in &code {
            let warning = self.reach(code).map_err(|error| {
                let help = error.help.clone().unwrap_or_default();
                format!("cannot find the code of {}: {}\n  {help}", code.logical_id, error.why)
            })?;
            warning.into_iter().for_each(|warning| outside.entry(warning).or_default().push(&code.logical_id));
        }
        for (warning, functions) in outside {
            ui.say(format!("{}: {warning}", functions.join(", ")));
        }
        let progress = ui.build();
        let result = package::build(code, target, options, |step| progress.show(step)).await;
        progress.end();
        result.map_err(|error| {
            if let Some(compiler) = &error.compiler {
                ui.say_coloured(compiler.trim_end());
            }
            let help =
                error.help.as_ref().map(|help| format!("\n  {}", help.replace('\n', "\n  "))).unwrap_or_default();
            format!("{error}{help}").into()
        })
    }
}
