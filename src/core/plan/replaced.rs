//! Whether a plan puts one stack in the place of another that merely has its name.

use super::{Action, Plan};
use crate::core::stack::Stack;
use crate::core::types::{self, Live, Owner};

/// How much of a stack goes, of what is not part of something else.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Replaced {
    pub going: usize,
    pub all: usize,
}

/// Whether `plan` deletes most of what there is of a stack, and the template shares no logical id with it: what a template
/// in the wrong folder does, or a name that two projects share.
pub fn replaced(stack: &Stack, live: &[Live], plan: &Plan) -> Option<Replaced> {
    let ours = live.iter().filter(|live| live.owner == Owner::Stack && live.logical_id.is_some());
    let is_root = |type_name| types::kind(type_name).is_some_and(|kind| kind.parent().is_none());
    let mut all = 0;
    for live in ours {
        if live.logical_id.as_ref().is_some_and(|id| stack.resources.contains_key(id)) {
            return None;
        }
        all += usize::from(is_root(live.type_name));
    }
    let known = |live: &Live| live.logical_id.is_some() && is_root(live.type_name);
    let goes = |step: &&super::Step| step.action == Action::Delete && step.live.as_ref().is_some_and(known);
    let going = plan.steps.iter().filter(goes).count();
    (going * 2 > all).then_some(Replaced { going, all })
}
