//! When a schedule is due: `rate(5 minutes)`, `cron(...)`, and for EventBridge Scheduler `at(2026-12-24T18:00:00)`.

use jiff::civil::DateTime;
use jiff::tz::TimeZone;
use jiff::{Span, Timestamp};

use super::cron::Cron;

/// A minute, in milliseconds.
pub const MINUTE: i64 = 60_000;

/// A schedule expression that was read.
#[derive(Debug, Clone, PartialEq)]
pub enum Schedule {
    Rate(Rate),
    Cron(Cron),
    /// Once, at a time of the schedule's time zone.
    At(DateTime),
}

/// A regular interval.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rate {
    value: i64,
    unit: Unit,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Unit {
    Minutes,
    Hours,
    Days,
}

/// From where a schedule's times are counted.
#[derive(Debug, Clone)]
pub struct Calendar<'a> {
    pub zone: &'a TimeZone,
    /// The first time of a rate.
    pub start: Timestamp,
    /// How long a minute of a rate lasts, in milliseconds: [`MINUTE`], unless somebody is in a hurry.
    pub minute: i64,
}

impl Schedule {
    /// Reads the expression of a rule: `rate` or `cron`. A value of one has a singular unit, any other a plural one. (EventBridge
    /// user guide, "Rate expressions reference".)
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn of_rule(text: &str) -> Result<Self, String> {
        let (kind, inside) = parts(text).ok_or_else(|| "it must be rate(...) or cron(...)".to_owned())?;
        match kind {
            "cron" => Cron::read(inside).map(Self::Cron),
            "rate" => {
                let (rate, is_plural) = Rate::read(inside)?;
                if is_plural != (rate.value > 1) {
                    let form = if is_plural { "singular" } else { "plural" };
                    return Err(format!("the unit of rate({inside}) must be {form}"));
                }
                Ok(Self::Rate(rate))
            }
            _ => Err("it must be rate(...) or cron(...)".to_owned()),
        }
    }

    /// Reads the expression of a schedule of EventBridge Scheduler: `rate`, `cron` or `at`, and units in either form. (API reference,
    /// `CreateSchedule`.)
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn of_scheduler(text: &str) -> Result<Self, String> {
        let (kind, inside) = parts(text).ok_or_else(|| "it must be at(...), rate(...) or cron(...)".to_owned())?;
        match kind {
            "cron" => Cron::read(inside).map(Self::Cron),
            "rate" => Rate::read(inside).map(|(rate, _)| Self::Rate(rate)),
            "at" => {
                at(inside).map(Self::At).ok_or_else(|| format!("\"{inside}\" is not a time as yyyy-mm-ddThh:mm:ss"))
            }
            _ => Err("it must be at(...), rate(...) or cron(...)".to_owned()),
        }
    }

    /// Whether it is due once only.
    pub fn is_once(&self) -> bool {
        matches!(self, Self::At(_))
    }

    /// The first time after `after` at which it is due. A time that a zone's clocks leave out is left out, one that they show twice
    /// counts once. (EventBridge Scheduler user guide, "Daylight savings time".)
    pub fn next(&self, calendar: &Calendar<'_>, after: Timestamp) -> Option<Timestamp> {
        match self {
            Self::Rate(rate) => rate.next(calendar, after),
            Self::At(time) => {
                let time = calendar.zone.to_timestamp(*time).ok()?;
                (time > after).then_some(time)
            }
            Self::Cron(cron) => {
                let mut shown = calendar.zone.to_datetime(after);
                loop {
                    shown = cron.next(shown)?;
                    let times = calendar.zone.to_ambiguous_timestamp(shown);
                    let is_shown = !matches!(times.offset(), jiff::tz::AmbiguousOffset::Gap { .. });
                    // The first of two times may be over already.
                    if is_shown
                        && let Ok(time) = times.earlier()
                        && time > after
                    {
                        return Some(time);
                    }
                }
            }
        }
    }
}

impl Rate {
    /// Reads `5 minutes`, and whether the unit is plural.
    fn read(text: &str) -> Result<(Self, bool), String> {
        let wrong = || format!("rate({text}) must have a number from 1 on and minutes, hours or days");
        let words: Vec<&str> = text.split_whitespace().collect();
        let [value, unit] = words[..] else { return Err(wrong()) };
        let unit_name = unit.strip_suffix('s').unwrap_or(unit);
        let is_plural = unit_name != unit;
        let unit = match unit_name {
            "minute" => Unit::Minutes,
            "hour" => Unit::Hours,
            "day" => Unit::Days,
            _ => return Err(wrong()),
        };
        let is_number = value.len() <= 9 && value.bytes().all(|byte| byte.is_ascii_digit());
        let value = is_number.then(|| value.parse().ok()).flatten().filter(|value| *value > 0);
        Ok((Self { value: value.ok_or_else(wrong)?, unit }, is_plural))
    }

    fn next(self, calendar: &Calendar<'_>, after: Timestamp) -> Option<Timestamp> {
        let Calendar { zone, start, minute } = calendar;
        if after < *start {
            return Some(*start);
        }
        let elapsed = after.as_millisecond() - start.as_millisecond();
        let minutes = match self.unit {
            Unit::Minutes => self.value,
            Unit::Hours => self.value * 60,
            Unit::Days => self.value * 60 * 24,
        };
        let interval = minutes.checked_mul(*minute)?.max(1);
        if self.unit == Unit::Days && *minute == MINUTE {
            // A day is one of the clock's, whether it has 23 or 25 hours (Scheduler user guide). So the number of days may be one off.
            let first = zone.to_datetime(*start);
            let passed = (elapsed / interval - 1).max(0);
            return (passed..passed + 4).find_map(|count| {
                let days = count.checked_mul(self.value)?;
                let time = zone.to_timestamp(first.checked_add(Span::new().try_days(days).ok()?).ok()?).ok()?;
                (time > after).then_some(time)
            });
        }
        let next = start.as_millisecond().checked_add((elapsed / interval + 1).checked_mul(interval)?)?;
        Timestamp::from_millisecond(next).ok()
    }
}

/// `rate(5 minutes)` as `rate` and `5 minutes`.
fn parts(text: &str) -> Option<(&str, &str)> {
    text.trim().strip_suffix(')')?.split_once('(')
}

fn at(text: &str) -> Option<DateTime> {
    let digits = text.bytes().enumerate().all(|(index, byte)| match index {
        4 | 7 => byte == b'-',
        10 => byte == b'T',
        13 | 16 => byte == b':',
        _ => byte.is_ascii_digit(),
    });
    (text.len() == 19 && digits).then(|| text.parse().ok()).flatten()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn stamp(text: &str) -> Timestamp {
        text.parse().unwrap()
    }

    /// The next times, as many as there are expected.
    fn times(expression: &str, zone: &TimeZone, start: &str, after: &str, count: usize) -> Vec<String> {
        let schedule = Schedule::of_scheduler(expression).unwrap();
        let calendar = Calendar { zone, start: stamp(start), minute: MINUTE };
        let mut after = stamp(after);
        let mut found = Vec::new();
        while found.len() < count
            && let Some(next) = schedule.next(&calendar, after)
        {
            found.push(next.to_string());
            after = next;
        }
        found
    }

    #[test]
    fn schedules_are_due_at_their_times() {
        let utc = TimeZone::UTC;
        let start = "2026-11-29T10:00:30Z";
        for (expression, after, expected) in [
            ("rate(1 minute)", "2026-11-29T10:00:30Z", vec!["2026-11-29T10:01:30Z", "2026-11-29T10:02:30Z"]),
            ("rate(5 minutes)", "2026-11-29T10:07:00Z", vec!["2026-11-29T10:10:30Z"]),
            // Nothing of what was missed is made up for.
            ("rate(2 hours)", "2026-12-01T00:00:00Z", vec!["2026-12-01T00:00:30Z"]),
            ("rate(1 days)", "2026-11-30T10:00:30Z", vec!["2026-12-01T10:00:30Z"]),
            ("rate(1 minute)", "2026-11-29T09:00:00Z", vec!["2026-11-29T10:00:30Z", "2026-11-29T10:01:30Z"]),
            ("at(2026-12-24T18:00:00)", "2026-11-29T10:00:00Z", vec!["2026-12-24T18:00:00Z"]),
            ("at(2026-11-24T18:00:00)", "2026-11-29T10:00:00Z", vec![]),
            ("cron(0 12 * * ? *)", "2026-11-29T10:00:00Z", vec!["2026-11-29T12:00:00Z", "2026-11-30T12:00:00Z"]),
        ] {
            assert_eq!(times(expression, &utc, start, after, expected.len().max(1)), expected, "{expression}");
        }
    }

    /// The clocks of New York: forward on 8 March 2026 at two, back on 1 November 2026 at two.
    #[test]
    fn clocks_that_are_put_forward_and_back() {
        let zone = TimeZone::posix("EST5EDT,M3.2.0,M11.1.0").unwrap();
        let start = "2026-03-07T07:30:00Z";
        for (expression, after, expected) in [
            // 02:30 of 8 March is not shown.
            ("cron(30 2 * * ? *)", "2026-03-07T00:00:00Z", vec!["2026-03-07T07:30:00Z", "2026-03-09T06:30:00Z"]),
            // 01:30 of 1 November is shown twice.
            ("cron(30 1 * * ? *)", "2026-11-01T00:00:00Z", vec!["2026-11-01T05:30:00Z", "2026-11-02T06:30:00Z"]),
            ("cron(30 1 * * ? *)", "2026-11-01T05:45:00Z", vec!["2026-11-02T06:30:00Z"]),
            ("rate(1 day)", "2026-03-07T07:30:00Z", vec!["2026-03-08T07:30:00Z", "2026-03-09T06:30:00Z"]),
            ("rate(24 hours)", "2026-03-07T07:30:00Z", vec!["2026-03-08T07:30:00Z", "2026-03-09T07:30:00Z"]),
            ("at(2026-07-01T12:00:00)", "2026-03-07T00:00:00Z", vec!["2026-07-01T16:00:00Z"]),
        ] {
            assert_eq!(times(expression, &zone, start, after, expected.len()), expected, "{expression}");
        }
    }

    #[test]
    fn expressions_that_are_none_are_refused() {
        for (expression, why) in [
            ("", "it must be"),
            ("rate(5 minutes", "it must be"),
            ("every(5 minutes)", "it must be"),
            ("rate(0 minutes)", "from 1 on"),
            ("rate(-1 minutes)", "from 1 on"),
            ("rate(5)", "from 1 on"),
            ("rate(5 seconds)", "minutes, hours or days"),
            ("rate(1 minutes)", "must be singular"),
            ("rate(5 minute)", "must be plural"),
            ("cron(* * * * *)", "six fields"),
            ("at(2026-12-24T18:00:00)", "it must be"),
        ] {
            let error = Schedule::of_rule(expression).unwrap_err();
            assert!(error.contains(why), "{expression}: {error}");
        }
        for expression in ["at(2026-12-24)", "at(2026-13-24T18:00:00)", "at(2026-12-24T18:00:00Z)", "at(now)"] {
            let error = Schedule::of_scheduler(expression).unwrap_err();
            assert!(error.contains("yyyy-mm-ddThh:mm:ss"), "{expression}: {error}");
        }
        assert!(Schedule::of_scheduler("rate(1 minutes)").is_ok());
    }

    #[test]
    fn a_minute_of_a_rate_can_be_shorter() {
        let schedule = Schedule::of_rule("rate(1 minute)").unwrap();
        let start = stamp("2026-11-29T10:00:00Z");
        let calendar = Calendar { zone: &TimeZone::UTC, start, minute: 200 };
        assert_eq!(schedule.next(&calendar, start).unwrap().to_string(), "2026-11-29T10:00:00.2Z");
    }

    proptest! {
        #[test]
        fn a_rate_never_skips_and_never_repeats(value in 1..100_i64, unit in 0..3_usize, passed in 0..100_000_000_000_i64) {
            let unit = ["minutes", "hours", "days"][unit];
            let schedule = Schedule::of_scheduler(&format!("rate({value} {unit})")).unwrap();
            let start = stamp("2020-01-01T00:00:00Z");
            let calendar = Calendar { zone: &TimeZone::UTC, start, minute: MINUTE };
            let after = Timestamp::from_millisecond(start.as_millisecond() + passed).unwrap();
            let next = schedule.next(&calendar, after).unwrap();
            let interval = value * MINUTE * [1, 60, 1440][["minutes", "hours", "days"].iter().position(|one| *one == unit).unwrap()];
            prop_assert!(next > after && next.as_millisecond() - after.as_millisecond() <= interval);
            prop_assert_eq!((next.as_millisecond() - start.as_millisecond()) % interval, 0);
        }
    }
}
