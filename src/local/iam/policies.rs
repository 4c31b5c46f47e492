//! The operations on inline policies of roles and on managed policies.

use super::super::context::CloudContext;
use super::parameters::{check_tags, checked_tags, is_name, path, role, role_mut};
use super::{Answer, Policy, Role, State, documents, limit_exceeded, no_such_entity, page, unique_id};
use crate::core::iam::grammar::Purpose;
use crate::core::iam::managed::{self, Known};
use crate::local::context::clock::{iso8601, now_millis};
use crate::local::protocol::query::{Query, Xml};
use crate::local::protocol::wire::ApiError;

/// Quotas of IAM: characters of all inline policies of a role together, characters of a managed policy, managed
/// policies of a role.
const MAX_INLINE_CHARACTERS: usize = 10_240;
const MAX_MANAGED_CHARACTERS: usize = 6_144;
const MAX_ATTACHED: usize = 10;

pub fn put_role_policy(state: &mut State, query: &Query) -> Answer {
    let role = role_mut(state, query)?;
    let name = policy_name(query)?;
    let document = query.required("PolicyDocument")?;
    documents::check(document, Purpose::Inline)?;
    let others =
        role.inline.iter().filter(|(other, _)| *other != name).map(|(_, text)| characters(text)).sum::<usize>();
    if others + characters(document) > MAX_INLINE_CHARACTERS {
        let message = format!("Maximum policy size of {MAX_INLINE_CHARACTERS} bytes exceeded for role {}", role.name);
        return Err(limit_exceeded(message));
    }
    role.inline.insert(name.to_owned(), document.to_owned());
    Ok(Xml::new())
}

pub fn get_role_policy(state: &State, query: &Query) -> Answer {
    let role = role(state, query)?;
    let name = policy_name(query)?;
    let document = role.inline.get(name).ok_or_else(|| unknown_inline(name))?;
    Ok(Xml::new()
        .text("RoleName", &role.name)
        .text("PolicyName", name)
        .text("PolicyDocument", documents::encoded(document)))
}

pub fn list_role_policies(state: &State, query: &Query) -> Answer {
    let names = role(state, query)?.inline.keys().map(|name| (name.as_str(), name));
    page(query, names, "PolicyNames", Xml::of_text)
}

pub fn delete_role_policy(state: &mut State, query: &Query) -> Answer {
    let role = role_mut(state, query)?;
    let name = policy_name(query)?;
    role.inline.remove(name).ok_or_else(|| unknown_inline(name))?;
    Ok(Xml::new())
}

pub fn attach_role_policy(state: &mut State, query: &Query) -> Answer {
    role(state, query)?;
    let arn = query.required("PolicyArn")?;
    check_exists(state, arn)?;
    if managed::known(arn) == Known::ServiceLinked {
        let message = "Cannot attach a Service Role Policy to a Customer Role.";
        return Err(ApiError::new(400, "PolicyNotAttachable", message));
    }
    let role = role_mut(state, query)?;
    if role.attached.iter().any(|attached| attached == arn) {
        return Ok(Xml::new());
    }
    if role.attached.len() >= MAX_ATTACHED {
        return Err(limit_exceeded(format!("Cannot exceed quota for PoliciesPerRole: {MAX_ATTACHED}")));
    }
    role.attached.push(arn.to_owned());
    role.attached.sort();
    Ok(Xml::new())
}

pub fn detach_role_policy(state: &mut State, query: &Query) -> Answer {
    let role = role_mut(state, query)?;
    let arn = query.required("PolicyArn")?;
    check_arn(arn)?;
    let Some(index) = role.attached.iter().position(|attached| attached == arn) else {
        return Err(no_such_entity(format!("Policy {arn} was not found.")));
    };
    role.attached.remove(index);
    Ok(Xml::new())
}

pub fn list_attached_role_policies(state: &State, query: &Query) -> Answer {
    let prefix = query.get("PathPrefix").unwrap_or("/");
    let arns = role(state, query)?.attached.iter().filter(|arn| resource_path(arn).starts_with(prefix));
    page(query, arns.map(|arn| (arn.as_str(), arn)), "AttachedPolicies", |arn| attached(arn))
}

pub fn create_policy(state: &mut State, query: &Query) -> Answer {
    let name = policy_name(query)?;
    let path = path(query)?;
    let document = query.required("PolicyDocument")?;
    documents::check(document, Purpose::Managed)?;
    let tags = checked_tags(query)?;
    check_size(document)?;
    if state.policies.values().any(|policy| policy.name.eq_ignore_ascii_case(name)) {
        let message = format!("A policy called {name} already exists. Duplicate names are not allowed.");
        return Err(ApiError::new(409, "EntityAlreadyExists", message));
    }
    let policy = Policy {
        name: name.to_owned(),
        id: unique_id("ANPA"),
        created: now_millis(),
        description: query.get("Description").map(str::to_owned),
        version: 1,
        document: document.to_owned(),
        versioned: None,
        others: Default::default(),
        last_version: 1,
        tags,
        path,
    };
    let arn = CloudContext::arn("iam", "", &format!("policy{}{}", policy.path, policy.name));
    let result = described(state, &arn, &policy);
    state.policies.insert(arn, policy);
    Ok(Xml::new().element("Policy", result))
}

pub fn get_policy(state: &State, query: &Query) -> Answer {
    let arn = query.required("PolicyArn")?;
    check_arn(arn)?;
    let result = match state.policies.get(arn) {
        Some(policy) => described(state, arn, policy)
            .optional("Description", policy.description.as_ref())
            .list("Tags", policy.tags.iter().map(|(key, value)| Xml::new().text("Key", key).text("Value", value))),
        None if is_managed_by_aws(arn) => described(state, arn, &managed_by_aws(arn)),
        None => return Err(no_such_entity(format!("Policy {arn} was not found."))),
    };
    Ok(Xml::new().element("Policy", result))
}

pub fn list_entities_for_policy(state: &State, query: &Query) -> Answer {
    let arn = query.required("PolicyArn")?;
    check_exists(state, arn)?;
    let wanted = query.get("EntityFilter").is_none_or(|filter| filter == "Role");
    let has =
        |role: &Role| role.boundary.as_deref() == Some(arn) || role.attached.iter().any(|attached| attached == arn);
    let roles = state.roles.iter().filter(|(_, role)| wanted && has(role));
    let roles = roles.map(|(name, role)| (name.as_str(), role));
    let page =
        page(query, roles, "PolicyRoles", |role| Xml::new().text("RoleName", &role.name).text("RoleId", &role.id))?;
    Ok(page.list("PolicyGroups", []).list("PolicyUsers", []))
}

pub fn tag_policy(state: &mut State, query: &Query) -> Answer {
    let tags = checked_tags(query)?;
    let policy = policy_mut(state, query)?;
    let added = tags.keys().filter(|key| !policy.tags.contains_key(*key)).count();
    check_tags(policy.tags.len() + added)?;
    policy.tags.extend(tags);
    Ok(Xml::new())
}

pub fn untag_policy(state: &mut State, query: &Query) -> Answer {
    let policy = policy_mut(state, query)?;
    for key in query.list("TagKeys") {
        policy.tags.remove(key);
    }
    Ok(Xml::new())
}

pub fn list_policy_tags(state: &State, query: &Query) -> Answer {
    let tags = policy(state, query)?.tags.iter().map(|(key, value)| (key.as_str(), (key, value)));
    page(query, tags, "Tags", |(key, value)| Xml::new().text("Key", key).text("Value", value))
}

/// The customer managed policy of a call.
pub fn policy<'a>(state: &'a State, query: &Query) -> Result<&'a Policy, ApiError> {
    let arn = query.required("PolicyArn")?;
    check_arn(arn)?;
    state.policies.get(arn).ok_or_else(|| no_such_entity(format!("Policy {arn} was not found.")))
}

/// The customer managed policy of a call, mutable.
pub fn policy_mut<'a>(state: &'a mut State, query: &Query) -> Result<&'a mut Policy, ApiError> {
    let arn = query.required("PolicyArn")?;
    check_arn(arn)?;
    state.policies.get_mut(arn).ok_or_else(|| no_such_entity(format!("Policy {arn} was not found.")))
}

/// Lists the customer managed policies, and those AWS managed policies that are attached to a role (there is no list of all).
pub fn list_policies(state: &State, query: &Query) -> Answer {
    let scope = query.get("Scope").unwrap_or("All");
    let only_attached = query.get("OnlyAttached") == Some("true");
    let prefix = query.get("PathPrefix").unwrap_or("/");
    let mut arns: Vec<&String> = state.policies.keys().collect();
    arns.extend(state.roles.values().flat_map(|role| &role.attached).filter(|arn| arn.starts_with(managed::PREFIX)));
    arns.sort();
    arns.dedup();
    let wanted = arns.into_iter().filter(|arn| {
        let scoped = match scope {
            "AWS" => arn.starts_with(managed::PREFIX),
            "Local" => !arn.starts_with(managed::PREFIX),
            _ => true,
        };
        scoped && resource_path(arn).starts_with(prefix) && !(only_attached && attachments(state, arn) == 0)
    });
    page(query, wanted.map(|arn| (arn.as_str(), arn)), "Policies", |arn| match state.policies.get(arn) {
        Some(policy) => described(state, arn, policy),
        None => described(state, arn, &managed_by_aws(arn)),
    })
}

pub fn delete_policy(state: &mut State, query: &Query) -> Answer {
    let arn = query.required("PolicyArn")?;
    check_arn(arn)?;
    if attachments(state, arn) > 0 || state.roles.values().any(|role| role.boundary.as_deref() == Some(arn)) {
        let message = "Cannot delete a policy attached to entities.";
        return Err(ApiError::new(409, "DeleteConflict", message));
    }
    if !policy(state, query)?.others.is_empty() {
        let message = "This policy has more than one version. Before you delete a policy, you must delete the policy's \
                       versions. The default version is deleted with the policy.";
        return Err(ApiError::new(409, "DeleteConflict", message));
    }
    state.policies.remove(arn);
    Ok(Xml::new())
}

/// Checks that a managed policy's document is not too long.
pub fn check_size(document: &str) -> Result<(), ApiError> {
    if characters(document) > MAX_MANAGED_CHARACTERS {
        return Err(limit_exceeded(format!("Cannot exceed quota for PolicySize: {MAX_MANAGED_CHARACTERS}")));
    }
    Ok(())
}

/// Checks that a managed policy exists, so that it can be attached.
pub fn check_exists(state: &State, arn: &str) -> Result<(), ApiError> {
    check_arn(arn)?;
    if state.policies.contains_key(arn) || is_managed_by_aws(arn) {
        return Ok(());
    }
    Err(no_such_entity(format!("Policy {arn} does not exist or is not attachable.")))
}

/// Whether this is the ARN of an AWS managed policy.
fn is_managed_by_aws(arn: &str) -> bool {
    arn.starts_with(managed::PREFIX) && matches!(managed::known(arn), Known::Fine | Known::ServiceLinked)
}

/// A managed policy as lists of a role's policies show it.
pub fn attached(arn: &str) -> Xml {
    Xml::new().text("PolicyName", last_segment(arn)).text("PolicyArn", arn)
}

fn described(state: &State, arn: &str, policy: &Policy) -> Xml {
    let boundaries = state.roles.values().filter(|role| role.boundary.as_deref() == Some(arn)).count();
    Xml::new()
        .text("PolicyName", &policy.name)
        .text("PolicyId", &policy.id)
        .text("Arn", arn)
        .text("Path", &policy.path)
        .text("DefaultVersionId", format!("v{}", policy.version))
        .text("AttachmentCount", attachments(state, arn))
        .text("PermissionsBoundaryUsageCount", boundaries)
        .text("IsAttachable", true)
        .text("CreateDate", iso8601(policy.created))
        .text("UpdateDate", iso8601(policy.versioned.unwrap_or(policy.created)))
}

/// An AWS managed policy without its document: only name and path are known.
fn managed_by_aws(arn: &str) -> Policy {
    let digits: String = last_segment(arn).to_ascii_uppercase().chars().filter(char::is_ascii_alphabetic).collect();
    Policy {
        name: last_segment(arn).to_owned(),
        id: format!("ANPA{digits:A<17.17}"),
        path: resource_path(arn).to_owned(),
        created: 0,
        description: None,
        version: 1,
        document: String::new(),
        versioned: None,
        others: Default::default(),
        last_version: 1,
        tags: Default::default(),
    }
}

fn attachments(state: &State, arn: &str) -> usize {
    state.roles.values().filter(|role| role.attached.iter().any(|attached| attached == arn)).count()
}

fn policy_name(query: &Query) -> Result<&str, ApiError> {
    query.check_name("PolicyName", 128, "[\\w+=,.@-]+", is_name)
}

fn check_arn(arn: &str) -> Result<(), ApiError> {
    if arn.starts_with("arn:") && arn.contains(":policy/") {
        return Ok(());
    }
    let message = match arn.starts_with("arn:") {
        true => format!("ARN {arn} is not valid."),
        // With two spaces, as in the recorded answer of AWS.
        false => "Invalid ARN:  Could not be parsed!".to_owned(),
    };
    Err(ApiError::new(400, "ValidationError", message))
}

fn unknown_inline(name: &str) -> ApiError {
    no_such_entity(format!("The role policy with name {name} cannot be found."))
}

/// The path in a policy's ARN: `/service-role/` of `arn:aws:iam::aws:policy/service-role/X`.
fn resource_path(arn: &str) -> &str {
    let resource = arn.find(":policy/").map_or("/", |at| &arn[at + ":policy".len()..]);
    resource.rfind('/').map_or("/", |end| &resource[..=end])
}

fn last_segment(arn: &str) -> &str {
    arn.rsplit('/').next().unwrap_or_default()
}

/// The characters that count for quotas: IAM ignores white space.
fn characters(document: &str) -> usize {
    document.chars().filter(|letter| !letter.is_whitespace()).count()
}
