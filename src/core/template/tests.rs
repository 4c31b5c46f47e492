use serde_json::json;

use super::render::{Rendering, render};
use super::*;

/// The rendered problems of a text that cannot be read.
#[track_caller]
fn refused(text: &str) -> String {
    let problems = match parse(text.as_bytes()) {
        Err(problems) => problems,
        Ok(template) => template.report(template.problems.clone()),
    };
    assert!(!problems.is_empty(), "{text}");
    render(&problems, Rendering { file: "t.yaml", text, colour: false })
}

#[test]
fn short_forms_become_long_ones() {
    for (short, long) in [
        ("!Ref A", r#"{"Ref":"A"}"#),
        ("!GetAtt A.B.C", r#"{"Fn::GetAtt":["A","B.C"]}"#),
        ("!GetAtt [A, B]", r#"{"Fn::GetAtt":["A","B"]}"#),
        ("!Sub 'x${A}'", r#"{"Fn::Sub":"x${A}"}"#),
        ("!Join ['', [a, !Ref B, { Ref: C }]]", r#"{"Fn::Join":["",["a",{"Ref":"B"},{"Ref":"C"}]]}"#),
        ("!If [A, !Sub b, c]", r#"{"Fn::If":["A",{"Fn::Sub":"b"},"c"]}"#),
        ("!Condition A", r#"{"Condition":"A"}"#),
        (
            "{ Version: 2012-10-17, Account: 012345678901, Answer: yes, Size: 128, Rate: 1.5, Truth: true }",
            r#"{"Version":"2012-10-17","Account":"012345678901","Answer":true,"Size":128,"Rate":1.5,"Truth":true}"#,
        ),
        ("{ 123456789012: a, true: b }", r#"{"123456789012":"a","true":"b"}"#),
        ("{ Yes: a, 7e10: b, 'No': c, !!str on: d }", r#"{"true":"a","7e10":"b","No":"c","on":"d"}"#),
        ("!!str 12", r#""12""#),
        ("&a !Ref A", r#"{"Ref":"A"}"#),
        ("{ <<: { A: 1, B: 2 }, B: 3, C: 4 }", r#"{"B":3,"C":4,"A":1}"#),
        ("{ A: &a { B: 1 }, C: { <<: [*a, { B: 2, D: 3 }] } }", r#"{"A":{"B":1},"C":{"B":1,"D":3}}"#),
        (
            "{ A: &a { B: 1 }, C: &c { <<: *a }, D: { <<: *c, E: !Ref F } }",
            r#"{"A":{"B":1},"C":{"B":1},"D":{"E":{"Ref":"F"},"B":1}}"#,
        ),
    ] {
        let text = format!("Metadata:\n  It: {short}\nResources:\n  A: {{ Type: T }}\n");
        let template = parse(text.as_bytes()).unwrap_or_else(|problems| panic!("{short}: {problems:?}"));
        assert_eq!(template.tree["Metadata"]["It"].to_string(), long, "{short}");
    }
}

/// As libyaml reads them, though strict YAML does not allow it.
#[test]
fn closing_brackets_need_no_indentation() {
    let text = "Metadata:
  A: [
    1,
    { b: [
  2 ] }
  ]
  C:
  - D: !Join [
    '', [
x, y
]
    ]
Resources:
  R: { Type: T, Properties: {
    P: !Reff x
} }
";
    insta::assert_snapshot!(refused(text), @r#"
    error: unknown tag "!Reff"
      --> t.yaml:15:8
       |
    15 |     P: !Reff x
       |        ^^^^^^^
       = help: did you mean "Ref"?
    "#);
    let template = parse(text.replace("!Reff", "!Ref").as_bytes()).unwrap_or_else(|problems| panic!("{problems:?}"));
    let metadata = r#"{"A":[1,{"b":[2]}],"C":[{"D":{"Fn::Join":["",["x","y"]]}}]}"#;
    assert_eq!(template.tree["Metadata"].to_string(), metadata);
}

#[test]
fn json_is_read_as_well() {
    let json =
        "{\n\t\"Resources\": {\n\t\t\"A\": { \"Type\": \"T\", \"Properties\": { \"Url\": \"a\\/\\u00e9\" } }\n\t}\n}";
    let template = parse(json.as_bytes()).unwrap_or_else(|problems| panic!("{problems:?}"));
    assert_eq!(template.resources["A"].properties["Url"], "a/é");
    let with_mark = format!("\u{feff}{json}");
    assert!(parse(with_mark.as_bytes()).is_ok());
}

#[test]
fn unreadable_text_is_shown_at_its_place() {
    let texts = [
        "",
        "just text",
        "- a\n- b\n",
        "Resources:\n  A:\n    Type: T\n  A:\n    Type: U\n",
        "Resources:\n\tA:\n",
        "Resources:\n  A: { Type: T, Properties: { 1: a, '1': b } }\n",
        "Resources:\n  A: [1, 2\n  B: {}\n",
        "Resources:\n  A: { Type: T, Properties: { X: !Reff B } }\n",
        "Resources:\n  A: &a { Type: T, Properties: *a }\n",
        "Resources:\n  A: &a { Type: T }\n  B:\n    <<: [*a, 1]\n",
        "Resources:\n  A: { Type: T, Properties: { X: .inf } }\n",
        "Resources:\n  A: { Type: T, Properties: { ? [a] : b } }\n",
        "Resources:\n  A: { Type: T }\n---\nResources:\n  B: { Type: T }\n",
    ];
    let shown: Vec<String> = texts.iter().map(|text| refused(text)).collect();
    insta::assert_snapshot!(shown.join("\n"), @r#"
    error: the template is empty

    error: a template must be a map of sections

    error: a template must be a map of sections

    error: duplicate key "A"
     --> t.yaml:4:3
      |
    4 |   A:
      |   ^

    error: this is not YAML: a tab where only spaces are allowed
     --> t.yaml:2:2
      |
    2 |  A:
      |  ^
      = help: indent with spaces: YAML allows no tabs there

    error: duplicate key "1"
     --> t.yaml:2:37
      |
    2 |   A: { Type: T, Properties: { 1: a, '1': b } }
      |                                     ^

    error: this is not YAML: a ":" where no key can be
     --> t.yaml:3:4
      |
    3 |   B: {}
      |    ^
      = help: is a "[" or "{" before it not closed?

    error: unknown tag "!Reff"
     --> t.yaml:2:34
      |
    2 |   A: { Type: T, Properties: { X: !Reff B } }
      |                                  ^^^^^^^
      = help: did you mean "Ref"?

    error: an alias inside what it stands for
     --> t.yaml:2:32
      |
    2 |   A: &a { Type: T, Properties: *a }
      |                                ^

    error: only maps can be merged
     --> t.yaml:4:5
      |
    4 |     <<: [*a, 1]
      |     ^^

    error: .inf is not a number in a template
     --> t.yaml:2:34
      |
    2 |   A: { Type: T, Properties: { X: .inf } }
      |                                  ^^^^

    error: a key must be text
     --> t.yaml:2:17
      |
    2 |   A: { Type: T, Properties: { ? [a] : b } }
      |                 ^^^^^^^^^^
      = help: quote it

    error: a template is one YAML document, and here begins another
     --> t.yaml:3:1
      |
    3 | ---
      | ^
    "#);
}

#[test]
fn wrong_shapes_are_all_found() {
    let text = "AWSTemplateFormatVersion: 2010-09-10
Transform: [AWS::Serverless-2016-10-31, AWS::Include]
Descripton: A chat app
Rules: {}
Parameters:
  A: { Typ: String }
Mappings: []
Resources:
  Bad-Name: { Type: T }
  Nothing:
  Text: text
  Empty: {}
  Much: { Type: T, Properties: [], UpdatePolicy: {}, Foo: 1 }
  Deep: { Type: T, Properties: { A: [{ B: null }] } }
Outputs:
  Out: { Value: x, Export: { Name: y } }
";
    insta::assert_snapshot!(refused(text), @r#"
    error: unknown template format version
     --> t.yaml:1:27
      |
    1 | AWSTemplateFormatVersion: 2010-09-10
      |                           ^^^^^^^^^^
      = help: the only one there is: "2010-09-09"

    error: "AWS::Include" is a macro that runs inside CloudFormation, which wschat does not use
     --> t.yaml:2:1
      |
    2 | Transform: [AWS::Serverless-2016-10-31, AWS::Include]
      | ^^^^^^^^^
      = help: known here: AWS::Serverless-2016-10-31, AWS::LanguageExtensions

    error: unknown section "Descripton"
     --> t.yaml:3:1
      |
    3 | Descripton: A chat app
      | ^^^^^^^^^^
      = help: did you mean "Description"?

    error: unknown attribute "Typ" of A
     --> t.yaml:6:8
      |
    6 |   A: { Typ: String }
      |        ^^^
      = help: did you mean "Type"?

    error: Mappings must be a map
     --> t.yaml:7:1
      |
    7 | Mappings: []
      | ^^^^^^^^

    error: the name "Bad-Name" may have letters and digits only
     --> t.yaml:9:3
      |
    9 |   Bad-Name: { Type: T }
      |   ^^^^^^^^

    error: null values are not allowed in templates
      --> t.yaml:10:3
       |
    10 |   Nothing:
       |   ^^^^^^^

    error: Text must be a map, not "text"
      --> t.yaml:11:9
       |
    11 |   Text: text
       |         ^^^^

    error: missing attribute "Type" of Empty
      --> t.yaml:12:3
       |
    12 |   Empty: {}
       |   ^^^^^

    error: Properties must be a map, not a list
      --> t.yaml:13:20
       |
    13 |   Much: { Type: T, Properties: [], UpdatePolicy: {}, Foo: 1 }
       |                    ^^^^^^^^^^

    error: unknown attribute "Foo" of Much
      --> t.yaml:13:54
       |
    13 |   Much: { Type: T, Properties: [], UpdatePolicy: {}, Foo: 1 }
       |                                                      ^^^
       = help: known here: Condition, Connectors, CreationPolicy, DeletionPolicy, DependsOn, Description, IgnoreGlobals, Metadata, Properties, Type, UpdatePolicy, UpdateReplacePolicy, Version

    error: null values are not allowed in templates
      --> t.yaml:14:40
       |
    14 |   Deep: { Type: T, Properties: { A: [{ B: null }] } }
       |                                        ^
    "#);
}

#[test]
fn hostile_texts_end_soon() {
    let bomb = (1..30).fold("a: &a0 [x, x]\n".to_owned(), |text, level| {
        text + &format!("b{level}: &a{level} [*a{0}, *a{0}]\n", level - 1)
    });
    let deep = format!("a: {}{}", "[".repeat(20_000), "]".repeat(20_000));
    let long = "a".repeat(5_000_000);
    for text in [bomb, deep, long] {
        assert!(parse(text.as_bytes()).is_err());
    }
    let many: String = (0..12_000).map(|number| format!("  R{number}: {{ Type: T }}\n")).collect();
    insta::assert_snapshot!(refused(&format!("Resources:\n{many}")), @"
    error: Resources has 12000 members; the limit is 10000
     --> t.yaml:1:1
      |
    1 | Resources:
      | ^^^^^^^^^
    ");
}

#[test]
fn other_encodings_are_named() {
    let utf16: Vec<u8> = "\u{feff}Resources:".encode_utf16().flat_map(u16::to_le_bytes).collect();
    let problem = &parse(&utf16).unwrap_err()[0];
    assert_eq!(problem.help.as_deref(), Some("it looks like UTF-16: save it as UTF-8"));
    let problem = &parse(b"A: b\nC: \xe9\n").unwrap_err()[0];
    assert_eq!(problem.position, Some(crate::core::words::Position { line: 2, column: 4 }));
}

#[test]
fn carets_are_under_the_wrong_part() {
    let text = "Resources:
  A: &anchor
    Type: T
    Properties:
      Uri: !Sub ${X}
      List:
        - one
        - Key: two
      Text: |
        first
        second
      Über: ärger
  B: *anchor
";
    let at = |steps: &[&str], at_key: bool| {
        let path = steps.iter().fold(Path::default(), |path, step| match step.parse() {
            Ok(index) => path.index(index),
            Err(_) => path.key(step),
        });
        let problem = Problem { at_key, ..Problem::new(path, "here") };
        render(&[problem], Rendering { file: "t.yaml", text, colour: false })
    };
    let properties = ["Resources", "A", "Properties"];
    let below = |steps: &[&'static str]| [&properties[..], steps].concat();
    let shown = [
        at(&properties, false),
        at(&below(&["Uri"]), true),
        at(&below(&["Uri", "Fn::Sub"]), false),
        at(&below(&["List"]), false),
        at(&below(&["List", "0"]), false),
        at(&below(&["List", "1", "Key"]), false),
        at(&below(&["Text"]), false),
        at(&below(&["Über"]), false),
        at(&below(&["Missing", "Far", "Away"]), false),
        at(&["Resources", "B", "Type"], false),
        at(&["Resources", "B"], true),
    ];
    insta::assert_snapshot!(shown.join("\n"), @r"
    error: here
     --> t.yaml:4:5
      |
    4 |     Properties:
      |     ^^^^^^^^^^

    error: here
     --> t.yaml:5:7
      |
    5 |       Uri: !Sub ${X}
      |       ^^^

    error: here
     --> t.yaml:5:12
      |
    5 |       Uri: !Sub ${X}
      |            ^^^^^^^^^

    error: here
     --> t.yaml:6:7
      |
    6 |       List:
      |       ^^^^

    error: here
     --> t.yaml:7:11
      |
    7 |         - one
      |           ^^^

    error: here
     --> t.yaml:8:16
      |
    8 |         - Key: two
      |                ^^^

    error: here
      --> t.yaml:10:9
       |
    10 |         first
       |         ^^^^^

    error: here
      --> t.yaml:12:13
       |
    12 |       Über: ärger
       |             ^^^^^

    error: here
     --> t.yaml:4:5
      |
    4 |     Properties:
      |     ^^^^^^^^^^

    error: here
     --> t.yaml:3:11
      |
    3 |     Type: T
      |           ^

    error: here
      --> t.yaml:13:3
       |
    13 |   B: *anchor
       |   ^
    ");
}

#[test]
fn a_mistake_repeated_by_an_alias_is_reported_once_at_its_place() {
    let text = "Resources:
  A: &a
    Type: T
    Condition: { Not: a name }
    Properties: &p { Uri: ~ }
  B: *a
  C:
    <<: { <<: *a }
  D:
    Type: T
    Properties: { <<: [{ X: 1 }, *p] }
";
    let template = parse(text.as_bytes()).unwrap();
    let problems = template.report(template.problems.clone());
    insta::assert_snapshot!(render(&problems, Rendering { file: "t.yaml", text, colour: false }), @"
    error: Condition must be a string, not a map
     --> t.yaml:4:5
      |
    4 |     Condition: { Not: a name }
      |     ^^^^^^^^^

    error: null values are not allowed in templates
     --> t.yaml:5:22
      |
    5 |     Properties: &p { Uri: ~ }
      |                      ^^^
    ");
}

#[test]
fn colours_are_optional() {
    let problem = || [Problem::of_key(Path::default().key("A"), "wrong").help("right")];
    let plain = render(&problem(), Rendering { file: "t.yaml", text: "A: b\n", colour: false });
    let coloured = render(&problem(), Rendering { file: "t.yaml", text: "A: b\n", colour: true });
    assert!(!plain.contains('\u{1b}') && coloured.contains("\u{1b}[1;31m"));
}

/// As CloudFormation reads them (template format: "CloudFormation supports the YAML Version 1.1 specification"), except
/// for octal numbers.
#[test]
fn plain_scalars_are_read_as_yaml_1_1() {
    for (written, read) in [
        ("yes", json!(true)),
        ("On", json!(true)),
        ("NO", json!(false)),
        ("off", json!(false)),
        ("yES", json!("yES")),
        ("&yes yes", json!(true)),
        ("&a 'yes'", json!("yes")),
        ("!!str yes", json!("yes")),
        ("'yes'", json!("yes")),
        ("\"no\"", json!("no")),
        ("!Ref no", json!({ "Ref": "no" })),
        ("yes sir", json!("yes sir")),
        ("y", json!("y")),
        ("true", json!(true)),
        ("7e10", json!("7e10")),
        ("-1E5", json!("-1E5")),
        ("1.5e3", json!("1.5e3")),
        ("1.5e+3", json!(1500.0)),
        ("deadbeef", json!("deadbeef")),
        ("1.5", json!(1.5)),
        ("0o17", json!("0o17")),
        ("012345670123", json!("012345670123")),
        ("123456789012", json!(123_456_789_012_u64)),
        ("-123456789012345678901234", json!("-123456789012345678901234")),
        (".inf", json!(null)),
    ] {
        for text in [
            format!("# \u{e9}\u{1f600}\nA: [x, yes, {written}, no]\r\nB: {written}\n"),
            format!("A: [\n  x, 'yes', {written}, 1e3\n]\nB: {written}\n"),
        ] {
            let tree = tree::read(text.as_bytes());
            let Ok((tree, _)) = tree else {
                assert_eq!(read, json!(null), "{written}: {tree:?}");
                continue;
            };
            assert_eq!((&tree["A"][2], &tree["B"]), (&read, &read), "{text}");
        }
    }
    assert_eq!(tree::read(br#"{ "A": 1e3, "B": 7E10 }"#).unwrap().0, json!({ "A": 1000.0, "B": 7e10 }));
}
