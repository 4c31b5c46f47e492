//! `wschat up`: from a template to a URI.

use std::collections::BTreeSet;
use std::io::{self, IsTerminal};

use serde_json::json;
use tokio::sync::{mpsc, watch};
use tokio::time::Instant;

use super::exit::Exit;
use super::{Failure, project, result, target};
use crate::execute::{self, Outcome};
use crate::live;
use crate::package;
use crate::plan::{self, Plan};
use crate::timings::{Phases, Timings};
use crate::ui::Ui;
use crate::ui::progress::{self, Style};

/// Build the handlers, provision what the template describes, print the URI to connect to
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(flatten)]
    target: target::Args,
    #[command(flatten)]
    project: project::Args,
    /// Show what would be done, and do nothing
    #[arg(long)]
    dry_run: bool,
    /// Do not ask before something is deleted or replaced
    #[arg(long, short)]
    yes: bool,
    /// Let this resource be replaced although its data is lost; may be given several times
    #[arg(long, value_name = "LOGICAL-ID")]
    allow_data_loss: Vec<String>,
    /// What builds Rust handlers for AWS; for the local cloud it is always cargo
    #[arg(long, value_enum, value_name = "TOOL", default_value = "auto")]
    build_with: BuildWith,
    /// Print what happens as JSON, a line an event
    #[arg(long)]
    json: bool,
    /// Print how long the run took, and the longest chain of steps that had to wait for each other
    #[arg(long)]
    timings: bool,
}

#[derive(Debug, Clone, Copy, clap::ValueEnum)]
enum BuildWith {
    /// cargo where its result runs on Lambda, else zigbuild or musl, whichever is installed
    Auto,
    /// cargo build
    Cargo,
    /// cargo zigbuild, linked against the glibc of the runtime
    Zigbuild,
    /// cargo build for the musl target, linked statically
    Musl,
}

impl Args {
    pub(super) async fn run(self, ui: &Ui) -> Result<Exit, Failure> {
        let begun = Instant::now();
        let name = self.target.stack()?;
        let project = self.project.read()?;
        // Nobody is asked anything about a template that is not sound.
        project.check(&name, self.target.region(), ui)?;
        let aws = self.target.connect(ui).await?;
        let connected = Instant::now();
        let scope = &aws.scope;
        ui.say(format_args!("Stack {name} in account {} ({}), as {}", scope.account, scope.region, aws.caller));
        let stack = project.stack(scope, ui)?;

        // The compiler and AWS do not wait for each other.
        let place = if self.target.is_local() { package::Target::Host } else { package::Target::Lambda };
        let options = package::Options {
            backend: self.build_with.backend(),
            cargo: super::cargo(),
            cache: self.target.cache(),
            color: ui.colour(),
        };
        let search = live::search(&stack);
        let (artifacts, live) = tokio::try_join!(project.build(project.code(&stack)?, place, &options, ui), async {
            live::read(&aws, &search).await.map_err(Failure::from)
        },)?;
        let options = plan::Options {
            allow_data_loss: self.allow_data_loss.iter().cloned().collect(),
            code: artifacts.iter().map(|(id, artifact)| (id.clone(), artifact.code_sha256.clone())).collect(),
        };
        let plan = plan::diff(&stack, &live, &options).map_err(|errors| result::all(&errors))?;
        show(ui, &plan, &stack.secrets, self.json);
        if self.dry_run {
            return Ok(Exit::Ok);
        }
        self.agree(ui, &plan)?;

        let planned = Instant::now();
        let code = artifacts.into_iter().map(|(id, artifact)| (id, artifact.zip)).collect();
        let (events, heard) = mpsc::unbounded_channel();
        let (stop, stopped) = watch::channel(false);
        let interrupt = tokio::spawn(super::interrupt(stop));
        let (outcome, ()) = tokio::join!(
            execute::run(aws.clone(), &plan, &code, events, stopped.clone()),
            progress::show(&plan, Style::of(self.json), heard)
        );
        interrupt.abort();
        if self.timings {
            let phases = Phases { begun, connected, planned, ended: Instant::now() };
            ui.say(Timings::new(&plan, &outcome, &aws.records(), phases));
        }
        if !outcome.is_complete() {
            return Err(self.incomplete(ui, &plan, &outcome, *stopped.borrow()));
        }
        let outputs = result::outputs(&stack, &outcome.known);
        let uris = result::uris(&stack, &outcome.known);
        if self.json {
            ui.line(json!({"event": "result", "uris": uris, "outputs": outputs}));
        } else {
            for (name, value) in &outputs {
                ui.say(format_args!("{name} = {value}"));
            }
            for uri in &uris {
                ui.line(uri);
            }
        }
        Ok(Exit::Ok)
    }

    /// Asks before anything is taken away.
    fn agree(&self, ui: &Ui, plan: &Plan) -> Result<(), Failure> {
        let doomed: Vec<&str> = plan.destructive().map(|step| step.name.as_str()).collect();
        if doomed.is_empty() || self.yes {
            return Ok(());
        }
        let what = doomed.join(", ");
        if !io::stdin().is_terminal() {
            return Err(format!("this would delete or replace {what}; say --yes if that is what you want").into());
        }
        if ui.confirm(format_args!("Delete or replace {what}?")) { Ok(()) } else { Err("nothing was changed".into()) }
    }

    fn incomplete(&self, ui: &Ui, plan: &Plan, outcome: &Outcome, stopped: bool) -> Failure {
        for (step, error) in &outcome.failed {
            let step = &plan.steps[*step];
            ui.say(format_args!("{} ({}) failed: {error}", step.name, step.type_name));
        }
        let done = outcome.done.len();
        let left = outcome.not_started.len();
        let why = if stopped && outcome.failed.is_empty() { "stopped" } else { "not finished" };
        format!(
            "{why}: {done} done, {} failed, {left} not started\n  run it again to go on from here, or take everything down with: wschat down{}",
            outcome.failed.len(),
            self.target.flags()
        )
        .into()
    }
}

fn show(ui: &Ui, plan: &Plan, secrets: &BTreeSet<String>, json: bool) {
    if json {
        ui.line(crate::ui::plan::json(plan, secrets));
    } else {
        ui.say(crate::ui::plan::text(plan, secrets));
    }
}

impl BuildWith {
    fn backend(self) -> package::Backend {
        match self {
            Self::Auto => package::Backend::Auto,
            Self::Cargo => package::Backend::Cargo,
            Self::Zigbuild => package::Backend::Zigbuild,
            Self::Musl => package::Backend::Musl,
        }
    }
}
