//! A template as a document again: in CloudFormation's form, after the expansion.

use serde_json::{Map, Value, json};

use super::{Output, Resource, Template};

/// SAM's transform, which the expansion leaves no need for. Others change the language, and stay.
const SAM: &str = "AWS::Serverless-2016-10-31";

impl Template {
    /// The document that CloudFormation would be sent for these declarations, with every function in its long form. Of an
    /// expanded template it is what CloudFormation calls *processed*.
    pub fn document(&self) -> Value {
        let mut sections = self.tree.as_object().cloned().unwrap_or_default();
        sections.retain(|_, section| !section.is_null());
        if self.sam {
            sections.shift_remove("Globals");
            let others = match sections.shift_remove("Transform") {
                Some(Value::Array(all)) => all.into_iter().filter(|one| *one != SAM).collect(),
                _ => Vec::new(),
            };
            if !others.is_empty() {
                sections.insert("Transform".to_owned(), others.into());
            }
        }
        sections.insert("Resources".to_owned(), written(&self.resources, resource));
        for (name, section) in
            [("Conditions", Value::Object(self.conditions.clone())), ("Outputs", written(&self.outputs, output))]
        {
            if section.as_object().is_some_and(|members| !members.is_empty()) {
                sections.insert(name.to_owned(), section);
            }
        }
        sections.into()
    }
}

fn written<'a, D: 'a>(declared: impl IntoIterator<Item = (&'a String, &'a D)>, form: fn(&D) -> Value) -> Value {
    declared.into_iter().map(|(name, one)| (name.clone(), form(one))).collect::<Map<_, _>>().into()
}

fn resource(declared: &Resource) -> Value {
    let properties = (!declared.properties.is_empty()).then_some(&declared.properties);
    given([
        ("Type", json!(declared.type_name)),
        ("Condition", json!(declared.condition)),
        ("DependsOn", json!(declared.depends_on)),
        ("DeletionPolicy", json!(declared.deletion_policy)),
        ("UpdateReplacePolicy", json!(declared.update_replace_policy)),
        ("CreationPolicy", json!(declared.creation_policy)),
        ("UpdatePolicy", json!(declared.update_policy)),
        ("Version", json!(declared.version)),
        ("Metadata", declared.metadata.clone()),
        ("Properties", json!(properties)),
    ])
}

fn output(declared: &Output) -> Value {
    given([
        ("Description", json!(declared.description)),
        ("Condition", json!(declared.condition)),
        ("Value", declared.value.clone()),
        ("Export", json!(declared.export)),
    ])
}

fn given<const N: usize>(attributes: [(&str, Value); N]) -> Value {
    let given = attributes.into_iter().filter(|(_, value)| !value.is_null());
    given.map(|(name, value)| (name.to_owned(), value)).collect()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use crate::core::template::expand::{Context, expand};
    use crate::core::template::parse;

    #[test]
    fn an_expanded_template_reads_back_as_itself() {
        let text = "Transform: AWS::Serverless-2016-10-31
Parameters: { Stage: { Type: String, Default: live } }
Globals: { Function: { Timeout: 9 } }
Conditions: { Live: !Equals [!Ref Stage, live] }
Resources:
  Table: { Type: AWS::DynamoDB::Table, DeletionPolicy: Retain, Properties: { BillingMode: PAY_PER_REQUEST } }
  Topic: { Type: AWS::SNS::Topic, Condition: Live }
  Worker:
    Type: AWS::Serverless::Function
    Properties: { Handler: a.b, Runtime: nodejs22.x, InlineCode: x }
Outputs:
  Name: { Value: !GetAtt Worker.Arn, Export: { Name: worker } }
";
        let parameters = BTreeMap::new();
        let context = Context { partition: "aws", region: "eu-west-1", parameters: &parameters };
        let document = expand(parse(text.as_bytes()).unwrap(), context).document();
        assert_eq!(document["Resources"]["Worker"]["Type"], "AWS::Lambda::Function", "{document}");
        assert_eq!(document["Resources"]["Worker"]["Properties"]["Timeout"], 9);
        assert_eq!(document["Resources"]["WorkerRole"]["Type"], "AWS::IAM::Role");
        assert_eq!(document["Outputs"]["Name"]["Export"]["Name"], "worker");
        assert!(document["Transform"].is_null() && document["Globals"].is_null());
        let transforms = text
            .replace("Transform: AWS", "Transform: [AWS::LanguageExtensions, AWS")
            .replace("2016-10-31", "2016-10-31]");
        let extended = expand(parse(transforms.as_bytes()).unwrap(), context).document();
        assert_eq!(extended["Transform"], serde_json::json!(["AWS::LanguageExtensions"]));
        let again = expand(parse(document.to_string().as_bytes()).unwrap(), context);
        assert!(again.problems.is_empty(), "{:?}", again.problems);
        assert_eq!(again.document(), document);
    }
}
