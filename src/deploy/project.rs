//! A project: its template, read and parsed once a run, what that describes, and the code that it names.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, Read};
use std::path::{Component, Path, PathBuf};
use std::sync::{PoisonError, RwLock};

use serde_json::Value;
use time::Date;

use super::assembly::{Assembly, AssemblyStack};
use super::lookups;
use crate::aws::client::Aws;
use crate::core::lint;
use crate::core::stack::{self, Lookups, Names, Secrets, Stack};
use crate::core::template::{self, Parameter, Template};
use crate::core::types::S3Object;
use crate::core::types::tags::Tags;
use crate::core::words::{self, Problem, ProblemKind, Scope, nearest};
use crate::package::{self, Architecture, Code, PackageError, Source};

/// The rules of warnings about functions' code, and what happens to those who do not keep them.
pub const RULES: &[(&str, &str)] = &[
    ("code-outside", "code outside of the template's repository is missing in clones of it"),
    ("code-with-credentials", "files that look like credentials are left out of the zip, and the code may need them"),
];

/// The packages of the SDK that custom resources of a function name.
fn sdk_packages(stack: &Stack, function: &stack::Resource) -> Vec<String> {
    let arn = stack.arn_of(function);
    let is_its =
        |other: &&stack::Resource| arn.is_some() && other.properties["ServiceToken"].as_str() == arn.as_deref();
    let of_function = stack.resources.values().filter(is_its);
    of_function.flat_map(|resource| resource.kind.sdk_packages(&resource.properties)).collect()
}

/// A template's file, and the values of its parameters.
#[derive(Debug)]
pub struct Project {
    path: PathBuf,
    text: Vec<u8>,
    /// Or what keeps it from being read as a template.
    template: Result<Template, Vec<Problem>>,
    parameters: BTreeMap<String, String>,
    /// Tags for every resource.
    tags: Tags,
    /// The names and templates of the other stacks of the app that it belongs to.
    others: Vec<(String, PathBuf)>,
    /// Whether the others that it depends on are taken to be deployed before it.
    is_after_others: bool,
    /// The account and the region that the app was synthesised for.
    synthesised_for: (Option<String>, Option<String>),
    /// What was looked up outside of the template so far.
    lookups: RwLock<Lookups>,
}

impl Project {
    /// Reads a template's file. What is wrong with the template shows when it is asked for something.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub fn load(path: PathBuf, parameters: BTreeMap<String, String>) -> io::Result<Self> {
        let text = read(&path)?;
        Ok(Self::new(path, text, parameters))
    }

    pub(super) fn new(path: PathBuf, text: Vec<u8>, parameters: BTreeMap<String, String>) -> Self {
        let mut template = template::parse(&text);
        if let Ok(template) = &mut template {
            read_files(&path, template);
        }
        Self {
            template,
            path,
            text,
            parameters,
            tags: Tags::new(),
            others: Vec::new(),
            is_after_others: false,
            synthesised_for: (None, None),
            lookups: RwLock::default(),
        }
    }

    /// The stack that the template describes in `scope`.
    ///
    /// # Errors
    /// Everything that is wrong with the template and its parameters, in the order of the text.
    pub fn stack(&self, scope: &Scope) -> Result<Stack, Vec<Problem>> {
        self.survey(scope)?.finish()
    }

    fn survey(&self, scope: &Scope) -> Result<stack::Survey, Vec<Problem>> {
        let lookups = self.lookups.read().unwrap_or_else(PoisonError::into_inner);
        let mut survey = stack::survey_with(self.template.clone()?, &self.parameters, scope, &lookups);
        survey.stack.tags = self.tags.clone();
        Ok(survey)
    }

    /// Problems of resources in `scope` where the user can mend them: SAM makes resources of what is written elsewhere.
    pub fn placed(&self, problems: Vec<Problem>, scope: &Scope) -> Vec<Problem> {
        match self.survey(scope) {
            Ok(survey) => survey.template.report(problems),
            Err(_) => problems,
        }
    }

    /// The template as CloudFormation takes it: SAM's resources are expanded, and the code of the resources with these logical ids is at
    /// these places in S3 (bucket, key).
    ///
    /// # Errors
    /// What keeps it from being read as a template.
    pub fn for_cloudformation(
        &self,
        scope: &Scope,
        code: &BTreeMap<String, (String, String)>,
    ) -> Result<Template, Vec<Problem>> {
        let (partition, region) = (scope.partition.as_str(), scope.region.as_str());
        let context = template::expand::Context { partition, region, parameters: &self.parameters };
        Ok(template::expand::expand(self.template.clone()?.with_uploaded(code), context))
    }

    /// The values that were given to the template's parameters; others have their defaults.
    pub fn given_parameters(&self) -> BTreeMap<String, String> {
        let given =
            self.parameters().filter_map(|(name, _)| Some((name.to_owned(), self.parameters.get(name)?.clone())));
        given.collect()
    }

    /// Looks up what the template needs from outside of it, in the account that `aws` calls. What is not there is a problem of
    /// the template's: `stack` has it.
    pub async fn look_up(&self, aws: &Aws) {
        let text = self.text();
        if !["ImportValue", "{{resolve:", "AWS::SSM::Parameter::Value<"].iter().any(|word| text.contains(word)) {
            return;
        }
        // A name may be made of a value.
        while let Ok(survey) = self.survey(aws.scope()) {
            if survey.lacking.is_empty() {
                return;
            }
            let mut found = lookups::ask(aws, survey.lacking).await;
            if self.is_after_others {
                found.expect(|name| self.exporter(name).is_some());
            }
            found.explain(|name| {
                let stack = self.exporter(name)?;
                Some(format!("the stack {stack} of this app exports it: deploy that first"))
            });
            self.lookups.write().unwrap_or_else(PoisonError::into_inner).extend(found);
        }
    }

    /// Takes these names of resources, which are in AWS, for those that the template does not name.
    pub fn set_names(&self, names: Names) {
        self.lookups.write().unwrap_or_else(PoisonError::into_inner).set_names(names);
    }

    /// The same project as one of a CDK app, whose template is that of `stack`.
    #[must_use]
    pub fn of_app(self, app: &Assembly, stack: &AssemblyStack) -> Self {
        let others = app.stacks.iter().filter(|other| *other != stack);
        let others = others.map(|other| (other.name.clone(), other.template.clone())).collect();
        Self { others, synthesised_for: (stack.account.clone(), stack.region.clone()), ..self }
    }

    /// The same project, which is planned with the other stacks of its app: what they export and is not there yet is known when they are
    /// deployed.
    #[must_use]
    pub fn after_others(self) -> Self {
        Self { is_after_others: true, ..self }
    }

    /// Where the template was synthesised for, if that is not `scope`: what it has looked up there may not fit here.
    pub fn is_for_elsewhere(&self, scope: &Scope) -> Option<String> {
        let (account, region) = &self.synthesised_for;
        let differs = |known: &Option<String>, here: &str| known.as_ref().is_some_and(|known| known != here);
        let (account, region) = match (differs(account, &scope.account), differs(region, &scope.region)) {
            (false, false) => return None,
            _ => (account.as_deref().unwrap_or("any account"), region.as_deref().unwrap_or("any region")),
        };
        Some(format!("the app was synthesised for {account}, {region}"))
    }

    /// The stack of the same app whose template exports a value under this name.
    fn exporter(&self, export: &str) -> Option<&str> {
        let exports = |path: &Path| {
            let template = template::parse(&read(path).ok()?).ok()?;
            let mut names = template.outputs.values().filter_map(|output| output.export.as_ref()?.get("Name"));
            names.any(|name| name == export).then_some(())
        };
        self.others.iter().find(|(_, path)| exports(path).is_some()).map(|(name, _)| name.as_str())
    }

    /// The same project, whose resources shall all have these tags.
    #[must_use]
    pub fn tagged(self, tags: Tags) -> Self {
        Self { tags, ..self }
    }

    /// The template's parameters.
    pub fn parameters(&self) -> impl Iterator<Item = (&str, &Parameter)> {
        let parameters = self.template.iter().flat_map(|template| &template.parameters);
        parameters.map(|(name, parameter)| (name.as_str(), parameter))
    }

    /// As `stack`, for commands that build the functions' code.
    ///
    /// # Errors
    /// Everything that is wrong with the template, its parameters and the code that it names, in the order of the text.
    pub fn stack_with_code(&self, scope: &Scope) -> Result<Stack, Vec<Problem>> {
        let survey = self.survey(scope)?;
        self.with_code(survey).finish()
    }

    /// The same with what is wrong with the code.
    fn with_code(&self, mut survey: stack::Survey) -> stack::Survey {
        let mut wrong = self.wrong_code(&survey.stack);
        wrong.iter_mut().for_each(|problem| survey.stack.secrets.mask_problem(problem));
        survey.problems.extend(wrong);
        survey
    }

    /// Whether the template is valid, as far as that is known before the account is; `with_code`, also whether the code
    /// that it names is there.
    ///
    /// # Errors
    /// Everything that is wrong with it in every account.
    pub fn check(&self, stack: &str, region: Option<&str>, with_code: bool) -> Result<(), Vec<Problem>> {
        let scope = Scope {
            stack: stack.to_owned(),
            account: "000000000000".to_owned(),
            region: region.unwrap_or("us-east-1").to_owned(),
            partition: "aws".to_owned(),
        };
        let survey = self.survey(&scope)?;
        // Which resources there are is known when AWS has been asked.
        if survey.undecided || self.hangs_on_scope() {
            return Ok(());
        }
        let survey = if with_code { self.with_code(survey) } else { survey };
        survey.finish().map(drop)
    }

    /// All that is wrong with the template and all that is doubtful on the day `today`, in the order of the text.
    pub fn inspect(&self, today: Date) -> Vec<Problem> {
        lint::inspect(self.template.clone(), &self.parameters, today, |stack| {
            let mut problems = self.wrong_code(stack);
            problems.extend(self.doubtful_code(stack));
            problems.extend(self.syntax_errors(stack));
            problems
        })
    }

    /// The code that can be checked: a missing runtime or handler of a function is reported elsewhere.
    fn checkable_code(&self, stack: &Stack) -> impl Iterator<Item = Code> {
        let code = self.code(stack).unwrap_or_default().into_iter();
        code.filter(|code| code.is_layer || !code.runtime.is_empty() && !code.handler.is_empty())
    }

    /// The syntax errors in the code of functions. It takes an interpreter, so it is not part of what every run looks at.
    fn syntax_errors(&self, stack: &Stack) -> Vec<Problem> {
        let errors = package::syntax_errors(&self.code(stack).unwrap_or_default());
        let problem = |(function, error): (String, package::SyntaxError)| {
            let problem = Problem::new(stack.resources[&function].path.key("Properties").key("Code"), error.sentence());
            if error.excerpt.is_empty() { problem } else { problem.help(error.excerpt) }
        };
        errors.into_iter().map(problem).collect()
    }

    /// What is wrong with the code of functions, as far as it shows without building it.
    fn wrong_code(&self, stack: &Stack) -> Vec<Problem> {
        let mut problems = Vec::new();
        for code in self.checkable_code(stack) {
            let resource = &stack.resources[&code.logical_id].path;
            let properties = resource.key("Properties");
            let place = place_of(stack, &code);
            if let Err(error) = self.reach(&code) {
                problems.push(Problem { help: error.help, ..Problem::new(place, error.why) });
                continue;
            }
            match &code.source {
                Source::Path(path) if !path.exists() => {
                    problems.push(match &stack.resources[&code.logical_id].code {
                        Some(stack::Code::Uploaded(uploaded)) => not_here(uploaded, place),
                        _ => self.missing(path, place),
                    });
                }
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

    /// Warnings about the code of functions.
    fn doubtful_code(&self, stack: &Stack) -> Vec<Problem> {
        let mut problems = Vec::new();
        for code in self.checkable_code(stack) {
            let place = place_of(stack, &code);
            let mut warn = |rule, what| {
                problems.push(Problem { rule: Some(rule), ..Problem::new(place.clone(), what) });
            };
            let Ok(outside) = self.reach(&code) else { continue };
            outside.into_iter().for_each(|warning| warn("code-outside", warning));
            package::credentials_warning(&code).into_iter().for_each(|warning| warn("code-with-credentials", warning));
        }
        problems
    }

    /// Where code lies: a warning where it is outside of the project.
    fn reach(&self, code: &Code) -> Result<Option<String>, PackageError> {
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
        let problem = Problem::new(place, package::missing(&shown)).kind(ProblemKind::BadReference);
        let names = names_beside(code);
        let names: Vec<&str> = names.iter().map(String::as_str).collect();
        let given = code.file_name().unwrap_or_default().to_string_lossy();
        match nearest(&given, &names) {
            Some(name) => problem.help(format!("did you mean \"{name}\"?")),
            None => problem.help("code is looked for beside the template"),
        }
    }

    /// The secrets, as far as the template alone contains them.
    pub fn secrets(&self) -> Secrets {
        let template = self.template.as_ref();
        template.map(|template| stack::secrets(template, &self.parameters)).unwrap_or_default()
    }

    /// Whether the value of a parameter may be shown: one of the template's that it does not hide.
    pub fn may_show(&self, parameter: &str) -> bool {
        let declared = self.template.as_ref().ok().and_then(|template| template.parameters.get(parameter));
        declared.is_some_and(|parameter| !parameter.no_echo)
    }

    /// How many warnings `validate` has on the day `today`.
    pub fn warnings(&self, today: Date) -> usize {
        let problems = lint::inspect(self.template.clone(), &self.parameters, today, |stack| self.wrong_code(stack));
        problems.iter().filter(|problem| problem.rule.is_some()).count()
    }

    /// The template's file, as the user named it.
    pub fn file(&self) -> String {
        self.path.display().to_string()
    }

    /// The template's text, as far as it is text.
    pub fn text(&self) -> Cow<'_, str> {
        String::from_utf8_lossy(&self.text)
    }

    /// Whether what is wrong in one account and region may be right in another.
    fn hangs_on_scope(&self) -> bool {
        let text = self.text();
        ["FindInMap", "Conditions"].iter().any(|word| text.contains(word))
            && ["AWS::AccountId", "AWS::Region", "AWS::Partition"].iter().any(|word| text.contains(word))
    }

    /// The folder that the template is in.
    fn folder(&self) -> io::Result<PathBuf> {
        let folder = self.path.parent().filter(|folder| !folder.as_os_str().is_empty());
        std::path::absolute(folder.unwrap_or(Path::new(".")))
    }

    /// What the stack's functions and layers are made from.
    ///
    /// # Errors
    /// When the template's folder cannot be determined.
    pub fn code(&self, stack: &Stack) -> io::Result<Vec<Code>> {
        let folder = self.folder()?;
        let resources = stack.resources.values();
        Ok(resources
            .filter_map(|resource| {
                let text = |name: &str| resource.properties[name].as_str().unwrap_or_default().to_owned();
                let is_layer = !resource.kind.has_code();
                let architectures = if is_layer { "CompatibleArchitectures" } else { "Architectures" };
                let architecture = match resource.properties[architectures][0].as_str() {
                    Some("arm64") => Architecture::Arm64,
                    _ => Architecture::X86_64,
                };
                let source = match resource.code.as_ref()? {
                    stack::Code::Local(path) => Source::Path(folder.join(path)),
                    stack::Code::Inline(text) => Source::Inline(text.clone()),
                    stack::Code::Uploaded(uploaded) => {
                        let found = package::find_uploaded(&folder, uploaded).map(Source::Path);
                        // Without a bucket, a zip that is not there: a folder of the object's name may be anything.
                        let missing = || Source::Path(folder.join(format!("{}.zip", uploaded.name())));
                        found.or_else(|| object(uploaded).map(Source::S3)).unwrap_or_else(missing)
                    }
                };
                Some(Code {
                    logical_id: resource.logical_id.clone(),
                    declared_as: resource.declared_as.clone(),
                    source,
                    object: None,
                    is_layer,
                    runtime: text("Runtime"),
                    handler: text("Handler"),
                    layers: resource.properties["Layers"].as_array().is_some_and(|layers| !layers.is_empty()),
                    architecture,
                    binary: resource.binary.clone(),
                    build: resource.build.clone(),
                    sdk: sdk_packages(stack, resource),
                    template: folder.clone(),
                })
            })
            .collect())
    }

    /// The folder of each function's code as the user names it, by logical id; empty for the current folder.
    pub fn code_folders(&self, stack: &Stack) -> BTreeMap<String, String> {
        let folders = stack.resources.values().filter_map(|resource| match resource.code.as_ref()? {
            stack::Code::Local(path) => {
                let folder: PathBuf =
                    self.path.with_file_name(path).components().filter(|part| *part != Component::CurDir).collect();
                Some((resource.logical_id.clone(), folder.display().to_string()))
            }
            stack::Code::Uploaded(_) | stack::Code::Inline(_) => None,
        });
        folders.collect()
    }

    /// What on this machine is taken for code that the template has in S3, each with the functions that it is about.
    ///
    /// # Errors
    /// When the template's folder cannot be determined.
    pub fn substitutes<'a>(&self, stack: &'a Stack) -> io::Result<BTreeMap<String, Vec<&'a str>>> {
        let folder = self.folder()?;
        let mut notes: BTreeMap<String, Vec<&str>> = BTreeMap::new();
        for resource in stack.resources.values() {
            let Some(stack::Code::Uploaded(uploaded)) = &resource.code else { continue };
            let Some(found) = package::find_uploaded(&folder, uploaded) else { continue };
            let shown = std::env::current_dir().ok().and_then(|here| found.strip_prefix(here).ok().map(Path::to_owned));
            let shown = shown.unwrap_or(found);
            let note = format!("{} is taken for the S3 object {}", shown.display(), uploaded.key);
            notes.entry(note).or_default().push(&resource.logical_id);
        }
        Ok(notes)
    }

    /// Warnings about code that lies outside of the project, each with the functions that it is about.
    ///
    /// # Errors
    /// When a folder cannot be one function's code.
    pub fn outside<'a>(&self, code: &'a [Code]) -> Result<BTreeMap<String, Vec<&'a str>>, PackageError> {
        let mut outside: BTreeMap<String, Vec<&str>> = BTreeMap::new();
        for code in code {
            let warning = self.reach(code).map_err(|mut error| {
                error.functions = vec![code.logical_id.clone()];
                error
            })?;
            warning.into_iter().for_each(|warning| outside.entry(warning).or_default().push(&code.logical_id));
        }
        Ok(outside)
    }
}

/// Where the template names code.
fn place_of(stack: &Stack, code: &Code) -> words::Path {
    let resource = &stack.resources[&code.logical_id];
    resource.path.key("Properties").key(resource.kind.code_property().unwrap_or("Code"))
}

/// The object that code is in; `None` where its bucket is not known before anything exists.
fn object(uploaded: &stack::Uploaded) -> Option<S3Object> {
    let bucket = uploaded.bucket.clone()?;
    Some(S3Object { bucket, key: uploaded.key.clone(), version: uploaded.version.clone() })
}

/// That code is neither here nor in a bucket that is known.
fn not_here(uploaded: &stack::Uploaded, place: words::Path) -> Problem {
    let what = format!("the code is in S3, and {} is not beside the template", uploaded.name());
    let values = ["S3Bucket", "S3Key"].map(|name| place.key(name));
    Problem::new(place, what)
        .kind(ProblemKind::Unsupported)
        .help("put it there, name the local folder, crate or zip file instead, or give its bucket by name")
        .depending_on_values(values)
}

/// Reads the definitions of state machines that stand in files beside the template at `path`.
fn read_files(path: &Path, template: &mut Template) {
    let folder = path.parent().unwrap_or(Path::new(""));
    for (place, file) in template.named_files() {
        let whole = folder.join(&file);
        let too_long = whole.metadata().is_ok_and(|about| about.len() > template::expand::files::LONGEST);
        let text = match std::fs::read_to_string(&whole) {
            _ if too_long => Err(format!("{} is longer than Step Functions takes, 1 MiB", whole.display())),
            Ok(text) => template::expand::files::definition(&text).map_err(|why| format!("{}: {why}", whole.display())),
            Err(error) => Err(format!("{} cannot be read: {error}", whole.display())),
        };
        let text = match text {
            Ok(text) => text.into(),
            Err(what) => {
                template.problems.push(Problem::new(place, what));
                // No further problem follows from it.
                Value::Null
            }
        };
        template.files.insert(file, text);
    }
}

/// What a file has, or just too much of it: it may have no end.
fn read(path: &Path) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    File::open(path)?.take(template::LONGEST as u64 + 1).read_to_end(&mut bytes)?;
    Ok(bytes)
}

/// The names of what is in the folder that `path` leads into.
fn names_beside(path: &Path) -> Vec<String> {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
    entries.map(|entry| entry.file_name().to_string_lossy().into_owned()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn project(text: &str) -> Project {
        let parameters = [("Word".to_owned(), "given".to_owned())].into();
        Project::new(PathBuf::from("app/template.yaml"), text.as_bytes().to_vec(), parameters)
    }

    fn scope(account: &str) -> Scope {
        Scope {
            stack: "chat".to_owned(),
            account: account.to_owned(),
            region: "eu-west-1".to_owned(),
            partition: "aws".to_owned(),
        }
    }

    const SERVERLESS: &str = "
Transform: AWS::Serverless-2016-10-31
Parameters: {Word: {Type: String}, Secret: {Type: String, NoEcho: true, Default: s3cret}}
Resources:
  Hello:
    Type: AWS::Serverless::Function
    Properties: {Runtime: nodejs22.x, Handler: index.handler, CodeUri: hello, Description: !Ref Word}
";

    #[test]
    fn a_template_is_expanded_and_resolved_with_its_parameters_in_a_scope() {
        let project = project(SERVERLESS);
        let stack = project.stack(&scope("123456789012")).unwrap();
        assert_eq!(stack.resources["Hello"].properties["Description"], "given");
        let role = stack.resources["Hello"].properties["Role"].as_str().unwrap();
        assert!(role.starts_with("arn:aws:iam::123456789012:role/chat-HelloRole-"), "{role}");
        // The same parsed template, for another account.
        let other = project.stack(&scope("210987654321")).unwrap();
        assert_ne!(stack.resources["HelloRole"].name, other.resources["HelloRole"].name);
    }

    #[test]
    fn a_state_machines_definition_may_stand_in_a_file() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("machine.asl.yaml"), "StartAt: Wait\n").unwrap();
        let project = |file: &str| {
            let text = format!(
                "
Transform: AWS::Serverless-2016-10-31
Resources:
  Machine: {{Type: AWS::Serverless::StateMachine, Properties: {{DefinitionUri: {file}}}}}
"
            );
            Project::new(folder.path().join("template.yaml"), text.into_bytes(), BTreeMap::new())
        };
        let stack = project("machine.asl.yaml").stack(&scope("123456789012")).unwrap();
        assert_eq!(stack.resources["Machine"].properties["DefinitionString"], "{\n  \"StartAt\": \"Wait\"\n}");
        let problems = project("none.json").stack(&scope("123456789012")).unwrap_err();
        let [problem] = problems.as_slice() else { panic!("{problems:?}") };
        assert_eq!(problem.path.to_string(), "Resources/Machine/Properties/DefinitionUri");
        assert!(problem.what.contains("none.json cannot be read"), "{}", problem.what);
    }

    #[test]
    fn a_functions_code_is_beside_the_template() {
        let project = project(SERVERLESS);
        let code = project.code(&project.stack(&scope("123456789012")).unwrap()).unwrap();
        let [code] = code.as_slice() else { panic!("{code:?}") };
        let folder = std::path::absolute("app").unwrap();
        assert!(matches!(&code.source, Source::Path(path) if *path == folder.join("hello")), "{code:?}");
        assert_eq!((code.logical_id.as_str(), code.runtime.as_str()), ("Hello", "nodejs22.x"));
        assert_eq!(code.template, folder);
    }

    #[test]
    fn all_problems_are_told_at_once_in_the_order_of_the_text() {
        let text = "
Parameters: {Word: {Type: String}}
Resources:
  One: {Type: AWS::DynamoDB::Tabel}
  Two: {Type: AWS::IAM::Role, Properties: {AssumeRolePolicyDocument: !GetAtt Nothing.Arn}}
";
        let problems = project(text).stack(&scope("123456789012")).unwrap_err();
        let paths: Vec<String> = problems.iter().map(|problem| problem.path.to_string()).collect();
        assert_eq!(paths.len(), 2, "{problems:?}");
        assert!(paths[0].contains("One") && paths[1].contains("Two"), "{paths:?}");
        assert_eq!(project("Resources: [").stack(&scope("123456789012")).unwrap_err().len(), 1);
    }

    #[test]
    fn what_may_be_right_in_another_account_is_not_refused_before_it_is_known() {
        let text = |account: &str| {
            format!(
                "
Parameters: {{Word: {{Type: String}}}}
Mappings: {{Accounts: {{\"123456789012\": {{Name: chat}}}}}}
Resources:
  Table:
    Type: AWS::DynamoDB::Table
    Properties:
      TableName: !FindInMap [Accounts, {account}, Name]
      BillingMode: PAY_PER_REQUEST
      AttributeDefinitions: [{{AttributeName: id, AttributeType: S}}]
      KeySchema: [{{AttributeName: id, KeyType: HASH}}]
"
            )
        };
        let hangs = project(&text("!Ref AWS::AccountId"));
        assert_eq!(hangs.check("chat", None, false), Ok(()));
        assert!(hangs.stack(&scope("210987654321")).is_err());
        assert!(hangs.stack(&scope("123456789012")).is_ok());
        assert!(project(&text("\"210987654321\"")).check("chat", None, false).is_err());
    }

    #[test]
    fn a_parameter_may_be_shown_unless_the_template_hides_it() {
        let project = project(SERVERLESS);
        assert!(project.may_show("Word"));
        assert!(!project.may_show("Secret"));
        assert!(!project.may_show("Unknown"));
        assert_eq!(project.secrets().mask("it is s3cret"), "it is ****");
    }
}
