//! Measures planning: of a new stack with a thousand resources, and of a stack that is up to date.
//!
//! `cargo bench --bench planner`; prints lines of a table.

#![allow(clippy::unwrap_used, clippy::print_stdout, clippy::disallowed_macros, reason = "a bench prints its result")]

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::time::{Duration, Instant};

use wschat::core::plan::{PlanOptions, diff};
use wschat::core::stack::{Stack, load};
use wschat::core::types::{Live, deployment, function, integration, permission, route};
use wschat::core::words::{Scope, Token};

/// A template with four resources for each of `count` routes, and four others.
fn text(count: usize) -> String {
    let mut text = String::from(
        r#"
Resources:
  Role:
    Type: AWS::IAM::Role
    Properties:
      AssumeRolePolicyDocument:
        Statement: {Effect: Allow, Action: sts:AssumeRole, Principal: {Service: lambda.amazonaws.com}}
  Api:
    Type: AWS::ApiGatewayV2::Api
    Properties: {Name: bench, ProtocolType: WEBSOCKET, RouteSelectionExpression: $request.body.action}
  Deployment:
    Type: AWS::ApiGatewayV2::Deployment
    Properties: {ApiId: !Ref Api}
  Stage:
    Type: AWS::ApiGatewayV2::Stage
    Properties: {ApiId: !Ref Api, StageName: live, DeploymentId: !Ref Deployment}
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
    Properties: {{ApiId: !Ref Api, IntegrationType: AWS_PROXY, IntegrationUri: !Sub "arn:x:${{F{n}.Arn}}"}}
  R{n}:
    Type: AWS::ApiGatewayV2::Route
    Properties: {{ApiId: !Ref Api, RouteKey: key{n}, Target: !Sub "integrations/${{I{n}}}"}}
  P{n}:
    Type: AWS::Lambda::Permission
    Properties: {{FunctionName: !Ref F{n}, Action: lambda:InvokeFunction, Principal: apigateway.amazonaws.com}}
"#
        );
    }
    text
}

fn stack(count: usize) -> Stack {
    let scope = Scope {
        stack: "bench".to_owned(),
        account: "123456789012".to_owned(),
        region: "eu-west-1".to_owned(),
        partition: "aws".to_owned(),
    };
    load(text(count).as_bytes(), &BTreeMap::new(), &scope).unwrap()
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
        for attribute in ["Ref", "ApiId", "DeploymentId", "IntegrationId", "RouteId"] {
            let token = Token { logical_id: step.name.clone(), attribute: attribute.to_owned() };
            known.insert(token, id.clone());
        }
        let mut one = Live::new(step.type_name, &id, desired.properties.clone());
        if step.type_name == deployment::TYPE {
            one.properties[deployment::DIGEST] = deployment::digest(&desired).into();
        }
        let parent = if step.type_name == permission::TYPE { "FunctionName" } else { "ApiId" };
        one.parent = desired.properties[parent].as_str().map(str::to_owned).filter(|parent| *parent != id);
        let unnamed = [route::TYPE, integration::TYPE, deployment::TYPE];
        one.logical_id = Some(step.name.clone()).filter(|_| !unnamed.contains(&step.type_name));
        let own = known.iter().filter(|(token, _)| token.logical_id == step.name && step.type_name != function::TYPE);
        one.attributes = own.map(|(token, value)| (token.attribute.clone(), value.clone())).collect();
        live.push(one);
    }
    live
}

/// The median of several runs.
fn median(go: impl Fn()) -> Duration {
    let mut times: Vec<Duration> = (0..9)
        .map(|_| {
            let begun = Instant::now();
            go();
            begun.elapsed()
        })
        .collect();
    times.sort();
    times[times.len() / 2]
}

fn main() {
    println!("\n| the planner | resources | from nothing, ms | nothing to do, ms |\n|---|---|---|---|");
    for count in [24, 124, 249] {
        let stack = stack(count);
        let live = up(&stack);
        let options = PlanOptions::default();
        assert!(diff(&stack, &live, &options).unwrap().is_empty(), "what is up needs something");
        let cold = median(|| drop(diff(&stack, &[], &options)));
        let idle = median(|| drop(diff(&stack, &live, &options)));
        let ms = |time: Duration| time.as_secs_f64() * 1000.0;
        println!("| plan::diff | {} | {:.1} | {:.1} |", stack.resources.len(), ms(cold), ms(idle));
    }
}
