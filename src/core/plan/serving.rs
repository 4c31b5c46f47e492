//! What is being served waits for more.
//!
//! Where a stage exists, clients use the stack while it changes. What they are led to must be ready before they are led
//! there, and what they were led to before goes only when no message can be under way to it any more. A first
//! deployment serves nobody yet, and waits for none of this.
//!
//! Edges are only added, and never one that would close a circle: where the template's own order speaks against one, the
//! template wins, and the plan says what that interrupts (`Step::leads_ahead`).

use std::collections::BTreeSet;
use std::collections::btree_map::{BTreeMap, Entry};
use std::time::Duration;

use serde_json::{Value, json};

use super::{Action, Drain, Plan, Step, widening};
use crate::core::stack::Stack;
use crate::core::types::{
    Live, alias, authorizer, foreign_permission, function, inline_policy, integration, managed_policy, permission,
    role, route, route_response, stage, table, version,
};

/// How long API Gateway waits for an integration at most, in milliseconds. Nothing is written about authorizers of
/// WebSocket APIs; they are taken to be given no more.
/// <https://docs.aws.amazon.com/apigateway/latest/developerguide/apigateway-execution-service-websocket-limits-table.html>
const LONGEST: u64 = 29_000;

/// How long a function may take to start before its own timeout begins, in milliseconds.
/// <https://docs.aws.amazon.com/lambda/latest/dg/lambda-runtime-environment.html>
const INIT: u64 = 10_000;

/// Adds to a plan what it takes to change a stack that is in use. It must be in order otherwise.
pub(super) fn order(plan: &mut Plan, stack: &Stack, step_of: &BTreeMap<String, usize>) {
    if !plan.steps.iter().any(|step| step.type_name == stage::TYPE && step.live.is_some()) {
        return;
    }
    keep_on_leaving_roles(plan);
    needless(plan, stack, step_of);
    let drained = drained(plan);
    let mut edges = Edges::new(plan);
    let links = Links::new(stack, step_of);
    let made: Vec<usize> = (0..edges.plan.steps.len()).filter(|index| is_made(&edges.plan.steps[*index])).collect();
    for (id, index) in step_of {
        let step = &edges.plan.steps[*index];
        let with_permissions = match step.type_name {
            // What an update in place leads to, it leads to at once.
            function::TYPE | alias::TYPE if step.action == Action::Update => false,
            authorizer::TYPE if step.action == Action::Update => true,
            // What takes a right away waits for what gives it in another place, and for what is used in the place of what
            // may not be used any more.
            role::TYPE | inline_policy::TYPE | managed_policy::TYPE if !widening::narrowed(step).is_empty() => false,
            _ => continue,
        };
        let targets = links.steps(id, with_permissions, |type_name| !is_of_gateway(type_name));
        edges.wait(*index, targets.into_iter().filter(|step| made.contains(step)), true);
    }
    let following = following(edges.plan);
    let follows = |step: &Step, types: &[&str]| types.contains(&step.type_name) && following.contains(api_of(step));
    let routes: BTreeSet<usize> = made
        .iter()
        .copied()
        .filter(|index| follows(&edges.plan.steps[*index], &[route::TYPE, route_response::TYPE]))
        .collect();
    let stages: BTreeSet<usize> =
        made.iter().copied().filter(|index| edges.plan.steps[*index].type_name == stage::TYPE).collect();
    let moving: Vec<usize> =
        stages.iter().copied().filter(|index| edges.plan.steps[*index].action == Action::Update).collect();
    // A stage that follows its API serves a route as soon as it is made or changed; one that points to a deployment
    // moves when all that is new stands: whatever fails before has changed nothing of what it serves.
    for index in &routes {
        let others = made.iter().copied().filter(|other| !routes.contains(other) && !stages.contains(other));
        edges.wait(*index, others, false);
    }
    for index in &moving {
        edges.wait(*index, made.iter().copied().filter(|other| !stages.contains(other)), false);
    }
    for (id, index) in step_of.iter().filter(|(_, index)| routes.contains(index) || moving.contains(index)) {
        let targets = links.steps(id, true, |type_name| type_name != stage::TYPE);
        edges.cannot_wait(*index, targets.into_iter().filter(|step| made.contains(step)));
    }
    // There, a route that goes is gone at once, too: when others can take its messages.
    let leaving: Vec<usize> = (0..edges.plan.steps.len())
        .filter(|index| edges.plan.steps[*index].action == Action::Delete)
        .filter(|index| follows(&edges.plan.steps[*index], &[route::TYPE, route_response::TYPE]))
        .collect();
    for index in &leaving {
        edges.wait(*index, made.iter().copied(), false);
    }
    drain(&mut edges, &drained, &routes, &leaving);
}

/// Whether a message that API Gateway takes for this plan's stack may run what `function` names: a function, or
/// `FUNCTION:ALIAS`. `then`: after the plan is carried out, not before.
pub(super) fn is_invoked(plan: &Plan, function: &str, then: bool) -> bool {
    let of = |types: &'static [&'static str]| {
        plan.steps.iter().filter(|step| types.contains(&step.type_name)).filter_map(move |step| match then {
            true => Some(&step.want.as_ref()?.properties),
            false => Some(&step.live.as_ref()?.properties),
        })
    };
    let invokes = |uri: &str| {
        let invoked = uri.rsplit_once(":function:").map_or(uri, |(_, invoked)| invoked);
        invoked.split('/').next() == Some(function)
    };
    of(&[integration::TYPE, authorizer::TYPE])
        .filter_map(|properties| properties["IntegrationUri"].as_str().or(properties["AuthorizerUri"].as_str()))
        .any(|uri| invokes(uri) || of(&[stage::TYPE]).any(|stage| invokes(&filled(uri, stage))))
}

/// A text with a stage's variables in their places.
fn filled(text: &str, stage: &Value) -> String {
    let variables = stage["StageVariables"].as_object().into_iter().flatten();
    variables
        .filter_map(|(name, value)| Some((name, value.as_str()?)))
        .fold(text.to_owned(), |text, (name, value)| text.replace(&format!("${{stageVariables.{name}}}"), value))
}

/// Whether API Gateway is whom a permission is for.
pub(super) fn is_for_gateway(permission: &Value) -> bool {
    let principal = permission["Principal"].as_str().unwrap_or_default();
    principal == "*" || principal.starts_with("apigateway.")
}

/// Whether every change of an API is served at once, because a stage of it has `AutoDeploy`.
pub(super) fn is_followed(plan: &Plan, step: &Step) -> bool {
    following(plan).contains(api_of(step))
}

fn is_made(step: &Step) -> bool {
    matches!(step.action, Action::Create | Action::Update | Action::Replace)
}

fn is_of_gateway(type_name: &str) -> bool {
    type_name.starts_with("AWS::ApiGatewayV2::")
}

/// The id of the API that a part of it belongs to.
fn api_of(step: &Step) -> &str {
    let properties = step.want.as_ref().map(|want| &want.properties);
    let properties = properties.or(step.live.as_ref().map(|live| &live.properties));
    properties.and_then(|properties| properties["ApiId"].as_str()).unwrap_or_default()
}

/// The APIs that have a stage with `AutoDeploy`: whatever changes in them is served at once.
fn following(plan: &Plan) -> BTreeSet<String> {
    let stages = plan.steps.iter().filter(|step| step.type_name == stage::TYPE).filter_map(|step| step.live.as_ref());
    stages.filter(|live| live.properties["AutoDeploy"] == true).filter_map(|live| live.parent.clone()).collect()
}

/// A policy that moves with its functions from a role that goes to another one stays on the old role, which takes it along
/// when it goes: until then functions still run as that role.
fn keep_on_leaving_roles(plan: &mut Plan) {
    let going: BTreeSet<String> = plan
        .steps
        .iter()
        .filter(|step| step.type_name == role::TYPE && step.action == Action::Delete)
        .filter_map(|step| step.physical_id.clone())
        .collect();
    for step in &mut plan.steps {
        let is_policy = [inline_policy::TYPE, managed_policy::TYPE].contains(&step.type_name);
        let (Some(live), Some(want)) = (&step.live, &mut step.want) else { continue };
        if is_policy && step.action == Action::Update {
            let roles = |of: &Value| -> BTreeSet<String> { texts(&of["Roles"]).map(str::to_owned).collect() };
            let staying = roles(&live.properties).intersection(&going).cloned().collect::<BTreeSet<_>>();
            want.properties["Roles"] = json!(&roles(&want.properties) | &staying);
        }
    }
}

/// Takes out the edges to a stage or an authorizer that exists where only its id is needed, which is known: a permission
/// may name the stage that has to wait for it. Those of policies to a role that exists, too: it has to wait for a policy
/// that gives it what it loses.
fn needless(plan: &mut Plan, stack: &Stack, step_of: &BTreeMap<String, usize>) {
    for (id, resource) in &stack.resources {
        let Some(&index) = step_of.get(id) else { continue };
        for (name, target) in resource.hard.iter().filter_map(|name| Some((name, step_of.get(name)?))) {
            let (step, of) = (&plan.steps[index], &plan.steps[*target]);
            let by_id = [stage::TYPE, authorizer::TYPE].contains(&of.type_name) && resource.minted.contains(name);
            let by_name =
                of.type_name == role::TYPE && [inline_policy::TYPE, managed_policy::TYPE].contains(&step.type_name);
            if (by_id || by_name) && of.action == Action::Update {
                plan.steps[index].after.remove(target);
            }
        }
    }
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

    /// Lets `index` wait until `others` are ready, but for those that wait for it. `told`: clients are led to them.
    fn wait(&mut self, index: usize, others: impl IntoIterator<Item = usize>, told: bool) {
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
                step.if_refused.remove(&other);
                step.ready.insert(other);
                self.dependents[other].insert(index);
            } else if told && other != index {
                step.leads_ahead.insert(other);
            }
        }
    }

    /// Notes which of `others`, to which clients are led, `index` does not wait for.
    fn cannot_wait(&mut self, index: usize, others: impl Iterator<Item = usize>) {
        let step = &mut self.plan.steps[index];
        let missed: Vec<usize> = others.filter(|other| *other != index && !step.after.contains(other)).collect();
        step.leads_ahead.extend(missed);
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
            let into = match resource.kind.type_name() {
                inline_policy::TYPE | managed_policy::TYPE => &mut policies,
                permission::TYPE => &mut permissions,
                _ => continue,
            };
            for on in &resource.hard {
                into.entry(on).or_default().push(&resource.logical_id);
            }
        }
        Self { stack, step_of, policies, permissions }
    }

    /// The steps of all that a resource leads to, through resources of types that are `passed` only.
    fn steps(&self, id: &'a str, with_permissions: bool, passed: impl Fn(&str) -> bool) -> BTreeSet<usize> {
        let mut found = BTreeSet::new();
        let mut seen = BTreeSet::new();
        let mut ahead = vec![id];
        while let Some(at) = ahead.pop() {
            let Some(resource) = self.stack.resources.get(at).filter(|_| seen.insert(at)) else { continue };
            let type_name = resource.kind.type_name();
            if at != id {
                if !passed(type_name) {
                    continue;
                }
                found.extend(self.step_of.get(at));
            }
            ahead.extend(resource.hard.iter().chain(&resource.soft).map(String::as_str));
            let mut backwards =
                |links: &BTreeMap<&'a str, Vec<&'a str>>| ahead.extend(links.get(at).into_iter().flatten());
            match type_name {
                role::TYPE => backwards(&self.policies),
                function::TYPE | alias::TYPE if with_permissions => backwards(&self.permissions),
                _ => {}
            }
        }
        found
    }
}

/// Lets what goes wait for messages that were under way when the last change of what is served was made.
fn drain(edges: &mut Edges<'_>, drained: &BTreeMap<usize, u64>, routes: &BTreeSet<usize>, leaving: &[usize]) {
    // What is in use goes when all that is new stands, whether messages move or not: it may be what was used in its place.
    let made: Vec<usize> = (0..edges.plan.steps.len()).filter(|index| is_made(&edges.plan.steps[*index])).collect();
    for index in drained.keys() {
        edges.wait(*index, made.iter().copied(), false);
    }
    let moves = |index: &usize| {
        let step = &edges.plan.steps[*index];
        match (step.type_name, step.action) {
            (stage::TYPE | function::TYPE | alias::TYPE | authorizer::TYPE, Action::Update) => true,
            // That AWS has taken a permission does not mean that all of it knows.
            (permission::TYPE | foreign_permission::TYPE, Action::Create) => {
                step.want.as_ref().is_some_and(|want| is_for_gateway(&want.properties))
            }
            _ => routes.contains(index) || leaving.contains(index),
        }
    };
    let since: BTreeSet<usize> = (0..edges.plan.steps.len()).filter(moves).collect();
    if since.is_empty() {
        return;
    }
    for (index, milliseconds) in drained.iter().filter(|(index, _)| !leaving.contains(index)) {
        edges.wait(*index, leaving.iter().copied(), false);
        let drain = Drain { since: since.clone(), lasts: Duration::from_millis(*milliseconds) };
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
    live: &'a Live,
    /// All it says, but for tags.
    text: String,
}

/// What the stages that there are lead to.
struct Reached<'a> {
    nodes: Vec<Node<'a>>,
    /// The APIs that have a stage which stays.
    apis: BTreeSet<&'a str>,
    /// Resources by their names.
    named: BTreeMap<&'a str, Vec<usize>>,
    /// By a function's name what belongs to it, by a role's the policies that are given to it from their side.
    attached: BTreeMap<&'a str, Vec<usize>>,
}

impl<'a> Reached<'a> {
    fn new(plan: &'a Plan) -> Self {
        let lives =
            || plan.steps.iter().enumerate().filter_map(|(index, step)| Some((index, step, step.live.as_ref()?)));
        let stages: Vec<&Live> = lives()
            .filter(|(_, step, _)| step.type_name == stage::TYPE && step.action != Action::Delete)
            .map(|(_, _, live)| live)
            .collect();
        let text = |live: &Live| {
            let mut properties = live.properties.clone();
            properties.as_object_mut().map(|members| members.remove("Tags"));
            let plain = properties.to_string();
            let of_api = stages.iter().filter(|stage| stage.parent == live.parent);
            let filled: String = of_api.map(|stage| filled(&plain, &stage.properties)).collect();
            plain + &filled
        };
        let nodes: Vec<Node<'a>> = lives().map(|(index, _, live)| Node { index, live, text: text(live) }).collect();
        let apis = stages.iter().filter_map(|stage| stage.parent.as_deref()).collect();
        let mut named: BTreeMap<&str, Vec<usize>> = BTreeMap::new();
        let mut attached: BTreeMap<&str, Vec<usize>> = BTreeMap::new();
        for (node, live) in nodes.iter().map(|node| node.live).enumerate() {
            match live.type_name {
                function::TYPE | role::TYPE | managed_policy::TYPE | table::TYPE => {
                    named.entry(&live.physical_id).or_default().push(node);
                }
                permission::TYPE if !is_for_gateway(&live.properties) => {}
                version::TYPE | alias::TYPE | permission::TYPE => {
                    attached.entry(live.parent.as_deref().unwrap_or_default()).or_default().push(node);
                }
                _ => {}
            }
            if [inline_policy::TYPE, managed_policy::TYPE].contains(&live.type_name) {
                for role in texts(&live.properties["Roles"]) {
                    attached.entry(role).or_default().push(node);
                }
            }
        }
        Self { nodes, apis, named, attached }
    }

    fn reach(&self) -> BTreeMap<usize, u64> {
        let mut reached = BTreeMap::new();
        let mut starts: Vec<(usize, u64)> = (0..self.nodes.len())
            .filter(|node| self.nodes[*node].live.parent.as_deref().is_some_and(|api| self.apis.contains(api)))
            .filter_map(|node| Some((node, self.patience(self.nodes[node].live)?)))
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

    /// How long a message may take through an integration or an authorizer.
    fn patience(&self, live: &Live) -> Option<u64> {
        match live.type_name {
            integration::TYPE => {
                // A client that connects is judged first.
                let judges = self.nodes.iter().filter(|node| node.live.type_name == authorizer::TYPE);
                let judges = judges.filter(|node| node.live.parent == live.parent);
                let judged = judges.filter_map(|node| self.patience(node.live)).max().unwrap_or(0);
                let own = live.properties["TimeoutInMillis"].as_u64().unwrap_or(LONGEST);
                Some((own + judged).min(LONGEST))
            }
            authorizer::TYPE => {
                let uri = live.properties["AuthorizerUri"].as_str().unwrap_or_default();
                let functions = self.nodes.iter().filter(|node| node.live.type_name == function::TYPE);
                let judge = functions.filter(|node| mentions(uri, &node.live.physical_id)).map(|node| node.live);
                let timeout = judge.filter_map(|judge| judge.properties["Timeout"].as_u64()).max();
                Some(timeout.map_or(LONGEST, |seconds| (seconds * 1000 + INIT).min(LONGEST)))
            }
            // API Gateway asks for it while it serves.
            foreign_permission::TYPE if is_for_gateway(&live.properties) => Some(LONGEST),
            _ => None,
        }
    }
}

/// Whether a text has this name in it, whole.
fn mentions(text: &str, name: &str) -> bool {
    words(text).any(|word| word == name)
}

/// The names that a text may have in it: an ARN's parts, a URI's.
fn words(text: &str) -> impl Iterator<Item = &str> {
    text.split(|c: char| !c.is_ascii_alphanumeric() && !"-_.".contains(c)).filter(|word| !word.is_empty())
}

fn texts(list: &Value) -> impl Iterator<Item = &str> {
    list.as_array().into_iter().flatten().filter_map(Value::as_str)
}
