//! The table of SNS's operations, and how they run.

use async_trait::async_trait;
use futures_util::future::BoxFuture;

use super::Sns;
use super::required_permissions::{creating, on_resource, on_subscription, on_topic, publishing};
use crate::local::protocol::operation::OperationEffect::{Changes, Reads};
use crate::local::protocol::query::{Query, Xml, answer};
use crate::local::protocol::service::Permissions::Needs;
use crate::local::protocol::service::{self, Service, ServiceCall};
use crate::local::protocol::wire::{ApiError, Protocol, Response};

/// The XML namespace of answers.
const NAMESPACE: &str = "http://sns.amazonaws.com/doc/2010-03-31/";

pub type Answer = Result<Xml, ApiError>;

/// The function that runs an operation.
#[derive(Clone, Copy)]
pub enum Run {
    Now(fn(&Sns, &Query) -> Answer),
    /// It delivers.
    Later(for<'a> fn(&'a Sns, &'a Query) -> BoxFuture<'a, Answer>),
}

use Run::{Later, Now};

type Row = service::Row<Sns>;

const OPERATIONS: &[Row] = &[
    Row::named("CreateTopic", Changes, Needs(creating), Now(Sns::create_topic)),
    Row::named("DeleteTopic", Changes, Needs(on_topic), Now(Sns::delete_topic)),
    Row::named("GetSubscriptionAttributes", Reads, Needs(on_subscription), Now(Sns::get_subscription_attributes)),
    Row::named("GetTopicAttributes", Reads, Needs(on_topic), Now(Sns::get_topic_attributes)),
    Row::named("ListSubscriptions", Reads, Needs(on_topic), Now(Sns::list_subscriptions)),
    Row::named("ListSubscriptionsByTopic", Reads, Needs(on_topic), Now(Sns::list_subscriptions_by_topic)),
    Row::named("ListTagsForResource", Reads, Needs(on_resource), Now(Sns::list_tags_for_resource)),
    Row::named("ListTopics", Reads, Needs(on_topic), Now(Sns::list_topics)),
    Row::named("Publish", Changes, Needs(publishing), Later(|sns, query| Box::pin(sns.publish_operation(query)))),
    Row::named("PublishBatch", Changes, Needs(publishing), Later(|sns, query| Box::pin(sns.publish_batch(query)))),
    Row::named("SetSubscriptionAttributes", Changes, Needs(on_subscription), Now(Sns::set_subscription_attributes)),
    Row::named("SetTopicAttributes", Changes, Needs(on_topic), Now(Sns::set_topic_attributes)),
    Row::named("Subscribe", Changes, Needs(on_topic), Now(Sns::subscribe_operation)),
    Row::named("TagResource", Changes, Needs(on_resource), Now(Sns::tag_resource)),
    Row::named("Unsubscribe", Changes, Needs(on_subscription), Now(Sns::unsubscribe)),
    Row::named("UntagResource", Changes, Needs(on_resource), Now(Sns::untag_resource)),
];

#[async_trait]
impl Service for Sns {
    type Run = Run;

    const NAME: &'static str = "sns";
    const PROTOCOL: Protocol = Protocol::Query(NAMESPACE);
    const OPERATIONS: &'static [Row] = OPERATIONS;

    async fn run(&self, run: Run, call: ServiceCall) -> Result<Response, ApiError> {
        let query = Query::read(&call.request);
        let result = match run {
            Now(run) => run(self, &query)?,
            Later(run) => run(self, &query).await?,
        };
        Ok(answer(NAMESPACE, call.operation.name, result))
    }
}
