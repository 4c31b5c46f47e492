//! Checks that the file which `Handler` names is in the code. Lambda would only notice at the first invocation.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use super::PackageError;
use super::folder::Files;
use crate::machine::interpreter::Language;

/// Checks that one of the files that `handler` can mean is among `names`. `left_out` are the files that a .gitignore
/// excludes, `place` is the code's source as the message names it.
///
/// # Errors
/// When none is; the message lists the files that the code has.
pub(super) fn check(
    language: Language,
    handler: &str,
    names: &BTreeSet<&str>,
    left_out: &Files,
    place: &str,
) -> Result<(), PackageError> {
    let failed = |why: String| PackageError::new("package the code", why);
    let form = match language {
        Language::Node => "Handler is FILE.EXPORT: the file without its extension, relative to the code's folder",
        Language::Python => "Handler is MODULE.FUNCTION: the module's path relative to the code's folder, without .py",
    };
    let Some(base) = base(language, handler) else {
        return Err(failed(format!("Handler {handler} has no dot between file and function")).help(form));
    };
    let candidates = candidates(language, &base);
    if candidates.iter().any(|name| names.contains(name.as_str()))
        || names.iter().any(|name| name.starts_with(&format!("node_modules/{base}/")))
    {
        return Ok(());
    }
    let is_left_out = |name: &&String| {
        left_out.contains_key(*name) || left_out.keys().any(|folder| name.starts_with(&format!("{folder}/")))
    };
    if let Some(name) = candidates.iter().find(is_left_out) {
        let rule = left_out.iter().find(|(out, _)| *out == name || name.starts_with(&format!("{out}/")));
        let rule = rule.map(|(_, rule)| rule.display().to_string()).unwrap_or_default();
        return Err(failed(format!("Handler {handler} is in {name}, which {rule} leaves out")).help(format!(
            "include it with a line !{name} in that file, or set CodeUri to a folder that only a build writes"
        )));
    }
    // Equal for all functions with this handler, so that a handler from `Globals` is one problem; the help is about one.
    let error = failed(format!("there is no {} for Handler {handler}", listed(&candidates)));
    let script = ["ts", "mts", "cts", "tsx"].map(|extension| format!("{base}.{extension}"));
    Err(match script.iter().find(|name| names.contains(name.as_str())) {
        Some(name) => error.help(format!(
            "{name} is TypeScript: add to the function \
             Metadata: {{ BuildMethod: esbuild, BuildProperties: {{ EntryPoints: [{name}] }} }}; \
             or compile it yourself and set CodeUri to the folder with the result"
        )),
        None => error.help(format!("{place} holds {}; {form}", top(names))),
    })
}

/// Checks that a folder with what a build has made for a runtime that is no language of this machine (`java21`) has a file that
/// `handler` can mean: Java's classes are at the top or in a `.jar` in `lib` (Lambda developer guide, "Deploy Java Lambda functions
/// with .zip or JAR file archives"), .NET's assembly is at the top, too.
///
/// # Errors
/// When it has none; the help lists what the folder has.
pub(super) fn check_built(runtime: &str, handler: &str, folder: &Path, place: &str) -> Result<(), PackageError> {
    let (path, _) = handler.split_once("::").unwrap_or((handler, ""));
    let (candidates, form) = match runtime {
        java if java.starts_with("java") => {
            (vec![format!("{}.class", path.replace('.', "/")), "lib/*.jar".to_owned()], "PACKAGE.CLASS::METHOD")
        }
        ruby if ruby.starts_with("ruby") => {
            (vec![format!("{}.rb", handler.split_once('.').map_or(handler, |(file, _)| file))], "FILE.METHOD")
        }
        // An assembly; or the executable that ahead-of-time compilation makes.
        dotnet if dotnet.starts_with("dotnet") => {
            (vec![format!("{path}.dll"), path.to_owned()], "ASSEMBLY::CLASS::METHOD")
        }
        _ => (vec![handler.to_owned()], "the executable's name"),
    };
    let is_there = |name: &String| match name.split_once("/*") {
        Some((inner, extension)) => entries(&folder.join(inner)).iter().any(|name| name.ends_with(extension)),
        None => folder.join(name).is_file(),
    };
    if candidates.iter().any(is_there) {
        return Ok(());
    }
    let why = format!("there is no {} for Handler {handler}", listed(&candidates));
    let names = entries(folder);
    let names = top(&names.iter().map(String::as_str).collect());
    let help = format!("{place} holds {names}; Handler is {form}, and CodeUri names what a build has made");
    Err(PackageError::new("package the code", why).help(help))
}

/// The names of what is in a folder, those of folders with a `/` at the end.
fn entries(folder: &Path) -> Vec<String> {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    let named = entries.map(|entry| {
        let end = if entry.path().is_dir() { "/" } else { "" };
        format!("{}{end}", entry.file_name().to_string_lossy())
    });
    named.collect()
}

/// The files that a handler can be in, by their names in the zip.
pub(super) fn files(language: Language, handler: &str) -> Vec<String> {
    base(language, handler).map(|base| candidates(language, &base)).unwrap_or_default()
}

/// The path of a handler's file without its extension.
fn base(language: Language, handler: &str) -> Option<String> {
    match language {
        Language::Node => {
            let (folder, file) = handler.rsplit_once('/').unwrap_or(("", handler));
            let (file, _) = file.split_once('.')?;
            let folder = folder.trim_start_matches("./");
            Some(if folder.is_empty() { file.to_owned() } else { format!("{folder}/{file}") })
        }
        Language::Python => Some(handler.rsplit_once('.')?.0.replace('.', "/")),
    }
}

/// The possible files, in the runtime's search order.
fn candidates(language: Language, base: &str) -> Vec<String> {
    match language {
        Language::Node => ["js", "mjs", "cjs"].iter().map(|extension| format!("{base}.{extension}")).collect(),
        Language::Python => vec![format!("{base}.py"), format!("{base}/__init__.py")],
    }
}

/// `a, b or c`
fn listed(names: &[String]) -> String {
    match names {
        [rest @ .., last] if !rest.is_empty() => format!("{} or {last}", rest.join(", ")),
        _ => names.concat(),
    }
}

/// The first few top-level files and folders of the code.
fn top(names: &BTreeSet<&str>) -> String {
    let tops: BTreeSet<&str> =
        names.iter().map(|name| name.split_once('/').map_or(*name, |(folder, _)| &name[..=folder.len()])).collect();
    match tops.len() {
        0 => "nothing".to_owned(),
        count => {
            let mut shown = tops.iter().take(8).copied().collect::<Vec<_>>().join(", ");
            if count > 8 {
                shown.push_str(&format!(" and {} more", count - 8));
            }
            shown
        }
    }
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use super::*;

    fn checked(language: Language, handler: &str, names: &[&str]) -> Result<(), String> {
        let left_out = Files::from([("dist".to_owned(), PathBuf::from(".gitignore"))]);
        let names = names.iter().copied().collect();
        check(language, handler, &names, &left_out, "code")
            .map_err(|error| format!("{} [{}]", error.why, error.help.unwrap_or_default()))
    }

    #[test]
    fn a_handler_is_found_where_its_runtime_looks() {
        for (handler, name) in [
            ("index.handler", "index.js"),
            ("index.handler", "index.mjs"),
            ("index.handlers.get", "index.cjs"),
            ("src/app.handler", "src/app.js"),
            ("./src/app.handler", "src/app.js"),
            ("wrapper.handler", "node_modules/wrapper/index.js"),
        ] {
            assert_eq!(checked(Language::Node, handler, &["package.json", name]), Ok(()), "{handler}");
        }
        for (handler, name) in [
            ("app.handler", "app.py"),
            ("src/app.handler", "src/app.py"),
            ("src.app.handler", "src/app.py"),
            ("app.handler", "app/__init__.py"),
        ] {
            assert_eq!(checked(Language::Python, handler, &[name]), Ok(()), "{handler}");
        }
    }

    #[test]
    fn what_a_build_has_made_holds_its_handler() {
        let checked = |runtime: &str, handler: &str, name: &str| {
            let folder = tempfile::tempdir().unwrap();
            let path = folder.path().join(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, "").unwrap();
            check_built(runtime, handler, folder.path(), "build").map_err(|error| (error.why, error.help.unwrap()))
        };
        for (runtime, handler, name) in [
            ("java21", "com.chat.Main::handle", "com/chat/Main.class"),
            ("java21", "com.chat.Main", "com/chat/Main.class"),
            ("java21", "com.chat.Outer$Inner", "com/chat/Outer$Inner.class"),
            ("java17", "com.chat.Main::handle", "lib/chat.jar"),
            ("ruby3.4", "app.handler", "app.rb"),
            ("ruby3.4", "lib/app.Chat::Main.handler", "lib/app.rb"),
            ("dotnet8", "Chat::Chat.Main::Handle", "Chat.dll"),
            ("dotnet8", "Chat.Api", "Chat.Api.dll"),
            ("dotnet8", "bootstrap", "bootstrap"),
            ("go1.x", "bin/main", "bin/main"),
        ] {
            assert_eq!(checked(runtime, handler, name), Ok(()), "{runtime} {handler}");
        }
        for (runtime, handler, name, why) in [
            ("java21", "Main::run", "app.jar", "there is no Main.class or lib/*.jar for Handler Main::run"),
            ("java21", "Main::run", "lib/notes.txt", "there is no Main.class or lib/*.jar for Handler Main::run"),
            ("ruby3.4", "app.handler", "index.rb", "there is no app.rb for Handler app.handler"),
            ("dotnet8", "A::B::C", "B.dll", "there is no A.dll or A for Handler A::B::C"),
            ("go1.x", "main", "main.go", "there is no main for Handler main"),
        ] {
            let (refusal, help) = checked(runtime, handler, name).unwrap_err();
            assert_eq!(refusal, why);
            let top = name.split_once('/').map_or(name.to_owned(), |(folder, _)| format!("{folder}/"));
            assert!(help.starts_with(&format!("build holds {top}; Handler is ")), "{help}");
        }
    }

    #[test]
    fn a_missing_handler_is_reported_with_the_files_that_exist() {
        let node = |handler, names: &[&str]| checked(Language::Node, handler, names).unwrap_err();
        assert_eq!(
            node("index.handler", &["app.js", "lib/a.js", "lib/b.js"]),
            "there is no index.js, index.mjs or index.cjs for Handler index.handler [code holds app.js, lib/; Handler is \
             FILE.EXPORT: the file without its extension, relative to the code's folder]"
        );
        let error = node("index", &["index.js"]);
        assert!(error.starts_with("Handler index has no dot between file and function ["), "{error}");
        let error = node("dist/index.handler", &["index.ts"]);
        let why = "Handler dist/index.handler is in dist/index.js, which .gitignore leaves out [";
        assert!(error.starts_with(why), "{error}");
        let error = checked(Language::Python, "app.handler", &[]).unwrap_err();
        let why = "there is no app.py or app/__init__.py for Handler app.handler [code holds nothing; ";
        assert!(error.starts_with(why), "{error}");
    }

    #[test]
    fn a_typescript_handler_without_a_build_is_reported_with_the_fix() {
        let error = check(Language::Node, "index.handler", &BTreeSet::from(["index.ts"]), &Files::new(), "code");
        let help = error.unwrap_err().help.unwrap();
        assert!(
            help.contains("Metadata: { BuildMethod: esbuild, BuildProperties: { EntryPoints: [index.ts] } }"),
            "{help}"
        );
    }
}
