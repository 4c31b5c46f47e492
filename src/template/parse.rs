//! From a tree of values to what a template declares.

use std::collections::BTreeMap;

use serde::de::DeserializeOwned;
use serde_json::{Map, Value};

use super::{Template, tree};
use crate::diagnostic::{Path, Problem};
use crate::resources::properties;

/// The sections of a template; SAM's `Globals` among them.
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
    "Transform",
];

/// Sections and macros that CloudFormation has and wschat has not yet.
const LATER: &[&str] = &["Hooks", "Rules"];

/// The most resources of a template, four times CloudFormation's quota: references are followed by recursion.
const MOST_RESOURCES: usize = 2_000;

/// SAM's macro.
const SAM: &str = "AWS::Serverless-2016-10-31";

/// Reads a template. What is wrong with its parts is in `Template::problems`.
///
/// # Errors
/// Text that cannot be read as a template at all.
pub fn parse(bytes: &[u8]) -> Result<Template, Vec<Problem>> {
    let tree = tree::read(bytes)?;
    let Value::Object(sections) = &tree else {
        let what = if tree.is_null() { "the template is empty" } else { "a template must be a map of sections" };
        return Err(vec![Problem::of_text(None, what)]);
    };
    let mut template = Template { tree: tree.clone(), ..Template::default() };
    for (name, section) in sections {
        let path = Path::default().key(name);
        if LATER.contains(&name.as_str()) {
            template.problems.push(Problem::of_key(path, format!("the section {name} is not supported yet")));
        } else if !SECTIONS.contains(&name.as_str()) {
            let problem = Problem::of_key(path, format!("unknown section \"{name}\""));
            template.problems.push(problem.suggest(name, SECTIONS.iter().copied()));
        } else if name != "Metadata" {
            refuse_nulls(section, &path, &mut template.problems);
        }
    }
    template.header(sections)?;
    template.parameters = template.section(sections, "Parameters");
    template.outputs = template.section(sections, "Outputs");
    template.mappings = template.map(sections, "Mappings");
    template.conditions = template.map(sections, "Conditions");
    template.globals = template.map(sections, "Globals");
    template.resources = template.section(sections, "Resources");
    template.check();
    Ok(template)
}

/// CloudFormation refuses nulls anywhere but in metadata.
fn refuse_nulls(value: &Value, path: &Path, problems: &mut Vec<Problem>) {
    match value {
        Value::Null => problems.push(Problem::of_key(path.clone(), "null values are not allowed in templates")),
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

impl Template {
    /// Reads what the sections without members say.
    ///
    /// # Errors
    /// More resources than anything here is made for.
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
            Some(_) => self.problems.push(Problem::new(root.key("Description"), "Description must be a string")),
        }
        let transforms = match sections.get("Transform") {
            None => &[][..],
            Some(Value::Array(transforms)) => transforms,
            Some(one) => std::slice::from_ref(one),
        };
        for transform in transforms {
            if transform == SAM {
                self.sam = true;
            } else if !transform.is_null() {
                let shown =
                    transform.as_str().map_or_else(|| "this transform".to_owned(), |name| format!("\"{name}\""));
                let problem = Problem::new(root.key("Transform"), format!("{shown} is not supported yet"));
                self.problems.push(problem.help(format!("supported: {SAM}")));
            }
        }
        if !self.sam && sections.contains_key("Globals") {
            let problem =
                Problem::of_key(root.key("Globals"), "Globals are SAM's, and this template does not ask for SAM");
            self.problems.push(problem.help(format!("add \"Transform: {SAM}\"")));
        }
        match sections.get("Resources") {
            Some(Value::Object(resources)) if resources.len() > MOST_RESOURCES => {
                let what = format!("the template has {} resources; the limit is {MOST_RESOURCES}", resources.len());
                return Err(vec![Problem::of_key(root.key("Resources"), what)]);
            }
            Some(Value::Object(resources)) if !resources.is_empty() => {}
            // CloudFormation's words.
            _ => self.problems.push(Problem::of_text(None, "At least one Resources member must be defined.")),
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
                self.problems.push(Problem::of_key(path, format!("{name} must be a map")));
                Map::new()
            }
        }
    }

    /// The members of a section, read as what they are. Those that cannot be read are *broken*.
    fn section<T: DeserializeOwned>(&mut self, sections: &Map<String, Value>, name: &str) -> BTreeMap<String, T> {
        let mut read = BTreeMap::new();
        for (member, value) in self.map(sections, name) {
            let path = Path::default().key(name).key(&member);
            // CloudFormation's rule for logical ids of all kinds.
            if !member.chars().all(|character| character.is_ascii_alphanumeric()) {
                let what = format!("the name \"{member}\" may have letters and digits only");
                self.problems.push(Problem::of_key(path.clone(), what));
            }
            match properties::read(&value) {
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

    /// A problem of a member's own shape, with the member named: what the reader of properties calls properties are
    /// attributes here.
    fn of_member(mut problem: Problem, path: &Path, member: &str) -> Problem {
        let own = problem.path.0.is_empty() || problem.at_key && problem.path.0.len() == 1;
        if let Some(rest) = problem.what.strip_prefix("Properties must").filter(|_| own) {
            problem.what = format!("{member} must{rest}");
        } else if own {
            problem.what = format!("{} of {member}", problem.what.replacen("property", "attribute", 1));
        }
        problem.below(path)
    }

    /// Refuses what is well formed, but more than wschat does.
    fn check(&mut self) {
        for (logical_id, resource) in &self.resources {
            let path = Path::default().key("Resources").key(logical_id);
            let attributes = [
                ("CreationPolicy", &resource.creation_policy),
                ("UpdatePolicy", &resource.update_policy),
                ("Connectors", &resource.connectors),
            ];
            for (name, _) in attributes.iter().filter(|(_, attribute)| attribute.is_some()) {
                self.problems.push(Problem::of_key(path.key(name), format!("{name} is not supported yet")));
            }
        }
        for (name, output) in &self.outputs {
            if output.export.is_some() {
                let path = Path::default().key("Outputs").key(name).key("Export");
                let problem = Problem::of_key(path, "exports are not supported: no stack could import them");
                self.problems.push(problem.help("`wschat up` prints the output; pass it on as a parameter"));
            }
        }
    }
}
