//! Every resource type that has no file of its own here and that AWS Cloud Control can create, read, update and delete: one kind
//! of `Kind`, driven by the type's published schema (`core::schemas`).
//!
//! What belongs to a stack is found by its tags, whatever it is called. The tag `wschat:type` says of which type it is, since the
//! ARN that AWS's search by tags gives does not. What cannot be tagged is recorded in a tag of another resource of the stack
//! (`record`).

mod check;
mod name;
pub mod record;

use std::collections::{BTreeMap, HashMap};
use std::sync::{LazyLock, Mutex, PoisonError};

use serde_json::{Map, Value, json};
use sha2::{Digest, Sha256};

use self::name::Form;
use super::constraints::Refusal;
use super::iam_permissions::{Permissions, Subject};
use super::tags::{self, Tags};
use super::{Attribute, Desired, Kind, Live, Naming, Planning, RecorderArn, ResourceView};
use crate::core::schemas::{self, Schema, Shape, project, value_at};
use crate::core::words::{Path, Problem, Scope, Token};
use record::{RECORD, RECORDED_ON};

/// The attribute of a live resource that is Cloud Control's identifier of it.
pub const IDENTIFIER: &str = "@Identifier";

/// The property of canonical properties with the tags, whatever the type calls it.
pub const TAGS: &str = "Tags";

/// Types whose resources hold what cannot be made again.
const WITH_DATA: &[&str] = &[
    "AWS::Backup::BackupVault",
    "AWS::Cassandra::Table",
    "AWS::Cognito::UserPool",
    "AWS::DynamoDB::GlobalTable",
    "AWS::EC2::Volume",
    "AWS::ECR::Repository",
    "AWS::EFS::FileSystem",
    "AWS::ElastiCache::ReplicationGroup",
    "AWS::ElastiCache::ServerlessCache",
    "AWS::KMS::Key",
    "AWS::Kinesis::Stream",
    "AWS::MemoryDB::Cluster",
    "AWS::Neptune::DBCluster",
    "AWS::OpenSearchService::Domain",
    "AWS::RDS::DBCluster",
    "AWS::RDS::DBInstance",
    "AWS::Redshift::Cluster",
    "AWS::Route53::HostedZone",
    "AWS::S3::Bucket",
    "AWS::SecretsManager::Secret",
    "AWS::Timestream::Table",
];

/// Types that the local cloud runs: their services are there, or what serves them (`local::apigateway::rest`).
const RUN_LOCALLY: &[&str] = &[
    "AWS::ApiGateway::Deployment",
    "AWS::ApiGateway::Method",
    "AWS::ApiGateway::Resource",
    REST_API,
    "AWS::ApiGateway::Stage",
    "AWS::Events::EventBus",
    "AWS::Events::Rule",
    "AWS::SNS::Subscription",
    "AWS::SNS::Topic",
    "AWS::SNS::TopicInlinePolicy",
    "AWS::SQS::Queue",
    "AWS::SQS::QueueInlinePolicy",
    "AWS::SSM::Parameter",
    "AWS::Scheduler::Schedule",
    "AWS::Scheduler::ScheduleGroup",
    SECRET,
];

/// ARNs that follow from a name: type, the attribute that is one, service, what stands before the name. (Service
/// Authorization Reference, "Resource types".) References to them need not wait for AWS.
const ARNS: &[(&str, &str, &str, &str)] = &[
    ("AWS::Kinesis::Stream", "Arn", "kinesis", "stream/"),
    ("AWS::SNS::Topic", "TopicArn", "sns", ""),
    (QUEUE, "Arn", "sqs", ""),
    ("AWS::StepFunctions::StateMachine", "Arn", "states", "stateMachine:"),
];

/// What `Ref` gives where it is not the identifier (CloudFormation's template reference, "Return values" of each type).
const REFS: &[(&str, &str)] = &[
    ("AWS::ApiGateway::Authorizer", "AuthorizerId"),
    ("AWS::ApiGateway::Deployment", "DeploymentId"),
    ("AWS::ApiGateway::Model", "Name"),
    ("AWS::ApiGateway::RequestValidator", "RequestValidatorId"),
    ("AWS::ApiGateway::Resource", "ResourceId"),
    ("AWS::ApiGatewayV2::ApiMapping", "ApiMappingId"),
    ("AWS::AppSync::ApiKey", "Arn"),
    ("AWS::AppSync::GraphQLApi", "Arn"),
    ("AWS::Cognito::UserPoolClient", "ClientId"),
    ("AWS::Cognito::UserPoolDomain", "Domain"),
    ("AWS::Cognito::UserPoolGroup", "GroupName"),
    ("AWS::Cognito::UserPoolIdentityProvider", "ProviderName"),
    ("AWS::Cognito::UserPoolResourceServer", "Identifier"),
    ("AWS::Cognito::UserPoolUser", "Username"),
    ("AWS::ECS::Service", "ServiceArn"),
    ("AWS::Logs::LogStream", "LogStreamName"),
    ("AWS::Logs::MetricFilter", "FilterName"),
    ("AWS::Logs::SubscriptionFilter", "FilterName"),
    ("AWS::Route53::RecordSet", "Name"),
    (RULE, "Name"),
];

/// (Types of wschat's own come before those of Cloud Control.)
const FROZEN: &str = "a deployment of the API freezes it, and would not be told of its changes";

/// Why types that Cloud Control has are not taken: the beginning of their names, a sentence without a full stop.
const REFUSED: &[(&str, &str)] = &[
    ("AWS::ApiGatewayV2::IntegrationResponse", FROZEN),
    ("AWS::ApiGatewayV2::Model", FROZEN),
    ("AWS::CloudFormation::", "it belongs to CloudFormation itself, which wschat does not use"),
    (
        "AWS::Lambda::ResourcePolicy",
        "it takes the place of all permissions of a function; describe AWS::Lambda::Permission resources",
    ),
];

/// `Ref` of a rule names its bus, too, where that is not the default one.
const RULE: &str = "AWS::Events::Rule";

/// Queues are identified by their URL (SQS developer guide, "Queue and message identifiers").
const QUEUE: &str = "AWS::SQS::Queue";

const SECRET: &str = "AWS::SecretsManager::Secret";

const REST_API: &str = "AWS::ApiGateway::RestApi";

/// How a secret is made up, each time that it is sent.
const GENERATE: &str = "GenerateSecretString";

/// Services whose resources have ARNs without a region (Service Authorization Reference): the Resource Groups Tagging API finds
/// them in `GLOBAL_REGION` alone (its API reference, `GetResources`).
const GLOBAL: &[&str] = &[
    "ARCRegionSwitch",
    "Billing",
    "BillingConductor",
    "Budgets",
    "CE",
    "Chatbot",
    "CloudFront",
    "GlobalAccelerator",
    "IAM",
    "Invoicing",
    "NetworkManager",
    "Organizations",
    "Route53RecoveryControl",
    "Route53RecoveryReadiness",
    "Shield",
];

/// The region in which global resources are found by their tags.
pub const GLOBAL_REGION: &str = "us-east-1";

/// One such type.
pub struct CloudControlled {
    pub schema: &'static Schema,
    noun: &'static str,
    naming: Option<Naming>,
    form: Form,
    create_only: &'static [&'static str],
    properties: &'static [&'static str],
    attributes: &'static [&'static str],
    /// The properties that identify it, where every template gives all of them: there is one resource of these at most.
    identity: &'static [&'static str],
}

/// The type of this name, if it is one of these.
pub fn kind(type_name: &str) -> Option<&'static CloudControlled> {
    static MADE: LazyLock<Mutex<HashMap<String, &'static CloudControlled>>> = LazyLock::new(Mutex::default);
    let mut made = MADE.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(known) = made.get(type_name) {
        return Some(known);
    }
    let schema = schemas::schema(type_name).filter(|_| why_not(type_name).is_none())?;
    let kind: &'static CloudControlled = Box::leak(Box::new(CloudControlled::new(schema)));
    made.insert(type_name.to_owned(), kind);
    Some(kind)
}

/// Why a type that Cloud Control has is not one of these.
pub fn why_not(type_name: &str) -> Option<&'static str> {
    let why = REFUSED.iter().find(|(start, _)| type_name.starts_with(start)).map(|(_, why)| *why);
    why.filter(|_| schemas::schema(type_name).is_some())
}

/// Whether resources of this type belong to no region, and could be found again only in `GLOBAL_REGION`.
pub fn is_global(type_name: &str) -> bool {
    let service = type_name.split("::").nth(1).unwrap_or_default();
    GLOBAL.contains(&service) && kind(type_name).is_some_and(CloudControlled::is_tagged)
}

impl CloudControlled {
    fn new(schema: &'static Schema) -> Self {
        let words: Vec<&str> = schema.type_name.split("::").skip(1).collect();
        let noun: &'static str = words.join(" ").leak();
        let all = || {
            schema.properties.keys().map(String::as_str).filter(|name| !schema.read_only.iter().any(|one| one == name))
        };
        // What cannot be changed in place at all is replaced whatever changes.
        let create_only: Vec<&'static str> = match schema.is_mutable() {
            true => schema.create_only.iter().map(String::as_str).collect(),
            false => all().collect(),
        };
        let (naming, form) = name::of(schema).unzip();
        let is_given =
            |path: &String| schema.required.contains(path) && !schema.read_only.contains(path) && naming.is_none();
        let identity: Vec<&'static str> = match schema.tags.is_none() && schema.identifier.iter().all(is_given) {
            true => schema.identifier.iter().map(String::as_str).collect(),
            false => Vec::new(),
        };
        Self {
            schema,
            noun,
            identity: identity.leak(),
            naming,
            form: form.unwrap_or_default(),
            create_only: create_only.leak(),
            properties: all().collect::<Vec<_>>().leak(),
            attributes: schema.read_only.iter().map(String::as_str).collect::<Vec<_>>().leak(),
        }
    }

    /// The canonical form of what Cloud Control reads: as `Kind::canonical` gives desired properties, without what only AWS sets.
    pub fn live_properties(&self, model: &Value) -> Value {
        let mut properties = self.normal(model);
        if let Some(properties) = properties.as_object_mut() {
            properties.retain(|name, _| !self.schema.read_only.contains(name));
            if self.is_tagged() {
                let tags: Tags = properties.get(TAGS).map(read_tags).unwrap_or_default();
                properties.insert(TAGS.to_owned(), json!(tags::settable(tags)));
            }
        }
        properties
    }

    /// Whether it carries tags of its own; else it is recorded.
    pub fn is_tagged(&self) -> bool {
        self.schema.tags.is_some()
    }

    /// Cloud Control's identifier of a resource with these properties, where they give all of it and everything in it is known.
    pub fn given_identifier(&self, properties: &Value) -> Option<String> {
        let parts = self.schema.identifier.iter().map(|path| {
            let given = value_at(properties, path)?;
            let text = given.as_str().map_or_else(|| given.to_string(), str::to_owned);
            (!self.schema.read_only.contains(path) && !Token::is_in(&text)).then_some(text)
        });
        Some(parts.collect::<Option<Vec<_>>>()?.join("|"))
    }

    /// All tags in what Cloud Control reads.
    pub fn tags(&self, model: &Value) -> Tags {
        self.schema.tags.as_ref().and_then(|property| model.get(property)).map(read_tags).unwrap_or_default()
    }

    /// Canonical properties in the form that Cloud Control takes.
    pub fn model(&self, properties: &Value) -> Value {
        let mut model: Map<String, Value> = properties.as_object().cloned().unwrap_or_default();
        model.retain(|_, value| !value.is_null());
        model.remove(RECORD);
        if let Some(property) = &self.schema.tags {
            let tags = model.remove(TAGS).and_then(|tags| tags.as_object().cloned()).unwrap_or_default();
            let is_list = matches!(self.tag_shape(property), Shape::List(_) | Shape::Set(_));
            let listed = tags.iter().map(|(key, value)| json!({"Key": key, "Value": value}));
            model.insert(property.clone(), if is_list { listed.collect() } else { Value::Object(tags) });
        }
        Value::Object(model)
    }

    /// The changes to make `live` into `desired` properties, as a JSON patch (RFC 6902). An update is read, changed and
    /// written by AWS, and what cannot be read would be lost: it is sent again.
    pub fn patch(&self, live: &Value, desired: &Value) -> Vec<Value> {
        let seen = self.seen_as(live, desired).unwrap_or_default();
        let model = self.model(desired);
        let empty = Map::new();
        let wanted = desired.as_object().unwrap_or(&empty);
        let is_same_digest = write_only(desired).is_some() && write_only(live) == write_only(desired);
        let mut patch = Vec::new();
        for (name, value) in wanted.iter().filter(|(name, _)| *name != RECORD) {
            // Sent again, it would make another secret.
            if is_same_digest && self.schema.type_name == SECRET && name == GENERATE {
                continue;
            }
            let property = self.schema.tags.as_deref().filter(|_| name == TAGS).unwrap_or(name);
            let is_written = self.schema.write_only.iter().any(|path| path.split('.').next() == Some(name));
            let path = format!("/{}", property.replace('~', "~0").replace('/', "~1"));
            match model.get(property) {
                None if !live[name].is_null() => patch.push(json!({"op": "remove", "path": path})),
                Some(new) if is_written || seen.get(name) != Some(value) => {
                    patch.push(json!({"op": "add", "path": path, "value": new}));
                }
                _ => {}
            }
        }
        patch
    }

    /// What `Ref` gives for a live resource.
    pub fn reference(&self, model: &Value, identifier: &str) -> String {
        let type_name = self.schema.type_name;
        let text = |property: &str| value_at(model, property).and_then(Value::as_str);
        let property = REFS.iter().find(|(of, _)| *of == type_name).map(|(_, property)| *property);
        // What it was asked for by may be another spelling of it: the URL of a queue is what the queue says.
        let own = || match self.schema.identifier.as_slice() {
            [one] => Some(one.as_str()),
            _ => None,
        };
        let given = property.or_else(own).and_then(text).unwrap_or(identifier);
        match text("EventBusName").filter(|bus| type_name == RULE && *bus != "default") {
            Some(bus) => format!("{}|{given}", bus.rsplit('/').next().unwrap_or(bus)),
            None => given.to_owned(),
        }
    }

    /// The attributes of a live resource: everything in it that is a text, a number or a truth, by its path.
    pub fn attributes_of(&self, model: &Value, identifier: &str) -> BTreeMap<String, String> {
        fn flatten(path: &str, value: &Value, found: &mut BTreeMap<String, String>) {
            match value {
                Value::Object(members) => {
                    for (name, value) in members {
                        let path = if path.is_empty() { name.clone() } else { format!("{path}.{name}") };
                        flatten(&path, value, found);
                    }
                }
                Value::String(text) => drop(found.insert(path.to_owned(), text.clone())),
                Value::Number(_) | Value::Bool(_) => drop(found.insert(path.to_owned(), value.to_string())),
                Value::Array(_) | Value::Null => {}
            }
        }
        let mut found = BTreeMap::new();
        flatten("", model, &mut found);
        found.retain(|path, _| !self.schema.write_only.contains(path));
        found.insert("Ref".to_owned(), self.reference(model, identifier));
        found.insert(IDENTIFIER.to_owned(), identifier.to_owned());
        found
    }

    /// The identifier of a resource with this name, where it follows from that.
    pub fn identifier_of(&self, scope: &Scope, name: &str) -> Option<String> {
        let is_name = self.naming.is_some_and(|naming| self.schema.identifier == [naming.property]);
        if self.schema.type_name == QUEUE {
            return Some(format!("https://sqs.{}.{}/{}/{name}", scope.region, scope.url_suffix(), scope.account));
        }
        let arn = || {
            self.arn(scope, name).filter(|(attribute, _)| self.schema.identifier == [*attribute]).map(|(_, arn)| arn)
        };
        if is_name { Some(name.to_owned()) } else { arn() }
    }

    /// The attribute that is its ARN, and that ARN, where both are known before it exists.
    fn arn(&self, scope: &Scope, name: &str) -> Option<(&'static str, String)> {
        let (_, attribute, service, prefix) = ARNS.iter().find(|(of, ..)| *of == self.schema.type_name)?;
        Some((attribute, scope.arn(service, &format!("{prefix}{name}"))))
    }

    fn tag_shape(&self, property: &str) -> &Shape {
        self.schema.properties.get(property).map_or(&Shape::Any, |shape| self.schema.resolved(shape))
    }

    /// Properties in one spelling, the tags as a map under `Tags`.
    fn normal(&self, properties: &Value) -> Value {
        let empty = Map::new();
        let given = properties.as_object().unwrap_or(&empty).iter().filter(|(_, value)| !value.is_null());
        let normal = given.map(|(name, value)| match self.schema.properties.get(name) {
            Some(_) if self.schema.tags.as_ref() == Some(name) => (TAGS.to_owned(), json!(read_tags(value))),
            Some(shape) => (name.clone(), shape.normal(self.schema, value)),
            None => (name.clone(), value.clone()),
        });
        Value::Object(normal.collect())
    }

    /// Enough of a digest over what cannot be read back to see a change of it, and too little to guess it by. (One change in
    /// 65,536 is not seen.)
    fn write_only_digest(&self, it: &ResourceView<'_>) -> Option<String> {
        let at = |path: &String| found_at(&path.split('.').collect::<Vec<_>>(), it.properties);
        let given: Vec<Value> = self.schema.write_only.iter().filter_map(at).collect();
        let input = json!([it.logical_id, given]).to_string();
        (!given.is_empty()).then(|| hex::encode(&Sha256::digest(input)[..2]))
    }
}

/// Tags in either form that types have them in.
fn read_tags(value: &Value) -> Tags {
    tags::deserialize(value).unwrap_or_default()
}

impl Kind for CloudControlled {
    fn type_name(&self) -> &'static str {
        self.schema.type_name
    }

    fn noun(&self) -> &'static str {
        self.noun
    }

    fn naming(&self) -> Option<Naming> {
        self.naming
    }

    fn formed(&self, name: String, properties: &Map<String, Value>) -> String {
        self.form.of(name, properties)
    }

    fn internal(&self) -> &'static [&'static str] {
        if self.is_tagged() { &[] } else { &[RECORD] }
    }

    fn canonical(&self, properties: &Value) -> Result<Value, Vec<Problem>> {
        let problems = check::check(self.schema, properties);
        if !problems.is_empty() {
            return Err(problems);
        }
        Ok(self.normal(properties))
    }

    fn refuses(&self, properties: &Value) -> Vec<Refusal> {
        check::refuses(self.schema, properties)
    }

    fn complete(&self, it: &ResourceView<'_>, properties: &mut Value, _stack: &dyn Planning) {
        let digest = self.write_only_digest(it);
        if !self.is_tagged() {
            record::complete(&mut properties[RECORD], it, digest);
            return;
        }
        properties[TAGS][tags::TYPE] = self.schema.type_name.into();
        if let Some(digest) = digest {
            properties[TAGS][tags::WRITE_ONLY] = digest.into();
        }
    }

    fn create_only(&self) -> &'static [&'static str] {
        self.create_only
    }

    fn seen_as(&self, live: &Value, desired: &Value) -> Option<Value> {
        let live = live.as_object()?;
        let mut seen: Map<String, Value> = Map::new();
        for (name, value) in live {
            match (desired.get(name), self.schema.properties.get(name)) {
                _ if name == RECORD || self.is_tagged() && name == TAGS => {
                    drop(seen.insert(name.clone(), value.clone()))
                }
                (Some(wanted), _) if self.create_only.contains(&name.as_str()) && is_same_name(value, wanted) => {
                    drop(seen.insert(name.clone(), wanted.clone()))
                }
                (Some(wanted), Some(shape)) => {
                    drop(seen.insert(name.clone(), project(self.schema, shape, value, wanted)))
                }
                _ => {}
            }
        }
        let mut seen = Value::Object(seen);
        for path in &self.schema.write_only {
            let names: Vec<&str> = path.split('.').collect();
            put_in(&names, &mut seen, desired);
        }
        Some(seen)
    }

    /// AWS asks of most of them whether what they refer to is there.
    fn hard(&self) -> &'static [&'static str] {
        self.properties
    }

    fn attribute(&self, scope: &Scope, name: Option<&str>, attribute: Option<&str>) -> Attribute {
        let known = name.and_then(|name| self.arn(scope, name));
        let ref_is = REFS.iter().find(|(of, _)| *of == self.schema.type_name).map(|(_, property)| *property);
        let ref_is = ref_is.or_else(|| match self.schema.identifier.as_slice() {
            [one] => Some(one),
            _ => None,
        });
        let path = match (attribute, ref_is) {
            (None, None) => return Attribute::Minted,
            (None, Some(property)) => property,
            (Some(path), _) => path,
        };
        let is_ref = ref_is == Some(path) && self.schema.type_name != RULE;
        match (name, known, self.schema.shape_of(path)) {
            (_, Some((arn, value)), _) if arn == path => Attribute::Known(value),
            (Some(name), ..) if is_ref && self.naming.is_some_and(|naming| naming.property == path) => {
                Attribute::Known(name.to_owned())
            }
            (.., None) => Attribute::Unknown(self.attributes),
            (.., Some(Shape::List(_) | Shape::Set(_) | Shape::Object(_) | Shape::Map(_))) => Attribute::NotYet,
            _ if is_ref && attribute.is_some() => Attribute::Ref,
            _ => Attribute::Minted,
        }
    }

    fn taggable(&self) -> bool {
        self.is_tagged()
    }

    fn unique_by(&self) -> &'static [&'static str] {
        self.identity
    }

    fn agrees_in(&self) -> &'static [&'static str] {
        // AWS may show an ARN where the template gives a name.
        &[]
    }

    fn recorder_arn(&self) -> Option<RecorderArn> {
        let is_arn = |path: &&String| {
            path.as_str() == "Arn" || path.ends_with("Arn") && self.schema.identifier == [(*path).clone()]
        };
        if !self.is_tagged() || is_global(self.schema.type_name) {
            return None;
        }
        if self.schema.type_name == REST_API {
            return Some(RecorderArn::Gateway("restapis/"));
        }
        let attribute = self.schema.read_only.iter().find(is_arn).map(String::as_str);
        // A secret's id is its ARN.
        let attribute = attribute.or((self.schema.type_name == SECRET).then_some("Id"));
        attribute.map(RecorderArn::Attribute)
    }

    fn is_recorded(&self) -> bool {
        !self.is_tagged()
    }

    fn recorded_on(&self, live: &Live) -> Vec<(String, String)> {
        let kept = live.attributes.get(RECORDED_ON).map(|text| record::Kept::read(text)).unwrap_or_default();
        kept.into_iter().map(|kept| (kept.type_name, kept.physical_id)).collect()
    }

    fn is(&self, desired: &Desired, live: &Live) -> bool {
        if let (Some(_), Some(name)) = (self.naming, &desired.name) {
            return *name == live.physical_id;
        }
        let identifier: Option<Vec<&Value>> =
            self.schema.identifier.iter().map(|path| value_at(&desired.properties, path)).collect();
        if let Some(identifier) = identifier.filter(|_| !self.is_tagged()) {
            let paths = self.schema.identifier.iter();
            return paths.zip(identifier).all(|(path, wanted)| {
                value_at(&live.properties, path).is_some_and(|live| live == wanted || is_same_name(live, wanted))
            });
        }
        let seen = self.seen_as(&live.properties, &desired.properties).unwrap_or_default();
        let same = |path: &&&str| match (value_at(&seen, path), value_at(&desired.properties, path)) {
            (Some(live), Some(desired)) => live == desired,
            _ => true,
        };
        live.logical_id.as_deref() == Some(&desired.logical_id) && self.create_only.iter().all(|path| same(&path))
    }

    fn holds_data(&self) -> bool {
        WITH_DATA.contains(&self.schema.type_name)
    }

    fn is_deleted_after_users(&self) -> bool {
        true
    }

    /// The local cloud serves REST APIs, and says where (`local::cloudcontrol`); on AWS what is spelled out is right.
    fn spelled_address(&self, _: &Value, physical_id: &str, scope: &Scope) -> Option<String> {
        let is_api = self.schema.type_name == REST_API;
        is_api.then(|| format!("https://{physical_id}.execute-api.{}.{}", scope.region, scope.url_suffix()))
    }

    fn is_record_locally(&self) -> bool {
        !RUN_LOCALLY.contains(&self.schema.type_name)
    }

    fn permissions(&self, it: &Subject<'_>, permissions: &mut Permissions) {
        let mut operations = vec!["GetResource", "ListResources", "ListResourceRequests"];
        let mut handlers = vec!["read", "list"];
        for (does, operation, handler) in [
            (it.creates, "CreateResource", "create"),
            // A run that fails deletes what it created.
            (it.creates || it.deletes, "DeleteResource", "delete"),
            (it.updates, "UpdateResource", "update"),
        ] {
            if does {
                operations.push(operation);
                handlers.push(handler);
            }
        }
        if it.acts() {
            operations.push("GetResourceRequestStatus");
        }
        // Cloud Control's actions have CloudFormation's prefix, and no resource of their own.
        permissions.allow("cloudformation", &operations, "*");
        let roles = roles_in(&[&it.desired, &it.live]);
        for action in handlers.iter().flat_map(|handler| self.schema.actions(handler)) {
            let Some((service, name)) = action.split_once(':') else { continue };
            if action == "iam:PassRole" && !roles.is_empty() {
                roles.iter().for_each(|role| permissions.allow(service, &[name], role.as_str()));
            } else {
                permissions.allow(service, &[name], "*");
            }
        }
        if it.acts() && !self.is_tagged() {
            record::permissions(it, permissions);
        }
    }
}

/// The digest of what no reading gives, in properties that have one.
pub fn write_only(properties: &Value) -> Option<&str> {
    [&properties[TAGS][tags::WRITE_ONLY], &properties[RECORD][record::WRITE_ONLY]].into_iter().find_map(Value::as_str)
}

/// Takes that digest out of properties: whatever no reading gives is sent again then.
pub fn forget_write_only(properties: &mut Value) {
    for (holder, name) in [(TAGS, tags::WRITE_ONLY), (RECORD, record::WRITE_ONLY)] {
        if let Some(members) = properties.get_mut(holder).and_then(Value::as_object_mut) {
            members.remove(name);
        }
    }
}

/// Whether one of two texts is the name of a resource and the other one its ARN: AWS may show either, whichever was given.
fn is_same_name(one: &Value, other: &Value) -> bool {
    let (Some(one), Some(other)) = (one.as_str(), other.as_str()) else { return false };
    let is_arn_of = |arn: &str, name: &str| {
        arn.starts_with("arn:")
            && !name.is_empty()
            && arn.strip_suffix(name).is_some_and(|before| before.ends_with([':', '/']))
    };
    is_arn_of(one, other) || is_arn_of(other, one)
}

/// The permissions to find what carries a stack's tags, which every run needs.
pub fn permissions_to_list(permissions: &mut Permissions) {
    permissions.allow("tag", &["GetResources"], "*");
}

/// The ARNs of roles anywhere in values.
pub fn roles_in(values: &[&Value]) -> Vec<String> {
    fn visit(value: &Value, found: &mut Vec<String>) {
        match value {
            Value::String(text) if text.starts_with("arn:") && text.contains(":role/") => found.push(text.clone()),
            Value::Array(items) => items.iter().for_each(|item| visit(item, found)),
            Value::Object(members) => members.values().for_each(|value| visit(value, found)),
            _ => {}
        }
    }
    let mut found = Vec::new();
    values.iter().for_each(|value| visit(value, &mut found));
    found
}

/// What a value has at a path, in a list for the elements of a list.
fn found_at(path: &[&str], value: &Value) -> Option<Value> {
    match (path, value) {
        (_, Value::Null) => None,
        ([], value) => Some(value.clone()),
        (path, Value::Array(items)) => {
            let found: Vec<Option<Value>> = items.iter().map(|item| found_at(path, item)).collect();
            found.iter().any(Option::is_some).then(|| json!(found))
        }
        ([name, rest @ ..], value) => found_at(rest, value.get(*name)?),
    }
}

/// Puts what `desired` has at a path into `seen`, in the elements of lists of one length: no reading tells it.
fn put_in(path: &[&str], seen: &mut Value, desired: &Value) {
    match (path, seen, desired) {
        (_, Value::Array(seen), Value::Array(desired)) if seen.len() == desired.len() => {
            seen.iter_mut().zip(desired).for_each(|(seen, desired)| put_in(path, seen, desired));
        }
        ([name, rest @ ..], Value::Object(seen), Value::Object(desired)) => {
            let Some(wanted) = desired.get(*name) else { return };
            match seen.get_mut(*name).filter(|_| !rest.is_empty()) {
                Some(seen) => put_in(rest, seen, wanted),
                None => drop(seen.insert((*name).to_owned(), wanted.clone())),
            }
        }
        _ => {}
    }
}

/// A problem's path in `Properties`.
fn below(name: &str) -> Path {
    Path::default().key(name)
}

#[cfg(test)]
mod tests;
