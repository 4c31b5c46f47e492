//! The table of Lambda's operations, and how they run.

use async_trait::async_trait;
use futures_util::future::BoxFuture;

use super::required_permissions::{
    configuring, creating, invoking, mapping_source, on_all, on_function, on_mapping, tagging,
};
use super::{Lambda, error};
use crate::local::protocol::operation::Operation;
use crate::local::protocol::operation::OperationEffect::{Changes, Reads};
use crate::local::protocol::service::Permissions::Needs;
use crate::local::protocol::service::{self, Permissions, Service, ServiceCall};
use crate::local::protocol::wire::{ApiError, Protocol, Request, Response};

type Answer = Result<Response, ApiError>;

/// The function that runs an operation.
#[derive(Clone, Copy)]
pub enum Run {
    Now(fn(&Lambda, &ServiceCall) -> Answer),
    /// It waits for something: for the disk, or for a function.
    Later(for<'a> fn(&'a Lambda, &'a ServiceCall) -> BoxFuture<'a, Answer>),
}

use Run::{Later, Now};

const PRESIGNED: Permissions<Lambda> = Permissions::None("its URL is the secret, like a presigned URL of S3 on AWS");

type Row = service::Row<Lambda>;

/// All operations (service model, botocore). Uploads are base64 in JSON; AWS's own messages name the largest requests.
#[rustfmt::skip]
const OPERATIONS: &[Row] = &[
    Row::new("CreateFunction", "POST", "/2015-03-31/functions", Changes, Needs(creating), Later(|lambda, call| Box::pin(lambda.create_function(call))))
        .with_body_limit(70_167_211),
    Row::new("ListFunctions", "GET", "/2015-03-31/functions", Reads, Needs(on_all), Now(Lambda::list_functions)),
    Row::new("GetFunction", "GET", "/2015-03-31/functions/{FunctionName}", Reads, Needs(on_function), Now(Lambda::get_function)),
    Row::new("DeleteFunction", "DELETE", "/2015-03-31/functions/{FunctionName}", Changes, Needs(on_function), Now(Lambda::delete_function)),
    Row::new("GetFunctionConfiguration", "GET", "/2015-03-31/functions/{FunctionName}/configuration", Reads, Needs(on_function), Now(Lambda::get_function_configuration)),
    Row::new("UpdateFunctionConfiguration", "PUT", "/2015-03-31/functions/{FunctionName}/configuration", Changes, Needs(configuring), Now(Lambda::update_function_configuration))
        .with_body_limit(5_120),
    Row::new("UpdateFunctionCode", "PUT", "/2015-03-31/functions/{FunctionName}/code", Changes, Needs(on_function), Later(|lambda, call| Box::pin(lambda.update_function_code(call))))
        .with_body_limit(69_905_067),
    // The location of the code that GetFunction returns. On AWS it is a presigned URL of S3.
    Row::new("DownloadFunctionCode", "GET", "/2015-03-31/functions/{FunctionName}/code/{CodeSha256}", Reads, PRESIGNED, Now(Lambda::download_function_code))
        .presigned(),
    Row::new("Invoke", "POST", "/2015-03-31/functions/{FunctionName}/invocations", Changes, Needs(invoking), Later(|lambda, call| Box::pin(lambda.invoke_operation(call))))
        .with_body_limit(70_167_211),
    Row::new("PublishVersion", "POST", "/2015-03-31/functions/{FunctionName}/versions", Changes, Needs(on_function), Now(Lambda::publish_version)),
    Row::new("ListVersionsByFunction", "GET", "/2015-03-31/functions/{FunctionName}/versions", Reads, Needs(on_function), Now(Lambda::list_versions)),
    Row::new("CreateAlias", "POST", "/2015-03-31/functions/{FunctionName}/aliases", Changes, Needs(on_function), Now(Lambda::create_alias)),
    Row::new("ListAliases", "GET", "/2015-03-31/functions/{FunctionName}/aliases", Reads, Needs(on_function), Now(Lambda::list_aliases)),
    Row::new("GetAlias", "GET", "/2015-03-31/functions/{FunctionName}/aliases/{Name}", Reads, Needs(on_function), Now(Lambda::get_alias)),
    Row::new("UpdateAlias", "PUT", "/2015-03-31/functions/{FunctionName}/aliases/{Name}", Changes, Needs(on_function), Now(Lambda::update_alias)),
    Row::new("DeleteAlias", "DELETE", "/2015-03-31/functions/{FunctionName}/aliases/{Name}", Changes, Needs(on_function), Now(Lambda::delete_alias)),
    Row::new("AddPermission", "POST", "/2015-03-31/functions/{FunctionName}/policy", Changes, Needs(on_function), Now(Lambda::add_permission)),
    Row::new("GetPolicy", "GET", "/2015-03-31/functions/{FunctionName}/policy", Reads, Needs(on_function), Now(Lambda::get_policy)),
    Row::new("RemovePermission", "DELETE", "/2015-03-31/functions/{FunctionName}/policy/{StatementId}", Changes, Needs(on_function), Now(Lambda::remove_permission)),
    Row::new("PutFunctionConcurrency", "PUT", "/2017-10-31/functions/{FunctionName}/concurrency", Changes, Needs(on_function), Now(Lambda::put_concurrency)),
    Row::new("GetFunctionConcurrency", "GET", "/2019-09-30/functions/{FunctionName}/concurrency", Reads, Needs(on_function), Now(Lambda::get_concurrency)),
    Row::new("DeleteFunctionConcurrency", "DELETE", "/2017-10-31/functions/{FunctionName}/concurrency", Changes, Needs(on_function), Now(Lambda::delete_concurrency)),
    Row::new("PutFunctionEventInvokeConfig", "PUT", "/2019-09-25/functions/{FunctionName}/event-invoke-config", Changes, Needs(on_function), Now(Lambda::put_event_invoke_config)),
    Row::new("UpdateFunctionEventInvokeConfig", "POST", "/2019-09-25/functions/{FunctionName}/event-invoke-config", Changes, Needs(on_function), Now(Lambda::update_event_invoke_config)),
    Row::new("GetFunctionEventInvokeConfig", "GET", "/2019-09-25/functions/{FunctionName}/event-invoke-config", Reads, Needs(on_function), Now(Lambda::get_event_invoke_config)),
    Row::new("DeleteFunctionEventInvokeConfig", "DELETE", "/2019-09-25/functions/{FunctionName}/event-invoke-config", Changes, Needs(on_function), Now(Lambda::delete_event_invoke_config)),
    Row::new("ListFunctionEventInvokeConfigs", "GET", "/2019-09-25/functions/{FunctionName}/event-invoke-config/list", Reads, Needs(on_function), Now(Lambda::list_event_invoke_configs)),
    Row::new("CreateEventSourceMapping", "POST", "/2015-03-31/event-source-mappings", Changes, Needs(mapping_source), Now(Lambda::create_event_source_mapping)),
    Row::new("ListEventSourceMappings", "GET", "/2015-03-31/event-source-mappings", Reads, Needs(on_all), Now(Lambda::list_event_source_mappings)),
    Row::new("GetEventSourceMapping", "GET", "/2015-03-31/event-source-mappings/{UUID}", Reads, Needs(on_mapping), Now(Lambda::get_event_source_mapping)),
    Row::new("UpdateEventSourceMapping", "PUT", "/2015-03-31/event-source-mappings/{UUID}", Changes, Needs(on_mapping), Now(Lambda::update_event_source_mapping)),
    Row::new("DeleteEventSourceMapping", "DELETE", "/2015-03-31/event-source-mappings/{UUID}", Changes, Needs(on_mapping), Now(Lambda::delete_event_source_mapping)),
    Row::new("TagResource", "POST", "/2017-03-31/tags/{Resource}", Changes, Needs(tagging), Now(Lambda::tag_resource)),
    Row::new("UntagResource", "DELETE", "/2017-03-31/tags/{Resource}", Changes, Needs(tagging), Now(Lambda::untag_resource)),
    Row::new("ListTags", "GET", "/2017-03-31/tags/{Resource}", Reads, Needs(tagging), Now(Lambda::list_tags)),
];

#[async_trait]
impl Service for Lambda {
    type Run = Run;

    const NAME: &'static str = "lambda";
    const PROTOCOL: Protocol = Protocol::RestJson { capital_message: true };
    const OPERATIONS: &'static [Row] = OPERATIONS;

    fn unknown(request: &Request) -> ApiError {
        let message = format!("The local cloud's Lambda has no operation {} {}", request.method, request.path);
        ApiError::new(404, "UnknownOperationException", message)
    }

    fn too_large(operation: &Operation) -> ApiError {
        error::request_too_long(operation.body_limit, operation.name)
    }

    async fn run(&self, run: Run, call: ServiceCall) -> Result<Response, ApiError> {
        match run {
            Now(run) => run(self, &call),
            Later(run) => run(self, &call).await,
        }
    }
}
