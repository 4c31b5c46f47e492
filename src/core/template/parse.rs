//! From a tree of values to a template's declarations.

use std::collections::BTreeMap;

use serde::de::DeserializeOwned;
use serde_json::{Map, Value};

use super::{LANGUAGE_EXTENSIONS, Template, tree};
use crate::core::types::custom_resource;
use crate::core::words::{Path, Problem, ProblemKind, Step, deserialize, nearest};

/// The sections of a template, including SAM's `Globals`.
const SECTIONS: &[&str] = &[
    "AWSTemplateFormatVersion",
    "Conditions",
    "Description",
    "Globals",
    "Mappings",
    "Metadata",
    "Outputs",
    "Parameters",
    "Resources",
    "Rules",
    "Transform",
];

/// The most members of each section: four times CloudFormation's quota, where it has one. Resources are twenty times as many
/// as its 500, since those are what grows; the time to read, plan and check them grows with their number and not faster
/// (`benches/planner.rs`).
const MAX_MEMBERS: &[(&str, usize)] = &[
    ("Conditions", 2_000),
    ("Mappings", 800),
    ("Outputs", 800),
    ("Parameters", 800),
    ("Resources", 10_000),
    ("Rules", 800),
];

/// The longest name of a parameter, resource or output, in characters (CloudFormation's quotas).
const MAX_NAME_LENGTH: usize = 255;

/// CloudFormation's own transforms that wschat does not know (template reference, "Transforms"). No other name is a macro of
/// AWS, so it is a typo, or a macro of the account.
const MACROS: &[&str] = &[
    "AWS::CodeDeployBlueGreen",
    "AWS::Include",
    "AWS::SecretsManager-2020-07-23",
    "AWS::SecretsManager-2024-09-16",
    "AWS::ServiceCatalog",
];

/// SAM's transform.
const SAM: &str = "AWS::Serverless-2016-10-31";

const NO_RESOURCES: &str = "the template has no resources";

/// Reads a template. Problems in its parts are in `Template::problems`.
///
/// # Errors
/// Text that cannot be read as a template at all.
pub fn parse(bytes: &[u8]) -> Result<Template, Vec<Problem>> {
    let (tree, source) = tree::read(bytes)?;
    let Value::Object(sections) = &tree else {
        let what = if tree.is_null() { "the template is empty" } else { "a template must be a map of sections" };
        return Err(vec![Problem::of_text(None, what).kind(ProblemKind::IllTyped)]);
    };
    let mut template = Template { tree: tree.clone(), source, ..Template::default() };
    for (name, section) in sections {
        let path = Path::default().key(name);
        if name == "Hooks" {
            let what = "Hooks are not supported: CloudFormation uses them for blue/green deployments of containers";
            template
                .problems
                .push(Problem::of_key(path, what).kind(ProblemKind::Unsupported).help("leave the section out"));
        } else if name.starts_with("Fn::") {
            let what = format!("{name} adds sections inside CloudFormation, which wschat does not use");
            template
                .problems
                .push(Problem::of_key(path, what).kind(ProblemKind::Unsupported).help("write the sections out"));
        } else if !SECTIONS.contains(&name.as_str()) {
            let problem = Problem::of_key(path, format!("unknown section \"{name}\"")).kind(ProblemKind::Unknown);
            template.problems.push(problem.suggest(name, SECTIONS.iter().copied()));
        } else if name != "Metadata" {
            let mut nulls = Vec::new();
            refuse_nulls(section, &path, &mut nulls);
            template.problems.extend(nulls.into_iter().filter(|null| !is_absent_for_sam(&null.path, sections)));
        }
    }
    template.header(sections)?;
    template.parameters = template.section(sections, "Parameters");
    template.rules = template.section(sections, "Rules");
    template.outputs = template.section(sections, "Outputs");
    template.mappings = template.map(sections, "Mappings");
    template.conditions = template.map(sections, "Conditions");
    template.globals = template.map(sections, "Globals");
    template.resources = template.section(sections, "Resources");
    template.check();
    Ok(template.with_asset_parameters())
}

/// CloudFormation refuses nulls anywhere but in metadata.
fn refuse_nulls(value: &Value, path: &Path, problems: &mut Vec<Problem>) {
    match value {
        Value::Null => problems.push(
            Problem::of_key(path.clone(), "null values are not allowed in templates").kind(ProblemKind::IllTyped),
        ),
        Value::Array(items) => {
            for (index, item) in items.iter().enumerate() {
                refuse_nulls(item, &path.index(index), problems);
            }
        }
        Value::Object(entries) => {
            for (key, value) in entries.iter().filter(|(key, _)| *key != "Metadata") {
                refuse_nulls(value, &path.key(key), problems);
            }
        }
        _ => {}
    }
}

/// Whether the null at `path` is a property of a SAM resource, or one in `Globals`: SAM's translator treats it as not
/// given, so CloudFormation never sees it.
fn is_absent_for_sam(path: &Path, sections: &Map<String, Value>) -> bool {
    let keys: Option<Vec<&str>> =
        path.0.iter().map(|step| if let Step::Key(key) = step { Some(&**key) } else { None }).collect();
    match keys.as_deref() {
        Some(["Globals", _, _]) => true,
        Some(["Resources", logical_id, "Properties", _]) => {
            let type_name = sections["Resources"][*logical_id]["Type"].as_str();
            type_name.is_some_and(|name| name.starts_with("AWS::Serverless::"))
        }
        _ => false,
    }
}

impl Template {
    /// Reads the sections without members.
    ///
    /// # Errors
    /// A section with more members than wschat supports.
    fn header(&mut self, sections: &Map<String, Value>) -> Result<(), Vec<Problem>> {
        let root = Path::default();
        if let Some(version) = sections.get("AWSTemplateFormatVersion")
            && version != "2010-09-09"
        {
            let problem = Problem::new(root.key("AWSTemplateFormatVersion"), "unknown template format version");
            self.problems.push(problem.help("the only one there is: \"2010-09-09\""));
        }
        match sections.get("Description") {
            None | Some(Value::Null) => {}
            Some(Value::String(text)) => self.description = Some(text.clone()),
            Some(_) => self.problems.push(
                Problem::new(root.key("Description"), "Description must be a string").kind(ProblemKind::IllTyped),
            ),
        }
        let transforms = match sections.get("Transform") {
            None => &[][..],
            Some(Value::Array(transforms)) => transforms,
            Some(one) => std::slice::from_ref(one),
        };
        for transform in transforms {
            let name = transform.as_str().unwrap_or_default();
            let meant = if MACROS.contains(&name) { None } else { nearest(name, &[SAM, LANGUAGE_EXTENSIONS]) };
            // A misspelt one counts: whatever it would allow is no further mistake.
            self.sam |= meant == Some(SAM);
            self.language_extensions |= meant == Some(LANGUAGE_EXTENSIONS);
            if transform.is_null() || meant == Some(name) {
                continue;
            }
            let path = root.key("Transform");
            self.problems.push(match meant {
                Some(meant) => Problem::new(path, format!("unknown transform \"{name}\""))
                    .kind(ProblemKind::Unknown)
                    .help(format!("did you mean \"{meant}\"?")),
                None => {
                    let shown = if name.is_empty() { "this transform".to_owned() } else { format!("\"{name}\"") };
                    let what = format!("{shown} is a macro that runs inside CloudFormation, which wschat does not use");
                    Problem::new(path, what)
                        .kind(ProblemKind::Unsupported)
                        .help(format!("known here: {SAM}, {LANGUAGE_EXTENSIONS}"))
                }
            });
        }
        if !self.sam && sections.contains_key("Globals") {
            let problem = Problem::of_key(root.key("Globals"), "Globals need SAM");
            self.problems.push(problem.help(format!("add \"Transform: {SAM}\"")));
        }
        for (section, most) in MAX_MEMBERS {
            let count = sections.get(*section).and_then(Value::as_object).map_or(0, Map::len);
            if count > *most {
                let what = format!("{section} has {count} members; the limit is {most}");
                return Err(vec![Problem::of_key(root.key(section), what)]);
            }
        }
        match sections.get("Resources") {
            Some(Value::Object(resources)) if !resources.is_empty() => {}
            Some(_) => {
                self.problems.push(Problem::of_key(root.key("Resources"), NO_RESOURCES).kind(ProblemKind::Missing))
            }
            None => self.problems.push(Problem::of_text(None, NO_RESOURCES).kind(ProblemKind::Missing)),
        }
        Ok(())
    }

    /// The members of a section, by name.
    fn map(&mut self, sections: &Map<String, Value>, name: &str) -> Map<String, Value> {
        match sections.get(name) {
            None | Some(Value::Null) => Map::new(),
            Some(Value::Object(members)) => members.clone(),
            Some(_) => {
                let path = Path::default().key(name);
                self.problems.push(Problem::of_key(path, format!("{name} must be a map")).kind(ProblemKind::IllTyped));
                Map::new()
            }
        }
    }

    /// The deserialized members of a section. Those that cannot be read are *broken*.
    fn section<T: DeserializeOwned>(&mut self, sections: &Map<String, Value>, name: &str) -> BTreeMap<String, T> {
        let mut read = BTreeMap::new();
        for (member, value) in self.map(sections, name) {
            let path = Path::default().key(name).key(&member);
            if member.starts_with("Fn::") {
                let function = member.split("::").take(2).collect::<Vec<_>>().join("::");
                let problem = Problem::of_key(path, format!("{function} is not supported among {name}"))
                    .kind(ProblemKind::Unsupported);
                self.problems.push(problem.help("write out what it would make"));
                continue;
            }
            // CloudFormation's rule for all logical ids.
            if member.len() > MAX_NAME_LENGTH {
                let what = format!("a name may have {MAX_NAME_LENGTH} characters at most");
                self.problems.push(Problem::of_key(path, what));
                continue;
            }
            if !member.chars().all(|character| character.is_ascii_alphanumeric()) {
                let what = format!("the name \"{member}\" may have letters and digits only");
                self.problems.push(Problem::of_key(path.clone(), what));
                self.break_likely_names(&member);
            }
            match deserialize::read(&value) {
                Ok(value) => {
                    read.insert(member, value);
                }
                Err(_) if value.is_null() => {
                    self.broken.insert(member);
                }
                Err(problems) => {
                    self.problems.extend(problems.into_iter().map(|problem| Self::of_member(problem, &path, &member)));
                    self.broken.insert(member);
                }
            }
        }
        read
    }

    /// Treats as invalid what references to the wrongly named `member` may call it: `Chat` and `Chat1` for `Chat-1`.
    fn break_likely_names(&mut self, member: &str) {
        let is_allowed = |character: &char| character.is_ascii_alphanumeric();
        let beginning: String = member.chars().take_while(is_allowed).collect();
        let allowed: String = member.chars().filter(is_allowed).collect();
        for name in [beginning, allowed] {
            let is_declared = ["Resources", "Parameters"].iter().any(|section| self.tree[section].get(&name).is_some());
            if !name.is_empty() && !is_declared {
                self.broken.insert(name);
            }
        }
    }

    /// A problem of a member's own shape, with the member named: what the deserializer calls properties are attributes
    /// here.
    fn of_member(mut problem: Problem, path: &Path, member: &str) -> Problem {
        let own = problem.path.0.is_empty() || problem.at_key && problem.path.0.len() == 1;
        if own && problem.kind == ProblemKind::IllTyped {
            problem.what = problem.what.replacen("Properties", member, 1);
        } else if own {
            problem.what = format!("{} of {member}", problem.what.replacen("property", "attribute", 1));
        }
        problem.below(path)
    }

    /// Refuses valid features that wschat does not support.
    fn check(&mut self) {
        for (logical_id, resource) in &self.resources {
            let path = Path::default().key("Resources").key(logical_id);
            let attributes = [("CreationPolicy", &resource.creation_policy), ("UpdatePolicy", &resource.update_policy)];
            if resource.version.is_some() && custom_resource::kind(&resource.type_name).is_none() {
                let what = format!("unknown attribute \"Version\" of {logical_id}");
                self.problems.push(Problem::of_key(path.key("Version"), what).kind(ProblemKind::Unknown));
            }
            for (name, _) in attributes.iter().filter(|(_, attribute)| attribute.is_some()) {
                self.problems.push(
                    Problem::of_key(path.key(name), format!("{name} is not supported yet"))
                        .kind(ProblemKind::Unsupported),
                );
            }
        }
    }
}
