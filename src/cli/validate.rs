//! `wschat validate`: reports errors and likely run-time problems of a template.

use serde_json::{Value, json};
use time::OffsetDateTime;

use super::exit::Exit;
use super::{Failure, project};
use crate::core::lint;
use crate::core::template::render::{Rendering, Source, render};
use crate::core::words::{Problem, Step};
use crate::ui::Ui;

/// Check a template for errors and likely run-time problems (works offline)
///
/// Makes no calls, builds nothing, needs no account. A parameter without a value is assumed to have a valid one.
///
/// Ends with 0 where there are no errors, warnings or not; with 1 where there are.
///
/// --json prints one object: `file`, the number of `errors` and `warnings`, and `problems`, a list in the order of the
/// text. Each has `severity` ("error" or "warning"), `rule` (of a warning, else null), `message`, `help` (or null), `path`
/// (keys and indexes from the template's root), `file`, `line`, `column` and `end_column` (from 1, in characters, the end
/// being the column after the last; all null where the problem has no place).
#[derive(Debug, clap::Args)]
#[command(after_long_help = rules())]
pub struct Args {
    #[command(flatten)]
    project: project::Args,
    /// Print one JSON object
    #[arg(long)]
    json: bool,
}

/// The rules behind the warnings, for the help.
fn rules() -> String {
    let lines: Vec<String> = lint::rules()
        .chain(project::RULES.iter().copied())
        .map(|(name, reason)| format!("  {name}: {reason}"))
        .collect();
    format!("Warnings, and the consequence of ignoring each:\n{}", lines.join("\n"))
}

impl Args {
    pub(super) fn run(self, ui: &Ui) -> Result<Exit, Failure> {
        let project = self.project.read()?;
        let problems = project.inspect(OffsetDateTime::now_utc().date());
        let (file, text) = (project.file(), project.text());
        let warnings = problems.iter().filter(|problem| problem.rule.is_some()).count();
        let errors = problems.len() - warnings;
        if self.json {
            ui.line(serde_json::to_string_pretty(&report(&file, &text, &problems))?);
        } else {
            let rendering = Rendering { file: &file, text: &text, colour: ui.colour_of_result() };
            if !problems.is_empty() {
                ui.coloured_line(project.secrets().mask_in_place(&render(&problems, rendering)));
            }
            ui.line(summary(&file, errors, warnings));
        }
        Ok(if errors == 0 { Exit::Ok } else { Exit::Failed })
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

/// The output of `--json`.
fn report(file: &str, text: &str, problems: &[Problem]) -> Value {
    let source = Source::scan(text);
    let shown: Vec<Value> = problems
        .iter()
        .map(|problem| {
            let place = source.place(problem);
            let path = problem.path.0.iter().map(|step| match step {
                Step::Key(key) => Value::from(key.as_str()),
                Step::Index(index) => Value::from(*index),
            });
            json!({
                "severity": if problem.rule.is_some() { "warning" } else { "error" },
                "rule": problem.rule,
                "message": problem.what,
                "help": problem.help,
                "path": path.collect::<Vec<_>>(),
                "file": file,
                "line": place.map(|place| place.start.line),
                "column": place.map(|place| place.start.column),
                "end_column": place.map(|place| place.start.column + place.width),
            })
        })
        .collect();
    let warnings = problems.iter().filter(|problem| problem.rule.is_some()).count();
    json!({ "file": file, "errors": problems.len() - warnings, "warnings": warnings, "problems": shown })
}
