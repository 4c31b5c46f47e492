//! Amazon S3: buckets and objects, as far as deployers, functions and their clients use them: whole and multipart uploads, ranges,
//! conditions, lists, tags, presigned URLs and forms, CORS, and the notifications of a bucket to functions, queues, topics and EventBridge.
//!
//! ```text
//! operations (table, routes) --> buckets, objects_api, form, uploads, lists, settings --> objects (files and their index)
//!                                                 |--> notifications (configuration) --> events (what is sent)
//! content (bodies in, hashes), xml; ports: ControlledResources (Cloud Control), TaggedResources, ObjectStore (code of functions)
//! ```
//!
//! One version of an object is kept, whatever a bucket's versioning says. Settings that change nothing here are kept and given back.

mod buckets;
mod call;
mod checksum;
mod content;
mod controlled;
mod cors;
mod error;
mod events;
mod form;
mod lists;
mod notifications;
mod objects;
mod objects_api;
mod operations;
mod ports;
mod presigned;
mod required_permissions;
mod settings;
#[cfg(test)]
mod tests;
mod uploads;
mod xml;

use std::collections::BTreeMap;
use std::io;
use std::sync::{Arc, OnceLock};

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use self::notifications::Notification;
use self::objects::Objects;
use super::context::CloudContext;
use super::context::ports::{Callers, DeliveryTarget, EventBus, Functions};
use crate::local::context::store::PersistedState;
use crate::local::protocol::wire::ApiError;

/// The name of the buckets' file.
const FILE: &str = "s3";

/// The database of the objects, and the folders with their contents and with what is on its way in.
const DATABASE: &str = "s3-objects.sqlite";
const OBJECTS: &str = "s3-objects";
const INCOMING: &str = "s3-incoming";

/// S3.
pub struct S3 {
    context: CloudContext,
    state: PersistedState<State>,
    objects: Objects,
    receivers: Receivers,
    /// Who may call, for presigned URLs, whose signatures are checked.
    callers: OnceLock<Arc<dyn Callers>>,
}

/// Where notifications go.
pub struct Receivers {
    pub functions: Arc<dyn Functions>,
    /// Queues and topics.
    pub others: Vec<Arc<dyn DeliveryTarget>>,
    pub bus: Arc<dyn EventBus>,
}

/// The buckets by name, which is theirs in all regions.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct State {
    buckets: BTreeMap<String, Bucket>,
}

/// One bucket, without its objects.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct Bucket {
    pub region: String,
    /// Milliseconds since the epoch.
    pub created: i64,
    #[serde(default)]
    pub tags: BTreeMap<String, String>,
    #[serde(default)]
    pub notifications: Vec<Notification>,
    /// Whether EventBridge gets all events.
    #[serde(default)]
    pub sends_to_bus: bool,
    /// What was set by calls of S3's: the name of the sub-resource (`cors`), and the document as it was sent.
    #[serde(default)]
    pub settings: BTreeMap<String, String>,
    /// What Cloud Control gave it in CloudFormation's properties, besides what stands above.
    #[serde(default)]
    pub properties: Map<String, Value>,
}

impl State {
    /// # Errors
    /// `NoSuchBucket` for an unknown one.
    pub fn bucket(&self, name: &str) -> Result<&Bucket, ApiError> {
        self.buckets.get(name).ok_or_else(|| error::no_bucket(name))
    }

    /// # Errors
    /// `NoSuchBucket` for an unknown one.
    pub fn bucket_mut(&mut self, name: &str) -> Result<&mut Bucket, ApiError> {
        self.buckets.get_mut(name).ok_or_else(|| error::no_bucket(name))
    }
}

/// The ARN of a bucket, or of an object in it.
pub fn arn(path: &str) -> String {
    format!("arn:aws:s3:::{path}")
}

impl S3 {
    /// Opens the service with its persisted buckets and objects.
    ///
    /// # Errors
    /// When they cannot be read.
    pub fn open(context: &CloudContext, receivers: Receivers) -> io::Result<Arc<Self>> {
        let store = &context.store;
        let incoming = store.path(INCOMING);
        // What a killed process had half of.
        match std::fs::remove_dir_all(&incoming) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => std::fs::create_dir_all(&incoming)?,
        }
        let objects = Objects::open(&store.path(DATABASE), store.path(OBJECTS))?;
        let state = PersistedState::open(store.clone(), FILE, error::broken::<io::Error>)?;
        let callers = OnceLock::new();
        Ok(Arc::new(Self { context: context.clone(), state, objects, receivers, callers }))
    }

    /// Connects the service with those who check callers.
    pub fn set_callers(&self, callers: Arc<dyn Callers>) {
        // Set once, when the cloud starts.
        let _ = self.callers.set(callers);
    }
}
