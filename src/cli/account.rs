//! Whether the account is set up for what a plan is about to make.

use super::error::CommandError;
use crate::aws::client::{Aws, Meaning};
use crate::aws::providers::account::{self, Account};
use crate::core::plan::{Action, Plan};
use crate::core::stack::Stack;
use crate::core::types::stage;
use crate::ui::Ui;

/// The account's settings, if a stage of the stack logs and they can be read. Where they cannot, that is said: API Gateway
/// will tell.
pub async fn read(aws: &Aws, stack: &Stack, ui: &Ui) -> Option<Account> {
    let stages = stack.resources.values().filter(|resource| resource.kind.type_name() == stage::TYPE);
    if !stages.into_iter().any(|stage| stage::logs_by(&stage.properties).is_some()) {
        return None;
    }
    match account::read(aws).await {
        Ok(account) => account,
        Err(error) => {
            let why = if error.is(Meaning::Denied) { "apigateway:GET on /account is denied" } else { &error.message };
            ui.say(format_args!("Whether stages may log in this account could not be read: {why}"));
            None
        }
    }
}

/// Refuses a plan that makes a stage log in an account that has no role for it.
///
/// # Errors
/// Such a plan: which stage, by which property, and what to do.
pub fn check(plan: &Plan, account: Option<&Account>, region: &str) -> Result<(), CommandError> {
    if account.is_none_or(Account::may_log) {
        return Ok(());
    }
    let changes = |action: Action| matches!(action, Action::Create | Action::Replace | Action::Update);
    let steps = plan.steps.iter().filter(|step| step.type_name == stage::TYPE && changes(step.action));
    let logging = steps.filter_map(|step| Some((step, stage::logs_by(&step.want.as_ref()?.properties)?)));
    let Some((step, property)) = logging.into_iter().next() else { return Ok(()) };
    let property = property.to_string().replace('/', ".");
    let error = CommandError::new(format!(
        "the stage {} writes logs ({property}), and API Gateway has no role to write them with in this account in {region}",
        step.name
    ));
    Err(error
        .hint(format!(
            "leave {property} out, or set a role, once for the account and region: one that apigateway.amazonaws.com may \
             assume, with the managed policy service-role/AmazonAPIGatewayPushToCloudWatchLogs"
        ), format!(
            "aws apigateway update-account --region {region} --patch-operations op=replace,path=/cloudwatchRoleArn,value=ROLE-ARN"
        )))
}
