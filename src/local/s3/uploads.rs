//! Uploads in parts.

use std::fs::File;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use super::buckets::{empty, most, owner};
use super::call::{Answer, Call};
use super::checksum::Algorithm;
use super::content;
use super::events::What;
use super::objects::{Attributes, Object, Objects};
use super::objects_api::{attributes_of, copied, range};
use super::xml::{Element, answer, element, leaf};
use super::{S3, error};
use crate::local::context::clock::iso8601;
use crate::local::protocol::wire::ApiError;

/// The most parts, and the smallest one but for the last (S3 user guide, "Amazon S3 multipart upload limits").
const MAX_PARTS: u32 = 10_000;
const SMALLEST: u64 = 5 << 20;

impl S3 {
    pub fn create_multipart_upload(&self, call: &Call<'_>) -> Answer {
        self.state.now().bucket(call.bucket)?;
        self.check_acl(call)?;
        let mut attributes = attributes_of(call)?;
        let algorithm = call.header("x-amz-checksum-algorithm").and_then(Algorithm::named);
        let composite = call.header("x-amz-checksum-type").map(|kind| kind == "COMPOSITE");
        attributes.checksum = algorithm.map(|algorithm| (algorithm.name().to_owned(), String::new()));
        attributes.is_composite = composite.unwrap_or(algorithm != Some(Algorithm::Crc64Nvme));
        let id = self.objects.begin(call.bucket, call.key, &attributes)?;
        let inner = format!("{}{}{}", leaf("Bucket", call.bucket), leaf("Key", call.key), leaf("UploadId", id));
        let mut response = answer("InitiateMultipartUploadResult", &inner);
        if let Some(algorithm) = algorithm {
            let kind = if attributes.is_composite { "COMPOSITE" } else { "FULL_OBJECT" };
            response = response
                .with_header("x-amz-checksum-algorithm", algorithm.name())
                .with_header("x-amz-checksum-type", kind);
        }
        Ok(response)
    }

    pub fn upload_part(&self, call: &Call<'_>) -> Answer {
        let (upload, number) = self.part_of(call)?;
        let file = Objects::new_name();
        let content = content::receive(call.request, &self.objects.folder().join(&file))?;
        let checksum = content.checksum.clone();
        let attributes = Attributes {
            checksum: checksum.clone().map(|(algorithm, value)| (algorithm.name().to_owned(), value)),
            ..Attributes::default()
        };
        let part = Object::new("", file, &content, attributes);
        self.kept(&part.file, self.objects.put_part(&upload, number, &part))?;
        let mut response = empty(200).with_header("etag", &format!("\"{}\"", part.etag));
        if let Some((algorithm, value)) = checksum {
            response = response.with_header(algorithm.header(), &value);
        }
        Ok(response)
    }

    pub fn upload_part_copy(&self, call: &Call<'_>) -> Answer {
        let (upload, number) = self.part_of(call)?;
        let (_, source, from) = self.source_of(call)?;
        let asked = range(call.header("x-amz-copy-source-range"), source.size)?;
        let (start, length) = asked.unwrap_or((0, source.size));
        let file = Objects::new_name();
        let algorithm = self.objects.upload(call.bucket, call.key, &upload)?.attributes.checksum;
        let algorithm = algorithm.and_then(|(name, _)| Algorithm::named(&name));
        let to = self.objects.folder().join(&file);
        let content = content::copy(from, start, length, &to, algorithm)?;
        let checksum = content.checksum.clone().map(|(algorithm, value)| (algorithm.name().to_owned(), value));
        let part = Object::new("", file, &content, Attributes { checksum, ..Attributes::default() });
        self.kept(&part.file, self.objects.put_part(&upload, number, &part))?;
        Ok(answer("CopyPartResult", &copied(&part)))
    }

    /// The upload and the number of a part.
    fn part_of(&self, call: &Call<'_>) -> Result<(String, u32), ApiError> {
        self.state.now().bucket(call.bucket)?;
        let id = call.query("uploadId").unwrap_or_default();
        let upload = self.objects.upload(call.bucket, call.key, id)?;
        let number =
            call.query("partNumber").and_then(|number| number.parse().ok()).filter(|n| (1..=MAX_PARTS).contains(n));
        let number = number.ok_or_else(|| {
            error::invalid(format!("Part number must be an integer between 1 and {MAX_PARTS}, inclusive"))
        })?;
        Ok((upload.id, number))
    }

    pub fn complete_multipart_upload(&self, call: &Call<'_>) -> Answer {
        self.state.now().bucket(call.bucket)?;
        let id = call.query("uploadId").unwrap_or_default();
        let upload = self.objects.upload(call.bucket, call.key, id)?;
        self.check_write(call, self.objects.get(call.bucket, call.key).ok().as_ref())?;
        let sent = Element::read(&call.request.body)?;
        let uploaded = self.objects.parts(id)?;
        let mut parts: Vec<&Object> = Vec::new();
        let mut last = 0;
        for named in sent.all("Part") {
            let number: u32 =
                named.text_of("PartNumber").and_then(|number| number.parse().ok()).ok_or_else(error::malformed)?;
            if number <= last {
                let message = "The list of parts was not in ascending order. Parts must be ordered by part number.";
                return Err(ApiError::new(400, "InvalidPartOrder", message));
            }
            last = number;
            let etag = named.text_of("ETag").unwrap_or_default().trim_matches('"');
            let part = uploaded.get(&number).filter(|part| part.etag == etag);
            parts.push(part.ok_or_else(|| {
                let message = "One or more of the specified parts could not be found.  The part may not have been uploaded, or the \
                               specified entity tag may not match the part's entity tag.";
                ApiError::new(400, "InvalidPart", message).with("PartNumber", number.to_string())
            })?);
        }
        let Some((_, all_but_last)) = parts.split_last() else { return Err(error::malformed()) };
        if let Some(small) = all_but_last.iter().find(|part| part.size < SMALLEST) {
            let message = "Your proposed upload is smaller than the minimum allowed size";
            let error = ApiError::new(400, "EntityTooSmall", message).with("ProposedSize", small.size.to_string());
            return Err(error.with("MinSizeAllowed", SMALLEST.to_string()));
        }
        let object = self.joined(call.key, &parts, upload.attributes)?;
        self.put(call, &object)?;
        self.objects.end(id)?;
        self.tell(call, What::CompleteMultipartUpload, &object);
        let checksum = object.attributes.checksum.as_ref();
        let checksum = checksum.map(|(name, value)| leaf(&format!("Checksum{name}"), value)).unwrap_or_default();
        let place = format!("http://{}/{}/{}", self.context.client_authority(), call.bucket, call.key);
        let inner = format!(
            "{}{}{}{}{checksum}",
            leaf("Location", place),
            leaf("Bucket", call.bucket),
            leaf("Key", call.key),
            leaf("ETag", format!("\"{}\"", object.etag))
        );
        Ok(answer("CompleteMultipartUploadResult", &inner))
    }

    /// The object that parts make together.
    fn joined(&self, key: &str, parts: &[&Object], mut attributes: Attributes) -> Result<Object, ApiError> {
        let algorithm = attributes.checksum.take().and_then(|(name, _)| Algorithm::named(&name));
        let whole = algorithm.filter(|_| !attributes.is_composite);
        let file = Objects::new_name();
        let to = self.objects.folder().join(&file);
        let contents = parts.iter().map(|part| File::open(self.objects.path(part)));
        let content = content::join(contents, &to, whole);
        let content = content.map_err(|error| {
            self.drop_file(&file);
            error::broken(error)
        })?;
        let md5s: Vec<u8> = parts.iter().flat_map(|part| hex::decode(&part.etag).unwrap_or_default()).collect();
        attributes.checksum = match (algorithm, &content.checksum) {
            (_, Some((algorithm, value))) => Some((algorithm.name().to_owned(), value.clone())),
            (Some(algorithm), None) => {
                let of_part = |part: &&Object| STANDARD.decode(&part.attributes.checksum.as_ref()?.1).ok();
                let sums: Option<Vec<Vec<u8>>> = parts.iter().map(of_part).collect();
                sums.map(|sums| {
                    let mut sum = algorithm.sum();
                    sum.add(&sums.concat());
                    (algorithm.name().to_owned(), format!("{}-{}", sum.end(), parts.len()))
                })
            }
            (None, None) => None,
        };
        attributes.parts = Some(parts.len());
        let mut object = Object::new(key, file, &content, attributes);
        object.etag = format!("{:x}-{}", md5::compute(md5s), parts.len());
        Ok(object)
    }

    pub fn abort_multipart_upload(&self, call: &Call<'_>) -> Answer {
        self.state.now().bucket(call.bucket)?;
        let id = call.query("uploadId").unwrap_or_default();
        self.objects.upload(call.bucket, call.key, id)?;
        self.objects.end(id)?;
        Ok(empty(204))
    }

    pub fn list_parts(&self, call: &Call<'_>) -> Answer {
        self.state.now().bucket(call.bucket)?;
        let id = call.query("uploadId").unwrap_or_default();
        self.objects.upload(call.bucket, call.key, id)?;
        let most = most(call.query("max-parts"), "max-parts", 1000)?;
        let after: u32 = call.query("part-number-marker").and_then(|marker| marker.parse().ok()).unwrap_or_default();
        let parts = self.objects.parts(id)?;
        let wanted: Vec<_> = parts.range(after.saturating_add(1)..).collect();
        let mut inner = format!(
            "{}{}{}{}{}{}",
            leaf("Bucket", call.bucket),
            leaf("Key", call.key),
            leaf("UploadId", id),
            leaf("PartNumberMarker", after),
            leaf("MaxParts", most),
            leaf("IsTruncated", wanted.len() > most)
        );
        if let Some((last, _)) = wanted.get(most.wrapping_sub(1)).filter(|_| wanted.len() > most) {
            inner.push_str(&leaf("NextPartNumberMarker", last));
        }
        for (number, part) in wanted.iter().take(most) {
            let described = format!("{}{}", copied(part), leaf("Size", part.size));
            inner.push_str(&element("Part", &format!("{}{described}", leaf("PartNumber", number))));
        }
        let owners = format!("{}{}", owner("Initiator"), owner("Owner"));
        Ok(answer("ListPartsResult", &format!("{inner}{owners}{}", leaf("StorageClass", "STANDARD"))))
    }

    pub fn list_multipart_uploads(&self, call: &Call<'_>) -> Answer {
        self.state.now().bucket(call.bucket)?;
        let prefix = call.query("prefix").unwrap_or_default();
        let uploads: String = self
            .objects
            .uploads(call.bucket)?
            .iter()
            .filter(|upload| upload.key.starts_with(prefix))
            .map(|upload| {
                let owners = format!("{}{}", owner("Initiator"), owner("Owner"));
                let inner = format!(
                    "{}{}{owners}{}{}",
                    leaf("Key", &upload.key),
                    leaf("UploadId", &upload.id),
                    leaf("StorageClass", "STANDARD"),
                    leaf("Initiated", iso8601(upload.begun))
                );
                element("Upload", &inner)
            })
            .collect();
        let inner = format!("{}{}{}", leaf("Bucket", call.bucket), leaf("Prefix", prefix), leaf("IsTruncated", false));
        Ok(answer("ListMultipartUploadsResult", &format!("{inner}{uploads}")))
    }
}
