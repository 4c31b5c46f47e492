//! A deployment that names its stage (`StageName`) instead of a stage that names its deployment (`DeploymentId`): the outcome is the
//! same, the stage serves the deployment. wschat has the second form alone, in which a new deployment moves the stage. A stage with
//! `AutoDeploy` serves what the API is, whichever deployments name it: there the name is left out.

use serde_json::{Value, json};

use super::super::Template;
use crate::core::words::{Path, Problem, ProblemKind};

const DEPLOYMENT: &str = "AWS::ApiGatewayV2::Deployment";
const STAGE: &str = "AWS::ApiGatewayV2::Stage";

impl Template {
    /// The template in which stages name the deployments that named them.
    #[must_use]
    pub fn with_named_deployments(mut self) -> Self {
        let names_one = |id: &&String| {
            let resource = &self.resources[*id];
            resource.type_name == DEPLOYMENT && resource.properties.contains_key("StageName")
        };
        let deployments: Vec<String> = self.resources.keys().filter(names_one).cloned().collect();
        let stages: Vec<_> = deployments.iter().map(|deployment| self.stage_of(deployment)).collect();
        for (deployment, stage) in deployments.into_iter().zip(stages) {
            let path = Path::default().key("Resources").key(&deployment).key("Properties").key("StageName");
            // What remained would be refused once more.
            if let Some(resource) = self.resources.get_mut(&deployment) {
                resource.properties.shift_remove("StageName");
            }
            match stage {
                Ok(Some(stage)) => self.turn(&deployment, &stage, &path),
                Ok(None) => {}
                Err((what, help)) => {
                    let problem = Problem::new(path, what).kind(ProblemKind::Unsupported);
                    self.problems.push(problem.help(help));
                }
            }
        }
        self
    }

    /// The logical id of the stage that `deployment` names, if it can name the deployment as well; `None` if it need not.
    fn stage_of(&self, deployment: &str) -> Result<Option<String>, (String, &'static str)> {
        let properties = &self.resources[deployment].properties;
        let (name, api) = (&properties["StageName"], properties.get("ApiId"));
        let is_named = |(id, resource): &(&String, &super::super::Resource)| {
            let given = &resource.properties;
            resource.type_name == STAGE
                && given.get("ApiId") == api
                && (*name == json!({ "Ref": id }) || given.get("StageName") == Some(name))
        };
        let Some((id, stage)) = self.resources.iter().find(is_named) else {
            let what = format!("{deployment} names a stage that is not in this template");
            return Err((what, "declare it: an AWS::ApiGatewayV2::Stage of the same API and StageName"));
        };
        let deploys_itself = stage.properties.get("AutoDeploy").is_some_and(|auto| auto == true || auto == "true");
        let others = self.resources.iter().filter(|(other, resource)| {
            *other != deployment && resource.type_name == DEPLOYMENT && {
                let given = resource.properties.get("StageName");
                given.is_some_and(|given| given == name || *given == json!({ "Ref": id }))
            }
        });
        if deploys_itself {
            Ok(None)
        } else if stage.properties.contains_key("DeploymentId") {
            Err((format!("{id} has a DeploymentId of its own"), "remove StageName here, or DeploymentId there"))
        } else if others.count() > 0 {
            Err((format!("several deployments name {id}"), "leave one of them"))
        } else {
            Ok(Some(id.clone()))
        }
    }

    /// Lets `stage` name `deployment`, which named it in what is at `path`, and waits for it no longer.
    fn turn(&mut self, deployment: &str, stage: &str, path: &Path) {
        if let Some(resource) = self.resources.get_mut(deployment) {
            resource.depends_on = match resource.depends_on.take() {
                Some(Value::Array(mut names)) => {
                    names.retain(|name| name != stage);
                    (!names.is_empty()).then(|| names.into())
                }
                Some(name) if name == stage => None,
                other => other,
            };
        }
        if let Some(resource) = self.resources.get_mut(stage) {
            resource.properties.insert("DeploymentId".to_owned(), json!({ "Ref": deployment }));
            let written = self.origins.trace(path);
            let path = Path::default().key("Resources").key(stage).key("Properties").key("DeploymentId");
            self.origins.note(path, written);
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::super::super::parse;

    /// A template of a deployment with these properties, and a stage with these.
    fn template(deployment: &Value, stage: &Value) -> Value {
        let mut deployment = deployment.clone();
        deployment["ApiId"] = json!({ "Ref": "Api" });
        let mut stage = stage.clone();
        stage["ApiId"] = json!({ "Ref": "Api" });
        json!({"Resources": {
            "Api": {"Type": "AWS::ApiGatewayV2::Api"},
            "Live": {"Type": "AWS::ApiGatewayV2::Stage", "Properties": stage},
            "Made": {"Type": "AWS::ApiGatewayV2::Deployment", "DependsOn": ["Live", "Route"], "Properties": deployment},
        }})
    }

    #[test]
    fn the_stage_names_the_deployment_that_named_it() {
        for name in [json!("live"), json!({ "Ref": "Live" })] {
            let text = template(&json!({ "StageName": name }), &json!({ "StageName": "live" }));
            let template = parse(text.to_string().as_bytes()).unwrap().with_named_deployments();
            assert!(template.problems.is_empty(), "{:?}", template.problems);
            let (made, live) = (&template.resources["Made"], &template.resources["Live"]);
            assert_eq!(made.properties.get("StageName"), None);
            assert_eq!(made.depends_on, Some(json!(["Route"])));
            assert_eq!(live.properties["DeploymentId"], json!({ "Ref": "Made" }));
        }
    }

    #[test]
    fn a_stage_that_deploys_itself_names_no_deployment() {
        let live = json!({ "StageName": "live", "AutoDeploy": true });
        let mut whole = template(&json!({ "StageName": "live" }), &live);
        whole["Resources"]["Other"] = whole["Resources"]["Made"].clone();
        let template = parse(whole.to_string().as_bytes()).unwrap().with_named_deployments();
        assert!(template.problems.is_empty(), "{:?}", template.problems);
        assert_eq!(template.resources["Live"].properties.get("DeploymentId"), None);
        for made in ["Made", "Other"] {
            assert_eq!(template.resources[made].properties.get("StageName"), None);
            // It is made after its stage, as the template says.
            assert_eq!(template.resources[made].depends_on, Some(json!(["Live", "Route"])));
        }
    }

    #[test]
    fn a_stage_that_cannot_name_it_is_said() {
        let live = json!({ "StageName": "live" });
        for (named, stage, expected) in [
            ("other", json!({ "StageName": "live" }), "Made names a stage that is not in this template"),
            ("live", json!({ "StageName": "live", "DeploymentId": "d" }), "Live has a DeploymentId of its own"),
        ] {
            let text = template(&json!({ "StageName": named }), &stage);
            let template = parse(text.to_string().as_bytes()).unwrap().with_named_deployments();
            let said: Vec<&str> = template.problems.iter().map(|problem| problem.what.as_str()).collect();
            assert_eq!(said, [expected]);
            assert_eq!(template.resources["Made"].properties.get("StageName"), None, "it would be refused once more");
        }
        let mut text = template(&live, &live);
        text["Resources"]["Second"] = text["Resources"]["Made"].clone();
        let template = parse(text.to_string().as_bytes()).unwrap().with_named_deployments();
        let said: Vec<&str> = template.problems.iter().map(|problem| problem.what.as_str()).collect();
        assert_eq!(said, ["several deployments name Live", "several deployments name Live"]);
    }
}
