//! Types that say of several resources what other types say of each one, and which those take the place of: Cloud Control, and what
//! wschat knows of a role, have the others alone.

use serde_json::{Map, Value};

use super::super::{Resource, Template};
use crate::core::words::{Path, Problem, ProblemKind};

/// One policy that a type gives to several resources.
struct Several {
    type_name: &'static str,
    /// The property with the resources.
    property: &'static str,
    /// The type that gives one policy to one resource, and its property for that.
    one: (&'static str, &'static str),
}

/// (CloudFormation template reference: `AWS::SQS::QueueInlinePolicy`, `AWS::SNS::TopicInlinePolicy`.)
const SEVERAL: &[Several] = &[
    Several { type_name: "AWS::SQS::QueuePolicy", property: "Queues", one: ("AWS::SQS::QueueInlinePolicy", "Queue") },
    Several {
        type_name: "AWS::SNS::TopicPolicy",
        property: "Topics",
        one: ("AWS::SNS::TopicInlinePolicy", "TopicArn"),
    },
];

/// A policy in a role, as a type of its own (template reference, `AWS::IAM::RolePolicy`) and as the one that wschat has.
const ROLE_POLICY: (&str, &str) = ("AWS::IAM::RolePolicy", "AWS::IAM::Policy");

/// The type that wschat has in the place of a type of CloudFormation's; the same one where it has that.
pub fn here(type_name: &str) -> &str {
    let several = SEVERAL.iter().map(|several| (several.type_name, several.one.0));
    several.chain([ROLE_POLICY]).find(|(theirs, _)| *theirs == type_name).map_or(type_name, |(_, ours)| ours)
}

/// What one resource of a type that gives a policy to several is here: the logical id and the properties of each. `is_taken` says of a
/// logical id that a resource of the template has it. `None` for other types.
pub fn singles(
    type_name: &str,
    id: &str,
    properties: &Value,
    is_taken: impl Fn(&str) -> bool,
) -> Option<Vec<(String, Value)>> {
    let several = SEVERAL.iter().find(|several| several.type_name == type_name)?;
    let mut singles: Vec<(String, Value)> = Vec::new();
    for (index, one) in properties[several.property].as_array()?.iter().enumerate() {
        let is_used = |name: &str| is_taken(name) || singles.iter().any(|(used, _)| used == name);
        let name = if index == 0 { id.to_owned() } else { free(id, index + 1, is_used) };
        singles.push((name, Value::from_iter([(several.one.1, one.clone())])));
    }
    Some(singles)
}

/// A logical id with the first number from `from` on with which it is free.
fn free(id: &str, from: usize, is_taken: impl Fn(&str) -> bool) -> String {
    (from..).map(|number| format!("{id}{number}")).find(|name| !is_taken(name)).unwrap_or_default()
}

/// Whether a type tells AWS which tool wrote a template, and describes nothing.
pub fn is_nothing(type_name: &str) -> bool {
    type_name == "AWS::CDK::Metadata"
}

impl Template {
    /// The template with one policy for each queue, topic and role. The first keeps the logical id, the others get a number.
    #[must_use]
    pub fn with_single_policies(mut self) -> Self {
        let ids: Vec<String> = self.resources.keys().cloned().collect();
        for id in ids {
            let Some(resource) = self.resources.get(&id) else { continue };
            if resource.type_name == ROLE_POLICY.0 {
                self.of_role(&id);
            } else if let Some(several) = SEVERAL.iter().find(|several| several.type_name == resource.type_name) {
                self.split(&id, several);
            }
        }
        self
    }

    fn split(&mut self, id: &str, several: &Several) {
        let Some(resource) = self.resources.get(id).cloned() else { return };
        let properties = Path::default().key("Resources").key(id).key("Properties");
        let (type_name, property) = several.one;
        let named = match resource.properties.get(several.property) {
            Some(Value::Array(named)) if !named.is_empty() => named.clone(),
            given => {
                let problem = match given {
                    None => {
                        let what = format!("missing property \"{}\" of {}", several.property, several.type_name);
                        Problem::new(properties, what).kind(ProblemKind::Missing)
                    }
                    Some(_) => {
                        let what = format!("{} must be a list, written out", several.property);
                        Problem::new(properties.key(several.property), what).kind(ProblemKind::IllTyped)
                    }
                };
                self.problems.push(problem);
                self.resources.remove(id);
                self.broken.insert(id.to_owned());
                return;
            }
        };
        let mut others = Vec::new();
        for (index, one) in named.into_iter().enumerate() {
            let name = if index == 0 { id.to_owned() } else { self.free_id(id, index + 1) };
            let mut rest: Map<String, Value> = resource.properties.clone();
            rest.shift_remove(several.property);
            rest.insert(property.to_owned(), one);
            let path = Path::default().key("Resources").key(&name);
            if index > 0 {
                let written = self.origins.trace(&Path::default().key("Resources").key(id));
                self.origins.note(path.clone(), written);
                others.push(name.clone());
            }
            let written = self.origins.trace(&properties.key(several.property)).index(index);
            self.origins.note(path.key("Properties").key(property), written);
            self.resources
                .insert(name, Resource { type_name: type_name.to_owned(), properties: rest, ..resource.clone() });
        }
        // Who waits for the policy waits for all of it.
        for waiting in self.resources.values_mut() {
            if waiting.depends_on.is_none() {
                continue;
            }
            let mut names = waiting.dependencies();
            if names.iter().any(|name| name == id) {
                names.extend(others.iter().map(|other| Value::from(other.as_str())));
            }
            waiting.depends_on = Some(if names.len() == 1 { names.remove(0) } else { names.into() });
        }
    }

    fn free_id(&self, id: &str, from: usize) -> String {
        free(id, from, |name| self.resources.contains_key(name))
    }

    fn of_role(&mut self, id: &str) {
        let Some(resource) = self.resources.get_mut(id) else { return };
        resource.type_name = ROLE_POLICY.1.to_owned();
        if let Some(role) = resource.properties.shift_remove("RoleName") {
            resource.properties.insert("Roles".to_owned(), Value::Array(vec![role]));
            let properties = Path::default().key("Resources").key(id).key("Properties");
            let written = self.origins.trace(&properties.key("RoleName"));
            self.origins.note(properties.key("Roles").index(0), written);
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::super::parse;

    #[test]
    fn a_policy_of_several_is_one_of_each() {
        let text = json!({"Resources": {
            "A": {"Type": "AWS::SQS::Queue"},
            "Policy2": {"Type": "AWS::SQS::Queue", "DependsOn": "Policy"},
            "Policy": {"Type": "AWS::SQS::QueuePolicy", "DependsOn": "A", "Properties": {
                "Queues": [{"Ref": "A"}, {"Ref": "Policy2"}], "PolicyDocument": {"Statement": []},
            }},
            "Topics": {"Type": "AWS::SNS::TopicPolicy", "Properties": {"Topics": ["t"], "PolicyDocument": {}}},
            "Role": {"Type": "AWS::IAM::RolePolicy", "Properties": {"RoleName": "r", "PolicyName": "p"}},
        }});
        let template = parse(text.to_string().as_bytes()).unwrap().with_single_policies();
        let given = |id: &str| {
            let resource = &template.resources[id];
            json!([resource.type_name, resource.properties, resource.depends_on])
        };
        let policy = |queue: &str| json!({"PolicyDocument": {"Statement": []}, "Queue": {"Ref": queue}});
        assert_eq!(given("Policy"), json!(["AWS::SQS::QueueInlinePolicy", policy("A"), "A"]));
        assert_eq!(given("Policy3"), json!(["AWS::SQS::QueueInlinePolicy", policy("Policy2"), "A"]));
        assert_eq!(given("Policy2"), json!(["AWS::SQS::Queue", {}, ["Policy", "Policy3"]]));
        assert_eq!(
            given("Topics"),
            json!(["AWS::SNS::TopicInlinePolicy", {"PolicyDocument": {}, "TopicArn": "t"}, null])
        );
        assert_eq!(given("Role"), json!(["AWS::IAM::Policy", {"PolicyName": "p", "Roles": ["r"]}, null]));
        assert!(template.problems.is_empty());
    }

    #[test]
    fn what_is_no_list_is_refused() {
        for (queues, expected) in [
            (json!({"Fn::If": ["A", ["a"], ["b"]]}), "Queues must be a list, written out"),
            (json!("a"), "Queues must be a list, written out"),
            (json!([]), "Queues must be a list, written out"),
        ] {
            let text = json!({"Resources": {"P": {"Type": "AWS::SQS::QueuePolicy", "Properties": {"Queues": queues}}}});
            let template = parse(text.to_string().as_bytes()).unwrap().with_single_policies();
            let said: Vec<&str> = template.problems.iter().map(|problem| problem.what.as_str()).collect();
            assert_eq!(said, [expected]);
        }
    }
}
