//! `wschat invoke`: one function, with an event as API Gateway sends it.

use bytes::Bytes;
use serde_json::Value;
use std::fs;
use std::io::{self, Read};
use time::OffsetDateTime;
use tokio::time::Instant;

use super::endpoint::{self, part};
use super::error::CommandError;
use super::exit::{Ended, Exit};
use super::{list, result, target};
use crate::aws::client::Invoked;
use crate::core::types::{Live, Part, kind};
use crate::core::websocket::event::{self, Origin, Pairs, RequestInfo, Strings};
use crate::core::websocket::json;
use crate::core::websocket::message::{Form, TEXT_FIELD};
use crate::core::words::nearest;
use crate::deploy::read;
use crate::local::apigateway::event::new_id;
use crate::ui::event::{Event, Invocation};
use crate::ui::{Ui, printable};

/// Invoke a function with an event as API Gateway sends it, and print the answer
///
/// Without --event the event is that of the route which leads to the function: connect, disconnect or a message. The exit
/// code is 1 when the function fails; its error and the end of its log are shown then.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The function's logical id
    function: String,
    #[command(flatten)]
    target: target::Deployed,
    /// The event: connect, message, disconnect, a JSON file, or - for stdin [default: the one of the function's route]
    #[arg(long, value_name = "EVENT")]
    event: Option<String>,
    /// The body of the message
    #[arg(long, value_name = "TEXT")]
    body: Option<String>,
    /// The route key of the message [default: the route that leads to the function]
    #[arg(long, value_name = "KEY")]
    route: Option<String>,
    /// The id of an open connection that the event is to be from [default: a made-up one, which cannot be posted to]
    #[arg(long, value_name = "ID")]
    connection: Option<String>,
    /// Print JSON, one event per line (docs/json.md)
    #[arg(long)]
    pub(super) json: bool,
}

impl Args {
    pub(super) async fn run(self, ui: &Ui) -> Result<Ended, CommandError> {
        let given = self.given()?;
        self.target.require_local_cloud()?;
        let aws = self.target.connect(ui).await?;
        let of_gateway = |part: Part| matches!(part, Part::Entry | Part::Route | Part::Caller);
        let live =
            read::some(&aws, |kind| kind.has_code() || of_gateway(kind.part()) && read::is_within_api(kind)).await?;
        let name = &aws.scope().stack;
        let has_code = |one: &&Live| kind(one.type_name).is_some_and(|kind| kind.has_code());
        let functions: Vec<&Live> = live.iter().filter(has_code).collect();
        let is_meant = |one: &&&Live| {
            one.logical_id.as_deref() == Some(self.function.as_str()) || one.physical_id == self.function
        };
        let Some(function) = functions.iter().find(is_meant) else {
            let names: Vec<&str> = functions.iter().filter_map(|one| one.logical_id.as_deref()).collect();
            if names.is_empty() {
                if live.is_empty() && !endpoint::exists(&aws).await {
                    return Err(list::no_stack(&self.target, aws.scope(), ui).await);
                }
                return Err(CommandError::new(format!("stack {name} has no functions")).exits(Exit::NotThere));
            }
            let near = nearest(&self.function, &names).map(|near| format!("did you mean {near}? "));
            let what = format!("stack {name} has no function \"{}\"", self.function);
            let advice = format!("{}it has {}", near.unwrap_or_default(), names.join(", "));
            return Err(CommandError::new(what).advice(advice).exits(Exit::NotThere));
        };
        let payload = match given {
            Some(payload) => payload,
            None => self.made_up(&live, function, &aws.scope().region, ui)?,
        };
        let begun = Instant::now();
        let invoked = aws.invoke(&function.physical_id, payload).await;
        let invoked = invoked.map_err(|error| format!("{} was not invoked: {error}", self.function))?;
        let milliseconds = u64::try_from(begun.elapsed().as_millis()).unwrap_or(u64::MAX);
        Ok(self.tell(function, &invoked, milliseconds, ui))
    }

    /// The event of a file or of stdin, if it is one.
    fn given(&self) -> Result<Option<Bytes>, CommandError> {
        let (shown, text) = match self.event.as_deref() {
            None | Some("connect" | "message" | "disconnect") => return Ok(None),
            Some("-") => {
                let mut text = String::new();
                let read = io::stdin().read_to_string(&mut text);
                read.map_err(|error| format!("cannot read the event from stdin: {error}"))?;
                ("stdin".to_owned(), text)
            }
            Some(file) => {
                let text = fs::read_to_string(file).map_err(|error| {
                    CommandError::new(format!("cannot read the event {file}: {error}"))
                        .advice("--event takes connect, message, disconnect, a JSON file, or - for stdin")
                })?;
                (file.to_owned(), text)
            }
        };
        let beside = [("--body", self.body.is_some()), ("--route", self.route.is_some())];
        if let Some((option, _)) = beside.into_iter().find(|(_, given)| *given) {
            let what = format!("{option} is a part of events that are made up, and --event {shown} is given");
            return Err(CommandError::new(what).exits(Exit::Usage));
        }
        match serde_json::from_str::<serde::de::IgnoredAny>(&text) {
            Ok(_) => Ok(Some(text.into())),
            Err(error) => Err(CommandError::new(format!("the event from {shown} is not JSON: {error}"))),
        }
    }

    /// The event of the route that leads to the function, or of the one that is asked for.
    fn made_up(&self, live: &[Live], function: &Live, region: &str, ui: &Ui) -> Result<Bytes, CommandError> {
        let routes = routes_to(live, function);
        let kind = match (self.event.as_deref(), self.route.as_deref().or(routes.first().map(String::as_str))) {
            (Some(kind), _) => kind,
            (None, Some("$connect")) => "connect",
            (None, Some("$disconnect")) => "disconnect",
            (None, _) => "message",
        };
        if kind != "message" && (self.body.is_some() || self.route.as_deref().is_some_and(|key| !key.starts_with('$')))
        {
            let what = format!("--body and --route are those of a message, and the event is {kind}");
            return Err(CommandError::new(what).advice("to send a message: --event message").exits(Exit::Usage));
        }
        let entry = live.iter().find(|one| part(one) == Part::Entry && !result::is_http(one));
        let origin = self.origin(live, entry, region);
        let now = OffsetDateTime::now_utc();
        let info = RequestInfo { request_id: new_id(), at: now };
        let variables = entry.map(stage_variables).unwrap_or_default();
        let shown;
        let event = match kind {
            "connect" => {
                shown = "connect".to_owned();
                event::connect(&origin, &info, &headers(&origin), &Pairs::new(), &variables)
            }
            "disconnect" => {
                shown = "disconnect".to_owned();
                event::disconnect(&origin, &info, 1000, "Connection Closed Normally", &variables)
            }
            _ => {
                let messages = routes.iter().find(|key| !matches!(key.as_str(), "$connect" | "$disconnect"));
                let route = self.route.as_deref().or(messages.map(String::as_str)).unwrap_or("$default");
                let (_, expression) = entry.map_or_else(Default::default, |entry| endpoint::routes(live, entry));
                let form =
                    if route.starts_with('$') { Ok(Form::Plain) } else { Form::to(&expression, route, TEXT_FIELD) };
                let body = match (&self.body, form) {
                    (Some(body), _) => body.clone(),
                    (None, Ok(form)) => form.message("hello"),
                    (None, Err(_)) => "hello".to_owned(),
                };
                shown = format!("message for route {route}, body {body}");
                event::message(&origin, &info, &new_id(), route, &body, &variables)
            }
        };
        if !ui.is_json() {
            ui.say(format_args!("Event: {}", printable::line(&shown)));
        }
        Ok(event)
    }

    fn origin(&self, live: &[Live], entry: Option<&Live>, region: &str) -> Origin {
        let api_id = entry.and_then(|entry| entry.parent.clone()).unwrap_or_else(|| "a1b2c3d4e5".to_owned());
        let stage = entry.map_or_else(|| "production".to_owned(), |entry| entry.physical_id.clone());
        let uri = entry.and_then(|entry| result::uri_of(live, entry));
        let domain_name = uri.as_deref().and_then(|uri| uri.split("//").nth(1)?.split('/').next().map(str::to_owned));
        Origin {
            domain_name: domain_name.unwrap_or_else(|| format!("{api_id}.execute-api.{region}.amazonaws.com")),
            api_id,
            stage,
            connection_id: self.connection.clone().unwrap_or_else(new_id),
            source_ip: "127.0.0.1".to_owned(),
            user_agent: Some(concat!("wschat/", env!("CARGO_PKG_VERSION")).to_owned()),
            connected_at: event::milliseconds(OffsetDateTime::now_utc()),
            authorizer: None,
        }
    }

    fn tell(&self, function: &Live, invoked: &Invoked, milliseconds: u64, ui: &Ui) -> Ended {
        let text = String::from_utf8_lossy(&invoked.payload);
        let payload: Value = serde_json::from_str(&text).unwrap_or(Value::Null);
        let exit = if invoked.function_error.is_some() { Exit::Failed } else { Exit::Ok };
        if !ui.is_json() {
            if let Some(error) = &invoked.function_error {
                self.tell_failure(error, &payload, &invoked.log, ui);
            } else if text.is_empty() {
                ui.say("The function returned nothing.");
            } else {
                ui.line(json::pretty(&text).unwrap_or_else(|| text.into_owned()));
            }
        }
        exit.with(Event::Invoke(Invocation {
            function: function.logical_id.clone().unwrap_or_else(|| function.physical_id.clone()),
            physical_id: function.physical_id.clone(),
            version: invoked.version.clone(),
            request_id: invoked.request_id.clone(),
            function_error: invoked.function_error.clone(),
            payload,
            log: invoked.log.clone(),
            milliseconds,
        }))
    }

    fn tell_failure(&self, error: &str, payload: &Value, log: &str, ui: &Ui) {
        if !log.is_empty() {
            ui.say("The end of its log:");
            for line in log.trim_end().lines() {
                ui.say(format_args!("  {}", printable::block(line)));
            }
        }
        let text = |name: &str| payload[name].as_str().filter(|text| !text.is_empty());
        let what = match (text("errorType"), text("errorMessage")) {
            (Some(kind), Some(message)) => format!("{kind}: {message}"),
            (one, other) => one.or(other).unwrap_or(error).to_owned(),
        };
        // Node.js calls it `trace`, Python `stackTrace`.
        let trace = [&payload["trace"], &payload["stackTrace"]].into_iter().find_map(Value::as_array);
        let trace = trace.into_iter().flatten().filter_map(Value::as_str).flat_map(str::lines);
        // Node.js's begins with the error itself.
        let trace: Vec<String> = trace.filter(|line| *line != what).map(|line| printable::line(line.trim())).collect();
        CommandError::new(format!("{} failed: {}", self.function, printable::line(&what))).because(trace).print(ui);
    }
}

/// The keys of the routes that lead to a function.
fn routes_to(live: &[Live], function: &Live) -> Vec<String> {
    let calls = |one: &&Live| {
        let uri = kind(one.type_name).and_then(|kind| kind.calls(&one.properties)).unwrap_or_default();
        let after = uri.split_once(&format!(":function:{}", function.physical_id)).map(|(_, after)| after);
        after.is_some_and(|after| after.is_empty() || after.starts_with(['/', ':']))
    };
    let callers: Vec<&Live> = live.iter().filter(|one| part(one) == Part::Caller).filter(calls).collect();
    let leads = |route: &&Live| {
        let target = route.properties["Target"].as_str().and_then(|target| target.strip_prefix("integrations/"));
        callers.iter().any(|caller| caller.parent == route.parent && Some(caller.physical_id.as_str()) == target)
    };
    let routes = live.iter().filter(|one| part(one) == Part::Route).filter(leads);
    let mut keys: Vec<String> =
        routes.filter_map(|route| route.properties["RouteKey"].as_str().map(str::to_owned)).collect();
    // Of a function behind several routes, a message of its own tells most.
    let rank = |key: &str| ["$default", "$connect", "$disconnect"].iter().position(|known| *known == key);
    keys.sort_by_key(|key| (rank(key).map_or(0, |rank| rank + 1), key.clone()));
    keys
}

fn stage_variables(stage: &Live) -> Strings {
    let variables = stage.properties["StageVariables"].as_object().into_iter().flatten();
    variables.filter_map(|(name, value)| Some((name.clone(), value.as_str()?.to_owned()))).collect()
}

/// The headers of a handshake, as API Gateway passes them on.
fn headers(origin: &Origin) -> Pairs {
    let user_agent = origin.user_agent.as_deref().unwrap_or_default();
    [
        ("Host", origin.domain_name.as_str()),
        ("Sec-WebSocket-Extensions", "permessage-deflate; client_max_window_bits"),
        ("Sec-WebSocket-Key", "dGhlIHNhbXBsZSBub25jZQ=="),
        ("Sec-WebSocket-Version", "13"),
        ("User-Agent", user_agent),
        ("X-Forwarded-For", origin.source_ip.as_str()),
        ("X-Forwarded-Port", "443"),
        ("X-Forwarded-Proto", "https"),
    ]
    .map(|(name, value)| (name.to_owned(), value.to_owned()))
    .into()
}
