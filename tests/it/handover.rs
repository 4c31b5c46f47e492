//! Apps with types of many services, which CloudFormation deploys: wschat takes each over, has nothing to change, changes it, and hands
//! it back. (The examples are deployed by SAM's own command line, in tests/clients/test_handover.py.)

use std::fs;

use serde_json::{Value, json};

use crate::common::cloudformation::{client, made, resources};
use crate::common::pool::on_clouds;
use crate::common::template::{App, Template};
use crate::common::{Cloud, Run, STACK};

/// The app's template as a deployer sends it, with code that never runs.
fn sent(template: &Template) -> Value {
    let mut sent = template.0.clone();
    if let Some(globals) = sent.pointer_mut("/Globals/Function").and_then(Value::as_object_mut) {
        globals.shift_remove("CodeUri");
    }
    const CODE: &str = "exports.handler = async () => ({ statusCode: 200 });";
    for resource in sent["Resources"].as_object_mut().unwrap().values_mut() {
        let type_name = resource["Type"].as_str().unwrap_or_default().to_owned();
        if resource["Properties"].is_null() {
            resource["Properties"] = json!({});
        }
        let properties = &mut resource["Properties"];
        match type_name.as_str() {
            "AWS::Serverless::Function" => {
                properties.as_object_mut().unwrap().shift_remove("CodeUri");
                properties["InlineCode"] = CODE.into();
            }
            "AWS::Lambda::Function" => properties["Code"] = json!({ "ZipFile": CODE }),
            _ => {}
        }
    }
    sent
}

/// What CloudFormation's stack has: logical ids, types and physical ids.
fn formed(cloud: &Cloud) -> Vec<(String, String, String)> {
    crate::adopt::block(async { resources(&client(cloud).await, STACK).await })
}

/// A run may only bring code: zips of wschat's have other bytes.
fn brings_code_alone(run: &Run) {
    let others: Vec<String> = run.mutations().into_iter().filter(|call| call != "lambda.UpdateFunctionCode").collect();
    assert_eq!(others, [""; 0], "{}", run.stderr);
}

#[test]
fn apps_of_many_services_come_and_go() {
    let apps = [App::services(), App::queue(), App::bucket()];
    on_clouds(
        2,
        || Cloud::start().go(),
        &apps,
        |_, app| {
            let cloud = app.fast();
            let path = cloud.folder().join("template.yaml");
            let template = Template(serde_yaml::from_str(&fs::read_to_string(path).unwrap()).unwrap());
            crate::adopt::block(async { made(&cloud, STACK, &sent(&template), &[]).await });
            let before = formed(&cloud);

            let adopted = cloud.through().run(&["adopt", STACK, "--yes"]).run.ok();
            assert!(adopted.stderr.contains("They are as the template describes them"), "{}", adopted.stderr);
            brings_code_alone(&cloud.through().run(&["up", "--yes"]).run.ok());
            cloud.through().run(&["up", "--yes"]).run.ok().changes_nothing();

            crate::adopt::block(crate::common::cloudformation::bucket(&cloud, "code"));
            let ejected = cloud.through().run(&["eject", "--yes", "--bucket", "code"]).run.ok();
            let ids = |all: Vec<(String, String, String)>| all.into_iter().map(|(id, ..)| id).collect::<Vec<_>>();
            assert_eq!(ids(formed(&cloud)), ids(before), "{}", ejected.stderr);
            let marks = serde_json::to_string(&cloud.inventory_now()).unwrap();
            assert!(!marks.contains("wschat:stack"), "{}", &marks[marks.find("wschat:stack").unwrap_or(0)..][..200]);
        },
    );
}
