//! Resources that Cloud Control identifies by several properties, and types that it lists only inside of something: whatever the type,
//! they are found again, changed and deleted.

use serde_json::{Map, Value, json};
use wschat::core::schemas::{self, Schema, Shape};
use wschat::core::types::Kind;
use wschat::core::types::cloud_control::{self, CloudControlled};

use crate::common::Cloud;
use crate::common::inventory::{Inventory, same};
use crate::common::template::{SWIFT, Template};

/// The types with tags that are not found by their ARN or name alone.
fn types() -> Vec<&'static CloudControlled> {
    let kinds = schemas::names().filter_map(|name| cloud_control::kind(&name));
    let is_such = |schema: &Schema| schema.identifier.len() > 1 || !schema.list_models.is_empty();
    kinds.filter(|kind| kind.is_tagged() && is_such(kind.schema)).collect()
}

/// Some value of a shape.
fn value(schema: &Schema, shape: &Shape, depth: usize) -> Value {
    match schema.resolved(shape) {
        Shape::Text(rule) => rule.one_of.first().map_or("x", String::as_str).into(),
        Shape::Integer | Shape::Number => 1.into(),
        Shape::Boolean => true.into(),
        Shape::Any | Shape::Document | Shape::Definition(_) => json!({}),
        Shape::List(_) | Shape::Set(_) | Shape::Map(_) if depth > 6 => json!([]),
        Shape::List(inner) | Shape::Set(inner) => json!([value(schema, inner, depth + 1)]),
        Shape::Map(inner) => json!({ "k": value(schema, inner, depth + 1) }),
        Shape::Object(object) => {
            let required =
                object.required.iter().map(|name| (name.clone(), value(schema, &object.members[name], depth + 1)));
            Value::Object(required.collect())
        }
    }
}

/// The least that a template says of a resource: what is required, what identifies it, what it lies in.
fn least(kind: &CloudControlled) -> Value {
    let schema = kind.schema;
    let names = schema.required.iter().map(String::as_str).chain(kind.located_by().iter().copied());
    let names =
        names.filter(|name| Some(*name) != schema.tags.as_deref() && !schema.read_only.iter().any(|one| one == name));
    let given: Map<String, Value> =
        names.map(|name| (name.to_owned(), value(schema, &schema.properties[name], 0))).collect();
    given.into()
}

#[tokio::test]
async fn every_type_with_an_identifier_of_several_parts_is_found_again() {
    let types = types();
    assert!(types.len() > 180, "{}", types.len());
    let cloud = Cloud::start().conditions(SWIFT).go();
    let resource = |kind: &&CloudControlled| {
        let id: String = kind.type_name().split("::").skip(1).collect();
        (id, json!({"Type": kind.type_name(), "Properties": least(kind)}))
    };
    let all: Map<String, Value> = types.iter().map(resource).collect();
    Template(json!({ "Resources": all })).save(&cloud);
    cloud.up();
    cloud.up().changes_nothing();
    cloud.status().ok();
    let run = cloud.down();
    assert_eq!(run.count("cloudcontrolapi.DeleteResource"), types.len());
    for kind in types {
        let Some(model) = kind.schema.list_model(|property| least(kind).get(property).cloned()) else { continue };
        let all = cloud.listed(kind.type_name(), Some(model.into())).await;
        assert_eq!(all, Vec::<Value>::new(), "{} is left", kind.type_name());
    }
}

/// A REST API as the CDK writes it.
fn rest() -> Template {
    let api = json!({"Ref": "Api"});
    Template(json!({
        "Resources": {
            "Api": {"Type": "AWS::ApiGateway::RestApi", "Properties": {"Name": "rest"}},
            "Ping": {"Type": "AWS::ApiGateway::Resource", "Properties": {
                "RestApiId": api, "ParentId": {"Fn::GetAtt": ["Api", "RootResourceId"]}, "PathPart": "ping",
            }},
            "Get": {"Type": "AWS::ApiGateway::Method", "Properties": {
                "RestApiId": api, "ResourceId": {"Ref": "Ping"}, "HttpMethod": "GET", "AuthorizationType": "NONE",
                "Integration": {"Type": "MOCK", "RequestTemplates": {"application/json": "{\"statusCode\": 200}"}},
                "MethodResponses": [{"StatusCode": "200"}],
            }},
            "Deployment": {"Type": "AWS::ApiGateway::Deployment", "DependsOn": ["Get"], "Properties": {"RestApiId": api}},
            "Prod": {"Type": "AWS::ApiGateway::Stage", "Properties": {
                "RestApiId": api, "DeploymentId": {"Ref": "Deployment"}, "StageName": "prod",
            }},
        },
        "Outputs": {"Stage": {"Value": {"Ref": "Prod"}}},
    }))
}

#[tokio::test]
async fn a_rest_api_and_its_stage_come_stay_change_and_go() {
    let cloud = Cloud::start().conditions(SWIFT).go();
    rest().save(&cloud);
    let run = cloud.up();
    assert!(run.stderr.contains("Stage = prod\n"), "{}", run.stderr);
    cloud.up().changes_nothing();
    cloud.status().ok();
    let mut changed = rest();
    changed.set("Prod.Description", "the stage".into());
    changed.save(&cloud);
    let run = cloud.up();
    assert_eq!(run.mutations(), ["cloudcontrolapi.UpdateResource"]);
    cloud.down();
    same(&cloud.inventory().await, &Inventory::new());
    assert_eq!(cloud.records("AWS::ApiGateway::RestApi").await, Vec::<Value>::new());
}
