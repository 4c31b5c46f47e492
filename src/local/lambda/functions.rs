//! Functions themselves: create, read, list, update, delete.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use serde::Deserialize;
use serde_json::{Value, json};
use tokio::time::Instant;

use super::Lambda;
use super::change::{SettingsChange, check_runtime};
use super::error::{self, constraint};
use super::name::{FunctionId, LATEST, Reference};
use super::packages::{CodeArchive, Packages};
use super::settings::{Settings, architecture};
use super::spec::EnvironmentSpec;
use super::spec::LambdaHost;
use super::state::{Deployment, Function, State, Version};
use super::tags;
use crate::local::protocol::service::ServiceCall;
use crate::local::protocol::wire::{ApiError, Request, Response};
use crate::machine::interpreter::Language;

/// The service that must be able to assume a function's role.
const PRINCIPAL: &str = "lambda.amazonaws.com";

/// How many functions, versions or aliases a page has at most (API reference).
const MAX_PAGE: usize = 50;

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Create {
    function_name: String,
    code: Source,
    #[serde(default)]
    publish: bool,
    #[serde(default)]
    tags: BTreeMap<String, String>,
    package_type: Option<String>,
    architectures: Option<Vec<String>>,
    #[serde(flatten)]
    settings: SettingsChange,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct UpdateCode {
    #[serde(flatten)]
    code: Source,
    #[serde(default)]
    publish: bool,
    #[serde(default)]
    dry_run: bool,
    revision_id: Option<String>,
    architectures: Option<Vec<String>>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct UpdateConfiguration {
    revision_id: Option<String>,
    #[serde(flatten)]
    settings: SettingsChange,
}

/// Where a function's code comes from.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Source {
    zip_file: Option<String>,
    s3_bucket: Option<String>,
    s3_key: Option<String>,
    image_uri: Option<String>,
}

impl Source {
    /// The archive that the request carries, or names in S3.
    async fn archive(self, host: &LambdaHost) -> Result<Vec<u8>, ApiError> {
        if let Some(bucket) = &self.s3_bucket {
            let key =
                self.s3_key.as_deref().ok_or_else(|| error::invalid("Please provide a source for function code."))?;
            return host.read_object(bucket, key).await;
        }
        if self.image_uri.is_some() {
            return Err(error::invalid("Please don't provide ImageUri when updating a function with packageType Zip."));
        }
        let text = self.zip_file.ok_or_else(|| error::invalid("Please provide a source for function code."))?;
        BASE64_STANDARD
            .decode(text)
            .map_err(|reason| ApiError::new(400, "SerializationException", format!("ZipFile: {reason}")))
    }
}

impl Lambda {
    pub(super) async fn create_function(&self, call: &ServiceCall) -> Result<Response, ApiError> {
        let request = &call.request;
        let create: Create = request.json()?;
        let reference = Reference::read(&create.function_name, None, &request.caller.region)?;
        let id = reference.unqualified()?;
        if id.name.len() > 64 {
            let rule = "Member must have length less than or equal to 64";
            return Err(error::name_too_long(&constraint(&id.name, "functionName", rule)));
        }
        let is_image = create.package_type.as_deref() == Some("Image");
        if is_image && create.code.image_uri.is_none() {
            return Err(error::invalid("Please provide ImageUri when creating a function with packageType Image."));
        }
        let image_uri = create.code.image_uri.clone().filter(|_| is_image);
        let layers = self.layers(&id.region, create.settings.layers.as_deref().unwrap_or_default())?;
        let settings = Settings::new(&id.name, create.architectures.as_deref(), image_uri, create.settings)?;
        let settings = Settings { layers, ..settings };
        if !is_image {
            self.check_runtime(&settings.runtime, None)?;
        }
        tags::check(&create.tags)?;
        self.must_be_assumable(&settings.role)?;
        let taken = |state: &State| match state.function(&id) {
            Ok(_) => Err(error::conflict(format!("Function already exist: {}", id.name))),
            Err(_) => Ok(()),
        };
        self.registry.read(taken)?;
        let accepted = Instant::now();
        let code = match &settings.image_uri {
            // Nothing of it is here: it does not run.
            Some(uri) => CodeArchive::of_image(uri),
            None => self.store_code(create.code.archive(self.executor.host()).await?).await?,
        };
        // Unpacking is part of what AWS does while a function is pending; but the answer always says that it is pending.
        let pending = self.context.conditions.eventual.function_pending;
        let pending = pending.saturating_sub(accepted.elapsed()).max(pending / 2);
        let configuration = self.registry.change(|state| {
            taken(state)?;
            let mut function = Function {
                latest: Version::new(Deployment::new(settings, code), pending),
                versions: BTreeMap::new(),
                last_version: 0,
                aliases: BTreeMap::new(),
                policies: BTreeMap::new(),
                tags: create.tags,
                reserved_concurrency: None,
                recursive_loop: None,
                runtime_management: None,
                published_description: None,
                event_invoke_configs: BTreeMap::new(),
            };
            let number = match create.publish {
                true => function.publish(None, pending),
                false => LATEST.to_owned(),
            };
            let configuration = function.latest.configuration(&id, &id.arn(), &number);
            state.insert(&id, function);
            Ok(configuration)
        })?;
        Ok(Response::json(201, &configuration))
    }

    pub(super) fn list_functions(&self, call: &ServiceCall) -> Result<Response, ApiError> {
        let request = &call.request;
        let all = match request.query("FunctionVersion") {
            None => false,
            Some("ALL") => true,
            Some(other) => {
                let rule = "Member must satisfy enum value set: [ALL]";
                return Err(error::validation(&[constraint(other, "functionVersion", rule)]));
            }
        };
        let functions = self.registry.read(|state| {
            let mut listed = Vec::new();
            for (id, function) in state.functions(&request.caller.region) {
                if all {
                    listed.extend(
                        function.listed(&id).into_iter().map(|(key, shown)| (format!("{}:{key}", id.name), shown)),
                    );
                } else {
                    listed.push((id.name.clone(), function.latest.listed(&id, &id.arn(), LATEST)));
                }
            }
            listed
        });
        page(request, "Functions", functions)
    }

    pub(super) fn get_function(&self, call: &ServiceCall) -> Result<Response, ApiError> {
        let reference = &Reference::of(call)?;
        self.registry.read(|state| {
            let (function, number, version) = state.version(reference)?;
            let id = &reference.id;
            // The region and the function in the path are for readers only; the digest alone selects the archive.
            let location = format!(
                "http://{}/2015-03-31/functions/{}/code/{}",
                self.context.authority(),
                id.name,
                version.deployment.code.hex()
            );
            let code = match &version.deployment.settings.image_uri {
                None => json!({ "RepositoryType": "S3", "Location": location }),
                Some(uri) => {
                    let repository = uri.split('@').next().unwrap_or_default();
                    let repository = repository.rsplit_once(':').map_or(repository, |(repository, _)| repository);
                    let resolved = format!("{repository}@sha256:{}", version.deployment.code.hex());
                    json!({ "RepositoryType": "ECR", "ImageUri": uri, "ResolvedImageUri": resolved })
                }
            };
            let mut shown =
                json!({ "Configuration": version.configuration(id, &reference.arn(), &number), "Code": code });
            if !function.tags.is_empty() {
                shown["Tags"] = json!(function.tags);
            }
            if let Some(reserved) = function.reserved_concurrency {
                shown["Concurrency"] = json!({ "ReservedConcurrentExecutions": reserved });
            }
            Ok(Response::json(200, &shown))
        })
    }

    pub(super) fn get_function_configuration(&self, call: &ServiceCall) -> Result<Response, ApiError> {
        let reference = &Reference::of(call)?;
        self.registry.read(|state| {
            let (_, number, version) = state.version(reference)?;
            Ok(Response::json(200, &version.configuration(&reference.id, &reference.arn(), &number)))
        })
    }

    /// The archive that `GetFunction` points to, by its digest.
    pub(super) fn download_function_code(&self, call: &ServiceCall) -> Result<Response, ApiError> {
        let digest = call.id(1);
        let archive = self.packages.read(digest).map_err(|_| error::not_found("The specified key does not exist."))?;
        Ok(Response::new(200, "application/zip", archive.into()))
    }

    pub(super) async fn update_function_code(&self, call: &ServiceCall) -> Result<Response, ApiError> {
        let request = &call.request;
        let id = &FunctionId::of(call)?;
        let update: UpdateCode = request.json()?;
        let architecture = architecture(update.architectures.as_deref())?;
        let is_image = self.registry.read(|state| {
            let function = state.function(id)?;
            function.may_change(id, update.revision_id.as_deref())?;
            Ok::<_, ApiError>(function.latest.deployment.settings.image_uri.is_some())
        })?;
        let image_uri = update.code.image_uri.clone().filter(|_| is_image);
        if is_image && image_uri.is_none() {
            return Err(error::invalid("Please provide ImageUri when updating a function with packageType Image."));
        }
        let changed = |latest: &Version, code: CodeArchive| {
            let mut settings = latest.deployment.settings.clone();
            settings.architecture = architecture.clone().unwrap_or(settings.architecture);
            settings.image_uri = image_uri.clone();
            Deployment::new(settings, code)
        };
        let archive = match is_image {
            true => None,
            false => Some(update.code.archive(self.executor.host()).await?),
        };
        if update.dry_run {
            let of_image = || CodeArchive::of_image(image_uri.as_deref().unwrap_or_default());
            let code = archive.as_deref().map_or_else(|| Ok(of_image()), Packages::check)?;
            return self.registry.read(|state| {
                let mut rehearsed = state.function(id)?.latest.clone();
                rehearsed.deployment = changed(&rehearsed, code);
                Ok(Response::json(200, &rehearsed.configuration(id, &id.arn(), LATEST)))
            });
        }
        let code = match archive {
            Some(archive) => self.store_code(archive).await?,
            None => CodeArchive::of_image(image_uri.as_deref().unwrap_or_default()),
        };
        let updating = self.context.conditions.eventual.function_updating;
        let configuration = self.registry.change(|state| {
            let function = state.function_mut(id)?;
            function.may_change(id, update.revision_id.as_deref())?;
            let deployment = changed(&function.latest, code);
            function.latest.update(deployment, updating);
            if update.publish {
                let number = function.publish(None, updating);
                let version = function.version(&number).unwrap_or(&function.latest);
                return Ok(version.configuration(id, &id.qualified_arn(&number), &number));
            }
            Ok(function.latest.configuration(id, &id.arn(), LATEST))
        })?;
        self.end_outdated_after(id, updating);
        Ok(Response::json(200, &configuration))
    }

    pub(super) fn update_function_configuration(&self, call: &ServiceCall) -> Result<Response, ApiError> {
        let request = &call.request;
        let id = &FunctionId::of(call)?;
        let update: UpdateConfiguration = request.json()?;
        let role = update.settings.role.clone();
        let updating = self.context.conditions.eventual.function_updating;
        let before = self.registry.read(|state| {
            let function = state.function(id)?;
            function.may_change(id, update.revision_id.as_deref())?;
            Ok::<_, ApiError>(function.latest.deployment.clone())
        })?;
        let runtime = update.settings.runtime.is_some();
        let before_runtime = before.settings.runtime.clone();
        let layers = match &update.settings.layers {
            Some(arns) => self.layers(&id.region, arns)?,
            None => before.settings.layers.clone(),
        };
        let settings = Settings { layers, ..before.settings.with(update.settings)? };
        if runtime {
            self.check_runtime(&settings.runtime, Some(&before_runtime))?;
        }
        if let Some(role) = role {
            self.must_be_assumable(&role)?;
        }
        let configuration = self.registry.change(|state| {
            let function = state.function_mut(id)?;
            function.may_change(id, update.revision_id.as_deref())?;
            // Refused if the settings were changed since they were read above.
            if function.latest.deployment.revision_id != before.revision_id {
                return Err(error::stale_revision("GetFunction/GetAlias"));
            }
            function.latest.update(Deployment::new(settings, before.code), updating);
            Ok(function.latest.configuration(id, &id.arn(), LATEST))
        })?;
        self.end_outdated_after(id, updating);
        Ok(Response::json(200, &configuration))
    }

    pub(super) fn delete_function(&self, call: &ServiceCall) -> Result<Response, ApiError> {
        let reference = &Reference::of(call)?;
        let id = &reference.id;
        self.registry.change(|state| match reference.qualifier.as_deref() {
            None => state.remove(id).map(|_| ()).ok_or_else(|| error::no_function(&id.arn())),
            Some(LATEST) => Err(error::invalid("$LATEST version cannot be deleted without deleting the function.")),
            Some(number) => state.function_mut(id)?.delete_version(id, number),
        })?;
        self.executor.end_outdated(id);
        Ok(Response::empty(204))
    }

    /// Stores an archive. On a blocking thread, since hashing and unpacking take long.
    pub(super) async fn store_code(&self, archive: Vec<u8>) -> Result<CodeArchive, ApiError> {
        let packages = self.packages.clone();
        let kept = tokio::task::spawn_blocking(move || packages.store(&archive)).await;
        kept.unwrap_or_else(|failed| Err(error::service(failed.to_string())))
    }

    /// Checks a runtime for a function that has the runtime `current`, or for a new one.
    fn check_runtime(&self, runtime: &str, current: Option<&str>) -> Result<(), ApiError> {
        if self.context.conditions.lenient.runtimes && Language::of(runtime).is_some() {
            return Ok(());
        }
        check_runtime(runtime, current)
    }

    fn must_be_assumable(&self, role: &str) -> Result<(), ApiError> {
        if self.roles.assumable(role, PRINCIPAL) {
            return Ok(());
        }
        Err(error::invalid("The role defined for the function cannot be assumed by Lambda."))
    }

    /// Ends the environments of the replaced deployment once the update has finished.
    fn end_outdated_after(&self, id: &FunctionId, updating: Duration) {
        // One more millisecond, because the state's clock has a resolution of one.
        let from = Instant::now() + updating + Duration::from_millis(1);
        if self.executor.is_attended(id) {
            self.start_ahead(id, from);
        }
        let (executor, id) = (self.executor.clone(), id.clone());
        tokio::spawn(async move {
            tokio::time::sleep_until(from).await;
            executor.end_outdated(&id);
        });
    }

    /// Starts an environment of a function's `$LATEST` before its first invocation.
    pub(super) fn start_ahead(&self, id: &FunctionId, from: Instant) {
        let inspect = self.executor.inspect(id);
        let spec = self.registry.read(|state| {
            let deployment = state.function(id).ok()?.latest.deployment.clone();
            Some(EnvironmentSpec::new(id.clone(), LATEST.to_owned(), deployment, &self.packages, inspect))
        });
        if let Some(spec) = spec {
            self.executor.prepare(Arc::new(spec), from);
        }
    }
}

impl Function {
    /// Checks that `$LATEST` can be changed now, by a caller that expects this `revision_id`.
    pub fn may_change(&self, id: &FunctionId, revision_id: Option<&str>) -> Result<(), ApiError> {
        self.latest.must_be_settled(id)?;
        if revision_id.is_some_and(|revision_id| revision_id != self.latest.revision_id()) {
            return Err(error::stale_revision("GetFunction/GetAlias"));
        }
        Ok(())
    }
}

/// One page of a list, with the marker of the next. Each item comes with its sort key.
///
/// # Errors
/// `ValidationException` for an invalid `MaxItems`.
pub fn page(request: &Request, member: &str, items: Vec<(String, Value)>) -> Result<Response, ApiError> {
    let most = match request.query("MaxItems") {
        None => MAX_PAGE,
        Some(text) => match text.parse::<usize>() {
            Ok(most @ 1..=10_000) => most.min(MAX_PAGE),
            _ => {
                let rule = "Member must have value between 1 and 10000";
                return Err(error::validation(&[constraint(text, "maxItems", rule)]));
            }
        },
    };
    let after = match request.query("Marker").map(|marker| BASE64_STANDARD.decode(marker)) {
        None => None,
        Some(Ok(key)) => Some(String::from_utf8_lossy(&key).into_owned()),
        Some(Err(_)) => return Err(error::invalid("Invalid marker")),
    };
    let mut rest = items.into_iter().filter(|(key, _)| after.as_ref().is_none_or(|after| key > after)).peekable();
    let mut shown = Vec::new();
    let mut last = String::new();
    for (key, item) in rest.by_ref().take(most) {
        shown.push(item);
        last = key;
    }
    let mut body = json!({ member: shown });
    if rest.peek().is_some() {
        body["NextMarker"] = json!(BASE64_STANDARD.encode(last));
    }
    Ok(Response::json(200, &body))
}
