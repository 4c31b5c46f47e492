//! Steps that wait for each other: how a plan is kept free of that, and how it would be told.

use std::collections::BTreeSet;

use super::Plan;
use crate::core::words::reaches;

impl Plan {
    /// Steps that wait for each other, each for the next and the last for the first, whether in any case or after a
    /// refusal. There are none: the orders are made so, and a property test holds them to it.
    pub fn cycle(&self) -> Option<Vec<usize>> {
        cycle(self.steps.len(), |step| {
            let step = &self.steps[step];
            step.after.union(&step.retry_after).copied().collect()
        })
    }

    /// A cycle as an error: `internal error: these steps wait for each other: Chat -> Role -> Chat`.
    pub fn cycle_error(&self, cycle: &[usize]) -> String {
        let names: Vec<&str> = cycle.iter().chain(cycle.first()).map(|step| self.steps[*step].name.as_str()).collect();
        format!("internal error: these steps wait for each other: {} (please report this)", names.join(" -> "))
    }

    /// Takes back every "wait for it only if refused" that would close a circle with what is waited for in any case: a
    /// step that AWS refused would wait for itself, and its error would never be told.
    pub(super) fn break_soft_cycles(&mut self) {
        for index in 0..self.steps.len() {
            let Self { steps, .. } = self;
            let after = std::mem::take(&mut steps[index].after);
            steps[index].retry_after.retain(|target| *target != index && !after.contains(target));
            steps[index].after = after;
        }
        if self.cycle().is_none() {
            return;
        }
        for index in 0..self.steps.len() {
            for target in self.steps[index].retry_after.clone() {
                let waits_for = |step: usize| {
                    let step = &self.steps[step];
                    step.after.union(&step.retry_after).copied().collect::<Vec<_>>().into_iter()
                };
                if reaches(target, index, waits_for) {
                    self.steps[index].retry_after.remove(&target);
                }
            }
        }
    }
}

/// Steps that wait for each other, among so many; `waits_for` gives what a step waits for.
pub fn cycle(steps: usize, waits_for: impl Fn(usize) -> Vec<usize>) -> Option<Vec<usize>> {
    let mut done = vec![false; steps];
    for start in 0..steps {
        if done[start] {
            continue;
        }
        // The way to where the search is, each step with those it waits for that are still to be looked at.
        let mut way: Vec<(usize, Vec<usize>)> = vec![(start, waits_for(start))];
        while let Some((step, ahead)) = way.last_mut() {
            match ahead.pop() {
                None => {
                    done[*step] = true;
                    way.pop();
                }
                Some(next) if done[next] => {}
                Some(next) => match way.iter().position(|(step, _)| *step == next) {
                    Some(first) => return Some(way[first..].iter().map(|(step, _)| *step).collect()),
                    None => way.push((next, waits_for(next))),
                },
            }
        }
    }
    None
}

/// All that `from` waits for, directly or through others.
pub(super) fn reached(from: usize, after: impl Fn(usize) -> Vec<usize>) -> BTreeSet<usize> {
    let mut ahead = after(from);
    let mut seen = BTreeSet::new();
    while let Some(one) = ahead.pop() {
        if seen.insert(one) {
            ahead.extend(after(one));
        }
    }
    seen
}

/// The place of each step in an order in which everything comes after what it waits for, and otherwise as it is listed.
/// What waits for itself has no such place and comes last.
pub(super) fn places(steps: usize, waits_for: impl Fn(usize) -> Vec<usize>) -> Vec<usize> {
    let mut open: Vec<BTreeSet<usize>> = vec![BTreeSet::new(); steps];
    let mut waiting: Vec<Vec<usize>> = vec![Vec::new(); steps];
    for (step, open) in open.iter_mut().enumerate() {
        for earlier in waits_for(step) {
            open.insert(earlier);
            waiting[earlier].push(step);
        }
    }
    let mut free: BTreeSet<usize> = (0..steps).filter(|step| open[*step].is_empty()).collect();
    let mut places = vec![steps; steps];
    let mut place = 0;
    while let Some(step) = free.pop_first() {
        places[step] = place;
        place += 1;
        for later in std::mem::take(&mut waiting[step]) {
            open[later].remove(&step);
            if open[later].is_empty() {
                free.insert(later);
            }
        }
    }
    places
}
