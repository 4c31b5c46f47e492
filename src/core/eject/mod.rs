//! What it takes to hand a stack over to CloudFormation: the template that its stack is going to have, the one that imports what
//! AWS has into it, and how CloudFormation identifies each resource.
//!
//! ```text
//! Template (expanded, its code in S3), Stack, Live --plan--> Handover { whole, import, entries }
//! ```
//!
//! A change set that imports may have no outputs, no transform and nothing that is not imported, and every resource needs a
//! `DeletionPolicy` (user guide, "Import AWS resources into a CloudFormation stack"; go-to-k/cdkd docs/cli-export.md, tried on
//! AWS). So the stack is made step by step: `import` has what can be imported, and keeps all of it when the stack is deleted; with
//! `create` CloudFormation adds the rest; `whole` is the user's own template. `create` differs from that where CloudFormation writes over
//! what is there: if the step fails, what it has created stays when it is rolled back.

mod identifier;
mod references;

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Map, Value, json};

pub use self::identifier::Identifier;
use self::references::without;
use crate::core::stack::Stack;
use crate::core::template::Template;
use crate::core::template::expand::same_as;
use crate::core::types::{self, Attribute, Doubled, Live};
use crate::core::words::Token;

/// What CloudFormation can import: by type, the sets of properties of which one identifies a resource, each separated by commas
/// (`GetTemplateSummary`, `ResourceIdentifiers`).
pub type Importable = BTreeMap<String, Vec<String>>;

/// The way of a stack into CloudFormation.
#[derive(Debug, Clone, PartialEq)]
pub struct Handover {
    /// What the stack's template is in the end: the user's, with SAM's resources expanded and code in S3.
    pub whole: Value,
    /// The template of the change set that imports.
    pub import: Value,
    /// The template of the change set that creates the rest: `creating` of `whole`.
    pub create: Value,
    pub entries: Vec<Entry>,
}

/// What becomes of one resource of the template.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// The logical id in CloudFormation's stack.
    pub logical_id: String,
    pub type_name: String,
    /// What AWS has; `None` for what wschat has not deployed.
    pub physical_id: Option<String>,
    pub how: How,
}

/// How a resource comes into the stack.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum How {
    Import(Identifier),
    /// CloudFormation cannot import it, and creates it over or beside the one that is there, to no effect.
    CreateAgain(Doubled),
    /// Nothing of it is there: CloudFormation creates it.
    Create,
}

impl Handover {
    /// The resources that are imported.
    pub fn imported(&self) -> impl Iterator<Item = (&Entry, &Identifier)> {
        self.entries.iter().filter_map(|entry| match &entry.how {
            How::Import(identifier) => Some((entry, identifier)),
            How::CreateAgain(_) | How::Create => None,
        })
    }

    /// The resources that CloudFormation creates after the import.
    pub fn created(&self) -> impl Iterator<Item = &Entry> {
        self.entries.iter().filter(|entry| !matches!(entry.how, How::Import(_)))
    }

    /// The templates that the stack gets one after the other, once it has the template `from`.
    pub fn after(&self, from: &Value) -> Vec<&Value> {
        let mut all = vec![&self.import, &self.create, &self.whole];
        all.dedup();
        let done = all.iter().position(|template| *template == from).map_or(0, |place| place + 1);
        all.split_off(done)
    }
}

/// The key of the metadata that `creating` adds. CloudFormation takes a change of a policy only together with another one
/// ("You can't update the CreationPolicy, DeletionPolicy or UpdatePolicy attribute by itself"), and metadata change nothing in AWS.
const METADATA: &str = "wschat";

/// The template `whole` where what CloudFormation writes over stays when that is rolled back: a live function would lose its permissions.
/// ("The DeletionPolicy attribute": what has `Retain` stays also when the operation that has created it is rolled back, which
/// `RetainExceptOnCreate` is there to change.)
pub fn creating(whole: &Value) -> Value {
    let mut template = whole.clone();
    for resource in template["Resources"].as_object_mut().into_iter().flat_map(Map::values_mut) {
        let kind = resource["Type"].as_str().and_then(|name| types::kind(same_as::here(name)));
        if kind.and_then(|kind| kind.doubled()) == Some(Doubled::WrittenOver) {
            resource["DeletionPolicy"] = "Retain".into();
            if resource["Metadata"].is_null() || resource["Metadata"].is_object() {
                resource["Metadata"][METADATA] = "kept until it is handed over".into();
            }
        }
    }
    template
}

/// Works out how `stack`, which AWS has as the template describes it, goes into a stack of CloudFormation. `template` is expanded,
/// and its code is in S3. `live` has what is there of each logical id of `stack`, `known` all attributes that AWS assigned.
///
/// # Errors
/// Everything that cannot go there, a sentence each.
pub fn plan(
    template: &Template,
    stack: &Stack,
    live: &BTreeMap<String, Live>,
    known: &BTreeMap<Token, String>,
    importable: &Importable,
) -> Result<Handover, Vec<String>> {
    let whole = template.document();
    let deployed = deployed_as(template, stack);
    let mut refused = Vec::new();
    let mut entries = Vec::new();
    for (logical_id, declared) in &template.resources {
        let type_name = &declared.type_name;
        let here = deployed.get(logical_id.as_str()).copied();
        let Some((resource, live)) = here.and_then(|id| Some((stack.resources.get(id)?, live.get(id)?))) else {
            // A condition that is false: CloudFormation does not create it either.
            if declared.condition.is_none() {
                let (logical_id, type_name) = (logical_id.clone(), type_name.clone());
                entries.push(Entry { logical_id, type_name, physical_id: None, how: How::Create });
            }
            continue;
        };
        let how = match (importable.get(type_name), resource.kind.doubled()) {
            (Some(alternatives), _) => match identifier::of(resource.kind, live, &stack.scope, alternatives) {
                Some(identifier) => How::Import(identifier),
                None => {
                    let asked = alternatives.join(" or ");
                    refused.push(format!(
                        "{logical_id} ({type_name}): CloudFormation identifies it by {asked}, which is not known"
                    ));
                    continue;
                }
            },
            (None, Some(doubled)) => How::CreateAgain(doubled),
            (None, None) => {
                refused.push(format!(
                    "{logical_id} ({type_name}): CloudFormation cannot import it, and could create it only after it is deleted"
                ));
                continue;
            }
        };
        let physical_id = Some(live.physical_id.clone());
        entries.push(Entry { logical_id: logical_id.clone(), type_name: type_name.clone(), physical_id, how });
    }
    let import = import(&whole, &entries, |id, attribute| {
        let id = deployed.get(id).copied()?;
        let assigned = known.get(&Token { logical_id: id.to_owned(), attribute: attribute.to_owned() });
        assigned.cloned().or_else(|| value_of(stack, live.get(id)?, id, attribute))
    });
    let import = import.unwrap_or_else(|unknown| {
        refused.extend(unknown);
        Value::Null
    });
    if refused.is_empty() { Ok(Handover { create: creating(&whole), whole, import, entries }) } else { Err(refused) }
}

/// What an attribute of a live resource is, as far as its name tells.
fn value_of(stack: &Stack, live: &Live, id: &str, attribute: &str) -> Option<String> {
    let asked = (attribute != "Ref").then_some(attribute);
    match stack.resources.get(id)?.kind.attribute(&stack.scope, Some(&live.physical_id), asked) {
        Attribute::Known(value) => Some(value),
        _ => live.attributes.get(attribute).cloned(),
    }
}

/// By logical id in `template`, the logical id in `stack`. They differ where SAM makes ids of the place of code.
fn deployed_as<'a>(template: &'a Template, stack: &'a Stack) -> BTreeMap<&'a str, &'a str> {
    let ids = template.resources.keys().map(String::as_str);
    let (same, others): (Vec<&str>, Vec<&str>) = ids.partition(|id| stack.resources.contains_key(*id));
    let taken: BTreeSet<&str> = same.iter().copied().collect();
    let mut deployed: BTreeMap<&str, &str> = same.into_iter().map(|id| (id, id)).collect();
    for id in others {
        let (type_name, declared_as) = (&template.resources[id].type_name, template.declared_as(id));
        let mut fitting = stack.resources.values().filter(|resource| {
            resource.kind.type_name() == type_name
                && (resource.declared_as == declared_as || without_digest(&resource.logical_id) == without_digest(id))
                && !taken.contains(resource.logical_id.as_str())
        });
        if let (Some(one), None) = (fitting.next(), fitting.next()) {
            deployed.insert(id, &one.logical_id);
        }
    }
    deployed
}

/// A logical id without the digest that SAM ends it with: ten hexadecimal digits.
fn without_digest(id: &str) -> &str {
    match id.len().checked_sub(10).and_then(|end| id.split_at_checked(end)) {
        Some((stem, digest)) if digest.bytes().all(|digit| digit.is_ascii_hexdigit()) => stem,
        _ => id,
    }
}

/// The template of the change set that imports; `value` is what `Ref` or an attribute gives for a resource.
fn import(
    whole: &Value,
    entries: &[Entry],
    value: impl Fn(&str, &str) -> Option<String>,
) -> Result<Value, Vec<String>> {
    let imported: BTreeSet<&str> = entries
        .iter()
        .filter(|entry| matches!(entry.how, How::Import(_)))
        .map(|entry| entry.logical_id.as_str())
        .collect();
    let declared = whole["Resources"].as_object();
    let gone: BTreeSet<&str> =
        declared.into_iter().flat_map(Map::keys).map(String::as_str).filter(|id| !imported.contains(id)).collect();
    let mut unknown = Vec::new();
    let mut resources = Map::new();
    for (id, declared) in declared.into_iter().flatten().filter(|(id, _)| imported.contains(id.as_str())) {
        let mut lacking = BTreeSet::new();
        let mut resource = without(declared, &gone, &value, &mut lacking);
        unknown.extend(
            lacking.into_iter().map(|of| {
                format!("{id}: it refers to {of}, which CloudFormation creates after it has imported the rest")
            }),
        );
        depend_on(&mut resource, |id| !gone.contains(id));
        // Until the next step, deleting the stack undoes this one.
        resource["DeletionPolicy"] = "Retain".into();
        resources.insert(id.clone(), resource);
    }
    if !unknown.is_empty() {
        return Err(unknown);
    }
    let mut import = whole.clone();
    if let Some(sections) = import.as_object_mut() {
        sections.shift_remove("Outputs");
        sections.insert("Resources".to_owned(), resources.into());
    }
    Ok(import)
}

/// Keeps those of the resources that one waits for that are `there`.
fn depend_on(resource: &mut Value, there: impl Fn(&str) -> bool) {
    let Some(waits_for) = resource.as_object_mut().and_then(|members| members.shift_remove("DependsOn")) else {
        return;
    };
    let names = match waits_for {
        Value::Array(names) => names,
        name => vec![name],
    };
    let names: Vec<Value> = names.into_iter().filter(|name| name.as_str().is_some_and(&there)).collect();
    if !names.is_empty() {
        resource["DependsOn"] = json!(names);
    }
}

#[cfg(test)]
mod tests;
