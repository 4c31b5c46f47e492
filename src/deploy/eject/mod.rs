//! Hands a stack over to CloudFormation, step by step. Where it stands is read from CloudFormation and from the tags, so a run that was
//! killed is simply run again.
//!
//! ```text
//! Nothing --import--> Imported --(create)--> Created --(whole)--> Whole --release--> (CloudFormation's alone)
//! ```
//!
//! wschat's tags come off last: until then every resource is wschat's, and from the import on CloudFormation's, too.

mod code;
mod release;
mod sam_key;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use serde_json::Value;
use sha2::{Digest, Sha256};

pub use self::code::{CodeUpload, uploads};
pub use self::release::{Released, release};
use super::deployment::Deployment;
use super::read::{self, ReadError};
use crate::aws::change_sets::{self, ChangeSet, Import, NewChangeSet, Parameters};
use crate::aws::client::{Aws, CallError, S3Error};
use crate::aws::cloudformation::{self, IN_REVIEW, LONGEST_BODY, StackError, TemplateSource};
use crate::aws::providers::{Discovery, ResourceError, exports};
use crate::core::eject::{self, Handover};
use crate::core::plan::Action;
use crate::core::stack::Stack;
use crate::core::template::Template;
use crate::core::types::{Live, S3Object};

/// How many resources a change set can import (API reference, `CreateChangeSet`, `ResourcesToImport`).
const MOST_IMPORTED: usize = 200;

/// How far a stack is.
#[derive(Debug, Clone, PartialEq)]
pub enum Standing {
    /// CloudFormation has no such stack, or one that has never had a resource.
    Nothing,
    /// An import was rolled back: this stack, by its id, has nothing and is in the way.
    RolledBack { id: String },
    /// What can be imported is imported; the stack has this template.
    Imported { template: Value },
    /// The stack has everything, and some of it would stay without it: it has the template `Handover::create`.
    Created,
    /// The stack has the whole template.
    Whole,
    /// A stack of that name has another template, or is in a state in which nothing can be done with it. `has_ours` says that
    /// resources of wschat's stack are in it.
    Other { status: String, has_ours: bool },
}

/// Why a stack could not be handed over.
#[derive(Debug, thiserror::Error)]
pub enum EjectError {
    #[error(transparent)]
    Call(#[from] CallError),
    #[error(transparent)]
    Stack(#[from] StackError),
    #[error(transparent)]
    Unread(#[from] ReadError),
    #[error("{what}: {}", .error.why)]
    S3 { what: String, error: S3Error },
    /// What cannot be handed over, a sentence each.
    #[error("CloudFormation cannot take over all of the stack")]
    Refused(Vec<String>),
    #[error("CloudFormation refuses the change set: {reason}")]
    BadChangeSet { reason: String },
    /// What the change set would do that it must not, a line each.
    #[error("the change set would change what is there, and is not carried out")]
    Harmful(Vec<String>),
    #[error("the template has {} bytes, and CloudFormation takes {LONGEST_BODY} without a bucket", .0)]
    NeedsBucket(usize),
    /// What CloudFormation's stack and wschat's have under one logical id, a sentence each.
    #[error("CloudFormation has a stack of this name with resources of its own")]
    Another(Vec<String>),
    /// What is not as it was, a sentence each.
    #[error("not everything is as it was before the import")]
    Differs(Vec<String>),
    #[error("{id}: {error}")]
    Resource { id: String, error: ResourceError },
}

/// The way of one stack, planned.
#[derive(Debug)]
pub struct Ejection {
    aws: Arc<Aws>,
    name: String,
    pub handover: Handover,
    parameters: BTreeMap<String, String>,
    tags: BTreeMap<String, String>,
    /// Where templates go that are too long for a request.
    bucket: Option<String>,
    /// What AWS has of the stack before anything is done.
    before: Vec<Live>,
}

/// Looks how far a stack is whose whole template is going to be `whole`; waits while CloudFormation is at work on it.
///
/// # Errors
/// When it cannot be asked.
pub async fn standing(
    aws: &Aws,
    name: &str,
    whole: &Value,
    note: &(dyn Fn(String) + Send + Sync),
) -> Result<Standing, EjectError> {
    let Some(stack) = cloudformation::stack(aws, name).await? else { return Ok(Standing::Nothing) };
    // It has a change set, and nothing else.
    if stack.status == IN_REVIEW {
        return Ok(Standing::Nothing);
    }
    let Some(stack) = cloudformation::settled(aws, &stack.id, note).await? else { return Ok(Standing::Nothing) };
    let text = cloudformation::template(aws, name, false).await?;
    // What wschat sends is JSON. Another one is a stack of others'.
    let template: Value = serde_json::from_str(&text).unwrap_or_default();
    let is_ours = is_part_of(&template, whole);
    match stack.status.as_str() {
        "IMPORT_ROLLBACK_COMPLETE" | "IMPORT_ROLLBACK_FAILED" | "ROLLBACK_COMPLETE" if is_ours => {
            return Ok(Standing::RolledBack { id: stack.id });
        }
        // It never had a template.
        "IMPORT_ROLLBACK_COMPLETE" if template.is_null() => return Ok(Standing::RolledBack { id: stack.id }),
        status if status.ends_with("_COMPLETE") && template == *whole => return Ok(Standing::Whole),
        status if status.ends_with("_COMPLETE") && template == eject::creating(whole) => return Ok(Standing::Created),
        status if status.ends_with("_COMPLETE") && is_ours && is_import(&template) => {
            return Ok(Standing::Imported { template });
        }
        _ => {}
    }
    let held = release::held(aws, name).await?;
    let has_ours = release::has_any(&held, &release::marked(aws).await?);
    // Another tool has deployed it since it was whole: what is left to do is the same.
    if has_ours && stack.status.ends_with("_COMPLETE") && release::missing(&held, whole).is_empty() {
        return Ok(Standing::Whole);
    }
    Ok(Standing::Other { status: stack.status, has_ours })
}

/// Whether a template is one that imports: it has no outputs and lets go of nothing.
fn is_import(template: &Value) -> bool {
    let stays = |resource: &Value| resource["DeletionPolicy"] == "Retain";
    template["Outputs"].is_null() && template["Resources"].as_object().is_some_and(|all| all.values().all(stays))
}

/// Whether a template has no resource that `whole` does not have.
fn is_part_of(template: &Value, whole: &Value) -> bool {
    let (Some(part), Some(all)) = (template["Resources"].as_object(), whole["Resources"].as_object()) else {
        return false;
    };
    part.iter().all(|(id, resource)| all.get(id).is_some_and(|known| known["Type"] == resource["Type"]))
}

impl Ejection {
    /// Plans the way of a stack that is up: `deployment` has an empty plan. `template` is expanded, and its code is in S3.
    ///
    /// # Errors
    /// Everything that cannot be handed over.
    pub async fn plan(
        deployment: &Deployment,
        template: &Template,
        parameters: BTreeMap<String, String>,
        bucket: Option<String>,
    ) -> Result<Self, EjectError> {
        let (aws, stack, plan) = (Arc::clone(deployment.aws()), &deployment.stack, &deployment.plan);
        // Functions have their code in a bucket that CloudFormation would only create after it has imported them.
        if let Some(bucket) = template.only_for_upload().first() {
            let why = format!(
                "{bucket}: CloudFormation would create this bucket, where the code is said to be. Name a bucket of yours in serverless.yml \
                 (deploymentBucket, below provider), and package again"
            );
            return Err(EjectError::Refused(vec![why]));
        }
        let kept = plan.steps.iter().filter(|step| step.action == Action::Keep);
        let live: BTreeMap<String, Live> =
            kept.filter_map(|step| Some((step.name.clone(), step.live.clone()?))).collect();
        let types: BTreeSet<&str> = template.resources.values().map(|resource| resource.type_name.as_str()).collect();
        let importable = change_sets::importable(&aws, types).await?;
        let handover = eject::plan(template, stack, &live, &plan.known, &importable).map_err(EjectError::Refused)?;
        refuse_taken_exports(&aws, stack).await?;
        let imported = handover.imported().count();
        if imported > MOST_IMPORTED {
            let why = format!("it imports {MOST_IMPORTED} resources at once, and {imported} must be imported");
            return Err(EjectError::Refused(vec![why]));
        }
        Ok(Self {
            name: stack.scope.stack.clone(),
            handover,
            parameters,
            tags: stack.tags.clone(),
            bucket,
            before: live.into_values().collect(),
            aws,
        })
    }

    /// Makes the change set that imports.
    ///
    /// # Errors
    /// What CloudFormation refused.
    pub async fn prepare_import(&self) -> Result<ChangeSet, EjectError> {
        let set = change_sets::create(&self.aws, &self.import_set().await?).await?;
        match set.status.as_str() {
            "CREATE_COMPLETE" => {}
            _ => return Err(EjectError::BadChangeSet { reason: set.reason }),
        }
        let other = set.changes.iter().filter(|change| change.action != "Import");
        harmless(
            other.map(|change| format!("{} {} ({})", change.action, change.logical_id, change.type_name)).collect(),
        )?;
        Ok(set)
    }

    /// Carries out the change set that imports, and waits until it is done.
    ///
    /// # Errors
    /// What CloudFormation says has failed; then it has taken everything back.
    pub async fn import(&self, note: &(dyn Fn(String) + Send + Sync)) -> Result<(), EjectError> {
        self.carry_out(&self.import_set().await?, "IMPORT_COMPLETE", note).await
    }

    /// Makes the change set that brings the stack to another template after the import; `None` where CloudFormation sees nothing to change.
    ///
    /// # Errors
    /// What CloudFormation refused; a change set that would replace or remove something.
    pub async fn prepare(&self, template: &Value) -> Result<Option<ChangeSet>, EjectError> {
        let new = self.later_set(template).await?;
        let set = change_sets::create(&self.aws, &new).await?;
        if set.is_void() {
            change_sets::delete(&self.aws, &self.name, &new.name).await?;
            return Ok(None);
        }
        if set.status != "CREATE_COMPLETE" {
            return Err(EjectError::BadChangeSet { reason: set.reason });
        }
        let harmful = set.changes.iter().filter(|change| change.action == "Remove" || change.replaces);
        let harmful: Vec<String> =
            harmful.map(|change| format!("{} {} ({})", change.action, change.logical_id, change.type_name)).collect();
        if !harmful.is_empty() {
            change_sets::delete(&self.aws, &self.name, &new.name).await?;
        }
        harmless(harmful)?;
        Ok(Some(set))
    }

    /// Carries that change set out, and waits until it is done.
    ///
    /// # Errors
    /// What CloudFormation says has failed; then it has taken that step back.
    pub async fn bring(&self, template: &Value, note: &(dyn Fn(String) + Send + Sync)) -> Result<(), EjectError> {
        self.carry_out(&self.later_set(template).await?, "UPDATE_COMPLETE", note).await
    }

    /// Reads everything again, while its tags still tell whose it is.
    ///
    /// # Errors
    /// What is gone, or has other properties than before.
    pub async fn check(&self, deployment: &Deployment) -> Result<(), EjectError> {
        let now = read::read(&self.aws, &Discovery::from(read::search(&deployment.stack))).await?;
        let mut differs = Vec::new();
        for old in &self.before {
            let id = old.logical_id.as_deref().unwrap_or(&old.physical_id);
            let same = |one: &&Live| {
                one.type_name == old.type_name && one.physical_id == old.physical_id && one.parent == old.parent
            };
            match now.iter().find(same) {
                None => differs.push(format!("{id} ({}, {}) is not found any more", old.type_name, old.physical_id)),
                Some(new) if new.properties != old.properties => {
                    let changed = changed(&old.properties, &new.properties).join(", ");
                    differs.push(format!("{id} ({}, {}) has changed: {changed}", old.type_name, old.physical_id));
                }
                Some(_) => {}
            }
        }
        if differs.is_empty() { Ok(()) } else { Err(EjectError::Differs(differs)) }
    }

    async fn import_set(&self) -> Result<NewChangeSet, EjectError> {
        let imports = self.handover.imported().map(|(entry, identifier)| Import {
            logical_id: entry.logical_id.clone(),
            type_name: entry.type_name.clone(),
            identifier: identifier.clone(),
        });
        self.change_set("import", &self.handover.import, imports.collect()).await
    }

    async fn later_set(&self, template: &Value) -> Result<NewChangeSet, EjectError> {
        self.change_set("complete", template, Vec::new()).await
    }

    /// A change set whose name tells all that it does: a run that begins again finds its own.
    async fn change_set(&self, verb: &str, template: &Value, imports: Vec<Import>) -> Result<NewChangeSet, EjectError> {
        let text = text(template);
        let says = format!("{text}\n{:?}\n{:?}\n{imports:?}", self.parameters, self.tags);
        let digest = hex::encode(&Sha256::digest(says)[..6]);
        Ok(NewChangeSet {
            stack: self.name.clone(),
            name: format!("wschat-{verb}-{digest}"),
            template: self.source(text).await?,
            parameters: Parameters::Given(self.parameters.clone()),
            tags: self.tags.clone(),
            imports,
        })
    }

    /// How CloudFormation gets a template: with the request, or from the bucket where it is too long for that.
    async fn source(&self, text: String) -> Result<TemplateSource, EjectError> {
        if text.len() <= LONGEST_BODY {
            return Ok(TemplateSource::Body(text));
        }
        let bucket = self.bucket.clone().ok_or(EjectError::NeedsBucket(text.len()))?;
        let digest = hex::encode(&Sha256::digest(&text)[..16]);
        let object = S3Object { bucket, key: format!("{}/{digest}.template", self.name), version: None };
        let put = async { self.aws.s3().await?.put(&object, text.into()).await };
        let address = put
            .await
            .map_err(|error| EjectError::S3 { what: format!("the template cannot be put into {object}"), error })?;
        Ok(TemplateSource::Url(address))
    }

    /// Carries out a change set with which the stack is to come to the status `wanted`.
    async fn carry_out(
        &self,
        set: &NewChangeSet,
        wanted: &str,
        note: &(dyn Fn(String) + Send + Sync),
    ) -> Result<(), EjectError> {
        let stack = change_sets::carry_out(&self.aws, &set.stack, &set.name, note).await?;
        if stack.status == wanted {
            return Ok(());
        }
        let reasons = cloudformation::failures(&self.aws, &stack.id).await;
        Err(StackError::Ended { name: stack.name, status: stack.status, reasons }.into())
    }
}

/// Refuses a stack whose exports CloudFormation would refuse once everything is imported: a name can be exported once.
async fn refuse_taken_exports(aws: &Aws, stack: &Stack) -> Result<(), EjectError> {
    let named = stack.outputs.iter().filter_map(|(output, declared)| Some((output, declared.export.as_ref()?)));
    let named: Vec<(&String, &String)> = named.collect();
    if named.is_empty() {
        return Ok(());
    }
    let others = exports::formed(aws).await?.into_iter().filter(|one| one.stack != stack.scope.stack);
    let others: Vec<_> = others.collect();
    let taken = named.into_iter().filter_map(|(output, name)| {
        let other = others.iter().find(|other| other.name == *name)?;
        let stack = &other.stack;
        Some(format!("the output {output} exports {name}, which the CloudFormation stack \"{stack}\" exports already"))
    });
    let taken: Vec<String> = taken.collect();
    if taken.is_empty() { Ok(()) } else { Err(EjectError::Refused(taken)) }
}

/// A template as it is sent, and as it is written into a file where it is short enough to be sent like that.
pub fn text(template: &Value) -> String {
    let readable = serde_json::to_string_pretty(template).unwrap_or_default() + "\n";
    if readable.len() <= LONGEST_BODY { readable } else { template.to_string() }
}

/// Deletes the stack that an import which was rolled back has left. It has no resources.
///
/// # Errors
/// When that fails, or the stack has resources.
pub async fn clear(aws: &Aws, id: &str, note: &(dyn Fn(String) + Send + Sync)) -> Result<(), EjectError> {
    let held: Vec<String> = release::held(aws, id).await?.into_iter().map(|one| one.logical_id).collect();
    if !held.is_empty() {
        let reasons = vec![format!("it still has {}", held.join(", "))];
        return Err(StackError::Ended { name: id.to_owned(), status: "rolled back".to_owned(), reasons }.into());
    }
    cloudformation::delete(aws, id).await?;
    cloudformation::settled(aws, id, note).await?;
    Ok(())
}

fn harmless(lines: Vec<String>) -> Result<(), EjectError> {
    if lines.is_empty() { Ok(()) } else { Err(EjectError::Harmful(lines)) }
}

/// The properties that differ.
fn changed(old: &Value, new: &Value) -> Vec<String> {
    let (Some(old), Some(new)) = (old.as_object(), new.as_object()) else { return Vec::new() };
    let names: BTreeSet<&String> = old.keys().chain(new.keys()).collect();
    names.into_iter().filter(|name| old.get(*name) != new.get(*name)).cloned().collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_template_belongs_to_the_way_if_all_it_has_is_in_the_whole() {
        let whole = json!({"Resources": {"A": {"Type": "T"}, "B": {"Type": "U"}}});
        for (part, expected) in [
            (json!({"Resources": {"A": {"Type": "T", "DeletionPolicy": "Retain"}}}), true),
            (json!({"Resources": {"A": {"Type": "U"}}}), false),
            (json!({"Resources": {"C": {"Type": "T"}}}), false),
            (json!({}), false),
            (whole.clone(), true),
        ] {
            assert_eq!(is_part_of(&part, &whole), expected, "{part}");
        }
        let retained = json!({"Resources": {"A": {"Type": "T", "DeletionPolicy": "Retain"}}});
        let mut with_output = retained.clone();
        with_output["Outputs"] = json!({"O": {"Value": "x"}});
        assert!(is_import(&retained) && !is_import(&with_output) && !is_import(&whole));
    }

    #[test]
    fn a_template_is_sent_readable_while_it_is_short() {
        assert_eq!(text(&json!({"A": 1})), "{\n  \"A\": 1\n}\n");
        let long = json!({"A": "x".repeat(LONGEST_BODY)});
        assert!(!text(&long).contains('\n'));
    }
}
