//! AWS::Serverless::SimpleTable: a DynamoDB table with one key.

use serde_json::{Map, Value, json};

use super::Type;
use super::expansion::Expansion;
use super::shape::{Property, Shape};

/// The properties, of which `Globals` can give one.
pub const TYPE: Type = Type {
    name: "AWS::Serverless::SimpleTable",
    properties: &[
        Property::translated("PointInTimeRecoverySpecification", Shape::Any).local(),
        Property::translated("PrimaryKey", Shape::MapOfTexts).local(),
        Property::translated("ProvisionedThroughput", Shape::MapOfNumbers).local(),
        Property::translated("SSESpecification", Shape::Map),
        Property::translated("TableName", Shape::TextOrMap).local(),
        Property::translated("Tags", Shape::Map).local(),
    ],
    expand,
};

/// The key types in DynamoDB's form.
const KEY_TYPES: &[(&str, &str)] = &[("Binary", "B"), ("Number", "N"), ("String", "S")];

fn expand(expansion: &mut Expansion<'_>) {
    let mut table = Map::new();
    let (key, key_type) = primary_key(expansion);
    table.insert("AttributeDefinitions".to_owned(), json!([{ "AttributeName": key, "AttributeType": key_type }]));
    table.insert("KeySchema".to_owned(), json!([{ "AttributeName": key, "KeyType": "HASH" }]));
    for made in ["AttributeDefinitions", "KeySchema"] {
        let written = expansion.place("PrimaryKey").key("Name");
        expansion.note(expansion.place(made).index(0).key("AttributeName"), &written);
        expansion.note(expansion.place(made), &expansion.place("PrimaryKey"));
    }
    for name in ["PointInTimeRecoverySpecification", "ProvisionedThroughput", "SSESpecification", "TableName"] {
        if let Some(value) = expansion.given(name) {
            table.insert(name.to_owned(), value.clone());
        }
    }
    if !table.contains_key("ProvisionedThroughput") {
        table.insert("BillingMode".to_owned(), "PAY_PER_REQUEST".into());
    }
    if expansion.given("Tags").is_some() {
        let tags = expansion.tag_list();
        expansion.note_tags(&expansion.place("Tags"), &tags);
        table.insert("Tags".to_owned(), tags.into());
    }
    expansion.make("AWS::DynamoDB::Table", table);
}

/// The key's name and type.
fn primary_key(expansion: &mut Expansion<'_>) -> (String, &'static str) {
    let Some(Value::Object(key)) = expansion.given("PrimaryKey") else { return ("id".to_owned(), "S") };
    for name in ["Name", "Type"].into_iter().filter(|name| !key.contains_key(*name)) {
        expansion.problem("PrimaryKey", format!("PrimaryKey needs a {name}"));
    }
    let name = key.get("Name").and_then(Value::as_str).unwrap_or_default().to_owned();
    let Some(given) = key.get("Type").and_then(Value::as_str) else { return (name, "S") };
    let known = KEY_TYPES.iter().find(|(known, _)| *known == given);
    if known.is_none() {
        let place = expansion.place("PrimaryKey").key("Type");
        let problem = crate::core::words::Problem::new(place, format!("a key cannot have the Type \"{given}\""));
        expansion.report(problem.suggest(given, KEY_TYPES.iter().map(|(known, _)| *known)));
    }
    (name, known.map_or("S", |(_, known)| known))
}
