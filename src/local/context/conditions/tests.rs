use super::*;
use crate::local::server::cloud;

fn conditions(text: &str) -> Conditions {
    Conditions::parse(text, &cloud::operations()).unwrap()
}

fn operation(service: &'static str, name: &'static str) -> Operation {
    Operation::in_test(service, name)
}

#[test]
fn the_documented_conditions_file_is_valid() {
    let read = conditions(include_str!("../../../../docs/aws-conditions.toml"));
    assert_eq!(read.eventual.iam_role_assumable, Duration::from_secs(9));
    assert_eq!(read.eventual.function_pending, Duration::from_millis(1500));
    assert_eq!(read.strict, Strict { integration_needs_function: false, iam: false });
    assert_eq!(read.latency(&operation("iam", "CreateRole")), Duration::from_millis(300));
    assert_eq!(read.latency(&operation("iam", "GetRole")), Duration::from_millis(220));
    assert_eq!(read.latency(&operation("logs", "CreateLogGroup")), Duration::from_millis(80));
}

#[test]
fn an_empty_file_changes_nothing() {
    assert_eq!(conditions("").eventual, Conditions::default().eventual);
    assert_eq!(conditions("").latency(&operation("iam", "CreateRole")), Duration::ZERO);
    assert!(!conditions("").lenient.runtimes && conditions("[lenient]\nruntimes = true").lenient.runtimes);
}

#[test]
fn mistakes_in_the_file_are_reported() {
    for (text, complaint) in [
        ("[latency]", "unknown field `latency`"),
        ("[eventual_s]\nrole = 1", "unknown field `role`"),
        ("[eventual_s]\ntable_creating = -1", "-1 is not a number of seconds"),
        ("[latency_ms]\n\"lamda.*\" = 1", "did you mean \"lambda.*\"?"),
        ("[latency_ms]\n\"kinesis.*\" = 1", "services here: apigatewayv2"),
        ("[latency_ms]\n\"lambda.CreateFunktion\" = 1", "did you mean \"lambda.CreateFunction\"?"),
        ("[latency_ms]\n\"lambda.Nonsense\" = 1", "did you mean \"lambda.*\"?"),
        ("[lenient]\nruntime = true", "unknown field `runtime`"),
        ("[latency_ms]\nlambda = 1", "\"lambda\" matches no call"),
        ("[throttle]\n\"lambda.*\" = { rate = 1, burst = 0 }", "burst at least 1"),
        ("[link]\nupload_mbit_s = 0", "must be above 0"),
        ("[link]\nidle_body_timeout_s = 0", "must be a number of seconds above 0"),
        ("[link]\nbuffers = true", "unknown field `buffers`"),
        ("[conflict]\napigatewayv2_same_api = 2\nseed = 1", "from 0 to 1"),
    ] {
        let error = Conditions::parse(text, &cloud::operations()).unwrap_err();
        assert!(error.contains(complaint), "{text:?} gave {error:?}");
    }
}

#[tokio::test]
async fn a_call_takes_half_its_latency_before_and_half_after() {
    let slow = conditions("[latency_ms]\ndefault = 2\n\"iam.*\" = 40\n\"iam.CreateRole\" = 60");
    for (service, name, half) in [("iam", "CreateRole", 30), ("iam", "GetRole", 20), ("sts", "X", 1)] {
        let half = Duration::from_millis(half);
        let operation = operation(service, name);
        assert_eq!(slow.latency(&operation), 2 * half);
        let start = Instant::now();
        slow.before(&operation).await.unwrap();
        assert!(start.elapsed() >= half);
        let effect = Instant::now();
        slow.after(&operation, effect).await;
        assert!(start.elapsed() >= 2 * half);
    }
    // Work that took longer is not added to.
    let slow = conditions("[latency_ms]\ndefault = 7200000");
    let effect = Instant::now().checked_sub(Duration::from_secs(3600)).unwrap();
    slow.after(&operation("iam", "GetRole"), effect).await;
}

#[test]
fn a_bucket_gives_its_burst_then_its_rate() {
    let throttled = conditions("[throttle]\n\"lambda.*\" = { rate = 2, burst = 3 }");
    let start = Instant::now();
    let granted =
        |ms| throttled.take_token(&operation("lambda", "ListFunctions"), start + Duration::from_millis(ms)).is_ok();
    assert_eq!([0, 0, 0, 0, 499, 501, 502].map(granted), [true, true, true, false, false, true, false]);
    // However long the pause, no more than the burst accumulates.
    assert_eq!([3_600_000; 4].map(granted), [true, true, true, false]);
}

#[test]
fn an_operation_with_its_own_throttle_does_not_count_for_the_others() {
    let throttled = conditions(
        "[throttle]\n\"lambda.*\" = { rate = 1, burst = 1 }\n\"lambda.GetFunction\" = { rate = 1, burst = 2 }",
    );
    let now = Instant::now();
    assert!(throttled.take_token(&operation("lambda", "GetFunction"), now).is_ok());
    assert!(throttled.take_token(&operation("lambda", "GetFunction"), now).is_ok());
    assert!(throttled.take_token(&operation("lambda", "CreateFunction"), now).is_ok());
    assert!(throttled.take_token(&operation("lambda", "CreateFunction"), now).is_err());
    assert!(throttled.take_token(&operation("dynamodb", "ListTables"), now).is_ok());
}

#[tokio::test]
async fn throttled_calls_get_the_services_own_error() {
    for (service, status, code, message) in [
        ("lambda", 429, "TooManyRequestsException", "Rate exceeded"),
        ("apigatewayv2", 429, "TooManyRequestsException", "Too Many Requests"),
        ("iam", 400, "Throttling", "Rate exceeded"),
        ("dynamodb", 400, "ThrottlingException", "Rate exceeded"),
    ] {
        let once = conditions(&format!("[throttle]\n\"{service}.*\" = {{ rate = 0.01, burst = 1 }}"));
        assert!(once.before(&operation(service, "X")).await.is_ok());
        let error = once.before(&operation(service, "X")).await.unwrap_err();
        assert_eq!((error.status, &*error.code, &*error.message), (status, code, message));
    }
}

#[test]
fn overlapping_mutations_of_one_api_collide_by_the_configured_chance() {
    let always = conditions("[conflict]\napigatewayv2_same_api = 1\nseed = 1");
    let first = always.begin_mutation("a");
    assert!(first.is_some());
    assert!(always.begin_mutation("a").is_none());
    assert!(always.begin_mutation("b").is_some());
    drop(first);
    assert!(always.begin_mutation("a").is_some());

    let never = Conditions::default();
    let both = (never.begin_mutation("a"), never.begin_mutation("a"));
    assert!(both.0.is_some() && both.1.is_some());
    drop(both);
    assert!(lock(&never.mutations).is_empty());
}

#[test]
fn the_same_seed_gives_the_same_conflicts() {
    let rolls = |seed: u64| -> Vec<bool> {
        let half = conditions(&format!("[conflict]\napigatewayv2_same_api = 0.5\nseed = {seed}"));
        let held = half.begin_mutation("a");
        let rolls = (0..64).map(|_| half.begin_mutation("a").is_some()).collect();
        drop(held);
        rolls
    };
    assert_eq!(rolls(7), rolls(7));
    assert_ne!(rolls(7), rolls(8));
}
