//! Secrets Manager, as far as templates and handlers read it. A secret is one record, whoever made it: a template through Cloud
//! Control, or a caller here. What is deleted is gone at once.

use std::sync::Arc;

use async_trait::async_trait;
use serde::Deserialize;
use serde_json::{Value, json};

use super::context::CloudContext;
use super::context::clock::now_millis;
use super::context::ports::{KeptRecord, KeptValue, KeptValues, SECRETS};
use super::protocol::operation::OperationEffect::{Changes, Reads};
use super::protocol::service::Permissions::Needs;
use super::protocol::service::{self, Service, ServiceCall};
use super::protocol::wire::{ApiError, Protocol, Request, Response, null_member};
use crate::core::iam::need::Need;

/// The staging labels of the last two versions.
const CURRENT: &str = "AWSCURRENT";
const PREVIOUS: &str = "AWSPREVIOUS";

/// The service. It has no state of its own.
pub struct SecretsManager {
    values: Arc<dyn KeptValues>,
}

/// The input of every operation.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct Input {
    name: Option<String>,
    secret_id: Option<String>,
    secret_string: Option<String>,
    secret_binary: Option<String>,
    description: Option<String>,
    kms_key_id: Option<String>,
    tags: Vec<Value>,
    version_id: Option<String>,
    version_stage: Option<String>,
}

type Row = service::Row<Arc<SecretsManager>>;
type Answer = Result<Value, ApiError>;

impl SecretsManager {
    /// Opens the service over the records.
    pub fn new(values: Arc<dyn KeptValues>) -> Self {
        Self { values }
    }

    /// A secret by its name, its ARN, or its ARN without the six characters at the end.
    fn find(&self, region: &str, id: Option<String>) -> Result<KeptRecord, ApiError> {
        let id = id.ok_or_else(|| missing("secretId"))?;
        let found = self.values.all(region, SECRETS).into_iter().find(|record| {
            let partial = record.identifier.rsplit_once('-').map(|(start, _)| start);
            record.identifier == id || record.model["Name"] == id.as_str() || partial == Some(&id)
        });
        found.ok_or_else(|| not_found("Secrets Manager can't find the specified secret."))
    }

    fn create_secret(&self, region: &str, input: Input) -> Answer {
        let name = input.name.filter(|name| !name.is_empty()).ok_or_else(|| missing("name"))?;
        refuse_binary(input.secret_binary.as_ref())?;
        if self.find(region, Some(name.clone())).is_ok() {
            let message = format!("The operation failed because the secret {name} already exists.");
            return Err(ApiError::new(400, "ResourceExistsException", message));
        }
        let mut model = json!({ "Name": name });
        for (property, value) in [("Description", input.description), ("KmsKeyId", input.kms_key_id)] {
            if let Some(value) = value {
                model[property] = value.into();
            }
        }
        if !input.tags.is_empty() {
            model["Tags"] = input.tags.into();
        }
        let record = self.values.put(region, SECRETS, None, model, input.secret_string)?;
        let mut answer = named(&record);
        if let Some(value) = record.values.last() {
            answer["VersionId"] = value.id.as_str().into();
        }
        Ok(answer)
    }

    fn put_secret_value(&self, region: &str, input: Input) -> Answer {
        refuse_binary(input.secret_binary.as_ref())?;
        let value = input.secret_string.ok_or_else(|| missing("secretString"))?;
        let record = self.find(region, input.secret_id)?;
        let record = self.values.put(region, SECRETS, Some(&record.identifier), record.model, Some(value))?;
        let mut answer = named(&record);
        answer["VersionId"] = record.values.last().map(|value| value.id.clone()).into();
        answer["VersionStages"] = json!([CURRENT]);
        Ok(answer)
    }

    fn get_secret_value(&self, region: &str, input: Input) -> Answer {
        let record = self.find(region, input.secret_id)?;
        let stage = input.version_stage.as_deref();
        let what = match (&input.version_id, stage) {
            (Some(id), _) => format!("VersionId: {id}"),
            (None, stage) => format!("staging label: {}", stage.unwrap_or(CURRENT)),
        };
        let value = record.values.iter().enumerate().find(|(index, value)| {
            let stages = stages(*index, record.values.len());
            let is_version = input.version_id.as_ref().is_none_or(|id| *id == value.id);
            let wanted = stage.or(input.version_id.is_none().then_some(CURRENT));
            is_version && wanted.is_none_or(|wanted| stages.contains(&wanted))
        });
        let Some((index, KeptValue { id, at, text })) = value else {
            return Err(not_found(&format!("Secrets Manager can't find the specified secret value for {what}")));
        };
        let mut answer = named(&record);
        answer["VersionId"] = id.as_str().into();
        answer["SecretString"] = text.as_str().into();
        answer["VersionStages"] = stages(index, record.values.len()).into();
        answer["CreatedDate"] = (*at as f64 / 1000.0).into();
        Ok(answer)
    }

    fn describe_secret(&self, region: &str, input: Input) -> Answer {
        let record = self.find(region, input.secret_id)?;
        let mut answer = named(&record);
        for property in ["Description", "KmsKeyId", "Tags"] {
            if !record.model[property].is_null() {
                answer[property] = record.model[property].clone();
            }
        }
        let versions = record.values.iter().enumerate();
        let versions = versions.map(|(index, value)| (value.id.clone(), stages(index, record.values.len()).into()));
        answer["VersionIdsToStages"] =
            Value::Object(versions.filter(|(_, stages): &(_, Value)| *stages != json!([])).collect());
        Ok(answer)
    }

    fn delete_secret(&self, region: &str, input: Input) -> Answer {
        let record = self.find(region, input.secret_id)?;
        self.values.remove(region, SECRETS, &record.identifier)?;
        let mut answer = named(&record);
        answer["DeletionDate"] = (now_millis() as f64 / 1000.0).into();
        Ok(answer)
    }
}

/// The staging labels of one of so many versions.
fn stages(index: usize, count: usize) -> Vec<&'static str> {
    match count - index {
        1 => vec![CURRENT],
        2 => vec![PREVIOUS],
        _ => Vec::new(),
    }
}

fn named(record: &KeptRecord) -> Value {
    json!({ "ARN": record.identifier, "Name": record.model["Name"] })
}

fn not_found(message: &str) -> ApiError {
    ApiError::new(400, "ResourceNotFoundException", message)
}

fn missing(member: &str) -> ApiError {
    ApiError::new(400, "ValidationException", null_member(member))
}

fn refuse_binary(binary: Option<&String>) -> Result<(), ApiError> {
    match binary {
        Some(_) => Err(ApiError::new(
            400,
            "InvalidParameterException",
            "The local cloud keeps secrets as texts: give SecretString.",
        )),
        None => Ok(()),
    }
}

#[async_trait]
impl Service for Arc<SecretsManager> {
    type Run = fn(&SecretsManager, &str, Input) -> Answer;

    const NAME: &'static str = "secretsmanager";
    const PROTOCOL: Protocol = Protocol::AwsJson11;
    const TARGETS: &'static [&'static str] = &["secretsmanager."];
    const OPERATIONS: &'static [Row] = &[
        Row::named("CreateSecret", Changes, Needs(on_secret), SecretsManager::create_secret),
        Row::named("DeleteSecret", Changes, Needs(on_secret), SecretsManager::delete_secret),
        Row::named("DescribeSecret", Reads, Needs(on_secret), SecretsManager::describe_secret),
        Row::named("GetSecretValue", Reads, Needs(on_secret), SecretsManager::get_secret_value),
        Row::named("PutSecretValue", Changes, Needs(on_secret), SecretsManager::put_secret_value),
    ];

    fn unknown(_request: &Request) -> ApiError {
        ApiError::new(400, "UnknownOperationException", "")
    }

    async fn run(&self, run: Self::Run, call: ServiceCall) -> Result<Response, ApiError> {
        let input: Input = call.request.json()?;
        Ok(Response::json(200, &run(self, call.region(), input)?))
    }
}

/// The operation on the secret that the request names: its ARN ends in six characters that a name does not tell. (Service
/// Authorization Reference, "AWS Secrets Manager".)
fn on_secret(call: &ServiceCall) -> Vec<Need> {
    let input: Input = call.request.json().unwrap_or_default();
    let id = input.secret_id.or(input.name).unwrap_or_default();
    let arn = match id.starts_with("arn:") {
        true => id,
        false => CloudContext::arn("secretsmanager", call.region(), &format!("secret:{id}-xxxxxx")),
    };
    vec![Need::new(format!("secretsmanager:{}", call.operation.name), arn)]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::local::cloudcontrol::CloudControl;
    use crate::local::cloudcontrol::testing::context;
    use crate::local::protocol::service::AnyService;

    async fn ask(service: &Arc<SecretsManager>, operation: &str, input: Value) -> Answer {
        let mut request = Request::in_test("POST", "/", &input.to_string());
        request.headers.insert("x-amz-target", format!("secretsmanager.{operation}").parse().unwrap());
        let call = AnyService::prepare(service, request)?;
        let Response { body, .. } = AnyService::call(service, call).await?;
        Ok(serde_json::from_slice(&body).unwrap())
    }

    #[tokio::test]
    async fn a_secret_has_its_last_two_versions_by_their_labels() {
        let (context, _folder) = context();
        let secrets = Arc::new(SecretsManager::new(CloudControl::open(&context, Vec::new()).unwrap()));
        let made = ask(&secrets, "CreateSecret", json!({"Name": "chat", "SecretString": "one"})).await.unwrap();
        let arn = made["ARN"].as_str().unwrap().to_owned();
        assert!(arn.contains(":secret:chat-"), "{arn}");
        let again = ask(&secrets, "CreateSecret", json!({"Name": "chat", "SecretString": "one"})).await;
        assert_eq!(again.unwrap_err().code, "ResourceExistsException");
        ask(&secrets, "PutSecretValue", json!({"SecretId": arn, "SecretString": "two"})).await.unwrap();
        for (input, expected) in [
            (json!({"SecretId": "chat"}), "two"),
            (json!({"SecretId": arn, "VersionStage": "AWSPREVIOUS"}), "one"),
            (json!({"SecretId": &arn[..arn.len() - 7]}), "two"),
            (json!({"SecretId": "chat", "VersionId": made["VersionId"]}), "one"),
        ] {
            let found = ask(&secrets, "GetSecretValue", input.clone()).await.unwrap();
            assert_eq!(found["SecretString"], expected, "{input}");
        }
        let none =
            ask(&secrets, "GetSecretValue", json!({"SecretId": "chat", "VersionStage": "OTHER"})).await.unwrap_err();
        assert_eq!(none.message, "Secrets Manager can't find the specified secret value for staging label: OTHER");
        ask(&secrets, "PutSecretValue", json!({"SecretId": arn, "SecretString": "three"})).await.unwrap();
        let first = json!({"SecretId": "chat", "VersionId": made["VersionId"]});
        assert_eq!(ask(&secrets, "GetSecretValue", first).await.unwrap_err().code, "ResourceNotFoundException");
        let saved = std::fs::read_to_string(context.store.path("cloudcontrol.json")).unwrap();
        assert!(saved.contains("three") && saved.contains("two") && !saved.contains("\"one\""), "{saved}");
        let described = ask(&secrets, "DescribeSecret", json!({"SecretId": "chat"})).await.unwrap();
        assert!(!described.to_string().contains("two"), "{described}");
        ask(&secrets, "DeleteSecret", json!({"SecretId": "chat"})).await.unwrap();
        let gone = ask(&secrets, "GetSecretValue", json!({"SecretId": "chat"})).await.unwrap_err();
        assert_eq!(gone.code, "ResourceNotFoundException");
    }
}
