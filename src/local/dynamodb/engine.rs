//! The way into the engine (`dynoxide`): JSON in, its typed request, its method, JSON out.

use dynoxide::{Database, DynoxideError};
use serde_json::{Map, Value};

use super::super::wire::ApiError;

/// Region in the ARNs that the engine writes.
pub const REGION: &str = dynoxide::streams::LOCAL_REGION;

macro_rules! operations {
    ($($name:literal => $method:ident,)*) => {
        /// Every operation that the engine has.
        pub const OPERATIONS: &[&str] = &[$($name),*];

        /// Carries out an operation; the body of its answer. It blocks on SQLite.
        ///
        /// # Errors
        /// DynamoDB's refusal.
        pub fn run(database: &Database, operation: &str, body: &str) -> Result<String, ApiError> {
            match operation {
                $($name => {
                    let request = serde_json::from_str(body).map_err(|error| unreadable(operation, &error))?;
                    let answer = database.$method(request).map_err(|error| refused(operation, error))?;
                    serde_json::to_string(&answer).map_err(|error| broken(&error))
                })*
                _ => Err(unknown_operation()),
            }
        }
    };
}

operations! {
    "BatchExecuteStatement" => batch_execute_statement,
    "BatchGetItem" => batch_get_item,
    "BatchWriteItem" => batch_write_item,
    "CreateTable" => create_table,
    "DeleteItem" => delete_item,
    "DeleteTable" => delete_table,
    "DescribeStream" => describe_stream,
    "DescribeTable" => describe_table,
    "DescribeTimeToLive" => describe_time_to_live,
    "ExecuteStatement" => execute_statement,
    "ExecuteTransaction" => execute_transaction,
    "GetItem" => get_item,
    "GetRecords" => get_records,
    "GetShardIterator" => get_shard_iterator,
    "ListStreams" => list_streams,
    "ListTables" => list_tables,
    "ListTagsOfResource" => list_tags_of_resource,
    "PutItem" => put_item,
    "Query" => query,
    "Scan" => scan,
    "SearchVectors" => search_vectors,
    "TagResource" => tag_resource,
    "TransactGetItems" => transact_get_items,
    "TransactWriteItems" => transact_write_items,
    "UntagResource" => untag_resource,
    "UpdateItem" => update_item,
    "UpdateTable" => update_table,
    "UpdateTimeToLive" => update_time_to_live,
}

/// A refusal of DynamoDB's own, by its code.
pub fn fault(code: &str, message: impl Into<String>) -> ApiError {
    ApiError::new(400, format!("com.amazonaws.dynamodb.v20120810#{code}"), message)
}

/// A request that breaks a rule.
pub fn invalid(message: impl Into<String>) -> ApiError {
    ApiError::new(400, "com.amazon.coral.validate#ValidationException", message)
}

/// A request that is not what the operation takes.
pub fn malformed(message: impl Into<String>) -> ApiError {
    ApiError::new(400, "com.amazon.coral.service#SerializationException", message)
}

pub fn unknown_operation() -> ApiError {
    ApiError::new(400, "com.amazon.coral.service#UnknownOperationException", "")
}

/// A fault that is not the caller's.
pub fn broken(error: &impl ToString) -> ApiError {
    ApiError::new(500, "com.amazonaws.dynamodb.v20120810#InternalServerError", error.to_string())
}

/// Why a file of tables can no longer be used.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unusable {
    Damaged,
    DiskFull,
}

/// Whether an error is about the file of tables itself.
pub fn unusable(error: &DynoxideError) -> Option<Unusable> {
    let DynoxideError::SqliteError(inner) = error else {
        // Opening one that is none of SQLite's ends in a sentence of the engine's.
        return error.to_string().contains("not a valid SQLite database").then_some(Unusable::Damaged);
    };
    // SQLite's own codes, by the names that its binding has for them.
    match format!("{:?}", inner.sqlite_error_code()?).as_str() {
        "DatabaseCorrupt" | "NotADatabase" => Some(Unusable::Damaged),
        "DiskFull" => Some(Unusable::DiskFull),
        _ => None,
    }
}

/// The engine's refusal: its type, its message and what else is in its body.
fn refused(operation: &str, error: DynoxideError) -> ApiError {
    if let DynoxideError::EnvelopedValidation(message) = &error {
        return invalid(enveloped(operation, message));
    }
    if unusable(&error).is_some() {
        // AWS has no such error. Whatever is the caller's fault is not tried again, and trying again would mend nothing.
        let message = format!("the local cloud's file of tables cannot be used: {error}");
        return ApiError::new(400, "com.wschat.local#TableFileUnusable", message);
    }
    let mut fields: Map<String, Value> = serde_json::from_str(&error.to_json()).unwrap_or_default();
    for member in ["__type", "message", "Message"] {
        fields.shift_remove(member);
    }
    let mut refusal = ApiError::new(error.status_code(), error.error_type(), error.to_string());
    refusal.fields = fields;
    refusal
}

/// A body that the engine's types do not take. Their readers name the kind of refusal before the message; what serde
/// itself says is a missing member or a member of another type.
fn unreadable(operation: &str, error: &serde_json::Error) -> ApiError {
    let whole = error.to_string();
    let position = whole.rfind(" at line ").unwrap_or(whole.len());
    let said = &whole[..position];
    if let Some(message) = whole.strip_prefix("SERIALIZATION_AS_READ:") {
        malformed(message)
    } else if let Some(message) = whole.strip_prefix("VALIDATION_AS_READ:") {
        invalid(message)
    } else if let Some(message) = said.strip_prefix("SERIALIZATION:") {
        malformed(message)
    } else if let Some(message) = said.strip_prefix("VALIDATION_REQUEST:") {
        invalid(enveloped(operation, message))
    } else if let Some(message) = said.strip_prefix("VALIDATION:") {
        invalid(message)
    } else if ["missing field", "unknown variant", "invalid type: null", "AttributeValue"]
        .iter()
        .any(|kind| said.contains(kind))
    {
        invalid(said)
    } else {
        malformed(said)
    }
}

/// The writers of single items count what is wrong with a request; the others say it plainly.
fn enveloped(operation: &str, message: &str) -> String {
    match operation {
        "DeleteItem" | "PutItem" | "UpdateItem" => format!("1 validation error detected: {message}"),
        _ => message.to_owned(),
    }
}
