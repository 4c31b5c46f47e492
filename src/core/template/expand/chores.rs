//! Custom resources that other tools bring for chores of CloudFormation's, and what stands for them here.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use super::super::{LeftOut, Resource, Template, intrinsics};
use crate::core::words::{Path, Step};

/// The CDK's resource that sets the retention of a function's log group, from before log groups could be resources.
const LOG_RETENTION: &str = "Custom::LogRetention";

/// The Serverless Framework's resource that gives the region's API Gateway a role to write logs with.
const ACCOUNT_ROLE: &str = "Custom::ApiGatewayAccountRole";

impl Template {
    /// The template with the CDK's log retentions as log groups, and without the Serverless Framework's role for the whole
    /// account, which a stack of one application must not set (`plan` asks whether there is one). The functions behind them
    /// are left out where nothing else refers to them, with their roles.
    #[must_use]
    pub fn with_chores(mut self) -> Self {
        let of_type = |template: &Self, type_name: &str| -> BTreeSet<String> {
            let found = template.resources.iter().filter(|(_, resource)| resource.type_name == type_name);
            found.map(|(id, _)| id.clone()).collect()
        };
        let mut behind = BTreeSet::new();
        for id in of_type(&self, LOG_RETENTION) {
            let Some(resource) = self.resources.get_mut(&id) else { continue };
            // One of another region has no place in this stack.
            if resource.properties.contains_key("LogGroupRegion") {
                continue;
            }
            behind.extend(resource.properties.get("ServiceToken").and_then(intrinsics::referred).map(str::to_owned));
            as_log_group(resource);
            let attribute = json!({ "Fn::GetAtt": [id, "LogGroupName"] });
            let reference = json!({ "Ref": id });
            for value in self.values_mut() {
                replace(value, &attribute, &reference);
            }
        }
        for id in of_type(&self, ACCOUNT_ROLE) {
            if let Some(resource) = self.resources.remove(&id) {
                behind
                    .extend(resource.properties.get("ServiceToken").and_then(intrinsics::referred).map(str::to_owned));
                self.left_out.push(LeftOut {
                    path: Path(vec![Step::Key("Resources".to_owned()), Step::Key(id)]),
                    what: "this gives the API Gateway of the whole account a role to log with, which outlives the stack: it is left \
                           out, and `wschat plan` says whether there is one",
                });
            }
        }
        self.remove_unused(behind);
        self
    }

    /// Removes these resources where nothing refers to them, and then what only they referred to: a function, its role, the
    /// policy of that.
    fn remove_unused(&mut self, mut candidates: BTreeSet<String>) {
        while let Some(id) = candidates.pop_first() {
            let Some(resource) = self.resources.get(&id) else { continue };
            // A policy names its role, and goes with it.
            let of_policy = |other: &Resource| {
                other.type_name == "AWS::IAM::Policy"
                    && other.properties.get("Roles").is_some_and(|roles| mentions(roles, &id))
            };
            let uses = |(name, other): &(&String, &Resource)| {
                **name != id
                    && !of_policy(other)
                    && (mentions_in(other, &id) || other.dependencies().iter().any(|one| *one == id))
            };
            if self.resources.iter().any(|one| uses(&one))
                || self.outputs.values().any(|output| mentions(&output.value, &id))
            {
                continue;
            }
            let policies: Vec<String> =
                self.resources.iter().filter(|(_, other)| of_policy(other)).map(|(name, _)| name.clone()).collect();
            let roles = resource.properties.get("Role").and_then(intrinsics::referred).map(str::to_owned);
            self.resources.remove(&id);
            for policy in policies {
                self.resources.remove(&policy);
            }
            candidates.extend(roles);
        }
    }

    /// All values that may refer to resources.
    fn values_mut(&mut self) -> impl Iterator<Item = &mut Value> {
        let properties = self.resources.values_mut().flat_map(|resource| resource.properties.values_mut());
        properties.chain(self.outputs.values_mut().map(|output| &mut output.value))
    }
}

fn as_log_group(resource: &mut Resource) {
    resource.type_name = "AWS::Logs::LogGroup".to_owned();
    resource.properties.retain(|name, _| ["LogGroupName", "RetentionInDays"].contains(&name.as_str()));
    // It is a number there, and a text in what calls a function.
    if let Some(days) =
        resource.properties.get("RetentionInDays").and_then(Value::as_str).and_then(|days| days.parse::<u64>().ok())
    {
        resource.properties.insert("RetentionInDays".to_owned(), days.into());
    }
    resource.depends_on = None;
}

fn mentions_in(resource: &Resource, id: &str) -> bool {
    resource.properties.values().any(|value| mentions(value, id))
}

/// Whether a logical id stands in a value, alone or in the text of a `Fn::Sub`.
fn mentions(value: &Value, id: &str) -> bool {
    match value {
        Value::String(text) => text.contains(id),
        Value::Array(items) => items.iter().any(|item| mentions(item, id)),
        Value::Object(entries) => entries.values().any(|value| mentions(value, id)),
        _ => false,
    }
}

fn replace(value: &mut Value, from: &Value, to: &Value) {
    if value == from {
        *value = to.clone();
        return;
    }
    match value {
        Value::Array(items) => items.iter_mut().for_each(|item| replace(item, from, to)),
        Value::Object(entries) => entries.values_mut().for_each(|value| replace(value, from, to)),
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::super::super::parse;

    const TEMPLATE: &str = r#"{"Resources": {
        "Chat": {"Type": "AWS::Lambda::Function", "Properties": {"Environment": {"Variables": {"LOG": {"Fn::GetAtt": ["ChatLogRetention1", "LogGroupName"]}}}}},
        "ChatLogRetention1": {"Type": "Custom::LogRetention", "Properties": {
            "ServiceToken": {"Fn::GetAtt": ["LogRetentionaaeFn", "Arn"]},
            "LogGroupName": {"Fn::Join": ["", ["/aws/lambda/", {"Ref": "Chat"}]]},
            "RetentionInDays": "7", "SdkRetry": {"maxRetries": 7}
        }},
        "LogRetentionaaeRole": {"Type": "AWS::IAM::Role"},
        "LogRetentionaaePolicy": {"Type": "AWS::IAM::Policy", "Properties": {"Roles": [{"Ref": "LogRetentionaaeRole"}]}},
        "LogRetentionaaeFn": {"Type": "AWS::Lambda::Function", "DependsOn": ["LogRetentionaaePolicy", "LogRetentionaaeRole"],
            "Properties": {"Role": {"Fn::GetAtt": ["LogRetentionaaeRole", "Arn"]}}},
        "AccountRole": {"Type": "Custom::ApiGatewayAccountRole", "Properties": {"ServiceToken": {"Fn::GetAtt": ["CwRole", "Arn"]}}},
        "CwRole": {"Type": "AWS::Lambda::Function", "Properties": {"Role": {"Fn::GetAtt": ["Shared", "Arn"]}}},
        "Shared": {"Type": "AWS::IAM::Role"},
        "Other": {"Type": "AWS::Lambda::Function", "Properties": {"Role": {"Fn::GetAtt": ["Shared", "Arn"]}}}
    }}"#;

    #[test]
    fn chores_are_done_without_the_functions_that_other_tools_bring() {
        let template = parse(TEMPLATE.as_bytes()).unwrap().with_chores();
        let left: Vec<&str> = template.resources.keys().map(String::as_str).collect();
        assert_eq!(left, ["Chat", "ChatLogRetention1", "Other", "Shared"]);
        let group = &template.resources["ChatLogRetention1"];
        assert_eq!(group.type_name, "AWS::Logs::LogGroup");
        assert_eq!(group.properties["RetentionInDays"], 7);
        assert_eq!(group.properties.len(), 2);
        let variables = &template.resources["Chat"].properties["Environment"]["Variables"];
        assert_eq!(*variables, serde_json::json!({"LOG": {"Ref": "ChatLogRetention1"}}));
        assert_eq!(template.left_out[0].path.to_string(), "Resources/AccountRole");
    }

    #[test]
    fn a_function_that_others_use_stays() {
        let text = TEMPLATE.replace(r#""Other": {"#, r#""Again": {"Type": "Custom::Thing", "Properties": {"ServiceToken": {"Fn::GetAtt": ["LogRetentionaaeFn", "Arn"]}}}, "Other": {"#);
        let template = parse(text.as_bytes()).unwrap().with_chores();
        assert!(
            template.resources.contains_key("LogRetentionaaeFn")
                && template.resources.contains_key("LogRetentionaaePolicy")
        );
        let elsewhere = TEMPLATE.replace(r#""RetentionInDays""#, r#""LogGroupRegion": "eu-west-1", "RetentionInDays""#);
        let template = parse(elsewhere.as_bytes()).unwrap().with_chores();
        assert_eq!(template.resources["ChatLogRetention1"].type_name, "Custom::LogRetention");
    }
}
