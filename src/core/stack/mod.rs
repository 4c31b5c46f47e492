//! The stack that a template describes: desired resources with resolved properties, and the edges between them.
//!
//! Most attributes are known before anything exists, because names are ours to give. The few that AWS mints (an API's
//! id, an integration's id, a deployment's id) stand in resolved properties as *tokens*: text inside a string that
//! names the resource and the attribute. `Ref`, `Sub` and `Join` then need no special case, and the stage that has the value
//! (the plan from live resources, the executor from fresh ones) puts it in with `Token::substitute`.

mod aws_types;
mod build;
mod conditions;
mod cycles;
mod identities;
mod intrinsics;
mod names;
mod network;
mod parameters;
mod references;
mod resolve;
mod rules;
mod secrets;
mod substitution;

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use crate::core::types::{Kind, ResourceView, StackView};
use crate::core::words::{DeletionPolicy, Path, Scope, Token};
pub use build::{Build, Esbuild, Makefile};
pub use parameters::secrets;
pub use resolve::{Survey, load, survey};
pub use secrets::{MASK, Secrets};

/// A template, resolved.
#[derive(Debug, Clone)]
pub struct Stack {
    pub scope: Scope,
    /// By logical id.
    pub resources: BTreeMap<String, Resource>,
    pub outputs: BTreeMap<String, Output>,
    /// Values of `NoEcho` parameters and what was computed from them: they are never shown.
    pub secrets: Secrets,
}

/// One desired resource.
#[derive(Debug, Clone)]
pub struct Resource {
    pub logical_id: String,
    pub kind: &'static dyn Kind,
    /// The physical id, where it is ours to give: given by the template or made from stack and logical id.
    pub name: Option<String>,
    /// Canonical properties (AWS's defaults filled in), tokens inside.
    pub properties: Value,
    /// Other resources that must be done first, by logical id.
    pub hard: BTreeSet<String>,
    /// Of `hard`, those that are there only because AWS mints what is referred to: once such a resource exists, the
    /// value is known, and its next change need not be waited for.
    pub minted: BTreeSet<String>,
    /// Resources whose name this one speaks of; waited for only when AWS refuses to go on without them.
    pub soft: BTreeSet<String>,
    /// What becomes of the resource when the template has it no more.
    pub deletion_policy: DeletionPolicy,
    /// What becomes of the old resource when another takes its place.
    pub update_replace_policy: DeletionPolicy,
    /// Where the template describes it.
    pub path: Path,
    /// Where a function's code comes from. Then `Code` in `properties` is `LOCAL_CODE`: where code comes from makes no
    /// difference to what is deployed.
    pub code: Option<Code>,
    /// Which of a crate's binaries that code is, if the template says so: SAM's `Metadata.BuildProperties.Binary`.
    pub binary: Option<String>,
    /// What the template's metadata says of how that code is built.
    pub build: Build,
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

impl StackView for BTreeMap<String, Resource> {
    fn resources(&self) -> Box<dyn Iterator<Item = ResourceView<'_>> + '_> {
        Box::new(self.values().map(Resource::view))
    }

    fn get(&self, logical_id: &str) -> Option<ResourceView<'_>> {
        BTreeMap::get(self, logical_id).map(Resource::view)
    }
}

/// Where a function's code comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Code {
    /// A folder, crate or zip file, relative to the template.
    Local(String),
    /// The template holds it: the text of one file.
    Inline(String),
}

/// The one key of `Code` of a function whose code is local; its value is `true`.
pub const LOCAL_CODE: &str = "Local";

/// One output of a template.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Output {
    pub description: Option<String>,
    /// Tokens inside.
    pub value: String,
    /// Whether it was computed from a `NoEcho` parameter.
    pub secret: bool,
}

#[cfg(test)]
mod tests;
