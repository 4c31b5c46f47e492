use std::collections::BTreeMap;

use async_trait::async_trait;
use serde::{Deserialize, Serialize};
use serde_json::{Map, json};

use super::resolve::survey_kinds;
use super::*;
use crate::core::template::parse;
use crate::core::template::render::{Rendering, render};
use crate::core::types::{self, Attribute, Desired, Live, Naming, Part, Reference, Within};
use crate::core::words::{Problem, deserialize};

/// A resource type for tests: its properties by name, and which of them are special.
struct Fake {
    type_name: &'static str,
    canonical: fn(&Value) -> Result<Value, Vec<Problem>>,
    naming: Option<Naming>,
    create_only: &'static [&'static str],
    hard: &'static [&'static str],
    arn: Option<(&'static str, &'static str)>,
}

#[async_trait]
impl Kind for Fake {
    fn refuses(&self, _: &Value) -> Vec<crate::core::types::constraints::Refusal> {
        Vec::new()
    }

    fn type_name(&self) -> &'static str {
        self.type_name
    }

    fn noun(&self) -> &'static str {
        "fake"
    }

    // A fake has the parents of the real type with its name.
    fn within(&self) -> Option<Within> {
        types::kind(self.type_name)?.within()
    }

    fn unique_by(&self) -> &'static [&'static str] {
        types::kind(self.type_name).map_or(&[], |kind| kind.unique_by())
    }

    fn references(&self) -> &'static [Reference] {
        types::kind(self.type_name).map_or(&[], |kind| kind.references())
    }

    fn is_frozen_by_deployments(&self) -> bool {
        types::kind(self.type_name).is_some_and(|kind| kind.is_frozen_by_deployments())
    }

    fn conflicts(&self, stack: &dyn StackView) -> Vec<Problem> {
        types::kind(self.type_name).map_or_else(Vec::new, |kind| kind.conflicts(stack))
    }

    fn ignores_case(&self) -> bool {
        types::kind(self.type_name).is_some_and(|kind| kind.ignores_case())
    }

    fn part(&self) -> Part {
        types::kind(self.type_name).map_or(Part::Other, |kind| kind.part())
    }

    fn has_code(&self) -> bool {
        types::kind(self.type_name).is_some_and(|kind| kind.has_code())
    }

    fn code_property(&self) -> Option<&'static str> {
        types::kind(self.type_name)?.code_property()
    }

    fn canonical(&self, properties: &Value) -> Result<Value, Vec<Problem>> {
        (self.canonical)(properties)
    }

    fn naming(&self) -> Option<Naming> {
        self.naming
    }

    fn create_only(&self) -> &'static [&'static str] {
        self.create_only
    }

    fn hard(&self) -> &'static [&'static str] {
        self.hard
    }

    fn attribute(&self, scope: &Scope, name: Option<&str>, attribute: Option<&str>) -> Attribute {
        match (attribute, self.arn, name) {
            (None, _, Some(name)) => Attribute::Known(name.to_owned()),
            (None, _, None) => Attribute::Minted,
            (Some("Arn"), Some((service, prefix)), Some(name)) => {
                Attribute::Known(scope.arn(service, &format!("{prefix}{name}")))
            }
            (Some("ApiEndpoint"), None, None) => Attribute::Minted,
            _ if self.arn.is_some() => Attribute::Unknown(&["Arn"]),
            _ => Attribute::Unknown(&["ApiEndpoint"]),
        }
    }

    fn is(&self, _: &Desired, _: &Live) -> bool {
        false
    }

    fn permissions(
        &self,
        _: &crate::core::types::iam_permissions::Subject<'_>,
        _: &mut crate::core::types::iam_permissions::Permissions,
    ) {
    }
}

/// Makes properties canonical with a struct.
fn typed<T: Serialize + for<'de> Deserialize<'de>>(properties: &Value) -> Result<Value, Vec<Problem>> {
    deserialize::read::<T>(properties).map(|properties| serde_json::to_value(properties).unwrap())
}

macro_rules! properties {
    ($name:ident { $($(#[$attribute:meta])* $field:ident: $type:ty),* $(,)? }) => {
        #[derive(Serialize, Deserialize)]
        #[serde(rename_all = "PascalCase")]
        struct $name { $($(#[$attribute])* #[serde(skip_serializing_if = "is_default")] $field: $type,)* }
    };
}

fn is_default<T: Default + PartialEq>(value: &T) -> bool {
    *value == T::default()
}

fn pay_per_request() -> String {
    "PAY_PER_REQUEST".to_owned()
}

properties!(Table {
    table_name: Option<String>,
    key_schema: Value,
    #[serde(default)]
    attribute_definitions: Value,
    #[serde(default = "pay_per_request")]
    billing_mode: String,
    #[serde(default)]
    tags: Vec<Value>,
});
properties!(Role {
    role_name: Option<String>,
    path: Option<String>,
    assume_role_policy_document: Value,
    #[serde(default)]
    managed_policy_arns: Vec<String>,
    #[serde(default)]
    policies: Vec<Value>,
    #[serde(default)]
    tags: Vec<Value>,
});
properties!(Function {
    function_name: Option<String>,
    code: Value,
    role: String,
    handler: Option<String>,
    runtime: Option<String>,
    description: Option<String>,
    memory_size: Option<u16>,
    #[serde(default)]
    environment: Value,
    #[serde(default)]
    tags: Vec<Value>,
});
properties!(Permission { action: String, function_name: String, principal: String, source_arn: Option<String>, });
properties!(Api { name: String, protocol_type: String });
properties!(Integration { api_id: String, integration_type: String, integration_uri: String });
properties!(Route { api_id: String, route_key: String, target: Option<String>, });
properties!(Deployment { api_id: String });
properties!(Stage { api_id: String, stage_name: String, deployment_id: Option<String>, });

const PLAIN: Fake =
    Fake { type_name: "", canonical: typed::<Api>, naming: None, create_only: &[], hard: &[], arn: None };

static KINDS: &[&dyn Kind] = &[
    &Fake {
        type_name: "AWS::DynamoDB::Table",
        canonical: typed::<Table>,
        naming: Some(Naming { property: "TableName", longest: 255, within: None, path: None }),
        create_only: &["TableName", "KeySchema"],
        arn: Some(("dynamodb", "table/")),
        ..PLAIN
    },
    &Fake {
        type_name: "AWS::IAM::Role",
        canonical: typed::<Role>,
        naming: Some(Naming { property: "RoleName", longest: 64, within: None, path: None }),
        create_only: &["RoleName", "Path"],
        arn: Some(("iam", "role/")),
        ..PLAIN
    },
    &Fake {
        type_name: "AWS::Lambda::Function",
        canonical: typed::<Function>,
        naming: Some(Naming { property: "FunctionName", longest: 64, within: None, path: None }),
        create_only: &["FunctionName"],
        hard: &["Role"],
        arn: Some(("lambda", "function:")),
    },
    &Fake { type_name: "AWS::Lambda::Permission", canonical: typed::<Permission>, hard: &["FunctionName"], ..PLAIN },
    &Fake { type_name: "AWS::ApiGatewayV2::Api", ..PLAIN },
    &Fake { type_name: "AWS::ApiGatewayV2::Integration", canonical: typed::<Integration>, ..PLAIN },
    &Fake { type_name: "AWS::ApiGatewayV2::Route", canonical: typed::<Route>, ..PLAIN },
    &Fake { type_name: "AWS::ApiGatewayV2::Deployment", canonical: typed::<Deployment>, ..PLAIN },
    &Fake { type_name: "AWS::ApiGatewayV2::Stage", canonical: typed::<Stage>, ..PLAIN },
];

fn scope() -> Scope {
    Scope {
        stack: "chat".to_owned(),
        account: "123456789012".to_owned(),
        region: "eu-west-1".to_owned(),
        partition: "aws".to_owned(),
    }
}

fn given(parameters: &[(&str, &str)]) -> BTreeMap<String, String> {
    parameters.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
}

fn resolve_with(text: &str, parameters: &[(&str, &str)]) -> Result<Stack, Vec<Problem>> {
    let parameters = given(parameters);
    survey_kinds(parse(text.as_bytes())?, &parameters, &scope(), &Lookups::default(), KINDS).finish()
}

#[track_caller]
fn stack(text: &str) -> Stack {
    resolve_with(text, &[]).unwrap_or_else(|problems| panic!("{}", shown(text, &problems)))
}

fn shown(text: &str, problems: &[Problem]) -> String {
    render(problems, Rendering { file: "chat.yaml", text, colour: false })
}

/// The problems of a template, one a line: `line:column sentence [help]`.
#[track_caller]
fn problems_with(text: &str, parameters: &[(&str, &str)]) -> String {
    let problems = resolve_with(text, parameters).expect_err("a wrong template");
    let lines = problems.iter().map(|problem| {
        let place = shown(text, std::slice::from_ref(problem));
        let place = place.lines().find_map(|line| line.trim_start().strip_prefix("--> chat.yaml:")).unwrap_or("-");
        let help = problem.help.as_ref().map_or_else(String::new, |help| format!(" [{help}]"));
        format!("{place} {}{help}", problem.what)
    });
    lines.collect::<Vec<_>>().join("\n")
}

#[track_caller]
fn problems(text: &str) -> String {
    problems_with(text, &[])
}

/// The value of one output of a template with little else in it.
#[track_caller]
fn evaluated(sections: &str, value: &str) -> String {
    let text = format!("{sections}\nResources:\n{TABLE}\nOutputs:\n  Out:\n    Value: {value}\n");
    Token::readable(&stack(&text).outputs["Out"].value)
}

const TABLE: &str = "  Table:
    Type: AWS::DynamoDB::Table
    Properties:
      TableName: rows
      KeySchema: [{ AttributeName: id, KeyType: HASH }]
  Api:
    Type: AWS::ApiGatewayV2::Api
    Properties: { Name: api, ProtocolType: WEBSOCKET }";

#[test]
fn a_chat_app_resolves() {
    let stack = stack(include_str!("../../../tests/fixtures/chat-app.yaml"));
    let shown: Map<String, Value> = stack
        .resources
        .iter()
        .map(|(logical_id, resource)| {
            let properties: Value = serde_json::from_str(&Token::readable(&resource.properties.to_string())).unwrap();
            let shown = json!({
                "name": resource.name,
                "hard": resource.hard,
                "soft": resource.soft,
                "policy": resource.deletion_policy.as_str(),
                "code": match &resource.code {
                    Some(Code::Local(path)) => json!(path),
                    Some(Code::Inline(text)) => json!({ "inline": text }),
                    Some(Code::Uploaded(uploaded)) => json!({ "uploaded": uploaded.key }),
                    None => json!(null),
                },
                "binary": resource.binary,
                "properties": properties,
            });
            (logical_id.clone(), shown)
        })
        .collect();
    insta::assert_snapshot!(serde_json::to_string_pretty(&shown).unwrap());
    assert_eq!(
        Token::readable(&stack.outputs["WebSocketURI"].value),
        "wss://<Api>.execute-api.eu-west-1.amazonaws.com/<Stage>"
    );
}

#[test]
fn functions_are_evaluated() {
    let sections = "
Transform: AWS::LanguageExtensions
Parameters:
  Word: { Type: String, Default: hello }
  List: { Type: CommaDelimitedList, Default: 'a, b,c' }
  Count: { Type: Number, Default: 3 }
Mappings:
  Sizes: { prod: { memory: 512, zones: [x, y] } }
Conditions:
  Is: !Equals [!Ref Word, hello]
  Not: !Not [!Condition Is]
  Both: !And [!Condition Is, { Condition: Not }]
  Either: !Or [!Condition Is, !Condition Not]
";
    for (value, expected) in [
        ("!Ref Word", "hello"),
        ("!Ref Count", "3"),
        ("!Ref Table", "rows"),
        ("!Ref Api", "<Api>"),
        ("!Ref AWS::Region", "eu-west-1"),
        ("!Ref AWS::AccountId", "123456789012"),
        ("!Ref AWS::Partition", "aws"),
        ("!Ref AWS::URLSuffix", "amazonaws.com"),
        ("!Ref AWS::StackName", "chat"),
        ("!GetAtt Table.Arn", "arn:aws:dynamodb:eu-west-1:123456789012:table/rows"),
        ("{ 'Fn::GetAtt': Table.Arn }", "arn:aws:dynamodb:eu-west-1:123456789012:table/rows"),
        ("{ 'Fn::GetAtt': [Table, Arn] }", "arn:aws:dynamodb:eu-west-1:123456789012:table/rows"),
        ("!GetAtt Api.ApiEndpoint", "<Api.ApiEndpoint>"),
        (
            "!Sub '${Word}-${Table}-${Table.Arn}-${!Literal}-${AWS::Region}'",
            "hello-rows-arn:aws:dynamodb:eu-west-1:123456789012:table/rows-${Literal}-eu-west-1",
        ),
        ("!Sub ['${A}/${Word}/${Api}', { A: !Select [1, !Ref List] }]", "b/hello/<Api>"),
        ("!Sub 'open ${ end'", "open ${ end"),
        ("!Join [':', [a, !Ref AWS::NoValue, 1, true, !Ref Word]]", "a:1:true:hello"),
        ("!Join ['+', !Ref List]", "a+b+c"),
        ("!Join ['', !Split ['l', !Ref Word]]", "heo"),
        ("!Select [5, !Split [':', !GetAtt Table.Arn]]", "table/rows"),
        ("!Select ['0', [!Ref Api]]", "<Api>"),
        ("!If [Is, a, b]", "a"),
        ("!If [Not, !Ref Word, b]", "b"),
        ("!If [Both, a, b]", "b"),
        ("!If [Either, a, b]", "a"),
        ("!FindInMap [Sizes, prod, memory]", "512"),
        ("!Select [1, !FindInMap [Sizes, !Join ['', [pr, od]], zones]]", "y"),
        ("!Base64 hello", "aGVsbG8="),
        ("!Base64 { 'Fn::Sub': '${Table}' }", "cm93cw=="),
        ("{ 'Fn::Length': !Ref List }", "3"),
        ("!FindInMap [Sizes, test, memory, { DefaultValue: !Ref Count }]", "3"),
        ("!Join [' ', !Cidr [10.0.0.0/16, 2, !Select [0, ['8']]]]", "10.0.0.0/24 10.0.1.0/24"),
        ("!Select [1, !GetAZs '']", "eu-west-1b"),
        ("!Select [0, { 'Fn::GetAZs': !Ref AWS::Region }]", "eu-west-1a"),
        ("!Join ['', !GetAZs us-west-1]", "us-west-1aus-west-1c"),
        ("{ 'Fn::ToJsonString': { a: [1, !Ref Api] } }", r#"{"a":[1,"<Api>"]}"#),
    ] {
        assert_eq!(evaluated(sections, value), expected, "{value}");
    }
}

#[test]
fn a_wrong_use_of_a_function_is_corrected() {
    let values = [
        "!Ref Tabel",
        "!Ref [Table]",
        "!Ref AWS::Regoin",
        "!GetAtt Table.Ar",
        "!GetAtt Table",
        "!GetAtt Nowhere.Arn",
        "!Sub '${Tabl}'",
        "!Sub '${Table.Name}'",
        "!Sub '${Table Arn}'",
        "!Sub '${List}'",
        "!Sub [a, b, c]",
        "!Join [',']",
        "!Join [',', abc]",
        "!Join [',', [[a]]]",
        "!Select [3, [a, b]]",
        "!Select [x, [a, b]]",
        "!Split ['-', !Ref Api]",
        "!Split ['', abc]",
        "!If [Never, a, b]",
        "!If [a, b]",
        "!FindInMap [Sizes, prd, memory]",
        "!FindInMap [Size, prod, memory]",
        "!ImportValue ''",
        "!Cidr [10.0.0.0/16, 2]",
        "!Cidr [10.0.0.0/16, 2, 20]",
        "!Cidr [10.0.0.0/16, two, 8]",
        "!GetAZs nowhere-1",
        "!FindInMap [Sizes, prod, memory, 512]",
        "!Transform { Name: AWS::Include }",
        "!Contains [[a], a]",
        "{ 'Fn::ForEach::Loop': [A, [b], { c: d }] }",
        "'{{resolve:vault:/password}}'",
        "!Equals [a, b]",
        "{ 'Fn::Jion': [',', []] }",
        "{ 'Fn::Join': [',', []], Other: 1 }",
        "{ 'Fn::ToJsonString': abc }",
        "[a, b]",
    ];
    let mut text = format!(
        "Transform: AWS::LanguageExtensions\nParameters:\n  List: {{ Type: CommaDelimitedList, Default: a }}\nMappings:\n  Sizes: {{ prod: {{ memory: 512 }} }}\n\
         Resources:\n{TABLE}\nOutputs:\n"
    );
    for (number, value) in values.iter().enumerate() {
        text.push_str(&format!("  O{number}: {{ Value: {value} }}\n"));
    }
    insta::assert_snapshot!(problems(&text), @r#"
    16:16 there is no resource or parameter "Tabel" [did you mean "Table"?]
    17:9 Ref takes the name of a resource or parameter
    18:16 there is no resource or parameter "AWS::Regoin" [did you mean "AWS::Region"?]
    19:16 AWS::DynamoDB::Table has no attribute "Ar" [did you mean "Arn"?]
    20:16 Fn::GetAtt takes a logical id and an attribute
    21:16 there is no resource "Nowhere" [known here: Api, Table]
    22:24 there is no resource or parameter "Tabl" [did you mean "Table"?]
    23:24 AWS::DynamoDB::Table has no attribute "Name" [known here: Arn]
    24:24 Template error: variable names in Fn::Sub syntax must contain only alphanumeric characters, underscores, periods, and colons [for a literal ${Table Arn} write ${!Table Arn}]
    25:16 ${List} is not a string
    26:10 Fn::Sub takes a string, or a list of a string and a map of variables
    27:10 this takes a list: a delimiter and the list of what to join
    28:29 this must be a list
    29:29 Fn::Join joins strings only
    30:10 Fn::Select cannot select nonexistent value at index 3 [the list has 2 values, and the first is 0]
    31:26 "x" is not an index
    32:30 <Api> is not known before it exists, so nothing can be computed from it
    33:25 the delimiter of Fn::Split cannot be empty
    34:22 there is no condition "Never"
    35:10 this takes a list: a condition's name, the value if it holds, the value if not
    36:36 Sizes has no key "prd" [did you mean "prod"?]
    37:29 Mappings has no key "Size" [did you mean "Sizes"?]
    38:17 Fn::ImportValue takes the name of an export
    39:10 this takes a list: a block of addresses, how many blocks to cut from it, the bits of each
    40:10 10.0.0.0/16 has no 2 blocks of 20 bits each
    41:37 "two" is not a whole number
    42:17 the zones of the region "nowhere-1" are not known here [write the list of zones out, or make it a parameter]
    43:10 this takes a list: the name of a map, and two keys
    44:10 Fn::Transform runs a macro inside CloudFormation, which wschat does not use [write out what the macro would make]
    45:10 Fn::Contains can be used in rules only
    46:19 Fn::ForEach is not supported yet [write the loop out]
    47:17 dynamic references read from ssm, ssm-secure and secretsmanager, not from "vault"
    48:10 Fn::Equals can be used in conditions only
    49:19 unknown intrinsic function "Fn::Jion" [did you mean "Fn::Join"?]
    50:19 Fn::Join must stand alone in its map
    51:39 Fn::ToJsonString takes a map or a list
    52:10 the value of an output must be a string
    "#);
}

#[test]
fn parameters_are_checked() {
    let text = format!(
        "Parameters:
  Stage: {{ Type: String, AllowedValues: [dev, prod], Default: dev }}
  Name: {{ Type: String, AllowedPattern: '[a-z]+', ConstraintDescription: small letters }}
  Size: {{ Type: Number, MinValue: 1, MaxValue: 10, Default: 5 }}
  Sizes: {{ Type: List<Number>, Default: '1,2' }}
  Secret: {{ Type: String, NoEcho: true, MinLength: 4, Default: none }}
  Odd: {{ Type: Strng, Default: x }}
  Stored: {{ Type: 'AWS::SSM::Parameter::Value<String>', Default: x }}
  Key: {{ Type: 'AWS::SSM::Parameter::Name', Default: /a/b, MinLength: '3', MaxLength: 4 }}
Resources:\n{TABLE}\n"
    );
    insta::assert_snapshot!(problems(&text), @r#"
    3:3 the parameter Name has no value [give it: --parameter Name=VALUE]
    7:16 unknown parameter type "Strng" [did you mean "String"?]
    "#);
    let parameters =
        [("Stage", "test"), ("Name", "A1"), ("Size", "11"), ("Sizes", "1,x"), ("Secret", "abc"), ("Stag", "dev")];
    insta::assert_snapshot!(problems_with(&text, &parameters), @r#"
    - the template has no parameter "Stag" [did you mean "Stage"?]
    2:3 the parameter Stage must be one of dev, prod, not "test"
    3:3 the parameter Name must match [a-z]+, not "A1" [small letters]
    4:3 the parameter Size must be at most 10, not "11"
    5:3 the parameter Sizes must be a number, not "x"
    6:3 the parameter Secret must have at least 4 characters
    7:16 unknown parameter type "Strng" [did you mean "String"?]
    "#);
}

#[test]
fn secrets_are_collected() {
    let text = format!("Parameters:\n  Key: {{ Type: String, NoEcho: true }}\nResources:\n{TABLE}\n");
    let stack = resolve_with(&text, &[("Key", "s3cret")]).unwrap();
    assert!(stack.secrets.are_in("key=s3cret"));
}

/// A stack whose outputs are these expressions of the parameter `Secret`, in order.
fn outputs_of(expressions: &[&str], secret: &str) -> Stack {
    let outputs: String = expressions
        .iter()
        .enumerate()
        .map(|(index, value)| format!("  Out{index:02}: {{ Value: {value} }}\n"))
        .collect();
    let text = format!(
        "Transform: AWS::LanguageExtensions\nParameters:\n  Secret: {{ Type: String, NoEcho: true }}\n  \
         Secrets: {{ Type: CommaDelimitedList, NoEcho: true, Default: 'one-secret,two-secret' }}\n  \
         Plain: {{ Type: String, Default: plainly }}\nMappings:\n  Map: {{ {secret}: {{ key: looked-up }} }}\nConditions:\n  \
         IsIt: !Equals [!Ref Secret, {secret}]\nResources:\n  Named:\n    Type: AWS::DynamoDB::Table\n    Properties:\n      \
         TableName: !Sub 't-${{Secret}}'\n      KeySchema: []\n{TABLE}\nOutputs:\n{outputs}"
    );
    resolve_with(&text, &[("Secret", secret)]).unwrap_or_else(|problems| panic!("{problems:?}"))
}

#[test]
fn a_value_computed_from_a_secret_is_a_secret() {
    let secret = [
        "!Ref Secret",
        "!Sub 'key=${Secret}'",
        "!Sub ['key=${It}', { It: !Ref Secret }]",
        "!Join ['-', [a, !Ref Secret]]",
        "!Join [!Ref Secret, [a, b]]",
        "{ 'Fn::Base64': !Ref Secret }",
        "{ 'Fn::Base64': { 'Fn::Base64': !Sub 'x${Secret}y' } }",
        "!Select [1, !Split ['-', !Ref Secret]]",
        "!Select [0, !Split ['3', !Sub 'x${Secret}y']]",
        "!Join ['+', !Split ['-', !Ref Secret]]",
        "!Select [0, !Ref Secrets]",
        "!Join ['', !Ref Secrets]",
        "{ 'Fn::ToJsonString': { a: !Ref Secret } }",
        "!If [IsIt, !Ref Secret, b]",
        "!FindInMap [Map, !Ref Secret, key]",
        "{ 'Fn::Base64': !Ref Named }",
        "!GetAtt Named.Arn",
        "!Sub '${Named}'",
    ];
    let stack = outputs_of(&secret, "s3cret-hunter2");
    for (expression, output) in secret.iter().zip(stack.outputs.values()) {
        assert!(output.secret, "{expression} gives {}", output.value);
        assert!(stack.secrets.are_in(&output.value), "{expression} gives {}", output.value);
        let masked = stack.secrets.mask(&format!("it is {}.", output.value));
        for part in ["s3cret", "hunter2", "one-secret", &output.value] {
            assert!(!masked.contains(part), "{expression}: {masked}");
        }
    }
    let open = [
        "!Ref Plain",
        "!Sub '${Plain}-${AWS::Region}'",
        "{ 'Fn::Base64': !Ref Plain }",
        "!Select [0, !Split ['n', !Ref Plain]]",
        "!If [IsIt, chosen, other]",
        "{ 'Fn::Base64': !Ref Table }",
        "!GetAtt Table.Arn",
    ];
    let stack = outputs_of(&open, "s3cret-hunter2");
    for (expression, output) in open.iter().zip(stack.outputs.values()) {
        assert!(!output.secret && !stack.secrets.are_in(&output.value), "{expression} gives {}", output.value);
    }
}

#[test]
fn no_problem_quotes_a_secret() {
    for wrong in [
        "!Select [!Ref Secret, [a]]",
        "!FindInMap [!Ref Secret, a, b]",
        "!GetAZs { Ref: Secret }",
        "!Select [0, { 'Fn::Cidr': [!Ref Secret, 2, 8] }]",
        "!GetAtt [Table, !Ref Secret]",
    ] {
        let text = format!(
            "Parameters:\n  Secret: {{ Type: String, NoEcho: true, Default: s3cret }}\nResources:\n{TABLE}\nOutputs:\n  \
             Out: {{ Value: {wrong} }}\n"
        );
        let problems = resolve_with(&text, &[]).unwrap_err();
        assert!(!problems.is_empty() && !format!("{problems:?}").contains("s3cret"), "{wrong}: {problems:?}");
    }
}

#[test]
fn names_depend_on_create_only_properties() {
    let table = |extra: &str, key: &str| {
        let text = format!(
            "Resources:\n  Connections:\n    Type: AWS::DynamoDB::Table\n    Properties:\n{extra}\
             \n      KeySchema: [{{ KeyType: HASH, AttributeName: {key} }}]\n"
        );
        stack(&text).resources["Connections"].name.clone().unwrap()
    };
    let plain = table("", "id");
    assert_eq!(plain.len(), "chat-Connections-".len() + 8);
    assert_eq!(plain, table("      BillingMode: PAY_PER_REQUEST", "id"));
    assert_eq!(plain, table("      Tags: [{ Key: a, Value: b }]", "id"));
    assert_ne!(plain, table("", "key"));
    assert_eq!(table("      TableName: mine", "id"), "mine");
}

#[test]
fn a_name_may_contain_names() {
    let text = |key: &str| {
        format!(
            "Resources:
  Table:
    Type: AWS::DynamoDB::Table
    Properties:
      KeySchema: [{{ AttributeName: {key}, KeyType: HASH }}]
  Role:
    Type: AWS::IAM::Role
    Properties:
      Path: !Sub /${{Table}}/
      AssumeRolePolicyDocument: {{}}
"
        )
    };
    let (one, other) = (stack(&text("a")), stack(&text("b")));
    assert_ne!(one.resources["Role"].name, other.resources["Role"].name, "a new table is a new path is a new role");
    let table = one.resources["Table"].name.clone().unwrap();
    assert_eq!(one.resources["Role"].properties["Path"], format!("/{table}/"));
}

#[test]
fn a_long_logical_id_is_cut_and_not_the_hash() {
    let text = "Resources:
  ThisIsAnExceedinglyLongLogicalIdThatNoServiceTakesAsAName:
    Type: AWS::IAM::Role
    Properties: { AssumeRolePolicyDocument: {} }
  ThisIsAnExceedinglyLongLogicalIdThatNoServiceTakesAsANameEither:
    Type: AWS::IAM::Role
    Properties: { AssumeRolePolicyDocument: {} }
";
    let stack = stack(text);
    let names: Vec<&String> = stack.resources.values().filter_map(|resource| resource.name.as_ref()).collect();
    assert!(names.iter().all(|name| name.len() == 64), "{names:?}");
    assert_ne!(names[0], names[1]);
}

#[test]
fn mistakes_are_found_all_at_once() {
    let text = include_str!("../../../tests/fixtures/mistakes.yaml");
    let problems = resolve_with(text, &[]).expect_err("mistakes");
    insta::assert_snapshot!(shown(text, &problems));
}

#[test]
fn circles_are_reported() {
    let function = |name: &str, other: &str| {
        format!(
            "  {name}:\n    Type: AWS::Lambda::Function\n    Properties:\n      Code: x\n      Role: r\n      \
             Environment: {{ Variables: {{ OTHER: !GetAtt {other}.Arn }} }}\n"
        )
    };
    let text = format!("Resources:\n{}{}{}", function("A", "B"), function("B", "C"), function("C", "A"));
    insta::assert_snapshot!(problems(&text), @"19:42 circular dependency between resources: A -> B -> C -> A [A refers to B in Environment/Variables/OTHER, B refers to C in Environment/Variables/OTHER, C refers to A in Environment/Variables/OTHER]");
    let own = format!("Resources:\n{}", function("A", "A"));
    insta::assert_snapshot!(problems(&own), @"7:42 circular dependency between resources: A -> A [A refers to A in Environment/Variables/OTHER]");
    let table = "Resources:
  Table:
    Type: AWS::DynamoDB::Table
    DependsOn: Role
    Properties: { KeySchema: [{ AttributeName: !Ref Table, KeyType: HASH }] }
  Role:
    Type: AWS::IAM::Role
    Properties: { Path: !Ref Table, AssumeRolePolicyDocument: {} }
";
    insta::assert_snapshot!(problems(table), @r"
    4:16 circular dependency between resources: Role -> Table -> Role [Role refers to Table in Path, Table refers to Role in DependsOn]
    5:48 circular dependency between resources: Table -> Table [Table refers to Table in KeySchema/0/AttributeName]
    ");
}

#[test]
fn code_in_s3_is_what_was_uploaded_under_its_key() {
    let function = |code: &str, metadata: &str| {
        let text = format!(
            "Parameters: {{ V: {{ Type: String, Default: '7' }} }}\nResources:\n{TABLE}\n  F:\n    Type: AWS::Lambda::Function\n    \
             Metadata: {metadata}\n    Properties: {{ Role: r, Runtime: nodejs22.x, Handler: a.b, Code: {code} }}\n"
        );
        stack(&text).resources["F"].clone()
    };
    let uploaded = |key: &str, asset: Option<&str>| {
        let (bucket, asset) = (Some("b".to_owned()), asset.map(str::to_owned));
        Some(Code::Uploaded(Uploaded { bucket, key: key.to_owned(), version: None, asset }))
    };
    let it = function("{ S3Bucket: b, S3Key: !Sub 'app/${V}/f.zip' }", "{}");
    assert_eq!((&it.code, &it.build), (&uploaded("app/7/f.zip", None), &Build::Skip));
    assert_eq!(it.properties["Code"], json!({ LOCAL_CODE: true }));
    // How it was built before is no matter.
    let it = function("{ S3Bucket: b, S3Key: 0a1b }", "{ BuildMethod: go1.x, 'aws:asset:path': asset.0a1b }");
    assert_eq!((&it.code, &it.build), (&uploaded("0a1b", Some("asset.0a1b")), &Build::Skip));
    for key in ["app/", "app/..", "!Ref Api"] {
        let text = format!(
            "Resources:\n{TABLE}\n  F:\n    Type: AWS::Lambda::Function\n    \
             Properties: {{ Role: r, Runtime: nodejs22.x, Handler: a.b, Code: {{ S3Bucket: b, S3Key: {key} }} }}\n"
        );
        let what = "the key of code in S3 must be text that is known before anything exists";
        assert!(problems(&text).contains(what), "{key}: {}", problems(&text));
    }
    // A bucket of the stack itself is none to fetch from.
    let it = function("{ S3Bucket: !Ref Api, S3Key: k, S3ObjectVersion: v }", "{}");
    let here = Uploaded { bucket: None, key: "k".to_owned(), version: Some("v".to_owned()), asset: None };
    assert_eq!(it.code, Some(Code::Uploaded(here)));
}

#[test]
fn a_layer_and_an_image_are_resolved() {
    let text = "
Resources:
  Wire:
    Type: AWS::Lambda::LayerVersion
    Properties: { Content: { S3Bucket: b, S3Key: k }, CompatibleRuntimes: [nodejs22.x] }
  Allow:
    Type: AWS::Lambda::LayerVersionPermission
    Properties: { LayerVersionArn: !Ref Wire, Action: lambda:GetLayerVersion, Principal: 'arn:aws:iam::210987654321:root' }
  F:
    Type: AWS::Lambda::Function
    Properties: { Role: 'arn:aws:iam::123456789012:role/r', PackageType: Image, Code: { ImageUri: here/it:1 }, Description: !GetAtt Wire.LayerVersionArn }
";
    let loaded = |text: &str| load(text.as_bytes(), &BTreeMap::new(), &scope());
    let stack = loaded(text).unwrap();
    let (wire, function) = (&stack.resources["Wire"], &stack.resources["F"]);
    assert!(wire.name.as_ref().is_some_and(|name| name.starts_with("chat-Wire-")), "{:?}", wire.name);
    assert!(matches!(&wire.code, Some(Code::Uploaded(it)) if it.key == "k"));
    assert_eq!((&function.code, &function.properties["ImageUri"]), (&None, &json!("here/it:1")));
    assert!(function.properties.get("Runtime").is_none() && function.hard.contains("Wire"), "{function:?}");
    assert_eq!(stack.resources["Allow"].properties["Principal"], "210987654321");
    for (properties, what) in [
        ("PackageType: Image, Code: { ImageUri: a }, Runtime: nodejs22.x", "Runtime is for code in a zip"),
        ("PackageType: Image, Code: { S3Bucket: b, S3Key: k }", "Code names no image"),
        ("PackageType: Image, Code: { ImageUri: a }, ImageUri: a", "unknown property \"ImageUri\""),
        ("Handler: a.b, Code: a", "missing property \"Runtime\" of AWS::Lambda::Function"),
    ] {
        let text = format!(
            "Resources:\n  F:\n    Type: AWS::Lambda::Function\n    Properties: {{ Role: 'arn:aws:iam::123456789012:role/r', {properties} }}\n"
        );
        let problems = loaded(&text).unwrap_err();
        assert!(problems.len() == 1 && problems[0].what.contains(what), "{properties}: {problems:?}");
    }
}

#[test]
fn custom_resources_may_have_a_version() {
    let version = |type_name: &str| problems(&format!("Resources:\n  R:\n    Type: {type_name}\n    Version: '1.0'\n"));
    for custom in ["Custom::Thing", "AWS::CloudFormation::CustomResource"] {
        assert_eq!(version(custom), format!("2:3 missing property \"ServiceToken\" of {custom}"));
    }
    assert!(
        version("AWS::Logs::LogGroup").contains("unknown attribute \"Version\" of R"),
        "{}",
        version("AWS::Logs::LogGroup")
    );
}

#[test]
fn inline_code_may_contain_names_but_no_minted_attributes() {
    let text = |runtime: &str, code: &str| {
        format!(
            "Resources:\n{TABLE}\n  F:\n    Type: AWS::Lambda::Function\n    Properties:\n      Role: r\n      Runtime: {runtime}\n      \
             Code: {{ ZipFile: {code} }}\n"
        )
    };
    let resolved = stack(&text("nodejs22.x", "!Sub \"use ${Table}, ${!literally}\""));
    assert_eq!(resolved.resources["F"].code, Some(Code::Inline("use rows, ${literally}".to_owned())));
    assert_eq!(resolved.resources["F"].properties["Code"], json!({ LOCAL_CODE: true }));
    assert!(resolved.resources["F"].soft.contains("Table"));
    insta::assert_snapshot!(problems(&text("python3.13", "!Sub \"${Api}\"")), @"15:24 inline code must be known before anything exists, and <Api> is not [hand it over in a variable: Environment: { Variables: { NAME: ... } }]");
    insta::assert_snapshot!(problems(&text("provided.al2023", "text")), @"15:24 inline code is for nodejs and python, not for provided.al2023 [put it into a folder and name that in CodeUri]");
    let secret = problems(&text("nodejs22.x", "'{{resolve:ssm:/code}}'"));
    assert!(secret.starts_with("15:24 inline code cannot have dynamic references"), "{secret}");
    insta::assert_snapshot!(problems(&text("nodejs22.x", "{ a: b }")), @"15:15 inline code must be a string");
}

#[test]
fn false_conditions_remove_resources_and_outputs() {
    let text = "Parameters:
  Mode: { Type: String, Default: small }
Conditions:
  Large: !Equals [!Ref Mode, large]
Resources:
  Table:
    Type: AWS::DynamoDB::Table
    DependsOn: Extra
    Properties: { KeySchema: [{ AttributeName: id, KeyType: HASH }], TableName: !If [Large, large, !Ref AWS::NoValue] }
  Extra:
    Type: AWS::DynamoDB::Table
    Condition: Large
    Properties: { KeySchema: [{ AttributeName: id, KeyType: HASH }] }
Outputs:
  Extra: { Condition: Large, Value: !Ref Extra }
";
    let small = stack(text);
    assert_eq!(small.resources.keys().collect::<Vec<_>>(), ["Table"]);
    assert!(small.outputs.is_empty() && small.resources["Table"].hard.is_empty());
    let large = resolve_with(text, &[("Mode", "large")]).unwrap();
    assert_eq!(large.resources["Table"].name.as_deref(), Some("large"));
    assert!(large.resources["Table"].hard.contains("Extra"));
    let wrong = text.replace("Condition: Large, Value", "Value").replace("Condition: Large", "Condition: Larg");
    insta::assert_snapshot!(problems(&wrong), @r#"12:16 there is no condition "Larg" [did you mean "Large"?]"#);
    insta::assert_snapshot!(problems(&text.replace("Condition: Large, Value", "Value")), @"15:19 Unresolved resource dependencies [Extra]: its condition is false");
}

#[test]
fn deletion_policies_are_read() {
    let text = "Resources:
  Table:
    Type: AWS::DynamoDB::Table
    DeletionPolicy: Retain
    UpdateReplacePolicy: Delete
    Properties: { KeySchema: [{ AttributeName: id, KeyType: HASH }] }
";
    let resource = stack(text).resources["Table"].clone();
    assert_eq!(resource.deletion_policy, DeletionPolicy::Retain);
    assert_eq!(resource.update_replace_policy, DeletionPolicy::Delete);
    let wrong = text.replace("DeletionPolicy: Retain", "DeletionPolicy: Snapshot").replace("Delete\n", "Reatin\n");
    insta::assert_snapshot!(problems(&wrong), @r#"
    4:21 DeletionPolicy: Snapshot is for volumes, caches and databases of which AWS makes snapshots [Retain leaves the resource itself where it is]
    5:26 unknown UpdateReplacePolicy "Reatin" [did you mean "Retain"?]
    "#);
    let except = text.replace("DeletionPolicy: Retain", "DeletionPolicy: RetainExceptOnCreate");
    assert_eq!(stack(&except).resources["Table"].deletion_policy, DeletionPolicy::RetainExceptOnCreate);
    let misplaced = except.replace("UpdateReplacePolicy: Delete", "UpdateReplacePolicy: RetainExceptOnCreate");
    insta::assert_snapshot!(problems(&misplaced), @"5:26 UpdateReplacePolicy cannot be RetainExceptOnCreate: what is replaced was made by an earlier run [write Retain]");
}

#[test]
fn a_stack_name_begins_names() {
    let text = format!("Resources:\n{TABLE}\n");
    for (stack, fine) in [
        ("chat", true),
        ("a-1", true),
        ("1a", false),
        ("a_b", false),
        ("", false),
        (&"a".repeat(128), true),
        (&"a".repeat(129), false),
    ] {
        let scope = Scope { stack: stack.to_owned(), ..scope() };
        let template = parse(text.as_bytes()).unwrap();
        let survey = survey_kinds(template, &BTreeMap::new(), &scope, &Lookups::default(), KINDS);
        assert_eq!(survey.finish().is_ok(), fine, "{stack}");
    }
}

#[test]
fn language_extensions_need_their_transform() {
    let text = "Mappings:\n  M: { a: { b: c } }\nResources:\n  Api: { Type: AWS::ApiGatewayV2::Api, Properties: { Name: api, \
                ProtocolType: WEBSOCKET } }\nOutputs:\n  A: { Value: { 'Fn::Length': [a] } }\n  B: { Value: { \
                'Fn::ToJsonString': [a] } }\n  C: { Value: !FindInMap [M, a, x, { DefaultValue: d }] }\n";
    insta::assert_snapshot!(problems(text), @r#"
    6:17 Fn::Length needs the transform AWS::LanguageExtensions [add "Transform: AWS::LanguageExtensions", before SAM's if there is one]
    7:17 Fn::ToJsonString needs the transform AWS::LanguageExtensions [add "Transform: AWS::LanguageExtensions", before SAM's if there is one]
    8:38 DefaultValue of Fn::FindInMap needs the transform AWS::LanguageExtensions [add "Transform: AWS::LanguageExtensions", before SAM's if there is one]
    "#);
}

#[test]
fn rules_are_checked() {
    let text = format!(
        "Parameters:
  Stage: {{ Type: String, Default: dev }}
  Size: {{ Type: String, Default: small }}
  Zones: {{ Type: CommaDelimitedList, Default: 'a, b' }}
Conditions:
  IsProd: !Equals [!Ref Stage, prod]
Rules:
  ProdIsLarge:
    RuleCondition: !Equals [!Ref Stage, prod]
    Assertions:
      - Assert: !Contains [[large, huge], !Ref Size]
        AssertDescription: production takes a large one
      - Assert: !Not [!Contains [!Ref Zones, c]]
  Zones:
    Assertions:
      - Assert: !EachMemberIn [!Ref Zones, [a, b, c]]
      - Assert: {{ 'Fn::Or': [!EachMemberEquals [!Ref Zones, a], !Contains [!Ref Zones, b]] }}
Resources:\n{TABLE}\n"
    );
    assert!(resolve_with(&text, &[]).is_ok());
    assert!(resolve_with(&text, &[("Stage", "prod"), ("Size", "huge")]).is_ok());
    insta::assert_snapshot!(problems_with(&text, &[("Stage", "prod"), ("Zones", "c,x")]), @"
    11:9 the parameters do not keep the rule ProdIsLarge [production takes a large one]
    13:9 the parameters do not keep the rule ProdIsLarge
    16:9 the parameters do not keep the rule Zones
    17:9 the parameters do not keep the rule Zones
    ");

    let wrong = text
        .replace("!Contains [!Ref Zones, b]", "{ Condition: IsProd }")
        .replace("!EachMemberIn [!Ref Zones, [a, b, c]]", "!EachMemberIn [!Ref Zones, !RefAll 'AWS::EC2::VPC::Id']")
        .replace("!Contains [!Ref Zones, c]", "!Contans [!Ref Zones, c]")
        .replace("!Contains [[large, huge], !Ref Size]", "!Contains [[!Ref Nobody], !Ref Api]");
    let parse_problem = problems(&wrong);
    insta::assert_snapshot!(parse_problem, @r#"13:23 unknown tag "!Contans" [did you mean "Contains"?]"#);
    let wrong =
        wrong.replace("!Contans", "!Contains").replace("[!Ref Stage, prod]\n    Ass", "[!Ref Stage, dev]\n    Ass");
    insta::assert_snapshot!(problems(&wrong), @r#"
    11:29 there is no parameter "Nobody" [known here: AWS::AccountId, AWS::NoValue, AWS::Partition, AWS::Region, AWS::StackId, AWS::StackName, AWS::URLSuffix, Size, Stage, Zones]
    16:44 Fn::RefAll is not supported: CloudFormation looks its values up in the account [write out the values that are allowed]
    17:78 a rule speaks of parameters alone: conditions are not known to it
    "#);
}

#[test]
fn names_are_checked_in_unevaluated_parts() {
    let text = format!(
        "Conditions:
  Never: !Equals [a, b]
Resources:
{TABLE}
  Other:
    Type: AWS::DynamoDB::Table
    Condition: Never
    Properties:
      TableNam: x
      KeySchema: !If [Nevr, !Ref Tabel, !Sub ['${{X}}${{Y}}', {{ X: !GetAtt Other.Ar }}]]
  More:
    Type: AWS::DynamoDB::Table
    Condition: Never
    Properties:
      TableName: !Sub '${{Other}}-${{Api}}-${{AWS::Region}}'
      KeySchema: [{{ AttributeName: id, KeyType: HASH }}]
Outputs:
  A: {{ Condition: Never, Value: !GetAtt Tble.Arn }}
  B: {{ Value: !If [Never, !GetAtt Other.Arn, !Ref Table] }}
  C: {{ Value: !If [Never, !Ref Othr, !Ref Table] }}
"
    );
    insta::assert_snapshot!(problems(&text), @r#"
    16:7 unknown property "TableNam" of AWS::DynamoDB::Table [did you mean "TableName"?]
    17:23 there is no condition "Nevr" [did you mean "Never"?]
    17:29 there is no resource or parameter "Tabel" [did you mean "Table"?]
    17:54 there is no resource or parameter "Y" [known here: AWS::AccountId, AWS::NoValue, AWS::Partition, AWS::Region, AWS::StackId, AWS::StackName, AWS::URLSuffix, Api, More, Other, Table]
    17:64 AWS::DynamoDB::Table has no attribute "Ar" [did you mean "Arn"?]
    25:33 there is no resource "Tble" [did you mean "Table"?]
    27:27 there is no resource or parameter "Othr" [did you mean "Other"?]
    "#);
}

/// Whether a template is refused for its depth.
fn is_too_deep(text: &str) -> bool {
    let deep = |problem: &Problem| problem.what == "values are built on each other here, more than 400 deep";
    resolve_with(text, &[]).is_err_and(|problems| problems.iter().any(deep))
}

#[test]
fn circles_are_reported_and_depth_is_limited() {
    let text = format!(
        "Conditions:
  A: !Not [!Condition B]
  B: !Or [!Condition D, !Condition C]
  C: !And [!Condition D, !Condition B]
  D: !Equals [a, b]
Resources:\n{TABLE}\n"
    );
    insta::assert_snapshot!(problems(&text), @"4:26 circular dependency between conditions: B -> C -> B");

    let conditions: String = (0..1_999).map(|at| format!("  C{at}: !Not [!Condition C{}]\n", at + 1)).collect();
    let text = format!("Conditions:\n{conditions}  C1999: !Equals [a, b]\nResources:\n{TABLE}\n");
    assert!(is_too_deep(&text));

    let tables: String = (0..1_900)
        .map(|at| {
            format!(
                "  T{at}: {{ Type: AWS::DynamoDB::Table, Properties: {{ TableName: !Sub 'a${{T{}}}', KeySchema: [] }} }}\n",
                at + 1
            )
        })
        .collect();
    let text =
        format!("Resources:\n{tables}  T1900: {{ Type: AWS::DynamoDB::Table, Properties: {{ KeySchema: [] }} }}\n");
    assert!(is_too_deep(&text));
}

#[test]
fn global_types_are_taken_where_they_are_found_again() {
    let text = "Resources:\n  User:\n    Type: AWS::IAM::User\n";
    let in_region = |region: &str| {
        let loaded = load(text.as_bytes(), &BTreeMap::new(), &Scope { region: region.to_owned(), ..scope() });
        loaded.err().unwrap_or_default().into_iter().map(|problem| problem.what).collect::<String>()
    };
    assert_eq!(in_region("us-east-1"), "");
    let told = in_region("eu-west-1");
    assert!(told.contains("\"AWS::IAM::User\" is not supported in eu-west-1") && told.contains("us-east-1"), "{told}");
}

#[test]
fn values_outside_of_the_template_are_known_after_they_were_looked_up() {
    let text = format!(
        "Parameters:
  Size: {{ Type: 'AWS::SSM::Parameter::Value<String>', Default: /size, AllowedValues: [/size] }}
  Zones: {{ Type: 'AWS::SSM::Parameter::Value<List<String>>', Default: /zones }}
Conditions:
  Big: !Equals [!Ref Size, '512']
Resources:
{TABLE}
  F:
    Type: AWS::Lambda::Function
    Properties:
      Role: !ImportValue role
      Runtime: nodejs22.x
      Code: f
      MemorySize: '{{{{resolve:ssm:/memory:2}}}}'
      Description: !If [Big, !Select [1, !Ref Zones], small]
      FunctionName: !Sub ['${{Name}}-f', {{ Name: !ImportValue name }}]
Outputs:
  Arn: {{ Value: !GetAtt F.Arn }}
  Secret: {{ Value: !Sub '{{{{resolve:secretsmanager:${{Table}}:SecretString:key}}}}' }}
"
    );
    let survey =
        |lookups: &Lookups| survey_kinds(parse(text.as_bytes()).unwrap(), &given(&[]), &scope(), lookups, KINDS);
    let first = survey(&Lookups::default());
    assert!(first.problems.is_empty() && first.undecided, "{:?}", first.problems);
    let wanted: Vec<String> = first.lacking.iter().map(Lookup::to_string).collect();
    assert_eq!(
        wanted,
        [
            "Fn::ImportValue name",
            "Fn::ImportValue role",
            "ssm:/memory:2",
            "ssm:/size",
            "ssm:/zones",
            "secretsmanager:rows:SecretString:key"
        ]
    );
    let mut lookups = Lookups::default();
    for lookup in first.lacking {
        let value = match lookup.to_string().as_str() {
            "Fn::ImportValue name" => "chat",
            "Fn::ImportValue role" => "arn:aws:iam::1:role/r",
            "ssm:/zones" => "one, two",
            "ssm:/memory:2" | "ssm:/size" => "512",
            _ => "hush",
        };
        lookups.insert(lookup, Ok(value.to_owned()));
    }
    let second = survey(&lookups);
    assert!(second.problems.is_empty() && second.lacking.is_empty() && !second.undecided, "{:?}", second.problems);
    let function = &second.stack.resources["F"];
    assert_eq!(function.properties["MemorySize"], 512);
    assert_eq!(function.properties["Description"], "two");
    assert_eq!(function.name.as_deref(), Some("chat-f"));
    assert_eq!(second.stack.outputs["Arn"].value, "arn:aws:lambda:eu-west-1:123456789012:function:chat-f");
    assert!(second.stack.outputs["Secret"].secret && !second.stack.outputs["Arn"].secret);
    assert_eq!(second.stack.secrets.mask("hush"), "****");

    lookups.insert(
        Lookup::Export { name: "role".to_owned() },
        Err(lookups::Missing { what: "it is not there".to_owned(), help: Some("make it".to_owned()) }),
    );
    let [problem] = &survey(&lookups).problems[..] else { panic!("one problem") };
    assert_eq!((problem.what.as_str(), problem.help.as_deref()), ("it is not there", Some("make it")));
    assert_eq!(problem.path.to_string(), "Resources/F/Properties/Role/Fn::ImportValue");
}
