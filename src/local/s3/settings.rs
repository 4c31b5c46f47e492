//! What a bucket is set to, besides its notifications and tags: kept as it was sent, and given back. A policy counts for callers
//! without a signature alone; encryption, lifecycle, versioning and the like change nothing here.

use serde_json::Value;

use super::buckets::empty;
use super::call::{Answer, Call};
use super::xml::{self, Element, element, leaf};
use super::{Bucket, S3, error};
use crate::local::protocol::wire::{ApiError, Response};

/// One sub-resource of a bucket.
struct Setting {
    name: &'static str,
    /// Where nothing was set: the document that stands for it, or an error's code and message.
    unset: Unset,
}

enum Unset {
    Document(&'static str),
    Error(&'static str, &'static str),
}

use Unset::{Document, Error};

/// (S3 API reference, the errors and answers of each `Get` operation.)
const SETTINGS: &[Setting] = &[
    Setting {
        name: "accelerate",
        unset: Document("<AccelerateConfiguration xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\"/>"),
    },
    Setting { name: "cors", unset: Error("NoSuchCORSConfiguration", "The CORS configuration does not exist") },
    Setting {
        name: "encryption",
        unset: Document(
            "<ServerSideEncryptionConfiguration xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\"><Rule>\
             <ApplyServerSideEncryptionByDefault><SSEAlgorithm>AES256</SSEAlgorithm></ApplyServerSideEncryptionByDefault>\
             <BucketKeyEnabled>false</BucketKeyEnabled></Rule></ServerSideEncryptionConfiguration>",
        ),
    },
    Setting {
        name: "lifecycle",
        unset: Error("NoSuchLifecycleConfiguration", "The lifecycle configuration does not exist"),
    },
    Setting {
        name: "logging",
        unset: Document("<BucketLoggingStatus xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\"/>"),
    },
    Setting {
        name: "ownershipControls",
        unset: Document(
            "<OwnershipControls xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\"><Rule>\
             <ObjectOwnership>BucketOwnerEnforced</ObjectOwnership></Rule></OwnershipControls>",
        ),
    },
    Setting { name: "policy", unset: Error("NoSuchBucketPolicy", "The bucket policy does not exist") },
    Setting {
        name: "publicAccessBlock",
        unset: Document(
            "<PublicAccessBlockConfiguration xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\"><BlockPublicAcls>true\
             </BlockPublicAcls><IgnorePublicAcls>true</IgnorePublicAcls><BlockPublicPolicy>true</BlockPublicPolicy>\
             <RestrictPublicBuckets>true</RestrictPublicBuckets></PublicAccessBlockConfiguration>",
        ),
    },
    Setting {
        name: "requestPayment",
        unset: Document(
            "<RequestPaymentConfiguration xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\"><Payer>BucketOwner</Payer>\
             </RequestPaymentConfiguration>",
        ),
    },
    Setting {
        name: "versioning",
        unset: Document("<VersioningConfiguration xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\"/>"),
    },
    Setting {
        name: "website",
        unset: Error("NoSuchWebsiteConfiguration", "The specified bucket does not have a website configuration"),
    },
];

/// The setting that a call is about: its query names it.
fn setting_of(call: &Call<'_>) -> Result<&'static Setting, ApiError> {
    let asked = |setting: &&Setting| call.query(setting.name).is_some();
    SETTINGS.iter().find(asked).ok_or_else(|| error::not_here(call.operation))
}

impl S3 {
    pub fn get_setting(&self, call: &Call<'_>) -> Answer {
        let setting = setting_of(call)?;
        let state = self.state.now();
        let bucket = state.bucket(call.bucket)?;
        let stated = bucket.settings.get(setting.name).cloned().or_else(|| bucket.of_property(setting.name));
        match (stated, &setting.unset) {
            (Some(document), _) if setting.name == "policy" => {
                Ok(Response::new(200, "application/json", document.into()))
            }
            (Some(document), _) => Ok(xml::document(document)),
            (None, Document(document)) => Ok(xml::document((*document).to_owned())),
            (None, Error(code, message)) => Err(ApiError::new(404, *code, *message).with("BucketName", call.bucket)),
        }
    }

    pub fn put_setting(&self, call: &Call<'_>) -> Answer {
        let setting = setting_of(call)?;
        let document = String::from_utf8(call.request.body.to_vec()).map_err(|_| error::malformed())?;
        if setting.name == "policy" {
            check_policy(&document)?;
        } else {
            Element::read(document.as_bytes())?;
        }
        self.state.change(|state| {
            state.bucket_mut(call.bucket)?.settings.insert(setting.name.to_owned(), document);
            Ok(())
        })?;
        Ok(empty(if setting.name == "policy" { 204 } else { 200 }))
    }

    pub fn delete_setting(&self, call: &Call<'_>) -> Answer {
        let setting = setting_of(call)?;
        self.state.change(|state| {
            let bucket = state.bucket_mut(call.bucket)?;
            bucket.settings.remove(setting.name);
            let property = OF_PROPERTIES.iter().find(|(known, _)| *known == setting.name);
            property.map(|(_, property)| bucket.properties.shift_remove(*property));
            Ok(())
        })?;
        Ok(empty(204))
    }
}

/// Refuses a policy that is none.
///
/// # Errors
/// `MalformedPolicy`.
pub fn check_policy(document: &str) -> Result<(), ApiError> {
    let refused = |message: &str| Err(ApiError::new(400, "MalformedPolicy", message));
    let Ok(policy) = serde_json::from_str::<Value>(document) else {
        return refused("Policies must be valid JSON and the first byte must be '{'");
    };
    if !policy.is_object() {
        return refused("Policies must be valid JSON and the first byte must be '{'");
    }
    if policy.get("Statement").is_none() {
        return refused("Missing required field Statement");
    }
    Ok(())
}

/// Settings of which S3 tells what a template says: the sub-resource, and the property.
const OF_PROPERTIES: &[(&str, &str)] = &[
    ("cors", "CorsConfiguration"),
    ("ownershipControls", "OwnershipControls"),
    ("publicAccessBlock", "PublicAccessBlockConfiguration"),
    ("versioning", "VersioningConfiguration"),
];

impl Bucket {
    /// The document of a setting that the template gave.
    fn of_property(&self, setting: &str) -> Option<String> {
        let (_, name) = OF_PROPERTIES.iter().find(|(known, _)| *known == setting)?;
        let property = self.properties.get(*name)?;
        let of_s3 = |root: &str, inner: &str| {
            format!("<{root} xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\">{inner}</{root}>")
        };
        match setting {
            "cors" => self.cors_of_property(),
            "ownershipControls" => {
                let rule = leaf("ObjectOwnership", property["Rules"][0]["ObjectOwnership"].as_str()?);
                Some(of_s3("OwnershipControls", &element("Rule", &rule)))
            }
            "publicAccessBlock" => {
                let names = ["BlockPublicAcls", "IgnorePublicAcls", "BlockPublicPolicy", "RestrictPublicBuckets"];
                let inner: String =
                    names.iter().map(|name| leaf(name, property[*name].as_bool().unwrap_or_default())).collect();
                Some(of_s3(name, &inner))
            }
            _ => Some(of_s3(name, &leaf("Status", property["Status"].as_str()?))),
        }
    }

    /// Drops the settings of calls in whose place a template's come.
    pub fn forget_settings_of(&mut self, properties: &Value) {
        for (setting, property) in OF_PROPERTIES {
            if !properties[*property].is_null() {
                self.settings.remove(*setting);
            }
        }
    }

    /// The policy; empty for none.
    pub fn policy(&self) -> &str {
        self.settings.get("policy").map_or("", String::as_str)
    }

    /// Whether a policy lets only callers of the account in, as those of new buckets do not.
    pub fn restricts_public(&self) -> bool {
        match self.settings.get("publicAccessBlock") {
            Some(document) => Element::read(document.as_bytes())
                .is_ok_and(|root| root.text_of("RestrictPublicBuckets").is_some_and(|value| value == "true")),
            None => match self.properties.get("PublicAccessBlockConfiguration") {
                Some(block) => block["RestrictPublicBuckets"].as_bool().unwrap_or_default(),
                None => true,
            },
        }
    }
}
