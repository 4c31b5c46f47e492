//! The help: options in groups, and examples. It is put onto the whole command line, so that an option has its group wherever
//! it is.

use clap::{Arg, Command};

/// The groups of options, and what is in them. Options of one command alone that are in no group stand first.
const GROUPS: &[(&str, &[&str])] = &[
    ("Template", &["template", "app", "parameter", "parameter-file", "parameter-default", "tag"]),
    ("Target", &["stack", "all-stacks", "region", "profile", "endpoint-url", "local", "data", "env", "host", "origin"]),
    ("Build", &["build-with", "ignore-scripts"]),
    (
        "Safety",
        &[
            "yes",
            "confirm",
            "plan",
            "allow-data-loss",
            "replace-stack",
            "no-interruption",
            "no-drain",
            "keep-on-failure",
        ],
    ),
    ("Output", &["json", "timings", "show-secrets", "env-file"]),
];

/// Options that every command takes that may start the local cloud, and the commands whose help shows them: those that people start
/// it with.
const REACH: (&[&str], &[&str]) = (&["host", "origin"], &["up", "dev", "config", "start"]);

/// Examples of commands: each with what it does.
const EXAMPLES: &[(&str, &[(&str, &str)])] = &[
    (
        "up",
        &[
            ("wschat up --local", "run the stack on this machine"),
            ("wschat up --env prod --parameter Level=warn", "deploy an environment; later runs keep the value"),
            ("wschat up --guided", "ask for the settings, and save them in wschat.toml"),
        ],
    ),
    (
        "dev",
        &[
            ("wschat dev", "on this machine: deploy, and again with every save"),
            ("wschat dev --env staging", "the same on AWS"),
        ],
    ),
    (
        "plan",
        &[
            ("wschat plan", "what `up` would do on AWS"),
            ("wschat plan --no-interruption", "fail if clients would notice"),
        ],
    ),
    (
        "validate",
        &[
            ("wschat validate", "check the template that is here"),
            ("wschat validate -t app/template.yaml --json", "for an editor"),
        ],
    ),
    (
        "policy",
        &[
            ("wschat policy > policy.json", "what the next `up` may have to do"),
            ("wschat policy --down --least", "the least that `down` needs"),
        ],
    ),
    (
        "status",
        &[("wschat status --local", "the stack on this machine"), ("wschat status --env prod --json", "for a script")],
    ),
    (
        "url",
        &[
            ("npx wscat -c \"$(wschat url --local)\"", "connect to the stack on this machine"),
            ("wschat url --stage production", "one stage of several"),
        ],
    ),
    (
        "outputs",
        &[
            ("wschat outputs WebSocketURI --local", "one value, for a script"),
            ("wschat outputs --env-file > .env", "all, for a page's build"),
        ],
    ),
    (
        "list",
        &[
            ("wschat list --region eu-west-1", "the stacks of a region"),
            ("wschat list --local", "those on this machine"),
        ],
    ),
    (
        "down",
        &[
            ("wschat down --local --yes", "delete the stack on this machine"),
            ("wschat down --env dev", "delete an environment, after a question"),
        ],
    ),
    (
        "logs",
        &[
            ("wschat logs --local -f", "follow all functions on this machine"),
            ("wschat logs SendMessage --since 1h --errors", "the failures of one function"),
        ],
    ),
    (
        "chat",
        &[
            ("wschat chat --local --as alice", "a client on this machine; text becomes messages of the chat"),
            ("echo '{\"action\":\"hello\"}' | wschat chat --once", "one message and its answer, for a script"),
        ],
    ),
    (
        "smoke",
        &[
            ("wschat smoke --local", "two clients, and a message that must arrive"),
            ("wschat smoke --env prod --steps smoke.yaml", "the steps of a file"),
        ],
    ),
    (
        "invoke",
        &[
            ("wschat invoke SendMessage --local", "with a made-up event of its route"),
            ("wschat invoke SendMessage --event event.json", "with an event of your own"),
        ],
    ),
    (
        "connections",
        &[
            ("wschat connections --local", "list the open connections"),
            ("wschat connections --close L0SM9cOFvHcCIhw=", "close one"),
        ],
    ),
    (
        "open",
        &[
            ("wschat open --local", "the local cloud's console in the browser"),
            ("wschat open --env prod --print", "the address of the API's page in the AWS console"),
        ],
    ),
    (
        "config",
        &[
            ("wschat config --env prod", "what an environment's runs use"),
            ("WSCHAT_LOCAL=1 wschat config", "whether a variable counts"),
        ],
    ),
    (
        "env",
        &[
            ("eval \"$(wschat env)\"", "point the AWS CLI at the local cloud"),
            ("eval \"$(wschat env --region eu-west-1)\"", "the same in another region"),
        ],
    ),
    (
        "local",
        &[
            ("wschat local start --port 4579", "start the local cloud on this port"),
            ("wschat local logs --calls --follow", "watch the calls that it answers"),
            ("wschat local reset --yes", "delete everything in it"),
        ],
    ),
    (
        "init",
        &[
            ("wschat init chat --lang python", "a chat with handlers in Python, in the folder chat"),
            ("wschat init --from-sam", "wschat.toml from samconfig.toml"),
        ],
    ),
    (
        "doctor",
        &[
            ("wschat doctor --local", "this machine alone"),
            ("wschat doctor --env prod --json", "with the account of an environment"),
        ],
    ),
    (
        "cost",
        &[
            ("wschat cost", "of the template that is here"),
            ("wschat cost --receivers 50 --duration 120", "each message goes to 50 clients"),
        ],
    ),
    (
        "completions",
        &[
            ("wschat completions zsh > ~/.zfunc/_wschat", "for zsh"),
            ("wschat completions fish > ~/.config/fish/completions/wschat.fish", "for fish"),
        ],
    ),
    ("man", &[("wschat man ~/.local/share/man/man1", "then: man wschat-up"), ("wschat man man", "into a folder here")]),
];

/// The command line with its groups and examples.
pub fn dressed(command: Command) -> Command {
    let command = grouped(command);
    command.mut_subcommands(|verb| {
        let Some((_, examples)) = EXAMPLES.iter().find(|(name, _)| *name == verb.get_name()) else { return verb };
        let width = examples.iter().map(|(typed, _)| typed.chars().count()).max().unwrap_or(0);
        let lines = examples.iter().map(|(typed, what)| format!("  {typed:width$}  # {what}"));
        let text = format!("Examples:\n{}", lines.collect::<Vec<_>>().join("\n"));
        let long = verb.get_after_long_help().map(|long| format!("{long}\n\n{text}"));
        let verb = verb.after_help(text);
        match long {
            Some(long) => verb.after_long_help(long),
            None => verb,
        }
    })
}

fn grouped(command: Command) -> Command {
    let shows_reach = REACH.1.contains(&command.get_name());
    let is_of_reach = |arg: &Arg| arg.get_long().is_some_and(|long| REACH.0.contains(&long));
    let command = command.mut_args(|arg| if is_of_reach(&arg) { arg.hide(!shows_reach) } else { arg });
    command.mut_args(in_group).mut_subcommands(grouped)
}

fn in_group(arg: Arg) -> Arg {
    let group = GROUPS.iter().find(|(_, options)| arg.get_long().is_some_and(|long| options.contains(&long)));
    match group {
        Some((name, _)) => arg.help_heading(*name),
        None => arg,
    }
}

/// The command line without what is hidden, for completions and manual pages.
pub fn published(command: &Command) -> Command {
    let name: &'static str = command.get_name().to_owned().leak();
    let mut published = Command::new(name)
        .args(command.get_arguments().filter(|arg| !arg.is_hide_set()))
        .subcommands(command.get_subcommands().filter(|verb| !verb.is_hide_set()).map(published));
    if let Some(version) = command.get_version() {
        published = published.version(version.to_owned().leak() as &'static str);
    } else {
        published = published.disable_version_flag(true);
    }
    if let Some(text) = command.get_about() {
        published = published.about(text.clone());
    }
    if let Some(text) = command.get_long_about() {
        published = published.long_about(text.clone());
    }
    if let Some(text) = command.get_after_long_help().or(command.get_after_help()) {
        published = published.after_help(text.clone());
    }
    published
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_command_has_two_or_three_examples_that_are_commands() {
        let command = crate::cli::command();
        for verb in command.get_subcommands() {
            let examples = EXAMPLES.iter().find(|(name, _)| *name == verb.get_name());
            let Some((_, examples)) = examples else { panic!("{} has no examples", verb.get_name()) };
            assert!((2..=3).contains(&examples.len()), "{}", verb.get_name());
            for (typed, _) in *examples {
                let typed = &typed[typed.find("wschat").unwrap()..];
                let words = typed.split(['>', ')']).next().unwrap().split_whitespace();
                let parsed = command.clone().try_get_matches_from(words);
                assert!(parsed.is_ok(), "{typed}: {:?}", parsed.err());
            }
        }
    }

    #[test]
    fn every_option_that_is_in_a_group_exists() {
        let command = crate::cli::command();
        let verbs = command.get_subcommands().flat_map(|verb| std::iter::once(verb).chain(verb.get_subcommands()));
        let known: Vec<String> =
            verbs.flat_map(|verb| verb.get_arguments().filter_map(|arg| arg.get_long().map(str::to_owned))).collect();
        for (group, options) in GROUPS {
            for option in *options {
                assert!(known.iter().any(|known| known == option), "{group}: --{option}");
            }
        }
    }

    #[test]
    fn nothing_hidden_is_published() {
        let mut script = Vec::new();
        clap_complete::generate(
            clap_complete::Shell::Bash,
            &mut published(&crate::cli::command()),
            "wschat",
            &mut script,
        );
        let script = String::from_utf8(script).unwrap();
        assert!(
            script.contains("--parameter-file") && !script.contains("--[") && !script.contains("serve"),
            "{script}"
        );
    }
}
