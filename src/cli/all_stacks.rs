//! The same command for every stack of a CDK app, one after the other: what `cdk deploy --all` does.

use std::path::Path;

use super::error::CommandError;
use super::exit::{Ended, Exit};
use super::project;
use crate::ui::Ui;

/// Whether one stack is meant, or all of an app.
#[derive(Debug, Clone, Copy, clap::Args)]
#[group(skip)]
pub struct Args {
    /// All stacks of a synthesised CDK app, each after those that it depends on (`down`: before them)
    #[arg(long, conflicts_with = "stack")]
    all_stacks: bool,
}

/// In which order stacks are taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Order {
    /// What others need comes first.
    Needed,
    /// What needs others comes first.
    Needing,
}

impl Args {
    /// The names of all stacks of the app at `template`; `None` where one stack is meant.
    ///
    /// # Errors
    /// When there is no app.
    pub fn names(self, template: Option<&Path>, order: Order) -> Result<Option<Vec<String>>, CommandError> {
        if !self.all_stacks {
            return Ok(None);
        }
        let mut names = project::names_in_app(template)?;
        if order == Order::Needing {
            names.reverse();
        }
        Ok(Some(names))
    }
}

/// Runs a command for one stack after the other, and ends as they did: as the first that fails, else as the worst.
///
/// # Errors
/// That of the first stack that fails: no other is begun then.
pub async fn each(
    names: &[String],
    ui: &Ui,
    run: impl AsyncFn(&str) -> Result<Ended, CommandError>,
) -> Result<Ended, CommandError> {
    let mut ends = Vec::new();
    for (index, name) in names.iter().enumerate() {
        let ended = run(name).await.map_err(|error| {
            let list = |names: &[String]| if names.is_empty() { "none".to_owned() } else { names.join(", ") };
            let (done, rest) = (list(&names[..index]), list(&names[index + 1..]));
            error.advice(format!("of the app's stacks, this was {name}; done before: {done}; not begun: {rest}"))
        })?;
        ends.push(ended.exit);
        if index + 1 == names.len() {
            return Ok(Ended { exit: worst(&ends), event: ended.event });
        }
        ended.event.iter().for_each(|event| ui.event(event));
    }
    Ok(Exit::Ok.into())
}

/// The exit code for several stacks: an app of which one stack is not there differs from what it should be.
fn worst(ends: &[Exit]) -> Exit {
    match ends {
        [] => Exit::Ok,
        [first, rest @ ..] if rest.iter().all(|end| end == first) => *first,
        _ => Exit::Differs,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn several_ends_are_one() {
        for (ends, expected) in [
            (&[][..], Exit::Ok),
            (&[Exit::Ok, Exit::Ok], Exit::Ok),
            (&[Exit::NotThere, Exit::NotThere], Exit::NotThere),
            (&[Exit::Ok, Exit::NotThere], Exit::Differs),
            (&[Exit::Differs, Exit::Ok], Exit::Differs),
        ] {
            assert_eq!(worst(ends), expected, "{ends:?}");
        }
    }
}
