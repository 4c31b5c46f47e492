//! The resource types: one file each, and one line each in `KINDS`.

pub mod properties;

use std::collections::BTreeMap;
use std::fmt;

use async_trait::async_trait;
use serde_json::Value;

use crate::diagnostic::Problem;
use crate::stack::{DeletionPolicy, Scope};

/// All resource types that wschat provisions itself.
pub static KINDS: &[&dyn Kind] = &[];

/// One AWS resource type: what its template properties are, and how it is read, created, updated and deleted.
#[async_trait]
pub trait Kind: Send + Sync + 'static {
    /// `AWS::DynamoDB::Table`.
    fn type_name(&self) -> &'static str;

    /// Reads template properties (tokens may stand inside strings) as this type's and gives them back in canonical
    /// form: AWS's defaults filled in, documents in one spelling, so that equal resources have equal properties.
    ///
    /// # Errors
    /// Every unknown, missing or ill-typed property, its path relative to `Properties`.
    fn canonical(&self, properties: &Value) -> Result<Value, Vec<Problem>>;

    /// How a resource of this type is named, where its name is ours to give.
    fn naming(&self) -> Option<Naming> {
        None
    }

    /// Properties that AWS cannot change on an existing resource.
    fn create_only(&self) -> &'static [&'static str];

    /// Properties whose references must exist first (edges are *hard*); all other references need only a name.
    fn hard(&self) -> &'static [&'static str];

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
}

/// What is known of an attribute before its resource exists.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Attribute {
    Known(String),
    /// AWS mints it: a token until then.
    Minted,
    /// There is no such attribute; these are the ones there are.
    Unknown(&'static [&'static str]),
}

/// A resource as AWS has it.
#[derive(Debug, Clone)]
pub struct Live {
    pub kind: &'static dyn Kind,
    /// From its tags, or from what identifies it; `None` for a child that somebody added by hand.
    pub logical_id: Option<String>,
    pub physical_id: String,
    /// Canonical properties, as `Kind::canonical` gives them for the desired side.
    pub properties: Value,
    /// Minted attributes by name; `Ref` is what `Ref` gives.
    pub attributes: BTreeMap<String, String>,
    pub deletion_policy: DeletionPolicy,
}
