//! Reads and writes `AWS::Lambda::Function`.

use std::time::Duration;

use async_trait::async_trait;
use aws_sdk_lambda::config::StalledStreamProtectionConfig;
use aws_sdk_lambda::config::timeout::TimeoutConfig;
use aws_sdk_lambda::operation::create_function::CreateFunctionOutput;
use aws_sdk_lambda::operation::create_function::builders::CreateFunctionFluentBuilder;
use aws_sdk_lambda::operation::update_function_code::builders::UpdateFunctionCodeFluentBuilder;
use aws_sdk_lambda::operation::update_function_configuration::UpdateFunctionConfigurationOutput;
use aws_sdk_lambda::operation::update_function_configuration::builders::UpdateFunctionConfigurationFluentBuilder;
use aws_sdk_lambda::primitives::Blob;
use aws_sdk_lambda::types as sdk;
use bytes::Bytes;
use futures_util::future::BoxFuture;
use futures_util::{FutureExt, StreamExt, TryStreamExt, stream};
use serde_json::Value;

use super::assumable::{RoleCalls, when_assumable};
use super::tagged::to_ask;
use super::{Context, Discovery, Provider, ResourceError, Search, gone_is_fine, pages, wait};
use crate::aws::client::{Ahead, Arrival, Aws, AwsCall, CallError, Meaning, SIGNATURE_LIFE};
use crate::core::types::function::{
    ApplyOn, Architecture, DeadLetters, Environment, EphemeralStorage, FileSystem, Function, IMAGE_URI, Image, LARGE,
    LOG_GROUP, LogFormat, Logging, MAX_SENT, POLICY, PackageType, Props, RECURSION, RUNTIME_MANAGEMENT, RecursiveLoop,
    RuntimeManagement, SnapStart, TYPE, Tracing, TracingMode, UpdateRuntimeOn, Vpc, arn, generated_names,
    is_generated_name, mebibytes, three_seconds, x86_64,
};
use crate::core::types::tags::Tags;
use crate::core::types::{
    Created, Desired, Health, Live, Owner, ResourceView, S3Object, Upload, log_group, tags, to_value,
};
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
        let (functions, tagged) = tokio::join!(functions, async { discovery.tagged(aws).await.ok() });
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
                let found = match (found, search.settings.get(&name)) {
                    (Some(live), Some(apart)) if live.owner == Owner::Stack => {
                        Some(read_apart(aws, live, apart).await?)
                    }
                    (found, _) => found,
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
        let made = generated_names(scope, it.logical_id);
        search.functions.extend(it.name.filter(|name| made.iter().any(|made| made == name)).map(str::to_owned));
        if let Some(name) = it.name {
            search.settings.entry(name.to_owned()).or_default().extend(apart(it.properties));
        }
    }

    async fn find(&self, cx: Context<'_>, desired: &Desired) -> Result<Option<Live>, ResourceError> {
        let name = desired.name()?;
        match read(cx.aws, name).await? {
            Some(live) => Ok(Some(read_apart(cx.aws, live, &apart(&desired.properties)).await?)),
            None => Ok(None),
        }
    }

    async fn create(&self, cx: Context<'_>, desired: &Desired) -> Result<Created, ResourceError> {
        let aws = cx.aws;
        let name = desired.name()?;
        let props: Props = desired.read()?;
        let code = Source::of(&props, desired)?;
        let request = aws
            .lambda
            .create_function()
            .function_name(name)
            .role(&props.role)
            .package_type(package_type(&props))
            .set_runtime(given(&props.runtime).map(sdk::Runtime::from))
            .set_handler(given(&props.handler).map(str::to_owned))
            .set_description((!props.description.is_empty()).then(|| props.description.clone()))
            .timeout(props.timeout)
            .memory_size(props.memory_size)
            .environment(environment(&props))
            .set_architectures(Some(architectures(&props)))
            .ephemeral_storage(super::built(ephemeral_storage(&props))?)
            .tracing_config(tracing_config(&props))
            .set_layers((!props.layers.is_empty()).then(|| props.layers.clone()))
            .logging_config(logging_config(name, &props))
            .set_dead_letter_config(dead_letter_config(None, &props))
            .set_vpc_config(vpc_config(None, &props))
            .set_file_system_configs(file_system_configs(None, &props)?)
            .set_kms_key_arn(props.kms_key_arn.clone())
            .set_image_config(image_config(None, &props))
            .set_snap_start(snap_start(None, &props))
            .set_tags(Some(props.tags.clone().into_iter().collect()));
        when_assumable(cx, &props.role, &Creation { aws, request, code }).await?;
        if let Some(executions) = props.reserved_concurrent_executions {
            set_concurrency(aws, name, Some(executions)).await?;
        }
        Ok(created(aws.scope(), name))
    }

    async fn settle(&self, cx: Context<'_>, desired: &Desired, id: &str) -> Result<(), ResourceError> {
        wait_until_ready(cx, id).await?;
        // While it is Pending, Lambda takes no other change.
        let props: Props = desired.read()?;
        if let Some(on) = props.recursive_loop {
            set_recursion(cx.aws, id, on).await?;
        }
        if let Some(management) = &props.runtime_management_config {
            manage_runtime(cx.aws, id, management).await?;
        }
        Ok(())
    }

    async fn update(&self, cx: Context<'_>, live: &Live, desired: &Desired) -> Result<(), ResourceError> {
        let aws = cx.aws;
        let name = live.physical_id.as_str();
        let from: Props = live.read()?;
        let to: Props = desired.read()?;
        let busy = matches!(live.health, Health::Busy(_));
        let again = matches!(live.health, Health::Outdated(_));
        let other_code = again
            || from.code_sha256 != to.code_sha256
            || from.image_uri != to.image_uri
            || from.architectures != to.architectures;
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
        let configures = again || from.configuration_differs(&first);
        let before_code = async {
            if busy {
                wait_until_ready(cx, name).await?;
            }
            if configures {
                configure(cx, name, &from, &first).await?;
            }
            Ok::<_, ResourceError>(())
        };
        if other_code {
            let code = Source::of(&to, desired)?;
            let call = AwsCall::new("lambda", "UpdateFunctionCode").repeatable();
            let time = attempt_time(code.len());
            let request = || {
                let request = aws.lambda.update_function_code().function_name(name);
                code.clone().update(request).set_architectures(Some(architectures(&to))).customize()
            };
            let ahead = ((busy || configures) && code.travels()).then(|| {
                aws.ahead(call, encoded_size(code.len()), time, |gate| {
                    request().config_override(traveling(time)).interceptor(gate).send()
                })
            });
            let answer = match ahead.flatten() {
                Some(mut ahead) => {
                    ahead.beside(before_code).await?;
                    ahead.let_go().await
                }
                None => {
                    before_code.await?;
                    Arrival::Never
                }
            };
            if !matches!(answer, Arrival::Answered(Ok(_), _)) {
                aws.call(call, || request().config_override(limit(time)).send()).await?;
            }
            wait_until_ready(cx, name).await?;
        } else {
            before_code.await?;
        }
        if first.configuration_differs(&to) {
            configure(cx, name, &first, &to).await?;
        }
        if from.reserved_concurrent_executions != to.reserved_concurrent_executions {
            set_concurrency(aws, name, to.reserved_concurrent_executions).await?;
        }
        if let Some(on) = to.recursive_loop.filter(|on| from.recursive_loop != Some(*on)) {
            set_recursion(aws, name, on).await?;
        }
        let management = to.runtime_management_config.as_ref();
        if let Some(management) = management.filter(|to| from.runtime_management_config.as_ref() != Some(to)) {
            manage_runtime(aws, name, management).await?;
        }
        let arn = arn(aws.scope(), name);
        let (set, mut removed) = tags::difference(&from.tags, &to.tags);
        removed.retain(|key| key != tags::VERSIONS);
        set_tags(aws, &arn, set, removed).await
    }

    async fn record(&self, aws: &Aws, id: &str, set: Tags, removed: Vec<String>) -> Result<(), ResourceError> {
        set_tags(aws, &arn(aws.scope(), id), set, removed).await
    }

    async fn backup(&self, cx: Context<'_>, live: &Live, desired: &Desired) -> Option<Bytes> {
        // An image is not had from Lambda, and needs not be: its address is among the properties.
        if live.properties.get("CodeSha256") == desired.properties.get("CodeSha256")
            || live.properties.get(IMAGE_URI).is_some()
            || live.attributes.contains_key(LARGE)
        {
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

/// Where Lambda gets a function's code.
#[derive(Debug, Clone)]
enum Source {
    Zip(Bytes),
    Object(S3Object),
    Image(String),
}

impl Source {
    fn of(props: &Props, desired: &Desired) -> Result<Self, ResourceError> {
        if let Some(uri) = &props.image_uri {
            return Ok(Self::Image(uri.clone()));
        }
        match desired.code.clone() {
            Some(Upload::Zip(zip)) => Ok(Self::Zip(zip)),
            Some(Upload::Object(object)) => Ok(Self::Object(object)),
            None => Err(ResourceError::Failed(format!("{} has no code", desired.name()?))),
        }
    }

    /// How many bytes go with the request.
    fn len(&self) -> usize {
        if let Self::Zip(zip) = self { zip.len() } else { 0 }
    }

    /// Whether anything does, so that it pays to send it ahead.
    fn travels(&self) -> bool {
        matches!(self, Self::Zip(_))
    }

    fn create(self) -> sdk::FunctionCode {
        let code = sdk::FunctionCode::builder();
        match self {
            Self::Zip(zip) => code.zip_file(Blob::new(zip)),
            Self::Object(S3Object { bucket, key, version }) => {
                code.s3_bucket(bucket).s3_key(key).set_s3_object_version(version)
            }
            Self::Image(uri) => code.image_uri(uri),
        }
        .build()
    }

    fn update(self, request: UpdateFunctionCodeFluentBuilder) -> UpdateFunctionCodeFluentBuilder {
        match self {
            Self::Zip(zip) => request.zip_file(Blob::new(zip)),
            Self::Object(S3Object { bucket, key, version }) => {
                request.s3_bucket(bucket).s3_key(key).set_s3_object_version(version)
            }
            Self::Image(uri) => request.image_uri(uri),
        }
    }
}

/// The calls that create a function.
struct Creation<'a> {
    aws: &'a Aws,
    /// Without the code.
    request: CreateFunctionFluentBuilder,
    code: Source,
}

impl Creation<'_> {
    fn call() -> AwsCall<'static> {
        AwsCall::new("lambda", "CreateFunction")
    }

    fn with_code(&self, code: Source) -> CreateFunctionFluentBuilder {
        self.request.clone().code(code.create())
    }
}

impl RoleCalls for Creation<'_> {
    type Answer = CreateFunctionOutput;

    fn whole(&self) -> BoxFuture<'_, Result<CreateFunctionOutput, CallError>> {
        let time = attempt_time(self.code.len());
        let request = move || self.with_code(self.code.clone()).customize().config_override(limit(time)).send();
        self.aws.call(Self::call(), request).boxed()
    }

    /// One byte that is no code: it is cheap, and if Lambda looks at the role first, its error tells.
    fn probe(&self) -> Option<BoxFuture<'_, Result<(), CallError>>> {
        // A request without a zip is as cheap as a probe.
        if !self.code.travels() {
            return None;
        }
        let call = self.aws.call(Self::call(), || self.with_code(Source::Zip(Bytes::from_static(b"-"))).send());
        Some(call.map(|result| result.map(drop)).boxed())
    }

    fn ahead(&self) -> Option<Ahead<'_, CreateFunctionOutput>> {
        if !self.code.travels() {
            return None;
        }
        let time = attempt_time(self.code.len());
        self.aws.ahead(Self::call(), encoded_size(self.code.len()), time, |gate| {
            self.with_code(self.code.clone()).customize().config_override(traveling(time)).interceptor(gate).send()
        })
    }
}

/// Gives a function, which has the configuration `from`, another, all but its code, and waits until it is in force.
async fn configure(cx: Context<'_>, name: &str, from: &Props, to: &Props) -> Result<(), ResourceError> {
    let aws = cx.aws;
    let request = aws
        .lambda
        .update_function_configuration()
        .function_name(name)
        .role(&to.role)
        .set_runtime(given(&to.runtime).map(sdk::Runtime::from))
        .set_handler(given(&to.handler).map(str::to_owned))
        // Leaving a member out means "no change": what the template does not say goes back to its default.
        .description(&to.description)
        .timeout(to.timeout)
        .memory_size(to.memory_size)
        .environment(environment(to))
        .ephemeral_storage(super::built(ephemeral_storage(to))?)
        .tracing_config(tracing_config(to))
        .set_layers(Some(to.layers.clone()))
        .logging_config(logging_config(name, to))
        .set_dead_letter_config(dead_letter_config(Some(from), to))
        .set_vpc_config(vpc_config(Some(from), to))
        .set_file_system_configs(file_system_configs(Some(from), to)?)
        // An empty one is AWS's own key again.
        .set_kms_key_arn(to.kms_key_arn.clone().or_else(|| from.kms_key_arn.as_ref().map(|_| String::new())))
        .set_image_config(image_config(Some(from), to))
        .set_snap_start(snap_start(Some(from), to));
    when_assumable(cx, &to.role, &Configuration { aws, request }).await?;
    wait_until_ready(cx, name).await
}

/// The call that configures a function: without code a try costs nothing, so nothing is probed.
struct Configuration<'a> {
    aws: &'a Aws,
    request: UpdateFunctionConfigurationFluentBuilder,
}

impl RoleCalls for Configuration<'_> {
    type Answer = UpdateFunctionConfigurationOutput;

    fn whole(&self) -> BoxFuture<'_, Result<UpdateFunctionConfigurationOutput, CallError>> {
        let call = AwsCall::new("lambda", "UpdateFunctionConfiguration").repeatable();
        self.aws.call(call, || self.request.clone().send()).boxed()
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

async fn set_tags(aws: &Aws, arn: &str, set: Tags, removed: Vec<String>) -> Result<(), ResourceError> {
    if !set.is_empty() {
        aws.call(AwsCall::new("lambda", "TagResource").repeatable(), || {
            aws.lambda.tag_resource().resource(arn).set_tags(Some(set.clone().into_iter().collect())).send()
        })
        .await?;
    }
    if !removed.is_empty() {
        aws.call(AwsCall::new("lambda", "UntagResource").repeatable(), || {
            aws.lambda.untag_resource().resource(arn).set_tag_keys(Some(removed.clone())).send()
        })
        .await?;
    }
    Ok(())
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
    let image_uri = answer.code.and_then(|code| code.image_uri);
    let tags = aws.claimed(TYPE, name, answer.tags.unwrap_or_default().into_iter().collect());
    let concurrency = answer.concurrency.and_then(|concurrency| concurrency.reserved_concurrent_executions);
    let health = health(&configuration);
    let large = Some(configuration.code_size).filter(|size| *size > MAX_SENT && image_uri.is_none());
    let large = large.map(|size| (LARGE.to_owned(), (size >> 20).to_string()));
    let mut props = properties(configuration, tags::settable(tags.clone()), concurrency);
    if let Some(uri) = image_uri {
        // Lambda's digest of an image is nothing that a plan could compare.
        props = Props { image_uri: Some(uri), code_sha256: None, ..props };
    }
    Ok(Some(Live {
        logical_id: tags.get(tags::LOGICAL_ID).cloned(),
        owner: tags::owner(&tags, aws.scope()),
        deletion_policy: tags::deletion_policy(&tags),
        attributes: created(aws.scope(), name)
            .attributes
            .into_iter()
            .chain(tags::carried(&tags))
            .chain(large)
            .collect(),
        ..Live::new(TYPE, name, to_value(&props)).health(health)
    }))
}

/// Of `properties` those that calls of their own read.
fn apart(properties: &Value) -> Vec<&'static str> {
    [RECURSION, RUNTIME_MANAGEMENT].into_iter().filter(|name| properties.get(*name).is_some()).collect()
}

/// Reads the properties `apart` of a function.
async fn read_apart(aws: &Aws, mut live: Live, apart: &[&'static str]) -> Result<Live, ResourceError> {
    let name = live.physical_id.clone();
    if apart.contains(&RECURSION) {
        let call = AwsCall::new("lambda", "GetFunctionRecursionConfig");
        let answer = aws.call(call, || aws.lambda.get_function_recursion_config().function_name(&name).send()).await?;
        let on = match answer.recursive_loop {
            Some(sdk::RecursiveLoop::Allow) => RecursiveLoop::Allow,
            _ => RecursiveLoop::Terminate,
        };
        live.properties[RECURSION] = to_value(&on);
    }
    if apart.contains(&RUNTIME_MANAGEMENT) {
        let call = AwsCall::new("lambda", "GetRuntimeManagementConfig");
        let answer = aws.call(call, || aws.lambda.get_runtime_management_config().function_name(&name).send()).await?;
        let management = RuntimeManagement {
            update_runtime_on: match answer.update_runtime_on {
                Some(sdk::UpdateRuntimeOn::FunctionUpdate) => UpdateRuntimeOn::FunctionUpdate,
                Some(sdk::UpdateRuntimeOn::Manual) => UpdateRuntimeOn::Manual,
                _ => UpdateRuntimeOn::Auto,
            },
            runtime_version_arn: answer.runtime_version_arn,
        };
        live.properties[RUNTIME_MANAGEMENT] = to_value(&management);
    }
    Ok(live)
}

async fn set_recursion(aws: &Aws, name: &str, on: RecursiveLoop) -> Result<(), ResourceError> {
    let on = match on {
        RecursiveLoop::Allow => sdk::RecursiveLoop::Allow,
        RecursiveLoop::Terminate => sdk::RecursiveLoop::Terminate,
    };
    aws.call(AwsCall::new("lambda", "PutFunctionRecursionConfig").repeatable(), || {
        aws.lambda.put_function_recursion_config().function_name(name).recursive_loop(on.clone()).send()
    })
    .await?;
    Ok(())
}

async fn manage_runtime(aws: &Aws, name: &str, management: &RuntimeManagement) -> Result<(), ResourceError> {
    let on = match management.update_runtime_on {
        UpdateRuntimeOn::Auto => sdk::UpdateRuntimeOn::Auto,
        UpdateRuntimeOn::FunctionUpdate => sdk::UpdateRuntimeOn::FunctionUpdate,
        UpdateRuntimeOn::Manual => sdk::UpdateRuntimeOn::Manual,
    };
    aws.call(AwsCall::new("lambda", "PutRuntimeManagementConfig").repeatable(), || {
        let request = aws.lambda.put_runtime_management_config().function_name(name).update_runtime_on(on.clone());
        request.set_runtime_version_arn(management.runtime_version_arn.clone()).send()
    })
    .await?;
    Ok(())
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
    let image = configuration.image_config_response.and_then(|response| response.image_config);
    let snap_start = configuration.snap_start.and_then(|start| start.apply_on);
    let mut props = Props {
        role: configuration.role.unwrap_or_default(),
        runtime: configuration.runtime.map(|runtime| runtime.as_str().to_owned()).unwrap_or_default(),
        handler: configuration.handler.unwrap_or_default(),
        code: None,
        package_type: match configuration.package_type {
            Some(sdk::PackageType::Image) => PackageType::Image,
            _ => PackageType::Zip,
        },
        image_uri: None,
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
        dead_letter_config: configuration
            .dead_letter_config
            .map(|letters| DeadLetters { target_arn: letters.target_arn }),
        vpc_config: configuration.vpc_config.map(|vpc| Vpc {
            subnet_ids: vpc.subnet_ids.unwrap_or_default(),
            security_group_ids: vpc.security_group_ids.unwrap_or_default(),
            ipv6_allowed_for_dual_stack: vpc.ipv6_allowed_for_dual_stack.unwrap_or_default(),
        }),
        file_system_configs: configuration
            .file_system_configs
            .unwrap_or_default()
            .into_iter()
            .map(|system| FileSystem { arn: system.arn, local_mount_path: system.local_mount_path })
            .collect(),
        kms_key_arn: configuration.kms_key_arn,
        image_config: image.map(|image| Image {
            command: image.command.unwrap_or_default(),
            entry_point: image.entry_point.unwrap_or_default(),
            working_directory: image.working_directory,
        }),
        snap_start: snap_start
            .filter(|on| *on == sdk::SnapStartApplyOn::PublishedVersions)
            .map(|_| SnapStart { apply_on: ApplyOn::PublishedVersions }),
        recursive_loop: None,
        runtime_management_config: None,
        reserved_concurrent_executions: concurrency,
        function_name: Some(name),
        tags,
    };
    props.fill_in();
    props
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

/// A setting that a container image does not have.
fn given(text: &str) -> Option<&str> {
    (!text.is_empty()).then_some(text)
}

fn package_type(props: &Props) -> sdk::PackageType {
    match props.package_type {
        PackageType::Zip => sdk::PackageType::Zip,
        PackageType::Image => sdk::PackageType::Image,
    }
}

/// How long an attempt with so many bytes of code may take: as long as any other call, and what the upload takes over a line
/// of a megabit a second.
pub(super) fn attempt_time(code_size: usize) -> Duration {
    Duration::from_secs(30) + Duration::from_secs_f64(encoded_size(code_size) as f64 * 8.0 / 1e6)
}

/// The bytes of a request with code: base64 makes four of three.
fn encoded_size(code_size: usize) -> usize {
    code_size.div_ceil(3) * 4
}

pub(super) fn limit(attempt: Duration) -> aws_sdk_lambda::config::Builder {
    aws_sdk_lambda::config::Builder::new().timeout_config(
        TimeoutConfig::builder().connect_timeout(Duration::from_secs(5)).operation_attempt_timeout(attempt).build(),
    )
}

/// The settings of a request that travels ahead: it stands still for as long as its signature is good.
fn traveling(attempt: Duration) -> aws_sdk_lambda::config::Builder {
    limit(attempt + SIGNATURE_LIFE).stalled_stream_protection(StalledStreamProtectionConfig::disabled())
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

// What most functions do not have is sent where the function has it, or had it: then an empty one resets it.

fn dead_letter_config(from: Option<&Props>, to: &Props) -> Option<sdk::DeadLetterConfig> {
    let had = from.and_then(|from| from.dead_letter_config.as_ref());
    let target = to.dead_letter_config.as_ref().map(|letters| letters.target_arn.clone().unwrap_or_default());
    let target = target.or_else(|| had.map(|_| String::new()))?;
    Some(sdk::DeadLetterConfig::builder().target_arn(target).build())
}

fn vpc_config(from: Option<&Props>, to: &Props) -> Option<sdk::VpcConfig> {
    let had = from.and_then(|from| from.vpc_config.as_ref());
    let vpc = to.vpc_config.clone().or_else(|| had.map(|_| Vpc::default()))?;
    let ipv6 = vpc.ipv6_allowed_for_dual_stack || had.is_some_and(|had| had.ipv6_allowed_for_dual_stack);
    let made = sdk::VpcConfig::builder()
        .set_subnet_ids(Some(vpc.subnet_ids))
        .set_security_group_ids(Some(vpc.security_group_ids))
        .set_ipv6_allowed_for_dual_stack(ipv6.then_some(vpc.ipv6_allowed_for_dual_stack));
    Some(made.build())
}

fn file_system_configs(from: Option<&Props>, to: &Props) -> Result<Option<Vec<sdk::FileSystemConfig>>, ResourceError> {
    let had = from.is_some_and(|from| !from.file_system_configs.is_empty());
    let one = |one: &FileSystem| {
        super::built(sdk::FileSystemConfig::builder().arn(&one.arn).local_mount_path(&one.local_mount_path).build())
    };
    let made: Result<Vec<_>, _> = to.file_system_configs.iter().map(one).collect();
    Ok(Some(made?).filter(|made| had || !made.is_empty()))
}

fn image_config(from: Option<&Props>, to: &Props) -> Option<sdk::ImageConfig> {
    let had = from.and_then(|from| from.image_config.as_ref());
    let image = to.image_config.clone().or_else(|| had.map(|_| Image::default()))?;
    let made = sdk::ImageConfig::builder().set_command(Some(image.command)).set_entry_point(Some(image.entry_point));
    Some(made.set_working_directory(image.working_directory).build())
}

fn snap_start(from: Option<&Props>, to: &Props) -> Option<sdk::SnapStart> {
    let had = from.and_then(|from| from.snap_start);
    let start = to.snap_start.or_else(|| had.map(|_| SnapStart::default()))?;
    let apply_on = match start.apply_on {
        ApplyOn::None => sdk::SnapStartApplyOn::None,
        ApplyOn::PublishedVersions => sdk::SnapStartApplyOn::PublishedVersions,
    };
    Some(sdk::SnapStart::builder().apply_on(apply_on).build())
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
    Created { physical_id: name.to_owned(), attributes: attributes.into(), ..Created::default() }
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
