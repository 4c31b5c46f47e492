//! A template and a plan as the types see them: what a type is told of the resource that it is asked about, and of the
//! others.
//!
//! The types stand below `core::stack` and `core::plan` and cannot name what those define; both implement these traits.

use serde::Serialize;
use serde_json::Value;

use super::{Kind, Live, Part, kind};
use crate::core::words::{DeletionPolicy, Path};

/// A resource of the template.
#[derive(Debug, Clone, Copy)]
pub struct ResourceView<'a> {
    pub kind: &'static dyn Kind,
    pub logical_id: &'a str,
    /// The physical id where it is ours to give.
    pub name: Option<&'a str>,
    /// Canonical properties, tokens inside.
    pub properties: &'a Value,
    pub deletion_policy: DeletionPolicy,
    pub update_replace_policy: DeletionPolicy,
}

impl<'a> ResourceView<'a> {
    /// The text of a property; empty where it is none.
    pub fn text(&self, property: &str) -> &'a str {
        self.properties.get(property).and_then(Value::as_str).unwrap_or_default()
    }

    /// The texts in a property that is a list.
    pub fn texts(&self, property: &str) -> impl Iterator<Item = &'a str> + use<'a> {
        texts(self.properties.get(property).unwrap_or(&Value::Null))
    }

    /// Where the template describes it.
    pub fn path(&self) -> Path {
        Path::default().key("Resources").key(self.logical_id)
    }

    /// Where the template gives a property.
    pub fn path_of(&self, property: &str) -> Path {
        self.path().key("Properties").key(property)
    }
}

/// The resources of a template.
pub trait StackView {
    /// All of them, by logical id.
    fn resources(&self) -> Box<dyn Iterator<Item = ResourceView<'_>> + '_>;

    /// The one with this logical id.
    fn get(&self, logical_id: &str) -> Option<ResourceView<'_>>;

    /// Whether they are all that the template describes: one that has a mistake is not among them.
    fn is_whole(&self) -> bool {
        true
    }
}

impl<'s> dyn StackView + 's {
    /// The resources of a type.
    pub fn of(&self, type_name: &str) -> impl Iterator<Item = ResourceView<'_>> {
        self.resources().filter(move |one| one.kind.type_name() == type_name)
    }
}

/// A template that is being planned.
pub trait Planning: StackView {
    /// The properties of a resource as they are to be (`Kind::complete`).
    fn completed(&self, it: &ResourceView<'_>) -> Value;

    /// The digest of the code that was built for a resource; `None` where none was built.
    fn code(&self, logical_id: &str) -> Option<&str>;

    /// The resource of a type that is ours to name and has this physical name.
    fn named(&self, type_name: &str, name: &str) -> Option<ResourceView<'_>>;

    /// The resources that name this in the property by which they are parts of something (`Kind::within`).
    fn parts<'a>(&'a self, of: &str) -> Box<dyn Iterator<Item = ResourceView<'a>> + 'a>;

    /// What AWS has of a type.
    fn live<'a>(&'a self, type_name: &str) -> Box<dyn Iterator<Item = &'a Live> + 'a>;

    /// What AWS has of a type under this physical id.
    fn live_named(&self, type_name: &str, physical_id: &str) -> Option<&Live>;
}

/// What happens to one resource.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum Action {
    Keep,
    Create,
    Update,
    /// Deleted and made again under the same name.
    Replace,
    Delete,
    /// No longer wanted, and left where it is because its deletion policy says so.
    Retain,
}

impl Action {
    /// One character for the margin of a plan.
    pub fn glyph(self) -> char {
        match self {
            Self::Keep => '=',
            Self::Create => '+',
            Self::Update => '~',
            Self::Replace => '!',
            Self::Delete => '-',
            Self::Retain => '·',
        }
    }

    pub fn word(self) -> &'static str {
        match self {
            Self::Keep => "keep",
            Self::Create => "create",
            Self::Update => "update",
            Self::Replace => "replace",
            Self::Delete => "delete",
            Self::Retain => "retain",
        }
    }

    /// Whether anything is called that changes something.
    pub fn acts(self) -> bool {
        !matches!(self, Self::Keep | Self::Retain)
    }
}

/// One property that differs.
#[derive(Debug, Clone, PartialEq)]
pub struct Change {
    /// `Environment.Variables.table`.
    pub property: String,
    /// What AWS has; `None` where it has nothing.
    pub old: Option<Value>,
    /// The desired value; tokens where AWS has not minted it yet.
    pub new: Option<Value>,
    /// Whether AWS cannot change it on an existing resource.
    pub create_only: bool,
}

impl Change {
    /// The property of `Properties` that it is in: `Environment`.
    pub fn top(&self) -> &str {
        self.property.split('.').next().unwrap_or_default()
    }
}

/// A step of a plan.
#[derive(Debug, Clone, Copy)]
pub struct StepView<'a> {
    pub action: Action,
    pub type_name: &'static str,
    /// The logical id; for what has none, what it is called in AWS.
    pub name: &'a str,
    /// Where it exists already, or its name is known.
    pub physical_id: Option<&'a str>,
    pub changes: &'a [Change],
    /// The properties that it shall have, tokens inside; `None` for what goes.
    pub desired: Option<&'a Value>,
    pub live: Option<&'a Live>,
}

impl<'a> StepView<'a> {
    /// The physical id; empty where it is not known.
    pub fn id(&self) -> &'a str {
        self.physical_id.unwrap_or_default()
    }

    /// The text of a live property; empty where there is none.
    pub fn live_text(&self, property: &str) -> &'a str {
        self.live.and_then(|live| live.properties[property].as_str()).unwrap_or_default()
    }

    /// The texts in a live property that is a list.
    pub fn live_texts(&self, property: &str) -> impl Iterator<Item = &'a str> + use<'a> {
        texts(self.live.map_or(&Value::Null, |live| &live.properties[property]))
    }

    /// How a property (`A.B`) changes, if it does.
    pub fn change(&self, property: &str) -> Option<&'a Change> {
        self.changes.iter().find(|change| change.property == property)
    }

    /// The step's type; `None` for one that is not registered.
    pub fn kind(&self) -> Option<&'static dyn Kind> {
        kind(self.type_name)
    }

    /// The part of its type.
    pub fn part(&self) -> Part {
        self.kind().map_or(Part::Other, |kind| kind.part())
    }

    /// The id of the API that it is inside of; empty where it is in none.
    pub fn api(&self) -> &'a str {
        let properties = self.desired.or(self.live.map(|live| &live.properties));
        properties.and_then(|properties| properties["ApiId"].as_str()).unwrap_or_default()
    }

    /// What it takes from those who had it, a sentence each (`Kind::narrows`).
    pub fn narrows(&self) -> Vec<String> {
        let (Some(live), Some(desired), Some(kind)) = (self.live, self.desired, self.kind()) else { return Vec::new() };
        kind.narrows(&live.properties, desired)
    }
}

/// All steps of a plan.
pub trait PlanView {
    /// In the plan's order.
    fn steps(&self) -> Box<dyn Iterator<Item = StepView<'_>> + '_>;
}

impl<'p> dyn PlanView + 'p {
    /// What AWS has of the plan's resources.
    pub fn live(&self) -> impl Iterator<Item = &Live> {
        self.steps().filter_map(|step| step.live)
    }

    /// Whether the plan makes another resource under the logical id of `step`.
    pub fn has_successor(&self, step: &StepView<'_>) -> bool {
        self.steps()
            .any(|other| other.action == Action::Create && (other.type_name, other.name) == (step.type_name, step.name))
    }
}

/// The texts of a list.
pub fn texts(list: &Value) -> impl Iterator<Item = &str> {
    list.as_array().into_iter().flatten().filter_map(Value::as_str)
}
