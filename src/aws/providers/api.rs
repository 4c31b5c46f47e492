//! Reads and writes `AWS::ApiGatewayV2::Api`.

use std::collections::BTreeSet;

use async_trait::async_trait;
use aws_sdk_apigatewayv2::types as sdk;
use serde_json::Value;

use super::gateway_tags::set_own_tags;
use super::http_api::created;
use super::{Context, Discovery, PROVIDERS, Provider, ResourceError, Search, gone_is_fine, http_api, pages};
use crate::aws::client::{Aws, AwsCall, CallError};
use crate::core::types::api::{Api, Props, ProtocolType, TYPE, from_header};
use crate::core::types::protocol::IpAddressType;
use crate::core::types::tags::Tags;
use crate::core::types::{
    self, Created, Desired, Kind, Live, Owner, deployment, function, integration, ownership_marker, protocol, stage,
    tags, to_value,
};
use crate::core::words::Scope;

#[async_trait]
impl Provider for Api {
    async fn list(&self, aws: &Aws, discovery: &Discovery, _: &[Live]) -> Result<Vec<Live>, ResourceError> {
        let found = list(aws).await?;
        let search = discovery.wait().await;
        // APIs need not have names of their own. One without wschat's tags that has the name that
        // this one gets is another deployer's of the same application, or a forgotten leftover.
        let in_the_way = |live: &Live| {
            live.properties["Tags"].get(tags::STACK).is_none()
                && live.properties["Name"].as_str().is_some_and(|name| search.includes(TYPE, name))
        };
        let merely_tagged =
            |live: &Live| live.properties["Tags"][tags::STACK].as_str() == Some(aws.scope().stack.as_str());
        let found = found.into_iter();
        Ok(found.filter(|live| live.owner == Owner::Stack || in_the_way(live) || merely_tagged(live)).collect())
    }

    fn settle_reading(&self, found: &mut Vec<Live>, scope: &Scope, search: &Search) {
        settle_owners(found, scope, search);
    }

    async fn find(&self, cx: Context<'_>, desired: &Desired) -> Result<Option<Live>, ResourceError> {
        let search = Discovery::from(Search::default());
        for live in list(cx.aws).await?.into_iter().filter(|live| live.owner == Owner::Stack && self.is(desired, live))
        {
            let mut found = vec![live];
            for child in PROVIDERS.iter().filter(|child| child.parent() == Some(TYPE)) {
                let below = child.list(cx.aws, &search, &found[..1]).await?;
                found.extend(below);
            }
            settle_owners(&mut found, cx.aws.scope(), &Search::default());
            if found[0].owner == Owner::Stack {
                return Ok(found.into_iter().next());
            }
        }
        Ok(None)
    }

    async fn create(&self, cx: Context<'_>, desired: &Desired) -> Result<Created, ResourceError> {
        let aws = cx.aws;
        if protocol::is_http_api(&desired.properties) {
            return http_api::create(aws, desired).await;
        }
        let props: Props = desired.read()?;
        let text = |text: &String| (!text.is_empty()).then(|| text.clone());
        let answer = aws
            .call(AwsCall::new("apigatewayv2", "CreateApi"), || {
                aws.apigateway
                    .create_api()
                    .name(&props.name)
                    .protocol_type(sdk::ProtocolType::Websocket)
                    .route_selection_expression(&props.route_selection_expression)
                    .api_key_selection_expression(&props.api_key_selection_expression)
                    .set_description(text(&props.description))
                    .set_version(text(&props.version))
                    .disable_execute_api_endpoint(props.disable_execute_api_endpoint)
                    .disable_schema_validation(props.disable_schema_validation)
                    .ip_address_type(props.ip_address_type.into())
                    .set_tags(Some(props.tags.clone().into_iter().collect()))
                    .send()
            })
            .await?;
        Ok(created(answer.api_id.unwrap_or_default(), answer.api_endpoint))
    }

    async fn update(&self, cx: Context<'_>, live: &Live, desired: &Desired) -> Result<(), ResourceError> {
        let aws = cx.aws;
        if protocol::is_http_api(&desired.properties) {
            return http_api::update(aws, live, desired).await;
        }
        let id = live.physical_id.as_str();
        let from: Props = live.read()?;
        let to: Props = desired.read()?;
        let untagged = |props: &Props| Props { tags: Tags::new(), ..props.clone() };
        if untagged(&from) != untagged(&to) {
            aws.call(AwsCall::new("apigatewayv2", "UpdateApi").repeatable().lane(id), || {
                aws.apigateway
                    .update_api()
                    .api_id(id)
                    .name(&to.name)
                    .route_selection_expression(&to.route_selection_expression)
                    .api_key_selection_expression(&to.api_key_selection_expression)
                    // An empty text clears, an absent one leaves.
                    .description(&to.description)
                    .version(&to.version)
                    .disable_execute_api_endpoint(to.disable_execute_api_endpoint)
                    .disable_schema_validation(to.disable_schema_validation)
                    .ip_address_type(to.ip_address_type.into())
                    .send()
            })
            .await?;
        }
        let (set, removed) = tags::difference(&from.tags, &to.tags);
        set_own_tags(aws, id, set, removed).await?;
        Ok(())
    }

    async fn record(&self, aws: &Aws, id: &str, set: Tags, removed: Vec<String>) -> Result<(), ResourceError> {
        Ok(set_own_tags(aws, id, set, removed).await?)
    }

    async fn delete(&self, cx: Context<'_>, live: &Live) -> Result<(), ResourceError> {
        let aws = cx.aws;
        let id = live.physical_id.as_str();
        gone_is_fine(
            aws.call(AwsCall::new("apigatewayv2", "DeleteApi").repeatable().lane(id), || {
                aws.apigateway.delete_api().api_id(id).send()
            })
            .await,
        )?;
        Ok(())
    }
}

impl From<IpAddressType> for sdk::IpAddressType {
    fn from(kind: IpAddressType) -> Self {
        match kind {
            IpAddressType::Ipv4 => Self::Ipv4,
            IpAddressType::Dualstack => Self::Dualstack,
        }
    }
}

/// All APIs, the oldest first: where a lost answer left two, that one is kept. Ids break a tie.
async fn list(aws: &Aws) -> Result<Vec<Live>, CallError> {
    let mut apis = pages::all(|from| async move {
        let page = aws
            .call(AwsCall::new("apigatewayv2", "GetApis"), || {
                aws.apigateway.get_apis().max_results("500").set_next_token(from.clone()).send()
            })
            .await?;
        Ok((page.items, page.next_token))
    })
    .await?;
    let age = |api: &sdk::Api| api.created_date.map_or((0, 0), |date| (date.secs(), date.subsec_nanos()));
    apis.sort_by(|one, other| (age(one), &one.api_id).cmp(&(age(other), &other.api_id)));
    Ok(apis.into_iter().map(|api| live(aws, api)).collect())
}

/// The tags of every API of the region.
pub(super) async fn tags(aws: &Aws) -> Result<Vec<Tags>, CallError> {
    let tags = |live: Live| -> Tags {
        let own: Tags = serde_json::from_value(live.properties["Tags"].clone()).unwrap_or_default();
        own.into_iter().chain(live.attributes.into_iter().filter(|(key, _)| tags::is_export(key))).collect()
    };
    Ok(list(aws).await?.into_iter().map(tags).collect())
}

/// Settles in a reading which APIs with the stack's tags are the stack's. Tags can be copied with an API or by hand; so
/// what it holds must be the stack's, too: a stage with its tags, a deployment or an integration with its ownership
/// marker, an integration that calls one of its functions (or one that is to be). One without a deployment and a stage, which
/// serves no client yet, is what a run leaves that ended early, unless it has an integration that no run makes. What is below an
/// API of others is left out.
fn settle_owners(found: &mut Vec<Live>, scope: &Scope, search: &Search) {
    let is_ours = |live: &Live| live.owner == Owner::Stack;
    let functions: BTreeSet<String> = found
        .iter()
        .filter(|live| live.type_name == function::TYPE && is_ours(live))
        .map(|live| live.physical_id.clone())
        .collect();
    let proves = |live: &Live| match live.type_name {
        stage::TYPE => {
            let tags = &live.properties["Tags"];
            let stack = tags[tags::STACK].as_str().filter(|stack| scope.stack.is_empty() || *stack == scope.stack);
            stack.is_some() && tags[tags::REGION].as_str() == Some(&scope.region)
        }
        deployment::TYPE => live.properties.get(deployment::DIGEST).is_some(),
        integration::TYPE => {
            let uri = live.properties["IntegrationUri"].as_str().unwrap_or_default();
            let called = uri.split_once(":function:").and_then(|(_, rest)| rest.split([':', '/']).next());
            let is_called = |name: &str| {
                functions.contains(name)
                    || function::is_generated_name(scope, name)
                    || search.includes(function::TYPE, name)
            };
            live.properties.get(ownership_marker::PROPERTY).is_some() || called.is_some_and(is_called)
        }
        _ => false,
    };
    let parent = |live: &Live| types::kind(live.type_name).and_then(|kind| kind.parent());
    let mut others: BTreeSet<String> = BTreeSet::new();
    for api in found.iter().filter(|live| live.type_name == TYPE && is_ours(live)) {
        let inside = || found.iter().filter(|live| live.parent.as_deref() == Some(api.physical_id.as_str()));
        let tagged_whole = [tags::LOGICAL_ID, tags::DELETION_POLICY];
        let tagged_whole = tagged_whole.iter().all(|key| api.properties["Tags"].get(*key).is_some());
        // Without a deployment and a stage it serves no client; but its owner may still be building it. The stack's integrations
        // have a description: the ownership marker, or the template's.
        let is_begun = inside().all(|live| match live.type_name {
            deployment::TYPE | stage::TYPE => false,
            integration::TYPE => {
                proves(live) || live.properties["Description"].as_str().is_some_and(|text| !text.is_empty())
            }
            _ => true,
        });
        if !(inside().any(proves) || is_begun && tagged_whole) {
            others.insert(api.physical_id.clone());
        }
    }
    if others.is_empty() {
        return;
    }
    let parts_of_others: BTreeSet<(&str, String)> = found
        .iter()
        .filter(|live| parent(live) == Some(TYPE) && live.parent.as_ref().is_some_and(|api| others.contains(api)))
        .map(|live| (live.type_name, live.physical_id.clone()))
        .collect();
    found.retain(|live| match (parent(live), &live.parent) {
        (Some(TYPE), Some(api)) => !others.contains(api),
        (Some(part), Some(id)) => !parts_of_others.contains(&(part, id.clone())),
        _ => true,
    });
    for api in found.iter_mut().filter(|live| live.type_name == TYPE && others.contains(&live.physical_id)) {
        let stack = &scope.stack;
        api.owner = Owner::Other(format!(
            "an unknown owner (it has the tags of the wschat stack \"{stack}\", but nothing in it is of that stack)"
        ));
    }
}

fn live(aws: &Aws, api: sdk::Api) -> Live {
    let id = api.api_id.clone().unwrap_or_default();
    let tags = aws.claimed(TYPE, &id, api.tags.clone().unwrap_or_default().into_iter().collect());
    let endpoint = api.api_endpoint.clone();
    let properties = match api.protocol_type {
        Some(sdk::ProtocolType::Http) => http_api::properties(api, &tags),
        _ => websocket_properties(api, &tags),
    };
    Live {
        logical_id: tags.get(tags::LOGICAL_ID).cloned(),
        owner: tags::owner(&tags, aws.scope()),
        deletion_policy: tags::deletion_policy(&tags),
        attributes: created(id.clone(), endpoint).attributes.into_iter().chain(tags::carried(&tags)).collect(),
        ..Live::new(TYPE, id, properties)
    }
}

fn websocket_properties(api: sdk::Api, tags: &Tags) -> Value {
    to_value(&Props {
        name: api.name.unwrap_or_default(),
        protocol_type: ProtocolType::WebSocket,
        route_selection_expression: api.route_selection_expression.unwrap_or_default(),
        api_key_selection_expression: api
            .api_key_selection_expression
            .filter(|expression| !expression.is_empty())
            .unwrap_or_else(from_header),
        description: api.description.unwrap_or_default(),
        version: api.version.unwrap_or_default(),
        disable_execute_api_endpoint: api.disable_execute_api_endpoint.unwrap_or(false),
        disable_schema_validation: api.disable_schema_validation.unwrap_or(false),
        ip_address_type: match api.ip_address_type {
            Some(sdk::IpAddressType::Dualstack) => IpAddressType::Dualstack,
            _ => IpAddressType::Ipv4,
        },
        tags: tags::settable(tags.clone()),
    })
}
