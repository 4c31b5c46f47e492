//! Checks that the file which `Handler` names is in the code. Lambda would only notice at the first invocation.

use std::collections::BTreeSet;

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
