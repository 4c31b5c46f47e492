//! `AWS::ApiGateway::Account`: the role with which API Gateway writes logs, one for all APIs of the account in the region.
//!
//! It belongs to all stacks of the account, so it is set where there is none or where it is a role of this stack, and another one is left
//! as it is. Nothing deletes it but the deletion of the stack's role that it is (`aws::providers::role`).

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::iam_permissions::{Permissions, Subject, apigateway};
use super::{Attribute, Desired, Kind, Live, StackView, canonical};
use crate::core::words::{Problem, ProblemKind, Scope};

pub const TYPE: &str = "AWS::ApiGateway::Account";

/// The only property.
pub const ROLE: &str = "CloudWatchRoleArn";

/// Of live properties alone: the role is none of this stack's.
pub const OTHERS: &str = "@Others";

/// The physical id: there is one.
pub const ID: &str = "account";

/// The account's settings of API Gateway.
pub struct Account;

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct Props {
    #[serde(rename = "CloudWatchRoleArn")]
    pub(crate) role: Option<String>,
}

impl Kind for Account {
    fn type_name(&self) -> &'static str {
        TYPE
    }

    fn noun(&self) -> &'static str {
        "API Gateway account"
    }

    fn canonical(&self, properties: &Value) -> Result<Value, Vec<Problem>> {
        canonical::<Props>(properties)
    }

    fn conflicts(&self, stack: &dyn StackView) -> Vec<Problem> {
        let others = stack.of(TYPE).skip(1);
        let problem = |one: super::ResourceView<'_>| {
            Problem::new(one.path(), "the account has one role for logs, and another resource sets it already")
                .kind(ProblemKind::Duplicate)
        };
        others.map(problem).collect()
    }

    fn internal(&self) -> &'static [&'static str] {
        &[OTHERS]
    }

    fn create_only(&self) -> &'static [&'static str] {
        &[]
    }

    fn seen_as(&self, live: &Value, desired: &Value) -> Option<Value> {
        // Any role will do for this stack's logs.
        Some(if live[OTHERS] == true { desired.clone() } else { live.clone() })
    }

    fn hard(&self) -> &'static [&'static str] {
        &[ROLE]
    }

    fn attribute(&self, _: &Scope, _: Option<&str>, attribute: Option<&str>) -> Attribute {
        match attribute {
            None | Some("Id") => Attribute::Known(ID.to_owned()),
            Some(_) => Attribute::Unknown(&["Id"]),
        }
    }

    fn known_id(&self, _: &Desired) -> Option<String> {
        Some(ID.to_owned())
    }

    fn sets_log_role(&self) -> bool {
        true
    }

    fn permissions(&self, it: &Subject<'_>, permissions: &mut Permissions) {
        let account = apigateway(it.scope, "account");
        permissions.allow("apigateway", &["GET"], account.as_str());
        if it.acts() {
            permissions.allow("apigateway", &["PATCH"], account);
            for role in it.texts(ROLE) {
                permissions.pass(&role, "apigateway.amazonaws.com");
            }
        }
    }
}

/// The account's settings as they are.
pub fn live(role: &str) -> Live {
    Live::new(TYPE, ID, json!({ ROLE: role }))
}
