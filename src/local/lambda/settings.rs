//! What a caller configures of a function: the members of `CreateFunction` and `UpdateFunctionConfiguration`, their
//! defaults and their limits.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::error::{self, constraint};
use crate::local::wire::ApiError;

/// The runtimes that functions can still be created for (Lambda developer guide, runtimes).
const RUNTIMES: &[&str] = &[
    "nodejs18.x",
    "nodejs20.x",
    "nodejs22.x",
    "nodejs24.x",
    "python3.9",
    "python3.10",
    "python3.11",
    "python3.12",
    "python3.13",
    "python3.14",
    "java8.al2",
    "java11",
    "java17",
    "java21",
    "java25",
    "dotnet8",
    "dotnet10",
    "ruby3.2",
    "ruby3.3",
    "ruby3.4",
    "ruby4.0",
    "provided.al2",
    "provided.al2023",
];

/// Variables that Lambda sets and a function may not (Lambda developer guide, reserved environment variables).
const RESERVED_VARIABLES: &[&str] = &[
    "_HANDLER",
    "_X_AMZN_TRACE_ID",
    "AWS_DEFAULT_REGION",
    "AWS_REGION",
    "AWS_EXECUTION_ENV",
    "AWS_LAMBDA_FUNCTION_NAME",
    "AWS_LAMBDA_FUNCTION_MEMORY_SIZE",
    "AWS_LAMBDA_FUNCTION_VERSION",
    "AWS_LAMBDA_INITIALIZATION_TYPE",
    "AWS_LAMBDA_LOG_GROUP_NAME",
    "AWS_LAMBDA_LOG_STREAM_NAME",
    "AWS_ACCESS_KEY",
    "AWS_ACCESS_KEY_ID",
    "AWS_SECRET_ACCESS_KEY",
    "AWS_SESSION_TOKEN",
    "AWS_LAMBDA_RUNTIME_API",
    "LAMBDA_TASK_ROOT",
    "LAMBDA_RUNTIME_DIR",
];

/// The most that all variables together may take, as JSON, in bytes.
const LONGEST_ENVIRONMENT: usize = 4096;

/// A function's settings, complete.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Settings {
    pub runtime: String,
    pub role: String,
    pub handler: String,
    pub description: String,
    /// Seconds.
    pub timeout: u32,
    /// MB.
    pub memory_size: u32,
    /// `None` until a caller has given any: only then does Lambda show the member.
    pub environment: Option<BTreeMap<String, String>>,
    pub architecture: String,
    /// MB.
    pub ephemeral_storage: u32,
    /// `Active` or `PassThrough`.
    pub tracing: String,
    pub logging: Logging,
}

/// Where and how a function logs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct Logging {
    pub log_format: LogFormat,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub application_log_level: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub system_log_level: Option<String>,
    pub log_group: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum LogFormat {
    Text,
    #[serde(rename = "JSON")]
    Json,
}

/// The settings that a request gives. An absent member changes nothing.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct Change {
    runtime: Option<String>,
    pub role: Option<String>,
    handler: Option<String>,
    description: Option<String>,
    timeout: Option<i64>,
    memory_size: Option<i64>,
    environment: Option<Environment>,
    ephemeral_storage: Option<Size>,
    tracing_config: Option<Mode>,
    logging_config: Option<LoggingChange>,
    snap_start: Option<ApplyOn>,
    // What cannot be had on one machine, or is not served: refused where it asks for anything.
    vpc_config: Option<Value>,
    layers: Option<Value>,
    dead_letter_config: Option<Value>,
    file_system_configs: Option<Value>,
    image_config: Option<Value>,
    #[serde(rename = "KMSKeyArn")]
    kms_key_arn: Option<Value>,
    code_signing_config_arn: Option<Value>,
    capacity_provider_config: Option<Value>,
    durable_config: Option<Value>,
    tenancy_config: Option<Value>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Environment {
    #[serde(default)]
    variables: BTreeMap<String, String>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Size {
    size: i64,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Mode {
    mode: Option<String>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct ApplyOn {
    apply_on: Option<String>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct LoggingChange {
    log_format: Option<String>,
    application_log_level: Option<String>,
    system_log_level: Option<String>,
    log_group: Option<String>,
}

impl Settings {
    /// The settings of a new function.
    ///
    /// # Errors
    /// Lambda's refusal of what is missing or outside its limits.
    pub fn new(function: &str, architectures: Option<&[String]>, change: Change) -> Result<Self, ApiError> {
        if change.role.is_none() {
            let missing = "Value null at 'role' failed to satisfy constraint: Member must not be null";
            return Err(error::validation(&[missing.to_owned()]));
        }
        if change.runtime.is_none() || change.handler.is_none() {
            return Err(error::invalid(
                "Runtime and Handler are mandatory parameters for functions created with deployment packages.",
            ));
        }
        let defaults = Self {
            runtime: String::new(),
            role: String::new(),
            handler: String::new(),
            description: String::new(),
            timeout: 3,
            memory_size: 128,
            environment: None,
            architecture: architecture(architectures)?.unwrap_or_else(|| "x86_64".to_owned()),
            ephemeral_storage: 512,
            tracing: "PassThrough".to_owned(),
            logging: Logging {
                log_format: LogFormat::Text,
                application_log_level: None,
                system_log_level: None,
                log_group: format!("/aws/lambda/{function}"),
            },
        };
        defaults.with(change)
    }

    /// These settings with a change made to them.
    ///
    /// # Errors
    /// Lambda's refusal of what is outside its limits, or of what the local cloud does not have.
    pub fn with(mut self, change: Change) -> Result<Self, ApiError> {
        change.check()?;
        change.refuse_unserved()?;
        if let Some(runtime) = change.runtime {
            if !RUNTIMES.contains(&runtime.as_str()) {
                let message = format!(
                    "Value {runtime} at 'runtime' failed to satisfy constraint: Member must satisfy enum value set: \
                     [{}] or be a valid ARN",
                    RUNTIMES.join(", ")
                );
                return Err(error::invalid(message));
            }
            self.runtime = runtime;
        }
        if let Some(memory_size) = change.memory_size {
            if memory_size > 10_240 {
                return Err(error::invalid(
                    "'MemorySize' value failed to satisfy constraint: Member must have value less than or equal to 10240",
                ));
            }
            self.memory_size = memory_size as u32;
        }
        if let Some(environment) = change.environment {
            check_variables(&environment.variables)?;
            self.environment = Some(environment.variables);
        }
        self.role = change.role.unwrap_or(self.role);
        self.handler = change.handler.unwrap_or(self.handler);
        self.description = change.description.unwrap_or(self.description);
        self.timeout = change.timeout.map_or(self.timeout, |seconds| seconds as u32);
        self.ephemeral_storage = change.ephemeral_storage.map_or(self.ephemeral_storage, |storage| storage.size as u32);
        self.tracing = change.tracing_config.and_then(|config| config.mode).unwrap_or(self.tracing);
        if let Some(logging) = change.logging_config {
            self.logging = self.logging.with(logging)?;
        }
        Ok(self)
    }

    /// The members of `FunctionConfiguration` that these settings are.
    pub fn members(&self, region: &str) -> Value {
        let mut members = json!({
            "Runtime": self.runtime,
            "Role": self.role,
            "Handler": self.handler,
            "Description": self.description,
            "Timeout": self.timeout,
            "MemorySize": self.memory_size,
            "TracingConfig": { "Mode": self.tracing },
            "PackageType": "Zip",
            "Architectures": [self.architecture],
            "EphemeralStorage": { "Size": self.ephemeral_storage },
            "SnapStart": { "ApplyOn": "None", "OptimizationStatus": "Off" },
            "RuntimeVersionConfig": { "RuntimeVersionArn": runtime_version_arn(&self.runtime, region) },
            "LoggingConfig": self.logging,
        });
        if let Some(variables) = &self.environment {
            members["Environment"] = json!({ "Variables": variables });
        }
        members
    }
}

impl Logging {
    fn with(mut self, change: LoggingChange) -> Result<Self, ApiError> {
        self.log_group = change.log_group.unwrap_or(self.log_group);
        match change.log_format.as_deref() {
            // JSON brings the levels with it, text has none.
            Some("JSON") if self.log_format == LogFormat::Text => {
                self.log_format = LogFormat::Json;
                self.application_log_level = Some("INFO".to_owned());
                self.system_log_level = Some("INFO".to_owned());
            }
            Some("Text") => {
                self.log_format = LogFormat::Text;
                self.application_log_level = None;
                self.system_log_level = None;
            }
            _ => {}
        }
        let levels = change.application_log_level.is_some() || change.system_log_level.is_some();
        if levels && self.log_format == LogFormat::Text {
            return Err(error::invalid(
                "To use ApplicationLogLevel or SystemLogLevel, you must set LogFormat to JSON.",
            ));
        }
        self.application_log_level = change.application_log_level.or(self.application_log_level);
        self.system_log_level = change.system_log_level.or(self.system_log_level);
        Ok(self)
    }
}

impl Change {
    /// Checks what the service model bounds.
    fn check(&self) -> Result<(), ApiError> {
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
        if broken.is_empty() { Ok(()) } else { Err(error::validation(&broken)) }
    }

    /// Refuses what AWS has and the local cloud has not, rather than to pretend.
    fn refuse_unserved(&self) -> Result<(), ApiError> {
        let unserved = [
            ("VpcConfig", &self.vpc_config),
            ("Layers", &self.layers),
            ("DeadLetterConfig", &self.dead_letter_config),
            ("FileSystemConfigs", &self.file_system_configs),
            ("ImageConfig", &self.image_config),
            ("KMSKeyArn", &self.kms_key_arn),
            ("CodeSigningConfigArn", &self.code_signing_config_arn),
            ("CapacityProviderConfig", &self.capacity_provider_config),
            ("DurableConfig", &self.durable_config),
            ("TenancyConfig", &self.tenancy_config),
        ];
        let snap_start =
            self.snap_start.as_ref().and_then(|start| start.apply_on.as_deref()).unwrap_or("None") != "None";
        let asked = unserved.iter().find(|(_, value)| value.as_ref().is_some_and(asks));
        match asked.map(|(member, _)| *member).or(snap_start.then_some("SnapStart")) {
            Some(member) => Err(error::invalid(format!("{member} is not available in the local cloud."))),
            None => Ok(()),
        }
    }
}

/// The one architecture of a request; `None` where it gives none.
///
/// # Errors
/// `ValidationException` for an unknown architecture, or for more or fewer than one.
pub fn architecture(given: Option<&[String]>) -> Result<Option<String>, ApiError> {
    let Some(given) = given else { return Ok(None) };
    let rule = match given {
        [one] if ["x86_64", "arm64"].contains(&one.as_str()) => return Ok(Some(one.clone())),
        [_] => {
            "Member must satisfy constraint: [Member must satisfy enum value set: [x86_64, arm64], Member must not be null]"
        }
        [] => "Member must have length greater than or equal to 1",
        _ => "Member must have length less than or equal to 1",
    };
    Err(error::validation(&[constraint(&format!("[{}]", given.join(", ")), "architectures", rule)]))
}

/// The ARN of a runtime's version. AWS's are digests of images that nobody outside sees; ours is one of the name.
pub fn runtime_version_arn(runtime: &str, region: &str) -> String {
    use sha2::{Digest, Sha256};
    format!("arn:aws:lambda:{region}::runtime:{}", hex::encode(Sha256::digest(runtime)))
}

/// Whether a member asks for something: empty lists, strings and structures reset what nobody set.
fn asks(value: &Value) -> bool {
    match value {
        Value::Null => false,
        Value::Bool(flag) => *flag,
        Value::String(text) => !text.is_empty(),
        Value::Array(items) => items.iter().any(asks),
        Value::Object(members) => members.values().any(asks),
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
    use super::*;

    fn change(value: Value) -> Change {
        serde_json::from_value(value).unwrap()
    }

    fn complete() -> Value {
        json!({ "Runtime": "provided.al2023", "Handler": "bootstrap", "Role": "arn:aws:iam::000000000000:role/chat" })
    }

    fn chat() -> Settings {
        Settings::new("chat", None, change(complete())).unwrap()
    }

    #[test]
    fn what_is_absent_is_lambdas_default() {
        let members = chat().members("us-east-1");
        assert_eq!(members["Timeout"], 3);
        assert_eq!(members["MemorySize"], 128);
        assert_eq!(members["Architectures"], json!(["x86_64"]));
        assert_eq!(members["EphemeralStorage"], json!({ "Size": 512 }));
        assert_eq!(members["TracingConfig"], json!({ "Mode": "PassThrough" }));
        assert_eq!(members["LoggingConfig"], json!({ "LogFormat": "Text", "LogGroup": "/aws/lambda/chat" }));
        assert!(members.get("Environment").is_none());
    }

    #[test]
    fn a_change_leaves_what_it_does_not_name() {
        let changed = chat().with(change(json!({ "Timeout": 30, "Environment": { "Variables": { "TABLE": "t" } } })));
        let expected = Settings {
            timeout: 30,
            environment: Some(BTreeMap::from([("TABLE".to_owned(), "t".to_owned())])),
            ..chat()
        };
        assert_eq!(changed.unwrap(), expected);
    }

    #[test]
    fn json_logs_have_levels_and_text_has_none() {
        let json =
            chat().with(change(json!({ "LoggingConfig": { "LogFormat": "JSON", "SystemLogLevel": "WARN" } }))).unwrap();
        assert_eq!(json.logging.application_log_level.as_deref(), Some("INFO"));
        assert_eq!(json.logging.system_log_level.as_deref(), Some("WARN"));
        let text = json.with(change(json!({ "LoggingConfig": { "LogFormat": "Text" } }))).unwrap();
        assert_eq!(text.logging, chat().logging);
        assert!(text.with(change(json!({ "LoggingConfig": { "SystemLogLevel": "WARN" } }))).is_err());
    }

    #[test]
    fn what_is_outside_the_limits_is_refused_in_lambdas_words() {
        for (change_, code, message) in [
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
            (json!({ "Runtime": "rust" }), "InvalidParameterValueException", "Value rust at 'runtime' failed"),
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
                json!({ "VpcConfig": { "SubnetIds": ["subnet-1"] } }),
                "InvalidParameterValueException",
                "VpcConfig is not available in the local cloud.",
            ),
            (
                json!({ "SnapStart": { "ApplyOn": "PublishedVersions" } }),
                "InvalidParameterValueException",
                "SnapStart is not available in the local cloud.",
            ),
        ] {
            let refusal = chat().with(change(change_.clone())).unwrap_err();
            assert_eq!((refusal.status, &*refusal.code), (400, code), "{change_}");
            assert!(refusal.message.starts_with(message), "{}", refusal.message);
        }
    }

    #[test]
    fn what_only_resets_is_taken() {
        let resets = json!({ "VpcConfig": { "SubnetIds": [], "SecurityGroupIds": [] }, "Layers": [], "KMSKeyArn": "" });
        assert_eq!(chat().with(change(resets)).unwrap(), chat());
    }

    #[test]
    fn a_function_has_one_architecture() {
        let given = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>();
        assert_eq!(architecture(Some(&given(&["arm64"]))).unwrap().as_deref(), Some("arm64"));
        for (names, rule) in [
            (given(&[]), "Member must have length greater than or equal to 1"),
            (given(&["x86_64", "arm64"]), "Member must have length less than or equal to 1"),
            (given(&["mips"]), "[Member must satisfy enum value set: [x86_64, arm64], Member must not be null]"),
        ] {
            assert!(architecture(Some(&names)).unwrap_err().message.contains(rule));
        }
    }

    #[test]
    fn runtime_handler_and_role_are_required() {
        for missing in ["Runtime", "Handler", "Role"] {
            let mut members = complete();
            members.as_object_mut().unwrap().remove(missing);
            assert!(Settings::new("chat", None, change(members)).is_err(), "{missing}");
        }
    }
}
