//! What is wrong with a template, where, and what to do about it.

use std::fmt;

use serde::Serialize;

/// Where in a template: the keys and indexes from its root (`Resources`, `ConnectRoute`, `Properties`, `Target`).
#[derive(Debug, Clone, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Path(pub Vec<Step>);

/// One step down into a template.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(untagged)]
pub enum Step {
    Key(String),
    Index(usize),
}

impl Path {
    /// The path of `key` below this one.
    pub fn key(&self, key: &str) -> Self {
        self.with(Step::Key(key.to_owned()))
    }

    /// The path of element `index` below this one.
    pub fn index(&self, index: usize) -> Self {
        self.with(Step::Index(index))
    }

    /// The path of what `below` leads to from here.
    pub fn join(&self, below: &Path) -> Self {
        Self(self.0.iter().chain(&below.0).cloned().collect())
    }

    /// Whether `other` is this path or leads below it.
    pub fn is_above(&self, other: &Path) -> bool {
        other.0.starts_with(&self.0)
    }

    fn with(&self, step: Step) -> Self {
        let mut steps = self.0.clone();
        steps.push(step);
        Self(steps)
    }
}

impl fmt::Display for Path {
    /// `Resources/ConnectRoute/Properties/Target`, as cfn-lint writes paths.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (position, step) in self.0.iter().enumerate() {
            if position > 0 {
                f.write_str("/")?;
            }
            match step {
                Step::Key(key) => f.write_str(key)?,
                Step::Index(index) => write!(f, "{index}")?,
            }
        }
        Ok(())
    }
}

/// A place in the text of a template.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Position {
    /// From 1.
    pub line: usize,
    /// From 1, in characters.
    pub column: usize,
}

/// What sort of error a problem is: code that distinguishes errors compares this, never the message.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum ProblemKind {
    /// The text cannot be read: it is no YAML or no JSON.
    Syntax,
    /// A property, section, function, type or other name that does not exist.
    Unknown,
    /// A required property, section or value is missing.
    Missing,
    /// A value of the wrong type: a list instead of a string.
    IllTyped,
    /// A value of the right type that AWS does not accept, there or together with others.
    #[default]
    Invalid,
    /// It refers to what the template does not have, or to something of another sort than it must.
    BadReference,
    /// It refers to a resource that is left out because its condition is false.
    ConditionFalse,
    /// Two things that AWS takes for one, or a key that is given twice.
    Duplicate,
    /// CloudFormation or SAM accepts it, wschat does not.
    Unsupported,
}

/// One problem of a template.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Problem {
    /// What sort of error it is; of a warning, its rule says that.
    pub kind: ProblemKind,
    pub path: Path,
    /// The place, where the text could not be read far enough to have paths.
    pub position: Option<Position>,
    /// Whether `path`'s last key itself is wrong (an unknown property), not the value under it.
    pub at_key: bool,
    /// The part of the value that is wrong: the name in the `${}` of a `Fn::Sub`.
    pub part: Option<String>,
    /// What is wrong and why: one sentence, no full stop.
    pub what: String,
    /// What to do: `did you mean "RouteKey"?`
    pub help: Option<String>,
    /// The values that this depends on, besides what `what` quotes: where one of them was made up, nothing is proved.
    pub depends_on_values: Vec<Path>,
    /// The rule of the lint that this breaks, and then it is a warning; without one it is an error, and nothing can be
    /// done with the template.
    pub rule: Option<&'static str>,
}

impl Problem {
    /// A problem with the value at `path`.
    pub fn new(path: Path, what: impl Into<String>) -> Self {
        Self {
            kind: ProblemKind::default(),
            path,
            position: None,
            at_key: false,
            part: None,
            what: what.into(),
            help: None,
            depends_on_values: Vec::new(),
            rule: None,
        }
    }

    /// A problem of the text itself.
    pub fn of_text(position: Option<Position>, what: impl Into<String>) -> Self {
        Self { position, ..Self::new(Path::default(), what) }
    }

    /// A problem with the key that `path` ends in.
    pub fn of_key(path: Path, what: impl Into<String>) -> Self {
        Self { at_key: true, ..Self::new(path, what) }
    }

    /// The same problem, as one of this kind.
    pub fn kind(self, kind: ProblemKind) -> Self {
        Self { kind, ..self }
    }

    /// The same problem, which other values at these paths would not have.
    pub fn depending_on_values(self, depends_on_values: impl IntoIterator<Item = Path>) -> Self {
        Self { depends_on_values: depends_on_values.into_iter().collect(), ..self }
    }

    /// The same problem, with the name `part` in a `Fn::Sub`.
    pub fn within(self, part: &str) -> Self {
        Self { part: Some(part.to_owned()), ..self }
    }

    /// The same problem with advice.
    pub fn help(mut self, help: impl Into<String>) -> Self {
        self.help = Some(help.into());
        self
    }

    /// The same problem, with the known name nearest to `given` as advice; all of them where none is near and there are
    /// few enough to read.
    pub fn suggest<'a>(self, given: &str, known: impl IntoIterator<Item = &'a str>) -> Self {
        let known: Vec<&str> = known.into_iter().collect();
        self.meant(nearest(given, &known), &known)
    }

    /// The same, where the nearest name is at hand.
    pub fn meant(self, nearest: Option<&str>, known: &[&str]) -> Self {
        match nearest {
            Some(name) => self.help(format!("did you mean \"{name}\"?")),
            None if known.is_empty() || known.len() > 20 => self,
            None => {
                let mut known = known.to_vec();
                known.sort_unstable();
                self.help(format!("known here: {}", known.join(", ")))
            }
        }
    }

    /// The same problem, seen from `above`: its path is below that one.
    pub fn below(mut self, above: &Path) -> Self {
        self.path = above.join(&self.path);
        self.depends_on_values = self.depends_on_values.iter().map(|path| above.join(path)).collect();
        self
    }
}

/// What to write instead of the word `given`, which is not among the `allowed` ones. `ON`, `OFF`, `YES` and `NO` without quotes are
/// booleans in the YAML that CloudFormation reads, version 1.1, and it refuses them so (aws/aws-cdk#875).
pub fn instead(given: &str, allowed: &[&str]) -> String {
    let unquoted: &[&str] = match given {
        "true" => &["on", "yes"],
        "false" => &["off", "no"],
        _ => &[],
    };
    if let Some(meant) = allowed.iter().find(|word| unquoted.contains(&word.to_lowercase().as_str())) {
        return format!("YAML reads {meant} without quotes as {given}: write \"{meant}\"");
    }
    match nearest(given, allowed) {
        Some(name) => format!("did you mean \"{name}\"?"),
        None => format!("allowed: {}", allowed.join(", ")),
    }
}

/// The name that `given` was most likely meant to be, if any is near enough: one slip of the finger away (a letter too
/// many, too few, another, or two that changed places), or alike as a whole.
pub fn nearest<'a>(given: &str, known: &[&'a str]) -> Option<&'a str> {
    let given = given.to_lowercase();
    let rank = |name: &&'a str| {
        let name = name.to_lowercase();
        // In a name of two letters one slip is half of it.
        let (long, given_long) = (name.chars().count(), given.chars().count());
        let comparable = long > 2 && given_long > 1 && long.abs_diff(given_long) <= 1;
        let slip = comparable && strsim::osa_distance(&given, &name) <= 1;
        let likeness = strsim::jaro_winkler(&given, &name);
        (slip || likeness > 0.85).then_some((slip, likeness))
    };
    known
        .iter()
        .filter_map(|name| Some((rank(name)?, *name)))
        .max_by(|((slip, likeness), _), ((other_slip, other), _)| slip.cmp(other_slip).then(likeness.total_cmp(other)))
        .map(|(_, name)| name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_word_that_yaml_reads_as_a_boolean_is_quoted() {
        for (given, allowed, expected) in [
            ("false", ["ERROR", "INFO", "OFF"], "YAML reads OFF without quotes as false: write \"OFF\""),
            ("true", ["OFF", "ON", "OPTIONAL"], "YAML reads ON without quotes as true: write \"ON\""),
            ("true", ["ERROR", "INFO", "OFF"], "allowed: ERROR, INFO, OFF"),
            ("INFOS", ["ERROR", "INFO", "OFF"], "did you mean \"INFO\"?"),
        ] {
            assert_eq!(instead(given, &allowed), expected);
        }
    }

    #[test]
    fn the_nearest_name_is_one_slip_away_or_alike() {
        let names = ["Api", "Arn", "ConnectInteg", "ConnectRoute", "Ref", "Sub", "Tags", "Id"];
        let cases = [
            ("Ann", Some("Arn")),
            ("Aip", Some("Api")),
            ("APi", Some("Api")),
            ("Su", Some("Sub")),
            ("Subs", Some("Sub")),
            ("Tag", Some("Tags")),
            ("ConectInteg", Some("ConnectInteg")),
            ("ConnectIntegration", Some("ConnectInteg")),
            ("ConnectRoutes", Some("ConnectRoute")),
            ("Is", None),
            ("R", None),
            ("Table", None),
            ("", None),
        ];
        for (given, expected) in cases {
            assert_eq!(nearest(given, &names), expected, "{given}");
        }
    }
}
