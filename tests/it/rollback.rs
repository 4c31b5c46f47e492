//! A rollback deletes what its run has made, and nothing that was there before or that another run has made.

use crate::common::inventory::same;
use crate::common::template::{App, Template};

fn tags(tags: &[(&str, &str)]) -> std::collections::HashMap<String, String> {
    tags.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect()
}

/// A log group is whose its function is; one that was there before the run made the function is not this run's.
#[tokio::test]
async fn log_groups_that_were_there_before_their_functions_stay() {
    let cloud = App::custom().fast();
    let logs = aws_sdk_cloudwatchlogs::Client::new(&cloud.sdk().await);
    for (function, given) in [
        ("maker", tags(&[("wschat:stack", "shop"), ("wschat:region", "us-east-1")])),
        ("doors", tags(&[])),
        ("checks", tags(&[("team", "blue")])),
    ] {
        let name = format!("/aws/lambda/{function}");
        logs.create_log_group().log_group_name(name).set_tags(Some(given)).send().await.unwrap();
    }
    let theirs = cloud.inventory().await;
    let mut template = Template::of("tests/fixtures/custom/template.yaml");
    let mut checks = template.get("DoorMaker").clone();
    checks["Properties"]["FunctionName"] = "checks".into();
    *template.get("Checks") = checks;
    // The one runs before the rollback, and the others do not.
    template.set("RoomMaker.FunctionName", "maker".into());
    template.set("DoorMaker.FunctionName", "doors".into());
    template.set("Rooms.Fail", "Create".into());
    template.save_as(&cloud, "template.yaml");
    let run = cloud.wschat(&["up", "--local", "--yes"]).exits(1);
    assert!(run.stderr.contains("there is no room"), "{}", run.stderr);
    same(&cloud.inventory().await, &theirs);
    // They have not got the stack's tags either.
    cloud.down().changes_nothing();
    same(&cloud.inventory().await, &theirs);
}
