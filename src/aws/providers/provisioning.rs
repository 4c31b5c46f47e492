//! Requests to AWS Cloud Control: each is accepted at once and takes effect later, and its token tells how it went.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, SystemTime};

use aws_sdk_cloudcontrol::types::{Operation, OperationStatus, ProgressEvent, ResourceRequestStatusFilter};
use serde_json::Value;
use sha2::{Digest, Sha256};
use tokio::time::Instant;

use super::wait::{self, PollPolicy};
use super::{Context, ResourceError};
use crate::aws::client::{Aws, AwsCall, CallError, Meaning};
use crate::core::types::cloud_control::record::UNRECORDED;
use crate::core::types::cloud_control::{self, CloudControlled, IDENTIFIER, roles_in};
use crate::core::types::tags::{self, Tags};
use crate::core::types::{Desired, Live, Owner};
use crate::core::words::Scope;

pub(super) const SERVICE: &str = "cloudcontrolapi";

/// A request takes seconds; that of a distribution or a database takes many minutes.
const REQUEST: PollPolicy = PollPolicy { longest: Duration::from_secs(5), timeout: Duration::from_secs(60 * 60) };

/// How many requests of earlier runs with the same content are passed over before a token is made up.
const GENERATIONS: usize = 20;

/// How old an answer must be to be that of an earlier run. (The clocks of both sides differ.)
const EARLIER: Duration = Duration::from_secs(30);

/// How far back a reading looks for what the search by tags does not know. (It is "eventually consistent", within seconds mostly.)
const LATELY: Duration = Duration::from_secs(10 * 60);

/// How long a role of this run is given until the service can assume it.
const ASSUMABLE: Duration = Duration::from_secs(180);

/// Throttles and conflicts behind Cloud Control's answers are retried for so long.
const MAX_RETRY: Duration = Duration::from_secs(300);

/// A create that has ended, well or not.
struct Ended {
    event: ProgressEvent,
    /// It had when this run asked for it.
    was_over: bool,
    /// It was not this run that asked for it first.
    is_earlier: bool,
}

/// A type, and why its resources could not be read.
pub type Unread = (&'static str, ResourceError);

pub(super) fn last_part(id: &str) -> &str {
    id.rsplit(['/', ':']).next().unwrap_or(id)
}

/// Requests that AWS still works on.
pub(super) async fn under_way(aws: &Aws) -> Result<Vec<ProgressEvent>, CallError> {
    let filter = ResourceRequestStatusFilter::builder()
        .operation_statuses(OperationStatus::Pending)
        .operation_statuses(OperationStatus::InProgress)
        .operations(Operation::Create)
        .operations(Operation::Update)
        .operations(Operation::Delete)
        .build();
    requests_like(aws, filter).await
}

/// Whether what a create made was deleted since, by Cloud Control.
async fn was_deleted(aws: &Aws, created: &ProgressEvent) -> Result<bool, CallError> {
    let filter = ResourceRequestStatusFilter::builder()
        .operation_statuses(OperationStatus::Success)
        .operations(Operation::Delete)
        .build();
    let deleted = requests_like(aws, filter).await?;
    let time = |event: &ProgressEvent| event.event_time.map(|time| time.as_nanos());
    Ok(deleted.iter().any(|event| {
        (&event.type_name, &event.identifier) == (&created.type_name, &created.identifier)
            && time(event) >= time(created)
    }))
}

/// All creates that Cloud Control remembers (for seven days: user guide, "Managing resource operation requests").
pub(super) async fn creates(aws: &Aws) -> Result<Vec<ProgressEvent>, CallError> {
    requests_like(aws, ResourceRequestStatusFilter::builder().operations(Operation::Create).build()).await
}

/// Whether a create has made something so lately that a search by tags may not know it.
pub(super) fn is_lately_made(event: &ProgressEvent) -> bool {
    event.operation_status == Some(OperationStatus::Success) && age(event).is_none_or(|age| age < LATELY)
}

/// Whether a create that gave a resource is the first one that did: others were given what was there already.
pub(super) fn is_first(creates: &[ProgressEvent], event: &ProgressEvent) -> bool {
    let time = |event: &ProgressEvent| event.event_time.map(|time| time.as_nanos());
    let is_earlier = |other: &ProgressEvent| {
        (&other.type_name, &other.identifier) == (&event.type_name, &event.identifier)
            && other.request_token != event.request_token
            && other.operation_status == Some(OperationStatus::Success)
            && time(other) <= time(event)
    };
    !creates.iter().any(is_earlier)
}

pub(super) async fn requests_like(
    aws: &Aws,
    filter: ResourceRequestStatusFilter,
) -> Result<Vec<ProgressEvent>, CallError> {
    super::pages::all(|from| {
        let filter = filter.clone();
        async move {
            let page = aws
                .call(AwsCall::new(SERVICE, "ListResourceRequests"), || {
                    let request =
                        aws.cloudcontrol.list_resource_requests().resource_request_status_filter(filter.clone());
                    request.set_next_token(from.clone()).send()
                })
                .await?;
            Ok((page.resource_request_status_summaries, page.next_token))
        }
    })
    .await
}

/// A resource as Cloud Control reads it; `None` where there is none. `known_tags` count where the type's reading says nothing of
/// tags; an empty list says that it has none.
pub(super) async fn read(
    aws: &Aws,
    kind: &'static CloudControlled,
    identifier: &str,
    known_tags: Option<&Tags>,
) -> Result<Option<Live>, ResourceError> {
    let model = read_model(aws, kind, identifier).await?;
    Ok(model.map(|model| claimed(aws, live(aws.scope(), kind, identifier, &model, known_tags))))
}

/// The same resource; as the stack's, where this run is about to take it over.
pub(super) fn claimed(aws: &Aws, mut live: Live) -> Live {
    let none = String::new();
    let called = ["Ref", IDENTIFIER].map(|name| live.attributes.get(name).unwrap_or(&none).clone());
    for id in [live.physical_id.clone()].iter().chain(&called) {
        let tags = aws.claimed(live.type_name, id, Tags::new());
        if let Some(logical_id) = tags.get(tags::LOGICAL_ID).filter(|_| live.owner != Owner::Stack) {
            live.owner = Owner::Stack;
            live.logical_id = Some(logical_id.clone());
            live.deletion_policy = tags::deletion_policy(&tags);
            if let Some(known) = live.properties.get_mut(cloud_control::TAGS).and_then(Value::as_object_mut) {
                known.extend(tags.into_iter().map(|(key, value)| (key, value.into())));
            }
        }
    }
    live
}

/// The properties of a resource as Cloud Control reads them; `None` where there is none.
pub(super) async fn read_model(
    aws: &Aws,
    kind: &CloudControlled,
    identifier: &str,
) -> Result<Option<Value>, ResourceError> {
    let answer = aws
        .call(AwsCall::new(SERVICE, "GetResource"), || {
            aws.cloudcontrol.get_resource().type_name(kind.schema.type_name).identifier(identifier).send()
        })
        .await;
    let text = match answer {
        Ok(answer) => answer.resource_description.and_then(|one| one.properties).unwrap_or_default(),
        Err(error) if error.is(Meaning::NotFound) => return Ok(None),
        Err(error) => return Err(error.into()),
    };
    let model = serde_json::from_str(&text).map_err(|error| {
        ResourceError::Failed(format!(
            "AWS Cloud Control returned properties of {identifier} that are not JSON: {error}"
        ))
    })?;
    Ok(Some(model))
}

/// The identifiers of all resources of a type, or of those that lie in what the type's list must be told; `known` gives the value of a
/// property of the list's model. None where that does not suffice, and where Cloud Control cannot list them.
pub(super) async fn identifiers_of_type(
    aws: &Aws,
    kind: &CloudControlled,
    known: impl Fn(&str) -> Option<Value>,
) -> Result<Vec<String>, CallError> {
    let model = kind.schema.list_model(known).filter(|_| !kind.schema.actions("list").is_empty());
    let Some(model) = model else { return Ok(Vec::new()) };
    let model = (!model.is_empty()).then(|| Value::Object(model).to_string());
    let found = super::pages::all(|from| {
        let model = model.clone();
        async move {
            let page = aws
                .call(AwsCall::new(SERVICE, "ListResources"), || {
                    let request = aws.cloudcontrol.list_resources().type_name(kind.schema.type_name);
                    request.set_resource_model(model.clone()).set_next_token(from.clone()).send()
                })
                .await?;
            Ok((page.resource_descriptions, page.next_token))
        }
    });
    match found.await {
        Ok(found) => Ok(found.into_iter().filter_map(|one| one.identifier).collect()),
        // Not every type that says so can be listed.
        Err(error) if error.is(Meaning::Refused) => Ok(Vec::new()),
        Err(error) => Err(error),
    }
}

/// A resource with these properties; its tags say whose it is.
pub(super) fn live(
    scope: &Scope,
    kind: &CloudControlled,
    identifier: &str,
    model: &Value,
    known_tags: Option<&Tags>,
) -> Live {
    use crate::core::types::Kind;

    let told = kind.schema.tags.as_ref().filter(|property| !kind.schema.write_only.contains(property));
    let is_told = told.is_some_and(|property| !model[property].is_null());
    let tags = if is_told { kind.tags(model) } else { known_tags.cloned().unwrap_or_default() };
    let name = kind.naming().map(|naming| model[naming.property].as_str().unwrap_or(last_part(identifier)));
    let mut properties = kind.live_properties(model);
    if kind.is_tagged() {
        properties[cloud_control::TAGS] = serde_json::json!(tags::settable(tags.clone()));
    }
    Live {
        logical_id: tags.get(tags::LOGICAL_ID).cloned(),
        owner: tags::owner(&tags, scope),
        deletion_policy: tags::deletion_policy(&tags),
        attributes: kind.attributes_of(model, identifier).into_iter().chain(tags::carried(&tags)).collect(),
        ..Live::new(kind.schema.type_name, name.unwrap_or(identifier), properties)
    }
}

/// Cloud Control's identifier of a live resource.
pub(super) fn identifier(live: &Live) -> &str {
    live.attributes.get(IDENTIFIER).unwrap_or(&live.physical_id)
}

/// Waits until a request is done, well or not.
pub(super) async fn finished(cx: Context<'_>, token: &str, state: &str) -> Result<ProgressEvent, ResourceError> {
    let aws = cx.aws;
    wait::until(cx, REQUEST, state, || async move {
        let answer = aws
            .call(AwsCall::new(SERVICE, "GetResourceRequestStatus"), || {
                aws.cloudcontrol.get_resource_request_status().request_token(token).send()
            })
            .await?;
        Ok(answer.progress_event.filter(is_finished))
    })
    .await
}

pub(super) fn is_finished(event: &ProgressEvent) -> bool {
    !matches!(
        event.operation_status,
        Some(OperationStatus::Pending | OperationStatus::InProgress | OperationStatus::CancelInProgress)
    )
}

/// The end of a request that was accepted.
pub(super) async fn end(
    cx: Context<'_>,
    accepted: Option<ProgressEvent>,
    state: &str,
) -> Result<ProgressEvent, ResourceError> {
    let accepted =
        accepted.ok_or_else(|| ResourceError::Failed("AWS Cloud Control gave no request token".to_owned()))?;
    match &accepted.request_token {
        Some(token) if !is_finished(&accepted) => finished(cx, token, state).await,
        _ => Ok(accepted),
    }
}

/// What a request that is done came to.
///
/// # Errors
/// Why it failed.
fn result(operation: &str, event: &ProgressEvent) -> Result<(), CallError> {
    if event.operation_status == Some(OperationStatus::Success) {
        return Ok(());
    }
    let code = event.error_code.as_ref().map_or("", |code| code.as_str());
    let message = event.status_message.clone().unwrap_or_else(|| "it gave no reason".to_owned());
    let says_exists = message.to_lowercase().contains("already exist")
        && ["InvalidRequest", "GeneralServiceException"].contains(&code);
    // Names are the same at each run, and a queue's can be taken again only a minute after its deletion. (SQS API reference,
    // `CreateQueue`, `QueueDeletedRecently`.)
    let says_too_soon = message.contains("wait 60 seconds after deleting");
    let says_denied = ["not authorized to perform", "AccessDenied"].iter().any(|words| message.contains(words));
    let meaning = match code {
        _ if says_too_soon => Meaning::Busy,
        "AlreadyExists" => Meaning::Exists,
        // Not every handler knows the code for it.
        _ if says_exists => Meaning::Exists,
        "NotFound" => Meaning::NotFound,
        "Throttling" => Meaning::Throttled,
        "ResourceConflict" => Meaning::Busy,
        "AccessDenied" | "InvalidCredentials" | "UnauthorizedTaggingOperation" => Meaning::Denied,
        // The service behind it could not be made out.
        "GeneralServiceException" if says_denied => Meaning::Denied,
        "ServiceInternalError" | "NetworkFailure" | "InternalFailure" => Meaning::Unknown,
        _ => Meaning::Refused,
    };
    Err(CallError {
        operation: format!("{SERVICE}.{operation}"),
        meaning,
        code: code.to_owned(),
        message,
        request_id: event.request_token.clone(),
        retry_after: None,
        unreached: None,
        is_late: true,
    })
}

/// The token of a create, equal for equal ones: a request that was sent twice, by whatever run, is one. AWS forgets tokens after
/// 36 hours (API reference, `CreateResource`); until then, what was deleted since, or failed, takes the next `generation`.
fn token(scope: &Scope, type_name: &str, desired: &Desired, model: &str, generation: usize) -> String {
    if generation >= GENERATIONS {
        return format!("{:032x}", rand::random::<u128>());
    }
    let identity = [&scope.stack, &scope.account, &scope.region, type_name, &desired.logical_id, model];
    hex::encode(&Sha256::digest(serde_json::json!([identity, generation]).to_string())[..16])
}

/// Whether a request was answered before this run made it, by its age.
fn is_old(event: &ProgressEvent) -> bool {
    age(event).is_some_and(|age| age > EARLIER)
}

/// When a request changed its state.
fn time_of(event: &ProgressEvent) -> Option<SystemTime> {
    event.event_time.and_then(|time| SystemTime::try_from(time).ok())
}

/// How long ago a request changed its state. (A time in the future, as other clocks have it, is now.)
pub(super) fn age(event: &ProgressEvent) -> Option<Duration> {
    Some(time_of(event)?.elapsed().unwrap_or_default())
}

/// Sends a change and waits for its end, again while AWS is too busy for it or it `is_too_early`. `send` gets the token of a try.
pub(super) async fn change<F>(
    cx: Context<'_>,
    operation: &str,
    is_too_early: impl Fn(&CallError) -> bool,
    send: impl Fn(String) -> F,
) -> Result<(), ResourceError>
where
    F: Future<Output = Result<ProgressEvent, ResourceError>>,
{
    let begun = Instant::now();
    loop {
        let event = send(format!("{:032x}", rand::random::<u128>())).await?;
        let Err(error) = result(operation, &event) else { return Ok(()) };
        // A change of what there is may be made twice; that AWS failed inside says nothing about the first.
        let again = matches!(error.meaning, Meaning::Throttled | Meaning::Busy | Meaning::Unknown);
        if !(again || is_too_early(&error)) || begun.elapsed() > MAX_RETRY {
            return Err(error.into());
        }
        (cx.note)(format!("waiting (AWS: {})", error.message));
        tokio::time::sleep(Duration::from_secs(2)).await;
    }
}

pub(super) fn unregistered(type_name: &str) -> ResourceError {
    ResourceError::Failed(format!(
        "internal error: {type_name} is not a type that AWS Cloud Control provisions (please report this)"
    ))
}

fn taken(type_name: &str, identifier: &str) -> ResourceError {
    ResourceError::Failed(format!("{type_name} \"{identifier}\" already exists and belongs to {UNRECORDED}"))
}

fn vanished(type_name: &str, identifier: &str) -> ResourceError {
    ResourceError::Failed(format!(
        "{type_name} {identifier} was created, and AWS does not find it: something else deleted it"
    ))
}

impl CloudControlled {
    /// Sends one create and waits for its end.
    async fn try_create(&self, cx: Context<'_>, model: &str, token: &str) -> Result<Ended, ResourceError> {
        let (aws, type_name) = (cx.aws, self.schema.type_name);
        let (begun, times) = (SystemTime::now(), AtomicUsize::new(0));
        let answer = aws
            .call(AwsCall::new(SERVICE, "CreateResource").repeatable(), || {
                times.fetch_add(1, Ordering::Relaxed);
                aws.cloudcontrol.create_resource().type_name(type_name).desired_state(model).client_token(token).send()
            })
            .await?;
        let accepted = answer.progress_event;
        let was_over = accepted.as_ref().is_some_and(is_finished);
        let event = end(cx, accepted, "CREATING").await?;
        // One that was sent again may have been this run's, the first time.
        let is_sent_once = times.into_inner() == 1;
        let is_earlier = was_over && (is_sent_once || time_of(&event).is_none_or(|ended| ended < begun));
        Ok(Ended { event, was_over, is_earlier })
    }

    /// The resource of a create that was over when this run sent it, unless it is gone. An answer that is not from an earlier
    /// run may be that of this run's own request, sent twice: then AWS only does not show the resource yet.
    async fn reappears(&'static self, cx: Context<'_>, event: &ProgressEvent) -> Result<Option<Live>, ResourceError> {
        let identifier = event.identifier.as_deref().unwrap_or_default();
        let begun = Instant::now();
        // Its deletion may still be under way when this run asks for the first time.
        while !is_old(event) && begun.elapsed() < EARLIER && !was_deleted(cx.aws, event).await? {
            tokio::time::sleep(Duration::from_secs(1)).await;
            if let Some(live) = read(cx.aws, self, identifier, None).await? {
                return Ok(Some(live));
            }
        }
        Ok(None)
    }

    /// Removes what a create that failed late has left, unless it may hold data or was there `before`.
    async fn clean(&'static self, cx: Context<'_>, event: &ProgressEvent, desired: &Desired, before: &[String]) {
        use crate::core::types::Kind;

        if self.holds_data() || event.identifier.as_ref().is_some_and(|identifier| before.contains(identifier)) {
            return;
        }
        let Some(identifier) = event.identifier.as_deref().filter(|identifier| !identifier.is_empty()) else { return };
        if !self.is_tagged() {
            // What AWS has named is this request's, but for what was there before; so may be what the template identifies.
            if self.given_identifier(&desired.properties).is_none() {
                let _ = self.delete_by_identifier(cx, identifier).await;
            }
            return;
        }
        let Ok(Some(left)) = read(cx.aws, self, identifier, None).await else { return };
        if left.owner == Owner::Stack {
            // The create's error is the one to tell; what is still there is found by the next run.
            let _ = self.delete_by_identifier(cx, self::identifier(&left)).await;
        }
    }

    /// Creates the resource, once, and waits until it is there. `before` are the identifiers of those that were there, and of which
    /// AWS may give one instead of a new one. Gives the resource, and whether an earlier run has made it.
    pub(super) async fn provision(
        &'static self,
        cx: Context<'_>,
        desired: &Desired,
        before: &[String],
    ) -> Result<(Live, bool), ResourceError> {
        let model = self.model(&desired.properties).to_string();
        let begun = Instant::now();
        let mut generation = 0;
        loop {
            let token = token(cx.aws.scope(), self.schema.type_name, desired, &model, generation);
            generation += 1;
            let Ended { event, was_over, is_earlier } = match self.try_create(cx, &model, &token).await {
                Err(ResourceError::Call(error))
                    if error.code == "ClientTokenConflictException" && generation <= GENERATIONS =>
                {
                    continue;
                }
                ended => ended?,
            };
            let error = match result("CreateResource", &event) {
                Ok(()) => {
                    let identifier = event.identifier.as_deref().unwrap_or_default();
                    if before.iter().any(|known| known == identifier) && !is_first(&creates(cx.aws).await?, &event) {
                        return Err(taken(self.schema.type_name, identifier));
                    }
                    let looked = read(cx.aws, self, identifier, None).await;
                    if let Err(ResourceError::Call(error)) = &looked
                        && error.is(Meaning::Denied)
                        && !was_over
                    {
                        // The rollback could not look at it either. This request has just made it, so nothing is lost.
                        let _ = self.delete_by_identifier(cx, identifier).await;
                    }
                    match looked? {
                        Some(live) => return Ok((live, is_earlier)),
                        None if was_over => match self.reappears(cx, &event).await? {
                            Some(live) => return Ok((live, is_earlier)),
                            None => continue,
                        },
                        None => return Err(vanished(self.schema.type_name, identifier)),
                    }
                }
                Err(_) if was_over && is_old(&event) && generation <= GENERATIONS => continue,
                Err(error) => error,
            };
            if error.is(Meaning::Exists) {
                return Err(error.into());
            }
            self.clean(cx, &event, desired, before).await;
            let again = match error.meaning {
                Meaning::Throttled | Meaning::Busy => begun.elapsed() < MAX_RETRY,
                _ => Self::is_too_early(cx, desired, &error),
            };
            if !again {
                return Err(error.into());
            }
            (cx.note)(format!("waiting (AWS: {})", error.message));
            tokio::time::sleep(Duration::from_secs(2)).await;
        }
    }

    /// The refusal of a create that would give a resource that is there already.
    pub(super) fn exists(&self, identifier: &str) -> CallError {
        CallError {
            operation: format!("{SERVICE}.CreateResource"),
            meaning: Meaning::Exists,
            code: "AlreadyExists".to_owned(),
            message: format!("{} {identifier} exists already", self.schema.type_name),
            request_id: None,
            retry_after: None,
            unreached: None,
            is_late: false,
        }
    }

    pub(super) async fn delete_by_identifier(&self, cx: Context<'_>, identifier: &str) -> Result<(), ResourceError> {
        let (aws, type_name) = (cx.aws, self.schema.type_name);
        let never = |_: &CallError| false;
        let deleted = change(cx, "DeleteResource", never, |token| async move {
            let token = &token;
            let answer = aws
                .call(AwsCall::new(SERVICE, "DeleteResource").repeatable(), || {
                    let request = aws.cloudcontrol.delete_resource().type_name(type_name).identifier(identifier);
                    request.client_token(token).send()
                })
                .await?;
            end(cx, answer.progress_event, "DELETING").await
        });
        match deleted.await {
            Err(ResourceError::Call(error)) if error.is(Meaning::NotFound) => Ok(()),
            result => result,
        }
    }

    /// Whether a failure says that a role of this run cannot be assumed yet.
    pub(super) fn is_too_early(cx: Context<'_>, desired: &Desired, error: &CallError) -> bool {
        let fresh = roles_in(&[&desired.properties])
            .iter()
            .any(|role| cx.aws.propagation.age(role).is_some_and(|age| age < ASSUMABLE));
        fresh
            && matches!(error.meaning, Meaning::Refused | Meaning::Denied)
            && error.message.to_lowercase().contains("assume")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_create_made_it() {
        let create = |token: &str, at: i64| {
            ProgressEvent::builder()
                .type_name("AWS::SNS::Subscription")
                .identifier("arn")
                .request_token(token)
                .operation_status(OperationStatus::Success)
                .event_time(aws_sdk_cloudcontrol::primitives::DateTime::from_secs(at))
                .build()
        };
        let all = [create("b", 20), create("a", 10)];
        assert!(is_first(&all, &all[1]) && !is_first(&all, &all[0]) && is_first(&all[..1], &all[0]));
    }

    #[test]
    fn failures_are_told_in_several_ways() {
        let meaning = |code: &str, message: &str| {
            let event = ProgressEvent::builder()
                .operation_status(OperationStatus::Failed)
                .error_code(code.into())
                .status_message(message)
                .build();
            result("CreateResource", &event).unwrap_err().meaning
        };
        for (code, message, expected) in [
            ("AlreadyExists", "it does", Meaning::Exists),
            ("InvalidRequest", "Queue q already exists", Meaning::Exists),
            ("GeneralServiceException", "A rule like this Already Exist", Meaning::Exists),
            ("InvalidRequest", "Queue q is too long", Meaning::Refused),
            (
                "GeneralServiceException",
                "You must wait 60 seconds after deleting a queue before you can create another with the same name.",
                Meaning::Busy,
            ),
            ("Throttling", "already existing requests are too many", Meaning::Throttled),
        ] {
            assert_eq!(meaning(code, message), expected, "{code} {message}");
        }
    }
}
