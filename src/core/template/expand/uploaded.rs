//! Local code and content, once they are uploaded: the template names the objects, as `sam package` and
//! `aws cloudformation package` write them.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

use super::super::Template;

/// Which property of a type names its code, and what the members of an object's place are called there. `None`: `s3://BUCKET/KEY`.
const PLACES: &[(&str, &str, Option<[&str; 2]>)] = &[
    ("AWS::Serverless::Function", "CodeUri", None),
    ("AWS::Serverless::LayerVersion", "ContentUri", None),
    ("AWS::Lambda::Function", "Code", Some(["S3Bucket", "S3Key"])),
    ("AWS::Lambda::LayerVersion", "Content", Some(["S3Bucket", "S3Key"])),
];

impl Template {
    /// The same template, in which the code of the resources with these logical ids is at these places in S3 (bucket, key). It must not be
    /// expanded yet: SAM makes some logical ids of the place.
    #[must_use]
    pub fn with_uploaded(mut self, code: &BTreeMap<String, (String, String)>) -> Self {
        for (id, (bucket, key)) in code {
            let Some(resource) = self.resources.get_mut(id) else { continue };
            let Some((_, property, members)) = PLACES.iter().find(|(known, ..)| *known == resource.type_name) else {
                continue;
            };
            let place = match members {
                None => json!(format!("s3://{bucket}/{key}")),
                Some([of_bucket, of_key]) => {
                    let entries =
                        [(*of_bucket, bucket), (*of_key, key)].map(|(name, text)| (name.to_owned(), json!(text)));
                    Value::Object(Map::from_iter(entries))
                }
            };
            resource.properties.insert((*property).to_owned(), place);
        }
        self
    }
}

#[cfg(test)]
mod tests {
    use super::super::super::parse;
    use super::*;

    #[test]
    fn uploaded_code_is_named_as_each_type_names_it() {
        let text = r"
Transform: AWS::Serverless-2016-10-31
Resources:
  A: {Type: AWS::Serverless::Function, Properties: {CodeUri: a/}}
  B: {Type: AWS::Lambda::Function, Properties: {Code: b/}}
  C: {Type: AWS::Serverless::LayerVersion, Properties: {ContentUri: c/}}
  D: {Type: AWS::Lambda::LayerVersion, Properties: {Content: d/}}
  E: {Type: AWS::Serverless::Function, Properties: {InlineCode: x}}
  T: {Type: AWS::SQS::Queue}
";
        let places = ["A", "B", "C", "D", "T", "None"].map(|id| (id.to_owned(), ("k".to_owned(), id.to_lowercase())));
        let template = parse(text.as_bytes()).unwrap().with_uploaded(&places.into());
        let given = |id: &str| Value::Object(template.resources[id].properties.clone());
        assert_eq!(given("A"), json!({"CodeUri": "s3://k/a"}));
        assert_eq!(given("B"), json!({"Code": {"S3Bucket": "k", "S3Key": "b"}}));
        assert_eq!(given("C"), json!({"ContentUri": "s3://k/c"}));
        assert_eq!(given("D"), json!({"Content": {"S3Bucket": "k", "S3Key": "d"}}));
        assert_eq!(given("E"), json!({"InlineCode": "x"}));
        assert_eq!(given("T"), json!({}));
    }
}
