//! The command line and the terminal: exit codes, Ctrl-C, bars, colours, secrets, control characters, parameters, and verbs
//! of other tools.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Command, Stdio};

use crate::common::template::{self, Template};
use crate::common::terminal::{CTRL_C, Screen, Terminal};
use crate::common::{Cloud, Run, at_last};
use serde_json::{Value, json};

/// Slow enough that steps are running all the time.
const SLOW: &str = "[latency_ms]\ndefault = 120\n[eventual_s]\nfunction_pending = 0.3\ntable_creating = 0.3\n";

const SPINNERS: &str = "⠋⠙⠹⠸⠴⠦⠧⠇";

fn slow() -> Cloud {
    Cloud::start().conditions(SLOW).go()
}

/// Runs wschat in `folder` without a cloud; returns its exit code, stdout and stderr.
fn wschat(folder: &Path, arguments: &[&str], variables: &[(&str, &str)]) -> (i32, String, String) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_wschat"));
    command.args(arguments).current_dir(folder).env_clear().envs(variables.iter().copied()).stdin(Stdio::null());
    let output = command.output().unwrap();
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    (output.status.code().unwrap(), text(output.stdout), text(output.stderr))
}

#[test]
fn an_invalid_command_line_ends_with_64_and_help_with_0() {
    let folder = tempfile::tempdir().unwrap();
    for (line, code) in [
        (&[][..], 64),
        (&["upp"], 64),
        (&["up", "--stak", "x"], 64),
        (&["plan", "--parameter", "x"], 64),
        (&["local", "fly"], 64),
        (&["deploy", "--stack", "x"], 64),
        (&["--help"], 0),
        (&["help"], 0),
        (&["up", "--help"], 0),
        (&["--version"], 0),
        (&["validate"], 1),
    ] {
        let (exit, stdout, stderr) = wschat(folder.path(), line, &[]);
        assert_eq!(exit, code, "{line:?}\n{stdout}{stderr}");
    }
    let (_, help, _) = wschat(folder.path(), &["--help"], &[]);
    let documented = include_str!("../../docs/exit-codes.md");
    for code in ["0", "1", "2", "3", "64", "130"] {
        assert!(help.contains(&format!("\n  {code:<5}")), "{code} is not in\n{help}");
        assert!(documented.contains(&format!("\n| {code} |")), "{code} is not in docs/exit-codes.md");
    }
}

#[test]
fn verbs_of_other_tools_are_answered_with_wschats() {
    let folder = tempfile::tempdir().unwrap();
    for (typed, ours) in
        [("deploy", "up"), ("delete", "down"), ("destroy", "down"), ("sync", "dev"), ("tail", "logs --follow")]
    {
        let (code, stdout, stderr) = wschat(folder.path(), &[typed, "--stack", "x"], &[]);
        assert_eq!((code, stdout.as_str()), (64, ""), "{stderr}");
        let expected = format!("error: there is no command \"{typed}\"\n  use: wschat {ours} (");
        assert!(stderr.starts_with(&expected), "{stderr}");
    }
}

#[test]
fn each_exit_code_means_one_thing() {
    let cloud = Cloud::start().go();
    template::echo_without_handler(&cloud);
    cloud.status().exits(3);
    let url = cloud.wschat(&["url", "--local"]).exits(3);
    assert!(url.stdout.is_empty() && url.stderr.starts_with("error: stack app does not exist"), "{}", url.stderr);
    // Deleting a stack that does not exist is a success.
    cloud.down();
    cloud.wschat(&["plan", "--local"]).exits(2);
    cloud.wschat(&["up", "--dry-run", "--local"]).exits(2);
    cloud.up();
    cloud.wschat(&["plan", "--local"]).exits(0);
    cloud.wschat(&["url", "--local"]).exits(0);
    cloud.status().exits(0);
    cloud.wschat(&["plan", "--local", "--template", "nowhere.yaml"]).exits(1);
}

/// The screen must end with exactly this text, and show no leftovers of bars.
fn ends_with(screen: &Screen, last: &str) {
    let text = screen.text();
    assert!(!text.chars().any(|character| SPINNERS.contains(character)), "a bar is left:\n{text}");
    assert!(!text.contains("^C"), "{text}");
    let unwrapped = text.replace('\n', "");
    assert!(unwrapped.contains(last), "no {last:?} in\n{text}");
    let bars = text.lines().filter(|line| line.trim_start().contains(" done") && line.contains(" of ")).count();
    assert_eq!(bars, 0, "the total is left:\n{text}");
}

#[test]
fn an_interrupted_run_leaves_a_clean_screen_and_130() {
    let cloud = slow();
    template::echo_without_handler(&cloud);
    for (columns, verb) in [(60, "up"), (120, "down")] {
        let doing = if verb == "up" { "creating" } else { "deleting" };
        let mut terminal = Terminal::start(&cloud.command(&[verb, "--local", "--yes"]), columns);
        terminal.until(doing);
        // An echoed end of line would also move the bars.
        terminal.types("\n\n");
        terminal.types(CTRL_C);
        terminal.until("Stopping: running steps");
        let (code, screen) = terminal.end();
        assert_eq!(code, Some(130), "{}", screen.text());
        ends_with(&screen, if verb == "up" { "error: stopped: " } else { "of stack app are left" });
        let text = screen.text();
        let (_, after) = text.split_once("\nerror: ").unwrap();
        assert!(!after.contains('✓'), "{text}");
    }
    // The second Ctrl-C ends the run at once.
    let mut terminal = Terminal::start(&cloud.command(&["up", "--local", "--yes"]), 80);
    terminal.until("creating");
    terminal.types(CTRL_C);
    terminal.until("Stopping: running steps");
    terminal.types(CTRL_C);
    let (code, screen) = terminal.end();
    assert_eq!(code, Some(130), "{}", screen.text());
    ends_with(&screen, "");
    cloud.up();
    cloud.down();
}

#[test]
fn ctrl_c_ends_every_wait_with_130() {
    let cloud = Cloud::start().go();
    template::echo_without_handler(&cloud);
    cloud.up();
    let interrupted = |command: &Command, until: &str| {
        let mut terminal = Terminal::start(command, 80);
        terminal.until(until);
        terminal.types(CTRL_C);
        let (code, screen) = terminal.end();
        let text = screen.text();
        assert_eq!(code, Some(130), "{text}");
        assert!(text.ends_with("\nInterrupted."), "{text}");
    };
    interrupted(&cloud.command(&["down", "--local"]), "Delete stack app in account 000000000000");
    interrupted(&cloud.command(&["local", "reset"]), "[y/N]");
    interrupted(&cloud.command(&["local", "logs", "--follow"]), "serving");
    cloud.status().ok();

    // A compiler that never ends.
    let folder = cloud.folder().join("crate");
    fs::create_dir_all(folder.join("src")).unwrap();
    fs::write(folder.join("Cargo.toml"), "[package]\nname = \"never\"\nversion = \"0.0.0\"\n[workspace]\n").unwrap();
    let cargo = cloud.folder().join("cargo");
    fs::write(&cargo, "#!/bin/sh\necho compiling >\"$0.started\"\nexec sleep 600\n").unwrap();
    fs::set_permissions(&cargo, fs::Permissions::from_mode(0o755)).unwrap();
    let mut template = Template::echo();
    template.set("Echo.Code", json!("crate"));
    template.save(&cloud);
    let mut terminal = Terminal::start(cloud.command(&["plan", "--local"]).env("CARGO", &cargo), 80);
    terminal.until("Stack app in account");
    at_last("the compiler runs", || cloud.folder().join("cargo.started").exists());
    terminal.types(CTRL_C);
    let (code, screen) = terminal.end();
    assert_eq!(code, Some(130), "{}", screen.text());
    assert!(screen.text().ends_with("Interrupted."), "{}", screen.text());

    // A template that never comes.
    let pipe = cloud.folder().join("pipe.yaml");
    assert!(Command::new("mkfifo").arg(&pipe).status().unwrap().success());
    let mut terminal = Terminal::start(&cloud.command(&["validate", "--template", "pipe.yaml"]), 80);
    // A writer can open the pipe once wschat has opened it.
    let writer = fs::OpenOptions::new().write(true).open(&pipe).unwrap();
    terminal.types(CTRL_C);
    let (code, screen) = terminal.end();
    drop(writer);
    assert_eq!(code, Some(130), "{}", screen.text());
}

#[test]
fn no_bar_wraps_at_any_width_of_the_terminal() {
    let cloud = Cloud::start().conditions("[latency_ms]\ndefault = 25\n").go();
    template::echo_without_handler(&cloud);
    let mut template = Template::echo();
    let long = "X".repeat(220);
    template.rename("Rows", &long);
    template.save(&cloud);
    for (columns, verb) in [(60, "up"), (80, "down"), (120, "up"), (200, "down")] {
        let mut terminal = Terminal::start(&cloud.command(&[verb, "--local", "--yes"]), columns);
        // The text before the bars may wrap.
        terminal.until("Plan: ");
        let before = terminal.written().find("Plan: ").unwrap();
        let (code, screen) = terminal.end_after(before);
        assert_eq!(code, Some(0), "{}", screen.text());
        assert!(screen.drawn.iter().any(|line| line.contains(&"X".repeat(20)) && line.contains('…')));
        for line in &screen.drawn {
            assert!(!line.starts_with("XX") && !line.starts_with('…'), "{columns}: {line:?}");
        }
    }
}

#[test]
fn plans_are_coloured_only_on_a_terminal_and_name_what_is_deleted() {
    let cloud = Cloud::start().go();
    template::echo_without_handler(&cloud);
    cloud.up();
    let mut changed = Template::echo();
    changed.set("PingRoute.RouteKey", json!("pong"));
    changed.set("Echo.MemorySize", json!(512));
    changed.save(&cloud);

    let plan = cloud.wschat(&["plan", "--local"]).exits(2).stdout;
    assert!(!plan.contains('\u{1b}'), "{plan}");
    assert!(plan.contains("\n  - route \"ping\" "), "{plan}");
    assert!(plan.contains("\n  - deployment of Api "), "{plan}");
    assert!(plan.contains("\n      replaced by Deployment\n"), "{plan}");
    assert!(!plan.contains("\n  = "), "{plan}");
    let all = cloud.wschat(&["plan", "--local", "--all"]).exits(2).stdout;
    assert!(all.contains("\n  = Rows "), "{all}");

    let (_, screen) = Terminal::start(&cloud.command(&["plan", "--local"]), 160).end();
    assert!(screen.text().contains("  ~ Echo "), "{}", screen.text());
    let coloured = |variables: &[(&str, &str)]| {
        let mut command = cloud.command(&["plan", "--local"]);
        let mut terminal = Terminal::start(command.envs(variables.iter().copied()), 160);
        terminal.until("To do exactly this");
        let written = terminal.written();
        terminal.end();
        written
    };
    let written = coloured(&[]);
    for line in ["\u{1b}[32m+ PingRoute\u{1b}[0m", "\u{1b}[33m~ Echo\u{1b}[0m", "\u{1b}[31m- route \"ping\"\u{1b}[0m"] {
        assert!(written.contains(line), "{written}");
    }

    assert!(!coloured(&[("NO_COLOR", "1")]).contains("\u{1b}[3"));

    // Nothing is deleted without a question that names it.
    let mut terminal = Terminal::start(&cloud.command(&["up", "--local"]), 160);
    terminal.until("? [y/N] ");
    assert!(terminal.written().contains("Delete route \"ping\" ("), "{}", terminal.written());
    terminal.types("n\n");
    let (code, screen) = terminal.end();
    assert_eq!(code, Some(1));
    assert!(screen.text().ends_with("error: nothing was changed"), "{}", screen.text());

    let status = cloud.status().exits(2);
    let missing: Vec<&str> = status.stdout.lines().skip_while(|line| !line.contains("missing")).take(2).collect();
    assert!(missing[1].starts_with("  ✓") || missing[1].starts_with("  ✗"), "{}", status.stdout);
    cloud.up();
    assert!(cloud.status().ok().stdout.ends_with("\nStack is healthy.\n"));
    let nothing = cloud.wschat(&["plan", "--local"]).ok();
    assert_eq!(nothing.stdout, "No changes. 20 resources are up to date.\n");
}

#[test]
fn commands_that_only_read_create_no_local_cloud() {
    let folder = tempfile::tempdir().unwrap();
    let missing = "there is no local cloud in this folder";
    let hint = |stack: &str| format!("error: {missing}\n  create it and deploy to it: wschat up{stack} --local\n");
    for (line, stack) in [("status --stack x", " --stack x"), ("url --stack x", " --stack x"), ("list", "")] {
        let line: Vec<&str> = line.split(' ').chain(["--local"]).collect();
        assert_eq!(wschat(folder.path(), &line, &[]), (3, String::new(), hint(stack)), "{line:?}");
    }
    let (code, stdout, _) = wschat(folder.path(), &["status", "--stack", "x", "--local", "--json"], &[]);
    let last: Value = serde_json::from_str(&stdout).unwrap();
    assert_eq!((code, &last["event"], &last["error"]), (3, &json!("failure"), &json!(missing)));
    let (code, _, stderr) = wschat(folder.path(), &["down", "--stack", "x", "--local", "--yes"], &[]);
    assert_eq!((code, stderr), (0, format!("Nothing to delete: {missing}.\n")));
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0, "a folder was left");
}

#[test]
fn a_terminal_shows_the_uri_once_and_no_id_in_two_pieces() {
    let cloud = Cloud::start().go();
    template::echo_without_handler(&cloud);
    let (code, screen) = Terminal::start(&cloud.command(&["up", "--local", "--yes"]), 200).end();
    let uri = cloud.wschat(&["url", "--local"]).ok().stdout;
    assert_eq!((code, screen.text().matches(uri.trim()).count()), (Some(0), 1), "{}", screen.text());
    // Pipes get it alone.
    assert_eq!(cloud.up().stdout, uri);
    let status: Value = serde_json::from_str(&cloud.wschat(&["status", "--local", "--json"]).ok().stdout).unwrap();
    for columns in [30, 60, 80, 160] {
        for line in [&["status", "--local"][..], &["plan", "--local", "--all"]] {
            let (_, screen) = Terminal::start(&cloud.command(line), columns).end();
            for resource in status["resources"].as_array().unwrap() {
                let id = resource["physical_id"].as_str().unwrap();
                let is_whole = screen.text().lines().any(|line| line.split(' ').any(|word| word == id));
                assert!(is_whole || id.len() + 6 > columns, "{id} at {columns}:\n{}", screen.text());
            }
        }
    }
}

/// The echo template with a secret in every property that can hold one.
fn with_secrets(cloud: &Cloud) {
    template::echo_without_handler(cloud);
    let mut template = Template::echo();
    template.0["Parameters"] = json!({"Secret": {"Type": "String", "NoEcho": true}});
    let secret = json!({"Ref": "Secret"});
    template.set("Rows.TableName", json!({"Fn::Sub": "t-${Secret}"}));
    template.set("Rows.Tags", json!([{"Key": secret, "Value": "plain"}, {"Key": "team", "Value": secret}]));
    template.set("Echo.Environment.Variables.MARK", json!({"Fn::Base64": {"Fn::Sub": "key=${Secret}"}}));
    let half = json!({"Fn::Select": [1, {"Fn::Split": ["-", secret]}]});
    template.set("Echo.Description", half.clone());
    template.0["Outputs"]["Secret"] = json!({"Value": secret});
    template.0["Outputs"]["Half"] = json!({"Value": half});
    template.0["Outputs"]["Table"] = json!({"Value": {"Fn::GetAtt": ["Rows", "Arn"]}});
    template.save(cloud);
}

#[test]
fn secrets_are_never_shown() {
    let cloud = Cloud::start().go();
    with_secrets(&cloud);
    let file = |name: &str, secret: &str| fs::write(cloud.folder().join(name), format!("{secret}\n")).unwrap();
    file("old", "s3cret-hunter2");
    file("new", "t0psecret-swordfish");
    let forms =
        ["s3cret", "hunter2", "a2V5PXMzY3JldC1odW50ZXIy", "t0psecret", "swordfish", "a2V5PXQwcHNlY3JldC1zd29yZGZpc2g"];
    let hides = |run: &Run| {
        for form in forms {
            assert!(
                !run.stdout.contains(form) && !run.stderr.contains(form),
                "{form} in\n{}{}",
                run.stdout,
                run.stderr
            );
        }
    };
    let with = |file: &str, arguments: &[&str]| {
        let parameter = format!("Secret=@{file}");
        cloud.wschat(&[arguments, &["--local", "--parameter", &parameter]].concat())
    };
    for plan in [&["plan"][..], &["plan", "--all"], &["plan", "--json"]] {
        let run = with("old", plan).exits(2);
        hides(&run);
        assert!(run.stdout.contains("****"), "{}", run.stdout);
    }
    let run = with("old", &["up", "--yes", "--timings", "run.html"]).ok();
    hides(&run);
    assert!(run.stderr.contains("\nSecret = ****\n") && run.stderr.contains("\nHalf = ****\n"), "{}", run.stderr);
    assert!(run.stderr.contains("\nTable = ****\n"), "{}", run.stderr);
    let html = fs::read_to_string(cloud.folder().join("run.html")).unwrap();
    assert!(forms.iter().all(|form| !html.contains(form)));
    for verb in [&["up", "--yes", "--json"][..], &["status"], &["status", "--json"], &["plan"], &["policy"]] {
        hides(&with("old", verb).ok());
    }
    let shown = with("old", &["up", "--yes", "--show-secrets"]).ok();
    assert!(shown.stderr.contains("\nSecret = s3cret-hunter2\n"), "{}", shown.stderr);
    let shown = with("old", &["up", "--yes", "--show-secrets", "--json"]).ok();
    assert!(shown.stdout.contains(r#""Half":"hunter2""#), "{}", shown.stdout);

    // A value that was secret in the deployed stack is still masked.
    for plan in [&["plan"][..], &["plan", "--json"]] {
        let run = with("new", &[plan, &["--allow-data-loss", "Rows"]].concat()).exits(2);
        hides(&run);
    }
    hides(&with("new", &["status"]).exits(2));
    hides(&with("new", &["up", "--yes"]).exits(1));
    hides(&with("new", &["up", "--yes", "--allow-data-loss", "Rows"]).ok());
}

#[test]
fn control_characters_are_escaped() {
    let cloud = Cloud::start().go();
    template::echo_without_handler(&cloud);
    let mut template = Template::echo();
    let wild = "a\u{1b}[2Jb\u{202e}c\u{7}d\re\u{200b}f";
    template.set("Api.Description", json!(wild));
    template.set("Stage.StageVariables", json!({"colour": "blue"}));
    template.0["Outputs"]["Wild"] = json!({"Value": wild});
    template.save(&cloud);
    let tame = |text: &str| {
        let hidden = text.chars().find(|character| *character != '\n' && wschat::ui::printable::is_hidden(*character));
        assert_eq!(hidden, None, "{text:?}");
    };
    let shown = r"a\u001b[2Jb\u202ec\u0007d\re\u200bf";
    for (verb, code) in [(&["plan"][..], 2), (&["plan", "--json"], 2), (&["up", "--yes"], 0)] {
        let run = cloud.wschat(&[verb, &["--local"]].concat()).exits(code);
        tame(&run.stdout);
        tame(&run.stderr);
        assert!(run.stdout.contains(shown) || run.stderr.contains(&format!("\nWild = {shown}\n")), "{}", run.stdout);
    }
    let json = cloud.wschat(&["up", "--local", "--yes", "--json"]).ok().stdout;
    tame(&json);
    let result: Value = serde_json::from_str(json.lines().last().unwrap()).unwrap();
    assert_eq!(result["outputs"]["Wild"], wild);

    // In an excerpt of the template, which keeps its width.
    fs::write(cloud.folder().join("template.json"), format!("{{\"Resources\": {{}}, \"Out{}\": 1}}", "\\u202e"))
        .unwrap();
    let run = cloud.wschat(&["validate"]).exits(1);
    tame(&run.stdout);
}

#[test]
fn parameters_come_from_flags_files_and_the_environment() {
    let folder = tempfile::tempdir().unwrap();
    let write = |name: &str, text: &str| fs::write(folder.path().join(name), text).unwrap();
    write(
        "template.yaml",
        "Parameters:\n  Size: { Type: String, AllowedPattern: none }\n  Other: { Type: String, Default: x }\nResources: {}\n",
    );
    write("flat.json", r#"{"Size": "from-flat"}"#);
    write("list.json", r#"[{"ParameterKey": "Size", "ParameterValue": "from-list"}]"#);
    write("value", "from-a-file\n");
    write("broken.json", "{\"Size\": s3cret}");
    write("unknown.json", r#"{"Sise": "x"}"#);
    let environment = ("WSCHAT_PARAMETER_Size", "from-the-environment");
    let validate = |arguments: &[&str], variables: &[(&str, &str)]| {
        let (_, stdout, stderr) = wschat(folder.path(), &[&["validate"], arguments].concat(), variables);
        stdout + &stderr
    };
    for (arguments, variables, value) in [
        (&["--parameter", "Size=given"][..], &[environment][..], "given"),
        (&["--parameter", "Size=@value"], &[environment], "from-a-file"),
        (&["--parameter", "Size=@@value"], &[], "@value"),
        (&["--parameter-file", "flat.json"], &[environment], "from-flat"),
        (&["--parameter-file", "list.json"], &[], "from-list"),
        (&["--parameter-file", "flat.json", "--parameter-file", "list.json"], &[], "from-list"),
        (&["--parameter-file", "flat.json", "--parameter", "Size=given"], &[], "given"),
        (&[], &[environment], "from-the-environment"),
    ] {
        let told = validate(arguments, variables);
        let expected = format!("the parameter Size must match none, not \"{value}\"");
        assert!(told.contains(&expected), "{arguments:?} {told}");
    }
    for (arguments, variables) in [
        (&["--parameter", "Sise=x"][..], &[][..]),
        (&["--parameter-file", "unknown.json"], &[]),
        (&[], &[("WSCHAT_PARAMETER_SIZE", "x")]),
    ] {
        let told = validate(arguments, variables);
        assert!(
            told.contains("the template has no parameter \"S") && told.contains("did you mean \"Size\"?"),
            "{told}"
        );
    }
    let told = validate(&["--parameter-file", "broken.json"], &[]);
    assert_eq!(told, "error: the parameter file broken.json is not JSON: line 1, column 10\n");
    let told = validate(&["--parameter", "Size=@nowhere"], &[]);
    assert!(told.starts_with("error: cannot read the value of the parameter Size from nowhere: "), "{told}");
}

#[test]
fn runs_end_with_the_number_of_warnings() {
    let cloud = Cloud::start().go();
    template::echo_without_handler(&cloud);
    let quiet = cloud.wschat(&["plan", "--local"]).exits(2).stderr;
    let counted = |template: &Template| {
        template.save(&cloud);
        let (_, found, _) = wschat(&cloud.folder(), &["validate", "--json"], &[]);
        serde_json::from_str::<Value>(&found).unwrap()["warnings"].as_u64().unwrap()
    };
    let before = counted(&Template::echo());
    assert_eq!(quiet.contains("warning"), before > 0, "{quiet}");
    let mut template = Template::echo();
    template.0["Parameters"] =
        json!({"One": {"Type": "String", "Default": "x"}, "Two": {"Type": "String", "Default": "x"}});
    let count = counted(&template);
    assert_eq!(count, before + 2);
    let last = format!("{count} warnings; see them with: wschat validate\n");
    for (verb, code) in [(&["plan"][..], 2), (&["up", "--yes"], 0), (&["up", "--yes"], 0)] {
        let run = cloud.wschat(&[verb, &["--local"]].concat()).exits(code);
        assert!(run.stderr.ends_with(&last), "{}", run.stderr);
    }
    fs::rename(cloud.folder().join("template.json"), cloud.folder().join("other.json")).unwrap();
    let run = cloud.wschat(&["plan", "--local", "--template", "other.json"]).ok();
    assert!(run.stderr.ends_with("see them with: wschat validate --template other.json\n"), "{}", run.stderr);
}
