//! wschat's marks on resources, put on or taken off, as steps of a plan: for the permissions that this takes.

use serde_json::Value;

use crate::core::plan::{Action, Change, Plan, Step, changes};
use crate::core::types::cloud_control::record::{RECORD, RECORDED_ON};
use crate::core::types::{self, Live, Owner};

/// The step that gives a live resource other marks, which are among these properties; one that keeps it as it is where nothing differs.
pub fn step(live: &Live, properties: &Value) -> Step {
    let Some(kind) = types::kind(live.type_name) else { return Step::on(live, Action::Retain) };
    let mut changes = changes(kind, &live.properties, properties);
    if changes.is_empty() && live.properties != *properties {
        // A mark behind a description, which is no property of its own.
        changes.push(Change { property: "Description".to_owned(), old: None, new: None, create_only: false });
    }
    let action = if changes.is_empty() { Action::Retain } else { Action::Update };
    Step { changes, ..Step::on(live, action) }
}

/// What takes wschat's marks off all that the stack has.
pub fn releasing(live: &[Live]) -> Plan {
    let own = live.iter().filter(|one| one.owner == Owner::Stack && !one.is_absent());
    let steps = own.map(|one| {
        let mut step = step(one, &one.unmarked().properties);
        // The tag that records it is another resource's.
        if one.attributes.contains_key(RECORDED_ON) {
            step.action = Action::Update;
            step.changes.push(Change { property: RECORD.to_owned(), old: None, new: None, create_only: false });
        }
        step
    });
    Plan { steps: steps.collect(), ..Plan::default() }
}
