//! Packaging of scripts, with fakes for node, npm and pip that record their calls.

use std::fs;
use std::io::{Cursor, Read};
use std::time::{Duration, SystemTime};

use ::zip::ZipArchive;

use crate::package::tests::Fixture;
use crate::package::{Architecture, Artifact, Progress, Source, Target};

/// A fixture with fake tools. They install one package, `dep`.
fn fixture() -> Fixture {
    let mut fixture = Fixture::new();
    let calls = fixture.path("calls").display().to_string();
    fixture.tool("node", "echo /bin/node; echo 20.1.0");
    fixture.tool(
        "npm",
        &format!(
            "echo npm \"$@\" >> {calls}\ncp package.json {calls}-package.json\n\
             mkdir -p node_modules/dep node_modules/.bin\necho code > node_modules/dep/index.js\n\
             ln -s ../dep/index.js node_modules/.bin/dep\n\
             echo '{{\"packages\":{{\"node_modules/@aws-sdk/client-s3\":{{}}}}}}' > node_modules/.package-lock.json"
        ),
    );
    let python = format!(
        "[ \"$1\" = -c ] && echo \"$0\" && echo 3.12.1 && exit\necho python \"$@\" >> {calls}\n\
         while [ \"$1\" != --target ]; do shift; done\nmkdir -p \"$2\"/dep \"$2\"/bin \"$2\"/dep-1.dist-info\n\
         echo code > \"$2\"/dep/__init__.py\necho \"#!$0\" > \"$2\"/bin/dep\n\
         printf 'dep/__init__.py,,\\n../../bin/dep,sha256=1,9\\n' > \"$2\"/dep-1.dist-info/RECORD"
    );
    fixture.options.tools = fixture.tool("python3", &python).parent().map(Into::into);
    fixture
}

pub(in crate::package) trait Scripted: Sized {
    fn script(self, path: &str, runtime: &str, handler: &str) -> Self;
    fn calls(&self) -> Vec<String>;
}

impl Scripted for Fixture {
    fn script(self, path: &str, runtime: &str, handler: &str) -> Self {
        self.function("F", path).last(|code| {
            code.runtime = runtime.to_owned();
            code.handler = handler.to_owned();
            code.architecture = Architecture::Arm64;
        })
    }

    /// The calls of npm and python.
    fn calls(&self) -> Vec<String> {
        let calls = fs::read_to_string(self.path("calls")).unwrap_or_default();
        calls.lines().map(str::to_owned).collect()
    }
}

/// The files in a zip and their texts.
pub(in crate::package) fn files(artifact: &Artifact) -> Vec<(String, String)> {
    let mut archive = ZipArchive::new(Cursor::new(&artifact.zip)).unwrap();
    let count = archive.len();
    let read = |index: usize| {
        let mut file = archive.by_index(index).unwrap();
        let mut text = String::new();
        file.read_to_string(&mut text).unwrap();
        (file.name().unwrap().into_owned(), text)
    };
    (0..count).map(read).collect()
}

pub(in crate::package) fn names(artifact: &Artifact) -> Vec<String> {
    files(artifact).into_iter().map(|(name, _)| name).collect()
}

#[tokio::test]
async fn dependencies_of_package_json_are_installed_outside_of_the_users_folder() {
    let fixture = fixture().script("code", "nodejs20.x", "index.handler");
    fixture.write("code/index.js", "");
    fixture.write("code/package.json", r#"{"scripts":{"install":"exit 1"},"dependencies":{"dep":"^1.0.0"}}"#);
    fixture.write("code/node_modules/dev-tool/index.js", "");
    fixture.write("code/.npmrc", "//registry/:_authToken=secret");
    fixture.write("code/.gitignore", "node_modules\n");
    let first = fixture.build(Target::Lambda).await.unwrap();
    assert_eq!(names(&first["F"]), [".gitignore", "index.js", "node_modules/dep/index.js", "package.json"]);
    let quiet = "--omit=dev --no-audit --no-fund --no-update-notifier --loglevel=error";
    let native = (std::env::consts::OS, std::env::consts::ARCH) == ("linux", "aarch64");
    let scripts = if native { "" } else { " --ignore-scripts" };
    let for_lambda = format!("npm install {quiet} --os=linux --cpu=arm64 --libc=glibc{scripts}");
    assert_eq!(fixture.calls(), [for_lambda.as_str()]);
    assert!(!fixture.path("code/node_modules/dep").exists());
    // The whole manifest is deployed, but npm runs elsewhere, where the folder's scripts cannot run.
    assert_eq!(fs::read_to_string(fixture.path("calls-package.json")).unwrap(), r#"{"dependencies":{"dep":"^1.0.0"}}"#);
    let told = fixture.told.lock().unwrap().clone();
    assert_eq!(told, [Progress::Note("installing the dependencies of F (npm install)".to_owned())]);

    // The dependencies are unchanged, so npm does not run.
    fixture.write("code/index.js", "// changed");
    assert_ne!(fixture.build(Target::Lambda).await.unwrap()["F"], first["F"]);
    assert_eq!(fixture.calls().len(), 1);

    // With a lock, npm installs its versions; for this machine, packages that run here.
    fixture.write("code/package-lock.json", "{}");
    fixture.build(Target::Host).await.unwrap();
    assert_eq!(fixture.calls(), [for_lambda, format!("npm ci {quiet}")]);
}

#[tokio::test]
async fn without_package_json_existing_node_modules_are_included_even_if_git_ignores_them() {
    let fixture = fixture().script("code", "nodejs20.x", "index.handler");
    fixture.write("code/index.mjs", "");
    fixture.write("code/.gitignore", "node_modules/\n*.log\n");
    fixture.write("code/debug.log", "");
    fixture.write("code/node_modules/dep/npm.log", "");
    fixture.write("code/node_modules/dep/.gitignore", "*\n");
    let built = fixture.build(Target::Host).await.unwrap();
    let expected = [".gitignore", "index.mjs", "node_modules/dep/.gitignore", "node_modules/dep/npm.log"];
    assert_eq!(names(&built["F"]), expected);
    assert!(fixture.calls().is_empty());
}

#[tokio::test]
async fn package_json_without_dependencies_installs_nothing() {
    let fixture = fixture().script("code", "nodejs20.x", "index.handler");
    fixture.write("code/index.js", "");
    fixture.write("code/package.json", r#"{"type":"commonjs","devDependencies":{"eslint":"9"}}"#);
    fixture.write("code/node_modules/eslint/index.js", "");
    let built = fixture.build(Target::Lambda).await.unwrap();
    assert_eq!(names(&built["F"]), ["index.js", "package.json"]);
    assert!(fixture.calls().is_empty());
}

#[tokio::test]
async fn gitignore_files_apply_from_the_repositorys_root_to_the_files_own_folder() {
    let fixture = fixture().script("repository/app/code", "python3.12", "app.handler");
    for name in
        ["app.py", "secret.env", "notes.txt", "keep.txt", "lib/a.tmp", "lib/b.py", "tmp/c.py", "sub/.git/config"]
    {
        fixture.write(&format!("repository/app/code/{name}"), "");
    }
    for name in [".wschat/data", "__pycache__/app.pyc", ".venv/pyvenv.cfg", ".venv/lib/d.py"] {
        fixture.write(&format!("repository/app/code/{name}"), "");
    }
    // Files above the repository are ignored.
    fixture.write(".gitignore", "*.py\n");
    fixture.write("repository/.git/HEAD", "");
    fixture.write("repository/.gitignore", "*.env\n/tmp/\n*.txt\n");
    fixture.write("repository/app/code/.gitignore", "!keep.txt\n/tmp\n");
    fixture.write("repository/app/code/lib/.gitignore", "*.tmp\n");
    let built = fixture.build(Target::Host).await.unwrap();
    assert_eq!(names(&built["F"]), [".gitignore", "app.py", "keep.txt", "lib/.gitignore", "lib/b.py"]);
}

#[tokio::test]
async fn a_folder_that_git_ignores_is_build_output_and_is_included() {
    let fixture = fixture().script("repository/dist/code", "nodejs20.x", "index.handler");
    fixture.write("repository/.git/HEAD", "");
    fixture.write("repository/.gitignore", "dist\n*.map\n");
    fixture.write("repository/dist/code/index.js", "");
    fixture.write("repository/dist/code/index.js.map", "");
    let built = fixture.build(Target::Lambda).await.unwrap();
    assert_eq!(names(&built["F"]), ["index.js", "index.js.map"]);
}

#[tokio::test]
async fn a_handler_that_git_ignores_is_reported() {
    let fixture = fixture().script("code", "nodejs20.x", "index.handler");
    fixture.write("code/index.ts", "");
    fixture.write("code/index.js", "");
    fixture.write("code/.gitignore", "*.js\n");
    let error = fixture.build(Target::Lambda).await.unwrap_err();
    let start = "cannot package the code of F: Handler index.handler is in index.js, which ";
    assert!(error.to_string().starts_with(start), "{error}");
    assert!(error.why.ends_with("code/.gitignore leaves out"), "{error}");
}

#[tokio::test]
async fn requirements_are_installed_for_lambdas_platform() {
    let fixture = fixture().script("code", "python3.12", "app.handler");
    fixture.write("code/app.py", "");
    fixture.write("code/requirements.txt", "# what it needs\ndep==1\n");
    let built = fixture.build(Target::Lambda).await.unwrap();
    // Files that name this machine's python are removed.
    let record = ("dep-1.dist-info/RECORD".to_owned(), "dep/__init__.py,,\n".to_owned());
    assert_eq!(files(&built["F"])[1], record);
    assert_eq!(names(&built["F"]), ["app.py", "dep-1.dist-info/RECORD", "dep/__init__.py", "requirements.txt"]);
    // Python also checks the handler's syntax.
    let installations =
        || fixture.calls().into_iter().filter(|call| call.starts_with("python -m pip")).collect::<Vec<_>>();
    let [call] = &installations()[..] else { panic!("{:?}", fixture.calls()) };
    for flag in [
        "-m pip install --quiet",
        "--only-binary=:all: --implementation=cp --python-version=3.12 --platform=manylinux_2_34_aarch64",
        "--platform=manylinux2014_aarch64",
    ] {
        assert!(call.contains(flag), "{call}");
    }
    assert!(!fixture.path("code/dep").exists());

    fixture.build(Target::Host).await.unwrap();
    fixture.build(Target::Host).await.unwrap();
    assert_eq!(installations().len(), 2, "the second time nothing is new");
    assert!(!installations()[1].contains("--platform"));

    // It is also installed for Lambda: what fails there must fail here, too.
    fixture.write("code/requirements.txt", "-r other.txt\n");
    for (text, calls) in [("dep==2\n", 4), ("dep==2\n", 4), ("dep==3\n", 6)] {
        fixture.write("code/other.txt", text);
        fixture.build(Target::Host).await.unwrap();
        assert_eq!(installations().len(), calls, "{text}");
    }
    // Missing paths are reported before the installation.
    fixture.write("code/requirements.txt", "-e ../nowhere\n");
    let (property, error) = crate::package::check(&fixture.functions[0]).unwrap_err();
    assert!(property == "Code" && error.why.contains("../nowhere, which does not exist"), "{error}");
}

#[tokio::test]
async fn credentials_and_files_of_tools_are_excluded_unless_wschatignore_includes_them() {
    for (runtime, handler) in
        [("python3.12", "app.handler"), ("nodejs22.x", "index.handler"), ("provided.al2023", "bootstrap")]
    {
        let fixture = fixture().script("code", runtime, handler);
        let key = "-----BEGIN PRIVATE KEY-----\n";
        for (name, text) in [
            ("app.py", ""),
            ("index.js", ""),
            ("bootstrap", "#!/bin/sh\n"),
            ("ca.pem", "-----BEGIN CERTIFICATE-----\n"),
            (".env", ""),
            (".env.example", ""),
            ("keys/id_rsa", ""),
            ("keys/signing.pem", key),
            (".aws/credentials", ""),
            (".npmrc", ""),
            (".pypirc", ""),
            (".aws-sam/build/F/app.py", ""),
            (".serverless/state.json", ""),
            (".terraform/x", ""),
            (".vscode/settings.json", ""),
            (".DS_Store", ""),
            ("sub/__pycache__/a.pyc", ""),
            ("node_modules/dep/test/key.pem", key),
        ] {
            fixture.write(&format!("code/{name}"), text);
        }
        let built = fixture.build(Target::Host).await.unwrap();
        let kept = [".env.example", "app.py", "bootstrap", "ca.pem", "index.js", "node_modules/dep/test/key.pem"];
        assert_eq!(names(&built["F"]), kept, "{runtime}");
        let left =
            "left out of the zip, because it looks like credentials: .aws, .env, keys/id_rsa, keys/signing.pem (";
        let told = format!("{:?}", fixture.told.lock().unwrap());
        assert!(told.contains(left), "{told}");
        assert!(crate::package::credentials_warning(&fixture.functions[0]).unwrap().starts_with(left));

        // A .wschatignore includes a file by name, and excludes another.
        fixture.write("code/.wschatignore", "!.env\n!signing.pem\nca.pem\n");
        fixture.write("code/.gitignore", ".env\n");
        let built = fixture.build(Target::Host).await.unwrap();
        let kept = [".env", ".env.example", ".gitignore", "app.py", "bootstrap", "index.js", "keys/signing.pem"];
        let found: Vec<String> =
            names(&built["F"]).into_iter().filter(|name| !name.starts_with("node_modules")).collect();
        assert_eq!(found, kept, "{runtime}");
    }
}

#[tokio::test]
async fn sams_build_output_is_included_if_code_uri_names_it() {
    let fixture = fixture().script(".aws-sam/build/F", "python3.12", "app.handler");
    fixture.write(".aws-sam/build/F/app.py", "");
    assert_eq!(names(&fixture.build(Target::Host).await.unwrap()["F"]), ["app.py"]);
}

#[tokio::test]
async fn a_note_about_several_functions_is_printed_once() {
    let fixture = fixture().script("code", "python3.12", "app.handler").script("code", "python3.12", "app.other");
    let fixture = fixture.last(|code| code.logical_id = "G".to_owned());
    fixture.write("code/app.py", "");
    fixture.write("code/.env", "");
    fixture.build(Target::Lambda).await.unwrap();
    let told = fixture.told.lock().unwrap();
    let [Progress::Note(note)] = &told[..] else { panic!("{told:?}") };
    assert!(note.starts_with("F, G: left out of the zip, because it looks like credentials: .env ("), "{note}");
}

#[tokio::test]
async fn equal_code_gives_equal_bytes_wherever_and_whenever_it_is_packed() {
    let mut zips = Vec::new();
    for (folder, age) in [("one", 0), ("elsewhere/two", 1_000_000)] {
        let fixture = fixture().script(folder, "nodejs20.x", "index.handler");
        for (name, text) in [("b/b.js", "b"), ("index.js", "code"), ("package.json", r#"{"dependencies":{"dep":"1"}}"#)]
        {
            fixture.write(&format!("{folder}/{name}"), text);
            let file = fs::File::options().write(true).open(fixture.path(&format!("{folder}/{name}"))).unwrap();
            file.set_modified(SystemTime::now() - Duration::from_secs(age)).unwrap();
        }
        zips.push(fixture.build(Target::Lambda).await.unwrap()["F"].clone());
    }
    assert_eq!(zips[0], zips[1]);
}

#[tokio::test]
async fn inline_code_is_a_file_called_index() {
    for (runtime, name) in [("nodejs20.x", "index.js"), ("python3.12", "index.py")] {
        let inline = |text: &str| {
            let source = Source::Inline(text.to_owned());
            fixture().script("", runtime, "index.handler").last(|code| code.source = source)
        };
        let built = inline("the code").build(Target::Lambda).await.unwrap();
        assert_eq!(files(&built["F"]), [(name.to_owned(), "the code".to_owned())]);
        assert_eq!(inline("the code").build(Target::Lambda).await.unwrap(), built);
        let too_long = inline(&" ".repeat((4 << 20) + 1)).build(Target::Lambda).await.unwrap_err();
        assert!(too_long.why.contains("CloudFormation accepts at most 4194304"), "{too_long}");
        let elsewhere = inline("").last(|code| code.handler = "app.handler".to_owned());
        assert!(elsewhere.build(Target::Lambda).await.is_ok(), "{name}");
    }
}

#[tokio::test]
async fn inline_code_that_answers_cloudformation_has_the_module_for_it() {
    for (runtime, text, file) in [
        ("nodejs22.x", "require('cfn-response').send()", "node_modules/cfn-response/index.js"),
        ("python3.13", "import cfnresponse", "cfnresponse.py"),
    ] {
        let source = Source::Inline(text.to_owned());
        let fixture = fixture().script("", runtime, "index.handler").last(|code| code.source = source);
        let built = fixture.build(Target::Lambda).await.unwrap();
        let files = files(&built["F"]);
        let found = files.iter().find(|(name, _)| name == file);
        assert!(files.len() == 2 && found.is_some_and(|(_, text)| text.contains("SUCCESS")), "{files:?}");
    }
}

#[tokio::test]
async fn a_zip_is_used_unchanged_if_it_contains_the_handler() {
    let fixture = fixture().script("code.zip", "python3.12", "src/app.handler");
    let mut zip = ::zip::ZipWriter::new(Cursor::new(Vec::new()));
    zip.start_file("src/app.py", ::zip::write::SimpleFileOptions::default()).unwrap();
    let given = zip.finish().unwrap().into_inner();
    fs::write(fixture.path("code.zip"), &given).unwrap();
    assert_eq!(fixture.build(Target::Lambda).await.unwrap()["F"].zip, given);
    let other = fixture.last(|code| code.handler = "app.handler".to_owned());
    let error = other.build(Target::Lambda).await.unwrap_err();
    assert_eq!(error.why, "there is no app.py or app/__init__.py for Handler app.handler");
    assert!(error.help.as_ref().unwrap().starts_with("code.zip holds src/; "), "{error:?}");
    // A layer may contain it.
    assert!(other.last(|code| code.layers = true).build(Target::Lambda).await.is_ok());
}

#[tokio::test]
async fn the_runtimes_sdk_is_installed_once_for_this_machine() {
    let fixture = fixture().script("code", "nodejs20.x", "index.handler");
    fixture.write("code/index.js", "const { S3Client } = require('@aws-sdk/client-s3');");
    fixture.build(Target::Lambda).await.unwrap();
    assert!(fixture.calls().is_empty(), "Lambda has it");
    for _ in 0..2 {
        let built = fixture.build(Target::Host).await.unwrap();
        assert_eq!(names(&built["F"]), ["index.js"]);
    }
    let quiet = "--no-audit --no-fund --no-update-notifier --loglevel=error";
    assert_eq!(fixture.calls(), [format!("npm install {quiet} @aws-sdk/client-s3@3")]);
    assert!(fixture.options.sdk.join("node_modules/dep").is_dir());
}

#[tokio::test]
async fn missing_tools_and_files_are_reported_with_the_fix() {
    type Prepare = fn(&Fixture);
    let cases: &[(&str, Target, Prepare, &str, &str)] = &[
        (
            "nodejs20.x",
            Target::Host,
            |fixture| fs::remove_file(fixture.path("bin/node")).unwrap(),
            "cannot run the code of F: no node found to run nodejs20.x",
            "install Node.js 20 (https://nodejs.org)",
        ),
        (
            "python3.12",
            Target::Host,
            |fixture| fs::remove_file(fixture.path("bin/python3")).unwrap(),
            "cannot run the code of F: no python3 found to run python3.12",
            "install Python 3.12",
        ),
        (
            "nodejs20.x",
            Target::Lambda,
            |fixture| fs::remove_file(fixture.path("bin/npm")).unwrap(),
            "bin/npm cannot be started: No such file or directory",
            "install Node.js, which brings npm",
        ),
        (
            "python3.12",
            Target::Lambda,
            |fixture| drop(fixture.tool("python3", "echo 'No module named pip' >&2; exit 1")),
            "cannot install the dependencies of F: `pip install` failed for code/requirements.txt",
            "install pip for it",
        ),
        (
            "nodejs20.x",
            Target::Lambda,
            |fixture| fixture.write("code/package.json", r#"{"dependencies":{"shared":"file:../shared"}}"#),
            "package.json: shared is file:../shared, but ",
            "",
        ),
        (
            "nodejs20.x",
            Target::Lambda,
            |fixture| fixture.write("code/package.json", r#"{"dependencies":{"other":"file:../../../../../bin"}}"#),
            "package.json: other is file:../../../../../bin, which is outside of the repository ",
            "move it into the repository",
        ),
        (
            "nodejs20.x",
            Target::Lambda,
            |fixture| {
                fixture
                    .write("code/package.json", r#"{"packageManager":"pnpm@9.1.0+sha1.a","dependencies":{"dep":"1"}}"#);
                fixture.write("code/pnpm-lock.yaml", "");
            },
            "cannot install the dependencies of F: pnpm is not installed, and the lock is pnpm's",
            "install it (corepack enable, or npm install --global pnpm@9.1.0)",
        ),
        (
            "nodejs20.x",
            Target::Lambda,
            |fixture| {
                fixture.write("code/yarn.lock", "__metadata:\n  version: 8\n\nc:\n  resolution: \"code@workspace:.\"\n  dependencies:\n    dep: \"npm:1\"\n")
            },
            "cannot install the dependencies of F: yarn is not installed, and the lock is yarn's",
            "npm install --global yarn",
        ),
        (
            "nodejs20.x",
            Target::Lambda,
            |fixture| fixture.write("code/bun.lock", ""),
            "bun.lock requires bun, which is not supported",
            "BuildMethod: esbuild",
        ),
        (
            "nodejs20.x",
            Target::Lambda,
            |fixture| fixture.write("code/package.json", "{"),
            "package.json: EOF while parsing",
            "",
        ),
    ];
    for (runtime, target, prepare, expected, help) in cases {
        let fixture = fixture().script("code", runtime, "index.handler");
        for (name, text) in [
            ("index.js", ""),
            ("index.py", ""),
            ("package.json", r#"{"dependencies":{"dep":"1"}}"#),
            ("requirements.txt", "dep"),
        ] {
            fixture.write(&format!("code/{name}"), text);
        }
        prepare(&fixture);
        let error = fixture.build(*target).await.unwrap_err();
        assert!(error.to_string().contains(expected), "{expected}: {error}");
        assert!(error.help.clone().unwrap_or_default().contains(help), "{error:?}");
        assert_eq!(error.functions, ["F"]);
    }
}

#[tokio::test]
async fn npms_error_is_shown_and_nothing_is_cached() {
    let fixture = fixture().script("code", "nodejs20.x", "index.handler");
    fixture.write("code/index.js", "");
    fixture.write("code/package.json", r#"{"dependencies":{"dep":"1"}}"#);
    fixture.tool("npm", "mkdir node_modules; echo 'npm error 404 dep is not in this registry' >&2; exit 1");
    for _ in 0..2 {
        let error = fixture.build(Target::Lambda).await.unwrap_err();
        assert_eq!(
            error.to_string(),
            "cannot install the dependencies of F: `npm install` failed for code/package.json"
        );
        assert_eq!(error.compiler.as_deref(), Some("npm error 404 dep is not in this registry"));
    }
}

/// A workspace with a function, `lambdas/chat`, and two packages: `left-pad` (named like a public one) and its dependency.
fn workspace() -> Fixture {
    let mut fixture = fixture().script("lambdas/chat", "nodejs20.x", "index.handler");
    fixture.functions[0].architecture = Architecture::X86_64;
    fixture.write(
        "package.json",
        r#"{"private":true,"workspaces":["packages/*","lambdas/*"],"overrides":{"dep":"1.1.0"}}"#,
    );
    fixture.write("package-lock.json", r#"{"lockfileVersion":3}"#);
    fixture.write("lambdas/chat/package.json", r#"{"name":"chat","dependencies":{"left-pad":"^1.0.0"}}"#);
    fixture.write("lambdas/chat/index.js", "require('left-pad'); require('only-at-the-root');");
    fixture.write("lambdas/chat/.gitignore", "node_modules\n");
    fixture.write(
        "packages/shared/package.json",
        r#"{"name":"left-pad","version":"1.3.0","scripts":{"install":"exit 1"},"dependencies":{"dep":"1"}}"#,
    );
    fixture.write("packages/shared/dist/index.js", "OURS");
    fixture.write("packages/shared/.gitignore", "dist\n");
    let calls = fixture.path("calls").display().to_string();
    let package =
        |name: &str| format!("mkdir -p node_modules/{name} && echo '{{}}' > node_modules/{name}/package.json");
    fixture.tool(
        "npm",
        &format!(
            "echo npm \"$@\" >> {calls}\nfind . -type f | LC_ALL=C sort > {calls}-files\ncat packages/shared/package.json > {calls}-member\n\
             env > {calls}-environment\n{}\n{}\n{}\nln -s ../packages/shared node_modules/left-pad",
            package("dep"), package("only-at-the-root"), package("not-used"),
        ),
    );
    fixture
}

#[tokio::test]
async fn a_member_gets_the_other_members_from_the_repository_and_versions_from_the_roots_lock() {
    let mut fixture = workspace();
    let built = fixture.build(Target::Host).await.unwrap();
    let expected = [
        ".gitignore",
        "index.js",
        "node_modules/dep/package.json",
        "node_modules/left-pad/dist/index.js",
        "node_modules/left-pad/package.json",
        "node_modules/only-at-the-root/package.json",
        "package.json",
    ];
    assert_eq!(names(&built["F"]), expected);
    let read = |name: &str| fs::read_to_string(fixture.path(name)).unwrap();
    let quiet = "--omit=dev --no-audit --no-fund --no-update-notifier --loglevel=error";
    assert_eq!(fixture.calls(), [format!("npm ci {quiet} --workspace=lambdas/chat --include-workspace-root")]);
    let staged = "./lambdas/chat/package.json\n./package-lock.json\n./package.json\n./packages/shared/package.json\n";
    assert_eq!(read("calls-files"), staged);
    assert_eq!(
        read("calls-member"),
        r#"{"name":"left-pad","version":"1.3.0","dependencies":{"dep":"1"}}"#,
        "no script without its files"
    );
    // The installation sees no variable of this process.
    let environment = read("calls-environment");
    assert!(environment.contains("PATH=") && !environment.contains("CARGO_MANIFEST_DIR"), "{environment}");

    // Files of members are read every time; a change of them installs nothing.
    fixture.write("packages/shared/dist/index.js", "OURS, changed");
    assert_ne!(fixture.build(Target::Host).await.unwrap()["F"], built["F"]);
    assert_eq!(fixture.calls().len(), 1);
    for (name, text) in
        [("package-lock.json", "{}"), ("packages/shared/package.json", r#"{"name":"left-pad","version":"1.4.0"}"#)]
    {
        let before = fixture.calls().len();
        fixture.write(name, text);
        fixture.build(Target::Host).await.unwrap();
        assert_eq!(fixture.calls().len(), before + 1, "{name} decides what is installed");
    }
    fixture.options.ignore_scripts = true;
    fixture.build(Target::Host).await.unwrap();
    assert!(fixture.calls().last().unwrap().ends_with(" --ignore-scripts"));
}

#[tokio::test]
async fn packages_named_by_path_come_from_the_repository() {
    let fixture = fixture().script("app/code", "nodejs20.x", "index.handler");
    fixture.write("app/code/index.js", "");
    fixture.write("app/code/package.json", r#"{"dependencies":{"shared":"file:../../lib/shared"}}"#);
    fixture.write("lib/shared/package.json", r#"{"dependencies":{"deeper":"link:../deeper"}}"#);
    fixture.write("lib/shared/index.js", "shared");
    fixture.write("lib/deeper/package.json", "{}");
    fixture.write("lib/deeper/index.js", "deeper");
    std::os::unix::fs::symlink("../../lib/deeper/index.js", fixture.path("app/code/linked.js")).unwrap();
    fixture.tool(
        "npm",
        // npm only links in the folder that it runs in.
        "mkdir -p node_modules; case $PWD in *lib/shared) ln -s ../../deeper node_modules/deeper;; \
         *) ln -s ../../../lib/shared node_modules/shared;; esac",
    );
    let built = fixture.build(Target::Host).await.unwrap();
    let expected = [
        ("index.js", ""),
        ("linked.js", "deeper"),
        ("node_modules/deeper/index.js", "deeper"),
        ("node_modules/shared/index.js", "shared"),
    ];
    let files = files(&built["F"]);
    let files: Vec<(&str, &str)> = files.iter().map(|(name, text)| (name.as_str(), text.as_str())).collect();
    let scripts: Vec<_> = files.into_iter().filter(|(name, _)| name.ends_with(".js")).collect();
    assert_eq!(scripts, expected);
}

#[tokio::test]
async fn a_node_modules_from_a_build_is_used_unchanged() {
    let declared = r#"{"dependencies":{"there":"1"},"devDependencies":{"tool":"1"}}"#;
    let type_only = r#"{"type":"commonjs"}"#;
    let record = r#"{"packages":{"node_modules/tool":{"dev":true},"node_modules/there":{}}}"#;
    // The folder, its package.json, its other files; and whether its node_modules is used.
    type Files<'a> = &'a [(&'a str, &'a str)];
    let cases: &[(&str, &str, Files<'_>, bool)] = &[
        (".aws-sam/build/F", declared, &[("package-lock.json", "{}")], true),
        ("dist", declared, &[("package-lock.json", "{}")], true),
        ("code", declared, &[], true),
        ("code", type_only, &[], true),
        ("code", declared, &[("node_modules/.package-lock.json", record)], true),
        ("code", declared, &[("package-lock.json", "{}")], false),
        ("code", r#"{"dependencies":{"there":"1","dep":"1"}}"#, &[], false),
    ];
    for (folder, manifest, more, goes) in cases {
        let fixture = fixture().script(folder, "nodejs20.x", "index.handler");
        fixture.write(".git/HEAD", "");
        fixture.write(".gitignore", "/dist\n.aws-sam\nnode_modules\n");
        let files = [
            ("index.js", ""),
            ("package.json", manifest),
            ("node_modules/there/index.js", ""),
            ("node_modules/built/x.js", ""),
        ];
        for (name, text) in files.iter().chain(*more) {
            fixture.write(&format!("{folder}/{name}"), text);
        }
        if manifest.contains("devDependencies") {
            fixture.write(&format!("{folder}/node_modules/tool/index.js"), "");
        }
        let built = fixture.build(Target::Lambda).await.unwrap();
        let names = names(&built["F"]);
        let has = |name: &str| names.iter().any(|known| known.starts_with(&format!("node_modules/{name}/")));
        assert_eq!(
            (has("there"), has("built"), has("dep")),
            (*goes, *goes, !goes),
            "{folder} {manifest} {more:?}: {names:?}"
        );
        assert!(!has("tool"), "{folder} {manifest} {more:?}: {names:?}");
    }
}

#[test]
fn checks_find_the_problems_that_do_not_depend_on_an_installation() {
    let cases: &[(&str, &str, Option<&str>)] = &[
        ("nodejs22.x", "index.handler", None),
        ("nodejs22.x", "dep.handler", None),
        ("nodejs22.x", "dep/lib.handler", None),
        ("nodejs22.x", "code.handler", Some("Handler")),
        ("nodejs22.x", "index", Some("Handler")),
        ("python3.12", "main.handler", None),
        ("python3.12", "mian.handler", Some("Handler")),
        ("ruby3.4", "main.handler", None),
        ("ruby3.4", "index.handler", Some("Handler")),
        ("cobol1.x", "index.handler", Some("Runtime")),
        ("provided.al2023", "bootstrap", Some("Code")),
    ];
    for (runtime, handler, about) in cases {
        let fixture = fixture().script("code", runtime, handler);
        fixture.write("code/index.js", "");
        fixture.write("code/main.py", "");
        fixture.write("code/main.rb", "");
        fixture.write("code/package.json", r#"{"name":"the-code","main":"index.js","dependencies":{"dep":"1"}}"#);
        let found = crate::package::check(&fixture.functions[0]).err();
        assert_eq!(found.as_ref().map(|(property, _)| *property), *about, "{runtime} {handler}: {found:?}");
    }
    let fixture = fixture().script("code", "python3.12", "installed.handler");
    fixture.write("code/requirements.txt", "something\n");
    assert_eq!(crate::package::check(&fixture.functions[0]), Ok(()));
}
