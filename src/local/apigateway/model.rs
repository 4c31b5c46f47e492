//! The persisted model of an API: its current configuration, and the snapshots of its deployments.
//!
//! The `*Config` types have the members that callers write; their JSON is AWS's, in requests and on disk.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::throttle::Limit;

/// AWS's refusal of a deployment id for a stage that deploys by itself.
pub const AUTO_DEPLOYED: &str = "Deployment ID cannot be set on this stage because AutoDeploy is enabled";

/// The protocol of HTTP APIs.
pub const HTTP: &str = "HTTP";

/// How long an integration of an HTTP API may take, in milliseconds (quotas of HTTP APIs).
pub const HTTP_TIMEOUT: u32 = 30_000;

/// The stage of an HTTP API that has no name in its address.
pub const DEFAULT_STAGE: &str = "$default";

/// A map of strings: tags, stage variables, request parameters.
pub type Strings = BTreeMap<String, String>;

/// The state of the service.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct State {
    /// By id.
    pub apis: BTreeMap<String, Api>,
    /// The role with which stages log, by region: `None` where it was removed, the default one for a region without an entry.
    #[serde(default)]
    pub log_roles: BTreeMap<String, Option<String>>,
    /// By name.
    #[serde(default)]
    pub domains: BTreeMap<String, Domain>,
}

/// One API with its parts, which are maps by id.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Api {
    pub region: String,
    pub created_date: String,
    pub config: ApiConfig,
    pub tags: Strings,
    #[serde(default)]
    pub authorizers: BTreeMap<String, AuthorizerConfig>,
    pub integrations: BTreeMap<String, Integration>,
    #[serde(default)]
    pub models: BTreeMap<String, ModelConfig>,
    pub routes: BTreeMap<String, Route>,
    pub deployments: BTreeMap<String, Deployment>,
    /// By stage name.
    pub stages: BTreeMap<String, Stage>,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ApiConfig {
    pub name: String,
    pub protocol_type: String,
    #[serde(default)]
    pub route_selection_expression: String,
    #[serde(default = "default_api_key_selection")]
    pub api_key_selection_expression: String,
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub description: String,
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub version: String,
    #[serde(default)]
    pub disable_execute_api_endpoint: bool,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub disable_schema_validation: Option<bool>,
    #[serde(default = "default_ip_address_type")]
    pub ip_address_type: String,
    /// Of HTTP APIs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cors_configuration: Option<CorsConfig>,
}

/// Whose pages may call an HTTP API and read its answers.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct CorsConfig {
    pub allow_credentials: bool,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub allow_headers: Vec<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub allow_methods: Vec<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub allow_origins: Vec<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub expose_headers: Vec<String>,
    pub max_age: i32,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct AuthorizerConfig {
    pub name: String,
    /// `REQUEST`, or of HTTP APIs `JWT`.
    pub authorizer_type: String,
    #[serde(default)]
    pub authorizer_uri: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub authorizer_credentials_arn: Option<String>,
    #[serde(default)]
    pub identity_source: Vec<String>,
    // The rest is of HTTP APIs.
    /// `1.0` or `2.0`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub authorizer_payload_format_version: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub authorizer_result_ttl_in_seconds: Option<u32>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub enable_simple_responses: Option<bool>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub jwt_configuration: Option<JwtConfig>,
}

/// Who issues the tokens that callers must have, and for whom.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct JwtConfig {
    pub audience: Vec<String>,
    pub issuer: String,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Integration {
    #[serde(flatten)]
    pub config: IntegrationConfig,
    /// By id.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub responses: BTreeMap<String, IntegrationResponseConfig>,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct IntegrationConfig {
    /// `AWS`, `AWS_PROXY`, `HTTP`, `HTTP_PROXY` or `MOCK`.
    pub integration_type: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub integration_uri: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub integration_method: Option<String>,
    #[serde(default = "default_connection_type")]
    pub connection_type: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub content_handling_strategy: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub credentials_arn: Option<String>,
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub description: String,
    #[serde(default = "default_passthrough_behavior")]
    pub passthrough_behavior: String,
    #[serde(default = "default_payload_format_version")]
    pub payload_format_version: String,
    #[serde(default, skip_serializing_if = "Strings::is_empty")]
    pub request_parameters: Strings,
    #[serde(default, skip_serializing_if = "Strings::is_empty")]
    pub request_templates: Strings,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub template_selection_expression: Option<String>,
    /// 50 to 29,000; of HTTP APIs to 30,000.
    #[serde(default = "default_timeout")]
    pub timeout_in_millis: u32,
    // The rest is of HTTP APIs.
    /// An operation of an AWS service: `SQS-SendMessage`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub integration_subtype: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub connection_id: Option<String>,
    /// By status: changes by where they apply.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub response_parameters: BTreeMap<String, Strings>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tls_config: Option<serde_json::Value>,
    /// Whether quick create made it.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub api_gateway_managed: bool,
}

/// What is made of an integration's response. Proxies have none.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct IntegrationResponseConfig {
    /// `$default`, or a regular expression between slashes, of the status or of a function's error.
    pub integration_response_key: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub content_handling_strategy: Option<String>,
    #[serde(default, skip_serializing_if = "Strings::is_empty")]
    pub response_parameters: Strings,
    #[serde(default, skip_serializing_if = "Strings::is_empty")]
    pub response_templates: Strings,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub template_selection_expression: Option<String>,
}

/// What the body of a message must be like.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ModelConfig {
    pub name: String,
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub content_type: String,
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub description: String,
    /// The text of a JSON schema (draft 4).
    pub schema: String,
}

/// Whether a parameter must be there.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
pub struct ParameterConstraints {
    #[serde(default)]
    pub required: bool,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Route {
    pub config: RouteConfig,
    pub responses: BTreeMap<String, RouteResponseConfig>,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct RouteConfig {
    pub route_key: String,
    #[serde(default)]
    pub api_key_required: bool,
    /// Of a JWT, any of which a caller must have; of HTTP APIs.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub authorization_scopes: Vec<String>,
    #[serde(default = "default_authorization_type")]
    pub authorization_type: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub authorizer_id: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub model_selection_expression: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub operation_name: Option<String>,
    /// Names (or ids) of models by what the model selection expression selects.
    #[serde(default, skip_serializing_if = "Strings::is_empty")]
    pub request_models: Strings,
    /// By name: `route.request.querystring.token`.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub request_parameters: BTreeMap<String, ParameterConstraints>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub route_response_selection_expression: Option<String>,
    /// `integrations/{integrationId}`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub target: Option<String>,
    /// Whether quick create made it.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub api_gateway_managed: bool,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct RouteResponseConfig {
    pub route_response_key: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub model_selection_expression: Option<String>,
    #[serde(default, skip_serializing_if = "Strings::is_empty")]
    pub response_models: Strings,
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub response_parameters: BTreeMap<String, ParameterConstraints>,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Deployment {
    pub created_date: String,
    pub description: String,
    pub auto_deployed: bool,
    #[serde(with = "shared")]
    pub snapshot: Arc<Snapshot>,
}

/// The configuration that a deployment froze: a stage serves this, independent of later changes of the API.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Snapshot {
    pub route_selection_expression: String,
    /// By route key.
    pub routes: BTreeMap<String, FrozenRoute>,
    /// By id.
    #[serde(default)]
    pub models: BTreeMap<String, ModelConfig>,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct FrozenRoute {
    /// The authorizer's id and configuration.
    #[serde(default)]
    pub authorizer: Option<(String, AuthorizerConfig)>,
    pub integration: Option<Integration>,
    /// Deployments of older builds have none.
    #[serde(default)]
    pub config: RouteConfig,
    /// Whether the route has a `$default` route response: only then the handler's response is sent to the client.
    pub responds: bool,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Stage {
    pub created_date: String,
    pub last_updated_date: String,
    pub last_deployment_status_message: Option<String>,
    pub config: StageConfig,
    pub tags: Strings,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct StageConfig {
    pub stage_name: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub deployment_id: Option<String>,
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub auto_deploy: bool,
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub description: String,
    #[serde(default)]
    pub stage_variables: Strings,
    #[serde(default = "default_route_settings")]
    pub default_route_settings: RouteSettings,
    /// By route key.
    #[serde(default)]
    pub route_settings: BTreeMap<String, RouteSettings>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub access_log_settings: Option<AccessLogSettings>,
    /// Whether quick create made it.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub api_gateway_managed: bool,
}

/// A domain name under which stages are served.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Domain {
    pub region: String,
    pub config: DomainConfig,
    pub tags: Strings,
    /// By id.
    pub mappings: BTreeMap<String, MappingConfig>,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct DomainConfig {
    pub domain_name: String,
    #[serde(default)]
    pub domain_name_configurations: Vec<DomainNameConfig>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mutual_tls_authentication: Option<serde_json::Value>,
    #[serde(default = "default_routing_mode")]
    pub routing_mode: String,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct DomainNameConfig {
    /// The name that the domain's DNS record leads to, and the zone that it is in.
    #[serde(default)]
    pub api_gateway_domain_name: String,
    #[serde(default)]
    pub hosted_zone_id: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub certificate_arn: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub certificate_name: Option<String>,
    #[serde(default = "default_endpoint_type")]
    pub endpoint_type: String,
    #[serde(default = "default_ip_address_type")]
    pub ip_address_type: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ownership_verification_certificate_arn: Option<String>,
    #[serde(default = "default_security_policy")]
    pub security_policy: String,
}

/// Which stage a path of a domain leads to.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct MappingConfig {
    pub api_id: String,
    /// The path, without slashes around it; empty for the domain itself.
    #[serde(default)]
    pub api_mapping_key: String,
    pub stage: String,
}

#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct RouteSettings {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub data_trace_enabled: Option<bool>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub detailed_metrics_enabled: Option<bool>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub logging_level: Option<String>,
    /// Requests; 0 denies everything.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub throttling_burst_limit: Option<u32>,
    /// Requests a second; 0 denies everything.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub throttling_rate_limit: Option<f64>,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct AccessLogSettings {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub destination_arn: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub format: Option<String>,
}

impl Api {
    /// Whether it is for HTTP requests, not for WebSockets.
    pub fn is_http(&self) -> bool {
        self.config.protocol_type == HTTP
    }

    /// Freezes the current routes with their integrations, and the models.
    pub fn snapshot(&self) -> Snapshot {
        let routes = self.routes.values().map(|route| {
            let integration = route.config.integration_id().and_then(|id| self.integrations.get(id)).cloned();
            let authorizer = route.config.authorizer_id.clone();
            let authorizer = authorizer.and_then(|id| Some((id.clone(), self.authorizers.get(&id)?.clone())));
            let responds = route.responses.values().any(|response| response.route_response_key == "$default");
            let config = route.config.clone();
            (route.config.route_key.clone(), FrozenRoute { authorizer, integration, config, responds })
        });
        Snapshot {
            route_selection_expression: self.config.route_selection_expression.clone(),
            routes: routes.collect(),
            models: self.models.clone(),
        }
    }

    /// A stage with its snapshot; `None` where the stage is unknown or has no deployment.
    pub fn served(&self, stage_name: &str) -> Option<(&Stage, &Arc<Snapshot>)> {
        let stage = self.stages.get(stage_name)?;
        let deployment = self.deployments.get(stage.config.deployment_id.as_ref()?)?;
        Some((stage, &deployment.snapshot))
    }
}

impl Snapshot {
    /// The model that a route names: by its name or its id.
    pub fn model(&self, named: &str) -> Option<&ModelConfig> {
        self.models.values().find(|model| model.name == named).or_else(|| self.models.get(named))
    }
}

impl Default for RouteConfig {
    fn default() -> Self {
        Self {
            route_key: String::new(),
            api_key_required: false,
            authorization_scopes: Vec::new(),
            authorization_type: default_authorization_type(),
            authorizer_id: None,
            model_selection_expression: None,
            operation_name: None,
            request_models: Strings::new(),
            request_parameters: BTreeMap::new(),
            route_response_selection_expression: None,
            target: None,
            api_gateway_managed: false,
        }
    }
}

impl RouteConfig {
    /// The integration that the target names.
    pub fn integration_id(&self) -> Option<&str> {
        self.target.as_deref()?.strip_prefix("integrations/")
    }
}

impl StageConfig {
    /// The stage's throttle for a route: its own settings before the default ones. A missing number is the account's
    /// (10,000 a second, 5,000 at once); `None` where both are missing.
    pub fn throttle(&self, route_key: &str) -> Option<Limit> {
        let settings = self.route_settings.get(route_key);
        let default = &self.default_route_settings;
        let burst = settings.and_then(|own| own.throttling_burst_limit).or(default.throttling_burst_limit);
        let rate = settings.and_then(|own| own.throttling_rate_limit).or(default.throttling_rate_limit);
        let limited = burst.is_some() || rate.is_some();
        limited.then(|| Limit { rate: rate.unwrap_or(10_000.0), burst: burst.unwrap_or(5_000) })
    }
}

/// Serialization of snapshots, which are shared with open connections in memory and plain on disk.
mod shared {
    use std::sync::Arc;

    use serde::{Deserialize, Deserializer, Serialize, Serializer};

    use super::Snapshot;

    pub fn serialize<S: Serializer>(snapshot: &Arc<Snapshot>, serializer: S) -> Result<S::Ok, S::Error> {
        snapshot.as_ref().serialize(serializer)
    }

    pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Arc<Snapshot>, D::Error> {
        Snapshot::deserialize(deserializer).map(Arc::new)
    }
}

// AWS's default values (API reference of apigatewayv2).

fn default_api_key_selection() -> String {
    "$request.header.x-api-key".to_owned()
}

fn default_ip_address_type() -> String {
    "ipv4".to_owned()
}

fn default_connection_type() -> String {
    "INTERNET".to_owned()
}

fn default_passthrough_behavior() -> String {
    "WHEN_NO_MATCH".to_owned()
}

fn default_payload_format_version() -> String {
    "1.0".to_owned()
}

fn default_timeout() -> u32 {
    29_000
}

fn default_authorization_type() -> String {
    "NONE".to_owned()
}

fn default_routing_mode() -> String {
    "API_MAPPING_ONLY".to_owned()
}

fn default_endpoint_type() -> String {
    "REGIONAL".to_owned()
}

fn default_security_policy() -> String {
    "TLS_1_2".to_owned()
}

fn default_route_settings() -> RouteSettings {
    RouteSettings { data_trace_enabled: Some(false), detailed_metrics_enabled: Some(false), ..RouteSettings::default() }
}
