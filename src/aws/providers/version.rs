//! Reads and writes `AWS::Lambda::Version`.

use async_trait::async_trait;
use aws_sdk_lambda::types as sdk;
use serde_json::{Value, json};

use super::{Context, Discovery, Provider, ResourceError, Search, gone_is_fine, pages};
use crate::aws::client::{Aws, AwsCall};
use crate::core::types::deployment::FREEZES;
use crate::core::types::version::{DESCRIPTION, Props, TYPE, Version, words};
use crate::core::types::{Created, Desired, Live, ResourceView, function, ownership_marker};
use crate::core::words::Scope;

#[async_trait]
impl Provider for Version {
    async fn list(&self, aws: &Aws, discovery: &Discovery, parents: &[Live]) -> Result<Vec<Live>, ResourceError> {
        let search = discovery.wait().await;
        let functions = parents.iter().filter(|parent| super::function::has_versions(parent, search));
        let versions = functions.map(|function| list(aws, &function.physical_id));
        Ok(futures_util::future::try_join_all(versions).await?.into_iter().flatten().collect())
    }

    fn seek(&self, _: &ResourceView<'_>, _: &Scope, search: &mut Search) {
        search.versions = true;
    }

    async fn find(&self, _: Context<'_>, _: &Desired) -> Result<Option<Live>, ResourceError> {
        // Publishing what has been published gives the same version again: there is nothing to look for.
        Ok(None)
    }

    async fn create(&self, cx: Context<'_>, desired: &Desired) -> Result<Created, ResourceError> {
        let aws = cx.aws;
        let props: Props = desired.read()?;
        let words = words(&props.description, props.freezes.as_ref(), props.ownership_marker.as_deref());
        let description = ownership_marker::describe(&words, props.ownership_marker.as_deref())?;
        let built = props.freezes.as_ref().and_then(|frozen| frozen[function::CODE].as_str());
        let code = props.code_sha256.clone().or_else(|| built.map(str::to_owned));
        let version = aws
            .call(AwsCall::new("lambda", "PublishVersion").repeatable(), || {
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

    async fn settle(&self, cx: Context<'_>, _: &Desired, id: &str) -> Result<(), ResourceError> {
        super::function::wait_until_ready(cx, id).await
    }

    async fn update(&self, _: Context<'_>, _: &Live, _: &Desired) -> Result<(), ResourceError> {
        // Nothing about a version can change, and so nothing differs.
        Ok(())
    }

    async fn delete(&self, cx: Context<'_>, live: &Live) -> Result<(), ResourceError> {
        let aws = cx.aws;
        gone_is_fine(
            aws.call(AwsCall::new("lambda", "DeleteFunction").repeatable(), || {
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
            .call(AwsCall::new("lambda", "ListVersionsByFunction"), || {
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
    let (words, marker) = ownership_marker::split(&description);
    let marker = marker.map(ownership_marker::read);
    let mut frozen = function::frozen(&super::function::canonical_of(version));
    frozen[DESCRIPTION] = Value::from(words);
    let Created { physical_id, attributes, .. } = created(scope, function, &number.to_string());
    Live {
        logical_id: marker.map(|(logical_id, _)| logical_id.to_owned()),
        deletion_policy: marker.map(|(_, policy)| policy).unwrap_or_default(),
        attributes,
        ..Live::new(TYPE, physical_id, json!({ "FunctionName": function, FREEZES: frozen })).below(function)
    }
}

fn created(scope: &Scope, function: &str, number: &str) -> Created {
    let physical_id = format!("{function}:{number}");
    let attributes = [("Ref", function::arn(scope, &physical_id)), ("Version", number.to_owned())];
    Created {
        physical_id,
        attributes: attributes.map(|(name, value)| (name.to_owned(), value)).into(),
        ..Created::default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

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
