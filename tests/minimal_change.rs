//! What changes in a template, and nothing else, changes in AWS.

mod common;

use common::client::Client;
use common::{Cloud, template};

#[tokio::test]
async fn probe() {
    let cloud = Cloud::start().go();
    let _template = template::echo(&cloud);
    let run = cloud.up();
    println!("{}", run.stderr);
    for c in run.mutations() {
        println!("{c}");
    }
    for line in cloud.inventory().await {
        println!("{line}\n");
    }
    let mut client = Client::connect(&run.uri()).await;
    client.say("x").await;
    println!("{}", client.hear().await);
    client.say(r#"{"action":"ping"}"#).await;
    println!("{}", client.hear().await);
    let again = cloud.up();
    println!("{}", again.stderr);
    again.changes_nothing();
    println!("{}", cloud.status().ok().stdout);
    cloud.down();
    assert_eq!(cloud.inventory().await, Vec::<String>::new());
}
