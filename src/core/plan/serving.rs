//! What is being served waits for more.
//!
//! Where a stage exists, clients use the stack while it changes. What they are led to must be ready before they are led
//! there, and what they were led to before goes only when no message can be under way to it any more. A first
//! deployment serves nobody yet, and waits for none of this.
//!
//! Edges are only added, and never one that would close a circle: where the template's own order speaks against one,
//! the template wins, and the plan says what that interrupts (`Step::unready_targets`).

use std::collections::BTreeSet;
use std::collections::btree_map::{BTreeMap, Entry};
use std::time::Duration;

use serde_json::{Value, json};

use super::{Action, Drain, Plan, Step, widening};
use crate::core::stack::Stack;
use crate::core::types::serving::{filled, follows, words};
use crate::core::types::{Kind, Live, Part, kind, protocol, texts};

/// Adds to a plan what it takes to change a stack that is in use. It must be in order otherwise.
pub(super) fn order(plan: &mut Plan, stack: &Stack, step_of: &BTreeMap<String, usize>) {
    if !plan.steps.iter().any(|step| step.part() == Part::Entry && step.live.is_some()) {
        return;
    }
    keep_on_leaving_roles(plan);
    needless(plan, stack, step_of);
    let drained = drained(plan);
    let affected = Affected::of(plan);
    let links = Links::new(stack, step_of);
    let mut edges = Edges::new(plan);
    updates_after_targets(&mut edges, &affected, &links);
    routes_after_resources(&mut edges, &affected);
    stages_last(&mut edges, &affected);
    note_unready_targets(&mut edges, &affected, &links);
    deleted_routes_last(&mut edges, &affected);
    drained_last(&mut edges, &affected, &drained);
    deletions_after_imports(&mut edges);
    drain(&mut edges, &affected, &drained);
}

/// The steps that the rules below order, as indexes into the plan.
struct Affected {
    /// What is created, updated or replaced.
    made: BTreeSet<usize>,
    /// Of these, routes that a stage with `AutoDeploy` serves at once.
    routes: BTreeSet<usize>,
    /// Of these, stages.
    stages: BTreeSet<usize>,
    /// Of the stages, those that are updated: their clients move.
    moving: BTreeSet<usize>,
    /// Deleted routes that a stage with `AutoDeploy` stops serving at once.
    deleted_routes: BTreeSet<usize>,
}

impl Affected {
    fn of(plan: &Plan) -> Self {
        let following = following(plan);
        let is_served_at_once = |step: &Step| step.part() == Part::Route && following.contains(step.view().api());
        let all = |holds: &dyn Fn(&Step) -> bool| -> BTreeSet<usize> {
            (0..plan.steps.len()).filter(|index| holds(&plan.steps[*index])).collect()
        };
        let is_stage = |step: &Step| step.part() == Part::Entry;
        Self {
            made: all(&is_made),
            routes: all(&|step| is_made(step) && is_served_at_once(step)),
            stages: all(&|step| is_made(step) && is_stage(step)),
            moving: all(&|step| step.action == Action::Update && is_stage(step)),
            deleted_routes: all(&|step| step.action == Action::Delete && is_served_at_once(step)),
        }
    }
}

/// An update in place waits for what it leads clients to, since it leads them there at once. What removes a permission
/// waits for what grants it in another place, and for what is used in the place of what may not be used any more.
fn updates_after_targets(edges: &mut Edges<'_>, affected: &Affected, links: &Links<'_>) {
    for (id, index) in links.step_of {
        let step = &edges.plan.steps[*index];
        let with_permissions = match step.part() {
            Part::Invoked if step.action == Action::Update => false,
            Part::Caller if step.action == Action::Update => true,
            // A document's routes are served at once.
            Part::Api if is_import(step) => true,
            _ if !widening::narrowed(step).is_empty() => false,
            _ => continue,
        };
        let targets = links.steps(id, with_permissions, |part| !part.is_of_gateway());
        edges.wait(*index, &targets & &affected.made, Reason::LeadsClients);
    }
}

/// Whether a step puts the routes of a document in the place of those that an API has.
fn is_import(step: &Step) -> bool {
    let desired = step.desired.as_ref();
    step.part() == Part::Api
        && step.action == Action::Update
        && desired.is_some_and(|desired| protocol::is_imported(&desired.properties))
}

/// Nothing tells what the routes of an old document lead to: whatever goes waits until the new one is there.
fn deletions_after_imports(edges: &mut Edges<'_>) {
    let all = |holds: &dyn Fn(&Step) -> bool| -> Vec<usize> {
        (0..edges.plan.steps.len()).filter(|index| holds(&edges.plan.steps[*index])).collect()
    };
    let imports = all(&is_import);
    if imports.is_empty() {
        return;
    }
    for index in all(&|step| step.action == Action::Delete) {
        edges.wait(index, imports.iter().copied(), Reason::Order);
    }
}

/// A stage that follows its API serves a route as soon as it is made or changed: the route waits for all else but stages.
fn routes_after_resources(edges: &mut Edges<'_>, affected: &Affected) {
    let others = &(&affected.made - &affected.routes) - &affected.stages;
    for index in &affected.routes {
        edges.wait(*index, others.iter().copied(), Reason::Order);
    }
}

/// A stage that points to a deployment moves when all that is new stands: whatever fails before has changed nothing of
/// what it serves.
fn stages_last(edges: &mut Edges<'_>, affected: &Affected) {
    let others = &affected.made - &affected.stages;
    for index in &affected.moving {
        edges.wait(*index, others.iter().copied(), Reason::Order);
    }
}

/// Notes where a route or a stage leads clients to what it could not be made to wait for.
fn note_unready_targets(edges: &mut Edges<'_>, affected: &Affected, links: &Links<'_>) {
    for (id, index) in links.step_of {
        if affected.routes.contains(index) || affected.moving.contains(index) {
            let targets = links.steps(id, true, |part| part != Part::Entry);
            edges.cannot_wait(*index, &targets & &affected.made);
        }
    }
}

/// A deleted route that is served at once is gone at once, too: it goes when others can take its messages.
fn deleted_routes_last(edges: &mut Edges<'_>, affected: &Affected) {
    for index in &affected.deleted_routes {
        edges.wait(*index, affected.made.iter().copied(), Reason::Order);
    }
}

/// What is in use goes when all that is new stands, whether messages move or not: it may be what was used in its place.
fn drained_last(edges: &mut Edges<'_>, affected: &Affected, drained: &BTreeMap<usize, u64>) {
    for index in drained.keys() {
        edges.wait(*index, affected.made.iter().copied(), Reason::Order);
    }
}

fn is_made(step: &Step) -> bool {
    matches!(step.action, Action::Create | Action::Update | Action::Replace)
}

/// The APIs that have a stage with `AutoDeploy`: whatever changes in them is served at once.
fn following(plan: &Plan) -> BTreeSet<String> {
    let stages = plan.steps.iter().filter(|step| step.part() == Part::Entry).filter_map(|step| step.live.as_ref());
    stages.filter(|live| follows(live)).filter_map(|live| live.parent.clone()).collect()
}

/// A policy that moves with its functions from a role that goes to another one stays on the old role, which takes it
/// along when it goes: until then functions still run as that role.
fn keep_on_leaving_roles(plan: &mut Plan) {
    let going: BTreeSet<String> = plan
        .steps
        .iter()
        .filter(|step| step.part() == Part::Role && step.action == Action::Delete)
        .filter_map(|step| step.physical_id.clone())
        .collect();
    for step in &mut plan.steps {
        let is_policy = step.part() == Part::Policy;
        let (Some(live), Some(desired)) = (&step.live, &mut step.desired) else { continue };
        if is_policy && step.action == Action::Update {
            let roles = |of: &Value| -> BTreeSet<String> { texts(&of["Roles"]).map(str::to_owned).collect() };
            let staying = roles(&live.properties).intersection(&going).cloned().collect::<BTreeSet<_>>();
            desired.properties["Roles"] = json!(&roles(&desired.properties) | &staying);
        }
    }
}

/// Takes out the edges to a stage or an authorizer that exists where only its id is needed, which is known: a
/// permission may name the stage that has to wait for it. Those of policies to a role that exists, too: it has to wait
/// for a policy that gives it what it loses.
fn needless(plan: &mut Plan, stack: &Stack, step_of: &BTreeMap<String, usize>) {
    for (id, resource) in &stack.resources {
        let Some(&index) = step_of.get(id) else { continue };
        for (name, target) in resource.hard.iter().filter_map(|name| Some((name, step_of.get(name)?))) {
            let (step, of) = (&plan.steps[index], &plan.steps[*target]);
            let by_id = matches!(of.part(), Part::Entry | Part::Caller) && resource.minted.contains(name);
            let by_name = of.part() == Part::Role && step.part() == Part::Policy;
            if (by_id || by_name) && of.action == Action::Update {
                plan.steps[index].after.remove(target);
            }
        }
    }
}

/// Why a step waits for another.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Reason {
    /// It leads clients there: where it cannot wait, the plan says so (`Step::unready_targets`).
    LeadsClients,
    /// Only the order counts: where it cannot wait, nothing is noted.
    Order,
}

/// A plan's edges, both ways.
struct Edges<'a> {
    plan: &'a mut Plan,
    /// For each step those that wait for it.
    dependents: Vec<BTreeSet<usize>>,
}

impl<'a> Edges<'a> {
    fn new(plan: &'a mut Plan) -> Self {
        let mut dependents = vec![BTreeSet::new(); plan.steps.len()];
        for (index, step) in plan.steps.iter().enumerate() {
            for before in &step.after {
                dependents[*before].insert(index);
            }
        }
        Self { plan, dependents }
    }

    /// Lets `index` wait until `others` are ready, but for those that wait for it.
    fn wait(&mut self, index: usize, others: impl IntoIterator<Item = usize>, reason: Reason) {
        let mut waiting = BTreeSet::new();
        let mut ahead = vec![index];
        while let Some(one) = ahead.pop() {
            if waiting.insert(one) {
                ahead.extend(&self.dependents[one]);
            }
        }
        let step = &mut self.plan.steps[index];
        for other in others {
            if !waiting.contains(&other) {
                step.after.insert(other);
                step.retry_after.remove(&other);
                step.ready.insert(other);
                self.dependents[other].insert(index);
            } else if reason == Reason::LeadsClients && other != index {
                step.unready_targets.insert(other);
            }
        }
    }

    /// Notes which of `others`, to which clients are led, `index` does not wait for.
    fn cannot_wait(&mut self, index: usize, others: impl IntoIterator<Item = usize>) {
        let step = &mut self.plan.steps[index];
        let missed: Vec<usize> =
            others.into_iter().filter(|other| *other != index && !step.after.contains(other)).collect();
        step.unready_targets.extend(missed);
    }
}

/// What leads to what in a template: references, and what stands the other way round.
struct Links<'a> {
    stack: &'a Stack,
    step_of: &'a BTreeMap<String, usize>,
    /// Policies by the logical id of a role, permissions by that of what they are on.
    policies: BTreeMap<&'a str, Vec<&'a str>>,
    permissions: BTreeMap<&'a str, Vec<&'a str>>,
}

impl<'a> Links<'a> {
    fn new(stack: &'a Stack, step_of: &'a BTreeMap<String, usize>) -> Self {
        let mut policies: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
        let mut permissions: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
        for resource in stack.resources.values() {
            let into = match resource.kind.part() {
                Part::Policy => &mut policies,
                Part::Permission if resource.kind.within().is_some() => &mut permissions,
                _ => continue,
            };
            for on in &resource.hard {
                into.entry(on).or_default().push(&resource.logical_id);
            }
        }
        Self { stack, step_of, policies, permissions }
    }

    /// The steps of all that a resource leads to, through resources of parts that are `passed` only.
    fn steps(&self, id: &'a str, with_permissions: bool, passed: impl Fn(Part) -> bool) -> BTreeSet<usize> {
        let mut found = BTreeSet::new();
        let mut seen = BTreeSet::new();
        let mut ahead = vec![id];
        while let Some(at) = ahead.pop() {
            let Some(resource) = self.stack.resources.get(at).filter(|_| seen.insert(at)) else { continue };
            let part = resource.kind.part();
            if at != id {
                if !passed(part) {
                    continue;
                }
                found.extend(self.step_of.get(at));
            }
            ahead.extend(resource.hard.iter().chain(&resource.soft).map(String::as_str));
            let mut backwards =
                |links: &BTreeMap<&'a str, Vec<&'a str>>| ahead.extend(links.get(at).into_iter().flatten());
            match part {
                Part::Role => backwards(&self.policies),
                Part::Invoked if with_permissions => backwards(&self.permissions),
                _ => {}
            }
        }
        found
    }
}

/// Lets what goes wait for messages that were under way when the last change of what is served was made.
fn drain(edges: &mut Edges<'_>, affected: &Affected, drained: &BTreeMap<usize, u64>) {
    let moves = |index: &usize| {
        let step = &edges.plan.steps[*index];
        match (step.part(), step.action) {
            (Part::Entry | Part::Caller | Part::Invoked, Action::Update) => true,
            // That AWS has taken a permission does not mean that all of it knows.
            (Part::Permission, Action::Create) => step
                .kind()
                .zip(step.desired.as_ref())
                .is_some_and(|(kind, desired)| kind.permits_gateway(&desired.properties)),
            _ => affected.routes.contains(index) || affected.deleted_routes.contains(index),
        }
    };
    let since: BTreeSet<usize> = (0..edges.plan.steps.len()).filter(moves).collect();
    if since.is_empty() {
        return;
    }
    for (index, milliseconds) in drained.iter().filter(|(index, _)| !affected.deleted_routes.contains(index)) {
        edges.wait(*index, affected.deleted_routes.iter().copied(), Reason::Order);
        let drain = Drain { since: since.clone(), duration: Duration::from_millis(*milliseconds) };
        edges.plan.steps[*index].drain = Some(drain);
    }
}

/// What goes although messages may be under way to it, and for how many milliseconds at most.
fn drained(plan: &Plan) -> BTreeMap<usize, u64> {
    let doomed = |index: usize| plan.steps[index].action == Action::Delete;
    if !(0..plan.steps.len()).any(doomed) {
        return BTreeMap::new();
    }
    let mut reached = Reached::new(plan).reach();
    reached.retain(|index, _| doomed(*index));
    reached
}

/// A live resource of a plan.
struct Node<'a> {
    index: usize,
    kind: &'static dyn Kind,
    live: &'a Live,
    /// All it says, but for tags.
    text: String,
}

/// What the stages that there are lead to.
struct Reached<'a> {
    plan: &'a Plan,
    nodes: Vec<Node<'a>>,
    /// The APIs that have a stage which stays.
    apis: BTreeSet<&'a str>,
    /// Resources by their names.
    named: BTreeMap<&'a str, Vec<usize>>,
    /// By a resource's name what is used with it: what belongs to a function, the policies of a role.
    attached: BTreeMap<&'a str, Vec<usize>>,
}

impl<'a> Reached<'a> {
    fn new(plan: &'a Plan) -> Self {
        let stages: Vec<&Live> = plan
            .steps
            .iter()
            .filter(|step| step.part() == Part::Entry && step.action != Action::Delete)
            .filter_map(|step| step.live.as_ref())
            .collect();
        let text = |live: &Live| {
            let mut properties = live.properties.clone();
            properties.as_object_mut().map(|members| members.remove("Tags"));
            let plain = properties.to_string();
            let of_api = stages.iter().filter(|stage| stage.parent == live.parent);
            let filled: String = of_api.map(|stage| filled(&plain, &stage.properties)).collect();
            plain + &filled
        };
        let node = |(index, step): (usize, &'a Step)| {
            let live = step.live.as_ref()?;
            Some(Node { index, kind: kind(live.type_name)?, live, text: text(live) })
        };
        let nodes: Vec<Node<'a>> = plan.steps.iter().enumerate().filter_map(node).collect();
        let apis = stages.iter().filter_map(|stage| stage.parent.as_deref()).collect();
        let mut named: BTreeMap<&str, Vec<usize>> = BTreeMap::new();
        let mut attached: BTreeMap<&str, Vec<usize>> = BTreeMap::new();
        for (index, Node { kind, live, .. }) in nodes.iter().enumerate() {
            if kind.is_used_by_id() {
                named.entry(&live.physical_id).or_default().push(index);
            }
            for other in kind.used_with(live) {
                attached.entry(other).or_default().push(index);
            }
        }
        Self { plan, nodes, apis, named, attached }
    }

    fn reach(&self) -> BTreeMap<usize, u64> {
        let mut reached = BTreeMap::new();
        let mut starts: Vec<(usize, u64)> = (0..self.nodes.len())
            .filter(|node| self.nodes[*node].live.parent.as_deref().is_some_and(|api| self.apis.contains(api)))
            .filter_map(|node| Some((node, self.nodes[node].kind.message_timeout(self.nodes[node].live, self.plan)?)))
            .collect();
        // Whoever comes first to a resource brings the longest time.
        starts.sort_by_key(|(_, milliseconds)| std::cmp::Reverse(*milliseconds));
        for (start, milliseconds) in starts {
            let mut ahead = vec![start];
            while let Some(at) = ahead.pop() {
                let node = &self.nodes[at];
                if let Entry::Vacant(entry) = reached.entry(node.index) {
                    entry.insert(milliseconds);
                    ahead.extend(words(&node.text).filter_map(|word| self.named.get(word)).flatten());
                    ahead.extend(self.attached.get(node.live.physical_id.as_str()).into_iter().flatten());
                }
            }
        }
        reached
    }
}
