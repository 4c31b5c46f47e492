//! `AWS::DynamoDB::Table`.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::iam_permissions::{ANY, Permissions, Roles, Subject, kms_key};
use super::tags::Tags;
use super::{
    Action, Attribute, Change, Kind, Naming, PlanView, Planning, ResourceView, StepEffects, StepView, names, tags,
    to_value,
};
use crate::core::words::{Path, Problem, ProblemKind, Scope, Token, deserialize};

pub const TYPE: &str = names::TABLE;

/// The property that enables a table's stream.
pub(crate) const STREAM: &str = "StreamSpecification";

/// A DynamoDB table.
pub struct Table;

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct Props {
    pub(crate) table_name: Option<String>,
    pub(crate) attribute_definitions: Vec<AttributeDefinition>,
    pub(crate) key_schema: Vec<KeyElement>,
    #[serde(default = "provisioned")]
    pub(crate) billing_mode: BillingMode,
    pub(crate) provisioned_throughput: Option<Throughput>,
    #[serde(default)]
    pub(crate) global_secondary_indexes: Vec<GlobalIndex>,
    #[serde(default)]
    pub(crate) local_secondary_indexes: Vec<LocalIndex>,
    pub(crate) stream_specification: Option<Stream>,
    #[serde(rename = "SSESpecification", default)]
    pub(crate) sse_specification: Sse,
    pub(crate) time_to_live_specification: Option<TimeToLive>,
    #[serde(default)]
    pub(crate) point_in_time_recovery_specification: PointInTimeRecovery,
    #[serde(default)]
    pub(crate) deletion_protection_enabled: bool,
    #[serde(default = "standard")]
    pub(crate) table_class: TableClass,
    #[serde(default, deserialize_with = "tags::deserialize")]
    pub(crate) tags: Tags,
}

#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct AttributeDefinition {
    pub(crate) attribute_name: String,
    pub(crate) attribute_type: AttributeType,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub(crate) enum AttributeType {
    S,
    N,
    B,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct KeyElement {
    pub(crate) attribute_name: String,
    pub(crate) key_type: KeyType,
    /// Put in from the definitions: a key of another type is another key.
    pub(crate) attribute_type: Option<AttributeType>,
}

#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
pub(crate) enum KeyType {
    Hash,
    Range,
}

#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub(crate) enum BillingMode {
    #[serde(rename = "PROVISIONED")]
    Provisioned,
    #[serde(rename = "PAY_PER_REQUEST")]
    PayPerRequest,
}

#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct Throughput {
    pub(crate) read_capacity_units: i64,
    pub(crate) write_capacity_units: i64,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct GlobalIndex {
    pub(crate) index_name: String,
    pub(crate) key_schema: Vec<KeyElement>,
    pub(crate) projection: Projection,
    pub(crate) provisioned_throughput: Option<Throughput>,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct LocalIndex {
    pub(crate) index_name: String,
    pub(crate) key_schema: Vec<KeyElement>,
    pub(crate) projection: Projection,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct Projection {
    pub(crate) projection_type: ProjectionType,
    #[serde(default)]
    pub(crate) non_key_attributes: Vec<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub(crate) enum ProjectionType {
    #[serde(rename = "ALL")]
    All,
    #[serde(rename = "KEYS_ONLY")]
    KeysOnly,
    #[serde(rename = "INCLUDE")]
    Include,
}

#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct Stream {
    pub(crate) stream_view_type: StreamViewType,
}

#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub(crate) enum StreamViewType {
    #[serde(rename = "KEYS_ONLY")]
    KeysOnly,
    #[serde(rename = "NEW_IMAGE")]
    NewImage,
    #[serde(rename = "OLD_IMAGE")]
    OldImage,
    #[serde(rename = "NEW_AND_OLD_IMAGES")]
    NewAndOldImages,
}

#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct Sse {
    /// Off means a key that DynamoDB owns; the table is encrypted all the same.
    #[serde(rename = "SSEEnabled")]
    pub(crate) enabled: bool,
    #[serde(rename = "SSEType")]
    pub(crate) sse_type: Option<SseType>,
    /// A key's id or ARN, or an alias or its ARN; without it, the key that AWS manages in the account for DynamoDB.
    #[serde(rename = "KMSMasterKeyId")]
    pub(crate) key: Option<String>,
}

impl Sse {
    /// The key of a table as this type has it. Of a table DynamoDB reports the ARN of its key, whatever it was asked for:
    /// `reported`. `recorded` is what it was asked for, from the table's tag (`tags::KEY`).
    pub(crate) fn read_key(reported: Option<&str>, recorded: Option<&str>) -> Option<String> {
        // The key that AWS manages has an ARN like any other.
        let recorded = recorded?;
        let is_same = reported.is_none_or(|arn| {
            let (_, name) = recorded.rsplit_once(':').unwrap_or(("", recorded));
            // Where an alias leads to is not asked.
            arn == recorded
                || name.starts_with("alias/")
                || arn.rsplit_once(":key/").is_some_and(|(_, id)| id == recorded)
        });
        Some(if is_same { recorded } else { reported? }.to_owned())
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub(crate) enum SseType {
    #[serde(rename = "KMS")]
    Kms,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct TimeToLive {
    pub(crate) attribute_name: Option<String>,
    pub(crate) enabled: bool,
}

#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct PointInTimeRecovery {
    #[serde(default)]
    pub(crate) point_in_time_recovery_enabled: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub(crate) enum TableClass {
    #[serde(rename = "STANDARD")]
    Standard,
    #[serde(rename = "STANDARD_INFREQUENT_ACCESS")]
    InfrequentAccess,
}

fn provisioned() -> BillingMode {
    BillingMode::Provisioned
}

fn standard() -> TableClass {
    TableClass::Standard
}

impl Props {
    /// One spelling for what AWS treats alike.
    /// What DynamoDB would refuse of the keys: each attribute of theirs must be defined, and no other.
    pub(crate) fn undefined(&self) -> Vec<Problem> {
        let root = Path::default();
        let mut keys = vec![(root.clone(), &self.key_schema)];
        let place = root.key("GlobalSecondaryIndexes");
        keys.extend(
            self.global_secondary_indexes.iter().enumerate().map(|(at, one)| (place.index(at), &one.key_schema)),
        );
        let place = root.key("LocalSecondaryIndexes");
        keys.extend(
            self.local_secondary_indexes.iter().enumerate().map(|(at, one)| (place.index(at), &one.key_schema)),
        );
        let defined: Vec<&str> = self.attribute_definitions.iter().map(|one| one.attribute_name.as_str()).collect();
        let mut used = BTreeSet::new();
        let mut problems = Vec::new();
        for (place, schema) in keys {
            for (at, key) in schema.iter().enumerate() {
                let name = key.attribute_name.as_str();
                used.insert(name);
                if !defined.contains(&name) && !Token::is_in(name) {
                    let path = place.key("KeySchema").index(at).key("AttributeName");
                    let problem = Problem::new(path, format!("AttributeDefinitions does not define \"{name}\""))
                        .kind(ProblemKind::BadReference);
                    problems.push(problem.suggest(name, defined.iter().copied()));
                }
            }
        }
        // One that is defined and not used may be the one that is meant above.
        if problems.is_empty() {
            for (at, name) in
                defined.iter().enumerate().filter(|(_, name)| !used.contains(*name) && !Token::is_in(name))
            {
                let path = root.key("AttributeDefinitions").index(at).key("AttributeName");
                let what = format!("no key of the table or its indexes uses the attribute \"{name}\"");
                problems.push(Problem::new(path, what).help("define the attributes of keys alone"));
            }
        }
        problems
    }

    pub(crate) fn canonical(mut self) -> Self {
        self.attribute_definitions.sort();
        let definitions = &self.attribute_definitions;
        let keys = self
            .key_schema
            .iter_mut()
            .chain(self.global_secondary_indexes.iter_mut().flat_map(|index| &mut index.key_schema))
            .chain(self.local_secondary_indexes.iter_mut().flat_map(|index| &mut index.key_schema));
        for key in keys {
            let definition = definitions.iter().find(|definition| definition.attribute_name == key.attribute_name);
            key.attribute_type = definition.map(|definition| definition.attribute_type);
        }
        self.global_secondary_indexes.sort_by(|one, other| one.index_name.cmp(&other.index_name));
        self.local_secondary_indexes.sort_by(|one, other| one.index_name.cmp(&other.index_name));
        for index in &mut self.global_secondary_indexes {
            index.projection.non_key_attributes.sort();
        }
        for index in &mut self.local_secondary_indexes {
            index.projection.non_key_attributes.sort();
        }
        if self.time_to_live_specification.as_ref().is_some_and(|ttl| !ttl.enabled) {
            self.time_to_live_specification = None;
        }
        // KMS is the only type there is, and the default where encryption with a key of one's own is on.
        let sse = &mut self.sse_specification;
        sse.sse_type = sse.enabled.then_some(SseType::Kms);
        // "If disabled (false) or not specified, server-side encryption is set to AWS owned key" (SSESpecification, API reference).
        sse.key = sse.key.take().filter(|key| sse.enabled && !key.is_empty());
        self
    }
}

impl Kind for Table {
    fn type_name(&self) -> &'static str {
        TYPE
    }

    fn noun(&self) -> &'static str {
        "table"
    }

    fn deleted_after(&self) -> &'static [&'static str] {
        // Once the API is gone no message comes; a table takes the longest to go.
        &[names::API, names::ROUTE, names::INTEGRATION]
    }

    fn canonical(&self, properties: &Value) -> Result<Value, Vec<Problem>> {
        let props: Props = deserialize::read(properties)?;
        let problems = props.undefined();
        if problems.is_empty() { Ok(to_value(&props.canonical())) } else { Err(problems) }
    }

    fn naming(&self) -> Option<Naming> {
        Some(Naming { property: "TableName", longest: 255, within: None, path: None })
    }

    fn not_yet(&self) -> &'static [&'static str] {
        &[
            "ContributorInsightsSpecification",
            "GlobalSecondaryIndexes.ContributorInsightsSpecification",
            "GlobalSecondaryIndexes.OnDemandThroughput",
            "GlobalSecondaryIndexes.WarmThroughput",
            "ImportSourceSpecification",
            "KinesisStreamSpecification",
            "OnDemandThroughput",
            "PointInTimeRecoverySpecification.RecoveryPeriodInDays",
            "ResourcePolicy",
            "StreamSpecification.ResourcePolicy",
            "StreamSpecification.Tags",
            "VectorIndexes",
            "WarmThroughput",
        ]
    }

    fn internal(&self) -> &'static [&'static str] {
        &[
            "GlobalSecondaryIndexes.KeySchema.AttributeType",
            "KeySchema.AttributeType",
            "LocalSecondaryIndexes.KeySchema.AttributeType",
        ]
    }

    fn complete(&self, _: &ResourceView<'_>, properties: &mut Value, _: &dyn Planning) {
        if let Some(key) = properties["SSESpecification"]["KMSMasterKeyId"].as_str().map(str::to_owned) {
            properties["Tags"][tags::KEY] = key.into();
        }
    }

    fn create_only(&self) -> &'static [&'static str] {
        &["TableName", "KeySchema", "LocalSecondaryIndexes"]
    }

    fn hard(&self) -> &'static [&'static str] {
        &[]
    }

    fn attribute(&self, scope: &Scope, name: Option<&str>, attribute: Option<&str>) -> Attribute {
        let name = name.unwrap_or_default();
        match attribute {
            None => Attribute::Known(name.to_owned()),
            Some("Arn") => Attribute::Known(scope.arn("dynamodb", &format!("table/{name}"))),
            Some("StreamArn") => Attribute::Minted,
            Some(_) => Attribute::Unknown(&["Arn", "StreamArn"]),
        }
    }

    /// Each time that a stream is enabled, it is another one, and another view takes another stream. (API reference, `UpdateTable`.)
    fn changes_attribute(&self, attribute: &str, changes: &[Change]) -> bool {
        attribute == "StreamArn" && changes.iter().any(|change| change.top() == STREAM)
    }

    fn holds_data(&self) -> bool {
        true
    }

    fn keeps_records(&self) -> bool {
        true
    }

    fn permissions_to_record(&self, scope: &Scope, id: Option<&str>, permissions: &mut Permissions) {
        let name = id.unwrap_or(ANY);
        permissions.allow(
            "dynamodb",
            &["TagResource", "UntagResource"],
            scope.arn("dynamodb", &format!("table/{name}")),
        );
    }

    fn taggable(&self) -> bool {
        true
    }

    fn is_usable_at_once(&self) -> bool {
        false
    }

    fn effects(&self, step: &StepView<'_>, plan: &dyn PlanView) -> StepEffects {
        let id = step.id();
        match step.action {
            Action::Delete | Action::Replace => {
                let mut effects = StepEffects::lost("all its rows");
                if step.action == Action::Replace {
                    let text = "reads and writes fail until it exists again, empty";
                    effects.interrupted.push(text.to_owned());
                } else if plan.has_successor(step) {
                    let text = format!("the new table begins without the rows of {id}");
                    effects.interrupted.push(text);
                }
                effects
            }
            // What is left behind keeps its data; what takes its place begins without.
            Action::Retain if plan.has_successor(step) => {
                StepEffects::interrupted(format!("its rows stay in {id}; the new table begins empty"))
            }
            Action::Update => changed(step),
            _ => StepEffects::default(),
        }
    }

    fn permissions_to_list(&self, _: &Scope, _: Roles, permissions: &mut Permissions) {
        permissions.allow("dynamodb", &["ListTables"], "*");
    }

    fn permissions(&self, it: &Subject<'_>, permissions: &mut Permissions) {
        let arn = it.scope.arn("dynamodb", &format!("table/{}", it.name()));
        let mut allow = |actions: &[&str]| permissions.allow("dynamodb", actions, arn.as_str());
        allow(&["DescribeTable", "ListTagsOfResource", "DescribeTimeToLive", "DescribeContinuousBackups"]);
        if it.creates {
            // It is created with its tags; a rollback deletes it.
            allow(&["CreateTable", "TagResource", "DeleteTable"]);
            if it.has("TimeToLiveSpecification") {
                allow(&["UpdateTimeToLive"]);
            }
            if it.desired["PointInTimeRecoverySpecification"]["PointInTimeRecoveryEnabled"] == true {
                allow(&["UpdateContinuousBackups"]);
            }
        }
        if it.deletes {
            allow(&["DeleteTable"]);
        }
        if it.changes(&["Tags"]) {
            allow(&["TagResource", "UntagResource"]);
        }
        if it.changes(&["TimeToLiveSpecification"]) {
            allow(&["UpdateTimeToLive"]);
        }
        if it.changes(&["PointInTimeRecoverySpecification"]) {
            allow(&["UpdateContinuousBackups"]);
        }
        if it.changes_other_than(&["Tags", "TimeToLiveSpecification", "PointInTimeRecoverySpecification"]) {
            allow(&["UpdateTable"]);
        }
        if it.creates || it.changes(&["SSESpecification"]) {
            // A rollback needs the live one.
            for side in [&it.desired, &it.live] {
                if let Some(key) = side["SSESpecification"]["KMSMasterKeyId"].as_str() {
                    permissions.allow("kms", USES_OF_KEY, kms_key(it.scope, key));
                }
            }
        }
    }

    fn permissions_to_import(&self, it: &Subject<'_>, _: bool, permissions: &mut Permissions) {
        let actions = ["DescribeContributorInsights", "DescribeKinesisStreamingDestination", "GetResourcePolicy"];
        permissions.allow("dynamodb", &actions, it.scope.arn("dynamodb", &format!("table/{}", it.name())));
    }
}

/// What DynamoDB does with a table's key on behalf of whoever gives it to the table, as the example of a key policy in the DynamoDB
/// Developer Guide ("Encryption at rest") allows it.
const USES_OF_KEY: &[&str] =
    &["CreateGrant", "Decrypt", "DescribeKey", "Encrypt", "GenerateDataKey", "ReEncryptFrom", "ReEncryptTo"];

/// What changes in place interrupt and lose.
fn changed(step: &StepView<'_>) -> StepEffects {
    let changes = |property: &str| {
        step.changes.iter().any(|change| {
            let is_it = change.property == property || change.property.starts_with(&format!("{property}."));
            is_it && change.old.is_some()
        })
    };
    let mut effects = StepEffects::default();
    if changes(STREAM) {
        effects.lost.push("records of the table's stream that have not been read".to_owned());
    }
    if changes("GlobalSecondaryIndexes") {
        effects.interrupted.push("queries of a changed index, until it is rebuilt".to_owned());
    }
    if changes("TimeToLiveSpecification.AttributeName") {
        // <https://docs.aws.amazon.com/amazondynamodb/latest/APIReference/API_UpdateTimeToLive.html>
        effects.interrupted.push(
            "a new time-to-live attribute takes two changes, and AWS allows one an hour: the second may fail until then"
                .to_owned(),
        );
    }
    effects
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_key_is_the_one_that_was_asked_for_unless_another_is_reported() {
        let arn = "arn:aws:kms:eu-west-1:123456789012:key/11111111-2222";
        let alias = "arn:aws:kms:eu-west-1:123456789012:alias/chat";
        for (reported, recorded, read) in [
            // The key that AWS manages.
            (Some(arn), None, None),
            (Some(arn), Some(arn), Some(arn)),
            (Some(arn), Some("11111111-2222"), Some("11111111-2222")),
            (Some(arn), Some("alias/chat"), Some("alias/chat")),
            (Some(arn), Some(alias), Some(alias)),
            (Some(arn), Some("2222"), Some(arn)),
            (Some(arn), Some("arn:aws:kms:eu-west-1:210987654321:key/11111111-2222"), Some(arn)),
            (None, Some(arn), Some(arn)),
            (None, None, None),
        ] {
            assert_eq!(Sse::read_key(reported, recorded).as_deref(), read, "{reported:?} {recorded:?}");
        }
    }

    #[test]
    fn a_key_counts_where_encryption_with_it_is_on() {
        let sse = |given: Value| {
            let table = json!({
                "KeySchema": [{ "AttributeName": "id", "KeyType": "HASH" }],
                "AttributeDefinitions": [{ "AttributeName": "id", "AttributeType": "S" }],
                "SSESpecification": given,
            });
            Table.canonical(&table).unwrap()["SSESpecification"].clone()
        };
        let on = json!({ "SSEEnabled": true, "SSEType": "KMS", "KMSMasterKeyId": "alias/chat" });
        assert_eq!(sse(json!({ "SSEEnabled": true, "KMSMasterKeyId": "alias/chat" })), on);
        let off = json!({ "SSEEnabled": false });
        assert_eq!(sse(json!({ "SSEEnabled": false, "KMSMasterKeyId": "alias/chat" })), off);
    }
}
