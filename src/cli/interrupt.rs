//! Ctrl-C. A run that is changing resources finishes its running steps; anything else ends at once. Either way the exit
//! code is 130.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::watch;
use tokio::task::JoinHandle;

use super::exit::{self, Exit};
use crate::ui::Ui;

/// The number of claims: how many runs handle Ctrl-C themselves.
static CLAIMS: AtomicUsize = AtomicUsize::new(0);

/// Whether Ctrl-C was pressed.
static PRESSED: AtomicBool = AtomicBool::new(false);

/// What is said at the first Ctrl-C while resources are changed.
pub const STOPPING: &str =
    "Stopping: running steps finish and are kept, no others start. Press Ctrl-C again to stop at once.";

/// Whether Ctrl-C was pressed since the process began, which then determines the exit code.
pub fn was_pressed() -> bool {
    PRESSED.load(Ordering::SeqCst)
}

/// Forgets that Ctrl-C was pressed: it was what the command waited for.
pub fn answered() {
    PRESSED.store(false, Ordering::SeqCst);
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
                ui.restore_and_exit("Interrupted.", Exit::Interrupted as u8, exit::now);
            }
        }
    });
}

/// Ctrl-C, claimed by a run as long as this lives: at the first one, what runs is finished; a second one ends the process at
/// once.
pub struct Stop {
    pressed: watch::Receiver<bool>,
    listening: JoinHandle<()>,
}

impl Stop {
    /// Claims it from now on.
    pub fn claim(ui: &Ui) -> Self {
        let (stop, is_pressed) = watch::channel(false);
        let (claim, mut presses, ui) = (Claim::new(), presses(), ui.clone());
        let listening = tokio::spawn(async move {
            let _claim = claim;
            pressed(&mut presses).await;
            ui.notice(STOPPING);
            let _ = stop.send(true);
            pressed(&mut presses).await;
            let why = "Interrupted: running steps may be half done. The next run checks.";
            ui.restore_and_exit(why, Exit::Interrupted as u8, exit::now)
        });
        Self { pressed: is_pressed, listening }
    }

    /// Whether it was pressed.
    pub fn is_pressed(&self) -> bool {
        *self.pressed.borrow()
    }

    /// What turns true when it is pressed.
    pub fn pressed(&self) -> watch::Receiver<bool> {
        self.pressed.clone()
    }
}

impl Drop for Stop {
    fn drop(&mut self) {
        self.listening.abort();
    }
}
