//! Reads and writes `AWS::ApiGatewayV2::Integration`.

use std::collections::{BTreeMap, HashMap};

use async_trait::async_trait;
use aws_sdk_apigatewayv2::types as sdk;

use super::route::own_parts;
use super::{Context, Discovery, Provider, ResourceError, gone_is_fine, pages};
use crate::aws::client::{Aws, AwsCall};
use crate::core::types::integration::{
    Integration, IntegrationType, LONGEST_OF_HTTP, Props, ResponseParameter, ResponseParameters, TYPE, TlsConfig,
    internet, longest, post, version_1, when_no_match,
};
use crate::core::types::protocol::{self, Protocol};
use crate::core::types::{Created, Desired, Kind, Live, ownership_marker, to_value};

#[async_trait]
impl Provider for Integration {
    async fn list(&self, aws: &Aws, _: &Discovery, parents: &[Live]) -> Result<Vec<Live>, ResourceError> {
        let apis = own_parts(parents).map(|api| list(aws, &api.physical_id, protocol::of_parts(&api.properties)));
        Ok(futures_util::future::try_join_all(apis).await?.into_iter().flatten().collect())
    }

    async fn find(&self, cx: Context<'_>, desired: &Desired) -> Result<Option<Live>, ResourceError> {
        // Another integration of the same content cannot be told from this one; a second one does no harm, and the
        // next run removes what no route uses.
        let props: Props = desired.read()?;
        Ok(list(cx.aws, &props.api_id, props.protocol).await?.into_iter().find(|live| self.is(desired, live)))
    }

    async fn create(&self, cx: Context<'_>, desired: &Desired) -> Result<Created, ResourceError> {
        let aws = cx.aws;
        let props: Props = desired.read()?;
        let description = match props.ownership_marker.as_deref() {
            // What the template says of it is left as it is.
            Some(marker) if props.description.is_empty() => ownership_marker::describe("", Some(marker))?,
            _ => props.description.clone(),
        };
        let map = |map: &BTreeMap<String, String>| (!map.is_empty()).then(|| map.clone().into_iter().collect());
        let answer = aws
            .call(AwsCall::new("apigatewayv2", "CreateIntegration").lane(&props.api_id), || {
                aws.apigateway
                    .create_integration()
                    .api_id(&props.api_id)
                    .integration_type(match props.integration_type {
                        IntegrationType::Aws => sdk::IntegrationType::Aws,
                        IntegrationType::AwsProxy => sdk::IntegrationType::AwsProxy,
                        IntegrationType::Http => sdk::IntegrationType::Http,
                        IntegrationType::HttpProxy => sdk::IntegrationType::HttpProxy,
                        IntegrationType::Mock => sdk::IntegrationType::Mock,
                    })
                    .set_integration_uri(props.integration_uri.clone())
                    .set_integration_subtype(props.integration_subtype.clone())
                    // What names an operation of a service has neither.
                    .set_integration_method(
                        props.integration_subtype.is_none().then(|| props.integration_method.clone()),
                    )
                    .connection_type(sdk::ConnectionType::from(props.connection_type.as_str()))
                    .set_connection_id(props.connection_id.clone())
                    .set_credentials_arn(props.credentials_arn.clone())
                    .set_content_handling_strategy(
                        props.content_handling_strategy.as_deref().map(sdk::ContentHandlingStrategy::from),
                    )
                    .set_description((!description.is_empty()).then(|| description.clone()))
                    .set_passthrough_behavior(
                        props
                            .protocol
                            .is_none()
                            .then(|| sdk::PassthroughBehavior::from(props.passthrough_behavior.as_str())),
                    )
                    .payload_format_version(&props.payload_format_version)
                    .set_request_parameters(map(&props.request_parameters))
                    .set_request_templates(map(&props.request_templates))
                    .set_response_parameters(props.response_parameters.as_ref().map(by_status))
                    .set_template_selection_expression(props.template_selection_expression.clone())
                    .set_tls_config(props.tls_config.as_ref().map(|tls| {
                        let name = tls.server_name_to_verify.clone();
                        sdk::TlsConfigInput::builder().set_server_name_to_verify(name).build()
                    }))
                    .timeout_in_millis(props.timeout_in_millis)
                    .send()
            })
            .await?;
        Ok(Created::new(answer.integration_id.unwrap_or_default()))
    }

    async fn update(&self, _: Context<'_>, live: &Live, _: &Desired) -> Result<(), ResourceError> {
        Err(ResourceError::Failed(format!("integration {} is never changed in place", live.physical_id)))
    }

    async fn release(&self, cx: Context<'_>, live: &Live) -> Result<(), ResourceError> {
        let props: Props = live.read()?;
        if props.ownership_marker.is_none() {
            return Ok(());
        }
        let aws = cx.aws;
        // Nothing else is in a description that has the marker; an empty text clears it.
        aws.call(AwsCall::new("apigatewayv2", "UpdateIntegration").repeatable().lane(&props.api_id), || {
            aws.apigateway
                .update_integration()
                .api_id(&props.api_id)
                .integration_id(&live.physical_id)
                .description(&props.description)
                .send()
        })
        .await?;
        Ok(())
    }

    async fn delete(&self, cx: Context<'_>, live: &Live) -> Result<(), ResourceError> {
        let aws = cx.aws;
        let api = live.parent.as_deref().unwrap_or_default();
        gone_is_fine(
            aws.call(AwsCall::new("apigatewayv2", "DeleteIntegration").repeatable().lane(api), || {
                aws.apigateway.delete_integration().api_id(api).integration_id(&live.physical_id).send()
            })
            .await,
        )?;
        Ok(())
    }
}

/// Changes of responses, as the service takes them.
fn by_status(given: &BTreeMap<String, ResponseParameters>) -> HashMap<String, HashMap<String, String>> {
    let of = |parameters: &ResponseParameters| {
        let listed = parameters.response_parameters.iter();
        listed
            .map(|one| (one.destination.clone().unwrap_or_default(), one.source.clone().unwrap_or_default()))
            .collect::<HashMap<_, _>>()
    };
    given.iter().map(|(status, parameters)| (status.clone(), of(parameters))).collect()
}

/// The same, as templates have them.
fn read_by_status(given: HashMap<String, HashMap<String, String>>) -> Option<BTreeMap<String, ResponseParameters>> {
    let of = |parameters: HashMap<String, String>| {
        let text = |text: String| Some(text).filter(|text| !text.is_empty());
        let listed = parameters.into_iter();
        let listed = listed
            .map(|(destination, source)| ResponseParameter { destination: text(destination), source: text(source) });
        let mut response_parameters: Vec<ResponseParameter> = listed.collect();
        response_parameters.sort();
        ResponseParameters { response_parameters }
    };
    let read: BTreeMap<_, _> = given.into_iter().map(|(status, parameters)| (status, of(parameters))).collect();
    Some(read).filter(|read| !read.is_empty())
}

async fn list(aws: &Aws, api: &str, protocol: Option<Protocol>) -> Result<Vec<Live>, ResourceError> {
    let items = pages::below(|from| async move {
        let page = aws
            .call(AwsCall::new("apigatewayv2", "GetIntegrations"), || {
                aws.apigateway.get_integrations().api_id(api).max_results("500").set_next_token(from.clone()).send()
            })
            .await?;
        Ok((page.items, page.next_token))
    })
    .await?;
    // Those of quick create are the service's own.
    let ours = items.into_iter().filter(|integration| integration.api_gateway_managed != Some(true));
    Ok(ours.map(|integration| live(api, integration, protocol)).collect())
}

fn live(api: &str, integration: sdk::Integration, protocol: Option<Protocol>) -> Live {
    let filled =
        |text: Option<String>, default: fn() -> String| text.filter(|text| !text.is_empty()).unwrap_or_else(default);
    let id = integration.integration_id.unwrap_or_default();
    let text = integration.description.unwrap_or_default();
    let (description, marker) = match ownership_marker::split(&text) {
        ("", Some(marker)) => ("", Some(marker)),
        _ => (text.as_str(), None),
    };
    let props = Props {
        api_id: api.to_owned(),
        integration_type: match integration.integration_type {
            Some(sdk::IntegrationType::Aws) => IntegrationType::Aws,
            Some(sdk::IntegrationType::Http) => IntegrationType::Http,
            Some(sdk::IntegrationType::HttpProxy) => IntegrationType::HttpProxy,
            Some(sdk::IntegrationType::Mock) => IntegrationType::Mock,
            _ => IntegrationType::AwsProxy,
        },
        integration_subtype: integration.integration_subtype.filter(|subtype| !subtype.is_empty()),
        integration_uri: integration.integration_uri.filter(|uri| !uri.is_empty()),
        integration_method: filled(integration.integration_method, post),
        connection_type: filled(integration.connection_type.map(|kind| kind.as_str().to_owned()), internet),
        connection_id: integration.connection_id.filter(|id| !id.is_empty()),
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
        response_parameters: integration.response_parameters.and_then(read_by_status),
        template_selection_expression: integration.template_selection_expression.filter(|text| !text.is_empty()),
        timeout_in_millis: integration.timeout_in_millis.filter(|millis| *millis > 0).unwrap_or_else(
            || match protocol {
                Some(Protocol::Http) => LONGEST_OF_HTTP,
                None => longest(),
            },
        ),
        tls_config: integration
            .tls_config
            .and_then(|tls| tls.server_name_to_verify)
            .map(|name| TlsConfig { server_name_to_verify: Some(name) }),
        protocol,
        ownership_marker: marker.map(str::to_owned),
    };
    let logical_id = marker.map(|marker| ownership_marker::read(marker).0.to_owned());
    Live { logical_id, ..Live::new(TYPE, id, to_value(&props)).below(api) }
}
