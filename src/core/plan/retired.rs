//! What a plan would make that AWS does not make any more: AWS would say so in the middle of the run.

use super::{Action, Plan};
use crate::core::stack::Stack;
use crate::core::words::Problem;

/// The steps that AWS refuses because what they make has been retired; one that exists may stay for longer.
pub fn retired(stack: &Stack, plan: &Plan) -> Vec<Problem> {
    let refused = plan.steps.iter().filter(|step| step.action.acts()).filter_map(|step| {
        let live = step.live.as_ref().filter(|_| step.action == Action::Update).map(|live| &live.properties);
        let problem = step.kind()?.retired(&step.desired.as_ref()?.properties, live)?;
        let path = stack.resources.get(&step.name)?.path.key("Properties").join(&problem.path);
        Some(Problem { path, ..problem })
    });
    refused.collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::core::plan::tests::{stack, up};
    use crate::core::plan::{PlanOptions, diff};

    fn template(runtime: &str, memory: u32) -> String {
        json!({"Resources": {"Hello": {"Type": "AWS::Lambda::Function", "Properties": {
            "Runtime": runtime,
            "Handler": "index.handler",
            "MemorySize": memory,
            "Role": "arn:aws:iam::123456789012:role/r",
            "Code": {"ZipFile": "exports.handler = async () => 1"},
        }}}})
        .to_string()
    }

    #[test]
    fn what_lambda_does_not_take_any_more_is_told_before_the_run() {
        let refused = |from: Option<&str>, to: &str| {
            let live = from.map(|from| up(&stack(from))).unwrap_or_default();
            let stack = stack(to);
            let plan = diff(&stack, &live, &PlanOptions::default()).unwrap();
            let problems = retired(&stack, &plan).into_iter();
            problems.map(|problem| (problem.path.to_string(), problem.what, problem.help)).collect::<Vec<_>>()
        };
        let told = |what: &str, newest: &str| {
            let help = Some(format!("use {newest}"));
            vec![("Resources/Hello/Properties/Runtime".to_owned(), what.to_owned(), help)]
        };
        let (node14, node12) = (template("nodejs14.x", 128), template("nodejs12.x", 128));
        let created = told("Lambda creates no functions with nodejs14.x since 2024-01-09", "nodejs24.x");
        assert_eq!(refused(None, &node14), created);
        assert_eq!(refused(Some(&template("nodejs22.x", 128)), &node14), created, "a function that has another one");
        // One that has it may keep it, and be updated until a later day.
        assert_eq!(refused(Some(&node14), &node14), []);
        assert_eq!(refused(Some(&node14), &template("nodejs14.x", 256)), []);
        assert_eq!(refused(Some(&node12), &node12), []);
        let updated = told("Lambda updates no functions with nodejs12.x since 2023-04-30", "nodejs24.x");
        assert_eq!(refused(Some(&node12), &template("nodejs12.x", 256)), updated);
        // The day is still to come.
        assert_eq!(refused(None, &template("nodejs20.x", 128)), []);
        assert_eq!(refused(Some(&node14), &template("nodejs24.x", 128)), []);
    }
}
