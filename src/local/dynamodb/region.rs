//! DynamoDB in one region: one SQLite file of the engine, and the states of its tables.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::Path;
use std::sync::{Mutex, MutexGuard};
use std::time::Duration;

use bytes::Bytes;
use dynoxide::actions::get_shard_iterator::{decode_shard_iterator, encode_shard_iterator};
use dynoxide::{Database, DynoxideError};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use tokio::sync::watch;

use super::super::context::CloudContext;
use super::engine::{self, Unusable, fault, internal, invalid, malformed};
use super::retention::{StreamRecords, first_number};
use super::tables::{Encryption, Recovery, Table, TableState, Tables, TtlChange, describe_protection, missing};
use super::{expressions, shapes, streams};
use crate::local::context::clock::{now_millis, sent_time};
use crate::local::context::ports::{Position, Tagged};
use crate::local::context::store::{Store, damaged};
use crate::local::lock::lock;
use crate::local::protocol::wire::{ApiError, Response};

/// How long a table stays `UPDATING` and its time to live `ENABLING`; on AWS seconds to an hour, without documented limits.
const UPDATE_DURATION: Duration = Duration::from_millis(20);

/// DynamoDB in one region.
pub struct Region {
    name: String,
    context: CloudContext,
    database: Database,
    tables: Mutex<Tables>,
    records: StreamRecords,
    /// Counts writes of items.
    written: watch::Sender<u64>,
}

/// The input of an operation.
pub struct Input<'a> {
    operation: &'static str,
    /// The body, with names instead of tables' ARNs and with the engine's region in streams' ARNs.
    pub value: Value,
    /// The body as it was sent.
    text: &'a str,
    /// Whether `value` differs from `text`.
    rewritten: bool,
}

impl Region {
    /// Opens a region's tables, and creates its file where it is missing. Blocks on SQLite.
    ///
    /// # Errors
    /// When a file cannot be read.
    pub fn open(context: &CloudContext, name: &str) -> io::Result<Self> {
        let tables = context.store.load(&store_name(name))?;
        let path = context.store.path(&format!("{}.sqlite", store_name(name)));
        let database = Database::new(&path.to_string_lossy()).map_err(|error| unreadable(&path, &error))?;
        // Opening succeeds even for a file that is not a SQLite database, so it is read here for the first time.
        let all = serde_json::from_value(json!({})).map_err(io::Error::other)?;
        database.list_tables(all).map_err(|error| unreadable(&path, &error))?;
        let records = StreamRecords::open(&path).map_err(|error| unreadable(&path, &error.into()))?;
        let (name, context, tables) = (name.to_owned(), context.clone(), Mutex::new(tables));
        Ok(Self { name, context, database, tables, records, written: watch::Sender::default() })
    }

    /// Deletes items whose time to live has passed, tables whose time as `DELETING` has, and old records of streams.
    pub fn sweep(&self) {
        drop(self.current_tables());
        match self.database.sweep_ttl() {
            Ok(0) => {}
            Ok(_) => self.written.send_modify(|count| *count += 1),
            Err(error) => tracing::warn!(region = self.name, "cannot delete expired items: {error}"),
        }
        if let Err(error) = self.records.remove_old(now_millis()) {
            tracing::warn!(region = self.name, "cannot delete old records of streams: {error}");
        }
    }

    /// Runs an operation. Blocks on SQLite.
    ///
    /// # Errors
    /// DynamoDB's error.
    pub fn call(
        &self,
        operation: &'static str,
        run: fn(&Self, Input<'_>) -> Result<Response, ApiError>,
        body: &[u8],
    ) -> Result<Response, ApiError> {
        let text = std::str::from_utf8(body).map_err(|_| malformed(""))?;
        let mut value: Value = serde_json::from_str(text).map_err(|_| malformed(""))?;
        if !value.is_object() {
            return Err(malformed(""));
        }
        let rewritten = self.name_tables(&mut value);
        run(self, Input { operation, value, text, rewritten })
    }

    /// The tables with their tags. Blocks on SQLite.
    ///
    /// # Errors
    /// DynamoDB's error.
    pub fn tagged(&self) -> Result<Vec<Tagged>, ApiError> {
        let mut found = Vec::new();
        let mut page = json!({});
        loop {
            let tables = self.run("ListTables", &page)?;
            for name in tables["TableNames"].as_array().into_iter().flatten().filter_map(Value::as_str) {
                let arn = CloudContext::arn("dynamodb", &self.name, &format!("table/{name}"));
                let answer = self.run("ListTagsOfResource", &json!({ "ResourceArn": arn }))?;
                let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
                let tags = answer["Tags"].as_array().into_iter().flatten();
                let tags = tags.map(|tag| (text(&tag["Key"]), text(&tag["Value"]))).collect();
                found.push(Tagged { type_name: "dynamodb:table".to_owned(), arn, tags });
            }
            match &tables["LastEvaluatedTableName"] {
                Value::String(last) => page = json!({ "ExclusiveStartTableName": last }),
                _ => return Ok(found),
            }
        }
    }

    /// Sets and removes tags of a table.
    ///
    /// # Errors
    /// DynamoDB's error.
    pub fn retag(&self, arn: &str, set: &BTreeMap<String, String>, removed: &[String]) -> Result<(), ApiError> {
        if !set.is_empty() {
            let tags: Vec<Value> = set.iter().map(|(key, value)| json!({ "Key": key, "Value": value })).collect();
            self.run("TagResource", &json!({ "ResourceArn": arn, "Tags": tags }))?;
        }
        if !removed.is_empty() {
            self.run("UntagResource", &json!({ "ResourceArn": arn, "TagKeys": removed }))?;
        }
        Ok(())
    }

    /// Runs an operation that needs the engine alone.
    pub fn passed_on(&self, input: Input<'_>) -> Result<Response, ApiError> {
        Ok(answer(&self.run(input.operation, &input.value)?))
    }

    /// Runs an operation on items.
    pub fn on_items(&self, input: Input<'_>) -> Result<Response, ApiError> {
        shapes::check(input.operation, &input.value)?;
        self.check_items_served(&input.value)?;
        expressions::check(&input.value)?;
        // Passed on as text without changes where possible: items contain no names to replace.
        let body = if input.rewritten { input.value.to_string() } else { input.text.to_owned() };
        let body = engine::run(&self.database, input.operation, &body)?;
        if !READING.contains(&input.operation) {
            self.written.send_modify(|count| *count += 1);
        }
        Ok(Response::new(200, JSON, Bytes::from(body)))
    }

    /// Counts writes of items, so that one can wait for the next.
    pub fn writes(&self) -> watch::Receiver<u64> {
        self.written.subscribe()
    }

    /// `GetRecords`.
    pub fn get_records(&self, input: &Value) -> Result<Response, ApiError> {
        let mut answered = self.records_of(input)?;
        answered["Records"].as_array_mut().into_iter().flatten().for_each(streams::as_in_api);
        Ok(answer(&answered))
    }

    /// The answer of `GetRecords`, with records as functions get them but for the ARN of their stream.
    fn records_of(&self, input: &Value) -> Result<Value, ApiError> {
        let mut answered = self.run_as_is("GetRecords", input)?;
        if let Some(records) = answered["Records"].as_array_mut() {
            for record in &mut *records {
                record["awsRegion"] = json!(self.name);
            }
            let iterator = input["ShardIterator"].as_str().and_then(decode_shard_iterator);
            let view = iterator.and_then(|(table, ..)| self.stream_view(&table));
            streams::apply_view(records, view.as_deref());
        }
        Ok(answered)
    }

    /// `GetShardIterator`.
    pub fn get_shard_iterator(&self, input: &Value) -> Result<Response, ApiError> {
        let table = self.table_of_stream(input["StreamArn"].as_str().unwrap_or_default())?;
        if input["ShardId"].as_str() != Some(&streams::shard_id(&table)) {
            return Err(fault("ResourceNotFoundException", "Requested resource not found: Shard does not exist"));
        }
        let shard = dynoxide::streams::shard_id(&table);
        if input["ShardIteratorType"] == "AT_TIMESTAMP" {
            let time = sent_time(&input["Timestamp"]).ok_or_else(|| missing("timestamp"))?;
            let iterator = encode_shard_iterator(&table, &shard, first_number(time) - 1);
            return Ok(answer(&json!({ "ShardIterator": iterator })));
        }
        let mut input = input.clone();
        input["ShardId"] = shard.into();
        Ok(answer(&self.run_as_is("GetShardIterator", &input)?))
    }

    /// The table of a stream that is enabled. The ARN is the engine's.
    fn table_of_stream(&self, arn: &str) -> Result<String, ApiError> {
        let table =
            arn.split(":table/").nth(1).and_then(|path| path.split_once("/stream/")).map_or("", |(table, _)| table);
        let streams = self.run_as_is("ListStreams", &json!({ "TableName": table }))?;
        if streams["Streams"][0]["StreamArn"] == arn {
            return Ok(table.to_owned());
        }
        let mut arn = json!(arn);
        replace_region(&mut arn, &format!(":{}:", engine::REGION), &format!(":{}:", self.name));
        let message = format!("Requested resource not found: Stream: {} not found", arn.as_str().unwrap_or_default());
        Err(fault("ResourceNotFoundException", message))
    }

    /// The shards of a stream. The ARN is this region's.
    ///
    /// # Errors
    /// `ResourceNotFoundException`.
    pub fn shards(&self, arn: &str) -> Result<Vec<String>, ApiError> {
        Ok(vec![streams::shard_id(&self.table_of_stream(&self.engines(arn))?)])
    }

    /// At most `most` records of a stream after a position, as functions get them. The ARN is this region's. Blocks on SQLite.
    ///
    /// # Errors
    /// `ResourceNotFoundException` for a stream that is not there or disabled.
    pub fn records_after(&self, arn: &str, after: &Position, most: usize) -> Result<Vec<Value>, ApiError> {
        let table = self.table_of_stream(&self.engines(arn))?;
        let shard = dynoxide::streams::shard_id(&table);
        let number = match after {
            Position::Oldest => 0,
            Position::Newest => first_number(now_millis()) - 1,
            Position::Since(time) => first_number(*time) - 1,
            Position::After(number) => streams::stored_number(number).unwrap_or_default(),
        };
        let mut iterator = json!(encode_shard_iterator(&table, &shard, number));
        let mut found: Vec<Value> = Vec::new();
        while found.len() < most {
            let input = json!({ "ShardIterator": iterator, "Limit": most - found.len() });
            let mut answered = self.records_of(&input)?;
            let records = answered["Records"].as_array_mut().map(std::mem::take).unwrap_or_default();
            found.extend(records);
            // The same one: there are no more. (Records of writes that changed nothing are passed over.)
            if answered["NextShardIterator"] == iterator {
                break;
            }
            iterator = answered["NextShardIterator"].take();
        }
        for record in &mut found {
            streams::as_in_events(record, arn);
        }
        Ok(found)
    }

    /// An ARN of this region as the engine has it.
    fn engines(&self, arn: &str) -> String {
        let mut arn = json!(arn);
        replace_region(&mut arn, &format!(":{}:", self.name), &format!(":{}:", engine::REGION));
        arn.as_str().unwrap_or_default().to_owned()
    }

    pub fn create_table(&self, mut input: Value) -> Result<Response, ApiError> {
        let mut tables = self.current_tables();
        let name = input["TableName"].as_str().unwrap_or_default().to_owned();
        if state(&tables, &name) == TableState::Deleting {
            TableState::Deleting.check_changeable(&name)?;
        }
        let stream_view = streams::record_both_images(&mut input)?;
        let mut created = self.run("CreateTable", &input)?;
        // Another table may have had this name.
        self.records.remove_of_table(&name, now_millis()).map_err(|error| internal(&error))?;
        let mut table = Table::default();
        table.stream_view = stream_view;
        table.encryption = input.get("SSESpecification").map(|specification| self.encryption(specification));
        table.enter(TableState::Creating, after(self.context.conditions.eventual.table_creating));
        let description = &mut created["TableDescription"];
        table.describe(description, now_millis());
        describe_protection(description);
        tables.insert(name, table);
        self.save(&tables)?;
        Ok(answer(&created))
    }

    pub fn describe_stream(&self, input: &Value) -> Result<Response, ApiError> {
        self.table_of_stream(input["StreamArn"].as_str().unwrap_or_default())?;
        let mut described = self.run("DescribeStream", input)?;
        let description = &mut described["StreamDescription"];
        streams::describe_shards(description, input);
        let table = json!({ "TableName": description["TableName"] });
        description["KeySchema"] = self.run("DescribeTable", &table)?["Table"]["KeySchema"].take();
        if let Some(view) = self.stream_view(description["TableName"].as_str().unwrap_or_default()) {
            description["StreamViewType"] = json!(view);
        }
        Ok(answer(&described))
    }

    /// The view of a table's stream, where it differs from the engine's.
    fn stream_view(&self, table: &str) -> Option<String> {
        self.current_tables().get(table).and_then(|table| table.stream_view.clone())
    }

    pub fn describe_table(&self, input: &Value) -> Result<Response, ApiError> {
        let tables = self.current_tables();
        let description = self.description(&tables, input)?;
        Ok(answer(&json!({ "Table": description })))
    }

    pub fn update_table(&self, mut input: Value) -> Result<Response, ApiError> {
        let stream_view = streams::record_both_images(&mut input)?;
        let mut tables = self.current_tables();
        let before = self.description(&tables, &input)?;
        let name = before["TableName"].as_str().unwrap_or_default().to_owned();
        state(&tables, &name).check_changeable(&name)?;
        let specification = input.as_object_mut().and_then(|members| members.shift_remove("SSESpecification"));
        let encryption = specification.as_ref().map(|specification| self.encryption(specification));
        let given = specification.as_ref().is_some_and(|specification| !specification["KMSMasterKeyId"].is_null());
        let key = encryption.as_ref().filter(|it| given && it.enabled).map(|it| it.key_arn.as_str());
        if key.is_some() && key == before["SSEDescription"]["KMSMasterKeyArn"].as_str() {
            let message = "One or more parameter values were invalid: Table is already encrypted by given KMSMasterKey";
            return Err(invalid(message));
        }
        // The engine does not support changes of encryption; without other changes it is not called.
        if specification.is_none() || input.as_object().is_some_and(|members| members.len() > 1) {
            let before = now_millis();
            self.run("UpdateTable", &input)?;
            if stream_view.is_some() {
                // An earlier stream is another one.
                self.records.remove_of_table(&name, before).map_err(|error| internal(&error))?;
            }
        }
        let table = tables.entry(name).or_default();
        table.stream_view = stream_view.or(table.stream_view.take());
        table.encryption = encryption.or(table.encryption.take());
        table.enter(TableState::Updating, after(UPDATE_DURATION));
        self.save(&tables)?;
        let description = self.description(&tables, &input)?;
        Ok(answer(&json!({ "TableDescription": description })))
    }

    pub fn delete_table(&self, input: &Value) -> Result<Response, ApiError> {
        let mut tables = self.current_tables();
        let description = self.description(&tables, input)?;
        let name = description["TableName"].as_str().unwrap_or_default().to_owned();
        state(&tables, &name).check_changeable(&name)?;
        if description["DeletionProtectionEnabled"] == true {
            // The engine returns AWS's error.
            return Ok(answer(&self.run("DeleteTable", input)?));
        }
        let table = tables.entry(name).or_default();
        table.enter(TableState::Deleting, after(self.context.conditions.eventual.table_deleting));
        self.save(&tables)?;
        let description = self.description(&tables, input)?;
        Ok(answer(&json!({ "TableDescription": description })))
    }

    pub fn update_time_to_live(&self, input: &Value) -> Result<Response, ApiError> {
        let mut tables = self.current_tables();
        let specification = &input["TimeToLiveSpecification"];
        let attribute =
            specification["AttributeName"].as_str().ok_or_else(|| missing("timeToLiveSpecification.attributeName"))?;
        let enabled = specification["Enabled"].as_bool().ok_or_else(|| missing("timeToLiveSpecification.enabled"))?;
        let before = self.run("DescribeTimeToLive", input)?;
        let before = &before["TimeToLiveDescription"];
        let name = input["TableName"].as_str().unwrap_or_default();
        if state(&tables, name) != TableState::Updating {
            state(&tables, name).check_changeable(name)?;
        }
        let table = tables.entry(name.to_owned()).or_default();
        if table.ttl_change.as_ref().is_some_and(|change| change.until > now_millis()) {
            return Err(invalid("Time to live has been modified multiple times within a fixed interval"));
        }
        let active = before["AttributeName"].as_str();
        match (active, enabled) {
            (Some(active), _) if active != attribute => {
                return Err(invalid(format!(
                    "TimeToLive is active on a different AttributeName: current AttributeName is {active}"
                )));
            }
            (Some(_), true) => return Err(invalid("TimeToLive is already enabled")),
            (None, false) => return Err(invalid("TimeToLive is already disabled")),
            _ => {}
        }
        let updated = self.run("UpdateTimeToLive", input)?;
        table.ttl_change = Some(TtlChange { attribute: attribute.to_owned(), until: after(UPDATE_DURATION) });
        self.save(&tables)?;
        Ok(answer(&updated))
    }

    pub fn describe_time_to_live(&self, input: &Value) -> Result<Response, ApiError> {
        let tables = self.current_tables();
        let mut described = self.run("DescribeTimeToLive", input)?;
        let change = tables.get(input["TableName"].as_str().unwrap_or_default()).and_then(|it| it.ttl_change.as_ref());
        if let Some(change) = change.filter(|change| change.until > now_millis()) {
            let description = &mut described["TimeToLiveDescription"];
            let enabled = description["TimeToLiveStatus"] == "ENABLED";
            description["TimeToLiveStatus"] = json!(if enabled { "ENABLING" } else { "DISABLING" });
            description["AttributeName"] = json!(change.attribute);
        }
        Ok(answer(&described))
    }

    pub fn update_continuous_backups(&self, input: &Value) -> Result<Response, ApiError> {
        let mut tables = self.current_tables();
        let name = self.backup_table(&tables, input)?;
        let now = now_millis();
        let recovery = Recovery::read(&input["PointInTimeRecoverySpecification"], now)?;
        if state(&tables, &name) == TableState::Creating {
            let message = format!("Backups are being enabled for the table: {name}. Please retry later");
            return Err(fault("ContinuousBackupsUnavailableException", message));
        }
        let table = tables.entry(name).or_default();
        // Enabling it again does not restart the recovery period.
        let since = table.recovery.as_ref().map(|recovery| recovery.since);
        table.recovery = recovery.map(|recovery| Recovery { since: since.unwrap_or(recovery.since), ..recovery });
        let described = Recovery::described(table.recovery.as_ref(), now);
        self.save(&tables)?;
        Ok(answer(&described))
    }

    pub fn describe_continuous_backups(&self, input: &Value) -> Result<Response, ApiError> {
        let tables = self.current_tables();
        let name = self.backup_table(&tables, input)?;
        let recovery = tables.get(&name).and_then(|table| table.recovery.as_ref());
        Ok(answer(&Recovery::described(recovery, now_millis())))
    }

    /// The table of a backup operation, which has its own error for unknown tables.
    fn backup_table(&self, tables: &Tables, input: &Value) -> Result<String, ApiError> {
        let name = input["TableName"].as_str().ok_or_else(|| missing("tableName"))?;
        match self.description(tables, input) {
            Err(error) if error.code.ends_with("#ResourceNotFoundException") => {
                Err(fault("TableNotFoundException", format!("Table not found: {name}")))
            }
            described => described.map(|_| name.to_owned()),
        }
    }

    /// The current description of a table.
    fn description(&self, tables: &Tables, input: &Value) -> Result<Value, ApiError> {
        let input = match input.get("TableName") {
            Some(name) => json!({ "TableName": name }),
            None => json!({}),
        };
        let mut description = self.run("DescribeTable", &input)?["Table"].take();
        let name = description["TableName"].as_str().unwrap_or_default().to_owned();
        if let Some(table) = tables.get(&name) {
            table.describe(&mut description, now_millis());
        }
        describe_protection(&mut description);
        Ok(description)
    }

    /// The encryption that an `SSESpecification` requests: with a key given by id, ARN, alias or the alias's ARN, or with the one
    /// that AWS manages.
    fn encryption(&self, specification: &Value) -> Encryption {
        let given = specification["KMSMasterKeyId"].as_str().unwrap_or("alias/aws/dynamodb");
        let key_arn = match (given.find("alias/"), given.starts_with("arn:")) {
            (Some(start), _) => self.key_arn(&key_behind(&given[start..])),
            (None, true) => given.to_owned(),
            (None, false) => self.key_arn(given),
        };
        Encryption { enabled: specification["Enabled"].as_bool().unwrap_or_default(), key_arn }
    }

    fn key_arn(&self, id: &str) -> String {
        CloudContext::arn("kms", &self.name, &format!("key/{id}"))
    }

    /// Checks that the tables of an operation on items can be read and written in their state.
    fn check_items_served(&self, input: &Value) -> Result<(), ApiError> {
        let tables = self.current_tables();
        let now = now_millis();
        let closed = tables.iter().filter(|(_, table)| !table.state(now).serves_items()).map(|(name, _)| name);
        for name in closed {
            let statements = ["Statements", "TransactStatements"]
                .iter()
                .flat_map(|list| input[*list].as_array().into_iter().flatten())
                .chain([input])
                .filter_map(|holder| holder["Statement"].as_str());
            let transacted = input["TransactItems"].as_array().into_iter().flatten();
            let mut named = transacted
                .filter_map(Value::as_object)
                .flat_map(|item| item.values())
                .chain([input])
                .filter_map(|holder| holder["TableName"].as_str())
                .chain(
                    input["RequestItems"].as_object().into_iter().flat_map(|items| items.keys().map(String::as_str)),
                );
            if named.any(|table| table == name) || statements.into_iter().any(|text| text.contains(name.as_str())) {
                return Err(fault("ResourceNotFoundException", "Requested resource not found"));
            }
        }
        Ok(())
    }

    /// The tables; those whose deletion is due are deleted first.
    fn current_tables(&self) -> MutexGuard<'_, Tables> {
        let mut tables = lock(&self.tables);
        let now = now_millis();
        let gone: Vec<String> =
            tables.iter().filter(|(_, table)| table.is_gone(now)).map(|(name, _)| name.clone()).collect();
        for name in &gone {
            match self.run("DeleteTable", &json!({ "TableName": name })) {
                // Not found: an earlier process was killed after it had deleted the table.
                Err(error) if !error.code.ends_with("#ResourceNotFoundException") => {
                    tracing::warn!(region = self.name, table = name, "cannot delete the table: {}", error.message);
                }
                _ => {
                    tables.remove(name);
                }
            }
        }
        if !gone.is_empty()
            && let Err(error) = self.save(&tables)
        {
            tracing::warn!(region = self.name, "cannot save the deletion of tables: {}", error.message);
        }
        tables
    }

    fn save(&self, tables: &MutexGuard<'_, Tables>) -> Result<(), ApiError> {
        self.context.store.save(&store_name(&self.name), &**tables).map_err(|error| internal(&error))
    }

    /// Runs an operation of the control plane, and changes the engine's ARNs in its answer to this region's.
    fn run(&self, operation: &str, input: &Value) -> Result<Value, ApiError> {
        let mut answer = self.run_as_is(operation, input)?;
        replace_region(&mut answer, &format!(":{}:", engine::REGION), &format!(":{}:", self.name));
        Ok(answer)
    }

    fn run_as_is(&self, operation: &str, input: &Value) -> Result<Value, ApiError> {
        let body = engine::run(&self.database, operation, &input.to_string())?;
        serde_json::from_str(&body).map_err(|error| internal(&error))
    }

    /// Replaces table ARNs, which DynamoDB also accepts, by names, and the region in stream ARNs by the engine's. Returns
    /// whether anything was replaced.
    fn name_tables(&self, input: &mut Value) -> bool {
        let mut changed = false;
        if let Some(table) = input.get_mut("TableName") {
            changed |= name_table(table);
        }
        for item in input.get_mut("TransactItems").and_then(Value::as_array_mut).into_iter().flatten() {
            for action in item.as_object_mut().into_iter().flat_map(|item| item.values_mut()) {
                if let Some(table) = action.get_mut("TableName") {
                    changed |= name_table(table);
                }
            }
        }
        if let Some(items) = input.get_mut("RequestItems").and_then(Value::as_object_mut)
            && items.keys().any(|table| table_in(table).is_some())
        {
            *items = std::mem::take(items)
                .into_iter()
                .map(|(table, item)| (table_in(&table).map_or(table.clone(), str::to_owned), item))
                .collect();
            changed = true;
        }
        for member in ["StreamArn", "ExclusiveStartStreamArn"] {
            if let Some(arn) = input.get_mut(member) {
                replace_region(arn, &format!(":{}:", self.name), &format!(":{}:", engine::REGION));
                changed = true;
            }
        }
        changed
    }
}

/// The error for a region's file that cannot be opened: it is damaged, or reading it failed.
fn unreadable(path: &Path, error: &DynoxideError) -> io::Error {
    match engine::unusable(error) {
        Some(Unusable::Damaged) => damaged(path, error),
        _ => io::Error::other(format!("{}: {error}", path.display())),
    }
}

/// The regions with a database file.
///
/// # Errors
/// When the folder cannot be read.
pub fn saved(store: &Store) -> io::Result<Vec<String>> {
    let mut regions = Vec::new();
    for entry in fs::read_dir(store.folder())? {
        let name = entry?.file_name();
        let region = name.to_str().and_then(|name| name.strip_prefix("dynamodb-")?.strip_suffix(".sqlite"));
        regions.extend(region.map(str::to_owned));
    }
    Ok(regions)
}

const JSON: &str = "application/x-amz-json-1.0";

/// The operations on items that change none.
const READING: [&str; 6] = ["BatchGetItem", "GetItem", "Query", "Scan", "SearchVectors", "TransactGetItems"];

fn answer(body: &Value) -> Response {
    Response::new(200, JSON, Bytes::from(body.to_string()))
}

fn store_name(region: &str) -> String {
    format!("dynamodb-{region}")
}

fn state(tables: &Tables, name: &str) -> TableState {
    tables.get(name).map_or(TableState::Active, |table| table.state(now_millis()))
}

fn after(wait: Duration) -> i64 {
    now_millis().saturating_add(i64::try_from(wait.as_millis()).unwrap_or(i64::MAX))
}

/// The table's name in an ARN.
fn table_in(arn: &str) -> Option<&str> {
    let (_, name) = arn.strip_prefix("arn:aws:dynamodb:")?.split_once(":table/")?;
    (!name.contains('/')).then_some(name)
}

fn name_table(table: &mut Value) -> bool {
    let Some(name) = table.as_str().and_then(table_in).map(str::to_owned) else { return false };
    *table = json!(name);
    true
}

/// Changes the region in every ARN within `value`.
fn replace_region(value: &mut Value, from: &str, to: &str) {
    match value {
        Value::String(text) if text.starts_with("arn:aws:") => *text = text.replacen(from, to, 1),
        Value::Array(items) => items.iter_mut().for_each(|item| replace_region(item, from, to)),
        Value::Object(members) => members.values_mut().for_each(|member| replace_region(member, from, to)),
        _ => {}
    }
}

/// The id of the key that an alias leads to here, always the same one: keys are no more than names in the local cloud.
fn key_behind(alias: &str) -> String {
    let mut bytes = [0; 16];
    bytes.copy_from_slice(&Sha256::digest(alias)[..16]);
    uuid::Builder::from_random_bytes(bytes).into_uuid().to_string()
}
