//! Invokes the functions behind custom resources, as CloudFormation does (`core::types::custom_resource`).
//!
//! An event is handed to the function with a presigned address in a bucket of the stack, and the answer is awaited there. Before
//! it is sent, the state in the same bucket says so: a run that was killed is continued with the same request, for which a
//! function must be prepared anyway, since Lambda may deliver an event twice.

use std::collections::BTreeMap;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use async_trait::async_trait;
use bytes::Bytes;
use futures_util::future::try_join_all;
use serde_json::Value;
use tokio::time::{Instant, sleep};
use uuid::Uuid;

use super::cloud_control::Unread;
use super::recorded;
use super::{Context, Discovery, Provider, ResourceError};
use crate::aws::client::{Aws, CallError, Meaning, S3, S3Error};
use crate::core::types::cloud_control::record::{self, Kept, RECORD, RECORDED_ON};
use crate::core::types::custom_resource::pointer::Pointer;
use crate::core::types::custom_resource::state::{Answer, Replaced, Request, RequestType, State};
use crate::core::types::custom_resource::{BUCKET, CustomResource, STATE, is_topic, kind, timeout, told};
use crate::core::types::tags::Tags;
use crate::core::types::{self, Created, Desired, Health, Kind, Live, Owner, S3Object};
use crate::core::words::DeletionPolicy;

/// The subject of the messages that topics get.
const SUBJECT: &str = "AWS CloudFormation custom resource request";

/// The attribute of what an update has left behind: its id.
const REPLACED: &str = "@Replaced";

/// How long an address is valid beyond the time that an answer may take.
const SLACK: Duration = Duration::from_secs(600);

/// The first pause between two looks for an answer, and the longest.
const FIRST_PAUSE: Duration = Duration::from_millis(100);
const LONGEST_PAUSE: Duration = Duration::from_secs(2);
/// The longest where calls cost nothing.
const LONGEST_PAUSE_LOCALLY: Duration = Duration::from_millis(200);

/// After how long the user is told what is waited for, and how often.
const WORTH_TELLING: Duration = Duration::from_secs(5);

/// Why a resource was not created.
struct NotMade {
    why: ResourceError,
    /// Whether its function was asked for it.
    is_asked: bool,
}

impl From<ResourceError> for NotMade {
    fn from(why: ResourceError) -> Self {
        Self { why, is_asked: true }
    }
}

/// What became of a request.
enum Asked {
    Answered(Answer),
    /// No answer came in so many seconds.
    Silent(u64),
    /// Lambda or SNS did not take the event.
    NotSent(CallError),
}

/// Reads the custom resources that tags of the stack's resources among `found` point to.
///
/// # Errors
/// The first that could not be read.
pub async fn list(aws: &Aws, found: &[Live]) -> Result<Vec<Live>, Unread> {
    let mut pointers: Vec<(Pointer, Vec<Kept>)> = Vec::new();
    for (pointer, kept) in found.iter().flat_map(|live| pointers_of(aws, live)) {
        match pointers.iter_mut().find(|(known, _)| known.name == pointer.name) {
            Some((_, all)) => all.push(kept),
            None => pointers.push((pointer, vec![kept])),
        }
    }
    if pointers.is_empty() {
        return Ok(Vec::new());
    }
    let unread = |error: S3Error| ("custom resources", failure(error));
    let s3 = aws.s3().await.map_err(unread)?;
    let read = pointers.into_iter().map(|(pointer, kept)| {
        let s3 = &s3;
        async move {
            let state = s3.find(&pointer.state()).await.map_err(unread)?;
            lives(&pointer, &kept, state).map_err(|error| ("custom resources", error))
        }
    });
    Ok(try_join_all(read.collect::<Vec<_>>()).await?.into_iter().flatten().collect())
}

/// The pointers in the tags of a resource of the stack.
fn pointers_of(aws: &Aws, live: &Live) -> Vec<(Pointer, Kept)> {
    if live.owner != Owner::Stack || aws.scope().stack.is_empty() {
        return Vec::new();
    }
    let Some(arn) = recorded::arn_of(live, aws.scope()) else { return Vec::new() };
    let pointer = |(key, value): (&String, &String)| {
        let kept = Kept {
            type_name: live.type_name.to_owned(),
            physical_id: live.physical_id.clone(),
            arn: arn.clone(),
            keys: vec![key.clone()],
        };
        Some((Pointer::read(key, value)?, kept))
    };
    live.attributes.iter().filter_map(pointer).collect()
}

/// The resource that a pointer leads to, and what its updates have left behind.
fn lives(pointer: &Pointer, kept: &[Kept], state: Option<Bytes>) -> Result<Vec<Live>, ResourceError> {
    let (Some(kind), Some(on)) = (kind(&pointer.type_name), kept.first()) else { return Ok(Vec::new()) };
    let recorded_on = Kept::write(kept);
    let Some(bytes) = state else {
        // Nothing was asked of its function, or all of it is over.
        let absent = Live::new(kind.type_name(), pointer.name.as_str(), Value::Object(serde_json::Map::new()));
        let absent = absent.health(Health::Absent).attribute(RECORDED_ON, recorded_on);
        let logical_id = Some(pointer.logical_id().to_owned());
        return Ok(vec![Live { logical_id, deletion_policy: DeletionPolicy::Delete, ..absent }]);
    };
    let state: State = serde_json::from_slice(&bytes).map_err(|error| unreadable(pointer, &error))?;
    let text = serde_json::to_string(&state).unwrap_or_default();
    let properties = |told: &Value| {
        let mut properties = told.clone();
        properties[RECORD] = record::recorded_as(on, &state.logical_id, pointer.deletion_policy);
        properties[BUCKET] = pointer.bucket.as_str().into();
        properties
    };
    let health = match (&state.failed, &state.request) {
        (Some(why), _) if !state.is_made => Health::Failed(why.clone()),
        (Some(why), _) => Health::Outdated(why.clone()),
        (None, Some(_)) => Health::Outdated("the run was ended before its function had answered".to_owned()),
        (None, None) => Health::Ready,
    };
    let mut all = vec![Live {
        logical_id: Some(state.logical_id.clone()),
        attributes: attributes(&state, &state.data),
        deletion_policy: pointer.deletion_policy,
        ..Live::new(kind.type_name(), state.logical_id.as_str(), properties(&state.properties)).health(health)
    }];
    all.extend(state.replaced.iter().map(|old| {
        let name = format!("{} ({})", state.logical_id, old.physical_id);
        Live {
            logical_id: Some(state.logical_id.clone()),
            deletion_policy: pointer.deletion_policy,
            ..Live::new(kind.type_name(), name, properties(&old.properties))
        }
        .attribute(REPLACED, &old.physical_id)
        .attribute("Ref", &old.physical_id)
    }));
    let told = |live: Live| live.attribute(STATE, &text).attribute(RECORDED_ON, &recorded_on);
    Ok(all.into_iter().map(told).collect())
}

/// What `Ref` and `GetAtt` give.
fn attributes(state: &State, data: &BTreeMap<String, String>) -> BTreeMap<String, String> {
    let id = state.physical_id.iter().map(|id| ("Ref".to_owned(), id.clone()));
    data.clone().into_iter().chain(id).collect()
}

#[async_trait]
impl Provider for CustomResource {
    async fn list(&self, _: &Aws, _: &Discovery, _: &[Live]) -> Result<Vec<Live>, ResourceError> {
        // Only what points to them tells of them (`list` of this module).
        Ok(Vec::new())
    }

    async fn find(&self, _: Context<'_>, _: &Desired) -> Result<Option<Live>, ResourceError> {
        Ok(None)
    }

    async fn create(&self, cx: Context<'_>, desired: &Desired) -> Result<Created, ResourceError> {
        let work = Work::on(cx, self, desired)?;
        let arn = record::recorder(desired).ok_or_else(|| unrecorded(desired))?;
        // Whatever happens from here on, it is found again.
        let tag = Tags::from([(work.pointer.key(), work.pointer.value())]);
        recorded::set(cx.aws, arn, tag, Vec::new()).await?;
        // What pointed to it may have been deleted by other means; or another run is about to create the same.
        if let Some(bytes) = work.s3().await?.find(&work.pointer.state()).await.map_err(failure)? {
            let state: State = serde_json::from_slice(&bytes).map_err(|error| unreadable(&work.pointer, &error))?;
            if state.is_made || state.request.is_some() {
                return work.change(state, told(&desired.properties), false).await;
            }
        }
        let created = work.create(State::new(&desired.logical_id, told(&desired.properties))).await;
        if let Err(NotMade { is_asked: false, .. }) = &created {
            recorded::set(cx.aws, arn, Tags::new(), vec![work.pointer.key()]).await?;
        }
        created.map_err(|not_made| not_made.why)
    }

    async fn update(&self, cx: Context<'_>, live: &Live, desired: &Desired) -> Result<(), ResourceError> {
        self.updated(cx, live, desired).await.map(drop)
    }

    async fn updated(&self, cx: Context<'_>, live: &Live, desired: &Desired) -> Result<Created, ResourceError> {
        let work = Work::on(cx, self, desired)?;
        work.point(live, desired).await?;
        // Only where it is recorded has changed.
        let is_moved = live.health == Health::Ready && live.properties != desired.properties;
        work.change(state_of(live)?, told(&desired.properties), is_moved).await
    }

    async fn delete(&self, cx: Context<'_>, live: &Live) -> Result<(), ResourceError> {
        let kept = live.attributes.get(RECORDED_ON).map(|text| Kept::read(text)).unwrap_or_default();
        let Some(pointer) = pointer_of(self, live, &kept) else { return Ok(()) };
        let work = Work { cx, kind: self, pointer };
        if live.is_absent() {
            // One with the same name may have been created meanwhile.
            return match work.s3().await?.find(&work.pointer.state()).await.map_err(failure)? {
                Some(_) => Ok(()),
                None => recorded::forget(cx.aws, live).await,
            };
        }
        let mut state = state_of(live)?;
        if let Some(id) = live.attributes.get(REPLACED) {
            return work.delete_replaced(&state, id).await;
        }
        let is_deleting =
            |state: &State| state.request.as_ref().is_some_and(|open| open.request_type == RequestType::Delete);
        if state.request.is_some() && !is_deleting(&state) {
            // What it makes now would have no owner. That it failed is no reason to leave it there.
            let asked = work.ask(&mut state).await?;
            let _ = work.conclude(&mut state, asked).await;
        }
        if !is_deleting(&state) {
            state.request = Some(request(RequestType::Delete, None));
        }
        let asked = work.ask(&mut state).await?;
        if let Asked::NotSent(error) = asked {
            return Err(work.not_deleted(&state, &error));
        }
        work.conclude(&mut state, asked).await?;
        recorded::forget(cx.aws, live).await
    }
}

/// The pointer that the records of a live resource are.
fn pointer_of(kind: &CustomResource, live: &Live, kept: &[Kept]) -> Option<Pointer> {
    let key = kept.first()?.keys.first()?;
    let bucket = live.properties[BUCKET].as_str().unwrap_or_default();
    let policy = live.deletion_policy.as_str();
    Pointer::read(key, &format!("{} {policy} {bucket}", kind.type_name()))
}

fn request(request_type: RequestType, old: Option<Value>) -> Request {
    Request { id: Uuid::new_v4().to_string(), request_type, old }
}

fn made(state: &State, data: &BTreeMap<String, String>) -> Created {
    Created { physical_id: state.logical_id.clone(), attributes: attributes(state, data), ..Created::default() }
}

fn state_of(live: &Live) -> Result<State, ResourceError> {
    let read = live.attributes.get(STATE).and_then(|text| serde_json::from_str(text).ok());
    read.ok_or_else(|| {
        let id = &live.physical_id;
        ResourceError::Failed(format!("internal error: the state of {id} was not read (please report this)"))
    })
}

fn unreadable(pointer: &Pointer, error: &serde_json::Error) -> ResourceError {
    let S3Object { bucket, key, .. } = pointer.state();
    ResourceError::Failed(format!("s3://{bucket}/{key} cannot be read, which only wschat writes: {error}"))
}

fn unrecorded(desired: &Desired) -> ResourceError {
    let id = &desired.logical_id;
    ResourceError::Failed(format!("internal error: nothing records {id} (please report this)"))
}

fn failure(error: S3Error) -> ResourceError {
    ResourceError::Failed(format!("{error} ({})", error.help))
}

fn now() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}

/// A custom resource that something is done with.
struct Work<'a> {
    cx: Context<'a>,
    kind: &'a CustomResource,
    pointer: Pointer,
}

impl<'a> Work<'a> {
    fn on(cx: Context<'a>, kind: &'a CustomResource, desired: &Desired) -> Result<Self, ResourceError> {
        let bucket = desired.properties[BUCKET].as_str().filter(|bucket| !bucket.is_empty());
        let bucket = bucket.ok_or_else(|| unrecorded(desired))?;
        let pointer = Pointer::of(kind.type_name(), desired, record::deletion_policy(desired), bucket);
        Ok(Self { cx, kind, pointer })
    }

    async fn s3(&self) -> Result<S3, ResourceError> {
        self.cx.aws.s3().await.map_err(failure)
    }

    /// Asks for what has this state.
    async fn create(&self, mut state: State) -> Result<Created, NotMade> {
        state.request = Some(request(RequestType::Create, None));
        match self.ask(&mut state).await? {
            Asked::NotSent(error) => {
                self.forget_state(&state).await?;
                Err(NotMade { why: error.into(), is_asked: false })
            }
            asked => Ok(self.conclude(&mut state, asked).await?),
        }
    }

    /// Makes of what has a state what the function is to be told; `is_moved` where that is not asked for.
    async fn change(&self, mut state: State, wanted: Value, is_moved: bool) -> Result<Created, ResourceError> {
        let mut created = None;
        if let Some(open) = state.request.clone() {
            let asked = self.ask(&mut state).await?;
            if let Asked::NotSent(error) = asked {
                return Err(error.into());
            }
            let ended = self.conclude(&mut state, asked).await?;
            if open.request_type == RequestType::Delete {
                let again = self.create(State::new(&state.logical_id, wanted)).await;
                return again.map_err(|not_made| not_made.why);
            }
            created = Some(ended);
        }
        let is_told = wanted == state.properties && state.failed.is_none();
        if is_told && (is_moved || created.is_some()) {
            return Ok(created.unwrap_or_else(|| made(&state, &state.data)));
        }
        let before = state.clone();
        state.request = Some(request(RequestType::Update, Some(before.properties.clone())));
        state.properties = wanted;
        state.failed = None;
        match self.ask(&mut state).await? {
            Asked::NotSent(error) => {
                self.save(&before).await?;
                Err(error.into())
            }
            asked => self.conclude(&mut state, asked).await,
        }
    }

    /// Points to the state where the plan wants that, and nowhere else.
    async fn point(&self, live: &Live, desired: &Desired) -> Result<(), ResourceError> {
        if live.properties[RECORD] == desired.properties[RECORD] {
            return Ok(());
        }
        let arn = record::recorder(desired).ok_or_else(|| unrecorded(desired))?;
        let tag = Tags::from([(self.pointer.key(), self.pointer.value())]);
        recorded::set(self.cx.aws, arn, tag, Vec::new()).await?;
        let kept = live.attributes.get(RECORDED_ON).map(|text| Kept::read(text)).unwrap_or_default();
        let elsewhere: Vec<Kept> = kept.into_iter().filter(|kept| kept.arn != arn).collect();
        recorded::forget_all(self.cx.aws, elsewhere).await
    }

    async fn save(&self, state: &State) -> Result<(), ResourceError> {
        let text = serde_json::to_vec(state).map_err(|error| ResourceError::Failed(error.to_string()))?;
        self.s3().await?.put(&self.pointer.state(), text.into()).await.map(drop).map_err(failure)
    }

    /// Removes the state, and answers that may have come twice.
    async fn forget_state(&self, state: &State) -> Result<(), ResourceError> {
        for id in state.answered.iter().chain(state.request.as_ref().map(|request| &request.id)) {
            self.discard(id).await;
        }
        self.s3().await?.delete(&self.pointer.state()).await.map_err(failure)
    }

    /// Deletes an answer. One that stays goes with the bucket, or after a day.
    async fn discard(&self, request: &str) {
        if let Ok(s3) = self.s3().await {
            let _ = s3.delete(&self.pointer.answer(request)).await;
        }
    }

    /// Writes down what is asked, asks it and waits for the answer. A request of an earlier run may be answered already.
    async fn ask(&self, state: &mut State) -> Result<Asked, ResourceError> {
        let Some(request) = state.request.clone() else {
            return Err(ResourceError::Failed("internal error: nothing was asked (please report this)".to_owned()));
        };
        let answer = self.pointer.answer(&request.id);
        let is_old = state.begun > 0 && state.asked == Some(request.id.clone());
        if is_old && let Some(bytes) = self.s3().await?.find(&answer).await.map_err(failure)? {
            return Ok(Asked::Answered(Answer::read(&bytes, request.request_type)));
        }
        state.begun = now();
        state.asked = Some(request.id.clone());
        self.save(state).await?;
        let s3 = self.s3().await?;
        let seconds = timeout(&state.properties);
        let limit = Duration::from_secs(seconds);
        let url = s3.presigned_put(&answer, limit + SLACK).map_err(failure)?;
        let event = state.event(&request, self.kind.type_name(), self.cx.aws.scope(), &url);
        match self.deliver(state, &event).await {
            Ok(()) => {}
            // It may be under way: the next run looks for its answer.
            Err(error) if error.is(Meaning::Unknown) => return Err(ResourceError::Failed(error.to_string())),
            Err(error) => return Ok(Asked::NotSent(error)),
        }
        self.wait(&answer, state, request.request_type, limit).await
    }

    /// Sends an event to the function, or publishes it to the topic, as CloudFormation does.
    async fn deliver(&self, state: &State, event: &Value) -> Result<(), CallError> {
        let (aws, token) = (self.cx.aws, state.token());
        match is_topic(token) {
            true => aws.publish(token, SUBJECT, &event.to_string()).await,
            false => aws.invoke_later(token, event.to_string().into()).await,
        }
    }

    /// Waits for an answer.
    async fn wait(
        &self,
        answer: &S3Object,
        state: &State,
        request: RequestType,
        limit: Duration,
    ) -> Result<Asked, ResourceError> {
        let longest = if self.cx.aws.has_quotas() { LONGEST_PAUSE } else { LONGEST_PAUSE_LOCALLY };
        let begun = Instant::now();
        let (mut pause, mut told) = (FIRST_PAUSE, begun);
        loop {
            sleep(pause).await;
            // Credentials may expire meanwhile.
            if let Some(bytes) = self.s3().await?.find(answer).await.map_err(failure)? {
                return Ok(Asked::Answered(Answer::read(&bytes, request)));
            }
            let waited = begun.elapsed();
            if waited >= limit {
                return Ok(Asked::Silent(limit.as_secs()));
            }
            if told.elapsed() >= WORTH_TELLING {
                told = Instant::now();
                let (asked, waited, limit) = (name_of(state.token()), waited.as_secs(), limit.as_secs());
                (self.cx.note)(format!(
                    "waiting for the answer of {asked} ({waited} s, at most {limit} s; {})",
                    see(state.token())
                ));
            }
            pause = (pause * 3 / 2).min(longest).min(limit);
        }
    }

    /// Writes down what came of a request. An error says why it failed.
    async fn conclude(&self, state: &mut State, asked: Asked) -> Result<Created, ResourceError> {
        let Some(request) = state.request.take() else { return Ok(made(state, &state.data)) };
        state.end(&request, now());
        let answer = match asked {
            Asked::Answered(answer) => answer,
            Asked::Silent(seconds) => Answer {
                failed: Some(format!("it did not answer within {seconds} s")),
                physical_id: None,
                data: Default::default(),
                no_echo: false,
            },
            Asked::NotSent(error) => return Err(error.into()),
        };
        if let Some(why) = answer.failed {
            if request.request_type == RequestType::Create {
                state.physical_id = answer.physical_id;
            }
            let verb = request.request_type.as_str();
            let asked = name_of(state.token());
            let said = format!("{asked} failed to {}: {why}", verb.to_ascii_lowercase());
            state.failed = Some(said.clone());
            self.save(state).await?;
            self.discard(&request.id).await;
            return Err(ResourceError::Failed(format!("{said} ({})", see(state.token()))));
        }
        state.failed = None;
        if request.request_type == RequestType::Delete {
            state.request = None;
            self.forget_state(state).await?;
            return Ok(made(state, &state.data));
        }
        let old = state.physical_id.take().filter(|old| Some(old) != answer.physical_id.as_ref());
        state.replaced.retain(|replaced| Some(&replaced.physical_id) != answer.physical_id.as_ref());
        if let (Some(physical_id), Some(properties)) = (old, request.old) {
            state.replaced.push(Replaced { physical_id, properties });
        }
        state.physical_id = answer.physical_id;
        state.is_made = true;
        state.data = if answer.no_echo { Default::default() } else { answer.data.clone() };
        self.save(state).await?;
        self.discard(&request.id).await;
        Ok(made(state, &answer.data))
    }

    /// Deletes what an update has left behind.
    async fn delete_replaced(&self, whole: &State, id: &str) -> Result<(), ResourceError> {
        let Some(old) = whole.replaced.iter().find(|old| old.physical_id == id) else { return Ok(()) };
        let s3 = self.s3().await?;
        let request = request(RequestType::Delete, None);
        let mut state = State::new(&whole.logical_id, old.properties.clone());
        state.physical_id = Some(old.physical_id.clone());
        let answer = self.pointer.answer(&request.id);
        let limit = Duration::from_secs(timeout(&state.properties));
        let url = s3.presigned_put(&answer, limit + SLACK).map_err(failure)?;
        let event = state.event(&request, self.kind.type_name(), self.cx.aws.scope(), &url);
        self.deliver(&state, &event).await?;
        let asked = self.wait(&answer, &state, RequestType::Delete, limit).await?;
        self.discard(&request.id).await;
        let failed = match asked {
            Asked::Answered(answer) => answer.failed,
            Asked::Silent(seconds) => Some(format!("it did not answer within {seconds} s")),
            Asked::NotSent(error) => return Err(error.into()),
        };
        if let Some(why) = failed {
            let (asked, see) = (name_of(state.token()), see(state.token()));
            return Err(ResourceError::Failed(format!("{asked} failed to delete {id}: {why} ({see})")));
        }
        let Some(bytes) = s3.find(&self.pointer.state()).await.map_err(failure)? else { return Ok(()) };
        let now: Result<State, _> = serde_json::from_slice(&bytes);
        let mut now = now.map_err(|error| ResourceError::Failed(error.to_string()))?;
        now.replaced.retain(|old| old.physical_id != id);
        self.save(&now).await
    }

    /// The error that a function could not be asked to delete something.
    fn not_deleted(&self, state: &State, error: &CallError) -> ResourceError {
        let S3Object { bucket, key, .. } = self.pointer.state();
        let token = state.token();
        let text = match error.is(Meaning::NotFound) {
            true => format!(
                "{token} does not exist any more, and only it can delete {}: deploy it again, or delete that by hand and \
                 then s3://{bucket}/{key}",
                state.id(self.cx.aws.scope())
            ),
            false => format!("{token} could not be asked to delete it: {error}"),
        };
        ResourceError::Failed(text)
    }
}

/// The name of a function or a topic, of its ARN.
fn name_of(arn: &str) -> &str {
    match is_topic(arn) {
        true => arn.rsplit(':').next().unwrap_or(arn),
        false => types::function::name_and_qualifier(arn).0,
    }
}

/// Where to look for what went wrong: in the log group of a function, as Lambda names it.
fn see(arn: &str) -> String {
    match is_topic(arn) {
        true => "what is subscribed to the topic answers, if anything is".to_owned(),
        false => format!("its log: /aws/lambda/{}", name_of(arn)),
    }
}
