//! The state of tables that the engine does not have: transient states, encryption, point-in-time recovery.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::engine::{fault, invalid};
use crate::local::protocol::wire::{ApiError, null_member};

/// A region's tables, by name; saved as `dynamodb-REGION` in the store. An active table without settings here may be missing.
pub type Tables = BTreeMap<String, Table>;

#[derive(Debug, Default, Clone, Serialize, Deserialize)]
#[serde(default)]
pub struct Table {
    /// The state that the table leaves by itself. `passing` is its name in the files of earlier versions.
    #[serde(rename = "passing")]
    transition: Option<Transition>,
    /// The last change of time to live, while it is in progress.
    pub ttl_change: Option<TtlChange>,
    pub encryption: Option<Encryption>,
    pub recovery: Option<Recovery>,
    /// The view of the table's stream; the engine's stream always has both images.
    pub stream_view: Option<String>,
}

/// A transient state.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
struct Transition {
    state: TableState,
    /// Milliseconds since the epoch.
    until: i64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum TableState {
    Creating,
    Updating,
    Deleting,
    Active,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct TtlChange {
    pub attribute: String,
    /// Milliseconds since the epoch.
    pub until: i64,
}

/// Server-side encryption, as it was requested last.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Encryption {
    pub enabled: bool,
    pub key_arn: String,
}

/// Enabled point-in-time recovery.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Recovery {
    /// Milliseconds since the epoch.
    pub since: i64,
    pub days: i64,
}

impl Table {
    /// Puts the table into a transient state until `until`.
    pub fn enter(&mut self, state: TableState, until: i64) {
        self.transition = Some(Transition { state, until });
    }

    /// The state of the table at `now`. A table in deletion stays `DELETING` until it is removed.
    pub fn state(&self, now: i64) -> TableState {
        match self.transition {
            Some(transition) if transition.until > now || transition.state == TableState::Deleting => transition.state,
            _ => TableState::Active,
        }
    }

    /// Whether the table's deletion is due: its time as `DELETING` is over.
    pub fn is_gone(&self, now: i64) -> bool {
        self.transition.is_some_and(|transition| transition.state == TableState::Deleting && transition.until <= now)
    }

    /// Updates the engine's description with the table's state at `now`.
    pub fn describe(&self, description: &mut Value, now: i64) {
        let state = self.state(now);
        if let Some(view) = &self.stream_view
            && description["StreamSpecification"]["StreamEnabled"] == true
        {
            description["StreamSpecification"]["StreamViewType"] = json!(view);
        }
        if state != TableState::Active {
            description["TableStatus"] = json!(state.as_str());
        }
        if let Some(encryption) = &self.encryption {
            let changing = state == TableState::Updating;
            if encryption.enabled || changing {
                description["SSEDescription"] = json!({
                    "Status": if changing { "UPDATING" } else { "ENABLED" },
                    "SSEType": "KMS",
                    "KMSMasterKeyArn": encryption.key_arn,
                });
            } else if let Some(members) = description.as_object_mut() {
                members.shift_remove("SSEDescription");
            }
        }
        if state == TableState::Creating
            && let Some(indexes) = description["GlobalSecondaryIndexes"].as_array_mut()
        {
            for index in indexes {
                index["IndexStatus"] = json!(state.as_str());
            }
        }
        // A table in deletion is described without its schema (`DeleteTable`, API reference).
        if state == TableState::Deleting
            && let Some(members) = description.as_object_mut()
        {
            for member in ["AttributeDefinitions", "CreationDateTime", "KeySchema"] {
                members.shift_remove(member);
            }
        }
    }
}

impl TableState {
    /// Checks that the table can be changed: it is `ACTIVE`.
    ///
    /// # Errors
    /// `ResourceInUseException` with the state.
    pub fn check_changeable(self, name: &str) -> Result<(), ApiError> {
        let doing = match self {
            Self::Active => return Ok(()),
            Self::Creating => "created",
            Self::Updating => "updated",
            Self::Deleting => "deleted",
        };
        let message = format!("Attempt to change a resource which is still in use: Table is being {doing}: {name}");
        Err(fault("ResourceInUseException", message))
    }

    /// Whether items can be read and written.
    pub fn serves_items(self) -> bool {
        matches!(self, Self::Active | Self::Updating)
    }

    fn as_str(self) -> &'static str {
        match self {
            Self::Creating => "CREATING",
            Self::Updating => "UPDATING",
            Self::Deleting => "DELETING",
            Self::Active => "ACTIVE",
        }
    }
}

impl Recovery {
    /// Parses a `PointInTimeRecoverySpecification`; `None` where it disables recovery.
    ///
    /// # Errors
    /// `ValidationException` for a missing or an invalid member.
    pub fn read(specification: &Value, now: i64) -> Result<Option<Self>, ApiError> {
        let Some(enabled) = specification["PointInTimeRecoveryEnabled"].as_bool() else {
            let member = "pointInTimeRecoverySpecification.pointInTimeRecoveryEnabled";
            return Err(missing(member));
        };
        let days = specification["RecoveryPeriodInDays"].as_i64().unwrap_or(35);
        if !(1..=35).contains(&days) {
            return Err(invalid(format!(
                "1 validation error detected: Value '{days}' at \
                 'pointInTimeRecoverySpecification.recoveryPeriodInDays' failed to satisfy constraint: Member must \
                 have value {}",
                if days < 1 { "greater than or equal to 1" } else { "less than or equal to 35" }
            )));
        }
        Ok(enabled.then_some(Self { since: now, days }))
    }

    /// A `ContinuousBackupsDescription`.
    pub fn described(recovery: Option<&Self>, now: i64) -> Value {
        let seconds = |millis: i64| millis as f64 / 1000.0;
        let recovery = match recovery {
            Some(recovery) => json!({
                "PointInTimeRecoveryStatus": "ENABLED",
                "RecoveryPeriodInDays": recovery.days,
                "EarliestRestorableDateTime": seconds(recovery.since),
                "LatestRestorableDateTime": seconds(now),
            }),
            None => json!({ "PointInTimeRecoveryStatus": "DISABLED" }),
        };
        json!({
            "ContinuousBackupsDescription": {
                "ContinuousBackupsStatus": "ENABLED",
                "PointInTimeRecoveryDescription": recovery,
            }
        })
    }
}

/// Adds `DeletionProtectionEnabled: false`, which the engine omits.
pub fn describe_protection(description: &mut Value) {
    if description["DeletionProtectionEnabled"].is_null() {
        description["DeletionProtectionEnabled"] = json!(false);
    }
}

/// The error for a missing member.
pub fn missing(member: &str) -> ApiError {
    invalid(null_member(member))
}
