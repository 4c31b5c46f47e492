//! Checks where a function's code lies relative to its template: a `CodeUri` that names a folder far above the template
//! would put all of that folder into a zip.

use std::fs;
use std::path::{Path, PathBuf};

use super::{Code, PackageError, Source};
use crate::machine::interpreter::Language;

/// Where code lies relative to its template.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CodeLocation {
    /// In the template's repository; or, without a repository, in the template's folder.
    Inside,
    /// Elsewhere: it is packaged, with this warning.
    Outside(String),
}

/// Where a function's code lies relative to the template's folder, `template`. `home` is the user's home folder. A crate may
/// lie anywhere, because only its executable is deployed.
///
/// # Errors
/// When the folder cannot be one function's code: the root of the file system, the home folder, or a folder above the
/// repository.
pub fn locate(template: &Path, code: &Code, home: Option<&Path>) -> Result<CodeLocation, PackageError> {
    match &code.source {
        Source::Path(path) if Language::of(&code.runtime).is_some() || !path.join("Cargo.toml").is_file() => {
            locate_path(template, path, home)
        }
        _ => Ok(CodeLocation::Inside),
    }
}

/// As `locate`, for the path of the code. Paths that do not exist count as inside: they are reported elsewhere.
fn locate_path(template: &Path, code: &Path, home: Option<&Path>) -> Result<CodeLocation, PackageError> {
    let (Ok(template), Ok(code)) = (fs::canonicalize(template), fs::canonicalize(code)) else {
        return Ok(CodeLocation::Inside);
    };
    let repository = template.ancestors().find(|folder| folder.join(".git").exists());
    let root = repository.unwrap_or(&template);
    let refused = |what: &str| {
        let why = format!("{} is {what}, and all of it would be the function's code", code.display());
        Err(PackageError::new("find the code", why)
            .help("set CodeUri to the folder that contains only this function's code"))
    };
    let is_home = home.and_then(|home| fs::canonicalize(home).ok()).is_some_and(|home| home == code);
    if code.parent().is_none() {
        return refused("the root of the file system");
    }
    if is_home && code != template {
        return refused("your home folder");
    }
    if code.starts_with(root) {
        return Ok(CodeLocation::Inside);
    }
    // Without a repository the project's root is unknown: it may be the folder above the template's.
    let bound: Option<PathBuf> = match repository {
        Some(root) => Some(root.to_owned()),
        None => template.parent().map(Path::to_owned),
    };
    if bound.is_some_and(|bound| bound.starts_with(&code) && (repository.is_some() || bound != code)) {
        return refused("a folder above the template's project");
    }
    let of = if repository.is_some() { "repository" } else { "template's folder" };
    Ok(CodeLocation::Outside(format!("the code is outside of the {of}: {}", code.display())))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn code_is_inside_outside_or_refused() {
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| folder.path().join(name);
        for name in
            ["user/src/app/infra", "user/src/app/lambdas", "user/src/app/.git", "user/src/other/fn", "user/plain/t/fn"]
        {
            fs::create_dir_all(path(name)).unwrap();
        }
        let home = path("user");
        let app = "user/src/app/infra";
        for (template, code, expected) in [
            (app, "user/src/app/infra", "inside"),
            (app, "user/src/app/lambdas", "inside"),
            (app, "user/src/app", "inside"),
            (app, "user/src/other/fn", "the code is outside of the repository"),
            (app, "user/src", "a folder above the template's project"),
            (app, "user", "your home folder"),
            (app, "/", "the root of the file system"),
            ("user/plain/t", "user/plain/t/fn", "inside"),
            ("user/plain/t", "user/plain", "the code is outside of the template's folder"),
            ("user/plain/t", "user", "your home folder"),
            ("user/plain/t/fn", "user/plain", "a folder above the template's project"),
            ("user", "user", "inside"),
            (app, "nowhere", "inside"),
        ] {
            let found = match locate_path(&path(template), &path(code), Some(&home)) {
                Ok(CodeLocation::Inside) => "inside".to_owned(),
                Ok(CodeLocation::Outside(text)) => text,
                Err(error) => error.why,
            };
            assert!(found.contains(expected), "{template} {code}: {found}");
        }
    }
}
