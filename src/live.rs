//! Reads what AWS has of a stack: the one stage that does.
//!
//! All types are listed side by side, even before it is known whose account it is; then everything is asked of each that
//! may be the stack's: an API's routes, a function's tags and permissions. So a reading is two round trips deep, however many
//! resources there are. (Three for route responses, whose routes must be known first.)

use std::collections::BTreeSet;

use futures_util::future::{BoxFuture, try_join_all};

use crate::aws::{Aws, Call};
use crate::resources::{
    self, Live, Owner, PROVIDERS, Provider, ResourceError, Search, Sought, alias, function, log_group, managed_policy,
    tags, version,
};
use crate::stack::Stack;

/// What could not be read, and why.
#[derive(Debug, thiserror::Error)]
#[error("cannot read the stack's {type_name}: {error}")]
pub struct ReadError {
    pub type_name: &'static str,
    #[source]
    pub error: ResourceError,
}

/// Reads everything that belongs to the stack, and everything of others that has a name the stack wants.
///
/// # Errors
/// The first type that could not be read.
pub async fn read(aws: &Aws, sought: &Sought) -> Result<Vec<Live>, ReadError> {
    let roots = PROVIDERS.iter().filter(|provider| provider.parent().is_none());
    let found = try_join_all(roots.map(|provider| read_below(aws, sought, *provider, &[]))).await?;
    let mut found: Vec<Live> = found.into_iter().flatten().collect();
    logs_of_functions(&mut found, sought.wait().await);
    for live in found.iter_mut().filter(|live| live.owner == Owner::Other(tags::UNTAGGED.to_owned())) {
        if let Some(stack) = cloudformation_stack(aws, &live.physical_id).await {
            live.owner = Owner::Other(format!("the CloudFormation stack \"{stack}\""));
        }
    }
    Ok(found)
}

/// Settles whose the log groups without tags are that Lambda made: whose the function is.
fn logs_of_functions(found: &mut Vec<Live>, search: &Search) {
    let ours: BTreeSet<String> = found
        .iter()
        .filter(|live| live.type_name == function::TYPE && live.owner == Owner::Stack)
        .map(|live| live.physical_id.clone())
        .collect();
    for live in found.iter_mut() {
        if log_group::function_of(live).is_some_and(|function| ours.contains(function)) {
            live.owner = Owner::Stack;
        }
    }
    found.retain(|live| log_group::function_of(live).is_none() || search.wants(log_group::TYPE, &live.physical_id));
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
            resources::api::TYPE => resource.properties["Name"].as_str(),
            _ => resource.name.as_deref(),
        };
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
        search.route_responses |= resource.kind.type_name() == resources::route_response::TYPE;
        if resource.kind.type_name() == resources::inline_policy::TYPE {
            let policy = resource.properties["PolicyName"].as_str().unwrap_or_default();
            let roles = resource.properties["Roles"].as_array().into_iter().flatten().filter_map(|role| role.as_str());
            let id = &resource.logical_id;
            search.inline_policies.extend(roles.map(|role| ((role.to_owned(), policy.to_owned()), id.clone())));
        }
    }
    search
}
