//! Reads and writes `AWS::IAM::ManagedPolicy`.

use std::collections::BTreeSet;
use std::time::Duration;

use async_trait::async_trait;
use aws_sdk_iam::types as sdk;
use futures_util::{StreamExt, TryStreamExt, stream};
use serde_json::Value;
use tokio::time::Instant;

use super::{Context, Discovery, Provider, ResourceError, Search, gone_is_fine, pages};
use crate::aws::client::{Aws, AwsCall, CallError, Meaning};
use crate::core::iam::document::Document;
use crate::core::types::managed_policy::{
    ENTITIES, Entity, ManagedPolicy, Props, TYPE, VERSIONS, arn, holders, settle_holders,
};
use crate::core::types::tags::Tags;
use crate::core::types::{Created, Desired, Live, Owner, ResourceView, tags, to_value};
use crate::core::words::Scope;

#[async_trait]
impl Provider for ManagedPolicy {
    async fn list(&self, aws: &Aws, discovery: &Discovery, _: &[Live]) -> Result<Vec<Live>, ResourceError> {
        let policies = pages::all(|from| async move {
            let page = aws
                .call(AwsCall::new("iam", "ListPolicies"), || {
                    aws.iam
                        .list_policies()
                        .scope(sdk::PolicyScopeType::Local)
                        .max_items(1000)
                        .set_marker(from.clone())
                        .send()
                })
                .await?;
            Ok((page.policies, page.marker.filter(|_| page.is_truncated)))
        })
        .await?;
        let search = discovery.wait().await;
        stream::iter(policies.into_iter().filter_map(|policy| Some((policy.policy_name?, policy.arn?))))
            .map(|(name, arn)| async move {
                let in_template = search.includes(TYPE, &name);
                let likely = in_template || tags::is_generated_name(&aws.scope().stack, &name);
                match read(aws, &arn, &given_from_here(search, &arn)).await {
                    // Whoever may not see a policy has not made it, unless it is called like one of ours.
                    Err(ResourceError::Call(error)) if error.is(Meaning::Denied) && !likely => Ok(None),
                    found => Ok(found?.filter(|live| live.owner == Owner::Stack || in_template)),
                }
            })
            .buffer_unordered(16)
            .try_filter_map(|found| async move { Ok(found) })
            .try_collect()
            .await
    }

    fn seek(&self, it: &ResourceView<'_>, scope: &Scope, search: &mut Search) {
        let arn = arn(scope, it.properties["Path"].as_str(), it.name.unwrap_or_default());
        search.attachments.extend(it.texts("Roles").map(|role| (role.to_owned(), arn.clone())));
    }

    fn settle_reading(&self, found: &mut Vec<Live>, _: &Scope, _: &Search) {
        settle_holders(found);
    }

    async fn find(&self, cx: Context<'_>, desired: &Desired) -> Result<Option<Live>, ResourceError> {
        let props: Props = desired.read()?;
        read(cx.aws, &arn(cx.aws.scope(), props.path.as_deref(), desired.name()?), &props.roles).await
    }

    async fn create(&self, cx: Context<'_>, desired: &Desired) -> Result<Created, ResourceError> {
        let aws = cx.aws;
        let name = desired.name()?;
        let props: Props = desired.read()?;
        let tags = super::role::iam_tags(&props.tags)?;
        let answer = aws
            .call(AwsCall::new("iam", "CreatePolicy"), || {
                aws.iam
                    .create_policy()
                    .policy_name(name)
                    .policy_document(props.policy_document.text())
                    .set_path(props.path.clone())
                    .set_description((!props.description.is_empty()).then(|| props.description.clone()))
                    .set_tags(Some(tags.clone()))
                    .send()
            })
            .await?;
        let arn = arn(aws.scope(), props.path.as_deref(), name);
        for role in &props.roles {
            super::role::attach(aws, role, &arn).await?;
        }
        Ok(created(name, &arn, answer.policy.and_then(|policy| policy.policy_id)))
    }

    async fn update(&self, cx: Context<'_>, live: &Live, desired: &Desired) -> Result<(), ResourceError> {
        let aws = cx.aws;
        let from: Props = live.read()?;
        let to: Props = desired.read()?;
        let arn = arn(aws.scope(), from.path.as_deref(), &live.physical_id);
        if from.policy_document != to.policy_document {
            let mut older = older_versions(aws, &arn).await?;
            if older.len() + 1 >= VERSIONS {
                older.truncate(1);
                delete_versions(aws, &arn, &older).await?;
            }
            new_version(aws, &arn, &to).await?;
        }
        for role in to.roles.difference(&from.roles) {
            super::role::attach(aws, role, &arn).await?;
        }
        for role in from.roles.difference(&to.roles) {
            super::role::detach(aws, role, &arn).await?;
        }
        let (set, removed) = tags::difference(&from.tags, &to.tags);
        if !set.is_empty() {
            let tags = super::role::iam_tags(&set)?;
            aws.call(AwsCall::new("iam", "TagPolicy").repeatable(), || {
                aws.iam.tag_policy().policy_arn(&arn).set_tags(Some(tags.clone())).send()
            })
            .await?;
        }
        if !removed.is_empty() {
            aws.call(AwsCall::new("iam", "UntagPolicy").repeatable(), || {
                aws.iam.untag_policy().policy_arn(&arn).set_tag_keys(Some(removed.clone())).send()
            })
            .await?;
        }
        Ok(())
    }

    async fn delete(&self, cx: Context<'_>, live: &Live) -> Result<(), ResourceError> {
        let aws = cx.aws;
        let props: Props = live.read()?;
        let arn = arn(aws.scope(), props.path.as_deref(), &live.physical_id);
        // It goes only when nothing has it and no older version is left.
        let (entities, older) = match tokio::join!(entities(aws, &arn), older_versions(aws, &arn)) {
            (Err(error), _) | (_, Err(error)) if error.is(Meaning::NotFound) => return Ok(()),
            (entities, older) => (entities?, older?),
        };
        // Others may have taken it since the plan was made.
        let ours = holders(live).map(|holders| holders.ours).unwrap_or_default();
        let (ours, others): (Vec<&Entity>, Vec<&Entity>) = entities.iter().partition(|entity| match entity {
            Entity::Role(role) => ours.contains(role) || props.roles.contains(role),
            Entity::Other(_) => false,
        });
        if !others.is_empty() {
            let others: Vec<String> = others.into_iter().map(ToString::to_string).collect();
            return Err(ResourceError::Failed(format!("{} uses it, which is not this stack's", others.join(", "))));
        }
        for entity in ours {
            if let Entity::Role(role) = entity {
                super::role::detach(aws, role, &arn).await?;
            }
        }
        delete_versions(aws, &arn, &older).await?;
        gone_is_fine(
            aws.call(AwsCall::new("iam", "DeletePolicy").repeatable(), || {
                aws.iam.delete_policy().policy_arn(&arn).send()
            })
            .await,
        )?;
        Ok(())
    }
}

/// The roles that the template gives a policy from the policy's side.
fn given_from_here(search: &Search, arn: &str) -> BTreeSet<String> {
    search.attachments.iter().filter(|(_, policy)| policy == arn).map(|(role, _)| role.clone()).collect()
}

/// A policy as it is; of the roles that have it, those that are `given` it from here.
async fn read(aws: &Aws, arn: &str, given: &BTreeSet<String>) -> Result<Option<Live>, ResourceError> {
    let answer = aws.call(AwsCall::new("iam", "GetPolicy"), || aws.iam.get_policy().policy_arn(arn).send()).await;
    let policy = match answer {
        Ok(answer) => answer.policy,
        Err(error) if error.is(Meaning::NotFound) => None,
        Err(error) => return Err(error.into()),
    };
    let Some(policy) = policy else { return Ok(None) };
    let tags: Tags = policy.tags().iter().map(|tag| (tag.key.clone(), tag.value.clone())).collect();
    let name = policy.policy_name.unwrap_or_default();
    let tags = aws.claimed(TYPE, &name, tags);
    let owner = tags::owner(&tags, aws.scope());
    let mut attributes = created(&name, arn, policy.policy_id).attributes;
    let (document, roles) = if owner == Owner::Stack {
        let version = policy.default_version_id.unwrap_or_default();
        let in_force = aws.call(AwsCall::new("iam", "GetPolicyVersion"), || {
            aws.iam.get_policy_version().policy_arn(arn).version_id(&version).send()
        });
        let (in_force, entities) = match tokio::join!(in_force, entities(aws, arn)) {
            // It has gone meanwhile.
            (Err(error), _) | (_, Err(error)) if error.is(Meaning::NotFound) => return Ok(None),
            (in_force, entities) => (in_force?, entities?),
        };
        let document = in_force.policy_version.and_then(|version| version.document).unwrap_or_default();
        let names = |entity: &Entity| match entity {
            Entity::Role(role) => Some(role.clone()),
            Entity::Other(_) => None,
        };
        let roles: BTreeSet<String> = entities.iter().filter_map(names).collect();
        attributes.insert(ENTITIES.to_owned(), serde_json::to_string(&entities).unwrap_or_default());
        (super::document(&document)?, &roles & given)
    } else {
        (Document::from(Value::Null), BTreeSet::new())
    };
    let props = Props {
        managed_policy_name: Some(name.clone()),
        description: policy.description.unwrap_or_default(),
        path: policy.path.filter(|path| path != "/"),
        policy_document: document,
        roles,
        tags: tags::settable(tags.clone()),
    };
    Ok(Some(Live {
        logical_id: tags.get(tags::LOGICAL_ID).cloned(),
        owner,
        deletion_policy: tags::deletion_policy(&tags),
        attributes,
        ..Live::new(TYPE, &name, to_value(&props))
    }))
}

/// All that has a policy.
async fn entities(aws: &Aws, arn: &str) -> Result<BTreeSet<Entity>, CallError> {
    let entities = pages::all(|from| async move {
        let page = aws
            .call(AwsCall::new("iam", "ListEntitiesForPolicy"), || {
                aws.iam.list_entities_for_policy().policy_arn(arn).set_marker(from.clone()).send()
            })
            .await?;
        let roles = page.policy_roles.unwrap_or_default().into_iter().filter_map(|role| role.role_name);
        let users = page.policy_users.unwrap_or_default().into_iter().filter_map(|user| user.user_name);
        let groups = page.policy_groups.unwrap_or_default().into_iter().filter_map(|group| group.group_name);
        let entities: Vec<Entity> = roles
            .map(Entity::Role)
            .chain(users.map(|user| Entity::Other(format!("user {user}"))))
            .chain(groups.map(|group| Entity::Other(format!("group {group}"))))
            .collect();
        Ok((Some(entities), page.marker.filter(|_| page.is_truncated)))
    })
    .await?;
    Ok(entities.into_iter().collect())
}

/// Makes the wanted document the policy's default version. After a lost answer it looks before it tries again: IAM
/// keeps five versions, and a second one of the same document would take a place.
async fn new_version(aws: &Aws, arn: &str, to: &Props) -> Result<(), ResourceError> {
    let begun = Instant::now();
    loop {
        let made = aws.call(AwsCall::new("iam", "CreatePolicyVersion"), || {
            aws.iam
                .create_policy_version()
                .policy_arn(arn)
                .policy_document(to.policy_document.text())
                .set_as_default(true)
                .send()
        });
        match made.await {
            Ok(_) => return Ok(()),
            Err(error) if error.is(Meaning::Unknown) && begun.elapsed() < PATIENCE => {}
            Err(error) => return Err(error.into()),
        }
        // What IAM tells lags behind what it has.
        for pause in LOOKS {
            tokio::time::sleep(pause).await;
            let now = read(aws, arn, &BTreeSet::new()).await?.map(|live| live.read::<Props>()).transpose()?;
            if now.is_some_and(|now| now.policy_document == to.policy_document) {
                return Ok(());
            }
        }
    }
}

/// For how long a new version is tried whose answers are lost.
const PATIENCE: Duration = Duration::from_secs(45);

/// The pauses before each look whether a version is there whose answer was lost.
const LOOKS: [Duration; 4] =
    [Duration::from_millis(200), Duration::from_millis(500), Duration::from_secs(1), Duration::from_secs(2)];

/// The versions of a policy that are not in force, the oldest first.
async fn older_versions(aws: &Aws, arn: &str) -> Result<Vec<String>, CallError> {
    let versions = pages::all(|from| async move {
        let page = aws
            .call(AwsCall::new("iam", "ListPolicyVersions"), || {
                aws.iam.list_policy_versions().policy_arn(arn).set_marker(from.clone()).send()
            })
            .await?;
        Ok((page.versions, page.marker.filter(|_| page.is_truncated)))
    })
    .await?;
    let mut older: Vec<_> = versions.into_iter().filter(|version| !version.is_default_version).collect();
    older.sort_by_key(|version| version.create_date.map(|made| made.as_nanos()));
    Ok(older.into_iter().filter_map(|version| version.version_id).collect())
}

async fn delete_versions(aws: &Aws, arn: &str, versions: &[String]) -> Result<(), CallError> {
    for version in versions {
        gone_is_fine(
            aws.call(AwsCall::new("iam", "DeletePolicyVersion").repeatable(), || {
                aws.iam.delete_policy_version().policy_arn(arn).version_id(version).send()
            })
            .await,
        )?;
    }
    Ok(())
}

fn created(name: &str, arn: &str, id: Option<String>) -> Created {
    let attributes =
        [("Ref".to_owned(), arn.to_owned())].into_iter().chain(id.map(|id| ("PolicyId".to_owned(), id))).collect();
    Created { physical_id: name.to_owned(), attributes, ..Created::default() }
}
