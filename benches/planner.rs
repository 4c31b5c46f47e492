//! Measures how the time of the pure stages grows with a template: planning a new stack, one with nothing to do and one
//! with a changed function, and `validate` (read, expand, resolve, check, lint).
//!
//! `cargo bench --bench planner` prints lines of a table, and fails where the time grows much faster than the number of
//! resources. Times of a machine that others use, too, are compared by the shortest of several runs.

#![allow(clippy::unwrap_used, clippy::print_stdout, clippy::disallowed_macros, reason = "a bench prints its result")]

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::time::{Duration, Instant};

use time::macros::date;
use wschat::core::lint;
use wschat::core::plan::{PlanOptions, diff};
use wschat::core::stack::{Stack, load};
use wschat::core::template::parse;
use wschat::core::types::{Live, deployment, function, integration, permission, route};
use wschat::core::words::{Scope, Token};

/// How many routes the measured templates have: 12, 100, 1,000 and 5,000 resources, which fill the longest text that is read.
const COUNTS: [usize; 4] = [2, 24, 249, 1249];

/// From which number of resources on more are held to `MOST`; fewer take too little time to tell.
const FROM: usize = 1_000;

/// How many times as long one resource may take among many as among few: once, what sorting adds, and what caches take away.
const MOST: f64 = 1.3;

/// The shared resources of a template with `count` routes.
fn shared(count: usize) -> String {
    let routes: Vec<String> = (0..count).map(|n| format!("R{n}")).collect();
    format!(
        r#"
Resources:
  Api:
    Type: AWS::ApiGatewayV2::Api
    Properties: {{Name: bench, ProtocolType: WEBSOCKET, RouteSelectionExpression: $request.body.action}}
  Deployment:
    Type: AWS::ApiGatewayV2::Deployment
    DependsOn: [{}]
    Properties: {{ApiId: !Ref Api}}
  Stage:
    Type: AWS::ApiGatewayV2::Stage
    Properties: {{ApiId: !Ref Api, StageName: live, DeploymentId: !Ref Deployment}}
"#,
        routes.join(", ")
    )
}

/// A template with a function, an integration, a route and a permission for each of `count` routes, and four other
/// resources.
fn plain(count: usize) -> String {
    let mut text = shared(count);
    text.push_str(
        r#"
  Role:
    Type: AWS::IAM::Role
    Properties:
      AssumeRolePolicyDocument:
        Statement: {Effect: Allow, Action: sts:AssumeRole, Principal: {Service: lambda.amazonaws.com}}
"#,
    );
    for n in 0..count {
        let _ = write!(
            text,
            r#"
  F{n}:
    Type: AWS::Lambda::Function
    Properties: {{Role: !GetAtt Role.Arn, Runtime: provided.al2023, Handler: bootstrap, Code: ./code}}
  I{n}:
    Type: AWS::ApiGatewayV2::Integration
    Properties: {{ApiId: !Ref Api, IntegrationType: AWS_PROXY, IntegrationUri: !Sub "{URI}"}}
  R{n}:
    Type: AWS::ApiGatewayV2::Route
    Properties: {{ApiId: !Ref Api, RouteKey: key{n}, Target: !Sub "integrations/${{I{n}}}"}}
  P{n}:
    Type: AWS::Lambda::Permission
    Properties:
      {{FunctionName: !Ref F{n}, Action: lambda:InvokeFunction, Principal: apigateway.amazonaws.com, SourceArn: !Sub "{SOURCE}"}}
"#,
            URI = URI.replace("NAME", &format!("F{n}")),
            SOURCE = SOURCE.replace("KEY", &format!("key{n}")),
        );
    }
    text
}

const URI: &str = "arn:aws:apigateway:${AWS::Region}:lambda:path/2015-03-31/functions/${NAME.Arn}/invocations";

const SOURCE: &str = "arn:aws:execute-api:${AWS::Region}:${AWS::AccountId}:${Api}/*/KEY";

/// The same in SAM's words, with a table and a role for each function: six resources a route.
fn sam(count: usize) -> String {
    let routes = (count * 4).div_ceil(6);
    let mut text = format!("Transform: AWS::Serverless-2016-10-31{}", shared(routes));
    for n in 0..routes {
        let _ = write!(
            text,
            r#"
  T{n}: {{Type: AWS::Serverless::SimpleTable}}
  F{n}:
    Type: AWS::Serverless::Function
    Properties:
      Runtime: provided.al2023
      Handler: bootstrap
      CodeUri: ./code
      Environment: {{Variables: {{TABLE: !Ref T{n}}}}}
      Policies: [{{DynamoDBCrudPolicy: {{TableName: !Ref T{n}}}}}]
  I{n}:
    Type: AWS::ApiGatewayV2::Integration
    Properties: {{ApiId: !Ref Api, IntegrationType: AWS_PROXY, IntegrationUri: !Sub "{URI}"}}
  R{n}:
    Type: AWS::ApiGatewayV2::Route
    Properties: {{ApiId: !Ref Api, RouteKey: key{n}, Target: !Sub "integrations/${{I{n}}}"}}
  P{n}:
    Type: AWS::Lambda::Permission
    Properties:
      {{FunctionName: !Ref F{n}, Action: lambda:InvokeFunction, Principal: apigateway.amazonaws.com, SourceArn: !Sub "{SOURCE}"}}
"#,
            URI = URI.replace("NAME", &format!("F{n}")),
            SOURCE = SOURCE.replace("KEY", &format!("key{n}")),
        );
    }
    text
}

fn stack(text: &str) -> Stack {
    let scope = Scope {
        stack: "bench".to_owned(),
        account: "123456789012".to_owned(),
        region: "eu-west-1".to_owned(),
        partition: "aws".to_owned(),
    };
    load(text.as_bytes(), &BTreeMap::new(), &scope).unwrap()
}

/// The resources in AWS after the stack is deployed.
fn up(stack: &Stack) -> Vec<Live> {
    let plan = diff(stack, &[], &PlanOptions::default()).unwrap();
    let mut known: BTreeMap<Token, String> = plan.known.clone();
    let mut live = Vec::new();
    for (number, step) in plan.steps.iter().enumerate() {
        let mut desired = step.desired.clone().unwrap();
        desired.properties = Token::substitute(&desired.properties, &|token| known.get(token).cloned());
        let id = match step.type_name {
            permission::TYPE => permission::statement_id(&desired).unwrap(),
            _ => desired.name.clone().unwrap_or_else(|| format!("id{number}")),
        };
        let mut one = Live::new(step.type_name, &id, desired.properties.clone());
        for attribute in ["Ref", "ApiId", "DeploymentId", "IntegrationId", "RouteId"] {
            let token = Token { logical_id: step.name.clone(), attribute: attribute.to_owned() };
            if step.type_name != function::TYPE {
                one.attributes.insert(attribute.to_owned(), id.clone());
            }
            known.insert(token, id.clone());
        }
        if step.type_name == deployment::TYPE {
            one.properties[deployment::DIGEST] = deployment::digest(&desired).into();
        }
        let parent = if step.type_name == permission::TYPE { "FunctionName" } else { "ApiId" };
        one.parent = desired.properties[parent].as_str().map(str::to_owned).filter(|parent| *parent != id);
        let unnamed = [route::TYPE, integration::TYPE, deployment::TYPE];
        one.logical_id = Some(step.name.clone()).filter(|_| !unnamed.contains(&step.type_name));
        live.push(one);
    }
    live
}

/// The shortest of several runs: of as many as take a second, from three to 200.
fn shortest<T>(go: impl Fn() -> T) -> Duration {
    let begun = Instant::now();
    let mut times = Vec::new();
    while times.len() < 3 || begun.elapsed() < Duration::from_secs(1) && times.len() < 200 {
        let begun = Instant::now();
        let made = go();
        times.push(begun.elapsed());
        drop(made);
    }
    times.into_iter().min().unwrap()
}

/// The times for a template of `count` routes, each with its name.
fn measure(count: usize) -> (usize, Vec<(&'static str, Duration)>) {
    let text = plain(count);
    let mut stack = stack(&text);
    let options = PlanOptions::default();
    let live = up(&stack);
    let cold = shortest(|| diff(&stack, &[], &options));
    assert!(diff(&stack, &live, &options).unwrap().is_empty(), "what is up needs something");
    let idle = shortest(|| diff(&stack, &live, &options));
    stack.resources.get_mut("F0").unwrap().properties["MemorySize"] = 512.into();
    let changing = diff(&stack, &live, &options).unwrap();
    assert_eq!(changing.steps.iter().filter(|step| step.action.acts()).count(), 1, "more than one function changes");
    let changed = shortest(|| diff(&stack, &live, &options));
    let validate = |text: &str| {
        let found = || lint::inspect(parse(text.as_bytes()), &BTreeMap::new(), date!(2026 - 11 - 23), |_| Vec::new());
        assert_eq!(found(), []);
        shortest(found)
    };
    let times = vec![
        ("from nothing", cold),
        ("nothing to do", idle),
        ("one function changed", changed),
        ("validate", validate(&text)),
        ("validate, SAM", validate(&sam(count))),
    ];
    (stack.resources.len(), times)
}

fn main() {
    let only: Option<usize> = std::env::args().nth(1).and_then(|count| count.parse().ok());
    let measured: Vec<_> =
        COUNTS.into_iter().filter(|count| only.is_none_or(|only| only == *count)).map(measure).collect();
    let names: Vec<&str> = measured[0].1.iter().map(|(name, _)| *name).collect();
    println!("\n| resources | {}, ms |\n|---{}|", names.join(", ms | "), "|---".repeat(names.len()));
    for (resources, times) in &measured {
        let ms: Vec<String> = times.iter().map(|(_, time)| format!("{:.2}", time.as_secs_f64() * 1000.0)).collect();
        println!("| {resources} | {} |", ms.join(" | "));
    }
    for pair in measured.windows(2).filter(|pair| pair[0].0 >= FROM) {
        let ((resources, before), (more, after)) = (&pair[0], &pair[1]);
        for ((name, before), (_, after)) in before.iter().zip(after) {
            let ratio = after.as_secs_f64() / before.as_secs_f64();
            println!("{name}: {more} resources take {ratio:.1} times as long as {resources}");
            let linear = *more as f64 / *resources as f64;
            assert!(ratio <= MOST * linear, "{name} is not linear: at most {:.1} times as long", MOST * linear);
        }
    }
}
