//! Simulated conditions of AWS: latency, eventual consistency, throttles, conflicts and strictness. By default the cloud is
//! as fast as possible but still passes through every state of AWS's; a conditions file (`wschat local start --conditions
//! FILE`) slows it down.

use std::collections::{BTreeMap, HashMap};
use std::path::Path;
use std::sync::Mutex;
use std::time::Duration;

use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use serde::Deserialize;
use tokio::time::Instant;

use super::link::{Link, LinkSettings};
use super::token_bucket::{Rate, TokenBucket};
use crate::core::words::nearest;
use crate::local::lock::lock;
use crate::local::protocol::operation::Operation;
use crate::local::protocol::wire::ApiError;

/// How long each transient state of AWS's lasts by default: long enough to be observed.
const DEFAULT_DELAY: Duration = Duration::from_millis(20);

/// How long a minute of `rate(...)` lasts by default, and at least.
const MINUTE: Duration = Duration::from_secs(60);
const MIN_MINUTE: Duration = Duration::from_millis(10);

/// The conditions a cloud runs under.
#[derive(Debug)]
pub struct Conditions {
    pub eventual: Eventual,
    pub strict: Strict,
    pub lenient: Lenient,
    /// Whether the messages of one client are handled one at a time and `$disconnect` after them, which AWS does not
    /// promise.
    pub ordered: bool,
    /// How long a minute of `rate(...)` lasts.
    pub rate_minute: Duration,
    pub link: Link,
    latency: BTreeMap<String, Duration>,
    throttles: Vec<(String, Rate, Mutex<TokenBucket>)>,
    conflict_chance: f64,
    random: Mutex<StdRng>,
    /// The number of mutations in progress, by API id.
    mutations: Mutex<HashMap<String, usize>>,
}

/// How long AWS's asynchronous work takes after an answer.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Eventual {
    /// From `CreateRole` until Lambda can assume the role.
    pub iam_role_assumable: Duration,
    pub table_creating: Duration,
    pub table_deleting: Duration,
    /// `Pending` to `Active`.
    pub function_pending: Duration,
    /// `LastUpdateStatus` `InProgress` to `Successful`.
    pub function_updating: Duration,
    /// A request to Cloud Control from `IN_PROGRESS` to its end.
    pub resource_changing: Duration,
    /// An event source mapping from `Creating`, `Updating` or `Deleting` to its end.
    pub mapping_changing: Duration,
    /// From `DeleteQueue` until another queue can have the name. None unless a file says so.
    pub queue_name_taken: Duration,
}

/// Checks that are off by default.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Strict {
    /// Whether `CreateIntegration` refuses a Lambda function that does not exist yet. What AWS does is not recorded, so
    /// both behaviours are available.
    #[serde(default)]
    pub integration_needs_function: bool,
    /// Whether the policies of a role must allow the calls signed with its credentials. Every other key is the
    /// account's administrator.
    #[serde(default)]
    pub iam: bool,
}

/// Checks of AWS's that are skipped.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Lenient {
    /// Whether functions may use Node.js and Python runtimes that Lambda has retired: this machine's own interpreter runs
    /// their code in any case.
    #[serde(default)]
    pub runtimes: bool,
}

/// The conditions file; see `docs/aws-conditions.toml`. What it omits has the default value.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    #[serde(default)]
    ordered: bool,
    #[serde(default)]
    latency_ms: BTreeMap<String, f64>,
    link: Option<LinkSettings>,
    #[serde(default)]
    schedule: ScheduleSettings,
    #[serde(default)]
    eventual_s: EventualSeconds,
    #[serde(default)]
    throttle: BTreeMap<String, Rate>,
    conflict: Option<Conflict>,
    #[serde(default)]
    strict: Strict,
    #[serde(default)]
    lenient: Lenient,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct ScheduleSettings {
    minute_s: f64,
}

impl Default for ScheduleSettings {
    fn default() -> Self {
        Self { minute_s: MINUTE.as_secs_f64() }
    }
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct EventualSeconds {
    iam_role_assumable: f64,
    table_creating: f64,
    table_deleting: f64,
    function_pending: f64,
    function_updating: f64,
    resource_changing: f64,
    mapping_changing: f64,
    queue_name_taken: f64,
}

impl Default for EventualSeconds {
    fn default() -> Self {
        let delay = DEFAULT_DELAY.as_secs_f64();
        Self {
            iam_role_assumable: delay,
            table_creating: delay,
            table_deleting: delay,
            function_pending: delay,
            function_updating: delay,
            resource_changing: delay,
            mapping_changing: delay,
            queue_name_taken: 0.0,
        }
    }
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Conflict {
    apigatewayv2_same_api: f64,
    seed: u64,
}

impl Default for Conditions {
    fn default() -> Self {
        Self {
            eventual: Eventual {
                iam_role_assumable: DEFAULT_DELAY,
                table_creating: DEFAULT_DELAY,
                table_deleting: DEFAULT_DELAY,
                function_pending: DEFAULT_DELAY,
                function_updating: DEFAULT_DELAY,
                resource_changing: DEFAULT_DELAY,
                mapping_changing: DEFAULT_DELAY,
                queue_name_taken: Duration::ZERO,
            },
            strict: Strict::default(),
            lenient: Lenient::default(),
            ordered: false,
            rate_minute: MINUTE,
            link: Link::default(),
            latency: BTreeMap::new(),
            throttles: Vec::new(),
            conflict_chance: 0.0,
            random: Mutex::new(StdRng::seed_from_u64(0)),
            mutations: Mutex::new(HashMap::new()),
        }
    }
}

impl Conditions {
    /// Reads a conditions file. `operations` are those that it can name.
    ///
    /// # Errors
    /// A message that names the file and the mistake.
    pub fn read(path: &Path, operations: &[&Operation]) -> Result<Self, String> {
        let text = std::fs::read_to_string(path).map_err(|error| format!("cannot read {}: {error}", path.display()))?;
        Self::parse(&text, operations).map_err(|error| format!("{}: {error}", path.display()))
    }

    /// Reads the text of a conditions file.
    ///
    /// # Errors
    /// The mistake, with line and column.
    pub fn parse(text: &str, operations: &[&Operation]) -> Result<Self, String> {
        let file: File = toml::from_str(text).map_err(|error| error.to_string())?;
        for pattern in file.latency_ms.keys().chain(file.throttle.keys()) {
            check_pattern(pattern, operations)?;
        }
        let seconds =
            |value: f64| Duration::try_from_secs_f64(value).map_err(|_| format!("{value} is not a number of seconds"));
        let latency = file
            .latency_ms
            .into_iter()
            .map(|(operation, ms)| Ok((operation, seconds(ms / 1000.0)?)))
            .collect::<Result<_, String>>()?;
        let throttles = file
            .throttle
            .into_iter()
            .map(|(pattern, rate)| {
                // A burst below one call would refuse every call.
                if rate.rate > 0.0 && rate.burst >= 1.0 {
                    Ok((pattern, rate, Mutex::default()))
                } else {
                    Err(format!("throttle \"{pattern}\": rate must be above 0 and burst at least 1"))
                }
            })
            .collect::<Result<_, String>>()?;
        let minute = seconds(file.schedule.minute_s)?;
        if minute < MIN_MINUTE {
            return Err(format!("schedule: minute_s must be at least {}", MIN_MINUTE.as_secs_f64()));
        }
        let link = file.link.as_ref().map_or_else(|| Ok(Link::default()), Link::new)?;
        let conflict = file.conflict.unwrap_or(Conflict { apigatewayv2_same_api: 0.0, seed: 0 });
        if !(0.0..=1.0).contains(&conflict.apigatewayv2_same_api) {
            return Err("conflict: apigatewayv2_same_api is a chance, from 0 to 1".to_owned());
        }
        Ok(Self {
            eventual: Eventual {
                iam_role_assumable: seconds(file.eventual_s.iam_role_assumable)?,
                table_creating: seconds(file.eventual_s.table_creating)?,
                table_deleting: seconds(file.eventual_s.table_deleting)?,
                function_pending: seconds(file.eventual_s.function_pending)?,
                function_updating: seconds(file.eventual_s.function_updating)?,
                resource_changing: seconds(file.eventual_s.resource_changing)?,
                mapping_changing: seconds(file.eventual_s.mapping_changing)?,
                queue_name_taken: seconds(file.eventual_s.queue_name_taken)?,
            },
            strict: file.strict,
            lenient: file.lenient,
            ordered: file.ordered,
            rate_minute: minute,
            link,
            latency,
            throttles,
            conflict_chance: conflict.apigatewayv2_same_api,
            random: Mutex::new(StdRng::seed_from_u64(conflict.seed)),
            mutations: Mutex::new(HashMap::new()),
        })
    }

    /// Delays one call of an operation, whose request has arrived, by half the operation's latency (`after` waits for the
    /// other half), and takes a token of its throttle.
    ///
    /// # Errors
    /// The service's own throttling error when a throttle is exhausted.
    pub async fn before(&self, operation: &Operation) -> Result<(), ApiError> {
        pause(self.latency(operation) / 2).await;
        self.take_token(operation, Instant::now())
    }

    /// Waits for the rest of the operation's latency, of which this cloud's own work since `effect` is a part; refused
    /// calls wait too.
    pub async fn after(&self, operation: &Operation, effect: Instant) {
        pause((self.latency(operation) / 2).saturating_sub(effect.elapsed())).await;
    }

    /// Counts a mutation of `api` as in progress until the returned guard is dropped. `None` where another one is in
    /// progress and, by the configured chance, the two conflict.
    pub fn begin_mutation<'a>(&'a self, api: &'a str) -> Option<MutationInProgress<'a>> {
        let mut mutations = lock(&self.mutations);
        let in_progress = mutations.entry(api.to_owned()).or_default();
        if *in_progress > 0 && lock(&self.random).random::<f64>() < self.conflict_chance {
            return None;
        }
        *in_progress += 1;
        Some(MutationInProgress { conditions: self, api })
    }

    /// Takes a token of an operation's throttle. Only the most specific throttle applies: Lambda documents its quota for
    /// GetFunction as separate from that of the other operations.
    fn take_token(&self, operation: &Operation, now: Instant) -> Result<(), ApiError> {
        if self.throttles.is_empty() {
            return Ok(());
        }
        let throttle = patterns(operation)
            .into_iter()
            .find_map(|pattern| self.throttles.iter().find(|(name, ..)| *name == pattern));
        match throttle {
            Some((_, rate, bucket)) if !lock(bucket).take(*rate, now) => Err(throttled(operation.service)),
            _ => Ok(()),
        }
    }

    fn latency(&self, operation: &Operation) -> Duration {
        if self.latency.is_empty() {
            return Duration::ZERO;
        }
        patterns(operation).iter().find_map(|pattern| self.latency.get(pattern)).copied().unwrap_or_default()
    }
}

/// Guard of one mutation of an API in progress.
#[derive(Debug)]
pub struct MutationInProgress<'a> {
    conditions: &'a Conditions,
    api: &'a str,
}

impl Drop for MutationInProgress<'_> {
    fn drop(&mut self) {
        let mut mutations = lock(&self.conditions.mutations);
        if let Some(in_progress) = mutations.get_mut(self.api) {
            *in_progress -= 1;
            if *in_progress == 0 {
                mutations.remove(self.api);
            }
        }
    }
}

/// Sleeps. Zero returns at once: tokio's timer would wait for its next tick of a millisecond.
async fn pause(duration: Duration) {
    if !duration.is_zero() {
        tokio::time::sleep(duration).await;
    }
}

/// The patterns of a conditions file that match an operation, the most specific first.
fn patterns(operation: &Operation) -> [String; 3] {
    let Operation { service, name, .. } = operation;
    [format!("{service}.{name}"), format!("{service}.*"), "default".to_owned()]
}

/// Refuses a pattern that no call can match.
fn check_pattern(pattern: &str, operations: &[&Operation]) -> Result<(), String> {
    if pattern == "default" || operations.iter().any(|operation| patterns(operation).iter().any(|one| one == pattern)) {
        return Ok(());
    }
    let (service, name) = pattern.split_once('.').unwrap_or((pattern, ""));
    let names: Vec<&str> = operations.iter().filter(|one| one.service == service).map(|one| one.name).collect();
    let mut services: Vec<&str> = operations.iter().map(|operation| operation.service).collect();
    services.sort_unstable();
    services.dedup();
    let help = match (nearest(name, &names), nearest(service, &services)) {
        (Some(name), _) => format!("did you mean \"{service}.{name}\"?"),
        (None, Some(service)) => format!("did you mean \"{service}.*\"?"),
        (None, None) => format!("services here: {}", services.join(", ")),
    };
    Err(format!("\"{pattern}\" matches no call; {help}"))
}

/// A service's throttling error: Lambda and API Gateway answer 429, each with its own code, the others 400.
fn throttled(service: &str) -> ApiError {
    match service {
        "lambda" => ApiError::new(429, "TooManyRequestsException", "Rate exceeded").with("Type", "User"),
        "apigatewayv2" => ApiError::new(429, "TooManyRequestsException", "Too Many Requests"),
        "execute-api" => ApiError::new(429, "LimitExceededException", "Too Many Requests"),
        "iam" | "sts" | "cloudformation" => ApiError::new(400, "Throttling", "Rate exceeded"),
        "s3" => ApiError::new(503, "SlowDown", "Please reduce your request rate."),
        _ => ApiError::new(400, "ThrottlingException", "Rate exceeded"),
    }
}

#[cfg(test)]
mod tests;
