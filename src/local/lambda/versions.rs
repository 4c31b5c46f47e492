//! Published versions, and the aliases that name them.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::Deserialize;
use serde_json::{Value, json};
use uuid::Uuid;

use super::Lambda;
use super::error::{self, constraint};
use super::functions::page;
use super::name::{FunctionId, LATEST};
use super::state::{Alias, Deployment, Function, Version};
use crate::local::protocol::service::ServiceCall;
use crate::local::protocol::wire::{ApiError, Response};

/// The longest description of a version or an alias, in characters (service model).
const MAX_DESCRIPTION: usize = 256;

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Publish {
    code_sha256: Option<String>,
    description: Option<String>,
    revision_id: Option<String>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct AliasChange {
    name: Option<String>,
    function_version: Option<String>,
    description: Option<String>,
    routing_config: Option<Routing>,
    revision_id: Option<String>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Routing {
    #[serde(default)]
    additional_version_weights: BTreeMap<String, f64>,
}

impl Lambda {
    pub(super) fn publish_version(&self, call: &ServiceCall) -> Result<Response, ApiError> {
        let request = &call.request;
        let id = &FunctionId::of(call)?;
        let publish: Publish = request.json()?;
        check_description(publish.description.as_deref())?;
        let pending = self.context.conditions.eventual.function_pending;
        self.registry.change(|state| {
            let function = state.function_mut(id)?;
            function.may_change(id, publish.revision_id.as_deref())?;
            let current = &function.latest.deployment.code.sha256;
            if let Some(expected) = publish.code_sha256.filter(|expected| expected != current) {
                return Err(error::invalid(format!(
                    "CodeSHA256 ({expected}) is different from current CodeSHA256 in $LATEST ({current}). Please try \
                     again with the CodeSHA256 in $LATEST."
                )));
            }
            let number = function.publish(publish.description, pending);
            let version = function.version(&number).unwrap_or(&function.latest);
            Ok(Response::json(201, &version.configuration(id, &id.qualified_arn(&number), &number)))
        })
    }

    pub(super) fn list_versions(&self, call: &ServiceCall) -> Result<Response, ApiError> {
        let request = &call.request;
        let id = &FunctionId::of(call)?;
        let versions = self.registry.read(|state| Ok::<_, ApiError>(state.function(id)?.listed(id)))?;
        page(request, "Versions", versions)
    }

    pub(super) fn create_alias(&self, call: &ServiceCall) -> Result<Response, ApiError> {
        let request = &call.request;
        let id = &FunctionId::of(call)?;
        let change: AliasChange = request.json()?;
        change.check()?;
        let (Some(name), Some(version)) = (change.name.clone(), change.function_version.clone()) else {
            let member = if change.name.is_none() { "name" } else { "functionVersion" };
            let missing = format!("Value null at '{member}' failed to satisfy constraint: Member must not be null");
            return Err(error::validation(&[missing]));
        };
        let is_word = name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_');
        if name.is_empty() || !is_word || name.len() > 128 || name.bytes().all(|byte| byte.is_ascii_digit()) {
            let rule = "Member must satisfy regular expression pattern: (?!^[0-9]+$)([a-zA-Z0-9-_]+)";
            return Err(error::validation(&[constraint(&name, "name", rule)]));
        }
        self.registry.change(|state| {
            let function = state.function_mut(id).map_err(|_| error::no_function(&id.qualified_arn(&version)))?;
            if function.aliases.contains_key(&name) {
                return Err(error::conflict(format!("Alias already exists: {}", id.qualified_arn(&name))));
            }
            let new = Alias {
                function_version: version,
                description: String::new(),
                additional: None,
                revision_id: String::new(),
                provisioned: None,
            };
            let alias = function.changed(id, new, change)?;
            let shown = alias.shown(id, &name);
            function.aliases.insert(name, alias);
            Ok(Response::json(201, &shown))
        })
    }

    pub(super) fn list_aliases(&self, call: &ServiceCall) -> Result<Response, ApiError> {
        let request = &call.request;
        let id = &FunctionId::of(call)?;
        let version = request.query("FunctionVersion");
        let aliases = self.registry.read(|state| {
            let aliases = state.function(id)?.aliases.iter();
            let wanted = aliases.filter(|(_, alias)| version.is_none_or(|version| alias.function_version == version));
            Ok::<_, ApiError>(wanted.map(|(name, alias)| (name.clone(), alias.shown(id, name))).collect())
        })?;
        page(request, "Aliases", aliases)
    }

    pub(super) fn get_alias(&self, call: &ServiceCall) -> Result<Response, ApiError> {
        let id = &FunctionId::of(call)?;
        let name = call.id(1);
        self.registry.read(|state| {
            let alias =
                state.function(id)?.aliases.get(name).ok_or_else(|| error::no_alias(&id.qualified_arn(name)))?;
            Ok(Response::json(200, &alias.shown(id, name)))
        })
    }

    pub(super) fn update_alias(&self, call: &ServiceCall) -> Result<Response, ApiError> {
        let request = &call.request;
        let id = &FunctionId::of(call)?;
        let name = call.id(1);
        let change: AliasChange = request.json()?;
        change.check()?;
        self.registry.change(|state| {
            let function = state.function_mut(id)?;
            let missing = || error::not_found(format!("Alias not found: {}", id.qualified_arn(name)));
            let alias = function.aliases.get(name).cloned().ok_or_else(missing)?;
            if change.revision_id.as_ref().is_some_and(|revision_id| *revision_id != alias.revision_id) {
                return Err(error::stale_revision("GetFunction/GetAlias"));
            }
            let alias = function.changed(id, alias, change)?;
            let shown = alias.shown(id, name);
            function.aliases.insert(name.to_owned(), alias);
            Ok(Response::json(200, &shown))
        })
    }

    /// Deleting an unknown alias is no error.
    pub(super) fn delete_alias(&self, call: &ServiceCall) -> Result<Response, ApiError> {
        let id = &FunctionId::of(call)?;
        let name = call.id(1);
        self.registry.change(|state| {
            let function = state.function_mut(id)?;
            function.aliases.remove(name);
            function.policies.remove(name);
            Ok(Response::empty(204))
        })
    }
}

impl Function {
    /// Publishes `$LATEST` and returns the version's number; the newest version's, if nothing has changed since. A new
    /// description of `$LATEST` counts as a change, one for the version alone does not (recorded answers of AWS).
    pub fn publish(&mut self, description: Option<String>, pending: Duration) -> String {
        let latest = &self.latest.deployment;
        if let Some((number, newest)) = self.versions.last_key_value() {
            let mut published = newest.deployment.settings.clone();
            if let Some(description) = &self.published_description {
                published.description.clone_from(description);
            }
            let same = newest.deployment.code == latest.code && published == latest.settings;
            if *number == self.last_version && same {
                return number.to_string();
            }
        }
        let mut settings = latest.settings.clone();
        self.published_description = Some(settings.description.clone());
        settings.description = description.unwrap_or(settings.description);
        let deployment = Deployment::new(settings, latest.code.clone());
        self.last_version += 1;
        self.versions.insert(self.last_version, Version::published(deployment, pending));
        self.latest.revise();
        self.last_version.to_string()
    }

    /// `$LATEST`, then the published versions, as in lists, each with its sort key.
    pub fn listed(&self, id: &FunctionId) -> Vec<(String, Value)> {
        let latest = (0, LATEST.to_owned(), &self.latest);
        let published = self.versions.iter().map(|(number, version)| (*number, number.to_string(), version));
        std::iter::once(latest)
            .chain(published)
            .map(|(order, number, version)| {
                (format!("{order:020}"), version.listed(id, &id.qualified_arn(&number), &number))
            })
            .collect()
    }

    /// Deletes a published version; an unknown one is no error.
    ///
    /// # Errors
    /// `ResourceConflictException` where an alias names it.
    pub fn delete_version(&mut self, id: &FunctionId, number: &str) -> Result<(), ApiError> {
        let names = |alias: &Alias| {
            alias.function_version == number || alias.additional.as_ref().is_some_and(|(other, _)| other == number)
        };
        let aliases: Vec<&str> =
            self.aliases.iter().filter(|(_, alias)| names(alias)).map(|(name, _)| name.as_str()).collect();
        if !aliases.is_empty() {
            let message = format!(
                "Unable to delete version because the following aliases reference it: [{}]",
                aliases.join(", ")
            );
            return Err(error::conflict(message));
        }
        let parsed: u64 = number.parse().map_err(|_| error::no_function(&id.qualified_arn(number)))?;
        self.versions.remove(&parsed);
        self.policies.remove(number);
        Ok(())
    }

    /// An alias with a change applied.
    fn changed(&self, id: &FunctionId, mut alias: Alias, change: AliasChange) -> Result<Alias, ApiError> {
        alias.function_version = change.function_version.unwrap_or(alias.function_version);
        alias.description = change.description.unwrap_or(alias.description);
        if let Some(routing) = change.routing_config {
            alias.additional = routing.weight(&alias.function_version)?;
        }
        let versions =
            std::iter::once(&alias.function_version).chain(alias.additional.iter().map(|(version, _)| version));
        for version in versions {
            self.version(version).ok_or_else(|| error::no_function(&id.qualified_arn(version)))?;
        }
        alias.revision_id = Uuid::new_v4().to_string();
        Ok(alias)
    }
}

/// # Errors
/// `ValidationException` for a description of a version or an alias that is too long.
fn check_description(description: Option<&str>) -> Result<(), ApiError> {
    match description.filter(|text| text.chars().count() > MAX_DESCRIPTION) {
        Some(text) => {
            let rule = format!("Member must have length less than or equal to {MAX_DESCRIPTION}");
            Err(error::validation(&[constraint(text, "description", &rule)]))
        }
        None => Ok(()),
    }
}

impl AliasChange {
    /// Checks its members against the service model.
    ///
    /// # Errors
    /// `ValidationException`.
    fn check(&self) -> Result<(), ApiError> {
        let is_version = |text: &str| {
            [LATEST, "$LATEST.PUBLISHED"].contains(&text)
                || (!text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit()))
        };
        if let Some(version) = self.function_version.as_deref().filter(|version| !is_version(version)) {
            let rule = r"Member must satisfy regular expression pattern: (\$LATEST(\.PUBLISHED)?|[0-9]+)";
            return Err(error::validation(&[constraint(version, "functionVersion", rule)]));
        }
        check_description(self.description.as_deref())
    }
}

impl Routing {
    fn weight(self, main: &str) -> Result<Option<(String, f64)>, ApiError> {
        if self.additional_version_weights.len() > 1 {
            return Err(error::invalid("Number of items in AdditionalVersionWeights cannot be greater than 1"));
        }
        let Some((version, weight)) = self.additional_version_weights.into_iter().next() else { return Ok(None) };
        if !(0.0..=1.0).contains(&weight) {
            let rule = "Map value must satisfy constraint: [Member must have value less than or equal to 1.0, Member \
                        must have value greater than or equal to 0.0, Member must not be null]";
            // The format of a Java double: 2.0.
            let value = format!("{{{version}={weight:?}}}");
            return Err(error::validation(&[constraint(&value, "routingConfig.additionalVersionWeights", rule)]));
        }
        if version == main {
            return Err(error::invalid(format!(
                "Invalid function version {main}. Function version {main} is already included in routing configuration."
            )));
        }
        if main == LATEST {
            return Err(error::invalid("$LATEST is not supported for an alias pointing to more than 1 version"));
        }
        Ok(Some((version, weight)))
    }
}

impl Alias {
    /// `AliasConfiguration`.
    fn shown(&self, id: &FunctionId, name: &str) -> Value {
        let mut shown = json!({
            "AliasArn": id.qualified_arn(name),
            "Name": name,
            "FunctionVersion": self.function_version,
            "Description": self.description,
            "RevisionId": self.revision_id,
        });
        if let Some((version, weight)) = &self.additional {
            shown["RoutingConfig"] = json!({ "AdditionalVersionWeights": { version: weight } });
        }
        shown
    }
}
