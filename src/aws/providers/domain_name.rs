//! Reads and writes `AWS::ApiGatewayV2::DomainName`.

use async_trait::async_trait;
use aws_sdk_apigatewayv2::types as sdk;

use super::{Context, Discovery, Provider, ResourceError, gone_is_fine, pages};
use crate::aws::client::{Aws, AwsCall, CallError};
use crate::core::types::domain_name::{
    ADDRESS, Configuration, DomainName, MutualTls, Props, TYPE, ZONE, arn, ipv4, mappings_only, regional, tls_1_2,
};
use crate::core::types::tags::Tags;
use crate::core::types::{Created, Desired, Health, Live, Owner, tags, to_value};

#[async_trait]
impl Provider for DomainName {
    async fn list(&self, aws: &Aws, discovery: &Discovery, _: &[Live]) -> Result<Vec<Live>, ResourceError> {
        let search = discovery.wait().await;
        // Hardly any stack has one: they are listed only where the template does, or a tag says so.
        let is_asked = search.names.contains_key(TYPE)
            || match discovery.tagged(aws).await {
                Ok(tagged) => tagged.has(TYPE),
                Err(_) => search.names.is_empty(),
            };
        if !is_asked {
            return Ok(Vec::new());
        }
        let found = list(aws).await?;
        let is_wanted = |live: &Live| live.owner == Owner::Stack || search.includes(TYPE, &live.physical_id);
        Ok(found.into_iter().filter(is_wanted).collect())
    }

    async fn find(&self, cx: Context<'_>, desired: &Desired) -> Result<Option<Live>, ResourceError> {
        let name = desired.name()?;
        Ok(list(cx.aws).await?.into_iter().find(|live| live.physical_id == name))
    }

    async fn create(&self, cx: Context<'_>, desired: &Desired) -> Result<Created, ResourceError> {
        let aws = cx.aws;
        let props: Props = desired.read()?;
        let answer = aws
            .call(AwsCall::new("apigatewayv2", "CreateDomainName"), || {
                aws.apigateway
                    .create_domain_name()
                    .domain_name(&props.domain_name)
                    .set_domain_name_configurations(Some(configurations(&props)))
                    .set_mutual_tls_authentication(props.mutual_tls_authentication.as_ref().map(|tls| {
                        sdk::MutualTlsAuthenticationInput::builder()
                            .set_truststore_uri(tls.truststore_uri.clone())
                            .set_truststore_version(tls.truststore_version.clone())
                            .build()
                    }))
                    .routing_mode(sdk::RoutingMode::from(props.routing_mode.as_str()))
                    .set_tags(Some(props.tags.clone().into_iter().collect()))
                    .send()
            })
            .await?;
        Ok(created(&props.domain_name, answer.domain_name_configurations.as_deref().unwrap_or_default()))
    }

    async fn update(&self, cx: Context<'_>, live: &Live, desired: &Desired) -> Result<(), ResourceError> {
        let aws = cx.aws;
        let name = live.physical_id.as_str();
        let from: Props = live.read()?;
        let to: Props = desired.read()?;
        let untagged = |props: &Props| Props { tags: Tags::new(), ..props.clone() };
        if untagged(&from) != untagged(&to) {
            aws.call(AwsCall::new("apigatewayv2", "UpdateDomainName").repeatable(), || {
                aws.apigateway
                    .update_domain_name()
                    .domain_name(name)
                    .set_domain_name_configurations(Some(configurations(&to)))
                    .set_mutual_tls_authentication(to.mutual_tls_authentication.as_ref().map(|tls| {
                        sdk::MutualTlsAuthenticationInput::builder()
                            .set_truststore_uri(tls.truststore_uri.clone())
                            .set_truststore_version(tls.truststore_version.clone())
                            .build()
                    }))
                    .routing_mode(sdk::RoutingMode::from(to.routing_mode.as_str()))
                    .send()
            })
            .await?;
        }
        let (set, removed) = tags::difference(&from.tags, &to.tags);
        super::gateway_tags::set_tags(aws, name, &arn(aws.scope(), name), set, removed).await?;
        Ok(())
    }

    async fn delete(&self, cx: Context<'_>, live: &Live) -> Result<(), ResourceError> {
        let aws = cx.aws;
        gone_is_fine(
            aws.call(AwsCall::new("apigatewayv2", "DeleteDomainName").repeatable(), || {
                aws.apigateway.delete_domain_name().domain_name(&live.physical_id).send()
            })
            .await,
        )?;
        Ok(())
    }
}

fn configurations(props: &Props) -> Vec<sdk::DomainNameConfiguration> {
    let of = |one: &Configuration| {
        sdk::DomainNameConfiguration::builder()
            .set_certificate_arn(one.certificate_arn.clone())
            .set_certificate_name(one.certificate_name.clone())
            .endpoint_type(sdk::EndpointType::from(one.endpoint_type.as_str()))
            .ip_address_type(sdk::IpAddressType::from(one.ip_address_type.as_str()))
            .set_ownership_verification_certificate_arn(one.ownership_verification_certificate_arn.clone())
            .security_policy(sdk::SecurityPolicy::from(one.security_policy.as_str()))
            .build()
    };
    props.domain_name_configurations.iter().map(of).collect()
}

async fn list(aws: &Aws) -> Result<Vec<Live>, CallError> {
    let items = pages::all(|from| async move {
        let page = aws
            .call(AwsCall::new("apigatewayv2", "GetDomainNames"), || {
                aws.apigateway.get_domain_names().max_results("500").set_next_token(from.clone()).send()
            })
            .await?;
        Ok((page.items, page.next_token))
    })
    .await?;
    Ok(items.into_iter().map(|domain| live(aws, domain)).collect())
}

fn live(aws: &Aws, domain: sdk::DomainName) -> Live {
    let name = domain.domain_name.unwrap_or_default();
    let tags = aws.claimed(TYPE, &name, domain.tags.unwrap_or_default().into_iter().collect());
    let there = domain.domain_name_configurations.unwrap_or_default();
    let Created { physical_id, attributes, .. } = created(&name, &there);
    let status = there.first().and_then(|one| one.domain_name_status.as_ref());
    let health = match status {
        Some(status @ sdk::DomainNameStatus::Updating) => Health::Busy(status.as_str().to_owned()),
        _ => Health::Ready,
    };
    let text = |text: Option<String>| text.filter(|text| !text.is_empty());
    let configuration = |one: sdk::DomainNameConfiguration| Configuration {
        certificate_arn: text(one.certificate_arn),
        certificate_name: text(one.certificate_name),
        endpoint_type: one.endpoint_type.map_or_else(regional, |kind| kind.as_str().to_owned()),
        ip_address_type: one.ip_address_type.map_or_else(ipv4, |kind| kind.as_str().to_owned()),
        ownership_verification_certificate_arn: text(one.ownership_verification_certificate_arn),
        security_policy: one.security_policy.map_or_else(tls_1_2, |policy| policy.as_str().to_owned()),
    };
    let props = Props {
        domain_name: name,
        domain_name_configurations: there.into_iter().map(configuration).collect(),
        mutual_tls_authentication: domain
            .mutual_tls_authentication
            .map(|tls| MutualTls {
                truststore_uri: text(tls.truststore_uri),
                truststore_version: text(tls.truststore_version),
            })
            .filter(|tls| tls.truststore_uri.is_some()),
        routing_mode: domain.routing_mode.map_or_else(mappings_only, |mode| mode.as_str().to_owned()),
        tags: tags::settable(tags.clone()),
    };
    Live {
        logical_id: tags.get(tags::LOGICAL_ID).cloned(),
        owner: tags::owner(&tags, aws.scope()),
        deletion_policy: tags::deletion_policy(&tags),
        attributes,
        health,
        ..Live::new(TYPE, physical_id, to_value(&props))
    }
}

fn created(name: &str, there: &[sdk::DomainNameConfiguration]) -> Created {
    let mut created = Created::new(name);
    if let Some(one) = there.first() {
        let minted = [(ADDRESS, &one.api_gateway_domain_name), (ZONE, &one.hosted_zone_id)];
        let minted = minted.into_iter().filter_map(|(name, value)| Some((name.to_owned(), value.clone()?)));
        created.attributes.extend(minted);
    }
    created
}
