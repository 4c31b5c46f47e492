//! The names that a stack's resources have: those of what is there, by its tags, and derived ones for what is new.
//!
//! What is there may have been named by others: by CloudFormation, in a stack that was taken over from it, or by hand. So a reading
//! comes first, and where it shows other names than wschat would give, the template is resolved again with those.

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
    // What has other names may have been passed over, or taken for something else.
    let live = if named == search { live } else { session.read(named).await? };
    Ok((stack, live))
}

/// The stack under the names that its resources have in `live`.
///
/// # Errors
/// When the template does not go with those names.
pub fn settle(project: &Project, mut stack: Stack, live: &[Live]) -> Result<Stack, Unnamed> {
    let mut names = names(&stack, live);
    let has_them = |stack: &Stack, names: &Names| {
        names.iter().all(|((_, id), name)| {
            stack.resources.get(id).is_some_and(|resource| resource.name.as_ref() == Some(name))
        })
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
        let known = names.entry((one.type_name, resource.logical_id.clone())).or_insert_with(|| one.physical_id.clone());
        if resource.name.as_ref() == Some(&one.physical_id) {
            known.clone_from(&one.physical_id);
        }
    }
    names
}
