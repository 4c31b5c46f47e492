//! A stack on its way out of AWS: read, plan, carry out, and look again until nothing is left. It takes no template.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{mpsc, watch};

use super::execute::{self, Code, Outcome, StepEvent, Zips};
use super::read::{self, ReadError};
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
    /// What is there now, and goes.
    pub plan: Plan,
    /// Functions that have been there: what they leave behind is known by them.
    functions: BTreeSet<String>,
    looks: u32,
}

/// How often it is looked whether something came back: a function's last lines may make its log group anew.
const LOOKS: u32 = 6;

/// What later looks wait longer and longer by: what AWS lists lags behind what it has.
const PAUSE: Duration = Duration::from_secs(2);

impl Removal {
    /// Reads what is the stack's, without a template, and plans to remove it.
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

    /// Whether anything is the stack's.
    pub fn is_there(&self) -> bool {
        self.live.iter().any(|one| one.owner == Owner::Stack)
    }

    /// What cannot be removed because others use it.
    pub fn in_use(&self) -> Vec<PlanError> {
        plan::in_use(&self.plan)
    }

    /// What looks like the stack's and is left alone, a sentence each.
    pub fn left(&self) -> Vec<String> {
        read::left(&self.live, self.session.aws().scope())
    }

    /// Carries out the plan. When `stop` turns true, what runs is finished and nothing more is started.
    pub async fn carry_out(&self, events: mpsc::UnboundedSender<StepEvent>, stop: watch::Receiver<bool>) -> Outcome {
        execute::run(Arc::clone(self.session.aws()), &self.plan, Code::ready(Zips::new()), events, stop).await
    }

    /// Reads again what is there, and plans to remove that. Gives `false` when it has been looked often enough.
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
