//! Reads and writes `AWS::Lambda::LayerVersion`.

use async_trait::async_trait;
use aws_sdk_lambda::primitives::Blob;
use aws_sdk_lambda::types as sdk;
use futures_util::{StreamExt, TryStreamExt, stream};

use super::function::{attempt_time, limit};
use super::tagged::{Tagged, to_ask};
use super::{Context, Discovery, Provider, ResourceError, gone_is_fine, pages};
use crate::aws::client::{Aws, AwsCall, Meaning};
use crate::core::types::layer_version::{LayerVersion, Props, TYPE, described, name_and_number, read_description};
use crate::core::types::{Created, Desired, Kind, Live, Upload, tags, to_value};
use crate::core::words::Scope;

#[async_trait]
impl Provider for LayerVersion {
    async fn list(&self, aws: &Aws, discovery: &Discovery, _: &[Live]) -> Result<Vec<Live>, ResourceError> {
        let layers = pages::all(|from| async move {
            let page = aws.call(AwsCall::new("lambda", "ListLayers"), || {
                aws.lambda.list_layers().set_marker(from.clone()).send()
            });
            let page = page.await?;
            Ok((page.layers, page.next_marker))
        })
        .await;
        let search = discovery.wait().await;
        // Who deploys a template without layers need not be allowed to see any.
        let layers = match layers {
            Err(error) if error.is(Meaning::Denied) && !search.names.is_empty() && !search.names.contains_key(TYPE) => {
                return Ok(Vec::new());
            }
            layers => layers?,
        };
        let stack = &aws.scope().stack;
        let is_ours = |layer: &sdk::LayersListItem| {
            let description = layer.latest_matching_version.as_ref().and_then(|version| version.description.as_deref());
            description.and_then(|text| read_description(text).1).is_some_and(|mark| mark.stack == stack)
        };
        let names: Vec<String> = layers.iter().filter_map(|layer| layer.layer_name.clone()).collect();
        let ours: Vec<&str> =
            layers.iter().filter(|layer| is_ours(layer)).filter_map(|layer| layer.layer_name.as_deref()).collect();
        // A version of others may be the newest of a layer that has one of ours.
        let likely =
            |name: &str| ours.contains(&name) || search.includes(TYPE, name) || tags::is_generated_name(stack, name);
        stream::iter(to_ask(&names, Some(&Tagged::default()), likely))
            .map(|name| async move { list(aws, &name).await })
            .buffer_unordered(8)
            .try_fold(Vec::new(), |mut all, found| async move {
                all.extend(found);
                Ok(all)
            })
            .await
    }

    async fn find(&self, cx: Context<'_>, desired: &Desired) -> Result<Option<Live>, ResourceError> {
        Ok(list(cx.aws, desired.name()?).await?.into_iter().find(|live| self.is(desired, live)))
    }

    async fn create(&self, cx: Context<'_>, desired: &Desired) -> Result<Created, ResourceError> {
        let aws = cx.aws;
        let name = desired.name()?;
        let props: Props = desired.read()?;
        let missing = || ResourceError::Failed(format!("{name} has no content"));
        let code = desired.code.clone().ok_or_else(missing)?;
        let (sha256, marker) =
            props.code_sha256.as_deref().zip(props.ownership_marker.as_deref()).ok_or_else(missing)?;
        let description = described(&props.description, &aws.scope().stack, sha256, marker)?;
        let (content, size) = match &code {
            Upload::Zip(zip) => (sdk::LayerVersionContentInput::builder().zip_file(Blob::new(zip.clone())), zip.len()),
            Upload::Object(object) => {
                let content = sdk::LayerVersionContentInput::builder().s3_bucket(&object.bucket).s3_key(&object.key);
                (content.set_s3_object_version(object.version.clone()), 0)
            }
        };
        let list = |texts: &[String]| (!texts.is_empty()).then(|| texts.to_vec());
        let runtimes = list(&props.compatible_runtimes);
        let architectures = list(&props.compatible_architectures);
        let content = content.build();
        let published = aws
            .call(AwsCall::new("lambda", "PublishLayerVersion"), || {
                aws.lambda
                    .publish_layer_version()
                    .layer_name(name)
                    .description(&description)
                    .content(content.clone())
                    .set_compatible_runtimes(
                        runtimes.clone().map(|all| all.iter().map(|one| one.as_str().into()).collect()),
                    )
                    .set_compatible_architectures(
                        architectures.clone().map(|all| all.iter().map(|one| one.as_str().into()).collect()),
                    )
                    .set_license_info(props.license_info.clone())
                    .customize()
                    .config_override(limit(attempt_time(size)))
                    .send()
            })
            .await?;
        Ok(Created::new(published.layer_version_arn.unwrap_or_default()))
    }

    async fn update(&self, _: Context<'_>, _: &Live, _: &Desired) -> Result<(), ResourceError> {
        // Nothing about a version can change, and so nothing differs.
        Ok(())
    }

    async fn delete(&self, cx: Context<'_>, live: &Live) -> Result<(), ResourceError> {
        let aws = cx.aws;
        let Some((name, number)) = name_and_number(&live.physical_id) else { return Ok(()) };
        gone_is_fine(
            aws.call(AwsCall::new("lambda", "DeleteLayerVersion").repeatable(), || {
                aws.lambda.delete_layer_version().layer_name(name).version_number(number).send()
            })
            .await,
        )?;
        Ok(())
    }
}

/// The versions of a layer that are the stack's, the newest first.
async fn list(aws: &Aws, layer: &str) -> Result<Vec<Live>, ResourceError> {
    let versions = pages::below(|from| async move {
        let page = aws
            .call(AwsCall::new("lambda", "ListLayerVersions"), || {
                aws.lambda.list_layer_versions().layer_name(layer).set_marker(from.clone()).send()
            })
            .await?;
        Ok((page.layer_versions, page.next_marker))
    })
    .await?;
    let mut versions: Vec<(i64, Live)> = versions
        .into_iter()
        .filter_map(|version| Some((version.version, live(aws.scope(), layer, version)?)))
        .collect();
    versions.sort_by_key(|(number, _)| std::cmp::Reverse(*number));
    Ok(versions.into_iter().map(|(_, live)| live).collect())
}

/// A version as Lambda lists it; `None` for one that is not the stack's.
fn live(scope: &Scope, layer: &str, version: sdk::LayerVersionsListItem) -> Option<Live> {
    let description = version.description.unwrap_or_default();
    let (words, mark) = read_description(&description);
    let mark = mark.filter(|mark| mark.stack == scope.stack)?;
    let props = Props {
        layer_name: Some(layer.to_owned()),
        description: words.to_owned(),
        compatible_architectures: texts(version.compatible_architectures, sdk::Architecture::as_str),
        compatible_runtimes: texts(version.compatible_runtimes, sdk::Runtime::as_str),
        license_info: version.license_info.filter(|text| !text.is_empty()),
        code_sha256: Some(mark.digest.to_owned()),
        ..Props::default()
    };
    Some(Live {
        logical_id: Some(mark.logical_id.to_owned()),
        deletion_policy: mark.policy,
        ..Live::new(TYPE, version.layer_version_arn?, to_value(&props))
    })
}

fn texts<T>(items: Option<Vec<T>>, text: fn(&T) -> &str) -> Vec<String> {
    items.unwrap_or_default().iter().map(|item| text(item).to_owned()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_versions_of_the_stack_are_read() {
        let scope = Scope {
            stack: "chat".to_owned(),
            account: "123456789012".to_owned(),
            region: "eu-west-1".to_owned(),
            partition: "aws".to_owned(),
        };
        let read = |stack: &str| {
            let text =
                described("words", stack, "9tM/+Ud3RKtXyMeHSqNmrHqGuEC9ZpTtzSqCbBKvFkU=", "Wire:Retain").unwrap();
            let version = sdk::LayerVersionsListItem::builder().layer_version_arn("arn").description(text).build();
            live(&scope, "wire", version)
        };
        let ours = read("chat").unwrap();
        assert_eq!((ours.logical_id.as_deref(), ours.deletion_policy.as_str()), (Some("Wire"), "Retain"));
        assert_eq!(ours.properties["Description"], "words");
        assert!(read("chat-two").is_none());
        assert!(live(&scope, "wire", sdk::LayerVersionsListItem::builder().description("by hand").build()).is_none());
    }
}
