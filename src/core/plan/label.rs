//! What resources are called where they have no logical id: by what they are, not by the id that AWS minted.

use std::borrow::Cow;

use super::{Action, Plan, Step};
use crate::core::types::{
    Live, alias, api, authorizer, deployment, foreign_permission, function, inline_policy, integration, log_group,
    managed_policy, permission, role, route, route_response, stage, table, version,
};

/// What people call a resource of each type.
const NOUNS: &[(&str, &str)] = &[
    (alias::TYPE, "alias"),
    (api::TYPE, "API"),
    (authorizer::TYPE, "authorizer"),
    (deployment::TYPE, "deployment"),
    (function::TYPE, "function"),
    (inline_policy::TYPE, "inline policy"),
    (integration::TYPE, "integration"),
    (log_group::TYPE, "log group"),
    (managed_policy::TYPE, "managed policy"),
    (foreign_permission::TYPE, "permission"),
    (permission::TYPE, "permission"),
    (role::TYPE, "role"),
    (route::TYPE, "route"),
    (route_response::TYPE, "route response"),
    (stage::TYPE, "stage"),
    (table::TYPE, "table"),
    (version::TYPE, "version"),
];

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
        let text = |property: &str| live.properties[property].as_str().unwrap_or_default();
        let noun = noun(live.type_name);
        match live.type_name {
            route::TYPE => format!("{noun} \"{}\"", text("RouteKey")),
            route_response::TYPE => match live.parent.as_deref().and_then(|id| self.there(route::TYPE, id)) {
                Some(route) => format!("response of {}", self.described(route)),
                None => format!("{noun} {}", live.physical_id),
            },
            integration::TYPE => match text("IntegrationUri").split_once("/functions/") {
                Some((_, arn)) => format!("{noun} of {}", self.function(arn.trim_end_matches("/invocations"))),
                None if text("IntegrationUri").is_empty() => format!("{noun} {}", text("IntegrationType")),
                None => format!("{noun} with {}", text("IntegrationUri")),
            },
            permission::TYPE | foreign_permission::TYPE => {
                format!("{noun} to invoke {}", self.function(text("FunctionName")))
            }
            deployment::TYPE => match &live.parent {
                Some(api) => format!("{noun} of {}", self.name_of(api::TYPE, api)),
                None => format!("{noun} {}", live.physical_id),
            },
            version::TYPE | alias::TYPE => match live.physical_id.split_once(':') {
                Some((function, name)) => format!("{noun} {name} of {}", self.function(function)),
                None => format!("{noun} {}", live.physical_id),
            },
            authorizer::TYPE if !text("Name").is_empty() => format!("{noun} {}", text("Name")),
            _ => format!("{noun} {}", live.physical_id),
        }
    }

    /// What calls a function, as its logical id.
    fn function<'a>(&'a self, called: &'a str) -> &'a str {
        self.name_of(function::TYPE, function::name_and_qualifier(called).0)
    }

    /// The logical id of a resource of this type and physical id, where the plan knows it.
    fn name_of<'a>(&'a self, type_name: &str, id: &'a str) -> &'a str {
        let is_it = |step: &&Step| step.type_name == type_name && step.physical_id.as_deref() == Some(id);
        self.steps.iter().find(is_it).map_or(id, |step| &step.name)
    }

    fn there(&self, type_name: &str, id: &str) -> Option<&Live> {
        let mut live = self.steps.iter().filter_map(|step| step.live.as_ref());
        live.find(|live| live.type_name == type_name && live.physical_id == id)
    }
}

/// What people call a resource of a type; the type's name for one without such a word.
fn noun(type_name: &str) -> &str {
    NOUNS.iter().find(|(known, _)| *known == type_name).map_or(type_name, |(_, noun)| noun)
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::core::types::TYPES;

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

    #[test]
    fn every_type_has_a_noun() {
        for kind in TYPES {
            assert!(NOUNS.iter().any(|(known, _)| *known == kind.type_name()), "{}", kind.type_name());
        }
    }
}
