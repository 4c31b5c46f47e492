//! Values that others keep: parameters of SSM and secrets of Secrets Manager. They are read and never written.

use std::collections::BTreeSet;

use futures_util::future::join_all;
use serde_json::{Value, json};

use crate::aws::client::{Aws, CallError, JsonService, Meaning};
use crate::core::stack::Lookup;
use crate::core::stack::lookups::{Missing, is_public_parameter};

const SSM: JsonService = JsonService { name: "ssm", target: "AmazonSSM", id: "SSM" };
const SECRETS: JsonService = JsonService { name: "secretsmanager", target: "secretsmanager", id: "Secrets Manager" };

/// How many parameters a call may name (`GetParameters`, API reference).
const MOST_NAMES: usize = 10;

type Answer = (Lookup, Result<String, Missing>);

/// Reads those of `wanted` that are parameters or secrets.
pub async fn read(aws: &Aws, wanted: &BTreeSet<Lookup>) -> Vec<Answer> {
    let batches = [false, true].into_iter().flat_map(|secure| {
        let names = wanted.iter().filter_map(|lookup| match lookup {
            Lookup::Parameter { name, secure: is_secure } if *is_secure == secure => Some(name.as_str()),
            _ => None,
        });
        batches(names).into_iter().map(move |names| (names, secure))
    });
    let parameters = join_all(batches.map(|(names, secure)| parameters(aws, names, secure)));
    let secrets = wanted.iter().filter(|lookup| matches!(lookup, Lookup::Secret { .. }));
    let secrets = join_all(secrets.map(|lookup| async move { (lookup.clone(), secret(aws, lookup).await) }));
    let (parameters, secrets) = tokio::join!(parameters, secrets);
    parameters.into_iter().flatten().chain(secrets).collect()
}

/// Names in groups for one call each: no parameter is in a group twice, with one version and with another, and a caller who may not
/// read AWS's public ones still reads the others.
fn batches<'a>(names: impl Iterator<Item = &'a str>) -> Vec<Vec<&'a str>> {
    let mut batches: Vec<Vec<&str>> = Vec::new();
    for name in names {
        let fits = |batch: &&mut Vec<&str>| {
            batch.len() < MOST_NAMES
                && batch.iter().all(|other| {
                    split(other).0 != split(name).0 && is_public_parameter(other) == is_public_parameter(name)
                })
        };
        match batches.iter_mut().find(fits) {
            Some(batch) => batch.push(name),
            None => batches.push(vec![name]),
        }
    }
    batches
}

/// A parameter's name, and its version with the colon before it.
fn split(name: &str) -> (&str, &str) {
    if name.starts_with("arn:") { (name, "") } else { name.split_at(name.find(':').unwrap_or(name.len())) }
}

async fn parameters(aws: &Aws, names: Vec<&str>, secure: bool) -> Vec<Answer> {
    let input = json!({ "Names": names, "WithDecryption": secure });
    let answer = aws.json_call(SSM, "GetParameters", &input).await;
    let found = |name: &str| -> Result<String, Missing> {
        let answer = answer.as_ref().map_err(|error| unread(error, &format!("the SSM parameter \"{name}\"")))?;
        let (base, version) = split(name);
        let is_it = |parameter: &&Value| {
            [&parameter["Name"], &parameter["ARN"]].into_iter().any(|known| known == base || known == name)
                && parameter["Selector"].as_str().unwrap_or_default() == version
        };
        let parameter = answer["Parameters"].as_array().into_iter().flatten().find(is_it);
        let Some(parameter) = parameter else { return Err(no_parameter(aws, name, secure)) };
        if parameter["Type"] == "SecureString" && !secure {
            return Err(Missing {
                what: format!("the SSM parameter \"{name}\" is a SecureString"),
                help: Some(format!("write {{{{resolve:ssm-secure:{name}}}}} where it is used")),
            });
        }
        Ok(parameter["Value"].as_str().unwrap_or_default().to_owned())
    };
    let lookup = |name: &str| Lookup::Parameter { name: name.to_owned(), secure };
    names.iter().map(|name| (lookup(name), found(name))).collect()
}

fn no_parameter(aws: &Aws, name: &str, secure: bool) -> Missing {
    let (base, version) = split(name);
    let of = if version.is_empty() { String::new() } else { format!(" with the version {}", &version[1..]) };
    let kind = if secure { "SecureString" } else { "String" };
    Missing {
        what: format!("there is no SSM parameter \"{base}\"{of} in {}", aws.scope().region),
        help: Some(command(aws, &format!("ssm put-parameter --name {base} --type {kind} --value VALUE"))),
    }
}

async fn secret(aws: &Aws, lookup: &Lookup) -> Result<String, Missing> {
    let Lookup::Secret { id, key, stage, version } = lookup else { return Ok(String::new()) };
    let mut input = json!({ "SecretId": id });
    for (name, value) in [("VersionStage", stage), ("VersionId", version)] {
        if let Some(value) = value {
            input[name] = value.as_str().into();
        }
    }
    let answer = match aws.json_call(SECRETS, "GetSecretValue", &input).await {
        Ok(answer) => answer,
        Err(error) if error.is(Meaning::NotFound) => {
            return Err(Missing {
                what: format!("there is no value of the secret \"{id}\" in {}: {}", aws.scope().region, error.message),
                help: Some(command(aws, &format!("secretsmanager create-secret --name {id} --secret-string VALUE"))),
            });
        }
        Err(error) => return Err(unread(&error, &format!("the secret \"{id}\""))),
    };
    let Some(text) = answer["SecretString"].as_str() else {
        return Err(Missing { what: format!("the secret \"{id}\" has no SecretString: it is binary"), help: None });
    };
    let Some(key) = key else { return Ok(text.to_owned()) };
    let lacks = |why: &str| Missing { what: format!("the secret \"{id}\" has no key \"{key}\"{why}"), help: None };
    let document: Value = serde_json::from_str(text).map_err(|_| lacks(": its SecretString is no JSON"))?;
    match document.get(key) {
        Some(Value::String(text)) => Ok(text.clone()),
        Some(value @ (Value::Number(_) | Value::Bool(_))) => Ok(value.to_string()),
        Some(_) => Err(lacks(" that is a text")),
        None => Err(lacks("")),
    }
}

fn unread(error: &CallError, what: &str) -> Missing {
    let help = error.is(Meaning::Denied).then(|| "the permissions that it takes: wschat policy".to_owned());
    Missing { what: format!("{what} could not be read: {error}"), help }
}

/// How the AWS CLI does it.
fn command(aws: &Aws, words: &str) -> String {
    let command = format!("aws {words} --region {}", aws.scope().region);
    if aws.is_local() {
        format!("create it: eval \"$(wschat env)\" && {command}")
    } else {
        format!("create it: {command}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_call_names_a_parameter_twice_or_too_many() {
        let names: Vec<String> = (0..12).map(|number| format!("/p{number}")).collect();
        let names = names.iter().map(String::as_str).chain(["/p0:3", "arn:aws:ssm:r:1:parameter/p0"]);
        let batches = batches(names);
        let sizes: Vec<usize> = batches.iter().map(Vec::len).collect();
        assert_eq!(sizes, [10, 4]);
        assert!(!batches[0].contains(&"/p0:3"));
        let public = "/aws/service/ami/x";
        assert_eq!(super::batches(["/a", public, "/b"].into_iter()), [vec!["/a", "/b"], vec![public]]);
        assert_eq!(split("/p0:3"), ("/p0", ":3"));
    }
}
