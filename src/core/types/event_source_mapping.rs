//! `AWS::Lambda::EventSourceMapping`: Lambda polls a queue, a stream or a broker, and invokes a function with what it finds there.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use super::constraints::{self, Refusal};
use super::iam_permissions::{ANY, Permissions, Subject};
use super::tags::Tags;
use super::{
    Action, Attribute, Desired, Kind, Live, Names, PlanView, ResourceView, StackView, StepEffects, StepView, function,
    names, table, tags, to_value,
};
use crate::core::events::pattern::EventPattern;
use crate::core::words::{Path, Problem, ProblemKind, Scope, Token, deserialize};

pub const TYPE: &str = "AWS::Lambda::EventSourceMapping";

/// The type of the sources whose properties are looked at.
const QUEUE: &str = "AWS::SQS::Queue";

/// An event source mapping. Its physical id is the UUID that Lambda mints.
pub struct EventSourceMapping;

#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct Props {
    /// `NAME` or `NAME:QUALIFIER`.
    #[serde(deserialize_with = "function_of")]
    pub(crate) function_name: String,
    pub(crate) event_source_arn: Option<String>,
    pub(crate) enabled: Option<bool>,
    pub(crate) batch_size: Option<i32>,
    pub(crate) maximum_batching_window_in_seconds: Option<i32>,
    pub(crate) parallelization_factor: Option<i32>,
    pub(crate) starting_position: Option<String>,
    /// Seconds since the epoch.
    pub(crate) starting_position_timestamp: Option<f64>,
    pub(crate) maximum_record_age_in_seconds: Option<i32>,
    pub(crate) bisect_batch_on_function_error: Option<bool>,
    pub(crate) maximum_retry_attempts: Option<i32>,
    pub(crate) tumbling_window_in_seconds: Option<i32>,
    pub(crate) function_response_types: Option<Vec<String>>,
    pub(crate) filter_criteria: Option<FilterCriteria>,
    pub(crate) destination_config: Option<DestinationConfig>,
    pub(crate) scaling_config: Option<ScalingConfig>,
    pub(crate) provisioned_poller_config: Option<ProvisionedPollerConfig>,
    pub(crate) metrics_config: Option<MetricsConfig>,
    pub(crate) logging_config: Option<LoggingConfig>,
    pub(crate) kms_key_arn: Option<String>,
    pub(crate) topics: Option<Vec<String>>,
    pub(crate) queues: Option<Vec<String>>,
    pub(crate) source_access_configurations: Option<Vec<SourceAccess>>,
    pub(crate) self_managed_event_source: Option<SelfManagedEventSource>,
    pub(crate) amazon_managed_kafka_event_source_config: Option<KafkaConfig>,
    pub(crate) self_managed_kafka_event_source_config: Option<SelfManagedKafkaConfig>,
    #[serde(rename = "DocumentDBEventSourceConfig")]
    pub(crate) document_db_event_source_config: Option<DocumentDbConfig>,
    #[serde(default, deserialize_with = "tags::deserialize")]
    pub(crate) tags: Tags,
}

#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct FilterCriteria {
    pub(crate) filters: Option<Vec<Filter>>,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct Filter {
    pub(crate) pattern: Option<String>,
}

#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct DestinationConfig {
    pub(crate) on_failure: Option<OnFailure>,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct OnFailure {
    pub(crate) destination: Option<String>,
}

#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct ScalingConfig {
    pub(crate) maximum_concurrency: Option<i32>,
}

#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct ProvisionedPollerConfig {
    pub(crate) minimum_pollers: Option<i32>,
    pub(crate) maximum_pollers: Option<i32>,
    pub(crate) poller_group_name: Option<String>,
}

#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct MetricsConfig {
    pub(crate) metrics: Option<Vec<String>>,
}

#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct LoggingConfig {
    pub(crate) system_log_level: Option<String>,
}

#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub(crate) struct SourceAccess {
    #[serde(rename = "Type")]
    pub(crate) kind: Option<String>,
    #[serde(rename = "URI")]
    pub(crate) uri: Option<String>,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct SelfManagedEventSource {
    pub(crate) endpoints: Option<Endpoints>,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct Endpoints {
    pub(crate) kafka_bootstrap_servers: Option<Vec<String>>,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct KafkaConfig {
    pub(crate) consumer_group_id: Option<String>,
    pub(crate) schema_registry_config: Option<SchemaRegistry>,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct SelfManagedKafkaConfig {
    pub(crate) consumer_group_id: Option<String>,
    pub(crate) consumption_mode: Option<String>,
    pub(crate) schema_registry_config: Option<SchemaRegistry>,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct SchemaRegistry {
    #[serde(rename = "SchemaRegistryURI")]
    pub(crate) uri: Option<String>,
    pub(crate) event_record_format: Option<String>,
    pub(crate) access_configs: Option<Vec<SourceAccess>>,
    pub(crate) schema_validation_configs: Option<Vec<SchemaValidation>>,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct SchemaValidation {
    pub(crate) attribute: Option<String>,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct DocumentDbConfig {
    pub(crate) database_name: Option<String>,
    pub(crate) collection_name: Option<String>,
    pub(crate) full_document: Option<String>,
}

impl Props {
    /// Properties in one spelling: what is a set is sorted, and what is empty is left out.
    pub(crate) fn settle(&mut self) {
        if let Some(access) = &mut self.source_access_configurations {
            access.sort();
        }
        if self.function_response_types.as_ref().is_some_and(Vec::is_empty) {
            self.function_response_types = None;
        }
        if self.filter_criteria.as_ref().is_some_and(|criteria| criteria.filters.iter().flatten().next().is_none()) {
            self.filter_criteria = None;
        }
        let destination = self.destination_config.as_ref().and_then(|config| config.on_failure.as_ref());
        if destination.is_none_or(|failure| failure.destination.is_none()) {
            self.destination_config = None;
        }
        if self.scaling_config == Some(ScalingConfig::default()) {
            self.scaling_config = None;
        }
        if self.provisioned_poller_config == Some(ProvisionedPollerConfig::default()) {
            self.provisioned_poller_config = None;
        }
        if self.metrics_config.as_ref().is_some_and(|config| config.metrics.iter().flatten().next().is_none()) {
            self.metrics_config = None;
        }
        if self.logging_config == Some(LoggingConfig::default()) {
            self.logging_config = None;
        }
        if self.kms_key_arn.as_deref() == Some("") {
            self.kms_key_arn = None;
        }
    }

    /// The service of the source: `sqs`, `dynamodb`, `kinesis`, `kafka`, `mq`, `rds`; empty for a broker outside of AWS.
    pub(crate) fn service(&self) -> &str {
        service_of(self.event_source_arn.as_deref().unwrap_or_default())
    }
}

/// The service in an ARN.
fn service_of(arn: &str) -> &str {
    arn.split(':').nth(2).unwrap_or_default()
}

/// Whether a service's records are in order, so that a batch that fails holds up what comes after it.
fn is_stream(service: &str) -> bool {
    ["dynamodb", "kinesis"].contains(&service)
}

/// What Lambda sets where a template says nothing (API reference, `CreateEventSourceMapping`; it reports these).
pub(crate) fn default_of(service: &str, property: &str) -> Option<Value> {
    Some(match property {
        "Enabled" => json!(true),
        "BatchSize" => json!(if service == "sqs" { 10 } else { 100 }),
        "MaximumBatchingWindowInSeconds" => json!(0),
        "ParallelizationFactor" if is_stream(service) => json!(1),
        "MaximumRecordAgeInSeconds" | "MaximumRetryAttempts" => json!(-1),
        "BisectBatchOnFunctionError" => json!(false),
        "TumblingWindowInSeconds" => json!(0),
        _ => return None,
    })
}

/// What Lambda mints where a template does not give it: a consumer group's id, for one.
const MINTED: &[&str] =
    &["AmazonManagedKafkaEventSourceConfig", "SelfManagedKafkaEventSourceConfig", "ProvisionedPollerConfig"];

/// Reads what calls a function as its name, with the version or alias where one is named.
fn function_of<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<String, D::Error> {
    let text = String::deserialize(deserializer)?;
    Ok(function_in(&text))
}

/// `NAME` or `NAME:QUALIFIER` of a name or an ARN.
pub(crate) fn function_in(text: &str) -> String {
    match function::name_and_qualifier(text) {
        (name, Some(qualifier)) if qualifier != "$LATEST" => format!("{name}:{qualifier}"),
        (name, _) => name.to_owned(),
    }
}

/// The problem of a mapping of a table's stream where the table has none (DynamoDB: `StreamArn` is there with a stream alone).
fn without_stream(mapping: &ResourceView<'_>, stack: &dyn StackView) -> Option<Problem> {
    let streams =
        Token::find(mapping.text("EventSourceArn")).into_iter().filter(|token| token.attribute == "StreamArn");
    let table = streams.filter_map(|token| stack.get(&token.logical_id).map(|table| (token.logical_id, table)));
    let (id, _) = table.into_iter().find(|(_, table)| {
        table.kind.type_name() == names::TABLE && table.properties.get(table::STREAM).is_none_or(Value::is_null)
    })?;
    let what = format!("the table {id} has no stream");
    let help = format!("give {id} a stream: StreamSpecification: {{ StreamViewType: NEW_AND_OLD_IMAGES }}");
    Some(Problem::new(mapping.path_of("EventSourceArn"), what).help(help))
}

/// The problems of mappings whose source is mapped to the same function already: Lambda answers `ResourceConflictException`.
fn mapped_twice(stack: &dyn StackView) -> Vec<Problem> {
    let mut seen: BTreeMap<(&str, &str), &str> = BTreeMap::new();
    let mut problems = Vec::new();
    for mapping in stack.of(TYPE) {
        let (function, source) = (mapping.text("FunctionName"), mapping.text("EventSourceArn"));
        // A broker's topics and queues are mapped one by one.
        let has_parts = ["Topics", "Queues"].iter().any(|parts| mapping.properties.get(parts).is_some());
        if function.is_empty() || source.is_empty() || has_parts {
            continue;
        }
        if let Some(first) = seen.insert((function, source), mapping.logical_id) {
            let what = format!("{first} maps this source to this function already");
            let problem = Problem::new(mapping.path_of("EventSourceArn"), what).kind(ProblemKind::Duplicate);
            problems.push(problem.help("remove one of the two"));
        }
    }
    problems
}

impl Kind for EventSourceMapping {
    fn type_name(&self) -> &'static str {
        TYPE
    }

    fn noun(&self) -> &'static str {
        "event source mapping"
    }

    fn described(&self, live: &Live, names: &dyn Names) -> Option<String> {
        let function = function::logical_id(names, live.properties["FunctionName"].as_str()?);
        let source = live.properties["EventSourceArn"].as_str()?.rsplit([':', '/']).next()?;
        Some(format!("event source mapping of {source} to {function}"))
    }

    fn canonical(&self, properties: &Value) -> Result<Value, Vec<Problem>> {
        let mut props: Props = deserialize::read(properties)?;
        props.settle();
        Ok(to_value(&props))
    }

    fn refuses(&self, properties: &Value) -> Vec<Refusal> {
        let mut refusals = constraints::check(TYPE, properties);
        let mut refuse = |path: Path, what: String, help: &str| {
            refusals.push(Problem::new(path, what).help(help).into());
        };
        let below = |property: &str| Path::default().key(property);
        let filters = properties["FilterCriteria"]["Filters"].as_array().into_iter().flatten();
        for (index, filter) in filters.enumerate() {
            let Some(text) = filter["Pattern"].as_str().filter(|text| !Token::is_in(text)) else { continue };
            if let Err(why) = EventPattern::read(text) {
                let path = below("FilterCriteria").key("Filters").index(index).key("Pattern");
                refuse(
                    path,
                    format!("the pattern is none: {why}"),
                    "its leaves are lists: {\"body\": {\"kind\": [\"chat\"]}}",
                );
            }
        }
        let source = properties["EventSourceArn"].as_str().unwrap_or_default();
        let (service, is_fifo) = (service_of(source), source.ends_with(".fifo"));
        let number = |property: &str| match &properties[property] {
            Value::String(text) => text.parse().unwrap_or_default(),
            other => other.as_i64().unwrap_or_default(),
        };
        if service == "sqs" && number("BatchSize") > 10 && (is_fifo || number("MaximumBatchingWindowInSeconds") == 0) {
            let help = if is_fifo { "a FIFO queue's have 10 at most" } else { "set MaximumBatchingWindowInSeconds" };
            refuse(
                below("BatchSize"),
                "Lambda takes more than 10 messages only where it may wait for them".to_owned(),
                help,
            );
        }
        if is_stream(service) && properties["StartingPosition"].is_null() {
            let problem = Problem::new(Path::default(), format!("missing property \"StartingPosition\" of {TYPE}"))
                .kind(ProblemKind::Missing)
                .help("LATEST, or TRIM_HORIZON for what the stream has already");
            refusals.push(Refusal { problem, missing: true });
        }
        refusals
    }

    /// Lambda refuses a queue whose messages come back before the function can be through with them.
    fn conflicts(&self, stack: &dyn StackView) -> Vec<Problem> {
        let too_short = |mapping: ResourceView<'_>| {
            let (function, _) = function::name_and_qualifier(mapping.text("FunctionName"));
            let function = stack.of(names::FUNCTION).find(|one| one.name == Some(function))?;
            let source = mapping.text("EventSourceArn").rsplit(':').next().filter(|name| !name.is_empty())?;
            let queue = stack.of(QUEUE).find(|one| one.name == Some(source))?;
            let visibility = queue.properties["VisibilityTimeout"].as_i64().unwrap_or(30);
            let timeout = function.properties["Timeout"].as_i64()?;
            let path = match queue.properties.get("VisibilityTimeout") {
                Some(_) => queue.path_of("VisibilityTimeout"),
                None => queue.path(),
            };
            let what = format!(
                "the visibility timeout of {} ({visibility} s) is less than the timeout of {} ({timeout} s), which Lambda refuses",
                queue.logical_id, function.logical_id
            );
            let help = format!("AWS recommends six times the function's timeout: VisibilityTimeout: {}", timeout * 6);
            (visibility < timeout).then(|| Problem::new(path, what).help(help))
        };
        let mut problems: Vec<Problem> = stack.of(TYPE).filter_map(too_short).collect();
        problems.extend(stack.of(TYPE).filter_map(|mapping| without_stream(&mapping, stack)));
        problems.extend(mapped_twice(stack));
        problems
    }

    fn create_only(&self) -> &'static [&'static str] {
        &[
            "EventSourceArn",
            "StartingPosition",
            "StartingPositionTimestamp",
            "SelfManagedEventSource",
            "Topics",
            "Queues",
        ]
    }

    /// Lambda reports the position as it was asked for, but not for every source.
    fn is_compared(&self, property: &str, exists: bool) -> bool {
        !exists || !property.starts_with("StartingPositionTimestamp")
    }

    fn seen_as(&self, live: &Value, desired: &Value) -> Option<Value> {
        let service = service_of(live["EventSourceArn"].as_str().unwrap_or_default());
        let mut seen: Map<String, Value> = live.as_object()?.clone();
        seen.retain(|property, value| {
            let is_default = default_of(service, property).as_ref() == Some(value);
            desired.get(property).is_some() || !(is_default || MINTED.contains(&property.as_str()))
        });
        for (property, wanted) in desired.as_object().into_iter().flatten() {
            // Not every source has every setting, and those that it has not are not reported.
            let is_default = default_of(service, property).as_ref() == Some(wanted);
            if is_default && !seen.contains_key(property) {
                seen.insert(property.clone(), wanted.clone());
            }
            if let Some(within) = seen.get_mut(property).filter(|_| MINTED.contains(&property.as_str())) {
                *within = stated(within, wanted);
            }
        }
        Some(Value::Object(seen))
    }

    fn hard(&self) -> &'static [&'static str] {
        &["EventSourceArn", "FunctionName", "DestinationConfig"]
    }

    fn attribute(&self, _: &Scope, _: Option<&str>, attribute: Option<&str>) -> Attribute {
        match attribute {
            None => Attribute::Minted,
            Some("Id") => Attribute::Ref,
            Some("EventSourceMappingArn") => Attribute::Minted,
            Some(_) => Attribute::Unknown(&["EventSourceMappingArn", "Id"]),
        }
    }

    fn taggable(&self) -> bool {
        true
    }

    /// Lambda takes one mapping for a source and a function. A mapping that is given another function stays the same one.
    fn is(&self, desired: &Desired, live: &Live) -> bool {
        let same = |property: &str| desired.properties[property] == live.properties[property];
        let is_same_source = ["EventSourceArn", "SelfManagedEventSource", "Topics", "Queues"].into_iter().all(same);
        is_same_source && (same("FunctionName") || live.logical_id.as_deref() == Some(&desired.logical_id))
    }

    fn agrees_in(&self) -> &'static [&'static str] {
        &["EventSourceArn"]
    }

    fn choose(&self, desired: &Desired, fitting: &[&Live], _: &dyn super::Planning) -> usize {
        // One for the same function cannot be made a second time.
        let same = |live: &&Live| live.properties["FunctionName"] == desired.properties["FunctionName"];
        fitting.iter().position(same).unwrap_or(0)
    }

    fn deleted_before(&self) -> &'static [&'static str] {
        // What it polls and what it invokes.
        &[names::FUNCTION, names::ALIAS, names::VERSION, names::TABLE]
    }

    fn effects(&self, step: &StepView<'_>, plan: &dyn PlanView) -> StepEffects {
        let source = source_name(step.live_text("EventSourceArn"));
        match step.action {
            Action::Delete if !plan.has_successor(step) => {
                StepEffects::interrupted(format!("what arrives in {source} invokes nothing any more"))
            }
            Action::Replace => {
                StepEffects::interrupted(format!("what arrives in {source} waits until it exists again"))
            }
            _ => StepEffects::default(),
        }
    }

    fn permissions(&self, it: &Subject<'_>, permissions: &mut Permissions) {
        // (Service Authorization Reference, "AWS Lambda".) Lists have no resource; a new mapping's UUID is not known.
        permissions.allow("lambda", &["ListEventSourceMappings"], ANY);
        let id = it.physical_id.filter(|_| !it.creates).unwrap_or(ANY);
        let arn = it.scope.arn("lambda", &format!("event-source-mapping:{id}"));
        let mut allow = |actions: &[&str]| permissions.allow("lambda", actions, arn.as_str());
        allow(&["ListTags"]);
        if it.creates {
            allow(&["GetEventSourceMapping", "TagResource", "DeleteEventSourceMapping"]);
            permissions.allow("lambda", &["CreateEventSourceMapping"], ANY);
            return;
        }
        if it.updates || it.deletes {
            allow(&["GetEventSourceMapping"]);
        }
        if it.deletes {
            allow(&["DeleteEventSourceMapping"]);
        }
        if it.changes_other_than(&["Tags"]) {
            allow(&["UpdateEventSourceMapping"]);
        }
        if it.changes(&["Tags"]) {
            allow(&["TagResource", "UntagResource"]);
        }
    }

    fn permissions_to_import(&self, it: &Subject<'_>, _: bool, permissions: &mut Permissions) {
        let arn = it.scope.arn("lambda", &format!("event-source-mapping:{}", it.name()));
        permissions.allow("lambda", &["GetEventSourceMapping"], arn);
    }
}

/// Of a live value what is stated in `wanted`.
fn stated(live: &Value, wanted: &Value) -> Value {
    match (live, wanted) {
        (Value::Object(live), Value::Object(wanted)) => {
            let both = wanted.iter().filter_map(|(name, wanted)| Some((name.clone(), stated(live.get(name)?, wanted))));
            Value::Object(both.collect())
        }
        (live, _) => live.clone(),
    }
}

/// The resource's ARN in an answer of the Resource Groups Tagging API, as its UUID.
pub(crate) fn uuid_in(arn: &str) -> Option<&str> {
    arn.rsplit_once(":event-source-mapping:").map(|(_, uuid)| uuid)
}

/// The name of a mapping's source: the queue's, or the table's whose stream it is (`...:table/NAME/stream/TIME`).
fn source_name(arn: &str) -> &str {
    let resource = arn.rsplit(':').next().unwrap_or_default();
    // The time of a table's stream has colons.
    match arn.split_once(":table/") {
        Some((_, table)) => table.split('/').next().unwrap_or_default(),
        None => resource.rsplit('/').next().unwrap_or_default(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const QUEUE: &str = "arn:aws:sqs:eu-west-1:123456789012:q";

    #[test]
    fn a_source_is_called_by_its_name() {
        let stream = "arn:aws:dynamodb:eu-west-1:1:table/Rows/stream/2026-11-29T10:00:00.123";
        for (arn, name) in [(QUEUE, "q"), (stream, "Rows"), ("arn:aws:kinesis:eu-west-1:1:stream/s", "s")] {
            assert_eq!(source_name(arn), name);
        }
    }

    fn canonical(properties: Value) -> Value {
        EventSourceMapping.canonical(&properties).unwrap()
    }

    fn live(logical_id: Option<&str>, properties: Value) -> Live {
        Live { logical_id: logical_id.map(str::to_owned), ..Live::new(TYPE, "uuid", canonical(properties)) }
    }

    fn desired(logical_id: &str, properties: Value) -> Desired {
        Desired { logical_id: logical_id.to_owned(), name: None, properties: canonical(properties), code: None }
    }

    #[test]
    fn functions_are_known_by_name_and_qualifier() {
        for (given, expected) in [
            ("f", "f"),
            ("f:live", "f:live"),
            ("f:$LATEST", "f"),
            ("arn:aws:lambda:eu-west-1:123456789012:function:f", "f"),
            ("arn:aws:lambda:eu-west-1:123456789012:function:f:3", "f:3"),
        ] {
            assert_eq!(canonical(json!({ "FunctionName": given }))["FunctionName"], expected, "{given}");
        }
    }

    #[test]
    fn what_lambda_sets_by_itself_is_no_drift() {
        let reported = json!({
            "FunctionName": "f", "EventSourceArn": QUEUE, "Enabled": true, "BatchSize": 10,
            "MaximumBatchingWindowInSeconds": 0, "FunctionResponseTypes": [],
        });
        let reported = canonical(reported);
        for wanted in [
            json!({ "FunctionName": "f", "EventSourceArn": QUEUE }),
            json!({ "FunctionName": "f", "EventSourceArn": QUEUE, "BatchSize": 10, "Enabled": true }),
            json!({ "FunctionName": "f", "EventSourceArn": QUEUE, "TumblingWindowInSeconds": 0, "ScalingConfig": {} }),
        ] {
            let wanted = canonical(wanted);
            assert_eq!(EventSourceMapping.seen_as(&reported, &wanted), Some(wanted));
        }
        let changed = canonical(json!({ "FunctionName": "f", "EventSourceArn": QUEUE, "BatchSize": 7 }));
        let wanted = canonical(json!({ "FunctionName": "f", "EventSourceArn": QUEUE }));
        let seen = EventSourceMapping.seen_as(&changed, &wanted).unwrap();
        assert_eq!(seen["BatchSize"], 7, "what the template does not state any more goes back to the default");
    }

    #[test]
    fn a_mapping_is_known_by_its_source_and_function_or_logical_id() {
        let mapping = |source: &str, function: &str| json!({ "FunctionName": function, "EventSourceArn": source });
        let is = |desired: &Desired, live: &Live| EventSourceMapping.is(desired, live);
        let wanted = desired("M", mapping(QUEUE, "f"));
        assert!(is(&wanted, &live(None, mapping(QUEUE, "f"))), "Lambda refuses a second one");
        assert!(is(&wanted, &live(Some("Old"), mapping(QUEUE, "f"))), "renamed in the template");
        assert!(is(&wanted, &live(Some("M"), mapping(QUEUE, "g"))), "another function now");
        assert!(!is(&wanted, &live(Some("Other"), mapping(QUEUE, "g"))));
        assert!(!is(&wanted, &live(Some("M"), mapping(&format!("{QUEUE}2"), "f"))), "another source: create-only");
    }
}
