//! From a template's declarations to the desired stack.
//!
//! A resource's properties are evaluated once, and every attribute of another resource in them becomes a token, whether
//! its value could be known or not. That already finds the problems and the references, and needs no order. Then the
//! resources get their names, each on demand: a name depends on the create-only properties, which may contain other
//! names. With all names known, tokens with known values are replaced.

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::rc::Rc;

use serde_json::{Map, Value, json};

use super::build::{self, Build};
use super::conditions::Truth;
use super::edges::Edge;
use super::lookups;
use super::parameters::{self, Parameters};
use super::rules;
use super::{
    Code, DeletionPolicy, LOCAL_CODE, Lookup, Lookups, Output, Resource, Scope, Secrets, Stack, Token, Uploaded,
    aws_types,
};
use crate::core::schemas::value_at;
use crate::core::template::{self, Template, expand};
use crate::core::types::constraints::Refusal;
use crate::core::types::tags::Tags;
use crate::core::types::{self, Attribute, Kind, Naming, cloud_control, custom_resource, function, protocol};
use crate::core::words::deserialize::subject;
use crate::core::words::naming::{Identity, check_stack};
use crate::core::words::{Path, Problem, ProblemKind, Step};

/// A template, its SAM resources expanded, and the stack that it describes, as far as it can be resolved.
#[derive(Debug)]
pub struct Survey {
    /// Without SAM resources.
    pub template: Template,
    /// The resources that could be resolved. Those with problems may have missing, empty or non-canonical properties.
    pub stack: Stack,
    /// The problems in the order in which they were found; paths are those of the expanded template.
    pub problems: Vec<Problem>,
    /// The values outside of the template that are not known yet.
    pub lacking: BTreeSet<Lookup>,
    /// Whether what the stack has depends on them: a condition, or a name made of one.
    pub undecided: bool,
}

/// The stack that the text of a template describes in `scope`, with the parameter values that the user `given`.
///
/// # Errors
/// Everything that is wrong with the template and the parameters, in the order of the text.
pub fn load(text: &[u8], given: &BTreeMap<String, String>, scope: &Scope) -> Result<Stack, Vec<Problem>> {
    survey(template::parse(text)?, given, scope).finish()
}

/// As `load`, of a template that is parsed already; goes on where something is wrong.
pub fn survey(template: Template, given: &BTreeMap<String, String>, scope: &Scope) -> Survey {
    survey_with(template, given, scope, &Lookups::default())
}

/// As `survey`, with values that were looked up outside of the template.
pub fn survey_with(template: Template, given: &BTreeMap<String, String>, scope: &Scope, lookups: &Lookups) -> Survey {
    survey_kinds(template, given, scope, lookups, &types::kinds())
}

/// As `survey_with`, where these are the resource types there are.
pub(super) fn survey_kinds(
    template: Template,
    given: &BTreeMap<String, String>,
    scope: &Scope,
    lookups: &Lookups,
    kinds: &[&'static dyn Kind],
) -> Survey {
    let context = expand::Context { partition: &scope.partition, region: &scope.region, parameters: given };
    let template = template.without_upload().with_chores().with_answers();
    let mut template = expand::expand(template, context).with_single_policies().with_regional_tables();
    template = template.with_named_deployments();
    expand::split_record_sets(&mut template);
    let Resolved { stack, problems, lacking, undecided } = resolve(&template, given, scope, lookups, kinds);
    Survey { template, stack, problems, lacking, undecided }
}

/// What came of resolving a template.
struct Resolved {
    stack: Stack,
    problems: Vec<Problem>,
    lacking: BTreeSet<Lookup>,
    undecided: bool,
}

impl Survey {
    /// The stack.
    ///
    /// # Errors
    /// All problems, if there are any, in the order of the text.
    pub fn finish(self) -> Result<Stack, Vec<Problem>> {
        if self.problems.is_empty() { Ok(self.stack) } else { Err(self.template.report(self.problems)) }
    }
}

/// Resolves a template whose SAM resources are expanded, as far as it goes; gives the problems, too.
fn resolve(
    template: &Template,
    given: &BTreeMap<String, String>,
    scope: &Scope,
    lookups: &Lookups,
    kinds: &[&'static dyn Kind],
) -> Resolved {
    let mut problems = template.problems.clone();
    problems.extend(check_stack(&scope.stack).err());
    let parameters = parameters::read(template, given, lookups, &mut problems);
    let mut resolver = Resolver {
        template,
        scope,
        parameters: &parameters,
        kinds: BTreeMap::new(),
        absent: BTreeMap::new(),
        pretending: false,
        depth: 0,
        produced: 0,
        secrets: parameters.secrets.clone(),
        from_secret: false,
        lookups,
        lacking: parameters.lacking.clone(),
        undecided: !parameters.lacking.is_empty(),
        looked_up: parameters.looked_up.clone(),
        unknown: Vec::new(),
        conditions: BTreeMap::new(),
        evaluated: BTreeMap::new(),
        names: BTreeMap::new(),
        exports: BTreeSet::new(),
        references: Vec::new(),
        failed: Vec::new(),
        problems,
    };
    resolver.rules();
    resolver.declare(kinds);
    resolver.check_absent();
    let logical_ids: Vec<&str> = resolver.kinds.keys().copied().collect();
    let mut resources = BTreeMap::new();
    let mut edges = Vec::new();
    for logical_id in logical_ids {
        let (resource, from_here) = resolver.resource(logical_id);
        resources.insert(logical_id.to_owned(), resource);
        edges.extend(from_here);
    }
    let outputs = resolver.outputs();
    let Resolver { secrets, mut problems, lacking, undecided, looked_up, .. } = resolver;
    rules::apply(&mut resources, scope, &mut edges, &mut problems);
    // Problems quote the values that they are about.
    problems.iter_mut().for_each(|problem| secrets.mask_problem(problem));
    let stack = Stack {
        scope: scope.clone(),
        resources,
        outputs,
        secrets,
        tags: Tags::new(),
        lookups: looked_up,
        own: Lookups::default(),
    };
    Resolved { stack, problems, lacking, undecided }
}

/// A reference to a resource, found during evaluation.
#[derive(Debug, Clone)]
pub(super) struct Reference {
    pub target: String,
    pub path: Path,
    /// Whether AWS mints the attribute.
    pub minted: bool,
}

/// The properties of a resource, evaluated, with tokens for all attributes of others.
#[derive(Debug, Default)]
struct Evaluated {
    properties: Map<String, Value>,
    code: Option<Code>,
    references: Vec<Reference>,
    /// The create-only ones among them, as `Kind::canonical` returns them.
    create_only: Map<String, Value>,
    /// Paths at which its kind finds problems.
    faulty: HashSet<Path>,
}

/// A value that is computed once, on demand, and may depend on itself.
#[derive(Debug, Clone)]
enum Progress<T> {
    Begun,
    Done(T),
}

pub(super) struct Resolver<'a> {
    pub template: &'a Template,
    pub scope: &'a Scope,
    pub parameters: &'a Parameters,
    /// The resources of the stack, by logical id: those whose condition is not false.
    pub kinds: BTreeMap<&'a str, &'static dyn Kind>,
    /// The resources whose condition is false.
    pub absent: BTreeMap<&'a str, &'static dyn Kind>,
    /// Whether references to absent resources are allowed.
    pub pretending: bool,
    /// The depth of nested values, conditions and names that are being evaluated.
    pub depth: usize,
    /// How many bytes functions have returned.
    pub produced: usize,
    /// The secrets known so far.
    pub secrets: Secrets,
    /// Whether the value that is being evaluated contains a secret.
    pub from_secret: bool,
    /// Values that were looked up outside of the template.
    pub lookups: &'a Lookups,
    /// Those that are needed, and of these those that were not looked up yet.
    pub looked_up: BTreeSet<Lookup>,
    pub lacking: BTreeSet<Lookup>,
    /// Whether what the stack has depends on one of those.
    pub undecided: bool,
    /// Paths of values that are not known yet: of which type they are is not either.
    pub unknown: Vec<Path>,
    pub conditions: BTreeMap<String, Truth>,
    evaluated: BTreeMap<String, Progress<Rc<Evaluated>>>,
    names: BTreeMap<String, Progress<Option<String>>>,
    /// The names of exports so far.
    exports: BTreeSet<String>,
    /// The references found since they were last taken.
    pub references: Vec<Reference>,
    /// Paths of values that could not be evaluated: their placeholders cause no further problems.
    pub failed: Vec<Path>,
    pub problems: Vec<Problem>,
}

/// The problem that `type_name` is none of `kinds`. Only a name that is no type of AWS's can be a typo.
fn unsupported(type_name: &str, kinds: &[&'static dyn Kind]) -> Problem {
    let path = Path::default().key("Type");
    if let Some(why) = cloud_control::why_not(type_name) {
        return Problem::new(path, format!("resource type \"{type_name}\" is not supported: {why}"))
            .kind(ProblemKind::Unsupported)
            .help("deploy it with another tool, in a stack of its own; supported types: docs/template.md");
    }
    if let Some((why, help)) = aws_types::refused(type_name) {
        let what = format!("resource type \"{type_name}\" is not supported: {why}");
        return Problem::new(path, what).kind(ProblemKind::Unsupported).help(help);
    }
    if type_name.starts_with(custom_resource::PREFIX) {
        let what = format!("\"{type_name}\" cannot be the type of a custom resource");
        return Problem::new(path, what).help("Custom:: and up to 60 letters, digits, _, @ and -");
    }
    if aws_types::contains(type_name) {
        return Problem::new(path, format!("resource type \"{type_name}\" is not supported yet"))
            .kind(ProblemKind::Unsupported)
            .help("deploy it with another tool, in a stack of its own; supported types: docs/template.md");
    }
    let problem =
        Problem::new(path, format!("resource type \"{type_name}\" is not supported")).kind(ProblemKind::Unsupported);
    problem.suggest(type_name, kinds.iter().map(|kind| kind.type_name()).chain(expand::types()))
}

/// The problem that AWS would not find resources of a global type again in `region`.
fn global(type_name: &str, region: &str) -> Problem {
    let home = cloud_control::GLOBAL_REGION;
    let what = format!(
        "resource type \"{type_name}\" is not supported in {region}: it is global, and AWS finds it by its tags in {home} only"
    );
    Problem::new(Path::default().key("Type"), what)
        .kind(ProblemKind::Unsupported)
        .help(format!("deploy it in a stack in {home}"))
}

/// The object in S3 that the code of a `declared` function or layer names; `None` if its key is not known.
fn uploaded(declared: &template::Resource, code: &Map<String, Value>) -> Option<Uploaded> {
    let text = |name: &str| {
        let text = code.get(name)?.as_str()?;
        (!text.is_empty() && Token::find(text).is_empty()).then(|| text.to_owned())
    };
    // The CDK notes the path of each asset, and which property it is for; functions have none but this.
    let asset = declared.metadata["aws:asset:path"].as_str().map(str::to_owned);
    let uploaded = Uploaded { bucket: text("S3Bucket"), key: text("S3Key")?, version: text("S3ObjectVersion"), asset };
    (!["", ".", ".."].contains(&uploaded.name())).then_some(uploaded)
}

/// The path of a resource.
fn path_of(logical_id: &str) -> Path {
    Path::default().key("Resources").key(logical_id)
}

impl<'a> Resolver<'a> {
    /// Finds out which resources the stack has, and their kinds.
    fn declare(&mut self, kinds: &[&'static dyn Kind]) {
        let template = self.template;
        for name in template.conditions.keys() {
            let path = Path::default().key("Conditions").key(name);
            self.holds(Some(name), &path);
        }
        for (logical_id, resource) in &template.resources {
            let path = path_of(logical_id);
            let type_name = resource.type_name.as_str();
            let own = kinds.iter().copied().find(|kind| kind.type_name() == type_name);
            let Some(kind) = own.or_else(|| types::others(type_name)) else {
                // It tells AWS which tool wrote the template, and creates nothing.
                if type_name != "AWS::CDK::Metadata" {
                    self.problems.push(unsupported(type_name, kinds).below(&path));
                }
                continue;
            };
            if cloud_control::is_global(type_name) && self.scope.region != cloud_control::GLOBAL_REGION {
                self.problems.push(global(type_name, &self.scope.region).below(&path));
                continue;
            }
            let there = self.holds(resource.condition.as_deref(), &path.key("Condition"));
            if there { &mut self.kinds } else { &mut self.absent }.insert(logical_id, kind);
        }
    }

    /// Reports problems of the resources whose condition is false, as far as they depend on no value: other parameters
    /// may enable these resources.
    fn check_absent(&mut self) {
        self.pretending = true;
        for (logical_id, kind) in self.absent.clone() {
            let path = path_of(logical_id).key("Properties");
            let declared = &self.template.resources[logical_id];
            for (name, value) in &declared.properties {
                self.check_names(value, &path.key(name));
            }
            let reported = self.problems.len();
            let mut properties = self.evaluate_all(&declared.properties, &path);
            self.problems.truncate(reported);
            self.extract_code(kind, declared, &mut properties, &path);
            let (_, problems) = self.canonical(kind, &properties, &path);
            self.problems.extend(problems);
            self.check_limits(kind, &properties, &path);
        }
        self.references.clear();
        self.pretending = false;
    }

    fn evaluate_all(&mut self, properties: &Map<String, Value>, path: &Path) -> Map<String, Value> {
        let mut evaluated = Map::new();
        for (name, value) in properties {
            let path = path.key(name);
            if let Some(value) = self.evaluate(value, &path) {
                // CloudFormation resolves `{{resolve:...}}` before it calls a service; no service knows it.
                let value = self.resolve_dynamic(value, &path);
                evaluated.insert(name.clone(), value);
            }
        }
        evaluated
    }

    /// Whether a condition holds; a missing or invalid one counts as true.
    fn holds(&mut self, condition: Option<&str>, path: &Path) -> bool {
        let Some(name) = condition else { return true };
        match self.condition(name, path) {
            Ok(truth) => truth,
            Err(failure) => {
                self.problems.extend(failure.into_problem());
                true
            }
        }
    }

    /// The evaluated properties of a resource; `None` while they are being evaluated.
    fn properties(&mut self, logical_id: &str) -> Option<Rc<Evaluated>> {
        match self.evaluated.get(logical_id) {
            Some(Progress::Done(evaluated)) => return Some(Rc::clone(evaluated)),
            Some(Progress::Begun) => return None,
            None => {}
        }
        self.evaluated.insert(logical_id.to_owned(), Progress::Begun);
        let kind = self.kinds[logical_id];
        let path = path_of(logical_id).key("Properties");
        // This may interrupt the evaluation of another resource, whose references are kept aside.
        let waiting = std::mem::take(&mut self.references);
        let from_secret = self.from_secret;
        let declared = &self.template.resources[logical_id];
        let mut properties = self.evaluate_all(&declared.properties, &path);
        let code = self.extract_code(kind, declared, &mut properties, &path);
        let (canonical, problems) = self.canonical(kind, &properties, &path);
        let faulty = problems.iter().map(|problem| problem.path.clone()).collect();
        self.problems.extend(problems);
        let mut create_only = Map::new();
        for name in kind.create_only() {
            let naming = kind.naming().is_some_and(|naming| naming.property == *name);
            if let Some(value) = value_at(&canonical, name).filter(|_| !naming) {
                create_only.insert((*name).to_owned(), value.clone());
            }
        }
        let references = std::mem::replace(&mut self.references, waiting);
        self.from_secret = from_secret;
        let evaluated = Rc::new(Evaluated { properties, code, references, create_only, faulty });
        self.evaluated.insert(logical_id.to_owned(), Progress::Done(Rc::clone(&evaluated)));
        Some(evaluated)
    }

    /// The properties in their kind's canonical form, and their problems.
    fn canonical(&self, kind: &dyn Kind, properties: &Map<String, Value>, path: &Path) -> (Value, Vec<Problem>) {
        let given_properties = Value::Object(properties.clone());
        let internal = kind.internal().iter().flat_map(|property| given(&given_properties, property)).map(unknown);
        let mut refused: Vec<Problem> = internal.collect();
        let properties = self.in_its_api(kind, properties);
        let never = kind.never(&properties);
        let names = never.iter().flat_map(|never| never.properties);
        refused.extend(names.flat_map(|property| given(&given_properties, property)).map(unknown));
        let problems = match kind.canonical(&properties) {
            Ok(canonical) if refused.is_empty() => return (canonical, Vec::new()),
            Ok(_) => Vec::new(),
            Err(problems) => problems,
        };
        let is_new = |problem: &Problem| !refused.iter().any(|one| one.path == problem.path && problem.at_key);
        let problems: Vec<Problem> = problems.into_iter().filter(is_new).collect();
        let mut found = Vec::new();
        for mut problem in refused.into_iter().chain(problems) {
            // The deserializer does not know the type.
            let own = problem.path.0.is_empty() || problem.at_key && problem.path.0.len() == 1;
            if own && matches!(problem.kind, ProblemKind::Unknown | ProblemKind::Missing) {
                problem.what = format!("{} of {}", problem.what, kind.type_name());
            }
            let property = without_indexes(&problem.path);
            if problem.at_key && kind.not_yet().contains(&property.as_str()) {
                problem.what = format!("{property} of {} is not supported yet", kind.type_name());
                problem.help = None;
                problem.kind = ProblemKind::Unsupported;
            }
            if problem.at_key
                && let Some(never) = never.iter().find(|never| never.properties.contains(&property.as_str()))
            {
                problem.what = format!("{property} of {} cannot be used: {}", kind.type_name(), never.why);
                problem.help = Some(never.help.to_owned());
                problem.kind = ProblemKind::Unsupported;
            }
            let problem = problem.below(path);
            // A value that could not be evaluated causes no further problems, but a key is wrong whatever its value.
            let failed = |failed: &Path| match problem.at_key {
                true => failed.is_above(&problem.path) && *failed != problem.path,
                false => problem.path != *path && problem.path.is_above(failed) || failed.is_above(&problem.path),
            };
            if !self.failed.iter().chain(&self.unknown).any(failed) {
                found.push(problem);
            }
        }
        (properties, found)
    }

    /// Properties of a part of an API, with what says that it is an HTTP API (`types::protocol`).
    fn in_its_api(&self, kind: &dyn Kind, properties: &Map<String, Value>) -> Value {
        let mut properties = properties.clone();
        let within = kind.within().filter(|_| kind.internal().contains(&protocol::PROPERTY));
        let api = within.and_then(|within| Token::sole(properties.get(within.property)?.as_str()?));
        let is_http = api.is_some_and(|token| {
            let id = token.logical_id.as_str();
            let declared = self.template.resources.get(id).map(|api| Value::Object(api.properties.clone()));
            let evaluated = match self.evaluated.get(id) {
                Some(Progress::Done(api)) => Some(Value::Object(api.properties.clone())),
                _ => None,
            };
            evaluated.or(declared).is_some_and(|api| protocol::is_http_api(&api))
        });
        if is_http {
            properties.insert(protocol::PROPERTY.to_owned(), protocol::HTTP.into());
        }
        Value::Object(properties)
    }

    /// Reports values that AWS would refuse, unless a problem is reported there already.
    fn check_limits(&mut self, kind: &dyn Kind, properties: &Map<String, Value>, path: &Path) {
        // A missing property may be given under a misspelt name.
        let misspelt = self.problems.iter().any(|problem| problem.at_key && path.is_above(&problem.path));
        for Refusal { problem, missing } in kind.refuses(&self.in_its_api(kind, properties)) {
            if missing && misspelt {
                continue;
            }
            let mut problem = problem.below(path);
            let reported = |other: &Problem| match missing {
                true => other.path == problem.path && other.what == problem.what,
                false => {
                    problem.path != *path && other.path == problem.path
                        || other.at_key && other.path != *path && other.path.is_above(&problem.path)
                }
            };
            let failed = |failed: &Path| {
                let holds = |path: &Path| path.is_above(failed) || failed.is_above(path);
                problem.path != *path && holds(&problem.path) || problem.depends_on_values.iter().any(holds)
            };
            if self.problems.iter().any(reported) || self.failed.iter().chain(&self.unknown).any(failed) {
                continue;
            }
            // A secret stays masked even if it is invalid.
            self.parameters.secrets.mask_problem(&mut problem);
            self.problems.push(problem);
        }
    }

    /// Takes the code out of the properties of a `declared` function or layer.
    fn extract_code(
        &mut self,
        kind: &dyn Kind,
        declared: &template::Resource,
        properties: &mut Map<String, Value>,
        path: &Path,
    ) -> Option<Code> {
        let property = kind.code_property()?;
        let path = path.key(property);
        let is_known = !self.failed.iter().any(|failed| path.is_above(failed) || failed.is_above(&path));
        match properties.get(property)? {
            // The missing code has been reported.
            Value::Null => None,
            Value::String(local) if !local.starts_with("s3://") && Token::find(local).is_empty() => {
                let local = local.clone();
                properties.insert(property.to_owned(), json!({ LOCAL_CODE: true }));
                Some(Code::Local(local))
            }
            Value::Object(code) if kind.has_code() && code.contains_key("ZipFile") => {
                let path = path.key("ZipFile");
                let runtime = properties.get("Runtime").and_then(Value::as_str).unwrap_or_default().to_owned();
                let Some(text) = code["ZipFile"].as_str().map(str::to_owned) else {
                    self.problems.push(Problem::new(path, "inline code must be a string").kind(ProblemKind::IllTyped));
                    return None;
                };
                if declared.properties.get("Code").is_some_and(lookups::is_dynamic) {
                    let what = "inline code cannot have dynamic references: it is kept in files, and secrets are not";
                    let help = "hand it over in a variable: Environment: { Variables: { NAME: ... } }";
                    self.problems.push(Problem::new(path, what).kind(ProblemKind::Unsupported).help(help));
                    return None;
                }
                // CloudFormation has the same restriction (template reference, `AWS::Lambda::Function Code`).
                if !runtime.is_empty() && !["nodejs", "python"].iter().any(|language| runtime.starts_with(language)) {
                    let problem =
                        Problem::new(path, format!("inline code is for nodejs and python, not for {runtime}"));
                    self.problems.push(problem.help("put it into a folder and name that in CodeUri"));
                    return None;
                }
                properties.insert(property.to_owned(), json!({ LOCAL_CODE: true }));
                Some(Code::Inline(text))
            }
            // An image is nobody's to build here: the function's properties have its address.
            Value::Object(code) if kind.has_code() && code.contains_key("ImageUri") => None,
            Value::Object(code) if code.contains_key("S3Key") => match uploaded(declared, code) {
                Some(uploaded) => {
                    properties.insert(property.to_owned(), json!({ LOCAL_CODE: true }));
                    Some(Code::Uploaded(uploaded))
                }
                None => {
                    let what = "the key of code in S3 must be text that is known before anything exists";
                    let problem = Problem::new(path.key("S3Key"), what).help("make it a parameter");
                    self.problems.extend(is_known.then_some(problem));
                    None
                }
            },
            _ => {
                let what = format!("{property} must be a path beside the template, or name an object in S3");
                let help = format!("{property}: PATH, or {property}: {{ S3Bucket: BUCKET, S3Key: KEY }}");
                let problem = Problem::new(path, what).kind(ProblemKind::IllTyped).help(help);
                self.problems.extend(is_known.then_some(problem));
                None
            }
        }
    }

    /// Inline code with all references replaced: it is zipped before any resource exists.
    fn settle_code(&mut self, code: Code, path: &Path) -> Code {
        let Code::Inline(text) = code else { return code };
        let settled = self.settle(&Value::from(text));
        if let Some(token) = Token::find_all(&settled).first() {
            let path = path.key("Properties").key("Code").key("ZipFile");
            let what = Token::readable(&Token::text(&token.logical_id, &token.attribute));
            let problem =
                Problem::new(path, format!("inline code must be known before anything exists, and {what} is not"));
            self.problems.push(problem.help("hand it over in a variable: Environment: { Variables: { NAME: ... } }"));
        }
        Code::Inline(settled.as_str().unwrap_or_default().to_owned())
    }

    /// The physical name of a resource, if wschat or the template sets it.
    pub(super) fn name(&mut self, logical_id: &str) -> Option<String> {
        let kind = *self.kinds.get(logical_id)?;
        let naming = kind.naming()?;
        match self.names.get(logical_id) {
            Some(Progress::Done(name)) => return name.clone(),
            // A name that depends on itself: a circle of references, which is reported as such.
            Some(Progress::Begun) => return None,
            None => {}
        }
        self.names.insert(logical_id.to_owned(), Progress::Begun);
        let path = path_of(logical_id);
        match self.deeper(&path, |resolver| Ok(resolver.make_name(logical_id, kind, naming))) {
            Ok(Some(name)) => name,
            Ok(None) => {
                self.names.remove(logical_id);
                None
            }
            Err(failure) => {
                self.problems.extend(failure.into_problem());
                None
            }
        }
    }

    /// The name of a resource, given or generated; `None` while its properties are being evaluated.
    fn make_name(&mut self, logical_id: &str, kind: &'static dyn Kind, naming: Naming) -> Option<Option<String>> {
        let evaluated = self.properties(logical_id)?;
        let given = evaluated.properties.get(naming.property).map(|given| self.settle(given));
        let name = match given {
            Some(given) => {
                let path = path_of(logical_id).key("Properties").key(naming.property);
                // Names that depend on each other in a circle, or too deeply, are reported as that.
                let minted = |token: &Token| {
                    !token.is_of_lookup()
                        && self.kinds.get(token.logical_id.as_str()).is_none_or(|kind| kind.naming().is_none())
                };
                if Token::find_all(&given).iter().any(minted) || lookups::is_dynamic(&given) {
                    self.problems.push(Problem::new(path, "a name must be known before anything exists"));
                }
                // A name that is too long is reported with the other constraints.
                given.as_str().map(|given| given.chars().take(naming.longest).collect())
            }
            // What is there keeps its name, whichever tool gave it.
            None if self.lookups.name(kind.type_name(), logical_id).is_some() => {
                self.lookups.name(kind.type_name(), logical_id).cloned()
            }
            None => {
                let create_only = match self.settle(&Value::Object(evaluated.create_only.clone())) {
                    Value::Object(create_only) => create_only,
                    _ => Map::new(),
                };
                let type_name = kind.type_name();
                let identity = Identity { scope: self.scope, type_name, logical_id, create_only: &create_only };
                Some(kind.formed(identity.name(naming.longest), &evaluated.properties))
            }
        };
        let name = match naming.within {
            None => name,
            Some(property) => {
                let above = evaluated.properties.get(property).map(|above| self.settle(above));
                let above = above.as_ref().and_then(Value::as_str).map(|above| function::name_and_qualifier(above).0);
                // A function without a known name is not in this template, which is reported.
                let above = above.filter(|above| Token::find(above).is_empty());
                above.zip(name).map(|(above, name)| format!("{above}:{name}"))
            }
        };
        self.names.insert(logical_id.to_owned(), Progress::Done(name.clone()));
        Some(name)
    }

    /// The physical name of a resource with its path, if it has one (`team/chat`).
    fn path_and_name(&mut self, logical_id: &str) -> Option<String> {
        let name = self.name(logical_id)?;
        let path = self.kinds.get(logical_id).and_then(|kind| kind.naming()?.path);
        let path = path.and_then(|property| self.properties(logical_id)?.properties.get(property).cloned());
        let path = path.map(|path| self.settle(&path));
        Some(match path.as_ref().and_then(Value::as_str) {
            Some(path) => format!("{}{name}", path.trim_start_matches('/')),
            None => name,
        })
    }

    /// `value` with all tokens replaced whose values are known before any resource exists.
    pub(super) fn settle(&mut self, value: &Value) -> Value {
        let mut known = BTreeMap::new();
        for token in Token::find_all(value) {
            let Some(kind) = self.kinds.get(token.logical_id.as_str()).copied() else { continue };
            let name = self.path_and_name(&token.logical_id);
            let attribute = (token.attribute != "Ref").then_some(token.attribute.as_str());
            if kind.naming().is_some() && name.is_none() {
                continue;
            }
            match kind.attribute(self.scope, name.as_deref(), attribute) {
                Attribute::Known(value) => known.insert(token, value),
                Attribute::Ref => {
                    let same = Token::text(&token.logical_id, "Ref");
                    known.insert(token, same)
                }
                Attribute::EndsInRef(text) => {
                    let whole = text + &Token::text(&token.logical_id, "Ref");
                    known.insert(token, whole)
                }
                Attribute::Minted | Attribute::NotYet | Attribute::Unknown(_) => None,
            };
        }
        Token::substitute(value, &|token| known.get(token).cloned())
    }

    /// A desired resource, and its references.
    fn resource(&mut self, logical_id: &'a str) -> (Resource, Vec<Edge>) {
        let kind = self.kinds[logical_id];
        let declared = &self.template.resources[logical_id];
        let path = path_of(logical_id);
        let evaluated = self.properties(logical_id).unwrap_or_default();
        let name = self.name(logical_id);
        let settled = self.settle(&Value::Object(evaluated.properties.clone()));
        // Those that name a resource of the stack whose name is known.
        let waiting = std::mem::take(&mut self.references);
        let mut properties = match self.resolve_dynamic(settled, &path.key("Properties")) {
            Value::Object(properties) => properties,
            _ => Map::new(),
        };
        let named = std::mem::replace(&mut self.references, waiting);
        let given = properties.clone();
        if let (Some(naming @ Naming { within: None, .. }), Some(name)) = (kind.naming(), &name) {
            properties.insert(naming.property.to_owned(), name.as_str().into());
        }
        let (mut properties, problems) = self.canonical(kind, &properties, &path.key("Properties"));
        // Problems that were found before the names were known are found again, perhaps in other words.
        let told = |problem: &Problem| evaluated.faulty.contains(&problem.path);
        self.problems.extend(problems.into_iter().filter(|problem| !told(problem)));
        self.check_limits(kind, &given, &path.key("Properties"));

        let mut edges = Vec::new();
        let mut hard = BTreeSet::new();
        let mut soft = BTreeSet::new();
        let (mut by_value, mut by_rule) = (BTreeSet::new(), BTreeSet::new());
        for Reference { target, path, minted } in evaluated.references.iter().chain(&named) {
            let property = path.0.get(3).and_then(|step| match step {
                Step::Key(property) => Some(property.as_str()),
                Step::Index(_) => None,
            });
            let declared = property.is_some_and(|property| kind.hard().contains(&property));
            if declared { &mut by_rule } else { &mut by_value }.insert(target.clone());
            let waits = *minted || declared || kind.waits_for_all();
            if waits { &mut hard } else { &mut soft }.insert(target.clone());
            edges.push(Edge { from: logical_id.to_owned(), to: target.clone(), path: path.clone() });
        }
        for (target, path) in self.depends_on(declared.depends_on.as_ref(), &path.key("DependsOn")) {
            hard.insert(target.clone());
            by_rule.insert(target.clone());
            edges.push(Edge { from: logical_id.to_owned(), to: target, path });
        }
        by_value.retain(|target| hard.contains(target) && !by_rule.contains(target));
        soft.retain(|target| !hard.contains(target));
        let code = evaluated.code.clone().map(|code| self.settle_code(code, &path));
        let build = match &code {
            // It is built already, whatever the metadata say of how.
            Some(Code::Uploaded(_)) => Build::Skip,
            Some(code) => {
                let place = path.key("Metadata");
                let read = match kind.has_code() {
                    true => build::read(&declared.metadata, properties["Runtime"].as_str().unwrap_or_default(), &place),
                    false => build::read_of_layer(&declared.metadata, &place),
                };
                match read {
                    Ok(build) if matches!(code, Code::Local(_)) => build,
                    Ok(_) => Build::default(),
                    Err(problem) => {
                        self.problems.push(problem);
                        Build::default()
                    }
                }
            }
            None => Build::default(),
        };
        build.add_to(&mut properties);
        let resource = Resource {
            logical_id: logical_id.to_owned(),
            kind,
            name,
            properties,
            hard,
            minted: by_value,
            soft,
            deletion_policy: self.policy(declared.deletion_policy.as_deref(), "DeletionPolicy", &path),
            update_replace_policy: self.policy(declared.update_replace_policy.as_deref(), "UpdateReplacePolicy", &path),
            path,
            code,
            binary: declared.metadata["BuildProperties"]["Binary"].as_str().map(str::to_owned),
            build,
            declared_as: self.template.declared_as(logical_id),
        };
        (resource, edges)
    }

    /// The resources that `DependsOn` names.
    fn depends_on(&mut self, declared: Option<&Value>, path: &Path) -> Vec<(String, Path)> {
        let names: Vec<(Option<&str>, Path)> = match declared {
            None => return Vec::new(),
            Some(Value::Array(names)) => {
                names.iter().enumerate().map(|(index, name)| (name.as_str(), path.index(index))).collect()
            }
            Some(name) => vec![(name.as_str(), path.clone())],
        };
        let mut targets = Vec::new();
        for (name, path) in names {
            match name {
                Some(name) if self.kinds.contains_key(name) => targets.push((name.to_owned(), path)),
                // Absent because of its condition, or reported already.
                Some(name) if self.template.resources.contains_key(name) || self.template.is_broken(name) => {}
                Some(name) => {
                    let problem =
                        Problem::new(path, format!("there is no resource \"{name}\"")).kind(ProblemKind::BadReference);
                    self.problems.push(problem.suggest(name, self.kinds.keys().copied()));
                }
                None => {
                    self.problems.push(Problem::new(path, "DependsOn takes logical ids").kind(ProblemKind::IllTyped))
                }
            }
        }
        targets
    }

    /// The value of `DeletionPolicy` or `UpdateReplacePolicy`.
    fn policy(&mut self, written: Option<&str>, attribute: &str, path: &Path) -> DeletionPolicy {
        let Some(written) = written else { return DeletionPolicy::default() };
        // <https://docs.aws.amazon.com/AWSCloudFormation/latest/UserGuide/aws-attribute-updatereplacepolicy.html>
        let replaces = attribute == "UpdateReplacePolicy";
        let read = DeletionPolicy::read(written);
        if let Some(policy) = read.filter(|policy| !(replaces && *policy == DeletionPolicy::RetainExceptOnCreate)) {
            return policy;
        }
        let problem = match written {
            "Snapshot" => {
                let what =
                    format!("{attribute}: Snapshot is for volumes, caches and databases of which AWS makes snapshots");
                Problem::new(path.key(attribute), what).help("Retain leaves the resource itself where it is")
            }
            "RetainExceptOnCreate" => {
                let what =
                    format!("{attribute} cannot be RetainExceptOnCreate: what is replaced was made by an earlier run");
                Problem::new(path.key(attribute), what).help("write Retain")
            }
            _ => {
                let problem = Problem::new(path.key(attribute), format!("unknown {attribute} \"{written}\""))
                    .kind(ProblemKind::Unknown);
                problem.suggest(
                    written,
                    ["Delete", "Retain", "RetainExceptOnCreate"].into_iter().take(if replaces { 2 } else { 3 }),
                )
            }
        };
        self.problems.push(problem);
        DeletionPolicy::default()
    }

    /// The outputs whose condition holds.
    fn outputs(&mut self) -> BTreeMap<String, Output> {
        let template = self.template;
        let mut outputs = BTreeMap::new();
        for (name, declared) in &template.outputs {
            let path = Path::default().key("Outputs").key(name);
            let there = self.holds(declared.condition.as_deref(), &path.key("Condition"));
            let path = path.key("Value");
            if !there {
                self.check_names(&declared.value, &path);
                continue;
            }
            let failed = self.failed.len();
            self.from_secret = false;
            let value = self.evaluate(&declared.value, &path).map(|value| self.settle(&value));
            let value = value.map(|value| self.resolve_dynamic(value, &path));
            // (CloudFormation leaves those to secrets as they are written.)
            if value.as_ref().is_some_and(|value| lookups::texts(value).iter().any(|text| text.starts_with("ssm"))) {
                let what = "an output cannot have a dynamic reference to a parameter of the same template";
                let help = "refer to its value: !GetAtt PARAMETER.Value";
                self.problems.push(Problem::new(path, what).kind(ProblemKind::Unsupported).help(help));
                continue;
            }
            let from_secret = self.from_secret;
            let value = match value {
                Some(Value::String(value)) => value,
                Some(scalar @ (Value::Number(_) | Value::Bool(_))) => scalar.to_string(),
                _ => {
                    if self.failed.len() == failed {
                        self.problems.push(
                            Problem::new(path, "the value of an output must be a string").kind(ProblemKind::IllTyped),
                        );
                    }
                    continue;
                }
            };
            let secret = from_secret || self.secrets.are_in(&value);
            let export = declared.export.as_ref().and_then(|export| self.export(name, export, secret));
            outputs.insert(name.clone(), Output { description: declared.description.clone(), value, secret, export });
        }
        outputs
    }

    /// The name that the output `output` is exported by.
    fn export(&mut self, output: &str, declared: &Value, secret: bool) -> Option<String> {
        let path = Path::default().key("Outputs").key(output).key("Export");
        if secret {
            let what =
                "an export of a secret would be written into a tag, which everybody who can list resources reads";
            let help = "import the secret itself: {{resolve:secretsmanager:ID}} in both templates";
            self.problems.push(Problem::new(path, what).help(help));
            return None;
        }
        let Some(name) = declared.get("Name") else {
            self.problems.push(Problem::new(path, "an export has a Name").kind(ProblemKind::Missing));
            return None;
        };
        let path = path.key("Name");
        let name = match self.known_text(name, &path) {
            Ok(name) => name,
            Err(failure) => {
                self.problems.extend(failure.into_problem());
                return None;
            }
        };
        let allowed = |c: char| c.is_ascii_alphanumeric() || ":-".contains(c);
        // <https://docs.aws.amazon.com/AWSCloudFormation/latest/UserGuide/outputs-section-structure.html>
        if name.is_empty() || name.len() > 255 || !name.chars().all(allowed) {
            let what =
                format!("\"{name}\" cannot be the name of an export: letters, digits, colons and hyphens, at most 255");
            self.problems.push(Problem::new(path, what));
            return None;
        }
        if !self.exports.insert(name.clone()) {
            let what = format!("another output is exported as \"{name}\" already");
            self.problems.push(Problem::new(path, what).kind(ProblemKind::Duplicate));
        }
        Some(name)
    }
}

/// The paths of a property that is written `A` or `A.B`, in every element if `A` is a list.
fn given(properties: &Value, property: &str) -> Vec<Path> {
    let mut places = vec![(Path::default(), properties)];
    for name in property.split('.') {
        let elements = places.into_iter().flat_map(|(path, value)| match value {
            Value::Array(items) => items.iter().enumerate().map(|(index, item)| (path.index(index), item)).collect(),
            _ => vec![(path, value)],
        });
        places = elements.filter_map(|(path, value)| Some((path.key(name), value.get(name)?))).collect();
    }
    places.into_iter().map(|(path, _)| path).collect()
}

/// The problem that CloudFormation does not have the property at `path`.
fn unknown(path: Path) -> Problem {
    let owner = Path(path.0.iter().rev().skip(1).rev().cloned().collect());
    let whose = if owner.0.is_empty() { String::new() } else { format!(" of {}", subject(&owner)) };
    let name = path.0.last().map_or_else(String::new, |name| match name {
        Step::Key(name) => name.clone(),
        Step::Index(index) => index.to_string(),
    });
    Problem::of_key(path, format!("unknown property \"{name}\"{whose}")).kind(ProblemKind::Unknown)
}

/// `GlobalSecondaryIndexes/0/KeySchema` as `GlobalSecondaryIndexes.KeySchema`.
fn without_indexes(path: &Path) -> String {
    let keys = path.0.iter().filter_map(|step| match step {
        Step::Key(key) => Some(key.as_str()),
        Step::Index(_) => None,
    });
    keys.collect::<Vec<_>>().join(".")
}
