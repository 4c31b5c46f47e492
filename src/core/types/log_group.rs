//! `AWS::Logs::LogGroup`.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::iam_permissions::{ANY, Permissions, Roles, Subject, logs};
use super::tags::Tags;
use super::{
    Action, Attribute, Kind, Live, Names, Naming, Owner, PlanView, StepEffects, StepView, canonical, names, tags,
};
use crate::core::words::{Problem, Scope};

pub const TYPE: &str = "AWS::Logs::LogGroup";

/// Where Lambda logs to, unless a function says otherwise.
pub(crate) const LAMBDA: &str = "/aws/lambda/";

/// A CloudWatch Logs group.
pub struct LogGroup;

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct Props {
    pub(crate) log_group_name: Option<String>,
    #[serde(default = "standard")]
    pub(crate) log_group_class: Class,
    /// Days; none means for ever.
    pub(crate) retention_in_days: Option<i32>,
    #[serde(default, deserialize_with = "tags::deserialize")]
    pub(crate) tags: Tags,
}

#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub(crate) enum Class {
    #[serde(rename = "STANDARD")]
    Standard,
    #[serde(rename = "INFREQUENT_ACCESS")]
    InfrequentAccess,
}

fn standard() -> Class {
    Class::Standard
}

impl Kind for LogGroup {
    fn type_name(&self) -> &'static str {
        TYPE
    }

    fn noun(&self) -> &'static str {
        "log group"
    }

    /// One that Lambda made is called after its function.
    fn described(&self, live: &Live, names: &dyn Names) -> Option<String> {
        let function = live.physical_id.strip_prefix(LAMBDA)?;
        let logical_id = names.logical_id(names::FUNCTION, function);
        (logical_id != function).then(|| format!("log group of {logical_id}"))
    }

    fn deleted_after(&self) -> &'static [&'static str] {
        // A function that is still there would create it again with its last line.
        &[names::FUNCTION, names::PERMISSION]
    }

    fn canonical(&self, properties: &Value) -> Result<Value, Vec<Problem>> {
        canonical::<Props>(properties)
    }

    fn naming(&self) -> Option<Naming> {
        Some(Naming { property: "LogGroupName", longest: 512, within: None, path: None })
    }

    fn not_yet(&self) -> &'static [&'static str] {
        &[
            "BearerTokenAuthenticationEnabled",
            "DataProtectionPolicy",
            "DeletionProtectionEnabled",
            "FieldIndexPolicies",
            "KmsKeyId",
            "ResourcePolicyDocument",
        ]
    }

    fn create_only(&self) -> &'static [&'static str] {
        &["LogGroupName", "LogGroupClass"]
    }

    fn hard(&self) -> &'static [&'static str] {
        &[]
    }

    fn attribute(&self, scope: &Scope, name: Option<&str>, attribute: Option<&str>) -> Attribute {
        let name = name.unwrap_or_default();
        match attribute {
            None => Attribute::Known(name.to_owned()),
            // CloudFormation's, unlike the API's own, ends in `:*`.
            Some("Arn") => Attribute::Known(format!("{}:*", arn(scope, name))),
            Some(_) => Attribute::Unknown(&["Arn"]),
        }
    }

    fn holds_data(&self) -> bool {
        true
    }

    fn keeps_records(&self) -> bool {
        true
    }

    fn permissions_to_record(&self, scope: &Scope, id: Option<&str>, permissions: &mut Permissions) {
        logs(permissions, scope, id.unwrap_or(ANY), &["TagResource", "UntagResource"]);
    }

    fn taggable(&self) -> bool {
        true
    }

    fn owned_by(&self, live: &Live) -> Option<(&'static str, String)> {
        made_by_lambda(live).map(|name| (names::FUNCTION, name.to_owned()))
    }

    fn left(&self, live: &Live, owner: &str, scope: &Scope) -> Option<String> {
        let id = &live.physical_id;
        if owner != tags::UNTAGGED {
            return Some(format!("left: log group {id}: it belongs to {owner}"));
        }
        Some(format!(
            "left: log group {id}: it has no wschat tags and its function is gone, so its owner is unknown\n  delete it with: aws logs delete-log-group --log-group-name {id} --region {}",
            scope.region
        ))
    }

    fn is_used_by_id(&self) -> bool {
        // No message fails without it: Lambda makes it again.
        false
    }

    fn effects(&self, step: &StepView<'_>, _: &dyn PlanView) -> StepEffects {
        let days = |value: &Option<Value>| value.as_ref().and_then(Value::as_i64);
        match (step.action, step.change("RetentionInDays").map(|change| (days(&change.old), days(&change.new)))) {
            (Action::Delete | Action::Replace, _) => StepEffects::lost("all its log events"),
            (Action::Update, Some((old, Some(new)))) if old.is_none_or(|old| new < old) => {
                StepEffects::lost(format!("log events older than {new} days"))
            }
            _ => StepEffects::default(),
        }
    }

    fn permissions_to_list(&self, _: &Scope, _: Roles, permissions: &mut Permissions) {
        permissions.allow("logs", &["DescribeLogGroups"], "*");
    }

    fn permissions(&self, it: &Subject<'_>, permissions: &mut Permissions) {
        let mut allow = |actions: &[&str]| logs(permissions, it.scope, it.name(), actions);
        allow(&["ListTagsForResource"]);
        if it.creates {
            allow(&["CreateLogGroup", "TagResource", "DeleteLogGroup"]);
            if it.has("RetentionInDays") {
                allow(&["PutRetentionPolicy"]);
            }
        }
        if it.deletes {
            allow(&["DeleteLogGroup"]);
        }
        if it.changes(&["RetentionInDays"]) {
            allow(&["PutRetentionPolicy", "DeleteRetentionPolicy"]);
        }
        if it.changes(&["Tags"]) {
            allow(&["TagResource", "UntagResource"]);
        }
    }

    fn permissions_to_import(&self, it: &Subject<'_>, _: bool, permissions: &mut Permissions) {
        logs(permissions, it.scope, it.name(), &["DescribeIndexPolicies", "GetDataProtectionPolicy"]);
        permissions.allow("logs", &["DescribeResourcePolicies"], ANY);
    }
}

/// Whether a group without tags may be one that Lambda made for a function of this name: then it is whose the function
/// is.
pub(crate) fn function_of(live: &Live) -> Option<&str> {
    let untagged = live.owner == Owner::Other(tags::UNTAGGED.to_owned());
    live.physical_id.strip_prefix(LAMBDA).filter(|_| untagged && live.type_name == TYPE)
}

/// The function whose lines a group without tags of wschat's holds, by its name.
pub(crate) fn made_by_lambda(live: &Live) -> Option<&str> {
    let tagged = live.properties["Tags"].get(tags::STACK).is_some();
    live.physical_id.strip_prefix(LAMBDA).filter(|_| live.type_name == TYPE && !tagged)
}

pub(crate) fn arn(scope: &Scope, name: &str) -> String {
    scope.arn("logs", &format!("log-group:{name}"))
}
