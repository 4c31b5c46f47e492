//! Layers: their versions follow their content, functions get them, and nothing of them stays.

use std::fs;

use serde_json::{Value, json};

use crate::common::inventory::{Inventory, same};
use crate::common::template::{App, Template};
use crate::common::{Cloud, Run};

fn cloud() -> Cloud {
    App::layers().fast()
}

fn template() -> Template {
    Template::of("tests/fixtures/layers/template.yaml")
}

/// Deploys a changed template; gives what `up` did.
fn up_with(cloud: &Cloud, change: impl FnOnce(&mut Template)) -> Run {
    let mut template = template();
    change(&mut template);
    template.save_as(cloud, "template.yaml");
    cloud.up()
}

async fn lambda(cloud: &Cloud) -> aws_sdk_lambda::Client {
    aws_sdk_lambda::Client::new(&cloud.sdk().await)
}

/// The numbers of a layer's versions; `name` begins its name.
async fn versions(cloud: &Cloud, name: &str) -> Vec<i64> {
    let lambda = lambda(cloud).await;
    let layers = lambda.list_layers().send().await.unwrap();
    let layer = layers.layers().iter().find(|layer| layer.layer_name().unwrap().starts_with(name));
    let Some(layer) = layer else { return Vec::new() };
    let versions = lambda.list_layer_versions().layer_name(layer.layer_name().unwrap()).send().await.unwrap();
    versions.layer_versions().iter().map(|version| version.version()).collect()
}

/// What the function says.
async fn said(cloud: &Cloud) -> Value {
    let lambda = lambda(cloud).await;
    let functions = lambda.list_functions().send().await.unwrap();
    let name = functions.functions()[0].function_name().unwrap().to_owned();
    let answer = lambda.invoke().function_name(name).send().await.unwrap();
    serde_json::from_slice(answer.payload().unwrap().as_ref()).unwrap()
}

#[tokio::test]
async fn a_version_follows_its_content_and_the_function_gets_it() {
    let cloud = cloud();
    let run = cloud.up();
    assert_eq!(run.count("lambda.PublishLayerVersion"), 2, "{:?}", run.mutations());
    assert_eq!(said(&cloud).await, "hello!", "the later of two layers wins");
    assert_eq!(versions(&cloud, "app-Words-").await, [1]);
    cloud.up().changes_nothing();
    cloud.status().ok();

    // Other content: another version, the function's configuration, and the old version goes.
    fs::write(cloud.folder().join("words/python/words.py"), "GREETING = \"good day\"\n").unwrap();
    let run = cloud.up();
    let expected = [
        "lambda.PublishLayerVersion",
        "lambda.AddLayerVersionPermission",
        "lambda.UpdateFunctionConfiguration",
        "lambda.DeleteLayerVersion",
    ];
    let mut mutations = run.mutations();
    let mut sorted = expected.map(str::to_owned).to_vec();
    mutations.sort();
    sorted.sort();
    assert_eq!(mutations, sorted);
    assert_eq!(said(&cloud).await, "good day!");
    assert_eq!(versions(&cloud, "app-Words-").await, [2]);
    cloud.up().changes_nothing();

    // A setting.
    up_with(&cloud, |template| template.set("Words.Description", json!("other words")));
    assert_eq!(versions(&cloud, "app-Words-").await, [3]);
    cloud.up().changes_nothing();

    // Versions of others, by hand or of another stack, stay.
    let name = format!("{}-more", crate::common::STACK);
    let zip = aws_sdk_lambda::primitives::Blob::new(fs::read(zip(&cloud)).unwrap());
    let content = aws_sdk_lambda::types::LayerVersionContentInput::builder().zip_file(zip).build();
    lambda(&cloud).await.publish_layer_version().layer_name(&name).content(content).send().await.unwrap();
    cloud.up().changes_nothing();
    cloud.down();
    assert_eq!(versions(&cloud, "app-Words-").await, [0; 0]);
    assert_eq!(versions(&cloud, &name).await, [2]);
    lambda(&cloud).await.delete_layer_version().layer_name(&name).version_number(2).send().await.unwrap();
    same(&cloud.inventory().await, &Inventory::new());
}

/// A zip with one file.
fn zip(cloud: &Cloud) -> std::path::PathBuf {
    use std::io::Write;
    let path = cloud.folder().join("by-hand.zip");
    let mut zip = zip::ZipWriter::new(fs::File::create(&path).unwrap());
    zip.start_file("python/other.py", zip::write::SimpleFileOptions::default()).unwrap();
    zip.write_all(b"pass\n").unwrap();
    zip.finish().unwrap();
    path
}

#[tokio::test]
async fn retained_versions_stay() {
    let cloud = cloud();
    up_with(&cloud, |template| template.get("More")["DeletionPolicy"] = "Retain".into());
    fs::write(cloud.folder().join("more/python/more.py"), "END = \"...\"\n").unwrap();
    cloud.up();
    assert_eq!(said(&cloud).await, "hello...");
    assert_eq!(versions(&cloud, "app-more").await, [2, 1]);
    let plan = cloud.wschat(&["plan", "--local"]).ok();
    assert!(!plan.stdout.contains("retain"), "{}", plan.stdout);
    cloud.down();
    assert_eq!(versions(&cloud, "app-more").await, [2, 1]);
}

#[tokio::test]
async fn sams_layers_are_built_and_renamed() {
    let cloud = Cloud::start().go();
    let text = "
Transform: AWS::Serverless-2016-10-31
Resources:
  Shared:
    Type: AWS::Serverless::LayerVersion
    Properties: { ContentUri: shared, RetentionPolicy: Delete }
    Metadata: { BuildMethod: python3.12 }
  Speaker:
    Type: AWS::Serverless::Function
    Properties: { CodeUri: function, Handler: app.handler, Runtime: python3.12, Layers: [!Ref Shared] }
";
    fs::create_dir_all(cloud.folder().join("shared")).unwrap();
    fs::create_dir_all(cloud.folder().join("function")).unwrap();
    fs::write(cloud.folder().join("template.yaml"), text).unwrap();
    fs::write(cloud.folder().join("shared/words.py"), "GREETING = \"built\"\n").unwrap();
    let code = "import words\n\ndef handler(event, context):\n    return words.GREETING\n";
    fs::write(cloud.folder().join("function/app.py"), code).unwrap();
    cloud.up();
    assert_eq!(said(&cloud).await, "built");
    assert_eq!(versions(&cloud, "Shared").await, [1], "the layer has the name of its declaration");
    cloud.up().changes_nothing();
    cloud.down();
    same(&cloud.inventory().await, &Inventory::new());
}

#[tokio::test]
async fn layers_of_others_are_said_to_be_missing() {
    let cloud = cloud();
    let foreign = "arn:aws:lambda:us-east-1:580247275435:layer:LambdaInsightsExtension:53";
    let run = up_with(&cloud, |template| {
        template.get("Speaker.Layers").as_array_mut().unwrap().push(json!(foreign));
    });
    let line = format!("Speaker: runs without {foreign}, a layer of another account, on this machine");
    assert!(run.stderr.contains(&line), "{}", run.stderr);
    assert_eq!(said(&cloud).await, "hello!");
    cloud.up().changes_nothing();
}
