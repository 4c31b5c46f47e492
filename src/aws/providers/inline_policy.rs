//! Reads and writes `AWS::IAM::Policy`.

use async_trait::async_trait;

use super::{Context, Discovery, Provider, ResourceError, Search};
use crate::aws::client::Aws;
use crate::core::types::inline_policy::{InlinePolicy, Props, live};
use crate::core::types::role::Policy;
use crate::core::types::{Created, Desired, Live, ResourceView, role};
use crate::core::words::Scope;

#[async_trait]
impl Provider for InlinePolicy {
    async fn list(&self, _: &Aws, discovery: &Discovery, parents: &[Live]) -> Result<Vec<Live>, ResourceError> {
        let search = discovery.wait().await;
        let mut found: Vec<(&String, Props)> = Vec::new();
        for ((role, name), logical_id) in &search.inline_policies {
            let document = parents
                .iter()
                .find(|parent| parent.physical_id == *role)
                .and_then(|parent| parent.attributes.get(&role::policy_attribute(name)));
            let Some(document) = document else { continue };
            let document = super::document(document)?;
            match found.iter_mut().find(|(id, known)| *id == logical_id && known.policy_document == document) {
                Some((_, known)) => {
                    known.roles.insert(role.clone());
                }
                None => found.push((
                    logical_id,
                    Props { policy_name: name.clone(), policy_document: document, roles: [role.clone()].into() },
                )),
            }
        }
        Ok(found.iter().map(|(id, props)| Live { logical_id: Some((*id).clone()), ..live(props) }).collect())
    }

    fn seek(&self, it: &ResourceView<'_>, _: &Scope, search: &mut Search) {
        let key = |role: &str| (role.to_owned(), it.text("PolicyName").to_owned());
        search.inline_policies.extend(it.texts("Roles").map(|role| (key(role), it.logical_id.to_owned())));
    }

    async fn find(&self, _: Context<'_>, _: &Desired) -> Result<Option<Live>, ResourceError> {
        // Putting a policy again puts it once: there is nothing to look for.
        Ok(None)
    }

    async fn create(&self, cx: Context<'_>, desired: &Desired) -> Result<Created, ResourceError> {
        let props: Props = desired.read()?;
        let policy = Policy { policy_name: props.policy_name.clone(), policy_document: props.policy_document.clone() };
        for role in &props.roles {
            super::role::put_policy(cx.aws, role, &policy).await?;
        }
        Ok(Created::from(live(&props)))
    }

    async fn update(&self, cx: Context<'_>, live: &Live, desired: &Desired) -> Result<(), ResourceError> {
        let from: Props = live.read()?;
        let to: Props = desired.read()?;
        self.create(cx, desired).await?;
        for role in from.roles.difference(&to.roles) {
            super::role::delete_policy(cx.aws, role, &from.policy_name).await?;
        }
        Ok(())
    }

    async fn delete(&self, cx: Context<'_>, live: &Live) -> Result<(), ResourceError> {
        let props: Props = live.read()?;
        for role in &props.roles {
            super::role::delete_policy(cx.aws, role, &props.policy_name).await?;
        }
        Ok(())
    }
}
