//! SAM's `samconfig.toml`: the settings of its `deploy` that mean something here.
//!
//! An environment of SAM's has all its settings itself; none are inherited from `[default]`.

use std::collections::{BTreeMap, BTreeSet};

use toml::de::{DeTable, DeValue};

use super::{Found, Mistake, Tables, Text, Value, Values};

/// The file's name.
pub const FILE: &str = "samconfig.toml";

/// SAM's name for settings outside of any environment.
const DEFAULT: &str = "default";

/// The commands whose settings are read, the weaker one first.
const COMMANDS: &[&str] = &["global", "deploy"];

/// SAM's keys and the settings that they are here.
const KEYS: &[(&str, &str)] = &[
    ("stack_name", "stack"),
    ("region", "region"),
    ("profile", "profile"),
    ("template", "template"),
    ("template_file", "template"),
    ("parameter_overrides", "parameters"),
    ("tags", "tags"),
    ("confirm_changeset", "confirm"),
    ("disable_rollback", "keep_on_failure"),
];

/// Keys that nothing has to replace here, and why.
const NEEDLESS: &[(&str, &str)] = &[
    ("s3_bucket", "code goes straight to Lambda"),
    ("s3_prefix", "code goes straight to Lambda"),
    ("resolve_s3", "code goes straight to Lambda"),
    ("force_upload", "code goes straight to Lambda"),
    ("no_progressbar", "code goes straight to Lambda"),
    ("kms_key_id", "code goes straight to Lambda"),
    ("capabilities", "the plan shows which permissions widen"),
    ("fail_on_empty_changeset", "an `up` without changes succeeds"),
    ("no_execute_changeset", "that is `wschat plan`"),
    ("image_repository", "functions are zips"),
    ("image_repositories", "functions are zips"),
    ("resolve_image_repos", "functions are zips"),
];

/// Reads a file; gives a sentence on what is not used of it, too.
pub(super) fn parse(text: &str) -> Result<(Tables, Option<String>), Mistake> {
    let text = Text(text);
    let document = text.document()?;
    let mut tables = Tables::default();
    let mut ignored = BTreeSet::new();
    for (name, value) in document.get_ref() {
        let name = name.get_ref().as_ref();
        // `version = 0.1` stands beside them.
        let DeValue::Table(commands) = value.get_ref() else { continue };
        let values = environment(&text, name, commands, &mut ignored)?;
        if name == DEFAULT {
            tables.default = values.clone();
        }
        // `--env default` is the default one, as in SAM.
        tables.environments.insert(name.to_owned(), values);
    }
    Ok((tables, sentence(&ignored)))
}

fn environment(
    text: &Text<'_>,
    name: &str,
    commands: &DeTable<'_>,
    ignored: &mut BTreeSet<String>,
) -> Result<Values, Mistake> {
    let mut values = Values::new();
    for command in COMMANDS {
        let table = commands.iter().find(|(name, _)| name.get_ref().as_ref() == *command);
        let Some(DeValue::Table(table)) = table.map(|(_, value)| value.get_ref()) else { continue };
        let parameters = table.iter().find(|(name, _)| name.get_ref().as_ref() == "parameters");
        let Some(DeValue::Table(parameters)) = parameters.map(|(_, value)| value.get_ref()) else { continue };
        for (key, value) in parameters {
            let place = key.span().start;
            let key = key.get_ref().as_ref();
            let Some((_, ours)) = KEYS.iter().find(|(theirs, _)| *theirs == key) else {
                ignored.insert(key.to_owned());
                continue;
            };
            let Some(value) = read(ours, value.get_ref()) else {
                return Err(text.at(place, format!("{key} cannot be read: {}", form(ours))));
            };
            let table = format!("{name}.{command}.{}", super::PARAMETERS);
            values.insert(ours, Found { value, line: text.line(place), table });
        }
    }
    Ok(values)
}

fn form(key: &str) -> &'static str {
    match key {
        "parameters" | "tags" => "it must be \"NAME=VALUE NAME=VALUE\", or a list of NAME=VALUE",
        "confirm" | "keep_on_failure" => "it must be true or false",
        _ => "it must be a text in quotes",
    }
}

fn read(key: &str, value: &DeValue<'_>) -> Option<Value> {
    match (key, value) {
        ("parameters" | "tags", DeValue::String(text)) => Some(Value::Table(pairs(text)?)),
        ("parameters" | "tags", DeValue::Array(items)) => {
            let mut all = BTreeMap::new();
            for item in items {
                let DeValue::String(text) = item.get_ref() else { return None };
                // A whole item is one pair, whatever blanks it has.
                let (name, value) = text.split_once('=').filter(|(name, _)| *name != KEY)?;
                all.insert(name.trim().to_owned(), value.trim_matches('"').to_owned());
            }
            Some(Value::Table(all))
        }
        ("confirm" | "keep_on_failure", DeValue::Boolean(value)) => Some(Value::Switch(*value)),
        ("confirm" | "keep_on_failure", DeValue::String(text)) => text.parse().ok().map(Value::Switch),
        (_, DeValue::String(text)) if !text.is_empty() => Some(Value::Text(text.to_string())),
        _ => None,
    }
}

/// CloudFormation's own form of a pair: `ParameterKey=A,ParameterValue=b`.
const KEY: &str = "ParameterKey";

/// The pairs of `A=b C="d e"` or `ParameterKey=A,ParameterValue=b ...`.
fn pairs(text: &str) -> Option<BTreeMap<String, String>> {
    words(text)
        .into_iter()
        .map(|word| {
            let (name, value) = word.split_once('=')?;
            if name != KEY {
                return Some((name.to_owned(), value.to_owned()));
            }
            let (name, value) = value.split_once(",ParameterValue=")?;
            Some((name.to_owned(), value.to_owned()))
        })
        .collect()
}

/// Splits at blanks outside of quotes, and takes the quotes away.
fn words(text: &str) -> Vec<String> {
    let mut words = Vec::new();
    let (mut word, mut quote, mut begun) = (String::new(), None, false);
    let mut letters = text.chars();
    while let Some(letter) = letters.next() {
        match (letter, quote) {
            ('\\', _) => word.extend(letters.next()),
            ('"' | '\'', None) => quote = Some(letter),
            (_, Some(open)) if letter == open => quote = None,
            (_, None) if letter.is_whitespace() => {
                if std::mem::take(&mut begun) {
                    words.push(std::mem::take(&mut word));
                }
                continue;
            }
            _ => word.push(letter),
        }
        begun = true;
    }
    if begun {
        words.push(word);
    }
    words
}

/// The bucket that an environment of a file names for SAM's uploads.
pub fn bucket(text: &str, environment: Option<&str>) -> Option<String> {
    fn find<'t, 'd>(table: &'t DeTable<'d>, name: &str) -> Option<&'t DeValue<'d>> {
        table.iter().find(|(key, _)| key.get_ref().as_ref() == name).map(|(_, value)| value.get_ref())
    }
    fn below<'t, 'd>(table: &'t DeTable<'d>, name: &str) -> Option<&'t DeTable<'d>> {
        if let DeValue::Table(found) = find(table, name)? { Some(found) } else { None }
    }
    let text = Text(text);
    let document = text.document().ok()?;
    let environment = below(document.get_ref(), environment.unwrap_or(DEFAULT))?;
    // What a command says itself comes before what is said for all.
    COMMANDS.iter().rev().find_map(|command| {
        let parameters = below(below(environment, command)?, "parameters")?;
        if let DeValue::String(bucket) = find(parameters, "s3_bucket")? { Some(bucket.to_string()) } else { None }
    })
}

/// What is not used, with the reasons.
fn sentence(ignored: &BTreeSet<String>) -> Option<String> {
    let mut by_reason: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    for key in ignored {
        let reason = NEEDLESS.iter().find(|(name, _)| name == key).map_or("it has no counterpart here", |(_, why)| why);
        by_reason.entry(reason).or_default().push(key);
    }
    let parts: Vec<String> = by_reason.iter().map(|(why, keys)| format!("{} ({why})", keys.join(", "))).collect();
    (!parts.is_empty()).then(|| format!("{FILE}: not used: {}", parts.join("; ")))
}

/// The text of a `wschat.toml` with the same settings.
///
/// # Errors
/// What is wrong with the file, with its line where it has one.
pub fn translated(text: &str) -> Result<(String, Option<String>), String> {
    let (tables, ignored) = parse(text).map_err(|mistake| {
        mistake.line.map_or_else(|| mistake.what.clone(), |line| format!("line {line}: {}", mistake.what))
    })?;
    let mut out = super::write::HEAD.to_owned();
    let mut add = |name: &str, values: &Values| {
        if out != super::write::HEAD {
            out.push('\n');
        }
        out.push_str(&format!("[{name}]\n"));
        let (tables, plain): (Vec<_>, Vec<_>) =
            values.iter().partition(|(_, found)| matches!(found.value, Value::Table(_)));
        for (key, found) in plain {
            out.push_str(&format!("{key} = {}\n", found.value.in_toml()));
        }
        for (key, found) in tables {
            let Value::Table(entries) = &found.value else { continue };
            out.push_str(&format!("\n[{name}.{key}]\n"));
            for (name, value) in entries {
                let value = Value::Text(value.clone()).in_toml();
                out.push_str(&format!("{} = {value}\n", super::write::key_in_toml(name)));
            }
        }
    };
    add(super::DEFAULT, &tables.default);
    for (name, values) in tables.environments.iter().filter(|(name, values)| *name != DEFAULT && !values.is_empty()) {
        add(&format!("{}.{name}", super::ENVIRONMENTS), values);
    }
    Ok((out, ignored))
}

#[cfg(test)]
mod tests {
    use super::*;

    const SAM: &str = r#"version = 0.1
[default.global.parameters]
stack_name = "chat"
region = "eu-west-1"
[default.build.parameters]
cached = true
[default.deploy.parameters]
resolve_s3 = true
capabilities = "CAPABILITY_IAM"
confirm_changeset = true
parameter_overrides = "Level=\"debug info\" ParameterKey=Size,ParameterValue=3"
[prod.deploy.parameters]
stack_name = "chat-live"
parameter_overrides = ["Level=warn", "Words=a b"]
tags = "team=chat"
signing_profiles = "x"
"#;

    #[test]
    fn the_settings_of_deploy_are_read_in_every_form() {
        let (tables, ignored) = parse(SAM).unwrap();
        let table = |pairs: &[(&str, &str)]| {
            Value::Table(pairs.iter().map(|(a, b)| ((*a).to_owned(), (*b).to_owned())).collect())
        };
        let default = &tables.default;
        assert_eq!(default["stack"].value, Value::Text("chat".to_owned()));
        assert_eq!(default["confirm"].value, Value::Switch(true));
        assert_eq!(default["parameters"].value, table(&[("Level", "debug info"), ("Size", "3")]));
        assert_eq!(default["region"].line, 4);
        let prod = tables.select(Some("prod"), true).unwrap();
        assert_eq!(prod["parameters"].value, table(&[("Level", "warn"), ("Words", "a b")]));
        assert_eq!(prod["tags"].value, table(&[("team", "chat")]));
        assert_eq!((prod["stack"].value.clone(), prod.get("region")), (Value::Text("chat-live".to_owned()), None));
        assert_eq!(
            ignored.unwrap(),
            "samconfig.toml: not used: resolve_s3 (code goes straight to Lambda); signing_profiles (it has no \
             counterpart here); capabilities (the plan shows which permissions widen)"
        );
        assert_eq!(parse("[default.deploy.parameters]\nstack_name = 3\n").unwrap_err().line, Some(2));
        let with_bucket = SAM.replace("resolve_s3 = true", "s3_bucket = \"code\"");
        assert_eq!(bucket(&with_bucket, None).as_deref(), Some("code"));
        assert_eq!((bucket(&with_bucket, Some("prod")), bucket(SAM, None), bucket("", None)), (None, None, None));
    }

    #[test]
    fn what_is_translated_means_the_same() {
        let (text, _) = translated(SAM).unwrap();
        let ours = super::super::parse(&text).unwrap();
        let (theirs, _) = parse(SAM).unwrap();
        let values = |values: &Values| -> Vec<_> {
            values.iter().map(|(key, found)| ((*key).to_owned(), found.value.clone())).collect()
        };
        assert_eq!(values(&ours.default), values(&theirs.default), "{text}");
        assert_eq!(values(&ours.environments["prod"]), values(&theirs.environments["prod"]), "{text}");
    }
}
