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
//! A function's description counts, too, where the version has none of its own: Lambda publishes another version after a change of
//! that alone (recorded by LocalStack against AWS, `test_lambda_api`). A version's own description does not: of an unchanged
//! function Lambda publishes no second version, and CloudFormation fails there ("A version for this Lambda function exists",
//! serverless/serverless#8251).

use async_trait::async_trait;
use aws_sdk_lambda::types as sdk;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::deployment::FREEZES;
use super::{
    Attribute, Context, Created, Kind, Live, Provider, ResourceError, Sought, Want, canonical, function, gone_is_fine,
    mark, pages,
};
use crate::aws::{Aws, Call};
use crate::core::words::{Problem, Scope};

pub const TYPE: &str = "AWS::Lambda::Version";

/// A published version.
pub struct Version;

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Props {
    #[serde(deserialize_with = "function::name")]
    function_name: String,
    #[serde(default)]
    description: String,
    /// The code that it must be; Lambda refuses to publish any other.
    code_sha256: Option<String>,
    /// Put in by the plan: the canonical properties of the function that a version freezes.
    freezes: Option<Value>,
    /// Put in by the plan.
    mark: Option<String>,
}

/// In what a version freezes: the description that it has from its function.
pub const DESCRIPTION: &str = "Description";

/// The description that a version is published with, without the mark: its own or, as far as it fits, its function's.
fn words(description: &str, freezes: Option<&Value>, mark: Option<&str>) -> String {
    let inherited = freezes.and_then(|frozen| frozen[DESCRIPTION].as_str()).filter(|_| description.is_empty());
    inherited.map_or_else(|| description.to_owned(), |inherited| mark::fitting(inherited, mark))
}

impl Kind for Version {
    fn type_name(&self) -> &'static str {
        TYPE
    }

    fn canonical(&self, properties: &Value) -> Result<Value, Vec<Problem>> {
        canonical::<Props>(properties)
    }

    fn not_yet(&self) -> &'static [&'static str] {
        &["FunctionScalingConfig", "ProvisionedConcurrencyConfig", "RuntimePolicy"]
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
}

#[async_trait]
impl Provider for Version {
    fn parent(&self) -> Option<&'static str> {
        Some(function::TYPE)
    }

    fn is(&self, want: &Want, live: &Live) -> bool {
        let (wanted, frozen) = (&want.properties[FREEZES], &live.properties[FREEZES]);
        // Before the code is built, what there is of it is as good as any.
        let code = wanted.get(function::CODE).is_none_or(|code| frozen.get(function::CODE) == Some(code));
        let inherited = wanted.get(DESCRIPTION).is_none_or(|_| {
            let words = words("", Some(wanted), want.properties[mark::PROPERTY].as_str());
            frozen[DESCRIPTION].as_str().unwrap_or_default() == words
        });
        let others = |properties: &Value| {
            let mut others = properties.clone();
            if let Some(members) = others.as_object_mut() {
                members.retain(|name, _| ![function::CODE, DESCRIPTION].contains(&name.as_str()));
            }
            others
        };
        want.properties["FunctionName"].as_str() == live.parent.as_deref()
            && code
            && inherited
            && others(wanted) == others(frozen)
    }

    async fn list(&self, aws: &Aws, sought: &Sought, parents: &[Live]) -> Result<Vec<Live>, ResourceError> {
        let search = sought.wait().await;
        let functions = parents.iter().filter(|parent| function::has_versions(parent, search));
        let versions = functions.map(|function| list(aws, &function.physical_id));
        Ok(futures_util::future::try_join_all(versions).await?.into_iter().flatten().collect())
    }

    async fn find(&self, _: Context<'_>, _: &Want) -> Result<Option<Live>, ResourceError> {
        // Publishing what has been published gives the same version again: there is nothing to look for.
        Ok(None)
    }

    async fn create(&self, cx: Context<'_>, want: &Want) -> Result<Created, ResourceError> {
        let aws = cx.aws;
        let props: Props = want.read()?;
        let words = words(&props.description, props.freezes.as_ref(), props.mark.as_deref());
        let description = mark::describe(&words, props.mark.as_deref())?;
        let built = props.freezes.as_ref().and_then(|frozen| frozen[function::CODE].as_str());
        let code = props.code_sha256.clone().or_else(|| built.map(str::to_owned));
        let version = aws
            .call(Call::new("lambda", "PublishVersion"), || {
                aws.lambda
                    .publish_version()
                    .function_name(&props.function_name)
                    .description(&description)
                    .set_code_sha256(code.clone())
                    .send()
            })
            .await?;
        Ok(created(aws.scope(), &props.function_name, &version.version.unwrap_or_default()))
    }

    async fn settle(&self, cx: Context<'_>, _: &Want, id: &str) -> Result<(), ResourceError> {
        function::wait_until_ready(cx, id).await
    }

    async fn update(&self, _: Context<'_>, _: &Live, _: &Want) -> Result<(), ResourceError> {
        // Nothing about a version can change, and so nothing differs.
        Ok(())
    }

    async fn delete(&self, cx: Context<'_>, live: &Live) -> Result<(), ResourceError> {
        let aws = cx.aws;
        gone_is_fine(
            aws.call(Call::new("lambda", "DeleteFunction"), || {
                aws.lambda.delete_function().function_name(&live.physical_id).send()
            })
            .await,
        )?;
        Ok(())
    }
}

/// A function's published versions, the newest first.
async fn list(aws: &Aws, function: &str) -> Result<Vec<Live>, ResourceError> {
    let versions = pages::below(|from| async move {
        let page = aws
            .call(Call::new("lambda", "ListVersionsByFunction"), || {
                aws.lambda.list_versions_by_function().function_name(function).set_marker(from.clone()).send()
            })
            .await?;
        Ok((page.versions, page.next_marker))
    })
    .await?;
    let number = |version: &sdk::FunctionConfiguration| version.version.as_ref()?.parse::<u64>().ok();
    // `$LATEST`, which is in the list too, has no number.
    let mut versions: Vec<_> = versions.into_iter().filter_map(|version| Some((number(&version)?, version))).collect();
    versions.sort_by_key(|(number, _)| std::cmp::Reverse(*number));
    Ok(versions.into_iter().map(|(number, version)| live(aws.scope(), function, number, version)).collect())
}

fn live(scope: &Scope, function: &str, number: u64, version: sdk::FunctionConfiguration) -> Live {
    let description = version.description.clone().unwrap_or_default();
    let (words, mark) = mark::split(&description);
    let mark = mark.map(mark::read);
    let mut frozen = function::frozen(&function::canonical_of(version));
    frozen[DESCRIPTION] = Value::from(words);
    let Created { physical_id, attributes } = created(scope, function, &number.to_string());
    Live {
        logical_id: mark.map(|(logical_id, _)| logical_id.to_owned()),
        deletion_policy: mark.map(|(_, policy)| policy).unwrap_or_default(),
        attributes,
        ..Live::new(TYPE, physical_id, json!({ "FunctionName": function, FREEZES: frozen })).below(function)
    }
}

fn created(scope: &Scope, function: &str, number: &str) -> Created {
    let physical_id = format!("{function}:{number}");
    let attributes = [("Ref", function::arn(scope, &physical_id)), ("Version", number.to_owned())];
    Created { physical_id, attributes: attributes.map(|(name, value)| (name.to_owned(), value)).into() }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn version(freezes: Value) -> Want {
        let properties = json!({ "FunctionName": "chat", "Description": "words", FREEZES: freezes });
        Want { logical_id: "V".to_owned(), name: None, properties, code: None }
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
        marked.properties[mark::PROPERTY] = json!("V");
        assert!(Version.is(&marked, &described(&long[..247])), "as much of it as fits before the mark");
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

    #[test]
    fn a_hand_made_version_is_nobodys() {
        let scope = Scope {
            stack: "chat".to_owned(),
            account: "123456789012".to_owned(),
            region: "eu-west-1".to_owned(),
            partition: "aws".to_owned(),
        };
        let read = |description: &str| {
            let version = sdk::FunctionConfiguration::builder().description(description).version("3").build();
            live(&scope, "chat", 3, version)
        };
        assert_eq!(read("by hand").logical_id, None);
        let ours = read("words wschat:V:Retain");
        assert_eq!((ours.logical_id.as_deref(), ours.deletion_policy.as_str()), (Some("V"), "Retain"));
        assert_eq!(ours.attributes["Ref"], "arn:aws:lambda:eu-west-1:123456789012:function:chat:3");
        assert_eq!(ours.attributes["Version"], "3");
    }
}
