//! What is kept: stacks by their ids, each with its template, resources, outputs, events and change sets.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::Value;
use uuid::Uuid;

use crate::local::context::CloudContext;
use crate::local::context::clock::now_millis;
use crate::local::protocol::wire::ApiError;

/// What identifies a resource: the properties of its type's primary identifier.
pub type Identifier = BTreeMap<String, String>;

/// What dynamic references gave, by what stands between `{{resolve:` and `}}`.
pub type LookedUp = BTreeMap<String, String>;

/// All regions.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct State {
    regions: BTreeMap<String, Region>,
}

/// The stacks of a region by their ids, deleted ones among them.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct Region {
    pub stacks: BTreeMap<String, Stack>,
}

/// One stack.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct Stack {
    /// Its ARN.
    pub id: String,
    pub name: String,
    pub status: String,
    pub reason: Option<String>,
    pub created: i64,
    pub updated: Option<i64>,
    pub deleted: Option<i64>,
    pub settings: Settings,
    pub protected: bool,
    /// Its stack policy, as it was set.
    pub policy: Option<String>,
    /// The text of its template, as it was sent.
    pub body: String,
    /// The template after its transforms, with every function in its long form.
    pub processed: Value,
    pub resources: BTreeMap<String, Resource>,
    pub outputs: Vec<Output>,
    /// The exports of other stacks that it uses.
    pub imports: Vec<String>,
    /// The oldest first.
    pub events: Vec<Event>,
    pub change_sets: BTreeMap<String, ChangeSet>,
    /// The change set that was last executed.
    pub executed: Option<String>,
}

/// What a caller says of a stack beside its template.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Settings {
    /// The value of every parameter, defaults among them.
    pub parameters: BTreeMap<String, String>,
    pub capabilities: Vec<String>,
    pub tags: BTreeMap<String, String>,
    pub role_arn: Option<String>,
    pub notification_arns: Vec<String>,
    pub disable_rollback: bool,
    #[serde(default)]
    pub retain_except_on_create: bool,
}

/// One resource of a stack.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct Resource {
    pub type_name: String,
    /// What identifies it, of those that exist.
    pub identifier: Identifier,
    pub physical_id: String,
    pub status: String,
    pub reason: Option<String>,
    pub at: i64,
    /// Its properties with every function evaluated, and their dynamic references as they are written.
    pub properties: Value,
    /// What those gave when it was made or last changed.
    #[serde(default)]
    pub looked_up: LookedUp,
    /// Its place in the order of creation.
    pub place: usize,
}

/// One output of a stack.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Output {
    pub key: String,
    pub value: String,
    pub description: Option<String>,
    pub export: Option<String>,
}

/// Something that happened to a stack or to one of its resources.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Event {
    pub id: String,
    pub at: i64,
    pub logical_id: String,
    pub physical_id: String,
    pub type_name: String,
    pub status: String,
    pub reason: Option<String>,
}

/// A change set.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct ChangeSet {
    /// Its ARN.
    pub id: String,
    pub name: String,
    /// `CREATE`, `UPDATE` or `IMPORT`.
    pub kind: String,
    pub description: Option<String>,
    pub status: String,
    pub execution: String,
    pub reason: Option<String>,
    pub created: i64,
    pub settings: Settings,
    pub body: String,
    pub processed: Value,
    pub changes: Vec<Change>,
    pub imports: Vec<ResourceToImport>,
}

/// What a change set does to one resource.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Change {
    /// `Add`, `Modify`, `Remove` or `Import`.
    pub action: String,
    pub logical_id: String,
    pub physical_id: Option<String>,
    pub type_name: String,
    /// What changes of one that is modified: `Properties`, `DeletionPolicy`, …
    pub scope: Vec<String>,
    /// The properties that change.
    pub properties: Vec<String>,
    /// The properties of one that is added, as far as their values are known.
    #[serde(skip)]
    pub stated: Value,
}

/// A resource that a change set takes into its stack.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct ResourceToImport {
    pub type_name: String,
    pub logical_id: String,
    pub identifier: Identifier,
}

/// The status of a stack that a change set has made and nothing has filled yet.
pub const IN_REVIEW: &str = "REVIEW_IN_PROGRESS";
pub const DELETED: &str = "DELETE_COMPLETE";
/// The execution status of a change set that is being carried out.
pub const EXECUTING: &str = "EXECUTE_IN_PROGRESS";
/// The type of stacks in events.
pub const STACK_TYPE: &str = "AWS::CloudFormation::Stack";

impl State {
    pub fn region_mut(&mut self, region: &str) -> &mut Region {
        self.regions.entry(region.to_owned()).or_default()
    }

    /// The stacks of a region that are not deleted.
    pub fn live(&self, region: &str) -> impl Iterator<Item = &Stack> {
        self.all(region).filter(|stack| stack.status != DELETED)
    }

    /// The stacks of a region.
    pub fn all(&self, region: &str) -> impl Iterator<Item = &Stack> {
        self.regions.get(region).into_iter().flat_map(|region| region.stacks.values())
    }

    /// Every stack with its region.
    pub fn everywhere(&self) -> impl Iterator<Item = (&str, &Stack)> {
        self.regions.iter().flat_map(|(name, region)| region.stacks.values().map(|stack| (name.as_str(), stack)))
    }

    /// A stack by its name or its id. A deleted one is found by its id alone.
    ///
    /// # Errors
    /// `ValidationError` where there is none.
    pub fn stack(&self, region: &str, named: &str) -> Result<&Stack, ApiError> {
        let found = match self.regions.get(region).and_then(|region| region.stacks.get(named)) {
            Some(stack) => Some(stack),
            None => self.live(region).find(|stack| stack.name == named),
        };
        found.ok_or_else(|| unknown_stack(named))
    }

    /// The stack with an id, to be changed.
    ///
    /// # Errors
    /// `ValidationError` where there is none.
    pub fn stack_mut(&mut self, region: &str, id: &str) -> Result<&mut Stack, ApiError> {
        self.region_mut(region).stacks.get_mut(id).ok_or_else(|| unknown_stack(id))
    }

    /// The stacks that use an export.
    pub fn importers<'a>(&'a self, region: &str, export: &'a str) -> impl Iterator<Item = &'a str> {
        self.live(region)
            .filter(move |stack| stack.imports.iter().any(|one| one == export))
            .map(|stack| stack.name.as_str())
    }

    /// The values of all exports of a region, by name.
    pub fn exports(&self, region: &str) -> BTreeMap<String, String> {
        let outputs = self.live(region).flat_map(|stack| &stack.outputs);
        outputs.filter_map(|output| Some((output.export.clone()?, output.value.clone()))).collect()
    }
}

impl Stack {
    /// A stack that is about to be made.
    pub fn new(region: &str, name: &str) -> Self {
        let id = CloudContext::arn("cloudformation", region, &format!("stack/{name}/{}", Uuid::new_v4()));
        Self { id, name: name.to_owned(), created: now_millis(), ..Self::default() }
    }

    /// Whether something is under way with it.
    pub fn is_busy(&self) -> bool {
        self.status.ends_with("_IN_PROGRESS") && self.status != IN_REVIEW
    }

    /// Sets the status, and writes it down as an event. A change set whose execution comes to its end with it has failed if it was
    /// rolled back.
    pub fn set_status(&mut self, status: &str, reason: Option<&str>) {
        self.status = status.to_owned();
        if !self.is_busy() {
            let is_done = status.ends_with("_COMPLETE") && !status.contains("ROLLBACK");
            for set in self.change_sets.values_mut().filter(|set| set.execution == EXECUTING) {
                set.execution = if is_done { "EXECUTE_COMPLETE" } else { "EXECUTE_FAILED" }.to_owned();
            }
        }
        self.reason = reason.map(str::to_owned);
        let (name, id) = (self.name.clone(), self.id.clone());
        self.record(&name, &id, STACK_TYPE, status, reason);
    }

    /// Sets a resource's status, and writes it down as an event.
    pub fn set_resource_status(&mut self, logical_id: &str, status: &str, reason: Option<&str>) {
        let Some(resource) = self.resources.get_mut(logical_id) else { return };
        resource.status = status.to_owned();
        resource.reason = reason.map(str::to_owned);
        resource.at = now_millis();
        let (physical_id, type_name) = (resource.physical_id.clone(), resource.type_name.clone());
        self.record(logical_id, &physical_id, &type_name, status, reason);
    }

    fn record(&mut self, logical_id: &str, physical_id: &str, type_name: &str, status: &str, reason: Option<&str>) {
        let id = match type_name {
            STACK_TYPE => Uuid::new_v4().to_string(),
            _ => format!("{logical_id}-{status}-{}", self.events.len()),
        };
        self.events.push(Event {
            id,
            at: now_millis(),
            logical_id: logical_id.to_owned(),
            physical_id: physical_id.to_owned(),
            type_name: type_name.to_owned(),
            status: status.to_owned(),
            reason: reason.map(str::to_owned),
        });
    }

    /// Takes out again what an import has brought so far: what its template does not have.
    pub fn take_back_imports(&mut self) {
        let declared = &self.processed["Resources"];
        self.resources.retain(|logical_id, _| declared[logical_id.as_str()].is_object());
    }

    /// Logical ids in the order of creation.
    pub fn in_order(&self) -> Vec<String> {
        let mut ids: Vec<&String> = self.resources.keys().collect();
        ids.sort_by_key(|id| self.resources[*id].place);
        ids.into_iter().cloned().collect()
    }
}

/// AWS's error for a stack that is not there.
pub fn unknown_stack(name: &str) -> ApiError {
    invalid(format!("Stack with id {name} does not exist"))
}

pub fn invalid(message: impl Into<String>) -> ApiError {
    ApiError::new(400, "ValidationError", message)
}
