//! `wschat smoke`, and `up --smoke`: whether the stack works, with real connections.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde_json::Value;
use tokio::time::Instant;

use super::command::Command;
use super::endpoint::{self, Endpoint};
use super::error::CommandError;
use super::exit::{Ended, Exit};
use super::target;
use crate::aws::client::Aws;
use crate::core::template::render::{Rendering, render};
use crate::core::websocket::message::TEXT_FIELD;
use crate::core::websocket::smoke::{RUN, Steps};
use crate::local::apigateway::event::new_id;
use crate::ui::Ui;
use crate::ui::event::{self, Event, Problem};
use crate::ui::printable;
use crate::websocket::connect::Connector;
use crate::websocket::smoke::{self, Done, Failed, Options};

/// The largest file of steps, in bytes.
const MAX_FILE: u64 = 1 << 20;

/// How long after a deployment a stage may be unknown to some of AWS's servers.
const NEW_STAGE: Duration = Duration::from_secs(30);

/// Test the deployed stack with real connections: two clients connect, one sends a message, and it must come back
///
/// What is sent follows from the API's routes: a message that takes its only route, else plain text to $default. A file with
/// steps of your own (docs/commands/smoke.md) tests anything else. The exit code is 0 when every step did what it should, and 1
/// when one did not.
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(flatten)]
    reach: endpoint::Args,
    /// The steps, in YAML or JSON (docs/commands/smoke.md)
    #[arg(long, value_name = "FILE")]
    steps: Option<PathBuf>,
    /// A variable for the steps, ${NAME}; may be given several times
    #[arg(long = "var", value_name = "NAME=VALUE", value_parser = endpoint::pair, requires = "steps")]
    variables: Vec<(String, String)>,
    /// Print JSON, one event per line (docs/json.md)
    #[arg(long)]
    pub(super) json: bool,
}

impl Args {
    pub(super) async fn run(self, ui: &Ui) -> Result<Ended, CommandError> {
        // What is wrong with the file is said before anything else.
        let file = self.steps.as_deref().map(|file| Steps::of_file(file, &self.variables, ui)).transpose()?;
        let endpoint = self.reach.find(ui).await?;
        let (steps, fails_fast) = match file {
            Some(steps) => (steps, false),
            None => {
                let handshake = self.reach.handshake(&endpoint);
                (derived(&endpoint, &handshake.headers, &handshake.query, &handshake.subprotocols)?, true)
            }
        };
        let connector = self.reach.connector()?;
        let options = Options { fails_fast, patience: Duration::ZERO };
        let variables = self.variables.iter().cloned().collect();
        let ran = run(&steps, &endpoint.url, &connector, variables, options, self.reach.logs(), ui).await?;
        Ok(Exit::Ok.with(Event::Smoke(ran)))
    }
}

impl Steps {
    /// Reads a file of steps; `variables` are given beside it.
    ///
    /// # Errors
    /// What is wrong with the file.
    pub(super) fn of_file(file: &Path, variables: &[(String, String)], ui: &Ui) -> Result<Self, CommandError> {
        let shown = file.display();
        let cannot = |error: std::io::Error| CommandError::new(format!("cannot read {shown}: {error}"));
        if fs::metadata(file).map_err(cannot)?.len() > MAX_FILE {
            return Err(CommandError::new(format!("{shown} is larger than 1 MB, too large for a file of steps")));
        }
        let text = fs::read_to_string(file).map_err(cannot)?;
        let value: Value = serde_yaml::from_str(&text)
            .map_err(|error| CommandError::new(format!("{shown} is neither YAML nor JSON: {error}")))?;
        let names: Vec<String> = variables.iter().map(|(name, _)| name.clone()).collect();
        Self::read(&value, &names).map_err(|problems| {
            let name = shown.to_string();
            let details = render(&problems, Rendering { file: &name, text: &text, colour: ui.colour() });
            let count =
                if problems.len() == 1 { "a problem".to_owned() } else { format!("{} problems", problems.len()) };
            let error = CommandError::new(format!("{name} has {count}")).details(details);
            error.problems(Problem::all_of(&problems, &name, &text))
        })
    }
}

/// The steps that follow from the routes.
fn derived(
    endpoint: &Endpoint,
    headers: &[(String, String)],
    query: &[(String, String)],
    subprotocols: &[String],
) -> Result<Steps, CommandError> {
    let form = endpoint.form.as_ref().map_err(|error| {
        CommandError::new(error.to_string()).advice("say what to test: --route KEY (and --field NAME), or --steps FILE")
    })?;
    Ok(Steps::of(form, headers, query, subprotocols))
}

/// Tests a stack that has just been deployed, with the steps of a file or those that follow from its routes.
///
/// # Errors
/// The step that failed.
pub(super) async fn after_up(
    target: &target::Args,
    aws: &Aws,
    steps: Option<Steps>,
    ui: &Ui,
) -> Result<(), CommandError> {
    let endpoint = endpoint::of_stack(target, aws, None, None, TEXT_FIELD, ui).await?;
    let fails_fast = steps.is_none();
    let steps = match steps {
        Some(steps) => steps,
        None => derived(&endpoint, &[], &[], &[])?,
    };
    let connector = endpoint::connector(target)?;
    let patience = if target.is_local() { Duration::ZERO } else { NEW_STAGE };
    let options = Options { fails_fast, patience };
    run(&steps, &endpoint.url, &connector, BTreeMap::new(), options, Some(endpoint::logs(target)), ui).await?;
    Ok(())
}

async fn run(
    steps: &Steps,
    url: &str,
    connector: &Connector,
    mut variables: BTreeMap<String, String>,
    options: Options,
    logs: Option<Command>,
    ui: &Ui,
) -> Result<event::Smoke, CommandError> {
    variables.entry(RUN.to_owned()).or_insert_with(|| new_id().chars().filter(char::is_ascii_alphanumeric).collect());
    let begun = Instant::now();
    if !ui.is_json() {
        ui.say(format_args!("Smoke test of {}:", printable::line(url)));
    }
    let count = steps.0.len();
    let tested = smoke::run(steps, url, connector, variables, options, |done| show(&done, ui)).await;
    let milliseconds = u64::try_from(begun.elapsed().as_millis()).unwrap_or(u64::MAX);
    match tested {
        Ok(()) => {
            if !ui.is_json() {
                let seconds = begun.elapsed().as_secs_f64();
                let what = if count == 1 { "1 step".to_owned() } else { format!("{count} steps") };
                ui.say(format_args!("The smoke test passed: {what} in {seconds:.2} s."));
            }
            Ok(event::Smoke { url: url.to_owned(), steps: count, milliseconds })
        }
        Err(failed) => Err(failure(&failed, count, logs)),
    }
}

fn show(done: &Done, ui: &Ui) {
    let Done { step, label, details, took } = done;
    ui.event(&Event::SmokeStep {
        step: *step,
        label: label.clone(),
        details: details.clone(),
        milliseconds: u64::try_from(took.as_millis()).unwrap_or(u64::MAX),
    });
    if !ui.is_json() {
        let line = format!("{:>7.2} s  ✓ {label:20}  {}", took.as_secs_f64(), printable::line(details));
        ui.say(line.trim_end());
    }
}

fn failure(failed: &Failed, count: usize, logs: Option<Command>) -> CommandError {
    let Failed { step, label, expected, came, why, is_in_logs } = failed;
    let mut causes = vec![format!("expected: {}", printable::line(expected))];
    causes.extend(came.iter().map(|came| format!("came:     {}", printable::line(came))));
    let error = CommandError::new(format!("the smoke test failed at step {step} of {count}, {label}")).because(causes);
    let error = match why {
        Some(why) => error.advice(*why),
        None => error,
    };
    match logs.filter(|_| *is_in_logs) {
        Some(logs) => error.hint("what the handlers say", logs),
        None => error,
    }
}
