use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;
use crate::core::stack;
use crate::core::template::expand::{Context, expand};
use crate::core::template::parse;
use crate::core::types::{function, table};
use crate::core::words::Scope;

fn scope() -> Scope {
    Scope {
        stack: "chat".to_owned(),
        account: "123456789012".to_owned(),
        region: "eu-west-1".to_owned(),
        partition: "aws".to_owned(),
    }
}

/// What AWS says of the types in these tests.
fn importable() -> Importable {
    let known = [
        ("AWS::ApiGatewayV2::Api", "ApiId"),
        ("AWS::ApiGatewayV2::Deployment", "ApiId,DeploymentId"),
        ("AWS::ApiGatewayV2::Integration", "ApiId,IntegrationId"),
        ("AWS::ApiGatewayV2::Route", "ApiId,RouteId"),
        ("AWS::ApiGatewayV2::Stage", "ApiId,StageName"),
        ("AWS::DynamoDB::Table", "TableName"),
        ("AWS::IAM::Role", "RoleName"),
        ("AWS::Lambda::Alias", "AliasArn"),
        ("AWS::Lambda::Function", "FunctionName"),
        ("AWS::Lambda::LayerVersion", "LayerVersionArn"),
        ("AWS::Lambda::Permission", "FunctionName,Id"),
        ("AWS::Lambda::Version", "FunctionArn"),
        ("AWS::Logs::LogGroup", "LogGroupName"),
        ("AWS::SQS::Queue", "QueueUrl"),
    ];
    known.map(|(name, identifier)| (name.to_owned(), vec![identifier.to_owned()])).into()
}

/// A stack that is up, and its template once the code of these resources is in S3.
struct Up {
    stack: Stack,
    template: Template,
    live: BTreeMap<String, Live>,
    known: BTreeMap<Token, String>,
}

impl Up {
    fn of(text: &str, code: &[&str]) -> Self {
        let none = BTreeMap::new();
        let stack = stack::load(text.as_bytes(), &none, &scope()).unwrap_or_else(|problems| panic!("{problems:?}"));
        let places =
            code.iter().map(|id| ((*id).to_owned(), ("bucket".to_owned(), format!("chat/{id}.zip")))).collect();
        let context = Context { partition: "aws", region: "eu-west-1", parameters: &none };
        let template = expand(parse(text.as_bytes()).unwrap().with_uploaded(&places), context);
        let mut known = BTreeMap::new();
        for resource in stack.resources.values() {
            for token in Token::find_all(&resource.properties) {
                let value = format!("{}-{}", token.logical_id, token.attribute);
                known.insert(token, value);
            }
        }
        let of = |token: &Token| known.get(token).cloned();
        let live = stack.resources.values().map(|resource| {
            let id = &resource.logical_id;
            let physical_id = resource.name.clone().unwrap_or_else(|| format!("{id}-Ref"));
            let properties = Token::substitute(&resource.properties, &of);
            let parent = resource.kind.parent_id(&properties).map(str::to_owned);
            let live = Live {
                logical_id: Some(id.clone()),
                parent,
                ..Live::new(resource.kind.type_name(), physical_id, properties)
            };
            (id.clone(), live)
        });
        Self { live: live.collect(), stack: stack.clone(), template, known: known.clone() }
    }

    fn plan(&self, importable: &Importable) -> Result<Handover, Vec<String>> {
        plan(&self.template, &self.stack, &self.live, &self.known, importable)
    }
}

/// The names that references in a template's resources lead to.
fn references(value: &Value, found: &mut BTreeSet<String>) {
    match value {
        Value::Object(members) => {
            for (name, member) in members {
                match (name.as_str(), member) {
                    ("Ref", Value::String(id)) => drop(found.insert(id.clone())),
                    ("Fn::GetAtt", Value::Array(parts)) => found.extend(parts[0].as_str().map(str::to_owned)),
                    ("Fn::Sub", Value::String(text)) => {
                        let names = text.split("${").skip(1).filter_map(|rest| rest.split_once('}'));
                        found.extend(names.map(|(name, _)| name.split('.').next().unwrap().to_owned()));
                    }
                    ("DependsOn", Value::Array(names)) => {
                        found.extend(names.iter().filter_map(Value::as_str).map(str::to_owned))
                    }
                    _ => {}
                }
                references(member, found);
            }
        }
        Value::Array(items) => items.iter().for_each(|item| references(item, found)),
        _ => {}
    }
}

fn shown(handover: &Handover) -> String {
    let line = |entry: &Entry| {
        let how = match &entry.how {
            How::Import(identifier) => {
                let parts: Vec<String> = identifier.iter().map(|(name, value)| format!("{name}={value}")).collect();
                format!("import {}", parts.join(" "))
            }
            how => format!("{how:?}"),
        };
        format!("{} {} {how}\n", entry.logical_id, entry.type_name)
    };
    handover.entries.iter().map(line).collect()
}

#[test]
fn the_chat_goes_to_cloudformation_whole() {
    let text = include_str!("../../../templates/chat.yaml");
    let up = Up::of(text, &["Connect", "Disconnect", "SendMessage"]);
    let handover = up.plan(&importable()).unwrap();
    insta::assert_snapshot!("chat_entries", shown(&handover));
    insta::assert_snapshot!("chat_import", serde_json::to_string_pretty(&handover.import).unwrap());
    // The second step brings the outputs, and the user's own policies back. There is nothing to write over.
    assert_eq!(handover.whole["Resources"]["Connections"]["DeletionPolicy"], "Delete");
    assert!(handover.whole.get("Outputs").is_some());
    assert_eq!(handover.after(&handover.import), [&handover.whole]);
    assert_eq!(handover.after(&handover.whole), [&Value::Null; 0]);
}

const MIXED: &str = r#"
Transform: AWS::Serverless-2016-10-31
Resources:
  Role:
    Type: AWS::IAM::Role
    Properties:
      AssumeRolePolicyDocument:
        Version: "2012-10-17"
        Statement: [{Effect: Allow, Principal: {Service: lambda.amazonaws.com}, Action: "sts:AssumeRole"}]
  Policy:
    Type: AWS::IAM::Policy
    Properties:
      PolicyName: send
      Roles: [!Ref Role]
      PolicyDocument: {Version: "2012-10-17", Statement: [{Effect: Allow, Action: "sqs:SendMessage", Resource: !GetAtt Queue.Arn}]}
  Queue: {Type: AWS::SQS::Queue}
  Let:
    Type: AWS::SQS::QueuePolicy
    Properties:
      Queues: [!Ref Queue]
      PolicyDocument:
        Version: "2012-10-17"
        Statement: [{Effect: Allow, Principal: "*", Action: "sqs:SendMessage", Resource: !GetAtt Queue.Arn}]
  Tools:
    Type: AWS::Serverless::LayerVersion
    Properties: {ContentUri: tools, CompatibleRuntimes: [nodejs22.x]}
  Send:
    Type: AWS::Serverless::Function
    DependsOn: [Policy, Queue]
    Properties:
      Runtime: nodejs22.x
      Handler: index.handler
      CodeUri: send
      Role: !GetAtt Role.Arn
      AutoPublishAlias: live
      Layers: [!Ref Tools]
"#;

#[test]
fn what_cannot_be_imported_comes_in_the_second_step() {
    let up = Up::of(MIXED, &["Send", "Tools"]);
    let handover = up.plan(&importable()).unwrap();
    let how = |id: &str| handover.entries.iter().find(|entry| entry.logical_id.starts_with(id)).unwrap().how.clone();
    assert_eq!(how("Policy"), How::CreateAgain(Doubled::WrittenOver));
    assert_eq!(how("Let"), How::CreateAgain(Doubled::WrittenOver));
    let queue = how("Queue");
    assert!(matches!(&queue, How::Import(identifier) if identifier["QueueUrl"].contains("Queue")), "{queue:?}");
    // SAM makes these ids of the place of the code, so they are others than wschat's, and the same resources.
    for id in ["Tools", "SendVersion"] {
        let entry = handover.entries.iter().find(|entry| entry.logical_id.starts_with(id)).unwrap();
        assert!(!up.stack.resources.contains_key(&entry.logical_id), "{}", entry.logical_id);
        assert!(matches!(entry.how, How::Import(_)), "{entry:?}");
    }
    let import = &handover.import["Resources"];
    assert!(import.get("Policy").is_none() && import.get("Let").is_none());
    assert_eq!(import["Send"]["DependsOn"], json!(["Queue"]));
    assert_eq!(handover.whole["Resources"]["Send"]["DependsOn"], json!(["Policy", "Queue"]));
    assert_eq!(handover.created().map(|entry| entry.logical_id.as_str()).collect::<Vec<_>>(), ["Let", "Policy"]);
    // If the step that creates them fails, what was there before stays; the user's own policies come after that.
    let (create, whole) = (&handover.create, &handover.whole);
    assert_eq!(handover.after(&handover.import), [create, whole]);
    assert_eq!(handover.after(create), [whole]);
    for (id, resource) in whole["Resources"].as_object().unwrap() {
        let (policy, is_kept) = (&create["Resources"][id]["DeletionPolicy"], ["Let", "Policy"].contains(&id.as_str()));
        assert_eq!(*policy, if is_kept { json!("Retain") } else { resource["DeletionPolicy"].clone() }, "{id}");
        assert_eq!(create["Resources"][id]["Properties"], resource["Properties"]);
    }
}

#[test]
fn what_would_have_to_be_deleted_first_is_refused_by_name() {
    let up = Up::of(MIXED, &["Send", "Tools"]);
    let mut importable = importable();
    importable.remove("AWS::SQS::Queue");
    importable.insert("AWS::IAM::Role".to_owned(), vec!["Nothing,Known".to_owned()]);
    let refused = up.plan(&importable).unwrap_err();
    assert_eq!(refused.len(), 2, "{refused:?}");
    assert!(refused[0].starts_with("Queue (AWS::SQS::Queue): CloudFormation cannot import it"), "{refused:?}");
    assert!(
        refused[1].starts_with("Role (AWS::IAM::Role): CloudFormation identifies it by Nothing,Known"),
        "{refused:?}"
    );
}

#[test]
fn what_wschat_has_not_deployed_is_created_unless_a_condition_speaks_against_it() {
    let text = r#"
Conditions: {Never: !Equals [a, b]}
Resources:
  Table:
    Type: AWS::DynamoDB::Table
    Properties:
      BillingMode: PAY_PER_REQUEST
      AttributeDefinitions: [{AttributeName: id, AttributeType: S}]
      KeySchema: [{AttributeName: id, KeyType: HASH}]
  Queue: {Type: AWS::SQS::Queue, Condition: Never}
  CDKMetadata: {Type: AWS::CDK::Metadata, Properties: {Analytics: x}}
"#;
    let handover = Up::of(text, &[]).plan(&importable()).unwrap();
    assert_eq!(
        handover
            .entries
            .iter()
            .map(|entry| (entry.logical_id.as_str(), matches!(entry.how, How::Create)))
            .collect::<Vec<_>>(),
        [("CDKMetadata", true), ("Table", false)]
    );
    assert_eq!(handover.import["Resources"].as_object().unwrap().keys().collect::<Vec<_>>(), ["Table"]);
    assert!(handover.whole["Resources"].get("Queue").is_some());
}

/// One resource of a generated template: its declaration under this name, which refers to the others by theirs.
fn declared(kind: u8, name: &str, others: &[String], policy: Option<&str>) -> Value {
    let other = |index: usize| others.get(index % others.len().max(1)).cloned();
    let trust = json!({"Version": "2012-10-17", "Statement": [
        {"Effect": "Allow", "Principal": {"Service": "lambda.amazonaws.com"}, "Action": "sts:AssumeRole"}]});
    let mut resource = match kind {
        0 => json!({"Type": table::TYPE, "Properties": {"BillingMode": "PAY_PER_REQUEST",
            "AttributeDefinitions": [{"AttributeName": "id", "AttributeType": "S"}],
            "KeySchema": [{"AttributeName": "id", "KeyType": "HASH"}]}}),
        1 => json!({"Type": function::TYPE, "Properties": {"Runtime": "nodejs22.x", "Handler": "index.handler",
            "Code": {"ZipFile": "exports.handler = async () => ({})"}, "Role": {"Fn::GetAtt": ["BaseRole", "Arn"]},
            "Environment": {"Variables": {"OTHER": {"Fn::Sub": format!("a-${{{}}}", other(0).unwrap_or("BaseRole".into()))}}}}}),
        2 => json!({"Type": "AWS::IAM::Policy", "Properties": {"PolicyName": name, "Roles": [{"Ref": "BaseRole"}],
            "PolicyDocument": {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "s3:GetObject", "Resource": "*"}]}}}),
        3 => json!({"Type": "AWS::SQS::Queue"}),
        _ => json!({"Type": "AWS::IAM::Role", "Properties": {"AssumeRolePolicyDocument": trust}}),
    };
    if let Some(waits_for) = other(1) {
        resource["DependsOn"] = json!([waits_for]);
    }
    if let Some(policy) = policy {
        resource["DeletionPolicy"] = policy.into();
    }
    resource
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// Whatever a stack has: the import keeps all, has no outputs, refers to nothing that is not there, and describes what is imported as
    /// the whole template does.
    #[test]
    fn an_import_describes_what_is_imported_as_the_whole_does(
        kinds in proptest::collection::vec((0..5u8, proptest::option::of(prop_oneof![Just("Delete"), Just("Retain")])), 1..8),
        outputs in any::<bool>(),
    ) {
        let mut resources = serde_json::Map::new();
        resources.insert("BaseRole".to_owned(), declared(4, "BaseRole", &[], None));
        let mut names: Vec<String> = Vec::new();
        for (index, (kind, policy)) in kinds.iter().enumerate() {
            let name = format!("R{index}");
            // A policy has nothing that a reference to it gives before it exists.
            let usable: Vec<String> = names.iter().filter(|name| resources[*name]["Type"] != "AWS::IAM::Policy").cloned().collect();
            let mut resource = declared(*kind, &name, &usable, *policy);
            if let Some(last) = names.last() {
                resource["DependsOn"] = json!([last]);
            }
            resources.insert(name.clone(), resource);
            names.push(name);
        }
        let mut text = json!({"Resources": resources});
        if outputs {
            text["Outputs"] = json!({"Out": {"Value": {"Ref": "BaseRole"}}});
        }
        let up = Up::of(&text.to_string(), &[]);
        let handover = up.plan(&importable()).unwrap();
        let import = &handover.import;
        prop_assert!(import.get("Outputs").is_none());
        let imported: BTreeSet<String> = handover.imported().map(|(entry, _)| entry.logical_id.clone()).collect();
        let there = import["Resources"].as_object().unwrap();
        prop_assert_eq!(&there.keys().cloned().collect::<BTreeSet<_>>(), &imported);
        prop_assert!(there.values().all(|resource| resource["DeletionPolicy"] == "Retain"));
        let mut found = BTreeSet::new();
        references(&import["Resources"], &mut found);
        prop_assert!(found.iter().all(|id| imported.contains(id)), "{:?} of {:?}", found, imported);
        // The same resources, however one looks at them.
        let known = |token: &Token| up.known.get(token).cloned();
        let of = |whole: &Value| stack::load(whole.to_string().as_bytes(), &BTreeMap::new(), &scope()).unwrap();
        let (of_import, of_whole) = (of(import), of(&handover.whole));
        for id in &imported {
            let read = |stack: &Stack| Token::substitute(&stack.resources[id].properties, &known);
            prop_assert_eq!(read(&of_import), read(&of_whole), "{}", id);
        }
        prop_assert_eq!(of_whole.resources.len(), up.stack.resources.len());
    }
}
