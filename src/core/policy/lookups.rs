//! The permissions to look up what a template needs from outside of it, and to record that and what it exports.

use crate::core::plan::{Action, Plan};
use crate::core::stack::lookups::is_dynamic;
use crate::core::stack::{Lookup, Stack};
use crate::core::types::iam_permissions::{Permissions, apis};
use crate::core::types::tags::{is_export, is_import};
use crate::core::words::Scope;

/// Adds the permissions to read what `stack` was made with.
pub fn permissions(stack: &Stack, permissions: &mut Permissions) {
    let scope = &stack.scope;
    for lookup in &stack.lookups {
        match lookup {
            Lookup::Export { .. } => {
                permissions.allow("cloudformation", &["ListExports"], "*");
                permissions.allow("tag", &["GetResources"], "*");
                permissions.allow("apigateway", &["GET"], apis(scope));
            }
            // Of one with a key of the customer's, the key's policy must let the caller decrypt.
            Lookup::Parameter { name, .. } => permissions.allow("ssm", &["GetParameters"], parameter(name, scope)),
            Lookup::Secret { id, .. } => permissions.allow("secretsmanager", &["GetSecretValue"], secret(id, scope)),
        }
    }
    // A secret of the stack's own has no ARN before it is made.
    let own = stack.resources.values().any(|resource| {
        is_dynamic(&resource.properties) && resource.properties.to_string().contains("{{resolve:secretsmanager:")
    });
    if own {
        permissions.allow("secretsmanager", &["GetSecretValue"], scope.arn("secretsmanager", "secret:*"));
    }
}

/// Adds the permissions to write the stack's exports and imports into tags.
pub fn permissions_to_export(stack: &Stack, plan: &Plan, permissions: &mut Permissions) {
    let imports = stack.lookups.iter().any(|lookup| matches!(lookup, Lookup::Export { .. }));
    if !imports && stack.outputs.values().all(|output| output.export.is_none()) {
        return;
    }
    for resource in stack.resources.values().filter(|resource| resource.kind.keeps_records()) {
        let step = plan.steps.iter().find(|step| step.name == resource.logical_id);
        let id = step.and_then(|step| step.physical_id.as_deref()).or(resource.name.as_deref());
        resource.kind.permissions_to_record(&stack.scope, id, permissions);
    }
}

/// Adds the permissions to take back exports that are recorded on what the plan retains.
pub fn permissions_to_withdraw(plan: &Plan, scope: &Scope, permissions: &mut Permissions) {
    for step in plan.steps.iter().filter(|step| step.action == Action::Retain) {
        let Some((live, kind)) = step.live.as_ref().zip(step.kind()) else { continue };
        if live.attributes.keys().any(|key| is_export(key) || is_import(key)) {
            kind.permissions_to_record(scope, Some(&live.physical_id), permissions);
        }
    }
}

fn parameter(name: &str, scope: &Scope) -> String {
    if name.starts_with("arn:") {
        return name.to_owned();
    }
    let name = name.split(':').next().unwrap_or_default();
    scope.arn("ssm", &format!("parameter/{}", name.trim_start_matches('/')))
}

/// The ARN of a secret ends in six characters that its name does not tell.
fn secret(id: &str, scope: &Scope) -> String {
    if id.starts_with("arn:") { id.to_owned() } else { scope.arn("secretsmanager", &format!("secret:{id}-??????")) }
}
