//! `AWS::Logs::LogGroup`.

use async_trait::async_trait;
use aws_sdk_cloudwatchlogs::types as sdk;
use futures_util::{StreamExt, TryStreamExt, stream};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::tags::{self, Tags};
use super::{
    Attribute, Context, Created, Kind, Live, Naming, Owner, Provider, ResourceError, Search, Sought, Want, canonical,
    function, gone_is_fine, pages, to_value,
};
use crate::aws::{Aws, Call, CallError, Meaning};
use crate::core::words::{DeletionPolicy, Problem, Scope};

pub const TYPE: &str = "AWS::Logs::LogGroup";

/// Where Lambda logs to, unless a function says otherwise.
pub(crate) const LAMBDA: &str = "/aws/lambda/";

/// A CloudWatch Logs group.
pub struct LogGroup;

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Props {
    log_group_name: Option<String>,
    #[serde(default = "standard")]
    log_group_class: Class,
    /// Days; none means for ever.
    retention_in_days: Option<i32>,
    #[serde(default, deserialize_with = "tags::deserialize")]
    tags: Tags,
}

#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
enum Class {
    #[serde(rename = "STANDARD")]
    Standard,
    #[serde(rename = "INFREQUENT_ACCESS")]
    InfrequentAccess,
}

fn standard() -> Class {
    Class::Standard
}

impl Kind for LogGroup {
    fn type_name(&self) -> &'static str {
        TYPE
    }

    fn canonical(&self, properties: &Value) -> Result<Value, Vec<Problem>> {
        canonical::<Props>(properties)
    }

    fn naming(&self) -> Option<Naming> {
        Some(Naming { property: "LogGroupName", longest: 512, within: None, path: None })
    }

    fn not_yet(&self) -> &'static [&'static str] {
        &[
            "BearerTokenAuthenticationEnabled",
            "DataProtectionPolicy",
            "DeletionProtectionEnabled",
            "FieldIndexPolicies",
            "KmsKeyId",
            "ResourcePolicyDocument",
        ]
    }

    fn create_only(&self) -> &'static [&'static str] {
        &["LogGroupName", "LogGroupClass"]
    }

    fn hard(&self) -> &'static [&'static str] {
        &[]
    }

    fn attribute(&self, scope: &Scope, name: Option<&str>, attribute: Option<&str>) -> Attribute {
        let name = name.unwrap_or_default();
        match attribute {
            None => Attribute::Known(name.to_owned()),
            // CloudFormation's, unlike the API's own, ends in `:*`.
            Some("Arn") => Attribute::Known(format!("{}:*", arn(scope, name))),
            Some(_) => Attribute::Unknown(&["Arn"]),
        }
    }
}

#[async_trait]
impl Provider for LogGroup {
    fn holds_data(&self) -> bool {
        true
    }

    fn taggable(&self) -> bool {
        true
    }

    fn is(&self, want: &Want, live: &Live) -> bool {
        want.name.as_deref() == Some(&live.physical_id)
    }

    async fn list(&self, aws: &Aws, sought: &Sought, _: &[Live]) -> Result<Vec<Live>, ResourceError> {
        let groups = describe(aws, None).await?;
        let search = sought.wait().await;
        stream::iter(groups)
            .map(|group| async move { live(aws, search, group).await })
            .buffer_unordered(8)
            .try_filter_map(|found| async move { Ok(found) })
            .try_collect()
            .await
    }

    async fn find(&self, cx: Context<'_>, want: &Want) -> Result<Option<Live>, ResourceError> {
        let name = want.name()?;
        let search = Search { names: [(TYPE, vec![name.to_owned()])].into(), ..Search::default() };
        match describe(cx.aws, Some(name))
            .await?
            .into_iter()
            .find(|group| group.log_group_name.as_deref() == Some(name))
        {
            Some(group) => {
                let Some(live) = live(cx.aws, &search, group).await? else { return Ok(None) };
                // Lambda may have made it since everything was read.
                let owner = match function_of(&live) {
                    Some(name) => match function::read(cx.aws, name).await? {
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

    async fn create(&self, cx: Context<'_>, want: &Want) -> Result<Created, ResourceError> {
        let aws = cx.aws;
        let name = want.name()?;
        let props: Props = want.read()?;
        let class = match props.log_group_class {
            Class::Standard => sdk::LogGroupClass::Standard,
            Class::InfrequentAccess => sdk::LogGroupClass::InfrequentAccess,
        };
        aws.call(Call::new("logs", "CreateLogGroup").once(), || {
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

    async fn update(&self, cx: Context<'_>, live: &Live, want: &Want) -> Result<(), ResourceError> {
        let aws = cx.aws;
        let from: Props = live.read()?;
        let to: Props = want.read()?;
        if from.retention_in_days != to.retention_in_days {
            set_retention(aws, &live.physical_id, to.retention_in_days).await?;
        }
        let arn = arn(aws.scope(), &live.physical_id);
        let (set, removed) = tags::difference(&from.tags, &to.tags);
        if !set.is_empty() {
            aws.call(Call::new("logs", "TagResource"), || {
                aws.logs.tag_resource().resource_arn(&arn).set_tags(Some(set.clone().into_iter().collect())).send()
            })
            .await?;
        }
        if !removed.is_empty() {
            aws.call(Call::new("logs", "UntagResource"), || {
                aws.logs.untag_resource().resource_arn(&arn).set_tag_keys(Some(removed.clone())).send()
            })
            .await?;
        }
        Ok(())
    }

    async fn delete(&self, cx: Context<'_>, live: &Live) -> Result<(), ResourceError> {
        let aws = cx.aws;
        gone_is_fine(
            aws.call(Call::new("logs", "DeleteLogGroup"), || {
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
            .call(Call::new("logs", "DescribeLogGroups"), || {
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

/// Whether a group without tags may be one that Lambda made for a function of this name: then it is whose the function
/// is.
pub(crate) fn function_of(live: &Live) -> Option<&str> {
    let untagged = live.owner == Owner::Other(tags::UNTAGGED.to_owned());
    live.physical_id.strip_prefix(LAMBDA).filter(|_| untagged && live.type_name == TYPE)
}

/// The function whose lines a group without tags of wschat's holds, by its name.
pub(crate) fn made_by_lambda(live: &Live) -> Option<&str> {
    let tagged = live.properties["Tags"].get(tags::STACK).is_some();
    live.physical_id.strip_prefix(LAMBDA).filter(|_| live.type_name == TYPE && !tagged)
}

/// Puts the stack's tags on a group that is the stack's because its function is; one that is gone is no error.
///
/// # Errors
/// What AWS refused.
pub(super) async fn tag_as_ours(aws: &Aws, name: &str) -> Result<(), ResourceError> {
    let arn = arn(aws.scope(), name);
    // Without a logical id: the template does not describe it.
    let mut tags = tags::ownership(aws.scope(), "", DeletionPolicy::Delete);
    tags.remove(tags::LOGICAL_ID);
    gone_is_fine(
        aws.call(Call::new("logs", "TagResource"), || {
            aws.logs.tag_resource().resource_arn(&arn).set_tags(Some(tags.clone().into_iter().collect())).send()
        })
        .await,
    )?;
    Ok(())
}

/// The group, if the stack wants or owns it, or if it carries no tags and may be one that Lambda made for a function of the
/// stack. No deployer deletes those, so we do; whose each is, `live::read` settles, which knows the functions.
async fn live(aws: &Aws, search: &Search, group: sdk::LogGroup) -> Result<Option<Live>, ResourceError> {
    let name = group.log_group_name.clone().unwrap_or_default();
    let wanted = search.wants(TYPE, &name);
    let function = name.strip_prefix(LAMBDA);
    // One that Lambda made is called like its function, whose name can be told from others'.
    let likely = match function {
        Some(function) => function::is_generated_name(aws.scope(), function),
        None => tags::is_generated_name(&aws.scope().stack, &name),
    };
    let arn = arn(aws.scope(), &name);
    let answer = aws
        .call(Call::new("logs", "ListTagsForResource"), || aws.logs.list_tags_for_resource().resource_arn(&arn).send())
        .await;
    let tags: Tags = match answer {
        Ok(answer) => answer.tags.unwrap_or_default().into_iter().collect(),
        Err(error) if error.is(Meaning::NotFound) => return Ok(None),
        // Whoever may not see a group's tags has not made it, unless it is called like one of ours.
        Err(error) if error.is(Meaning::Denied) && !wanted && !likely => return Ok(None),
        Err(error) => return Err(error.into()),
    };
    let owner = tags::owner(&tags, aws.scope());
    if owner != Owner::Stack && !wanted && (function.is_none() || owner != Owner::Other(tags::UNTAGGED.to_owned())) {
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
        attributes: created(aws.scope(), &name).attributes,
        ..Live::new(TYPE, &name, to_value(&props))
    }))
}

async fn set_retention(aws: &Aws, name: &str, days: Option<i32>) -> Result<(), ResourceError> {
    match days {
        Some(days) => {
            aws.call(Call::new("logs", "PutRetentionPolicy"), || {
                aws.logs.put_retention_policy().log_group_name(name).retention_in_days(days).send()
            })
            .await?;
        }
        None => {
            aws.call(Call::new("logs", "DeleteRetentionPolicy"), || {
                aws.logs.delete_retention_policy().log_group_name(name).send()
            })
            .await?;
        }
    }
    Ok(())
}

fn arn(scope: &Scope, name: &str) -> String {
    scope.arn("logs", &format!("log-group:{name}"))
}

fn created(scope: &Scope, name: &str) -> Created {
    let attributes = [("Ref".to_owned(), name.to_owned()), ("Arn".to_owned(), format!("{}:*", arn(scope, name)))];
    Created { physical_id: name.to_owned(), attributes: attributes.into() }
}
