//! What a bucket tells of its objects: to functions, queues and topics in S3's own form, to EventBridge in its form.
//! (S3 user guide, "Event message structure", "EventBridge mapping".)

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use serde_json::{Value, json};
use uuid::Uuid;

use super::buckets::OWNER;
use super::call::Call;
use super::objects::Object;
use super::{S3, arn};
use crate::local::context::ACCOUNT;
use crate::local::context::clock::{iso8601, log_time, now_millis};
use crate::local::context::ports::Delivery;
use crate::local::protocol::wire::ApiError;

/// Whom the policies of receivers must let in.
pub const PRINCIPAL: &str = "s3.amazonaws.com";

/// What stays as it is in the key of an event, which is encoded as in a form.
const KEY: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'_').remove(b'.').remove(b'*').remove(b'/').remove(b' ');

/// What happened to an object.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum What {
    Put,
    Post,
    Copy,
    CompleteMultipartUpload,
    Delete,
    TaggingPut,
    TaggingDelete,
}

impl What {
    /// As in S3's notifications.
    fn name(self) -> &'static str {
        match self {
            Self::Put => "ObjectCreated:Put",
            Self::Post => "ObjectCreated:Post",
            Self::Copy => "ObjectCreated:Copy",
            Self::CompleteMultipartUpload => "ObjectCreated:CompleteMultipartUpload",
            Self::Delete => "ObjectRemoved:Delete",
            Self::TaggingPut => "ObjectTagging:Put",
            Self::TaggingDelete => "ObjectTagging:Delete",
        }
    }

    /// As on EventBridge: the type, and the reason, which is an operation.
    fn on_bus(self) -> (&'static str, Option<&'static str>) {
        match self {
            Self::Put => ("Object Created", Some("PutObject")),
            Self::Post => ("Object Created", Some("POST Object")),
            Self::Copy => ("Object Created", Some("CopyObject")),
            Self::CompleteMultipartUpload => ("Object Created", Some("CompleteMultipartUpload")),
            Self::Delete => ("Object Deleted", Some("DeleteObject")),
            Self::TaggingPut => ("Object Tags Added", None),
            Self::TaggingDelete => ("Object Tags Deleted", None),
        }
    }
}

/// The event that receivers get when a notification to them is configured.
pub fn test_event(bucket: &str) -> String {
    let (request, host) = (Uuid::new_v4().simple().to_string(), Uuid::new_v4().simple().to_string());
    json!({
        "Service": "Amazon S3",
        "Event": "s3:TestEvent",
        "Time": log_time(),
        "Bucket": bucket,
        "RequestId": request,
        "HostId": host,
    })
    .to_string()
}

impl S3 {
    /// Tells the receivers of a bucket's notifications what happened to an object, in the background. Must be called within a
    /// tokio runtime.
    pub fn tell(&self, call: &Call<'_>, what: What, object: &Object) {
        let state = self.state.now();
        let Ok(bucket) = state.bucket(call.bucket) else { return };
        // Later events of an object have a larger one.
        let sequencer = format!("{:016X}{:04X}", now_millis(), Uuid::new_v4().as_u128() as u16);
        // As on AWS, who it is, not the access key.
        let key = call.request.caller.access_key.as_deref();
        let caller = key.and_then(|key| Some(self.callers.get()?.principal(Some(key)).user_id));
        let principal = format!("AWS:{}", caller.as_deref().unwrap_or("ANONYMOUS"));
        for one in bucket.notifications.iter().filter(|one| one.fits(what.name(), &object.key)) {
            let event = record(call.bucket, &bucket.region, (what, object), (&one.id, &principal, &sequencer));
            let (target, service) = (one.target.clone(), one.service().to_owned());
            let source = arn(call.bucket);
            if service == "lambda" {
                let permitted = !self.receivers.functions.exists(&target)
                    || self.receivers.functions.permits(&target, PRINCIPAL, &source);
                let sent = match permitted {
                    true => self.receivers.functions.send_event(&target, event.to_string().into()),
                    false => Err(ApiError::new(
                        403,
                        "AccessDenied",
                        format!("its policy does not let {PRINCIPAL} invoke it"),
                    )),
                };
                lost(&source, &target, sent);
                continue;
            }
            let Some(receiver) = self.receivers.others.iter().find(|one| one.service() == service).cloned() else {
                continue;
            };
            tokio::spawn(async move {
                let delivery = Delivery {
                    body: event.to_string(),
                    subject: Some("Amazon S3 Notification".to_owned()),
                    by: Some((PRINCIPAL, source.clone())),
                    ..Delivery::default()
                };
                lost(&source, &target, receiver.deliver(&target, delivery).await);
            });
        }
        if bucket.sends_to_bus {
            self.receivers
                .bus
                .publish_event(&bucket.region, &on_bus(call.bucket, &bucket.region, what, object, &sequencer));
        }
    }
}

fn lost(source: &str, target: &str, sent: Result<(), ApiError>) {
    if let Err(error) = sent {
        tracing::warn!("{source} could not notify {target}: {}", error.message);
    }
}

/// An event in S3's form.
fn record(
    bucket: &str,
    region: &str,
    (what, object): (What, &Object),
    (configuration, principal, sequencer): (&str, &str, &str),
) -> Value {
    let key = utf8_percent_encode(&object.key, KEY).to_string().replace(' ', "+");
    let mut described = json!({ "key": key });
    if what != What::Delete {
        if !matches!(what, What::TaggingPut | What::TaggingDelete) {
            described["size"] = object.size.into();
        }
        described["eTag"] = object.etag.as_str().into();
    }
    described["sequencer"] = sequencer.into();
    json!({
        "Records": [{
            "eventVersion": "2.1",
            "eventSource": "aws:s3",
            "awsRegion": region,
            "eventTime": log_time(),
            "eventName": what.name(),
            "userIdentity": { "principalId": principal },
            "requestParameters": { "sourceIPAddress": "127.0.0.1" },
            "responseElements": {
                "x-amz-request-id": Uuid::new_v4().simple().to_string()[..16].to_uppercase(),
                "x-amz-id-2": Uuid::new_v4().simple().to_string(),
            },
            "s3": {
                "s3SchemaVersion": "1.0",
                "configurationId": configuration,
                "bucket": { "name": bucket, "ownerIdentity": { "principalId": &OWNER[..14] }, "arn": arn(bucket) },
                "object": described,
            },
        }],
    })
}

/// An event in EventBridge's form.
fn on_bus(bucket: &str, region: &str, what: What, object: &Object, sequencer: &str) -> Value {
    let (kind, reason) = what.on_bus();
    let mut described = json!({ "key": object.key });
    match what {
        What::Delete => {}
        What::TaggingPut | What::TaggingDelete => described["etag"] = object.etag.as_str().into(),
        _ => {
            described["size"] = object.size.into();
            described["etag"] = object.etag.as_str().into();
        }
    }
    if !matches!(what, What::TaggingPut | What::TaggingDelete) {
        described["sequencer"] = sequencer.into();
    }
    let mut detail = json!({
        "version": "0",
        "bucket": { "name": bucket },
        "object": described,
        "request-id": Uuid::new_v4().simple().to_string()[..16].to_uppercase(),
        "requester": ACCOUNT,
        "source-ip-address": "127.0.0.1",
    });
    if let Some(reason) = reason {
        detail["reason"] = reason.into();
    }
    if what == What::Delete {
        detail["deletion-type"] = "Permanently Deleted".into();
    }
    json!({
        "version": "0",
        "id": Uuid::new_v4().to_string(),
        "detail-type": kind,
        "source": "aws.s3",
        "account": ACCOUNT,
        "time": iso8601(now_millis()),
        "region": region,
        "resources": [arn(bucket)],
        "detail": detail,
    })
}
