//! Names and tag keys that were secrets when an earlier run gave them.

use serde_json::Value;

use crate::core::stack::{Secrets, Stack};
use crate::core::types::Live;

/// What must not be shown of a stack and of what AWS has of it: the stack's secrets, and what AWS has in their place. A
/// parameter's earlier value is known nowhere; but where a name or tag key is secret now, the one before was, too.
pub fn secrets(stack: &Stack, live: &[Live]) -> Secrets {
    let mut secrets = stack.secrets.clone();
    if stack.secrets.is_empty() {
        return secrets;
    }
    for live in live {
        let wanted = live.logical_id.as_ref().and_then(|id| stack.resources.get(id));
        let Some(wanted) = wanted.filter(|wanted| wanted.kind.type_name() == live.type_name) else { continue };
        if wanted.name.as_ref().is_some_and(|name| stack.secrets.are_in(name)) {
            secrets.add(&live.physical_id.as_str().into());
        }
        let keys = |properties: &Value| -> Vec<String> {
            properties["Tags"].as_object().into_iter().flat_map(|tags| tags.keys().cloned()).collect()
        };
        let now = keys(&wanted.properties);
        if now.iter().any(|key| stack.secrets.are_in(key)) {
            let gone =
                keys(&live.properties).into_iter().filter(|key| !now.contains(key) && !key.starts_with("wschat:"));
            gone.for_each(|key| secrets.add(&key.into()));
        }
    }
    secrets
}
