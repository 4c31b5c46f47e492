//! What only shows beside the other services: requests, states and texts. Whole stacks are in `tests/it/cloudformation.rs`.

use std::collections::BTreeMap;
use std::sync::Arc;

use async_trait::async_trait;
use serde_json::{Value, json};

use super::model::Stack;
use super::*;
use crate::local::cloudcontrol::testing::context;
use crate::local::protocol::query::testing::{call, texts};
use crate::local::protocol::wire::{Protocol, Request, Response};

/// Templates in JSON, as they are.
struct Json;

impl TemplateReader for Json {
    fn read(&self, text: &str, _: &str, _: &BTreeMap<String, String>) -> Result<ReadTemplate, String> {
        let written: Value = serde_json::from_str(text).map_err(|_| "no JSON".to_owned())?;
        Ok(ReadTemplate { processed: written.clone(), written })
    }
}

/// A cloud without other services.
struct Nothing;

#[async_trait]
impl Services for Nothing {
    fn protocol(&self, _: &str) -> Option<(Protocol, Option<&'static str>)> {
        None
    }

    fn names(&self) -> Vec<String> {
        Vec::new()
    }

    fn authority(&self) -> String {
        String::new()
    }

    async fn answer(&self, _: Request) -> Response {
        Response::empty(503)
    }
}

fn service() -> (Arc<CloudFormation>, tempfile::TempDir) {
    let (context, folder) = context();
    let service = CloudFormation::open(&context, Arc::new(Json), Vec::new()).unwrap();
    service.connect(Arc::new(Nothing));
    (service, folder)
}

#[tokio::test]
async fn there_are_no_stacks_at_first() {
    let (service, _folder) = service();
    for (operation, list) in
        [("ListExports", "Exports"), ("ListStacks", "StackSummaries"), ("DescribeStacks", "Stacks")]
    {
        let xml = call(&service, None, operation, &[]).await.unwrap();
        assert!(xml.contains(&format!("<{list}></{list}>")), "{xml}");
    }
    type Refusal = (&'static str, &'static [(&'static str, &'static str)], &'static str);
    let refusals: [Refusal; 6] = [
        ("DescribeStacks", &[("StackName", "chat")], "Stack with id chat does not exist"),
        ("DescribeStackResources", &[("StackName", "chat")], "Stack with id chat does not exist"),
        ("DescribeStackResources", &[("PhysicalResourceId", "fn")], "Stack for fn does not exist"),
        ("DescribeStackResources", &[], "Either StackName or PhysicalResourceId must be specified"),
        ("DetectStackDrift", &[], "Could not find operation DetectStackDrift for version 2010-05-08"),
        ("UpdateStack", &[("StackName", "chat")], "Stack with id chat does not exist"),
    ];
    for (operation, parameters, message) in refusals {
        let error = call(&service, None, operation, parameters).await.unwrap_err();
        assert_eq!((error.status, error.message.as_str()), (400, message));
    }
}

#[tokio::test]
async fn what_was_under_way_when_the_cloud_stopped_has_failed() {
    let (context, _folder) = context();
    let service = CloudFormation::open(&context, Arc::new(Json), Vec::new()).unwrap();
    let statuses = [
        ("CREATE_IN_PROGRESS", "CREATE_FAILED"),
        ("DELETE_IN_PROGRESS", "DELETE_FAILED"),
        ("UPDATE_COMPLETE_CLEANUP_IN_PROGRESS", "UPDATE_FAILED"),
        ("IMPORT_IN_PROGRESS", "IMPORT_ROLLBACK_COMPLETE"),
        ("REVIEW_IN_PROGRESS", "REVIEW_IN_PROGRESS"),
        ("UPDATE_COMPLETE", "UPDATE_COMPLETE"),
    ];
    service
        .state
        .change(|state| {
            for (index, (status, _)) in statuses.iter().enumerate() {
                let mut stack = Stack::new("us-east-1", &format!("s{index}"));
                stack.set_status(status, None);
                state.region_mut("us-east-1").stacks.insert(stack.id.clone(), stack);
            }
            Ok(())
        })
        .unwrap();
    let again = CloudFormation::open(&context, Arc::new(Json), Vec::new()).unwrap();
    again.connect(Arc::new(Nothing));
    for (index, (_, expected)) in statuses.iter().enumerate() {
        let xml = call(&again, None, "DescribeStacks", &[("StackName", &format!("s{index}"))]).await.unwrap();
        assert_eq!(texts(&xml, "StackStatus"), [*expected]);
    }
}

#[tokio::test]
async fn a_template_is_summed_up() {
    let (service, _folder) = service();
    let template = json!({
        "Description": "all of it",
        "Transform": "AWS::Serverless-2016-10-31",
        "Parameters": { "Token": { "Type": "String", "NoEcho": true }, "Size": { "Type": "Number", "Default": 3 } },
        "Resources": {
            "Route": { "Type": "AWS::ApiGatewayV2::Route" },
            "Role": { "Type": "AWS::IAM::Role", "Properties": { "RoleName": "r" } },
            "Inline": { "Type": "AWS::IAM::Policy" },
        },
    });
    let xml = call(&service, None, "GetTemplateSummary", &[("TemplateBody", &template.to_string())]).await.unwrap();
    assert_eq!(texts(&xml, "ParameterKey"), ["Token", "Size"]);
    assert_eq!(texts(&xml, "NoEcho"), ["true", "false"]);
    assert_eq!(texts(&xml, "DefaultValue"), ["3"]);
    assert!(
        xml.contains("<Capabilities><member>CAPABILITY_NAMED_IAM</member><member>CAPABILITY_AUTO_EXPAND</member>"),
        "{xml}"
    );
    assert!(xml.contains("<ResourceIdentifiers><member>ApiId,RouteId</member></ResourceIdentifiers>"), "{xml}");
    // What cannot be imported has no identifiers.
    assert_eq!(xml.matches("<ResourceIdentifiers>").count(), 2, "{xml}");
    assert_eq!(texts(&xml, "DeclaredTransforms"), ["<member>AWS::Serverless-2016-10-31</member>"]);
}
