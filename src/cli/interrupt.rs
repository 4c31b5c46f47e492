//! Ctrl-C. A run that is changing resources finishes its running steps; anything else ends at once. Either way the exit
//! code is 130.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::watch;

use super::exit;
use crate::ui::Ui;

/// The number of claims: how many runs handle Ctrl-C themselves.
static CLAIMS: AtomicUsize = AtomicUsize::new(0);

/// Whether Ctrl-C was pressed.
static PRESSED: AtomicBool = AtomicBool::new(false);

/// Whether Ctrl-C was pressed since the process began, which then determines the exit code.
pub fn was_pressed() -> bool {
    PRESSED.load(Ordering::SeqCst)
}

/// While a claim exists, Ctrl-C does not end the process: its owner handles it.
pub struct Claim;

impl Claim {
    /// Claims Ctrl-C.
    pub fn new() -> Self {
        CLAIMS.fetch_add(1, Ordering::SeqCst);
        Self
    }
}

impl Drop for Claim {
    fn drop(&mut self) {
        CLAIMS.fetch_sub(1, Ordering::SeqCst);
    }
}

fn presses() -> Option<Signal> {
    signal(SignalKind::interrupt()).ok()
}

async fn pressed(presses: &mut Option<Signal>) {
    match presses {
        Some(presses) => drop(presses.recv().await),
        None => std::future::pending().await,
    }
}

/// Ends the process at Ctrl-C, unless it is claimed, whatever else the process does, even while it waits for the answer
/// to a question. Must be called within the runtime, and listens from then on.
pub fn watch(ui: Ui) {
    let mut presses = presses();
    tokio::spawn(async move {
        loop {
            pressed(&mut presses).await;
            PRESSED.store(true, Ordering::SeqCst);
            if CLAIMS.load(Ordering::SeqCst) == 0 {
                ui.restore_and_exit("Interrupted.", exit::now);
            }
        }
    });
}

/// Claims Ctrl-C from now on. The first one sets `stop`, so that running steps are finished; a second one ends the
/// process at once.
pub fn claim(stop: watch::Sender<bool>, ui: Ui) -> impl Future<Output = ()> {
    let claim = Claim::new();
    let mut presses = presses();
    async move {
        let _claim = claim;
        pressed(&mut presses).await;
        ui.notice("Stopping: steps under way are finished and kept, no others are started. Press Ctrl-C again to stop at once.");
        let _ = stop.send(true);
        pressed(&mut presses).await;
        ui.restore_and_exit("Interrupted: what was running may be half done. The next run finds out.", exit::now)
    }
}
