//! The permissions to look up what a template needs from outside of it, and to record that and what it exports.

use crate::core::plan::{Action, Plan};
use crate::core::stack::lookups::{is_public_parameter, texts};
use crate::core::stack::{Lookup, Stack};
use crate::core::types::iam_permissions::{Permissions, apis};
use crate::core::types::tags::{is_export, is_import};
use crate::core::words::{Scope, Token};

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
            Lookup::Secret { id, .. } => {
                secret(id, scope)
                    .into_iter()
                    .for_each(|arn| permissions.allow("secretsmanager", &["GetSecretValue"], arn));
            }
        }
    }
    // What the stack itself makes is read by the steps that need it.
    for reference in stack.resources.values().flat_map(|resource| texts(&resource.properties)) {
        match Lookup::read(&reference) {
            // A secret of the stack's own has no ARN before it is made.
            Ok(Lookup::Secret { id, .. }) if Token::is_in(&id) => {
                permissions.allow("secretsmanager", &["GetSecretValue"], scope.arn("secretsmanager", "secret:*"));
            }
            Ok(Lookup::Secret { id, .. }) => {
                secret(&id, scope)
                    .into_iter()
                    .for_each(|arn| permissions.allow("secretsmanager", &["GetSecretValue"], arn));
            }
            Ok(Lookup::Parameter { name, .. }) => permissions.allow("ssm", &["GetParameters"], parameter(&name, scope)),
            Ok(Lookup::Export { .. }) | Err(_) => {}
        }
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

/// Adds the permissions to take back exports and imports that are recorded on what stays: the template may have dropped the last.
pub fn permissions_to_withdraw(plan: &Plan, scope: &Scope, permissions: &mut Permissions) {
    for step in plan.steps.iter().filter(|step| step.action != Action::Delete) {
        let Some((live, kind)) = step.live.as_ref().zip(step.kind()) else { continue };
        if live.attributes.keys().any(|key| is_export(key) || is_import(key)) {
            kind.permissions_to_record(scope, Some(&live.physical_id), permissions);
        }
    }
}

/// AWS's public parameters belong to no account (Systems Manager user guide, "Working with public parameters").
fn parameter(name: &str, scope: &Scope) -> String {
    if name.starts_with("arn:") {
        return name.to_owned();
    }
    let name = name.split(':').next().unwrap_or_default();
    let account = if is_public_parameter(name) { "" } else { scope.account.as_str() };
    let path = name.trim_start_matches('/');
    format!("arn:{}:ssm:{}:{account}:parameter/{path}", scope.partition, scope.region)
}

/// The ARNs that a secret may have: its own ends in six characters that neither its name nor a partial ARN tells, and the name may
/// end like that, too. (Secrets Manager user guide, "Secret ARN".)
fn secret(id: &str, scope: &Scope) -> Vec<String> {
    let arn = if id.starts_with("arn:") { id.to_owned() } else { scope.arn("secretsmanager", &format!("secret:{id}")) };
    let is_whole = id.starts_with("arn:")
        && id
            .rsplit_once('-')
            .is_some_and(|(_, end)| end.len() == 6 && end.bytes().all(|byte| byte.is_ascii_alphanumeric()));
    let with_end = format!("{arn}-??????");
    if is_whole { vec![arn, with_end] } else { vec![with_end] }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn scope() -> Scope {
        Scope {
            stack: "chat".to_owned(),
            account: "123456789012".to_owned(),
            region: "eu-west-1".to_owned(),
            partition: "aws".to_owned(),
        }
    }

    #[test]
    fn public_parameters_belong_to_no_account() {
        let private = "arn:aws:ssm:eu-west-1:123456789012:parameter";
        for (name, arn) in [
            ("/chat/origin", format!("{private}/chat/origin")),
            ("/chat/origin:3", format!("{private}/chat/origin")),
            ("origin", format!("{private}/origin")),
            ("/aws/service/ami/x", "arn:aws:ssm:eu-west-1::parameter/aws/service/ami/x".to_owned()),
            // A secret, as the account's own Parameter Store shows it.
            ("/aws/reference/secretsmanager/chat", format!("{private}/aws/reference/secretsmanager/chat")),
        ] {
            assert_eq!(parameter(name, &scope()), arn);
        }
    }

    #[test]
    fn a_secret_is_allowed_by_its_whole_arn() {
        let arn = "arn:aws:secretsmanager:eu-west-1:123456789012:secret:";
        let cases: [(&str, &[&str]); 4] = [
            ("chat", &["chat-??????"]),
            (&format!("{arn}chat"), &["chat-??????"]),
            (&format!("{arn}chat-a1B2c3"), &["chat-a1B2c3", "chat-a1B2c3-??????"]),
            // A name: its end tells nothing.
            ("my-secret", &["my-secret-??????"]),
        ];
        for (id, ends) in cases {
            let expected: Vec<String> = ends.iter().map(|end| format!("{arn}{end}")).collect();
            assert_eq!(secret(id, &scope()), expected, "{id}");
        }
    }
}
