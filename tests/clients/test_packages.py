"""Code of node functions, installed and built by the real tools: npm, pnpm, yarn 1 and 4, make, esbuild.

What is deployed to the local cloud runs there; what would go to AWS is looked at in the zip.
"""

import io
import json
import os
import shutil
import subprocess
import urllib.request
import zipfile
from pathlib import Path

import pytest

from harness import INSTALLING, WSCHAT, LocalCloud, environment, wschat

# Pinned versions for CI.
TOOLS = {"pnpm": "10.34.9", "yarn": "1.22.22", "@yarnpkg/cli-dist": "4.18.1"}


def run(*command, cwd, env=None):
    done = subprocess.run(list(map(str, command)), cwd=cwd, env=env, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=INSTALLING)
    assert done.returncode == 0, f"{command}\n{done.stdout}\n{done.stderr}"
    return done.stdout


@pytest.fixture(scope="session")
def registry():
    return run("npm", "config", "get", "registry", cwd="/").strip()


@pytest.fixture(scope="session")
def tools(tmp_path_factory):
    """A folder for each package manager, to be put first into the PATH."""
    folder = tmp_path_factory.mktemp("tools")
    found = {}
    for package, version in TOOLS.items():
        prefix = folder / package.replace("/", "-")
        prefix.mkdir()
        run("npm", "install", "--prefix", prefix, "--no-audit", "--no-fund", f"{package}@{version}", cwd=prefix)
        found[package] = prefix / "node_modules/.bin"
    return found


@pytest.fixture(scope="module")
def cloud(tmp_path_factory):
    with LocalCloud(tmp_path_factory.mktemp("packages")) as cloud:
        yield cloud


class Project:
    """A folder with one function, `Fn`; files may be given as text or as values for JSON."""

    def __init__(self, folder: Path, cloud, name: str, registry: str, metadata: str = "", code: str = "lambdas/chat", **properties):
        self.folder, self.cloud, self.stack = folder, cloud, name
        lines = {"Runtime": "nodejs20.x", "Handler": "index.handler"} | ({"CodeUri": code} if code else {}) | properties
        text = "".join(f"      {key}: {value}\n" for key, value in lines.items())
        self.write("template.yaml", (
            "Transform: AWS::Serverless-2016-10-31\nResources:\n  Fn:\n    Type: AWS::Serverless::Function\n"
            f"    Properties:\n{text}{metadata}"
        ))
        self.environment = {"YARN_NPM_REGISTRY_SERVER": registry}

    def write(self, name, content):
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content if isinstance(content, str) else json.dumps(content))

    def package(self, folder, manifest, code=None):
        self.write(f"{folder}/package.json", manifest)
        if code is not None:
            self.write(f"{folder}/index.js", code)

    def wschat(self, *arguments):
        wschat(*arguments, cwd=self.folder, credentials=self.environment, timeout=INSTALLING)

    def function(self, stack):
        names = [function["FunctionName"] for function in self.cloud.plain.client("lambda").list_functions()["Functions"]]
        (name,) = [name for name in names if name.startswith(f"{stack}-")]
        return name

    def up(self, *flags):
        """Deploys the project to the local cloud and returns the function's answer."""
        self.wschat("up", "--local", "--yes", "--stack", self.stack, "--data", self.cloud.data, *flags)
        client, name = self.cloud.plain.client("lambda"), self.function(self.stack)
        client.get_waiter("function_updated_v2").wait(FunctionName=name, WaiterConfig={"Delay": 0.1})
        answer = client.invoke(FunctionName=name, Payload=b"{}")
        said = json.loads(answer["Payload"].read())
        assert "FunctionError" not in answer, said
        return said

    def said(self, *arguments):
        """The output of a command that must fail."""
        done = subprocess.run(
            [WSCHAT, *map(str, arguments)], cwd=self.folder, env=environment() | self.environment,
            stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=INSTALLING,
        )
        assert done.returncode == 1, done
        return done.stdout + done.stderr

    def zipped(self):
        """The names in the zip for AWS, and a function that reads one."""
        stack = f"{self.stack}z"
        self.wschat("up", "--yes", "--stack", stack, "--data", self.folder / "data/local", "--endpoint-url", self.cloud.plain.url)
        place = self.cloud.plain.client("lambda").get_function(FunctionName=self.function(stack))["Code"]["Location"]
        archive = zipfile.ZipFile(io.BytesIO(urllib.request.build_opener(urllib.request.ProxyHandler({})).open(place).read()))
        return archive.namelist(), lambda name: archive.read(name).decode()


@pytest.fixture
def project(tmp_path, cloud, name, registry):
    """Creates a project; its template's metadata and properties may be given."""
    folder = tmp_path / "project"
    folder.mkdir()
    return lambda *arguments, **more: Project(folder, cloud, name, registry, *arguments, **more)


def handler(expression):
    return f"exports.handler = async () => {expression};"


def workspace(project, member="*"):
    """A workspace whose member `left-pad` is named like a public package; its dependency has two versions in the tree."""
    project.write("package.json", {"name": "root", "private": True, "workspaces": {"packages": ["packages/*", "lambdas/*"]}})
    project.package(
        "lambdas/chat", {"name": "chat", "version": "1.0.0", "dependencies": {"left-pad": member, "@own/shared": member, "is-number": "6.0.0"}},
        handler("[require('left-pad'), require('@own/shared'), require('is-number/package.json').version]"),
    )
    project.package("packages/left-pad", {"name": "left-pad", "version": "1.3.0"}, "module.exports = 'OURS';")
    shared = {"name": "@own/shared", "version": "1.0.0", "main": "dist/index.js", "dependencies": {"is-number": "7.0.0"}}
    project.package("packages/shared", shared)
    project.write("packages/shared/dist/index.js", "module.exports = 'shared ' + require('is-number/package.json').version;")
    project.write(".gitignore", "node_modules\ndist\n")


SHARED = ["OURS", "shared 7.0.0", "6.0.0"]


def test_npm_workspaces_are_installed_as_in_the_checkout(project):
    project = project()
    workspace(project)
    run("npm", "install", "--package-lock-only", "--no-audit", "--no-fund", cwd=project.folder)
    assert project.up() == SHARED
    names, _ = project.zipped()
    assert "node_modules/left-pad/index.js" in names and "node_modules/@own/shared/dist/index.js" in names
    assert not (project.folder / "node_modules").exists()


def test_pnpm_workspaces_are_installed_as_in_the_checkout(project, tools):
    project = project()
    workspace(project, "workspace:*")
    project.write("package.json", {"name": "root", "private": True, "packageManager": f"pnpm@{TOOLS['pnpm']}"})
    project.write("pnpm-workspace.yaml", "packages:\n  - packages/*\n  - lambdas/*\n")
    project.environment["PATH"] = f"{tools['pnpm']}:{os.environ['PATH']}"
    run("pnpm", "install", "--lockfile-only", cwd=project.folder, env=os.environ | project.environment)
    assert project.up() == SHARED
    names, _ = project.zipped()
    assert "node_modules/left-pad/index.js" in names and not any(".pnpm" in name for name in names)


@pytest.mark.parametrize("yarn", ["yarn", "@yarnpkg/cli-dist"], ids=["classic", "berry"])
def test_yarn_workspaces_are_installed_as_in_the_checkout(project, tools, yarn):
    project = project()
    workspace(project, "workspace:*" if yarn != "yarn" else "*")
    project.environment["PATH"] = f"{tools[yarn]}:{os.environ['PATH']}"
    # Only update the lock, because the project's own linker may not write node_modules.
    quiet = ["install", "--mode=update-lockfile"] if yarn != "yarn" else ["install", "--silent"]
    run("yarn", *quiet, cwd=project.folder, env=os.environ | project.environment)
    for modules in project.folder.glob("**/node_modules"):
        shutil.rmtree(modules, ignore_errors=True)
    assert project.up() == SHARED
    # A dependency that is not in the lock is an error.
    project.write("lambdas/chat/package.json", {"name": "chat", "version": "1.0.0", "dependencies": {"left-pad": "workspace:*" if yarn != "yarn" else "*", "is-odd": "3.0.0"}})
    assert "yarn.lock does not have is-odd 3.0.0" in project.said("up", "--local", "--stack", project.stack, "--data", project.cloud.data)


def test_the_roots_lock_and_overrides_determine_the_versions(project):
    project = project()
    project.write("package.json", {"name": "root", "private": True, "workspaces": ["lambdas/*"]})
    project.package("lambdas/chat", {"name": "chat", "version": "1.0.0", "dependencies": {"left-pad": "^1.0.0"}}, handler("require('left-pad/package.json').version"))
    run("npm", "install", "--package-lock-only", "--no-audit", "--no-fund", "left-pad@1.1.0", "--workspace=lambdas/chat", cwd=project.folder)
    lock = project.folder / "package-lock.json"
    project.package("lambdas/chat", {"name": "chat", "version": "1.0.0", "dependencies": {"left-pad": "^1.0.0"}})
    lock.write_text(lock.read_text().replace('"left-pad": "^1.1.0"', '"left-pad": "^1.0.0"'))
    assert project.up() == "1.1.0"
    lock.unlink()
    project.write("package.json", {"name": "root", "private": True, "workspaces": ["lambdas/*"], "overrides": {"left-pad": "1.2.0"}})
    assert project.up() == "1.2.0"


def test_packages_named_by_path_come_from_the_repository(project):
    project = project()
    project.package("lambdas/chat", {"dependencies": {"shared": "file:../../lib/shared"}}, handler("require('shared')"))
    project.package("lib/shared", {"name": "shared", "version": "1.0.0", "dependencies": {"left-pad": "1.1.0", "deep": "file:../deep"}}, "module.exports = [require('left-pad/package.json').version, require('deep')];")
    project.package("lib/deep", {"name": "deep", "version": "1.0.0"}, "module.exports = 'deep';")
    assert project.up() == ["1.1.0", "deep"]
    project.package("lib/deep", {"name": "deep", "version": "1.0.0"}, "module.exports = 'changed';")
    assert project.up() == ["1.1.0", "changed"]


def test_sams_build_output_is_used_unchanged(project):
    project = project(code=".aws-sam/build/Fn")
    project.write(".gitignore", ".aws-sam\n")
    project.package(".aws-sam/build/Fn", {"dependencies": {"left-pad": "^1"}}, handler("require('left-pad')"))
    project.write(".aws-sam/build/Fn/node_modules/left-pad/index.js", "module.exports = 'BUILT';")
    assert project.up() == "BUILT"


def test_install_scripts_see_no_credentials_and_can_be_skipped(project):
    project = project()
    listed = "node -p 'JSON.stringify(Object.keys(process.env))' > names.json"
    code = "try { module.exports = require('./names.json') } catch { module.exports = null }"
    project.package("scripted", {"name": "scripted", "version": "1.0.0", "scripts": {"postinstall": listed}}, code)
    (project.folder / "lambdas").mkdir()
    run("npm", "pack", "--silent", "--pack-destination", project.folder / "lambdas", cwd=project.folder / "scripted")
    project.package("lambdas/chat", {"dependencies": {"scripted": "file:../scripted-1.0.0.tgz"}}, handler("require('scripted')"))
    secrets = {name: "x" for name in ("GITHUB_TOKEN", "NPM_TOKEN", "AWS_SESSION_TOKEN", "DATABASE_URL")}
    project.environment |= secrets
    names = project.up()
    assert "PATH" in names and "HOME" in names
    assert not [name for name in names if name.startswith("AWS_") or name in secrets]
    assert project.up("--ignore-scripts") is None


def test_a_makefile_builds_the_deployed_code(project):
    project = project("    Metadata:\n      BuildMethod: makefile\n", code="fn/")
    project.write("fn/index.js", handler("'raw'"))
    project.write("fn/src/index.js", handler("'raw'"))
    project.write("fn/Makefile", "build-Fn:\n\tsed s/raw/BUILT/ src/index.js > $(ARTIFACTS_DIR)/index.js\n")
    assert project.up() == "BUILT"
    names, read = project.zipped()
    assert names == ["index.js"] and "BUILT" in read("index.js")


@pytest.mark.parametrize("own", [True, False], ids=["own", "fetched"])
def test_esbuild_bundles_typescript(project, own):
    metadata = "    Metadata:\n      BuildMethod: esbuild\n      BuildProperties: { EntryPoints: [index.ts], Minify: false, Sourcemap: true, Target: es2022 }\n"
    project = project(metadata, code="fn")
    project.write("fn/index.ts", "import version from './version';\nexport const handler = async (): Promise<string> => `ts ${version as string}`;\n")
    project.write("fn/version.ts", "import { version } from 'left-pad/package.json';\nexport default version;\n")
    project.write("fn/package.json", {"name": "fn", "version": "1.0.0", "dependencies": {"left-pad": "1.2.0"}} | ({"devDependencies": {"esbuild": "0.25.9"}} if own else {}))
    if own:
        run("npm", "install", "--no-audit", "--no-fund", cwd=project.folder / "fn")
    assert project.up() == "ts 1.2.0"
    names, read = project.zipped()
    assert names == ["index.js", "index.js.map"] and "sourceMappingURL=index.js.map" in read("index.js")
    # As the user names them, whatever the folder was that esbuild wrote to.
    assert {"index.ts", "version.ts"} <= set(json.loads(read("index.js.map"))["sources"])


def test_build_problems_are_reported_at_their_position(project):
    project = project("    Metadata:\n      BuildMethod: makefiel\n", code="fn")
    project.write("fn/index.ts", "")
    said = project.said("validate")
    assert "template.yaml:10:20" in said and 'did you mean "makefile"?' in said, said
    project = Project(project.folder, project.cloud, project.stack, "", code="fn")
    said = project.said("validate")
    assert "template.yaml:7:16" in said and "BuildMethod: esbuild, BuildProperties: { EntryPoints: [index.ts] }" in said, said


def test_without_code_uri_the_code_is_beside_the_template(project):
    project = project(code=None)
    project.write("index.js", handler("'beside'"))
    assert project.up() == "beside"
