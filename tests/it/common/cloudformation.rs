//! Stacks that CloudFormation made, in the local cloud: what people have before they come to wschat.

use std::fs;

use aws_sdk_cloudformation::Client;
use aws_sdk_cloudformation::types::{Capability, Parameter, Stack, Tag};
use serde_json::{Value, json};

use super::template::Template;
use super::{Cloud, eventually, repository};

/// What CloudFormation wants to hear for any template of SAM's.
pub const CAPABILITIES: [Capability; 3] =
    [Capability::CapabilityIam, Capability::CapabilityNamedIam, Capability::CapabilityAutoExpand];

/// Writes an app of SAM's and its code into a cloud's folder (`tests/fixtures/sam-echo`): a table, a function whose role SAM makes, a
/// WebSocket API. It has a parameter without a default, `Token`, which is a secret.
pub fn sam_echo(cloud: &Cloud) -> Template {
    let template = Template::of("tests/fixtures/sam-echo/template.yaml");
    template.save(cloud);
    let folder = cloud.folder().join("echo");
    fs::create_dir_all(&folder).unwrap();
    fs::copy(repository().join("tests/fixtures/sam-echo/echo/index.js"), folder.join("index.js")).unwrap();
    template
}

/// The parameters of [`sam_echo`].
pub const SAM_ECHO: &[(&str, &str)] = &[("Greeting", "hello"), ("Token", "secret")];

/// CloudFormation's client for a cloud.
pub async fn client(cloud: &Cloud) -> Client {
    Client::new(&cloud.sdk().await)
}

/// A template as a deployer sends it that has no bucket: the code of each function, one file in a folder of the cloud's, is in the
/// template.
pub fn with_inline_code(cloud: &Cloud, template: &Template) -> Value {
    let mut sent = template.0.clone();
    for resource in sent["Resources"].as_object_mut().unwrap().values_mut() {
        let properties = &mut resource["Properties"];
        let read = |folder: &str| {
            let folder = cloud.folder().join(folder);
            let file = ["index.js", "index.py"].map(|name| folder.join(name)).into_iter().find(|file| file.exists());
            fs::read_to_string(file.unwrap_or_else(|| panic!("no index.js or index.py in {}", folder.display())))
                .unwrap()
        };
        if let Some(folder) = properties["CodeUri"].as_str().map(str::to_owned) {
            properties["InlineCode"] = read(&folder).into();
            properties.as_object_mut().unwrap().shift_remove("CodeUri");
        } else if let Some(folder) = properties["Code"].as_str().map(str::to_owned) {
            properties["Code"] = json!({ "ZipFile": read(&folder) });
        }
    }
    sent
}

/// Lets CloudFormation make a stack of a template, as `sam deploy` does; gives the stack once it is complete.
pub async fn made(cloud: &Cloud, stack: &str, template: &Value, parameters: &[(&str, &str)]) -> Stack {
    let client = client(cloud).await;
    let parameters =
        parameters.iter().map(|(key, value)| Parameter::builder().parameter_key(*key).parameter_value(*value).build());
    let create = client
        .create_stack()
        .stack_name(stack)
        .template_body(template.to_string())
        .set_parameters(Some(parameters.collect()))
        .set_capabilities(Some(CAPABILITIES.to_vec()))
        .tags(Tag::builder().key("team").value("red").build());
    create.send().await.unwrap_or_else(|error| panic!("{stack}: {error:?}"));
    until(&client, stack, "CREATE_COMPLETE").await
}

/// The app of [`sam_echo`] as a stack that CloudFormation made.
pub async fn made_sam_echo(cloud: &Cloud, stack: &str) -> Stack {
    let template = sam_echo(cloud);
    made(cloud, stack, &with_inline_code(cloud, &template), SAM_ECHO).await
}

/// A stack, by its name or id.
pub async fn described(client: &Client, stack: &str) -> Option<Stack> {
    let answer = client.describe_stacks().stack_name(stack).send().await.ok()?;
    answer.stacks.unwrap_or_default().into_iter().next()
}

/// Waits until a stack has a status. (A deleted stack is found by its id alone.)
pub async fn until(client: &Client, stack: &str, status: &str) -> Stack {
    eventually(&format!("{stack} is {status}"), async || match described(client, stack).await {
        Some(found) => {
            let is = found.stack_status().unwrap().as_str();
            assert!(is == status || is.ends_with("_IN_PROGRESS"), "{stack} is {is}: {}", events(client, stack).await);
            is == status
        }
        None => false,
    })
    .await;
    described(client, stack).await.unwrap()
}

/// The events of a stack, the oldest first: `Echo CREATE_COMPLETE`.
pub async fn events(client: &Client, stack: &str) -> String {
    let answer = client.describe_stack_events().stack_name(stack).send().await.unwrap();
    let lines = answer.stack_events().iter().rev().map(|event| {
        let reason = event.resource_status_reason().unwrap_or_default();
        let status = event.resource_status().map_or("", |status| status.as_str());
        format!("{} {status} {reason}\n", event.logical_resource_id().unwrap_or_default())
    });
    lines.collect()
}

/// The physical ids of a stack's resources, by logical id and type.
pub async fn resources(client: &Client, stack: &str) -> Vec<(String, String, String)> {
    let answer = client.list_stack_resources().stack_name(stack).send().await.unwrap();
    let text = |value: Option<&str>| value.unwrap_or_default().to_owned();
    answer
        .stack_resource_summaries()
        .iter()
        .map(|one| (text(one.logical_resource_id()), text(one.resource_type()), text(one.physical_resource_id())))
        .collect()
}

/// The value of an output.
pub fn output(stack: &Stack, key: &str) -> String {
    let found = stack.outputs().iter().find(|output| output.output_key() == Some(key));
    found.and_then(|output| output.output_value()).unwrap_or_else(|| panic!("no output {key}")).to_owned()
}

/// Makes a bucket.
pub async fn bucket(cloud: &Cloud, name: &str) {
    let body = json!({ "Resources": { "Bucket": {
        "Type": "AWS::S3::Bucket", "DeletionPolicy": "Retain", "Properties": { "BucketName": name },
    } } });
    made(cloud, "buckets", &body, &[]).await;
}
