//! The table of the control plane's operations, and how they run.

use async_trait::async_trait;

use super::model::State;
use super::required_permissions::{on_path, on_tags};
use super::rules::Answer;
use super::{
    ApiGateway, ControlCall, NAME, account, apis, authorizers, deployments, domains, import, integrations, models,
    routes, stages, tags,
};
use crate::local::protocol::operation::OperationEffect;
use crate::local::protocol::service::Permissions::Needs;
use crate::local::protocol::service::{Permissions, Row, Service, ServiceCall};
use crate::local::protocol::wire::{ApiError, Protocol, Response};

/// The function that runs an operation.
#[derive(Clone, Copy)]
pub enum Run {
    Read(fn(&State, &ControlCall<'_>) -> Answer),
    Write(fn(&mut State, &ControlCall<'_>) -> Answer),
    /// Writes configuration that deployments freeze, so stages with AutoDeploy are deployed again.
    Configure(fn(&mut State, &ControlCall<'_>) -> Answer),
    /// Deletes an API or a stage, so its connections are closed.
    Close(fn(&mut State, &ControlCall<'_>) -> Answer),
}

use Run::{Close, Configure, Read, Write};

/// All operations of the control plane; others are refused as unknown. `GetAccount` and `UpdateAccount` belong to
/// version 1 of the API, whose paths have no version.
#[rustfmt::skip]
const OPERATIONS: &[Row<ApiGateway>] = &[
    row("GetAccount", "GET", "/account", Needs(on_path), Read(account::get)),
    row("UpdateAccount", "PATCH", "/account", Needs(on_path), Write(account::update)),
    row("CreateApi", "POST", "/v2/apis", Needs(on_path), Write(apis::create)),
    row("ImportApi", "PUT", "/v2/apis", Needs(on_path), Write(import::create)),
    row("ReimportApi", "PUT", "/v2/apis/{apiId}", Needs(on_path), Configure(import::replace)),
    row("DeleteCorsConfiguration", "DELETE", "/v2/apis/{apiId}/cors", Needs(on_path), Configure(apis::delete_cors)),
    row("GetApis", "GET", "/v2/apis", Needs(on_path), Read(apis::list)),
    row("GetApi", "GET", "/v2/apis/{apiId}", Needs(on_path), Read(apis::get)),
    row("UpdateApi", "PATCH", "/v2/apis/{apiId}", Needs(on_path), Configure(apis::update)),
    row("DeleteApi", "DELETE", "/v2/apis/{apiId}", Needs(on_path), Close(apis::delete)),
    row("CreateAuthorizer", "POST", "/v2/apis/{apiId}/authorizers", Needs(on_path), Configure(authorizers::create)),
    row("GetAuthorizers", "GET", "/v2/apis/{apiId}/authorizers", Needs(on_path), Read(authorizers::list)),
    row("GetAuthorizer", "GET", "/v2/apis/{apiId}/authorizers/{authorizerId}", Needs(on_path), Read(authorizers::get)),
    row("UpdateAuthorizer", "PATCH", "/v2/apis/{apiId}/authorizers/{authorizerId}", Needs(on_path), Configure(authorizers::update)),
    row("DeleteAuthorizer", "DELETE", "/v2/apis/{apiId}/authorizers/{authorizerId}", Needs(on_path), Configure(authorizers::delete)),
    row("CreateIntegration", "POST", "/v2/apis/{apiId}/integrations", Needs(on_path), Configure(integrations::create)),
    row("GetIntegrations", "GET", "/v2/apis/{apiId}/integrations", Needs(on_path), Read(integrations::list)),
    row("GetIntegration", "GET", "/v2/apis/{apiId}/integrations/{integrationId}", Needs(on_path), Read(integrations::get)),
    row("UpdateIntegration", "PATCH", "/v2/apis/{apiId}/integrations/{integrationId}", Needs(on_path), Configure(integrations::update)),
    row("DeleteIntegration", "DELETE", "/v2/apis/{apiId}/integrations/{integrationId}", Needs(on_path), Configure(integrations::delete)),
    row("CreateIntegrationResponse", "POST", "/v2/apis/{apiId}/integrations/{integrationId}/integrationresponses", Needs(on_path), Configure(integrations::create_response)),
    row("GetIntegrationResponses", "GET", "/v2/apis/{apiId}/integrations/{integrationId}/integrationresponses", Needs(on_path), Read(integrations::list_responses)),
    row("GetIntegrationResponse", "GET", "/v2/apis/{apiId}/integrations/{integrationId}/integrationresponses/{integrationResponseId}", Needs(on_path), Read(integrations::get_response)),
    row("UpdateIntegrationResponse", "PATCH", "/v2/apis/{apiId}/integrations/{integrationId}/integrationresponses/{integrationResponseId}", Needs(on_path), Configure(integrations::update_response)),
    row("DeleteIntegrationResponse", "DELETE", "/v2/apis/{apiId}/integrations/{integrationId}/integrationresponses/{integrationResponseId}", Needs(on_path), Configure(integrations::delete_response)),
    row("CreateModel", "POST", "/v2/apis/{apiId}/models", Needs(on_path), Configure(models::create)),
    row("GetModels", "GET", "/v2/apis/{apiId}/models", Needs(on_path), Read(models::list)),
    row("GetModel", "GET", "/v2/apis/{apiId}/models/{modelId}", Needs(on_path), Read(models::get)),
    row("UpdateModel", "PATCH", "/v2/apis/{apiId}/models/{modelId}", Needs(on_path), Configure(models::update)),
    row("DeleteModel", "DELETE", "/v2/apis/{apiId}/models/{modelId}", Needs(on_path), Configure(models::delete)),
    row("CreateRoute", "POST", "/v2/apis/{apiId}/routes", Needs(on_path), Configure(routes::create)),
    row("GetRoutes", "GET", "/v2/apis/{apiId}/routes", Needs(on_path), Read(routes::list)),
    row("GetRoute", "GET", "/v2/apis/{apiId}/routes/{routeId}", Needs(on_path), Read(routes::get)),
    row("UpdateRoute", "PATCH", "/v2/apis/{apiId}/routes/{routeId}", Needs(on_path), Configure(routes::update)),
    row("DeleteRoute", "DELETE", "/v2/apis/{apiId}/routes/{routeId}", Needs(on_path), Configure(routes::delete)),
    row("DeleteRouteRequestParameter", "DELETE", "/v2/apis/{apiId}/routes/{routeId}/requestparameters/{requestParameterKey}", Needs(on_path), Configure(routes::delete_request_parameter)),
    row("CreateRouteResponse", "POST", "/v2/apis/{apiId}/routes/{routeId}/routeresponses", Needs(on_path), Configure(routes::create_response)),
    row("GetRouteResponses", "GET", "/v2/apis/{apiId}/routes/{routeId}/routeresponses", Needs(on_path), Read(routes::list_responses)),
    row("GetRouteResponse", "GET", "/v2/apis/{apiId}/routes/{routeId}/routeresponses/{routeResponseId}", Needs(on_path), Read(routes::get_response)),
    row("UpdateRouteResponse", "PATCH", "/v2/apis/{apiId}/routes/{routeId}/routeresponses/{routeResponseId}", Needs(on_path), Configure(routes::update_response)),
    row("DeleteRouteResponse", "DELETE", "/v2/apis/{apiId}/routes/{routeId}/routeresponses/{routeResponseId}", Needs(on_path), Configure(routes::delete_response)),
    row("CreateDeployment", "POST", "/v2/apis/{apiId}/deployments", Needs(on_path), Write(deployments::create)),
    row("GetDeployments", "GET", "/v2/apis/{apiId}/deployments", Needs(on_path), Read(deployments::list)),
    row("GetDeployment", "GET", "/v2/apis/{apiId}/deployments/{deploymentId}", Needs(on_path), Read(deployments::get)),
    row("UpdateDeployment", "PATCH", "/v2/apis/{apiId}/deployments/{deploymentId}", Needs(on_path), Write(deployments::update)),
    row("DeleteDeployment", "DELETE", "/v2/apis/{apiId}/deployments/{deploymentId}", Needs(on_path), Write(deployments::delete)),
    row("CreateStage", "POST", "/v2/apis/{apiId}/stages", Needs(on_path), Write(stages::create)),
    row("GetStages", "GET", "/v2/apis/{apiId}/stages", Needs(on_path), Read(stages::list)),
    row("GetStage", "GET", "/v2/apis/{apiId}/stages/{stageName}", Needs(on_path), Read(stages::get)),
    row("UpdateStage", "PATCH", "/v2/apis/{apiId}/stages/{stageName}", Needs(on_path), Write(stages::update)),
    row("DeleteStage", "DELETE", "/v2/apis/{apiId}/stages/{stageName}", Needs(on_path), Close(stages::delete)),
    row("DeleteAccessLogSettings", "DELETE", "/v2/apis/{apiId}/stages/{stageName}/accesslogsettings", Needs(on_path), Write(stages::delete_access_log_settings)),
    row("DeleteRouteSettings", "DELETE", "/v2/apis/{apiId}/stages/{stageName}/routesettings/{routeKey}", Needs(on_path), Write(stages::delete_route_settings)),
    row("CreateDomainName", "POST", "/v2/domainnames", Needs(on_path), Write(domains::create)),
    row("GetDomainNames", "GET", "/v2/domainnames", Needs(on_path), Read(domains::list)),
    row("GetDomainName", "GET", "/v2/domainnames/{domainName}", Needs(on_path), Read(domains::get)),
    row("UpdateDomainName", "PATCH", "/v2/domainnames/{domainName}", Needs(on_path), Write(domains::update)),
    row("DeleteDomainName", "DELETE", "/v2/domainnames/{domainName}", Needs(on_path), Write(domains::delete)),
    row("CreateApiMapping", "POST", "/v2/domainnames/{domainName}/apimappings", Needs(on_path), Write(domains::create_mapping)),
    row("GetApiMappings", "GET", "/v2/domainnames/{domainName}/apimappings", Needs(on_path), Read(domains::list_mappings)),
    row("GetApiMapping", "GET", "/v2/domainnames/{domainName}/apimappings/{apiMappingId}", Needs(on_path), Read(domains::get_mapping)),
    row("UpdateApiMapping", "PATCH", "/v2/domainnames/{domainName}/apimappings/{apiMappingId}", Needs(on_path), Write(domains::update_mapping)),
    row("DeleteApiMapping", "DELETE", "/v2/domainnames/{domainName}/apimappings/{apiMappingId}", Needs(on_path), Write(domains::delete_mapping)),
    row("GetTags", "GET", "/v2/tags/{resource-arn+}", Needs(on_tags), Read(tags::get)),
    row("TagResource", "POST", "/v2/tags/{resource-arn+}", Needs(on_tags), Write(tags::tag)),
    row("UntagResource", "DELETE", "/v2/tags/{resource-arn+}", Needs(on_tags), Write(tags::untag)),
];

const fn row(
    name: &'static str,
    method: &'static str,
    path: &'static str,
    permissions: Permissions<ApiGateway>,
    run: Run,
) -> Row<ApiGateway> {
    let effect = match run {
        Read(_) => OperationEffect::Reads,
        Write(_) | Configure(_) | Close(_) => OperationEffect::Changes,
    };
    Row::new(name, method, path, effect, permissions, run)
}

#[async_trait]
impl Service for ApiGateway {
    type Run = Run;

    const NAME: &'static str = NAME;
    const PROTOCOL: Protocol = Protocol::RestJson { capital_message: false };
    const OPERATIONS: &'static [Row<Self>] = OPERATIONS;

    async fn run(&self, run: Run, call: ServiceCall) -> Result<Response, ApiError> {
        let call = ControlCall {
            request: &call.request,
            ids: &call.ids,
            functions: self.functions.as_ref(),
            context: &self.context,
        };
        match run {
            Read(run) => run(&self.state(), &call),
            Write(run) => self.state.change(|state| run(state, &call)),
            Configure(run) => self.state.change(|state| {
                let answer = run(state, &call)?;
                deployments::auto_deploy(state.api_mut(&call)?);
                Ok(answer)
            }),
            Close(run) => {
                let answer = self.state.change(|state| run(state, &call))?;
                self.close_orphans();
                Ok(answer)
            }
        }
    }
}
