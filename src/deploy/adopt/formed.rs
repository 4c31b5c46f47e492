//! A CloudFormation stack that is to be taken over, as CloudFormation tells of it.

use std::collections::{BTreeMap, BTreeSet};

use futures_util::future::try_join_all;

use super::AdoptError;
use super::obstacles::{self, Obstacle};
use crate::aws::client::{Aws, CallError};
use crate::aws::cloudformation::{self, FormedResource, FormedStack, IN_REVIEW};
use crate::core::template::expand::same_as;
use crate::core::template::retain;
use crate::core::types;
use crate::core::types::tags::Tags;

/// A CloudFormation stack, and what CloudFormation tells of it.
#[derive(Debug, Clone)]
pub struct Formed {
    pub stack: FormedStack,
    pub resources: Vec<FormedResource>,
    /// Its template, with transforms applied.
    pub processed: String,
    /// What keeps it from being taken over.
    pub obstacles: Vec<Obstacle>,
}

impl Formed {
    /// Reads a stack by its name, when CloudFormation is not at work on it any more; `None` where there is none.
    ///
    /// # Errors
    /// When CloudFormation cannot be asked, or does not come to an end.
    pub async fn read(
        aws: &Aws,
        name: &str,
        note: &(dyn Fn(String) + Send + Sync),
    ) -> Result<Option<Self>, AdoptError> {
        let Some(stack) = cloudformation::stack(aws, name).await? else { return Ok(None) };
        // A change set that was never carried out is no end.
        let stack = match stack.is_busy() && stack.status != IN_REVIEW {
            true => cloudformation::settled(aws, &stack.id, note).await?,
            false => Some(stack),
        };
        let Some(stack) = stack else { return Ok(None) };
        if stack.status == IN_REVIEW {
            // It has no template and no resources.
            let obstacles = obstacles::find(&stack, &[], None, &BTreeMap::new(), false);
            return Ok(Some(Self { stack, resources: Vec::new(), processed: String::new(), obstacles }));
        }
        let exports = try_join_all(stack.exports.iter().map(|export| async move {
            Ok::<_, CallError>((export.clone(), cloudformation::importers(aws, export).await?))
        }));
        let (resources, processed, policy, importers) = tokio::try_join!(
            cloudformation::resources(aws, &stack.id),
            cloudformation::template(aws, &stack.id, true),
            cloudformation::stack_policy(aws, &stack.id),
            exports
        )?;
        let resources: Vec<FormedResource> =
            resources.into_iter().filter(|one| one.status != "DELETE_COMPLETE").collect();
        let is_retained = retain::unretained(&processed).map_err(AdoptError::Template)?.is_empty();
        let importers: BTreeMap<String, Vec<String>> = importers.into_iter().collect();
        let obstacles = obstacles::find(&stack, &resources, policy.as_deref(), &importers, is_retained);
        Ok(Some(Self { stack, resources, processed, obstacles }))
    }

    /// The values of the stack's parameters that may be read.
    pub fn parameters(&self) -> BTreeMap<String, String> {
        let shown = self.stack.parameters.iter().filter(|(_, value)| *value != "****");
        shown.map(|(name, value)| (name.clone(), value.clone())).collect()
    }

    /// The stack's tags, which CloudFormation has given all its resources.
    pub fn tags(&self) -> Tags {
        self.stack.tags.clone()
    }

    /// The stack's parameters whose values cannot be read (`NoEcho`).
    pub fn hidden(&self) -> BTreeSet<String> {
        self.stack.parameters.iter().filter(|(_, value)| *value == "****").map(|(name, _)| name.clone()).collect()
    }

    /// Whether CloudFormation keeps all resources when the stack goes.
    ///
    /// # Errors
    /// When its template cannot be read.
    pub fn is_retained(&self) -> Result<bool, AdoptError> {
        Ok(retain::unretained(&self.processed).map_err(AdoptError::Template)?.is_empty())
    }

    /// The logical ids of snapshots that do not have what CloudFormation has changed since they were taken: the stage serves something
    /// else than the template describes.
    pub(super) fn stale(&self) -> Result<Vec<String>, AdoptError> {
        // The times of a stack that an earlier run has changed say nothing any more.
        if let Some(noted) = retain::notes(&self.processed).map_err(AdoptError::Template)? {
            return Ok(noted);
        }
        let kind = |one: &FormedResource| types::kind(same_as::here(&one.type_name));
        let frozen = self.resources.iter().filter(|one| kind(one).is_some_and(|kind| kind.is_frozen_by_deployments()));
        let last = frozen.map(|one| one.since).max().unwrap_or(0);
        let snapshots =
            self.resources.iter().filter(|one| kind(one).is_some_and(|kind| kind.part() == types::Part::Snapshot));
        Ok(snapshots.filter(|one| one.since < last).map(|one| one.logical_id.clone()).collect())
    }
}
