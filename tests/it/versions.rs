//! Published versions and aliases: an alias serves the template's current code and configuration, and a failed run restores
//! it.

use crate::common;
use crate::common::client::Client;
use crate::common::template::{self, Template};
use crate::common::{Cloud, Run};
use serde_json::{Value, json};

fn up(cloud: &Cloud) -> Run {
    cloud.wschat(&["up", "--local", "--yes"]).ok()
}

fn no_op(cloud: &Cloud) {
    up(cloud).changes_nothing();
    let plan = cloud.wschat(&["plan", "--local"]).ok();
    assert!(!plan.stdout.contains("retain"), "{}", plan.stdout);
}

/// The published versions' numbers, and the one that each alias names.
async fn published(cloud: &Cloud) -> (Vec<String>, Vec<(String, String)>) {
    let lambda = aws_sdk_lambda::Client::new(&cloud.sdk().await);
    let functions = lambda.list_functions().send().await.unwrap();
    let name = functions.functions()[0].function_name().unwrap().to_owned();
    let versions = lambda.list_versions_by_function().function_name(&name).send().await.unwrap();
    let numbers = versions.versions().iter().map(|version| version.version().unwrap().to_owned());
    let aliases = lambda.list_aliases().function_name(&name).send().await.unwrap();
    let aliases = aliases
        .aliases()
        .iter()
        .map(|alias| (alias.name().unwrap().to_owned(), alias.function_version().unwrap().to_owned()));
    (numbers.filter(|number| number != "$LATEST").collect(), aliases.collect())
}

fn live(number: &str) -> Vec<(String, String)> {
    vec![("live".to_owned(), number.to_owned())]
}

/// The answers to `ping`, which uses the alias, and to another message, which uses the function itself.
async fn answers(uri: &str) -> [Value; 2] {
    let mut client = Client::connect(uri).await;
    let mut heard = Vec::new();
    for message in [r#"{"action":"ping"}"#, r#"{"action":"other"}"#] {
        client.say(message).await;
        heard.push(client.hear().await.into());
    }
    heard.try_into().unwrap()
}

#[tokio::test]
async fn an_alias_follows_the_function_and_retained_versions_stay() {
    let cloud = Cloud::start().go();
    let mut template = template::echo(&cloud);
    template.get("EchoVersion")["DeletionPolicy"] = "Retain".into();
    template.save(&cloud);
    let uri = up(&cloud).uri();
    assert_eq!(published(&cloud).await, (vec!["1".to_owned()], live("1")));
    no_op(&cloud);
    let first = answers(&uri).await;
    assert_eq!(first[0].as_str().unwrap().replace("ping", "$default"), first[1].as_str().unwrap());

    // Changed code with an unchanged template.
    template::echo_code(&cloud, "good day");
    up(&cloud);
    assert_eq!(published(&cloud).await, (vec!["1".to_owned(), "2".to_owned()], live("2")));
    no_op(&cloud);
    let second = answers(&uri).await;
    assert!(second[0].as_str().unwrap().contains("good day"), "{second:?}");
    assert_ne!(first, second);

    // Changed configuration, for which SAM would not publish a version.
    template.set("Echo.Environment.Variables.MARK", "?".into());
    template.save(&cloud);
    up(&cloud);
    assert_eq!(published(&cloud).await.1, live("3"));
    no_op(&cloud);

    // Back to an earlier state, whose version still exists.
    template.set("Echo.Environment.Variables.MARK", "!".into());
    template.save(&cloud);
    template::echo_code(&cloud, "hello");
    up(&cloud);
    assert_eq!(published(&cloud).await.1, live("1"));
    assert_eq!(answers(&uri).await, first);

    // A property that is not part of versions does not publish one.
    template.set("Echo.ReservedConcurrentExecutions", 7.into());
    template.set("Echo.Description", "another one".into());
    template.save(&cloud);
    up(&cloud);
    assert_eq!(published(&cloud).await.0.len(), 3);
    no_op(&cloud);

    cloud.wschat(&["down", "--local", "--yes"]).ok();
    assert!(cloud.inventory().await.is_empty());
}

#[tokio::test]
async fn a_version_that_is_not_retained_is_deleted_when_superseded() {
    let cloud = template::fast_echo();
    up(&cloud);
    let mut template = Template::echo();
    template.set("Echo.MemorySize", 512.into());
    template.save(&cloud);
    up(&cloud);
    assert_eq!(published(&cloud).await, (vec!["2".to_owned()], live("2")));
    no_op(&cloud);
}

#[tokio::test]
async fn removed_aliases_are_deleted_and_those_created_by_hand_stay() {
    let cloud = template::fast_echo();
    up(&cloud);
    let lambda = aws_sdk_lambda::Client::new(&cloud.sdk().await);
    let name = lambda.list_functions().send().await.unwrap().functions()[0].function_name().unwrap().to_owned();
    lambda.create_alias().function_name(&name).name("mine").function_version("$LATEST").send().await.unwrap();
    let mut template = Template::echo();
    for gone in ["EchoVersion", "EchoLive", "LivePermission"] {
        template.remove(gone);
    }
    let to_function = "arn:aws:apigateway:${AWS::Region}:lambda:path/2015-03-31/functions/${Echo.Arn}/invocations";
    template.set("PingIntegration.IntegrationUri", json!({ "Fn::Sub": to_function }));
    template.save(&cloud);
    up(&cloud);
    let mine = vec![("mine".to_owned(), "$LATEST".to_owned())];
    assert_eq!(published(&cloud).await, (Vec::new(), mine));
    no_op(&cloud);
}

#[tokio::test]
async fn a_failed_run_restores_the_alias() {
    let cloud = template::fast_echo();
    up(&cloud);
    let before = cloud.inventory().await;
    let mut template = Template::echo();
    template.set("Echo.MemorySize", 512.into());
    // API Gateway rejects this one after everything else is done.
    template.set("Stage.DefaultRouteSettings.ThrottlingBurstLimit", (-1).into());
    template.set_depends_on("Stage", &["EchoLive"]);
    template.save(&cloud);
    let run = cloud.wschat(&["up", "--local", "--yes"]);
    assert_ne!(run.code, Some(0), "{}", run.stderr);
    common::inventory::same(&cloud.inventory().await, &before);
    assert_eq!(published(&cloud).await, (vec!["1".to_owned()], live("1")));
}

#[tokio::test]
async fn a_changed_description_publishes_a_version_when_lambda_does() {
    let cloud = template::fast_echo();
    let mut template = Template::echo();
    template.remove("EchoVersion.Description");
    template.save(&cloud);
    up(&cloud);
    let lambda = aws_sdk_lambda::Client::new(&cloud.sdk().await);
    let name = lambda.list_functions().send().await.unwrap().functions()[0].function_name().unwrap().to_owned();
    let description = async |number: &str| {
        let version = lambda.get_function_configuration().function_name(&name).qualifier(number).send().await.unwrap();
        version.description().unwrap_or_default().to_owned()
    };
    let long = format!("{} ", "x".repeat(255));
    for (words, number, expected) in [("one", "2", "one"), ("", "3", ""), (long.as_str(), "4", &"x".repeat(237))] {
        template.set("Echo.Description", words.into());
        template.save(&cloud);
        up(&cloud);
        assert_eq!(published(&cloud).await, (vec![number.to_owned()], live(number)), "{words}");
        assert_eq!(description(number).await, format!("{expected} wschat:EchoVersion").trim_start());
        no_op(&cloud);
    }

    // A version's own description: Lambda publishes no second version of an unchanged function.
    template.set("Echo.Description", "of the function".into());
    template.set("EchoVersion.Description", "first".into());
    template.save(&cloud);
    up(&cloud);
    assert_eq!(published(&cloud).await.1, live("4"));
    template.set("EchoVersion.Description", "second".into());
    template.save(&cloud);
    up(&cloud);
    assert_eq!(published(&cloud).await.1, live("4"));
    no_op(&cloud);
    template.set("Echo.MemorySize", 512.into());
    template.save(&cloud);
    up(&cloud);
    assert_eq!(published(&cloud).await.1, live("5"));
    assert_eq!(description("5").await, "second wschat:EchoVersion");
    no_op(&cloud);
}
