//! The operations on layers, and the layers that a function names.

use std::collections::{BTreeMap, BTreeSet};

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use serde::Deserialize;
use serde_json::{Value, json};

use super::Lambda;
use super::error::{self, constraint};
use super::functions::page;
use super::layer::{LayerUse, LayerVersion, layer_arn, version_arn};
use super::state::{State, lambda_date};
use crate::local::context::ACCOUNT;
use crate::local::protocol::service::ServiceCall;
use crate::local::protocol::wire::{ApiError, Response};

/// The pattern that Lambda quotes when it refuses a name.
const NAME: &str = r"Member must satisfy regular expression pattern: (arn:[a-zA-Z0-9-]+:lambda:[a-zA-Z0-9-]+:\d{12}:layer:[a-zA-Z0-9-_]+)|[a-zA-Z0-9-_]+";

/// How many layers a function can have (Lambda quotas).
const MOST: usize = 5;

/// How many runtimes and architectures a version can name (service model).
const MOST_RUNTIMES: usize = 15;
const MOST_ARCHITECTURES: usize = 2;

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Publish {
    #[serde(default)]
    description: String,
    content: Content,
    compatible_architectures: Option<Vec<String>>,
    compatible_runtimes: Option<Vec<String>>,
    license_info: Option<String>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Content {
    zip_file: Option<String>,
    s3_bucket: Option<String>,
    s3_key: Option<String>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Permission {
    statement_id: String,
    action: String,
    principal: String,
    organization_id: Option<String>,
}

/// One version, as the path of a call names it.
struct VersionId {
    region: String,
    layer: String,
    number: u64,
}

impl VersionId {
    fn of(call: &ServiceCall) -> Result<Self, ApiError> {
        let (region, layer) = layer_of(call, call.id(0))?;
        let number = call.id(1).parse::<i64>().map_err(|_| error::not_found(MISSING))?;
        let number = u64::try_from(number).ok().filter(|number| *number > 0);
        let number = number.ok_or_else(|| error::invalid("Layer Version Cannot be less than 1."))?;
        Ok(Self { region, layer, number })
    }

    fn arn(&self) -> String {
        version_arn(&self.region, &self.layer, self.number)
    }
}

/// Lambda's words for a layer, a version or a policy that is not there.
const MISSING: &str = "The resource you requested does not exist.";

/// The region and the name of a layer that a call names by its name or its ARN.
fn layer_of(call: &ServiceCall, text: &str) -> Result<(String, String), ApiError> {
    let name = match text.split_once(":layer:") {
        Some((_, name)) => name,
        None => text,
    };
    let is_name = !name.is_empty() && name.chars().all(|c| c.is_ascii_alphanumeric() || "-_".contains(c));
    if !is_name {
        return Err(error::validation(&[constraint(text, "layerName", NAME)]));
    }
    if name.len() > 140 {
        let rule = "Member must have length less than or equal to 140";
        return Err(error::validation(&[constraint(text, "layerName", rule)]));
    }
    Ok((call.region().to_owned(), name.to_owned()))
}

impl Lambda {
    pub(super) async fn publish_layer_version(&self, call: &ServiceCall) -> Result<Response, ApiError> {
        let (region, layer) = layer_of(call, call.id(0))?;
        let publish: Publish = call.request.json()?;
        check_lists(&publish)?;
        let missing = || error::invalid("Please provide a source for layer content.");
        let archive = match publish.content.s3_bucket {
            Some(bucket) => {
                let key = publish.content.s3_key.ok_or_else(missing)?;
                self.executor.host().read_object(&bucket, &key).await?
            }
            None => BASE64_STANDARD
                .decode(publish.content.zip_file.ok_or_else(missing)?)
                .map_err(|reason| ApiError::new(400, "SerializationException", format!("ZipFile: {reason}")))?,
        };
        let code = self.store_code(archive).await?;
        let shown = self.registry.change(|state| {
            let layers = state.layers.entry(region.clone()).or_default();
            let versions = layers.entry(layer.clone()).or_default();
            versions.last_version += 1;
            let number = versions.last_version;
            let version = LayerVersion {
                code,
                description: publish.description,
                created: lambda_date(),
                architectures: publish.compatible_architectures,
                runtimes: publish.compatible_runtimes,
                license: publish.license_info,
                policy: Vec::new(),
                policy_revision: 0,
            };
            let shown = self.shown(&region, &layer, number, &version);
            versions.versions.insert(number, version);
            Ok::<_, ApiError>(shown)
        })?;
        Ok(Response::json(201, &shown))
    }

    /// A version as `GetLayerVersion` shows it.
    fn shown(&self, region: &str, layer: &str, number: u64, version: &LayerVersion) -> Value {
        let mut shown = version.listed(region, layer, number);
        shown["LayerArn"] = json!(layer_arn(region, layer));
        // Like the code of a function: the digest alone selects the archive.
        let location =
            format!("http://{}/2015-03-31/functions/{layer}/code/{}", self.context.authority(), version.code.hex());
        shown["Content"] = json!({
            "Location": location,
            "CodeSha256": version.code.sha256,
            "CodeSize": version.code.size,
        });
        shown
    }

    /// `ListLayers`; with `find=LayerVersion`, `GetLayerVersionByArn`, which has the same path.
    pub(super) fn list_layers(&self, call: &ServiceCall) -> Result<Response, ApiError> {
        let request = &call.request;
        if request.query("find") == Some("LayerVersion") {
            return self.get_layer_version_by_arn(call);
        }
        let region = call.region();
        let layers = self.registry.read(|state| {
            let layers = state.layers.get(region).into_iter().flatten();
            let newest = layers.filter_map(|(name, layer)| {
                let mut fitting = layer.versions.iter().rev().filter(|(_, version)| is_compatible(call, version));
                let (number, version) = fitting.next()?;
                let shown = json!({
                    "LayerName": name,
                    "LayerArn": layer_arn(region, name),
                    "LatestMatchingVersion": version.listed(region, name, *number),
                });
                Some((name.clone(), shown))
            });
            newest.collect()
        });
        page(request, "Layers", layers)
    }

    pub(super) fn list_layer_versions(&self, call: &ServiceCall) -> Result<Response, ApiError> {
        let (region, layer) = layer_of(call, call.id(0))?;
        let versions = self.registry.read(|state| {
            let versions = state.layer(&region, &layer).into_iter().flat_map(|layer| layer.versions.iter().rev());
            let fitting = versions.filter(|(_, version)| is_compatible(call, version));
            // The newest first.
            let key = |number: u64| format!("{:020}", u64::MAX - number);
            fitting.map(|(number, version)| (key(*number), version.listed(&region, &layer, *number))).collect()
        });
        page(&call.request, "LayerVersions", versions)
    }

    pub(super) fn get_layer_version(&self, call: &ServiceCall) -> Result<Response, ApiError> {
        let id = VersionId::of(call)?;
        self.answer(&id)
    }

    fn get_layer_version_by_arn(&self, call: &ServiceCall) -> Result<Response, ApiError> {
        let arn = call.request.query("Arn").unwrap_or_default();
        let Some((region, layer, number)) = read_arn(arn).and_then(|(region, account, layer, number)| {
            (account == ACCOUNT && region == call.region()).then(|| (region.to_owned(), layer.to_owned(), number))
        }) else {
            return Err(error::not_found(MISSING));
        };
        self.answer(&VersionId { region, layer, number })
    }

    fn answer(&self, id: &VersionId) -> Result<Response, ApiError> {
        self.registry.read(|state| {
            let version = state.layer_version(id)?;
            Ok(Response::json(200, &self.shown(&id.region, &id.layer, id.number, version)))
        })
    }

    /// Deleting an unknown version is no error. Functions that have it keep it.
    pub(super) fn delete_layer_version(&self, call: &ServiceCall) -> Result<Response, ApiError> {
        let id = VersionId::of(call)?;
        self.registry.change(|state| {
            if let Some(layer) = state.layers.get_mut(&id.region).and_then(|layers| layers.get_mut(&id.layer)) {
                layer.versions.remove(&id.number);
            }
            Ok(Response::empty(204))
        })
    }

    pub(super) fn add_layer_version_permission(&self, call: &ServiceCall) -> Result<Response, ApiError> {
        let id = VersionId::of(call)?;
        let permission: Permission = call.request.json()?;
        if permission.action != "lambda:GetLayerVersion" {
            let rule = "Member must satisfy regular expression pattern: lambda:GetLayerVersion";
            return Err(error::validation(&[constraint(&permission.action, "action", rule)]));
        }
        let is_account = permission.principal.len() == 12 && permission.principal.bytes().all(|b| b.is_ascii_digit());
        let is_root = permission.principal.starts_with("arn:") && permission.principal.ends_with(":root");
        if permission.principal != "*" && !is_account && !is_root {
            let rule =
                r"Member must satisfy regular expression pattern: \d{12}|\*|arn:(aws[a-zA-Z-]*):iam::\d{12}:root";
            return Err(error::validation(&[constraint(&permission.principal, "principal", rule)]));
        }
        self.change_policy(call, &id, |version| {
            let taken = version.policy.iter().any(|(sid, _)| *sid == permission.statement_id);
            if taken {
                return Err(error::conflict(format!(
                    "The statement id ({}) provided already exists. Please provide a new statement id, or remove the \
                     existing statement.",
                    permission.statement_id
                )));
            }
            let principal = match permission.principal.as_str() {
                "*" => json!("*"),
                account if is_account => json!({ "AWS": format!("arn:aws:iam::{account}:root") }),
                arn => json!({ "AWS": arn }),
            };
            let mut statement = json!({
                "Sid": permission.statement_id,
                "Effect": "Allow",
                "Principal": principal,
                "Action": permission.action,
                "Resource": id.arn(),
            });
            if let Some(organization) = &permission.organization_id {
                statement["Condition"] = json!({ "StringEquals": { "aws:PrincipalOrgID": organization } });
            }
            version.policy.push((permission.statement_id.clone(), statement.clone()));
            version.policy_revision += 1;
            let shown = json!({ "Statement": statement.to_string(), "RevisionId": version.revision(&id.arn()) });
            Ok(Response::json(201, &shown))
        })
    }

    pub(super) fn get_layer_version_policy(&self, call: &ServiceCall) -> Result<Response, ApiError> {
        let id = VersionId::of(call)?;
        self.registry.read(|state| {
            let version = state.layer_version(&id)?;
            if version.policy.is_empty() {
                return Err(error::not_found("No policy is associated with the given resource."));
            }
            let shown = json!({ "Policy": version.policy(), "RevisionId": version.revision(&id.arn()) });
            Ok(Response::json(200, &shown))
        })
    }

    pub(super) fn remove_layer_version_permission(&self, call: &ServiceCall) -> Result<Response, ApiError> {
        let id = VersionId::of(call)?;
        let statement_id = call.id(2);
        self.change_policy(call, &id, |version| {
            let place = version.policy.iter().position(|(sid, _)| sid == statement_id);
            let missing = || error::not_found(format!("Statement {statement_id} is not found in resource policy."));
            version.policy.remove(place.ok_or_else(missing)?);
            version.policy_revision += 1;
            Ok(Response::empty(204))
        })
    }

    fn change_policy(
        &self,
        call: &ServiceCall,
        id: &VersionId,
        change: impl FnOnce(&mut LayerVersion) -> Result<Response, ApiError>,
    ) -> Result<Response, ApiError> {
        self.registry.change(|state| {
            let arn = id.arn();
            let version = state.layer_version_mut(id)?;
            let expected = call.request.query("RevisionId");
            if expected.is_some_and(|expected| expected != version.revision(&arn)) {
                return Err(error::stale_revision("GetLayerVersionPolicy"));
            }
            change(version)
        })
    }

    /// The layers of a function of a region, by the ARNs of their versions.
    pub(super) fn layers(&self, region: &str, arns: &[String]) -> Result<Vec<LayerUse>, ApiError> {
        if arns.len() > MOST {
            return Err(error::invalid(format!("Cannot have more than {MOST} layers.")));
        }
        let mut seen: BTreeMap<&str, &str> = BTreeMap::new();
        let mut layers = Vec::new();
        for arn in arns {
            let Some((of_region, account, layer, number)) = read_arn(arn) else {
                let rule = r"Member must satisfy regular expression pattern: arn:[a-zA-Z0-9-]+:lambda:[a-zA-Z0-9-]+:\d{12}:layer:[a-zA-Z0-9-_]+:[0-9]+";
                let shown = format!("[{}]", arns.join(", "));
                return Err(error::validation(&[constraint(&shown, "layers", rule)]));
            };
            if of_region != region {
                return Err(error::invalid(format!(
                    "Layers are not in the same region as the function. Layers are expected to be in region {region}."
                )));
            }
            let above = arn.rsplit_once(':').map_or(arn.as_str(), |(above, _)| above);
            if let Some(other) = seen.insert(above, arn) {
                return Err(error::invalid(format!(
                    "Two different versions of the same layer are not allowed to be referenced in the same function. \
                     {other} and {arn} are versions of the same layer."
                )));
            }
            let code = match account == ACCOUNT {
                false => None,
                true => {
                    let id = VersionId { region: region.to_owned(), layer: layer.to_owned(), number };
                    let found =
                        self.registry.read(|state| state.layer_version(&id).map(|version| version.code.clone()));
                    Some(found.map_err(|_| error::invalid(format!("Layer version {arn} does not exist.")))?)
                }
            };
            layers.push(LayerUse { arn: arn.clone(), code });
        }
        Ok(layers)
    }
}

/// The region, the account, the layer and the number in a version's ARN.
fn read_arn(arn: &str) -> Option<(&str, &str, &str, u64)> {
    let parts: Vec<&str> = arn.split(':').collect();
    let ["arn", _, "lambda", region, account, "layer", layer, number] = parts[..] else { return None };
    Some((region, account, layer, number.parse().ok().filter(|number| *number > 0)?))
}

fn check_lists(publish: &Publish) -> Result<(), ApiError> {
    let mut broken = Vec::new();
    let mut check = |given: &Option<Vec<String>>, member: &str, most: usize| {
        let Some(given) = given else { return };
        let distinct: BTreeSet<&String> = given.iter().collect();
        if given.len() > most || distinct.len() != given.len() {
            let rule = format!("Member must have length less than or equal to {most}");
            broken.push(constraint(&format!("[{}]", given.join(", ")), member, &rule));
        }
    };
    check(&publish.compatible_runtimes, "compatibleRuntimes", MOST_RUNTIMES);
    check(&publish.compatible_architectures, "compatibleArchitectures", MOST_ARCHITECTURES);
    let mut architectures = publish.compatible_architectures.iter().flatten();
    if let Some(unknown) = architectures.find(|one| !["x86_64", "arm64"].contains(&one.as_str())) {
        let rule = "Member must satisfy constraint: [Member must satisfy enum value set: [x86_64, arm64], Member must not be null]";
        broken.push(constraint(&format!("[{unknown}]"), "compatibleArchitectures", rule));
    }
    if publish.description.chars().count() > 256 {
        let rule = "Member must have length less than or equal to 256";
        broken.push(constraint(&publish.description, "description", rule));
    }
    if broken.is_empty() { Ok(()) } else { Err(error::validation(&broken)) }
}

/// Whether a list that asks for a runtime or an architecture shows a version. One that names none is for all.
fn is_compatible(call: &ServiceCall, version: &LayerVersion) -> bool {
    let fits = |asked: Option<&str>, named: &Option<Vec<String>>| {
        asked.is_none_or(|asked| named.as_ref().is_some_and(|named| named.iter().any(|one| one == asked)))
    };
    fits(call.request.query("CompatibleRuntime"), &version.runtimes)
        && fits(call.request.query("CompatibleArchitecture"), &version.architectures)
}

impl State {
    fn layer(&self, region: &str, layer: &str) -> Option<&super::layer::Layer> {
        self.layers.get(region)?.get(layer)
    }

    fn layer_version(&self, id: &VersionId) -> Result<&LayerVersion, ApiError> {
        let layer = self.layer(&id.region, &id.layer);
        layer.and_then(|layer| layer.versions.get(&id.number)).ok_or_else(|| error::not_found(MISSING))
    }

    fn layer_version_mut(&mut self, id: &VersionId) -> Result<&mut LayerVersion, ApiError> {
        let layer = self.layers.get_mut(&id.region).and_then(|layers| layers.get_mut(&id.layer));
        layer.and_then(|layer| layer.versions.get_mut(&id.number)).ok_or_else(|| error::not_found(MISSING))
    }
}
