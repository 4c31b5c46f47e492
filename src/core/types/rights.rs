//! The IAM permissions that a type's steps need: what `Kind::rights` is told of a step, what it adds them to, and what
//! several types have in common.

use std::collections::{BTreeMap, BTreeSet};

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use serde_json::Value;

use super::Health;
use crate::core::words::{Scope, Token};

/// Stands in an ARN for an id that AWS has not minted yet.
pub const ANY: &str = "*";

/// How a run reads roles.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Roles {
    /// All of the account in one call, which shows every policy in it.
    Account,
    /// Each by its name, for callers who may not make that call.
    ByName,
}

/// IAM permissions, as they are collected.
#[derive(Debug, Default)]
pub struct Rights {
    /// Actions by resource.
    pub(crate) allowed: BTreeMap<String, BTreeSet<String>>,
    /// Roles by the service that they are passed to.
    pub(crate) passed: BTreeMap<&'static str, BTreeSet<String>>,
}

impl Rights {
    /// Adds actions of one service (`iam`) on a resource.
    pub fn allow(&mut self, service: &str, actions: &[&str], resource: impl Into<String>) {
        let allowed = self.allowed.entry(resource.into()).or_default();
        allowed.extend(actions.iter().map(|action| format!("{service}:{action}")));
    }

    /// Leaves out what is allowed on the resources that `covered` tells, as far as it is allowed on `pattern` already.
    pub fn leave_out(&mut self, pattern: &str, covered: impl Fn(&str) -> bool) {
        let allowed = self.allowed.get(pattern).cloned().unwrap_or_default();
        for (_, actions) in self.allowed.iter_mut().filter(|(resource, _)| covered(resource)) {
            actions.retain(|action| !allowed.contains(action));
        }
    }

    /// Adds the right to pass a role (its ARN) to a service (`lambda.amazonaws.com`).
    pub fn pass(&mut self, role: &str, service: &'static str) {
        self.passed.entry(service).or_default().insert(role.to_owned());
    }
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
    /// What the step does: a replacement deletes and creates; a step that does nothing of this retains.
    pub creates: bool,
    pub updates: bool,
    pub deletes: bool,
    pub keeps: bool,
    /// The physical id, where it exists or its name is known.
    pub physical_id: Option<&'a str>,
    /// The physical id of the live resource, where there is one.
    pub live_id: Option<&'a str>,
    /// The desired and the live properties, as far as the plan knows them; null where there are none.
    pub desired: Value,
    pub live: Value,
    /// The (outermost) properties that differ.
    pub changed: BTreeSet<&'a str>,
    /// How the live resource is, where there is one.
    pub health: Option<&'a Health>,
    /// The plan that the step is of.
    pub plan: &'a dyn Resources,
}

impl Subject<'_> {
    /// The physical name, for types that are named before they exist.
    pub fn name(&self) -> &str {
        self.physical_id.unwrap_or(ANY)
    }

    /// The path of what IAM keeps below one.
    pub fn path(&self) -> Option<&str> {
        [&self.desired, &self.live].iter().find_map(|side| side["Path"].as_str())
    }

    /// Whether anything is called that changes something.
    pub fn acts(&self) -> bool {
        self.creates || self.updates || self.deletes
    }

    /// Whether the step changes one of these properties in place. A rollback changes it, too.
    pub fn changes(&self, properties: &[&str]) -> bool {
        self.updates && self.changed.iter().any(|property| properties.contains(property))
    }

    /// Whether the step changes another property than these in place.
    pub fn changes_other_than(&self, properties: &[&str]) -> bool {
        self.updates && self.changed.iter().any(|property| !properties.contains(property))
    }

    /// Texts in a desired or live property, one or a list: a rollback needs the live ones.
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
        match &self.desired[property] {
            Value::Null => false,
            Value::Array(items) => !items.is_empty(),
            _ => true,
        }
    }

    /// The path of the API that it is a part of: `apis/abc`.
    pub(crate) fn api_path(&self) -> String {
        format!("apis/{}", self.api_id().as_deref().unwrap_or(ANY))
    }

    /// The ARN of everything inside that API.
    pub(crate) fn inside_api(&self) -> String {
        let path = self.api_path();
        // An API without an id yet is covered whole.
        apigateway(self.scope, &if self.api_id().is_some() { format!("{path}/{ANY}") } else { path })
    }

    fn api_id(&self) -> Option<String> {
        self.texts("ApiId").into_iter().find(|id| Token::find(id).is_empty())
    }
}

/// What every type inside an API needs: the verbs are the same for all of them.
pub(crate) fn api_part(it: &Subject<'_>, rights: &mut Rights) {
    let inside = it.inside_api();
    let mut allow = |verbs: &[&str]| rights.allow("apigateway", verbs, inside.as_str());
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

/// What it takes to change the tags of what is at `path` in API Gateway: they are a resource of their own, below which its
/// ARN is one segment (API Gateway developer guide, "Using tags to control access"), and AWS asks about the action by its
/// name, too.
pub(crate) fn tagging(rights: &mut Rights, scope: &Scope, path: &str) {
    /// RFC 3986: what stands for itself in a path's segment.
    const SEGMENT: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'_').remove(b'.').remove(b'~');
    let subject = apigateway(scope, path);
    let tags = apigateway(scope, &format!("tags/{}", utf8_percent_encode(&subject, SEGMENT)));
    rights.allow("apigateway", &["POST", "DELETE"], tags);
    rights.allow("apigateway", &["TagResource", "UntagResource"], subject);
}

/// The ARN of a path in API Gateway.
pub(crate) fn apigateway(scope: &Scope, path: &str) -> String {
    format!("arn:{}:apigateway:{}::/{path}", scope.partition, scope.region)
}

/// Adds actions on a log group, under both its names: by its name AWS asks about its streams as well (`:*`), by its ARN
/// it does not.
pub(crate) fn logs(rights: &mut Rights, scope: &Scope, group: &str, actions: &[&str]) {
    for end in ["", ":*"] {
        rights.allow("logs", actions, scope.arn("logs", &format!("log-group:{group}{end}")));
    }
}
