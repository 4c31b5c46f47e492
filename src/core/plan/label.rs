//! What resources are called where they have no logical id: by what they are, not by the id that AWS minted.

use std::borrow::Cow;

use super::{Action, Plan, Step};
use crate::core::types::{self, Live, Names};

impl Plan {
    /// What a step's resource is called: its logical id, or for what goes without having one, what it is
    /// (`route "sendmessage"`, `integration of Connect`).
    pub fn label<'a>(&self, step: &'a Step) -> Cow<'a, str> {
        match &step.live {
            Some(live) if matches!(step.action, Action::Delete | Action::Retain) && step.name == live.physical_id => {
                self.described(live).into()
            }
            _ => step.name.as_str().into(),
        }
    }

    /// The same in a sentence, with what AWS calls it: `route "sendmessage" (ihmzptz)`, `table Rows (app-Rows-1a2b3c4d)`.
    pub fn in_words(&self, step: &Step) -> String {
        let label = self.label(step);
        let label = if label == step.name { format!("{} {label}", noun(step.type_name)) } else { label.into_owned() };
        match &step.physical_id {
            Some(id) if !label.ends_with(id.as_str()) => format!("{label} ({id})"),
            _ => label,
        }
    }

    /// What something of AWS's is, by its properties.
    fn described(&self, live: &Live) -> String {
        let told = types::kind(live.type_name).and_then(|kind| kind.described(live, self));
        told.unwrap_or_else(|| format!("{} {}", noun(live.type_name), live.physical_id))
    }
}

impl Names for Plan {
    fn logical_id<'a>(&'a self, type_name: &str, physical_id: &'a str) -> &'a str {
        let is_it = |step: &&Step| step.type_name == type_name && step.physical_id.as_deref() == Some(physical_id);
        self.steps.iter().find(is_it).map_or(physical_id, |step| &step.name)
    }

    fn described(&self, type_name: &str, physical_id: &str) -> Option<String> {
        let mut live = self.steps.iter().filter_map(|step| step.live.as_ref());
        live.find(|live| live.type_name == type_name && live.physical_id == physical_id)
            .map(|live| self.described(live))
    }
}

/// What people call a resource of a type; the type's name for one that is not registered.
fn noun(type_name: &'static str) -> &'static str {
    types::kind(type_name).map_or(type_name, |kind| kind.noun())
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::core::types::{
        api, deployment, function, integration, log_group, permission, route, route_response, table, version,
    };

    fn going(type_name: &'static str, id: &str, parent: &str, properties: Value) -> Step {
        Step::on(&Live::new(type_name, id, properties).below(parent), Action::Delete)
    }

    #[test]
    fn what_goes_is_called_what_it_is() {
        let api = Live { logical_id: Some("Chat".to_owned()), ..Live::new(api::TYPE, "xfpy", json!({})) };
        let connect =
            Live { logical_id: Some("Connect".to_owned()), ..Live::new(function::TYPE, "app-Connect-1a", json!({})) };
        let table = Live { logical_id: Some("Rows".to_owned()), ..Live::new(table::TYPE, "app-Rows-1a", json!({})) };
        let uri = "arn:aws:apigateway:eu-west-1:lambda:path/2015-03-31/functions/\
                   arn:aws:lambda:eu-west-1:123456789012:function:app-Connect-1a/invocations";
        let cases = [
            (going(route::TYPE, "ihm", "xfpy", json!({"RouteKey": "say"})), "route \"say\"", "route \"say\" (ihm)"),
            (
                going(route_response::TYPE, "rr", "ihm", json!({})),
                "response of route \"say\"",
                "response of route \"say\" (rr)",
            ),
            (
                going(integration::TYPE, "int", "xfpy", json!({"IntegrationUri": uri})),
                "integration of Connect",
                "integration of Connect (int)",
            ),
            (
                going(integration::TYPE, "htp", "xfpy", json!({"IntegrationUri": "https://example.com"})),
                "integration with https://example.com",
                "integration with https://example.com (htp)",
            ),
            (
                going(permission::TYPE, "P-1a", "app-Connect-1a", json!({"FunctionName": "app-Connect-1a"})),
                "permission to invoke Connect",
                "permission to invoke Connect (P-1a)",
            ),
            (going(deployment::TYPE, "ve7", "xfpy", json!({})), "deployment of Chat", "deployment of Chat (ve7)"),
            (
                going(version::TYPE, "app-Connect-1a:3", "app-Connect-1a", json!({})),
                "version 3 of Connect",
                "version 3 of Connect (app-Connect-1a:3)",
            ),
            (
                going(log_group::TYPE, "/aws/lambda/app-Old-1a", "", json!({})),
                "log group /aws/lambda/app-Old-1a",
                "log group /aws/lambda/app-Old-1a",
            ),
            (
                going(log_group::TYPE, "/aws/lambda/app-Connect-1a", "", json!({})),
                "log group of Connect",
                "log group of Connect (/aws/lambda/app-Connect-1a)",
            ),
            (Step::on(&table, Action::Delete), "Rows", "table Rows (app-Rows-1a)"),
        ];
        let mut plan = Plan::default();
        plan.steps.extend([Step::on(&api, Action::Keep), Step::on(&connect, Action::Keep)]);
        plan.steps.extend(cases.iter().map(|(step, ..)| step.clone()));
        for (step, label, words) in &cases {
            assert_eq!(plan.label(step), *label);
            assert_eq!(plan.in_words(step), *words);
        }
    }
}
