//! `AWS::Lambda::Permission` on a function that the template does not describe: another stack's, or one made by hand.
//!
//! The function is not changed, but for this one statement in its policy, and it carries no tag of ours. So the API of the
//! template records the statement in a tag of its own, from before it is added until after it is removed: reading the
//! stack finds it again without a template, wherever a run was stopped.

use std::collections::BTreeMap;

use async_trait::async_trait;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::tags::{self, Tags};
use super::{
    Attribute, Context, Created, Kind, Live, Provider, ResourceError, Sought, Want, api, canonical, gone_is_fine,
    permission, to_value,
};
use crate::aws::{Aws, Meaning};
use crate::core::words::{DeletionPolicy, Problem, Scope};

/// The type's name. No template has it: there it is an `AWS::Lambda::Permission` like the others.
pub const TYPE: &str = "wschat::Lambda::Permission";

/// The property that the plan puts in: the deletion policy, which the record keeps.
pub const POLICY: &str = "DeletionPolicy";

/// What stands between the logical id and the digest in a statement's id: the stack that has the function leaves such
/// statements alone.
const MIDDLE: &str = "-foreign";

/// A right to invoke a function that is not the stack's.
pub struct ForeignPermission;

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Props {
    /// The API that records it.
    api_id: String,
    /// The function as the template names it: `NAME`, `NAME:ALIAS` or an ARN.
    function_name: String,
    /// None, and no principal, where the statement is recorded and not there.
    action: Option<String>,
    principal: Option<String>,
    source_arn: Option<String>,
    source_account: Option<String>,
    #[serde(default)]
    deletion_policy: String,
}

impl Props {
    /// What the statement says.
    fn statement(&self) -> permission::Props {
        permission::Props {
            function_name: self.function_name.clone(),
            action: self.action.clone().unwrap_or_default(),
            principal: self.principal.clone().unwrap_or_default(),
            source_arn: self.source_arn.clone(),
            source_account: self.source_account.clone(),
        }
    }

    /// The id of the statement. The API's id is part of what it is made of: two stacks may say the same of one function.
    fn id(&self, logical_id: &str) -> String {
        permission::id_of(logical_id, MIDDLE, &to_value(&(&self.api_id, self.statement())))
    }

    fn record(&self) -> String {
        format!("{} {}", self.function_name, self.deletion_policy)
    }
}

/// Whether a statement with this id was added by a stack that does not have the function.
pub fn is_foreign(statement_id: &str) -> bool {
    permission::logical_id(statement_id).is_some_and(|id| id.ends_with(MIDDLE))
}

/// The id of the statement that is wanted.
///
/// # Errors
/// When a value that was not known before turned out to be of another shape.
pub fn statement_id(want: &Want) -> Result<String, ResourceError> {
    Ok(want.read::<Props>()?.id(&want.logical_id))
}

fn key(id: &str) -> String {
    format!("{}{id}", tags::PERMISSION)
}

impl Kind for ForeignPermission {
    fn type_name(&self) -> &'static str {
        TYPE
    }

    fn canonical(&self, properties: &Value) -> Result<Value, Vec<Problem>> {
        canonical::<Props>(properties)
    }

    fn create_only(&self) -> &'static [&'static str] {
        // All it says is in its id: a changed one is another, and one of the same id was changed or removed by hand.
        &[]
    }

    fn hard(&self) -> &'static [&'static str] {
        &["ApiId"]
    }

    fn attribute(&self, scope: &Scope, name: Option<&str>, attribute: Option<&str>) -> Attribute {
        permission::Permission.attribute(scope, name, attribute)
    }
}

#[async_trait]
impl Provider for ForeignPermission {
    fn parent(&self) -> Option<&'static str> {
        Some(api::TYPE)
    }

    fn gone_with(&self) -> Option<&'static str> {
        None
    }

    fn is(&self, want: &Want, live: &Live) -> bool {
        statement_id(want).is_ok_and(|id| id == live.physical_id)
    }

    async fn list(&self, aws: &Aws, _: &Sought, parents: &[Live]) -> Result<Vec<Live>, ResourceError> {
        let mut recorded: BTreeMap<&str, Vec<(&str, &str, &str)>> = BTreeMap::new();
        for api in parents {
            for (key, record) in &api.attributes {
                let Some(id) = key.strip_prefix(tags::PERMISSION) else { continue };
                let (function, policy) = record.split_once(' ').unwrap_or((record, ""));
                recorded.entry(function).or_default().push((&api.physical_id, id, policy));
            }
        }
        let found = recorded.into_iter().map(|(function, records)| async move {
            let there = match permission::statements(aws, function, None).await {
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

    async fn find(&self, cx: Context<'_>, want: &Want) -> Result<Option<Live>, ResourceError> {
        let props: Props = want.read()?;
        let id = props.id(&want.logical_id);
        let there = permission::statements(cx.aws, &props.function_name, None).await?;
        let found = there.into_iter().find(|live| live.physical_id == id);
        Ok(found.map(|found| {
            live(&props.api_id, &props.function_name, &id, &props.deletion_policy, Some(found.properties))
        }))
    }

    async fn create(&self, cx: Context<'_>, want: &Want) -> Result<Created, ResourceError> {
        let props: Props = want.read()?;
        let id = props.id(&want.logical_id);
        let record = Tags::from([(key(&id), props.record())]);
        api::set_own_tags(cx.aws, &props.api_id, record, Vec::new()).await?;
        let error = match permission::add(cx.aws, &id, &props.function_name, None, &props.statement()).await {
            Ok(()) => return Ok(Created::new(id)),
            Err(error) => error,
        };
        if [Meaning::NotFound, Meaning::Refused, Meaning::Denied].iter().any(|meaning| error.is(*meaning)) {
            // Nothing was added, so there is nothing to record. A record that stays is removed by the next run.
            let _ = api::set_own_tags(cx.aws, &props.api_id, Tags::new(), vec![key(&id)]).await;
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

    async fn update(&self, cx: Context<'_>, live: &Live, want: &Want) -> Result<(), ResourceError> {
        let (from, to): (Props, Props) = (live.read()?, want.read()?);
        if from.statement() == to.statement() {
            let record = Tags::from([(key(&live.physical_id), to.record())]);
            api::set_own_tags(cx.aws, &to.api_id, record, Vec::new()).await?;
            return Ok(());
        }
        // It was changed or removed by hand; or it is to be as it was read before a run, which may be: not there.
        permission::remove(cx.aws, &live.physical_id, &to.function_name, None).await?;
        if to.action.is_some() {
            self.create(cx, want).await?;
        }
        Ok(())
    }

    async fn delete(&self, cx: Context<'_>, live: &Live) -> Result<(), ResourceError> {
        let props: Props = live.read()?;
        match permission::remove(cx.aws, &live.physical_id, &props.function_name, None).await {
            // It was not there when it was read either, and AWS will not speak of the function.
            Err(error) if props.action.is_none() && error.is(Meaning::Refused) => {}
            removed => removed?,
        }
        gone_is_fine(api::set_own_tags(cx.aws, &props.api_id, Tags::new(), vec![key(&live.physical_id)]).await)?;
        Ok(())
    }
}

/// A recorded statement. One that is not in the function's policy differs from whatever is wanted.
fn live(api: &str, function: &str, id: &str, policy: &str, statement: Option<Value>) -> Live {
    let statement = statement.unwrap_or_default();
    let text = |property: &str| statement[property].as_str().map(str::to_owned);
    let policy = DeletionPolicy::read(policy).unwrap_or_default();
    let props = Props {
        api_id: api.to_owned(),
        function_name: function.to_owned(),
        action: text("Action"),
        principal: text("Principal"),
        source_arn: text("SourceArn"),
        source_account: text("SourceAccount"),
        deletion_policy: policy.as_str().to_owned(),
    };
    Live {
        logical_id: permission::logical_id(id).and_then(|id| id.strip_suffix(MIDDLE)).map(str::to_owned),
        deletion_policy: policy,
        ..Live::new(TYPE, id, to_value(&props)).below(api)
    }
}
