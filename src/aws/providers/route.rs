//! Reads and writes `AWS::ApiGatewayV2::Route`.

use std::collections::{BTreeMap, HashMap};

use async_trait::async_trait;
use aws_sdk_apigatewayv2::types as sdk;

use super::{Context, Discovery, Provider, ResourceError, gone_is_fine, pages};
use crate::aws::client::{Aws, AwsCall};
use crate::core::types::http_api::is_document_of;
use crate::core::types::protocol::{self, Protocol};
use crate::core::types::route::{AuthorizationType, ParameterConstraints, Props, Route, TYPE};
use crate::core::types::{Created, Desired, Kind, Live, to_value};

#[async_trait]
impl Provider for Route {
    async fn list(&self, aws: &Aws, _: &Discovery, parents: &[Live]) -> Result<Vec<Live>, ResourceError> {
        let apis = own_parts(parents).map(|api| list(aws, &api.physical_id, protocol::of_parts(&api.properties)));
        Ok(futures_util::future::try_join_all(apis).await?.into_iter().flatten().collect())
    }

    async fn find(&self, cx: Context<'_>, desired: &Desired) -> Result<Option<Live>, ResourceError> {
        let props: Props = desired.read()?;
        Ok(list(cx.aws, &props.api_id, props.protocol).await?.into_iter().find(|live| self.is(desired, live)))
    }

    async fn create(&self, cx: Context<'_>, desired: &Desired) -> Result<Created, ResourceError> {
        let aws = cx.aws;
        let props: Props = desired.read()?;
        let answer = aws
            .call(AwsCall::new("apigatewayv2", "CreateRoute").lane(&props.api_id), || {
                aws.apigateway
                    .create_route()
                    .api_id(&props.api_id)
                    .route_key(&props.route_key)
                    .set_target(props.target.clone())
                    .set_authorization_scopes(props.authorization_scopes.clone())
                    .authorization_type(props.authorization_type.sdk())
                    .set_authorizer_id(props.authorizer_id.clone())
                    .set_api_key_required(of_websockets(&props))
                    .set_model_selection_expression(props.model_selection_expression.clone())
                    .set_operation_name(props.operation_name.clone())
                    .set_request_models(filled(&props.request_models))
                    .set_request_parameters(constraints(&props.request_parameters))
                    .set_route_response_selection_expression(props.route_response_selection_expression.clone())
                    .send()
            })
            .await?;
        Ok(Created::new(answer.route_id.unwrap_or_default()))
    }

    async fn update(&self, cx: Context<'_>, live: &Live, desired: &Desired) -> Result<(), ResourceError> {
        let aws = cx.aws;
        let from: Props = live.read()?;
        let to: Props = desired.read()?;
        // Updates merge. An empty text clears what the template no longer says.
        aws.call(AwsCall::new("apigatewayv2", "UpdateRoute").repeatable().lane(&to.api_id), || {
            aws.apigateway
                .update_route()
                .api_id(&to.api_id)
                .route_id(&live.physical_id)
                .route_key(&to.route_key)
                .target(to.target.as_deref().unwrap_or_default())
                // An empty list clears them.
                .set_authorization_scopes(
                    to.authorization_scopes.clone().or_else(|| from.authorization_scopes.as_ref().map(|_| Vec::new())),
                )
                .authorization_type(to.authorization_type.sdk())
                .set_authorizer_id(cleared(live, "AuthorizerId", &to.authorizer_id))
                .set_api_key_required(of_websockets(&to))
                .set_model_selection_expression(cleared(
                    live,
                    "ModelSelectionExpression",
                    &to.model_selection_expression,
                ))
                .set_operation_name(cleared(live, "OperationName", &to.operation_name))
                .set_request_models(merged(&from.request_models, &to.request_models))
                .set_request_parameters(constraints(&to.request_parameters))
                .set_route_response_selection_expression(cleared(
                    live,
                    "RouteResponseSelectionExpression",
                    &to.route_response_selection_expression,
                ))
                .send()
        })
        .await?;
        for name in from.request_parameters.keys().filter(|name| !to.request_parameters.contains_key(*name)) {
            gone_is_fine(
                aws.call(
                    AwsCall::new("apigatewayv2", "DeleteRouteRequestParameter").repeatable().lane(&to.api_id),
                    || {
                        aws.apigateway
                            .delete_route_request_parameter()
                            .api_id(&to.api_id)
                            .route_id(&live.physical_id)
                            .request_parameter_key(name)
                            .send()
                    },
                )
                .await,
            )?;
        }
        Ok(())
    }

    async fn delete(&self, cx: Context<'_>, live: &Live) -> Result<(), ResourceError> {
        let aws = cx.aws;
        let api = live.parent.as_deref().unwrap_or_default();
        gone_is_fine(
            aws.call(AwsCall::new("apigatewayv2", "DeleteRoute").repeatable().lane(api), || {
                aws.apigateway.delete_route().api_id(api).route_id(&live.physical_id).send()
            })
            .await,
        )?;
        Ok(())
    }
}

impl AuthorizationType {
    fn sdk(self) -> sdk::AuthorizationType {
        match self {
            Self::None => sdk::AuthorizationType::None,
            Self::AwsIam => sdk::AuthorizationType::AwsIam,
            Self::Custom => sdk::AuthorizationType::Custom,
            Self::Jwt => sdk::AuthorizationType::Jwt,
        }
    }
}

/// Whether callers need an API key, of a route of a WebSocket API; HTTP APIs have none.
fn of_websockets(props: &Props) -> Option<bool> {
    props.protocol.is_none().then_some(props.api_key_required)
}

/// The APIs whose routes, integrations and authorizers are resources, and not what a document makes.
pub(super) fn own_parts(apis: &[Live]) -> impl Iterator<Item = &Live> {
    apis.iter().filter(|api| !is_document_of(&api.properties))
}

async fn list(aws: &Aws, api: &str, protocol: Option<Protocol>) -> Result<Vec<Live>, ResourceError> {
    let items = pages::below(|from| async move {
        let page = aws
            .call(AwsCall::new("apigatewayv2", "GetRoutes"), || {
                aws.apigateway.get_routes().api_id(api).max_results("500").set_next_token(from.clone()).send()
            })
            .await?;
        Ok((page.items, page.next_token))
    })
    .await?;
    // Those of quick create are the service's own.
    let ours = items.into_iter().filter(|route| route.api_gateway_managed != Some(true));
    Ok(ours.map(|route| live(api, route, protocol)).collect())
}

fn live(api: &str, route: sdk::Route, protocol: Option<Protocol>) -> Live {
    let text = |text: Option<String>| text.filter(|text| !text.is_empty());
    let id = route.route_id.unwrap_or_default();
    let props = Props {
        api_id: api.to_owned(),
        route_key: route.route_key.unwrap_or_default(),
        target: text(route.target),
        authorization_scopes: route.authorization_scopes.filter(|scopes| !scopes.is_empty()),
        authorization_type: match route.authorization_type {
            Some(sdk::AuthorizationType::Jwt) => AuthorizationType::Jwt,
            Some(sdk::AuthorizationType::AwsIam) => AuthorizationType::AwsIam,
            Some(sdk::AuthorizationType::Custom) => AuthorizationType::Custom,
            _ => AuthorizationType::None,
        },
        authorizer_id: text(route.authorizer_id),
        api_key_required: route.api_key_required.unwrap_or(false),
        model_selection_expression: text(route.model_selection_expression),
        operation_name: text(route.operation_name),
        request_models: route.request_models.unwrap_or_default().into_iter().collect(),
        request_parameters: read_constraints(route.request_parameters),
        route_response_selection_expression: text(route.route_response_selection_expression),
        protocol,
    };
    Live::new(TYPE, id, to_value(&props)).below(api)
}

/// What to send for a property that may have gone: the value, nothing where there never was one, or an empty text
/// that clears it.
pub(super) fn cleared(live: &Live, property: &str, to: &Option<String>) -> Option<String> {
    to.clone().or_else(|| live.properties.get(property).map(|_| String::new()))
}

/// A map to send; none where it is empty.
pub(super) fn filled(map: &BTreeMap<String, String>) -> Option<HashMap<String, String>> {
    (!map.is_empty()).then(|| map.clone().into_iter().collect())
}

/// What to send for a map that updates merge: a key goes when it is sent empty.
pub(super) fn merged(
    from: &BTreeMap<String, String>,
    to: &BTreeMap<String, String>,
) -> Option<HashMap<String, String>> {
    let gone = from.keys().filter(|key| !to.contains_key(*key)).map(|key| (key.clone(), String::new()));
    let map: HashMap<String, String> = to.clone().into_iter().chain(gone).collect();
    (!map.is_empty()).then_some(map)
}

/// Parameters to send; none where there are none.
pub(super) fn constraints(
    parameters: &BTreeMap<String, ParameterConstraints>,
) -> Option<HashMap<String, sdk::ParameterConstraints>> {
    let of = |one: &ParameterConstraints| sdk::ParameterConstraints::builder().required(one.required).build();
    (!parameters.is_empty()).then(|| parameters.iter().map(|(name, one)| (name.clone(), of(one))).collect())
}

pub(super) fn read_constraints(
    parameters: Option<HashMap<String, sdk::ParameterConstraints>>,
) -> BTreeMap<String, ParameterConstraints> {
    let of = |one: sdk::ParameterConstraints| ParameterConstraints { required: one.required.unwrap_or(false) };
    parameters.unwrap_or_default().into_iter().map(|(name, one)| (name, of(one))).collect()
}
