//! `wschat doctor`: whether this machine and account have what wschat needs.

use std::collections::BTreeSet;
use std::net::{Ipv4Addr, TcpListener};
use std::path::{Path, PathBuf};
use std::time::Duration;

use tokio::process::Command as Process;
use tokio::time::timeout;

use super::error::CommandError;
use super::exit::{Ended, Exit};
use super::{project, target};
use crate::aws::client::Aws;
use crate::aws::providers::{account, limits};
use crate::core::words::Scope;
use crate::local::daemon::process::{self, ServerState};
use crate::local::daemon::serve::DEFAULT_PORT;
use crate::machine::interpreter::{self, Language};
use crate::ui::Ui;
use crate::ui::event::{Check, Checks, Event, State};

/// Check this machine, the project's tools, and the AWS account: what is missing, and what to do about it
///
/// Works without credentials, and changes nothing. The exit code is 1 if something is broken.
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(flatten)]
    project: project::Args,
    #[command(flatten)]
    target: target::Args,
    /// Print JSON, one event per line (docs/json.md)
    #[arg(long)]
    pub(super) json: bool,
}

/// How long a tool or AWS may take to answer.
const PATIENCE: Duration = Duration::from_secs(20);

/// The least space on a disk, in bytes: a build of Rust handlers takes about a gigabyte.
const SPACE: u64 = 1 << 30;

/// From this share of a quota on, in percent, it is near its end.
const NEAR: i64 = 90;

/// From this difference of clocks on, in seconds, AWS refuses signatures (Signature Version 4 allows five minutes).
const SKEW: i64 = 240;

impl Args {
    pub(super) async fn run(self, ui: &Ui) -> Result<Ended, CommandError> {
        let runtimes = self.runtimes();
        let mut checks = tools(&runtimes).await;
        checks.extend(self.machine().await);
        if self.target.is_local() {
            checks.push(Check::skipped("AWS account", "not asked, because of --local"));
        } else {
            checks.extend(self.account(ui).await);
        }
        let broken = checks.iter().filter(|check| check.state == State::Broken).count();
        if !ui.is_json() {
            let width = checks.iter().map(|check| check.name.chars().count()).max().unwrap_or(0);
            for Check { name, state, found, help } in &checks {
                let mark = match state {
                    State::Ok => '✓',
                    State::Warning => '!',
                    State::Broken => '✗',
                    State::Skipped => '-',
                };
                ui.line(format_args!("{mark} {name:width$}  {found}"));
                if let Some(help) = help {
                    ui.line(format_args!("  {:width$}  {help}", ""));
                }
            }
            ui.line(match broken {
                0 => "Nothing is broken.".to_owned(),
                1 => "1 check failed.".to_owned(),
                count => format!("{count} checks failed."),
            });
        }
        let exit = if broken == 0 { Exit::Ok } else { Exit::Failed };
        Ok(exit.with(Event::Doctor(Checks { checks })))
    }

    /// The runtimes of the template's functions; `None` where there is no template that can be read.
    fn runtimes(&self) -> Option<BTreeSet<String>> {
        let project = self.project.read(self.target.named()).ok()?;
        let scope = Scope {
            stack: "doctor".to_owned(),
            account: "000000000000".to_owned(),
            region: self.target.region().unwrap_or_else(|| "us-east-1".to_owned()),
            partition: "aws".to_owned(),
        };
        let stack = project.stack(&scope).ok()?;
        let code = project.code(&stack).ok()?;
        Some(code.into_iter().map(|code| code.runtime).collect())
    }

    async fn machine(&self) -> Vec<Check> {
        let data = self.target.data();
        let mut checks = Vec::new();
        let name = "local cloud";
        checks.push(match process::state(data).await {
            ServerState::Running(running) => Check::ok(name, format!("runs on port {}", running.port)),
            ServerState::Silent => {
                Check::broken(name, "runs and does not answer", "wschat local stop, then start it again")
            }
            ServerState::Stopped => match TcpListener::bind((Ipv4Addr::LOCALHOST, DEFAULT_PORT)) {
                Ok(_) => Check::ok(name, format!("does not run; port {DEFAULT_PORT} is free")),
                Err(error) => Check::warning(
                    name,
                    format!("does not run, and port {DEFAULT_PORT} cannot be used: {error}"),
                    "wschat local start --port 0 takes a free one",
                ),
            },
        });
        let existing = nearest_folder(data);
        let name = "data folder";
        let (shown, writable) = (data.display(), rustix::fs::access(&existing, rustix::fs::Access::WRITE_OK));
        checks.push(match writable {
            Ok(()) => Check::ok(name, format!("{shown}")),
            Err(error) => {
                Check::broken(name, format!("{shown} cannot be written: {error}"), "name another with --data")
            }
        });
        if let Ok(disk) = rustix::fs::statvfs(&existing) {
            let free = disk.f_bavail.saturating_mul(disk.f_frsize);
            let shown = format!("{:.1} GB free", free as f64 / f64::from(1 << 30));
            let help = "a build of Rust handlers takes about 1 GB: make room, or name another folder with --data";
            checks.push(if free < SPACE { Check::warning("disk", shown, help) } else { Check::ok("disk", shown) });
        }
        checks
    }

    async fn account(&self, ui: &Ui) -> Vec<Check> {
        let name = "AWS account";
        let opened = match self.target.open_as(target::EVERY, ui).await {
            Ok(aws) => aws,
            Err(error) => return vec![without(name, &error)],
        };
        let identified = timeout(PATIENCE, opened.identify()).await;
        let mut checks = Vec::new();
        if let Some(clock) = clock(&opened).await {
            checks.push(clock);
        }
        match identified {
            Ok(Ok(scope)) => {
                let Scope { account, region, .. } = scope;
                checks.push(Check::ok(name, format!("{account} ({region}), as {}", opened.caller())));
            }
            Ok(Err(error)) => {
                checks.push(without(name, &CommandError::from(error)));
                return checks;
            }
            Err(_) => {
                let what = format!("AWS did not answer in {} s", PATIENCE.as_secs());
                checks.push(Check::broken(name, what, "check the network and the proxy (docs/account.md)"));
                return checks;
            }
        }
        checks.push(log_role(&opened).await);
        checks.extend(quotas(&opened).await);
        checks
    }
}

/// That nothing is known of AWS, which is no error: the local cloud needs none of it.
fn without(name: &str, error: &CommandError) -> Check {
    let event = error.event();
    let help = event.hints.first().map(|hint| match &hint.command {
        Some(command) => format!("{}: {command}", hint.text),
        None => hint.text.clone(),
    });
    let found = format!("not checked: {} (`wschat up --local` needs no account)", event.error);
    Check { name: name.to_owned(), state: State::Skipped, found, help }
}

async fn clock(aws: &Aws) -> Option<Check> {
    let ahead = timeout(PATIENCE, limits::clock_ahead(aws)).await.ok()??;
    let name = "clock";
    Some(match ahead.abs() {
        0..=2 => Check::ok(name, "agrees with AWS's"),
        seconds @ 3..=SKEW => Check::ok(name, format!("{seconds} s off AWS's")),
        seconds => Check::broken(
            name,
            format!("{seconds} s off AWS's, which refuses such signatures"),
            "set it: timedatectl set-ntp true",
        ),
    })
}

async fn log_role(aws: &Aws) -> Check {
    let name = "API Gateway logs";
    match account::read(aws).await {
        Ok(account) if account.as_ref().is_some_and(account::Account::may_log) => {
            Check::ok(name, "the account has a role for them")
        }
        Ok(_) => Check::warning(
            name,
            "the account has no role for them in this region, so no stage may log",
            "only for stages with AccessLogSettings or LoggingLevel: docs/account.md",
        ),
        Err(error) => Check::skipped(name, format!("not checked: {error}")),
    }
}

async fn quotas(aws: &Aws) -> Vec<Check> {
    let mut checks = Vec::new();
    for (name, found) in [("Lambda quotas", limits::lambda(aws).await), ("IAM quotas", limits::iam(aws).await)] {
        match found {
            Err(error) => checks.push(Check::skipped(name, format!("not checked: {error}"))),
            Ok(quotas) => checks.extend(quotas.into_iter().map(|quota| {
                let limits::Quota { name, used, limit, unit } = quota;
                let shown = format!("{used}{unit} of {limit}{unit}");
                if limit > 0 && used.saturating_mul(100) >= limit.saturating_mul(NEAR) {
                    Check::warning(
                        name,
                        shown,
                        "near its end: delete what is not used, or ask for more (Service Quotas)",
                    )
                } else {
                    Check::ok(name, shown)
                }
            })),
        }
    }
    checks
}

/// The tools that build and run handlers in these runtimes; without a template, all of them, and none is needed.
async fn tools(runtimes: &Option<BTreeSet<String>>) -> Vec<Check> {
    let needs = |language: Option<Language>| {
        runtimes.as_ref().is_some_and(|all| all.iter().any(|runtime| Language::of(runtime) == language))
    };
    let mut checks = Vec::new();
    let rust = needs(None);
    let cargo = super::cargo();
    checks.push(tool("cargo", &cargo, &["--version"], rust, "install Rust: https://rustup.rs").await);
    if let Some(targets) = output(Path::new("rustup"), &["target", "list", "--installed"]).await {
        checks.push(Check::ok("Rust targets", targets.split_whitespace().collect::<Vec<_>>().join(", ")));
    } else {
        checks.push(Check::skipped("Rust targets", "no rustup; cargo builds for this machine"));
    }
    let zig = "only to build Rust handlers for AWS where cargo's own build cannot run there: cargo install cargo-zigbuild && \
               pip install ziglang";
    checks.push(tool("cargo-zigbuild", Path::new("cargo-zigbuild"), &["zigbuild", "--help"], false, zig).await);
    let of_language = |wanted: Language| -> Vec<String> {
        let all = runtimes.iter().flatten();
        all.filter(|runtime| Language::of(runtime) == Some(wanted)).cloned().collect()
    };
    for (name, language, any) in [("Node.js", Language::Node, "nodejs22.x"), ("Python", Language::Python, "python3.13")]
    {
        let wanted = of_language(language);
        let needed = !wanted.is_empty();
        for runtime in if needed { wanted } else { vec![any.to_owned()] } {
            let name = if needed { format!("{name} for {runtime}") } else { name.to_owned() };
            checks.push(match interpreter::find(&runtime, None).await {
                Ok(found) => {
                    let shown = format!("{} ({})", found.version, found.program.display());
                    if needed && !found.is_of(&runtime) {
                        Check::warning(&name, shown, "another version than Lambda's: fine for most handlers")
                    } else {
                        Check::ok(&name, shown)
                    }
                }
                Err(missing) if needed => Check::broken(&name, "not found", missing.help()),
                Err(missing) => Check::optional(&name, missing.help()),
            });
        }
    }
    let node = needs(Some(Language::Node));
    let npm = "only for handlers with dependencies; it comes with Node.js (https://nodejs.org)";
    checks.push(tool("npm", Path::new("npm"), &["--version"], false, npm).await);
    let esbuild = ["node_modules/.bin/esbuild", "esbuild"].map(PathBuf::from);
    let esbuild = esbuild.into_iter().find(|path| path.is_file()).unwrap_or_else(|| PathBuf::from("esbuild"));
    let help =
        if node { "wschat installs one where a template has BuildMethod: esbuild" } else { "for TypeScript handlers" };
    checks.push(tool("esbuild", &esbuild, &["--version"], false, help).await);
    checks
}

/// A tool, and its version.
async fn tool(name: &str, program: &Path, arguments: &[&str], needed: bool, help: &str) -> Check {
    match output(program, arguments).await {
        Some(text) => Check::ok(name, text.lines().next().unwrap_or_default().trim()),
        None if needed => Check::broken(name, "not found", help),
        None => Check::optional(name, help),
    }
}

/// What a program prints, if it succeeds.
async fn output(program: &Path, arguments: &[&str]) -> Option<String> {
    let run = Process::new(program).args(arguments).kill_on_drop(true).output();
    let output = timeout(PATIENCE, run).await.ok()?.ok()?;
    output.status.success().then(|| String::from_utf8_lossy(&output.stdout).into_owned())
}

/// The folder itself, or the nearest above it that exists.
fn nearest_folder(folder: &Path) -> PathBuf {
    let absolute = std::path::absolute(folder).unwrap_or_else(|_| folder.to_owned());
    absolute.ancestors().find(|folder| folder.is_dir()).unwrap_or(Path::new("/")).to_owned()
}

impl Check {
    fn new(name: &str, state: State, found: impl Into<String>, help: Option<String>) -> Self {
        Self { name: name.to_owned(), state, found: found.into(), help }
    }

    fn ok(name: &str, found: impl Into<String>) -> Self {
        Self::new(name, State::Ok, found, None)
    }

    fn warning(name: &str, found: impl Into<String>, help: impl Into<String>) -> Self {
        Self::new(name, State::Warning, found, Some(help.into()))
    }

    fn broken(name: &str, found: impl Into<String>, help: impl Into<String>) -> Self {
        Self::new(name, State::Broken, found, Some(help.into()))
    }

    fn skipped(name: &str, found: impl Into<String>) -> Self {
        Self::new(name, State::Skipped, found, None)
    }

    /// A tool that is not here, and that nothing here needs.
    fn optional(name: &str, help: impl Into<String>) -> Self {
        Self::new(name, State::Skipped, "not found, not needed here", Some(help.into()))
    }
}
