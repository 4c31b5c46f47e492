//! What CloudFormation's published schemas say of the resource types that AWS Cloud Control can create, read and delete, as far
//! as wschat and its local cloud need it: properties and their shapes, what is create-only, read-only, write-only, what identifies
//! a resource, what its tags are, and the IAM actions behind each handler.
//!
//! `make.py` writes the table from cfn-lint's schemas (MIT-0). It is compressed in parts; a part is opened at the first question
//! about one of its types.

mod shape;

use std::collections::{BTreeMap, HashMap};
use std::sync::{LazyLock, Mutex, OnceLock, PoisonError};

use flate2::{Decompress, FlushDecompress};
use serde::Deserialize;
use serde_json::{Map, Value};

pub use self::shape::{Shape, TextRule, project};

/// The table, written by `make.py`.
const TABLE: &[u8] = include_bytes!("schemas.bin");

/// The prefix of all type names, which the table's head leaves out.
const PREFIX: &str = "AWS::";

static PARTS: LazyLock<Vec<Part>> = LazyLock::new(parts);

/// The schema of one resource type.
#[derive(Debug, Deserialize)]
pub struct Schema {
    #[serde(skip)]
    pub type_name: &'static str,
    #[serde(rename = "p")]
    pub properties: BTreeMap<String, Shape>,
    /// Shapes that others refer to by name.
    #[serde(rename = "d", default)]
    pub definitions: BTreeMap<String, Shape>,
    #[serde(rename = "q", default)]
    pub required: Vec<String>,
    /// Properties (`A` or `A.B`) that AWS cannot change on an existing resource.
    #[serde(rename = "c", default)]
    pub create_only: Vec<String>,
    /// Properties that only AWS sets.
    #[serde(rename = "r", default)]
    pub read_only: Vec<String>,
    /// Properties that no reading gives.
    #[serde(rename = "w", default)]
    pub write_only: Vec<String>,
    /// The properties that identify a resource, in the order of Cloud Control's identifier.
    #[serde(rename = "i")]
    pub identifier: Vec<String>,
    /// The property that names it, where that is create-only and templates may leave it out.
    #[serde(rename = "n")]
    pub name: Option<String>,
    /// The property with its tags, where it can be tagged when it is created.
    #[serde(rename = "t")]
    pub tags: Option<String>,
    /// The properties that a list of the type's resources must be told, in alternatives; none where it needs nothing. (Cloud
    /// Control user guide, "Resources that require additional information".)
    #[serde(rename = "l", default)]
    pub list_models: Vec<Vec<String>>,
    /// The IAM actions of each handler (`create`, `read`, `update`, `delete`, `list`) that there is.
    #[serde(rename = "h")]
    handlers: BTreeMap<String, Vec<String>>,
}

impl Schema {
    /// The IAM actions that a handler calls; none where it has no such handler.
    pub fn actions(&self, handler: &str) -> &[String] {
        self.handlers.get(handler).map_or(&[], Vec::as_slice)
    }

    /// The model to list the resources of the type with, where `value` knows enough: the properties of what they lie in.
    pub fn list_model(&self, value: impl Fn(&str) -> Option<Value>) -> Option<Map<String, Value>> {
        if self.list_models.is_empty() {
            return Some(Map::new());
        }
        let model = |names: &Vec<String>| names.iter().map(|name| Some((name.clone(), value(name)?))).collect();
        self.list_models.iter().find_map(model)
    }

    /// Whether resources of the type can be changed in place.
    pub fn is_mutable(&self) -> bool {
        self.handlers.contains_key("update")
    }

    /// The shape that a shape stands for.
    pub fn resolved<'a>(&'a self, shape: &'a Shape) -> &'a Shape {
        match shape {
            Shape::Definition(name) => self.definitions.get(name).unwrap_or(&Shape::Any),
            shape => shape,
        }
    }

    /// The shape of a property (`A.B`, in whatever element of a list), if the type has it.
    pub fn shape_of(&self, path: &str) -> Option<&Shape> {
        let mut names = path.split('.');
        let mut shape = self.resolved(self.properties.get(names.next()?)?);
        for name in names {
            while let Shape::List(inner) | Shape::Set(inner) = shape {
                shape = self.resolved(inner);
            }
            shape = match shape {
                Shape::Object(object) => self.resolved(object.members.get(name)?),
                Shape::Map(inner) => self.resolved(inner),
                Shape::Any | Shape::Document => shape,
                _ => return None,
            };
        }
        Some(shape)
    }
}

/// Consecutive types whose lines were compressed together.
struct Part {
    /// Without `AWS::`.
    names: Vec<&'static str>,
    compressed: &'static [u8],
    /// How many bytes their lines have.
    size: usize,
    lines: OnceLock<HashMap<&'static str, &'static str>>,
}

impl Part {
    /// The line of each type. The text stays until the process ends, as everything that is read from it.
    fn lines(&self) -> &HashMap<&'static str, &'static str> {
        self.lines.get_or_init(|| {
            let mut text = Vec::with_capacity(self.size);
            // The table is part of the program, and a test reads all of it: this does not fail.
            let _ = Decompress::new(true).decompress_vec(self.compressed, &mut text, FlushDecompress::Finish);
            let text: &'static str = String::from_utf8(text).unwrap_or_default().leak();
            text.lines().filter_map(|line| line.split_once('\t')).collect()
        })
    }
}

fn parts() -> Vec<Part> {
    let end = TABLE.windows(2).position(|two| two == b"\n\n").unwrap_or(0);
    let (head, mut rest) = (std::str::from_utf8(&TABLE[..end]).unwrap_or_default(), &TABLE[end + 2..]);
    let mut parts = Vec::new();
    for line in head.lines().skip(1) {
        let mut words = line.split(' ');
        let mut number = || words.next().and_then(|number| number.parse().ok()).unwrap_or(0);
        let (bytes, size) = (number(), number());
        let (compressed, after) = rest.split_at(bytes);
        rest = after;
        parts.push(Part { names: words.collect(), compressed, size, lines: OnceLock::new() });
    }
    parts
}

/// The schema of a type (`AWS::SQS::Queue`); `None` for one that Cloud Control cannot provision, and for those that wschat
/// provisions itself.
pub fn schema(type_name: &str) -> Option<&'static Schema> {
    static READ: LazyLock<Mutex<HashMap<&'static str, &'static Schema>>> = LazyLock::new(Mutex::default);
    let short = type_name.strip_prefix(PREFIX)?;
    let mut read = READ.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(known) = read.get(type_name) {
        return Some(known);
    }
    let part = PARTS.iter().find(|part| part.names.contains(&short))?;
    let (type_name, line) = part.lines().get_key_value(type_name)?;
    let schema: Schema = serde_json::from_str(line).ok()?;
    let schema: &'static Schema = Box::leak(Box::new(Schema { type_name, ..schema }));
    read.insert(type_name, schema);
    Some(schema)
}

/// The names of all types in the table.
pub fn names() -> impl Iterator<Item = String> {
    PARTS.iter().flat_map(|part| &part.names).map(|name| format!("{PREFIX}{name}"))
}

/// The value of a property (`A.B`) of a resource.
pub fn value_at<'a>(properties: &'a Value, path: &str) -> Option<&'a Value> {
    path.split('.').try_fold(properties, |value, name| value.get(name)).filter(|value| !value.is_null())
}

#[cfg(test)]
mod tests;
