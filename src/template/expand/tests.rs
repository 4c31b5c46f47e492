use serde_json::{Value, json};

use super::super::{Resource, parse};
use super::*;
use crate::template::render::{Rendering, render};

fn expanded(text: &str, parameters: &[(&str, &str)]) -> Template {
    let parameters = parameters.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
    let context = Context { partition: "aws", parameters: &parameters };
    let template = parse(text.as_bytes()).unwrap_or_else(|problems| panic!("{problems:?}"));
    expand(template, context)
}

/// The resources as SAM's translator writes them.
fn written(template: &Template) -> Value {
    let resource = |resource: &Resource| {
        let attributes = [
            ("Type", json!(resource.type_name)),
            ("Condition", json!(resource.condition)),
            ("DependsOn", json!(resource.depends_on)),
            ("DeletionPolicy", json!(resource.deletion_policy)),
            ("UpdateReplacePolicy", json!(resource.update_replace_policy)),
            ("Metadata", resource.metadata.clone()),
            ("Properties", json!(resource.properties)),
        ];
        let given = attributes.into_iter().filter(|(_, attribute)| !attribute.is_null());
        given.map(|(name, attribute)| (name.to_owned(), attribute)).collect::<Value>()
    };
    template.resources.iter().map(|(logical_id, declared)| (logical_id.clone(), resource(declared))).collect()
}

/// Compared with aws-sam-translator 1.115: what is in this snapshot is what it gives for the same template.
#[test]
fn functions_expand_as_sam_expands_them() {
    let template = expanded(include_str!("../../../tests/fixtures/sam-functions.yaml"), &[]);
    assert_eq!(template.problems, []);
    insta::assert_snapshot!(serde_json::to_string_pretty(&written(&template)).unwrap());
}

#[test]
fn tracing_hangs_on_a_parameter() {
    let text = "Transform: AWS::Serverless-2016-10-31
Parameters:
  Mode: { Type: String, Default: Disabled }
Resources:
  F: { Type: AWS::Serverless::Function, Properties: { InlineCode: x, Handler: h, Runtime: r, Tracing: !Ref Mode } }
";
    assert_eq!(expanded(text, &[]).resources["F"].properties.get("TracingConfig"), None);
    let traced = expanded(text, &[("Mode", "Active")]);
    assert_eq!(traced.resources["F"].properties["TracingConfig"], json!({ "Mode": { "Ref": "Mode" } }));
    assert_eq!(
        traced.resources["FRole"].properties["ManagedPolicyArns"][1],
        "arn:aws:iam::aws:policy/AWSXrayWriteOnlyAccess"
    );
}

#[test]
fn what_sam_refuses_is_refused() {
    let function = |properties: &str| {
        let text = format!(
            "Transform: AWS::Serverless-2016-10-31\nResources:\n  F:\n    Type: AWS::Serverless::Function\n    \
             Properties:\n      Handler: h\n      Runtime: r\n{properties}"
        );
        let template = expanded(&text, &[]);
        let problems = template.report(template.problems.clone());
        render(&problems, Rendering { file: "t.yaml", text: &text, colour: false })
    };
    let shown = [
        "      MemorySize: 1\n",
        "      CodeUri: { Bucket: b }\n",
        "      CodeUri: [b]\n",
        "      InlineCode: x\n      Policies: [{ Foo: x }]\n",
        "      InlineCode: x\n      Policies: [!If [C, [], x]]\n",
        "      InlineCode: x\n      Policies:\n        - DynamoDBCrudPolicy: { TableName: t }\n",
        "      InlineCode: x\n      Tags: [{ Key: a, Value: b }]\n",
        "      InlineCode: x\n      Tags: { 'lambda:createdBy': x }\n",
        "      InlineCode: x\n      Hanlder: x\n      Events: {}\n",
        "      InlineCode: x\n      Role: !If [C, a, b]\n",
        "      InlineCode: x\n  FRole: { Type: AWS::IAM::Role }\n",
        "      InlineCode: x\n    IgnoreGlobals: [Timeout]\n",
        "      InlineCode: x\nGlobals:\n  Function: { Role: x, Timout: 3 }\n  Functions: {}\n",
    ]
    .map(function);
    insta::assert_snapshot!(shown.join("\n"), @r#"
    error: missing property "CodeUri" of AWS::Serverless::Function
     --> t.yaml:5:5
      |
    5 |     Properties:
      |     ^^^^^^^^^^

    error: 'CodeUri' requires Bucket and Key properties to be specified.
     --> t.yaml:8:7
      |
    8 |       CodeUri: { Bucket: b }
      |       ^^^^^^^

    error: 'CodeUri' must be of type dict or string.
     --> t.yaml:8:7
      |
    8 |       CodeUri: [b]
      |       ^^^^^^^

    error: Policy at index 0 in the 'Policies' property is not valid
     --> t.yaml:9:20
      |
    9 |       Policies: [{ Foo: x }]
      |                    ^^^

    error: Policy at index 0 in the 'Policies' property is not valid
     --> t.yaml:9:18
      |
    9 |       Policies: [!If [C, [], x]]
      |                  ^^^^^

    error: SAM's policy template DynamoDBCrudPolicy is not supported yet
      --> t.yaml:10:11
       |
    10 |         - DynamoDBCrudPolicy: { TableName: t }
       |           ^^^^^^^^^^^^^^^^^^
       = help: write the statements out, under "Statement"

    error: Tags of a SAM resource must be a map of keys and values
     --> t.yaml:9:7
      |
    9 |       Tags: [{ Key: a, Value: b }]
      |       ^^^^

    error: the tag lambda:createdBy is reserved for SAM
     --> t.yaml:9:15
      |
    9 |       Tags: { 'lambda:createdBy': x }
      |               ^^^^^^^^^^^^^^^^^^

    error: unknown property "Hanlder" of AWS::Serverless::Function
     --> t.yaml:9:7
      |
    9 |       Hanlder: x
      |       ^^^^^^^
      = help: did you mean "Handler"?

    error: the property Events of AWS::Serverless::Function is not supported yet
      --> t.yaml:10:7
       |
    10 |       Events: {}
       |       ^^^^^^

    error: Fn::If as the Role of a function is not supported yet
     --> t.yaml:9:7
      |
    9 |       Role: !If [C, a, b]
      |       ^^^^

    error: SAM makes a resource FRole of this, and there is one of that name
     --> t.yaml:3:3
      |
    3 |   F:
      |   ^

    error: Globals give no such property
     --> t.yaml:9:21
      |
    9 |     IgnoreGlobals: [Timeout]
      |                     ^^^^^^^

    error: "Role" cannot be set in Globals for functions
      --> t.yaml:10:15
       |
    10 |   Function: { Role: x, Timout: 3 }
       |               ^^^^
       = help: did you mean "RolePath"?

    error: "Timout" cannot be set in Globals for functions
      --> t.yaml:10:24
       |
    10 |   Function: { Role: x, Timout: 3 }
       |                        ^^^^^^
       = help: did you mean "Timeout"?

    error: SAM has no Globals for "Functions"
      --> t.yaml:11:3
       |
    11 |   Functions: {}
       |   ^^^^^^^^^
       = help: did you mean "Function"?
    "#);
}

#[test]
fn sam_must_be_asked_for() {
    let text = "Globals: {}\nResources:\n  F: { Type: AWS::Serverless::Function, Properties: {} }\n";
    let template = expanded(text, &[]);
    let problems = template.report(template.problems.clone());
    let shown = render(&problems, Rendering { file: "t.yaml", text, colour: false });
    insta::assert_snapshot!(shown, @r#"
    error: Globals are SAM's, and this template does not ask for SAM
     --> t.yaml:1:1
      |
    1 | Globals: {}
      | ^^^^^^^
      = help: add "Transform: AWS::Serverless-2016-10-31"

    error: AWS::Serverless::Function is SAM's, and this template does not ask for SAM
     --> t.yaml:3:14
      |
    3 |   F: { Type: AWS::Serverless::Function, Properties: {} }
      |              ^^^^^^^^^^^^^^^^^^^^^^^^^
      = help: add "Transform: AWS::Serverless-2016-10-31"
    "#);
}
