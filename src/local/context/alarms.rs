//! Rings what has a schedule, when it is due.
//!
//! What was due while the process did not run, or while the machine slept, is left out: there was no one whom it could have
//! served. A schedule goes on with its next regular time.

use std::collections::HashMap;
use std::sync::{Arc, Weak};
use std::time::Duration;

use jiff::Timestamp;
use jiff::tz::TimeZone;
use tokio::sync::Notify;
use tokio::time::sleep;

use super::clock::now_millis;
use crate::core::events::schedule::{Calendar, Schedule};

/// How late something may still be rung, in milliseconds: AWS invokes within a minute (EventBridge Scheduler user guide).
const MAX_DELAY: i64 = 60_000;

/// The longest sleep. Tokio's clock stands still while a machine sleeps, so the wall clock is looked at now and then.
const MAX_SLEEP: Duration = Duration::from_secs(5);

/// One schedule.
#[derive(Debug, Clone)]
pub struct Alarm {
    pub id: String,
    pub schedule: Schedule,
    pub zone: TimeZone,
    /// The first time of a rate, in milliseconds since the epoch.
    pub start: i64,
    /// The first moment at which it may be due, in milliseconds since the epoch.
    pub from: i64,
    /// One with another version is another schedule.
    pub version: i64,
    /// Until when it is in force, in milliseconds since the epoch.
    pub until: Option<i64>,
}

/// What has schedules.
pub trait Scheduled: Send + Sync + 'static {
    /// The schedules that are in force, each with an id of its own.
    fn alarms(&self) -> Vec<Alarm>;

    /// A schedule is due now. `time` is the time that it was due at, in milliseconds since the epoch.
    fn ring(self: Arc<Self>, id: &str, time: i64);

    /// What was due until `now` has been rung, or left out.
    fn has_rung(&self, _now: i64) {}
}

/// Rings the schedules of `scheduled` as long as it lives; `changed` says that they are others. A minute of a rate lasts `minute`.
/// Must be called within a tokio runtime.
pub fn keep<S: Scheduled>(scheduled: &Arc<S>, changed: Arc<Notify>, minute: Duration) {
    let mut clock = AlarmClock::new(now_millis(), millis(minute));
    let scheduled: Weak<S> = Arc::downgrade(scheduled);
    tokio::spawn(async move {
        loop {
            let Some(scheduled) = scheduled.upgrade() else { return };
            let now = now_millis();
            let (ringing, next) = clock.look(scheduled.alarms(), now);
            for (id, time) in ringing {
                Arc::clone(&scheduled).ring(&id, time);
            }
            scheduled.has_rung(now);
            drop(scheduled);
            let wait = next.and_then(|next| u64::try_from(next - now).ok()).map_or(MAX_SLEEP, Duration::from_millis);
            tokio::select! {
                () = changed.notified() => {}
                () = sleep(wait.min(MAX_SLEEP)) => {}
            }
        }
    });
}

/// A duration in milliseconds, at least one.
pub fn millis(duration: Duration) -> i64 {
    i64::try_from(duration.as_millis()).unwrap_or(i64::MAX).max(1)
}

/// When each schedule is due next. Times are milliseconds since the epoch.
struct AlarmClock {
    opened: i64,
    minute: i64,
    /// The last look.
    looked: i64,
    due: HashMap<String, Due>,
}

/// When a schedule is due next.
struct Due {
    /// The schedule's version and end, with which that was computed.
    version: i64,
    until: Option<i64>,
    time: Option<i64>,
}

impl AlarmClock {
    fn new(opened: i64, minute: i64) -> Self {
        Self { opened, minute, looked: opened, due: HashMap::new() }
    }

    /// The ids that are due now, each with its time, and the time of the next one.
    fn look(&mut self, alarms: Vec<Alarm>, now: i64) -> (Vec<(String, i64)>, Option<i64>) {
        let mut ringing = Vec::new();
        let mut due = HashMap::new();
        for alarm in alarms {
            let known = self.due.get(&alarm.id).filter(|due| due.version == alarm.version);
            let mut time = match known {
                Some(due) if due.until == alarm.until => due.time,
                // It goes on with another end, in the same beat.
                Some(_) => self.next(&alarm, self.looked),
                // One that is created in the moment of the opening begins in it.
                None => self.next(&alarm, alarm.from.max(self.opened) - 1),
            };
            if let Some(reached) = time.filter(|time| *time <= now) {
                if now - reached <= MAX_DELAY {
                    ringing.push((alarm.id.clone(), reached));
                } else {
                    tracing::warn!("a time of the schedule {} is left out: this machine slept", alarm.id);
                }
                time = self.next(&alarm, now);
            }
            due.insert(alarm.id, Due { version: alarm.version, until: alarm.until, time });
        }
        self.due = due;
        self.looked = now;
        (ringing, self.due.values().filter_map(|due| due.time).min())
    }

    fn next(&self, alarm: &Alarm, after: i64) -> Option<i64> {
        let start = Timestamp::from_millisecond(alarm.start).ok()?;
        let calendar = Calendar { zone: &alarm.zone, start, minute: self.minute };
        let next = alarm.schedule.next(&calendar, Timestamp::from_millisecond(after).ok()?)?.as_millisecond();
        alarm.until.is_none_or(|until| next <= until).then_some(next)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::events::schedule::MINUTE;

    fn alarm(id: &str, expression: &str, start: i64, from: i64) -> Alarm {
        Alarm {
            id: id.to_owned(),
            schedule: Schedule::of_scheduler(expression).unwrap(),
            zone: TimeZone::UTC,
            start,
            from,
            version: from,
            until: None,
        }
    }

    fn clock(opened: i64) -> AlarmClock {
        AlarmClock::new(opened, MINUTE)
    }

    fn rings(id: &str, time: i64) -> Vec<(String, i64)> {
        vec![(id.to_owned(), time)]
    }

    #[test]
    fn schedules_ring_when_they_are_due_and_not_again() {
        let mut clock = clock(0);
        let alarms = || vec![alarm("a", "rate(1 minute)", 1000, 1001)];
        assert_eq!(clock.look(alarms(), 1001), (vec![], Some(61_000)));
        assert_eq!(clock.look(alarms(), 60_999), (vec![], Some(61_000)));
        assert_eq!(clock.look(alarms(), 61_010), (rings("a", 61_000), Some(121_000)));
        assert_eq!(clock.look(alarms(), 61_020), (vec![], Some(121_000)));
        assert_eq!(clock.look(vec![], 61_030), (vec![], None));
    }

    #[test]
    fn one_that_begins_at_once_rings_at_once_but_not_again_after_a_restart() {
        let alarms = || vec![alarm("a", "rate(1 minute)", 1000, 1000)];
        assert_eq!(clock(0).look(alarms(), 1005), (rings("a", 1000), Some(61_000)));
        assert_eq!(clock(1000).look(alarms(), 1000), (rings("a", 1000), Some(61_000)));
        assert_eq!(clock(1500).look(alarms(), 1500), (vec![], Some(61_000)));
    }

    #[test]
    fn what_was_missed_is_left_out() {
        // While the process did not run.
        let alarms = || vec![alarm("a", "rate(1 minute)", 0, 1), alarm("b", "at(1970-01-01T00:02:00)", 0, 0)];
        assert_eq!(clock(150_000).look(alarms(), 150_000), (vec![], Some(180_000)));
        // While the machine slept.
        let mut clock = clock(0);
        assert_eq!(clock.look(alarms(), 1), (vec![], Some(60_000)));
        assert_eq!(clock.look(alarms(), 1_000_000), (vec![], Some(1_020_000)));
    }

    #[test]
    fn another_schedule_under_the_same_id_begins_anew() {
        let mut clock = clock(0);
        clock.look(vec![alarm("a", "rate(1 hour)", 0, 1)], 1);
        let changed = || vec![alarm("a", "rate(1 minute)", 5000, 5001)];
        assert_eq!(clock.look(changed(), 5001), (vec![], Some(65_000)));
        let ended = Alarm { until: Some(70_000), ..changed().remove(0) };
        assert_eq!(clock.look(vec![ended], 65_000), (rings("a", 65_000), None));
    }

    #[test]
    fn an_end_can_be_moved() {
        let until = |until: i64| vec![Alarm { until: Some(until), ..alarm("a", "rate(1 minute)", 0, 1) }];
        let mut clock = clock(0);
        assert_eq!(clock.look(until(70_000), 60_000), (rings("a", 60_000), None));
        // Forward, when it had ended: what was due in between is not rung.
        assert_eq!(clock.look(until(400_000), 200_000), (vec![], Some(240_000)));
        // Back.
        assert_eq!(clock.look(until(230_000), 210_000), (vec![], None));
        assert_eq!(clock.look(until(230_000), 250_000), (vec![], None));
    }

    #[test]
    fn minutes_can_be_shorter() {
        let mut clock = AlarmClock::new(0, 100);
        assert_eq!(clock.look(vec![alarm("a", "rate(2 minutes)", 0, 1)], 250), (rings("a", 200), Some(400)));
    }
}
