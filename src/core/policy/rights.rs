//! What each type of resource takes: the IAM actions behind the calls that its file in `resources` makes. Whoever adds a
//! call there adds its action here; `tests/it/iam.rs` runs both against a cloud that refuses what is not allowed.

use std::collections::BTreeSet;

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use serde_json::Value;

use super::{Rights, Roles};
use crate::core::plan::{Action, Plan, Step};
use crate::core::types::{
    Health, alias, api, authorizer, deployment, foreign_permission, function, inline_policy, integration, log_group,
    managed_policy, permission, role, route, route_response, stage, table, tags, version,
};
use crate::core::words::{Scope, Token};

/// RFC 3986: what stands for itself in a path's segment.
const SEGMENT: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'_').remove(b'.').remove(b'~');

/// What stands for an id that AWS has not minted yet.
const ANY: &str = "*";

/// What every run reads, whatever is there: lists, which AWS allows whole or not at all.
pub fn reading(rights: &mut Rights, scope: &Scope, roles: Roles) {
    rights.allow("dynamodb", &["ListTables"], "*");
    rights.allow("iam", &["ListPolicies"], "*");
    match roles {
        Roles::Account => rights.allow("iam", &["GetAccountAuthorizationDetails"], "*"),
        Roles::ByName => {
            rights.allow("iam", &["ListRoles"], "*");
            for pattern in stack_roles(scope) {
                rights.allow("iam", READ_ROLE, pattern);
            }
        }
    }
    rights.allow("lambda", &["ListFunctions"], "*");
    rights.allow("logs", &["DescribeLogGroups"], "*");
    rights.allow("apigateway", &["GET"], apigateway(scope, "apis"));
}

/// What a role is read with, by its name.
const READ_ROLE: &[&str] = &["GetRole", "GetRolePolicy", "ListAttachedRolePolicies", "ListRolePolicies"];

/// The roles with names as wschat gives them in a stack, and those below any path.
pub fn stack_roles(scope: &Scope) -> [String; 2] {
    [None, Some("/*/")].map(|path| role::arn(scope, path, &format!("{}-{ANY}", scope.stack)))
}

/// Whether `resource` is the ARN of one role among `stack_roles`.
pub fn is_stack_role(scope: &Scope, resource: &str) -> bool {
    let name = resource.strip_prefix(&role::arn(scope, None, "")).and_then(|rest| rest.rsplit('/').next());
    let own = name.and_then(|name| name.strip_prefix(&scope.stack)?.strip_prefix('-'));
    own.is_some_and(|own| own != ANY)
}

/// What it takes to read a step's role by its name.
pub fn role_by_name(rights: &mut Rights, plan: &Plan, step: &Step, scope: &Scope) {
    if step.type_name == role::TYPE {
        let it = Subject::of(plan, step, scope);
        rights.allow("iam", READ_ROLE, it.role_arn());
        if it.creates() {
            // Whether it is there already is asked before IAM knows of a path.
            rights.allow("iam", &["GetRole"], role::arn(scope, None, it.name()));
        }
    }
}

/// What it takes to read a step's resource, to carry the step out and to take it back.
pub fn of_step(rights: &mut Rights, plan: &Plan, step: &Step, scope: &Scope) {
    let subject = Subject::of(plan, step, scope);
    match step.type_name {
        table::TYPE => of_table(rights, &subject),
        function::TYPE => of_function(rights, &subject),
        permission::TYPE => of_permission(rights, &subject),
        foreign_permission::TYPE => of_foreign_permission(rights, &subject),
        version::TYPE => of_version(rights, &subject),
        alias::TYPE => of_alias(rights, &subject),
        role::TYPE => of_role(rights, &subject),
        inline_policy::TYPE => of_inline_policy(rights, plan, &subject),
        managed_policy::TYPE => of_managed_policy(rights, plan, &subject),
        log_group::TYPE => of_log_group(rights, &subject),
        api::TYPE => of_api(rights, &subject),
        authorizer::TYPE | integration::TYPE | route::TYPE | route_response::TYPE | deployment::TYPE | stage::TYPE => {
            of_api_part(rights, &subject);
        }
        _ => {}
    }
}

/// A step, as the types below ask about it.
struct Subject<'a> {
    step: &'a Step,
    scope: &'a Scope,
    /// What it shall be and what it is, as far as the plan knows: null where it shall not be, or is not.
    wanted: Value,
    live: Value,
}

impl<'a> Subject<'a> {
    fn of(plan: &Plan, step: &'a Step, scope: &'a Scope) -> Self {
        let known = |token: &Token| plan.known.get(token).cloned();
        let wanted = step.want.as_ref().map(|want| Token::substitute(&want.properties, &known));
        let live = step.live.as_ref().map(|live| live.properties.clone());
        Self { step, scope, wanted: wanted.unwrap_or_default(), live: live.unwrap_or_default() }
    }

    /// The physical name, for types that are named before they exist.
    fn name(&self) -> &str {
        let wanted = || self.step.want.as_ref().and_then(|want| want.name.as_deref());
        self.step.physical_id.as_deref().or_else(wanted).unwrap_or(ANY)
    }

    /// The ARN, if it is a role.
    fn role_arn(&self) -> String {
        let path = [&self.wanted, &self.live].iter().find_map(|side| side["Path"].as_str());
        role::arn(self.scope, path, self.name())
    }

    fn creates(&self) -> bool {
        matches!(self.step.action, Action::Create | Action::Replace)
    }

    fn updates(&self) -> bool {
        self.step.action == Action::Update
    }

    fn deletes(&self) -> bool {
        matches!(self.step.action, Action::Delete | Action::Replace)
    }

    /// Whether the plan changes one of these properties in place. Going back changes it, too.
    fn changes(&self, properties: &[&str]) -> bool {
        self.updates() && self.changed().any(|property| properties.contains(&property))
    }

    /// Whether the plan changes another property than these in place.
    fn changes_other_than(&self, properties: &[&str]) -> bool {
        self.updates() && self.changed().any(|property| !properties.contains(&property))
    }

    fn changed(&self) -> impl Iterator<Item = &str> {
        let first = |property: &'a str| property.split(['.', '[']).next().unwrap_or_default();
        self.step.changes.iter().map(move |change| first(&change.property))
    }

    /// Texts that stand in a property of what shall be or of what is: going back needs the latter.
    fn texts(&self, property: &str) -> BTreeSet<String> {
        let sides = [&self.wanted[property], &self.live[property]].into_iter();
        let values = sides.flat_map(|value| match value {
            Value::Array(items) => items.iter().collect(),
            one => vec![one],
        });
        values.filter_map(Value::as_str).map(str::to_owned).collect()
    }

    fn has(&self, property: &str) -> bool {
        match &self.wanted[property] {
            Value::Null => false,
            Value::Array(items) => !items.is_empty(),
            _ => true,
        }
    }
}

fn of_table(rights: &mut Rights, it: &Subject<'_>) {
    let arn = it.scope.arn("dynamodb", &format!("table/{}", it.name()));
    let mut allow = |actions: &[&str]| rights.allow("dynamodb", actions, arn.as_str());
    allow(&["DescribeTable", "ListTagsOfResource", "DescribeTimeToLive", "DescribeContinuousBackups"]);
    if it.creates() {
        // Its tags come with it; what makes a table can be taken back by removing it.
        allow(&["CreateTable", "TagResource", "DeleteTable"]);
        if it.has("TimeToLiveSpecification") {
            allow(&["UpdateTimeToLive"]);
        }
        if it.wanted["PointInTimeRecoverySpecification"]["PointInTimeRecoveryEnabled"] == true {
            allow(&["UpdateContinuousBackups"]);
        }
    }
    if it.deletes() {
        allow(&["DeleteTable"]);
    }
    if it.changes(&["Tags"]) {
        allow(&["TagResource", "UntagResource"]);
    }
    if it.changes(&["TimeToLiveSpecification"]) {
        allow(&["UpdateTimeToLive"]);
    }
    if it.changes(&["PointInTimeRecoverySpecification"]) {
        allow(&["UpdateContinuousBackups"]);
    }
    if it.changes_other_than(&["Tags", "TimeToLiveSpecification", "PointInTimeRecoverySpecification"]) {
        allow(&["UpdateTable"]);
    }
}

fn of_function(rights: &mut Rights, it: &Subject<'_>) {
    let name = it.name();
    let arn = it.scope.arn("lambda", &format!("function:{name}"));
    let mut allow = |actions: &[&str]| rights.allow("lambda", actions, arn.as_str());
    allow(&["GetFunction", "GetPolicy"]);
    if [&it.wanted, &it.live].iter().any(|side| side["Tags"].get(tags::VERSIONS).is_some()) {
        allow(&["ListVersionsByFunction", "ListAliases"]);
        rights.allow("lambda", &["GetPolicy"], format!("{arn}:{ANY}"));
    }
    let mut allow = |actions: &[&str]| rights.allow("lambda", actions, arn.as_str());
    if it.creates() {
        allow(&["CreateFunction", "TagResource", "DeleteFunction"]);
        if it.has("ReservedConcurrentExecutions") {
            allow(&["PutFunctionConcurrency"]);
        }
    }
    if it.deletes() {
        allow(&["DeleteFunction"]);
    }
    if it.changes(&["Tags"]) {
        allow(&["TagResource", "UntagResource"]);
    }
    if it.changes(&["ReservedConcurrentExecutions"]) {
        allow(&["PutFunctionConcurrency", "DeleteFunctionConcurrency"]);
    }
    // Whether its code is another one only a build could tell.
    if matches!(it.step.action, Action::Update | Action::Keep) {
        allow(&["UpdateFunctionCode"]);
    }
    let outdated = it.step.live.as_ref().is_some_and(|live| matches!(live.health, Health::Outdated(_)));
    let apart = ["Tags", "ReservedConcurrentExecutions", "CodeSha256", "Architectures"];
    let configures = it.changes_other_than(&apart) || (it.updates() && outdated);
    if configures {
        allow(&["UpdateFunctionConfiguration"]);
    }
    if it.creates() || configures {
        for role in it.texts("Role") {
            rights.pass(&role, "lambda.amazonaws.com");
        }
        for layer in it.texts("Layers") {
            rights.allow("lambda", &["GetLayerVersion"], layer);
        }
    }
    // Lambda may have made its log group, which goes with it.
    if it.creates() || it.deletes() {
        logs(
            rights,
            it.scope,
            &format!("{}{name}", log_group::LAMBDA),
            &["ListTagsForResource", "TagResource", "DeleteLogGroup"],
        );
    }
}

/// A permission is a statement in its function's policy.
fn of_permission(rights: &mut Rights, it: &Subject<'_>) {
    for function in it.texts("FunctionName") {
        let arn = it.scope.arn("lambda", &format!("function:{function}"));
        if it.creates() || it.updates() {
            rights.allow("lambda", &["GetPolicy", "AddPermission", "RemovePermission"], arn);
        } else if it.deletes() {
            rights.allow("lambda", &["RemovePermission"], arn);
        }
    }
}

/// The API of the stack records in its tags what is in the policies of others' functions.
fn of_foreign_permission(rights: &mut Rights, it: &Subject<'_>) {
    for function in it.texts("FunctionName") {
        let Scope { partition, region, account, .. } = it.scope;
        let arn = match function.split_once(":function:") {
            Some((start, _)) if start.starts_with("arn:") => function,
            Some((account, name)) => format!("arn:{partition}:lambda:{region}:{account}:function:{name}"),
            None => format!("arn:{partition}:lambda:{region}:{account}:function:{function}"),
        };
        rights.allow("lambda", &["GetPolicy"], arn.as_str());
        if it.step.action.acts() {
            rights.allow("lambda", &["AddPermission", "RemovePermission"], arn);
        }
    }
    if it.step.action.acts() {
        let known = it.texts("ApiId").into_iter().find(|id| Token::find(id).is_empty());
        tagging(rights, it.scope, &format!("apis/{}", known.as_deref().unwrap_or(ANY)));
    }
}

/// A version is published under its function's ARN, and is looked at and goes under its own.
fn of_version(rights: &mut Rights, it: &Subject<'_>) {
    for function in it.texts("FunctionName") {
        let function = it.scope.arn("lambda", &format!("function:{function}"));
        let version = format!("{function}:{ANY}");
        // Whether its function has another code only a build could tell.
        if it.creates() || it.step.action == Action::Keep {
            rights.allow("lambda", &["PublishVersion"], function);
            rights.allow("lambda", &["GetFunction", "DeleteFunction"], version.as_str());
        }
        if it.deletes() {
            rights.allow("lambda", &["DeleteFunction"], version);
        }
    }
}

/// All that is said of an alias is said under its function's ARN.
fn of_alias(rights: &mut Rights, it: &Subject<'_>) {
    for function in it.texts("FunctionName") {
        let function = it.scope.arn("lambda", &format!("function:{function}"));
        let mut allow = |actions: &[&str]| rights.allow("lambda", actions, function.as_str());
        if it.creates() {
            allow(&["CreateAlias", "DeleteAlias"]);
        }
        if it.deletes() {
            allow(&["DeleteAlias"]);
        }
        // Another version of it comes with another code.
        if it.updates() || it.step.action == Action::Keep {
            allow(&["UpdateAlias"]);
        }
    }
}

fn of_role(rights: &mut Rights, it: &Subject<'_>) {
    // What it takes to remove one: it goes only without policies.
    const REMOVE: &[&str] =
        &["ListAttachedRolePolicies", "ListRolePolicies", "DetachRolePolicy", "DeleteRolePolicy", "DeleteRole"];
    let arn = it.role_arn();
    let mut allow = |actions: &[&str]| rights.allow("iam", actions, arn.as_str());
    allow(&["GetRole"]);
    if it.creates() {
        allow(&["CreateRole", "TagRole", "GetRolePolicy"]);
        allow(REMOVE);
        if it.has("Policies") {
            allow(&["PutRolePolicy"]);
        }
        if it.has("ManagedPolicyArns") {
            allow(&["AttachRolePolicy"]);
        }
    }
    if it.deletes() {
        allow(REMOVE);
    }
    let changes: [(&[&str], &[&str]); 6] = [
        (&["AssumeRolePolicyDocument"], &["UpdateAssumeRolePolicy"]),
        (&["Description", "MaxSessionDuration"], &["UpdateRole"]),
        (&["PermissionsBoundary"], &["PutRolePermissionsBoundary", "DeleteRolePermissionsBoundary"]),
        (&["Policies"], &["PutRolePolicy", "DeleteRolePolicy"]),
        (&["ManagedPolicyArns"], &["AttachRolePolicy", "DetachRolePolicy"]),
        (&["Tags"], &["TagRole", "UntagRole"]),
    ];
    for (properties, actions) in changes {
        if it.changes(properties) {
            allow(actions);
        }
    }
}

/// The ARN of a role of the plan, which may have a path.
fn role_arn(plan: &Plan, scope: &Scope, name: &str) -> String {
    let is_it = |step: &&Step| step.type_name == role::TYPE && step.physical_id.as_deref() == Some(name);
    let step = plan.steps.iter().find(is_it);
    let sides = step.into_iter().flat_map(|step| {
        let wanted = step.want.as_ref().map(|want| &want.properties);
        wanted.into_iter().chain(step.live.as_ref().map(|live| &live.properties))
    });
    let path = sides.filter_map(|properties| properties["Path"].as_str()).next();
    role::arn(scope, path, name)
}

fn of_managed_policy(rights: &mut Rights, plan: &Plan, it: &Subject<'_>) {
    // What it takes to remove one: it goes only without older versions and without roles.
    const REMOVE: &[&str] = &["ListEntitiesForPolicy", "ListPolicyVersions", "DeletePolicyVersion", "DeletePolicy"];
    let path = [&it.wanted, &it.live].iter().find_map(|side| side["Path"].as_str());
    let arn = managed_policy::arn(it.scope, path, it.name());
    let mut allow = |actions: &[&str]| rights.allow("iam", actions, arn.as_str());
    allow(&["GetPolicy", "GetPolicyVersion", "ListEntitiesForPolicy"]);
    let roles = it.texts("Roles");
    if it.creates() {
        allow(&["CreatePolicy", "TagPolicy"]);
        allow(REMOVE);
    }
    if it.deletes() {
        allow(REMOVE);
    }
    if it.changes(&["PolicyDocument"]) {
        allow(&["ListPolicyVersions", "DeletePolicyVersion", "CreatePolicyVersion"]);
    }
    if it.changes(&["Tags"]) {
        allow(&["TagPolicy", "UntagPolicy"]);
    }
    for role in roles.iter().filter(|_| it.creates() || it.deletes() || it.changes(&["Roles"])) {
        rights.allow("iam", &["AttachRolePolicy", "DetachRolePolicy"], role_arn(plan, it.scope, role));
    }
}

fn of_inline_policy(rights: &mut Rights, plan: &Plan, it: &Subject<'_>) {
    for role in it.texts("Roles") {
        let arn = role_arn(plan, it.scope, &role);
        if it.creates() || it.updates() {
            rights.allow("iam", &["PutRolePolicy", "DeleteRolePolicy"], arn);
        } else if it.deletes() {
            rights.allow("iam", &["DeleteRolePolicy"], arn);
        }
    }
}

fn of_log_group(rights: &mut Rights, it: &Subject<'_>) {
    let mut allow = |actions: &[&str]| logs(rights, it.scope, it.name(), actions);
    allow(&["ListTagsForResource"]);
    if it.creates() {
        allow(&["CreateLogGroup", "TagResource", "DeleteLogGroup"]);
        if it.has("RetentionInDays") {
            allow(&["PutRetentionPolicy"]);
        }
    }
    if it.deletes() {
        allow(&["DeleteLogGroup"]);
    }
    if it.changes(&["RetentionInDays"]) {
        allow(&["PutRetentionPolicy", "DeleteRetentionPolicy"]);
    }
    if it.changes(&["Tags"]) {
        allow(&["TagResource", "UntagResource"]);
    }
}

/// Adds actions on a log group, under both its names: by its name AWS asks about its streams as well (`:*`), by its ARN
/// it does not.
fn logs(rights: &mut Rights, scope: &Scope, group: &str, actions: &[&str]) {
    for end in ["", ":*"] {
        rights.allow("logs", actions, scope.arn("logs", &format!("log-group:{group}{end}")));
    }
}

fn of_api(rights: &mut Rights, it: &Subject<'_>) {
    let path = match &it.step.live {
        Some(live) => format!("apis/{}", live.physical_id),
        None => format!("apis/{ANY}"),
    };
    let one = apigateway(it.scope, &path);
    if it.step.live.is_some() {
        rights.allow("apigateway", &["GET"], apigateway(it.scope, &format!("{path}/{ANY}")));
    }
    if it.creates() {
        // It has no id before it is made: AWS asks about what it is made below.
        rights.allow("apigateway", &["POST", "TagResource"], apigateway(it.scope, "apis"));
        rights.allow("apigateway", &["GET", "DELETE"], apigateway(it.scope, &format!("apis/{ANY}")));
    }
    if it.deletes() {
        rights.allow("apigateway", &["DELETE"], one.as_str());
    }
    if it.changes_other_than(&["Tags"]) {
        rights.allow("apigateway", &["PATCH"], one.as_str());
    }
    if it.changes(&["Tags"]) {
        tagging(rights, it.scope, &path);
    }
}

/// What lives inside an API: the verbs are the same for all of it.
fn of_api_part(rights: &mut Rights, it: &Subject<'_>) {
    let known = it.texts("ApiId").into_iter().find(|id| Token::find(id).is_empty());
    let path = format!("apis/{}", known.as_deref().unwrap_or(ANY));
    // An API without an id yet is covered whole.
    let inside = apigateway(it.scope, &if known.is_some() { format!("{path}/{ANY}") } else { path.clone() });
    let mut allow = |verbs: &[&str]| rights.allow("apigateway", verbs, inside.as_str());
    allow(&["GET"]);
    if it.creates() {
        allow(&["POST", "DELETE"]);
        if it.step.type_name == stage::TYPE {
            allow(&["TagResource"]);
        }
    }
    if it.deletes() {
        allow(&["DELETE"]);
        // They go before the rest of a run is done, and come again if it fails.
        if [route::TYPE, route_response::TYPE].contains(&it.step.type_name) {
            allow(&["POST"]);
        }
    }
    if it.changes_other_than(&["Tags"]) {
        allow(&["PATCH"]);
        if it.changes(&["RouteSettings", "AccessLogSettings"]) {
            allow(&["DELETE"]);
        }
    }
    if it.changes(&["Tags"]) {
        tagging(rights, it.scope, &format!("{path}/stages/{}", it.name()));
    }
    if it.step.type_name == stage::TYPE && stage::logs_by(&it.wanted).is_some() {
        rights.allow("apigateway", &["GET"], apigateway(it.scope, "account"));
    }
    let passes = it.creates() || it.changes(&["AuthorizerCredentialsArn"]);
    for role in it.texts("CredentialsArn").union(&it.texts("AuthorizerCredentialsArn")).filter(|_| passes) {
        rights.pass(role, "apigateway.amazonaws.com");
    }
}

/// To change the tags of what is there: they are a resource of their own, below which its ARN is one segment (API Gateway
/// developer guide, "Using tags to control access"), and AWS asks about the action by its name, too.
fn tagging(rights: &mut Rights, scope: &Scope, path: &str) {
    let subject = apigateway(scope, path);
    let tags = apigateway(scope, &format!("tags/{}", utf8_percent_encode(&subject, SEGMENT)));
    rights.allow("apigateway", &["POST", "DELETE"], tags);
    rights.allow("apigateway", &["TagResource", "UntagResource"], subject);
}

fn apigateway(scope: &Scope, path: &str) -> String {
    format!("arn:{}:apigateway:{}::/{path}", scope.partition, scope.region)
}
