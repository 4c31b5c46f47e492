//! Publishes a stack's exports: each is a tag of one of the stack's resources, where other stacks find it. So are its imports: what
//! others import is neither changed nor taken back.
//!
//! They are written when the stack is up, as CloudFormation exports what it has deployed, and compared with what was read: a
//! stack whose exports are as they should be takes no call.

use std::collections::{BTreeMap, BTreeSet};

use super::execute::Outcome;
use crate::aws::client::{Aws, CallError};
use crate::aws::providers::exports::importers;
use crate::aws::providers::{ResourceError, provider};
use crate::core::plan::{Action, Plan};
use crate::core::stack::{Lookup, Stack};
use crate::core::types::tags::{self, Tags};
use crate::core::types::{Kind, Live, Owner, api, rank};
use crate::core::words::Token;

/// Why exports could not be published.
#[derive(Debug, thiserror::Error)]
pub enum Unpublished {
    #[error(
        "the value of the output {output} cannot be exported: a tag records it, which has at most 256 characters, and it takes {takes}"
    )]
    TooLong { output: String, takes: usize },
    #[error("exports are recorded in tags of an API, a function, a table or a log group, and the stack has none")]
    NoAnchor,
    #[error("the tags of {logical_id} cannot record {count} exports: a resource has 50 tags at most")]
    TooMany { logical_id: String, count: usize },
    #[error(
        "the export {name} would {how}, and {} it: change or delete that first (if it was deleted a moment ago, try again)",
        .importers.join(" and ") + if .importers.len() == 1 { " imports" } else { " import" }
    )]
    Imported { name: String, how: &'static str, importers: Vec<String> },
    #[error("it cannot be told whether others import what the stack exports: {0}")]
    Unguarded(#[from] CallError),
    #[error("the exports of the stack could not be recorded in the tags of {logical_id}: {error}")]
    Refused { logical_id: String, error: ResourceError },
}

/// The value of a tag that records an import: its key says all.
const IMPORTED: &str = "yes";

/// How many tags a resource can have ("Tagging your AWS resources").
const MOST_TAGS: usize = 50;

/// The tags of one resource that are to change.
#[derive(Debug)]
struct Change {
    logical_id: String,
    kind: &'static dyn Kind,
    physical_id: String,
    /// The exports that are recorded there.
    old: Tags,
    set: Tags,
    removed: Vec<String>,
}

/// The values of the outputs, with what AWS assigned, as far as that is known.
pub fn values(stack: &Stack, known: &BTreeMap<Token, String>) -> BTreeMap<String, String> {
    let endpoints = endpoints(stack, known);
    let value = |text: &str| {
        let text = Token::substitute_text(text, &|token| known.get(token).cloned());
        // Many templates spell an API's address out as AWS would make it. Where the API says itself where it is, that
        // is what counts; on AWS the two are the same.
        endpoints.iter().fold(text, |text, (spelled, endpoint)| text.replace(spelled, endpoint))
    };
    stack.outputs.iter().map(|(name, output)| (name.clone(), value(&output.value))).collect()
}

/// The address of each API as templates spell it, and as the API gives it.
fn endpoints(stack: &Stack, known: &BTreeMap<Token, String>) -> Vec<(String, String)> {
    let spelled = stack.resources.values().filter_map(|resource| {
        let attribute = |name: &str| {
            let token = Token { logical_id: resource.logical_id.clone(), attribute: name.to_owned() };
            known.get(&token).cloned()
        };
        let id = attribute("Ref")?;
        Some((resource.kind.spelled_address(&id, &stack.scope)?, attribute(api::ENDPOINT)?))
    });
    spelled.collect()
}

/// What publishing is going to do, a few characters each: `+ NAME`, `~ NAME`, `- NAME`.
///
/// # Errors
/// Why the exports cannot be published, as far as that is known before anything is done.
pub fn planned(stack: &Stack, plan: &Plan, live: &[Live]) -> Result<Vec<String>, Unpublished> {
    let mut shown = BTreeSet::new();
    for Change { set, removed, old, .. } in changes(stack, plan, live, &plan.known)? {
        let name = |key: &str| tags::export_name(key).unwrap_or(key).to_owned();
        let (set, removed) =
            (set.keys().filter(|key| tags::is_export(key)), removed.iter().filter(|key| tags::is_export(key)));
        shown.extend(set.map(|key| (name(key), if old.contains_key(key) { '~' } else { '+' })));
        shown.extend(removed.map(|key| (name(key), '-')));
    }
    Ok(shown.into_iter().map(|(name, glyph)| format!("{glyph} {name}")).collect())
}

/// Holds what is going to be done with the stack's exports against what others import.
///
/// # Errors
/// An export that would change or go while another stack imports it.
pub async fn guard(aws: &Aws, stack: &Stack, plan: &Plan, live: &[Live]) -> Result<(), Unpublished> {
    let changes = changes(stack, plan, live, &plan.known)?;
    let set: BTreeMap<&String, &String> = changes.iter().flat_map(|change| &change.set).collect();
    // One that moves to another resource stays the same.
    let lost = changes.iter().flat_map(|change| &change.old).filter(|(key, _)| tags::is_export(key));
    let lost = lost.filter(|(key, value)| {
        let is_removed = changes.iter().any(|change| change.removed.contains(key));
        set.get(key).map_or(is_removed, |new| *new != *value)
    });
    let lost = lost.map(|(key, _)| (key.clone(), if set.contains_key(key) { "change" } else { "go" }));
    refuse_imported(aws, lost.collect()).await
}

/// The same for a stack that goes as a whole.
///
/// # Errors
/// An export that another stack imports.
pub async fn guard_all(aws: &Aws, live: &[Live]) -> Result<(), Unpublished> {
    let own = live.iter().filter(|one| one.owner == Owner::Stack).flat_map(|one| one.attributes.keys());
    refuse_imported(aws, own.filter(|key| tags::is_export(key)).map(|key| (key.clone(), "go")).collect()).await
}

async fn refuse_imported(aws: &Aws, lost: BTreeMap<String, &'static str>) -> Result<(), Unpublished> {
    let found = importers(aws, lost.keys()).await?;
    let first = found.into_iter().find(|(_, importers)| !importers.is_empty());
    let Some((key, importers)) = first else { return Ok(()) };
    let name = tags::export_name(&key).unwrap_or(&key).to_owned();
    let importers = importers.into_iter().map(|stack| format!("the wschat stack \"{stack}\"")).collect();
    Err(Unpublished::Imported { name, how: lost.get(&key).copied().unwrap_or("go"), importers })
}

/// Publishes what `stack` exports, and takes back what it does not export any more. `live` is what was there before the run that
/// carried `plan` out.
///
/// # Errors
/// Why it could not.
pub async fn publish(
    aws: &Aws,
    stack: &Stack,
    plan: &Plan,
    live: &[Live],
    outcome: &Outcome,
) -> Result<(), Unpublished> {
    carry_out(aws, changes(stack, plan, live, &outcome.known)?).await
}

/// Whether resources that the plan retains record exports.
pub fn are_left_behind(plan: &Plan) -> bool {
    !left_behind(plan).is_empty()
}

/// Takes back the exports that resources record which are left behind when the stack goes.
///
/// # Errors
/// Why it could not.
pub async fn withdraw(aws: &Aws, plan: &Plan) -> Result<(), Unpublished> {
    carry_out(aws, left_behind(plan)).await
}

async fn carry_out(aws: &Aws, changes: Vec<Change>) -> Result<(), Unpublished> {
    for Change { logical_id, kind, physical_id, set, removed, .. } in changes {
        let Some(provider) = provider(kind.type_name()) else { continue };
        provider
            .record(aws, &physical_id, set, removed)
            .await
            .map_err(|error| Unpublished::Refused { logical_id, error })?;
    }
    Ok(())
}

/// Whether a tag is one of those that are written here.
fn is_published(key: &str) -> bool {
    tags::is_export(key) || tags::is_import(key)
}

/// What is recorded on resources that the plan retains.
fn left_behind(plan: &Plan) -> Vec<Change> {
    let retained = plan.steps.iter().filter(|step| step.action == Action::Retain);
    let recorded = retained.filter_map(|step| {
        let (live, kind) = (step.live.as_ref()?, step.kind()?);
        let old: Tags = live.attributes.clone().into_iter().filter(|(key, _)| is_published(key)).collect();
        let removed: Vec<String> = old.keys().cloned().collect();
        let (logical_id, physical_id) = (step.name.clone(), live.physical_id.clone());
        (!removed.is_empty()).then(|| Change { logical_id, kind, physical_id, old, set: Tags::new(), removed })
    });
    recorded.collect()
}

fn changes(
    stack: &Stack,
    plan: &Plan,
    live: &[Live],
    known: &BTreeMap<Token, String>,
) -> Result<Vec<Change>, Unpublished> {
    let mut wanted = Tags::new();
    let values = values(stack, known);
    for (output, declared) in &stack.outputs {
        let (Some(name), Some(value)) = (&declared.export, values.get(output)) else { continue };
        // Of what is not made yet the value is not known, and differs from every record.
        let value = if Token::is_in(value) { "?" } else { value };
        let value =
            tags::export_value(value).map_err(|takes| Unpublished::TooLong { output: output.clone(), takes })?;
        wanted.insert(tags::export_key(name), value);
    }
    // An API, if there is one: importers list APIs, tags and all, and are asked for other types by tags, which lag behind.
    let mut keepers: Vec<_> = stack.resources.values().filter(|resource| resource.kind.keeps_records()).collect();
    keepers.sort_by_key(|resource| (rank(resource.kind.type_name()), &resource.logical_id));
    if keepers.is_empty() && !wanted.is_empty() {
        return Err(Unpublished::NoAnchor);
    }
    // Where nothing can record an import, its export is not guarded.
    wanted.extend(stack.lookups.iter().filter_map(|lookup| match lookup {
        Lookup::Export { name } => Some((tags::import_key(&tags::export_key(name)), IMPORTED.to_owned())),
        _ => None,
    }));
    let (mut changes, none) = (left_behind(plan), Tags::new());
    for (position, resource) in keepers.into_iter().enumerate() {
        let logical_id = &resource.logical_id;
        let token = Token { logical_id: logical_id.clone(), attribute: "Ref".to_owned() };
        let Some(physical_id) = resource.name.clone().or_else(|| known.get(&token).cloned()) else { continue };
        let there =
            live.iter().find(|one| one.type_name == resource.kind.type_name() && one.physical_id == physical_id);
        // One that was created again under its name has no record.
        let step =
            plan.steps.iter().find(|step| step.name == *logical_id && step.type_name == resource.kind.type_name());
        let is_new = step.is_some_and(|step| matches!(step.action, Action::Create | Action::Replace));
        let recorded = there.filter(|_| !is_new).map(|live| live.attributes.clone()).unwrap_or_default();
        let (recorded, others): (Tags, Tags) = tags::records(&recorded).partition(|(key, _)| is_published(key));
        let here = if position == 0 { &wanted } else { &none };
        let stated = resource.properties["Tags"].as_object().map_or(0, serde_json::Map::len);
        let own = stated + stack.tags.len() + 4 + others.len();
        if position == 0 && own + here.len() > MOST_TAGS {
            return Err(Unpublished::TooMany { logical_id: logical_id.clone(), count: here.len() });
        }
        let (set, removed) = tags::difference(&recorded, here);
        if !set.is_empty() || !removed.is_empty() {
            changes.push(Change {
                logical_id: logical_id.clone(),
                kind: resource.kind,
                physical_id,
                old: recorded,
                set,
                removed,
            });
        }
    }
    Ok(changes)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::plan::{PlanOptions, diff};
    use crate::core::stack;
    use crate::core::types::table;
    use crate::core::words::Scope;

    const TEMPLATE: &str = "
Resources:
  Table:
    Type: AWS::DynamoDB::Table
    Properties:
      TableName: connections
      BillingMode: PAY_PER_REQUEST
      AttributeDefinitions: [{AttributeName: id, AttributeType: S}]
      KeySchema: [{AttributeName: id, KeyType: HASH}]
Outputs:
  Name: {Value: !Ref Table, Export: {Name: !Sub '${AWS::StackName}-table'}}
  Plain: {Value: text}
";

    fn stack(value: &str) -> Stack {
        let scope = Scope {
            stack: "data".to_owned(),
            account: "123456789012".to_owned(),
            region: "eu-west-1".to_owned(),
            partition: "aws".to_owned(),
        };
        let text = TEMPLATE.replace("!Ref Table,", &format!("'{value}',"));
        stack::load(text.as_bytes(), &BTreeMap::new(), &scope).unwrap()
    }

    fn changed(recorded: &[(&str, &str)], value: &str) -> Result<Vec<(Tags, Vec<String>)>, Unpublished> {
        let stack = stack(value);
        let attributes = recorded.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect();
        let properties = stack.resources["Table"].properties.clone();
        let live = Live {
            logical_id: Some("Table".to_owned()),
            attributes,
            ..Live::new(table::TYPE, "connections", properties)
        };
        let plan = diff(&stack, std::slice::from_ref(&live), &PlanOptions::default()).unwrap();
        let changes = changes(&stack, &plan, &[live], &BTreeMap::new())?;
        Ok(changes.into_iter().map(|change| (change.set, change.removed)).collect())
    }

    #[test]
    fn only_what_differs_is_written() {
        let key = "wschat:export:data-table";
        let set = |value: &str| Tags::from([(key.to_owned(), value.to_owned())]);
        assert_eq!(changed(&[], "connections").unwrap(), [(set("connections"), Vec::new())]);
        assert_eq!(changed(&[(key, "connections")], "connections").unwrap(), Vec::new());
        assert_eq!(
            changed(&[(key, "old"), ("wschat:export:gone", "x"), ("Arn", "arn")], "connections").unwrap(),
            [(set("connections"), vec!["wschat:export:gone".to_owned()])]
        );
        let why = changed(&[], &"x".repeat(300)).unwrap_err().to_string();
        assert!(why.contains("output Name") && why.contains("takes 300"), "{why}");
    }
}
