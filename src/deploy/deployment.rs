//! A template's stack on its way into AWS: read and build, plan, carry out, roll back.
//!
//! ```text
//! Session, Stack --plan--> Deployment --carry_out--> Outcome --conclude--> RoundEnd
//!                            ^      ^                                    |
//!                            |      +------------ plan_again --- ConcurrentRun
//!                            +------------- plan_rollback, roll_back --------- Failed
//! ```
//!
//! Nothing here prints or asks: the caller does, between two steps, with the values that the step before returned.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{mpsc, watch};

use super::account::{self, NoLogRole};
use super::execute::{self, BuildError, Code, Outcome, StepEvent, Zip, Zips};
use super::exports::{self, Unpublished};
use super::fetch::fetch;
use super::lookups;
use super::names::{self, Unnamed};
use super::project::Project;
use super::read::{self, ReadError, StillFormed};
use super::session::{Session, Task};
use crate::aws::client::{Aws, CallError};
use crate::core::plan::{self, Action, Plan, PlanError, Replaced, Rollback};
use crate::core::stack::{Secrets, Stack};
use crate::core::types::{self, Live, Owner};
use crate::core::words::{Problem, Token};
use crate::package::{self, Progress};

/// When a plan may be made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum When {
    /// When all code is built.
    Built,
    /// As soon as the action of every function is known: if none exists yet, all are created, whatever their
    /// code. Then the compiler and AWS work side by side.
    Known,
}

/// How long the run waits for the compiler before it plans: most builds have nothing to do, and most fail at once.
const HEAD_START: Duration = Duration::from_secs(1);

/// What a run may do.
#[derive(Debug, Clone)]
pub struct DeployOptions {
    pub when: When,
    /// Logical ids whose data may be lost.
    pub allow_data_loss: BTreeSet<String>,
    /// Whether deletions wait for messages in flight.
    pub drain: bool,
    /// Whether the run may continue with another plan than its first, when another run changes the stack.
    pub may_plan_again: bool,
}

/// The code to build while AWS is read.
pub struct BuildRequest {
    pub code: Vec<package::Code>,
    /// Who may read code in S3; `None` where nobody is known who may.
    pub s3: Option<Arc<Aws>>,
    pub target: package::Target,
    pub options: package::BuildOptions,
    /// Where the build's progress goes, and what the compiler says where it fails.
    pub progress: Box<dyn Fn(Progress) + Send + Sync>,
}

/// Why there is no plan.
#[derive(Debug, thiserror::Error)]
pub enum NoPlan {
    #[error(transparent)]
    Unread(#[from] ReadError),
    #[error(transparent)]
    Unnamed(Unnamed),
    /// What is there belongs to this CloudFormation stack, too.
    #[error("the CloudFormation stack \"{}\" still has these resources, too: taking it over is not finished, or handing it over", .0.name)]
    Unfinished(StillFormed),
    #[error(transparent)]
    Unbuilt(#[from] BuildError),
    /// The errors of planning, and the secrets in them.
    #[error("{}", .errors.iter().map(PlanError::to_string).collect::<Vec<_>>().join("\nerror: "))]
    Impossible { errors: Vec<PlanError>, secrets: Secrets },
    /// AWS does not make any more what the template describes.
    #[error("{}", .0.iter().map(|problem| problem.what.clone()).collect::<Vec<_>>().join("\nerror: "))]
    Retired(Vec<Problem>),
    #[error(transparent)]
    NoLogRole(#[from] NoLogRole),
    #[error(transparent)]
    Unpublished(#[from] Unpublished),
    /// Something else than the build, which had failed, too.
    #[error("{why}")]
    AndUnbuilt { why: Box<NoPlan>, build: BuildError },
}

impl NoPlan {
    /// What of it must not be shown.
    pub fn secrets(&self) -> Option<&Secrets> {
        match self {
            Self::Impossible { secrets, .. } => Some(secrets),
            Self::AndUnbuilt { why, .. } => why.secrets(),
            Self::Unread(_)
            | Self::Unnamed(_)
            | Self::Unfinished(_)
            | Self::Unbuilt(_)
            | Self::Retired(_)
            | Self::NoLogRole(_)
            | Self::Unpublished(_) => None,
        }
    }
}

impl From<Unnamed> for NoPlan {
    fn from(error: Unnamed) -> Self {
        match error {
            Unnamed::Unread(error) => Self::Unread(error),
            error => Self::Unnamed(error),
        }
    }
}

/// A stack to be: its plan, and what that was made from.
#[derive(Debug)]
pub struct Deployment {
    session: Session,
    pub stack: Stack,
    /// What AWS had when the plan was made.
    live: Vec<Live>,
    /// What must not be shown.
    pub secrets: Secrets,
    pub plan: Plan,
    /// What is going to be done with the stack's exports: `+ NAME`, `~ NAME`, `- NAME`.
    pub exports: Vec<String>,
    /// Why the account's settings could not be read, if a stage writes logs: then API Gateway's answer shows whether it may.
    pub account_unread: Option<CallError>,
    code: Code,
    _building: Option<Task<()>>,
    options: DeployOptions,
    /// The digests of the plans that were carried out so far.
    carried_out: Vec<String>,
    /// Whether a round has deleted what updates have replaced.
    has_cleaned_up: bool,
}

/// The result of a plan that was carried out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RoundEnd {
    /// The stack is as the template describes it.
    Up,
    /// The same, and something was replaced by what was updated: the next plan deletes the old one.
    Replaced,
    /// Something that was to be created exists: another run changes the stack. The next plan continues from here.
    ConcurrentRun,
    /// The same, and planning again does not help: a round does not find what the one before created.
    NoProgress,
    /// It was stopped, and nothing failed. What is done is kept.
    Stopped,
    /// The stack is as the template describes it, but an old resource could not be deleted.
    NotRemoved,
    /// A step failed. What was done can be undone.
    Failed,
}

/// How many rounds a run plans again when another run changes the same stack.
const ROUNDS: usize = 10;

/// After this many rounds with the same plan, another run is not the reason.
const SAME_PLANS: usize = 3;

impl Deployment {
    /// Reads what AWS has of `stack`, builds its code meanwhile, and plans. It may return while the code is still being
    /// built (`When::Known`).
    ///
    /// # Errors
    /// What keeps the plan from being made.
    pub async fn plan(
        session: Session,
        project: &Project,
        stack: Stack,
        build: BuildRequest,
        options: DeployOptions,
    ) -> Result<Self, NoPlan> {
        let (building, code) = start(build);
        let built = code.clone();
        Self::with_code(session, project, stack, code, Some(building), options).await.map_err(|why| {
            match (why, built.failure()) {
                (why @ (NoPlan::Unbuilt(_) | NoPlan::Retired(_)), _) | (why, None) => why,
                (why, Some(build)) => NoPlan::AndUnbuilt { why: Box::new(why), build },
            }
        })
    }

    /// The same with code that is built already.
    ///
    /// # Errors
    /// What keeps the plan from being made.
    pub async fn plan_built(
        session: Session,
        project: &Project,
        stack: Stack,
        zips: Zips,
        options: DeployOptions,
    ) -> Result<Self, NoPlan> {
        Self::with_code(session, project, stack, Code::ready(zips), None, options).await
    }

    async fn with_code(
        mut session: Session,
        project: &Project,
        stack: Stack,
        code: Code,
        building: Option<Task<()>>,
        options: DeployOptions,
    ) -> Result<Self, NoPlan> {
        let aws = Arc::clone(session.aws());
        let settings = async { Ok::<_, Unnamed>(account::read(&aws, &stack).await) };
        let ((named, live), account) = tokio::try_join!(names::read(&mut session, project, stack.clone()), settings)?;
        let stack = named;
        let (account, account_unread) = match account {
            Ok(account) => (account, None),
            Err(error) => (None, Some(error)),
        };
        let has_code = |live: &Live| {
            live.owner == Owner::Stack && types::kind(live.type_name).is_some_and(|kind| kind.code_property().is_some())
        };
        let wait = options.when == When::Built || live.iter().any(has_code);
        let wait = wait || tokio::time::timeout(HEAD_START, code.all()).await.is_ok();
        let mut deployment = Self {
            session,
            stack,
            live,
            secrets: Secrets::default(),
            plan: Plan::default(),
            exports: Vec::new(),
            account_unread,
            code,
            _building: building,
            options,
            carried_out: Vec::new(),
            has_cleaned_up: false,
        };
        deployment.make_plan(wait).await.map_err(|error| match error {
            NoPlan::Retired(problems) => NoPlan::Retired(project.placed(problems, &deployment.stack.scope)),
            error => error,
        })?;
        if !deployment.plan.is_empty()
            && let Some(stack) = read::still_formed(&aws, &deployment.live).await
        {
            return Err(NoPlan::Unfinished(stack));
        }
        account::check(&deployment.plan, account.as_ref(), &aws.scope().region)?;
        Ok(deployment)
    }

    /// What makes the calls.
    pub fn aws(&self) -> &Arc<Aws> {
        self.session.aws()
    }

    /// Whether anything of the stack is there, so that this is an update.
    pub fn is_update(&self) -> bool {
        self.plan.steps.iter().any(|step| step.live.is_some())
    }

    /// Whether the plan puts this stack in the place of another.
    pub fn replaces(&self) -> Option<Replaced> {
        plan::replaced(&self.stack, &self.live, &self.plan)
    }

    /// How often the plan was made and carried out.
    pub fn rounds(&self) -> usize {
        self.carried_out.len()
    }

    /// The build's error, once it has failed.
    pub fn build_error(&self) -> Option<BuildError> {
        self.code.error()
    }

    /// Carries out the plan. When `stop` turns true, running steps finish and no others start.
    pub async fn carry_out(&self, events: mpsc::UnboundedSender<StepEvent>, stop: watch::Receiver<bool>) -> Outcome {
        execute::run(Arc::clone(self.session.aws()), &self.plan, self.code.clone(), events, stop).await
    }

    /// Whether a function is to be created whose code is there and has no zip for it.
    pub fn lacks_code(&self) -> bool {
        let creates = |step: &&plan::Step| matches!(step.action, Action::Create | Action::Replace);
        let is_uploaded = |step: &&plan::Step| {
            step.kind().zip(step.desired.as_ref()).is_some_and(|(kind, desired)| kind.is_uploaded(&desired.properties))
        };
        self.plan.steps.iter().filter(creates).filter(is_uploaded).any(|step| !self.code.has(&step.name))
    }

    /// The stack's functions as they are once the plan is carried out completely, by logical id.
    pub fn functions(&self, outcome: &Outcome) -> BTreeMap<String, Live> {
        let known = |token: &Token| outcome.known.get(token).cloned();
        let steps = self.plan.steps.iter().filter(|step| step.kind().is_some_and(|kind| kind.has_code()));
        let there = steps.filter_map(|step| {
            let desired = step.desired.as_ref()?;
            let name = step.physical_id.clone().or_else(|| desired.name.clone())?;
            let properties = Token::substitute(&desired.properties, &known);
            let live = Live { logical_id: Some(step.name.clone()), ..Live::new(step.type_name, name, properties) };
            Some((step.name.clone(), live))
        });
        there.collect()
    }

    /// What the plan has come to.
    pub fn conclude(&mut self, outcome: &Outcome, stopped: bool) -> RoundEnd {
        self.carried_out.push(self.plan.digest());
        if self.options.may_plan_again
            && !stopped
            && let Some(end) = end_with_concurrent_run(outcome, &self.carried_out, self.plan.is_empty())
        {
            return end;
        }
        // Ctrl-C in a terminal reaches the tools that build, too: the run was stopped, it has not failed.
        let has_code = |step: &usize| self.plan.steps[*step].kind().is_some_and(|kind| kind.code_property().is_some());
        if stopped && self.code.error().is_some() && outcome.failed.keys().all(has_code) {
            return RoundEnd::Stopped;
        }
        let end = end(&self.plan, outcome);
        let may_go_on = self.options.may_plan_again && !stopped && !self.has_cleaned_up;
        if end == RoundEnd::Up && may_go_on && self.has_replaced(outcome) {
            self.has_cleaned_up = true;
            self.carried_out.clear();
            return RoundEnd::Replaced;
        }
        end
    }

    /// Whether an update has put something else in the place of what was there.
    fn has_replaced(&self, outcome: &Outcome) -> bool {
        let updates = self.plan.steps.iter().filter(|step| step.action == Action::Update);
        let mut changed =
            updates.filter(|step| step.kind().is_some_and(|kind| kind.changes_attribute("Ref", &step.changes)));
        changed.any(|step| {
            let token = Token { logical_id: step.name.clone(), attribute: "Ref".to_owned() };
            let before = step.live.as_ref().and_then(|live| live.attributes.get("Ref"));
            before.is_some_and(|before| outcome.known.get(&token) != Some(before))
        })
    }

    /// Reads AWS again, and plans again.
    ///
    /// # Errors
    /// What keeps the plan from being made.
    pub async fn plan_again(&mut self) -> Result<(), NoPlan> {
        self.live = self.session.read(read::search(&self.stack)).await?;
        self.make_plan(true).await
    }

    /// What AWS has of the stack now.
    ///
    /// # Errors
    /// When it cannot be read.
    pub async fn read_again(&mut self) -> Result<&[Live], ReadError> {
        self.live = self.session.read(read::search(&self.stack)).await?;
        Ok(&self.live)
    }

    /// What AWS had when the plan was made, or was read last.
    pub fn live(&self) -> &[Live] {
        &self.live
    }

    /// The plan that rolls the run back. A new reading decides and not the run's own record: an answer may have been
    /// lost.
    pub async fn plan_rollback(&mut self, outcome: &Outcome) -> Rollback {
        let (executed, known, before) = (&outcome.executed, &outcome.known, &self.live);
        let now = self.session.read(read::search(&self.stack)).await;
        // Who may make a thing need not be let look at it.
        let now = now.unwrap_or_else(|_| plan::expected_live(&self.plan, executed, known, before));
        plan::rollback(&self.plan, executed, known, before, &now)
    }

    /// Carries out `plan_rollback`, the plan that rolls back the run that ended with `outcome`.
    pub async fn roll_back(
        &self,
        plan_rollback: &Plan,
        outcome: &Outcome,
        events: mpsc::UnboundedSender<StepEvent>,
        stop: watch::Receiver<bool>,
    ) -> Outcome {
        let code = Code::ready(outcome.backups.clone());
        execute::run(Arc::clone(self.session.aws()), plan_rollback, code, events, stop).await
    }

    /// Publishes what the stack, which is up, exports.
    ///
    /// # Errors
    /// Why it could not.
    pub async fn publish(&self, outcome: &Outcome) -> Result<(), Unpublished> {
        exports::publish(self.session.aws(), &self.stack, &self.plan, &self.live, outcome).await
    }

    async fn make_plan(&mut self, with_code: bool) -> Result<(), NoPlan> {
        let aws = Arc::clone(self.session.aws());
        lookups::of_live(&aws, &mut self.stack, &self.live).await;
        self.secrets = plan::secrets(&self.stack, &self.live);
        let code = match with_code {
            true => self.code.all().await?,
            false => Arc::default(),
        };
        let options = plan::PlanOptions {
            allow_data_loss: self.options.allow_data_loss.clone(),
            code: code.iter().map(|(id, zip)| (id.clone(), zip.sha256.clone())).collect(),
        };
        let plan = plan::diff(&self.stack, &self.live, &options)
            .map_err(|errors| NoPlan::Impossible { errors, secrets: self.secrets.clone() })?;
        if !aws.has_retired_runtimes() {
            let mut retired = plan::retired(&self.stack, &plan);
            if !retired.is_empty() {
                retired.iter_mut().for_each(|problem| self.secrets.mask_problem(problem));
                return Err(NoPlan::Retired(retired));
            }
        }
        // Without AWS's delays an integration that was begun has ended before anything can be removed.
        let drains = self.options.drain && self.session.aws().has_quotas();
        self.plan = if drains { plan } else { plan.without_drain() };
        self.exports = exports::planned(&self.stack, &self.plan, &self.live)?;
        exports::guard(&aws, &self.stack, &self.plan, &self.live).await?;
        Ok(())
    }
}

/// The result of a round that met another run, whose resources it will find in the next round; `None` if none was met, or it
/// ends as if none had been. `plans` are all that were carried out, the round's last.
fn end_with_concurrent_run(outcome: &Outcome, plans: &[String], is_empty: bool) -> Option<RoundEnd> {
    let is_last = plans.len() == ROUNDS;
    if outcome.executed.adopted.is_empty() {
        // After two runs have met, each may create what the other one's reading has missed (a second deployment). So it
        // is over when nothing is left to do.
        let may_have_missed = plans.len() > 1 && !is_empty && outcome.is_complete();
        return (may_have_missed && !is_last && !repeats_plan(plans)).then_some(RoundEnd::ConcurrentRun);
    }
    match outcome.is_complete() && (is_last || repeats_plan(plans)) {
        true => Some(RoundEnd::NoProgress),
        false => (!is_last).then_some(RoundEnd::ConcurrentRun),
    }
}

/// What a plan that was carried out comes to where no other run was met.
fn end(plan: &Plan, outcome: &Outcome) -> RoundEnd {
    if outcome.is_complete() {
        return RoundEnd::Up;
    }
    if outcome.failed.is_empty() {
        return RoundEnd::Stopped;
    }
    let makes = |step: &usize| plan.steps[*step].action != Action::Delete;
    if outcome.failed.keys().any(makes) || outcome.not_started.iter().any(makes) {
        return RoundEnd::Failed;
    }
    RoundEnd::NotRemoved
}

/// Whether the last rounds all had the same plan: what one of them makes, the next one does not see.
fn repeats_plan(plans: &[String]) -> bool {
    plans.len() >= SAME_PLANS && plans[plans.len() - SAME_PLANS..].windows(2).all(|two| two[0] == two[1])
}

/// Builds code, and waits for it.
///
/// # Errors
/// Why there is none.
pub async fn build(request: BuildRequest) -> Result<Arc<Zips>, BuildError> {
    let (_building, code) = start(request);
    code.all().await
}

/// Builds code; it is given up when the task is dropped.
fn start(build: BuildRequest) -> (Task<()>, Code) {
    let (built, code) = Code::pending();
    let building = Task::spawn(async move {
        let BuildRequest { code, s3, target, options, progress } = build;
        let artifacts = match fetch(code, s3.as_deref(), &options.cache, &progress).await {
            Ok(code) => package::build(code, target, &options, &progress).await,
            Err(error) => Err(error),
        };
        let zips = artifacts.map(|artifacts| artifacts.into_iter().map(|(id, zip)| (id, Zip::from(zip))).collect());
        if let Err(error) = &zips
            && let Some(said) = &error.compiler
        {
            progress(Progress::Warning(said.clone()));
        }
        // The progress is over before anybody hears of the code.
        drop(progress);
        let _ = built.send(Some(zips.map(Arc::new).map_err(BuildError::from)));
    });
    (building, code)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::aws::providers::ResourceError;
    use crate::core::types::function;

    #[test]
    fn a_run_circles_when_its_plan_does_not_change_any_more() {
        let repeats_plan = |plans: &str| repeats_plan(&plans.chars().map(String::from).collect::<Vec<_>>());
        for (plans, expected) in
            [("", false), ("a", false), ("aa", false), ("aaa", true), ("baaa", true), ("aaab", false), ("abab", false)]
        {
            assert_eq!(repeats_plan(plans), expected, "{plans}");
        }
    }

    /// A round of a plan of two steps, by what became of each: `d`one, `a`dopted, `f`ailed, `-` not started.
    fn outcome(steps: &str) -> Outcome {
        let mut outcome = Outcome::default();
        for (step, how) in steps.chars().enumerate() {
            match how {
                'f' => drop(outcome.failed.insert(step, ResourceError::Failed("no".to_owned()))),
                '-' => drop(outcome.not_started.insert(step)),
                _ => drop(outcome.done.insert(step)),
            }
            if how == 'a' {
                outcome.executed.adopted.insert(step);
            }
        }
        outcome
    }

    #[test]
    fn a_round_that_meets_another_run_goes_on_unless_that_is_in_vain() {
        let end_with_concurrent_run = |steps: &str, plans: &str| {
            end_with_concurrent_run(
                &outcome(steps),
                &plans.chars().map(String::from).collect::<Vec<_>>(),
                steps.is_empty(),
            )
        };
        for (steps, plans, expected) in [
            ("dd", "a", None),
            ("f-", "a", None),
            // Once another run was met, until nothing is left to do.
            ("dd", "ab", Some(RoundEnd::ConcurrentRun)),
            ("f-", "ab", None),
            ("", "ab", None),
            ("dd", "aaa", None),
            ("dd", "abcdefghij", None),
            ("ad", "a", Some(RoundEnd::ConcurrentRun)),
            ("ad", "aa", Some(RoundEnd::ConcurrentRun)),
            ("ad", "aaa", Some(RoundEnd::NoProgress)),
            ("af", "aaa", Some(RoundEnd::ConcurrentRun)),
            ("ad", "abcdefghij", Some(RoundEnd::NoProgress)),
            ("af", "abcdefghij", None),
        ] {
            assert_eq!(end_with_concurrent_run(steps, plans), expected, "{steps} {plans}");
        }
    }

    #[test]
    fn what_a_round_comes_to_hangs_on_what_is_left_to_do() {
        let live = Live::new(function::TYPE, "worker", serde_json::json!({}));
        let steps = [Action::Create, Action::Delete].map(|action| plan::Step::on(&live, action));
        let plan = Plan { steps: steps.to_vec(), ..Plan::default() };
        for (steps, expected) in [
            ("dd", RoundEnd::Up),
            ("d-", RoundEnd::Stopped),
            ("df", RoundEnd::NotRemoved),
            ("f-", RoundEnd::Failed),
            ("-f", RoundEnd::Failed),
        ] {
            assert_eq!(end(&plan, &outcome(steps)), expected, "{steps}");
        }
    }
}
