//! The number of sequential round trips that reading a stack takes.

use crate::common::call_name::Name;
use crate::common::proxy::{Fault, ProxiedRun, QUIET};
use crate::common::{Cloud, template};

fn is_read_in(deepest: usize, put_template: impl Fn(&Cloud)) {
    let cloud = Cloud::start().go();
    put_template(&cloud);
    cloud.through().run(&["up", "--yes"]).run.ok();
    cloud.is_read_in(deepest, &["up", "--yes"]);
    cloud.is_read_in(deepest, &["status"]);
}

#[test]
fn the_chat_stack_is_read_in_two_round_trips() {
    is_read_in(2, template::chat_without_handlers);
}

/// Listing the responses of a route needs the route's id, and that needs the API's id.
#[test]
fn route_responses_take_a_third() {
    is_read_in(3, |cloud| {
        let mut template = template::echo_without_handler(cloud);
        for gone in ["EchoVersion", "EchoLive", "LivePermission"] {
            template.remove(gone);
        }
        let uri = template.get("DefaultIntegration.IntegrationUri").clone();
        template.set("PingIntegration.IntegrationUri", uri);
        template.save(cloud);
    });
}

/// So does listing the responses of an integration that is not a proxy.
#[test]
fn integration_responses_take_a_third() {
    is_read_in(3, |cloud| drop(template::gateway(cloud)));
}

/// A function's tags tell that it has aliases; only then can the aliases' policies be read.
#[test]
fn policies_of_aliases_take_a_fourth() {
    is_read_in(4, |cloud| drop(template::echo_without_handler(cloud)));
}

/// Without the permission to read the account's details, that call is rejected first; then every role is read by its name,
/// and then its inline policies.
#[test]
fn roles_read_by_name_take_a_third() {
    let cloud = Cloud::start().go();
    template::chat_without_handlers(&cloud);
    cloud.through().run(&["up", "--yes"]).run.ok();
    let whole = cloud.through().run(&["status"]);
    whole.run.ok();
    let refused = Fault::refuse(403, "AccessDenied", "not authorized to perform: iam:GetAccountAuthorizationDetails");
    let script = move |call: &Name| (call.operation == "GetAccountAuthorizationDetails").then(|| refused.clone());
    let ProxiedRun { run, calls, rounds } = cloud.through().in_rounds(QUIET).script(script).run(&["status"]);
    run.ok();
    let names: Vec<String> = calls.iter().map(|call| call.name.to_string()).collect();
    assert!(rounds <= 3, "{rounds} round trips: {names:#?}");
    // Four roles: a call for the list, and for each role four calls instead of one.
    assert_eq!(calls.len(), whole.calls.len() + 1 + 3 * 4, "{names:#?}");
}
