//! Decides which wheels Lambda can run: for its version of Python, its architecture and its glibc.

use std::fmt;
use std::path::Path;

use super::PackageError;
use super::platform::Architecture;

/// The platform that Lambda runs Python code on, which decides about wheels.
#[derive(Debug)]
pub(super) struct WheelPlatform {
    pub runtime: String,
    pub architecture: Architecture,
}

impl WheelPlatform {
    /// `python3.12`: `12`
    fn minor(&self) -> u32 {
        self.runtime.trim_start_matches("python3.").parse().unwrap_or_default()
    }

    /// The options with which pip selects wheels for it.
    pub fn flags(&self) -> Vec<String> {
        platform(&self.runtime, self.architecture)
    }

    /// Whether Lambda runs a wheel with this tag: `cp312-abi3-manylinux_2_17_x86_64.manylinux2014_x86_64`.
    pub fn takes(&self, tag: &str) -> bool {
        let mut parts = tag.splitn(3, '-');
        let (Some(pythons), Some(abis), Some(platforms)) = (parts.next(), parts.next(), parts.next()) else {
            return false;
        };
        let minor = self.minor();
        let stable = abis.split('.').any(|abi| abi == "abi3");
        let python = |tag: &str| match tag.strip_prefix("cp3").or(tag.strip_prefix("py3")) {
            Some("") => true,
            Some(number) => number.parse::<u32>().is_ok_and(|number| match tag.starts_with("cp") && !stable {
                true => number == minor,
                false => number <= minor,
            }),
            None => false,
        };
        let own = format!("cp3{minor}");
        let abi = |tag: &str| tag == "none" || tag == "abi3" || tag == own;
        let machine = self.architecture.rust();
        let accepted: Vec<String> =
            self.flags().iter().filter_map(|flag| Some(flag.strip_prefix("--platform=")?.to_owned())).collect();
        let platform = |tag: &str| {
            tag == "any"
                || accepted.iter().any(|known| known == tag)
                || LEGACY_PLATFORMS.iter().any(|old| *tag == format!("{old}_{machine}"))
        };
        pythons.split('.').any(python) && abis.split('.').any(abi) && platforms.split('.').any(platform)
    }

    /// As `takes`, by a wheel's file name.
    pub fn takes_wheel(&self, wheel: &Path) -> bool {
        let name = wheel.file_stem().unwrap_or_default().to_string_lossy().into_owned();
        let tag: Vec<&str> = name.rsplitn(4, '-').take(3).collect();
        self.takes(&tag.into_iter().rev().collect::<Vec<_>>().join("-"))
    }

    /// The error for a package without a wheel that Lambda can run.
    pub fn has_no_wheel(&self, name: &str, version: &str) -> PackageError {
        let why =
            format!("{name} {version} has no wheel for {self}, and it is not pure Python, so none can be built here");
        PackageError::new("install the dependencies", why).help(format!(
            "choose a version of {name} that has one, or another package; or build it on Amazon Linux and put it into the code's \
             folder.\nIt is not installed on this machine either, because Lambda could not run it"
        ))
    }
}

impl fmt::Display for WheelPlatform {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} on {} Linux", self.runtime, self.architecture.as_str())
    }
}

/// Older platform tags, which every current Linux supports (PEPs 513 and 571).
const LEGACY_PLATFORMS: &[&str] = &["manylinux2010", "manylinux1"];

/// The options with which pip selects wheels for Lambda: for its glibc (2.34 from python3.12 on, 2.26 before: Lambda
/// developer guide, runtimes) and for all older ones (PEP 600).
fn platform(runtime: &str, architecture: Architecture) -> Vec<String> {
    let release = runtime.trim_start_matches("python");
    let minor: u32 = release.trim_start_matches("3.").parse().unwrap_or_default();
    let glibc = if minor >= 12 { 34 } else { 26 };
    let machine = architecture.rust();
    let mut flags =
        vec!["--only-binary=:all:".to_owned(), "--implementation=cp".to_owned(), format!("--python-version={release}")];
    flags.extend((17..=glibc).rev().map(|minor| format!("--platform=manylinux_2_{minor}_{machine}")));
    flags.push(format!("--platform=manylinux2014_{machine}"));
    flags
}
