//! A template written out again, as CloudFormation takes it without SAM's transform.

use serde_json::{Map, Value, json};

use super::{Output, Resource, Template};

/// Sections that the expansion leaves as they were written.
const UNCHANGED: &[&str] = &["Metadata", "Parameters", "Rules", "Mappings"];

/// SAM's transform.
const SAM: &str = "AWS::Serverless-2016-10-31";

impl Template {
    /// The whole template: what was expanded as it is now, the rest as it was written. Intrinsic functions have their long form.
    pub fn written_out(&self) -> Value {
        let mut whole = Map::new();
        let version = self.tree.get("AWSTemplateFormatVersion").cloned();
        whole.insert("AWSTemplateFormatVersion".to_owned(), version.unwrap_or_else(|| "2010-09-09".into()));
        if let Some(description) = self.tree.get("Description") {
            whole.insert("Description".to_owned(), description.clone());
        }
        // Others than SAM's stay: they change the language.
        let transforms = match self.tree.get("Transform") {
            Some(Value::Array(all)) => all.iter().filter(|one| *one != SAM).cloned().collect(),
            Some(one) if one != SAM => vec![one.clone()],
            _ => Vec::new(),
        };
        if !transforms.is_empty() {
            whole.insert("Transform".to_owned(), transforms.into());
        }
        for name in UNCHANGED {
            if let Some(section) = self.tree.get(*name).filter(|section| !section.is_null()) {
                whole.insert((*name).to_owned(), section.clone());
            }
        }
        if !self.conditions.is_empty() {
            whole.insert("Conditions".to_owned(), self.conditions.clone().into());
        }
        let resources = self.resources.iter().map(|(id, resource)| (id.clone(), resource.written_out()));
        whole.insert("Resources".to_owned(), resources.collect::<Map<_, _>>().into());
        if !self.outputs.is_empty() {
            let outputs = self.outputs.iter().map(|(name, output)| (name.clone(), output.written_out()));
            whole.insert("Outputs".to_owned(), outputs.collect::<Map<_, _>>().into());
        }
        whole.into()
    }
}

impl Resource {
    /// The resource as a template declares it. SAM drops what only SAM reads.
    fn written_out(&self) -> Value {
        given([
            ("Type", json!(self.type_name)),
            ("Condition", json!(self.condition)),
            ("DependsOn", json!(self.depends_on)),
            ("DeletionPolicy", json!(self.deletion_policy)),
            ("UpdateReplacePolicy", json!(self.update_replace_policy)),
            ("CreationPolicy", json!(self.creation_policy)),
            ("UpdatePolicy", json!(self.update_policy)),
            ("Version", json!(self.version)),
            ("Metadata", self.metadata.clone()),
            ("Properties", if self.properties.is_empty() { Value::Null } else { json!(self.properties) }),
        ])
    }
}

impl Output {
    fn written_out(&self) -> Value {
        given([
            ("Description", json!(self.description)),
            ("Condition", json!(self.condition)),
            ("Value", self.value.clone()),
            ("Export", json!(self.export)),
        ])
    }
}

/// An object of what is not null.
fn given<const N: usize>(members: [(&str, Value); N]) -> Value {
    let given = members.into_iter().filter(|(_, value)| !value.is_null());
    given.map(|(name, value)| (name.to_owned(), value)).collect::<Map<_, _>>().into()
}

#[cfg(test)]
mod tests {
    use super::super::expand::{Context, expand};
    use super::super::parse;
    use super::*;

    #[test]
    fn what_is_written_out_reads_as_the_same_template() {
        let text = r#"
Transform: AWS::Serverless-2016-10-31
Description: a chat
Metadata: {Team: chat}
Parameters: {Level: {Type: String, Default: info}}
Conditions: {Loud: !Equals [!Ref Level, debug]}
Resources:
  Send:
    Type: AWS::Serverless::Function
    Properties: {Runtime: nodejs22.x, Handler: index.handler, CodeUri: s3://code/send, Description: !Sub "${Level}!"}
  Table: {Type: AWS::DynamoDB::Table, DeletionPolicy: Retain, Condition: Loud, Metadata: {A: 1}, DependsOn: [Send]}
Outputs:
  Arn: {Value: !GetAtt Send.Arn, Export: {Name: !Sub "${AWS::StackName}-send"}}
"#;
        let parameters = std::collections::BTreeMap::new();
        let context = Context { partition: "aws", region: "us-east-1", parameters: &parameters };
        let whole = expand(parse(text.as_bytes()).unwrap(), context).written_out();
        assert!(whole.get("Transform").is_none());
        assert_eq!(whole["AWSTemplateFormatVersion"], "2010-09-09");
        assert_eq!(whole["Parameters"]["Level"]["Default"], "info");
        assert_eq!(whole["Conditions"], json!({"Loud": {"Fn::Equals": [{"Ref": "Level"}, "debug"]}}));
        let send = &whole["Resources"]["Send"];
        assert_eq!(send["Type"], "AWS::Lambda::Function");
        assert_eq!(send["Properties"]["Code"], json!({"S3Bucket": "code", "S3Key": "send"}));
        assert_eq!(send["Properties"]["Description"], json!({"Fn::Sub": "${Level}!"}));
        let table = json!({"Type": "AWS::DynamoDB::Table", "Condition": "Loud", "DependsOn": ["Send"],
            "DeletionPolicy": "Retain", "Metadata": {"A": 1}});
        assert_eq!(whole["Resources"]["Table"], table);
        let export = json!({"Fn::Sub": "${AWS::StackName}-send"});
        assert_eq!(whole["Outputs"]["Arn"]["Export"]["Name"], export);
        // It is a template, and the same one.
        let again = parse(whole.to_string().as_bytes()).unwrap();
        assert!(again.problems.is_empty() && !again.sam, "{:?}", again.problems);
        assert_eq!(again.written_out(), whole);
    }
}
