//! Holds the types against CloudFormation's resource schemas (`schemas.tsv`, which `.ci/aws-schemas` writes): which
//! properties there are on all levels, which are required, which values they take, which cannot be changed, and which
//! attributes there are. Where both differ on purpose, `EXCEPTIONS` says why.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Map, Value, json};

use super::{Attribute, Kind, kinds};
use crate::core::words::deserialize::trace;
use crate::core::words::{Path, Scope, Step};

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

/// What differs on purpose, and why.
const EXCEPTIONS: &[(&str, What, &str, &str)] = &[];

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
    /// The properties by path without the marks of lists and maps, as `Kind`'s lists write them.
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
    let never = kind.never().iter().flat_map(|never| never.properties);
    let refused: Vec<&str> = kind.not_yet().iter().chain(never).copied().collect();

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
        if takes(path) || refused[..position].contains(path) {
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
    assert_eq!(missing(kind, &sample), BTreeSet::new(), "{kind:?} {sample}");
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
    let mut excused = BTreeSet::new();
    let mut unexcused = Vec::new();
    for kind in kinds() {
        let type_name = kind.type_name();
        for (what, path) in differences(kind, &schemas[type_name]) {
            let exception = EXCEPTIONS.iter().position(|(of, why, at, _)| (*of, *why, *at) == (type_name, what, &path));
            match exception {
                Some(exception) => drop(excused.insert(exception)),
                None => unexcused.push(format!("{type_name} {path}: {what:?}")),
            }
        }
    }
    assert!(unexcused.is_empty(), "{}", unexcused.join("\n"));
    let idle = (0..EXCEPTIONS.len()).filter(|exception| !excused.contains(exception)).map(|idle| EXCEPTIONS[idle]);
    assert_eq!(idle.collect::<Vec<_>>(), [], "these exceptions are needed no more");
}
