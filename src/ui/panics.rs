//! What the user sees of a fault in wschat itself.

use std::io::{self, Write};
use std::panic::{self, PanicHookInfo};

/// From now on a panic is told as every other error is: what, where, and what to do. `RUST_BACKTRACE=1` adds the stack.
///
/// Where a panic unwinds, the task that has it fails and its caller goes on; where it does not (the packaged binary), the process
/// ends with exit code 1.
pub fn tell() {
    let before = panic::take_hook();
    panic::set_hook(Box::new(move |panic| {
        // Without a reader of stderr there is nothing that could be done.
        let _ = writeln!(io::stderr(), "{}", text(panic));
        if traced() {
            before(panic);
        }
        #[cfg(panic = "abort")]
        end();
    }));
}

fn text(panic: &PanicHookInfo) -> String {
    let what = panic.payload_as_str().unwrap_or("a fault without a message");
    let place = panic.location().map(|place| format!(" at {}:{}", place.file(), place.line())).unwrap_or_default();
    format!(
        "error: internal error{place}: {what}\n  This is a fault of wschat {}: please report it. What is deployed stays as it is, and the same \
         command, run again, goes on from there.",
        env!("CARGO_PKG_VERSION")
    )
}

#[expect(clippy::disallowed_methods, reason = "Rust's variable, which means here what it means everywhere")]
fn traced() -> bool {
    std::env::var_os("RUST_BACKTRACE").is_some_and(|value| value != "0")
}

/// An abort would leave a core dump, and the shell's word for it.
#[cfg(panic = "abort")]
#[expect(clippy::exit, clippy::disallowed_methods, reason = "the process would be aborted")]
fn end() {
    std::process::exit(1)
}

#[cfg(test)]
#[expect(clippy::disallowed_methods, reason = "the test is a process of its own")]
mod tests {
    use std::process::Command;

    /// Set for the process that has the fault.
    const FAULTY: &str = "WSCHAT_TEST_FAULT";

    #[test]
    fn a_fault_is_one_error_with_its_place() {
        if std::env::var_os(FAULTY).is_some() {
            super::tell();
            let parts: Vec<u8> = Vec::new();
            let _ = parts[parts.len()];
        }
        let name = "ui::panics::tests::a_fault_is_one_error_with_its_place";
        let test = std::env::current_exe().expect("this test has a file");
        let mut faulty = Command::new(test);
        faulty.args([name, "--exact", "--nocapture"]).env(FAULTY, "1").env("RUST_BACKTRACE", "0");
        let output = faulty.output().expect("it runs");
        let told = String::from_utf8_lossy(&output.stderr);
        assert!(!output.status.success());
        assert!(told.contains("error: internal error at src/ui/panics.rs:"), "{told}");
        assert!(told.contains("index out of bounds") && told.contains("please report it"), "{told}");
        assert!(!told.contains("stack backtrace") && !told.contains("panicked at"), "{told}");
    }
}
