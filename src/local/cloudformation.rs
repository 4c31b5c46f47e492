//! CloudFormation's read operations. Deployers ask it whether it manages a stack; the local cloud never has one.

use std::io;
use std::sync::Arc;

use async_trait::async_trait;

use super::context::CloudContext;
use super::query::{Query, Xml, answer};
use super::wire::{ApiError, Protocol, Request, Response, Service};
use crate::core::iam::need::Need;

const NAMESPACE: &str = "http://cloudformation.amazonaws.com/doc/2010-05-15/";
const OPERATIONS: [&str; 3] = ["DescribeStackResources", "DescribeStacks", "ListStacks"];

/// A CloudFormation without stacks.
#[derive(Debug)]
pub struct CloudFormation;

impl CloudFormation {
    /// Opens the service.
    ///
    /// # Errors
    /// None: it has no state.
    pub fn open(_shell: &CloudContext) -> io::Result<Arc<Self>> {
        Ok(Arc::new(Self))
    }
}

#[async_trait]
impl Service for CloudFormation {
    fn name(&self) -> &'static str {
        "cloudformation"
    }

    fn protocol(&self) -> Protocol {
        Protocol::Query(NAMESPACE)
    }

    fn operation(&self, request: &Request) -> Result<&'static str, ApiError> {
        Query::read(request).operation(OPERATIONS)
    }

    fn needs(&self, operation: &str, request: &Request) -> Vec<Need> {
        let query = Query::read(request);
        let resource = match query.get("StackName") {
            // A stack's ARN ends in an id that does not follow from its name.
            Some(name) => CloudContext::arn("cloudformation", &request.caller.region, &format!("stack/{name}/*")),
            None => "*".to_owned(),
        };
        vec![Need::new(format!("cloudformation:{operation}"), resource)]
    }

    async fn call(&self, operation: &str, request: Request) -> Result<Response, ApiError> {
        let query = Query::read(&request);
        let result = match operation {
            "ListStacks" => Xml::new().list("StackSummaries", []),
            "DescribeStacks" => match query.get("StackName") {
                Some(name) => return Err(unknown_stack(name)),
                None => Xml::new().list("Stacks", []),
            },
            _ => return Err(no_resources(&query)),
        };
        Ok(answer(NAMESPACE, operation, result))
    }
}

/// The error of `DescribeStackResources`.
fn no_resources(query: &Query) -> ApiError {
    match (query.get("StackName"), query.get("PhysicalResourceId")) {
        (Some(name), _) => unknown_stack(name),
        (None, Some(id)) => ApiError::new(400, "ValidationError", format!("Stack for {id} does not exist")),
        (None, None) => {
            ApiError::new(400, "ValidationError", "Either StackName or PhysicalResourceId must be specified")
        }
    }
}

fn unknown_stack(name: &str) -> ApiError {
    ApiError::new(400, "ValidationError", format!("Stack with id {name} does not exist"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::local::query::testing::call;

    #[tokio::test]
    async fn there_are_no_stacks() {
        for (operation, list) in [("ListStacks", "StackSummaries"), ("DescribeStacks", "Stacks")] {
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
