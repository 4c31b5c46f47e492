//! Warnings: what deploys, but will cause problems at run time. Each comes from a named rule.
//!
//! A rule warns only where it is certain, because a false alarm costs more than a missing warning. So anything with a
//! problem, or that depends on it, is skipped, and a rule about something *missing* is silent while anything unknown
//! could still be it.

mod assumed;
mod declared;
mod functions;
mod gateway;
mod invocation;
mod names;
mod permissions;
mod refused;

use std::collections::{BTreeMap, HashSet};

use serde_json::Value;
use time::Date;

use crate::core::stack::{self, Resource, Stack, Survey};
use crate::core::template::{self, Template};
use crate::core::types;
use crate::core::words::{Path, Problem, Step, Token, nearest};
use assumed::Assumed;

/// The prefix of SAM's resource types.
const SAM: &str = "AWS::Serverless::";

/// A rule.
struct Rule {
    name: &'static str,
    /// What happens if it is violated.
    reason: &'static str,
    check: fn(&LintContext<'_>) -> Vec<Problem>,
}

/// All rules.
const RULES: &[Rule] = &[
    Rule {
        name: "unused-integration",
        reason: "no message reaches an integration without a route",
        check: gateway::unused_integration,
    },
    Rule {
        name: "missing-permission",
        reason: "API Gateway may not call the function, and clients get \"Internal server error\"",
        check: invocation::missing_permission,
    },
    Rule {
        name: "permission-without-source",
        reason: "any API in any AWS account can make its gateway call the function (the confused deputy)",
        check: invocation::without_source,
    },
    Rule {
        name: "unmatched-source-arn",
        reason: "the permission has no effect: it matches no route",
        check: invocation::unmatched_source,
    },
    Rule {
        name: "deployment-before-routes",
        reason: "CloudFormation may deploy the API before it has its routes, and then they are not served",
        check: gateway::deployment_before_routes,
    },
    Rule {
        name: "unknown-event",
        reason: "API Gateway has no event of this name, so the route is never selected",
        check: gateway::unknown_event,
    },
    Rule {
        name: "malformed-uri",
        reason: "API Gateway finds no function at a malformed IntegrationUri",
        check: gateway::uri_form,
    },
    Rule { name: "stage-without-deployment", reason: "the stage serves nothing", check: gateway::undeployed },
    Rule { name: "throttle-zero", reason: "every message is refused", check: gateway::throttle },
    Rule {
        name: "one-way-route",
        reason: "clients get no answer unless the route selects a response and has one",
        check: gateway::one_way,
    },
    Rule {
        name: "integration-method",
        reason: "Lambda's API takes invocations as POST alone, and clients get \"Internal server error\"",
        check: gateway::method,
    },
    Rule {
        name: "logging-without-role",
        reason: "API Gateway refuses stages that log in an account that has no role for it (`wschat plan` asks)",
        check: refused::logging,
    },
    Rule {
        name: "ignored-authorizer",
        reason: "only routes with AuthorizationType CUSTOM call the authorizer; this one is open to everyone",
        check: refused::ignored_authorizer,
    },
    Rule {
        name: "refusing-mock",
        reason: "a mock integration of $connect that gives no status answers 500, so no client can connect",
        check: refused::mock_on_connect,
    },
    Rule {
        name: "unknown-managed-policy",
        reason: "IAM attaches no policy that does not exist, and refuses the role",
        check: refused::unknown_policy,
    },
    Rule {
        name: "gateway-timeout",
        reason: "API Gateway gives up after 29 s, while the function keeps running",
        check: functions::timeout,
    },
    Rule {
        name: "deprecated-runtime",
        reason: "a deprecated runtime gets no security patches, and Lambda will refuse to create and update functions with it",
        check: functions::runtime,
    },
    Rule {
        name: "inline-handler",
        reason: "Lambda does not find the handler, and every call fails",
        check: functions::inline_handler,
    },
    Rule {
        name: "untrusted-role",
        reason: "Lambda cannot assume the role, and refuses to create the function",
        check: permissions::untrusted,
    },
    Rule {
        name: "table-without-grant",
        reason: "the function's calls to DynamoDB are denied",
        check: permissions::table_without_grant,
    },
    Rule {
        name: "source-without-grant",
        reason: "Lambda refuses an event source mapping whose function's role may not read the source",
        check: permissions::source_without_grant,
    },
    Rule {
        name: "network-without-grant",
        reason: "Lambda refuses to create a function in a VPC whose role may not make network interfaces",
        check: permissions::network_without_grant,
    },
    Rule { name: "unused-grant", reason: "an unused permission is only a risk", check: permissions::unused_grant },
    Rule {
        name: "unmatched-connection-grant",
        reason: "the function cannot post to the API's connections",
        check: permissions::unmatched_connection_grant,
    },
    Rule {
        name: "visible-secret",
        reason: "a parameter without NoEcho is shown to everyone who can read the stack",
        check: declared::visible_secret,
    },
    Rule {
        name: "left-out",
        reason: "what another tool brings for its own uploads, or for the whole account, is not made",
        check: declared::left_out,
    },
    Rule {
        name: "unquoted-boolean",
        reason: "without quotes, YAML reads yes, no, on and off as true and false",
        check: declared::unquoted_answer,
    },
    Rule {
        name: "unsubstituted-name",
        reason: "without !Sub, ${NAME} is not replaced",
        check: declared::unsubstituted,
    },
    Rule {
        name: "unused-parameter",
        reason: "the value of an unused parameter has no effect",
        check: declared::unused_parameter,
    },
    Rule {
        name: "unchecked-pattern",
        reason: "CloudFormation refuses values that wschat takes",
        check: declared::unchecked_pattern,
    },
    Rule { name: "unused-mapping", reason: "an unused mapping has no effect", check: declared::unused_mapping },
    Rule { name: "unused-condition", reason: "an unused condition has no effect", check: declared::unused_condition },
];

/// All that is wrong with a template (what `template::parse` gave) and all that is doubtful on the day `today` (in
/// UTC), in the order of its text. Nobody is asked: what hangs on the account, the region and parameters that are not
/// among `given` is left out. `more` is what the caller finds wrong with the stack.
pub fn inspect(
    parsed: Result<Template, Vec<Problem>>,
    given: &BTreeMap<String, String>,
    today: Date,
    more: impl FnOnce(&Stack) -> Vec<Problem>,
) -> Vec<Problem> {
    let mut template = match parsed {
        Ok(template) => template,
        Err(problems) => return problems,
    };
    let (assumed, scope) = Assumed::make(&mut template, given);
    let survey = stack::survey(template, given, &scope);
    let warnings = check(&survey, today);
    let Survey { template, stack, problems, .. } = survey;
    let more = more(&stack);
    let mut problems = template.report(problems.into_iter().chain(more).chain(warnings));
    problems.retain(|problem| !assumed.explain(&template, problem));
    problems.iter_mut().for_each(|problem| stack.secrets.mask_problem(problem));
    problems
}

/// The warnings of all rules for a template whose SAM resources are expanded; paths are those of the expanded template.
fn check(survey: &Survey, today: Date) -> Vec<Problem> {
    let stack = with_stages_named(&survey.stack);
    let context = LintContext::new(&survey.template, &stack, &survey.problems, today);
    let found = |rule: &Rule| {
        let name = rule.name;
        (rule.check)(&context).into_iter().map(move |problem| Problem { rule: Some(name), ..problem })
    };
    RULES.iter().flat_map(found).collect()
}

/// The stack with stage names substituted for references to stages: users write `${Api}/${Stage}/*` into ARNs.
fn with_stages_named(stack: &Stack) -> Stack {
    let name = |token: &Token| {
        let stage = stack.resources.get(&token.logical_id).filter(|_| token.attribute == "Ref")?;
        let is_stage = stage.kind.type_name() == types::stage::TYPE;
        stage.properties["StageName"].as_str().filter(|_| is_stage).map(str::to_owned)
    };
    let mut named = stack.clone();
    for resource in named.resources.values_mut() {
        resource.properties = Token::substitute(&resource.properties, &name);
    }
    named
}

/// The rules and their reasons, one a line.
pub fn rules() -> impl Iterator<Item = (&'static str, &'static str)> {
    RULES.iter().map(|rule| (rule.name, rule.reason))
}

/// The input of rules.
struct LintContext<'a> {
    template: &'a Template,
    stack: &'a Stack,
    /// The problems in them.
    problems: &'a [Problem],
    by_type: BTreeMap<&'a str, Vec<&'a Resource>>,
    /// The logical ids of resources of which neither they nor what the user wrote for them has problems.
    sound: HashSet<&'a str>,
    today: Date,
}

impl<'a> LintContext<'a> {
    fn new(template: &'a Template, stack: &'a Stack, problems: &'a [Problem], today: Date) -> Self {
        let member = |problem: &Problem| Path(problem.path.0.iter().take(2).cloned().collect());
        let troubled: HashSet<Path> = problems.iter().map(member).collect();
        let is_sound = |resource: &&Resource| {
            troubled.is_empty()
                || !troubled.contains(&resource.path) && !troubled.contains(&template.written(&resource.path))
        };
        let sound = stack.resources.values().filter(is_sound).map(|resource| resource.logical_id.as_str()).collect();
        let mut by_type: BTreeMap<&str, Vec<&Resource>> = BTreeMap::new();
        for resource in stack.resources.values() {
            by_type.entry(resource.kind.type_name()).or_default().push(resource);
        }
        Self { template, stack, problems, by_type, sound, today }
    }

    /// The resources of a type without problems.
    fn sound(&self, type_name: &str) -> impl Iterator<Item = &'a Resource> {
        self.of(type_name).filter(|resource| self.is_sound(resource))
    }

    /// The resources of a type.
    fn of(&self, type_name: &str) -> impl Iterator<Item = &'a Resource> {
        self.by_type.get(type_name).into_iter().flatten().copied()
    }

    /// The resource of this type and logical id, if it has no problems.
    fn get(&self, type_name: &str, logical_id: &str) -> Option<&'a Resource> {
        let resource = self.stack.resources.get(logical_id)?;
        (resource.kind.type_name() == type_name && self.is_sound(resource)).then_some(resource)
    }

    /// Whether neither a resource nor what the user wrote for it has problems.
    fn is_sound(&self, resource: &Resource) -> bool {
        self.sound.contains(resource.logical_id.as_str())
    }

    /// Whether all declared resources of a type are known and without problems: then a rule can tell that something is
    /// missing.
    fn knows_all(&self, type_name: &str) -> bool {
        let declared = self.template.tree.get("Resources").and_then(Value::as_object);
        let types: Vec<&str> = types::kinds().iter().map(|kind| kind.type_name()).collect();
        let sure = declared.into_iter().flatten().all(|(logical_id, declared)| {
            let Some(given) = declared["Type"].as_str() else { return false };
            // A misspelt type most likely means the nearest one.
            let meant =
                if types.contains(&given) || given.starts_with(SAM) { Some(given) } else { nearest(given, &types) };
            // A permission may have become another type: one on a foreign function.
            let found = || self.stack.resources.get(logical_id).is_some_and(|resource| self.is_sound(resource));
            meant != Some(type_name) || found()
        });
        sure && self.of(type_name).all(|resource| self.is_sound(resource))
            // SAM creates functions and roles; if it could not, it might have created any.
            && self.problems.iter().all(|problem| !self.is_of_sam(&problem.path))
    }

    /// Whether `path` leads into a SAM resource.
    fn is_of_sam(&self, path: &Path) -> bool {
        let [Step::Key(section), Step::Key(logical_id), ..] = path.0.as_slice() else { return false };
        let type_name = &self.template.tree[section.as_str()][logical_id.as_str()]["Type"];
        section == "Resources"
            && type_name.as_str().is_some_and(|name| name.starts_with(SAM))
            && !self.template.resources.contains_key(logical_id)
    }

    /// A property of a resource as the user gave it, and its path; `None` if it has a problem.
    fn given(&self, resource: &'a Resource, keys: &[&str]) -> Option<(&'a Value, Path)> {
        let path = keys.iter().fold(resource.path.key("Properties"), |path, key| path.key(key));
        let declared = self.template.resources.get(&resource.logical_id)?;
        let (first, rest) = keys.split_first()?;
        rest.iter().try_fold(declared.properties.get(*first)?, |value, key| value.get(*key))?;
        let value = keys.iter().try_fold(&resource.properties, |value, key| value.get(*key))?;
        let wrong = |problem: &Problem| {
            path.is_above(&problem.path)
                || problem.path.0.len() > resource.path.0.len() + 1 && problem.path.is_above(&path)
        };
        (!self.problems.iter().any(wrong)).then_some((value, path))
    }

    /// The properties of a resource before they were evaluated.
    fn declared(&self, logical_id: &str) -> Option<&'a template::Resource> {
        self.template.resources.get(logical_id)
    }
}

/// A property as text; empty if there is none.
fn text<'a>(resource: &'a Resource, property: &str) -> &'a str {
    resource.properties.get(property).and_then(Value::as_str).unwrap_or_default()
}

/// The logical id of the resource that a property refers to, if AWS mints the value.
fn target(resource: &Resource, property: &str) -> Option<String> {
    match Token::find(text(resource, property)).as_slice() {
        [token] => Some(token.logical_id.clone()),
        _ => None,
    }
}

/// A warning about a resource as a whole.
fn about(resource: &Resource, what: impl Into<String>) -> Problem {
    Problem::of_key(resource.path.clone(), what)
}

/// `A`, `A and B`, `A, B and C`.
fn list(names: &[&str]) -> String {
    match names {
        [] => String::new(),
        [one] => (*one).to_owned(),
        [most @ .., last] => format!("{} and {last}", most.join(", ")),
    }
}

#[cfg(test)]
mod tests;
