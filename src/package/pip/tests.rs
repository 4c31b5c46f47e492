//! Installations by this machine's pip without a registry: projects include their own build backend and lie in folders.

use std::fs;
use std::path::Path;
use std::process::Command;

use crate::package::script::tests::{Scripted, files, names};
use crate::package::tests::Fixture;
use crate::package::{Progress, Target, python};

/// A PEP 517 build backend. The file `about` names the package and its wheels' tag; without a tag, this machine's.
const BACKEND: &str = r#"
import os, pathlib, sys, sysconfig, zipfile

def build_wheel(wheel_directory, config_settings=None, metadata_directory=None):
    name, *tag = pathlib.Path("about").read_text().split()
    python = "cp%d%d" % sys.version_info[:2]
    machine = sysconfig.get_platform().replace("-", "_").replace(".", "_")
    tag = tag[0] if tag else f"{python}-{python}-{machine}"
    info = f"{name}-1.dist-info"
    files = {
        f"{name}/__init__.py": pathlib.Path("code.py").read_text(),
        f"{name}/environment.txt": "\n".join(sorted(os.environ)),
        f"{info}/METADATA": f"Metadata-Version: 2.1\nName: {name}\nVersion: 1\n",
        f"{info}/WHEEL": f"Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: {tag}\n",
    }
    files[f"{info}/RECORD"] = "".join(f"{file},,\n" for file in [*files, f"{info}/RECORD"])
    with zipfile.ZipFile(os.path.join(wheel_directory, f"{name}-1-{tag}.whl"), "w") as wheel:
        for file, text in files.items():
            wheel.writestr(file, text)
    return f"{name}-1-{tag}.whl"
"#;

const PURE: &str = "py3-none-any";

/// A function in `code`, run by python.
fn fixture() -> Fixture {
    let fixture = Fixture::new().script("code", "python3.12", "app.handler");
    fixture.write("code/app.py", "");
    fixture
}

/// Writes a project into `folder` that builds wheels with a tag.
fn project(fixture: &Fixture, folder: &str, name: &str, tag: &str) {
    fixture.write(&format!("{folder}/about"), &format!("{name} {tag}"));
    fixture.write(&format!("{folder}/code.py"), "VERSION = 1\n");
    fixture.write(&format!("{folder}/backend.py"), BACKEND);
    let system = "[build-system]\nrequires = []\nbuild-backend = \"backend\"\nbackend-path = [\".\"]\n";
    let project = format!("[project]\nname = \"{name}\"\nversion = \"1\"\n{system}");
    fixture.write(&format!("{folder}/pyproject.toml"), &project);
}

/// The same as a source archive in the folder `packages`.
fn archive(fixture: &Fixture, name: &str, tag: &str) {
    project(fixture, &format!("sources/{name}-1"), name, tag);
    fs::create_dir_all(fixture.path("packages")).unwrap();
    let archive = fixture.path(&format!("packages/{name}-1.tar.gz"));
    let mut tar = Command::new("tar");
    tar.arg("-czf").arg(archive).arg("-C").arg(fixture.path("sources")).arg(format!("{name}-1"));
    assert!(tar.status().unwrap().success());
}

/// The number of installations.
fn installations(fixture: &Fixture) -> usize {
    let told = fixture.told.lock().unwrap();
    told.iter()
        .filter(|told| matches!(told, Progress::Note(note) if note.contains("installing the dependencies")))
        .count()
}

#[tokio::test]
async fn a_project_beside_the_code_is_deployed_and_its_changes_are_noticed() {
    let fixture = fixture();
    project(&fixture, "shared lib", "shared_lib", PURE);
    fixture.write("code/requirements.txt", "-r more/base.txt");
    fixture.write("code/more/base.txt", "-e ../shared lib\n");
    let first = fixture.build(Target::Host).await.unwrap();
    let installed: Vec<String> = names(&first["F"]).into_iter().filter(|name| name.starts_with("shared_lib")).collect();
    assert!(installed.contains(&"shared_lib/__init__.py".to_owned()), "{installed:?}");
    assert!(!installed.iter().any(|name| name.ends_with("direct_url.json")), "it names a folder of this machine");

    // What works here has been installed for Lambda, too.
    let before = installations(&fixture);
    assert_eq!(fixture.build(Target::Host).await.unwrap(), first);
    assert!(names(&fixture.build(Target::Lambda).await.unwrap()["F"]).contains(&installed[0]));
    assert_eq!(installations(&fixture), before, "nothing has changed");

    fixture.write("shared lib/code.py", "VERSION = 2\n");
    for target in [Target::Host, Target::Lambda] {
        let second = fixture.build(target).await.unwrap();
        assert!(files(&second["F"]).contains(&("shared_lib/__init__.py".to_owned(), "VERSION = 2\n".to_owned())));
    }
    let left: Vec<_> =
        fs::read_dir(fixture.path("shared lib")).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert!(left.iter().all(|name| name != "build"), "{left:?}");
}

#[tokio::test]
async fn without_a_wheel_pure_python_is_built_and_native_code_is_rejected_on_every_target() {
    let fixture = fixture();
    archive(&fixture, "pure", PURE);
    archive(&fixture, "native", "");
    let index = "--no-index\n--find-links ../packages\n";
    fixture.write("code/requirements.txt", &format!("{index}pure==1\n"));
    for target in [Target::Lambda, Target::Host] {
        let built = fixture.build(target).await.unwrap();
        assert!(names(&built["F"]).contains(&"pure/__init__.py".to_owned()), "{target:?}");
        // Builds only see the variables that tools need. `cargo test` has set this one.
        let environment = files(&built["F"]).into_iter().find(|(name, _)| name == "pure/environment.txt").unwrap().1;
        assert!(environment.contains("PATH") && !environment.contains("CARGO_MANIFEST_DIR"), "{environment}");
    }
    project(&fixture, "native lib", "native_lib", "");
    for (requirements, name) in
        [(format!("{index}pure\nnative\n"), "native"), ("../native lib".to_owned(), "native_lib")]
    {
        fixture.write("code/requirements.txt", &requirements);
        for target in [Target::Host, Target::Lambda] {
            let error = fixture.build(target).await.unwrap_err();
            let start =
                format!("cannot install the dependencies of F: {name} 1 has no wheel for python3.12 on arm64 Linux");
            assert!(error.to_string().starts_with(&start), "{target:?}: {error} {error:?}");
        }
    }
}

#[tokio::test]
async fn a_project_with_a_source_folder_is_installed_with_what_it_declares() {
    let fixture = fixture();
    archive(&fixture, "pure", PURE);
    project(&fixture, "code", "chat", PURE);
    fixture.write("code/src/chat/__init__.py", "");
    let declared = format!("dependencies = [\"pure @ file://{}\"]", fixture.path("packages/pure-1.tar.gz").display());
    let manifest = fs::read_to_string(fixture.path("code/pyproject.toml")).unwrap();
    fixture.write("code/pyproject.toml", &manifest.replace("version = \"1\"", &format!("version = \"1\"\n{declared}")));
    let built = fixture.last(|code| code.handler = "chat.handler".to_owned()).build(Target::Lambda).await.unwrap();
    let names = names(&built["F"]);
    assert!(
        ["chat/__init__.py", "pure/__init__.py"].iter().all(|name| names.contains(&(*name).to_owned())),
        "{names:?}"
    );
}

#[tokio::test]
async fn a_setuptools_project_is_required_once() {
    let fixture = fixture();
    fixture.write("code/src/chat/__init__.py", "");
    fixture.write("code/setup.py", "");
    fixture.write("code/pyproject.toml", "[build-system]\nrequires = [\"setuptools\"]\n");
    let wanted = python::requirements(&fixture.path("code"), &fixture.functions[0], &fixture.options).await.unwrap();
    assert_eq!(wanted.locals().count(), 1);
}

#[tokio::test]
async fn locks_of_other_tools_are_exported_by_these_tools_or_rejected_by_name() {
    for (lock, tool, other) in [("uv.lock", "uv", "uv export --frozen"), ("poetry.lock", "poetry", "poetry export -o")]
    {
        let mut fixture = fixture();
        project(&fixture, "lib", "lib", PURE);
        fixture.write("code/pyproject.toml", "[project]\nname = \"chat\"\ndependencies = [\"lib\"]\n");
        fixture.write(&format!("code/{lock}"), "version = 1\n");
        fixture.options.tools = fixture.tool("python3", "exec python3 \"$@\"").parent().map(Path::to_owned);
        let error = fixture.build(Target::Lambda).await.unwrap_err();
        assert!(error.why.contains(&format!("{tool} cannot be started")), "{error}");
        assert!(error.help.unwrap().contains(other));
        assert_eq!(crate::package::check(&fixture.functions[0]), Ok(()), "a check needs no tool");

        let calls = fixture.path("calls").display().to_string();
        fixture.tool(tool, &format!("echo \"$@\" >> {calls}\necho ../lib"));
        for target in [Target::Lambda, Target::Host, Target::Lambda] {
            let built = fixture.build(target).await.unwrap();
            assert!(names(&built["F"]).contains(&"lib/__init__.py".to_owned()), "{tool}");
        }
        assert_eq!(fixture.calls().len(), 1, "the same lock is exported once");
        fixture.write(&format!("code/{lock}"), "version = 2\n");
        fixture.tool(tool, "echo 'the lock is damaged' >&2; exit 2");
        let error = fixture.build(Target::Host).await.unwrap_err();
        assert!(error.why.contains(&format!("`{tool} export` failed")), "{error}");
        assert_eq!(error.compiler.as_deref(), Some("the lock is damaged"));
    }
}

#[test]
fn wheels_are_accepted_by_their_tags() {
    let platform = |runtime: &str, architecture| super::WheelPlatform { runtime: runtime.to_owned(), architecture };
    let x86 = crate::package::Architecture::X86_64;
    for (runtime, tag, expected) in [
        ("python3.12", "py3-none-any", true),
        ("python3.12", "py2.py3-none-any", true),
        ("python3.12", "cp312-cp312-manylinux_2_28_x86_64", true),
        ("python3.11", "cp311-cp311-manylinux_2_28_x86_64", false),
        ("python3.11", "cp311-cp311-manylinux_2_17_x86_64.manylinux2014_x86_64", true),
        ("python3.12", "cp38-abi3-manylinux_2_17_x86_64", true),
        ("python3.12", "cp313-abi3-manylinux_2_17_x86_64", false),
        ("python3.12", "cp311-cp311-manylinux_2_17_x86_64", false),
        ("python3.12", "cp312-cp312-manylinux_2_17_aarch64", false),
        ("python3.12", "cp312-cp312-linux_x86_64", false),
        ("python3.12", "cp312-cp312-musllinux_1_2_x86_64", false),
        ("python3.12", "py3-none-manylinux2014_x86_64", true),
        ("python3.12", "py311-none-any", true),
        ("python3.12", "py2-none-any", false),
        ("python3.12", "cp312-cp312-manylinux1_x86_64", true),
        ("python3.12", "nonsense", false),
    ] {
        let platform = platform(runtime, x86);
        assert_eq!(platform.takes(tag), expected, "{runtime} {tag}");
        assert_eq!(platform.takes_wheel(Path::new(&format!("folder/name-1.0-{tag}.whl"))), expected, "{runtime} {tag}");
    }
}
