//! Calls that Lambda refuses until it can assume a function's role: IAM tells the world of a new role only after seconds.
//!
//! The code of a function travels meanwhile ([`Ahead`]), all but its end. One function probes for all, with calls that cannot
//! be carried out; when one passes, all ends are let go. Where ends do not arrive at once (some proxy holds whole requests),
//! two functions at a time try blindly, so that the first code that gets through is in time.

use std::convert::Infallible;
use std::time::Duration;

use futures_util::future::BoxFuture;
use futures_util::stream::FuturesUnordered;
use futures_util::{FutureExt, StreamExt};
use tokio::sync::SemaphorePermit;
use tokio::time::Instant;

use super::Context;
use crate::aws::client::{Ahead, Arrival, CallError, Ends, Meaning, Propagation};

/// How long a role that this run made may take until Lambda can assume it: 8 to 12 s as a rule, minutes at worst.
const FRESH_ROLE_PATIENCE: Duration = Duration::from_secs(180);

const OLD_ROLE_PATIENCE: Duration = Duration::from_secs(60);

/// The pauses between two tries.
const SHORTEST_PAUSE: Duration = Duration::from_millis(20);
const LONGEST_PAUSE: Duration = Duration::from_millis(250);

/// From this age of the role on it may be assumable any moment: then probes begin at this interval, whether the one before
/// was answered or not, but for so many.
const DENSE_FROM: Duration = Duration::from_secs(7);
const DENSE: Duration = Duration::from_millis(150);
const MOST_PROBES: usize = 6;

/// After this time without an answer to a probe something may stand in its way.
const SILENCE: Duration = Duration::from_secs(10);

/// The calls of one function that need its role.
pub(super) trait RoleCalls: Sync {
    type Answer: Send;

    /// The real call.
    fn whole(&self) -> BoxFuture<'_, Result<Self::Answer, CallError>>;

    /// The same call, which has no effect because of something that Lambda looks at after the role. `None` if the real call is
    /// as cheap.
    fn probe(&self) -> Option<BoxFuture<'_, Result<(), CallError>>> {
        None
    }

    /// The real call, ahead. `None` if it is as well sent when the time has come.
    fn ahead(&self) -> Option<Ahead<'_, Self::Answer>> {
        None
    }
}

/// Why the real call is to be made now.
enum Go<'a> {
    /// A probe of this function passed.
    Passed,
    /// Another function was told that its role can be assumed.
    Told,
    /// To see how fast the end of a request arrives.
    Rehearsal,
    /// Blindly, as one of a few.
    Blind(#[expect(dead_code, reason = "held until the answer")] Option<SemaphorePermit<'a>>),
    /// A probe failed for another reason.
    Failed(CallError),
}

/// Makes a call that needs a role, as soon as Lambda can assume it.
///
/// # Errors
/// The call's own, and Lambda's refusal when its time is over.
pub(super) async fn when_assumable<C: RoleCalls>(
    cx: Context<'_>,
    role: &str,
    calls: &C,
) -> Result<C::Answer, CallError> {
    let propagation = &cx.aws.propagation;
    let fresh = propagation.age(role).is_some();
    let begun = Instant::now();
    let mut wait = Wait { cx, role, propagation, begun, pause: SHORTEST_PAUSE, fresh, own: false, tried: false };
    // What has failed once ahead is not sent ahead again.
    let mut may_travel = fresh;
    loop {
        let mut ahead = if may_travel && propagation.may_travel() { calls.ahead() } else { None };
        let go = match &mut ahead {
            Some(ahead) => {
                tokio::select! {
                    go = ahead.beside(wait.until_worth_it(calls, true)) => Some(go),
                    () = propagation.given_way() => None,
                }
            }
            None => Some(wait.until_worth_it(calls, false).await),
        };
        let Some(go) = go else { continue };
        if let Go::Failed(error) = go {
            return Err(error);
        }
        let trial = async {
            let arrival = match ahead {
                Some(ahead) => ahead.let_go().await,
                None => return calls.whole().await,
            };
            match arrival {
                Arrival::Answered(result, time) => {
                    if matches!(go, Go::Rehearsal) {
                        propagation.end_took(time);
                    }
                    result
                }
                Arrival::Never => {
                    may_travel = false;
                    propagation.ends_are(Ends::Slow);
                    calls.whole().await
                }
            }
        };
        let result = match &go {
            // The others need not wait until this one's code is through.
            Go::Blind(_) if fresh => tokio::select! {
                result = trial => result,
                never = wait.tell_others(calls) => match never {},
            },
            _ => trial.await,
        };
        match result {
            Err(error) if wait.goes_on_after(&error) => match go {
                Go::Passed => propagation.probes_tell_nothing(),
                // This role takes longer than another one.
                Go::Told => wait.own = true,
                _ => {}
            },
            result => {
                if result.is_ok() && fresh {
                    propagation.arrive();
                }
                return result;
            }
        }
    }
}

/// Whether Lambda refused a call because it cannot assume the role yet.
fn is_refused(error: &CallError) -> bool {
    error.message.contains("cannot be assumed by Lambda")
}

/// The wait of one function for its role.
struct Wait<'a> {
    cx: Context<'a>,
    role: &'a str,
    propagation: &'a Propagation,
    begun: Instant,
    pause: Duration,
    fresh: bool,
    /// Whether what others were told does not count.
    own: bool,
    /// Whether the real call was tried.
    tried: bool,
}

impl<'a> Wait<'a> {
    /// Waits until the real call is worth making; `is_ahead` tells whether its request travels.
    async fn until_worth_it<C: RoleCalls>(&mut self, calls: &C, is_ahead: bool) -> Go<'a> {
        if !self.fresh {
            self.rest().await;
            return Go::Blind(None);
        }
        let propagation = self.propagation;
        if self.own {
            return self.find_out(calls, is_ahead).await;
        }
        tokio::select! {
            biased;
            () = propagation.arrival() => Go::Told,
            go = self.find_out(calls, is_ahead) => go,
        }
    }

    async fn find_out<C: RoleCalls>(&mut self, calls: &C, is_ahead: bool) -> Go<'a> {
        loop {
            if calls.probe().is_none() || self.propagation.is_time_to_try(self.age()) {
                let turn = self.propagation.trials.acquire().await.ok();
                self.rest().await;
                return Go::Blind(turn);
            }
            let _turn = match self.own {
                true => None,
                false => self.propagation.prober.acquire().await.ok(),
            };
            if let Some(go) = self.probe(calls, is_ahead, false).await {
                return go;
            }
        }
    }

    /// Probes for other functions, while this one tries blindly.
    async fn tell_others<C: RoleCalls>(&mut self, calls: &C) -> Infallible {
        let turn = self.propagation.prober.acquire().await;
        self.probe(calls, false, true).await;
        drop(turn);
        std::future::pending().await
    }

    /// Probes until one passes; `None` when it is time to try without, unless this is for others.
    async fn probe<C: RoleCalls>(&mut self, calls: &C, is_ahead: bool, for_others: bool) -> Option<Go<'a>> {
        let mut probes = FuturesUnordered::new();
        let mut next = Instant::now();
        let mut heard = next;
        loop {
            let age = self.age();
            if is_ahead && self.propagation.begins_rehearsal(age) {
                return Some(Go::Rehearsal);
            }
            if !self.propagation.probes_tell() || (!for_others && self.propagation.is_time_to_try(age)) {
                // Code takes its time on the way: the line need not rest as well.
                self.pause = SHORTEST_PAUSE;
                return None;
            }
            let dense = age >= DENSE_FROM;
            tokio::select! {
                () = tokio::time::sleep_until(next), if probes.is_empty() || (dense && probes.len() < MOST_PROBES) => {
                    let probe = calls.probe()?;
                    let started = Instant::now();
                    if probes.is_empty() {
                        heard = started;
                    }
                    probes.push(probe.map(move |result| (result, started.elapsed())));
                    next = started + DENSE;
                }
                Some((result, took)) = probes.next(), if !probes.is_empty() => {
                    heard = Instant::now();
                    match result {
                        Err(error) if is_refused(&error) => {
                            self.propagation.probe_refused(took);
                            if !self.goes_on_after(&error) {
                                return Some(Go::Failed(error));
                            }
                            if !dense {
                                next = heard + self.longer_pause();
                            }
                        }
                        // Nothing is known of this probe: the next one may be answered.
                        Err(error) if error.is(Meaning::Unknown) && self.begun.elapsed() < FRESH_ROLE_PATIENCE => {
                            self.propagation.give_way();
                            next = heard + self.longer_pause();
                        }
                        // It is not code: the role was no obstacle. If it ever was code, the call itself will tell.
                        Err(error) if error.code != "InvalidParameterValueException" => {
                            return Some(Go::Failed(error));
                        }
                        Ok(()) | Err(_) => {
                            self.propagation.probe_passed();
                            return Some(Go::Passed);
                        }
                    }
                }
                () = tokio::time::sleep_until(heard + SILENCE), if !probes.is_empty() && self.propagation.may_travel() => {
                    self.propagation.give_way();
                }
            }
        }
    }

    fn age(&self) -> Duration {
        self.propagation.age(self.role).unwrap_or(Duration::MAX)
    }

    /// Whether to try again after a failure; tells the user what for.
    fn goes_on_after(&self, error: &CallError) -> bool {
        // A role that an earlier run made and did not live to use may be young as well; an old one will not get better.
        let patience = if self.fresh { FRESH_ROLE_PATIENCE } else { OLD_ROLE_PATIENCE };
        let waited = self.begun.elapsed();
        if !is_refused(error) || waited >= patience {
            return false;
        }
        if waited >= Duration::from_secs(1) {
            (self.cx.note)(format!(
                "waiting until Lambda can assume the role, {} s (giving up in {} s)",
                waited.as_secs(),
                (patience - waited).as_secs()
            ));
        }
        true
    }

    /// Pauses before the call is tried again.
    async fn rest(&mut self) {
        if std::mem::replace(&mut self.tried, true) {
            let pause = self.longer_pause();
            tokio::time::sleep(pause).await;
        }
    }

    /// The next pause, each longer than the one before.
    fn longer_pause(&mut self) -> Duration {
        let pause = self.pause;
        self.pause = (pause * 2).min(LONGEST_PAUSE);
        pause
    }
}
