//! What the command line, the environment and the shared configuration say about endpoints, region and credentials; and
//! which of them to fix when a call fails.
//!
//! The precedence is AWS's CLI's, with one exception: `--profile` takes that profile's credentials and no others, where
//! AWS's CLI goes on to the container's or instance's when the profile holds none.

use std::path::PathBuf;

use aws_config::SdkConfig;
use aws_config::profile::{Profile, ProfileSet};
use aws_types::os_shim_internal::{Env, Fs};
use aws_types::service_config::ServiceConfigKey;
use sha1::{Digest, Sha1};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use super::chain::chain;
use super::error::{CallError, Meaning};
use super::network::{Network, Unreached};
use super::regions;
use super::target::{ConnectError, Target};
use crate::core::words::nearest;

/// The properties by which a profile holds credentials (AWS SDKs and Tools reference guide, settings).
const CREDENTIALS: &[&str] = &[
    "aws_access_key_id",
    "credential_process",
    "credential_source",
    "login_session",
    "role_arn",
    "sso_account_id",
    "sso_session",
    "sso_start_url",
    "web_identity_token_file",
];

/// The services that are called, as the settings for their endpoints name them.
const SERVICES: &[&str] = &[
    "STS",
    "IAM",
    "Lambda",
    "DynamoDB",
    "ApiGatewayV2",
    "CloudControl",
    "CloudWatch Logs",
    "CloudFormation",
    "Resource Groups Tagging API",
    "S3",
    "SNS",
    "SSM",
    "Secrets Manager",
    "SSO",
    "SSO OIDC",
];

/// The settings for endpoints, region and credentials.
pub struct Settings {
    env: Env,
    profiles: ProfileSet,
    /// `--profile`.
    profile: Option<String>,
    region: Option<String>,
    endpoint_url: Option<String>,
}

/// Where credentials come from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Source<'a> {
    Environment,
    Profile(&'a str),
    /// A web identity, or the role of a container or instance.
    Host,
}

impl Settings {
    /// Reads the environment and the shared configuration files.
    ///
    /// # Errors
    /// A file that cannot be read, a profile that does not exist or that cannot give credentials, half a key pair.
    pub async fn read(target: &Target) -> Result<Self, ConnectError> {
        let env = Env::real();
        let selected = target.profile.clone().map(Into::into);
        let profiles =
            aws_config::profile::load(&Fs::real(), &env, &Default::default(), selected).await.map_err(|error| {
                ConnectError::new(one_line(&chain(&error)), "correct that file; `aws configure list` reads it, too")
            })?;
        let (profile, region, endpoint_url) =
            (target.profile.clone(), target.region.clone(), target.endpoint_url.clone());
        let settings = Self { env, profiles, profile, region, endpoint_url };
        settings.check()?;
        Ok(settings)
    }

    /// `--endpoint-url`.
    pub fn endpoint_url(&self) -> Option<&str> {
        self.endpoint_url.as_deref()
    }

    /// The profile to take credentials from and no others, if `--profile` named one.
    pub fn only_profile(&self) -> Option<&str> {
        self.profile.as_deref()
    }

    /// The proxies, and the endpoints by the settings that name them.
    ///
    /// # Errors
    /// A proxy variable or an endpoint that is not a URL.
    pub fn network(&self) -> Result<Network, ConnectError> {
        let mut network = Network::from_env(&self.env).map_err(|error| {
            ConnectError::new(
                error.to_string(),
                "it must be a URL with http:// or https://, as http://proxy.example.com:8080",
            )
        })?;
        if let Some(url) = &self.endpoint_url {
            check_endpoint("--endpoint-url", url)?;
            return Ok(network.endpoint("--endpoint-url", url));
        }
        let services = SERVICES.iter().map(|service| format!("_{}", service.to_uppercase().replace(' ', "_")));
        for variable in std::iter::once(String::new()).chain(services).map(|end| format!("AWS_ENDPOINT_URL{end}")) {
            if let Ok(url) = self.env.get(&variable) {
                check_endpoint(&variable, &url)?;
                network = network.endpoint(&variable, &url);
            }
        }
        if let Some(url) = self.profiles.get("endpoint_url") {
            let setting = format!("endpoint_url of profile \"{}\"", self.selected());
            check_endpoint(&setting, url)?;
            network = network.endpoint(&setting, url);
        }
        Ok(network)
    }

    /// Endpoints that only the SDK reads from the configuration (a profile's `services`), by the setting that names
    /// them.
    pub fn services(&self, config: &SdkConfig) -> Vec<(String, String)> {
        let setting = format!("the services of profile \"{}\"", self.selected());
        let url = |service: &&str| {
            let key = ServiceConfigKey::builder().service_id(service).profile("endpoint_url").env("AWS_ENDPOINT_URL");
            config.service_config()?.load_config(key.build().ok()?)
        };
        SERVICES.iter().filter_map(url).map(|url| (setting.clone(), url)).collect()
    }

    /// The endpoint that is configured for one service alone; `None` where another setting counts.
    pub fn endpoint(&self, service: &str, config: &SdkConfig) -> Option<String> {
        if self.endpoint_url.is_some() {
            return None;
        }
        let key = ServiceConfigKey::builder().service_id(service).profile("endpoint_url").env("AWS_ENDPOINT_URL");
        config.service_config()?.load_config(key.build().ok()?)
    }

    /// A note before the region is used: as in AWS's CLI, the environment's region wins over the profile's.
    pub fn note(&self) -> Option<String> {
        let profile = self.profile.as_deref().filter(|_| self.region.is_none())?;
        let (variable, region) = ["AWS_REGION", "AWS_DEFAULT_REGION"]
            .into_iter()
            .find_map(|name| Some((name, self.env.get(name).ok().filter(|region| !region.is_empty())?)))?;
        let own = self.profiles.get("region").filter(|own| *own != region)?;
        Some(format!(
            "{variable} sets the region to {region}, over profile \"{profile}\" with {own}; --region {own} takes that"
        ))
    }

    /// Checks that `region` can be a region's name.
    ///
    /// # Errors
    /// A name that no region of AWS can have, unless the endpoint is not AWS's.
    pub fn check_region(&self, region: &str) -> Result<(), ConnectError> {
        let elsewhere =
            self.endpoint_url.is_some() || self.set("AWS_ENDPOINT_URL") || self.profiles.get("endpoint_url").is_some();
        if elsewhere || regions::is_well_formed(region) {
            return Ok(());
        }
        Err(ConnectError::new(format!("\"{region}\" cannot be the name of an AWS region"), region_help(region)))
    }

    fn set(&self, variable: &str) -> bool {
        self.env.get(variable).is_ok_and(|value| !value.trim().is_empty())
    }

    fn selected(&self) -> &str {
        self.profiles.selected_profile()
    }

    fn source(&self) -> Source<'_> {
        if self.profile.is_none() && self.set("AWS_ACCESS_KEY_ID") {
            return Source::Environment;
        }
        let name = self.selected();
        let holds = |profile: &Profile| CREDENTIALS.iter().any(|key| profile.get(key).is_some());
        if self.profile.is_some() || self.profiles.get_profile(name).is_some_and(holds) {
            Source::Profile(name)
        } else {
            Source::Host
        }
    }

    fn check(&self) -> Result<(), ConnectError> {
        let name = self.selected();
        let (asked, flag) = match &self.profile {
            Some(_) => (true, "--profile"),
            None => (name != "default" && self.set("AWS_PROFILE"), "AWS_PROFILE"),
        };
        if asked && self.profiles.get_profile(name).is_none() {
            return Err(ConnectError::new(
                format!("{flag}: there is no profile \"{name}\" in {}", self.files()),
                self.other_profile(name),
            ));
        }
        match self.source() {
            Source::Environment if !self.set("AWS_SECRET_ACCESS_KEY") && !self.set("SECRET_ACCESS_KEY") => {
                Err(ConnectError::new(
                    "AWS_ACCESS_KEY_ID is set and AWS_SECRET_ACCESS_KEY is not",
                    "set both, or unset AWS_ACCESS_KEY_ID to use a profile",
                ))
            }
            Source::Profile(name) => self.check_chain(name),
            _ => Ok(()),
        }
    }

    /// The profiles that the credentials of profile `name` come from, itself first.
    fn chain<'a>(&'a self, name: &'a str) -> Result<Vec<&'a Profile>, ConnectError> {
        let mut chain: Vec<&Profile> = Vec::new();
        let mut next = Some(name);
        while let Some(name) = next.take() {
            let from = chain.last().map(|profile| profile.name()).unwrap_or_default();
            let Some(profile) = self.profiles.get_profile(name) else {
                let what =
                    format!("profile \"{from}\" has the source_profile \"{name}\", which is not in {}", self.files());
                return Err(ConnectError::new(what, self.other_profile(name)));
            };
            if chain.iter().any(|known| known.name() == name) {
                let what =
                    format!("profile \"{from}\" has the source_profile \"{name}\", which needs \"{from}\" in turn");
                return Err(ConnectError::new(what, format!("correct source_profile in {}", self.config_file())));
            }
            let has_keys = !chain.is_empty() && profile.get("aws_access_key_id").is_some();
            if profile.get("role_arn").is_some() && profile.get("web_identity_token_file").is_none() && !has_keys {
                next = profile.get("source_profile").filter(|source| *source != name);
            }
            chain.push(profile);
        }
        Ok(chain)
    }

    fn check_chain(&self, name: &str) -> Result<(), ConnectError> {
        let chain = self.chain(name)?;
        if let Some(base) = chain.last().filter(|base| is_sso(base)) {
            let login = self.sso_login(base);
            // Only the token of an SSO session can be refreshed.
            if login == Login::Never || (login != Login::Valid && base.get("sso_session").is_none()) {
                return Err(not_logged_in(base.name(), &login));
            }
        }
        for profile in &chain {
            self.check_profile(profile)?;
        }
        for profile in chain {
            let (name, Some(serial)) = (profile.name(), profile.get("mfa_serial")) else { continue };
            if profile.get("role_arn").is_none() {
                continue;
            }
            let then = match (&self.profile, self.profiles.get("region")) {
                (None, _) => "then run this again".to_owned(),
                (Some(_), Some(region)) if self.region.is_none() => {
                    format!("then run this again with --region {region} and without --profile")
                }
                (Some(_), _) => "then run this again without --profile".to_owned(),
            };
            let selected = self.selected();
            return Err(ConnectError::new(
                format!(
                    "profile \"{name}\" needs a code of the MFA device {serial} to assume its role, and wschat does not ask for one"
                ),
                format!("eval \"$(aws configure export-credentials --profile {selected} --format env)\", {then}"),
            ));
        }
        Ok(())
    }

    /// Checks one profile for errors, independent of the call.
    fn check_profile(&self, profile: &Profile) -> Result<(), ConnectError> {
        let name = profile.name();
        let has = |key: &str| profile.get(key).is_some_and(|value| !value.trim().is_empty());
        for (one, other) in
            [("aws_access_key_id", "aws_secret_access_key"), ("aws_secret_access_key", "aws_access_key_id")]
        {
            if has(one) && !has(other) {
                return Err(ConnectError::new(
                    format!("profile \"{name}\" has {one} and no {other}"),
                    format!("give [{name}] both, in {}", self.files()),
                ));
            }
        }
        let sources = ["source_profile", "credential_source", "web_identity_token_file"];
        if has("role_arn") && !sources.iter().any(|key| has(key)) {
            return Err(ConnectError::new(
                format!("profile \"{name}\" has a role_arn but no source_profile or credential_source"),
                format!("give it source_profile or credential_source, in {}", self.config_file()),
            ));
        }
        if has("login_session") && !has("aws_access_key_id") {
            let selected = self.selected();
            return Err(ConnectError::new(
                format!("profile \"{name}\" has its credentials from `aws login`, which wschat does not read"),
                format!(
                    "eval \"$(aws configure export-credentials --profile {selected} --format env)\", then run this again without --profile"
                ),
            ));
        }
        Ok(())
    }

    /// Explains why STS could not identify the caller in `region`, and what to do.
    pub fn explain(&self, region: &str, error: &CallError) -> ConnectError {
        if let Some(unreached) = &error.unreached {
            return explain_unreached(region, unreached);
        }
        match (error.meaning, error.code.as_str()) {
            (Meaning::Denied, "") => self.explain_missing(error),
            (Meaning::Denied, _) => self.explain_refused(error),
            _ => ConnectError::new(
                format!("cannot ask AWS who is calling: {}", one_line(&error.to_string())),
                "try again later; https://health.aws.amazon.com lists outages",
            ),
        }
    }

    /// Credentials could not be loaded.
    fn explain_missing(&self, error: &CallError) -> ConnectError {
        let why = one_line(&error.message);
        let Source::Profile(name) = self.source() else { return self.no_credentials() };
        let base = match self.chain(name) {
            Ok(chain) => chain.last().copied(),
            Err(error) => return error,
        };
        let Some(base) = base else { return self.no_credentials() };
        let base_name = base.name();
        if is_sso(base) {
            let login = format!("aws sso login --profile {base_name}");
            return match self.sso_login(base) {
                login @ (Login::Never | Login::Expired(_)) => not_logged_in(base_name, &login),
                Login::Valid if why.contains("Unauthorized") => ConnectError::new(
                    format!("SSO no longer accepts the login of profile \"{base_name}\": {why}"),
                    login,
                ),
                Login::Valid => ConnectError::new(
                    format!("SSO returned no credentials for profile \"{base_name}\": {why}"),
                    format!("check sso_account_id and sso_role_name of the profile, or log in again: {login}"),
                ),
            };
        }
        if let Some(command) = base.get("credential_process") {
            // Its arguments may be secrets.
            let program = command.split_whitespace().next().unwrap_or_default();
            return ConnectError::new(
                format!("credential_process of profile \"{base_name}\" ({program}) gave no credentials: {why}"),
                format!("run the command by hand; it is in {}", self.files()),
            );
        }
        if !CREDENTIALS.iter().any(|key| *key != "role_arn" && base.get(key).is_some()) {
            return ConnectError::new(
                format!("profile \"{base_name}\" has no credentials, and --profile allows no others"),
                format!("run `aws configure --profile {base_name}` or `aws configure sso --profile {base_name}`"),
            );
        }
        ConnectError::new(
            format!("profile \"{name}\" gave no credentials: {why}"),
            format!("check it with: aws sts get-caller-identity --profile {name}"),
        )
    }

    /// No credentials: lists where they were looked for.
    fn no_credentials(&self) -> ConnectError {
        let set = |variable: &str| if self.set(variable) { "set" } else { "not set" };
        let profile = match self.profiles.get_profile(self.selected()) {
            Some(_) => "holds none",
            None => "not there",
        };
        let instance = if self.set("AWS_EC2_METADATA_DISABLED") { "turned off" } else { "no answer" };
        let container = ["AWS_CONTAINER_CREDENTIALS_RELATIVE_URI", "AWS_CONTAINER_CREDENTIALS_FULL_URI"];
        let container = if container.iter().any(|name| self.set(name)) { "gave none" } else { "not set" };
        let what = format!(
            "no AWS credentials: AWS_ACCESS_KEY_ID {}, profile \"{}\" in {} {profile}, AWS_WEB_IDENTITY_TOKEN_FILE {}, AWS_CONTAINER_CREDENTIALS_* {container}, EC2 instance metadata {instance}",
            set("AWS_ACCESS_KEY_ID"),
            self.selected(),
            self.files(),
            set("AWS_WEB_IDENTITY_TOKEN_FILE"),
        );
        let others = self.names();
        let help = match others.as_slice() {
            [] => "set up a profile with `aws configure` or `aws configure sso`, or run with --local, which needs no account".to_owned(),
            names => format!("name a profile with --profile ({}), or run with --local, which needs no account", names.join(", ")),
        };
        ConnectError::new(what, help)
    }

    /// AWS rejected the credentials.
    fn explain_refused(&self, error: &CallError) -> ConnectError {
        let whose = match self.source() {
            Source::Environment => {
                format!("AWS_ACCESS_KEY_ID ({})", self.env.get("AWS_ACCESS_KEY_ID").unwrap_or_default())
            }
            Source::Profile(name) => format!("profile \"{name}\""),
            Source::Host => "this container or instance".to_owned(),
        };
        let says = one_line(&error.to_string());
        let lower = error.message.to_lowercase();
        let late = ["expired", "not yet current", "skew", "too far"].iter().any(|words| lower.contains(words));
        match error.code.as_str() {
            "ExpiredToken" | "ExpiredTokenException" => {
                let help = match self.source() {
                    Source::Environment => "export new ones, or unset AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY and AWS_SESSION_TOKEN to use a profile".to_owned(),
                    Source::Profile(name) if self.profiles.get("sso_session").or(self.profiles.get("sso_start_url")).is_some() => {
                        format!("aws sso login --profile {name}")
                    }
                    Source::Profile(name) => format!("get new ones for [{name}] in {}", self.files()),
                    Source::Host => "get a new token from where this one came".to_owned(),
                };
                ConnectError::new(format!("the credentials of {whose} have expired ({says})"), help)
            }
            "SignatureDoesNotMatch" | "InvalidSignatureException" | "RequestTimeTooSkewed" | "RequestExpired"
                if late =>
            {
                let now = OffsetDateTime::now_utc().format(&Rfc3339).unwrap_or_default();
                let now = now.split('.').next().unwrap_or_default();
                ConnectError::new(
                    format!("AWS's clock and this machine's ({now}Z) are more than five minutes apart ({says})"),
                    "set this machine's clock, for example with `timedatectl set-ntp true`",
                )
            }
            "SignatureDoesNotMatch" | "InvalidSignatureException" => ConnectError::new(
                format!("the secret of {whose} does not match its access key ({says})"),
                "copy the secret access key again: a character is wrong or missing",
            ),
            "InvalidClientTokenId" | "UnrecognizedClientException" => ConnectError::new(
                format!("AWS does not know the credentials of {whose} ({says})"),
                "is the key deleted or inactive, the session token missing (keys that begin with ASIA have one), or the region not enabled for the account?",
            ),
            _ => ConnectError::new(
                format!("AWS refuses the credentials of {whose} ({says})"),
                match self.source() {
                    Source::Profile(name) => format!("check them with: aws sts get-caller-identity --profile {name}"),
                    _ => "check them with: aws sts get-caller-identity".to_owned(),
                },
            ),
        }
    }

    /// The state of the SSO login that a profile needs: AWS's CLI keeps the token in a file named by the SHA-1 of the
    /// session's name or, without sessions, of the start URL.
    fn sso_login(&self, profile: &Profile) -> Login {
        let key = profile.get("sso_session").or(profile.get("sso_start_url")).unwrap_or_default();
        let home = PathBuf::from(self.env.get("HOME").unwrap_or_default());
        let name = format!("{}.json", hex::encode(Sha1::digest(key)));
        let token = std::fs::read(home.join(".aws/sso/cache").join(name)).ok();
        let token = token.and_then(|bytes| serde_json::from_slice::<serde_json::Value>(&bytes).ok());
        let Some(token) = token.filter(|token| token["accessToken"].is_string()) else { return Login::Never };
        let at = token["expiresAt"].as_str().unwrap_or_default();
        match OffsetDateTime::parse(at, &Rfc3339) {
            Ok(expiry) if expiry > OffsetDateTime::now_utc() => Login::Valid,
            _ => Login::Expired(at.to_owned()),
        }
    }

    fn names(&self) -> Vec<&str> {
        let mut names: Vec<&str> = self.profiles.profiles().collect();
        names.sort_unstable();
        names
    }

    /// How to fix the name of a profile that does not exist.
    fn other_profile(&self, name: &str) -> String {
        let config = self.config_file();
        let text = std::fs::read_to_string(self.expanded(&config)).unwrap_or_default();
        if text.lines().any(|line| line.trim() == format!("[{name}]")) {
            return format!("{config} has a section [{name}]: in this file it must be [profile {name}]");
        }
        let credentials = self.env.get("AWS_SHARED_CREDENTIALS_FILE");
        let credentials = credentials.as_deref().unwrap_or("~/.aws/credentials");
        let text = std::fs::read_to_string(self.expanded(credentials)).unwrap_or_default();
        if text.lines().any(|line| line.trim() == format!("[profile {name}]")) {
            return format!("{credentials} has a section [profile {name}]: in this file it must be [{name}]");
        }
        let names = self.names();
        match (nearest(name, &names), names.as_slice()) {
            (Some(near), _) => format!("did you mean \"{near}\"? There are: {}", names.join(", ")),
            (None, []) => format!(
                "there are no profiles; make one with `aws configure --profile {name}` or `aws configure sso --profile {name}`"
            ),
            (None, _) => format!("there are: {}", names.join(", ")),
        }
    }

    fn config_file(&self) -> String {
        self.env.get("AWS_CONFIG_FILE").unwrap_or_else(|_| "~/.aws/config".to_owned())
    }

    fn files(&self) -> String {
        let credentials = self.env.get("AWS_SHARED_CREDENTIALS_FILE");
        format!("{} and {}", self.config_file(), credentials.as_deref().unwrap_or("~/.aws/credentials"))
    }

    fn expanded(&self, path: &str) -> PathBuf {
        match path.strip_prefix("~/") {
            Some(rest) => PathBuf::from(self.env.get("HOME").unwrap_or_default()).join(rest),
            None => PathBuf::from(path),
        }
    }
}

/// Refuses an endpoint that the SDK cannot use: it would panic, or report an error that names no setting.
fn check_endpoint(setting: &str, url: &str) -> Result<(), ConnectError> {
    if url.trim().is_empty() {
        return Err(ConnectError::new(format!("{setting} is empty"), "unset it, or set it to a URL"));
    }
    let parsed = url.parse::<http::Uri>().ok();
    let is_url = parsed.is_some_and(|uri| {
        uri.host().is_some() && uri.scheme_str().is_some_and(|scheme| ["http", "https"].contains(&scheme))
    });
    if is_url {
        return Ok(());
    }
    let help = match url.contains("://") {
        true => "it must begin with http:// or https://".to_owned(),
        false => format!("did you mean http://{url}?"),
    };
    Err(ConnectError::new(format!("{setting} is not a URL: {url}"), help))
}

fn is_sso(profile: &Profile) -> bool {
    profile.get("sso_session").is_some() || profile.get("sso_start_url").is_some()
}

fn not_logged_in(profile: &str, login: &Login) -> ConnectError {
    let what = match login {
        Login::Expired(at) => format!("the SSO login of profile \"{profile}\" expired at {at}"),
        _ => format!("profile \"{profile}\" is not logged in to SSO"),
    };
    ConnectError::new(what, format!("aws sso login --profile {profile}"))
}

/// The state of an SSO login.
#[derive(Debug, PartialEq, Eq)]
enum Login {
    Never,
    Expired(String),
    Valid,
}

fn explain_unreached(region: &str, unreached: &Unreached) -> ConnectError {
    let what = unreached.to_string();
    let help = if let Some(setting) = unreached.settings.first() {
        match &unreached.proxy {
            Some((variable, _)) => format!("correct {setting}, or correct or unset {variable}"),
            None if setting.starts_with("AWS_") => {
                format!("correct or unset {setting}, or start the server that should answer there")
            }
            None => format!("correct {setting}, or start the server that should answer there"),
        }
    } else if !regions::is_known(region) {
        return ConnectError::new(
            format!("there is no region \"{region}\" that wschat knows, and it {what}"),
            region_help(region),
        );
    } else if let Some((variable, _)) = &unreached.proxy {
        format!("correct or unset {variable}, or name the host in NO_PROXY")
    } else if unreached.why.contains("certificate") {
        "if a proxy or firewall answers in AWS's place, name the file with its CA in SSL_CERT_FILE".to_owned()
    } else {
        "check the network connection (behind a proxy: HTTPS_PROXY), or run with --local, which needs none".to_owned()
    };
    ConnectError::new(what, help)
}

fn region_help(region: &str) -> String {
    match regions::suggestion(region) {
        Some(meant) => format!("did you mean \"{meant}\"?"),
        None => "regions are named like \"eu-west-1\"; `aws ec2 describe-regions` lists them".to_owned(),
    }
}

/// A text without line breaks.
fn one_line(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}
