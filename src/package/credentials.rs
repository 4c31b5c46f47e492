//! Recognises files in code folders that do not belong into a zip: files of tools, and credentials.

use std::collections::BTreeSet;
use std::fs::File;
use std::io::Read;
use std::path::Path;

use super::exclude;

/// Files and folders of tools, which no code reads at run time. Settings of package managers are among them, which may
/// contain tokens.
const TOOL_FILES: &[&str] = &[
    ".git",
    ".hg",
    ".svn",
    ".wschat",
    ".aws-sam",
    ".serverless",
    ".terraform",
    "cdk.out",
    ".idea",
    ".vscode",
    ".DS_Store",
    "Thumbs.db",
    "__pycache__",
    ".pytest_cache",
    ".mypy_cache",
    ".ruff_cache",
    ".tox",
    ".nox",
    ".npmrc",
    ".yarnrc",
    ".yarnrc.yml",
    ".pypirc",
    exclude::IGNORE_FILE,
];

/// Files and folders that are known to hold credentials.
const SECRET: &[&str] = &[
    ".env",
    ".envrc",
    ".docker",
    ".dockerconfigjson",
    ".netrc",
    ".git-credentials",
    ".pgpass",
    ".aws",
    ".ssh",
    ".gnupg",
    "id_rsa",
    "id_dsa",
    "id_ecdsa",
    "id_ed25519",
    "id_ecdsa_sk",
    "id_ed25519_sk",
];

/// Suffixes that mark an `.env` file as an example.
const EXAMPLES: &[&str] = &["example", "sample", "template", "dist", "defaults"];

/// How much of a file is searched for a private key, in bytes.
const MAX_KEY_BYTES: u64 = 64 << 10;

/// Whether a tool's file or folder has this name (without folders).
pub(super) fn is_tool_file(name: &str) -> bool {
    TOOL_FILES.contains(&name)
}

/// Whether the file looks like credentials, which are never meant to be uploaded: a private key does, a certificate does not.
/// Of a link, both its own name and its target's count.
pub(super) fn is_secret(path: &Path) -> bool {
    let by_name = |path: &Path| {
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        SECRET.contains(&name.as_str())
            || name
                .strip_prefix(".env.")
                .is_some_and(|rest| !EXAMPLES.contains(&rest.rsplit('.').next().unwrap_or(rest)))
            || (name.ends_with(".env") && !EXAMPLES.iter().any(|example| name.starts_with(example)))
            || name.ends_with(".tfstate")
            || name.ends_with(".tfstate.backup")
            || name.ends_with(".p12")
            || name.ends_with(".pfx")
    };
    if by_name(path) || (path.is_symlink() && path.canonicalize().is_ok_and(|real| by_name(&real))) {
        return true;
    }
    // Installed packages are not searched: they have thousands of files, and the user's own keys are not among them.
    let of_package = path.components().any(|step| step.as_os_str() == "node_modules");
    let may_be_key = match path.extension() {
        Some(extension) => extension == "pem" || extension == "key" || (extension == "json" && !of_package),
        None => !of_package,
    };
    may_be_key && holds_private_key(path)
}

fn holds_private_key(path: &Path) -> bool {
    let mut start = Vec::new();
    let read = File::open(path).and_then(|file| file.take(MAX_KEY_BYTES).read_to_end(&mut start));
    // Programs may contain these markers as text.
    if read.is_err() || start.starts_with(b"\x7fELF") {
        return false;
    }
    let text = String::from_utf8_lossy(&start);
    // The key of a Google Cloud service account.
    let in_json = || text.contains("\"private_key\"") && text.contains("-----BEGIN ");
    let is_json = path.extension().is_some_and(|extension| extension == "json");
    (is_json && in_json())
        || text.lines().any(|line| {
            // PKCS #8 and the older forms of RFC 7468; OpenSSH's form; AWS's credentials file.
            (line.starts_with("-----BEGIN ") && line.trim_end().ends_with("PRIVATE KEY-----"))
                || (!is_json && line.trim_start().starts_with("aws_secret_access_key"))
        })
}

/// The warning about excluded credentials; `None` if there are none.
pub(super) fn warning(secrets: &BTreeSet<String>) -> Option<String> {
    let mut shown: Vec<&str> = secrets.iter().take(5).map(String::as_str).collect();
    let more = format!("{} more", secrets.len() - shown.len());
    if secrets.len() > shown.len() {
        shown.push(&more);
    }
    let first = secrets.first()?;
    Some(format!(
        "left out of the zip, because it looks like credentials: {} (to deploy it, write !{first} into a file {} beside the code)",
        shown.join(", "),
        exclude::IGNORE_FILE,
    ))
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn credentials_are_distinguished_from_similar_files() {
        let folder = tempfile::tempdir().unwrap();
        let secret = |name: &str, text: &str| {
            let path = folder.path().join(name);
            fs::write(&path, text).unwrap();
            is_secret(&path)
        };
        for name in [".env", ".env.production", ".env.local", "id_rsa", "id_ed25519", ".netrc", "client.p12"] {
            assert!(secret(name, ""), "{name}");
        }
        for name in [".env.example", ".env.prod.sample", "env.py", "id_rsa.pub", "id_card.py", ".envrc.md", "key.py"] {
            assert!(!secret(name, ""), "{name}");
        }
        let begin = "-----BEGIN ";
        assert!(secret("a.pem", &format!("{begin}CERTIFICATE-----\nMII\n{begin}RSA PRIVATE KEY-----\r\nMII\n")));
        assert!(secret("b.key", &format!("{begin}PRIVATE KEY-----\n")));
        assert!(!secret("c.pem", &format!("{begin}CERTIFICATE-----\nMII\n")), "a database's certificates");
        assert!(!secret("d.key", "translations"));
    }

    #[test]
    fn the_warning_names_a_few_files_and_how_to_include_them() {
        assert_eq!(warning(&BTreeSet::new()), None);
        let all: BTreeSet<String> = (0..7).map(|number| format!("{number}.pem")).collect();
        let text = warning(&all).unwrap();
        assert!(
            text.contains(": 0.pem, 1.pem, 2.pem, 3.pem, 4.pem, 2 more (to deploy it, write !0.pem into"),
            "{text}"
        );
    }
}
