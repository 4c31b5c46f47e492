//! What happens to each resource: a desired one beside what is there, and what is there and not desired.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value, json};

use super::order::{order, order_deletes};
use super::{Action, Options, Plan, PlanError, Step, changes};
use crate::core::stack::{Resource, Stack};
use crate::core::types::{self, Health, Kind, Live, Owner, Planning, ResourceView, StackView, Want, tags};
use crate::core::words::{DeletionPolicy, Token};

/// The plan that turns `live` into `stack`.
///
/// # Errors
/// What stands in the way; all of it.
pub fn diff(stack: &Stack, live: &[Live], options: &Options) -> Result<Plan, Vec<PlanError>> {
    let mut by_type: BTreeMap<&str, Vec<usize>> = BTreeMap::new();
    for (index, live) in live.iter().enumerate() {
        by_type.entry(live.type_name).or_default().push(index);
    }
    let mut planner = Planner {
        stack,
        live,
        by_type,
        options,
        plan: Plan::default(),
        taken: BTreeSet::new(),
        replaced: BTreeSet::new(),
        errors: Vec::new(),
    };
    let mut step_of = BTreeMap::new();
    for resource in in_order(stack) {
        step_of.insert(resource.logical_id.clone(), planner.plan.steps.len());
        planner.want(resource);
    }
    planner.leftovers();
    planner.errors.extend(in_use(&planner.plan));
    planner.errors.extend(permitted_and_deleted(&planner.plan));
    if !planner.errors.is_empty() {
        return Err(planner.errors);
    }
    let mut plan = planner.plan;
    order(&mut plan, stack, &step_of);
    Ok(plan)
}

/// The plan that removes `live`.
pub fn teardown(live: &[Live]) -> Plan {
    let mut plan = Plan::default();
    for one in live.iter().filter(|one| one.owner == Owner::Stack) {
        let goes_with_parent = types::kind(one.type_name).is_some_and(|kind| kind.gone_with().is_some());
        if !goes_with_parent {
            plan.steps.push(leaving(one, None));
        }
    }
    order_deletes(&mut plan);
    plan
}

/// What a plan would delete or make anew although others use it.
pub fn in_use(plan: &Plan) -> Vec<PlanError> {
    let going = plan.steps.iter().filter(|step| matches!(step.action, Action::Delete | Action::Replace));
    let held = going.filter_map(|step| {
        let kind = step.kind()?;
        let held = kind.held(step.live.as_ref()?)?;
        Some(PlanError::InUse { noun: kind.noun(), name: step.name.clone(), held })
    });
    held.collect()
}

/// Permissions on functions that the template does not describe any more, and that the plan deletes for that.
fn permitted_and_deleted(plan: &Plan) -> Vec<PlanError> {
    let found = plan.steps.iter().filter_map(|step| {
        let (type_name, id) = step.kind()?.outside(&step.want.as_ref()?.properties)?;
        let mut deletes = plan.steps.iter().filter(|step| step.action == Action::Delete);
        let goes = deletes.any(|step| step.type_name == type_name && step.physical_id.as_deref() == Some(id));
        goes.then(|| PlanError::Permitted { name: step.name.clone(), function: id.to_owned() })
    });
    found.collect()
}

struct Planner<'a> {
    stack: &'a Stack,
    live: &'a [Live],
    /// Indexes into `live`.
    by_type: BTreeMap<&'a str, Vec<usize>>,
    options: &'a Options,
    plan: Plan,
    /// Indexes into `live` of what some desired resource is.
    taken: BTreeSet<usize>,
    /// Types and physical ids of what is made anew under its name.
    replaced: BTreeSet<(&'static str, String)>,
    errors: Vec<PlanError>,
}

impl Planner<'_> {
    /// Plans one desired resource.
    fn want(&mut self, resource: &Resource) {
        let Some(kind) = types::kind(resource.kind.type_name()) else { return };
        let want = self.wanted(resource, kind);
        let Some(index) = self.find(kind, &want) else {
            self.create(resource, kind, want);
            return;
        };
        let live = &self.live[index];
        if let Owner::Other(owner) = &live.owner {
            let called = kind.known_by().and_then(|property| live.properties[property].as_str());
            self.errors.push(PlanError::Foreign {
                type_name: kind.type_name(),
                logical_id: resource.logical_id.clone(),
                name: called.map_or_else(|| live.physical_id.clone(), |name| format!("{name} ({})", live.physical_id)),
                owner: owner.clone(),
            });
            return;
        }
        self.taken.insert(index);
        // What lives inside something that is made anew goes with it.
        let parent = kind.gone_with().zip(live.parent.clone());
        if parent.is_some_and(|parent| self.replaced.contains(&parent)) {
            self.create(resource, kind, want);
            return;
        }
        let changes = changes(kind, &live.properties, &want.properties);
        let replaced: Vec<&str> =
            changes.iter().filter(|change| change.create_only).map(|change| change.property.as_str()).collect();
        let broken = match &live.health {
            Health::Failed(why) => Some(format!("it has failed: {why}")),
            _ => None,
        };
        let outdated = match &live.health {
            Health::Outdated(why) => Some(format!("its last change failed: {why}")),
            _ => None,
        };
        let action = if !replaced.is_empty() || broken.is_some() {
            if kind.holds_data() && !self.options.allow_data_loss.contains(&resource.logical_id) {
                self.errors.push(PlanError::DataLoss {
                    logical_id: resource.logical_id.clone(),
                    name: live.physical_id.clone(),
                    properties: if replaced.is_empty() { "it has failed, and".to_owned() } else { replaced.join(", ") },
                });
            }
            Action::Replace
        } else if changes.is_empty() && outdated.is_none() {
            Action::Keep
        } else {
            Action::Update
        };
        if action != Action::Replace {
            for (attribute, value) in &live.attributes {
                let token = Token { logical_id: resource.logical_id.clone(), attribute: attribute.clone() };
                self.plan.known.insert(token, value.clone());
            }
        }
        if action == Action::Replace {
            self.replaced.insert((kind.type_name(), live.physical_id.clone()));
        }
        self.plan.steps.push(Step {
            action,
            type_name: kind.type_name(),
            name: resource.logical_id.clone(),
            physical_id: Some(live.physical_id.clone()),
            changes,
            reason: broken.or(outdated),
            want: Some(want),
            live: Some(live.clone()),
            after: BTreeSet::new(),
            if_refused: BTreeSet::new(),
            ready: BTreeSet::new(),
            leads_ahead: BTreeSet::new(),
            drain: None,
        });
    }

    fn create(&mut self, resource: &Resource, kind: &'static dyn Kind, want: Want) {
        // One that has the same logical id and another name is what this one replaces.
        let replaces = self.of_type(kind).find(|index| {
            let live = &self.live[*index];
            !self.taken.contains(index)
                && live.owner == Owner::Stack
                && live.logical_id.as_deref() == Some(&resource.logical_id)
        });
        let reason = replaces.map(|index| {
            let old = &self.live[index];
            let lost = kind.holds_data() && resource.update_replace_policy == DeletionPolicy::Delete;
            if lost && !self.options.allow_data_loss.contains(&resource.logical_id) {
                let differing = changes(kind, &old.properties, &want.properties);
                let properties: Vec<String> = differing
                    .into_iter()
                    .filter(|change| {
                        change.create_only
                            && Some(change.property.as_str()) != kind.naming().map(|naming| naming.property)
                    })
                    .map(|change| change.property)
                    .collect();
                // Where nothing else differs, it is the name.
                let properties = if properties.is_empty() { vec!["its name".to_owned()] } else { properties };
                self.errors.push(PlanError::DataLoss {
                    logical_id: resource.logical_id.clone(),
                    name: old.physical_id.clone(),
                    properties: properties.join(", "),
                });
            }
            format!("replaces {}, which cannot be updated in place", old.physical_id)
        });
        self.plan.steps.push(Step {
            action: Action::Create,
            type_name: kind.type_name(),
            name: resource.logical_id.clone(),
            physical_id: want.name.clone(),
            changes: changes(kind, &json!({}), &want.properties),
            reason,
            want: Some(want),
            live: None,
            after: BTreeSet::new(),
            if_refused: BTreeSet::new(),
            ready: BTreeSet::new(),
            leads_ahead: BTreeSet::new(),
            drain: None,
        });
    }

    /// What a desired resource shall be, with everything put in that is known by now.
    fn wanted(&self, resource: &Resource, kind: &'static dyn Kind) -> Want {
        let mut properties = resource.properties.clone();
        if kind.taggable() {
            for (key, value) in &self.stack.tags {
                if properties["Tags"].get(key).is_none() {
                    properties["Tags"][key] = Value::from(value.as_str());
                }
            }
            let ownership = tags::ownership(&self.stack.scope, &resource.logical_id, resource.deletion_policy);
            for (key, value) in ownership {
                properties["Tags"][key] = Value::from(value);
            }
        }
        kind.complete(&resource.view(), &mut properties, self);
        let properties = Token::substitute(&properties, &|token| self.plan.known.get(token).cloned());
        Want { logical_id: resource.logical_id.clone(), name: resource.name.clone(), properties, code: None }
    }

    /// Indexes of what is there of a type.
    fn of_type(&self, kind: &'static dyn Kind) -> impl Iterator<Item = usize> {
        self.by_type.get(kind.type_name()).into_iter().flatten().copied()
    }

    fn find(&self, kind: &'static dyn Kind, want: &Want) -> Option<usize> {
        let mut fitting = self
            .of_type(kind)
            .filter(|index| !self.taken.contains(index))
            .filter(|index| !self.live[*index].is_leaving() && kind.is(want, &self.live[*index]));
        if kind.naming().is_some() || !kind.unique_by().is_empty() {
            return fitting.next();
        }
        let mut candidates: Vec<usize> = fitting.collect();
        // One of others stands in the way only where there is none of ours.
        candidates.sort_by_key(|index| self.live[*index].owner != Owner::Stack);
        if candidates.len() < 2 {
            return candidates.first().copied();
        }
        let several: Vec<&Live> = candidates.iter().map(|index| &self.live[*index]).collect();
        candidates.get(kind.choose(want, &several, self)).copied()
    }

    /// Plans what is there and not wanted.
    fn leftovers(&mut self) {
        let leaves = |index: usize| {
            let live = &self.live[index];
            !self.taken.contains(&index) && live.owner == Owner::Stack && !live.is_leaving()
        };
        let byproducts: BTreeSet<(&str, String)> = self
            .stack
            .resources
            .values()
            .filter_map(|resource| resource.kind.byproduct(resource.name.as_deref()?))
            .collect();
        let gone: BTreeSet<(&str, &str)> = (0..self.live.len())
            .filter(|index| leaves(*index))
            .map(|index| (self.live[index].type_name, self.live[index].physical_id.as_str()))
            .collect();
        let mut steps = Vec::new();
        for index in (0..self.live.len()).filter(|index| leaves(*index)) {
            let live = &self.live[index];
            let kind = types::kind(live.type_name);
            let parent = kind.and_then(|kind| kind.gone_with());
            let goes_with_parent =
                parent.zip(live.parent.as_deref()).is_some_and(|(type_name, id)| gone.contains(&(type_name, id)));
            if goes_with_parent {
                continue;
            }
            // AWS made it for something that stays.
            let is_byproduct =
                live.logical_id.is_none() && byproducts.contains(&(live.type_name, live.physical_id.clone()));
            if is_byproduct || kind.is_some_and(|kind| kind.is_left_alone(live, &self.stack.resources)) {
                continue;
            }
            let wanted = live.logical_id.as_ref().and_then(|id| self.stack.resources.get(id));
            let still_wanted = wanted.is_some();
            let reason = if still_wanted {
                "replaced by a new one"
            } else if live.logical_id.is_none() && kind.is_some_and(|kind| kind.parent().is_some()) {
                "not in the template: added by hand, or left behind by an earlier change"
            } else {
                "not in the template any more"
            };
            let mut step = leaving(live, Some(reason.to_owned()));
            if let Some(wanted) = wanted {
                step.action = gone_or_left(wanted.update_replace_policy);
            }
            steps.push(step);
        }
        self.plan.steps.extend(steps);
    }
}

impl StackView for Planner<'_> {
    fn resources(&self) -> Box<dyn Iterator<Item = ResourceView<'_>> + '_> {
        self.stack.resources.resources()
    }

    fn get(&self, logical_id: &str) -> Option<ResourceView<'_>> {
        StackView::get(&self.stack.resources, logical_id)
    }
}

impl Planning for Planner<'_> {
    fn completed(&self, it: &ResourceView<'_>) -> Value {
        let resource = self.stack.resources.get(it.logical_id);
        resource.map(|resource| self.wanted(resource, resource.kind).properties).unwrap_or_default()
    }

    fn code(&self, logical_id: &str) -> Option<&str> {
        self.options.code.get(logical_id).map(String::as_str)
    }

    fn live<'a>(&'a self, type_name: &str) -> Box<dyn Iterator<Item = &'a Live> + 'a> {
        let found = self.by_type.get(type_name).into_iter().flatten();
        Box::new(found.map(|index| &self.live[*index]))
    }
}

/// The step of something that is no longer wanted.
fn leaving(live: &Live, reason: Option<String>) -> Step {
    Step { reason, ..Step::on(live, gone_or_left(live.deletion_policy)) }
}

fn gone_or_left(policy: DeletionPolicy) -> Action {
    match policy {
        DeletionPolicy::Delete => Action::Delete,
        DeletionPolicy::Retain | DeletionPolicy::RetainExceptOnCreate => Action::Retain,
    }
}

/// The desired resources, each after those it must wait for. The template stage has refused cycles.
fn in_order(stack: &Stack) -> Vec<&Resource> {
    fn visit<'a>(stack: &'a Stack, id: &'a str, seen: &mut BTreeSet<&'a str>, order: &mut Vec<&'a Resource>) {
        if !seen.insert(id) {
            return;
        }
        if let Some(resource) = stack.resources.get(id) {
            for before in &resource.hard {
                visit(stack, before, seen, order);
            }
            order.push(resource);
        }
    }
    let mut order = Vec::new();
    let mut seen = BTreeSet::new();
    for id in stack.resources.keys() {
        visit(stack, id, &mut seen, &mut order);
    }
    order
}
