//! `AWS::IAM::Policy`: an inline policy on one or more roles.

use std::collections::BTreeSet;

use async_trait::async_trait;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::role::{self, Policy};
use super::{Attribute, Context, Created, Kind, Live, Provider, ResourceError, Sought, Want, canonical, to_value};
use crate::aws::Aws;
use crate::core::iam::document::Document;
use crate::core::iam::grammar::{self, Purpose};
use crate::core::words::{Problem, Scope};

pub const TYPE: &str = "AWS::IAM::Policy";

/// An inline policy that the template describes apart from its roles.
pub struct InlinePolicy;

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Props {
    policy_name: String,
    policy_document: Document,
    roles: BTreeSet<String>,
}

impl Kind for InlinePolicy {
    fn type_name(&self) -> &'static str {
        TYPE
    }

    fn canonical(&self, properties: &Value) -> Result<Value, Vec<Problem>> {
        let documents = grammar::check(properties, "PolicyDocument", Purpose::Inline);
        grammar::with(canonical::<Props>(properties), documents)
    }

    fn not_yet(&self) -> &'static [&'static str] {
        &["Groups", "Users"]
    }

    fn create_only(&self) -> &'static [&'static str] {
        &["PolicyName"]
    }

    fn hard(&self) -> &'static [&'static str] {
        &["Roles"]
    }

    fn attribute(&self, _: &Scope, _: Option<&str>, attribute: Option<&str>) -> Attribute {
        match attribute {
            None => Attribute::Minted,
            Some(_) => Attribute::Unknown(&[]),
        }
    }
}

#[async_trait]
impl Provider for InlinePolicy {
    fn parent(&self) -> Option<&'static str> {
        Some(role::TYPE)
    }

    fn is(&self, want: &Want, live: &Live) -> bool {
        want.properties["PolicyName"] == live.properties["PolicyName"]
            && want.logical_id == live.logical_id.as_deref().unwrap_or(&want.logical_id)
    }

    async fn list(&self, _: &Aws, sought: &Sought, parents: &[Live]) -> Result<Vec<Live>, ResourceError> {
        let search = sought.wait().await;
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

    async fn find(&self, _: Context<'_>, _: &Want) -> Result<Option<Live>, ResourceError> {
        // Putting a policy again puts it once: there is nothing to look for.
        Ok(None)
    }

    async fn create(&self, cx: Context<'_>, want: &Want) -> Result<Created, ResourceError> {
        let props: Props = want.read()?;
        let policy = Policy { policy_name: props.policy_name.clone(), policy_document: props.policy_document.clone() };
        for role in &props.roles {
            role::put_policy(cx.aws, role, &policy).await?;
        }
        Ok(Created::from(live(&props)))
    }

    async fn update(&self, cx: Context<'_>, live: &Live, want: &Want) -> Result<(), ResourceError> {
        let from: Props = live.read()?;
        let to: Props = want.read()?;
        self.create(cx, want).await?;
        for role in from.roles.difference(&to.roles) {
            role::delete_policy(cx.aws, role, &from.policy_name).await?;
        }
        Ok(())
    }

    async fn delete(&self, cx: Context<'_>, live: &Live) -> Result<(), ResourceError> {
        let props: Props = live.read()?;
        for role in &props.roles {
            role::delete_policy(cx.aws, role, &props.policy_name).await?;
        }
        Ok(())
    }
}

fn live(props: &Props) -> Live {
    let live = Live::new(TYPE, &props.policy_name, to_value(props));
    Live { parent: props.roles.first().cloned(), ..live }
}
