//! `wschat validate`: reports every problem of a template at once, for people, CI and programs.

use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};

use serde_json::{Value, json};

/// Runs `wschat validate` in `folder` without any AWS configuration; returns its exit code, stdout and stderr.
fn validate(folder: &Path, arguments: &[&str]) -> (i32, String, String) {
    let output = Command::new(env!("CARGO_BIN_EXE_wschat"))
        .arg("validate")
        .args(arguments)
        .current_dir(folder)
        .env_clear()
        .stdin(Stdio::null())
        .output()
        .unwrap();
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    (output.status.code().unwrap(), text(output.stdout), text(output.stderr))
}

/// A folder with this template and the code of its functions.
fn project(template: &str) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("template.yaml"), template).unwrap();
    for code in ["connect", "send"] {
        fs::create_dir(folder.path().join(code)).unwrap();
        for handler in ["index.js", "main.py"] {
            fs::write(folder.path().join(code).join(handler), "").unwrap();
        }
    }
    folder
}

/// The five mistakes that docs/template.md shows.
const FIVE: &str = include_str!("../fixtures/five-mistakes.yaml");

#[test]
fn five_mistakes_are_shown_at_once() {
    let folder = project(FIVE);
    let (code, stdout, stderr) = validate(folder.path(), &[]);
    assert_eq!((code, stderr.as_str()), (1, ""));
    insta::assert_snapshot!(stdout);
}

#[test]
fn json_output_has_the_same_problems() {
    let folder = project(FIVE);
    let (code, stdout, stderr) = validate(folder.path(), &["--json"]);
    assert_eq!((code, stderr.as_str()), (1, ""));
    let report: Value = serde_json::from_str(&stdout).unwrap();
    insta::assert_json_snapshot!(report);
    // The positions are those of the text output.
    let lines: Vec<&str> = FIVE.lines().collect();
    for problem in report["problems"].as_array().unwrap() {
        let place = |name: &str| usize::try_from(problem[name].as_u64().unwrap()).unwrap();
        let marked = &lines[place("line") - 1][place("column") - 1..place("end_column") - 1];
        assert!(!marked.trim().is_empty(), "{problem}");
    }
}

#[test]
fn the_projects_own_template_has_no_problems() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR"));
    let (code, stdout, stderr) = validate(folder, &[]);
    assert_eq!((code, stdout.as_str(), stderr.as_str()), (0, "templates/chat.yaml: no problems\n", ""));
    let (code, stdout, _) = validate(folder, &["--json"]);
    let report: Value = serde_json::from_str(&stdout).unwrap();
    let nothing = json!({
        "event": "validate", "file": "templates/chat.yaml", "errors": 0, "warnings": 0, "problems": [], "exit_code": 0
    });
    assert_eq!((code, report), (0, nothing));
}

#[test]
fn warnings_are_not_a_failure() {
    let template = "\
Parameters:
  Password: { Type: String }
Resources:
  Api:
    Type: AWS::ApiGatewayV2::Api
    Properties: { Name: !Ref Password, ProtocolType: WEBSOCKET, RouteSelectionExpression: $request.body.action }
";
    let folder = project(template);
    let (code, stdout, _) = validate(folder.path(), &[]);
    assert_eq!(code, 0);
    assert!(stdout.starts_with("warning[visible-secret]: Password looks like a secret"), "{stdout}");
    assert!(stdout.ends_with("\ntemplate.yaml: 1 warning\n"), "{stdout}");
}

#[test]
fn missing_code_is_reported_at_its_property() {
    let template = "\
Transform: AWS::Serverless-2016-10-31
Globals: { Function: { Handler: index.handler, Runtime: nodejs24.x } }
Resources:
  One: { Type: AWS::Serverless::Function, Properties: { CodeUri: connect/ } }
  Four: { Type: AWS::Serverless::Function, Properties: { CodeUri: connect/, Handler: app.handler } }
  Five: { Type: AWS::Serverless::Function, Properties: { CodeUri: connect/, Handler: chat.Main, Runtime: java21 } }
  Six: { Type: AWS::Serverless::Function, Properties: { CodeUri: connect, Handler: bootstrap, Runtime: provided.al2023 } }
  Two:
    Type: AWS::Serverless::Function
    Properties:
      CodeUri: conect/
  Three:
    Type: AWS::Serverless::Function
    Properties:
      CodeUri: build/handler.zip
";
    let folder = project(template);
    let (code, stdout, _) = validate(folder.path(), &[]);
    assert_eq!(code, 1);
    insta::assert_snapshot!(stdout);
}

#[test]
fn parameters_are_read_from_the_command_line() {
    let template = "\
Parameters:
  Size: { Type: Number, MaxValue: 512 }
Resources:
  One:
    Type: AWS::Lambda::Function
    Properties:
      Code: connect/
      Role: arn:aws:iam::123456789012:role/one
      Handler: index.handler
      Runtime: nodejs24.x
      MemorySize: !Ref Size
";
    let folder = project(template);
    for (arguments, code, words) in [
        (&[][..], 0, "no problems"),
        (&["--parameter", "Size=512"][..], 0, "no problems"),
        (&["--parameter", "Size=1024"][..], 1, "the parameter Size must be at most 512, not \"1024\""),
        (&["--parameter", "Sise=512"][..], 1, "did you mean \"Size\"?"),
    ] {
        let (exit, stdout, stderr) = validate(folder.path(), arguments);
        assert_eq!((exit, stderr.as_str()), (code, ""), "{stdout}");
        assert!(stdout.contains(words), "{stdout}");
    }
}

#[test]
fn unreadable_templates_are_an_error() {
    let folder = project("Resources: [");
    let (code, stdout, stderr) = validate(folder.path(), &[]);
    assert_eq!((code, stderr.as_str()), (1, ""));
    assert!(stdout.starts_with("error: this is not YAML: "), "{stdout}");
    assert!(stdout.ends_with("\ntemplate.yaml: 1 error\n"), "{stdout}");
    let (code, stdout, stderr) = validate(folder.path(), &["--template", "other.yaml"]);
    assert_eq!((code, stdout.as_str()), (1, ""));
    assert_eq!(stderr, "error: cannot read the template other.yaml: No such file or directory (os error 2)\n");
}

#[test]
fn the_help_names_every_rule() {
    let (code, stdout, _) = validate(Path::new("."), &["--help"]);
    assert_eq!(code, 0);
    for (rule, _) in wschat::core::lint::rules() {
        assert!(stdout.contains(&format!("\n  {rule}: ")), "{rule}");
    }
}

/// A template that other tools accept and AWS rejects for several reasons: all are found, each at its position.
#[test]
fn problems_that_only_aws_would_report_are_found_offline() {
    let folder = project(include_str!("../fixtures/accepted-but-aws-refuses.yaml"));
    let (code, stdout, _) = validate(folder.path(), &["--json"]);
    assert_eq!(code, 1);
    let report: Value = serde_json::from_str(&stdout).unwrap();
    let problems = report["problems"].as_array().unwrap().iter();
    let found: Vec<(u64, &str, &str)> = problems
        .map(|problem| {
            let text = |name: &str| problem[name].as_str().unwrap_or_default();
            (problem["line"].as_u64().unwrap(), text("rule"), text("message"))
        })
        // Which runtimes are deprecated depends on the date.
        .filter(|(_, rule, _)| *rule != "deprecated-runtime")
        .collect();
    let [policy, mock, logs, format] = found.as_slice() else { panic!("{found:#?}") };
    let missing = "there is no managed policy arn:aws:iam::aws:policy/AWSLambdaBasicExecutionRole";
    assert_eq!(*policy, (12, "", missing));
    assert_eq!((mock.0, mock.1), (15, "refusing-mock"));
    assert_eq!((logs.0, logs.1), (27, "logging-without-role"));
    let without_id = "the format of access logs must have $context.requestId or $context.extendedRequestId in it";
    assert_eq!(*format, (27, "", without_id));
}

#[test]
fn wrong_code_folders_are_found_before_the_build() {
    let folder = tempfile::tempdir().unwrap();
    for name in ["app/infra", "app/fn", "elsewhere", "app/.git"] {
        fs::create_dir_all(folder.path().join(name)).unwrap();
    }
    for (name, text) in [
        ("app/fn/main.py", ""),
        ("app/fn/.env", ""),
        ("app/fn/Pipfile", ""),
        ("elsewhere/main.py", ""),
        ("main.py", ""),
    ] {
        fs::write(folder.path().join(name), text).unwrap();
    }
    let function = |name: &str, code: &str| {
        format!(
            "  {name}:\n    Type: AWS::Serverless::Function\n    Properties: {{ Runtime: python3.13, Handler: main.handler, \
             CodeUri: {code} }}\n"
        )
    };
    let functions = [function("Fn", "../fn"), function("Other", "../../elsewhere"), function("All", "../..")].concat();
    let template = format!("Transform: AWS::Serverless-2016-10-31\nResources:\n{functions}");
    fs::write(folder.path().join("app/infra/template.yaml"), template).unwrap();
    let (code, stdout, stderr) = validate(&folder.path().join("app/infra"), &["--json"]);
    assert_eq!((code, stderr.as_str()), (1, ""));
    let report: Value = serde_json::from_str(&stdout).unwrap();
    let found: Vec<(Option<&str>, u64, &str)> = report["problems"]
        .as_array()
        .unwrap()
        .iter()
        .map(|problem| {
            (problem["rule"].as_str(), problem["line"].as_u64().unwrap(), problem["message"].as_str().unwrap())
        })
        .collect();
    for (rule, line, message) in [
        (Some("code-with-credentials"), 5, "left out of the zip, because it looks like credentials: .env ("),
        (None, 5, "Pipfile has no Pipfile.lock beside it"),
        (Some("code-outside"), 8, "the code is outside of the repository: "),
        (None, 11, "a folder above the template's project, and all of it would be the function's code"),
    ] {
        let is = |problem: &&(Option<&str>, u64, &str)| {
            problem.0 == rule && problem.1 == line && problem.2.contains(message)
        };
        assert_eq!(found.iter().filter(is).count(), 1, "{message}: {found:?}");
    }
    assert_eq!(found.len(), 4, "{found:?}");
}
