//! Why a request of a client failed: as data, and in words for the developer. The client only gets API Gateway's message.

use std::time::Duration;

use serde_json::Value;

use crate::local::context::recorder::Why;

/// How much of what a function returned is quoted, in characters.
const MAX_QUOTED: usize = 200;

/// The reason of a failed request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Cause {
    /// There is no such API, or it has no such stage, or the stage has no deployment.
    NotServed {
        api: String,
        stage: String,
    },
    /// Neither a route with the selected key nor `$default` is deployed.
    NoRoute {
        selected: Option<String>,
        expression: String,
        /// The keys that a message can select.
        routes: Vec<String>,
    },
    /// An HTTP API or a REST API has no route for a request.
    NoHttpRoute {
        /// `GET /items`.
        asked: String,
        routes: Vec<String>,
    },
    /// A token that a JWT authorizer does not take.
    BadToken {
        authorizer: String,
        why: String,
    },
    /// What works on AWS and is not served here.
    NotLocally {
        what: String,
    },
    /// The stage's throttle.
    Throttled {
        route: String,
    },
    /// The route has no integration.
    NoIntegration {
        route: String,
    },
    /// The integration's URI names no function.
    NoFunction {
        uri: String,
    },
    /// What a MOCK integration's request template gives has no status code.
    NoMockedStatus {
        given: String,
    },
    /// A mapping template failed: the key it stands under, and what is wrong, with its place.
    Template {
        side: Side,
        key: String,
        error: String,
    },
    /// No request template is selected, and the passthrough behavior passes nothing on.
    NoTemplate {
        behavior: String,
        keys: Vec<String>,
    },
    /// A mapped parameter.
    Parameter {
        name: String,
        problem: String,
    },
    /// Content that is to be converted to binary is not base64.
    NotBase64 {
        side: Side,
    },
    /// A message that does not match the route's model.
    NotOfModel {
        model: String,
        problem: String,
    },
    /// The route's model selection expression leads to no model, or its schema cannot be used.
    BadModel {
        model: String,
        problem: String,
    },
    /// No integration response has a key that matches what the integration answered, and none is `$default`.
    NoIntegrationResponse {
        matched: String,
        keys: Vec<String>,
    },
    /// An HTTP integration's endpoint gave no response.
    NoEndpoint {
        uri: String,
        problem: String,
    },
    /// The endpoint or the service did not answer in time.
    Late {
        uri: String,
        limit: Duration,
    },
    /// An AWS integration calls a service that the local cloud does not have.
    NoService {
        service: String,
        served: Vec<String>,
    },
    /// The policies of the integration's role do not let it invoke the function.
    RoleDenied {
        role: String,
        function: String,
    },
    /// A handshake of a route with IAM authorization.
    NotSigned {
        why: String,
    },
    /// A handshake of a route that requires an API key.
    NoApiKey {
        why: String,
    },
    /// The gateway cannot assume the integration's role.
    NoRole {
        role: String,
    },
    /// The function's resource policy.
    NotPermitted {
        function: String,
        source_arn: String,
    },
    /// Lambda did not run the function.
    NotInvoked {
        function: String,
        code: String,
        message: String,
    },
    /// The function failed; its error document.
    Failed {
        function: String,
        error: String,
    },
    TimedOut {
        function: String,
        limit: Duration,
    },
    /// It returned something that is no proxy response.
    Malformed {
        function: String,
        returned: String,
    },
    /// It returned something that is no answer of an authorizer.
    MalformedAuthorization {
        function: String,
        returned: String,
    },
    /// The answer of a route response is over the limit of a message.
    AnswerTooLarge {
        route: String,
        bytes: usize,
    },
    /// A request lacks parameters that a method of a REST API requires.
    NoParameter {
        missing: Vec<String>,
    },
    /// A client of an HTTP API or a REST API sent a larger body than such APIs take.
    RequestTooLarge {
        limit: usize,
    },
    /// The function of `$connect` returned another status than 2xx.
    ConnectRefused {
        status: u16,
    },
    /// An authorizer's identity sources are not in the handshake.
    NoIdentity {
        missing: Vec<String>,
    },
    /// The authorizer failed with `Unauthorized`.
    Unauthorized {
        function: String,
    },
    /// The authorizer's policy does not allow the route, or denies it explicitly.
    Denied {
        function: String,
        explicit: bool,
    },
}

/// Which of an integration's two mappings.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Side {
    Request,
    Response,
}

impl Side {
    fn name(self) -> &'static str {
        match self {
            Self::Request => "request",
            Self::Response => "response",
        }
    }
}

/// How the client learns that an integration failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum IntegrationFailure {
    /// The route has no integration, the function's policy does not allow the gateway, or Lambda refused the call.
    Configuration,
    /// The function failed, or returned no valid proxy response.
    Function,
    Timeout,
    /// No template for the request (REST APIs: `UNSUPPORTED_MEDIA_TYPE`).
    MediaType,
    /// The message is not as the route's model says (`BAD_REQUEST_BODY`).
    Body,
}

impl IntegrationFailure {
    /// The status of the refused handshake.
    pub fn status(self) -> u16 {
        match self {
            Self::Configuration => 500,
            Self::Function => 502,
            Self::Timeout => 504,
            Self::MediaType => 415,
            Self::Body => 400,
        }
    }

    /// The message of the error frame.
    pub fn message(self) -> &'static str {
        match self {
            Self::Configuration | Self::Function => "Internal server error",
            Self::Timeout => "Endpoint request timed out",
            Self::MediaType => "Unsupported Media Type",
            Self::Body => "Invalid request body",
        }
    }
}

impl Cause {
    /// What the client is told, for a failure of an integration.
    pub fn kind(&self) -> IntegrationFailure {
        match self {
            Self::Failed { .. } | Self::Malformed { .. } | Self::AnswerTooLarge { .. } => IntegrationFailure::Function,
            Self::TimedOut { .. } | Self::Late { .. } => IntegrationFailure::Timeout,
            Self::NoTemplate { .. } => IntegrationFailure::MediaType,
            Self::NotOfModel { .. } => IntegrationFailure::Body,
            _ => IntegrationFailure::Configuration,
        }
    }

    /// The ARN of the function that it is about.
    pub fn function(&self) -> Option<&str> {
        match self {
            Self::NotPermitted { function, .. }
            | Self::NotInvoked { function, .. }
            | Self::Failed { function, .. }
            | Self::TimedOut { function, .. }
            | Self::Malformed { function, .. }
            | Self::MalformedAuthorization { function, .. }
            | Self::RoleDenied { function, .. }
            | Self::Unauthorized { function }
            | Self::Denied { function, .. } => Some(function),
            Self::NotServed { .. }
            | Self::NoRoute { .. }
            | Self::NoHttpRoute { .. }
            | Self::BadToken { .. }
            | Self::NotLocally { .. }
            | Self::Throttled { .. }
            | Self::NoIntegration { .. }
            | Self::NoFunction { .. }
            | Self::NoMockedStatus { .. }
            | Self::Template { .. }
            | Self::NoTemplate { .. }
            | Self::Parameter { .. }
            | Self::NotBase64 { .. }
            | Self::NotOfModel { .. }
            | Self::BadModel { .. }
            | Self::NoIntegrationResponse { .. }
            | Self::NoEndpoint { .. }
            | Self::Late { .. }
            | Self::NoService { .. }
            | Self::NoRole { .. }
            | Self::NotSigned { .. }
            | Self::NoApiKey { .. }
            | Self::AnswerTooLarge { .. }
            | Self::RequestTooLarge { .. }
            | Self::NoParameter { .. }
            | Self::ConnectRefused { .. }
            | Self::NoIdentity { .. } => None,
        }
    }

    /// The function's name, with its version or alias, as the words have it.
    pub fn function_name(&self) -> Option<&str> {
        self.function().map(name_of)
    }

    /// The reason in words. `place` is where it happened: a route, or an authorizer.
    pub fn explain(&self, place: &str) -> Why {
        let (what, action) = match self {
            Self::NotServed { api, stage } => (
                format!("No API \"{api}\" here serves a stage \"{stage}\"."),
                "Compare the address with `wschat url --local`. A stage serves nothing until it has a deployment."
                    .to_owned(),
            ),
            Self::NoRoute { selected, expression, routes } => {
                let what = match selected {
                    Some(key) => format!(
                        "The message selects the route \"{key}\" ({expression}), which the stage's deployment does not \
                         have, and there is no $default route."
                    ),
                    None => format!(
                        "{expression} selects nothing in this message (it is not JSON, or the member is missing), and \
                         there is no $default route."
                    ),
                };
                let mut action = "Add the route or a $default route to the template, or change the message".to_owned();
                if !routes.is_empty() {
                    action += &format!("; the stage's routes: {}", routes.join(", "));
                }
                (what, action + ".")
            }
            Self::NoHttpRoute { asked, routes } => {
                let known = if routes.is_empty() { String::new() } else { format!(" It has: {}.", listed(routes)) };
                (
                    format!("The API has no route for {asked}, and no $default route."),
                    format!("Compare the method and the path with the template.{known}"),
                )
            }
            Self::BadToken { authorizer, why } => (
                format!("The authorizer {authorizer} does not take the token: {why}."),
                "Compare the token with the authorizer's issuer and audience. An issuer that exists on AWS alone, such as a user \
                 pool of the stack, cannot be asked for its keys here."
                    .to_owned(),
            ),
            Self::NotLocally { what } => (
                format!("The local cloud does not serve {what}."),
                "It works on AWS. Here, let a function do it.".to_owned(),
            ),
            Self::Throttled { route } => (
                format!("The stage's throttle for the route \"{route}\" was exceeded."),
                "Send more slowly, or raise ThrottlingRateLimit and ThrottlingBurstLimit of the stage (DefaultRouteSettings \
                 or RouteSettings)."
                    .to_owned(),
            ),
            Self::NoIntegration { route } => (
                format!("The route \"{route}\" has no integration."),
                "Give the route a Target in the template and run `wschat up --local`.".to_owned(),
            ),
            Self::NoFunction { uri } => (
                format!("The integration's URI names no Lambda function: {}", quoted(uri)),
                "It must be arn:PARTITION:apigateway:REGION:lambda:path/2015-03-31/functions/FUNCTION_ARN/invocations."
                    .to_owned(),
            ),
            Self::NoMockedStatus { given } => (
                format!("The request template of the MOCK integration gave no statusCode: {}", quoted(given)),
                "Give the integration a request template such as {\"statusCode\": 200}.".to_owned(),
            ),
            Self::Template { side, key, error } => (
                format!("The {} template \"{key}\" of the integration failed at {error}.", side.name()),
                "Mend the template. What it works on is in the console, or in `wschat logs --local`.".to_owned(),
            ),
            Self::NoTemplate { behavior, keys } => (
                format!("No request template is selected, and PassthroughBehavior {behavior} passes nothing on."),
                format!(
                    "TemplateSelectionExpression must give the key of a template, or one must be called $default; there are: \
                     {}.",
                    listed(keys)
                ),
            ),
            Self::Parameter { name, problem } => (
                format!("The parameter {name} of the integration could not be set: {problem}."),
                "Map it from route.request.*, context.*, stageVariables.*, or a text in single quotes.".to_owned(),
            ),
            Self::NotBase64 { side } => (
                format!("The content of the integration's {} is not base64, and it is to be converted to binary.", side.name()),
                "Send binary content as base64 in a text frame, or leave ContentHandlingStrategy out.".to_owned(),
            ),
            Self::NotOfModel { model, problem } => (
                format!("The message does not match the model {model}: {problem}."),
                "Change the message, or the model's Schema.".to_owned(),
            ),
            Self::BadModel { model, problem } => (
                format!("The message could not be held against the model {model}: {problem}."),
                "Look at the route's RequestModels and at the model's Schema (JSON schema, draft 4).".to_owned(),
            ),
            Self::NoIntegrationResponse { matched, keys } => (
                format!(
                    "No integration response has a key that matches \"{}\"; there are: {}.",
                    quoted(matched),
                    listed(keys)
                ),
                "Add one with IntegrationResponseKey $default.".to_owned(),
            ),
            Self::NoEndpoint { uri, problem } => (
                format!("The integration's endpoint {uri} did not answer: {problem}."),
                "Start what serves it, or change IntegrationUri.".to_owned(),
            ),
            Self::Late { uri, limit } => (
                format!("{uri} did not answer within {} s, the limit of the integration.", seconds(*limit)),
                "The integration's TimeoutInMillis is the limit; API Gateway allows at most 29 s.".to_owned(),
            ),
            Self::NoService { service, served } => (
                format!("The integration calls \"{service}\", which is not a service of the local cloud."),
                format!("It works on AWS. Locally there are {}.", served.join(", ")),
            ),
            Self::NoRole { role } => (
                format!("API Gateway cannot assume the integration's role {role}."),
                "It must exist, and its AssumeRolePolicyDocument must allow sts:AssumeRole for the service \
                 apigateway.amazonaws.com."
                    .to_owned(),
            ),
            Self::RoleDenied { role, function } => (
                format!("The integration's role {role} may not invoke {}.", name_of(function)),
                "Allow lambda:InvokeFunction on it in the policies of the role.".to_owned(),
            ),
            Self::NotSigned { why } => (
                why.clone(),
                "Sign it with Signature Version 4 for execute-api, by a key that `wschat env` shows or that a role got: the route \
                 has AuthorizationType AWS_IAM."
                    .to_owned(),
            ),
            Self::NoApiKey { why } => (
                why.clone(),
                "Send the header x-api-key with the value of an AWS::ApiGateway::ApiKey that a usage plan of the stage \
                 has; locally a key without Value has its id as its value."
                    .to_owned(),
            ),
            Self::NotPermitted { function, source_arn } => (
                format!("The resource policy of {} does not let API Gateway invoke it.", name_of(function)),
                format!(
                    "Give the function an AWS::Lambda::Permission with Principal apigateway.amazonaws.com, and SourceArn \
                     {source_arn} or a pattern of it."
                ),
            ),
            Self::NotInvoked { function, code, message } => {
                let action = match code.as_str() {
                    "TooManyRequestsException" => {
                        "All of its environments are busy: raise its reserved concurrency, or wait for the running \
                         invocations."
                    }
                    "ResourceNotFoundException" => {
                        "The function, version or alias is gone: run `wschat up --local` to create it again."
                    }
                    "ResourceConflictException" => "The function is still being created: send the message again.",
                    _ => "`wschat local logs` has the whole error.",
                };
                (format!("{} was not run by Lambda: {code}: {message}", name_of(function)), action.to_owned())
            }
            Self::Failed { function, error } => {
                (format!("{} failed: {}", name_of(function), described(error)), advice(error).to_owned())
            }
            Self::TimedOut { function, limit } => (
                format!("{} did not answer within {} s, the limit of the integration.", name_of(function), seconds(*limit)),
                "Look in its log at what it waits for. The integration's TimeoutInMillis is the limit; API Gateway allows at \
                 most 29 s. The function itself runs on until its own Timeout."
                    .to_owned(),
            ),
            Self::Malformed { function, returned } => (
                format!("{} returned something that is not a proxy response: {}", name_of(function), quoted(returned)),
                "Return {\"statusCode\": 200}, for example; a body must be a string.".to_owned(),
            ),
            Self::MalformedAuthorization { function, returned } => (
                format!("{} returned something that is not an answer of an authorizer: {}", name_of(function), quoted(returned)),
                "Return principalId and policyDocument; the values of context must be strings, numbers or booleans."
                    .to_owned(),
            ),
            Self::AnswerTooLarge { route, bytes } => (
                format!("The answer of the route \"{route}\" has {bytes} bytes, and a message may have 131,072 (128 KiB)."),
                "Return less, or post it in parts through @connections.".to_owned(),
            ),
            Self::NoParameter { missing } => (
                format!("The request lacks parameters that the method requires: {}.", missing.join(", ")),
                "Send them; a request validator looks for them.".to_owned(),
            ),
            Self::RequestTooLarge { limit } => (
                format!("The request's body has more than {limit} bytes, the most that API Gateway takes."),
                "Send less, or upload it to a bucket, to an address that a function signs.".to_owned(),
            ),
            Self::ConnectRefused { status } => (
                format!("The integration of $connect refused the client: it returned the status {status}."),
                match status {
                    500.. => "It accepts a client by a status from 200 to 299. Log the error where the handler catches it.",
                    _ => "It accepts a client by a status from 200 to 299.",
                }
                .to_owned(),
            ),
            Self::NoIdentity { missing } => (
                format!("The request lacks what the authorizer identifies clients by: {}.", missing.join(", ")),
                "Send it, in the query string or a header; browsers can send no headers.".to_owned(),
            ),
            Self::Unauthorized { function } => (
                format!("The authorizer {} refused the client with \"Unauthorized\".", name_of(function)),
                "Connect with credentials that it accepts.".to_owned(),
            ),
            Self::Denied { function, explicit } => {
                let how = if *explicit { "denies" } else { "does not allow" };
                let what = format!("The policy that the authorizer {} returned {how} this route.", name_of(function));
                (what, "It must allow execute-api:Invoke on the event's methodArn.".to_owned())
            }
        };
        let place = match self {
            Self::Failed { error, .. } => {
                position(error).map_or_else(|| place.to_owned(), |position| format!("{place}, {position}"))
            }
            _ => place.to_owned(),
        };
        Why { what, place, action }
    }
}

/// What to do about an error document of Lambda's.
fn advice(error: &str) -> &'static str {
    let document: Value = serde_json::from_str(error).unwrap_or_default();
    match document["errorType"].as_str().unwrap_or_default() {
        "Sandbox.Timedout" => "Look in its log at what it waits for, or raise the function's Timeout.",
        "Runtime.ImportModuleError" => {
            "The code or a package that it imports is not in the zip: check Handler and CodeUri, and that the package is in \
             the dependencies."
        }
        "Runtime.HandlerNotFound" => "The module has no such function: check the function's Handler.",
        "Runtime.UserCodeSyntaxError" => {
            "Mend the syntax error; `node --check FILE` or `python3 -m py_compile FILE` find it."
        }
        "Runtime.InvalidEntrypoint" => {
            "The runtime did not start: check that its program is installed and the code executable."
        }
        "Runtime.ExitError" => "Its process ended: look in its log. A killed one needed more than its MemorySize.",
        "Function.ResponseSizeTooLarge" => "Return less: a result may have 6 MB.",
        "AccessDeniedException" => "Allow the action in the Policies of the function's role.",
        "ResourceNotFoundException" => "It used a resource that is not there: check the names in its Environment.",
        _ => "Its log below has the stack.",
    }
}

/// Where in the function's code an error was thrown, by the stack in its document: `index.mjs:11:49`, `app.py, line 5`. Packages
/// do not count.
fn position(error: &str) -> Option<String> {
    let document: Value = serde_json::from_str(error).ok()?;
    let frames = |member: &str| document[member].as_array().map(Vec::as_slice).unwrap_or_default().iter();
    let own = |frame: &&str| frame.contains("/var/task/") && !frame.contains("/node_modules/");
    // Node.js names the innermost function first, Python last.
    if let Some(frame) = frames("trace").filter_map(Value::as_str).find(own) {
        let (_, place) = frame.split_once("/var/task/")?;
        return Some(place.trim_end_matches(')').to_owned());
    }
    let frame = frames("stackTrace").filter_map(Value::as_str).rfind(own)?;
    let (_, place) = frame.split_once("/var/task/")?;
    let (file, rest) = place.split_once("\", line ")?;
    let line: String = rest.chars().take_while(char::is_ascii_digit).collect();
    Some(format!("{file}, line {line}"))
}

/// An error document in one line: `TypeError: x is not a function`.
pub fn described(error: &str) -> String {
    let document: Value = serde_json::from_str(error).unwrap_or_default();
    match (document["errorType"].as_str(), document["errorMessage"].as_str()) {
        (Some(kind), Some(message)) if !kind.is_empty() => quoted(&format!("{kind}: {message}")),
        (_, Some(message)) => quoted(message),
        _ => quoted(error),
    }
}

/// Keys in a sentence.
fn listed(keys: &[String]) -> String {
    if keys.is_empty() { "none".to_owned() } else { keys.join(", ") }
}

/// The function's name in its ARN, with its version or alias.
fn name_of(arn: &str) -> &str {
    arn.split_once(":function:").map_or(arn, |(_, name)| name)
}

/// The beginning of a text.
pub fn quoted(text: &str) -> String {
    match text.char_indices().nth(MAX_QUOTED) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.to_owned(),
    }
}

fn seconds(limit: Duration) -> String {
    format!("{:.3}", limit.as_secs_f64()).trim_end_matches('0').trim_end_matches('.').to_owned()
}

/// Why the gateway closed a connection with a code; `None` for a code that needs no explanation.
pub fn of_close(code: u16, reason: &str) -> Option<Why> {
    let (what, action) = match (code, reason) {
        (1003, _) => (
            "The client sent a binary frame, and API Gateway serves text frames only.",
            "Send text: binary data as base64, for example.",
        ),
        (1009, _) => (
            "The client sent a frame of more than 32 KiB or a message of more than 128 KiB, API Gateway's limits.",
            "Split the message; a longer one than 32 KiB must be sent in several frames.",
        ),
        (1007, _) => ("The client sent a text frame that is not UTF-8.", "Send UTF-8."),
        (1002, _) => ("The client broke the WebSocket protocol.", "Look at the client's library."),
        (1001, "Going away") => (
            "The connection was idle for 10 minutes or open for 2 hours (API Gateway's limits), or the local cloud stopped.",
            "Send a message or a ping within 10 minutes, and let clients connect again.",
        ),
        _ => return None,
    };
    Some(Why { what: what.to_owned(), place: "the connection".to_owned(), action: action.to_owned() })
}

#[cfg(test)]
mod tests {
    use super::*;

    const FUNCTION: &str = "arn:aws:lambda:us-east-1:000000000000:function:chat-Send-1";

    #[test]
    fn causes_are_explained_in_words() {
        let function = || FUNCTION.to_owned();
        for (cause, what, action) in [
            (
                Cause::NoRoute {
                    selected: Some("say".to_owned()),
                    expression: "$request.body.action".to_owned(),
                    routes: vec!["join".to_owned(), "leave".to_owned()],
                },
                "The message selects the route \"say\" ($request.body.action), which the stage's deployment does not have, \
                 and there is no $default route.",
                "Add the route or a $default route to the template, or change the message; the stage's routes: join, leave.",
            ),
            (
                Cause::NotPermitted { function: function(), source_arn: "arn:x".to_owned() },
                "The resource policy of chat-Send-1 does not let API Gateway invoke it.",
                "SourceArn arn:x or a pattern of it",
            ),
            (
                Cause::Failed {
                    function: function(),
                    error: r#"{"errorType":"TypeError","errorMessage":"x is not a function"}"#.to_owned(),
                },
                "chat-Send-1 failed: TypeError: x is not a function",
                "Its log below has the stack.",
            ),
            (
                Cause::Failed {
                    function: function(),
                    error: r#"{"errorType":"Sandbox.Timedout","errorMessage":"Task timed out after 3.00 seconds"}"#
                        .to_owned(),
                },
                "chat-Send-1 failed: Sandbox.Timedout: Task timed out after 3.00 seconds",
                "raise the function's Timeout",
            ),
            (
                Cause::TimedOut { function: function(), limit: Duration::from_millis(1500) },
                "chat-Send-1 did not answer within 1.5 s, the limit of the integration.",
                "TimeoutInMillis",
            ),
            (
                Cause::Malformed { function: function(), returned: "x".repeat(300) },
                &format!("chat-Send-1 returned something that is not a proxy response: {}…", "x".repeat(MAX_QUOTED)),
                "a body must be a string",
            ),
            (
                Cause::Denied { function: function(), explicit: false },
                "The policy that the authorizer chat-Send-1 returned does not allow this route.",
                "methodArn",
            ),
        ] {
            let why = cause.explain("route say");
            assert_eq!((why.what.as_str(), why.place.as_str()), (what, "route say"));
            assert!(why.action.contains(action), "{}", why.action);
        }
    }

    #[test]
    fn a_failure_is_placed_in_the_functions_own_code() {
        for (error, place) in [
            (
                r#"{"errorType":"TypeError","errorMessage":"m","trace":["TypeError: m",
                "    at trim (file:///var/task/node_modules/x/index.js:1:2)",
                "    at handler (file:///var/task/lib/index.mjs:11:49)","    at invoke (/x/node.cjs:302:34)"]}"#,
                "r, lib/index.mjs:11:49",
            ),
            (
                r#"{"errorType":"KeyError","errorMessage":"m","stackTrace":[
                "  File \"/var/task/app.py\", line 5, in handler\n    f()\n","  File \"/var/task/lib.py\", line 12, in f\n"]}"#,
                "r, lib.py, line 12",
            ),
            (r#"{"errorType":"E","errorMessage":"m","trace":["E: m"]}"#, "r"),
            ("no JSON", "r"),
        ] {
            let function = FUNCTION.to_owned();
            assert_eq!(Cause::Failed { function, error: error.to_owned() }.explain("r").place, place);
        }
    }

    #[test]
    fn causes_are_failures_of_the_configuration_of_the_function_or_of_its_time() {
        let function = || FUNCTION.to_owned();
        let failed = Cause::Failed { function: function(), error: String::new() };
        assert_eq!(failed.kind(), IntegrationFailure::Function);
        let late = Cause::TimedOut { function: function(), limit: Duration::from_secs(29) };
        assert_eq!(late.kind(), IntegrationFailure::Timeout);
        assert_eq!(Cause::NoIntegration { route: "x".to_owned() }.kind(), IntegrationFailure::Configuration);
    }
}
