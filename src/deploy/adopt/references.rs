//! Dynamic references of a stack that is to be taken over. The update that keeps its resources makes CloudFormation read those
//! without a version again, and no change set shows it. (aws-cloudformation/cloudformation-coverage-roadmap#844; measured:
//! ministack#1647.) So what they give now must be what is live.

use serde_json::Value;

use super::obstacles::Obstacle;
use crate::aws::client::Aws;
use crate::core::plan::{Plan, Step};
use crate::core::schemas::{schema, value_at};
use crate::core::stack::{Lookups, Secrets, Unversioned, lookups, unversioned};
use crate::core::template::retain;
use crate::deploy::lookups::ask;

/// What such an update would change, and what it may, as no reading shows it: a sentence each. `processed` is the template that is
/// deployed, `plan` compares the user's with what is live.
pub async fn find(aws: &Aws, processed: &str, plan: &Plan) -> (Vec<Obstacle>, Vec<String>) {
    let properties = retain::properties(processed);
    let all: Vec<(&Step, Unversioned)> = plan
        .steps
        .iter()
        .filter(|step| step.live.is_some())
        .filter_map(|step| Some((step, properties.get(&step.name)?)))
        .flat_map(|(step, properties)| unversioned(properties).into_iter().map(move |one| (step, one)))
        .collect();
    let written = all.iter().filter_map(|(_, one)| one.text.as_deref());
    let wanted = written.flat_map(|text| lookups::references(&text.into())).collect();
    judge(&all, &ask(aws, wanted).await)
}

/// The same, once it is known what the references give.
fn judge(all: &[(&Step, Unversioned)], answers: &Lookups) -> (Vec<Obstacle>, Vec<String>) {
    let (mut obstacles, mut unseen) = (Vec::new(), Vec::new());
    for (step, one) in all {
        let of = format!("{} of {} ({})", one.path, step.name, step.type_name);
        let written_only = schema(step.type_name).map(|schema| &schema.write_only[..]).unwrap_or_default();
        if written_only.iter().any(|path| overlap(path, &one.path)) {
            unseen.push(format!(
                "AWS does not show {of}, which has a dynamic reference: CloudFormation sends it again, with the value that the \
                 reference has now"
            ));
        } else if let Some(what) = differs(step, one, answers) {
            obstacles.push(Obstacle::new(
                format!("{of} {what}: CloudFormation reads it again in the update that keeps the resources"),
                "deploy it with CloudFormation first, with a change to this resource (no change set sees another value), or set the old \
                 value back",
            ));
        }
    }
    (obstacles, unseen)
}

/// How what is live differs from what the references give now, in words without values.
fn differs(step: &Step, one: &Unversioned, answers: &Lookups) -> Option<String> {
    let gives = |reference: &str| Some(format!("is not what {reference} gives now"));
    let shown = one.text.as_deref().unwrap_or("its dynamic reference");
    if let Some(text) = &one.text {
        let mut value = Value::from(text.as_str());
        if let Err(missing) = lookups::fill(&mut value, answers, &mut Secrets::default()) {
            return Some(format!("has a dynamic reference, and {}", missing.what));
        }
        // The user's template may have the value itself. It is what is live, unless the plan has a change.
        let desired = step.desired.as_ref().and_then(|desired| value_at(&desired.properties, &one.path));
        let is_other = |there: &Value| {
            let there = match there {
                Value::String(text) => text.clone(),
                Value::Number(_) | Value::Bool(_) => there.to_string(),
                _ => return false,
            };
            value != there
        };
        if desired.is_some_and(is_other) {
            return gives(shown);
        }
    }
    if step.changes.iter().any(|change| overlap(&change.property, &one.path)) { gives(shown) } else { None }
}

/// Whether one of two properties is the other one, or within it.
fn overlap(one: &str, other: &str) -> bool {
    let is_within = |path: &str, whole: &str| path.strip_prefix(whole).is_some_and(|rest| rest.starts_with('.'));
    one == other || is_within(one, other) || is_within(other, one)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::core::plan::Action;
    use crate::core::stack::Lookup;
    use crate::core::types::{Change, Desired, Live, function};

    /// What is said of a property with a reference, where the user's template has `desired` in its place.
    fn said(type_name: &'static str, path: &str, text: Option<&str>, desired: &Value, has_changed: bool) -> String {
        let mut answers = Lookups::default();
        let parameter = |name: &str| Lookup::Parameter { name: name.to_owned(), secure: false };
        answers.insert(parameter("/origin"), Ok("two-secrets".to_owned()));
        answers.insert(parameter("/size"), Ok("512".to_owned()));
        let gone = lookups::Missing { what: "there is no SSM parameter \"/gone\"".to_owned(), help: None };
        answers.insert(parameter("/gone"), Err(gone));
        let live = Live::new(type_name, "id", json!({}));
        let desired = Desired { logical_id: "One".to_owned(), name: None, properties: desired.clone(), code: None };
        let change = Change { property: path.to_owned(), old: None, new: None, create_only: false };
        let changes = if has_changed { vec![change] } else { Vec::new() };
        let step = Step { name: "One".to_owned(), desired: Some(desired), changes, ..Step::on(&live, Action::Update) };
        let one = Unversioned { path: path.to_owned(), text: text.map(str::to_owned) };
        let (obstacles, unseen) = judge(&[(&step, one)], &answers);
        let told: Vec<String> = obstacles.into_iter().map(|obstacle| obstacle.what).chain(unseen).collect();
        told.join("; ")
    }

    #[test]
    fn what_gives_another_value_now_is_named_without_that() {
        let (origin, size) = (Some("{{resolve:ssm:/origin}}"), Some("{{resolve:ssm:/size}}"));
        let at = |value: &str| json!({"Environment": {"Variables": {"A": value}}});
        let variable = "Environment.Variables.A";
        for (path, text, desired, has_changed, expected) in [
            (variable, origin, at("two-secrets"), false, ""),
            (variable, origin, at("two-secrets"), true, "is not what {{resolve:ssm:/origin}} gives now"),
            (variable, origin, at("one"), false, "is not what {{resolve:ssm:/origin}} gives now"),
            (variable, None, at("two-secrets"), true, "is not what its dynamic reference gives now"),
            (variable, None, at("two-secrets"), false, ""),
            ("MemorySize", size, json!({"MemorySize": 512}), false, ""),
            ("MemorySize", size, json!({"MemorySize": 256}), false, "MemorySize of One (AWS::Lambda::Function) is not"),
            ("Handler", Some("{{resolve:ssm:/gone}}"), json!({}), false, "and there is no SSM parameter"),
        ] {
            let told = said(function::TYPE, path, text, &desired, has_changed);
            assert!(told.contains(expected) && told.is_empty() == expected.is_empty(), "{path} {desired}: {told}");
            assert!(!told.contains("two-secrets"), "{told}");
        }
        let told = said("AWS::SecretsManager::Secret", "SecretString", origin, &json!({}), true);
        assert!(told.starts_with("AWS does not show SecretString of One (AWS::SecretsManager::Secret)"), "{told}");
    }
}
