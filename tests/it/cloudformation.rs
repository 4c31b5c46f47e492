//! The local cloud's CloudFormation, by the calls that take a stack over and hand one back.

use std::collections::BTreeMap;
use std::fmt::Debug;

use aws_sdk_cloudformation::Client;
use aws_sdk_cloudformation::error::{ProvideErrorMetadata, SdkError};
use aws_sdk_cloudformation::operation::RequestId;
use aws_sdk_cloudformation::types::{
    ChangeSetStatus, ChangeSetType, ExecutionStatus, Parameter, RegistryType, ResourceToImport, TemplateStage,
};
use serde_json::{Value, json};

use crate::common::cloudformation::{
    CAPABILITIES, SAM_ECHO, client, described, events, made, made_sam_echo, output, resources, sam_echo, until,
    with_inline_code,
};
use crate::common::inventory::same;
use crate::common::template::SWIFT;
use crate::common::{Cloud, client as socket, eventually};

const STACK: &str = "sam-echo";

/// AWS's words of a refusal.
fn refused<T: Debug, E: ProvideErrorMetadata + Debug, R: Debug>(answer: Result<T, SdkError<E, R>>) -> (String, String) {
    let error = answer.unwrap_err();
    let text = |text: Option<&str>| text.unwrap_or_default().to_owned();
    (text(error.code()), text(error.message()))
}

/// The processed template of a stack.
async fn processed(client: &Client, stack: &str) -> Value {
    let answer = client.get_template().stack_name(stack).template_stage(TemplateStage::Processed).send().await.unwrap();
    serde_json::from_str(answer.template_body().unwrap()).unwrap()
}

/// The same template, where every resource is retained.
fn retaining(mut template: Value) -> Value {
    for resource in template["Resources"].as_object_mut().unwrap().values_mut() {
        resource["DeletionPolicy"] = "Retain".into();
        resource["UpdateReplacePolicy"] = "Retain".into();
    }
    template
}

fn previous(names: &[(&str, &str)]) -> Vec<Parameter> {
    names.iter().map(|(name, _)| Parameter::builder().parameter_key(*name).use_previous_value(true).build()).collect()
}

/// Takes everything out of a stack, and the stack away.
async fn released(client: &Client, stack: &str, parameters: &[(&str, &str)]) -> String {
    let template = retaining(processed(client, stack).await);
    let update = client
        .update_stack()
        .stack_name(stack)
        .template_body(template.to_string())
        .set_parameters(Some(previous(parameters)))
        .set_capabilities(Some(CAPABILITIES.to_vec()));
    update.clone().send().await.unwrap();
    let id = until(client, stack, "UPDATE_COMPLETE").await.stack_id().unwrap().to_owned();
    assert_eq!(
        refused(update.send().await),
        ("ValidationError".to_owned(), "No updates are to be performed.".to_owned())
    );
    client.delete_stack().stack_name(stack).send().await.unwrap();
    until(client, &id, "DELETE_COMPLETE").await;
    id
}

async fn says(uri: &str, text: &str, expected: &str) {
    let mut talker = socket::Client::connect(uri).await;
    talker.say(text).await;
    assert_eq!(talker.hear().await, expected);
    talker.close().await;
}

/// What identifies the resources of [`sam_echo`], by logical id: as `GetTemplateSummary` says it.
async fn identifiers(client: &Client, stack: &str, template: &Value) -> Vec<ResourceToImport> {
    let summary = client.get_template_summary().template_body(template.to_string()).send().await.unwrap();
    let found = resources(client, stack).await;
    let physical: BTreeMap<&str, &str> =
        found.iter().map(|(id, _, physical)| (id.as_str(), physical.as_str())).collect();
    let value = |logical_id: &str, property: &str| -> String {
        let own = physical[logical_id].to_owned();
        let type_name = template["Resources"][logical_id]["Type"].as_str().unwrap();
        match (type_name, property) {
            ("AWS::ApiGatewayV2::Api", _) => own,
            (_, "ApiId") => physical["Api"].to_owned(),
            ("AWS::ApiGatewayV2::RouteResponse", "RouteId") => physical["DefaultRoute"].to_owned(),
            ("AWS::Lambda::Permission", "FunctionName") => physical["Echo"].to_owned(),
            _ => own,
        }
    };
    let mut all = Vec::new();
    for one in summary.resource_identifier_summaries() {
        let properties: Vec<&str> = one.resource_identifiers().iter().flat_map(|list| list.split(',')).collect();
        for logical_id in one.logical_resource_ids() {
            let mut import =
                ResourceToImport::builder().logical_resource_id(logical_id).resource_type(one.resource_type().unwrap());
            for property in &properties {
                import = import.resource_identifier(*property, value(logical_id, property));
            }
            all.push(import.build());
        }
    }
    all
}

#[tokio::test]
async fn a_stack_is_made_released_and_imported_again() {
    let cloud = Cloud::start().conditions(SWIFT).go();
    let stack = made_sam_echo(&cloud, STACK).await;
    let client = client(&cloud).await;
    let uri = output(&stack, "Uri");
    says(&uri, r#"{"action":"x"}"#, r#"hello {"action":"x"}"#).await;

    // As CloudFormation shows and names things.
    let shown = |name: &str| {
        let parameter = stack.parameters().iter().find(|one| one.parameter_key() == Some(name)).unwrap();
        parameter.parameter_value().unwrap().to_owned()
    };
    assert_eq!((shown("Greeting").as_str(), shown("Token").as_str()), ("hello", "****"));
    assert_eq!(stack.capabilities().len(), 3);
    let found = resources(&client, STACK).await;
    let role = found.iter().find(|(id, ..)| id == "EchoRole").unwrap();
    assert!(role.1 == "AWS::IAM::Role" && role.2.starts_with("sam-echo-EchoRole-"), "{role:?}");
    assert_eq!(found.len(), 10, "{found:?}");
    let original = client.get_template().stack_name(STACK).send().await.unwrap();
    assert!(original.template_body().unwrap().contains("AWS::Serverless::Function"));
    let echo = &found.iter().find(|(id, ..)| id == "Echo").unwrap().2;
    let owner = client.describe_stack_resources().physical_resource_id(echo).send().await.unwrap();
    assert_eq!(owner.stack_resources()[0].stack_name(), Some(STACK));

    let before = cloud.inventory().await;
    let template = retaining(processed(&client, STACK).await);
    let imports = identifiers(&client, STACK, &template).await;
    assert_eq!(imports.len(), 10, "{imports:?}");
    let id = released(&client, STACK, SAM_ECHO).await;
    let said = events(&client, &id).await;
    assert_eq!(said.matches("DELETE_SKIPPED").count(), 10, "{said}");
    assert!(described(&client, STACK).await.is_none(), "a deleted stack has no name");
    same(&cloud.inventory().await, &before);
    says(&uri, "{}", "hello {}").await;

    // Its tags stay, and cannot be taken off.
    let lambda = aws_sdk_lambda::Client::new(&cloud.sdk().await);
    let function = lambda.get_function().function_name(echo).send().await.unwrap();
    let arn = function.configuration().unwrap().function_arn().unwrap().to_owned();
    let tags = function.tags().unwrap();
    assert_eq!(tags["aws:cloudformation:stack-name"], STACK);
    assert_eq!((tags["aws:cloudformation:logical-id"].as_str(), tags["team"].as_str()), ("Echo", "red"));
    let untag = lambda.untag_resource().resource(&arn).tag_keys("aws:cloudformation:stack-name").send().await;
    assert_eq!(untag.unwrap_err().code(), Some("InvalidParameterValueException"));
    lambda.tag_resource().resource(&arn).tags("mine", "1").send().await.unwrap();

    // And back, under another name.
    let mut without_outputs = template.clone();
    without_outputs.as_object_mut().unwrap().shift_remove("Outputs");
    let change_set = client
        .create_change_set()
        .stack_name("back")
        .change_set_name("import")
        .change_set_type(ChangeSetType::Import)
        .set_resources_to_import(Some(imports))
        .set_capabilities(Some(CAPABILITIES.to_vec()))
        .parameters(Parameter::builder().parameter_key("Token").parameter_value("secret").build());
    let with_outputs = change_set.clone().template_body(template.to_string()).send().await;
    let message = "As part of the import operation, you cannot modify or add [Outputs]";
    assert_eq!(refused(with_outputs), ("ValidationError".to_owned(), message.to_owned()));
    let change_set = change_set.template_body(without_outputs.to_string()).send().await.unwrap();
    let change_set_id = change_set.id().unwrap();
    let settled = settled(&client, change_set_id).await;
    assert_eq!(settled.1, ExecutionStatus::Available, "{settled:?}");
    assert_eq!(described(&client, "back").await.unwrap().stack_status().unwrap().as_str(), "REVIEW_IN_PROGRESS");
    client.execute_change_set().change_set_name(change_set_id).send().await.unwrap();
    until(&client, "back", "IMPORT_COMPLETE").await;
    let mut imported = resources(&client, "back").await;
    imported.sort();
    let mut expected = found.clone();
    expected.sort();
    assert_eq!(imported, expected, "the same resources");
    assert_eq!(
        lambda.list_tags().resource(&arn).send().await.unwrap().tags().unwrap()["aws:cloudformation:stack-name"],
        "back"
    );

    // The outputs follow, and what is no longer retained goes with the stack.
    let mut whole = processed(&client, "back").await;
    whole["Outputs"] = template["Outputs"].clone();
    for resource in whole["Resources"].as_object_mut().unwrap().values_mut() {
        resource["DeletionPolicy"] = "Delete".into();
    }
    let update = client
        .update_stack()
        .stack_name("back")
        .template_body(whole.to_string())
        .set_parameters(Some(previous(SAM_ECHO)))
        .set_capabilities(Some(CAPABILITIES.to_vec()));
    update.send().await.unwrap();
    let back = until(&client, "back", "UPDATE_COMPLETE").await;
    assert_eq!(output(&back, "Uri"), uri);
    says(&uri, "{}", "hello {}").await;
    client.delete_stack().stack_name("back").send().await.unwrap();
    until(&client, back.stack_id().unwrap(), "DELETE_COMPLETE").await;
    let left: Vec<String> = cloud.inventory().await.into_keys().collect();
    // Lambda's own log group belongs to no stack.
    assert!(left.iter().all(|one| one.starts_with("log group ")), "everything else is gone: {left:?}");
}

/// The status of a change set, and whether it can be executed, once it is no longer in the making.
async fn settled(client: &Client, change_set: &str) -> (ChangeSetStatus, ExecutionStatus, String) {
    let describe = async || client.describe_change_set().change_set_name(change_set).send().await.unwrap();
    eventually("the change set is made", async || {
        !matches!(describe().await.status(), Some(ChangeSetStatus::CreatePending | ChangeSetStatus::CreateInProgress))
    })
    .await;
    let found = describe().await;
    let reason = found.status_reason().unwrap_or_default().to_owned();
    (found.status().unwrap().clone(), found.execution_status().unwrap().clone(), reason)
}

fn topic(name: &str, deletion: Option<&str>) -> Value {
    let mut topic = json!({ "Type": "AWS::SNS::Topic", "Properties": { "TopicName": name } });
    if let Some(policy) = deletion {
        topic["DeletionPolicy"] = policy.into();
    }
    topic
}

/// As measured on AWS; the order of the checks, too.
#[tokio::test]
async fn an_import_that_aws_refuses_is_refused() {
    let cloud = Cloud::start().conditions(SWIFT).go();
    let client = client(&cloud).await;
    let base = json!({ "Resources": { "Kept": topic("kept", None) } });
    let owner = made(&cloud, "owner", &base, &[]).await;
    let queue = json!({ "Type": "AWS::SQS::Queue", "DeletionPolicy": "Retain", "Properties": { "QueueName": "free" } });
    let arn = |name: &str| format!("arn:aws:sns:us-east-1:000000000000:{name}");
    let import = |id: &str, type_name: &str, key: &str, value: &str| {
        let import = ResourceToImport::builder().logical_resource_id(id).resource_type(type_name);
        import.resource_identifier(key, value).build()
    };
    let topic_import = |id: &str, name: &str| import(id, "AWS::SNS::Topic", "TopicArn", &arn(name));
    let with = |resources: Value| {
        let mut template = base.clone();
        for (id, resource) in resources.as_object().unwrap() {
            template["Resources"][id] = resource.clone();
        }
        template
    };
    let free = || json!({ "Free": topic("free", Some("Retain")) });
    let mut changed = with(free());
    changed["Resources"]["Kept"]["Properties"]["DisplayName"] = "x".into();
    let policy = json!({ "Type": "AWS::IAM::Policy", "DeletionPolicy": "Retain", "Properties": { "PolicyName": "p", "Roles": [],
        "PolicyDocument": {} } });
    for (template, imports, expected) in [
        (with(free()), vec![], "Must Provide at least one resource to import"),
        (
            with(free()),
            vec![topic_import("Free", "free"), topic_import("Free", "free")],
            "Every resource to import must have unique LogicalResourceId",
        ),
        (
            with(free()),
            vec![topic_import("Gone", "free")],
            "The logical resource ids [Gone] provided in ResourceToImport do not exist in the template.",
        ),
        (
            with(json!({ "P": policy })),
            vec![import("P", "AWS::IAM::Policy", "Id", "x")],
            "ResourceTypes [AWS::IAM::Policy] are not supported for Import",
        ),
        (
            with(free()),
            vec![import("Free", "AWS::SNS::Topic", "TopicName", "free")],
            "Invalid resource identifier for resource type AWS::SNS::Topic. Expected [TopicArn]",
        ),
        (
            with(json!({ "Free": queue })),
            vec![topic_import("Free", "free")],
            "Resource type of [Free] passed in ResourceToImport does not match with resource type defined in the template. Resource \
             type in ResourceToImport: AWS::SNS::Topic; Resource type in Template: AWS::SQS::Queue.",
        ),
        (
            base.clone(),
            vec![topic_import("Kept", "kept")],
            "The template should contain at least one new resource to import.",
        ),
        (
            with(free()),
            vec![topic_import("Kept", "kept")],
            "Resources [Kept] passed in ResourceToImport are already in a stack and cannot be imported.",
        ),
        (
            with(json!({ "Free": topic("free", Some("Retain")), "New": topic("new", Some("Retain")) })),
            vec![topic_import("Free", "free")],
            "Resources [New] is missing from ResourceToImport list",
        ),
        (
            changed,
            vec![topic_import("Free", "free")],
            "You have modified resources [Kept] in your template that are not being imported. Update, create or delete operations \
             cannot be executed during import operations.",
        ),
        (
            with(json!({ "Free": topic("free", None) })),
            vec![topic_import("Free", "free")],
            "The following resources to import [Free] must have DeletionPolicy attribute specified in the template.",
        ),
        (
            with(json!({ "Free": { "Type": "AWS::DynamoDB::Table", "DeletionPolicy": "Retain",
                "Properties": { "TableName": { "Fn::Sub": "${AWS::StackName}-rows" } } } })),
            vec![import("Free", "AWS::DynamoDB::Table", "TableName", "rows")],
            "The Identifier [TableName] for resource [Free] does not match the identifier value for the resource in the template",
        ),
    ] {
        let set = client
            .create_change_set()
            .stack_name("owner")
            .change_set_name("import")
            .change_set_type(ChangeSetType::Import)
            .set_resources_to_import(Some(imports).filter(|imports| !imports.is_empty()))
            .set_capabilities(Some(CAPABILITIES.to_vec()))
            .template_body(template.to_string());
        assert_eq!(refused(set.send().await), ("ValidationError".to_owned(), expected.to_owned()));
    }

    // What is not there and what another stack has fails the change set.
    for (stack, name, expected) in [
        (
            "other",
            "none",
            format!("Resource of type 'AWS::SNS::Topic' with identifier '{}' was not found.", arn("none")),
        ),
        ("other", "kept", format!("{} already exists in stack {}", arn("kept"), owner.stack_id().unwrap())),
    ] {
        let template = json!({ "Resources": { "It": topic(name, Some("Retain")) } });
        let set = client
            .create_change_set()
            .stack_name(stack)
            .change_set_name(format!("import-{name}"))
            .change_set_type(ChangeSetType::Import)
            .resources_to_import(topic_import("It", name))
            .template_body(template.to_string());
        let set = set.send().await.unwrap();
        let (status, execution, reason) = settled(&client, set.id().unwrap()).await;
        assert_eq!((status, execution, reason), (ChangeSetStatus::Failed, ExecutionStatus::Unavailable, expected));
        let execute = client.execute_change_set().change_set_name(set.id().unwrap()).send().await;
        assert_eq!(refused(execute).0, "InvalidChangeSetStatus");
    }
    client.delete_stack().stack_name("other").send().await.unwrap();
    eventually("it is gone", async || described(&client, "other").await.is_none()).await;
}

#[tokio::test]
async fn what_aws_refuses_of_stacks_is_refused() {
    let cloud = Cloud::start().conditions(SWIFT).go();
    let client = client(&cloud).await;
    let missing = client.describe_stacks().stack_name("none").send().await;
    assert_eq!(refused(missing).1, "Stack with id none does not exist");
    client.delete_stack().stack_name("none").send().await.unwrap();

    let template = with_inline_code(&cloud, &sam_echo(&cloud)).to_string();
    let create = || client.create_stack().stack_name("a").template_body(&template);
    let token = Parameter::builder().parameter_key("Token").parameter_value("x").build();
    assert_eq!(refused(create().send().await).1, "Parameters: [Token] must have values");
    let (code, message) = refused(create().parameters(token.clone()).send().await);
    assert_eq!(code, "InsufficientCapabilitiesException");
    assert_eq!(message, "Requires capabilities : [CAPABILITY_IAM, CAPABILITY_AUTO_EXPAND]");
    let unknown = Parameter::builder().parameter_key("Old").parameter_value("x").build();
    let (_, message) = refused(create().parameters(token).parameters(unknown).send().await);
    assert_eq!(message, "Parameters: [Old] do not exist in the template");
    let (_, message) = refused(client.create_stack().stack_name("a").template_body("x".repeat(51_201)).send().await);
    assert!(message.contains("Member must have length less than or equal to 51200"), "{message}");
    assert!(described(&client, "a").await.is_none());

    // Protected, and used by another stack.
    let exports = json!({
        "Resources": { "Topic": topic("data", None) },
        "Outputs": { "Topic": { "Value": { "Ref": "Topic" }, "Export": { "Name": "topic" } } },
    });
    made(&cloud, "data", &exports, &[]).await;
    let imports = json!({ "Resources": { "Log": { "Type": "AWS::Logs::LogGroup", "Properties": {
        "LogGroupName": { "Fn::Sub": ["/${Name}", { "Name": { "Fn::Select": ["5", { "Fn::Split": [":",
            { "Fn::ImportValue": "topic" }] }] } }] } } } } });
    made(&cloud, "app", &imports, &[]).await;
    assert_eq!(resources(&client, "app").await[0].2, "/data");
    assert_eq!(client.list_imports().export_name("topic").send().await.unwrap().imports(), ["app"]);
    client.delete_stack().stack_name("data").send().await.unwrap();
    let stack = described(&client, "data").await.unwrap();
    assert_eq!(stack.stack_status().unwrap().as_str(), "CREATE_COMPLETE");
    assert_eq!(
        stack.stack_status_reason(),
        Some("Delete canceled. Cannot delete export topic as it is in use by app.")
    );
    let protect =
        |enabled| client.update_termination_protection().stack_name("app").enable_termination_protection(enabled);
    protect(true).send().await.unwrap();
    let (_, message) = refused(client.delete_stack().stack_name("app").send().await);
    assert_eq!(message, "Stack [app] cannot be deleted while TerminationProtection is enabled");
    protect(false).send().await.unwrap();
    client.delete_stack().stack_name("app").send().await.unwrap();
    eventually("the app is gone", async || described(&client, "app").await.is_none()).await;
    assert_eq!(
        refused(client.list_imports().export_name("topic").send().await).1,
        "Export 'topic' is not imported by any stack."
    );

    // What is not played is named.
    let mut changed = exports.clone();
    changed["Resources"]["Topic"]["Properties"]["DisplayName"] = "d".into();
    let update = client.update_stack().stack_name("data").template_body(changed.to_string()).send().await;
    let (_, message) = refused(update);
    assert!(
        message.contains("does not play changes of these properties: Topic (AWS::SNS::Topic: DisplayName)"),
        "{message}"
    );
    let nested = json!({ "Resources": { "A": { "Type": "AWS::CloudFormation::Stack", "Properties": {} } } });
    let create = client.create_stack().stack_name("nested").template_body(nested.to_string()).send().await;
    let (_, message) = refused(create);
    assert!(message.contains("does not play resources of the type AWS::CloudFormation::Stack"), "{message}");

    // A stack that cannot be made is undone.
    let taken = json!({ "Resources": {
        "First": topic("first", None),
        "Second": { "Type": "AWS::SQS::Queue", "DependsOn": "First", "Properties": { "QueueName": "no name" } },
    } });
    client.create_stack().stack_name("half").template_body(taken.to_string()).send().await.unwrap();
    let half = until(&client, "half", "ROLLBACK_COMPLETE").await;
    let said = events(&client, half.stack_id().unwrap()).await;
    assert!(said.contains("half ROLLBACK_IN_PROGRESS The following resource(s) failed to create: [Second]."), "{said}");
    let calls = cloud.calls();
    let changes = calls.iter().filter(|call| call.service == "cloudcontrolapi" && call.mutating);
    let changes: Vec<&str> = changes.map(|call| call.operation.as_ref()).collect();
    assert_eq!(changes, ["CreateResource", "CreateResource", "CreateResource", "DeleteResource"], "{said}");
}

#[tokio::test]
async fn a_change_set_creates_a_stack_and_one_without_changes_fails() {
    let cloud = Cloud::start().conditions(SWIFT).go();
    let client = client(&cloud).await;
    let template = with_inline_code(&cloud, &sam_echo(&cloud)).to_string();
    let set = |kind: ChangeSetType, name: &str| {
        let parameters = SAM_ECHO
            .iter()
            .map(|(key, value)| Parameter::builder().parameter_key(*key).parameter_value(*value).build());
        client
            .create_change_set()
            .stack_name("app")
            .change_set_name(name)
            .change_set_type(kind)
            .template_body(&template)
            .set_parameters(Some(parameters.collect()))
            .set_capabilities(Some(vec![CAPABILITIES[0].clone()]))
    };
    let created = set(ChangeSetType::Create, "first").send().await.unwrap();
    assert_eq!(settled(&client, created.id().unwrap()).await.1, ExecutionStatus::Available);
    let changes = client.describe_change_set().change_set_name(created.id().unwrap()).send().await.unwrap();
    assert_eq!(changes.changes().len(), 10);
    client.execute_change_set().change_set_name("first").stack_name("app").send().await.unwrap();
    let stack = until(&client, "app", "CREATE_COMPLETE").await;
    assert_eq!(stack.change_set_id(), created.id());
    says(&output(&stack, "Uri"), "{}", "hello {}").await;

    let again = set(ChangeSetType::Update, "second").send().await.unwrap();
    let (status, _, reason) = settled(&client, again.id().unwrap()).await;
    assert_eq!(status, ChangeSetStatus::Failed);
    assert!(reason.starts_with("The submitted information didn't contain changes."), "{reason}");
    client.delete_change_set().change_set_name(again.id().unwrap()).send().await.unwrap();
    let twice = set(ChangeSetType::Create, "third").send().await;
    assert_eq!(refused(twice).0, "ValidationError");
}

#[tokio::test]
async fn types_are_described() {
    let cloud = Cloud::start().conditions(SWIFT).go();
    let client = client(&cloud).await;
    for (type_name, provisioning, identifier) in [
        ("AWS::ApiGatewayV2::Stage", "FULLY_MUTABLE", json!(["/properties/ApiId", "/properties/StageName"])),
        ("AWS::IAM::Policy", "NON_PROVISIONABLE", json!(["/properties/Id"])),
        ("AWS::SQS::Queue", "FULLY_MUTABLE", json!(["/properties/QueueUrl"])),
    ] {
        let describe = client.describe_type().r#type(RegistryType::Resource).type_name(type_name);
        let found = describe.send().await.unwrap();
        assert_eq!(found.provisioning_type().unwrap().as_str(), provisioning, "{type_name}");
        let schema: Value = serde_json::from_str(found.schema().unwrap()).unwrap();
        assert_eq!(schema["primaryIdentifier"], identifier, "{type_name}");
        assert!(found.request_id().is_some());
    }
    let unknown = client.describe_type().r#type(RegistryType::Resource).type_name("AWS::No::Such").send().await;
    assert_eq!(refused(unknown).0, "TypeNotFoundException");
}

/// What `sam deploy` does with a changed handler; and what is undone where the rest of an update fails.
#[tokio::test]
async fn a_changed_handler_is_deployed_and_undone_with_what_fails() {
    let cloud = Cloud::start().conditions(SWIFT).go();
    let client = client(&cloud).await;
    let mut template = with_inline_code(&cloud, &sam_echo(&cloud));
    made(&cloud, "app", &template, SAM_ECHO).await;
    let function = resources(&client, "app").await.into_iter().find(|(id, ..)| id == "Echo").unwrap().2;
    let lambda = aws_sdk_lambda::Client::new(&cloud.sdk().await);
    let now = async || {
        let found = lambda.get_function_configuration().function_name(&function).send().await.unwrap();
        (found.code_sha256.unwrap(), found.memory_size.unwrap(), found.timeout.unwrap())
    };
    let update = async |template: &Value, status: &str| {
        let kept =
            SAM_ECHO.iter().map(|(key, _)| Parameter::builder().parameter_key(*key).use_previous_value(true).build());
        let update = client.update_stack().stack_name("app").template_body(template.to_string());
        update.set_parameters(Some(kept.collect())).set_capabilities(Some(CAPABILITIES.to_vec())).send().await.unwrap();
        until(&client, "app", status).await;
    };
    let first = now().await;
    let properties = &mut template["Resources"]["Echo"]["Properties"];
    properties["InlineCode"] = "exports.handler = async () => ({ statusCode: 200, body: 'changed' });".into();
    properties["MemorySize"] = 512.into();
    properties["Timeout"] = 9.into();
    update(&template, "UPDATE_COMPLETE").await;
    let second = now().await;
    assert!(second.0 != first.0 && (second.1, second.2) == (512, 9), "{second:?}");

    let mut failing = template.clone();
    let properties = &mut failing["Resources"]["Echo"]["Properties"];
    properties["InlineCode"] = "exports.handler = async () => 'broken';".into();
    properties.as_object_mut().unwrap().shift_remove("Timeout");
    failing["Resources"]["ZLast"] = json!({
        "Type": "AWS::SQS::Queue", "DependsOn": "Echo", "Properties": { "QueueName": "no name" },
    });
    update(&failing, "UPDATE_ROLLBACK_COMPLETE").await;
    assert_eq!(now().await, second);
}

#[tokio::test]
async fn a_stack_policy_keeps_an_update_from_what_it_protects() {
    let cloud = Cloud::start().conditions(SWIFT).go();
    let client = client(&cloud).await;
    let mut template = with_inline_code(&cloud, &sam_echo(&cloud));
    made(&cloud, "app", &template, SAM_ECHO).await;
    let policy = async || client.get_stack_policy().stack_name("app").send().await.unwrap().stack_policy_body;
    assert_eq!(policy().await, None);
    let nonsense = client.set_stack_policy().stack_name("app").stack_policy_body("{}").send().await;
    assert_eq!(refused(nonsense).0, "ValidationError");
    let all = json!({ "Effect": "Allow", "Action": "Update:*", "Principal": "*", "Resource": "*" });
    let echo =
        json!({ "Effect": "Deny", "Action": "Update:*", "Principal": "*", "Resource": "LogicalResourceId/Echo" });
    let protecting = json!({ "Statement": [all, echo] }).to_string();
    client.set_stack_policy().stack_name("app").stack_policy_body(&protecting).send().await.unwrap();
    assert_eq!(policy().await, Some(protecting.clone()));

    let update = |template: &Value| {
        let kept =
            SAM_ECHO.iter().map(|(key, _)| Parameter::builder().parameter_key(*key).use_previous_value(true).build());
        let update = client.update_stack().stack_name("app").template_body(template.to_string());
        update.set_parameters(Some(kept.collect())).set_capabilities(Some(CAPABILITIES.to_vec()))
    };
    template["Resources"]["Echo"]["Properties"]["MemorySize"] = 512.into();
    update(&template).send().await.unwrap();
    let stack = until(&client, "app", "UPDATE_ROLLBACK_COMPLETE").await;
    let said = events(&client, stack.stack_id().unwrap()).await;
    let why = "Statement [#2] does not allow [Update:Modify] for resource [LogicalResourceId/Echo]";
    assert!(said.contains(&format!("Action denied by stack policy: {why}")), "{said}");

    // One that holds for this update alone, and the one that the stack has afterwards.
    let open = json!({ "Statement": [all] }).to_string();
    update(&template).stack_policy_during_update_body(open).stack_policy_body(&protecting).send().await.unwrap();
    until(&client, "app", "UPDATE_COMPLETE").await;
    assert_eq!(policy().await, Some(protecting));
}

/// What a rollback of an update deletes of what that has made, by policy; and what becomes of the change set.
#[tokio::test]
async fn an_update_that_is_rolled_back_keeps_what_is_retained() {
    let cloud = Cloud::start().conditions(SWIFT).go();
    let client = client(&cloud).await;
    let mut template = json!({ "Resources": { "First": topic("first", None) } });
    made(&cloud, "app", &template, &[]).await;
    let exporting = |template: &mut Value| {
        template["Outputs"] = json!({ "Topic": { "Value": "x", "Export": { "Name": "taken" } } });
    };
    let mut other = json!({ "Resources": { "Other": topic("other", None) } });
    exporting(&mut other);
    made(&cloud, "other", &other, &[]).await;

    exporting(&mut template);
    for (id, policy) in [("Stays", "Retain"), ("Goes", "Delete"), ("Except", "RetainExceptOnCreate")] {
        template["Resources"][id] = topic(&id.to_lowercase(), Some(policy));
    }
    let set = |name: &str, template: &Value| {
        let set = client.create_change_set().stack_name("app").change_set_name(name);
        set.template_body(template.to_string()).send()
    };
    let id = set("more", &template).await.unwrap().id.unwrap();
    assert_eq!(settled(&client, &id).await.1, ExecutionStatus::Available);
    client.execute_change_set().change_set_name(&id).send().await.unwrap();
    until(&client, "app", "UPDATE_ROLLBACK_COMPLETE").await;
    let said = events(&client, "app").await;
    let why = "app UPDATE_ROLLBACK_IN_PROGRESS Export with name taken is already exported by stack other.";
    for line in [why, "Stays DELETE_SKIPPED", "Goes DELETE_COMPLETE", "Except DELETE_COMPLETE"] {
        assert!(said.contains(line), "{said}");
    }
    let left: Vec<String> = cloud.inventory().await.into_keys().collect();
    let topics = left.iter().filter(|name| name.starts_with("AWS::SNS::Topic "));
    let topics: Vec<&str> = topics.filter_map(|name| name.rsplit(':').next()).collect();
    assert_eq!(topics, ["Topic first", "Topic other", "Topic stays"]);
    assert_eq!(settled(&client, &id).await.1, ExecutionStatus::ExecuteFailed);
    let again = client.execute_change_set().change_set_name(&id).send().await;
    assert_eq!(refused(again).0, "InvalidChangeSetStatus");
    // Its name is taken until it is deleted.
    assert_eq!(refused(set("more", &template).await).0, "AlreadyExistsException");
    client.delete_change_set().stack_name("app").change_set_name("more").send().await.unwrap();

    // What a stack has become since, a change set does not know.
    let mut next = json!({ "Resources": { "First": topic("first", Some("Retain")) } });
    let id = set("more", &next).await.unwrap().id.unwrap();
    assert_eq!(settled(&client, &id).await.1, ExecutionStatus::Available);
    next["Resources"]["First"]["UpdateReplacePolicy"] = "Retain".into();
    client.update_stack().stack_name("app").template_body(next.to_string()).send().await.unwrap();
    until(&client, "app", "UPDATE_COMPLETE").await;
    assert_eq!(settled(&client, &id).await.1, ExecutionStatus::Obsolete);
    let late = client.execute_change_set().change_set_name(&id).send().await;
    assert_eq!(refused(late).0, "InvalidChangeSetStatus");
    next["Resources"]["First"]["Metadata"] = json!({ "team": "blue" });
    let id = set("last", &next).await.unwrap().id.unwrap();
    settled(&client, &id).await;
    client.execute_change_set().change_set_name(&id).send().await.unwrap();
    until(&client, "app", "UPDATE_COMPLETE").await;
    assert_eq!(settled(&client, &id).await.1, ExecutionStatus::ExecuteComplete);
    let gone = client.describe_change_set().stack_name("app").change_set_name("more").send().await;
    assert_eq!(refused(gone).0, "ChangeSetNotFound");
}

/// Dynamic references, as they were measured in a real account (`src/local/cloudformation/dynamic.rs` says where).
#[tokio::test]
async fn dynamic_references_are_looked_up() {
    let cloud = Cloud::start().conditions(SWIFT).go();
    let client = client(&cloud).await;
    let lambda = aws_sdk_lambda::Client::new(&cloud.sdk().await);
    let put = |name: &str, value: &str, kind: &str| {
        let input = json!({"Name": name, "Value": value, "Type": kind, "Overwrite": true});
        cloud.json_call("ssm", "AmazonSSM.PutParameter", &input);
    };
    let call = |operation: &str, input: Value| {
        cloud.json_call("secretsmanager", &format!("secretsmanager.{operation}"), &input)
    };
    let mut template = with_inline_code(&cloud, &sam_echo(&cloud));
    let with = |template: &Value, value: &str| {
        let mut template = template.clone();
        template["Resources"]["Echo"]["Properties"]["Environment"]["Variables"]["ORIGIN"] = value.into();
        template
    };
    let create = async |template: &Value| {
        let parameters = SAM_ECHO
            .iter()
            .map(|(key, value)| Parameter::builder().parameter_key(*key).parameter_value(*value).build());
        let create = client.create_stack().stack_name("app").template_body(template.to_string());
        create.set_parameters(Some(parameters.collect())).set_capabilities(Some(CAPABILITIES.to_vec())).send().await
    };
    let update = async |template: &Value, status: &str| {
        let update = client.update_stack().stack_name("app").template_body(template.to_string());
        let update = update.set_parameters(Some(previous(SAM_ECHO))).set_capabilities(Some(CAPABILITIES.to_vec()));
        update.send().await.unwrap();
        until(&client, "app", status).await
    };

    // What is refused before anything is made.
    put("/token", "hush", "SecureString");
    let place = "AWS::Lambda::Function/Properties/Environment/Variables/ORIGIN";
    for (reference, expected) in [
        ("ssm:/chat/origin", "Parameters: [ssm:/chat/origin] cannot be found.".to_owned()),
        ("ssm:/token", "Non-secure ssm prefix was used for secure parameter /token".to_owned()),
        (
            "ssm:/token:live",
            "Incorrect format is used in the following SSM reference: [{{resolve:ssm:/token:live}}]".to_owned(),
        ),
        ("ssm-secure:/token:1", format!("SSM Secure reference is not supported in: [{place}]")),
        ("vault:/token", "The local cloud's CloudFormation does not play dynamic references to vault".to_owned()),
    ] {
        let refusal = refused(create(&with(&template, &format!("{{{{resolve:{reference}}}}}"))).await);
        assert_eq!(refusal, ("ValidationError".to_owned(), expected), "{reference}");
    }
    let mut shown = template.clone();
    shown["Outputs"]["Origin"] = json!({ "Value": "{{resolve:ssm:/chat/origin}}" });
    assert_eq!(refused(create(&shown).await).1, "Parameters: [ssm:/chat/origin] cannot be found.");
    assert!(described(&client, "app").await.is_none());
    // What fails later: of the whole stack, and of the resource.
    put("/chat/origin", "one", "String");
    call("CreateSecret", json!({"Name": "db", "SecretString": "{\"password\": \"p1\"}"}));
    for (reference, expected) in [
        ("ssm-secure:/token", format!("app ROLLBACK_IN_PROGRESS SSM Secure reference is not supported in: [{place}]")),
        ("secretsmanager:none", "Echo CREATE_FAILED Secrets Manager can't find the specified secret.".to_owned()),
        (
            "secretsmanager:db:SecretString:user",
            "Echo CREATE_FAILED Could not find a value associated with JSONKey in SecretString".to_owned(),
        ),
    ] {
        create(&with(&template, &format!("{{{{resolve:{reference}}}}}"))).await.unwrap();
        until(&client, "app", "ROLLBACK_COMPLETE").await;
        let told = events(&client, "app").await;
        assert!(told.contains(&expected), "{reference}: {told}");
        client.delete_stack().stack_name("app").send().await.unwrap();
        eventually("it is gone", async || described(&client, "app").await.is_none()).await;
    }

    let origin = "a {{resolve:ssm:/chat/origin}} b {{resolve:secretsmanager:db:SecretString:password}} {{resolve:ssm:/chat/origin:1}}";
    template = with(&template, origin);
    template["Outputs"]["Origin"] = json!({ "Value": "{{resolve:ssm:/chat/origin}}" });
    template["Outputs"]["Secret"] = json!({ "Value": "{{resolve:secretsmanager:db:SecretString:password}}" });
    create(&template).await.unwrap();
    let stack = until(&client, "app", "CREATE_COMPLETE").await;
    assert_eq!(
        (output(&stack, "Origin"), output(&stack, "Secret")),
        ("one".to_owned(), "{{resolve:secretsmanager:db:SecretString:password}}".to_owned())
    );
    let function = resources(&client, "app").await.into_iter().find(|(id, ..)| id == "Echo").unwrap().2;
    let now = async || {
        let found = lambda.get_function_configuration().function_name(&function).send().await.unwrap();
        found.environment.unwrap().variables.unwrap()["ORIGIN"].clone()
    };
    assert_eq!(now().await, "a one b p1 one");
    let sent = processed(&client, "app").await;
    assert_eq!(sent["Resources"]["Echo"]["Properties"]["Environment"]["Variables"]["ORIGIN"], origin);

    // A change set does not see other values.
    put("/chat/origin", "two", "String");
    call("PutSecretValue", json!({"SecretId": "db", "SecretString": "{\"password\": \"p2\"}"}));
    let set = client.create_change_set().stack_name("app").change_set_name("same").template_body(template.to_string());
    let set = set
        .set_parameters(Some(previous(SAM_ECHO)))
        .set_capabilities(Some(CAPABILITIES.to_vec()))
        .send()
        .await
        .unwrap();
    assert_eq!(settled(&client, set.id().unwrap()).await.0, ChangeSetStatus::Failed);
    // An update of another resource reads parameters again, and secrets not; nor does one that is undone keep what it read.
    let mut failing = template.clone();
    failing["Resources"]["ZLast"] =
        json!({ "Type": "AWS::SQS::Queue", "DependsOn": "Echo", "Properties": { "QueueName": "no name" } });
    update(&failing, "UPDATE_ROLLBACK_COMPLETE").await;
    assert_eq!(now().await, "a one b p1 one");
    let stack = update(&template, "UPDATE_COMPLETE").await;
    assert_eq!((now().await.as_str(), output(&stack, "Origin").as_str()), ("a two b p1 one", "two"));
    // One of the resource reads both, also where it only has other metadata.
    let mut noted = processed(&client, "app").await;
    noted["Resources"]["Echo"]["Metadata"] = json!({ "note": 1 });
    update(&noted, "UPDATE_COMPLETE").await;
    assert_eq!(now().await, "a two b p2 one");
    let same = client.update_stack().stack_name("app").template_body(noted.to_string());
    let same = same.set_parameters(Some(previous(SAM_ECHO))).set_capabilities(Some(CAPABILITIES.to_vec()));
    assert_eq!(refused(same.send().await).1, "No updates are to be performed.");
}
