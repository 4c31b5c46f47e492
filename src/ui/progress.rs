//! A run as it goes on: a line a resource with its state and its time, and a total.

use std::collections::BTreeMap;
use std::io::{self, IsTerminal};
use std::time::Duration;

use indicatif::{MultiProgress, ProgressBar, ProgressStyle};
use serde_json::json;
use tokio::sync::mpsc;
use tokio::time::Instant;

use super::Ui;
use crate::execute::Event;
use crate::plan::{Action, Plan, Step};

/// How a run is shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Style {
    /// Lines that change in place.
    Terminal,
    /// A line an event, for logs and pipes.
    Lines,
    /// A JSON object an event, on stdout.
    Json,
}

impl Style {
    /// JSON where it is asked for; else what stderr is good for.
    pub fn of(json: bool) -> Self {
        match json {
            true => Self::Json,
            false if io::stderr().is_terminal() => Self::Terminal,
            false => Self::Lines,
        }
    }
}

/// Shows events until the run is over.
pub async fn show(plan: &Plan, style: Style, mut events: mpsc::UnboundedReceiver<Event>, ui: &Ui) {
    let begun = Instant::now();
    let mut terminal = (style == Style::Terminal).then(|| Terminal::new(plan, ui));
    let mut waiting = BTreeMap::new();
    while let Some(event) = events.recv().await {
        match (&mut terminal, style) {
            (Some(terminal), _) => terminal.show(plan, &event),
            (None, Style::Json) => {
                let step = &plan.steps[step_of(&event)];
                let mut line = json!(event);
                line["resource"] = json!(step.name);
                line["type"] = json!(step.type_name);
                line["action"] = json!(step.action.word());
                ui.line(line);
            }
            (None, _) => {
                // Lines that differ only in their seconds are one line.
                if let Event::Waiting { step, text } = &event {
                    let words: String = text.chars().filter(|c| !c.is_ascii_digit()).collect();
                    if waiting.insert(*step, words.clone()) == Some(words) {
                        continue;
                    }
                }
                if let Some(text) = line(plan, &event) {
                    ui.say(format_args!("{:>7.2} s  {text}", begun.elapsed().as_secs_f64()));
                }
            }
        }
    }
    if let Some(terminal) = terminal {
        terminal.end();
    }
}

fn step_of(event: &Event) -> usize {
    match event {
        Event::Started { step }
        | Event::Waiting { step, .. }
        | Event::PutBack { step, .. }
        | Event::Made { step, .. }
        | Event::Done { step, .. }
        | Event::Failed { step, .. } => *step,
    }
}

/// An event as a line of its own; starts are not worth one.
fn line(plan: &Plan, event: &Event) -> Option<String> {
    let step = &plan.steps[step_of(event)];
    let what = match event {
        Event::Started { .. } | Event::Made { .. } => return None,
        Event::Waiting { text, .. } => text.clone(),
        Event::PutBack { error, .. } => format!("refused for now, waits for what it names: {error}"),
        Event::Done { milliseconds, .. } => {
            format!("{} in {:.2} s", past(step.action), Duration::from_millis(*milliseconds).as_secs_f64())
        }
        Event::Failed { error, .. } => format!("failed: {error}"),
    };
    Some(format!("{} {}  {}  {what}", step.action.glyph(), step.name, step.type_name))
}

fn past(action: Action) -> &'static str {
    match action {
        Action::Keep | Action::Retain => "kept",
        Action::Create => "created",
        Action::Update => "updated",
        Action::Replace => "replaced",
        Action::Delete => "deleted",
    }
}

struct Terminal {
    lines: MultiProgress,
    total: ProgressBar,
    bars: BTreeMap<usize, ProgressBar>,
    width: usize,
}

impl Terminal {
    fn new(plan: &Plan, ui: &Ui) -> Self {
        let acting = || plan.steps.iter().filter(|step| step.action.acts());
        let lines = ui.moving.clone();
        let total = lines.add(ProgressBar::new(acting().count() as u64));
        total.set_style(style("  {pos} of {len} done  {elapsed}"));
        total.enable_steady_tick(Duration::from_millis(100));
        Self { lines, total, bars: BTreeMap::new(), width: acting().map(|step| step.name.len()).max().unwrap_or(0) }
    }

    fn show(&mut self, plan: &Plan, event: &Event) {
        let index = step_of(event);
        let step = &plan.steps[index];
        let bar = self.bars.entry(index).or_insert_with(|| {
            let bar = self.lines.insert_before(&self.total, ProgressBar::new_spinner());
            bar.set_style(style("{spinner} {msg}  {elapsed}"));
            bar.enable_steady_tick(Duration::from_millis(100));
            bar
        });
        let width = self.width;
        let text =
            |state: &str| format!("{} {:width$}  {:30}  {state}", step.action.glyph(), step.name, step.type_name);
        match event {
            Event::Started { .. } => bar.set_message(text(present(step))),
            Event::Waiting { text: waiting, .. } => bar.set_message(text(waiting)),
            Event::PutBack { .. } => bar.set_message(text("waits for what it names")),
            Event::Made { .. } => bar.set_message(text("made, getting ready")),
            Event::Done { milliseconds, .. } => {
                bar.set_style(style("✓ {msg}"));
                let seconds = Duration::from_millis(*milliseconds).as_secs_f64();
                bar.finish_with_message(text(&format!("{}  {seconds:.2} s", past(step.action))));
                self.total.inc(1);
            }
            Event::Failed { .. } => {
                bar.set_style(style("✗ {msg}"));
                bar.finish_with_message(text("failed"));
            }
        }
    }

    fn end(self) {
        for bar in self.bars.values().filter(|bar| !bar.is_finished()) {
            bar.abandon();
        }
        self.total.finish_and_clear();
    }
}

fn present(step: &Step) -> &'static str {
    match step.action {
        Action::Keep | Action::Retain => "keeping",
        Action::Create => "creating",
        Action::Update => "updating",
        Action::Replace => "replacing",
        Action::Delete => "deleting",
    }
}

fn style(template: &str) -> ProgressStyle {
    ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_spinner())
}
