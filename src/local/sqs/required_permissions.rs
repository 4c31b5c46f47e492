//! The permissions that SQS's operations need (Service Authorization Reference, "Amazon SQS").

use super::QueueId;
use super::input::Input;
use crate::core::iam::need::{Need, creation};
use crate::local::protocol::service::ServiceCall;

/// The operation on its queue. A batch needs what its messages need one by one.
pub fn on_queue(call: &ServiceCall) -> Vec<Need> {
    let input: Input = call.request.json().unwrap_or_default();
    let name = call.operation.name;
    vec![
        Need::new(format!("sqs:{}", name.strip_suffix("Batch").unwrap_or(name)), arn(call, &input))
            .with_tags(input.tags),
    ]
}

/// `CreateQueue`, and `TagQueue` for its tags.
pub fn creating(call: &ServiceCall) -> Vec<Need> {
    let input: Input = call.request.json().unwrap_or_default();
    let tags: Vec<_> = input.tags.iter().collect();
    creation("sqs:CreateQueue", "sqs:TagQueue", arn(call, &input), &tags)
}

/// The operation on no queue in particular.
pub fn on_all(call: &ServiceCall) -> Vec<Need> {
    vec![Need::new(format!("sqs:{}", call.operation.name), QueueId::new(call.region(), "*").arn())]
}

fn arn(call: &ServiceCall, input: &Input) -> String {
    let by_url = input.queue_url.as_deref().and_then(|url| QueueId::from_url(call.region(), url));
    let by_name = || QueueId::new(call.region(), input.queue_name.as_deref().unwrap_or_default());
    by_url.unwrap_or_else(by_name).arn()
}
