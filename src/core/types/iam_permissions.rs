//! The IAM permissions that a type's steps need: the input of `Kind::permissions`, what it adds them to, and
//! permissions that several types share.

use std::collections::{BTreeMap, BTreeSet};

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use serde_json::Value;

use super::Health;
use crate::core::words::{Scope, Token};

/// The placeholder in an ARN for an id that AWS has not minted yet.
pub const ANY: &str = "*";

/// How a run reads roles.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Roles {
    /// All roles of the account in one call, which shows every policy in it.
    Account,
    /// Each by its name, for callers without permission for that call.
    ByName,
}

/// The IAM permissions collected so far.
#[derive(Debug, Default)]
pub struct Permissions {
    /// Actions by resource.
    pub(crate) allowed: BTreeMap<String, BTreeSet<String>>,
    /// Roles by the service that they are passed to.
    pub(crate) passed: BTreeMap<&'static str, BTreeSet<String>>,
}

impl Permissions {
    /// Adds actions of one service (`iam`) on a resource; what is not known of its ARN yet may be anything.
    pub fn allow(&mut self, service: &str, actions: &[&str], resource: impl Into<String>) {
        let allowed = self.allowed.entry(pattern(&resource.into())).or_default();
        allowed.extend(actions.iter().map(|action| format!("{service}:{action}")));
    }

    /// Removes permissions on the resources that match `covered`, as far as `pattern` has them already.
    pub fn leave_out(&mut self, pattern: &str, covered: impl Fn(&str) -> bool) {
        let allowed = self.allowed.get(pattern).cloned().unwrap_or_default();
        for (_, actions) in self.allowed.iter_mut().filter(|(resource, _)| covered(resource)) {
            actions.retain(|action| !allowed.contains(action));
        }
    }

    /// Adds the permission to pass a role (its ARN) to a service (`lambda.amazonaws.com`).
    pub fn pass(&mut self, role: &str, service: &'static str) {
        self.passed.entry(service).or_default().insert(pattern(role));
    }
}

/// An ARN with a wildcard for each token in it: IAM takes no other text for what is not known yet.
fn pattern(arn: &str) -> String {
    Token::substitute_text(arn, &|_| Some(ANY.to_owned()))
}

/// The resources of a plan.
pub trait Resources {
    /// The properties of one of them, by its type and physical id: the desired ones, then the live ones, where known.
    fn properties(&self, type_name: &str, physical_id: &str) -> Vec<&Value>;
}

/// One step of a plan, as far as its permissions depend on it.
pub struct Subject<'a> {
    pub scope: &'a Scope,
    pub roles: Roles,
    /// What the step does: a replacement deletes and creates; a step that does none of this retains the resource.
    pub creates: bool,
    pub updates: bool,
    pub deletes: bool,
    pub keeps: bool,
    /// Whether it does nothing but put wschat's marks on a resource or take them off: no code is built, and tags are set alone.
    pub marks: bool,
    /// The physical id, if the resource exists or its name is known.
    pub physical_id: Option<&'a str>,
    /// The physical id of the live resource, if there is one.
    pub live_id: Option<&'a str>,
    /// The desired and the live properties, as far as the plan knows them; null if there are none.
    pub desired: Value,
    pub live: Value,
    /// The (outermost) properties that differ.
    pub changed: BTreeSet<&'a str>,
    /// The health of the live resource, if there is one.
    pub health: Option<&'a Health>,
    /// The plan that the step belongs to.
    pub plan: &'a dyn Resources,
}

impl Subject<'_> {
    /// The physical name, for types that are named before they exist.
    pub fn name(&self) -> &str {
        self.physical_id.unwrap_or(ANY)
    }

    /// The IAM path of a role or policy.
    pub fn path(&self) -> Option<&str> {
        [&self.desired, &self.live].iter().find_map(|side| side["Path"].as_str())
    }

    /// Whether the step changes anything.
    pub fn acts(&self) -> bool {
        self.creates || self.updates || self.deletes
    }

    /// Whether the step changes one of these properties in place, which its rollback then changes as well.
    pub fn changes(&self, properties: &[&str]) -> bool {
        self.updates && self.changed.iter().any(|property| properties.contains(property))
    }

    /// Whether the step changes any other property in place.
    pub fn changes_other_than(&self, properties: &[&str]) -> bool {
        self.updates && self.changed.iter().any(|property| !properties.contains(property))
    }

    /// The text or texts in a desired or live property: a rollback needs the live ones.
    pub fn texts(&self, property: &str) -> BTreeSet<String> {
        let sides = [&self.desired[property], &self.live[property]].into_iter();
        let values = sides.flat_map(|value| match value {
            Value::Array(items) => items.iter().collect(),
            one => vec![one],
        });
        values.filter_map(Value::as_str).map(str::to_owned).collect()
    }

    /// Whether a property is desired, and not an empty list.
    pub fn has(&self, property: &str) -> bool {
        is_given(&self.desired[property])
    }

    /// The same of the desired properties or the live ones, which a rollback gives back.
    pub fn has_or_had(&self, property: &str) -> bool {
        self.has(property) || is_given(&self.live[property])
    }

    /// The path of the API that the resource belongs to: `apis/abc`.
    pub(crate) fn api_path(&self) -> String {
        format!("apis/{}", self.api_id().as_deref().unwrap_or(ANY))
    }

    /// The ARN of everything inside that API.
    pub(crate) fn inside_api(&self) -> String {
        let path = self.api_path();
        // While an API has no id yet, this covers all APIs.
        apigateway(self.scope, &if self.api_id().is_some() { format!("{path}/{ANY}") } else { path })
    }

    fn api_id(&self) -> Option<String> {
        self.texts("ApiId").into_iter().find(|id| Token::find(id).is_empty())
    }
}

fn is_given(value: &Value) -> bool {
    match value {
        Value::Null => false,
        Value::Array(items) => !items.is_empty(),
        _ => true,
    }
}

/// What every type inside an API needs: the verbs are the same for all of them.
pub(crate) fn api_part(it: &Subject<'_>, permissions: &mut Permissions) {
    let inside = it.inside_api();
    let mut allow = |verbs: &[&str]| permissions.allow("apigateway", verbs, inside.as_str());
    allow(&["GET"]);
    if it.creates {
        allow(&["POST", "DELETE"]);
    }
    if it.deletes {
        allow(&["DELETE"]);
    }
    if it.changes_other_than(&["Tags"]) {
        allow(&["PATCH"]);
    }
}

/// The permission to change the tags of the resource at `path` in API Gateway. Tags are a resource of their own, whose
/// ARN has that path as one segment (API Gateway developer guide, "Using tags to control access"); AWS also checks the
/// action by its name.
pub(crate) fn tagging(permissions: &mut Permissions, scope: &Scope, path: &str) {
    /// RFC 3986: the characters that need no escape in a path's segment; and the wildcard, which must stay one.
    const SEGMENT: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'_').remove(b'.').remove(b'~').remove(b'*');
    let subject = pattern(&apigateway(scope, path));
    let tags = apigateway(scope, &format!("tags/{}", utf8_percent_encode(&subject, SEGMENT)));
    permissions.allow("apigateway", &["POST", "DELETE"], tags);
    permissions.allow("apigateway", &["TagResource", "UntagResource"], subject);
}

/// The permissions to delete the resource at `path` in API Gateway, and to change it and its tags.
pub(crate) fn gateway_changes(it: &Subject<'_>, permissions: &mut Permissions, path: &str) {
    let one = apigateway(it.scope, path);
    if it.deletes {
        permissions.allow("apigateway", &["DELETE"], one.as_str());
    }
    if it.changes_other_than(&["Tags"]) {
        permissions.allow("apigateway", &["PATCH"], one.as_str());
    }
    if it.changes(&["Tags"]) {
        tagging(permissions, it.scope, path);
    }
}

/// The ARN of the list of all APIs.
pub fn apis(scope: &Scope) -> String {
    apigateway(scope, "apis")
}

/// The ARN of a path in API Gateway.
pub(crate) fn apigateway(scope: &Scope, path: &str) -> String {
    format!("arn:{}:apigateway:{}::/{path}", scope.partition, scope.region)
}

/// Adds actions on a log group, in both forms of its ARN: if a call names the group, AWS checks the form that includes
/// the streams (`:*`); if a call gives the ARN, the form without.
pub(crate) fn logs(permissions: &mut Permissions, scope: &Scope, group: &str, actions: &[&str]) {
    for end in ["", ":*"] {
        permissions.allow("logs", actions, scope.arn("logs", &format!("log-group:{group}{end}")));
    }
}

/// The ARN of the key that a text names. KMS allows the use of keys, not of aliases, and which key an alias leads to is not known;
/// neither is the id of a key that is yet to be made.
pub(crate) fn kms_key(scope: &Scope, key: &str) -> String {
    match key {
        unknown if unknown.contains("alias/") || Token::is_in(unknown) => scope.arn("kms", &format!("key/{ANY}")),
        arn if arn.starts_with("arn:") => arn.to_owned(),
        id => scope.arn("kms", &format!("key/{id}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_use_of_a_key_is_allowed_by_its_arn() {
        let scope = Scope {
            stack: "chat".to_owned(),
            account: "123456789012".to_owned(),
            region: "eu-west-1".to_owned(),
            partition: "aws".to_owned(),
        };
        let keys = "arn:aws:kms:eu-west-1:123456789012:key/";
        let other = "arn:aws:kms:eu-west-1:210987654321:key/own";
        for (key, arn) in [
            ("own", format!("{keys}own")),
            ("alias/chat", format!("{keys}*")),
            (&Token::text("Key", "Arn"), format!("{keys}*")),
            ("arn:aws:kms:eu-west-1:123456789012:alias/chat", format!("{keys}*")),
            (other, other.to_owned()),
        ] {
            assert_eq!(kms_key(&scope, key), arn);
        }
    }
}
