//! The progress of a run: one line for each resource with its state and elapsed time, and a total.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{self, IsTerminal};
use std::time::Duration;

use tokio::sync::mpsc;
use tokio::time::Instant;
use unicode_width::UnicodeWidthStr;

use super::bar::{self, Bar, Text};
use super::{Ui, event};
use crate::core::plan::{Action, Plan, Step};
use crate::deploy::execute::StepEvent;

/// How a run is shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Style {
    /// Lines that change in place.
    Terminal,
    /// A line for each event, for logs and pipes.
    Lines,
    /// A JSON object for each event, on stdout.
    Json,
}

impl Style {
    /// JSON if stdout is for that; otherwise depends on whether stderr is a terminal.
    pub fn of(ui: &Ui) -> Self {
        match ui.is_json() {
            true => Self::Json,
            false if io::stderr().is_terminal() => Self::Terminal,
            false => Self::Lines,
        }
    }
}

/// Shows a plan being carried out by `run`, which sends what happens.
pub async fn during<F: Future>(
    plan: &Plan,
    ui: &Ui,
    run: impl FnOnce(mpsc::UnboundedSender<StepEvent>) -> F,
) -> F::Output {
    let (events, heard) = mpsc::unbounded_channel();
    let (end, ()) = tokio::join!(run(events), show(plan, Style::of(ui), heard, ui));
    end
}

/// Shows events until the run is over.
async fn show(plan: &Plan, style: Style, mut events: mpsc::UnboundedReceiver<StepEvent>, ui: &Ui) {
    let begun = Instant::now();
    let mut terminal = (style == Style::Terminal).then(|| Terminal::new(plan, ui));
    let mut waiting = BTreeMap::new();
    while let Some(event) = events.recv().await {
        match (&mut terminal, style) {
            (Some(terminal), _) => terminal.show(plan, &event),
            (None, Style::Json) => ui.event(&published(plan, event)),
            (None, _) => {
                // Lines that differ only in their seconds are printed once.
                if let StepEvent::Waiting { step, text } = &event {
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
}

fn step_of(event: &StepEvent) -> usize {
    match event {
        StepEvent::Started { step }
        | StepEvent::Waiting { step, .. }
        | StepEvent::Requeued { step, .. }
        | StepEvent::Made { step, .. }
        | StepEvent::Done { step, .. }
        | StepEvent::Failed { step, .. } => *step,
    }
}

/// An event as it is printed for programs.
fn published(plan: &Plan, event: StepEvent) -> event::Event {
    let index = step_of(&event);
    let Step { name, action, .. } = &plan.steps[index];
    let (resource, type_name) = (name.clone(), plan.steps[index].shown_type().to_owned());
    let step = event::Step { step: index, resource, type_name, action: *action };
    match event {
        StepEvent::Started { .. } => event::Event::Started { step },
        StepEvent::Waiting { text, .. } => event::Event::Waiting { step, text },
        StepEvent::Requeued { error, .. } => event::Event::Requeued { step, error },
        StepEvent::Made { physical_id, .. } => event::Event::Made { step, physical_id },
        StepEvent::Done { milliseconds, .. } => event::Event::Done { step, milliseconds },
        StepEvent::Failed { error, .. } => {
            let call = error.call().map(|call| event::FailedCall {
                operation: call.operation.clone(),
                code: call.code.clone(),
                message: call.message.clone(),
                request_id: call.request_id.clone(),
            });
            event::Event::Failed { step, error: error.to_string(), call }
        }
    }
}

/// The line of an event; starts have none.
fn line(plan: &Plan, event: &StepEvent) -> Option<String> {
    let step = &plan.steps[step_of(event)];
    let what = match event {
        StepEvent::Started { .. } | StepEvent::Made { .. } => return None,
        StepEvent::Waiting { text, .. } => text.clone(),
        StepEvent::Requeued { error, .. } => format!("waiting for the resources that it refers to (AWS: {error})"),
        StepEvent::Done { milliseconds, .. } => {
            format!("{} in {:.2} s", past(step.action), Duration::from_millis(*milliseconds).as_secs_f64())
        }
        StepEvent::Failed { error, .. } => format!("failed: {error}"),
    };
    Some(format!("{} {}  {}  {what}", step.action.glyph(), plan.label(step), step.shown_type()))
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

/// How many lines of the terminal stay free of bars: for the total, and for other output.
const FREE_LINES: usize = 6;

struct Terminal<'a> {
    ui: &'a Ui,
    total: Bar,
    /// The number of steps that change something.
    steps: usize,
    done: usize,
    bars: BTreeMap<usize, Bar>,
    /// Running steps without a bar, because the terminal has too few lines.
    without_bar: BTreeSet<usize>,
    width: usize,
}

impl<'a> Terminal<'a> {
    fn new(plan: &Plan, ui: &'a Ui) -> Self {
        let acting = || plan.steps.iter().filter(|step| step.action.acts());
        let width = acting().map(|step| plan.label(step).width()).max().unwrap_or(0);
        let total = Bar::total(ui, "");
        let terminal = Self {
            ui,
            total,
            steps: acting().count(),
            done: 0,
            bars: BTreeMap::new(),
            without_bar: BTreeSet::new(),
            width,
        };
        terminal.count();
        terminal
    }

    fn count(&self) {
        let more = match self.without_bar.len() {
            0 => String::new(),
            more => format!(", {more} more in progress"),
        };
        self.total.set(&format!("{} of {} done{more}", self.done, self.steps).as_str().into());
    }

    fn show(&mut self, plan: &Plan, event: &StepEvent) {
        let index = step_of(event);
        let step = &plan.steps[index];
        let text = |state: &str| {
            let label = plan.label(step);
            let pad = " ".repeat(self.width.saturating_sub(label.width()));
            let what = format!("{} {label}{pad}", step.action.glyph());
            let details = format!("{:30}", step.shown_type());
            Text { what, details, state: state.to_owned(), ..Text::default() }
        };
        // A finished step becomes an ordinary line above the bars.
        let (result, text) = match event {
            StepEvent::Started { .. } => (None, text(present(step))),
            StepEvent::Waiting { text: waiting, .. } => (None, text(waiting)),
            StepEvent::Requeued { .. } => (None, text("waiting for the resources that it refers to")),
            StepEvent::Made { .. } => (None, text("created, getting ready")),
            StepEvent::Done { milliseconds, .. } => {
                let seconds = Duration::from_millis(*milliseconds).as_secs_f64();
                self.done += 1;
                (Some('✓'), text(&format!("{}  {seconds:.2} s", past(step.action))))
            }
            StepEvent::Failed { .. } => (Some('✗'), text("failed")),
        };
        match result {
            Some(result) => {
                self.bars.remove(&index);
                self.without_bar.remove(&index);
                let line = text.clean(self.ui).within(bar::columns().saturating_sub(2));
                self.ui.say(format_args!("{result} {line}"));
            }
            None => match self.bars.get(&index) {
                Some(bar) => bar.set(&text),
                None if self.bars.len() + FREE_LINES < bar::size().1 => {
                    self.without_bar.remove(&index);
                    self.bars.insert(index, Bar::busy(self.ui, &text, Some(&self.total)));
                }
                None => drop(self.without_bar.insert(index)),
            },
        }
        self.count();
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
