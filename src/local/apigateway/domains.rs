//! Domain names and API mappings: Create, Get, list, Update, Delete; and which stage an address below a domain leads to.

use super::ControlCall;
use super::model::{Domain, DomainConfig, MappingConfig, State};
use super::rules::{self, Answer, Members, bad_request};
use super::tags;
use crate::local::context::ACCOUNT;
use crate::local::protocol::wire::{ApiError, Response};

/// What a local domain name ends in: clients resolve it to this machine without any DNS record (RFC 6761).
const LOCAL: &str = ".localhost";

/// Mappings that a domain may have (quotas: API mappings per domain).
const MAX_MAPPINGS: usize = 200;

pub fn create(state: &mut State, call: &ControlCall<'_>) -> Answer {
    let members = rules::members(call.request)?;
    let tags = tags::given(&members)?;
    let mut config: DomainConfig = rules::parse(members)?;
    complete(&mut config, call.region());
    check(&config)?;
    if state.domains.contains_key(&config.domain_name) {
        return Err(rules::conflict("The domain name you provided already exists."));
    }
    let name = config.domain_name.clone();
    let domain = Domain { region: call.region().to_owned(), config, tags, mappings: Default::default() };
    let answer = Response::json(201, &representation(&domain));
    state.domains.insert(name, domain);
    Ok(answer)
}

pub fn get(state: &State, call: &ControlCall<'_>) -> Answer {
    Ok(Response::json(200, &representation(state.domain(call)?)))
}

pub fn list(state: &State, call: &ControlCall<'_>) -> Answer {
    let here = state.domains.iter().filter(|(_, domain)| domain.region == call.region());
    rules::page(call.request, here.map(|(name, domain)| (name.clone(), representation(domain))))
}

pub fn update(state: &mut State, call: &ControlCall<'_>) -> Answer {
    let mut patch = rules::members(call.request)?;
    patch.remove("domainName");
    let domain = state.domain_mut(call)?;
    let mut config: DomainConfig = rules::merge(&domain.config, patch)?;
    // A domain keeps its addresses.
    for (new, old) in config.domain_name_configurations.iter_mut().zip(&domain.config.domain_name_configurations) {
        new.api_gateway_domain_name.clone_from(&old.api_gateway_domain_name);
        new.hosted_zone_id.clone_from(&old.hosted_zone_id);
    }
    complete(&mut config, call.region());
    check(&config)?;
    domain.config = config;
    Ok(Response::json(200, &representation(domain)))
}

pub fn delete(state: &mut State, call: &ControlCall<'_>) -> Answer {
    state.domain(call)?;
    state.domains.remove(call.id(0));
    Ok(Response::empty(204))
}

pub fn create_mapping(state: &mut State, call: &ControlCall<'_>) -> Answer {
    let config: MappingConfig = rules::parse(rules::members(call.request)?)?;
    check_mapping(state, call, None, &config)?;
    let domain = state.domain_mut(call)?;
    if domain.mappings.len() >= MAX_MAPPINGS {
        return Err(rules::quota_reached("ApiMappings"));
    }
    let id = rules::new_id(6);
    let answer = Response::json(201, &mapping_representation(&id, &config));
    domain.mappings.insert(id, config);
    Ok(answer)
}

pub fn get_mapping(state: &State, call: &ControlCall<'_>) -> Answer {
    let mapping = state.domain(call)?.mappings.get(call.id(1)).ok_or_else(|| unknown_mapping(call))?;
    Ok(Response::json(200, &mapping_representation(call.id(1), mapping)))
}

pub fn list_mappings(state: &State, call: &ControlCall<'_>) -> Answer {
    let mappings = state.domain(call)?.mappings.iter();
    rules::page(call.request, mappings.map(|(id, config)| (id.clone(), mapping_representation(id, config))))
}

pub fn update_mapping(state: &mut State, call: &ControlCall<'_>) -> Answer {
    let mapping = state.domain(call)?.mappings.get(call.id(1)).ok_or_else(|| unknown_mapping(call))?;
    let config = rules::merge(mapping, rules::members(call.request)?)?;
    check_mapping(state, call, Some(call.id(1)), &config)?;
    let answer = Response::json(200, &mapping_representation(call.id(1), &config));
    state.domain_mut(call)?.mappings.insert(call.id(1).to_owned(), config);
    Ok(answer)
}

pub fn delete_mapping(state: &mut State, call: &ControlCall<'_>) -> Answer {
    state.domain_mut(call)?.mappings.remove(call.id(1)).ok_or_else(|| unknown_mapping(call))?;
    Ok(Response::empty(204))
}

impl State {
    /// The domain of a call, in the region that the call is signed for.
    fn domain(&self, call: &ControlCall<'_>) -> Result<&Domain, ApiError> {
        self.domains.get(call.id(0)).filter(|domain| domain.region == call.region()).ok_or_else(unknown)
    }

    fn domain_mut(&mut self, call: &ControlCall<'_>) -> Result<&mut Domain, ApiError> {
        self.domains.get_mut(call.id(0)).filter(|domain| domain.region == call.region()).ok_or_else(unknown)
    }

    /// The API and the stage that an address below a domain leads to, and what of its path comes after the mapping's:
    /// `Host: DOMAIN.localhost` (or the domain itself, where a resolver leads it here), path `/KEY`.
    pub(super) fn mapped<'p>(&self, host: &str, path: &'p [String]) -> Option<(String, String, &'p [String])> {
        let name = host.rsplit_once(':').map_or(host, |(name, _)| name).to_ascii_lowercase();
        let domain = self.domains.get(name.strip_suffix(LOCAL).unwrap_or(&name))?;
        let at = |key: &str| domain.mappings.values().find(|mapping| mapping.api_mapping_key == key);
        let first = path.first().filter(|first| !first.is_empty());
        let keyed = first.and_then(|first| at(first)).map(|mapping| (mapping, &path[1..]));
        let (mapping, rest) = keyed.or_else(|| at("").map(|mapping| (mapping, path)))?;
        Some((mapping.api_id.clone(), mapping.stage.clone(), rest))
    }
}

/// Fills in what AWS mints.
fn complete(config: &mut DomainConfig, region: &str) {
    for one in &mut config.domain_name_configurations {
        if one.api_gateway_domain_name.is_empty() {
            one.api_gateway_domain_name = format!("d-{}.execute-api.{region}.amazonaws.com", rules::new_id(10));
            one.hosted_zone_id = format!("Z{}", rules::new_id(13).to_ascii_uppercase());
        }
    }
}

fn check(config: &DomainConfig) -> Result<(), ApiError> {
    let name = &config.domain_name;
    rules::length("domainName", name, 1, 512)?;
    let is_label = |label: &str| {
        !label.is_empty()
            && label
                .chars()
                .all(|letter| letter.is_ascii_lowercase() || letter.is_ascii_digit() || "-*".contains(letter))
    };
    if !name.contains('.') || !name.split('.').all(is_label) {
        return Err(bad_request(format!("Invalid domain name identifier specified {name}")));
    }
    let [one] = &config.domain_name_configurations[..] else {
        return Err(bad_request("Invalid input. Expected one domain name configuration"));
    };
    rules::one_of("endpointType", &one.endpoint_type, &["REGIONAL", "EDGE"])?;
    rules::one_of("ipAddressType", &one.ip_address_type, &["ipv4", "dualstack"])?;
    if one.certificate_arn.as_ref().is_none_or(String::is_empty) {
        return Err(bad_request("CertificateArn must be specified"));
    }
    Ok(())
}

/// Checks a mapping; `own` is its id where it exists already.
fn check_mapping(
    state: &State,
    call: &ControlCall<'_>,
    own: Option<&str>,
    config: &MappingConfig,
) -> Result<(), ApiError> {
    let domain = state.domain(call)?;
    let api = state.apis.get(&config.api_id).filter(|api| api.region == call.region());
    let api = api.ok_or_else(|| rules::not_found("API", &format!("{ACCOUNT}:{}", config.api_id)))?;
    // "Invalid stage identifier specified", and the words about the key: aws/aws-cdk#8983.
    if !api.stages.contains_key(&config.stage) {
        return Err(bad_request("Invalid stage identifier specified"));
    }
    let key = &config.api_mapping_key;
    if !key.chars().all(|letter| letter.is_ascii_alphanumeric() || "$-_.+!*'(),".contains(letter)) {
        return Err(bad_request("An ApiMapping key may contain only letters, numbers and one of $-_.+!*'(),"));
    }
    if domain.mappings.iter().any(|(id, other)| other.api_mapping_key == *key && own != Some(id)) {
        return Err(rules::conflict("ApiMapping key already exists for this domain name"));
    }
    Ok(())
}

fn representation(domain: &Domain) -> Members {
    let mut members = rules::object(&domain.config);
    let name = &domain.config.domain_name;
    members.insert("apiMappingSelectionExpression".to_owned(), "$request.basepath".into());
    let arn = format!("arn:aws:apigateway:{}::/domainnames/{name}", domain.region);
    members.insert("domainNameArn".to_owned(), arn.into());
    let configurations = members.get_mut("domainNameConfigurations").and_then(|all| all.as_array_mut());
    for one in configurations.into_iter().flatten() {
        one["domainNameStatus"] = "AVAILABLE".into();
    }
    members.insert("tags".to_owned(), rules::object(&domain.tags).into());
    members
}

fn mapping_representation(id: &str, config: &MappingConfig) -> Members {
    let mut members = rules::object(config);
    members.insert("apiMappingId".to_owned(), id.into());
    members
}

fn unknown() -> ApiError {
    ApiError::new(404, "NotFoundException", "Invalid domain name identifier specified")
}

fn unknown_mapping(call: &ControlCall<'_>) -> ApiError {
    rules::not_found("ApiMapping", call.id(1))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_below_a_domain_leads_to_the_stage_that_is_mapped_there() {
        let mapping = |api: &str, key: &str| MappingConfig {
            api_id: api.to_owned(),
            api_mapping_key: key.to_owned(),
            stage: "live".to_owned(),
        };
        let config = serde_json::from_str(r#"{"domainName":"ws.example.com"}"#).unwrap();
        let mappings = [("1".to_owned(), mapping("root", "")), ("2".to_owned(), mapping("chat", "chat"))].into();
        let domain = Domain { region: "eu-west-1".to_owned(), config, tags: Default::default(), mappings };
        let state = State { domains: [("ws.example.com".to_owned(), domain)].into(), ..State::default() };
        for (host, path, expected) in [
            ("ws.example.com.localhost:4579", &[][..], Some(("root", 0))),
            ("WS.example.com.localhost", &["chat"], Some(("chat", 0))),
            ("ws.example.com", &["chat", "@connections", "x"], Some(("chat", 2))),
            ("ws.example.com", &["@connections", "x"], Some(("root", 2))),
            ("example.com.localhost", &["chat"], None),
        ] {
            let path: Vec<String> = path.iter().map(|part| (*part).to_owned()).collect();
            let found = state.mapped(host, &path);
            let found = found.as_ref().map(|(api, _, rest)| (api.as_str(), rest.len()));
            assert_eq!(found, expected, "{host} {path:?}");
        }
    }
}
