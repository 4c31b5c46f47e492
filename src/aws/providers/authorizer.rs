//! Reads and writes `AWS::ApiGatewayV2::Authorizer`.

use async_trait::async_trait;
use aws_sdk_apigatewayv2::types as sdk;

use super::route::own_parts;
use super::{Context, Discovery, Provider, ResourceError, gone_is_fine, pages};
use crate::aws::client::{Aws, AwsCall};
use crate::core::types::authorizer::{Authorizer, AuthorizerType, JwtConfiguration, Props, TYPE};
use crate::core::types::protocol::{self, Protocol};
use crate::core::types::{Created, Desired, Kind, Live, to_value};

#[async_trait]
impl Provider for Authorizer {
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
            .call(AwsCall::new("apigatewayv2", "CreateAuthorizer").lane(&props.api_id), || {
                aws.apigateway
                    .create_authorizer()
                    .api_id(&props.api_id)
                    .name(&props.name)
                    .authorizer_type(match props.authorizer_type {
                        AuthorizerType::Jwt => sdk::AuthorizerType::Jwt,
                        AuthorizerType::Request => sdk::AuthorizerType::Request,
                    })
                    .set_authorizer_uri(props.authorizer_uri.clone())
                    .set_authorizer_credentials_arn(props.authorizer_credentials_arn.clone())
                    .set_authorizer_payload_format_version(props.authorizer_payload_format_version.clone())
                    .set_authorizer_result_ttl_in_seconds(props.authorizer_result_ttl_in_seconds)
                    .set_enable_simple_responses(props.enable_simple_responses)
                    .set_jwt_configuration(props.jwt_configuration.as_ref().map(sdk_jwt))
                    .set_identity_source(Some(props.identity_source.clone()))
                    .send()
            })
            .await?;
        Ok(Created::new(answer.authorizer_id.unwrap_or_default()))
    }

    async fn update(&self, cx: Context<'_>, live: &Live, desired: &Desired) -> Result<(), ResourceError> {
        let aws = cx.aws;
        let to: Props = desired.read()?;
        let credentials = super::route::cleared(live, "AuthorizerCredentialsArn", &to.authorizer_credentials_arn);
        aws.call(AwsCall::new("apigatewayv2", "UpdateAuthorizer").repeatable().lane(&to.api_id), || {
            aws.apigateway
                .update_authorizer()
                .api_id(&to.api_id)
                .authorizer_id(&live.physical_id)
                .authorizer_type(match to.authorizer_type {
                    AuthorizerType::Jwt => sdk::AuthorizerType::Jwt,
                    AuthorizerType::Request => sdk::AuthorizerType::Request,
                })
                .set_authorizer_uri(to.authorizer_uri.clone())
                .set_authorizer_credentials_arn(credentials.clone())
                .set_authorizer_payload_format_version(to.authorizer_payload_format_version.clone())
                .set_authorizer_result_ttl_in_seconds(to.authorizer_result_ttl_in_seconds)
                .set_enable_simple_responses(to.enable_simple_responses)
                .set_jwt_configuration(to.jwt_configuration.as_ref().map(sdk_jwt))
                .set_identity_source(Some(to.identity_source.clone()))
                .send()
        })
        .await?;
        Ok(())
    }

    async fn delete(&self, cx: Context<'_>, live: &Live) -> Result<(), ResourceError> {
        let aws = cx.aws;
        let api = live.parent.as_deref().unwrap_or_default();
        gone_is_fine(
            aws.call(AwsCall::new("apigatewayv2", "DeleteAuthorizer").repeatable().lane(api), || {
                aws.apigateway.delete_authorizer().api_id(api).authorizer_id(&live.physical_id).send()
            })
            .await,
        )?;
        Ok(())
    }
}

fn sdk_jwt(jwt: &JwtConfiguration) -> sdk::JwtConfiguration {
    sdk::JwtConfiguration::builder().set_audience(jwt.audience.clone()).set_issuer(jwt.issuer.clone()).build()
}

async fn list(aws: &Aws, api: &str, protocol: Option<Protocol>) -> Result<Vec<Live>, ResourceError> {
    let items = pages::below(|from| async move {
        let page = aws
            .call(AwsCall::new("apigatewayv2", "GetAuthorizers"), || {
                aws.apigateway.get_authorizers().api_id(api).max_results("500").set_next_token(from.clone()).send()
            })
            .await?;
        Ok((page.items, page.next_token))
    })
    .await?;
    Ok(items.into_iter().map(|authorizer| live(api, authorizer, protocol)).collect())
}

fn live(api: &str, authorizer: sdk::Authorizer, protocol: Option<Protocol>) -> Live {
    let text = |text: Option<String>| text.filter(|text| !text.is_empty());
    let is_jwt = authorizer.authorizer_type == Some(sdk::AuthorizerType::Jwt);
    let of_http = protocol.is_some() && !is_jwt;
    let id = authorizer.authorizer_id.unwrap_or_default();
    let props = Props {
        api_id: api.to_owned(),
        name: authorizer.name.unwrap_or_default(),
        authorizer_type: if is_jwt { AuthorizerType::Jwt } else { AuthorizerType::Request },
        authorizer_uri: text(authorizer.authorizer_uri),
        authorizer_credentials_arn: text(authorizer.authorizer_credentials_arn),
        authorizer_payload_format_version: text(authorizer.authorizer_payload_format_version),
        authorizer_result_ttl_in_seconds: authorizer.authorizer_result_ttl_in_seconds.filter(|_| of_http),
        enable_simple_responses: of_http.then(|| authorizer.enable_simple_responses.unwrap_or(false)),
        jwt_configuration: authorizer
            .jwt_configuration
            .map(|jwt| JwtConfiguration { audience: jwt.audience.filter(|all| !all.is_empty()), issuer: jwt.issuer }),
        identity_source: authorizer.identity_source.unwrap_or_default(),
        protocol,
    };
    Live::new(TYPE, id, to_value(&props)).below(api)
}
