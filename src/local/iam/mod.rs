//! IAM: roles, their trust policies and permissions, and the credentials issued for them.
//!
//! `operations` is the table, and `roles`, `policies` and `versions` have the functions; `documents` reads policy documents as IAM
//! does, and `authorization` checks calls against them. Refusals have AWS's messages (recorded answers of AWS in the test suites of
//! public emulators, and AWS's API reference).

mod authorization;
mod documents;
mod operations;
mod overview;
mod parameters;
mod policies;
mod required_permissions;
mod roles;
#[cfg(test)]
mod tests;
mod versions;

use std::collections::{BTreeMap, VecDeque};
use std::io;
use std::sync::{Arc, Mutex};

use rand::RngExt;
use serde::{Deserialize, Serialize};

use super::context::{ACCOUNT, CloudContext};
use crate::core::iam::document::{trusts_principal, trusts_service};
use crate::core::iam::need::Need;
use crate::local::context::clock::{iso8601, now_millis};
use crate::local::context::ports::{Credentials, Principal, Roles};
use crate::local::context::store::PersistedState;
use crate::local::lock::lock;
use crate::local::protocol::query::{Query, Xml};
use crate::local::protocol::wire::{ApiError, Caller};

/// How many issued credentials are stored; the oldest are removed first.
const MAX_SESSIONS: usize = 1000;

/// The local user: the identity of every caller whose key was not issued here.
const USER_NAME: &str = "local";
const USER_ID: &str = "AIDALOCALLOCALLOCAL22";

type Answer = Result<Xml, ApiError>;

/// The name of issued credentials in the store.
const SESSIONS: &str = "iam-sessions";

/// The account's roles and policies.
#[derive(Debug)]
pub struct Iam {
    context: CloudContext,
    state: PersistedState<State>,
    sessions: Mutex<VecDeque<Session>>,
}

/// The persisted state, saved as `iam` in the store.
#[derive(Debug, Default, Clone, Serialize, Deserialize)]
pub struct State {
    /// By name.
    roles: BTreeMap<String, Role>,
    /// The customer's managed policies, by ARN.
    policies: BTreeMap<String, Policy>,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
struct Role {
    name: String,
    /// `AROA…`.
    id: String,
    path: String,
    /// Milliseconds since the epoch.
    created: i64,
    trust: String,
    description: Option<String>,
    /// Seconds.
    max_session: u32,
    boundary: Option<String>,
    tags: BTreeMap<String, String>,
    /// Inline policies: name to document.
    inline: BTreeMap<String, String>,
    /// ARNs of managed policies.
    attached: Vec<String>,
}

/// A customer's managed policy.
#[derive(Debug, Clone, Serialize, Deserialize)]
struct Policy {
    name: String,
    /// `ANPA…`.
    id: String,
    path: String,
    /// Milliseconds since the epoch.
    created: i64,
    description: Option<String>,
    /// The number of the default version, and its document.
    #[serde(default = "first")]
    version: u32,
    document: String,
    /// When the default version was created, in milliseconds since the epoch; `None` for the time of the policy's creation.
    #[serde(default)]
    versioned: Option<i64>,
    /// The other versions.
    #[serde(default)]
    others: BTreeMap<u32, Document>,
    /// The last number given to a version: numbers are never reused.
    #[serde(default = "first")]
    last_version: u32,
    tags: BTreeMap<String, String>,
}

/// A non-default version of a managed policy.
#[derive(Debug, Clone, Serialize, Deserialize)]
struct Document {
    text: String,
    /// Milliseconds since the epoch.
    created: i64,
}

fn first() -> u32 {
    1
}

/// Credentials issued for a role; saved as `iam-sessions` in the store.
#[derive(Debug, Clone, Serialize, Deserialize)]
struct Session {
    access_key: String,
    /// Empty in sessions of older builds.
    #[serde(default)]
    secret: String,
    /// Empty in sessions of older builds.
    #[serde(default)]
    token: String,
    role_name: String,
    role_id: String,
    name: String,
}

/// The identity of a caller.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Identity {
    pub arn: String,
    pub user_id: String,
    /// The role's name, if the caller is a session of a role.
    pub role: Option<String>,
}

impl Role {
    fn arn(&self) -> String {
        CloudContext::arn("iam", "", &format!("role{}{}", self.path, self.name))
    }
}

impl Iam {
    /// Opens IAM with its saved state.
    ///
    /// # Errors
    /// When the saved state cannot be read.
    pub fn open(context: &CloudContext) -> io::Result<Arc<Self>> {
        Ok(Arc::new(Self {
            context: context.clone(),
            state: PersistedState::open(context.store.clone(), "iam", |error| {
                ApiError::new(500, "ServiceFailure", format!("the change could not be saved: {error}"))
            })?,
            sessions: Mutex::new(context.store.load(SESSIONS).unwrap_or_else(|error| {
                // Their holders can get new ones, and the file contains nothing that a user created.
                tracing::warn!("temporary credentials issued earlier are no longer valid: {error}");
                VecDeque::new()
            })),
        }))
    }

    /// The identity of the caller's key: the session it was issued for, or the local user.
    pub fn identity(&self, caller: &Caller) -> Identity {
        self.identity_of(caller.access_key.as_deref())
    }

    fn identity_of(&self, access_key_id: Option<&str>) -> Identity {
        let sessions = lock(&self.sessions);
        let issued = access_key_id.and_then(|key| sessions.iter().find(|it| it.access_key == key));
        match issued {
            Some(session) => Identity {
                arn: CloudContext::arn("sts", "", &format!("assumed-role/{}/{}", session.role_name, session.name)),
                user_id: format!("{}:{}", session.role_id, session.name),
                role: Some(session.role_name.clone()),
            },
            None => Identity {
                arn: CloudContext::arn("iam", "", &format!("user/{USER_NAME}")),
                user_id: USER_ID.to_owned(),
                role: None,
            },
        }
    }

    /// Assumes a role for a caller: returns the credentials and their identity.
    ///
    /// # Errors
    /// `AccessDenied` (403) where the role does not exist or does not trust the caller, `ValidationError` (400) where
    /// `seconds` is more than the role allows.
    pub fn assume(
        &self,
        caller: &Identity,
        role_arn: &str,
        session: &str,
        seconds: u32,
    ) -> Result<(Credentials, Identity), ApiError> {
        let max_session = {
            let state = self.state.now();
            let role = state.roles.values().find(|role| role.arn() == role_arn);
            // Trust policies name the role of a caller, not its session.
            let principal = caller.role.as_ref().and_then(|name| state.roles.get(name)).map(Role::arn);
            role.filter(|role| trusts_principal(&role.trust, ACCOUNT, principal.as_deref().unwrap_or(&caller.arn)))
                .map(|role| role.max_session)
        };
        let Some(max_session) = max_session else {
            let message =
                format!("User: {} is not authorized to perform: sts:AssumeRole on resource: {role_arn}", caller.arn);
            return Err(ApiError::new(403, "AccessDenied", message));
        };
        if seconds > max_session {
            let message = "The requested DurationSeconds exceeds the MaxSessionDuration set for this role.";
            return Err(ApiError::new(400, "ValidationError", message));
        }
        let credentials = self.issue(role_arn, session);
        let key = Some(credentials.access_key_id.clone());
        let identity = self.identity(&Caller { access_key: key, region: String::new() });
        Ok((credentials, identity))
    }
}

impl Roles for Iam {
    fn assumable(&self, role_arn: &str, service: &str) -> bool {
        let state = self.state.now();
        let Some(role) = state.roles.values().find(|role| role.arn() == role_arn) else { return false };
        let spread = i64::try_from(self.context.conditions.eventual.iam_role_assumable.as_millis()).unwrap_or(i64::MAX);
        trusts_service(&role.trust, service) && now_millis() >= role.created.saturating_add(spread)
    }

    fn issue(&self, role_arn: &str, session_name: &str) -> Credentials {
        let credentials = temporary_credentials();
        let role_name = role_arn.rsplit('/').next().unwrap_or_default().to_owned();
        let role_id = match self.state.now().roles.get(&role_name) {
            Some(role) => role.id.clone(),
            None => unique_id("AROA"),
        };
        let mut sessions = lock(&self.sessions);
        sessions.push_back(Session {
            access_key: credentials.access_key_id.clone(),
            secret: credentials.secret_access_key.clone(),
            token: credentials.session_token.clone(),
            role_name,
            role_id,
            name: session_name.to_owned(),
        });
        while sessions.len() > MAX_SESSIONS {
            sessions.pop_front();
        }
        if let Err(error) = self.context.store.save(SESSIONS, &*sessions) {
            tracing::warn!("cannot save issued credentials: {error}");
        }
        credentials
    }

    fn has_issued(&self, access_key_id: &str) -> bool {
        lock(&self.sessions).iter().any(|session| session.access_key == access_key_id)
    }

    fn secret(&self, access_key_id: &str) -> Option<String> {
        let sessions = lock(&self.sessions);
        let session = sessions.iter().find(|session| session.access_key == access_key_id)?;
        (!session.secret.is_empty()).then(|| session.secret.clone())
    }

    fn session_token(&self, access_key_id: &str) -> Option<String> {
        let sessions = lock(&self.sessions);
        let session = sessions.iter().find(|session| session.access_key == access_key_id)?;
        (!session.token.is_empty()).then(|| session.token.clone())
    }

    fn principal(&self, access_key_id: Option<&str>) -> Principal {
        let Identity { arn, user_id, .. } = self.identity_of(access_key_id);
        Principal { arn, user_id }
    }

    fn refused<'a>(&self, role_arn: &str, region: &str, needs: &'a [Need]) -> Option<&'a Need> {
        let is_checked = self.context.conditions.strict.iam;
        is_checked.then(|| self.first_refused(role_arn, region, needs)).flatten()
    }
}

fn get_user(iam: &Iam, query: &Query) -> Answer {
    if query.get("UserName").is_none() && iam.identity(&query.caller).role.is_some() {
        let message = "Must specify userName when calling with non-User credentials";
        return Err(ApiError::new(400, "ValidationError", message));
    }
    match query.get("UserName") {
        Some(name) if name != USER_NAME => Err(no_such_entity(format!("The user with name {name} cannot be found."))),
        _ => Ok(Xml::new().element(
            "User",
            Xml::new()
                .text("Path", "/")
                .text("UserName", USER_NAME)
                .text("UserId", USER_ID)
                .text("Arn", CloudContext::arn("iam", "", &format!("user/{USER_NAME}")))
                .text("CreateDate", iso8601(0)),
        )),
    }
}

/// New temporary credentials in AWS's format.
pub(super) fn temporary_credentials() -> Credentials {
    const BASE64: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    Credentials {
        access_key_id: format!("ASIA{}", random(BASE32, 16)),
        secret_access_key: random(BASE64, 40),
        session_token: random(BASE64, 360),
    }
}

/// The alphabet of AWS's ids.
pub(super) const BASE32: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZ234567";

/// A unique id: `prefix` (`AROA`, `ANPA`) and 17 characters.
fn unique_id(prefix: &str) -> String {
    format!("{prefix}{}", random(BASE32, 17))
}

/// Random text of the given length, cryptographically secure.
pub(super) fn random(alphabet: &[u8], length: usize) -> String {
    let mut random = rand::rng();
    (0..length).map(|_| char::from(alphabet[random.random_range(0..alphabet.len())])).collect()
}

fn no_such_entity(message: String) -> ApiError {
    ApiError::new(404, "NoSuchEntity", message)
}

fn limit_exceeded(message: String) -> ApiError {
    ApiError::new(409, "LimitExceeded", message)
}

/// One page of `items`, which must be sorted by key, with the elements for further pages. The marker is the last key of the
/// page, encoded so that clients treat it as opaque.
fn page<'a, T>(
    query: &Query,
    items: impl IntoIterator<Item = (&'a str, T)>,
    name: &str,
    write: impl Fn(T) -> Xml,
) -> Answer {
    let most = query.number("MaxItems", 1..=1000)?.unwrap_or(100) as usize;
    let after = match query.get("Marker") {
        Some(marker) => Some(
            hex::decode(marker)
                .ok()
                .and_then(|bytes| String::from_utf8(bytes).ok())
                .ok_or_else(|| ApiError::new(400, "ValidationError", "Invalid Marker"))?,
        ),
        None => None,
    };
    let mut rest =
        items.into_iter().skip_while(|(key, _)| after.as_deref().is_some_and(|after| *key <= after)).peekable();
    let mut given = Vec::new();
    let mut last = "";
    while given.len() < most
        && let Some((key, item)) = rest.next()
    {
        last = key;
        given.push(write(item));
    }
    let more = rest.peek().is_some();
    Ok(Xml::new().list(name, given).text("IsTruncated", more).optional("Marker", more.then(|| hex::encode(last))))
}
