//! Layers as they are kept: their versions, and who may use them.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use super::packages::CodeArchive;
use crate::local::context::CloudContext;

/// The layers of a region, by name.
pub type Layers = BTreeMap<String, Layer>;

/// A layer: no more than the name of its versions.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct Layer {
    /// The last number given to a version: numbers are never reused.
    pub last_version: u64,
    pub versions: BTreeMap<u64, LayerVersion>,
}

/// A version, which never changes.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct LayerVersion {
    pub code: CodeArchive,
    pub description: String,
    pub created: String,
    pub architectures: Option<Vec<String>>,
    pub runtimes: Option<Vec<String>>,
    pub license: Option<String>,
    /// Statements by their ids, in the order in which they were added.
    pub policy: Vec<(String, Value)>,
    pub policy_revision: u64,
}

/// A layer of a function.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LayerUse {
    pub arn: String,
    /// `None` of one of another account: this machine does not have it.
    pub code: Option<CodeArchive>,
}

/// The ARN of a layer.
pub fn layer_arn(region: &str, layer: &str) -> String {
    CloudContext::arn("lambda", region, &format!("layer:{layer}"))
}

/// The ARN of a version.
pub fn version_arn(region: &str, layer: &str, number: u64) -> String {
    format!("{}:{number}", layer_arn(region, layer))
}

impl LayerVersion {
    /// The version as lists show it.
    pub fn listed(&self, region: &str, layer: &str, number: u64) -> Value {
        let mut shown = json!({
            "LayerVersionArn": version_arn(region, layer, number),
            "Version": number,
            "Description": self.description,
            "CreatedDate": self.created,
        });
        let optional = [
            ("CompatibleArchitectures", self.architectures.as_ref().map(|all| json!(all))),
            ("CompatibleRuntimes", self.runtimes.as_ref().map(|all| json!(all))),
            ("LicenseInfo", self.license.as_ref().map(|text| json!(text))),
        ];
        for (name, value) in optional {
            shown[name] = value.unwrap_or_default();
        }
        if let Value::Object(members) = &mut shown {
            members.retain(|_, value| !value.is_null());
        }
        shown
    }

    /// The policy as `GetLayerVersionPolicy` shows it.
    pub fn policy(&self) -> String {
        let statements: Vec<&Value> = self.policy.iter().map(|(_, statement)| statement).collect();
        json!({ "Version": "2012-10-17", "Id": "default", "Statement": statements }).to_string()
    }

    /// The policy's revision, which changes with every change of it.
    pub fn revision(&self, arn: &str) -> String {
        let digest = hex::encode(Sha256::digest(format!("{arn} {}", self.policy_revision)));
        format!("{}-{}-{}-{}-{}", &digest[..8], &digest[8..12], &digest[12..16], &digest[16..20], &digest[20..32])
    }
}
