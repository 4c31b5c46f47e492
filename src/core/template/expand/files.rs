//! Definitions of state machines that stand in files beside the template, as SAM's and the AWS CLI's packaging take them.

use serde_json::Value;

use super::super::{Resource, Template};
use super::state_machine;
use crate::core::words::Path;

/// The type of state machines, whose definition a file may have.
const TYPE: &str = "AWS::StepFunctions::StateMachine";

/// Where CloudFormation has a definition that is an object in S3.
const LOCATION: &str = "DefinitionS3Location";

/// The longest definition that Step Functions takes, in bytes (its quotas).
pub const LONGEST: u64 = 1_048_576;

impl Template {
    /// The files that the template names, where it does.
    pub fn named_files(&self) -> Vec<(Path, String)> {
        let place = |(logical_id, resource): (&String, &Resource)| {
            let property = if resource.type_name == TYPE { LOCATION } else { "DefinitionUri" };
            let machine = resource.type_name == TYPE || resource.type_name == state_machine::TYPE.name;
            let file = resource.properties.get(property).filter(|_| machine)?.as_str()?;
            let path = Path::default().key("Resources").key(logical_id).key("Properties").key(property);
            (!file.starts_with("s3://") && !file.contains("{{resolve:")).then(|| (path, file.to_owned()))
        };
        self.resources.iter().filter_map(place).collect()
    }

    /// Puts what the files say in the place of their names. Those that were not read stay.
    pub(in crate::core::template) fn put_in_files(&mut self) {
        for (logical_id, resource) in self.resources.iter_mut().filter(|(_, resource)| resource.type_name == TYPE) {
            let text = resource.properties.get(LOCATION).and_then(Value::as_str).and_then(|file| self.files.get(file));
            let Some(text) = text.cloned() else { continue };
            resource.properties.shift_remove(LOCATION);
            resource.properties.insert("DefinitionString".to_owned(), text);
            let properties = Path::default().key("Resources").key(logical_id).key("Properties");
            let written = self.origins.trace(&properties.key(LOCATION));
            self.origins.note(properties.key("DefinitionString"), written);
        }
    }
}

/// A definition as the text that Step Functions takes: JSON as it is, YAML as JSON.
///
/// # Errors
/// When it is neither: a sentence.
pub fn definition(text: &str) -> Result<String, String> {
    let json = serde_json::from_str::<Value>(text);
    match json {
        Ok(Value::Object(_)) => return Ok(text.to_owned()),
        Err(error) if text.trim_start().starts_with('{') => return Err(format!("it is no JSON: {error}")),
        _ => {}
    }
    match serde_yaml::from_str::<Value>(text) {
        Ok(definition @ Value::Object(_)) => {
            serde_json::to_string_pretty(&definition).map_err(|error| error.to_string())
        }
        Ok(_) => Err("it has no map of states".to_owned()),
        Err(error) => Err(format!("it is neither JSON nor YAML: {error}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn json_stays_and_yaml_becomes_json() {
        assert_eq!(definition("{ \"StartAt\":  \"A\" }").as_deref(), Ok("{ \"StartAt\":  \"A\" }"));
        assert_eq!(definition("StartAt: A\n").as_deref(), Ok("{\n  \"StartAt\": \"A\"\n}"));
        for wrong in ["{ \"StartAt\": }", "- a", "", "a: b: c"] {
            assert!(definition(wrong).is_err(), "{wrong}");
        }
    }
}
