//! `wschat logs`: handlers that fail in every way, and what is said of each.

use std::fmt::Write as _;
use std::fs;
use std::io::{BufRead, BufReader};
use std::process::Stdio;

use rustix::process::Signal;
use serde_json::Value;

use crate::common::client::Client;
use crate::common::{Cloud, STACK, eventually};

/// A handler: its route, its folder's file, its runtime, what it says.
struct Handler {
    route: &'static str,
    file: &'static str,
    runtime: &'static str,
    properties: &'static str,
    text: &'static str,
}

const NODE: &str = "nodejs20.x";
const PYTHON: &str = "python3.11";

const fn node(route: &'static str, text: &'static str) -> Handler {
    Handler { route, file: "index.js", runtime: NODE, properties: "", text }
}

const fn python(route: &'static str, text: &'static str) -> Handler {
    Handler { route, file: "index.py", runtime: PYTHON, properties: "", text }
}

/// A logical id for a route.
fn id(route: &str) -> String {
    let mut letters = route.trim_start_matches('$').chars();
    letters.next().map(|first| first.to_uppercase().chain(letters).collect()).unwrap_or_default()
}

/// A project with these handlers, each in a folder with its route's name.
fn project(cloud: &Cloud, handlers: &[Handler]) {
    let mut template = "Transform: AWS::Serverless-2016-10-31
Resources:
  Api:
    Type: AWS::ApiGatewayV2::Api
    Properties: {Name: app, ProtocolType: WEBSOCKET, RouteSelectionExpression: $request.body.action}
  Stage:
    Type: AWS::ApiGatewayV2::Stage
    Properties: {ApiId: !Ref Api, StageName: live, DeploymentId: !Ref Deployment}
"
    .to_owned();
    let mut routes = Vec::new();
    for Handler { route, file, runtime, properties, text } in handlers {
        let (id, folder) = (id(route), route.trim_start_matches('$'));
        let path = cloud.folder().join(folder);
        fs::create_dir_all(&path).unwrap();
        fs::write(path.join(file), text).unwrap();
        write!(
            template,
            "  {id}:
    Type: AWS::Serverless::Function
    Properties: {{CodeUri: {folder}/, Runtime: {runtime}, Handler: index.handler{properties}}}
  {id}Integration:
    Type: AWS::ApiGatewayV2::Integration
    Properties:
      ApiId: !Ref Api
      IntegrationType: AWS_PROXY
      IntegrationUri: !Sub arn:aws:apigateway:${{AWS::Region}}:lambda:path/2015-03-31/functions/${{{id}.Arn}}/invocations
  {id}Route:
    Type: AWS::ApiGatewayV2::Route
    Properties: {{ApiId: !Ref Api, RouteKey: {route}, Target: !Sub \"integrations/${{{id}Integration}}\"}}
"
        )
        .unwrap();
        if *route != "forbidden" {
            write!(
                template,
                "  {id}Permission:
    Type: AWS::Lambda::Permission
    Properties:
      Action: lambda:InvokeFunction
      FunctionName: !Ref {id}
      Principal: apigateway.amazonaws.com
      SourceArn: !Sub arn:aws:execute-api:${{AWS::Region}}:${{AWS::AccountId}}:${{Api}}/*/{route}
"
            )
            .unwrap();
        }
        routes.push(format!("{id}Route"));
    }
    write!(
        template,
        "  Deployment:
    Type: AWS::ApiGatewayV2::Deployment
    DependsOn: [{}]
    Properties: {{ApiId: !Ref Api}}
",
        routes.join(", ")
    )
    .unwrap();
    fs::write(cloud.folder().join("template.yaml"), template).unwrap();
}

/// Sends a message to each route and waits for the error that comes back.
async fn fail(client: &mut Client, routes: &[&str]) {
    for route in routes {
        client.say(&format!(r#"{{"action":"{route}"}}"#)).await;
        let answer: Value = serde_json::from_str(&client.hear().await).unwrap();
        assert!(answer["message"].is_string(), "{route}: {answer}");
    }
}

/// The events of `wschat logs --json` with these options, but for the last, which must agree with them.
fn events(cloud: &Cloud, options: &[&str]) -> Vec<Value> {
    let run = cloud.wschat(&[&["logs", "--local", "--json"], options].concat()).ok();
    let mut events: Vec<Value> = run.stdout.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let last = events.pop().unwrap();
    assert_eq!(
        (&last["event"], &last["events"], &last["exit_code"]),
        (&"logs".into(), &events.len().into(), &0.into())
    );
    events
}

/// The failures of a function: kind, error type, first place, help.
fn failures(events: &[Value], function: &str) -> Vec<(String, String, String, String)> {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let of = events.iter().filter(|event| event["type"] == "failure" && event["function"] == function);
    of.map(|event| {
        let frame = &event["failure"]["stack"][0];
        let place = match frame["file"].as_str() {
            Some(file) => format!("{file}:{}", frame["line"]),
            None => String::new(),
        };
        (text(&event["failure"]["kind"]), text(&event["failure"]["error_type"]), place, text(&event["help"]))
    })
    .collect()
}

const OK: &str = "exports.handler = async (event) => {\n  console.log('hello from', event.requestContext.routeKey);\n  return { statusCode: 200 };\n};\n";

#[tokio::test]
async fn every_way_to_fail_is_told_in_the_users_own_files() {
    let cloud = Cloud::start().conditions("[strict]\niam = true\n").go();
    let slow = Handler {
        properties: ", Timeout: 1",
        ..node(
            "slow",
            "exports.handler = async () => {\n  console.log('asking');\n  await new Promise((done) => setTimeout(done, 60000));\n};\n",
        )
    };
    let memory = Handler {
        properties: ", MemorySize: 128, Timeout: 20",
        ..node(
            "memory",
            "const all = [];\nexports.handler = async () => {\n  for (;;) all.push(Buffer.alloc(8 << 20, 1));\n};\n",
        )
    };
    let denied = "import boto3\n\n\ndef handler(event, context):\n    boto3.client('dynamodb').list_tables()\n";
    let handlers = [
        node("$connect", OK),
        node(
            "throws",
            "function parse(body) {\n  return body.missing.deep;\n}\nexports.handler = async () => parse({});\n",
        ),
        node(
            "rejects",
            "exports.handler = async () => {\n  Promise.reject(new Error('later'));\n  await new Promise((done) => setTimeout(done, 1000));\n};\n",
        ),
        node("missing", "const gone = require('no-such-package');\nexports.handler = async () => gone;\n"),
        node("unnamed", "exports.other = async () => {};\n"),
        node("exits", "exports.handler = async () => {\n  console.log('last words');\n  process.exit(3);\n};\n"),
        node("shapeless", "exports.handler = async () => 'done';\n"),
        node("forbidden", OK),
        slow,
        memory,
        python(
            "raises",
            "def read(event):\n    return event['nothing']\n\n\ndef handler(event, context):\n    return read(event)\n",
        ),
        python("absent", "import no_such_module\n\n\ndef handler(event, context):\n    return {}\n"),
        python("denied", denied),
    ];
    project(&cloud, &handlers);
    // The handlers that are meant to fail at the start must not fail the deployment.
    let uri = cloud.up().uri();
    let mut client = Client::connect(&uri).await;
    let routes: Vec<&str> = handlers.iter().map(|handler| handler.route).filter(|route| *route != "$connect").collect();
    fail(&mut client, &routes).await;
    client.say(r#"{"action":"nowhere"}"#).await;
    client.hear().await;

    let events = events(&cloud, &[]);
    let table = [
        ("Throws", "exception", "TypeError", "throws/index.js:2", ""),
        ("Rejects", "unhandled_rejection", "Error", "rejects/index.js:2", "await the promise, or catch its error"),
        (
            "Missing",
            "missing_module",
            "Runtime.ImportModuleError",
            "missing/index.js:1",
            "add the package to missing/package.json: npm install --prefix missing no-such-package",
        ),
        (
            "Unnamed",
            "handler_not_found",
            "Runtime.HandlerNotFound",
            "",
            "export the function that Handler of Unnamed names (index.handler)",
        ),
        ("Exits", "exit", "Runtime.ExitError", "", "its last line: last words"),
        ("Shapeless", "gateway", "502 Internal server error", "", "return {\"statusCode\": 200}"),
        (
            "Forbidden",
            "gateway",
            "500 Internal server error",
            "",
            "give the function an AWS::Lambda::Permission with Principal apigateway.amazonaws.com",
        ),
        (
            "Slow",
            "timeout",
            "Sandbox.Timedout",
            "",
            "raise its Timeout (now 1 s); the last that it logged: asking; API Gateway waits for 29 s at most",
        ),
        ("Memory", "out_of_memory", "Runtime.ExitError", "", "raise MemorySize (now 128 MB) of Memory"),
        ("Raises", "exception", "KeyError", "raises/index.py:2", ""),
        (
            "Absent",
            "missing_module",
            "Runtime.ImportModuleError",
            "",
            "add no_such_module (or the package that has it) to absent/requirements.txt",
        ),
        ("Denied", "access_denied", "ClientError", "denied/index.py:5", "allow dynamodb:ListTables on "),
        ("Stage", "gateway", "403 Forbidden", "", "the stage's routes: "),
    ];
    for (function, kind, error_type, place, help) in table {
        let found = failures(&events, function);
        let [(found_kind, found_type, found_place, found_help)] = found.as_slice() else {
            panic!("{function}: {found:?}");
        };
        assert_eq!(
            (found_kind.as_str(), found_type.as_str(), found_place.as_str()),
            (kind, error_type, place),
            "{function}"
        );
        assert!(found_help.contains(help) && found_help.is_empty() == help.is_empty(), "{function}: {found_help}");
    }
    let denied = failures(&events, "Denied");
    assert!(denied[0].3.ends_with(" in a policy of the role DeniedRole"), "{denied:?}");
    // Each tells for whom it was.
    let connection = events[0]["connection"].as_str().unwrap();
    for event in events.iter().filter(|event| event["type"] == "failure" && event["function"] != "Stage") {
        let route = event["route"].as_str().unwrap();
        assert_eq!(
            (event["connection"].as_str(), id(route).as_str()),
            (Some(connection), event["function"].as_str().unwrap()),
            "{event}"
        );
    }

    let text = |options: &[&str]| cloud.wschat(&[&["logs", "--local"], options].concat()).ok().stdout;
    let throws = text(&["Throws"]);
    let expected = "✗ uncaught exception: TypeError (throws, connection ";
    assert!(throws.contains(expected) && throws.contains("\n      at throws/index.js:2:"), "{throws}");
    assert!(!throws.contains("->") && !throws.contains("node:internal"), "{throws}");
    assert!(!throws.contains("raises"), "{throws}");
    assert!(text(&["--route", "$connect"]).contains("hello from $connect"));
    assert_eq!(text(&["--connection", "nobody"]), "");
    assert!(text(&["--grep", "last w.rds"]).lines().all(|line| line.ends_with("last words")));
    assert!(!text(&["--errors"]).contains("hello from"));
    assert_eq!(text(&["--since", "2001-01-01", "--errors"]).matches('✗').count(), table.len());
}

/// A handler that catches its errors logs nothing, and its client gets nothing.
#[tokio::test]
async fn a_status_that_no_client_is_told_is_in_the_logs() {
    let cloud = Cloud::start().go();
    let swallows = "exports.handler = async () => {\n  try {\n    return null.length;\n  } catch {\n    return { statusCode: 500 };\n  }\n};\n";
    project(
        &cloud,
        &[node("$connect", OK), node("swallows", swallows), node("$disconnect", swallows), node("fine", OK)],
    );
    let uri = cloud.up().uri();
    let mut client = Client::connect(&uri).await;
    for route in ["fine", "swallows"] {
        client.say(&format!(r#"{{"action":"{route}"}}"#)).await;
    }
    drop(client);
    for function in ["Swallows", "Disconnect"] {
        let told = || failures(&events(&cloud, &[]), function);
        eventually("the status is told", async || !told().is_empty()).await;
        let [(kind, error_type, _, help)] = &told()[..] else { panic!("{:?}", told()) };
        assert_eq!((kind.as_str(), error_type.as_str()), ("gateway", "500 returned"));
        assert_eq!(help, "log the error where the handler catches it; it is shown here then");
    }
    let text = cloud.wschat(&["logs", "--local", "--errors"]).ok().stdout;
    assert!(text.contains("✗ gateway: 500 returned (swallows, connection "), "{text}");
    assert!(text.contains("no client is told of the status 500: the route swallows has no route response"), "{text}");
    assert!(text.contains("no client is told of the status 500: it has gone"), "{text}");
    assert_eq!(failures(&events(&cloud, &[]), "Fine"), []);
}

#[tokio::test]
async fn logs_are_followed_as_they_are_written() {
    let cloud = Cloud::start().go();
    project(
        &cloud,
        &[
            node("$connect", OK),
            node("$default", OK),
            node("throws", "exports.handler = async () => {\n  throw new Error('now');\n};\n"),
        ],
    );
    let uri = cloud.up().uri();
    let mut command = cloud.command(&["logs", "--local", "--follow", "--json"]);
    let mut following = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let mut lines = BufReader::new(following.stdout.take().unwrap()).lines();
    let mut next = |what: &str| loop {
        let event: Value = serde_json::from_str(&lines.next().unwrap().unwrap()).unwrap();
        if event["type"] == what {
            return event;
        }
    };
    // Whoever follows need not have been there first.
    let mut client = Client::connect(&uri).await;
    let event = next("output");
    assert_eq!(
        (&event["text"], &event["route"], &event["level"]),
        (&"hello from $connect".into(), &"$connect".into(), &"info".into())
    );
    client.say("hi").await;
    let event = next("output");
    assert_eq!((&event["text"], &event["function"]), (&"hello from $default".into(), &"Default".into()));
    fail(&mut client, &["throws"]).await;
    let event = next("failure");
    assert_eq!((&event["text"], &event["failure"]["stack"][0]["file"]), (&"now".into(), &"throws/index.js".into()));
    let pid = rustix::process::Pid::from_raw(following.id().try_into().unwrap()).unwrap();
    rustix::process::kill_process(pid, Signal::INT).unwrap();
    let last: Value = serde_json::from_str(&lines.last().unwrap().unwrap()).unwrap();
    assert_eq!((&last["event"], &last["exit_code"]), (&"failure".into(), &130.into()));
    assert_eq!(following.wait().unwrap().code(), Some(130));

    // A reader that has enough ends it quietly.
    let mut command = cloud.command(&["logs", "--local", "--follow"]);
    let mut following = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let mut first = String::new();
    BufReader::new(following.stdout.take().unwrap()).read_line(&mut first).unwrap();
    while following.try_wait().unwrap().is_none() {
        client.say("more").await;
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    }
    let output = following.wait_with_output().unwrap();
    assert_eq!((output.status.code(), String::from_utf8(output.stderr).unwrap().as_str()), (Some(0), ""));
}

#[tokio::test]
async fn a_wrong_name_is_answered_with_the_right_one() {
    let cloud = Cloud::start().go();
    let none = cloud.wschat(&["logs", "--local"]).exits(3);
    assert!(
        none.stderr.starts_with(&format!("error: stack {STACK} does not exist in account 000000000000 (us-east-1)\n"))
    );
    project(&cloud, &[node("$connect", OK)]);
    cloud.up();
    let wrong = cloud.wschat(&["logs", "--local", "Conect"]).exits(3);
    assert_eq!(wrong.stderr, "error: the stack has no function Conect\n  did you mean Connect?\n");
    let wrong = cloud.wschat(&["logs", "--local", "--since", "soon"]).exits(64);
    assert!(
        wrong.stderr.starts_with("error: --since soon: this is neither a duration nor a time\n"),
        "{}",
        wrong.stderr
    );
    // A function that was never invoked has no log group.
    let quiet = cloud.wschat(&["logs", "--local", "Connect"]).ok();
    assert_eq!((quiet.stdout.as_str(), quiet.stderr.as_str()), ("", "Nothing was logged since 10m ago.\n"));
    let other = cloud.wschat(&["logs", "--local", "--connection", "L0SM9cOFvHcCIhw="]).ok();
    assert_eq!(other.stderr, "Nothing that matches was logged since 10m ago.\n");
}

#[test]
fn a_syntax_error_is_found_before_anything_is_uploaded() {
    let cloud = Cloud::start().go();
    let bad = "exports.handler = async () => {\n  const x = ;\n};\n";
    project(&cloud, &[node("$connect", OK), node("broken", bad)]);
    let said = "syntax error in broken/index.js:2: Unexpected token ';'";
    for verb in [&["up", "--yes"][..], &["plan"][..]] {
        let run = cloud.wschat(&[verb, &["--local"]].concat()).exits(1);
        assert!(run.stderr.contains(&format!("error: cannot package the code of Broken: {said}")), "{}", run.stderr);
        assert!(run.stderr.contains("broken/index.js:2\n  const x = ;\n            ^"), "{}", run.stderr);
        run.changes_nothing();
    }
    let run = cloud.wschat(&["validate"]).exits(1);
    assert!(run.stdout.contains(said), "{}\n{}", run.stdout, run.stderr);
    // What the handler does not use may be broken; Python says it, too, and leaves nothing behind.
    fs::write(cloud.folder().join("broken/index.js"), OK).unwrap();
    fs::write(cloud.folder().join("broken/fixture.js"), bad).unwrap();
    project(
        &cloud,
        &[node("$connect", OK), node("broken", OK), python("other", "def handler(event, context)\n    return {}\n")],
    );
    let run = cloud.wschat(&["up", "--local", "--yes"]).exits(1);
    assert!(
        run.stderr.contains("cannot package the code of Other: syntax error in other/index.py:1: "),
        "{}",
        run.stderr
    );
    assert!(!cloud.folder().join("other/__pycache__").exists());
    fs::write(cloud.folder().join("other/index.py"), "def handler(event, context):\n    return {}\n").unwrap();
    cloud.up();
}
