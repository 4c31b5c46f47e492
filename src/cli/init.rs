//! `wschat init`: a project that goes up at once, from files that are in this binary.

use std::collections::BTreeSet;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use clap::ValueEnum;

use super::command::Command;
use super::config::{self, sam};
use super::error::CommandError;
use super::exit::{Ended, Exit};
use crate::core::words::naming::check_stack;
use crate::ui::Ui;
use crate::ui::event::{Event, Written};

/// Create a project: a WebSocket chat with handlers in a language of your choice, with tests
///
/// The folder must be empty, but for hidden files such as .git. Nothing is installed or called.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The folder of the project; it is created if it does not exist
    #[arg(value_name = "DIR", default_value = ".")]
    folder: PathBuf,
    /// The language of the handlers
    #[arg(long, value_enum, value_name = "LANGUAGE", default_value = "node", conflicts_with = "from_sam")]
    lang: Language,
    /// Write wschat.toml from the samconfig.toml in the folder, and nothing else
    #[arg(long)]
    from_sam: bool,
    /// Print JSON, one event per line (docs/json.md)
    #[arg(long)]
    pub(super) json: bool,
}

/// The languages that there are projects in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Language {
    /// Node.js, without a build
    Node,
    Python,
    Rust,
    /// TypeScript, bundled with esbuild
    Typescript,
}

/// A file of a project: its path and its text.
type File = (&'static str, &'static str);

/// Files of this repository, by their path below a folder of it.
macro_rules! files {
    ($folder:literal: $($path:literal),+ $(,)?) => {
        &[$(($path, include_str!(concat!("../../", $folder, "/", $path)))),+]
    };
}

const NODE: &[File] = files!("examples/node-chat":
    "template.yaml", "connect/index.js", "default/index.js", "disconnect/index.mjs", "send-message/index.mjs",
    "tests/handlers.test.mjs", "tests/sdk.cjs");

const PYTHON: &[File] = files!("examples/python-chat":
    "template.yaml", "connect/app.py", "default/app.py", "disconnect/app.py", "send-message/app.py",
    "tests/test_handlers.py");

const TYPESCRIPT: &[File] = files!("examples/typescript-chat":
    "template.yaml", "connect/index.ts", "default/index.ts", "disconnect/index.ts", "send-message/index.ts",
    "package.json", "tsconfig.json");

/// The tests of the Node.js project are about the built handlers, too.
const TYPESCRIPT_TESTS: &[File] = files!("examples/node-chat": "tests/handlers.test.mjs", "tests/sdk.cjs");

const RUST: &[File] = files!("": "templates/chat.yaml",
    "lambdas/chat/Cargo.toml", "lambdas/chat/src/connections.rs", "lambdas/chat/src/environment.rs",
    "lambdas/chat/src/error.rs", "lambdas/chat/src/event.rs", "lambdas/chat/src/gateway.rs", "lambdas/chat/src/lib.rs",
    "lambdas/chat/src/testing.rs",
    "lambdas/connect/Cargo.toml", "lambdas/connect/src/main.rs", "lambdas/connect/src/tests.rs",
    "lambdas/default/Cargo.toml", "lambdas/default/src/hint.rs", "lambdas/default/src/main.rs",
    "lambdas/default/src/tests.rs",
    "lambdas/disconnect/Cargo.toml", "lambdas/disconnect/src/main.rs", "lambdas/disconnect/src/tests.rs",
    "lambdas/send-message/Cargo.toml", "lambdas/send-message/src/broadcast.rs", "lambdas/send-message/src/main.rs",
    "lambdas/send-message/src/message.rs", "lambdas/send-message/src/tests.rs");

/// The manifest of this workspace, which the handlers' manifests inherit from.
const WORKSPACE: &str = include_str!("../../Cargo.toml");

/// The versions that this workspace was tested with.
const LOCK: &str = include_str!("../../Cargo.lock");

impl Args {
    pub(super) fn run(self, ui: &Ui) -> Result<Ended, CommandError> {
        let written = if self.from_sam { self.translate_sam(ui)? } else { self.project(ui)? };
        let folder = self.folder.display().to_string();
        Ok(Exit::Ok.with(Event::Init(Written { folder, files: written })))
    }

    /// Writes the project's files.
    fn project(&self, ui: &Ui) -> Result<Vec<String>, CommandError> {
        let folder = self.folder.display();
        if let Some(name) = first_visible(&self.folder).map_err(|error| format!("cannot read {folder}: {error}"))? {
            return Err(CommandError::new(format!("{folder} is not empty: it has {name}"))
                .advice("name a new folder; for a template of your own no `init` is needed: `wschat up --local`"));
        }
        let mut written = Vec::new();
        for (path, text) in self.lang.files() {
            let file = self.folder.join(&path);
            let made = file.parent().map_or(Ok(()), fs::create_dir_all).and_then(|()| write_new(&file, &text));
            made.map_err(|error| format!("cannot write {}: {error}", file.display()))?;
            written.push(path);
        }
        if !ui.is_json() {
            ui.line(format_args!("Created {} files in {folder}. Next:", written.len()));
            if self.folder != Path::new(".") {
                ui.line(format_args!("  cd {}", super::command::quoted(&folder.to_string())));
            }
            let (dev, chat) = (Command::new("dev").to_string(), Command::new("chat").flagged("--local").to_string());
            let steps = [
                (dev.as_str(), "deploys it on this machine, and again what you save"),
                (chat.as_str(), "in a second terminal: talks to it"),
                (self.lang.test(), "runs its tests"),
            ];
            let width = steps.iter().map(|(command, _)| command.len()).max().unwrap_or(0);
            for (command, what) in steps {
                ui.line(format_args!("  {command:width$}  # {what}"));
            }
            let name = self.folder.canonicalize().ok().and_then(|path| Some(path.file_name()?.to_owned()));
            if name.is_some_and(|name| check_stack(&name.to_string_lossy()).is_err()) {
                ui.line("The folder's name cannot name a stack: give one with --stack, which the first `up` keeps.");
            }
        }
        Ok(written)
    }

    /// Translates SAM's file.
    fn translate_sam(&self, ui: &Ui) -> Result<Vec<String>, CommandError> {
        let ignored = translate(&self.folder)?;
        if let Some(ignored) = ignored {
            ui.say(ignored);
        }
        if !ui.is_json() {
            let [file, source] = [config::FILE, sam::FILE].map(|name| self.folder.join(name));
            ui.line(format_args!("{} is written; {} is not read any more.", file.display(), source.display()));
        }
        Ok(vec![config::FILE.to_owned()])
    }
}

/// Makes a `wschat.toml` of the `samconfig.toml` in a folder; gives a sentence on what has no counterpart.
///
/// # Errors
/// When the one cannot be read, or the other exists or cannot be written.
pub(super) fn translate(folder: &Path) -> Result<Option<String>, CommandError> {
    let source = folder.join(sam::FILE);
    let text = fs::read_to_string(&source).map_err(|error| format!("cannot read {}: {error}", source.display()))?;
    let (text, ignored) = sam::translated(&text).map_err(|why| format!("{}: {why}", source.display()))?;
    let file = folder.join(config::FILE);
    write_new(&file, &text).map_err(|error| match error.kind() {
        io::ErrorKind::AlreadyExists => CommandError::new(format!("{} exists already", file.display()))
            .advice("delete it first, or add to it what is missing"),
        _ => format!("cannot write {}: {error}", file.display()).into(),
    })?;
    Ok(ignored)
}

/// A file of a folder that is not hidden, if there is one.
fn first_visible(folder: &Path) -> io::Result<Option<String>> {
    let entries = match fs::read_dir(folder) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error),
    };
    for entry in entries {
        let name = entry?.file_name().to_string_lossy().into_owned();
        // .gitignore is written, too.
        if !name.starts_with('.') || name == ".gitignore" {
            return Ok(Some(name));
        }
    }
    Ok(None)
}

fn write_new(path: &Path, text: &str) -> io::Result<()> {
    let mut file = fs::OpenOptions::new().write(true).create_new(true).open(path)?;
    io::Write::write_all(&mut file, text.as_bytes())
}

impl Language {
    fn files(self) -> Vec<(String, String)> {
        let owned = |files: &[File]| -> Vec<(String, String)> {
            files.iter().map(|(path, text)| ((*path).to_owned(), (*text).to_owned())).collect()
        };
        let mut files = match self {
            Self::Node => owned(NODE),
            Self::Python => owned(PYTHON),
            Self::Typescript => [owned(TYPESCRIPT), owned(TYPESCRIPT_TESTS)].concat(),
            Self::Rust => {
                let own = [("Cargo.toml".to_owned(), workspace()), ("Cargo.lock".to_owned(), LOCK.to_owned())];
                [owned(RUST), own.to_vec()].concat()
            }
        };
        files.push((".gitignore".to_owned(), self.ignored().to_owned()));
        files.push(("README.md".to_owned(), self.readme()));
        files
    }

    fn name(self) -> &'static str {
        match self {
            Self::Node => "Node.js",
            Self::Python => "Python",
            Self::Rust => "Rust",
            Self::Typescript => "TypeScript",
        }
    }

    /// The command that runs the tests.
    fn test(self) -> &'static str {
        match self {
            Self::Node => "node --test",
            Self::Python => "python3 -m unittest discover tests",
            Self::Rust => "cargo test",
            Self::Typescript => "npm install && npm test",
        }
    }

    fn ignored(self) -> &'static str {
        match self {
            Self::Node => ".wschat/\nnode_modules/\n",
            Self::Python => ".wschat/\n__pycache__/\n",
            Self::Rust => ".wschat/\ntarget/\n",
            Self::Typescript => ".wschat/\n.build/\nnode_modules/\n",
        }
    }

    fn readme(self) -> String {
        let (name, test) = (self.name(), self.test());
        let folder = if self == Self::Rust { "lambdas/" } else { "" };
        let template = if self == Self::Rust { "templates/chat.yaml" } else { "template.yaml" };
        format!(
            "\
# WebSocket chat

A serverless WebSocket chat with handlers in {name}. A message of the action `sendmessage` goes to all others.

```sh
wschat dev              # run it on this machine, and deploy again what you save; Ctrl-C ends it
wschat chat --local     # a client, in a second terminal
{test}
wschat down --local     # delete it from this machine
wschat up               # the same on AWS, until wschat down
```

| file | what it is |
|---|---|
| `{template}` | the stack: API, routes, handlers, table |
| `{folder}connect`, `{folder}disconnect` | keep the table of connections |
| `{folder}send-message` | `{{\"action\": \"sendmessage\", \"message\": \"hello\"}}` |
| `{folder}default` | answers everything else with a hint |
"
        )
    }
}

/// The manifest of a workspace of the handlers alone: what this repository's has of what theirs refer to.
fn workspace() -> String {
    let manifests = RUST.iter().filter(|(path, _)| path.ends_with("Cargo.toml"));
    let used: BTreeSet<&str> = manifests
        .flat_map(|(_, text)| text.lines())
        .filter_map(|line| line.split_once(".workspace").map(|(name, _)| name.trim()))
        .collect();
    let dependencies: Vec<&str> = section("[workspace.dependencies]")
        .filter(|line| line.split_once(" = ").is_some_and(|(name, _)| used.contains(name)))
        .collect();
    let package: Vec<&str> = section("[workspace.package]").filter(|line| !line.is_empty()).collect();
    let profile: Vec<&str> = section("[profile.lambda]").filter(|line| !line.is_empty()).collect();
    format!(
        "\
[workspace]
members = [\"lambdas/*\"]
resolver = \"3\"

[workspace.package]
{}

[workspace.dependencies]
{}

[workspace.lints.rust]
unsafe_code = \"deny\"

# What `wschat up` deploys: small, because a cold start pays for every byte.
[profile.lambda]
{}
",
        package.join("\n"),
        dependencies.join("\n"),
        profile.join("\n")
    )
}

/// The lines of a section of this workspace's manifest.
fn section(head: &str) -> impl Iterator<Item = &'static str> {
    let lines = WORKSPACE.lines().skip_while(move |line| *line != head).skip(1);
    lines.take_while(|line| !line.starts_with('['))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_rust_workspace_has_all_that_its_members_refer_to() {
        let manifest: toml::Table = toml::from_str(&workspace()).unwrap();
        let dependencies = manifest["workspace"]["dependencies"].as_table().unwrap();
        for (path, text) in RUST.iter().filter(|(path, _)| path.ends_with("Cargo.toml")) {
            let member: toml::Table = toml::from_str(text).unwrap();
            for (name, value) in member["dependencies"].as_table().unwrap() {
                let inherited = value.get("workspace").is_some();
                assert_eq!(dependencies.contains_key(name), inherited, "{path}: {name}");
            }
        }
        assert_eq!(manifest["profile"]["lambda"]["lto"].as_str(), Some("fat"));
        assert!(!dependencies.contains_key("aws-sdk-iam"));
    }

    #[test]
    fn the_templates_of_node_and_typescript_differ_in_how_the_code_is_built_alone() {
        let template = |files: &[File]| files.iter().find(|(path, _)| *path == "template.yaml").unwrap().1;
        let is_metadata = |line: &&str| {
            ["Metadata:", "BuildMethod:", "BuildProperties:", "EntryPoints:", "Target: es", "Sourcemap:", "External:"]
                .iter()
                .any(|word| line.trim_start().starts_with(word))
        };
        let left: Vec<&str> = template(TYPESCRIPT).lines().filter(|line| !is_metadata(line)).collect();
        let node = template(NODE).replace("Node.js handlers", "TypeScript handlers");
        assert_eq!(left, node.lines().collect::<Vec<_>>());
    }
}
