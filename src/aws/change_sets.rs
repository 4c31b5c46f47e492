//! CloudFormation's change sets: what a stack becomes, made, looked at, carried out. A stack that is handed over to CloudFormation needs
//! them, because no other call imports what is there.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use aws_sdk_cloudformation::types as sdk;
use serde_json::json;
use tokio::time::Instant;

use super::client::{Aws, AwsCall, CallError, Meaning};
use super::cloudformation::{self, FormedStack, StackError, TemplateSource};

const SERVICE: &str = "cloudformation";

/// How long CloudFormation may take to work a change set out.
const PATIENCE: Duration = Duration::from_secs(10 * 60);

/// The pauses between two looks at a change set: the first, and the longest.
const PAUSES: (Duration, Duration) = (Duration::from_millis(100), Duration::from_secs(3));

/// How often, and after which pause, a stack is looked at that does not show yet that its change set is being carried out.
const LOOKS: usize = 50;
const BETWEEN_LOOKS: Duration = Duration::from_millis(200);

/// A change set to be.
#[derive(Debug, Clone)]
pub struct NewChangeSet {
    /// The stack's name. An import makes it, where there is none.
    pub stack: String,
    pub name: String,
    pub template: TemplateSource,
    pub parameters: Parameters,
    /// Tags of the stack, which CloudFormation gives all its resources; without any, it keeps those that it has.
    pub tags: BTreeMap<String, String>,
    /// What is imported; nothing where the stack is updated.
    pub imports: Vec<Import>,
}

/// The values of a stack's parameters.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Parameters {
    Given(BTreeMap<String, String>),
    /// These keep the values that the stack has.
    Kept(BTreeSet<String>),
}

impl Parameters {
    fn to_send(&self) -> Vec<sdk::Parameter> {
        let named = |key: &String| sdk::Parameter::builder().parameter_key(key);
        match self {
            Self::Given(values) => {
                values.iter().map(|(key, value)| named(key).parameter_value(value).build()).collect()
            }
            Self::Kept(keys) => keys.iter().map(|key| named(key).use_previous_value(true).build()).collect(),
        }
    }
}

/// A resource that is imported.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Import {
    pub logical_id: String,
    pub type_name: String,
    pub identifier: BTreeMap<String, String>,
}

/// A change set as CloudFormation describes it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ChangeSet {
    /// `CREATE_COMPLETE`.
    pub status: String,
    pub reason: String,
    /// `AVAILABLE`, `EXECUTE_COMPLETE`.
    pub execution_status: String,
    pub changes: Vec<ResourceChange>,
}

/// What a change set does to one resource.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ResourceChange {
    /// `Add`, `Modify`, `Remove`, `Import`.
    pub action: String,
    pub logical_id: String,
    pub type_name: String,
    /// Whether it is, or may be, replaced.
    pub replaces: bool,
    /// The properties that get another value for certain, `Tags` among them. (What follows from another resource that is changed is
    /// listed as one that may: "Dynamic". API reference, `ResourceChangeDetail`.)
    pub sets: BTreeSet<String>,
}

impl ChangeSet {
    /// Whether it has failed because there is nothing to change.
    pub fn is_void(&self) -> bool {
        self.status == "FAILED"
            && ["didn't contain changes", "No updates are to be performed"]
                .iter()
                .any(|words| self.reason.contains(words))
    }

    /// Whether it can be carried out, or is being. Its status says only that it was worked out, also after the stack was updated by other
    /// means (`OBSOLETE`) and when its own execution has come to an end.
    fn is_ready(&self) -> bool {
        self.status == "CREATE_COMPLETE"
            && ["AVAILABLE", "EXECUTE_IN_PROGRESS"].contains(&self.execution_status.as_str())
    }
}

/// Which of these types CloudFormation can import, and by which properties it identifies their resources: sets, each with its names
/// separated by commas.
///
/// # Errors
/// When it cannot be asked.
pub async fn importable(
    aws: &Aws,
    types: impl IntoIterator<Item = &str>,
) -> Result<BTreeMap<String, Vec<String>>, CallError> {
    // One resource of each type says it.
    let resources = types.into_iter().enumerate().map(|(index, name)| (format!("R{index}"), json!({ "Type": name })));
    let template = json!({ "Resources": resources.collect::<serde_json::Map<_, _>>() }).to_string();
    let answer = aws
        .call(AwsCall::new(SERVICE, "GetTemplateSummary"), || {
            aws.cloudformation.get_template_summary().template_body(&template).send()
        })
        .await?;
    let summaries = answer.resource_identifier_summaries.unwrap_or_default();
    let known = summaries.into_iter().filter_map(|one| {
        let identifiers = one.resource_identifiers.filter(|identifiers| !identifiers.is_empty())?;
        Some((one.resource_type?, identifiers))
    });
    Ok(known.collect())
}

/// Makes a change set and waits until CloudFormation has worked it out. One of that name which is there already is taken as it is if it can
/// still be carried out: its name must tell what it does.
///
/// # Errors
/// What CloudFormation refused. (A change set without changes is none: `ChangeSet::is_void`.)
pub async fn create(aws: &Aws, new: &NewChangeSet) -> Result<ChangeSet, StackError> {
    if let Some(there) = settled(aws, &new.stack, &new.name).await? {
        if there.is_ready() {
            return Ok(there);
        }
        delete(aws, &new.stack, &new.name).await?;
    }
    let (body, url) = match &new.template {
        TemplateSource::Body(body) => (Some(body.clone()), None),
        TemplateSource::Url(url) => (None, Some(url.clone())),
    };
    let parameters = new.parameters.to_send();
    let tags: Vec<_> = new.tags.iter().map(|(key, value)| sdk::Tag::builder().key(key).value(value).build()).collect();
    let import = |one: &Import| {
        sdk::ResourceToImport::builder()
            .resource_type(&one.type_name)
            .logical_resource_id(&one.logical_id)
            .set_resource_identifier(Some(one.identifier.clone().into_iter().collect()))
            .build()
    };
    let imports: Vec<_> = new.imports.iter().map(import).collect();
    let answer = aws.call(AwsCall::new(SERVICE, "CreateChangeSet"), || {
        aws.cloudformation
            .create_change_set()
            .stack_name(&new.stack)
            .change_set_name(&new.name)
            .change_set_type(if imports.is_empty() { sdk::ChangeSetType::Update } else { sdk::ChangeSetType::Import })
            .set_template_body(body.clone())
            .set_template_url(url.clone())
            .set_parameters((!parameters.is_empty()).then(|| parameters.clone()))
            .set_tags((!tags.is_empty()).then(|| tags.clone()))
            .set_resources_to_import((!imports.is_empty()).then(|| imports.clone()))
            .capabilities(sdk::Capability::CapabilityIam)
            .capabilities(sdk::Capability::CapabilityNamedIam)
            .capabilities(sdk::Capability::CapabilityAutoExpand)
            .send()
    });
    match answer.await {
        // The answer to the first of two was lost.
        Err(error) if error.code == "AlreadyExistsException" || error.is(Meaning::Unknown) => {
            let there = settled(aws, &new.stack, &new.name).await?;
            return there.ok_or(StackError::Call(error));
        }
        answer => drop(answer?),
    }
    match settled(aws, &new.stack, &new.name).await? {
        Some(made) => Ok(made),
        None => Err(StackError::Ended {
            name: new.stack.clone(),
            status: "without its change set".to_owned(),
            reasons: vec![format!("the change set {} was deleted while it was made", new.name)],
        }),
    }
}

/// A change set, once CloudFormation has worked it out; `None` where there is none of that name.
async fn settled(aws: &Aws, stack: &str, name: &str) -> Result<Option<ChangeSet>, StackError> {
    let begun = Instant::now();
    let mut pause = PAUSES.0;
    loop {
        let Some(there) = describe(aws, stack, name).await? else { return Ok(None) };
        if !there.status.ends_with("_IN_PROGRESS") && !there.status.ends_with("_PENDING") {
            return Ok(Some(there));
        }
        if begun.elapsed() > PATIENCE {
            return Err(StackError::Slow { name: stack.to_owned(), status: there.status, after: begun.elapsed() });
        }
        tokio::time::sleep(pause).await;
        pause = (pause * 2).min(PAUSES.1);
    }
}

async fn describe(aws: &Aws, stack: &str, name: &str) -> Result<Option<ChangeSet>, CallError> {
    let mut found = ChangeSet::default();
    let mut from = None;
    loop {
        let answer = aws.call(AwsCall::new(SERVICE, "DescribeChangeSet"), || {
            let request = aws.cloudformation.describe_change_set().stack_name(stack).change_set_name(name);
            request.set_next_token(from.clone()).send()
        });
        let page = match answer.await {
            Ok(page) => page,
            Err(error) if is_missing(&error) => return Ok(None),
            Err(error) => return Err(error),
        };
        found.status = page.status.map(|status| status.as_str().to_owned()).unwrap_or_default();
        found.reason = page.status_reason.unwrap_or_default();
        found.execution_status = page.execution_status.map(|status| status.as_str().to_owned()).unwrap_or_default();
        let changes = page.changes.unwrap_or_default().into_iter();
        found.changes.extend(changes.filter_map(|change| read(change.resource_change?)));
        from = page.next_token.filter(|token| !token.is_empty());
        if from.is_none() {
            return Ok(Some(found));
        }
    }
}

fn read(change: sdk::ResourceChange) -> Option<ResourceChange> {
    let replaces = change.replacement.is_some_and(|replacement| replacement != sdk::Replacement::False);
    let details = change.details.unwrap_or_default().into_iter();
    let certain = details.filter(|detail| detail.evaluation != Some(sdk::EvaluationType::Dynamic));
    let targets = certain.filter_map(|detail| detail.target);
    let set = targets.filter_map(|target| match target.attribute? {
        sdk::ResourceAttribute::Properties => Some(target.name.unwrap_or_default()),
        sdk::ResourceAttribute::Tags => Some("Tags".to_owned()),
        _ => None,
    });
    Some(ResourceChange {
        action: change.action?.as_str().to_owned(),
        logical_id: change.logical_resource_id.unwrap_or_default(),
        type_name: change.resource_type.unwrap_or_default(),
        replaces,
        sets: set.collect(),
    })
}

/// Carries a change set out and waits until CloudFormation is done; gives the stack as it is then, whatever has come of it.
///
/// # Errors
/// What CloudFormation refused; a stack that is gone, or that does not show that anything is done with it.
pub async fn carry_out(
    aws: &Aws,
    stack: &str,
    name: &str,
    note: &(dyn Fn(String) + Send + Sync),
) -> Result<FormedStack, StackError> {
    let shown = |stack: &FormedStack| (stack.status.clone(), stack.updated);
    let before = cloudformation::stack(aws, stack).await?.as_ref().map(shown);
    execute(aws, stack, name).await?;
    for _ in 0..LOOKS {
        let now = cloudformation::settled(aws, stack, note).await?;
        match now {
            // It may take a moment until the stack shows that the execution has begun.
            Some(now) if before == Some(shown(&now)) => tokio::time::sleep(BETWEEN_LOOKS).await,
            Some(now) => return Ok(now),
            None => {
                let status = "deleted".to_owned();
                return Err(StackError::Ended { name: stack.to_owned(), status, reasons: Vec::new() });
            }
        }
    }
    Err(StackError::Ended {
        name: stack.to_owned(),
        status: before.unwrap_or_default().0,
        reasons: vec![format!("it does not show that the change set {name} is being carried out")],
    })
}

/// Begins to carry a change set out; one whose execution has begun is no error.
async fn execute(aws: &Aws, stack: &str, name: &str) -> Result<(), CallError> {
    let answer = aws.call(AwsCall::new(SERVICE, "ExecuteChangeSet"), || {
        aws.cloudformation.execute_change_set().stack_name(stack).change_set_name(name).send()
    });
    match answer.await {
        // The answer to the first of two was lost, or another run was faster.
        Err(error) if error.is(Meaning::Unknown) || error.code == "InvalidChangeSetStatus" => {
            match describe(aws, stack, name).await? {
                Some(there) if !there.execution_status.starts_with("EXECUTE_") => Err(error),
                _ => Ok(()),
            }
        }
        answer => answer.map(drop),
    }
}

/// Deletes a change set; one that is gone is no error.
///
/// # Errors
/// What CloudFormation refused.
pub async fn delete(aws: &Aws, stack: &str, name: &str) -> Result<(), CallError> {
    let answer = aws.call(AwsCall::new(SERVICE, "DeleteChangeSet").repeatable(), || {
        aws.cloudformation.delete_change_set().stack_name(stack).change_set_name(name).send()
    });
    match answer.await {
        Err(error) if !is_missing(&error) => Err(error),
        _ => Ok(()),
    }
}

/// Whether CloudFormation answers that there is no such change set, or no such stack.
fn is_missing(error: &CallError) -> bool {
    error.is(Meaning::NotFound)
        || error.code.starts_with("ChangeSetNotFound")
        || error.code == "ValidationError" && error.message.contains("does not exist")
}
