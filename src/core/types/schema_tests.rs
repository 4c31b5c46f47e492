//! Holds the types against CloudFormation's resource schemas (`schemas.tsv`, which `.ci/aws-schemas` writes): which
//! properties there are on all levels, which are required, which values they take, which cannot be changed, and which
//! attributes there are. Where both differ on purpose, `EXCEPTIONS` says why.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::LazyLock;

use serde_json::{Map, Value, json};

use super::iam_permissions::{Permissions, Subject};
use super::table::{self, Table};
use super::{Attribute, Desired, Kind, Live, kinds};
use crate::core::words::deserialize::trace;
use crate::core::words::{Path, Problem, Scope, Step};

/// How a type differs from its schema.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum What {
    /// CloudFormation has the property; the type neither takes it nor has it in `not_yet` or `never`.
    Unlisted,
    /// The type takes the property; CloudFormation does not have it, and it is not `internal`.
    Foreign,
    /// The type takes a property that only attributes give.
    ReadOnly,
    /// CloudFormation says what is in it; the type takes whatever is there.
    Opaque,
    /// A list of the type's names something that it does not take, or that CloudFormation does not have.
    Stale,
    /// More than one list has it, or one of `not_yet` and `never` has what the type takes.
    Twice,
    /// CloudFormation wants it, the type does not.
    RequiredThere,
    /// The type wants it, CloudFormation does not.
    RequiredHere,
    /// A value (`PATH=VALUE`) that CloudFormation has and the type does not.
    ValueThere,
    /// A value that the type has and CloudFormation does not.
    ValueHere,
    /// CloudFormation cannot change it, the type can.
    CreateOnlyThere,
    /// The type cannot change it, CloudFormation can.
    CreateOnlyHere,
    /// CloudFormation has the attribute; the type does not know it, or does not list it among those there are.
    AttributeThere,
    /// The type has the attribute, CloudFormation does not.
    AttributeHere,
}

/// Something that differs on purpose.
struct Exception {
    type_name: &'static str,
    what: What,
    paths: &'static [&'static str],
    why: &'static str,
}

/// What differs on purpose, and why.
const EXCEPTIONS: &[Exception] = &[
    Exception {
        type_name: "AWS::ApiGatewayV2::Api",
        what: What::RequiredHere,
        paths: &["Name", "ProtocolType", "RouteSelectionExpression"],
        why: "only an imported definition can do without them, and only HTTP APIs are imported; the expression has a \
              default for HTTP APIs alone",
    },
    Exception {
        type_name: "AWS::ApiGatewayV2::ApiMapping",
        what: What::CreateOnlyHere,
        paths: &["ApiMappingKey"],
        why: "a mapping has no name and no tags: its path of the domain is what it is known by",
    },
    Exception {
        type_name: "AWS::ApiGatewayV2::Authorizer",
        what: What::RequiredHere,
        paths: &["AuthorizerUri"],
        why: "only JWT authorizers have none, and they are for HTTP APIs",
    },
    Exception {
        type_name: "AWS::ApiGatewayV2::IntegrationResponse",
        what: What::CreateOnlyHere,
        paths: &["ContentHandlingStrategy"],
        why: "an update cannot take it away: UpdateIntegrationResponse knows its two values alone",
    },
    Exception {
        type_name: "AWS::ApiGatewayV2::IntegrationResponse",
        what: What::CreateOnlyHere,
        paths: &["IntegrationResponseKey"],
        why: "an integration response has no name and no tags: its key is what it is known by",
    },
    Exception {
        type_name: "AWS::ApiGatewayV2::Model",
        what: What::CreateOnlyHere,
        paths: &["Name"],
        why: "a model has no tags: its name is what it is known by, to routes, too",
    },
    Exception {
        type_name: "AWS::ApiGatewayV2::Route",
        what: What::Foreign,
        paths: &["RequestParameters.Required"],
        why: "the schema says no more than that it is JSON; CreateRoute takes a map of constraints",
    },
    Exception {
        type_name: "AWS::ApiGateway::Account",
        what: What::Stale,
        paths: &["@Others"],
        why: "only a reading puts it in: that the role is another's",
    },
    Exception {
        type_name: "AWS::ApiGatewayV2::RouteResponse",
        what: What::RequiredThere,
        paths: &["ResponseParameters.Required"],
        why: "CreateRouteResponse takes a constraint without it: the parameter may be missing",
    },
    Exception {
        type_name: "AWS::ApiGatewayV2::RouteResponse",
        what: What::CreateOnlyHere,
        paths: &["ResponseParameters"],
        why: "an update cannot take a parameter away, and there is no call that does",
    },
    Exception {
        type_name: "AWS::ApiGatewayV2::Route",
        what: What::CreateOnlyHere,
        paths: &["RouteKey"],
        why: "a route has no name and no tags: its key is what it is known by",
    },
    Exception {
        type_name: "AWS::ApiGatewayV2::RouteResponse",
        what: What::CreateOnlyHere,
        paths: &["RouteResponseKey"],
        why: "a route response has no name and no tags: its key is what it is known by",
    },
    Exception {
        type_name: "AWS::ApiGatewayV2::Stage",
        what: What::Foreign,
        paths: &[
            "RouteSettings.DataTraceEnabled",
            "RouteSettings.DetailedMetricsEnabled",
            "RouteSettings.LoggingLevel",
            "RouteSettings.ThrottlingBurstLimit",
            "RouteSettings.ThrottlingRateLimit",
        ],
        why: "the schema says no more than that it is JSON; the documentation says a map of what DefaultRouteSettings is",
    },
    Exception {
        type_name: "AWS::DynamoDB::Table",
        what: What::RequiredHere,
        paths: &["AttributeDefinitions"],
        why: "only an import from S3 can do without them (CreateTable requires them), and that is not supported yet",
    },
    Exception {
        type_name: "AWS::DynamoDB::Table",
        what: What::RequiredHere,
        paths: &["GlobalSecondaryIndexes.Projection.ProjectionType", "LocalSecondaryIndexes.Projection.ProjectionType"],
        why: "DynamoDB itself refuses an index without one: \"Unknown ProjectionType: null\"",
    },
    Exception {
        type_name: "AWS::DynamoDB::Table",
        what: What::RequiredHere,
        paths: &["TimeToLiveSpecification.AttributeName"],
        why: "it is required where time to live is on, which a schema cannot say",
    },
    Exception {
        type_name: "AWS::DynamoDB::Table",
        what: What::CreateOnlyHere,
        paths: &["LocalSecondaryIndexes"],
        why: "UpdateTable cannot change them, and CloudFormation refuses to",
    },
    Exception {
        type_name: "AWS::IAM::Policy",
        what: What::RequiredHere,
        paths: &["Roles"],
        why: "one of Groups, Roles and Users must be there, and the others are not supported yet",
    },
    Exception {
        type_name: "AWS::IAM::Policy",
        what: What::CreateOnlyHere,
        paths: &["PolicyName"],
        why: "IAM cannot rename an inline policy: another name is another policy",
    },
    Exception {
        type_name: "AWS::Lambda::EventSourceMapping",
        what: What::CreateOnlyHere,
        paths: &["Queues", "Topics"],
        why: "UpdateEventSourceMapping does not take them",
    },
    Exception {
        type_name: "AWS::Lambda::Function",
        what: What::Opaque,
        paths: &["Code"],
        why: "the resolver reads it before the type does (`stack::resolve`), and says what of it is not supported yet",
    },
    Exception {
        type_name: "AWS::Lambda::EventSourceMapping",
        what: What::RequiredHere,
        paths: &["Tags.Value"],
        why: "as for functions",
    },
    Exception {
        type_name: "AWS::Lambda::Function",
        what: What::RequiredHere,
        paths: &["Tags.Value"],
        why: "all types share one reader of tags, and elsewhere a tag must have a value; an empty one is the same tag",
    },
    Exception {
        type_name: "AWS::Lambda::LayerVersion",
        what: What::Opaque,
        paths: &["Content"],
        why: "the resolver reads it before the type does (`stack::resolve`)",
    },
    Exception {
        type_name: "AWS::Lambda::LayerVersion",
        what: What::CreateOnlyThere,
        paths: &["CompatibleArchitectures", "CompatibleRuntimes", "Content", "Description", "LicenseInfo"],
        why: "the name is of the layer, which stays; what differs in anything else is another version of it",
    },
    Exception {
        type_name: "AWS::Lambda::Version",
        what: What::CreateOnlyThere,
        paths: &["CodeSha256", "Description"],
        why: "versions are told apart by what they froze, not by these: of an unchanged function Lambda publishes no \
              second version, and CloudFormation fails there",
    },
    Exception {
        type_name: "AWS::Logs::LogGroup",
        what: What::ValueThere,
        paths: &["LogGroupClass=DELIVERY"],
        why: "not supported yet: such a group keeps lines for a day or two, to hand them on to S3 or Firehose",
    },
    Exception {
        type_name: "AWS::Logs::LogGroup",
        what: What::CreateOnlyHere,
        paths: &["LogGroupClass"],
        why: "CloudWatch Logs cannot change the class of a group",
    },
];

/// What CloudFormation says of a property.
#[derive(Debug, Clone, Default)]
struct Property {
    kind: String,
    required: bool,
    create_only: bool,
    /// Create-only under conditions that the schema does not tell.
    sometimes_create_only: bool,
    read_only: bool,
    values: BTreeSet<String>,
}

/// What CloudFormation says of a type.
#[derive(Debug, Clone, Default)]
struct Schema {
    /// By path: `A.B`, `A[].B` in every element, `A{}.B` in every value of a map.
    properties: BTreeMap<String, Property>,
    attributes: BTreeSet<String>,
}

/// The schemas of all types, by name.
fn schemas() -> BTreeMap<&'static str, Schema> {
    let mut schemas: BTreeMap<&str, Schema> = BTreeMap::new();
    for line in include_str!("schemas.tsv").lines().filter(|line| !line.starts_with('#')) {
        let mut cells = line.split('\t');
        let [type_name, path, kind] = [(); 3].map(|()| cells.next().expect("three columns at least"));
        let schema = schemas.entry(type_name).or_default();
        if let Some(attribute) = path.strip_prefix('@') {
            schema.attributes.insert(attribute.to_owned());
            continue;
        }
        let mut property = Property { kind: kind.to_owned(), ..Property::default() };
        for fact in cells {
            match fact.split_once('=') {
                None if fact == "required" => property.required = true,
                None if fact == "create-only" => property.create_only = true,
                None if fact == "sometimes create-only" => property.sometimes_create_only = true,
                None if fact == "read-only" => property.read_only = true,
                Some(("one of", values)) => property.values = values.split('|').map(str::to_owned).collect(),
                _ => panic!("no such fact: {fact}"),
            }
        }
        schema.properties.insert(path.to_owned(), property);
    }
    schemas
}

impl Schema {
    /// The properties by path without the ownership markers of lists and maps, as `Kind`'s lists write them.
    fn plain(&self) -> BTreeMap<String, Property> {
        let mut plain: BTreeMap<String, Property> = BTreeMap::new();
        for (path, property) in &self.properties {
            // An element or a map's value comes after what it is in, and adds its values to that.
            let known = plain.entry(path.replace("[]", "").replace("{}", "")).or_insert_with(|| property.clone());
            known.values.extend(property.values.iter().cloned());
        }
        plain
    }

    /// The names of the properties below a path, `""` for the type itself.
    fn below(&self, path: &str) -> Vec<&str> {
        let names = self.properties.keys().filter_map(|key| match path {
            "" => Some(key.as_str()),
            _ => key.strip_prefix(path)?.strip_prefix('.'),
        });
        names.filter(|name| !name.contains(['.', '[', '{'])).collect()
    }

    /// Properties that have everything: each list one element, each map one entry.
    fn sample(&self, path: &str) -> Value {
        let property = self.properties.get(path).cloned().unwrap_or_default();
        let is = |kind: &str| property.kind.split('|').any(|one| one == kind);
        let (element, entry) = (format!("{path}[]"), format!("{path}{{}}"));
        let names = self.below(path);
        if is("array") {
            let element = self.properties.contains_key(&element).then(|| self.sample(&element));
            json!([element.unwrap_or_else(|| json!("x"))])
        } else if !names.is_empty() {
            let at = |name: &str| if path.is_empty() { name.to_owned() } else { format!("{path}.{name}") };
            names.into_iter().map(|name| (name.to_owned(), self.sample(&at(name)))).collect()
        } else if self.properties.contains_key(&entry) {
            json!({ ENTRY: self.sample(&entry) })
        } else if is("object") {
            // Should the type say more of it than CloudFormation, it shows in the entry.
            json!({ ENTRY: {} })
        } else if is("boolean") {
            json!(true)
        } else if is("integer") || is("number") {
            json!(1)
        } else {
            property.values.first().map_or_else(|| json!("x"), |value| json!(value))
        }
    }
}

/// The key of a map's entry.
const ENTRY: &str = "*";

/// A path without indexes and map keys.
fn plain(path: &Path) -> String {
    let names = path.0.iter().filter_map(|step| match step {
        Step::Key(key) if key != ENTRY => Some(key.as_str()),
        _ => None,
    });
    names.collect::<Vec<_>>().join(".")
}

/// What a path is in, and its last name.
fn split(path: &str) -> (&str, &str) {
    path.rsplit_once('.').unwrap_or(("", path))
}

fn join(path: &str, name: &str) -> String {
    if path.is_empty() { name.to_owned() } else { format!("{path}.{name}") }
}

/// Calls `visit` with every map in `value` and its path.
fn visit(value: &mut Value, path: &str, visit_map: &mut impl FnMut(&str, &mut Map<String, Value>)) {
    match value {
        Value::Array(items) => items.iter_mut().for_each(|item| visit(item, path, visit_map)),
        Value::Object(members) => {
            visit_map(path, members);
            for (name, below) in members {
                let below_path = if name == ENTRY { path.to_owned() } else { join(path, name) };
                visit(below, &below_path, visit_map);
            }
        }
        _ => {}
    }
}

/// The properties that a type misses when it reads these.
fn missing(kind: &dyn Kind, properties: &Value) -> BTreeSet<String> {
    let read = kind.canonical(properties).err().unwrap_or_default();
    let refused = kind.refuses(properties).into_iter().map(|refusal| refusal.problem);
    let names = read.into_iter().chain(refused).filter_map(|problem| {
        let name = problem.what.strip_prefix("missing property \"")?.split('"').next()?.to_owned();
        Some(join(&plain(&problem.path), &name))
    });
    names.collect()
}

/// All in which a type differs from its schema.
fn differences(kind: &dyn Kind, schema: &Schema) -> BTreeSet<(What, String)> {
    let theirs = schema.plain();
    let mut found = BTreeSet::new();
    let mut note = |what: What, path: &str| {
        found.insert((what, path.to_owned()));
    };

    let mut sample = schema.sample("");
    let seen = trace::of(|| drop(kind.canonical(&sample)));
    let structs: BTreeMap<String, &[&str]> = seen.structs.iter().map(|(path, fields)| (plain(path), *fields)).collect();
    let enums: BTreeMap<String, &[&str]> = seen.enums.iter().map(|(path, variants)| (plain(path), *variants)).collect();
    let takes = |path: &str| {
        let (owner, name) = split(path);
        structs.get(owner).is_some_and(|fields| fields.contains(&name))
    };
    // What API Gateway's types cannot have depends on the protocol: of the other one they take it.
    let never: Vec<&str> = kind.never(&sample).iter().flat_map(|never| never.properties).copied().collect();
    let refused: Vec<&str> = kind.not_yet().iter().chain(&never).copied().collect();

    // What CloudFormation has.
    for (path, property) in &theirs {
        let covered = |outer: &&str| *outer == path || path.starts_with(&format!("{outer}."));
        if refused.iter().any(covered) {
            continue;
        }
        if property.read_only {
            if takes(path) {
                note(What::ReadOnly, path);
            }
            continue;
        }
        match structs.get(split(path).0) {
            Some(_) if !takes(path) => note(What::Unlisted, path),
            None if takes(split(path).0) => note(What::Opaque, split(path).0),
            // What it is in is reported itself, or not a property of its own.
            _ => {}
        }
        if property.create_only && takes(path) && !kind.create_only().contains(&path.as_str()) {
            note(What::CreateOnlyThere, path);
        }
    }
    // What the type has.
    for (owner, fields) in &structs {
        for path in fields.iter().map(|field| join(owner, field)) {
            if !theirs.contains_key(&path) && !kind.internal().contains(&path.as_str()) {
                note(What::Foreign, &path);
            }
        }
    }
    for (position, path) in refused.iter().enumerate() {
        if theirs.get(*path).is_none_or(|property| property.read_only) {
            note(What::Stale, path);
        }
        if takes(path) && !never.contains(path) || refused[..position].contains(path) {
            note(What::Twice, path);
        }
    }
    for path in kind.internal() {
        if !takes(path) || theirs.contains_key(*path) {
            note(What::Stale, path);
        }
    }
    let first = |path: &&'static str| path.split('.').next().unwrap_or_default();
    let lists = kind.create_only().iter().chain(kind.hard()).copied().chain(kind.any_if_absent().iter().map(first));
    for path in lists.chain(kind.naming().map(|naming| naming.property)) {
        if !takes(path) {
            note(What::Stale, path);
        }
    }
    for path in kind.create_only() {
        if theirs.get(*path).is_some_and(|property| !property.create_only && !property.sometimes_create_only) {
            note(What::CreateOnlyHere, path);
        }
    }

    // Values.
    for (path, variants) in &enums {
        let Some(property) = theirs.get(path).filter(|property| !property.values.is_empty()) else { continue };
        for value in &property.values {
            if !variants.contains(&value.as_str()) {
                note(What::ValueThere, &format!("{path}={value}"));
            }
        }
        for variant in variants.iter().filter(|variant| !property.values.contains(**variant)) {
            note(What::ValueHere, &format!("{path}={variant}"));
        }
    }

    // What is required: of properties that have all that the type takes, one after the other is left out.
    visit(&mut sample, "", &mut |path, members| {
        if let Some(fields) = structs.get(path) {
            members.retain(|name, _| fields.contains(&name.as_str()));
        }
        for (name, value) in members {
            let Some(variant) = enums.get(&join(path, name)).and_then(|variants| variants.first()) else { continue };
            *value = if value.is_array() { json!([variant]) } else { json!(variant) };
        }
    });
    for (path, property) in theirs.iter().filter(|(path, property)| takes(path) && !property.read_only) {
        let mut without = sample.clone();
        let (owner, name) = split(path);
        visit(&mut without, "", &mut |at, members| {
            if at == owner {
                members.remove(name);
            }
        });
        match (missing(kind, &without).contains(path), property.required) {
            (false, true) => note(What::RequiredThere, path),
            (true, false) => note(What::RequiredHere, path),
            _ => {}
        }
    }

    // Attributes.
    let scope = Scope {
        stack: "stack".to_owned(),
        account: "123456789012".to_owned(),
        region: "eu-central-1".to_owned(),
        partition: "aws".to_owned(),
    };
    let attribute = |name: &str| kind.attribute(&scope, Some("name"), Some(name));
    let listed = match attribute("no such attribute") {
        Attribute::Unknown(listed) => listed,
        other => panic!("{kind:?} gives {other:?} for any attribute"),
    };
    for name in &schema.attributes {
        match attribute(name) {
            Attribute::Unknown(_) => note(What::AttributeThere, name),
            // One that is not given yet is no advice.
            Attribute::NotYet if listed.contains(&name.as_str()) => note(What::Twice, name),
            Attribute::NotYet => {}
            _ if !listed.contains(&name.as_str()) => note(What::AttributeThere, name),
            _ => {}
        }
    }
    let guesses = ["Arn", "Id", "Name", "Ref"].into_iter().chain(theirs.keys().map(String::as_str));
    for name in listed.iter().copied().chain(guesses).filter(|name| !schema.attributes.contains(*name)) {
        if listed.contains(&name) || !matches!(attribute(name), Attribute::Unknown(_)) {
            note(What::AttributeHere, name);
        }
    }
    found
}

#[test]
fn the_types_are_those_of_cloudformation_but_for_what_has_a_reason() {
    let schemas = schemas();
    let ours: BTreeSet<&str> = kinds().iter().map(|kind| kind.type_name()).collect();
    assert_eq!(schemas.keys().copied().collect::<BTreeSet<_>>(), ours, "run .ci/aws-schemas");
    let mut idle: BTreeSet<(&str, What, String)> = BTreeSet::new();
    for Exception { type_name, what, paths, why } in EXCEPTIONS {
        assert!(!why.is_empty());
        idle.extend(paths.iter().map(|path| (*type_name, *what, (*path).to_owned())));
    }
    let mut unexcused = Vec::new();
    for kind in kinds() {
        let type_name = kind.type_name();
        for (what, path) in differences(kind, &schemas[type_name]) {
            let told = format!("{type_name} {path}: {what:?}");
            if !idle.remove(&(type_name, what, path)) {
                unexcused.push(told);
            }
        }
    }
    assert!(unexcused.is_empty(), "{}", unexcused.join("\n"));
    assert_eq!(idle, BTreeSet::new(), "these exceptions are needed no more");
}

/// What is told of `kind` under a schema and not of tables under theirs.
fn new_differences(kind: &dyn Kind, change: impl FnOnce(&mut Schema)) -> Vec<(What, String)> {
    let mut schema = schemas().remove(table::TYPE).expect("tables have a schema");
    let known = differences(&Table, &schema);
    change(&mut schema);
    differences(kind, &schema).difference(&known).cloned().collect()
}

#[test]
fn each_kind_of_difference_is_noticed() {
    fn at<'a>(schema: &'a mut Schema, path: &str) -> &'a mut Property {
        schema.properties.entry(path.to_owned()).or_default()
    }
    type Change = fn(&mut Schema);
    let table: [(What, &str, Change); 16] = [
        (What::Unlisted, "MadeUp", |schema| at(schema, "MadeUp").kind = "string".to_owned()),
        (What::Unlisted, "StreamSpecification.MadeUp", |schema| {
            at(schema, "StreamSpecification.MadeUp").kind = "object".to_owned();
        }),
        (What::Unlisted, "GlobalSecondaryIndexes.MadeUp", |schema| {
            at(schema, "GlobalSecondaryIndexes[].MadeUp").kind = "string".to_owned();
        }),
        (What::Foreign, "BillingMode", |schema| drop(schema.properties.remove("BillingMode"))),
        (What::Foreign, "GlobalSecondaryIndexes.IndexName", |schema| {
            schema.properties.remove("GlobalSecondaryIndexes[].IndexName");
        }),
        (What::ReadOnly, "BillingMode", |schema| at(schema, "BillingMode").read_only = true),
        (What::Opaque, "TableName", |schema| at(schema, "TableName.Inside").kind = "string".to_owned()),
        (What::Stale, "VectorIndexes", |schema| {
            schema.properties.retain(|path, _| !path.starts_with("VectorIndexes"));
        }),
        (What::RequiredThere, "BillingMode", |schema| at(schema, "BillingMode").required = true),
        (What::RequiredHere, "KeySchema", |schema| at(schema, "KeySchema").required = false),
        (What::ValueThere, "BillingMode=FREE", |schema| {
            at(schema, "BillingMode").values.insert("FREE".to_owned());
        }),
        (What::ValueHere, "BillingMode=PROVISIONED", |schema| {
            at(schema, "BillingMode").values.remove("PROVISIONED");
        }),
        (What::CreateOnlyThere, "BillingMode", |schema| at(schema, "BillingMode").create_only = true),
        (What::CreateOnlyHere, "TableName", |schema| at(schema, "TableName").create_only = false),
        (What::AttributeThere, "MadeUp", |schema| {
            schema.attributes.insert("MadeUp".to_owned());
        }),
        (What::AttributeHere, "StreamArn", |schema| {
            schema.attributes.remove("StreamArn");
        }),
    ];
    for (what, path, change) in table {
        assert_eq!(new_differences(&Table, change), [(what, path.to_owned())]);
    }
}

/// A table whose lists are wrong.
struct Altered;

impl Kind for Altered {
    fn type_name(&self) -> &'static str {
        table::TYPE
    }

    fn noun(&self) -> &'static str {
        Table.noun()
    }

    fn permissions(&self, _: &Subject<'_>, _: &mut Permissions) {}

    fn canonical(&self, properties: &Value) -> Result<Value, Vec<Problem>> {
        Table.canonical(properties)
    }

    fn not_yet(&self) -> &'static [&'static str] {
        // All that a table has, but for its last, and one that it takes.
        static LIST: LazyLock<Vec<&str>> = LazyLock::new(|| {
            let list = Table.not_yet();
            [&list[..list.len() - 1], &["TableClass"]].concat()
        });
        &LIST
    }

    fn internal(&self) -> &'static [&'static str] {
        &Table.internal()[1..]
    }

    fn create_only(&self) -> &'static [&'static str] {
        &["KeySchema", "LocalSecondaryIndexes", "MadeUp"]
    }

    fn hard(&self) -> &'static [&'static str] {
        &[]
    }

    fn attribute(&self, scope: &Scope, name: Option<&str>, attribute: Option<&str>) -> Attribute {
        match Table.attribute(scope, name, attribute) {
            Attribute::Unknown(_) => Attribute::Unknown(&["Arn"]),
            known => known,
        }
    }

    fn is(&self, _: &Desired, _: &Live) -> bool {
        false
    }
}

#[test]
fn each_wrong_list_of_a_type_is_noticed() {
    let found = new_differences(&Altered, |_| {});
    let expected = [
        (What::Unlisted, "WarmThroughput"),
        (What::Foreign, "GlobalSecondaryIndexes.KeySchema.AttributeType"),
        (What::Stale, "MadeUp"),
        (What::Twice, "TableClass"),
        (What::CreateOnlyThere, "TableName"),
        (What::AttributeThere, "StreamArn"),
    ];
    assert_eq!(found, expected.map(|(what, path)| (what, path.to_owned())));
}
