//! The functions as the console shows them.

use std::collections::BTreeMap;

use serde::Serialize;

use super::Lambda;
use super::name::FunctionId;

/// One function with its `$LATEST` settings.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct FunctionOverview {
    pub region: String,
    pub name: String,
    pub arn: String,
    pub runtime: String,
    pub handler: String,
    /// In MB.
    pub memory: u32,
    /// In seconds.
    pub timeout: u32,
    /// In bytes, zipped.
    pub code_size: u64,
    pub last_modified: String,
    pub log_group: String,
    /// The names, not the values: those can be secrets.
    pub variables: Vec<String>,
    /// The numbers of published versions.
    pub versions: Vec<u64>,
    /// Aliases, with the version of each.
    pub aliases: BTreeMap<String, String>,
    #[serde(skip)]
    pub tags: BTreeMap<String, String>,
}

impl Lambda {
    /// All functions, by region and name.
    pub fn overview(&self) -> Vec<FunctionOverview> {
        self.registry.read(|state| {
            let all = state.all().map(|(region, name, function)| {
                let (settings, code) = (&function.latest.deployment.settings, &function.latest.deployment.code);
                let variables = settings.environment.iter().flat_map(BTreeMap::keys).cloned().collect();
                let aliases = function.aliases.iter();
                FunctionOverview {
                    region: region.clone(),
                    name: name.clone(),
                    arn: FunctionId { region: region.clone(), name: name.clone() }.arn(),
                    runtime: settings.runtime.clone(),
                    handler: settings.handler.clone(),
                    memory: settings.memory_size,
                    timeout: settings.timeout,
                    code_size: code.size,
                    last_modified: function.latest.deployment.last_modified.clone(),
                    log_group: settings.logging.log_group.clone(),
                    variables,
                    versions: function.versions.keys().copied().collect(),
                    aliases: aliases.map(|(name, alias)| (name.clone(), alias.function_version.clone())).collect(),
                    tags: function.tags.clone(),
                }
            });
            all.collect()
        })
    }
}
