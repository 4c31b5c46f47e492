//! The template of a CloudFormation stack that lets go of its resources: each of them stays when the stack is deleted.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

use super::tree;
use crate::core::words::{Problem, ProblemKind};

/// The attributes of a resource that say what becomes of it when it goes, and of the old one when it is replaced.
const POLICIES: [&str; 2] = ["DeletionPolicy", "UpdateReplacePolicy"];

/// The metadata that is added to each resource. CloudFormation takes a change of a policy only together with another one
/// ("You can't update the CreationPolicy, DeletionPolicy or UpdatePolicy attribute by itself"). Metadata themselves change nothing in
/// AWS, but they make CloudFormation read the resource's dynamic references again where those name no version.
const METADATA: &str = "wschat";

/// What the metadata say of every resource, and of those that are `noted`.
const RETAINED: &str = "retained";

/// The template `text`, which has its transforms applied, as JSON in which every resource is retained. Those that are `noted` say so,
/// for a later run to read (`notes`).
///
/// # Errors
/// A text that is no template.
pub fn retained(text: &str, noted: &[&str]) -> Result<String, Vec<Problem>> {
    let (mut template, _) = tree::read(text.as_bytes())?;
    for (logical_id, resource) in resources_mut(&mut template)? {
        let Some(attributes) = resource.as_object_mut() else { continue };
        for policy in POLICIES {
            attributes.insert(policy.to_owned(), "Retain".into());
        }
        let metadata = attributes.entry("Metadata").or_insert_with(|| Value::Object(Map::new()));
        if let Some(metadata) = metadata.as_object_mut() {
            let is_noted = noted.contains(&logical_id.as_str());
            metadata.insert(METADATA.to_owned(), json!({ RETAINED: true, "noted": is_noted }));
        }
    }
    Ok(template.to_string())
}

/// Whether every resource of a template is retained; gives those that are not.
///
/// # Errors
/// A text that is no template.
pub fn unretained(text: &str) -> Result<Vec<String>, Vec<Problem>> {
    let (mut template, _) = tree::read(text.as_bytes())?;
    let stays = |resource: &Value| POLICIES.iter().all(|policy| resource[*policy] == "Retain");
    let going = resources_mut(&mut template)?.iter().filter(|(_, resource)| !stays(resource));
    Ok(going.map(|(logical_id, _)| logical_id.clone()).collect())
}

/// Whether every resource of a template stays when its stack is deleted; not of a text that is no template.
pub fn keeps_all(text: &str) -> bool {
    let Ok((mut template, _)) = tree::read(text.as_bytes()) else { return false };
    resources_mut(&mut template).is_ok_and(|all| all.values().all(|resource| resource["DeletionPolicy"] == "Retain"))
}

/// The properties of each resource of a template; nothing of a text that is none.
pub fn properties(text: &str) -> BTreeMap<String, Value> {
    let Ok((mut template, _)) = tree::read(text.as_bytes()) else { return BTreeMap::new() };
    let Ok(resources) = resources_mut(&mut template) else { return BTreeMap::new() };
    resources.iter().map(|(logical_id, resource)| (logical_id.clone(), resource["Properties"].clone())).collect()
}

/// The resources that `retained` was told to note; `None` for a template that it has not made.
///
/// # Errors
/// A text that is no template.
pub fn notes(text: &str) -> Result<Option<Vec<String>>, Vec<Problem>> {
    let (mut template, _) = tree::read(text.as_bytes())?;
    let resources = resources_mut(&mut template)?;
    if !resources.values().any(|resource| resource["Metadata"][METADATA][RETAINED] == true) {
        return Ok(None);
    }
    let noted = resources.iter().filter(|(_, resource)| resource["Metadata"][METADATA]["noted"] == true);
    Ok(Some(noted.map(|(logical_id, _)| logical_id.clone()).collect()))
}

fn resources_mut(template: &mut Value) -> Result<&mut Map<String, Value>, Vec<Problem>> {
    template
        .get_mut("Resources")
        .and_then(Value::as_object_mut)
        .ok_or_else(|| vec![Problem::of_text(None, "the stack's template has no resources").kind(ProblemKind::Missing)])
}

#[cfg(test)]
mod tests {
    use super::*;

    const YAML: &str = "
Resources:
  Table:
    Type: AWS::DynamoDB::Table
    DeletionPolicy: Delete
    Metadata: { team: chat }
    Properties: { TableName: !Sub '${AWS::StackName}-t' }
  Role:
    Type: AWS::IAM::Role
    Properties:
      AssumeRolePolicyDocument: { Version: 2012-10-17 }
      RoleName: !GetAtt Table.Arn
";

    #[test]
    fn every_resource_stays_and_nothing_else_changes() {
        let before: Value = tree::read(YAML.as_bytes()).unwrap().0;
        assert_eq!(unretained(YAML).unwrap(), ["Table", "Role"]);
        assert!(!keeps_all(YAML));
        assert_eq!(notes(YAML).unwrap(), None);
        let text = retained(YAML, &["Role"]).unwrap();
        assert!(unretained(&text).unwrap().is_empty());
        assert!(keeps_all(&text) && !keeps_all("[]"));
        assert_eq!(notes(&text).unwrap(), Some(vec!["Role".to_owned()]));
        let after: Value = serde_json::from_str(&text).unwrap();
        for id in ["Table", "Role"] {
            assert_eq!(after["Resources"][id]["Properties"], before["Resources"][id]["Properties"]);
        }
        assert_eq!(after["Resources"]["Table"]["Metadata"]["team"], "chat");
        assert_eq!(
            after["Resources"]["Role"]["Properties"],
            json!({"AssumeRolePolicyDocument": {"Version": "2012-10-17"}, "RoleName": {"Fn::GetAtt": ["Table", "Arn"]}})
        );
        // Once more is the same.
        assert_eq!(retained(&text, &["Role"]).unwrap(), text);
    }

    #[test]
    fn what_is_no_template_is_refused() {
        for text in ["", "[]", "{\"Resources\": 1}", "Resources: ["] {
            assert!(retained(text, &[]).is_err() && unretained(text).is_err(), "{text}");
        }
    }
}
