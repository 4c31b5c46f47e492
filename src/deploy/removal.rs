//! A stack on its way out of AWS: read, plan, carry out, and look again until nothing is left. It takes no template.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{mpsc, watch};

use super::execute::{self, Code, Outcome, StepEvent, Zips};
use super::exports::{self, Unpublished};
use super::read::{self, ReadError, StillFormed};
use super::session::Session;
use crate::aws::client::Aws;
use crate::aws::providers::Search;
use crate::core::plan::{self, Plan, PlanError};
use crate::core::types::{Live, Owner};

/// The end of a stack.
#[derive(Debug)]
pub struct Removal {
    session: Session,
    live: Vec<Live>,
    /// The deletion of all existing resources.
    pub plan: Plan,
    /// Functions that existed: their log groups are found by their names.
    functions: BTreeSet<String>,
    looks: u32,
}

/// How many times resources are searched for: a function's last lines may create its log group again.
const LOOKS: u32 = 6;

/// The step by which the pauses between searches grow: AWS's lists lag behind.
const PAUSE: Duration = Duration::from_secs(2);

impl Removal {
    /// Reads the stack's resources, without a template, and plans to delete them.
    ///
    /// # Errors
    /// When it cannot be read.
    pub async fn plan(mut session: Session) -> Result<Self, ReadError> {
        let live = session.read(Search::default()).await?;
        let functions = read::functions(&live).collect();
        Ok(Self { session, plan: plan::teardown(&live), live, functions, looks: 1 })
    }

    /// What makes the calls.
    pub fn aws(&self) -> &Arc<Aws> {
        self.session.aws()
    }

    /// The CloudFormation stack that has the resources, too: one takes over what the other has.
    pub async fn still_formed(&self) -> Option<StillFormed> {
        if self.plan.is_empty() { None } else { read::still_formed(self.session.aws(), &self.live).await }
    }

    /// Whether anything is the stack's.
    pub fn is_there(&self) -> bool {
        self.live.iter().any(|one| one.owner == Owner::Stack)
    }

    /// The resources that cannot be deleted because others use them.
    pub fn in_use(&self) -> Vec<PlanError> {
        plan::in_use(&self.plan)
    }

    /// Asks whether others import what the stack exports.
    ///
    /// # Errors
    /// They do, or it cannot be told.
    pub async fn guard_exports(&self) -> Result<(), Unpublished> {
        exports::guard_all(self.session.aws(), &self.live).await
    }

    /// The resources that look like the stack's and are kept, a sentence each.
    pub fn left(&self) -> Vec<String> {
        read::left(&self.live, self.session.aws().scope())
    }

    /// Carries out the plan. When `stop` turns true, running steps finish and no others start.
    pub async fn carry_out(&self, events: mpsc::UnboundedSender<StepEvent>, stop: watch::Receiver<bool>) -> Outcome {
        execute::run(Arc::clone(self.session.aws()), &self.plan, Code::ready(Zips::new()), events, stop).await
    }

    /// Whether what stays records exports of the stack.
    pub fn leaves_exports(&self) -> bool {
        exports::are_left_behind(&self.plan)
    }

    /// Takes back what the stack exported, where what records it stays.
    ///
    /// # Errors
    /// Why it could not.
    pub async fn withdraw_exports(&self) -> Result<(), Unpublished> {
        exports::withdraw(self.session.aws(), &self.plan).await
    }

    /// Reads the resources again, and plans to delete them. Returns `false` after the last search.
    ///
    /// # Errors
    /// When it cannot be read.
    pub async fn look_again(&mut self) -> Result<bool, ReadError> {
        if self.looks == LOOKS {
            return Ok(false);
        }
        tokio::time::sleep(PAUSE * (self.looks - 1)).await;
        self.looks += 1;
        let search = Search { functions: self.functions.clone(), ..Search::default() };
        self.live = self.session.read(search).await?;
        self.functions.extend(read::functions(&self.live));
        self.plan = plan::teardown(&self.live);
        Ok(true)
    }
}
