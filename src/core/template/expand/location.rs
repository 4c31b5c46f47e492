//! Where local files and objects in S3 are named: `CodeUri`, `ContentUri`, `DefinitionUri`.

use serde_json::{Value, json};

use super::expansion::Expansion;
use super::shape::truthy;

/// `uri` in the form of `Code`: an object in S3, or a local path. It is the value of `property`.
pub fn code_at(expansion: &mut Expansion<'_>, property: &'static str, uri: &Value) -> Option<Value> {
    let code = match uri {
        Value::String(uri) if uri.contains("{{resolve:") => Err("cannot be a dynamic reference"),
        Value::String(uri) if uri.starts_with("s3://") => {
            in_s3(uri).ok_or("is not an S3 Uri of the form s3://bucket/key or s3://bucket/key?versionId=version")
        }
        Value::String(uri) => Ok(uri.clone().into()),
        Value::Object(place) => {
            let parts = [
                ("S3Bucket", "Bucket"),
                ("S3Key", "Key"),
                ("S3ObjectVersion", "Version"),
                ("S3ObjectStorageMode", "StorageMode"),
            ];
            let given = parts.into_iter().filter_map(|(made, name)| Some((made.to_owned(), place.get(name)?.clone())));
            let whole = ["Bucket", "Key"].iter().all(|name| place.get(*name).is_some_and(truthy));
            if whole { Ok(given.collect()) } else { Err("as a map needs a Bucket and a Key") }
        }
        _ => Err("must be a string (a path here, or an address in S3) or a map"),
    };
    match code {
        Ok(code) => Some(code),
        Err(what) => {
            expansion.problem(property, format!("{property} {what}"));
            None
        }
    }
}

/// `s3://bucket/key?versionId=version` in the form of `Code`.
fn in_s3(uri: &str) -> Option<Value> {
    let uri = uri.strip_prefix("s3://")?;
    let uri = uri.split_once('#').map_or(uri, |(uri, _)| uri);
    let (place, query) = uri.split_once('?').unwrap_or((uri, ""));
    let (bucket, key) = place.split_once('/').filter(|(bucket, _)| !bucket.is_empty())?;
    let mut code = json!({ "S3Bucket": bucket, "S3Key": key.trim_start_matches('/') });
    let mut versions =
        form_urlencoded::parse(query.as_bytes()).filter(|(name, value)| name == "versionId" && !value.is_empty());
    if let (Some((_, version)), None) = (versions.next(), versions.next()) {
        code["S3ObjectVersion"] = version.into();
    }
    Some(code)
}
