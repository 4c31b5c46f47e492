//! How long a run took, and how long it had to take: the longest chain of steps that wait for each other.

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use tokio::time::Instant;

use crate::aws::Record;
use crate::execute::{Outcome, Times};
use crate::plan::Plan;

/// When a run passed from one phase into the next.
#[derive(Debug, Clone, Copy)]
pub struct Phases {
    pub begun: Instant,
    /// AWS has said who is calling.
    pub connected: Instant,
    /// The code is built, AWS is read, the plan is made.
    pub planned: Instant,
    pub ended: Instant,
}

/// One step of the longest chain.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Link {
    pub name: String,
    /// What AWS took for it: its calls, and the states they waited for.
    pub time: Duration,
}

/// The account of a run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Timings {
    /// From the command to the URI.
    pub makespan: Duration,
    pub connect: Duration,
    /// Building, reading and planning.
    pub plan: Duration,
    pub execute: Duration,
    /// The longest chain, in order.
    pub critical: Vec<Link>,
    pub calls: usize,
}

impl Timings {
    /// The account of a run of `plan`.
    pub fn new(plan: &Plan, outcome: &Outcome, records: &[Record], phases: Phases) -> Self {
        Self {
            makespan: phases.ended - phases.begun,
            connect: phases.connected - phases.begun,
            plan: phases.planned - phases.connected,
            execute: phases.ended - phases.planned,
            critical: Chains { plan, times: &outcome.times, records, best: BTreeMap::new() }.longest(),
            calls: records.len(),
        }
    }

    /// What the run could not have been shorter than: what comes before the plan is carried out, and the chain.
    pub fn critical_path(&self) -> Duration {
        self.connect + self.plan + self.critical.iter().map(|link| link.time).sum::<Duration>()
    }

    /// The makespan as a multiple of the critical path.
    pub fn ratio(&self) -> f64 {
        self.makespan.as_secs_f64() / self.critical_path().as_secs_f64().max(f64::MIN_POSITIVE)
    }
}

/// The chains of a plan's steps, each waiting for the one before.
struct Chains<'a> {
    plan: &'a Plan,
    times: &'a BTreeMap<usize, Times>,
    records: &'a [Record],
    /// For each step, the longest chain of what comes before it, and the last link of that.
    best: BTreeMap<usize, (Duration, Option<usize>)>,
}

impl Chains<'_> {
    fn longest(mut self) -> Vec<Link> {
        let whole = |chains: &mut Self, step: usize| chains.before(step) + chains.busy(step, None);
        let last = (0..self.plan.steps.len()).map(|step| (whole(&mut self, step), step)).max();
        let mut chain = Vec::new();
        let mut at = last.map(|(_, step)| step);
        let mut next = None;
        while let Some(step) = at {
            if self.times.contains_key(&step) {
                chain.push(Link { name: self.plan.steps[step].name.clone(), time: self.busy(step, next) });
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
        let after = self.plan.steps[step].after.clone();
        let longest =
            after.into_iter().map(|before| (self.before(before) + self.busy(before, Some(step)), before)).max();
        let total = longest.map_or(Duration::ZERO, |(total, _)| total);
        self.best.insert(step, (total, longest.map(|(_, before)| before)));
        total
    }

    /// How long AWS was at work for a step until `next` could go on: without what passed before its first call (its
    /// turn in a lane, its place under a quota) and without the pause between the last refusal and the call that
    /// succeeded (AWS may have been ready all that time; we were not asking).
    fn busy(&self, step: usize, next: Option<usize>) -> Duration {
        let Some(times) = self.times.get(&step) else { return Duration::ZERO };
        // One that did not wait for it to be ready waited only until it was made.
        let end = match (times.made, next.and_then(|next| self.times.get(&next))) {
            (Some(made), Some(next)) if next.started < times.ended => made,
            _ => times.ended,
        };
        let mut calls: Vec<&Record> =
            self.records.iter().filter(|record| record.step == Some(step) && record.started < end).collect();
        calls.sort_by_key(|record| record.started);
        let idle_first =
            calls.first().map_or(Duration::ZERO, |first| first.started.saturating_duration_since(times.started));
        let idle_after_refusals: Duration = calls
            .windows(2)
            .filter(|pair| pair[0].refused.is_some() && pair[1].refused.is_none())
            .map(|pair| pair[1].started.saturating_duration_since(pair[0].ended))
            .sum();
        end.saturating_duration_since(times.started).saturating_sub(idle_first).saturating_sub(idle_after_refusals)
    }
}

impl fmt::Display for Timings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let seconds = |time: Duration| format!("{:.2} s", time.as_secs_f64());
        writeln!(
            f,
            "Makespan {} (connect {}, build and plan {}, execute {}), {} calls",
            seconds(self.makespan),
            seconds(self.connect),
            seconds(self.plan),
            seconds(self.execute),
            self.calls
        )?;
        let chain: Vec<String> =
            self.critical.iter().map(|link| format!("{} {}", link.name, seconds(link.time))).collect();
        writeln!(f, "Critical path {}: {}", seconds(self.critical_path()), chain.join(" -> "))?;
        write!(f, "Ratio {:.2}", self.ratio())
    }
}
