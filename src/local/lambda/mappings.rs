//! Event source mappings: what Lambda polls, and for which function. `poller` does the polling.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};
use uuid::Uuid;

use super::Lambda;
use super::error;
use super::name::{FunctionId, Reference};
use super::state::{State, now};
use super::tags;
use crate::core::events::pattern::EventPattern;
use crate::core::iam::need::Need;
use crate::local::context::CloudContext;
use crate::local::context::ports::Position;
use crate::local::protocol::service::ServiceCall;
use crate::local::protocol::wire::{ApiError, Response};

/// One mapping. Its states are computed from the clock, so they need no timers and survive a restart.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Mapping {
    /// The function, version or alias.
    pub function_arn: String,
    /// The members of `EventSourceMappingConfiguration` that callers can set.
    pub settings: Map<String, Value>,
    pub enabled: bool,
    /// The transient state, and when it ends, in milliseconds since the epoch.
    passing: String,
    until: i64,
    pub modified: i64,
    pub tags: BTreeMap<String, String>,
    /// The last event of each shard that was handled; where none was, since when its events are wanted.
    #[serde(default)]
    pub positions: BTreeMap<String, String>,
}

/// What stands before a time among `positions`, which else are ids of events.
const SINCE: &str = "since:";

/// The members that callers set at `CreateEventSourceMapping` (service model, botocore).
const SETTINGS: &[&str] = &[
    "AmazonManagedKafkaEventSourceConfig",
    "BatchSize",
    "BisectBatchOnFunctionError",
    "DestinationConfig",
    "DocumentDBEventSourceConfig",
    "EventSourceArn",
    "FilterCriteria",
    "FunctionResponseTypes",
    "KMSKeyArn",
    "LoggingConfig",
    "MaximumBatchingWindowInSeconds",
    "MaximumRecordAgeInSeconds",
    "MaximumRetryAttempts",
    "MetricsConfig",
    "ParallelizationFactor",
    "ProvisionedPollerConfig",
    "Queues",
    "ScalingConfig",
    "SelfManagedEventSource",
    "SelfManagedKafkaEventSourceConfig",
    "SourceAccessConfigurations",
    "StartingPosition",
    "StartingPositionTimestamp",
    "Topics",
    "TumblingWindowInSeconds",
];

/// Those of them that no update changes.
const FIXED: &[&str] =
    &["EventSourceArn", "Queues", "SelfManagedEventSource", "StartingPosition", "StartingPositionTimestamp", "Topics"];

/// The least and the most of numbers (API reference, `CreateEventSourceMapping`).
const RANGES: &[(&str, i64, i64)] = &[
    ("BatchSize", 1, 10_000),
    ("MaximumBatchingWindowInSeconds", 0, 300),
    ("MaximumRecordAgeInSeconds", -1, 604_800),
    ("MaximumRetryAttempts", -1, 10_000),
    ("ParallelizationFactor", 1, 10),
    ("TumblingWindowInSeconds", 0, 900),
];

/// The least and the most members of a page (API reference, `ListEventSourceMappings`).
const PAGE: usize = 100;

impl Mapping {
    /// The ARN of the source; empty for a broker outside of AWS.
    pub fn source(&self) -> &str {
        self.text("EventSourceArn").unwrap_or_default()
    }

    /// The service of the source: `sqs`.
    pub fn service(&self) -> &str {
        if self.settings.contains_key("SelfManagedEventSource") { "kafka" } else { service_of(self.source()) }
    }

    pub fn number(&self, member: &str) -> Option<i64> {
        self.settings.get(member)?.as_i64()
    }

    pub fn text(&self, member: &str) -> Option<&str> {
        self.settings.get(member)?.as_str()
    }

    pub fn flag(&self, member: &str) -> bool {
        self.settings.get(member).and_then(Value::as_bool).unwrap_or_default()
    }

    /// Whether the function says which events of a batch failed.
    pub fn reports_failures(&self) -> bool {
        let types = self.settings.get("FunctionResponseTypes").and_then(Value::as_array);
        types.is_some_and(|types| types.iter().any(|one| one == "ReportBatchItemFailures"))
    }

    /// Where what a function cannot handle goes.
    pub fn on_failure(&self) -> Option<&str> {
        self.settings.get("DestinationConfig")?["OnFailure"]["Destination"].as_str()
    }

    /// How many batches may be handled at once, where that is limited.
    pub fn most_at_once(&self) -> Option<usize> {
        self.settings.get("ScalingConfig")?["MaximumConcurrency"].as_u64()?.try_into().ok()
    }

    /// The patterns of which an event must match one; none where all events are wanted.
    pub fn filters(&self) -> Vec<EventPattern> {
        let filters = self.settings.get("FilterCriteria").and_then(|criteria| criteria["Filters"].as_array());
        let patterns = filters.into_iter().flatten().filter_map(|filter| filter["Pattern"].as_str());
        patterns.filter_map(|pattern| EventPattern::read(pattern).ok()).collect()
    }

    /// Where reading a shard goes on.
    pub fn position(&self, shard: &str) -> Position {
        if let Some(last) = self.positions.get(shard) {
            let since = last.strip_prefix(SINCE).and_then(|time| time.parse().ok());
            return since.map_or_else(|| Position::After(last.clone()), Position::Since);
        }
        match self.text("StartingPosition") {
            Some("TRIM_HORIZON") => Position::Oldest,
            Some("AT_TIMESTAMP") => {
                let seconds = self.settings.get("StartingPositionTimestamp").and_then(Value::as_f64);
                Position::Since((seconds.unwrap_or_default() * 1000.0) as i64)
            }
            _ => Position::Newest,
        }
    }

    /// The time of a position, as `positions` has it.
    pub fn since(time: i64) -> String {
        format!("{SINCE}{time}")
    }

    /// One that is enabled, for tests.
    #[cfg(test)]
    pub fn in_test(function_arn: &str, settings: Map<String, Value>) -> Self {
        Self {
            function_arn: function_arn.to_owned(),
            settings,
            enabled: true,
            passing: String::new(),
            until: 0,
            modified: 0,
            tags: BTreeMap::new(),
            positions: BTreeMap::new(),
        }
    }

    /// The milliseconds until a transient state ends.
    pub fn passing_for(&self) -> Option<u64> {
        u64::try_from(self.until - now()).ok().filter(|left| *left > 0)
    }

    /// Whether it is to be polled, now or when its transient state ends.
    pub fn is_wanted(&self) -> bool {
        self.enabled && self.passing != "Deleting"
    }

    fn is_gone(&self) -> bool {
        self.passing == "Deleting" && self.passing_for().is_none()
    }

    fn state(&self) -> &str {
        match self.passing_for() {
            Some(_) => &self.passing,
            None if self.enabled => "Enabled",
            None => "Disabled",
        }
    }

    fn pass(&mut self, state: &str, delay: i64) {
        self.passing = state.to_owned();
        self.modified = now();
        self.until = self.modified.saturating_add(delay);
    }

    /// `EventSourceMappingConfiguration`.
    fn configuration(&self, region: &str, uuid: &str, last_result: Option<String>) -> Value {
        let is_stream = is_stream(self.service());
        let mut members = json!({
            "UUID": uuid,
            "EventSourceMappingArn": arn(region, uuid),
            "FunctionArn": self.function_arn,
            "LastModified": self.modified as f64 / 1000.0,
            "State": self.state(),
            "StateTransitionReason": if is_stream { "User action" } else { "USER_INITIATED" },
        });
        if let Some(all) = members.as_object_mut() {
            all.extend(self.settings.clone());
            let untold = is_stream.then(|| "No records processed".to_owned());
            if let Some(result) = last_result.or(untold) {
                all.insert("LastProcessingResult".to_owned(), result.into());
            }
        }
        members
    }
}

/// The service in an ARN.
pub fn service_of(arn: &str) -> &str {
    arn.split(':').nth(2).unwrap_or_default()
}

fn is_stream(service: &str) -> bool {
    ["dynamodb", "kinesis"].contains(&service)
}

pub fn arn(region: &str, uuid: &str) -> String {
    CloudContext::arn("lambda", region, &format!("event-source-mapping:{uuid}"))
}

/// The UUID in the ARN of a mapping.
pub fn uuid_in(arn: &str) -> Option<&str> {
    arn.strip_prefix("arn:")?.rsplit_once(":event-source-mapping:").map(|(_, uuid)| uuid)
}

impl State {
    /// A mapping that is there.
    ///
    /// # Errors
    /// `ResourceNotFoundException` for an unknown one.
    pub fn mapping(&self, region: &str, uuid: &str) -> Result<&Mapping, ApiError> {
        let found = self.mappings.get(region).and_then(|mappings| mappings.get(uuid));
        found.filter(|mapping| !mapping.is_gone()).ok_or_else(no_mapping)
    }

    /// # Errors
    /// `ResourceNotFoundException` for an unknown one.
    pub fn mapping_mut(&mut self, region: &str, uuid: &str) -> Result<&mut Mapping, ApiError> {
        let found = self.mappings.get_mut(region).and_then(|mappings| mappings.get_mut(uuid));
        found.filter(|mapping| !mapping.is_gone()).ok_or_else(no_mapping)
    }

    /// The mappings of all regions: region, UUID, mapping.
    pub fn mappings(&self) -> impl Iterator<Item = (&String, &String, &Mapping)> {
        let all = self.mappings.iter();
        let all = all.flat_map(|(region, mappings)| mappings.iter().map(move |(uuid, one)| (region, uuid, one)));
        all.filter(|(.., mapping)| !mapping.is_gone())
    }
}

fn no_mapping() -> ApiError {
    error::not_found("The resource you requested does not exist.")
}

impl Lambda {
    pub(super) fn create_event_source_mapping(&self, call: &ServiceCall) -> Result<Response, ApiError> {
        let body: Map<String, Value> = call.request.json()?;
        let region = call.region().to_owned();
        let name = body.get("FunctionName").and_then(Value::as_str).ok_or_else(|| missing("functionName"))?;
        let reference = Reference::read(name, None, &region)?;
        let given = settings(&body, SETTINGS);
        let service = source_service(&given)?;
        let settings = with_defaults(&service, given);
        check(&service, &settings)?;
        let tags: BTreeMap<String, String> =
            body.get("Tags").and_then(|tags| serde_json::from_value(tags.clone()).ok()).unwrap_or_default();
        tags::check(&tags)?;
        let mut mapping = Mapping {
            function_arn: reference.arn(),
            settings,
            enabled: body.get("Enabled").and_then(Value::as_bool).unwrap_or(true),
            passing: String::new(),
            until: 0,
            modified: 0,
            tags,
            positions: BTreeMap::new(),
        };
        self.check_source(&reference, &mapping)?;
        mapping.pass("Creating", self.mapping_delay());
        let uuid = Uuid::new_v4().to_string();
        let configuration = mapping.configuration(&region, &uuid, None);
        self.registry.change(|state| {
            must_exist(state, &reference)?;
            let same = |other: &Mapping| {
                other.function_arn == mapping.function_arn
                    && other.source() == mapping.source()
                    && ["SelfManagedEventSource", "Topics", "Queues"]
                        .iter()
                        .all(|member| other.settings.get(*member) == mapping.settings.get(*member))
            };
            let all = state.mappings.entry(region.clone()).or_default();
            all.retain(|_, other| !other.is_gone());
            if let Some((other, _)) = all.iter().find(|(_, other)| same(other)) {
                return Err(taken(&service, mapping.source(), &reference.id, other));
            }
            all.insert(uuid.clone(), mapping);
            Ok(())
        })?;
        self.start_polling();
        Ok(Response::json(202, &configuration))
    }

    pub(super) fn get_event_source_mapping(&self, call: &ServiceCall) -> Result<Response, ApiError> {
        Ok(Response::json(200, &self.described(call.region(), call.id(0))?))
    }

    pub(super) fn list_event_source_mappings(&self, call: &ServiceCall) -> Result<Response, ApiError> {
        let query = |name: &str| call.request.query(name).filter(|value| !value.is_empty());
        let region = call.region();
        let function = query("FunctionName").map(|name| Reference::read(name, None, region)).transpose()?;
        let function = function.map(|reference| reference.arn());
        let source = query("EventSourceArn");
        let size = query("MaxItems").and_then(|size| size.parse().ok()).unwrap_or(PAGE).clamp(1, PAGE);
        let after = query("Marker").unwrap_or_default();
        let wanted = |(home, uuid, mapping): &(&String, &String, &Mapping)| {
            *home == region
                && function.as_ref().is_none_or(|function| mapping.function_arn == *function)
                && source.is_none_or(|source| mapping.source() == source)
                && uuid.as_str() > after
        };
        let found: Vec<String> = self
            .registry
            .read(|state| state.mappings().filter(wanted).map(|(_, uuid, _)| uuid.clone()).take(size + 1).collect());
        let page = found.iter().take(size).filter_map(|uuid| self.described(region, uuid).ok());
        let mut answer = json!({ "EventSourceMappings": page.collect::<Vec<_>>() });
        if found.len() > size {
            answer["NextMarker"] = found[size - 1].as_str().into();
        }
        Ok(Response::json(200, &answer))
    }

    pub(super) fn update_event_source_mapping(&self, call: &ServiceCall) -> Result<Response, ApiError> {
        let body: Map<String, Value> = call.request.json()?;
        let (region, uuid) = (call.region().to_owned(), call.id(0).to_owned());
        let name = body.get("FunctionName").and_then(Value::as_str);
        let reference = name.map(|name| Reference::read(name, None, &region)).transpose()?;
        let mut given = settings(&body, SETTINGS);
        given.retain(|member, _| !FIXED.contains(&member.as_str()));
        let delay = self.mapping_delay();
        self.registry.change(|state| {
            if let Some(reference) = &reference {
                must_exist(state, reference)?;
            }
            let mapping = state.mapping_mut(&region, &uuid)?;
            if mapping.passing_for().is_some() {
                return Err(in_use("update"));
            }
            let service = mapping.service().to_owned();
            let mut settings = mapping.settings.clone();
            for (member, value) in given {
                // What is empty takes it away.
                let is_empty = match &value {
                    Value::Object(members) => members.values().all(|value| value.as_array().is_some_and(Vec::is_empty)),
                    Value::String(text) => text.is_empty(),
                    _ => false,
                };
                if is_empty {
                    settings.shift_remove(&member)
                } else {
                    settings.insert(member, value)
                };
            }
            let settings = with_defaults(&service, settings);
            check(&service, &settings)?;
            mapping.settings = settings;
            if let Some(reference) = &reference {
                mapping.function_arn = reference.arn();
            }
            let enabled = body.get("Enabled").and_then(Value::as_bool).unwrap_or(mapping.enabled);
            let state = match (mapping.enabled, enabled) {
                (false, true) => "Enabling",
                (true, false) => "Disabling",
                _ => "Updating",
            };
            mapping.enabled = enabled;
            mapping.pass(state, delay);
            Ok(())
        })?;
        self.start_polling();
        Ok(Response::json(202, &self.described(&region, &uuid)?))
    }

    pub(super) fn delete_event_source_mapping(&self, call: &ServiceCall) -> Result<Response, ApiError> {
        let (region, uuid) = (call.region(), call.id(0));
        let delay = self.mapping_delay();
        let configuration = self.registry.change(|state| {
            let mapping = state.mapping_mut(region, uuid)?;
            if mapping.passing_for().is_some() {
                return Err(in_use("delete"));
            }
            mapping.pass("Deleting", delay);
            let mut configuration = mapping.configuration(region, uuid, None);
            // However short it takes, the first answer does not know the end.
            configuration["State"] = "Deleting".into();
            Ok(configuration)
        })?;
        self.start_polling();
        Ok(Response::json(202, &configuration))
    }

    fn described(&self, region: &str, uuid: &str) -> Result<Value, ApiError> {
        let last_result = self.pollers.last_result(region, uuid);
        self.registry.read(|state| Ok(state.mapping(region, uuid)?.configuration(region, uuid, last_result)))
    }

    fn mapping_delay(&self) -> i64 {
        i64::try_from(self.context.conditions.eventual.mapping_changing.as_millis()).unwrap_or(i64::MAX)
    }

    /// Looks whether a source is there and fits its function.
    fn check_source(&self, reference: &Reference, mapping: &Mapping) -> Result<(), ApiError> {
        let (role, timeout) = self.registry.read(|state| {
            let (_, _, version) = must_exist(state, reference)?;
            let settings = &version.deployment.settings;
            Ok::<_, ApiError>((settings.role.clone(), settings.timeout))
        })?;
        let service = mapping.service();
        let Some(source) = self.pollers.source(service) else {
            tracing::warn!(
                "an event source mapping of {service} is kept and never polled: the local cloud has no {service}"
            );
            return Ok(());
        };
        source.check(mapping.source(), timeout).map_err(error::invalid)?;
        match self.refused_to(&role, &reference.id.region, mapping.source(), source.actions()) {
            Some(action) => Err(error::invalid(not_permitted(service, mapping.source(), &action))),
            None => Ok(()),
        }
    }

    /// The first action on a source that a role's policies do not allow, where they are checked.
    pub(super) fn refused_to(&self, role: &str, region: &str, source: &str, actions: &[&str]) -> Option<String> {
        let needs: Vec<Need> = actions.iter().map(|action| Need::new(*action, source)).collect();
        self.roles.refused(role, region, &needs).map(|need| need.action.clone())
    }
}

/// How Lambda says that a function's role may not read its source (recorded answers: LocalStack's and Terraform's tests).
pub(super) fn not_permitted(service: &str, source: &str, action: &str) -> String {
    let action = action.split_once(':').map_or(action, |(_, name)| name);
    match service {
        "sqs" => format!("The function execution role does not have permissions to call {action} on SQS"),
        _ => format!(
            "Cannot access stream {source}. Please ensure the role can perform the {action} Action on your stream in IAM."
        ),
    }
}

/// The version that a mapping invokes.
fn must_exist<'a>(
    state: &'a State,
    reference: &Reference,
) -> Result<(&'a super::state::Function, String, &'a super::state::Version), ApiError> {
    state.version(reference).map_err(|_| error::invalid("Function does not exist"))
}

/// The members of a request that are settings.
fn settings(body: &Map<String, Value>, members: &[&str]) -> Map<String, Value> {
    let given = body.iter().filter(|(member, value)| members.contains(&member.as_str()) && !value.is_null());
    given.map(|(member, value)| (member.clone(), value.clone())).collect()
}

/// The service of a source in a request.
fn source_service(settings: &Map<String, Value>) -> Result<String, ApiError> {
    if settings.contains_key("SelfManagedEventSource") {
        return Ok("kafka".to_owned());
    }
    let arn = settings.get("EventSourceArn").and_then(Value::as_str).unwrap_or_default();
    let service = service_of(arn);
    if !["docdb", "dynamodb", "kafka", "kinesis", "mq", "rds", "sqs"].contains(&service) {
        return Err(error::invalid("Unrecognized event source."));
    }
    Ok(service.to_owned())
}

/// The settings with Lambda's defaults for its source (API reference; recorded answers in LocalStack's snapshots).
fn with_defaults(service: &str, mut settings: Map<String, Value>) -> Map<String, Value> {
    let mut default = |member: &str, value: Value| {
        settings.entry(member.to_owned()).or_insert(value);
    };
    default("BatchSize", json!(if service == "sqs" { 10 } else { 100 }));
    if service == "sqs" || is_stream(service) {
        default("MaximumBatchingWindowInSeconds", json!(0));
        default("FunctionResponseTypes", json!([]));
    }
    if is_stream(service) {
        default("BisectBatchOnFunctionError", json!(false));
        default("DestinationConfig", json!({ "OnFailure": {} }));
        default("MaximumRecordAgeInSeconds", json!(-1));
        default("MaximumRetryAttempts", json!(-1));
        default("ParallelizationFactor", json!(1));
        default("TumblingWindowInSeconds", json!(0));
    }
    settings
}

/// Checks settings as Lambda does.
fn check(service: &str, settings: &Map<String, Value>) -> Result<(), ApiError> {
    let mut broken = Vec::new();
    for (member, least, most) in RANGES {
        let Some(value) = settings.get(*member) else { continue };
        let value = value.as_i64().ok_or_else(|| wrong_type(member))?;
        let lower = member[..1].to_lowercase() + &member[1..];
        if value < *least {
            let rule = format!("Member must have value greater than or equal to {least}");
            broken.push(error::constraint(&value.to_string(), &lower, &rule));
        } else if value > *most {
            let rule = format!("Member must have value less than or equal to {most}");
            broken.push(error::constraint(&value.to_string(), &lower, &rule));
        }
    }
    if !broken.is_empty() {
        return Err(error::validation(&broken));
    }
    let number = |member: &str| settings.get(member).and_then(Value::as_i64).unwrap_or_default();
    if service == "sqs" {
        let is_fifo =
            settings.get("EventSourceArn").and_then(Value::as_str).is_some_and(|source| source.ends_with(".fifo"));
        if is_fifo && number("BatchSize") > 10 {
            return Err(error::invalid(
                "1 validation error detected: BatchSize must be less than or equal to 10 for FIFO queues.",
            ));
        }
        if is_fifo && number("MaximumBatchingWindowInSeconds") > 0 {
            return Err(error::invalid("Batching window is not supported for FIFO queues."));
        }
        if number("BatchSize") > 10 && number("MaximumBatchingWindowInSeconds") == 0 {
            return Err(error::invalid(
                "Maximum batch window in seconds must be greater than 0 if maximum batch size is greater than 10",
            ));
        }
        let of_streams = [
            "BisectBatchOnFunctionError",
            "DestinationConfig",
            "MaximumRecordAgeInSeconds",
            "MaximumRetryAttempts",
            "ParallelizationFactor",
            "StartingPosition",
        ];
        if let Some(member) = of_streams.into_iter().find(|member| settings.contains_key(*member)) {
            return Err(error::invalid(format!("Unsupported {member} parameter for given event source mapping type.")));
        }
    }
    if is_stream(service) {
        if number("TumblingWindowInSeconds") > 0 {
            return Err(error::invalid("The local cloud has no tumbling windows (TumblingWindowInSeconds)."));
        }
        let position = settings.get("StartingPosition").and_then(Value::as_str);
        let rule = "Member must satisfy enum value set: [LATEST, AT_TIMESTAMP, TRIM_HORIZON]";
        match position {
            None => {
                return Err(error::invalid(
                    "1 validation error detected: Value null at 'startingPosition' failed to satisfy constraint: \
                     Member must not be null.",
                ));
            }
            Some("LATEST" | "TRIM_HORIZON") => {}
            Some("AT_TIMESTAMP") if service == "kinesis" => {}
            Some("AT_TIMESTAMP") => {
                let source = settings.get("EventSourceArn").and_then(Value::as_str).unwrap_or_default();
                return Err(error::invalid(format!("Unsupported starting position for arn type: {source}")));
            }
            Some(other) => return Err(error::validation(&[error::constraint(other, "startingPosition", rule)])),
        }
    }
    if settings.get("DestinationConfig").is_some_and(|config| config.get("OnSuccess").is_some()) {
        return Err(error::invalid("Unsupported DestinationConfig parameter for given event source mapping type."));
    }
    let filters = settings.get("FilterCriteria").and_then(|criteria| criteria["Filters"].as_array());
    let is_pattern = |filter: &Value| filter["Pattern"].as_str().is_some_and(|text| EventPattern::read(text).is_ok());
    if !filters.into_iter().flatten().all(is_pattern) {
        return Err(error::invalid("Invalid filter pattern definition."));
    }
    Ok(())
}

fn wrong_type(member: &str) -> ApiError {
    ApiError::new(400, "SerializationException", format!("{member} is not a whole number"))
}

fn missing(member: &str) -> ApiError {
    error::validation(&[format!("Value null at '{member}' failed to satisfy constraint: Member must not be null")])
}

/// 400, for a mapping in a transient state.
fn in_use(what: &str) -> ApiError {
    let message = format!("Cannot {what} the event source mapping because it is in use.");
    ApiError::new(400, "ResourceInUseException", message.clone()).with("Type", "User").with("Message", message)
}

/// 409, for a source and a function that have a mapping.
fn taken(service: &str, source: &str, function: &FunctionId, uuid: &str) -> ApiError {
    let name = &function.name;
    let update = format!("Please update or delete the existing mapping with UUID {uuid}");
    error::conflict(match service {
        "sqs" => {
            format!(
                "An event source mapping with SQS arn (\" {source} \") and function (\" {name} \") already exists. {update}"
            )
        }
        _ => format!(
            "The event source arn (\" {source} \") and function (\" {name} \") provided already exists. {update}"
        ),
    })
}
