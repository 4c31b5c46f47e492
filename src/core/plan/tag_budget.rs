//! How many tags the resources of a stack are going to have: their own, and those that record others, exports and imports.

use std::collections::{BTreeMap, BTreeSet};

use super::{Action, Plan, PlanError};
use crate::core::stack::Stack;
use crate::core::types::tags;
use crate::core::words::Token;

/// The resources that would have more tags than AWS takes at some moment of the run: what is replaced is recorded twice until the old
/// one is deleted.
pub(super) fn check(plan: &Plan, stack: &Stack) -> Vec<PlanError> {
    let is_made = |action: Action| matches!(action, Action::Create | Action::Replace);
    let mut new: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for step in plan.steps.iter().filter(|step| is_made(step.action)) {
        let record = step.kind().zip(step.desired.as_ref()).and_then(|(kind, desired)| kind.record_of(desired));
        if let Some((recorder, keys)) = record {
            new.entry(recorder).or_default().extend(keys);
        }
    }
    let exporting = stack.export_keepers().first().map(|resource| resource.logical_id.as_str());
    let filled = |text: &str| Token::substitute_text(text, &|token| plan.known.get(token).cloned());
    let too_many = plan.steps.iter().filter_map(|step| {
        let resource = stack.resources.get(&step.name).filter(|_| step.desired.is_some())?;
        let own = step.desired.as_ref()?.properties["Tags"].as_object()?.len();
        let there = step.live.iter().filter(|_| !is_made(step.action)).flat_map(|live| live.attributes.keys());
        let mut records: BTreeSet<String> = there.filter(|key| tags::is_record(key)).cloned().collect();
        let names = [stack.arn_of(resource), Some(Token::text(&step.name, "Ref"))];
        for name in names.iter().flatten() {
            records.extend(new.get(&filled(name)).into_iter().flatten().cloned());
        }
        if exporting == Some(step.name.as_str()) {
            records.extend(stack.export_keys());
        }
        let is_over = !records.is_empty() && own + records.len() > tags::MAX;
        is_over.then(|| PlanError::TooManyTags { logical_id: step.name.clone(), own, records: records.len() })
    });
    too_many.collect()
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use crate::core::plan::tests::{stack, up};
    use crate::core::plan::{PlanOptions, diff};
    use crate::core::types::Live;

    fn template(mails: usize, exports: usize) -> String {
        let mut template = json!({
            "Resources": {"Topic": {"Type": "AWS::SNS::Topic"}, "Log": {"Type": "AWS::Logs::LogGroup"}},
            "Outputs": {},
        });
        for number in 0..mails {
            template["Resources"][format!("Mail{number}")] = json!({"Type": "AWS::SNS::Subscription", "Properties": {
                "TopicArn": {"Ref": "Topic"}, "Protocol": "email", "Endpoint": format!("{number}@example.com"),
            }});
        }
        for number in 0..exports {
            let export = json!({"Value": "x", "Export": {"Name": format!("export{number}")}});
            template["Outputs"][format!("Out{number}")] = export;
        }
        template.to_string()
    }

    fn refused(text: &str, tags: usize, live: &[Live]) -> Vec<String> {
        let mut stack = stack(text);
        stack.tags = (0..tags).map(|number| (format!("team{number}"), "blue".to_owned())).collect();
        let errors = diff(&stack, live, &PlanOptions::default()).err().unwrap_or_default();
        errors.iter().map(ToString::to_string).collect()
    }

    #[test]
    fn records_of_every_kind_and_all_tags_count_together() {
        assert_eq!(refused(&template(30, 0), 5, &[]), [""; 0]);
        let said = refused(&template(30, 0), 20, &[]);
        assert!(
            said.len() == 1 && said[0].starts_with("Topic would have 55 tags: 25 of its own, and 30 that"),
            "{said:?}"
        );
        assert_eq!(refused(&template(0, 45), 0, &[]), [""; 0]);
        let said = refused(&template(0, 45), 3, &[]);
        assert!(
            said.len() == 1 && said[0].starts_with("Log would have 52 tags: 7 of its own, and 45 that"),
            "{said:?}"
        );
    }

    #[test]
    fn what_is_replaced_is_recorded_twice() {
        let before = template(24, 0);
        let mut live = up(&stack(&before));
        for topic in live.iter_mut().filter(|one| one.type_name == "AWS::SNS::Topic") {
            for number in 0..24 {
                topic.attributes.insert(format!("wschat:resource:Mail{number}-00000000"), Value::Null.to_string());
            }
        }
        let after = before.replace("@example.com", "@example.org");
        let said = refused(&after, 0, &live);
        assert!(said.len() == 1 && said[0].contains("and 48 that record"), "{said:?}");
    }
}
