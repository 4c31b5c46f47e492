//! One account and some deployers in virtual time: to what makespan pace and lanes lead, with seeds and without noise.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::time::Duration;

use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use tokio::time::Instant;

use super::lane::Width;
use super::pace::Rate;

/// What AWS does with the calls of one service.
#[derive(Debug, Clone, Copy)]
pub struct Account {
    /// Calls a second, and how many at once.
    pub rate: f64,
    pub burst: f64,
    /// The chance that a change is refused while another of the same API is in progress.
    pub chance: f64,
    /// For which part of a call's time, its end, its change is in progress.
    pub in_progress: f64,
}

/// A deployer with this many calls to make, all at once but for its pace and its lane.
#[derive(Debug)]
pub struct Process {
    pub calls: usize,
    pub rate: Rate,
    /// `None`: no lane, as many at once as the pace lets through.
    pub lane: Option<Width>,
}

/// What came of a simulation.
#[derive(Debug)]
pub struct Outcome {
    /// Seconds until the last call of each process has succeeded.
    pub finished: Vec<f64>,
    pub collisions: usize,
    pub throttled: usize,
}

impl Outcome {
    /// Seconds until all calls have succeeded.
    pub fn makespan(&self) -> f64 {
        self.finished.iter().copied().fold(0.0, f64::max)
    }
}

/// Seconds that a call takes; each takes up to a tenth more or less.
pub const LATENCY: f64 = 0.15;

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Event {
    /// A process looks whether it may send a call.
    Look(usize),
    /// A call takes effect, or is refused.
    Effect(Call),
    Answer(Call, Answer),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Call {
    process: usize,
    number: u64,
    sent: Instant,
    answered: Instant,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Answer {
    Done,
    Collided,
    Throttled,
}

/// Lets the processes make their calls.
pub fn run(account: Account, mut processes: Vec<Process>, start: Instant, seed: u64) -> Outcome {
    let mut random = StdRng::seed_from_u64(seed);
    let mut events: BinaryHeap<Reverse<(Instant, Event)>> =
        (0..processes.len()).map(|process| Reverse((start, Event::Look(process)))).collect();
    let mut under_way = vec![0; processes.len()];
    let mut in_progress = vec![0; processes.len()];
    let (mut tokens, mut filled) = (account.burst, start);
    let mut outcome = Outcome { finished: vec![0.0; processes.len()], collisions: 0, throttled: 0 };
    while let Some(Reverse((now, event))) = events.pop() {
        let process = match event {
            Event::Look(process) => process,
            Event::Effect(call) => {
                tokens = (tokens + (now - filled).as_secs_f64() * account.rate).min(account.burst);
                filled = now;
                let answer = if tokens < 1.0 {
                    Answer::Throttled
                } else {
                    tokens -= 1.0;
                    if in_progress[call.process] > 0 && random.random::<f64>() < account.chance {
                        Answer::Collided
                    } else {
                        in_progress[call.process] += 1;
                        Answer::Done
                    }
                };
                events.push(Reverse((call.answered, Event::Answer(call, answer))));
                continue;
            }
            Event::Answer(call, answer) => {
                under_way[call.process] -= 1;
                let process = &mut processes[call.process];
                match answer {
                    Answer::Done => {
                        in_progress[call.process] -= 1;
                        let beside_others = under_way[call.process] > 0;
                        process.lane.iter_mut().for_each(|lane| lane.widen(beside_others));
                        process.rate.succeeded(call.sent, now);
                        outcome.finished[call.process] = (now - start).as_secs_f64();
                    }
                    Answer::Collided => {
                        outcome.collisions += 1;
                        process.lane.iter_mut().for_each(|lane| lane.narrow(call.number));
                        process.calls += 1;
                    }
                    Answer::Throttled => {
                        outcome.throttled += 1;
                        process.rate.throttled(call.sent, now, random.random_range(0.5..1.5));
                        process.calls += 1;
                    }
                }
                call.process
            }
        };
        let one = &mut processes[process];
        while one.calls > 0 && one.lane.as_ref().is_none_or(|lane| under_way[process] < lane.places()) {
            let wait = one.rate.wait(now);
            if !wait.is_zero() {
                events.push(Reverse((now + wait, Event::Look(process))));
                break;
            }
            one.rate.take(now);
            one.calls -= 1;
            under_way[process] += 1;
            let latency = LATENCY * random.random_range(0.9..1.1);
            let answered = now + Duration::from_secs_f64(latency);
            let number = one.lane.as_mut().map_or(0, Width::begin);
            let call = Call { process, number, sent: now, answered };
            let effect = now + Duration::from_secs_f64(latency * (1.0 - account.in_progress));
            events.push(Reverse((effect, Event::Effect(call))));
        }
    }
    outcome
}
