//! Installs a function's Python dependencies with pip: for Lambda as wheels that run there; for this machine only if
//! the same requirements can be installed for Lambda, too.

use std::fmt;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use sha2::{Digest, Sha256, Sha384, Sha512};
use tokio::process::Command;

use super::install::{self, ScratchFolder, remove, run};
use super::requirements::{self, Line, Local, Requirements};
use super::wheel::WheelPlatform;
use super::{BuildOptions, Code, PackageError, Target, environment, python};

const DOING: &str = "install the dependencies";

/// Part of every key: raise it when the same request should be installed differently.
const FORMAT: &str = "1";

pub(super) const WITHOUT_PIP: &str =
    "install pip for it (python3 -m ensurepip, or your system's python3-pip), and run the same command again";

/// Options for every pip command: only print errors.
pub(super) const QUIET: &[&str] = &["--quiet", "--disable-pip-version-check", "--no-input", "--progress-bar=off"];

/// Options for `pip install` of what goes into a zip, which holds no bytecode.
const INSTALLING: &[&str] = &["--no-warn-script-location", "--no-compile"];

/// The dependencies to install for the code in `folder`; `None` if it declares none. `python` is the interpreter whose
/// pip installs them, and its version.
///
/// # Errors
/// When the file that declares the dependencies cannot be read.
pub(super) async fn dependencies(
    folder: &Path,
    code: &Code,
    target: Target,
    python: (&Path, &str),
    options: &BuildOptions,
) -> Result<Option<PipInstall>, PackageError> {
    let requirements = python::requirements(folder, code, options).await?;
    if requirements.is_empty() {
        return Ok(None);
    }
    let declared_in = python::declared_in(folder)?;
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
        declared_in: declared_in.strip_prefix(&code.template).unwrap_or(&declared_in).to_owned(),
        requirements: requirements.clone(),
        platform: WheelPlatform { runtime: code.runtime.clone(), architecture: code.architecture },
        target,
        lambda: None,
    };
    let install = |fingerprint: String, steps: Steps| PipInstall { fingerprint, reproducible, steps };
    let for_lambda = install(fingerprint.clone(), steps(Target::Lambda));
    Ok(Some(match target {
        Target::Lambda => for_lambda,
        Target::Host => {
            fingerprint.push_str(python.1);
            // Functions may share a folder; each is checked for its own runtime and architecture.
            fingerprint.push_str(&for_lambda.key());
            let steps = Steps { lambda: Some(Box::new(for_lambda)), ..steps(Target::Host) };
            install(fingerprint, steps)
        }
    }))
}

/// Requirements to install, and the cache folder for them: it is never the user's own folder, and is reused as long as
/// the request stays the same.
#[derive(Debug)]
pub(super) struct PipInstall {
    /// Everything that the result depends on beside pip's options: the requirements' texts, the interpreter's version.
    fingerprint: String,
    /// Whether the same request always gives the same result; not if it includes files by URL.
    reproducible: bool,
    steps: Steps,
}

impl PipInstall {
    /// The name of its folder in the cache.
    pub fn key(&self) -> String {
        let flags = match self.steps.target {
            Target::Host => Vec::new(),
            Target::Lambda => self.steps.platform.flags(),
        };
        let first = [FORMAT.as_bytes(), self.fingerprint.as_bytes()];
        install::key("pip", first.into_iter().chain(flags.iter().map(String::as_bytes)))
    }

    /// The path of the installed dependencies in `cache`.
    pub fn path(&self, cache: &Path) -> PathBuf {
        cache.join(self.key())
    }

    /// Whether it is installed already; if so, its time in the cache is extended.
    pub fn is_installed(&self, cache: &Path) -> bool {
        let folder = self.path(cache);
        let installed = self.reproducible && folder.is_dir();
        if installed {
            // The modification time records the last use. If it cannot be set, the folder is removed too early and
            // installed again.
            let _ = fs::File::open(folder).and_then(|folder| folder.set_modified(SystemTime::now()));
        }
        installed
    }

    /// Installs it into `cache`.
    ///
    /// # Errors
    /// When pip fails, or Lambda could not run the available packages.
    pub async fn install(&self, cache: &Path) -> Result<(), PackageError> {
        let folder = self.path(cache);
        // Installed into a temporary folder that is then renamed, so that a folder of this name is always complete.
        let temporary = ScratchFolder(cache.join(format!("{}.{}", self.key(), std::process::id())));
        remove(&temporary.0).and_then(|()| fs::create_dir_all(&temporary.0)).map_err(failed)?;
        Box::pin(self.steps.run(&temporary.0, cache)).await?;
        let renamed =
            clean_up(&temporary.0).and_then(|()| remove(&folder)).and_then(|()| fs::rename(&temporary.0, &folder));
        // Another run may have installed the same first.
        if renamed.is_err() && folder.is_dir() { Ok(()) } else { renamed.map_err(failed) }
    }
}

/// The steps from requirements to a folder of installed packages.
#[derive(Debug)]
struct Steps {
    python: PathBuf,
    /// The code's folder, which paths in options are relative to.
    folder: PathBuf,
    /// The file that declares the dependencies, as messages name it.
    declared_in: PathBuf,
    requirements: Requirements,
    platform: WheelPlatform,
    target: Target,
    /// The same for Lambda: what cannot be installed for Lambda must fail here, too.
    lambda: Option<Box<PipInstall>>,
}

impl Steps {
    /// Installs into the folder `into`.
    ///
    /// # Errors
    /// When pip fails, or Lambda could not run the available packages.
    async fn run(&self, into: &Path, cache: &Path) -> Result<(), PackageError> {
        // pip runs in another folder.
        let into = std::path::absolute(into).map_err(failed)?;
        let work = ScratchFolder(into.with_extension(format!("{}.work", std::process::id())));
        remove(&work.0).and_then(|()| fs::create_dir_all(&work.0)).map_err(failed)?;
        self.run_in(&into, cache, &work.0).await
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

    /// Checks that Lambda can run the installed packages: those named by path or URL were built here, which pip does
    /// not report.
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

    /// Writes all requirements into one file for pip. Projects that are named by path are built first and become
    /// wheels.
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
        run(command, DOING, what, WITHOUT_PIP).await.map_err(|error| error.failed_for(&self.declared_in))
    }
}

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

/// Removes what refers to this machine: commands of packages, which name its python, and `direct_url.json`, which names
/// the folder that a package was built from; both also from the packages' `RECORD`.
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
