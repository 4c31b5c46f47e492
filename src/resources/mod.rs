//! The resource types: one file each, and one line each in `PROVIDERS`.
//!
//! A type has two sides. `Kind` is what can be said of it without asking anybody: its properties, its names, its
//! attributes. `Provider` reads and writes it in AWS.

pub mod account;
pub mod alias;
pub mod api;
pub mod authorizer;
pub mod constraints;
pub mod deployment;
pub mod foreign_permission;
pub mod function;
pub mod inline_policy;
pub mod integration;
pub mod log_group;
pub mod managed_policy;
pub mod mark;
mod pages;
pub mod permission;
pub mod role;
pub mod route;
pub mod route_response;
pub mod stage;
pub mod table;
pub mod tags;
pub mod version;
mod wait;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use async_trait::async_trait;
use bytes::Bytes;
use serde::de::DeserializeOwned;
use serde_json::Value;

use self::constraints::Refusal;
use crate::aws::{Aws, CallError};
use crate::core::iam::document::Document;
use crate::core::words::{DeletionPolicy, Problem, Scope, deserialize};

/// All resource types that wschat provisions itself.
pub static PROVIDERS: &[&dyn Provider] = &[
    &alias::Alias,
    &api::Api,
    &authorizer::Authorizer,
    &deployment::Deployment,
    &foreign_permission::ForeignPermission,
    &function::Function,
    &inline_policy::InlinePolicy,
    &integration::Integration,
    &log_group::LogGroup,
    &managed_policy::ManagedPolicy,
    &permission::Permission,
    &role::Role,
    &route::Route,
    &route_response::RouteResponse,
    &stage::Stage,
    &table::Table,
    &version::Version,
];

/// The pure side of all types that templates have.
pub fn kinds() -> Vec<&'static dyn Kind> {
    let of_templates = PROVIDERS.iter().filter(|provider| provider.type_name() != foreign_permission::TYPE);
    of_templates.map(|provider| *provider as &dyn Kind).collect()
}

/// The provider of a type, by its name.
pub fn provider(type_name: &str) -> Option<&'static dyn Provider> {
    PROVIDERS.iter().find(|provider| provider.type_name() == type_name).copied()
}

/// One AWS resource type, as far as it is known without asking AWS.
pub trait Kind: Send + Sync + 'static {
    /// `AWS::DynamoDB::Table`.
    fn type_name(&self) -> &'static str;

    /// Reads template properties (tokens may stand inside strings) as this type's and gives them back in canonical
    /// form: AWS's defaults filled in, documents in one spelling, so that equal resources have equal properties.
    ///
    /// # Errors
    /// Every unknown, missing or ill-typed property, its path relative to `Properties`.
    fn canonical(&self, properties: &Value) -> Result<Value, Vec<Problem>>;

    /// What AWS would refuse of template properties that are evaluated, tokens inside for what is not known yet.
    fn refuses(&self, properties: &Value) -> Vec<Refusal> {
        constraints::check(self.type_name(), properties)
    }

    /// Properties (`A` or `A.B`, in whatever element of `A`) of the type in CloudFormation that wschat does not take yet.
    fn not_yet(&self) -> &'static [&'static str] {
        &[]
    }

    /// How a resource of this type is named, where its name is ours to give.
    fn naming(&self) -> Option<Naming> {
        None
    }

    /// Properties that AWS cannot change on an existing resource.
    fn create_only(&self) -> &'static [&'static str];

    /// Properties (`A` or `A.B`) that AWS cannot take back: where the template leaves them out, any value will do.
    fn any_if_absent(&self) -> &'static [&'static str] {
        &[]
    }

    /// Properties whose references must exist first (edges are *hard*); all other references need only a name.
    fn hard(&self) -> &'static [&'static str];

    /// What a resource of this type is whose parent the template does not describe; `None` where it must describe it.
    fn elsewhere(&self) -> Option<&'static dyn Kind> {
        None
    }

    /// What `Ref` (`attribute` is `None`) or `GetAtt` gives for a resource whose physical name is `name`.
    fn attribute(&self, scope: &Scope, name: Option<&str>, attribute: Option<&str>) -> Attribute;
}

impl fmt::Debug for dyn Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.type_name())
    }
}

/// How resources of a type get their physical names.
#[derive(Debug, Clone, Copy)]
pub struct Naming {
    /// The property that gives the name.
    pub property: &'static str,
    /// The longest name the service takes, in characters.
    pub longest: usize,
    /// The property that names the function which it is a part of: then the physical name is `FUNCTION:NAME`.
    pub within: Option<&'static str>,
    /// The property that is a path before the name in ARNs: then `Kind::attribute` gets `PATH/NAME` for a name.
    pub path: Option<&'static str>,
}

/// What is known of an attribute before its resource exists.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Attribute {
    Known(String),
    /// AWS mints it: a token until then.
    Minted,
    /// Another word for what `Ref` gives, which AWS mints: so that one thing has one token.
    Ref,
    /// There is no such attribute; these are the ones there are.
    Unknown(&'static [&'static str]),
}

/// A resource as AWS has it.
#[derive(Debug, Clone)]
pub struct Live {
    pub type_name: &'static str,
    /// From its tags, or from what identifies it; `None` for one that somebody added by hand.
    pub logical_id: Option<String>,
    pub physical_id: String,
    /// The physical id of what it belongs to: a route's API, a permission's function.
    pub parent: Option<String>,
    /// Canonical properties, as `Kind::canonical` gives them for the desired side.
    pub properties: Value,
    /// Minted attributes by name; `Ref` is what `Ref` gives.
    pub attributes: BTreeMap<String, String>,
    pub owner: Owner,
    pub health: Health,
    pub deletion_policy: DeletionPolicy,
}

impl Live {
    /// A resource of this stack, well and with nothing special about it: `Ref` gives its physical id.
    pub fn new(type_name: &'static str, physical_id: impl Into<String>, properties: Value) -> Self {
        let Created { physical_id, attributes } = Created::new(physical_id);
        Self {
            type_name,
            logical_id: None,
            physical_id,
            parent: None,
            properties,
            attributes,
            owner: Owner::Stack,
            health: Health::Ready,
            deletion_policy: DeletionPolicy::Delete,
        }
    }

    /// The same, below `parent`.
    pub fn below(self, parent: &str) -> Self {
        Self { parent: Some(parent.to_owned()), ..self }
    }

    /// The same, with a minted attribute.
    pub fn attribute(mut self, name: &str, value: impl Into<String>) -> Self {
        self.attributes.insert(name.to_owned(), value.into());
        self
    }

    /// The same, in this state of health.
    pub fn health(self, health: Health) -> Self {
        Self { health, ..self }
    }

    /// Whether it is being deleted: it is there, and it is nothing to build on.
    pub fn is_leaving(&self) -> bool {
        matches!(&self.health, Health::Busy(state) if state == "DELETING")
    }

    /// The properties as the type's own struct.
    ///
    /// # Errors
    /// When they are not: a mistake in the provider that made them.
    pub fn read<T: DeserializeOwned>(&self) -> Result<T, ResourceError> {
        read(&self.properties)
    }
}

/// Whose a live resource is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Owner {
    /// It carries our stack's tags, or belongs to something that does.
    Stack,
    /// It has a name that the stack wants and belongs to somebody else: who, as far as its tags tell.
    Other(String),
}

/// How a live resource is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Health {
    Ready,
    /// Under way (`CREATING`, `Pending`, `InProgress`): AWS's word for it.
    Busy(String),
    /// Broken, and why. It is replaced by the next `up`.
    Failed(String),
    /// It works as it did before its last change, which failed: why. The next `up` makes that change again.
    Outdated(String),
}

/// What a resource shall be, everything known.
#[derive(Debug, Clone)]
pub struct Want {
    pub logical_id: String,
    /// The physical id where it is ours to give.
    pub name: Option<String>,
    /// Canonical properties without tokens, ownership tags included.
    pub properties: Value,
    /// A function's code.
    pub code: Option<Bytes>,
}

impl Want {
    /// The properties as the type's own struct.
    ///
    /// # Errors
    /// When they are not: a value that was not known before turned out to be of another shape.
    pub fn read<T: DeserializeOwned>(&self) -> Result<T, ResourceError> {
        read(&self.properties)
    }

    /// The physical name.
    ///
    /// # Errors
    /// Never for types that have a `Naming`.
    pub fn name(&self) -> Result<&str, ResourceError> {
        self.name.as_deref().ok_or_else(|| ResourceError::Failed(format!("{} has no physical name", self.logical_id)))
    }
}

fn read<T: DeserializeOwned>(properties: &Value) -> Result<T, ResourceError> {
    deserialize::read(properties).map_err(|problems| {
        let first = problems.first().map(|problem| format!("{}: {}", problem.path, problem.what));
        ResourceError::Failed(first.unwrap_or_default())
    })
}

/// What a create gives back.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Created {
    pub physical_id: String,
    /// Minted attributes by name; `Ref` is what `Ref` gives.
    pub attributes: BTreeMap<String, String>,
}

impl Created {
    /// One whose `Ref` gives its physical id.
    pub fn new(physical_id: impl Into<String>) -> Self {
        let physical_id = physical_id.into();
        Self { attributes: [("Ref".to_owned(), physical_id.clone())].into(), physical_id }
    }
}

impl From<Live> for Created {
    fn from(live: Live) -> Self {
        Self { physical_id: live.physical_id, attributes: live.attributes }
    }
}

/// Why a resource could not be read, made, changed or removed.
#[derive(Debug, Clone, thiserror::Error)]
pub enum ResourceError {
    #[error(transparent)]
    Call(#[from] CallError),
    #[error("{0}")]
    Failed(String),
}

/// What providers are given to work with.
#[derive(Clone, Copy)]
pub struct Context<'a> {
    pub aws: &'a Aws,
    /// Tells the user what is being waited for.
    pub note: &'a (dyn Fn(String) + Send + Sync),
}

/// What to look for when a stack is read.
#[derive(Debug, Clone, Default)]
pub struct Search {
    /// Physical names that the template wants, by type: looked at whoever owns them.
    pub names: BTreeMap<&'static str, Vec<String>>,
    /// Functions that are the stack's although they need not be there: those that an earlier reading of this run has seen,
    /// and those of the template whose names wschat makes.
    pub functions: BTreeSet<String>,
    /// Inline policies, as (role, policy name), that the template describes as resources of their own.
    /// The logical id tells equal ones apart: many templates give every role a policy of the same name.
    pub inline_policies: BTreeMap<(String, String), String>,
    /// Managed policies that the template gives to roles from the policies' side, as (role, policy ARN).
    pub attachments: Vec<(String, String)>,
    /// Whether the template has route responses: routes that have them need not show it.
    pub route_responses: bool,
    /// Whether the template has versions or aliases: functions that are to have them need not show it.
    pub versions: bool,
}

/// What to look for, which becomes known while a reading is already under way: first everything is listed, for which
/// it takes no template and no account.
pub type Sought = tokio::sync::SetOnce<Search>;

impl Search {
    /// Whether the template wants a resource of this type by this name.
    pub fn wants(&self, type_name: &str, name: &str) -> bool {
        self.names.get(type_name).is_some_and(|names| names.iter().any(|known| known == name))
    }
}

/// Reads and writes one resource type in AWS.
#[async_trait]
pub trait Provider: Kind {
    /// The type that resources of this one live inside of; they are read with it, and removed with it (`gone_with`).
    fn parent(&self) -> Option<&'static str> {
        None
    }

    /// The type whose deletion deletes it, too.
    fn gone_with(&self) -> Option<&'static str> {
        self.parent()
    }

    /// Whether it holds what cannot be made again.
    fn holds_data(&self) -> bool {
        false
    }

    /// Whether it carries tags: then the ownership tags are among its properties.
    fn taggable(&self) -> bool {
        false
    }

    /// Whether `live` is what `want` asks for, under whatever identifies this type.
    fn is(&self, want: &Want, live: &Live) -> bool;

    /// All resources of this type that belong to the stack, and those of others whose names it wants. For types with
    /// a parent: those inside `parents`. Before `sought` is known, `aws` has no account to make ARNs with.
    ///
    /// # Errors
    /// When AWS cannot be read.
    async fn list(&self, aws: &Aws, sought: &Sought, parents: &[Live]) -> Result<Vec<Live>, ResourceError>;

    /// Looks again for one resource, after a create whose answer was lost or that was told "already exists".
    ///
    /// # Errors
    /// When AWS cannot be read.
    async fn find(&self, cx: Context<'_>, want: &Want) -> Result<Option<Live>, ResourceError>;

    /// Creates it. It need not be ready yet when this returns: see `settle`.
    ///
    /// # Errors
    /// `Meaning::Unknown` and `Meaning::Exists` make the executor look with `find`.
    async fn create(&self, cx: Context<'_>, want: &Want) -> Result<Created, ResourceError>;

    /// Waits until it is ready, and does what can be done only then.
    ///
    /// # Errors
    /// When it does not become ready.
    async fn settle(&self, _cx: Context<'_>, _want: &Want, _id: &str) -> Result<(), ResourceError> {
        Ok(())
    }

    /// What an update of `live` into `want` writes over and no reading tells: a function's code. `None` where there is
    /// nothing, or it cannot be had: then the update cannot be undone.
    async fn backup(&self, _cx: Context<'_>, _live: &Live, _want: &Want) -> Option<Bytes> {
        None
    }

    /// Changes `live` into `want`, in place.
    ///
    /// # Errors
    /// What AWS refused.
    async fn update(&self, cx: Context<'_>, live: &Live, want: &Want) -> Result<(), ResourceError>;

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
        Err(error) if !error.is(crate::aws::Meaning::NotFound) => Err(error),
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

/// The canonical form of template properties that read as `T`.
///
/// # Errors
/// Every property that does not.
pub fn canonical<T: DeserializeOwned + serde::Serialize>(properties: &Value) -> Result<Value, Vec<Problem>> {
    let typed: T = deserialize::read(properties)?;
    Ok(to_value(&typed))
}

/// A type's own struct as properties; members that are `None` or null are left out.
pub fn to_value(typed: &impl serde::Serialize) -> Value {
    fn without_nulls(value: Value) -> Value {
        match value {
            Value::Object(entries) => entries
                .into_iter()
                .filter(|(_, value)| !value.is_null())
                .map(|(key, value)| (key, without_nulls(value)))
                .collect(),
            Value::Array(items) => items.into_iter().map(without_nulls).collect(),
            other => other,
        }
    }
    serde_json::to_value(typed).map_or(Value::Null, without_nulls)
}
