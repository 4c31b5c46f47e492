//! Takes resources over: those of a CloudFormation stack, or those that were made by hand.
//!
//! ```text
//! Formed::read --> Adoption::compare --> release --> mark --> dissolve --> after
//!   (reads)            (reads)        (change set)   (tags)  (DeleteStack)  (reads)
//! ```
//!
//! There is no record of how far a run came: each step sees from AWS whether it is done. Until `dissolve`, CloudFormation has
//! the stack as before, but for policies that keep its resources; from `mark` on, wschat has it, too. So every resource
//! always has an owner.

mod compare;
mod formed;
mod obstacles;
mod references;
mod tag;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use sha2::{Digest, Sha256};

use super::names::{self, Unnamed};
use super::project::Project;
use super::read::{self, ReadError};
use super::{lookups, marking};
use crate::aws::change_sets::{self, NewChangeSet, Parameters, ResourceChange};
use crate::aws::client::{Aws, CallError, S3Error};
use crate::aws::cloudformation::{self, FormedResource, FormedStack, LONGEST_BODY, StackError, TemplateSource};
use crate::aws::providers::{Discovery, ResourceError};
use crate::core::plan::{self, Plan, PlanError, PlanOptions};
use crate::core::stack::{Secrets, Stack};
use crate::core::template::{retain, upload};
use crate::core::types::{self, Live, Owner, S3Object};
use crate::core::words::Problem;
use compare::{Claimed, Comparison};
pub use formed::Formed;
pub use obstacles::Obstacle;
pub use tag::Mark;

/// How often, and after which pause, it is looked whether tags are found: AWS's index of tags lags behind by seconds.
const LOOKS: usize = 20;
const BETWEEN_LOOKS: Duration = Duration::from_secs(3);

/// A resource that was made by hand, and which of the template's it is to be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ByHand {
    pub logical_id: String,
    pub physical_id: String,
}

/// Why something could not be taken over.
#[derive(Debug, thiserror::Error)]
pub enum AdoptError {
    #[error("cannot ask CloudFormation: {0}")]
    Unasked(#[from] CallError),
    #[error(transparent)]
    Stack(#[from] StackError),
    #[error(transparent)]
    Unread(#[from] ReadError),
    #[error(transparent)]
    Unnamed(#[from] Unnamed),
    #[error("the template has no resource {0}")]
    Undescribed(String),
    #[error("{0} ({1}) carries no tags, and cannot be taken over by its id alone: take over what it belongs to")]
    Untaggable(String, &'static str),
    /// The plan of the template against what is live has errors.
    #[error("{}", .0.iter().map(PlanError::to_string).collect::<Vec<_>>().join("\nerror: "))]
    Impossible(Vec<PlanError>),
    #[error("the stack's template, as CloudFormation gives it, cannot be read: {}", .0.first().map(|problem| problem.what.clone()).unwrap_or_default())]
    Template(Vec<Problem>),
    /// The template with its policies is too long for a request, and there is no bucket.
    #[error(
        "the stack's template has {0} bytes, and CloudFormation takes more than {LONGEST_BODY} from a bucket alone"
    )]
    NoBucket(usize),
    #[error("the template could not be put into the bucket {bucket}: {error}")]
    Bucket { bucket: String, error: S3Error },
    #[error("CloudFormation has not taken over that these resources stay: {}", .0.join(", "))]
    Unretained(Vec<String>),
    #[error("CloudFormation refuses the change set that keeps the resources: {0}")]
    BadChangeSet(String),
    /// What the change set would do beside that, a line each.
    #[error("an update that keeps the resources would change some of them, and was not made")]
    Harmful(Vec<String>),
    /// What the CloudFormation stack has beside what was tagged.
    #[error("the CloudFormation stack has changed meanwhile: it did not have {} before", .0.join(", "))]
    Grown(Vec<String>),
    #[error("{name} ({id}) could not be tagged: {error}")]
    Unmarked { name: String, id: String, error: ResourceError },
    /// AWS does not show these with the stack's tags.
    #[error("these do not carry the stack's tags yet: {}", .0.join(", "))]
    Untagged(Vec<String>),
    /// AWS does not show these any more.
    #[error("these are gone: {}", .0.join(", "))]
    Gone(Vec<String>),
}

/// Resources that are about to be taken over, beside the template that describes them.
#[derive(Debug)]
pub struct Adoption {
    aws: Arc<Aws>,
    /// The CloudFormation stack that they are of; `None` for those that were made by hand.
    formed: Option<Formed>,
    claimed: Vec<Claimed>,
    /// The template's stack with names of wschat's, and with those that its resources have.
    derived: Stack,
    pub stack: Stack,
    pub secrets: Secrets,
    comparison: Comparison,
    /// What the update that keeps the resources may change unseen.
    unseen: Vec<String>,
    live: Vec<Live>,
}

impl Adoption {
    /// Reads what is to be taken over, and compares it with what `project` describes. Nothing is changed.
    ///
    /// # Errors
    /// When AWS cannot be read, or the template has problems.
    pub async fn compare(
        aws: Arc<Aws>,
        project: &Project,
        stack: Stack,
        formed: Option<Formed>,
        by_hand: &[ByHand],
    ) -> Result<Self, AdoptError> {
        let claimed = match &formed {
            Some(formed) => compare::claimed(&formed.resources, &formed.processed),
            None => compare::by_hand(&stack, by_hand)?,
        };
        project.set_names(compare::names(&stack, &claimed));
        let tags = stack.tags.clone();
        let named = project.stack(aws.scope()).map_err(|problems| AdoptError::Unnamed(Unnamed::Problems(problems)))?;
        let derived = stack;
        let mut stack = Stack { tags, ..named };
        aws.claim(compare::claims(&stack, &claimed));
        let mut live = read::read(&aws, &Discovery::from(read::search(&stack))).await?;
        lookups::of_live(&aws, &mut stack, &live).await;
        let stale = formed.as_ref().map(Formed::stale).transpose()?.unwrap_or_default();
        let is_stale = |id: &str| stale.iter().any(|stale| stale == id);
        let mut comparison = compare::compare(&stack, &mut live, &claimed, formed.is_some(), is_stale)
            .map_err(AdoptError::Impossible)?;
        if formed.is_none() {
            let is_claimed = |one: &Live| {
                claimed.iter().any(|of| of.type_name == one.type_name && of.physical_id == one.physical_id)
            };
            // All else is the stack's already, or nothing to this run.
            live.retain(is_claimed);
            comparison.plan.steps.retain(|step| step.live.as_ref().is_some_and(is_claimed));
            if let Some(owner) = read::still_formed(&aws, &live).await {
                let owner = owner.name;
                comparison.obstacles.push(Obstacle::new(
                    format!("these resources are of the CloudFormation stack {owner}"),
                    format!("take all of it over: wschat adopt {owner}"),
                ));
            }
        }
        let mut unseen = Vec::new();
        // Where the resources are kept already, there is no more update.
        if let Some(formed) = formed.as_ref().filter(|formed| !formed.is_retained().unwrap_or_default()) {
            let (obstacles, unshown) = references::find(&aws, &formed.processed, &comparison.plan).await;
            comparison.obstacles.extend(obstacles);
            unseen = unshown;
        }
        let secrets = plan::secrets(&stack, &live);
        Ok(Self { aws, formed, claimed, derived, stack, secrets, comparison, unseen, live })
    }

    /// What makes the calls.
    pub fn aws(&self) -> &Aws {
        &self.aws
    }

    /// What is there of it.
    pub fn live(&self) -> &[Live] {
        &self.live
    }

    /// Whether `release` needs a bucket.
    pub fn needs_bucket(&self) -> bool {
        let Some(formed) = self.formed.as_ref().filter(|formed| !formed.is_retained().unwrap_or_default()) else {
            return false;
        };
        retain::retained(&formed.processed, &[]).is_ok_and(|body| body.len() > LONGEST_BODY)
    }

    /// What the next `up` changes; nothing of it is done by taking over.
    pub fn plan(&self) -> &Plan {
        &self.comparison.plan
    }

    /// What taking over does to each resource, as a plan: for the permissions that it needs.
    pub fn tagging(&self) -> Plan {
        let marks = tag::marks(&self.comparison.plan, &self.comparison.snapshots);
        let is_marked = |live: &Live| {
            let same =
                |mark: &Mark| (mark.live.type_name, &mark.live.physical_id) == (live.type_name, &live.physical_id);
            marks.iter().any(same)
        };
        let others = self.live.iter().filter(|one| one.owner == Owner::Stack && !is_marked(one));
        let steps = marks.iter().map(|mark| marking::step(&mark.live, &mark.desired.properties));
        let steps = steps.chain(others.map(|one| plan::Step::on(one, plan::Action::Retain)));
        Plan { steps: steps.collect(), ..Plan::default() }
    }

    /// What must not happen to what is taken over.
    pub fn obstacles(&self) -> &[Obstacle] {
        &self.comparison.obstacles
    }

    /// What of the CloudFormation stack stays without an owner: what only takes uploads of code.
    pub fn left_behind(&self) -> Vec<&FormedResource> {
        let Some(formed) = &self.formed else { return Vec::new() };
        let left_out = upload::left_out(&formed.processed);
        formed.resources.iter().filter(|one| left_out.contains(&one.logical_id)).collect()
    }

    /// What taking over may change, as AWS does not show it: a sentence each.
    pub fn unseen(&self) -> &[String] {
        &self.unseen
    }

    /// How many resources are taken over.
    pub fn count(&self) -> usize {
        self.claimed.len()
    }

    /// Lets CloudFormation keep all resources when the stack goes. `bucket` takes a template that is too long for a request.
    ///
    /// # Errors
    /// What CloudFormation refused; a template without a bucket that it would need.
    pub async fn release(&self, bucket: Option<&str>, note: &(dyn Fn(String) + Send + Sync)) -> Result<(), AdoptError> {
        let Some(formed) = self.formed.as_ref().filter(|formed| !formed.is_retained().unwrap_or_default()) else {
            return Ok(());
        };
        let stale = formed.stale()?;
        let stale: Vec<&str> = stale.iter().map(String::as_str).collect();
        let body = retain::retained(&formed.processed, &stale).map_err(AdoptError::Template)?;
        let digest = hex::encode(&Sha256::digest(&body)[..6]);
        let uploaded = match body.len() > LONGEST_BODY {
            true => Some(self.upload(&body, bucket).await?),
            false => None,
        };
        let source = match &uploaded {
            Some((_, url)) => TemplateSource::Url(url.clone()),
            None => TemplateSource::Body(body),
        };
        let carried_out = self.carry_out(formed, source, &digest, note).await;
        // CloudFormation has read it, or never will.
        if let Some((object, _)) = &uploaded
            && let Ok(s3) = self.aws.s3().await
        {
            let _ = s3.delete(object).await;
        }
        carried_out
    }

    /// Makes a change set of a template in which every resource is retained, and carries it out if it does nothing else. (An update
    /// fetches the values of SSM parameters again: user guide, "Systems Manager parameter types". Dynamic references it reads again
    /// without showing it: `references` has looked at them.)
    async fn carry_out(
        &self,
        formed: &Formed,
        template: TemplateSource,
        digest: &str,
        note: &(dyn Fn(String) + Send + Sync),
    ) -> Result<(), AdoptError> {
        let (aws, stack) = (&self.aws, &formed.stack);
        let new = NewChangeSet {
            stack: stack.name.clone(),
            // Its name tells all that it does: a run that begins again finds its own.
            name: format!("wschat-retain-{digest}"),
            template,
            parameters: Parameters::Kept(stack.parameters.keys().cloned().collect()),
            tags: BTreeMap::new(),
            imports: Vec::new(),
        };
        let set = change_sets::create(aws, &new).await?;
        let harmful: Vec<String> = set.changes.iter().filter_map(beyond).collect();
        if set.is_void() || !harmful.is_empty() {
            change_sets::delete(aws, &stack.name, &new.name).await?;
            return if set.is_void() { self.check_retained().await } else { Err(AdoptError::Harmful(harmful)) };
        }
        if set.status != "CREATE_COMPLETE" {
            return Err(AdoptError::BadChangeSet(set.reason));
        }
        let now = change_sets::carry_out(aws, &stack.name, &new.name, note).await?;
        match self.check_retained().await {
            Err(AdoptError::Unretained(_)) if now.status != "UPDATE_COMPLETE" => Err(self.ended(now).await),
            Ok(()) if !now.status.ends_with("_COMPLETE") => Err(self.ended(now).await),
            checked => checked,
        }
    }

    /// Holds CloudFormation to it, by the template that it has now.
    async fn check_retained(&self) -> Result<(), AdoptError> {
        let Some(formed) = &self.formed else { return Ok(()) };
        let now = cloudformation::template(&self.aws, &formed.stack.id, true).await?;
        let going = retain::unretained(&now).map_err(AdoptError::Template)?;
        if going.is_empty() { Ok(()) } else { Err(AdoptError::Unretained(going)) }
    }

    async fn upload(&self, body: &str, bucket: Option<&str>) -> Result<(S3Object, String), AdoptError> {
        let bucket = bucket.ok_or(AdoptError::NoBucket(body.len()))?;
        let key = format!("wschat/{}/retained.template.json", self.stack.scope.stack);
        let object = S3Object { bucket: bucket.to_owned(), key, version: None };
        let failed = |error| AdoptError::Bucket { bucket: bucket.to_owned(), error };
        let url = self
            .aws
            .s3()
            .await
            .map_err(failed)?
            .put(&object, bytes::Bytes::copy_from_slice(body.as_bytes()))
            .await
            .map_err(failed)?;
        Ok((object, url))
    }

    /// Puts wschat's tags on everything, and reads whether they are there.
    ///
    /// # Errors
    /// What was refused; what does not carry them then.
    pub async fn mark(&self) -> Result<(), AdoptError> {
        let marks = tag::marks(&self.comparison.plan, &self.comparison.snapshots);
        tag::apply(&self.aws, &marks).await?;
        // From here on, the tags count; and later runs know the names by them alone.
        self.aws.claim(types::tags::Claims::default());
        let mut looks = 0;
        loop {
            // By their tags alone first: then it is known what they are called, and what is found by those names is.
            let live = read::read(&self.aws, &Discovery::from(read::search(&self.derived))).await?;
            let mut missing = self.not_among(&live, |kind| kind.taggable());
            if missing.is_empty() {
                missing = self.not_among(&self.read().await?, |_| true);
            }
            looks += 1;
            match missing.is_empty() {
                true => return Ok(()),
                false if looks == LOOKS => return Err(AdoptError::Untagged(missing)),
                false => tokio::time::sleep(BETWEEN_LOOKS).await,
            }
        }
    }

    /// Takes wschat's tags off again: CloudFormation has the stack alone, as before.
    ///
    /// # Errors
    /// What was refused.
    pub async fn unmark(&self) -> Result<(), AdoptError> {
        let ours: Vec<Live> = self.live.iter().filter(|one| one.owner == Owner::Stack).cloned().collect();
        tag::take_off(&self.aws, &ours).await
    }

    /// Deletes the CloudFormation stack, which keeps its resources, and reads whether they are all there.
    ///
    /// # Errors
    /// What CloudFormation refused; what is gone.
    pub async fn dissolve(&self, note: &(dyn Fn(String) + Send + Sync)) -> Result<(), AdoptError> {
        if let Some(formed) = &self.formed {
            // Once more, because it may have been deployed meanwhile: what is deleted now does not come back.
            let now = cloudformation::settled(&self.aws, &formed.stack.id, note).await?;
            if let Some(stack) = now {
                if !stack.status.ends_with("_COMPLETE") && stack.status != formed.stack.status {
                    return Err(self.ended(stack).await);
                }
                self.check_retained().await?;
                let held = cloudformation::resources(&self.aws, &stack.id).await?;
                let mut grown = compare::claimed(&held, &formed.processed);
                grown.retain(|one| !self.claimed.contains(one));
                if !grown.is_empty() {
                    return Err(AdoptError::Grown(grown.into_iter().map(|one| one.logical_id).collect()));
                }
                cloudformation::delete(&self.aws, &stack.id).await?;
            }
            if let Some(stack) = cloudformation::settled(&self.aws, &formed.stack.id, note).await? {
                return Err(self.ended(stack).await);
            }
        }
        let missing = self.not_among(&self.read().await?, |_| true);
        if missing.is_empty() { Ok(()) } else { Err(AdoptError::Gone(missing)) }
    }

    /// That a stack is not in the state that it is to be in.
    async fn ended(&self, stack: FormedStack) -> AdoptError {
        let reasons = cloudformation::failures(&self.aws, &stack.id).await;
        StackError::Ended { name: stack.name, status: stack.status, reasons }.into()
    }

    async fn read(&self) -> Result<Vec<Live>, AdoptError> {
        Ok(read::read(&self.aws, &Discovery::from(read::search(&self.stack))).await?)
    }

    /// What was read of the stack before, of the types that are meant, and is not among `now` as the stack's, in words.
    fn not_among(&self, now: &[Live], is_meant: impl Fn(&dyn types::Kind) -> bool) -> Vec<String> {
        let is_meant = |one: &&Live| types::kind(one.type_name).is_some_and(&is_meant);
        let is_there = |one: &&Live| {
            now.iter().any(|other| {
                (other.type_name, &other.physical_id, &other.parent) == (one.type_name, &one.physical_id, &one.parent)
                    && other.owner == Owner::Stack
            })
        };
        let before = self.live.iter().filter(is_meant).filter(|one| one.owner == Owner::Stack && !one.is_absent());
        let missing = before.filter(|one| !is_there(one));
        missing.map(|one| format!("{} ({})", one.physical_id, one.type_name)).collect()
    }
}

/// What a change does beside keeping its resource, in words.
fn beyond(change: &ResourceChange) -> Option<String> {
    let of = format!("{} ({})", change.logical_id, change.type_name);
    match change.action.as_str() {
        "Modify" if change.sets.is_empty() => None,
        "Modify" => Some(format!("{of}: {}", change.sets.iter().cloned().collect::<Vec<_>>().join(", "))),
        action => Some(format!("{of}: {action}")),
    }
}

/// What AWS has of a stack that carries wschat's tags, the plan of the project's template, without code, and what must not be shown of it.
///
/// # Errors
/// When AWS cannot be read, or the template has problems.
pub async fn after(aws: &Arc<Aws>, project: &Project) -> Result<(Vec<Live>, Plan, Secrets), AdoptError> {
    let problems = |problems| AdoptError::Unnamed(Unnamed::Problems(problems));
    let stack = project.stack(aws.scope()).map_err(problems)?;
    let mut live = read::read(aws, &Discovery::from(read::search(&stack))).await?;
    let mut named = names::settle(project, stack.clone(), &live)?;
    if !names::is_read(&read::search(&stack), &read::search(&named), &live) {
        live = read::read(aws, &Discovery::from(read::search(&named))).await?;
    }
    lookups::of_live(aws, &mut named, &live).await;
    let secrets = plan::secrets(&named, &live);
    let plan = plan::diff(&named, &live, &PlanOptions::default()).map_err(AdoptError::Impossible)?;
    Ok((live, plan, secrets))
}
