//! What is kept: resources by region, type and identifier, and the requests that made them so.

use std::collections::BTreeMap;

use serde::{Deserialize, Deserializer, Serialize};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use crate::local::context::clock::now_millis;
use crate::local::context::ports::KeptValue;

/// How long a client token, and with it a request, is remembered: 36 hours (API reference, `CreateResource`).
const REMEMBERED: i64 = 36 * 60 * 60 * 1000;

/// All regions.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct Records {
    regions: BTreeMap<String, Region>,
}

/// Resources by type and identifier, and requests in the order in which they came.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct Region {
    pub resources: BTreeMap<String, BTreeMap<String, Record>>,
    pub requests: Vec<Request>,
}

/// One resource.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Record {
    /// All its properties, those that AWS minted and those that no reading gives among them.
    pub model: Value,
    /// From when on it is there, in milliseconds since the epoch.
    pub from: i64,
    /// Until when it is there.
    pub until: Option<i64>,
    /// The last versions of the value that it keeps, the last one last.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub values: Vec<KeptValue>,
    /// How many versions there were before those.
    #[serde(default)]
    pub dropped: usize,
}

impl Record {
    /// One that is there from a time on.
    pub fn new(model: Value, from: i64) -> Self {
        Self { model, from, until: None, values: Vec::new(), dropped: 0 }
    }

    fn is_there(&self, now: i64) -> bool {
        self.from <= now && self.until.is_none_or(|until| now < until)
    }
}

/// One request to change something.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Request {
    pub token: String,
    pub client_token: Option<String>,
    /// The digest of what was asked for: the same client token with another input is a mistake. (The input itself may be a secret.)
    #[serde(deserialize_with = "digest_or_input")]
    pub input: String,
    pub type_name: String,
    pub operation: String,
    pub identifier: String,
    pub began: i64,
    pub ends: i64,
    /// Error code and message of one that fails.
    pub failure: Option<(String, String)>,
}

/// The digest of an input.
pub fn digest(input: &Value) -> String {
    hex::encode(Sha256::digest(input.to_string()))
}

/// A digest; older builds kept the input.
fn digest_or_input<'de, D: Deserializer<'de>>(from: D) -> Result<String, D::Error> {
    Ok(match Value::deserialize(from)? {
        Value::String(digest) => digest,
        input => digest(&input),
    })
}

impl Request {
    /// Its status now.
    pub fn status(&self) -> &'static str {
        match &self.failure {
            _ if now_millis() < self.ends => "IN_PROGRESS",
            None => "SUCCESS",
            Some(_) => "FAILED",
        }
    }

    /// As AWS describes it.
    pub fn event(&self) -> Value {
        let status = self.status();
        let time = if status == "IN_PROGRESS" { self.began } else { self.ends };
        let mut event = json!({
            "TypeName": self.type_name,
            "RequestToken": self.token,
            "Operation": self.operation,
            "OperationStatus": status,
            "EventTime": time as f64 / 1000.0,
        });
        if !self.identifier.is_empty() {
            event["Identifier"] = self.identifier.as_str().into();
        }
        if let (Some((code, message)), "FAILED") = (&self.failure, status) {
            event["ErrorCode"] = code.as_str().into();
            event["StatusMessage"] = message.as_str().into();
        }
        event
    }
}

impl Records {
    /// A region, without what is gone or forgotten.
    pub fn region(&mut self, region: &str) -> &mut Region {
        let now = now_millis();
        let region = self.regions.entry(region.to_owned()).or_default();
        for records in region.resources.values_mut() {
            records.retain(|_, record| record.until.is_none_or(|until| now < until));
        }
        region.requests.retain(|request| now - request.began < REMEMBERED);
        region
    }

    /// The names of all regions that were ever used.
    pub fn regions(&self) -> Vec<String> {
        self.regions.keys().cloned().collect()
    }

    /// A region as it was last changed.
    pub fn read(&self, region: &str) -> Option<&Region> {
        self.regions.get(region)
    }

    /// All resources that are there: type, identifier, record.
    pub fn there<'a>(&'a self, region: &str) -> impl Iterator<Item = (&'a str, &'a str, &'a Record)> {
        let now = now_millis();
        let types = self.regions.get(region).into_iter().flat_map(|region| &region.resources);
        let all = types.flat_map(|(type_name, records)| {
            records.iter().map(move |(identifier, record)| (type_name.as_str(), identifier.as_str(), record))
        });
        all.filter(move |(.., record)| record.is_there(now))
    }
}

impl Region {
    /// A resource that is there.
    pub fn record(&self, type_name: &str, identifier: &str) -> Option<&Record> {
        let record = self.resources.get(type_name)?.get(identifier)?;
        record.is_there(now_millis()).then_some(record)
    }

    /// Whether something is under way with a resource.
    pub fn is_busy(&self, type_name: &str, identifier: &str) -> bool {
        let mut its = self
            .requests
            .iter()
            .filter(|one| (one.type_name.as_str(), one.identifier.as_str()) == (type_name, identifier));
        its.any(|request| request.status() == "IN_PROGRESS")
    }
}
