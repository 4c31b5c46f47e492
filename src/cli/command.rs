//! The commands that messages tell the user to run. All are made here, so that each applies to the stack, the account
//! or local cloud, and the template of the current run.

use std::ffi::OsStr;
use std::fmt;

/// The flags that a group of arguments adds to a command.
pub trait Flags {
    /// Adds every flag that was given. Implementations destructure without `..`, so that the compiler finds a new flag
    /// that is missing here.
    fn add_to(&self, command: &mut Command);
}

/// A `wschat` command; displayed as it is typed in a shell.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Command {
    words: Vec<String>,
}

impl Command {
    /// `wschat COMMAND`; a command may be two words (`local stop`).
    pub fn new(verb: &str) -> Self {
        Self { words: std::iter::once("wschat").chain(verb.split(' ')).map(str::to_owned).collect() }
    }

    /// The same, with the flags of `arguments`.
    pub fn with(mut self, arguments: &impl Flags) -> Self {
        arguments.add_to(&mut self);
        self
    }

    /// The same, with an option.
    pub fn and(mut self, name: &str, value: impl AsRef<OsStr>) -> Self {
        self.option(name, Some(value));
        self
    }

    /// The same, with a flag.
    pub fn flagged(mut self, name: &str) -> Self {
        self.flag(name, true);
        self
    }

    /// Adds an option (`--stack`), if it has a value.
    pub fn option(&mut self, name: &str, value: Option<impl AsRef<OsStr>>) {
        let Some(value) = value else { return };
        let value = value.as_ref().to_string_lossy();
        if value.starts_with('-') {
            // As a separate word, it would be read as a flag.
            self.words.push(format!("{name}={value}"));
        } else {
            self.words.extend([name.to_owned(), value.into_owned()]);
        }
    }

    /// Adds a flag without a value, if it was given.
    pub fn flag(&mut self, name: &str, given: bool) {
        if given {
            self.words.push(name.to_owned());
        }
    }
}

impl fmt::Display for Command {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, word) in self.words.iter().enumerate() {
            if index > 0 {
                f.write_str(" ")?;
            }
            f.write_str(&quoted(word))?;
        }
        Ok(())
    }
}

/// A word quoted for POSIX shells.
pub(super) fn quoted(word: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_./:=@%+,".contains(c);
    if !word.is_empty() && word.chars().all(plain) {
        return word.to_owned();
    }
    format!("'{}'", word.replace('\'', r"'\''"))
}

#[cfg(test)]
mod tests {
    use super::*;

    use clap::Parser;
    use proptest::prelude::*;

    use super::super::local::DataFolder;
    use super::super::{Cli, desired, project, target};

    /// The groups of arguments that commands have.
    #[derive(Debug, Parser)]
    enum Groups {
        #[command(name = "up")]
        Desired {
            #[command(flatten)]
            arguments: desired::Args,
        },
        #[command(name = "down")]
        Target {
            #[command(flatten)]
            arguments: target::Args,
        },
        #[command(name = "status")]
        Both {
            #[command(flatten)]
            target: target::Args,
            #[command(flatten)]
            project: project::Args,
        },
        #[command(name = "validate")]
        Project {
            #[command(flatten)]
            arguments: project::Args,
        },
        #[command(name = "local")]
        Local {
            #[command(flatten)]
            arguments: DataFolder,
            #[command(subcommand)]
            verb: Stop,
        },
    }

    #[derive(Debug, clap::Subcommand)]
    enum Stop {
        Stop,
    }

    impl Groups {
        fn command(&self) -> Command {
            match self {
                Self::Desired { arguments } => Command::new("up").with(arguments),
                Self::Target { arguments } => Command::new("down").with(arguments),
                Self::Both { target, project } => Command::new("status").with(target).with(project),
                Self::Project { arguments } => Command::new("validate").with(arguments),
                Self::Local { arguments, .. } => Command::new("local stop").with(arguments),
            }
        }
    }

    /// The words into which a shell splits a command.
    fn words(command: &str) -> Vec<String> {
        let script = format!("set -- {command}\nprintf '%s\\0' \"$@\"");
        let output = std::process::Command::new("sh").args(["-c", &script]).output().unwrap();
        let text = String::from_utf8(output.stdout).unwrap();
        text.split_terminator('\0').map(str::to_owned).collect()
    }

    /// Any of these flags, with any values, in any order.
    fn flags(known: Vec<(&'static str, bool)>) -> impl Strategy<Value = Vec<String>> {
        let count = known.len();
        let flag = move |(name, valued): (&'static str, bool), value: String| match (name, valued) {
            ("--parameter", _) => vec![format!("--parameter=P{value}={value}")],
            ("--tag", _) => vec![format!("--tag=key={value}")],
            (name, true) => vec![format!("{name}={value}")],
            (name, false) => vec![name.to_owned()],
        };
        let flag = (proptest::sample::select(known), "[ -~é]{0,9}").prop_map(move |(name, value)| flag(name, value));
        proptest::collection::vec(flag, 0..=count).prop_map(|flags| {
            let mut flags: Vec<String> = flags.into_iter().flatten().collect();
            let name = |flag: &String| flag.split('=').next().unwrap().to_owned();
            let several = ["--parameter", "--parameter-default", "--tag", "--allow-data-loss"];
            let mut seen = std::collections::BTreeSet::new();
            flags.retain(|flag| several.contains(&name(flag).as_str()) || seen.insert(name(flag)));
            // These two exclude each other.
            if seen.contains("--local") {
                flags.retain(|flag| name(flag) != "--endpoint-url");
            }
            flags
        })
    }

    fn typed() -> impl Strategy<Value = Vec<String>> {
        let target = [
            ("--stack", true),
            ("--region", true),
            ("--profile", true),
            ("--endpoint-url", true),
            ("--local", false),
            ("--data", true),
            ("--env", true),
        ];
        let project = [("--template", true), ("--parameter", true), ("--parameter-default", true), ("--tag", true)];
        let desired = [target.as_slice(), &project, &[("--allow-data-loss", true)]].concat();
        let verb = |verb: &'static str, known: Vec<(&'static str, bool)>| {
            flags(known).prop_map(move |flags| [verb.split(' ').map(str::to_owned).collect(), flags].concat())
        };
        prop_oneof![
            verb("up", desired),
            verb("down", target.to_vec()),
            verb("status", [target.as_slice(), &project].concat()),
            verb("validate", project.to_vec()),
            verb("local stop", vec![("--data", true)]),
        ]
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(128))]

        #[test]
        fn a_command_that_is_pasted_means_the_same(typed in typed()) {
            let arguments = |words: &[String]| [&["wschat".to_owned()], words].concat();
            let Ok(first) = Groups::try_parse_from(arguments(&typed)) else { return Ok(()) };
            let command = first.command();
            let pasted = words(&command.to_string());
            prop_assert_eq!(&pasted, &command.words);
            // The command must also be valid as a whole.
            let whole = Cli::try_parse_from(&pasted);
            prop_assert!(whole.is_ok(), "{}: {:?}", command, whole.err());
            let second = Groups::try_parse_from(&pasted).unwrap();
            prop_assert_eq!(&second.command(), &command);
            // Only parameters may be replaced by placeholders, only the local cloud has a data folder, and an empty name of an
            // environment is none.
            let hides = typed.iter().any(|word| word.starts_with("--parameter"));
            let drops = typed[0] != "local" && typed.iter().any(|word| word.starts_with("--data="));
            if !hides && !drops && !typed.contains(&"--env=".to_owned()) {
                prop_assert_eq!(format!("{second:?}"), format!("{first:?}"));
            }
        }
    }

    #[test]
    fn words_with_special_characters_are_quoted() {
        let command = Command::new("local logs").and("--data", "my folder").and("--stack", "it's").and("-t", "-x");
        assert_eq!(command.to_string(), r"wschat local logs --data 'my folder' --stack 'it'\''s' -t=-x");
        assert_eq!(
            Command::new("up").and("--stack", "").and("--region", "eu-west-1").to_string(),
            "wschat up --stack '' --region eu-west-1"
        );
        assert_eq!(Command::new("up").and("--parameter", "A=$HOME").to_string(), "wschat up --parameter 'A=$HOME'");
    }
}
