//! What a custom resource was last told and what it answered, and the requests and answers themselves.
//! (<https://docs.aws.amazon.com/AWSCloudFormation/latest/UserGuide/crpg-ref-requests.html>, `crpg-ref-responses.html`)

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};
use sha2::{Digest, Sha256};

use crate::core::words::Scope;

/// The property that names what is invoked.
pub const SERVICE_TOKEN: &str = "ServiceToken";

/// The longest answer, in bytes.
const LONGEST_ANSWER: usize = 4096;

/// Of how many requests that are over an answer may come twice.
const MOST_ANSWERED: usize = 8;

/// What a function is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum RequestType {
    Create,
    Update,
    Delete,
}

impl RequestType {
    /// `Create`, `Update` or `Delete`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Create => "Create",
            Self::Update => "Update",
            Self::Delete => "Delete",
        }
    }
}

/// A request that may be under way.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Request {
    pub id: String,
    #[serde(rename = "Type")]
    pub request_type: RequestType,
    /// The properties before, of an update.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub old: Option<Value>,
}

/// What an update left behind, which is deleted when the run has succeeded.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Replaced {
    pub physical_id: String,
    pub properties: Value,
}

/// The state of a custom resource.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct State {
    pub logical_id: String,
    /// The id that its function gave it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub physical_id: Option<String>,
    /// The properties that its function was told last.
    pub properties: Value,
    /// What its function answered, for `Fn::GetAtt`; nothing where it asked for that not to be shown.
    #[serde(default)]
    pub data: BTreeMap<String, String>,
    /// Whether its function has once said that it made it.
    #[serde(default)]
    pub is_made: bool,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub request: Option<Request>,
    /// Why the last request failed, if it has.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub failed: Option<String>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub replaced: Vec<Replaced>,
    /// The last request that was written down to be sent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub asked: Option<String>,
    /// The last requests that are over: Lambda runs a function again that fails after it has answered, and so an answer may
    /// come twice.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub answered: Vec<String>,
    /// When the last request was begun and answered, in milliseconds since the epoch: what was there before that began may
    /// be needed by it.
    #[serde(default)]
    pub begun: u64,
    #[serde(default)]
    pub ended: u64,
}

impl State {
    /// One of which nothing was asked yet.
    pub fn new(logical_id: &str, properties: Value) -> Self {
        Self {
            logical_id: logical_id.to_owned(),
            physical_id: None,
            properties,
            data: BTreeMap::new(),
            is_made: false,
            request: None,
            failed: None,
            replaced: Vec::new(),
            asked: None,
            answered: Vec::new(),
            begun: 0,
            ended: 0,
        }
    }

    /// Notes that a request is over.
    pub fn end(&mut self, request: &Request, now: u64) {
        self.ended = now;
        self.answered.push(request.id.clone());
        let too_many = self.answered.len().saturating_sub(MOST_ANSWERED);
        self.answered.drain(..too_many);
    }

    /// The ARN of the function or topic that requests are sent to.
    pub fn token(&self) -> &str {
        self.properties[SERVICE_TOKEN].as_str().unwrap_or_default()
    }

    /// The id that it goes by where its function has not given it one: what a request to delete it says then.
    pub fn id(&self, scope: &Scope) -> String {
        let made_up = || {
            let digest = Sha256::digest(format!("{} {}", stack_id(scope), self.logical_id));
            format!("{}-{}-{}", scope.stack, self.logical_id, &hex::encode(digest)[..12].to_ascii_uppercase())
        };
        self.physical_id.clone().unwrap_or_else(made_up)
    }

    /// The event of a request about this resource, of which the answer goes to `url`.
    pub fn event(&self, request: &Request, type_name: &str, scope: &Scope, url: &str) -> Value {
        let mut event = json!({
            "RequestType": request.request_type,
            "ServiceToken": self.token(),
            "ResponseURL": url,
            "StackId": stack_id(scope),
            "RequestId": request.id,
            "LogicalResourceId": self.logical_id,
            "ResourceType": type_name,
            "ResourceProperties": self.properties,
        });
        if request.request_type != RequestType::Create {
            event["PhysicalResourceId"] = self.id(scope).into();
        }
        if let Some(old) = &request.old {
            event["OldResourceProperties"] = old.clone();
        }
        event
    }
}

/// The ARN that a CloudFormation stack of this name might have: always the same for the same stack.
pub fn stack_id(scope: &Scope) -> String {
    let Scope { stack, account, region, partition } = scope;
    let digest = hex::encode(Sha256::digest(format!("{stack} {account} {region}")));
    let (a, b, c, d, e) = (&digest[..8], &digest[8..12], &digest[13..16], &digest[17..20], &digest[20..32]);
    format!("arn:{partition}:cloudformation:{region}:{account}:stack/{stack}/{a}-{b}-4{c}-8{d}-{e}")
}

/// What a function answered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    pub physical_id: Option<String>,
    pub data: BTreeMap<String, String>,
    pub no_echo: bool,
    /// Why it failed, where it did.
    pub failed: Option<String>,
}

impl Answer {
    /// Reads an answer. One that CloudFormation would not take says why that is, as a failure.
    pub fn read(bytes: &[u8], request: RequestType) -> Self {
        let failed =
            |why: &str| Self { physical_id: None, data: BTreeMap::new(), no_echo: false, failed: Some(why.to_owned()) };
        if bytes.len() > LONGEST_ANSWER {
            return failed(&format!("its answer has {} bytes, and at most {LONGEST_ANSWER} are read", bytes.len()));
        }
        let Ok(Value::Object(answer)) = serde_json::from_slice::<Value>(bytes) else {
            return failed("its answer is not JSON, or no object");
        };
        let text = |name: &str| answer.get(name).and_then(Value::as_str).filter(|text| !text.is_empty());
        let physical_id = text("PhysicalResourceId").map(str::to_owned);
        let no_echo = matches!(answer.get("NoEcho"), Some(Value::Bool(true)))
            || text("NoEcho").is_some_and(|text| text.eq_ignore_ascii_case("true"));
        let data = answer.get("Data").and_then(Value::as_object).map(data).unwrap_or_default();
        let failed = match text("Status") {
            Some("SUCCESS") if physical_id.is_none() && request != RequestType::Delete => {
                Some("its answer has no PhysicalResourceId".to_owned())
            }
            Some("SUCCESS") => None,
            Some("FAILED") => Some(text("Reason").unwrap_or("it gave no reason").to_owned()),
            Some(other) => Some(format!("its answer has the Status \"{other}\", which is neither SUCCESS nor FAILED")),
            None => Some("its answer has no Status".to_owned()),
        };
        Self { physical_id, data, no_echo, failed }
    }
}

/// The values that `Fn::GetAtt` can give; those of maps by their path.
fn data(given: &Map<String, Value>) -> BTreeMap<String, String> {
    fn flatten(path: &str, value: &Value, found: &mut BTreeMap<String, String>) {
        match value {
            Value::Object(members) => {
                members.iter().for_each(|(name, value)| flatten(&format!("{path}.{name}"), value, found));
            }
            Value::String(text) => drop(found.insert(path.to_owned(), text.clone())),
            Value::Number(_) | Value::Bool(_) | Value::Array(_) => {
                found.insert(path.to_owned(), value.to_string());
            }
            Value::Null => {}
        }
    }
    let mut found = BTreeMap::new();
    given.iter().for_each(|(name, value)| flatten(name, value, &mut found));
    // What `Ref` gives is its id, and what begins like this the plan keeps.
    found.retain(|name, _| name != "Ref" && !name.starts_with('@'));
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    fn scope() -> Scope {
        Scope {
            stack: "chat".to_owned(),
            account: "123456789012".to_owned(),
            region: "eu-west-1".to_owned(),
            partition: "aws".to_owned(),
        }
    }

    #[test]
    fn an_answer_is_read_as_cloudformation_reads_it() {
        let failed = |text: &str, request| Answer::read(text.as_bytes(), request).failed.unwrap_or_default();
        let create = RequestType::Create;
        assert_eq!(failed(r#"{"Status": "SUCCESS", "PhysicalResourceId": "a"}"#, create), "");
        assert_eq!(failed(r#"{"Status": "SUCCESS"}"#, create), "its answer has no PhysicalResourceId");
        assert_eq!(failed(r#"{"Status": "SUCCESS"}"#, RequestType::Delete), "");
        assert_eq!(failed(r#"{"Status": "FAILED", "Reason": "no room"}"#, create), "no room");
        assert_eq!(failed(r#"{"Status": "FAILED"}"#, create), "it gave no reason");
        assert!(failed(r#"{"Status": "DONE"}"#, create).contains("\"DONE\""));
        assert_eq!(failed("{}", create), "its answer has no Status");
        assert!(failed("<html>", create).contains("not JSON"));
        assert!(failed(&" ".repeat(4097), create).contains("4097 bytes"));
        let answer = Answer::read(
            br#"{"Status": "SUCCESS", "PhysicalResourceId": "a", "NoEcho": "true",
                "Data": {"Url": "u", "Port": 8, "On": true, "In": {"Side": "x"}, "All": [1], "No": null, "Ref": "r", "@State": "s"}}"#,
            create,
        );
        assert!(answer.no_echo);
        let told: Vec<(&str, &str)> = answer.data.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
        assert_eq!(told, [("All", "[1]"), ("In.Side", "x"), ("On", "true"), ("Port", "8"), ("Url", "u")]);
    }

    #[test]
    fn a_request_says_all_that_cloudformation_s_says() {
        let mut state = State::new("Seed", json!({"ServiceToken": "arn:f", "Rooms": ["lobby"]}));
        let request = Request { id: "r1".to_owned(), request_type: RequestType::Create, old: None };
        let event = state.event(&request, "Custom::Rooms", &scope(), "https://there");
        assert_eq!(event["RequestType"], "Create");
        assert_eq!(event["ServiceToken"], "arn:f");
        assert_eq!(event["ResponseURL"], "https://there");
        assert_eq!(event["RequestId"], "r1");
        assert_eq!(event["ResourceType"], "Custom::Rooms");
        assert_eq!(event["LogicalResourceId"], "Seed");
        assert_eq!(event["ResourceProperties"]["Rooms"], json!(["lobby"]));
        assert!(
            event["StackId"].as_str().unwrap().starts_with("arn:aws:cloudformation:eu-west-1:123456789012:stack/chat/")
        );
        assert!(event.get("PhysicalResourceId").is_none() && event.get("OldResourceProperties").is_none());
        state.physical_id = Some("rooms-1".to_owned());
        let request =
            Request { id: "r2".to_owned(), request_type: RequestType::Update, old: Some(json!({"Rooms": []})) };
        let event = state.event(&request, "Custom::Rooms", &scope(), "https://there");
        assert_eq!(
            (&event["PhysicalResourceId"], &event["OldResourceProperties"]),
            (&json!("rooms-1"), &json!({"Rooms": []}))
        );
        // One that never got an id is deleted under one that is made up, and always the same.
        state.physical_id = None;
        assert!(state.id(&scope()).starts_with("chat-Seed-") && state.id(&scope()) == state.id(&scope()));
    }

    #[test]
    fn a_state_is_read_as_it_was_written() {
        let mut state = State::new("Seed", json!({"ServiceToken": "arn:f"}));
        state.request = Some(Request { id: "r".to_owned(), request_type: RequestType::Delete, old: None });
        state.replaced.push(Replaced { physical_id: "old".to_owned(), properties: json!({}) });
        state.data.insert("Url".to_owned(), "u".to_owned());
        let written = serde_json::to_vec(&state).unwrap();
        assert_eq!(serde_json::from_slice::<State>(&written).unwrap(), state);
    }
}
