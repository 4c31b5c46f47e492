//! Commands in messages can be pasted into a shell and apply to the same stack.

use std::path::Path;
use std::process::Command;

use crate::common::{Cloud, Run};

const TEMPLATE: &str = r#"
Parameters:
  Days: { Type: Number, Default: 1 }
  Secret: { Type: String, NoEcho: true, Default: nothing }
Resources:
  Group:
    Type: AWS::Logs::LogGroup
    Properties:
      RetentionInDays: !Ref Days
      Tags: [{ Key: secret, Value: !Ref Secret }]
"#;

/// The options that name a stack.
const FLAGS: &[&str] =
    &["--local", "--stack", "other", "--region", "eu-west-1", "-t", "my template.yaml", "--parameter", "Days=3"];

fn cloud() -> Cloud {
    let cloud = Cloud::start().go();
    std::fs::write(cloud.folder().join("my template.yaml"), TEMPLATE).unwrap();
    cloud
}

/// Runs a command in a shell without this cloud's settings.
#[expect(clippy::disallowed_methods, reason = "the shell must find its own commands, too")]
fn paste(cloud: &Cloud, command: &str) -> Run {
    let folder = Path::new(env!("CARGO_BIN_EXE_wschat")).parent().unwrap();
    let path = format!("{}:{}", folder.display(), std::env::var("PATH").unwrap());
    let mut shell = Command::new("sh");
    shell.args(["-c", command]).current_dir(cloud.folder()).env("PATH", path).env("AWS_EC2_METADATA_DISABLED", "true");
    cloud.begin_command(&mut shell).end()
}

/// The command at the end of the line that begins with `words`.
fn after<'a>(text: &'a str, words: &str) -> &'a str {
    text.lines().find_map(|line| Some(line.split_once(words)?.1)).unwrap_or_else(|| panic!("no {words:?} in\n{text}"))
}

#[test]
fn the_command_that_plan_prints_carries_the_plan_out() {
    let cloud = cloud();
    let plan = cloud.wschat(&[&["plan"], FLAGS].concat()).exits(2);
    let up = after(&plan.stdout, "To do exactly this: ");
    let data = cloud.data();
    let start = format!(
        "wschat up --stack other --region eu-west-1 --local --data {} --template 'my template.yaml' --parameter Days=3 --plan ",
        data.display()
    );
    assert!(up.starts_with(&start), "{up}");
    assert_eq!(paste(&cloud, up).ok().mutations(), ["logs.CreateLogGroup", "logs.PutRetentionPolicy"]);
    assert!(cloud.calls().iter().all(|call| call.region == "eu-west-1"
        || call.service == "iam"
        || call.access_key.as_deref() != Some("local")));

    let status = cloud.wschat(&[&["status"], &FLAGS[..FLAGS.len() - 1], &["Days=5"]].concat()).exits(2);
    let repair = after(&status.stdout, "1 resource differs from the template; `").split('`').next().unwrap_or_default();
    assert_eq!(paste(&cloud, repair).ok().mutations(), ["logs.PutRetentionPolicy"]);

    let url = cloud.wschat(&[&["url"], &FLAGS[..5]].concat()).exits(3);
    let up = after(&url.stderr, "bring it up with: ");
    assert_eq!(up, format!("wschat up --local --data {}", data.display()));
}

#[test]
fn secrets_in_commands_are_placeholders() {
    let cloud = cloud();
    let flags = [FLAGS, &["--parameter", "Secret=hunter2"]].concat();
    let plan = cloud.wschat(&[&["plan"], flags.as_slice()].concat()).exits(2);
    let up = after(&plan.stdout, "To do exactly this: ");
    assert!(up.contains(" --parameter Days=3 --parameter 'Secret=<value of Secret>' --plan "), "{up}");
    assert!(!plan.stdout.contains("hunter2") && !plan.stderr.contains("hunter2"));
    paste(&cloud, &up.replace("<value of Secret>", "hunter2")).ok();
}

#[test]
fn the_command_to_stop_a_local_cloud_names_its_folder() {
    let cloud = cloud();
    let started = cloud.wschat(&["local", "start", "--port", "1"]).exits(1);
    let stop = after(&started.stderr, "stop it first: ");
    assert_eq!(stop, format!("wschat local stop --data {}", cloud.data().display()));
    assert_eq!(paste(&cloud, stop).ok().stdout, "The local cloud stopped.\n");
}
