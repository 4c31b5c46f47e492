//! The wall clock, and the formats in which AWS writes it. Persisted times are milliseconds since the epoch.

use time::format_description::well_known::Rfc3339;
use time::macros::format_description;
use time::{Duration, OffsetDateTime};

/// Now, in milliseconds since the epoch.
pub fn now_millis() -> i64 {
    let now = OffsetDateTime::now_utc();
    now.unix_timestamp() * 1000 + i64::from(now.millisecond())
}

/// A time as the query protocol writes it: `2026-02-11T17:51:54Z`, in whole seconds.
pub fn iso8601(millis: i64) -> String {
    let moment = OffsetDateTime::UNIX_EPOCH + Duration::seconds(millis.div_euclid(1000));
    moment.format(&Rfc3339).unwrap_or_default()
}

/// A time with its milliseconds: `2026-02-11T17:51:54.123Z`.
pub fn iso8601_millis(millis: i64) -> String {
    let moment = OffsetDateTime::UNIX_EPOCH + Duration::milliseconds(millis);
    let format = format_description!("[year]-[month]-[day]T[hour]:[minute]:[second].[subsecond digits:3]Z");
    moment.format(format).unwrap_or_default()
}

/// The time now as Lambda writes it into logs: `2026-01-02T03:04:05.678Z`.
pub fn log_time() -> String {
    let format = format_description!("[year]-[month]-[day]T[hour]:[minute]:[second].[subsecond digits:3]Z");
    OffsetDateTime::now_utc().format(format).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    #[test]
    fn times_are_written_in_whole_seconds() {
        assert_eq!(super::iso8601(0), "1970-01-01T00:00:00Z");
        assert_eq!(super::iso8601(1_770_832_314_999), "2026-02-11T17:51:54Z");
        assert_eq!(super::iso8601_millis(1_770_832_314_999), "2026-02-11T17:51:54.999Z");
    }
}
