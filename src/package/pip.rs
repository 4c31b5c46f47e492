//! Installs a function's Python dependencies with pip: for Lambda as wheels that run there; for this machine only if the same
//! requirements can be installed for Lambda, too.

use std::ffi::OsString;
use std::fmt;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use sha2::{Digest, Sha256, Sha384, Sha512};
use tokio::process::Command;

use super::install::{Install, remove, run};
use super::platform::Architecture;
use super::requirements::{self, Line, Local, Requirements};
use super::{Code, Options, PackageError, Target, environment, python};

const DOING: &str = "install the dependencies";

pub(super) const WITHOUT_PIP: &str =
    "install pip for it (python3 -m ensurepip, or your system's python3-pip), and run the same command again";

/// Options for every pip command: only print errors.
pub(super) const QUIET: &[&str] = &["--quiet", "--disable-pip-version-check", "--no-input", "--progress-bar=off"];

/// Options for `pip install`; bytecode is left to the first start.
pub(super) const INSTALLING: &[&str] = &["--no-warn-script-location", "--no-compile"];

/// The dependencies to install for the code in `folder`; `None` if it declares none. `python` is the interpreter whose pip
/// installs them, and its version.
///
/// # Errors
/// When the file that declares the dependencies cannot be read.
pub(super) async fn dependencies(
    folder: &Path,
    code: &Code,
    target: Target,
    python: (&Path, &str),
    options: &Options,
) -> Result<Option<Install>, PackageError> {
    let requirements = python::requirements(folder, code, options).await?;
    if requirements.is_empty() {
        return Ok(None);
    }
    let mut fingerprint = format!("{:?}", requirements.lines);
    for local in requirements.locals() {
        fingerprint += &requirements::digest(&local.path)?;
    }
    // The texts of included files and constraints are part of the request, wherever they lie.
    requirements.texts.iter().for_each(|text| fingerprint.push_str(text));
    let reproducible = !requirements.includes_url;
    let steps = |target: Target| Steps {
        python: python.0.to_owned(),
        folder: folder.to_owned(),
        requirements: requirements.clone(),
        platform: WheelPlatform { runtime: code.runtime.clone(), architecture: code.architecture },
        target,
        lambda: None,
    };
    let install = |target: Target, fingerprint: String, steps: Steps| Install {
        tool: "pip",
        what: "pip install".to_owned(),
        program: steps.python.clone(),
        arguments: match target {
            Target::Host => Vec::new(),
            Target::Lambda => steps.platform.flags().into_iter().map(OsString::from).collect(),
        },
        folder: None,
        target_flag: None,
        files: Vec::new(),
        fingerprint,
        reproducible,
        missing_tool_help: WITHOUT_PIP,
        clean_up,
        root: "",
        steps: Some(steps),
    };
    let for_lambda = install(Target::Lambda, fingerprint.clone(), steps(Target::Lambda));
    Ok(Some(match target {
        Target::Lambda => for_lambda,
        Target::Host => {
            fingerprint.push_str(python.1);
            // Functions may share a folder; each is checked for its own runtime and architecture.
            fingerprint.push_str(&for_lambda.key());
            let steps = Steps { lambda: Some(Box::new(for_lambda)), ..steps(Target::Host) };
            install(Target::Host, fingerprint, steps)
        }
    }))
}

/// The steps from requirements to a folder of installed packages.
#[derive(Debug)]
pub(super) struct Steps {
    python: PathBuf,
    /// The code's folder, which paths in options are relative to.
    folder: PathBuf,
    requirements: Requirements,
    platform: WheelPlatform,
    target: Target,
    /// The same for Lambda: what cannot be installed for Lambda must fail here, too.
    lambda: Option<Box<Install>>,
}

/// The platform that Lambda runs Python code on, which decides about wheels.
#[derive(Debug)]
struct WheelPlatform {
    runtime: String,
    architecture: Architecture,
}

impl Steps {
    /// Installs into the folder `into`.
    ///
    /// # Errors
    /// When pip fails, or Lambda could not run the available packages.
    pub async fn run(&self, into: &Path, cache: &Path) -> Result<(), PackageError> {
        // pip runs in another folder.
        let into = std::path::absolute(into).map_err(failed)?;
        let work = into.with_extension(format!("{}.work", std::process::id()));
        remove(&work).and_then(|()| fs::create_dir_all(&work)).map_err(failed)?;
        let done = self.run_in(&into, cache, &work).await;
        remove(&work).map_err(failed)?;
        done
    }

    async fn run_in(&self, into: &Path, cache: &Path, work: &Path) -> Result<(), PackageError> {
        let lambda = async {
            match &self.lambda {
                Some(lambda) if !lambda.is_installed(cache) => Box::pin(lambda.install(cache)).await,
                _ => Ok(()),
            }
        };
        let here = async {
            let requirements = self.write_requirements(work).await?;
            match self.target {
                Target::Host => {
                    let mut pip = self.pip("install");
                    pip.arg("--prefer-binary").arg("--requirement").arg(&requirements).arg("--target").arg(into);
                    self.run_pip(pip, "pip install").await.map(drop)
                }
                Target::Lambda => self.for_lambda(&requirements, into, work).await,
            }
        };
        tokio::try_join!(lambda, here).map(drop)
    }

    async fn for_lambda(&self, requirements: &Path, into: &Path, work: &Path) -> Result<(), PackageError> {
        let mut pip = self.pip("install");
        pip.arg("--requirement").arg(requirements).args(self.platform.flags()).arg("--target").arg(into);
        match self.run_pip(pip, "pip install").await {
            Ok(()) => self.check_installed(into),
            // A package has no wheel, but it may be pure Python, for which one can be built here.
            Err(error) if has_no_distribution(&error) => {
                remove(into).and_then(|()| fs::create_dir_all(into)).map_err(failed)?;
                self.build_sources(requirements, into, work).await
            }
            Err(error) => Err(error),
        }
    }

    /// Builds wheels of the packages that have none, and accepts those of pure Python.
    async fn build_sources(&self, requirements: &Path, into: &Path, work: &Path) -> Result<(), PackageError> {
        let wheels = work.join("wheels");
        let mut pip = self.pip("wheel");
        pip.arg("--prefer-binary").arg("--requirement").arg(requirements).arg("--wheel-dir").arg(&wheels);
        self.run_pip(pip, "pip wheel").await?;
        let mut chosen = Vec::new();
        for wheel in files_in(&wheels)? {
            if self.platform.takes_wheel(&wheel) {
                chosen.push(wheel);
            } else {
                chosen.push(self.fetch(&wheel, work).await?);
            }
        }
        let mut pip = self.pip("install");
        pip.args(["--no-index", "--no-deps"]).args(self.platform.flags()).arg("--target").arg(into).args(chosen);
        self.run_pip(pip, "pip install").await
    }

    /// Downloads for Lambda the package of a wheel that was chosen or built for this machine.
    async fn fetch(&self, wheel: &Path, work: &Path) -> Result<PathBuf, PackageError> {
        let Some((name, version)) = name_and_version(wheel) else {
            return Err(failed(format!("{} is not the name of a wheel", wheel.display())));
        };
        let list = work.join(format!("{name}.txt"));
        let options = self.requirements.lines.iter().filter_map(|line| match line {
            Line::Option(option) if option != "--require-hashes" => Some(option.as_str()),
            _ => None,
        });
        let text: Vec<&str> = options.collect();
        fs::write(&list, format!("{}\n{name}=={version}\n", text.join("\n"))).map_err(failed)?;
        let folder = work.join(format!("{name}.fetched"));
        let mut pip = self.pip("download");
        pip.arg("--no-deps").arg("--requirement").arg(&list).args(self.platform.flags()).arg("--dest").arg(&folder);
        self.run_pip(pip, "pip download").await.map_err(|error| {
            if has_no_distribution(&error) { self.platform.has_no_wheel(&name, &version) } else { error }
        })?;
        let fetched = files_in(&folder)?.pop().ok_or_else(|| self.platform.has_no_wheel(&name, &version))?;
        if self.requirements.hashed && !self.is_allowed(&fetched)? {
            let why = format!("the wheel of {name} {version} for {} has none of the allowed hashes", self.platform);
            return Err(failed(why));
        }
        Ok(fetched)
    }

    fn is_allowed(&self, wheel: &Path) -> Result<bool, PackageError> {
        let content = fs::read(wheel).map_err(failed)?;
        let hashes = [
            format!("sha256:{}", hex::encode(Sha256::digest(&content))),
            format!("sha384:{}", hex::encode(Sha384::digest(&content))),
            format!("sha512:{}", hex::encode(Sha512::digest(&content))),
        ];
        Ok(hashes.iter().any(|hash| self.requirements.hashes.contains(hash)))
    }

    /// Checks that Lambda can run the installed packages: those named by path or URL were built here, which pip does not
    /// report.
    fn check_installed(&self, folder: &Path) -> Result<(), PackageError> {
        for entry in fs::read_dir(folder).map_err(failed)?.flatten() {
            let Ok(text) = fs::read_to_string(entry.path().join("WHEEL")) else { continue };
            let mut tags = text.lines().filter_map(|line| line.strip_prefix("Tag:")).map(str::trim).peekable();
            if tags.peek().is_none() || tags.any(|tag| self.platform.takes(tag)) {
                continue;
            }
            let name = entry.file_name().to_string_lossy().into_owned();
            let (name, version) =
                name.strip_suffix(".dist-info").and_then(|name| name.split_once('-')).unwrap_or((&name, ""));
            return Err(self.platform.has_no_wheel(name, version));
        }
        Ok(())
    }

    /// Writes all requirements into one file for pip. Projects that are named by path are built first and become wheels.
    async fn write_requirements(&self, work: &Path) -> Result<PathBuf, PackageError> {
        let mut lines = Vec::new();
        for (index, line) in self.requirements.lines.iter().enumerate() {
            lines.push(match line {
                Line::Option(line) | Line::Plain(line) => line.clone(),
                Line::Local(local) => {
                    let wheel = self.wheel_of(local, &work.join(format!("local{index}"))).await?;
                    let Some((name, version)) = name_and_version(&wheel) else {
                        return Err(failed(format!("{} is not the name of a wheel", wheel.display())));
                    };
                    if !self.platform.takes_wheel(&wheel) && self.target == Target::Lambda {
                        return Err(self.platform.has_no_wheel(&name, &version));
                    }
                    let marker = if local.marker.is_empty() { String::new() } else { format!(" {}", local.marker) };
                    let hash = match self.requirements.hashed {
                        true => {
                            let content = fs::read(&wheel).map_err(failed)?;
                            format!(" --hash=sha256:{}", hex::encode(Sha256::digest(content)))
                        }
                        false => String::new(),
                    };
                    format!("{name}{} @ {}{marker}{hash}", local.extras, file_url(&wheel))
                }
            });
        }
        let path = work.join("requirements.txt");
        fs::write(&path, lines.join("\n")).map_err(failed)?;
        Ok(path)
    }

    /// Builds in `folder` the wheel of a project's folder or an archive.
    async fn wheel_of(&self, local: &Local, folder: &Path) -> Result<PathBuf, PackageError> {
        if local.path.extension().is_some_and(|extension| extension == "whl") {
            return Ok(local.path.clone());
        }
        // By default, setuptools leaves its intermediate files in the project, and a later build packs them again, with
        // modules that have been deleted since.
        let scratch = folder.join("scratch");
        fs::create_dir_all(&scratch).map_err(failed)?;
        let settings = scratch.join("setup.cfg");
        let text = format!("[build]\nbuild_base = {0}\n[egg_info]\negg_base = {0}\n", scratch.display());
        fs::write(&settings, text).map_err(failed)?;
        let wheels = folder.join("wheels");
        let mut pip = self.pip("wheel");
        pip.env("DIST_EXTRA_CONFIG", settings);
        pip.arg("--no-deps").arg("--wheel-dir").arg(&wheels).arg(&local.path);
        self.run_pip(pip, &format!("pip wheel {}", local.path.display())).await?;
        let made = files_in(&wheels)?.pop();
        made.ok_or_else(|| failed(format!("pip built no wheel of {}", local.path.display())))
    }

    fn pip(&self, verb: &str) -> Command {
        let mut command = Command::new(&self.python);
        environment::clean(&mut command, &self.requirements.texts);
        command.args(["-m", "pip", verb]).args(QUIET).current_dir(&self.folder);
        if verb == "install" {
            command.args(INSTALLING);
        }
        command
    }

    async fn run_pip(&self, command: Command, what: &str) -> Result<(), PackageError> {
        run(command, DOING, what, WITHOUT_PIP).await
    }
}

impl WheelPlatform {
    /// `python3.12`: `12`
    fn minor(&self) -> u32 {
        self.runtime.trim_start_matches("python3.").parse().unwrap_or_default()
    }

    fn flags(&self) -> Vec<String> {
        platform(&self.runtime, self.architecture)
    }

    /// Whether Lambda runs a wheel with this tag: `cp312-abi3-manylinux_2_17_x86_64.manylinux2014_x86_64`.
    fn takes(&self, tag: &str) -> bool {
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

    fn takes_wheel(&self, wheel: &Path) -> bool {
        let name = wheel.file_stem().unwrap_or_default().to_string_lossy().into_owned();
        let tag: Vec<&str> = name.rsplitn(4, '-').take(3).collect();
        self.takes(&tag.into_iter().rev().collect::<Vec<_>>().join("-"))
    }

    fn has_no_wheel(&self, name: &str, version: &str) -> PackageError {
        let why =
            format!("{name} {version} has no wheel for {self}, and it is not pure Python, so none can be built here");
        failed(why).help(format!(
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

fn failed(why: impl fmt::Display) -> PackageError {
    PackageError::new(DOING, why)
}

/// Whether pip failed because, looking at wheels only, it found none, or none that is compatible with the others.
fn has_no_distribution(error: &PackageError) -> bool {
    let said = error.compiler.as_deref().unwrap_or_default();
    said.contains("No matching distribution found") || said.contains("ResolutionImpossible")
}

/// `my_lib-1.0-py3-none-any.whl`
fn name_and_version(wheel: &Path) -> Option<(String, String)> {
    let name = wheel.file_name()?.to_str()?.strip_suffix(".whl")?;
    let mut parts = name.split('-');
    Some((parts.next()?.to_owned(), parts.next()?.to_owned()))
}

fn files_in(folder: &Path) -> Result<Vec<PathBuf>, PackageError> {
    let entries = fs::read_dir(folder).map_err(|error| failed(format!("{}: {error}", folder.display())))?;
    let mut files: Vec<PathBuf> = entries.filter_map(|entry| Some(entry.ok()?.path())).collect();
    files.sort();
    Ok(files)
}

fn file_url(path: &Path) -> String {
    let mut url = "file://".to_owned();
    for &byte in path.as_os_str().as_encoded_bytes() {
        match byte {
            b'/' | b'-' | b'_' | b'.' | b'~' => url.push(char::from(byte)),
            _ if byte.is_ascii_alphanumeric() => url.push(char::from(byte)),
            _ => url.push_str(&format!("%{byte:02X}")),
        }
    }
    url
}

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

/// Removes what refers to this machine: commands of packages, which name its python, and `direct_url.json`, which names the
/// folder that a package was built from; both also from the packages' `RECORD`.
fn clean_up(folder: &Path) -> io::Result<()> {
    let commands = folder.join("bin");
    if commands.is_dir() {
        fs::remove_dir_all(commands)?;
    }
    for entry in fs::read_dir(folder)? {
        let info = entry?.path();
        let record = info.join("RECORD");
        if record.is_file() {
            let origin = info.join("direct_url.json");
            if origin.is_file() {
                fs::remove_file(origin)?;
            }
            let text = fs::read_to_string(&record)?;
            let here = |line: &str| line.starts_with("../../bin/") || line.contains(".dist-info/direct_url.json,");
            let kept = text.lines().filter(|line| !here(line)).map(|line| format!("{line}\n"));
            fs::write(record, kept.collect::<String>())?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests;
