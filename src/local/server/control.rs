//! What `wschat dev` asks of the process beside AWS's own operations: to start new code of a function at once, under a debugger
//! if it is told so, to restart a function, and how many sockets are open.

use std::path::PathBuf;
use std::sync::Arc;

use serde_json::json;

use crate::local::apigateway::ApiGateway;
use crate::local::lambda::Lambda;
use crate::local::protocol::wire::{Request, Response};

/// Where a function is attended to: `POST`, with `region`, `name` and `what` in the query.
pub const FUNCTIONS: &str = "/_wschat/functions";

/// Where the open sockets are counted: `GET`.
pub const SOCKETS: &str = "/_wschat/sockets";

/// The services that are controlled.
pub struct Control {
    lambda: Arc<Lambda>,
    gateway: Arc<ApiGateway>,
}

impl Control {
    /// Controls these services.
    pub fn new(lambda: Arc<Lambda>, gateway: Arc<ApiGateway>) -> Self {
        Self { lambda, gateway }
    }

    /// The answer to a request of who has the process's token; `None` where it is for something else.
    pub fn answer(&self, request: &Request) -> Option<Response> {
        match (request.method.as_str(), request.path.as_str()) {
            ("GET", SOCKETS) => Some(Response::json(200, &self.gateway.open_sockets())),
            ("POST", FUNCTIONS) => Some(self.attend(request)),
            _ => None,
        }
    }

    fn attend(&self, request: &Request) -> Response {
        let (Some(region), Some(name), Some(what)) =
            (request.query("region"), request.query("name"), request.query("what"))
        else {
            return Response::json(400, &json!({ "message": "region, name and what are missing" }));
        };
        match what {
            "attend" => {
                let inspect = request.query("inspect").and_then(|port| port.parse().ok());
                let modules = request.query("modules").map(PathBuf::from);
                self.lambda.attend(region, name, inspect, modules);
            }
            "leave" => self.lambda.attend_no_more(region, name),
            "restart" => self.lambda.restart(region, name),
            _ => return Response::json(400, &json!({ "message": "what is attend, leave or restart" })),
        }
        Response::json(200, &json!({}))
    }
}
