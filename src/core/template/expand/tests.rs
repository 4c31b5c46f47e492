use serde_json::json;

use super::super::parse;
use super::*;
use crate::core::template::render::{Rendering, render};

fn expanded(text: &str, parameters: &[(&str, &str)]) -> Template {
    let parameters = parameters.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
    let context = Context { partition: "aws", region: "us-east-1", parameters: &parameters };
    let template = parse(text.as_bytes()).unwrap_or_else(|problems| panic!("{problems:?}"));
    expand(template, context)
}

/// Resources, properties and events that SAM knows and wschat does not expand yet are reported as such.
#[test]
fn what_is_not_supported_is_refused() {
    let text = "Transform: AWS::Serverless-2016-10-31
Conditions: { Here: !Equals [a, a] }
Resources:
  F:
    Type: AWS::Serverless::Function
    Condition: Here
    Properties:
      { InlineCode: x, Handler: h, Runtime: r, AutoPublishAlias: live, CapacityProviderConfig: { Arn: a }, Events: {
        Kafka: { Type: SelfManagedKafka },
        Route: { Type: HttpApi },
        Old: { Type: Api, Properties: { Path: /, Method: get, Auth: { ApiKeyRequired: true } } } } }
  C:
    Type: AWS::Serverless::Function
    Properties:
      { InlineCode: x, Handler: h, Runtime: r, AutoPublishAlias: live, DeploymentPreference: { Type: AllAtOnce } }
  G: { Type: AWS::Serverless::Application }
  H: { Type: AWS::Serverless::Functon }
  I: { Type: AWS::Serverless::Api, Properties: { StageName: s, Auth: { DefaultAuthorizer: A } } }
  J: { Type: AWS::Serverless::HttpApi, Properties: { DefinitionUri: api.yaml, Domain: {} } }
";
    let template = expanded(text, &[]);
    let problems = template.report(template.problems.clone());
    insta::assert_snapshot!(render(&problems, Rendering { file: "t.yaml", text, colour: false }), @r#"
    error: the property CapacityProviderConfig of AWS::Serverless::Function is not supported yet
     --> t.yaml:8:72
      |
    8 |       { InlineCode: x, Handler: h, Runtime: r, AutoPublishAlias: live, CapacityProviderConfig: { Arn: a }, Events: {
      |                                                                        ^^^^^^^^^^^^^^^^^^^^^^

    error: events of the type SelfManagedKafka of AWS::Serverless::Function are not supported yet
     --> t.yaml:9:24
      |
    9 |         Kafka: { Type: SelfManagedKafka },
      |                        ^^^^^^^^^^^^^^^^

    error: events of the type HttpApi of a function with a Condition are not supported yet
      --> t.yaml:10:9
       |
    10 |         Route: { Type: HttpApi },
       |         ^^^^^

    error: events of the type Api of a function with a Condition are not supported yet
      --> t.yaml:11:9
       |
    11 |         Old: { Type: Api, Properties: { Path: /, Method: get, Auth: { ApiKeyRequired: true } } } } }
       |         ^^^

    error: DeploymentPreference is not supported yet: it shifts traffic step by step with CodeDeploy, and wschat moves an alias at once
      --> t.yaml:15:72
       |
    15 |       { InlineCode: x, Handler: h, Runtime: r, AutoPublishAlias: live, DeploymentPreference: { Type: AllAtOnce } }
       |                                                                        ^^^^^^^^^^^^^^^^^^^^
       = help: leave it out, or set "Enabled: false" in it

    error: AWS::Serverless::Application is not supported yet
      --> t.yaml:16:14
       |
    16 |   G: { Type: AWS::Serverless::Application }
       |              ^^^^^^^^^^^^^^^^^^^^^^^^^^^^
       = help: it is a stack of its own: deploy its template with wschat, too

    error: SAM has no type AWS::Serverless::Functon
      --> t.yaml:17:14
       |
    17 |   H: { Type: AWS::Serverless::Functon }
       |              ^^^^^^^^^^^^^^^^^^^^^^^^
       = help: did you mean "AWS::Serverless::Function"?

    error: the DefaultAuthorizer 'A' was not defined in 'Authorizers'
      --> t.yaml:18:91
       |
    18 |   I: { Type: AWS::Serverless::Api, Properties: { StageName: s, Auth: { DefaultAuthorizer: A } } }
       |                                                                                           ^

    error: a DefinitionUri on this machine is not supported yet
      --> t.yaml:19:69
       |
    19 |   J: { Type: AWS::Serverless::HttpApi, Properties: { DefinitionUri: api.yaml, Domain: {} } }
       |                                                                     ^^^^^^^^
       = help: put the document into the template, as DefinitionBody

    error: the property Domain of AWS::Serverless::HttpApi is not supported yet
      --> t.yaml:19:79
       |
    19 |   J: { Type: AWS::Serverless::HttpApi, Properties: { DefinitionUri: api.yaml, Domain: {} } }
       |                                                                               ^^^^^^
    "#);
}

/// Two events that would make different resources of one name, of which SAM keeps the last; equal ones are shared.
#[test]
fn a_resource_is_made_once() {
    let queue = "DeadLetterConfig: { Type: SQS, QueueLogicalId: Letters }";
    let text = format!(
        "Transform: AWS::Serverless-2016-10-31
Resources:
  P: {{ Type: AWS::Cognito::UserPool }}
  Q: {{ Type: AWS::Cognito::UserPool }}
  F:
    Type: AWS::Serverless::Function
    Properties:
      InlineCode: x
      Handler: h
      Runtime: r
      Events:
        A: {{ Type: Schedule, Properties: {{ Schedule: s, {queue} }} }}
        B: {{ Type: Schedule, Properties: {{ Schedule: s, {queue} }} }}
        C: {{ Type: Cognito, Properties: {{ UserPool: !Ref P, Trigger: PreSignUp }} }}
        D: {{ Type: Cognito, Properties: {{ UserPool: !Ref Q, Trigger: PreSignUp }} }}
"
    );
    let template = expanded(&text, &[]);
    let problems = template.report(template.problems.clone());
    insta::assert_snapshot!(render(&problems, Rendering { file: "t.yaml", text: &text, colour: false }), @r"
    error: SAM makes a resource FCognitoPermission of this, and there is one of that name
     --> t.yaml:5:3
      |
    5 |   F:
      |   ^
    ");
}

/// A destination under the function's condition and one of its own: CloudFormation takes the condition that holds where
/// both do. (That of the translator has a map for a name.)
#[test]
fn two_conditions_become_one() {
    let text = "Transform: AWS::Serverless-2016-10-31
Conditions: { Here: !Equals [a, a], There: !Equals [a, b] }
Resources:
  F:
    Type: AWS::Serverless::Function
    Condition: Here
    Properties:
      InlineCode: x
      Handler: h
      Runtime: r
      EventInvokeConfig:
        DestinationConfig: { OnFailure: { Type: SQS, Destination: !If [There, !Ref AWS::NoValue, arn] } }
";
    let template = expanded(text, &[]);
    assert_eq!(template.problems, []);
    let name = template.resources["FEventInvokeConfigOnFailureQueue"].condition.as_deref().unwrap();
    assert!(name.starts_with("HereANDThere"), "{name}");
    assert_eq!(template.conditions[name], json!({ "Fn::And": [{ "Condition": "Here" }, { "Condition": "There" }] }));
}

/// What the translator drops or ignores silently, where it can only be a mistake.
#[test]
fn mistakes_that_sam_ignores_are_refused() {
    let text = "Transform: AWS::Serverless-2016-10-31
Resources:
  Chat:
    Type: AWS::Serverless::WebSocketApi
    Condition: Here
    Properties:
      RouteSelectionExpression: $request.body.action
      Routes:
        ping: { FunctionArn: f, IntegrationTimout: 5 }
        Ping: { FunctionArn: f }
  F:
    Type: AWS::Serverless::Function
    Properties: { InlineCode: x, Handler: h, Runtime: r, Tags: !If [Here, { a: b }, { c: d }] }
";
    let template = expanded(text, &[]);
    let problems = template.report(template.problems.clone());
    insta::assert_snapshot!(render(&problems, Rendering { file: "t.yaml", text, colour: false }), @r#"
    error: SAM ignores the Condition of AWS::Serverless::WebSocketApi
     --> t.yaml:5:5
      |
    5 |     Condition: Here
      |     ^^^^^^^^^

    error: unknown property "IntegrationTimout" of a route
     --> t.yaml:9:33
      |
    9 |         ping: { FunctionArn: f, IntegrationTimout: 5 }
      |                                 ^^^^^^^^^^^^^^^^^
      = help: did you mean "IntegrationTimeout"?

    error: SAM cannot distinguish the route "Ping" from one that differs only in case
      --> t.yaml:10:9
       |
    10 |         Ping: { FunctionArn: f }
       |         ^^^^

    error: Tags must be a map of keys and values; an intrinsic function is not supported here
      --> t.yaml:13:58
       |
    13 |     Properties: { InlineCode: x, Handler: h, Runtime: r, Tags: !If [Here, { a: b }, { c: d }] }
       |                                                          ^^^^
    "#);
}

/// Short texts that expand without end.
#[test]
fn hostile_templates_end_soon() {
    let function = "{ Type: AWS::Serverless::Function, Properties: { InlineCode: x, Handler: h, Runtime: r } }\n";
    let many: String = (0..1500).map(|number| format!("  F{number}: {function}")).collect();
    let large = "x".repeat(100_000);
    let text = format!(
        "Transform: AWS::Serverless-2016-10-31\nGlobals: {{ Function: {{ Description: {large} }} }}\nResources:\n{many}"
    );
    let template = expanded(&text, &[]);
    let problems: Vec<&str> = template.problems.iter().map(|problem| problem.what.as_str()).collect();
    assert_eq!(problems, ["Globals for Function are too large to be repeated in 1500 resources"]);

    let references = vec!["!Ref Own, !Ref Large"; 10_000].join(", ");
    let text = format!(
        "Transform: AWS::Serverless-2016-10-31
Parameters:
  Own: {{ Type: String, Default: {{ a: !Ref Own, b: !Ref Own }} }}
  Large: {{ Type: String, Default: {large} }}
Resources:
  F:
    Type: AWS::Serverless::Function
    Properties: {{ InlineCode: !Join [\"\", [{references}]], Handler: h, Runtime: r, AutoPublishAlias: live }}
"
    );
    let template = expanded(&text, &[]);
    let code = &template.resources["F"].properties["Code"]["ZipFile"]["Fn::Join"][1];
    assert_eq!((&code[0], &code[1]), (&json!({ "Ref": "Own" }), &json!({ "Ref": "Large" })));
}

/// A problem in a generated resource is shown where the user wrote its source.
#[test]
fn problems_in_created_resources_are_shown_at_their_source() {
    let text = "Transform: AWS::Serverless-2016-10-31
Globals:
  Function: { Tags: { a: b }, Layers: [one], Environment: { Variables: { A: 1 } } }
Resources:
  F:
    Type: AWS::Serverless::Function
    Properties:
      CodeUri: src
      Handler: h
      Runtime: r
      AutoPublishAlias: live
      VersionDescription: v
      Tracing: Active
      DeadLetterQueue: { Type: SQS, TargetArn: q }
      Layers: [two]
      Tags: { c: d }
      PermissionsBoundary: p
      Policies: [x, { Statement: [] }, { S3ReadPolicy: { BucketName: b } }]
  T:
    Type: AWS::Serverless::SimpleTable
    Properties: { PrimaryKey: { Name: id, Type: String }, Tags: { e: f } }
";
    let template = expanded(text, &[]);
    assert_eq!(template.problems, []);
    let version = template.resources.keys().find(|id| id.starts_with("FVersion")).unwrap();
    let made = [
        "F/Properties/Code",
        "F/Properties/Tags/0",
        "F/Properties/Tags/1/Value",
        "F/Properties/Tags/2",
        "F/Properties/Layers/0",
        "F/Properties/Layers/1",
        "F/Properties/Environment/Variables/A",
        "F/Properties/TracingConfig/Mode",
        "F/Properties/DeadLetterConfig/TargetArn",
        "FRole",
        "FRole/Properties/PermissionsBoundary",
        "FRole/Properties/ManagedPolicyArns/2",
        "FRole/Properties/Policies/0",
        "FRole/Properties/Policies/1/PolicyDocument/Statement",
        "FRole/Properties/Policies/2/PolicyDocument/Statement/0",
        "FRole/Properties/Tags/2",
        "FAliaslive/Properties/Name",
        &format!("{version}/Properties/Description"),
        "T/Properties/KeySchema/0/AttributeName",
        "T/Properties/Tags/0",
    ];
    let lines = made.map(|place| {
        let path = place.split('/').fold(Path::default().key("Resources"), |path, step| match step.parse() {
            Ok(index) => path.index(index),
            Err(_) => path.key(step),
        });
        assert!(template.resources.contains_key(place.split('/').next().unwrap()), "{place}");
        format!("{place} <- {}", template.origins.trace(&path))
    });
    let lines = lines.join("\n").replace(version, "FVersion");
    insta::assert_snapshot!(lines, @r"
    F/Properties/Code <- Resources/F/Properties/CodeUri
    F/Properties/Tags/0 <- Resources/F/Properties/Tags/lambda:createdBy
    F/Properties/Tags/1/Value <- Globals/Function/Tags/a/Value
    F/Properties/Tags/2 <- Resources/F/Properties/Tags/c
    F/Properties/Layers/0 <- Globals/Function/Layers/0
    F/Properties/Layers/1 <- Resources/F/Properties/Layers/0
    F/Properties/Environment/Variables/A <- Globals/Function/Environment/Variables/A
    F/Properties/TracingConfig/Mode <- Resources/F/Properties/Tracing
    F/Properties/DeadLetterConfig/TargetArn <- Resources/F/Properties/DeadLetterQueue/TargetArn
    FRole <- Resources/F
    FRole/Properties/PermissionsBoundary <- Resources/F/Properties/PermissionsBoundary
    FRole/Properties/ManagedPolicyArns/2 <- Resources/F/Properties/Policies/0
    FRole/Properties/Policies/0 <- Resources/F/Properties/DeadLetterQueue
    FRole/Properties/Policies/1/PolicyDocument/Statement <- Resources/F/Properties/Policies/1/Statement
    FRole/Properties/Policies/2/PolicyDocument/Statement/0 <- Resources/F/Properties/Policies/2/Statement/0
    FRole/Properties/Tags/2 <- Resources/F/Properties/Tags/c
    FAliaslive/Properties/Name <- Resources/F/Properties/AutoPublishAlias/Properties/Name
    FVersion/Properties/Description <- Resources/F/Properties/VersionDescription
    T/Properties/KeySchema/0/AttributeName <- Resources/T/Properties/PrimaryKey/Name
    T/Properties/Tags/0 <- Resources/T/Properties/Tags/e
    ");
}

/// The same of what events become.
#[test]
fn problems_in_what_events_become_are_shown_at_the_event() {
    let text = "Transform: AWS::Serverless-2016-10-31
Resources:
  B: { Type: AWS::S3::Bucket }
  F:
    Type: AWS::Serverless::Function
    Properties:
      InlineCode: x
      Handler: h
      Runtime: r
      EventInvokeConfig: { MaximumRetryAttempts: 1, DestinationConfig: { OnFailure: { Type: SQS } } }
      FunctionUrlConfig: { AuthType: NONE }
      Events:
        Queue: { Type: SQS, Properties: { Queue: q, BatchSize: 5 } }
        Beat: { Type: Schedule, Properties: { Schedule: s, Input: i } }
        Bucket: { Type: S3, Properties: { Bucket: !Ref B, Events: e } }
        Route: { Type: HttpApi, Properties: { Path: /, Method: GET } }
  L: { Type: AWS::Serverless::LayerVersion, Properties: { ContentUri: c, Description: d } }
  M: { Type: AWS::Serverless::StateMachine, Properties: { DefinitionUri: d, Type: EXPRESS } }
";
    let template = expanded(text, &[]);
    assert_eq!(template.problems, []);
    let layer = template.resources.keys().find(|id| id.starts_with('L')).unwrap();
    let made = [
        "FQueue",
        "FQueue/Properties/BatchSize",
        "FQueue/Properties/EventSourceArn",
        "FRole/Properties/ManagedPolicyArns/1",
        "FRole/Properties/Policies/0",
        "FBeat/Properties/ScheduleExpression",
        "FBeat/Properties/Targets/0/Input",
        "FBeatPermission",
        "B/Properties/NotificationConfiguration/LambdaConfigurations/0/Event",
        "FUrl/Properties/AuthType",
        "FEventInvokeConfig/Properties/MaximumRetryAttempts",
        "FEventInvokeConfigOnFailureQueue",
        "ServerlessHttpApi/Properties/Body",
        "ServerlessHttpApiApiGatewayDefaultStage",
        &format!("{layer}/Properties/Description"),
        &format!("{layer}/Properties/Content"),
        "M/Properties/DefinitionS3Location",
        "M/Properties/StateMachineType",
    ];
    let lines = made.map(|place| {
        let path = place.split('/').fold(Path::default().key("Resources"), |path, step| match step.parse() {
            Ok(index) => path.index(index),
            Err(_) => path.key(step),
        });
        assert!(template.resources.contains_key(place.split('/').next().unwrap()), "{place}");
        format!("{place} <- {}", template.origins.trace(&path))
    });
    insta::assert_snapshot!(lines.join("\n").replace(layer, "LHASH"), @r"
    FQueue <- Resources/F/Properties/Events/Queue
    FQueue/Properties/BatchSize <- Resources/F/Properties/Events/Queue/Properties/BatchSize
    FQueue/Properties/EventSourceArn <- Resources/F/Properties/Events/Queue/Properties/Queue
    FRole/Properties/ManagedPolicyArns/1 <- Resources/F/Properties/Events/Queue
    FRole/Properties/Policies/0 <- Resources/F/Properties/EventInvokeConfig
    FBeat/Properties/ScheduleExpression <- Resources/F/Properties/Events/Beat/Properties/Schedule
    FBeat/Properties/Targets/0/Input <- Resources/F/Properties/Events/Beat/Properties/Input
    FBeatPermission <- Resources/F/Properties/Events/Beat
    B/Properties/NotificationConfiguration/LambdaConfigurations/0/Event <- Resources/F/Properties/Events/Bucket/Properties/Event
    FUrl/Properties/AuthType <- Resources/F/Properties/FunctionUrlConfig/AuthType
    FEventInvokeConfig/Properties/MaximumRetryAttempts <- Resources/F/Properties/EventInvokeConfig/MaximumRetryAttempts
    FEventInvokeConfigOnFailureQueue <- Resources/F/Properties/EventInvokeConfig
    ServerlessHttpApi/Properties/Body <- Resources/F/Properties/Events/Route/Properties/DefinitionBody
    ServerlessHttpApiApiGatewayDefaultStage <- Resources/F/Properties/Events/Route
    LHASH/Properties/Description <- Resources/L/Properties/Description
    LHASH/Properties/Content <- Resources/L/Properties/ContentUri
    M/Properties/DefinitionS3Location <- Resources/M/Properties/DefinitionUri
    M/Properties/StateMachineType <- Resources/M/Properties/Type
    ");
}

#[test]
fn sam_must_be_asked_for() {
    let text = "Globals: {}\nResources:\n  F: { Type: AWS::Serverless::Function, Properties: {} }\n";
    let template = expanded(text, &[]);
    let problems = template.report(template.problems.clone());
    let shown = render(&problems, Rendering { file: "t.yaml", text, colour: false });
    insta::assert_snapshot!(shown, @r#"
    error: Globals need SAM
     --> t.yaml:1:1
      |
    1 | Globals: {}
      | ^^^^^^^
      = help: add "Transform: AWS::Serverless-2016-10-31"

    error: AWS::Serverless::Function needs SAM
     --> t.yaml:3:14
      |
    3 |   F: { Type: AWS::Serverless::Function, Properties: {} }
      |              ^^^^^^^^^^^^^^^^^^^^^^^^^
      = help: add "Transform: AWS::Serverless-2016-10-31"
    "#);
}
