//! Reads what AWS has of a stack: the one stage that does.
//!
//! All types are listed side by side, even before it is known whose account it is; then everything is asked of each that
//! may be the stack's: an API's routes, a function's tags and permissions. So a reading is two round trips deep, however many
//! resources there are. (Three for route responses, whose routes must be known first.)

use std::collections::{BTreeMap, BTreeSet};

use futures_util::future::{BoxFuture, join_all, try_join_all};

use crate::aws::client::{Aws, Call};
use crate::aws::providers::{self, PROVIDERS, Provider, ResourceError, Search, Sought};
use crate::core::stack::Stack;
use crate::core::types::{self, Live, Owner, alias, api, function, log_group, managed_policy, tags, version};
use crate::core::words::Scope;

/// What could not be read, and why.
#[derive(Debug, thiserror::Error)]
#[error("cannot read the stack's {type_name}: {error}")]
pub struct ReadError {
    pub type_name: &'static str,
    #[source]
    pub error: ResourceError,
}

/// Reads everything that belongs to the stack, and everything of others that has a name the stack wants; beside that what
/// looks like the stack's and is left alone (`left`).
///
/// # Errors
/// The first type that could not be read.
pub async fn read(aws: &Aws, sought: &Sought) -> Result<Vec<Live>, ReadError> {
    let roots = PROVIDERS.iter().filter(|provider| provider.parent().is_none());
    let found = try_join_all(roots.map(|provider| read_below(aws, sought, *provider, &[]))).await?;
    let mut found: Vec<Live> = found.into_iter().flatten().collect();
    let search = sought.wait().await;
    logs_of_functions(&mut found, aws.scope(), search);
    providers::api::settle_owners(&mut found, aws.scope(), search);
    managed_policy::settle_holders(&mut found);
    for live in found.iter_mut().filter(|live| live.owner == Owner::Other(tags::UNTAGGED.to_owned())) {
        if let Some(stack) = cloudformation_stack(aws, &live.physical_id).await {
            live.owner = Owner::Other(format!("the CloudFormation stack \"{stack}\""));
        }
    }
    Ok(found)
}

/// Settles whose the log groups without tags are that Lambda made: whose the function is. Where there is no function any
/// more, it must have been the stack's: an earlier reading has seen it, or its name is one that only wschat gives, for this
/// stack. Leaves out all others' functions and their groups but those that the template wants, and groups that merely look
/// like the stack's, which are in doubt.
fn logs_of_functions(found: &mut Vec<Live>, scope: &Scope, search: &Search) {
    let functions: BTreeMap<String, Owner> = found
        .iter()
        .filter(|live| live.type_name == function::TYPE)
        .map(|live| (live.physical_id.clone(), live.owner.clone()))
        .collect();
    let mut untagged: BTreeMap<String, String> = BTreeMap::new();
    found.retain_mut(|live| {
        let Some(name) = log_group::function_of(live).map(str::to_owned) else {
            return live.type_name != function::TYPE
                || live.owner == Owner::Stack
                || search.wants(function::TYPE, &live.physical_id);
        };
        let wanted = search.wants(log_group::TYPE, &live.physical_id);
        match functions.get(&name) {
            Some(Owner::Stack) => {
                live.owner = Owner::Stack;
                untagged.insert(name, live.physical_id.clone());
                true
            }
            Some(Owner::Other(owner)) => {
                live.owner = Owner::Other(owner.clone());
                wanted
            }
            None if search.functions.contains(&name) || function::is_generated_name(scope, &name) => {
                live.owner = Owner::Stack;
                true
            }
            None => wanted || tags::is_generated_name(&scope.stack, &name),
        }
    });
    for live in found.iter_mut().filter(|live| live.type_name == function::TYPE) {
        if let Some(group) = untagged.remove(&live.physical_id) {
            live.attributes.insert(function::LOG_GROUP.to_owned(), group);
        }
    }
}

/// What looks like the stack's and is left alone, a sentence each: what it is, why, and how to delete it. `live` is a
/// reading for no template, so nobody wants any of it.
pub fn left(live: &[Live], scope: &Scope) -> Vec<String> {
    let told = live.iter().filter_map(|one| {
        let Owner::Other(owner) = &one.owner else { return None };
        let (id, region) = (&one.physical_id, &scope.region);
        match one.type_name {
            log_group::TYPE if *owner == tags::UNTAGGED => Some(format!(
                "left: log group {id}: it carries none of wschat's tags and its function is gone, so it cannot be told whose it is\n  delete it with: aws logs delete-log-group --log-group-name {id} --region {region}"
            )),
            log_group::TYPE => Some(format!("left: log group {id}: it belongs to {owner}")),
            api::TYPE => {
                let name = one.properties["Name"].as_str().unwrap_or_default();
                Some(format!(
                    "left: API {name} ({id}): it belongs to {owner}\n  delete it with: aws apigatewayv2 delete-api --api-id {id} --region {region}"
                ))
            }
            _ => None,
        }
    });
    told.collect()
}

/// Functions that a reading has found to be the stack's. Their log groups stay the stack's when they are gone.
pub fn functions(live: &[Live]) -> impl Iterator<Item = String> + '_ {
    let ours = live.iter().filter(|live| live.type_name == function::TYPE && live.owner == Owner::Stack);
    ours.map(|live| live.physical_id.clone())
}

/// The names of all stacks that there are, by what may be read. `aws` is on behalf of all.
pub async fn stacks(aws: &Aws) -> BTreeSet<String> {
    let sought = Sought::from(Search::default());
    let roots = PROVIDERS.iter().filter(|provider| provider.parent().is_none());
    let found = join_all(roots.map(|provider| provider.list(aws, &sought, &[]))).await;
    let found = found.into_iter().flatten().flatten().filter(|live| live.owner == Owner::Stack);
    found.filter_map(|live| live.properties["Tags"][tags::STACK].as_str().map(str::to_owned)).collect()
}

/// The CloudFormation stack that manages a resource, if one does. Not every resource is tagged by CloudFormation; who
/// may not ask does without the answer.
async fn cloudformation_stack(aws: &Aws, physical_id: &str) -> Option<String> {
    let answer = aws.call(Call::new("cloudformation", "DescribeStackResources"), || {
        aws.cloudformation.describe_stack_resources().physical_resource_id(physical_id).send()
    });
    answer.await.ok()?.stack_resources.unwrap_or_default().into_iter().find_map(|resource| resource.stack_name)
}

fn read_below<'a>(
    aws: &'a Aws,
    sought: &'a Sought,
    provider: &'static dyn Provider,
    parents: &'a [Live],
) -> BoxFuture<'a, Result<Vec<Live>, ReadError>> {
    Box::pin(async move {
        let mut found = provider
            .list(aws, sought, parents)
            .await
            .map_err(|error| ReadError { type_name: provider.type_name(), error })?;
        let ours: Vec<Live> = found.iter().filter(|live| live.owner == Owner::Stack).cloned().collect();
        if !ours.is_empty() {
            let children = PROVIDERS.iter().filter(|child| child.parent() == Some(provider.type_name()));
            let below = try_join_all(children.map(|child| read_below(aws, sought, *child, &ours))).await?;
            found.extend(below.into_iter().flatten());
        }
        Ok(found)
    })
}

/// What to look for on behalf of a template.
pub fn search(stack: &Stack) -> Search {
    let mut search = Search::default();
    for resource in stack.resources.values() {
        let name = match resource.kind.type_name() {
            types::api::TYPE => resource.properties["Name"].as_str(),
            _ => resource.name.as_deref(),
        };
        if resource.kind.type_name() == function::TYPE {
            let made = function::generated_name(&stack.scope, &resource.logical_id);
            search.functions.extend(resource.name.clone().filter(|name| *name == made));
        }
        if let Some(name) = name {
            search.names.entry(resource.kind.type_name()).or_default().push(name.to_owned());
        }
        if resource.kind.type_name() == managed_policy::TYPE {
            let name = resource.name.as_deref().unwrap_or_default();
            let arn = managed_policy::arn(&stack.scope, resource.properties["Path"].as_str(), name);
            let roles = resource.properties["Roles"].as_array().into_iter().flatten().filter_map(|role| role.as_str());
            search.attachments.extend(roles.map(|role| (role.to_owned(), arn.clone())));
        }
        search.versions |= [version::TYPE, alias::TYPE].contains(&resource.kind.type_name());
        search.route_responses |= resource.kind.type_name() == types::route_response::TYPE;
        if resource.kind.type_name() == types::inline_policy::TYPE {
            let policy = resource.properties["PolicyName"].as_str().unwrap_or_default();
            let roles = resource.properties["Roles"].as_array().into_iter().flatten().filter_map(|role| role.as_str());
            let id = &resource.logical_id;
            search.inline_policies.extend(roles.map(|role| ((role.to_owned(), policy.to_owned()), id.clone())));
        }
    }
    search
}
