//! Reads and writes HTTP APIs (`core::types::http_api`), as part of `AWS::ApiGatewayV2::Api`.
//!
//! One that a document describes is created empty, with its tags, and then imported into: an answer that is lost leaves an API
//! that is found again. Its digest's tag says from the beginning that its routes are a document's, and only at the end which.

use std::time::Duration;

use aws_sdk_apigatewayv2::types as sdk;
use serde_json::Value;

use super::gateway_tags::set_own_tags;
use super::{ResourceError, gone_is_fine};
use crate::aws::client::{Aws, AwsCall, Meaning};
use crate::core::types::api::ENDPOINT;
use crate::core::types::http_api::{Cors, Props, UNFINISHED, is_document_of};
use crate::core::types::protocol::IpAddressType;
use crate::core::types::tags::{self, Tags, WRITE_ONLY};
use crate::core::types::{Created, Desired, Live, protocol, to_value};

/// How often an import into an API that was just created is tried.
const LOOKS: u32 = 4;

/// What an API is called until its document says what it is called.
const UNNAMED: &str = "wschat";

pub(super) async fn create(aws: &Aws, desired: &Desired) -> Result<Created, ResourceError> {
    let props: Props = desired.read()?;
    let text = |text: &Option<String>| text.clone().filter(|text| !text.is_empty());
    let answer = aws
        .call(AwsCall::new("apigatewayv2", "CreateApi"), || {
            aws.apigateway
                .create_api()
                .name(text(&props.name).unwrap_or_else(|| UNNAMED.to_owned()))
                .protocol_type(sdk::ProtocolType::Http)
                .set_description(text(&props.description))
                .set_version(text(&props.version))
                .set_disable_execute_api_endpoint(props.disable_execute_api_endpoint)
                .set_ip_address_type(props.ip_address_type.map(Into::into))
                .set_cors_configuration(props.cors_configuration.as_ref().map(sdk_cors))
                .set_target(props.target.clone())
                .set_route_key(props.route_key.clone())
                .set_credentials_arn(props.credentials_arn.clone())
                .set_tags(Some(unfinished(&props).into_iter().collect()))
                .send()
        })
        .await?;
    let created = created(answer.api_id.unwrap_or_default(), answer.api_endpoint);
    if props.is_imported() {
        for look in 1.. {
            match import(aws, &created.physical_id, &props, Tags::new()).await {
                // The new API may not be known everywhere yet. (Told of that, the executor would create another one.)
                Err(ResourceError::Call(error)) if error.is(Meaning::NotFound) && look < LOOKS => {
                    tokio::time::sleep(Duration::from_millis(100 << (2 * look))).await;
                }
                imported => {
                    imported?;
                    break;
                }
            }
        }
    }
    Ok(created)
}

pub(super) async fn update(aws: &Aws, live: &Live, desired: &Desired) -> Result<(), ResourceError> {
    let id = live.physical_id.as_str();
    let from: Props = live.read()?;
    let mut to: Props = desired.read()?;
    if !to.is_imported() && is_document_of(&live.properties) && !to.tags.contains_key(WRITE_ONLY) {
        // A run that is rolled back does not know the old document: the next one sends the template's.
        to.tags.insert(WRITE_ONLY.to_owned(), UNFINISHED.to_owned());
    }
    if to.is_imported() && from.tags.get(WRITE_ONLY) != to.tags.get(WRITE_ONLY) {
        let began = [(WRITE_ONLY.to_owned(), UNFINISHED.to_owned())].into();
        set_own_tags(aws, id, began, Vec::new()).await?;
        let records = live.attributes.iter().filter(|(key, _)| tags::is_record(key));
        return import(aws, id, &to, records.map(|(key, value)| (key.clone(), value.clone())).collect()).await;
    }
    if to.is_imported() || without_tags(&from) != without_tags(&to) || to.target.is_some() {
        adjust(aws, id, &from, &to).await?;
    }
    let (set, removed) = tags::difference(&from.tags, &to.tags);
    set_own_tags(aws, id, set, removed).await?;
    Ok(())
}

fn without_tags(props: &Props) -> Props {
    Props { tags: Tags::new(), ..props.clone() }
}

/// The tags that an API has until its document is imported.
fn unfinished(props: &Props) -> Tags {
    let mut tags = props.tags.clone();
    if props.is_imported() {
        tags.insert(WRITE_ONLY.to_owned(), UNFINISHED.to_owned());
    }
    tags
}

/// Puts the document in the place of whatever the API has, then what the template states beside it, then the tags. `records` are
/// tags that record other resources: an import sets the tags to those of the document.
async fn import(aws: &Aws, id: &str, props: &Props, records: Tags) -> Result<(), ResourceError> {
    let tags = unfinished(props).into_iter().chain(records.clone()).collect();
    let marked = Props { tags, ..props.clone() };
    let Some(body) = marked.document() else {
        return Err(ResourceError::Failed("its Body is not an OpenAPI document".to_owned()));
    };
    aws.call(AwsCall::new("apigatewayv2", "ReimportApi").repeatable().lane(id), || {
        aws.apigateway
            .reimport_api()
            .api_id(id)
            .body(&body)
            .set_basepath(props.base_path.clone())
            .set_fail_on_warnings(props.fail_on_warnings)
            .send()
    })
    .await?;
    adjust(aws, id, props, props).await?;
    // Those of the document once more, whatever AWS makes of them, and now that it is imported, which.
    set_own_tags(aws, id, props.tags.clone().into_iter().chain(records).collect(), Vec::new()).await?;
    Ok(())
}

/// Changes an API in place. What a document says is left to it.
async fn adjust(aws: &Aws, id: &str, from: &Props, to: &Props) -> Result<(), ResourceError> {
    let states = [
        to.name.is_some(),
        to.description.is_some(),
        to.version.is_some(),
        to.disable_execute_api_endpoint.is_some(),
        to.ip_address_type.is_some(),
        to.cors_configuration.is_some(),
        to.target.is_some(),
    ];
    if states.contains(&true) {
        aws.call(AwsCall::new("apigatewayv2", "UpdateApi").repeatable().lane(id), || {
            aws.apigateway
                .update_api()
                .api_id(id)
                .set_name(to.name.clone())
                // An empty text clears, an absent one leaves.
                .set_description(to.description.clone())
                .set_version(to.version.clone())
                .set_disable_execute_api_endpoint(to.disable_execute_api_endpoint)
                .set_ip_address_type(to.ip_address_type.map(Into::into))
                .set_cors_configuration(to.cors_configuration.as_ref().map(sdk_cors))
                .set_target(to.target.clone())
                .set_route_key(to.route_key.clone())
                .set_credentials_arn(to.credentials_arn.clone())
                .send()
        })
        .await?;
    }
    if from.cors_configuration.is_some() && to.cors_configuration.is_none() {
        gone_is_fine(
            aws.call(AwsCall::new("apigatewayv2", "DeleteCorsConfiguration").repeatable().lane(id), || {
                aws.apigateway.delete_cors_configuration().api_id(id).send()
            })
            .await,
        )?;
    }
    Ok(())
}

/// The canonical properties of an HTTP API, as far as a reading gives them.
pub(super) fn properties(api: sdk::Api, tags: &Tags) -> Value {
    to_value(&Props {
        protocol_type: protocol::HTTP.to_owned(),
        name: api.name,
        // It has no other.
        route_selection_expression: protocol::ROUTE_SELECTION.to_owned(),
        api_key_selection_expression: None,
        description: Some(api.description.unwrap_or_default()),
        version: Some(api.version.unwrap_or_default()),
        disable_execute_api_endpoint: Some(api.disable_execute_api_endpoint.unwrap_or(false)),
        disable_schema_validation: None,
        ip_address_type: Some(match api.ip_address_type {
            Some(sdk::IpAddressType::Dualstack) => IpAddressType::Dualstack,
            _ => IpAddressType::Ipv4,
        }),
        cors_configuration: api.cors_configuration.map(cors),
        body: None,
        base_path: None,
        fail_on_warnings: None,
        target: None,
        route_key: None,
        credentials_arn: None,
        tags: tags::settable(tags.clone()),
    })
}

fn cors(cors: sdk::Cors) -> Cors {
    let cors = Cors {
        allow_credentials: cors.allow_credentials.unwrap_or(false),
        allow_headers: cors.allow_headers.unwrap_or_default(),
        allow_methods: cors.allow_methods.unwrap_or_default(),
        allow_origins: cors.allow_origins.unwrap_or_default(),
        expose_headers: cors.expose_headers.unwrap_or_default(),
        max_age: cors.max_age.unwrap_or(0),
    };
    cors.normal()
}

fn sdk_cors(cors: &Cors) -> sdk::Cors {
    sdk::Cors::builder()
        .allow_credentials(cors.allow_credentials)
        .set_allow_headers(Some(cors.allow_headers.clone()))
        .set_allow_methods(Some(cors.allow_methods.clone()))
        .set_allow_origins(Some(cors.allow_origins.clone()))
        .set_expose_headers(Some(cors.expose_headers.clone()))
        .max_age(cors.max_age)
        .build()
}

/// What an API is known by once it is created, of either protocol.
pub(super) fn created(id: String, endpoint: Option<String>) -> Created {
    let attributes = [("Ref".to_owned(), id.clone())]
        .into_iter()
        .chain(endpoint.map(|endpoint| (ENDPOINT.to_owned(), endpoint)))
        .collect();
    Created { physical_id: id, attributes, ..Created::default() }
}
