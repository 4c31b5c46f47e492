//! A run that ends before its time, at whatever moment, is made good by the next one: one healthy stack, no orphan, no
//! duplicate.
//!
//! Moments are told by how many calls the cloud has answered, not by time.

#![allow(clippy::unwrap_used, clippy::print_stdout)]

mod common;

use common::inventory::{Inventory, same};
use common::{Cloud, Run, template};
use rustix::process::Signal;

/// How many moments there are, spread over the whole run.
const MOMENTS: usize = 10;

/// Slow enough that something is under way whenever a run is cut off.
const MILD: &str = r#"
    [latency_ms]
    default = 10
    [eventual_s]
    iam_role_assumable = 0.15
    table_creating = 0.1
    table_deleting = 0.1
    function_pending = 0.1
    function_updating = 0.1
"#;

/// A cloud with the whole chat template in its folder, and nothing deployed.
fn chat() -> Cloud {
    let cloud = Cloud::start().conditions(MILD).go();
    template::chat_without_handlers(&cloud);
    cloud
}

/// The stack as it is when nothing goes wrong, and how many calls an `up` and a `down` take.
async fn undisturbed() -> (Inventory, usize, usize) {
    let cloud = chat();
    let before = cloud.calls().len();
    cloud.up();
    let up = cloud.calls().len() - before;
    let inventory = cloud.inventory().await;
    let before = cloud.calls().len();
    cloud.down();
    (inventory, up, cloud.calls().len() - before)
}

/// The moments to cut off a run of `calls` calls: after the first, before the last, and evenly between.
fn moments(calls: usize) -> impl Iterator<Item = usize> {
    (0..MOMENTS).map(move |moment| 1 + moment * (calls - 2) / (MOMENTS - 1))
}

/// Runs `verb` and sends it `signal` after so many calls.
fn cut_off(cloud: &Cloud, verb: &str, calls: usize, signal: Signal) -> Run {
    let mut running = cloud.begin(&[verb, "--local", "--yes"]);
    if running.until_calls(calls) {
        running.signal(signal);
    }
    running.end()
}

#[tokio::test]
async fn up_that_was_killed_goes_on_where_it_was() {
    let (whole, calls, _) = undisturbed().await;
    let cloud = chat();
    let mut killed = 0;
    for moment in moments(calls) {
        println!("killed after {moment} of {calls} calls");
        killed += usize::from(cut_off(&cloud, "up", moment, Signal::KILL).code.is_none());
        cloud.up();
        same(&cloud.inventory().await, &whole);
        cloud.up().changes_nothing();
        cloud.status().ok();
        cloud.down();
        same(&cloud.inventory().await, &Inventory::new());
    }
    assert!(killed >= MOMENTS - 2, "only {killed} runs were cut off");
}

#[tokio::test]
async fn down_that_was_killed_goes_on_where_it_was() {
    let (whole, _, calls) = undisturbed().await;
    let cloud = chat();
    let mut killed = 0;
    for moment in moments(calls) {
        println!("killed after {moment} of {calls} calls");
        cloud.up();
        killed += usize::from(cut_off(&cloud, "down", moment, Signal::KILL).code.is_none());
        // Every other time somebody thinks better of it.
        if moment % 2 == 0 {
            cloud.up();
            same(&cloud.inventory().await, &whole);
        }
        cloud.down();
        same(&cloud.inventory().await, &Inventory::new());
    }
    assert!(killed >= MOMENTS - 2, "only {killed} runs were cut off");
}

#[tokio::test]
async fn what_a_killed_up_left_comes_down() {
    let (_, calls, _) = undisturbed().await;
    let cloud = chat();
    for moment in moments(calls) {
        println!("killed after {moment} of {calls} calls");
        cut_off(&cloud, "up", moment, Signal::KILL);
        cloud.down();
        same(&cloud.inventory().await, &Inventory::new());
    }
}

#[tokio::test]
async fn an_update_that_was_killed_goes_on_where_it_was() {
    let changed = |cloud: &Cloud| {
        let mut template = template::echo(cloud);
        template.set("PingRoute.RouteKey", "pong".into());
        template.set("PingIntegration.TimeoutInMillis", 6000.into());
        template.set("Echo.MemorySize", 512.into());
        template
            .set("EchoPermission.SourceArn", serde_json::json!({"Fn::Sub": "arn:aws:execute-api:*:*:${Api}/live/*"}));
        template.save(cloud);
        template::echo_code(cloud, "goodbye");
    };
    let cloud = Cloud::start().conditions(MILD).go();
    template::echo(&cloud);
    cloud.up();
    changed(&cloud);
    let before = cloud.calls().len();
    cloud.up();
    let calls = cloud.calls().len() - before;
    let whole = cloud.inventory().await;
    for moment in moments(calls) {
        println!("killed after {moment} of {calls} calls");
        template::echo(&cloud);
        cloud.up();
        changed(&cloud);
        cut_off(&cloud, "up", moment, Signal::KILL);
        cloud.up();
        same(&cloud.inventory().await, &whole);
        cloud.up().changes_nothing();
    }
}

#[tokio::test]
async fn an_interrupt_lets_what_runs_finish_and_starts_nothing_more() {
    let (whole, calls, _) = undisturbed().await;
    let cloud = chat();
    let run = cut_off(&cloud, "up", calls / 2, Signal::INT).exits(1);
    assert!(
        run.stderr.contains(
            "\nStopping: what runs is finished, nothing more is started. Press Ctrl-C again to stop at once.\n"
        ),
        "{}",
        run.stderr
    );
    let last = format!(
        "\n  run it again to go on from here, or take everything down with: wschat down --stack app --local --data {}\n",
        cloud.data().display()
    );
    assert!(run.stderr.contains("error: stopped: ") && run.stderr.ends_with(&last), "{}", run.stderr);
    assert_eq!(run.stdout, "");
    cloud.up();
    same(&cloud.inventory().await, &whole);

    let run = cut_off(&cloud, "down", 40, Signal::INT);
    if run.code != Some(0) {
        let run = run.exits(1);
        assert!(run.stderr.contains("go on with: wschat down"), "{}", run.stderr);
    }
    cloud.down();
    same(&cloud.inventory().await, &Inventory::new());
}

#[tokio::test]
async fn a_second_interrupt_ends_it_at_once() {
    let (whole, calls, _) = undisturbed().await;
    let cloud = chat();
    let mut running = cloud.begin(&["up", "--local", "--yes"]);
    assert!(running.until_calls(calls / 2));
    running.signal(Signal::INT);
    // The first one must have been heard before the second is sent: signals do not queue.
    running.until_said("Press Ctrl-C again");
    running.signal(Signal::INT);
    let code = running.end().code;
    assert!(code == Some(130) || code == Some(1), "{code:?}: all that ran may have been finished already");
    cloud.up();
    same(&cloud.inventory().await, &whole);
}

#[tokio::test]
async fn eight_at_once_make_one_stack() {
    let (whole, _, _) = undisturbed().await;
    let cloud = chat();
    let racers: Vec<_> = (0..8).map(|_| cloud.begin(&["up", "--local", "--yes"])).collect();
    let ends: Vec<Run> = racers.into_iter().map(common::Running::end).collect();
    for run in &ends {
        println!("{:?} {}", run.code, run.stderr.lines().rev().take(3).collect::<Vec<_>>().join(" / "));
    }
    cloud.up();
    same(&cloud.inventory().await, &whole);
    cloud.up().changes_nothing();
}
