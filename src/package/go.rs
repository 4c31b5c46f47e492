//! Code in Go: `go build`, as SAM's CLI does it (aws-lambda-builders, go_modules).

use std::fs;
use std::path::Path;

use tokio::process::Command;

use super::platform::Architecture;
use super::{BuildOptions, Code, PackageError, Target, install};
use crate::machine::interpreter;

/// The file that a folder with a Go module has.
pub(super) const MANIFEST: &str = "go.mod";

const DOING: &str = "compile the code";

/// Compiles a function's code, in the folder `source`, into `artifacts`: for Lambda a static executable of the function's architecture, for
/// the local cloud one of this machine.
///
/// # Errors
/// When Go is not installed, or does not compile it.
pub(super) async fn build(
    code: &Code,
    source: &Path,
    target: Target,
    artifacts: &Path,
    options: &BuildOptions,
) -> Result<(), PackageError> {
    fs::create_dir_all(artifacts).map_err(|error| PackageError::new(DOING, error))?;
    let artifacts = std::path::absolute(artifacts).map_err(|error| PackageError::new(DOING, error))?;
    // Custom runtimes start `bootstrap`; go1.x started what the handler names.
    let name = if code.runtime.starts_with("provided") { "bootstrap" } else { code.handler.as_str() };
    let mut command = Command::new(interpreter::within(options.tools.as_deref(), "go"));
    command.arg("build").arg("-o").arg(artifacts.join(name));
    // The same code gives the same bytes, wherever it lies and whatever git says of it. Without the part for the old runtime, which
    // custom runtimes have no use for (aws-lambda-go, README).
    command.args(["-trimpath", "-buildvcs=false", "-ldflags=-s -w", "-tags", "lambda.norpc", "."]);
    command.current_dir(source).env("CGO_ENABLED", "0");
    if target == Target::Lambda {
        let architecture = match code.architecture {
            Architecture::X86_64 => "amd64",
            Architecture::Arm64 => "arm64",
        };
        command.env("GOOS", "linux").env("GOARCH", architecture);
    }
    let without =
        "install Go (https://go.dev/dl), or build it elsewhere and name in CodeUri the folder or zip with `bootstrap`";
    install::run(command, DOING, "go build", without).await
}
