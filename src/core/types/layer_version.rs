//! `AWS::Lambda::LayerVersion`: files that functions find below `/opt`.
//!
//! A layer is no more than the name of its versions, and a version never changes: other content or settings are another version,
//! and the old one is deleted unless it is to be retained. Nothing of this can carry tags. So the end of a version's description says
//! whose it is, and what is in it: no list of Lambda's tells that, and asking for each version would take another round trip.
//!
//! Several stacks may give a layer the same name, as all copies of a SAM template do: each has versions of its own.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::constraints::{self, Refusal};
use super::iam_permissions::{ANY, Permissions, Roles, Subject};
use super::{
    Attribute, Desired, Kind, Live, Names, Naming, Planning, PropertyError, ResourceView, StackView, canonical,
    function, names, ownership_marker, texts,
};
use crate::core::words::{DeletionPolicy, Path, Problem, ProblemKind, Scope};

pub const TYPE: &str = names::LAYER_VERSION;

/// A version of a layer.
pub struct LayerVersion;

#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct Props {
    pub(crate) layer_name: Option<String>,
    #[serde(default)]
    pub(crate) description: String,
    /// Where the content comes from makes no difference to what is deployed: that is its digest.
    #[serde(default, skip_serializing)]
    pub(crate) content: Option<Value>,
    #[serde(default)]
    pub(crate) compatible_architectures: Vec<String>,
    #[serde(default)]
    pub(crate) compatible_runtimes: Vec<String>,
    pub(crate) license_info: Option<String>,
    /// Put in by the plan, from the content that was built; of a live one, `digest` of it.
    pub(crate) code_sha256: Option<String>,
    /// Put in by the plan.
    pub(crate) ownership_marker: Option<String>,
}

/// What the end of a description says of a version.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Mark<'a> {
    pub stack: &'a str,
    /// The content, as `digest` gives it.
    pub digest: &'a str,
    pub logical_id: &'a str,
    pub policy: DeletionPolicy,
}

/// The SHA-256 of a zip, base64, as descriptions have it: without the characters that separate the parts of a mark.
pub fn digest(sha256: &str) -> String {
    sha256.trim_end_matches('=').replace('/', "_").replace('+', "-")
}

/// The description of a version with these words: they and a mark, `marker` being the plan's ownership marker.
///
/// # Errors
/// Both together are longer than Lambda accepts.
pub fn described(words: &str, stack: &str, sha256: &str, marker: &str) -> Result<String, PropertyError> {
    ownership_marker::describe(words, Some(&format!("{stack}/{}/{marker}", digest(sha256))))
}

/// The words of a description and its mark; none of a version that wschat did not publish.
pub fn read_description(text: &str) -> (&str, Option<Mark<'_>>) {
    let read = || {
        let (words, mark) = text.rsplit_once(ownership_marker::PREFIX)?;
        let mut parts = mark.split('/');
        let (stack, digest, marker) = (parts.next()?, parts.next()?, parts.next()?);
        let (logical_id, policy) = ownership_marker::read(marker);
        let is_ours = parts.next().is_none() && digest.len() == 43 && !stack.is_empty() && !logical_id.is_empty();
        is_ours.then_some((words.trim_end(), Mark { stack, digest, logical_id, policy }))
    };
    read().map_or((text, None), |(words, mark)| (words, Some(mark)))
}

/// The name and the number in the ARN of a version.
pub fn name_and_number(arn: &str) -> Option<(&str, i64)> {
    let (_, rest) = arn.split_once(":layer:")?;
    let (name, number) = rest.split_once(':')?;
    Some((name, number.parse().ok()?))
}

impl Kind for LayerVersion {
    fn type_name(&self) -> &'static str {
        TYPE
    }

    fn noun(&self) -> &'static str {
        "layer version"
    }

    fn described(&self, live: &Live, _: &dyn Names) -> Option<String> {
        let (name, number) = name_and_number(&live.physical_id)?;
        Some(format!("version {number} of the layer {name}"))
    }

    fn naming(&self) -> Option<Naming> {
        Some(Naming { property: "LayerName", longest: 140, within: None, path: None })
    }

    fn canonical(&self, properties: &Value) -> Result<Value, Vec<Problem>> {
        canonical::<Props>(properties)
    }

    fn internal(&self) -> &'static [&'static str] {
        &[function::CODE, ownership_marker::PROPERTY]
    }

    fn complete(&self, it: &ResourceView<'_>, properties: &mut Value, stack: &dyn Planning) {
        properties[ownership_marker::PROPERTY] = ownership_marker::of(it.logical_id, it.deletion_policy).into();
        if let Some(sha256) = stack.code(it.logical_id) {
            properties[function::CODE] = sha256.into();
        }
    }

    /// Its name is of a layer, which is there before and after it; everything else makes another version.
    fn create_only(&self) -> &'static [&'static str] {
        &["LayerName"]
    }

    /// Nothing about a version can change: one that is what the template wants has no differences.
    fn is_compared(&self, property: &str, exists: bool) -> bool {
        !exists && property != function::CODE
    }

    fn hard(&self) -> &'static [&'static str] {
        &[]
    }

    fn attribute(&self, _: &Scope, _: Option<&str>, attribute: Option<&str>) -> Attribute {
        match attribute {
            None => Attribute::Minted,
            Some("LayerVersionArn") => Attribute::Ref,
            Some(_) => Attribute::Unknown(&["LayerVersionArn"]),
        }
    }

    fn known_id(&self, _: &Desired) -> Option<String> {
        // AWS mints the number.
        None
    }

    fn agrees_in(&self) -> &'static [&'static str] {
        &["LayerName"]
    }

    fn is(&self, desired: &Desired, live: &Live) -> bool {
        let (wanted, there) = (&desired.properties, &live.properties);
        // Before the content is built, what there is of it is as good as any.
        let content = wanted[function::CODE]
            .as_str()
            .is_none_or(|sha256| there[function::CODE].as_str().is_some_and(|there| there == digest(sha256)));
        let sorted = |value: &Value| {
            let mut texts: Vec<String> = texts(value).map(str::to_owned).collect();
            texts.sort();
            texts
        };
        let marker = wanted[ownership_marker::PROPERTY].as_str().map(|marker| ownership_marker::read(marker).1);
        content
            && ["LayerName", "Description", "LicenseInfo"].iter().all(|name| wanted[*name] == there[*name])
            && ["CompatibleArchitectures", "CompatibleRuntimes"]
                .iter()
                .all(|name| sorted(&wanted[*name]) == sorted(&there[*name]))
            // What is to become of it cannot be changed, either.
            && marker.is_none_or(|policy| policy == live.deletion_policy)
    }

    fn is_left_alone(&self, live: &Live, stack: &dyn StackView) -> bool {
        // Older ones that shall stay are no news in any plan.
        let replaced = live.logical_id.as_deref().and_then(|id| stack.get(id)).map(|it| it.update_replace_policy);
        [Some(live.deletion_policy), replaced].into_iter().flatten().any(|policy| policy != DeletionPolicy::Delete)
    }

    fn refuses(&self, properties: &Value) -> Vec<Refusal> {
        let mut refusals = constraints::check(TYPE, properties);
        // `canonical` cannot say it: what the plan and AWS know of a layer has no content in it.
        if properties.get("Content").is_none() {
            let problem = Problem::new(Path::default(), format!("missing property \"Content\" of {TYPE}"))
                .kind(ProblemKind::Missing)
                .help("give the local folder or zip file");
            refusals.push(Refusal { problem, missing: true });
        }
        refusals
    }

    fn code_property(&self) -> Option<&'static str> {
        Some("Content")
    }

    fn deleted_after(&self) -> &'static [&'static str] {
        // Not that AWS asks for it: a function keeps the layers that it was given.
        &[names::FUNCTION]
    }

    fn is_used_by_id(&self) -> bool {
        false
    }

    fn is_left_behind(&self) -> bool {
        true
    }

    fn permissions_to_list(&self, _: &Scope, _: Roles, permissions: &mut Permissions) {
        // Neither is allowed for single layers (Service Authorization Reference).
        permissions.allow("lambda", &["ListLayers", "ListLayerVersions"], "*");
    }

    fn permissions(&self, it: &Subject<'_>, permissions: &mut Permissions) {
        for name in it.texts("LayerName") {
            let layer = it.scope.arn("lambda", &format!("layer:{name}"));
            let version = format!("{layer}:{ANY}");
            permissions.allow("lambda", &["GetLayerVersionPolicy"], version.as_str());
            // Only a build could tell whether its content differs.
            if it.creates || it.keeps {
                permissions.allow("lambda", &["PublishLayerVersion"], layer);
                permissions.allow("lambda", &["DeleteLayerVersion", "GetLayerVersion"], version.as_str());
            }
            if it.deletes {
                permissions.allow("lambda", &["DeleteLayerVersion"], version);
            }
        }
    }

    fn permissions_to_import(&self, it: &Subject<'_>, _: bool, permissions: &mut Permissions) {
        for name in it.texts("LayerName") {
            permissions.allow("lambda", &["GetLayerVersion"], it.scope.arn("lambda", &format!("layer:{name}:{ANY}")));
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    const SHA256: &str = "9tM/+Ud3RKtXyMeHSqNmrHqGuEC9ZpTtzSqCbBKvFkU=";

    #[test]
    fn a_description_says_whose_a_version_is_and_what_is_in_it() {
        for words in ["", "How frames are written"] {
            let text = described(words, "chat-dev", SHA256, "Wire0a1b2c3d4e:Retain").unwrap();
            let (read, mark) = read_description(&text);
            let mark = mark.unwrap();
            assert_eq!((read, mark.stack, mark.logical_id), (words, "chat-dev", "Wire0a1b2c3d4e"), "{text}");
            assert_eq!((mark.digest, mark.policy), (digest(SHA256).as_str(), DeletionPolicy::Retain));
        }
        for by_hand in ["", "by hand", "see wschat:chat/Wire", "wschat:a/b/c/d"] {
            assert_eq!(read_description(by_hand), (by_hand, None));
        }
        assert!(described(&"x".repeat(200), "chat", SHA256, "Wire").is_err());
    }

    #[test]
    fn a_version_is_known_by_all_that_it_is() {
        let properties = json!({
            "LayerName": "wire", "Description": "words", "CompatibleArchitectures": [],
            "CompatibleRuntimes": ["nodejs22.x", "nodejs24.x"],
        });
        let desired = |property: &str, value: Value| {
            let mut properties = properties.clone();
            properties[function::CODE] = json!(SHA256);
            properties[ownership_marker::PROPERTY] = json!("Wire");
            properties[property] = value;
            Desired { logical_id: "Wire".to_owned(), name: Some("wire".to_owned()), properties, code: None }
        };
        let mut there = properties.clone();
        there[function::CODE] = json!(digest(SHA256));
        let live = Live::new(TYPE, "arn:aws:lambda:eu-west-1:123456789012:layer:wire:3", there);
        for (property, value, expected) in [
            ("LayerName", json!("wire"), true),
            ("CompatibleRuntimes", json!(["nodejs24.x", "nodejs22.x"]), true),
            (function::CODE, Value::Null, true),
            ("LayerName", json!("other"), false),
            ("Description", json!("other"), false),
            ("LicenseInfo", json!("MIT"), false),
            ("CompatibleRuntimes", json!(["nodejs24.x"]), false),
            ("CompatibleArchitectures", json!(["arm64"]), false),
            (function::CODE, json!("other"), false),
            (ownership_marker::PROPERTY, json!("Wire:Retain"), false),
        ] {
            assert_eq!(LayerVersion.is(&desired(property, value.clone()), &live), expected, "{property} {value}");
        }
        assert_eq!(name_and_number(&live.physical_id), Some(("wire", 3)));
        assert_eq!(name_and_number("wire"), None);
    }
}
