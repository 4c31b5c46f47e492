//! Runs many cases on a few clouds in parallel.

use std::any::Any;
use std::fmt::Display;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use super::Cloud;

/// Checks every case on one of `count` clouds. A failed case does not stop the others: its cloud is replaced, and all
/// failures are reported at the end.
pub fn on_clouds<C: Display + Sync>(
    count: usize,
    start: impl Fn() -> Cloud + Sync,
    cases: &[C],
    check: impl Fn(&Cloud, &C) + Sync,
) {
    let next = AtomicUsize::new(0);
    let failed = Mutex::new(Vec::new());
    let work = || {
        let mut cloud = start();
        loop {
            let index = next.fetch_add(1, Ordering::Relaxed);
            let Some(case) = cases.get(index) else { break };
            println!("{} of {}: {case}", index + 1, cases.len());
            if let Err(panic) = catch_unwind(AssertUnwindSafe(|| check(&cloud, case))) {
                failed.lock().unwrap().push(format!("{case}: {}", message(&*panic)));
                cloud = start();
            }
        }
    };
    std::thread::scope(|scope| {
        for _ in 0..count.min(cases.len()) {
            scope.spawn(work);
        }
    });
    let failed = failed.into_inner().unwrap();
    assert!(failed.is_empty(), "{} of {} failed:\n{}", failed.len(), cases.len(), failed.join("\n\n"));
}

fn message(panic: &(dyn Any + Send)) -> &str {
    panic.downcast_ref::<String>().map(String::as_str).or(panic.downcast_ref::<&str>().copied()).unwrap_or_default()
}
