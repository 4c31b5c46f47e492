//! What keeps a CloudFormation stack from being taken over, as far as CloudFormation tells: all of it at once.

use std::collections::BTreeMap;

use crate::aws::cloudformation::{FormedResource, FormedStack};
use crate::core::iam::evaluate::{Verdict, verdict};
use crate::core::iam::need::Need;
use crate::core::template::expand::same_as;
use crate::core::types::{self, custom_resource};

/// What stands in the way, and what to do about it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Obstacle {
    /// A sentence without a full stop.
    pub what: String,
    pub help: String,
}

impl Obstacle {
    pub(super) fn new(what: impl Into<String>, help: impl Into<String>) -> Self {
        Self { what: what.into(), help: help.into() }
    }
}

/// States in which a stack is whole. (CloudFormation user guide, "Stack status codes".)
const WHOLE: &[&str] =
    &["CREATE_COMPLETE", "IMPORT_COMPLETE", "IMPORT_ROLLBACK_COMPLETE", "UPDATE_COMPLETE", "UPDATE_ROLLBACK_COMPLETE"];

/// The type of a stack within a stack.
const NESTED: &str = "AWS::CloudFormation::Stack";

/// All that stands in the way. `importers` are the stacks that import each of its exports, `retained` says that an earlier run has made
/// CloudFormation let go of its resources.
pub fn find(
    stack: &FormedStack,
    resources: &[FormedResource],
    policy: Option<&str>,
    importers: &BTreeMap<String, Vec<String>>,
    retained: bool,
) -> Vec<Obstacle> {
    let name = &stack.name;
    let mut found = Vec::new();
    // A deletion that failed is begun again.
    let is_whole = WHOLE.contains(&stack.status.as_str()) || retained && stack.status == "DELETE_FAILED";
    if !is_whole {
        let why = stack.status_reason.as_ref().map(|why| format!(" ({why})")).unwrap_or_default();
        found.push(Obstacle::new(
            format!("the stack is in the state {}{why}", stack.status),
            "bring it into a state that ends in _COMPLETE first, with the tool that made it",
        ));
    }
    if stack.is_protected {
        found.push(Obstacle::new(
            "the stack has termination protection",
            format!("aws cloudformation update-termination-protection --no-enable-termination-protection --stack-name {name}"),
        ));
    }
    if let Some(parent) = &stack.parent {
        let parent = parent.split('/').nth(1).unwrap_or(parent);
        found.push(Obstacle::new(
            format!("the stack is nested in the stack {parent}"),
            "nested stacks cannot be taken over yet: bring their resources into one template first",
        ));
    }
    let is_kept_from_updates = |one: &&FormedResource| policy.is_some_and(|policy| !may_be_modified(policy, one));
    let protected: Vec<&str> =
        resources.iter().filter(is_kept_from_updates).map(|one| one.logical_id.as_str()).collect();
    if !protected.is_empty() {
        found.push(Obstacle::new(
            format!("its stack policy does not let these be modified: {}", protected.join(", ")),
            format!(
                "let everything be modified: aws cloudformation set-stack-policy --stack-name {name} --stack-policy-body \
                 '{{\"Statement\": [{{\"Effect\": \"Allow\", \"Action\": \"Update:*\", \"Principal\": \"*\", \"Resource\": \"*\"}}]}}'"
            ),
        ));
    }
    for (export, by) in importers.iter().filter(|(_, by)| !by.is_empty()) {
        found.push(Obstacle::new(
            format!("its export {export} is imported by {}", by.join(", ")),
            "CloudFormation deletes no stack whose exports are in use: put the value itself into those stacks first",
        ));
    }
    let mut unknown: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    for resource in resources.iter().filter(|one| !same_as::is_nothing(&one.type_name)) {
        if resource.type_name == NESTED {
            found.push(Obstacle::new(
                format!("{} is a nested stack", resource.logical_id),
                "nested stacks cannot be taken over yet: bring their resources into one template first",
            ));
        } else if custom_resource::kind(&resource.type_name).is_some() {
            found.push(Obstacle::new(
                format!("{} ({}) is a custom resource, whose state CloudFormation alone has", resource.logical_id, resource.type_name),
                "move it into a stack of its own first, or take it out of the template with the tool that made the stack",
            ));
        } else if types::kind(same_as::here(&resource.type_name)).is_none() {
            unknown.entry(&resource.type_name).or_default().push(&resource.logical_id);
        } else if resource.physical_id.is_empty() {
            found.push(Obstacle::new(
                format!("{} is in the state {}, and has no id", resource.logical_id, resource.status),
                "repair the stack first, with the tool that made it",
            ));
        }
    }
    found.extend(unknown.into_iter().map(|(type_name, ids)| {
        Obstacle::new(
            format!("wschat does not deploy {type_name} ({})", ids.join(", ")),
            "move it into a stack of its own first (docs/template.md has the types that are supported)",
        )
    }));
    found
}

/// Whether a stack policy lets an update modify a resource: taking over sets deletion policies, and replaces and deletes nothing. (User
/// guide, "Prevent updates to stack resources": what is not allowed is denied.)
fn may_be_modified(policy: &str, resource: &FormedResource) -> bool {
    let need = Need::new("Update:Modify", format!("LogicalResourceId/{}", resource.logical_id));
    verdict([policy], &need.with("ResourceType", &resource.type_name)) == Verdict::Allowed
}

#[cfg(test)]
mod tests {
    use super::*;

    fn resource(logical_id: &str, type_name: &str) -> FormedResource {
        FormedResource {
            logical_id: logical_id.to_owned(),
            physical_id: format!("chat-{logical_id}-AB12CD34"),
            type_name: type_name.to_owned(),
            status: "CREATE_COMPLETE".to_owned(),
            since: 0,
        }
    }

    fn found(stack: FormedStack, resources: &[FormedResource], policy: Option<&str>) -> Vec<String> {
        let importers = [("url".to_owned(), vec!["web".to_owned()]), ("free".to_owned(), Vec::new())].into();
        find(&stack, resources, policy, &importers, false).into_iter().map(|obstacle| obstacle.what).collect()
    }

    #[test]
    fn all_obstacles_are_told_at_once() {
        let stack = FormedStack {
            name: "chat".to_owned(),
            status: "UPDATE_ROLLBACK_FAILED".to_owned(),
            is_protected: true,
            parent: Some("arn:aws:cloudformation:eu-west-1:1:stack/outer/1".to_owned()),
            ..FormedStack::default()
        };
        let mut unmade = resource("Unmade", "AWS::DynamoDB::Table");
        unmade.physical_id.clear();
        let resources = [
            resource("Table", "AWS::DynamoDB::Table"),
            resource("Queues", "AWS::SQS::QueuePolicy"),
            resource("Meta", "AWS::CDK::Metadata"),
            resource("Inner", "AWS::CloudFormation::Stack"),
            resource("Wait", "AWS::CloudFormation::WaitConditionHandle"),
            resource("Seed", "Custom::Seed"),
            unmade,
        ];
        let all = found(stack, &resources, Some(r#"{"Statement": []}"#));
        let begins = [
            "the stack is in the state UPDATE_ROLLBACK_FAILED",
            "the stack has termination protection",
            "the stack is nested in the stack outer",
            "its stack policy does not let these be modified: Table, Queues",
            "its export url is imported by web",
            "Inner is a nested stack",
            "Seed (Custom::Seed) is a custom resource",
            "Unmade is in the state CREATE_COMPLETE, and has no id",
            "wschat does not deploy AWS::CloudFormation::WaitConditionHandle (Wait)",
        ];
        assert_eq!(all.len(), begins.len(), "{all:#?}");
        for (told, begin) in all.iter().zip(begins) {
            assert!(told.starts_with(begin), "{told}");
        }
    }

    #[test]
    fn a_whole_stack_has_none() {
        let stack = |status: &str| FormedStack { status: status.to_owned(), ..FormedStack::default() };
        let none = BTreeMap::new();
        let resources = [resource("Table", "AWS::DynamoDB::Table")];
        for (status, retained, expected) in [
            ("UPDATE_COMPLETE", false, 0),
            ("IMPORT_COMPLETE", false, 0),
            ("ROLLBACK_COMPLETE", false, 1),
            ("REVIEW_IN_PROGRESS", false, 1),
            ("DELETE_FAILED", false, 1),
            ("DELETE_FAILED", true, 0),
        ] {
            assert_eq!(find(&stack(status), &resources, None, &none, retained).len(), expected, "{status}");
        }
    }

    #[test]
    fn a_stack_policy_stands_in_the_way_of_what_it_protects_from_modification() {
        let all = r#"{"Effect": "Allow", "Action": "Update:*", "Principal": "*", "Resource": "*"}"#;
        let with = |action: &str, resource: &str| {
            let on = r#""Principal": "*", "Condition": {"StringEquals": {"ResourceType": ["AWS::DynamoDB::Table"]}}"#;
            let deny = format!(r#"{{"Effect": "Deny", "Action": {action}, "Resource": "{resource}", {on}}}"#);
            format!(r#"{{"Statement": [{all}, {deny}]}}"#)
        };
        let resources = [resource("Rows", "AWS::DynamoDB::Table"), resource("Send", "AWS::Lambda::Function")];
        let stack = FormedStack { status: "UPDATE_COMPLETE".to_owned(), ..FormedStack::default() };
        for (policy, protected) in [
            (format!(r#"{{"Statement": {all}}}"#), None),
            (with(r#"["Update:Replace", "Update:Delete"]"#, "*"), None),
            (with(r#""Update:*""#, "*"), Some("Rows")),
            (with(r#""Update:Modify""#, "LogicalResourceId/Ro*"), Some("Rows")),
            (with(r#""Update:*""#, "LogicalResourceId/Send"), None),
            (r#"{"Statement": []}"#.to_owned(), Some("Rows, Send")),
            ("nonsense".to_owned(), Some("Rows, Send")),
        ] {
            let told = find(&stack, &resources, Some(&policy), &BTreeMap::new(), false);
            let told: Vec<&str> = told.iter().map(|one| one.what.as_str()).collect();
            let expected = protected.map(|ids| format!("its stack policy does not let these be modified: {ids}"));
            assert_eq!(told, expected.as_deref().into_iter().collect::<Vec<_>>(), "{policy}");
        }
    }
}
