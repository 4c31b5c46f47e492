//! `wschat eject`: CloudFormation takes the stack over, and nothing of it changes.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use serde_json::Value;

use crate::adopt::nameless;
use crate::common::call_name::Name;
use crate::common::client::Client;
use crate::common::cloudformation::{CAPABILITIES, until};
use crate::common::cut::Cut;
use crate::common::inventory::{Inventory, same};
use crate::common::pool::on_clouds;
use crate::common::proxy::{Fault, FaultKind, When};
use crate::common::template::{SWIFT, Template};
use crate::common::{Cloud, Run, STACK, eventually, sample};

pub const EJECT: &[&str] = &["eject", "--yes"];

/// How many cases run in parallel.
const CLOUDS: usize = 2;

pub fn cloud() -> Cloud {
    let cloud = Cloud::start().conditions(SWIFT).go();
    Template::of("tests/fixtures/eject/template.yaml").save(&cloud);
    cloud
}

pub fn up() -> Cloud {
    let cloud = cloud();
    cloud.up();
    cloud
}

fn eject(cloud: &Cloud) -> Run {
    cloud.wschat(&["eject", "--local", "--yes"])
}

/// The inventory without what tells whose a resource is.
pub fn unmarked(cloud: &Cloud) -> Inventory {
    let inventory = cloud.inventory_now();
    inventory
        .into_iter()
        .map(|(name, mut one)| {
            (strip_text(&name), {
                strip(&mut one);
                one
            })
        })
        .collect()
}

/// Also without what says the same in other words: CloudFormation writes policies as the template does.
fn strip(value: &mut Value) {
    match value {
        Value::Object(members) => {
            members.retain(|key, _| !is_mark(key));
            members.values_mut().for_each(strip);
            members.retain(|key, value| {
                let is_empty = value.is_null() || value.as_array().is_some_and(Vec::is_empty);
                let is_of_mark = |text: &str| text.is_empty() || text.starts_with("wschat:");
                !(is_empty || key == "description" && value.as_str().is_some_and(is_of_mark))
            });
        }
        Value::Array(items) => {
            items.retain(|item| !["Key", "key", "TagKey"].iter().any(|name| item[*name].as_str().is_some_and(is_mark)));
            items.iter_mut().for_each(strip);
            if let [one @ Value::String(_)] = items.as_slice() {
                *value = one.clone();
            }
        }
        _ => {}
    }
}

fn strip_text(name: &str) -> String {
    name.split("wschat:").next().unwrap_or(name).trim_end().to_owned()
}

fn is_mark(key: &str) -> bool {
    key.starts_with("wschat:") || key.starts_with("aws:cloudformation:")
}

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap()
}

/// A stack of CloudFormation's: its status, its resources' types and physical ids by logical id, and its outputs.
pub type Formed = (String, BTreeMap<String, (String, String)>, BTreeSet<String>);

/// CloudFormation's stack: its status, its resources by logical id, its exports.
pub fn formed(cloud: &Cloud) -> Option<Formed> {
    runtime().block_on(async {
        let formation = aws_sdk_cloudformation::Client::new(&cloud.sdk().await);
        let found = formation.describe_stacks().stack_name(STACK).send().await.ok()?;
        let stack = found.stacks().first()?.clone();
        let listed = formation.describe_stack_resources().stack_name(STACK).send().await.ok()?;
        let resources = listed.stack_resources().iter().map(|one| {
            let physical_id = one.physical_resource_id().unwrap_or_default().to_owned();
            (one.logical_resource_id().unwrap().to_owned(), (one.resource_type().unwrap().to_owned(), physical_id))
        });
        let exports = stack.outputs().iter().filter_map(|output| output.export_name().map(str::to_owned));
        Some((stack.stack_status().unwrap().as_str().to_owned(), resources.collect(), exports.collect()))
    })
}

/// Everything is in CloudFormation's stack, and nothing is wschat's.
pub fn is_handed_over(cloud: &Cloud) {
    let (status, resources, exports) = formed(cloud).expect("CloudFormation has no stack");
    assert_eq!(status, "UPDATE_COMPLETE");
    let template = fs::read_to_string(cloud.folder().join("template.cloudformation.json")).unwrap();
    let template: Value = serde_json::from_str(&template).unwrap();
    let declared: BTreeSet<&String> = template["Resources"].as_object().unwrap().keys().collect();
    assert_eq!(resources.keys().collect::<BTreeSet<_>>(), declared);
    assert!(resources.values().all(|(_, id)| !id.is_empty()), "{resources:?}");
    assert_eq!(exports, BTreeSet::from([format!("{STACK}-rows")]));
    let marks = serde_json::to_string(&cloud.inventory_now()).unwrap();
    assert!(!marks.contains("wschat:"), "{}", &marks[marks.find("wschat:").unwrap_or(0)..][..200]);
    let status = cloud.status().exits(3);
    assert!(status.stderr.contains("does not exist"), "{}", status.stderr);
}

#[test]
fn a_stack_is_cloudformations_and_nothing_else_has_changed() {
    let cloud = up();
    let before = unmarked(&cloud);
    let dry = cloud.wschat(&["eject", STACK, "--local", "--dry-run"]).ok();
    dry.changes_nothing();
    for (id, how) in [("Rows", "import"), ("MayQueue", "create"), ("JobsPolicy", "create"), ("Jobs", "import")] {
        let line = dry.stderr.lines().find(|line| line.split_whitespace().nth(1) == Some(id));
        assert!(line.is_some_and(|line| line.trim_start().starts_with(how)), "{id}: {}", dry.stderr);
    }
    assert!(formed(&cloud).is_none());
    assert!(!cloud.folder().join("template.cloudformation.json").exists());

    let run = eject(&cloud).ok();
    assert!(run.stderr.contains(&format!("Stack {STACK} is CloudFormation's.")), "{}", run.stderr);
    is_handed_over(&cloud);
    same(&unmarked(&cloud), &before);

    // Again, there is nothing to do.
    let again = eject(&cloud).ok();
    again.changes_nothing();
    // And nothing is wschat's to change.
    let refused = cloud.wschat(&["up", "--local", "--yes"]).exits(1);
    refused.changes_nothing();
    assert!(refused.stderr.contains("CloudFormation stack"), "{}", refused.stderr);
}

#[test]
fn a_stack_is_handed_over_only_as_its_template_describes_it() {
    let cloud = cloud();
    let nothing = eject(&cloud).exits(1);
    nothing.changes_nothing();
    assert!(nothing.stderr.contains("is not as the template describes it"), "{}", nothing.stderr);
    assert!(nothing.stderr.contains("wschat up"), "{}", nothing.stderr);
    cloud.up();
    let mut template = Template::of("tests/fixtures/eject/template.yaml");
    template.set("Jobs.VisibilityTimeout", 90.into());
    template.save(&cloud);
    let changed = eject(&cloud).exits(1);
    changed.changes_nothing();
    assert!(formed(&cloud).is_none());
}

#[test]
fn code_on_this_machine_needs_a_bucket() {
    let cloud = Cloud::start().go();
    crate::common::template::echo(&cloud);
    cloud.up();
    let refused = eject(&cloud).exits(1);
    refused.changes_nothing();
    assert!(refused.stderr.contains("in a bucket, and none is known"), "{}", refused.stderr);
    assert!(refused.stderr.contains("--bucket NAME"), "{}", refused.stderr);
}

#[test]
fn it_is_killed_at_every_call_and_run_again() {
    let first = up();
    let before = unmarked(&first);
    let trial = first.through().run(EJECT);
    let names = trial.names().into_iter().map(|name| Name { about: nameless(&name.about), ..name }).collect();
    trial.run.ok();
    is_handed_over(&first);
    let cuts = sample::some("points", Cut::everywhere(names), 24);
    on_clouds(CLOUDS, cloud, &cuts, |_, cut| {
        let cloud = up();
        let (wanted, fault) = (cut.name.clone(), cut.fault());
        let is_it = move |call: &Name| Name { about: nameless(&call.about), ..call.clone() } == wanted;
        let trial = cloud.through().script(move |call| is_it(call).then(|| fault.clone())).run(EJECT);
        // The number of looks differs from run to run.
        assert!(trial.was_hit() || cut.name.nth > 1 || !cut.name.mutating(), "there was no {}", cut.name);
        let run = trial.run;
        // At no moment is anything without an owner: what CloudFormation does not have is wschat's.
        let held =
            formed(&cloud).filter(|(status, resources, _)| status.ends_with("_COMPLETE") && !resources.is_empty());
        assert!(held.is_some() || cloud.status().code != Some(3), "let go too early\n{}", run.stderr);
        let again = eject(&cloud);
        assert_eq!(again.code, Some(0), "{}\nand then\n{}", run.stderr, again.stderr);
        is_handed_over(&cloud);
        same(&unmarked(&cloud), &before);
    });
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_client_notices_nothing() {
    let cloud = tokio::task::block_in_place(cloud);
    let uri = tokio::task::block_in_place(|| cloud.up()).uri();
    let (stop, heard) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicUsize::new(0)));
    let mut client = Client::connect(&uri).await;
    let talker = tokio::spawn({
        let (stop, heard) = (Arc::clone(&stop), Arc::clone(&heard));
        async move {
            while !stop.load(Ordering::Relaxed) {
                let said = format!("message {}", heard.load(Ordering::Relaxed));
                client.say(&said).await;
                assert_eq!(client.hear().await, format!("heard {said}"));
                heard.fetch_add(1, Ordering::Relaxed);
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
            client.leave().await
        }
    });
    let answered = async |more: usize| {
        let since = heard.load(Ordering::Relaxed);
        eventually("the client is answered", async || heard.load(Ordering::Relaxed) >= since + more).await;
    };
    answered(2).await;
    tokio::task::block_in_place(|| eject(&cloud).ok());
    answered(2).await;
    stop.store(true, Ordering::Relaxed);
    assert_eq!(talker.await.unwrap(), [""; 0]);
}

#[test]
fn it_comes_back() {
    let cloud = Cloud::start().conditions(SWIFT).go();
    let mut template = Template::of("tests/fixtures/eject/template.yaml");
    for other in ["Jobs", "JobsPolicy", "MayQueue"] {
        template.remove(other);
    }
    template.remove("Talk.Environment.Variables.QUEUE");
    template.save(&cloud);
    cloud.up();
    let before = unmarked(&cloud);
    eject(&cloud).ok();
    cloud.wschat(&["adopt", STACK, "--local", "--yes"]).ok();
    assert!(formed(&cloud).is_none());
    same(&unmarked(&cloud), &before);
    // What the stack exports is recorded when it is deployed.
    assert_eq!(cloud.up().mutations(), ["apigatewayv2.TagResource"]);
    cloud.up().changes_nothing();
}

#[test]
fn another_stack_of_that_name_is_left_alone() {
    let cloud = up();
    let body = r#"{"Resources": {"Other": {"Type": "AWS::Logs::LogGroup"}}}"#;
    create(&cloud, body);
    let refused = eject(&cloud).exits(1);
    refused.changes_nothing();
    assert!(refused.stderr.contains("which is not this one"), "{}", refused.stderr);
}

/// Two stacks of one template: CloudFormation's and wschat's, each with resources of its own.
#[test]
fn a_stack_that_was_deployed_beside_it_is_not_taken_for_it() {
    let cloud = Cloud::start().conditions(SWIFT).go();
    let body = r#"{"Resources": {"Logs": {"Type": "AWS::Logs::LogGroup", "Properties": {"RetentionInDays": 7}}}}"#;
    fs::write(cloud.folder().join("template.json"), body).unwrap();
    create(&cloud, body);
    cloud.up();
    let before = cloud.inventory_now();
    let refused = eject(&cloud).exits(1);
    refused.changes_nothing();
    assert!(refused.stderr.contains("with resources of its own"), "{}", refused.stderr);
    assert!(refused.stderr.contains("Logs is app-Logs-"), "{}", refused.stderr);
    same(&cloud.inventory_now(), &before);
}

/// Ends a run when the first tag is to come off: CloudFormation has everything.
fn killed_before_release(cloud: &Cloud) {
    let kill = Fault { when: When::Before, what: FaultKind::Kill, permanent: false };
    let run =
        cloud.through().script(move |call| call.operation.starts_with("Untag").then(|| kill.clone())).run(EJECT).run;
    assert_eq!(run.code, None, "{}", run.stderr);
}

/// To delete CloudFormation's stack now would delete the resources.
#[test]
fn a_template_that_has_changed_meanwhile_is_no_reason_to_delete_the_stack() {
    let cloud = up();
    killed_before_release(&cloud);
    let mut template = Template::of("tests/fixtures/eject/template.yaml");
    template.0["Resources"]["Later"] = serde_json::json!({"Type": "AWS::Logs::LogGroup"});
    template.save(&cloud);
    let refused = eject(&cloud).exits(1);
    refused.changes_nothing();
    for words in ["has this stack's resources", "take back what has changed", "do not delete CloudFormation's stack"] {
        assert!(refused.stderr.contains(words), "{}", refused.stderr);
    }
    Template::of("tests/fixtures/eject/template.yaml").save(&cloud);
    eject(&cloud).ok();
    is_handed_over(&cloud);
}

#[test]
fn a_stack_that_another_tool_has_deployed_meanwhile_is_let_go() {
    let cloud = up();
    killed_before_release(&cloud);
    let written = fs::read_to_string(cloud.folder().join("template.cloudformation.json")).unwrap();
    let mut template: Value = serde_json::from_str(&written).unwrap();
    template["Resources"]["Rows"]["Metadata"] = serde_json::json!({"SamResourceId": "Rows"});
    runtime().block_on(async {
        let formation = aws_sdk_cloudformation::Client::new(&cloud.sdk().await);
        let update = formation.update_stack().stack_name(STACK).template_body(template.to_string());
        update.set_capabilities(Some(CAPABILITIES.to_vec())).send().await.unwrap();
        until(&formation, STACK, "UPDATE_COMPLETE").await;
    });
    eject(&cloud).ok();
    is_handed_over(&cloud);
}

/// CloudFormation's stack `other`, which exports what this one exports.
const EXPORTS_THE_SAME: &str = r#"{"Resources": {"Other": {"Type": "AWS::Logs::LogGroup"}},
"Outputs": {"Rows": {"Value": "x", "Export": {"Name": "app-rows"}}}}"#;

fn exports_the_same(formation: &aws_sdk_cloudformation::Client) {
    runtime().block_on(async {
        formation.create_stack().stack_name("other").template_body(EXPORTS_THE_SAME).send().await.unwrap();
        until(formation, "other", "CREATE_COMPLETE").await;
    });
}

/// Deletes a stack of CloudFormation's.
fn deleted(cloud: &Cloud, stack: &str) {
    let formation = formation(cloud);
    runtime().block_on(async {
        let found = formation.describe_stacks().stack_name(stack).send().await.unwrap();
        let id = found.stacks()[0].stack_id().unwrap();
        formation.delete_stack().stack_name(stack).send().await.unwrap();
        until(&formation, id, "DELETE_COMPLETE").await;
    });
}

fn formation(cloud: &Cloud) -> aws_sdk_cloudformation::Client {
    runtime().block_on(async { aws_sdk_cloudformation::Client::new(&cloud.sdk().await) })
}

#[test]
fn an_export_that_another_stack_has_is_said_before_anything_is_done() {
    let cloud = up();
    exports_the_same(&formation(&cloud));
    let refused = eject(&cloud).exits(1);
    refused.changes_nothing();
    for words in ["the output Table exports app-rows", "the CloudFormation stack \"other\" exports already"] {
        assert!(refused.stderr.contains(words), "{}", refused.stderr);
    }
    assert!(formed(&cloud).is_none());
}

/// Runs `eject`, and lets another stack take the name of the export before the second change set is carried out.
fn fails_in_the_second_step(cloud: &Cloud) -> Run {
    let (formation, sets) = (formation(cloud), AtomicUsize::new(0));
    let script = move |call: &Name| {
        if call.operation == "CreateChangeSet" && sets.fetch_add(1, Ordering::Relaxed) == 1 {
            let formation = formation.clone();
            std::thread::spawn(move || exports_the_same(&formation)).join().unwrap();
        }
        None
    };
    cloud.through().script(script).run(EJECT).run.exits(1)
}

#[test]
fn a_second_step_that_fails_takes_no_permission_away() {
    let cloud = up();
    let before = unmarked(&cloud);
    let failed = fails_in_the_second_step(&cloud);
    for words in
        ["UPDATE_ROLLBACK_COMPLETE", "Export with name app-rows is already exported by stack other", "continue with"]
    {
        assert!(failed.stderr.contains(words), "{}", failed.stderr);
    }
    let now: Inventory = unmarked(&cloud).into_iter().filter(|(name, _)| before.contains_key(name)).collect();
    same(&now, &before);

    // The cause is still there, which is said; without it, the same command goes on.
    let again = eject(&cloud).exits(1);
    again.changes_nothing();
    assert!(again.stderr.contains("exports already"), "{}", again.stderr);
    deleted(&cloud, "other");
    eject(&cloud).ok();
    is_handed_over(&cloud);
    same(&unmarked(&cloud), &before);
}

/// The way back from there: CloudFormation's stack has nothing that does not stay without it.
#[test]
fn a_handover_that_has_failed_can_be_given_up() {
    let cloud = up();
    let before = cloud.inventory_now();
    fails_in_the_second_step(&cloud);
    let mut template = Template::of("tests/fixtures/eject/template.yaml");
    template.set("Jobs.VisibilityTimeout", 90.into());
    template.save(&cloud);
    let keeps = "or let wschat alone have them: delete CloudFormation's stack, which keeps all of these resources";
    let delete = format!("aws cloudformation delete-stack --stack-name {STACK}");
    for command in ["eject", "up"] {
        let refused = cloud.wschat(&[command, "--local", "--yes"]).exits(1);
        refused.changes_nothing();
        for words in [keeps, &delete] {
            assert!(refused.stderr.contains(words), "{command}: {}", refused.stderr);
        }
    }
    for stack in [STACK, "other"] {
        deleted(&cloud, stack);
    }
    Template::of("tests/fixtures/eject/template.yaml").save(&cloud);
    cloud.up();
    cloud.up().changes_nothing();
    let names = |inventory: &Inventory| inventory.keys().cloned().collect::<Vec<_>>();
    assert_eq!(names(&cloud.inventory_now()), names(&before));
    eject(&cloud).ok();
    is_handed_over(&cloud);
}

/// Ends a run before its second change set is carried out, and lets another deployer update the stack.
#[test]
fn a_change_set_of_an_earlier_run_may_be_out_of_date() {
    let cloud = up();
    let (kill, sets) = (Fault { when: When::Before, what: FaultKind::Kill, permanent: false }, AtomicUsize::new(0));
    let is_second =
        move |call: &Name| call.operation == "ExecuteChangeSet" && sets.fetch_add(1, Ordering::Relaxed) == 1;
    let killed = cloud.through().script(move |call| is_second(call).then(|| kill.clone())).run(EJECT).run;
    assert_eq!(killed.code, None, "{}", killed.stderr);
    crate::adopt::block(crate::adopt::retag(&cloud, ""));
    eject(&cloud).ok();
    is_handed_over(&cloud);
}

/// A stack of CloudFormation's of this template.
fn create(cloud: &Cloud, body: &str) {
    runtime().block_on(async {
        let formation = aws_sdk_cloudformation::Client::new(&cloud.sdk().await);
        formation.create_stack().stack_name(STACK).template_body(body).send().await.unwrap();
        until(&formation, STACK, "CREATE_COMPLETE").await;
    });
}
