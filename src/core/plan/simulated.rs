//! AWS and the executor as far as the order of steps goes: no clock, no network, everything one after the other in an
//! order that a number chooses. It refuses what AWS refuses because something else is there, or is not.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value, json};

use super::{Action, Executed, Plan, Step};
use crate::core::types::deployment::{self, FREEZES};
use crate::core::types::{
    Created, Desired, Live, alias, api, authorizer, foreign_permission, function, inline_policy, integration, kind,
    log_group, managed_policy, permission, role, route, route_response, stage, version,
};
use crate::core::words::Token;

/// What AWS has.
#[derive(Debug, Clone, Default)]
pub struct Cloud {
    pub live: Vec<Live>,
    minted: usize,
}

/// Where a run fails.
#[derive(Debug, Clone, Copy)]
pub struct Failure {
    /// The step that fails, as the n-th that is begun.
    pub nth: usize,
    pub when: When,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum When {
    /// Nothing has happened.
    Before,
    /// An update has changed one property; a replacement has deleted the old one.
    Halfway,
    /// It has happened, and its answer was lost for good.
    Unheard,
    /// It has happened and was heard of, and did not become ready.
    Settling,
}

/// What came of a run.
#[derive(Debug, Default)]
pub struct Outcome {
    pub executed: Executed,
    pub known: BTreeMap<Token, String>,
    /// What AWS refused, beside the failure that was asked for.
    pub refused: Vec<String>,
    pub done: BTreeSet<usize>,
    /// The step that failed as it was asked to.
    pub failed: Option<usize>,
    /// Steps that were begun.
    pub begun: usize,
    /// Steps that were left although nothing had failed: they wait for each other.
    pub stuck: Vec<String>,
}

/// Numbers that look random, from a seed. (Steele, Lea and Flood's SplitMix64.)
pub struct Choices(pub u64);

impl Choices {
    /// A number below `count`.
    pub fn below(&mut self, count: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        usize::try_from((mixed ^ (mixed >> 31)) >> 33).unwrap() % count.max(1)
    }

    fn maybe(&mut self) -> bool {
        self.below(2) == 0
    }
}

/// Carries out a plan, as `execute` does.
pub fn run(plan: &Plan, cloud: &mut Cloud, choices: &mut Choices, failure: Option<Failure>) -> Outcome {
    let mut outcome = Outcome { known: plan.known.clone(), ..Outcome::default() };
    let acting = |index: &usize| plan.steps[*index].action.acts();
    let mut done: BTreeSet<usize> = (0..plan.steps.len()).filter(|index| !acting(index)).collect();
    let mut waiting: BTreeSet<usize> = (0..plan.steps.len()).filter(acting).collect();
    let mut requeued: BTreeSet<usize> = BTreeSet::new();
    let mut failed = false;
    loop {
        let is_free = |index: &&usize| {
            let step = &plan.steps[**index];
            step.after.is_subset(&done) && (!requeued.contains(*index) || step.retry_after.is_subset(&done))
        };
        let free: Vec<usize> = waiting.iter().filter(is_free).copied().collect();
        let Some(&index) = free.get(choices.below(free.len())) else { break };
        let step = &plan.steps[index];
        outcome.executed.begun.insert(index);
        // Some services look whether what is named is there, and some do not.
        if !requeued.contains(&index) && !step.retry_after.is_subset(&done) && choices.maybe() {
            requeued.insert(index);
            continue;
        }
        waiting.remove(&index);
        let fails = failure.filter(|failure| failure.nth == outcome.begun).map(|failure| failure.when);
        outcome.begun += 1;
        match carry_out(step, cloud, &outcome.known, fails) {
            Ok(created) => {
                let heard = fails.is_none_or(|when| when == When::Settling);
                if fails.is_some_and(|when| when == When::Halfway || when == When::Unheard) {
                    outcome.executed.unclear.insert(index);
                }
                if let Some(created) = created.filter(|_| heard) {
                    outcome.executed.created.insert(index, created.physical_id);
                    outcome.known.extend(
                        created
                            .attributes
                            .into_iter()
                            .map(|(attribute, value)| (Token { logical_id: step.name.clone(), attribute }, value)),
                    );
                }
                if fails.is_none() {
                    done.insert(index);
                }
            }
            Err(why) => {
                outcome.refused.push(format!("{} {}: {why}", step.action.word(), step.name));
                failed |= !plan.continues_after_failure;
            }
        }
        if fails.is_some() {
            failed = true;
            outcome.failed = Some(index);
            // What was begun beside it is finished.
            let beside: Vec<usize> =
                free.into_iter().filter(|other| *other != index).filter(|_| choices.maybe()).collect();
            waiting.retain(|other| beside.contains(other));
        } else if failed {
            break;
        }
    }
    if !failed && outcome.refused.is_empty() {
        outcome.stuck = waiting.iter().map(|index| plan.steps[*index].name.clone()).collect();
    }
    outcome.done = done;
    outcome
}

/// One step; gives what a create made.
fn carry_out(
    step: &Step,
    cloud: &mut Cloud,
    known: &BTreeMap<Token, String>,
    fails: Option<When>,
) -> Result<Option<Created>, String> {
    let desired = step.desired.as_ref().map(|desired| {
        let properties = Token::substitute(&desired.properties, &|token| known.get(token).cloned());
        Desired { properties, ..desired.clone() }
    });
    if let Some(token) = desired.as_ref().and_then(|desired| Token::find_all(&desired.properties).into_iter().next()) {
        return Err(format!("{} of {} is not known", token.attribute, token.logical_id));
    }
    if fails == Some(When::Before) {
        return Ok(None);
    }
    match (step.action, &step.live, &desired) {
        (Action::Create, _, Some(_)) if fails == Some(When::Halfway) => Ok(None),
        (Action::Create, _, Some(desired)) => cloud.create(step.type_name, desired).map(Some),
        (Action::Update, Some(live), Some(desired)) => {
            let first = step.changes.first().filter(|_| fails == Some(When::Halfway));
            let first = first.map(|change| change.property.split('.').next().unwrap());
            cloud.update(live, desired, first).map(|()| None)
        }
        (Action::Replace, Some(live), Some(desired)) => {
            cloud.delete(live)?;
            if fails == Some(When::Halfway) { Ok(None) } else { cloud.create(step.type_name, desired).map(|_| None) }
        }
        (Action::Delete, Some(live), _) => cloud.delete(live).map(|()| None),
        _ => Ok(None),
    }
}

/// A log group as Lambda makes it.
pub fn made_by_lambda(name: &str) -> Live {
    Live::new(log_group::TYPE, name, json!({"LogGroupName": name, "LogGroupClass": "STANDARD"}))
}

/// What a resource belongs to, by its properties.
fn parent(type_name: &str, properties: &Value) -> Option<String> {
    let property = match type_name {
        permission::TYPE | version::TYPE | alias::TYPE => "FunctionName",
        route_response::TYPE => "RouteId",
        _ => "ApiId",
    };
    properties[property].as_str().map(|above| function::name_and_qualifier(above).0.to_owned())
}

impl Cloud {
    fn of<'a>(&'a self, type_name: &'a str) -> impl Iterator<Item = &'a Live> {
        self.live.iter().filter(move |live| live.type_name == type_name)
    }

    fn has(&self, type_name: &str, id: &str) -> Result<(), String> {
        match self.of(type_name).any(|live| live.physical_id == id) {
            true => Ok(()),
            false => Err(format!("there is no {type_name} \"{id}\"")),
        }
    }

    /// Refuses where something is not there that must be.
    fn check(&self, type_name: &str, properties: &Value) -> Result<(), String> {
        let text = |property: &str| properties[property].as_str();
        let texts = |property: &str| properties[property].as_array().into_iter().flatten().filter_map(Value::as_str);
        let named_policy = |arn: &str| match arn.split(":policy/").nth(1).map(|path| path.rsplit('/').next().unwrap()) {
            Some(name) if arn.contains("123456789012") => self.has(managed_policy::TYPE, name),
            _ => Ok(()),
        };
        if let Some(id) = text("ApiId") {
            self.has(api::TYPE, id)?;
        }
        match type_name {
            route::TYPE => {
                if let Some(target) = text("Target").and_then(|target| target.strip_prefix("integrations/")) {
                    self.has(integration::TYPE, target)?;
                }
                if let Some(id) = text("AuthorizerId") {
                    self.has(authorizer::TYPE, id)?;
                }
            }
            route_response::TYPE => self.has(route::TYPE, text("RouteId").unwrap())?,
            stage::TYPE => self.has(deployment::TYPE, text("DeploymentId").unwrap())?,
            function::TYPE => self.has(role::TYPE, text("Role").unwrap().rsplit('/').next().unwrap())?,
            version::TYPE | permission::TYPE | alias::TYPE => {
                let (function, qualifier) = function::name_and_qualifier(text("FunctionName").unwrap());
                self.has(function::TYPE, function)?;
                if let Some(alias) = qualifier {
                    self.has(alias::TYPE, &format!("{function}:{alias}"))?;
                }
                if type_name == alias::TYPE {
                    self.has(version::TYPE, &format!("{function}:{}", text("FunctionVersion").unwrap()))?;
                }
            }
            role::TYPE => {
                texts("ManagedPolicyArns").chain(text("PermissionsBoundary")).try_for_each(named_policy)?;
            }
            inline_policy::TYPE | managed_policy::TYPE => {
                texts("Roles").try_for_each(|name| self.has(role::TYPE, name))?;
            }
            _ => {}
        }
        Ok(())
    }

    fn create(&mut self, type_name: &'static str, desired: &Desired) -> Result<Created, String> {
        self.check(type_name, &desired.properties)?;
        self.minted += 1;
        let number = self.minted;
        let parent = parent(type_name, &desired.properties);
        let mut properties = desired.properties.clone();
        let function = parent.clone().unwrap_or_default();
        let (id, attributes) = match type_name {
            version::TYPE => (
                format!("{function}:{number}"),
                vec![("Ref", format!("arn:{function}:{number}")), ("Version", number.to_string())],
            ),
            stage::TYPE => (properties["StageName"].as_str().unwrap().to_owned(), Vec::new()),
            permission::TYPE => (permission::statement_id(desired).unwrap(), Vec::new()),
            foreign_permission::TYPE => (foreign_permission::statement_id(desired).unwrap(), Vec::new()),
            inline_policy::TYPE => (properties["PolicyName"].as_str().unwrap().to_owned(), Vec::new()),
            route::TYPE
            | route_response::TYPE
            | integration::TYPE
            | authorizer::TYPE
            | deployment::TYPE
            | api::TYPE => (format!("id{number}"), Vec::new()),
            _ => (desired.name.clone().unwrap(), Vec::new()),
        };
        let is_there = |live: &&Live| match type_name {
            route::TYPE => live.parent == parent && live.properties["RouteKey"] == properties["RouteKey"],
            _ => live.parent == parent && live.physical_id == id,
        };
        if self.of(type_name).any(|live| is_there(&live)) {
            return Err(format!("{type_name} \"{id}\" exists already"));
        }
        if type_name == deployment::TYPE {
            properties[deployment::DIGEST] = Value::from(deployment::digest(desired));
            properties.as_object_mut().unwrap().remove(FREEZES);
        }
        let says_its_logical_id = ![
            route::TYPE,
            route_response::TYPE,
            integration::TYPE,
            authorizer::TYPE,
            deployment::TYPE,
            inline_policy::TYPE,
        ]
        .contains(&type_name);
        let mut live = Live::new(type_name, id, properties);
        live.parent = parent;
        live.logical_id = says_its_logical_id.then(|| desired.logical_id.clone());
        for (attribute, value) in attributes {
            live = live.attribute(attribute, value);
        }
        self.live.push(live.clone());
        Ok(live.into())
    }

    /// Changes everything, or one property alone.
    fn update(&mut self, live: &Live, desired: &Desired, only: Option<&str>) -> Result<(), String> {
        self.check(live.type_name, &desired.properties)?;
        let is_it = |one: &&mut Live| {
            (one.type_name, &one.physical_id, &one.parent) == (live.type_name, &live.physical_id, &live.parent)
        };
        let Some(one) = self.live.iter_mut().find(is_it) else { return Err("it is not there".to_owned()) };
        match only {
            Some(property) => one.properties[property] = desired.properties[property].clone(),
            None => one.properties = desired.properties.clone(),
        }
        one.properties.as_object_mut().unwrap().retain(|_, value| !value.is_null());
        Ok(())
    }

    fn delete(&mut self, doomed: &Live) -> Result<(), String> {
        let id = doomed.physical_id.as_str();
        let is_it = |one: &Live| {
            (one.type_name, &one.physical_id, &one.parent) == (doomed.type_name, &doomed.physical_id, &doomed.parent)
        };
        if !self.live.iter().any(is_it) {
            return Ok(());
        }
        let users: Vec<&Live> = match doomed.type_name {
            // Nothing would find it again.
            api::TYPE => self.of(foreign_permission::TYPE).filter(|one| one.parent.as_deref() == Some(id)).collect(),
            integration::TYPE => {
                let target = format!("integrations/{id}");
                self.of(route::TYPE).filter(|route| route.properties["Target"] == target).collect()
            }
            authorizer::TYPE => self.of(route::TYPE).filter(|route| route.properties["AuthorizerId"] == id).collect(),
            deployment::TYPE => self.of(stage::TYPE).filter(|stage| stage.properties["DeploymentId"] == id).collect(),
            version::TYPE => {
                let number = id.rsplit(':').next().unwrap();
                self.of(alias::TYPE)
                    .filter(|alias| alias.parent == doomed.parent && alias.properties["FunctionVersion"] == number)
                    .collect()
            }
            managed_policy::TYPE => {
                let bounds = |role: &&Live| {
                    role.properties["PermissionsBoundary"].as_str().is_some_and(|arn| arn.ends_with(&format!("/{id}")))
                };
                self.of(role::TYPE).filter(bounds).collect()
            }
            _ => Vec::new(),
        };
        if let Some(user) = users.first() {
            return Err(format!("{} \"{}\" uses it", user.type_name, user.physical_id));
        }
        self.live.retain(|one| !is_it(one));
        // What is inside goes with it.
        while let Some(inside) = self.live.iter().position(|one| {
            let above = kind(one.type_name).and_then(|kind| kind.deleted_with()).zip(one.parent.as_deref());
            above.is_some_and(|(type_name, id)| self.has(type_name, id).is_err())
        }) {
            self.live.remove(inside);
        }
        match doomed.type_name {
            role::TYPE => {
                for policy in &mut self.live {
                    if let Some(roles) = policy.properties.get_mut("Roles").and_then(Value::as_array_mut) {
                        roles.retain(|role| role != id);
                    }
                }
                self.live.retain(|one| {
                    one.type_name != inline_policy::TYPE || one.properties["Roles"] != Value::Array(Vec::new())
                });
            }
            managed_policy::TYPE => {
                for role in self.live.iter_mut().filter(|one| one.type_name == role::TYPE) {
                    if let Some(arns) = role.properties.get_mut("ManagedPolicyArns").and_then(Value::as_array_mut) {
                        arns.retain(|arn| !arn.as_str().unwrap().ends_with(&format!("/{id}")));
                    }
                }
            }
            // A last line makes it again.
            log_group::TYPE => {
                let writes =
                    id.strip_prefix(log_group::LAMBDA).is_some_and(|name| self.has(function::TYPE, name).is_ok());
                if writes {
                    self.live.push(made_by_lambda(id));
                }
            }
            _ => {}
        }
        Ok(())
    }
}
