//! Why a command failed, and what to do about it: the only place that prints errors.

use std::error::Error;
use std::fmt::{self, Write as _};

use super::exit::Exit;
use crate::aws::client::ConnectError;
use crate::core::plan::PlanError;
use crate::deploy::deployment::NoPlan;
use crate::deploy::execute::BuildError;
use crate::ui::Ui;
use crate::ui::event::{self, Hint, Problem};

/// Why a command could not do its work.
#[derive(Debug)]
pub struct CommandError {
    error: Box<dyn Error + Send + Sync>,
    /// What the error follows from, a line each.
    causes: Vec<String>,
    hints: Vec<Hint>,
    /// What is wrong with the template, or with carrying it out.
    problems: Vec<Problem>,
    /// What is printed before the error, and may be coloured: problems in their lines, or what a compiler said.
    details: Option<String>,
    /// Other errors that `details` shows: causes, for programs.
    also: Vec<String>,
    exit: Exit,
}

/// An error that has been worded already. Its advice becomes hints.
impl<E: Into<Box<dyn Error + Send + Sync>>> From<E> for CommandError {
    fn from(error: E) -> Self {
        let error = error.into();
        let new = |error| Self {
            error,
            causes: Vec::new(),
            hints: Vec::new(),
            problems: Vec::new(),
            details: None,
            also: Vec::new(),
            exit: Exit::Failed,
        };
        let error = match error.downcast::<NoPlan>().map(|error| *error) {
            Ok(NoPlan::Impossible { errors, .. }) => return Self::of_plan(&errors),
            Ok(NoPlan::NoLogRole(error)) => return Self::new(error.to_string()).hint(error.help(), error.command()),
            Ok(error @ NoPlan::Retired(_)) => error.into(),
            Ok(NoPlan::Unbuilt(error)) => error.into(),
            Ok(NoPlan::Unread(error)) => error.into(),
            Ok(NoPlan::Unnamed(error)) => error.into(),
            Ok(NoPlan::Unfinished(stack)) => {
                let (adopt, eject) = (format!("wschat adopt {}", stack.name), format!("wschat eject {}", stack.name));
                let (name, keeps_all) = (stack.name.clone(), stack.keeps_all);
                let error = Self::new(NoPlan::Unfinished(stack).to_string())
                    .hint("finish it", adopt)
                    .hint("or, where it was being handed over", eject);
                return if keeps_all { error.or_keep(&name) } else { error };
            }
            Ok(NoPlan::Unpublished(error)) => error.into(),
            Ok(NoPlan::AndUnbuilt { why, build }) => {
                let build = Self::from(build);
                let error = Self::from(*why);
                let details = error.details.iter().cloned().chain([build.to_string()]);
                let details = details.collect::<Vec<_>>().join("\n");
                return Self { also: vec![build.error.to_string()], ..error.details(details) };
            }
            Err(error) => error,
        };
        let error = match error.downcast::<BuildError>().map(|error| *error) {
            Ok(BuildError::Failed { error }) => {
                return Self::new(error.to_string()).advice_lines(error.help.as_deref());
            }
            Ok(error) => error.into(),
            Err(error) => error,
        };
        match error.downcast::<ConnectError>() {
            Ok(error) => {
                let (what, help) = error.into_parts();
                new(what.into()).advice(help)
            }
            Err(error) => new(error),
        }
    }
}

impl CommandError {
    /// An error of a sentence that says what was being done and why that failed.
    pub fn new(error: impl Into<String>) -> Self {
        Self::from(error.into())
    }

    /// What keeps a plan from being made or carried out.
    pub fn of_plan(errors: &[PlanError]) -> Self {
        let error = match errors {
            [error] => Self::new(error.message()).advice(error.help()),
            several => {
                let shown = several.iter().map(|error| format!("error: {error}"));
                let details = Some(shown.collect::<Vec<_>>().join("\n"));
                Self { details, ..Self::new(format!("there are {} problems, and nothing was changed", several.len())) }
            }
        };
        error.problems(errors.iter().map(Problem::of_plan).collect())
    }

    /// The same error, with advice.
    pub fn advice(mut self, text: impl Into<String>) -> Self {
        self.hints.push(Hint { text: text.into(), command: None });
        self
    }

    /// The same error, with a line of advice for each line of `help`, if there is any.
    pub fn advice_lines(self, help: Option<&str>) -> Self {
        help.into_iter().flat_map(str::lines).fold(self, |error, line| error.advice(line.trim_start()))
    }

    /// The same error, with a command and what it is for.
    pub fn hint(mut self, text: impl Into<String>, command: impl fmt::Display) -> Self {
        self.hints.push(Hint { text: text.into(), command: Some(command.to_string()) });
        self
    }

    /// The same error, with the way back of a stack that is CloudFormation's, too, whose template keeps all resources there.
    pub fn or_keep(self, stack: &str) -> Self {
        let what = "or let wschat alone have them: delete CloudFormation's stack, which keeps all of these resources";
        self.hint(what, format!("aws cloudformation delete-stack --stack-name {stack}"))
    }

    /// The same error, with further hints.
    pub fn hints(mut self, hints: impl IntoIterator<Item = Hint>) -> Self {
        self.hints.extend(hints);
        self
    }

    /// The same error, with what it follows from.
    pub fn because(self, causes: Vec<String>) -> Self {
        Self { causes, ..self }
    }

    /// The same error, with what is wrong.
    pub fn problems(self, problems: Vec<Problem>) -> Self {
        Self { problems, ..self }
    }

    /// The same error, with what is to be printed before it.
    pub fn details(self, details: impl Into<String>) -> Self {
        Self { details: Some(details.into()), ..self }
    }

    /// The same error, with which the command ends so.
    pub fn exits(self, exit: Exit) -> Self {
        Self { exit, ..self }
    }

    /// How the command ends with it.
    pub fn exit(&self) -> Exit {
        self.exit
    }

    /// Prints it for people, on stderr.
    pub fn print(&self, ui: &Ui) {
        if let Some(details) = &self.details {
            ui.say_excerpts(details);
        }
        ui.say(self);
    }

    /// The same for programs.
    pub fn event(&self) -> event::Failure {
        event::Failure {
            error: self.error.to_string(),
            causes: self.causes.iter().chain(&self.also).cloned().chain(self.sources()).collect(),
            problems: self.problems.clone(),
            hints: self.hints.clone(),
        }
    }

    /// The causes that errors of libraries have, but for those whose text is in the error's own.
    fn sources(&self) -> Vec<String> {
        let mut seen = self.error.to_string();
        let mut found = Vec::new();
        let mut cause = self.error.source();
        while let Some(error) = cause {
            let message = error.to_string();
            if !seen.contains(&message) {
                seen.push_str(&message);
                found.push(message);
            }
            cause = error.source();
        }
        found
    }
}

impl fmt::Display for CommandError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "error: {}", self.error)?;
        if !self.causes.is_empty() {
            write!(f, ":")?;
        }
        for cause in &self.causes {
            write!(f, "\n  {cause}")?;
        }
        for cause in self.sources() {
            write!(f, "\n  caused by: {cause}")?;
        }
        f.write_str(&lines(&self.hints))
    }
}

/// Hints as they are printed below something, each in a line that it begins.
pub fn lines(hints: &[Hint]) -> String {
    let commands = hints.iter().filter(|hint| hint.command.is_some());
    let width = commands.map(|hint| hint.text.chars().count() + 1).max().unwrap_or(0);
    let mut out = String::new();
    for Hint { text, command } in hints {
        let _ = match command {
            Some(command) => write!(out, "\n  {:width$} {command}", format!("{text}:")),
            None => write!(out, "\n  {text}"),
        };
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::command::Command;
    use crate::core::stack::Secrets;

    #[test]
    fn an_error_is_printed_with_its_causes_and_hints_below_each_other() {
        let error = CommandError::new("stopped")
            .because(vec!["one".to_owned(), "two".to_owned()])
            .hint("to go on", Command::new("up"))
            .hint("to remove the stack", Command::new("down"))
            .advice("or wait");
        let expected = "error: stopped:\n  one\n  two\n  to go on:            wschat up\n  to remove the stack: wschat down\n  or wait";
        assert_eq!(error.to_string(), expected);
        let event = error.event();
        assert_eq!((event.error.as_str(), event.causes.len(), event.hints.len()), ("stopped", 2, 3));
    }

    #[test]
    fn a_cause_that_the_error_tells_already_is_not_repeated() {
        #[derive(Debug, thiserror::Error)]
        #[error("cannot read: {0}")]
        struct Outer(#[source] std::io::Error);
        #[derive(Debug, thiserror::Error)]
        #[error("cannot go on")]
        struct Outermost(#[source] Outer);
        let error = CommandError::from(Outermost(Outer(std::io::Error::other("no disk"))));
        assert_eq!(error.to_string(), "error: cannot go on\n  caused by: cannot read: no disk");
    }

    #[test]
    fn a_failed_build_is_shown_beside_what_ended_the_run() {
        let taken = PlanError::Permitted { name: "A".to_owned(), function: "f".to_owned() };
        let why = NoPlan::Impossible { errors: vec![taken], secrets: Secrets::default() };
        let error = CommandError::from(NoPlan::AndUnbuilt { why: Box::new(why), build: BuildError::Lost });
        let build = BuildError::Lost.to_string();
        assert_eq!(error.details, Some(format!("error: {build}")));
        assert!(error.to_string().starts_with("error: A permits"), "{error}");
        assert_eq!(error.event().causes, [build]);
    }

    #[test]
    fn several_errors_of_a_plan_are_all_shown() {
        let error = |name: &str| PlanError::Permitted { name: name.to_owned(), function: "f".to_owned() };
        let one = CommandError::of_plan(&[error("A")]);
        assert!(one.to_string().ends_with("\n  remove A, too, or keep the function in the template"), "{one}");
        let two = CommandError::of_plan(&[error("A"), error("B")]);
        assert_eq!(two.to_string(), "error: there are 2 problems, and nothing was changed");
        assert_eq!(two.details.as_ref().map(|details| details.matches("error: ").count()), Some(2));
        assert_eq!(two.event().problems.len(), 2);
    }
}
