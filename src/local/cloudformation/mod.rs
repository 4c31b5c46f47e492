//! CloudFormation: stacks of the resources that this cloud has. They are made and deleted by calls of the other services, with the
//! caller's key, as on AWS. A stack's resources can be retained when it is deleted, and imported into another one.
//!
//! ```text
//! operations (table) --> describe;  stacks, change_sets --request--> plan (evaluate, dynamic) --> work --> resources --calls--> services
//! ```
//!
//! Not played, and refused by name: changes of properties but for those in `resources::updates`, types that the local cloud has not,
//! nested stacks, custom resources, drift.

mod calls;
mod change_sets;
mod describe;
mod dynamic;
mod evaluate;
mod model;
mod operations;
mod plan;
mod request;
mod resources;
mod stack_policy;
mod stacks;
#[cfg(test)]
mod tests;
mod work;

use std::collections::BTreeMap;
use std::io;
use std::sync::{Arc, OnceLock};

use self::calls::Calls;
use self::model::{State, invalid};
use super::context::CloudContext;
use super::context::ports::{ReadTemplate, Services, TaggedResources, TemplateReader};
use super::context::store::PersistedState;
use super::protocol::query::Xml;
use super::protocol::wire::{ApiError, Caller};

/// Why an operation has failed that was under way.
const STOPPED: &str = "The local cloud was stopped meanwhile";

/// The name of its file.
const FILE: &str = "cloudformation";

type Answer = Result<Xml, ApiError>;

/// CloudFormation.
pub struct CloudFormation {
    context: CloudContext,
    state: PersistedState<State>,
    templates: Arc<dyn TemplateReader>,
    /// The services whose resources it tags.
    tagged: Vec<Arc<dyn TaggedResources>>,
    services: OnceLock<Arc<dyn Services>>,
}

impl CloudFormation {
    /// Opens the service with its persisted stacks. An operation that was under way when the cloud was stopped has failed.
    ///
    /// # Errors
    /// When they cannot be read.
    pub fn open(
        context: &CloudContext,
        templates: Arc<dyn TemplateReader>,
        tagged: Vec<Arc<dyn TaggedResources>>,
    ) -> io::Result<Arc<Self>> {
        let state = PersistedState::open(context.store.clone(), FILE, unsaved)?;
        let service = Self { context: context.clone(), state, templates, tagged, services: OnceLock::new() };
        service.give_up().map_err(|error| io::Error::other(error.message))?;
        Ok(Arc::new(service))
    }

    /// Gives it the other services.
    pub fn connect(&self, services: Arc<dyn Services>) {
        // A cloud connects once.
        let _ = self.services.set(services);
    }

    /// Ends the operations that the last process did not finish.
    fn give_up(&self) -> Result<(), ApiError> {
        let busy: Vec<(String, String)> = self.state.read(|state| {
            let busy = state.everywhere().filter(|(_, stack)| stack.is_busy());
            busy.map(|(region, stack)| (region.to_owned(), stack.id.clone())).collect()
        });
        if busy.is_empty() {
            return Ok(());
        }
        self.state.change(|state| {
            for (region, id) in busy {
                let stack = state.stack_mut(&region, &id)?;
                let operation = stack.status.split("_COMPLETE").next().unwrap_or_default().replace("_IN_PROGRESS", "");
                if operation == "IMPORT" {
                    stack.take_back_imports();
                    stack.set_status("IMPORT_ROLLBACK_COMPLETE", Some(STOPPED));
                    continue;
                }
                stack.set_status(&format!("{operation}_FAILED"), Some(STOPPED));
            }
            Ok(())
        })
    }

    /// The other services, for a caller.
    fn calls(&self, caller: Caller) -> Result<Calls, ApiError> {
        let services = self.services.get().ok_or_else(|| invalid("The local cloud is still starting"))?;
        Ok(Calls::new(Arc::clone(services), caller))
    }

    /// Reads a template.
    ///
    /// # Errors
    /// What is wrong with it, as `ValidationError`.
    fn read_template(
        &self,
        text: &str,
        region: &str,
        parameters: &BTreeMap<String, String>,
    ) -> Result<ReadTemplate, ApiError> {
        let template = self.templates.read(text, region, parameters);
        template.map_err(|why| invalid(format!("Template format error: {why}")))
    }
}

fn unsaved(error: io::Error) -> ApiError {
    tracing::error!("CloudFormation's stacks could not be saved: {error}");
    ApiError::new(500, "InternalFailure", "The local cloud could not save its state; see `wschat local logs`.")
}
