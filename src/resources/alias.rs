//! `AWS::Lambda::Alias`: a name for a version of a function.

use async_trait::async_trait;
use aws_sdk_lambda::types as sdk;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{
    Attribute, Context, Created, Kind, Live, Naming, Provider, ResourceError, Sought, Want, function, gone_is_fine,
    mark, pages, to_value,
};
use crate::aws::{Aws, Call};
use crate::core::words::{Problem, Scope, deserialize};

pub const TYPE: &str = "AWS::Lambda::Alias";

/// An alias. Its physical id is `FUNCTION:NAME`.
pub struct Alias;

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Props {
    name: String,
    #[serde(deserialize_with = "function::name")]
    function_name: String,
    function_version: String,
    #[serde(default)]
    description: String,
    routing_config: Option<Routing>,
    /// Put in by the plan.
    mark: Option<String>,
}

/// What share of the invocations goes to another version than the alias's own.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Routing {
    additional_version_weights: Vec<Weight>,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Weight {
    function_version: String,
    function_weight: f64,
}

impl Routing {
    fn sdk(&self) -> sdk::AliasRoutingConfiguration {
        let weights = self.additional_version_weights.iter();
        let weights = weights.map(|weight| (weight.function_version.clone(), weight.function_weight)).collect();
        sdk::AliasRoutingConfiguration::builder().set_additional_version_weights(Some(weights)).build()
    }
}

impl Kind for Alias {
    fn type_name(&self) -> &'static str {
        TYPE
    }

    fn canonical(&self, properties: &Value) -> Result<Value, Vec<Problem>> {
        let mut props: Props = deserialize::read(properties)?;
        // No weights and none at all mean the same.
        props.routing_config = props.routing_config.filter(|routing| !routing.additional_version_weights.is_empty());
        Ok(to_value(&props))
    }

    fn not_yet(&self) -> &'static [&'static str] {
        &["ProvisionedConcurrencyConfig"]
    }

    fn naming(&self) -> Option<Naming> {
        Some(Naming { property: "Name", longest: 128, within: Some("FunctionName"), path: None })
    }

    fn create_only(&self) -> &'static [&'static str] {
        &["FunctionName", "Name"]
    }

    fn hard(&self) -> &'static [&'static str] {
        &["FunctionName"]
    }

    fn attribute(&self, scope: &Scope, name: Option<&str>, attribute: Option<&str>) -> Attribute {
        match attribute {
            None | Some("AliasArn") => Attribute::Known(function::arn(scope, name.unwrap_or_default())),
            Some(_) => Attribute::Unknown(&["AliasArn"]),
        }
    }
}

#[async_trait]
impl Provider for Alias {
    fn parent(&self) -> Option<&'static str> {
        Some(function::TYPE)
    }

    fn is(&self, want: &Want, live: &Live) -> bool {
        want.name.as_deref() == Some(&live.physical_id)
    }

    async fn list(&self, aws: &Aws, sought: &Sought, parents: &[Live]) -> Result<Vec<Live>, ResourceError> {
        let search = sought.wait().await;
        let functions = parents.iter().filter(|parent| function::has_versions(parent, search));
        let aliases = functions.map(|function| list(aws, &function.physical_id));
        Ok(futures_util::future::try_join_all(aliases).await?.into_iter().flatten().collect())
    }

    async fn find(&self, cx: Context<'_>, want: &Want) -> Result<Option<Live>, ResourceError> {
        let props: Props = want.read()?;
        Ok(list(cx.aws, &props.function_name).await?.into_iter().find(|live| self.is(want, live)))
    }

    async fn create(&self, cx: Context<'_>, want: &Want) -> Result<Created, ResourceError> {
        let aws = cx.aws;
        let props: Props = want.read()?;
        let description = mark::describe(&props.description, props.mark.as_deref())?;
        aws.call(Call::new("lambda", "CreateAlias").once(), || {
            aws.lambda
                .create_alias()
                .function_name(&props.function_name)
                .name(&props.name)
                .function_version(&props.function_version)
                .description(&description)
                .set_routing_config(props.routing_config.as_ref().map(Routing::sdk))
                .send()
        })
        .await?;
        Ok(created(aws.scope(), want.name()?))
    }

    async fn update(&self, cx: Context<'_>, live: &Live, want: &Want) -> Result<(), ResourceError> {
        let aws = cx.aws;
        let from: Props = live.read()?;
        let to: Props = want.read()?;
        let description = mark::describe(&to.description, to.mark.as_deref())?;
        let none = || Routing { additional_version_weights: Vec::new() };
        // Leaving it out means "no change".
        let routing = to.routing_config.clone().or_else(|| from.routing_config.is_some().then(none));
        aws.call(Call::new("lambda", "UpdateAlias"), || {
            aws.lambda
                .update_alias()
                .function_name(&to.function_name)
                .name(&to.name)
                .function_version(&to.function_version)
                .description(&description)
                .set_routing_config(routing.as_ref().map(Routing::sdk))
                .send()
        })
        .await?;
        Ok(())
    }

    async fn delete(&self, cx: Context<'_>, live: &Live) -> Result<(), ResourceError> {
        let aws = cx.aws;
        let props: Props = live.read()?;
        gone_is_fine(
            aws.call(Call::new("lambda", "DeleteAlias"), || {
                aws.lambda.delete_alias().function_name(&props.function_name).name(&props.name).send()
            })
            .await,
        )?;
        Ok(())
    }
}

/// A function's aliases.
pub(super) async fn list(aws: &Aws, function: &str) -> Result<Vec<Live>, ResourceError> {
    let aliases = pages::below(|from| async move {
        let page = aws
            .call(Call::new("lambda", "ListAliases"), || {
                aws.lambda.list_aliases().function_name(function).set_marker(from.clone()).send()
            })
            .await?;
        Ok((page.aliases, page.next_marker))
    })
    .await?;
    Ok(aliases.into_iter().map(|alias| live(aws.scope(), function, alias)).collect())
}

fn live(scope: &Scope, function: &str, alias: sdk::AliasConfiguration) -> Live {
    let text = alias.description.unwrap_or_default();
    let (description, marked) = mark::split(&text);
    let weights = alias.routing_config.and_then(|routing| routing.additional_version_weights).unwrap_or_default();
    let weights: Vec<Weight> = weights
        .into_iter()
        .map(|(function_version, function_weight)| Weight { function_version, function_weight })
        .collect();
    let props = Props {
        name: alias.name.unwrap_or_default(),
        function_name: function.to_owned(),
        function_version: alias.function_version.unwrap_or_default(),
        description: description.to_owned(),
        routing_config: (!weights.is_empty()).then_some(Routing { additional_version_weights: weights }),
        mark: marked.map(str::to_owned),
    };
    let whose = marked.map(mark::read);
    let Created { physical_id, attributes } = created(scope, &format!("{function}:{}", props.name));
    Live {
        logical_id: whose.map(|(logical_id, _)| logical_id.to_owned()),
        deletion_policy: whose.map(|(_, policy)| policy).unwrap_or_default(),
        attributes,
        ..Live::new(TYPE, physical_id, to_value(&props)).below(function)
    }
}

fn created(scope: &Scope, id: &str) -> Created {
    Created { attributes: [("Ref".to_owned(), function::arn(scope, id))].into(), physical_id: id.to_owned() }
}
