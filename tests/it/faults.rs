//! Whatever AWS answers, and where it answers nothing: what passes is waited out and leaves no trace, what is final
//! ends in one clear error, and what was done until then is undone.
//!
//! Every call of an `up` from nothing, of an update and of a `down`, as an undisturbed run makes them, meets every
//! fault. What certainly has no effect (throttles, collisions) meets all calls of a run together, a run a wording; what
//! may have had one, or is final, meets each call alone. A third of these cases runs each time (`common::sample`), which pays
//! for the apps that people deploy: their first `up` fails at some of its calls.

use crate::common;
use std::fmt;
use std::sync::LazyLock;
use std::time::Duration;

use crate::common::call_name::Name;
use crate::common::inventory::{Inventory, differences, same};
use crate::common::pool::on_clouds;
use crate::common::proxy::{Fault, Made, Trial, What, When};
use crate::common::{Cloud, Run, sample, template};

/// How many clouds stand side by side: runs that meet faults mostly wait.
const CLOUDS: usize = 8;

/// What wschat is asked to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Deed {
    /// The echo stack from nothing.
    Up,
    /// Its changes.
    Update,
    Down,
}

/// How each deed goes when nothing goes wrong.
struct Undisturbed {
    deed: Deed,
    calls: Vec<Name>,
    before: Inventory,
    after: Inventory,
}

static UNDISTURBED: LazyLock<[Undisturbed; 3]> = LazyLock::new(|| {
    let cloud = template::swift_echo();
    [Deed::Up, Deed::Update, Deed::Down].map(|deed| {
        let before = cloud.inventory_now();
        let Trial { run, calls, .. } = deed.prepare(&cloud).run(deed.arguments());
        run.ok();
        // How often a state is asked for, no two runs have in common.
        let calls = calls.into_iter().map(|call| call.name).filter(|name| name.nth == 1 || name.mutating());
        Undisturbed { deed, calls: calls.collect(), before, after: cloud.inventory_now() }
    })
});

impl Deed {
    fn arguments(self) -> &'static [&'static str] {
        match self {
            Self::Up | Self::Update => &["up", "--yes"],
            Self::Down => &["down", "--yes"],
        }
    }

    fn prepare(self, cloud: &Cloud) -> common::proxy::Through<'_> {
        match self {
            Self::Up => template::echo_without_handler(cloud),
            Self::Update | Self::Down => template::echo_changed(cloud),
        };
        cloud.through()
    }

    fn undisturbed(self) -> &'static Undisturbed {
        UNDISTURBED.iter().find(|one| one.deed == self).unwrap()
    }

    /// Brings a cloud to where this deed begins, if it is not there.
    fn begin(self, cloud: &Cloud) {
        let earlier = match self {
            Self::Up => return,
            Self::Update => Self::Up,
            Self::Down => Self::Update,
        };
        earlier.prepare(cloud).run(earlier.arguments()).run.ok();
    }

    /// Takes an app down.
    fn clear_app(cloud: &Cloud) {
        cloud.through().run(Self::Down.arguments()).run.ok();
    }

    /// Takes everything down.
    fn clear(cloud: &Cloud) {
        Self::Down.prepare(cloud).run(Self::Down.arguments()).run.ok();
        same(&cloud.inventory_now(), &Inventory::new());
    }
}

/// One call of a deed, and what befalls it.
struct Case {
    deed: Deed,
    call: Name,
    fault: Fault,
}

impl fmt::Display for Case {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}: {}: {}", self.deed, self.call, self.fault)
    }
}

impl Case {
    /// Every call of every deed with each of what `faults` gives for it.
    fn all(faults: impl Fn(&Name) -> Vec<Fault>) -> Vec<Self> {
        let calls = UNDISTURBED.iter().flat_map(|one| one.calls.iter().map(|call| (one.deed, call)));
        calls
            .flat_map(|(deed, call)| {
                let case = move |fault| Self { deed, call: call.clone(), fault };
                faults(call).into_iter().map(case)
            })
            .collect()
    }

    /// Does the deed on a cloud where it can begin; `None` if the call did not come up, which reading ones and a
    /// second try may do.
    fn run(&self, cloud: &Cloud) -> Option<(Trial, Made)> {
        let trial = self.deed.prepare(cloud).fault(&self.call, &self.fault).run(self.deed.arguments());
        let hit = trial.calls.iter().find(|call| call.fault.is_some()).cloned();
        assert!(hit.is_some() || self.call.nth > 1 || !self.call.mutating(), "there was no {}", self.call);
        Some((trial, hit?))
    }
}

/// What may have happened or not.
fn uncertain(call: &Name) -> Vec<Fault> {
    let internal = match call.service.as_str() {
        "dynamodb" => "InternalServerError",
        "lambda" => "ServiceException",
        "iam" => "ServiceFailure",
        _ => "InternalFailure",
    };
    let internal = Fault::refuse(500, internal, "The request processing has failed because of an unknown error.");
    let mut faults = vec![internal.clone(), Fault::after(What::Cut)];
    if call.mutating() {
        faults.extend([
            Fault::after(internal.what),
            Fault::before(What::Page(503)),
            Fault::before(What::Cut),
            Fault::after(What::Silence(Duration::from_millis(300))),
        ]);
    }
    faults
}

#[test]
fn a_lost_answer_and_one_that_says_nothing_leave_no_trace() {
    let cases = sample::third("uncertain answers", Case::all(uncertain));
    on_clouds(CLOUDS, template::swift_echo, &cases, |cloud, case| {
        case.deed.begin(cloud);
        if let Some((trial, _)) = case.run(cloud) {
            trial.run.ok();
        }
        same(&cloud.inventory_now(), &case.deed.undisturbed().after);
        Deed::clear(cloud);
    });
}

/// All wordings of "too fast" that AWS's services have, and what the SDKs take for one (botocore's and smithy-rs's
/// lists of throttling codes).
fn throttles() -> Vec<Fault> {
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
        Fault::before(What::Page(429)),
    ]
}

/// How each service says that another change to the same thing is under way.
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
        // A function that is being made has nothing yet that could be under way.
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

/// A deed whose every call, the first time, is refused for a while.
struct Storm {
    deed: Deed,
    wording: Wording,
}

enum Wording {
    Throttled(Fault),
    /// The n-th of each service's wordings.
    Busy(usize),
}

impl fmt::Display for Storm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.wording {
            Wording::Throttled(fault) => write!(f, "{:?}: every call: {fault}", self.deed),
            Wording::Busy(nth) => write!(f, "{:?}: every call collides, wording {nth}", self.deed),
        }
    }
}

#[test]
fn throttles_and_collisions_are_waited_out() {
    let storms = || throttles().into_iter().map(Wording::Throttled).chain([Wording::Busy(0), Wording::Busy(1)]);
    let deeds = [Deed::Up, Deed::Update, Deed::Down];
    let storms: Vec<Storm> =
        deeds.into_iter().flat_map(|deed| storms().map(move |wording| Storm { deed, wording })).collect();
    let storms = sample::third("storms", storms);
    on_clouds(CLOUDS, template::swift_echo, &storms, |cloud, storm| {
        storm.deed.begin(cloud);
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
        let run = storm.deed.prepare(cloud).script(move |call| fault(call).filter(|_| call.nth == 1));
        let trial = run.run(storm.deed.arguments());
        assert!(trial.was_hit());
        trial.run.ok();
        same(&cloud.inventory_now(), &storm.deed.undisturbed().after);
        Deed::clear(cloud);
    });
}

/// What no waiting changes: the permission that is missing, and a request that AWS does not understand.
fn final_ones(call: &Name) -> Vec<Fault> {
    let Name { service, operation, about, .. } = call;
    let action = format!("{}:{operation}", if service == "apigatewayv2" { "apigateway" } else { service });
    let denied = format!(
        "User: arn:aws:iam::000000000000:user/local is not authorized to perform: {action} on resource: {about} because \
         no identity-based policy allows the {action} action"
    );
    let invalid = "1 validation error detected: Value 'x' at 'y' failed to satisfy constraint: Member must not be null";
    match service.as_str() {
        // Nobody needs a permission to ask who he is; the key itself may be no good.
        "sts" => {
            vec![Fault::refuse(403, "InvalidClientTokenId", "The security token included in the request is invalid.")]
        }
        // Roles are read by their names then.
        "iam" if operation == "GetAccountAuthorizationDetails" => {
            vec![Fault::refuse(400, "ValidationError", invalid)]
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
    .map(Fault::stays)
    .collect()
}

/// The message says what was being done, to which resource, and all that AWS answered; in one place. Where two asked the
/// same and were refused, one of them tells.
fn tells(run: &Run, calls: &[Made], made: &Made) {
    let stderr = &run.stderr;
    let What::Refuse { code, message, .. } = &made.fault.as_ref().unwrap().what else { panic!("not a refusal") };
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
        // Asked before anything of the stack is looked at.
        "sts" => return,
        "apigatewayv2" => "AWS::ApiGatewayV2::",
        "dynamodb" => "AWS::DynamoDB::",
        "iam" => "AWS::IAM::",
        "lambda" => "AWS::Lambda::",
        _ => "AWS::Logs::",
    };
    assert!(line.contains(family), "it does not say which resource: {line}");
    let errors = stderr.lines().filter(|line| line.starts_with("error: ")).count();
    assert_eq!(errors, 1, "{stderr}");
}

/// Whether an update calls this after all that is wanted is there, to take away what no longer is: what cannot be taken
/// away is no reason to take a stack back that is up. (CloudFormation's UPDATE_COMPLETE_CLEANUP_IN_PROGRESS.)
fn is_tidying(call: &Name) -> bool {
    // A function stays: what is deleted by that call is the version that another has taken the place of.
    ["DeleteDeployment", "DeleteIntegration", "RemovePermission", "DeleteFunction"].contains(&call.operation.as_str())
}

/// Every call of a deed is refused for good: the stack is as it was before.
fn ends_in_an_error_and_is_undone(deed: Deed) {
    let cases: Vec<Case> = Case::all(final_ones).into_iter().filter(|case| case.deed == deed).collect();
    let cases = sample::third("refusals", cases);
    let start = || {
        let cloud = template::swift_echo();
        deed.begin(&cloud);
        cloud
    };
    on_clouds(CLOUDS, start, &cases, |cloud, case| {
        let Some((trial, hit)) = case.run(cloud) else {
            Deed::clear(cloud);
            return deed.begin(cloud);
        };
        let run = trial.run.exits(1);
        assert_eq!(run.stdout, "");
        tells(&run, &trial.calls, &hit);
        if deed == Deed::Update && is_tidying(&case.call) {
            assert!(run.stderr.contains("error: the stack is up (ws://"), "{}", run.stderr);
            deed.prepare(cloud).run(deed.arguments()).run.ok();
            same(&cloud.inventory_now(), &deed.undisturbed().after);
            deed.begin(cloud);
        }
        let left_behind = differences(&cloud.inventory_now(), &deed.undisturbed().before);
        assert_eq!(left_behind, [""; 0], "what is there | what was there before\n{}", run.stderr);
    });
}

#[test]
fn an_up_that_is_refused_something_is_told_and_undone() {
    ends_in_an_error_and_is_undone(Deed::Up);
}

#[test]
fn an_update_that_is_refused_something_is_told_and_undone() {
    ends_in_an_error_and_is_undone(Deed::Update);
}

/// A call of an app's first `up`, refused for good, with or without an effect.
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
        let before = final_ones(call);
        let after = before.iter().filter(|_| call.mutating());
        let after = after.map(|fault| Fault::after(fault.what.clone()).stays()).collect();
        let faults = [before, after].concat().into_iter();
        faults.map(|fault| Self { call: call.clone(), fault }).collect()
    }
}

/// The first `up` of an app that people deploy fails: nothing of it stays, and it says so. (Their roles name their API,
/// so that no order of types alone leads back.)
#[test]
fn the_first_up_of_every_app_is_rolled_back() {
    for app in template::apps() {
        let cloud = app.swift();
        let calls = cloud.through().run(Deed::Up.arguments());
        calls.run.ok();
        let calls: Vec<Name> = calls.calls.into_iter().map(|call| call.name).filter(|name| name.nth == 1).collect();
        // By then all is there.
        let (last, others): (Vec<Name>, Vec<Name>) =
            calls.into_iter().partition(|call| call.operation == "CreateStage");
        assert!(!last.is_empty());
        let others = others.iter().flat_map(Refused::all).collect();
        let mut cases = sample::some(&app.name, others, 14);
        cases.extend(last.iter().flat_map(Refused::all));
        on_clouds(
            CLOUDS,
            || app.swift(),
            &cases,
            |cloud, case| {
                let trial = cloud.through().fault(&case.call, &case.fault).run(Deed::Up.arguments());
                // Where it had its effect, a second look may find everything as it is to be; and a function's first call
                // may be a probe, of which only the role's refusal counts (`aws::propagation`).
                let may_succeed = case.fault.when == When::After || case.call.operation == "CreateFunction";
                let found = trial.run.code == Some(0) && may_succeed;
                if trial.was_hit() && !found {
                    let run = trial.run.exits(1);
                    let touched = run.calls.iter().any(|call| call.mutating);
                    let end = "\nerror: the deployment failed and was rolled back\n";
                    assert!(!touched || run.stderr.contains(end), "{}", run.stderr);
                } else {
                    assert!(found || !case.call.mutating(), "there was no {}", case.call);
                    trial.run.ok();
                    Deed::clear_app(cloud);
                }
                same(&cloud.inventory_now(), &Inventory::new());
            },
        );
    }
}

#[test]
fn a_down_that_is_refused_something_is_finished_by_the_next() {
    let cases: Vec<Case> = Case::all(final_ones).into_iter().filter(|case| case.deed == Deed::Down).collect();
    let cases = sample::third("refusals", cases);
    on_clouds(CLOUDS, template::swift_echo, &cases, |cloud, case| {
        case.deed.begin(cloud);
        if let Some((trial, hit)) = case.run(cloud) {
            tells(&trial.run.exits(1), &trial.calls, &hit);
        }
        Deed::clear(cloud);
    });
}

/// The one test with a real timeout, half a minute: that of a single attempt. (Code on its way up is given longer.)
#[test]
fn an_answer_that_never_comes_is_not_waited_for_forever() {
    let forever = || What::Silence(Duration::from_secs(600));
    let call = |operation: &str| {
        let mut calls = Deed::Up.undisturbed().calls.iter();
        calls.find(|call| call.operation == operation && call.nth == 1).unwrap().clone()
    };
    let cases = [
        ("GetApis", Fault::before(forever())),
        ("CreateRole", Fault::before(forever())),
        ("CreateApi", Fault::after(forever())),
    ];
    let cases = cases.map(|(operation, fault)| Case { deed: Deed::Up, call: call(operation), fault });
    on_clouds(cases.len(), template::swift_echo, &cases, |cloud, case| {
        case.run(cloud).unwrap().0.run.ok();
        same(&cloud.inventory_now(), &Deed::Up.undisturbed().after);
    });
}
