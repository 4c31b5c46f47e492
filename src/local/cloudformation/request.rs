//! What a request says of a stack: its template, its parameters, its capabilities, its tags.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use super::CloudFormation;
use super::calls::{Calls, segment};
use super::model::{Settings, Stack, invalid};
use super::resources;
use crate::local::context::ports::ReadTemplate;
use crate::local::protocol::query::{Query, constraint};
use crate::local::protocol::wire::ApiError;

/// The longest template in a request, and in an object of S3 (quotas, "Template body size").
const LONGEST_IN_REQUEST: usize = 51_200;
const LONGEST_IN_S3: usize = 1_048_576;

/// The types that `CAPABILITY_IAM` is about, and the property that names one, which needs `CAPABILITY_NAMED_IAM`. (API reference,
/// `CreateStack`.)
const IAM: &[(&str, &str)] = &[
    ("AWS::IAM::AccessKey", ""),
    ("AWS::IAM::Group", "GroupName"),
    ("AWS::IAM::InstanceProfile", "InstanceProfileName"),
    ("AWS::IAM::ManagedPolicy", "ManagedPolicyName"),
    ("AWS::IAM::Policy", ""),
    ("AWS::IAM::Role", "RoleName"),
    ("AWS::IAM::RolePolicy", ""),
    ("AWS::IAM::User", "UserName"),
    ("AWS::IAM::UserToGroupAddition", ""),
];

/// A template and what is said beside it.
pub struct Proposal {
    pub body: String,
    pub template: ReadTemplate,
    pub settings: Settings,
}

/// What a request proposes for a stack; `previous` is the stack that there is.
///
/// # Errors
/// AWS's refusals of a template that cannot be read, of parameters that it does not have or that have no value, of capabilities that
/// are not given.
pub async fn proposal(
    service: &CloudFormation,
    calls: &Calls,
    query: &Query,
    previous: Option<&Stack>,
    is_change_set: bool,
) -> Result<Proposal, ApiError> {
    let body = body(calls, query, previous).await?;
    let mut given = BTreeMap::new();
    let mut kept = BTreeSet::new();
    for (key, value, keep) in parameters(query) {
        match value {
            _ if keep => drop(kept.insert(key)),
            value => drop(given.insert(key, value.unwrap_or_default())),
        }
    }
    let known = previous.map(|stack| stack.settings.parameters.clone()).unwrap_or_default();
    for key in &kept {
        match known.get(key) {
            Some(value) => drop(given.insert(key.clone(), value.clone())),
            None => {
                return Err(invalid(format!(
                    "Invalid input for parameter key {key}. Cannot specify usePreviousValue as true for a parameter key not in the previous template"
                )));
            }
        }
    }
    let template = service.read_template(&body, calls.region(), &given)?;
    refuse_unplayed(&template.processed)?;
    let parameters = with_defaults(&template.processed, given)?;
    let capabilities: Vec<String> = query.list("Capabilities").into_iter().map(str::to_owned).collect();
    check_capabilities(&template, &capabilities, is_change_set)?;
    let text = |name: &str| query.get(name).filter(|text| !text.is_empty()).map(str::to_owned);
    let old = previous.map(|stack| stack.settings.clone()).unwrap_or_default();
    let tags = query.tags("Tags");
    let settings = Settings {
        parameters,
        capabilities,
        tags: if tags.is_empty() { old.tags } else { tags.into_iter().collect() },
        role_arn: text("RoleARN").or(old.role_arn),
        notification_arns: query.list("NotificationARNs").into_iter().map(str::to_owned).collect(),
        disable_rollback: query.get("DisableRollback") == Some("true") || query.get("OnFailure") == Some("DO_NOTHING"),
        retain_except_on_create: query.get("RetainExceptOnCreate") == Some("true"),
    };
    Ok(Proposal { body, template, settings })
}

/// Refuses a template with resources of types that the local cloud has not, before any of it is made.
fn refuse_unplayed(processed: &Value) -> Result<(), ApiError> {
    let resources = processed["Resources"].as_object().into_iter().flatten();
    let types: BTreeSet<&str> = resources.map(|(_, resource)| resource["Type"].as_str().unwrap_or_default()).collect();
    types.into_iter().try_for_each(|name| resources::of(name).map(drop))
}

/// The text of the template that a request gives.
///
/// # Errors
/// AWS's refusals of a request without one, of one that is too long, of an address that is none of S3's.
pub async fn body(calls: &Calls, query: &Query, previous: Option<&Stack>) -> Result<String, ApiError> {
    if let Some(body) = query.get("TemplateBody") {
        if body.len() > LONGEST_IN_REQUEST {
            let rule = format!("Member must have length less than or equal to {LONGEST_IN_REQUEST}");
            return Err(constraint("Value at 'templateBody'", &rule));
        }
        return Ok(body.to_owned());
    }
    if query.get("UsePreviousTemplate") == Some("true")
        && let Some(stack) = previous
    {
        return Ok(stack.body.clone());
    }
    let Some(url) = query.get("TemplateURL") else {
        return Err(invalid("Either Template URL or Template Body must be specified."));
    };
    let text = object_text(calls, url, "TemplateURL").await?;
    if text.len() > LONGEST_IN_S3 {
        return Err(invalid(format!("Template may not exceed {LONGEST_IN_S3} bytes in size.")));
    }
    Ok(text)
}

/// The text of the object that a parameter of a request names by its address in S3.
///
/// # Errors
/// AWS's refusals of an address that is none of S3's, and of an object that cannot be read.
pub async fn object_text(calls: &Calls, url: &str, parameter: &str) -> Result<String, ApiError> {
    let (bucket, key) = object(url).ok_or_else(|| invalid(format!("{parameter} must be a supported URL.")))?;
    let path: Vec<String> = key.split('/').map(segment).collect();
    let found = calls.get("s3", &format!("/{bucket}/{}", path.join("/"))).await;
    let found = found.map_err(|error| invalid(format!("S3 error: {}", error.message)))?;
    String::from_utf8(found.to_vec()).map_err(|_| invalid(format!("{parameter}: the object is not UTF-8")))
}

/// Bucket and key of an object's address: with the bucket in the path, or before the host.
fn object(url: &str) -> Option<(String, String)> {
    let rest = url.strip_prefix("https://").or_else(|| url.strip_prefix("http://"))?;
    let (host, path) = rest.split_once('/')?;
    let path = path.split('?').next()?;
    let path = percent_encoding::percent_decode_str(path).decode_utf8().ok()?.into_owned();
    let before = host.split_once(".s3.").or_else(|| host.split_once(".s3-")).map(|(bucket, _)| bucket);
    match before {
        Some(bucket) => Some((bucket.to_owned(), path)),
        None => path.split_once('/').map(|(bucket, key)| (bucket.to_owned(), key.to_owned())),
    }
}

/// `Parameters.member.1.ParameterKey`, …: the key, its value, and whether it keeps the one that it has.
fn parameters(query: &Query) -> Vec<(String, Option<String>, bool)> {
    let member = |index: usize, name: &str| query.get(&format!("Parameters.member.{index}.{name}")).map(str::to_owned);
    let one = |index: usize| {
        let keeps = member(index, "UsePreviousValue").is_some_and(|keeps| keeps == "true");
        Some((member(index, "ParameterKey")?, member(index, "ParameterValue"), keeps))
    };
    (1..).map_while(one).collect()
}

/// The values of all parameters.
fn with_defaults(processed: &Value, mut given: BTreeMap<String, String>) -> Result<BTreeMap<String, String>, ApiError> {
    let declared = processed["Parameters"].as_object().cloned().unwrap_or_default();
    let unknown: Vec<&str> = given.keys().filter(|key| !declared.contains_key(*key)).map(String::as_str).collect();
    if !unknown.is_empty() {
        return Err(invalid(format!("Parameters: [{}] do not exist in the template", unknown.join(", "))));
    }
    let mut missing = Vec::new();
    for (name, parameter) in &declared {
        if !given.contains_key(name) {
            match &parameter["Default"] {
                Value::Null => missing.push(name.as_str()),
                Value::String(default) => drop(given.insert(name.clone(), default.clone())),
                Value::Array(items) => {
                    let items: Vec<String> = items.iter().map(shown).collect();
                    given.insert(name.clone(), items.join(","));
                }
                other => drop(given.insert(name.clone(), other.to_string())),
            }
        }
        let allowed = parameter["AllowedValues"].as_array();
        if let (Some(allowed), Some(value)) = (allowed, given.get(name))
            && !allowed.iter().any(|one| shown(one) == *value)
        {
            let allowed: Vec<String> = allowed.iter().map(shown).collect();
            return Err(invalid(format!("Parameter '{name}' must be one of AllowedValues: [{}]", allowed.join(", "))));
        }
    }
    if missing.is_empty() {
        return Ok(given);
    }
    Err(invalid(format!("Parameters: [{}] must have values", missing.join(", "))))
}

fn shown(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

/// The capabilities that a template needs, and the types that it needs them for.
pub fn needed_capabilities(template: &ReadTemplate) -> (Vec<&'static str>, Vec<String>) {
    let resources = template.processed["Resources"].as_object().cloned().unwrap_or_default();
    let mut types = BTreeSet::new();
    let mut is_named = false;
    for resource in resources.values() {
        let type_name = resource["Type"].as_str().unwrap_or_default();
        if let Some((_, name)) = IAM.iter().find(|(known, _)| *known == type_name) {
            types.insert(type_name.to_owned());
            is_named |= !name.is_empty() && !resource["Properties"][*name].is_null();
        }
    }
    let mut needed = Vec::new();
    if is_named {
        needed.push("CAPABILITY_NAMED_IAM");
    } else if !types.is_empty() {
        needed.push("CAPABILITY_IAM");
    }
    if !template.written["Transform"].is_null() {
        needed.push("CAPABILITY_AUTO_EXPAND");
    }
    (needed, types.into_iter().collect())
}

fn check_capabilities(template: &ReadTemplate, given: &[String], is_change_set: bool) -> Result<(), ApiError> {
    let has = |name: &str| given.iter().any(|one| one == name);
    let lacks = |needed: &&'static str| match *needed {
        "CAPABILITY_IAM" => !has("CAPABILITY_IAM") && !has("CAPABILITY_NAMED_IAM"),
        // A change set shows what the transforms have made before it is executed.
        "CAPABILITY_AUTO_EXPAND" => !is_change_set && !has("CAPABILITY_AUTO_EXPAND"),
        other => !has(other),
    };
    let missing: Vec<&str> = needed_capabilities(template).0.into_iter().filter(lacks).collect();
    if missing.is_empty() {
        return Ok(());
    }
    let message = format!("Requires capabilities : [{}]", missing.join(", "));
    Err(ApiError::new(400, "InsufficientCapabilitiesException", message))
}

/// A stack's name.
///
/// # Errors
/// AWS's refusals of a name that is none.
pub fn stack_name(query: &Query) -> Result<&str, ApiError> {
    let name = query.check_name("StackName", 128, "[a-zA-Z][-a-zA-Z0-9]*", |letter| {
        letter.is_ascii_alphanumeric() || letter == '-'
    })?;
    if name.starts_with(|letter: char| letter.is_ascii_alphabetic()) {
        return Ok(name);
    }
    Err(constraint(
        &format!("Value '{name}' at 'stackName'"),
        "Member must satisfy regular expression pattern: [a-zA-Z][-a-zA-Z0-9]*",
    ))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn objects_are_found_in_their_addresses() {
        for (url, expected) in [
            ("https://s3.eu-west-1.amazonaws.com/bucket/a/b.yaml", Some(("bucket", "a/b.yaml"))),
            ("https://bucket.s3.eu-west-1.amazonaws.com/a%20b", Some(("bucket", "a b"))),
            ("https://bucket.s3-eu-west-1.amazonaws.com/a", Some(("bucket", "a"))),
            ("http://localhost:4566/bucket/a?versionId=1", Some(("bucket", "a"))),
            ("ftp://x/y/z", None),
            ("https://host", None),
        ] {
            let expected = expected.map(|(bucket, key): (&str, &str)| (bucket.to_owned(), key.to_owned()));
            assert_eq!(object(url), expected, "{url}");
        }
    }

    #[test]
    fn parameters_have_values() {
        let processed = json!({ "Parameters": {
            "Stage": { "Type": "String", "AllowedValues": ["dev", "live"] }, "Size": { "Type": "Number", "Default": 3 },
        }});
        let values = |given: &[(&str, &str)]| {
            let given = given.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
            with_defaults(&processed, given).map_err(|error| error.message)
        };
        assert_eq!(values(&[("Stage", "dev")]).unwrap()["Size"], "3");
        for (given, expected) in [
            (vec![], "Parameters: [Stage] must have values"),
            (vec![("Stage", "dev"), ("Old", "x")], "Parameters: [Old] do not exist in the template"),
            (vec![("Stage", "x")], "Parameter 'Stage' must be one of AllowedValues: [dev, live]"),
        ] {
            assert_eq!(values(&given).unwrap_err(), expected);
        }
    }

    #[test]
    fn iam_and_transforms_need_capabilities() {
        let template = |resource: Value, transform: Value| ReadTemplate {
            written: json!({ "Transform": transform }),
            processed: json!({ "Resources": { "A": resource } }),
        };
        let role = json!({ "Type": "AWS::IAM::Role" });
        let named = json!({ "Type": "AWS::IAM::Role", "Properties": { "RoleName": "a" } });
        let sam = json!("AWS::Serverless-2016-10-31");
        for (template, given, is_change_set, expected) in [
            (template(role.clone(), Value::Null), vec![], false, Some("Requires capabilities : [CAPABILITY_IAM]")),
            (template(role.clone(), Value::Null), vec!["CAPABILITY_NAMED_IAM"], false, None),
            (
                template(named, Value::Null),
                vec!["CAPABILITY_IAM"],
                false,
                Some("Requires capabilities : [CAPABILITY_NAMED_IAM]"),
            ),
            (
                template(role.clone(), sam.clone()),
                vec!["CAPABILITY_IAM"],
                false,
                Some("Requires capabilities : [CAPABILITY_AUTO_EXPAND]"),
            ),
            (template(role, sam), vec!["CAPABILITY_IAM"], true, None),
            (template(json!({ "Type": "AWS::SNS::Topic" }), Value::Null), vec![], false, None),
        ] {
            let given: Vec<String> = given.into_iter().map(str::to_owned).collect();
            let refused = check_capabilities(&template, &given, is_change_set).err().map(|error| error.message);
            assert_eq!(refused.as_deref(), expected);
        }
    }
}
