//! Reads and writes `AWS::Lambda::Function`.

use std::time::Duration;

use async_trait::async_trait;
use aws_sdk_lambda::primitives::Blob;
use aws_sdk_lambda::types as sdk;
use bytes::Bytes;
use futures_util::{StreamExt, TryStreamExt, stream};
use serde_json::Value;
use tokio::time::Instant;

use super::tagged::to_ask;
use super::{Context, Discovery, Provider, ResourceError, Search, gone_is_fine, pages, wait};
use crate::aws::client::{Aws, AwsCall, CallError, Meaning, Trial};
use crate::core::types::function::{
    Architecture, Environment, EphemeralStorage, Function, LOG_GROUP, LogFormat, Logging, POLICY, PackageType, Props,
    TYPE, Tracing, TracingMode, arn, generated_name, is_generated_name, mebibytes, three_seconds, x86_64,
};
use crate::core::types::tags::Tags;
use crate::core::types::{Created, Desired, Health, Live, Owner, ResourceView, log_group, tags, to_value};
use crate::core::words::{DeletionPolicy, Scope};

#[async_trait]
impl Provider for Function {
    /// Those of others as well, whatever they are called: a log group is whose its function is.
    /// `LogGroup::settle_reading` leaves them out.
    async fn list(&self, aws: &Aws, discovery: &Discovery, _: &[Live]) -> Result<Vec<Live>, ResourceError> {
        let functions = pages::all(|from| async move {
            let page = aws.call(AwsCall::new("lambda", "ListFunctions"), || {
                aws.lambda.list_functions().set_marker(from.clone()).send()
            });
            let page = page.await?;
            Ok((page.functions, page.next_marker))
        });
        let (functions, tagged) = tokio::join!(functions, discovery.tagged(aws));
        let names: Vec<String> = functions?.into_iter().filter_map(|function| function.function_name).collect();
        let search = discovery.wait().await;
        // Whose it is, only its tags tell. Where its name or the Tagging API says that it is ours, its permissions are
        // asked for at once and not in another round trip.
        let likely = |name: &str| {
            search.includes(TYPE, name)
                || is_generated_name(aws.scope(), name)
                || tagged.is_some_and(|tagged| tagged.includes(TYPE, name))
        };
        let of_interest = |name: &str| {
            // A group that the template describes may be one that Lambda made for a function of others.
            likely(name) || search.functions.contains(name) || search.includes(log_group::TYPE, &log_group_of(name))
        };
        let asked = to_ask(&names, tagged, of_interest);
        let others: Vec<Live> =
            names.iter().filter(|name| !asked.contains(*name)).map(|name| of_others(name)).collect();
        let found: Result<Vec<Live>, ResourceError> = stream::iter(asked)
            .map(|name| (likely(&name), name))
            .map(|(likely, name)| async move {
                // GetFunction tells tags and configuration at once, and has the widest quota of all.
                let (found, policy) = tokio::join!(read(aws, &name), async {
                    if likely { Some(policy(aws, &name, None).await) } else { None }
                });
                let found = match found {
                    // Whoever may not see a function has not made it, unless it is called like one of ours.
                    Err(ResourceError::Call(error)) if error.is(Meaning::Denied) && !likely => Some(of_others(&name)),
                    found => found?,
                };
                Ok(match (found, policy) {
                    (Some(live), Some(policy)) if live.owner == Owner::Stack => Some(live.attribute(POLICY, policy?)),
                    (found, _) => found,
                })
            })
            .buffer_unordered(16)
            .try_filter_map(|found| async move { Ok(found) })
            .try_collect()
            .await;
        Ok(found?.into_iter().chain(others).collect())
    }

    fn seek(&self, it: &ResourceView<'_>, scope: &Scope, search: &mut Search) {
        let made = generated_name(scope, it.logical_id);
        search.functions.extend(it.name.filter(|name| *name == made).map(str::to_owned));
    }

    async fn find(&self, cx: Context<'_>, desired: &Desired) -> Result<Option<Live>, ResourceError> {
        read(cx.aws, desired.name()?).await
    }

    async fn create(&self, cx: Context<'_>, desired: &Desired) -> Result<Created, ResourceError> {
        let aws = cx.aws;
        let name = desired.name()?;
        let props: Props = desired.read()?;
        let code = desired.code.clone().ok_or_else(|| ResourceError::Failed(format!("{name} has no code")))?;
        let code = Blob::new(code);
        let request = aws
            .lambda
            .create_function()
            .function_name(name)
            .role(&props.role)
            .runtime(sdk::Runtime::from(props.runtime.as_str()))
            .handler(&props.handler)
            .code(sdk::FunctionCode::builder().zip_file(code.clone()).build())
            .set_description((!props.description.is_empty()).then(|| props.description.clone()))
            .timeout(props.timeout)
            .memory_size(props.memory_size)
            .environment(environment(&props))
            .set_architectures(Some(architectures(&props)))
            .ephemeral_storage(super::built(ephemeral_storage(&props))?)
            .tracing_config(tracing_config(&props))
            .set_layers((!props.layers.is_empty()).then(|| props.layers.clone()))
            .logging_config(logging_config(name, &props))
            .set_tags(Some(props.tags.clone().into_iter().collect()));
        when_assumable(cx, &props.role, |trial| {
            let request = match trial {
                Trial::Whole => request.clone(),
                Trial::Probe => request.clone().code(sdk::FunctionCode::builder().zip_file(Blob::new("-")).build()),
            };
            let time = upload_time(&code);
            aws.call(AwsCall::new("lambda", "CreateFunction"), move || {
                request.clone().customize().config_override(time.clone()).send()
            })
        })
        .await?;
        if let Some(executions) = props.reserved_concurrent_executions {
            set_concurrency(aws, name, Some(executions)).await?;
        }
        Ok(created(aws.scope(), name))
    }

    async fn settle(&self, cx: Context<'_>, _: &Desired, id: &str) -> Result<(), ResourceError> {
        wait_until_ready(cx, id).await
    }

    async fn update(&self, cx: Context<'_>, live: &Live, desired: &Desired) -> Result<(), ResourceError> {
        let aws = cx.aws;
        let name = live.physical_id.as_str();
        let from: Props = live.read()?;
        let to: Props = desired.read()?;
        if let Health::Busy(_) = live.health {
            wait_until_ready(cx, name).await?;
        }
        let again = matches!(live.health, Health::Outdated(_));
        let other_code = again || from.code_sha256 != to.code_sha256 || from.architectures != to.architectures;
        // Two calls, and invocations between them. What the new code needs comes before it; what the old code still
        // reads goes after it.
        let mut first = to.clone();
        if other_code {
            for (variable, value) in &from.environment.variables {
                first.environment.variables.entry(variable.clone()).or_insert_with(|| value.clone());
            }
            // Both together may be more than Lambda takes.
            if first.environment.variables.iter().map(|(name, value)| name.len() + value.len() + 6).sum::<usize>()
                > 4000
            {
                first.environment = to.environment.clone();
            }
        }
        if again || from.configuration_differs(&first) {
            configure(cx, name, &first).await?;
        }
        if other_code {
            let code = desired.code.clone().ok_or_else(|| ResourceError::Failed(format!("{name} has no code")))?;
            let code = Blob::new(code);
            let time = upload_time(&code);
            let request = aws
                .lambda
                .update_function_code()
                .function_name(name)
                .zip_file(code)
                .set_architectures(Some(architectures(&to)));
            aws.call(AwsCall::new("lambda", "UpdateFunctionCode").repeatable(), || {
                request.clone().customize().config_override(time.clone()).send()
            })
            .await?;
            wait_until_ready(cx, name).await?;
        }
        if first.configuration_differs(&to) {
            configure(cx, name, &to).await?;
        }
        if from.reserved_concurrent_executions != to.reserved_concurrent_executions {
            set_concurrency(aws, name, to.reserved_concurrent_executions).await?;
        }
        let arn = arn(aws.scope(), name);
        let (set, mut removed) = tags::difference(&from.tags, &to.tags);
        removed.retain(|key| key != tags::VERSIONS);
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

    async fn backup(&self, cx: Context<'_>, live: &Live, desired: &Desired) -> Option<Bytes> {
        if live.properties.get("CodeSha256") == desired.properties.get("CodeSha256") {
            return None;
        }
        let aws = cx.aws;
        let name = live.physical_id.as_str();
        let answer =
            aws.call(AwsCall::new("lambda", "GetFunction"), || aws.lambda.get_function().function_name(name).send());
        let url = answer.await.ok()?.code?.location?;
        aws.download(&url).await.inspect_err(|error| tracing::debug!("the code of {name}: {error}")).ok()
    }

    async fn delete(&self, cx: Context<'_>, live: &Live) -> Result<(), ResourceError> {
        let aws = cx.aws;
        // Its log group is known as ours by this function alone. A run that ends here must leave it known.
        if let Some(group) = live.attributes.get(LOG_GROUP) {
            tag_log_group(aws, group).await?;
        }
        gone_is_fine(
            aws.call(AwsCall::new("lambda", "DeleteFunction").repeatable(), || {
                aws.lambda.delete_function().function_name(&live.physical_id).send()
            })
            .await,
        )?;
        Ok(())
    }
}

/// A function of which nothing is known but that it is not the stack's.
fn of_others(name: &str) -> Live {
    let owner = Owner::Other("an unknown owner (its tags were not read)".to_owned());
    Live { owner, ..Live::new(TYPE, name, Value::Null) }
}

/// Where Lambda logs what a function prints, unless the function says otherwise.
pub(super) fn log_group_of(name: &str) -> String {
    format!("{}{name}", log_group::LAMBDA)
}

/// How long a role that this run made may take until Lambda can assume it: 8 to 12 s as a rule, minutes at worst.
const FRESH_ROLE_PATIENCE: Duration = Duration::from_secs(180);

const OLD_ROLE_PATIENCE: Duration = Duration::from_secs(60);

/// Gives a function its configuration, all but its code, and waits until it is in force.
async fn configure(cx: Context<'_>, name: &str, to: &Props) -> Result<(), ResourceError> {
    let aws = cx.aws;
    let request = aws
        .lambda
        .update_function_configuration()
        .function_name(name)
        .role(&to.role)
        .runtime(sdk::Runtime::from(to.runtime.as_str()))
        .handler(&to.handler)
        // Leaving a member out means "no change": what the template does not say goes back to its default.
        .description(&to.description)
        .timeout(to.timeout)
        .memory_size(to.memory_size)
        .environment(environment(to))
        .ephemeral_storage(super::built(ephemeral_storage(to))?)
        .tracing_config(tracing_config(to))
        .set_layers(Some(to.layers.clone()))
        .logging_config(logging_config(name, to));
    // Without code a try costs nothing: there is nothing to probe with.
    when_assumable(cx, &to.role, |_| {
        aws.call(AwsCall::new("lambda", "UpdateFunctionConfiguration").repeatable(), || request.clone().send())
    })
    .await?;
    wait_until_ready(cx, name).await
}

/// Tries again while Lambda cannot assume the role yet: IAM tells the world of a new role only after a while.
async fn when_assumable<T, F>(cx: Context<'_>, role: &str, attempt: impl Fn(Trial) -> F) -> Result<T, CallError>
where
    F: Future<Output = Result<T, CallError>>,
{
    let propagation = &cx.aws.propagation;
    let fresh = propagation.age(role).is_some();
    // A role that an earlier run made and did not live to use may be young as well; an old one will not get better.
    let patience = if fresh { FRESH_ROLE_PATIENCE } else { OLD_ROLE_PATIENCE };
    let begun = Instant::now();
    let mut pause = Duration::from_millis(20);
    let mut passed = false;
    let mut before = Trial::Probe;
    loop {
        let turn = if fresh { propagation.turn().await } else { None };
        let trial = match propagation.age(role).filter(|_| turn.is_some() && !passed) {
            Some(age) => propagation.trial(age),
            None => Trial::Whole,
        };
        if std::mem::replace(&mut before, trial) != trial {
            // Whole code takes its time on the way: the line need not rest as well.
            pause = Duration::from_millis(20);
        }
        match attempt(trial).await {
            Err(error) if error.message.contains("cannot be assumed by Lambda") && begun.elapsed() < patience => {
                if std::mem::take(&mut passed) {
                    propagation.probes_tell_nothing();
                }
                let waited = begun.elapsed().as_secs();
                if waited > 0 {
                    (cx.note)(format!(
                        "waiting until Lambda can assume the role, {waited} s (giving up in {} s)",
                        patience.as_secs().saturating_sub(waited)
                    ));
                }
                tokio::time::sleep(pause).await;
                pause = (pause * 2).min(Duration::from_millis(250));
            }
            // It is not code: the role was no obstacle. If it ever was code, the call itself will tell.
            Ok(_) if trial == Trial::Probe => passed = true,
            Err(error) if trial == Trial::Probe && error.code == "InvalidParameterValueException" => passed = true,
            result => {
                if result.is_ok() {
                    propagation.arrive();
                }
                drop(turn);
                return result;
            }
        }
    }
}

/// The resource policy of a function or of one of its aliases, JSON; empty where it has none.
pub(super) async fn policy(aws: &Aws, name: &str, alias: Option<&str>) -> Result<String, CallError> {
    let answer = aws
        .call(AwsCall::new("lambda", "GetPolicy"), || {
            aws.lambda.get_policy().function_name(name).set_qualifier(alias.map(str::to_owned)).send()
        })
        .await;
    match answer {
        Ok(answer) => Ok(answer.policy.unwrap_or_default()),
        Err(error) if error.is(Meaning::NotFound) => Ok(String::new()),
        Err(error) => Err(error),
    }
}

/// A function as it is, whosever it is; `None` where there is none.
pub(super) async fn read(aws: &Aws, name: &str) -> Result<Option<Live>, ResourceError> {
    let answer =
        aws.call(AwsCall::new("lambda", "GetFunction"), || aws.lambda.get_function().function_name(name).send()).await;
    let answer = match answer {
        Ok(answer) => answer,
        Err(error) if error.is(Meaning::NotFound) => return Ok(None),
        Err(error) => return Err(error.into()),
    };
    let Some(configuration) = answer.configuration else { return Ok(None) };
    let tags: Tags = answer.tags.unwrap_or_default().into_iter().collect();
    let concurrency = answer.concurrency.and_then(|concurrency| concurrency.reserved_concurrent_executions);
    let health = health(&configuration);
    let props = properties(configuration, tags::settable(tags.clone()), concurrency);
    Ok(Some(Live {
        logical_id: tags.get(tags::LOGICAL_ID).cloned(),
        owner: tags::owner(&tags, aws.scope()),
        deletion_policy: tags::deletion_policy(&tags),
        attributes: created(aws.scope(), name).attributes,
        ..Live::new(TYPE, name, to_value(&props)).health(health)
    }))
}

fn health(configuration: &sdk::FunctionConfiguration) -> Health {
    let reason = configuration.state_reason.clone().unwrap_or_default();
    match (&configuration.state, &configuration.last_update_status) {
        (Some(sdk::State::Failed), _) => Health::Failed(reason),
        (Some(sdk::State::Pending), _) => Health::Busy("Pending".to_owned()),
        (_, Some(sdk::LastUpdateStatus::InProgress)) => Health::Busy("an update is in progress".to_owned()),
        // It lives, and runs what it ran before.
        (_, Some(sdk::LastUpdateStatus::Failed)) => {
            Health::Outdated(configuration.last_update_status_reason.clone().unwrap_or_default())
        }
        _ => Health::Ready,
    }
}

fn properties(configuration: sdk::FunctionConfiguration, tags: Tags, concurrency: Option<i32>) -> Props {
    let name = configuration.function_name.unwrap_or_default();
    let own_group = log_group_of(&name);
    let logging = configuration.logging_config;
    Props {
        role: configuration.role.unwrap_or_default(),
        runtime: configuration.runtime.map(|runtime| runtime.as_str().to_owned()).unwrap_or_default(),
        handler: configuration.handler.unwrap_or_default(),
        code: None,
        package_type: PackageType::Zip,
        code_sha256: configuration.code_sha256,
        description: configuration.description.unwrap_or_default(),
        timeout: configuration.timeout.unwrap_or_else(three_seconds),
        memory_size: configuration.memory_size.unwrap_or_else(mebibytes),
        environment: Environment {
            variables: configuration
                .environment
                .and_then(|environment| environment.variables)
                .unwrap_or_default()
                .into_iter()
                .collect(),
        },
        architectures: configuration.architectures.map_or_else(x86_64, |architectures| {
            let one = |one: sdk::Architecture| {
                if one == sdk::Architecture::Arm64 { Architecture::Arm } else { Architecture::X86 }
            };
            architectures.into_iter().map(one).collect()
        }),
        ephemeral_storage: configuration
            .ephemeral_storage
            .map_or_else(EphemeralStorage::default, |storage| EphemeralStorage { size: storage.size }),
        tracing_config: Tracing {
            mode: match configuration.tracing_config.and_then(|tracing| tracing.mode) {
                Some(sdk::TracingMode::Active) => TracingMode::Active,
                _ => TracingMode::PassThrough,
            },
        },
        layers: configuration.layers.unwrap_or_default().into_iter().filter_map(|layer| layer.arn).collect(),
        logging_config: logging.map_or_else(Logging::default, |logging| Logging {
            log_format: if logging.log_format == Some(sdk::LogFormat::Json) {
                LogFormat::Json
            } else {
                LogFormat::Text
            },
            log_group: logging.log_group.filter(|group| *group != own_group),
            application_log_level: logging.application_log_level.map(|level| level.as_str().to_owned()),
            system_log_level: logging.system_log_level.map(|level| level.as_str().to_owned()),
        }),
        reserved_concurrent_executions: concurrency,
        function_name: Some(name),
        tags,
    }
}

/// Waits until a function, or a version of one (`FUNCTION:NUMBER`), can be invoked.
pub(super) async fn wait_until_ready(cx: Context<'_>, name: &str) -> Result<(), ResourceError> {
    let aws = cx.aws;
    wait::until(cx, wait::FUNCTION, "Pending", || async {
        let answer = aws
            .call(AwsCall::new("lambda", "GetFunction"), || aws.lambda.get_function().function_name(name).send())
            .await?;
        match answer.configuration.as_ref().map(health) {
            Some(Health::Busy(_)) => Ok(None),
            Some(Health::Failed(reason) | Health::Outdated(reason)) => {
                Err(ResourceError::Failed(format!("Lambda reports {name} as failed: {reason}")))
            }
            _ => Ok(Some(())),
        }
    })
    .await
}

async fn set_concurrency(aws: &Aws, name: &str, executions: Option<i32>) -> Result<(), CallError> {
    match executions {
        Some(executions) => aws
            .call(AwsCall::new("lambda", "PutFunctionConcurrency").repeatable(), || {
                aws.lambda
                    .put_function_concurrency()
                    .function_name(name)
                    .reserved_concurrent_executions(executions)
                    .send()
            })
            .await
            .map(drop),
        None => gone_is_fine(
            aws.call(AwsCall::new("lambda", "DeleteFunctionConcurrency").repeatable(), || {
                aws.lambda.delete_function_concurrency().function_name(name).send()
            })
            .await,
        ),
    }
}

/// How long an attempt with this code may take: as long as any other call, and what the upload takes over a line of a
/// megabit a second (base64 makes four bytes of three).
fn upload_time(code: &Blob) -> aws_sdk_lambda::config::Builder {
    let upload = Duration::from_secs_f64(code.as_ref().len() as f64 * 8.0 / 1e6 * 4.0 / 3.0);
    aws_sdk_lambda::config::Builder::new().timeout_config(
        aws_sdk_lambda::config::timeout::TimeoutConfig::builder()
            .connect_timeout(Duration::from_secs(5))
            .operation_attempt_timeout(Duration::from_secs(30) + upload)
            .build(),
    )
}

fn environment(props: &Props) -> sdk::Environment {
    sdk::Environment::builder().set_variables(Some(props.environment.variables.clone().into_iter().collect())).build()
}

fn architectures(props: &Props) -> Vec<sdk::Architecture> {
    let one = |one: &Architecture| match one {
        Architecture::X86 => sdk::Architecture::X8664,
        Architecture::Arm => sdk::Architecture::Arm64,
    };
    props.architectures.iter().map(one).collect()
}

fn ephemeral_storage(props: &Props) -> Result<sdk::EphemeralStorage, aws_smithy_types::error::operation::BuildError> {
    sdk::EphemeralStorage::builder().size(props.ephemeral_storage.size).build()
}

fn tracing_config(props: &Props) -> sdk::TracingConfig {
    let mode = match props.tracing_config.mode {
        TracingMode::PassThrough => sdk::TracingMode::PassThrough,
        TracingMode::Active => sdk::TracingMode::Active,
    };
    sdk::TracingConfig::builder().mode(mode).build()
}

fn logging_config(name: &str, props: &Props) -> sdk::LoggingConfig {
    let logging = &props.logging_config;
    let own_group = || log_group_of(name);
    sdk::LoggingConfig::builder()
        .log_format(match logging.log_format {
            LogFormat::Text => sdk::LogFormat::Text,
            LogFormat::Json => sdk::LogFormat::Json,
        })
        .log_group(logging.log_group.clone().unwrap_or_else(own_group))
        .set_application_log_level(logging.application_log_level.as_deref().map(sdk::ApplicationLogLevel::from))
        .set_system_log_level(logging.system_log_level.as_deref().map(sdk::SystemLogLevel::from))
        .build()
}

/// The canonical properties of a function, or of a version of one, that Lambda describes.
pub(super) fn canonical_of(configuration: sdk::FunctionConfiguration) -> Value {
    to_value(&properties(configuration, Tags::new(), None))
}

/// Whether a live function may have versions or aliases of the stack's: the template describes some, or an earlier one
/// did.
pub(super) fn has_versions(function: &Live, search: &Search) -> bool {
    search.versions || function.properties["Tags"].get(tags::VERSIONS).is_some()
}

fn created(scope: &Scope, name: &str) -> Created {
    let attributes = [("Ref".to_owned(), name.to_owned()), ("Arn".to_owned(), arn(scope, name))];
    Created { physical_id: name.to_owned(), attributes: attributes.into() }
}

/// Puts the stack's tags on a group that is the stack's because its function is; one that is gone is no error.
///
/// # Errors
/// What AWS refused.
async fn tag_log_group(aws: &Aws, name: &str) -> Result<(), ResourceError> {
    let arn = log_group::arn(aws.scope(), name);
    // Without a logical id: the template does not describe it.
    let mut tags = tags::ownership(aws.scope(), "", DeletionPolicy::Delete);
    tags.remove(tags::LOGICAL_ID);
    gone_is_fine(
        aws.call(AwsCall::new("logs", "TagResource").repeatable(), || {
            aws.logs.tag_resource().resource_arn(&arn).set_tags(Some(tags.clone().into_iter().collect())).send()
        })
        .await,
    )?;
    Ok(())
}
