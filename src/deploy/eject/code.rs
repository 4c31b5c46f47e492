//! Code on its way to where CloudFormation finds it: a bucket of the user's.

use std::collections::BTreeMap;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;

use super::{EjectError, sam_key};
use crate::aws::client::Aws;
use crate::core::stack::{Code, Stack};
use crate::core::types::S3Object;
use crate::deploy::execute::Zips;
use crate::package::{self, Source};

/// The code of one function or layer.
#[derive(Debug, Clone)]
pub struct CodeUpload {
    /// The logical id that the user's template gives it.
    pub declared_as: String,
    pub object: S3Object,
    bytes: Bytes,
}

/// The code of `stack` that lies on this machine, which is what AWS runs, and where it goes in the bucket. A key tells the content: it is
/// SAM's if that would upload the same. `code` is what the zips were made from.
pub fn uploads(stack: &Stack, code: &[package::Code], zips: &Zips, bucket: &str) -> Vec<CodeUpload> {
    let local = stack.resources.values().filter(|resource| matches!(resource.code, Some(Code::Local(_))));
    let mut uploads: BTreeMap<String, CodeUpload> = BTreeMap::new();
    for resource in local {
        let Some(zip) = zips.get(&resource.logical_id) else { continue };
        let digest = STANDARD.decode(&zip.sha256).map(hex::encode).unwrap_or_default();
        let name = of_sam(code, &resource.logical_id, &zip.bytes).unwrap_or_else(|| format!("{digest}.zip"));
        let key = format!("{}/{name}", stack.scope.stack);
        let object = zip.object.clone().unwrap_or(S3Object { bucket: bucket.to_owned(), key, version: None });
        let (declared_as, bytes) = (resource.declared_as.clone(), zip.bytes.clone());
        uploads.insert(declared_as.clone(), CodeUpload { declared_as, object, bytes });
    }
    uploads.into_values().collect()
}

/// What SAM's CLI calls the code of a function or layer, if it would upload what this zip has.
fn of_sam(code: &[package::Code], logical_id: &str, zip: &[u8]) -> Option<String> {
    let code = code.iter().find(|code| code.logical_id == logical_id)?;
    let Source::Path(named) = &code.source else { return None };
    sam_key::digest(&sam_key::uploaded_folder(&code.template, &code.declared_as, named), zip)
}

impl CodeUpload {
    /// The places of uploads, by the logical id that the user's template gives.
    pub fn places(uploads: &[Self]) -> BTreeMap<String, (String, String)> {
        let place = |one: &Self| (one.declared_as.clone(), (one.object.bucket.clone(), one.object.key.clone()));
        uploads.iter().map(place).collect()
    }

    /// Puts the code into its bucket, over the same that may be there.
    ///
    /// # Errors
    /// Why S3 does not take it.
    pub async fn put(&self, aws: &Aws) -> Result<(), EjectError> {
        let put = async { aws.s3().await?.put(&self.object, self.bytes.clone()).await };
        let what = || format!("the code of {} cannot be put into {}", self.declared_as, self.object);
        put.await.map(drop).map_err(|error| EjectError::S3 { what: what(), error })
    }
}
