//! A function's settings: the caller's configuration, and Lambda's defaults for the rest.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::change::{LoggingChange, SettingsChange};
use super::error::{self, constraint};
use super::layer::LayerUse;
use crate::local::protocol::wire::ApiError;

/// A function's complete settings.
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
    /// `None` until a caller has set any: only then Lambda shows the member.
    pub environment: Option<BTreeMap<String, String>>,
    pub architecture: String,
    /// MB.
    pub ephemeral_storage: u32,
    /// `Active` or `PassThrough`.
    pub tracing: String,
    pub logging: Logging,
    /// The ARN of the queue or topic for events that the function could not handle.
    #[serde(default)]
    pub dead_letters: Option<String>,
    #[serde(default)]
    pub layers: Vec<LayerUse>,
    /// The container image; then there is no runtime and no handler.
    #[serde(default)]
    pub image_uri: Option<String>,
    #[serde(default)]
    pub kept: Kept,
}

/// Settings that the local cloud keeps and gives back, and which change nothing there.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Kept {
    pub subnets: Vec<String>,
    pub security_groups: Vec<String>,
    pub ipv6: bool,
    pub file_systems: Vec<Value>,
    /// The ARN of the key for the environment's variables; empty for AWS's own.
    pub kms_key: String,
    pub snap_start: bool,
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

impl Settings {
    /// The settings of a new function.
    ///
    /// # Errors
    /// Lambda's refusal of a missing setting, or of a value outside its limits.
    pub fn new(
        function: &str,
        architectures: Option<&[String]>,
        image_uri: Option<String>,
        change: SettingsChange,
    ) -> Result<Self, ApiError> {
        if change.role.is_none() {
            let missing = "Value null at 'role' failed to satisfy constraint: Member must not be null";
            return Err(error::validation(&[missing.to_owned()]));
        }
        if image_uri.is_none() && (change.runtime.is_none() || change.handler.is_none()) {
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
            dead_letters: None,
            layers: Vec::new(),
            image_uri,
            kept: Kept::default(),
        };
        defaults.with(change)
    }

    /// These settings with a change applied.
    ///
    /// # Errors
    /// Lambda's refusal of a value outside its limits, or of a feature that the local cloud does not have.
    pub fn with(mut self, change: SettingsChange) -> Result<Self, ApiError> {
        change.check()?;
        self.runtime = change.runtime.unwrap_or(self.runtime);
        self.role = change.role.unwrap_or(self.role);
        self.handler = change.handler.unwrap_or(self.handler);
        self.description = change.description.unwrap_or(self.description);
        self.timeout = change.timeout.map_or(self.timeout, |seconds| seconds as u32);
        self.memory_size = change.memory_size.map_or(self.memory_size, |megabytes| megabytes as u32);
        self.environment = change.environment.map(|environment| environment.variables).or(self.environment);
        self.ephemeral_storage = change.ephemeral_storage.map_or(self.ephemeral_storage, |storage| storage.size as u32);
        self.tracing = change.tracing_config.and_then(|config| config.mode).unwrap_or(self.tracing);
        if let Some(config) = change.dead_letter_config {
            self.dead_letters = config.target_arn.filter(|arn| !arn.is_empty());
        }
        if let Some(logging) = change.logging_config {
            self.logging = self.logging.with(logging)?;
        }
        let kept = &mut self.kept;
        if let Some(vpc) = change.vpc_config {
            kept.subnets = vpc.subnet_ids.unwrap_or_else(|| std::mem::take(&mut kept.subnets));
            kept.security_groups = vpc.security_group_ids.unwrap_or_else(|| std::mem::take(&mut kept.security_groups));
            kept.ipv6 = vpc.ipv6_allowed_for_dual_stack.unwrap_or(kept.ipv6) && !kept.subnets.is_empty();
        }
        kept.file_systems = change.file_system_configs.unwrap_or_else(|| std::mem::take(&mut kept.file_systems));
        kept.kms_key = change.kms_key_arn.unwrap_or_else(|| std::mem::take(&mut kept.kms_key));
        if let Some(apply_on) = change.snap_start.and_then(|start| start.apply_on) {
            kept.snap_start = apply_on == "PublishedVersions";
        }
        if self.kept.subnets.is_empty() != self.kept.security_groups.is_empty() {
            return Err(error::invalid("SubnetIds and SecurityIds must coexist or be both empty list."));
        }
        Ok(self)
    }

    /// The settings as members of `FunctionConfiguration`.
    pub fn members(&self, region: &str) -> Value {
        let package_type = if self.image_uri.is_some() { "Image" } else { "Zip" };
        let mut members = json!({
            "Runtime": self.runtime,
            "Role": self.role,
            "Handler": self.handler,
            "Description": self.description,
            "Timeout": self.timeout,
            "MemorySize": self.memory_size,
            "TracingConfig": { "Mode": self.tracing },
            "PackageType": package_type,
            "Architectures": [self.architecture],
            "EphemeralStorage": { "Size": self.ephemeral_storage },
            "SnapStart": {
                "ApplyOn": if self.kept.snap_start { "PublishedVersions" } else { "None" },
                "OptimizationStatus": "Off",
            },
            "RuntimeVersionConfig": { "RuntimeVersionArn": runtime_version_arn(&self.runtime, region) },
            "LoggingConfig": self.logging,
        });
        if let Some(arn) = &self.dead_letters {
            members["DeadLetterConfig"] = json!({ "TargetArn": arn });
        }
        if let Some(variables) = &self.environment {
            members["Environment"] = json!({ "Variables": variables });
        }
        if !self.layers.is_empty() {
            let shown = |layer: &LayerUse| json!({ "Arn": layer.arn, "CodeSize": layer.code.as_ref().map_or(0, |code| code.size) });
            members["Layers"] = self.layers.iter().map(shown).collect();
        }
        if let Value::Object(members) = &mut members
            && self.image_uri.is_some()
        {
            ["Runtime", "Handler", "RuntimeVersionConfig"].iter().for_each(|name| drop(members.shift_remove(*name)));
        }
        let kept = &self.kept;
        if !kept.subnets.is_empty() {
            members["VpcConfig"] = json!({
                "SubnetIds": kept.subnets,
                "SecurityGroupIds": kept.security_groups,
                "VpcId": "vpc-00000000000000000",
                "Ipv6AllowedForDualStack": kept.ipv6,
            });
        }
        if !kept.file_systems.is_empty() {
            members["FileSystemConfigs"] = json!(kept.file_systems);
        }
        if !kept.kms_key.is_empty() {
            members["KMSKeyArn"] = json!(kept.kms_key);
        }
        members
    }
}

impl Logging {
    fn with(mut self, change: LoggingChange) -> Result<Self, ApiError> {
        self.log_group = change.log_group.unwrap_or(self.log_group);
        match change.log_format.as_deref() {
            // The JSON format sets default levels, the text format has none.
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

/// The architecture in a request; `None` where it has none.
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

/// The ARN of a runtime's version. AWS's contain digests of internal images; ours contains a digest of the name.
pub fn runtime_version_arn(runtime: &str, region: &str) -> String {
    use sha2::{Digest, Sha256};
    format!("arn:aws:lambda:{region}::runtime:{}", hex::encode(Sha256::digest(runtime)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn change(value: Value) -> SettingsChange {
        serde_json::from_value(value).unwrap()
    }

    fn complete() -> Value {
        json!({ "Runtime": "provided.al2023", "Handler": "bootstrap", "Role": "arn:aws:iam::000000000000:role/chat" })
    }

    fn chat() -> Settings {
        Settings::new("chat", None, None, change(complete())).unwrap()
    }

    #[test]
    fn absent_settings_have_lambdas_defaults() {
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

    /// What has no effect here is given back as it was given, and taken away by what AWS takes for nothing.
    #[test]
    fn what_has_no_effect_is_kept() {
        let given = json!({
            "DeadLetterConfig": { "TargetArn": "arn:aws:sqs:us-east-1:000000000000:q" },
            "VpcConfig": { "SubnetIds": ["subnet-1"], "SecurityGroupIds": ["sg-1"] },
            "FileSystemConfigs": [{ "Arn": "a", "LocalMountPath": "/mnt/a" }],
            "KMSKeyArn": "arn:aws:kms:us-east-1:000000000000:key/k",
            "SnapStart": { "ApplyOn": "PublishedVersions" },
        });
        let kept = chat().with(change(given.clone())).unwrap();
        let members = kept.members("us-east-1");
        assert_eq!(members["VpcConfig"]["SubnetIds"], json!(["subnet-1"]));
        assert_eq!(members["SnapStart"]["ApplyOn"], "PublishedVersions");
        for name in ["DeadLetterConfig", "FileSystemConfigs", "KMSKeyArn"] {
            assert_eq!(members[name], given[name], "{name}");
        }
        let none = json!({
            "DeadLetterConfig": { "TargetArn": "" },
            "VpcConfig": { "SubnetIds": [], "SecurityGroupIds": [] },
            "FileSystemConfigs": [],
            "KMSKeyArn": "",
            "SnapStart": { "ApplyOn": "None" },
        });
        assert_eq!(kept.clone().with(change(none)).unwrap(), chat());
        assert_eq!(kept.clone().with(change(json!({}))).unwrap(), kept);
        for wrong in [
            json!({ "VpcConfig": { "SubnetIds": ["subnet-1"] } }),
            json!({ "VpcConfig": { "SubnetIds": ["net-1"], "SecurityGroupIds": ["sg-1"] } }),
            json!({ "SnapStart": { "ApplyOn": "Always" } }),
        ] {
            assert!(chat().with(change(wrong.clone())).is_err(), "{wrong}");
        }
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
            assert!(Settings::new("chat", None, None, change(members)).is_err(), "{missing}");
        }
    }
}
