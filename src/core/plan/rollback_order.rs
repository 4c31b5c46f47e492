//! The order of a rollback.
//!
//! The run's own order, reversed, and the rules of what goes before what do not fit together: a role whose policy names
//! the API was made after it and so would go before it, the API goes before functions so that no call finds one
//! missing, and functions go before their roles. So one strict order of all steps is made first (`Place`), in which AWS
//! accepts each of them, and a step waits for another only where that stands before it. No circle can come of this,
//! whatever the run was ordered by.
//!
//! First everything is put back as it was, in the order in which the run changed it: what an old state refers to is
//! still there, since runs delete last. (A function that gets an old setting back needs its role's old permissions by
//! then.) Then what the run made goes: users before what they use.

use std::cmp::Reverse;

use super::cycles::{places, reached};
use super::order::{is_deleted_first, recorders, types_deleted_before};
use super::{Action, Plan};
use crate::core::types::{self, Part};

/// The position of a rollback's step.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Place {
    /// Where the run's step stood, and the index: a route that comes again is listed before its responses.
    Restore(usize, usize),
    /// By type; within one, the other way round than the run.
    Goes(usize, Reverse<usize>, usize),
}

/// Orders the steps of `back`, the rollback of `run`. `origins` are the steps of the run that its first steps take
/// back.
pub(super) fn order_rollback(back: &mut Plan, origins: &[usize], run: &Plan) {
    let after = |step: usize| run.steps[step].after.iter().copied().collect::<Vec<_>>();
    let named = |step: usize| run.steps[step].after.union(&run.steps[step].retry_after).copied().collect::<Vec<_>>();
    let in_run = places(run.steps.len(), after);
    let recorders = recorders(back);
    let place: Vec<Place> = back
        .steps
        .iter()
        .enumerate()
        .map(|(index, step)| {
            let origin = origins.get(index).map_or(0, |origin| in_run[*origin]);
            if step.action == Action::Delete {
                Place::Goes(rank(back, index, &recorders), Reverse(origin), index)
            } else {
                Place::Restore(origin, index)
            }
        })
        .collect();
    let goes = |index: usize| matches!(place[index], Place::Goes(..));

    let mut edges: Vec<(usize, usize)> = Vec::new();
    for (index, origin) in origins.iter().enumerate() {
        let (waited, spoke) = (reached(*origin, after), reached(*origin, named));
        for (other, its) in origins.iter().enumerate().filter(|(_, its)| *its != origin) {
            match (goes(index), goes(other)) {
                // What waited for it goes first.
                (true, true) if waited.contains(its) => edges.push((other, index)),
                // What was changed to use it is put back first.
                (false, true) if spoke.contains(its) => edges.push((other, index)),
                (false, false) if waited.contains(its) => edges.push((index, other)),
                _ => {}
            }
        }
    }
    for index in (0..back.steps.len()).filter(|index| goes(*index)) {
        let first = types_deleted_before(back.steps[index].type_name);
        let others = (0..back.steps.len()).filter(|other| goes(*other));
        edges.extend(others.filter(|other| first.contains(back.steps[*other].type_name)).map(|other| (index, other)));
    }
    let first: Vec<usize> =
        (0..back.steps.len()).filter(|index| goes(*index) && is_deleted_first(back, *index)).collect();
    for index in (0..back.steps.len()).filter(|index| goes(*index) && !first.contains(index)) {
        edges.extend(first.iter().map(|first| (index, *first)));
    }
    // The records go with it.
    edges.extend(&recorders);
    for (later, earlier) in edges {
        if place[earlier] < place[later] {
            back.steps[later].after.insert(earlier);
        }
    }
}

/// Where a step that deletes stands among the types, two places for each: an API that records others goes with those that have no
/// place there, and is older than they are; what anything else records goes right before it.
fn rank(back: &Plan, index: usize, recorders: &[(usize, usize)]) -> usize {
    let own = |index: usize| 2 * types::rank(back.steps[index].type_name);
    let records = recorders.iter().any(|(recorder, _)| *recorder == index);
    let recorder = recorders.iter().filter(|(_, of)| *of == index).map(|(recorder, _)| *recorder);
    let before = recorder.filter(|recorder| back.steps[*recorder].part() != Part::Api).map(own).min();
    match before {
        _ if records && back.steps[index].part() == Part::Api => 2 * types::TYPES.len(),
        Some(before) if before < own(index) => before - 1,
        _ => own(index),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::types::TYPES;

    /// Then no rule is lost because it does not agree with the order.
    #[test]
    fn the_order_of_types_is_whole_and_agrees_with_every_rule() {
        for kind in TYPES {
            let type_name = kind.type_name();
            for before in types_deleted_before(type_name) {
                assert!(types::rank(before) < types::rank(type_name), "{before} before {type_name}");
            }
            if let Some(parent) = kind.parent() {
                assert!(types::rank(type_name) < types::rank(parent), "{type_name} before {parent}");
            }
        }
    }
}
