//! Systems Manager's Parameter Store, as far as templates and handlers read it. A parameter is one record, whoever made it: a
//! template through Cloud Control, or a caller here.

use std::sync::Arc;

use async_trait::async_trait;
use serde::Deserialize;
use serde_json::{Value, json};

use super::context::CloudContext;
use super::context::ports::{KeptRecord, KeptValue, KeptValues, PARAMETERS};
use super::protocol::operation::OperationEffect::{Changes, Reads};
use super::protocol::service::Permissions::Needs;
use super::protocol::service::{self, Service, ServiceCall};
use super::protocol::wire::{ApiError, Protocol, Request, Response, null_member};
use crate::core::iam::need::Need;

/// The longest value of a parameter (quotas of Systems Manager: 8 KB for advanced ones).
const LONGEST: usize = 8 << 10;

/// The service. It has no state of its own.
pub struct Ssm {
    values: Arc<dyn KeptValues>,
}

/// The input of every operation.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct Input {
    name: Option<String>,
    names: Vec<String>,
    path: Option<String>,
    recursive: bool,
    with_decryption: bool,
    #[serde(rename = "Type")]
    kind: Option<String>,
    value: Option<String>,
    description: Option<String>,
    overwrite: bool,
    tags: Vec<Value>,
    max_results: Option<usize>,
    next_token: Option<String>,
}

type Row = service::Row<Arc<Ssm>>;
type Answer = Result<Value, ApiError>;

impl Ssm {
    /// Opens the service over the records.
    pub fn new(values: Arc<dyn KeptValues>) -> Self {
        Self { values }
    }

    fn find(&self, region: &str, name: &str) -> Option<KeptRecord> {
        self.values.all(region, PARAMETERS).into_iter().find(|record| record.identifier == name)
    }

    /// A parameter by its name, or by name and version.
    fn read(&self, region: &str, selected: &str, decrypt: bool) -> Answer {
        // An ARN has no slash before a name that is no path.
        let by_arn = selected.split_once(":parameter").map(|(_, path)| path);
        let (name, selector) = match by_arn {
            Some(_) => (selected, ""),
            None => selected.split_at(selected.find(':').unwrap_or(selected.len())),
        };
        let names = by_arn.map_or_else(|| vec![name], |path| vec![path, path.trim_start_matches('/')]);
        let record = names.into_iter().find_map(|name| self.find(region, name)).ok_or_else(not_found)?;
        let version = match selector {
            "" => record.version(),
            number => number[1..].parse().map_err(|_| version_not_found(number))?,
        };
        let value = version.checked_sub(record.dropped + 1).and_then(|index| record.values.get(index));
        let value = value.ok_or_else(|| if selector.is_empty() { not_found() } else { version_not_found(selector) })?;
        let mut shown = shown(region, &record, version, value, decrypt);
        if !selector.is_empty() {
            shown["Selector"] = selector.into();
        }
        Ok(shown)
    }

    fn get_parameter(&self, region: &str, input: Input) -> Answer {
        let name = input.name.ok_or_else(|| missing("name"))?;
        Ok(json!({ "Parameter": self.read(region, &name, input.with_decryption)? }))
    }

    fn get_parameters(&self, region: &str, input: Input) -> Answer {
        if !(1..=10).contains(&input.names.len()) {
            return Err(invalid(
                "Value at 'names' failed to satisfy constraint: Member must have length between 1 and 10",
            ));
        }
        let (mut parameters, mut unknown) = (Vec::new(), Vec::new());
        for name in input.names {
            match self.read(region, &name, input.with_decryption) {
                Ok(parameter) => parameters.push(parameter),
                Err(_) => unknown.push(name),
            }
        }
        Ok(json!({ "Parameters": parameters, "InvalidParameters": unknown }))
    }

    fn get_parameters_by_path(&self, region: &str, input: Input) -> Answer {
        let path = input.path.ok_or_else(|| missing("path"))?;
        let path = path.trim_end_matches('/');
        let mut records = self.values.all(region, PARAMETERS);
        records.retain(|record| {
            let below = record.identifier.strip_prefix(path).and_then(|rest| rest.strip_prefix('/'));
            below.is_some_and(|rest| input.recursive || !rest.contains('/'))
        });
        records.sort_by(|one, other| one.identifier.cmp(&other.identifier));
        // The token is the last name, so a page misses nothing that others create meanwhile.
        let after = input.next_token.unwrap_or_default();
        records.retain(|record| record.identifier > after);
        let size = input.max_results.unwrap_or(10).clamp(1, 10);
        let has_more = records.len() > size;
        records.truncate(size);
        let shown = records.iter().filter_map(|record| {
            Some(shown(region, record, record.version(), record.values.last()?, input.with_decryption))
        });
        let mut answer = json!({ "Parameters": shown.collect::<Vec<_>>() });
        if let Some(last) = records.last().filter(|_| has_more) {
            answer["NextToken"] = last.identifier.as_str().into();
        }
        Ok(answer)
    }

    fn put_parameter(&self, region: &str, input: Input) -> Answer {
        let name = input.name.filter(|name| !name.is_empty()).ok_or_else(|| missing("name"))?;
        let value = input.value.filter(|value| !value.is_empty()).ok_or_else(|| missing("value"))?;
        let allowed = |c: char| c.is_ascii_alphanumeric() || "_.-/".contains(c);
        if !name.chars().all(allowed) {
            return Err(invalid(
                "Parameter name must not contain any of the following characters: spaces, or anything but letters, digits and _ . - /",
            ));
        }
        if value.len() > LONGEST {
            return Err(invalid(format!("Value must be at most {LONGEST} bytes")));
        }
        let there = self.find(region, &name);
        if there.is_some() && !input.overwrite {
            let message = "The parameter already exists. To overwrite this value, set the overwrite option in the request to true.";
            return Err(ApiError::new(400, "ParameterAlreadyExists", message));
        }
        let mut model = there.as_ref().map_or_else(|| json!({ "Name": name }), |there| there.model.clone());
        let kind = input.kind.or_else(|| model["Type"].as_str().map(str::to_owned));
        let kind = kind.ok_or_else(|| invalid("A parameter type is required when you create a parameter."))?;
        if !["String", "StringList", "SecureString"].contains(&kind.as_str()) {
            return Err(invalid(format!("The following parameter type is not supported: {kind}.")));
        }
        model["Type"] = kind.into();
        model["Value"] = value.as_str().into();
        if let Some(description) = input.description {
            model["Description"] = description.into();
        }
        if !input.tags.is_empty() {
            let tags =
                input.tags.iter().filter_map(|tag| Some((tag["Key"].as_str()?.to_owned(), tag["Value"].clone())));
            model["Tags"] = Value::Object(tags.collect());
        }
        let identifier = there.map(|there| there.identifier);
        let record = self.values.put(region, PARAMETERS, identifier.as_deref(), model, Some(value))?;
        Ok(json!({ "Version": record.version(), "Tier": "Standard" }))
    }

    fn delete_parameter(&self, region: &str, input: Input) -> Answer {
        let name = input.name.ok_or_else(|| missing("name"))?;
        let record = self.find(region, &name).ok_or_else(not_found)?;
        self.values.remove(region, PARAMETERS, &record.identifier)?;
        Ok(json!({}))
    }
}

fn shown(region: &str, record: &KeptRecord, version: usize, value: &KeptValue, decrypt: bool) -> Value {
    let KeptRecord { identifier: name, model, .. } = record;
    // Without WithDecryption AWS gives what is encrypted.
    let is_hidden = model["Type"] == "SecureString" && !decrypt;
    json!({
        "Name": name,
        "Type": model["Type"],
        "Value": if is_hidden { format!("encrypted:{}", value.id) } else { value.text.clone() },
        "Version": version,
        "LastModifiedDate": value.at as f64 / 1000.0,
        "ARN": CloudContext::arn("ssm", region, &format!("parameter/{}", name.trim_start_matches('/'))),
        "DataType": model["DataType"].as_str().unwrap_or("text"),
    })
}

fn not_found() -> ApiError {
    ApiError::new(400, "ParameterNotFound", "")
}

fn version_not_found(selector: &str) -> ApiError {
    let message =
        format!("Systems Manager could not find version {} of the parameter.", selector.trim_start_matches(':'));
    ApiError::new(400, "ParameterVersionNotFound", message)
}

fn invalid(message: impl Into<String>) -> ApiError {
    ApiError::new(400, "ValidationException", message)
}

fn missing(member: &str) -> ApiError {
    invalid(null_member(member))
}

#[async_trait]
impl Service for Arc<Ssm> {
    type Run = fn(&Ssm, &str, Input) -> Answer;

    const NAME: &'static str = "ssm";
    const PROTOCOL: Protocol = Protocol::AwsJson11;
    const TARGETS: &'static [&'static str] = &["AmazonSSM."];
    const OPERATIONS: &'static [Row] = &[
        Row::named("DeleteParameter", Changes, Needs(on_parameters), Ssm::delete_parameter),
        Row::named("GetParameter", Reads, Needs(on_parameters), Ssm::get_parameter),
        Row::named("GetParameters", Reads, Needs(on_parameters), Ssm::get_parameters),
        Row::named("GetParametersByPath", Reads, Needs(on_parameters), Ssm::get_parameters_by_path),
        Row::named("PutParameter", Changes, Needs(on_parameters), Ssm::put_parameter),
    ];

    fn unknown(_request: &Request) -> ApiError {
        ApiError::new(400, "UnknownOperationException", "")
    }

    async fn run(&self, run: Self::Run, call: ServiceCall) -> Result<Response, ApiError> {
        let input: Input = call.request.json()?;
        Ok(Response::json(200, &run(self, call.region(), input)?))
    }
}

/// The operation on each parameter that the request names. (Service Authorization Reference, "AWS Systems Manager".)
fn on_parameters(call: &ServiceCall) -> Vec<Need> {
    let input: Input = call.request.json().unwrap_or_default();
    let named = input.name.into_iter().chain(input.names).chain(input.path);
    let needs = named.map(|name| {
        let name = name.split(':').next().unwrap_or_default().trim_start_matches('/').to_owned();
        let arn = CloudContext::arn("ssm", call.region(), &format!("parameter/{name}"));
        Need::new(format!("ssm:{}", call.operation.name), arn)
    });
    needs.collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::local::cloudcontrol::CloudControl;
    use crate::local::cloudcontrol::testing::context;
    use crate::local::protocol::service::AnyService;

    pub(super) async fn ask(service: &Arc<Ssm>, operation: &str, input: Value) -> Answer {
        let mut request = Request::in_test("POST", "/", &input.to_string());
        request.headers.insert("x-amz-target", format!("AmazonSSM.{operation}").parse().unwrap());
        let call = AnyService::prepare(service, request)?;
        let Response { body, .. } = AnyService::call(service, call).await?;
        Ok(serde_json::from_slice(&body).unwrap())
    }

    #[tokio::test]
    async fn parameters_have_versions_paths_and_types() {
        let (context, _folder) = context();
        let ssm = Arc::new(Ssm::new(CloudControl::open(&context, Vec::new()).unwrap()));
        let put = |name: &str, value: &str, overwrite: bool| {
            let (ssm, input) =
                (Arc::clone(&ssm), json!({"Name": name, "Value": value, "Type": "String", "Overwrite": overwrite}));
            async move { ask(&ssm, "PutParameter", input).await }
        };
        assert_eq!(put("/chat/origin", "one", false).await.unwrap()["Version"], 1);
        assert_eq!(put("/chat/origin", "two", false).await.unwrap_err().code, "ParameterAlreadyExists");
        assert_eq!(put("/chat/origin", "two", true).await.unwrap()["Version"], 2);
        put("/chat/deep/er", "three", false).await.unwrap();
        for (name, value, version) in [("/chat/origin", "two", 2), ("/chat/origin:1", "one", 1)] {
            let found = ask(&ssm, "GetParameter", json!({ "Name": name })).await.unwrap();
            assert_eq!(
                (&found["Parameter"]["Value"], &found["Parameter"]["Version"]),
                (&value.into(), &version.into())
            );
        }
        let found = ask(&ssm, "GetParameters", json!({ "Names": ["/chat/origin:1", "/chat/none", "/chat/origin:7"] }))
            .await
            .unwrap();
        assert_eq!(found["InvalidParameters"], json!(["/chat/none", "/chat/origin:7"]));
        assert_eq!(found["Parameters"][0]["Selector"], ":1");
        let arn = found["Parameters"][0]["ARN"].clone();
        assert_eq!(ask(&ssm, "GetParameter", json!({ "Name": arn })).await.unwrap()["Parameter"]["Value"], "two");
        for (recursive, expected) in [(false, 1), (true, 2)] {
            let found =
                ask(&ssm, "GetParametersByPath", json!({ "Path": "/chat", "Recursive": recursive })).await.unwrap();
            assert_eq!(found["Parameters"].as_array().unwrap().len(), expected);
        }
        let secure = json!({"Name": "token", "Value": "hush", "Type": "SecureString"});
        ask(&ssm, "PutParameter", secure).await.unwrap();
        let hidden = ask(&ssm, "GetParameter", json!({ "Name": "token" })).await.unwrap();
        assert!(!hidden.to_string().contains("hush"), "{hidden}");
        let decrypted = ask(&ssm, "GetParameter", json!({ "Name": "token", "WithDecryption": true })).await.unwrap();
        assert_eq!(decrypted["Parameter"]["Value"], "hush");
        // A hundred versions are kept, each under its number.
        for number in 2..=102 {
            let put = json!({"Name": "token", "Value": format!("hush {number}"), "Overwrite": true});
            assert_eq!(ask(&ssm, "PutParameter", put).await.unwrap()["Version"], number);
        }
        for (selected, value) in [("token", "hush 102"), ("token:102", "hush 102"), ("token:3", "hush 3")] {
            let found = ask(&ssm, "GetParameter", json!({ "Name": selected, "WithDecryption": true })).await.unwrap();
            assert_eq!(found["Parameter"]["Value"], value);
        }
        for selected in ["token:0", "token:1", "token:2", "token:103"] {
            let old = ask(&ssm, "GetParameter", json!({ "Name": selected })).await.unwrap_err();
            assert_eq!(old.code, "ParameterVersionNotFound", "{selected}");
        }
        ask(&ssm, "DeleteParameter", json!({ "Name": "token" })).await.unwrap();
        let gone = ask(&ssm, "GetParameter", json!({ "Name": "token" })).await.unwrap_err();
        assert_eq!(gone.code, "ParameterNotFound");
    }
}
