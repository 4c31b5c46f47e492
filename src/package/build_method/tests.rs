//! Builds with make and esbuild, with fakes for both that record their calls.

use std::io::{Cursor, Read};

use ::zip::ZipArchive;

use super::*;
use crate::package::tests::Fixture;
use crate::package::{Artifact, check as check_code};

fn files(artifact: &Artifact) -> Vec<(String, String)> {
    let mut archive = ZipArchive::new(Cursor::new(&artifact.zip)).unwrap();
    let read = |index: usize, archive: &mut ZipArchive<Cursor<&bytes::Bytes>>| {
        let mut file = archive.by_index(index).unwrap();
        let mut text = String::new();
        file.read_to_string(&mut text).unwrap();
        (file.name().unwrap().into_owned(), text)
    };
    (0..archive.len()).map(|index| read(index, &mut archive)).collect()
}

fn fixture(runtime: &str, build: Build) -> Fixture {
    let mut fixture = Fixture::new().function("F", "fn/").last(|code| {
        code.runtime = runtime.to_owned();
        code.handler = "index.handler".to_owned();
        code.build = build;
    });
    fixture.tool("node", "echo /bin/node; echo 20.1.0");
    fixture.options.tools = fixture.tool("python3", "echo \"$0\"; echo 3.12.1").parent().map(Into::into);
    fixture
}

/// A fake esbuild in the project's own node_modules that records its arguments and writes a file for each output.
fn esbuild(fixture: &Fixture, outputs: &str) {
    let calls = fixture.path("calls").display().to_string();
    let script = format!(
        "echo \"$PWD|$@|$NODE_PATH\" >> {calls}\nfor a in \"$@\"; do case $a in --outdir=*) out=${{a#--outdir=}};; esac; done\n\
         for f in {outputs}; do mkdir -p $(dirname $out/$f); echo bundled > $out/$f; done"
    );
    let tool = fixture.tool("esbuild", &script);
    let place = fixture.path("node_modules/esbuild/bin");
    fs::create_dir_all(&place).unwrap();
    std::os::unix::fs::symlink(tool, place.join("esbuild")).unwrap();
}

#[tokio::test]
async fn make_builds_in_a_copy_and_artifacts_dir_becomes_the_code() {
    for target in [Target::Host, Target::Lambda] {
        let fixture = fixture("nodejs20.x", Build::Makefile(Makefile::default()));
        fixture.write("fn/Makefile", "build-F:\n\ttrue\n");
        fixture.write("fn/src/index.js", "source");
        fixture.write("fn/.git/HEAD", "");
        fixture.write("fn/package.json", r#"{"dependencies":{"never-installed":"1"}}"#);
        let calls = fixture.path("calls").display().to_string();
        fixture.tool(
            "make",
            &format!("echo \"$@\" > {calls}; ls -A >> {calls}; cat src/index.js > $ARTIFACTS_DIR/index.js; touch here"),
        );
        let built = fixture.build(target).await.unwrap();
        assert_eq!(files(&built["F"]), [("index.js".to_owned(), "source".to_owned())]);
        let called = fs::read_to_string(&calls).unwrap();
        let makefile = fixture.path("fn/Makefile");
        assert_eq!(called, format!("--makefile {} build-F\nMakefile\npackage.json\nsrc\n", makefile.display()));
        assert!(!fixture.path("fn/here").exists(), "the user's folder is left alone");
        assert_eq!(fixture.build(target).await.unwrap(), built);
        let left: Vec<_> = fs::read_dir(fixture.path("cache")).unwrap().collect();
        assert!(left.is_empty(), "{left:?}");
    }
}

#[tokio::test]
async fn make_runs_in_the_metadatas_folder_and_its_failures_are_reported() {
    let makefile = Makefile { context: Some("build".to_owned()), working_directory: Some("fn/sub".to_owned()) };
    let fixture = fixture("python3.12", Build::Makefile(makefile));
    fixture.write("build/Makefile", "build-F:\n");
    fixture.write("fn/sub/index.py", "");
    fixture.tool("make", "cp index.py $ARTIFACTS_DIR");
    assert_eq!(files(&fixture.build(Target::Host).await.unwrap()["F"]), [("index.py".to_owned(), String::new())]);
    fixture.tool("make", "true");
    let error = fixture.build(Target::Host).await.unwrap_err();
    assert_eq!(error.to_string(), "cannot build the code of F: `make build-F` put nothing into $(ARTIFACTS_DIR)");
    fixture.tool("make", "echo 'no rule' >&2; exit 2");
    let error = fixture.build(Target::Host).await.unwrap_err();
    assert_eq!((error.why.as_str(), error.compiler.as_deref()), ("`make build-F` failed", Some("no rule")));
    fs::remove_file(fixture.path("bin/make")).unwrap();
    assert!(fixture.build(Target::Host).await.unwrap_err().help.unwrap().starts_with("install make"));
    fixture.write("build/Makefile", "build-G:\n");
    let (about, error) = check_code(&fixture.functions[0]).unwrap_err();
    assert_eq!(about, "BuildMethod");
    assert!(error.why.ends_with("build/Makefile has no target build-F"), "{error}");
}

#[tokio::test]
async fn a_custom_runtimes_folder_with_only_a_makefile_is_built_with_make() {
    let fixture = fixture("provided.al2023", Build::Ordinary);
    fixture.write("fn/Makefile", "build-F:\n");
    fixture.tool("make", "cp /bin/true $ARTIFACTS_DIR/bootstrap");
    assert_eq!(check_code(&fixture.functions[0]), Ok(()));
    let built = fixture.build(Target::Host).await.unwrap();
    let names: Vec<String> = ZipArchive::new(Cursor::new(&built["F"].zip))
        .unwrap()
        .file_names()
        .map(|name| name.unwrap().into_owned())
        .collect();
    assert_eq!(names, ["bootstrap"]);
}

fn bundled(entry_points: &[&str]) -> Build {
    Build::Esbuild(Esbuild {
        entry_points: entry_points.iter().map(|point| (*point).to_owned()).collect(),
        bundle: true,
        flags: vec!["--minify".to_owned()],
        ..Esbuild::default()
    })
}

#[tokio::test]
async fn esbuild_is_the_projects_own_and_its_output_is_the_code() {
    let fixture = fixture("nodejs20.x", bundled(&["src/index"]));
    fixture.write("fn/src/index.ts", "");
    fixture.write("fn/package.json", r#"{"dependencies":{"there":"1"}}"#);
    fixture.write("node_modules/there/package.json", "{}");
    esbuild(&fixture, "index.js index.js.map");
    let built = fixture.build(Target::Host).await.unwrap();
    let names: Vec<String> = files(&built["F"]).into_iter().map(|(name, _)| name).collect();
    assert_eq!(names, ["index.js", "index.js.map"]);
    let called = fs::read_to_string(fixture.path("calls")).unwrap();
    let (start, rest) = called.split_once(" --outdir=").unwrap();
    let folder = fs::canonicalize(fixture.path("fn")).unwrap();
    assert_eq!(
        start,
        format!("{}|src/index.ts --minify --bundle --platform=node --log-level=warning", folder.display())
    );
    let (folder, metafile) = rest.split_once(" --metafile=").unwrap();
    assert!(folder.ends_with("artifacts"), "{rest}");
    assert!(metafile.contains("/build.inputs-") && metafile.ends_with(".json|\n"), "all is installed already: {rest}");
}

#[tokio::test]
async fn missing_dependencies_are_installed_for_esbuild() {
    let fixture = fixture("nodejs20.x", bundled(&[]));
    fixture.write("fn/index.ts", "");
    fixture.write("fn/package.json", r#"{"dependencies":{"dep":"1"}}"#);
    fixture.tool("npm", "mkdir -p node_modules/dep; echo '{}' > node_modules/dep/package.json");
    esbuild(&fixture, "index.js");
    fixture.build(Target::Host).await.unwrap();
    let called = fs::read_to_string(fixture.path("calls")).unwrap();
    assert!(called.trim_end().ends_with("F/node_modules"), "{called}");
}

#[test]
fn a_handler_that_esbuild_does_not_output_is_reported_before_the_build() {
    let checked = |points: &[&str], handler: &str| {
        let fixture = fixture("nodejs20.x", bundled(points)).last(|code| code.handler = handler.to_owned());
        for name in ["fn/index.ts", "fn/src/app.ts", "fn/src/other.mts"] {
            fixture.write(name, "");
        }
        check_code(&fixture.functions[0]).map_err(|(about, error)| (about, error.why))
    };
    for (points, handler) in [
        (&["index.ts"][..], "index.handler"),
        (&[], "index.handler"),
        (&[], "src/app.handler"),
        (&["src/app.ts"], "app.handler"),
        (&["src/app.ts"], "src/app.handler"),
        (&["src/app", "./index.ts"], "src/app.handler"),
        (&["src/other"], "other.handler"),
    ] {
        assert_eq!(checked(points, handler), Ok(()), "{points:?} {handler}");
    }
    let why = |points: &[&str], handler: &str| checked(points, handler).unwrap_err();
    assert_eq!(why(&["apps.ts"], "index.handler"), ("BuildMethod", "the entry point apps.ts is not in fn".to_owned()));
    let (about, said) = why(&["src/app.ts"], "main.handler");
    assert_eq!(
        (about, said.as_str()),
        ("Handler", "there is no main.js, main.mjs or main.cjs for Handler main.handler")
    );
}

#[test]
fn a_goal_is_found_in_every_rule_that_may_define_it() {
    for text in [
        "build-F:\n\ttrue",
        "build-E build-F: x\n",
        "build-%:\n\ttrue",
        "include other.mk\n",
        "build-E \\\n build-F:\n",
    ] {
        assert!(has_goal(text, "build-F"), "{text}");
    }
    for text in ["build-E:\n\tbuild-F:\n", "# build-F:\n", "build-F := x\n", "X = build-F:\n", ""] {
        assert!(!has_goal(text, "build-F"), "{text}");
    }
}

#[test]
fn what_esbuild_says_names_files_from_here() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("version.ts"), "").unwrap();
    let said = "x [ERROR] Unexpected \";\"\n\n    version.ts:1:31:\n      1 | export: 1;\n    other.ts:1:2:";
    let expected = said.replace("version.ts", &folder.path().join("version.ts").display().to_string());
    assert_eq!(named_from_here(said, folder.path()), expected);
}
