//! Checks of the JSON types in requests of operations on items. The engine reports wrong types with Rust's error messages; AWS
//! reports them with the messages here, before it checks anything else in the request.
//!
//! Source: dynalite's tests (`test/helpers.js`, `assertType`, and the tests of each operation), which were run against AWS; the
//! classes are those of the API's shapes. Strings instead of bytes are left to the engine. Transactions are not in the table,
//! because AWS's answers are not recorded.

use serde_json::Value;

use super::engine::malformed;
use crate::local::protocol::wire::ApiError;

const CLASSES: &str = "com.amazonaws.dynamodb.v20120810";

/// AWS's message where an element should be a list or a map and is not.
const CAST: &str = "class sun.reflect.generics.reflectiveObjects.ParameterizedTypeImpl cannot be cast to class \
                    java.lang.Class (sun.reflect.generics.reflectiveObjects.ParameterizedTypeImpl and java.lang.Class are in \
                    module java.base of loader 'bootstrap')";

/// The type of a value. `null` is valid for every type.
enum Shape {
    Text,
    Integer,
    Flag,
    Bytes,
    List(&'static Shape),
    Map(&'static Shape),
    Structure(&'static Structure),
}

/// An object with known members.
struct Structure {
    name: &'static str,
    members: &'static [(&'static str, Shape)],
}

use Shape::{Bytes, Flag, Integer, List, Map, Text};

static ATTRIBUTE: Shape = Shape::Structure(&VALUE);
const ITEM: Shape = Map(&ATTRIBUTE);
const NAMES: Shape = Map(&Text);
const FILTER: Shape = Map(&Shape::Structure(&CONDITION));
const EXPECTED: Shape = Map(&Shape::Structure(&EXPECTED_VALUE));

static VALUE: Structure = Structure {
    name: "AttributeValue",
    members: &[
        ("S", Text),
        ("N", Text),
        ("B", Bytes),
        ("BOOL", Flag),
        ("NULL", Flag),
        ("SS", List(&Text)),
        ("NS", List(&Text)),
        ("BS", List(&Bytes)),
        ("L", List(&ATTRIBUTE)),
        ("M", Map(&ATTRIBUTE)),
    ],
};

static CONDITION: Structure =
    Structure { name: "Condition", members: &[("ComparisonOperator", Text), ("AttributeValueList", List(&ATTRIBUTE))] };

static EXPECTED_VALUE: Structure = Structure {
    name: "ExpectedAttributeValue",
    members: &[
        ("Exists", Flag),
        ("Value", Shape::Structure(&VALUE)),
        ("ComparisonOperator", Text),
        ("AttributeValueList", List(&ATTRIBUTE)),
    ],
};

static UPDATE_VALUE: Structure =
    Structure { name: "AttributeValueUpdate", members: &[("Action", Text), ("Value", Shape::Structure(&VALUE))] };

static KEYS: Structure = Structure {
    name: "KeysAndAttributes",
    members: &[
        ("Keys", List(&ITEM)),
        ("AttributesToGet", List(&Text)),
        ("ConsistentRead", Flag),
        ("ExpressionAttributeNames", NAMES),
        ("ProjectionExpression", Text),
    ],
};

static WRITE: Structure = Structure {
    name: "WriteRequest",
    members: &[
        ("DeleteRequest", Shape::Structure(&Structure { name: "DeleteRequest", members: &[("Key", ITEM)] })),
        ("PutRequest", Shape::Structure(&Structure { name: "PutRequest", members: &[("Item", ITEM)] })),
    ],
};

/// The members of all operations' requests; each operation has some of them.
static OPERATION: Structure = Structure {
    name: "",
    members: &[
        ("TableName", Text),
        ("IndexName", Text),
        ("Key", ITEM),
        ("Item", ITEM),
        ("Select", Text),
        ("Limit", Integer),
        ("Segment", Integer),
        ("TotalSegments", Integer),
        ("ConsistentRead", Flag),
        ("ScanIndexForward", Flag),
        ("ExclusiveStartKey", ITEM),
        ("AttributesToGet", List(&Text)),
        ("ScanFilter", FILTER),
        ("QueryFilter", FILTER),
        ("KeyConditions", FILTER),
        ("Expected", EXPECTED),
        ("AttributeUpdates", Map(&Shape::Structure(&UPDATE_VALUE))),
        ("ConditionalOperator", Text),
        ("ConditionExpression", Text),
        ("FilterExpression", Text),
        ("KeyConditionExpression", Text),
        ("ProjectionExpression", Text),
        ("UpdateExpression", Text),
        ("ExpressionAttributeNames", NAMES),
        ("ExpressionAttributeValues", ITEM),
        ("ReturnValues", Text),
        ("ReturnConsumedCapacity", Text),
        ("ReturnItemCollectionMetrics", Text),
    ],
};

static BATCH_GET: Structure = Structure {
    name: "",
    members: &[("RequestItems", Map(&Shape::Structure(&KEYS))), ("ReturnConsumedCapacity", Text)],
};

static BATCH_WRITE: Structure = Structure {
    name: "",
    members: &[
        ("RequestItems", Map(&List(&Shape::Structure(&WRITE)))),
        ("ReturnConsumedCapacity", Text),
        ("ReturnItemCollectionMetrics", Text),
    ],
};

/// The strings that AWS accepts as a boolean, in upper or lower case (captured in eu-west-2 and us-east-1 on 2026-10-10, tests of dynoxide 3.2,
/// `bool_and_null_values_http.rs`).
const FLAGS: [&str; 10] = ["true", "t", "yes", "y", "1", "false", "f", "no", "n", "0"];

/// The position of a value: AWS has different messages for members and for elements of a list or map.
#[derive(Clone, Copy, PartialEq, Eq)]
enum ValuePosition {
    Member,
    Element,
}

/// Checks the types in the request of an operation on items, in the order of the request.
///
/// # Errors
/// `SerializationException` for the first value of a wrong type.
pub fn check(operation: &str, input: &Value) -> Result<(), ApiError> {
    let structure = match operation {
        "DeleteItem" | "GetItem" | "PutItem" | "Query" | "Scan" | "UpdateItem" => &OPERATION,
        "BatchGetItem" => &BATCH_GET,
        "BatchWriteItem" => &BATCH_WRITE,
        _ => return Ok(()),
    };
    structure.check(input).map_err(malformed)
}

impl Structure {
    fn check(&self, value: &Value) -> Result<(), String> {
        for (name, member) in value.as_object().into_iter().flatten() {
            if let Some((_, shape)) = self.members.iter().find(|(known, _)| known == name) {
                shape.check(member, ValuePosition::Member)?;
            }
        }
        Ok(())
    }
}

impl Shape {
    fn check(&self, value: &Value, place: ValuePosition) -> Result<(), String> {
        match (self, value) {
            (_, Value::Null)
            | (Text | Bytes, Value::String(_))
            | (Flag, Value::Bool(_))
            | (Integer, Value::Number(_)) => Ok(()),
            (Flag, Value::String(text)) if FLAGS.iter().any(|flag| flag.eq_ignore_ascii_case(text)) => Ok(()),
            (Flag, Value::String(_)) => Err("Unexpected token received from parser".to_owned()),
            (List(element), Value::Array(items)) => {
                items.iter().try_for_each(|item| element.check(item, ValuePosition::Element))
            }
            (Map(element), Value::Object(members)) => {
                members.values().try_for_each(|member| element.check(member, ValuePosition::Element))
            }
            (Self::Structure(structure), Value::Object(_)) => structure.check(value),
            (_, Value::Object(_)) => Err("Start of structure or map found where not expected".to_owned()),
            (_, Value::Array(_)) => Err(format!("Unrecognized collection type {}", self.class())),
            (Text, _) => Err(format!("{} cannot be converted to String", token(value))),
            (Integer, _) => Err(format!("{} cannot be converted to Integer", token(value))),
            (Flag, _) => Err(format!("{} cannot be converted to Boolean", token(value))),
            (Bytes, _) => Err("only base-64-encoded strings are convertible to bytes".to_owned()),
            (List(_) | Map(_), _) if place == ValuePosition::Element => Err(CAST.to_owned()),
            (Self::Structure(_), _) if place == ValuePosition::Element => {
                Err("Unexpected value type in payload".to_owned())
            }
            (List(_) | Map(_) | Self::Structure(_), _) => Err("Unexpected field type".to_owned()),
        }
    }

    /// The Java type in AWS's messages.
    fn class(&self) -> String {
        match self {
            Text => "class java.lang.String".to_owned(),
            Integer => "class java.lang.Integer".to_owned(),
            Flag => "class java.lang.Boolean".to_owned(),
            Bytes => "class java.nio.ByteBuffer".to_owned(),
            Self::Structure(structure) => format!("class {CLASSES}.{}", structure.name),
            List(element) => format!("java.util.List<{}>", element.class().trim_start_matches("class ")),
            Map(element) => {
                format!("java.util.Map<java.lang.String, {}>", element.class().trim_start_matches("class "))
            }
        }
    }
}

/// The name that AWS's JSON parser has for a value that is neither a list nor an object.
fn token(value: &Value) -> &'static str {
    match value {
        Value::Bool(true) => "TRUE_VALUE",
        Value::Bool(false) => "FALSE_VALUE",
        Value::String(_) => "STRING_VALUE",
        Value::Number(number) if number.is_f64() => "DECIMAL_VALUE",
        _ => "NUMBER_VALUE",
    }
}
