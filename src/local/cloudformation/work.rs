//! What goes on after an answer: stacks are made, changed, filled with what is imported, and deleted, resource by resource, and each
//! step is an event.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::sync::Arc;

use rand::RngExt;
use serde_json::Value;

use super::calls::Calls;
use super::dynamic::{self, Found};
use super::evaluate::{Attributes, Scope};
use super::model::{Change, LookedUp, Output, Resource, ResourceToImport, Settings, Stack, invalid};
use super::plan::{differing, in_order};
use super::resources::{self, Declared, Existing};
use super::{CloudFormation, stack_policy};
use crate::local::context::clock::now_millis;
use crate::local::protocol::wire::ApiError;

/// The longest name that CloudFormation makes.
const LONGEST_NAME: usize = 64;

/// One operation on one stack.
#[derive(Clone)]
pub struct Worker {
    pub service: Arc<CloudFormation>,
    pub calls: Calls,
    /// The stack's id.
    pub stack: String,
}

/// A template and what goes with it.
pub struct Wanted {
    pub body: String,
    pub processed: Value,
    pub settings: Settings,
    pub policies: UpdatePolicies,
}

/// The stack policies that an update is given.
#[derive(Default)]
pub struct UpdatePolicies {
    /// The one that holds for this update, in the place of the stack's.
    pub during: Option<String>,
    /// The one that the stack has once the update has succeeded.
    pub after: Option<String>,
}

/// Why an operation could not be carried out.
type Failed = String;

/// The deletion policies with which a resource stays when it leaves its stack.
const KEPT: &[&str] = &["Retain", "RetainExceptOnCreate", "Snapshot"];

/// The deletion policies with which a resource stays when the operation that has made it is rolled back (user guide, "DeletionPolicy
/// attribute"; API reference, `UpdateStack`, `RetainExceptOnCreate`).
fn kept_on_rollback(wanted: &Wanted) -> &'static [&'static str] {
    if wanted.settings.retain_except_on_create { &[] } else { &["Retain"] }
}

impl Worker {
    fn region(&self) -> &str {
        self.calls.region()
    }

    /// The stack as it is.
    fn stack(&self) -> Stack {
        let state = self.service.state.now();
        state.stack(self.region(), &self.stack).cloned().unwrap_or_default()
    }

    /// Changes the stack. What cannot be saved is logged: no caller waits for an answer.
    fn change(&self, change: impl FnOnce(&mut Stack)) {
        let changed = self.service.state.change(|state| {
            change(state.stack_mut(self.region(), &self.stack)?);
            Ok(())
        });
        if let Err(error) = changed {
            tracing::error!("stack {}: {}", self.stack, error.message);
        }
    }

    /// Waits as long as such an operation takes on AWS.
    async fn pause(&self) {
        tokio::time::sleep(self.service.context.conditions.eventual.resource_changing).await;
    }

    /// Makes all resources of a stack that has none.
    pub async fn create(self, wanted: Wanted) {
        self.pause().await;
        let keeps = wanted.settings.disable_rollback;
        match self.apply(&wanted).await {
            Ok(_) => self.change(|stack| stack.set_status("CREATE_COMPLETE", None)),
            Err(why) if keeps => self.change(|stack| stack.set_status("CREATE_FAILED", Some(&why))),
            Err(why) => {
                self.change(|stack| stack.set_status("ROLLBACK_IN_PROGRESS", Some(&why)));
                let made = self.stack().in_order();
                let failed = self.delete_by(&wanted.processed, made, kept_on_rollback(&wanted)).await;
                self.change(|stack| match &failed[..] {
                    [] => stack.set_status("ROLLBACK_COMPLETE", None),
                    some => stack.set_status("ROLLBACK_FAILED", Some(&not_deleted(some))),
                });
            }
        }
    }

    /// Brings a stack to another template: what is new is made, what is no longer there goes, and policies and outputs change.
    /// `changes` are what a preview has found.
    pub async fn update(self, wanted: Wanted, changes: Vec<Change>) {
        self.pause().await;
        let old = self.stack();
        let applied = match self.refuse_protected(&old, &wanted, &changes) {
            Ok(()) => self.apply(&wanted).await,
            refused => refused.map(|()| Vec::new()),
        };
        let new_policy = wanted.policies.after.clone();
        match applied {
            Ok(has) => {
                self.change(|stack| stack.set_status("UPDATE_COMPLETE_CLEANUP_IN_PROGRESS", None));
                let gone = |id: &String| !has.contains(id);
                let gone: Vec<String> = self.stack().in_order().into_iter().filter(gone).collect();
                // By the policies of the template that had them.
                self.delete_by(&old.processed, gone, KEPT).await;
                self.change(|stack| {
                    stack.policy = new_policy.or(stack.policy.take());
                    stack.set_status("UPDATE_COMPLETE", None);
                });
            }
            Err(why) => {
                self.change(|stack| stack.set_status("UPDATE_ROLLBACK_IN_PROGRESS", Some(&why)));
                self.set_back(&old).await;
                let made: Vec<String> =
                    self.stack().in_order().into_iter().filter(|id| !old.resources.contains_key(id)).collect();
                self.delete_by(&wanted.processed, made, kept_on_rollback(&wanted)).await;
                self.change(|stack| {
                    stack.processed = old.processed;
                    stack.body = old.body;
                    stack.settings = old.settings;
                    stack.set_status("UPDATE_ROLLBACK_COMPLETE", None);
                });
            }
        }
    }

    /// Refuses an update of what the stack policy protects, before anything is changed.
    fn refuse_protected(&self, stack: &Stack, wanted: &Wanted, changes: &[Change]) -> Result<(), Failed> {
        let Some(policy) = wanted.policies.during.as_ref().or(stack.policy.as_ref()) else { return Ok(()) };
        let mut refused = Vec::new();
        for change in changes {
            if let Some(why) = stack_policy::refusal(policy, change) {
                self.change(|stack| stack.set_resource_status(&change.logical_id, "UPDATE_FAILED", Some(&why)));
                refused.push(change.logical_id.as_str());
            }
        }
        match refused[..] {
            [] => Ok(()),
            _ => Err(format!("The following resource(s) failed to update: [{}].", refused.join(", "))),
        }
    }

    /// Takes existing resources into a stack.
    pub async fn import(self, wanted: Wanted, imports: Vec<ResourceToImport>) {
        self.pause().await;
        let done = self.take_in(&wanted, &imports).await;
        self.change(|stack| match done {
            Ok(()) => stack.set_status("IMPORT_COMPLETE", None),
            Err(why) => {
                stack.take_back_imports();
                stack.set_status("IMPORT_ROLLBACK_IN_PROGRESS", Some(&why));
                stack.set_status("IMPORT_ROLLBACK_COMPLETE", None);
            }
        });
    }

    async fn take_in(&self, wanted: &Wanted, imports: &[ResourceToImport]) -> Result<(), Failed> {
        let first = self.stack().resources.len();
        for (index, one) in imports.iter().enumerate() {
            let physical_id = resources::physical_id(&one.type_name, &one.identifier);
            self.change(|stack| {
                let resource = Resource {
                    type_name: one.type_name.clone(),
                    physical_id,
                    place: first + index,
                    at: now_millis(),
                    ..Resource::default()
                };
                stack.resources.insert(one.logical_id.clone(), resource);
                stack.set_resource_status(&one.logical_id, "IMPORT_IN_PROGRESS", Some("Resource import started."));
            });
            let found = resources::read(&self.calls, &one.type_name, &one.identifier).await;
            let found = found.map_err(|error| error.message)?;
            let attributes = found.ok_or_else(|| not_found(one))?;
            self.tag(&one.type_name, &one.logical_id, &one.identifier, &attributes)
                .await
                .map_err(|error| error.message)?;
            self.change(|stack| {
                if let Some(resource) = stack.resources.get_mut(&one.logical_id) {
                    resource.identifier = one.identifier.clone();
                }
                stack.set_resource_status(&one.logical_id, "IMPORT_COMPLETE", Some("Resource import completed."));
            });
        }
        // The properties are what the template says, once everything is there that they name.
        let known = self.attributes().await?;
        let exports = self.service.state.now().exports(self.region());
        let stack = self.stack();
        let scope = self.scope(&stack, wanted, &known, &exports);
        let order = in_order(&scope)?;
        let mut evaluated = BTreeMap::new();
        for logical_id in &order {
            evaluated
                .insert(logical_id.clone(), scope.evaluate(&wanted.processed["Resources"][logical_id]["Properties"])?);
        }
        let imported = scope.imported.take().into_iter().collect();
        drop(scope);
        let mut given = BTreeMap::new();
        for (logical_id, properties) in evaluated {
            let kept = stack.resources.get(&logical_id).map(|resource| resource.looked_up.clone()).unwrap_or_default();
            let looked_up = dynamic::look_up(&self.calls, &properties, &kept).await.map_err(|error| error.message)?;
            given.insert(logical_id, (properties, looked_up));
        }
        self.change(|stack| {
            for (place, logical_id) in order.iter().enumerate() {
                if let Some(resource) = stack.resources.get_mut(logical_id) {
                    resource.place = place;
                    (resource.properties, resource.looked_up) = given.remove(logical_id).unwrap_or_default();
                }
            }
            stack.imports = imported;
            stack.adopt(wanted);
        });
        Ok(())
    }

    /// Deletes a stack: each resource, but for those that their policy retains.
    pub async fn delete(self, retained: Vec<String>) {
        self.pause().await;
        let old = self.stack();
        let (keep, go): (Vec<String>, Vec<String>) = old.in_order().into_iter().partition(|id| retained.contains(id));
        for logical_id in keep {
            self.change(|stack| {
                stack.set_resource_status(&logical_id, "DELETE_SKIPPED", None);
                stack.resources.remove(&logical_id);
            });
        }
        let failed = self.delete_by(&old.processed, go, KEPT).await;
        self.change(|stack| {
            if !failed.is_empty() {
                return stack.set_status("DELETE_FAILED", Some(&not_deleted(&failed)));
            }
            stack.outputs.clear();
            stack.imports.clear();
            stack.deleted = Some(now_millis());
            stack.set_status("DELETE_COMPLETE", None);
        });
    }

    /// Deletes resources of a stack, the last first, but for those whose policy in `template` is one of `kept`; gives those that could
    /// not be deleted.
    async fn delete_by(&self, template: &Value, ids: Vec<String>, kept: &[&str]) -> Vec<String> {
        let mut failed = Vec::new();
        for logical_id in ids.into_iter().rev() {
            let stack = self.stack();
            let Some(resource) = stack.resources.get(&logical_id) else { continue };
            let policy = template["Resources"][&logical_id]["DeletionPolicy"].as_str().unwrap_or("Delete");
            if kept.contains(&policy) {
                self.change(|stack| {
                    stack.set_resource_status(&logical_id, "DELETE_SKIPPED", None);
                    stack.resources.remove(&logical_id);
                });
                continue;
            }
            if !resource.identifier.is_empty() {
                self.change(|stack| stack.set_resource_status(&logical_id, "DELETE_IN_PROGRESS", None));
                let existing = Existing {
                    type_name: &resource.type_name,
                    identifier: &resource.identifier,
                    properties: &dynamic::properties(resource),
                };
                if let Err(error) = resources::delete(&self.calls, &existing).await {
                    self.change(|stack| {
                        stack.set_resource_status(&logical_id, "DELETE_FAILED", Some(&error.message));
                    });
                    failed.push(logical_id);
                    continue;
                }
            }
            self.change(|stack| {
                stack.set_resource_status(&logical_id, "DELETE_COMPLETE", None);
                stack.resources.remove(&logical_id);
            });
        }
        failed.sort();
        failed
    }

    /// Makes what a template has and the stack has not, and sets everything else that the stack knows. Gives the logical ids of the
    /// resources that the template has.
    async fn apply(&self, wanted: &Wanted) -> Result<Vec<String>, Failed> {
        let exports = self.service.state.now().exports(self.region());
        let mut known = self.attributes().await?;
        let order = {
            let stack = self.stack();
            if let Some(why) = dynamic::unsupported(&self.references(&stack, wanted, &known), false) {
                return Err(why);
            }
            in_order(&self.scope(&stack, wanted, &known, &exports))?
        };
        let mut imported = std::collections::BTreeSet::new();
        for (place, logical_id) in order.iter().enumerate() {
            let stack = self.stack();
            let declared = &wanted.processed["Resources"][logical_id.as_str()];
            let properties = {
                let scope = self.scope(&stack, wanted, &known, &exports);
                let properties = scope.evaluate(&declared["Properties"]);
                imported.extend(scope.imported.take());
                properties?
            };
            if let Some(old) = stack.resources.get(logical_id).filter(|resource| !resource.identifier.is_empty()) {
                let has_changed = old.properties != properties
                    || stack.processed["Resources"][logical_id.as_str()]["Metadata"] != declared["Metadata"];
                let kept = dynamic::kept(&old.looked_up, has_changed);
                let done = self.set_properties(logical_id, old, properties, &kept).await;
                done.map_err(|_| format!("The following resource(s) failed to update: [{logical_id}]."))?;
                self.change(|stack| {
                    if let Some(resource) = stack.resources.get_mut(logical_id) {
                        resource.place = place;
                    }
                });
                continue;
            }
            let type_name = declared["Type"].as_str().unwrap_or_default();
            let attributes = self.make(logical_id, type_name, properties, place).await.map_err(|error| {
                self.change(|stack| stack.set_resource_status(logical_id, "CREATE_FAILED", Some(&error.message)));
                format!("The following resource(s) failed to create: [{logical_id}].")
            })?;
            known.insert(logical_id.clone(), attributes);
        }
        let stack = self.stack();
        let mut outputs = {
            let scope = self.scope(&stack, wanted, &known, &exports);
            let outputs = outputs(&scope)?;
            imported.extend(scope.imported.take());
            outputs
        };
        for output in &mut outputs {
            output.value = dynamic::of_output(&self.calls, &output.value).await.map_err(|error| error.message)?;
        }
        self.refuse_taken_exports(&outputs)?;
        self.change(|stack| {
            stack.outputs = outputs;
            stack.imports = imported.into_iter().collect();
            stack.adopt(wanted);
        });
        Ok(order)
    }

    /// Changes a resource in place, where its properties differ, with what its dynamic references give. Those of `kept` are not read.
    async fn set_properties(
        &self,
        logical_id: &str,
        old: &Resource,
        properties: Value,
        kept: &LookedUp,
    ) -> Result<(), ApiError> {
        let looked_up = dynamic::look_up(&self.calls, &properties, kept).await;
        if let Ok(looked_up) = &looked_up
            && (&old.properties, &old.looked_up) == (&properties, looked_up)
        {
            return Ok(());
        }
        self.change(|stack| stack.set_resource_status(logical_id, "UPDATE_IN_PROGRESS", None));
        let done = match looked_up {
            Ok(looked_up) => {
                let (was, filled) = (dynamic::properties(old), dynamic::filled(&properties, &looked_up));
                let existing = Existing { type_name: &old.type_name, identifier: &old.identifier, properties: &was };
                match not_changed(&old.type_name, &differing(&was, &filled)) {
                    None => {
                        let done = resources::updates::update(&self.calls, &existing, &filled).await;
                        // Also where that failed, since a part of them may have been set.
                        self.change(|stack| {
                            if let Some(resource) = stack.resources.get_mut(logical_id) {
                                (resource.properties, resource.looked_up) = (properties, looked_up);
                            }
                        });
                        done
                    }
                    // No change set shows it: a reference gives another value.
                    Some(what) => Err(invalid(format!("{NOT_PLAYED}: {logical_id} ({what})."))),
                }
            }
            Err(error) => Err(error),
        };
        self.change(|stack| match &done {
            Ok(()) => stack.set_resource_status(logical_id, "UPDATE_COMPLETE", None),
            Err(error) => stack.set_resource_status(logical_id, "UPDATE_FAILED", Some(&error.message)),
        });
        done
    }

    /// Gives the resources of a stack the properties again that they had in `old`; what is refused is an event.
    async fn set_back(&self, old: &Stack) {
        let now = self.stack();
        for logical_id in now.in_order().into_iter().rev() {
            if let (Some(was), Some(is)) = (old.resources.get(&logical_id), now.resources.get(&logical_id)) {
                let _ = self.set_properties(&logical_id, is, was.properties.clone(), &was.looked_up).await;
            }
        }
    }

    async fn make(
        &self,
        logical_id: &str,
        type_name: &str,
        properties: Value,
        place: usize,
    ) -> Result<Attributes, ApiError> {
        let stack_name = self.stack().name;
        self.change(|stack| {
            let resource = Resource {
                type_name: type_name.to_owned(),
                properties: properties.clone(),
                place,
                at: now_millis(),
                ..Resource::default()
            };
            stack.resources.insert(logical_id.to_owned(), resource);
            stack.set_resource_status(logical_id, "CREATE_IN_PROGRESS", None);
        });
        let looked_up = dynamic::look_up(&self.calls, &properties, &LookedUp::new()).await?;
        let filled = dynamic::filled(&properties, &looked_up);
        self.change(|stack| {
            if let Some(resource) = stack.resources.get_mut(logical_id) {
                resource.looked_up = looked_up;
            }
        });
        let name = physical_name(&stack_name, logical_id);
        let declared = Declared { type_name, properties: &filled, name: &name };
        let identifier = resources::create(&self.calls, &declared).await?;
        self.change(|stack| {
            if let Some(resource) = stack.resources.get_mut(logical_id) {
                resource.physical_id = resources::physical_id(type_name, &identifier);
                resource.identifier.clone_from(&identifier);
            }
            stack.set_resource_status(logical_id, "CREATE_IN_PROGRESS", Some("Resource creation Initiated"));
        });
        let attributes = resources::read(&self.calls, type_name, &identifier).await?.unwrap_or_default();
        self.tag(type_name, logical_id, &identifier, &attributes).await?;
        self.change(|stack| stack.set_resource_status(logical_id, "CREATE_COMPLETE", None));
        Ok(attributes)
    }

    /// Sets the tags that say whose a resource is, and the stack's own, where its type has tags. Roles have the stack's alone.
    async fn tag(
        &self,
        type_name: &str,
        logical_id: &str,
        identifier: &resources::Identifier,
        attributes: &Attributes,
    ) -> Result<(), ApiError> {
        let stack = self.stack();
        let own = stack.resources.get(logical_id).map(|resource| resources::own_tags(&dynamic::properties(resource)));
        let is_own = |key: &String| own.as_ref().is_some_and(|own| own.contains_key(key));
        // A resource's own tags are stronger than the stack's.
        let of_stack = stack.settings.tags.clone().into_iter();
        let mut tags: BTreeMap<String, String> = of_stack.filter(|(key, _)| !is_own(key)).collect();
        let Some(arn) = resources::arn(&self.calls, type_name, identifier, attributes) else {
            return resources::tag_role(&self.calls, type_name, identifier, &tags).await;
        };
        for (name, value) in [("stack-name", stack.name.as_str()), ("stack-id", &stack.id), ("logical-id", logical_id)]
        {
            tags.insert(format!("aws:cloudformation:{name}"), value.to_owned());
        }
        for source in &self.service.tagged {
            match source.retag(&arn, &tags, &[]) {
                Ok(true) => return Ok(()),
                Ok(false) => {}
                Err(error) => tracing::warn!("{arn}: {}", error.message),
            }
        }
        Ok(())
    }

    /// What the resources of the stack give to others.
    pub async fn attributes(&self) -> Result<BTreeMap<String, Attributes>, Failed> {
        let mut known = BTreeMap::new();
        for (logical_id, resource) in self.stack().resources {
            if resource.identifier.is_empty() {
                continue;
            }
            let read = resources::read(&self.calls, &resource.type_name, &resource.identifier).await;
            // One that was deleted by other means still has its name.
            let gone = Attributes { reference: resource.physical_id.clone(), ..Attributes::default() };
            known.insert(logical_id, read.map_err(|error| error.message)?.unwrap_or(gone));
        }
        Ok(known)
    }

    /// What names in a template stand for.
    pub fn scope<'a>(
        &'a self,
        stack: &'a Stack,
        wanted: &'a Wanted,
        resources: &'a BTreeMap<String, Attributes>,
        exports: &'a BTreeMap<String, String>,
    ) -> Scope<'a> {
        Scope {
            processed: &wanted.processed,
            region: self.region(),
            stack_name: &stack.name,
            stack_id: &stack.id,
            notification_arns: &wanted.settings.notification_arns,
            parameters: &wanted.settings.parameters,
            exports,
            resources,
            is_preview: false,
            imported: RefCell::default(),
        }
    }

    /// The dynamic references of a template, as far as they are known before anything is made.
    pub fn references(&self, stack: &Stack, wanted: &Wanted, known: &BTreeMap<String, Attributes>) -> Vec<Found> {
        let exports = self.service.state.now().exports(self.region());
        let mut scope = self.scope(stack, wanted, known, &exports);
        scope.is_preview = true;
        dynamic::of_template(&scope)
    }

    /// Whether an export that others use would go or change, or another stack has one of that name.
    fn refuse_taken_exports(&self, outputs: &[Output]) -> Result<(), Failed> {
        let state = self.service.state.now();
        let stack = self.stack();
        for old in stack.outputs.iter().filter(|old| old.export.is_some()) {
            let name = old.export.as_deref().unwrap_or_default();
            let Some(user) = state.importers(self.region(), name).next() else { continue };
            match outputs.iter().find(|output| output.export == old.export) {
                None => return Err(format!("Delete canceled. Cannot delete export {name} as it is in use by {user}.")),
                Some(new) if new.value != old.value => {
                    return Err(format!("Cannot update export {name} as it is in use by {user}"));
                }
                Some(_) => {}
            }
        }
        for name in outputs.iter().filter_map(|output| output.export.as_deref()) {
            let mut others = state.live(self.region()).filter(|other| other.id != stack.id);
            let other = others.find(|other| other.outputs.iter().any(|one| one.export.as_deref() == Some(name)));
            if let Some(other) = other {
                return Err(format!("Export with name {name} is already exported by stack {}.", other.name));
            }
        }
        Ok(())
    }
}

impl Stack {
    /// Makes a template the stack's.
    fn adopt(&mut self, wanted: &Wanted) {
        self.body.clone_from(&wanted.body);
        self.processed.clone_from(&wanted.processed);
        self.settings.clone_from(&wanted.settings);
    }
}

const NOT_PLAYED: &str = "The local cloud's CloudFormation does not play changes of these properties";

/// What is changed by name, in a sentence, of what this CloudFormation cannot change.
pub fn not_played(changes: &[Change]) -> Option<String> {
    let modified = changes.iter().filter(|change| change.action == "Modify");
    let changed = modified.filter_map(|change| {
        Some(format!("{} ({})", change.logical_id, not_changed(&change.type_name, &change.properties)?))
    });
    let list = changed.collect::<Vec<_>>().join("; ");
    (!list.is_empty()).then(|| format!("{NOT_PLAYED}: {list}. Nothing was changed."))
}

/// Those of a type's properties that this CloudFormation cannot change: `AWS::SQS::Queue: DelaySeconds`.
fn not_changed(type_name: &str, properties: &[String]) -> Option<String> {
    let names = resources::updates::not_played(type_name, properties);
    (!names.is_empty()).then(|| format!("{type_name}: {}", names.join(", ")))
}

/// AWS's words for a resource to import that is not there.
pub fn not_found(one: &ResourceToImport) -> String {
    let values: Vec<&str> = one.identifier.values().map(String::as_str).collect();
    format!("Resource of type '{}' with identifier '{}' was not found.", one.type_name, values.join("|"))
}

fn not_deleted(ids: &[String]) -> String {
    format!("The following resource(s) failed to delete: [{}]. ", ids.join(", "))
}

fn outputs(scope: &Scope<'_>) -> Result<Vec<Output>, Failed> {
    let mut all = Vec::new();
    for (key, declared) in scope.processed["Outputs"].as_object().into_iter().flatten() {
        if !scope.applies(declared)? {
            continue;
        }
        let export = &declared["Export"]["Name"];
        all.push(Output {
            key: key.clone(),
            value: scope.text(&declared["Value"])?,
            description: declared["Description"].as_str().map(str::to_owned),
            export: if export.is_null() { None } else { Some(scope.text(export)?) },
        });
    }
    Ok(all)
}

/// A name as CloudFormation makes it: `STACK-LogicalId-AbCdEfGhIjKl`, cut to 64 characters.
fn physical_name(stack: &str, logical_id: &str) -> String {
    const LETTERS: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789";
    let mut random = rand::rng();
    let ending: String = (0..12).map(|_| char::from(LETTERS[random.random_range(0..LETTERS.len())])).collect();
    let room = LONGEST_NAME - ending.len() - 2;
    let cut = |text: &str, most: usize| text.chars().take(most).collect::<String>();
    // Each gets half, and what the other does not need.
    let of_stack = stack.len().min(room - logical_id.len().min(room / 2));
    let of_resource = logical_id.len().min(room - of_stack);
    format!("{}-{}-{ending}", cut(stack, of_stack), cut(logical_id, of_resource))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_fit() {
        assert!(physical_name("chat", "ConnectRole").starts_with("chat-ConnectRole-"));
        let long = physical_name(&"s".repeat(100), &"L".repeat(100));
        assert_eq!(long.len(), LONGEST_NAME);
        let short = physical_name(&"s".repeat(60), "Role");
        assert!(short.len() == LONGEST_NAME && short.contains("-Role-"), "{short}");
    }
}
