//! `wschat connections`: who is connected, and closing a connection.

use super::endpoint::{self, part};
use super::error::CommandError;
use super::exit::{Ended, Exit};
use super::{result, target};
use crate::aws::client::{Aws, CallError};
use crate::core::types::{Live, Part};
use crate::deploy::read;
use crate::local::daemon::process;
use crate::ui::event::{Connection, Connections, Event};
use crate::ui::{Ui, printable};

/// List the open connections of the stack in the local cloud, show one, or close one
///
/// AWS has no call that lists connections: there, give an id. The exit code is 3 when the connection is not open.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Show this connection only
    #[arg(value_name = "ID")]
    id: Option<String>,
    #[command(flatten)]
    target: target::Deployed,
    /// The stage, where the stack has several [default: all when listing]
    #[arg(long, value_name = "NAME")]
    stage: Option<String>,
    /// Close this connection
    #[arg(long, value_name = "ID", conflicts_with = "id")]
    close: Option<String>,
    /// Print JSON, one event per line (docs/json.md)
    #[arg(long)]
    pub(super) json: bool,
}

impl Args {
    pub(super) async fn run(self, ui: &Ui) -> Result<Ended, CommandError> {
        if self.id.is_none() && self.close.is_none() && !self.target.is_local() {
            let what = "AWS has no call that lists the connections of a WebSocket API";
            let advice = "give an id, as events and access logs have it: wschat connections ID; handlers that store the ids of \
                          $connect events in a table have the list there; in the local cloud: wschat connections --local";
            return Err(CommandError::new(what).advice(advice));
        }
        self.target.require_local_cloud()?;
        let aws = self.target.connect(ui).await?;
        let live = read::entries(&aws).await?;
        if live.iter().all(|one| part(one) != Part::Entry) {
            return Err(endpoint::no_uri(&self.target, &aws, &live, ui).await);
        }
        if let Some(id) = &self.close {
            self.close(&aws, &live, id, ui).await?;
            if !ui.is_json() {
                ui.say(format_args!("Connection {} is closed.", printable::line(id)));
            }
            return Ok(answer(Vec::new(), Some(id.clone())));
        }
        let connections = match &self.id {
            Some(id) if !self.target.is_local() => vec![self.of_aws(&aws, &live, id, ui).await?],
            _ => self.of_local_cloud(&live).await?,
        };
        if let Some(id) = &self.id
            && connections.is_empty()
        {
            return Err(not_open(id));
        }
        if !ui.is_json() {
            show(&connections, ui);
        }
        Ok(answer(connections, None))
    }

    /// The connections of the stack's APIs; of one id only that.
    async fn of_local_cloud(&self, live: &[Live]) -> Result<Vec<Connection>, CommandError> {
        let open = process::connections(self.target.data()).await;
        let open = open.ok_or_else(|| CommandError::new("the local cloud does not say who is connected"))?;
        let is_ours = |api: &str| live.iter().any(|one| part(one) == Part::Api && one.physical_id == api);
        let found = open.into_iter().filter(|one| is_ours(&one.api_id));
        let found = found.filter(|one| self.stage.as_ref().is_none_or(|stage| one.stage == *stage));
        let found = found.filter(|one| self.id.as_ref().is_none_or(|id| one.connection_id == *id));
        let found = found.map(|one| Connection {
            connection_id: one.connection_id,
            stage: one.stage,
            connected_at: one.connected_at,
            last_active_at: one.last_active_at,
            source_ip: one.source_ip,
            user_agent: one.user_agent,
            routes: Some(one.routes),
        });
        Ok(found.collect())
    }

    async fn of_aws(&self, aws: &Aws, live: &[Live], id: &str, ui: &Ui) -> Result<Connection, CommandError> {
        let (stage, uri) = self.stage(aws, live, ui).await?;
        let info = aws.connection(&uri, id).await.map_err(|error| failed(id, &error))?;
        Ok(Connection {
            connection_id: id.to_owned(),
            stage,
            connected_at: info.connected_at,
            last_active_at: info.last_active_at,
            source_ip: info.source_ip,
            user_agent: info.user_agent,
            routes: None,
        })
    }

    async fn close(&self, aws: &Aws, live: &[Live], id: &str, ui: &Ui) -> Result<(), CommandError> {
        let (_, uri) = self.stage(aws, live, ui).await?;
        aws.close_connection(&uri, id).await.map_err(|error| failed(id, &error))
    }

    /// The stage's name and address.
    async fn stage(&self, aws: &Aws, live: &[Live], ui: &Ui) -> Result<(String, String), CommandError> {
        let entry = endpoint::entry(&self.target, aws, live, self.stage.as_deref(), ui).await?;
        let uri = result::uri_of(live, entry).ok_or_else(|| CommandError::new("the API has no address"))?;
        Ok((entry.physical_id.clone(), uri))
    }
}

fn answer(connections: Vec<Connection>, closed: Option<String>) -> Ended {
    Exit::Ok.with(Event::Connections(Connections { connections, closed }))
}

fn failed(id: &str, error: &CallError) -> CommandError {
    if error.code == "GoneException" {
        return not_open(id);
    }
    if error.code == "BadRequestException" && error.message.contains("connectionId") {
        let what = format!("\"{}\" is not the id of a connection", printable::line(id));
        let advice = "ids look like L0SM9cOFvHcCIhw=; events and access logs have them, and in the local cloud: wschat connections --local";
        return CommandError::new(what).advice(advice).exits(Exit::Usage);
    }
    CommandError::new(error.to_string())
}

fn not_open(id: &str) -> CommandError {
    CommandError::new(format!("no connection {} is open", printable::line(id))).exits(Exit::NotThere)
}

fn show(connections: &[Connection], ui: &Ui) {
    if connections.is_empty() {
        ui.say("No client is connected.");
        return;
    }
    let count = connections.len();
    ui.say(if count == 1 { "1 client is connected:".to_owned() } else { format!("{count} clients are connected:") });
    for one in connections {
        let routes = one.routes.iter().flatten().map(|(key, count)| format!("{key} {count}")).collect::<Vec<_>>();
        let agent = one.user_agent.as_deref().unwrap_or("-");
        let line = format!(
            "{}  since {}  last active {}  from {}  {agent}  {}",
            one.connection_id,
            one.connected_at,
            one.last_active_at,
            one.source_ip,
            routes.join(", ")
        );
        ui.line(printable::line(line.trim_end()));
    }
}
