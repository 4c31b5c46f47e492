use std::collections::BTreeMap;

use serde_json::json;

use super::properties::found_at;
use super::*;
use crate::core::words::{DeletionPolicy, Token};

fn scope() -> Scope {
    Scope {
        stack: "chat".to_owned(),
        account: "123456789012".to_owned(),
        region: "eu-west-1".to_owned(),
        partition: "aws".to_owned(),
    }
}

fn of(type_name: &str) -> &'static CloudControlled {
    kind(type_name).unwrap_or_else(|| panic!("{type_name}"))
}

fn told(type_name: &str, properties: &Value) -> Vec<String> {
    let shown = |problem: &Problem| {
        let help = problem.help.as_ref().map(|help| format!(" [{help}]")).unwrap_or_default();
        format!("{}: {}{help}", problem.path, problem.what)
    };
    let kind = of(type_name);
    let mut found: Vec<String> = kind.canonical(properties).err().unwrap_or_default().iter().map(shown).collect();
    found.extend(kind.refuses(properties).iter().map(|refusal| shown(&refusal.problem)));
    found
}

#[test]
fn mistakes_are_told_by_path() {
    for (type_name, properties, expected) in [
        ("SQS::Queue", json!({}), vec![]),
        ("SQS::Queue", json!({"FifoQueue": "true", "DelaySeconds": "5", "Tags": [{"Key": "a", "Value": "b"}]}), vec![]),
        ("SQS::Queue", json!({"Fifo": true}), vec!["Fifo: unknown property \"Fifo\" [did you mean \"FifoQueue\"?]"]),
        (
            "SQS::Queue",
            json!({"DelaySeconds": 1.5, "FifoQueue": "perhaps", "RedrivePolicy": []}),
            vec![
                "DelaySeconds: DelaySeconds must be a whole number, not 1.5",
                "FifoQueue: FifoQueue must be true or false, not \"perhaps\"",
                "RedrivePolicy: RedrivePolicy must be a map, not a list",
            ],
        ),
        (
            "SQS::Queue",
            json!({"Tags": [{"Key": "a"}]}),
            vec!["Tags/0: missing property \"Value\" of element 1 of Tags"],
        ),
        (
            "SQS::Queue",
            json!({"QueueUrl": "x"}),
            vec![
                "QueueUrl: QueueUrl of AWS::SQS::Queue cannot be set: AWS gives it its value [other resources read it: !GetAtt LogicalId.QueueUrl]",
            ],
        ),
        (
            "SNS::Topic",
            json!({"Subscription": [{"Endpoint": "a"}]}),
            vec!["Subscription/0: missing property \"Protocol\" of element 1 of Subscription"],
        ),
        (
            "S3::Bucket",
            json!({"VersioningConfiguration": {"Status": "On"}}),
            vec!["VersioningConfiguration/Status: Status cannot be \"On\" [known here: Enabled, Suspended]"],
        ),
        (
            "Events::Rule",
            json!({"Targets": [{"Id": "a", "Arn": "b", "RetryPolicy": {"Attempts": 1}}]}),
            vec![
                "Targets/0/RetryPolicy/Attempts: unknown property \"Attempts\" of RetryPolicy [known here: MaximumEventAgeInSeconds, MaximumRetryAttempts]",
            ],
        ),
        ("SSM::Parameter", json!({"Type": "String"}), vec![": missing property \"Value\""]),
        ("SSM::Parameter", json!({"Type": "String", "Value": "a", "Tags": {"a": "b"}}), vec![]),
        ("KMS::Key", json!({"KeyPolicy": {"Statement": []}, "KeySpec": "RSA_2048"}), vec![]),
        (
            "KMS::Key",
            json!({"KeySpec": "RSA_2084"}),
            vec!["KeySpec: KeySpec cannot be \"RSA_2084\" [did you mean \"RSA_2048\"?]"],
        ),
        (
            "SecretsManager::Secret",
            json!({"GenerateSecretString": {"PasswordLength": "many"}}),
            vec!["GenerateSecretString/PasswordLength: PasswordLength must be a whole number, not \"many\""],
        ),
        (
            "CloudWatch::Alarm",
            json!({"ComparisonOperator": "GreaterThanThreshold", "EvaluationPeriods": 1, "Threshold": "1.5"}),
            vec![],
        ),
        ("StepFunctions::StateMachine", json!({"RoleArn": "a", "Definition": {"States": {}}}), vec![]),
        (
            "Cognito::UserPool",
            json!({"UserPoolTags": {"a": "b"}, "MfaConfiguration": "MAYBE"}),
            vec!["MfaConfiguration: MfaConfiguration cannot be \"MAYBE\" [known here: OFF, ON, OPTIONAL]"],
        ),
    ] {
        assert_eq!(told(&format!("AWS::{type_name}"), &properties), expected, "{type_name} {properties}");
    }
    assert!(
        kind("AWS::CloudFormation::HookVersion").is_none() && why_not("AWS::CloudFormation::HookVersion").is_some()
    );
    assert!(kind("AWS::SNS::Subscription").is_some_and(|kind| !kind.is_tagged()));
    assert!(kind("AWS::Lambda::Function").is_none() && why_not("AWS::Lambda::Function").is_none());
    assert!(why_not("AWS::SQS::Queue").is_none());
}

#[test]
fn tags_are_a_map_whatever_the_type_has_them_in() {
    for (type_name, given) in [
        ("AWS::SQS::Queue", json!({"Tags": [{"Key": "a", "Value": "b"}]})),
        ("AWS::SSM::Parameter", json!({"Type": "String", "Value": "v", "Tags": {"a": "b"}})),
        ("AWS::Cognito::UserPool", json!({"UserPoolTags": {"a": "b"}})),
    ] {
        let canonical = of(type_name).canonical(&given).unwrap();
        assert_eq!(canonical["Tags"], json!({"a": "b"}), "{type_name}");
        assert_eq!(of(type_name).model(&canonical), given, "{type_name}");
    }
}

#[test]
fn names_fit_their_types() {
    let name = "my-stack-Thing-0a1b2c3d".to_owned();
    let fifo = json!({"FifoQueue": true, "FifoTopic": "true"});
    for (type_name, property, longest, plain, with_fifo) in [
        ("SQS::Queue", "QueueName", 58, "my-stack-Thing-0a1b2c3d", "my-stack-Thing-0a1b2c3d.fifo"),
        ("SNS::Topic", "TopicName", 251, "my-stack-Thing-0a1b2c3d", "my-stack-Thing-0a1b2c3d.fifo"),
        ("S3::Bucket", "BucketName", 63, "my-stack-thing-0a1b2c3d", "my-stack-thing-0a1b2c3d"),
        ("Events::Rule", "Name", 64, "my-stack-Thing-0a1b2c3d", "my-stack-Thing-0a1b2c3d"),
        ("SSM::Parameter", "Name", 512, "my-stack-Thing-0a1b2c3d", "my-stack-Thing-0a1b2c3d"),
        ("StepFunctions::StateMachine", "StateMachineName", 80, "my-stack-Thing-0a1b2c3d", "my-stack-Thing-0a1b2c3d"),
        ("CloudWatch::Alarm", "AlarmName", 255, "my-stack-Thing-0a1b2c3d", "my-stack-Thing-0a1b2c3d"),
        ("SecretsManager::Secret", "Name", 512, "my-stack-Thing-0a1b2c3d", "my-stack-Thing-0a1b2c3d"),
    ] {
        let kind = of(&format!("AWS::{type_name}"));
        let naming = kind.naming().unwrap();
        assert_eq!((naming.property, naming.longest), (property, longest), "{type_name}");
        assert_eq!(kind.formed(name.clone(), &Map::new()), plain, "{type_name}");
        assert_eq!(kind.formed(name.clone(), fifo.as_object().unwrap()), with_fifo, "{type_name}");
    }
    for unnamed in ["AWS::Cognito::UserPool", "AWS::KMS::Key"] {
        assert!(of(unnamed).naming().is_none(), "{unnamed}");
    }
}

#[test]
fn references_are_as_cloudformation_has_them() {
    use Attribute::{Known, Minted, NotYet, Ref, Unknown};
    let known = |text: &str| Known(text.to_owned());
    for (type_name, attribute, expected) in [
        ("SQS::Queue", None, Minted),
        ("SQS::Queue", Some("QueueUrl"), Ref),
        ("SQS::Queue", Some("Arn"), known("arn:aws:sqs:eu-west-1:123456789012:x")),
        ("SQS::Queue", Some("QueueName"), Minted),
        ("SQS::Queue", Some("Name"), Unknown(&["Arn", "QueueUrl"])),
        ("SQS::Queue", Some("Tags"), NotYet),
        ("SNS::Topic", None, known("arn:aws:sns:eu-west-1:123456789012:x")),
        ("S3::Bucket", None, known("x")),
        ("S3::Bucket", Some("Arn"), Minted),
        ("Events::Rule", None, Minted),
        ("SSM::Parameter", None, known("x")),
        ("StepFunctions::StateMachine", None, known("arn:aws:states:eu-west-1:123456789012:stateMachine:x")),
        ("Cognito::UserPool", None, Minted),
        ("Cognito::UserPool", Some("UserPoolId"), Ref),
        ("Cognito::UserPool", Some("ProviderURL"), Minted),
        ("CloudWatch::Alarm", None, known("x")),
        ("KMS::Key", Some("KeyId"), Ref),
        ("SecretsManager::Secret", None, Minted),
    ] {
        let kind = of(&format!("AWS::{type_name}"));
        let name = kind.naming().map(|_| "x");
        assert_eq!(kind.attribute(&scope(), name, attribute), expected, "{type_name} {attribute:?}");
    }
    let rule = of("AWS::Events::Rule");
    for (model, expected) in [
        (json!({"Name": "tick", "EventBusName": "default"}), "tick"),
        (json!({"Name": "tick"}), "tick"),
        (json!({"Name": "tick", "EventBusName": "arn:aws:events:eu-west-1:123456789012:event-bus/mine"}), "mine|tick"),
    ] {
        assert_eq!(rule.reference(&model, "arn:aws:events:eu-west-1:123456789012:rule/tick"), expected);
    }
    let queue = of("AWS::SQS::Queue");
    assert_eq!(queue.identifier_of(&scope(), "x").unwrap(), "https://sqs.eu-west-1.amazonaws.com/123456789012/x");
    assert_eq!(queue.reference(&json!({}), "url"), "url");
}

/// The changes from what AWS reads to what a template gives, by property.
fn changed(type_name: &str, model: &Value, template: &Value) -> Vec<(String, bool)> {
    let kind = of(type_name);
    let live = kind.live_properties(model);
    let desired = kind.canonical(template).unwrap();
    let changes = crate::core::plan::changes(kind, &live, &desired);
    changes.into_iter().map(|change| (change.property, change.create_only)).collect()
}

#[test]
fn what_aws_adds_is_no_change() {
    let queue = json!({
        "QueueUrl": "url", "Arn": "arn", "QueueName": "q", "VisibilityTimeout": 30, "DelaySeconds": 0, "FifoQueue": false,
        "RedrivePolicy": {"deadLetterTargetArn": "dlq", "maxReceiveCount": 3}, "Tags": [{"Key": "a", "Value": "b"}, {"Key": "aws:x", "Value": "y"}],
    });
    let tags = json!([{"Key": "a", "Value": "b"}]);
    let change = |name: &str, create_only| (name.to_owned(), create_only);
    for (template, expected) in [
        (json!({"Tags": tags}), vec![]),
        (
            json!({"Tags": tags, "VisibilityTimeout": "30", "RedrivePolicy": "{\"maxReceiveCount\":3,\"deadLetterTargetArn\":\"dlq\"}"}),
            vec![],
        ),
        (json!({"Tags": tags, "VisibilityTimeout": 60}), vec![change("VisibilityTimeout", false)]),
        (
            json!({"Tags": tags, "RedrivePolicy": {"maxReceiveCount": 4}}),
            vec![change("RedrivePolicy.maxReceiveCount", false)],
        ),
        (json!({"Tags": tags, "FifoQueue": true}), vec![change("FifoQueue", true)]),
        // A tag that the template has not any more goes.
        (json!({}), vec![change("Tags", false)]),
    ] {
        assert_eq!(changed("AWS::SQS::Queue", &queue, &template), expected, "{template}");
    }
    // A list without order, whose elements have got defaults.
    let rule = json!({"Name": "r", "State": "ENABLED", "Targets": [{"Id": "b", "Arn": "2", "RetryPolicy": {"MaximumRetryAttempts": 185}}, {"Id": "a", "Arn": "1"}]});
    let template = json!({"Targets": [{"Id": "a", "Arn": "1"}, {"Id": "b", "Arn": "2"}]});
    assert_eq!(changed("AWS::Events::Rule", &rule, &template), []);
    // What no reading gives.
    let secret = json!({"Id": "arn", "Name": "s"});
    assert_eq!(changed("AWS::SecretsManager::Secret", &secret, &json!({"SecretString": "x", "Name": "s"})), []);
    // A type that cannot be updated is replaced whatever changes.
    let pair = json!({"Strategy": "cluster"});
    assert_eq!(changed("AWS::EC2::PlacementGroup", &pair, &json!({"Strategy": "spread"})), [change("Strategy", true)]);
}

#[test]
fn a_patch_changes_what_differs_and_sends_again_what_cannot_be_read() {
    let parameter = of("AWS::SSM::Parameter");
    let live = parameter
        .live_properties(&json!({"Name": "n", "Type": "String", "Value": "a", "DataType": "text", "Tags": {"k": "v"}}));
    let given = json!({"Name": "n", "Type": "String", "Value": "b", "Description": "d", "Tags": {"k": "w"}});
    let desired = parameter.canonical(&given).unwrap();
    let patch = parameter.patch(&live, &desired);
    let expected = [
        json!({"op": "add", "path": "/Value", "value": "b"}),
        json!({"op": "add", "path": "/Description", "value": "d"}),
        json!({"op": "add", "path": "/Tags", "value": {"k": "w"}}),
    ];
    assert!(patch.len() == 3 && expected.iter().all(|one| patch.contains(one)), "{patch:?}");
    // What a rollback wants gone is null.
    let pool = of("AWS::Cognito::UserPool");
    let patch = pool
        .patch(&json!({"MfaConfiguration": "ON", "Tags": {}}), &json!({"MfaConfiguration": null, "Tags": {"a": "b"}}));
    assert_eq!(
        patch,
        [
            json!({"op": "remove", "path": "/MfaConfiguration"}),
            json!({"op": "add", "path": "/UserPoolTags", "value": {"a": "b"}})
        ]
    );
}

#[test]
fn a_change_of_what_cannot_be_read_shows_in_a_tag() {
    let parameter = of("AWS::SSM::Parameter");
    let digest = |properties: &Value| {
        let it = ResourceView {
            kind: parameter,
            logical_id: "Greeting",
            name: None,
            properties,
            deletion_policy: DeletionPolicy::Delete,
            update_replace_policy: DeletionPolicy::Delete,
        };
        parameter.write_only_digest(&it)
    };
    let one = digest(&json!({"Description": "a"})).unwrap();
    assert_eq!(one.len(), 4);
    assert_eq!(digest(&json!({"Description": "a", "Value": "x"})).unwrap(), one);
    assert_ne!(digest(&json!({"Description": "b"})).unwrap(), one);
    assert_eq!(digest(&json!({"Value": "x"})), None);
}

#[test]
fn what_cannot_be_read_is_found_in_lists() {
    let value = json!({"Users": [{"Name": "a", "Password": "x"}, {"Name": "b"}], "Empty": [{"Name": "c"}]});
    assert_eq!(found_at(&["Users", "Password"], &value), Some(json!(["x", null])));
    assert_eq!(found_at(&["Empty", "Password"], &value), None);
    assert_eq!(found_at(&["Users", "Password", "Deep"], &value), None);
}

#[test]
fn a_secret_is_generated_again_only_where_its_rule_changed() {
    let secret = of("AWS::SecretsManager::Secret");
    let with = |digest: &str| json!({"k": "v", "wschat:write-only": digest});
    let desired = json!({"Name": "s", "GenerateSecretString": {"PasswordLength": 20}, "Tags": with("0001")});
    let paths = |digest: &str| -> Vec<Value> {
        let mut live = json!({"Name": "s", "Tags": with(digest)});
        live["Tags"]["k"] = "old".into();
        secret.patch(&live, &desired).iter().map(|change| change["path"].clone()).collect()
    };
    assert_eq!(paths("0001"), ["/Tags"]);
    assert_eq!(paths("0002"), ["/GenerateSecretString", "/Tags"]);
}

#[test]
fn global_types_are_known() {
    for (type_name, expected) in [
        ("AWS::CloudFront::Distribution", true),
        ("AWS::IAM::User", true),
        ("AWS::IAM::Role", false),
        ("AWS::S3::Bucket", false),
        ("AWS::WAFv2::WebACL", false),
        ("Custom::Thing", false),
    ] {
        assert_eq!(is_global(type_name), expected, "{type_name}");
    }
    let all: Vec<String> = schemas::names().collect();
    for service in GLOBAL {
        assert!(all.iter().any(|name| name.starts_with(&format!("AWS::{service}::"))), "{service}");
    }
}

#[test]
fn one_without_a_name_is_known_by_its_logical_id() {
    let pool = of("AWS::Cognito::IdentityPool");
    let live = |logical_id: &str| Live {
        logical_id: Some(logical_id.to_owned()),
        ..Live::new("AWS::Cognito::IdentityPool", "id", json!({}))
    };
    let desired = Desired { logical_id: "Users".to_owned(), name: None, properties: json!({}), code: None };
    assert!(pool.is(&desired, &live("Users")) && !pool.is(&desired, &live("Others")));
    // Another VPC is another group: `VpcId` is create-only, and no change makes the one into the other.
    let subnet = of("AWS::EC2::Subnet");
    let live =
        Live { logical_id: Some("Net".to_owned()), ..Live::new("AWS::EC2::Subnet", "id", json!({"VpcId": "vpc-1"})) };
    let desired =
        |vpc: &str| Desired { logical_id: "Net".to_owned(), name: None, properties: json!({"VpcId": vpc}), code: None };
    assert!(subnet.is(&desired("vpc-1"), &live) && !subnet.is(&desired("vpc-2"), &live));
}

#[test]
fn permissions_are_those_of_the_handlers() {
    use crate::core::types::iam_permissions::{Resources, Roles};
    struct Nothing;
    impl Resources for Nothing {
        fn properties(&self, _: &str, _: &str) -> Vec<&Value> {
            Vec::new()
        }
    }
    let scope = scope();
    let role = "arn:aws:iam::123456789012:role/machine";
    let subject = |desired: Value, creates, updates, deletes| Subject {
        scope: &scope,
        roles: Roles::Account,
        creates,
        updates,
        deletes,
        keeps: !(creates || updates || deletes),
        marks: false,
        physical_id: None,
        live_id: None,
        desired,
        live: Value::Null,
        changed: std::collections::BTreeSet::new(),
        health: None,
        plan: &Nothing,
    };
    let allowed = |creates, updates, deletes| {
        let mut permissions = Permissions::default();
        let subject = subject(json!({"RoleArn": role}), creates, updates, deletes);
        of("AWS::StepFunctions::StateMachine").permissions(&subject, &mut permissions);
        permissions.allowed
    };
    let has = |permissions: &BTreeMap<String, std::collections::BTreeSet<String>>, resource: &str, action: &str| {
        permissions.get(resource).is_some_and(|actions| actions.contains(action))
    };
    let created = allowed(true, false, false);
    for action in [
        "cloudformation:CreateResource",
        "cloudformation:DeleteResource",
        "cloudformation:GetResourceRequestStatus",
        "states:CreateStateMachine",
        "states:DeleteStateMachine",
        "states:DescribeStateMachine",
    ] {
        assert!(has(&created, "*", action), "{action}: {created:?}");
    }
    assert!(!has(&created, "*", "states:UpdateStateMachine"));
    let kept = allowed(false, false, false);
    assert!(has(&kept, "*", "cloudformation:GetResource") && !has(&kept, "*", "states:CreateStateMachine"), "{kept:?}");
    assert!(has(&allowed(false, true, false), "*", "states:UpdateStateMachine"));
}

/// A role can be passed only where one is named, and only that one.
#[test]
fn only_roles_in_the_properties_are_passed() {
    use crate::core::types::iam_permissions::{Resources, Roles};
    struct Nothing;
    impl Resources for Nothing {
        fn properties(&self, _: &str, _: &str) -> Vec<&Value> {
            Vec::new()
        }
    }
    let scope = scope();
    let passed = |type_name: &str, desired: Value| {
        let mut permissions = Permissions::default();
        let subject = Subject {
            scope: &scope,
            roles: Roles::Account,
            creates: true,
            updates: false,
            deletes: false,
            keeps: false,
            marks: false,
            physical_id: None,
            live_id: None,
            desired,
            live: Value::Null,
            changed: std::collections::BTreeSet::new(),
            health: None,
            plan: &Nothing,
        };
        of(type_name).permissions(&subject, &mut permissions);
        let on = permissions.allowed.iter().filter(|(_, actions)| actions.contains("iam:PassRole"));
        let mut all: Vec<String> = on.map(|(resource, _)| resource.clone()).collect();
        all.extend(
            permissions.passed.iter().flat_map(|(to, roles)| roles.iter().map(move |role| format!("{role} to {to}"))),
        );
        all
    };
    let token = Token::text("Maker", "RoleArn");
    let role = |name: &str| format!("arn:aws:iam::123456789012:role/{name}");
    for (type_name, desired, expected) in [
        ("AWS::SNS::Topic", json!({"TopicName": "t"}), vec![]),
        ("AWS::S3::Bucket", json!({"Tags": {"role": "x"}}), vec![]),
        ("AWS::Cognito::UserPool", json!({"SmsConfiguration": {"SnsCallerArn": role("sms")}}), vec![role("sms")]),
        (
            "AWS::StepFunctions::StateMachine",
            json!({"RoleArn": role("a")}),
            vec![format!("{} to states.amazonaws.com", role("a"))],
        ),
        ("AWS::ECS::TaskDefinition", json!({"TaskRoleArn": token}), vec![role("*")]),
        ("AWS::ECS::TaskDefinition", json!({"TaskRoleArn": "short"}), vec![role("*short")]),
        ("AWS::EC2::Instance", json!({"IamInstanceProfile": "profile"}), vec![role("*profile")]),
    ] {
        assert_eq!(passed(type_name, desired.clone()), expected, "{type_name} {desired}");
    }
    for name in schemas::names().filter(|name| kind(name).is_some()) {
        assert_eq!(passed(&name, json!({})), Vec::<String>::new(), "{name}");
    }
}

#[test]
fn what_ref_gives_is_known_or_refused() {
    let stage = of("AWS::ApiGateway::Stage");
    assert_eq!(stage.reference(&json!({"RestApiId": "abc", "StageName": "prod"}), "abc|prod"), "prod");
    let version = json!({"ApplicationId": "a", "ConfigurationProfileId": "p", "VersionNumber": 3});
    assert_eq!(of("AWS::AppConfig::HostedConfigurationVersion").reference(&version, "a|p|3"), "3");
    for (type_name, expected) in [
        ("AWS::ApiGateway::Stage", Attribute::Minted),
        ("AWS::WAFv2::WebACL", Attribute::Minted),
        ("AWS::ApiGateway::Method", Attribute::NotYet),
        ("AWS::QuickSight::DataSet", Attribute::NotYet),
    ] {
        assert_eq!(of(type_name).attribute(&scope(), None, None), expected, "{type_name}");
    }
}

#[test]
fn what_holds_data_is_known_by_name_and_protection() {
    let all: Vec<String> =
        schemas::names().filter(|name| kind(name).is_some_and(CloudControlled::holds_data)).collect();
    insta::assert_snapshot!(all.join("\n"));
}

/// Whose a resource is changes in place, whatever its type.
#[test]
fn tags_replace_nothing() {
    let mut fixed = 0;
    for kind in schemas::names().filter_map(|name| kind(&name)).filter(|kind| kind.is_tagged()) {
        let name = kind.type_name();
        fixed += usize::from(kind.has_fixed_tags());
        let tagged = |policy: &str| json!({"Tags": {"wschat:deletion-policy": policy, "team": policy}});
        let changes = crate::core::plan::changes(kind, &tagged("Delete"), &tagged("Retain"));
        assert!(!changes.is_empty() && changes.iter().all(|change| !change.create_only), "{name}: {changes:?}");
    }
    assert!(fixed > 70, "{fixed}");
}

#[test]
fn what_identifies_a_resource_cannot_change() {
    for kind in schemas::names().filter_map(|name| kind(&name)) {
        for path in kind.schema.identifier.iter().filter(|path| !kind.schema.read_only.contains(path)) {
            assert!(kind.create_only().contains(&path.as_str()), "{} {path}", kind.type_name());
        }
    }
}

#[test]
fn equal_ones_are_one_whatever_their_logical_id() {
    let subscription = of("AWS::SNS::Subscription");
    let properties = json!({"TopicArn": "t", "Protocol": "sqs", "Endpoint": "q"});
    let live =
        Live { logical_id: Some("Mail".to_owned()), ..Live::new("AWS::SNS::Subscription", "arn", properties.clone()) };
    let desired = |properties: Value| Desired { logical_id: "Alerts".to_owned(), name: None, properties, code: None };
    assert!(subscription.is(&desired(properties.clone()), &live));
    let mut other = properties;
    other["Endpoint"] = "r".into();
    assert!(!subscription.is(&desired(other), &live));
}
