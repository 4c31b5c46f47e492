//! What a step interrupts, and what is lost with it: what its type says (`Kind::effects`), and what the order does.

use super::{Plan, Step};
pub use crate::core::types::StepEffects;

/// The effects of one step of a plan.
pub fn of(plan: &Plan, step: &Step) -> StepEffects {
    let mut effects = step.kind().map(|kind| kind.effects(&step.view(), plan)).unwrap_or_default();
    // Only a template whose own order speaks against it.
    for later in &step.unready_targets {
        let name = &plan.steps[*later].name;
        effects
            .interrupted
            .push(format!("clients reach {name} before it exists: the template makes {name} wait for {}", step.name));
    }
    effects
}
