//! Resources that cannot be tagged, and the tags of others that record them (`core::types::cloud_control::record`).
//!
//! The search by tags says early what is recorded, so that it is read with everything else. What counts is what the recorders'
//! own readings say, since that search lags behind.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use aws_sdk_cloudcontrol::types::{OperationStatus, ProgressEvent};
use aws_sdk_resourcegroupstagging::types::FailureInfo;
use futures_util::future::try_join_all;
use serde_json::Value;
use tokio::sync::Mutex;

use super::provisioning::{Unread, creates, finished, identifiers_of_type, is_finished, is_first, live, read_model};
use super::{Context, Discovery, ResourceError, Search, gateway_tags};
use crate::aws::client::{Aws, AwsCall, CallError, Meaning};
use crate::core::schemas::value_at;
use crate::core::types::cloud_control::record::{
    self, Kept, RECORD, RECORDED_ON, Record, Sought, State, UNRECORDED, has_marks,
};
use crate::core::types::cloud_control::{CloudControlled, IDENTIFIER, kind};
use crate::core::types::tags::{self, Tags};
use crate::core::types::{self, Created, Desired, Health, Live, Owner};
use crate::core::words::{DeletionPolicy, Scope};

/// How far the clocks of both sides may differ.
const SKEW: u64 = 60;

/// How far back a create of this run's is looked for.
const LATELY: u64 = 10 * 60;

/// How often a change of tags is tried that failed inside of AWS.
const TRIES: u32 = 5;

/// A type and Cloud Control's identifier of one of its resources.
type Identity = (&'static str, String);

/// What was read of recorded resources before their recorders were.
#[derive(Debug, Default)]
pub struct Early {
    models: BTreeMap<Identity, Option<Value>>,
    /// What the template names or identifies.
    wanted: BTreeSet<Identity>,
}

/// Reads what the template names and what the search by tags says is recorded.
pub(super) async fn early(aws: &Aws, discovery: &Discovery) -> Result<Early, Unread> {
    let wanted = async {
        let mut wanted = wanted(discovery.wait().await, aws.scope());
        wanted.extend(claimed(aws));
        let models = models(aws, wanted.clone()).await?;
        Ok::<_, Unread>((wanted, models))
    };
    let told = async {
        if aws.scope().stack.is_empty() {
            return Ok(BTreeMap::new());
        }
        // Whether the reading can do without that search is not decided here.
        let Ok(tagged) = discovery.tagged(aws).await else { return Ok(BTreeMap::new()) };
        let wanted = self::wanted(discovery.wait().await, aws.scope());
        let ours = tagged.all.iter().filter(|(_, tags)| tags::owner(tags, aws.scope()) == Owner::Stack);
        let records = ours.flat_map(|(_, tags)| Record::all(tags));
        let told = records.filter_map(|(_, record)| {
            let kind = recorded_kind(&record)?;
            match record.state {
                State::Made(identifier) | State::Pending { sought: Sought::Identifier(identifier), .. } => {
                    Some((kind.schema.type_name, identifier))
                }
                State::Pending { .. } => None,
            }
        });
        models(aws, told.filter(|identity| !wanted.contains(identity)).collect()).await
    };
    let ((wanted, mut models), told) = tokio::try_join!(wanted, told)?;
    models.extend(told);
    Ok(Early { models, wanted })
}

fn recorded_kind(record: &Record) -> Option<&'static CloudControlled> {
    kind(&record.type_name).filter(|kind| !kind.is_tagged())
}

/// What the template names or identifies of types that cannot be tagged.
fn wanted(search: &Search, scope: &Scope) -> BTreeSet<Identity> {
    let of_type = |type_name: &&'static str| kind(type_name).filter(|kind| !kind.is_tagged());
    let named = search.names.iter().filter_map(|(type_name, names)| Some((of_type(type_name)?, names)));
    let named = named.flat_map(|(kind, names)| {
        names.iter().filter_map(|name| Some((kind.schema.type_name, kind.identifier_of(scope, name)?)))
    });
    let identified =
        search.identifiers.iter().flat_map(|(type_name, all)| all.iter().map(|one| (*type_name, one.clone())));
    named.chain(identified).collect()
}

/// What this run is about to take over of types that cannot be tagged.
fn claimed(aws: &Aws) -> BTreeSet<Identity> {
    let claims = aws.claims();
    let kinds = claims.types().into_iter().filter_map(kind).filter(|kind| !kind.is_tagged());
    kinds.flat_map(|kind| claims.of(kind.schema.type_name).map(|id| (kind.schema.type_name, id.to_owned()))).collect()
}

async fn models(aws: &Aws, wanted: BTreeSet<Identity>) -> Result<BTreeMap<Identity, Option<Value>>, Unread> {
    let read = wanted.into_iter().map(|identity| async move {
        let model = model(aws, &identity).await?;
        Ok::<_, Unread>((identity, model))
    });
    Ok(try_join_all(read).await?.into_iter().collect())
}

async fn model(aws: &Aws, (type_name, identifier): &Identity) -> Result<Option<Value>, Unread> {
    let Some(kind) = kind(type_name) else { return Ok(None) };
    match read_model(aws, kind, identifier).await {
        // It has not the form that this type's identifiers have: the template gives an ARN for a name.
        Err(ResourceError::Call(error)) if error.is(Meaning::Refused) => Ok(None),
        read => read.map_err(|error| (*type_name, error)),
    }
}

/// All that the stack's resources among `found` record, and what the template names and no record tells of. `under_way` are the
/// requests that AWS still works on.
///
/// # Errors
/// The first that could not be read.
pub(super) async fn list(
    aws: &Aws,
    found: &[Live],
    early: Early,
    under_way: &[ProgressEvent],
) -> Result<Vec<Live>, Unread> {
    let mut made: BTreeMap<Identity, Vec<(Kept, Record)>> = BTreeMap::new();
    let mut absent: BTreeMap<(&'static str, String), Vec<Kept>> = BTreeMap::new();
    let Early { mut models, wanted } = early;
    let mut pending = Vec::new();
    for (kept, record) in found.iter().flat_map(|live| records_of(live, aws.scope())) {
        let Some(kind) = recorded_kind(&record) else { continue };
        match &record.state {
            State::Made(identifier) => {
                made.entry((kind.schema.type_name, identifier.clone())).or_default().push((kept, record));
            }
            State::Pending { .. } => pending.push((kind, kept, record)),
        }
    }
    if !pending.is_empty() {
        let creates = creates(aws).await.map_err(unread)?;
        for (kind, kept, record) in pending {
            let State::Pending { since, sought } = &record.state else { continue };
            let taken = |identifier: &str| made.contains_key(&(kind.schema.type_name, identifier.to_owned()));
            let found = created(aws, kind, *since, sought, &creates, taken).await;
            let found = found.map_err(|error| (kind.schema.type_name, error))?;
            match found {
                Some(identifier) => {
                    let identity = (kind.schema.type_name, identifier);
                    // It may have come only after it was read.
                    models.remove(&identity);
                    made.entry(identity).or_default().push((kept, record));
                }
                None => absent.entry((kind.schema.type_name, record.logical_id)).or_default().push(kept),
            }
        }
    }
    let mut all = Vec::new();
    let read = made.into_iter().map(|(identity, records)| {
        let known = models.remove(&identity);
        async move {
            let request = under_way.iter().find(|event| is_about(event, &identity));
            let model = match (request.and_then(|event| event.request_token.as_deref()), known) {
                (Some(token), _) => {
                    let ended = finished(Context { aws, note: &|_| {} }, token, "in progress").await;
                    ended.map_err(|error| (identity.0, error))?;
                    model(aws, &identity).await?
                }
                (None, Some(model)) => model,
                (None, None) => model(aws, &identity).await?,
            };
            Ok::<_, Unread>((identity, records, model))
        }
    });
    let mut claimed: BTreeSet<Identity> = BTreeSet::new();
    for (identity, records, model) in try_join_all(read.collect::<Vec<_>>()).await? {
        let Some(kind) = kind(identity.0) else { continue };
        match model {
            Some(model) => {
                // The template may identify it in another form.
                claimed.extend(kind.given_identifier(&model).map(|given| (identity.0, given)));
                all.extend(recorded_live(aws.scope(), kind, &identity.1, &model, &records));
                claimed.insert(identity);
            }
            None => {
                for (kept, record) in records {
                    absent.entry((identity.0, record.logical_id)).or_default().push(kept);
                }
            }
        }
    }
    all.extend(absent.into_iter().map(|((type_name, logical_id), kept)| absent_live(type_name, logical_id, &kept)));
    for identity in wanted {
        let (Some(kind), Some(Some(model))) = (kind(identity.0), models.remove(&identity)) else { continue };
        let is_claimed = |identity: &Identity| claimed.contains(identity);
        if !is_claimed(&identity)
            && !kind.given_identifier(&model).is_some_and(|given| is_claimed(&(identity.0, given)))
        {
            let owner = Owner::Other(UNRECORDED.to_owned());
            let unrecorded = Live { owner, ..live(aws.scope(), kind, &identity.1, &model, None) };
            all.push(super::provisioning::claimed(aws, unrecorded));
        }
    }
    Ok(all)
}

fn unread(error: CallError) -> Unread {
    ("AWS Cloud Control requests", error.into())
}

/// The ARN of a resource whose tags can record others.
pub(super) fn arn_of(live: &Live, scope: &Scope) -> Option<String> {
    let form = types::kind(live.type_name)?.recorder_arn()?;
    form.of(scope, |attribute| live.attributes.get(attribute.unwrap_or("Ref")).cloned())
}

/// The records in the tags of a resource of the stack.
fn records_of(live: &Live, scope: &Scope) -> Vec<(Kept, Record)> {
    let arn = arn_of(live, scope).filter(|_| live.owner == Owner::Stack && !scope.stack.is_empty());
    let Some(arn) = arn else { return Vec::new() };
    let kept = |keys| Kept {
        type_name: live.type_name.to_owned(),
        physical_id: live.physical_id.clone(),
        arn: arn.clone(),
        keys,
    };
    Record::all(&live.attributes).into_iter().map(|(keys, record)| (kept(keys), record)).collect()
}

fn recorded_live(
    scope: &Scope,
    kind: &'static CloudControlled,
    identifier: &str,
    model: &Value,
    records: &[(Kept, Record)],
) -> Option<Live> {
    let is_made = |(_, record): &&(Kept, Record)| matches!(record.state, State::Made(_));
    let (on, record) = records.iter().find(is_made).or(records.first())?;
    let is_settled = records.len() == 1 && matches!(record.state, State::Made(_));
    let kept: Vec<Kept> = records.iter().map(|(kept, _)| kept.clone()).collect();
    let mut live = live(scope, kind, identifier, model, None);
    live.properties[RECORD] = record.property(on, !is_settled);
    live.attributes.insert(RECORDED_ON.to_owned(), Kept::write(&kept));
    Some(Live {
        logical_id: Some(record.logical_id.clone()),
        owner: Owner::Stack,
        deletion_policy: record.deletion_policy,
        ..live
    })
}

/// A resource that is not there, with all that is left of it: its records.
fn absent_live(type_name: &'static str, logical_id: String, kept: &[Kept]) -> Live {
    let name = kept.iter().flat_map(|kept| &kept.keys).next().map_or("", |key| key.trim_start_matches(tags::RESOURCE));
    Live {
        logical_id: Some(logical_id),
        // A record alone keeps nothing.
        deletion_policy: DeletionPolicy::Delete,
        ..Live::new(type_name, name, Value::Object(serde_json::Map::new())).health(Health::Absent)
    }
    .attribute(RECORDED_ON, Kept::write(kept))
}

/// The identifier of what a create since then has made, if any has. One that is under way is waited for.
async fn created(
    aws: &Aws,
    kind: &'static CloudControlled,
    since: u64,
    sought: &Sought,
    creates: &[ProgressEvent],
    is_taken: impl Fn(&str) -> bool,
) -> Result<Option<String>, ResourceError> {
    let since = i64::try_from(since.saturating_sub(SKEW)).unwrap_or(i64::MAX);
    let is_likely = |event: &&ProgressEvent| {
        event.type_name.as_deref() == Some(kind.schema.type_name)
            && event.event_time.is_none_or(|time| time.secs() >= since)
            // What is there by itself is not what a create that failed has left.
            && (event.operation_status != Some(OperationStatus::Failed) || matches!(sought, Sought::Marks(_)))
            && event.operation_status != Some(OperationStatus::CancelComplete)
    };
    for event in creates.iter().filter(is_likely) {
        let ended = match &event.request_token {
            Some(token) if !is_finished(event) => {
                Some(finished(Context { aws, note: &|_| {} }, token, "in progress").await?)
            }
            _ => None,
        };
        let event = ended.as_ref().unwrap_or(event);
        let Some(identifier) = event.identifier.as_deref().filter(|identifier| !identifier.is_empty()) else {
            continue;
        };
        let has_failed = event.operation_status == Some(OperationStatus::Failed);
        let is_it = match sought {
            Sought::Identifier(wanted) => wanted == identifier && !has_failed,
            Sought::Marks(_) if is_taken(identifier) => false,
            Sought::Marks(_) if kind.equal_in().is_some() && !is_first(creates, event) => false,
            Sought::Marks(marks) => read_model(aws, kind, identifier)
                .await?
                .is_some_and(|model| has_marks(kind, &kind.live_properties(&model), marks)),
        };
        if is_it {
            return Ok(Some(identifier.to_owned()));
        }
    }
    Ok(None)
}

fn is_about(event: &ProgressEvent, (type_name, identifier): &Identity) -> bool {
    event.type_name.as_deref() == Some(*type_name) && event.identifier.as_ref() == Some(identifier)
}

fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs()
}

/// What there is with a desired resource's identifier, or equal to it where AWS has one of those at most, if it is not this run's:
/// that is found by sending the create again.
pub(super) async fn find(
    aws: &Aws,
    kind: &'static CloudControlled,
    desired: &Desired,
) -> Result<Option<Live>, ResourceError> {
    let named = desired.name.as_deref().and_then(|name| kind.identifier_of(aws.scope(), name));
    let known = named.or_else(|| kind.given_identifier(&desired.properties));
    let found = match known {
        Some(identifier) => read_model(aws, kind, &identifier).await?.map(|model| (identifier, model)),
        None => equal(aws, kind, desired).await?.into_iter().next(),
    };
    let Some((identifier, model)) = found else { return Ok(None) };
    if is_lately_made(aws, kind, identifier.clone(), now().saturating_sub(LATELY)).await? {
        return Ok(None);
    }
    let owner = Owner::Other(UNRECORDED.to_owned());
    Ok(Some(Live { owner, ..live(aws.scope(), kind, &identifier, &model, None) }))
}

/// The resources, with their identifiers, that are equal to a desired one of a type of which AWS has one of those at most, and whose
/// identifier it mints: a create would give one of these.
async fn equal(
    aws: &Aws,
    kind: &'static CloudControlled,
    desired: &Desired,
) -> Result<Vec<(String, Value)>, ResourceError> {
    let of =
        |model: &Value| kind.equal_in().map(|paths| paths.iter().map(|path| value_at(model, path).cloned()).collect());
    let wanted: Option<Option<Vec<Value>>> = of(&desired.properties);
    let Some(Some(wanted)) = wanted else { return Ok(Vec::new()) };
    // The identifiers of all of them have what they belong to in them.
    let parent = wanted.first().and_then(Value::as_str).unwrap_or_default();
    let known = |property: &str| value_at(&desired.properties, property).cloned();
    let mut listed = identifiers_of_type(aws, kind, known).await?;
    listed.retain(|identifier| identifier.contains(parent));
    let read = listed.into_iter().map(|identifier| async move {
        let model = read_model(aws, kind, &identifier).await?;
        Ok::<_, ResourceError>(model.map(|model| (identifier, model)))
    });
    let read = try_join_all(read).await?.into_iter().flatten();
    Ok(read.filter(|(_, model)| of(model).flatten().as_ref() == Some(&wanted)).collect())
}

async fn is_lately_made(
    aws: &Aws,
    kind: &'static CloudControlled,
    identifier: String,
    since: u64,
) -> Result<bool, ResourceError> {
    let creates = creates(aws).await?;
    let sought = Sought::Identifier(identifier);
    Ok(created(aws, kind, since, &sought, &creates, |_| false).await?.is_some())
}

/// Creates a resource: first its record, then the resource, then the record with AWS's identifier.
pub(super) async fn create(
    cx: Context<'_>,
    kind: &'static CloudControlled,
    desired: &Desired,
) -> Result<Created, ResourceError> {
    let aws = cx.aws;
    let arn = recorder(desired)?;
    let key = record::key(desired, kind);
    let since = now();
    let sought = record::sought(desired, kind);
    let mut before = Vec::new();
    for (identifier, _) in equal(aws, kind, desired).await? {
        if !is_lately_made(aws, kind, identifier.clone(), since.saturating_sub(LATELY)).await? {
            return Err(kind.exists(&identifier).into());
        }
        before.push(identifier);
    }
    let pending = Record::of(desired, kind, State::Pending { since, sought: sought.clone() }).tags(&key);
    set(aws, arn, pending.clone(), Vec::new()).await?;
    let (live, is_earlier) = match kind.provision(cx, desired, &before).await {
        Ok(made) => made,
        Err(error) => {
            // Another call that is rejected, such as reading what was made, says nothing about the resource.
            let rejected = error.call().filter(|error| error.operation.ends_with(".CreateResource"));
            // It was there before, and this create was given it.
            let is_of_others = !before.is_empty() && error.call().is_none();
            let is_nothing = match (rejected.map(|error| error.meaning), sought) {
                // Another run of this stack may have made it.
                (Some(Meaning::Exists), Sought::Identifier(identifier)) => {
                    !is_lately_made(aws, kind, identifier, since).await?
                }
                (Some(Meaning::NotFound | Meaning::Refused | Meaning::Denied | Meaning::Exists), _) => true,
                _ => is_of_others,
            };
            if is_nothing {
                // A record that stays is removed by the next run.
                let _ = set(aws, arn, Tags::new(), pending.into_keys().collect()).await;
            }
            return Err(error);
        }
    };
    let made = made(desired, kind, &live);
    let removed = pending.into_keys().filter(|key| !made.contains_key(key)).collect();
    set(aws, arn, made, removed).await?;
    Ok(Created { is_earlier, ..live.into() })
}

fn made(desired: &Desired, kind: &CloudControlled, live: &Live) -> Tags {
    let identifier = live.attributes.get(IDENTIFIER).unwrap_or(&live.physical_id);
    Record::of(desired, kind, State::Made(identifier.clone())).tags(&record::key(desired, kind))
}

/// Writes the record of a live resource as it is desired, and removes all others of it.
pub(super) async fn update(
    aws: &Aws,
    kind: &'static CloudControlled,
    live: &Live,
    desired: &Desired,
) -> Result<(), ResourceError> {
    if live.properties[RECORD] == desired.properties[RECORD] {
        return Ok(());
    }
    let arn = recorder(desired)?;
    let made = made(desired, kind, live);
    let mut kept = kept(live);
    for one in kept.iter_mut().filter(|one| one.arn == arn) {
        one.keys.retain(|key| !made.contains_key(key));
    }
    set(aws, arn, made, Vec::new()).await?;
    forget_all(aws, kept).await
}

/// Removes all records of a resource that is gone.
pub(super) async fn forget(aws: &Aws, live: &Live) -> Result<(), ResourceError> {
    forget_all(aws, kept(live)).await
}

fn kept(live: &Live) -> Vec<Kept> {
    live.attributes.get(RECORDED_ON).map(|text| Kept::read(text)).unwrap_or_default()
}

pub(super) async fn forget_all(aws: &Aws, kept: Vec<Kept>) -> Result<(), ResourceError> {
    for Kept { arn, keys, .. } in kept.into_iter().filter(|kept| !kept.keys.is_empty()) {
        match set(aws, &arn, Tags::new(), keys).await {
            // The recorder is gone, and the record with it.
            Err(ResourceError::Call(error)) if error.is(Meaning::NotFound) => {}
            removed => removed?,
        }
    }
    Ok(())
}

fn recorder(desired: &Desired) -> Result<&str, ResourceError> {
    record::recorder(desired).ok_or_else(|| {
        let id = &desired.logical_id;
        ResourceError::Failed(format!("internal error: nothing records {id} (please report this)"))
    })
}

/// Buckets' tags are read and written as a whole.
static BUCKET: Mutex<()> = Mutex::const_new(());

/// Sets and removes tags of the resource with an ARN, whatever its type.
pub(super) async fn set(aws: &Aws, arn: &str, set: Tags, removed: Vec<String>) -> Result<(), ResourceError> {
    if let Some((_, id)) = arn.split_once("::/apis/") {
        return Ok(gateway_tags::set_tags(aws, id, arn, set, removed).await?);
    }
    let _one_at_a_time = if arn.contains(":s3:::") { Some(BUCKET.lock().await) } else { None };
    if !set.is_empty() {
        change(aws, arn, Change::Set(set.into_iter().collect())).await?;
    }
    if !removed.is_empty() {
        change(aws, arn, Change::Remove(removed)).await?;
    }
    Ok(())
}

/// A change of a resource's tags.
enum Change {
    Set(HashMap<String, String>),
    Remove(Vec<String>),
}

/// Changes tags, and tries again what failed inside of AWS.
async fn change(aws: &Aws, arn: &str, change: Change) -> Result<(), CallError> {
    let mut tries = 0;
    loop {
        tries += 1;
        let (operation, failures) = match &change {
            Change::Set(tags) => {
                let answer = aws.call(AwsCall::new("tagging", "TagResources").repeatable(), || {
                    aws.tagging.tag_resources().resource_arn_list(arn).set_tags(Some(tags.clone())).send()
                });
                ("TagResources", answer.await?.failed_resources_map)
            }
            Change::Remove(keys) => {
                let answer = aws.call(AwsCall::new("tagging", "UntagResources").repeatable(), || {
                    aws.tagging.untag_resources().resource_arn_list(arn).set_tag_keys(Some(keys.clone())).send()
                });
                ("UntagResources", answer.await?.failed_resources_map)
            }
        };
        let Some(failure) = failures.unwrap_or_default().into_values().next() else { return Ok(()) };
        let error = failed(operation, failure);
        if tries == TRIES || !matches!(error.meaning, Meaning::Unknown | Meaning::Throttled) {
            return Err(error);
        }
        tokio::time::sleep(Duration::from_millis(250 << tries)).await;
    }
}

/// Why tags were not changed. The answer has the words of the resource's service, whose codes differ.
fn failed(operation: &str, failure: FailureInfo) -> CallError {
    let code = failure.error_code.as_ref().map_or("", |code| code.as_str()).to_owned();
    let message = failure.error_message.unwrap_or_else(|| "it gave no reason".to_owned());
    let says = |words: &[&str]| words.iter().any(|word| message.to_lowercase().contains(word));
    let meaning = match failure.status_code {
        _ if says(&["not authorized", "accessdenied", "access denied"]) => Meaning::Denied,
        _ if says(&["throttl", "rate exceeded", "toomanyrequests"]) => Meaning::Throttled,
        404 => Meaning::NotFound,
        _ if says(&["not found", "notfound", "nosuch", "does not exist", "nonexistent"]) => Meaning::NotFound,
        500.. => Meaning::Unknown,
        _ => Meaning::Refused,
    };
    let operation = format!("tagging.{operation}");
    CallError {
        operation,
        meaning,
        code,
        message,
        request_id: None,
        retry_after: None,
        unreached: None,
        is_late: false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn why_a_resource_was_not_tagged_is_told_in_its_service_s_words() {
        let meaning = |status: i32, message: &str| {
            failed("TagResources", FailureInfo::builder().status_code(status).error_message(message).build()).meaning
        };
        for (status, message, expected) in [
            (400, "User: x is not authorized to perform: sns:TagResource", Meaning::Denied),
            (400, "The specified bucket does not exist", Meaning::NotFound),
            (404, "gone", Meaning::NotFound),
            (400, "Rate exceeded", Meaning::Throttled),
            (500, "something went wrong", Meaning::Unknown),
            (400, "too many tags", Meaning::Refused),
        ] {
            assert_eq!(meaning(status, message), expected, "{status} {message}");
        }
    }
}
