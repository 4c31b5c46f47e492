use super::*;
use crate::aws::client::lane::Width;
use crate::aws::client::simulation::{Account, LATENCY, Outcome, Process, run};

/// How long each of `count` calls made at one moment has to wait, in milliseconds.
fn waits(service: &'static str, operation: &str, count: usize) -> Vec<u128> {
    let start = Instant::now();
    let mut rate = Rate::new(quota(service, operation), start);
    let mut now = start;
    let one = |_| {
        now += rate.wait(now);
        rate.take(now);
        (now - start).as_millis()
    };
    (0..count).map(one).collect()
}

#[test]
fn a_burst_passes_at_once_and_the_rest_at_the_rate() {
    let waits = waits("apigatewayv2", "CreateRoute", 43);
    assert!(waits[..40].iter().all(|wait| *wait == 0), "{waits:?}");
    assert_eq!(waits[40..], [100, 200, 300]);
}

#[test]
fn a_quota_fills_up_again() {
    let start = Instant::now();
    let mut rate = Rate::new(quota("apigatewayv2", "GetApis"), start);
    let mut free = |now: Instant| {
        let mut free = 0;
        while rate.wait(now).is_zero() {
            rate.take(now);
            free += 1;
        }
        free
    };
    assert_eq!(free(start), 40);
    assert_eq!(free(start + Duration::from_secs(1)), 10);
    assert_eq!(free(start + Duration::from_secs(3600)), 40);
}

#[test]
fn deployments_have_a_quota_of_their_own() {
    assert_eq!(waits("apigatewayv2", "CreateDeployment", 3), [0, 5000, 10000]);
    assert_eq!(waits("apigatewayv2", "CreateStage", 1), [0]);
}

#[test]
fn a_service_without_a_documented_quota_is_not_held() {
    assert!(waits("iam", "GetRole", 1000).iter().all(|wait| *wait == 0));
}

#[tokio::test]
async fn nothing_waits_without_quotas() {
    let pace = Pace::unlimited();
    for _ in 0..300 {
        pace.permit("apigatewayv2", "CreateDeployment").await;
    }
    assert!(!pace.throttled("iam", "GetRole", Instant::now()), "whoever is refused there has to wait by himself");
}

#[test]
fn a_throttled_line_becomes_slower_and_faster_again() {
    let start = Instant::now();
    let after = |seconds: u64| start + Duration::from_secs(seconds);
    let mut rate = Rate::new(quota("apigatewayv2", "CreateRoute"), start);
    rate.throttled(start, after(1), 1.0);
    assert!((rate.at(after(1)) - 7.0).abs() < 1e-9);
    // The burst is gone, too.
    assert!(!rate.wait(after(1)).is_zero());
    // A second call of the same moment says nothing new.
    rate.throttled(start, after(2), 1.0);
    assert!(rate.at(after(2)) > 7.0);
    assert!((rate.at(after(3600)) - 10.0).abs() < 1e-9, "never above the quota");
    for second in 2..100 {
        rate.throttled(after(second), after(second), 1.0);
    }
    assert!((rate.at(after(99)) - SLOWEST).abs() < 0.1);
    assert!(rate.wait(after(99)) <= Duration::from_secs(2));
}

#[test]
fn a_quota_slower_than_the_slowest_line_is_asked_again_soon() {
    let start = Instant::now();
    let mut rate = Rate::new(quota("apigatewayv2", "CreateDeployment"), start);
    rate.take(start);
    rate.throttled(start, start, 1.5);
    // Others hold the token, and nobody knows since when.
    assert_eq!(rate.wait(start), Duration::from_secs(3));
}

/// The calls of 200 routes and their integrations, and three more.
const CALLS: usize = 403;
const GATEWAY: Account = Account { rate: 10.0, burst: 40.0, chance: 0.0, in_progress: 0.5 };

/// Runs with 20 seeds.
fn with_seeds(account: Account, processes: impl Fn(Instant) -> Vec<Process>) -> Vec<Outcome> {
    let start = Instant::now();
    (0..20).map(|seed| run(account, processes(start), start, seed)).collect()
}

fn longest(outcomes: &[Outcome]) -> f64 {
    outcomes.iter().map(|outcome| outcome.makespan).fold(0.0, f64::max)
}

/// The shortest time in which an account lets so many calls through.
fn floor(account: Account, calls: usize) -> f64 {
    (calls as f64 - account.burst) / account.rate
}

#[test]
fn a_lane_is_as_wide_as_collisions_let_it_be() {
    let one_at_a_time = CALLS as f64 * LATENCY;
    for in_progress in [0.5, 1.0] {
        // How likely a collision is, and how much longer than the quota's floor it may then take.
        for (chance, most) in [(0.0, 1.02), (0.1, 1.15), (0.25, 1.3), (0.5, 1.5), (1.0, f64::INFINITY)] {
            let account = Account { chance, in_progress, ..GATEWAY };
            let outcomes = with_seeds(account, |start| {
                let rate = Rate::new(quota("apigatewayv2", "CreateRoute"), start);
                vec![Process { calls: CALLS, rate, lane: Some(Width::default()) }]
            });
            let ratio = longest(&outcomes) / floor(account, CALLS);
            let collisions = outcomes.iter().map(|outcome| outcome.collisions).max().unwrap_or(0);
            println!("{in_progress} {chance}: {ratio:.3}, {collisions} collisions, {} throttled", outcomes[0].throttled);
            assert!(ratio < most, "{ratio} of the floor, where {chance} collide");
            assert!(longest(&outcomes) < 1.02 * one_at_a_time, "slower than one at a time, where {chance} collide");
        }
    }
}

#[test]
fn lines_find_out_how_fast_the_account_is() {
    // Service, the account's rate and burst, how many calls.
    for (service, rate, burst, calls) in [
        ("lambda", 15.0, 15.0, 400),
        ("lambda", 3.0, 5.0, 100),
        ("lambda", 0.5, 1.0, 40),
        ("iam", 5.0, 10.0, 100),
        ("iam", 20.0, 20.0, 400),
        ("iam", 100.0, 100.0, 400),
    ] {
        let account = Account { rate, burst, ..GATEWAY };
        let outcomes = with_seeds(account, |start| {
            vec![Process { calls, rate: Rate::new(quota(service, "X"), start), lane: None }]
        });
        let ratio = longest(&outcomes) / floor(account, calls);
        let throttled = outcomes.iter().map(|outcome| outcome.throttled).max().unwrap_or(0);
        println!("{service} {rate} {burst} {calls}: {ratio:.3}, {throttled} throttled");
    }
}

#[test]
fn eight_processes_share_a_quota() {
    for calls in [15, 43, 403] {
        let outcomes = with_seeds(GATEWAY, |start| {
            let process = || Process {
                calls,
                rate: Rate::new(quota("apigatewayv2", "CreateRoute"), start),
                lane: Some(Width::default()),
            };
            (0..8).map(|_| process()).collect()
        });
        let ratio = longest(&outcomes) / floor(GATEWAY, 8 * calls);
        let throttled = outcomes.iter().map(|outcome| outcome.throttled).max().unwrap_or(0);
        println!("eight of {calls}: {ratio:.3}, {throttled} throttled of {}", 8 * calls);
    }
}
