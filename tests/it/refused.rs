//! Refusals while a stack is taken over from CloudFormation, and while it is handed over to it: a call is refused, throttled, fails
//! inside of AWS, or its connection breaks. The command ends well or with one clear error, nothing is lost, everything always has an
//! owner, and the next run ends well. Kills are in `adopt` and `eject`.

use std::fmt;

use crate::common::call_name::Name;
use crate::common::inventory::{Inventory, same};
use crate::common::pool::on_clouds;
use crate::common::proxy::{Fault, FaultKind, ProxiedRun};
use crate::common::template::SWIFT;
use crate::common::{Cloud, Run, STACK, sample};
use crate::{adopt, eject, faults};

/// How many clouds run in parallel, and how many cases of each command are tried.
const CLOUDS: usize = 4;
const CASES: usize = 28;

const ADOPT: &[&str] = &["adopt", STACK, "--yes"];

/// A call that is answered with a fault.
struct Refusal {
    call: Name,
    fault: Fault,
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}{}", self.call, self.fault, if self.fault.permanent { ", always" } else { "" })
    }
}

impl Refusal {
    /// Every call of a run with each of its faults.
    fn all(calls: Vec<Name>) -> Vec<Self> {
        // The number of polls differs from run to run, so only the first of equal reads is kept.
        let calls = calls.into_iter().filter(|call| call.nth == 1 || call.mutating());
        let faults = |call: &Name| {
            let mut faults = faults::permanent(call);
            faults.extend(faults::uncertain(call));
            faults.push(Fault::refuse(400, "Throttling", "Rate exceeded"));
            faults
        };
        calls.flat_map(|call| faults(&call).into_iter().map(move |fault| Self { call: call.clone(), fault })).collect()
    }

    /// Runs a command with this fault; `form` makes names of calls comparable between clouds.
    fn run(&self, cloud: &Cloud, arguments: &[&str], form: fn(&str) -> String) -> ProxiedRun {
        let (wanted, fault) = (self.call.clone(), self.fault.clone());
        let is_it = move |call: &Name| Name { about: form(&call.about), ..call.clone() } == wanted;
        let trial = cloud.through().script(move |call| is_it(call).then(|| fault.clone())).run(arguments);
        assert!(trial.was_hit() || self.call.nth > 1 || !self.call.mutating(), "there was no {}", self.call);
        self.ends_clearly(&trial.run);
        trial
    }

    /// A command that has not ended well says so in one error, with what AWS answered.
    fn ends_clearly(&self, run: &Run) {
        let stderr = &run.stderr;
        assert!(!stderr.contains("panicked"), "{stderr}");
        let errors = stderr.lines().filter(|line| line.starts_with("error: ")).count();
        match (run.code, &self.fault.what) {
            (Some(0), _) => assert_eq!(errors, 0, "{stderr}"),
            (Some(1), FaultKind::Refuse { code, message, .. }) => {
                assert_eq!(errors, 1, "{stderr}");
                let whole = stderr.split_whitespace().collect::<Vec<_>>().join(" ");
                // What this call does not find has another form of identifiers, or is not there: the plan says that.
                let is_told = self.call.operation != "GetResource";
                for words in [code, message, &self.call.operation].into_iter().filter(|_| is_told) {
                    let words = words.split_whitespace().collect::<Vec<_>>().join(" ");
                    assert!(whole.contains(&words), "it does not say {words}: {stderr}");
                }
            }
            (Some(1), _) => assert_eq!(errors, 1, "{stderr}"),
            (code, _) => panic!("{code:?}: {stderr}"),
        }
    }
}

/// The kinds of an inventory that have an owner of their own. (Log groups that no template describes belong to no CloudFormation stack;
/// what cannot be tagged is recorded on one of these.)
const OWNED: &[&str] = &["AWS::SQS::Queue", "api", "function", "role", "table"];

/// What neither CloudFormation's stack has nor wschat's tags mark.
fn unowned(cloud: &Cloud) -> Vec<String> {
    let formed =
        eject::formed(cloud).filter(|(status, ..)| !status.starts_with("DELETE")).map(|(_, resources, _)| resources);
    let formed: Vec<(String, String)> = formed.unwrap_or_default().into_values().collect();
    let is_formed = |kind: &str, name: &str| {
        formed.iter().any(|(type_name, id)| {
            id == name || id.ends_with(&format!("/{name}")) || kind == "api" && type_name == "AWS::ApiGatewayV2::Api"
        })
    };
    let inventory = cloud.inventory_now().into_iter();
    let without = inventory.filter(|(name, one)| {
        let (kind, name) = name.split_once(' ').unwrap();
        OWNED.contains(&kind) && !one.to_string().contains("wschat:stack") && !is_formed(kind, name)
    });
    without.map(|(name, _)| name).collect()
}

fn names(inventory: &Inventory) -> Vec<&String> {
    inventory.keys().collect()
}

#[test]
fn calls_of_adopt_are_refused() {
    let start = || {
        let cloud = Cloud::start().conditions(SWIFT).go();
        adopt::project(&cloud, "old");
        adopt::now(async { drop(adopt::form(&cloud, |_| {}).await) });
        cloud
    };
    let cloud = start();
    let calls = cloud.through().run(ADOPT);
    let comparable = |name: Name| Name { about: adopt::nameless(&name.about), ..name };
    let calls_of_run: Vec<Name> = calls.names().into_iter().map(comparable).collect();
    calls.run.ok();
    let whole = adopt::everything(&cloud);
    let cases = sample::some("refusals of adopt", Refusal::all(calls_of_run), CASES);
    on_clouds(CLOUDS, start, &cases, |cloud, case| {
        let trial = case.run(cloud, ADOPT, adopt::nameless);
        let now = adopt::everything(cloud);
        assert_eq!(names(&now), names(&whole), "{}", trial.run.stderr);
        assert_eq!(unowned(cloud), [""; 0], "{}", trial.run.stderr);
        // Every other one is given back first.
        let mut formed = None;
        adopt::now(async { formed = adopt::status(cloud).await });
        if formed.is_some() && case.call.operation.len() % 2 == 0 {
            cloud.through().run(&["adopt", STACK, "--undo"]).run.ok();
            let left = serde_json::to_string(&cloud.inventory_now()).unwrap();
            assert!(!left.contains("wschat:stack"), "{left}");
        }
        cloud.through().run(ADOPT).run.ok();
        same(&adopt::everything(cloud), &whole);
        cloud.through().run(&["down", "--yes"]).run.ok();
        same(&cloud.inventory_now(), &Inventory::new());
        adopt::now(async { drop(adopt::form(cloud, |_| {}).await) });
    });
}

#[test]
fn calls_of_eject_are_refused() {
    let first = eject::up();
    let before = eject::unmarked(&first);
    let trial = first.through().run(eject::EJECT);
    let comparable = |name: Name| Name { about: adopt::nameless(&name.about), ..name };
    let calls: Vec<Name> = trial.names().into_iter().map(comparable).collect();
    trial.run.ok();
    let cases = sample::some("refusals of eject", Refusal::all(calls), CASES);
    on_clouds(CLOUDS, eject::cloud, &cases, |_, case| {
        let cloud = eject::up();
        let trial = case.run(&cloud, eject::EJECT, adopt::nameless);
        assert_eq!(unowned(&cloud), [""; 0], "{}", trial.run.stderr);
        let again = cloud.wschat(&["eject", "--local", "--yes"]);
        assert_eq!(again.code, Some(0), "{}\nand then\n{}", trial.run.stderr, again.stderr);
        eject::is_handed_over(&cloud);
        same(&eject::unmarked(&cloud), &before);
    });
}
