//! The resource types as far as they are known without AWS: one file each, and one line each in `TYPES`.
//!
//! What reads and writes them in AWS lies in `aws::providers`.

pub mod alias;
pub mod api;
pub mod api_mapping;
pub mod authorizer;
pub mod cloud_control;
pub mod constraints;
pub mod cost;
pub mod custom_resource;
pub mod deployment;
pub mod domain_name;
mod effects;
pub mod event_source_mapping;
pub mod foreign_permission;
pub mod function;
pub mod gateway_account;
pub mod http_api;
pub mod iam_permissions;
pub mod inline_policy;
pub mod integration;
pub mod integration_response;
pub mod layer_permission;
pub mod layer_version;
pub mod log_group;
pub mod managed_policy;
pub mod model;
mod names;
pub mod ownership_marker;
mod part;
pub mod permission;
pub mod protocol;
pub mod role;
pub mod route;
pub mod route_response;
#[cfg(test)]
mod schema_tests;
pub mod serving;
pub mod stage;
pub mod table;
pub mod tags;
mod unmarked;
pub mod version;
mod view;

use std::collections::BTreeMap;
use std::fmt;

use bytes::Bytes;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};

use self::constraints::Refusal;
pub use self::effects::StepEffects;
use self::iam_permissions::{Permissions, Roles, Subject};
pub use self::part::Part;
pub use self::view::{Action, Change, PlanView, Planning, ResourceView, StackView, StepView, texts};
use crate::core::logs;
use crate::core::words::{DeletionPolicy, Path, Problem, Scope, deserialize};

/// All resource types that wschat provisions itself, in the order in which resources of them can be deleted, whatever
/// else is there: users before what they use.
///
/// What AWS demands: a stage before its deployment; a route before its integration and its authorizer; an alias before
/// its version; a role before the policy that bounds it; a function before its log group, which it would create again.
/// What is preferred: an API before what its calls need, functions before their roles.
#[rustfmt::skip]
pub static TYPES: &[&dyn Kind] = &[
    &custom_resource::UNNAMED,
    &api_mapping::ApiMapping,
    &domain_name::DomainName,
    &stage::Stage,
    &integration_response::IntegrationResponse,
    &route_response::RouteResponse,
    &route::Route,
    &deployment::Deployment,
    &integration::Integration,
    &authorizer::Authorizer,
    &model::Model,
    &foreign_permission::ForeignPermission,
    &api::Api,
    &permission::Permission,
    &event_source_mapping::EventSourceMapping,
    &alias::Alias,
    &version::Version,
    &function::Function,
    &layer_permission::LayerPermission,
    &layer_version::LayerVersion,
    &inline_policy::InlinePolicy,
    &gateway_account::Account,
    &role::Role,
    &managed_policy::ManagedPolicy,
    &table::Table,
    &log_group::LogGroup,
];

/// The types that templates have by one name each, of which CloudFormation says what properties they have.
pub fn kinds() -> Vec<&'static dyn Kind> {
    let others = [foreign_permission::TYPE, custom_resource::TYPE];
    TYPES.iter().copied().filter(|kind| !others.contains(&kind.type_name())).collect()
}

/// The type of this name: one of `TYPES`, a custom resource's, or one that AWS Cloud Control provisions.
pub fn kind(type_name: &str) -> Option<&'static dyn Kind> {
    let own = TYPES.iter().copied().find(|kind| kind.type_name() == type_name);
    own.or_else(|| others(type_name))
}

/// The type of this name as templates have it.
pub fn shown_type(type_name: &'static str) -> &'static str {
    kind(type_name).map_or(type_name, |kind| kind.shown_type())
}

/// The type of this name that is not in `TYPES`.
pub fn others(type_name: &str) -> Option<&'static dyn Kind> {
    let custom = custom_resource::kind(type_name).map(|kind| kind as &dyn Kind);
    custom.or_else(|| cloud_control::kind(type_name).map(|kind| kind as &dyn Kind))
}

/// Where a type stands in `TYPES`; after all others for one that is not registered.
pub fn rank(type_name: &str) -> usize {
    // All custom resources are of one type there.
    let listed = if custom_resource::kind(type_name).is_some() { custom_resource::TYPE } else { type_name };
    TYPES.iter().position(|kind| kind.type_name() == listed).unwrap_or(TYPES.len())
}

/// One AWS resource type, as far as it is known without asking AWS: all that the rest of wschat asks about it.
///
/// A method without a default must be answered. The defaults suit a type that others use by its name and that nothing
/// else is known of; each says what to answer for another one.
pub trait Kind: Send + Sync + 'static {
    // What it is called.

    /// `AWS::DynamoDB::Table`.
    fn type_name(&self) -> &'static str;

    /// The type as templates have it, for people and programs: another name than `type_name` where one of AWS's types is two here.
    fn shown_type(&self) -> &'static str {
        self.type_name()
    }

    /// What people call a resource of this type: `log group`.
    fn noun(&self) -> &'static str;

    /// What a live resource is, where its properties tell more than its physical id: `route "sendmessage"`.
    fn described(&self, _live: &Live, _names: &dyn Names) -> Option<String> {
        None
    }

    /// The property that tells people which resource it is, where AWS mints the id and a name need not be unique: an
    /// API's `Name`. A reading includes the resources of others with a name that the template describes, and the plan
    /// refuses to create a second one beside them.
    fn known_by(&self) -> Option<&'static str> {
        None
    }

    /// How a resource of this type is named, where its name is ours to give.
    fn naming(&self) -> Option<Naming> {
        None
    }

    /// The generated `name` of a resource with these properties in the form that AWS takes.
    fn formed(&self, name: String, _properties: &Map<String, Value>) -> String {
        name
    }

    /// Whether AWS takes two names of this type for one that differ in the case of letters alone, as IAM does.
    fn ignores_case(&self) -> bool {
        false
    }

    // Its properties.

    /// Reads template properties (tokens may stand inside strings) as this type's and gives them back in canonical
    /// form: AWS's defaults filled in, documents in one spelling, so that equal resources have equal properties.
    ///
    /// # Errors
    /// Every unknown, missing or ill-typed property, its path relative to `Properties`.
    fn canonical(&self, properties: &Value) -> Result<Value, Vec<Problem>>;

    /// What AWS would refuse of template properties that are evaluated, tokens inside for what is not known yet.
    fn refuses(&self, properties: &Value) -> Vec<Refusal> {
        constraints::check(self.type_name(), properties)
    }

    /// Problems between resources of this type, or between them and others; called once for each stack that has one.
    /// (Names, `unique_by`, `within` and `references` are checked for all types.)
    fn conflicts(&self, _stack: &dyn StackView) -> Vec<Problem> {
        Vec::new()
    }

    /// Properties (`A` or `A.B`, in whatever element of `A`) of the type in CloudFormation that wschat does not take
    /// yet.
    fn not_yet(&self) -> &'static [&'static str] {
        &[]
    }

    /// Properties of the type in CloudFormation that a resource with these `properties` cannot have: of API Gateway's types,
    /// those of the other protocol.
    fn never(&self, _properties: &Value) -> &'static [Never] {
        &[]
    }

    /// Properties (`A` or `A.B`, in whatever element of `A`) that `canonical` or `complete` puts in. CloudFormation has
    /// no such properties, so templates cannot give them.
    fn internal(&self) -> &'static [&'static str] {
        &[]
    }

    /// Puts into desired properties, which have the ownership tags already, what no template says and the plan knows:
    /// an ownership marker where `internal` has one, the code's digest, what is frozen.
    fn complete(&self, it: &ResourceView<'_>, properties: &mut Value, _stack: &dyn Planning) {
        if self.internal().contains(&ownership_marker::PROPERTY) {
            properties[ownership_marker::PROPERTY] = ownership_marker::of(it.logical_id, it.deletion_policy).into();
        }
    }

    /// Properties (`A` or `A.B`) that AWS cannot change on an existing resource.
    fn create_only(&self) -> &'static [&'static str];

    /// Properties that AWS refuses to change, also by a replacement under the same logical id.
    fn fixed(&self) -> &'static [&'static str] {
        &[]
    }

    /// Properties (`A` or `A.B`) that AWS cannot take back: where the template leaves them out, any value will do.
    fn any_if_absent(&self) -> &'static [&'static str] {
        &[]
    }

    /// Whether a difference in a property counts as a change, of a resource that `exists` or of a new one. It does not
    /// where AWS keeps no record of the value, or where a resource that is what the template wants cannot be changed.
    fn is_compared(&self, _property: &str, _exists: bool) -> bool {
        true
    }

    /// What of `live` properties is compared with `desired` ones, where it is not all: of a type whose defaults are not known,
    /// what the template states. Then what it does not state any more stays as it is.
    fn seen_as(&self, _live: &Value, _desired: &Value) -> Option<Value> {
        None
    }

    /// Properties whose references must exist first (edges are *hard*); all other references need only a name.
    fn hard(&self) -> &'static [&'static str];

    /// Whether it waits for all that it refers to, in whatever property.
    fn waits_for_all(&self) -> bool {
        false
    }

    /// What `Ref` (`attribute` is `None`) or `GetAtt` gives for a resource whose physical name is `name`.
    fn attribute(&self, scope: &Scope, name: Option<&str>, attribute: Option<&str>) -> Attribute;

    /// Whether an update that makes these changes may change what `GetAtt` gives for an attribute (`Ref` for what `Ref` gives):
    /// then that is not known before.
    fn changes_attribute(&self, _attribute: &str, _changes: &[Change]) -> bool {
        false
    }

    /// Properties of a live resource that no rollback can set back, once they have been changed.
    fn irrecoverable(&self, _live: &Live) -> &'static [&'static str] {
        &[]
    }

    // Where it belongs.

    /// What a resource of this type is a part of, where it is one.
    fn within(&self) -> Option<Within> {
        None
    }

    /// The properties that tell resources of this type apart for AWS, where they have no name: two that agree in all of
    /// them are one.
    fn unique_by(&self) -> &'static [&'static str] {
        &[]
    }

    /// Properties that lead to another part of the same API.
    fn references(&self) -> &'static [Reference] {
        &[]
    }

    /// Other parts of the same API that properties name: it waits for them as for references.
    fn needs_by_name(&self) -> &'static [NamedPart] {
        &[]
    }

    /// The type that a resource of this type turns into if the template does not describe its parent; `None` where it
    /// must. The parent of that other type records what the stack changed outside of itself.
    fn foreign_type(&self) -> Option<&'static str> {
        None
    }

    /// The type and physical id of what a resource with these properties changes outside of the template. (Only of
    /// types that `foreign_type` of another one names.)
    fn foreign_target<'a>(&self, _properties: &'a Value) -> Option<(&'static str, &'a str)> {
        None
    }

    /// The type that resources of this one live inside of; they are read with it, and removed with it (`deleted_with`).
    fn parent(&self) -> Option<&'static str> {
        None
    }

    /// The physical id of what a resource with these properties, in which everything is known, lives inside of.
    fn parent_id<'a>(&self, properties: &'a Value) -> Option<&'a str> {
        properties[self.parent().and(self.within())?.property].as_str()
    }

    /// The type whose deletion deletes it, too.
    fn deleted_with(&self) -> Option<&'static str> {
        self.parent()
    }

    /// The type and physical id of what AWS creates by itself for a resource with this physical id, and does not delete
    /// with it: a function's log group. It is kept and deleted with the resource.
    fn byproduct(&self, _physical_id: &str) -> Option<(&'static str, String)> {
        None
    }

    /// The type and physical id of what decides which stack a live resource belongs to: its parent, or what it is a
    /// `byproduct` of. `None` where its own tags do.
    fn owned_by(&self, live: &Live) -> Option<(&'static str, String)> {
        self.parent().zip(live.parent.clone())
    }

    // Which live resource it is.

    /// Whether it carries tags: then the ownership tags are among its properties.
    fn taggable(&self) -> bool {
        false
    }

    /// What its ARN is, where it can record in its tags what of the stack cannot be tagged (`cloud_control::record`).
    fn recorder_arn(&self) -> Option<RecorderArn> {
        None
    }

    /// Whether the tags of another resource record what belongs to the stack of this type.
    fn is_recorded(&self) -> bool {
        false
    }

    /// What records a desired resource in its tags, by its ARN or by what `Ref` gives of it, and the keys of the tags.
    fn record_of(&self, _desired: &Desired) -> Option<(String, Vec<String>)> {
        None
    }

    /// The types and physical ids of those that record a live resource: deleted after it, since the records go with them.
    fn recorded_on(&self, _live: &Live) -> Vec<(String, String)> {
        Vec::new()
    }

    /// Whether tags of a resource of this type may record what belongs to the stack and has no tags itself: its exports.
    fn keeps_records(&self) -> bool {
        false
    }

    /// The physical id that AWS gives a desired resource, where that is known before it exists.
    fn known_id(&self, desired: &Desired) -> Option<String> {
        desired.name.clone()
    }

    /// Properties in which a desired resource without a `known_id` and the live one that it `is` agree, so that it is
    /// compared with those alone. (With none, it is compared with all of its type.)
    fn agrees_in(&self) -> &'static [&'static str] {
        self.unique_by()
    }

    /// Whether `live` is what `desired` asks for, under whatever identifies this type.
    fn is(&self, desired: &Desired, live: &Live) -> bool {
        match self.known_id(desired) {
            Some(id) => id == live.physical_id,
            None => {
                let keys = self.unique_by();
                !keys.is_empty() && keys.iter().all(|key| desired.properties[*key] == live.properties[*key])
            }
        }
    }

    /// The index of the best of several live resources that all are what `desired` asks for, which happens only to
    /// types without `naming` and `unique_by`.
    fn choose(&self, _desired: &Desired, _fitting: &[&Live], _stack: &dyn Planning) -> usize {
        0
    }

    /// Whether plans do not mention a live resource of the stack that the template does not describe: it stays as it
    /// is.
    fn is_left_alone(&self, _live: &Live, _stack: &dyn StackView) -> bool {
        false
    }

    /// What `down` says of a live resource that looks like the stack's, belongs to `owner` and is not deleted: what it
    /// is, why it stays, how to delete it. `None` for types of which `list` gives no such resources.
    fn left(&self, _live: &Live, _owner: &str, _scope: &Scope) -> Option<String> {
        None
    }

    // What plans and runs must know of it.

    /// Its part in serving clients.
    fn part(&self) -> Part {
        Part::Other
    }

    /// Whether a deployment of an API freezes resources of this type, and so waits for them.
    fn is_frozen_by_deployments(&self) -> bool {
        false
    }

    /// Whether it runs code that is built from files beside the template.
    fn has_code(&self) -> bool {
        false
    }

    /// The property that names the files to build and upload, if it has one: a function's code, a layer's content.
    fn code_property(&self) -> Option<&'static str> {
        None
    }

    /// Whether a resource with these properties is created from files that are built and uploaded.
    fn is_uploaded(&self, _properties: &Value) -> bool {
        self.code_property().is_some()
    }

    /// The ARN of the role that the code of a resource with these properties runs as: it waits for the role's policies,
    /// since code that runs right before them may be without their permissions for minutes.
    fn runs_as<'a>(&self, _properties: &'a Value) -> Option<&'a str> {
        None
    }

    /// Why AWS does not create one with these properties any more, or does not update one that has those of `live` to them, although they
    /// are valid.
    fn retired(&self, _properties: &Value, _live: Option<&Value>) -> Option<Problem> {
        None
    }

    /// The layers of other accounts that a resource with these properties uses, by ARN.
    fn foreign_layers<'a>(&self, _properties: &'a Value, _scope: &Scope) -> Vec<&'a str> {
        Vec::new()
    }

    /// The URI that API Gateway invokes on behalf of a resource with these properties.
    fn calls<'a>(&self, _properties: &'a Value) -> Option<&'a str> {
        None
    }

    /// Whether a resource with these properties permits API Gateway to invoke something.
    fn permits_gateway(&self, _properties: &Value) -> bool {
        false
    }

    /// The property (its path in `Properties`) that makes a resource write logs with the role which API Gateway has for
    /// the whole account; `None` where it writes none.
    fn logs_by(&self, _properties: &Value) -> Option<Path> {
        None
    }

    /// Whether it sets that role: what writes logs with it waits for it.
    fn sets_log_role(&self) -> bool {
        false
    }

    /// The log group of what the code of a live resource prints, and what it takes to read that.
    fn code_log(&self, _live: &Live) -> Option<(String, logs::Function)> {
        None
    }

    /// The log group of a line for each request of a client, and the format of those lines.
    fn access_log(&self, _properties: &Value) -> Option<(String, String)> {
        None
    }

    /// The beginning of the names of the streams in which the local cloud's gateway says what it did for clients of a live resource.
    fn gateway_log(&self, _live: &Live) -> Option<String> {
        None
    }

    /// The address for clients of a resource with these properties and this physical id, as templates spell it out.
    fn spelled_address(&self, _properties: &Value, _physical_id: &str, _scope: &Scope) -> Option<String> {
        None
    }

    /// Types whose resources must be gone before one of this type is deleted. `TYPES` agrees with it.
    fn deleted_after(&self) -> &'static [&'static str] {
        &[]
    }

    /// Types whose resources are deleted only when those of this type are gone: the same from the other side, so that a
    /// new type need not change the files of others.
    fn deleted_before(&self) -> &'static [&'static str] {
        &[]
    }

    /// Whether one is deleted only when everything is gone that has its id among its properties, of whatever type.
    fn is_deleted_after_users(&self) -> bool {
        false
    }

    /// Whether its deletion uses what else is in the stack, so that all of that goes after it.
    fn is_deleted_first(&self) -> bool {
        false
    }

    /// Whether the deletion of `live` may need what `other`, of a type that is deleted first, too, has made.
    fn is_deleted_before(&self, _live: &Live, _other: &Live) -> bool {
        false
    }

    /// Whether the local cloud keeps no more than a record of it: nothing of it runs.
    fn is_record_locally(&self) -> bool {
        false
    }

    /// What of a resource with these properties the local cloud does not have, and answers clients with 501 for.
    fn refused_locally(&self, _properties: &Value) -> Option<&'static str> {
        None
    }

    /// The packages of the JavaScript SDK that its function uses for a resource with these properties, beside those that its code names.
    fn sdk_packages(&self, _properties: &Value) -> Vec<String> {
        Vec::new()
    }

    /// Whether an API with these properties, or a part of one, is for HTTP requests and not for WebSockets.
    fn is_http(&self, _properties: &Value) -> bool {
        false
    }

    /// Of canonical `properties` those that the local cloud keeps and gives back, and which change nothing there.
    fn without_effect_locally(&self, properties: &Value) -> Vec<&'static str> {
        let _ = properties;
        Vec::new()
    }

    /// Whether other resources can use one that is created and not ready yet (`Provider::settle`); otherwise they wait.
    fn is_usable_at_once(&self) -> bool {
        true
    }

    /// Whether one of this type waits until the resource of type `other` that it needs is ready, and not just created.
    fn needs_ready(&self, other: &dyn Kind) -> bool {
        !other.is_usable_at_once()
    }

    /// Whether code or AWS uses a resource by its physical id while it handles a message. Then its deletion waits for
    /// messages under way.
    fn is_used_by_id(&self) -> bool {
        self.naming().is_some_and(|naming| naming.within.is_none())
    }

    /// The physical ids of what a live resource is used with: of a policy its roles. Its deletion waits for the
    /// messages that theirs would wait for.
    fn used_with<'a>(&self, _live: &'a Live) -> Vec<&'a str> {
        Vec::new()
    }

    /// How many milliseconds a message may take at a live resource that API Gateway itself calls or asks, and at all
    /// that it leads to. `None` for what API Gateway does not call.
    fn message_timeout(&self, _live: &Live, _plan: &dyn PlanView) -> Option<u64> {
        None
    }

    /// Whether a change makes a new resource beside the old one, which is then unused: its deletion is no loss.
    fn is_left_behind(&self) -> bool {
        false
    }

    /// What prevents AWS from deleting a live resource; `None` where nothing outside of the stack does.
    fn held(&self, _live: &Live) -> Option<Held> {
        None
    }

    /// What becomes of it if CloudFormation, which cannot import it, creates the same once more where it is; `None` for what would be
    /// refused, or would be two.
    fn doubled(&self) -> Option<Doubled> {
        None
    }

    /// Whether it holds what cannot be made again: then it is not replaced unless the user says so.
    fn holds_data(&self) -> bool {
        false
    }

    /// What a step of a resource of this type interrupts and loses: what the user must know before confirming it.
    fn effects(&self, step: &StepView<'_>, _plan: &dyn PlanView) -> StepEffects {
        let mut effects = StepEffects::default();
        if matches!(step.action, Action::Delete | Action::Replace) && self.holds_data() {
            effects.lost.push("all that it holds".to_owned());
        }
        // One without a name comes beside the old one, or goes with its parent.
        if step.action == Action::Replace && self.naming().is_some() {
            effects.interrupted.push("everything that uses it fails until it exists again".to_owned());
        }
        effects
    }

    /// What a resource allows with `new` properties that it did not allow with `old` ones (null where it is created), a
    /// sentence each.
    fn widens(&self, _logical_id: &str, _old: &Value, _new: &Value) -> Vec<String> {
        Vec::new()
    }

    /// What a resource allowed with `old` properties and does not allow with `new` ones, a sentence each. Where clients
    /// are served it waits for what allows it in another place.
    fn narrows(&self, _old: &Value, _new: &Value) -> Vec<String> {
        Vec::new()
    }

    // The IAM permissions behind its calls.

    /// The IAM permissions behind the calls with which every run lists the resources of this type: calls that AWS
    /// allows as a whole or not at all. None where it is found with its parent.
    fn permissions_to_list(&self, _scope: &Scope, _roles: Roles, _permissions: &mut Permissions) {}

    /// The IAM permissions behind the calls that change tags of a resource with this physical id, of a type that
    /// `keeps_records`; it is not known for one that AWS has not made yet.
    fn permissions_to_record(&self, _scope: &Scope, _id: Option<&str>, _permissions: &mut Permissions) {}

    /// The IAM permissions behind the calls with which the type's provider reads a step's resource, carries the step
    /// out and rolls it back. (`tests/it/iam.rs` deploys with those alone.)
    fn permissions(&self, it: &Subject<'_>, permissions: &mut Permissions);

    /// A physical id of CloudFormation's (what `Ref` gives) as wschat has it: of a type whose name stands in an ARN, the name.
    fn name_in(&self, formed_id: &str) -> String {
        let is_named = self.naming().is_some_and(|naming| naming.path.is_some());
        match is_named && formed_id.starts_with("arn:") {
            true => formed_id.rsplit('/').next().unwrap_or(formed_id).to_owned(),
            false => formed_id.to_owned(),
        }
    }

    /// The IAM permissions with which CloudFormation takes in a resource of this type, beside those with which wschat reads it: it reads
    /// it, or, where it cannot import it (`again`), creates the same once more (`doubled`). It does both with its caller's permissions.
    /// (The handlers of the published schemas; cfn-lint 1.58.0.)
    fn permissions_to_import(&self, _it: &Subject<'_>, _again: bool, _permissions: &mut Permissions) {}
}

impl fmt::Debug for dyn Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.type_name())
    }
}

/// What other resources are called.
pub trait Names {
    /// The logical id of a resource; its physical id where it has none.
    fn logical_id<'a>(&'a self, type_name: &str, physical_id: &'a str) -> &'a str;

    /// What a live resource is (`Kind::described`); `None` for one that is not known.
    fn described(&self, type_name: &str, physical_id: &str) -> Option<String>;
}

/// What a resource is after the same was created once more.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Doubled {
    /// The same: it was written over, with what it had.
    WrittenOver,
    /// There are two under different ids, and either suffices: the older one can go.
    Beside,
}

/// What keeps a live resource from being deleted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Held {
    /// Its name for AWS.
    pub arn: String,
    /// Those that use it and are not the stack's, in words.
    pub by: Vec<String>,
    /// The command that takes it from them, placeholders in capitals.
    pub release: String,
}

/// How the ARN of a resource follows from what `Ref` or `GetAtt` gives.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RecorderArn {
    /// It is this attribute.
    Attribute(&'static str),
    /// It is an ARN of API Gateway, with this before what `Ref` gives.
    Gateway(&'static str),
}

impl RecorderArn {
    /// The ARN; `value` gives the value of an attribute, or of `Ref`.
    pub fn of(self, scope: &Scope, value: impl Fn(Option<&str>) -> Option<String>) -> Option<String> {
        match self {
            Self::Attribute(name) => value(Some(name)),
            Self::Gateway(path) => value(None).map(|id| iam_permissions::apigateway(scope, &format!("{path}{id}"))),
        }
    }
}

/// What resources of a type are parts of.
#[derive(Debug, Clone, Copy)]
pub struct Within {
    /// The property that names it.
    pub property: &'static str,
    /// The types that it may be of.
    pub types: &'static [&'static str],
}

/// A property that holds the id of another part of the same API.
#[derive(Debug, Clone, Copy)]
pub struct Reference {
    pub property: &'static str,
    /// What stands before the id.
    pub prefix: &'static str,
    /// The type of what it leads to.
    pub to: &'static str,
}

/// A property with the name of another part of the same API, or a map of such names.
#[derive(Debug, Clone, Copy)]
pub struct NamedPart {
    pub property: &'static str,
    /// The type of what it names.
    pub to: &'static str,
    /// The property of that type which is the name.
    pub name: &'static str,
}

/// Properties that CloudFormation has for other resources of the type: those of APIs of the other protocol.
#[derive(Debug, Clone, Copy)]
pub struct Never {
    pub properties: &'static [&'static str],
    /// Why not: a sentence without a full stop that follows a colon.
    pub why: &'static str,
    /// What to do.
    pub help: &'static str,
}

/// How resources of a type get their physical names.
#[derive(Debug, Clone, Copy)]
pub struct Naming {
    /// The property that gives the name.
    pub property: &'static str,
    /// The longest name the service takes, in characters.
    pub longest: usize,
    /// The property that names the function which it is a part of: then the physical name is `FUNCTION:NAME`.
    pub within: Option<&'static str>,
    /// The property that is a path before the name in ARNs: then `Kind::attribute` gets `PATH/NAME` for a name.
    pub path: Option<&'static str>,
}

/// What is known of an attribute before its resource exists.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Attribute {
    Known(String),
    /// AWS mints it: a token until then.
    Minted,
    /// Another word for what `Ref` gives, which AWS mints: so that one thing has one token.
    Ref,
    /// This text, and after it what `Ref` gives, which AWS mints.
    EndsInRef(String),
    /// CloudFormation has it, wschat not yet.
    NotYet,
    /// There is no such attribute; these are the ones there are.
    Unknown(&'static [&'static str]),
}

/// A resource as AWS has it.
#[derive(Debug, Clone)]
pub struct Live {
    pub type_name: &'static str,
    /// From its tags, or from what identifies it; `None` for one that somebody added by hand.
    pub logical_id: Option<String>,
    pub physical_id: String,
    /// The physical id of what it belongs to: a route's API, a permission's function.
    pub parent: Option<String>,
    /// Canonical properties, as `Kind::canonical` gives them for the desired side.
    pub properties: Value,
    /// Minted attributes by name; `Ref` is what `Ref` gives.
    pub attributes: BTreeMap<String, String>,
    pub owner: Owner,
    pub health: Health,
    pub deletion_policy: DeletionPolicy,
}

impl Live {
    /// A resource of this stack, well and with nothing special about it: `Ref` gives its physical id.
    pub fn new(type_name: &'static str, physical_id: impl Into<String>, properties: Value) -> Self {
        let Created { physical_id, attributes, .. } = Created::new(physical_id);
        Self {
            type_name,
            logical_id: None,
            physical_id,
            parent: None,
            properties,
            attributes,
            owner: Owner::Stack,
            health: Health::Ready,
            deletion_policy: DeletionPolicy::Delete,
        }
    }

    /// The same, below `parent`.
    pub fn below(self, parent: &str) -> Self {
        Self { parent: Some(parent.to_owned()), ..self }
    }

    /// The same, with a minted attribute.
    pub fn attribute(mut self, name: &str, value: impl Into<String>) -> Self {
        self.attributes.insert(name.to_owned(), value.into());
        self
    }

    /// The same, in this state of health.
    pub fn health(self, health: Health) -> Self {
        Self { health, ..self }
    }

    /// Whether it is recorded, and not there.
    pub fn is_absent(&self) -> bool {
        self.health == Health::Absent
    }

    /// Whether it is being deleted: it is there, and it is nothing to build on.
    pub fn is_being_deleted(&self) -> bool {
        matches!(&self.health, Health::Busy(state) if state == "DELETING")
    }

    /// The properties as the type's own struct.
    ///
    /// # Errors
    /// When they are not: a mistake in the provider that made them.
    pub fn read<T: DeserializeOwned>(&self) -> Result<T, PropertyError> {
        read(&self.properties)
    }
}

/// Whose a live resource is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Owner {
    /// It carries our stack's tags, or belongs to something that does.
    Stack,
    /// It has a name that the template gives and belongs to somebody else: who, as far as its tags tell.
    Other(String),
}

/// How a live resource is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Health {
    Ready,
    /// Under way (`CREATING`, `Pending`, `InProgress`): AWS's word for it.
    Busy(String),
    /// Broken, and why. It is replaced by the next `up`.
    Failed(String),
    /// A record of the stack tells of it, and it is not there: a run ended before it was created or after it was deleted, or
    /// somebody else deleted it.
    Absent,
    /// It works as it did before its last change, which failed: why. The next `up` makes that change again.
    Outdated(String),
}

/// An object in S3.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct S3Object {
    pub bucket: String,
    pub key: String,
    /// `None` for the newest.
    pub version: Option<String>,
}

impl fmt::Display for S3Object {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "s3://{}/{}", self.bucket, self.key)?;
        self.version.iter().try_for_each(|version| write!(f, "?versionId={version}"))
    }
}

/// How Lambda gets code.
#[derive(Debug, Clone)]
pub enum Upload {
    /// With the request.
    Zip(Bytes),
    /// From an object in its own region: a zip that is larger than a request may be.
    Object(S3Object),
}

/// A desired resource, everything known.
#[derive(Debug, Clone)]
pub struct Desired {
    pub logical_id: String,
    /// The physical id where it is ours to give.
    pub name: Option<String>,
    /// Canonical properties without tokens, ownership tags included.
    pub properties: Value,
    /// A function's code, or a layer's content.
    pub code: Option<Upload>,
}

impl Desired {
    /// The properties as the type's own struct.
    ///
    /// # Errors
    /// When they are not: a value that was not known before turned out to be of another shape.
    pub fn read<T: DeserializeOwned>(&self) -> Result<T, PropertyError> {
        read(&self.properties)
    }

    /// The physical name.
    ///
    /// # Errors
    /// Never for types that have a `Naming`.
    pub fn name(&self) -> Result<&str, PropertyError> {
        self.name.as_deref().ok_or_else(|| PropertyError(format!("{} has no physical name", self.logical_id)))
    }
}

fn read<T: DeserializeOwned>(properties: &Value) -> Result<T, PropertyError> {
    deserialize::read(properties).map_err(|problems| {
        let first = problems.first().map(|problem| format!("{}: {}", problem.path, problem.what));
        PropertyError(first.unwrap_or_default())
    })
}

/// What a create gives back.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Created {
    pub physical_id: String,
    /// Minted attributes by name; `Ref` is what `Ref` gives.
    pub attributes: BTreeMap<String, String>,
    /// Whether an earlier run has made it: AWS took this create for that one, sent again.
    pub is_earlier: bool,
}

impl Created {
    /// One whose `Ref` gives its physical id.
    pub fn new(physical_id: impl Into<String>) -> Self {
        let physical_id = physical_id.into();
        Self { attributes: [("Ref".to_owned(), physical_id.clone())].into(), physical_id, is_earlier: false }
    }
}

impl From<Live> for Created {
    fn from(live: Live) -> Self {
        Self { physical_id: live.physical_id, attributes: live.attributes, is_earlier: false }
    }
}

/// Properties that do not read as what their type has.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct PropertyError(pub String);

/// The canonical form of template properties that read as `T`.
///
/// # Errors
/// Every property that does not.
pub fn canonical<T: DeserializeOwned + serde::Serialize>(properties: &Value) -> Result<Value, Vec<Problem>> {
    let typed: T = deserialize::read(properties)?;
    Ok(to_value(&typed))
}

/// A type's own struct as properties; members that are `None` or null are left out.
pub fn to_value(typed: &impl serde::Serialize) -> Value {
    fn without_nulls(value: Value) -> Value {
        match value {
            Value::Object(entries) => entries
                .into_iter()
                .filter(|(_, value)| !value.is_null())
                .map(|(key, value)| (key, without_nulls(value)))
                .collect(),
            Value::Array(items) => items.into_iter().map(without_nulls).collect(),
            other => other,
        }
    }
    serde_json::to_value(typed).map_or(Value::Null, without_nulls)
}
