//! Ownership: resources that only look like the stack's, or only carry its tags, are left alone; the stack's own are deleted,
//! even after an interrupted run. And the choice of the stack: names of folders, `wschat.toml`, `wschat list`.

use std::fs;
use std::io::{Cursor, Write};
use std::path::Path;

use crate::common::inventory::{Inventory, same};
use crate::common::proxy::{Fault, FaultKind};
use crate::common::template::{self, Template};
use crate::common::{Cloud, Run, eventually};
use aws_sdk_apigatewayv2::types::{IntegrationType, ProtocolType};
use aws_sdk_lambda::primitives::Blob;
use aws_sdk_lambda::types::{FunctionCode, Runtime};
use serde_json::{Value, json};

/// Another user, who creates resources in the same account by hand.
struct OtherUser {
    apis: aws_sdk_apigatewayv2::Client,
    iam: aws_sdk_iam::Client,
    lambda: aws_sdk_lambda::Client,
    logs: aws_sdk_cloudwatchlogs::Client,
}

impl OtherUser {
    async fn on(cloud: &Cloud) -> Self {
        let sdk = cloud.sdk().await;
        Self {
            apis: aws_sdk_apigatewayv2::Client::new(&sdk),
            iam: aws_sdk_iam::Client::new(&sdk),
            lambda: aws_sdk_lambda::Client::new(&sdk),
            logs: aws_sdk_cloudwatchlogs::Client::new(&sdk),
        }
    }

    async fn role(&self, name: &str) -> String {
        let trust = json!({"Version": "2012-10-17", "Statement": [
            {"Effect": "Allow", "Principal": {"Service": "lambda.amazonaws.com"}, "Action": "sts:AssumeRole"}
        ]});
        let made = self.iam.create_role().role_name(name).assume_role_policy_document(trust.to_string()).send();
        made.await.unwrap().role.unwrap().arn
    }

    async fn function(&self, name: &str, tags: &[(&str, &str)]) {
        let role = match self.iam.get_role().role_name("of-a-hand").send().await {
            Ok(found) => found.role.unwrap().arn,
            Err(_) => self.role("of-a-hand").await,
        };
        let mut zip = zip::ZipWriter::new(Cursor::new(Vec::new()));
        zip.start_file("bootstrap", zip::write::SimpleFileOptions::default().unix_permissions(0o755)).unwrap();
        zip.write_all(b"#!/bin/sh\nexit 1\n").unwrap();
        let code = FunctionCode::builder().zip_file(Blob::new(zip.finish().unwrap().into_inner())).build();
        let create = self.lambda.create_function().function_name(name).role(role).code(code).handler("bootstrap");
        let tags = tags.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect();
        let create = create.runtime(Runtime::Providedal2023).set_tags(Some(tags));
        // Until the role can be assumed.
        eventually("there is a function", async || create.clone().send().await.is_ok()).await;
        let is_active = async || {
            let answer = self.lambda.get_function().function_name(name).send().await.unwrap();
            answer.configuration.unwrap().state == Some(aws_sdk_lambda::types::State::Active)
        };
        eventually("the function is active", is_active).await;
    }

    /// Creates the log group that Lambda creates when a function runs for the first time.
    async fn log_group(&self, function: &str) {
        self.logs.create_log_group().log_group_name(format!("/aws/lambda/{function}")).send().await.unwrap();
    }

    async fn api(&self, name: &str, tags: &[(&str, &str)]) -> String {
        let tags = tags.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect();
        let create = self.apis.create_api().name(name).protocol_type(ProtocolType::Websocket).set_tags(Some(tags));
        let made = create.route_selection_expression("$request.body.action").send().await.unwrap();
        made.api_id.unwrap()
    }
}

fn down(cloud: &Cloud, stack: &str) -> Run {
    cloud.wschat(&["down", "--local", "--yes", "--stack", stack])
}

/// A template of a role and a policy.
fn save(cloud: &Cloud, resources: Value) {
    Template(json!({"Resources": resources})).save(cloud);
}

/// The name of the only function.
fn function_in(inventory: &Inventory) -> String {
    let name = inventory.keys().find_map(|name| name.strip_prefix("function ")).unwrap();
    name.split([',', ':']).next().unwrap().to_owned()
}

/// Eight hexadecimal digits may also be a short commit hash: a name that looks like wschat's does not prove ownership.
#[tokio::test]
async fn log_groups_of_others_stay_whatever_their_names() {
    let cloud = template::fast_echo();
    let hand = OtherUser::on(&cloud).await;
    hand.function("chat-worker-1a2b3c4d", &[]).await;
    hand.function("chat-task-2b3c4d5e", &[("wschat:stack", "shop"), ("wschat:region", "us-east-1")]).await;
    hand.function("chat-job-3c4d5e6f", &[("team", "cloudformation")]).await;
    // The function of the last one is deleted.
    for name in ["chat-worker-1a2b3c4d", "chat-task-2b3c4d5e", "chat-job-3c4d5e6f", "chat-gone-4d5e6f70"] {
        hand.log_group(name).await;
    }
    let theirs = cloud.inventory().await;
    let reports = |run: &Run| {
        let lines = "left: log group /aws/lambda/chat-gone-4d5e6f70: it has no wschat tags and its function is gone, so its owner is unknown\n  delete it with: aws logs delete-log-group --log-group-name /aws/lambda/chat-gone-4d5e6f70 --region us-east-1\n";
        assert!(run.stderr.contains(lines), "{}", run.stderr);
        assert_eq!(run.stderr.matches("left: ").count(), 1, "{}", run.stderr);
    };
    // This stack never existed.
    let run = down(&cloud, "chat");
    run.changes_nothing();
    reports(&run);
    same(&cloud.inventory().await, &theirs);

    cloud.wschat(&["up", "--local", "--yes", "--stack", "chat"]).ok();
    reports(&down(&cloud, "chat").ok());
    same(&cloud.inventory().await, &theirs);
}

/// A function's last log lines may recreate its log group after the stack is deleted.
#[tokio::test]
async fn a_recreated_log_group_with_a_generated_name_is_deleted() {
    let cloud = template::fast_echo();
    cloud.up();
    let name = function_in(&cloud.inventory().await);
    cloud.down();
    let hand = OtherUser::on(&cloud).await;
    hand.log_group(&name).await;
    // It does not belong to another stack.
    down(&cloud, "ap").changes_nothing();
    cloud.down();
    same(&cloud.inventory().await, &Inventory::new());
    // Unless another owner has a function of the same name.
    hand.function(&name, &[]).await;
    hand.log_group(&name).await;
    let theirs = cloud.inventory().await;
    down(&cloud, "app").changes_nothing();
    same(&cloud.inventory().await, &theirs);
}

/// A name from the template does not tell the owner, so the log group is tagged before its function is deleted.
#[tokio::test]
async fn a_down_that_is_killed_leaves_no_log_group_behind() {
    let cloud = template::fast_echo();
    let mut template = template::echo_without_handler(&cloud);
    template.set("Echo.FunctionName", "mine".into());
    // Then Lambda creates it.
    template.remove("EchoLogs");
    template.save(&cloud);
    for when in [Fault::before as fn(FaultKind) -> Fault, Fault::after] {
        cloud.up();
        OtherUser::on(&cloud).await.log_group("mine").await;
        let kill = when(FaultKind::Kill);
        let killed = cloud
            .through()
            .script(move |call| {
                let is_it = call.operation == "DeleteFunction" && call.about == "mine";
                is_it.then(|| kill.clone())
            })
            .run(&["down", "--yes"]);
        assert_eq!(killed.run.code, None, "{}", killed.run.stderr);
        assert!(cloud.inventory().await.contains_key("log group /aws/lambda/mine"));
        cloud.down();
        same(&cloud.inventory().await, &Inventory::new());
    }
}

#[tokio::test]
async fn an_api_that_only_carries_the_tags_stays() {
    let cloud = template::fast_echo();
    let hand = OtherUser::on(&cloud).await;
    let whole: &[(&str, &str)] = &[
        ("wschat:stack", "app"),
        ("wschat:region", "us-east-1"),
        ("wschat:logical-id", "Api"),
        ("wschat:deletion-policy", "Delete"),
    ];
    let elsewhere = [whole[0], ("wschat:region", "eu-west-1"), whole[2], whole[3]];
    let copied = hand.api("copied", whole).await;
    let mock =
        hand.apis.create_integration().api_id(&copied).integration_type(IntegrationType::Mock).send().await.unwrap();
    let target = format!("integrations/{}", mock.integration_id().unwrap());
    hand.apis.create_route().api_id(&copied).route_key("$default").target(target).send().await.unwrap();
    hand.apis.create_deployment().api_id(&copied).send().await.unwrap();
    let staged = hand.api("staged", whole).await;
    let mock = hand.apis.create_integration().api_id(&staged).integration_type(IntegrationType::Mock);
    mock.send().await.unwrap();
    hand.apis.create_stage().api_id(&staged).stage_name("live").send().await.unwrap();
    hand.api("elsewhere", &elsewhere).await;
    hand.api("no-region", &whole[..1]).await;
    let theirs = cloud.inventory().await;

    let run = cloud.down();
    run.changes_nothing();
    for (name, why) in [
        ("copied", "it has the tags of the wschat stack \"app\", but nothing in it is of that stack)"),
        ("staged", "it has the tags of the wschat stack \"app\", but nothing in it is of that stack)"),
        ("elsewhere", "belongs to the wschat stack \"app\" in eu-west-1"),
        ("no-region", "it has the tag wschat:stack \"app\", but no wschat:region)"),
    ] {
        let reports = |line: &&str| line.starts_with(&format!("left: API {name} (")) && line.ends_with(why);
        assert_eq!(run.stderr.lines().filter(reports).count(), 1, "{name}\n{}", run.stderr);
    }
    same(&cloud.inventory().await, &theirs);
    // A new stack does not take it for its own, nor for a duplicate.
    cloud.up();
    cloud.up().changes_nothing();
    cloud.status().ok();
    cloud.down();
    same(&cloud.inventory().await, &theirs);
    // One that serves no client was left by a run that was killed: an empty one, or one without a deployment.
    hand.api("app", whole).await;
    cloud.down();
    same(&cloud.inventory().await, &theirs);
    // So was one beside the stack's own.
    cloud.up();
    hand.api("app", whole).await;
    cloud.down();
    same(&cloud.inventory().await, &theirs);
    let routed = hand.api("app", whole).await;
    let described = hand.apis.create_integration().api_id(&routed).integration_type(IntegrationType::Mock);
    described.description("as the template says").send().await.unwrap();
    hand.apis.create_route().api_id(&routed).route_key("$default").send().await.unwrap();
    cloud.down();
    same(&cloud.inventory().await, &theirs);
}

/// As in CloudFormation: a policy that others use is not deleted.
#[tokio::test]
async fn a_managed_policy_that_others_use_stops_the_run_before_any_change() {
    let cloud = template::fast_echo();
    let hand = OtherUser::on(&cloud).await;
    let document =
        json!({"Version": "2012-10-17", "Statement": {"Effect": "Allow", "Action": "s3:GetObject", "Resource": "*"}});
    let trust = json!({"Version": "2012-10-17", "Statement": {
        "Effect": "Allow", "Principal": {"Service": "lambda.amazonaws.com"}, "Action": "sts:AssumeRole"}});
    let role = json!({"Type": "AWS::IAM::Role", "Properties": {
        "AssumeRolePolicyDocument": trust, "ManagedPolicyArns": [{"Ref": "Policy"}]}});
    let policy = |description: &str| {
        json!({"Type": "AWS::IAM::ManagedPolicy", "Properties": {
            "ManagedPolicyName": "shared", "Description": description, "PolicyDocument": document}})
    };
    save(&cloud, json!({"Role": role, "Policy": policy("one")}));
    cloud.up();
    for name in ["theirs", "bounded"] {
        hand.role(name).await;
    }
    let arn = "arn:aws:iam::000000000000:policy/shared";
    hand.iam.attach_role_policy().role_name("theirs").policy_arn(arn).send().await.unwrap();
    hand.iam.put_role_permissions_boundary().role_name("bounded").permissions_boundary(arn).send().await.unwrap();
    let before = cloud.inventory().await;
    let refused = |run: Run| {
        let run = run.exits(1);
        run.changes_nothing();
        let expected = format!(
            "error: the managed policy Policy ({arn}) cannot be deleted: role bounded, role theirs use it, and are not this stack's\n  detach it there first, for example: aws iam detach-role-policy --role-name ROLE --policy-arn {arn}\n"
        );
        assert!(run.stderr.ends_with(&expected), "{}", run.stderr);
    };
    let up = || cloud.wschat(&["up", "--local", "--yes"]);
    refused(cloud.wschat(&["down", "--local", "--yes"]));
    // The change would replace it.
    save(&cloud, json!({"Role": role, "Policy": policy("another")}));
    refused(up());
    let mut alone = role.clone();
    alone["Properties"].as_object_mut().unwrap().remove("ManagedPolicyArns");
    save(&cloud, json!({"Role": alone}));
    refused(up());
    same(&cloud.inventory().await, &before);

    hand.iam.detach_role_policy().role_name("theirs").policy_arn(arn).send().await.unwrap();
    hand.iam.delete_role_permissions_boundary().role_name("bounded").send().await.unwrap();
    cloud.down();
    let left: Vec<String> = cloud.inventory().await.into_keys().collect();
    assert_eq!(left, ["role bounded", "role theirs"]);
}

/// The wrong folder, but the right name.
#[test]
fn another_template_replaces_a_stack_only_with_the_flag() {
    let cloud = template::fast_echo();
    cloud.up();
    let before = cloud.inventory_now();
    let table = json!({"Type": "AWS::DynamoDB::Table", "Properties": {
        "BillingMode": "PAY_PER_REQUEST", "KeySchema": [{"AttributeName": "id", "KeyType": "HASH"}],
        "AttributeDefinitions": [{"AttributeName": "id", "AttributeType": "S"}]}});
    save(&cloud, json!({"Elsewhere": table}));
    let run = cloud.wschat(&["up", "--local", "--yes"]).exits(1);
    run.changes_nothing();
    assert!(run.stderr.contains("None of the resources of stack app is in this template: "), "{}", run.stderr);
    let last = "error: this would replace the whole stack app; pass --replace-stack to confirm\n";
    assert!(run.stderr.ends_with(last), "{}", run.stderr);
    same(&cloud.inventory_now(), &before);
    // With one resource in common, it is an ordinary change.
    let mut template = Template::echo();
    let kept = template.get("Rows").clone();
    save(&cloud, json!({"Elsewhere": table, "Rows": kept}));
    cloud.up();
    save(&cloud, json!({"Other": table}));
    cloud.wschat(&["up", "--local", "--yes", "--replace-stack"]).ok();
    cloud.down();
}

/// Runs a command whose stack is determined by its folder.
fn in_folder(cloud: &Cloud, folder: &Path, arguments: &[&str]) -> Run {
    let mut command = cloud.command(arguments);
    cloud.begin_command(command.current_dir(folder).env_remove("WSCHAT_STACK")).end()
}

#[test]
fn a_folders_name_is_used_unchanged_or_not_at_all() {
    let cloud = template::fast_echo();
    let long = "production-".repeat(12);
    for (folder, suggested) in [
        ("chat.prod", "chat-prod"),
        ("chat_prod", "chat-prod"),
        ("9lives", "stack-9lives"),
        (&long[..129], &long[..128]),
    ] {
        let suggested = suggested.trim_end_matches('-');
        let path = cloud.folder().with_file_name(folder);
        fs::create_dir(&path).unwrap();
        fs::copy(cloud.folder().join("template.json"), path.join("template.json")).unwrap();
        for verb in ["up", "plan", "status", "down", "url", "policy"] {
            let run = in_folder(&cloud, &path, &[verb, "--local"]).exits(1);
            let expected = format!(
                "error: the folder's name, \"{folder}\", cannot name a stack: letters, digits and hyphens, a letter first, at most 128 characters\n  say which stack this is: --stack {suggested} ("
            );
            assert!(run.stderr.contains(&expected), "{}", run.stderr);
            assert!(run.calls.is_empty());
        }
    }
}

/// Two names of 128 characters that differ in the last one are two stacks, although their resources' names are shortened.
#[test]
fn stack_names_may_be_as_long_as_in_cloudformation() {
    let cloud = template::fast_echo();
    let [one, other] = ["a", "b"].map(|last| format!("{}{last}", "long-".repeat(26)[..127].to_owned()));
    let up = |stack: &str| cloud.wschat(&["up", "--local", "--yes", "--stack", stack]).ok();
    up(&one);
    let alone = cloud.inventory_now();
    up(&other);
    up(&one).changes_nothing();
    let both = cloud.inventory_now();
    assert_eq!(both.len(), 2 * alone.len());
    assert!(both.keys().all(|name| !name.starts_with("function ") || name.len() <= "function ".len() + 64), "{both:?}");
    down(&cloud, &other).ok();
    same(&cloud.inventory_now(), &alone);
    down(&cloud, &one).ok();
    same(&cloud.inventory_now(), &Inventory::new());
    let too_long = cloud.wschat(&["status", "--local", "--stack", &"x".repeat(129)]).exits(64);
    assert!(too_long.stderr.contains("letters, digits and hyphens, a letter first, at most 128 characters\n"));
}

#[test]
fn a_renamed_folder_keeps_its_stack() {
    let cloud = template::fast_echo();
    let first = cloud.folder().with_file_name("first");
    fs::create_dir_all(first.join("templates")).unwrap();
    fs::copy(cloud.folder().join("template.json"), first.join("templates/app.json")).unwrap();
    template::script(&first.join("templates/echo"), "#!/bin/sh\nexit 1\n");
    let run = in_folder(&cloud, &first, &["up", "--local", "--yes"]).ok();
    let said = "wschat.toml now has stack = \"first\": all commands in this folder use it. Commit the file.\n";
    assert!(run.stderr.contains(said), "{}", run.stderr);
    let file = fs::read_to_string(first.join("wschat.toml")).unwrap();
    assert!(file.ends_with("\n[default]\nstack = \"first\"\n"), "{file}");
    let second = first.with_file_name("second.0");
    fs::rename(&first, &second).unwrap();
    let whole = cloud.inventory_now();
    let again = in_folder(&cloud, &second, &["up", "--local", "--yes"]).ok();
    again.changes_nothing();
    assert!(!again.stderr.contains("wschat.toml"), "{}", again.stderr);
    // Also without naming the template, and from another folder when naming it.
    for verb in ["status", "url", "plan"] {
        in_folder(&cloud, &second, &[verb, "--local"]).ok();
    }
    let template = second.join("templates/app.json");
    in_folder(&cloud, &cloud.folder(), &["plan", "--local", "--template", template.to_str().unwrap()]).ok();
    // A flag and a variable take precedence over the file, and do not change it.
    let mut command = cloud.command(&["status", "--local"]);
    cloud.begin_command(command.current_dir(&second).env("WSCHAT_STACK", "of-a-variable")).end().exits(3);
    in_folder(&cloud, &second, &["up", "--local", "--yes", "--stack", "other"]).ok();
    assert_eq!(fs::read_to_string(second.join("wschat.toml")).unwrap(), file);
    in_folder(&cloud, &second, &["down", "--local", "--yes", "--stack", "other"]).ok();
    same(&cloud.inventory_now(), &whole);
    in_folder(&cloud, &second, &["down", "--local", "--yes"]).ok();
    same(&cloud.inventory_now(), &Inventory::new());
}

/// Two projects in folders of the same name: the second must not take over the first one's stack.
#[test]
fn a_folders_name_does_not_select_an_existing_stack() {
    let cloud = template::fast_echo();
    let folders = ["a/backend", "b/backend"].map(|name| cloud.folder().with_file_name("monorepo").join(name));
    for folder in &folders {
        fs::create_dir_all(folder).unwrap();
        fs::copy(cloud.folder().join("template.json"), folder.join("template.json")).unwrap();
        template::script(&folder.join("echo"), "#!/bin/sh\nexit 1\n");
    }
    let [one, other] = &folders;
    in_folder(&cloud, one, &["up", "--local", "--yes"]).ok();
    let whole = cloud.inventory_now();
    for verb in ["up", "down"] {
        let run = in_folder(&cloud, other, &[verb, "--local", "--yes"]).exits(1);
        run.changes_nothing();
        let said = "stack backend exists already, and only the folder's name says that it is this project's\n  if it is: --stack backend (";
        assert!(run.stderr.contains(said), "{}", run.stderr);
    }
    assert!(!other.join("wschat.toml").exists());
    same(&cloud.inventory_now(), &whole);
    // The name comes from the template's folder, wherever the command runs.
    let above = one.parent().unwrap().parent().unwrap();
    let url = in_folder(&cloud, above, &["url", "--local", "-t", "a/backend/template.json"]).ok();
    assert!(url.stdout.starts_with("ws://"), "{}", url.stdout);
    in_folder(&cloud, above, &["down", "--local", "--yes", "-t", "a/backend/template.json"]).ok();
    same(&cloud.inventory_now(), &Inventory::new());
}

/// If the project's folder is a function's code, the file that `up` writes there is not part of it.
#[test]
fn the_project_file_is_not_packaged() {
    let cloud = template::fast_echo();
    let mut template = template::echo_without_handler(&cloud);
    template.set("Echo.Code", ".".into());
    template.save(&cloud);
    template::script(&cloud.folder(), "#!/bin/sh\nexit 1\n");
    cloud.up();
    assert!(cloud.folder().join("wschat.toml").is_file());
    cloud.up().changes_nothing();
}

#[test]
fn a_given_region_is_stored_with_the_name() {
    let cloud = template::fast_echo();
    let folder = cloud.folder();
    fs::write(folder.join("wschat.toml"), "# ours\n[default] # all\n").unwrap();
    in_folder(&cloud, &folder, &["up", "--local", "--yes", "--region", "eu-west-1"]).ok();
    let text = fs::read_to_string(folder.join("wschat.toml")).unwrap();
    assert_eq!(text, "# ours\n[default] # all\nstack = \"project\"\nregion = \"eu-west-1\"\n");
    let status = in_folder(&cloud, &folder, &["status", "--local"]).ok();
    assert!(status.stdout.contains("Stack project in account 000000000000 (eu-west-1)"), "{}", status.stdout);
    in_folder(&cloud, &folder, &["status", "--local", "--region", "us-east-1"]).exits(3);
    in_folder(&cloud, &folder, &["down", "--local", "--yes"]).ok();

    for (text, expected) in [
        (
            "[default]\nstak = \"a\"\n",
            "error: wschat.toml:2: unknown key \"stak\" in [default]\n  did you mean \"stack\"?\n",
        ),
        (
            "[default]\nstack = \"9lives\"\n",
            "error: wschat.toml:2: stack cannot be \"9lives\"\n  letters, digits and hyphens, a letter first, at most 128 characters\n",
        ),
    ] {
        fs::write(folder.join("wschat.toml"), text).unwrap();
        for verb in ["up", "plan", "status", "down", "url", "policy"] {
            let run = in_folder(&cloud, &folder, &[verb, "--local"]).exits(1);
            assert_eq!(run.stderr, expected, "{verb}");
        }
    }
}

#[test]
fn existing_stacks_are_listed() {
    let cloud = template::fast_echo();
    let list = |flags: &[&str]| cloud.wschat(&[&["list", "--local"], flags].concat()).ok();
    assert_eq!(list(&[]).stderr, "There is no stack in account 000000000000 (us-east-1).\n");
    let nothing = cloud.down();
    assert_eq!(nothing.stderr, "Stack app does not exist in account 000000000000 (us-east-1).\n");
    let up = |stack: &str| cloud.wschat(&["up", "--local", "--yes", "--stack", stack]).ok();
    up("shop");
    up("app-two");
    let listed = list(&[]);
    listed.changes_nothing();
    // Only the template tells a separate policy resource from a policy in its role's properties.
    let elsewhere = tempfile::tempdir().unwrap();
    let status = in_folder(&cloud, elsewhere.path(), &["status", "--local", "--stack", "shop", "--json"]).ok();
    let status: Value = serde_json::from_str(&status.stdout).unwrap();
    let (count, uri) = (status["resources"].as_array().unwrap().len(), status["uris"][0].as_str().unwrap());
    let lines: Vec<&str> = listed.stdout.lines().collect();
    assert!(lines.len() == 2 && lines[0].starts_with("app-two  "), "{lines:?}");
    assert_eq!(lines[1], format!("shop     {count} resources  {uri}"));
    let json: Value = serde_json::from_str(&list(&["--json"]).stdout).unwrap();
    assert_eq!(json["stacks"][1]["stack"], "shop");
    assert_eq!(json["stacks"][1]["resources"], count);
    assert_eq!(json["stacks"][1]["uris"], json!([uri]));
    assert_eq!(json["stacks"][1]["types"]["AWS::Lambda::Function"], 1);

    let there = "\n  did you mean --stack shop? There are: app-two, shop";
    let down = down(&cloud, "shopp");
    assert_eq!(down.stderr, format!("Stack shopp does not exist in account 000000000000 (us-east-1).{there}\n"));
    let status = cloud.wschat(&["status", "--local", "--stack", "shopp"]).exits(3);
    assert!(status.stderr.ends_with(&format!("{there}\n")), "{}", status.stderr);
    let url = cloud.wschat(&["url", "--local", "--stack", "shopp"]);
    assert!(url.stderr.contains(&format!("{there}\n  bring it up with")), "{}", url.stderr);
    let empty = cloud.wschat(&["down", "--local", "--yes", "--stack", ""]).exits(64);
    empty.changes_nothing();
}

/// A template with a permission on another stack's function, whose name is a parameter.
fn with_foreign_permission(cloud: &Cloud, function: &str) -> Template {
    let api = json!({"Type": "AWS::ApiGatewayV2::Api", "Properties": {
        "Name": "app", "ProtocolType": "WEBSOCKET", "RouteSelectionExpression": "$request.body.action"}});
    let invoke = "arn:${AWS::Partition}:apigateway:${AWS::Region}:lambda:path/2015-03-31/functions/arn:${AWS::Partition}:lambda:${AWS::Region}:${AWS::AccountId}:function:others/invocations";
    let source = "arn:${AWS::Partition}:execute-api:${AWS::Region}:${AWS::AccountId}:${Api}/*";
    let template = Template(json!({
        "Parameters": {"Function": {"Type": "String", "Default": function}},
        "Resources": {
            "Api": api,
            "Calls": {"Type": "AWS::ApiGatewayV2::Integration", "Properties": {
                "ApiId": {"Ref": "Api"}, "IntegrationType": "AWS_PROXY", "IntegrationUri": {"Fn::Sub": invoke}}},
            "Route": {"Type": "AWS::ApiGatewayV2::Route", "Properties": {
                "ApiId": {"Ref": "Api"}, "RouteKey": "$default", "Target": {"Fn::Sub": "integrations/${Calls}"}}},
            "Stage": {"Type": "AWS::ApiGatewayV2::Stage", "Properties": {
                "ApiId": {"Ref": "Api"}, "StageName": "live", "AutoDeploy": true}},
            "May": {"Type": "AWS::Lambda::Permission", "Properties": {
                "FunctionName": {"Ref": "Function"}, "Action": "lambda:InvokeFunction",
                "Principal": "apigateway.amazonaws.com", "SourceArn": {"Fn::Sub": source}}},
        }
    }));
    template.save(cloud);
    template
}

/// The sources in the policy of the function `others`.
async fn sources(hand: &OtherUser) -> Vec<String> {
    let Ok(answer) = hand.lambda.get_policy().function_name("others").send().await else { return Vec::new() };
    let policy: Value = serde_json::from_str(answer.policy().unwrap()).unwrap();
    let source = |statement: &Value| statement["Condition"]["ArnLike"]["AWS:SourceArn"].as_str().unwrap().to_owned();
    policy["Statement"].as_array().unwrap().iter().map(source).collect()
}

#[tokio::test]
async fn a_permission_on_a_foreign_function_is_created_changed_and_deleted_and_nothing_else() {
    let cloud = template::fast_echo();
    let hand = OtherUser::on(&cloud).await;
    hand.function("others", &[("wschat:stack", "shop"), ("wschat:region", "us-east-1")]).await;
    let theirs = cloud.inventory().await;
    for function in ["others", "arn:aws:lambda:us-east-1:000000000000:function:others"] {
        let mut template = with_foreign_permission(&cloud, function);
        let run = cloud.wschat(&["plan", "--local"]).exits(2);
        assert!(run.stdout.contains("others for arn:aws:execute-api"), "{}", run.stdout);
        // It is called what the template calls it.
        let up = cloud.wschat(&["up", "--local", "--yes", "--json"]).ok();
        let status = cloud.wschat(&["status", "--local", "--json"]).ok();
        let list = cloud.wschat(&["list", "--local", "--json"]).ok();
        for shown in [&run, &up, &status, &list] {
            assert!(!shown.stdout.contains("wschat::") && !shown.stderr.contains("wschat::"), "{}", shown.stdout);
        }
        assert!(status.stdout.contains(r#""type":"AWS::Lambda::Permission""#), "{}", status.stdout);
        let given = sources(&hand).await;
        assert!(given.len() == 1 && given[0].ends_with("/*"), "{given:?}");
        assert_eq!(cloud.up().mutations(), [""; 0]);
        // It belongs to the stack: removed by hand, it is created again.
        let policy = hand.lambda.get_policy().function_name("others").send().await.unwrap();
        let policy: Value = serde_json::from_str(policy.policy().unwrap()).unwrap();
        let sid = policy["Statement"][0]["Sid"].as_str().unwrap();
        hand.lambda.remove_permission().function_name("others").statement_id(sid).send().await.unwrap();
        cloud.wschat(&["status", "--local"]).exits(2);
        cloud.wschat(&["up", "--local", "--yes", "--no-interruption"]).ok();
        assert_eq!(sources(&hand).await, given);
        // Another statement replaces it; the old one is removed.
        let source = "arn:${AWS::Partition}:execute-api:${AWS::Region}:${AWS::AccountId}:${Api}/live/$default";
        template.set("May.SourceArn", json!({"Fn::Sub": source}));
        template.save(&cloud);
        cloud.up();
        let changed = sources(&hand).await;
        assert!(changed.len() == 1 && changed[0].ends_with("/live/$default"), "{changed:?}");
        template.remove("May");
        template.save(&cloud);
        cloud.up();
        assert_eq!(sources(&hand).await, [""; 0]);
        assert_eq!(cloud.up().mutations(), [""; 0]);
        with_foreign_permission(&cloud, function);
        cloud.up();
        // No template tells its function.
        fs::remove_file(cloud.folder().join("template.json")).unwrap();
        cloud.down();
        same(&cloud.inventory().await, &theirs);
    }
}

/// A run may be killed at any call: the next one finds the statement again.
#[tokio::test]
async fn a_permission_on_a_foreign_function_is_not_lost_by_a_killed_run() {
    let cloud = template::fast_echo();
    let hand = OtherUser::on(&cloud).await;
    hand.function("others", &[]).await;
    let theirs = cloud.inventory().await;
    // A missing function is not waited for.
    with_foreign_permission(&cloud, "nobodys");
    let run = cloud.wschat(&["up", "--local", "--yes"]).exits(1);
    assert!(run.stderr.contains("nobodys is not in this template, and must exist before: "), "{}", run.stderr);
    same(&cloud.inventory().await, &theirs);
    with_foreign_permission(&cloud, "others");
    let refused = Fault::refuse(400, "BadRequestException", "Not today").permanent();
    let trial = cloud.through().script(move |name| (name.operation == "CreateStage").then(|| refused.clone()));
    assert_eq!(trial.run(&["up"]).run.code, Some(1));
    same(&cloud.inventory().await, &theirs);
    for operation in ["TagResource", "AddPermission"] {
        for when in [Fault::before as fn(FaultKind) -> Fault, Fault::after] {
            with_foreign_permission(&cloud, "others");
            let kill = when(FaultKind::Kill);
            let trial = cloud.through().script(move |name| (name.operation == operation).then(|| kill.clone()));
            let trial = trial.run(&["up"]);
            assert!(trial.was_hit(), "{operation}");
            fs::remove_file(cloud.folder().join("template.json")).unwrap();
            cloud.down();
            same(&cloud.inventory().await, &theirs);
        }
    }
    for operation in ["RemovePermission", "UntagResource"] {
        for when in [Fault::before as fn(FaultKind) -> Fault, Fault::after] {
            with_foreign_permission(&cloud, "others");
            cloud.up();
            let kill = when(FaultKind::Kill);
            let trial = cloud.through().script(move |name| (name.operation == operation).then(|| kill.clone()));
            let trial = trial.run(&["down", "--yes"]);
            assert!(trial.was_hit(), "{operation}");
            cloud.down();
            same(&cloud.inventory().await, &theirs);
        }
    }
}

/// A statement that another stack adds to a function's policy is not removed by the function's own stack.
#[tokio::test]
async fn the_functions_own_stack_leaves_a_foreign_permission_alone() {
    let cloud = template::fast_echo();
    let hand = OtherUser::on(&cloud).await;
    let mut own = template::echo_without_handler(&cloud);
    own.set("Echo.FunctionName", "others".into());
    own.save(&cloud);
    cloud.up();
    let alone = cloud.inventory().await;
    with_foreign_permission(&cloud, "others");
    fs::rename(cloud.folder().join("template.json"), cloud.folder().join("other.json")).unwrap();
    own.save(&cloud);
    let other = ["--local", "--yes", "--stack", "other"];
    let up = [&["up", "--template", "other.json"], &other[..]].concat();
    cloud.wschat(&up).ok();
    let before = sources(&hand).await.len();
    cloud.up().changes_nothing();
    assert_eq!(sources(&hand).await.len(), before);
    cloud.wschat(&up).ok().changes_nothing();
    cloud.wschat(&[&["down"], &other[..]].concat()).ok();
    same(&cloud.inventory().await, &alone);
}

/// A permission that AWS rejects leaves nothing behind, and does not block other verbs.
#[tokio::test]
async fn a_permission_that_aws_rejects_leaves_no_record() {
    let cloud = template::fast_echo();
    let hand = OtherUser::on(&cloud).await;
    hand.function("others", &[]).await;
    let theirs = cloud.inventory().await;
    with_foreign_permission(&cloud, "others");
    cloud.up();
    let given = cloud.inventory().await;
    with_foreign_permission(&cloud, "arn:aws:lambda:us-east-1:111111111111:function:others");
    cloud.wschat(&["up", "--local", "--yes"]).exits(1);
    same(&cloud.inventory().await, &given);
    with_foreign_permission(&cloud, "others");
    cloud.status().ok();
    cloud.up().changes_nothing();
    cloud.wschat(&["list", "--local"]).ok();
    cloud.down();
    same(&cloud.inventory().await, &theirs);
}
