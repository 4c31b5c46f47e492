//! `wschat validate`: reports errors and likely run-time problems of a template.

use time::OffsetDateTime;

use super::config::Environment;
use super::error::CommandError;
use super::exit::{Ended, Exit};
use super::project;
use crate::core::lint;
use crate::core::template::render::{Rendering, render};
use crate::deploy::project::RULES;
use crate::ui::Ui;
use crate::ui::event::{Event, Problem, Validation};

/// Check a template for errors and likely run-time problems (works offline)
///
/// Makes no calls, builds nothing, needs no account. A parameter without a value is assumed to have a valid one.
///
/// The exit code is 0 without errors and 1 with errors; warnings do not count.
///
/// --json prints one object with all problems and their places: docs/json.md.
#[derive(Debug, clap::Args)]
#[command(after_long_help = rules())]
pub struct Args {
    #[command(flatten)]
    project: project::Args,
    #[command(flatten)]
    environment: Environment,
    /// Print JSON, one event per line (docs/json.md)
    #[arg(long)]
    pub(super) json: bool,
}

/// The rules behind the warnings, for the help.
fn rules() -> String {
    let lines: Vec<String> =
        lint::rules().chain(RULES.iter().copied()).map(|(name, reason)| format!("  {name}: {reason}")).collect();
    format!("Warnings, and the consequence of ignoring each:\n{}", lines.join("\n"))
}

impl Args {
    pub(super) fn run(self, ui: &Ui) -> Result<Ended, CommandError> {
        self.project.synthesise(ui)?;
        let project = self.project.read(None)?;
        let problems = project.inspect(OffsetDateTime::now_utc().date());
        let (file, text) = (project.file(), project.text());
        let warnings = problems.iter().filter(|problem| problem.rule.is_some()).count();
        let errors = problems.len() - warnings;
        if !ui.is_json() {
            let rendering = Rendering { file: &file, text: &text, colour: ui.colour_of_result() };
            if !problems.is_empty() {
                ui.excerpts_line(&project.secrets().mask_in_place(&render(&problems, rendering)));
            }
            ui.line(summary(&file, errors, warnings));
        }
        let exit = if errors == 0 { Exit::Ok } else { Exit::Failed };
        let problems = Problem::all_of(&problems, &file, &text);
        Ok(exit.with(Event::Validate(Validation { file, errors, warnings, problems })))
    }
}

/// The last line.
fn summary(file: &str, errors: usize, warnings: usize) -> String {
    let count = |count: usize, what: &str| match count {
        0 => None,
        1 => Some(format!("1 {what}")),
        many => Some(format!("{many} {what}s")),
    };
    let counts: Vec<String> = [count(errors, "error"), count(warnings, "warning")].into_iter().flatten().collect();
    if counts.is_empty() { format!("{file}: no problems") } else { format!("{file}: {}", counts.join(", ")) }
}
