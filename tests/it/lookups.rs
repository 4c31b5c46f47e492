//! What templates look up outside of themselves: exports of other stacks, parameters of SSM, secrets; and the stacks of a CDK app.

use std::fs;

use serde_json::{Value, json};

use crate::common::client::Client;
use crate::common::inventory::{Inventory, same};
use crate::common::{Cloud, Run, repository};

const DATA: &str = "
Resources:
  Table:
    Type: AWS::DynamoDB::Table
    Properties:
      BillingMode: PAY_PER_REQUEST
      AttributeDefinitions: [{AttributeName: id, AttributeType: S}]
      KeySchema: [{AttributeName: id, KeyType: HASH}]
Outputs:
  Name: {Value: !Ref Table, Export: {Name: platform-table}}
  Words: {Value: 'a, b*', Export: {Name: !Join ['-', [platform, words]]}}
";

const SOCKET: &str = "
Parameters:
  Platform: {Type: String, Default: platform}
Resources:
  Log:
    Type: AWS::Logs::LogGroup
    Properties:
      LogGroupName: !Sub ['/${Table}', {Table: {'Fn::ImportValue': !Sub '${Platform}-table'}}]
      RetentionInDays: 7
Outputs:
  Table: {Value: !ImportValue platform-table}
  Words: {Value: !ImportValue platform-words}
  Log: {Value: !Ref Log}
";

fn parameter(cloud: &Cloud, name: &str, value: &str, kind: &str) {
    let input = json!({"Name": name, "Value": value, "Type": kind, "Overwrite": true});
    cloud.json_call("ssm", "AmazonSSM.PutParameter", &input);
}

fn up(cloud: &Cloud, stack: &str) -> Run {
    cloud.wschat(&["up", "--local", "--yes", "--stack", stack, "--template", &format!("{stack}.yaml")])
}

fn outputs(cloud: &Cloud, stack: &str) -> Value {
    let template = format!("{stack}.yaml");
    let run = cloud.wschat(&["outputs", "--json", "--local", "--stack", stack, "--template", &template]).ok();
    serde_json::from_str::<Value>(&run.stdout).unwrap()["outputs"].clone()
}

#[test]
fn a_stack_imports_what_another_exports() {
    let cloud = Cloud::start().go();
    let write = |stack: &str, text: &str| fs::write(cloud.folder().join(format!("{stack}.yaml")), text).unwrap();
    write("data", DATA);
    write("socket", SOCKET);
    let early = up(&cloud, "socket").exits(1).stderr;
    assert!(early.contains("no stack in account 000000000000 (us-east-1) exports \"platform-table\""), "{early}");
    assert!(early.contains("socket.yaml:8:"), "{early}");

    up(&cloud, "data").ok();
    up(&cloud, "data").ok().changes_nothing();
    up(&cloud, "socket").ok();
    up(&cloud, "socket").ok().changes_nothing();
    let table = outputs(&cloud, "data")["Name"].clone();
    let found = outputs(&cloud, "socket");
    assert_eq!((&found["Table"], &found["Words"]), (&table, &json!("a, b*")));
    assert_eq!(found["Log"], format!("/{}", table.as_str().unwrap()));
    // The records are no drift.
    cloud.wschat(&["status", "--local", "--stack", "data", "--template", "data.yaml"]).ok();

    write("other", DATA);
    up(&cloud, "other").ok();
    let twice = up(&cloud, "socket").exits(1).stderr;
    let expected =
        "\"platform-table\" is exported more than once: by the wschat stack \"data\" and by the wschat stack \"other\"";
    assert!(twice.contains(expected), "{twice}");
    cloud.wschat(&["down", "--local", "--yes", "--stack", "other"]).ok();
    up(&cloud, "socket").ok().changes_nothing();

    // What is not exported any more is taken back.
    cloud.wschat(&["down", "--local", "--yes", "--stack", "socket"]).ok();
    write("data", &DATA.replace("platform-table", "platform-tables"));
    let plan = cloud.wschat(&["plan", "--local", "--stack", "data", "--template", "data.yaml"]).exits(2);
    assert!(plan.stderr.contains("Exports: - platform-table, + platform-tables"), "{}", plan.stderr);
    let renamed = up(&cloud, "data").ok();
    assert_eq!(renamed.mutations(), ["dynamodb.TagResource", "dynamodb.UntagResource"], "{}", renamed.stderr);
    let gone = up(&cloud, "socket").exits(1).stderr;
    assert!(gone.contains("exports \"platform-table\""), "{gone}");
}

#[test]
fn an_export_that_another_stack_imports_is_guarded() {
    let cloud = Cloud::start().go();
    let write = |stack: &str, text: &str| fs::write(cloud.folder().join(format!("{stack}.yaml")), text).unwrap();
    write("data", DATA);
    write("socket", SOCKET);
    up(&cloud, "data").ok();
    up(&cloud, "socket").ok();
    let guarded = |run: Run, how: &str| {
        let expected = format!("the export platform-{how}, and the wschat stack \"socket\" imports it");
        assert!(run.mutations().is_empty(), "{:?}", run.mutations());
        assert!(run.stderr.contains(&expected), "{}", run.stderr);
    };
    write("data", &DATA.replace("platform-table", "platform-tables"));
    guarded(up(&cloud, "data").exits(1), "table would go");
    guarded(
        cloud.wschat(&["plan", "--local", "--stack", "data", "--template", "data.yaml"]).exits(1),
        "table would go",
    );
    write("data", &DATA.replace("a, b*", "other"));
    guarded(up(&cloud, "data").exits(1), "words would change");
    let down = |stack: &str| cloud.wschat(&["down", "--local", "--yes", "--stack", stack]);
    guarded(down("data").exits(1), "table would go");
    // What no stack imports any more may change.
    let own = "Resources:\n  Own: {Type: AWS::Logs::LogGroup, Properties: {LogGroupName: /own}}\n";
    write("socket", own);
    cloud.wschat(&["up", "--local", "--yes", "--stack", "socket", "--template", "socket.yaml", "--replace-stack"]).ok();
    up(&cloud, "data").ok();
    down("data").ok();
    down("socket").ok();
}

#[test]
fn what_is_retained_exports_nothing_any_more() {
    let cloud = Cloud::start().go();
    let retained = DATA.replace("Type: AWS::DynamoDB::Table", "Type: AWS::DynamoDB::Table\n    DeletionPolicy: Retain");
    fs::write(cloud.folder().join("data.yaml"), retained).unwrap();
    fs::write(cloud.folder().join("socket.yaml"), SOCKET).unwrap();
    up(&cloud, "data").ok();
    up(&cloud, "socket").ok();
    cloud.wschat(&["down", "--local", "--yes", "--stack", "socket"]).ok();
    let down = cloud.wschat(&["down", "--local", "--yes", "--stack", "data"]).ok();
    assert!(down.stderr.contains("stays: its deletion policy is Retain"), "{}", down.stderr);
    let gone = up(&cloud, "socket").exits(1).stderr;
    assert!(gone.contains("exports \"platform-table\""), "{gone}");
}

#[test]
fn what_cannot_be_exported_is_said() {
    let cloud = Cloud::start().go();
    let export = |value: &str, name: &str| {
        let text = format!(
            "Parameters:\n  Token: {{Type: String, NoEcho: true, Default: s3cret}}\nResources:\n  Role:\n    Type: AWS::IAM::Role\n    Properties:\n      \
             AssumeRolePolicyDocument: {{Version: '2012-10-17', Statement: {{Effect: Allow, Principal: {{Service: lambda.amazonaws.com}}, Action: sts:AssumeRole}}}}\n\
             Outputs:\n  Out: {{Value: {value}, Export: {{Name: {name}}}}}\n"
        );
        fs::write(cloud.folder().join("data.yaml"), text).unwrap();
        up(&cloud, "data").exits(1).stderr
    };
    let secret = export("!Ref Token", "x");
    assert!(
        secret.contains("an export of a secret would be written into a tag") && !secret.contains("s3cret"),
        "{secret}"
    );
    assert!(export("text", "a/b").contains("\"a/b\" cannot be the name of an export"));
    let nowhere = export("text", "x");
    assert!(!nowhere.contains("created"), "{nowhere}");
    assert!(
        nowhere.contains("exports are recorded in tags of an API, a function, a table or a log group"),
        "{nowhere}"
    );
}

const SECRETS: &str = "
Parameters:
  Origin: {Type: 'AWS::SSM::Parameter::Value<String>', Default: /chat/origin, AllowedPattern: '/.*'}
  Zones: {Type: 'AWS::SSM::Parameter::Value<List<String>>', Default: /chat/zones}
  Days: {Type: 'AWS::SSM::Parameter::Value<String>', Default: /chat/days}
Conditions:
  Wide: !Equals [!Ref Origin, 'https://chat.example']
Resources:
  Log:
    Type: AWS::Logs::LogGroup
    Properties: {RetentionInDays: !Ref Days}
  Secret:
    Type: AWS::SecretsManager::Secret
    Properties: {GenerateSecretString: {PasswordLength: 40, ExcludePunctuation: true}}
  Role:
    Type: AWS::IAM::Role
    Properties:
      AssumeRolePolicyDocument:
        Version: '2012-10-17'
        Statement: {Effect: Allow, Principal: {Service: lambda.amazonaws.com}, Action: sts:AssumeRole}
  Chat:
    Type: AWS::Lambda::Function
    Properties:
      Runtime: nodejs22.x
      Handler: index.handler
      Role: !GetAtt Role.Arn
      MemorySize: '{{resolve:ssm:/chat/memory}}'
      Code: {ZipFile: 'exports.handler = async () => ({})'}
      Environment:
        Variables:
          ORIGIN: !Ref Origin
          FIRST: !Select [0, !Ref Zones]
          WIDE: !If [Wide, 'yes', 'no']
          TOKEN: 'Bearer {{resolve:ssm-secure:/chat/token:1}}'
          PASSWORD: '{{resolve:secretsmanager:outside:SecretString:password}}'
          OWN: !Sub '{{resolve:secretsmanager:${Secret}}}'
Outputs:
  Origin: {Value: !Ref Origin}
  Token: {Value: '{{resolve:ssm-secure:/chat/token:1}}'}
";

#[tokio::test]
async fn parameters_and_secrets_are_read_and_never_shown() {
    let cloud = Cloud::start().go();
    fs::write(cloud.folder().join("chat.yaml"), SECRETS).unwrap();
    let missing = up(&cloud, "chat").exits(1).stderr;
    for words in [
        "chat.yaml:3:3",
        "there is no SSM parameter \"/chat/origin\" in us-east-1",
        "aws ssm put-parameter --name /chat/origin --type String --value VALUE --region us-east-1",
    ] {
        assert!(missing.contains(words), "{missing}");
    }
    for (name, value, kind) in [
        ("/chat/origin", "https://chat.example", "String"),
        ("/chat/zones", "one,two", "StringList"),
        ("/chat/days", "14", "String"),
        ("/chat/memory", "256", "String"),
        ("/chat/token", "hush-hush", "SecureString"),
        ("/chat/token", "newer-token", "SecureString"),
    ] {
        parameter(&cloud, name, value, kind);
    }
    let missing = up(&cloud, "chat").exits(1).stderr;
    assert!(missing.contains("there is no value of the secret \"outside\""), "{missing}");
    let secret = json!({"Name": "outside", "SecretString": "{\"password\": \"swordfish\"}"});
    cloud.json_call("secretsmanager", "secretsmanager.CreateSecret", &secret);

    let plan = cloud.wschat(&["plan", "--json", "--local", "--stack", "chat", "--template", "chat.yaml"]);
    let first = up(&cloud, "chat").ok();
    let lambda = aws_sdk_lambda::Client::new(&cloud.sdk().await);
    let functions = lambda.list_functions().send().await.unwrap();
    let function = &functions.functions()[0];
    let variables = function.environment().unwrap().variables().unwrap().clone();
    for (name, expected) in [
        ("ORIGIN", "https://chat.example"),
        ("FIRST", "one"),
        ("WIDE", "yes"),
        ("TOKEN", "Bearer hush-hush"),
        ("PASSWORD", "swordfish"),
    ] {
        assert_eq!(variables[name], expected, "{name}");
    }
    assert_eq!(function.memory_size(), Some(256));
    let own = &variables["OWN"];
    assert!(own.len() == 40 && own.chars().all(|c| c.is_ascii_alphanumeric()), "{own}");

    let again = up(&cloud, "chat").ok();
    again.changes_nothing();
    let status = cloud.wschat(&["status", "--json", "--local", "--stack", "chat", "--template", "chat.yaml"]).ok();
    // A secret that was changed reaches the function, and is not shown either.
    let changed = json!({"SecretId": "outside", "SecretString": "{\"password\": \"butterfly\"}"});
    cloud.json_call("secretsmanager", "secretsmanager.PutSecretValue", &changed);
    let replan = cloud.wschat(&["plan", "--json", "--local", "--stack", "chat", "--template", "chat.yaml"]);
    let update = up(&cloud, "chat").ok();
    assert_eq!(update.mutations(), ["lambda.UpdateFunctionConfiguration"]);
    for run in [&plan, &first, &again, &status, &replan, &update] {
        let shown = format!("{}{}", run.stdout, run.stderr);
        for secret in ["hush-hush", "newer-token", "swordfish", "butterfly", own] {
            assert!(!shown.contains(secret), "{secret} in {shown}");
        }
    }
    assert!(first.stderr.contains("Origin = https://chat.example"), "{}", first.stderr);
    // Nothing of it is kept beside the template.
    let toml = fs::read_to_string(cloud.folder().join("wschat.toml")).unwrap_or_default();
    assert!(!toml.contains("chat.example") && !toml.contains("hush"), "{toml}");

    let policy = cloud.wschat(&["policy", "--local", "--stack", "chat", "--template", "chat.yaml"]).ok().stdout;
    for words in [
        "ssm:GetParameters",
        "arn:aws:ssm:us-east-1:000000000000:parameter/chat/token",
        "secretsmanager:GetSecretValue",
        "arn:aws:secretsmanager:us-east-1:000000000000:secret:outside-??????",
    ] {
        assert!(policy.contains(words), "{words} in {policy}");
    }
}

const OWN: &str = "
Resources:
  Origin:
    Type: AWS::SSM::Parameter
    Properties: {Name: /chat/own, Type: String, Value: first}
  Secret:
    Type: AWS::SecretsManager::Secret
    Properties: {SecretString: hush-hush}
  Jobs:
    Type: AWS::SQS::Queue
    Properties: {VisibilityTimeout: 60}
  Role:
    Type: AWS::IAM::Role
    Properties:
      AssumeRolePolicyDocument:
        Version: '2012-10-17'
        Statement: {Effect: Allow, Principal: {Service: lambda.amazonaws.com}, Action: sts:AssumeRole}
  Chat:
    Type: AWS::Lambda::Function
    Properties:
      FunctionName: reader
      Runtime: nodejs22.x
      Handler: index.handler
      Role: !GetAtt Role.Arn
      Code: {ZipFile: 'exports.handler = async () => ({})'}
      Environment:
        Variables:
          NAMED: '{{resolve:ssm:/chat/own}}'
          REFERRED: !Sub '{{resolve:ssm:${Origin}}}'
          ATTRIBUTE: !GetAtt Origin.Value
          DB: !Sub '{{resolve:secretsmanager:${Secret}}}'
          QUEUE: !Ref Jobs
";

/// A reference to what the same run makes, changes or replaces has its new value, in that run.
#[tokio::test]
async fn references_to_the_templates_own_values_are_read_when_these_are_there() {
    let cloud = Cloud::start().go();
    let write = |text: &str| fs::write(cloud.folder().join("chat.yaml"), text).unwrap();
    let lambda = aws_sdk_lambda::Client::new(&cloud.sdk().await);
    let variables = async || {
        let found = lambda.get_function_configuration().function_name("reader").send().await.unwrap();
        found.environment().unwrap().variables().unwrap().clone()
    };
    write(OWN);
    up(&cloud, "chat").ok();
    let first = variables().await;
    for (name, value) in [("NAMED", "first"), ("REFERRED", "first"), ("ATTRIBUTE", "first"), ("DB", "hush-hush")] {
        assert_eq!(first[name], value, "{name}");
    }
    up(&cloud, "chat").ok().changes_nothing();

    write(&OWN.replace("Value: first", "Value: second"));
    up(&cloud, "chat").ok();
    let second = variables().await;
    for name in ["NAMED", "REFERRED", "ATTRIBUTE"] {
        assert_eq!(second[name], "second", "{name}");
    }
    up(&cloud, "chat").ok().changes_nothing();

    // What is replaced beside a reference is the new one, too.
    write(&OWN.replace("Value: first", "Value: second").replace("VisibilityTimeout: 60", "FifoQueue: true"));
    up(&cloud, "chat").ok();
    let third = variables().await;
    assert!(third["QUEUE"].ends_with(".fifo") && third["DB"] == "hush-hush", "{third:?}");
    up(&cloud, "chat").ok().changes_nothing();
    let template = ["--stack", "chat", "--template", "chat.yaml"];
    cloud.wschat(&[&["status", "--local"], &template[..]].concat()).ok();
    cloud.wschat(&["down", "--local", "--yes", "--stack", "chat"]).ok();
}

#[test]
fn a_secure_parameter_is_not_given_out_as_a_plain_one() {
    let cloud = Cloud::start().go();
    parameter(&cloud, "token", "hush-hush", "SecureString");
    let text = "Resources:\n  Log:\n    Type: AWS::Logs::LogGroup\n    Properties:\n      Tags: [{Key: t, Value: '{{resolve:ssm:token}}'}]\n";
    fs::write(cloud.folder().join("chat.yaml"), text).unwrap();
    let refused = up(&cloud, "chat").exits(1).stderr;
    assert!(refused.contains("the SSM parameter \"token\" is a SecureString"), "{refused}");
    assert!(refused.contains("{{resolve:ssm-secure:token}}") && refused.contains("chat.yaml:5:"), "{refused}");
    // Offline nothing is asked, and nothing is wrong.
    cloud.wschat(&["validate", "--template", "chat.yaml"]).ok();
}

/// Writes a CDK app of two stacks, as `cdk synth` does.
fn app(cloud: &Cloud) {
    let folder = cloud.folder().join("cdk.out");
    fs::create_dir(&folder).unwrap();
    let stack = |name: &str, after: &[&str]| {
        json!({
            "type": "aws:cloudformation:stack",
            "environment": "aws://unknown-account/unknown-region",
            "properties": {"templateFile": format!("{name}.template.json")},
            "dependencies": after,
            "displayName": name,
        })
    };
    let manifest =
        json!({"version": "55.0.0", "artifacts": {"Socket": stack("Socket", &["Data"]), "Data": stack("Data", &[])}});
    let export = "Data:ExportsOutputRefConnections827CEF2F0F1035C6";
    let data = json!({
        "Resources": {"Connections827CEF2F": {
            "Type": "AWS::DynamoDB::Table",
            "Properties": {
                "BillingMode": "PAY_PER_REQUEST",
                "AttributeDefinitions": [{"AttributeName": "id", "AttributeType": "S"}],
                "KeySchema": [{"AttributeName": "id", "KeyType": "HASH"}],
            },
        }},
        "Outputs": {"Table": {"Value": {"Ref": "Connections827CEF2F"}, "Export": {"Name": export}}},
    });
    let socket = json!({
        "Resources": {
            "Role": {"Type": "AWS::IAM::Role", "Properties": {"AssumeRolePolicyDocument": {
                "Version": "2012-10-17",
                "Statement": [{"Effect": "Allow", "Principal": {"Service": "lambda.amazonaws.com"}, "Action": "sts:AssumeRole"}],
            }}},
            "Handler": {
                "Type": "AWS::Lambda::Function",
                "Properties": {
                    "Runtime": "nodejs22.x",
                    "Handler": "index.handler",
                    "Role": {"Fn::GetAtt": ["Role", "Arn"]},
                    "Code": {"S3Bucket": {"Fn::Sub": "cdk-hnb659fds-assets-${AWS::AccountId}-${AWS::Region}"}, "S3Key": "0a1b.zip"},
                    "Environment": {"Variables": {"TABLE_NAME": {"Fn::ImportValue": export}}},
                },
                "Metadata": {"aws:asset:path": "asset.0a1b", "aws:asset:property": "Code"},
            },
        },
        "Outputs": {"Table": {"Value": {"Fn::ImportValue": export}}},
        "Parameters": {"BootstrapVersion": {"Type": "AWS::SSM::Parameter::Value<String>", "Default": "/cdk-bootstrap/hnb659fds/version"}},
    });
    for (name, document) in
        [("manifest.json", manifest), ("Data.template.json", data), ("Socket.template.json", socket)]
    {
        fs::write(folder.join(name), document.to_string()).unwrap();
    }
    fs::create_dir(folder.join("asset.0a1b")).unwrap();
    fs::write(folder.join("asset.0a1b/index.js"), "exports.handler = async () => ({ statusCode: 200 });\n").unwrap();
}

#[test]
fn the_stacks_of_a_cdk_app_are_deployed_by_their_names() {
    let cloud = Cloud::start().go();
    app(&cloud);
    let wschat = |arguments: &[&str]| {
        let mut command = cloud.command(arguments);
        cloud.begin_command(command.env_remove("WSCHAT_STACK")).end()
    };
    let which = wschat(&["up", "--local", "--yes"]).exits(1).stderr;
    assert!(
        which.contains("cdk.out has 2 stacks") && which.find("--stack Data") < which.find("--stack Socket"),
        "{which}"
    );
    let early = wschat(&["up", "--local", "--yes", "--template", "cdk.out", "--stack", "Socket"]).exits(1).stderr;
    assert!(early.contains("the stack Data of this app exports it: deploy that first"), "{early}");
    wschat(&["up", "--local", "--yes", "--template", "cdk.out", "--stack", "Data"]).ok();
    wschat(&["up", "--local", "--yes", "--template", "cdk.out", "--stack", "Socket"]).ok();
    wschat(&["up", "--local", "--yes", "--template", "cdk.out", "--stack", "Socket"]).ok().changes_nothing();
    let run = wschat(&["outputs", "--json", "--local", "--stack", "Socket"]).ok();
    let outputs: Value = serde_json::from_str(&run.stdout).unwrap();
    assert!(outputs["outputs"]["Table"].as_str().unwrap().starts_with("Data-Connections827CEF2F-"), "{outputs}");
    // The project's file is beside the app: the CDK deletes what it has written.
    assert!(cloud.folder().join("wschat.toml").is_file() && !cloud.folder().join("cdk.out/wschat.toml").exists());
    wschat(&["down", "--local", "--yes", "--stack", "Socket"]).ok();
    wschat(&["down", "--local", "--yes", "--stack", "Data"]).ok();
}

#[test]
fn an_app_is_synthesised_first() {
    let cloud = Cloud::start().go();
    fs::write(cloud.folder().join("cdk.json"), "{\"app\": \"node app.js\"}").unwrap();
    let early = cloud.wschat(&["validate"]).exits(1).stderr;
    assert!(early.contains("this is a CDK app, and it is not synthesised yet"), "{early}");
    app(&cloud);
    fs::rename(cloud.folder().join("cdk.out"), cloud.folder().join("synthesised")).unwrap();
    let up = ["up", "--local", "--yes", "--stack", "Data", "--app"];
    let failed = cloud.wschat(&[&up[..], &["echo broken >&2; exit 3"]].concat()).exits(1).stderr;
    assert!(failed.contains("--app: `echo broken >&2; exit 3` failed") && failed.contains("broken\n"), "{failed}");
    assert!(failed.starts_with("Running echo broken >&2; exit 3\n"), "{failed}");
    let run = cloud.wschat(&[&up[..], &["echo '{}'; cp -r synthesised cdk.out"]].concat()).ok();
    assert!(!run.stdout.contains("{}"), "{}", run.stdout);
}

/// The app of two stacks in `tests/fixtures/cdk`, as the CDK synthesised it.
#[tokio::test]
async fn all_stacks_of_an_app_go_up_and_down_together() {
    let cloud = Cloud::start().go();
    let run = std::process::Command::new("cp")
        .arg("-r")
        .args([repository().join("tests/fixtures/cdk/cdk.out"), cloud.folder().join("cdk.out")])
        .status();
    assert!(run.unwrap().success());
    let wschat = |arguments: &[&str]| {
        let mut command = cloud.command(arguments);
        cloud.begin_command(command.env_remove("WSCHAT_STACK")).end()
    };
    let all = |verb: &str| wschat(&[verb, "--local", "--all-stacks"]);
    // What one imports of the other is not there yet, and does not end the plan.
    let early = all("plan").exits(2);
    assert!(early.stdout.contains("<Fn::ImportValue Data:ExportsOutput"), "{}", early.stdout);
    assert!(
        early.stderr.contains("Known after the app's other stacks are deployed: <Fn::ImportValue Data:"),
        "{}",
        early.stderr
    );
    let digests: Vec<bool> = early
        .stdout
        .lines()
        .filter_map(|line| line.strip_prefix("To do exactly this: "))
        .map(|command| command.contains("--plan"))
        .collect();
    assert_eq!(digests, [true, false], "{}", early.stdout);
    wschat(&["up", "--local", "--yes", "--all-stacks", "--dry-run"]).exits(2);
    let alone = wschat(&["plan", "--local", "--stack", "Socket"]).exits(1).stderr;
    assert!(alone.contains("the stack Data of this app exports it: deploy that first"), "{alone}");
    wschat(&["up", "--local", "--all-stacks", "--stack", "Data"]).exits(64);

    let up = wschat(&["up", "--local", "--yes", "--all-stacks"]).ok();
    let (data, socket) = (up.stderr.find("Stack Data in account"), up.stderr.find("Stack Socket in account"));
    assert!(data.is_some() && data < socket, "{}", up.stderr);
    assert!(!cloud.folder().join("wschat.toml").exists(), "no stack is the project's only one");
    let (mut one, mut other) = (Client::connect(&up.uri()).await, Client::connect(&up.uri()).await);
    one.say("hello").await;
    assert_eq!((one.hear().await, other.hear().await), ("hello".to_owned(), "hello".to_owned()));
    other.close().await;

    wschat(&["up", "--local", "--yes", "--all-stacks"]).ok().changes_nothing();
    all("plan").ok();
    all("status").ok();
    let both = wschat(&["status", "--local", "--all-stacks", "--json"]).ok().stdout;
    let stacks: Vec<Value> =
        both.lines().map(|line| serde_json::from_str::<Value>(line).unwrap()["stack"].clone()).collect();
    assert_eq!(stacks, ["Data", "Socket"]);

    let down = wschat(&["down", "--local", "--yes", "--all-stacks"]).ok();
    let gone =
        |stack: &str| down.stderr.find(&format!("Stack {stack} is gone.")).unwrap_or_else(|| panic!("{}", down.stderr));
    assert!(gone("Socket") < gone("Data"));
    one.closed().await;
    same(&cloud.inventory().await, &Inventory::new());
}
