//! The state of all functions; all of it is persisted.

use std::collections::{BTreeMap, HashSet};
use std::io;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use time::OffsetDateTime;
use time::macros::format_description;
use uuid::Uuid;

use super::error;
use super::event_invoke_config::EventInvokeConfig;
use super::layer::Layers;
use super::mapping::Mapping;
use super::name::{FunctionId, LATEST, Reference};
use super::packages::{self, CodeArchive};
use super::policy::Policy;
use super::settings::Settings;
use crate::local::context::store::{PersistedState, Store};
use crate::local::protocol::wire::ApiError;

/// The name of the state's file.
const FILE: &str = "lambda";

/// All functions, by region, then by name; and all layers.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct State {
    regions: BTreeMap<String, BTreeMap<String, Function>>,
    /// Event source mappings by region, then by UUID. They outlive their functions.
    #[serde(default)]
    pub(super) mappings: BTreeMap<String, BTreeMap<String, Mapping>>,
    /// By region.
    #[serde(default)]
    pub layers: BTreeMap<String, Layers>,
}

/// One function with its versions, aliases, policies and tags.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Function {
    pub latest: Version,
    /// Published versions.
    pub versions: BTreeMap<u64, Version>,
    /// The last number given to a version: numbers are never reused.
    pub last_version: u64,
    pub aliases: BTreeMap<String, Alias>,
    /// Resource policies by qualifier; the function's own is under the empty one.
    pub policies: BTreeMap<String, Policy>,
    pub tags: BTreeMap<String, String>,
    pub reserved_concurrency: Option<u32>,
    /// By qualifier, `$LATEST` for the function's own.
    #[serde(default)]
    pub event_invoke_configs: BTreeMap<String, EventInvokeConfig>,
    /// The description of `$LATEST` when the newest version was published: the version may have its own description.
    #[serde(default)]
    pub published_description: Option<String>,
}

/// `$LATEST` or a published version. Its states are computed from the clock, so they need no timers and survive a restart.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Version {
    pub deployment: Deployment,
    /// The deployment that runs while an update is in progress.
    previous: Option<Box<Deployment>>,
    /// When `Pending` ends and when the last update finishes, in milliseconds since the epoch.
    active_at: i64,
    updated_at: i64,
    #[serde(default = "Revision::new")]
    revision: Revision,
}

/// The `RevisionId`: one id until the transient state after a change ends, another one from then on. Recorded
/// answers of AWS (LocalStack's snapshots of `test_function_revisions_*`): `$LATEST` has another id after each change of
/// its code, configuration or policy, after each version that is published from it, and again when it has become
/// `Active` or an update has finished; a published version keeps its id when it becomes `Active`.
#[derive(Debug, Clone, Serialize, Deserialize)]
struct Revision {
    passing: String,
    settled: String,
}

/// Code and settings of one version: an execution environment runs one deployment.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Deployment {
    pub settings: Settings,
    pub code: CodeArchive,
    /// Identifies a deployment: environments are pooled by it. `Version::revision_id` is what callers see.
    pub revision_id: String,
    pub last_modified: String,
}

/// A name for a version.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Alias {
    pub function_version: String,
    pub description: String,
    /// The one other version that gets a share of the invocations, and its share between 0 and 1.
    pub additional: Option<(String, f64)>,
    pub revision_id: String,
}

impl State {
    pub fn function(&self, id: &FunctionId) -> Result<&Function, ApiError> {
        self.regions
            .get(&id.region)
            .and_then(|functions| functions.get(&id.name))
            .ok_or_else(|| error::no_function(&id.arn()))
    }

    pub fn function_mut(&mut self, id: &FunctionId) -> Result<&mut Function, ApiError> {
        self.regions
            .get_mut(&id.region)
            .and_then(|functions| functions.get_mut(&id.name))
            .ok_or_else(|| error::no_function(&id.arn()))
    }

    /// The functions of a region, by name.
    pub fn functions(&self, region: &str) -> impl Iterator<Item = (FunctionId, &Function)> {
        let functions = self.regions.get(region).into_iter().flatten();
        functions.map(move |(name, function)| (FunctionId { region: region.to_owned(), name: name.clone() }, function))
    }

    /// The functions of all regions, each with its region and its name.
    pub fn all(&self) -> impl Iterator<Item = (&String, &String, &Function)> {
        let regions = self.regions.iter();
        regions.flat_map(|(region, functions)| functions.iter().map(move |(name, function)| (region, name, function)))
    }

    pub fn insert(&mut self, id: &FunctionId, function: Function) {
        self.regions.entry(id.region.clone()).or_default().insert(id.name.clone(), function);
    }

    pub fn remove(&mut self, id: &FunctionId) -> Option<Function> {
        self.regions.get_mut(&id.region)?.remove(&id.name)
    }

    /// The version that a reference selects, with its number.
    ///
    /// # Errors
    /// `ResourceNotFoundException` for an unknown function, version or alias.
    pub fn version(&self, reference: &Reference) -> Result<(&Function, String, &Version), ApiError> {
        let missing = || error::no_function(&reference.arn());
        let function = self.function(&reference.id).map_err(|_| missing())?;
        let number = match reference.qualifier.as_deref() {
            None => LATEST,
            Some(name) => function.aliases.get(name).map_or(name, |alias| &alias.function_version),
        };
        let version = function.version(number).ok_or_else(missing)?;
        Ok((function, number.to_owned(), version))
    }

    /// A mapping that is there.
    ///
    /// # Errors
    /// `ResourceNotFoundException` for an unknown one.
    pub fn mapping(&self, region: &str, uuid: &str) -> Result<&Mapping, ApiError> {
        let found = self.mappings.get(region).and_then(|mappings| mappings.get(uuid));
        found.filter(|mapping| !mapping.is_gone()).ok_or_else(error::no_mapping)
    }

    /// # Errors
    /// `ResourceNotFoundException` for an unknown one.
    pub fn mapping_mut(&mut self, region: &str, uuid: &str) -> Result<&mut Mapping, ApiError> {
        let found = self.mappings.get_mut(region).and_then(|mappings| mappings.get_mut(uuid));
        found.filter(|mapping| !mapping.is_gone()).ok_or_else(error::no_mapping)
    }

    /// The mappings of all regions: region, UUID, mapping.
    pub fn mappings(&self) -> impl Iterator<Item = (&String, &String, &Mapping)> {
        let all = self.mappings.iter();
        let all = all.flat_map(|(region, mappings)| mappings.iter().map(move |(uuid, one)| (region, uuid, one)));
        all.filter(|(.., mapping)| !mapping.is_gone())
    }

    /// The SHA-256 of all code in use, in hexadecimal.
    pub fn code_in_use(&self) -> HashSet<String> {
        let functions = self.regions.values().flat_map(BTreeMap::values);
        let versions =
            functions.flat_map(|function| std::iter::once(&function.latest).chain(function.versions.values()));
        let now = now();
        let deployments = versions.flat_map(|version| [version.serving(now), &version.deployment]);
        let layers = self.layers.values().flat_map(BTreeMap::values).flat_map(|layer| layer.versions.values());
        deployments.flat_map(Deployment::files).chain(layers.map(|version| version.code.hex())).collect()
    }
}

impl Function {
    /// `$LATEST` or a published version, by its number.
    pub fn version(&self, number: &str) -> Option<&Version> {
        if number == LATEST { Some(&self.latest) } else { self.versions.get(&number.parse().ok()?) }
    }

    /// Whether any version still uses the deployment with this revision id.
    pub fn serves(&self, revision_id: &str) -> bool {
        let now = now();
        std::iter::once(&self.latest)
            .chain(self.versions.values())
            .any(|version| version.serving(now).revision_id == revision_id)
    }
}

impl Version {
    /// `$LATEST` of a new function, `Pending` for the given time.
    pub fn new(deployment: Deployment, pending: Duration) -> Self {
        let active_at = now() + pending.as_millis() as i64;
        Self { deployment, previous: None, active_at, updated_at: 0, revision: Revision::new() }
    }

    /// A published version, `Pending` for the given time.
    pub fn published(deployment: Deployment, pending: Duration) -> Self {
        let id = Uuid::new_v4().to_string();
        Self { revision: Revision { passing: id.clone(), settled: id }, ..Self::new(deployment, pending) }
    }

    /// Replaces the deployment; until `updating` has passed, the old one still runs.
    pub fn update(&mut self, deployment: Deployment, updating: Duration) {
        let old = std::mem::replace(&mut self.deployment, deployment);
        self.previous = Some(Box::new(old));
        self.updated_at = now() + updating.as_millis() as i64;
        self.revise();
    }

    /// Gives the version a new `RevisionId`.
    pub fn revise(&mut self) {
        self.revision = Revision::new();
    }

    /// The current `RevisionId`.
    pub fn revision_id(&self) -> &str {
        self.revision_id_at(now())
    }

    fn revision_id_at(&self, now: i64) -> &str {
        if now < self.active_at || now < self.updated_at { &self.revision.passing } else { &self.revision.settled }
    }

    /// The deployment that an invocation at `now` runs.
    pub fn serving(&self, now: i64) -> &Deployment {
        match &self.previous {
            Some(previous) if now < self.updated_at => previous,
            _ => &self.deployment,
        }
    }

    /// # Errors
    /// `ResourceConflictException` while the function is `Pending`.
    pub fn must_be_active(&self) -> Result<(), ApiError> {
        if now() < self.active_at {
            return Err(error::conflict(
                "The operation cannot be performed at this time. The function is currently in the following state: Pending",
            ));
        }
        Ok(())
    }

    /// # Errors
    /// `ResourceConflictException` while the function is `Pending` or an update is in progress.
    pub fn must_be_settled(&self, id: &FunctionId) -> Result<(), ApiError> {
        self.must_be_active()?;
        if now() < self.updated_at {
            let message = format!(
                "The operation cannot be performed at this time. An update is in progress for resource: {}",
                id.arn()
            );
            return Err(error::conflict(message));
        }
        Ok(())
    }

    /// `FunctionConfiguration` as in `ListFunctions`, without the members that only `GetFunction` and others return. `arn` is the
    /// ARN in the caller's form.
    pub fn listed(&self, id: &FunctionId, arn: &str, number: &str) -> Value {
        let deployment = &self.deployment;
        let mut members = json!({
            "FunctionName": id.name,
            "FunctionArn": arn,
            "CodeSize": deployment.code.size,
            "CodeSha256": deployment.code.sha256,
            "LastModified": deployment.last_modified,
            "Version": number,
            "RevisionId": self.revision_id(),
        });
        if let (Value::Object(all), Value::Object(settings)) = (&mut members, deployment.settings.members(&id.region)) {
            all.extend(settings);
            all.shift_remove("RuntimeVersionConfig");
        }
        members
    }

    /// `FunctionConfiguration`.
    pub fn configuration(&self, id: &FunctionId, arn: &str, number: &str) -> Value {
        let mut members = self.listed(id, arn, number);
        let version = self.deployment.settings.members(&id.region)["RuntimeVersionConfig"].take();
        if !version.is_null() {
            members["RuntimeVersionConfig"] = version;
        }
        // One time for all states below.
        let now = now();
        members["RevisionId"] = json!(self.revision_id_at(now));
        let creating = [("Reason", "The function is being created."), ("ReasonCode", "Creating")];
        if now < self.active_at {
            members["State"] = json!("Pending");
            for (suffix, text) in creating {
                members[format!("State{suffix}")] = json!(text);
            }
        } else {
            members["State"] = json!("Active");
            members["LastUpdateStatus"] = json!("Successful");
        }
        if now < self.updated_at {
            members["LastUpdateStatus"] = json!("InProgress");
            for (suffix, text) in creating {
                members[format!("LastUpdateStatus{suffix}")] = json!(text);
            }
        }
        members
    }
}

impl Revision {
    fn new() -> Self {
        Self { passing: Uuid::new_v4().to_string(), settled: Uuid::new_v4().to_string() }
    }
}

impl Deployment {
    /// What it needs of the stored files, by the names of their folders.
    pub fn files(&self) -> Vec<String> {
        let layers: Vec<CodeArchive> = self.settings.layers.iter().filter_map(|layer| layer.code.clone()).collect();
        let merged = packages::merged_name(&layers);
        layers.iter().chain([&self.code]).map(CodeArchive::hex).chain(merged).collect()
    }

    /// A deployment that is created now.
    pub fn new(settings: Settings, code: CodeArchive) -> Self {
        Self { settings, code, revision_id: Uuid::new_v4().to_string(), last_modified: lambda_date() }
    }
}

/// The state in memory and on disk.
pub type Registry = PersistedState<State>;

/// Loads what was last saved.
///
/// # Errors
/// When the file exists and cannot be read.
pub fn open(store: Store) -> io::Result<Registry> {
    PersistedState::open(store, FILE, |error| error::service(format!("cannot save Lambda's state: {error}")))
}

/// Milliseconds since the epoch.
pub fn now() -> i64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |passed| passed.as_millis() as i64)
}

/// The time as `LastModified` shows it: `2026-01-02T03:04:05.678+0000`.
pub fn lambda_date() -> String {
    let format = format_description!("[year]-[month]-[day]T[hour]:[minute]:[second].[subsecond digits:3]+0000");
    OffsetDateTime::now_utc().format(format).unwrap_or_default()
}
