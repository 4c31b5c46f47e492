//! The longest chain of a plan's steps, each as long as AWS was at work for it.

use std::collections::BTreeMap;
use std::time::Duration;

use tokio::time::Instant;

use super::{Link, Round, Run};
use crate::aws::client::Record;
use crate::core::types::function;

/// The longest chain of a round, in order.
pub(super) fn path(run: &Run, round: usize, records: &[Record]) -> Vec<Link> {
    let at = &run.rounds[round];
    let records: Vec<&Record> = records.iter().filter(|record| at.made(record)).collect();
    let refused = records.iter().any(|record| refused_for_its_role(record));
    Chains { index: round, round: at, records, refused, best: BTreeMap::new() }.longest()
}

/// Whether a call has Lambda assume a role: its answer tells all functions how far the news of the role has spread.
fn asks_for_its_role(record: &Record) -> bool {
    matches!(record.operation, "CreateFunction" | "UpdateFunctionConfiguration")
}

/// Lambda's code for a role that it cannot assume yet (and for other invalid values, which end a run).
fn refused_for_its_role(record: &Record) -> bool {
    asks_for_its_role(record) && record.refused.as_deref() == Some("InvalidParameterValueException")
}

/// The chains of a plan's steps, each waiting for the one before.
struct Chains<'a> {
    index: usize,
    round: &'a Round,
    records: Vec<&'a Record>,
    /// Whether Lambda could not assume a fresh role at first.
    refused: bool,
    /// For each step, the longest chain of what comes before it, and the last link of that.
    best: BTreeMap<usize, (Duration, Option<usize>)>,
}

/// How long AWS was at work for a step.
struct Busy {
    time: Duration,
    started: Instant,
    ended: Instant,
}

impl Chains<'_> {
    fn longest(mut self) -> Vec<Link> {
        let whole = |chains: &mut Self, step: usize| chains.before(step) + chains.time(step, None);
        let last = (0..self.round.plan.steps.len()).map(|step| (whole(&mut self, step), step)).max();
        let mut chain = Vec::new();
        let mut at = last.map(|(_, step)| step);
        let mut next = None;
        while let Some(step) = at {
            if let Some(Busy { time, started, ended }) = self.busy(step, next) {
                let name = self.round.plan.steps[step].name.clone();
                chain.push(Link { round: self.index, step, name, time, started, ended });
            }
            next = Some(step);
            at = self.best.get(&step).and_then(|(_, before)| *before);
        }
        chain.reverse();
        chain
    }

    /// The longest chain of what `step` waited for.
    fn before(&mut self, step: usize) -> Duration {
        if let Some((total, _)) = self.best.get(&step) {
            return *total;
        }
        // A circle would end here, not in a stack overflow.
        self.best.insert(step, (Duration::ZERO, None));
        let after = self.round.plan.steps[step].after.clone();
        let longest =
            after.into_iter().map(|before| (self.before(before) + self.time(before, Some(step)), before)).max();
        let total = longest.map_or(Duration::ZERO, |(total, _)| total);
        self.best.insert(step, (total, longest.map(|(_, before)| before)));
        total
    }

    fn time(&self, step: usize, next: Option<usize>) -> Duration {
        self.busy(step, next).map_or(Duration::ZERO, |busy| busy.time)
    }

    /// How long AWS was at work for a step until `next` could go on: without what passed before its first call (its
    /// turn in a lane, its place under a quota) and without the pause between the last refusal and the call that
    /// succeeded (AWS may have been ready all that time; we were not asking). `None` for a step that never ran.
    fn busy(&self, step: usize, next: Option<usize>) -> Option<Busy> {
        let times = self.round.times.get(&step)?;
        // One that did not wait for it to be ready waited only until it was made.
        let ended = match (times.made, next.and_then(|next| self.round.times.get(&next))) {
            (Some(made), Some(next)) if next.started < times.ended => made,
            _ => times.ended,
        };
        let mut calls: Vec<&Record> =
            self.records.iter().copied().filter(|record| record.step == Some(step) && record.started < ended).collect();
        calls.sort_by_key(|record| record.started);
        // Until then AWS is known to have been at work, even if another step was asking.
        let at_work_until = self.role_spread_until(step, &calls).unwrap_or(times.started);
        let pauses = calls.windows(2).filter(|pair| pair[0].refused.is_some() && pair[1].refused.is_none());
        let first = calls.first().map(|first| (times.started, first.started));
        let idle = |(from, until): (Instant, Instant)| until.saturating_duration_since(from.max(at_work_until));
        let idle_first = first.map_or(Duration::ZERO, idle);
        let idle_after_refusals: Duration = pauses.map(|pair| idle((pair[0].ended, pair[1].started))).sum();
        let whole = ended.saturating_duration_since(times.started);
        Some(Busy {
            time: whole.saturating_sub(idle_first).saturating_sub(idle_after_refusals),
            // What came before the role was there is no pause at the beginning.
            started: if at_work_until > times.started { times.started } else { times.started + idle_first },
            ended,
        })
    }

    /// Until when a function's role was on its way through AWS, as far as anybody knew: to the last answer that any
    /// function got before this one's own call was accepted. Few functions ask on behalf of all (`aws::propagation`), for
    /// all code takes one line: one that is silent meanwhile waits for AWS all the same.
    fn role_spread_until(&self, step: usize, calls: &[&Record]) -> Option<Instant> {
        let is_function = self.round.plan.steps[step].type_name == function::TYPE;
        let accepted = calls.iter().find(|record| record.refused.is_none()).map(|record| record.started);
        let answers = self.records.iter().filter(|record| asks_for_its_role(record)).map(|record| record.ended);
        let known = answers.filter(|answered| accepted.is_none_or(|accepted| *answered <= accepted)).max();
        known.filter(|_| is_function && self.refused)
    }
}
