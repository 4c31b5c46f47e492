//! Under AWS-like conditions (eventual consistency, slowness, throttling, conflicts) deployments give the same result.

use crate::common::inventory::{Inventory, same};
use crate::common::{Cloud, Run, repository, template};
use serde_json::Value;

/// The project's conditions file with its times divided and its quotas multiplied by this factor; orders and probabilities
/// stay the same.
fn conditions(hurry: f64) -> toml::Table {
    let text = std::fs::read_to_string(repository().join("docs/aws-conditions.toml")).unwrap();
    let mut file: toml::Table = text.parse().unwrap();
    for section in ["latency_ms", "eventual_s"] {
        for (_, time) in file[section].as_table_mut().unwrap() {
            let seconds = time.as_float().or_else(|| time.as_integer().map(|time| time as f64)).unwrap();
            *time = (seconds / hurry).into();
        }
    }
    file
}

fn set(file: &mut toml::Table, section: &str, key: &str, value: impl Into<toml::Value>) {
    file[section].as_table_mut().unwrap().insert(key.to_owned(), value.into());
}

async fn without_conditions() -> Inventory {
    let cloud = Cloud::start().go();
    template::chat_without_handlers(&cloud);
    cloud.up();
    cloud.inventory().await
}

/// Deploys a stack under these conditions, checks that it is complete and stable, and deletes it completely. Returns the
/// calls that were rejected during the deployment.
async fn deploy_and_delete(conditions: &toml::Table) -> Vec<String> {
    let cloud = Cloud::start().conditions(&conditions.to_string()).go();
    template::chat_without_handlers(&cloud);
    let run = cloud.up();
    same(&cloud.inventory().await, &without_conditions().await);
    cloud.up().changes_nothing();
    cloud.status().ok();
    cloud.down();
    same(&cloud.inventory().await, &Inventory::new());
    run.calls.into_iter().filter_map(|call| Some(format!("{} {}", call.operation, call.code?))).collect()
}

#[tokio::test]
async fn under_the_projects_conditions() {
    let mut conditions = conditions(5.0);
    set(&mut conditions, "eventual_s", "iam_role_assumable", 5.0);
    let refusals = deploy_and_delete(&conditions).await;
    let too_early = "CreateFunction InvalidParameterValueException";
    assert!(refusals.iter().any(|refusal| refusal == too_early), "roles spread at once: {refusals:?}");
}

#[tokio::test]
async fn where_integrations_need_their_functions() {
    let mut conditions = conditions(5.0);
    set(&mut conditions, "strict", "integration_needs_function", true);
    let refusals = deploy_and_delete(&conditions).await;
    assert!(refusals.iter().any(|refusal| refusal.starts_with("CreateIntegration ")), "{refusals:?}");
}

#[tokio::test]
async fn where_everything_collides_and_is_throttled() {
    let mut conditions = conditions(50.0);
    set(&mut conditions, "conflict", "apigatewayv2_same_api", 0.9);
    let throttle = conditions["throttle"].as_table_mut().unwrap();
    for service in ["apigatewayv2", "dynamodb", "iam", "lambda", "logs"] {
        let rate: toml::Table = "rate = 8.0\nburst = 2".parse().unwrap();
        throttle.insert(format!("{service}.*"), rate.into());
    }
    throttle.remove("apigatewayv2.CreateDeployment");
    let refusals = deploy_and_delete(&conditions).await;
    for code in ["Throttling", "ThrottlingException", "TooManyRequestsException"] {
        assert!(refusals.iter().any(|refusal| refusal.ends_with(&format!(" {code}"))), "no {code}: {refusals:?}");
    }
}

#[tokio::test]
async fn where_a_front_passes_on_whole_requests_only() {
    let mut conditions = conditions(5.0);
    set(&mut conditions, "link", "buffers_bodies", true);
    deploy_and_delete(&conditions).await;
}

#[tokio::test]
async fn where_requests_that_stand_still_are_cut() {
    let mut conditions = conditions(5.0);
    // Less than the pause between two bytes of an end that is held back: every request that travels ahead is answered 408.
    set(&mut conditions, "link", "idle_body_timeout_s", 0.2);
    deploy_and_delete(&conditions).await;
}

#[tokio::test]
async fn each_function_is_created_once_where_code_travels_ahead() {
    let mut conditions = conditions(5.0);
    // Long enough for a probe, the rehearsal and overlapping probes.
    set(&mut conditions, "eventual_s", "iam_role_assumable", 7.5);
    let cloud = Cloud::start().conditions(&conditions.to_string()).go();
    template::chat_without_handlers(&cloud);
    let calls = cloud.up().calls;
    let creates = calls.iter().filter(|call| call.operation == "CreateFunction");
    let (made, refused): (Vec<_>, Vec<_>) = creates.partition(|call| call.code.is_none());
    assert_eq!(made.len(), 4);
    let too_early = |code: Option<&str>| code == Some("InvalidParameterValueException");
    assert!(refused.len() > 4 && refused.iter().all(|call| too_early(call.code.as_deref())), "{refused:?}");
    same(&cloud.inventory().await, &without_conditions().await);
}

/// The timeline that a verb wrote; it must be of the whole run and contain every call.
fn timeline(cloud: &Cloud, verb: &str) -> String {
    let file = format!("{verb}.html");
    let run = cloud.wschat(&[verb, "--local", "--yes", "--timings", &file]).ok();
    let page = std::fs::read_to_string(cloud.folder().join(file)).unwrap();
    assert!(run.stderr.contains("Makespan ") && run.stderr.contains(&format!("Timeline: {verb}.html")));
    assert_eq!(page.matches("<div class=\"call").count(), run.calls.len(), "a bar a call");
    page
}

#[tokio::test]
async fn timelines_are_written() {
    let cloud = Cloud::start().go();
    template::echo_without_handler(&cloud);
    for verb in ["up", "down"] {
        let page = timeline(&cloud, verb);
        assert!(page.contains("<div class=\"lane on-path\"><div class=\"name\""), "no schedule in {page}");
        assert!(!page.contains("http"), "it needs something else: {page}");
    }
    // A timeline that cannot be written does not fail the run.
    let written_nowhere = |run: Run| assert!(run.stderr.contains("cannot write the timeline to missing/x.html"));
    for verb in ["up", "down"] {
        written_nowhere(cloud.wschat(&[verb, "--local", "--yes", "--timings", "missing/x.html"]).ok());
    }
}

#[tokio::test]
async fn json_output_has_one_event_a_line() {
    let cloud = Cloud::start().go();
    template::echo(&cloud);
    let lines = |arguments: &[&str]| -> Vec<Value> {
        let run = cloud.wschat(&[arguments, &["--local", "--json"]].concat()).ok();
        run.stdout.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    };
    let events = lines(&["up", "--yes"]);
    assert_eq!(events[0]["event"], "plan");
    let created = events.iter().filter(|event| event["event"] == "done" && event["action"] == "create");
    let steps = events[0]["steps"].as_array().unwrap().len();
    assert_eq!(created.count(), steps);
    let result = events.last().unwrap();
    assert_eq!(result["event"], "result");
    assert_eq!(result["uris"][0], result["outputs"]["Uri"]);

    let [status] = &lines(&["status"])[..] else { panic!("status is one line") };
    assert_eq!(status["healthy"], true);
    assert_eq!(status["uris"], result["uris"]);
    assert_eq!(status["resources"].as_array().unwrap().len(), steps);

    let events = lines(&["down", "--yes"]);
    assert!(events.iter().any(|event| event["event"] == "done" && event["action"] == "delete"), "{events:?}");
}
