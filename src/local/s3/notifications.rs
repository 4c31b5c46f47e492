//! The notifications that a bucket is configured to send: in S3's XML and in CloudFormation's properties, and what S3 refuses.
//! (S3 user guide, "Amazon S3 Event Notifications".)

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use super::buckets::empty;
use super::events::{PRINCIPAL, test_event};
use super::operations::{Answer, Call};
use super::xml::{Element, answer, element, leaf};
use super::{Bucket, S3, arn, error};
use crate::local::context::ports::Delivery;
use crate::local::protocol::wire::ApiError;

/// The events of S3's: groups, and what is in them.
const EVENTS: &[(&str, &[&str])] = &[
    ("IntelligentTiering", &[]),
    ("LifecycleExpiration", &["Delete", "DeleteMarkerCreated"]),
    ("LifecycleTransition", &[]),
    ("ObjectAcl", &["Put"]),
    ("ObjectCreated", &["CompleteMultipartUpload", "Copy", "Post", "Put"]),
    ("ObjectRemoved", &["Delete", "DeleteMarkerCreated"]),
    ("ObjectRestore", &["Completed", "Delete", "Post"]),
    ("ObjectTagging", &["Delete", "Put"]),
    ("ReducedRedundancyLostObject", &[]),
    (
        "Replication",
        &[
            "OperationFailedReplication",
            "OperationMissedThreshold",
            "OperationNotTracked",
            "OperationReplicatedAfterThreshold",
        ],
    ),
    ("TestEvent", &[]),
];

/// The kinds of receivers: the service in their ARNs, the elements of S3's XML, and CloudFormation's properties.
struct Kind {
    service: &'static str,
    element: &'static str,
    target: &'static str,
    property: &'static str,
    property_target: &'static str,
}

const KINDS: [Kind; 3] = [
    Kind {
        service: "lambda",
        element: "CloudFunctionConfiguration",
        target: "CloudFunction",
        property: "LambdaConfigurations",
        property_target: "Function",
    },
    Kind {
        service: "sqs",
        element: "QueueConfiguration",
        target: "Queue",
        property: "QueueConfigurations",
        property_target: "Queue",
    },
    Kind {
        service: "sns",
        element: "TopicConfiguration",
        target: "Topic",
        property: "TopicConfigurations",
        property_target: "Topic",
    },
];

/// One notification: which events go where.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Notification {
    pub id: String,
    /// The ARN of the receiver.
    pub target: String,
    /// `s3:ObjectCreated:*`.
    pub events: Vec<String>,
    /// What keys must begin and end with.
    pub prefix: String,
    pub suffix: String,
}

impl Notification {
    /// Whether it is sent for an event (`ObjectCreated:Put`) of an object.
    pub fn fits(&self, event: &str, key: &str) -> bool {
        let of_event = |pattern: &String| {
            let pattern = pattern.strip_prefix("s3:").unwrap_or(pattern);
            pattern == event || pattern.strip_suffix('*').is_some_and(|group| event.starts_with(group))
        };
        key.starts_with(&self.prefix) && key.ends_with(&self.suffix) && self.events.iter().any(of_event)
    }

    pub fn service(&self) -> &str {
        self.target.split(':').nth(2).unwrap_or_default()
    }

    /// Sets a rule of a filter.
    fn filter(&mut self, name: &str, value: &str) -> Result<(), ApiError> {
        match name.to_ascii_lowercase().as_str() {
            "prefix" => value.clone_into(&mut self.prefix),
            "suffix" => value.clone_into(&mut self.suffix),
            _ => return Err(error::invalid("filter rule name must be either prefix or suffix")),
        }
        Ok(())
    }

    /// Whether an object could have one event that both are sent for.
    fn overlaps(&self, other: &Self) -> bool {
        let kinds = |event: &str| {
            let name = event.strip_prefix("s3:").unwrap_or(event).to_owned();
            name.strip_suffix(":*").map_or(name.clone(), |group| format!("{group}:"))
        };
        let same = |one: &String, another: &String| {
            let (one, another) = (kinds(one), kinds(another));
            one.starts_with(&another) || another.starts_with(&one)
        };
        let events = self.events.iter().any(|one| other.events.iter().any(|another| same(one, another)));
        let prefixes = self.prefix.starts_with(&other.prefix) || other.prefix.starts_with(&self.prefix);
        let suffixes = self.suffix.ends_with(&other.suffix) || other.suffix.ends_with(&self.suffix);
        events && prefixes && suffixes
    }
}

fn is_event(name: &str) -> bool {
    let Some(name) = name.strip_prefix("s3:") else { return false };
    let (group, event) = name.split_once(':').unwrap_or((name, ""));
    EVENTS.iter().any(|(known, events)| {
        *known == group && (if event.is_empty() { events.is_empty() } else { event == "*" || events.contains(&event) })
    })
}

/// Reads S3's XML.
fn from_xml(root: &Element) -> Result<(Vec<Notification>, bool), ApiError> {
    let mut all = Vec::new();
    for kind in &KINDS {
        for sent in root.all(kind.element) {
            let mut one = Notification {
                id: sent.text_of("Id").unwrap_or_default().to_owned(),
                target: sent.text_of(kind.target).ok_or_else(error::malformed)?.to_owned(),
                events: sent.all("Event").map(|event| event.text.trim().to_owned()).collect(),
                ..Notification::default()
            };
            let rules = sent.child("Filter").and_then(|filter| filter.child("S3Key"));
            for rule in rules.into_iter().flat_map(|rules| rules.all("FilterRule")) {
                one.filter(
                    rule.text_of("Name").unwrap_or_default(),
                    rule.child("Value").map_or("", |value| &value.text),
                )?;
            }
            all.push(one);
        }
    }
    Ok((all, root.child("EventBridgeConfiguration").is_some()))
}

/// Writes S3's XML.
fn to_xml(bucket: &Bucket) -> String {
    let mut inner = String::new();
    for kind in &KINDS {
        for one in bucket.notifications.iter().filter(|one| one.service() == kind.service) {
            let events: String = one.events.iter().map(|event| leaf("Event", event)).collect();
            let rules: String = [("Prefix", &one.prefix), ("Suffix", &one.suffix)]
                .iter()
                .filter(|(_, value)| !value.is_empty())
                .map(|(name, value)| element("FilterRule", &format!("{}{}", leaf("Name", name), leaf("Value", value))))
                .collect();
            let filter = if rules.is_empty() { rules } else { element("Filter", &element("S3Key", &rules)) };
            let described = format!("{}{}{events}{filter}", leaf("Id", &one.id), leaf(kind.target, &one.target));
            inner.push_str(&element(kind.element, &described));
        }
    }
    if bucket.sends_to_bus {
        inner.push_str("<EventBridgeConfiguration/>");
    }
    inner
}

/// Reads CloudFormation's property `NotificationConfiguration`.
///
/// # Errors
/// `InvalidArgument`.
pub fn from_property(property: &Value) -> Result<(Vec<Notification>, bool), ApiError> {
    let mut all = Vec::new();
    for kind in &KINDS {
        for given in property[kind.property].as_array().into_iter().flatten() {
            let text = |member: &str| given[member].as_str().unwrap_or_default().to_owned();
            let mut one = Notification {
                target: text(kind.property_target),
                events: vec![text("Event")],
                ..Notification::default()
            };
            for rule in given["Filter"]["S3Key"]["Rules"].as_array().into_iter().flatten() {
                let text = |member: &str| rule[member].as_str().unwrap_or_default();
                one.filter(text("Name"), text("Value"))?;
            }
            all.push(one);
        }
    }
    let bus = property.get("EventBridgeConfiguration").is_some_and(|bus| bus["EventBridgeEnabled"] != false);
    Ok((all, bus))
}

/// Writes CloudFormation's property; `None` where nothing is configured.
pub fn to_property(bucket: &Bucket) -> Option<Value> {
    let mut property = Map::new();
    for kind in &KINDS {
        let of_kind = bucket.notifications.iter().filter(|one| one.service() == kind.service);
        let given: Vec<Value> = of_kind
            .flat_map(|one| one.events.iter().map(move |event| (one, event)))
            .map(|(one, event)| {
                let mut given = json!({ "Event": event, kind.property_target: one.target });
                let rules: Vec<Value> = [("prefix", &one.prefix), ("suffix", &one.suffix)]
                    .iter()
                    .filter(|(_, value)| !value.is_empty())
                    .map(|(name, value)| json!({ "Name": name, "Value": value }))
                    .collect();
                if !rules.is_empty() {
                    given["Filter"] = json!({ "S3Key": { "Rules": rules } });
                }
                given
            })
            .collect();
        if !given.is_empty() {
            property.insert(kind.property.to_owned(), given.into());
        }
    }
    if bucket.sends_to_bus {
        property.insert("EventBridgeConfiguration".to_owned(), json!({ "EventBridgeEnabled": true }));
    }
    (!property.is_empty()).then_some(property.into())
}

impl S3 {
    pub fn get_bucket_notification_configuration(&self, call: &Call<'_>) -> Answer {
        let state = self.state.now();
        Ok(answer("NotificationConfiguration", &to_xml(state.bucket(call.bucket)?)))
    }

    pub fn put_bucket_notification_configuration(&self, call: &Call<'_>) -> Answer {
        let old = self.state.now().bucket(call.bucket)?.notifications.clone();
        let (mut wanted, bus) = from_xml(&Element::read(&call.request.body)?)?;
        self.check_notifications(&mut wanted)?;
        if call.header("x-amz-skip-destination-validation") != Some("true") {
            self.check_receivers(call.bucket, &wanted, &old)?;
        }
        self.state.change(|state| {
            let bucket = state.bucket_mut(call.bucket)?;
            bucket.notifications = wanted;
            bucket.sends_to_bus = bus;
            Ok(())
        })?;
        Ok(empty(200))
    }

    /// Checks notifications, and gives those an id that have none.
    ///
    /// # Errors
    /// `InvalidArgument`.
    pub fn check_notifications(&self, all: &mut [Notification]) -> Result<(), ApiError> {
        for one in all.iter_mut() {
            if one.id.is_empty() {
                one.id = uuid::Uuid::new_v4().to_string();
            }
            if one.events.is_empty() {
                return Err(error::malformed());
            }
            if let Some(unknown) = one.events.iter().find(|event| !is_event(event)) {
                let message = format!("The event '{unknown}' is not supported for notifications");
                return Err(error::invalid(message));
            }
            if !KINDS.iter().any(|kind| kind.service == one.service()) {
                return Err(error::invalid("The ARN is not well formed").with("ArgumentValue", one.target.as_str()));
            }
        }
        for (index, one) in all.iter().enumerate() {
            if all[..index].iter().any(|other| one.overlaps(other)) {
                return Err(error::invalid(
                    "Configuration is ambiguously defined. Cannot have overlapping suffixes in two rules if the prefixes are \
                     overlapping for the same event type.",
                ));
            }
        }
        Ok(())
    }

    /// Checks that S3 may send to the receivers of new notifications. Queues and topics get a test event, as on AWS.
    ///
    /// # Errors
    /// `InvalidArgument`.
    pub fn check_receivers(&self, bucket: &str, wanted: &[Notification], old: &[Notification]) -> Result<(), ApiError> {
        let is_new = |one: &&Notification| !old.iter().any(|known| known.target == one.target);
        for one in wanted.iter().filter(is_new) {
            let refused = |why: String| {
                let message = format!("Unable to validate the following destination configurations ({why})");
                Err(error::invalid(message).with("ArgumentName", one.target.as_str()))
            };
            if one.service() == "lambda" {
                if !self.receivers.functions.exists(&one.target) {
                    return refused(format!("there is no function {}", one.target));
                }
                if !self.receivers.functions.permits(&one.target, PRINCIPAL, &arn(bucket)) {
                    return refused(format!("the policy of {} does not let {PRINCIPAL} invoke it", one.target));
                }
                continue;
            }
            let Some(receiver) = self.receivers.others.iter().find(|receiver| receiver.service() == one.service())
            else {
                return refused(format!("there is no receiver {}", one.target));
            };
            let test = Delivery {
                body: test_event(bucket),
                subject: Some("Amazon S3 Notification".to_owned()),
                by: Some((PRINCIPAL, arn(bucket))),
                ..Delivery::default()
            };
            // Called where nothing can be awaited, too.
            let runtime = tokio::runtime::Handle::current();
            let delivered = std::thread::scope(|scope| {
                scope.spawn(|| runtime.block_on(receiver.deliver(&one.target, test))).join()
            });
            match delivered {
                Ok(Ok(())) => {}
                Ok(Err(error)) => return refused(error.message),
                Err(_) => return Err(error::broken("the test event's thread")),
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn one(events: &[&str], prefix: &str, suffix: &str) -> Notification {
        let events = events.iter().map(|event| (*event).to_owned()).collect();
        Notification { events, prefix: prefix.to_owned(), suffix: suffix.to_owned(), ..Notification::default() }
    }

    #[test]
    fn a_notification_is_for_events_and_keys() {
        let all = one(&["s3:ObjectCreated:*"], "in/", ".png");
        assert!(all.fits("ObjectCreated:Put", "in/a.png") && all.fits("ObjectCreated:Copy", "in/.png"));
        assert!(!all.fits("ObjectRemoved:Delete", "in/a.png") && !all.fits("ObjectCreated:Put", "out/a.png"));
        assert!(!all.fits("ObjectCreated:Put", "in/a.jpg"));
        let put = one(&["s3:ObjectCreated:Put", "s3:ObjectRemoved:Delete"], "", "");
        assert!(
            put.fits("ObjectCreated:Put", "x")
                && put.fits("ObjectRemoved:Delete", "x")
                && !put.fits("ObjectCreated:Copy", "x")
        );
    }

    #[test]
    fn two_for_the_same_event_must_be_apart() {
        for (other, expected) in [
            (one(&["s3:ObjectCreated:Put"], "in/", ""), true),
            (one(&["s3:ObjectCreated:*"], "in/deep/", ".png"), true),
            (one(&["s3:ObjectRemoved:*"], "in/", ".png"), false),
            (one(&["s3:ObjectCreated:*"], "out/", ".png"), false),
            (one(&["s3:ObjectCreated:*"], "in/", ".jpg"), false),
        ] {
            assert_eq!(one(&["s3:ObjectCreated:*"], "in/", ".png").overlaps(&other), expected, "{other:?}");
        }
    }

    #[test]
    fn events_have_names() {
        for (name, expected) in [
            ("s3:ObjectCreated:*", true),
            ("s3:ObjectCreated:Put", true),
            ("s3:ReducedRedundancyLostObject", true),
            ("s3:ObjectCreated", false),
            ("s3:ObjectCreated:Puts", false),
            ("ObjectCreated:Put", false),
        ] {
            assert_eq!(is_event(name), expected, "{name}");
        }
    }

    #[test]
    fn both_forms_say_the_same() {
        let property = json!({
            "LambdaConfigurations": [{
                "Event": "s3:ObjectCreated:*", "Function": "arn:aws:lambda:x:1:function:f",
                "Filter": { "S3Key": { "Rules": [{ "Name": "prefix", "Value": "a&b/" }] } },
            }],
            "QueueConfigurations": [{ "Event": "s3:ObjectRemoved:*", "Queue": "arn:aws:sqs:x:1:q" }],
            "EventBridgeConfiguration": { "EventBridgeEnabled": true },
        });
        let (notifications, sends_to_bus) = from_property(&property).unwrap();
        let bucket = Bucket { notifications, sends_to_bus, ..Bucket::default() };
        assert_eq!(to_property(&bucket), Some(property));
        let text = element("NotificationConfiguration", &to_xml(&bucket));
        assert_eq!(from_xml(&Element::read(text.as_bytes()).unwrap()).unwrap(), (bucket.notifications, true));
        assert_eq!(to_property(&Bucket::default()), None);
    }
}
