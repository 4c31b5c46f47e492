//! `AWS::Lambda::Version`: a function's code and configuration as they were when it was published.
//!
//! For CloudFormation a version is published once, and stays what it was for as long as its logical id is the same:
//! whoever changes the function and forgets the id leaves the old code behind his alias, and nothing says so. Here a
//! version is what its function is to be, as a deployment is of its API: `up` looks for one that has frozen just that,
//! and publishes another where there is none. SAM's `AutoPublishAlias` makes new ids only for some changes; here any
//! change of what Lambda freezes counts.
//!
//! What a version froze is read from itself: it needs no digest.
//!
//! A function's description counts, too, where the version has none of its own: Lambda publishes another version after
//! a change of that alone (recorded by LocalStack against AWS, `test_lambda_api`). A version's own description does
//! not: of an unchanged function Lambda publishes no second version, and CloudFormation fails there ("A version for
//! this Lambda function exists", serverless/serverless#8251).

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::deployment::FREEZES;
use super::iam_permissions::{ANY, Permissions, Subject};
use super::{
    Attribute, Desired, Kind, Live, Names, Planning, ResourceView, StackView, Within, canonical, function, names,
    ownership_marker,
};
use crate::core::words::{DeletionPolicy, Problem, ProblemKind, Scope};

pub const TYPE: &str = names::VERSION;

/// A published version.
pub struct Version;

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct Props {
    #[serde(deserialize_with = "function::name")]
    pub(crate) function_name: String,
    #[serde(default)]
    pub(crate) description: String,
    /// The code that it must be; Lambda refuses to publish any other.
    pub(crate) code_sha256: Option<String>,
    /// Put in by the plan: the canonical properties of the function that a version freezes.
    pub(crate) freezes: Option<Value>,
    /// Put in by the plan.
    pub(crate) ownership_marker: Option<String>,
}

/// In what a version freezes: the description that it has from its function.
pub const DESCRIPTION: &str = "Description";

/// The description that a version is published with, without the ownership marker: its own or, as far as it fits, its
/// function's.
pub(crate) fn words(description: &str, freezes: Option<&Value>, marker: Option<&str>) -> String {
    let inherited = freezes.and_then(|frozen| frozen[DESCRIPTION].as_str()).filter(|_| description.is_empty());
    inherited.map_or_else(|| description.to_owned(), |inherited| ownership_marker::fitting(inherited, marker))
}

impl Kind for Version {
    fn type_name(&self) -> &'static str {
        TYPE
    }

    fn noun(&self) -> &'static str {
        "version"
    }

    fn described(&self, live: &Live, names: &dyn Names) -> Option<String> {
        let (function, name) = live.physical_id.split_once(':')?;
        Some(format!("version {name} of {}", function::logical_id(names, function)))
    }

    fn within(&self) -> Option<Within> {
        Some(Within { property: "FunctionName", types: &[names::FUNCTION] })
    }

    fn deleted_after(&self) -> &'static [&'static str] {
        // A name goes before what it names.
        &[names::ALIAS]
    }

    fn canonical(&self, properties: &Value) -> Result<Value, Vec<Problem>> {
        canonical::<Props>(properties)
    }

    fn not_yet(&self) -> &'static [&'static str] {
        &["FunctionScalingConfig", "ProvisionedConcurrencyConfig", "RuntimePolicy"]
    }

    fn internal(&self) -> &'static [&'static str] {
        &[FREEZES, ownership_marker::PROPERTY]
    }

    fn create_only(&self) -> &'static [&'static str] {
        &["FunctionName"]
    }

    fn hard(&self) -> &'static [&'static str] {
        &["FunctionName"]
    }

    fn attribute(&self, _: &Scope, _: Option<&str>, attribute: Option<&str>) -> Attribute {
        match attribute {
            None | Some("Version") => Attribute::Minted,
            Some("FunctionArn") => Attribute::Ref,
            Some(_) => Attribute::Unknown(&["Version", "FunctionArn"]),
        }
    }

    fn parent(&self) -> Option<&'static str> {
        Some(names::FUNCTION)
    }

    fn agrees_in(&self) -> &'static [&'static str] {
        &["FunctionName"]
    }

    fn is(&self, desired: &Desired, live: &Live) -> bool {
        let (wanted, frozen) = (&desired.properties[FREEZES], &live.properties[FREEZES]);
        // Before the code is built, what there is of it is as good as any.
        let code = wanted.get(function::CODE).is_none_or(|code| frozen.get(function::CODE) == Some(code));
        let inherited = wanted.get(DESCRIPTION).is_none_or(|_| {
            let words = words("", Some(wanted), desired.properties[ownership_marker::PROPERTY].as_str());
            frozen[DESCRIPTION].as_str().unwrap_or_default() == words
        });
        let others = |properties: &Value| {
            let mut others = properties.clone();
            if let Some(members) = others.as_object_mut() {
                members.retain(|name, _| ![function::CODE, DESCRIPTION].contains(&name.as_str()));
            }
            others
        };
        desired.properties["FunctionName"].as_str() == live.parent.as_deref()
            && code
            && inherited
            && others(wanted) == others(frozen)
    }

    /// A version is what its function is now, so a template has one; older versions are not described.
    fn conflicts(&self, stack: &dyn StackView) -> Vec<Problem> {
        let mut published = BTreeMap::new();
        let mut problems = Vec::new();
        let is_image = |name: &str| {
            stack
                .of(names::FUNCTION)
                .any(|it| it.name == Some(name) && it.properties.get(function::IMAGE_URI).is_some())
        };
        for version in stack.of(TYPE).filter(|version| is_image(version.text("FunctionName"))) {
            let what = "versions of functions from container images are not supported yet";
            let help = "Lambda's lists do not say which image a version has: leave the version out, or use a zip";
            problems.push(Problem::new(version.path(), what).kind(ProblemKind::Unsupported).help(help));
        }
        for version in stack.of(TYPE).filter(|version| !version.text("FunctionName").is_empty()) {
            if let Some(other) = published.insert(version.text("FunctionName"), version.logical_id) {
                let what = format!("{other} already is a version of this function");
                let help = "keep one: a new version is published whenever the function changes";
                problems
                    .push(Problem::new(version.path_of("FunctionName"), what).kind(ProblemKind::Duplicate).help(help));
            }
        }
        problems
    }

    /// What it will freeze: its function, as that is to be.
    fn complete(&self, it: &ResourceView<'_>, properties: &mut Value, stack: &dyn Planning) {
        properties[ownership_marker::PROPERTY] = ownership_marker::of(it.logical_id, it.deletion_policy).into();
        let Some(function) = stack.named(names::FUNCTION, it.text("FunctionName")) else { return };
        let function = stack.completed(&function);
        properties[FREEZES] = function::frozen(&function);
        if properties["Description"].as_str().is_none_or(str::is_empty) {
            let inherited = function["Description"].as_str().unwrap_or_default();
            properties[FREEZES][DESCRIPTION] = Value::from(inherited);
        }
    }

    /// One that froze the same is the one, whatever it was called when it was published: nothing can change it.
    fn is_compared(&self, property: &str, exists: bool) -> bool {
        !exists && !property.starts_with(FREEZES)
    }

    fn is_left_alone(&self, live: &Live, stack: &dyn StackView) -> bool {
        // One made by hand is somebody's own: nothing else of the stack is served by it.
        let Some(logical_id) = &live.logical_id else { return true };
        // Older ones that shall stay are no news in any plan.
        let replaced = stack.get(logical_id).map(|wanted| wanted.update_replace_policy);
        [Some(live.deletion_policy), replaced].into_iter().flatten().any(|policy| policy != DeletionPolicy::Delete)
    }

    fn needs_ready(&self, _: &dyn Kind) -> bool {
        // Only a function that can be invoked is published.
        true
    }

    fn used_with<'a>(&self, live: &'a Live) -> Vec<&'a str> {
        live.parent.as_deref().into_iter().collect()
    }

    fn is_left_behind(&self) -> bool {
        true
    }

    fn permissions(&self, it: &Subject<'_>, permissions: &mut Permissions) {
        // It is published under its function's ARN; it is read and deleted under its own.
        for function in it.texts("FunctionName") {
            let function = function::arn(it.scope, &function);
            let version = format!("{function}:{}", ANY);
            // Only a build could tell whether its function's code differs.
            if it.creates || it.keeps {
                permissions.allow("lambda", &["PublishVersion"], function);
                permissions.allow("lambda", &["GetFunction", "DeleteFunction"], version.as_str());
            }
            if it.deletes {
                permissions.allow("lambda", &["DeleteFunction"], version);
            }
        }
    }

    fn permissions_to_import(&self, it: &Subject<'_>, _: bool, permissions: &mut Permissions) {
        for function in it.texts("FunctionName") {
            let version = format!("{}:{ANY}", function::arn(it.scope, &function));
            let actions = ["GetFunctionConfiguration", "GetProvisionedConcurrencyConfig", "GetRuntimeManagementConfig"];
            permissions.allow("lambda", &actions, version.as_str());
            permissions.allow("lambda", &["GetFunctionScalingConfig"], version);
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn version(freezes: Value) -> Desired {
        let properties = json!({ "FunctionName": "chat", "Description": "words", FREEZES: freezes });
        Desired { logical_id: "V".to_owned(), name: None, properties, code: None }
    }

    #[test]
    fn a_version_is_known_by_what_it_froze() {
        let live = Live::new(
            TYPE,
            "chat:3",
            json!({ "FunctionName": "chat", FREEZES: { "CodeSha256": "a", "MemorySize": 128 } }),
        );
        let (live, other) = (live.clone().below("chat"), live.below("other"));
        let described = |words: &str| {
            let mut described = live.clone();
            described.properties[FREEZES][DESCRIPTION] = Value::from(words);
            described
        };
        let inherits = |words: &str| version(json!({ "MemorySize": 128, DESCRIPTION: words }));
        for (wanted, of_live, expected) in [("", "", true), ("a", "a", true), ("a", "b", false), ("", "b", false)] {
            assert_eq!(Version.is(&inherits(wanted), &described(of_live)), expected, "{wanted:?} {of_live:?}");
        }
        assert!(Version.is(&version(json!({ "MemorySize": 128 })), &described("its own")));
        let long = "x".repeat(256);
        let mut marked = inherits(&long);
        marked.properties[ownership_marker::PROPERTY] = json!("V");
        assert!(Version.is(&marked, &described(&long[..247])), "as much of it as fits before the ownership marker");
        for (freezes, expected) in [
            (json!({ "CodeSha256": "a", "MemorySize": 128 }), true),
            (json!({ "MemorySize": 128 }), true),
            (json!({ "CodeSha256": "b", "MemorySize": 128 }), false),
            (json!({ "CodeSha256": "a", "MemorySize": 256 }), false),
            (json!({ "MemorySize": 256 }), false),
        ] {
            assert_eq!(Version.is(&version(freezes.clone()), &live), expected, "{freezes}");
            assert!(!Version.is(&version(freezes), &other));
        }
    }
}
