//! Reads and writes `AWS::Logs::LogGroup`.

use std::collections::BTreeMap;

use async_trait::async_trait;
use aws_sdk_cloudwatchlogs::types as sdk;
use futures_util::{StreamExt, TryStreamExt, stream};
use serde_json::Value;

use super::tagged::to_ask;
use super::{Context, Discovery, Provider, ResourceError, Search, gone_is_fine, pages};
use crate::aws::client::{Aws, AwsCall, CallError, Meaning};
use crate::core::types::log_group::{Class, LAMBDA, LogGroup, Props, TYPE, arn, function_of};
use crate::core::types::tags::Tags;
use crate::core::types::{Created, Desired, Live, Owner, function, tags, to_value};
use crate::core::words::Scope;

#[async_trait]
impl Provider for LogGroup {
    async fn list(&self, aws: &Aws, discovery: &Discovery, _: &[Live]) -> Result<Vec<Live>, ResourceError> {
        let (groups, tagged) = tokio::join!(describe(aws, None), async { discovery.tagged(aws).await.ok() });
        let (groups, search) = (groups?, discovery.wait().await);
        let likely = |name: &str| {
            let is_tagged = |type_name, name: &str| tagged.is_some_and(|tagged| tagged.includes(type_name, name));
            let function = name.strip_prefix(LAMBDA);
            // One that Lambda made carries no tags: it is its function's.
            let of_ours = |function: &str| {
                search.includes(function::TYPE, function)
                    || search.functions.contains(function)
                    || is_tagged(function::TYPE, function)
            };
            search.includes(TYPE, name)
                || is_tagged(TYPE, name)
                || tags::is_generated_name(&aws.scope().stack, function.unwrap_or(name))
                || function.is_some_and(of_ours)
        };
        let name = |group: &sdk::LogGroup| group.log_group_name.clone().unwrap_or_default();
        let names: Vec<String> = groups.iter().map(name).collect();
        let asked = to_ask(&names, tagged, likely);
        stream::iter(groups.into_iter().filter(|group| asked.contains(&name(group))).collect::<Vec<_>>())
            .map(|group| async move { live(aws, search, group).await })
            .buffer_unordered(8)
            .try_filter_map(|found| async move { Ok(found) })
            .try_collect()
            .await
    }

    fn settle_reading(&self, found: &mut Vec<Live>, scope: &Scope, search: &Search) {
        settle_owners(found, scope, search);
    }

    async fn find(&self, cx: Context<'_>, desired: &Desired) -> Result<Option<Live>, ResourceError> {
        let name = desired.name()?;
        let search = Search { names: [(TYPE, [name.to_owned()].into())].into(), ..Search::default() };
        match describe(cx.aws, Some(name))
            .await?
            .into_iter()
            .find(|group| group.log_group_name.as_deref() == Some(name))
        {
            Some(group) => {
                let Some(live) = live(cx.aws, &search, group).await? else { return Ok(None) };
                // Lambda may have made it since everything was read.
                let owner = match function_of(&live) {
                    Some(name) => match super::function::read(cx.aws, name).await? {
                        Some(function) => function.owner,
                        None if function::is_generated_name(cx.aws.scope(), name) => Owner::Stack,
                        None => live.owner.clone(),
                    },
                    None => live.owner.clone(),
                };
                Ok(Some(Live { owner, ..live }))
            }
            None => Ok(None),
        }
    }

    async fn create(&self, cx: Context<'_>, desired: &Desired) -> Result<Created, ResourceError> {
        let aws = cx.aws;
        let name = desired.name()?;
        let props: Props = desired.read()?;
        let class = match props.log_group_class {
            Class::Standard => sdk::LogGroupClass::Standard,
            Class::InfrequentAccess => sdk::LogGroupClass::InfrequentAccess,
        };
        aws.call(AwsCall::new("logs", "CreateLogGroup"), || {
            aws.logs
                .create_log_group()
                .log_group_name(name)
                .log_group_class(class.clone())
                .set_tags(Some(props.tags.clone().into_iter().collect()))
                .send()
        })
        .await?;
        if let Some(days) = props.retention_in_days {
            set_retention(aws, name, Some(days)).await?;
        }
        Ok(created(aws.scope(), name))
    }

    async fn update(&self, cx: Context<'_>, live: &Live, desired: &Desired) -> Result<(), ResourceError> {
        let aws = cx.aws;
        let from: Props = live.read()?;
        let to: Props = desired.read()?;
        if from.retention_in_days != to.retention_in_days {
            set_retention(aws, &live.physical_id, to.retention_in_days).await?;
        }
        let arn = arn(aws.scope(), &live.physical_id);
        let (set, removed) = tags::difference(&from.tags, &to.tags);
        set_tags(aws, &arn, set, removed).await
    }

    async fn record(&self, aws: &Aws, id: &str, set: Tags, removed: Vec<String>) -> Result<(), ResourceError> {
        set_tags(aws, &arn(aws.scope(), id), set, removed).await
    }

    async fn delete(&self, cx: Context<'_>, live: &Live) -> Result<(), ResourceError> {
        let aws = cx.aws;
        gone_is_fine(
            aws.call(AwsCall::new("logs", "DeleteLogGroup").repeatable(), || {
                aws.logs.delete_log_group().log_group_name(&live.physical_id).send()
            })
            .await,
        )?;
        Ok(())
    }
}

async fn describe(aws: &Aws, prefix: Option<&str>) -> Result<Vec<sdk::LogGroup>, CallError> {
    pages::all(|from| async move {
        let page = aws
            .call(AwsCall::new("logs", "DescribeLogGroups"), || {
                aws.logs
                    .describe_log_groups()
                    .set_log_group_name_prefix(prefix.map(str::to_owned))
                    .set_next_token(from.clone())
                    .send()
            })
            .await?;
        Ok((page.log_groups, page.next_token))
    })
    .await
}

/// The group, if the template names it or its function, or the stack owns it, or if it carries no tags and may be one that Lambda
/// made for a function of the stack. No deployer deletes those, so we do; whose each is, `read::read` settles, which knows
/// the functions.
async fn live(aws: &Aws, search: &Search, group: sdk::LogGroup) -> Result<Option<Live>, ResourceError> {
    let name = group.log_group_name.clone().unwrap_or_default();
    let in_template = search.includes(TYPE, &name);
    let function = name.strip_prefix(LAMBDA);
    let is_of_template = in_template || function.is_some_and(|function| search.includes(function::TYPE, function));
    // One that Lambda made is called like its function, whose name can be told from others'.
    let likely = match function {
        Some(function) => function::is_generated_name(aws.scope(), function),
        None => tags::is_generated_name(&aws.scope().stack, &name),
    };
    let arn = arn(aws.scope(), &name);
    let answer = aws
        .call(AwsCall::new("logs", "ListTagsForResource"), || {
            aws.logs.list_tags_for_resource().resource_arn(&arn).send()
        })
        .await;
    let tags: Tags = match answer {
        Ok(answer) => answer.tags.unwrap_or_default().into_iter().collect(),
        Err(error) if error.is(Meaning::NotFound) => return Ok(None),
        // Whoever may not see a group's tags has not made it, unless it is called like one of ours.
        Err(error) if error.is(Meaning::Denied) && !in_template && !likely => {
            let owner = Owner::Other("an unknown owner (its tags may not be read)".to_owned());
            return Ok(is_of_template.then(|| Live { owner, ..Live::new(TYPE, &name, Value::Null) }));
        }
        Err(error) => return Err(error.into()),
    };
    let tags = aws.claimed(TYPE, &name, tags);
    let owner = tags::owner(&tags, aws.scope());
    let may_be_lambdas = function.is_some() && owner == Owner::Other(tags::UNTAGGED.to_owned());
    if owner != Owner::Stack && !is_of_template && !may_be_lambdas {
        return Ok(None);
    }
    let props = Props {
        log_group_name: Some(name.clone()),
        log_group_class: match group.log_group_class {
            Some(sdk::LogGroupClass::InfrequentAccess) => Class::InfrequentAccess,
            _ => Class::Standard,
        },
        retention_in_days: group.retention_in_days,
        tags: tags::settable(tags.clone()),
    };
    Ok(Some(Live {
        logical_id: tags.get(tags::LOGICAL_ID).cloned(),
        owner,
        deletion_policy: tags::deletion_policy(&tags),
        attributes: created(aws.scope(), &name).attributes.into_iter().chain(tags::carried(&tags)).collect(),
        ..Live::new(TYPE, &name, to_value(&props))
    }))
}

async fn set_tags(aws: &Aws, arn: &str, set: Tags, removed: Vec<String>) -> Result<(), ResourceError> {
    if !set.is_empty() {
        aws.call(AwsCall::new("logs", "TagResource").repeatable(), || {
            aws.logs.tag_resource().resource_arn(arn).set_tags(Some(set.clone().into_iter().collect())).send()
        })
        .await?;
    }
    if !removed.is_empty() {
        aws.call(AwsCall::new("logs", "UntagResource").repeatable(), || {
            aws.logs.untag_resource().resource_arn(arn).set_tag_keys(Some(removed.clone())).send()
        })
        .await?;
    }
    Ok(())
}

async fn set_retention(aws: &Aws, name: &str, days: Option<i32>) -> Result<(), ResourceError> {
    match days {
        Some(days) => {
            aws.call(AwsCall::new("logs", "PutRetentionPolicy").repeatable(), || {
                aws.logs.put_retention_policy().log_group_name(name).retention_in_days(days).send()
            })
            .await?;
        }
        None => {
            aws.call(AwsCall::new("logs", "DeleteRetentionPolicy").repeatable(), || {
                aws.logs.delete_retention_policy().log_group_name(name).send()
            })
            .await?;
        }
    }
    Ok(())
}

fn created(scope: &Scope, name: &str) -> Created {
    let attributes = [("Ref".to_owned(), name.to_owned()), ("Arn".to_owned(), format!("{}:*", arn(scope, name)))];
    Created { physical_id: name.to_owned(), attributes: attributes.into(), ..Created::default() }
}

/// Settles whose the log groups without tags are that Lambda made: whose the function is. Where there is no function
/// any more, it must have been the stack's: an earlier reading has seen it, or its name is one that only wschat gives,
/// for this stack. Leaves out all others' functions and their groups but those that the template describes, and groups
/// that merely look like the stack's, which are in doubt.
fn settle_owners(found: &mut Vec<Live>, scope: &Scope, search: &Search) {
    let functions: BTreeMap<String, Owner> = found
        .iter()
        .filter(|live| live.type_name == function::TYPE)
        .map(|live| (live.physical_id.clone(), live.owner.clone()))
        .collect();
    let mut untagged: BTreeMap<String, String> = BTreeMap::new();
    found.retain_mut(|live| {
        let Some(name) = function_of(live).map(str::to_owned) else {
            return live.type_name != function::TYPE
                || live.owner == Owner::Stack
                || search.includes(function::TYPE, &live.physical_id);
        };
        // A rollback must know what of them was there before.
        let in_template = search.includes(TYPE, &live.physical_id) || search.includes(function::TYPE, &name);
        match functions.get(&name) {
            Some(Owner::Stack) if search.earlier_groups.contains(&live.physical_id) => in_template,
            Some(Owner::Stack) => {
                live.owner = Owner::Stack;
                untagged.insert(name, live.physical_id.clone());
                true
            }
            Some(Owner::Other(owner)) => {
                live.owner = Owner::Other(owner.clone());
                in_template
            }
            None if search.functions.contains(&name) || function::is_generated_name(scope, &name) => {
                live.owner = Owner::Stack;
                true
            }
            None => in_template || tags::is_generated_name(&scope.stack, &name),
        }
    });
    for live in found.iter_mut().filter(|live| live.type_name == function::TYPE) {
        if let Some(group) = untagged.remove(&live.physical_id) {
            live.attributes.insert(function::LOG_GROUP.to_owned(), group);
        }
    }
}
