//! Killed and interrupted runs: the next run completes the stack, without orphans or duplicates.
//!
//! wschat is killed at every call that it makes: before the call has reached AWS, and after it had its effect but before its
//! answer arrived. Each time, a third of these points runs (`common::sample`); the time saved pays for the example apps.

use crate::common;

use crate::common::call_name::Name;
use crate::common::cut::Cut;
use crate::common::inventory::{Inventory, same};
use crate::common::pool::on_clouds;
use crate::common::proxy::ProxiedRun;
use crate::common::{Cloud, Run, sample, template};
use rustix::process::Signal;

/// How many clouds run in parallel: runs mostly wait.
const CLOUDS: usize = 3;

/// The number of points that the example apps share.
const POINTS: usize = 36;

const UP: &[&str] = &["up", "--yes"];
const DOWN: &[&str] = &["down", "--yes"];

impl Cut {
    /// Runs `wschat` and kills it there.
    fn run(&self, cloud: &Cloud, arguments: &[&str]) {
        let ProxiedRun { run, calls, .. } = cloud.through().fault(&self.name, &self.fault()).run(arguments);
        if calls.iter().any(|call| call.fault.is_some()) {
            assert_eq!(run.code, None, "{self} and yet it went on\n{}", run.stderr);
        } else {
            // The number of polls, and of "not yet" answers, differs from run to run.
            assert!(self.name.nth > 1 || !self.name.mutating(), "there was no {}", self.name);
            run.ok();
        }
    }
}

fn up(cloud: &Cloud) -> ProxiedRun {
    succeeds(cloud, UP)
}

fn down(cloud: &Cloud) -> ProxiedRun {
    let trial = succeeds(cloud, DOWN);
    same(&cloud.inventory_now(), &Inventory::new());
    trial
}

fn succeeds(cloud: &Cloud, arguments: &[&str]) -> ProxiedRun {
    let trial = cloud.through().run(arguments);
    ProxiedRun { run: trial.run.ok(), ..trial }
}

/// The next `up` must complete the stack, and the one after that must find nothing to do.
fn is_completed(cloud: &Cloud, whole: &Inventory) {
    up(cloud);
    same(&cloud.inventory_now(), whole);
    up(cloud).run.changes_nothing();
}

#[test]
fn up_is_killed_at_every_call() {
    let cloud = template::fast_echo();
    let cuts = sample::third("points", Cut::everywhere(up(&cloud).names()));
    let whole = cloud.inventory_now();
    on_clouds(CLOUDS, template::fast_echo, &cuts, |cloud, cut| {
        cut.run(cloud, UP);
        is_completed(cloud, &whole);
        down(cloud);
        // The user may also delete the stack instead.
        cut.run(cloud, UP);
        down(cloud);
    });
}

#[test]
fn an_update_is_killed_at_every_call() {
    let cloud = template::fast_echo();
    up(&cloud);
    let before = cloud.inventory_now();
    template::echo_changed(&cloud);
    let cuts = sample::third("points", Cut::everywhere(up(&cloud).names()));
    let whole = cloud.inventory_now();
    let start = || {
        let cloud = template::fast_echo();
        up(&cloud);
        cloud
    };
    on_clouds(CLOUDS, start, &cuts, |cloud, cut| {
        template::echo_changed(cloud);
        cut.run(cloud, UP);
        is_completed(cloud, &whole);
        template::echo_without_handler(cloud);
        up(cloud);
        same(&cloud.inventory_now(), &before);
    });
}

#[test]
fn down_is_killed_at_every_call() {
    let cloud = template::fast_echo();
    up(&cloud);
    let whole = cloud.inventory_now();
    let cuts = sample::third("points", Cut::everywhere(down(&cloud).names()));
    on_clouds(CLOUDS, template::fast_echo, &cuts, |cloud, cut| {
        up(cloud);
        cut.run(cloud, DOWN);
        down(cloud);
        // The user may also delete the stack instead.
        up(cloud);
        cut.run(cloud, DOWN);
        is_completed(cloud, &whole);
        down(cloud);
    });
}

/// The example apps, killed at some of their calls.
#[test]
fn every_app_is_killed_at_some_calls() {
    let apps = template::apps();
    let share = (POINTS / apps.len()).max(1);
    for app in apps {
        let cloud = app.fast();
        let calls = up(&cloud).names();
        let whole = cloud.inventory_now();
        let cuts = sample::some(&app.name, Cut::everywhere(calls), share);
        on_clouds(
            CLOUDS,
            || app.fast(),
            &cuts,
            |cloud, cut| {
                cut.run(cloud, UP);
                is_completed(cloud, &whole);
                down(cloud);
            },
        );
    }
}

/// What cannot be tagged, and the tags of others that record it: killed around each of the calls for these.
#[test]
fn what_cannot_be_tagged_survives_a_kill() {
    let app = template::App::services();
    let cloud = app.fast();
    let is_one = |name: &Name| name.mutating() && ["cloudcontrolapi", "tagging"].contains(&name.service.as_str());
    let names = up(&cloud).names().into_iter().filter(is_one).collect();
    let whole = cloud.inventory_now();
    let cuts = sample::some("untagged up", Cut::everywhere(names), 16);
    on_clouds(
        CLOUDS,
        || app.fast(),
        &cuts,
        |cloud, cut| {
            cut.run(cloud, UP);
            is_completed(cloud, &whole);
            down(cloud);
            cut.run(cloud, UP);
            down(cloud);
        },
    );
    let names = down(&cloud).names().into_iter().filter(is_one).collect();
    let cuts = sample::some("untagged down", Cut::everywhere(names), 12);
    on_clouds(
        CLOUDS,
        || app.fast(),
        &cuts,
        |cloud, cut| {
            up(cloud);
            cut.run(cloud, DOWN);
            down(cloud);
            up(cloud);
            cut.run(cloud, DOWN);
            is_completed(cloud, &whole);
            down(cloud);
        },
    );
}

/// Slow enough that steps are running whenever a run is interrupted.
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

/// The inventory and the number of calls of an `up` without interruption.
async fn reference() -> (Inventory, usize) {
    let cloud = chat();
    let calls = cloud.up().calls.len();
    (cloud.inventory().await, calls)
}

/// Runs `verb` and sends it `signal` after this number of calls.
fn cut_off(cloud: &Cloud, verb: &str, calls: usize, signal: Signal) -> Run {
    let mut running = cloud.begin(&[verb, "--local", "--yes"]);
    if running.until_calls(calls) {
        running.signal(signal);
    }
    running.end()
}

#[tokio::test]
async fn killed_while_code_is_held_back_nothing_of_it_is_left() {
    let (whole, _) = reference().await;
    let slow = MILD.replace("iam_role_assumable = 0.15", "iam_role_assumable = 10.0");
    let cloud = Cloud::start().conditions(&slow).go();
    template::chat_without_handlers(&cloud);
    let mut running = cloud.begin(&["up", "--local", "--yes"]);
    let probes = || cloud.calls().iter().filter(|call| call.operation == "CreateFunction").count();
    // Every function's request is on its way long before the fifth probe.
    while probes() < 5 && !running.has_ended() {
        tokio::time::sleep(std::time::Duration::from_millis(5)).await;
    }
    running.signal(Signal::KILL);
    assert_eq!(running.end().code, None);
    // Past the moment at which the role can be assumed: a request that was whole would be carried out.
    tokio::time::sleep(std::time::Duration::from_secs(11)).await;
    let lambda = aws_sdk_lambda::Client::new(&cloud.sdk().await);
    assert!(lambda.list_functions().send().await.unwrap().functions().is_empty());
    cloud.up();
    same(&cloud.inventory().await, &whole);
    cloud.down();
    same(&cloud.inventory().await, &Inventory::new());
}

#[tokio::test]
async fn an_interrupt_finishes_running_steps_and_starts_no_others() {
    let (whole, calls) = reference().await;
    let cloud = chat();
    let run = cut_off(&cloud, "up", calls / 2, Signal::INT).exits(130);
    assert!(
        run.stderr.contains(
            "\nStopping: running steps finish and are kept, no others start. Press Ctrl-C again to stop at once.\n"
        ),
        "{}",
        run.stderr
    );
    let flags = format!("--stack app --local --data {}", cloud.data().display());
    let last = format!(
        " not started; what is done is kept\n  to continue:         wschat up {flags}\n  to remove the stack: wschat down {flags}\n"
    );
    assert!(run.stderr.contains("error: stopped: ") && run.stderr.ends_with(&last), "{}", run.stderr);
    assert_eq!(run.stdout, "");
    cloud.up();
    same(&cloud.inventory().await, &whole);

    let run = cut_off(&cloud, "down", 40, Signal::INT);
    if !run.stderr.contains("Stack app is gone.") {
        let run = run.exits(130);
        assert!(run.stderr.contains("continue with: wschat down"), "{}", run.stderr);
    }
    cloud.down();
    same(&cloud.inventory().await, &Inventory::new());
}

#[tokio::test]
async fn a_second_interrupt_ends_the_run_at_once() {
    let (whole, calls) = reference().await;
    let cloud = chat();
    let mut running = cloud.begin(&["up", "--local", "--yes"]);
    assert!(running.until_calls(calls / 2));
    running.signal(Signal::INT);
    // The first signal must have been handled before the second is sent: signals do not queue.
    running.until_said("Press Ctrl-C again");
    running.signal(Signal::INT);
    let code = running.end().code;
    assert_eq!(code, Some(130), "also where all that ran has been finished before the second one");
    cloud.up();
    same(&cloud.inventory().await, &whole);
}

#[tokio::test]
async fn eight_concurrent_runs_create_one_stack() {
    let (whole, _) = reference().await;
    let cloud = chat();
    let racers: Vec<_> = (0..8).map(|_| cloud.begin(&["up", "--local", "--yes"])).collect();
    let ends: Vec<Run> = racers.into_iter().map(common::Running::end).collect();
    for run in &ends {
        println!("{:?} {}", run.code, run.stderr.lines().rev().take(3).collect::<Vec<_>>().join(" / "));
    }
    // A run that conflicts with another reads again and plans again, so that one stack results.
    same(&cloud.inventory().await, &whole);
    cloud.up().changes_nothing();
}
