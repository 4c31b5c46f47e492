//! Reads and writes `AWS::DynamoDB::Table`.

use std::collections::BTreeMap;

use async_trait::async_trait;
use aws_sdk_dynamodb::types as sdk;
use futures_util::{StreamExt, TryStreamExt, stream};

use super::tagged::to_ask;
use super::{Context, Discovery, Provider, ResourceError, built, gone_is_fine, pages};
use crate::aws::client::{Aws, AwsCall, Meaning};
use crate::core::types::table::{
    AttributeDefinition, AttributeType, BillingMode, GlobalIndex, KeyElement, KeyType, LocalIndex, PointInTimeRecovery,
    Projection, ProjectionType, Props, Sse, Stream, StreamViewType, TYPE, Table, TableClass, Throughput, TimeToLive,
};
use crate::core::types::tags::Tags;
use crate::core::types::{Created, Desired, Health, Live, Owner, tags, to_value};
use crate::core::words::Scope;

#[async_trait]
impl Provider for Table {
    async fn list(&self, aws: &Aws, discovery: &Discovery, _: &[Live]) -> Result<Vec<Live>, ResourceError> {
        let names = pages::all(|from| async move {
            let page = aws.call(AwsCall::new("dynamodb", "ListTables"), || {
                aws.dynamodb.list_tables().set_exclusive_start_table_name(from.clone()).send()
            });
            let page = page.await?;
            Ok((page.table_names, page.last_evaluated_table_name))
        });
        let (names, tagged) = tokio::join!(names, async { discovery.tagged(aws).await.ok() });
        let (names, search) = (names?, discovery.wait().await);
        let likely = |name: &str| {
            search.includes(TYPE, name)
                || tags::is_generated_name(&aws.scope().stack, name)
                || tagged.is_some_and(|tagged| tagged.includes(TYPE, name))
        };
        stream::iter(to_ask(&names, tagged, likely))
            .map(|name| (likely(&name), name))
            .map(|(likely, name)| async move {
                if likely { read(aws, &name).await } else { read_if_ours(aws, &name).await }
            })
            .buffer_unordered(16)
            .try_filter_map(|found| async move { Ok(found) })
            .try_collect()
            .await
    }

    async fn find(&self, cx: Context<'_>, desired: &Desired) -> Result<Option<Live>, ResourceError> {
        read(cx.aws, desired.name()?).await
    }

    async fn create(&self, cx: Context<'_>, desired: &Desired) -> Result<Created, ResourceError> {
        let aws = cx.aws;
        let name = desired.name()?;
        let props: Props = desired.read()?;
        let mut request = aws
            .dynamodb
            .create_table()
            .table_name(name)
            .set_attribute_definitions(Some(attribute_definitions(&props)?))
            .set_key_schema(Some(key_schema(&props.key_schema)?))
            .billing_mode(billing_mode(props.billing_mode))
            .set_provisioned_throughput(props.provisioned_throughput.map(throughput).transpose()?)
            .set_stream_specification(stream_specification(props.stream_specification)?)
            .table_class(table_class(props.table_class))
            .deletion_protection_enabled(props.deletion_protection_enabled)
            .set_tags(Some(sdk_tags(&props.tags)?));
        if props.sse_specification.enabled {
            request = request.sse_specification(sse_specification(&props.sse_specification));
        }
        for index in &props.global_secondary_indexes {
            request = request.global_secondary_indexes(built(
                sdk::GlobalSecondaryIndex::builder()
                    .index_name(&index.index_name)
                    .set_key_schema(Some(key_schema(&index.key_schema)?))
                    .projection(projection(&index.projection))
                    .set_provisioned_throughput(index.provisioned_throughput.map(throughput).transpose()?)
                    .build(),
            )?);
        }
        for index in &props.local_secondary_indexes {
            request = request.local_secondary_indexes(built(
                sdk::LocalSecondaryIndex::builder()
                    .index_name(&index.index_name)
                    .set_key_schema(Some(key_schema(&index.key_schema)?))
                    .projection(projection(&index.projection))
                    .build(),
            )?);
        }
        let answer = aws.call(AwsCall::new("dynamodb", "CreateTable"), || request.clone().send()).await?;
        let stream = answer.table_description.and_then(|table| table.latest_stream_arn);
        Ok(created(aws.scope(), name, stream))
    }

    async fn settle(&self, cx: Context<'_>, desired: &Desired, id: &str) -> Result<(), ResourceError> {
        let props: Props = desired.read()?;
        wait_until_active(cx, id).await?;
        // Time to live and point-in-time recovery can be set only on a table that is ACTIVE.
        let live = read_settings(cx.aws, id).await?;
        set_time_to_live(cx.aws, id, live.0.as_ref(), props.time_to_live_specification.as_ref()).await?;
        let recovery = props.point_in_time_recovery_specification.point_in_time_recovery_enabled;
        if recovery != live.1 {
            set_point_in_time_recovery(cx.aws, id, recovery).await?;
        }
        Ok(())
    }

    async fn record(&self, aws: &Aws, id: &str, set: Tags, removed: Vec<String>) -> Result<(), ResourceError> {
        set_tags(aws, &aws.scope().arn("dynamodb", &format!("table/{id}")), set, removed).await
    }

    async fn update(&self, cx: Context<'_>, live: &Live, desired: &Desired) -> Result<(), ResourceError> {
        self.updated(cx, live, desired).await.map(drop)
    }

    async fn updated(&self, cx: Context<'_>, live: &Live, desired: &Desired) -> Result<Created, ResourceError> {
        let aws = cx.aws;
        let name = &live.physical_id;
        let from: Props = live.read()?;
        let to: Props = desired.read()?;
        let arn = aws.scope().arn("dynamodb", &format!("table/{name}"));
        let (mut set, mut removed) = tags::difference(&from.tags, &to.tags);
        // The tag tells which key the table has been given, and so is changed after it.
        let recorded: Tags = set.remove_entry(tags::KEY).into_iter().collect();
        let forgotten: Vec<String> = removed.extract_if(.., |key| key == tags::KEY).collect();
        set_tags(aws, &arn, set, removed).await?;
        let mut stream = None;
        for change in table_changes(aws, name, &from, &to)? {
            wait_until_active(cx, name).await?;
            let answer = aws.call(AwsCall::new("dynamodb", "UpdateTable").repeatable(), || change.clone().send()).await;
            match answer {
                // "Table is already encrypted by given KMSMasterKey": another name of the key that it has.
                Err(error) if !error.message.contains("already encrypted") => return Err(error.into()),
                Err(_) => {}
                Ok(answer) => stream = answer.table_description.and_then(|table| table.latest_stream_arn).or(stream),
            }
        }
        self.settle(cx, desired, name).await?;
        set_tags(aws, &arn, recorded, forgotten).await?;
        Ok(created(aws.scope(), name, stream.or_else(|| live.attributes.get("StreamArn").cloned())))
    }

    async fn delete(&self, cx: Context<'_>, live: &Live) -> Result<(), ResourceError> {
        let aws = cx.aws;
        let name = &live.physical_id;
        gone_is_fine(
            aws.call(AwsCall::new("dynamodb", "DeleteTable").repeatable(), || {
                aws.dynamodb.delete_table().table_name(name).send()
            })
            .await,
        )?;
        // Its name is taken until it is gone.
        poll(cx, "being deleted", || async { Ok(read_status(aws, name).await?.is_none().then_some(())) }).await
    }
}

/// The requests that turn `from` into `to`. DynamoDB takes one index change, or one change of class, a request.
fn table_changes(
    aws: &Aws,
    name: &str,
    from: &Props,
    to: &Props,
) -> Result<Vec<aws_sdk_dynamodb::operation::update_table::builders::UpdateTableFluentBuilder>, ResourceError> {
    let update = || aws.dynamodb.update_table().table_name(name);
    let mut changes = Vec::new();
    let index_throughput = |index: &GlobalIndex| index.provisioned_throughput;
    let kept: Vec<_> = to
        .global_secondary_indexes
        .iter()
        .filter_map(|index| {
            let before = from.global_secondary_indexes.iter().find(|old| old.index_name == index.index_name)?;
            (before.key_schema == index.key_schema && before.projection == index.projection).then_some((before, index))
        })
        .collect();
    for index in &from.global_secondary_indexes {
        if !kept.iter().any(|(_, kept)| kept.index_name == index.index_name) {
            let delete = built(sdk::DeleteGlobalSecondaryIndexAction::builder().index_name(&index.index_name).build())?;
            changes.push(
                update()
                    .global_secondary_index_updates(sdk::GlobalSecondaryIndexUpdate::builder().delete(delete).build()),
            );
        }
    }
    if from.billing_mode != to.billing_mode || from.provisioned_throughput != to.provisioned_throughput {
        let mut change = update()
            .billing_mode(billing_mode(to.billing_mode))
            .set_provisioned_throughput(to.provisioned_throughput.map(throughput).transpose()?);
        if from.billing_mode != to.billing_mode {
            for (_, index) in &kept {
                if let Some(units) = index_throughput(index) {
                    change = change.global_secondary_index_updates(index_units(&index.index_name, units)?);
                }
            }
        }
        changes.push(change);
    }
    if from.billing_mode == to.billing_mode {
        for (before, index) in &kept {
            match index_throughput(index) {
                Some(units) if index_throughput(before) != Some(units) => {
                    changes.push(update().global_secondary_index_updates(index_units(&index.index_name, units)?));
                }
                _ => {}
            }
        }
    }
    for index in &to.global_secondary_indexes {
        if !kept.iter().any(|(_, kept)| kept.index_name == index.index_name) {
            let create = built(
                sdk::CreateGlobalSecondaryIndexAction::builder()
                    .index_name(&index.index_name)
                    .set_key_schema(Some(key_schema(&index.key_schema)?))
                    .projection(projection(&index.projection))
                    .set_provisioned_throughput(index.provisioned_throughput.map(throughput).transpose()?)
                    .build(),
            )?;
            changes.push(
                update()
                    .set_attribute_definitions(Some(attribute_definitions(to)?))
                    .global_secondary_index_updates(sdk::GlobalSecondaryIndexUpdate::builder().create(create).build()),
            );
        }
    }
    if from.stream_specification != to.stream_specification {
        if from.stream_specification.is_some() {
            changes.push(
                update().set_stream_specification(
                    stream_specification(None)?
                        .or(Some(built(sdk::StreamSpecification::builder().stream_enabled(false).build())?)),
                ),
            );
        }
        if to.stream_specification.is_some() {
            changes.push(update().set_stream_specification(stream_specification(to.stream_specification)?));
        }
    }
    if from.sse_specification != to.sse_specification {
        changes.push(update().sse_specification(sse_specification(&to.sse_specification)));
    }
    if from.table_class != to.table_class {
        changes.push(update().table_class(table_class(to.table_class)));
    }
    if from.deletion_protection_enabled != to.deletion_protection_enabled {
        changes.push(update().deletion_protection_enabled(to.deletion_protection_enabled));
    }
    Ok(changes)
}

fn index_units(name: &str, units: Throughput) -> Result<sdk::GlobalSecondaryIndexUpdate, ResourceError> {
    let update = built(
        sdk::UpdateGlobalSecondaryIndexAction::builder()
            .index_name(name)
            .provisioned_throughput(throughput(units)?)
            .build(),
    )?;
    Ok(sdk::GlobalSecondaryIndexUpdate::builder().update(update).build())
}

async fn read_if_ours(aws: &Aws, name: &str) -> Result<Option<Live>, ResourceError> {
    let found = match read_tags(aws, name).await {
        // Whoever may not see a table's tags has not made it, unless it is called like one of ours.
        Err(ResourceError::Call(error))
            if error.is(Meaning::Denied) && !tags::is_generated_name(&aws.scope().stack, name) =>
        {
            None
        }
        found => found?,
    };
    match found {
        Some(found) if tags::owner(&found, aws.scope()) == Owner::Stack => read(aws, name).await,
        _ => Ok(None),
    }
}

async fn set_tags(aws: &Aws, arn: &str, set: Tags, removed: Vec<String>) -> Result<(), ResourceError> {
    if !set.is_empty() {
        let tags = sdk_tags(&set)?;
        aws.call(AwsCall::new("dynamodb", "TagResource").repeatable(), || {
            aws.dynamodb.tag_resource().resource_arn(arn).set_tags(Some(tags.clone())).send()
        })
        .await?;
    }
    if !removed.is_empty() {
        aws.call(AwsCall::new("dynamodb", "UntagResource").repeatable(), || {
            aws.dynamodb.untag_resource().resource_arn(arn).set_tag_keys(Some(removed.clone())).send()
        })
        .await?;
    }
    Ok(())
}

async fn read(aws: &Aws, name: &str) -> Result<Option<Live>, ResourceError> {
    let (table, tags, settings) = tokio::join!(read_table(aws, name), read_tags(aws, name), read_settings(aws, name));
    let (Some(table), Some(tags)) = (table?, tags?) else { return Ok(None) };
    let tags = aws.claimed(TYPE, name, tags);
    let (time_to_live, recovery) = settings?;
    let status = table.table_status.clone();
    let props = properties(&table, time_to_live, recovery, tags::settable(tags.clone()));
    let health = match status {
        Some(sdk::TableStatus::Active) | None => Health::Ready,
        Some(sdk::TableStatus::InaccessibleEncryptionCredentials) => {
            Health::Failed("its encryption key is not accessible".to_owned())
        }
        Some(other) => Health::Busy(other.as_str().to_owned()),
    };
    let created = created(aws.scope(), name, table.latest_stream_arn);
    Ok(Some(Live {
        logical_id: tags.get(tags::LOGICAL_ID).cloned(),
        owner: tags::owner(&tags, aws.scope()),
        deletion_policy: tags::deletion_policy(&tags),
        attributes: created.attributes.into_iter().chain(tags::carried(&tags)).collect(),
        ..Live::new(TYPE, name, to_value(&props.canonical())).health(health)
    }))
}

fn properties(table: &sdk::TableDescription, time_to_live: Option<String>, recovery: bool, tags: Tags) -> Props {
    let billing_mode = match table.billing_mode_summary.as_ref().and_then(|summary| summary.billing_mode.clone()) {
        Some(sdk::BillingMode::PayPerRequest) => BillingMode::PayPerRequest,
        _ => BillingMode::Provisioned,
    };
    // An on-demand table reports units of zero, which cannot be asked for.
    let units = |units: Option<&sdk::ProvisionedThroughputDescription>| {
        units.filter(|_| billing_mode == BillingMode::Provisioned).and_then(|units| {
            Some(Throughput {
                read_capacity_units: units.read_capacity_units?,
                write_capacity_units: units.write_capacity_units?,
            })
        })
    };
    Props {
        table_name: table.table_name.clone(),
        attribute_definitions: table
            .attribute_definitions()
            .iter()
            .map(|definition| AttributeDefinition {
                attribute_name: definition.attribute_name.clone(),
                attribute_type: match definition.attribute_type {
                    sdk::ScalarAttributeType::N => AttributeType::N,
                    sdk::ScalarAttributeType::B => AttributeType::B,
                    _ => AttributeType::S,
                },
            })
            .collect(),
        key_schema: keys(table.key_schema()),
        billing_mode,
        provisioned_throughput: units(table.provisioned_throughput.as_ref()),
        global_secondary_indexes: table
            .global_secondary_indexes()
            .iter()
            .map(|index| GlobalIndex {
                index_name: index.index_name.clone().unwrap_or_default(),
                key_schema: keys(index.key_schema()),
                projection: projected(index.projection.as_ref()),
                provisioned_throughput: units(index.provisioned_throughput.as_ref()),
            })
            .collect(),
        local_secondary_indexes: table
            .local_secondary_indexes()
            .iter()
            .map(|index| LocalIndex {
                index_name: index.index_name.clone().unwrap_or_default(),
                key_schema: keys(index.key_schema()),
                projection: projected(index.projection.as_ref()),
            })
            .collect(),
        stream_specification: table
            .stream_specification
            .as_ref()
            .filter(|stream| stream.stream_enabled)
            .and_then(|stream| stream.stream_view_type.clone())
            .map(|view| Stream {
                stream_view_type: match view {
                    sdk::StreamViewType::KeysOnly => StreamViewType::KeysOnly,
                    sdk::StreamViewType::NewImage => StreamViewType::NewImage,
                    sdk::StreamViewType::OldImage => StreamViewType::OldImage,
                    _ => StreamViewType::NewAndOldImages,
                },
            }),
        sse_specification: table.sse_description.as_ref().map_or_else(Sse::default, |sse| Sse {
            enabled: matches!(
                sse.status,
                Some(sdk::SseStatus::Enabled | sdk::SseStatus::Enabling | sdk::SseStatus::Updating)
            ),
            sse_type: None,
            key: Sse::read_key(sse.kms_master_key_arn.as_deref(), tags.get(tags::KEY).map(String::as_str)),
        }),
        time_to_live_specification: time_to_live
            .map(|attribute| TimeToLive { attribute_name: Some(attribute), enabled: true }),
        point_in_time_recovery_specification: PointInTimeRecovery { point_in_time_recovery_enabled: recovery },
        deletion_protection_enabled: table.deletion_protection_enabled.unwrap_or(false),
        table_class: match table.table_class_summary.as_ref().and_then(|summary| summary.table_class.clone()) {
            Some(sdk::TableClass::StandardInfrequentAccess) => TableClass::InfrequentAccess,
            _ => TableClass::Standard,
        },
        tags,
    }
}

fn keys(elements: &[sdk::KeySchemaElement]) -> Vec<KeyElement> {
    elements
        .iter()
        .map(|element| KeyElement {
            attribute_name: element.attribute_name.clone(),
            key_type: if element.key_type == sdk::KeyType::Range { KeyType::Range } else { KeyType::Hash },
            attribute_type: None,
        })
        .collect()
}

fn projected(projection: Option<&sdk::Projection>) -> Projection {
    let projection_type = match projection.and_then(|projection| projection.projection_type.clone()) {
        Some(sdk::ProjectionType::KeysOnly) => ProjectionType::KeysOnly,
        Some(sdk::ProjectionType::Include) => ProjectionType::Include,
        _ => ProjectionType::All,
    };
    let non_key_attributes = projection.map(|projection| projection.non_key_attributes().to_vec());
    Projection { projection_type, non_key_attributes: non_key_attributes.unwrap_or_default() }
}

async fn read_table(aws: &Aws, name: &str) -> Result<Option<sdk::TableDescription>, ResourceError> {
    let answer = aws
        .call(AwsCall::new("dynamodb", "DescribeTable"), || aws.dynamodb.describe_table().table_name(name).send())
        .await;
    match answer {
        Ok(answer) => Ok(answer.table),
        Err(error) if error.is(Meaning::NotFound) => Ok(None),
        Err(error) => Err(error.into()),
    }
}

async fn read_status(aws: &Aws, name: &str) -> Result<Option<sdk::TableStatus>, ResourceError> {
    Ok(read_table(aws, name).await?.and_then(|table| table.table_status))
}

async fn read_tags(aws: &Aws, name: &str) -> Result<Option<Tags>, ResourceError> {
    let arn = aws.scope().arn("dynamodb", &format!("table/{name}"));
    let mut tags = Tags::new();
    let mut from = None;
    loop {
        let answer = aws
            .call(AwsCall::new("dynamodb", "ListTagsOfResource"), || {
                aws.dynamodb.list_tags_of_resource().resource_arn(&arn).set_next_token(from.clone()).send()
            })
            .await;
        let page = match answer {
            Ok(page) => page,
            Err(error) if error.is(Meaning::NotFound) => return Ok(None),
            // So it answers for a table that is not there, or no longer.
            Err(error) if error.is(Meaning::Denied) => match read_table(aws, name).await? {
                Some(_) => return Err(error.into()),
                None => return Ok(None),
            },
            Err(error) => return Err(error.into()),
        };
        tags.extend(page.tags.unwrap_or_default().into_iter().map(|tag| (tag.key, tag.value)));
        from = page.next_token;
        if from.is_none() {
            return Ok(Some(tags));
        }
    }
}

/// The attribute that time to live goes by, and whether point-in-time recovery is on.
async fn read_settings(aws: &Aws, name: &str) -> Result<(Option<String>, bool), ResourceError> {
    let time_to_live = aws.call(AwsCall::new("dynamodb", "DescribeTimeToLive"), || {
        aws.dynamodb.describe_time_to_live().table_name(name).send()
    });
    let backups = aws.call(AwsCall::new("dynamodb", "DescribeContinuousBackups"), || {
        aws.dynamodb.describe_continuous_backups().table_name(name).send()
    });
    let (time_to_live, backups) = tokio::join!(time_to_live, backups);
    let attribute = match time_to_live {
        Ok(answer) => answer
            .time_to_live_description
            .filter(|ttl| {
                matches!(
                    ttl.time_to_live_status,
                    Some(sdk::TimeToLiveStatus::Enabled | sdk::TimeToLiveStatus::Enabling)
                )
            })
            .and_then(|ttl| ttl.attribute_name),
        Err(error) if error.is(Meaning::NotFound) => None,
        Err(error) => return Err(error.into()),
    };
    let recovery = match backups {
        Ok(answer) => answer
            .continuous_backups_description
            .and_then(|backups| backups.point_in_time_recovery_description)
            .and_then(|recovery| recovery.point_in_time_recovery_status)
            .is_some_and(|status| status == sdk::PointInTimeRecoveryStatus::Enabled),
        // A table that is still being made has none: TableNotFoundException.
        Err(error) if error.is(Meaning::NotFound) || error.code == "TableNotFoundException" => false,
        Err(error) => return Err(error.into()),
    };
    Ok((attribute, recovery))
}

async fn set_time_to_live(
    aws: &Aws,
    name: &str,
    from: Option<&String>,
    to: Option<&TimeToLive>,
) -> Result<(), ResourceError> {
    let to = to.and_then(|ttl| ttl.attribute_name.as_ref());
    if from == to {
        return Ok(());
    }
    // Another attribute: the old one is switched off first.
    for (attribute, enabled) in from.map(|name| (name, false)).into_iter().chain(to.map(|name| (name, true))) {
        let specification =
            built(sdk::TimeToLiveSpecification::builder().attribute_name(attribute).enabled(enabled).build())?;
        let answer = aws.call(AwsCall::new("dynamodb", "UpdateTimeToLive").repeatable(), || {
            aws.dynamodb.update_time_to_live().table_name(name).time_to_live_specification(specification.clone()).send()
        });
        match answer.await {
            // "TimeToLive is already enabled": an earlier try did it, and its answer was lost.
            Err(error) if !error.message.contains("is already") => return Err(error.into()),
            _ => {}
        }
    }
    Ok(())
}

async fn set_point_in_time_recovery(aws: &Aws, name: &str, enabled: bool) -> Result<(), ResourceError> {
    let specification =
        built(sdk::PointInTimeRecoverySpecification::builder().point_in_time_recovery_enabled(enabled).build())?;
    aws.call(AwsCall::new("dynamodb", "UpdateContinuousBackups").repeatable(), || {
        aws.dynamodb
            .update_continuous_backups()
            .table_name(name)
            .point_in_time_recovery_specification(specification.clone())
            .send()
    })
    .await?;
    Ok(())
}

async fn wait_until_active(cx: Context<'_>, name: &str) -> Result<(), ResourceError> {
    poll(cx, "CREATING or UPDATING", || async {
        match read_table(cx.aws, name).await? {
            None => Err(ResourceError::Failed(format!("the table {name} is gone"))),
            Some(table) => {
                let indexes_done = table
                    .global_secondary_indexes()
                    .iter()
                    .all(|index| matches!(index.index_status, Some(sdk::IndexStatus::Active) | None));
                Ok((table.table_status == Some(sdk::TableStatus::Active) && indexes_done).then_some(()))
            }
        }
    })
    .await
}

async fn poll<T, F>(cx: Context<'_>, state: &str, ready: impl Fn() -> F) -> Result<T, ResourceError>
where
    F: Future<Output = Result<Option<T>, ResourceError>>,
{
    super::wait::until(cx, super::wait::TABLE, state, ready).await
}

fn created(scope: &Scope, name: &str, stream: Option<String>) -> Created {
    let mut attributes: BTreeMap<String, String> = [("Ref".to_owned(), name.to_owned())].into();
    attributes.insert("Arn".to_owned(), scope.arn("dynamodb", &format!("table/{name}")));
    attributes.extend(stream.map(|arn| ("StreamArn".to_owned(), arn)));
    Created { physical_id: name.to_owned(), attributes, ..Created::default() }
}

fn attribute_definitions(props: &Props) -> Result<Vec<sdk::AttributeDefinition>, ResourceError> {
    let definition = |definition: &AttributeDefinition| {
        built(
            sdk::AttributeDefinition::builder()
                .attribute_name(&definition.attribute_name)
                .attribute_type(match definition.attribute_type {
                    AttributeType::S => sdk::ScalarAttributeType::S,
                    AttributeType::N => sdk::ScalarAttributeType::N,
                    AttributeType::B => sdk::ScalarAttributeType::B,
                })
                .build(),
        )
    };
    props.attribute_definitions.iter().map(definition).collect()
}

fn key_schema(keys: &[KeyElement]) -> Result<Vec<sdk::KeySchemaElement>, ResourceError> {
    let element = |key: &KeyElement| {
        let key_type = if key.key_type == KeyType::Range { sdk::KeyType::Range } else { sdk::KeyType::Hash };
        built(sdk::KeySchemaElement::builder().attribute_name(&key.attribute_name).key_type(key_type).build())
    };
    keys.iter().map(element).collect()
}

fn projection(projection: &Projection) -> sdk::Projection {
    let names = (!projection.non_key_attributes.is_empty()).then(|| projection.non_key_attributes.clone());
    sdk::Projection::builder()
        .projection_type(match projection.projection_type {
            ProjectionType::All => sdk::ProjectionType::All,
            ProjectionType::KeysOnly => sdk::ProjectionType::KeysOnly,
            ProjectionType::Include => sdk::ProjectionType::Include,
        })
        .set_non_key_attributes(names)
        .build()
}

fn throughput(units: Throughput) -> Result<sdk::ProvisionedThroughput, ResourceError> {
    built(
        sdk::ProvisionedThroughput::builder()
            .read_capacity_units(units.read_capacity_units)
            .write_capacity_units(units.write_capacity_units)
            .build(),
    )
}

fn stream_specification(stream: Option<Stream>) -> Result<Option<sdk::StreamSpecification>, ResourceError> {
    let specification = |stream: Stream| {
        built(
            sdk::StreamSpecification::builder()
                .stream_enabled(true)
                .stream_view_type(match stream.stream_view_type {
                    StreamViewType::KeysOnly => sdk::StreamViewType::KeysOnly,
                    StreamViewType::NewImage => sdk::StreamViewType::NewImage,
                    StreamViewType::OldImage => sdk::StreamViewType::OldImage,
                    StreamViewType::NewAndOldImages => sdk::StreamViewType::NewAndOldImages,
                })
                .build(),
        )
    };
    stream.map(specification).transpose()
}

/// `SSEEnabled` is the API's `Enabled`; leaving it out would silently lower the encryption.
fn sse_specification(sse: &Sse) -> sdk::SseSpecification {
    sdk::SseSpecification::builder()
        .enabled(sse.enabled)
        .set_sse_type(sse.sse_type.map(|_| sdk::SseType::Kms))
        .set_kms_master_key_id(sse.key.clone())
        .build()
}

fn billing_mode(mode: BillingMode) -> sdk::BillingMode {
    match mode {
        BillingMode::Provisioned => sdk::BillingMode::Provisioned,
        BillingMode::PayPerRequest => sdk::BillingMode::PayPerRequest,
    }
}

fn table_class(class: TableClass) -> sdk::TableClass {
    match class {
        TableClass::Standard => sdk::TableClass::Standard,
        TableClass::InfrequentAccess => sdk::TableClass::StandardInfrequentAccess,
    }
}

fn sdk_tags(tags: &Tags) -> Result<Vec<sdk::Tag>, ResourceError> {
    tags.iter().map(|(key, value)| built(sdk::Tag::builder().key(key).value(value).build())).collect()
}
