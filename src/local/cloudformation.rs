//! CloudFormation's read operations. Deployers ask it whether it manages a stack; the local cloud never has one.

use std::io;
use std::sync::Arc;

use async_trait::async_trait;

use super::context::CloudContext;
use super::protocol::operation::OperationEffect::Reads;
use super::protocol::service::Permissions::Needs;
use super::protocol::service::{Row, Service, ServiceCall};
use crate::core::iam::need::Need;
use crate::local::protocol::query::{Query, Xml, answer};
use crate::local::protocol::wire::{ApiError, Protocol, Response};

const NAMESPACE: &str = "http://cloudformation.amazonaws.com/doc/2010-05-15/";

/// A CloudFormation without stacks.
#[derive(Debug)]
pub struct CloudFormation;

impl CloudFormation {
    /// Opens the service.
    ///
    /// # Errors
    /// None: it has no state.
    pub fn open(_context: &CloudContext) -> io::Result<Arc<Self>> {
        Ok(Arc::new(Self))
    }
}

#[async_trait]
impl Service for CloudFormation {
    type Run = fn(&Query) -> Result<Xml, ApiError>;

    const NAME: &'static str = "cloudformation";
    const PROTOCOL: Protocol = Protocol::Query(NAMESPACE);
    const OPERATIONS: &'static [Row<Self>] = &[
        Row::<Self>::named("DescribeStackResources", Reads, Needs(on_stack), describe_stack_resources),
        Row::<Self>::named("DescribeStacks", Reads, Needs(on_stack), describe_stacks),
        Row::<Self>::named("ListExports", Reads, Needs(on_stack), list_exports),
        Row::<Self>::named("ListStacks", Reads, Needs(on_stack), list_stacks),
    ];

    async fn run(&self, run: Self::Run, call: ServiceCall) -> Result<Response, ApiError> {
        Ok(answer(NAMESPACE, call.operation.name, run(&Query::read(&call.request))?))
    }
}

/// The operation on the stack, if the request names one. (Service Authorization Reference, "AWS CloudFormation".)
fn on_stack(call: &ServiceCall) -> Vec<Need> {
    let query = Query::read(&call.request);
    let resource = match query.get("StackName") {
        // A stack's ARN ends in an id that does not follow from its name.
        Some(name) => CloudContext::arn("cloudformation", call.region(), &format!("stack/{name}/*")),
        None => "*".to_owned(),
    };
    vec![Need::new(format!("cloudformation:{}", call.operation.name), resource)]
}

fn list_exports(_query: &Query) -> Result<Xml, ApiError> {
    Ok(Xml::new().list("Exports", []))
}

fn list_stacks(_query: &Query) -> Result<Xml, ApiError> {
    Ok(Xml::new().list("StackSummaries", []))
}

fn describe_stacks(query: &Query) -> Result<Xml, ApiError> {
    match query.get("StackName") {
        Some(name) => Err(unknown_stack(name)),
        None => Ok(Xml::new().list("Stacks", [])),
    }
}

fn describe_stack_resources(query: &Query) -> Result<Xml, ApiError> {
    Err(match (query.get("StackName"), query.get("PhysicalResourceId")) {
        (Some(name), _) => unknown_stack(name),
        (None, Some(id)) => ApiError::new(400, "ValidationError", format!("Stack for {id} does not exist")),
        (None, None) => {
            ApiError::new(400, "ValidationError", "Either StackName or PhysicalResourceId must be specified")
        }
    })
}

fn unknown_stack(name: &str) -> ApiError {
    ApiError::new(400, "ValidationError", format!("Stack with id {name} does not exist"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::local::protocol::query::testing::call;

    #[tokio::test]
    async fn there_are_no_stacks() {
        for (operation, list) in
            [("ListExports", "Exports"), ("ListStacks", "StackSummaries"), ("DescribeStacks", "Stacks")]
        {
            let xml = call(&CloudFormation, None, operation, &[]).await.unwrap();
            assert!(xml.contains(&format!("<{list}></{list}>")), "{xml}");
        }
        type Refusal = (&'static str, &'static [(&'static str, &'static str)], &'static str);
        let refusals: [Refusal; 4] = [
            ("DescribeStacks", &[("StackName", "chat")], "Stack with id chat does not exist"),
            ("DescribeStackResources", &[("StackName", "chat")], "Stack with id chat does not exist"),
            ("DescribeStackResources", &[("PhysicalResourceId", "fn")], "Stack for fn does not exist"),
            ("CreateStack", &[], "Could not find operation CreateStack for version 2010-05-08"),
        ];
        for (operation, parameters, message) in refusals {
            let error = call(&CloudFormation, None, operation, parameters).await.unwrap_err();
            assert_eq!((error.status, error.message.as_str()), (400, message));
        }
    }
}
