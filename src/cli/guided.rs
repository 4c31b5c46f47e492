//! `up --guided`: asks for the settings of the first run, and saves the answers in the project's file.

use std::collections::BTreeMap;
use std::io::{self, IsTerminal};

use super::config::Value;
use super::desired;
use super::error::CommandError;
use crate::core::words::naming::check_stack;
use crate::ui::Ui;

/// Asks for the stack's name, the region, the parameters and whether to confirm changes; saves the answers, and puts them in
/// `desired`. Gives whether changes are to be confirmed.
///
/// # Errors
/// No terminal; the end of the input; a template that cannot be read.
pub fn ask(desired: &mut desired::Args, ui: &Ui) -> Result<bool, CommandError> {
    if !io::stdin().is_terminal() {
        return Err(CommandError::new("--guided asks questions, and stdin is not a terminal")
            .advice("give the settings as options, or write them into wschat.toml (docs/configuration.md)"));
    }
    desired.project.synthesise(ui)?;
    let project = desired.project.read(desired.target.named())?;
    let given = desired.project.parameters.sources()?;
    let mut settings = Vec::new();
    let stack = desired.target.stack().ok();
    let stack = loop {
        let name = answer(ui, "Stack name", stack.as_deref())?;
        match check_stack(&name) {
            Ok(()) => break name,
            Err(problem) => ui.say(problem.help.unwrap_or(problem.what)),
        }
    };
    settings.push(("stack", Value::Text(stack.clone())));
    if !desired.target.is_local() {
        let region = desired.target.region();
        let region = answer(ui, "AWS region", region.as_deref().or(Some("us-east-1")))?;
        settings.push(("region", Value::Text(region.clone())));
        desired.target.set_region(region);
    }
    desired.target.set_stack(stack);
    let mut parameters = BTreeMap::new();
    for (name, parameter) in project.parameters() {
        if parameter.no_echo {
            if !given.contains_key(name) && parameter.default.is_none() {
                ui.say(format_args!("{name} is a secret and is not asked for: give it with --parameter {name}=@FILE"));
            }
            continue;
        }
        if let Some(description) = &parameter.description {
            ui.say(format_args!("{name}: {description}"));
        }
        if !parameter.allowed_values.is_empty() {
            ui.say(format_args!("  one of: {}", parameter.allowed_values.join(", ")));
        }
        let default = parameter.default.as_ref().map(|default| match default {
            serde_json::Value::String(text) => text.clone(),
            other => other.to_string(),
        });
        let known = given.get(name).map(|given| given.value.clone());
        let value = answer(ui, &format!("Parameter {name}"), known.as_deref().or(default.as_deref()))?;
        // A default that the user kept is not stored: a later change of the template's default counts.
        if known.is_some() || Some(&value) != default.as_ref() {
            parameters.insert(name.to_owned(), value);
        }
    }
    let confirm = loop {
        match answer(ui, "Confirm changes before they are made (y/n)", Some("y"))?.to_ascii_lowercase().as_str() {
            "y" | "yes" => break true,
            "n" | "no" => break false,
            _ => {}
        }
    };
    settings.push(("confirm", Value::Switch(confirm)));
    match desired.target.config()?.store(&settings, &parameters) {
        Ok(Some(written)) => ui.say(written),
        Ok(None) => {}
        Err(why) => ui.say(format_args!("warning: {why}")),
    }
    desired.target.read_again();
    desired.project.parameters.add(parameters);
    Ok(confirm)
}

fn answer(ui: &Ui, question: &str, default: Option<&str>) -> Result<String, CommandError> {
    loop {
        let Some(given) = ui.ask(question, default) else { return Err("the input ended; nothing was changed".into()) };
        match (given.is_empty(), default) {
            (false, _) => return Ok(given),
            (true, Some(default)) => return Ok(default.to_owned()),
            (true, None) => {}
        }
    }
}
