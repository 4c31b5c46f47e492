//! `wschat list`: the stacks of an account and region, by their resources' tags.

use std::collections::BTreeMap;

use super::command::Command;
use super::error::{CommandError, lines};
use super::exit::{Ended, Exit};
use super::{result, target};
use crate::aws::providers::Search;
use crate::core::types::{Live, Owner, kind, shown_type, tags};
use crate::core::words::{Scope, nearest};
use crate::deploy::read;
use crate::deploy::session::Session;
use crate::ui::Ui;
use crate::ui::event::{Event, Hint, List, ListedStack};

/// List the stacks of this account and region, each with its number of resources and its URI
///
/// It is read from the resources' tags; other tools' stacks are not among them.
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(flatten)]
    place: target::Place,
    /// Print JSON, one event per line (docs/json.md)
    #[arg(long)]
    pub(super) json: bool,
}

impl Args {
    pub(super) async fn run(self, ui: &Ui) -> Result<Ended, CommandError> {
        let target = target::Args::anywhere(self.place);
        target.require_local_cloud()?;
        let mut session = Session::begin(target.open_as(target::EVERY, ui).await?);
        let scope = session.identify().await?.clone();
        let stacks = by_stack(session.read(Search::default()).await?);
        if !ui.is_json() {
            show(&stacks, &scope, ui);
        }
        let stacks = stacks.into_iter().map(|(stack, live)| {
            let mut types: BTreeMap<String, usize> = BTreeMap::new();
            for one in live.iter().filter(|one| !is_made_by_lambda(one)) {
                *types.entry(shown_type(one.type_name).to_owned()).or_default() += 1;
            }
            let resources: usize = types.values().sum();
            let log_groups = live.len() - resources;
            ListedStack { stack, resources, log_groups, types, uris: result::live_uris(&live) }
        });
        let stacks = stacks.collect();
        Ok(Exit::Ok.with(Event::List(List { account: scope.account, region: scope.region, stacks })))
    }
}

fn show(stacks: &BTreeMap<String, Vec<Live>>, scope: &Scope, ui: &Ui) {
    let Scope { account, region, .. } = scope;
    if stacks.is_empty() {
        ui.say(format_args!("There is no stack in account {account} ({region})."));
        return;
    }
    ui.say(format_args!("Stacks in account {account} ({region}):"));
    let width = stacks.keys().map(String::len).max().unwrap_or(0);
    let count_width = stacks.values().map(|live| counts(live).len()).max().unwrap_or(0);
    for (name, live) in stacks {
        let line = format!("{name:width$}  {:count_width$}  {}", counts(live), result::live_uris(live).join("  "));
        ui.line(line.trim_end());
    }
}

/// `24 resources and 4 log groups`: `status` and `up` count the resources alone.
fn counts(live: &[Live]) -> String {
    let count = |count: usize, what: &str| format!("{count} {what}{}", if count == 1 { "" } else { "s" });
    let log_groups = live.iter().filter(|one| is_made_by_lambda(one)).count();
    let resources = count(live.len() - log_groups, "resource");
    if log_groups == 0 { resources } else { format!("{resources} and {}", count(log_groups, "log group")) }
}

/// Whether this is a log group that Lambda made for a function: no template has it, and `down` deletes it with the stack.
fn is_made_by_lambda(live: &Live) -> bool {
    let kind = kind(live.type_name);
    live.logical_id.is_none() && kind.is_some_and(|kind| kind.parent().is_none() && kind.owned_by(live).is_some())
}

/// The resources of each stack, from a reading of all of them.
fn by_stack(live: Vec<Live>) -> BTreeMap<String, Vec<Live>> {
    let mut owners: BTreeMap<(&'static str, String), String> = BTreeMap::new();
    for one in &live {
        if let Some(stack) = one.properties["Tags"][tags::STACK].as_str() {
            owners.insert((one.type_name, one.physical_id.clone()), stack.to_owned());
        }
    }
    let mut stacks: BTreeMap<String, Vec<Live>> = BTreeMap::new();
    for one in live {
        let key = (one.type_name, one.physical_id.clone());
        // In a reading, containers come before their content.
        let container = kind(one.type_name).and_then(|kind| kind.owned_by(&one));
        let own = owners.get(&key).filter(|_| one.owner == Owner::Stack);
        let stack = container.and_then(|container| owners.get(&container)).or(own).cloned();
        if let Some(stack) = stack {
            owners.insert(key, stack.clone());
            stacks.entry(stack).or_default().push(one);
        }
    }
    stacks
}

/// As `instead`, for what is no error: the lines to print below that.
pub(super) async fn lines_instead(target: &target::Args, name: &str, ui: &Ui) -> String {
    lines(instead(target, name, ui).await.as_slice())
}

/// The error for a stack that does not exist.
pub(super) async fn no_stack(target: &target::Args, scope: &Scope, ui: &Ui) -> CommandError {
    let Scope { stack: name, account, region, .. } = scope;
    let instead = instead(target, name, ui).await;
    CommandError::new(format!("stack {name} does not exist in account {account} ({region})"))
        .hints(instead)
        .hint("bring it up with", Command::new("up").with(target))
        .exits(Exit::NotThere)
}

/// What to say where stack `name` does not exist: the stacks that exist, as far as they may be read; nothing where there
/// are none.
pub(super) async fn instead(target: &target::Args, name: &str, ui: &Ui) -> Option<Hint> {
    let aws = target.open_as(target::EVERY, ui).await.ok()?;
    aws.identify().await.ok()?;
    let stacks = read::stacks(&aws).await;
    let names: Vec<&str> = stacks.iter().map(String::as_str).collect();
    let text = match (nearest(name, &names), names.as_slice()) {
        (_, []) => return None,
        (Some(near), [_]) => format!("did you mean --stack {near}?"),
        (Some(near), _) => format!("did you mean --stack {near}? There are: {}", names.join(", ")),
        (None, _) => format!("there are: {}", names.join(", ")),
    };
    Some(Hint { text, command: None })
}
