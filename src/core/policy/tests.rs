//! Tables of the permissions that a run needs on each resource.

use serde_json::{Value, json};

use super::*;
use crate::core::plan::{self, PlanOptions};
use crate::core::stack::{Stack, load};
use crate::core::types::{self, Live};

const TEMPLATE: &str = r#"
Resources:
  Table:
    Type: AWS::DynamoDB::Table
    Properties:
      BillingMode: PAY_PER_REQUEST
      KeySchema: [{AttributeName: id, KeyType: HASH}]
      AttributeDefinitions: [{AttributeName: id, AttributeType: S}]
  Send:
    Type: AWS::Lambda::Function
    Properties:
      FunctionName: send
      Role: arn:aws:iam::123456789012:role/send
      Runtime: provided.al2023
      Handler: bootstrap
      Code: ./send
  Api:
    Type: AWS::ApiGatewayV2::Api
    Properties: {Name: chat, ProtocolType: WEBSOCKET, RouteSelectionExpression: $request.body.action}
  Stage:
    Type: AWS::ApiGatewayV2::Stage
    Properties: {ApiId: !Ref Api, StageName: live, AutoDeploy: true}
"#;

/// Actions by resource.
type Writes<'a> = &'a [(&'a str, &'a [&'a str])];

fn stack() -> Stack {
    let scope = Scope {
        stack: "chat".to_owned(),
        account: "123456789012".to_owned(),
        region: "eu-west-1".to_owned(),
        partition: "aws".to_owned(),
    };
    load(TEMPLATE.as_bytes(), &BTreeMap::new(), &scope).unwrap()
}

fn needed_by(stack: &Stack, live: &[Live]) -> Policy {
    needed(&plan::diff(stack, live, &PlanOptions::default()).unwrap(), Some(stack), &stack.scope, Roles::Account, &[])
}

/// The actions on a resource, in all statements.
fn actions(policy: &Policy, resource: &str) -> Vec<String> {
    let about = policy.statement.iter().filter(|statement| statement.resource.contains(resource));
    about.flat_map(|statement| statement.action.iter().cloned()).collect()
}

#[test]
fn a_create_may_be_carried_out_and_rolled_back() {
    let stack = stack();
    let policy = needed_by(&stack, &[]);
    let table = stack.resources["Table"].name.clone().unwrap();
    let expected: [(&str, &[&str]); 5] = [
        (
            &format!("arn:aws:dynamodb:eu-west-1:123456789012:table/{table}"),
            &[
                "dynamodb:CreateTable",
                "dynamodb:DeleteTable",
                "dynamodb:DescribeContinuousBackups",
                "dynamodb:DescribeTable",
                "dynamodb:DescribeTimeToLive",
                "dynamodb:ListTagsOfResource",
                "dynamodb:TagResource",
            ],
        ),
        (
            "arn:aws:lambda:eu-west-1:123456789012:function:send",
            &[
                "lambda:CreateFunction",
                "lambda:DeleteFunction",
                "lambda:GetFunction",
                "lambda:GetPolicy",
                "lambda:TagResource",
            ],
        ),
        ("arn:aws:apigateway:eu-west-1::/apis", &["apigateway:GET", "apigateway:POST", "apigateway:TagResource"]),
        (
            "arn:aws:apigateway:eu-west-1::/apis/*",
            &["apigateway:DELETE", "apigateway:GET", "apigateway:POST", "apigateway:TagResource"],
        ),
        ("arn:aws:iam::123456789012:role/send", &["iam:PassRole"]),
    ];
    for (resource, expected) in expected {
        assert_eq!(actions(&policy, resource), expected, "{resource}");
    }
    let passing: Value = serde_json::to_value(policy.statement.last().unwrap()).unwrap();
    let condition = json!({"StringEquals": {"iam:PassedToService": "lambda.amazonaws.com"}});
    assert_eq!(passing["Condition"], condition);
}

#[test]
fn resources_with_the_same_actions_share_a_statement() {
    let mut permissions = Permissions::default();
    permissions.allow("a", &["X", "Y"], "one");
    permissions.allow("a", &["Y"], "two");
    permissions.allow("a", &["X"], "two");
    permissions.allow("a", &["X"], "three");
    let statements: Vec<_> = Policy::from(permissions)
        .statement
        .into_iter()
        .map(|statement| (statement.action.len(), statement.resource.len()))
        .collect();
    assert_eq!(statements, [(1, 1), (2, 2)]);
}

/// The stack's resources as AWS has them after a deploy.
fn deployed(stack: &Stack) -> Vec<Live> {
    deployed_with(stack, "uuid")
}

/// The same, where AWS minted this id of what has no name.
fn deployed_with(stack: &Stack, minted: &str) -> Vec<Live> {
    let plan = plan::diff(stack, &[], &PlanOptions::default()).unwrap();
    let live = |step: &plan::Step| {
        let desired = step.desired.clone().unwrap();
        let properties: Value = serde_json::from_str(
            &desired.properties.to_string().replace(&crate::core::words::Token::text("Api", "Ref"), "abc"),
        )
        .unwrap();
        let id = desired.name.clone().unwrap_or_else(|| match step.type_name {
            types::api::TYPE => "abc".to_owned(),
            _ => properties["StageName"].as_str().unwrap_or(minted).to_owned(),
        });
        let mut live = Live::new(step.type_name, &id, properties);
        live.logical_id = Some(desired.logical_id);
        live.parent = (step.type_name == types::stage::TYPE).then(|| "abc".to_owned());
        live
    };
    plan.steps.iter().map(live).collect()
}

#[test]
fn unchanged_resources_are_only_read_and_changed_ones_get_no_more_than_they_need() {
    let stack = stack();
    let table =
        format!("arn:aws:dynamodb:eu-west-1:123456789012:table/{}", stack.resources["Table"].name.as_deref().unwrap());
    let writes = |policy: &Policy, resource: &str| -> Vec<String> {
        let reads = ["Get", "List", "Describe", "GET"];
        let is_read = |action: &String| reads.iter().any(|word| action.split_once(':').unwrap().1.starts_with(word));
        actions(policy, resource).into_iter().filter(|action| !is_read(action)).collect()
    };
    let function = "arn:aws:lambda:eu-west-1:123456789012:function:send";
    let (api, inside) = ("arn:aws:apigateway:eu-west-1::/apis/abc", "arn:aws:apigateway:eu-west-1::/apis/abc/*");
    let tags = "arn:aws:apigateway:eu-west-1::/tags/arn%3Aaws%3Aapigateway%3Aeu-west-1%3A%3A%2Fapis%2Fabc";
    let all = [&table, function, api, inside, tags, "arn:aws:iam::123456789012:role/send"];

    let cases: [(&str, &str, Value, Writes<'_>); 8] = [
        ("", "", Value::Null, &[]),
        ("Table", "Tags/team", json!("red"), &[(&table, &["dynamodb:TagResource", "dynamodb:UntagResource"])]),
        ("Table", "DeletionProtectionEnabled", json!(true), &[(&table, &["dynamodb:UpdateTable"])]),
        (
            "Table",
            "TimeToLiveSpecification",
            json!({"AttributeName": "at", "Enabled": true}),
            &[(&table, &["dynamodb:UpdateTimeToLive"])],
        ),
        (
            "Send",
            "MemorySize",
            json!(512),
            &[
                (function, &["lambda:UpdateFunctionCode", "lambda:UpdateFunctionConfiguration"]),
                ("arn:aws:iam::123456789012:role/send", &["iam:PassRole"]),
            ],
        ),
        ("Api", "Description", json!("x"), &[(api, &["apigateway:PATCH"])]),
        (
            "Api",
            "Tags/team",
            json!("red"),
            &[
                (api, &["apigateway:TagResource", "apigateway:UntagResource"]),
                (tags, &["apigateway:DELETE", "apigateway:POST"]),
            ],
        ),
        ("Stage", "StageVariables", json!({"a": "b"}), &[(inside, &["apigateway:PATCH"])]),
    ];
    for (resource, property, value, expected) in cases {
        let mut live = deployed(&stack);
        if let Some(one) = live.iter_mut().find(|live| live.logical_id.as_deref() == Some(resource)) {
            match property.split_once('/') {
                Some((property, key)) => one.properties[property][key] = value,
                None => one.properties[property] = value,
            }
        }
        let policy = needed_by(&stack, &live);
        for name in all {
            // Code may change in any run.
            let always: &[&str] = if name == function { &["lambda:UpdateFunctionCode"] } else { &[] };
            let expected = expected.iter().find(|(about, _)| *about == name).map_or(always, |(_, actions)| actions);
            assert_eq!(writes(&policy, name), expected, "{resource}.{property}: {name}");
        }
    }
}

/// The tags of an API that has no id yet are named by a pattern, which must stay one in the ARN's escaped segment.
#[test]
fn a_mapping_of_an_api_that_is_yet_to_be_made_may_be_recorded_on_it() {
    let mapping = "  Mapping:
    Type: AWS::ApiGatewayV2::ApiMapping
    Properties: {ApiId: !Ref Api, DomainName: ws.example.com, Stage: !Ref Stage}
";
    let template = format!("{TEMPLATE}{mapping}");
    let stack = load(template.as_bytes(), &BTreeMap::new(), &stack().scope).unwrap();
    let tags = "arn:aws:apigateway:eu-west-1::/tags/arn%3Aaws%3Aapigateway%3Aeu-west-1%3A%3A%2Fapis%2F*";
    assert_eq!(actions(&needed_by(&stack, &[]), tags), ["apigateway:DELETE", "apigateway:POST"]);
}

#[test]
fn deleted_resources_may_only_be_deleted() {
    let stack = stack();
    let policy = needed(&plan::teardown(&deployed(&stack)), None, &stack.scope, Roles::Account, &[]);
    assert_eq!(actions(&policy, "arn:aws:apigateway:eu-west-1::/apis/abc"), ["apigateway:DELETE"]);
    assert_eq!(actions(&policy, "arn:aws:apigateway:eu-west-1::/apis/abc/*"), ["apigateway:GET"]);
    assert_eq!(
        actions(&policy, "arn:aws:lambda:eu-west-1:123456789012:function:send"),
        ["lambda:DeleteFunction", "lambda:GetFunction", "lambda:GetPolicy"]
    );
    assert_eq!(
        actions(&policy, "arn:aws:logs:eu-west-1:123456789012:log-group:/aws/lambda/send:*"),
        ["logs:DeleteLogGroup", "logs:ListTagsForResource", "logs:TagResource"]
    );
}

#[test]
fn every_type_has_permissions() {
    let stack = stack();
    let plan = plan::diff(&stack, &[], &PlanOptions::default()).unwrap();
    for kind in types::TYPES {
        let mut step = plan.steps[0].clone();
        step.type_name = kind.type_name();
        let desired = step.desired.as_mut().unwrap();
        desired.properties = json!({
            "ApiId": "abc", "FunctionName": "f", "Roles": ["r"], "LayerName": "l", "@Bucket": "b",
            "LayerVersionArn": "arn:aws:lambda:eu-west-1:123456789012:layer:l:1",
        });
        let mut permissions = Permissions::default();
        permissions::of_step(&mut permissions, &plan, &step, &stack.scope, Roles::Account, false);
        assert!(!permissions.allowed.is_empty(), "{}", kind.type_name());
    }
}

#[test]
fn roles_read_by_name_need_no_permission_to_see_all_policies() {
    let mut stack = stack();
    let template = r#"
Resources:
  Own: {Type: AWS::IAM::Role, Properties: {Path: /team/, AssumeRolePolicyDocument: {Version: "2012-10-17", Statement: {Effect: Allow, Principal: {Service: lambda.amazonaws.com}, Action: sts:AssumeRole}}}}
  Named: {Type: AWS::IAM::Role, Properties: {RoleName: worker, AssumeRolePolicyDocument: {Version: "2012-10-17", Statement: {Effect: Allow, Principal: {Service: lambda.amazonaws.com}, Action: sts:AssumeRole}}}}
"#;
    stack = load(template.as_bytes(), &BTreeMap::new(), &stack.scope).unwrap();
    let plan = plan::diff(&stack, &[], &PlanOptions::default()).unwrap();
    let policy = needed(&plan, None, &stack.scope, Roles::ByName, &[]);
    let all = actions(&policy, "*");
    assert!(all.contains(&"iam:ListRoles".to_owned()), "{all:?}");
    assert!(!all.contains(&"iam:GetAccountAuthorizationDetails".to_owned()), "{all:?}");
    let read = ["iam:GetRole", "iam:GetRolePolicy", "iam:ListAttachedRolePolicies", "iam:ListRolePolicies"];
    for pattern in ["role/chat-*", "role/*/chat-*"] {
        assert_eq!(actions(&policy, &format!("arn:aws:iam::123456789012:{pattern}")), read, "{pattern}");
    }
    let own = format!("arn:aws:iam::123456789012:role/team/{}", stack.resources["Own"].name.as_deref().unwrap());
    assert!(actions(&policy, &own).contains(&"iam:CreateRole".to_owned()));
    assert!(!actions(&policy, &own).contains(&"iam:GetRole".to_owned()), "the pattern has it");
    let named = actions(&policy, "arn:aws:iam::123456789012:role/worker");
    assert!(read.iter().all(|action| named.contains(&(*action).to_owned())), "{named:?}");
}

fn loaded(resources: &str) -> Stack {
    load(format!("{TEMPLATE}{resources}").as_bytes(), &BTreeMap::new(), &stack().scope).unwrap()
}

#[test]
fn what_is_not_known_yet_is_a_pattern_in_every_statement() {
    let resources = "  Key: {Type: AWS::KMS::Key, Properties: {KeyPolicy: {Version: '2012-10-17', Statement: []}}}
  Sealed:
    Type: AWS::Lambda::Function
    Properties:
      Role: arn:aws:iam::123456789012:role/send
      Runtime: provided.al2023
      Handler: bootstrap
      Code: ./send
      KmsKeyArn: !GetAtt Key.Arn
";
    let policy = needed_by(&loaded(resources), &[]);
    let unknown = |resource: &&String| crate::core::words::Token::is_in(resource);
    let unknown: Vec<&String> = policy.statement.iter().flat_map(|one| &one.resource).filter(unknown).collect();
    assert_eq!(unknown, [""; 0]);
    let keys = actions(&policy, "arn:aws:kms:eu-west-1:123456789012:key/*");
    assert!(keys.contains(&"kms:CreateGrant".to_owned()), "{keys:?}");

    // So it is whatever the type does.
    let mut permissions = Permissions::default();
    permissions.allow("a", &["X"], format!("arn:{}", crate::core::words::Token::text("Key", "Arn")));
    permissions.pass(&crate::core::words::Token::text("Role", "Arn"), "lambda.amazonaws.com");
    assert!(permissions.allowed.contains_key("arn:*"));
    assert!(permissions.passed["lambda.amazonaws.com"].contains("*"));
}

#[test]
fn a_replaced_mapping_may_be_deleted_and_made_again() {
    let mapping = "  Mapping:
    Type: AWS::Lambda::EventSourceMapping
    Properties:
      FunctionName: !Ref Send
      EventSourceArn: arn:aws:kinesis:eu-west-1:123456789012:stream/s
      StartingPosition: LATEST
";
    let mut live = deployed_with(&loaded(mapping), "uuid");
    let policy = |live: &[Live], text: &str| needed_by(&loaded(text), live);
    let old = "arn:aws:lambda:eu-west-1:123456789012:event-source-mapping:uuid";
    assert_eq!(actions(&policy(&live, mapping), old), ["lambda:ListTags"]);
    let replaced = policy(&live, &mapping.replace("LATEST", "TRIM_HORIZON"));
    let any = actions(&replaced, "arn:aws:lambda:eu-west-1:123456789012:event-source-mapping:*");
    for action in ["DeleteEventSourceMapping", "GetEventSourceMapping", "ListTags", "TagResource"] {
        assert!(any.contains(&format!("lambda:{action}")), "{action} in {any:?}");
    }
    // What it was is deleted, and a rollback cannot make it again.
    live.retain(|one| one.physical_id != "uuid");
    assert!(actions(&policy(&live, mapping), "*").contains(&"lambda:CreateEventSourceMapping".to_owned()));
}

#[test]
fn exports_may_be_taken_back_when_the_last_one_goes() {
    let stack = stack();
    let mut live = deployed(&stack);
    let at = live.iter().position(|one| one.type_name == types::table::TYPE).unwrap();
    let table = format!("arn:aws:dynamodb:eu-west-1:123456789012:table/{}", live[at].physical_id);
    let untags =
        |live: &[Live]| actions(&needed_by(&stack, live), &table).contains(&"dynamodb:UntagResource".to_owned());
    assert!(!untags(&live));
    live[at].attributes.insert(crate::core::types::tags::export_key("rows"), "chat".to_owned());
    assert!(untags(&live));
}

#[test]
fn what_a_rollback_gives_back_is_looked_at_too() {
    let stack = stack();
    let mut live = deployed(&stack);
    let function = live.iter_mut().find(|one| one.type_name == types::function::TYPE).unwrap();
    function.properties["VpcConfig"] = json!({"SubnetIds": ["s"], "SecurityGroupIds": ["g"]});
    let all = actions(&needed_by(&stack, &live), "*");
    assert!(all.contains(&"ec2:DescribeSubnets".to_owned()), "{all:?}");
}

#[test]
fn a_parameter_of_the_stack_is_read_by_the_step_that_needs_it() {
    let resources = "  Param: {Type: AWS::SSM::Parameter, Properties: {Name: /chat/origin, Type: String, Value: x}}
  Reader:
    Type: AWS::Lambda::Function
    Properties:
      Role: arn:aws:iam::123456789012:role/send
      Runtime: provided.al2023
      Handler: bootstrap
      Code: ./send
      Environment: {Variables: {ORIGIN: '{{resolve:ssm:/chat/origin}}'}}
";
    let policy = needed_by(&loaded(resources), &[]);
    let found = actions(&policy, "arn:aws:ssm:eu-west-1:123456789012:parameter/chat/origin");
    assert!(found.contains(&"ssm:GetParameters".to_owned()), "{found:?}");
}
