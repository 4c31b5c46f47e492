//! A plan as text, and as an event.

use std::fmt::{Display, Write as _};

use serde_json::Value;
use unicode_width::UnicodeWidthStr;

use crate::core::plan::{self, Action, Change, Plan, Step, effects, widening};
use crate::core::stack::{MASK, Secrets};
use crate::core::types::function;
use crate::core::words::shown;
use crate::ui::row::Row;
use crate::ui::{event, printable, wrap};

/// Options for showing a plan.
#[derive(Debug, Clone, Copy)]
pub struct View<'a> {
    /// The values to mask.
    pub secrets: &'a Secrets,
    /// Whether to colour with ANSI codes.
    pub colour: bool,
    /// Whether to show unchanged resources, too.
    pub all: bool,
    /// The width of the terminal.
    pub columns: usize,
}

/// The plan as `up` shows it: changed properties, interruptions, lost data, and a line of counts. Created resources are
/// only named.
pub fn text(plan: &Plan, view: View<'_>) -> String {
    let mut out = String::new();
    let headlines = Headlines::of(plan, view);
    for step in shown_steps(plan, view) {
        headlines.write(&mut out, plan, step, view);
        if let Some(reason) = &step.reason {
            let _ = writeln!(out, "      {}", clean(reason, view));
        }
        if step.action != Action::Create {
            changes(&mut out, step, view);
        }
        effects(&mut out, plan, step, view);
    }
    wrap::wrapped(&out, view.columns) + &counts(plan)
}

/// The whole plan: as `text`, with all properties of created resources, the reason of each step, wider permissions, and
/// `up`, the command that carries it out.
pub fn details(plan: &Plan, view: View<'_>, up: &dyn Display) -> String {
    let mut out = String::new();
    let headlines = Headlines::of(plan, view);
    for step in shown_steps(plan, view) {
        headlines.write(&mut out, plan, step, view);
        let _ = writeln!(out, "      {}", clean(step.why(), view));
        changes(&mut out, step, view);
        effects(&mut out, plan, step, view);
        for gained in widening::of(step) {
            let _ = writeln!(out, "      permissions widen: {}", clean(&gained, view));
        }
    }
    out = wrap::wrapped(&out, view.columns) + &counts(plan);
    if !plan.is_empty() {
        let _ = write!(out, "\nTo do exactly this: {up}");
    }
    out
}

fn shown_steps<'a>(plan: &'a Plan, view: View<'_>) -> impl Iterator<Item = &'a Step> {
    plan.steps.iter().filter(move |step| view.all || step.action != Action::Keep)
}

/// The width of the longest label, in columns, but for those that nothing stands beside.
fn width(plan: &Plan, view: View<'_>) -> usize {
    let labels = shown_steps(plan, view).map(|step| (step, clean(&plan.label(step), view)));
    labels
        .filter(|(step, label)| id_beside(step, label, view).is_some())
        .map(|(_, label)| label.width())
        .max()
        .unwrap_or(0)
}

/// The physical id that stands beside a label; `None` where the label is made of it.
fn id_beside(step: &Step, label: &str, view: View<'_>) -> Option<String> {
    let id = clean(step.physical_id.as_deref().unwrap_or_default(), view);
    (id.is_empty() || !label.ends_with(&id)).then_some(id)
}

/// Text from templates and AWS, safe to print in a line.
fn clean(text: &str, view: View<'_>) -> String {
    printable::line(&view.secrets.mask(text))
}

/// How the first lines of all steps are laid out.
struct Headlines {
    /// The width of the longest label.
    width: usize,
    with_types: bool,
}

impl Headlines {
    fn of(plan: &Plan, view: View<'_>) -> Self {
        let mut own = Self { width: width(plan, view), with_types: true };
        own.with_types = shown_steps(plan, view).all(|step| own.row(plan, step, view).fits(view.columns));
        own
    }

    fn row<'a>(&self, plan: &Plan, step: &'a Step, view: View<'_>) -> Row<'a> {
        let label = clean(&plan.label(step), view);
        let pad = " ".repeat(self.width.saturating_sub(label.width()));
        Row {
            type_name: step.shown_type(),
            state: String::new(),
            id: id_beside(step, &label, view).unwrap_or_default(),
            label: format!("  {} {label}{pad}", step.action.glyph()),
        }
    }

    fn write(&self, out: &mut String, plan: &Plan, step: &Step, view: View<'_>) {
        let text = self.row(plan, step, view).text(self.with_types, view.columns);
        let colour = match step.action {
            Action::Create => "32",
            Action::Update | Action::Replace => "33",
            Action::Delete => "31",
            Action::Keep | Action::Retain => "2",
        };
        let change = format!("{} {}", step.action.glyph(), clean(&plan.label(step), view));
        let text = match view.colour {
            true => text.replacen(&change, &format!("\u{1b}[{colour}m{change}\u{1b}[0m"), 1),
            false => text,
        };
        let _ = writeln!(out, "{text}");
    }
}

fn changes(out: &mut String, step: &Step, view: View<'_>) {
    // What is created is shown whole.
    let all = step.changes.iter().flat_map(|change| match step.action {
        Action::Create => vec![change.clone()],
        _ => parts(change, view.secrets),
    });
    for change in all {
        // A digest tells a reader nothing.
        if step.action != Action::Create && change.property == function::CODE {
            let _ = writeln!(out, "      code: changed");
            continue;
        }
        let (old, new) = values(&change, view.secrets);
        let (old, new) = (old.map(|text| printable::line(&text)), new.map(|text| printable::line(&text)));
        let property = clean(&change.property, view);
        if step.action == Action::Create {
            // Neither wschat's own tags nor empty values are worth a line.
            let own = |key: &String| key.starts_with("wschat:");
            let tags = change.new.as_ref().and_then(Value::as_object).filter(|_| change.property == "Tags");
            if let Some(new) = new.filter(|new| !new.is_empty() && tags.is_none_or(|tags| !tags.keys().all(own))) {
                let _ = writeln!(out, "      {property}: {new}");
            }
            continue;
        }
        let _ = writeln!(
            out,
            "      {property}: {} -> {}{}",
            old.unwrap_or_else(none),
            new.unwrap_or_else(none),
            if change.create_only { "  (cannot be changed in place)" } else { "" }
        );
    }
}

fn effects(out: &mut String, plan: &Plan, step: &Step, view: View<'_>) {
    let effects = effects::of(plan, step);
    for text in effects.interrupted {
        let _ = writeln!(out, "      interrupts: {}", clean(&text, view));
    }
    for text in effects.lost {
        let _ = writeln!(out, "      loses: {}", clean(&text, view));
    }
}

/// `Plan: 3 to create, 1 to update, 24 unchanged.`
fn counts(plan: &Plan) -> String {
    let count = |action| plan.steps.iter().filter(|step| step.action == action).count();
    let parts: Vec<String> = [
        (Action::Create, "to create"),
        (Action::Update, "to update"),
        (Action::Replace, "to replace"),
        (Action::Delete, "to delete"),
        (Action::Retain, "to retain"),
        (Action::Keep, "unchanged"),
    ]
    .into_iter()
    .filter(|(action, _)| count(*action) > 0)
    .map(|(action, words)| format!("{} {words}", count(action)))
    .collect();
    let kept = count(Action::Keep);
    if kept == plan.steps.len() {
        return match kept {
            0 => "No changes. There are no resources.".to_owned(),
            1 => "No changes. 1 resource is up to date.".to_owned(),
            many => format!("No changes. {many} resources are up to date."),
        };
    }
    let drain = match plan.drain() {
        Some(drain) => format!(
            "\nResources that no longer receive messages are removed {} s later, when none can still be in flight to them (--no-drain: at once).",
            drain.as_millis().div_ceil(1000)
        ),
        None => String::new(),
    };
    format!("Plan: {}.{drain}", parts.join(", "))
}

/// The plan for programs: the same facts.
pub fn event(plan: &Plan, secrets: &Secrets) -> event::Plan {
    let masked = |text: &str| secrets.mask(text);
    let all = |texts: &[String]| texts.iter().map(|text| masked(text)).collect();
    let steps = plan.steps.iter().map(|step| {
        let effects = effects::of(plan, step);
        let changes = step.changes.iter().map(|change| {
            let (old, new) = values(change, secrets);
            event::Change { property: masked(&change.property), old, new, create_only: change.create_only }
        });
        event::PlannedStep {
            action: step.action,
            type_name: step.shown_type().to_owned(),
            resource: masked(&step.name),
            label: masked(&plan.label(step)),
            physical_id: step.physical_id.as_deref().map(masked),
            reason: masked(step.why()),
            changes: changes.collect(),
            interrupts: all(&effects.interrupted),
            loses: all(&effects.lost),
            permissions: all(&widening::of(step)),
            after: step.after.iter().copied().collect(),
            drain_ms: step.drain.as_ref().map(|drain| u64::try_from(drain.duration.as_millis()).unwrap_or(u64::MAX)),
        }
    });
    event::Plan { digest: plan.digest(), steps: steps.collect() }
}

/// The text for a missing value.
fn none() -> String {
    "-".to_owned()
}

/// Where a change differs (`plan::parts`); one that contains a secret is not split, because a part that has only the old
/// secret would not be recognised.
pub fn parts(change: &Change, secrets: &Secrets) -> Vec<Change> {
    let is_secret = [&change.old, &change.new].into_iter().flatten().any(|value| secrets.are_in(&shown(Some(value))));
    if is_secret { vec![change.clone()] } else { plan::parts(change) }
}

/// A change's old and new value, safe to print. If either contains a secret, both are masked: the other is or was a secret,
/// too.
pub fn values(change: &Change, secrets: &Secrets) -> (Option<String>, Option<String>) {
    let is_secret = |value: &Option<Value>| value.is_some() && secrets.are_in(&shown(value.as_ref()));
    let secret = is_secret(&change.old) || is_secret(&change.new);
    let value =
        |value: &Option<Value>| value.as_ref().map(|value| if secret { MASK.to_owned() } else { shown(Some(value)) });
    (value(&change.old), value(&change.new))
}
