//! Which tool makes executables for a place, and what to install where there is none.

use std::env::consts::{ARCH, OS};
use std::fmt;
use std::path::{Path, PathBuf};

use super::cargo::{self, Batch};
use super::place::{Architecture, Glibc, Place};
use super::{Backend, Options, PackageError};

const DOING: &str = "compile the code";

/// One way to have an executable made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Method {
    /// `cargo build`, for another target than this machine's where one is named.
    Cargo { triple: Option<String> },
    /// `cargo zigbuild` for a target and the glibc it is to run with.
    Zigbuild { triple: String, glibc: Glibc },
    /// `cargo build` for a target whose executables are static.
    Musl { triple: String },
}

impl Method {
    /// What follows `cargo` on the command line.
    pub fn arguments(&self) -> Vec<String> {
        match self {
            Self::Cargo { triple: None } => vec!["build".to_owned()],
            Self::Cargo { triple: Some(triple) } | Self::Musl { triple } => {
                vec!["build".to_owned(), "--target".to_owned(), triple.clone()]
            }
            Self::Zigbuild { triple, glibc } => {
                vec!["zigbuild".to_owned(), "--target".to_owned(), format!("{triple}.{glibc}")]
            }
        }
    }

    fn triple(&self) -> Option<&str> {
        match self {
            Self::Cargo { triple } => triple.as_deref(),
            Self::Zigbuild { triple, .. } | Self::Musl { triple } => Some(triple),
        }
    }
}

impl fmt::Display for Method {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "cargo {}", self.arguments().join(" "))
    }
}

/// The method for a batch: the one asked for, or for `Auto` the plainest that can work.
pub(super) async fn choose(options: &Options, batch: &Batch) -> Result<Method, PackageError> {
    let Place::Lambda { runtime, architecture } = &batch.place else {
        return Ok(Method::Cargo { triple: None });
    };
    let architecture = *architecture;
    let native = OS == "linux" && ARCH == architecture.rust();
    let method = match options.backend {
        Backend::Auto | Backend::Cargo if native => return Ok(Method::Cargo { triple: None }),
        Backend::Auto => {
            return first_available(options, batch).await.ok_or_else(|| {
                let why = format!("this machine ({ARCH} {OS}) cannot make code for {} by itself", batch.place);
                advise(PackageError::new(DOING, why), &batch.place)
            });
        }
        Backend::Cargo => Method::Cargo { triple: Some(gnu(architecture)) },
        Backend::Zigbuild => Method::Zigbuild { triple: gnu(architecture), glibc: runtime.glibc },
        Backend::Musl => Method::Musl { triple: musl(architecture) },
    };
    check(options, &method, &batch.root).await?;
    Ok(method)
}

/// What to try after `tried` made something that cannot run at the batch's place; only `Auto` tries anything else.
pub(super) async fn instead(options: &Options, batch: &Batch, tried: &Method) -> Option<Method> {
    let may = options.backend == Backend::Auto && *tried == Method::Cargo { triple: None };
    if may { first_available(options, batch).await } else { None }
}

/// `error` with what to install, so that code for `place` can be made here.
pub(super) fn advise(error: PackageError, place: &Place) -> PackageError {
    let Place::Lambda { runtime, architecture } = place else { return error };
    let (gnu, musl) = (gnu(*architecture), musl(*architecture));
    let target = if ARCH == architecture.rust() { String::new() } else { format!("rustup target add {gnu} && ") };
    error.help(format!(
        "install one of these and run the same command again:\n\
         {target}cargo install cargo-zigbuild && pip install ziglang   (links against glibc {})\n\
         rustup target add {musl}   (links statically)",
        runtime.glibc
    ))
}

async fn first_available(options: &Options, batch: &Batch) -> Option<Method> {
    let Place::Lambda { runtime, architecture } = &batch.place else { return None };
    let methods = [
        Method::Zigbuild { triple: gnu(*architecture), glibc: runtime.glibc },
        Method::Musl { triple: musl(*architecture) },
    ];
    for method in methods {
        if check(options, &method, &batch.root).await.is_ok() {
            return Some(method);
        }
    }
    None
}

/// Whether what a method needs is installed, asked before it runs: cargo's own complaint is that `std` is missing.
async fn check(options: &Options, method: &Method, root: &Path) -> Result<(), PackageError> {
    if matches!(method, Method::Zigbuild { .. }) {
        // Asked for its help, not its version: it has a version only under the name `cargo-zigbuild`.
        let itself = cargo::command(&options.cargo, root).args(["zigbuild", "--help"]).output().await;
        if !itself.is_ok_and(|output| output.status.success()) {
            return Err(PackageError::new(DOING, "cargo-zigbuild is not installed")
                .help("cargo install cargo-zigbuild && pip install ziglang"));
        }
        let compiler = ["zig", "cc", "--", "--version"];
        let zig = cargo::command(Path::new("cargo-zigbuild"), root).args(compiler).output().await;
        if zig.is_ok_and(|output| !output.status.success()) {
            return Err(PackageError::new(DOING, "cargo-zigbuild is installed, and finds no zig")
                .help("pip install ziglang, for the python3 that is first in PATH; or https://ziglang.org/download"));
        }
    }
    let Some(triple) = method.triple() else { return Ok(()) };
    if !has_target(&options.cargo, root, triple).await {
        let why = format!("Rust's target {triple} is not installed");
        return Err(PackageError::new(DOING, why).help(format!("rustup target add {triple}")));
    }
    Ok(())
}

async fn has_target(cargo: &Path, root: &Path, triple: &str) -> bool {
    // Beside the cargo that is to use it; a bare `cargo` has its rustc on the same search path.
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
