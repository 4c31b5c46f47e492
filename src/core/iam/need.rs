//! The permissions that a call needs: IAM actions on resources, with the condition keys of the request.
//!
//! AWS's Service Authorization Reference says which an operation needs; `evaluate` checks them against policies.

use std::collections::BTreeMap;

/// One permission that a call needs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Need {
    /// `dynamodb:CreateTable`.
    pub action: String,
    /// An ARN, or `*` for an action that is not about a resource.
    pub resource: String,
    pub context: Context,
}

/// Condition keys and their values. Keys are in lower case, because IAM ignores their case. A key that is not in the
/// map is absent from the request, as IAM sees it.
pub type Context = BTreeMap<String, Vec<String>>;

impl Need {
    pub fn new(action: impl Into<String>, resource: impl Into<String>) -> Self {
        Self { action: action.into(), resource: resource.into(), context: Context::new() }
    }

    /// The same, with a condition key of one value.
    pub fn with(mut self, key: &str, value: impl Into<String>) -> Self {
        self.context.insert(key.to_ascii_lowercase(), vec![value.into()]);
        self
    }

    /// The same, with the tags of the request: `aws:RequestTag/…` and `aws:TagKeys`.
    pub fn with_tags<K: AsRef<str>, V: AsRef<str>>(mut self, tags: impl IntoIterator<Item = (K, V)>) -> Self {
        for (key, value) in tags {
            let key = key.as_ref();
            self.context
                .insert(format!("aws:requesttag/{}", key.to_ascii_lowercase()), vec![value.as_ref().to_owned()]);
            self.context.entry("aws:tagkeys".to_owned()).or_default().push(key.to_owned());
        }
        self
    }
}

/// The permissions for an operation on `resource` that may set tags, which need a permission of their own (`tagging`).
pub fn creation<K: AsRef<str>, V: AsRef<str>>(
    action: impl Into<String>,
    tagging: &str,
    resource: impl Into<String>,
    tags: &[(K, V)],
) -> Vec<Need> {
    let tags = || tags.iter().map(|(key, value)| (key.as_ref(), value.as_ref()));
    let resource = resource.into();
    let mut needs = vec![Need::new(action, resource.as_str()).with_tags(tags())];
    if tags().next().is_some() {
        needs.push(Need::new(tagging, resource).with_tags(tags()));
    }
    needs
}

/// The permission to pass a role to an AWS service (`lambda.amazonaws.com`).
pub fn pass_role(role_arn: &str, service: &str) -> Need {
    Need::new("iam:PassRole", role_arn).with("iam:PassedToService", service)
}
