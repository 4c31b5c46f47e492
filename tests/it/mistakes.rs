//! Users' mistakes are all reported, with their position and the fix, before anything is changed.

use std::fs;
use std::io::Write;
use std::net::TcpListener;

use crate::common::inventory::same;
use crate::common::template::{self, Template};
use crate::common::{Cloud, Run, eventually};
use aws_sdk_dynamodb::types::Tag;
use aws_sdk_dynamodb::types::{AttributeDefinition, BillingMode, KeySchemaElement, KeyType, ScalarAttributeType};
use serde_json::json;

const TEMPLATE: &str = "\
Parameters:
  Size: { Type: Number, Default: 128, MaxValue: 1024 }
Resources:
  Api:
    Type: AWS::ApiGatewayV2::Api
    Properties:
      Name: !Ref AWS::StackName
      ProtocolType: WEBSOCKET
      RouteSelectionExpression: $request.body.action
  Connect:
    Type: AWS::ApiGatewayV2::Route
    Properties:
      ApiId: !Ref Api
      RouteKey: $connect
Outputs:
  Uri:
    Value: !Sub ${Api.ApiEndpoint}/live
";

/// `up` must fail with exactly this text on stderr, without a call to AWS.
fn refused(cloud: &Cloud, arguments: &[&str], stderr: &str) {
    let before = cloud.calls().len();
    let run = cloud.wschat(&[&["up", "--local", "--yes"], arguments].concat()).exits(1);
    assert_eq!(run.stderr, stderr);
    assert_eq!(run.stdout, "");
    assert_eq!(cloud.calls().len(), before, "it was asked");
}

#[test]
fn a_template_is_checked_before_the_first_call() {
    let cloud = Cloud::start().go();
    let mistakes = [
        (
            "RouteKey:",
            "RouteKye:",
            r#"error: unknown property "RouteKye" of AWS::ApiGatewayV2::Route
  --> template.yaml:14:7
   |
14 |       RouteKye: $connect
   |       ^^^^^^^^
   = help: did you mean "RouteKey"?

error: template.yaml has 1 error
"#,
        ),
        (
            "V2::Route",
            "V2::Rout",
            r#"error: resource type "AWS::ApiGatewayV2::Rout" is not supported
  --> template.yaml:11:11
   |
11 |     Type: AWS::ApiGatewayV2::Rout
   |           ^^^^^^^^^^^^^^^^^^^^^^^
   = help: did you mean "AWS::ApiGatewayV2::Route"?

error: template.yaml has 1 error
"#,
        ),
        (
            "!Sub",
            "!Subb",
            r#"error: unknown tag "!Subb"
  --> template.yaml:17:12
   |
17 |     Value: !Subb ${Api.ApiEndpoint}/live
   |            ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^
   = help: did you mean "Sub"?

error: template.yaml has 1 error
"#,
        ),
        (
            "ApiEndpoint",
            "Endpoint",
            r#"error: AWS::ApiGatewayV2::Api has no attribute "Endpoint"
  --> template.yaml:17:19
   |
17 |     Value: !Sub ${Api.Endpoint}/live
   |                   ^^^^^^^^^^^^
   = help: known here: ApiEndpoint, ApiId, ExecuteApiArn

error: template.yaml has 1 error
"#,
        ),
        (
            "ApiId: !Ref Api",
            "ApiId: !Ref Connection",
            r#"error: there is no resource or parameter "Connection"
  --> template.yaml:13:14
   |
13 |       ApiId: !Ref Connection
   |              ^^^^^^^^^^^^^^^
   = help: did you mean "Connect"?

error: template.yaml has 1 error
"#,
        ),
        (
            "WEBSOCKET",
            "WEBSOKET",
            r#"error: ProtocolType cannot be "WEBSOKET"
 --> template.yaml:8:21
  |
8 |       ProtocolType: WEBSOKET
  |                     ^^^^^^^^
  = help: did you mean "WEBSOCKET"?

error: template.yaml has 1 error
"#,
        ),
        (
            "Outputs",
            "Output",
            r#"error: unknown section "Output"
  --> template.yaml:15:1
   |
15 | Output:
   | ^^^^^^
   = help: did you mean "Outputs"?

error: template.yaml has 1 error
"#,
        ),
        (
            "Name: !Ref",
            "Name: [!Ref",
            r#"error: this is not YAML: a ":" where no key can be
 --> template.yaml:8:19
  |
8 |       ProtocolType: WEBSOCKET
  |                   ^
  = help: is a "[" or "{" before it not closed?

error: template.yaml has 1 error
"#,
        ),
    ];
    for (right, wrong, stderr) in mistakes {
        assert_eq!(TEMPLATE.matches(right).count(), 1, "{right}");
        fs::write(cloud.folder().join("template.yaml"), TEMPLATE.replace(right, wrong)).unwrap();
        refused(&cloud, &[], stderr);
    }
}

#[test]
fn parameters_and_files() {
    let cloud = Cloud::start().go();
    refused(
        &cloud,
        &[],
        "error: there is no template here (template.yaml, or one in templates/); name it with --template\n",
    );
    refused(
        &cloud,
        &["--template", "app.yaml"],
        "error: cannot read the template app.yaml: No such file or directory (os error 2)\n",
    );
    let lives = cloud.wschat(&["up", "--local", "--yes", "--stack", "9lives", "--template", "app.yaml"]).exits(64);
    assert!(lives.stderr.contains("letters, digits and hyphens, a letter first, at most 128 characters"));
    fs::write(cloud.folder().join("template.yaml"), TEMPLATE).unwrap();
    refused(
        &cloud,
        &["--parameter", "Sise=3"],
        "error: template.yaml: the template has no parameter \"Sise\"\n  did you mean \"Size\"?\n",
    );
    refused(
        &cloud,
        &["--parameter", "Colour=red"],
        "error: template.yaml: the template has no parameter \"Colour\"\n  known here: Size\n",
    );
    refused(
        &cloud,
        &["--parameter", "Size=2000"],
        r#"error: the parameter Size must be at most 1024, not "2000"
 --> template.yaml:2:3
  |
2 |   Size: { Type: Number, Default: 128, MaxValue: 1024 }
  |   ^^^^

error: template.yaml has 1 error
"#,
    );
}

/// Runs `up` against AWS itself; it fails before the first call.
fn up_on_aws(cloud: &Cloud, arguments: &[&str], variables: &[(&str, &str)]) -> Run {
    fs::write(cloud.folder().join("template.yaml"), TEMPLATE).unwrap();
    let variables = variables.iter().copied();
    cloud.begin_command(cloud.command(&[&["up", "--yes"], arguments].concat()).envs(variables)).end().exits(1)
}

#[test]
fn a_missing_region_or_credentials_are_reported_with_the_fix() {
    let cloud = Cloud::start().go();
    let run = up_on_aws(&cloud, &[], &[]);
    let stderr = format!(
        "error: no region is configured\n  give one with --region, AWS_REGION, or `region` in the profile; or add --local: there is a local cloud in {}\n",
        cloud.data().display()
    );
    assert_eq!(run.stderr, stderr);

    let run = up_on_aws(&cloud, &["--region", "eu-central-1"], &[]);
    assert!(run.stderr.starts_with("error: no AWS credentials: AWS_ACCESS_KEY_ID not set, "), "{}", run.stderr);
    assert!(run.stderr.ends_with(" or run with --local, which needs no account\n"), "{}", run.stderr);
}

#[test]
fn an_unreachable_endpoint_is_named() {
    let cloud = Cloud::start().go();
    let closed = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let keys = [("AWS_ACCESS_KEY_ID", "a"), ("AWS_SECRET_ACCESS_KEY", "b")];
    let endpoint = format!("http://{closed}");
    let run = up_on_aws(&cloud, &["--region", "eu-central-1", "--endpoint-url", &endpoint], &keys);
    let expected = format!("error: cannot connect to {endpoint} (--endpoint-url): Connection refused");
    assert!(run.stderr.starts_with(&expected), "{}", run.stderr);
}

#[tokio::test]
async fn a_name_that_is_taken_stops_the_run() {
    let cloud = Cloud::start().go();
    let mut template = template::echo(&cloud);
    template.set("Rows.TableName", json!("rows"));
    template.save(&cloud);
    let dynamodb = aws_sdk_dynamodb::Client::new(&cloud.sdk().await);
    let key = KeySchemaElement::builder().attribute_name("id").key_type(KeyType::Hash).build().unwrap();
    let attribute = AttributeDefinition::builder().attribute_name("id").attribute_type(ScalarAttributeType::S);
    let create = dynamodb.create_table().table_name("rows").key_schema(key).billing_mode(BillingMode::PayPerRequest);
    let table = create.attribute_definitions(attribute.build().unwrap()).send().await.unwrap();
    let active = async || cloud.inventory().await["table rows"]["description"]["TableStatus"] == "ACTIVE";
    eventually("the table is active", active).await;

    let owners = [(None, "an unknown owner (it has no wschat tags)"), (Some("shop"), "the wschat stack \"shop\"")];
    for (stack, owner) in owners {
        if let Some(stack) = stack {
            let arn = table.table_description().unwrap().table_arn().unwrap();
            let tag = Tag::builder().key("wschat:stack").value(stack).build().unwrap();
            dynamodb.tag_resource().resource_arn(arn).tags(tag).send().await.unwrap();
        }
        let before = cloud.inventory().await;
        let run = cloud.wschat(&["up", "--local", "--yes"]).exits(1);
        run.changes_nothing();
        let expected = format!(
            "error: AWS::DynamoDB::Table \"rows\" already exists and belongs to {owner}\n  give Rows another name, or remove that one yourself: wschat does not change resources of others\n"
        );
        assert!(run.stderr.ends_with(&expected), "{}", run.stderr);
        cloud.down().changes_nothing();
        same(&cloud.inventory().await, &before);
    }
}

#[test]
fn code_that_does_not_compile_is_reported_with_the_compilers_output() {
    let cloud = Cloud::start().go();
    let mut template = template::echo(&cloud);
    template.set("Echo.Code", json!("handler"));
    template.save(&cloud);
    let folder = cloud.folder().join("handler");
    fs::create_dir_all(folder.join("src")).unwrap();
    let manifest = "[package]\nname = \"wrong-handler\"\nversion = \"0.0.0\"\nedition = \"2024\"\n[workspace]\n";
    fs::write(folder.join("Cargo.toml"), manifest).unwrap();
    fs::write(folder.join("src/main.rs"), "fn main() {\n    let number: u8 = \"seven\";\n}\n").unwrap();
    let run = cloud.wschat(&["up", "--local", "--yes"]).exits(1);
    run.changes_nothing();
    for words in ["error[E0308]: mismatched types", "src/main.rs:2:22", "expected `u8`, found `&str`"] {
        assert!(run.stderr.contains(words), "no {words:?} in\n{}", run.stderr);
    }
    let last = run.stderr.lines().last().unwrap();
    assert!(last.starts_with("error: cannot compile the code of Echo: "), "{last}");
}

#[test]
fn code_that_cannot_run_is_rejected_before_the_upload() {
    let cloud = Cloud::start().go();
    let mut template = template::echo(&cloud);
    let path = cloud.folder().join("echo/bootstrap");
    let mut executable = fs::read(&path).unwrap();
    // ELF's e_machine: Arm's, where the function's architecture is x86_64.
    executable[18] = 183;
    fs::write(&path, &executable).unwrap();
    let aws = ["up", "--yes"];
    let run = cloud.through().run(&aws).run.exits(1);
    run.changes_nothing();
    let expected = "bootstrap cannot run: it was built for aarch64, but x86_64 is required\n";
    assert!(run.stderr.contains(expected), "{}", run.stderr);

    let mut zip = zip::ZipWriter::new(fs::File::create(cloud.folder().join("echo.zip")).unwrap());
    zip.start_file("bootstrap", zip::write::SimpleFileOptions::default().unix_permissions(0o755)).unwrap();
    zip.write_all(&executable).unwrap();
    zip.finish().unwrap();
    template.set("Echo.Code", json!("echo.zip"));
    template.save(&cloud);
    let run = cloud.through().run(&aws).run.exits(1);
    run.changes_nothing();
    assert!(run.stderr.contains("it was built for aarch64, but x86_64 is required"), "{}", run.stderr);

    // Here that function alone fails.
    if std::env::consts::ARCH == "x86_64" {
        let run = cloud.up();
        assert!(run.stderr.contains("cannot run on this machine, so the function fails here"), "{}", run.stderr);
    }
}

/// As `validate` does: with the place, for all functions at once, before AWS is asked anything.
#[test]
fn missing_code_is_shown_at_its_place() {
    let cloud = Cloud::start().go();
    let mut template = template::echo(&cloud);
    template.set("Echo.Code", json!("ecko"));
    template.save(&cloud);
    let mut runs = [&["up", "--local", "--yes"][..], &["plan", "--local"], &["validate"]].map(|line| {
        let before = cloud.calls().len();
        let run = cloud.wschat(line).exits(1);
        assert_eq!(cloud.calls().len(), before, "it was asked");
        run.stdout + &run.stderr
    });
    for said in &runs {
        assert!(said.starts_with("error: there is no folder ecko/\n"), "{said}");
        assert!(said.contains(" --> template.json:") && said.contains("= help: did you mean \"echo\"?"), "{said}");
    }
    runs.iter_mut().for_each(|said| said.truncate(said.rfind("\n\n").unwrap()));
    assert_eq!(runs[0], runs[2]);
    // Who looks at a stack needs no code.
    cloud.status().exits(3);
}

/// Sends one unsigned request to the cloud; returns the whole answer.
fn ask(cloud: &Cloud, method: &str, path: &str, body: &str) -> String {
    let mut stream = std::net::TcpStream::connect(("127.0.0.1", cloud.port())).unwrap();
    let length = body.len();
    write!(
        stream,
        "{method} {path} HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n{body}"
    )
    .unwrap();
    std::io::read_to_string(stream).unwrap()
}

#[test]
fn the_accounts_logging_role_is_checked_for_stages_that_log() {
    let logging = TEMPLATE.replace(
        "Outputs:\n",
        "  Stage:\n    Type: AWS::ApiGatewayV2::Stage\n    Properties: { ApiId: !Ref Api, StageName: live, AutoDeploy: true, DefaultRouteSettings: { LoggingLevel: INFO } }\nOutputs:\n",
    );
    let cloud = Cloud::start().go();
    let template = cloud.folder().join("template.yaml");
    let without_role = r#"{"patchOperations":[{"op":"replace","path":"/cloudwatchRoleArn","value":""}]}"#;
    assert!(ask(&cloud, "PATCH", "/account", without_role).starts_with("HTTP/1.1 200"));

    fs::write(&template, &logging).unwrap();
    for verb in [&["plan", "--local"][..], &["up", "--local", "--yes"]] {
        let run = cloud.wschat(verb).exits(1);
        run.changes_nothing();
        let why = "the stage Stage writes logs (DefaultRouteSettings.LoggingLevel), and API Gateway has no role to write them with";
        assert!(run.stderr.contains(why), "{}", run.stderr);
        assert!(run.stderr.contains("aws apigateway update-account --region us-east-1"), "{}", run.stderr);
    }
    // Without logging, there is no check.
    fs::write(&template, logging.replace("LoggingLevel: INFO", "DetailedMetricsEnabled: true")).unwrap();
    let quiet = cloud.up();
    assert!(quiet.calls.iter().all(|call| call.operation != "GetAccount"));

    let with_role = without_role.replace("\"\"", "\"arn:aws:iam::000000000000:role/logs\"");
    assert!(ask(&cloud, "PATCH", "/account", &with_role).contains("role/logs"));
    fs::write(&template, &logging).unwrap();
    let run = cloud.up();
    assert_eq!(run.calls.iter().filter(|call| call.operation == "GetAccount").count(), 1);
    assert_eq!(run.mutations(), ["apigatewayv2.UpdateStage"]);

    // An unchanged stage is not checked.
    assert!(ask(&cloud, "PATCH", "/account", without_role).starts_with("HTTP/1.1 200"));
    cloud.up().changes_nothing();
}

/// Two routes with the same key: the second create finds the first one's route. A run once looped on it and then reported
/// success.
#[test]
fn two_resources_with_the_same_identity_are_rejected_before_any_call() {
    let cloud = Cloud::start().go();
    let twice = "  Again:\n    Type: AWS::ApiGatewayV2::Route\n    Properties: { ApiId: !Ref Api, RouteKey: $connect }\nOutputs:\n";
    fs::write(cloud.folder().join("template.yaml"), TEMPLATE.replace("Outputs:\n", twice)).unwrap();
    refused(
        &cloud,
        &[],
        r#"error: Again has the RouteKey "$connect" already, in the same API
  --> template.yaml:14:17
   |
14 |       RouteKey: $connect
   |                 ^^^^^^^^
   = help: remove one of the two, or give them different ones

error: template.yaml has 1 error
"#,
    );
}

/// The account's role for logs is every stack's: set where there is none, left alone where it is another one, and gone with the
/// role that it is.
#[test]
fn the_account_s_role_for_logs_is_set_once_and_never_over_another() {
    let cloud = Cloud::start().conditions(template::SWIFT).go();
    template::echo_without_handler(&cloud);
    let mut template = Template::echo();
    template.set("Stage.DefaultRouteSettings", json!({"LoggingLevel": "INFO"}));
    template.0["Resources"]["LogRole"] = json!({"Type": "AWS::IAM::Role", "Properties": {
        "AssumeRolePolicyDocument": {"Version": "2012-10-17", "Statement": [
            {"Effect": "Allow", "Principal": {"Service": "apigateway.amazonaws.com"}, "Action": "sts:AssumeRole"}
        ]},
        "ManagedPolicyArns": ["arn:aws:iam::aws:policy/service-role/AmazonAPIGatewayPushToCloudWatchLogs"],
    }});
    template.0["Resources"]["Account"] = json!({
        "Type": "AWS::ApiGateway::Account", "Properties": {"CloudWatchRoleArn": {"Fn::GetAtt": ["LogRole", "Arn"]}},
    });
    template.save(&cloud);
    let account = || ask(&cloud, "GET", "/account", "");
    let others = r#"{"patchOperations":[{"op":"replace","path":"/cloudwatchRoleArn","value":"arn:aws:iam::000000000000:role/others"}]}"#;
    ask(&cloud, "PATCH", "/account", others);
    cloud.up();
    assert!(account().contains("role/others"), "{}", account());
    cloud.up().changes_nothing();
    cloud.down();
    assert!(account().contains("role/others"), "{}", account());

    ask(&cloud, "PATCH", "/account", &others.replace("arn:aws:iam::000000000000:role/others", ""));
    cloud.up();
    assert!(account().contains("role/app-LogRole-"), "{}", account());
    cloud.up().changes_nothing();
    cloud.down();
    assert!(!account().contains("role/"), "{}", account());
}

#[test]
fn a_function_with_a_retired_runtime_is_refused_before_anything_is_made() {
    const OLD: &str = "\
Resources:
  Log: { Type: AWS::Logs::LogGroup }
  Role:
    Type: AWS::IAM::Role
    Properties:
      AssumeRolePolicyDocument:
        Statement: [{ Effect: Allow, Principal: { Service: lambda.amazonaws.com }, Action: sts:AssumeRole }]
  Hello:
    Type: AWS::Lambda::Function
    Properties:
      Runtime: nodejs14.x
      Handler: index.handler
      Role: !GetAtt Role.Arn
      Code: { ZipFile: 'exports.handler = async () => 1' }
";
    let cloud = Cloud::start().go();
    fs::write(cloud.folder().join("template.yaml"), OLD).unwrap();
    for arguments in [&["up", "--local", "--yes"][..], &["plan", "--local"]] {
        let run = cloud.wschat(arguments).exits(1);
        let expected = "\
error: Lambda creates no functions with nodejs14.x since 2024-01-09
  --> template.yaml:11:16
   |
11 |       Runtime: nodejs14.x
   |                ^^^^^^^^^^
   = help: use nodejs24.x

error: template.yaml has 1 error
";
        assert!(run.stderr.ends_with(expected), "{}", run.stderr);
    }
    let made: Vec<String> = cloud
        .calls()
        .into_iter()
        .map(|call| call.operation.into_owned())
        .filter(|name| name.starts_with("Create"))
        .collect();
    assert_eq!(made, [] as [String; 0]);

    // SAM's function has it from elsewhere.
    const GLOBAL: &str = "\
Transform: AWS::Serverless-2016-10-31
Globals: { Function: { Runtime: nodejs12.x } }
Resources:
  Hello: { Type: AWS::Serverless::Function, Properties: { Handler: index.handler, InlineCode: 'exports.handler = 1' } }
";
    fs::write(cloud.folder().join("template.yaml"), GLOBAL).unwrap();
    let run = cloud.wschat(&["up", "--local", "--yes"]).exits(1);
    assert!(run.stderr.contains("nodejs12.x since 2023-03-31 (Hello)\n --> template.yaml:2:33"), "{}", run.stderr);

    // Where the local cloud takes it, so does the plan.
    let lenient = Cloud::start().conditions("[lenient]\nruntimes = true\n").go();
    fs::write(lenient.folder().join("template.yaml"), OLD).unwrap();
    lenient.wschat(&["plan", "--local"]).exits(2);
}
