//! The wall clock, and the formats in which AWS writes it. Persisted times are milliseconds since the epoch.

use serde_json::Value;
use time::format_description::well_known::Rfc3339;
use time::macros::format_description;
use time::{Duration, OffsetDateTime};

/// Now, in milliseconds since the epoch.
pub fn now_millis() -> i64 {
    let now = OffsetDateTime::now_utc();
    now.unix_timestamp() * 1000 + i64::from(now.millisecond())
}

/// A time as clients send it, in seconds since the epoch or as text (RFC 3339), in milliseconds since the epoch. `None` for
/// anything else, and for times that no four digits of a year can tell.
pub fn sent_time(value: &Value) -> Option<i64> {
    let millis = match value {
        // A fraction is rounded: no binary number is exactly 0.123.
        Value::Number(seconds) => (seconds.as_f64()? * 1000.0).round() as i64,
        Value::String(text) => text.parse().ok().map(jiff::Timestamp::as_millisecond)?,
        _ => return None,
    };
    moment(millis).is_some_and(|moment| (0..=9999).contains(&moment.year())).then_some(millis)
}

fn moment(millis: i64) -> Option<OffsetDateTime> {
    OffsetDateTime::UNIX_EPOCH.checked_add(Duration::milliseconds(millis))
}

/// A time as the query protocol writes it: `2026-02-11T17:51:54Z`, in whole seconds. Empty for a time that has no such form.
pub fn iso8601(millis: i64) -> String {
    let moment = moment(millis.div_euclid(1000).saturating_mul(1000));
    moment.and_then(|moment| moment.format(&Rfc3339).ok()).unwrap_or_default()
}

/// A time with its milliseconds: `2026-02-11T17:51:54.123Z`. Empty for a time that has no such form.
pub fn iso8601_millis(millis: i64) -> String {
    let format = format_description!("[year]-[month]-[day]T[hour]:[minute]:[second].[subsecond digits:3]Z");
    moment(millis).and_then(|moment| moment.format(format).ok()).unwrap_or_default()
}

/// The time now as Lambda writes it into logs: `2026-01-02T03:04:05.678Z`.
pub fn log_time() -> String {
    let format = format_description!("[year]-[month]-[day]T[hour]:[minute]:[second].[subsecond digits:3]Z");
    OffsetDateTime::now_utc().format(format).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    #[test]
    fn sent_times_are_read_to_the_millisecond() {
        for millis in 1_770_832_314_000..1_770_832_315_000 {
            let seconds: serde_json::Value = serde_json::from_str(&format!("{}e-3", millis)).unwrap();
            assert_eq!(super::sent_time(&seconds), Some(millis));
        }
        assert_eq!(super::sent_time(&json!("2026-02-11T17:51:54.999Z")), Some(1_770_832_314_999));
        assert_eq!(super::sent_time(&json!("yesterday")), None);
        assert_eq!(super::sent_time(&json!(null)), None);
        // Milliseconds in the place of seconds, and worse.
        for beyond in [1_770_832_314_000.0, f64::MAX, f64::MIN, -1e12] {
            assert_eq!(super::sent_time(&json!(beyond)), None, "{beyond}");
        }
    }

    #[test]
    fn a_time_beyond_all_years_is_written_as_nothing() {
        for millis in [i64::MIN, i64::MAX, i64::MAX / 1000] {
            assert_eq!((super::iso8601(millis), super::iso8601_millis(millis)), (String::new(), String::new()));
        }
    }

    #[test]
    fn times_are_written_in_whole_seconds() {
        assert_eq!(super::iso8601(0), "1970-01-01T00:00:00Z");
        assert_eq!(super::iso8601(1_770_832_314_999), "2026-02-11T17:51:54Z");
        assert_eq!(super::iso8601_millis(1_770_832_314_999), "2026-02-11T17:51:54.999Z");
    }
}
