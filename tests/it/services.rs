//! What stands beside the chat: types that AWS Cloud Control provisions (`tests/fixtures/services`).

use serde_json::{Value, json};

use crate::common::inventory::{Inventory, same};
use crate::common::template::{App, SWIFT, Template};
use crate::common::{Cloud, Run, eventually};

/// A cloud with the fixture in its folder.
fn cloud() -> Cloud {
    App::services().fast()
}

fn template() -> Template {
    Template::of("tests/fixtures/services/template.yaml")
}

/// Deploys a changed template; gives what `up` said.
fn up_with(cloud: &Cloud, change: impl FnOnce(&mut Template)) -> Run {
    let mut template = template();
    change(&mut template);
    template.save_as(cloud, "template.yaml");
    cloud.up()
}

/// The calls that change something, of a run, by operation and service.
fn changing(run: &Run) -> Vec<String> {
    let mut calls: Vec<String> = run
        .calls
        .iter()
        .filter(|call| call.mutating && call.code.is_none())
        .map(|call| format!("{}.{}", call.service, call.operation))
        .collect();
    calls.sort();
    calls
}

#[tokio::test]
async fn they_come_stay_change_and_go() {
    let cloud = cloud();
    let run = cloud.up();
    let line = "Kept as records only, the local cloud does not run them: Client (Cognito UserPoolClient), \
                Users (Cognito UserPool)\n";
    assert!(run.stderr.contains(line), "{}", run.stderr);
    let outputs = &run.stderr;
    assert!(
        outputs.contains(&format!("Queue = http://localhost:{}/000000000000/app-Messages-", cloud.port())),
        "{outputs}"
    );
    assert!(outputs.contains("Rule = app-Heartbeat-"), "{outputs}");

    // What AWS has and the template does not state is no change.
    let whole = cloud.inventory().await;
    cloud.up().changes_nothing();
    cloud.status().ok();

    // One property of one resource: one call.
    let run = up_with(&cloud, |template| template.set("Messages.VisibilityTimeout", 90.into()));
    assert_eq!(changing(&run), ["cloudcontrolapi.UpdateResource"]);
    assert_eq!(cloud.record("AWS::SQS::Queue", "Messages").await["VisibilityTimeout"], 90);
    cloud.up().changes_nothing();

    // What cannot be read back is seen to change, and is sent with every other change.
    let run = up_with(&cloud, |template| {
        template.set("Messages.VisibilityTimeout", 90.into());
        template.set("Greeting.Description", "another".into());
    });
    assert_eq!(changing(&run), ["cloudcontrolapi.UpdateResource"]);
    let run = up_with(&cloud, |_| {});
    assert_eq!(changing(&run), ["cloudcontrolapi.UpdateResource"; 2]);
    same(&cloud.inventory().await, &whole);

    cloud.down();
    same(&cloud.inventory().await, &Inventory::new());
}

/// A function's settings that mean nothing here: created, read back, changed, taken away.
#[tokio::test]
async fn settings_without_an_effect_here_are_kept() {
    let cloud = cloud();
    let with_settings = |template: &mut Template| {
        template.set("Echo.DeadLetterConfig", json!({"TargetArn": {"Fn::GetAtt": ["DeadLetters", "Arn"]}}));
        template.set("Echo.VpcConfig", json!({"SubnetIds": ["subnet-2", "subnet-1"], "SecurityGroupIds": ["sg-1"]}));
        let access_point = "arn:aws:elasticfilesystem:us-east-1:000000000000:access-point/fsap-0123456789abcdef0";
        template.set("Echo.FileSystemConfigs", json!([{"Arn": access_point, "LocalMountPath": "/mnt/files"}]));
        template.set("Echo.KmsKeyArn", "arn:aws:kms:us-east-1:000000000000:key/k".into());
        template.set("Echo.RecursiveLoop", "Allow".into());
        template.set("Echo.RuntimeManagementConfig", json!({"UpdateRuntimeOn": "FunctionUpdate"}));
        template.set("One", json!({"Type": "AWS::Lambda::Version", "Properties": {"FunctionName": {"Ref": "Echo"}}}));
        let version = json!({"Fn::GetAtt": ["One", "Version"]});
        let properties = json!({
            "FunctionName": {"Ref": "Echo"}, "FunctionVersion": version, "Name": "live",
            "ProvisionedConcurrencyConfig": {"ProvisionedConcurrentExecutions": 2},
        });
        template.set("Live", json!({"Type": "AWS::Lambda::Alias", "Properties": properties}));
    };
    let run = up_with(&cloud, with_settings);
    let line = "Kept, without an effect on the local cloud: Echo (FileSystemConfigs, KmsKeyArn, RecursiveLoop, \
                RuntimeManagementConfig, VpcConfig); Live (ProvisionedConcurrencyConfig)\n";
    assert!(run.stderr.contains(line), "{}", run.stderr);
    cloud.up().changes_nothing();
    let other = up_with(&cloud, |template| {
        with_settings(template);
        template.set("Echo.RecursiveLoop", "Terminate".into());
        template.set("Live.ProvisionedConcurrencyConfig.ProvisionedConcurrentExecutions", 3.into());
    });
    let calls = ["lambda.PutFunctionRecursionConfig", "lambda.PutProvisionedConcurrencyConfig", "lambda.UpdateAlias"];
    assert_eq!(changing(&other), calls);
    cloud.up().changes_nothing();
    let taken_away = up_with(&cloud, |template| {
        with_settings(template);
        template.remove("Live.ProvisionedConcurrencyConfig");
        for gone in ["DeadLetterConfig", "VpcConfig", "FileSystemConfigs", "KmsKeyArn"] {
            template.remove(&format!("Echo.{gone}"));
        }
    });
    let calls = changing(&taken_away);
    assert!(calls.contains(&"lambda.UpdateFunctionConfiguration".to_owned()), "{calls:?}");
    assert!(calls.contains(&"lambda.DeleteProvisionedConcurrencyConfig".to_owned()), "{calls:?}");
    cloud.up().changes_nothing();
    cloud.down();
    same(&cloud.inventory().await, &Inventory::new());
}

#[tokio::test]
async fn what_cannot_be_changed_in_place_is_replaced_by_a_new_one_first() {
    let cloud = cloud();
    cloud.up();
    let old = cloud.record("AWS::SQS::Queue", "DeadLetters").await["QueueName"].clone();
    // (Not FifoQueue: the dead letters of a standard queue go to a standard queue.)
    let renamed = |template: &mut Template| {
        template.set("DeadLetters", json!({"Type": "AWS::SQS::Queue", "Properties": {"QueueName": "renamed"}}));
    };
    let run = up_with(&cloud, renamed);
    let new = cloud.record("AWS::SQS::Queue", "DeadLetters").await["QueueName"].clone();
    assert!(new != old && new == "renamed", "{new}");
    let calls: Vec<&str> = run.calls.iter().filter(|call| call.mutating).map(|call| &*call.operation).collect();
    let place = |operation: &str| calls.iter().position(|call| *call == operation).unwrap();
    assert!(place("CreateResource") < place("UpdateResource"), "{calls:?}");
    assert!(place("UpdateResource") < place("DeleteResource"), "the old one goes when nothing uses it: {calls:?}");
    assert_eq!(cloud.records("AWS::SQS::Queue").await.len(), 2);
    cloud.up().changes_nothing();
    cloud.down();
    same(&cloud.inventory().await, &Inventory::new());
}

#[tokio::test]
async fn what_a_template_does_not_have_any_more_goes() {
    let cloud = cloud();
    cloud.up();
    up_with(&cloud, |template| {
        for gone in
            ["News", "NewsMail", "Users", "Client", "HeartbeatPermission", "Heartbeat", "Greeting", "MessagesPolicy"]
        {
            template.remove(gone);
        }
        for variable in ["TOPIC", "USERS", "CLIENT", "GREETING"] {
            template.remove(&format!("Echo.Environment.Variables.{variable}"));
        }
        template.set("Role.Policies", json!([]));
        template.0["Outputs"].as_object_mut().unwrap().remove("Rule");
    });
    for (type_name, left) in [
        ("AWS::SNS::Topic", 0),
        ("AWS::SNS::Subscription", 0),
        ("AWS::Cognito::UserPool", 0),
        ("AWS::Cognito::UserPoolClient", 0),
        ("AWS::SQS::QueueInlinePolicy", 0),
        ("AWS::S3::BucketPolicy", 1),
        ("AWS::Events::Rule", 0),
        ("AWS::SSM::Parameter", 0),
        ("AWS::SQS::Queue", 2),
    ] {
        assert_eq!(cloud.records(type_name).await.len(), left, "{type_name}");
    }
    cloud.up().changes_nothing();
    cloud.down();
    same(&cloud.inventory().await, &Inventory::new());
}

#[tokio::test]
async fn deletion_policies_hold_for_them() {
    let cloud = cloud();
    up_with(&cloud, |template| template.get("Greeting")["DeletionPolicy"] = "Retain".into());
    cloud.down();
    let left = cloud.records("AWS::SSM::Parameter").await;
    assert_eq!(left.len(), 1);
    let inventory = cloud.inventory().await;
    assert_eq!(inventory.len(), 1, "{inventory:#?}");
}

#[tokio::test]
async fn what_belongs_to_somebody_else_stays() {
    let cloud = cloud();
    let named = |template: &mut Template| template.set("Messages.QueueName", "taken".into());
    by_hand(&cloud, "AWS::SQS::Queue", json!({"QueueName": "taken"})).await;
    let before = cloud.inventory().await;
    let mut template = template();
    named(&mut template);
    template.save_as(&cloud, "template.yaml");
    let run = cloud.wschat(&["up", "--local", "--yes"]).exits(1);
    assert!(
        run.stderr.contains("AWS::SQS::Queue \"taken\" already exists and belongs to an unknown owner"),
        "{}",
        run.stderr
    );
    same(&cloud.inventory().await, &before);
}

/// Creates a resource as another user.
async fn by_hand(cloud: &Cloud, type_name: &str, properties: Value) {
    let client = aws_sdk_cloudcontrol::Client::new(&cloud.sdk().await);
    let create = client.create_resource().type_name(type_name).desired_state(properties.to_string());
    let token = create.send().await.unwrap().progress_event.unwrap().request_token.unwrap();
    succeeded(&client, &token).await;
}

/// Waits until a request of Cloud Control has succeeded.
async fn succeeded(client: &aws_sdk_cloudcontrol::Client, token: &str) {
    let has_succeeded = async || {
        let status = client.get_resource_request_status().request_token(token).send().await.unwrap();
        status.progress_event.unwrap().operation_status.unwrap().as_str() == "SUCCESS"
    };
    eventually("the request has succeeded", has_succeeded).await;
}

/// A stack whose resources cannot be tagged, but for what records them.
fn untagged() -> Template {
    let policy = |resource: Value| {
        json!({"Version": "2012-10-17", "Statement": [
            {"Effect": "Deny", "Principal": "*", "Action": "s3:*", "Resource": resource}
        ]})
    };
    Template(json!({"Resources": {
        "News": {"Type": "AWS::SNS::Topic"},
        "Mail": {"Type": "AWS::SNS::Subscription", "Properties": {
            "TopicArn": {"Ref": "News"}, "Protocol": "email", "Endpoint": "ops@example.com",
        }},
        "Uploads": {"Type": "AWS::S3::Bucket", "Properties": {"BucketName": "our-uploads"}},
        "UploadsPolicy": {"Type": "AWS::S3::BucketPolicy", "Properties": {
            "Bucket": {"Ref": "Uploads"}, "PolicyDocument": policy(json!("arn:aws:s3:::our-uploads/*")),
        }},
        "Work": {"Type": "AWS::SQS::Queue"},
        "More": {"Type": "AWS::SQS::Queue"},
        "WorkPolicy": {"Type": "AWS::SQS::QueuePolicy", "Properties": {
            "Queues": [{"Ref": "Work"}, {"Ref": "More"}], "PolicyDocument": policy(json!("*")),
        }},
        "Users": {"Type": "AWS::Cognito::UserPool"},
        "Client": {"Type": "AWS::Cognito::UserPoolClient", "Properties": {
            "UserPoolId": {"Ref": "Users"}, "ClientName": "web",
        }},
    }, "Outputs": {"Client": {"Value": {"Ref": "Client"}}}}))
}

fn untagged_cloud() -> Cloud {
    let cloud = Cloud::start().conditions(SWIFT).go();
    untagged().save(&cloud);
    cloud
}

fn untagged_up(cloud: &Cloud, change: impl FnOnce(&mut Template)) -> Run {
    let mut template = untagged();
    change(&mut template);
    template.save(cloud);
    cloud.up()
}

/// The tags with which a resource records others.
fn records_in(properties: &Value) -> Vec<(String, String)> {
    let tags = properties["Tags"].as_array().cloned().unwrap_or_default();
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    let tags = tags.iter().map(|tag| (text(&tag["Key"]), text(&tag["Value"])));
    tags.filter(|(key, _)| key.starts_with("wschat:resource:")).collect()
}

#[tokio::test]
async fn what_cannot_be_tagged_comes_stays_changes_and_goes() {
    let cloud = untagged_cloud();
    let run = cloud.up();
    let whole = cloud.inventory().await;
    assert_eq!(cloud.records("AWS::SQS::QueueInlinePolicy").await.len(), 2);
    let client = cloud.records("AWS::Cognito::UserPoolClient").await[0]["ClientId"].as_str().unwrap().to_owned();
    assert!(run.stderr.contains(&format!("Client = {client}")), "{}", run.stderr);

    let topic = &cloud.records("AWS::SNS::Topic").await[0];
    let subscription = &cloud.records("AWS::SNS::Subscription").await[0];
    let records = records_in(topic);
    assert_eq!(records.len(), 1, "{topic}");
    assert!(records[0].0.starts_with("wschat:resource:Mail-"), "{records:?}");
    let arn = subscription["Arn"].as_str().unwrap();
    assert_eq!(records[0].1, format!("1 AWS::SNS::Subscription Mail Delete - made {arn}"));

    cloud.up().changes_nothing();
    cloud.status().ok();

    // A change of one property is one call, one of the deletion policy changes the record alone.
    let deny = "UploadsPolicy.PolicyDocument.Statement.0.Action";
    let run = untagged_up(&cloud, |template| template.set(deny, "s3:GetObject".into()));
    assert_eq!(changing(&run), ["cloudcontrolapi.UpdateResource"]);
    let run = untagged_up(&cloud, |template| {
        template.set(deny, "s3:GetObject".into());
        template.get("Client")["DeletionPolicy"] = "Retain".into();
    });
    assert_eq!(changing(&run), ["tagging.TagResources"]);
    let retained = cloud.records("AWS::Cognito::UserPool").await;
    assert!(retained[0].to_string().contains("AWS::Cognito::UserPoolClient Client Retain"), "{retained:?}");

    // Tags of the recorder leave its records alone.
    let run = untagged_up(&cloud, |template| template.set("News.Tags", json!([{"Key": "team", "Value": "blue"}])));
    assert_eq!(records_in(&cloud.records("AWS::SNS::Topic").await[0]), records, "{}", run.stderr);
    untagged_up(&cloud, |_| {});
    cloud.up().changes_nothing();
    same(&cloud.inventory().await, &whole);

    // First what is not wanted goes, and then its record.
    let run = untagged_up(&cloud, |template| drop(template.remove("Mail")));
    let calls: Vec<&str> = run.calls.iter().filter(|call| call.mutating).map(|call| &*call.operation).collect();
    assert_eq!(calls, ["DeleteResource", "UntagResources"]);
    assert!(records_in(&cloud.records("AWS::SNS::Topic").await[0]).is_empty());
    cloud.up().changes_nothing();
    cloud.down();
    same(&cloud.inventory().await, &Inventory::new());
}

#[tokio::test]
async fn what_cannot_be_tagged_is_replaced_by_a_new_one_first_where_there_can_be_two() {
    let cloud = untagged_cloud();
    cloud.up();
    let endpoint = |template: &mut Template| template.set("Mail.Endpoint", "dev@example.com".into());
    let run = untagged_up(&cloud, endpoint);
    let calls: Vec<&str> = run.calls.iter().filter(|call| call.mutating).map(|call| &*call.operation).collect();
    assert_eq!(calls, ["TagResources", "CreateResource", "TagResources", "DeleteResource", "UntagResources"]);
    let left = cloud.records("AWS::SNS::Subscription").await;
    assert_eq!(left.len(), 1);
    assert_eq!(left[0]["Endpoint"], "dev@example.com");
    cloud.up().changes_nothing();

    // The recorder is replaced: what it records comes again, and no record stays on the old one.
    let run = untagged_up(&cloud, |template| {
        endpoint(template);
        template.set("News.TopicName", "other-news".into());
    });
    let topics = cloud.records("AWS::SNS::Topic").await;
    assert_eq!(topics.len(), 1, "{}", run.stderr);
    assert_eq!(records_in(&topics[0]).len(), 1, "{topics:?}");
    assert_eq!(cloud.records("AWS::SNS::Subscription").await.len(), 1);
    cloud.up().changes_nothing();

    // A policy of a bucket cannot be doubled; under another logical id it is the same.
    let run = untagged_up(&cloud, |template| {
        endpoint(template);
        template.set("News.TopicName", "other-news".into());
        let policy = template.remove("UploadsPolicy");
        template.0["Resources"]["Locked"] = policy;
    });
    assert_eq!(changing(&run), ["tagging.TagResources", "tagging.UntagResources"]);
    cloud.up().changes_nothing();
    cloud.down();
    same(&cloud.inventory().await, &Inventory::new());
}

#[tokio::test]
async fn what_somebody_made_by_hand_is_not_taken_over() {
    let cloud = untagged_cloud();
    untagged_up(&cloud, |template| drop(template.remove("UploadsPolicy")));
    by_hand(&cloud, "AWS::S3::BucketPolicy", json!({"Bucket": "our-uploads", "PolicyDocument": {"Statement": []}}))
        .await;
    let before = cloud.inventory().await;
    untagged().save(&cloud);
    let run = cloud.wschat(&["up", "--local", "--yes"]).exits(1);
    let expected = "AWS::S3::BucketPolicy \"our-uploads\" already exists and belongs to an unknown owner (this stack has no record of it)";
    assert!(run.stderr.contains(expected), "{}", run.stderr);
    same(&cloud.inventory().await, &before);
    // Nothing deletes it but the end of its bucket, as on AWS.
    let down = cloud.down();
    assert!(!down.stderr.contains("BucketPolicy"), "{}", down.stderr);
}

/// AWS has one subscription of an endpoint to a topic, whatever the template calls it.
#[tokio::test]
async fn a_subscription_with_another_logical_id_stays_the_same() {
    let cloud = untagged_cloud();
    cloud.up();
    let before = cloud.records("AWS::SNS::Subscription").await;
    let run = untagged_up(&cloud, |template| template.rename("Mail", "Alerts"));
    assert_eq!(changing(&run), ["tagging.TagResources", "tagging.UntagResources"]);
    assert_eq!(cloud.records("AWS::SNS::Subscription").await, before);
    let records = records_in(&cloud.records("AWS::SNS::Topic").await[0]);
    assert!(records.len() == 1 && records[0].0.starts_with("wschat:resource:Alerts-"), "{records:?}");
    cloud.up().changes_nothing();
    cloud.down();
    same(&cloud.inventory().await, &Inventory::new());
}

#[tokio::test]
async fn a_subscription_of_another_stack_is_not_taken_over() {
    let cloud = untagged_cloud();
    let named = |template: &mut Template| template.set("News.TopicName", "news".into());
    untagged_up(&cloud, named);
    let topic = cloud.records("AWS::SNS::Topic").await[0]["TopicArn"].clone();
    let other = Template(json!({"Resources": {
        "Jobs": {"Type": "AWS::SQS::Queue"},
        "Mine": {"Type": "AWS::SNS::Subscription", "Properties": {
            "TopicArn": topic, "Protocol": "email", "Endpoint": "ops@example.com",
        }},
    }}));
    other.save_as(&cloud, "other.json");
    let before = cloud.inventory().await;
    let arguments = |verb| [verb, "--local", "--yes", "--stack", "other"];
    let up = [&arguments("up")[..], &["--template", "other.json"]].concat();
    let run = cloud.wschat(&up).exits(1);
    let arn = cloud.records("AWS::SNS::Subscription").await[0]["Arn"].as_str().unwrap().to_owned();
    let expected = format!(
        "AWS::SNS::Subscription \"{arn}\" already exists and belongs to an unknown owner (this stack has no record of it)"
    );
    assert!(run.stderr.contains(&expected), "{}", run.stderr);
    same(&cloud.inventory().await, &before);
    cloud.wschat(&arguments("down")).ok();
    same(&cloud.inventory().await, &before);
}

/// Names with slashes, and resources of others that are called like the ends of them.
#[tokio::test]
async fn what_is_called_like_the_end_of_a_name_is_anothers() {
    let cloud = Cloud::start().go();
    let parameter = |name: &str| json!({ "Name": name, "Type": "String", "Value": "here" });
    let alarm = |name: &str| {
        json!({
            "AlarmName": name, "ComparisonOperator": "GreaterThanThreshold", "EvaluationPeriods": 1, "Threshold": 1,
            "MetricName": "Errors", "Namespace": "AWS/Lambda", "Period": 60, "Statistic": "Sum",
        })
    };
    let repository = |name: &str| json!({ "RepositoryName": name });
    by_hand(&cloud, "AWS::SSM::Parameter", parameter("origin")).await;
    by_hand(&cloud, "AWS::CloudWatch::Alarm", alarm("errors")).await;
    by_hand(&cloud, "AWS::ECR::Repository", repository("app")).await;
    let others = cloud.inventory().await;
    let mut template = Template(json!({"Resources": {
        "Origin": {"Type": "AWS::SSM::Parameter", "Properties": parameter("/chat/origin")},
        "Errors": {"Type": "AWS::CloudWatch::Alarm", "Properties": alarm("chat/errors")},
        "Images": {"Type": "AWS::ECR::Repository", "Properties": repository("chat/app")},
        "Jobs": {"Type": "AWS::SQS::Queue"},
    }}));
    let first = template.clone();
    template.save(&cloud);
    cloud.up();
    cloud.up().changes_nothing();
    cloud.status().ok();
    let whole = cloud.inventory().await;
    // What leaves the template goes, and that alone.
    for gone in ["Origin", "Errors", "Images"] {
        template.remove(gone);
    }
    template.save(&cloud);
    cloud.up();
    let records = cloud.records("AWS::SSM::Parameter").await;
    assert_eq!(records.iter().map(|one| &one["Name"]).collect::<Vec<_>>(), ["origin"]);
    cloud.down();
    same(&cloud.inventory().await, &others);

    template = first;
    template.save(&cloud);
    cloud.up();
    same(&cloud.inventory().await, &whole);
    // A new name that is the end of the old one: the old one goes.
    template.set("Origin.Name", "place".into());
    template.set("Jobs.QueueName", "origin-jobs".into());
    template.save(&cloud);
    cloud.up();
    template.set("Origin.Name", "/chat/place".into());
    template.save(&cloud);
    cloud.up();
    template.set("Origin.Name", "place".into());
    template.save(&cloud);
    cloud.up();
    let records = cloud.records("AWS::SSM::Parameter").await;
    let mut names: Vec<&str> = records.iter().map(|one| one["Name"].as_str().unwrap()).collect();
    names.sort_unstable();
    assert_eq!(names, ["origin", "place"]);
    cloud.down();
    same(&cloud.inventory().await, &others);
}

/// SQS refuses the name of a queue that was deleted in the last minute, and names are the same at each `up`.
#[tokio::test]
async fn a_queue_comes_again_under_its_name_when_that_is_free() {
    let cloud = Cloud::start().conditions(&format!("{SWIFT}queue_name_taken = 0.5\n")).go();
    Template(json!({"Resources": {"Work": {"Type": "AWS::SQS::Queue"}}})).save(&cloud);
    cloud.up();
    let whole = cloud.inventory().await;
    cloud.down();
    let run = cloud.up();
    assert!(run.count("cloudcontrolapi.CreateResource") > 1, "{:?}", run.mutations());
    same(&cloud.inventory().await, &whole);
}

#[tokio::test]
async fn what_somebody_deleted_comes_again_and_its_record_goes_with_the_stack() {
    let cloud = untagged_cloud();
    cloud.up();
    let whole = cloud.inventory().await;
    let client = aws_sdk_cloudcontrol::Client::new(&cloud.sdk().await);
    let delete = async |type_name: &str, identifier: &str| {
        let deletion = client.delete_resource().type_name(type_name).identifier(identifier).send().await.unwrap();
        succeeded(&client, &deletion.progress_event.unwrap().request_token.unwrap()).await;
    };
    let arn = cloud.records("AWS::SNS::Subscription").await[0]["Arn"].as_str().unwrap().to_owned();
    delete("AWS::SNS::Subscription", &arn).await;
    delete("AWS::S3::BucketPolicy", "our-uploads").await;
    let run = cloud.wschat(&["status", "--local"]);
    assert!(run.stdout.contains("missing"), "{}", run.stdout);
    cloud.up();
    same(&cloud.inventory().await, &whole);
    cloud.up().changes_nothing();
    delete("AWS::S3::BucketPolicy", "our-uploads").await;
    cloud.down();
    same(&cloud.inventory().await, &Inventory::new());
}

#[test]
fn nothing_that_could_record_them_is_said() {
    let cloud = Cloud::start().go();
    let alone = Template(json!({"Resources": {
        "Policy": {"Type": "AWS::S3::BucketPolicy", "Properties": {"Bucket": "b", "PolicyDocument": {}}},
    }}));
    alone.save(&cloud);
    let run = cloud.wschat(&["validate"]).exits(1);
    let said = run.stdout.clone() + &run.stderr;
    let expected =
        "AWS::S3::BucketPolicy cannot be tagged, and no other resource of the template has tags that could record it";
    assert!(said.contains(expected), "{said}");
}

#[test]
fn mistakes_in_them_are_shown_where_they_are() {
    let cloud = Cloud::start().go();
    let text = "\
Resources:
  Messages:
    Type: AWS::SQS::Queue
    Properties:
      VisibilityTimout: 30
      DelaySeconds: soon
      RedrivePolicy: { maxReceiveCont: 3 }
      Arn: mine
  Alarm:
    Type: AWS::CloudWatch::Alarm
    Properties:
      Statistic: Averge
  Greeting:
    Type: AWS::SSM::Parameter
    Properties:
      Type: String
  Client:
    Type: AWS::Cognito::UserPoolClient
    Properties: { UserPoolID: a }
  Everybody:
    Type: AWS::Lambda::ResourcePolicy
    Properties: {}
  Policy:
    Type: AWS::S3::BucketPolicy
    Properties: { Bucket: mine, PolicyDocument: {} }
  OtherPolicy:
    Type: AWS::S3::BucketPolicy
    Properties: { Bucket: mine, PolicyDocument: {} }
Outputs:
  A:
    Value: !GetAtt Messages.Name
";
    std::fs::write(cloud.folder().join("template.yaml"), text).unwrap();
    let run = cloud.wschat(&["validate"]).exits(1);
    for expected in [
        "unknown property \"VisibilityTimout\" of AWS::SQS::Queue",
        "did you mean \"VisibilityTimeout\"?",
        "DelaySeconds must be a whole number, not \"soon\"",
        "unknown property \"maxReceiveCont\" of RedrivePolicy",
        "did you mean \"maxReceiveCount\"?",
        "Arn of AWS::SQS::Queue cannot be set: AWS gives it its value",
        "missing property \"Value\" of AWS::SSM::Parameter",
        "Statistic cannot be \"Averge\"",
        "did you mean \"Average\"?",
        "unknown property \"UserPoolID\" of AWS::Cognito::UserPoolClient",
        "resource type \"AWS::Lambda::ResourcePolicy\" is not supported: it takes the place of all permissions of a function",
        "has the Bucket \"mine\" already",
        "AWS::SQS::Queue has no attribute \"Name\"",
    ] {
        let said = run.stdout.clone() + &run.stderr;
        assert!(said.contains(expected), "{expected}\n{said}");
    }
}

#[test]
fn they_are_read_in_two_round_trips() {
    let cloud = cloud();
    cloud.through().run(&["up", "--yes"]).run.ok();
    cloud.is_read_in(2, &["up", "--yes"]);
    cloud.is_read_in(2, &["status"]);
}

/// The properties of a record by its logical id, which is in its tags.
impl Cloud {
    async fn record(&self, type_name: &str, logical_id: &str) -> Value {
        let records = self.records(type_name).await;
        let is_it = |record: &&Value| {
            record.to_string().contains(&format!("{{\"Key\":\"wschat:logical-id\",\"Value\":\"{logical_id}\"}}"))
        };
        records.iter().find(is_it).unwrap_or_else(|| panic!("no {logical_id} in {records:?}")).clone()
    }
}
