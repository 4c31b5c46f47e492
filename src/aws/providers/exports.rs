//! What stacks export: wschat's in a tag of one of their resources, CloudFormation's in CloudFormation.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use futures_util::future::join_all;

use super::{pages, tagged};
use crate::aws::client::{Aws, AwsCall, CallError, Meaning};
use crate::core::stack::lookups::Missing;
use crate::core::types::tags::{self, Tags};
use crate::core::words::nearest;

/// How often, and after which pause, tags are searched again for an export that nobody has: AWS's index of tags lags behind by
/// seconds.
const LOOKS: usize = 3;
const BETWEEN_LOOKS: Duration = Duration::from_secs(2);

/// One export.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Export {
    /// Who exports it, in words.
    stack: String,
    value: String,
}

/// Looks for exports by their names, in the region and account that `aws` calls.
pub async fn find(aws: &Aws, names: &BTreeSet<String>) -> BTreeMap<String, Result<String, Missing>> {
    let tagged = join_all(names.iter().map(|name| of_export(aws, name)));
    let (tagged, apis, formed) = tokio::join!(tagged, super::api::tags(aws), of_cloudformation(aws));
    let mut denied: Vec<String> = Vec::new();
    let mut note = |error: &CallError| match error.is(Meaning::Denied) {
        true => denied.push(format!("{} is denied", error.operation)),
        false => denied.push(error.to_string()),
    };
    let apis = apis.inspect_err(&mut note).unwrap_or_default();
    let formed = formed.inspect_err(&mut note).unwrap_or_default();
    let mut tagged: Vec<Vec<Tags>> =
        tagged.into_iter().map(|found| found.inspect_err(&mut note).unwrap_or_default()).collect();
    let is_known = |name: &String| {
        let key = tags::export_key(name);
        formed.iter().any(|(exported, _)| exported == name) || apis.iter().any(|tags| tags.contains_key(&key))
    };
    // The stack that exports it may have come up seconds ago.
    for _ in 0..if aws.has_quotas() { LOOKS } else { 0 } {
        let missing = names.iter().zip(&mut tagged).filter(|(name, found)| found.is_empty() && !is_known(name));
        let missing: Vec<_> = missing.collect();
        if missing.is_empty() {
            break;
        }
        tokio::time::sleep(BETWEEN_LOOKS).await;
        join_all(missing.into_iter().map(|(name, found)| async move {
            *found = of_export(aws, name).await.unwrap_or_default();
        }))
        .await;
    }
    denied.sort();
    denied.dedup();
    let own = &aws.scope().stack;
    let mut answers = BTreeMap::new();
    for (name, tagged) in names.iter().zip(tagged) {
        let key = tags::export_key(name);
        let carriers: Vec<&Tags> = tagged.iter().chain(&apis).filter(|tags| is_here(aws, tags, &key)).collect();
        let answer = choose(name, &key, own, &carriers, &formed).unwrap_or_else(|| {
            let near = apis.iter().flat_map(|tags| tags.keys()).filter_map(|key| tags::export_name(key));
            let near: Vec<&str> = near.chain(formed.iter().map(|(name, _)| name.as_str())).collect();
            Err(none(aws, name, &near, &denied))
        });
        answers.insert(name.clone(), answer);
    }
    answers
}

/// Which other stacks of the region import what is exported under these keys (`tags::export_key`). Where one does it is asked
/// again: what was deleted is found by its tags for some seconds.
///
/// # Errors
/// Tags that cannot be searched.
pub async fn importers(
    aws: &Aws,
    export_keys: impl Iterator<Item = &String>,
) -> Result<BTreeMap<String, BTreeSet<String>>, CallError> {
    let mut found: BTreeMap<String, BTreeSet<String>> = export_keys.map(|key| (key.clone(), BTreeSet::new())).collect();
    if found.is_empty() {
        return Ok(found);
    }
    for look in 0..=if aws.has_quotas() { LOOKS } else { 0 } {
        if look > 0 {
            tokio::time::sleep(BETWEEN_LOOKS).await;
        }
        let apis = super::api::tags(aws).await?;
        for (export_key, stacks) in &mut found {
            let key = tags::import_key(export_key);
            let tagged = of_tagged(aws, &key).await?;
            *stacks = other_stacks(aws, tagged.iter().chain(&apis), &key);
            if !stacks.is_empty() {
                // What others export by the same name may be what is imported, and is there still.
                let exported = of_tagged(aws, export_key).await?;
                if !other_stacks(aws, exported.iter().chain(&apis), export_key).is_empty() {
                    stacks.clear();
                }
            }
        }
        if found.values().all(BTreeSet::is_empty) {
            break;
        }
    }
    Ok(found)
}

/// The other stacks of the region among those whose resources have these tags, and one with this key.
fn other_stacks<'a>(aws: &Aws, tags: impl Iterator<Item = &'a Tags>, key: &str) -> BTreeSet<String> {
    let stacks = tags.filter(|tags| is_here(aws, tags, key)).filter_map(|tags| tags.get(tags::STACK));
    stacks.filter(|stack| **stack != aws.scope().stack).cloned().collect()
}

/// The one value that is exported under a name; `None` where nobody exports it. `carriers` are the tags of what records an export
/// with this key, `formed` are CloudFormation's exports; `own` is the stack that asks.
fn choose(
    name: &str,
    key: &str,
    own: &str,
    carriers: &[&Tags],
    formed: &[(String, Export)],
) -> Option<Result<String, Missing>> {
    let is_own = |tags: &&&Tags| tags.get(tags::STACK).is_some_and(|stack| stack == own);
    let of_others = carriers.iter().filter(|tags| !is_own(tags)).filter_map(|tags| {
        let stack = format!("the wschat stack \"{}\"", tags.get(tags::STACK)?);
        Some(Export { stack, value: tags::exported(tags.get(key)?)? })
    });
    let formed = formed.iter().filter(|(exported, _)| exported == name).map(|(_, export)| export.clone());
    let found: BTreeSet<Export> = of_others.chain(formed).collect();
    match found.into_iter().collect::<Vec<_>>().as_slice() {
        [one] => Some(Ok(one.value.clone())),
        [] if carriers.iter().any(|tags| is_own(&tags)) => Some(Err(Missing {
            what: format!("\"{name}\" is exported by this stack itself"),
            help: Some("refer to the resource instead: !Ref or !GetAtt".to_owned()),
        })),
        [] => None,
        several => {
            let stacks: Vec<&str> = several.iter().map(|export| export.stack.as_str()).collect();
            Some(Err(Missing {
                what: format!("\"{name}\" is exported more than once: by {}", stacks.join(" and by ")),
                help: Some("export it by another name in one of them".to_owned()),
            }))
        }
    }
}

fn none(aws: &Aws, name: &str, known: &[&str], denied: &[String]) -> Missing {
    let scope = aws.scope();
    let what = format!("no stack in account {} ({}) exports \"{name}\"", scope.account, scope.region);
    let what = if denied.is_empty() { what } else { format!("{what}, as far as can be seen: {}", denied.join("; ")) };
    let help = match nearest(name, known) {
        Some(near) => format!("did you mean \"{near}\"?"),
        None => "deploy the stack that exports it first; what was tagged seconds ago may not be found yet".to_owned(),
    };
    Missing { what, help: Some(help) }
}

/// Whether tags are of a stack's resource in this region, and record the export with this key.
fn is_here(aws: &Aws, tags: &Tags, key: &str) -> bool {
    tags.contains_key(key) && tags.contains_key(tags::STACK) && tags.get(tags::REGION) == Some(&aws.scope().region)
}

/// The tags of what records an export of this name.
async fn of_export(aws: &Aws, name: &str) -> Result<Vec<Tags>, CallError> {
    of_tagged(aws, &tags::export_key(name)).await
}

/// The tags of what has a tag with this key. (APIs are listed, tags and all: not every service is found by its tags.)
async fn of_tagged(aws: &Aws, key: &str) -> Result<Vec<Tags>, CallError> {
    let found = tagged::search(aws, &[(key, "")]).await?;
    let is_api = |arn: &str| arn.split(':').nth(2) == Some("apigateway");
    Ok(found.into_iter().filter(|(arn, _)| !is_api(arn)).map(|(_, tags)| tags).collect())
}

/// CloudFormation's exports, as those who import them see them.
async fn of_cloudformation(aws: &Aws) -> Result<Vec<(String, Export)>, CallError> {
    let export = |one: FormedExport| {
        (one.name, Export { stack: format!("the CloudFormation stack \"{}\"", one.stack), value: one.value })
    };
    Ok(formed(aws).await?.into_iter().map(export).collect())
}

/// What a stack of CloudFormation's exports.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FormedExport {
    pub name: String,
    pub value: String,
    /// The stack's name.
    pub stack: String,
}

/// What all stacks of CloudFormation's in the account and region export.
///
/// # Errors
/// When it cannot be listed.
pub async fn formed(aws: &Aws) -> Result<Vec<FormedExport>, CallError> {
    let found = pages::all(|from| async move {
        let page = aws
            .call(AwsCall::new("cloudformation", "ListExports"), || {
                aws.cloudformation.list_exports().set_next_token(from.clone()).send()
            })
            .await?;
        Ok((page.exports, page.next_token))
    });
    let export = |one: aws_sdk_cloudformation::types::Export| {
        // arn:aws:cloudformation:REGION:ACCOUNT:stack/NAME/ID
        let id = one.exporting_stack_id.unwrap_or_default();
        let stack = id.split('/').nth(1).unwrap_or_default().to_owned();
        Some(FormedExport { name: one.name?, value: one.value?, stack })
    };
    Ok(found.await?.into_iter().filter_map(export).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_export_is_taken_from_the_one_stack_that_has_it() {
        let key = tags::export_key("table");
        let tagged = |stack: &str, value: &str| -> Tags {
            [(tags::STACK, stack), (tags::REGION, "eu-west-1"), (&key, value)]
                .map(|(key, value)| (key.to_owned(), value.to_owned()))
                .into()
        };
        let formed = |name: &str| {
            let stack = "the CloudFormation stack \"platform\"".to_owned();
            vec![(name.to_owned(), Export { stack, value: "rows".to_owned() })]
        };
        let (data, other, own) = (tagged("data", "a@20b"), tagged("other", "c"), tagged("app", "d"));
        let chosen = |carriers: &[&Tags], formed: &[(String, Export)]| choose("table", &key, "app", carriers, formed);
        let refused =
            |carriers: &[&Tags], formed: &[(String, Export)]| chosen(carriers, formed).unwrap().unwrap_err().what;
        assert_eq!(chosen(&[&data], &[]), Some(Ok("a b".to_owned())));
        // One that moved from one resource to another may be recorded on both for a moment.
        assert_eq!(chosen(&[&data, &data, &own], &formed("rows")), Some(Ok("a b".to_owned())));
        assert_eq!(chosen(&[], &formed("table")), Some(Ok("rows".to_owned())));
        assert_eq!(chosen(&[], &formed("tables")), None);
        assert_eq!(refused(&[&own], &[]), "\"table\" is exported by this stack itself");
        assert_eq!(
            refused(&[&other], &formed("table")),
            "\"table\" is exported more than once: by the CloudFormation stack \"platform\" and by the wschat stack \"other\""
        );
    }
}
