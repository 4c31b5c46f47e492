//! Shared by all control plane operations: AWS's errors, merging of updates, pages, ids, dates.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE;
use rand::RngExt;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value, json};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use crate::local::protocol::wire::{ApiError, Request, Response};

pub type Answer = Result<Response, ApiError>;
/// A JSON object: a request's body or a resource's representation.
pub type Members = Map<String, Value>;

/// The default and the largest page size. The API reference of version 2 has no numbers; these are those of version 1.
const DEFAULT_PAGE: usize = 25;
const MAX_PAGE: usize = 500;

pub fn bad_request(message: impl Into<String>) -> ApiError {
    ApiError::new(400, "BadRequestException", message)
}

pub fn conflict(message: impl Into<String>) -> ApiError {
    ApiError::new(409, "ConflictException", message)
}

/// `kind` is AWS's name of the resource type (`Route`).
pub fn not_found(kind: &str, id: &str) -> ApiError {
    ApiError::new(404, "NotFoundException", format!("Invalid {kind} identifier specified {id}"))
}

/// The error for a reached quota. AWS answers 429, which old deployers retry endlessly (serverless-websockets-plugin#22).
pub fn quota_reached(kind: &str) -> ApiError {
    ApiError::new(
        429,
        "TooManyRequestsException",
        format!(
            "Maximum number of {kind} for this API has been reached. Please contact AWS if you need additional {kind}."
        ),
    )
}

/// The error for a feature of AWS that the local cloud lacks: refused at once, instead of ignored silently.
pub fn unsupported(what: &str) -> ApiError {
    bad_request(format!("{what} is not supported by the local cloud"))
}

/// The request's body without members that are null, which AWS treats as absent.
///
/// # Errors
/// `SerializationException` where it is not a JSON object.
pub fn members(request: &Request) -> Result<Members, ApiError> {
    let mut members: Members = request.json()?;
    members.retain(|_, value| !value.is_null());
    Ok(members)
}

/// Parses a configuration from a request; unknown members are ignored, as on AWS.
///
/// # Errors
/// `BadRequestException` that says which member is missing or of the wrong type.
pub fn parse<T: DeserializeOwned>(members: Members) -> Result<T, ApiError> {
    serde_json::from_value(Value::Object(members)).map_err(|error| bad_request(error.to_string()))
}

/// Merges an update: absent members are kept, maps are merged key by key, and `''` removes a key of a map.
///
/// # Errors
/// `BadRequestException` where the result is not a valid configuration.
pub fn merge<T: Serialize + DeserializeOwned>(current: &T, patch: Members) -> Result<T, ApiError> {
    let mut merged = object(current);
    for (name, value) in patch {
        overlay(&mut merged, name, value);
    }
    parse(merged)
}

fn overlay(target: &mut Members, name: String, value: Value) {
    match (target.get_mut(&name), value) {
        (Some(Value::Object(old)), Value::Object(new)) => {
            for (key, value) in new {
                if value == "" {
                    old.remove(&key);
                } else {
                    overlay(old, key, value);
                }
            }
        }
        (_, Value::Object(new)) => {
            let kept = new.into_iter().filter(|(_, value)| value != "").collect();
            target.insert(name, Value::Object(kept));
        }
        (_, value) => {
            target.insert(name, value);
        }
    }
}

/// A configuration's members.
pub fn object(config: &impl Serialize) -> Members {
    match serde_json::to_value(config) {
        Ok(Value::Object(members)) => members,
        _ => Members::new(),
    }
}

/// # Errors
/// AWS's message for a value outside an enumeration.
pub fn one_of(member: &str, value: &str, known: &[&str]) -> Result<(), ApiError> {
    if known.contains(&value) {
        return Ok(());
    }
    Err(bad_request(format!(
        "1 validation error detected: Value '{value}' at '{member}' failed to satisfy constraint: Member must satisfy \
         enum value set: [{}]",
        known.join(", ")
    )))
}

/// # Errors
/// AWS's message for text that is too short or too long, in characters.
pub fn length(member: &str, value: &str, minimum: usize, maximum: usize) -> Result<(), ApiError> {
    let characters = value.chars().count();
    let bound = if characters < minimum {
        format!("greater than or equal to {minimum}")
    } else if characters > maximum {
        format!("less than or equal to {maximum}")
    } else {
        return Ok(());
    };
    Err(bad_request(format!(
        "1 validation error detected: Value at '{member}' failed to satisfy constraint: Member must have length {bound}"
    )))
}

/// One page of a list whose items come in the order of their ids, by `maxResults` and `nextToken`.
///
/// # Errors
/// `BadRequestException` for an invalid page size or token.
pub fn page(request: &Request, items: impl Iterator<Item = (String, Members)>) -> Answer {
    let size = match request.query("maxResults") {
        None => DEFAULT_PAGE,
        Some(text) => match text.parse() {
            Ok(size @ 1..=MAX_PAGE) => size,
            _ => return Err(bad_request(format!("Invalid maxResults specified: {text}"))),
        },
    };
    let after = match request.query("nextToken").filter(|token| !token.is_empty()) {
        None => None,
        Some(token) => {
            let id = URL_SAFE.decode(token).ok().and_then(|bytes| String::from_utf8(bytes).ok());
            Some(id.ok_or_else(|| bad_request("Invalid pagination token"))?)
        }
    };
    let mut rest = items.skip_while(|(id, _)| after.as_ref().is_some_and(|after| id <= after)).peekable();
    let mut shown = Vec::new();
    let mut last = String::new();
    for (id, item) in rest.by_ref().take(size) {
        last = id;
        shown.push(item);
    }
    let mut body = json!({ "items": shown });
    if rest.peek().is_some() {
        body["nextToken"] = URL_SAFE.encode(last).into();
    }
    Ok(Response::json(200, &body))
}

/// A new id in AWS's form: lower-case letters and digits.
pub fn new_id(characters: usize) -> String {
    const ALPHABET: &[u8] = b"abcdefghijklmnopqrstuvwxyz0123456789";
    let mut dice = rand::rng();
    (0..characters).map(|_| char::from(ALPHABET[dice.random_range(0..ALPHABET.len())])).collect()
}

/// Now, in ISO 8601 and to the second, as AWS dates resources.
pub fn now() -> String {
    iso8601(OffsetDateTime::now_utc())
}

/// A time in ISO 8601, to the second.
pub fn iso8601(time: OffsetDateTime) -> String {
    time.replace_nanosecond(0).unwrap_or(time).format(&Rfc3339).unwrap_or_default()
}
