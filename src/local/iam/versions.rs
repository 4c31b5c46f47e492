//! The operations on the versions of managed policies.

use super::policies::{check_size, policy, policy_mut};
use super::{Answer, Document, Policy, State, documents, limit_exceeded, no_such_entity, page};
use crate::core::iam::grammar::Purpose;
use crate::local::context::clock::{iso8601, now_millis};
use crate::local::protocol::query::{Query, Xml};
use crate::local::protocol::wire::ApiError;

/// The most versions of a policy.
const MAX_VERSIONS: usize = 5;

pub fn create_policy_version(state: &mut State, query: &Query) -> Answer {
    let document = query.required("PolicyDocument")?;
    documents::check(document, Purpose::Managed)?;
    check_size(document)?;
    let in_force = query.get("SetAsDefault") == Some("true");
    let policy = policy_mut(state, query)?;
    if policy.others.len() + 1 >= MAX_VERSIONS {
        return Err(limit_exceeded(format!(
            "A managed policy can have up to {MAX_VERSIONS} versions. Before you create a new version, you must delete an \
             existing version."
        )));
    }
    policy.last_version += 1;
    let number = policy.last_version;
    policy.others.insert(number, Document { text: document.to_owned(), created: now_millis() });
    if in_force {
        policy.set_default(number);
    }
    let version = policy.described(number, false).ok_or_else(|| unknown(query, &format!("v{number}")))?;
    Ok(Xml::new().element("PolicyVersion", version))
}

pub fn get_policy_version(state: &State, query: &Query) -> Answer {
    let id = query.required("VersionId")?;
    let policy = policy(state, query)?;
    let version = number(id).and_then(|number| policy.described(number, true)).ok_or_else(|| unknown(query, id))?;
    Ok(Xml::new().element("PolicyVersion", version))
}

pub fn list_policy_versions(state: &State, query: &Query) -> Answer {
    let policy = policy(state, query)?;
    let mut numbers: Vec<u32> = policy.others.keys().copied().chain([policy.version]).collect();
    numbers.sort_unstable();
    // Keys of a page are compared as text.
    let keys: Vec<(String, u32)> = numbers.into_iter().map(|number| (format!("{number:010}"), number)).collect();
    page(query, keys.iter().map(|(key, number)| (key.as_str(), *number)), "Versions", |number| {
        policy.described(number, false).unwrap_or_default()
    })
}

pub fn set_default_policy_version(state: &mut State, query: &Query) -> Answer {
    let id = query.required("VersionId")?;
    let policy = policy_mut(state, query)?;
    let known = |number: &u32| *number == policy.version || policy.others.contains_key(number);
    let number = number(id).filter(known).ok_or_else(|| unknown(query, id))?;
    policy.set_default(number);
    Ok(Xml::new())
}

pub fn delete_policy_version(state: &mut State, query: &Query) -> Answer {
    let id = query.required("VersionId")?;
    let policy = policy_mut(state, query)?;
    let number = number(id).ok_or_else(|| unknown(query, id))?;
    if number == policy.version {
        let message = "Cannot delete the default version of a policy.";
        return Err(ApiError::new(409, "DeleteConflict", message));
    }
    policy.others.remove(&number).ok_or_else(|| unknown(query, id))?;
    Ok(Xml::new())
}

impl Policy {
    /// Makes another version the default version.
    fn set_default(&mut self, number: u32) {
        if let Some(next) = self.others.remove(&number) {
            let text = std::mem::replace(&mut self.document, next.text);
            let created = self.versioned.replace(next.created).unwrap_or(self.created);
            self.others.insert(std::mem::replace(&mut self.version, number), Document { text, created });
        }
    }

    /// One version; with its document where `whole`.
    fn described(&self, number: u32, whole: bool) -> Option<Xml> {
        let (text, created) = if number == self.version {
            (&self.document, self.versioned.unwrap_or(self.created))
        } else {
            self.others.get(&number).map(|document| (&document.text, document.created))?
        };
        let xml = Xml::new().optional("Document", whole.then(|| documents::encoded(text)));
        Some(
            xml.text("VersionId", format!("v{number}"))
                .text("IsDefaultVersion", number == self.version)
                .text("CreateDate", iso8601(created)),
        )
    }
}

/// The number in `v7`.
fn number(id: &str) -> Option<u32> {
    id.strip_prefix('v')?.parse().ok()
}

fn unknown(query: &Query, id: &str) -> ApiError {
    let arn = query.get("PolicyArn").unwrap_or_default();
    no_such_entity(format!("Policy {arn} version {id} does not exist or is not attachable."))
}
