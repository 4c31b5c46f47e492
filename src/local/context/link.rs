//! The simulated uplink: one line that all requests share. Bytes are charged as they arrive, in small pieces, so that
//! concurrent requests share the line fairly and a small call is not held up behind a whole upload.

use std::sync::Mutex;
use std::time::Duration;

use serde::Deserialize;
use tokio::time::Instant;

use crate::local::lock::lock;

/// What one turn on the line carries: some milliseconds at the speed of an office's uplink.
const PIECE: usize = 16 << 10;

/// Gaps up to this long are a timer that fired late and not an idle line.
const LATE_TIMER: Duration = Duration::from_millis(5);

/// `[link]` of a conditions file.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct LinkSettings {
    upload_mbit_s: Option<f64>,
    idle_body_timeout_s: Option<f64>,
    #[serde(default)]
    buffers_bodies: bool,
}

/// The uplink, and what stands at its end.
#[derive(Debug, Default)]
pub struct Link {
    /// Bits per second; `None` where the line is not limited.
    speed: Option<f64>,
    /// How long a request's body may stand still before the request is refused; `None` for ever.
    pub idle_body_timeout: Option<Duration>,
    /// Whether a front between the client and the line passes a request on only when it has all of it.
    pub buffers_bodies: bool,
    /// When the line will have sent everything queued so far.
    free_at: Mutex<Option<Instant>>,
}

impl Link {
    /// The link that a conditions file describes.
    ///
    /// # Errors
    /// The mistake.
    pub(super) fn new(settings: &LinkSettings) -> Result<Self, String> {
        let speed = settings.upload_mbit_s.map(|rate| rate * 1e6);
        if speed.is_some_and(|rate| rate.is_nan() || rate <= 0.0) {
            return Err("link: upload_mbit_s must be above 0".to_owned());
        }
        let idle = settings.idle_body_timeout_s.map(Duration::try_from_secs_f64).transpose();
        let idle_body_timeout = match idle {
            Ok(idle) if idle.is_none_or(|idle| !idle.is_zero()) => idle,
            _ => return Err("link: idle_body_timeout_s must be a number of seconds above 0".to_owned()),
        };
        Ok(Self { speed, idle_body_timeout, buffers_bodies: settings.buffers_bodies, free_at: Mutex::new(None) })
    }

    /// Returns when the line has carried `bytes` more.
    pub async fn carry(&self, mut bytes: usize) {
        while bytes > 0 {
            let piece = bytes.min(PIECE);
            let Some(sent) = self.sent_at(piece, Instant::now()) else { return };
            tokio::time::sleep_until(sent).await;
            bytes -= piece;
        }
    }

    /// When the line will have sent `bytes` more, queued now; `None` where it is not limited.
    fn sent_at(&self, bytes: usize, now: Instant) -> Option<Instant> {
        let duration = Duration::from_secs_f64(bytes as f64 * 8.0 / self.speed?);
        let mut free_at = lock(&self.free_at);
        let begins = free_at.filter(|free_at| *free_at + LATE_TIMER > now).unwrap_or(now);
        *free_at = Some(begins + duration);
        *free_at
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn link(upload_mbit_s: f64) -> Link {
        Link::new(&LinkSettings {
            upload_mbit_s: Some(upload_mbit_s),
            idle_body_timeout_s: None,
            buffers_bodies: false,
        })
        .unwrap()
    }

    #[test]
    fn all_requests_share_one_uplink() {
        let link = link(8.0);
        let start = Instant::now();
        let second = |seconds| start + Duration::from_secs(seconds);
        let megabyte = |now| link.sent_at(1_000_000, now).unwrap();
        assert_eq!(megabyte(start), second(1));
        assert_eq!(megabyte(start), second(2));
        assert_eq!(megabyte(second(1)), second(3));
        // A timer that was late costs nothing.
        assert_eq!(megabyte(second(3) + LATE_TIMER / 2), second(4));
        // What was sent earlier does not delay later calls.
        assert_eq!(megabyte(second(60)), second(61));
        assert_eq!(Link::default().sent_at(1_000_000, start), None);
    }

    #[test]
    fn a_small_call_waits_for_one_piece_of_each_upload() {
        let link = link(8.0);
        let start = Instant::now();
        // Two uploads have each their first piece on the line; the second pieces are not queued before the first are sent.
        let first = link.sent_at(PIECE, start).unwrap();
        let second = link.sent_at(PIECE, start).unwrap();
        let small = link.sent_at(1000, start).unwrap();
        let next = link.sent_at(PIECE, first).unwrap();
        assert!(first < second && second < small && small < next);
        assert_eq!(small - second, Duration::from_millis(1));
    }

    #[tokio::test]
    async fn a_request_is_charged_for_all_of_its_bytes() {
        let link = link(800.0);
        let start = Instant::now();
        link.carry(5 * PIECE + 1).await;
        assert!(start.elapsed() >= Duration::from_secs_f64((5 * PIECE + 1) as f64 * 8.0 / 800e6));
    }

    #[test]
    fn mistakes_are_reported() {
        let settings = |text: &str| Link::new(&toml::from_str(text).unwrap()).unwrap_err();
        assert_eq!(settings("upload_mbit_s = 0"), "link: upload_mbit_s must be above 0");
        for text in ["idle_body_timeout_s = 0", "idle_body_timeout_s = -1", "idle_body_timeout_s = nan"] {
            assert_eq!(settings(text), "link: idle_body_timeout_s must be a number of seconds above 0");
        }
    }
}
