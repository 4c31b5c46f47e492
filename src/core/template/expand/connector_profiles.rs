//! The pairs of types that SAM's connectors connect, and what each is made into.

use serde_json::{Value, json};

const PROFILES: &str = include_str!("connector_profiles.txt");

/// One pair.
#[derive(Debug, Default)]
pub struct Profile {
    /// `policy`, `queue`, `topic` or `permission`.
    pub made: &'static str,
    /// Whether it is the source's, not the destination's.
    pub of_source: bool,
    /// What is made only after it: `mapping` or `source`.
    pub before: Option<&'static str>,
    /// The sets of permissions that are valid, if not any.
    pub only: Vec<Vec<&'static str>>,
    pub permissions: Vec<Permission>,
}

/// `Read` or `Write`, and what it stands for.
#[derive(Debug)]
pub struct Permission {
    pub name: &'static str,
    /// Statements of a policy, with `%{...}` for what is known of the two.
    pub statements: Vec<Value>,
    /// The service that may invoke the function, on behalf of which resource, and of which account.
    pub invoke: Vec<&'static str>,
}

/// The profile of a pair of CloudFormation's types.
pub fn find(source: &str, destination: &str) -> Option<Profile> {
    let begins = format!("{source} {destination} ");
    let mut lines = PROFILES.lines();
    let head = lines.find_map(|line| line.strip_prefix(&begins))?;
    let mut words = head.split(' ');
    let (made, owner) = (words.next()?, words.next()?);
    let mut profile = Profile { made, of_source: owner == "source", ..Profile::default() };
    while let (Some(word), Some(what)) = (words.next(), words.next()) {
        match word {
            "before" => profile.before = Some(what),
            _ => profile.only = what.split(',').map(|set| set.split('+').collect()).collect(),
        }
    }
    for line in lines.take_while(|line| line.starts_with(' ')) {
        profile.read(line)?;
    }
    Some(profile)
}

/// The types that a source of the type `source` can be connected to.
pub fn destinations(source: &str) -> impl Iterator<Item = &'static str> {
    PROFILES.lines().filter_map(move |line| {
        let mut words = line.split(' ');
        (words.next() == Some(source)).then(|| words.next()).flatten()
    })
}

impl Profile {
    /// Adds what one line says.
    fn read(&mut self, line: &'static str) -> Option<()> {
        let line = line.trim_start();
        let Some((word, rest)) = line.split_once(' ') else {
            self.permissions.push(Permission { name: line, statements: Vec::new(), invoke: Vec::new() });
            return Some(());
        };
        let permission = self.permissions.last_mut()?;
        if word == "invoke" {
            permission.invoke = rest.split(' ').collect();
            return Some(());
        }
        if word == "allow" {
            permission.statements.push(json!({ "Effect": "Allow", "Action": list(rest) }));
            return Some(());
        }
        let statement = permission.statements.last_mut()?;
        match word {
            "on" => statement["Resource"] = list(rest),
            "to" => statement["Principal"] = json!({ "Service": rest }),
            _ => {
                let mut parts = rest.splitn(3, ' ');
                let (operator, key, value) = (parts.next()?, parts.next()?, parts.next()?);
                statement["Condition"] = json!({ operator: { key: value } });
            }
        }
        Some(())
    }
}

/// `[a b]` as a list, `a` as itself.
fn list(text: &'static str) -> Value {
    match text.strip_prefix('[').and_then(|text| text.strip_suffix(']')) {
        Some(items) => items.split(' ').map(Value::from).collect(),
        None => text.into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_line_of_the_data_is_read() {
        let pairs = PROFILES.lines().filter(|line| line.starts_with("AWS::"));
        for line in pairs {
            let mut words = line.split(' ');
            let (source, destination) = (words.next().unwrap(), words.next().unwrap());
            let profile = find(source, destination).unwrap_or_else(|| panic!("{line}"));
            assert!(["policy", "queue", "topic", "permission"].contains(&profile.made), "{line}");
            let is_whole = |permission: &Permission| match profile.made {
                "permission" => permission.invoke.len() > 1,
                _ => {
                    permission.statements.iter().all(|it| !it["Resource"].is_null())
                        && !permission.statements.is_empty()
                }
            };
            assert!(!profile.permissions.is_empty() && profile.permissions.iter().all(is_whole), "{line}");
            assert!(destinations(source).any(|known| known == destination));
        }
    }
}
