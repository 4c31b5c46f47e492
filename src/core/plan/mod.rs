//! The difference between what a template describes and what AWS has, as steps in an order that can be carried out.
//!
//! Pure: the same stack and the same reading give the same plan. `up` carries out exactly the plan that it showed.

pub mod cycles;
mod diff;
pub mod effects;
mod former;
mod label;
mod order;
mod planner;
#[cfg(test)]
mod properties;
mod replaced;
mod retired;
mod rollback;
mod rollback_order;
mod serving;
#[cfg(test)]
mod serving_tests;
#[cfg(test)]
mod simulated;
mod tag_budget;
#[cfg(test)]
mod tests;
#[cfg(test)]
mod values_tests;
pub mod widening;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::time::Duration;

use serde::Serialize;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

pub use diff::{changes, parts};
pub use former::secrets;
pub use planner::{diff, in_use, outgrown, teardown};
pub use replaced::{Replaced, replaced};
pub use retired::retired;
pub use rollback::{Executed, Rollback, expected_live, rollback};

use crate::core::stack::lookups::Missing;
use crate::core::types::{self, Desired, Held, Kind, Live, Part, PlanView, StepView};
pub use crate::core::types::{Action, Change};
use crate::core::words::Token;

/// One resource's part in a plan.
#[derive(Debug, Clone)]
pub struct Step {
    pub action: Action,
    pub type_name: &'static str,
    /// The logical id; for what has none, what it is called in AWS.
    pub name: String,
    /// Where it exists already, or its name is known.
    pub physical_id: Option<String>,
    pub changes: Vec<Change>,
    /// Why, where the changes do not say it.
    pub reason: Option<String>,
    /// The desired resource, tokens inside; `None` for a deletion.
    pub desired: Option<Desired>,
    pub live: Option<Live>,
    /// Steps that must be done before, as indexes into the plan.
    pub after: BTreeSet<usize>,
    /// Steps that AWS may need first: if it refuses this one, it is retried after them.
    pub retry_after: BTreeSet<usize>,
    /// Of `after`, the steps that must be ready and not just made: clients will be led to them.
    pub ready: BTreeSet<usize>,
    /// Steps that this one leads clients to and cannot wait for, because the template has them wait for it.
    pub unready_targets: BTreeSet<usize>,
    /// How long what goes waits for messages that are under way through it.
    pub drain: Option<Drain>,
}

/// A pause between a change of what is served and the end of what was served before.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Drain {
    /// The changes; the last of them to end counts.
    pub since: BTreeSet<usize>,
    /// What a message may still take that was on its way then.
    pub duration: Duration,
}

impl Step {
    /// A step about what is there, under the name that it goes by.
    pub fn on(live: &Live, action: Action) -> Self {
        Self {
            action,
            type_name: live.type_name,
            name: live.logical_id.clone().unwrap_or_else(|| live.physical_id.clone()),
            physical_id: Some(live.physical_id.clone()),
            changes: Vec::new(),
            reason: None,
            desired: None,
            live: Some(live.clone()),
            after: BTreeSet::new(),
            retry_after: BTreeSet::new(),
            ready: BTreeSet::new(),
            unready_targets: BTreeSet::new(),
            drain: None,
        }
    }

    /// The step's type; `None` for one that is not registered, of which no step is made.
    pub fn kind(&self) -> Option<&'static dyn Kind> {
        types::kind(self.type_name)
    }

    /// The step's type as templates have it.
    pub fn shown_type(&self) -> &'static str {
        types::shown_type(self.type_name)
    }

    /// The part of its type where clients are served.
    pub fn part(&self) -> Part {
        self.kind().map_or(Part::Other, |kind| kind.part())
    }

    /// The step as the types see it.
    fn view(&self) -> StepView<'_> {
        StepView {
            action: self.action,
            type_name: self.type_name,
            name: &self.name,
            physical_id: self.physical_id.as_deref(),
            changes: &self.changes,
            desired: self.desired.as_ref().map(|desired| &desired.properties),
            live: self.live.as_ref(),
        }
    }

    /// Why this happens, in any case.
    pub fn why(&self) -> &str {
        self.reason.as_deref().unwrap_or(match self.action {
            Action::Keep => "it matches the template",
            Action::Create => "does not exist",
            Action::Update => "it differs from the template",
            Action::Replace => "it differs from the template in a property that cannot be changed in place",
            Action::Delete | Action::Retain => "not in the template any more",
        })
    }

    /// What two plans must have in common to be the same.
    fn digest_input(&self) -> Value {
        let changes = self.changes.iter().map(|change| json!([change.property, change.old, change.new]));
        json!([self.action.word(), self.type_name, self.name, self.physical_id, changes.collect::<Vec<_>>()])
    }
}

/// All steps of a run.
#[derive(Debug, Clone, Default)]
pub struct Plan {
    pub steps: Vec<Step>,
    /// Attributes that are known already, by token.
    pub known: BTreeMap<Token, String>,
    /// Whether a failure holds up only what waits for the failed step: in a rollback, each step that succeeds leaves
    /// less behind.
    pub continues_after_failure: bool,
}

impl Plan {
    /// Whether there is anything to do.
    pub fn is_empty(&self) -> bool {
        !self.steps.iter().any(|step| step.action.acts())
    }

    /// The values, as text, that are looked up outside of the template and not there yet: other stacks are to export them.
    pub fn not_looked_up(&self) -> BTreeSet<String> {
        let desired = self.steps.iter().filter_map(|step| step.desired.as_ref());
        let tokens = desired.flat_map(|desired| Token::find_all(&desired.properties)).filter(Token::is_of_lookup);
        tokens.map(|token| Token::of_lookup(&token.attribute)).collect()
    }

    /// Twelve hexadecimal digits that no plan with other changes has: `up` can be held to the plan that was looked at.
    pub fn digest(&self) -> String {
        let acting = self.steps.iter().filter(|step| step.action != Action::Keep);
        let mut digest_input: Vec<String> = acting.map(|step| step.digest_input().to_string()).collect();
        digest_input.sort();
        hex::encode(&Sha256::digest(digest_input.join("\n"))[..6])
    }

    /// The same plan, in which nothing waits for messages under way.
    #[must_use]
    pub fn without_drain(mut self) -> Self {
        for step in &mut self.steps {
            step.drain = None;
        }
        self
    }

    /// How long what goes waits for messages under way; `None` where nothing does.
    pub fn drain(&self) -> Option<Duration> {
        self.steps.iter().filter_map(|step| step.drain.as_ref()).map(|drain| drain.duration).max()
    }

    /// What cannot be done without an interruption, a sentence each, with the step.
    pub fn interruptions(&self) -> impl Iterator<Item = (&Step, String)> {
        self.steps.iter().flat_map(|step| effects::of(self, step).interrupted.into_iter().map(move |text| (step, text)))
    }

    /// The steps that take something away or interrupt it. What a changed resource leaves behind, and what nothing
    /// serves any more, is not missed.
    pub fn destructive(&self) -> impl Iterator<Item = &Step> {
        self.steps
            .iter()
            .filter(|step| matches!(step.action, Action::Delete | Action::Replace))
            .filter(|step| !step.kind().is_some_and(|kind| kind.is_left_behind()))
    }
}

impl PlanView for Plan {
    fn steps(&self) -> Box<dyn Iterator<Item = StepView<'_>> + '_> {
        Box::new(self.steps.iter().map(Step::view))
    }
}

/// Why there can be no plan. Displayed, it is a sentence and, in a second line, what to do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PlanError {
    Foreign { type_name: &'static str, logical_id: String, name: String, owner: String },
    DataLoss { logical_id: String, name: String, properties: Option<String> },
    InUse { noun: &'static str, name: String, held: Held },
    Permitted { name: String, function: String },
    Fixed { logical_id: String, property: String },
    Unresolved { logical_id: String, missing: Missing },
    TooManyTags { logical_id: String, own: usize, records: usize },
}

/// What sort of error there is no plan for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum PlanErrorKind {
    /// A name that the template describes belongs to another stack, or to none.
    Foreign,
    /// A resource would have to be replaced, and its data would be lost.
    DataLoss,
    /// What is to be deleted is used outside of the stack.
    InUse,
    /// A permission that stays is on a function that goes.
    Permitted,
    /// A property differs that AWS refuses to change.
    Fixed,
    /// A dynamic reference leads to a value that is not there.
    Unresolved,
    /// A resource would have more tags than AWS takes, with those that record others.
    TooManyTags,
}

impl PlanError {
    /// What sort of error it is.
    pub fn kind(&self) -> PlanErrorKind {
        match self {
            Self::Foreign { .. } => PlanErrorKind::Foreign,
            Self::DataLoss { .. } => PlanErrorKind::DataLoss,
            Self::InUse { .. } => PlanErrorKind::InUse,
            Self::Permitted { .. } => PlanErrorKind::Permitted,
            Self::Fixed { .. } => PlanErrorKind::Fixed,
            Self::Unresolved { .. } => PlanErrorKind::Unresolved,
            Self::TooManyTags { .. } => PlanErrorKind::TooManyTags,
        }
    }

    /// What is wrong: one sentence, no full stop.
    pub fn message(&self) -> String {
        match self {
            Self::Foreign { type_name, name, owner, .. } => {
                format!("{} \"{name}\" already exists and belongs to {owner}", types::shown_type(type_name))
            }
            Self::DataLoss { logical_id, name, properties: None } => {
                format!("\"{name}\" has been replaced as {logical_id}, and would be deleted with all its data")
            }
            Self::DataLoss { logical_id, name, properties: Some(properties) } => format!(
                "{logical_id} would have to be replaced ({properties} cannot be changed in place), and \"{name}\" with all its data would be lost"
            ),
            Self::InUse { noun, name, held: Held { arn, by, .. } } => {
                let (use_it, are_not) = if by.len() == 1 { ("uses", "is") } else { ("use", "are") };
                let by = by.join(", ");
                format!("the {noun} {name} ({arn}) cannot be deleted: {by} {use_it} it, and {are_not} not this stack's")
            }
            Self::Permitted { name, function } => format!(
                "{name} permits to invoke the function {function}, which the template no longer describes and this plan deletes"
            ),
            Self::Fixed { logical_id, property } => {
                format!("{property} of {logical_id} has changed, which CloudFormation does not allow")
            }
            Self::Unresolved { logical_id, missing } => format!("{logical_id}: {}", missing.what),
            Self::TooManyTags { logical_id, own, records } => format!(
                "{logical_id} would have {} tags: {own} of its own, and {records} that record other resources, exports and imports of \
                 the stack; AWS takes {}",
                own + records,
                types::tags::MAX
            ),
        }
    }

    /// What to do about it.
    pub fn help(&self) -> String {
        match self {
            Self::Foreign { logical_id, .. } => format!(
                "give {logical_id} another name, or remove that one yourself: wschat does not change resources of others"
            ),
            Self::DataLoss { logical_id, properties, .. } => {
                let what = if properties.is_some() { "replace" } else { "delete" };
                format!("to {what} it anyway: --allow-data-loss {logical_id}")
            }
            Self::InUse { held, .. } => format!("detach it there first, for example: {}", held.release),
            Self::Permitted { name, .. } => format!("remove {name}, too, or keep the function in the template"),
            Self::Fixed { logical_id, .. } => {
                format!("give {logical_id} another logical id: then a new one is made, and the old one deleted")
            }
            Self::Unresolved { missing, .. } => {
                missing.help.clone().unwrap_or_else(|| "correct the value or the reference to it".to_owned())
            }
            Self::TooManyTags { .. } => {
                "give it fewer tags, or split the template: what is replaced is recorded twice for a while".to_owned()
            }
        }
    }
}

impl fmt::Display for PlanError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}\n  {}", self.message(), self.help())
    }
}

impl std::error::Error for PlanError {}

/// What the user lets a plan do, and what the plan is to know beside the template.
#[derive(Debug, Clone, Default)]
pub struct PlanOptions {
    /// Logical ids whose data may be lost.
    pub allow_data_loss: BTreeSet<String>,
    /// The digests of functions' code, by logical id. A function without one keeps the code it has.
    pub code: BTreeMap<String, String>,
}
