//! What happens to each resource: a desired one beside what is there, and what is there and not desired.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::convert::Infallible;

use serde_json::{Value, json};

use super::order::{order, order_deletes};
use super::{Action, Change, Plan, PlanError, PlanOptions, Step, changes, tag_budget};
use crate::core::stack::lookups::{self, Missing};
use crate::core::stack::{Lookup, Names, Resource, Stack};
use crate::core::types::{self, Desired, Health, Kind, Live, Owner, Part, Planning, ResourceView, StackView, tags};
use crate::core::words::{DeletionPolicy, Token};

/// The plan that turns `live` into `stack`.
///
/// # Errors
/// What stands in the way; all of it.
pub fn diff(stack: &Stack, live: &[Live], options: &PlanOptions) -> Result<Plan, Vec<PlanError>> {
    let mut planner = Planner::new(stack, live, options);
    let mut step_of = BTreeMap::new();
    for resource in in_order(stack) {
        step_of.insert(resource.logical_id.clone(), planner.plan.steps.len());
        planner.plan_desired(resource);
    }
    planner.leftovers();
    planner.errors.extend(in_use(&planner.plan));
    planner.errors.extend(permitted_and_deleted(&planner.plan));
    planner.errors.extend(tag_budget::check(&planner.plan, stack));
    if !planner.errors.is_empty() {
        return Err(planner.errors);
    }
    let mut plan = planner.plan;
    order(&mut plan, stack, &step_of);
    Ok(plan)
}

/// The resources that have names of AWS's side (`Lookups::name`) and cannot keep them: of what they are to be, something differs
/// that cannot be changed in place, so that they get new names beside the old ones.
pub fn outgrown(stack: &Stack, live: &[Live], names: &Names) -> Vec<(&'static str, String)> {
    let options = PlanOptions::default();
    let mut planner = Planner::new(stack, live, &options);
    in_order(stack).into_iter().for_each(|resource| planner.plan_desired(resource));
    let is_outgrown = |step: &&Step| {
        step.action == Action::Replace
            && step.changes.iter().any(|change| change.create_only)
            && names.contains_key(&(step.type_name, step.name.clone()))
    };
    planner.plan.steps.iter().filter(is_outgrown).map(|step| (step.type_name, step.name.clone())).collect()
}

/// The plan that removes `live`.
pub fn teardown(live: &[Live]) -> Plan {
    let mut plan = Plan::default();
    for one in live.iter().filter(|one| one.owner == Owner::Stack) {
        let goes_with_parent = types::kind(one.type_name).is_some_and(|kind| kind.deleted_with().is_some());
        if !goes_with_parent {
            plan.steps.push(leaving(one, None));
        }
    }
    order_deletes(&mut plan);
    plan
}

/// What a plan would delete or replace although others use it.
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
    let deletes = plan.steps.iter().filter(|step| step.action == Action::Delete);
    let deleted: BTreeSet<_> =
        deletes.filter_map(|step| Some((step.type_name, step.physical_id.as_deref()?))).collect();
    let found = plan.steps.iter().filter_map(|step| {
        let (type_name, id) = step.kind()?.foreign_target(&step.desired.as_ref()?.properties)?;
        deleted
            .contains(&(type_name, id))
            .then(|| PlanError::Permitted { name: step.name.clone(), function: id.to_owned() })
    });
    found.collect()
}

/// The template's resources by what others call them.
struct Described<'a> {
    /// By type and physical name.
    named: HashMap<(&'static str, &'a str), &'a Resource>,
    /// By what they name in the property by which they are parts of something.
    parts: HashMap<&'a str, Vec<&'a Resource>>,
}

impl<'a> Described<'a> {
    fn new(stack: &'a Stack) -> Self {
        let mut named = HashMap::new();
        let mut parts: HashMap<&str, Vec<&Resource>> = HashMap::new();
        for resource in stack.resources.values() {
            if let Some(name) = &resource.name {
                named.entry((resource.kind.type_name(), name.as_str())).or_insert(resource);
            }
            let above = resource.kind.within().and_then(|within| resource.properties.get(within.property)?.as_str());
            if let Some(above) = above {
                parts.entry(above).or_default().push(resource);
            }
        }
        Self { named, parts }
    }
}

/// Texts of properties in which a desired resource and a live one agree (`Kind::agrees_in`).
type Agreed<'a> = Vec<Option<Cow<'a, str>>>;

/// What AWS has, as indexes into `Planner::live`, in its order.
struct There<'a> {
    by_type: HashMap<&'a str, Vec<usize>>,
    by_id: HashMap<(&'a str, &'a str), Vec<usize>>,
    by_logical_id: HashMap<(&'a str, &'a str), Vec<usize>>,
    by_properties: HashMap<(&'a str, Agreed<'a>), Vec<usize>>,
}

impl<'a> There<'a> {
    fn new(live: &'a [Live]) -> Self {
        let mut there = Self {
            by_type: HashMap::new(),
            by_id: HashMap::new(),
            by_logical_id: HashMap::new(),
            by_properties: HashMap::new(),
        };
        for (index, live) in live.iter().enumerate() {
            there.by_type.entry(live.type_name).or_default().push(index);
            there.by_id.entry((live.type_name, &live.physical_id)).or_default().push(index);
            if let Some(id) = &live.logical_id {
                there.by_logical_id.entry((live.type_name, id)).or_default().push(index);
            }
            if let Some(kind) = types::kind(live.type_name) {
                there.by_properties.entry((live.type_name, agreed(kind, &live.properties))).or_default().push(index);
            }
        }
        there
    }

    /// Those that may be what is desired.
    fn like(&self, kind: &'static dyn Kind, desired: &Desired) -> Vec<usize> {
        let id = kind.known_id(desired);
        let by_id = id.as_ref().and_then(|id| self.by_id.get(&(kind.type_name(), id.as_str())));
        // One that is known by its id alone is compared with no others.
        let alike = id.is_none() || !kind.agrees_in().is_empty();
        let alike = alike.then(|| self.by_properties.get(&(kind.type_name(), agreed(kind, &desired.properties))));
        let mut found = by_id.cloned().unwrap_or_default();
        found
            .extend(alike.flatten().into_iter().flatten().filter(|index| by_id.is_none_or(|ids| !ids.contains(index))));
        found
    }
}

fn agreed<'v>(kind: &dyn Kind, properties: &'v Value) -> Agreed<'v> {
    let text = |property: &&str| match &properties[*property] {
        Value::Null => None,
        Value::String(text) => Some(text.into()),
        other => Some(other.to_string().into()),
    };
    kind.agrees_in().iter().map(text).collect()
}

struct Planner<'a> {
    stack: &'a Stack,
    described: Described<'a>,
    live: &'a [Live],
    there: There<'a>,
    options: &'a PlanOptions,
    plan: Plan,
    /// Indexes into `live` of what some desired resource is.
    taken: HashSet<usize>,
    /// Types and physical ids of what is created again under its name.
    replaced: BTreeSet<(&'static str, String)>,
    errors: Vec<PlanError>,
}

impl<'a> Planner<'a> {
    fn new(stack: &'a Stack, live: &'a [Live], options: &'a PlanOptions) -> Self {
        Self {
            stack,
            described: Described::new(stack),
            live,
            there: There::new(live),
            options,
            plan: Plan { steps: Vec::with_capacity(stack.resources.len()), ..Plan::default() },
            taken: HashSet::new(),
            replaced: BTreeSet::new(),
            errors: Vec::new(),
        }
    }

    /// Plans one desired resource.
    fn plan_desired(&mut self, resource: &Resource) {
        let kind = resource.kind;
        let desired = self.desired_state(resource, kind);
        let missing = lookups::texts(&resource.properties).into_iter().find_map(|text| self.looked_up(&text)?.err());
        if let Some(missing) = missing {
            self.errors.push(PlanError::Unresolved { logical_id: resource.logical_id.clone(), missing });
        }
        let Some(index) = self.find(kind, &desired) else {
            return self.create(resource, kind, desired);
        };
        let live: &'a Live = &self.live[index];
        if let Owner::Other(owner) = &live.owner {
            self.errors.push(foreign(kind, resource, live, owner));
            return;
        }
        self.taken.insert(index);
        match self.is_deleted_with_parent(kind, live) {
            true => self.create(resource, kind, desired),
            false => self.change(resource, kind, desired, live),
        }
    }

    /// Whether a live resource goes with its parent, which is replaced.
    fn is_deleted_with_parent(&self, kind: &dyn Kind, live: &Live) -> bool {
        let parent = kind.deleted_with().zip(live.parent.clone());
        parent.is_some_and(|parent| self.replaced.contains(&parent))
    }

    /// Keeps, updates or replaces the live resource of a desired one.
    fn change(&mut self, resource: &Resource, kind: &'static dyn Kind, desired: Desired, live: &Live) {
        let changes = changes(kind, &live.properties, &desired.properties);
        let fixed = changes.iter().find(|change| kind.fixed().contains(&change.property.as_str()));
        if let Some(change) = fixed {
            self.errors
                .push(PlanError::Fixed { logical_id: resource.logical_id.clone(), property: change.property.clone() });
        }
        let (mut action, mut reason) = decide(&changes, &live.health);
        if action == Action::Keep && self.asks_for_more(resource, live) {
            (action, reason) = (Action::Update, Some("its function is asked again for what is not kept".to_owned()));
        }
        let mut recorders = kind.recorded_on(live).into_iter();
        if recorders.any(|(type_name, id)| self.replaced.iter().any(|(of, gone)| *of == type_name && *gone == id)) {
            (action, reason) = (Action::Replace, Some("what records it is replaced".to_owned()));
        }
        if action == Action::Replace {
            let changed: Vec<&str> =
                changes.iter().filter(|change| change.create_only).map(|change| change.property.as_str()).collect();
            let properties = if changed.is_empty() { "it has failed, and".to_owned() } else { changed.join(", ") };
            self.guard_data(resource, kind, live, || Some(properties));
            self.replaced.insert((kind.type_name(), live.physical_id.clone()));
        } else {
            let token =
                |attribute: &String| Token { logical_id: resource.logical_id.clone(), attribute: attribute.clone() };
            let stays = |attribute: &str| action == Action::Keep || !kind.changes_attribute(attribute, &changes);
            let known = live.attributes.iter().filter(|(attribute, _)| stays(attribute));
            self.plan.known.extend(known.map(|(attribute, value)| (token(attribute), value.clone())));
        }
        let name = resource.logical_id.clone();
        self.plan.steps.push(Step { name, changes, reason, desired: Some(desired), ..Step::on(live, action) });
    }

    /// Whether the template has the value of an attribute that is not known of the live resource, and that an update makes known.
    fn asks_for_more(&self, resource: &Resource, live: &Live) -> bool {
        let is_lacking = |token: &Token| {
            token.logical_id == resource.logical_id
                && !live.attributes.contains_key(&token.attribute)
                && resource.kind.changes_attribute(&token.attribute, &[])
        };
        let outputs = self.stack.outputs.values().flat_map(|output| Token::find(&output.value));
        let properties = self.stack.resources.values().flat_map(|other| Token::find_all(&other.properties));
        outputs.chain(properties).any(|token| is_lacking(&token))
    }

    /// Refuses to lose what `live` holds, unless the user allows it. `properties`: those that cannot be changed; none where another
    /// one has taken its place already.
    fn guard_data(
        &mut self,
        resource: &Resource,
        kind: &dyn Kind,
        live: &Live,
        properties: impl FnOnce() -> Option<String>,
    ) {
        let is_of_it =
            |error: &PlanError| matches!(error, PlanError::DataLoss { name, .. } if *name == live.physical_id);
        let is_allowed = self.options.allow_data_loss.contains(&resource.logical_id);
        if kind.holds_data() && !is_allowed && !self.errors.iter().any(is_of_it) {
            self.errors.push(PlanError::DataLoss {
                logical_id: resource.logical_id.clone(),
                name: live.physical_id.clone(),
                properties: properties(),
            });
        }
    }

    fn create(&mut self, resource: &Resource, kind: &'static dyn Kind, desired: Desired) {
        // One that has the same logical id and another name is what this one replaces.
        let known = self.there.by_logical_id.get(&(kind.type_name(), resource.logical_id.as_str()));
        let known = known.into_iter().flatten().copied();
        let mut known = known.filter(|index| !self.taken.contains(index) && self.live[*index].owner == Owner::Stack);
        // What is recorded and not there is created, and its old records go.
        let absent = known.clone().find(|index| self.live[*index].is_absent());
        let replaces = known.find(|index| !self.live[*index].is_absent());
        let reason = replaces.map(|index| {
            let old: &'a Live = &self.live[index];
            if resource.update_replace_policy == DeletionPolicy::Delete {
                self.guard_data(resource, kind, old, || Some(create_only(kind, old, &desired)));
            }
            format!("replaces {}, which cannot be updated in place", old.physical_id)
        });
        self.plan.steps.push(Step {
            action: Action::Create,
            type_name: kind.type_name(),
            name: resource.logical_id.clone(),
            physical_id: desired.name.clone(),
            changes: changes(kind, &json!({}), &desired.properties),
            reason,
            desired: Some(desired),
            live: absent.map(|index| self.live[index].clone()),
            after: BTreeSet::new(),
            retry_after: BTreeSet::new(),
            ready: BTreeSet::new(),
            unready_targets: BTreeSet::new(),
            drain: None,
        });
        self.taken.extend(absent);
    }

    /// What a desired resource shall be, with everything put in that is known by now.
    fn desired_state(&self, resource: &Resource, kind: &'static dyn Kind) -> Desired {
        let mut properties = resource.properties.clone();
        if kind.taggable() {
            let tags = &mut properties["Tags"];
            for (key, value) in &self.stack.tags {
                if tags.get(key).is_none() {
                    tags[key] = Value::from(value.as_str());
                }
            }
            let ownership = tags::ownership(&self.stack.scope, &resource.logical_id, resource.deletion_policy);
            for (key, value) in ownership {
                tags[key] = Value::from(value);
            }
        }
        kind.complete(&resource.view(), &mut properties, self);
        let found = &mut |text: &str| Ok::<_, Infallible>(self.looked_up(text).and_then(Result::ok));
        let Ok(()) = lookups::replace(&mut properties, found);
        Token::fill(&mut properties, &|token| self.plan.known.get(token).cloned());
        Desired { logical_id: resource.logical_id.clone(), name: resource.name.clone(), properties, code: None }
    }

    /// What came of a dynamic reference to resources of the stack that this plan leaves as they are. Others have another value when
    /// the step comes that needs it.
    fn looked_up(&self, text: &str) -> Option<Result<String, Missing>> {
        let known = Token::substitute_text(text, &|token| self.plan.known.get(token).cloned());
        let lookup = Lookup::read(&known).ok()?;
        let named = Token::find(text).into_iter().map(|token| token.logical_id);
        let mut read = named.chain(lookups::own(&lookup, &self.stack.resources).map(str::to_owned));
        let stays = |id: String| {
            self.plan.steps.iter().any(|step| step.name == id && step.desired.is_some() && step.action == Action::Keep)
        };
        if read.all(stays) { self.stack.own.get(&lookup).cloned() } else { None }
    }

    fn find(&self, kind: &'static dyn Kind, desired: &Desired) -> Option<usize> {
        let like = self.there.like(kind, desired).into_iter();
        let fitting = like.filter(|index| !self.taken.contains(index)).filter(|index| {
            let live = &self.live[*index];
            !live.is_being_deleted() && !live.is_absent() && kind.is(desired, live)
        });
        let mut candidates: Vec<usize> = fitting.collect();
        // One of others stands in the way only where there is none of ours.
        candidates.sort_by_key(|index| self.live[*index].owner != Owner::Stack);
        if candidates.len() < 2 || kind.naming().is_some() || !kind.unique_by().is_empty() {
            return candidates.first().copied();
        }
        let several: Vec<&Live> = candidates.iter().map(|index| &self.live[*index]).collect();
        candidates.get(kind.choose(desired, &several, self)).copied()
    }

    /// The logical id of the snapshot that this plan takes of the same API as `live`, which is one, too.
    fn next_snapshot(&self, live: &Live) -> Option<&str> {
        types::kind(live.type_name).filter(|kind| kind.part() == Part::Snapshot)?;
        let api = |step: &Step| step.desired.as_ref()?.properties["ApiId"].as_str().map(str::to_owned);
        let next =
            self.plan.steps.iter().find(|step| {
                (step.action, step.type_name) == (Action::Create, live.type_name) && api(step) == live.parent
            });
        next.map(|step| step.name.as_str())
    }

    /// Plans live resources that the template does not describe.
    fn leftovers(&mut self) {
        let leaves = |index: usize| {
            let live = &self.live[index];
            !self.taken.contains(&index) && live.owner == Owner::Stack && !live.is_being_deleted()
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
        let mut duplicates = Vec::new();
        for index in (0..self.live.len()).filter(|index| leaves(*index)) {
            let live: &'a Live = &self.live[index];
            let kind = types::kind(live.type_name);
            let parent = kind.and_then(|kind| kind.deleted_with());
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
            let stack: &'a Stack = self.stack;
            let described = live.logical_id.as_ref().and_then(|id| stack.resources.get(id));
            let reason = if described.is_some() {
                "replaced by a new one"
            } else if let Some(snapshot) = self.next_snapshot(live) {
                &format!("replaced by {snapshot}")
            } else if live.logical_id.is_none() && kind.is_some_and(|kind| kind.parent().is_some()) {
                // Without tags it is unknown whether the template ever had it.
                "not in the template"
            } else {
                "not in the template any more"
            };
            let mut step = leaving(live, Some(reason.to_owned()));
            if let Some((described, kind)) = described.zip(kind) {
                step.action = gone_or_left(described.update_replace_policy);
                if step.action == Action::Delete && !live.is_absent() {
                    duplicates.push((described, kind, live));
                }
            }
            steps.push(step);
        }
        for (described, kind, live) in duplicates {
            self.guard_data(described, kind, live, || None);
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
        resource.map(|resource| self.desired_state(resource, resource.kind).properties).unwrap_or_default()
    }

    fn code(&self, logical_id: &str) -> Option<&str> {
        self.options.code.get(logical_id).map(String::as_str)
    }

    fn named(&self, type_name: &str, name: &str) -> Option<ResourceView<'_>> {
        self.described.named.get(&(type_name, name)).map(|resource| resource.view())
    }

    fn parts<'a>(&'a self, of: &str) -> Box<dyn Iterator<Item = ResourceView<'a>> + 'a> {
        Box::new(self.described.parts.get(of).into_iter().flatten().map(|resource| resource.view()))
    }

    fn live<'a>(&'a self, type_name: &str) -> Box<dyn Iterator<Item = &'a Live> + 'a> {
        let found = self.there.by_type.get(type_name).into_iter().flatten();
        Box::new(found.map(|index| &self.live[*index]))
    }

    fn live_named(&self, type_name: &str, physical_id: &str) -> Option<&Live> {
        self.there.by_id.get(&(type_name, physical_id))?.first().map(|index| &self.live[*index])
    }
}

/// What happens to a live resource that differs in `changes`, and why, where the changes do not say it.
fn decide(changes: &[Change], health: &Health) -> (Action, Option<String>) {
    let must_be_replaced = changes.iter().any(|change| change.create_only);
    match health {
        Health::Failed(why) => (Action::Replace, Some(format!("it has failed: {why}"))),
        // `find` passes over it.
        Health::Absent => (Action::Replace, None),
        Health::Outdated(why) => {
            let action = if must_be_replaced { Action::Replace } else { Action::Update };
            (action, Some(format!("its last change failed: {why}")))
        }
        Health::Ready | Health::Busy(_) if must_be_replaced => (Action::Replace, None),
        Health::Ready | Health::Busy(_) if changes.is_empty() => (Action::Keep, None),
        Health::Ready | Health::Busy(_) => (Action::Update, None),
    }
}

/// The properties that keep `old` from becoming what is desired, apart from the name; the name where nothing else does.
fn create_only(kind: &dyn Kind, old: &Live, desired: &Desired) -> String {
    let name = kind.naming().map(|naming| naming.property);
    let properties: Vec<String> = changes(kind, &old.properties, &desired.properties)
        .into_iter()
        .filter(|change| change.create_only && Some(change.property.as_str()) != name)
        .map(|change| change.property)
        .collect();
    if properties.is_empty() { "its name".to_owned() } else { properties.join(", ") }
}

/// The error that a resource of `owner` has the name of a desired one.
fn foreign(kind: &dyn Kind, resource: &Resource, live: &Live, owner: &str) -> PlanError {
    let called = kind.known_by().and_then(|property| live.properties[property].as_str());
    PlanError::Foreign {
        type_name: kind.type_name(),
        logical_id: resource.logical_id.clone(),
        name: called.map_or_else(|| live.physical_id.clone(), |name| format!("{name} ({})", live.physical_id)),
        owner: owner.to_owned(),
    }
}

/// The step of something that is no longer in the template.
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
    fn visit<'a>(stack: &'a Stack, id: &'a str, seen: &mut HashSet<&'a str>, order: &mut Vec<&'a Resource>) {
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
    let mut seen = HashSet::new();
    for id in stack.resources.keys() {
        visit(stack, id, &mut seen, &mut order);
    }
    order
}
