"""The npm packages, installed on a machine that has Node.js, but neither Rust nor this repository."""

import os
import platform
import shutil
import subprocess

import pytest

from harness import INSTALLING, PATIENCE, ROOT, WSCHAT, connect, environment

PLATFORM = f"linux-{ {'x86_64': 'x64', 'aarch64': 'arm64'}[platform.machine()] }"


class Package:
    """The installed package in its folder; called with arguments, it runs them there or in `cwd`."""

    def __init__(self, folder, run):
        self.folder, self.run = folder, run

    def __call__(self, *arguments, cwd=None):
        return self.run("npx", "--no-install", "wschat", *arguments, cwd=cwd or self.folder)


@pytest.fixture(scope="module")
def npx(tmp_path_factory):
    scratch = tmp_path_factory.mktemp("install")
    binary = scratch / "wschat"
    subprocess.run(["strip", "-o", binary, WSCHAT], check=True)
    packages = scratch / "packages"
    subprocess.run(["node", ROOT / "packaging/npm/pack.mjs", "0.1.0", packages, f"{PLATFORM}={binary}"], check=True, timeout=INSTALLING)
    path = scratch / "bin"
    path.mkdir()
    for tool in ("node", "npm", "npx", "sh", "env"):
        (path / tool).symlink_to(os.path.realpath(shutil.which(tool)))
    machine = environment() | {"PATH": str(path), "HOME": str(scratch / "home"), "npm_config_audit": "false", "npm_config_fund": "false"}
    for name in ("CARGO_HOME", "RUSTUP_HOME", "CARGO_TARGET_DIR"):
        machine.pop(name, None)
    (scratch / "app").mkdir()
    run = lambda *command, cwd: subprocess.run(
        command, cwd=cwd, env=machine, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=INSTALLING
    )
    both = (packages / f"wschat-{PLATFORM}-0.1.0.tgz", packages / "wschat-0.1.0.tgz")
    # The packages of other platforms are optional, and nowhere to be had.
    installed = run("npm", "install", "--silent", *both, cwd=scratch / "app")
    assert installed.returncode == 0, installed.stderr
    return Package(scratch / "app", run)


def test_the_package_starts_the_binary_and_ends_as_it_ends(npx):
    version = npx("--version")
    assert version.returncode == 0 and version.stdout.startswith("wschat "), version
    assert npx("unheard-of").returncode == 64


def test_an_app_goes_up_with_nothing_but_node(npx):
    # The app lies below the folder of the package, where npx finds it.
    app = npx.folder / "chat"
    shutil.copytree(ROOT / "examples/node-chat", app, ignore=shutil.ignore_patterns("node_modules", ".wschat"))
    try:
        up = npx("up", "--local", "--stack", "npm", cwd=app)
        assert up.returncode == 0, up.stderr
        with connect(up.stdout.strip().splitlines()[-1]) as client:
            client.send("hello")
            assert "sendmessage" in client.recv(PATIENCE)
        down = npx("down", "--local", "--yes", cwd=app)
        assert down.returncode == 0, down.stderr
    finally:
        npx("local", "stop", cwd=app)
