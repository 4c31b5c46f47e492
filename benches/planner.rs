//! Measures how the time of the pure stages grows with a template: planning a new stack, one with nothing to do and one
//! with a changed function, and `validate` (read, expand, resolve, check, lint).
//!
//! `cargo bench --bench planner` prints lines of a table, and fails where the time grows much faster than the number of
//! resources. Times of a machine that others use, too, are compared by the shortest of several runs.

#![allow(clippy::unwrap_used, clippy::print_stdout, clippy::disallowed_macros, reason = "a bench prints its result")]

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::ops::Range;
use std::time::{Duration, Instant};

use time::macros::date;
use wschat::core::lint;
use wschat::core::plan::{PlanOptions, diff};
use wschat::core::stack::{Stack, load};
use wschat::core::template::parse;
use wschat::core::types::{Live, deployment, integration, permission, route};
use wschat::core::words::{Scope, Token};

/// The binary's own: where the time is spent in small allocations, it decides.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// How many routes the measured stacks have: 12, 100, 1,000, 5,000 and 10,000 resources.
const COUNTS: [usize; 5] = [2, 24, 249, 1249, 2499];

/// How many routes fill the longest text that is read. A stack of more is put together from several templates, to be planned.
const MOST_OF_A_TEXT: usize = 1249;

/// From which number of resources on more are held to `MOST`; fewer take too little time to tell.
const FROM: usize = 1_000;

/// How many times as long one resource may take among many as among 1,000. It takes as many instructions, but the memory of 1,000
/// fits into a processor's caches, and that of 10,000 does not: it is asked of the kernel anew in each run.
const MOST: f64 = 4.0;

/// The shared resources of a template with these routes.
fn shared(routes: Range<usize>) -> String {
    let routes: Vec<String> = routes.map(|n| format!("R{n}")).collect();
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

/// A template with a function, an integration, a route and a permission for each of these routes, and four other resources.
fn plain(routes: Range<usize>) -> String {
    let mut text = shared(routes.clone());
    text.push_str(
        r#"
  Role:
    Type: AWS::IAM::Role
    Properties:
      AssumeRolePolicyDocument:
        Statement: {Effect: Allow, Action: sts:AssumeRole, Principal: {Service: lambda.amazonaws.com}}
"#,
    );
    for n in routes {
        let _ = write!(
            text,
            r#"
  F{n}:
    Type: AWS::Lambda::Function
    Properties: {{Role: !GetAtt Role.Arn, Runtime: provided.al2023, Handler: bootstrap, Code: ./code}}
"#
        );
        text.push_str(&served_by(n));
    }
    text
}

/// The integration and the route that lead to a function, and the permission to invoke it.
fn served_by(n: usize) -> String {
    format!(
        r#"
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
    )
}

const URI: &str = "arn:aws:apigateway:${AWS::Region}:lambda:path/2015-03-31/functions/${NAME.Arn}/invocations";

const SOURCE: &str = "arn:aws:execute-api:${AWS::Region}:${AWS::AccountId}:${Api}/*/KEY";

/// The same in SAM's words, with a table and a role for each function: six resources a route.
fn sam(count: usize) -> String {
    let routes = (count * 4).div_ceil(6);
    let mut text = format!("Transform: AWS::Serverless-2016-10-31{}", shared(0..routes));
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
"#
        );
        text.push_str(&served_by(n));
    }
    text
}

/// What needs few words: a queue, a topic, a log group and a parameter with the queue's URL in place of each route. So 10,000
/// resources have room in the longest text that is read.
fn brief(count: usize) -> String {
    let mut text = "Resources:\n".to_owned();
    for n in 0..=count {
        let _ = write!(
            text,
            r#"  Q{n}: {{Type: AWS::SQS::Queue}}
  T{n}: {{Type: AWS::SNS::Topic}}
  L{n}: {{Type: AWS::Logs::LogGroup}}
  P{n}: {{Type: AWS::SSM::Parameter, Properties: {{Type: String, Value: !Ref Q{n}}}}}
"#
        );
    }
    text
}

/// A stack with so many routes.
fn stack(count: usize) -> Stack {
    let starts = (0..count).step_by(MOST_OF_A_TEXT);
    let parts = starts.map(|start| loaded(&plain(start..count.min(start + MOST_OF_A_TEXT))));
    let whole = parts.reduce(|mut whole, mut part| {
        let rest = part.resources.remove("Deployment").unwrap();
        whole.resources.get_mut("Deployment").unwrap().hard.extend(rest.hard);
        whole.resources.extend(part.resources);
        whole
    });
    whole.unwrap()
}

fn loaded(text: &str) -> Stack {
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
        let attribute = match step.type_name {
            deployment::TYPE => "DeploymentId",
            integration::TYPE => "IntegrationId",
            route::TYPE => "RouteId",
            _ => "Arn",
        };
        one = one.attribute(attribute, &id);
        known.extend(one.attributes.iter().map(|(attribute, value)| {
            (Token { logical_id: step.name.clone(), attribute: attribute.clone() }, value.clone())
        }));
        if step.type_name == deployment::TYPE {
            let properties = one.properties.as_object_mut().unwrap();
            properties.remove(deployment::FREEZES);
            properties.insert(deployment::DIGEST.to_owned(), deployment::digest(&desired).into());
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

/// The times for a stack of `count` routes, each with its name; none for `validate` of more than a template can have.
fn measure(count: usize) -> (usize, Vec<(&'static str, Option<Duration>)>) {
    let mut stack = stack(count);
    let options = PlanOptions::default();
    let live = up(&stack);
    let cold = shortest(|| diff(&stack, &[], &options));
    assert!(diff(&stack, &live, &options).unwrap().is_empty(), "what is up needs something");
    let idle = shortest(|| diff(&stack, &live, &options));
    stack.resources.get_mut("F0").unwrap().properties["MemorySize"] = 512.into();
    let changing = diff(&stack, &live, &options).unwrap();
    assert_eq!(changing.steps.iter().filter(|step| step.action.acts()).count(), 1, "more than one function changes");
    let changed = shortest(|| diff(&stack, &live, &options));
    let validate = |text: fn(usize) -> String| {
        let text = text(count);
        let found = || lint::inspect(parse(text.as_bytes()), &BTreeMap::new(), date!(2026 - 11 - 23), |_| Vec::new());
        assert_eq!(found(), []);
        shortest(found)
    };
    let in_one_text = |text| (count <= MOST_OF_A_TEXT).then(|| validate(text));
    let times = vec![
        ("from nothing", Some(cold)),
        ("nothing to do", Some(idle)),
        ("one function changed", Some(changed)),
        ("validate", in_one_text(|count| plain(0..count))),
        ("validate, SAM", in_one_text(sam)),
        ("validate, few words", Some(validate(brief))),
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
        let ms =
            |time: &Option<Duration>| time.map_or(String::new(), |time| format!("{:.2}", time.as_secs_f64() * 1000.0));
        let ms: Vec<String> = times.iter().map(|(_, time)| ms(time)).collect();
        println!("| {resources} | {} |", ms.join(" | "));
    }
    let Some((resources, few)) = measured.iter().find(|(resources, _)| *resources >= FROM) else { return };
    for (more, many) in measured.iter().filter(|(more, _)| more > resources) {
        for ((name, before), (_, after)) in few.iter().zip(many) {
            let (Some(before), Some(after)) = (before, after) else { continue };
            let ratio = after.as_secs_f64() / before.as_secs_f64();
            println!("{name}: {more} resources take {ratio:.1} times as long as {resources}");
            let linear = *more as f64 / *resources as f64;
            assert!(ratio <= MOST * linear, "{name} is not linear: at most {:.1} times as long", MOST * linear);
        }
    }
}
