//! The values that some resources keep, each version of them: of an SSM parameter and of a secret. The services that give them out
//! (`local::ssm`, `local::secretsmanager`) and Cloud Control have them in common.

use rand::RngExt;
use rand::seq::SliceRandom;
use serde_json::{Map, Value};
use uuid::Uuid;

use super::records::Record;
use super::{CloudControl, mint};
use crate::core::schemas::schema;
use crate::local::context::clock::now_millis;
use crate::local::context::ports::{KeptRecord, KeptValue, KeptValues, PARAMETERS, SECRETS};
use crate::local::protocol::wire::ApiError;

/// How many versions of a parameter's value there are at most (Parameter Store's quotas), and of a secret's: those with a staging
/// label (Secrets Manager user guide, "What's in a secret").
const PARAMETER_VERSIONS: usize = 100;
const SECRET_VERSIONS: usize = 2;

impl Record {
    /// Adds a version of the value of a resource of this type.
    fn keep(&mut self, type_name: &str, text: String) {
        self.values.push(KeptValue { id: Uuid::new_v4().to_string(), at: now_millis(), text });
        let most = if type_name == SECRETS { SECRET_VERSIONS } else { PARAMETER_VERSIONS };
        let old = self.values.len().saturating_sub(most);
        self.values.drain(..old);
        self.dropped += old;
    }

    /// Takes the value out of the record of a resource that is being deleted: only the resource is seen until then.
    pub fn forget_values(&mut self) {
        self.values.clear();
        if let Value::Object(model) = &mut self.model {
            ["SecretString", "Value"].iter().for_each(|name| drop(model.shift_remove(*name)));
        }
    }

    /// Keeps the value that the properties of a resource of this type state; `old` are those that it had.
    pub fn keep_stated(&mut self, type_name: &str, old: Option<&Value>) {
        let text = |name: &str| self.model[name].as_str().map(str::to_owned);
        let value = match type_name {
            PARAMETERS => text("Value"),
            SECRETS => {
                const RULE: &str = "GenerateSecretString";
                let rule = self.model[RULE].as_object();
                let is_new = old.is_none_or(|old| old[RULE] != self.model[RULE]);
                text("SecretString").or_else(|| rule.filter(|_| is_new).map(generate))
            }
            _ => None,
        };
        if let Some(value) = value
            && self.values.last().is_none_or(|last| last.text != value)
        {
            self.keep(type_name, value);
        }
    }
}

/// A secret by the rule of `GenerateSecretString` (CloudFormation's template reference).
fn generate(rule: &Map<String, Value>) -> String {
    let set = |name: &str| rule.get(name).is_some_and(|value| *value == Value::Bool(true) || value == "true");
    let excluded = rule.get("ExcludeCharacters").and_then(Value::as_str).unwrap_or_default();
    let kinds = [
        (set("ExcludeLowercase"), "abcdefghijklmnopqrstuvwxyz"),
        (set("ExcludeUppercase"), "ABCDEFGHIJKLMNOPQRSTUVWXYZ"),
        (set("ExcludeNumbers"), "0123456789"),
        (set("ExcludePunctuation"), "!\"#$%&'()*+,-./:;<=>?@[\\]^_`{|}~"),
        (!set("IncludeSpace"), " "),
    ];
    let kinds: Vec<Vec<char>> = kinds
        .into_iter()
        .filter(|(is_excluded, _)| !is_excluded)
        .map(|(_, characters)| characters.chars().filter(|c| !excluded.contains(*c)).collect::<Vec<_>>())
        .filter(|characters| !characters.is_empty())
        .collect();
    let all: Vec<char> = kinds.iter().flatten().copied().collect();
    let length = rule.get("PasswordLength").and_then(Value::as_u64).unwrap_or(32).clamp(1, 4096);
    let length = usize::try_from(length).unwrap_or(32);
    let mut random = rand::rng();
    let mut pick = |from: &[char]| from[random.random_range(0..from.len())];
    let mut password: Vec<char> = match rule.get("RequireEachIncludedType") {
        Some(Value::Bool(false)) => Vec::new(),
        _ => kinds.iter().take(length).map(|kind| pick(kind)).collect(),
    };
    while password.len() < length && !all.is_empty() {
        password.push(pick(&all));
    }
    password.shuffle(&mut rand::rng());
    let password: String = password.into_iter().collect();
    let text = |name: &str| rule.get(name).and_then(Value::as_str);
    let template = text("SecretStringTemplate").and_then(|text| serde_json::from_str::<Value>(text).ok());
    match (template, text("GenerateStringKey")) {
        (Some(mut document @ Value::Object(_)), Some(key)) => {
            document[key] = password.into();
            document.to_string()
        }
        _ => password,
    }
}

impl KeptValues for CloudControl {
    fn all(&self, region: &str, type_name: &str) -> Vec<KeptRecord> {
        let records = self.state.now();
        let of_type = records.there(region).filter(|(of, ..)| *of == type_name);
        of_type.map(|(_, identifier, record)| kept(identifier, record)).collect()
    }

    fn put(
        &self,
        region: &str,
        type_name: &str,
        identifier: Option<&str>,
        model: Value,
        value: Option<String>,
    ) -> Result<KeptRecord, ApiError> {
        let Some(schema) = schema(type_name) else { return Err(super::invalid("there is no such type")) };
        self.state.change(|records| {
            let of_type = records.region(region).resources.entry(type_name.to_owned()).or_default();
            let identifier = match identifier {
                Some(identifier) => {
                    if let Some(record) = of_type.get_mut(identifier) {
                        record.model = model;
                    }
                    identifier.to_owned()
                }
                None => {
                    let (model, identifier) = mint::minted(schema, region, &model);
                    of_type.insert(identifier.clone(), Record::new(model, now_millis()));
                    identifier
                }
            };
            let record = of_type.get_mut(&identifier).ok_or_else(|| super::invalid("it was deleted meanwhile"))?;
            if let Some(value) = value {
                record.keep(type_name, value);
            }
            Ok(kept(&identifier, record))
        })
    }

    fn remove(&self, region: &str, type_name: &str, identifier: &str) -> Result<(), ApiError> {
        self.state.change(|records| {
            if let Some(of_type) = records.region(region).resources.get_mut(type_name) {
                of_type.remove(identifier);
            }
            Ok(())
        })
    }
}

fn kept(identifier: &str, record: &Record) -> KeptRecord {
    KeptRecord {
        identifier: identifier.to_owned(),
        model: record.model.clone(),
        values: record.values.clone(),
        dropped: record.dropped,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_secret_is_generated_by_its_rule() {
        let generated = |rule: Value| generate(rule.as_object().unwrap());
        let all = generated(json!({}));
        assert_eq!(all.chars().count(), 32);
        for kind in [char::is_lowercase, char::is_uppercase, char::is_numeric] {
            assert!(all.contains(kind), "{all}");
        }
        assert!(all.contains(|c: char| c.is_ascii_punctuation()) && !all.contains(' '), "{all}");
        let letters = generated(json!({
            "PasswordLength": 40, "ExcludePunctuation": true, "ExcludeNumbers": true, "ExcludeUppercase": true, "ExcludeCharacters": "abc"
        }));
        assert!(letters.len() == 40 && letters.chars().all(|c| ('d'..='z').contains(&c)), "{letters}");
        let document =
            generated(json!({"SecretStringTemplate": "{\"user\": \"chat\"}", "GenerateStringKey": "password"}));
        let document: Value = serde_json::from_str(&document).unwrap();
        assert_eq!(document["user"], "chat");
        assert_eq!(document["password"].as_str().unwrap().chars().count(), 32);
        assert_ne!(generated(json!({})), generated(json!({})));
    }
}
