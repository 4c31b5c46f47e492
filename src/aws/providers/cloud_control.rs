//! Reads and writes every type that AWS Cloud Control provisions (`core::types::cloud_control`).
//!
//! What belongs to a stack is found by its tags, with one call for all types (the Resource Groups Tagging API); what the
//! template names is looked for by that name, too, since a search by tags lags behind. Create, update and delete are requests that
//! AWS works on: their token is asked about until they are done.

use std::collections::BTreeSet;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use async_trait::async_trait;
use aws_sdk_cloudcontrol::types::{Operation, OperationStatus, ProgressEvent, ResourceRequestStatusFilter};
use futures_util::future::{join_all, try_join_all};
use serde_json::Value;
use sha2::{Digest, Sha256};
use tokio::time::Instant;

use super::wait::{self, PollPolicy};
use super::{Context, Discovery, Provider, ResourceError, Search, tagged};
use crate::aws::client::{Aws, AwsCall, CallError, Meaning};
use crate::core::types::cloud_control::{self, CloudControlled, IDENTIFIER, kind, roles_in};
use crate::core::types::tags::{self, Tags};
use crate::core::types::{Created, Desired, Live, Owner};
use crate::core::words::Scope;

const SERVICE: &str = "cloudcontrolapi";

/// What could not be read, where it is no single type.
const BY_TAGS: &str = "resources by their tags";

/// A request takes seconds; that of a distribution or a database takes many minutes.
const REQUEST: PollPolicy = PollPolicy { longest: Duration::from_secs(5), timeout: Duration::from_secs(60 * 60) };

/// How many requests of earlier runs with the same content are passed over before a token is made up.
const GENERATIONS: usize = 20;

/// How old an answer must be to be that of an earlier run. (The clocks of both sides differ.)
const EARLIER: Duration = Duration::from_secs(30);

/// How long a role of this run is given until the service can assume it.
const ASSUMABLE: Duration = Duration::from_secs(180);

/// Throttles and conflicts behind Cloud Control's answers are retried for so long.
const MAX_RETRY: Duration = Duration::from_secs(300);

/// A type, and why its resources could not be read.
pub type Unread = (&'static str, ResourceError);

/// All resources of these types that belong to the stack, and those of others whose names the template gives.
///
/// # Errors
/// The first that could not be read.
pub async fn list(aws: &Aws, discovery: &Discovery) -> Result<Vec<Live>, Unread> {
    // Names that tell their identifier need no search.
    let by_identifiers = async {
        let wanted = wanted(discovery.wait().await);
        let known = wanted.iter().filter_map(|(kind, name)| Some((*kind, kind.identifier_of(aws.scope(), name)?)));
        let found = try_join_all(known.map(|(kind, identifier)| async move {
            read(aws, kind, &identifier, None).await.map_err(|error| (kind.schema.type_name, error))
        }));
        let requests = async { if wanted.is_empty() { Ok(Vec::new()) } else { requests(aws).await } };
        tokio::try_join!(found, requests)
    };
    let by_tags = async {
        let tagged = match discovery.tagged(aws).await {
            Ok(tagged) => of_cloud_control(aws, &tagged.all),
            Err(error) if error.is(Meaning::Denied) && !needs_tags(discovery.wait().await) => Vec::new(),
            Err(error) => return Err((BY_TAGS, not_by_tags(error))),
        };
        let wanted = wanted(discovery.wait().await);
        let is_called = |one: &Tagged, kind: &CloudControlled, name: &str| {
            one.kind.schema.type_name == kind.schema.type_name && is_called(&one.arn, name)
        };
        let (known, unknown): (Vec<_>, Vec<_>) =
            wanted.iter().partition(|(kind, name)| kind.identifier_of(aws.scope(), name).is_some());
        let others = tagged.iter().filter(|one| !known.iter().any(|(kind, name)| is_called(one, kind, name)));
        let others = try_join_all(
            others.map(|one| async { one.read(aws).await.map_err(|error| (one.kind.schema.type_name, error)) }),
        );
        // Those without tags are new, or belong to another owner.
        let unknown = unknown.into_iter().filter(|(kind, name)| !tagged.iter().any(|one| is_called(one, kind, name)));
        let unknown = try_join_all(unknown.map(|(kind, name)| async move {
            by_name(aws, kind, name).await.map_err(|error| (kind.schema.type_name, error))
        }));
        let is_asked = !wanted.is_empty() || tagged.is_empty();
        let requests = async { if is_asked { Ok(Vec::new()) } else { requests(aws).await } };
        let (mut others, unknown, requests) = tokio::try_join!(others, unknown, requests)?;
        others.extend(unknown);
        Ok((others, requests))
    };
    let ((found, mut under_way), (others, more)) = tokio::try_join!(by_identifiers, by_tags)?;
    under_way.extend(more);
    let found: Vec<Live> = found.into_iter().chain(others).flatten().collect();
    let is_blind = discovery.wait().await.names.is_empty() && !aws.scope().stack.is_empty();
    let made = async { if is_blind { being_created(aws, &found, &under_way).await } else { Ok(Vec::new()) } };
    let (mut all, made) = tokio::try_join!(settled(aws, found.clone(), &under_way), made)?;
    all.extend(made);
    Ok(all)
}

/// Whether a reading cannot do without the search by tags: it has no template, or that has such types.
fn needs_tags(search: &Search) -> bool {
    search.names.is_empty() || search.names.keys().any(|type_name| kind(type_name).is_some())
}

/// Why the search by tags failed, and what to do about it.
fn not_by_tags(error: &CallError) -> ResourceError {
    let mut error = error.clone();
    if error.is(Meaning::Denied) {
        error.message.push_str(" (allow tag:GetResources on *: it says which resources belong to the stack)");
    }
    error.into()
}

/// What the template names of these types.
fn wanted(search: &Search) -> Vec<(&'static CloudControlled, &String)> {
    let types = search.names.iter().filter_map(|(type_name, names)| Some((kind(type_name)?, names)));
    types.flat_map(|(kind, names)| names.iter().map(move |name| (kind, name))).collect()
}

async fn requests(aws: &Aws) -> Result<Vec<ProgressEvent>, Unread> {
    under_way(aws).await.map_err(|error| ("AWS Cloud Control requests", error.into()))
}

/// The same resources when nothing is under way with them: an earlier run may have been killed while AWS worked for it.
async fn settled(aws: &Aws, found: Vec<Live>, requests: &[ProgressEvent]) -> Result<Vec<Live>, Unread> {
    let read = found.into_iter().map(|live| {
        let is_its = |event: &&ProgressEvent| {
            event.type_name.as_deref() == Some(live.type_name)
                && event.identifier.as_ref() == live.attributes.get(IDENTIFIER)
        };
        let token = requests.iter().find(is_its).and_then(|event| event.request_token.clone());
        async move {
            let (Some(token), Some(kind)) = (token, kind(live.type_name)) else { return Ok(Some(live)) };
            let silent = |_| {};
            let cx = Context { aws, note: &silent };
            let read = async {
                finished(cx, &token, "in progress").await?;
                read(aws, kind, identifier(&live), None).await
            };
            read.await.map_err(|error| (live.type_name, error))
        }
    });
    Ok(try_join_all(read).await?.into_iter().flatten().collect())
}

/// The stack's resources that AWS is still creating, beside those that are `known`, when they are there.
async fn being_created(aws: &Aws, known: &[Live], requests: &[ProgressEvent]) -> Result<Vec<Live>, Unread> {
    let is_known = |event: &ProgressEvent| {
        known.iter().any(|live| {
            event.type_name.as_deref() == Some(live.type_name)
                && event.identifier.as_ref() == live.attributes.get(IDENTIFIER)
        })
    };
    let creates = requests.iter().filter(|event| event.operation == Some(Operation::Create) && !is_known(event));
    let made = creates.filter_map(|event| Some((kind(event.type_name.as_deref()?)?, event))).map(|(kind, event)| {
        let ended = async move {
            if is_of_others(aws.scope(), kind, event) {
                return Ok(None);
            }
            let Some(token) = &event.request_token else { return Ok(None) };
            let event = finished(Context { aws, note: &|_| {} }, token, "in progress").await?;
            match event.identifier.as_deref().filter(|identifier| !identifier.is_empty()) {
                Some(identifier) => read(aws, kind, identifier, None).await,
                None => Ok(None),
            }
        };
        async move { ended.await.map_err(|error: ResourceError| (kind.schema.type_name, error)) }
    });
    let made = try_join_all(made).await?.into_iter().flatten();
    Ok(made.filter(|live| live.owner == Owner::Stack).collect())
}

/// Whether a request's model has the tags of another owner. (Not every request shows its model.)
fn is_of_others(scope: &Scope, kind: &CloudControlled, event: &ProgressEvent) -> bool {
    let model = event.resource_model.as_deref().and_then(|text| serde_json::from_str::<Value>(text).ok());
    let tags = model.map(|model| kind.tags(&model)).unwrap_or_default();
    !tags.is_empty() && tags::owner(&tags, scope) != Owner::Stack
}

/// A resource that carries the stack's tags.
struct Tagged {
    kind: &'static CloudControlled,
    arn: String,
    tags: Tags,
}

impl Tagged {
    /// The resource; `None` where it is gone. (A search by tags still gives it then.)
    async fn read(&self, aws: &Aws) -> Result<Option<Live>, ResourceError> {
        for identifier in identifiers(aws.scope(), self.kind, &self.arn) {
            match read(aws, self.kind, &identifier, Some(&self.tags)).await {
                Ok(Some(live)) => return Ok(Some(live)),
                Ok(None) => {}
                // Not the form that this type's identifiers have.
                Err(ResourceError::Call(error)) if error.is(Meaning::Refused) => {}
                Err(error) => return Err(error),
            }
        }
        // The identifier has several parts, or another form.
        let last = last_part(&self.arn);
        let listed = identifiers_of_type(aws, self.kind).await?;
        let alike = listed.iter().filter(|identifier| identifier.split('|').any(|part| last_part(part) == last));
        for identifier in alike {
            let found = read(aws, self.kind, identifier, None).await?;
            let same =
                |live: &Live| live.owner == Owner::Stack && live.logical_id.as_ref() == self.tags.get(tags::LOGICAL_ID);
            if let Some(live) = found.filter(same) {
                return Ok(Some(live));
            }
        }
        Ok(None)
    }
}

/// Those of the types that Cloud Control provisions, in this region. (The Tagging API has some of other regions, too.)
fn of_cloud_control(aws: &Aws, tagged: &[(String, Tags)]) -> Vec<Tagged> {
    let is_here = |tags: &Tags| tags.get(tags::REGION).is_some_and(|region| *region == aws.scope().region);
    let read = tagged.iter().filter(|(_, tags)| is_here(tags)).filter_map(|(arn, tags)| {
        Some(Tagged { kind: kind(tags.get(tags::TYPE)?)?, arn: arn.clone(), tags: tags.clone() })
    });
    read.collect()
}

/// What Cloud Control may call the resource with this ARN, the likeliest first.
fn identifiers(scope: &Scope, kind: &CloudControlled, arn: &str) -> Vec<String> {
    // Who calls may not be known yet.
    let scope = &Scope { account: arn.split(':').nth(4).unwrap_or_default().to_owned(), ..scope.clone() };
    let [property] = kind.schema.identifier.as_slice() else { return Vec::new() };
    let last = last_part(arn);
    let is_arn =
        property.to_ascii_lowercase().ends_with("arn") || kind.identifier_of(scope, last).as_deref() == Some(arn);
    // `arn:aws:ssm:REGION:ACCOUNT:parameter/a/b`: a name may have slashes.
    let resource = arn.splitn(6, ':').nth(5).unwrap_or_default();
    let below = resource.split_once(['/', ':']).map(|(_, name)| name);
    let mut found = Vec::new();
    if is_arn {
        found.push(arn.to_owned());
    }
    found.extend(kind.identifier_of(scope, last));
    found.push(last.to_owned());
    found.extend(below.into_iter().flat_map(|name| [name.to_owned(), format!("/{name}")]));
    found.push(arn.to_owned());
    let mut seen = BTreeSet::new();
    found.retain(|one| seen.insert(one.clone()));
    found
}

fn last_part(id: &str) -> &str {
    id.rsplit(['/', ':']).next().unwrap_or(id)
}

/// Whether an ARN or another identifier is that of the resource with this name. (The ARN of a secret ends in six more letters:
/// Secrets Manager user guide, "Secret ARN".)
fn is_called(id: &str, name: &str) -> bool {
    let with_letters = || {
        let (rest, letters) = id.rsplit_once('-')?;
        (id.contains(":secretsmanager:") && letters.len() == 6).then_some(rest)
    };
    let ends = |id: &str| {
        id.strip_suffix(name)
            .is_some_and(|before| before.is_empty() || before.ends_with(['/', ':', '|']) || name.starts_with('/'))
    };
    ends(id) || with_letters().is_some_and(ends)
}

/// The resource with this name, of any owner.
async fn by_name(aws: &Aws, kind: &'static CloudControlled, name: &str) -> Result<Option<Live>, ResourceError> {
    if let Some(identifier) = kind.identifier_of(aws.scope(), name) {
        return read(aws, kind, &identifier, None).await;
    }
    let listed = identifiers_of_type(aws, kind).await?;
    let alike: Vec<&String> = listed.iter().filter(|identifier| is_called(identifier, name)).collect();
    let read = join_all(alike.into_iter().map(|identifier| read(aws, kind, identifier, None))).await;
    let read = read.into_iter().collect::<Result<Vec<_>, _>>()?;
    Ok(read.into_iter().flatten().find(|live| live.physical_id == name))
}

/// The identifiers of all resources of a type; none where Cloud Control cannot list them.
async fn identifiers_of_type(aws: &Aws, kind: &CloudControlled) -> Result<Vec<String>, CallError> {
    if kind.schema.actions("list").is_empty() {
        return Ok(Vec::new());
    }
    let found = super::pages::all(|from| async move {
        let page = aws
            .call(AwsCall::new(SERVICE, "ListResources"), || {
                aws.cloudcontrol.list_resources().type_name(kind.schema.type_name).set_next_token(from.clone()).send()
            })
            .await?;
        Ok((page.resource_descriptions, page.next_token))
    })
    .await?;
    Ok(found.into_iter().filter_map(|one| one.identifier).collect())
}

/// Requests that AWS still works on.
async fn under_way(aws: &Aws) -> Result<Vec<ProgressEvent>, CallError> {
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

async fn requests_like(aws: &Aws, filter: ResourceRequestStatusFilter) -> Result<Vec<ProgressEvent>, CallError> {
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
async fn read(
    aws: &Aws,
    kind: &'static CloudControlled,
    identifier: &str,
    known_tags: Option<&Tags>,
) -> Result<Option<Live>, ResourceError> {
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
    let model: Value = serde_json::from_str(&text).map_err(|error| {
        ResourceError::Failed(format!(
            "AWS Cloud Control returned properties of {identifier} that are not JSON: {error}"
        ))
    })?;
    Ok(Some(live(aws.scope(), kind, identifier, &model, known_tags)))
}

fn live(scope: &Scope, kind: &CloudControlled, identifier: &str, model: &Value, known_tags: Option<&Tags>) -> Live {
    use crate::core::types::Kind;

    let told = kind.schema.tags.as_ref().filter(|property| !kind.schema.write_only.contains(property));
    let is_told = told.is_some_and(|property| !model[property].is_null());
    let tags = if is_told { kind.tags(model) } else { known_tags.cloned().unwrap_or_default() };
    let name = kind.naming().map(|naming| model[naming.property].as_str().unwrap_or(last_part(identifier)));
    let mut properties = kind.live_properties(model);
    properties[cloud_control::TAGS] = serde_json::json!(tags::settable(tags.clone()));
    Live {
        logical_id: tags.get(tags::LOGICAL_ID).cloned(),
        owner: tags::owner(&tags, scope),
        deletion_policy: tags::deletion_policy(&tags),
        attributes: kind.attributes_of(model, identifier),
        ..Live::new(kind.schema.type_name, name.unwrap_or(identifier), properties)
    }
}

/// Cloud Control's identifier of a live resource.
fn identifier(live: &Live) -> &str {
    live.attributes.get(IDENTIFIER).unwrap_or(&live.physical_id)
}

/// Waits until a request is done, well or not.
async fn finished(cx: Context<'_>, token: &str, state: &str) -> Result<ProgressEvent, ResourceError> {
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

fn is_finished(event: &ProgressEvent) -> bool {
    !matches!(
        event.operation_status,
        Some(OperationStatus::Pending | OperationStatus::InProgress | OperationStatus::CancelInProgress)
    )
}

/// The end of a request that was accepted.
async fn end(cx: Context<'_>, accepted: Option<ProgressEvent>, state: &str) -> Result<ProgressEvent, ResourceError> {
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
    let says_denied = ["not authorized to perform", "AccessDenied"].iter().any(|words| message.contains(words));
    let meaning = match code {
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

/// Whether a request was answered before this run made it.
fn is_earlier(event: &ProgressEvent) -> bool {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    let limit = i64::try_from(now.saturating_sub(EARLIER).as_secs()).unwrap_or(i64::MAX);
    event.event_time.is_some_and(|time| time.secs() < limit)
}

/// Sends a change and waits for its end, again while AWS is too busy for it or it `is_too_early`. `send` gets the token of a try.
async fn change<F>(
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

fn unregistered(type_name: &str) -> ResourceError {
    ResourceError::Failed(format!("internal error: {type_name} is no type of AWS Cloud Control's (please report this)"))
}

fn vanished(type_name: &str, identifier: &str) -> ResourceError {
    ResourceError::Failed(format!(
        "{type_name} {identifier} was created, and AWS does not find it: something else deleted it"
    ))
}

impl CloudControlled {
    /// Sends one create and waits for its end; gives that, and whether it had ended before this run sent it.
    async fn try_create(
        &self,
        cx: Context<'_>,
        model: &str,
        token: &str,
    ) -> Result<(ProgressEvent, bool), ResourceError> {
        let (aws, type_name) = (cx.aws, self.schema.type_name);
        let answer = aws
            .call(AwsCall::new(SERVICE, "CreateResource").repeatable(), || {
                aws.cloudcontrol.create_resource().type_name(type_name).desired_state(model).client_token(token).send()
            })
            .await?;
        let accepted = answer.progress_event;
        let was_over = accepted.as_ref().is_some_and(is_finished);
        Ok((end(cx, accepted, "CREATING").await?, was_over))
    }

    /// The resource of a create that was over when this run sent it, unless it is gone. An answer that is not from an earlier
    /// run may be that of this run's own request, sent twice: then AWS only does not show the resource yet.
    async fn reappears(&'static self, cx: Context<'_>, event: &ProgressEvent) -> Result<Option<Live>, ResourceError> {
        let identifier = event.identifier.as_deref().unwrap_or_default();
        let begun = Instant::now();
        while !is_earlier(event) && begun.elapsed() < EARLIER && !was_deleted(cx.aws, event).await? {
            tokio::time::sleep(Duration::from_secs(1)).await;
            if let Some(live) = read(cx.aws, self, identifier, None).await? {
                return Ok(Some(live));
            }
        }
        Ok(None)
    }

    /// Removes what a create that failed late has left, unless it may hold data.
    async fn clean(&'static self, cx: Context<'_>, event: &ProgressEvent) {
        use crate::core::types::Kind;

        if self.holds_data() {
            return;
        }
        let Some(identifier) = event.identifier.as_deref().filter(|identifier| !identifier.is_empty()) else { return };
        let Ok(Some(left)) = read(cx.aws, self, identifier, None).await else { return };
        if left.owner == Owner::Stack {
            // The create's error is the one to tell; what is still there is found by the next run.
            let _ = self.delete(cx, &left).await;
        }
    }

    /// Whether a failure says that a role of this run cannot be assumed yet.
    fn is_too_early(cx: Context<'_>, desired: &Desired, error: &CallError) -> bool {
        let fresh = roles_in(&[&desired.properties])
            .iter()
            .any(|role| cx.aws.propagation.age(role).is_some_and(|age| age < ASSUMABLE));
        fresh
            && matches!(error.meaning, Meaning::Refused | Meaning::Denied)
            && error.message.to_lowercase().contains("assume")
    }
}

#[async_trait]
impl Provider for CloudControlled {
    /// `list` of this module finds them, for all types at once.
    async fn list(&self, _: &Aws, _: &Discovery, _: &[Live]) -> Result<Vec<Live>, ResourceError> {
        Ok(Vec::new())
    }

    async fn find(&self, cx: Context<'_>, desired: &Desired) -> Result<Option<Live>, ResourceError> {
        use crate::core::types::Kind;

        let Some(itself) = kind(self.schema.type_name) else { return Ok(None) };
        if let (Some(_), Some(name)) = (self.naming(), &desired.name) {
            return by_name(cx.aws, itself, name).await;
        }
        let mut found = Vec::new();
        let stack = cx.aws.scope().stack.as_str();
        let alike = tagged::search(cx.aws, &[(tags::STACK, stack), (tags::LOGICAL_ID, &desired.logical_id)]).await?;
        for one in of_cloud_control(cx.aws, &alike) {
            if one.kind.schema.type_name == self.schema.type_name {
                found.extend(one.read(cx.aws).await?);
            }
        }
        Ok(found.into_iter().find(|live| self.is(desired, live)))
    }

    async fn create(&self, cx: Context<'_>, desired: &Desired) -> Result<Created, ResourceError> {
        let Some(itself) = kind(self.schema.type_name) else { return Err(unregistered(self.schema.type_name)) };
        let model = self.model(&desired.properties).to_string();
        let begun = Instant::now();
        let mut generation = 0;
        loop {
            let token = token(cx.aws.scope(), self.schema.type_name, desired, &model, generation);
            generation += 1;
            let (event, was_over) = match self.try_create(cx, &model, &token).await {
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
                    match read(cx.aws, itself, identifier, None).await? {
                        Some(live) => return Ok(live.into()),
                        None if was_over => match itself.reappears(cx, &event).await? {
                            Some(live) => return Ok(live.into()),
                            None => continue,
                        },
                        None => return Err(vanished(self.schema.type_name, identifier)),
                    }
                }
                Err(_) if was_over && is_earlier(&event) && generation <= GENERATIONS => continue,
                Err(error) => error,
            };
            if error.is(Meaning::Exists) {
                return Err(error.into());
            }
            itself.clean(cx, &event).await;
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

    async fn update(&self, cx: Context<'_>, live: &Live, desired: &Desired) -> Result<(), ResourceError> {
        let (aws, type_name) = (cx.aws, self.schema.type_name);
        let patch = &Value::from(self.patch(&live.properties, &desired.properties)).to_string();
        let is_too_early = |error: &CallError| Self::is_too_early(cx, desired, error);
        change(cx, "UpdateResource", is_too_early, |token| async move {
            let token = &token;
            let answer = aws
                .call(AwsCall::new(SERVICE, "UpdateResource").repeatable(), || {
                    let request = aws.cloudcontrol.update_resource().type_name(type_name).identifier(identifier(live));
                    request.patch_document(patch).client_token(token).send()
                })
                .await?;
            end(cx, answer.progress_event, "UPDATING").await
        })
        .await
    }

    async fn delete(&self, cx: Context<'_>, live: &Live) -> Result<(), ResourceError> {
        let (aws, type_name) = (cx.aws, self.schema.type_name);
        let never = |_: &CallError| false;
        let deleted = change(cx, "DeleteResource", never, |token| async move {
            let token = &token;
            let answer = aws
                .call(AwsCall::new(SERVICE, "DeleteResource").repeatable(), || {
                    let request = aws.cloudcontrol.delete_resource().type_name(type_name).identifier(identifier(live));
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
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn scope() -> Scope {
        Scope {
            stack: "chat".to_owned(),
            account: "123456789012".to_owned(),
            region: "eu-west-1".to_owned(),
            partition: "aws".to_owned(),
        }
    }

    fn ours() -> Tags {
        tags::ownership(&scope(), "Queue", crate::core::words::DeletionPolicy::Delete)
    }

    #[test]
    fn that_it_exists_is_told_in_several_ways() {
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
            ("Throttling", "already existing requests are too many", Meaning::Throttled),
        ] {
            assert_eq!(meaning(code, message), expected, "{code} {message}");
        }
    }

    #[test]
    fn an_empty_list_of_tags_is_nobodys() {
        let queue = kind("AWS::SQS::Queue").unwrap();
        let owner = |model: &Value| live(&scope(), queue, "url", model, Some(&ours())).owner;
        assert_eq!(owner(&json!({"QueueName": "q"})), Owner::Stack);
        assert_ne!(owner(&json!({"QueueName": "q", "Tags": []})), Owner::Stack);
    }

    #[test]
    fn requests_of_others_are_told_by_their_models() {
        let queue = kind("AWS::SQS::Queue").unwrap();
        let is_of_others = |model: Option<Value>| {
            let event = ProgressEvent::builder().set_resource_model(model.map(|model| model.to_string())).build();
            is_of_others(&scope(), queue, &event)
        };
        let tags: Vec<Value> = ours().into_iter().map(|(key, value)| json!({"Key": key, "Value": value})).collect();
        assert!(!is_of_others(None) && !is_of_others(Some(json!({"QueueName": "q"}))));
        assert!(!is_of_others(Some(json!({"Tags": tags}))));
        assert!(is_of_others(Some(json!({"Tags": [{"Key": "wschat:stack", "Value": "other"}]}))));
    }

    #[test]
    fn who_has_no_such_types_does_without_tags() {
        let of = |types: &[&'static str]| {
            needs_tags(&Search {
                names: types.iter().map(|name| (*name, BTreeSet::new())).collect(),
                ..Search::default()
            })
        };
        assert!(of(&[]) && of(&["AWS::Lambda::Function", "AWS::KMS::Key"]));
        assert!(!of(&["AWS::Lambda::Function"]));
    }
}
