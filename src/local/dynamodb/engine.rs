//! Calls of the engine (`dynoxide`): parses JSON into a typed request, calls the engine's method, serializes the result.

use dynoxide::{Database, DynoxideError};
use serde_json::{Map, Value};

use crate::local::protocol::wire::ApiError;

/// The region in the ARNs that the engine returns.
pub const REGION: &str = dynoxide::streams::LOCAL_REGION;

macro_rules! operations {
    ($($name:literal => $method:ident,)*) => {
        /// Runs an operation and returns the body of its answer. Blocks on SQLite.
        ///
        /// # Errors
        /// DynamoDB's error.
        pub fn run(database: &Database, operation: &str, body: &str) -> Result<String, ApiError> {
            match operation {
                $($name => {
                    let request = serde_json::from_str(body).map_err(|error| unreadable(operation, &error))?;
                    let answer = database.$method(request).map_err(|error| engine_error(operation, error))?;
                    serde_json::to_string(&answer).map_err(|error| internal(&error))
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

/// An error of DynamoDB, by its code.
pub fn fault(code: &str, message: impl Into<String>) -> ApiError {
    ApiError::new(400, format!("com.amazonaws.dynamodb.v20120810#{code}"), message)
}

/// `ValidationException`: the request violates a rule.
pub fn invalid(message: impl Into<String>) -> ApiError {
    ApiError::new(400, "com.amazon.coral.validate#ValidationException", message)
}

/// `SerializationException`: the request has not the shape of the operation's input.
pub fn malformed(message: impl Into<String>) -> ApiError {
    ApiError::new(400, "com.amazon.coral.service#SerializationException", message)
}

pub fn unknown_operation() -> ApiError {
    ApiError::new(400, "com.amazon.coral.service#UnknownOperationException", "")
}

/// `InternalServerError`: a failure that the caller has not caused.
pub fn internal(error: &impl ToString) -> ApiError {
    ApiError::new(500, "com.amazonaws.dynamodb.v20120810#InternalServerError", error.to_string())
}

/// Why a database file can no longer be used.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unusable {
    Damaged,
    DiskFull,
}

/// Whether an error is about the database file itself.
pub fn unusable(error: &DynoxideError) -> Option<Unusable> {
    let DynoxideError::SqliteError(inner) = error else {
        // For a file that is not a SQLite database the engine returns only a message.
        return error.to_string().contains("not a valid SQLite database").then_some(Unusable::Damaged);
    };
    // SQLite's error codes, by their names in its Rust binding.
    match format!("{:?}", inner.sqlite_error_code()?).as_str() {
        "DatabaseCorrupt" | "NotADatabase" => Some(Unusable::Damaged),
        "DiskFull" => Some(Unusable::DiskFull),
        _ => None,
    }
}

/// An error of the engine: its type, its message and the other members of its body.
fn engine_error(operation: &str, error: DynoxideError) -> ApiError {
    if let DynoxideError::EnvelopedValidation(message) = &error {
        return invalid(enveloped(operation, message));
    }
    if unusable(&error).is_some() {
        // AWS has no such error. A client error, because clients do not retry those, and a retry would not help.
        let message = format!("the local cloud's database file cannot be used: {error}");
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

/// The error for a body that the engine cannot parse. Its own parsers put the kind of error before the message; serde's own
/// messages are about missing members or members of another type.
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

/// Operations that write a single item put the number of errors before the message; the others do not.
fn enveloped(operation: &str, message: &str) -> String {
    match operation {
        "DeleteItem" | "PutItem" | "UpdateItem" => format!("1 validation error detected: {message}"),
        _ => message.to_owned(),
    }
}
