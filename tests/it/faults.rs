//! Fault injection: temporary faults are retried and leave no trace; a permanent fault ends the run with one clear error,
//! and its changes are rolled back.
//!
//! Every fault is injected into every call of a first `up`, of an update and of a `down`; a reference run gives the calls.
//! Faults that certainly have no effect (throttling, conflicts) are injected into all calls of a run at once, one run for
//! each error text. Faults that may have an effect, or are permanent, are injected into one call at a time. Each time, a
//! third of these cases runs (`common::sample`); the time saved pays for the example apps, whose first `up` fails at some of
//! its calls.

use crate::common;
use std::fmt;
use std::sync::LazyLock;
use std::time::Duration;

use crate::common::call_name::Name;
use crate::common::inventory::{Inventory, differences, same};
use crate::common::pool::on_clouds;
use crate::common::proxy::{Fault, FaultKind, ProxiedRun, RecordedCall, When};
use crate::common::template::App;
use crate::common::{Cloud, Run, sample, template};

/// How many clouds run in parallel: runs with faults mostly wait.
const CLOUDS: usize = 8;

/// The number of cases that the example apps share.
const CASES: usize = 72;

/// The wschat run under test.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Operation {
    /// The first deployment of the echo stack.
    Up,
    /// An update of it.
    Update,
    Down,
}

/// A run without faults.
struct Reference {
    operation: Operation,
    calls: Vec<Name>,
    before: Inventory,
    after: Inventory,
}

static REFERENCES: LazyLock<[Reference; 3]> = LazyLock::new(|| {
    let cloud = template::fast_echo();
    [Operation::Up, Operation::Update, Operation::Down].map(|operation| {
        let before = cloud.inventory_now();
        let ProxiedRun { run, calls, .. } = operation.prepare(&cloud).run(operation.arguments());
        run.ok();
        // The number of polls differs from run to run, so only the first of equal reads is kept.
        let calls = calls.into_iter().map(|call| call.name).filter(|name| name.nth == 1 || name.mutating());
        Reference { operation, calls: calls.collect(), before, after: cloud.inventory_now() }
    })
});

impl Operation {
    fn arguments(self) -> &'static [&'static str] {
        match self {
            Self::Up | Self::Update => &["up", "--yes"],
            Self::Down => &["down", "--yes"],
        }
    }

    fn prepare(self, cloud: &Cloud) -> common::proxy::ProxyRunBuilder<'_> {
        match self {
            Self::Up => template::echo_without_handler(cloud),
            Self::Update | Self::Down => template::echo_changed(cloud),
        };
        cloud.through()
    }

    fn reference(self) -> &'static Reference {
        REFERENCES.iter().find(|one| one.operation == self).unwrap()
    }

    /// Brings a cloud into the state in which this operation starts.
    fn begin(self, cloud: &Cloud) {
        let earlier = match self {
            Self::Up => return,
            Self::Update => Self::Up,
            Self::Down => Self::Update,
        };
        earlier.prepare(cloud).run(earlier.arguments()).run.ok();
    }

    /// Deletes an app.
    fn clear_app(cloud: &Cloud) {
        cloud.through().run(Self::Down.arguments()).run.ok();
    }

    /// Deletes the echo stack, and checks that the cloud is empty.
    fn clear(cloud: &Cloud) {
        Self::Down.prepare(cloud).run(Self::Down.arguments()).run.ok();
        same(&cloud.inventory_now(), &Inventory::new());
    }
}

/// One call of an operation, and the fault injected into it.
struct Case {
    operation: Operation,
    call: Name,
    fault: Fault,
}

impl fmt::Display for Case {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}: {}: {}", self.operation, self.call, self.fault)
    }
}

impl Case {
    /// Every call of every operation with each of its `faults`.
    fn all(faults: impl Fn(&Name) -> Vec<Fault>) -> Vec<Self> {
        let calls = REFERENCES.iter().flat_map(|one| one.calls.iter().map(|call| (one.operation, call)));
        calls
            .flat_map(|(operation, call)| {
                let case = move |fault| Self { operation, call: call.clone(), fault };
                faults(call).into_iter().map(case)
            })
            .collect()
    }

    /// Runs the operation; `None` if it did not make the call, which is possible for reads and for repeated calls.
    fn run(&self, cloud: &Cloud) -> Option<(ProxiedRun, RecordedCall)> {
        let trial = self.operation.prepare(cloud).fault(&self.call, &self.fault).run(self.operation.arguments());
        let hit = trial.calls.iter().find(|call| call.fault.is_some()).cloned();
        assert!(hit.is_some() || self.call.nth > 1 || !self.call.mutating(), "there was no {}", self.call);
        Some((trial, hit?))
    }
}

/// Faults after which the call may or may not have had its effect.
pub fn uncertain(call: &Name) -> Vec<Fault> {
    let internal = match call.service.as_str() {
        "dynamodb" => "InternalServerError",
        "lambda" => "ServiceException",
        "iam" => "ServiceFailure",
        _ => "InternalFailure",
    };
    let internal = Fault::refuse(500, internal, "The request processing has failed because of an unknown error.");
    let mut faults = vec![internal.clone(), Fault::after(FaultKind::Cut)];
    if call.mutating() {
        faults.extend([
            Fault::after(internal.what),
            Fault::before(FaultKind::Page(503)),
            Fault::before(FaultKind::Cut),
            Fault::after(FaultKind::Silence(Duration::from_millis(300))),
        ]);
    }
    faults
}

#[test]
fn lost_answers_and_internal_errors_leave_no_trace() {
    let cases = sample::third("uncertain answers", Case::all(uncertain));
    on_clouds(CLOUDS, template::fast_echo, &cases, |cloud, case| {
        case.operation.begin(cloud);
        if let Some((trial, _)) = case.run(cloud) {
            trial.run.ok();
        }
        same(&cloud.inventory_now(), &case.operation.reference().after);
        Operation::clear(cloud);
    });
}

/// The throttling errors of all AWS services, and the codes that the SDKs treat as throttling (botocore's and smithy-rs's
/// lists).
pub fn throttles() -> Vec<Fault> {
    let rate = "Rate exceeded";
    vec![
        Fault::refuse(400, "ThrottlingException", rate),
        Fault::refuse(400, "ThrottlingException", rate).retry_after(1),
        Fault::refuse(400, "Throttling", rate),
        Fault::refuse(429, "TooManyRequestsException", rate),
        Fault::refuse(429, "TooManyRequestsException", "Too Many Requests").retry_after(1),
        Fault::refuse(400, "ThrottledException", "Request was throttled"),
        Fault::refuse(400, "RequestThrottled", "Request was throttled"),
        Fault::refuse(400, "RequestThrottledException", "Request was throttled"),
        Fault::refuse(503, "RequestLimitExceeded", "Request limit exceeded."),
        Fault::refuse(503, "SlowDown", "Please reduce your request rate."),
        Fault::refuse(503, "BandwidthLimitExceeded", "Please reduce your request rate."),
        Fault::refuse(503, "EC2ThrottledException", "Request limit exceeded."),
        Fault::refuse(400, "LimitExceededException", rate),
        Fault::refuse(
            400,
            "ProvisionedThroughputExceededException",
            "The level of configured provisioned throughput for the table was exceeded.",
        ),
        Fault::refuse(400, "ClientError", rate),
        Fault::before(FaultKind::Page(429)),
    ]
}

/// Each service's error for a conflicting change that is in progress.
fn busy(call: &Name) -> Vec<Fault> {
    if !call.mutating() {
        return Vec::new();
    }
    match (call.service.as_str(), call.operation.as_str()) {
        ("apigatewayv2", _) => vec![Fault::refuse(
            409,
            "ConflictException",
            "Unable to complete operation due to concurrent modification. Please try again later.",
        )],
        // A function that is being created cannot have a change in progress.
        ("lambda", "CreateFunction") => Vec::new(),
        ("lambda", _) => [
            "The operation cannot be performed at this time. An update is in progress for resource: app",
            "The operation cannot be performed at this time. The function is currently in the following state: Pending",
        ]
        .map(|message| Fault::refuse(409, "ResourceConflictException", message))
        .to_vec(),
        ("iam", _) => vec![
            Fault::refuse(
                409,
                "ConcurrentModification",
                "The request was rejected because multiple requests to change this object were submitted simultaneously.",
            ),
            Fault::refuse(409, "EntityTemporarilyUnmodifiable", "The role is being changed. Please try again."),
        ],
        ("logs", _) => vec![Fault::refuse(
            400,
            "OperationAbortedException",
            "A conflicting operation is currently in progress against this resource. Please try again.",
        )],
        ("cloudcontrolapi", _) => {
            vec![Fault::refuse(
                409,
                "ConcurrentOperationException",
                "Another operation is in progress on the resource.",
            )]
        }
        ("dynamodb", "CreateTable") => vec![Fault::refuse(
            400,
            "LimitExceededException",
            "Subscriber limit exceeded: Only 10 tables can be created, updated, or deleted simultaneously",
        )],
        ("dynamodb", _) => vec![
            Fault::refuse(
                400,
                "ResourceInUseException",
                "Attempt to change a resource which is still in use: Table is being updated: app",
            ),
            Fault::refuse(
                400,
                "LimitExceededException",
                "Subscriber limit exceeded: Only 10 tables can be created, updated, or deleted simultaneously",
            ),
        ],
        _ => Vec::new(),
    }
}

/// An operation whose calls are all rejected for a while.
struct Storm {
    operation: Operation,
    wording: Wording,
}

enum Wording {
    Throttled(Fault),
    /// The index of the error, in each service's list.
    Busy(usize),
}

impl fmt::Display for Storm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.wording {
            Wording::Throttled(fault) => write!(f, "{:?}: every call: {fault}", self.operation),
            Wording::Busy(nth) => write!(f, "{:?}: every call collides, wording {nth}", self.operation),
        }
    }
}

#[test]
fn throttling_and_conflicts_are_retried() {
    let storms = || throttles().into_iter().map(Wording::Throttled).chain([Wording::Busy(0), Wording::Busy(1)]);
    let deeds = [Operation::Up, Operation::Update, Operation::Down];
    let storms: Vec<Storm> =
        deeds.into_iter().flat_map(|operation| storms().map(move |wording| Storm { operation, wording })).collect();
    let storms = sample::third("storms", storms);
    on_clouds(CLOUDS, template::fast_echo, &storms, |cloud, storm| {
        storm.operation.begin(cloud);
        let fault = match &storm.wording {
            Wording::Throttled(fault) => {
                let fault = fault.clone();
                Box::new(move |_: &Name| Some(fault.clone())) as Box<dyn Fn(&Name) -> Option<Fault> + Send + Sync>
            }
            Wording::Busy(nth) => {
                let nth = *nth;
                Box::new(move |call: &Name| {
                    let wordings = busy(call);
                    wordings.get(nth % wordings.len().max(1)).cloned()
                })
            }
        };
        let run = storm.operation.prepare(cloud).script(move |call| fault(call).filter(|_| call.nth == 1));
        let trial = run.run(storm.operation.arguments());
        assert!(trial.was_hit());
        trial.run.ok();
        same(&cloud.inventory_now(), &storm.operation.reference().after);
        Operation::clear(cloud);
    });
}

/// Permanent faults: a missing permission, and an invalid request.
pub fn permanent(call: &Name) -> Vec<Fault> {
    let Name { service, operation, about, .. } = call;
    let action = format!("{}:{operation}", if service == "apigatewayv2" { "apigateway" } else { service });
    let denied = format!(
        "User: arn:aws:iam::000000000000:user/local is not authorized to perform: {action} on resource: {about} because \
         no identity-based policy allows the {action} action"
    );
    let invalid = "1 validation error detected: Value 'x' at 'y' failed to satisfy constraint: Member must not be null";
    match service.as_str() {
        // GetCallerIdentity needs no permission, but the key may be invalid.
        "sts" => {
            vec![Fault::refuse(403, "InvalidClientTokenId", "The security token included in the request is invalid.")]
        }
        // Roles are read by their names then.
        "iam" if operation == "GetAccountAuthorizationDetails" => {
            vec![Fault::refuse(400, "ValidationError", invalid)]
        }
        // Resources are asked for their tags one by one then.
        "tagging" => vec![],
        "cloudformation" => {
            vec![Fault::refuse(403, "AccessDenied", &denied), Fault::refuse(400, "ValidationError", invalid)]
        }
        "iam" => vec![Fault::refuse(403, "AccessDenied", &denied), Fault::refuse(400, "ValidationError", invalid)],
        "dynamodb" => vec![
            Fault::refuse(400, "AccessDeniedException", &denied),
            Fault::refuse(400, "ValidationException", invalid),
        ],
        "logs" => vec![
            Fault::refuse(400, "AccessDeniedException", &denied),
            Fault::refuse(400, "InvalidParameterException", invalid),
        ],
        // Who deploys a template without layers need not be allowed to see any.
        "lambda" if operation == "ListLayers" => vec![Fault::refuse(400, "ValidationException", invalid)],
        "lambda" => vec![
            Fault::refuse(403, "AccessDeniedException", &denied),
            Fault::refuse(400, "ValidationException", invalid),
        ],
        _ => vec![
            Fault::refuse(403, "AccessDeniedException", &denied),
            Fault::refuse(400, "BadRequestException", invalid),
        ],
    }
    .into_iter()
    .map(Fault::permanent)
    .collect()
}

/// The message must say what was being done, to which resource, and everything that AWS answered, once. If two equal calls
/// were rejected, it is about one of them.
fn assert_reported(run: &Run, calls: &[RecordedCall], made: &RecordedCall) {
    let stderr = &run.stderr;
    let FaultKind::Refuse { code, message, .. } = &made.fault.as_ref().unwrap().what else { panic!("not a refusal") };
    let Name { service, operation, .. } = &made.name;
    let refused = calls.iter().filter(|call| call.fault.is_some());
    let ids: Vec<&String> = refused.filter_map(|call| call.request_id.as_ref()).collect();
    let all = [format!("{service}.{operation}"), code.clone(), message.clone()];
    let whole = |line: &&str| {
        all.iter().all(|words| line.contains(words.as_str())) && ids.iter().any(|id| line.contains(id.as_str()))
    };
    let line = stderr.lines().find(whole);
    let line = line.unwrap_or_else(|| panic!("no line tells all of {all:?} and one of {ids:?}:\n{stderr}"));
    let family = match service.as_str() {
        // This call comes before anything of the stack is read.
        "sts" => return,
        "apigatewayv2" => "AWS::ApiGatewayV2::",
        // It is about all types.
        "tagging" => "resources by their tags",
        "cloudcontrolapi" if operation == "ListResourceRequests" => "AWS Cloud Control requests",
        "cloudcontrolapi" => "AWS::",
        "dynamodb" => "AWS::DynamoDB::",
        "iam" => "AWS::IAM::",
        "lambda" => "AWS::Lambda::",
        _ => "AWS::Logs::",
    };
    assert!(line.contains(family), "it does not say which resource: {line}");
    let errors = stderr.lines().filter(|line| line.starts_with("error: ")).count();
    assert_eq!(errors, 1, "{stderr}");
}

/// Whether an update makes this call to remove an old resource after all new ones exist. A failure to remove one is no reason
/// to roll back a stack that is up. (CloudFormation's UPDATE_COMPLETE_CLEANUP_IN_PROGRESS.)
fn is_cleanup(call: &Name) -> bool {
    // Functions stay: this call deletes a version that was superseded.
    ["DeleteDeployment", "DeleteIntegration", "RemovePermission", "DeleteFunction"].contains(&call.operation.as_str())
}

/// Rejects every call of an operation permanently: afterwards the stack must be as before.
fn ends_in_an_error_and_is_rolled_back(operation: Operation) {
    let cases: Vec<Case> = Case::all(permanent).into_iter().filter(|case| case.operation == operation).collect();
    let cases = sample::third("refusals", cases);
    let start = || {
        let cloud = template::fast_echo();
        operation.begin(&cloud);
        cloud
    };
    on_clouds(CLOUDS, start, &cases, |cloud, case| {
        let Some((trial, hit)) = case.run(cloud) else {
            Operation::clear(cloud);
            return operation.begin(cloud);
        };
        let run = trial.run.exits(1);
        assert_eq!(run.stdout, "");
        assert_reported(&run, &trial.calls, &hit);
        if operation == Operation::Update && is_cleanup(&case.call) {
            assert!(run.stderr.contains("error: the stack is up (ws://"), "{}", run.stderr);
            operation.prepare(cloud).run(operation.arguments()).run.ok();
            same(&cloud.inventory_now(), &operation.reference().after);
            operation.begin(cloud);
        }
        let left_behind = differences(&cloud.inventory_now(), &operation.reference().before);
        assert_eq!(left_behind, [""; 0], "what is there | what was there before\n{}", run.stderr);
    });
}

#[test]
fn a_failed_up_is_reported_and_rolled_back() {
    ends_in_an_error_and_is_rolled_back(Operation::Up);
}

#[test]
fn a_failed_update_is_reported_and_rolled_back() {
    ends_in_an_error_and_is_rolled_back(Operation::Update);
}

/// A call of an app's first `up` that is rejected permanently, with or without having had its effect.
struct Refused {
    call: Name,
    fault: Fault,
}

impl fmt::Display for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.call, self.fault)
    }
}

impl Refused {
    fn all(call: &Name) -> Vec<Self> {
        let before = permanent(call);
        let after = before.iter().filter(|_| call.mutating());
        let after = after.map(|fault| Fault::after(fault.what.clone()).permanent()).collect();
        let faults = [before, after].concat().into_iter();
        faults.map(|fault| Self { call: call.clone(), fault }).collect()
    }
}

/// The first `up` of an example app fails: it must be rolled back completely, and say so. (The apps' roles reference their
/// API, so the order of deletion does not follow from the types.)
#[test]
fn the_first_up_of_every_app_is_rolled_back() {
    let apps = template::apps();
    let share = CASES / apps.len();
    for app in apps {
        let cloud = app.fast();
        let calls = cloud.through().run(Operation::Up.arguments());
        calls.run.ok();
        // Functions of custom resources write their answers with presigned addresses: those are no calls of wschat's. Who may
        // not read an answer cannot know what was made, so cannot roll that back.
        let is_answer = |name: &Name| (name.operation.as_str(), name.about.as_str()) == ("GetObject", "answers");
        let is_ours = |name: &Name| name.nth == 1 && !name.service.is_empty() && !is_answer(name);
        let calls: Vec<Name> = calls.calls.into_iter().map(|call| call.name).filter(is_ours).collect();
        // At this point all resources exist, where there is an API.
        let (last, others): (Vec<Name>, Vec<Name>) =
            calls.into_iter().partition(|call| call.operation == "CreateStage");
        assert!(!last.is_empty() || app.name == "layers", "{}", app.name);
        let others = others.iter().flat_map(Refused::all).collect();
        let last: Vec<Refused> = last.iter().flat_map(Refused::all).collect();
        let mut cases = sample::some(&app.name, others, share.saturating_sub(last.len()).max(1));
        cases.extend(last);
        are_rolled_back(&app, &cases);
    }
}

/// Runs the first `up` of an app, whose call fails, for each of the cases.
fn are_rolled_back(app: &App, cases: &[Refused]) {
    on_clouds(
        CLOUDS,
        || app.fast(),
        cases,
        |cloud, case| {
            let trial = cloud.through().fault(&case.call, &case.fault).run(Operation::Up.arguments());
            // If the call had its effect, the run may find on reading again that nothing is left to do. And a function's
            // first call may be a probe, whose failure only counts if the role was rejected (`aws::propagation`). What is refused
            // before all that it refers to is there is tried again.
            // An answer that was read goes with its bucket at the latest. Cloud Control refuses to list some types, and the
            // requests tell of what is new, too.
            let is_answer = (case.call.operation.as_str(), case.call.about.as_str()) == ("DeleteObject", "answers");
            let can_do_without = is_answer || case.call.operation == "ListResources";
            let may_succeed = case.fault.when == When::After
                || case.call.operation == "CreateFunction"
                || trial.run.stderr.contains("waiting for the resources that it refers to")
                || can_do_without;
            let found = trial.run.code == Some(0) && may_succeed;
            if trial.was_hit() && !found {
                let run = trial.run.exits(1);
                let touched = run.calls.iter().any(|call| call.mutating);
                let end = "\nerror: the deployment failed and was rolled back\n";
                // What AWS says it has not made is not taken for this run's: the error names it, it is the stack's, and nothing else
                // stays. (A create that is tried again may be refused twice.)
                let named = run.stderr.matches(" stays: AWS refused to create it, so").count();
                if case.fault.when == When::After && named > 0 {
                    // A topic's own subscriptions are a part of it. A mapping that is named goes with its domain name.
                    let mut left = cloud.inventory_now();
                    left.retain(|name, _| !name.starts_with("AWS::SNS::Subscription "));
                    assert!(left.len() <= named, "{left:#?}\n{}", run.stderr);
                    Operation::clear_app(cloud);
                } else {
                    assert!(!touched || run.stderr.contains(end), "{}", run.stderr);
                }
            } else {
                assert!(found || !case.call.mutating(), "there was no {}", case.call);
                trial.run.ok();
                Operation::clear_app(cloud);
            }
            same(&cloud.inventory_now(), &Inventory::new());
        },
    );
}

/// The APIs of the app with HTTP APIs: each call of their first `up` fails once, by turns in one of the ways in which it can.
#[test]
fn each_refused_call_of_http_apis_is_rolled_back() {
    let app = App::web();
    let cloud = app.fast();
    let calls = cloud.through().run(Operation::Up.arguments());
    calls.run.ok();
    let of_apis =
        calls.calls.into_iter().map(|call| call.name).filter(|name| name.nth == 1 && name.service == "apigatewayv2");
    let cases: Vec<Refused> = of_apis
        .enumerate()
        .filter_map(|(index, call)| {
            let mut ways = Refused::all(&call);
            let way = index % ways.len().max(1);
            (way < ways.len()).then(|| ways.swap_remove(way))
        })
        .collect();
    for operation in ["CreateApi", "ReimportApi", "CreateAuthorizer", "CreateIntegration", "CreateRoute", "CreateStage"]
    {
        assert!(cases.iter().any(|case| case.call.operation == operation), "{operation}");
    }
    are_rolled_back(&app, &cases);
}

#[test]
fn a_failed_down_is_finished_by_the_next_one() {
    let cases: Vec<Case> = Case::all(permanent).into_iter().filter(|case| case.operation == Operation::Down).collect();
    let cases = sample::third("refusals", cases);
    on_clouds(CLOUDS, template::fast_echo, &cases, |cloud, case| {
        case.operation.begin(cloud);
        if let Some((trial, hit)) = case.run(cloud) {
            assert_reported(&trial.run.exits(1), &trial.calls, &hit);
        }
        Operation::clear(cloud);
    });
}

/// The only test with a real timeout: that of a single attempt, half a minute. (Uploads of code have a longer one.)
#[test]
fn a_call_without_an_answer_times_out() {
    let forever = || FaultKind::Silence(Duration::from_secs(600));
    let call = |operation: &str| {
        let mut calls = Operation::Up.reference().calls.iter();
        calls.find(|call| call.operation == operation && call.nth == 1).unwrap().clone()
    };
    let cases = [
        ("GetApis", Fault::before(forever())),
        ("CreateRole", Fault::before(forever())),
        ("CreateApi", Fault::after(forever())),
    ];
    let cases = cases.map(|(operation, fault)| Case { operation: Operation::Up, call: call(operation), fault });
    on_clouds(cases.len(), template::fast_echo, &cases, |cloud, case| {
        case.run(cloud).unwrap().0.run.ok();
        same(&cloud.inventory_now(), &Operation::Up.reference().after);
    });
}
