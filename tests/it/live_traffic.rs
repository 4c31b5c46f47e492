//! Updates under live traffic: no socket is closed, and no message is lost, answered twice or answered with an error.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use crate::common::client::Client;
use crate::common::template::{self, Template};
use crate::common::{Cloud, eventually};

const CLIENTS: usize = 200;

/// An `up` takes a while, and functions are updating for a part of it.
const CONDITIONS: &str = r#"
    [latency_ms]
    default = 20
    [eventual_s]
    function_updating = 0.3
"#;

/// One client: it sends messages until told to stop, to a different route each time, and waits for each answer.
struct Talker {
    client: Client,
    /// How many of its messages were answered.
    answered: Arc<AtomicUsize>,
    stop: Arc<AtomicBool>,
}

impl Talker {
    /// Returns the last answer.
    async fn talk(mut self, number: usize) -> String {
        let mut last = String::new();
        // Clients start one after the other: a message that finds no free environment starts one.
        tokio::time::sleep(Duration::from_millis(3 * number as u64)).await;
        for turn in 0.. {
            if self.stop.load(Ordering::Relaxed) {
                break;
            }
            let route = ["ping", "$default"][turn % 2];
            last = self.ask(route, &format!("{number}-{turn}")).await;
            tokio::time::sleep(Duration::from_millis(250)).await;
        }
        assert_eq!(self.client.leave().await, [""; 0], "said to {number} unasked");
        last
    }

    async fn ask(&mut self, route: &str, mark: &str) -> String {
        self.client.say(&format!(r##"{{"action":"{route}","mark":"#{mark}#"}}"##)).await;
        let answer = self.client.hear().await;
        let tail = format!(" from {route} #{mark}");
        assert!(answer.ends_with(&tail), "{mark} was answered: {answer}");
        self.answered.fetch_add(1, Ordering::Relaxed);
        answer
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_hundred_clients_are_served_while_the_stack_changes() {
    let cloud = Cloud::start().conditions(CONDITIONS).go();
    let mut template = spacious(&cloud);
    let uri = cloud.up().uri();

    let stop = Arc::new(AtomicBool::new(false));
    let mut counts = Vec::new();
    let mut talkers = Vec::new();
    for number in 0..CLIENTS {
        let answered = Arc::new(AtomicUsize::new(0));
        counts.push(Arc::clone(&answered));
        let talker = Talker { client: Client::connect(&uri).await, answered, stop: Arc::clone(&stop) };
        talkers.push(tokio::spawn(talker.talk(number)));
    }
    let all = || counts.iter().map(|count| count.load(Ordering::Relaxed)).collect::<Vec<_>>();
    // Every client has had an answer since.
    let everyone_answered = async |since: Vec<usize>| {
        let is_so = async || all().iter().zip(&since).all(|(now, then)| now > then);
        eventually("every client is answered", is_so).await;
    };
    everyone_answered(vec![0; CLIENTS]).await;

    let up = async |what: &str, mutations: &[&str]| {
        let before = all();
        let run = tokio::task::block_in_place(|| cloud.up());
        let meanwhile = all().iter().sum::<usize>() - before.iter().sum::<usize>();
        println!("{what}: {meanwhile} answers meanwhile");
        assert!(meanwhile > 0, "no message was answered while {what} changed");
        for mutation in mutations {
            assert!(run.count(mutation) > 0, "{what} made no {mutation}: {:?}", run.mutations());
        }
        everyone_answered(all()).await;
    };
    template::echo_code(&cloud, "goodbye");
    up("code", &["lambda.UpdateFunctionCode"]).await;

    template.set("PingIntegration.TimeoutInMillis", 6000.into());
    template.set("PingRoute.OperationName", "Pong".into());
    template.save(&cloud);
    up("routes", &["apigatewayv2.CreateIntegration", "apigatewayv2.CreateDeployment", "apigatewayv2.UpdateStage"])
        .await;

    template.set("Echo.MemorySize", 512.into());
    template.save(&cloud);
    up("memory", &["lambda.UpdateFunctionConfiguration"]).await;

    stop.store(true, Ordering::Relaxed);
    let mut failed = Vec::new();
    for (number, talker) in talkers.into_iter().enumerate() {
        match talker.await {
            Ok(last) => assert!(last.starts_with("goodbye! from "), "{number} hears old code: {last}"),
            Err(error) => failed.push(format!("{number}: {error}")),
        }
    }
    println!("{} answers in all", all().iter().sum::<usize>());
    assert_eq!(failed, [""; 0]);
}

/// The echo template without its limits for concurrent clients.
fn spacious(cloud: &Cloud) -> Template {
    let mut template = template::echo(cloud);
    template.remove("Echo.ReservedConcurrentExecutions");
    template.remove("Stage.DefaultRouteSettings");
    // Two hundred clients may get little of the processor.
    template.set("PingIntegration.TimeoutInMillis", 28_000.into());
    template.set("Echo.Timeout", 29.into());
    template.save(cloud);
    template
}
