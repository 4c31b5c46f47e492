//! Reads and writes `AWS::Lambda::Permission`.

use async_trait::async_trait;
use serde_json::Value;

use super::{Context, Discovery, Provider, ResourceError, gone_is_fine};
use crate::aws::client::{Aws, AwsCall, CallError};
use crate::core::types::permission::{Permission, Props, live, statement_id};
use crate::core::types::{Created, Desired, Kind, Live, foreign_permission, function};

#[async_trait]
impl Provider for Permission {
    async fn list(&self, aws: &Aws, discovery: &Discovery, parents: &[Live]) -> Result<Vec<Live>, ResourceError> {
        let search = discovery.wait().await;
        let policies = parents.iter().map(|function| async move {
            let name = function.physical_id.as_str();
            let mut found = match function.attributes.get(function::POLICY) {
                Some(policy) => read_policy(name, None, policy)?,
                None => statements(aws, name, None).await?,
            };
            if super::function::has_versions(function, search) {
                let aliases = super::alias::list(aws, name).await?;
                let of_aliases = aliases.iter().map(|alias| {
                    let (_, alias) = function::name_and_qualifier(&alias.physical_id);
                    statements(aws, name, alias)
                });
                found.extend(futures_util::future::try_join_all(of_aliases).await?.into_iter().flatten());
            }
            Ok::<_, ResourceError>(found)
        });
        let found = futures_util::future::try_join_all(policies).await?.into_iter().flatten();
        // Those are recorded by the stacks that have added them.
        Ok(found.filter(|live| !foreign_permission::is_foreign(&live.physical_id)).collect())
    }

    async fn find(&self, cx: Context<'_>, desired: &Desired) -> Result<Option<Live>, ResourceError> {
        let props: Props = desired.read()?;
        Ok(statements(cx.aws, props.function(), props.alias()).await?.into_iter().find(|live| self.is(desired, live)))
    }

    async fn create(&self, cx: Context<'_>, desired: &Desired) -> Result<Created, ResourceError> {
        let props: Props = desired.read()?;
        let id = statement_id(desired)?;
        add(cx.aws, &id, props.function(), props.alias(), &props).await?;
        Ok(Created::new(id))
    }

    async fn update(&self, cx: Context<'_>, live: &Live, desired: &Desired) -> Result<(), ResourceError> {
        // All it says is in its id, so this one was changed by hand under an id of ours.
        self.delete(cx, live).await?;
        self.create(cx, desired).await.map(drop)
    }

    async fn delete(&self, cx: Context<'_>, live: &Live) -> Result<(), ResourceError> {
        let props: Props = live.read()?;
        remove(cx.aws, &live.physical_id, props.function(), props.alias()).await?;
        Ok(())
    }
}

/// Adds the statement `id` to the policy of a function or of an alias of it.
pub(super) async fn add(
    aws: &Aws,
    id: &str,
    function: &str,
    alias: Option<&str>,
    says: &Props,
) -> Result<(), CallError> {
    aws.call(AwsCall::new("lambda", "AddPermission"), || {
        aws.lambda
            .add_permission()
            .function_name(function)
            .set_qualifier(alias.map(str::to_owned))
            .statement_id(id)
            .action(&says.action)
            .principal(&says.principal)
            .set_source_arn(says.source_arn.clone())
            .set_source_account(says.source_account.clone())
            .set_event_source_token(says.event_source_token.clone())
            .set_function_url_auth_type(says.function_url_auth_type.as_deref().map(Into::into))
            .set_invoked_via_function_url(says.invoked_via_function_url)
            .set_principal_org_id(says.principal_org_id.clone())
            .send()
    })
    .await
    .map(drop)
}

/// Removes the statement `id` from there; one that is gone already is no error.
pub(super) async fn remove(aws: &Aws, id: &str, function: &str, alias: Option<&str>) -> Result<(), CallError> {
    gone_is_fine(
        aws.call(AwsCall::new("lambda", "RemovePermission").repeatable(), || {
            aws.lambda
                .remove_permission()
                .function_name(function)
                .set_qualifier(alias.map(str::to_owned))
                .statement_id(id)
                .send()
        })
        .await,
    )
}

/// The statements in the policy of a function, or of an alias of it.
pub(super) async fn statements(aws: &Aws, function: &str, alias: Option<&str>) -> Result<Vec<Live>, ResourceError> {
    read_policy(function, alias, &super::function::policy(aws, function, alias).await?)
}

fn read_policy(function: &str, alias: Option<&str>, policy: &str) -> Result<Vec<Live>, ResourceError> {
    if policy.is_empty() {
        return Ok(Vec::new());
    }
    let policy: Value = serde_json::from_str(policy)
        .map_err(|error| ResourceError::Failed(format!("the policy of {function} is not JSON: {error}")))?;
    let statements = policy["Statement"].as_array().cloned().unwrap_or_default();
    Ok(statements.iter().map(|statement| live(function, alias, statement)).collect())
}
