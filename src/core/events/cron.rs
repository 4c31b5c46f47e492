//! Cron expressions as EventBridge defines them: minutes, hours, day of month, month, day of week, year. (EventBridge user guide,
//! "Cron expressions reference"; EventBridge Scheduler user guide, "Schedule types".)
//!
//! Written here, because the crates for cron have other fields (seconds, no years), other days of the week (Sunday is 1 for AWS), or
//! no `L`, `W` and `#`.

use std::collections::BTreeSet;

use jiff::civil::{Date, DateTime, date};

/// A cron expression that was read.
#[derive(Debug, Clone, PartialEq)]
pub struct Cron {
    minutes: BTreeSet<i16>,
    hours: BTreeSet<i16>,
    days: Days,
    months: BTreeSet<i16>,
    years: BTreeSet<i16>,
}

/// On which days it is due: one of the two fields for days is always `?`.
#[derive(Debug, Clone, PartialEq)]
enum Days {
    OfMonth(Vec<DayOfMonth>),
    OfWeek(Vec<DayOfWeek>),
}

#[derive(Debug, Clone, Copy, PartialEq)]
enum DayOfMonth {
    Day(i16),
    /// `L`.
    Last,
    /// `LW`: the last day from Monday to Friday.
    LastWeekday,
    /// `15W`: the day from Monday to Friday that is closest, in the same month.
    Closest(i16),
}

/// Days are numbered from Sunday, 1, to Saturday, 7.
#[derive(Debug, Clone, Copy, PartialEq)]
enum DayOfWeek {
    Day(i16),
    /// `6L`: the last Friday of the month.
    LastOfMonth(i16),
    /// `6#3`: the third Friday of the month.
    Nth(i16, i16),
}

/// A field of numbers: its name in messages, its range, and the names of its values from the first on.
struct Field {
    name: &'static str,
    first: i16,
    last: i16,
    names: &'static [&'static str],
}

const MINUTES: Field = Field { name: "minutes", first: 0, last: 59, names: &[] };
const HOURS: Field = Field { name: "hours", first: 0, last: 23, names: &[] };
const DAYS_OF_MONTH: Field = Field { name: "day of month", first: 1, last: 31, names: &[] };
const MONTHS: Field = Field {
    name: "month",
    first: 1,
    last: 12,
    names: &["JAN", "FEB", "MAR", "APR", "MAY", "JUN", "JUL", "AUG", "SEP", "OCT", "NOV", "DEC"],
};
const DAYS_OF_WEEK: Field =
    Field { name: "day of week", first: 1, last: 7, names: &["SUN", "MON", "TUE", "WED", "THU", "FRI", "SAT"] };
const YEARS: Field = Field { name: "year", first: 1970, last: 2199, names: &[] };

impl Cron {
    /// Reads the fields of an expression: what stands between the parentheses of `cron(...)`.
    ///
    /// # Errors
    /// What is wrong with them, without a full stop.
    pub fn read(text: &str) -> Result<Self, String> {
        let fields: Vec<&str> = text.split_whitespace().collect();
        let [minutes, hours, day_of_month, month, day_of_week, year] = fields[..] else {
            return Err(format!(
                "cron has six fields (minutes, hours, day of month, month, day of week, year), not {}",
                fields.len()
            ));
        };
        let days = match (day_of_month, day_of_week) {
            ("?", "?") => return Err("day of month and day of week cannot both be ?".to_owned()),
            (_, "?") => Days::OfMonth(days_of_month(day_of_month)?),
            ("?", _) => Days::OfWeek(days_of_week(day_of_week)?),
            _ => return Err("day of month or day of week must be ?".to_owned()),
        };
        Ok(Self {
            minutes: MINUTES.values(minutes)?,
            hours: HOURS.values(hours)?,
            days,
            months: MONTHS.values(month)?,
            years: YEARS.values(year)?,
        })
    }

    /// The first time after `after` at which it is due, in whole minutes; `None` where there is none any more.
    pub fn next(&self, after: DateTime) -> Option<DateTime> {
        let mut day = after.date();
        // The first day may have times that are over.
        let mut from = Some((i16::from(after.hour()), i16::from(after.minute())));
        loop {
            if !self.years.contains(&day.year()) {
                let year = *self.years.range(day.year() + 1..).next()?;
                (day, from) = (date(year, 1, 1), None);
            }
            if !self.months.contains(&i16::from(day.month())) {
                day = first_of_next_month(day)?;
                from = None;
                continue;
            }
            if self.is_on(day)
                && let Some((hour, minute)) = self.time_after(from)
            {
                return Some(day.at(narrow(hour), narrow(minute), 0, 0));
            }
            day = day.tomorrow().ok()?;
            from = None;
        }
    }

    /// The first time of a day after a time of that day; the first of all where there is none.
    fn time_after(&self, after: Option<(i16, i16)>) -> Option<(i16, i16)> {
        let first = *self.minutes.first()?;
        let Some((hour, minute)) = after else { return Some((*self.hours.first()?, first)) };
        if self.hours.contains(&hour)
            && let Some(minute) = self.minutes.range(minute + 1..).next()
        {
            return Some((hour, *minute));
        }
        Some((*self.hours.range(hour + 1..).next()?, first))
    }

    fn is_on(&self, day: Date) -> bool {
        match &self.days {
            Days::OfMonth(days) => days.iter().any(|one| one.is_on(day)),
            Days::OfWeek(days) => days.iter().any(|one| one.is_on(day)),
        }
    }
}

impl DayOfMonth {
    fn is_on(self, day: Date) -> bool {
        let last = i16::from(day.days_in_month());
        match self {
            Self::Day(number) => number == i16::from(day.day()),
            Self::Last => last == i16::from(day.day()),
            Self::LastWeekday => closest_weekday(day, last) == i16::from(day.day()),
            Self::Closest(number) => number <= last && closest_weekday(day, number) == i16::from(day.day()),
        }
    }
}

impl DayOfWeek {
    fn is_on(self, day: Date) -> bool {
        let number = i16::from(day.day());
        let is = |of_week: i16| of_week == day_of_week(day);
        match self {
            Self::Day(of_week) => is(of_week),
            Self::LastOfMonth(of_week) => is(of_week) && number + 7 > i16::from(day.days_in_month()),
            Self::Nth(of_week, nth) => is(of_week) && (number - 1) / 7 + 1 == nth,
        }
    }
}

/// The number of a day of the week: Sunday is 1.
fn day_of_week(day: Date) -> i16 {
    i16::from(day.weekday().to_sunday_one_offset())
}

/// The day from Monday to Friday that is closest to a day of the month, without leaving the month.
fn closest_weekday(in_month: Date, number: i16) -> i16 {
    let last = i16::from(in_month.days_in_month());
    let day = date(in_month.year(), in_month.month(), narrow(number));
    match day_of_week(day) {
        // Saturday, Sunday.
        7 if number == 1 => 3,
        7 => number - 1,
        1 if number == last => number - 2,
        1 => number + 1,
        _ => number,
    }
}

fn first_of_next_month(day: Date) -> Option<Date> {
    day.last_of_month().tomorrow().ok()
}

/// All numbers of hours, minutes and days are far below 128.
fn narrow(number: i16) -> i8 {
    i8::try_from(number).unwrap_or(i8::MAX)
}

impl Field {
    /// The values of `*`, `1,2`, `1-5`, `0/15`, `*/15`, `10-30/5`.
    fn values(&self, text: &str) -> Result<BTreeSet<i16>, String> {
        let mut values = BTreeSet::new();
        for item in text.split(',') {
            self.add(item, &mut values)?;
        }
        Ok(values)
    }

    fn add(&self, item: &str, values: &mut BTreeSet<i16>) -> Result<(), String> {
        let (range, step) = match item.split_once('/') {
            None => (item, None),
            Some((range, step)) => {
                let step = step.parse().ok().filter(|step: &i16| *step > 0);
                (range, Some(step.ok_or_else(|| self.wrong(item))?))
            }
        };
        let (from, to) = match (range, range.split_once('-')) {
            ("*", _) => (self.first, self.last),
            (_, Some((from, to))) => (self.value(from)?, self.value(to)?),
            // `5/10` goes on to the end.
            (_, None) => {
                let from = self.value(range)?;
                (from, if step.is_some() { self.last } else { from })
            }
        };
        let step = usize::try_from(step.unwrap_or(1)).map_err(|_| self.wrong(item))?;
        if from <= to {
            values.extend((from..=to).step_by(step));
        } else {
            // `FRI-MON` goes over the end.
            values.extend((from..=self.last).chain(self.first..=to).step_by(step));
        }
        Ok(())
    }

    fn value(&self, text: &str) -> Result<i16, String> {
        let named = self.names.iter().position(|name| name.eq_ignore_ascii_case(text));
        let number = match named.and_then(|index| i16::try_from(index).ok()) {
            Some(index) => Some(self.first + index),
            None => text.bytes().all(|byte| byte.is_ascii_digit()).then(|| text.parse().ok()).flatten(),
        };
        number.filter(|number| (self.first..=self.last).contains(number)).ok_or_else(|| self.wrong(text))
    }

    fn wrong(&self, text: &str) -> String {
        let Self { name, first, last, names } = self;
        let named = match (names.first(), names.last()) {
            (Some(first), Some(last)) => format!(" or {first} to {last}"),
            _ => String::new(),
        };
        format!("\"{text}\" is no {name} ({first} to {last}{named})")
    }
}

fn days_of_month(text: &str) -> Result<Vec<DayOfMonth>, String> {
    let mut days = Vec::new();
    for item in text.split(',') {
        match (item, item.strip_suffix('W')) {
            ("L", _) => days.push(DayOfMonth::Last),
            ("LW", _) => days.push(DayOfMonth::LastWeekday),
            (_, Some(number)) => days.push(DayOfMonth::Closest(DAYS_OF_MONTH.value(number)?)),
            _ => days.extend(DAYS_OF_MONTH.values(item)?.into_iter().map(DayOfMonth::Day)),
        }
    }
    Ok(days)
}

fn days_of_week(text: &str) -> Result<Vec<DayOfWeek>, String> {
    if let Some((day, nth)) = text.split_once('#') {
        // Only one such expression is allowed, and nothing beside it (user guide).
        let nth = nth.parse().ok().filter(|nth| (1..=5).contains(nth));
        let nth = nth.ok_or_else(|| format!("\"{text}\" is no day of week (a day, # and 1 to 5, and nothing else)"))?;
        return Ok(vec![DayOfWeek::Nth(DAYS_OF_WEEK.value(day)?, nth)]);
    }
    let mut days = Vec::new();
    for item in text.split(',') {
        match (item, item.strip_suffix('L')) {
            // The last day of the week.
            ("L", _) => days.push(DayOfWeek::Day(DAYS_OF_WEEK.last)),
            (_, Some(day)) => days.push(DayOfWeek::LastOfMonth(DAYS_OF_WEEK.value(day)?)),
            _ => days.extend(DAYS_OF_WEEK.values(item)?.into_iter().map(DayOfWeek::Day)),
        }
    }
    Ok(days)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn next(expression: &str, after: &str) -> String {
        let next = Cron::read(expression).unwrap().next(after.parse().unwrap());
        next.map_or("never".to_owned(), |next| next.to_string())
    }

    #[test]
    fn the_next_time_is_found() {
        for (expression, after, expected) in [
            // The examples of the user guide.
            ("0 10 * * ? *", "2026-11-29T09:59:59", "2026-11-29T10:00:00"),
            ("0 10 * * ? *", "2026-11-29T10:00:00", "2026-11-30T10:00:00"),
            ("15 12 * * ? *", "2026-11-29T13:00:00", "2026-11-30T12:15:00"),
            ("0 18 ? * MON-FRI *", "2026-11-27T18:00:00", "2026-11-30T18:00:00"),
            ("0 8 1 * ? *", "2026-11-29T00:00:00", "2026-12-01T08:00:00"),
            ("0/15 * * * ? *", "2026-11-29T10:14:59", "2026-11-29T10:15:00"),
            ("0/15 * * * ? *", "2026-11-29T10:45:00", "2026-11-29T11:00:00"),
            ("0/10 * ? * MON-FRI *", "2026-11-27T23:50:00", "2026-11-30T00:00:00"),
            ("0/5 8-17 ? * MON-FRI *", "2026-11-30T17:55:00", "2026-12-01T08:00:00"),
            ("0/30 20-2 ? * MON-FRI *", "2026-11-30T02:30:00", "2026-11-30T20:00:00"),
            ("0 10 ? * 6L 2022-2027", "2026-11-29T00:00:00", "2026-12-25T10:00:00"),
            ("0 10 ? * 6L 2022-2026", "2026-12-25T10:00:00", "never"),
            // Days of the month.
            ("0 0 L * ? *", "2027-02-01T00:00:00", "2027-02-28T00:00:00"),
            ("0 0 L * ? *", "2028-02-28T00:00:00", "2028-02-29T00:00:00"),
            ("0 0 LW * ? *", "2027-01-31T00:00:00", "2027-02-26T00:00:00"),
            // The first is a Sunday, the second a Monday.
            ("0 0 1W * ? *", "2026-11-01T00:00:00", "2026-11-02T00:00:00"),
            // The first is a Saturday, the month begins there.
            ("0 0 1W 8 ? *", "2026-07-31T00:00:00", "2026-08-03T00:00:00"),
            ("0 0 15W 8 ? *", "2026-08-01T00:00:00", "2026-08-14T00:00:00"),
            // The thirty-first is a Sunday.
            ("0 0 31W 1 ? *", "2027-01-01T00:00:00", "2027-01-29T00:00:00"),
            ("0 0 31W * ? *", "2026-02-01T00:00:00", "2026-03-31T00:00:00"),
            ("0 0 31 * ? *", "2026-01-31T00:00:00", "2026-03-31T00:00:00"),
            ("0 0 30 FEB ? *", "2026-01-01T00:00:00", "never"),
            ("0 0 29 FEB ? *", "2026-01-01T00:00:00", "2028-02-29T00:00:00"),
            // Days of the week.
            ("0 0 ? * 3#2 *", "2026-11-01T00:00:00", "2026-11-10T00:00:00"),
            ("0 0 ? * TUE#5 *", "2026-11-01T00:00:00", "2026-12-29T00:00:00"),
            ("0 0 ? * L *", "2026-11-29T00:00:00", "2026-12-05T00:00:00"),
            ("0 0 ? * FRI-MON *", "2026-11-30T00:00:00", "2026-12-04T00:00:00"),
            ("0 0 ? * 1 *", "2026-11-28T00:00:00", "2026-11-29T00:00:00"),
            // Lists, steps, years.
            ("5,35 14 * * ? *", "2026-11-29T14:05:00", "2026-11-29T14:35:00"),
            ("1/10 * * * ? *", "2026-11-29T00:51:00", "2026-11-29T01:01:00"),
            ("10-30/5 * * * ? *", "2026-11-29T00:30:00", "2026-11-29T01:10:00"),
            ("*/20 * * * ? *", "2026-11-29T00:20:00", "2026-11-29T00:40:00"),
            ("0 0 1 jan ? 2030", "2026-11-29T00:00:00", "2030-01-01T00:00:00"),
            ("0 0 1 1 ? 2020-2040/10", "2026-11-29T00:00:00", "2030-01-01T00:00:00"),
            ("59 23 31 12 ? 2199", "2199-12-31T23:59:00", "never"),
            ("0 0 1 1 ? 2020", "2026-11-29T00:00:00", "never"),
        ] {
            assert_eq!(next(expression, after), expected, "cron({expression}) after {after}");
        }
    }

    #[test]
    fn what_is_wrong_is_said() {
        for (expression, why) in [
            ("", "six fields"),
            ("* * * * *", "not 5"),
            ("0 0 * * * * ?", "not 7"),
            ("0 0 * * * *", "must be ?"),
            ("0 0 1 * 2 *", "must be ?"),
            ("0 0 ? * ? *", "cannot both be ?"),
            ("60 0 * * ? *", "\"60\" is no minutes (0 to 59)"),
            ("0 24 * * ? *", "\"24\" is no hours"),
            ("0 0 0 * ? *", "\"0\" is no day of month (1 to 31)"),
            ("0 0 32W * ? *", "\"32\" is no day of month"),
            ("0 0 1 13 ? *", "\"13\" is no month (1 to 12 or JAN to DEC)"),
            ("0 0 ? * 0 *", "\"0\" is no day of week (1 to 7 or SUN to SAT)"),
            ("0 0 ? * 3#6 *", "\"3#6\""),
            ("0 0 ? * 3#1,6#3 *", "nothing else"),
            ("0 0 1 1 ? 1969", "\"1969\" is no year (1970 to 2199)"),
            ("0/0 0 * * ? *", "\"0/0\""),
            ("+5 0 * * ? *", "\"+5\""),
            ("1- 0 * * ? *", "\"\" is no minutes"),
            ("a 0 * * ? *", "\"a\""),
            ("? 0 * * ? *", "\"?\""),
        ] {
            let error = Cron::read(expression).unwrap_err();
            assert!(error.contains(why), "cron({expression}): {error}");
        }
    }

    prop_compose! {
        fn item(first: i16, last: i16)(kind in 0..4, a in first..=last, b in first..=last, step in 1..20_i16) -> String {
            let (low, high) = (a.min(b), a.max(b));
            match kind {
                0 => "*".to_owned(),
                1 => a.to_string(),
                2 => format!("{low}-{high}"),
                _ => format!("{low}/{step}"),
            }
        }
    }

    proptest! {
        /// Found by trying every minute, which is slow and plain.
        #[test]
        fn the_next_time_is_the_first_that_fits(
            (minutes, hours) in (item(0, 59), item(0, 23)), day in item(1, 31), month in item(1, 12), of_week in any::<bool>(),
            start in 0..1_000_000_i64,
        ) {
            let (of_month, of_week) = if of_week { ("?".to_owned(), "2-6".to_owned()) } else { (day, "?".to_owned()) };
            let cron = Cron::read(&format!("{minutes} {hours} {of_month} {month} {of_week} *")).unwrap();
            let minute = jiff::ToSpan::minutes;
            let start = date(2026, 1, 1).at(0, 0, 0, 0).checked_add(minute(start)).unwrap();
            let fits = |time: DateTime| {
                cron.minutes.contains(&i16::from(time.minute()))
                    && cron.hours.contains(&i16::from(time.hour()))
                    && cron.months.contains(&i16::from(time.month()))
                    && cron.is_on(time.date())
            };
            let next = cron.next(start);
            let mut time = start;
            for _ in 0..3000 {
                time = time.checked_add(minute(1)).unwrap();
                if fits(time) {
                    prop_assert_eq!(next, Some(time));
                    return Ok(());
                }
            }
            prop_assert!(next.is_none_or(|next| next > time));
        }

        #[test]
        fn no_text_makes_it_panic(text in "[0-9*?LW#,/A-Z -]{0,40}") {
            if let Ok(cron) = Cron::read(&text) {
                let after = date(2026, 11, 29).at(12, 0, 0, 0);
                prop_assert!(cron.next(after).is_none_or(|next| next > after));
            }
        }
    }
}
