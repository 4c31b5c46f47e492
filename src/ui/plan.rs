//! A plan as text, and as JSON.

use std::collections::BTreeSet;
use std::fmt::{Display, Write as _};

use serde_json::{Value, json};

use crate::plan::{Action, Change, Plan, Step, effects, shown, widening};

/// The plan as a person reads it before `up` goes on: what changes, property by property, what that interrupts, and a
/// line that counts. What is created is only named.
pub fn text(plan: &Plan, secrets: &BTreeSet<String>) -> String {
    let mut out = String::new();
    let acting: Vec<&Step> = plan.steps.iter().filter(|step| step.action != Action::Keep).collect();
    let width = acting.iter().map(|step| step.name.len()).max().unwrap_or(0);
    for step in acting {
        headline(&mut out, step, width);
        if let Some(reason) = &step.reason {
            let _ = writeln!(out, "      {reason}");
        }
        if step.action != Action::Create {
            changes(&mut out, step, secrets);
        }
        effects(&mut out, plan, step);
    }
    out + &counts(plan)
}

/// The plan whole: every resource, every property, who may do more than before, and `up`, the command that does it.
pub fn details(plan: &Plan, secrets: &BTreeSet<String>, up: &dyn Display) -> String {
    let mut out = String::new();
    let width = plan.steps.iter().map(|step| step.name.len()).max().unwrap_or(0);
    for step in &plan.steps {
        headline(&mut out, step, width);
        let _ = writeln!(out, "      {}", step.why());
        changes(&mut out, step, secrets);
        effects(&mut out, plan, step);
        for gained in widening::of(step) {
            let _ = writeln!(out, "      permissions widen: {}", masked(&gained, secrets));
        }
    }
    let _ = write!(out, "{}", counts(plan));
    if !plan.is_empty() {
        let _ = write!(out, "\nTo do exactly this: {up}");
    }
    out
}

fn headline(out: &mut String, step: &Step, width: usize) {
    let id = step.physical_id.as_deref().unwrap_or_default();
    let _ = writeln!(out, "  {} {:width$}  {:32}  {id}", step.action.glyph(), step.name, step.type_name);
}

fn changes(out: &mut String, step: &Step, secrets: &BTreeSet<String>) {
    for change in &step.changes {
        let (old, new) = values(change, secrets);
        if step.action == Action::Create {
            // Whose it is goes without saying, and so does what is empty.
            let own = |key: &String| key.starts_with("wschat:");
            let tags = change.new.as_ref().and_then(Value::as_object).filter(|_| change.property == "Tags");
            if let Some(new) = new.filter(|new| !new.is_empty() && tags.is_none_or(|tags| !tags.keys().all(own))) {
                let _ = writeln!(out, "      {}: {new}", change.property);
            }
            continue;
        }
        let _ = writeln!(
            out,
            "      {}: {} -> {}{}",
            change.property,
            old.unwrap_or_else(none),
            new.unwrap_or_else(none),
            if change.create_only { "  (cannot be changed in place)" } else { "" }
        );
    }
}

fn effects(out: &mut String, plan: &Plan, step: &Step) {
    let effects = effects::of(plan, step);
    for text in effects.interrupted {
        let _ = writeln!(out, "      interrupts: {text}");
    }
    for text in effects.lost {
        let _ = writeln!(out, "      loses: {text}");
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
        (Action::Retain, "to leave behind"),
        (Action::Keep, "unchanged"),
    ]
    .into_iter()
    .filter(|(action, _)| count(*action) > 0)
    .map(|(action, words)| format!("{} {words}", count(action)))
    .collect();
    let drain = match plan.drain() {
        Some(drain) => format!(
            "\nWhat is not served any more is removed {} s later, when no message can be under way to it (--no-drain: at once).",
            drain.as_millis().div_ceil(1000)
        ),
        None => String::new(),
    };
    match parts.is_empty() {
        true => "Plan: nothing at all.".to_owned(),
        false => format!("Plan: {}.{drain}", parts.join(", ")),
    }
}

/// The plan for programs: the same facts.
pub fn json(plan: &Plan, secrets: &BTreeSet<String>) -> Value {
    let steps = plan.steps.iter().map(|step| {
        let effects = effects::of(plan, step);
        let changes = step.changes.iter().map(|change| {
            let (old, new) = values(change, secrets);
            json!({"property": change.property, "old": old, "new": new, "create_only": change.create_only})
        });
        json!({
            "action": step.action.word(),
            "type": step.type_name,
            "resource": step.name,
            "physical_id": step.physical_id,
            "reason": step.why(),
            "changes": changes.collect::<Vec<_>>(),
            "interrupts": effects.interrupted,
            "loses": effects.lost,
            "permissions": widening::of(step).iter().map(|text| masked(text, secrets)).collect::<Vec<_>>(),
            "after": step.after,
            "drain_ms": step.drain.as_ref().map(|drain| u64::try_from(drain.lasts.as_millis()).unwrap_or(u64::MAX)),
        })
    });
    json!({"event": "plan", "digest": plan.digest(), "steps": steps.collect::<Vec<_>>()})
}

/// A text without the secrets that it may hold.
fn masked(text: &str, secrets: &BTreeSet<String>) -> String {
    let real = secrets.iter().filter(|secret| !secret.is_empty());
    real.fold(text.to_owned(), |text, secret| text.replace(secret.as_str(), "****"))
}

/// What stands for nothing.
fn none() -> String {
    "-".to_owned()
}

/// A change's old and new value as they may be shown. A value that holds a secret is not, nor is the one before it,
/// which was a secret then.
pub fn values(change: &Change, secrets: &BTreeSet<String>) -> (Option<String>, Option<String>) {
    let is_secret = |value: &Option<Value>| {
        let text = shown(value.as_ref());
        value.is_some() && secrets.iter().any(|secret| !secret.is_empty() && text.contains(secret.as_str()))
    };
    let secret = is_secret(&change.old) || is_secret(&change.new);
    let value =
        |value: &Option<Value>| value.as_ref().map(|value| if secret { "****".to_owned() } else { shown(Some(value)) });
    (value(&change.old), value(&change.new))
}
