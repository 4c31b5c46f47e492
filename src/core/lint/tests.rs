use std::collections::BTreeMap;
use std::fmt::Write as _;

use time::macros::date;

use super::*;
use crate::core::template::render::{Rendering, render};

/// A template without warnings, which gives every rule something to check.
const SOUND: &str = include_str!("tests/sound.yaml");

/// All problems of a template, on a day when nodejs20.x and older runtimes had not all ended yet.
fn problems(text: &str, given: &[(&str, &str)]) -> Vec<Problem> {
    let given: BTreeMap<String, String> =
        given.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
    inspect(template::parse(text.as_bytes()), &given, date!(2026 - 01 - 15), |_| Vec::new())
}

fn shown(text: &str) -> String {
    render(&problems(text, &[]), Rendering { file: "t.yaml", text, colour: false })
}

/// The names of the violated rules, and `error` for errors.
fn broken(text: &str) -> Vec<&'static str> {
    problems(text, &[]).iter().map(|problem| problem.rule.unwrap_or("error")).collect()
}

/// `SOUND` with each `from` replaced.
fn with(changes: &[(&str, &str)]) -> String {
    changes.iter().fold(SOUND.to_owned(), |text, (from, to)| {
        assert_eq!(text.matches(from).count(), 1, "{from}");
        text.replace(from, to)
    })
}

#[test]
fn a_sound_template_has_no_warnings() {
    assert_eq!(shown(SOUND), "");
}

/// A queue and a table's stream that Connect is invoked for, and a network for it.
const QUEUE: &str = "  Queue: { Type: AWS::SQS::Queue, Properties: { VisibilityTimeout: 200 } }\n  FromQueue: { Type: AWS::Lambda::EventSourceMapping, Properties: { FunctionName: !Ref Connect, EventSourceArn: !GetAtt Queue.Arn } }\n  Deployment:\n    Type";
const STREAM: &str = "  FromStream: { Type: AWS::Lambda::EventSourceMapping, Properties: { FunctionName: !Ref Connect, EventSourceArn: !GetAtt Rows.StreamArn, StartingPosition: LATEST } }\n  Deployment:\n    Type";
const STREAMED: &str = "BillingMode: PAY_PER_REQUEST\n      StreamSpecification: { StreamViewType: NEW_IMAGE }\n      KeySchema: [{ AttributeName: id, KeyType: HASH }]\n      AttributeDefinitions: [{ AttributeName: id, AttributeType: S }]\n  Other";
const IN_NETWORK: &str = "      MemorySize: !FindInMap [Sizes, small, memory]\n      VpcConfig: { SubnetIds: [subnet-12345678], SecurityGroupIds: [sg-12345678] }\n";

/// For every rule, changes that violate it.
const VIOLATIONS: &[(&str, &[(&str, &str)])] = &[
    ("unused-integration", &[("Target: !Sub integrations/${SendInteg}", "OperationName: send")]),
    ("missing-permission", &[("FunctionName: !GetAtt Send.Arn", "FunctionName: !GetAtt Connect.Arn")]),
    ("missing-permission", &[("${Api}/*/sendmessage", "${Api}/*/sendMessage")]),
    (
        "missing-permission",
        &[(
            "FunctionName: !GetAtt Send.Arn\n      Principal: apigateway.",
            "FunctionName: !GetAtt Send.Arn\n      Principal: events.",
        )],
    ),
    (
        "missing-permission",
        &[
            (
                "  Deployment:\n    Type",
                "  Version: { Type: AWS::Lambda::Version, Properties: { FunctionName: !Ref Send } }\n  Alias: { Type: AWS::Lambda::Alias, Properties: { FunctionName: !Ref Send, FunctionVersion: !GetAtt Version.Version, Name: live } }\n  Deployment:\n    Type",
            ),
            ("functions/${Send.Arn}", "functions/${Alias}"),
        ],
    ),
    (
        "permission-without-source",
        &[("      SourceArn: !Sub arn:aws:execute-api:${AWS::Region}:${AWS::AccountId}:${Api}/*/$connect\n", "")],
    ),
    ("unmatched-source-arn", &[("${Api.ApiId}/live/*", "${Api.ApiId}/prod/*")]),
    ("unmatched-source-arn", &[("arn:aws:execute-api:*:*:${Api.ApiId}/live/*", "arn:aws:apigateway:*::/apis/${Api}")]),
    ("unmatched-source-arn", &[("arn:aws:execute-api:*:*:${Api.ApiId}/live/*", "${Api.ApiId}/*")]),
    ("deployment-before-routes", &[("DependsOn: [ConnectRoute, SendRoute]", "DependsOn: ConnectRoute")]),
    ("deployment-before-routes", &[("    DependsOn: [ConnectRoute, SendRoute]\n", "")]),
    ("stage-without-deployment", &[("      DeploymentId: !Ref Deployment\n", "")]),
    (
        "stage-without-deployment",
        &[("      DeploymentId: !Ref Deployment\n", "      DeploymentId: !Ref Deployment\n      AutoDeploy: true\n")],
    ),
    ("throttle-zero", &[("ThrottlingRateLimit: 100", "ThrottlingRateLimit: 0")]),
    ("throttle-zero", &[("ThrottlingBurstLimit: 50", "ThrottlingBurstLimit: \"0\"")]),
    ("throttle-zero", &[("ThrottlingRateLimit: 100, ", "")]),
    ("one-way-route", &[("      RouteResponseSelectionExpression: $default\n", "")]),
    (
        "one-way-route",
        &[(
            "  SendResponse:\n    Type: AWS::ApiGatewayV2::RouteResponse\n    Properties: { ApiId: !Ref Api, RouteId: !Ref SendRoute, RouteResponseKey: $default }\n",
            "",
        )],
    ),
    ("integration-method", &[("IntegrationMethod: POST", "IntegrationMethod: GET")]),
    ("gateway-timeout", &[("    Timeout: 29\n", "    Timeout: 60\n")]),
    ("deprecated-runtime", &[("Runtime: python3.13", "Runtime: python3.9")]),
    ("deprecated-runtime", &[("Runtime: python3.13", "Runtime: nodejs14.x")]),
    ("deprecated-runtime", &[("Runtime: nodejs24.x", "Runtime: nodejs12.x")]),
    ("table-without-grant", &[("Action: dynamodb:PutItem", "Action: sqs:SendMessage")]),
    ("table-without-grant", &[("Resource: !GetAtt Rows.Arn\n", "Resource: !GetAtt Other.Arn\n")]),
    (
        "table-without-grant",
        &[(
            "      Policies:\n        - Statement:\n            - { Effect: Allow, Action: dynamodb:Scan, Resource: !GetAtt Rows.Arn }\n",
            "",
        )],
    ),
    ("source-without-grant", &[("  Deployment:\n    Type", QUEUE)]),
    (
        "source-without-grant",
        &[
            ("  Deployment:\n    Type", STREAM),
            (
                "BillingMode: PAY_PER_REQUEST\n      KeySchema: [{ AttributeName: id, KeyType: HASH }]\n      AttributeDefinitions: [{ AttributeName: id, AttributeType: S }]\n  Other",
                STREAMED,
            ),
        ],
    ),
    ("network-without-grant", &[("      MemorySize: !FindInMap [Sizes, small, memory]\n", IN_NETWORK)]),
    ("unused-grant", &[("      Environment: { Variables: { TABLE: !Ref Rows } }\n      Role:", "      Role:")]),
    ("unmatched-connection-grant", &[("${Api}/live/POST/@connections/*", "${Api}/prod/POST/@connections/*")]),
    ("unmatched-connection-grant", &[("${Api}/live/POST/@connections/*", "${Api}/POST/@connections/*")]),
    ("inline-handler", &[("      CodeUri: send/\n", "      InlineCode: x\n")]),
    ("untrusted-role", &[("Service: lambda.amazonaws.com", "Service: lamda.amazonaws.com")]),
    ("untrusted-role", &[("Action: sts:AssumeRole", "Action: sts:TagSession")]),
    ("unsubstituted-name", &[("!Sub \"${Api.ApiEndpoint}/live\"", "\"${Api.ApiEndpoint}/live\"")]),
    ("unknown-event", &[("RouteKey: $connect", "RouteKey: $conect")]),
    (
        "logging-without-role",
        &[(
            "{ ThrottlingRateLimit: 100, ThrottlingBurstLimit: 200 }",
            "{ LoggingLevel: INFO, ThrottlingRateLimit: 100, ThrottlingBurstLimit: 200 }",
        )],
    ),
    ("logging-without-role", &[("{ ThrottlingBurstLimit: 50 }", "{ LoggingLevel: ERROR }")]),
    (
        "logging-without-role",
        &[(
            "      StageName: live\n",
            "      StageName: live\n      AccessLogSettings: { DestinationArn: 'arn:aws:logs:us-east-1:123456789012:log-group:a', Format: $context.requestId }\n",
        )],
    ),
    (
        "ignored-authorizer",
        &[
            (
                "  ConnectRoute:\n",
                "  Guard: { Type: AWS::ApiGatewayV2::Authorizer, Properties: { ApiId: !Ref Api, Name: guard, AuthorizerType: REQUEST, AuthorizerUri: !Sub \"arn:aws:apigateway:${AWS::Region}:lambda:path/2015-03-31/functions/${Connect.Arn}/invocations\" } }\n  ConnectRoute:\n",
            ),
            ("      RouteKey: $connect\n", "      RouteKey: $connect\n      AuthorizerId: !Ref Guard\n"),
        ],
    ),
    (
        "refusing-mock",
        &[
            (
                "  ConnectRoute:\n",
                "  Mock: { Type: AWS::ApiGatewayV2::Integration, Properties: { ApiId: !Ref Api, IntegrationType: MOCK } }\n  ConnectRoute:\n",
            ),
            ("!Join [/, [integrations, !Ref ConnectInteg]]", "!Sub integrations/${Mock}"),
        ],
    ),
    (
        "unknown-managed-policy",
        &[(
            "      Policies:\n        - PolicyName: rows",
            "      ManagedPolicyArns: [arn:aws:iam::aws:policy/AmazonDynamoDBFulAccess]\n      Policies:\n        - PolicyName: rows",
        )],
    ),
    (
        "unknown-managed-policy",
        &[(
            "      Policies:\n        - Statement:",
            "      Policies:\n        - arn:aws:iam::aws:policy/NoSuchPolicyAtAll\n        - Statement:",
        )],
    ),
    ("malformed-uri", &[("functions/${Send.Arn}/invocations", "functions/${Send}/invocations")]),
    ("malformed-uri", &[("functions/${Send.Arn}/invocations", "functions/${Send.Arn}")]),
    ("visible-secret", &[("Secret: { Type: String, NoEcho: true }", "Secret: { Type: String }")]),
    (
        "left-out",
        &[(
            "Resources:\n",
            "Resources:\n  ServerlessDeploymentBucket: { Type: AWS::S3::Bucket }\n  ServerlessDeploymentBucketPolicy:\n    \
             Type: AWS::S3::BucketPolicy\n    Properties: { Bucket: !Ref ServerlessDeploymentBucket, PolicyDocument: {} }\n",
        )],
    ),
    ("unquoted-boolean", &[("Variables: { TABLE: !Ref Rows }", "Variables: { TABLE: !Ref Rows, COUNTRY: NO }")]),
    ("unquoted-boolean", &[("Wide: !Equals [!Ref AWS::Region, us-east-1]", "Wide: !Equals [!Ref AWS::Region, on]")]),
    ("unquoted-boolean", &[("small: { memory: 256 }", "small: { memory: 256, no: 1 }")]),
    ("unused-parameter", &[("SECRET: !Ref Secret", "SECRET: none")]),
    (
        "unchecked-pattern",
        &[(
            "Secret: { Type: String, NoEcho: true }",
            "Secret: { Type: String, NoEcho: true, AllowedPattern: '(?=.*[0-9]).{8,}' }",
        )],
    ),
    ("unused-mapping", &[("!FindInMap [Sizes, small, memory]", "256")]),
    ("unused-condition", &[("    Condition: Wide\n", "")]),
];

#[test]
fn every_rule_warns_of_its_violations() {
    let mut all = String::new();
    for (rule, changes) in VIOLATIONS {
        let text = with(changes);
        let _ = writeln!(all, "{}", shown(&text));
        let broken = broken(&text);
        assert!(broken.contains(rule), "{rule}: {broken:?} after {changes:?}");
    }
    for rule in RULES {
        assert!(VIOLATIONS.iter().any(|(broken, _)| *broken == rule.name), "{} is never broken", rule.name);
    }
    insta::assert_snapshot!(all);
}

/// Changes that resemble a violation, and why they are none.
const NO_VIOLATIONS: &[(&str, &[(&str, &str)])] = &[
    (
        "a policy that is called by something that is put together",
        &[("PolicyName: rows", "PolicyName: !Sub \"${AWS::StackName}-rows\"")],
    ),
    (
        "a role that several services assume, in several statements",
        &[(
            "Statement: [{ Effect: Allow, Principal: { Service: lambda.amazonaws.com }, Action: sts:AssumeRole }]",
            "Statement: [{ Effect: Allow, Principal: { Service: [ec2.amazonaws.com, lambda.amazonaws.com] }, Action: ['sts:*'] }]",
        )],
    ),
    (
        "a role that reads the queue",
        &[
            ("  Deployment:\n    Type", QUEUE),
            (
                "      Policies:\n        - PolicyName: rows",
                "      ManagedPolicyArns: [arn:aws:iam::aws:policy/service-role/AWSLambdaSQSQueueExecutionRole]\n      Policies:\n        - PolicyName: rows",
            ),
        ],
    ),
    (
        "a role that may make network interfaces",
        &[
            ("      MemorySize: !FindInMap [Sizes, small, memory]\n", IN_NETWORK),
            (
                "      Policies:\n        - PolicyName: rows",
                "      ManagedPolicyArns: [arn:aws:iam::aws:policy/service-role/AWSLambdaVPCAccessExecutionRole]\n      Policies:\n        - PolicyName: rows",
            ),
        ],
    ),
    (
        "a URI through a stage variable",
        &[(
            "${Send.Arn}/invocations",
            "arn:aws:lambda:us-east-1:123456789012:function:${!stageVariables.f}/invocations",
        )],
    ),
    (
        "a stage is called by its logical id",
        &[
            ("${Api}/*/$connect", "${Api}/${Live}/$connect"),
            ("${Api}/live/POST/@connections/*", "${Api}/${Live}/POST/@connections/*"),
        ],
    ),
    (
        "a route that another stack's condition leaves out uses it all the same",
        &[
            (
                "  SendRoute:\n    Type: AWS::ApiGatewayV2::Route\n",
                "  Later:\n    Type: AWS::ApiGatewayV2::Route\n    Condition: Wide\n    Properties: { ApiId: !Ref Api, RouteKey: later, Target: !If [Wide, !Sub \"integrations/${SendInteg}\", none] }\n  SendRoute:\n    Type: AWS::ApiGatewayV2::Route\n",
            ),
            ("DependsOn: [ConnectRoute, SendRoute]", "DependsOn: [ConnectRoute, SendRoute, Later]"),
            ("${Api}/*/sendmessage", "${Api}/*"),
        ],
    ),
    (
        "the gateway has a role of its own",
        &[
            ("FunctionName: !GetAtt Send.Arn", "FunctionName: !Ref Connect"),
            (
                "      IntegrationType: AWS_PROXY\n      IntegrationUri: !Sub arn:aws:apigateway:${AWS::Region}:lambda:path/2015-03-31/functions/${Send.Arn}",
                "      IntegrationType: AWS_PROXY\n      CredentialsArn: arn:aws:iam::123456789012:role/gateway\n      IntegrationUri: !Sub arn:aws:apigateway:${AWS::Region}:lambda:path/2015-03-31/functions/${Send.Arn}",
            ),
        ],
    ),
    (
        "the function is somebody else's",
        &[
            ("FunctionName: !GetAtt Send.Arn", "FunctionName: !Ref Connect"),
            ("functions/${Send.Arn}", "functions/arn:aws:lambda:us-east-1:123456789012:function:other"),
        ],
    ),
    (
        "the stage says which function",
        &[
            ("FunctionName: !GetAtt Send.Arn", "FunctionName: !Ref Connect"),
            (
                "functions/${Send.Arn}",
                "functions/arn:aws:lambda:us-east-1:123456789012:function:${!stageVariables.function}",
            ),
        ],
    ),
    (
        "the alias has the permission",
        &[
            (
                "  Deployment:\n    Type",
                "  Version: { Type: AWS::Lambda::Version, Properties: { FunctionName: !Ref Send } }\n  Alias: { Type: AWS::Lambda::Alias, Properties: { FunctionName: !Ref Send, FunctionVersion: !GetAtt Version.Version, Name: live } }\n  Deployment:\n    Type",
            ),
            ("functions/${Send.Arn}", "functions/${Alias}"),
            ("FunctionName: !GetAtt Send.Arn", "FunctionName: !Ref Alias"),
        ],
    ),
    ("every route and stage", &[("${Api}/*/sendmessage", "${Api}/*")]),
    (
        "another API has a route of the same key",
        &[
            SECOND,
            (
                "  SendPermission:\n",
                "  SecondInteg:\n    Type: AWS::ApiGatewayV2::Integration\n    Properties: { ApiId: !Ref Second, IntegrationType: AWS_PROXY, IntegrationUri: !GetAtt Send.Arn }\n  SecondRoute:\n    Type: AWS::ApiGatewayV2::Route\n    Properties: { ApiId: !Ref Second, RouteKey: sendmessage, Target: !Sub \"integrations/${SecondInteg}\" }\n  SecondPermission:\n    Type: AWS::Lambda::Permission\n    Properties: { Action: lambda:InvokeFunction, FunctionName: !Ref Send, Principal: apigateway.amazonaws.com, SourceArn: !Sub \"arn:aws:execute-api:${AWS::Region}:${AWS::AccountId}:${Second}/*\" }\n  SendPermission:\n",
            ),
        ],
    ),
    (
        "an authorizer that is asked, a mock that answers, policies that exist, and no logs",
        &[
            (
                "  ConnectRoute:\n",
                "  Guard: { Type: AWS::ApiGatewayV2::Authorizer, Properties: { ApiId: !Ref Api, Name: guard, AuthorizerType: REQUEST, AuthorizerUri: !Sub \"arn:aws:apigateway:${AWS::Region}:lambda:path/2015-03-31/functions/${Connect.Arn}/invocations\" } }\n  Mock: { Type: AWS::ApiGatewayV2::Integration, Properties: { ApiId: !Ref Api, IntegrationType: MOCK, RequestTemplates: { '200': '{\"statusCode\":200}' } } }\n  Gone: { Type: AWS::ApiGatewayV2::Route, Properties: { ApiId: !Ref Api, RouteKey: $disconnect, Target: !Sub \"integrations/${Mock}\" } }\n  ConnectRoute:\n",
            ),
            (
                "      RouteKey: $connect\n",
                "      RouteKey: $connect\n      AuthorizationType: CUSTOM\n      AuthorizerId: !Ref Guard\n",
            ),
            ("DependsOn: [ConnectRoute, SendRoute]", "DependsOn: [ConnectRoute, SendRoute, Gone]"),
            (
                "      Policies:\n        - PolicyName: rows",
                "      ManagedPolicyArns: [arn:aws:iam::aws:policy/service-role/AWSLambdaBasicExecutionRole]\n      Policies:\n        - PolicyName: rows",
            ),
            (
                "{ ThrottlingRateLimit: 100, ThrottlingBurstLimit: 200 }",
                "{ LoggingLevel: 'OFF', ThrottlingRateLimit: 100, ThrottlingBurstLimit: 200 }",
            ),
        ],
    ),
    ("one letter of the stage left open", &[("${Api}/*/sendmessage", "${Api}/liv?/sendmessage")]),
    (
        "an account is a source, too",
        &[(
            "      SourceArn: !Sub arn:aws:execute-api:${AWS::Region}:${AWS::AccountId}:${Api}/*/$connect\n",
            "      SourceAccount: !Ref AWS::AccountId\n",
        )],
    ),
    ("a permission for an authorizer", &[("${Api.ApiId}/live/*", "${Api.ApiId}/authorizers/abcdef")]),
    (
        "another API",
        &[(
            "arn:aws:execute-api:*:*:${Api.ApiId}/live/*",
            "arn:aws:execute-api:us-east-1:123456789012:abcdef1234/live/*",
        )],
    ),
    (
        "it waits for one route by way of the other",
        &[
            ("DependsOn: [ConnectRoute, SendRoute]", "DependsOn: ConnectRoute"),
            (
                "  ConnectRoute:\n    Type: AWS::ApiGatewayV2::Route\n",
                "  ConnectRoute:\n    Type: AWS::ApiGatewayV2::Route\n    DependsOn: SendRoute\n",
            ),
        ],
    ),
    ("deployments by themselves", &[("      DeploymentId: !Ref Deployment\n", "      AutoDeploy: true\n")]),
    (
        "no limits of its own",
        &[("{ ThrottlingRateLimit: 100, ThrottlingBurstLimit: 200 }", "{ DetailedMetricsEnabled: true }")],
    ),
    (
        "nobody waits for it",
        &[(
            "  Api:\n    Type: AWS::ApiGatewayV2::Api\n",
            "  Nightly:\n    Type: AWS::Serverless::Function\n    Properties: { CodeUri: nightly/, Handler: index.handler, Runtime: nodejs24.x, Timeout: 900 }\n  Api:\n    Type: AWS::ApiGatewayV2::Api\n",
        )],
    ),
    ("nobody knows when it ends", &[("Runtime: python3.13", "Runtime: python3.15")]),
    ("it ends later this year", &[("Runtime: python3.13", "Runtime: python3.10")]),
    (
        "what the managed policy grants is not known",
        &[
            ("Action: dynamodb:PutItem", "Action: sqs:SendMessage"),
            (
                "      Policies:\n        - PolicyName: rows",
                "      ManagedPolicyArns: [arn:aws:iam::123456789012:policy/mine]\n      Policies:\n        - PolicyName: rows",
            ),
        ],
    ),
    ("everything", &[("Resource: !GetAtt Rows.Arn\n", "Resource: \"*\"\n")]),
    (
        "all tables of a region",
        &[("Resource: !GetAtt Rows.Arn\n", "Resource: arn:aws:dynamodb:eu-west-1:123456789012:table/*\n")],
    ),
    (
        "all tables of the stack",
        &[(
            "Resource: !GetAtt Rows.Arn\n",
            "Resource: !Sub arn:aws:dynamodb:${AWS::Region}:*:table/${AWS::StackName}-*\n",
        )],
    ),
    ("everything but one thing", &[("Action: dynamodb:PutItem", "NotAction: iam:*")]),
    ("indexes alone", &[("Resource: !GetAtt Rows.Arn }", "Resource: !Sub \"${Rows.Arn}/index/*\" }")]),
    (
        "a role from elsewhere",
        &[
            ("Role: !GetAtt Role.Arn", "Role: arn:aws:iam::123456789012:role/mine"),
            ("FunctionName: !GetAtt Send.Arn", "FunctionName: !Ref Send"),
        ],
    ),
    (
        "code may know a name that the template gives",
        &[(
            "        - Statement:\n",
            "        - Statement:\n            - { Effect: Allow, Action: dynamodb:Scan, Resource: !If [Wide, !GetAtt Other.Arn, !Ref AWS::NoValue] }\n",
        )],
    ),
    ("a grant for all stages", &[("${Api}/live/POST/@connections/*", "${Api}/*")]),
    ("one method of one stage", &[("${Api}/live/POST/@connections/*", "${Api}/li*/DELETE/@connections/*")]),
    (
        "where a secret lies is none",
        &[
            ("TokenTable: {", "SecretArn: { Type: String, Default: a }\n  TokenTable: {"),
            ("TOKENS: !Ref TokenTable", "TOKENS: !Sub \"${TokenTable}${SecretArn}\""),
        ],
    ),
    ("a map by a computed name", &[("[Sizes, small, memory]", "[!Select [0, [Sizes]], small, memory]")]),
    (
        "a condition of a condition",
        &[
            ("    Condition: Wide\n", "    Condition: Wider\n"),
            ("  Wide: ", "  Wider: !Not [Condition: Wide]\n  Wide: "),
        ],
    ),
];

#[test]
fn no_rule_warns_without_certainty() {
    for (why, changes) in NO_VIOLATIONS {
        assert_eq!(shown(&with(changes)), "", "{why}");
    }
}

#[test]
fn errors_cause_no_further_warnings() {
    let mistakes = [
        ("Target: !Sub integrations/${SendInteg}", "Traget: !Sub integrations/${SendInteg}"),
        ("Target: !Sub integrations/${SendInteg}", "Target: !Sub integrations/${SendInt}"),
        ("FunctionName: !GetAtt Send.Arn", "FunctionNam: !GetAtt Send.Arn"),
        ("FunctionName: !GetAtt Send.Arn", "FunctionName: !GetAtt Sned.Arn"),
        (
            "Type: AWS::Lambda::Permission\n    Properties:\n      Action: lambda:InvokeFunction\n      FunctionName: !GetAtt Send.Arn",
            "Type: AWS::Lambda::Permision\n    Properties:\n      Action: lambda:InvokeFunction\n      FunctionName: !GetAtt Send.Arn",
        ),
        ("StageName: live", "StagName: live"),
        ("ThrottlingRateLimit: 100", "ThrottlingRateLimit: many"),
        ("Action: dynamodb:PutItem", "Action: !Ref Acton"),
        ("PolicyName: rows", "PolicName: rows"),
        ("Resource: !GetAtt Rows.Arn }", "Resource: !GetAtt Rows.Ann }"),
        ("Runtime: nodejs24.x", "Runtime: [nodejs12.x]"),
        ("Type: AWS::ApiGatewayV2::RouteResponse", "Type: AWS::ApiGatewayV2::RouteRespons"),
    ];
    for mistake in mistakes {
        let text = with(&[mistake]);
        let broken = broken(&text);
        assert!(!broken.is_empty() && broken.iter().all(|rule| *rule == "error"), "{mistake:?}: {}", shown(&text));
    }
}

#[test]
fn an_error_hides_no_warning_about_another_property() {
    let text = with(&[
        ("MemorySize: !FindInMap [Sizes, small, memory]", "MemorySizee: !FindInMap [Sizes, small, memory]"),
        ("Runtime: nodejs24.x", "Runtime: nodejs12.x"),
    ]);
    assert_eq!(broken(&text), ["deprecated-runtime", "error"]);
}

/// A template whose parameters have no values.
const WITHOUT_VALUES: &str = "\
Parameters:
  Stage: { Type: String, AllowedPattern: '[a-z]+', MinLength: 7 }
  Mode: { Type: String, AllowedValues: [PAY_PER_REQUEST, PROVISIONED] }
  Kind: { Type: String }
  Memory: { Type: Number, MinValue: 128, MaxValue: 1024 }
  Odd: { Type: String, AllowedPattern: 'xyz[0-9]{3}-q' }
  Key: { Type: String, NoEcho: true }
  Limits: { Type: List<Number> }
  Vpc: { Type: AWS::EC2::VPC::Id }
  Subnets: { Type: List<AWS::EC2::Subnet::Id> }
  Group: { Type: AWS::EC2::SecurityGroup::Id }
Rules:
  Fits: { Assertions: [{ Assert: !Equals [!Ref Stage, live] }] }
Mappings:
  Regions: { eu-west-1: { size: 512 } }
Conditions:
  European: !Equals [!Ref AWS::Region, eu-west-1]
Resources:
  Table:
    Type: AWS::DynamoDB::Table
    Condition: European
    Properties:
      BillingMode: !Ref Mode
      KeySchema: [{ AttributeName: id, KeyType: !Ref Kind }]
      AttributeDefinitions: [{ AttributeName: id, AttributeType: S }]
  Function:
    Type: AWS::Lambda::Function
    Properties:
      Code: code/
      Handler: index.handler
      Runtime: !Ref Kind
      Role: !Ref Key
      MemorySize: !FindInMap [Regions, !Ref AWS::Region, size]
      Timeout: !Select [0, !Ref Limits]
      VpcConfig: { SecurityGroupIds: [!Ref Group], SubnetIds: !Ref Subnets }
      Environment:
        Variables: { STAGE: !Ref Stage, ODD: !Ref Odd, VPC: !Ref Vpc, MEMORY: !Ref Memory }
  Logs:
    Type: AWS::Logs::LogGroup
    Properties: { RetentionInDays: !Ref Kind }
  Right:
    Type: AWS::Lambda::Permission
    Properties:
      Action: lambda:InvokeFunction
      FunctionName: !Ref Kind
      Principal: apigateway.amazonaws.com
      SourceArn: arn:aws:execute-api:eu-west-1:123456789012:abc/*
Outputs:
  Table: { Value: !Ref Table }
";

#[test]
fn made_up_values_cause_no_problems() {
    assert_eq!(shown(WITHOUT_VALUES), "");
    // An error with any parameter values is reported.
    for (from, to) in [
        ("!Ref Limits]", "!Ref Limit]"),
        ("[Regions, !Ref AWS::Region, size]", "[Regions, eu-west-1, sise]"),
        ("Handler:", "Handlr:"),
        ("{ Type: AWS::EC2::VPC::Id }", "{ Type: Strng }"),
        ("'[a-z]+'", "'[a-z'"),
        ("SubnetIds: !Ref Subnets", "SubnetIds: [subnets]"),
        ("Type: String, NoEcho: true", "Type: String, NoEcho: true, Default: a, MinLength: 2"),
    ] {
        assert_eq!(WITHOUT_VALUES.matches(from).count(), 1, "{from}");
        let text = WITHOUT_VALUES.replace(from, to);
        assert!(broken(&text).contains(&"error"), "{to}");
    }
    // Given values are checked.
    let given = [("Memory", "64"), ("Mode", "FREE")];
    let problems: Vec<String> = problems(WITHOUT_VALUES, &given).into_iter().map(|problem| problem.what).collect();
    assert_eq!(
        problems,
        [
            "the parameter Mode must be one of PAY_PER_REQUEST, PROVISIONED, not \"FREE\"",
            "the parameter Memory must be at least 128, not \"64\""
        ]
    );
    let problems = self::problems(WITHOUT_VALUES, &[("Subnets", "subnet-a, nets")]);
    assert_eq!(
        problems.iter().map(|problem| &problem.what).collect::<Vec<_>>(),
        ["element 2 of SubnetIds cannot be \"nets\""]
    );
}

/// The CDK 1 gives the key of an asset as two parts of a parameter, with `||` between them.
#[test]
fn a_made_up_text_has_as_many_parts_as_are_asked_for() {
    let text = |parameter: &str| {
        format!(
            "Parameters: {{ Key: {{ Type: String{parameter} }} }}\nResources:\n  Log:\n    Type: AWS::Logs::LogGroup\n    \
             Properties:\n      RetentionInDays: 1\n      LogGroupName: !Select [1, !Split ['||', !Ref Key]]\n"
        )
    };
    assert_eq!(shown(&text("")), "");
    assert!(shown(&text(", Default: 'a||b'")).is_empty());
    assert!(shown(&text(", Default: a")).contains("Fn::Select cannot select nonexistent value at index 1"));
}

/// Names that users choose freely, and so cannot misspell.
const CHOSEN: &[&str] = &["TABLE", "INDEX", "sendmessage"];

/// Misspells every key of the resources: missing or dependent parts are no errors of their own.
#[test]
fn one_typo_is_one_error() {
    let resources = SOUND.find("Resources:").unwrap_or_default();
    let key = regex_lite::Regex::new(r"(?m)(?:^ {4,}|[{-] |, )(\w{3,}):(?: |$)").unwrap();
    let mut odd = Vec::new();
    let mut slips = 0;
    for found in key.captures_iter(SOUND).filter_map(|captures| captures.get(1)) {
        let name = found.as_str();
        if found.start() < resources || CHOSEN.contains(&name) {
            continue;
        }
        slips += 1;
        let (start, end) = name.split_at(name.len() - 2);
        let swapped: String = end.chars().rev().collect();
        let text = [&SOUND[..found.start()], start, &swapped, &SOUND[found.end()..]].concat();
        let errors: Vec<Problem> = problems(&text, &[]).into_iter().filter(|problem| problem.rule.is_none()).collect();
        let help = format!("did you mean \"{name}\"?");
        if errors.len() != 1 || errors[0].help.as_deref() != Some(&help) {
            let line = text[..found.start()].lines().count();
            odd.push(format!("line {line}, {name}: {errors:#?}"));
        }
    }
    assert!(slips > 80, "{slips}");
    assert!(odd.is_empty(), "{}", odd.join("\n"));
}

#[test]
fn problems_that_need_names_are_found_with_the_others() {
    let text =
        with(&[("                Resource: !GetAtt Rows.Arn\n", "                Resource: [rows, !Ref Rows]\n")]);
    let found: Vec<String> = problems(&text, &[]).into_iter().map(|problem| problem.what).collect();
    let [first, second] = found.as_slice() else { panic!("{found:?}") };
    assert_eq!(first, "a resource is \"*\" or an ARN, not \"rows\"");
    assert!(second.starts_with("a resource is \"*\" or an ARN, not \"stack-Rows-"), "{second}");
}

#[test]
fn values_that_aws_refuses_are_errors() {
    for (from, to, what) in [
        ("Role: !GetAtt Role.Arn", "Role: !Ref Role", "a function's role is given by its ARN, not as \"stack-Role-"),
        ("StageName: live", "StageName: li ve", "StageName cannot be \"li ve\""),
        (
            "AttributeDefinitions: [{ AttributeName: id, AttributeType: S }]\n  Other",
            "AttributeDefinitions: [{ AttributeName: ids, AttributeType: S }]\n  Other",
            "AttributeDefinitions does not define \"id\"",
        ),
        (
            "AttributeDefinitions: [{ AttributeName: id, AttributeType: S }]\n  Other",
            "AttributeDefinitions: [{ AttributeName: id, AttributeType: S }, { AttributeName: at, AttributeType: N }]\n  Other",
            "no key of the table or its indexes uses the attribute \"at\"",
        ),
    ] {
        let problems = problems(&with(&[(from, to)]), &[]);
        let errors: Vec<&str> =
            problems.iter().filter(|problem| problem.rule.is_none()).map(|problem| problem.what.as_str()).collect();
        let [error] = errors.as_slice() else { panic!("{to}: {problems:#?}") };
        assert!(error.starts_with(what), "{error}");
    }
}

/// Mistakes that many other parts of the template depend on.
#[test]
fn a_mistake_that_others_depend_on_is_one_error() {
    for (from, to, what) in [
        ("  ConnectInteg:\n", "  Connect-Integ:\n", "the name \"Connect-Integ\" may have letters and digits only"),
        ("  Api:\n", "  Api-1:\n", "the name \"Api-1\" may have letters and digits only"),
        (
            "Transform: AWS::Serverless-2016-10-31",
            "Transform: AWS::Serverless-2016-10-32",
            "unknown transform \"AWS::Serverless-2016-10-32\"",
        ),
        ("    Timeout: 29\n", "    Timeout: 901\n", "Timeout must be from 1 to 900, not 901 (Connect, Send)"),
    ] {
        let problems = problems(&with(&[(from, to)]), &[]);
        let errors: Vec<&str> =
            problems.iter().filter(|problem| problem.rule.is_none()).map(|problem| problem.what.as_str()).collect();
        assert_eq!(errors, [what], "{to}");
    }
}

/// A second API, to put parts into the wrong one.
const SECOND: (&str, &str) = (
    "  ConnectInteg:\n",
    "  Second:\n    Type: AWS::ApiGatewayV2::Api\n    Properties: { Name: second, ProtocolType: WEBSOCKET, RouteSelectionExpression: $request.body.action }\n  ConnectInteg:\n",
);

/// References to nothing or to the wrong type, and duplicates.
#[test]
fn missing_and_duplicate_parts_are_errors() {
    let target = "integrations/${SendInteg}";
    let no_target =
        "Target must be integrations/ID with the id of an AWS::ApiGatewayV2::Integration of this template, not ";
    let more = |resource: &'static str| ("Outputs:\n", resource);
    for (changes, what) in [
        (vec![(target, "${SendInteg}")], format!("{no_target}\"<SendInteg>\"")),
        (
            vec![("!Join [/, [integrations, !Ref ConnectInteg]]", "!Ref ConnectInteg")],
            format!("{no_target}\"<ConnectInteg>\""),
        ),
        (vec![(target, "integrations/${Api}")], format!("{no_target}\"integrations/<Api>\"")),
        (vec![(target, "integrations/${SendInteg}/x")], format!("{no_target}\"integrations/<SendInteg>/x\"")),
        (vec![(target, "integrations/abc123")], format!("{no_target}\"integrations/abc123\"")),
        (
            vec![(target, "arn:aws:lambda:${AWS::Region}:${AWS::AccountId}:function/${Send}")],
            format!("{no_target}\"arn:aws:lambda:us-east-1:000000000000:function/stack-Send-"),
        ),
        (
            vec![
                SECOND,
                (
                    "  SendInteg:\n    Type: AWS::ApiGatewayV2::Integration\n    Properties:\n      ApiId: !Ref Api\n",
                    "  SendInteg:\n    Type: AWS::ApiGatewayV2::Integration\n    Properties:\n      ApiId: !Ref Second\n",
                ),
            ],
            "SendInteg belongs to another API, <Second>, not to this one".to_owned(),
        ),
        (
            vec![("DeploymentId: !Ref Deployment", "DeploymentId: abc123")],
            "DeploymentId must refer to an AWS::ApiGatewayV2::Deployment of this template, not be \"abc123\""
                .to_owned(),
        ),
        (
            vec![("RouteId: !Ref SendRoute", "RouteId: !Ref SendInteg")],
            "RouteId must refer to an AWS::ApiGatewayV2::Route of this template, not be \"<SendInteg>\"".to_owned(),
        ),
        (
            vec![(
                "      RouteKey: $connect\n",
                "      RouteKey: $connect\n      AuthorizationType: CUSTOM\n      AuthorizerId: !Ref SendInteg\n",
            )],
            "AuthorizerId must refer to an AWS::ApiGatewayV2::Authorizer of this template, not be \"<SendInteg>\""
                .to_owned(),
        ),
        (
            vec![("RouteKey: $connect", "RouteKey: sendmessage")],
            "ConnectRoute has the RouteKey \"sendmessage\" already, in the same API".to_owned(),
        ),
        (
            vec![more(
                "  More: { Type: AWS::ApiGatewayV2::Stage, Properties: { ApiId: !Ref Api, StageName: live, AutoDeploy: true } }\nOutputs:\n",
            )],
            "Live has the StageName \"live\" already, in the same API".to_owned(),
        ),
        (
            vec![more(
                "  SendsResponse: { Type: AWS::ApiGatewayV2::RouteResponse, Properties: { ApiId: !Ref Api, RouteId: !Ref SendRoute, RouteResponseKey: $default } }\nOutputs:\n",
            )],
            "SendResponse has the RouteResponseKey \"$default\" already, in the same route".to_owned(),
        ),
        (vec![("PolicyName: post", "PolicyName: rows")], "the role stack-Role-".to_owned()),
        (
            vec![more(
                "  One: { Type: AWS::Logs::LogGroup, Properties: { LogGroupName: logs } }\n  Two: { Type: AWS::Logs::LogGroup, Properties: { LogGroupName: logs } }\nOutputs:\n",
            )],
            "One has the name \"logs\" already".to_owned(),
        ),
        (
            vec![more(
                "  One: { Type: AWS::IAM::ManagedPolicy, Properties: { ManagedPolicyName: Team, PolicyDocument: { Version: '2012-10-17', Statement: { Effect: Allow, Action: 's3:*', Resource: '*' } } } }\n  Two: { Type: AWS::IAM::ManagedPolicy, Properties: { ManagedPolicyName: team, PolicyDocument: { Version: '2012-10-17', Statement: { Effect: Allow, Action: 's3:*', Resource: '*' } } } }\nOutputs:\n",
            )],
            "One has the name \"team\" already".to_owned(),
        ),
    ] {
        let found = problems(&with(&changes), &[]);
        let errors: Vec<&str> =
            found.iter().filter(|problem| problem.rule.is_none()).map(|problem| problem.what.as_str()).collect();
        let [error] = errors.as_slice() else { panic!("{changes:?}: {found:#?}") };
        assert!(error.starts_with(&what), "{error}");
    }
}

/// Limits are checked on evaluated values, but not on values that are still unknown.
#[test]
fn known_values_are_checked_against_limits() {
    let function = |name: &str| {
        format!(
            "Parameters:\n  Name: {{ Type: String }}\n  Short: {{ Type: String, Default: a b }}\nResources:\n  F:\n    Type: AWS::Lambda::Function\n    Properties:\n      FunctionName: {name}\n      Code: code/\n      Handler: index.handler\n      Runtime: nodejs24.x\n      Role: arn:aws:iam::123456789012:role/r\nOutputs:\n  Short: {{ Value: !Sub '${{Short}}${{Name}}' }}\n"
        )
    };
    for (name, given, expected) in [
        ("my function", None, Some("FunctionName cannot be \"my function\"")),
        ("!Sub '${Name} of mine'", None, None),
        ("!Sub '${Name}-of-mine'", Some("a b"), Some("FunctionName cannot be \"a b-of-mine\"")),
        ("!Sub '${Name}-of-mine'", Some("ab"), None),
        ("!Ref Short", None, Some("FunctionName cannot be \"a b\"")),
        ("!Sub '${AWS::StackName}-${AWS::Region}-f'", None, None),
        ("!Join ['', [a, !Ref 'AWS::NoValue', b]]", None, None),
    ] {
        let given: Vec<_> = given.map(|value| ("Name", value)).into_iter().collect();
        let found = problems(&function(name), &given);
        let errors: Vec<&str> =
            found.iter().filter(|problem| problem.rule.is_none()).map(|problem| problem.what.as_str()).collect();
        assert_eq!(errors, expected.into_iter().collect::<Vec<_>>(), "{name}");
    }
    // A secret stays masked.
    let secret = function("!Ref Name").replace("Name: { Type: String }", "Name: { Type: String, NoEcho: true }");
    let found = problems(&secret, &[("Name", "pass word")]);
    assert_eq!(
        found.iter().map(|problem| problem.what.as_str()).collect::<Vec<_>>(),
        ["FunctionName cannot be \"****\""]
    );
}

/// Single errors in SAM resources that several readers encounter.
#[test]
fn one_fault_of_a_sam_resource_is_one_error() {
    let function = "InlineCode: x, Handler: index.h, Runtime: nodejs22.x";
    let api = "RouteSelectionExpression: $request.body.action";
    for (resources, what) in [
        ("F(InlineCode: x, Runtime: nodejs22.x)", "missing property \"Handler\""),
        ("F(InlineCode: x, Handler: [], Runtime: nodejs22.x)", "missing property \"Handler\""),
        ("F(InlineCode: x, Handler: index.h, Runtime: {})", "missing property \"Runtime\""),
        ("F(PackageType: Image, ImageUri: a, Handler: x)", "Handler is for code in a zip"),
        ("F(PackageType: Image)", "'ImageUri' must be given"),
        ("F(FUNCTION, PackageType: zip)", "'PackageType' must be `Zip` or `Image`"),
        ("F(FUNCTION, Environment: { A: a, B: b })", "as in { Variables: { NAME: value } }"),
        ("F(FUNCTION, Environment: { Variables: { A: } })", "null values are not allowed"),
        ("F(FUNCTION, Policies: { AWSLambdaExecute: {}, SQSPollerPolicy: {} })", "is not valid"),
        ("F(FUNCTION, Policies: [{ PolicyName: p, PolicyDocument: {} }])", "is not valid"),
        ("F(FUNCTION)\n  FRole: { Type: AWS::Serverless::SimpleTable }", "SAM makes a resource FRole of this"),
        ("A(API, Routes: [])", "Routes must be a map"),
        (
            "F(FUNCTION)\n  A(API, Routes: { $connect: { FunctionArn: !GetAtt F.Arn } }, Tags: !If [a, b, c])",
            "Tags must be a map",
        ),
        (
            "F(FUNCTION)\n  A(API, Routes: { $connect: { FunctionArn: !GetAtt F.Arn } }, Auth: { AuthType: OIDC })",
            "the AuthType must be AWS_IAM, CUSTOM or NONE",
        ),
    ] {
        let text = resources
            .replace("FUNCTION", function)
            .replace("API", api)
            .replace("F(", "F:\n    Type: AWS::Serverless::Function\n    Properties: {")
            .replace("A(", "A:\n    Type: AWS::Serverless::WebSocketApi\n    Properties: {")
            .replace(')', "}");
        let text = format!("Transform: AWS::Serverless-2016-10-31\nResources:\n  {text}\n");
        let problems = problems(&text, &[]);
        let errors: Vec<&str> =
            problems.iter().filter(|problem| problem.rule.is_none()).map(|problem| problem.what.as_str()).collect();
        let one = errors.iter().filter(|error| error.contains(what)).count();
        assert_eq!((one, errors.len()), (1, 1), "{text}{errors:#?}");
    }
}

/// What SAM would have created from something refused is missing only because of that, and so are references to it.
#[test]
fn references_to_refused_parts_are_no_further_errors() {
    let function =
        "F: { Type: AWS::Serverless::Function, Properties: { InlineCode: x, Handler: index.h, Runtime: nodejs24.x";
    for (resources, output, what) in [
        (
            "FUNCTION, Events: { Each: { Type: SelfManagedKafka } } } }",
            "!Ref FEach",
            "events of the type SelfManagedKafka",
        ),
        ("FUNCTION, Events: { Each: { Type: Schedule } } } }", "!Ref FEach", "missing property \"Schedule\""),
        ("FUNCTION, FunctionUrlConfig: { AuthType: IAM } } }", "!GetAtt FUrl.FunctionUrl", "needs an AuthType"),
        (
            "FUNCTION, CapacityProviderConfig: {} } }",
            "!Ref FCapacityProviderConfig",
            "the property CapacityProviderConfig",
        ),
        (
            "FUNCTION, AutoPublishAlias: live, DeploymentPreference: { Type: AllAtOnce } } }",
            "!Ref FDeploymentGroup",
            "DeploymentPreference is not supported yet",
        ),
        (
            "Api: { Type: AWS::Serverless::GraphQLApi, Properties: { Name: p } }",
            "!GetAtt Api.GraphQLUrl",
            "AWS::Serverless::GraphQLApi",
        ),
        (
            "Policy: { Type: AWS::Lambda::ResourcePolicy }",
            "!GetAtt Policy.ResourceArn",
            "\"AWS::Lambda::ResourcePolicy\" is not supported: it takes the place of all permissions",
        ),
    ] {
        let resources = resources.replace("FUNCTION", function);
        let text = format!(
            "Transform: AWS::Serverless-2016-10-31\nResources:\n  {resources}\nOutputs:\n  O:\n    Value: {output}\n"
        );
        let errors: Vec<Problem> = problems(&text, &[]).into_iter().filter(|problem| problem.rule.is_none()).collect();
        let [error] = errors.as_slice() else { panic!("{text}{errors:#?}") };
        assert!(error.what.contains(what), "{error:?}");
        // No supported type is similar.
        assert!(!error.help.as_ref().is_some_and(|help| help.contains("did you mean")), "{error:?}");
    }
}

#[test]
fn parts_that_the_cdk_adds_are_accepted() {
    let text = r#"{"Resources": {
        "Logs": {"Type": "AWS::Logs::LogGroup", "Properties": {"RetentionInDays": 1}},
        "CDKMetadata": {"Type": "AWS::CDK::Metadata", "Properties": {"Analytics": "v2:deflate64:x"}}},
    "Parameters": {"BootstrapVersion": {"Type": "AWS::SSM::Parameter::Value<String>",
        "Default": "/cdk-bootstrap/hnb659fds/version"}},
    "Rules": {"CheckBootstrapVersion": {"Assertions": [{"Assert": {"Fn::Not": [{"Fn::Contains": [["1", "2", "3", "4", "5"],
        {"Ref": "BootstrapVersion"}]}]}, "AssertDescription": "version 6 required"}]}}}"#;
    assert_eq!(shown(text), "");
    // Of another parameter that is looked up nobody knows the value here, and so not whether it keeps the rule.
    assert_eq!(shown(&text.replace("/cdk-bootstrap/", "/mine/")), "");
}

#[test]
fn a_choice_of_no_value_is_accepted() {
    let text = "Transform: AWS::Serverless-2016-10-31
Conditions: { Never: !Equals [a, b] }
Globals: { Function: { Tracing: !If [Never, Active, !Ref AWS::NoValue] } }
Resources:
  F:
    Type: AWS::Serverless::Function
    Properties: { InlineCode: x, Handler: index.h, Runtime: nodejs24.x }
";
    assert_eq!(shown(text), "");
}

#[test]
fn unsupported_parts_of_properties_are_reported_as_such() {
    let (from, to) = (
        "TableName: given\n",
        "TableName: given\n      WarmThroughput: { ReadUnitsPerSecond: 12000 }\n      PointInTimeRecoverySpecification: { RecoveryPeriodInDays: 3 }\n",
    );
    let found: Vec<String> = problems(&with(&[(from, to)]), &[]).into_iter().map(|problem| problem.what).collect();
    let not_yet = |property: &str| format!("{property} of AWS::DynamoDB::Table is not supported yet");
    let expected = ["WarmThroughput", "PointInTimeRecoverySpecification.RecoveryPeriodInDays"];
    assert_eq!(found, expected.map(not_yet));
}

/// The errors of a single resource, without those about its missing API or function.
fn errors_of_one(text: &str) -> Vec<Problem> {
    let alone = |problem: &Problem| problem.what.contains("must refer to");
    problems(text, &[]).into_iter().filter(|problem| problem.rule.is_none() && !alone(problem)).collect()
}

#[test]
fn properties_of_other_api_types_are_refused_with_the_reason() {
    let api = "Name: a, ProtocolType: WEBSOCKET, RouteSelectionExpression: $request.body.action";
    let describe = "describe AWS::ApiGatewayV2::Route and AWS::ApiGatewayV2::Integration resources instead";
    let imports = "API Gateway imports OpenAPI definitions as HTTP APIs only";
    let token = "remove it, and check the token in the authorizer's function";
    for (kind, properties, property, why, help) in [
        ("Api", api, "Body: {}", imports, describe),
        ("Api", api, "Target: t", "it belongs to quick create, which makes HTTP APIs only", describe),
        (
            "Api",
            api,
            "CorsConfiguration: {}",
            "it is for HTTP APIs, and browsers open WebSockets without CORS",
            "remove it, and check the Origin header in the function behind $connect",
        ),
        (
            "Authorizer",
            "ApiId: a, Name: n, AuthorizerType: REQUEST, AuthorizerUri: u",
            "JwtConfiguration: {}",
            "JWT authorizers are for HTTP APIs",
            token,
        ),
        (
            "Integration",
            "ApiId: a, IntegrationType: MOCK",
            "TlsConfig: {}",
            "it is for private integrations of HTTP APIs",
            "remove it",
        ),
        (
            "Route",
            "ApiId: a, RouteKey: k",
            "AuthorizationScopes: [s]",
            "scopes are for JWT authorizers, which only HTTP APIs have",
            "remove it, and check the scopes in the authorizer's function",
        ),
    ] {
        let text = format!(
            "Resources:\n  R: {{ Type: AWS::ApiGatewayV2::{kind}, Properties: {{ {properties}, {property} }} }}\n"
        );
        let name = property.split(':').next().unwrap();
        let what = format!("{name} of AWS::ApiGatewayV2::{kind} cannot be used: {why}");
        let errors = errors_of_one(&text);
        let [error] = errors.as_slice() else { panic!("{text}{errors:#?}") };
        assert_eq!((error.what.as_str(), error.help.as_deref()), (what.as_str(), Some(help)));
    }
}

#[test]
fn missing_required_properties_are_reported() {
    let table = "KeySchema: [{ AttributeName: id, KeyType: HASH }], AttributeDefinitions: [{ AttributeName: id, AttributeType: S }]";
    for (kind, properties, expected) in [
        (
            "Lambda::Function",
            "Handler: index.handler, Runtime: nodejs24.x, Role: arn:aws:iam::123456789012:role/r",
            &["missing property \"Code\" of AWS::Lambda::Function"][..],
        ),
        (
            "DynamoDB::Table",
            &format!("BillingMode: PAY_PER_REQUEST, SSESpecification: {{}}, {table}"),
            &["missing property \"SSEEnabled\" of SSESpecification"],
        ),
        ("Lambda::Alias", "Name: live, FunctionName: f, FunctionVersion: 1, RoutingConfig: {}", &[]),
    ] {
        let text = format!("Resources:\n  R: {{ Type: AWS::{kind}, Properties: {{ {properties} }} }}\n");
        let errors = errors_of_one(&text).into_iter();
        assert_eq!(errors.map(|problem| problem.what).collect::<Vec<_>>(), expected, "{text}");
    }
}

/// Templates cannot set properties that wschat adds itself.
#[test]
fn templates_cannot_set_wschats_own_properties() {
    for (kind, properties, what) in [
        (
            "Lambda::Version",
            "FunctionName: f, OwnershipMarker: m",
            "unknown property \"OwnershipMarker\" of AWS::Lambda::Version",
        ),
        (
            "ApiGatewayV2::Deployment",
            "ApiId: a, Freezes: []",
            "unknown property \"Freezes\" of AWS::ApiGatewayV2::Deployment",
        ),
        (
            "IAM::ManagedPolicy",
            "Tags: [], PolicyDocument: { Version: 2012-10-17, Statement: [{ Effect: Allow, Action: s3:GetObject, Resource: '*' }] }",
            "unknown property \"Tags\" of AWS::IAM::ManagedPolicy",
        ),
        (
            "DynamoDB::Table",
            "BillingMode: PAY_PER_REQUEST, KeySchema: [{ AttributeName: id, KeyType: HASH, AttributeType: S }], AttributeDefinitions: [{ AttributeName: id, AttributeType: S }]",
            "unknown property \"AttributeType\" of element 1 of KeySchema",
        ),
    ] {
        let text = format!("Resources:\n  R: {{ Type: AWS::{kind}, Properties: {{ {properties} }} }}\n");
        let errors: Vec<String> = errors_of_one(&text).into_iter().map(|problem| problem.what).collect();
        assert_eq!(errors, [what], "{text}");
    }
}

#[test]
fn attributes_are_those_of_cloudformation() {
    let arn = "arn:aws:execute-api:${AWS::Region}:${AWS::AccountId}:${Api}/live/POST/@connections/*";
    assert_eq!(shown(&with(&[(arn, "${Api.ExecuteApiArn}/live/POST/@connections/*")])), "");
    let output = |value: &str| with(&[("\nOutputs:\n", &format!("\nOutputs:\n  Made: {{ Value: {value} }}\n"))]);
    let one = |value: &str| problems(&output(value), &[]).pop().map(|problem| (problem.what, problem.help));
    let what = "the attribute Id of AWS::IAM::Policy is not supported yet".to_owned();
    assert_eq!(one("!GetAtt [Post, Id]"), Some((what, None)));
    let (what, help) = one("!GetAtt [Api, ExecuteApiArm]").unwrap();
    assert_eq!(what, "AWS::ApiGatewayV2::Api has no attribute \"ExecuteApiArm\"");
    assert_eq!(help.as_deref(), Some("did you mean \"ExecuteApiArn\"?"));
    let (what, help) = one("!Ref Api.ApiId").unwrap();
    assert_eq!(what, "there is no resource or parameter \"Api.ApiId\"");
    assert_eq!(help.as_deref(), Some("write !GetAtt Api.ApiId: an attribute is no part of !Ref"));
}

#[test]
fn a_permission_may_be_on_a_function_of_others() {
    let api = "  Api: { Type: AWS::ApiGatewayV2::Api, Properties: { Name: a, ProtocolType: WEBSOCKET, RouteSelectionExpression: $request.body.action } }\n";
    let function = "  F: { Type: AWS::Lambda::Function, Properties: { Code: code/, Handler: index.handler, Runtime: nodejs24.x, Role: arn:aws:iam::123456789012:role/r } }\n  V: { Type: AWS::Lambda::Version, Properties: { FunctionName: !Ref F } }\n";
    let of = |resources: &str, named: &str| {
        let source = if resources.contains("Api:") { "${Api}" } else { "abcdef1234" };
        format!(
            "Parameters:\n  Given: {{ Type: String, Default: \"arn:aws:lambda:us-east-1:123456789012:function:other\" }}\nResources:\n{resources}  May: {{ Type: AWS::Lambda::Permission, Properties: {{ Action: lambda:InvokeFunction, FunctionName: {named}, Principal: apigateway.amazonaws.com, SourceArn: !Sub \"arn:aws:execute-api:${{AWS::Region}}:${{AWS::AccountId}}:{source}/*\" }} }}\nOutputs:\n  Given: {{ Value: !Ref Given }}\n"
        )
    };
    let must = "FunctionName of AWS::Lambda::Permission must refer to an AWS::Lambda::Function or AWS::Lambda::Alias of this template";
    for (resources, named, help) in [
        (api, "!Ref Given", None),
        (api, "other", None),
        (api, "\"other:live\"", None),
        (api, "!Sub '123456789012:function:${Given}'", Some("")),
        (&format!("{api}{function}") as &str, "other", None),
        (&format!("{api}{function}"), "F", Some("write !Ref F: \"F\" is a logical id, not a name in AWS")),
        (&format!("{api}{function}"), "!Ref V", Some("")),
        (
            "",
            "other",
            Some(
                "\"other\" is none of them; a function of another stack can have permissions of this one only where this one has an AWS::ApiGatewayV2::Api, whose tags record them, and which does not wait for the permission",
            ),
        ),
    ] {
        let found = problems(&of(resources, named), &[]);
        let errors: Vec<&Problem> = found.iter().filter(|problem| problem.rule.is_none()).collect();
        match help {
            None => assert!(found.is_empty(), "{named}: {found:?}"),
            Some("") => assert_eq!(errors.len(), 1, "{named}: {errors:?}"),
            Some(help) => {
                assert_eq!(errors.len(), 1, "{errors:?}");
                assert_eq!((errors[0].what.as_str(), errors[0].help.as_deref()), (must, Some(help)));
            }
        }
    }
}

#[test]
fn what_the_services_refuse_of_sources_and_queues_is_an_error() {
    let errors = |extra: &str| {
        let text = SOUND.replace("  Deployment:\n    Type", &format!("{extra}  Deployment:\n    Type"));
        let found = problems(&text, &[]).into_iter().filter(|problem| problem.rule.is_none());
        found.map(|problem| format!("{}: {}", problem.path, problem.what)).collect::<Vec<_>>()
    };
    let mapping = |id: &str, source: &str| {
        format!(
            "  {id}:\n    Type: AWS::Lambda::EventSourceMapping\n    Properties: {{ FunctionName: !Ref Send, EventSourceArn: !GetAtt {source}, StartingPosition: LATEST }}\n"
        )
    };
    assert_eq!(
        errors(&mapping("FromRows", "Rows.StreamArn")),
        ["Resources/FromRows/Properties/EventSourceArn: the table Rows has no stream"]
    );
    let queue = "  Queue: { Type: AWS::SQS::Queue }\n";
    let twice = format!("{queue}{}{}", mapping("One", "Queue.Arn"), mapping("Two", "Queue.Arn"));
    assert_eq!(
        errors(&twice.replace(", StartingPosition: LATEST", "")),
        ["Resources/Two/Properties/EventSourceArn: One maps this source to this function already"]
    );
    let fifo = "  Fifo: { Type: AWS::SQS::Queue, Properties: { FifoQueue: true, RedrivePolicy: { deadLetterTargetArn: !GetAtt Queue.Arn, maxReceiveCount: 3 } } }\n";
    assert_eq!(
        errors(&format!("{queue}{fifo}")),
        [
            "Resources/Fifo/Properties/RedrivePolicy: Fifo is a FIFO queue, and its dead-letter queue Queue is a standard queue, which SQS refuses"
        ]
    );
    assert_eq!(errors(&format!("{queue}{}", fifo.replace("FifoQueue: true, ", ""))), [""; 0]);
}
