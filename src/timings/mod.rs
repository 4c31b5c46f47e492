//! Timings of a run: how long it took, and its schedule, the longest chain of steps that waited for each other.

mod html;
mod schedule;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use tokio::time::Instant;

pub use html::page;

use crate::aws::client::Record;
use crate::core::plan::Plan;
use crate::deploy::execute::{Outcome, Times};

/// The record of a run.
#[derive(Debug, Clone)]
pub struct Run {
    pub begun: Instant,
    /// When AWS had confirmed the caller's identity.
    pub connected: Instant,
    /// Usually one; several if the run had to plan again.
    pub rounds: Vec<Round>,
}

/// A plan and its execution.
#[derive(Debug, Clone)]
pub struct Round {
    pub plan: Plan,
    pub times: BTreeMap<usize, Times>,
    /// The errors of the steps that failed.
    pub failed: BTreeMap<usize, String>,
    /// When the plan was ready: the code built, AWS read.
    pub planned: Instant,
    pub ended: Instant,
}

impl Round {
    /// A round that ends now.
    pub fn new(plan: &Plan, outcome: &Outcome, planned: Instant) -> Self {
        Self {
            plan: plan.clone(),
            times: outcome.times.clone(),
            failed: outcome.failed.iter().map(|(step, error)| (*step, error.to_string())).collect(),
            planned,
            ended: Instant::now(),
        }
    }

    /// Whether a call was made while the plan was carried out.
    fn contains(&self, record: &Record) -> bool {
        (self.planned..=self.ended).contains(&record.started)
    }
}

/// A phase of a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Phase {
    name: &'static str,
    started: Instant,
    ended: Instant,
}

impl Phase {
    fn time(&self) -> Duration {
        self.ended.saturating_duration_since(self.started)
    }
}

impl Run {
    fn ended(&self) -> Instant {
        self.rounds.last().map_or(self.connected, |round| round.ended)
    }

    /// The phases, each beginning where the one before ended.
    fn phases(&self) -> Vec<Phase> {
        let mut phases = vec![Phase { name: CONNECT, started: self.begun, ended: self.connected }];
        let mut started = self.connected;
        for round in &self.rounds {
            phases.push(Phase { name: PLAN, started, ended: round.planned });
            phases.push(Phase { name: EXECUTE, started: round.planned, ended: round.ended });
            started = round.ended;
        }
        phases
    }
}

const CONNECT: &str = "connect";
/// Building, reading and planning.
const PLAN: &str = "plan";
const EXECUTE: &str = "execute";

/// One step of the schedule.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Link {
    /// The index of its round, and of the step in that round's plan.
    pub round: usize,
    pub step: usize,
    pub name: String,
    /// The time that AWS took: its calls, and waiting until its resource was ready.
    pub time: Duration,
    /// When AWS began.
    pub started: Instant,
    /// When the next step could start.
    pub ended: Instant,
}

/// The summary of a run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Timings {
    /// From the start of the command to the URI.
    pub makespan: Duration,
    pub connect: Duration,
    /// Building, reading and planning.
    pub plan: Duration,
    pub execute: Duration,
    /// The steps of the schedule, in order.
    pub schedule: Vec<Link>,
    pub calls: usize,
}

impl Timings {
    /// The summary of a run that made these calls.
    pub fn new(run: &Run, records: &[Record]) -> Self {
        let phases = run.phases();
        let time = |name: &str| phases.iter().filter(|phase| phase.name == name).map(Phase::time).sum();
        Self {
            makespan: run.ended().saturating_duration_since(run.begun),
            connect: time(CONNECT),
            plan: time(PLAN),
            execute: time(EXECUTE),
            schedule: (0..run.rounds.len()).flat_map(|round| schedule::path(run, round, records)).collect(),
            calls: records.len(),
        }
    }

    /// How long the chain of this run took: connecting, planning, and the steps of the schedule. The rest of the makespan, nothing
    /// waited for AWS.
    pub fn scheduled(&self) -> Duration {
        self.connect + self.plan + self.schedule.iter().map(|link| link.time).sum::<Duration>()
    }
}

/// A time in seconds: `1.23 s`.
fn seconds(time: Duration) -> String {
    format!("{:.2} s", time.as_secs_f64())
}

impl fmt::Display for Timings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            f,
            "Makespan {} (connect {}, plan {}, execute {}), {} calls",
            seconds(self.makespan),
            seconds(self.connect),
            seconds(self.plan),
            seconds(self.execute),
            self.calls
        )?;
        let chain: Vec<String> =
            self.schedule.iter().map(|link| format!("{} {}", link.name, seconds(link.time))).collect();
        let chain = if chain.is_empty() { String::new() } else { format!(": {}", chain.join(" -> ")) };
        write!(f, "Schedule {}{chain}", seconds(self.scheduled()))
    }
}
