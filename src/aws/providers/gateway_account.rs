//! Reads and writes `AWS::ApiGateway::Account`.

use std::collections::BTreeSet;
use std::time::Duration;

use async_trait::async_trait;
use tokio::time::Instant;

use super::account;
use super::{Context, Discovery, Provider, ResourceError, Search};
use crate::aws::client::{Aws, Meaning};
use crate::core::types::gateway_account::{Account, ID, OTHERS, Props, ROLE, TYPE, live};
use crate::core::types::{Created, Desired, Live, Owner, role};
use crate::core::words::Scope;

/// How long API Gateway is given until it can assume a new role.
const ASSUMABLE: Duration = Duration::from_secs(180);

#[async_trait]
impl Provider for Account {
    async fn list(&self, aws: &Aws, discovery: &Discovery, _: &[Live]) -> Result<Vec<Live>, ResourceError> {
        // It is no stack's, so only who describes it asks.
        if !discovery.wait().await.names.contains_key(TYPE) {
            return Ok(Vec::new());
        }
        Ok(read(aws).await?.into_iter().collect())
    }

    fn settle_reading(&self, found: &mut Vec<Live>, _: &Scope, _: &Search) {
        let roles: BTreeSet<String> = found
            .iter()
            .filter(|live| live.type_name == role::TYPE && live.owner == Owner::Stack)
            .map(|live| live.physical_id.clone())
            .collect();
        for account in found.iter_mut().filter(|live| live.type_name == TYPE) {
            let name = account.properties[ROLE].as_str().and_then(|arn| arn.rsplit('/').next());
            if !name.is_some_and(|name| roles.contains(name)) {
                account.properties[OTHERS] = true.into();
            }
        }
    }

    async fn find(&self, cx: Context<'_>, desired: &Desired) -> Result<Option<Live>, ResourceError> {
        let same = |live: &Live| live.properties[ROLE] == desired.properties[ROLE];
        Ok(read(cx.aws).await?.filter(same))
    }

    async fn create(&self, cx: Context<'_>, desired: &Desired) -> Result<Created, ResourceError> {
        set(cx, desired).await?;
        Ok(Created::new(ID))
    }

    async fn update(&self, cx: Context<'_>, _: &Live, desired: &Desired) -> Result<(), ResourceError> {
        set(cx, desired).await
    }

    async fn delete(&self, cx: Context<'_>, live: &Live) -> Result<(), ResourceError> {
        match live.properties[ROLE].as_str() {
            Some(role) => Ok(account::release(cx.aws, role).await?),
            None => Ok(()),
        }
    }
}

async fn read(aws: &Aws) -> Result<Option<Live>, ResourceError> {
    let role = account::read(aws).await?.and_then(|account| account.cloudwatch_role_arn);
    Ok(role.filter(|role| !role.is_empty()).map(|role| live(&role)))
}

/// Sets the role; API Gateway refuses one that it cannot assume yet.
async fn set(cx: Context<'_>, desired: &Desired) -> Result<(), ResourceError> {
    let Props { role } = desired.read()?;
    let begun = Instant::now();
    loop {
        let error = match account::set_log_role(cx.aws, role.as_deref().unwrap_or_default()).await {
            Ok(()) => return Ok(()),
            Err(error) => error,
        };
        let is_fresh =
            || role.as_ref().is_some_and(|role| cx.aws.propagation.age(role).is_some_and(|age| age < ASSUMABLE));
        let is_early = error.is(Meaning::Refused) && error.message.to_lowercase().contains("role");
        if !is_early || !is_fresh() || begun.elapsed() > ASSUMABLE {
            return Err(error.into());
        }
        (cx.note)(format!("waiting (AWS: {})", error.message));
        tokio::time::sleep(Duration::from_secs(2)).await;
    }
}
