//! The IAM permissions behind Cloud Control's calls: its own actions, and those of the type's handlers, which it makes on the caller's
//! behalf.

use std::collections::BTreeSet;

use serde_json::Value;

use super::facts::PASSED_TO;
use super::record::{self, RECORD};
use super::{CloudControlled, TAGS};
use crate::core::types::Kind;
use crate::core::types::iam_permissions::{Permissions, Subject};
use crate::core::types::tags;
use crate::core::words::{Scope, Token};

/// The action whose resource is not the type's but a role.
const PASS_ROLE: &str = "iam:PassRole";

impl CloudControlled {
    /// The permissions behind a step (`Kind::permissions`).
    pub(super) fn allow(&self, it: &Subject<'_>, permissions: &mut Permissions) {
        // Marks alone are set by the Tagging API.
        let tags_alone = it.marks && (!self.is_tagged() || self.recorder_arn().is_some());
        let mut operations = vec!["GetResource", "ListResources", "ListResourceRequests"];
        let mut handlers = vec!["read", "list"];
        for (does, operation, handler) in [
            (it.creates, "CreateResource", "create"),
            // A run that fails deletes what it created.
            (it.creates || it.deletes, "DeleteResource", "delete"),
            (it.updates && !tags_alone, "UpdateResource", "update"),
        ] {
            if does {
                operations.push(operation);
                handlers.push(handler);
            }
        }
        if it.acts() && !tags_alone {
            operations.push("GetResourceRequestStatus");
        }
        // Cloud Control's actions have CloudFormation's prefix, and no resource of their own.
        permissions.allow("cloudformation", &operations, "*");
        for action in handlers.iter().flat_map(|handler| self.schema.actions(handler)) {
            let Some((service, name)) = action.split_once(':') else { continue };
            if action != PASS_ROLE {
                permissions.allow(service, &[name], "*");
                continue;
            }
            for role in passed_roles(it.scope, &[&it.desired, &it.live]) {
                match PASSED_TO.iter().find(|(of, _)| *of == self.schema.type_name) {
                    Some((_, to)) => permissions.pass(&role, to),
                    None => permissions.allow(service, &[name], role),
                }
            }
        }
        if it.updates && self.is_tagged() && (self.has_fixed_tags() || tags_alone) {
            permissions.allow("tag", &["TagResources", "UntagResources"], "*");
            record::allow_tagging(self.schema, permissions);
        }
        if it.acts() && !self.is_tagged() {
            record::permissions(it, permissions);
        }
    }
}

/// The permissions to find what carries a stack's tags, which every run needs.
pub fn permissions_to_list(permissions: &mut Permissions) {
    permissions.allow("tag", &["GetResources"], "*");
}

/// The ARNs of roles anywhere in values.
pub fn roles_in(values: &[&Value]) -> Vec<String> {
    pub(super) fn visit(value: &Value, found: &mut Vec<String>) {
        match value {
            Value::String(text) if text.starts_with("arn:") && text.contains(":role/") => found.push(text.clone()),
            Value::Array(items) => items.iter().for_each(|item| visit(item, found)),
            Value::Object(members) => members.values().for_each(|value| visit(value, found)),
            _ => {}
        }
    }
    let mut found = Vec::new();
    values.iter().for_each(|value| visit(value, &mut found));
    found
}

/// The ARNs, or patterns of them, of the roles that properties name: by ARN, by name, or by what is not known yet.
fn passed_roles(scope: &Scope, values: &[&Value]) -> BTreeSet<String> {
    fn visit(value: &Value, is_role: bool, found: &mut BTreeSet<String>) {
        match value {
            Value::String(text) if text.starts_with("arn:") && text.contains(":role/") && !Token::is_in(text) => {
                found.insert(text.clone());
            }
            Value::String(text) if is_role && !text.is_empty() && !text.starts_with("arn:") => {
                // A name comes without its path.
                let is_name = tags::check("key", text).is_ok() && !text.contains('/');
                found.insert(if is_name { format!("*{text}") } else { "*".to_owned() });
            }
            // An instance profile, or an ARN that is not known as a whole.
            Value::String(text) if is_role || text.contains(":role/") && Token::is_in(text) => {
                found.insert("*".to_owned());
            }
            Value::Array(items) => items.iter().for_each(|item| visit(item, is_role, found)),
            Value::Object(members) => {
                for (name, value) in members.iter().filter(|(name, _)| *name != TAGS && *name != RECORD) {
                    let name = name.to_ascii_lowercase();
                    let is_role = is_role || name.contains("role") || name.contains("instanceprofile");
                    visit(value, is_role, found);
                }
            }
            _ => {}
        }
    }
    let mut found = BTreeSet::new();
    values.iter().for_each(|value| visit(value, false, &mut found));
    let role = |text: String| match text.starts_with("arn:") {
        true => text,
        false => format!("arn:{}:iam::{}:role/{text}", scope.partition, scope.account),
    };
    found.into_iter().map(role).collect()
}
