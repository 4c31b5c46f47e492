//! Whether the account is set up for what a plan is about to make.

use crate::aws::client::{Aws, CallError};
use crate::aws::providers::account::{self, Account};
use crate::core::plan::{Action, Plan};
use crate::core::stack::Stack;

/// A plan makes a stage log, and API Gateway has no role for it in this account and region.
#[derive(Debug, thiserror::Error)]
#[error(
    "the stage {stage} writes logs ({property}), and API Gateway has no role to write them with in this account in {region}"
)]
pub struct NoLogRole {
    stage: String,
    property: String,
    region: String,
}

impl NoLogRole {
    /// What to do about it.
    pub fn help(&self) -> String {
        let Self { property, .. } = self;
        format!(
            "leave {property} out, or set a role, once for the account and region: one that apigateway.amazonaws.com may \
             assume, with the managed policy service-role/AmazonAPIGatewayPushToCloudWatchLogs"
        )
    }

    /// The command that sets the role.
    pub fn command(&self) -> String {
        format!(
            "aws apigateway update-account --region {} --patch-operations op=replace,path=/cloudwatchRoleArn,value=ROLE-ARN",
            self.region
        )
    }
}

/// The account's settings; `None` if no stage of the stack logs.
///
/// # Errors
/// When they cannot be read.
pub async fn read(aws: &Aws, stack: &Stack) -> Result<Option<Account>, CallError> {
    if !stack.resources.values().any(|resource| resource.kind.logs_by(&resource.properties).is_some()) {
        return Ok(None);
    }
    account::read(aws).await
}

/// Refuses a plan that makes a stage log in an account that has no role for it.
///
/// # Errors
/// Such a plan: which stage, by which property, and what to do.
pub fn check(plan: &Plan, account: Option<&Account>, region: &str) -> Result<(), NoLogRole> {
    let changes = |action: Action| matches!(action, Action::Create | Action::Replace | Action::Update);
    let sets_role =
        plan.steps.iter().any(|step| changes(step.action) && step.kind().is_some_and(|kind| kind.sets_log_role()));
    if sets_role || account.is_none_or(Account::may_log) {
        return Ok(());
    }
    let steps = plan.steps.iter().filter(|step| changes(step.action));
    let mut logging = steps.filter_map(|step| Some((step, step.kind()?.logs_by(&step.desired.as_ref()?.properties)?)));
    let Some((step, property)) = logging.next() else { return Ok(()) };
    let property = property.to_string().replace('/', ".");
    Err(NoLogRole { stage: step.name.clone(), property, region: region.to_owned() })
}
