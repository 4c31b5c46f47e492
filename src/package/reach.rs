//! Whether a function's code may lie where it does: a template that names a folder far above itself would put all of that into
//! a zip.

use std::fs;
use std::path::{Path, PathBuf};

use super::{Code, PackageError, Source};
use crate::machine::interpreter::Language;

/// How far from the template code lies.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Reach {
    /// In the template's repository; or, where there is none, in the template's folder.
    Inside,
    /// Elsewhere: it is taken, and said.
    Outside(String),
}

/// Where a function's code lies, seen from the template's folder `template`. `home` is the user's folder. Of a crate only the
/// executable is deployed, so it may lie anywhere.
///
/// # Errors
/// When it is no code's folder: the root of the file system, the user's own folder, or one above the repository.
pub fn reach(template: &Path, code: &Code, home: Option<&Path>) -> Result<Reach, PackageError> {
    match &code.source {
        Source::Path(path) if Language::of(&code.runtime).is_some() || !path.join("Cargo.toml").is_file() => {
            reach_of(template, path, home)
        }
        _ => Ok(Reach::Inside),
    }
}

/// Where `code`, a file or folder that exists, lies, seen from the template's folder `template`. `home` is the user's folder.
fn reach_of(template: &Path, code: &Path, home: Option<&Path>) -> Result<Reach, PackageError> {
    let (Ok(template), Ok(code)) = (fs::canonicalize(template), fs::canonicalize(code)) else {
        return Ok(Reach::Inside);
    };
    let repository = template.ancestors().find(|folder| folder.join(".git").exists());
    let root = repository.unwrap_or(&template);
    let refused = |what: &str| {
        let why = format!("{} is {what}, and all of it would be the function's code", code.display());
        Err(PackageError::new("find the code", why).help("name the folder of this function's code alone in CodeUri"))
    };
    let is_home = home.and_then(|home| fs::canonicalize(home).ok()).is_some_and(|home| home == code);
    if code.parent().is_none() {
        return refused("the root of the file system");
    }
    if is_home && code != template {
        return refused("your home folder");
    }
    if code.starts_with(root) {
        return Ok(Reach::Inside);
    }
    // Without a repository nothing says where the project begins: it may well be the folder above the template's.
    let bound: Option<PathBuf> = match repository {
        Some(root) => Some(root.to_owned()),
        None => template.parent().map(Path::to_owned),
    };
    if bound.is_some_and(|bound| bound.starts_with(&code) && (repository.is_some() || bound != code)) {
        return refused("a folder above the template's project");
    }
    let of = if repository.is_some() { "repository" } else { "template's folder" };
    Ok(Reach::Outside(format!("the code is outside of the {of}: {}", code.display())))
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
            let found = match reach_of(&path(template), &path(code), Some(&home)) {
                Ok(Reach::Inside) => "inside".to_owned(),
                Ok(Reach::Outside(text)) => text,
                Err(error) => error.why,
            };
            assert!(found.contains(expected), "{template} {code}: {found}");
        }
    }
}
