//! The expansion of one SAM resource into CloudFormation's.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Map, Value, json};

use super::super::{Resource, Template, intrinsics};
use super::document::Documents;
use super::parameters::Parameters;
use super::shape::{Support, truthy};
use super::sub::References;
use super::{Context, Type};
use crate::core::words::{Path, Problem, ProblemKind};

/// The tag that SAM puts on resources that it creates.
const SAM_TAG: (&str, &str) = ("lambda:createdBy", "SAM");
const RESERVED_TAGS: &[&str] = &["lambda:createdBy", "serverlessrepo:applicationId", "serverlessrepo:semanticVersion"];

/// The types of created resources to which SAM propagates tags.
const TAGGED: &[&str] = &[
    "AWS::IAM::Role",
    "AWS::IoT::TopicRule",
    "AWS::Lambda::Function",
    "AWS::S3::Bucket",
    "AWS::SNS::Topic",
    "AWS::SQS::Queue",
    "AWS::StepFunctions::StateMachine",
];

/// A resource that is being expanded, and the resources created from it so far.
pub struct Expansion<'a> {
    pub known: &'static Type,
    pub template: &'a mut Template,
    pub context: Context<'a>,
    pub logical_id: &'a str,
    /// As declared, with `Globals` merged in, without properties that its type does not have.
    pub resource: &'a Resource,
    /// Properties that are missing, misspelt or of a wrong shape: these are reported, and not in `resource`.
    pub faulty: BTreeSet<&'static str>,
    /// Resources that others can refer to, filled during the expansion.
    pub references: &'a mut References,
    /// The documents of APIs, filled by the events of functions.
    pub documents: &'a mut Documents,
    /// Logical ids that SAM changes, filled during the expansion.
    pub renamed: &'a mut BTreeMap<String, String>,
    /// The template's own resources that the expansion changed.
    pub linked: BTreeSet<String>,
    pub made: Vec<(String, Resource)>,
}

impl<'a> Expansion<'a> {
    /// A property, if it is given.
    pub fn get(&self, name: &str) -> Option<&'a Value> {
        self.resource.properties.get(name)
    }

    /// A property, unless SAM treats its value as not given.
    pub fn given(&self, name: &str) -> Option<&'a Value> {
        self.get(name).filter(|value| truthy(value))
    }

    /// The resource's path.
    pub fn path(&self) -> Path {
        Path::default().key("Resources").key(self.logical_id)
    }

    /// The path of a property.
    pub fn place(&self, property: &str) -> Path {
        self.path().key("Properties").key(property)
    }

    pub fn report(&mut self, problem: Problem) {
        self.template.problems.push(problem);
    }

    /// Reports a problem with a property.
    pub fn problem(&mut self, property: &str, what: impl Into<String>) {
        self.report(Problem::new(self.place(property), what));
    }

    /// Reports a problem with the resource's properties as a whole.
    pub fn problem_of_all(&mut self, what: impl Into<String>) {
        self.report(Problem::new(self.path().key("Properties"), what));
    }

    /// Reports that a property is missing, unless a misspelling of it has been reported.
    pub fn missing(&mut self, property: &'static str) {
        self.missing_like(property, None);
    }

    /// As `missing`, with an example of its value.
    pub fn missing_like(&mut self, property: &'static str, example: Option<&str>) {
        if self.faulty.insert(property) {
            let what = format!("missing property \"{property}\" of {}", self.resource.type_name);
            let mut problem = Problem::new(self.path().key("Properties"), what).kind(ProblemKind::Missing);
            if let Some(example) = example {
                let section = self.known.name.trim_start_matches(super::PREFIX);
                problem = problem.help(format!("{property}: {example}, here or in Globals for {section}"));
            }
            self.report(problem);
        }
    }

    /// Records that the value at `made` comes from the one at `written`.
    pub fn note(&mut self, made: Path, written: &Path) {
        let written = self.template.origins.trace(written);
        self.template.origins.note(made, written);
    }

    /// The properties that the created resource has under the same name.
    pub fn passed(&self) -> Map<String, Value> {
        let passed = self.known.properties.iter().filter(|property| property.support == Support::Passed);
        passed.filter_map(|property| Some((property.name.to_owned(), self.get(property.name)?.clone()))).collect()
    }

    /// The `value` of `property` with parameters substituted, in `value` too (`Parameters::inline`).
    pub fn inline(&mut self, property: &str, value: &mut Value) -> Value {
        let parameters = Parameters { template: self.template, context: self.context };
        match parameters.inline(value) {
            Ok(resolved) => resolved,
            Err(name) => {
                // SAM's message shows the value, which may be a secret.
                let what =
                    format!("Fn::Sub expects all variables to be strings; the default of {name} is not a string");
                self.report(Problem::new(self.place(property), what).kind(ProblemKind::IllTyped).help("quote it"));
                value.clone()
            }
        }
    }

    /// Adds the resource itself as a CloudFormation resource.
    pub fn make(&mut self, type_name: &str, mut properties: Map<String, Value>) {
        // The null stands for a property that has been reported: no further problem follows from it.
        for property in self.known.properties.iter().filter(|property| property.support == Support::Passed) {
            if self.faulty.contains(property.name) {
                properties.entry(property.name).or_insert(Value::Null);
            }
        }
        let resource = Resource {
            type_name: type_name.to_owned(),
            properties,
            depends_on: self.resource.depends_on.clone().filter(truthy),
            ignore_globals: None,
            ..self.resource.clone()
        };
        self.made.push((self.logical_id.to_owned(), resource));
    }

    /// An additional resource, created because of `property` (or because of the resource as such).
    pub fn extra_resource(&mut self, property: Option<&str>, id: &str, type_name: &str, properties: Value) -> Resource {
        let made = Path::default().key("Resources").key(id);
        let written = property.map_or(self.path(), |property| self.place(property));
        self.note(made, &written);
        Resource {
            type_name: type_name.to_owned(),
            properties: properties.as_object().cloned().unwrap_or_default(),
            condition: self.resource.condition.clone(),
            deletion_policy: self.resource.deletion_policy.clone(),
            update_replace_policy: self.resource.update_replace_policy.clone(),
            ..Resource::default()
        }
    }

    /// The resource's tags.
    pub fn tags(&mut self) -> impl Iterator<Item = (String, Value)> + use<'a> {
        let mut given = self.get("Tags");
        if given.is_some_and(|tags| intrinsics::call(tags).is_some()) {
            self.problem("Tags", "Tags must be a map of keys and values; an intrinsic function is not supported here");
            given = None;
        }
        let tags = given.and_then(Value::as_object).into_iter().flatten();
        tags.map(|(key, value)| (key.clone(), value.clone()))
    }

    /// The resource's tags as a list.
    pub fn tag_list(&mut self) -> Vec<Value> {
        self.tags().map(|(key, value)| json!({ "Key": key, "Value": value })).collect()
    }

    /// SAM's tag, after a check that the user did not set it.
    pub fn sam_tag(&mut self) -> Value {
        let tags = self.get("Tags").and_then(Value::as_object).into_iter().flatten();
        for (key, _) in tags.filter(|(key, _)| RESERVED_TAGS.contains(&key.as_str())) {
            let what = format!("the tag {key} is reserved for SAM");
            self.report(Problem::of_key(self.place("Tags").key(key), what));
        }
        json!({ "Key": SAM_TAG.0, "Value": SAM_TAG.1 })
    }

    /// Gives the `tags`, instead of any others, to all resources that the expansion has created, and to those that it
    /// changed.
    pub fn propagate_tags(&mut self, tags: &[Value]) {
        let mut tagged: Vec<String> = self.linked.iter().cloned().collect();
        for (id, resource) in self.made.iter_mut().filter(|(_, made)| TAGGED.contains(&made.type_name.as_str())) {
            resource.properties.insert("Tags".to_owned(), tags.into());
            tagged.push(id.clone());
        }
        for id in &self.linked {
            let linked = self.template.resources.get_mut(id);
            if let Some(resource) = linked.filter(|linked| TAGGED.contains(&linked.type_name.as_str())) {
                resource.properties.insert("Tags".to_owned(), tags.into());
            }
        }
        for id in tagged {
            self.note_tags(&made(&id).key("Tags"), tags);
        }
    }

    /// Records the origin of each of `tags`, which are at `made`.
    pub fn note_tags(&mut self, made: &Path, tags: &[Value]) {
        for (index, tag) in tags.iter().enumerate() {
            let written = self.place("Tags").key(tag["Key"].as_str().unwrap_or_default());
            self.note(made.index(index), &written);
        }
    }
}

/// The path of the properties of the created resource `id`.
pub fn made(id: &str) -> Path {
    Path::default().key("Resources").key(id).key("Properties")
}
