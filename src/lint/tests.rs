use std::collections::BTreeMap;
use std::fmt::Write as _;

use time::macros::date;

use super::*;
use crate::stack::survey;
use crate::template::expand;
use crate::template::render::{Rendering, render};

/// A template that no rule has anything against, with something for each of them to look at.
const SOUND: &str = include_str!("tests/sound.yaml");

/// All that is said of a template, on a day when nodejs20.x and older runtimes had not all ended yet.
fn problems(text: &str, given: &[(&str, &str)]) -> Vec<Problem> {
    let given: BTreeMap<String, String> =
        given.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
    let mut template = template::parse(text.as_bytes()).unwrap();
    let (assumed, scope) = Assumed::make(&mut template, &given);
    let context = expand::Context { partition: &scope.partition, parameters: &given };
    let template = expand::expand(template, context);
    let survey = survey(&template, &given, &scope, &resources::kinds());
    let warnings = check(&template, &survey, date!(2026 - 01 - 15));
    let mut problems = template.report(survey.problems.into_iter().chain(warnings));
    problems.retain(|problem| !assumed.explain(&template, problem));
    problems
}

fn shown(text: &str) -> String {
    render(&problems(text, &[]), Rendering { file: "t.yaml", text, colour: false })
}

/// The names of what breaks, and `error` for errors.
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

/// For every rule, what breaks it.
const BREAKS: &[(&str, &[(&str, &str)])] = &[
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
        "permission-without-source",
        &[("      SourceArn: !Sub arn:aws:execute-api:${AWS::Region}:${AWS::AccountId}:${Api}/*/$connect\n", "")],
    ),
    ("unmatched-source-arn", &[("${Api.ApiId}/live/*", "${Api.ApiId}/prod/*")]),
    ("unmatched-source-arn", &[("arn:aws:execute-api:*:*:${Api.ApiId}/live/*", "arn:aws:apigateway:*::/apis/${Api}")]),
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
    ("gateway-timeout", &[("TimeoutInMillis: 29000", "TimeoutInMillis: 30000")]),
    ("deprecated-runtime", &[("Runtime: python3.13", "Runtime: python3.9")]),
    ("deprecated-runtime", &[("Runtime: python3.13", "Runtime: nodejs14.x")]),
    ("deprecated-runtime", &[("Runtime: nodejs24.x", "Runtime: nodejs12.x")]),
    ("table-without-grant", &[("Action: dynamodb:PutItem", "Action: sqs:SendMessage")]),
    ("table-without-grant", &[("Resource: !GetAtt Rows.Arn", "Resource: !GetAtt Other.Arn")]),
    (
        "table-without-grant",
        &[(
            "      Policies:\n        - Statement:\n            - { Effect: Allow, Action: dynamodb:Scan, Resource: !GetAtt Rows.Arn }\n",
            "",
        )],
    ),
    ("unused-grant", &[("      Environment: { Variables: { TABLE: !Ref Rows } }\n      Role:", "      Role:")]),
    ("unmatched-connection-grant", &[("${Api}/live/POST/@connections/*", "${Api}/prod/POST/@connections/*")]),
    ("unmatched-connection-grant", &[("${Api}/live/POST/@connections/*", "${Api}/POST/@connections/*")]),
    ("visible-secret", &[("Secret: { Type: String, NoEcho: true }", "Secret: { Type: String }")]),
    ("output-export", &[("  Uri: { Value", "  Uri: { Export: { Name: uri }, Value")]),
    ("unused-parameter", &[("SECRET: !Ref Secret", "SECRET: none")]),
    ("unused-mapping", &[("!FindInMap [Sizes, small, memory]", "256")]),
    ("unused-condition", &[("    Condition: Wide\n", "")]),
];

#[test]
fn every_rule_speaks_where_it_is_broken() {
    let mut all = String::new();
    for (rule, changes) in BREAKS {
        let text = with(changes);
        let _ = writeln!(all, "{}", shown(&text));
        let broken = broken(&text);
        assert!(broken.contains(rule), "{rule}: {broken:?} after {changes:?}");
    }
    for rule in RULES {
        assert!(BREAKS.iter().any(|(broken, _)| *broken == rule.name), "{} is never broken", rule.name);
    }
    insta::assert_snapshot!(all);
}
