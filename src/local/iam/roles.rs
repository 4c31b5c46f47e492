//! The operations on roles.

use std::collections::BTreeMap;

use super::parameters::{check_tags, checked_tags, is_name, path, role, role_mut};
use super::{Answer, Role, State, documents, limit_exceeded, page, policies, unique_id};
use crate::core::iam::grammar::Purpose;
use crate::local::context::clock::{iso8601, now_millis};
use crate::local::protocol::query::{Query, Xml};
use crate::local::protocol::wire::ApiError;

/// The most characters of a trust policy (IAM quotas).
const MAX_TRUST_CHARACTERS: usize = 2048;

pub fn create_role(state: &mut State, query: &Query) -> Answer {
    let name = query.check_name("RoleName", 64, "[\\w+=,.@-]+", is_name)?;
    let path = path(query)?;
    let trust = query.required("AssumeRolePolicyDocument")?;
    let tags = checked_tags(query)?;
    let max_session = max_session(query)?.unwrap_or(3600);
    check_trust(trust)?;
    let boundary = query.get("PermissionsBoundary");
    if let Some(arn) = boundary {
        policies::check_exists(state, arn)?;
    }
    // Role names are case-insensitive.
    if state.roles.keys().any(|taken| taken.eq_ignore_ascii_case(name)) {
        let message = format!("Role with name {name} already exists.");
        return Err(ApiError::new(409, "EntityAlreadyExists", message));
    }
    let role = Role {
        name: name.to_owned(),
        id: unique_id("AROA"),
        path,
        created: now_millis(),
        trust: trust.to_owned(),
        description: query.get("Description").filter(|text| !text.is_empty()).map(str::to_owned),
        max_session,
        boundary: boundary.map(str::to_owned),
        tags,
        inline: BTreeMap::new(),
        attached: Vec::new(),
    };
    // AWS's answer has no description and no session duration.
    let result = with_tags(with_boundary(identity(&role), &role), &role);
    state.roles.insert(role.name.clone(), role);
    Ok(Xml::new().element("Role", result))
}

pub fn get_role(state: &State, query: &Query) -> Answer {
    let role = role(state, query)?;
    let result = with_tags(with_boundary(with_settings(identity(role), role), role), role);
    Ok(Xml::new().element("Role", result.element("RoleLastUsed", Xml::new())))
}

pub fn list_roles(state: &State, query: &Query) -> Answer {
    let prefix = query.get("PathPrefix").unwrap_or("/");
    let roles = state.roles.iter().filter(|(_, role)| role.path.starts_with(prefix));
    // Without tags and boundary, as AWS lists them.
    page(query, roles.map(|(name, role)| (name.as_str(), role)), "Roles", |role| with_settings(identity(role), role))
}

pub fn update_role(state: &mut State, query: &Query) -> Answer {
    let max_session = max_session(query)?;
    let role = role_mut(state, query)?;
    if let Some(description) = query.get("Description") {
        role.description = Some(description.to_owned()).filter(|text| !text.is_empty());
    }
    role.max_session = max_session.unwrap_or(role.max_session);
    Ok(Xml::new())
}

pub fn update_role_description(state: &mut State, query: &Query) -> Answer {
    let description = query.required("Description")?;
    let role = role_mut(state, query)?;
    role.description = Some(description.to_owned()).filter(|text| !text.is_empty());
    let result = identity(role).optional("Description", role.description.as_ref());
    Ok(Xml::new().element("Role", result))
}

pub fn update_assume_role_policy(state: &mut State, query: &Query) -> Answer {
    let role = role_mut(state, query)?;
    let trust = query.required("PolicyDocument")?;
    check_trust(trust)?;
    role.trust = trust.to_owned();
    Ok(Xml::new())
}

pub fn delete_role(state: &mut State, query: &Query) -> Answer {
    let role = role(state, query)?;
    let conflict = |message: &str| Err(ApiError::new(409, "DeleteConflict", message));
    if !role.attached.is_empty() {
        return conflict("Cannot delete entity, must detach all policies first.");
    }
    if !role.inline.is_empty() {
        return conflict("Cannot delete entity, must delete policies first.");
    }
    let name = role.name.clone();
    state.roles.remove(&name);
    Ok(Xml::new())
}

pub fn tag_role(state: &mut State, query: &Query) -> Answer {
    let tags = checked_tags(query)?;
    let role = role_mut(state, query)?;
    let added = tags.keys().filter(|key| !role.tags.contains_key(*key)).count();
    check_tags(role.tags.len() + added)?;
    role.tags.extend(tags);
    Ok(Xml::new())
}

pub fn untag_role(state: &mut State, query: &Query) -> Answer {
    let role = role_mut(state, query)?;
    for key in query.list("TagKeys") {
        role.tags.remove(key);
    }
    Ok(Xml::new())
}

pub fn list_role_tags(state: &State, query: &Query) -> Answer {
    let tags = role(state, query)?.tags.iter().map(|(key, value)| (key.as_str(), (key, value)));
    page(query, tags, "Tags", |(key, value)| tag(key, value))
}

pub fn put_role_permissions_boundary(state: &mut State, query: &Query) -> Answer {
    role(state, query)?;
    let arn = query.required("PermissionsBoundary")?;
    policies::check_exists(state, arn)?;
    role_mut(state, query)?.boundary = Some(arn.to_owned());
    Ok(Xml::new())
}

pub fn delete_role_permissions_boundary(state: &mut State, query: &Query) -> Answer {
    role_mut(state, query)?.boundary = None;
    Ok(Xml::new())
}

/// Always empty, because the local cloud has no EC2 instances. Deployers call it before they delete a role.
pub fn list_instance_profiles_for_role(state: &State, query: &Query) -> Answer {
    role(state, query)?;
    Ok(Xml::new().list("InstanceProfiles", []).text("IsTruncated", false))
}

pub fn get_account_authorization_details(state: &State, query: &Query) -> Answer {
    let filter = query.list("Filter");
    let wanted = filter.is_empty() || filter.contains(&"Role");
    let roles = state.roles.iter().filter(|_| wanted).map(|(name, role)| (name.as_str(), role));
    let details = page(query, roles, "RoleDetailList", detail)?;
    Ok(details.list("UserDetailList", []).list("GroupDetailList", []).list("Policies", []))
}

/// A role with its policies and tags.
fn detail(role: &Role) -> Xml {
    let inline = role.inline.iter().map(|(name, document)| {
        Xml::new().text("PolicyName", name).text("PolicyDocument", documents::encoded(document))
    });
    let detail = with_boundary(identity(role), role)
        .list("InstanceProfileList", [])
        .list("RolePolicyList", inline)
        .list("AttachedManagedPolicies", role.attached.iter().map(|arn| policies::attached(arn)))
        .list("Tags", role.tags.iter().map(|(key, value)| tag(key, value)));
    detail.element("RoleLastUsed", Xml::new())
}

fn identity(role: &Role) -> Xml {
    Xml::new()
        .text("Path", &role.path)
        .text("RoleName", &role.name)
        .text("RoleId", &role.id)
        .text("Arn", role.arn())
        .text("CreateDate", iso8601(role.created))
        .text("AssumeRolePolicyDocument", documents::encoded(&role.trust))
}

fn with_settings(xml: Xml, role: &Role) -> Xml {
    xml.optional("Description", role.description.as_ref()).text("MaxSessionDuration", role.max_session)
}

fn with_boundary(xml: Xml, role: &Role) -> Xml {
    let Some(arn) = &role.boundary else { return xml };
    let boundary = Xml::new().text("PermissionsBoundaryType", "Policy").text("PermissionsBoundaryArn", arn);
    xml.element("PermissionsBoundary", boundary)
}

fn with_tags(xml: Xml, role: &Role) -> Xml {
    if role.tags.is_empty() {
        return xml;
    }
    xml.list("Tags", role.tags.iter().map(|(key, value)| tag(key, value)))
}

fn tag(key: &str, value: &str) -> Xml {
    Xml::new().text("Key", key).text("Value", value)
}

fn max_session(query: &Query) -> Result<Option<u32>, ApiError> {
    query.number("MaxSessionDuration", 3600..=43200)
}

fn check_trust(document: &str) -> Result<(), ApiError> {
    documents::check(document, Purpose::Trust)?;
    if document.chars().filter(|letter| !letter.is_whitespace()).count() > MAX_TRUST_CHARACTERS {
        return Err(limit_exceeded(format!("Cannot exceed quota for ACLSizePerRole: {MAX_TRUST_CHARACTERS}")));
    }
    Ok(())
}
