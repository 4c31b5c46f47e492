//! What REST and HTTP APIs share of how the functions' events write their documents.

use serde_json::{Value, json};

use super::super::{Resource, intrinsics};
use super::events::{Event, Target};
use super::expansion::Expansion;
use crate::core::words::{Problem, ProblemKind};

/// API Gateway's name for all methods of a path.
pub const ANY_METHOD: &str = "x-amazon-apigateway-any-method";

/// `GET` as a document has it.
pub fn normalized(method: &str) -> String {
    match method.to_ascii_lowercase().as_str() {
        "any" => ANY_METHOD.to_owned(),
        method => method.to_owned(),
    }
}

/// The permissions for an API to invoke those authorizers of its `Auth` that are `wanted` to have one. `partition` is as it stands in
/// their source.
pub fn authorizer_permissions(
    expansion: &mut Expansion<'_>,
    partition: &str,
    wanted: impl Fn(&Value) -> bool,
) -> Vec<(String, Resource)> {
    let authorizers = expansion.given("Auth").and_then(|auth| auth.get("Authorizers")).and_then(Value::as_object);
    let mut made = Vec::new();
    for (name, authorizer) in authorizers.into_iter().flatten().filter(|(_, authorizer)| wanted(authorizer)) {
        let source = json!({ "Fn::Sub": [
            format!("arn:{partition}:execute-api:${{AWS::Region}}:${{AWS::AccountId}}:${{__ApiId__}}/authorizers/*"),
            { "__ApiId__": { "Ref": expansion.logical_id } },
        ] });
        let permission = json!({
            "Action": "lambda:InvokeFunction",
            "FunctionName": authorizer["FunctionArn"],
            "Principal": "apigateway.amazonaws.com",
            "SourceArn": source,
        });
        let id = format!("{}{name}AuthorizerPermission", expansion.logical_id);
        made.push((id.clone(), expansion.extra_resource(Some("Auth"), &id, "AWS::Lambda::Permission", permission)));
    }
    made
}

/// `path` as it stands in what a permission is for: `*` for each parameter that `is_parameter`, no slash at the end.
pub fn permitted_path(path: &str, is_parameter: fn(&str) -> bool) -> String {
    let mut rest = path.strip_suffix('/').filter(|path| !path.is_empty()).unwrap_or(path);
    let mut permitted = String::new();
    while let Some((before, after)) = rest.split_once('{') {
        permitted.push_str(before);
        rest = match after.split_once('}') {
            Some((name, after)) if is_parameter(name) => {
                permitted.push('*');
                after
            }
            _ => {
                permitted.push('{');
                after
            }
        };
    }
    permitted + rest
}

/// Whether `name` is what SAM takes for the name of a path's parameter.
pub fn is_name(name: &str) -> bool {
    !name.is_empty() && name.chars().all(|letter| letter.is_ascii_alphanumeric() || "._-".contains(letter))
}

/// What invokes `target`, in the form of an integration.
pub fn integration_uri(partition: &str, target: &Target, streams: bool) -> Value {
    let (version, call) = match streams {
        true => ("2021-11-15", "response-streaming-invocations"),
        false => ("2015-03-31", "invocations"),
    };
    let called = match target.arn.get("Ref").and_then(Value::as_str) {
        Some(alias) => alias.to_owned(),
        None => format!("{}.Arn", target.id),
    };
    json!({ "Fn::Sub": format!(
        "arn:{partition}:apigateway:${{AWS::Region}}:lambda:path/{version}/functions/${{{called}}}/{call}"
    ) })
}

/// The logical id of the API that `event` is of, which the property `name` refers to: one of the `types`.
pub fn api_of(expansion: &mut Expansion<'_>, event: &Event, name: &str, types: &[&str]) -> Option<String> {
    let given = event.get(name)?;
    let id = given.get("Ref").unwrap_or(given).as_str();
    let resource = id.and_then(|id| expansion.template.resources.get(id));
    if let (Some(id), Some(resource)) = (id, resource)
        && types.contains(&resource.type_name.as_str())
    {
        return Some(id.to_owned());
    }
    if !id.is_some_and(|id| expansion.template.is_broken(id)) {
        let what = format!("{name} must be a valid reference to an '{}' resource in same template", types[0]);
        expansion.report(Problem::new(event.place(name), what).kind(ProblemKind::BadReference));
    }
    None
}

/// Refuses an event of a function that may not exist: its path would have to be under the same condition.
pub fn refuse_condition(expansion: &mut Expansion<'_>, event: &Event) -> bool {
    let conditional = expansion.resource.condition.is_some();
    if conditional {
        let what =
            format!("events of the type {} of a function with a Condition are not supported yet", event.kind.name);
        expansion.report(Problem::of_key(event.path.clone(), what).kind(ProblemKind::Unsupported));
    }
    conditional
}

/// Whether `value` is a call, which cannot be looked into.
pub fn is_call(value: &Value) -> bool {
    intrinsics::call(value).is_some()
}
