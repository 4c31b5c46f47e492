//! Reads and writes `wschat::Lambda::Permission`.

use std::collections::BTreeMap;

use async_trait::async_trait;

use super::{Context, Discovery, Provider, ResourceError, gone_is_fine};
use crate::aws::client::{Aws, Meaning};
use crate::core::types::foreign_permission::{ForeignPermission, Props, key, live};
use crate::core::types::tags::Tags;
use crate::core::types::{Created, Desired, Live, tags};

#[async_trait]
impl Provider for ForeignPermission {
    async fn list(&self, aws: &Aws, _: &Discovery, parents: &[Live]) -> Result<Vec<Live>, ResourceError> {
        let mut recorded: BTreeMap<&str, Vec<(&str, &str, &str)>> = BTreeMap::new();
        for api in parents {
            for (key, record) in &api.attributes {
                let Some(id) = key.strip_prefix(tags::PERMISSION) else { continue };
                let (function, policy) = record.split_once(' ').unwrap_or((record, ""));
                recorded.entry(function).or_default().push((&api.physical_id, id, policy));
            }
        }
        let found = recorded.into_iter().map(|(function, records)| async move {
            let there = match super::permission::statements(aws, function, None).await {
                Ok(there) => there,
                // A function that AWS will not speak of has no statement as far as the stack can tell.
                Err(ResourceError::Call(error)) if error.is(Meaning::Refused) || error.is(Meaning::Denied) => {
                    Vec::new()
                }
                Err(error) => return Err(error),
            };
            Ok::<_, ResourceError>(
                records
                    .into_iter()
                    .map(move |(api, id, policy)| {
                        let statement =
                            there.iter().find(|live| live.physical_id == id).map(|live| live.properties.clone());
                        live(api, function, id, policy, statement)
                    })
                    .collect::<Vec<_>>(),
            )
        });
        Ok(futures_util::future::try_join_all(found).await?.into_iter().flatten().collect())
    }

    async fn find(&self, cx: Context<'_>, desired: &Desired) -> Result<Option<Live>, ResourceError> {
        let props: Props = desired.read()?;
        let id = props.id(&desired.logical_id);
        let there = super::permission::statements(cx.aws, &props.function_name, None).await?;
        let found = there.into_iter().find(|live| live.physical_id == id);
        Ok(found.map(|found| {
            live(&props.api_id, &props.function_name, &id, &props.deletion_policy, Some(found.properties))
        }))
    }

    async fn create(&self, cx: Context<'_>, desired: &Desired) -> Result<Created, ResourceError> {
        let props: Props = desired.read()?;
        let id = props.id(&desired.logical_id);
        let record = Tags::from([(key(&id), props.record())]);
        super::gateway_tags::set_own_tags(cx.aws, &props.api_id, record, Vec::new()).await?;
        let error = match super::permission::add(cx.aws, &id, &props.function_name, None, &props.statement()).await {
            Ok(()) => return Ok(Created::new(id)),
            Err(error) => error,
        };
        if [Meaning::NotFound, Meaning::Refused, Meaning::Denied].iter().any(|meaning| error.is(*meaning)) {
            // Nothing was added, so there is nothing to record. A record that stays is removed by the next run.
            let _ = super::gateway_tags::set_own_tags(cx.aws, &props.api_id, Tags::new(), vec![key(&id)]).await;
        }
        // This run makes no such function, so there is nothing to wait for.
        if error.is(Meaning::NotFound) {
            let function = &props.function_name;
            return Err(ResourceError::Failed(format!(
                "{function} is not in this template, and must exist before: {error}"
            )));
        }
        Err(error.into())
    }

    async fn update(&self, cx: Context<'_>, live: &Live, desired: &Desired) -> Result<(), ResourceError> {
        let (from, to): (Props, Props) = (live.read()?, desired.read()?);
        if from.statement() == to.statement() {
            let record = Tags::from([(key(&live.physical_id), to.record())]);
            super::gateway_tags::set_own_tags(cx.aws, &to.api_id, record, Vec::new()).await?;
            return Ok(());
        }
        // It was changed or removed by hand; or it is to be as it was read before a run, which may be: not there.
        super::permission::remove(cx.aws, &live.physical_id, &to.function_name, None).await?;
        if to.action.is_some() {
            self.create(cx, desired).await?;
        }
        Ok(())
    }

    async fn delete(&self, cx: Context<'_>, live: &Live) -> Result<(), ResourceError> {
        let props: Props = live.read()?;
        match super::permission::remove(cx.aws, &live.physical_id, &props.function_name, None).await {
            // It was not there when it was read either, and AWS will not speak of the function.
            Err(error) if props.action.is_none() && error.is(Meaning::Refused) => {}
            removed => removed?,
        }
        gone_is_fine(
            super::gateway_tags::set_own_tags(cx.aws, &props.api_id, Tags::new(), vec![key(&live.physical_id)]).await,
        )?;
        Ok(())
    }
}
