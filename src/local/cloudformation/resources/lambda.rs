//! Functions and what belongs to them.

use std::io::{Cursor, Write};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::Method;
use serde_json::{Map, Value, json};
use zip::ZipWriter;
use zip::write::SimpleFileOptions;

use super::{Declared, Existing, Identifier, Type, changed, own_tags, part, present, single, text, until, without};
use crate::local::cloudformation::calls::{Calls, segment};
use crate::local::cloudformation::model::invalid;
use crate::local::context::CloudContext;
use crate::local::protocol::wire::ApiError;

pub const TYPES: &[Type] = &[
    Type {
        name: "AWS::Lambda::Function",
        identifier: &["FunctionName"],
        reference: "FunctionName",
        importable: true,
        create: |calls, declared| Box::pin(create_function(calls, declared)),
        read: |calls, _, identifier| Box::pin(read_function(calls, identifier)),
        delete: |calls, existing| Box::pin(delete_function(calls, existing)),
        arn: |_, _, values| values.get("Arn").and_then(Value::as_str).map(str::to_owned),
    },
    Type {
        name: "AWS::Lambda::Permission",
        identifier: &["FunctionName", "Id"],
        reference: "Id",
        importable: true,
        create: |calls, declared| Box::pin(create_permission(calls, declared)),
        read: |calls, _, identifier| Box::pin(read_permission(calls, identifier)),
        delete: |calls, existing| Box::pin(delete_permission(calls, existing)),
        arn: |_, _, _| None,
    },
    Type {
        name: "AWS::Lambda::Version",
        identifier: &["FunctionArn"],
        reference: "FunctionArn",
        importable: true,
        create: |calls, declared| Box::pin(create_version(calls, declared)),
        read: |calls, _, identifier| Box::pin(read_version(calls, identifier)),
        delete: |calls, existing| Box::pin(delete_version(calls, existing)),
        arn: |_, _, _| None,
    },
    Type {
        name: "AWS::Lambda::Alias",
        identifier: &["AliasArn"],
        reference: "AliasArn",
        importable: true,
        create: |calls, declared| Box::pin(create_alias(calls, declared)),
        read: |calls, _, identifier| Box::pin(read_alias(calls, identifier)),
        delete: |calls, existing| Box::pin(delete_alias(calls, existing)),
        arn: |_, _, _| None,
    },
    Type {
        name: "AWS::Lambda::EventSourceMapping",
        identifier: &["Id"],
        reference: "Id",
        importable: true,
        create: |calls, declared| Box::pin(create_mapping(calls, declared)),
        read: |calls, _, identifier| Box::pin(read_mapping(calls, identifier)),
        delete: |calls, existing| Box::pin(delete_mapping(calls, existing)),
        arn: |calls, identifier, _| {
            let mapping = format!("event-source-mapping:{}", part(identifier, "Id"));
            Some(CloudContext::arn("lambda", calls.region(), &mapping))
        },
    },
    Type {
        name: "AWS::Lambda::LayerVersion",
        identifier: &["LayerVersionArn"],
        reference: "LayerVersionArn",
        importable: true,
        create: |calls, declared| Box::pin(create_layer(calls, declared)),
        read: |calls, _, identifier| Box::pin(read_layer(calls, identifier)),
        delete: |calls, existing| Box::pin(delete_layer(calls, existing)),
        arn: |_, _, _| None,
    },
    Type {
        name: "AWS::Lambda::EventInvokeConfig",
        identifier: &["FunctionName", "Qualifier"],
        reference: "FunctionName",
        importable: true,
        create: |calls, declared| Box::pin(put_invoke_config(calls, declared)),
        read: |calls, _, identifier| Box::pin(read_invoke_config(calls, identifier)),
        delete: |calls, existing| Box::pin(delete_invoke_config(calls, existing)),
        arn: |_, _, _| None,
    },
];

const FUNCTIONS: &str = "/2015-03-31/functions";
const MAPPINGS: &str = "/2015-03-31/event-source-mappings";

/// What AWS says while it cannot assume a role that was just made.
const NOT_ASSUMABLE: &str = "cannot be assumed by Lambda";

/// The properties of a function that calls of their own set.
const LATER: &[&str] = &["Code", "RecursiveLoop", "ReservedConcurrentExecutions", "RuntimeManagementConfig", "Tags"];

async fn create_function(calls: &Calls, declared: &Declared<'_>) -> Result<Identifier, ApiError> {
    let properties = declared.properties;
    let name = text(properties, "FunctionName").unwrap_or_else(|| declared.name.to_owned());
    let mut input = without(properties, LATER);
    input["FunctionName"] = name.as_str().into();
    input["Code"] = code(properties)?;
    if !properties["Tags"].is_null() {
        input["Tags"] = own_tags(properties).into();
    }
    until(&name, || async {
        match calls.rest("lambda", Method::POST, FUNCTIONS, Some(&input)).await {
            Ok(_) => Ok(Some(())),
            Err(error) if error.message.contains(NOT_ASSUMABLE) => Ok(None),
            Err(error) => Err(error),
        }
    })
    .await?;
    let path = format!("{FUNCTIONS}/{}", segment(&name));
    until(&name, || async {
        let found = calls.rest("lambda", Method::GET, &format!("{path}/configuration"), None).await?;
        match found["State"].as_str() {
            Some("Pending") => Ok(None),
            Some("Failed") => Err(invalid(found["StateReason"].as_str().unwrap_or_default())),
            _ => Ok(Some(())),
        }
    })
    .await?;
    if !properties["ReservedConcurrentExecutions"].is_null() {
        let body = json!({ "ReservedConcurrentExecutions": properties["ReservedConcurrentExecutions"] });
        let path = format!("/2017-10-31/functions/{}/concurrency", segment(&name));
        calls.rest("lambda", Method::PUT, &path, Some(&body)).await?;
    }
    if !properties["RecursiveLoop"].is_null() {
        let path = format!("/2024-08-31/functions/{}/recursion-config", segment(&name));
        let body = json!({ "RecursiveLoop": properties["RecursiveLoop"] });
        calls.rest("lambda", Method::PUT, &path, Some(&body)).await?;
    }
    Ok(single("FunctionName", name))
}

/// Where a function's code comes from: an object of S3, or one file with the text in the template, `index` with the runtime's ending.
/// (Template reference, "AWS::Lambda::Function Code".)
fn code(properties: &Value) -> Result<Value, ApiError> {
    let code = &properties["Code"];
    let Some(source) = code["ZipFile"].as_str() else { return Ok(code.clone()) };
    let is_python = properties["Runtime"].as_str().is_some_and(|runtime| runtime.starts_with("python"));
    let archive = archive(if is_python { "index.py" } else { "index.js" }, source.as_bytes())?;
    Ok(json!({ "ZipFile": STANDARD.encode(archive) }))
}

fn archive(name: &str, content: &[u8]) -> Result<Vec<u8>, ApiError> {
    let failed = |error: String| ApiError::new(500, "InternalFailure", error);
    let mut writer = ZipWriter::new(Cursor::new(Vec::new()));
    writer.start_file(name, SimpleFileOptions::default()).map_err(|error| failed(error.to_string()))?;
    writer.write_all(content).map_err(|error| failed(error.to_string()))?;
    Ok(writer.finish().map_err(|error| failed(error.to_string()))?.into_inner())
}

async fn read_function(calls: &Calls, identifier: &Identifier) -> Result<Option<Map<String, Value>>, ApiError> {
    let path = format!("{FUNCTIONS}/{}", segment(part(identifier, "FunctionName")));
    let Some(found) = present(calls.rest("lambda", Method::GET, &path, None).await)? else { return Ok(None) };
    Ok(Some(chosen(&found["Configuration"], &[("Arn", "FunctionArn"), ("FunctionName", "FunctionName")])))
}

/// Members of an answer, by the names of attributes.
fn chosen(answer: &Value, names: &[(&str, &str)]) -> Map<String, Value> {
    names.iter().map(|(name, member)| ((*name).to_owned(), answer[*member].clone())).collect()
}

async fn delete_function(calls: &Calls, existing: &Existing<'_>) -> Result<(), ApiError> {
    let path = format!("{FUNCTIONS}/{}", segment(part(existing.identifier, "FunctionName")));
    calls.rest("lambda", Method::DELETE, &path, None).await.map(drop)
}

/// What `UpdateFunctionConfiguration` sets where a template does not say it any more. (Lambda API reference: what is absent stays.)
fn unset(property: &str) -> Value {
    match property {
        "Description" => "".into(),
        "Environment" => json!({ "Variables": {} }),
        "Layers" => json!([]),
        "MemorySize" => 128.into(),
        "Timeout" => 3.into(),
        _ => Value::Null,
    }
}

/// Gives a function other code and another configuration.
///
/// # Errors
/// Lambda's refusal.
pub async fn update_function(calls: &Calls, existing: &Existing<'_>, new: &Value) -> Result<(), ApiError> {
    let path = format!("{FUNCTIONS}/{}", segment(part(existing.identifier, "FunctionName")));
    let mut changed = changed(existing.properties, new);
    let reserved = changed.remove("ReservedConcurrentExecutions");
    if changed.remove("Code").is_some() {
        let mut input = code(new)?;
        if !new["Architectures"].is_null() {
            input["Architectures"] = new["Architectures"].clone();
        }
        calls.rest("lambda", Method::PUT, &format!("{path}/code"), Some(&input)).await?;
        updated(calls, &path).await?;
    }
    if !changed.is_empty() {
        let value = |(name, value): (String, Value)| (name.clone(), if value.is_null() { unset(&name) } else { value });
        let input: Value = changed.into_iter().map(value).collect::<Map<_, _>>().into();
        calls.rest("lambda", Method::PUT, &format!("{path}/configuration"), Some(&input)).await?;
        updated(calls, &path).await?;
    }
    let concurrency = format!("/2017-10-31{}/concurrency", path.trim_start_matches("/2015-03-31"));
    match reserved {
        None => Ok(()),
        Some(Value::Null) => calls.rest("lambda", Method::DELETE, &concurrency, None).await.map(drop),
        Some(reserved) => {
            let body = json!({ "ReservedConcurrentExecutions": reserved });
            calls.rest("lambda", Method::PUT, &concurrency, Some(&body)).await.map(drop)
        }
    }
}

/// Waits until an update of a function is done.
async fn updated(calls: &Calls, path: &str) -> Result<(), ApiError> {
    until(path, || async {
        let found = calls.rest("lambda", Method::GET, &format!("{path}/configuration"), None).await?;
        match found["LastUpdateStatus"].as_str() {
            Some("InProgress") => Ok(None),
            Some("Failed") => Err(invalid(found["LastUpdateStatusReason"].as_str().unwrap_or_default())),
            _ => Ok(Some(())),
        }
    })
    .await
}

async fn create_permission(calls: &Calls, declared: &Declared<'_>) -> Result<Identifier, ApiError> {
    let function = text(declared.properties, "FunctionName").unwrap_or_default();
    let mut input = without(declared.properties, &["FunctionName"]);
    input["StatementId"] = declared.name.into();
    calls.rest("lambda", Method::POST, &format!("{FUNCTIONS}/{}/policy", segment(&function)), Some(&input)).await?;
    Ok([("FunctionName".to_owned(), function), ("Id".to_owned(), declared.name.to_owned())].into())
}

async fn read_permission(calls: &Calls, identifier: &Identifier) -> Result<Option<Map<String, Value>>, ApiError> {
    let path = format!("{FUNCTIONS}/{}/policy", segment(part(identifier, "FunctionName")));
    let Some(found) = present(calls.rest("lambda", Method::GET, &path, None).await)? else { return Ok(None) };
    let policy: Value = serde_json::from_str(found["Policy"].as_str().unwrap_or_default()).unwrap_or_default();
    let mut statements = policy["Statement"].as_array().into_iter().flatten();
    let is_there = statements.any(|one| one["Sid"] == part(identifier, "Id"));
    Ok(is_there.then(|| [("Id".to_owned(), part(identifier, "Id").into())].into_iter().collect()))
}

async fn delete_permission(calls: &Calls, existing: &Existing<'_>) -> Result<(), ApiError> {
    let (function, id) = (part(existing.identifier, "FunctionName"), part(existing.identifier, "Id"));
    let path = format!("{FUNCTIONS}/{}/policy/{}", segment(function), segment(id));
    calls.rest("lambda", Method::DELETE, &path, None).await.map(drop)
}

/// A function's ARN, and what stands behind it: a version or an alias.
fn qualified(arn: &str) -> (&str, &str) {
    arn.rsplit_once(':').unwrap_or((arn, ""))
}

async fn create_version(calls: &Calls, declared: &Declared<'_>) -> Result<Identifier, ApiError> {
    let function = text(declared.properties, "FunctionName").unwrap_or_default();
    let body = without(declared.properties, &["FunctionName", "FunctionScalingConfig", "ProvisionedConcurrencyConfig"]);
    let path = format!("{FUNCTIONS}/{}/versions", segment(&function));
    let made = calls.rest("lambda", Method::POST, &path, Some(&body)).await?;
    let arn = made["FunctionArn"].as_str().unwrap_or_default();
    provision(calls, declared.properties, arn).await?;
    Ok(single("FunctionArn", arn))
}

/// Sets the provisioned concurrency of a version or an alias, if it has some.
async fn provision(calls: &Calls, properties: &Value, arn: &str) -> Result<(), ApiError> {
    let config = &properties["ProvisionedConcurrencyConfig"];
    if config.is_null() {
        return Ok(());
    }
    let (function, qualifier) = qualified(arn);
    let path =
        format!("/2019-09-30/functions/{}/provisioned-concurrency?Qualifier={}", segment(function), segment(qualifier));
    calls.rest("lambda", Method::PUT, &path, Some(config)).await.map(drop)
}

async fn read_version(calls: &Calls, identifier: &Identifier) -> Result<Option<Map<String, Value>>, ApiError> {
    let (function, version) = qualified(part(identifier, "FunctionArn"));
    let path = format!("{FUNCTIONS}/{}/configuration?Qualifier={}", segment(function), segment(version));
    let found = present(calls.rest("lambda", Method::GET, &path, None).await)?;
    Ok(found.map(|found| chosen(&found, &[("FunctionArn", "FunctionArn"), ("Version", "Version")])))
}

async fn delete_version(calls: &Calls, existing: &Existing<'_>) -> Result<(), ApiError> {
    let (function, version) = qualified(part(existing.identifier, "FunctionArn"));
    let path = format!("{FUNCTIONS}/{}?Qualifier={}", segment(function), segment(version));
    calls.rest("lambda", Method::DELETE, &path, None).await.map(drop)
}

async fn create_alias(calls: &Calls, declared: &Declared<'_>) -> Result<Identifier, ApiError> {
    let function = text(declared.properties, "FunctionName").unwrap_or_default();
    let body = without(declared.properties, &["FunctionName", "ProvisionedConcurrencyConfig"]);
    let made =
        calls.rest("lambda", Method::POST, &format!("{FUNCTIONS}/{}/aliases", segment(&function)), Some(&body)).await?;
    let arn = made["AliasArn"].as_str().unwrap_or_default();
    provision(calls, declared.properties, arn).await?;
    Ok(single("AliasArn", arn))
}

fn alias_path(identifier: &Identifier) -> String {
    let (function, alias) = qualified(part(identifier, "AliasArn"));
    format!("{FUNCTIONS}/{}/aliases/{}", segment(function), segment(alias))
}

async fn read_alias(calls: &Calls, identifier: &Identifier) -> Result<Option<Map<String, Value>>, ApiError> {
    let found = present(calls.rest("lambda", Method::GET, &alias_path(identifier), None).await)?;
    Ok(found.map(|found| chosen(&found, &[("AliasArn", "AliasArn")])))
}

async fn delete_alias(calls: &Calls, existing: &Existing<'_>) -> Result<(), ApiError> {
    calls.rest("lambda", Method::DELETE, &alias_path(existing.identifier), None).await.map(drop)
}

async fn create_mapping(calls: &Calls, declared: &Declared<'_>) -> Result<Identifier, ApiError> {
    let mut input = without(declared.properties, &["Tags"]);
    if !declared.properties["Tags"].is_null() {
        input["Tags"] = own_tags(declared.properties).into();
    }
    let made = calls.rest("lambda", Method::POST, MAPPINGS, Some(&input)).await?;
    let id = made["UUID"].as_str().unwrap_or_default();
    until(id, || async {
        let found = calls.rest("lambda", Method::GET, &format!("{MAPPINGS}/{id}"), None).await?;
        Ok((found["State"] != "Creating").then_some(()))
    })
    .await?;
    Ok(single("Id", id))
}

async fn read_mapping(calls: &Calls, identifier: &Identifier) -> Result<Option<Map<String, Value>>, ApiError> {
    let path = format!("{MAPPINGS}/{}", part(identifier, "Id"));
    let found = present(calls.rest("lambda", Method::GET, &path, None).await)?;
    Ok(found.map(|found| chosen(&found, &[("Id", "UUID"), ("EventSourceMappingArn", "EventSourceMappingArn")])))
}

async fn delete_mapping(calls: &Calls, existing: &Existing<'_>) -> Result<(), ApiError> {
    let path = format!("{MAPPINGS}/{}", part(existing.identifier, "Id"));
    calls.rest("lambda", Method::DELETE, &path, None).await?;
    until(&path, || async { Ok(read_mapping(calls, existing.identifier).await?.is_none().then_some(())) }).await
}

/// The name and the version in a layer version's ARN.
fn layer_path(arn: &str) -> String {
    let (layer, version) = qualified(arn);
    let name = layer.rsplit(':').next().unwrap_or_default();
    format!("/2018-10-31/layers/{}/versions/{version}", segment(name))
}

async fn create_layer(calls: &Calls, declared: &Declared<'_>) -> Result<Identifier, ApiError> {
    let properties = declared.properties;
    let name = text(properties, "LayerName").unwrap_or_else(|| declared.name.to_owned());
    let input = without(properties, &["LayerName"]);
    let path = format!("/2018-10-31/layers/{}/versions", segment(&name));
    let made = calls.rest("lambda", Method::POST, &path, Some(&input)).await?;
    Ok(single("LayerVersionArn", made["LayerVersionArn"].as_str().unwrap_or_default()))
}

async fn read_layer(calls: &Calls, identifier: &Identifier) -> Result<Option<Map<String, Value>>, ApiError> {
    let path = layer_path(part(identifier, "LayerVersionArn"));
    let found = present(calls.rest("lambda", Method::GET, &path, None).await)?;
    Ok(found.map(|found| chosen(&found, &[("LayerVersionArn", "LayerVersionArn")])))
}

async fn delete_layer(calls: &Calls, existing: &Existing<'_>) -> Result<(), ApiError> {
    let path = layer_path(part(existing.identifier, "LayerVersionArn"));
    calls.rest("lambda", Method::DELETE, &path, None).await.map(drop)
}

fn invoke_config_path(function: &str, qualifier: &str) -> String {
    format!("/2019-09-25/functions/{}/event-invoke-config?Qualifier={}", segment(function), segment(qualifier))
}

async fn put_invoke_config(calls: &Calls, declared: &Declared<'_>) -> Result<Identifier, ApiError> {
    let given = |name: &str| text(declared.properties, name).unwrap_or_default();
    let (function, qualifier) = (given("FunctionName"), given("Qualifier"));
    let body = without(declared.properties, &["FunctionName", "Qualifier"]);
    calls.rest("lambda", Method::PUT, &invoke_config_path(&function, &qualifier), Some(&body)).await?;
    Ok([("FunctionName".to_owned(), function), ("Qualifier".to_owned(), qualifier)].into())
}

async fn read_invoke_config(calls: &Calls, identifier: &Identifier) -> Result<Option<Map<String, Value>>, ApiError> {
    let path = invoke_config_path(part(identifier, "FunctionName"), part(identifier, "Qualifier"));
    Ok(present(calls.rest("lambda", Method::GET, &path, None).await)?.map(|_| Map::new()))
}

async fn delete_invoke_config(calls: &Calls, existing: &Existing<'_>) -> Result<(), ApiError> {
    let path = invoke_config_path(part(existing.identifier, "FunctionName"), part(existing.identifier, "Qualifier"));
    calls.rest("lambda", Method::DELETE, &path, None).await.map(drop)
}
