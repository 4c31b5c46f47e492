//! The choice of the cargo command that builds for a platform, and what to install if none is available.

use std::env::consts::{ARCH, OS};
use std::path::{Path, PathBuf};

use super::build_command::BuildCommand;
use super::cargo::{self, Batch};
use super::platform::{Architecture, Platform};
use super::{Backend, BuildOptions, PackageError};

const DOING: &str = "compile the code";

/// The command for a batch: the requested one, or for `Auto` the simplest that can work.
pub(super) async fn choose(options: &BuildOptions, batch: &Batch) -> Result<BuildCommand, PackageError> {
    let Platform::Lambda { runtime, architecture } = &batch.platform else {
        return Ok(BuildCommand::Cargo { triple: None });
    };
    let architecture = *architecture;
    let native = OS == "linux" && ARCH == architecture.rust();
    let command = match options.backend {
        Backend::Auto | Backend::Cargo if native => return Ok(BuildCommand::Cargo { triple: None }),
        Backend::Auto => {
            return first_available(options, batch).await.ok_or_else(|| {
                let why =
                    format!("this machine ({ARCH} {OS}) cannot build code for {} with plain cargo", batch.platform);
                with_install_help(PackageError::new(DOING, why), &batch.platform)
            });
        }
        Backend::Cargo => BuildCommand::Cargo { triple: Some(gnu(architecture)) },
        Backend::Zigbuild => BuildCommand::Zigbuild { triple: gnu(architecture), glibc: runtime.glibc },
        Backend::Musl => BuildCommand::Musl { triple: musl(architecture) },
    };
    check(options, &command, &batch.root).await?;
    Ok(command)
}

/// The command to try after the output of `tried` turned out not to run on the batch's platform; only `Auto` has one.
pub(super) async fn fallback(options: &BuildOptions, batch: &Batch, tried: &BuildCommand) -> Option<BuildCommand> {
    let may = options.backend == Backend::Auto && *tried == BuildCommand::Cargo { triple: None };
    if may { first_available(options, batch).await } else { None }
}

/// Adds to `error` what to install so that code for `platform` can be built here.
pub(super) fn with_install_help(error: PackageError, platform: &Platform) -> PackageError {
    let Platform::Lambda { runtime, architecture } = platform else { return error };
    let (gnu, musl) = (gnu(*architecture), musl(*architecture));
    let target = if ARCH == architecture.rust() { String::new() } else { format!("rustup target add {gnu} && ") };
    error.help(format!(
        "install one of these and run the same command again:\n\
         {target}cargo install cargo-zigbuild && pip install ziglang   (links against glibc {})\n\
         rustup target add {musl}   (links statically)",
        runtime.glibc
    ))
}

async fn first_available(options: &BuildOptions, batch: &Batch) -> Option<BuildCommand> {
    let Platform::Lambda { runtime, architecture } = &batch.platform else { return None };
    let commands = [
        BuildCommand::Zigbuild { triple: gnu(*architecture), glibc: runtime.glibc },
        BuildCommand::Musl { triple: musl(*architecture) },
    ];
    for command in commands {
        if check(options, &command, &batch.root).await.is_ok() {
            return Some(command);
        }
    }
    None
}

/// Checks that the tools of a command are installed. Without this, cargo's only error would be that `std` is missing.
async fn check(options: &BuildOptions, command: &BuildCommand, root: &Path) -> Result<(), PackageError> {
    if matches!(command, BuildCommand::Zigbuild { .. }) {
        // `--help`, because `--version` only works under the name `cargo-zigbuild`.
        let itself = cargo::command(&options.cargo, root).args(["zigbuild", "--help"]).output().await;
        if !itself.is_ok_and(|output| output.status.success()) {
            return Err(PackageError::new(DOING, "cargo-zigbuild is not installed")
                .help("cargo install cargo-zigbuild && pip install ziglang"));
        }
        let compiler = ["zig", "cc", "--", "--version"];
        let zig = cargo::command(Path::new("cargo-zigbuild"), root).args(compiler).output().await;
        if zig.is_ok_and(|output| !output.status.success()) {
            return Err(PackageError::new(DOING, "cargo-zigbuild is installed but does not find zig")
                .help("pip install ziglang, for the python3 that is first in PATH; or https://ziglang.org/download"));
        }
    }
    let Some(triple) = command.triple() else { return Ok(()) };
    if !has_target(&options.cargo, root, triple).await {
        let why = format!("Rust's target {triple} is not installed");
        return Err(PackageError::new(DOING, why).help(format!("rustup target add {triple}")));
    }
    Ok(())
}

async fn has_target(cargo: &Path, root: &Path, triple: &str) -> bool {
    // The rustc beside this cargo; for a bare `cargo`, the rustc on the same search path.
    let rustc = cargo.with_file_name("rustc");
    let printed = cargo::command(&rustc, root).args(["--print", "target-libdir", "--target", triple]).output().await;
    printed.is_ok_and(|output| {
        output.status.success() && PathBuf::from(String::from_utf8_lossy(&output.stdout).trim_end()).is_dir()
    })
}

fn gnu(architecture: Architecture) -> String {
    format!("{}-unknown-linux-gnu", architecture.rust())
}

fn musl(architecture: Architecture) -> String {
    format!("{}-unknown-linux-musl", architecture.rust())
}
