//! The commands that messages tell the user to run. All are made here, so that each leads to the stack, place and
//! template of the run that names it.

use std::ffi::OsStr;
use std::fmt;

/// What a group of arguments adds to a command.
pub trait Flags {
    /// Adds every flag that was given. Implementations take their struct apart without `..`, so that a new flag is not
    /// forgotten here.
    fn add_to(&self, command: &mut Command);
}

/// A `wschat` command; shown as it is typed in a shell.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Command {
    words: Vec<String>,
}

impl Command {
    /// `wschat VERB`; a verb may be two words (`local stop`).
    pub fn new(verb: &str) -> Self {
        Self { words: std::iter::once("wschat").chain(verb.split(' ')).map(str::to_owned).collect() }
    }

    /// The same, with the flags that `arguments` were given.
    pub fn with(mut self, arguments: &impl Flags) -> Self {
        arguments.add_to(&mut self);
        self
    }

    /// The same, with an option.
    pub fn and(mut self, name: &str, value: impl AsRef<OsStr>) -> Self {
        self.option(name, Some(value));
        self
    }

    /// Adds an option (`--stack`), if it has a value.
    pub fn option(&mut self, name: &str, value: Option<impl AsRef<OsStr>>) {
        let Some(value) = value else { return };
        let value = value.as_ref().to_string_lossy();
        if value.starts_with('-') {
            // Apart, it would be read as a flag.
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

/// A word as POSIX shells take it literally.
fn quoted(word: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_./:=@%+,".contains(c);
    if !word.is_empty() && word.chars().all(plain) {
        return word.to_owned();
    }
    format!("'{}'", word.replace('\'', r"'\''"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_quoted_where_a_shell_would_read_more_into_them() {
        let command = Command::new("local logs").and("--data", "my folder").and("--stack", "it's").and("-t", "-x");
        assert_eq!(command.to_string(), r"wschat local logs --data 'my folder' --stack 'it'\''s' -t=-x");
        assert_eq!(Command::new("up").and("--stack", "").and("--region", "eu-west-1").to_string(), "wschat up --stack '' --region eu-west-1");
        assert_eq!(Command::new("up").and("--parameter", "A=$HOME").to_string(), "wschat up --parameter 'A=$HOME'");
    }
}
