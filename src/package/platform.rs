//! The platforms that code is built for: this machine, or Lambda's machine of a runtime and an architecture.

use std::fmt;
use std::path::Path;

use super::{Code, PackageError};
use crate::core::words::runtimes;

/// What the code is built for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Target {
    /// The local cloud: this machine runs it, whatever architecture the template names. Built with the `dev` profile
    /// (without symbols and debug info in the handlers), so that a change takes seconds.
    Host,
    /// AWS. Built with the workspace's `lambda` profile; where it has none, with `release`.
    Lambda,
}

/// A processor architecture that Lambda offers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Architecture {
    X86_64,
    Arm64,
}

impl Architecture {
    /// As Lambda's `Architectures` spells it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::X86_64 => "x86_64",
            Self::Arm64 => "arm64",
        }
    }

    /// As Rust's targets and `std::env::consts::ARCH` spell it.
    pub(super) fn rust(self) -> &'static str {
        match self {
            Self::X86_64 => "x86_64",
            Self::Arm64 => "aarch64",
        }
    }

    /// The path of the dynamic loader in glibc's ABI; Amazon Linux has no other loader.
    pub(super) fn loader(self) -> &'static str {
        match self {
            Self::X86_64 => "/lib64/ld-linux-x86-64.so.2",
            Self::Arm64 => "/lib/ld-linux-aarch64.so.1",
        }
    }
}

/// A version of glibc.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct Glibc(pub u32, pub u32);

impl fmt::Display for Glibc {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.0, self.1)
    }
}

/// A custom runtime and its version of glibc.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct Runtime {
    pub name: &'static str,
    pub glibc: Glibc,
}

/// From the Amazon Linux 2 and 2023 release notes. How executables that need a newer glibc fail there:
/// awslabs/aws-lambda-rust-runtime#932 and cargo-lambda/cargo-lambda#654.
const RUNTIMES: &[Runtime] =
    &[Runtime { name: "provided.al2023", glibc: Glibc(2, 34) }, Runtime { name: "provided.al2", glibc: Glibc(2, 26) }];

/// The platform that one function's code runs on.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) enum Platform {
    Host,
    Lambda { runtime: Runtime, architecture: Architecture },
}

/// The managed runtimes that are neither Node.js nor Python: their code is deployed as a build has left it.
const MANAGED: &[&str] = &["dotnet", "go1.x", "java", "ruby"];

/// Whether Lambda brings a runtime whose code wschat does not build.
pub(super) fn is_managed(runtime: &str) -> bool {
    MANAGED.iter().any(|managed| runtime.starts_with(managed)) && runtimes::unknown(runtime).is_none()
}

/// The file by which a folder shows to be the sources of code for a managed runtime, and not what a build has made of them.
pub(super) fn sources(folder: &Path, runtime: &str) -> Option<String> {
    let is_project = |name: &str| match runtime {
        java if java.starts_with("java") => ["pom.xml", "build.gradle", "build.gradle.kts"].contains(&name),
        dotnet if dotnet.starts_with("dotnet") => name.ends_with(".csproj") || name.ends_with(".fsproj"),
        _ => false,
    };
    let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
    let mut names: Vec<String> = entries.map(|entry| entry.file_name().to_string_lossy().into_owned()).collect();
    names.sort();
    names.into_iter().find(|name| is_project(name))
}

impl Platform {
    /// The platform that executables in `code` are for when it is built for `target`; `None` where Lambda brings the runtime, and for
    /// layers.
    pub fn of(code: &Code, target: Target) -> Result<Option<Self>, PackageError> {
        if code.is_layer || is_managed(&code.runtime) {
            return Ok(None);
        }
        let Some(runtime) = RUNTIMES.iter().find(|runtime| runtime.name == code.runtime) else {
            let languages = ["nodejs", "python"].into_iter().filter_map(runtimes::newest_of);
            let names: Vec<&str> = RUNTIMES.iter().map(|runtime| runtime.name).chain(languages).collect();
            return Err(PackageError::new(
                "package the code",
                format!("runtime {} is not supported yet", code.runtime),
            )
            .help(format!("supported: {}; and older ones of Node.js and Python", names.join(", ")))
            .of([&code.logical_id]));
        };
        Ok(Some(match target {
            Target::Host => Self::Host,
            Target::Lambda => Self::Lambda { runtime: *runtime, architecture: code.architecture },
        }))
    }

    /// The target that this platform belongs to.
    pub fn target(&self) -> Target {
        match self {
            Self::Host => Target::Host,
            Self::Lambda { .. } => Target::Lambda,
        }
    }
}

impl fmt::Display for Platform {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Host => write!(f, "this machine ({} {})", std::env::consts::ARCH, std::env::consts::OS),
            Self::Lambda { runtime, architecture } => write!(f, "{} on {}", runtime.name, architecture.as_str()),
        }
    }
}
