//! `AWS::ApiGatewayV2::ApiMapping`: which stage is served below a domain name.
//!
//! The domain may be one that the template does not describe: shared ones are made once, and each application maps its
//! own API. A mapping belongs to the stack of its API, and the API records in a tag, from before a mapping is made until
//! after it is gone, which domains to look at: a reading finds it without a template.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::iam_permissions::{ANY, Permissions, Subject, apigateway, tagging};
use super::{
    Action, Attribute, Desired, Kind, Live, NamedPart, Names, PlanView, StepEffects, StepView, Within, canonical,
    names, tags,
};
use crate::core::words::{Problem, Scope};

pub const TYPE: &str = names::API_MAPPING;

/// A path of a domain, and the stage that it leads to.
pub struct ApiMapping;

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct Props {
    pub(crate) api_id: String,
    pub(crate) domain_name: String,
    pub(crate) stage: String,
    /// The path; empty for the domain itself.
    #[serde(default)]
    pub(crate) api_mapping_key: String,
}

/// The key of the tag by which an API records that it is mapped to a domain. A tag's key may not have the `*` of a
/// wildcard.
pub(crate) fn key(domain: &str) -> String {
    format!("{}{}", tags::DOMAIN, domain.replace('*', "@"))
}

/// The domain in such a key.
pub(crate) fn domain(key: &str) -> Option<String> {
    Some(key.strip_prefix(tags::DOMAIN)?.replace('@', "*"))
}

impl Kind for ApiMapping {
    fn type_name(&self) -> &'static str {
        TYPE
    }

    fn noun(&self) -> &'static str {
        "API mapping"
    }

    fn described(&self, live: &Live, _: &dyn Names) -> Option<String> {
        let text = |property: &str| live.properties[property].as_str().unwrap_or_default();
        Some(format!("mapping of {}/{}", text("DomainName"), text("ApiMappingKey")))
    }

    fn within(&self) -> Option<Within> {
        Some(Within { property: "ApiId", types: &[names::API] })
    }

    fn unique_by(&self) -> &'static [&'static str] {
        &["DomainName", "ApiMappingKey"]
    }

    fn needs_by_name(&self) -> &'static [NamedPart] {
        &[NamedPart { property: "Stage", to: names::STAGE, name: "StageName" }]
    }

    fn canonical(&self, properties: &Value) -> Result<Value, Vec<Problem>> {
        canonical::<Props>(properties)
    }

    fn record_of(&self, desired: &Desired) -> Option<(String, Vec<String>)> {
        let text = |property: &str| desired.properties[property].as_str();
        Some((text("ApiId")?.to_owned(), vec![key(text("DomainName")?)]))
    }

    fn create_only(&self) -> &'static [&'static str] {
        &["ApiMappingKey", "DomainName"]
    }

    fn hard(&self) -> &'static [&'static str] {
        &["ApiId", "DomainName", "Stage"]
    }

    fn attribute(&self, _: &Scope, _: Option<&str>, attribute: Option<&str>) -> Attribute {
        match attribute {
            None => Attribute::Minted,
            Some("ApiMappingId") => Attribute::Ref,
            Some(_) => Attribute::Unknown(&["ApiMappingId"]),
        }
    }

    fn parent(&self) -> Option<&'static str> {
        Some(names::API)
    }

    /// API Gateway does not delete an API that is mapped.
    fn deleted_with(&self) -> Option<&'static str> {
        None
    }

    fn deleted_before(&self) -> &'static [&'static str] {
        &[names::STAGE, names::API]
    }

    fn effects(&self, step: &StepView<'_>, _: &dyn PlanView) -> StepEffects {
        let at = || format!("{}/{}", step.live_text("DomainName"), step.live_text("ApiMappingKey"));
        match step.action {
            Action::Delete => StepEffects::interrupted(format!("nobody reaches the API at {} any more", at())),
            Action::Replace => StepEffects::interrupted(format!("nobody reaches the API at {} meanwhile", at())),
            _ => StepEffects::default(),
        }
    }

    fn permissions(&self, it: &Subject<'_>, permissions: &mut Permissions) {
        for domain in it.texts("DomainName") {
            let path = format!("domainnames/{domain}/apimappings");
            permissions.allow("apigateway", &["GET"], apigateway(it.scope, &path));
            let one = apigateway(it.scope, &format!("{path}/{ANY}"));
            if it.creates {
                permissions.allow("apigateway", &["POST"], apigateway(it.scope, &path));
                permissions.allow("apigateway", &["DELETE"], one.as_str());
            }
            if it.deletes {
                permissions.allow("apigateway", &["DELETE"], one.as_str());
            }
            if it.updates {
                permissions.allow("apigateway", &["PATCH"], one.as_str());
            }
        }
        if it.acts() {
            tagging(permissions, it.scope, &it.api_path());
        }
    }
}
