//! Complete builds of crates without dependencies, which each test writes.

use std::fs;
use std::io::{Cursor, Read};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Mutex;
use std::time::{Duration, SystemTime};

use ::zip::ZipArchive;
use tempfile::TempDir;

use super::*;

const CARGO: &str = env!("CARGO");

/// A folder with code, and a cache beside it.
pub(super) struct Fixture {
    folder: TempDir,
    pub functions: Vec<Code>,
    pub options: BuildOptions,
    pub told: Mutex<Vec<Progress>>,
}

impl Fixture {
    pub fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let options = BuildOptions {
            backend: Backend::Auto,
            cargo: PathBuf::from(CARGO),
            tools: None,
            sdk: folder.path().join("sdk"),
            cache: folder.path().join("cache"),
            color: false,
            ignore_scripts: false,
        };
        Self { folder, functions: Vec::new(), options, told: Mutex::default() }
    }

    /// A workspace of packages, each with the binaries named.
    fn workspace(packages: &[(&str, &[&str])]) -> Self {
        let mut fixture = Self::new();
        fixture.options.cargo = fixture.tool("cargo", &format!("unset CARGO_TARGET_DIR\nexec {CARGO} \"$@\""));
        let members: Vec<&str> = packages.iter().map(|(package, _)| *package).collect();
        fixture.write("Cargo.toml", &format!("[workspace]\nmembers = {members:?}\nresolver = \"3\"\n"));
        for (package, binaries) in packages {
            let mut manifest = format!("[package]\nname = \"{package}\"\nversion = \"0.1.0\"\nedition = \"2024\"\n");
            for binary in *binaries {
                manifest += &format!("[[bin]]\nname = \"{binary}\"\npath = \"{binary}.rs\"\n");
                let source = format!("fn main() {{ println!(\"{package}/{binary}\"); }}\n");
                fixture.write(&format!("{package}/{binary}.rs"), &source);
            }
            fixture.write(&format!("{package}/Cargo.toml"), &manifest);
        }
        fixture
    }

    /// A fake tool: a shell script in the fixture's own `bin`. Another process writes it, because a file that this
    /// process has open for writing may be inherited by a child of another test, and then cannot be executed.
    pub fn tool(&self, name: &str, script: &str) -> PathBuf {
        let path = self.path("bin").join(name);
        let write = "mkdir -p \"${0%/*}\" && printf '%s\n' '#!/bin/sh' \"$1\" > \"$0\" && chmod +x \"$0\"";
        let written = Command::new("sh").args(["-c", write]).arg(&path).arg(script).status().unwrap();
        assert!(written.success());
        path
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub fn write(&self, name: &str, content: &str) {
        let path = self.path(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, content).unwrap();
    }

    pub fn function(mut self, logical_id: &str, path: &str) -> Self {
        self.functions.push(Code {
            logical_id: logical_id.to_owned(),
            declared_as: logical_id.to_owned(),
            object: None,
            is_layer: false,
            source: Source::Path(self.path(path)),
            runtime: "provided.al2023".to_owned(),
            handler: "bootstrap".to_owned(),
            layers: false,
            architecture: this_architecture(),
            binary: None,
            build: Build::Ordinary,
            sdk: Vec::new(),
            template: self.folder.path().to_owned(),
        });
        self
    }

    pub fn last(mut self, change: impl FnOnce(&mut Code)) -> Self {
        change(self.functions.last_mut().unwrap());
        self
    }

    pub async fn build(&self, target: Target) -> Result<BTreeMap<String, Artifact>, PackageError> {
        build(self.functions.clone(), target, &self.options, |told| self.told.lock().unwrap().push(told)).await
    }
}

fn this_architecture() -> Architecture {
    if std::env::consts::ARCH == "aarch64" { Architecture::Arm64 } else { Architecture::X86_64 }
}

fn other_architecture() -> Architecture {
    match this_architecture() {
        Architecture::X86_64 => Architecture::Arm64,
        Architecture::Arm64 => Architecture::X86_64,
    }
}

/// The output of the only executable in a zip.
fn run(artifact: &Artifact) -> String {
    let mut archive = ZipArchive::new(Cursor::new(&artifact.zip)).unwrap();
    assert_eq!(archive.file_names().map(Result::unwrap).collect::<Vec<_>>(), ["bootstrap"]);
    let folder = tempfile::tempdir().unwrap();
    archive.extract(folder.path()).unwrap();
    // Another process copies it, for the reason given at `Fixture::tool`.
    let copy_and_run = "cp \"$0\" \"$0.copy\" && exec \"$0.copy\"";
    let output = Command::new("sh").args(["-c", copy_and_run]).arg(folder.path().join("bootstrap")).output().unwrap();
    String::from_utf8(output.stdout).unwrap().trim().to_owned()
}

#[tokio::test]
async fn a_workspace_is_built_once_and_every_function_gets_its_binary() {
    let fixture = Fixture::workspace(&[("one", &["one"]), ("two", &["extra", "two"]), ("three", &["extra"])])
        .function("One", "one")
        .function("Two", "two")
        .function("TwoExtra", "two")
        .last(|code| code.binary = Some("extra".to_owned()))
        .function("Three", "three")
        .function("OneAgain", "one");
    let built = fixture.build(Target::Host).await.unwrap();
    let printed: BTreeMap<&str, String> = built.iter().map(|(id, artifact)| (id.as_str(), run(artifact))).collect();
    // Two packages have a binary `extra`, which cargo writes to one path; each function must still get its own.
    let expected = [
        ("One", "one/one"),
        ("OneAgain", "one/one"),
        ("Three", "three/extra"),
        ("Two", "two/two"),
        ("TwoExtra", "two/extra"),
    ];
    assert_eq!(printed, expected.map(|(id, text)| (id, text.to_owned())).into());

    let told = fixture.told.lock().unwrap();
    assert!(told.iter().any(|told| matches!(told, Progress::Compiling { total, .. } if *total >= 3)), "{told:?}");
    let finished = told.iter().filter(|told| matches!(told, Progress::Cargo(line) if line.starts_with("Finished")));
    assert_eq!(finished.count(), 2, "one build, and one for the second `extra`: {told:?}");
}

#[tokio::test]
async fn a_shared_target_folder_does_not_mix_up_crates_of_one_name() {
    let shared = tempfile::tempdir().unwrap();
    // Both as an environment variable and as separate settings, since cargo 1.91, in a configuration file.
    for setting in ["export CARGO_TARGET_DIR=", "export CARGO_BUILD_BUILD_DIR="] {
        let project = |text: &str| {
            let mut fixture = Fixture::workspace(&[("chat", &["chat"])]).function("F", "chat");
            let folder = shared.path().join("shared");
            let script = format!("unset CARGO_TARGET_DIR\n{setting}{}\nexec {CARGO} \"$@\"", folder.display());
            fixture.options.cargo = fixture.tool("cargo", &script);
            fixture.write("chat/chat.rs", &format!("fn main() {{ println!(\"{text}\"); }}\n"));
            // Older than any build: cargo compares times where names are equal.
            let long_ago = SystemTime::now() - Duration::from_secs(1_000_000);
            let file = fs::File::options().write(true).open(fixture.path("chat/chat.rs")).unwrap();
            file.set_modified(long_ago).unwrap();
            fixture
        };
        let (one, two) = (project("one"), project("two"));
        let (built, other) = tokio::join!(one.build(Target::Host), two.build(Target::Host));
        assert_eq!((run(&built.unwrap()["F"]), run(&other.unwrap()["F"])), ("one".to_owned(), "two".to_owned()));
        // Neither order compiles again.
        for (fixture, text) in [(&one, "one"), (&two, "two"), (&one, "one")] {
            fixture.told.lock().unwrap().clear();
            assert_eq!(run(&fixture.build(Target::Host).await.unwrap()["F"]), text, "{setting}");
            let told = fixture.told.lock().unwrap();
            let compiled = |told: &Progress| matches!(told, Progress::Cargo(line) if line.starts_with("Compiling"));
            assert!(!told.iter().any(compiled), "{told:?}");
        }
    }
}

#[tokio::test]
async fn only_unchanged_code_comes_from_the_cache() {
    let fixture = Fixture::workspace(&[("one", &["one"])]).function("One", "one");
    let first = fixture.build(Target::Host).await.unwrap();
    let kept = |fixture: &Fixture| -> Vec<PathBuf> {
        let all = fs::read_dir(&fixture.options.cache).unwrap().map(|entry| entry.unwrap().path());
        all.filter(|path| path.extension().is_some_and(|extension| extension == "zip")).collect()
    };
    let zips = kept(&fixture);
    assert_eq!(zips.len(), 1);
    assert_eq!(fixture.build(Target::Host).await.unwrap(), first);
    assert_eq!(kept(&fixture), zips);

    // A truncated zip is built again.
    fs::write(&zips[0], &first["One"].zip[..100]).unwrap();
    assert_eq!(fixture.build(Target::Host).await.unwrap(), first);

    fixture.write("one/one.rs", "fn main() { println!(\"changed\"); }\n");
    let changed = fixture.build(Target::Host).await.unwrap();
    assert_eq!(run(&changed["One"]), "changed");
    assert_eq!(kept(&fixture).len(), 1, "the old zip is gone");
    assert_ne!(kept(&fixture), zips);

    // Zips that were not built for a long time are removed.
    let stale = fixture.options.cache.join("gone-0-0.zip");
    fs::write(&stale, "").unwrap();
    let long_ago = SystemTime::now() - Duration::from_secs(30 * 24 * 60 * 60);
    fs::File::options().write(true).open(&stale).unwrap().set_modified(long_ago).unwrap();
    fixture.build(Target::Host).await.unwrap();
    assert!(!stale.exists());
}

#[tokio::test]
async fn a_compilers_error_names_the_function() {
    let fixture =
        Fixture::workspace(&[("good", &["good"]), ("bad", &["bad"])]).function("Good", "good").function("Bad", "bad");
    fixture.write("bad/bad.rs", "fn main() { let x: u8 = \"text\"; }\n");
    let error = fixture.build(Target::Host).await.unwrap_err();
    assert_eq!(error.to_string(), "cannot compile the code of Bad: `cargo build` failed");
    let compiler = error.compiler.unwrap();
    assert!(compiler.contains("error[E0308]: mismatched types"), "{compiler}");
    assert!(compiler.contains("bad/bad.rs:1"), "{compiler}");

    // If cargo itself fails, its own output is shown.
    fixture.write("bad/bad.rs", "fn main() {}\n");
    fixture.write("bad/build.rs", "fn main() { panic!(\"no such library\") }\n");
    let error = fixture.build(Target::Host).await.unwrap_err();
    assert_eq!(error.functions, ["Bad", "Good"]);
    assert!(error.compiler.unwrap().contains("no such library"));
}

#[tokio::test]
async fn missing_code_is_rejected_before_the_build() {
    type Prepare = fn(Fixture) -> Fixture;
    let cases: &[(&str, Prepare, &str)] = &[
        ("missing", |fixture| fixture.function("F", "nowhere"), "cannot find the code of F: there is no folder "),
        ("neither", |fixture| fixture.function("F", "two/.."), " contains neither Cargo.toml nor bootstrap"),
        ("file", |fixture| fixture.function("F", "two/a.rs"), "a.rs is a file but not a .zip"),
        ("several", |fixture| fixture.function("F", "two"), "two/Cargo.toml has several binaries: `a`, `b`"),
        (
            "unknown",
            |fixture| fixture.function("F", "two").last(|code| code.binary = Some("c".to_owned())),
            "does not have exactly one binary `c`; it has `a`, `b`",
        ),
        (
            "java",
            |fixture| {
                fixture.function("F", "two").last(|code| {
                    code.runtime = "java25".to_owned();
                    code.handler = "chat.Main::handle".to_owned();
                })
            },
            "cannot package the code of F: there is no chat/Main.class or lib/*.jar for Handler chat.Main::handle",
        ),
        (
            "no runtime",
            |fixture| fixture.function("F", "two").last(|code| code.runtime = "cobol1.x".to_owned()),
            "cannot package the code of F: runtime cobol1.x is not supported yet",
        ),
    ];
    for (name, prepare, expected) in cases {
        let fixture = Fixture::workspace(&[("two", &["a", "b"])]);
        if *name == "neither" {
            fs::remove_file(fixture.path("Cargo.toml")).unwrap();
        }
        let fixture = prepare(fixture);
        let error = fixture.build(Target::Host).await.unwrap_err().to_string();
        assert!(error.contains(expected), "{name}: {error}");
        assert!(!fixture.path("target").exists(), "{name}");
    }
}

#[tokio::test]
async fn an_invalid_manifest_is_reported_with_cargos_error() {
    let fixture = Fixture::workspace(&[("one", &["one"])]).function("One", "one");
    fixture.write("one/Cargo.toml", "[package]\nname = 5\n");
    let error = fixture.build(Target::Host).await.unwrap_err();
    assert!(error.to_string().starts_with("cannot find the code of One: cargo cannot read "), "{error}");
    assert!(error.compiler.unwrap().contains("invalid type: integer `5`"));
}

#[tokio::test]
#[cfg(target_os = "linux")]
async fn deployed_code_is_built_with_the_lambda_profile_if_the_workspace_has_one() {
    let fixture = Fixture::workspace(&[("one", &["one"])]).function("One", "one");
    // Static, so that it does not depend on this machine's glibc, which may be newer than Lambda's.
    let link =
        "fn main() { println!(\"cargo:rustc-link-arg=-nostartfiles\"); println!(\"cargo:rustc-link-arg=-static\"); }";
    fixture.write("one/build.rs", link);
    fixture.write(
        "one/one.rs",
        "#![no_std]\n#![no_main]\n#[panic_handler]\nfn panic(_: &core::panic::PanicInfo) -> ! { loop {} }\n\
         #[unsafe(no_mangle)]\npub extern \"C\" fn _start() -> ! { loop {} }\n",
    );
    let manifest = fs::read_to_string(fixture.path("Cargo.toml")).unwrap();
    fixture.write("Cargo.toml", &format!("{manifest}[profile.release]\npanic = \"abort\"\n"));
    fixture.build(Target::Lambda).await.unwrap();
    assert!(fixture.path("target/release/one").exists());

    fixture.write("Cargo.toml", &format!("{manifest}[profile.lambda]\ninherits = \"release\"\npanic = \"abort\"\n"));
    let one = fixture.build(Target::Lambda).await.unwrap();
    assert!(fixture.path("target/lambda/one").exists());
    assert_eq!(one["One"].size, one["One"].zip.len() as u64);
    assert_eq!(one["One"].unzipped, fs::metadata(fixture.path("target/lambda/one")).unwrap().len());
}

#[tokio::test]
async fn variables_of_a_surrounding_cargo_are_removed() {
    let mut fixture = Fixture::workspace(&[("one", &["one"])]).function("One", "one");
    let seen = fixture.path("seen");
    fixture.options.cargo = fixture.tool("cargo", &format!("env >> {}\nexec false", seen.display()));
    fixture.build(Target::Host).await.unwrap_err();
    let seen = fs::read_to_string(seen).unwrap();
    assert!(seen.contains("PATH="), "{seen}");
    // `cargo test` has set both for this very process.
    assert!(!seen.contains("CARGO_MANIFEST_DIR=") && !seen.contains("CARGO_PKG_NAME="), "{seen}");
}

#[tokio::test]
async fn a_missing_backend_is_reported_with_what_to_install() {
    let mut fixture = Fixture::workspace(&[("one", &["one"])])
        .function("One", "one")
        .last(|code| code.architecture = other_architecture());
    // A toolchain without cross targets, regardless of the real one: its rustc has no folder for any.
    fixture.options.cargo = fixture.tool("cargo", &format!("[ \"$1\" = zigbuild ] && exit 101\nexec {CARGO} \"$@\""));
    fixture.tool("rustc", "echo /nowhere");
    let arch = other_architecture().rust();
    let cases = [
        (Backend::Cargo, format!("Rust's target {arch}-unknown-linux-gnu is not installed"), "rustup target add"),
        (Backend::Musl, format!("Rust's target {arch}-unknown-linux-musl is not installed"), "rustup target add"),
        (Backend::Zigbuild, "cargo-zigbuild is not installed".to_owned(), "cargo install cargo-zigbuild"),
        (Backend::Auto, format!("cannot build code for provided.al2023 on {}", other_architecture().as_str()), "-musl"),
    ];
    for (backend, why, help) in cases {
        fixture.options.backend = backend;
        let error = fixture.build(Target::Lambda).await.unwrap_err();
        assert_eq!(error.functions, ["One"]);
        assert!(error.why.contains(&why), "{backend:?}: {error}");
        assert!(error.help.as_ref().is_some_and(|text| text.contains(help)), "{backend:?}: {:?}", error.help);
        assert!(!fixture.path("target").exists());
    }
}

#[tokio::test]
async fn a_folders_zip_does_not_depend_on_the_order_or_times_of_its_files() {
    let files = ["bootstrap", "lib/b.txt", "lib/a.txt", "z.sh", "Ä.txt"];
    let make = |names: Vec<&str>, time: SystemTime| {
        let fixture = Fixture::new();
        for name in names {
            let path = fixture.path(&format!("code/{name}"));
            fixture.write(&format!("code/{name}"), &format!("#!/bin/sh\n# {name}\n"));
            fs::File::options().write(true).open(&path).unwrap().set_modified(time).unwrap();
        }
        make_executable(&fixture.path("code/z.sh"));
        // A build's output is included even if git ignores it; files of git and of wschat are not.
        fixture.write("code/lib/.gitignore", "*\n");
        fixture.write("code/.git/HEAD", "");
        fixture.write("code/.wschat/data", "");
        fixture.function("F", "code")
    };
    let now = SystemTime::now();
    let one = make(files.to_vec(), now).build(Target::Lambda).await.unwrap().remove("F").unwrap();
    let two = make(files.iter().rev().copied().collect(), now - Duration::from_secs(1_000_000));
    assert_eq!(two.build(Target::Lambda).await.unwrap()["F"], one);

    let mut archive = ZipArchive::new(Cursor::new(&one.zip)).unwrap();
    let mut read = Vec::new();
    for index in 0..archive.len() {
        let mut file = archive.by_index(index).unwrap();
        let mut text = String::new();
        file.read_to_string(&mut text).unwrap();
        let name = file.name().unwrap().into_owned();
        assert!(text == format!("#!/bin/sh\n# {name}\n") || name == "lib/.gitignore");
        read.push((name, file.unix_mode().unwrap() & 0o777, file.last_modified().unwrap().to_string()));
    }
    let expected = [
        ("bootstrap", 0o755),
        ("lib/.gitignore", 0o644),
        ("lib/a.txt", 0o644),
        ("lib/b.txt", 0o644),
        ("z.sh", 0o755),
        ("Ä.txt", 0o644),
    ];
    assert_eq!(read, expected.map(|(name, mode)| (name.to_owned(), mode, "1980-01-01 00:00:00".to_owned())));
    // The first local header's last field: the length of its extra fields.
    assert_eq!(&one.zip[28..30], [0, 0]);
}

#[tokio::test]
#[cfg(unix)]
async fn links_inside_a_folder_are_followed_and_others_rejected() {
    use std::os::unix::fs::symlink;
    let fixture = Fixture::new().function("F", "code");
    fixture.write("secret", "outside");
    fixture.write("code/bootstrap", "#!/bin/sh\n");
    fixture.write("code/real/data", "inside");
    symlink("real", fixture.path("code/alias")).unwrap();
    let built = fixture.build(Target::Host).await.unwrap();
    let archive = ZipArchive::new(Cursor::new(&built["F"].zip)).unwrap();
    assert_eq!(archive.file_names().map(Result::unwrap).collect::<Vec<_>>(), ["alias/data", "bootstrap", "real/data"]);

    symlink("..", fixture.path("code/real/loop")).unwrap();
    let error = fixture.build(Target::Host).await.unwrap_err().to_string();
    assert!(error.ends_with("is a link to a folder that it is in itself"), "{error}");
    fs::remove_file(fixture.path("code/real/loop")).unwrap();

    symlink("../secret", fixture.path("code/leak")).unwrap();
    let error = fixture.build(Target::Host).await.unwrap_err().to_string();
    assert!(error.contains("code/leak is a link to "), "{error}");
    assert!(error.ends_with("outside of the code's folder"), "{error}");
}

#[tokio::test]
async fn a_zip_is_used_unchanged_or_rejected() {
    let zip_of = |name: &str, mode: u32| {
        let mut zip = ::zip::ZipWriter::new(Cursor::new(Vec::new()));
        let options = ::zip::write::SimpleFileOptions::default().unix_permissions(mode);
        zip.start_file(name, options).unwrap();
        std::io::Write::write_all(&mut zip, b"#!/bin/sh\n").unwrap();
        zip.finish().unwrap().into_inner()
    };
    let fixture = Fixture::new().function("F", "code.zip");
    let given = zip_of("bootstrap", 0o755);
    fs::write(fixture.path("code.zip"), &given).unwrap();
    assert_eq!(fixture.build(Target::Lambda).await.unwrap()["F"].zip, given);

    let cases = [
        (zip_of("code/bootstrap", 0o755), "it has no `bootstrap` in its root"),
        (zip_of("bootstrap", 0o644), "its `bootstrap` is not marked executable, so Lambda could not start it"),
        (b"no zip at all".to_vec(), "invalid Zip archive: Could not find EOCD"),
    ];
    for (content, expected) in cases {
        fs::write(fixture.path("code.zip"), content).unwrap();
        let error = fixture.build(Target::Lambda).await.unwrap_err();
        assert!(error.why.ends_with(expected), "{error}");
        assert_eq!(error.functions, ["F"]);
    }
}

#[tokio::test]
async fn code_over_a_limit_is_rejected_with_its_largest_files() {
    let fixture = Fixture::new().function("F", "code");
    fixture.write("code/bootstrap", "#!/bin/sh\n");
    for (name, megabytes) in [("a", 60), ("b", 100), ("c", 90), ("d", 1), ("e", 2), ("f", 3)] {
        // Sparse: only their sizes count, they are never read.
        fixture.write(&format!("code/{name}"), "");
        fs::File::options()
            .write(true)
            .open(fixture.path(&format!("code/{name}")))
            .unwrap()
            .set_len(megabytes << 20)
            .unwrap();
    }
    let error = fixture.build(Target::Lambda).await.unwrap_err();
    assert_eq!(
        error.to_string(),
        "cannot zip the code of F: it is 256.0 MB unzipped, but Lambda accepts at most 250.0 MB"
    );
    assert_eq!(
        error.help.unwrap(),
        "its largest files:\n 100.0 MB  b\n  90.0 MB  c\n  60.0 MB  a\n   3.0 MB  f\n   2.0 MB  e"
    );
}

fn make_executable(path: &Path) {
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        fs::set_permissions(path, fs::Permissions::from_mode(0o755)).unwrap();
    }
    #[cfg(not(unix))]
    let _ = path;
}

/// The names of the files in a zip.
fn names(artifact: &Artifact) -> Vec<String> {
    ZipArchive::new(Cursor::new(&artifact.zip)).unwrap().file_names().map(|name| name.unwrap().to_string()).collect()
}

#[tokio::test]
async fn a_layer_is_packaged_as_it_is_or_built_into_its_runtimes_folder() {
    let fixture = Fixture::workspace(&[]);
    fixture.write("whole/nodejs/node_modules/wire/index.js", "exports.wire = 1\n");
    fixture.write(".gitignore", "node_modules\n");
    fixture.write("built/index.js", "exports.wire = 1\n");
    fixture.write("made/Makefile", "build-Made:\n\tmkdir -p $(ARTIFACTS_DIR)/bin && cp tool $(ARTIFACTS_DIR)/bin\n");
    fixture.write("made/tool", "#!/bin/sh\n");
    let layer = |code: &mut Code, build: Build| {
        (code.runtime, code.handler, code.is_layer, code.build) = (String::new(), String::new(), true, build);
    };
    let fixture = fixture
        .function("Whole", "whole")
        .last(|code| layer(code, Build::Skip))
        .function("Built", "built")
        .last(|code| layer(code, Build::LayerOf("nodejs22.x".to_owned())))
        // SAM gives it another logical id than the Makefile knows.
        .function("Made0a1b2c3d4e", "made")
        .last(|code| {
            layer(code, Build::Makefile(crate::core::stack::Makefile::default()));
            code.declared_as = "Made".to_owned();
        });
    let built = fixture.build(Target::Lambda).await.unwrap();
    assert_eq!(names(&built["Whole"]), ["nodejs/node_modules/wire/index.js"]);
    assert_eq!(names(&built["Built"]), ["nodejs/index.js"]);
    assert_eq!(names(&built["Made0a1b2c3d4e"]), ["bin/tool"]);
    let again = fixture.build(Target::Lambda).await.unwrap();
    assert_eq!(built, again, "equal content gives equal zips");
}

#[tokio::test]
async fn what_another_tool_has_built_is_packaged_for_any_runtime() {
    let fixture = Fixture::workspace(&[]);
    fixture.write("java/lib/app.jar", "jar");
    fixture.write("sources/pom.xml", "<project/>");
    fixture.write("ruby/app.rb", "def handler(event:, context:) = 1\n");
    let runtime = |name: &'static str| move |code: &mut Code| code.runtime = name.to_owned();
    let fixture =
        fixture.function("Java", "java").last(runtime("java21")).function("Ruby", "ruby").last(runtime("ruby3.4"));
    let fixture = fixture.last(|code| code.handler = "app.handler".to_owned());
    let built = fixture.build(Target::Lambda).await.unwrap();
    assert_eq!(
        (names(&built["Java"]), names(&built["Ruby"])),
        (vec!["lib/app.jar".to_owned()], vec!["app.rb".to_owned()])
    );
    let fixture = Fixture { functions: Vec::new(), ..fixture }.function("Sources", "sources").last(runtime("java21"));
    let error = fixture.build(Target::Lambda).await.unwrap_err();
    assert_eq!(error.why, "sources contains pom.xml: wschat does not build code for java21");
}

#[tokio::test]
async fn an_executable_for_another_machine_keeps_only_its_function_from_working() {
    let fixture = Fixture::workspace(&[("one", &["one"])]);
    // An ELF header of the other architecture.
    let machine = if this_architecture() == Architecture::X86_64 { 183u16 } else { 62 };
    let mut elf = b"\x7fELF\x02\x01\x01".to_vec();
    elf.resize(16, 0);
    elf.extend([2u16, machine].map(u16::to_le_bytes).concat());
    elf.resize(64, 0);
    fs::create_dir_all(fixture.path("foreign")).unwrap();
    fs::write(fixture.path("foreign/bootstrap"), &elf).unwrap();
    let fixture = fixture.function("Foreign", "foreign");
    let built = fixture.build(Target::Host).await.unwrap();
    assert_eq!(names(&built["Foreign"]), ["bootstrap"]);
    let told = fixture.told.lock().unwrap().clone();
    assert!(
        told.iter().any(|told| matches!(told, Progress::Note(note) if note.contains("Foreign: bootstrap cannot run on this machine"))),
        "{told:?}"
    );
    // Lambda would not start it, either: that is an error.
    assert!(fixture.build(Target::Lambda).await.is_err());
}

#[tokio::test]
async fn a_go_module_is_compiled_for_its_functions_machine() {
    let fixture = Fixture::workspace(&[]);
    fixture.write("echo/go.mod", "module echo\n");
    fixture.write("echo/main.go", "package main\n");
    fixture.tool(
        "go",
        "printf '#!/bin/sh\\n# %s %s %s %s %s\\n' \"$GOOS\" \"$GOARCH\" \"$CGO_ENABLED\" \"$6\" \"$7\" > \"$3\"",
    );
    let mut fixture = fixture.function("Echo", "echo").last(|code| code.architecture = Architecture::Arm64);
    fixture.options.tools = Some(fixture.path("bin"));
    let built = fixture.build(Target::Lambda).await.unwrap();
    let text = |artifact: &Artifact| {
        let mut archive = ZipArchive::new(Cursor::new(&artifact.zip)).unwrap();
        std::io::read_to_string(archive.by_name("bootstrap").unwrap()).unwrap()
    };
    assert_eq!(text(&built["Echo"]), "#!/bin/sh\n# linux arm64 0 -ldflags=-s -w -tags\n");
    // This machine's own for the local cloud.
    let built = fixture.build(Target::Host).await.unwrap();
    assert_eq!(text(&built["Echo"]), "#!/bin/sh\n#   0 -ldflags=-s -w -tags\n");

    fixture.options.tools = Some(fixture.path("nowhere"));
    let error = fixture.build(Target::Lambda).await.unwrap_err();
    assert!(error.why.contains("go cannot be started"), "{error}");
    assert!(error.help.unwrap().starts_with("install Go (https://go.dev/dl)"));
}
