//! What happens to each resource: a desired one beside what is there, and what is there and not desired.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value, json};

use super::order::{order, order_deletes};
use super::{Action, Options, Plan, PlanError, Step, changes};
use crate::core::stack::{Resource, Stack};
use crate::core::types::Kind;
use crate::core::types::deployment::FREEZES;
use crate::core::types::{
    self, Health, Live, Owner, Want, alias, authorizer, deployment, foreign_permission, function, integration,
    log_group, managed_policy, mark, route, route_response, tags, version,
};
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
    let used = going.filter_map(|step| {
        let live = step.live.as_ref().filter(|live| live.type_name == managed_policy::TYPE)?;
        let by = managed_policy::holders(live)?.others;
        let arn = live.attributes.get("Ref").cloned().unwrap_or_default();
        (!by.is_empty()).then(|| PlanError::InUse { name: step.name.clone(), arn, by: by.into_iter().collect() })
    });
    used.collect()
}

/// Permissions on functions that the template does not describe any more, and that the plan deletes for that.
fn permitted_and_deleted(plan: &Plan) -> Vec<PlanError> {
    let going = |name: &str| {
        let deletes = plan.steps.iter().filter(|step| step.action == Action::Delete);
        deletes.into_iter().any(|step| step.type_name == function::TYPE && step.physical_id.as_deref() == Some(name))
    };
    let found = plan.steps.iter().filter(|step| step.type_name == foreign_permission::TYPE).filter_map(|step| {
        let given = step.want.as_ref()?.properties["FunctionName"].as_str()?;
        let function = function::name_and_qualifier(given).0;
        going(function).then(|| PlanError::Permitted { name: step.name.clone(), function: function.to_owned() })
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
            let called = live.properties["Name"].as_str().filter(|_| kind.type_name() == types::api::TYPE);
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
            let ownership = tags::ownership(&self.stack.scope, &resource.logical_id, resource.deletion_policy);
            for (key, value) in ownership {
                properties["Tags"][key] = Value::from(value);
            }
        }
        if [version::TYPE, alias::TYPE].contains(&kind.type_name()) {
            let mark = mark::of(&resource.logical_id, resource.deletion_policy);
            properties[mark::PROPERTY] = Value::from(mark);
        }
        if kind.type_name() == foreign_permission::TYPE {
            properties[foreign_permission::POLICY] = Value::from(resource.deletion_policy.as_str());
        }
        if kind.type_name() == integration::TYPE {
            // It goes with its API, whatever its own policy.
            properties[mark::PROPERTY] = Value::from(mark::of(&resource.logical_id, DeletionPolicy::Delete));
        }
        if kind.type_name() == version::TYPE
            && let Some((function, kind)) = self.published(resource)
        {
            let function = self.wanted(function, kind).properties;
            properties[FREEZES] = function::frozen(&function);
            if properties["Description"].as_str().is_none_or(str::is_empty) {
                let inherited = function["Description"].as_str().unwrap_or_default();
                properties[FREEZES][version::DESCRIPTION] = Value::from(inherited);
            }
        }
        if kind.type_name() == function::TYPE {
            let name = resource.name.as_deref();
            let has_versions = |other: &Resource| {
                [version::TYPE, alias::TYPE].contains(&other.kind.type_name())
                    && other.properties["FunctionName"].as_str() == name
            };
            if self.stack.resources.values().any(has_versions) {
                properties["Tags"][tags::VERSIONS] = Value::from("true");
            }
            match self.options.code.get(&resource.logical_id) {
                Some(digest) => properties["CodeSha256"] = Value::from(digest.as_str()),
                // No code was built: what is there is as good as any.
                None => {
                    let mut functions = self.of_type(kind).map(|index| &self.live[index]);
                    let live = functions.find(|live| Some(&live.physical_id) == resource.name.as_ref());
                    if let Some(digest) = live.and_then(|live| live.properties.get("CodeSha256")) {
                        properties["CodeSha256"] = digest.clone();
                    }
                }
            }
        }
        if kind.type_name() == deployment::TYPE {
            properties[FREEZES] = self.frozen(resource);
        }
        let properties = Token::substitute(&properties, &|token| self.plan.known.get(token).cloned());
        Want { logical_id: resource.logical_id.clone(), name: resource.name.clone(), properties, code: None }
    }

    /// The function that a version is of.
    fn published(&self, version: &Resource) -> Option<(&Resource, &'static dyn Kind)> {
        let name = version.properties["FunctionName"].as_str();
        let is_it = |other: &&Resource| other.kind.type_name() == function::TYPE && other.name.as_deref() == name;
        self.stack.resources.values().find(is_it).zip(types::kind(function::TYPE))
    }

    /// What a deployment freezes: all it waits for, as those are to be.
    fn frozen(&self, resource: &Resource) -> Value {
        let api = &resource.properties["ApiId"];
        let below = |other: &&Resource| {
            [route::TYPE, integration::TYPE, route_response::TYPE, authorizer::TYPE].contains(&other.kind.type_name())
                && other.properties["ApiId"] == *api
        };
        let selection = self
            .stack
            .resources
            .values()
            .find(|other| api.as_str() == Some(&Token::text(&other.logical_id, "Ref")))
            .map(|api| api.properties["RouteSelectionExpression"].clone());
        let parts = self.stack.resources.values().filter(below).map(|part| part.properties.clone());
        json!([selection, parts.collect::<Vec<_>>()])
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
        // Only of these two may several fit, and one better than another.
        if ![types::api::TYPE, integration::TYPE].contains(&kind.type_name()) {
            return fitting.next();
        }
        let mut candidates: Vec<usize> = fitting.collect();
        // One of others stands in the way only where there is none of ours.
        candidates.sort_by_key(|index| self.live[*index].owner != Owner::Stack);
        // Integrations of equal content are told apart by the routes that use them.
        let used = || {
            let token = Token::text(&want.logical_id, "Ref");
            let uses = self.stack.resources.values().filter(|resource| {
                resource.kind.type_name() == route::TYPE
                    && resource.properties["Target"].as_str().is_some_and(|target| target.contains(&token))
            });
            let keys: Vec<&Value> = uses.map(|route| &route.properties["RouteKey"]).collect();
            let targets: Vec<&str> = self
                .live
                .iter()
                .filter(|live| live.type_name == route::TYPE && keys.contains(&&live.properties["RouteKey"]))
                .filter_map(|live| live.properties["Target"].as_str()?.strip_prefix("integrations/"))
                .collect();
            candidates.iter().copied().find(|index| targets.contains(&self.live[*index].physical_id.as_str()))
        };
        if kind.type_name() == integration::TYPE && candidates.len() > 1 {
            return used().or_else(|| candidates.first().copied());
        }
        candidates.first().copied()
    }

    /// Plans what is there and not wanted.
    fn leftovers(&mut self) {
        let leaves = |index: usize| {
            let live = &self.live[index];
            !self.taken.contains(&index) && live.owner == Owner::Stack && !live.is_leaving()
        };
        let functions: BTreeSet<&str> = self
            .stack
            .resources
            .values()
            .filter(|resource| resource.kind.type_name() == function::TYPE)
            .filter_map(|resource| resource.name.as_deref())
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
            // Lambda made it for a function that stays.
            let made_by_lambda = live.logical_id.is_none()
                && live.type_name == log_group::TYPE
                && live.physical_id.strip_prefix(log_group::LAMBDA).is_some_and(|name| functions.contains(name));
            let wanted = live.logical_id.as_ref().and_then(|id| self.stack.resources.get(id));
            // Versions and aliases made by hand are somebody's own: nothing else of the stack is served by them.
            let by_hand = [version::TYPE, alias::TYPE].contains(&live.type_name) && live.logical_id.is_none();
            // Older versions that shall stay are no news in any plan.
            let older = live.type_name == version::TYPE
                && (live.deletion_policy != DeletionPolicy::Delete
                    || wanted.is_some_and(|wanted| wanted.update_replace_policy != DeletionPolicy::Delete));
            if made_by_lambda || by_hand || older {
                continue;
            }
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
