//! S3 as the other services use it: its buckets' tags, and the code of functions.

use std::collections::BTreeMap;
use std::io::Read;

use super::{S3, arn, error};
use crate::local::context::ports::{ObjectStore, Tagged, TaggedResources};
use crate::local::protocol::wire::ApiError;

impl TaggedResources for S3 {
    fn tagged(&self, region: &str) -> Result<Vec<Tagged>, ApiError> {
        let state = self.state.now();
        let of_region = state.buckets.iter().filter(|(_, bucket)| bucket.region == region);
        // The Tagging API calls buckets by their service alone.
        let tagged = of_region.map(|(name, bucket)| Tagged {
            type_name: "s3".to_owned(),
            arn: arn(name),
            tags: bucket.tags.clone(),
        });
        Ok(tagged.collect())
    }

    fn retag(&self, arn: &str, set: &BTreeMap<String, String>, removed: &[String]) -> Result<bool, ApiError> {
        let Some(name) = arn.strip_prefix(&self::arn("")) else { return Ok(false) };
        self.state.change(|state| {
            let bucket = state.bucket_mut(name)?;
            bucket.tags.extend(set.clone());
            bucket.tags.retain(|key, _| !removed.contains(key));
            Ok(true)
        })
    }
}

impl ObjectStore for S3 {
    fn read(&self, bucket: &str, key: &str, most: u64) -> Result<Vec<u8>, ApiError> {
        self.state.now().bucket(bucket)?;
        let (object, mut file) = self.objects.open_object(bucket, key)?;
        if object.size > most {
            let message = "Your proposed upload exceeds the maximum allowed size";
            return Err(ApiError::new(400, "EntityTooLarge", message));
        }
        let mut content = Vec::new();
        file.read_to_end(&mut content).map_err(error::broken)?;
        Ok(content)
    }

    fn hosts(&self) -> Vec<String> {
        let state = self.state.now();
        let hosts = state.buckets.iter().flat_map(|(name, bucket)| {
            let region = &bucket.region;
            let china = if region.starts_with("cn-") { ".cn" } else { "" };
            [format!("{name}.s3.{region}.amazonaws.com{china}"), format!("{name}.s3.amazonaws.com{china}")]
        });
        hosts.collect()
    }
}
