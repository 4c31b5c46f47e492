//! What carries the stack's tags: the Resource Groups Tagging API knows it in one call, where each service would have to be
//! asked about every resource of the account.
//!
//! It lags behind by seconds ("eventually consistent"). So what the template names and what has a name of wschat's is read by its
//! name in any case, and where few resources of a type are left, each is asked.

use std::collections::{BTreeSet, HashSet};

use aws_sdk_resourcegroupstagging::types::TagFilter;

use super::pages;
use crate::aws::client::{Aws, AwsCall, CallError};
use crate::core::types::tags::{self, Tags};
use crate::core::types::{domain_name, function, log_group, table};

/// How many resources of a type are asked one by one although no tag is known of them: as many as are asked at once.
const FEW: usize = 16;

/// The resources with the tag of a stack.
#[derive(Debug, Default)]
pub struct Tagged {
    /// ARNs and tags.
    pub all: Vec<(String, Tags)>,
    /// Tables, functions, log groups and domain names, by type and name.
    named: HashSet<(&'static str, String)>,
}

impl Tagged {
    pub fn includes(&self, type_name: &'static str, name: &str) -> bool {
        self.named.contains(&(type_name, name.to_owned()))
    }

    /// Whether there is one of this type.
    pub fn has(&self, type_name: &'static str) -> bool {
        self.named.iter().any(|(known, _)| *known == type_name)
    }
}

/// What precedes the names of tables, functions, log groups and domain names in their ARNs, by service.
const TYPES: &[(&str, &str, &str)] = &[
    ("apigateway", "/domainnames/", domain_name::TYPE),
    ("dynamodb", "table/", table::TYPE),
    ("lambda", "function:", function::TYPE),
    ("logs", "log-group:", log_group::TYPE),
];

/// Asks what carries the stack's tag; any stack's where `aws` is on behalf of all.
pub(super) async fn read(aws: &Aws) -> Result<Tagged, CallError> {
    let all = search(aws, &[(tags::STACK, &aws.scope().stack)]).await?;
    let named = all.iter().filter_map(|(arn, _)| name_in(arn));
    let named = named.map(|(type_name, name)| (type_name, name.to_owned())).collect();
    Ok(Tagged { all, named })
}

/// The ARNs and tags of what carries all of these tags. An empty value stands for any.
pub(super) async fn search(aws: &Aws, wanted: &[(&str, &str)]) -> Result<Vec<(String, Tags)>, CallError> {
    let filter = |(key, value): &(&str, &str)| {
        let values = (!value.is_empty()).then(|| vec![(*value).to_owned()]);
        TagFilter::builder().key(*key).set_values(values).build()
    };
    let filters: Vec<TagFilter> = wanted.iter().map(filter).collect();
    let found = pages::all(|from| {
        let filters = filters.clone();
        async move {
            let page = aws.call(AwsCall::new("tagging", "GetResources"), || {
                aws.tagging
                    .get_resources()
                    .set_tag_filters(Some(filters.clone()))
                    .resources_per_page(100)
                    .set_pagination_token(from.clone())
                    .send()
            });
            let page = page.await?;
            Ok((page.resource_tag_mapping_list, page.pagination_token))
        }
    });
    let described = found.await?.into_iter().filter_map(|mapping| {
        let tags = mapping.tags.unwrap_or_default().into_iter().map(|tag| (tag.key, tag.value)).collect();
        Some((mapping.resource_arn?, tags))
    });
    Ok(described.collect())
}

/// The type and name of the resource with an ARN.
fn name_in(arn: &str) -> Option<(&'static str, &str)> {
    let mut parts = arn.splitn(6, ':').skip(2);
    let (service, resource) = (parts.next()?, parts.nth(2)?);
    let (_, prefix, type_name) = TYPES.iter().find(|(known, ..)| *known == service)?;
    // CloudFormation's ARN of a log group ends in `:*`.
    Some((*type_name, resource.strip_prefix(prefix)?.trim_end_matches(":*")))
}

/// The names to ask: those that are `likely` the stack's, and of the others, which the tags that are known speak
/// against, only a few.
pub(super) fn to_ask(names: &[String], tagged: Option<&Tagged>, likely: impl Fn(&str) -> bool) -> BTreeSet<String> {
    let (mut asked, others): (BTreeSet<String>, BTreeSet<String>) =
        names.iter().cloned().partition(|name| likely(name));
    if tagged.is_none() || others.len() <= FEW {
        asked.extend(others);
    }
    asked
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_read_from_arns() {
        let arn = |service: &str, resource: &str| format!("arn:aws:{service}:eu-west-1:123456789012:{resource}");
        for (service, resource, expected) in [
            ("dynamodb", "table/chat", Some((table::TYPE, "chat"))),
            ("lambda", "function:chat", Some((function::TYPE, "chat"))),
            ("logs", "log-group:/aws/lambda/chat", Some((log_group::TYPE, "/aws/lambda/chat"))),
            ("logs", "log-group:chat:*", Some((log_group::TYPE, "chat"))),
            ("lambda", "layer:chat", None),
            ("s3", "chat", None),
        ] {
            assert_eq!(name_in(&arn(service, resource)), expected, "{service} {resource}");
        }
        assert_eq!(name_in("arn:aws"), None);
    }

    #[test]
    fn many_without_a_known_tag_are_not_asked() {
        let names: Vec<String> = (0..40).map(|number| format!("n{number}")).collect();
        let asked = |count: usize, tagged: Option<&Tagged>| to_ask(&names[..count], tagged, |name| name == "n1").len();
        let tagged = Tagged::default();
        assert_eq!(asked(40, None), 40);
        assert_eq!(asked(40, Some(&tagged)), 1);
        assert_eq!(asked(FEW + 1, Some(&tagged)), FEW + 1);
        assert_eq!(asked(FEW + 2, Some(&tagged)), 1);
    }
}
