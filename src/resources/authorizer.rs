//! `AWS::ApiGatewayV2::Authorizer`: a function that is asked whether a client may connect.

use async_trait::async_trait;
use aws_sdk_apigatewayv2::types as sdk;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{
    Attribute, Context, Created, Kind, Live, Provider, ResourceError, Sought, Want, api, canonical, gone_is_fine,
    pages, to_value,
};
use crate::aws::{Aws, Call};
use crate::core::words::{Problem, Scope};

pub const TYPE: &str = "AWS::ApiGatewayV2::Authorizer";

/// A Lambda authorizer. Within its API it is known by its name.
pub struct Authorizer;

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Props {
    api_id: String,
    name: String,
    authorizer_type: AuthorizerType,
    authorizer_uri: String,
    authorizer_credentials_arn: Option<String>,
    /// `route.request.header.Auth`, `route.request.querystring.token`: without one of them nobody is asked.
    #[serde(default)]
    identity_source: Vec<String>,
}

/// WebSocket APIs take no other; `JWT` is of HTTP APIs.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
enum AuthorizerType {
    #[serde(rename = "REQUEST")]
    Request,
}

impl Kind for Authorizer {
    fn type_name(&self) -> &'static str {
        TYPE
    }

    fn canonical(&self, properties: &Value) -> Result<Value, Vec<Problem>> {
        canonical::<Props>(properties)
    }

    fn not_yet(&self) -> &'static [&'static str] {
        &[
            "AuthorizerPayloadFormatVersion",
            "AuthorizerResultTtlInSeconds",
            "EnableSimpleResponses",
            "IdentityValidationExpression",
            "JwtConfiguration",
        ]
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
            Some("AuthorizerId") => Attribute::Ref,
            Some(_) => Attribute::Unknown(&["AuthorizerId"]),
        }
    }
}

#[async_trait]
impl Provider for Authorizer {
    fn parent(&self) -> Option<&'static str> {
        Some(api::TYPE)
    }

    fn is(&self, want: &Want, live: &Live) -> bool {
        want.properties["Name"] == live.properties["Name"] && want.properties["ApiId"] == live.properties["ApiId"]
    }

    async fn list(&self, aws: &Aws, _: &Sought, parents: &[Live]) -> Result<Vec<Live>, ResourceError> {
        let apis = parents.iter().map(|api| list(aws, &api.physical_id));
        Ok(futures_util::future::try_join_all(apis).await?.into_iter().flatten().collect())
    }

    async fn find(&self, cx: Context<'_>, want: &Want) -> Result<Option<Live>, ResourceError> {
        let props: Props = want.read()?;
        Ok(list(cx.aws, &props.api_id).await?.into_iter().find(|live| self.is(want, live)))
    }

    async fn create(&self, cx: Context<'_>, want: &Want) -> Result<Created, ResourceError> {
        let aws = cx.aws;
        let props: Props = want.read()?;
        let answer = aws
            .call(Call::new("apigatewayv2", "CreateAuthorizer").once().lane(&props.api_id), || {
                aws.apigateway
                    .create_authorizer()
                    .api_id(&props.api_id)
                    .name(&props.name)
                    .authorizer_type(sdk::AuthorizerType::Request)
                    .authorizer_uri(&props.authorizer_uri)
                    .set_authorizer_credentials_arn(props.authorizer_credentials_arn.clone())
                    .set_identity_source(Some(props.identity_source.clone()))
                    .send()
            })
            .await?;
        Ok(Created::new(answer.authorizer_id.unwrap_or_default()))
    }

    async fn update(&self, cx: Context<'_>, live: &Live, want: &Want) -> Result<(), ResourceError> {
        let aws = cx.aws;
        let to: Props = want.read()?;
        let credentials = super::route::cleared(live, "AuthorizerCredentialsArn", &to.authorizer_credentials_arn);
        aws.call(Call::new("apigatewayv2", "UpdateAuthorizer").lane(&to.api_id), || {
            aws.apigateway
                .update_authorizer()
                .api_id(&to.api_id)
                .authorizer_id(&live.physical_id)
                .authorizer_uri(&to.authorizer_uri)
                .set_authorizer_credentials_arn(credentials.clone())
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
            aws.call(Call::new("apigatewayv2", "DeleteAuthorizer").lane(api), || {
                aws.apigateway.delete_authorizer().api_id(api).authorizer_id(&live.physical_id).send()
            })
            .await,
        )?;
        Ok(())
    }
}

async fn list(aws: &Aws, api: &str) -> Result<Vec<Live>, ResourceError> {
    let items = pages::below(|from| async move {
        let page = aws
            .call(Call::new("apigatewayv2", "GetAuthorizers"), || {
                aws.apigateway.get_authorizers().api_id(api).max_results("500").set_next_token(from.clone()).send()
            })
            .await?;
        Ok((page.items, page.next_token))
    })
    .await?;
    Ok(items.into_iter().map(|authorizer| live(api, authorizer)).collect())
}

fn live(api: &str, authorizer: sdk::Authorizer) -> Live {
    let id = authorizer.authorizer_id.unwrap_or_default();
    let props = Props {
        api_id: api.to_owned(),
        name: authorizer.name.unwrap_or_default(),
        authorizer_type: AuthorizerType::Request,
        authorizer_uri: authorizer.authorizer_uri.unwrap_or_default(),
        authorizer_credentials_arn: authorizer.authorizer_credentials_arn.filter(|arn| !arn.is_empty()),
        identity_source: authorizer.identity_source.unwrap_or_default(),
    };
    Live::new(TYPE, id, to_value(&props)).below(api)
}
