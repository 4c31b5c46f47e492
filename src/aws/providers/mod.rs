//! The resource types in AWS: one file each that reads and writes one type, and one line each in `PROVIDERS`.
//!
//! What is known of a type without AWS lies in `core::types`.

pub mod account;
mod alias;
mod api;
mod api_mapping;
mod assumable;
mod authorizer;
pub mod cloud_control;
pub mod custom_resource;
mod deployment;
mod domain_name;
mod event_source_mapping;
pub mod exports;
mod foreign_permission;
mod function;
mod gateway_account;
mod gateway_tags;
mod http_api;
mod inline_policy;
mod integration;
mod integration_response;
mod layer_permission;
mod layer_version;
pub mod limits;
mod log_group;
mod managed_policy;
mod model;
pub(super) mod pages;
mod permission;
mod provisioning;
mod recorded;
mod role;
mod route;
mod route_response;
mod stage;
pub mod stored;
mod table;
mod tagged;
mod version;
mod wait;

use std::collections::{BTreeMap, BTreeSet};

use async_trait::async_trait;
use bytes::Bytes;
use serde_json::{Map, Value};
use tagged::Tagged;
use tokio::sync::{OnceCell, SetOnce};

use super::client::{Aws, CallError, Meaning};
use crate::core::iam::document::Document;
use crate::core::types::tags::Tags;
use crate::core::types::{Created, Desired, Kind, Live, PropertyError, ResourceView};
use crate::core::words::Scope;

/// What reads and writes each type.
pub static PROVIDERS: &[&dyn Provider] = &[
    &crate::core::types::alias::Alias,
    &crate::core::types::api::Api,
    &crate::core::types::api_mapping::ApiMapping,
    &crate::core::types::authorizer::Authorizer,
    &crate::core::types::custom_resource::UNNAMED,
    &crate::core::types::deployment::Deployment,
    &crate::core::types::domain_name::DomainName,
    &crate::core::types::event_source_mapping::EventSourceMapping,
    &crate::core::types::foreign_permission::ForeignPermission,
    &crate::core::types::function::Function,
    &crate::core::types::gateway_account::Account,
    &crate::core::types::inline_policy::InlinePolicy,
    &crate::core::types::integration::Integration,
    &crate::core::types::integration_response::IntegrationResponse,
    &crate::core::types::layer_permission::LayerPermission,
    &crate::core::types::layer_version::LayerVersion,
    &crate::core::types::log_group::LogGroup,
    &crate::core::types::managed_policy::ManagedPolicy,
    &crate::core::types::model::Model,
    &crate::core::types::permission::Permission,
    &crate::core::types::role::Role,
    &crate::core::types::route::Route,
    &crate::core::types::route_response::RouteResponse,
    &crate::core::types::stage::Stage,
    &crate::core::types::table::Table,
    &crate::core::types::version::Version,
];

/// The provider of a type, by its name: one of `PROVIDERS`, or that of custom resources or of the types that AWS Cloud Control
/// provisions.
pub fn provider(type_name: &str) -> Option<&'static dyn Provider> {
    let own = PROVIDERS.iter().find(|provider| provider.type_name() == type_name).copied();
    let custom = || crate::core::types::custom_resource::kind(type_name).map(|kind| kind as &dyn Provider);
    let own = own.or_else(custom);
    own.or_else(|| crate::core::types::cloud_control::kind(type_name).map(|kind| kind as &dyn Provider))
}

/// Why a resource could not be read, made, changed or removed.
#[derive(Debug, Clone, thiserror::Error)]
pub enum ResourceError {
    #[error(transparent)]
    Call(#[from] CallError),
    #[error("{0}")]
    Failed(String),
}

impl ResourceError {
    /// The same with its message changed: secrets masked.
    #[must_use]
    pub fn masked(self, mask: impl FnOnce(&str) -> String) -> Self {
        match self {
            Self::Call(error) => Self::Call(CallError { message: mask(&error.message), ..error }),
            Self::Failed(text) => Self::Failed(mask(&text)),
        }
    }

    /// The call that did not succeed, if it was one.
    pub fn call(&self) -> Option<&CallError> {
        match self {
            Self::Call(call) => Some(call),
            Self::Failed(_) => None,
        }
    }
}

impl From<PropertyError> for ResourceError {
    fn from(error: PropertyError) -> Self {
        Self::Failed(error.to_string())
    }
}

/// What providers are given to work with.
#[derive(Clone, Copy)]
pub struct Context<'a> {
    pub aws: &'a Aws,
    /// Tells the user what is being waited for.
    pub note: &'a (dyn Fn(String) + Send + Sync),
}

/// What to look for when a stack is read.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Search {
    /// Physical names that the template gives, by type: read even if others own them. Every type of the template is a key;
    /// without a template there is none.
    pub names: BTreeMap<&'static str, BTreeSet<String>>,
    /// Cloud Control's identifiers of what the template describes, by type, where they follow from it: read even if others own
    /// that.
    pub identifiers: BTreeMap<&'static str, BTreeSet<String>>,
    /// Logical ids of those types that Cloud Control identifies by nothing that the template gives: they are found by their tags.
    pub unnamed: BTreeMap<&'static str, BTreeSet<String>>,
    /// By type and name, what a list of the type must be told to have that name in it, where the template gives that.
    pub list_models: BTreeMap<(&'static str, String), Map<String, Value>>,
    /// Functions that are the stack's although they need not be there: those that an earlier reading of this run has
    /// seen, and those of the template whose names wschat makes.
    pub functions: BTreeSet<String>,
    /// Log groups that an earlier reading of this run has found without their functions: what this run creates does not make them
    /// the stack's.
    pub earlier_groups: BTreeSet<String>,
    /// Inline policies, as (role, policy name), that the template describes as resources of their own.
    /// The logical id tells equal ones apart: many templates give every role a policy of the same name.
    pub inline_policies: BTreeMap<(String, String), String>,
    /// Managed policies that the template gives to roles from the policies' side, as (role, policy ARN).
    pub attachments: Vec<(String, String)>,
    /// Whether the template has route responses: routes that have them need not show it.
    pub route_responses: bool,
    /// Whether the template has integration responses: those of proxies do nothing, and are looked at only then.
    pub integration_responses: bool,
    /// The domain names that API mappings of the template name, its own and others.
    pub mapped_domains: BTreeSet<String>,
    /// Whether the template has versions or aliases: functions that are to have them need not show it.
    pub versions: bool,
    /// Whether the template describes aliases with provisioned concurrency, which is read apart.
    pub provisioned: bool,
    /// By function, the properties that the template states and that are read apart.
    pub settings: BTreeMap<String, Vec<&'static str>>,
}

/// What to look for, which becomes known while a reading is already under way: first everything is listed, for which
/// it takes no template and no account.
#[derive(Debug, Default)]
pub struct Discovery {
    search: SetOnce<Search>,
    tagged: OnceCell<Result<Tagged, CallError>>,
}

impl From<Search> for Discovery {
    fn from(search: Search) -> Self {
        Self { search: SetOnce::from(search), tagged: OnceCell::new() }
    }
}

impl Discovery {
    /// Says what to look for. Once; later words are ignored.
    pub fn set(&self, search: Search) {
        let _ = self.search.set(search);
    }

    /// Waits until it is known what to look for.
    pub async fn wait(&self) -> &Search {
        self.search.wait().await
    }

    /// What carries the stack's tag, asked for once a reading.
    async fn tagged(&self, aws: &Aws) -> Result<&Tagged, &CallError> {
        self.tagged.get_or_init(|| tagged::read(aws)).await.as_ref()
    }
}

impl Search {
    /// Whether the template describes a resource of this type by this name.
    pub fn includes(&self, type_name: &str, name: &str) -> bool {
        self.names.get(type_name).is_some_and(|names| names.contains(name))
    }
}

/// Reads and writes one resource type in AWS.
#[async_trait]
pub trait Provider: Kind {
    /// All resources of this type that belong to the stack, and those of others whose names the template gives. For
    /// types with a parent: those inside `parents`. Before `discovery` is known, `aws` has no account to make ARNs
    /// with.
    ///
    /// # Errors
    /// When AWS cannot be read.
    async fn list(&self, aws: &Aws, discovery: &Discovery, parents: &[Live]) -> Result<Vec<Live>, ResourceError>;

    /// Adds to what a reading looks for what it takes to find a desired resource (its name is among that already).
    fn seek(&self, _it: &ResourceView<'_>, _scope: &Scope, _search: &mut Search) {}

    /// Settles in a whole reading what a single resource does not tell: whose it is, who uses it. Leaves out what
    /// `list` had to give for that and what is not the stack's.
    fn settle_reading(&self, _found: &mut Vec<Live>, _scope: &Scope, _search: &Search) {}

    /// Looks again for one resource, after a create whose answer was lost or that was told "already exists".
    ///
    /// # Errors
    /// When AWS cannot be read.
    async fn find(&self, cx: Context<'_>, desired: &Desired) -> Result<Option<Live>, ResourceError>;

    /// Creates it. It need not be ready yet when this returns: see `settle`.
    ///
    /// # Errors
    /// `Meaning::Unknown` and `Meaning::Exists` make the executor look with `find`.
    async fn create(&self, cx: Context<'_>, desired: &Desired) -> Result<Created, ResourceError>;

    /// Waits until it is ready, and does what can be done only then.
    ///
    /// # Errors
    /// When it does not become ready.
    async fn settle(&self, _cx: Context<'_>, _desired: &Desired, _id: &str) -> Result<(), ResourceError> {
        Ok(())
    }

    /// What an update of `live` into `desired` writes over and no reading tells: a function's code. `None` where there
    /// is nothing, or it cannot be had: then the update cannot be undone.
    async fn backup(&self, _cx: Context<'_>, _live: &Live, _desired: &Desired) -> Option<Bytes> {
        None
    }

    /// Changes `live` into `desired`, in place.
    ///
    /// # Errors
    /// What AWS refused.
    async fn update(&self, cx: Context<'_>, live: &Live, desired: &Desired) -> Result<(), ResourceError>;

    /// The same, and what `Ref` and `GetAtt` give after it: of types of which an update may change that
    /// (`Kind::changes_attribute`).
    ///
    /// # Errors
    /// What AWS refused.
    async fn updated(&self, cx: Context<'_>, live: &Live, desired: &Desired) -> Result<Created, ResourceError> {
        self.update(cx, live, desired).await?;
        Ok(Created::from(live.clone()))
    }

    /// Sets and removes tags of a resource that record what belongs to the stack and has no tags itself (`Kind::keeps_records`).
    ///
    /// # Errors
    /// What AWS refused.
    async fn record(&self, _aws: &Aws, _id: &str, _set: Tags, _removed: Vec<String>) -> Result<(), ResourceError> {
        Err(ResourceError::Failed(format!(
            "internal error: {} keeps no records (please report this)",
            self.type_name()
        )))
    }

    /// Puts on a resource what marks it as the stack's, which is all that `desired` has otherwise than `live`.
    ///
    /// # Errors
    /// What AWS refused.
    async fn mark(&self, cx: Context<'_>, live: &Live, desired: &Desired) -> Result<(), ResourceError> {
        self.update(cx, live, desired).await
    }

    /// Takes off a resource what marks it as the stack's: its ownership tags and those that record others, or the marker in its
    /// description. It stays as it is. One without such a mark is no error.
    ///
    /// # Errors
    /// What AWS refused.
    async fn release(&self, cx: Context<'_>, live: &Live) -> Result<(), ResourceError> {
        // The tags that tell whose it is go last: what is left when that is refused is found by them.
        let records: Vec<String> = crate::core::types::tags::records(&live.attributes).map(|(key, _)| key).collect();
        if self.keeps_records() && !records.is_empty() {
            self.record(cx.aws, &live.physical_id, Tags::new(), records).await?;
        }
        let unmarked = live.unmarked();
        if unmarked.properties != live.properties {
            self.update(cx, &live.without_records(), &unmarked).await?;
        }
        Ok(())
    }

    /// Removes it and waits until it is gone; one that is gone already is no error.
    ///
    /// # Errors
    /// What AWS refused.
    async fn delete(&self, cx: Context<'_>, live: &Live) -> Result<(), ResourceError>;
}

/// A policy document as IAM gives it.
///
/// # Errors
/// When it is none.
pub fn document(text: &str) -> Result<Document, ResourceError> {
    Document::from_url_encoded(text)
        .map_err(|error| ResourceError::Failed(format!("AWS returned a policy document that is not JSON: {error}")))
}

/// `Ok` for what is already gone.
///
/// # Errors
/// Every other failure.
pub fn gone_is_fine<T>(result: Result<T, CallError>) -> Result<(), CallError> {
    match result {
        Err(error) if !error.is(Meaning::NotFound) => Err(error),
        _ => Ok(()),
    }
}

/// An SDK structure that was built, or why it could not be: a value AWS requires is missing.
///
/// # Errors
/// When the builder refused.
pub fn built<T>(result: Result<T, aws_smithy_types::error::operation::BuildError>) -> Result<T, ResourceError> {
    result.map_err(|error| ResourceError::Failed(error.to_string()))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::core::types::TYPES;

    #[test]
    fn every_type_has_a_provider() {
        let names = |kinds: Vec<&'static str>| kinds.into_iter().collect::<BTreeSet<_>>();
        assert_eq!(
            names(TYPES.iter().map(|kind| kind.type_name()).collect()),
            names(PROVIDERS.iter().map(|provider| provider.type_name()).collect())
        );
    }
}
