//! Which tables, functions and log groups carry the stack's tag: the Resource Groups Tagging API knows it in one call,
//! where each service would have to be asked about every resource of the account.
//!
//! It lags behind by seconds ("eventually consistent"), and not everybody may call it. So what the template names and
//! what has a name of wschat's is read by its name in any case, and where few resources are left, each is asked.

use std::collections::{BTreeSet, HashSet};

use super::pages;
use crate::aws::client::{Aws, AwsCall};
use crate::core::types::{function, log_group, table, tags};

/// How many resources of a type are asked one by one although no tag is known of them: as many as are asked at once.
const FEW: usize = 16;

/// The resources of those types that carry the tag of a stack, by type and name.
#[derive(Debug, Default)]
pub struct Tagged(HashSet<(&'static str, String)>);

impl Tagged {
    pub fn includes(&self, type_name: &'static str, name: &str) -> bool {
        self.0.contains(&(type_name, name.to_owned()))
    }
}

/// The types in the API's words, and what precedes the name in their ARNs.
const TYPES: &[(&str, &str, &str)] = &[
    ("dynamodb:table", "table/", table::TYPE),
    ("lambda:function", "function:", function::TYPE),
    ("logs:log-group", "log-group:", log_group::TYPE),
];

/// Asks which resources carry the stack's tag; any stack's where `aws` is on behalf of all. `None` where that cannot be
/// known: the caller may not ask, or there is no such service.
pub(super) async fn read(aws: &Aws) -> Option<Tagged> {
    let stack = aws.scope().stack.as_str();
    let filter = aws_sdk_resourcegroupstagging::types::TagFilter::builder()
        .key(tags::STACK)
        .set_values((!stack.is_empty()).then(|| vec![stack.to_owned()]))
        .build();
    let types: Vec<String> = TYPES.iter().map(|(type_name, ..)| (*type_name).to_owned()).collect();
    let found = pages::all(|from| {
        let (filter, types) = (filter.clone(), types.clone());
        async move {
            let page = aws.call(AwsCall::new("tagging", "GetResources"), || {
                aws.tagging
                    .get_resources()
                    .tag_filters(filter.clone())
                    .set_resource_type_filters(Some(types.clone()))
                    .resources_per_page(100)
                    .set_pagination_token(from.clone())
                    .send()
            });
            let page = page.await?;
            Ok((page.resource_tag_mapping_list, page.pagination_token))
        }
    })
    .await
    .inspect_err(|error| tracing::debug!("resources are asked for their tags one by one: {error}"))
    .ok()?;
    let named = found.iter().filter_map(|one| name_in(one.resource_arn()?));
    Some(Tagged(named.map(|(type_name, name)| (type_name, name.to_owned())).collect()))
}

/// The type and name of the resource with an ARN.
fn name_in(arn: &str) -> Option<(&'static str, &str)> {
    let mut parts = arn.splitn(6, ':').skip(2);
    let (service, resource) = (parts.next()?, parts.nth(2)?);
    let (_, prefix, type_name) = TYPES.iter().find(|(known, ..)| known.split(':').next() == Some(service))?;
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
