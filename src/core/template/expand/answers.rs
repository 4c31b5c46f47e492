//! What custom resources need beside what the template describes: a bucket that their functions write answers to.

use serde_json::{Map, Value, json};

use super::super::{Resource, Template};
use crate::core::types::custom_resource::{BUCKET_ID, kind};

impl Template {
    /// The template with a bucket for the answers of its custom resources, if it has any; all of them wait for it. Its own of that
    /// logical id takes the place of the one that is added.
    #[must_use]
    pub fn with_answers(mut self) -> Self {
        let custom = self.resources.values_mut().filter(|resource| kind(&resource.type_name).is_some());
        let mut conditions = Vec::new();
        for resource in custom {
            conditions.push(resource.condition.clone());
            let mut before = resource.dependencies();
            before.push(BUCKET_ID.into());
            resource.depends_on = Some(Value::Array(before));
        }
        let Some(first) = conditions.first().cloned().filter(|_| !self.resources.contains_key(BUCKET_ID)) else {
            return self;
        };
        let condition = if conditions.iter().all(|other| *other == first) { first } else { None };
        let bucket = Resource {
            type_name: "AWS::S3::Bucket".to_owned(),
            properties: bucket(),
            condition,
            ..Resource::default()
        };
        self.resources.insert(BUCKET_ID.to_owned(), bucket);
        self
    }
}

/// The properties of the bucket. An answer is deleted when it is read; one that comes too late, after a day.
fn bucket() -> Map<String, Value> {
    let expired = json!({"Id": "answers", "Prefix": "answers/", "Status": "Enabled", "ExpirationInDays": 1});
    let private = json!({
        "BlockPublicAcls": true, "BlockPublicPolicy": true, "IgnorePublicAcls": true, "RestrictPublicBuckets": true,
    });
    [
        ("LifecycleConfiguration".to_owned(), json!({ "Rules": [expired] })),
        ("PublicAccessBlockConfiguration".to_owned(), private),
    ]
    .into_iter()
    .collect()
}

#[cfg(test)]
mod tests {
    use super::super::super::parse;
    use super::*;

    #[test]
    fn only_templates_with_custom_resources_have_a_bucket_for_answers() {
        let parsed = |text: &str| parse(text.as_bytes()).unwrap().with_answers();
        let without = parsed(r#"{"Resources": {"Topic": {"Type": "AWS::SNS::Topic"}}}"#);
        assert_eq!(without.resources.len(), 1);
        let with = parsed(
            r#"{"Conditions": {"Seeded": {"Fn::Equals": ["a", "b"]}}, "Resources": {
                "One": {"Type": "Custom::One", "DependsOn": "Topic", "Condition": "Seeded"},
                "Two": {"Type": "AWS::CloudFormation::CustomResource", "Condition": "Seeded"},
                "Topic": {"Type": "AWS::SNS::Topic"}}}"#,
        );
        assert_eq!(with.resources["One"].depends_on, Some(json!(["Topic", BUCKET_ID])));
        assert_eq!(with.resources["Two"].depends_on, Some(json!([BUCKET_ID])));
        assert_eq!(with.resources[BUCKET_ID].condition.as_deref(), Some("Seeded"));
        assert!(with.resources["Topic"].depends_on.is_none());
        let own = parsed(
            r#"{"Resources": {"One": {"Type": "Custom::One"},
                "CustomResourceAnswers": {"Type": "AWS::S3::Bucket", "Properties": {"BucketName": "b"}}}}"#,
        );
        assert_eq!(own.resources["One"].depends_on, Some(json!([BUCKET_ID])));
        assert_eq!(own.resources[BUCKET_ID].properties.len(), 1);
    }
}
