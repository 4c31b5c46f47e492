//! `AWS::ApiGatewayV2::Integration`.
//!
//! It has no name and no tags: its content is what it is known by, and its description, where the template gives none, says whose it is. So it is never changed in place. A changed one is
//! made beside the old, the routes move, a deployment freezes them, the stage moves, and then the old one goes.

use std::collections::BTreeMap;

use async_trait::async_trait;
use aws_sdk_apigatewayv2::types as sdk;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{
    Attribute, Context, Created, Kind, Live, Provider, ResourceError, Sought, Want, api, canonical, gone_is_fine, mark,
    pages, to_value,
};
use crate::aws::{Aws, Call};
use crate::core::words::{Problem, Scope};

pub const TYPE: &str = "AWS::ApiGatewayV2::Integration";

/// What a route calls.
pub struct Integration;

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Props {
    api_id: String,
    integration_type: IntegrationType,
    integration_uri: Option<String>,
    #[serde(default = "post")]
    integration_method: String,
    #[serde(default = "internet")]
    connection_type: String,
    credentials_arn: Option<String>,
    content_handling_strategy: Option<String>,
    #[serde(default)]
    description: String,
    #[serde(default = "when_no_match")]
    passthrough_behavior: String,
    #[serde(default = "version_1")]
    payload_format_version: String,
    #[serde(default)]
    request_parameters: BTreeMap<String, String>,
    #[serde(default)]
    request_templates: BTreeMap<String, String>,
    template_selection_expression: Option<String>,
    #[serde(default = "longest")]
    timeout_in_millis: i32,
    /// Put in by the plan: an integration carries no tags, and an API is the stack's only if something in it is.
    mark: Option<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
enum IntegrationType {
    #[serde(rename = "AWS_PROXY")]
    AwsProxy,
    #[serde(rename = "MOCK")]
    Mock,
}

fn post() -> String {
    "POST".to_owned()
}

fn internet() -> String {
    "INTERNET".to_owned()
}

fn when_no_match() -> String {
    "WHEN_NO_MATCH".to_owned()
}

fn version_1() -> String {
    "1.0".to_owned()
}

fn longest() -> i32 {
    29_000
}

impl Kind for Integration {
    fn type_name(&self) -> &'static str {
        TYPE
    }

    fn canonical(&self, properties: &Value) -> Result<Value, Vec<Problem>> {
        canonical::<Props>(properties)
    }

    fn not_yet(&self) -> &'static [&'static str] {
        &["ConnectionId", "IntegrationSubtype", "ResponseParameters", "TlsConfig"]
    }

    fn create_only(&self) -> &'static [&'static str] {
        &["ApiId"]
    }

    fn hard(&self) -> &'static [&'static str] {
        &["ApiId"]
    }

    fn attribute(&self, _: &Scope, _: Option<&str>, attribute: Option<&str>) -> Attribute {
        match attribute {
            None => Attribute::Minted,
            Some("IntegrationId") => Attribute::Ref,
            Some(_) => Attribute::Unknown(&["IntegrationId"]),
        }
    }
}

#[async_trait]
impl Provider for Integration {
    fn parent(&self) -> Option<&'static str> {
        Some(api::TYPE)
    }

    fn is(&self, want: &Want, live: &Live) -> bool {
        // Most differ in this, and it is asked for every pair.
        want.properties["IntegrationUri"] == live.properties["IntegrationUri"]
            && live.logical_id.as_ref().is_none_or(|id| *id == want.logical_id)
            && unmarked(&want.properties) == unmarked(&live.properties)
    }

    async fn list(&self, aws: &Aws, _: &Sought, parents: &[Live]) -> Result<Vec<Live>, ResourceError> {
        let apis = parents.iter().map(|api| list(aws, &api.physical_id));
        Ok(futures_util::future::try_join_all(apis).await?.into_iter().flatten().collect())
    }

    async fn find(&self, cx: Context<'_>, want: &Want) -> Result<Option<Live>, ResourceError> {
        // Another integration of the same content cannot be told from this one; a second one does no harm, and the
        // next run removes what no route uses.
        let props: Props = want.read()?;
        Ok(list(cx.aws, &props.api_id).await?.into_iter().find(|live| self.is(want, live)))
    }

    async fn create(&self, cx: Context<'_>, want: &Want) -> Result<Created, ResourceError> {
        let aws = cx.aws;
        let props: Props = want.read()?;
        let description = match props.mark.as_deref() {
            // What the template says of it is left as it is.
            Some(mark) if props.description.is_empty() => mark::describe("", Some(mark))?,
            _ => props.description.clone(),
        };
        let map = |map: &BTreeMap<String, String>| (!map.is_empty()).then(|| map.clone().into_iter().collect());
        let answer = aws
            .call(Call::new("apigatewayv2", "CreateIntegration").once().lane(&props.api_id), || {
                aws.apigateway
                    .create_integration()
                    .api_id(&props.api_id)
                    .integration_type(match props.integration_type {
                        IntegrationType::AwsProxy => sdk::IntegrationType::AwsProxy,
                        IntegrationType::Mock => sdk::IntegrationType::Mock,
                    })
                    .set_integration_uri(props.integration_uri.clone())
                    .integration_method(&props.integration_method)
                    .connection_type(sdk::ConnectionType::from(props.connection_type.as_str()))
                    .set_credentials_arn(props.credentials_arn.clone())
                    .set_content_handling_strategy(
                        props.content_handling_strategy.as_deref().map(sdk::ContentHandlingStrategy::from),
                    )
                    .set_description((!description.is_empty()).then(|| description.clone()))
                    .passthrough_behavior(sdk::PassthroughBehavior::from(props.passthrough_behavior.as_str()))
                    .payload_format_version(&props.payload_format_version)
                    .set_request_parameters(map(&props.request_parameters))
                    .set_request_templates(map(&props.request_templates))
                    .set_template_selection_expression(props.template_selection_expression.clone())
                    .timeout_in_millis(props.timeout_in_millis)
                    .send()
            })
            .await?;
        Ok(Created::new(answer.integration_id.unwrap_or_default()))
    }

    async fn update(&self, _: Context<'_>, live: &Live, _: &Want) -> Result<(), ResourceError> {
        Err(ResourceError::Failed(format!("integration {} is never changed in place", live.physical_id)))
    }

    async fn delete(&self, cx: Context<'_>, live: &Live) -> Result<(), ResourceError> {
        let aws = cx.aws;
        let api = live.parent.as_deref().unwrap_or_default();
        gone_is_fine(
            aws.call(Call::new("apigatewayv2", "DeleteIntegration").lane(api), || {
                aws.apigateway.delete_integration().api_id(api).integration_id(&live.physical_id).send()
            })
            .await,
        )?;
        Ok(())
    }
}

async fn list(aws: &Aws, api: &str) -> Result<Vec<Live>, ResourceError> {
    let items = pages::below(|from| async move {
        let page = aws
            .call(Call::new("apigatewayv2", "GetIntegrations"), || {
                aws.apigateway.get_integrations().api_id(api).max_results("500").set_next_token(from.clone()).send()
            })
            .await?;
        Ok((page.items, page.next_token))
    })
    .await?;
    Ok(items.into_iter().map(|integration| live(api, integration)).collect())
}

fn live(api: &str, integration: sdk::Integration) -> Live {
    let filled =
        |text: Option<String>, default: fn() -> String| text.filter(|text| !text.is_empty()).unwrap_or_else(default);
    let id = integration.integration_id.unwrap_or_default();
    let text = integration.description.unwrap_or_default();
    let (description, mark) = match mark::split(&text) {
        ("", Some(mark)) => ("", Some(mark)),
        _ => (text.as_str(), None),
    };
    let props = Props {
        api_id: api.to_owned(),
        integration_type: match integration.integration_type {
            Some(sdk::IntegrationType::Mock) => IntegrationType::Mock,
            _ => IntegrationType::AwsProxy,
        },
        integration_uri: integration.integration_uri,
        integration_method: filled(integration.integration_method, post),
        connection_type: filled(integration.connection_type.map(|kind| kind.as_str().to_owned()), internet),
        credentials_arn: integration.credentials_arn.filter(|arn| !arn.is_empty()),
        content_handling_strategy: integration.content_handling_strategy.map(|strategy| strategy.as_str().to_owned()),
        description: description.to_owned(),
        passthrough_behavior: filled(
            integration.passthrough_behavior.map(|behavior| behavior.as_str().to_owned()),
            when_no_match,
        ),
        payload_format_version: filled(integration.payload_format_version, version_1),
        request_parameters: integration.request_parameters.unwrap_or_default().into_iter().collect(),
        request_templates: integration.request_templates.unwrap_or_default().into_iter().collect(),
        template_selection_expression: integration.template_selection_expression.filter(|text| !text.is_empty()),
        timeout_in_millis: integration.timeout_in_millis.filter(|millis| *millis > 0).unwrap_or_else(longest),
        mark: mark.map(str::to_owned),
    };
    let logical_id = mark.map(|mark| mark::read(mark).0.to_owned());
    Live { logical_id, ..Live::new(TYPE, id, to_value(&props)).below(api) }
}

/// Properties without the mark.
fn unmarked(properties: &Value) -> Value {
    let mut properties = properties.clone();
    if let Some(members) = properties.as_object_mut() {
        members.remove(mark::PROPERTY);
    }
    properties
}
