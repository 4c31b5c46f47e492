//! How long a run took, and how long it had to take: the longest chain of steps that wait for each other.

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use tokio::time::Instant;

use crate::aws::Record;
use crate::execute::Outcome;
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
        let durations: BTreeMap<usize, Duration> =
            outcome.times.iter().map(|(step, (start, end))| (*step, busy(*step, *start, *end, records))).collect();
        Self {
            makespan: phases.ended - phases.begun,
            connect: phases.connected - phases.begun,
            plan: phases.planned - phases.connected,
            execute: phases.ended - phases.planned,
            critical: longest(plan, &durations),
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

/// How long AWS was at work for a step: its time from start to end, without what passed before its first call (its
/// turn in a lane, its place under a quota) and without the pause between the last refusal and the call that
/// succeeded (AWS may have been ready all that time; we were not asking).
fn busy(step: usize, start: Instant, end: Instant, records: &[Record]) -> Duration {
    let mut calls: Vec<&Record> = records.iter().filter(|record| record.step == Some(step)).collect();
    calls.sort_by_key(|record| record.started);
    let idle_first = calls.first().map_or(Duration::ZERO, |first| first.started.saturating_duration_since(start));
    let idle_after_refusals: Duration = calls
        .windows(2)
        .filter(|pair| pair[0].refused.is_some() && pair[1].refused.is_none())
        .map(|pair| pair[1].started.saturating_duration_since(pair[0].ended))
        .sum();
    (end - start).saturating_sub(idle_first).saturating_sub(idle_after_refusals)
}

/// The chain of steps, each waiting for the one before, whose times add up to the most.
fn longest(plan: &Plan, durations: &BTreeMap<usize, Duration>) -> Vec<Link> {
    let mut best: BTreeMap<usize, (Duration, Option<usize>)> = BTreeMap::new();
    fn visit(
        plan: &Plan,
        durations: &BTreeMap<usize, Duration>,
        best: &mut BTreeMap<usize, (Duration, Option<usize>)>,
        step: usize,
    ) -> Duration {
        if let Some((total, _)) = best.get(&step) {
            return *total;
        }
        let before = plan.steps[step].after.iter().map(|before| (visit(plan, durations, best, *before), *before)).max();
        let own = durations.get(&step).copied().unwrap_or_default();
        let total = own + before.map_or(Duration::ZERO, |(total, _)| total);
        best.insert(step, (total, before.map(|(_, before)| before)));
        total
    }
    let last = (0..plan.steps.len()).map(|step| (visit(plan, durations, &mut best, step), step)).max();
    let mut chain = Vec::new();
    let mut at = last.map(|(_, step)| step);
    while let Some(step) = at {
        if let Some(time) = durations.get(&step) {
            chain.push(Link { name: plan.steps[step].name.clone(), time: *time });
        }
        at = best.get(&step).and_then(|(_, before)| *before);
    }
    chain.reverse();
    chain
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
