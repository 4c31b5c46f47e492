//! Types that are made through Cloud Control.

use serde_json::{Map, Value, json};

use super::{Declared, Existing, Identifier, LOOKS, PAUSE, Type, document, not_stabilized, present};
use crate::core::schemas::{Schema, Shape, schema};
use crate::local::cloudformation::calls::Calls;
use crate::local::cloudformation::model::invalid;
use crate::local::protocol::wire::ApiError;

const SERVICE: &str = "cloudcontrolapi";

/// What is done with each of them; the schema has the identifier.
pub const TYPE: Type = Type {
    name: "",
    identifier: &[],
    reference: "",
    importable: true,
    create: |calls, declared| Box::pin(create(calls, declared)),
    read: |calls, type_name, identifier| Box::pin(read(calls, type_name, identifier)),
    delete: |calls, existing| Box::pin(delete(calls, existing)),
    arn: |_, identifier, values| {
        let own = ["Arn", "TopicArn"].iter().find_map(|name| values.get(*name)?.as_str());
        let minted = own.or_else(|| identifier.values().map(String::as_str).find(|id| id.starts_with("arn:")));
        let bucket = || Some(format!("arn:aws:s3:::{}", identifier.get("BucketName")?));
        minted.map(str::to_owned).or_else(bucket)
    },
};

/// The property of the identifier that `Ref` gives: the last one.
pub fn reference(type_name: &str) -> String {
    schema(type_name).and_then(|schema| schema.identifier.last().cloned()).unwrap_or_default()
}

/// The physical id, where `Ref` does not give the identifier itself. (Template reference, "Return values".)
pub fn physical(type_name: &str, id: String) -> String {
    match type_name {
        // arn:aws:events:REGION:ACCOUNT:rule/NAME, or rule/BUS/NAME, which is BUS|NAME.
        "AWS::Events::Rule" => match id.split_once(":rule/") {
            Some((_, name)) => name.replace('/', "|"),
            None => id,
        },
        _ => id,
    }
}

/// The identifier as Cloud Control has it: its parts in the schema's order.
fn joined(type_name: &str, identifier: &Identifier) -> String {
    let names = super::identifier_of(type_name);
    let parts: Vec<&str> = names.iter().filter_map(|name| identifier.get(name)).map(String::as_str).collect();
    parts.join("|")
}

async fn create(calls: &Calls, declared: &Declared<'_>) -> Result<Identifier, ApiError> {
    let type_name = declared.type_name;
    let mut state = declared.properties.clone();
    if state.is_null() {
        state = json!({});
    }
    let schema = schema(type_name);
    if let (Some(schema), Value::Object(properties)) = (schema, &mut state) {
        for (name, value) in properties {
            if let Some(shape) = schema.properties.get(name) {
                convert(schema, shape, value);
            }
        }
    }
    if let Some(property) = schema.and_then(|schema| schema.name.as_ref())
        && state[property.as_str()].is_null()
    {
        state[property.as_str()] = formed(type_name, declared).into();
    }
    let input = json!({ "TypeName": type_name, "DesiredState": document(&state) });
    let identifier = ended(calls, calls.json(SERVICE, "CreateResource", &input).await?).await?;
    let names = super::identifier_of(type_name);
    Ok(names.into_iter().zip(identifier.split('|').map(str::to_owned)).collect())
}

/// Gives a value the type that its schema says: templates may write `"true"` and `"5"`, and texts without quotes.
fn convert(schema: &Schema, shape: &Shape, value: &mut Value) {
    let converted = match (schema.resolved(shape), &mut *value) {
        (Shape::Boolean, Value::String(text)) => text.parse::<bool>().ok().map(Value::from),
        (Shape::Integer, Value::String(text)) => text.parse::<i64>().ok().map(Value::from),
        (Shape::Number, Value::String(text)) => text.parse::<f64>().ok().map(Value::from),
        (Shape::Text(_), Value::Bool(_) | Value::Number(_)) => Some(value.to_string().into()),
        (Shape::List(inner) | Shape::Set(inner), Value::Array(items)) => {
            items.iter_mut().for_each(|item| convert(schema, inner, item));
            None
        }
        (Shape::Map(inner), Value::Object(members)) => {
            members.values_mut().for_each(|member| convert(schema, inner, member));
            None
        }
        (Shape::Object(object), Value::Object(members)) => {
            for (name, member) in members {
                if let Some(shape) = object.members.get(name) {
                    convert(schema, shape, member);
                }
            }
            None
        }
        _ => None,
    };
    if let Some(converted) = converted {
        *value = converted;
    }
}

/// A name in the form that the type's names have.
fn formed(type_name: &str, declared: &Declared<'_>) -> String {
    let is_fifo = declared.properties["FifoQueue"] == true || declared.properties["FifoTopic"] == true;
    match type_name {
        "AWS::S3::Bucket" => declared.name.to_lowercase(),
        _ if is_fifo => format!("{}.fifo", declared.name),
        _ => declared.name.to_owned(),
    }
}

/// The identifier of a request's resource, once the request has ended.
async fn ended(calls: &Calls, mut answer: Value) -> Result<String, ApiError> {
    let token = answer["ProgressEvent"]["RequestToken"].clone();
    for _ in 0..LOOKS {
        let event = &answer["ProgressEvent"];
        let message = || event["StatusMessage"].as_str().unwrap_or_default();
        match event["OperationStatus"].as_str() {
            Some("SUCCESS") => return Ok(event["Identifier"].as_str().unwrap_or_default().to_owned()),
            Some("FAILED") if event["ErrorCode"] == "NotFound" => {
                return Err(ApiError::new(404, "NotFound", message()));
            }
            Some("FAILED") => return Err(invalid(message())),
            _ => {}
        }
        tokio::time::sleep(PAUSE).await;
        answer = calls.json(SERVICE, "GetResourceRequestStatus", &json!({ "RequestToken": token })).await?;
    }
    Err(not_stabilized("the request"))
}

async fn read(calls: &Calls, type_name: &str, identifier: &Identifier) -> Result<Option<Map<String, Value>>, ApiError> {
    let input = json!({ "TypeName": type_name, "Identifier": joined(type_name, identifier) });
    let Some(found) = present(calls.json(SERVICE, "GetResource", &input).await)? else { return Ok(None) };
    let properties = found["ResourceDescription"]["Properties"].as_str().unwrap_or_default();
    let mut values: Map<String, Value> = serde_json::from_str(properties).unwrap_or_default();
    // A queue's name is an attribute that its schema does not call one.
    values.extend(identifier.iter().map(|(name, value)| (name.clone(), value.as_str().into())));
    Ok(Some(values))
}

async fn delete(calls: &Calls, existing: &Existing<'_>) -> Result<(), ApiError> {
    let input =
        json!({ "TypeName": existing.type_name, "Identifier": joined(existing.type_name, existing.identifier) });
    ended(calls, calls.json(SERVICE, "DeleteResource", &input).await?).await.map(drop)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_get_the_types_of_their_schema() {
        let schema = schema("AWS::SQS::Queue").unwrap();
        for (property, written, expected) in [
            ("DelaySeconds", json!("5"), json!(5)),
            ("FifoQueue", json!("true"), json!(true)),
            ("QueueName", json!(7), json!("7")),
            ("DelaySeconds", json!("soon"), json!("soon")),
            ("Tags", json!([{ "Key": "a", "Value": 1 }]), json!([{ "Key": "a", "Value": "1" }])),
        ] {
            let mut value = written.clone();
            convert(schema, &schema.properties[property], &mut value);
            assert_eq!(value, expected, "{written}");
        }
    }
}
