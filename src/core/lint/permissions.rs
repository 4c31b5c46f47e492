//! Rules about the permissions of roles.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

use serde_json::Value;

use super::names::names_in;
use super::{LintContext, list, target, text};
use crate::core::iam::evaluate::glob;
use crate::core::iam::{document, managed};
use crate::core::stack::Resource;
use crate::core::types::{api, event_source_mapping, function, inline_policy, role, stage, table};
use crate::core::words::{Path, Problem, Token};

/// The service that runs functions.
const LAMBDA: &str = "lambda.amazonaws.com";

/// A statement of a role's policies, as written and as evaluated.
struct Statement<'a> {
    declared: &'a Value,
    evaluated: &'a Value,
    path: Path,
}

/// The texts of a statement's element, one or several.
fn texts<'v>(statement: &'v Value, element: &str) -> Vec<&'v str> {
    document::one_or_more(&statement[element])
}

fn allows(statement: &Value) -> bool {
    statement["Effect"] == "Allow"
}

/// `SERVICE:RESOURCE` of an ARN, or a pattern of it.
fn after_account(arn: &str) -> String {
    let arn = match arn.split_once("${") {
        Some((before, _)) => format!("{before}*"),
        None => arn.to_owned(),
    };
    let arn = Token::substitute_text(&arn, &|token| {
        (token.attribute == "ApiId").then(|| Token::text(&token.logical_id, "Ref"))
    });
    match arn.splitn(6, ':').collect::<Vec<_>>().as_slice() {
        [_, _, service, _, _, resource] => format!("{service}:{resource}"),
        // `*`, and wildcards that span several parts.
        _ => "*".to_owned(),
    }
}

fn one_or_more(value: &Value) -> Vec<&Value> {
    match value {
        Value::Array(items) => items.iter().collect(),
        Value::Null => Vec::new(),
        one => vec![one],
    }
}

/// Inline policies that stand apart from roles, by the names of the roles that they are given to.
type Apart<'a> = HashMap<&'a str, Vec<&'a Resource>>;

fn apart<'a>(context: &LintContext<'a>) -> Apart<'a> {
    let mut apart = Apart::new();
    for policy in context.of(inline_policy::TYPE) {
        let roles: BTreeSet<&str> =
            one_or_more(&policy.properties["Roles"]).into_iter().filter_map(Value::as_str).collect();
        for role in roles {
            apart.entry(role).or_default().push(policy);
        }
    }
    apart
}

/// The policies of a role that stand apart from it.
fn apart_from<'a>(apart: &Apart<'a>, role: &Resource) -> impl Iterator<Item = &'a Resource> {
    role.name.as_deref().and_then(|name| apart.get(name)).cloned().unwrap_or_default().into_iter()
}

/// The statements of a role's inline policies, and of those that the template attaches to it.
fn statements<'a>(context: &LintContext<'a>, apart: &Apart<'a>, role: &'a Resource) -> Vec<Statement<'a>> {
    let mut found = Vec::new();
    let mut add = |declared: Option<&'a Value>, evaluated: &'a Value, path: Path| {
        let Some(declared) = declared.and_then(|document| document.get("Statement")) else { return };
        let path = path.key("Statement");
        let pairs = one_or_more(declared).into_iter().zip(one_or_more(&evaluated["Statement"]));
        for (index, (one, evaluated)) in pairs.enumerate() {
            let path = if declared.is_array() { path.index(index) } else { path.clone() };
            found.push(Statement { declared: one, evaluated, path });
        }
    };
    if let Some(Value::Array(policies)) =
        context.declared(&role.logical_id).and_then(|role| role.properties.get("Policies"))
    {
        for (index, declared) in policies.iter().enumerate() {
            let evaluated = role.properties["Policies"].as_array().into_iter().flatten();
            let path = role.path.key("Properties").key("Policies").index(index).key("PolicyDocument");
            // Canonical policies are sorted by name, and names are usually literal.
            if let Some(evaluated) = evaluated.into_iter().find(|one| one["PolicyName"] == declared["PolicyName"]) {
                add(declared.get("PolicyDocument"), &evaluated["PolicyDocument"], path);
            }
        }
    }
    for policy in apart_from(apart, role) {
        let declared = context.declared(&policy.logical_id).and_then(|policy| policy.properties.get("PolicyDocument"));
        let path = policy.path.key("Properties").key("PolicyDocument");
        add(declared, &policy.properties["PolicyDocument"], path);
    }
    found
}

/// The same as far as its value is known, whatever the policies are called.
fn granted<'a>(apart: &Apart<'a>, role: &'a Resource) -> Vec<&'a Value> {
    let own = role.properties["Policies"].as_array().into_iter().flatten();
    let apart = apart_from(apart, role).map(|policy| &policy.properties);
    own.chain(apart).flat_map(|policy| one_or_more(&policy["PolicyDocument"]["Statement"])).collect()
}

pub fn untrusted(context: &LintContext<'_>) -> Vec<Problem> {
    let mut problems: Vec<Problem> = Vec::new();
    let roles = roles(context);
    let mut seen = HashSet::new();
    for function in context.of(function::TYPE) {
        let Some(role) = roles.get(role_name(function)).copied() else { continue };
        if !seen.insert(&role.logical_id) {
            continue;
        }
        let trust = &role.properties["AssumeRolePolicyDocument"];
        let turned = |statement: &&Value| ["NotAction", "NotPrincipal"].iter().any(|not| statement.get(not).is_some());
        let path = role.path.key("Properties").key("AssumeRolePolicyDocument");
        if document::trusts_service(&trust.to_string(), LAMBDA) || one_or_more(&trust["Statement"]).iter().any(turned) {
            continue;
        }
        let what = format!("{} is the role of {}, and Lambda may not assume it", role.logical_id, function.logical_id);
        problems.push(Problem::of_key(path, what).help(format!("allow the Service {LAMBDA} sts:AssumeRole")));
    }
    problems
}

/// The template's roles by their names.
fn roles<'a>(context: &LintContext<'a>) -> BTreeMap<&'a str, &'a Resource> {
    context.sound(role::TYPE).filter_map(|role| Some((role.name.as_deref()?, role))).collect()
}

/// The name of a function's role.
fn role_name(function: &Resource) -> &str {
    text(function, "Role").rsplit('/').next().unwrap_or_default()
}

/// The functions whose role is in the template, with that role. Empty if roles may have policies of unknown content.
fn with_roles<'a>(context: &LintContext<'a>) -> Vec<(&'a Resource, &'a Resource)> {
    let known = [role::TYPE, inline_policy::TYPE];
    let unknown = |type_name: &str| type_name.starts_with("AWS::IAM::") && !known.contains(&type_name);
    if context.template.resources.values().any(|one| unknown(&one.type_name)) || !context.knows_all(inline_policy::TYPE)
    {
        return Vec::new();
    }
    let roles = roles(context);
    let role = |function| roles.get(role_name(function)).copied();
    context.of(function::TYPE).filter_map(|function| Some((function, role(function)?))).collect()
}

/// Whether a role may allow any action of a service on a resource, `SERVICE:RESOURCE`.
fn may_grant(apart: &Apart<'_>, role: &Resource, service: &str, resource: &str) -> bool {
    let grants = |statement: &Value| {
        let speaks = |action: &&str| glob(action.split(':').next().unwrap_or_default(), service);
        // A table's indexes and stream are below it.
        let fits = |arn: &&str| {
            let pattern = after_account(arn);
            glob(&pattern, resource) || pattern.starts_with(&format!("{resource}/"))
        };
        allows(statement)
            && (statement.get("NotAction").is_some() || texts(statement, "Action").iter().any(speaks))
            && (statement.get("NotResource").is_some() || texts(statement, "Resource").iter().any(fits))
    };
    let managed = |arn: &str| match managed::document(arn).map(serde_json::from_str::<Value>) {
        Some(Ok(document)) => one_or_more(&document["Statement"]).into_iter().any(grants),
        _ => true,
    };
    granted(apart, role).into_iter().any(grants)
        || texts(&role.properties, "ManagedPolicyArns").into_iter().any(managed)
}

/// Whether a role may allow an action, on whatever resource.
fn may_allow(apart: &Apart<'_>, role: &Resource, action: &str) -> bool {
    let action = action.to_ascii_lowercase();
    let grants = |statement: &Value| {
        let fits = |pattern: &&str| glob(&pattern.to_ascii_lowercase(), &action);
        allows(statement) && (statement.get("NotAction").is_some() || texts(statement, "Action").iter().any(fits))
    };
    let managed = |arn: &str| match managed::document(arn).map(serde_json::from_str::<Value>) {
        Some(Ok(document)) => one_or_more(&document["Statement"]).into_iter().any(grants),
        _ => true,
    };
    granted(apart, role).into_iter().any(grants)
        || texts(&role.properties, "ManagedPolicyArns").into_iter().any(managed)
}

/// What Lambda reads sources with, as its function: the service of a source's ARN, and an action that it cannot do without. (Lambda
/// developer guide, "Execution role permissions" of each source.)
const READS: &[(&str, &str)] =
    &[("sqs", "sqs:ReceiveMessage"), ("dynamodb", "dynamodb:GetRecords"), ("kinesis", "kinesis:GetRecords")];

pub fn source_without_grant(context: &LintContext<'_>) -> Vec<Problem> {
    let mut problems = Vec::new();
    let (apart, with_roles) = (apart(context), with_roles(context));
    for mapping in context.sound(event_source_mapping::TYPE) {
        let (name, _) = function::name_and_qualifier(text(mapping, "FunctionName"));
        let of = with_roles.iter().find(|(function, _)| function.name.as_deref() == Some(name));
        let source = text(mapping, "EventSourceArn");
        let stream = Token::sole(source).filter(|token| token.attribute == "StreamArn").map(|_| "dynamodb");
        let service = stream.or_else(|| source.split(':').nth(2)).unwrap_or_default();
        let (Some((function, role)), Some((_, action))) = (of, READS.iter().find(|(known, _)| *known == service))
        else {
            continue;
        };
        if may_allow(&apart, role, action) {
            continue;
        }
        let what = format!("the role of {} ({}) grants no {action}", function.logical_id, role.logical_id);
        let path = mapping.path.key("Properties").key("EventSourceArn");
        problems
            .push(Problem::of_key(path, what).help(format!("allow {action} and the others that Lambda reads it with")));
    }
    problems
}

/// The first call with which Lambda puts a function into a network, as its role (Lambda developer guide, "Giving Lambda functions access
/// to resources in an Amazon VPC").
const INTERFACE: &str = "ec2:CreateNetworkInterface";

pub fn network_without_grant(context: &LintContext<'_>) -> Vec<Problem> {
    let mut problems = Vec::new();
    let apart = apart(context);
    for (function, role) in with_roles(context) {
        let has_subnets = function.properties["VpcConfig"]["SubnetIds"].as_array().is_some_and(|ids| !ids.is_empty());
        if !has_subnets || may_allow(&apart, role, INTERFACE) {
            continue;
        }
        let what = format!("the role of {} ({}) grants no {INTERFACE}", function.logical_id, role.logical_id);
        let help = "add the managed policy AWSLambdaVPCAccessExecutionRole to it";
        problems.push(Problem::of_key(function.path.key("Properties").key("VpcConfig"), what).help(help));
    }
    problems
}

/// The tables that a function's environment refers to, with the variable's path.
fn tables_in_environment<'a>(context: &LintContext<'a>, function: &'a Resource) -> Vec<(&'a Resource, Path)> {
    let variables =
        context.declared(&function.logical_id).and_then(|one| one.properties.get("Environment")?.get("Variables"));
    let mut told: Vec<(&Resource, Path)> = Vec::new();
    for (name, value) in variables.and_then(Value::as_object).into_iter().flatten() {
        let path = ["Properties", "Environment", "Variables", name]
            .iter()
            .fold(function.path.clone(), |path, key| path.key(key));
        for logical_id in names_in(value) {
            let table = context.get(table::TYPE, logical_id);
            if let Some(table) =
                table.filter(|table| told.iter().all(|(known, _)| known.logical_id != table.logical_id))
            {
                told.push((table, path.clone()));
            }
        }
    }
    told
}

pub fn table_without_grant(context: &LintContext<'_>) -> Vec<Problem> {
    let mut problems = Vec::new();
    let apart = apart(context);
    for (function, role) in with_roles(context).into_iter().filter(|(function, _)| context.is_sound(function)) {
        for (table, path) in tables_in_environment(context, function) {
            let name = table.name.as_deref().unwrap_or_default();
            if may_grant(&apart, role, "dynamodb", &format!("dynamodb:table/{name}")) {
                continue;
            }
            let (id, table) = (&function.logical_id, &table.logical_id);
            let made = context.template.tree["Resources"].get(&role.logical_id).is_none();
            let (whose, help) = if made {
                let help =
                    format!("add \"- DynamoDBCrudPolicy: {{ TableName: !Ref {table} }}\" to the Policies of {id}");
                ("its role".to_owned(), help)
            } else {
                let role = &role.logical_id;
                let help = format!("allow {role} what {id} does there, on the Resource \"!GetAtt {table}.Arn\"");
                (format!("its role {role}"), help)
            };
            let what =
                format!("{id} gets the name of the table {table}, but {whose} grants it no DynamoDB action there");
            problems.push(Problem::of_key(path, what).help(help));
        }
    }
    problems
}

pub fn unused_grant(context: &LintContext<'_>) -> Vec<Problem> {
    if !context.knows_all(function::TYPE) {
        return Vec::new();
    }
    let mut problems = Vec::new();
    let mut functions_of: HashMap<&str, Vec<&Resource>> = HashMap::new();
    for (function, role) in with_roles(context) {
        functions_of.entry(&role.logical_id).or_default().push(function);
    }
    let apart = apart(context);
    let (elsewhere, in_outputs) = (used_elsewhere(context), in_outputs(context));
    for role in context.sound(role::TYPE) {
        let functions = functions_of.get(role.logical_id.as_str()).map_or(&[][..], Vec::as_slice);
        // If anything else uses the role, it may use it for anything.
        let id = role.logical_id.as_str();
        if functions.is_empty() || elsewhere.contains(id) || in_outputs.contains(id) {
            continue;
        }
        let declared: Vec<_> = functions.iter().map(|function| context.declared(&function.logical_id)).collect();
        let are_known = declared.iter().all(Option::is_some);
        let values = declared.into_iter().flatten().flat_map(|one| one.properties.values());
        let known: HashSet<&str> = values.flat_map(names_in).collect();
        for statement in statements(context, &apart, role).iter().filter(|statement| allows(statement.evaluated)) {
            let Some(table) = sole_table(context, statement) else { continue };
            // A fixed name in the template may also be in the code.
            let is_given =
                context.declared(&table.logical_id).is_none_or(|one| one.properties.contains_key("TableName"));
            let table = table.logical_id.as_str();
            if is_given || in_outputs.contains(table) || !are_known || known.contains(table) {
                continue;
            }
            let ids: Vec<&str> = functions.iter().map(|function| function.logical_id.as_str()).collect();
            let which = if ids.len() == 1 { "does" } else { "do" };
            let what = format!("unused permission: {} {which} not get the name of {table}", list(&ids));
            let help = format!("remove it, or give the function an environment variable \"!Ref {table}\"");
            problems.push(Problem::new(statement.path.key("Resource"), what).help(help));
        }
    }
    problems
}

/// The table of a statement that is about one table only.
fn sole_table<'a>(context: &LintContext<'a>, statement: &Statement<'_>) -> Option<&'a Resource> {
    let actions = texts(statement.evaluated, "Action");
    if actions.is_empty() || !actions.iter().all(|action| action.to_ascii_lowercase().starts_with("dynamodb:")) {
        return None;
    }
    let mut tables: BTreeSet<&str> = BTreeSet::new();
    for resource in one_or_more(statement.declared.get("Resource")?) {
        let names: Vec<&str> = names_in(resource).into_iter().filter(|name| !name.starts_with("AWS::")).collect();
        match names.as_slice() {
            [name] => tables.insert(*name),
            [] if names_in(resource).contains("AWS::NoValue") => false,
            _ => return None,
        };
    }
    let [table] = tables.into_iter().collect::<Vec<_>>()[..] else { return None };
    context.get(table::TYPE, table)
}

/// What anything but functions and policies refers to.
fn used_elsewhere<'a>(context: &LintContext<'a>) -> HashSet<&'a str> {
    let own = [function::TYPE, inline_policy::TYPE];
    let elsewhere = context.template.resources.values().filter(|one| !own.contains(&one.type_name.as_str()));
    elsewhere.flat_map(|one| one.properties.values()).flat_map(names_in).collect()
}

/// What outputs refer to.
fn in_outputs<'a>(context: &LintContext<'a>) -> HashSet<&'a str> {
    context.template.outputs.values().flat_map(|output| names_in(&output.value)).collect()
}

/// The methods of `@connections`.
const METHODS: &[&str] = &["GET", "POST", "DELETE"];

pub fn unmatched_connection_grant(context: &LintContext<'_>) -> Vec<Problem> {
    if !context.knows_all(stage::TYPE) {
        return Vec::new();
    }
    let mut problems: Vec<Problem> = Vec::new();
    let of_connections = |statement: &Statement<'_>| {
        let actions = texts(statement.evaluated, "Action");
        let manages = |action: &&str| action.eq_ignore_ascii_case("execute-api:ManageConnections");
        allows(statement.evaluated) && !actions.is_empty() && actions.iter().all(manages)
    };
    let apart = apart(context);
    let statements = context.sound(role::TYPE).flat_map(|role| statements(context, &apart, role));
    for statement in statements.filter(of_connections) {
        let path = statement.path.key("Resource");
        let arns = texts(statement.evaluated, "Resource");
        let written = statement.declared["Resource"].as_array();
        // If an element was omitted, the indexes no longer match.
        if written.is_some_and(|written| written.len() != arns.len()) {
            continue;
        }
        for (index, arn) in arns.into_iter().enumerate() {
            let pattern = after_account(arn);
            let Some((id, stages)) = stages_of(context, &pattern) else { continue };
            let fits = |stage: &&str| {
                let stage = format!("execute-api:{}/{stage}", Token::text(id, "Ref"));
                METHODS.iter().any(|method| glob(&pattern, &format!("{stage}/{method}/@connections/id")))
            };
            if stages.is_empty() || stages.iter().any(fits) {
                continue;
            }
            let path = if written.is_some() { path.index(index) } else { path.clone() };
            let what = format!("this matches no connection of {id}, whose stage is {}", list(&stages));
            let problem = Problem::new(path, what).help(format!("${{{id}}}/{}/POST/@connections/*", stages[0]));
            // Several roles may share a policy.
            if !problems.contains(&problem) {
                problems.push(problem);
            }
        }
    }
    problems
}

/// The API of the template that a pattern begins with, and the names of its stages.
fn stages_of<'a>(context: &LintContext<'a>, pattern: &str) -> Option<(&'a str, Vec<&'a str>)> {
    let first = pattern.strip_prefix("execute-api:")?.split('/').next()?;
    // An HTTP API has no connections.
    let mut sockets = context.sound(api::TYPE).filter(|api| !api.kind.is_http(&api.properties));
    let api = sockets.find(|api| first == Token::text(&api.logical_id, "Ref"))?;
    let stages = context.of(stage::TYPE).filter(|stage| target(stage, "ApiId").as_ref() == Some(&api.logical_id));
    Some((&api.logical_id, stages.map(|stage| text(stage, "StageName")).collect()))
}
