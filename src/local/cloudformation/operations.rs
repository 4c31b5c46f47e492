//! The table of CloudFormation's operations, and how they run.

use std::sync::Arc;

use async_trait::async_trait;
use futures_util::future::BoxFuture;

use super::calls::Calls;
use super::{Answer, CloudFormation, change_sets, describe, stack_policy, stacks};
use crate::core::iam::need::Need;
use crate::local::context::CloudContext;
use crate::local::protocol::operation::OperationEffect::{Changes, Reads};
use crate::local::protocol::query::{Query, answer};
use crate::local::protocol::service::Permissions::Needs;
use crate::local::protocol::service::{self, Service, ServiceCall};
use crate::local::protocol::wire::{ApiError, Protocol, Response};

const NAMESPACE: &str = "http://cloudformation.amazonaws.com/doc/2010-05-15/";

type Row = service::Row<Arc<CloudFormation>>;

/// The function that runs an operation.
pub type Run = for<'a> fn(&'a Arc<CloudFormation>, Calls, &'a Query) -> BoxFuture<'a, Answer>;

#[rustfmt::skip]
const OPERATIONS: &[Row] = &[
    Row::named("CreateChangeSet", Changes, Needs(on_stack), |service, calls, query| Box::pin(change_sets::create_change_set(service, calls, query))),
    Row::named("CreateStack", Changes, Needs(on_stack), |service, calls, query| Box::pin(stacks::create_stack(service, calls, query))),
    Row::named("DeleteChangeSet", Changes, Needs(on_stack), |service, calls, query| Box::pin(change_sets::delete_change_set(service, calls, query))),
    Row::named("DeleteStack", Changes, Needs(on_stack), |service, calls, query| Box::pin(stacks::delete_stack(service, calls, query))),
    Row::named("DescribeChangeSet", Reads, Needs(on_stack), |service, calls, query| Box::pin(change_sets::describe_change_set(service, calls, query))),
    Row::named("DescribeStackEvents", Reads, Needs(on_stack), |service, calls, query| Box::pin(describe::describe_stack_events(service, calls, query))),
    Row::named("DescribeStackResource", Reads, Needs(on_stack), |service, calls, query| Box::pin(describe::describe_stack_resource(service, calls, query))),
    Row::named("DescribeStackResources", Reads, Needs(on_stack), |service, calls, query| Box::pin(describe::describe_stack_resources(service, calls, query))),
    Row::named("DescribeStacks", Reads, Needs(on_stack), |service, calls, query| Box::pin(describe::describe_stacks(service, calls, query))),
    Row::named("DescribeType", Reads, Needs(on_all), |service, calls, query| Box::pin(describe::describe_type(service, calls, query))),
    Row::named("ExecuteChangeSet", Changes, Needs(on_stack), |service, calls, query| Box::pin(change_sets::execute_change_set(service, calls, query))),
    Row::named("GetStackPolicy", Reads, Needs(on_stack), |service, calls, query| Box::pin(stack_policy::get_stack_policy(service, calls, query))),
    Row::named("GetTemplate", Reads, Needs(on_stack), |service, calls, query| Box::pin(describe::get_template(service, calls, query))),
    Row::named("GetTemplateSummary", Reads, Needs(on_stack), |service, calls, query| Box::pin(describe::get_template_summary(service, calls, query))),
    Row::named("ListChangeSets", Reads, Needs(on_stack), |service, calls, query| Box::pin(change_sets::list_change_sets(service, calls, query))),
    Row::named("ListExports", Reads, Needs(on_all), |service, calls, query| Box::pin(describe::list_exports(service, calls, query))),
    Row::named("ListImports", Reads, Needs(on_all), |service, calls, query| Box::pin(describe::list_imports(service, calls, query))),
    Row::named("ListStackResources", Reads, Needs(on_stack), |service, calls, query| Box::pin(describe::list_stack_resources(service, calls, query))),
    Row::named("ListStacks", Reads, Needs(on_all), |service, calls, query| Box::pin(describe::list_stacks(service, calls, query))),
    Row::named("SetStackPolicy", Changes, Needs(on_stack), |service, calls, query| Box::pin(stack_policy::set_stack_policy(service, calls, query))),
    Row::named("UpdateStack", Changes, Needs(on_stack), |service, calls, query| Box::pin(stacks::update_stack(service, calls, query))),
    Row::named("UpdateTerminationProtection", Changes, Needs(on_stack), |service, calls, query| Box::pin(stacks::update_termination_protection(service, calls, query))),
    Row::named("ValidateTemplate", Reads, Needs(on_all), |service, calls, query| Box::pin(describe::validate_template(service, calls, query))),
];

#[async_trait]
impl Service for Arc<CloudFormation> {
    type Run = Run;

    const NAME: &'static str = "cloudformation";
    const PROTOCOL: Protocol = Protocol::Query(NAMESPACE);
    const OPERATIONS: &'static [Row] = OPERATIONS;

    async fn run(&self, run: Run, call: ServiceCall) -> Result<Response, ApiError> {
        let query = Query::read(&call.request);
        let calls = self.calls(call.request.caller.clone())?;
        Ok(answer(NAMESPACE, call.operation.name, run(self, calls, &query).await?))
    }
}

/// The operation on the stack, if the request names one. (Service Authorization Reference, "AWS CloudFormation". What an operation
/// then does with resources needs the caller's permissions for those, which their services check.)
fn on_stack(call: &ServiceCall) -> Vec<Need> {
    let query = Query::read(&call.request);
    let resource = match query.get("StackName") {
        Some(id) if id.starts_with("arn:") => id.to_owned(),
        // A stack's ARN ends in an id that does not follow from its name.
        Some(name) => CloudContext::arn("cloudformation", call.region(), &format!("stack/{name}/*")),
        None => "*".to_owned(),
    };
    let need = Need::new(format!("cloudformation:{}", call.operation.name), resource);
    vec![need.with_tags(query.tags("Tags"))]
}

fn on_all(call: &ServiceCall) -> Vec<Need> {
    vec![Need::new(format!("cloudformation:{}", call.operation.name), "*")]
}
