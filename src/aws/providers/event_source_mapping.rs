//! Reads and writes `AWS::Lambda::EventSourceMapping`.

use std::collections::BTreeMap;
use std::time::Duration;

use async_trait::async_trait;
use aws_sdk_lambda::operation::create_event_source_mapping::builders::CreateEventSourceMappingFluentBuilder;
use aws_sdk_lambda::types as sdk;
use aws_smithy_types::DateTime;
use futures_util::future::try_join_all;
use futures_util::{StreamExt, TryStreamExt, stream};
use tokio::time::Instant;

use super::tagged::to_ask;
use super::{Context, Discovery, Provider, ResourceError, Search, gone_is_fine, pages, wait};
use crate::aws::client::{Aws, AwsCall, CallError, Meaning};
use crate::core::types::event_source_mapping::{
    DestinationConfig, DocumentDbConfig, Endpoints, EventSourceMapping, Filter, FilterCriteria, KafkaConfig,
    LoggingConfig, MetricsConfig, OnFailure, Props, ProvisionedPollerConfig, ScalingConfig, SchemaRegistry,
    SchemaValidation, SelfManagedEventSource, SelfManagedKafkaConfig, SourceAccess, TYPE, default_of, function_in,
    uuid_in,
};
use crate::core::types::tags::Tags;
use crate::core::types::{Created, Desired, Health, Kind, Live, Owner, function, tags, to_value};
use crate::core::words::Scope;

/// How long Lambda's word that the function's role may not read the source is doubted: a policy that this run attached
/// is known everywhere only after seconds.
const PATIENCE: Duration = Duration::from_secs(60);

#[async_trait]
impl Provider for EventSourceMapping {
    async fn list(&self, aws: &Aws, discovery: &Discovery, _: &[Live]) -> Result<Vec<Live>, ResourceError> {
        let tagged = discovery.tagged(aws).await.ok();
        let search = discovery.wait().await;
        let known = tagged.map(|tagged| tagged.all.iter().filter_map(|(arn, _)| uuid_in(arn)).collect::<Vec<_>>());
        let is_known = |uuid: &str| known.as_ref().is_some_and(|known| known.contains(&uuid));
        // Most stacks have none, and their readings need not ask: the tags say so where the template does not.
        let may_have = match &known {
            Some(known) => !known.is_empty(),
            None => search.names.is_empty(),
        };
        if !may_have && !search.names.contains_key(TYPE) {
            return Ok(Vec::new());
        }
        // The tags of those that are known are asked for in the same round trip.
        let uuids =
            known.iter().flatten().map(|uuid| async move { Ok::<_, CallError>((*uuid, tags_of(aws, uuid).await?)) });
        let (found, known_tags) = tokio::join!(describe(aws, None, None), try_join_all(uuids));
        let found = match found {
            Ok(found) => found,
            // Who may not list them has not made any.
            Err(error) if error.is(Meaning::Denied) && !search.names.contains_key(TYPE) => return Ok(Vec::new()),
            Err(error) => return Err(error.into()),
        };
        let known_tags: BTreeMap<&str, Option<Tags>> = known_tags?.into_iter().collect();
        let known_tags = &known_tags;
        let functions: BTreeMap<String, String> = found.iter().map(|one| (uuid_of(one), function_of(one))).collect();
        let likely = |uuid: &str| {
            let name = functions.get(uuid).map_or("", |function| function::name_and_qualifier(function).0);
            is_known(uuid)
                || search.includes(function::TYPE, name)
                || search.functions.contains(name)
                || function::is_generated_name(aws.scope(), name)
        };
        let uuids: Vec<String> = functions.keys().cloned().collect();
        let asked = to_ask(&uuids, tagged, likely);
        stream::iter(found.into_iter().filter(|one| asked.contains(&uuid_of(one))).collect::<Vec<_>>())
            .map(|one| async move {
                match known_tags.get(uuid_of(&one).as_str()) {
                    Some(tags) => Ok(tags.clone().map(|tags| described(aws, one, tags))),
                    None => live(aws, one, likely).await,
                }
            })
            .buffer_unordered(8)
            .try_filter_map(|found| async move { Ok(found) })
            .try_collect()
            .await
    }

    fn settle_reading(&self, found: &mut Vec<Live>, _: &Scope, search: &Search) {
        // Others' mappings stand in the way only of those of the template: of the same source and function.
        let in_template = search.names.contains_key(TYPE);
        found.retain(|live| live.type_name != TYPE || live.owner == Owner::Stack || in_template);
    }

    async fn find(&self, cx: Context<'_>, desired: &Desired) -> Result<Option<Live>, ResourceError> {
        let props: Props = desired.read()?;
        for one in alike(cx.aws, &props).await? {
            if let Some(live) = live(cx.aws, one, |_| true).await?
                && !live.is_being_deleted()
                && self.is(desired, &live)
            {
                return Ok(Some(live));
            }
        }
        Ok(None)
    }

    async fn create(&self, cx: Context<'_>, desired: &Desired) -> Result<Created, ResourceError> {
        let aws = cx.aws;
        let props: Props = desired.read()?;
        let request = creation(aws, &props);
        loop {
            let made = with_role(cx, || {
                aws.call(AwsCall::new("lambda", "CreateEventSourceMapping"), || request.clone().send())
            });
            let error = match made.await {
                Ok(made) => {
                    return Ok(created(aws.scope(), &made.uuid.unwrap_or_default()));
                }
                Err(error) => error,
            };
            // One that is being deleted still counts.
            let leaving = match error.is(Meaning::Exists) {
                true => alike(aws, &props).await?.into_iter().find(|one| one.state.as_deref() == Some("Deleting")),
                false => None,
            };
            match leaving {
                Some(leaving) => until_gone(cx, &uuid_of(&leaving)).await?,
                None => return Err(error.into()),
            }
        }
    }

    async fn settle(&self, cx: Context<'_>, _: &Desired, id: &str) -> Result<(), ResourceError> {
        until_settled(cx, id).await
    }

    async fn update(&self, cx: Context<'_>, live: &Live, desired: &Desired) -> Result<(), ResourceError> {
        let aws = cx.aws;
        let id = live.physical_id.as_str();
        let from: Props = live.read()?;
        let to: Props = desired.read()?;
        if matches!(live.health, Health::Busy(_)) {
            until_settled(cx, id).await?;
        }
        let seen = self.seen_as(&live.properties, &desired.properties).unwrap_or_default();
        let differs = |property: &str| seen.get(property) != desired.properties.get(property);
        if WRITTEN.iter().any(|one| differs(one)) {
            let request = change(aws, id, &to, &differs);
            let call = AwsCall::new("lambda", "UpdateEventSourceMapping").repeatable();
            with_role(cx, || aws.call(call, || request.clone().send())).await?;
            until_settled(cx, id).await?;
        }
        let arn = arn(aws.scope(), id);
        let (set, removed) = tags::difference(&from.tags, &to.tags);
        if !set.is_empty() {
            aws.call(AwsCall::new("lambda", "TagResource").repeatable(), || {
                aws.lambda.tag_resource().resource(&arn).set_tags(Some(set.clone().into_iter().collect())).send()
            })
            .await?;
        }
        if !removed.is_empty() {
            aws.call(AwsCall::new("lambda", "UntagResource").repeatable(), || {
                aws.lambda.untag_resource().resource(&arn).set_tag_keys(Some(removed.clone())).send()
            })
            .await?;
        }
        Ok(())
    }

    async fn delete(&self, cx: Context<'_>, live: &Live) -> Result<(), ResourceError> {
        let aws = cx.aws;
        let id = live.physical_id.as_str();
        // One that is being changed or deleted already is in use, which is waited for.
        if !live.is_being_deleted() {
            gone_is_fine(
                aws.call(AwsCall::new("lambda", "DeleteEventSourceMapping").repeatable(), || {
                    aws.lambda.delete_event_source_mapping().uuid(id).send()
                })
                .await,
            )?;
        }
        until_gone(cx, id).await
    }
}

/// The properties that `UpdateEventSourceMapping` writes.
const WRITTEN: &[&str] = &[
    "FunctionName",
    "Enabled",
    "BatchSize",
    "MaximumBatchingWindowInSeconds",
    "ParallelizationFactor",
    "MaximumRecordAgeInSeconds",
    "BisectBatchOnFunctionError",
    "MaximumRetryAttempts",
    "TumblingWindowInSeconds",
    "FunctionResponseTypes",
    "FilterCriteria",
    "DestinationConfig",
    "ScalingConfig",
    "ProvisionedPollerConfig",
    "MetricsConfig",
    "LoggingConfig",
    "KmsKeyArn",
    "SourceAccessConfigurations",
    "AmazonManagedKafkaEventSourceConfig",
    "SelfManagedKafkaEventSourceConfig",
    "DocumentDBEventSourceConfig",
];

/// All mappings of a function or of a source, or of both, or all.
async fn describe(
    aws: &Aws,
    function: Option<&str>,
    source: Option<&str>,
) -> Result<Vec<sdk::EventSourceMappingConfiguration>, CallError> {
    pages::all(|from| async move {
        let page = aws
            .call(AwsCall::new("lambda", "ListEventSourceMappings"), || {
                aws.lambda
                    .list_event_source_mappings()
                    .set_function_name(function.map(str::to_owned))
                    .set_event_source_arn(source.map(str::to_owned))
                    .set_marker(from.clone())
                    .send()
            })
            .await?;
        Ok((page.event_source_mappings, page.next_marker))
    })
    .await
}

/// The mappings that may be one with these properties, whosever they are: those of its source, or of its function.
async fn alike(aws: &Aws, props: &Props) -> Result<Vec<sdk::EventSourceMappingConfiguration>, ResourceError> {
    let source = props.event_source_arn.as_deref();
    let function = source.is_none().then_some(props.function_name.as_str());
    match describe(aws, function, source).await {
        Err(error) if error.is(Meaning::NotFound) => Ok(Vec::new()),
        found => Ok(found?),
    }
}

/// A mapping with its tags; `None` where it is gone, or where its tags may not be read and nothing says that it is the stack's.
async fn live(
    aws: &Aws,
    one: sdk::EventSourceMappingConfiguration,
    likely: impl Fn(&str) -> bool,
) -> Result<Option<Live>, ResourceError> {
    let id = uuid_of(&one);
    match tags_of(aws, &id).await {
        Ok(tags) => Ok(tags.map(|tags| described(aws, one, tags))),
        Err(error) if error.is(Meaning::Denied) && !likely(&id) => Ok(None),
        Err(error) => Err(error.into()),
    }
}

/// The tags of a mapping; `None` where it is gone.
async fn tags_of(aws: &Aws, uuid: &str) -> Result<Option<Tags>, CallError> {
    let arn = arn(aws.scope(), uuid);
    let answer = aws.call(AwsCall::new("lambda", "ListTags"), || aws.lambda.list_tags().resource(&arn).send()).await;
    match answer {
        Ok(answer) => Ok(Some(answer.tags.unwrap_or_default().into_iter().collect())),
        Err(error) if error.is(Meaning::NotFound) => Ok(None),
        Err(error) => Err(error),
    }
}

fn described(aws: &Aws, one: sdk::EventSourceMappingConfiguration, all: Tags) -> Live {
    let id = uuid_of(&one);
    let all = aws.claimed(TYPE, &id, all);
    let health = match one.state.as_deref() {
        Some("Deleting") => Health::Busy("DELETING".to_owned()),
        Some(state @ ("Creating" | "Enabling" | "Disabling" | "Updating")) => Health::Busy(state.to_owned()),
        _ => Health::Ready,
    };
    let mut props = properties(one);
    props.tags = tags::settable(all.clone());
    Live {
        logical_id: all.get(tags::LOGICAL_ID).cloned(),
        owner: tags::owner(&all, aws.scope()),
        deletion_policy: tags::deletion_policy(&all),
        attributes: created(aws.scope(), &id).attributes,
        ..Live::new(TYPE, &id, to_value(&props)).health(health)
    }
}

fn properties(one: sdk::EventSourceMappingConfiguration) -> Props {
    let enabled = match one.state.as_deref() {
        Some("Enabled" | "Enabling") => Some(true),
        Some("Disabled" | "Disabling") => Some(false),
        // What it is to be when it has been created or changed is not told.
        _ => None,
    };
    let mut props = Props {
        function_name: function_of(&one),
        event_source_arn: one.event_source_arn,
        enabled,
        batch_size: one.batch_size,
        maximum_batching_window_in_seconds: one.maximum_batching_window_in_seconds,
        parallelization_factor: one.parallelization_factor,
        starting_position: one.starting_position.map(|position| position.as_str().to_owned()),
        starting_position_timestamp: one.starting_position_timestamp.map(|time| time.as_secs_f64()),
        maximum_record_age_in_seconds: one.maximum_record_age_in_seconds,
        bisect_batch_on_function_error: one.bisect_batch_on_function_error,
        maximum_retry_attempts: one.maximum_retry_attempts,
        tumbling_window_in_seconds: one.tumbling_window_in_seconds,
        function_response_types: one
            .function_response_types
            .map(|types| types.into_iter().map(|one| one.as_str().to_owned()).collect()),
        filter_criteria: one.filter_criteria.map(|criteria| FilterCriteria {
            filters: criteria
                .filters
                .map(|filters| filters.into_iter().map(|filter| Filter { pattern: filter.pattern }).collect()),
        }),
        destination_config: one.destination_config.map(|config| DestinationConfig {
            on_failure: config.on_failure.map(|failure| OnFailure { destination: failure.destination }),
        }),
        scaling_config: one
            .scaling_config
            .map(|config| ScalingConfig { maximum_concurrency: config.maximum_concurrency }),
        provisioned_poller_config: one.provisioned_poller_config.map(|config| ProvisionedPollerConfig {
            minimum_pollers: config.minimum_pollers,
            maximum_pollers: config.maximum_pollers,
            poller_group_name: config.poller_group_name,
        }),
        metrics_config: one.metrics_config.map(|config| MetricsConfig {
            metrics: config
                .metrics
                .map(|metrics| metrics.into_iter().map(|metric| metric.as_str().to_owned()).collect()),
        }),
        logging_config: one.logging_config.map(|config| LoggingConfig {
            system_log_level: config.system_log_level.map(|level| level.as_str().to_owned()),
        }),
        kms_key_arn: one.kms_key_arn,
        topics: one.topics.filter(|topics| !topics.is_empty()),
        queues: one.queues.filter(|queues| !queues.is_empty()),
        source_access_configurations: one.source_access_configurations.filter(|all| !all.is_empty()).map(|all| {
            let one = |one: sdk::SourceAccessConfiguration| SourceAccess {
                kind: one.r#type.map(|kind| kind.as_str().to_owned()),
                uri: one.uri,
            };
            all.into_iter().map(one).collect()
        }),
        self_managed_event_source: one.self_managed_event_source.map(|source| SelfManagedEventSource {
            endpoints: source.endpoints.map(|mut endpoints| Endpoints {
                kafka_bootstrap_servers: endpoints.remove(&sdk::EndPointType::KafkaBootstrapServers),
            }),
        }),
        amazon_managed_kafka_event_source_config: one.amazon_managed_kafka_event_source_config.map(|config| {
            KafkaConfig {
                consumer_group_id: config.consumer_group_id,
                schema_registry_config: config.schema_registry_config.map(registry),
            }
        }),
        self_managed_kafka_event_source_config: one.self_managed_kafka_event_source_config.map(|config| {
            SelfManagedKafkaConfig {
                consumer_group_id: config.consumer_group_id,
                consumption_mode: config.consumption_mode.map(|mode| mode.as_str().to_owned()),
                schema_registry_config: config.schema_registry_config.map(registry),
            }
        }),
        document_db_event_source_config: one.document_db_event_source_config.map(|config| DocumentDbConfig {
            database_name: config.database_name,
            collection_name: config.collection_name,
            full_document: config.full_document.map(|full| full.as_str().to_owned()),
        }),
        tags: Tags::new(),
    };
    props.settle();
    props
}

fn registry(config: sdk::KafkaSchemaRegistryConfig) -> SchemaRegistry {
    SchemaRegistry {
        uri: config.schema_registry_uri,
        event_record_format: config.event_record_format.map(|format| format.as_str().to_owned()),
        access_configs: config.access_configs.filter(|all| !all.is_empty()).map(|all| {
            let one = |one: sdk::KafkaSchemaRegistryAccessConfig| SourceAccess {
                kind: one.r#type.map(|kind| kind.as_str().to_owned()),
                uri: one.uri,
            };
            all.into_iter().map(one).collect()
        }),
        schema_validation_configs: config.schema_validation_configs.filter(|all| !all.is_empty()).map(|all| {
            let one = |one: sdk::KafkaSchemaValidationConfig| SchemaValidation {
                attribute: one.attribute.map(|attribute| attribute.as_str().to_owned()),
            };
            all.into_iter().map(one).collect()
        }),
    }
}

fn uuid_of(one: &sdk::EventSourceMappingConfiguration) -> String {
    one.uuid.clone().unwrap_or_default()
}

fn function_of(one: &sdk::EventSourceMappingConfiguration) -> String {
    function_in(one.function_arn.as_deref().unwrap_or_default())
}

fn arn(scope: &Scope, uuid: &str) -> String {
    scope.arn("lambda", &format!("event-source-mapping:{uuid}"))
}

fn created(scope: &Scope, uuid: &str) -> Created {
    let attributes = [("Ref", uuid.to_owned()), ("EventSourceMappingArn", arn(scope, uuid))];
    let attributes = attributes.map(|(name, value)| (name.to_owned(), value));
    Created { physical_id: uuid.to_owned(), attributes: attributes.into(), ..Created::default() }
}

/// Sends a call again while Lambda doubts the function's role, until `PATIENCE` is over.
async fn with_role<T, F: Future<Output = Result<T, CallError>>>(
    cx: Context<'_>,
    call: impl Fn() -> F,
) -> Result<T, CallError> {
    let begun = Instant::now();
    loop {
        match call().await {
            Err(error) if is_about_role(&error) && begun.elapsed() < PATIENCE => {
                let seconds = begun.elapsed().as_secs();
                (cx.note)(format!("waits until the function's role may read its source, {seconds} s"));
                tokio::time::sleep(Duration::from_millis(500)).await;
            }
            answer => return answer,
        }
    }
}

/// Whether Lambda refuses because the function's role may not read the source, or cannot be assumed, which a policy or a
/// role that is seconds old ends. (Its messages: "The function execution role does not have permissions to call
/// ReceiveMessage on SQS", "Cannot access stream ... Please ensure the role can perform the GetRecords, ... Actions",
/// "Please add Lambda as a Trusted Entity for ...": hashicorp/terraform-provider-aws#27180.)
fn is_about_role(error: &CallError) -> bool {
    let message = error.message.to_lowercase();
    let says = |words: &[&str]| words.iter().any(|word| message.contains(word));
    let sentences = ["execution role", "role can perform", "cannot be assumed", "as a trusted entity"];
    error.is(Meaning::Refused) && says(&sentences)
}

async fn until_settled(cx: Context<'_>, id: &str) -> Result<(), ResourceError> {
    let aws = cx.aws;
    wait::until(cx, wait::MAPPING, "Creating", || async {
        let answer = aws
            .call(AwsCall::new("lambda", "GetEventSourceMapping"), || {
                aws.lambda.get_event_source_mapping().uuid(id).send()
            })
            .await?;
        let is_settled = matches!(answer.state.as_deref(), Some("Enabled" | "Disabled"));
        Ok(is_settled.then_some(()))
    })
    .await
}

async fn until_gone(cx: Context<'_>, id: &str) -> Result<(), ResourceError> {
    let aws = cx.aws;
    wait::until(cx, wait::MAPPING, "Deleting", || async {
        let answer = aws.call(AwsCall::new("lambda", "GetEventSourceMapping"), || {
            aws.lambda.get_event_source_mapping().uuid(id).send()
        });
        match answer.await {
            Ok(_) => Ok(None),
            Err(error) if error.is(Meaning::NotFound) => Ok(Some(())),
            Err(error) => Err(error.into()),
        }
    })
    .await
}

fn creation(aws: &Aws, props: &Props) -> CreateEventSourceMappingFluentBuilder {
    aws.lambda
        .create_event_source_mapping()
        .function_name(&props.function_name)
        .set_event_source_arn(props.event_source_arn.clone())
        .set_enabled(props.enabled)
        .set_batch_size(props.batch_size)
        .set_maximum_batching_window_in_seconds(props.maximum_batching_window_in_seconds)
        .set_parallelization_factor(props.parallelization_factor)
        .set_starting_position(props.starting_position.as_deref().map(sdk::EventSourcePosition::from))
        .set_starting_position_timestamp(props.starting_position_timestamp.map(DateTime::from_secs_f64))
        .set_maximum_record_age_in_seconds(props.maximum_record_age_in_seconds)
        .set_bisect_batch_on_function_error(props.bisect_batch_on_function_error)
        .set_maximum_retry_attempts(props.maximum_retry_attempts)
        .set_tumbling_window_in_seconds(props.tumbling_window_in_seconds)
        .set_function_response_types(props.function_response_types.is_some().then(|| response_types(props)))
        .set_filter_criteria(props.filter_criteria.is_some().then(|| filter_criteria(props)))
        .set_destination_config(props.destination_config.is_some().then(|| destination_config(props)))
        .set_scaling_config(props.scaling_config.is_some().then(|| scaling_config(props)))
        .set_provisioned_poller_config(props.provisioned_poller_config.is_some().then(|| poller_config(props)))
        .set_metrics_config(props.metrics_config.is_some().then(|| metrics_config(props)))
        .set_logging_config(props.logging_config.is_some().then(|| logging_config(props)))
        .set_kms_key_arn(props.kms_key_arn.clone())
        .set_topics(props.topics.clone())
        .set_queues(props.queues.clone())
        .set_source_access_configurations(source_access(props))
        .set_self_managed_event_source(props.self_managed_event_source.as_ref().map(|source| {
            let servers = source.endpoints.as_ref().and_then(|endpoints| endpoints.kafka_bootstrap_servers.clone());
            let endpoints = servers.map(|servers| (sdk::EndPointType::KafkaBootstrapServers, servers));
            sdk::SelfManagedEventSource::builder().set_endpoints(Some(endpoints.into_iter().collect())).build()
        }))
        .set_amazon_managed_kafka_event_source_config(managed_kafka(props))
        .set_self_managed_kafka_event_source_config(self_managed_kafka(props))
        .set_document_db_event_source_config(document_db(props))
        .set_tags(Some(props.tags.clone().into_iter().collect()))
}

/// The call that writes what differs. What the template does not state any more goes back to its default: leaving it out would
/// mean "no change".
fn change(
    aws: &Aws,
    id: &str,
    to: &Props,
    differs: &impl Fn(&str) -> bool,
) -> aws_sdk_lambda::operation::update_event_source_mapping::builders::UpdateEventSourceMappingFluentBuilder {
    let service = to.service();
    let number = |property: &str, wanted: Option<i32>| {
        let default = || default_of(service, property)?.as_i64()?.try_into().ok();
        differs(property).then(|| wanted.or_else(default)).flatten()
    };
    let flag = |property: &str, wanted: Option<bool>| {
        let default = || default_of(service, property)?.as_bool();
        differs(property).then(|| wanted.or_else(default)).flatten()
    };
    let when = |property: &str| differs(property).then_some(());
    aws.lambda
        .update_event_source_mapping()
        .uuid(id)
        .set_function_name(when("FunctionName").map(|()| to.function_name.clone()))
        .set_enabled(flag("Enabled", to.enabled))
        .set_batch_size(number("BatchSize", to.batch_size))
        .set_maximum_batching_window_in_seconds(number(
            "MaximumBatchingWindowInSeconds",
            to.maximum_batching_window_in_seconds,
        ))
        .set_parallelization_factor(number("ParallelizationFactor", to.parallelization_factor))
        .set_maximum_record_age_in_seconds(number("MaximumRecordAgeInSeconds", to.maximum_record_age_in_seconds))
        .set_bisect_batch_on_function_error(flag("BisectBatchOnFunctionError", to.bisect_batch_on_function_error))
        .set_maximum_retry_attempts(number("MaximumRetryAttempts", to.maximum_retry_attempts))
        .set_tumbling_window_in_seconds(number("TumblingWindowInSeconds", to.tumbling_window_in_seconds))
        .set_function_response_types(when("FunctionResponseTypes").map(|()| response_types(to)))
        .set_filter_criteria(when("FilterCriteria").map(|()| filter_criteria(to)))
        .set_destination_config(when("DestinationConfig").map(|()| destination_config(to)))
        .set_scaling_config(when("ScalingConfig").map(|()| scaling_config(to)))
        .set_provisioned_poller_config(when("ProvisionedPollerConfig").map(|()| poller_config(to)))
        .set_metrics_config(when("MetricsConfig").map(|()| metrics_config(to)))
        .set_logging_config(when("LoggingConfig").map(|()| logging_config(to)))
        .set_kms_key_arn(when("KmsKeyArn").map(|()| to.kms_key_arn.clone().unwrap_or_default()))
        .set_source_access_configurations(
            when("SourceAccessConfigurations").map(|()| source_access(to).unwrap_or_default()),
        )
        .set_amazon_managed_kafka_event_source_config(
            when("AmazonManagedKafkaEventSourceConfig").and_then(|()| managed_kafka(to)),
        )
        .set_self_managed_kafka_event_source_config(
            when("SelfManagedKafkaEventSourceConfig").and_then(|()| self_managed_kafka(to)),
        )
        .set_document_db_event_source_config(when("DocumentDBEventSourceConfig").and_then(|()| document_db(to)))
}

fn response_types(props: &Props) -> Vec<sdk::FunctionResponseType> {
    let types = props.function_response_types.iter().flatten();
    types.map(|one| sdk::FunctionResponseType::from(one.as_str())).collect()
}

fn filter_criteria(props: &Props) -> sdk::FilterCriteria {
    let filters = props.filter_criteria.iter().filter_map(|criteria| criteria.filters.as_ref()).flatten();
    let filters: Vec<sdk::Filter> =
        filters.map(|filter| sdk::Filter::builder().set_pattern(filter.pattern.clone()).build()).collect();
    // Without any it takes all filters away.
    sdk::FilterCriteria::builder().set_filters((!filters.is_empty()).then_some(filters)).build()
}

fn destination_config(props: &Props) -> sdk::DestinationConfig {
    let failure = props.destination_config.as_ref().and_then(|config| config.on_failure.as_ref());
    let failure = sdk::OnFailure::builder().set_destination(failure.and_then(|failure| failure.destination.clone()));
    sdk::DestinationConfig::builder().on_failure(failure.build()).build()
}

fn scaling_config(props: &Props) -> sdk::ScalingConfig {
    let most = props.scaling_config.as_ref().and_then(|config| config.maximum_concurrency);
    sdk::ScalingConfig::builder().set_maximum_concurrency(most).build()
}

fn poller_config(props: &Props) -> sdk::ProvisionedPollerConfig {
    let config = props.provisioned_poller_config.clone().unwrap_or_default();
    sdk::ProvisionedPollerConfig::builder()
        .set_minimum_pollers(config.minimum_pollers)
        .set_maximum_pollers(config.maximum_pollers)
        .set_poller_group_name(config.poller_group_name)
        .build()
}

fn metrics_config(props: &Props) -> sdk::EventSourceMappingMetricsConfig {
    let metrics = props.metrics_config.iter().filter_map(|config| config.metrics.as_ref()).flatten();
    let metrics = metrics.map(|one| sdk::EventSourceMappingMetric::from(one.as_str())).collect();
    sdk::EventSourceMappingMetricsConfig::builder().set_metrics(Some(metrics)).build()
}

fn logging_config(props: &Props) -> sdk::EventSourceMappingLoggingConfig {
    let level = props.logging_config.as_ref().and_then(|config| config.system_log_level.as_deref());
    let level = level.map(sdk::EventSourceMappingSystemLogLevel::from);
    sdk::EventSourceMappingLoggingConfig::builder().set_system_log_level(level).build()
}

fn source_access(props: &Props) -> Option<Vec<sdk::SourceAccessConfiguration>> {
    let one = |one: &SourceAccess| {
        sdk::SourceAccessConfiguration::builder()
            .set_type(one.kind.as_deref().map(sdk::SourceAccessType::from))
            .set_uri(one.uri.clone())
            .build()
    };
    props.source_access_configurations.as_ref().map(|all| all.iter().map(one).collect())
}

fn managed_kafka(props: &Props) -> Option<sdk::AmazonManagedKafkaEventSourceConfig> {
    let config = props.amazon_managed_kafka_event_source_config.as_ref()?;
    let built = sdk::AmazonManagedKafkaEventSourceConfig::builder()
        .set_consumer_group_id(config.consumer_group_id.clone())
        .set_schema_registry_config(config.schema_registry_config.as_ref().map(sdk_registry));
    Some(built.build())
}

fn self_managed_kafka(props: &Props) -> Option<sdk::SelfManagedKafkaEventSourceConfig> {
    let config = props.self_managed_kafka_event_source_config.as_ref()?;
    let mode = config.consumption_mode.as_deref().map(sdk::KafkaEventSourceMappingConsumptionMode::from);
    let built = sdk::SelfManagedKafkaEventSourceConfig::builder()
        .set_consumer_group_id(config.consumer_group_id.clone())
        .set_consumption_mode(mode)
        .set_schema_registry_config(config.schema_registry_config.as_ref().map(sdk_registry));
    Some(built.build())
}

fn sdk_registry(registry: &SchemaRegistry) -> sdk::KafkaSchemaRegistryConfig {
    let access = |one: &SourceAccess| {
        sdk::KafkaSchemaRegistryAccessConfig::builder()
            .set_type(one.kind.as_deref().map(sdk::KafkaSchemaRegistryAuthType::from))
            .set_uri(one.uri.clone())
            .build()
    };
    let validation = |one: &SchemaValidation| {
        let attribute = one.attribute.as_deref().map(sdk::KafkaSchemaValidationAttribute::from);
        sdk::KafkaSchemaValidationConfig::builder().set_attribute(attribute).build()
    };
    sdk::KafkaSchemaRegistryConfig::builder()
        .set_schema_registry_uri(registry.uri.clone())
        .set_event_record_format(
            registry.event_record_format.as_deref().map(sdk::SchemaRegistryEventRecordFormat::from),
        )
        .set_access_configs(registry.access_configs.as_ref().map(|all| all.iter().map(access).collect()))
        .set_schema_validation_configs(
            registry.schema_validation_configs.as_ref().map(|all| all.iter().map(validation).collect()),
        )
        .build()
}

fn document_db(props: &Props) -> Option<sdk::DocumentDbEventSourceConfig> {
    let config = props.document_db_event_source_config.as_ref()?;
    let built = sdk::DocumentDbEventSourceConfig::builder()
        .set_database_name(config.database_name.clone())
        .set_collection_name(config.collection_name.clone())
        .set_full_document(config.full_document.as_deref().map(sdk::FullDocument::from));
    Some(built.build())
}
