//! Dynamic references: values of SSM and Secrets Manager that a template names, `{{resolve:ssm:/chat/origin}}`. (User guide,
//! "dynamic-references"; what AWS refuses, when and in which words, and which references an update reads again, was measured in a
//! real account: Terraform provider cfncompat, its live tests T6 to T9; ministack#1647.)
//!
//! A stack's resources keep the references, and beside them what they gave when the resource was last made or changed. An update
//! reads parameters again for every resource, and secrets for those whose properties or metadata have changed.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use super::calls::Calls;
use super::evaluate::{KNOWN_AFTER_APPLY, Scope};
use super::model::{LookedUp, Resource, invalid};
use crate::local::protocol::wire::ApiError;

pub const BEGIN: &str = "{{resolve:";
const END: &str = "}}";

/// What is looked up in outputs, too.
const IN_OUTPUTS: &str = "ssm:";

/// The properties that take secure parameters. (User guide, "Resources that support dynamic parameter patterns for secure strings".)
const SECURE: &[&str] = &[
    "AWS::DirectoryService::MicrosoftAD/Properties/Password",
    "AWS::DirectoryService::SimpleAD/Properties/Password",
    "AWS::ElastiCache::ReplicationGroup/Properties/AuthToken",
    "AWS::IAM::User/Properties/LoginProfile/Password",
    "AWS::KinesisFirehose::DeliveryStream/Properties/RedshiftDestinationConfiguration/Password",
    "AWS::OpsWorks::App/Properties/AppSource/Password",
    "AWS::OpsWorks::Stack/Properties/CustomCookbooksSource/Password",
    "AWS::OpsWorks::Stack/Properties/RdsDbInstances",
    "AWS::RDS::DBCluster/Properties/MasterUserPassword",
    "AWS::RDS::DBInstance/Properties/MasterUserPassword",
    "AWS::Redshift::Cluster/Properties/MasterUserPassword",
];

/// A reference in a resource, and where it stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Found {
    /// What stands between `{{resolve:` and `}}`.
    reference: String,
    /// As AWS writes it, down to the first list: `AWS::Lambda::Function/Properties/Environment/Variables/ORIGIN`.
    at: String,
}

/// The references in a text, in order.
fn in_text(text: &str) -> impl Iterator<Item = &str> {
    let all = text.split(BEGIN).skip(1).filter_map(|rest| rest.split_once(END));
    all.map(|(reference, _)| reference)
}

/// The references in a value.
pub fn references(value: &Value) -> BTreeSet<String> {
    let mut found = Vec::new();
    walk(value, "", &mut found);
    found.into_iter().map(|one| one.reference).collect()
}

fn walk(value: &Value, at: &str, found: &mut Vec<Found>) {
    match value {
        Value::String(text) => {
            found.extend(in_text(text).map(|reference| Found { reference: reference.to_owned(), at: at.to_owned() }));
        }
        // AWS names no place within a list.
        Value::Array(items) => {
            let mut inner = Vec::new();
            items.iter().for_each(|item| walk(item, at, &mut inner));
            found.extend(inner.into_iter().map(|one| Found { at: at.to_owned(), ..one }));
        }
        Value::Object(members) => {
            members.iter().for_each(|(name, member)| walk(member, &format!("{at}/{name}"), found));
        }
        _ => {}
    }
}

/// A value with what its references gave; others stay as they are.
pub fn filled(value: &Value, values: &LookedUp) -> Value {
    match value {
        Value::String(text) if text.contains(BEGIN) => {
            let mut out = String::new();
            let mut rest = text.as_str();
            while let Some((before, after)) = rest.split_once(BEGIN) {
                out.push_str(before);
                let found = after.split_once(END).and_then(|(reference, after)| Some((values.get(reference)?, after)));
                let (found, after) = found.map_or((BEGIN, after), |(found, after)| (found.as_str(), after));
                out.push_str(found);
                rest = after;
            }
            out.push_str(rest);
            out.into()
        }
        Value::Array(items) => items.iter().map(|item| filled(item, values)).collect(),
        Value::Object(members) => {
            Value::Object(members.iter().map(|(name, member)| (name.clone(), filled(member, values))).collect())
        }
        other => other.clone(),
    }
}

/// The properties of a resource as its service has them.
pub fn properties(resource: &Resource) -> Value {
    filled(&resource.properties, &resource.looked_up)
}

/// The references of a template, as far as they are known before anything is made.
pub fn of_template(scope: &Scope<'_>) -> Vec<Found> {
    let mut found = Vec::new();
    for resource in scope.processed["Resources"].as_object().into_iter().flatten().map(|(_, resource)| resource) {
        // What cannot be evaluated fails where it is made.
        if !scope.applies(resource).unwrap_or_default() {
            continue;
        }
        let Ok(properties) = scope.evaluate(&resource["Properties"]) else { continue };
        let type_name = resource["Type"].as_str().unwrap_or_default();
        walk(&properties, &format!("{type_name}/Properties"), &mut found);
    }
    for (name, output) in scope.processed["Outputs"].as_object().into_iter().flatten() {
        if let (Ok(true), Ok(Value::String(text))) = (scope.applies(output), scope.evaluate(&output["Value"])) {
            let read = in_text(&text).filter(|reference| reference.starts_with(IN_OUTPUTS));
            found.extend(read.map(|one| Found { reference: one.to_owned(), at: format!("Outputs/{name}/Value") }));
        }
    }
    let is_known = |one: &Found| !one.reference.contains(KNOWN_AFTER_APPLY.trim_end_matches(END));
    found.retain(is_known);
    found
}

/// Refuses what AWS refuses before it begins.
///
/// # Errors
/// Parameters that are not there or are secure, a version that is no number, a service that has no references.
pub async fn check(calls: &Calls, processed: &Value, found: &[Found]) -> Result<(), ApiError> {
    for (name, parameter) in processed["Parameters"].as_object().into_iter().flatten() {
        let mut references = in_text(parameter["Default"].as_str().unwrap_or_default());
        if references.any(|reference| parameter_of(reference).is_some_and(|one| one.version.is_none())) {
            return Err(invalid(format!(
                "Template error: parameter {name} should not contain ssm versionless resolver"
            )));
        }
    }
    let mut missing = Vec::new();
    for reference in found.iter().map(|one| one.reference.as_str()).collect::<BTreeSet<_>>() {
        let Some(parameter) = parameter_of(reference) else {
            if !is_of_secret(reference) {
                let service = reference.split(':').next().unwrap_or_default();
                return Err(invalid(format!(
                    "The local cloud's CloudFormation does not play dynamic references to {service}"
                )));
            }
            continue;
        };
        let is_number = |version: &str| !version.is_empty() && version.bytes().all(|byte| byte.is_ascii_digit());
        if parameter.name.is_empty() || !parameter.version.is_none_or(is_number) {
            let what = format!("Incorrect format is used in the following SSM reference: [{BEGIN}{reference}{END}]");
            return Err(invalid(what));
        }
        if !parameter.is_secure && read_parameter(calls, &parameter).await?.is_none() {
            missing.push(format!("ssm:{}", parameter.selected));
        }
    }
    if let Some(why) = unsupported(found, true) {
        return Err(invalid(why));
    }
    if missing.is_empty() { Ok(()) } else { Err(invalid(not_found(&missing))) }
}

/// Why secure parameters cannot be where they are: of those with a version AWS says so at once, else when it begins.
pub fn unsupported(found: &[Found], with_version: bool) -> Option<String> {
    let is_meant = |one: &&Found| {
        parameter_of(&one.reference).is_some_and(|parameter| {
            parameter.is_secure && parameter.version.is_some() == with_version && !SECURE.contains(&one.at.as_str())
        })
    };
    let places: Vec<&str> = found.iter().filter(is_meant).map(|one| one.at.as_str()).collect();
    (!places.is_empty()).then(|| format!("SSM Secure reference is not supported in: [{}]", places.join(",")))
}

/// What the references in a value give. Those of `kept` are not read again.
///
/// # Errors
/// Why one has no value, in AWS's words.
pub async fn look_up(calls: &Calls, value: &Value, kept: &LookedUp) -> Result<LookedUp, ApiError> {
    let mut values = LookedUp::new();
    for reference in references(value) {
        let found = match kept.get(&reference) {
            Some(found) => found.clone(),
            None => read(calls, &reference).await?,
        };
        values.insert(reference, found);
    }
    Ok(values)
}

/// Those of a resource's values that an update does not read again.
pub fn kept(values: &LookedUp, has_changed: bool) -> LookedUp {
    let is_kept = |reference: &str| !has_changed && is_of_secret(reference);
    values
        .iter()
        .filter(|(reference, _)| is_kept(reference))
        .map(|(name, found)| (name.clone(), found.clone()))
        .collect()
}

/// What the references to parameters in an output give. (Those to secrets stay as they are: measured, T9.)
///
/// # Errors
/// Why one has no value.
pub async fn of_output(calls: &Calls, text: &str) -> Result<String, ApiError> {
    let mut values = LookedUp::new();
    for reference in in_text(text).filter(|reference| reference.starts_with(IN_OUTPUTS)) {
        values.insert(reference.to_owned(), read(calls, reference).await?);
    }
    let out = filled(&text.into(), &values);
    Ok(out.as_str().unwrap_or_default().to_owned())
}

/// Whether parameters have other values than a stack's resources were given.
///
/// # Errors
/// A parameter that is gone.
pub async fn have_moved<'a>(calls: &Calls, all: impl Iterator<Item = &'a LookedUp>) -> Result<bool, ApiError> {
    let given: BTreeSet<(&String, &String)> = all.flatten().filter(|(one, _)| !is_of_secret(one)).collect();
    for (reference, found) in given {
        if read(calls, reference).await? != *found {
            return Ok(true);
        }
    }
    Ok(false)
}

/// A reference to a parameter.
struct Parameter<'a> {
    is_secure: bool,
    name: &'a str,
    version: Option<&'a str>,
    /// `NAME` or `NAME:VERSION`.
    selected: &'a str,
}

fn parameter_of(reference: &str) -> Option<Parameter<'_>> {
    let (service, selected) = reference.split_once(':')?;
    let is_secure = match service {
        "ssm" => false,
        "ssm-secure" => true,
        _ => return None,
    };
    // The name may be an ARN, which has colons of its own and no version.
    let (name, version) = match selected.split_once(':').filter(|_| !selected.starts_with("arn:")) {
        Some((name, version)) => (name, Some(version)),
        None => (selected, None),
    };
    Some(Parameter { is_secure, name, version, selected })
}

fn is_of_secret(reference: &str) -> bool {
    reference.starts_with("secretsmanager:")
}

async fn read(calls: &Calls, reference: &str) -> Result<String, ApiError> {
    match parameter_of(reference) {
        Some(parameter) => {
            read_parameter(calls, &parameter).await?.ok_or_else(|| invalid(not_found(&[reference.to_owned()])))
        }
        None => read_secret(calls, reference).await,
    }
}

fn not_found(parameters: &[String]) -> String {
    format!("Parameters: [{}] cannot be found.", parameters.join(", "))
}

/// The value of a parameter; `None` where it is not there.
async fn read_parameter(calls: &Calls, parameter: &Parameter<'_>) -> Result<Option<String>, ApiError> {
    let input = json!({ "Names": [parameter.selected], "WithDecryption": parameter.is_secure });
    let answer = calls.json("ssm", "GetParameters", &input).await.map_err(|error| invalid(error.message))?;
    let found = &answer["Parameters"][0];
    if found["Type"] == "SecureString" && !parameter.is_secure {
        return Err(invalid(format!("Non-secure ssm prefix was used for secure parameter {}", parameter.name)));
    }
    Ok(found["Value"].as_str().map(str::to_owned))
}

/// The value of a secret or of a key of its JSON: `secretsmanager:ID:SecretString:KEY:STAGE:VERSION`.
async fn read_secret(calls: &Calls, reference: &str) -> Result<String, ApiError> {
    let parts: Vec<&str> = reference.split(':').skip(1).collect();
    // An ARN has six colons of its own.
    let length = if parts.first() == Some(&"arn") { 7 } else { 1 };
    let (id, rest) = parts.split_at(length.min(parts.len()));
    let part = |index: usize| rest.get(index).copied().filter(|part| !part.is_empty());
    let mut input = json!({ "SecretId": id.join(":") });
    for (member, value) in [("VersionStage", part(2)), ("VersionId", part(3))] {
        if let Some(value) = value {
            input[member] = value.into();
        }
    }
    let answer = calls.json("secretsmanager", "GetSecretValue", &input).await?;
    let text = answer["SecretString"].as_str().unwrap_or_default();
    let Some(key) = part(1) else { return Ok(text.to_owned()) };
    let document: Value = serde_json::from_str(text).map_err(|_| invalid("Could not parse SecretString JSON"))?;
    match &document[key] {
        Value::Null => Err(invalid("Could not find a value associated with JSONKey in SecretString")),
        Value::String(text) => Ok(text.clone()),
        other => Ok(other.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn references_are_found_where_they_stand_and_filled() {
        let value = json!({
            "Environment": { "Variables": { "A": "x{{resolve:ssm:/a}}y{{resolve:ssm:/b:2}}", "B": "{{resolve:open" } },
            "Stages": [{ "Name": "{{resolve:ssm-secure:c}}" }],
        });
        let mut found = Vec::new();
        walk(&value, "T/Properties", &mut found);
        let found: Vec<(&str, &str)> = found.iter().map(|one| (one.reference.as_str(), one.at.as_str())).collect();
        assert_eq!(
            found,
            [
                ("ssm:/a", "T/Properties/Environment/Variables/A"),
                ("ssm:/b:2", "T/Properties/Environment/Variables/A"),
                ("ssm-secure:c", "T/Properties/Stages"),
            ]
        );
        let values: LookedUp =
            [("ssm:/a", "one"), ("ssm:/b:2", "two")].map(|(a, b)| (a.to_owned(), b.to_owned())).into();
        let filled = filled(&value, &values);
        assert_eq!(filled["Environment"]["Variables"], json!({ "A": "xoneytwo", "B": "{{resolve:open" }));
        assert_eq!(filled["Stages"], value["Stages"]);
        // A value that looks like a reference is none.
        let values: LookedUp =
            [("ssm:/a", "{{resolve:ssm:/b}}"), ("ssm:/b", "two")].map(|(a, b)| (a.to_owned(), b.to_owned())).into();
        let text = json!("{{resolve:ssm:/b}} {{resolve:ssm:/a}}");
        assert_eq!(super::filled(&text, &values), "two {{resolve:ssm:/b}}");
    }

    #[test]
    fn secure_parameters_are_for_some_properties_alone() {
        let found = |reference: &str, at: &str| Found { reference: reference.to_owned(), at: at.to_owned() };
        let all = [
            found("ssm-secure:a:1", "AWS::Lambda::Function/Properties/Environment/Variables/A"),
            found("ssm-secure:a", "AWS::SSM::Parameter/Properties/Value"),
            found("ssm-secure:a:1", "AWS::RDS::DBInstance/Properties/MasterUserPassword"),
            found("ssm:a:1", "AWS::SSM::Parameter/Properties/Value"),
        ];
        for (with_version, place) in [(true, &all[0].at), (false, &all[1].at)] {
            let expected = format!("SSM Secure reference is not supported in: [{place}]");
            assert_eq!(unsupported(&all, with_version), Some(expected));
        }
    }
}
