//! Event source mappings: what Lambda polls, and for which function. `poller` does the polling.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};
use uuid::Uuid;

use super::Lambda;
use super::error;
use super::mapping::{Mapping, is_stream, service_of};
use super::name::{FunctionId, Reference};
use super::state::State;
use super::tags;
use crate::core::events::pattern::EventPattern;
use crate::core::iam::need::Need;
use crate::local::protocol::service::ServiceCall;
use crate::local::protocol::wire::{ApiError, Response};

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
        let enabled = body.get("Enabled").and_then(Value::as_bool).unwrap_or(true);
        let mut mapping = Mapping::new(&reference.arn(), settings, enabled, tags);
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
        if let Some(reference) = &reference {
            let mapping = self.registry.read(|state| state.mapping(&region, &uuid).cloned())?;
            self.check_source(reference, &mapping)?;
        }
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
