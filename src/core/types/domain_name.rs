//! `AWS::ApiGatewayV2::DomainName`: a name of one's own under which APIs are served.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::iam_permissions::{Permissions, Subject, apigateway, gateway_changes};
use super::tags::Tags;
use super::{Action, Attribute, Kind, Naming, PlanView, StepEffects, StepView, canonical, names, tags};
use crate::core::words::{Problem, Scope};

pub const TYPE: &str = names::DOMAIN_NAME;

/// What a DNS record leads to, and the zone that this is in.
pub const ADDRESS: &str = "RegionalDomainName";
pub const ZONE: &str = "RegionalHostedZoneId";

const ARN: &str = "DomainNameArn";

/// A domain name.
pub struct DomainName;

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct Props {
    pub(crate) domain_name: String,
    #[serde(default)]
    pub(crate) domain_name_configurations: Vec<Configuration>,
    pub(crate) mutual_tls_authentication: Option<MutualTls>,
    #[serde(default = "mappings_only")]
    pub(crate) routing_mode: String,
    #[serde(default, deserialize_with = "tags::deserialize")]
    pub(crate) tags: Tags,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct Configuration {
    pub(crate) certificate_arn: Option<String>,
    pub(crate) certificate_name: Option<String>,
    #[serde(default = "regional")]
    pub(crate) endpoint_type: String,
    #[serde(default = "ipv4")]
    pub(crate) ip_address_type: String,
    pub(crate) ownership_verification_certificate_arn: Option<String>,
    #[serde(default = "tls_1_2")]
    pub(crate) security_policy: String,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct MutualTls {
    pub(crate) truststore_uri: Option<String>,
    pub(crate) truststore_version: Option<String>,
}

pub(crate) fn mappings_only() -> String {
    "API_MAPPING_ONLY".to_owned()
}

pub(crate) fn regional() -> String {
    "REGIONAL".to_owned()
}

pub(crate) fn ipv4() -> String {
    "ipv4".to_owned()
}

pub(crate) fn tls_1_2() -> String {
    "TLS_1_2".to_owned()
}

impl Kind for DomainName {
    fn type_name(&self) -> &'static str {
        TYPE
    }

    fn noun(&self) -> &'static str {
        "domain name"
    }

    fn naming(&self) -> Option<Naming> {
        // The template must give it: nobody has a certificate for a generated one.
        Some(Naming { property: "DomainName", longest: 512, within: None, path: None })
    }

    fn deleted_after(&self) -> &'static [&'static str] {
        &[names::API_MAPPING]
    }

    fn canonical(&self, properties: &Value) -> Result<Value, Vec<Problem>> {
        canonical::<Props>(properties)
    }

    fn create_only(&self) -> &'static [&'static str] {
        &["DomainName"]
    }

    /// Nothing says that an update takes it back.
    fn any_if_absent(&self) -> &'static [&'static str] {
        &["MutualTlsAuthentication"]
    }

    fn hard(&self) -> &'static [&'static str] {
        &[]
    }

    fn attribute(&self, scope: &Scope, name: Option<&str>, attribute: Option<&str>) -> Attribute {
        match (attribute, name) {
            (None, Some(name)) => Attribute::Known(name.to_owned()),
            (Some(ARN), Some(name)) => Attribute::Known(arn(scope, name)),
            (None | Some(ADDRESS | ZONE | ARN), _) => Attribute::Minted,
            (Some(_), _) => Attribute::Unknown(&[ARN, ADDRESS, ZONE]),
        }
    }

    fn taggable(&self) -> bool {
        true
    }

    fn effects(&self, step: &StepView<'_>, _: &dyn PlanView) -> StepEffects {
        match step.action {
            Action::Delete | Action::Replace => StepEffects {
                interrupted: vec![format!("nobody reaches an API at {} any more", step.id())],
                lost: vec!["the address that its DNS record leads to: a new one gets another".to_owned()],
            },
            _ => StepEffects::default(),
        }
    }

    fn permissions(&self, it: &Subject<'_>, permissions: &mut Permissions) {
        let path = format!("domainnames/{}", it.name());
        let one = apigateway(it.scope, &path);
        permissions.allow("apigateway", &["GET"], apigateway(it.scope, "domainnames"));
        if it.creates {
            permissions.allow("apigateway", &["POST", "TagResource"], apigateway(it.scope, "domainnames"));
            permissions.allow("apigateway", &["DELETE"], one.as_str());
        }
        gateway_changes(it, permissions, &path);
    }

    fn permissions_to_import(&self, it: &Subject<'_>, _: bool, permissions: &mut Permissions) {
        permissions.allow("apigateway", &["GET"], apigateway(it.scope, &format!("domainnames/{}", it.name())));
    }
}

pub(crate) fn arn(scope: &Scope, name: &str) -> String {
    apigateway(scope, &format!("domainnames/{name}"))
}
