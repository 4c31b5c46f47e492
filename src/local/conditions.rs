//! How slow, how late and how strict this cloud is: by default as fast as it can while passing through every state
//! that AWS passes through, or as a conditions file (`wschat local start --conditions FILE`) says.

use std::collections::{BTreeMap, HashMap};
use std::path::Path;
use std::sync::Mutex;
use std::time::Duration;

use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use serde::Deserialize;
use tokio::time::Instant;

use super::token_bucket::{Rate, TokenBucket};
use super::wire::ApiError;
use crate::core::words::nearest;

/// The services that a conditions file can speak of, by `wire::Service::name`.
const SERVICES: &[&str] =
    &["apigatewayv2", "cloudformation", "dynamodb", "execute-api", "iam", "lambda", "logs", "sts"];

/// How long every state lasts that AWS passes through, where no file says otherwise: enough to be seen.
const MOMENT: Duration = Duration::from_millis(20);

/// The conditions a cloud runs under.
#[derive(Debug)]
pub struct Conditions {
    pub eventual: Eventual,
    pub strict: Strict,
    pub lenient: Lenient,
    /// Whether the messages of one client are handled one at a time and `$disconnect` after them, which AWS does not
    /// promise.
    pub ordered: bool,
    latency: BTreeMap<String, Duration>,
    throttles: Vec<(String, Rate, Mutex<TokenBucket>)>,
    bits_per_second: Option<f64>,
    /// When the uplink has carried all that was given to it so far.
    link_free: Mutex<Option<Instant>>,
    conflict_chance: f64,
    dice: Mutex<StdRng>,
    /// How many mutations of an API are under way, by its id.
    busy: Mutex<HashMap<String, usize>>,
}

/// How long what AWS does behind an answer takes.
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
}

/// What is looked at more closely than a local cloud has to.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Strict {
    /// Whether `CreateIntegration` refuses a Lambda function that does not exist yet. Nobody could ask AWS: both
    /// answers are on offer.
    #[serde(default)]
    pub integration_needs_function: bool,
    /// Whether calls signed with a role's credentials need that role's policies to allow them. With any other key one
    /// is the account's administrator.
    #[serde(default)]
    pub iam: bool,
}

/// What is not looked at, though AWS looks.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Lenient {
    /// Whether functions can have every Node.js and Python runtime, those that Lambda has retired too: this machine's own
    /// interpreter runs their code.
    #[serde(default)]
    pub runtimes: bool,
}

/// The file as written; see `docs/aws-conditions.toml`. What it leaves out is as without a file.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    #[serde(default)]
    ordered: bool,
    #[serde(default)]
    latency_ms: BTreeMap<String, f64>,
    link: Option<Link>,
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
#[serde(deny_unknown_fields)]
struct Link {
    upload_mbit_s: f64,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct EventualSeconds {
    iam_role_assumable: f64,
    table_creating: f64,
    table_deleting: f64,
    function_pending: f64,
    function_updating: f64,
}

impl Default for EventualSeconds {
    fn default() -> Self {
        let moment = MOMENT.as_secs_f64();
        Self {
            iam_role_assumable: moment,
            table_creating: moment,
            table_deleting: moment,
            function_pending: moment,
            function_updating: moment,
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
                iam_role_assumable: MOMENT,
                table_creating: MOMENT,
                table_deleting: MOMENT,
                function_pending: MOMENT,
                function_updating: MOMENT,
            },
            strict: Strict::default(),
            lenient: Lenient::default(),
            ordered: false,
            latency: BTreeMap::new(),
            throttles: Vec::new(),
            bits_per_second: None,
            link_free: Mutex::new(None),
            conflict_chance: 0.0,
            dice: Mutex::new(StdRng::seed_from_u64(0)),
            busy: Mutex::new(HashMap::new()),
        }
    }
}

impl Conditions {
    /// Reads a conditions file.
    ///
    /// # Errors
    /// A sentence that names the file and what is wrong in it.
    pub fn read(path: &Path) -> Result<Self, String> {
        let text = std::fs::read_to_string(path).map_err(|error| format!("cannot read {}: {error}", path.display()))?;
        Self::parse(&text).map_err(|error| format!("{}: {error}", path.display()))
    }

    /// Reads the text of a conditions file.
    ///
    /// # Errors
    /// What is wrong in it, with line and column.
    pub fn parse(text: &str) -> Result<Self, String> {
        let file: File = toml::from_str(text).map_err(|error| error.to_string())?;
        for pattern in file.latency_ms.keys().chain(file.throttle.keys()) {
            known(pattern)?;
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
                // A burst below one call would refuse everything for ever.
                if rate.rate > 0.0 && rate.burst >= 1.0 {
                    Ok((pattern, rate, Mutex::default()))
                } else {
                    Err(format!("throttle \"{pattern}\": rate must be above 0 and burst at least 1"))
                }
            })
            .collect::<Result<_, String>>()?;
        let bits_per_second = file.link.map(|link| link.upload_mbit_s * 1e6);
        if bits_per_second.is_some_and(|rate| rate.is_nan() || rate <= 0.0) {
            return Err("link: upload_mbit_s must be above 0".to_owned());
        }
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
            },
            strict: file.strict,
            lenient: file.lenient,
            ordered: file.ordered,
            latency,
            throttles,
            bits_per_second,
            link_free: Mutex::new(None),
            conflict_chance: conflict.apigatewayv2_same_api,
            dice: Mutex::new(StdRng::seed_from_u64(conflict.seed)),
            busy: Mutex::new(HashMap::new()),
        })
    }

    /// Lets one call of `service.operation` with a body of `bytes` through: waits for the shared uplink, then for
    /// half the operation's latency (the other half is `after`), and draws on its throttles.
    ///
    /// # Errors
    /// The service's own throttling error when a throttle is exhausted.
    pub async fn before(&self, service: &str, operation: &str, bytes: usize) -> Result<(), ApiError> {
        if let Some(carried) = self.carried(bytes, Instant::now()) {
            tokio::time::sleep_until(carried).await;
        }
        pause(self.latency(service, operation) / 2).await;
        self.draw(service, operation, Instant::now())
    }

    /// The rest of the operation's latency; refusals take it too.
    pub async fn after(&self, service: &str, operation: &str) {
        pause(self.latency(service, operation) / 2).await;
    }

    /// Counts a mutation of `api` as under way until the answer is dropped. `None` where another one is under way
    /// and the dice say that the two collide.
    pub fn begin_mutation<'a>(&'a self, api: &'a str) -> Option<MutationInProgress<'a>> {
        let mut busy = lock(&self.busy);
        let under_way = busy.entry(api.to_owned()).or_default();
        if *under_way > 0 && lock(&self.dice).random::<f64>() < self.conflict_chance {
            return None;
        }
        *under_way += 1;
        Some(MutationInProgress { conditions: self, api })
    }

    /// When the uplink will have carried `bytes` more, given to it now; `None` where it takes no time.
    fn carried(&self, bytes: usize, now: Instant) -> Option<Instant> {
        let carrying = Duration::from_secs_f64(bytes as f64 * 8.0 / self.bits_per_second?);
        let mut free = lock(&self.link_free);
        let carried = free.map_or(now, |free| free.max(now)) + carrying;
        *free = Some(carried);
        Some(carried)
    }

    /// Draws on the throttle of an operation. The most specific one alone speaks for it: Lambda documents its quota
    /// for GetFunction as apart from that of the rest.
    fn draw(&self, service: &str, operation: &str, now: Instant) -> Result<(), ApiError> {
        if self.throttles.is_empty() {
            return Ok(());
        }
        let throttle = patterns(service, operation)
            .into_iter()
            .find_map(|pattern| self.throttles.iter().find(|(name, ..)| *name == pattern));
        match throttle {
            Some((_, rate, bucket)) if !lock(bucket).take(*rate, now) => Err(throttled(service)),
            _ => Ok(()),
        }
    }

    fn latency(&self, service: &str, operation: &str) -> Duration {
        if self.latency.is_empty() {
            return Duration::ZERO;
        }
        patterns(service, operation).iter().find_map(|pattern| self.latency.get(pattern)).copied().unwrap_or_default()
    }
}

/// One mutation of an API under way.
#[derive(Debug)]
pub struct MutationInProgress<'a> {
    conditions: &'a Conditions,
    api: &'a str,
}

impl Drop for MutationInProgress<'_> {
    fn drop(&mut self) {
        let mut busy = lock(&self.conditions.busy);
        if let Some(under_way) = busy.get_mut(self.api) {
            *under_way -= 1;
            if *under_way == 0 {
                busy.remove(self.api);
            }
        }
    }
}

/// Waits; not at all for zero, for which tokio's timer would wait until its next tick of a millisecond.
async fn pause(duration: Duration) {
    if !duration.is_zero() {
        tokio::time::sleep(duration).await;
    }
}

/// The names under which a file may speak of an operation, the most specific first.
fn patterns(service: &str, operation: &str) -> [String; 3] {
    [format!("{service}.{operation}"), format!("{service}.*"), "default".to_owned()]
}

/// Refuses a pattern that no call could ever match.
fn known(pattern: &str) -> Result<(), String> {
    let service = pattern.split('.').next().unwrap_or_default();
    if pattern == "default" || (SERVICES.contains(&service) && pattern.contains('.')) {
        return Ok(());
    }
    let help = match nearest(service, SERVICES) {
        Some(name) => format!("did you mean \"{name}.*\"?"),
        None => format!("services here: {}", SERVICES.join(", ")),
    };
    Err(format!("\"{pattern}\" matches no call; {help}"))
}

/// How a service refuses a call over its quota: Lambda and API Gateway with 429, each in its words, the others with 400.
fn throttled(service: &str) -> ApiError {
    match service {
        "lambda" => ApiError::new(429, "TooManyRequestsException", "Rate exceeded").with("Type", "User"),
        "apigatewayv2" => ApiError::new(429, "TooManyRequestsException", "Too Many Requests"),
        "execute-api" => ApiError::new(429, "LimitExceededException", "Too Many Requests"),
        "iam" | "sts" | "cloudformation" => ApiError::new(400, "Throttling", "Rate exceeded"),
        _ => ApiError::new(400, "ThrottlingException", "Rate exceeded"),
    }
}

/// A lock that a panicking holder does not poison for everybody else.
pub fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
}

#[cfg(test)]
mod tests;
