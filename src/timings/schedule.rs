//! The schedule of a run: its longest chain of steps that waited for each other, each as long as AWS took for it in this run.
//! Another order, or fewer tries, could have been faster: it is no lower bound (that is `benches/floor`).

use std::collections::BTreeMap;
use std::time::Duration;

use tokio::time::Instant;

use super::{Link, Round, Run};
use crate::aws::client::Record;

/// The schedule of a round, in order.
pub(super) fn path(run: &Run, round: usize, records: &[Record]) -> Vec<Link> {
    let at = &run.rounds[round];
    let records: Vec<&Record> = records.iter().filter(|record| at.contains(record)).collect();
    let refused = records.iter().any(|record| rejected_for_role(record));
    Chains { index: round, round: at, records, refused, best: BTreeMap::new() }.longest()
}

/// Whether a call makes Lambda assume a role: its answer tells whether the role has propagated, for all functions.
fn assumes_role(record: &Record) -> bool {
    matches!(record.operation, "CreateFunction" | "UpdateFunctionConfiguration")
}

/// Whether Lambda rejected a call because it cannot assume the role yet. (Other invalid values have the same error code, but
/// they end the run.)
fn rejected_for_role(record: &Record) -> bool {
    assumes_role(record) && record.refused.as_deref() == Some("InvalidParameterValueException")
}

/// The chains of steps that wait for each other.
struct Chains<'a> {
    index: usize,
    round: &'a Round,
    records: Vec<&'a Record>,
    /// Whether Lambda could not assume a new role at first.
    refused: bool,
    /// For each step, the length of the longest chain before it, and that chain's last step.
    best: BTreeMap<usize, (Duration, Option<usize>)>,
}

/// The time that AWS took for a step.
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

    /// The length of the longest chain that `step` waited for.
    fn before(&mut self, step: usize) -> Duration {
        if let Some((total, _)) = self.best.get(&step) {
            return *total;
        }
        // A cycle would end here instead of overflowing the stack.
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

    /// The time that AWS took for a step until `next` could start. Excluded are the time before the step's first call (it
    /// waited for a free slot or a quota) and the pause between the last rejection and the call that succeeded (AWS may have
    /// been ready all that time, but nothing asked). `None` for a step that never ran.
    fn busy(&self, step: usize, next: Option<usize>) -> Option<Busy> {
        let times = self.round.times.get(&step)?;
        // A step that started before this one was ready only waited until its resource was created.
        let ended = match (times.made, next.and_then(|next| self.round.times.get(&next))) {
            (Some(made), Some(next)) if next.started < times.ended => made,
            _ => times.ended,
        };
        let mut calls: Vec<&Record> =
            self.records.iter().copied().filter(|record| record.step == Some(step) && record.started < ended).collect();
        calls.sort_by_key(|record| record.started);
        // Until then AWS is known to have been busy, even if another step made the calls.
        let busy_until = self.role_spread_until(step, &calls).unwrap_or(times.started);
        let pauses = calls.windows(2).filter(|pair| pair[0].refused.is_some() && pair[1].refused.is_none());
        let first = calls.first().map(|first| (times.started, first.started));
        let idle = |(from, until): (Instant, Instant)| until.saturating_duration_since(from.max(busy_until));
        let idle_first = first.map_or(Duration::ZERO, idle);
        let idle_after_refusals: Duration = pauses.map(|pair| idle((pair[0].ended, pair[1].started))).sum();
        let whole = ended.saturating_duration_since(times.started);
        Some(Busy {
            time: whole.saturating_sub(idle_first).saturating_sub(idle_after_refusals),
            // Waiting for the role is not idle time.
            started: if busy_until > times.started { times.started } else { times.started + idle_first },
            ended,
        })
    }

    /// Until when a function's role was propagating, as far as known: the last answer to any function's call before this
    /// function's own call was accepted. Only a few functions retry on behalf of all (`aws::client::propagation`), because all uploads
    /// share one uplink: a function that makes no calls meanwhile waits for AWS all the same.
    fn role_spread_until(&self, step: usize, calls: &[&Record]) -> Option<Instant> {
        let runs_code = self.round.plan.steps[step].kind().is_some_and(|kind| kind.has_code());
        let accepted = calls.iter().find(|record| record.refused.is_none()).map(|record| record.started);
        let answers = self.records.iter().filter(|record| assumes_role(record)).map(|record| record.ended);
        let known = answers.filter(|answered| accepted.is_none_or(|accepted| *answered <= accepted)).max();
        known.filter(|_| runs_code && self.refused)
    }
}
