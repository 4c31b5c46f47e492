//! Puts wschat's tags on what is taken over, and its marks and records on what carries none.

use futures_util::{StreamExt, TryStreamExt, stream};

use super::AdoptError;
use crate::aws::client::Aws;
use crate::aws::providers::{Context, ResourceError, provider};
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

/// Puts the marks on.
///
/// # Errors
/// The first that was refused.
pub async fn apply(aws: &Aws, marks: &[Mark]) -> Result<(), AdoptError> {
    let silent = |_| {};
    let cx = Context { aws, note: &silent };
    each(marks, |mark| async move {
        let Some(provider) = provider(mark.live.type_name) else { return Ok(()) };
        let name = &mark.desired.logical_id;
        provider.mark(cx, &mark.live, &mark.desired).await.map_err(|error| failed(name, &mark.live, error))
    })
    .await
}

/// Takes all marks off again, to give the resources back.
///
/// # Errors
/// The first that was refused.
pub async fn take_off(aws: &Aws, live: &[Live]) -> Result<(), AdoptError> {
    let silent = |_| {};
    let cx = Context { aws, note: &silent };
    each(live, |one| async move {
        let Some(provider) = provider(one.type_name) else { return Ok(()) };
        let name = one.logical_id.as_ref().unwrap_or(&one.physical_id);
        provider.release(cx, one).await.map_err(|error| failed(name, one, error))
    })
    .await
}

fn failed(name: &str, live: &Live, error: ResourceError) -> AdoptError {
    AdoptError::Unmarked { name: name.to_owned(), id: live.physical_id.clone(), error }
}

/// Does something to each, some at once, until one fails.
async fn each<'a, T, F>(all: &'a [T], deed: impl Fn(&'a T) -> F) -> Result<(), AdoptError>
where
    F: Future<Output = Result<(), AdoptError>> + 'a,
{
    stream::iter(all).map(deed).buffer_unordered(AT_ONCE).try_collect::<Vec<()>>().await.map(drop)
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
    }
}
