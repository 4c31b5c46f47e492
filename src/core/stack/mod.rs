//! The stack that a template describes: desired resources with resolved properties, and the edges between them.
//!
//! Most attributes are known before any resource exists, because wschat sets the names. The few that AWS mints (an
//! API's id, an integration's id, a deployment's id) appear in resolved properties as *tokens*: text inside a string
//! that names the resource and the attribute. `Ref`, `Sub` and `Join` then need no special case, and the stage that
//! knows the value (the plan from live resources, the executor from new ones) replaces it with `Token::substitute`.

mod aws_types;
mod build;
mod conditions;
mod dynamic;
mod edges;
mod identities;
mod intrinsics;
pub mod lookups;
mod names;
mod network;
mod parameters;
pub mod pattern;
mod recorders;
mod references;
mod resolve;
mod rules;
mod secrets;
mod substitution;
mod unversioned;

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use crate::core::types::tags::{self, Tags};
use crate::core::types::{Kind, ResourceView, StackView, rank};
use crate::core::words::{DeletionPolicy, Path, Scope, Token};
pub use build::{Build, Esbuild, Makefile};
pub use lookups::{Lookup, Lookups, Names};
pub use parameters::{looked_up, secrets};
pub use resolve::{Survey, load, survey, survey_with};
pub use secrets::{MASK, Secrets};
pub use unversioned::{Unversioned, unversioned};

/// A resolved template.
#[derive(Debug, Clone)]
pub struct Stack {
    pub scope: Scope,
    /// By logical id.
    pub resources: BTreeMap<String, Resource>,
    pub outputs: BTreeMap<String, Output>,
    /// Values of `NoEcho` parameters and values computed from them: never shown.
    pub secrets: Secrets,
    /// Tags for every resource that can have tags, unless the template gives it one of that key.
    pub tags: Tags,
    /// What was looked up outside of the template.
    pub lookups: BTreeSet<Lookup>,
    /// What those of its own resources that are there have, for its dynamic references to them.
    pub own: Lookups,
}

/// One desired resource.
#[derive(Debug, Clone)]
pub struct Resource {
    pub logical_id: String,
    pub kind: &'static dyn Kind,
    /// The physical id, if it is not minted by AWS: given by the template or generated from stack and logical id.
    pub name: Option<String>,
    /// Canonical properties (with AWS's defaults), with tokens inside.
    pub properties: Value,
    /// Other resources that must be done first, by logical id.
    pub hard: BTreeSet<String>,
    /// Those of `hard` that are needed only for an attribute that AWS mints: once such a resource exists, the value is
    /// known, and its next change need not be waited for.
    pub minted: BTreeSet<String>,
    /// Resources whose name is in the properties; waited for only if AWS refuses a step without them.
    pub soft: BTreeSet<String>,
    /// What happens to the resource when it is no longer in the template.
    pub deletion_policy: DeletionPolicy,
    /// What happens to the old resource when it is replaced.
    pub update_replace_policy: DeletionPolicy,
    /// The resource's path in the template.
    pub path: Path,
    /// The source of a function's code. `Code` in `properties` is then `LOCAL_CODE`, because the source makes no
    /// difference to what is deployed.
    pub code: Option<Code>,
    /// The crate's binary to deploy, if the template names it: SAM's `Metadata.BuildProperties.Binary`.
    pub binary: Option<String>,
    /// How to build the code, from the template's metadata.
    pub build: Build,
    /// The logical id in the template: SAM gives layers other ones.
    pub declared_as: String,
}

impl Resource {
    /// The resource as the types see it.
    pub fn view(&self) -> ResourceView<'_> {
        ResourceView {
            kind: self.kind,
            logical_id: &self.logical_id,
            name: self.name.as_deref(),
            properties: &self.properties,
            deletion_policy: self.deletion_policy,
            update_replace_policy: self.update_replace_policy,
        }
    }
}

impl Stack {
    /// The resources whose tags may record exports and imports: the first records them. An API, if there is one: importers list APIs,
    /// tags and all, and are asked for other types by tags, which lag behind.
    pub fn export_keepers(&self) -> Vec<&Resource> {
        let mut keepers: Vec<_> = self.resources.values().filter(|resource| resource.kind.keeps_records()).collect();
        keepers.sort_by_key(|resource| (rank(resource.kind.type_name()), &resource.logical_id));
        keepers
    }

    /// The keys of the tags that record the stack's exports and imports.
    pub fn export_keys(&self) -> BTreeSet<String> {
        let exported = self.outputs.values().filter_map(|output| Some(tags::export_key(output.export.as_ref()?)));
        let imported = self.lookups.iter().filter_map(|lookup| match lookup {
            Lookup::Export { name } => Some(tags::import_key(&tags::export_key(name))),
            Lookup::Parameter { .. } | Lookup::Secret { .. } => None,
        });
        exported.chain(imported).collect()
    }

    /// The ARN of a resource whose tags can record others, with tokens for what is not known yet.
    pub fn arn_of(&self, resource: &Resource) -> Option<String> {
        recorders::arn_of(resource, &self.scope)
    }
}

impl StackView for BTreeMap<String, Resource> {
    fn resources(&self) -> Box<dyn Iterator<Item = ResourceView<'_>> + '_> {
        Box::new(self.values().map(Resource::view))
    }

    fn get(&self, logical_id: &str) -> Option<ResourceView<'_>> {
        BTreeMap::get(self, logical_id).map(Resource::view)
    }
}

/// The source of a function's code, or of a layer's content.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Code {
    /// A folder, crate or zip file, relative to the template.
    Local(String),
    /// In S3.
    Uploaded(Uploaded),
    /// Inline in the template: the text of one file.
    Inline(String),
}

/// Code that another tool uploads: the template that this tool writes, or a parameter, names the object in S3.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Uploaded {
    /// The bucket, where it is known before anything exists.
    pub bucket: Option<String>,
    /// The object's key; its last part is a name.
    pub key: String,
    /// The object's version, if the template names one.
    pub version: Option<String>,
    /// The folder or file that was uploaded, relative to the tool's output, if its metadata name it (the CDK's
    /// `aws:asset:path`).
    pub asset: Option<String>,
}

impl Uploaded {
    /// The name of the object: the last part of its key.
    pub fn name(&self) -> &str {
        self.key.rsplit('/').next().unwrap_or_default()
    }
}

/// The only key of `Code` of a function with local code; its value is `true`.
pub const LOCAL_CODE: &str = "Local";

/// One output of a template.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Output {
    pub description: Option<String>,
    /// The value, with tokens inside.
    pub value: String,
    /// Whether it was computed from a `NoEcho` parameter.
    pub secret: bool,
    /// The name that other stacks import the value by.
    pub export: Option<String>,
}

#[cfg(test)]
mod tests;
