//! What `chat` and `smoke` connect to: a stage of the stack, or any address; and how a plain text is sent there.

use super::command::{Command, Flags};
use super::error::CommandError;
use super::exit::Exit;
use super::{list, result, target};
use crate::aws::client::{Aws, Network};
use crate::core::types::{Live, Part, kind};
use crate::core::websocket::message::{Form, NoForm, TEXT_FIELD, USUAL_EXPRESSION};
use crate::core::websocket::refusal::refusal;
use crate::deploy::read;
use crate::ui::Ui;
use crate::ui::event::Event;
use crate::websocket::connect::{ConnectFailure, Connector, Handshake};

/// Which address, and what to say in the handshake.
#[derive(Debug, Clone, clap::Args)]
#[group(skip)]
pub struct Args {
    #[command(flatten)]
    pub target: target::Deployed,
    /// Connect to this address instead of the stack's: ws://... or wss://...
    #[arg(long, conflicts_with = "stage")]
    url: Option<String>,
    /// The stage, where the stack has several
    #[arg(long, value_name = "NAME")]
    stage: Option<String>,
    /// A header to send in the handshake; may be given several times
    #[arg(long, short = 'H', value_name = "NAME: VALUE", value_parser = header)]
    header: Vec<(String, String)>,
    /// A query parameter of the handshake; may be given several times
    #[arg(long, value_name = "NAME=VALUE", value_parser = pair)]
    query: Vec<(String, String)>,
    /// A subprotocol to offer; may be given several times
    #[arg(long, value_name = "NAME")]
    subprotocol: Vec<String>,
    /// The route that plain text takes [default: the only route that a message can select]
    #[arg(long, value_name = "KEY")]
    pub route: Option<String>,
    /// The field of the message that holds plain text
    #[arg(long, value_name = "NAME", default_value = TEXT_FIELD)]
    field: String,
}

fn header(text: &str) -> Result<(String, String), String> {
    let (name, value) = text.split_once(':').ok_or_else(|| format!("\"{text}\" is not NAME: VALUE"))?;
    Ok((name.trim().to_owned(), value.trim().to_owned()))
}

/// `NAME=VALUE`.
pub fn pair(text: &str) -> Result<(String, String), String> {
    let (name, value) = text.split_once('=').ok_or_else(|| format!("\"{text}\" is not NAME=VALUE"))?;
    Ok((name.to_owned(), value.to_owned()))
}

/// What there is to connect to.
pub struct Endpoint {
    pub url: String,
    /// How a plain text is sent.
    pub form: Result<Form, NoForm>,
}

impl Args {
    /// Finds the address, which for a stack is read from AWS.
    ///
    /// # Errors
    /// When the stack has no address, or several.
    pub async fn find(&self, ui: &Ui) -> Result<Endpoint, CommandError> {
        if let Some(url) = &self.url {
            let route = self.route.as_ref().filter(|route| !route.starts_with('$'));
            let form = route.map(|route| Form::to(USUAL_EXPRESSION, route, &self.field));
            return Ok(Endpoint { url: url.clone(), form: form.unwrap_or(Ok(Form::Plain)) });
        }
        self.target.require_local_cloud()?;
        let aws = self.target.connect(ui).await?;
        of_stack(&self.target, &aws, self.stage.as_deref(), self.route.as_deref(), &self.field, ui).await
    }

    /// The handshake with an endpoint.
    pub fn handshake(&self, endpoint: &Endpoint) -> Handshake {
        Handshake {
            url: endpoint.url.clone(),
            headers: self.header.clone(),
            query: self.query.clone(),
            subprotocols: self.subprotocol.clone(),
        }
    }

    /// What makes connections.
    ///
    /// # Errors
    /// A proxy variable that names none.
    pub fn connector(&self) -> Result<Connector, CommandError> {
        connector(&self.target)
    }

    /// The error of a connection that was not made.
    pub fn failed(&self, url: &str, failure: &ConnectFailure, ui: &Ui) -> CommandError {
        let error = CommandError::new(failure.to_string());
        match failure {
            ConnectFailure::Invalid(_) => error.exits(Exit::Usage),
            ConnectFailure::Refused { status, body, .. } => {
                ui.event(&Event::Refused { url: url.to_owned(), status: *status, body: body.clone() });
                let refusal = refusal(*status);
                let error = error.advice(refusal.why).exits(Exit::NotThere);
                match self.logs().filter(|_| refusal.is_in_logs) {
                    Some(logs) => error.hint("what the handlers say", logs),
                    None => error,
                }
            }
            ConnectFailure::Unreached { .. } if self.url.is_none() => {
                error.hint("whether the stack is there", Command::new("status").with(&self.target))
            }
            ConnectFailure::NoSubprotocol => error.advice(
                "API Gateway selects none by itself: the handler of $connect returns it in the header Sec-WebSocket-Protocol",
            ),
            ConnectFailure::Unreached { .. } | ConnectFailure::NoWebSocket(_) => error,
        }
    }

    /// The command that shows what the handlers logged; `None` where no stack is known.
    pub fn logs(&self) -> Option<Command> {
        self.url.is_none().then(|| logs(&self.target))
    }
}

impl Flags for Args {
    fn add_to(&self, command: &mut Command) {
        let Self { target, url, stage, header, query, subprotocol, route, field } = self;
        target.add_to(command);
        command.option("--url", url.as_ref());
        command.option("--stage", stage.as_ref());
        for (name, value) in header {
            command.option("--header", Some(format!("{name}: {value}")));
        }
        for (name, value) in query {
            command.option("--query", Some(format!("{name}={value}")));
        }
        for name in subprotocol {
            command.option("--subprotocol", Some(name));
        }
        command.option("--route", route.as_ref());
        command.option("--field", Some(field).filter(|field| *field != TEXT_FIELD));
    }
}

/// The command that shows what the handlers of a stack logged.
pub fn logs(target: &target::Args) -> Command {
    Command::new("logs").with(target)
}

/// What makes connections to a target's stacks.
///
/// # Errors
/// A proxy variable that names none.
pub fn connector(target: &target::Args) -> Result<Connector, CommandError> {
    let network = Network::of_this_process().map_err(|error| error.to_string())?;
    // It signs names of this machine alone.
    Ok(Connector::new(network, Some(target.data().join("ca.pem"))))
}

/// The endpoint of a stack.
///
/// # Errors
/// When the stack has no address, or several, or cannot be read.
pub async fn of_stack(
    target: &target::Args,
    aws: &Aws,
    stage: Option<&str>,
    route: Option<&str>,
    field: &str,
    ui: &Ui,
) -> Result<Endpoint, CommandError> {
    let wanted = |part: Part| matches!(part, Part::Entry | Part::Route);
    let live = read::some(aws, |kind| wanted(kind.part()) && read::is_within_api(kind)).await?;
    let entry = entry(target, aws, &live, stage, ui).await?;
    let (routes, expression) = routes(&live, entry);
    let url = result::uri_of(&live, entry).ok_or_else(|| CommandError::new("the API has no address"))?;
    Ok(Endpoint { url, form: Form::of(&expression, &routes, route, field) })
}

/// The stage of a reading that is meant.
///
/// # Errors
/// When there is none, or several.
pub async fn entry<'a>(
    target: &target::Args,
    aws: &Aws,
    live: &'a [Live],
    stage: Option<&str>,
    ui: &Ui,
) -> Result<&'a Live, CommandError> {
    let entries: Vec<&Live> = live.iter().filter(|one| part(one) == Part::Entry && !result::is_http(one)).collect();
    if entries.is_empty() {
        return Err(no_uri(target, aws, live, ui).await);
    }
    let name = &aws.scope().stack;
    let names = |entries: &[&Live]| entries.iter().map(|one| one.physical_id.clone()).collect::<Vec<_>>().join(", ");
    let meant: Vec<&Live> =
        entries.iter().copied().filter(|one| stage.is_none_or(|stage| one.physical_id == stage)).collect();
    match (meant.as_slice(), stage) {
        ([one], _) => Ok(*one),
        ([], stage) => Err(CommandError::new(format!(
            "stack {name} has no stage \"{}\"; it has {}",
            stage.unwrap_or_default(),
            names(&entries)
        ))
        .exits(Exit::NotThere)),
        (several, None) => Err(CommandError::new(format!("stack {name} has several stages: {}", names(several)))
            .advice("say which one: --stage NAME, or its address")),
        (several, Some(stage)) => {
            let uris: Vec<String> = several.iter().filter_map(|one| result::uri_of(live, one)).collect();
            Err(CommandError::new(format!("stack {name} has several APIs with a stage \"{stage}\"")).because(uris))
        }
    }
}

/// The keys of the routes that an API has, and the expression that selects one for a message.
pub fn routes(live: &[Live], entry: &Live) -> (Vec<String>, String) {
    let of_api = |one: &&Live| one.parent == entry.parent;
    let routes = live.iter().filter(of_api).filter_map(|one| one.properties["RouteKey"].as_str());
    let api = live.iter().find(|one| part(one) == Part::Api && Some(&one.physical_id) == entry.parent.as_ref());
    let expression = api.and_then(|api| api.properties["RouteSelectionExpression"].as_str());
    (routes.map(str::to_owned).collect(), expression.unwrap_or(USUAL_EXPRESSION).to_owned())
}

/// The part that a live resource plays.
pub fn part(live: &Live) -> Part {
    kind(live.type_name).map_or(Part::Other, |kind| kind.part())
}

/// The error for a stack without an address, of which this was read: its API and stages.
pub async fn no_uri(target: &target::Args, aws: &Aws, live: &[Live], ui: &Ui) -> CommandError {
    if live.is_empty() && !exists(aws).await {
        return list::no_stack(target, aws.scope(), ui).await;
    }
    let name = &aws.scope().stack;
    let is_http = |one: &Live| part(one) == Part::Api && result::is_http(one);
    let why = match live {
        [] => "it has no API",
        live if live.iter().any(is_http) && !live.iter().any(|one| part(one) == Part::Api && !is_http(one)) => {
            "it has no WebSocket API"
        }
        _ => "its API has no stage",
    };
    CommandError::new(format!("stack {name} has no URI: {why}"))
        .hint("bring it up with", Command::new("up").with(target))
        .exits(Exit::NotThere)
}

/// Whether a stack has anything at all, which takes more calls than its API. One that cannot be read counts as there.
pub async fn exists(aws: &Aws) -> bool {
    read::some(aws, |_| true).await.map_or(true, |live| !live.is_empty())
}
