//! Reads what AWS has of a stack: the one stage that does.
//!
//! All types are listed side by side, even before it is known whose account it is; then everything is asked of each
//! that may be the stack's: an API's routes, a function's tags and permissions. So a reading is two round trips deep,
//! however many resources there are. (Three for route responses, whose routes must be known first.)

use std::collections::BTreeSet;

use futures_util::future::{BoxFuture, join_all, try_join_all};

use crate::aws::client::{Aws, AwsCall};
use crate::aws::cloudformation;
use crate::aws::providers::{
    Discovery, PROVIDERS, Provider, ResourceError, Search, cloud_control, custom_resource, provider,
};
use crate::core::stack::Stack;
use crate::core::template::retain;
use crate::core::types::cloud_control::record as cloud_control_record;
use crate::core::types::{self, Kind, Live, Owner, Part, TYPES, tags};
use crate::core::words::Scope;

/// What could not be read, and why.
#[derive(Debug, thiserror::Error)]
#[error("cannot read the stack's {}: {error}", types::shown_type(type_name))]
pub struct ReadError {
    pub type_name: &'static str,
    #[source]
    pub error: ResourceError,
}

impl From<cloud_control::Unread> for ReadError {
    fn from((type_name, error): cloud_control::Unread) -> Self {
        Self { type_name, error }
    }
}

/// Reads everything that belongs to the stack, and everything of others that has a name that the template gives; beside
/// that what looks like the stack's and is left alone (`left`).
///
/// # Errors
/// The first type that could not be read.
pub async fn read(aws: &Aws, discovery: &Discovery) -> Result<Vec<Live>, ReadError> {
    let roots = PROVIDERS.iter().filter(|provider| provider.parent().is_none());
    let own = try_join_all(roots.map(|provider| read_below(aws, discovery, *provider, &[])));
    let others = async { Ok(cloud_control::list(aws, discovery).await?) };
    let (own, mut others) = tokio::try_join!(own, others)?;
    let mut found: Vec<Live> = own.into_iter().flatten().chain(std::mem::take(&mut others.live)).collect();
    let search = discovery.wait().await;
    for provider in PROVIDERS {
        provider.settle_reading(&mut found, aws.scope(), search);
    }
    let custom = async { Ok(custom_resource::list(aws, &found).await?) };
    let (recorded, custom) =
        tokio::try_join!(async { Ok::<_, ReadError>(others.recorded(aws, &found).await?) }, custom)?;
    found.extend(recorded.into_iter().chain(custom));
    let unexplained = [tags::UNTAGGED, cloud_control_record::UNRECORDED];
    let is_unexplained =
        |live: &&mut Live| unexplained.iter().any(|owner| live.owner == Owner::Other((*owner).to_owned()));
    for live in found.iter_mut().filter(is_unexplained) {
        if let Some(stack) = cloudformation_stack(aws, &live.physical_id).await {
            live.owner = Owner::Other(format!("the CloudFormation stack \"{stack}\""));
        }
    }
    Ok(found)
}

/// What looks like the stack's and is left alone, a sentence each: what it is, why, and how to delete it. `live` is a
/// reading for no template, so none of it is in a template.
pub fn left(live: &[Live], scope: &Scope) -> Vec<String> {
    let told = live.iter().filter_map(|one| {
        let Owner::Other(owner) = &one.owner else { return None };
        types::kind(one.type_name)?.left(one, owner, scope)
    });
    told.collect()
}

/// Functions that a reading has found to be the stack's. Their log groups stay the stack's when they are gone.
pub fn functions(live: &[Live]) -> impl Iterator<Item = String> + '_ {
    let has_byproduct =
        |live: &&Live| types::kind(live.type_name).is_some_and(|kind| kind.byproduct(&live.physical_id).is_some());
    let ours = live.iter().filter(|live| live.owner == Owner::Stack);
    ours.filter(has_byproduct).map(|live| live.physical_id.clone())
}

/// Log groups of functions that do not exist, and that do not make them the stack's when they do: another owner's, or in doubt.
pub fn earlier_groups(live: &[Live]) -> impl Iterator<Item = String> + '_ {
    let others = live.iter().filter(|one| one.owner != Owner::Stack);
    let without_owner = others.filter(|one| {
        let owned_by = types::kind(one.type_name).and_then(|kind| kind.owned_by(one));
        owned_by.is_some_and(|(type_name, name)| {
            !live.iter().any(|owner| owner.type_name == type_name && owner.physical_id == name)
        })
    });
    without_owner.map(|one| one.physical_id.clone())
}

/// What the stack's clients connect to, with the APIs that it is in.
///
/// # Errors
/// When AWS cannot be read.
pub async fn entries(aws: &Aws) -> Result<Vec<Live>, ResourceError> {
    some(aws, |kind| kind.part() == Part::Entry).await
}

/// The stack's resources of those types that are `wanted`, with what they live inside of.
///
/// # Errors
/// When AWS cannot be read.
pub async fn some(aws: &Aws, wanted: impl Fn(&dyn Kind) -> bool) -> Result<Vec<Live>, ResourceError> {
    let mut kinds: Vec<&'static dyn Kind> = Vec::new();
    for kind in TYPES.iter().copied().filter(|kind| wanted(*kind)) {
        let chain = std::iter::successors(Some(kind), |kind| types::kind(kind.parent()?));
        for kind in chain.collect::<Vec<_>>().into_iter().rev() {
            if kinds.iter().all(|known| known.type_name() != kind.type_name()) {
                kinds.push(kind);
            }
        }
    }
    let discovery = Discovery::from(Search::default());
    let mut found: Vec<Live> = Vec::new();
    for kind in &kinds {
        let Some(provider) = provider(kind.type_name()) else { continue };
        let parents: Vec<Live> = found.iter().filter(|live| Some(live.type_name) == kind.parent()).cloned().collect();
        found.extend(provider.list(aws, &discovery, &parents).await?);
        found.retain(|one| one.owner == Owner::Stack);
    }
    for provider in kinds.iter().filter_map(|kind| provider(kind.type_name())) {
        provider.settle_reading(&mut found, aws.scope(), &Search::default());
    }
    found.retain(|one| one.owner == Owner::Stack);
    Ok(found)
}

/// Whether resources of a type are parts of an API: its stages, routes, integrations.
pub fn is_within_api(kind: &dyn Kind) -> bool {
    kind.parent().and_then(types::kind).is_some_and(|parent| parent.part() == Part::Api)
}

/// The names of all stacks that there are, by what may be read. `aws` is on behalf of all.
pub async fn stacks(aws: &Aws) -> BTreeSet<String> {
    let discovery = Discovery::from(Search::default());
    let roots = PROVIDERS.iter().filter(|provider| provider.parent().is_none());
    let own = join_all(roots.map(|provider| provider.list(aws, &discovery, &[])));
    let (found, others) = tokio::join!(own, cloud_control::list(aws, &discovery));
    let found = found.into_iter().flatten().flatten().chain(others.unwrap_or_default().live);
    let found = found.filter(|live| live.owner == Owner::Stack);
    found.filter_map(|live| live.properties["Tags"][tags::STACK].as_str().map(str::to_owned)).collect()
}

/// The CloudFormation stack that manages a resource, if one does. Not every resource is tagged by CloudFormation; who
/// may not ask does without the answer.
async fn cloudformation_stack(aws: &Aws, physical_id: &str) -> Option<String> {
    let answer = aws.call(AwsCall::new("cloudformation", "DescribeStackResources"), || {
        aws.cloudformation.describe_stack_resources().physical_resource_id(physical_id).send()
    });
    answer.await.ok()?.stack_resources.unwrap_or_default().into_iter().find_map(|resource| resource.stack_name)
}

/// A CloudFormation stack that has resources of a stack of wschat's, too: one takes over what the other has.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StillFormed {
    pub name: String,
    /// Whether all of its resources stay when it is deleted.
    pub keeps_all: bool,
}

/// The CloudFormation stack that still has resources of the stack in `live`: taking it over is not finished, or handing it over. Who may
/// not ask does without the answer.
pub async fn still_formed(aws: &Aws, live: &[Live]) -> Option<StillFormed> {
    let ours = live.iter().filter(|one| one.owner == Owner::Stack);
    let formed_by: BTreeSet<&String> = ours.filter_map(|one| one.attributes.get(tags::FORMED_BY)).collect();
    for id in formed_by {
        if let Ok(Some(stack)) = cloudformation::stack(aws, id).await
            && !stack.is_deleted()
        {
            let template = cloudformation::template(aws, id, true).await;
            let keeps_all = stack.status.ends_with("_COMPLETE") && template.is_ok_and(|text| retain::keeps_all(&text));
            return Some(StillFormed { name: stack.name, keeps_all });
        }
    }
    None
}

fn read_below<'a>(
    aws: &'a Aws,
    discovery: &'a Discovery,
    provider: &'static dyn Provider,
    parents: &'a [Live],
) -> BoxFuture<'a, Result<Vec<Live>, ReadError>> {
    Box::pin(async move {
        let mut found = provider
            .list(aws, discovery, parents)
            .await
            .map_err(|error| ReadError { type_name: provider.type_name(), error })?;
        let ours: Vec<Live> = found.iter().filter(|live| live.owner == Owner::Stack).cloned().collect();
        if !ours.is_empty() {
            let children = PROVIDERS.iter().filter(|child| child.parent() == Some(provider.type_name()));
            let below = try_join_all(children.map(|child| read_below(aws, discovery, *child, &ours))).await?;
            found.extend(below.into_iter().flatten());
        }
        Ok(found)
    })
}

/// What to look for on behalf of a template.
pub fn search(stack: &Stack) -> Search {
    let mut search = Search::default();
    for resource in stack.resources.values() {
        let known_by = resource.kind.known_by().and_then(|property| resource.properties[property].as_str());
        let name = known_by.or(resource.name.as_deref());
        search.names.entry(resource.kind.type_name()).or_default().extend(name.map(str::to_owned));
        if let Some(provider) = provider(resource.kind.type_name()) {
            provider.seek(&resource.view(), &stack.scope, &mut search);
        }
    }
    search
}
