//! Roles and policies of IAM. CloudFormation sets the stack's tags on roles, and none of its own (schema of `AWS::IAM::Role`, `tagging`;
//! cloudformation-coverage-roadmap#277, #1159, #1966).

use std::collections::BTreeMap;

use serde_json::{Map, Value};

use super::{Declared, Existing, Identifier, Type, document, own_tags, part, present, single, text};
use crate::local::cloudformation::calls::{Calls, text_of};
use crate::local::protocol::wire::ApiError;

pub const ROLE: &str = "AWS::IAM::Role";

pub const TYPES: &[Type] = &[
    Type {
        name: ROLE,
        identifier: &["RoleName"],
        reference: "RoleName",
        importable: true,
        create: |calls, declared| Box::pin(create_role(calls, declared)),
        read: |calls, _, identifier| Box::pin(read_role(calls, identifier)),
        delete: |calls, existing| Box::pin(delete_role(calls, existing)),
        arn: |_, _, _| None,
    },
    Type {
        name: "AWS::IAM::ManagedPolicy",
        identifier: &["PolicyArn"],
        reference: "PolicyArn",
        importable: true,
        create: |calls, declared| Box::pin(create_managed(calls, declared)),
        read: |calls, _, identifier| Box::pin(read_managed(calls, identifier)),
        delete: |calls, existing| Box::pin(delete_managed(calls, existing)),
        arn: |_, _, _| None,
    },
    Type {
        name: "AWS::IAM::Policy",
        identifier: &["Id"],
        reference: "Id",
        importable: false,
        create: |calls, declared| Box::pin(put_policies(calls, declared)),
        read: |_, _, identifier| Box::pin(async move { Ok(Some(as_values(identifier))) }),
        delete: |calls, existing| Box::pin(delete_policies(calls, existing)),
        arn: |_, _, _| None,
    },
    Type {
        name: "AWS::IAM::RolePolicy",
        identifier: &["PolicyName", "RoleName"],
        reference: "PolicyName",
        importable: true,
        create: |calls, declared| Box::pin(put_policy(calls, declared)),
        read: |calls, _, identifier| Box::pin(read_policy(calls, identifier)),
        delete: |calls, existing| Box::pin(delete_policy(calls, existing)),
        arn: |_, _, _| None,
    },
];

fn as_values(identifier: &Identifier) -> Map<String, Value> {
    identifier.iter().map(|(name, value)| (name.clone(), value.as_str().into())).collect()
}

async fn create_role(calls: &Calls, declared: &Declared<'_>) -> Result<Identifier, ApiError> {
    let properties = declared.properties;
    let name = text(properties, "RoleName").unwrap_or_else(|| declared.name.to_owned());
    let mut parameters = vec![
        ("RoleName".to_owned(), name.clone()),
        ("AssumeRolePolicyDocument".to_owned(), document(&properties["AssumeRolePolicyDocument"])),
    ];
    for optional in ["Path", "Description", "MaxSessionDuration", "PermissionsBoundary"] {
        parameters.extend(text(properties, optional).map(|value| (optional.to_owned(), value)));
    }
    let tags = own_tags(properties);
    parameters.extend(tag_members(tags.iter().map(|(key, value)| (key.as_str(), value.as_str().unwrap_or_default()))));
    let parameters: Vec<(&str, String)> =
        parameters.iter().map(|(name, value)| (name.as_str(), value.clone())).collect();
    calls.query("iam", "CreateRole", &parameters).await?;
    for arn in properties["ManagedPolicyArns"].as_array().into_iter().flatten().filter_map(Value::as_str) {
        calls.query("iam", "AttachRolePolicy", &[("RoleName", name.clone()), ("PolicyArn", arn.to_owned())]).await?;
    }
    for policy in properties["Policies"].as_array().into_iter().flatten() {
        put(calls, &name, policy).await?;
    }
    Ok(single("RoleName", name))
}

/// Sets tags of a role.
///
/// # Errors
/// IAM's refusal.
pub async fn tag_role(calls: &Calls, role: &str, tags: &BTreeMap<String, String>) -> Result<(), ApiError> {
    let tags = tag_members(tags.iter().map(|(key, value)| (key.as_str(), value.as_str())));
    let all: Vec<(String, String)> = std::iter::once(("RoleName".to_owned(), role.to_owned())).chain(tags).collect();
    let all: Vec<(&str, String)> = all.iter().map(|(name, value)| (name.as_str(), value.clone())).collect();
    calls.query("iam", "TagRole", &all).await.map(drop)
}

/// Tags as members of a request in the query protocol.
fn tag_members<'t>(tags: impl Iterator<Item = (&'t str, &'t str)>) -> impl Iterator<Item = (String, String)> {
    tags.enumerate().flat_map(|(index, (key, value))| {
        let member = |name: &str| format!("Tags.member.{}.{name}", index + 1);
        [(member("Key"), key.to_owned()), (member("Value"), value.to_owned())]
    })
}

async fn put(calls: &Calls, role: &str, policy: &Value) -> Result<(), ApiError> {
    let parameters = [
        ("RoleName", role.to_owned()),
        ("PolicyName", text(policy, "PolicyName").unwrap_or_default()),
        ("PolicyDocument", document(&policy["PolicyDocument"])),
    ];
    calls.query("iam", "PutRolePolicy", &parameters).await.map(drop)
}

async fn read_role(calls: &Calls, identifier: &Identifier) -> Result<Option<Map<String, Value>>, ApiError> {
    let name = part(identifier, "RoleName").to_owned();
    let Some(xml) = present(calls.query("iam", "GetRole", &[("RoleName", name.clone())]).await)? else {
        return Ok(None);
    };
    let values = [("Arn", text_of(&xml, "Arn")), ("RoleId", text_of(&xml, "RoleId")), ("RoleName", Some(name))];
    Ok(Some(values.into_iter().filter_map(|(name, value)| Some((name.to_owned(), value?.into()))).collect()))
}

async fn delete_role(calls: &Calls, existing: &Existing<'_>) -> Result<(), ApiError> {
    let role = part(existing.identifier, "RoleName").to_owned();
    for arn in existing.properties["ManagedPolicyArns"].as_array().into_iter().flatten().filter_map(Value::as_str) {
        let parameters = [("RoleName", role.clone()), ("PolicyArn", arn.to_owned())];
        present(calls.query("iam", "DetachRolePolicy", &parameters).await)?;
    }
    for policy in existing.properties["Policies"].as_array().into_iter().flatten() {
        take_off(calls, &role, &text(policy, "PolicyName").unwrap_or_default()).await?;
    }
    calls.query("iam", "DeleteRole", &[("RoleName", role)]).await.map(drop)
}

async fn take_off(calls: &Calls, role: &str, policy: &str) -> Result<(), ApiError> {
    let parameters = [("RoleName", role.to_owned()), ("PolicyName", policy.to_owned())];
    present(calls.query("iam", "DeleteRolePolicy", &parameters).await).map(drop)
}

async fn create_managed(calls: &Calls, declared: &Declared<'_>) -> Result<Identifier, ApiError> {
    let properties = declared.properties;
    let name = text(properties, "ManagedPolicyName").unwrap_or_else(|| declared.name.to_owned());
    let mut parameters = vec![("PolicyName", name), ("PolicyDocument", document(&properties["PolicyDocument"]))];
    for optional in ["Path", "Description"] {
        parameters.extend(text(properties, optional).map(|value| (optional, value)));
    }
    let xml = calls.query("iam", "CreatePolicy", &parameters).await?;
    let arn = text_of(&xml, "Arn").unwrap_or_default();
    for role in roles(properties) {
        calls.query("iam", "AttachRolePolicy", &[("RoleName", role), ("PolicyArn", arn.clone())]).await?;
    }
    Ok(single("PolicyArn", arn))
}

fn roles(properties: &Value) -> Vec<String> {
    properties["Roles"].as_array().into_iter().flatten().filter_map(Value::as_str).map(str::to_owned).collect()
}

async fn read_managed(calls: &Calls, identifier: &Identifier) -> Result<Option<Map<String, Value>>, ApiError> {
    let arn = part(identifier, "PolicyArn").to_owned();
    let found = present(calls.query("iam", "GetPolicy", &[("PolicyArn", arn)]).await)?;
    Ok(found.map(|_| as_values(identifier)))
}

async fn delete_managed(calls: &Calls, existing: &Existing<'_>) -> Result<(), ApiError> {
    let arn = part(existing.identifier, "PolicyArn").to_owned();
    for role in roles(existing.properties) {
        present(calls.query("iam", "DetachRolePolicy", &[("RoleName", role), ("PolicyArn", arn.clone())]).await)?;
    }
    calls.query("iam", "DeletePolicy", &[("PolicyArn", arn)]).await.map(drop)
}

async fn put_policies(calls: &Calls, declared: &Declared<'_>) -> Result<Identifier, ApiError> {
    for role in roles(declared.properties) {
        put(calls, &role, declared.properties).await?;
    }
    Ok(single("Id", declared.name))
}

async fn delete_policies(calls: &Calls, existing: &Existing<'_>) -> Result<(), ApiError> {
    let name = text(existing.properties, "PolicyName").unwrap_or_default();
    for role in roles(existing.properties) {
        take_off(calls, &role, &name).await?;
    }
    Ok(())
}

/// Writes another policy over one of roles.
///
/// # Errors
/// IAM's refusal.
pub async fn put_again(calls: &Calls, new: &Value) -> Result<(), ApiError> {
    for role in roles(new) {
        put(calls, &role, new).await?;
    }
    Ok(())
}

/// Gives a role other policies.
///
/// # Errors
/// IAM's refusal.
pub async fn update_role(calls: &Calls, existing: &Existing<'_>, new: &Value) -> Result<(), ApiError> {
    let (role, old) = (part(existing.identifier, "RoleName").to_owned(), existing.properties);
    let about = |rest: (&'static str, String)| [("RoleName", role.clone()), rest];
    if old["AssumeRolePolicyDocument"] != new["AssumeRolePolicyDocument"] {
        let document = document(&new["AssumeRolePolicyDocument"]);
        calls.query("iam", "UpdateAssumeRolePolicy", &about(("PolicyDocument", document))).await?;
    }
    let arns = |of: &Value| -> Vec<String> {
        of["ManagedPolicyArns"].as_array().into_iter().flatten().filter_map(Value::as_str).map(str::to_owned).collect()
    };
    let (had, wanted) = (arns(old), arns(new));
    for arn in wanted.iter().filter(|arn| !had.contains(arn)) {
        calls.query("iam", "AttachRolePolicy", &about(("PolicyArn", arn.clone()))).await?;
    }
    for arn in had.iter().filter(|arn| !wanted.contains(arn)) {
        present(calls.query("iam", "DetachRolePolicy", &about(("PolicyArn", arn.clone()))).await)?;
    }
    let policies = |of: &Value| of["Policies"].as_array().cloned().unwrap_or_default();
    let names: Vec<Option<String>> = policies(new).iter().map(|policy| text(policy, "PolicyName")).collect();
    for policy in policies(new).iter().filter(|policy| !policies(old).contains(policy)) {
        put(calls, &role, policy).await?;
    }
    for name in policies(old).iter().map(|policy| text(policy, "PolicyName")).filter(|name| !names.contains(name)) {
        take_off(calls, &role, &name.unwrap_or_default()).await?;
    }
    Ok(())
}

async fn put_policy(calls: &Calls, declared: &Declared<'_>) -> Result<Identifier, ApiError> {
    let role = text(declared.properties, "RoleName").unwrap_or_default();
    put(calls, &role, declared.properties).await?;
    let name = text(declared.properties, "PolicyName").unwrap_or_default();
    Ok([("PolicyName".to_owned(), name), ("RoleName".to_owned(), role)].into())
}

async fn read_policy(calls: &Calls, identifier: &Identifier) -> Result<Option<Map<String, Value>>, ApiError> {
    let parameters = [
        ("RoleName", part(identifier, "RoleName").to_owned()),
        ("PolicyName", part(identifier, "PolicyName").to_owned()),
    ];
    let found = present(calls.query("iam", "GetRolePolicy", &parameters).await)?;
    Ok(found.map(|_| as_values(identifier)))
}

async fn delete_policy(calls: &Calls, existing: &Existing<'_>) -> Result<(), ApiError> {
    take_off(calls, part(existing.identifier, "RoleName"), part(existing.identifier, "PolicyName")).await
}
