//! Reads and writes `AWS::IAM::Role`.

use std::collections::BTreeSet;

use async_trait::async_trait;
use aws_sdk_iam::types as sdk;
use futures_util::{StreamExt, TryStreamExt, stream};

use super::{Context, Discovery, Provider, ResourceError, Search, built, gone_is_fine, pages};
use crate::aws::client::{Aws, AwsCall, CallError, Meaning};
use crate::core::types::role::{Policy, Props, Role, TYPE, an_hour, arn, policy_attribute, serves_gateway};
use crate::core::types::tags::Tags;
use crate::core::types::{Created, Desired, Live, Owner, tags, to_value};
use crate::core::words::Scope;

#[async_trait]
impl Provider for Role {
    async fn list(&self, aws: &Aws, discovery: &Discovery, _: &[Live]) -> Result<Vec<Live>, ResourceError> {
        // One call tells of all roles what four calls would tell of each: tags, trust, inline policies, attachments.
        let roles = pages::all(|from| async move {
            let page = aws
                .call(AwsCall::new("iam", "GetAccountAuthorizationDetails"), || {
                    aws.iam
                        .get_account_authorization_details()
                        .filter(sdk::EntityType::Role)
                        .max_items(1000)
                        .set_marker(from.clone())
                        .send()
                })
                .await?;
            Ok((page.role_detail_list, page.marker.filter(|_| page.is_truncated)))
        })
        .await;
        let roles = match roles {
            // Those details show every policy of the account, which not everybody may see.
            Err(error) if error.is(Meaning::Denied) && !error.code.is_empty() => return by_name(aws, discovery).await,
            roles => roles?,
        };
        let search = discovery.wait().await;
        let reads = roles.iter().filter_map(|role| {
            let name = role.role_name.as_deref().unwrap_or_default();
            let tags = aws.claimed(TYPE, name, sdk_tags(role.tags()));
            let owner = tags::owner(&tags, aws.scope());
            let in_template = search.includes(TYPE, name);
            (owner == Owner::Stack || in_template).then(|| live(aws, search, role, tags, owner))
        });
        Ok(futures_util::future::try_join_all(reads).await?.into_iter().flatten().collect())
    }

    async fn find(&self, cx: Context<'_>, desired: &Desired) -> Result<Option<Live>, ResourceError> {
        let aws = cx.aws;
        let name = desired.name()?;
        let Some(role) = get(aws, name).await? else { return Ok(None) };
        let desired_props: Props = desired.read()?;
        let described: BTreeSet<&str> =
            desired_props.policies.iter().map(|policy| policy.policy_name.as_str()).collect();
        // Others may be described apart from the role.
        let policies = policies(aws, name, |policy| described.contains(policy)).await?;
        let owner = tags::owner(&sdk_tags(role.tags()), aws.scope());
        Ok(Some(as_read(aws, &Search::default(), role, policies, owner)?))
    }

    async fn create(&self, cx: Context<'_>, desired: &Desired) -> Result<Created, ResourceError> {
        let aws = cx.aws;
        let name = desired.name()?;
        let props: Props = desired.read()?;
        let request = aws
            .iam
            .create_role()
            .role_name(name)
            .assume_role_policy_document(props.assume_role_policy_document.text())
            .max_session_duration(props.max_session_duration)
            .set_description((!props.description.is_empty()).then(|| props.description.clone()))
            .set_permissions_boundary(props.permissions_boundary.clone())
            .set_path(props.path.clone())
            .set_tags(Some(iam_tags(&props.tags)?));
        let answer = aws.call(AwsCall::new("iam", "CreateRole"), || request.clone().send()).await?;
        aws.propagation.made(&arn(aws.scope(), props.path.as_deref(), name));
        let policies = props.policies.iter().map(|policy| put_policy(aws, name, policy));
        let attachments = props.managed_policy_arns.iter().map(|arn| attach(aws, name, arn));
        tokio::try_join!(
            futures_util::future::try_join_all(policies),
            futures_util::future::try_join_all(attachments)
        )?;
        let role_id = answer.role.map(|role| role.role_id);
        Ok(created(aws.scope(), props.path.as_deref(), name, role_id))
    }

    async fn update(&self, cx: Context<'_>, live: &Live, desired: &Desired) -> Result<(), ResourceError> {
        let aws = cx.aws;
        let name = live.physical_id.as_str();
        let from: Props = live.read()?;
        let to: Props = desired.read()?;
        if from.assume_role_policy_document != to.assume_role_policy_document {
            aws.call(AwsCall::new("iam", "UpdateAssumeRolePolicy").repeatable(), || {
                aws.iam
                    .update_assume_role_policy()
                    .role_name(name)
                    .policy_document(to.assume_role_policy_document.text())
                    .send()
            })
            .await?;
        }
        if from.description != to.description || from.max_session_duration != to.max_session_duration {
            aws.call(AwsCall::new("iam", "UpdateRole").repeatable(), || {
                aws.iam
                    .update_role()
                    .role_name(name)
                    .description(&to.description)
                    .max_session_duration(to.max_session_duration)
                    .send()
            })
            .await?;
        }
        if from.permissions_boundary != to.permissions_boundary {
            set_boundary(aws, name, to.permissions_boundary.as_deref()).await?;
        }
        // What a role gains comes before what it loses: nothing that uses it stands without permissions in between.
        for policy in to.policies.iter().filter(|policy| !from.policies.contains(policy)) {
            put_policy(aws, name, policy).await?;
        }
        for arn in to.managed_policy_arns.difference(&from.managed_policy_arns) {
            attach(aws, name, arn).await?;
        }
        for policy in &from.policies {
            if !to.policies.iter().any(|kept| kept.policy_name == policy.policy_name) {
                delete_policy(aws, name, &policy.policy_name).await?;
            }
        }
        for arn in from.managed_policy_arns.difference(&to.managed_policy_arns) {
            detach(aws, name, arn).await?;
        }
        let (set, removed) = tags::difference(&from.tags, &to.tags);
        if !set.is_empty() {
            let tags = iam_tags(&set)?;
            aws.call(AwsCall::new("iam", "TagRole").repeatable(), || {
                aws.iam.tag_role().role_name(name).set_tags(Some(tags.clone())).send()
            })
            .await?;
        }
        if !removed.is_empty() {
            aws.call(AwsCall::new("iam", "UntagRole").repeatable(), || {
                aws.iam.untag_role().role_name(name).set_tag_keys(Some(removed.clone())).send()
            })
            .await?;
        }
        Ok(())
    }

    async fn delete(&self, cx: Context<'_>, live: &Live) -> Result<(), ResourceError> {
        let aws = cx.aws;
        let name = live.physical_id.as_str();
        if serves_gateway(&live.properties)
            && let Some(arn) = live.attributes.get("Arn")
        {
            // Without it, API Gateway's setting would name a role that is gone. Who may not see it has not set it.
            match super::account::release(aws, arn).await {
                Err(error) if error.is(Meaning::Denied) => {}
                released => released?,
            }
        }
        // Read again: policies may have come since, and a role goes only without any.
        let attached = aws
            .call(AwsCall::new("iam", "ListAttachedRolePolicies"), || {
                aws.iam.list_attached_role_policies().role_name(name).send()
            })
            .await;
        let inline = aws
            .call(AwsCall::new("iam", "ListRolePolicies"), || aws.iam.list_role_policies().role_name(name).send())
            .await;
        let (attached, inline) = match (attached, inline) {
            (Err(error), _) | (_, Err(error)) if error.is(Meaning::NotFound) => return Ok(()),
            (attached, inline) => (attached?.attached_policies.unwrap_or_default(), inline?.policy_names),
        };
        for policy in attached {
            detach(aws, name, policy.policy_arn.as_deref().unwrap_or_default()).await?;
        }
        for policy in inline {
            delete_policy(aws, name, &policy).await?;
        }
        gone_is_fine(
            aws.call(AwsCall::new("iam", "DeleteRole").repeatable(), || aws.iam.delete_role().role_name(name).send())
                .await,
        )?;
        Ok(())
    }
}

/// Puts an inline policy on a role, over one of the same name.
pub(super) async fn put_policy(aws: &Aws, role: &str, policy: &Policy) -> Result<(), CallError> {
    aws.call(AwsCall::new("iam", "PutRolePolicy").repeatable(), || {
        aws.iam
            .put_role_policy()
            .role_name(role)
            .policy_name(&policy.policy_name)
            .policy_document(policy.policy_document.text())
            .send()
    })
    .await
    .map(drop)
}

/// Takes an inline policy off a role; one that is gone is no error.
pub(super) async fn delete_policy(aws: &Aws, role: &str, policy: &str) -> Result<(), CallError> {
    gone_is_fine(
        aws.call(AwsCall::new("iam", "DeleteRolePolicy").repeatable(), || {
            aws.iam.delete_role_policy().role_name(role).policy_name(policy).send()
        })
        .await,
    )
}

/// Gives a managed policy to a role.
pub(super) async fn attach(aws: &Aws, role: &str, arn: &str) -> Result<(), CallError> {
    aws.call(AwsCall::new("iam", "AttachRolePolicy").repeatable(), || {
        aws.iam.attach_role_policy().role_name(role).policy_arn(arn).send()
    })
    .await
    .map(drop)
}

/// Takes a managed policy from a role; one that it has not is no error.
pub(super) async fn detach(aws: &Aws, role: &str, arn: &str) -> Result<(), CallError> {
    gone_is_fine(
        aws.call(AwsCall::new("iam", "DetachRolePolicy").repeatable(), || {
            aws.iam.detach_role_policy().role_name(role).policy_arn(arn).send()
        })
        .await,
    )
}

async fn set_boundary(aws: &Aws, role: &str, boundary: Option<&str>) -> Result<(), CallError> {
    match boundary {
        Some(arn) => aws
            .call(AwsCall::new("iam", "PutRolePermissionsBoundary").repeatable(), || {
                aws.iam.put_role_permissions_boundary().role_name(role).permissions_boundary(arn).send()
            })
            .await
            .map(drop),
        None => gone_is_fine(
            aws.call(AwsCall::new("iam", "DeleteRolePermissionsBoundary").repeatable(), || {
                aws.iam.delete_role_permissions_boundary().role_name(role).send()
            })
            .await,
        ),
    }
}

/// A role as `GetRole` tells of it; `None` where there is none.
async fn get(aws: &Aws, name: &str) -> Result<Option<sdk::Role>, CallError> {
    match aws.call(AwsCall::new("iam", "GetRole"), || aws.iam.get_role().role_name(name).send()).await {
        Ok(answer) => Ok(answer.role),
        Err(error) if error.is(Meaning::NotFound) => Ok(None),
        Err(error) => Err(error),
    }
}

/// The policies of a role: inline ones with their documents, and those that are attached.
#[derive(Default)]
struct Policies {
    inline: Vec<sdk::PolicyDetail>,
    attached: Vec<sdk::AttachedPolicy>,
}

/// Reads the policies of a role: all that are attached, and the inline ones whose names are `asked` for.
async fn policies(aws: &Aws, role: &str, asked: impl Fn(&str) -> bool) -> Result<Policies, CallError> {
    let inline = async {
        let names = pages::below(|from| async move {
            let page = aws
                .call(AwsCall::new("iam", "ListRolePolicies"), || {
                    aws.iam.list_role_policies().role_name(role).set_marker(from.clone()).send()
                })
                .await?;
            Ok((Some(page.policy_names), page.marker.filter(|_| page.is_truncated)))
        })
        .await?;
        let documents = names.into_iter().filter(|name| asked(name)).map(|policy| async move {
            let answer = aws
                .call(AwsCall::new("iam", "GetRolePolicy"), || {
                    aws.iam.get_role_policy().role_name(role).policy_name(&policy).send()
                })
                .await;
            match answer {
                Ok(answer) => {
                    let detail = sdk::PolicyDetail::builder().policy_name(answer.policy_name);
                    Ok(Some(detail.policy_document(answer.policy_document).build()))
                }
                Err(error) if error.is(Meaning::NotFound) => Ok(None),
                Err(error) => Err(error),
            }
        });
        Ok::<_, CallError>(futures_util::future::try_join_all(documents).await?.into_iter().flatten().collect())
    };
    let attached = pages::below(|from| async move {
        let page = aws
            .call(AwsCall::new("iam", "ListAttachedRolePolicies"), || {
                aws.iam.list_attached_role_policies().role_name(role).set_marker(from.clone()).send()
            })
            .await?;
        Ok((page.attached_policies, page.marker.filter(|_| page.is_truncated)))
    });
    let (inline, attached) = tokio::try_join!(inline, attached)?;
    Ok(Policies { inline, attached })
}

/// What `list` finds, for callers who may not read the account's details: the roles that the template describes are
/// asked for by name while all are listed, and then every other one that may be the stack's. Lists show no tags, so
/// each is asked for its own; a role that the caller may not see is not one of the stack's, unless it is named like
/// one.
async fn by_name(aws: &Aws, discovery: &Discovery) -> Result<Vec<Live>, ResourceError> {
    let search = discovery.wait().await;
    let in_template = search.names.get(TYPE).into_iter().flatten().map(|name| one_by_name(aws, search, name, true));
    let listed = pages::all(|from| async move {
        let page = aws
            .call(AwsCall::new("iam", "ListRoles"), || {
                aws.iam.list_roles().max_items(1000).set_marker(from.clone()).send()
            })
            .await?;
        Ok((Some(page.roles), page.marker.filter(|_| page.is_truncated)))
    });
    let listed = async { Ok::<_, ResourceError>(listed.await?) };
    let (in_template, listed) = tokio::try_join!(futures_util::future::try_join_all(in_template), listed)?;
    let others = listed.into_iter().filter(|role| {
        // Paths of roles that AWS makes and keeps (IAM user guide, service-linked roles and Identity Center).
        let of_aws = ["/aws-service-role/", "/aws-reserved/"].iter().any(|path| role.path.starts_with(path));
        !of_aws && !search.includes(TYPE, &role.role_name)
    });
    let others: Vec<Option<Live>> = stream::iter(others)
        .map(|role| async move { one_by_name(aws, search, &role.role_name, false).await })
        .buffer_unordered(16)
        .try_collect()
        .await?;
    Ok(in_template.into_iter().chain(others).flatten().collect())
}

/// A role that is the stack's or that the template describes, with its policies if it is the stack's.
async fn one_by_name(aws: &Aws, search: &Search, name: &str, in_template: bool) -> Result<Option<Live>, ResourceError> {
    let generated = tags::is_generated_name(&aws.scope().stack, name);
    // Roles of such names are hardly ever another's: all is asked at once.
    let early = async { if generated { Some(policies(aws, name, |_| true).await) } else { None } };
    let (role, early) = tokio::join!(get(aws, name), early);
    let role = match role {
        Ok(Some(role)) => role,
        Ok(None) => return Ok(None),
        Err(error) if error.is(Meaning::Denied) && !in_template && !generated => return Ok(None),
        Err(error) => return Err(error.into()),
    };
    let owner = tags::owner(&aws.claimed(TYPE, name, sdk_tags(role.tags())), aws.scope());
    let policies = match (&owner, early) {
        (Owner::Stack, Some(early)) => early?,
        (Owner::Stack, None) => policies(aws, name, |_| true).await?,
        _ if in_template => Policies::default(),
        _ => return Ok(None),
    };
    as_read(aws, search, role, policies, owner).map(Some)
}

/// A role that was read by its name.
fn as_read(
    aws: &Aws,
    search: &Search,
    role: sdk::Role,
    policies: Policies,
    owner: Owner,
) -> Result<Live, ResourceError> {
    let tags = aws.claimed(TYPE, &role.role_name, sdk_tags(role.tags()));
    let detail = sdk::RoleDetail::builder()
        .role_name(role.role_name)
        .role_id(role.role_id)
        .path(role.path)
        .set_assume_role_policy_document(role.assume_role_policy_document)
        .set_permissions_boundary(role.permissions_boundary)
        .set_role_policy_list(Some(policies.inline))
        .set_attached_managed_policies(Some(policies.attached))
        .build();
    let properties = properties(search, &detail, &tags, role.description, role.max_session_duration)?;
    Ok(assemble(aws, &detail, &tags, owner, &properties))
}

/// A role as the account's details show it; they leave out what `GetRole` alone tells.
async fn live(
    aws: &Aws,
    search: &Search,
    detail: &sdk::RoleDetail,
    tags: Tags,
    owner: Owner,
) -> Result<Option<Live>, ResourceError> {
    let name = detail.role_name.as_deref().unwrap_or_default();
    let (description, duration) = if owner == Owner::Stack {
        match get(aws, name).await? {
            Some(role) => (role.description, role.max_session_duration),
            // The details lag behind: it is gone.
            None => return Ok(None),
        }
    } else {
        (None, None)
    };
    let properties = properties(search, detail, &tags, description, duration)?;
    Ok(Some(assemble(aws, detail, &tags, owner, &properties)))
}

fn properties(
    search: &Search,
    detail: &sdk::RoleDetail,
    tags: &Tags,
    description: Option<String>,
    max_session_duration: Option<i32>,
) -> Result<Props, ResourceError> {
    let name = detail.role_name.clone().unwrap_or_default();
    let mut policies = Vec::new();
    for policy in detail.role_policy_list() {
        let policy_name = policy.policy_name.clone().unwrap_or_default();
        // Those that the template describes as resources of their own are read there.
        if !search.inline_policies.contains_key(&(name.clone(), policy_name.clone())) {
            let policy_document = super::document(policy.policy_document.as_deref().unwrap_or_default())?;
            policies.push(Policy { policy_name, policy_document });
        }
    }
    policies.sort_by(|one, other| one.policy_name.cmp(&other.policy_name));
    Ok(Props {
        role_name: Some(name.clone()),
        assume_role_policy_document: super::document(
            detail.assume_role_policy_document.as_deref().unwrap_or_default(),
        )?,
        description: description.unwrap_or_default(),
        managed_policy_arns: detail
            .attached_managed_policies()
            .iter()
            .filter_map(|policy| policy.policy_arn.clone())
            // Those that the template gives it elsewhere are read there.
            .filter(|arn| !search.attachments.contains(&(name.clone(), arn.clone())))
            .collect(),
        max_session_duration: max_session_duration.unwrap_or_else(an_hour),
        permissions_boundary: detail
            .permissions_boundary
            .as_ref()
            .and_then(|boundary| boundary.permissions_boundary_arn.clone()),
        path: detail.path.clone().filter(|path| path != "/"),
        policies,
        tags: tags::settable(tags.clone()),
    })
}

fn assemble(aws: &Aws, detail: &sdk::RoleDetail, tags: &Tags, owner: Owner, properties: &Props) -> Live {
    let name = detail.role_name.as_deref().unwrap_or_default();
    let mut attributes = created(aws.scope(), properties.path.as_deref(), name, detail.role_id.clone()).attributes;
    attributes.extend(tags::carried(tags));
    for policy in detail.role_policy_list() {
        let document = policy.policy_document.clone().unwrap_or_default();
        attributes.insert(policy_attribute(policy.policy_name.as_deref().unwrap_or_default()), document);
    }
    Live {
        logical_id: tags.get(tags::LOGICAL_ID).cloned(),
        owner,
        deletion_policy: tags::deletion_policy(tags),
        attributes,
        ..Live::new(TYPE, name, to_value(properties))
    }
}

fn created(scope: &Scope, path: Option<&str>, name: &str, role_id: Option<String>) -> Created {
    let attributes = [("Ref".to_owned(), name.to_owned()), ("Arn".to_owned(), arn(scope, path, name))]
        .into_iter()
        .chain(role_id.map(|id| ("RoleId".to_owned(), id)))
        .collect();
    Created { physical_id: name.to_owned(), attributes, ..Created::default() }
}

fn sdk_tags(tags: &[sdk::Tag]) -> Tags {
    tags.iter().map(|tag| (tag.key.clone(), tag.value.clone())).collect()
}

pub(super) fn iam_tags(tags: &Tags) -> Result<Vec<sdk::Tag>, ResourceError> {
    tags.iter().map(|(key, value)| built(sdk::Tag::builder().key(key).value(value).build())).collect()
}
