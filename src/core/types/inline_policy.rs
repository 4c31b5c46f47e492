//! `AWS::IAM::Policy`: an inline policy on one or more roles.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{Attribute, Kind, Live, Want, canonical, names, role, to_value};
use crate::core::iam::document::Document;
use crate::core::iam::grammar::{self, Purpose};
use crate::core::iam::grants;
use crate::core::words::{Problem, Scope};

pub const TYPE: &str = "AWS::IAM::Policy";

/// An inline policy that the template describes apart from its roles.
pub struct InlinePolicy;

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct Props {
    pub(crate) policy_name: String,
    pub(crate) policy_document: Document,
    pub(crate) roles: BTreeSet<String>,
}

impl Kind for InlinePolicy {
    fn type_name(&self) -> &'static str {
        TYPE
    }

    fn noun(&self) -> &'static str {
        "inline policy"
    }

    fn widens(&self, _: &str, old: &Value, new: &Value) -> Vec<String> {
        grants::widened_on_roles(old, new)
    }

    fn narrows(&self, old: &Value, new: &Value) -> Vec<String> {
        grants::narrowed_on_roles(old, new)
    }

    fn canonical(&self, properties: &Value) -> Result<Value, Vec<Problem>> {
        let documents = grammar::check(properties, "PolicyDocument", Purpose::Inline);
        grammar::with(canonical::<Props>(properties), documents)
    }

    fn not_yet(&self) -> &'static [&'static str] {
        &["Groups", "Users"]
    }

    fn create_only(&self) -> &'static [&'static str] {
        &["PolicyName"]
    }

    fn hard(&self) -> &'static [&'static str] {
        &["Roles"]
    }

    fn attribute(&self, _: &Scope, _: Option<&str>, attribute: Option<&str>) -> Attribute {
        match attribute {
            None => Attribute::Minted,
            Some("Id") => Attribute::NotYet,
            Some(_) => Attribute::Unknown(&[]),
        }
    }

    fn parent(&self) -> Option<&'static str> {
        Some(names::ROLE)
    }

    fn is(&self, want: &Want, live: &Live) -> bool {
        want.properties["PolicyName"] == live.properties["PolicyName"]
            && want.logical_id == live.logical_id.as_deref().unwrap_or(&want.logical_id)
    }

    fn rights(&self, it: &super::rights::Subject<'_>, rights: &mut super::rights::Rights) {
        for role in it.texts("Roles") {
            let arn = role::arn_in(it, &role);
            if it.creates || it.updates {
                rights.allow("iam", &["PutRolePolicy", "DeleteRolePolicy"], arn);
            } else if it.deletes {
                rights.allow("iam", &["DeleteRolePolicy"], arn);
            }
        }
    }
}

pub(crate) fn live(props: &Props) -> Live {
    let live = Live::new(TYPE, &props.policy_name, to_value(props));
    Live { parent: props.roles.first().cloned(), ..live }
}
