//! The names that a stack's resources have: those of what is there, by its tags, and derived ones for what is new.
//!
//! What is there may have been named by others: by CloudFormation, in a stack that was taken over from it, or by hand. So a reading
//! comes first, and where it shows other names than wschat would give, the template is resolved again with those.

use crate::aws::providers::Search;
use crate::core::plan;
use crate::core::stack::{Names, Stack};
use crate::core::types::{Desired, Live, Owner};
use crate::core::words::Problem;

use super::project::Project;
use super::read::{self, ReadError};
use super::session::Session;

/// Why it is not known what the template's resources are called.
#[derive(Debug, thiserror::Error)]
pub enum Unnamed {
    #[error(transparent)]
    Unread(#[from] ReadError),
    /// The template has problems under the names that its resources have in AWS.
    #[error("with the names that the resources have in AWS, {}", .0.first().map(|problem| problem.what.clone()).unwrap_or_default())]
    Problems(Vec<Problem>),
}

/// Reads what AWS has of `stack`, and gives the stack that `project` describes under the names that its resources have there.
///
/// # Errors
/// When AWS cannot be read, or the template does not go with those names.
pub async fn read(session: &mut Session, project: &Project, stack: Stack) -> Result<(Stack, Vec<Live>), Unnamed> {
    let search = read::search(&stack);
    let live = session.read(search.clone()).await?;
    let stack = settle(project, stack, &live)?;
    let named = read::search(&stack);
    let live = if is_read(&search, &named, &live) { live } else { session.read(named).await? };
    Ok((stack, live))
}

/// Whether the reading `live`, which looked for `search`, has what one that looks for `named` would have.
pub fn is_read(search: &Search, named: &Search, live: &[Live]) -> bool {
    // What is the stack's was read in full, whatever it is called.
    let is_there = |type_name: &str, name: &String| {
        live.iter().any(|one| one.owner == Owner::Stack && one.type_name == type_name && one.physical_id == *name)
    };
    let was_sought =
        |type_name: &&'static str, name: &String| search.includes(type_name, name) || is_there(type_name, name);
    named.names.iter().all(|(type_name, names)| names.iter().all(|name| was_sought(type_name, name)))
        && named.identifiers == search.identifiers
        && named.functions.is_subset(&search.functions)
        && named.inline_policies == search.inline_policies
        && named.attachments == search.attachments
        && named
            .settings
            .iter()
            .all(|(function, apart)| apart.is_empty() || search.settings.get(function) == Some(apart))
}

/// The stack under the names that its resources have in `live`.
///
/// # Errors
/// When the template does not go with those names.
pub fn settle(project: &Project, mut stack: Stack, live: &[Live]) -> Result<Stack, Unnamed> {
    let mut names = names(&stack, live);
    let has_them = |stack: &Stack, names: &Names| {
        names
            .iter()
            .all(|((_, id), name)| stack.resources.get(id).is_some_and(|resource| resource.name.as_ref() == Some(name)))
    };
    if has_them(&stack, &names) {
        return Ok(stack);
    }
    // All that is there keeps its name at first. What cannot, because something else of it must change that cannot be changed in
    // place, gets a name of its own; and so may what has that name among its properties.
    loop {
        project.set_names(names.clone());
        let resolved = project.stack(&stack.scope).map_err(Unnamed::Problems)?;
        stack = Stack { tags: stack.tags, ..resolved };
        let outgrown = plan::outgrown(&stack, live, &names);
        if outgrown.is_empty() {
            return Ok(stack);
        }
        names.retain(|key, _| !outgrown.contains(key));
    }
}

/// The names that the template's resources have, as far as they are there. (The resolver asks for those that the template does not
/// give.)
fn names(stack: &Stack, live: &[Live]) -> Names {
    let mut names = Names::new();
    for one in live.iter().filter(|one| one.owner == Owner::Stack && !one.is_absent() && !one.is_being_deleted()) {
        let Some(resource) = one.logical_id.as_ref().and_then(|id| stack.resources.get(id)) else { continue };
        if resource.kind.type_name() != one.type_name
            || resource.kind.naming().is_none_or(|naming| naming.within.is_some())
        {
            continue;
        }
        let named = Desired {
            logical_id: resource.logical_id.clone(),
            name: Some(one.physical_id.clone()),
            properties: serde_json::Value::Null,
            code: None,
        };
        // A layer's versions have ids of their own.
        if resource.kind.known_id(&named).as_ref() != Some(&one.physical_id) {
            continue;
        }
        // Beside one that it replaces: the new one counts.
        let known =
            names.entry((one.type_name, resource.logical_id.clone())).or_insert_with(|| one.physical_id.clone());
        if resource.name.as_ref() == Some(&one.physical_id) {
            known.clone_from(&one.physical_id);
        }
    }
    names
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use serde_json::{Value, json};

    use super::*;
    use crate::core::plan::{Action, PlanOptions};
    use crate::core::types::tags;
    use crate::core::words::Scope;

    const TEMPLATE: &str = "
Resources:
  Table:
    Type: AWS::DynamoDB::Table
    Properties:
      BillingMode: PAY_PER_REQUEST
      AttributeDefinitions: [{ AttributeName: KEY, AttributeType: S }]
      KeySchema: [{ AttributeName: KEY, KeyType: HASH }]
  Logs:
    Type: AWS::Logs::LogGroup
    Properties: { LogGroupName: !Sub '/chat/${Table}' }
  Queue:
    Type: AWS::SQS::Queue
Outputs:
  Table: { Value: !GetAtt Table.Arn }
  Queue: { Value: !GetAtt Queue.Arn }
";

    fn scope() -> Scope {
        Scope {
            stack: "chat".to_owned(),
            account: "123456789012".to_owned(),
            region: "eu-west-1".to_owned(),
            partition: "aws".to_owned(),
        }
    }

    fn project(key: &str) -> Project {
        Project::new("template.yaml".into(), TEMPLATE.replace("KEY", key).into_bytes(), BTreeMap::new())
    }

    /// What AWS has of the template with this key, under these names.
    fn live(key: &str, table: &str, queue: &str) -> Vec<Live> {
        let project = project(key);
        let stack = project.stack(&scope()).unwrap();
        let names = [("AWS::DynamoDB::Table", "Table", table), ("AWS::SQS::Queue", "Queue", queue)];
        project.set_names(names.map(|(of, id, name)| ((of, id.to_owned()), name.to_owned())).into());
        let stack = Stack { tags: stack.tags, ..project.stack(&scope()).unwrap() };
        let live = stack.resources.values().map(|resource| {
            let mut properties = resource.properties.clone();
            if let Value::Object(tags) =
                json!(tags::ownership(&scope(), &resource.logical_id, resource.deletion_policy))
            {
                properties["Tags"] = tags.into();
            }
            if resource.kind.type_name() == "AWS::SQS::Queue" {
                properties["Tags"]["wschat:type"] = "AWS::SQS::Queue".into();
            }
            let name = resource.name.clone().unwrap();
            Live {
                logical_id: Some(resource.logical_id.clone()),
                ..Live::new(resource.kind.type_name(), name, properties)
            }
        });
        live.collect()
    }

    fn output(stack: &Stack, name: &str) -> String {
        stack.outputs[name].value.clone()
    }

    #[test]
    fn what_is_there_keeps_its_name_and_is_left_as_it_is() {
        let live = live("id", "chat-Table-1ABCDEFGHIJKL", "chat-Queue-AB12CD34EF56");
        let project = project("id");
        let derived = project.stack(&scope()).unwrap();
        let stack = settle(&project, derived.clone(), &live).unwrap();
        assert_eq!(output(&stack, "Table"), "arn:aws:dynamodb:eu-west-1:123456789012:table/chat-Table-1ABCDEFGHIJKL");
        assert_eq!(output(&stack, "Queue"), "arn:aws:sqs:eu-west-1:123456789012:chat-Queue-AB12CD34EF56");
        assert_eq!(stack.resources["Logs"].name.as_deref(), Some("/chat/chat-Table-1ABCDEFGHIJKL"));
        let plan = plan::diff(&stack, &live, &PlanOptions::default()).unwrap();
        assert!(plan.is_empty(), "{plan:#?}");
        // What is new has a name that is derived, as ever.
        let alone = settle(&project, derived.clone(), &live[..0]).unwrap();
        assert_eq!(alone.resources["Table"].name, derived.resources["Table"].name);
    }

    #[test]
    fn what_must_be_replaced_gets_a_new_name_beside_the_old_one() {
        let live = live("id", "chat-Table-1ABCDEFGHIJKL", "chat-Queue-AB12CD34EF56");
        let project = project("room");
        let derived = project.stack(&scope()).unwrap();
        let table = derived.resources["Table"].name.clone();
        let stack = settle(&project, derived, &live).unwrap();
        assert_eq!(stack.resources["Table"].name, table);
        assert_eq!(stack.resources["Queue"].name.as_deref(), Some("chat-Queue-AB12CD34EF56"));
        let options =
            PlanOptions { allow_data_loss: ["Table".to_owned(), "Logs".to_owned()].into(), ..PlanOptions::default() };
        let plan = plan::diff(&stack, &live, &options).unwrap();
        let tables = plan.steps.iter().filter(|step| step.name == "Table");
        let steps: Vec<_> = tables.map(|step| (step.action, step.physical_id.clone())).collect();
        assert_eq!(steps, [(Action::Create, table), (Action::Delete, Some("chat-Table-1ABCDEFGHIJKL".to_owned()))]);
    }

    #[test]
    fn a_resource_of_another_owner_gives_no_name() {
        let mut live = live("id", "mine", "yours");
        live.iter_mut().for_each(|one| one.owner = Owner::Other("the wschat stack \"other\"".to_owned()));
        let project = project("id");
        let derived = project.stack(&scope()).unwrap();
        let stack = settle(&project, derived.clone(), &live).unwrap();
        assert_eq!(stack.resources["Table"].name, derived.resources["Table"].name);
    }
}
