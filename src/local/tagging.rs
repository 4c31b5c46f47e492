//! The Resource Groups Tagging API: what of the other services carries a tag, and tags for whatever has an ARN.

use std::collections::BTreeMap;
use std::sync::Arc;

use async_trait::async_trait;
use serde::Deserialize;
use serde_json::{Value, json};

use super::context::ports::{Tagged, TaggedResources};
use super::protocol::operation::OperationEffect::{Changes, Reads};
use super::protocol::service::Permissions::Needs;
use super::protocol::service::{Row, Service, ServiceCall};
use crate::core::iam::need::Need;
use crate::local::protocol::wire::{ApiError, Protocol, Request, Response};

/// How many resources a page may have, and how many it has unless the caller says (`GetResources`, API reference).
const MOST_OF_A_PAGE: usize = 100;
const PAGE: usize = 50;

/// How many resources one call may tag or untag (`TagResources`, API reference).
const MOST_ARNS: usize = 20;

/// The tags of the account's resources. It has no state of its own.
pub struct Tagging {
    sources: Vec<Arc<dyn TaggedResources>>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct Input {
    pagination_token: String,
    tag_filters: Vec<TagFilter>,
    resources_per_page: Option<usize>,
    resource_type_filters: Vec<String>,
    #[serde(rename = "ResourceARNList")]
    resource_arn_list: Vec<String>,
    tags: BTreeMap<String, String>,
    tag_keys: Vec<String>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct TagFilter {
    key: String,
    /// Any of these; none means any value.
    #[serde(default)]
    values: Vec<String>,
}

impl TagFilter {
    fn matches(&self, tags: &BTreeMap<String, String>) -> bool {
        tags.get(&self.key).is_some_and(|value| self.values.is_empty() || self.values.contains(value))
    }
}

impl Tagging {
    /// Opens the service over those that have the resources.
    pub fn new(sources: Vec<Arc<dyn TaggedResources>>) -> Self {
        Self { sources }
    }

    fn get_resources(&self, region: &str, input: &Input) -> Result<Value, ApiError> {
        let page = input.resources_per_page.unwrap_or(PAGE);
        if !(1..=MOST_OF_A_PAGE).contains(&page) {
            return Err(invalid(&format!("ResourcesPerPage must be between 1 and {MOST_OF_A_PAGE}")));
        }
        // A filter of a service alone (`lambda`) takes all its types.
        let is_wanted = |resource: &Tagged| {
            let types = &input.resource_type_filters;
            let service = resource.type_name.split(':').next().unwrap_or_default();
            let is_of_type = types.is_empty() || types.iter().any(|one| *one == resource.type_name || one == service);
            is_of_type && !resource.tags.is_empty() && input.tag_filters.iter().all(|one| one.matches(&resource.tags))
        };
        let mut found = Vec::new();
        for source in &self.sources {
            found.extend(source.tagged(region)?.into_iter().filter(is_wanted));
        }
        found.sort_by(|one, other| one.arn.cmp(&other.arn));
        // The token is the ARN that the last page ended with, so a page misses nothing that others create meanwhile.
        found.retain(|resource| resource.arn.as_str() > input.pagination_token.as_str());
        let more = found.len() > page;
        found.truncate(page);
        let token = found.last().filter(|_| more).map_or("", |last| last.arn.as_str());
        let mapping = |resource: &Tagged| {
            let tags = resource.tags.iter().map(|(key, value)| json!({ "Key": key, "Value": value }));
            json!({ "ResourceARN": resource.arn, "Tags": tags.collect::<Vec<_>>() })
        };
        let list: Vec<Value> = found.iter().map(mapping).collect();
        Ok(json!({ "PaginationToken": token, "ResourceTagMappingList": list }))
    }
}

impl Tagging {
    fn tag_resources(&self, _region: &str, input: &Input) -> Result<Value, ApiError> {
        if input.tags.is_empty() {
            return Err(invalid("Tags must not be empty"));
        }
        self.retag(input, &input.tags, &[])
    }

    fn untag_resources(&self, _region: &str, input: &Input) -> Result<Value, ApiError> {
        if input.tag_keys.is_empty() {
            return Err(invalid("TagKeys must not be empty"));
        }
        self.retag(input, &BTreeMap::new(), &input.tag_keys)
    }

    /// The answer names the resources whose service refused, and the rest is done.
    fn retag(&self, input: &Input, set: &BTreeMap<String, String>, removed: &[String]) -> Result<Value, ApiError> {
        let arns = &input.resource_arn_list;
        if !(1..=MOST_ARNS).contains(&arns.len()) {
            return Err(invalid(&format!("ResourceARNList must have 1 to {MOST_ARNS} elements")));
        }
        let mut failed = serde_json::Map::new();
        for arn in arns {
            let mut done = Ok(false);
            for source in &self.sources {
                done = source.retag(arn, set, removed);
                if !matches!(done, Ok(false)) {
                    break;
                }
            }
            let (status, message) = match done {
                Ok(true) => continue,
                Ok(false) => (404, format!("{arn} does not exist")),
                Err(error) => (error.status, error.message),
            };
            let code = if status < 500 { "InvalidParameterException" } else { "InternalServiceException" };
            failed.insert(arn.clone(), json!({ "StatusCode": status, "ErrorCode": code, "ErrorMessage": message }));
        }
        Ok(json!({ "FailedResourcesMap": failed }))
    }
}

fn invalid(message: &str) -> ApiError {
    ApiError::new(400, "InvalidParameterException", message)
}

#[async_trait]
impl Service for Arc<Tagging> {
    type Run = fn(&Tagging, &str, &Input) -> Result<Value, ApiError>;

    const NAME: &'static str = "tagging";
    const PROTOCOL: Protocol = Protocol::AwsJson11;
    const TARGETS: &'static [&'static str] = &["ResourceGroupsTaggingAPI_20170126."];
    const OPERATIONS: &'static [Row<Self>] = &[
        Row::<Self>::named("GetResources", Reads, Needs(on_all), Tagging::get_resources),
        Row::<Self>::named("TagResources", Changes, Needs(on_all), Tagging::tag_resources),
        Row::<Self>::named("UntagResources", Changes, Needs(on_all), Tagging::untag_resources),
    ];

    fn unknown(_request: &Request) -> ApiError {
        ApiError::new(400, "UnknownOperationException", "")
    }

    async fn run(&self, run: Self::Run, call: ServiceCall) -> Result<Response, ApiError> {
        let input: Input = call.request.json()?;
        let (tagging, region) = (Arc::clone(self), call.region().to_owned());
        // Tables are read from SQLite.
        let work = tokio::task::spawn_blocking(move || run(&tagging, &region, &input));
        let answer = work.await.map_err(|error| ApiError::new(500, "InternalServiceException", error.to_string()))?;
        Ok(Response::json(200, &answer?))
    }
}

/// (Service Authorization Reference, "Amazon Resource Group Tagging API".)
fn on_all(call: &ServiceCall) -> Vec<Need> {
    vec![Need::new(format!("tag:{}", call.operation.name), "*")]
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Fixed;

    impl TaggedResources for Fixed {
        fn tagged(&self, region: &str) -> Result<Vec<Tagged>, ApiError> {
            let resource = |type_name: &str, name: &str, tags: &[(&str, &str)]| Tagged {
                type_name: type_name.to_owned(),
                arn: format!("arn:aws:{region}:{name}"),
                tags: tags.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect(),
            };
            Ok(vec![
                resource("lambda:function", "c", &[("stack", "chat")]),
                resource("lambda:function", "b", &[("stack", "other"), ("team", "x")]),
                resource("dynamodb:table", "a", &[("stack", "chat"), ("team", "x")]),
                resource("dynamodb:table", "d", &[]),
            ])
        }

        fn retag(&self, arn: &str, _: &BTreeMap<String, String>, _: &[String]) -> Result<bool, ApiError> {
            Ok(arn == "arn:aws:r:d")
        }
    }

    fn found(input: Value) -> (String, String) {
        let tagging = Tagging::new(vec![Arc::new(Fixed)]);
        let answer = tagging.get_resources("r", &serde_json::from_value(input).unwrap()).unwrap();
        let names = answer["ResourceTagMappingList"].as_array().unwrap().iter();
        let names = names.map(|one| one["ResourceARN"].as_str().unwrap().trim_start_matches("arn:aws:r:").to_owned());
        (names.collect(), answer["PaginationToken"].as_str().unwrap().to_owned())
    }

    #[test]
    fn resources_are_found_by_tags_and_types() {
        for (input, expected) in [
            (json!({}), "abc"),
            (json!({ "TagFilters": [{ "Key": "stack", "Values": ["chat"] }] }), "ac"),
            (json!({ "TagFilters": [{ "Key": "stack", "Values": ["chat", "other"] }] }), "abc"),
            (json!({ "TagFilters": [{ "Key": "stack" }, { "Key": "team", "Values": ["x"] }] }), "ab"),
            (json!({ "TagFilters": [{ "Key": "none" }] }), ""),
            (json!({ "ResourceTypeFilters": ["lambda:function"] }), "bc"),
            (json!({ "ResourceTypeFilters": ["dynamodb"] }), "a"),
        ] {
            assert_eq!(found(input.clone()).0, expected, "{input}");
        }
    }

    #[test]
    fn what_cannot_be_tagged_is_named() {
        let tagging = Tagging::new(vec![Arc::new(Fixed)]);
        let input = json!({ "ResourceARNList": ["arn:aws:r:d"], "Tags": { "stack": "chat" } });
        let answer = tagging.tag_resources("r", &serde_json::from_value(input).unwrap()).unwrap();
        assert_eq!(answer, json!({ "FailedResourcesMap": {} }));
        let input = json!({ "ResourceARNList": ["arn:aws:r:d", "arn:aws:r:none"], "TagKeys": ["stack"] });
        let answer = tagging.untag_resources("r", &serde_json::from_value(input).unwrap()).unwrap();
        let failed = &answer["FailedResourcesMap"];
        assert_eq!(failed["arn:aws:r:none"]["StatusCode"], 404, "{answer}");
        assert_eq!(failed.as_object().unwrap().len(), 1, "{answer}");
        for input in [json!({ "Tags": { "a": "b" } }), json!({ "ResourceARNList": ["arn:aws:r:d"] })] {
            assert!(tagging.tag_resources("r", &serde_json::from_value(input).unwrap()).is_err());
        }
    }

    #[test]
    fn pages_follow_each_other() {
        let (first, token) = found(json!({ "ResourcesPerPage": 2 }));
        assert_eq!((first.as_str(), token.as_str()), ("ab", "arn:aws:r:b"));
        let (second, token) = found(json!({ "ResourcesPerPage": 2, "PaginationToken": token }));
        assert_eq!((second.as_str(), token.as_str()), ("c", ""));
        let tagging = Tagging::new(Vec::new());
        let refused = tagging.get_resources("r", &Input { resources_per_page: Some(101), ..Input::default() });
        assert_eq!(refused.unwrap_err().code, "InvalidParameterException");
    }
}
