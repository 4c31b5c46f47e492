use serde_json::json;

use super::*;
use crate::local::protocol::service::AnyService;
use crate::local::protocol::wire::{self, Response};

/// A service with an empty folder, whose changes take no time.
struct Fixture {
    service: Arc<CloudControl>,
    _folder: tempfile::TempDir,
}

impl Fixture {
    fn new() -> Self {
        let (context, folder) = testing::context();
        Self { service: CloudControl::open(&context, Vec::new()).unwrap(), _folder: folder }
    }

    async fn ask(&self, operation: &str, input: Value) -> Result<Value, ApiError> {
        let mut request = wire::Request::in_test("POST", "/", &input.to_string());
        request.headers.insert("x-amz-target", format!("CloudApiService.{operation}").parse().unwrap());
        let call = AnyService::prepare(&*self.service, request)?;
        let Response { body, .. } = AnyService::call(&*self.service, call).await?;
        Ok(serde_json::from_slice(&body).unwrap())
    }

    /// Sends a change and gives its end.
    async fn change(&self, operation: &str, input: Value) -> Result<Value, ApiError> {
        let answer = self.ask(operation, input).await?;
        assert_eq!(answer["ProgressEvent"]["OperationStatus"], "IN_PROGRESS", "{answer}");
        let token = &answer["ProgressEvent"]["RequestToken"];
        let status = self.ask("GetResourceRequestStatus", json!({ "RequestToken": token })).await?;
        Ok(status["ProgressEvent"].clone())
    }

    async fn create(&self, type_name: &str, properties: Value) -> Value {
        let input = json!({"TypeName": type_name, "DesiredState": properties.to_string()});
        self.change("CreateResource", input).await.unwrap()
    }

    async fn get(&self, type_name: &str, identifier: &str) -> Result<Value, ApiError> {
        let answer = self.ask("GetResource", json!({"TypeName": type_name, "Identifier": identifier})).await?;
        Ok(serde_json::from_str(answer["ResourceDescription"]["Properties"].as_str().unwrap()).unwrap())
    }
}

const QUEUE: &str = "AWS::SQS::Queue";

#[tokio::test]
async fn a_resource_is_created_read_changed_listed_and_deleted() {
    let fixture = Fixture::new();
    let made = fixture.create(QUEUE, json!({"QueueName": "q", "DelaySeconds": 5})).await;
    let url = "https://sqs.eu-west-1.amazonaws.com/000000000000/q";
    assert_eq!((made["OperationStatus"].as_str(), made["Identifier"].as_str()), (Some("SUCCESS"), Some(url)));
    let read = fixture.get(QUEUE, url).await.unwrap();
    assert_eq!(read["Arn"], "arn:aws:sqs:eu-west-1:000000000000:q");
    assert_eq!(
        (&read["DelaySeconds"], &read["VisibilityTimeout"]),
        (&json!(5), &json!(30)),
        "what was asked, and a default"
    );

    let patch =
        json!([{"op": "add", "path": "/VisibilityTimeout", "value": 60}, {"op": "remove", "path": "/DelaySeconds"}]);
    let input = json!({"TypeName": QUEUE, "Identifier": url, "PatchDocument": patch.to_string()});
    assert_eq!(fixture.change("UpdateResource", input).await.unwrap()["OperationStatus"], "SUCCESS");
    let read = fixture.get(QUEUE, url).await.unwrap();
    assert!(read["VisibilityTimeout"] == 60 && read["DelaySeconds"].is_null());

    let listed = fixture.ask("ListResources", json!({"TypeName": QUEUE})).await.unwrap();
    assert_eq!(listed["ResourceDescriptions"][0]["Identifier"], url);
    let gone = json!({"TypeName": QUEUE, "Identifier": url});
    assert_eq!(fixture.change("DeleteResource", gone.clone()).await.unwrap()["OperationStatus"], "SUCCESS");
    for operation in ["GetResource", "DeleteResource"] {
        assert_eq!(fixture.ask(operation, gone.clone()).await.unwrap_err().code, "ResourceNotFoundException");
    }
    let all = fixture.ask("ListResourceRequests", json!({})).await.unwrap();
    let operations: Vec<&str> = all["ResourceRequestStatusSummaries"]
        .as_array()
        .unwrap()
        .iter()
        .map(|one| one["Operation"].as_str().unwrap())
        .collect();
    assert_eq!(operations, ["DELETE", "UPDATE", "CREATE"]);
}

#[tokio::test]
async fn a_client_token_makes_two_requests_one() {
    let fixture = Fixture::new();
    let input = |delay: i64| json!({"TypeName": QUEUE, "ClientToken": "t", "DesiredState": json!({"DelaySeconds": delay}).to_string()});
    let first = fixture.ask("CreateResource", input(1)).await.unwrap();
    let again = fixture.ask("CreateResource", input(1)).await.unwrap();
    assert_eq!(first["ProgressEvent"]["RequestToken"], again["ProgressEvent"]["RequestToken"]);
    let listed = fixture.ask("ListResources", json!({"TypeName": QUEUE})).await.unwrap();
    assert_eq!(listed["ResourceDescriptions"].as_array().unwrap().len(), 1);
    assert_eq!(fixture.ask("CreateResource", input(2)).await.unwrap_err().code, "ClientTokenConflictException");
}

#[tokio::test]
async fn a_secret_is_kept_in_its_record_alone_and_gone_with_it() {
    let fixture = Fixture::new();
    let file = fixture.service.context.store.path("cloudcontrol.json");
    let text = || std::fs::read_to_string(&file).unwrap();
    let properties = json!({"Name": "chat", "SecretString": "hush"});
    let made = fixture.create("AWS::SecretsManager::Secret", properties).await;
    let parameter =
        fixture.create("AWS::SSM::Parameter", json!({"Name": "p", "Type": "String", "Value": "quiet"})).await;
    // The property and the value.
    assert_eq!((text().matches("hush").count(), text().matches("quiet").count()), (2, 2));
    for (type_name, made) in [("AWS::SecretsManager::Secret", made), ("AWS::SSM::Parameter", parameter)] {
        let gone = json!({"TypeName": type_name, "Identifier": made["Identifier"]});
        fixture.change("DeleteResource", gone).await.unwrap();
    }
    assert!(!text().contains("hush") && !text().contains("quiet"), "{}", text());
}

#[test]
fn requests_of_older_builds_are_read_without_their_input() {
    let input = json!(["CREATE", QUEUE, { "DelaySeconds": 5 }]);
    let mut request = json!({
        "token": "t", "client_token": "c", "input": input, "type_name": QUEUE, "operation": "CREATE", "identifier": "i",
        "began": 1, "ends": 2, "failure": null,
    });
    let old: Request = serde_json::from_value(request.clone()).unwrap();
    assert_eq!(old.input, records::digest(&input));
    request["input"] = json!(old.input);
    assert_eq!(serde_json::to_value(old).unwrap(), request);
}

#[tokio::test]
async fn what_aws_refuses_is_refused() {
    let fixture = Fixture::new();
    fixture.create(QUEUE, json!({"QueueName": "q"})).await;
    let twice = fixture.create(QUEUE, json!({"QueueName": "q"})).await;
    assert_eq!(
        (twice["OperationStatus"].as_str(), twice["ErrorCode"].as_str()),
        (Some("FAILED"), Some("AlreadyExists"))
    );
    let create = |type_name: &str, state: &str| json!({"TypeName": type_name, "DesiredState": state});
    let url = "https://sqs.eu-west-1.amazonaws.com/000000000000/q";
    let fixed = json!([{"op": "add", "path": "/QueueName", "value": "r"}]).to_string();
    for (operation, input, code, message) in [
        (
            "CreateResource",
            create("AWS::SQS::Queues", "{}"),
            "TypeNotFoundException",
            "The type 'AWS::SQS::Queues' cannot be found",
        ),
        ("CreateResource", create(QUEUE, "{"), "ValidationException", "DesiredState is not valid JSON"),
        (
            "CreateResource",
            create(QUEUE, r#"{"Delay": 1}"#),
            "ValidationException",
            "(#: extraneous key [Delay] is not permitted)",
        ),
        (
            "CreateResource",
            create(QUEUE, r#"{"DelaySeconds": "1"}"#),
            "ValidationException",
            "(#/DelaySeconds: expected type: Integer, found: String)",
        ),
        (
            "CreateResource",
            create("AWS::SSM::Parameter", r#"{"Type": "String"}"#),
            "ValidationException",
            "(#: required key [Value] not found)",
        ),
        ("CreateResource", create(QUEUE, r#"{"Arn": "a"}"#), "ValidationException", "readonly properties"),
        (
            "UpdateResource",
            json!({"TypeName": QUEUE, "Identifier": url, "PatchDocument": fixed}),
            "NotUpdatableException",
            "QueueName",
        ),
        ("GetResource", json!({"TypeName": QUEUE}), "ValidationException", "'identifier'"),
        ("GetResourceRequestStatus", json!({"RequestToken": "x"}), "RequestTokenNotFoundException", "x"),
    ] {
        let error = fixture.ask(operation, input.clone()).await.unwrap_err();
        assert_eq!(error.code, code, "{input}");
        assert!(error.message.contains(message), "{input}: {}", error.message);
    }
}

#[tokio::test]
async fn what_no_reading_gives_is_lost_where_a_patch_does_not_have_it() {
    let fixture = Fixture::new();
    let name = json!({"Name": "p", "Type": "String", "Value": "v", "Description": "d"});
    fixture.create("AWS::SSM::Parameter", name).await;
    assert!(fixture.get("AWS::SSM::Parameter", "p").await.unwrap()["Description"].is_null());
    let patch = json!([{"op": "add", "path": "/Value", "value": "w"}]).to_string();
    let input = json!({"TypeName": "AWS::SSM::Parameter", "Identifier": "p", "PatchDocument": patch});
    fixture.change("UpdateResource", input).await.unwrap();
    let records = fixture.service.state.now();
    let (.., record) = records.there("eu-west-1").next().unwrap();
    assert!(record.model["Value"] == "w" && record.model["Description"].is_null(), "{}", record.model);
}

#[tokio::test]
async fn attributes_have_the_form_of_aws() {
    let fixture = Fixture::new();
    for (type_name, properties, attribute, form) in [
        ("AWS::SNS::Topic", json!({"TopicName": "t"}), "TopicArn", "^arn:aws:sns:eu-west-1:000000000000:t$"),
        ("AWS::Events::Rule", json!({"Name": "r"}), "Arn", "^arn:aws:events:eu-west-1:000000000000:rule/r$"),
        ("AWS::Cognito::UserPool", json!({}), "UserPoolId", "^eu-west-1_[0-9a-f]{9}$"),
        (
            "AWS::Cognito::UserPool",
            json!({}),
            "ProviderURL",
            "^https://cognito-idp.eu-west-1.amazonaws.com/eu-west-1_[0-9a-f]{9}$",
        ),
        ("AWS::EC2::Subnet", json!({"VpcId": "vpc-1"}), "SubnetId", "^subnet-[0-9a-f]{17}$"),
        ("AWS::EC2::SecurityGroup", json!({"GroupDescription": "d"}), "GroupId", "^sg-[0-9a-f]{17}$"),
        ("AWS::EC2::VPC", json!({"CidrBlock": "10.0.0.0/16"}), "VpcId", "^vpc-[0-9a-f]{17}$"),
        ("AWS::EC2::VPC", json!({"CidrBlock": "10.0.0.0/16"}), "DefaultSecurityGroup", "^sg-[0-9a-f]{17}$"),
        (
            "AWS::EFS::AccessPoint",
            json!({"FileSystemId": "fs-1"}),
            "Arn",
            "^arn:aws:elasticfilesystem:eu-west-1:000000000000:access-point/fsap-[0-9a-f]{17}$",
        ),
        ("AWS::KMS::Key", json!({}), "KeyId", "^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$"),
        ("AWS::KMS::Key", json!({}), "Arn", "^arn:aws:kms:eu-west-1:000000000000:key/[0-9a-f-]{36}$"),
        (
            "AWS::SecretsManager::Secret",
            json!({"Name": "s"}),
            "Id",
            "^arn:aws:secretsmanager:eu-west-1:000000000000:secret:s-[0-9a-f]{6}$",
        ),
        (
            "AWS::StepFunctions::StateMachine",
            json!({"StateMachineName": "m", "RoleArn": "r"}),
            "Arn",
            "^arn:aws:states:eu-west-1:000000000000:stateMachine:m$",
        ),
    ] {
        let made = fixture.create(type_name, properties).await;
        let read = fixture.get(type_name, made["Identifier"].as_str().unwrap()).await.unwrap();
        let value = read[attribute].as_str().unwrap_or_default();
        assert!(regex_lite::Regex::new(form).unwrap().is_match(value), "{type_name} {attribute}: {value}");
    }
}

/// By its ARN, what is tagged is found again.
#[test]
fn what_has_an_id_of_its_own_has_that_in_its_arn() {
    let key = schema("AWS::ApiGateway::ApiKey").unwrap();
    let (model, id) = mint::minted(key, "eu-west-1", &json!({"Name": "mobile"}));
    assert_eq!(mint::arn(key, "eu-west-1", &model, &id), format!("arn:aws:apigateway:eu-west-1::/apikeys/{id}"));
}

/// Every type can be kept: whatever is required of it is made up here.
#[tokio::test]
async fn every_type_gets_an_identifier() {
    for name in crate::core::schemas::names() {
        let schema = schema(&name).unwrap();
        let (model, identifier) = mint::minted(schema, "eu-west-1", &json!({}));
        assert!(!identifier.is_empty() && model.is_object(), "{name}");
        assert!(mint::arn(schema, "eu-west-1", &model, &identifier).starts_with("arn:aws:"), "{name}");
    }
}
