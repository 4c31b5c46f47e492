//! CloudFormation's stacks: what they hold, and the calls that change them. It is asked for a stack that is taken over from it or
//! handed back to it, and for nothing else.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use aws_sdk_cloudformation::types as sdk;
use tokio::time::Instant;

use super::client::{Aws, AwsCall, CallError, Meaning};
use super::providers::pages;

const SERVICE: &str = "cloudformation";

/// The longest template that a request takes itself, in bytes; a longer one is named by its address in S3
/// ("CloudFormation quotas", template body size in a request).
pub const LONGEST_BODY: usize = 51_200;

/// The stack with the bucket that SAM's CLI makes for code (`sam deploy --resolve-s3`), and the output with the bucket's name.
pub const SAM_BUCKET_STACK: &str = "aws-sam-cli-managed-default";
const SAM_BUCKET: &str = "SourceBucket";

/// The status of a stack that a change set has made and nothing has filled yet.
pub const IN_REVIEW: &str = "REVIEW_IN_PROGRESS";

/// How long a stack may take for one change. (A table's deletion, or a function's in a VPC, take minutes; all of a stack is seldom
/// more than half an hour.)
const PATIENCE: Duration = Duration::from_secs(60 * 60);

/// The pauses between two looks at a stack: the first, and the longest.
const PAUSES: (Duration, Duration) = (Duration::from_millis(100), Duration::from_secs(5));

/// A stack as CloudFormation describes it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct FormedStack {
    /// Its ARN: it names the stack also when it has been deleted.
    pub id: String,
    pub name: String,
    /// `UPDATE_COMPLETE`.
    pub status: String,
    pub status_reason: Option<String>,
    /// When it was last updated, in milliseconds since the epoch; `None` if never.
    pub updated: Option<i64>,
    /// The values of its parameters; those of NoEcho ones are `****`.
    pub parameters: BTreeMap<String, String>,
    /// What SSM parameters gave for them, where they are names of such.
    pub resolved: BTreeMap<String, String>,
    pub outputs: BTreeMap<String, String>,
    /// The names that its outputs are exported by.
    pub exports: BTreeSet<String>,
    pub tags: BTreeMap<String, String>,
    pub capabilities: BTreeSet<String>,
    pub is_protected: bool,
    /// The stack that this one is nested in.
    pub parent: Option<String>,
    /// The role that CloudFormation changes it with, if it was given one.
    pub role: Option<String>,
}

impl FormedStack {
    /// Whether CloudFormation is at work on it.
    pub fn is_busy(&self) -> bool {
        self.status.ends_with("_IN_PROGRESS")
    }

    /// Whether it is there no more.
    pub fn is_deleted(&self) -> bool {
        self.status == "DELETE_COMPLETE"
    }
}

/// A resource of a stack.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FormedResource {
    pub logical_id: String,
    /// Empty for one that was not created.
    pub physical_id: String,
    pub type_name: String,
    /// `CREATE_COMPLETE`.
    pub status: String,
    /// When that was, in seconds since the epoch.
    pub since: i64,
}

/// Where a template lies.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TemplateSource {
    Body(String),
    /// The address of an object in S3.
    Url(String),
}

/// Why a change of a stack has not come to its end.
#[derive(Debug, Clone, thiserror::Error)]
pub enum StackError {
    #[error(transparent)]
    Call(#[from] CallError),
    /// It ended in this state, and why, a sentence each.
    #[error("the CloudFormation stack \"{name}\" is in the state {status}{}", .reasons.iter().map(|reason| format!("\n  {reason}")).collect::<String>())]
    Ended { name: String, status: String, reasons: Vec<String> },
    #[error("the CloudFormation stack \"{name}\" is still in the state {status} after {} minutes", .after.as_secs() / 60)]
    Slow { name: String, status: String, after: Duration },
}

/// A stack, by its name or id; `None` where there is none of that name. (One that was deleted is found by its id alone.)
///
/// # Errors
/// When it cannot be asked for.
pub async fn stack(aws: &Aws, name: &str) -> Result<Option<FormedStack>, CallError> {
    let answer = aws
        .call(AwsCall::new(SERVICE, "DescribeStacks"), || aws.cloudformation.describe_stacks().stack_name(name).send())
        .await;
    match answer {
        Ok(answer) => Ok(answer.stacks.unwrap_or_default().into_iter().next().map(read)),
        Err(error) if is_missing(&error) => Ok(None),
        Err(error) => Err(error),
    }
}

/// The bucket that SAM's CLI has made in this account and region; `None` where there is none.
///
/// # Errors
/// When CloudFormation cannot be asked.
pub async fn sam_bucket(aws: &Aws) -> Result<Option<String>, CallError> {
    Ok(stack(aws, SAM_BUCKET_STACK).await?.and_then(|mut stack| stack.outputs.remove(SAM_BUCKET)))
}

/// All resources of a stack that is there.
///
/// # Errors
/// When they cannot be listed.
pub async fn resources(aws: &Aws, stack: &str) -> Result<Vec<FormedResource>, CallError> {
    let listed = pages::all(|from| async move {
        let page = aws
            .call(AwsCall::new(SERVICE, "ListStackResources"), || {
                aws.cloudformation.list_stack_resources().stack_name(stack).set_next_token(from.clone()).send()
            })
            .await?;
        Ok((page.stack_resource_summaries, page.next_token))
    });
    let resource = |one: sdk::StackResourceSummary| FormedResource {
        logical_id: one.logical_resource_id.unwrap_or_default(),
        physical_id: one.physical_resource_id.unwrap_or_default(),
        type_name: one.resource_type.unwrap_or_default(),
        status: one.resource_status.map(|status| status.as_str().to_owned()).unwrap_or_default(),
        since: one.last_updated_timestamp.map_or(0, |time| time.secs()),
    };
    Ok(listed.await?.into_iter().map(resource).collect())
}

/// The template of a stack, as its owner wrote it, or `processed`: with its transforms applied.
///
/// # Errors
/// When it cannot be had.
pub async fn template(aws: &Aws, stack: &str, processed: bool) -> Result<String, CallError> {
    let stage = if processed { sdk::TemplateStage::Processed } else { sdk::TemplateStage::Original };
    let answer = aws
        .call(AwsCall::new(SERVICE, "GetTemplate"), || {
            aws.cloudformation.get_template().stack_name(stack).template_stage(stage.clone()).send()
        })
        .await?;
    Ok(answer.template_body.unwrap_or_default())
}

/// The policy that restricts updates of a stack, if it has one.
///
/// # Errors
/// When it cannot be had.
pub async fn stack_policy(aws: &Aws, stack: &str) -> Result<Option<String>, CallError> {
    let answer = aws
        .call(AwsCall::new(SERVICE, "GetStackPolicy"), || {
            aws.cloudformation.get_stack_policy().stack_name(stack).send()
        })
        .await?;
    Ok(answer.stack_policy_body.filter(|body| !body.is_empty()))
}

/// The stacks that import a value by its exported name.
///
/// # Errors
/// When they cannot be listed.
pub async fn importers(aws: &Aws, export: &str) -> Result<Vec<String>, CallError> {
    let found = pages::all(|from| async move {
        let page = aws
            .call(AwsCall::new(SERVICE, "ListImports"), || {
                aws.cloudformation.list_imports().export_name(export).set_next_token(from.clone()).send()
            })
            .await?;
        Ok((page.imports, page.next_token))
    });
    match found.await {
        // "Export 'x' is not imported by any stack."
        Err(error) if error.message.contains("not imported") => Ok(Vec::new()),
        found => found,
    }
}

/// Begins to delete a stack, by its id: a stack made since under the same name is not meant.
///
/// # Errors
/// What CloudFormation refused.
pub async fn delete(aws: &Aws, id: &str) -> Result<(), CallError> {
    let answer = aws.call(AwsCall::new(SERVICE, "DeleteStack").repeatable(), || {
        aws.cloudformation.delete_stack().stack_name(id).send()
    });
    match answer.await {
        Err(error) if !is_missing(&error) => Err(error),
        _ => Ok(()),
    }
}

/// Waits until CloudFormation is no more at work on a stack, which has this id; `None` for one that is gone. `note` hears of each
/// new state.
///
/// # Errors
/// When it cannot be asked, or goes on for an hour.
pub async fn settled(
    aws: &Aws,
    id: &str,
    note: &(dyn Fn(String) + Send + Sync),
) -> Result<Option<FormedStack>, StackError> {
    let begun = Instant::now();
    let mut pause = PAUSES.0;
    let mut told = String::new();
    loop {
        let Some(stack) = stack(aws, id).await?.filter(|stack| !stack.is_deleted()) else { return Ok(None) };
        if !stack.is_busy() {
            return Ok(Some(stack));
        }
        if stack.status != told {
            note(format!("{} {}", stack.name, stack.status));
            told.clone_from(&stack.status);
        }
        if begun.elapsed() > PATIENCE {
            return Err(StackError::Slow { name: stack.name, status: stack.status, after: begun.elapsed() });
        }
        tokio::time::sleep(pause).await;
        pause = (pause * 2).min(PAUSES.1);
    }
}

/// Why the last change of a stack failed, a sentence for each resource, or that of the stack itself where no resource has failed but an
/// output; none where CloudFormation does not say.
pub async fn failures(aws: &Aws, id: &str) -> Vec<String> {
    let status = |event: &sdk::StackEvent| event.resource_status.as_ref().map(|status| status.as_str().to_owned());
    // The change began with an event of the stack's own.
    let is_begin = |event: &sdk::StackEvent| {
        const BEGINS: [&str; 4] =
            ["CREATE_IN_PROGRESS", "UPDATE_IN_PROGRESS", "DELETE_IN_PROGRESS", "IMPORT_IN_PROGRESS"];
        is_of_stack(event) && BEGINS.contains(&status(event).unwrap_or_default().as_str())
    };
    // The newest come first.
    let (mut events, mut from) = (Vec::new(), None);
    loop {
        let answer = aws.call(AwsCall::new(SERVICE, "DescribeStackEvents"), || {
            aws.cloudformation.describe_stack_events().stack_name(id).set_next_token(from.clone()).send()
        });
        let Ok(page) = answer.await else { break };
        events.extend(page.stack_events.unwrap_or_default());
        from = page.next_token.filter(|token| !token.is_empty());
        if from.is_none() || events.iter().any(is_begin) {
            break;
        }
    }
    let of_change: Vec<&sdk::StackEvent> = events.iter().take_while(|event| !is_begin(event)).collect();
    let sentence = |event: &&sdk::StackEvent| {
        let reason = event.resource_status_reason.as_deref()?;
        Some(format!("{}: {}: {reason}", event.logical_resource_id.as_deref()?, status(event)?))
    };
    let is_failure = |event: &&&sdk::StackEvent| {
        let is_cancelled = event.resource_status_reason.as_deref().is_some_and(|reason| reason.contains("cancelled"));
        !is_cancelled && status(event).is_some_and(|status| status.ends_with("_FAILED"))
    };
    let failed: Vec<String> = of_change.iter().rev().filter(is_failure).filter_map(sentence).collect();
    if !failed.is_empty() {
        return failed;
    }
    let is_rollback = |event: &&&sdk::StackEvent| {
        is_of_stack(event) && status(event).is_some_and(|status| status.ends_with("ROLLBACK_IN_PROGRESS"))
    };
    of_change.iter().filter(is_rollback).filter_map(sentence).collect()
}

fn is_of_stack(event: &sdk::StackEvent) -> bool {
    event.resource_type.as_deref() == Some("AWS::CloudFormation::Stack") && event.physical_resource_id == event.stack_id
}

/// Whether CloudFormation answers that there is no such stack.
pub fn is_missing(error: &CallError) -> bool {
    error.is(Meaning::NotFound) || error.code == "ValidationError" && error.message.contains("does not exist")
}

fn read(stack: sdk::Stack) -> FormedStack {
    let parameters = stack.parameters.unwrap_or_default();
    let value = |of: fn(&sdk::Parameter) -> Option<&str>| -> BTreeMap<String, String> {
        let known = parameters.iter().filter_map(|one| Some((one.parameter_key()?.to_owned(), of(one)?.to_owned())));
        known.collect()
    };
    let (given, resolved) = (value(sdk::Parameter::parameter_value), value(sdk::Parameter::resolved_value));
    let outputs = stack.outputs.unwrap_or_default();
    FormedStack {
        id: stack.stack_id.unwrap_or_default(),
        name: stack.stack_name.unwrap_or_default(),
        status: stack.stack_status.map(|status| status.as_str().to_owned()).unwrap_or_default(),
        status_reason: stack.stack_status_reason,
        updated: stack.last_updated_time.and_then(|time| time.to_millis().ok()),
        parameters: given,
        resolved,
        exports: outputs.iter().filter_map(|output| output.export_name.clone()).collect(),
        outputs: outputs.into_iter().filter_map(|output| Some((output.output_key?, output.output_value?))).collect(),
        tags: stack.tags.unwrap_or_default().into_iter().filter_map(|tag| Some((tag.key?, tag.value?))).collect(),
        capabilities: stack.capabilities.unwrap_or_default().iter().map(|one| one.as_str().to_owned()).collect(),
        is_protected: stack.enable_termination_protection.unwrap_or_default(),
        parent: stack.parent_id,
        role: stack.role_arn,
    }
}
