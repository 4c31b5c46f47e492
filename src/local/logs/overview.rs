//! The log groups as the console shows them.

use std::collections::BTreeMap;

use serde::Serialize;

use super::Logs;

/// One log group.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct GroupOverview {
    pub region: String,
    pub name: String,
    pub retention_days: Option<i64>,
    #[serde(skip)]
    pub tags: BTreeMap<String, String>,
}

impl Logs {
    /// All log groups, by region and name.
    pub fn overview(&self) -> Vec<GroupOverview> {
        self.store.regions.read(|regions| {
            let all = regions.iter().flat_map(|(region, groups)| groups.iter().map(move |group| (region, group)));
            let groups = all.map(|(region, (name, group))| GroupOverview {
                region: region.clone(),
                name: name.clone(),
                retention_days: group.retention_days,
                tags: group.tags.clone(),
            });
            groups.collect()
        })
    }
}
