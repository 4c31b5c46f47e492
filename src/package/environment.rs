//! The environment of tools that run third-party code, so that install scripts of dependencies see no credentials.

use std::env;
use std::path::{Path, PathBuf};

use tokio::process::Command;

use crate::machine::interpreter::VERSION_MANAGERS;
use crate::machine::program;

/// The variables with which package managers and compilers find their programs, folders, registries and certificates.
const KEPT: &[&str] = &[
    "PATH",
    "HOME",
    "USER",
    "LOGNAME",
    "SHELL",
    "LANG",
    "LANGUAGE",
    "TZ",
    "TERM",
    "TMPDIR",
    "TMP",
    "TEMP",
    "CI",
    "HTTP_PROXY",
    "HTTPS_PROXY",
    "ALL_PROXY",
    "NO_PROXY",
    "SSL_CERT_FILE",
    "SSL_CERT_DIR",
    "NODE_EXTRA_CA_CERTS",
    "NODE_OPTIONS",
    "NODE_GYP_FORCE_PYTHON",
    "PYTHON",
    "CC",
    "CXX",
    "AR",
    "CFLAGS",
    "CXXFLAGS",
    "LDFLAGS",
    "MAKEFLAGS",
    "PKG_CONFIG_PATH",
    "SYSTEMROOT",
    "N_PREFIX",
    "REQUESTS_CA_BUNDLE",
    "CURL_CA_BUNDLE",
    "NETRC",
    "SSH_AUTH_SOCK",
    "GIT_SSH",
    "GIT_SSH_COMMAND",
    "LD",
    "CPPFLAGS",
    "LD_LIBRARY_PATH",
    "MACOSX_DEPLOYMENT_TARGET",
    "SDKROOT",
    "SOURCE_DATE_EPOCH",
    "CARGO_HOME",
    "RUSTUP_HOME",
    "RUSTUP_TOOLCHAIN",
];

/// Prefixes of the settings of package managers and of their environments. They may contain a registry's token, which is
/// meant for these tools.
const KEPT_PREFIXES: &[&str] = &[
    "CONDA_",
    "COREPACK_",
    "HOMEBREW_",
    "LC_",
    "NIX_",
    "NPM_CONFIG_",
    "PIP_",
    "PNPM_",
    "POETRY_",
    "UV_",
    "XDG_",
    "YARN_",
];

/// Gives `command` a clean environment: the variables that a package manager needs, and those that its `configurations` (the
/// texts of .npmrc, of requirements files and the like) reference as `${NAME}`.
pub(super) fn clean(command: &mut Command, configurations: &[String]) {
    let mut referenced: Vec<&str> = configurations.iter().flat_map(|text| named(text)).collect();
    referenced.sort_unstable();
    command.env_clear();
    #[expect(clippy::disallowed_methods, reason = "the environment is passed on without its secrets")]
    let all = env::vars_os();
    for (name, value) in all {
        let Some(text) = name.to_str() else { continue };
        if is_kept(text) || referenced.binary_search(&text).is_ok() {
            command.env(&name, value);
        }
    }
}

fn is_kept(name: &str) -> bool {
    let upper = name.to_ascii_uppercase();
    KEPT.contains(&upper.as_str())
        || KEPT_PREFIXES.iter().chain(VERSION_MANAGERS).any(|prefix| upper.starts_with(prefix))
}

/// The variables that a configuration references: `${NPM_TOKEN}`, `${NPM_TOKEN-}`, `${NPM_TOKEN:-none}`, `${NPM_TOKEN?}`.
fn named(text: &str) -> impl Iterator<Item = &str> {
    text.split("${").skip(1).filter_map(|rest| {
        let name = rest.split_once('}')?.0;
        Some(name.split([':', '-', '?']).next().unwrap_or(name))
    })
}

/// The texts of the user's own configuration files of package managers that can be read.
pub(super) fn users_configurations() -> Vec<String> {
    #[expect(clippy::disallowed_methods, reason = "where the tools themselves look for the user's settings")]
    let (home, other) = (env::var_os("HOME"), env::var_os("NPM_CONFIG_USERCONFIG"));
    let home = home.map(PathBuf::from);
    let names = [".npmrc", ".yarnrc.yml", ".yarnrc"];
    let files = home.iter().flat_map(|home| names.map(|name| home.join(name))).chain(other.map(PathBuf::from));
    files.filter_map(|file| std::fs::read_to_string(file).ok()).collect()
}

/// Identifies the version of a program without running it: by the version in the `package.json` that it belongs to, or by
/// the file's size and modification time. `None` if `folder` (or, without it, the PATH) has no such program.
pub(super) fn identity(name: &str, folder: Option<&Path>) -> Option<String> {
    let real = std::fs::canonicalize(program::locate(name, folder)?).ok()?;
    let manifest = real.ancestors().skip(1).take(3).find_map(|folder| {
        let text = std::fs::read(folder.join("package.json")).ok()?;
        let manifest: serde_json::Value = serde_json::from_slice(&text).ok()?;
        Some(format!("{}@{}", manifest["name"].as_str()?, manifest["version"].as_str()?))
    });
    manifest.or_else(|| program::state(&real))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn credentials_are_not_passed_to_package_managers() {
        for name in [
            "PATH",
            "https_proxy",
            "npm_config_registry",
            "NPM_CONFIG_//registry/:_authToken",
            "YARN_RC_FILENAME",
            "PIP_INDEX_URL",
            "UV_INDEX_OURS_PASSWORD",
        ] {
            assert!(is_kept(name), "{name}");
        }
        for name in [
            "AWS_SECRET_ACCESS_KEY",
            "AWS_PROFILE",
            "GITHUB_TOKEN",
            "NPM_TOKEN",
            "NODE_AUTH_TOKEN",
            "DATABASE_URL",
            "PYTHONPATH",
        ] {
            assert!(!is_kept(name), "{name}");
        }
    }

    #[test]
    fn variables_in_a_registrys_configuration_are_passed_on() {
        let text = "//a/:_authToken=${NPM_TOKEN}\nnpmAuthToken: \"${OTHER_TOKEN:-}\"\nkey=${LAST?} ${broken";
        assert_eq!(named(text).collect::<Vec<_>>(), ["NPM_TOKEN", "OTHER_TOKEN", "LAST"]);
    }
}
