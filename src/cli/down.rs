//! `wschat down`: everything that is the stack's goes, and nothing else.

use std::collections::BTreeSet;
use std::io::{self, IsTerminal};
use std::path::PathBuf;
use std::time::Duration;

use tokio::sync::{mpsc, watch};
use tokio::time::Instant;

use super::command::Command;
use super::error::CommandError;
use super::exit::{Ended, Exit};
use super::{interrupt, list, result, target, timings};
use crate::aws::providers::{Search, Sought};
use crate::core::plan;
use crate::core::stack::Secrets;
use crate::core::types::Owner;
use crate::deploy::execute::{self, Code, Outcome, Zips};
use crate::deploy::read;
use crate::timings::{Round, Run};
use crate::ui::Ui;
use crate::ui::event::{Event, Retained, RunResult};
use crate::ui::plan::View;
use crate::ui::progress::{self, Style};

/// Remove the stack with all its data; needs no template
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(flatten)]
    target: target::Args,
    /// The template beside which wschat.toml says which stack this is [default: the current folder's]
    #[arg(long, short, value_name = "FILE")]
    template: Option<PathBuf>,
    /// Do not ask
    #[arg(long, short)]
    yes: bool,
    /// Print events as JSON, one object per line
    #[arg(long)]
    pub(super) json: bool,
    #[command(flatten)]
    timings: timings::Args,
}

/// How often it is looked whether something came back: a function's last lines may make its log group anew.
const ROUNDS: u32 = 6;

/// What later rounds wait longer and longer by: what AWS lists lags behind what it has.
const PAUSE: Duration = Duration::from_secs(2);

impl Args {
    pub(super) async fn run(self, ui: &Ui) -> Result<Ended, CommandError> {
        let begun = Instant::now();
        self.target.look_beside(self.template.as_deref())?;
        let aws = self.target.open(ui).await?;
        let sought = Sought::new();
        let identified = async {
            aws.identify().await?;
            let _ = sought.set(Search::default());
            Ok(Instant::now())
        };
        let (connected, live) = target::read(&aws, &sought, identified).await?;
        let mut live = Some(live);
        let mut run = Run { begun, connected, rounds: Vec::new() };
        let scope = aws.scope();
        let name = &scope.stack;
        let mut asked = self.yes;
        let mut removed = false;
        // Functions that have been there: what they leave behind is known by them.
        let mut functions = BTreeSet::new();
        let (stop, stopped) = watch::channel(false);
        let mut listening: Option<tokio::task::JoinHandle<()>> = None;
        let is_there = live.iter().flatten().any(|one| one.owner == Owner::Stack);
        if is_there
            && self.yes
            && let Some(why) = self.target.unknown_owner()?
        {
            return Err(why);
        }
        for round in 0..ROUNDS {
            if round > 0 && *stopped.borrow() {
                let what = format!("stopped: what may have come back of stack {name} was not looked for");
                return Err(CommandError::new(what).hint("go on with", Command::new("down").with(&self.target)));
            }
            tokio::time::sleep(PAUSE * round.saturating_sub(1)).await;
            let live = match live.take() {
                Some(live) => live,
                None => {
                    let search = Search { functions: functions.clone(), ..Search::default() };
                    read::read(&aws, &Sought::from(search)).await?
                }
            };
            functions.extend(read::functions(&live));
            let plan = plan::teardown(&live);
            let in_use = plan::in_use(&plan);
            if !in_use.is_empty() {
                return Err(CommandError::of_plan(&in_use));
            }
            if plan.is_empty() {
                for kept in &plan.steps {
                    let id = kept.physical_id.as_deref().unwrap_or_default();
                    ui.say(format_args!("{} ({}) stays: its deletion policy is Retain", id, kept.type_name));
                }
                for left in read::left(&live, scope) {
                    ui.say(left);
                }
                if let Some(listening) = listening {
                    listening.abort();
                }
                run.rounds.push(Round::new(&plan, &Outcome::default(), Instant::now()));
                self.timings.tell("down", &run, &aws, ui);
                ui.say(if !plan.steps.is_empty() {
                    format!("Everything else of stack {name} is gone.")
                } else if removed {
                    format!("Stack {name} is gone.")
                } else {
                    let instead = list::lines_instead(&self.target, name, ui).await;
                    format!("Stack {name} does not exist in account {} ({}).{instead}", scope.account, scope.region)
                });
                let retained = plan.steps.into_iter().map(|kept| Retained {
                    type_name: kept.type_name.to_owned(),
                    physical_id: kept.physical_id.unwrap_or_default(),
                });
                return Ok(
                    Exit::Ok.with(Event::Result(RunResult { retained: retained.collect(), ..RunResult::of(scope) }))
                );
            }
            // Nobody knows without the template what was a secret.
            let secrets = &Secrets::default();
            ui.event(&Event::Plan(crate::ui::plan::event(&plan, secrets)));
            if !self.json {
                let view = View { secrets, colour: ui.colour(), all: false };
                ui.say_coloured(crate::ui::plan::text(&plan, view));
            }
            if !asked {
                if !io::stdin().is_terminal() {
                    return Err(CommandError::new("this would delete all of it; say --yes if that is what you want"));
                }
                if !ui.confirm(format_args!("Delete all of stack {name}?")) {
                    return Err(CommandError::new("nothing was deleted"));
                }
                asked = true;
            }
            let claim = || tokio::spawn(interrupt::claim(stop.clone(), ui.clone()));
            listening.get_or_insert_with(claim);
            let planned = Instant::now();
            let (events, heard) = mpsc::unbounded_channel();
            let (outcome, ()) = tokio::join!(
                execute::run(aws.clone(), &plan, Code::ready(Zips::new()), events, stopped.clone()),
                progress::show(&plan, Style::of(ui), heard, ui)
            );
            run.rounds.push(Round::new(&plan, &outcome, planned));
            if !outcome.is_complete() {
                self.timings.tell("down", &run, &aws, ui);
                result::failures(&plan, &outcome, ui);
                let left = outcome.not_started.len() + outcome.failed.len();
                let again = Command::new("down").with(&self.target);
                return Err(CommandError::new(format!("{left} are left of stack {name}")).hint("go on with", again));
            }
            removed = true;
        }
        let again = Command::new("down").with(&self.target);
        let what = format!("resources of stack {name} were created again while it was deleted");
        Err(CommandError::new(what).hint("run it again", again))
    }
}
