//! Commands of other tools, and their equivalents here.

use clap::error::{ContextKind, ContextValue, ErrorKind};

use super::error::CommandError;

/// The other tool's command, the command to use instead, and what that does.
const ALIASES: &[(&str, &str, &str)] = &[
    ("apply", "wschat up", "deploys the stack"),
    ("build", "wschat plan", "builds the handlers and shows what would be deployed; `wschat up` builds and deploys"),
    ("bundle", "wschat plan", "builds the handlers and shows what would be deployed; `wschat up` builds and deploys"),
    ("call", "wschat invoke", "invokes a function"),
    ("check", "wschat validate", "checks the template"),
    ("connect", "wschat chat", "talks to the stack over a WebSocket"),
    ("console", "wschat open --local", "opens the console in the browser"),
    ("create", "wschat up", "creates the stack, or updates it"),
    ("delete", "wschat down", "removes the stack"),
    ("deploy", "wschat up", "deploys the stack"),
    ("describe", "wschat status", "shows the stack's resources"),
    ("destroy", "wschat down", "removes the stack"),
    ("diff", "wschat plan", "shows what would change"),
    ("drift", "wschat status", "shows what differs from the template"),
    ("generate", "wschat init", "creates a project"),
    ("info", "wschat status", "shows the stack's resources"),
    ("lint", "wschat validate", "checks the template"),
    ("log", "wschat logs", "shows what the functions log, and why they fail"),
    ("ls", "wschat list", "lists the stacks of this account and region"),
    ("new", "wschat init", "creates a project"),
    ("offline", "wschat dev", "runs the stack on this machine, and deploys every save to it"),
    ("output", "wschat outputs", "prints the outputs"),
    ("package", "wschat plan", "builds the handlers and shows what would be deployed; `wschat up` builds and deploys"),
    ("preview", "wschat plan", "shows what would change"),
    ("remove", "wschat down", "removes the stack"),
    ("reset", "wschat local reset", "deletes everything that the local cloud holds"),
    ("rm", "wschat down", "removes the stack"),
    ("run", "wschat dev", "runs the stack on this machine, and deploys every save to it"),
    ("send", "wschat chat", "sends messages over a WebSocket"),
    ("serve", "wschat dev", "runs the stack on this machine, and deploys every save to it"),
    ("show", "wschat status", "shows the stack's resources"),
    ("stacks", "wschat list", "lists the stacks of this account and region"),
    ("start", "wschat local start", "starts the local cloud; `wschat up --local` starts it and deploys to it"),
    ("start-api", "wschat dev", "runs the stack on this machine, and deploys every save to it"),
    ("start-lambda", "wschat dev", "runs the stack on this machine, and deploys every save to it"),
    ("stop", "wschat local stop", "stops the local cloud; `wschat down` removes a stack"),
    ("sync", "wschat dev", "deploys with every save"),
    ("tail", "wschat logs --follow", "shows what the functions log, as they log it"),
    ("teardown", "wschat down", "removes the stack"),
    ("test", "wschat smoke", "tests the deployed stack with real connections"),
    ("undeploy", "wschat down", "removes the stack"),
    ("update", "wschat up", "updates the stack"),
    ("uri", "wschat url", "prints the URI"),
    ("version", "wschat --version", "prints the version"),
    ("watch", "wschat dev", "deploys with every save"),
    ("wscat", "wschat chat", "talks to the stack over a WebSocket"),
];

/// The answer to a command line that clap rejects because there is no such command: it may be another tool's.
pub fn answer(error: &clap::Error) -> Option<CommandError> {
    if error.kind() != ErrorKind::InvalidSubcommand {
        return None;
    }
    let Some(ContextValue::String(typed)) = error.get(ContextKind::InvalidSubcommand) else { return None };
    // Only below `local` is a command of ours unknown: `sam local invoke`.
    let ours = super::command();
    if let Some(command) = ours.find_subcommand(typed) {
        let has_local = command.get_arguments().any(|arg| arg.get_long() == Some("local"));
        let local = if has_local && typed != "dev" { " --local" } else { "" };
        return Some(
            CommandError::new(format!("there is no command \"local {typed}\""))
                .advice(format!("use: wschat {typed}{local}")),
        );
    }
    let advice = match ALIASES.iter().find(|(name, ..)| *name == typed.to_lowercase()) {
        Some((_, instead, what)) => format!("use: {instead} ({what})"),
        None => match error.get(ContextKind::SuggestedSubcommand) {
            // The nearest is the last.
            Some(ContextValue::Strings(near)) if !near.is_empty() => {
                let near: Vec<&str> = near.iter().rev().map(String::as_str).collect();
                format!("did you mean {}?", near.join(" or "))
            }
            Some(ContextValue::String(near)) => format!("did you mean {near}?"),
            _ => "--help lists the commands".to_owned(),
        },
    };
    Some(CommandError::new(format!("there is no command \"{typed}\"")).advice(advice))
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;
    use crate::cli::Cli;

    #[test]
    fn every_alias_is_answered_with_a_command_that_exists() {
        for (name, instead, _) in ALIASES {
            let error = Cli::try_parse_from(["wschat", name, "--stack", "x"]).unwrap_err();
            let answer = answer(&error).unwrap().to_string();
            assert!(answer.contains(&format!("\n  use: {instead} (")), "{answer}");
            let parsed = Cli::try_parse_from(instead.split(' '));
            // A command that needs arguments exists all the same.
            let exists = [ErrorKind::DisplayVersion, ErrorKind::MissingRequiredArgument];
            let known = parsed.map_or_else(|error| exists.contains(&error.kind()), |_| true);
            assert!(known, "{instead}");
        }
        assert!(ALIASES.is_sorted());
    }

    #[test]
    fn other_errors_are_left_to_clap() {
        for line in [&["wschat", "up", "--stak", "x"][..], &["wschat"]] {
            assert!(answer(&Cli::try_parse_from(line).unwrap_err()).is_none(), "{line:?}");
        }
    }

    #[test]
    fn an_unknown_command_is_answered_with_the_nearest_one() {
        for (line, expected) in [
            (&["wschat", "statsu"][..], "error: there is no command \"statsu\"\n  did you mean status?"),
            (&["wschat", "pu"], "error: there is no command \"pu\"\n  --help lists the commands"),
            (
                &["wschat", "local", "invoke", "F"],
                "error: there is no command \"local invoke\"\n  use: wschat invoke --local",
            ),
            (&["wschat", "local", "dev"], "error: there is no command \"local dev\"\n  use: wschat dev"),
            (&["wschat", "local", "strat"], "error: there is no command \"strat\"\n  did you mean start or status?"),
        ] {
            assert_eq!(answer(&Cli::try_parse_from(line).unwrap_err()).unwrap().to_string(), expected);
        }
    }
}
