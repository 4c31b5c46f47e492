//! Buckets and their policies as Cloud Control sees them. Properties that change nothing here are kept and shown.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

use super::notifications::{from_property, to_property};
use super::{Bucket, S3, arn, error};
use crate::local::context::clock::now_millis;
use crate::local::context::ports::{ControlledResources, tags_of};
use crate::local::protocol::wire::ApiError;

const BUCKET: &str = "AWS::S3::Bucket";
const POLICY: &str = "AWS::S3::BucketPolicy";

/// Properties that stand elsewhere than among those that are only kept.
const OTHERS: &[&str] = &[
    "Arn",
    "BucketName",
    "DomainName",
    "DualStackDomainName",
    "NotificationConfiguration",
    "RegionalDomainName",
    "Tags",
    "WebsiteURL",
];

/// What new buckets have (S3 user guide, "Default settings for new S3 buckets FAQ").
fn defaults() -> [(&'static str, Value); 3] {
    [
        (
            "BucketEncryption",
            json!({ "ServerSideEncryptionConfiguration": [
                { "ServerSideEncryptionByDefault": { "SSEAlgorithm": "AES256" }, "BucketKeyEnabled": false },
            ] }),
        ),
        ("OwnershipControls", json!({ "Rules": [{ "ObjectOwnership": "BucketOwnerEnforced" }] })),
        (
            "PublicAccessBlockConfiguration",
            json!({
                "BlockPublicAcls": true, "BlockPublicPolicy": true, "IgnorePublicAcls": true, "RestrictPublicBuckets": true,
            }),
        ),
    ]
}

impl ControlledResources for S3 {
    fn types(&self) -> &'static [&'static str] {
        &[BUCKET, POLICY]
    }

    fn create(&self, region: &str, type_name: &str, properties: &Value) -> Result<String, ApiError> {
        let exists = |name: &str| {
            let message = format!("Resource of type '{type_name}' with identifier '{name}' already exists.");
            ApiError::new(400, "AlreadyExists", message)
        };
        if type_name == POLICY {
            let name = properties["Bucket"].as_str().unwrap_or_default();
            if !self.state.now().bucket(name)?.policy().is_empty() {
                return Err(exists(name));
            }
            self.set_policy(name, Some(&properties["PolicyDocument"]))?;
            return Ok(name.to_owned());
        }
        let name = properties["BucketName"].as_str().unwrap_or_default();
        if self.state.now().bucket(name).is_ok() {
            return Err(exists(name));
        }
        let (mut notifications, sends_to_bus) = from_property(&properties["NotificationConfiguration"])?;
        self.check_notifications(&mut notifications)?;
        self.check_receivers(name, &notifications, &[])?;
        let bucket = Bucket {
            region: region.to_owned(),
            created: now_millis(),
            tags: tags_of(properties),
            notifications,
            sends_to_bus,
            settings: BTreeMap::new(),
            properties: kept(properties),
        };
        self.add_bucket(name, bucket)?;
        Ok(name.to_owned())
    }

    fn read(&self, region: &str, type_name: &str, identifier: &str) -> Option<Value> {
        let state = self.state.now();
        let bucket = state.bucket(identifier).ok().filter(|bucket| bucket.region == region)?;
        if type_name == POLICY {
            let document: Value = serde_json::from_str(bucket.policy()).ok()?;
            return Some(json!({ "Bucket": identifier, "PolicyDocument": document }));
        }
        let mut properties = bucket.properties.clone();
        for (name, value) in defaults() {
            properties.entry(name).or_insert(value);
        }
        for (name, value) in [
            ("Arn", arn(identifier)),
            ("BucketName", identifier.to_owned()),
            ("DomainName", format!("{identifier}.s3.amazonaws.com")),
            ("DualStackDomainName", format!("{identifier}.s3.dualstack.{region}.amazonaws.com")),
            ("RegionalDomainName", format!("{identifier}.s3.{region}.amazonaws.com")),
            ("WebsiteURL", format!("http://{identifier}.s3-website-{region}.amazonaws.com")),
        ] {
            properties.insert(name.to_owned(), value.into());
        }
        properties.extend(to_property(bucket).map(|value| ("NotificationConfiguration".to_owned(), value)));
        if !bucket.tags.is_empty() {
            let tags = bucket.tags.iter().map(|(key, value)| json!({ "Key": key, "Value": value }));
            properties.insert("Tags".to_owned(), tags.collect());
        }
        Some(properties.into())
    }

    fn update(&self, _region: &str, type_name: &str, identifier: &str, properties: &Value) -> Result<(), ApiError> {
        if type_name == POLICY {
            return self.set_policy(identifier, Some(&properties["PolicyDocument"]));
        }
        let old = self.state.now().bucket(identifier)?.notifications.clone();
        let (mut notifications, sends_to_bus) = from_property(&properties["NotificationConfiguration"])?;
        // Those that stay keep their ids.
        for one in &mut notifications {
            let known = old.iter().find(|known| {
                (&known.target, &known.prefix, &known.suffix) == (&one.target, &one.prefix, &one.suffix)
                    && known.events == one.events
            });
            one.id = known.map(|known| known.id.clone()).unwrap_or_default();
        }
        self.check_notifications(&mut notifications)?;
        self.check_receivers(identifier, &notifications, &old)?;
        self.state.change(|state| {
            let bucket = state.bucket_mut(identifier)?;
            bucket.notifications = notifications;
            bucket.sends_to_bus = sends_to_bus;
            bucket.tags = tags_of(properties);
            if bucket.properties != kept(properties) {
                bucket.forget_settings_of(properties);
            }
            bucket.properties = kept(properties);
            Ok(())
        })
    }

    fn delete(&self, _region: &str, type_name: &str, identifier: &str) -> Result<(), ApiError> {
        if type_name == POLICY {
            return self.set_policy(identifier, None);
        }
        self.remove_bucket(identifier)
    }

    fn list(&self, region: &str, type_name: &str) -> Vec<String> {
        let state = self.state.now();
        let of_region = state.buckets.iter().filter(|(_, bucket)| bucket.region == region);
        let wanted = of_region.filter(|(_, bucket)| type_name == BUCKET || !bucket.policy().is_empty());
        wanted.map(|(name, _)| name.clone()).collect()
    }
}

impl S3 {
    /// Gives a bucket a policy, or takes it away.
    fn set_policy(&self, name: &str, document: Option<&Value>) -> Result<(), ApiError> {
        let text = document.map(|document| match document {
            Value::String(text) => text.clone(),
            document => document.to_string(),
        });
        if let Some(text) = &text {
            super::settings::check_policy(text)?;
        }
        self.state.change(|state| {
            let bucket = state.buckets.get_mut(name).ok_or_else(|| error::no_bucket(name))?;
            match text {
                Some(text) => bucket.settings.insert("policy".to_owned(), text),
                None => bucket.settings.remove("policy"),
            };
            Ok(())
        })
    }
}

/// The properties that are only kept.
fn kept(properties: &Value) -> Map<String, Value> {
    let given = properties.as_object().into_iter().flatten();
    given
        .filter(|(name, value)| !OTHERS.contains(&name.as_str()) && !value.is_null())
        .map(|(name, value)| (name.clone(), value.clone()))
        .collect()
}
