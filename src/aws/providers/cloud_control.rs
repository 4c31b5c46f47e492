//! Reads and writes every type that AWS Cloud Control provisions (`core::types::cloud_control`).
//!
//! What belongs to a stack is found by its tags, with one call for all types (the Resource Groups Tagging API); what the
//! template names is looked for by that name, too, since a search by tags lags behind. Create, update and delete are requests that
//! AWS works on: their token is asked about until they are done.

use std::collections::BTreeSet;
use std::time::Duration;

use async_trait::async_trait;
use aws_sdk_cloudcontrol::types::{Operation, ProgressEvent};
use futures_util::future::{join_all, try_join_all};
use serde_json::Value;
use tokio::sync::OnceCell;

pub use super::provisioning::Unread;
use super::provisioning::{
    SERVICE, age, change, creates, end, finished, identifier, identifiers_of_type, is_lately_made, last_part, read,
    read_model, under_way, unregistered,
};
use super::recorded::{self, Early};
use super::{Context, Discovery, Provider, ResourceError, Search, tagged};
use crate::aws::client::{Aws, AwsCall, CallError, Meaning};
use crate::core::plan::changes;
use crate::core::schemas::value_at;
use crate::core::types::cloud_control::{self, CloudControlled, IDENTIFIER, kind};
use crate::core::types::custom_resource::{self, pointer::Pointer};
use crate::core::types::tags::{self, Tags};
use crate::core::types::{Created, Desired, Kind, Live, Naming, Owner, ResourceView};
use crate::core::words::{Scope, Token};

/// What could not be read, where it is no single type.
const BY_TAGS: &str = "resources by their tags";

/// How long after its begin a create is waited for of which it is not known whose it is.
const MAY_BE_OF_OTHERS: Duration = Duration::from_secs(120);

/// A reading of these types.
#[derive(Debug, Default)]
pub struct Reading {
    /// All resources with tags that belong to the stack, and those of others whose names the template gives.
    pub live: Vec<Live>,
    early: Early,
    under_way: Vec<ProgressEvent>,
}

impl Reading {
    /// What the stack's resources record, those of `found` that are its among them, and what the template names of types without
    /// tags.
    ///
    /// # Errors
    /// The first that could not be read.
    pub async fn recorded(self, aws: &Aws, found: &[Live]) -> Result<Vec<Live>, Unread> {
        recorded::list(aws, found, self.early, &self.under_way).await
    }
}

/// Reads all resources of these types, but for what only other resources tell of (`Reading::recorded`).
///
/// # Errors
/// The first that could not be read.
pub async fn list(aws: &Aws, discovery: &Discovery) -> Result<Reading, Unread> {
    let listed = OnceCell::new();
    let requests = async || listed.get_or_try_init(|| requests(aws)).await.cloned();
    // Names that tell their identifier need no search.
    let by_identifiers = async {
        let wanted = wanted(discovery.wait().await);
        let known = wanted.iter().filter_map(|(kind, name)| Some((*kind, kind.identifier_of(aws.scope(), name)?)));
        let found = try_join_all(known.map(|(kind, identifier)| async move {
            read(aws, kind, &identifier, None).await.map_err(|error| (kind.schema.type_name, error))
        }));
        let is_asked = discovery.wait().await.names.keys().any(|type_name| kind(type_name).is_some());
        let requests = async { if is_asked { requests().await } else { Ok(Vec::new()) } };
        tokio::try_join!(found, requests)
    };
    let by_tags = async {
        let (tagged, is_recording) = match discovery.tagged(aws).await {
            Ok(tagged) => {
                let is_recording =
                    tagged.all.iter().any(|(_, tags)| tags.keys().any(|key| key.starts_with(tags::RESOURCE)));
                (of_cloud_control(aws, &tagged.all), is_recording)
            }
            Err(error) if error.is(Meaning::Denied) && !needs_tags(discovery.wait().await) => (Vec::new(), false),
            Err(error) => return Err((BY_TAGS, not_by_tags(error))),
        };
        let wanted = wanted(discovery.wait().await);
        let of_type = |one: &Tagged, kind: &CloudControlled| one.kind.schema.type_name == kind.schema.type_name;
        let (known, unknown): (Vec<_>, Vec<_>) =
            wanted.iter().partition(|(kind, name)| kind.identifier_of(aws.scope(), name).is_some());
        let is_known = |one: &&Tagged| known.iter().any(|(kind, name)| of_type(one, kind) && is_named(&one.arn, name));
        let others = tagged.iter().filter(|one| !is_known(one));
        let others = try_join_all(
            others.map(|one| async { one.read(aws).await.map_err(|error| (one.kind.schema.type_name, error)) }),
        );
        // Those without tags are new, or belong to another owner.
        let is_tagged = |kind: &CloudControlled, name: &str| {
            tagged.iter().any(|one| of_type(one, kind) && is_called(&one.arn, name))
        };
        let unknown = unknown.into_iter().filter(|(kind, name)| !is_tagged(kind, name));
        let unknown = try_join_all(unknown.map(|(kind, name)| async move {
            let models = &discovery.wait().await.list_models;
            let model = models.get(&(kind.schema.type_name, name.clone()));
            let found = by_name(aws, kind, name, |property| model?.get(property).cloned()).await;
            found.map_err(|error| (kind.schema.type_name, error))
        }));
        let requests = async { if tagged.is_empty() && !is_recording { Ok(Vec::new()) } else { requests().await } };
        let lately = lately_made(aws, discovery.wait().await, &tagged);
        let (mut others, unknown, requests, lately) = tokio::try_join!(others, unknown, requests, lately)?;
        others.extend(unknown);
        let missed = lately.into_iter().filter(|made| !others.iter().flatten().any(|one| is_same(one, made)));
        let missed: Vec<Option<Live>> = missed.map(Some).collect();
        others.extend(missed);
        Ok((others, requests))
    };
    let early = recorded::early(aws, discovery);
    let ((found, requested), (others, also), early) = tokio::try_join!(by_identifiers, by_tags, early)?;
    let under_way = if requested.is_empty() { also } else { requested };
    let mut found: Vec<Live> = found.into_iter().chain(others).flatten().collect();
    // One whose ARN has more than its name may have been found by both.
    let mut seen = BTreeSet::new();
    found.retain(|live| seen.insert((live.type_name, identifier(live).to_owned())));
    found.extend(claimed(aws, &found).await?);
    let is_blind = discovery.wait().await.names.is_empty() && !aws.scope().stack.is_empty();
    let made = async { if is_blind { being_created(aws, &found, &under_way).await } else { Ok(Vec::new()) } };
    let (mut all, made) = tokio::try_join!(settled(aws, found.clone(), &under_way), made)?;
    all.extend(made);
    Ok(Reading { live: all, early, under_way })
}

/// What earlier runs have made lately for logical ids of the template that neither a name nor the search by tags finds: that search
/// lags behind, and a second one must not be made.
async fn lately_made(aws: &Aws, search: &Search, tagged: &[Tagged]) -> Result<Vec<Live>, Unread> {
    let is_found = |type_name: &str, logical_id: &String| {
        let of_type = tagged.iter().filter(|one| one.kind.schema.type_name == type_name);
        of_type.into_iter().any(|one| one.tags.get(tags::LOGICAL_ID) == Some(logical_id))
    };
    let lacking = |type_name: &str| {
        search.unnamed.get(type_name).is_some_and(|ids| ids.iter().any(|id| !is_found(type_name, id)))
    };
    if !search.unnamed.keys().any(|type_name| lacking(type_name)) {
        return Ok(Vec::new());
    }
    let requests = creates(aws).await.map_err(|error| ("AWS Cloud Control requests", error.into()))?;
    let mut made: BTreeSet<(&'static str, &str)> = BTreeSet::new();
    for event in requests.iter().filter(|event| is_lately_made(event)) {
        let kind = event.type_name.as_deref().filter(|type_name| lacking(type_name)).and_then(kind);
        made.extend(
            kind.zip(event.identifier.as_deref()).map(|(kind, identifier)| (kind.schema.type_name, identifier)),
        );
    }
    let read = made.into_iter().map(|(type_name, identifier)| async move {
        let Some(kind) = kind(type_name) else { return Ok(None) };
        read(aws, kind, identifier, None).await.map_err(|error| (type_name, error))
    });
    let read = try_join_all(read).await?.into_iter().flatten();
    Ok(read.filter(|live| live.owner == Owner::Stack).collect())
}

fn is_same(one: &Live, other: &Live) -> bool {
    one.type_name == other.type_name && identifier(one) == identifier(other)
}

/// What this run is about to take over and no name or tag has found, by the ids that it is known by.
async fn claimed(aws: &Aws, found: &[Live]) -> Result<Vec<Live>, Unread> {
    let claims = aws.claims();
    let mut read = Vec::new();
    for kind in claims.types().into_iter().filter_map(kind).filter(|kind| kind.is_tagged()) {
        for id in claims.of(kind.schema.type_name) {
            let is_it = |live: &Live| live.type_name == kind.schema.type_name && live.owner == Owner::Stack;
            let called = |live: &Live| {
                live.physical_id == id
                    || ["Ref", IDENTIFIER]
                        .iter()
                        .any(|name| live.attributes.get(*name).is_some_and(|known| known == id))
            };
            if found.iter().chain(&read).any(|live| is_it(live) && called(live)) {
                continue;
            }
            let one = Tagged { kind, arn: id.to_owned(), tags: Tags::new() };
            let one = one.read(aws).await.map_err(|error| (kind.schema.type_name, error))?;
            read.extend(one.filter(|live| live.owner == Owner::Stack));
        }
    }
    Ok(read)
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

/// What the template names of those types that can be tagged.
fn wanted(search: &Search) -> Vec<(&'static CloudControlled, &String)> {
    let tagged = |type_name: &str| kind(type_name).filter(|kind| kind.is_tagged());
    let types = search.names.iter().filter_map(|(type_name, names)| Some((tagged(type_name)?, names)));
    types.flat_map(|(kind, names)| names.iter().map(move |name| (kind, name))).collect()
}

async fn requests(aws: &Aws) -> Result<Vec<ProgressEvent>, Unread> {
    under_way(aws).await.map_err(|error| ("AWS Cloud Control requests", error.into()))
}

/// The same resources when nothing is under way with them: an earlier run may have been killed while AWS worked for it.
async fn settled(aws: &Aws, found: Vec<Live>, requests: &[ProgressEvent]) -> Result<Vec<Live>, Unread> {
    let read = found.into_iter().map(|live| {
        let is_about = |event: &&ProgressEvent| {
            event.type_name.as_deref() == Some(live.type_name)
                && event.identifier.as_ref() == live.attributes.get(IDENTIFIER)
        };
        let token = requests.iter().find(is_about).and_then(|event| event.request_token.clone());
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
    let tagged = |event: &ProgressEvent| kind(event.type_name.as_deref()?).filter(|kind| kind.is_tagged());
    let made = creates.filter_map(|event| Some((tagged(event)?, event))).map(|(kind, event)| {
        let ended = async move {
            let Some(token) = &event.request_token else { return Ok(None) };
            let ended = finished(Context { aws, note: &|_| {} }, token, "in progress");
            let event = match owner_in_model(aws.scope(), kind, event) {
                Some(Owner::Stack) => ended.await?,
                Some(Owner::Other(_)) => return Ok(None),
                None => match tokio::time::timeout(patience(event), ended).await {
                    Ok(ended) => ended?,
                    Err(_) => return Ok(None),
                },
            };
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

/// Whose resource a request is about, where it shows a model with tags. (Not every request does.)
fn owner_in_model(scope: &Scope, kind: &CloudControlled, event: &ProgressEvent) -> Option<Owner> {
    let model = event.resource_model.as_deref().and_then(|text| serde_json::from_str::<Value>(text).ok())?;
    let tags = kind.tags(&model);
    (!tags.is_empty()).then(|| tags::owner(&tags, scope))
}

/// How much longer to wait for a create that may be another caller's: that of a database takes most of an hour. What is the stack's
/// and comes later has its tags for the next reading.
fn patience(event: &ProgressEvent) -> Duration {
    MAY_BE_OF_OTHERS.saturating_sub(age(event).unwrap_or_default())
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
        for Candidate { identifier, is_whole } in identifiers(aws.scope(), self.kind, &self.arn, &self.tags) {
            let found = match is_whole {
                true => read(aws, self.kind, &identifier, Some(&self.tags)).await,
                false => self.read_guess(aws, &identifier).await,
            };
            match found {
                Ok(Some(live)) => return Ok(Some(live)),
                Ok(None) => {}
                // Not the form that this type's identifiers have.
                Err(ResourceError::Call(error)) if error.is(Meaning::Refused) => {}
                Err(error) => return Err(error),
            }
        }
        let is_arn = |property: &str| self.kind.schema.read_only.iter().any(|path| path == property && is_arn(path));
        let known = |property: &str| {
            let own = || is_arn(property).then(|| Value::from(self.arn.as_str()));
            self.kind.located(&self.tags, property).or_else(own)
        };
        for identifier in identifiers_of_type(aws, self.kind, known).await? {
            if !self.may_be(&identifier) {
                continue;
            }
            let found = read(aws, self.kind, &identifier, None).await?;
            if let Some(live) = found.filter(|live| self.is_told_by(live)) {
                return Ok(Some(live));
            }
        }
        Ok(None)
    }

    /// What has an identifier that another resource can have as well: `a` for the ARN of `b/a`. It must tell itself that it is
    /// the one, by its tags or its ARN.
    async fn read_guess(&self, aws: &Aws, identifier: &str) -> Result<Option<Live>, ResourceError> {
        let found = read(aws, self.kind, identifier, None).await?;
        match found {
            Some(live) if self.is_told_by(&live) => Ok(Some(live)),
            Some(live) if live.attributes.iter().any(|(_, value)| value == &*self.arn) => {
                read(aws, self.kind, identifier, Some(&self.tags)).await
            }
            _ => Ok(None),
        }
    }

    /// Whether a resource's own tags say that it is this one.
    fn is_told_by(&self, live: &Live) -> bool {
        live.owner == Owner::Stack && live.logical_id.as_ref() == self.tags.get(tags::LOGICAL_ID)
    }

    /// Whether an identifier has a part of the ARN, beside those parts that the tags tell.
    fn may_be(&self, identifier: &str) -> bool {
        let segments: Vec<&str> = self.arn.split(['/', ':']).collect();
        let given = |part: &str| self.tags.iter().any(|(key, value)| key.starts_with(tags::LIES_IN) && value == part);
        identifier.split('|').any(|part| !given(part) && segments.contains(&last_part(part)))
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

/// Whether a property is an ARN.
fn is_arn(property: &str) -> bool {
    property.to_ascii_lowercase().ends_with("arn")
}

/// What Cloud Control may call a resource.
#[derive(Debug, PartialEq, Eq)]
struct Candidate {
    identifier: String,
    /// Whether it is of all that the ARN says, so that no other resource of the type has it.
    is_whole: bool,
}

/// What an ARN calls its resource: `a/b` in `arn:aws:ssm:REGION:ACCOUNT:parameter/a/b`.
fn name_in(arn: &str) -> &str {
    // Some begin with a slash: `arn:aws:apigateway:REGION::/apikeys/ID`.
    let resource = arn.splitn(6, ':').nth(5).unwrap_or(arn).trim_start_matches('/');
    resource.split_once(['/', ':']).map_or(resource, |(_, name)| name)
}

/// What Cloud Control may call the resource with this ARN and these tags, the likeliest first.
fn identifiers(scope: &Scope, kind: &CloudControlled, arn: &str, tags: &Tags) -> Vec<Candidate> {
    // Who calls may not be known yet.
    let scope = &Scope { account: arn.split(':').nth(4).unwrap_or_default().to_owned(), ..scope.clone() };
    let [property] = kind.schema.identifier.as_slice() else {
        let whole = |identifier| Candidate { identifier, is_whole: true };
        return composed(kind, arn, tags).into_iter().map(whole).collect();
    };
    let (name, last) = (name_in(arn), last_part(arn));
    let mut found = Vec::new();
    let mut add = |identifier: String, is_whole: bool| {
        if !found.iter().any(|known: &Candidate| known.identifier == identifier) {
            found.push(Candidate { identifier, is_whole });
        }
    };
    let by_last = kind.identifier_of(scope, last);
    if is_arn(property) || by_last.as_deref() == Some(arn) {
        add(arn.to_owned(), true);
    }
    kind.identifier_of(scope, name).into_iter().for_each(|identifier| add(identifier, true));
    add(name.to_owned(), true);
    add(format!("/{name}"), true);
    by_last.into_iter().for_each(|identifier| add(identifier, false));
    add(last.to_owned(), false);
    add(arn.to_owned(), true);
    found
}

/// An identifier of several parts: those that the tags tell, and of the ARN the end, or all the ids in it where several parts are
/// missing: `application/APP/environment/ENV`.
fn composed(kind: &CloudControlled, arn: &str, tags: &Tags) -> Option<String> {
    let given = |path: &String| match kind.located(tags, path) {
        Some(Value::String(text)) => Some(text),
        Some(other) => Some(other.to_string()),
        None => is_arn(path).then(|| arn.to_owned()),
    };
    let parts: Vec<Option<String>> = kind.schema.identifier.iter().map(given).collect();
    let resource = arn.splitn(6, ':').nth(5).unwrap_or_default();
    let segments: Vec<&str> = resource.split(['/', ':']).filter(|segment| !segment.is_empty()).collect();
    let missing = parts.iter().filter(|part| part.is_none()).count();
    let ids: Vec<&str> = match missing {
        1 => segments.last().copied().into_iter().collect(),
        _ => segments.into_iter().skip(1).step_by(2).collect(),
    };
    let mut ids = ids.get(ids.len().checked_sub(missing)?..)?.iter();
    let whole: Option<Vec<String>> =
        parts.into_iter().map(|part| part.or_else(|| Some((*ids.next()?).to_owned()))).collect();
    Some(whole?.join("|"))
}

/// Whether an ARN is that of the resource with this name and no other.
fn is_named(arn: &str, name: &str) -> bool {
    name_in(arn) == name.trim_start_matches('/')
}

/// Whether an ARN or another identifier may be that of the resource with this name. (The ARN of a secret ends in six more letters:
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

/// The resource with this name, of any owner. `model` is what a list of its type must be told; without that it is not looked for.
async fn by_name(
    aws: &Aws,
    kind: &'static CloudControlled,
    name: &str,
    model: impl Fn(&str) -> Option<Value>,
) -> Result<Option<Live>, ResourceError> {
    if let Some(identifier) = kind.identifier_of(aws.scope(), name) {
        return read(aws, kind, &identifier, None).await;
    }
    let listed = identifiers_of_type(aws, kind, model).await?;
    let alike: Vec<&String> = listed.iter().filter(|identifier| is_called(identifier, name)).collect();
    let read = join_all(alike.into_iter().map(|identifier| read(aws, kind, identifier, None))).await;
    let read = read.into_iter().collect::<Result<Vec<_>, _>>()?;
    Ok(read.into_iter().flatten().find(|live| live.physical_id == name))
}

/// What properties say of what a list must be told, as far as it is known.
fn known_in(properties: &Value) -> impl Fn(&str) -> Option<Value> {
    |property| value_at(properties, property).filter(|value| Token::find_all(value).is_empty()).cloned()
}

/// Changes tags that no update of the resource changes, as tags of other resources are: by its ARN.
async fn retag(aws: &Aws, live: &Live, from: &Tags, to: &Tags) -> Result<(), ResourceError> {
    let (set, removed) = tags::difference(from, to);
    if set.is_empty() && removed.is_empty() {
        return Ok(());
    }
    let logical_id = live.logical_id.as_deref().unwrap_or_default();
    let alike = tagged::search(aws, &[(tags::STACK, &aws.scope().stack), (tags::LOGICAL_ID, logical_id)]).await?;
    for one in of_cloud_control(aws, &alike).iter().filter(|one| one.kind.schema.type_name == live.type_name) {
        if one.read(aws).await?.is_some_and(|found| found.physical_id == live.physical_id) {
            return recorded::set(aws, &one.arn, set, removed).await;
        }
    }
    let (type_name, id) = (live.type_name, &live.physical_id);
    Err(ResourceError::Failed(format!(
        "the tags of {type_name} {id} cannot be changed: AWS's search by tags does not know its ARN (yet); run the command again"
    )))
}

impl CloudControlled {
    /// The ARN by which the tags of a live resource are set; `None` where it has none that is known.
    fn own_arn(&self, scope: &Scope, live: &Live) -> Option<String> {
        self.recorder_arn()?.of(scope, |attribute| live.attributes.get(attribute.unwrap_or("Ref")).cloned())
    }

    /// Whether nothing but a name is known of a resource that Cloud Control identifies by something else.
    fn is_named_alone(&self, live: &Live) -> bool {
        let is_name = |naming: Naming| self.schema.identifier == [naming.property];
        !live.attributes.contains_key(IDENTIFIER) && self.naming().is_some_and(|naming| !is_name(naming))
    }
}

#[async_trait]
impl Provider for CloudControlled {
    /// `list` of this module finds them, for all types at once.
    async fn list(&self, _: &Aws, _: &Discovery, _: &[Live]) -> Result<Vec<Live>, ResourceError> {
        Ok(Vec::new())
    }

    fn seek(&self, it: &ResourceView<'_>, _scope: &Scope, search: &mut Search) {
        if let Some(identifier) = self.given_identifier(it.properties).filter(|_| !self.is_tagged()) {
            search.identifiers.entry(self.schema.type_name).or_default().insert(identifier);
        }
        if self.is_tagged() && self.naming().is_none() {
            search.unnamed.entry(self.schema.type_name).or_default().insert(it.logical_id.to_owned());
        }
        let model =
            self.schema.list_model(known_in(it.properties)).filter(|model| self.is_tagged() && !model.is_empty());
        if let (Some(name), Some(model)) = (it.name, model) {
            search.list_models.insert((self.schema.type_name, name.to_owned()), model);
        }
    }

    async fn find(&self, cx: Context<'_>, desired: &Desired) -> Result<Option<Live>, ResourceError> {
        let Some(itself) = kind(self.schema.type_name) else { return Ok(None) };
        if !self.is_tagged() {
            return recorded::find(cx.aws, itself, desired).await;
        }
        if let (Some(_), Some(name)) = (self.naming(), &desired.name) {
            return by_name(cx.aws, itself, name, known_in(&desired.properties)).await;
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
        match self.is_tagged() {
            true => {
                let (live, is_earlier) = itself.provision(cx, desired, &[]).await?;
                Ok(Created { is_earlier, ..live.into() })
            }
            false => recorded::create(cx, itself, desired).await,
        }
    }

    async fn mark(&self, cx: Context<'_>, live: &Live, desired: &Desired) -> Result<(), ResourceError> {
        // An update would lose what no reading gives back.
        let Some(arn) = self.own_arn(cx.aws.scope(), live).filter(|_| self.is_tagged()) else {
            return self.update(cx, live, desired).await;
        };
        let tags = |properties: &Value| {
            serde_json::from_value::<Tags>(properties[cloud_control::TAGS].clone()).unwrap_or_default()
        };
        let there = tags(&live.properties);
        let new: Tags =
            tags(&desired.properties).into_iter().filter(|(key, value)| there.get(key) != Some(value)).collect();
        recorded::set(cx.aws, &arn, new, Vec::new()).await
    }

    async fn release(&self, cx: Context<'_>, live: &Live) -> Result<(), ResourceError> {
        if !self.is_tagged() {
            return recorded::forget(cx.aws, live).await;
        }
        let marks = live.marks();
        if marks.is_empty() {
            return Ok(());
        }
        match self.own_arn(cx.aws.scope(), live) {
            // As for `mark`.
            Some(arn) => recorded::set(cx.aws, &arn, Tags::new(), marks).await,
            None => self.update(cx, &live.without_records(), &live.unmarked()).await,
        }
    }

    async fn update(&self, cx: Context<'_>, live: &Live, desired: &Desired) -> Result<(), ResourceError> {
        let (aws, type_name) = (cx.aws, self.schema.type_name);
        let (mut from, mut to) = (live.properties.clone(), desired.properties.clone());
        // Tags are written as a whole, and what they record stays.
        for (key, value) in live.attributes.iter().filter(|(key, _)| self.is_tagged() && tags::is_record(key)) {
            from[cloud_control::TAGS][key] = value.as_str().into();
            to[cloud_control::TAGS][key] = value.as_str().into();
        }
        if self.has_fixed_tags() {
            let tags = |properties: &mut Value| {
                let tags = properties.as_object_mut().and_then(|members| members.shift_remove(cloud_control::TAGS));
                tags.map(|tags| serde_json::from_value::<Tags>(tags).unwrap_or_default()).unwrap_or_default()
            };
            retag(aws, live, &tags(&mut from), &tags(&mut to)).await?;
        }
        let patch = self.patch(&from, &to);
        if self.has_fixed_tags() && patch.is_empty() {
            return Ok(());
        }
        if !self.is_tagged() && patch.is_empty() {
            let Some(itself) = kind(type_name) else { return Err(unregistered(type_name)) };
            return recorded::update(aws, itself, live, desired).await;
        }
        let patch = &Value::from(patch).to_string();
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
        .await?;
        match kind(type_name).filter(|_| !self.is_tagged()) {
            Some(itself) => recorded::update(aws, itself, live, desired).await,
            None => Ok(()),
        }
    }

    async fn updated(&self, cx: Context<'_>, live: &Live, desired: &Desired) -> Result<Created, ResourceError> {
        self.update(cx, live, desired).await?;
        let changes = changes(self, &live.properties, &desired.properties);
        let is_known =
            |attribute: &str| live.attributes.contains_key(attribute) && !self.changes_attribute(attribute, &changes);
        let all = self.schema.read_only.iter().chain(live.attributes.keys());
        if changes.iter().all(|change| change.top() == cloud_control::TAGS)
            || all.into_iter().all(|name| is_known(name))
        {
            return Ok(Created::from(live.clone()));
        }
        let read = match kind(self.schema.type_name) {
            Some(itself) => read_model(cx.aws, itself, identifier(live)).await.ok().flatten(),
            None => None,
        };
        // It is changed, whether the caller may look at it or not. What is not known then fails only what needs it.
        let attributes = match read {
            Some(model) => self.attributes_of(&model, identifier(live)),
            None => live.attributes.clone().into_iter().filter(|(name, _)| is_known(name)).collect(),
        };
        Ok(Created { physical_id: live.physical_id.clone(), attributes, ..Created::default() })
    }

    async fn delete(&self, cx: Context<'_>, live: &Live) -> Result<(), ResourceError> {
        // A run that may not read what it has made knows the name alone.
        let named = match kind(self.schema.type_name) {
            Some(itself) if self.is_named_alone(live) => {
                by_name(cx.aws, itself, &live.physical_id, known_in(&live.properties)).await?
            }
            _ => None,
        };
        let named = named.filter(|named| named.owner == Owner::Stack);
        if self.schema.type_name == "AWS::S3::Bucket" && live.logical_id.as_deref() == Some(custom_resource::BUCKET_ID)
        {
            // An answer may have come when nothing waited for it any more; what stays by its deletion policy is forgotten. Other
            // objects are not wschat's: with them, S3 does not delete the bucket.
            let s3 = cx.aws.s3().await;
            let emptied = match &s3 {
                Ok(s3) => s3.delete_all(&live.physical_id, Pointer::is_key).await,
                Err(error) => Err(error.clone()),
            };
            emptied.map_err(|error| ResourceError::Failed(format!("{error} ({})", error.help)))?;
        }
        if !live.is_absent() {
            self.delete_by_identifier(cx, identifier(named.as_ref().unwrap_or(live))).await?;
        }
        recorded::forget(cx.aws, live).await
    }
}

#[cfg(test)]
mod tests {
    use std::time::SystemTime;

    use serde_json::json;

    use super::super::provisioning::live;
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
    fn without_tags_it_is_unowned() {
        let queue = kind("AWS::SQS::Queue").unwrap();
        let owner = |model: &Value| live(&scope(), queue, "url", model, Some(&ours())).owner;
        assert_eq!(owner(&json!({"QueueName": "q"})), Owner::Stack);
        assert_ne!(owner(&json!({"QueueName": "q", "Tags": []})), Owner::Stack);
    }

    #[test]
    fn models_say_whose_requests_are() {
        let queue = kind("AWS::SQS::Queue").unwrap();
        let owner = |model: Option<Value>| {
            let event = ProgressEvent::builder().set_resource_model(model.map(|model| model.to_string())).build();
            owner_in_model(&scope(), queue, &event)
        };
        let tags: Vec<Value> = ours().into_iter().map(|(key, value)| json!({"Key": key, "Value": value})).collect();
        assert!(owner(None).is_none() && owner(Some(json!({"QueueName": "q"}))).is_none());
        assert_eq!(owner(Some(json!({"Tags": tags}))), Some(Owner::Stack));
        let others = owner(Some(json!({"Tags": [{"Key": "wschat:stack", "Value": "other"}]})));
        assert!(matches!(others, Some(Owner::Other(_))), "{others:?}");
    }

    #[test]
    fn a_create_that_may_be_another_callers_is_not_waited_for_long() {
        let begun = |seconds_ago: u64| {
            let time = SystemTime::now() - Duration::from_secs(seconds_ago);
            patience(&ProgressEvent::builder().event_time(time.into()).build())
        };
        assert_eq!(patience(&ProgressEvent::builder().build()), MAY_BE_OF_OTHERS);
        assert!(begun(0) > Duration::from_secs(110) && begun(90) < Duration::from_secs(31));
        assert_eq!(begun(3600), Duration::ZERO);
    }

    /// Whatever the type: an ARN as its service writes it and the tags give the identifier.
    #[test]
    fn identifiers_of_several_parts_are_composed_of_arns_and_tags() {
        let kinds = crate::core::schemas::names().filter_map(|name| kind(&name));
        let mut count = 0;
        for kind in kinds.filter(|kind| kind.is_tagged() && kind.schema.identifier.len() > 1) {
            let schema = kind.schema;
            let part = |path: &String| format!("{path}-1").to_lowercase();
            let pairs: Vec<String> = schema.identifier.iter().map(|path| format!("{path}/{}", part(path))).collect();
            // What AWS names last is the resource itself.
            let (own, others): (Vec<_>, Vec<_>) =
                schema.identifier.iter().zip(pairs).partition(|(path, _)| schema.read_only.contains(path));
            // An ARN is not in itself.
            let own = own.into_iter().filter(|(path, _)| !is_arn(path));
            let path: Vec<String> = others.into_iter().chain(own).map(|(_, pair)| pair).collect();
            let arn = format!("arn:aws:service:eu-west-1:123456789012:{}", path.join("/"));
            let given = kind.located_by().iter().filter(|path| schema.identifier.iter().any(|one| one == *path));
            let tags: Tags =
                given.map(|path| (format!("{}{path}", tags::LIES_IN), part(&(*path).to_owned()))).collect();
            let expected = schema.identifier.iter().map(|path| match schema.read_only.contains(path) && is_arn(path) {
                true => arn.clone(),
                false => part(path),
            });
            let expected = expected.collect::<Vec<_>>().join("|");
            assert_eq!(candidates(kind, &arn, &tags), [(expected, true)], "{}", schema.type_name);
            count += 1;
        }
        assert!(count > 100, "{count}");
        let stage = kind("AWS::ApiGateway::Stage").unwrap();
        let arn = "arn:aws:apigateway:eu-west-1::/restapis/abc/stages/prod";
        let whole = [("abc|prod".to_owned(), true)];
        assert_eq!(candidates(stage, arn, &Tags::new()), whole, "without the tags, too");
        // Nothing tells the address: it is listed.
        let address = kind("AWS::EC2::EIP").unwrap();
        let arn = "arn:aws:ec2:eu-west-1:123456789012:elastic-ip/eipalloc-1";
        assert_eq!(candidates(address, arn, &Tags::new()), []);
    }

    fn candidates(kind: &CloudControlled, arn: &str, tags: &Tags) -> Vec<(String, bool)> {
        let found = identifiers(&scope(), kind, arn, tags).into_iter();
        found.map(|Candidate { identifier, is_whole }| (identifier, is_whole)).collect()
    }

    /// Names may have slashes, and what is called like the end of one is another resource.
    #[test]
    fn the_end_of_a_name_is_a_guess() {
        let arn = |resource: &str| format!("arn:aws:x:eu-west-1:123456789012:{resource}");
        for (type_name, resource, guesses) in [
            ("AWS::SSM::Parameter", "parameter/chat/origin", &["origin"] as &[&str]),
            ("AWS::SSM::Parameter", "parameter/origin", &[]),
            ("AWS::ECR::Repository", "repository/chat/app", &["app"]),
            ("AWS::CloudWatch::Alarm", "alarm:chat/errors", &["errors"]),
            ("AWS::ApiGateway::ApiKey", "/apikeys/abc", &[]),
            ("AWS::IAM::InstanceProfile", "instance-profile/teams/chat", &["chat"]),
        ] {
            let found = candidates(kind(type_name).unwrap(), &arn(resource), &Tags::new());
            let guessed: Vec<&str> = found.iter().filter(|(_, whole)| !whole).map(|(one, _)| one.as_str()).collect();
            assert_eq!(guessed, guesses, "{resource}");
            let name = resource.trim_start_matches('/').split_once(['/', ':']).unwrap().1;
            assert!(found.contains(&(name.to_owned(), true)), "{found:?}");
        }
        let secret = "arn:aws:secretsmanager:eu-west-1:123456789012:secret:chat/key-AbCdEf";
        assert!(is_called(secret, "chat/key") && !is_named(&arn("parameter/chat/origin"), "origin"));
        assert!(is_named(&arn("parameter/chat/origin"), "/chat/origin") && is_named(&arn("alarm:errors"), "errors"));
    }

    /// What cannot be asked by its identifier is listed, and whatever the list must be told is known of it.
    #[test]
    fn what_a_list_must_be_told_is_in_the_tags() {
        let kinds = crate::core::schemas::names().filter_map(|name| kind(&name));
        let unknown = kinds.filter(|kind| kind.is_tagged()).filter(|kind| {
            let is_known = |property: &str| kind.located_by().contains(&property) || is_arn(property);
            kind.schema.list_model(|property| is_known(property).then_some(Value::Null)).is_none()
        });
        let unknown: Vec<&str> = unknown.map(|kind| kind.schema.type_name).collect();
        // Its ARN has the three parts of its identifier.
        assert_eq!(unknown, ["AWS::AppConfig::ExperimentRun"]);
    }

    #[test]
    fn only_such_types_need_the_search_by_tags() {
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
