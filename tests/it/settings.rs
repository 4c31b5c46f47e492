//! Settings from options, variables and wschat.toml; environments; parameters that are remembered; tags; samconfig.toml.

use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};

use crate::common::terminal::Terminal;
use crate::common::{Cloud, Run};
use serde_json::Value;

const TEMPLATE: &str = r#"
Parameters:
  Days: {Type: String, Default: "7"}
  Secret: {Type: String, Default: none, NoEcho: true}
Resources:
  Log:
    Type: AWS::Logs::LogGroup
    Properties: {RetentionInDays: !Ref Days, Tags: [{Key: own, Value: template}]}
Outputs:
  Days: {Value: !Ref Days}
  LogName: {Value: !Ref Log}
"#;

/// Runs wschat in `folder` with these variables alone, without a cloud; returns its exit code, stdout and stderr.
fn wschat(folder: &Path, arguments: &[&str], variables: &[(&str, &str)]) -> (i32, String, String) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_wschat"));
    command.args(arguments).current_dir(folder).env_clear().envs(variables.iter().copied()).stdin(Stdio::null());
    let output = command.output().unwrap();
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    (output.status.code().unwrap(), text(output.stdout), text(output.stderr))
}

fn project(file: &str) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("template.yaml"), TEMPLATE).unwrap();
    fs::write(folder.path().join("wschat.toml"), file).unwrap();
    folder
}

/// The value of a setting.
fn setting(folder: &Path, key: &str, arguments: &[&str], variables: &[(&str, &str)]) -> Option<String> {
    let (code, stdout, stderr) = wschat(folder, &[&["config", "--json"], arguments].concat(), variables);
    assert_eq!(code, 0, "{stdout}{stderr}");
    let event: Value = serde_json::from_str(&stdout).unwrap();
    let settings = event["settings"].as_array().unwrap();
    let found = settings.iter().find(|setting| setting["key"] == key);
    found.and_then(|setting| setting["value"].as_str()).map(str::to_owned)
}

#[test]
fn an_option_counts_before_its_variable_that_before_the_environment_and_that_before_the_default() {
    // The key, the option, the variable, and its default; the values are made of the source's name.
    let texts = [
        ("stack", "--stack", "WSCHAT_STACK"),
        ("region", "--region", "AWS_REGION"),
        ("profile", "--profile", "AWS_PROFILE"),
        ("endpoint_url", "--endpoint-url", "AWS_ENDPOINT_URL"),
        ("data", "--data", "WSCHAT_LOCAL_DIR"),
        ("template", "--template", "WSCHAT_TEMPLATE"),
        ("app", "--app", "WSCHAT_APP"),
        ("parameters.Days", "--parameter", "WSCHAT_PARAMETER_Days"),
        ("tags.team", "--tag", "WSCHAT_TAGS"),
    ];
    let lines = |source: &str| {
        format!(
            "stack = \"{source}\"\nregion = \"{source}\"\nprofile = \"{source}\"\nendpoint_url = \"{source}\"\n\
             data = \"{source}\"\ntemplate = \"{source}\"\napp = \"{source}\"\nparameters = {{ Days = \"{source}\" }}\ntags = {{ team = \"{source}\" }}\n"
        )
    };
    let folder = project(&format!("[default]\n{}[env.other]\n{}", lines("default"), lines("environment")));
    let folder = folder.path();
    // All are templates.
    for name in ["default", "environment", "variable", "option"] {
        fs::write(folder.join(name), TEMPLATE).unwrap();
    }
    for (key, option, variable) in texts {
        let pair = |source: &str| match key.split_once('.') {
            Some((_, name)) if option != "--parameter" || !source.starts_with('v') => format!("{name}={source}"),
            _ => source.to_owned(),
        };
        let (given, set) = (pair("option"), pair("variable"));
        let option: &[&str] = &[option, &given];
        let environment: &[&str] = &["--env", "other"];
        let variables: &[(&str, &str)] = &[(variable, &set)];
        let value = |arguments: &[&[&str]], variables| setting(folder, key, &arguments.concat(), variables);
        assert_eq!(value(&[option, environment], variables).as_deref(), Some("option"), "{key}");
        assert_eq!(value(&[environment], variables).as_deref(), Some("variable"), "{key}");
        assert_eq!(value(&[environment], &[]).as_deref(), Some("environment"), "{key}");
        assert_eq!(value(&[], &[("WSCHAT_ENV", "other")]).as_deref(), Some("environment"), "{key}");
        assert_eq!(value(&[], &[]).as_deref(), Some("default"), "{key}");
    }
}

#[test]
fn a_switch_is_set_by_its_option_its_variable_or_the_file() {
    let switches = [
        ("local", "--local", "WSCHAT_LOCAL"),
        ("confirm", "--confirm", "WSCHAT_CONFIRM"),
        ("ignore_scripts", "--ignore-scripts", "WSCHAT_IGNORE_SCRIPTS"),
        ("keep_on_failure", "--keep-on-failure", "WSCHAT_KEEP_ON_FAILURE"),
        ("no_drain", "--no-drain", "WSCHAT_NO_DRAIN"),
        ("no_interruption", "--no-interruption", "WSCHAT_NO_INTERRUPTION"),
    ];
    let lines = |value: bool| switches.map(|(key, ..)| format!("{key} = {value}\n")).concat();
    let folder = project(&format!("[default]\n{}[env.off]\n{}", lines(true), lines(false)));
    let none = project("");
    for (key, option, variable) in switches {
        let value = |arguments: &[&str], variables: &[(&str, &str)]| setting(folder.path(), key, arguments, variables);
        assert_eq!(value(&[], &[]).as_deref(), Some("true"), "{key}");
        assert_eq!(value(&["--env", "off"], &[]).as_deref(), Some("false"), "{key}");
        assert_eq!(value(&[], &[(variable, "0")]).as_deref(), Some("false"), "{key}");
        assert_eq!(value(&["--env", "off"], &[(variable, "1")]).as_deref(), Some("true"), "{key}");
        assert_eq!(value(&["--env", "off", option], &[]).as_deref(), Some("true"), "{key}");
        assert_eq!(value(&[option], &[(variable, "0")]).as_deref(), Some("true"), "{key}");
        assert_eq!(setting(none.path(), key, &[], &[]).as_deref(), Some("false"), "{key}");
    }
}

#[test]
fn the_local_clouds_own_settings_stand_in_a_table_of_their_own() {
    let folder = project(
        "[default]\nlocal = true\n[env.a]\n[local]\nhost = \"0.0.0.0\"\norigins = [\"http://a\", \"http://b\"]\n",
    );
    let value =
        |key: &str, arguments: &[&str], variables: &[(&str, &str)]| setting(folder.path(), key, arguments, variables);
    for environment in [&[][..], &["--env", "a"]] {
        assert_eq!(value("local.host", environment, &[]).as_deref(), Some("0.0.0.0"));
        assert_eq!(value("local.origins", environment, &[]).as_deref(), Some("http://a, http://b"));
    }
    let variables = [("WSCHAT_LOCAL_HOST", "::"), ("WSCHAT_LOCAL_ORIGINS", "http://c,http://d")];
    assert_eq!(value("local.host", &[], &variables).as_deref(), Some("::"));
    assert_eq!(value("local.origins", &[], &variables).as_deref(), Some("http://c, http://d"));
    assert_eq!(value("local.host", &["--host", "10.0.0.1"], &variables).as_deref(), Some("10.0.0.1"));
    assert_eq!(value("local.origins", &["--origin", "http://e"], &variables).as_deref(), Some("http://e"));
}

#[test]
fn mistakes_in_the_file_are_told_with_their_lines() {
    let table = [
        ("[default]\nbuild_with = \"make\"\n", &["config"][..], "wschat.toml:2: build_with cannot be \"make\""),
        ("[default]\nstack = \"9\"\n", &["status"], "wschat.toml:2: stack cannot be \"9\""),
        ("[default]\nhost = \"::\"\n", &["up"], "wschat.toml:2: unknown key \"host\" in [default]"),
        ("[local]\nhost = \"here\"\n", &["up"], "wschat.toml:2: local.host cannot be \"here\""),
        ("[local]\norigins = [\"*\"]\n", &["up"], "wschat.toml:2: local.origins cannot be \"*\""),
        ("[default]\nlocal = 1\n", &["up"], "wschat.toml:2: local must be true or false"),
        (
            "[env.prod]\n",
            &["up", "--env", "prdo"],
            "wschat.toml: there is no environment \"prdo\"\n  did you mean \"prod\"? there are: prod",
        ),
        ("", &["up", "--env", "prod"], "wschat.toml: there is no environment \"prod\"\n  write a table [env.prod]"),
        ("[env.a]\n[env.a.parameters]\nDays = 1.5\n", &["up"], "wschat.toml:2: parameters: Days must be"),
        ("[default.tags]\n\"aws:x\" = \"1\"\n", &["up"], "begins with aws is not for users"),
    ];
    for (file, arguments, expected) in table {
        let folder = project(file);
        let (code, _, stderr) = wschat(folder.path(), arguments, &[]);
        assert!(code != 0 && stderr.contains(expected), "{file}: {code}: {stderr}");
    }
}

/// Runs a command in the cloud's folder without the stack's variable.
fn run(cloud: &Cloud, arguments: &[&str]) -> Run {
    let mut command = cloud.command(arguments);
    cloud.begin_command(command.env_remove("WSCHAT_STACK")).end()
}

fn file(cloud: &Cloud) -> String {
    fs::read_to_string(cloud.folder().join("wschat.toml")).unwrap_or_default()
}

fn days(cloud: &Cloud, arguments: &[&str]) -> String {
    run(cloud, &[&["outputs", "Days"], arguments].concat()).ok().stdout.trim().to_owned()
}

#[test]
fn a_parameter_that_was_given_once_keeps_its_value_until_it_is_forgotten() {
    let cloud = Cloud::start().go();
    let template = cloud.folder().join("template.yaml");
    fs::write(&template, TEMPLATE).unwrap();
    let local = &["--local", "--stack", "app"];
    let up = |arguments: &[&str]| run(&cloud, &[&["up", "--yes"], &local[..], arguments].concat()).ok();
    up(&["--parameter", "Days=30", "--parameter", "Secret=hush"]);
    assert!(file(&cloud).contains("\n[local.parameters]\nDays = \"30\"\n"), "{}", file(&cloud));
    assert!(!file(&cloud).contains("hush"));
    up(&[]).changes_nothing();
    fs::write(&template, TEMPLATE.replace("\"7\"", "\"14\"")).unwrap();
    up(&[]).changes_nothing();
    assert_eq!(days(&cloud, local), "30");
    // Another place has its own: on AWS nothing was given.
    assert_eq!(setting(&cloud.folder(), "parameters.Days", &[], &[]), None);
    up(&["--parameter-default", "Days"]);
    assert_eq!(days(&cloud, local), "14");
    assert!(!file(&cloud).contains("Days"), "{}", file(&cloud));
    up(&[]).changes_nothing();
    // What a variable gives holds for the run alone.
    let mut command = cloud.command(&["up", "--yes", "--local"]);
    cloud.begin_command(command.env("WSCHAT_PARAMETER_Days", "60")).end().ok();
    assert!(!file(&cloud).contains("60"));
    // A failed run remembers nothing.
    run(&cloud, &["up", "--yes", "--local", "--parameter", "Days=8"]).exits(1);
    assert!(!file(&cloud).contains("Days"), "{}", file(&cloud));
}

#[test]
fn environments_have_their_own_stacks_tags_and_questions() {
    let cloud = Cloud::start().go();
    fs::write(cloud.folder().join("template.yaml"), TEMPLATE).unwrap();
    let text = "[default]\nstack = \"chat\"\nlocal = true\n\n[default.tags]\nteam = \"chat\"\nown = \"file\"\n\n\
                [env.prod]\nconfirm = true\n[env.prod.tags]\nstage = \"live\"\n";
    fs::write(cloud.folder().join("wschat.toml"), text).unwrap();
    run(&cloud, &["up"]).ok();
    let refused = run(&cloud, &["up", "--env", "prod"]).exits(1);
    refused.changes_nothing();
    assert!(refused.stderr.contains("pass --yes to confirm without a terminal"), "{}", refused.stderr);
    let mut command = cloud.command(&["up", "--env", "prod"]);
    let mut terminal = Terminal::start(command.env_remove("WSCHAT_STACK"), 100);
    terminal.until("Make this change to stack chat-prod? [y/N]");
    terminal.types("y\n");
    let (code, screen) = terminal.end();
    assert_eq!(code, Some(0), "{}", screen.text());
    let listed = run(&cloud, &["list", "--local"]).ok().stdout;
    assert!(listed.contains("chat ") && listed.contains("chat-prod "), "{listed}");
    // The file's tags are on what there is: nothing is to be changed, and without one something is.
    run(&cloud, &["status"]).exits(0);
    run(&cloud, &["plan", "--env", "prod"]).exits(0);
    let plan = run(&cloud, &["plan", "--env", "prod", "--tag", "stage=test"]).exits(2).stdout;
    assert!(plan.contains("stage") && plan.contains("live") && !plan.contains("file"), "{plan}");
    run(&cloud, &["down", "--env", "prod", "--yes"]).ok();
    run(&cloud, &["status", "--env", "prod"]).exits(3);
    run(&cloud, &["status"]).ok();
}

#[test]
fn sams_file_is_read_where_there_is_no_other_and_never_written() {
    let cloud = Cloud::start().go();
    fs::write(cloud.folder().join("template.yaml"), TEMPLATE).unwrap();
    let text = "version = 0.1\n[default.deploy.parameters]\nstack_name = \"sams\"\nregion = \"eu-west-1\"\ns3_bucket = \"b\"\n\
                parameter_overrides = \"Days=\\\"3\\\"\"\n[prod.deploy.parameters]\nstack_name = \"live\"\n";
    let sam = cloud.folder().join("samconfig.toml");
    fs::write(&sam, text).unwrap();
    let up = run(&cloud, &["up", "--local"]).ok();
    assert!(up.stderr.contains("samconfig.toml: not used: s3_bucket (code goes straight to Lambda)"), "{}", up.stderr);
    assert!(up.stderr.contains("Stack sams in account 000000000000 (eu-west-1)"), "{}", up.stderr);
    assert_eq!(days(&cloud, &["--local"]), "3");
    assert_eq!(setting(&cloud.folder(), "stack", &["--config-env", "prod"], &[]).as_deref(), Some("live"));
    assert_eq!((fs::read_to_string(&sam).unwrap(), file(&cloud)), (text.to_owned(), String::new()));
    run(&cloud, &["init", "--from-sam"]).ok();
    assert_eq!(setting(&cloud.folder(), "parameters.Days", &[], &[]).as_deref(), Some("3"));
    run(&cloud, &["up", "--local"]).ok().changes_nothing();
    run(&cloud, &["init", "--from-sam"]).exits(1);
}

#[test]
fn a_guided_run_asks_for_the_settings_and_saves_them() {
    let cloud = Cloud::start().go();
    fs::write(cloud.folder().join("template.yaml"), TEMPLATE).unwrap();
    let refused = run(&cloud, &["up", "--local", "--guided"]).exits(1);
    assert!(refused.stderr.contains("stdin is not a terminal"), "{}", refused.stderr);
    let mut command = cloud.command(&["up", "--local", "--guided"]);
    let mut terminal = Terminal::start(command.env_remove("WSCHAT_STACK"), 100);
    for (question, answer) in
        [("Stack name", "talk\n"), ("Parameter Days [7]", "5\n"), ("(y/n) [y]", "\n"), ("to stack talk? [y/N]", "y\n")]
    {
        terminal.until(question);
        terminal.types(answer);
    }
    let (code, screen) = terminal.end();
    assert_eq!(code, Some(0), "{}", screen.text());
    let text = file(&cloud);
    assert!(
        text.contains("stack = \"talk\"") && text.contains("confirm = true") && text.contains("Days = \"5\""),
        "{text}"
    );
    run(&cloud, &["up", "--local"]).ok().changes_nothing();
    assert_eq!(days(&cloud, &["--local"]), "5");
}

#[test]
fn outputs_are_printed_for_people_shells_and_programs() {
    let cloud = Cloud::start().go();
    fs::write(cloud.folder().join("template.yaml"), TEMPLATE).unwrap();
    cloud.wschat(&["outputs", "--local"]).exits(3);
    cloud.up();
    let outputs = |arguments: &[&str]| cloud.wschat(&[&["outputs", "--local"], arguments].concat());
    assert!(outputs(&[]).ok().stdout.starts_with("Days = 7\nLogName = app-Log-"));
    assert_eq!(outputs(&["Days"]).ok().stdout, "7\n");
    assert!(outputs(&["--env-file"]).ok().stdout.starts_with("Days=7\nLogName=app-Log-"));
    let event: Value = serde_json::from_str(&outputs(&["--json"]).ok().stdout).unwrap();
    assert_eq!((&event["event"], &event["outputs"]["Days"]), (&"outputs".into(), &"7".into()));
    let unknown = outputs(&["Dayz"]).exits(1).stderr;
    assert!(unknown.contains("did you mean Days?"), "{unknown}");
    let status: Value = serde_json::from_str(&cloud.wschat(&["status", "--local", "--json"]).ok().stdout).unwrap();
    assert_eq!(status["outputs"]["Days"], "7");
}

#[test]
fn a_project_is_only_made_in_an_empty_folder() {
    let folder = tempfile::tempdir().unwrap();
    fs::create_dir(folder.path().join(".git")).unwrap();
    for (language, file) in [
        ("node", "connect/index.js"),
        ("python", "connect/app.py"),
        ("typescript", "connect/index.ts"),
        ("rust", "lambdas/connect/src/main.rs"),
    ] {
        let (code, stdout, stderr) = wschat(folder.path(), &["init", language, "--lang", language], &[]);
        assert_eq!(code, 0, "{stderr}");
        assert!(stdout.contains(&format!("  cd {language}\n  wschat dev ")), "{stdout}");
        let made = folder.path().join(language);
        assert!([file, "README.md", ".gitignore"].iter().all(|file| made.join(file).is_file()));
        let (code, stdout, _) = wschat(&made, &["validate"], &[]);
        assert_eq!(code, 0, "{stdout}");
    }
    let (code, _, stderr) = wschat(folder.path(), &["init"], &[]);
    assert!(code == 1 && stderr.contains("is not empty"), "{stderr}");
}

#[test]
fn completions_and_manual_pages_have_every_command() {
    let folder = tempfile::tempdir().unwrap();
    for shell in ["bash", "elvish", "fish", "powershell", "zsh"] {
        let (code, script, _) = wschat(folder.path(), &["completions", shell], &[]);
        assert!(code == 0 && script.contains("keep-on-failure") && !script.contains("\\u00"), "{shell}: {script}");
    }
    let (code, _, stderr) = wschat(folder.path(), &["man", "pages"], &[]);
    assert_eq!(code, 0, "{stderr}");
    let page = fs::read_to_string(folder.path().join("pages/wschat-up.1")).unwrap();
    assert!(page.contains("keep\\-on\\-failure") && page.contains("Examples:"), "{page}");
}

#[test]
fn a_machine_is_checked_without_credentials() {
    let cloud = Cloud::start().go();
    fs::write(cloud.folder().join("template.yaml"), TEMPLATE).unwrap();
    let checks: Value = serde_json::from_str(&cloud.wschat(&["doctor", "--json"]).ok().stdout).unwrap();
    let check =
        |name: &str| checks["checks"].as_array().unwrap().iter().find(|check| check["name"] == name).unwrap().clone();
    assert_eq!(check("AWS account")["state"], "skipped", "{checks}");
    assert_eq!(check("local cloud")["state"], "ok", "{checks}");
    let endpoint = format!("http://127.0.0.1:{}", cloud.port());
    let mut command = cloud.command(&["doctor", "--json", "--endpoint-url", &endpoint]);
    command.env("AWS_ACCESS_KEY_ID", "a").env("AWS_SECRET_ACCESS_KEY", "b").env("AWS_REGION", "us-east-1");
    let checks: Value = serde_json::from_str(&cloud.begin_command(&mut command).end().ok().stdout).unwrap();
    let check =
        |name: &str| checks["checks"].as_array().unwrap().iter().find(|check| check["name"] == name).unwrap().clone();
    assert_eq!(check("AWS account")["state"], "ok", "{checks}");
    assert_eq!(check("clock")["found"], "agrees with AWS's", "{checks}");
}

#[test]
fn costs_are_estimated_without_a_call() {
    let parent = tempfile::tempdir().unwrap();
    let folder = parent.path().join("chat");
    fs::create_dir(&folder).unwrap();
    let template = include_str!("../../examples/node-chat/template.yaml");
    fs::write(folder.join("template.yaml"), template).unwrap();
    let (code, stdout, stderr) = wschat(&folder, &["cost"], &[]);
    assert!(code == 0 && stderr.is_empty(), "{stdout}{stderr}");
    for what in ["a month without messages", "a million messages from clients", "a thousand connections for a month"] {
        assert!(stdout.lines().any(|line| line.ends_with(what)), "no {what} in\n{stdout}");
    }
    let million = |options: &[&str]| {
        let (_, stdout, _) = wschat(&folder, &[&["cost", "--json"], options].concat(), &[]);
        serde_json::from_str::<Value>(&stdout).unwrap()["million_messages"].as_f64().unwrap()
    };
    // A million more messages go out for each further receiver.
    let (one, ten) = (million(&[]), million(&["--receivers", "10"]));
    assert!((ten - one - 9.0).abs() < 1e-6, "{one} and {ten}");
    assert!(million(&["--duration", "500"]) > one);
}
