//! The property `Domain` of an API: a domain name, a mapping for each path, and DNS records.

use serde_json::{Map, Value, json};

use super::expansion::{Expansion, made};
use super::shape::truthy;
use super::versions::logical_hash;
use crate::core::words::{Path, Problem, ProblemKind};

/// The properties of `Domain`, and of its `Route53`. The translator ignores any other; here it is an error.
const DOMAIN: &[&str] = &[
    "BasePath",
    "CertificateArn",
    "DomainName",
    "EndpointConfiguration",
    "MutualTlsAuthentication",
    "OwnershipVerificationCertificateArn",
    "Route53",
    "SecurityPolicy",
];
const ROUTE_53: &[&str] =
    &["EvaluateTargetHealth", "HostedZoneId", "HostedZoneName", "IpV6", "Region", "SetIdentifier"];

/// Creates what the resource's `Domain` asks for; `tags` are the domain name's. The API's stage is `LogicalId.Stage`.
pub fn create(expansion: &mut Expansion<'_>, tags: &Value) {
    let Some(given) = expansion.get("Domain") else { return };
    let domain = expansion.inline("Domain", &mut given.clone());
    let place = expansion.place("Domain");
    unknown(expansion, &domain, &place, "Domain", DOMAIN);
    let name = domain.get("DomainName").filter(|name| !name.is_null());
    let (Some(name), Some(certificate)) = (name, domain.get("CertificateArn").filter(|arn| !arn.is_null())) else {
        let what = "Custom Domains need both DomainName and CertificateArn";
        expansion.report(Problem::new(place, what).kind(ProblemKind::Missing));
        return;
    };
    if domain.get("MutualTlsAuthentication").is_some_and(truthy) {
        let what = "WebSocket APIs have no Mutual TLS";
        expansion.report(Problem::of_key(place.key("MutualTlsAuthentication"), what));
        return;
    }
    let endpoint = domain.get("EndpointConfiguration").filter(|kind| !kind.is_null());
    if endpoint.is_some_and(|kind| kind != "REGIONAL") {
        let what = "EndpointConfiguration for Custom Domains must be REGIONAL";
        expansion.report(Problem::new(place.key("EndpointConfiguration"), what));
        return;
    }
    let id = format!("ApiGatewayDomainNameV2{}", logical_hash(name));
    let mut configuration = json!({ "CertificateArn": certificate, "EndpointType": "REGIONAL" });
    for property in ["OwnershipVerificationCertificateArn", "SecurityPolicy"] {
        if let Some(value) = domain.get(property).filter(|value| truthy(value)) {
            configuration[property] = value.clone();
        }
    }
    let properties = json!({ "DomainName": name, "DomainNameConfigurations": [configuration], "Tags": tags });
    add(expansion, &id, "AWS::ApiGatewayV2::DomainName", properties, &place);
    expansion.note(made(&id).key("DomainName"), &place.key("DomainName"));
    expansion
        .note(made(&id).key("DomainNameConfigurations").index(0).key("CertificateArn"), &place.key("CertificateArn"));
    expansion.note(made(&id).key("Tags"), &expansion.place("Tags"));
    expansion.references.insert((expansion.logical_id.to_owned(), "DomainName".to_owned()), id.clone());
    mappings(expansion, &domain, &id, &place);
    records(expansion, &domain, name, &id, &place.key("Route53"));
}

/// A mapping for each path; one for the domain itself where there is none.
fn mappings(expansion: &mut Expansion<'_>, domain: &Value, id: &str, place: &Path) {
    let paths = match domain.get("BasePath").filter(|paths| truthy(paths)) {
        Some(Value::String(path)) => vec![Value::from(path.as_str())],
        Some(Value::Array(paths)) => paths.clone(),
        _ => vec![Value::Null],
    };
    let api = expansion.logical_id;
    for path in paths {
        let mut mapping = json!({
            "ApiId": { "Ref": api },
            "DomainName": { "Ref": id },
            "Stage": { "Ref": format!("{api}.Stage") },
        });
        let mut part = String::new();
        match &path {
            Value::Null => {}
            Value::String(path)
                if path.chars().all(|letter| letter.is_ascii_alphanumeric() || "/-_".contains(letter)) =>
            {
                part = path.replace(['-', '_', '/'], "");
                mapping["ApiMappingKey"] = path.trim_matches('/').into();
            }
            Value::String(_) => {
                let what = "Invalid Basepath: a path of a domain has letters, digits, /, - and _";
                expansion.report(Problem::new(place.key("BasePath"), what));
                continue;
            }
            _ => {
                let problem = Problem::new(place.key("BasePath"), "a Basepath must be a string");
                expansion.report(problem.kind(ProblemKind::IllTyped));
                continue;
            }
        }
        let mapping_id = format!("{api}{part}ApiMapping");
        add(expansion, &mapping_id, "AWS::ApiGatewayV2::ApiMapping", mapping, place);
        expansion.note(made(&mapping_id).key("ApiMappingKey"), &place.key("BasePath"));
    }
}

/// The records that lead to the domain name `id`, in the zone that `Route53` names.
fn records(expansion: &mut Expansion<'_>, domain: &Value, name: &Value, id: &str, place: &Path) {
    let Some(given) = domain.get("Route53").filter(|given| !given.is_null()) else { return };
    let Some(zone) = given.as_object() else {
        expansion.report(Problem::new(place.clone(), "Domain.Route53 must be a map").kind(ProblemKind::IllTyped));
        return;
    };
    unknown(expansion, given, place, "Route53", ROUTE_53);
    let zone_of = |property: &str| zone.get(property).filter(|zone| !zone.is_null());
    if zone_of("HostedZoneId").is_none() && zone_of("HostedZoneName").is_none() {
        let what = "Route53 needs a HostedZoneId or a HostedZoneName";
        expansion.report(Problem::new(place.clone(), what).kind(ProblemKind::Missing));
        return;
    }
    let identity = zone_of("HostedZoneId").filter(|id| truthy(id)).or(zone_of("HostedZoneName"));
    let mut target = Map::new();
    if let Some(value) = zone_of("EvaluateTargetHealth") {
        target.insert("EvaluateTargetHealth".to_owned(), value.clone());
    }
    for (property, attribute) in [("HostedZoneId", "RegionalHostedZoneId"), ("DNSName", "RegionalDomainName")] {
        target.insert(property.to_owned(), json!({ "Fn::GetAtt": [id, attribute] }));
    }
    let types = if zone.get("IpV6") == Some(&Value::Bool(true)) { &["A", "AAAA"][..] } else { &["A"] };
    let record = |kind: &&str| {
        let mut record = json!({ "Name": name, "Type": kind, "AliasTarget": target });
        for property in ["Region", "SetIdentifier"] {
            if let Some(value) = zone_of(property) {
                record[property] = value.clone();
            }
        }
        record
    };
    let mut properties = json!({ "RecordSets": types.iter().map(record).collect::<Vec<_>>() });
    let named = if zone.contains_key("HostedZoneId") { "HostedZoneId" } else { "HostedZoneName" };
    properties[named] = zone[named].clone();
    let group = format!("RecordSetGroup{}", identity.map_or_else(String::new, logical_hash));
    add(expansion, &group, "AWS::Route53::RecordSetGroup", properties, place);
}

/// Reports members of a map that SAM would ignore.
fn unknown(expansion: &mut Expansion<'_>, map: &Value, place: &Path, of: &str, known: &'static [&'static str]) {
    for name in map.as_object().into_iter().flatten().map(|(name, _)| name) {
        if !known.contains(&name.as_str()) {
            let problem = Problem::of_key(place.key(name), format!("unknown property \"{name}\" of {of}"))
                .kind(ProblemKind::Unknown);
            expansion.report(problem.suggest(name, known.iter().copied()));
        }
    }
}

/// Adds a created resource whose source is at `written`.
fn add(expansion: &mut Expansion<'_>, id: &str, type_name: &str, properties: Value, written: &Path) {
    let resource = expansion.extra_resource(None, id, type_name, properties);
    expansion.note(Path::default().key("Resources").key(id), written);
    expansion.note(made(id), written);
    expansion.made.push((id.to_owned(), resource));
}
