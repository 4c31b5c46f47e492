//! Changes of a function's settings: the members of `CreateFunction` and
//! `UpdateFunctionConfiguration`, and their limits.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::Value;

use super::error::{self, constraint};
use crate::core::words::runtimes::{LONGEST_ENVIRONMENT, RESERVED_VARIABLES, end};
use crate::local::protocol::wire::ApiError;
use crate::machine::interpreter::Language;

/// The runtimes that Lambda lists in its refusal of an unknown one, in that order (recorded answer of AWS, 2025-11, as far
/// as it is known; then the Lambda developer guide).
const RUNTIMES: &[&str] = &[
    "nodejs20.x",
    "python3.14",
    "provided.al2023",
    "python3.12",
    "python3.13",
    "nodejs24.x",
    "nodejs22.x",
    "java25",
    "java21",
    "java17",
    "java11",
    "java8.al2",
    "nodejs18.x",
    "nodejs16.x",
    "python3.11",
    "python3.10",
    "python3.9",
    "python3.8",
    "dotnet10",
    "dotnet8",
    "dotnet6",
    "ruby4.0",
    "ruby3.4",
    "ruby3.3",
    "ruby3.2",
    "provided.al2",
];

/// The settings that a request gives. An absent member changes nothing.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct SettingsChange {
    pub runtime: Option<String>,
    pub role: Option<String>,
    pub handler: Option<String>,
    pub description: Option<String>,
    pub timeout: Option<i64>,
    pub memory_size: Option<i64>,
    pub environment: Option<Environment>,
    pub ephemeral_storage: Option<Size>,
    pub tracing_config: Option<Mode>,
    pub logging_config: Option<LoggingChange>,
    /// The ARNs of layers' versions. They are looked up before the change is applied.
    pub layers: Option<Vec<String>>,
    pub snap_start: Option<ApplyOn>,
    pub vpc_config: Option<Vpc>,
    pub dead_letter_config: Option<DeadLetters>,
    pub file_system_configs: Option<Vec<Value>>,
    #[serde(rename = "KMSKeyArn")]
    pub kms_key_arn: Option<String>,
    // Not available in the local cloud: refused if set.
    image_config: Option<Value>,
    code_signing_config_arn: Option<Value>,
    capacity_provider_config: Option<Value>,
    durable_config: Option<Value>,
    tenancy_config: Option<Value>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct Environment {
    #[serde(default)]
    pub variables: BTreeMap<String, String>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct Size {
    pub size: i64,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct Mode {
    pub mode: Option<String>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct ApplyOn {
    pub apply_on: Option<String>,
}

/// A network. An absent member changes nothing.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct Vpc {
    pub subnet_ids: Option<Vec<String>>,
    pub security_group_ids: Option<Vec<String>>,
    pub ipv6_allowed_for_dual_stack: Option<bool>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct DeadLetters {
    pub target_arn: Option<String>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct LoggingChange {
    pub log_format: Option<String>,
    pub application_log_level: Option<String>,
    pub system_log_level: Option<String>,
    pub log_group: Option<String>,
}

impl SettingsChange {
    /// Checks that Lambda accepts every member.
    ///
    /// # Errors
    /// Lambda's refusal of a value outside its limits, or of a feature that the local cloud does not have.
    pub fn check(&self) -> Result<(), ApiError> {
        self.check_bounds()?;
        self.refuse_unserved()?;
        // The service model allows more than Lambda accepts.
        if self.memory_size.is_some_and(|megabytes| megabytes > 10_240) {
            return Err(error::invalid(
                "'MemorySize' value failed to satisfy constraint: Member must have value less than or equal to 10240",
            ));
        }
        match &self.environment {
            Some(environment) => check_variables(&environment.variables),
            None => Ok(()),
        }
    }

    /// Checks the limits of the service model; all violations are reported together.
    fn check_bounds(&self) -> Result<(), ApiError> {
        let mut broken = Vec::new();
        let mut range = |value: Option<i64>, member: &str, least: i64, most: i64| match value {
            Some(value) if value < least => {
                let rule = format!("Member must have value greater than or equal to {least}");
                broken.push(constraint(&value.to_string(), member, &rule));
            }
            Some(value) if value > most => {
                let rule = format!("Member must have value less than or equal to {most}");
                broken.push(constraint(&value.to_string(), member, &rule));
            }
            _ => {}
        };
        range(self.memory_size, "memorySize", 128, 32_768);
        range(self.timeout, "timeout", 1, 900);
        range(self.ephemeral_storage.as_ref().map(|storage| storage.size), "ephemeralStorage.size", 512, 10_240);
        let mut rule = |value: Option<&str>, member: &str, holds: fn(&str) -> bool, rule: &str| {
            if let Some(value) = value.filter(|value| !holds(value)) {
                broken.push(constraint(value, member, rule));
            }
        };
        rule(
            self.description.as_deref(),
            "description",
            |text| text.chars().count() <= 256,
            "Member must have length less than or equal to 256",
        );
        rule(
            self.handler.as_deref(),
            "handler",
            |text| text.chars().count() <= 128,
            "Member must have length less than or equal to 128",
        );
        rule(
            self.handler.as_deref(),
            "handler",
            |text| !text.is_empty() && !text.contains(char::is_whitespace),
            "Member must satisfy regular expression pattern: [^\\s]+",
        );
        rule(
            self.role.as_deref(),
            "role",
            is_role_arn,
            r"Member must satisfy regular expression pattern: arn:(aws[a-zA-Z-]*)?:iam::\d{12}:role/?[a-zA-Z_0-9+=,.@\-_/]+",
        );
        rule(
            self.tracing_config.as_ref().and_then(|config| config.mode.as_deref()),
            "tracingConfig.mode",
            |mode| ["Active", "PassThrough"].contains(&mode),
            "Member must satisfy enum value set: [Active, PassThrough]",
        );
        if let Some(logging) = &self.logging_config {
            rule(
                logging.log_format.as_deref(),
                "loggingConfig.logFormat",
                |format| ["JSON", "Text"].contains(&format),
                "Member must satisfy enum value set: [JSON, Text]",
            );
            rule(
                logging.application_log_level.as_deref(),
                "loggingConfig.applicationLogLevel",
                |level| ["TRACE", "DEBUG", "INFO", "WARN", "ERROR", "FATAL"].contains(&level),
                "Member must satisfy enum value set: [TRACE, DEBUG, INFO, WARN, ERROR, FATAL]",
            );
            rule(
                logging.system_log_level.as_deref(),
                "loggingConfig.systemLogLevel",
                |level| ["DEBUG", "INFO", "WARN"].contains(&level),
                "Member must satisfy enum value set: [DEBUG, INFO, WARN]",
            );
            rule(
                logging.log_group.as_deref(),
                "loggingConfig.logGroup",
                is_log_group,
                r"Member must satisfy regular expression pattern: [\.\-_/#A-Za-z0-9]+",
            );
        }
        rule(
            self.snap_start.as_ref().and_then(|start| start.apply_on.as_deref()),
            "snapStart.applyOn",
            |on| ["PublishedVersions", "None"].contains(&on),
            "Member must satisfy enum value set: [PublishedVersions, None]",
        );
        if let Some(vpc) = &self.vpc_config {
            for subnet in vpc.subnet_ids.iter().flatten() {
                rule(
                    Some(subnet),
                    "vpcConfig.subnetIds",
                    |id| id.starts_with("subnet-"),
                    "Member must satisfy constraint: [Member must satisfy regular expression pattern: subnet-[0-9a-z]*]",
                );
            }
            for group in vpc.security_group_ids.iter().flatten() {
                rule(
                    Some(group),
                    "vpcConfig.securityGroupIds",
                    |id| id.starts_with("sg-"),
                    "Member must satisfy constraint: [Member must satisfy regular expression pattern: sg-[0-9a-zA-Z]*]",
                );
            }
        }
        if broken.is_empty() { Ok(()) } else { Err(error::validation(&broken)) }
    }

    /// Refuses features that the local cloud does not have, instead of ignoring them silently.
    fn refuse_unserved(&self) -> Result<(), ApiError> {
        let unserved = [
            ("ImageConfig", &self.image_config),
            ("CodeSigningConfigArn", &self.code_signing_config_arn),
            ("CapacityProviderConfig", &self.capacity_provider_config),
            ("DurableConfig", &self.durable_config),
            ("TenancyConfig", &self.tenancy_config),
        ];
        match unserved.iter().find(|(_, value)| value.as_ref().is_some_and(is_set)) {
            Some((member, _)) => Err(error::invalid(format!("{member} is not available in the local cloud."))),
            None => Ok(()),
        }
    }
}

/// Whether Lambda accepts `runtime` for a function that has `current`, or for a new one. An existing function may keep a
/// retired runtime for longer than a new function may use it.
///
/// # Errors
/// `InvalidParameterValueException` for a runtime that Lambda does not know, or has retired.
pub fn check_runtime(runtime: &str, current: Option<&str>) -> Result<(), ApiError> {
    let Some(end) = end(runtime) else {
        let message = format!(
            "Value {runtime} at 'runtime' failed to satisfy constraint: Member must satisfy enum value set: [{}] or be a \
             valid ARN",
            RUNTIMES.join(", ")
        );
        return Err(error::invalid(message));
    };
    if end.refused_since(current == Some(runtime)).is_some() {
        let here = match Language::of(runtime) {
            Some(_) => " (The local cloud takes it with [lenient] runtimes = true in its conditions file.)",
            None => "",
        };
        return Err(error::invalid(format!(
            "The runtime parameter of {runtime} is no longer supported for creating or updating AWS Lambda functions. We \
             recommend you use a supported runtime while creating or updating functions.{here}"
        )));
    }
    Ok(())
}

/// Whether a member sets something: empty lists, strings and structures only reset.
fn is_set(value: &Value) -> bool {
    match value {
        Value::Null => false,
        Value::Bool(flag) => *flag,
        Value::String(text) => !text.is_empty(),
        Value::Array(items) => items.iter().any(is_set),
        Value::Object(members) => members.values().any(is_set),
        Value::Number(_) => true,
    }
}

fn is_role_arn(text: &str) -> bool {
    let parts: Vec<&str> = text.splitn(6, ':').collect();
    let [arn, partition, service, region, account, resource] = parts[..] else { return false };
    let named = resource.strip_prefix("role").map(|name| name.strip_prefix('/').unwrap_or(name));
    arn == "arn"
        && partition.starts_with("aws")
        && service == "iam"
        && region.is_empty()
        && account.len() == 12
        && account.bytes().all(|byte| byte.is_ascii_digit())
        && named.is_some_and(|name| {
            !name.is_empty() && name.chars().all(|c| c.is_ascii_alphanumeric() || "_+=,.@-/".contains(c))
        })
}

fn is_log_group(text: &str) -> bool {
    !text.is_empty() && text.len() <= 512 && text.chars().all(|c| c.is_ascii_alphanumeric() || ".-_/#".contains(c))
}

fn check_variables(variables: &BTreeMap<String, String>) -> Result<(), ApiError> {
    let is_name = |name: &String| {
        name.len() >= 2
            && name.starts_with(|c: char| c.is_ascii_alphabetic())
            && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
    };
    let reserved: Vec<&str> =
        variables.keys().map(String::as_str).filter(|name| RESERVED_VARIABLES.contains(name)).collect();
    if !reserved.is_empty() {
        let message = format!(
            "Lambda was unable to configure your environment variables because the environment variables you have \
             provided contains reserved keys that are currently not supported for modification. Reserved keys used in \
             this request: {}",
            reserved.join(", ")
        );
        return Err(error::invalid(message));
    }
    if !variables.keys().all(is_name) {
        let broken = "Value at 'environment.variables' failed to satisfy constraint: Map keys must satisfy constraint: \
                      [Member must satisfy regular expression pattern: [a-zA-Z]([a-zA-Z0-9_])+, Member must not be null]";
        return Err(error::validation(&[broken.to_owned()]));
    }
    let measured = serde_json::to_string(variables).unwrap_or_default();
    if measured.len() > LONGEST_ENVIRONMENT {
        let message = format!(
            "Lambda was unable to configure your environment variables because the environment variables you have \
             provided exceeded the 4KB limit. String measured: {measured}"
        );
        return Err(error::invalid(message));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn check(change: &Value) -> Result<(), ApiError> {
        serde_json::from_value::<SettingsChange>(change.clone()).unwrap().check()
    }

    #[test]
    fn settings_outside_the_limits_get_lambdas_errors() {
        for (change, code, message) in [
            (
                json!({ "MemorySize": 64 }),
                "ValidationException",
                "1 validation error detected: Value '64' at 'memorySize' failed to satisfy constraint: Member must have \
                 value greater than or equal to 128",
            ),
            (json!({ "MemorySize": 10241 }), "InvalidParameterValueException", "'MemorySize' value failed"),
            (json!({ "Timeout": 901, "MemorySize": 1 }), "ValidationException", "2 validation errors detected: "),
            (json!({ "Timeout": 0 }), "ValidationException", "1 validation error detected: Value '0' at 'timeout'"),
            (json!({ "EphemeralStorage": { "Size": 511 } }), "ValidationException", "1 validation error detected"),
            (json!({ "Description": "x".repeat(257) }), "ValidationException", "1 validation error detected"),
            (json!({ "Role": "chat" }), "ValidationException", "1 validation error detected: Value 'chat' at 'role'"),
            (
                json!({ "Environment": { "Variables": { "AWS_REGION": "x", "_HANDLER": "y", "FINE": "z" } } }),
                "InvalidParameterValueException",
                "Lambda was unable to configure your environment variables because the environment variables you have \
                 provided contains reserved keys that are currently not supported for modification. Reserved keys used \
                 in this request: AWS_REGION, _HANDLER",
            ),
            (json!({ "Environment": { "Variables": { "1X": "" } } }), "ValidationException", "1 validation error"),
            (
                json!({ "Environment": { "Variables": { "LONG": "x".repeat(4096) } } }),
                "InvalidParameterValueException",
                "Lambda was unable to configure your environment variables because the environment variables you have \
                 provided exceeded the 4KB limit.",
            ),
            (
                json!({ "TenancyConfig": { "TenantIsolationMode": "PER_TENANT" } }),
                "InvalidParameterValueException",
                "TenancyConfig is not available in the local cloud.",
            ),
        ] {
            let refusal = check(&change).unwrap_err();
            assert_eq!((refusal.status, &*refusal.code), (400, code), "{change}");
            assert!(refusal.message.starts_with(message), "{}", refusal.message);
        }
    }

    #[test]
    fn retired_runtimes_are_refused_and_kept_where_they_may_be() {
        for (runtime, current, message) in [
            (
                "rust",
                None,
                "Value rust at 'runtime' failed to satisfy constraint: Member must satisfy enum value set: [",
            ),
            ("nodejs26.x", None, "Value nodejs26.x at 'runtime' failed"),
            ("nodejs14.x", None, "The runtime parameter of nodejs14.x is no longer supported"),
            ("nodejs14.x", Some("nodejs20.x"), "The runtime parameter of nodejs14.x is no longer supported"),
            ("nodejs12.x", Some("nodejs12.x"), "The runtime parameter of nodejs12.x is no longer supported"),
        ] {
            let refusal = check_runtime(runtime, current).unwrap_err();
            assert_eq!(refusal.code, "InvalidParameterValueException");
            assert!(refusal.message.starts_with(message), "{}", refusal.message);
        }
        check_runtime("nodejs14.x", Some("nodejs14.x")).unwrap();
        for runtime in RUNTIMES {
            check_runtime(runtime, None).unwrap();
        }
    }

    #[test]
    fn members_that_only_reset_are_accepted() {
        let resets = json!({ "VpcConfig": { "SubnetIds": [], "SecurityGroupIds": [] }, "Layers": [], "KMSKeyArn": "" });
        check(&resets).unwrap();
    }
}
