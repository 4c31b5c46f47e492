//! The roles as the console shows them.

use std::collections::BTreeMap;

use serde::Serialize;

use super::Iam;

/// One role.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct RoleOverview {
    pub name: String,
    pub arn: String,
    /// The names of its inline policies.
    pub inline: Vec<String>,
    /// The ARNs of its managed policies.
    pub attached: Vec<String>,
    #[serde(skip)]
    pub tags: BTreeMap<String, String>,
}

impl Iam {
    /// All roles, by name.
    pub fn overview(&self) -> Vec<RoleOverview> {
        self.state.read(|state| {
            let roles = state.roles.values().map(|role| RoleOverview {
                name: role.name.clone(),
                arn: role.arn(),
                inline: role.inline.keys().cloned().collect(),
                attached: role.attached.clone(),
                tags: role.tags.clone(),
            });
            roles.collect()
        })
    }
}
