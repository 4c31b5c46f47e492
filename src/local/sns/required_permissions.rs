//! The permissions that SNS's operations need (Service Authorization Reference, "Amazon SNS").

use super::TopicId;
use crate::core::iam::need::{Need, creation};
use crate::local::protocol::query::Query;
use crate::local::protocol::service::ServiceCall;

/// The operation on its topic; on all where it names none.
pub fn on_topic(call: &ServiceCall) -> Vec<Need> {
    let query = Query::read(&call.request);
    vec![Need::new(format!("sns:{}", call.operation.name), query.get("TopicArn").unwrap_or("*"))]
}

/// `CreateTopic`, and `TagResource` for its tags.
pub fn creating(call: &ServiceCall) -> Vec<Need> {
    let query = Query::read(&call.request);
    let arn = TopicId::new(call.region(), query.get("Name").unwrap_or_default()).arn();
    creation("sns:CreateTopic", "sns:TagResource", arn, &query.tags("Tags"))
}

/// `Publish`, of one message or several.
pub fn publishing(call: &ServiceCall) -> Vec<Need> {
    let query = Query::read(&call.request);
    let topic = query.get("TopicArn").or_else(|| query.get("TargetArn")).unwrap_or("*");
    vec![Need::new("sns:Publish", topic)]
}

/// The operation on the topic of its subscription.
pub fn on_subscription(call: &ServiceCall) -> Vec<Need> {
    let query = Query::read(&call.request);
    let topic = query.get("SubscriptionArn").and_then(TopicId::from_arn).map(|(topic, _)| topic.arn());
    vec![Need::new(format!("sns:{}", call.operation.name), topic.unwrap_or_else(|| "*".to_owned()))]
}

/// The operation on the resource whose tags it is about.
pub fn on_resource(call: &ServiceCall) -> Vec<Need> {
    let query = Query::read(&call.request);
    let need = Need::new(format!("sns:{}", call.operation.name), query.get("ResourceArn").unwrap_or("*"));
    vec![need.with_tags(query.tags("Tags"))]
}
