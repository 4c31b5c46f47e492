//! Who may do more after a plan than before: what a reviewer looks for first.

use serde_json::Value;

use super::{Action, Step};

/// What a step allows that was not allowed before, a sentence each.
pub fn of(step: &Step) -> Vec<String> {
    let (Some(desired), Some(kind)) = (&step.desired, step.kind()) else { return Vec::new() };
    if !step.action.acts() {
        return Vec::new();
    }
    let old =
        step.live.as_ref().filter(|_| step.action != Action::Create).map_or(&Value::Null, |live| &live.properties);
    kind.widens(&step.name, old, &desired.properties)
}

/// What a step takes from those who had it, a sentence each.
pub(super) fn narrowed(step: &Step) -> Vec<String> {
    step.view().narrows()
}
