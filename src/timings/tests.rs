//! Timings of made-up runs; times are in milliseconds from the start.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use tokio::time::Instant;

use super::{Link, Round, Run, Timings, page};
use crate::aws::client::Record;
use crate::core::plan::{Action, Plan, Step};
use crate::core::types::{function, role};
use crate::deploy::execute::Times;

/// A run that connects until 100 and plans until 200. Tests add steps and calls.
struct TestRun {
    begun: Instant,
    run: Run,
    records: Vec<Record>,
}

impl TestRun {
    fn new(ended: u64) -> Self {
        let begun = Instant::now();
        let at = |milliseconds| begun + Duration::from_millis(milliseconds);
        let round = Round {
            plan: Plan::default(),
            times: BTreeMap::new(),
            failed: BTreeMap::new(),
            planned: at(200),
            ended: at(ended),
        };
        Self { begun, run: Run { begun, connected: at(100), rounds: vec![round] }, records: Vec::new() }
    }

    fn at(&self, milliseconds: u64) -> Instant {
        self.begun + Duration::from_millis(milliseconds)
    }

    /// Adds a step that ran for this time.
    fn step(mut self, name: &str, type_name: &'static str, after: &[usize], from: u64, until: u64) -> Self {
        let times = Times { started: self.at(from), made: None, ended: self.at(until) };
        let round = &mut self.run.rounds[0];
        round.times.insert(round.plan.steps.len(), times);
        round.plan.steps.push(Step {
            action: Action::Create,
            type_name,
            name: name.to_owned(),
            physical_id: None,
            changes: Vec::new(),
            reason: None,
            desired: None,
            live: None,
            after: after.iter().copied().collect(),
            retry_after: BTreeSet::new(),
            ready: BTreeSet::new(),
            unready_targets: BTreeSet::new(),
            drain: None,
        });
        self
    }

    fn call(mut self, step: Option<usize>, operation: &'static str, from: u64, until: u64) -> Self {
        let (started, ended) = (self.at(from), self.at(until));
        self.records.push(Record { step, service: "lambda", operation, started, ended, refused: None });
        self
    }

    /// Makes the last call a rejected one.
    fn refused(mut self, code: &str) -> Self {
        self.records.last_mut().unwrap().refused = Some(code.to_owned());
        self
    }

    fn schedule(&self) -> Vec<(String, u128)> {
        let link = |link: Link| (link.name, link.time.as_millis());
        Timings::new(&self.run, &self.records).schedule.into_iter().map(link).collect()
    }

    fn page(&self) -> String {
        page("a title", &self.run, &self.records)
    }
}

/// Two functions of one new role: the first one retries, the second one waits and makes its first call at 900.
fn waiting_for_a_role(code: &str) -> TestRun {
    TestRun::new(1200)
        .step("Role", role::TYPE, &[], 200, 300)
        .call(Some(0), "CreateRole", 200, 300)
        .step("First", function::TYPE, &[0], 300, 950)
        .call(Some(1), "CreateFunction", 300, 400)
        .refused(code)
        .call(Some(1), "CreateFunction", 600, 700)
        .refused(code)
        .call(Some(1), "CreateFunction", 850, 950)
        .step("Second", function::TYPE, &[0], 300, 1200)
        .call(Some(2), "CreateFunction", 900, 1200)
}

fn chain(links: &[(&str, u128)]) -> Vec<(String, u128)> {
    links.iter().map(|(name, time)| ((*name).to_owned(), *time)).collect()
}

#[test]
fn waiting_for_a_new_role_counts_as_aws_time() {
    // All but the 200 ms between the last rejection and its own call.
    assert_eq!(
        waiting_for_a_role("InvalidParameterValueException").schedule(),
        chain(&[("Role", 100), ("Second", 700)])
    );
}

#[test]
fn a_rejection_that_is_not_about_roles_only_delays_its_own_step() {
    // `First` without the pause before its success: 650 - 150. `Second`: only its call.
    assert_eq!(waiting_for_a_role("TooManyRequestsException").schedule(), chain(&[("Role", 100), ("First", 500)]));
}

#[test]
fn after_its_own_success_a_function_waits_for_no_role() {
    let test = TestRun::new(1200)
        .step("First", function::TYPE, &[], 200, 1000)
        .call(Some(0), "CreateFunction", 500, 600)
        .call(Some(0), "PutFunctionConcurrency", 650, 700)
        .refused("TooManyRequestsException")
        .call(Some(0), "PutFunctionConcurrency", 850, 1000)
        .step("Last", function::TYPE, &[], 800, 1050)
        .call(Some(1), "CreateFunction", 800, 900)
        .refused("InvalidParameterValueException")
        .call(Some(1), "CreateFunction", 950, 1050);
    // Of its 800 ms, the 300 before the first call do not count, nor the pause of 150 after the throttle, although the
    // other function's role was still propagating.
    assert_eq!(test.schedule(), chain(&[("First", 350)]));
}

#[test]
fn rounds_follow_each_other() {
    let mut test = TestRun::new(500).step("Table", "AWS::DynamoDB::Table", &[], 200, 500).call(Some(0), "A", 200, 500);
    let (planned, ended) = (test.at(700), test.at(900));
    let mut again = test.run.rounds[0].clone();
    again.times.insert(0, Times { started: planned, made: None, ended });
    test.run.rounds.push(Round { planned, ended, ..again });
    let test = test.call(Some(0), "B", 700, 900);
    let timings = Timings::new(&test.run, &test.records);
    assert_eq!(test.schedule(), chain(&[("Table", 300), ("Table", 200)]));
    assert_eq!(timings.plan.as_millis(), 100 + 200);
    assert_eq!(timings.scheduled(), timings.makespan);
    // The calls of one round are not in the lanes of the other.
    assert_eq!(test.page().matches("<div class=\"call\"").count(), 2);
}

#[test]
fn where_nothing_was_done_no_step_is_named() {
    let test = TestRun::new(200);
    let text = Timings::new(&test.run, &test.records).to_string();
    assert!(text.ends_with("\nSchedule 0.20 s"), "{text}");
}

#[test]
fn every_call_has_a_bar() {
    let test = waiting_for_a_role("InvalidParameterValueException").call(None, "ListFunctions", 20, 90);
    let page = test.page();
    let bars = |class: &str| page.matches(&format!("<div class=\"{class}\"")).count();
    assert_eq!((bars("call"), bars("call refused")), (4, 2));
    assert!(page.contains("title=\"ListFunctions\nat 0.02 s, took 0.07 s\""), "{page}");
    assert!(
        page.contains("title=\"CreateFunction\nat 0.30 s, took 0.10 s\nInvalidParameterValueException\""),
        "{page}"
    );
    // 300 ms of 1200.
    assert!(page.contains("--x:75.000%;--w:25.000%"), "{page}");
}

#[test]
fn the_schedule_is_marked() {
    let page = waiting_for_a_role("InvalidParameterValueException").page();
    let marked: Vec<&str> = page.split("<div class=\"lane on-path\"><div class=\"name\" title=\"").skip(1).collect();
    assert!(marked.len() == 2 && marked[0].starts_with("Role ") && marked[1].starts_with("Second "), "{page}");
    assert!(page.contains("<li><b>Role</b> 0.10 s</li><li><b>Second</b> 0.70 s</li>"), "{page}");
}

#[test]
fn concurrent_calls_are_drawn_in_separate_rows() {
    let test = TestRun::new(900).call(None, "A", 10, 50).call(None, "B", 20, 60).call(None, "C", 50, 70);
    let page = test.page();
    let row = |operation: &str| {
        let (before, _) = page.split_once(&format!("\" title=\"{operation}\n")).unwrap();
        before.rsplit_once("--r:").unwrap().1.to_owned()
    };
    assert_eq!([row("A"), row("B"), row("C")], ["0", "1", "0"]);
    assert!(page.contains("--rows:2"), "{page}");
}

#[test]
fn text_in_a_run_is_escaped() {
    let hostile = "</div><script>alert('&\"')</script>";
    let mut test =
        TestRun::new(900).step(hostile, hostile, &[], 200, 900).call(Some(0), "A", 200, 900).refused(hostile);
    test.run.rounds[0].failed.insert(0, hostile.to_owned());
    let page = page(hostile, &test.run, &test.records);
    assert!(!page.contains("<script") && !page.contains("alert('"), "{page}");
    assert!(page.contains("&lt;/div&gt;&lt;script&gt;alert(&#39;&amp;&quot;&#39;)"), "{page}");
}

#[test]
fn a_run_without_steps_is_drawn() {
    let page = TestRun::new(200).page();
    assert!(page.ends_with("</html>\n") && !page.contains("NaN") && !page.contains("inf%"), "{page}");
}
