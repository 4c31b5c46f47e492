//! Constraints on single resources that only AWS's documentation states, not its service models.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use super::Refusal;
use crate::core::iam::managed::{Known, PREFIX, all_names, known, name_of};
use crate::core::types::{
    alias, api_mapping, authorizer, function, inline_policy, integration, managed_policy, permission, protocol, role,
    route, route_response, stage, table, tags,
};
use crate::core::words::runtimes::{self, LONGEST_ENVIRONMENT, RESERVED_VARIABLES};
use crate::core::words::{Path, Problem, ProblemKind, Token};

/// How many of them wschat sets itself: four that mark the owner, and one on functions that have versions.
const OWN_TAGS: usize = 5;

/// The properties without what stands for nothing: the CDK's `WebSocketMockIntegration` writes an empty URI.
pub(super) fn meant<'p>(type_name: &str, properties: &'p Value) -> Cow<'p, Value> {
    let is_mock = type_name == integration::TYPE && properties["IntegrationType"] == "MOCK";
    if !is_mock || properties["IntegrationUri"] != "" {
        return Cow::Borrowed(properties);
    }
    let mut meant = properties.clone();
    meant["IntegrationUri"] = Value::Null;
    Cow::Owned(meant)
}

/// The problems in one resource's properties.
pub(super) fn check(type_name: &str, properties: &Value) -> Vec<Refusal> {
    let root = Path::default();
    let mut problems: Vec<Refusal> = tag_count(properties).into_iter().map(Refusal::from).collect();
    match type_name {
        function::TYPE => {
            let found = variables(properties).into_iter().chain(logging(properties)).chain(runtime(properties));
            problems.extend(found.map(Refusal::from));
        }
        alias::TYPE => problems.extend(weights(properties).map(Refusal::from)),
        authorizer::TYPE => {
            problems.extend(request_authorizer(properties).into_iter().map(Refusal::from));
            problems.extend(authorizer_needs(properties));
        }
        permission::TYPE => problems.extend(principal(properties).map(Refusal::from)),
        inline_policy::TYPE => {
            problems.extend(length(&[&properties["PolicyDocument"]], 10_240, "PolicyDocument").map(Refusal::from))
        }
        managed_policy::TYPE => {
            problems.extend(length(&[&properties["PolicyDocument"]], 6_144, "PolicyDocument").map(Refusal::from));
        }
        integration::TYPE => {
            problems.extend(uri(properties).into_iter().chain(connection(properties)));
            problems.extend(timeout(properties).map(Refusal::from));
        }
        api_mapping::TYPE => problems.extend(mapping_key(properties).map(Refusal::from)),
        route::TYPE => {
            problems.extend(authorization(properties).into_iter().chain(parameters(properties).map(Refusal::from)));
        }
        route_response::TYPE => problems.extend(only_default("RouteResponseKey", properties).map(Refusal::from)),
        stage::TYPE => {
            problems.extend(
                log_format(properties)
                    .into_iter()
                    .chain(log_destination(properties))
                    .chain(throttles(properties))
                    .chain(stage_of_protocol(properties))
                    .map(Refusal::from),
            );
        }
        table::TYPE => problems.extend(table_settings(properties)),
        role::TYPE => {
            let names = elements(properties, "Policies").map(|(at, policy)| (at, &policy["PolicyName"]));
            let twice = unique(names, &root.key("Policies"), "PolicyName");
            problems.extend(managed_policies(properties).into_iter().chain(twice).map(Refusal::from));
            let documents: Vec<&Value> =
                elements(properties, "Policies").map(|(_, policy)| &policy["PolicyDocument"]).collect();
            problems.extend(length(&documents, 10_240, "Policies").map(Refusal::from));
        }
        _ => {}
    }
    problems
}

/// The elements of a list, with their indexes.
fn elements<'v>(properties: &'v Value, name: &str) -> impl Iterator<Item = (usize, &'v Value)> {
    properties.get(name).and_then(Value::as_array).into_iter().flatten().enumerate()
}

/// A property that is text without unknown parts.
fn text<'v>(properties: &'v Value, name: &str) -> Option<&'v str> {
    properties.get(name)?.as_str().filter(|text| !Token::is_in(text))
}

/// Reports list elements that have the same `name`.
fn unique<'v>(names: impl Iterator<Item = (usize, &'v Value)>, list: &Path, name: &str) -> Vec<Problem> {
    let mut seen: BTreeMap<&str, usize> = BTreeMap::new();
    let named = names.filter_map(|(at, value)| Some((at, value.as_str().filter(|text| !text.is_empty())?)));
    let mut problems = Vec::new();
    for (at, text) in named {
        if let Some(first) = seen.insert(text, at) {
            let what = format!("element {} has the {name} \"{}\" already", first + 1, Token::readable(text));
            let (path, other) = (list.index(at).key(name), list.index(first).key(name));
            problems
                .push(Problem::new(path.clone(), what).kind(ProblemKind::Duplicate).depending_on_values([path, other]));
        }
    }
    problems
}

/// Tags are alike in all services (AWS general reference, tag naming limits).
fn tag_count(properties: &Value) -> Vec<Problem> {
    let root = Path::default().key("Tags");
    let mut problems = Vec::new();
    let keys: Vec<(Path, bool, &str)> = match properties.get("Tags") {
        Some(Value::Object(tags)) => tags.keys().map(|key| (root.key(key), true, key.as_str())).collect(),
        Some(Value::Array(tags)) => {
            problems.extend(unique(tags.iter().enumerate().map(|(at, tag)| (at, &tag["Key"])), &root, "Key"));
            let keys = tags.iter().enumerate();
            keys.filter_map(|(at, tag)| Some((root.index(at).key("Key"), false, tag["Key"].as_str()?))).collect()
        }
        _ => return problems,
    };
    for (path, at_key, key) in &keys {
        if key.to_ascii_lowercase().starts_with("aws:") {
            let what = format!("the tag \"{}\" cannot be set: aws: is for AWS's own", Token::readable(key));
            problems.push(Problem { at_key: *at_key, ..Problem::new(path.clone(), what) });
        }
    }
    let most = tags::MAX - OWN_TAGS;
    if keys.len() > most {
        let what = format!("Tags may have {most} elements at most, not {}", keys.len());
        let help = format!("AWS takes {}, and wschat adds up to {OWN_TAGS} of its own", tags::MAX);
        problems.push(Problem::new(root, what).help(help));
    }
    problems
}

/// The table leaves the model's list of runtimes out: CloudFormation's schema and the developer guide have more.
fn runtime(properties: &Value) -> Option<Problem> {
    let runtime = text(properties, "Runtime").filter(|runtime| !runtime.is_empty())?;
    let help = runtimes::unknown(runtime)?;
    let problem = Problem::new(Path::default().key("Runtime"), format!("Lambda has no runtime \"{runtime}\""));
    Some(problem.kind(ProblemKind::Unknown).help(help))
}

fn variables(properties: &Value) -> Vec<Problem> {
    let Some(variables) = properties["Environment"]["Variables"].as_object() else { return Vec::new() };
    let path = Path::default().key("Environment").key("Variables");
    let mut problems: Vec<Problem> = variables
        .keys()
        .filter(|name| RESERVED_VARIABLES.contains(&name.as_str()))
        .map(|name| {
            let what = format!("the variable {name} cannot be set: it is reserved for Lambda itself");
            Problem::of_key(path.key(name), what).help("handlers find it in their environment, as Lambda sets it")
        })
        .collect();
    // A part that is not known yet counts as empty.
    let known = |value: &Value| Token::substitute(value, &|_| Some(String::new()));
    let measured: BTreeMap<&String, String> = variables
        .iter()
        .map(|(name, value)| (name, known(value).as_str().map_or_else(|| value.to_string(), str::to_owned)))
        .collect();
    let length = serde_json::to_string(&measured).map_or(0, |text| text.len());
    if length > LONGEST_ENVIRONMENT {
        let what = format!("all variables together may take {LONGEST_ENVIRONMENT} bytes as JSON, not {length}");
        let problem = Problem::new(path.clone(), what).depending_on_values([path]);
        problems.push(problem.help("put what is long into the code, or into a table"));
    }
    problems
}

/// CreateIntegration, IntegrationUri: what calls something needs its URI, MOCK needs none ("Integration URI is not
/// supported for MOCK integrations").
fn uri(properties: &Value) -> Option<Refusal> {
    let given = properties.get("IntegrationUri").filter(|uri| !uri.is_null());
    let kind = Path::default().key("IntegrationType");
    let has_subtype = properties.get("IntegrationSubtype").is_some_and(|subtype| !subtype.is_null());
    match (text(properties, "IntegrationType")?, given) {
        // "Only HTTP_PROXY and AWS_PROXY integration types are supported" (CreateIntegration of an HTTP API).
        (type_of @ ("AWS" | "HTTP" | "MOCK"), _) if protocol::is_http(properties) => {
            let what = format!("an HTTP API has no {type_of} integrations, only AWS_PROXY and HTTP_PROXY");
            Some(Problem::new(kind.clone(), what).depending_on_values([kind]).into())
        }
        ("AWS_PROXY", None) if has_subtype => None,
        (type_of @ ("AWS_PROXY" | "AWS" | "HTTP" | "HTTP_PROXY"), None) => {
            let what = format!("an {type_of} integration needs an IntegrationUri");
            let problem = Problem::new(Path::default(), what).kind(ProblemKind::Missing);
            let example = match type_of {
                "AWS_PROXY" => "IntegrationUri: !GetAtt FUNCTION.Arn",
                "AWS" => {
                    "IntegrationUri: !Sub arn:${AWS::Partition}:apigateway:${AWS::Region}:SERVICE:action/OPERATION"
                }
                _ => "IntegrationUri: https://HOST/PATH",
            };
            Some(Refusal::missing(problem.help(example).depending_on_values([kind])))
        }
        ("HTTP" | "HTTP_PROXY", Some(given)) => {
            let given = given.as_str().filter(|given| !Token::is_in(given))?;
            // "Invalid HTTP endpoint specified for URI" (PutIntegration of version 1).
            if ["http://", "https://"].iter().any(|scheme| given.starts_with(scheme)) {
                return None;
            }
            let path = Path::default().key("IntegrationUri");
            let problem = Problem::new(path.clone(), format!("\"{given}\" is not an HTTP endpoint"));
            Some(problem.help("such as https://HOST/PATH").depending_on_values([path, kind]).into())
        }
        ("MOCK", Some(_)) => {
            let path = Path::default().key("IntegrationUri");
            let problem = Problem::of_key(path, "a MOCK integration calls nothing, and takes no IntegrationUri");
            Some(problem.help("remove it").depending_on_values([kind]).into())
        }
        _ => None,
    }
}

/// CreateIntegration, TimeoutInMillis: "between 50 and 29,000 milliseconds for WebSocket APIs and between 50 and 30,000 milliseconds
/// for HTTP APIs".
fn timeout(properties: &Value) -> Option<Problem> {
    let most = if protocol::is_http(properties) { 30_000.0 } else { 29_000.0 };
    let given = properties.get("TimeoutInMillis")?;
    let path = Path::default().key("TimeoutInMillis");
    let millis = given.as_f64().or_else(|| given.as_str()?.parse().ok());
    let given = given.as_str().map_or_else(|| given.to_string(), str::to_owned);
    millis.filter(|millis| *millis > most).map(|_| {
        let what = format!("TimeoutInMillis must be from 50 to {most}, not {given}");
        Problem::new(path.clone(), what).depending_on_values([path])
    })
}

/// Only HTTP APIs have a stage `$default`; "Execution logs are not supported on protocolType HTTP" (UpdateStage).
fn stage_of_protocol(properties: &Value) -> Vec<Problem> {
    let root = Path::default();
    if !protocol::is_http(properties) {
        let name = text(properties, "StageName").filter(|name| *name == protocol::DEFAULT_STAGE);
        let path = root.key("StageName");
        let problem =
            |_| Problem::new(path.clone(), "StageName cannot be \"$default\"").help("only HTTP APIs have such a stage");
        return name.map(problem).map(|problem| problem.depending_on_values([path.clone()])).into_iter().collect();
    }
    let of_routes = properties["RouteSettings"].as_object().into_iter().flatten();
    let of_routes = of_routes.map(|(route, settings)| (root.key("RouteSettings").key(route), settings));
    let all = std::iter::once((root.key("DefaultRouteSettings"), &properties["DefaultRouteSettings"])).chain(of_routes);
    let mut problems = Vec::new();
    for (path, settings) in all {
        let level = settings["LoggingLevel"].as_str().filter(|level| !matches!(*level, "" | "OFF"));
        let traces = settings["DataTraceEnabled"] == true || settings["DataTraceEnabled"] == "true";
        for (name, is_given) in [("LoggingLevel", level.is_some()), ("DataTraceEnabled", traces)] {
            if is_given {
                let path = path.key(name);
                let problem =
                    Problem::new(path.clone(), "HTTP APIs have no execution logs").depending_on_values([path]);
                problems.push(problem.help("remove it, and let AccessLogSettings log the requests"));
            }
        }
    }
    problems
}

/// CreateIntegration, ConnectionId: the VPC link of a private integration.
fn connection(properties: &Value) -> Option<Refusal> {
    let path = Path::default().key("ConnectionType");
    let has_id = properties.get("ConnectionId").is_some_and(|id| !id.is_null());
    (text(properties, "ConnectionType")? == "VPC_LINK" && !has_id).then(|| {
        let what = "an integration with the connection type VPC_LINK needs a ConnectionId";
        let problem = Problem::new(path.clone(), what).kind(ProblemKind::Missing).depending_on_values([path]);
        let version = if protocol::is_http(properties) { "ApiGatewayV2" } else { "ApiGateway" };
        Refusal::missing(problem.help(format!("ConnectionId: !Ref VPCLINK, an AWS::{version}::VpcLink")))
    })
}

/// A handshake has parameters, a message has none.
fn parameters(properties: &Value) -> Option<Problem> {
    if protocol::is_http(properties) {
        return None;
    }
    let given = properties.get("RequestParameters")?.as_object().filter(|given| !given.is_empty())?;
    let key = text(properties, "RouteKey").filter(|key| *key != "$connect")?;
    let path = Path::default().key("RequestParameters");
    let names: Vec<&str> = given.keys().map(String::as_str).collect();
    let what = format!("the route {key} cannot have request parameters: only $connect can");
    let problem = Problem::of_key(path, what).depending_on_values([Path::default().key("RouteKey")]);
    Some(problem.help(format!("a message has none of {}: use a model", names.join(", "))))
}

/// "An ApiMapping key may contain only letters, numbers and one of $-_.+!*'()," (aws/aws-cdk#8983).
fn mapping_key(properties: &Value) -> Option<Problem> {
    let key = text(properties, "ApiMappingKey")?;
    let fits = |letter: char| letter.is_ascii_alphanumeric() || "$-_.+!*'(),".contains(letter);
    let path = Path::default().key("ApiMappingKey");
    (!key.chars().all(fits)).then(|| {
        let what = format!("\"{key}\" cannot be a mapping's key: it has letters, digits and $-_.+!*'(), alone");
        Problem::new(path.clone(), what).depending_on_values([path]).help("leave it out to map the domain itself")
    })
}

/// Only `$connect` authorizes, for the whole connection ("Currently, authorization is restricted to the $connect route
/// only"); and a WebSocket API's only response is `$default`.
fn authorization(properties: &Value) -> Vec<Refusal> {
    if protocol::is_http(properties) {
        return http_route(properties);
    }
    let only = only_default("RouteResponseSelectionExpression", properties);
    let mut problems: Vec<Refusal> = only.map(Refusal::from).into_iter().collect();
    if text(properties, "RouteKey") == Some("") {
        let path = Path::default().key("RouteKey");
        problems.push(Problem::new(path.clone(), "a route needs a RouteKey").depending_on_values([path]).into());
    }
    let path = Path::default().key("AuthorizationType");
    let Some(kind) = text(properties, "AuthorizationType").filter(|kind| *kind != "NONE") else { return problems };
    if kind == "JWT" {
        let problem = Problem::new(path.clone(), "JWT authorization is for HTTP APIs").depending_on_values([path]);
        problems
            .push(problem.help("AuthorizationType: CUSTOM, and check the token in the authorizer's function").into());
        return problems;
    }
    match text(properties, "RouteKey") {
        Some("$connect") if kind == "CUSTOM" && properties.get("AuthorizerId").is_none_or(Value::is_null) => {
            let problem = Problem::new(path.clone(), "a route with the authorization CUSTOM needs an AuthorizerId")
                .kind(ProblemKind::Missing);
            problems.push(Refusal::missing(problem.help("AuthorizerId: !Ref AUTHORIZER").depending_on_values([path])));
        }
        Some("$connect") | None => {}
        Some(key) => {
            let what = format!("the route {key} cannot have the authorization {kind}: only $connect can");
            let help = "clients that may connect may use all routes: authorize $connect, and leave it out here";
            let key = Path::default().key("RouteKey");
            problems.push(Problem::new(path.clone(), what).help(help).depending_on_values([path, key]).into());
        }
    }
    problems
}

/// CreateRoute of an HTTP API: the form of its key ("The provided route key is not formatted properly for HTTP protocol"), its
/// authorizer, and that it has no API keys.
fn http_route(properties: &Value) -> Vec<Refusal> {
    let mut problems: Vec<Refusal> = Vec::new();
    let root = Path::default();
    const METHODS: [&str; 8] = ["ANY", "DELETE", "GET", "HEAD", "OPTIONS", "PATCH", "POST", "PUT"];
    if let Some(key) = text(properties, "RouteKey").filter(|key| *key != "$default") {
        let fits = key.split_once(' ').is_some_and(|(method, path)| METHODS.contains(&method) && path.starts_with('/'));
        if !fits {
            let path = root.key("RouteKey");
            let what = format!("\"{key}\" is not the key of a route of an HTTP API");
            let problem = Problem::new(path.clone(), what).depending_on_values([path]);
            problems.push(problem.help("such as GET /items/{id}, ANY /{proxy+} or $default").into());
        }
    }
    let kind = text(properties, "AuthorizationType").unwrap_or("NONE");
    let path = root.key("AuthorizationType");
    let names_one = properties.get("AuthorizerId").is_some_and(|id| !id.is_null());
    if matches!(kind, "JWT" | "CUSTOM") && !names_one {
        let what = format!("a route with the authorization {kind} needs an AuthorizerId");
        let problem = Problem::new(path.clone(), what).kind(ProblemKind::Missing).help("AuthorizerId: !Ref AUTHORIZER");
        problems.push(Refusal::missing(problem.depending_on_values([path])));
    }
    if properties["ApiKeyRequired"] == true || properties["ApiKeyRequired"] == "true" {
        let problem = Problem::of_key(root.key("ApiKeyRequired"), "HTTP APIs have no API keys");
        problems.push(problem.help("remove it, and authorize the route").into());
    }
    problems
}

fn only_default(name: &str, properties: &Value) -> Option<Problem> {
    let given = text(properties, name).filter(|given| !given.is_empty() && *given != "$default")?;
    let path = Path::default().key(name);
    let problem = Problem::new(path.clone(), format!("{name} cannot be \"{given}\"")).depending_on_values([path]);
    Some(problem.help("WebSocket APIs know $default alone"))
}

/// Access logs go to a log group, or to a Firehose stream whose name begins with `amazon-apigateway-` (developer guide,
/// "Configure logging for WebSocket APIs").
fn log_destination(properties: &Value) -> Option<Problem> {
    let arn = text(properties.get("AccessLogSettings")?, "DestinationArn").filter(|arn| !arn.is_empty())?;
    let parts: Vec<&str> = arn.splitn(7, ':').collect();
    let is_destination = match parts[..] {
        ["arn", _, "logs", _, _, "log-group", name] => !name.is_empty(),
        ["arn", _, "firehose", _, _, name] => name.starts_with("deliverystream/amazon-apigateway-"),
        _ => false,
    };
    if is_destination {
        return None;
    }
    let path = Path::default().key("AccessLogSettings").key("DestinationArn");
    let what = format!("access logs go to the ARN of a log group or of a Firehose stream, not to \"{arn}\"");
    Some(Problem::new(path.clone(), what).depending_on_values([path]).help("for instance: !GetAtt AccessLogs.Arn"))
}

/// UpdateStage, accessLogSettings: the format must contain `$context.requestId` or `$context.extendedRequestId` (source
/// for the second: aws/aws-cdk#22591).
fn log_format(properties: &Value) -> Option<Problem> {
    let settings = properties.get("AccessLogSettings")?;
    let format = settings.get("Format").and_then(Value::as_str).filter(|format| !format.is_empty())?;
    let has = |name: &str| {
        format.split("$context.").skip(1).any(|rest| {
            rest.strip_prefix(name).is_some_and(|rest| !rest.starts_with(|next: char| next.is_ascii_alphanumeric()))
        })
    };
    if Token::is_in(format) || has("requestId") || has("extendedRequestId") {
        return None;
    }
    let path = Path::default().key("AccessLogSettings").key("Format");
    let what = "the format of access logs must have $context.requestId or $context.extendedRequestId in it";
    Some(
        Problem::new(path.clone(), what)
            .depending_on_values([path])
            .help("for instance: '$context.requestId $context.status'"),
    )
}

/// What CreateTable and UpdateTimeToLive refuse (DynamoDB API reference).
fn table_settings(properties: &Value) -> Vec<Refusal> {
    let root = Path::default();
    let billing = root.key("BillingMode");
    let mut problems: Vec<Refusal> = Vec::new();
    let on_demand = text(properties, "BillingMode") == Some("PAY_PER_REQUEST");
    let provisioned = matches!(properties.get("BillingMode"), None | Some(Value::Null))
        || text(properties, "BillingMode") == Some("PROVISIONED");
    let indexes = elements(properties, "GlobalSecondaryIndexes")
        .map(|(at, index)| (root.key("GlobalSecondaryIndexes").index(at), index));
    for (path, value) in std::iter::once((root.clone(), properties)).chain(indexes) {
        let whose = if path.0.is_empty() { "the table" } else { "the index" };
        match value.get("ProvisionedThroughput").filter(|given| !given.is_null()) {
            Some(_) if on_demand => {
                let what = "a table that is billed by the request takes no ProvisionedThroughput";
                let path = path.key("ProvisionedThroughput");
                let problem = Problem::of_key(path, what).help("remove it, or make BillingMode PROVISIONED");
                problems.push(problem.depending_on_values([billing.clone()]).into());
            }
            None if provisioned && value.is_object() => {
                let what =
                    format!("{whose} needs a ProvisionedThroughput, because the table's BillingMode is PROVISIONED");
                let problem =
                    Problem::new(path, what).kind(ProblemKind::Missing).help("BillingMode: PAY_PER_REQUEST needs none");
                problems.push(Refusal::missing(problem.depending_on_values([billing.clone()])));
            }
            _ => {}
        }
    }
    let life = &properties["TimeToLiveSpecification"];
    let on = life["Enabled"] == true || life["Enabled"] == "true";
    if on && life.get("AttributeName").is_none_or(Value::is_null) {
        let what = "missing property \"AttributeName\" of TimeToLiveSpecification";
        let path = root.key("TimeToLiveSpecification");
        problems.push(Refusal::missing(
            Problem::new(path.clone(), what).kind(ProblemKind::Missing).depending_on_values([path.key("Enabled")]),
        ));
    }
    let mut names = BTreeSet::new();
    for list in ["GlobalSecondaryIndexes", "LocalSecondaryIndexes"] {
        for (at, index) in elements(properties, list) {
            let Some(name) = index["IndexName"].as_str().filter(|name| !name.is_empty()) else { continue };
            if !names.insert(name) {
                let what = format!("another index has the name \"{}\" already", Token::readable(name));
                problems.push(
                    Problem::new(root.key(list).index(at).key("IndexName"), what).kind(ProblemKind::Duplicate).into(),
                );
            }
        }
    }
    problems.extend(keys(properties, &root).into_iter().map(Refusal::from));
    problems
}

/// Log levels need JSON logs (Lambda's refusal: "To use the ApplicationLogLevel ..., you must set LogFormat to JSON").
fn logging(properties: &Value) -> Option<Problem> {
    let logging = properties.get("LoggingConfig")?;
    const LEVELS: [(&str, &[&str]); 2] = [
        ("ApplicationLogLevel", &["TRACE", "DEBUG", "INFO", "WARN", "ERROR", "FATAL"]),
        ("SystemLogLevel", &["DEBUG", "INFO", "WARN"]),
    ];
    let given = |(name, levels): &(&str, &[&str])| logging[*name].as_str().is_some_and(|level| levels.contains(&level));
    let (level, _) = LEVELS.into_iter().find(given)?;
    let format = logging.get("LogFormat").and_then(Value::as_str).unwrap_or("Text");
    if format == "JSON" || Token::is_in(format) {
        return None;
    }
    let path = Path::default().key("LoggingConfig");
    let problem = Problem::new(path.key(level), format!("{level} is for logs in JSON alone"));
    Some(problem.help("LogFormat: JSON").depending_on_values([path.key("LogFormat"), path.key(level)]))
}

/// An alias points to its version and to one more at most (Lambda API reference, AliasRoutingConfiguration).
fn weights(properties: &Value) -> Option<Problem> {
    let path = Path::default().key("RoutingConfig").key("AdditionalVersionWeights");
    let weights = properties["RoutingConfig"]["AdditionalVersionWeights"].as_array().filter(|all| !all.is_empty())?;
    if weights.len() > 1 {
        return Some(Problem::new(path, format!("an alias may have one additional version, not {}", weights.len())));
    }
    let versions = [text(properties, "FunctionVersion"), weights[0]["FunctionVersion"].as_str()];
    let latest = versions.into_iter().flatten().any(|version| version == "$LATEST");
    latest.then(|| Problem::new(path, "an alias with an additional version cannot point to $LATEST"))
}

/// CreateAuthorizer of a WebSocket API: the caller's identity sources, and the function that it calls.
fn request_authorizer(properties: &Value) -> Vec<Problem> {
    const SOURCES: [&str; 4] = ["route.request.header.", "route.request.querystring.", "context.", "stageVariables."];
    const HTTP: [&str; 4] = ["$request.header.", "$request.querystring.", "$context.", "$stageVariables."];
    let is_http = protocol::is_http(properties);
    let (sources, whose, example) = match is_http {
        true => (HTTP, "an HTTP API", "such as $request.header.Authorization or $request.querystring.token"),
        false => (
            SOURCES,
            "a WebSocket API",
            "such as route.request.header.Authorization or route.request.querystring.token",
        ),
    };
    let root = Path::default();
    let mut problems = Vec::new();
    for (at, source) in elements(properties, "IdentitySource") {
        let Some(given) = source.as_str().filter(|given| !Token::is_in(given)) else { continue };
        if !sources.iter().any(|source| given.starts_with(source)) {
            let what = format!("\"{given}\" cannot be an identity source of {whose}");
            let path = root.key("IdentitySource").index(at);
            problems.push(Problem::new(path.clone(), what).depending_on_values([path]).help(example));
        }
    }
    // The ARN of a function in this template is a known text.
    if let Some(given) = properties.get("AuthorizerUri").and_then(Value::as_str)
        && given.starts_with("arn:")
        && !given.contains(":apigateway:")
    {
        let path = root.key("AuthorizerUri");
        let problem = Problem::new(path.clone(), "AuthorizerUri must be the URI that invokes a function, not its ARN");
        let help = "!Sub arn:${AWS::Partition}:apigateway:${AWS::Region}:lambda:path/2015-03-31/functions/${FUNCTION.Arn}/invocations";
        problems.push(problem.help(help).depending_on_values([path]));
    }
    problems
}

/// What an authorizer of its type must have: a function's URI, or the issuer and the place of its tokens; of HTTP APIs also the
/// format of the event (CreateAuthorizer).
fn authorizer_needs(properties: &Value) -> Vec<Refusal> {
    let is_jwt = text(properties, "AuthorizerType") == Some("JWT");
    let is_http = protocol::is_http(properties);
    if is_jwt && !is_http {
        let path = Path::default().key("AuthorizerType");
        let problem = Problem::new(path.clone(), "JWT authorizers are for HTTP APIs").depending_on_values([path]);
        return vec![problem.help("AuthorizerType: REQUEST, and check the token in the authorizer's function").into()];
    }
    let needed: &[&str] = match (is_jwt, is_http) {
        (true, _) => &["IdentitySource", "JwtConfiguration"],
        (false, true) => &["AuthorizerUri", "AuthorizerPayloadFormatVersion"],
        (false, false) => &["AuthorizerUri"],
    };
    let missing = |name: &&&str| properties.get(**name).is_none_or(Value::is_null);
    let problem = |name: &&str| {
        let what = format!("missing property \"{name}\" of {}", authorizer::TYPE);
        Refusal::missing(Problem::new(Path::default(), what).kind(ProblemKind::Missing))
    };
    needed.iter().filter(missing).map(problem).collect()
}

/// AddPermission, Principal: a service's name, an account, an ARN, or `*` ("The provided principal was invalid").
fn principal(properties: &Value) -> Option<Problem> {
    let given = text(properties, "Principal")?;
    let is_account = given.len() == 12 && given.bytes().all(|byte| byte.is_ascii_digit());
    if given == "*" || given.contains('.') || given.starts_with("arn:") || is_account {
        return None;
    }
    let path = Path::default().key("Principal");
    let problem = Problem::new(path.clone(), format!("\"{given}\" is not a principal")).depending_on_values([path]);
    Some(problem.help("a service is named like apigateway.amazonaws.com, an account by its twelve digits"))
}

/// IAM's quotas for the length of policies, without whitespace: all inline policies of a role together, a managed one
/// alone.
fn length(documents: &[&Value], most: usize, property: &str) -> Option<Problem> {
    // A part that is not known yet counts as empty.
    let text = |document: &Value| Token::substitute(document, &|_| Some(String::new())).to_string();
    let all: usize =
        documents.iter().map(|document| text(document).chars().filter(|c| !c.is_whitespace()).count()).sum();
    (all > most).then(|| {
        let what = format!("{property} may have {most} characters at most, not {all}");
        Problem::new(Path::default().key(property), what).help("divide it between several managed policies")
    })
}

/// Throttles cannot be below 0.
fn throttles(properties: &Value) -> Vec<Problem> {
    let root = Path::default();
    let of_routes = properties["RouteSettings"].as_object().into_iter().flatten();
    let of_routes = of_routes.map(|(route, settings)| (root.key("RouteSettings").key(route), settings));
    let mut problems = Vec::new();
    for (path, settings) in
        std::iter::once((root.key("DefaultRouteSettings"), &properties["DefaultRouteSettings"])).chain(of_routes)
    {
        for limit in ["ThrottlingBurstLimit", "ThrottlingRateLimit"] {
            if settings[limit].as_f64().is_some_and(|given| given < 0.0) {
                let path = path.key(limit);
                problems
                    .push(Problem::new(path.clone(), format!("{limit} cannot be below 0")).depending_on_values([path]));
            }
        }
    }
    problems
}

/// A key is a HASH attribute, optionally followed by a RANGE one.
fn keys(properties: &Value, root: &Path) -> Vec<Problem> {
    let lists = ["GlobalSecondaryIndexes", "LocalSecondaryIndexes"];
    let indexes = lists
        .iter()
        .flat_map(|list| elements(properties, list).map(move |(at, index)| (root.key(list).index(at), index)));
    let mut problems = Vec::new();
    for (path, value) in std::iter::once((root.clone(), properties)).chain(indexes) {
        let path = path.key("KeySchema");
        let first = value["KeySchema"].get(0).and_then(|key| key["KeyType"].as_str());
        if first == Some("RANGE") {
            let what = "the first attribute of a key must be its HASH attribute";
            let path = path.index(0).key("KeyType");
            problems.push(Problem::new(path.clone(), what).depending_on_values([path.clone()]));
        }
        let Some(parts) = value["KeySchema"].as_array() else { continue };
        if parts.len() > 2 {
            problems.push(Problem::new(path.clone(), format!("a key has two attributes at most, not {}", parts.len())));
            continue;
        }
        if let Some(second) = parts.get(1) {
            if first == Some("HASH") && second["KeyType"] == "HASH" {
                let path = path.index(1).key("KeyType");
                let problem = Problem::new(path.clone(), "the second attribute of a key must be its RANGE attribute");
                problems.push(problem.depending_on_values([path]));
            }
            let same = parts[0]["AttributeName"].as_str().filter(|name| second["AttributeName"] == *name);
            if let Some(name) = same {
                let what = format!("\"{}\" is in this key twice", Token::readable(name));
                problems.push(Problem::new(path.index(1).key("AttributeName"), what).kind(ProblemKind::Duplicate));
            }
        }
    }
    let has_range = |value: &Value| value["KeySchema"].as_array().is_none_or(|parts| parts.len() > 1);
    for (at, index) in elements(properties, "LocalSecondaryIndexes") {
        let path = root.key("LocalSecondaryIndexes").index(at).key("KeySchema");
        if !has_range(index) {
            problems.push(Problem::new(path, "a local secondary index needs a RANGE attribute of its own"));
        } else if !has_range(properties) {
            problems.push(Problem::new(path, "a table without a RANGE attribute can have no local secondary index"));
        }
    }
    for list in lists {
        for (at, index) in elements(properties, list) {
            let path = root.key(list).index(at).key("Projection");
            let listed = index["Projection"]["NonKeyAttributes"].as_array().is_some_and(|all| !all.is_empty());
            match index["Projection"]["ProjectionType"].as_str() {
                Some("INCLUDE") if !listed => {
                    problems.push(
                        Problem::new(path, "the projection INCLUDE needs NonKeyAttributes").kind(ProblemKind::Missing),
                    );
                }
                Some(kind @ ("ALL" | "KEYS_ONLY")) if listed => {
                    problems.push(Problem::new(path, format!("the projection {kind} takes no NonKeyAttributes")));
                }
                _ => {}
            }
        }
    }
    let definitions = elements(properties, "AttributeDefinitions").map(|(at, one)| (at, &one["AttributeName"]));
    problems.extend(unique(definitions, &root.key("AttributeDefinitions"), "AttributeName"));
    problems
}

/// AWS's managed policies that IAM would not find ("... does not exist or is not attachable"). A name that is in no
/// list is only a warning, because AWS adds new ones.
fn managed_policies(properties: &Value) -> Vec<Problem> {
    let root = Path::default();
    let list = root.key("ManagedPolicyArns");
    let boundary = properties.get("PermissionsBoundary").map(|arn| (root.key("PermissionsBoundary"), arn));
    let arns = elements(properties, "ManagedPolicyArns").map(|(at, arn)| (list.index(at), arn)).chain(boundary);
    let mut problems = Vec::new();
    for (path, arn) in arns {
        let Some(arn) = arn.as_str() else { continue };
        if !arn.starts_with("arn:") && !arn.is_empty() && !Token::is_in(arn) {
            let meant =
                all_names().find(|known| name_of(known) == arn).map(|known| format!("did you mean {PREFIX}{known}?"));
            let problem = Problem::new(path.clone(), format!("\"{arn}\" is not the ARN of a managed policy"))
                .depending_on_values([path]);
            problems.push(Problem { help: meant, ..problem });
            continue;
        }
        let problem = match known(arn) {
            Known::Elsewhere(real) => Problem::new(path, format!("there is no managed policy {arn}"))
                .kind(ProblemKind::BadReference)
                .help(format!("did you mean {real}?")),
            Known::ServiceLinked => Problem::new(path, format!("{arn} can be attached to service-linked roles only")),
            Known::Fine | Known::Unknown(_) => continue,
        };
        problems.push(problem);
    }
    problems
}
