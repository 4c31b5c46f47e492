//! The tags that mark a stack's resources.

use std::collections::BTreeMap;

use sha2::{Digest, Sha256};

use super::Owner;
use crate::core::words::naming::logical_id_in;
use crate::core::words::{DeletionPolicy, Scope};

pub const STACK: &str = "wschat:stack";
/// IAM is global: a role belongs to a stack in one region.
pub const REGION: &str = "wschat:region";
pub const LOGICAL_ID: &str = "wschat:logical-id";
/// On functions that have had versions or aliases: these carry no tags, and only functions with this tag are searched
/// for them.
pub const VERSIONS: &str = "wschat:versions";

/// The value of that tag where an alias has provisioned concurrency, or had.
pub const PROVISIONED: &str = "provisioned";
/// On tables that are encrypted with a key of the user's: the key as the template gives it, by id, ARN or alias, which no reading
/// gives back.
pub const KEY: &str = "wschat:key";
/// On resources that AWS Cloud Control provisions: the type, which an ARN does not tell.
pub const TYPE: &str = "wschat:type";
/// On the same: a short digest of what no reading gives back, so that a change of it is seen.
pub const WRITE_ONLY: &str = "wschat:write-only";
/// The prefix of tags on the same, one for each property (the rest of the key) that it takes to find the resource again and that its
/// ARN need not tell: `wschat:in:RestApiId`.
pub const LIES_IN: &str = "wschat:in:";
pub const DELETION_POLICY: &str = "wschat:deletion-policy";
/// The prefix of tags of an API, one for each statement that the stack has added to the policy of a function outside
/// the stack. The rest of the key is the statement's id; the value is the function and the statement's deletion policy.
pub const PERMISSION: &str = "wschat:permission:";

/// The prefix of tags of an API, one for each domain name that its stages are mapped to. The rest of the key is the
/// domain, `@` for the `*` of a wildcard.
pub const DOMAIN: &str = "wschat:domain:";

/// The prefix of tags that record a resource of the stack which cannot be tagged itself (`cloud_control::record`).
pub const RESOURCE: &str = "wschat:resource:";

/// The prefix of tags that say where the state of a custom resource is (`custom_resource::pointer`).
pub const CUSTOM: &str = "wschat:custom:";

/// The prefix of tags of one of the stack's resources, one for each value that the stack exports: `export_key`.
const EXPORT: &str = "wschat:export:";

/// The same for each value that the stack imports: `import_key`. An export that others import is guarded.
const IMPORT: &str = "wschat:import:";

/// The longest key of a tag, and the longest value.
const LONGEST_KEY: usize = 128;
const LONGEST_VALUE: usize = 256;

/// Tags by key.
pub type Tags = BTreeMap<String, String>;

/// The tags that mark a resource as a stack's.
pub fn ownership(scope: &Scope, logical_id: &str, policy: DeletionPolicy) -> Tags {
    [
        (STACK, scope.stack.as_str()),
        (REGION, &scope.region),
        (LOGICAL_ID, logical_id),
        (DELETION_POLICY, policy.as_str()),
    ]
    .into_iter()
    .map(|(key, value)| (key.to_owned(), value.to_owned()))
    .collect()
}

/// Resources that are read as if they carried the stack's tags, because they are about to: by type and physical id, the logical id
/// and the deletion policy.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Claims(BTreeMap<(String, String), (String, DeletionPolicy)>);

impl Claims {
    /// Claims a resource.
    pub fn add(&mut self, type_name: &str, physical_id: &str, logical_id: &str, policy: DeletionPolicy) {
        self.0.insert((type_name.to_owned(), physical_id.to_owned()), (logical_id.to_owned(), policy));
    }

    /// The tags of a resource, with the stack's where it is claimed and has no owner among wschat's stacks.
    pub fn tags(&self, scope: &Scope, type_name: &str, physical_id: &str, tags: Tags) -> Tags {
        if self.0.is_empty() || tags.contains_key(STACK) {
            return tags;
        }
        match self.0.get(&(type_name.to_owned(), physical_id.to_owned())) {
            Some((logical_id, policy)) => tags.into_iter().chain(ownership(scope, logical_id, *policy)).collect(),
            None => tags,
        }
    }

    /// The physical ids that are claimed of a type.
    pub fn of<'a>(&'a self, type_name: &'a str) -> impl Iterator<Item = &'a str> + 'a {
        self.0.keys().filter(move |(of, _)| of == type_name).map(|(_, id)| id.as_str())
    }

    /// The types of what is claimed.
    pub fn types(&self) -> std::collections::BTreeSet<&str> {
        self.0.keys().map(|(type_name, _)| type_name.as_str()).collect()
    }
}

/// How many tags a resource can have, in every service here ("Tagging your AWS resources"; Amazon API Gateway, "Tag restrictions").
pub const MAX: usize = 50;

/// How many of them the project may have: wschat needs a few itself.
const MAX_OF_PROJECT: usize = 40;

/// Whether a tag can be put on every resource (the strictest of IAM's, Lambda's and API Gateway's limits).
///
/// # Errors
/// Why not.
pub fn check(key: &str, value: &str) -> Result<(), String> {
    let allowed = |c: char| c.is_alphanumeric() || " _.:/=+-@".contains(c);
    let (key_length, value_length) = (key.chars().count(), value.chars().count());
    if key.to_ascii_lowercase().starts_with("aws:") || key.starts_with("wschat:") {
        return Err(format!("a key that begins with {} is not for users", key.split(':').next().unwrap_or_default()));
    }
    if !(1..=128).contains(&key_length) || value_length > 256 {
        return Err("a key has 1 to 128 characters, a value at most 256".to_owned());
    }
    if !key.chars().chain(value.chars()).all(allowed) {
        return Err("only letters, digits, spaces and _ . : / = + - @ are allowed".to_owned());
    }
    Ok(())
}

/// Whether every resource can have so many tags.
///
/// # Errors
/// Why not.
pub fn check_count(tags: &Tags) -> Result<(), String> {
    let count = tags.len();
    if count <= MAX_OF_PROJECT {
        return Ok(());
    }
    Err(format!(
        "{count} tags for every resource are too many: at most {MAX_OF_PROJECT}, the rest is for the template's"
    ))
}

/// Tags that are not AWS's own (`aws:…` can be neither set nor removed), and no records of other resources: those come and go
/// with what they record.
pub fn settable(tags: impl IntoIterator<Item = (String, String)>) -> Tags {
    tags.into_iter().filter(|(key, _)| !key.starts_with("aws:") && !is_record(key)).collect()
}

/// Whether a tag records another resource, an export or an import.
pub fn is_record(key: &str) -> bool {
    [RESOURCE, CUSTOM, PERMISSION, DOMAIN, EXPORT, IMPORT].iter().any(|prefix| key.starts_with(prefix))
}

/// The tags that record other resources, and exports.
pub fn records(tags: &Tags) -> impl Iterator<Item = (String, String)> + '_ {
    tags.iter().filter(|(key, _)| is_record(key)).map(|(key, value)| (key.clone(), value.clone()))
}

/// The tag that CloudFormation puts on what it makes, and that stays on it for ever: the id of the stack.
pub const FORMED_BY: &str = "aws:cloudformation:stack-id";

/// The tags that are no properties, and that a reading knows all the same: records, and who made the resource.
pub fn carried(tags: &Tags) -> impl Iterator<Item = (String, String)> + '_ {
    let formed_by = tags.get_key_value(FORMED_BY).map(|(key, value)| (key.clone(), value.clone()));
    records(tags).chain(formed_by)
}

/// Whether the tag of this key records an export.
pub fn is_export(key: &str) -> bool {
    key.starts_with(EXPORT)
}

/// Whether the tag of this key records an import.
pub fn is_import(key: &str) -> bool {
    key.starts_with(IMPORT)
}

/// The key of the tag that records the export of this name.
pub fn export_key(name: &str) -> String {
    key(EXPORT, name)
}

/// The key of the tag that records the import of what is exported under the key of [`export_key`].
pub fn import_key(export_key: &str) -> String {
    export_key.replacen(EXPORT, IMPORT, 1)
}

/// Names have letters, digits, colons and hyphens; of one that is too long the end is a digest, behind what no name contains.
fn key(prefix: &str, name: &str) -> String {
    let whole = format!("{prefix}{name}");
    if whole.len() <= LONGEST_KEY {
        return whole;
    }
    let digest = hex::encode(Sha256::digest(name));
    let end = format!("_{}", &digest[..32]);
    format!("{}{end}", &whole[..LONGEST_KEY - end.len()])
}

/// The name of the export that the tag of this key records, as far as the key tells.
pub fn export_name(key: &str) -> Option<&str> {
    key.strip_prefix(EXPORT).filter(|name| !name.contains('_'))
}

/// An exported value as the value of a tag. Characters that tags cannot have are written `@` and two hexadecimal digits for
/// each byte of UTF-8, and so is `@`.
///
/// # Errors
/// How many characters it would take, where those are more than a tag has.
pub fn export_value(value: &str) -> Result<String, usize> {
    let mut text = String::new();
    for byte in value.bytes() {
        if byte.is_ascii_alphanumeric() || b"_.:/=+-".contains(&byte) {
            text.push(char::from(byte));
        } else {
            text.push_str(&format!("@{byte:02x}"));
        }
    }
    if text.len() <= LONGEST_VALUE { Ok(text) } else { Err(text.len()) }
}

/// The exported value that the value of a tag records; `None` for one that no export has.
pub fn exported(text: &str) -> Option<String> {
    let mut bytes = Vec::new();
    let mut rest = text;
    while let Some((before, after)) = rest.split_once('@') {
        bytes.extend_from_slice(before.as_bytes());
        let (digits, after) = after.split_at_checked(2)?;
        bytes.extend(hex::decode(digits).ok()?);
        rest = after;
    }
    bytes.extend_from_slice(rest.as_bytes());
    String::from_utf8(bytes).ok()
}

/// The owner of a resource without an ownership tag.
pub const UNTAGGED: &str = "an unknown owner (it has no wschat tags)";

/// The owner of a resource with these tags, for the stack in `scope`: that stack only if the region is the same, which
/// wschat always writes with the name.
pub fn owner(tags: &Tags, scope: &Scope) -> Owner {
    match tags.get(STACK) {
        Some(owner) if *owner == scope.stack || scope.stack.is_empty() => match tags.get(REGION) {
            Some(region) if *region == scope.region => Owner::Stack,
            Some(region) => Owner::Other(format!("the wschat stack \"{owner}\" in {region}")),
            None => Owner::Other(format!("an unknown owner (it has the tag {STACK} \"{owner}\", but no {REGION})")),
        },
        Some(other) => Owner::Other(format!("the wschat stack \"{other}\"")),
        None => match tags.get("aws:cloudformation:stack-name") {
            Some(other) => Owner::Other(format!("the CloudFormation stack \"{other}\"")),
            None => Owner::Other(UNTAGGED.to_owned()),
        },
    }
}

/// The deletion policy that a resource was tagged with.
pub fn deletion_policy(tags: &Tags) -> DeletionPolicy {
    tags.get(DELETION_POLICY).and_then(|policy| DeletionPolicy::read(policy)).unwrap_or_default()
}

/// Whether `name` looks generated for `stack`: `{stack}-{LogicalId}-{8 hex}`. This is a guess, good enough to decide
/// which resources to look at closely, but no proof of ownership. Logical ids have no hyphen, so a stack whose name
/// begins with another's is not mistaken for it.
pub fn is_generated_name(stack: &str, name: &str) -> bool {
    logical_id_in(stack, name).is_some()
}

/// The tags to set and the keys to remove to turn `from` into `to`.
pub fn difference(from: &Tags, to: &Tags) -> (Tags, Vec<String>) {
    let set = to.iter().filter(|(key, value)| from.get(*key) != Some(value));
    let removed = from.keys().filter(|key| !to.contains_key(*key));
    (set.map(|(key, value)| (key.clone(), value.clone())).collect(), removed.cloned().collect())
}

/// Reads `Tags` in a template's form, a list of `Key` and `Value` or a map, into a map.
///
/// # Errors
/// Any other form.
pub fn deserialize<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<Tags, D::Error> {
    use serde::Deserialize;

    #[derive(Deserialize)]
    #[serde(rename_all = "PascalCase")]
    struct Tag {
        key: String,
        value: String,
    }

    struct Either;

    impl<'de> serde::de::Visitor<'de> for Either {
        type Value = Tags;

        fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
            f.write_str("a list of Key and Value, or a map")
        }

        fn visit_seq<A: serde::de::SeqAccess<'de>>(self, mut items: A) -> Result<Tags, A::Error> {
            let mut tags = Tags::new();
            while let Some(Tag { key, value }) = items.next_element()? {
                tags.insert(key, value);
            }
            Ok(tags)
        }

        fn visit_map<A: serde::de::MapAccess<'de>>(self, mut entries: A) -> Result<Tags, A::Error> {
            let mut tags = Tags::new();
            while let Some((key, value)) = entries.next_entry::<String, String>()? {
                tags.insert(key, value);
            }
            Ok(tags)
        }
    }

    deserializer.deserialize_any(Either)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn exports_survive_in_tags() {
        let allowed = |c: char| c.is_ascii_alphanumeric() || " _.:/=+-@".contains(c);
        for value in ["", "chat-Table-0a1b2c3d", "wss://x/live", "a, b*{}@", "ünï\n"] {
            let text = export_value(value).unwrap();
            assert!(text.chars().all(allowed), "{text}");
            assert_eq!(exported(&text).as_deref(), Some(value));
        }
        assert_eq!(export_value("arn:aws:s3:::a/b_c=d+e"), Ok("arn:aws:s3:::a/b_c=d+e".to_owned()));
        assert_eq!(export_value(&"é".repeat(50)), Err(300));
        assert_eq!(exported("@4"), None);
        let long = "Data:".to_owned() + &"x".repeat(200);
        let (key, other) = (export_key(&long), export_key(&format!("{long}y")));
        assert_eq!((key.len(), export_key("Data:x").as_str()), (LONGEST_KEY, "wschat:export:Data:x"));
        assert_ne!(key, other);
        assert_eq!((export_name("wschat:export:Data:x"), export_name(&key)), (Some("Data:x"), None));
        let tags = Tags::from([(key.clone(), "v".to_owned()), ("team".to_owned(), "chat".to_owned())]);
        assert_eq!(records(&tags).map(|(key, _)| key).collect::<Vec<_>>(), [key]);
        assert_eq!(settable(tags).into_keys().collect::<Vec<_>>(), ["team"]);
    }

    #[test]
    fn generated_names_belong_to_one_stack_only() {
        let table = [
            ("chat", "chat-Table-0a1b2c3d", true),
            ("chat", "chat-two-Table-0a1b2c3d", false),
            ("chat-two", "chat-two-Table-0a1b2c3d", true),
            ("chat", "chat-Table-0a1b2c3", false),
            ("chat", "chat-Table-0a1b2c3g", false),
            ("chat", "chat-Table", false),
            ("chat", "chatTable-0a1b2c3d", false),
            ("chat", "chat--0a1b2c3d", false),
            ("chats", "chat-Table-0a1b2c3d", false),
        ];
        for (stack, name, expected) in table {
            assert_eq!(is_generated_name(stack, name), expected, "{name} in {stack}");
        }
    }

    #[test]
    fn the_owner_is_told_from_tags() {
        let tags = |pairs: &[(&str, &str)]| -> Tags {
            pairs.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect()
        };
        let scope = Scope {
            stack: "chat".to_owned(),
            account: "123456789012".to_owned(),
            region: "eu-west-1".to_owned(),
            partition: "aws".to_owned(),
        };
        let other = |text: &str| Owner::Other(text.to_owned());
        let table = [
            (tags(&[(STACK, "chat"), (REGION, "eu-west-1")]), Owner::Stack),
            (
                tags(&[(STACK, "chat")]),
                other("an unknown owner (it has the tag wschat:stack \"chat\", but no wschat:region)"),
            ),
            (tags(&[(STACK, "chat"), (REGION, "us-east-1")]), other("the wschat stack \"chat\" in us-east-1")),
            (tags(&[(STACK, "other")]), other("the wschat stack \"other\"")),
            (tags(&[("aws:cloudformation:stack-name", "sam")]), other("the CloudFormation stack \"sam\"")),
            (tags(&[("team", "chat")]), other(UNTAGGED)),
        ];
        for (tags, expected) in table {
            assert_eq!(owner(&tags, &scope), expected, "{tags:?}");
        }
    }
}
