//! Waiting, in tests, for what happens by itself.

use std::time::Duration;

/// How long something may take on a busy machine before a test fails.
pub const PATIENCE: Duration = Duration::from_secs(60);

/// Waits until `is_so`.
///
/// # Panics
/// After [`PATIENCE`], with `what`.
pub async fn eventually(what: &str, mut is_so: impl AsyncFnMut() -> bool) {
    let wait = async {
        while !is_so().await {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    assert!(tokio::time::timeout(PATIENCE, wait).await.is_ok(), "still not true: {what}");
}
