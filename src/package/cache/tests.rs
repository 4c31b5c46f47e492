use std::fs;
use std::io::Cursor;
use std::path::Path;
use std::time::{Duration, SystemTime};

use ::zip::ZipArchive;

use super::super::folder::{self, Verdict};
use super::super::{Artifact, Target};
use super::Cache;

struct Folders {
    code: tempfile::TempDir,
    cache: tempfile::TempDir,
}

impl Folders {
    fn new() -> Self {
        let own = Self { code: tempfile::tempdir().unwrap(), cache: tempfile::tempdir().unwrap() };
        own.write("index.js", "exports.handler = async () => 1;");
        // Some compress and some do not; names are sorted by bytes.
        for (name, content) in [
            ("node_modules/dep/index.js", "module.exports = 1;\n".repeat(500)),
            ("node_modules/dep/ä.txt", "ä".repeat(70_000)),
            ("node_modules/dep/empty", String::new()),
            ("node_modules/dep/bin/run", "#!/bin/sh\n".to_owned()),
            ("node_modules/Upper/x", "x".to_owned()),
        ] {
            own.write(name, &content);
        }
        own
    }

    fn write(&self, name: &str, content: &str) {
        let path = self.code.path().join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, content).unwrap();
    }

    fn pack(&self, cache: &Path, target: Target) -> Artifact {
        let files = folder::read(self.code.path(), &|_, _| Verdict::IncludeAll).unwrap().files;
        Cache::open(cache).pack_files(self.code.path(), "F", files, target, || Ok(())).unwrap()
    }

    /// Packs with the zip before, and from nothing: the bytes are the same.
    fn pack_again(&self, target: Target) -> Artifact {
        let again = self.pack(self.cache.path(), target);
        let from_nothing = self.pack(tempfile::tempdir().unwrap().path(), target);
        assert_eq!(again.code_sha256, from_nothing.code_sha256);
        assert_eq!(again, from_nothing);
        again
    }

    fn names(artifact: &Artifact) -> Vec<String> {
        let archive = ZipArchive::new(Cursor::new(&artifact.zip)).unwrap();
        let mut names: Vec<String> = archive.file_names().map(|name| name.unwrap().into_owned()).collect();
        names.sort();
        names
    }

    fn kept(&self) -> Vec<String> {
        let names = fs::read_dir(self.cache.path()).unwrap();
        names.map(|entry| entry.unwrap().file_name().to_string_lossy().into_owned()).collect()
    }
}

/// The content of a file in a zip.
fn text(artifact: &Artifact, name: &str) -> String {
    let mut archive = ZipArchive::new(Cursor::new(&artifact.zip)).unwrap();
    std::io::read_to_string(archive.by_name(name).unwrap()).unwrap()
}

#[test]
fn changed_code_gives_the_bytes_of_a_zip_from_nothing() {
    for target in [Target::Host, Target::Lambda] {
        let folders = Folders::new();
        folders.pack_again(target);
        folders.write("index.js", "exports.handler = async () => 'changed';");
        folders.pack_again(target);
        // Added, removed, and another mode.
        folders.write("node_modules/added/index.js", "1");
        fs::remove_file(folders.code.path().join("node_modules/Upper/x")).unwrap();
        let run = folders.code.path().join("node_modules/dep/bin/run");
        let mut mode = fs::metadata(&run).unwrap().permissions();
        std::os::unix::fs::PermissionsExt::set_mode(&mut mode, 0o755);
        fs::set_permissions(run, mode).unwrap();
        let packed = folders.pack_again(target);
        let names = Folders::names(&packed);
        assert!(names.iter().any(|name| name == "node_modules/added/index.js"), "{names:?}");
        assert!(!names.iter().any(|name| name.contains("Upper")), "{names:?}");
        let mut kept = folders.kept();
        kept.sort_by_key(String::len);
        assert!(kept.len() == 2 && kept[0].ends_with(".zip") && kept[1].ends_with(".files.json"), "{kept:?}");
    }
}

#[test]
fn unchanged_files_are_taken_from_the_zip_before() {
    let folders = Folders::new();
    folders.pack(folders.cache.path(), Target::Host);
    // Another content in its place shows where a file comes from.
    let name = folders.kept().into_iter().find(|name| name.ends_with(".zip")).unwrap();
    let other = Folders::new();
    other.write("node_modules/dep/index.js", "from before");
    let before = other.pack(other.cache.path(), Target::Host);
    fs::write(folders.cache.path().join(name), &before.zip).unwrap();
    folders.write("index.js", "exports.handler = async () => 22;");
    let packed = folders.pack(folders.cache.path(), Target::Host);
    assert_eq!(text(&packed, "node_modules/dep/index.js"), "from before");
    assert!(text(&packed, "index.js").ends_with("22;"));
}

#[test]
fn a_file_that_was_replaced_by_one_of_the_same_size_and_time_is_read_again() {
    let folders = Folders::new();
    // As npm writes the files of packages.
    let dep = folders.code.path().join("node_modules/dep/index.js");
    let replace = |content: &str| {
        fs::remove_file(&dep).unwrap();
        fs::write(&dep, content).unwrap();
        let then = SystemTime::UNIX_EPOCH + Duration::from_secs(499_162_500);
        fs::File::options().write(true).open(&dep).unwrap().set_modified(then).unwrap();
    };
    replace("exports.version = '1.0.1';");
    folders.pack_again(Target::Host);
    replace("exports.version = '1.0.2';");
    folders.write("index.js", "exports.handler = async () => 22;");
    assert!(text(&folders.pack_again(Target::Host), "node_modules/dep/index.js").contains("1.0.2"));
}

#[test]
fn a_damaged_zip_or_list_makes_it_slower_only() {
    let folders = Folders::new();
    for damage in [".zip", ".files.json"] {
        folders.pack(folders.cache.path(), Target::Host);
        let name = folders.kept().into_iter().find(|name| name.ends_with(damage)).unwrap();
        fs::write(folders.cache.path().join(name), "{}").unwrap();
        folders.write("index.js", &format!("exports.handler = async () => '{damage}';"));
        folders.pack_again(Target::Host);
    }
}

#[test]
fn what_a_killed_run_has_left_is_removed() {
    let folders = Folders::new();
    let part = folders.cache.path().join("npm-0123456789abcdef.4711");
    let fresh = folders.cache.path().join("npm-0123456789abcdef.4712");
    let whole = folders.cache.path().join("npm-0123456789abcdef");
    for folder in [&part, &fresh, &whole] {
        fs::create_dir(folder).unwrap();
    }
    let hours_ago = SystemTime::now() - Duration::from_secs(2 * 60 * 60);
    for folder in [&part, &whole] {
        fs::File::open(folder).unwrap().set_modified(hours_ago).unwrap();
    }
    Cache::open(folders.cache.path());
    assert!(!part.exists() && fresh.exists() && whole.exists());
}
