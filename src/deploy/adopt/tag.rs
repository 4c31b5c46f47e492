//! Puts wschat's tags on what is taken over, and its marks and records on what carries none.

use futures_util::{StreamExt, TryStreamExt, stream};

use super::AdoptError;
use crate::aws::client::Aws;
use crate::aws::providers::{Context, provider};
use crate::core::plan::{Action, Plan};
use crate::core::types::cloud_control::record::RECORD;
use crate::core::types::{self, Desired, Live, tags};

/// How many resources are tagged at once.
const AT_ONCE: usize = 8;

/// One resource, and what it is to carry.
#[derive(Debug, Clone)]
pub struct Mark {
    pub live: Live,
    pub desired: Desired,
}

/// What is to be done to each resource of a plan, and to the snapshots that serve. Doing it twice is doing it once.
pub fn marks(plan: &Plan, snapshots: &[(Live, Desired)]) -> Vec<Mark> {
    let kept = plan.steps.iter().filter(|step| matches!(step.action, Action::Keep | Action::Update));
    let tagged = kept.filter_map(|step| {
        let (kind, live, desired) = (step.kind()?, step.live.as_ref()?, step.desired.as_ref()?);
        (kind.taggable() || kind.is_recorded()).then(|| mark(kind, live, desired))
    });
    // Their descriptions are the users'; what is written is the digest behind it.
    let marked = snapshots.iter().map(|(live, desired)| {
        let mut desired = desired.clone();
        desired.properties["Description"] = live.properties["Description"].clone();
        Mark { live: live.clone(), desired }
    });
    tagged.chain(marked).collect()
}

/// A live resource with wschat's tags or record, and all else as it is.
fn mark(kind: &dyn types::Kind, live: &Live, desired: &Desired) -> Mark {
    let mut from = live.clone();
    let mut properties = live.properties.clone();
    if kind.taggable() {
        let ours = |key: &String| key.starts_with("wschat:") && !tags::is_record(key);
        let wanted = desired.properties["Tags"].as_object().cloned().unwrap_or_default();
        if let Some(there) = from.properties["Tags"].as_object_mut() {
            there.retain(|key, _| !ours(key));
        }
        for (key, value) in wanted.into_iter().filter(|(key, _)| ours(key)) {
            properties["Tags"][key] = value;
        }
    } else {
        properties[RECORD] = desired.properties[RECORD].clone();
    }
    Mark { live: from, desired: Desired { name: Some(live.physical_id.clone()), properties, ..desired.clone() } }
}

/// The same resources without wschat's tags, to give them back.
pub fn unmarks(live: &[Live]) -> Vec<Mark> {
    let tagged = live.iter().filter(|one| types::kind(one.type_name).is_some_and(|kind| kind.taggable()));
    tagged.map(|one| Mark { live: one.without_records(), desired: one.unmarked() }).collect()
}

/// Makes the calls; `told` hears of each resource that is done.
///
/// # Errors
/// The first that was refused.
pub async fn apply(aws: &Aws, marks: &[Mark], told: &(dyn Fn(&Mark) + Send + Sync)) -> Result<(), AdoptError> {
    stream::iter(marks)
        .map(|mark| async move {
            let Some(provider) = provider(mark.live.type_name) else { return Ok(()) };
            let silent = |_| {};
            let cx = Context { aws, note: &silent };
            provider.update(cx, &mark.live, &mark.desired).await.map_err(|error| AdoptError::Unmarked {
                name: mark.desired.logical_id.clone(),
                id: mark.live.physical_id.clone(),
                error,
            })?;
            told(mark);
            Ok(())
        })
        .buffer_unordered(AT_ONCE)
        .try_collect::<Vec<()>>()
        .await
        .map(drop)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::core::plan::Step;
    use crate::core::types::table;

    #[test]
    fn nothing_but_tags_of_wschat_is_changed() {
        let tags = json!({"team": "blue", "wschat:stack": "chat"});
        let live = Live::new(table::TYPE, "chat-Table-AB12", json!({"BillingMode": "PROVISIONED", "Tags": tags}));
        let desired = Desired {
            logical_id: "Table".to_owned(),
            name: Some("chat-Table-AB12".to_owned()),
            properties: json!({"BillingMode": "PAY_PER_REQUEST", "Tags": {"team": "red", "wschat:stack": "chat", "wschat:logical-id": "Table"}}),
            code: None,
        };
        let step = Step { desired: Some(desired), ..Step::on(&live, Action::Update) };
        let marks = marks(&Plan { steps: vec![step], ..Plan::default() }, &[]);
        assert_eq!(marks.len(), 1);
        assert_eq!(marks[0].live.properties, json!({"BillingMode": "PROVISIONED", "Tags": {"team": "blue"}}));
        assert_eq!(
            marks[0].desired.properties,
            json!({"BillingMode": "PROVISIONED", "Tags": {"team": "blue", "wschat:stack": "chat", "wschat:logical-id": "Table"}})
        );
        let back = unmarks(&[live]);
        assert_eq!(back[0].desired.properties["Tags"], json!({"team": "blue"}));
    }
}
