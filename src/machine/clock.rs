//! The offset of this machine's time zone.

use std::process::Command;

/// The current offset from UTC in seconds, as `date` knows it (from `TZ`, or the system's zone); 0 if there is no `date`.
pub fn local_offset() -> i32 {
    let said = Command::new("date").arg("+%z").output().ok().filter(|said| said.status.success());
    said.and_then(|said| parse(String::from_utf8_lossy(&said.stdout).trim())).unwrap_or_default()
}

/// `+0530` in seconds.
fn parse(text: &str) -> Option<i32> {
    let sign = if text.starts_with('-') { -1 } else { 1 };
    let digits = text.strip_prefix(['+', '-']).filter(|digits| digits.len() == 4 && digits.is_ascii())?;
    let (hours, minutes): (i32, i32) = (digits[..2].parse().ok()?, digits[2..].parse().ok()?);
    Some(sign * (hours * 3600 + minutes * 60))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn offsets_are_read_as_date_prints_them() {
        let table = [
            ("+0000", Some(0)),
            ("+0530", Some(19_800)),
            ("-0330", Some(-12_600)),
            ("UTC", None),
            ("", None),
            ("+5", None),
        ];
        for (text, seconds) in table {
            assert_eq!(parse(text), seconds, "{text}");
        }
    }
}
