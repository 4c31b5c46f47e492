"""Shared by the tests: the binary, local clouds, clients, and code that Lambda can run."""

import io
import json
import os
import socket
import subprocess
import sys
import time
import zipfile
from pathlib import Path

import boto3
import websockets.sync.client
from botocore.config import Config

ROOT = Path(__file__).resolve().parents[2]
HERE = Path(__file__).resolve().parent
WSCHAT = Path(os.environ.get("WSCHAT_BIN", ROOT / "target/debug/wschat")).resolve()
REGION = "us-east-1"
# The timeout of everything here.
PATIENCE = 60
# The timeout of everything that downloads packages from a registry.
INSTALLING = 300

CREDENTIALS = {"AWS_ACCESS_KEY_ID": "test", "AWS_SECRET_ACCESS_KEY": "test"}


def environment() -> dict[str, str]:
    """The environment of every process: without the user's settings, and limited to loopback."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("AWS_", "WSCHAT_"))}
    for name in ("http_proxy", "https_proxy", "all_proxy"):
        kept.pop(name, None)
        kept.pop(name.upper(), None)
    nowhere = {"AWS_CONFIG_FILE": os.devnull, "AWS_SHARED_CREDENTIALS_FILE": os.devnull}
    return kept | CREDENTIALS | nowhere | {"AWS_REGION": REGION, "AWS_DEFAULT_REGION": REGION, "AWS_EC2_METADATA_DISABLED": "true"}


def wschat(*arguments, expect: int = 0, timeout: float = PATIENCE, cwd: Path = ROOT, credentials: dict = {}) -> str:
    """Runs the binary with additional variables; it must exit with `expect`. Returns its stdout."""
    process = subprocess.Popen(
        [WSCHAT, *map(str, arguments)],
        cwd=cwd, env=environment() | credentials, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )
    try:
        out, err = process.communicate(timeout=timeout)
        how = f"ended with {process.returncode}"
    except subprocess.TimeoutExpired:
        process.kill()
        out, err = process.communicate()
        how = f"did not end within {timeout} s"
    assert process.returncode == expect, f"wschat {' '.join(map(str, arguments))} {how}\n{out}\n{err}"
    return out


class Endpoint:
    """AWS's protocols on a loopback port, and boto3's clients for it."""

    def __init__(self, url: str, ca: Path | None = None):
        self.url = url
        self.ca = ca
        self.clients = {}

    @property
    def secure(self) -> bool:
        return self.url.startswith("https")

    def client(self, service: str, url: str | None = None):
        """A client for `service`, at this endpoint or, on this endpoint's port, at `url`."""
        key = (service, url)
        if key not in self.clients:
            self.clients[key] = boto3.client(
                service,
                endpoint_url=url or self.url,
                verify=str(self.ca) if self.ca else None,
                region_name=REGION,
                aws_access_key_id="test",
                aws_secret_access_key="test",
                config=Config(retries={"total_max_attempts": 1}, read_timeout=INSTALLING, proxies={}),
            )
        return self.clients[key]


class LocalCloud:
    """A local cloud in `folder`. A context manager."""

    def __init__(self, folder: Path, options: tuple = ("--open",)):
        self.data = folder / "local"
        self.options = options

    def __enter__(self):
        wschat("local", "start", "--port", 0, *self.options, "--data", self.data)
        self.port = json.loads((self.data / "process.json").read_text())["port"]
        self.plain = Endpoint(f"http://127.0.0.1:{self.port}")
        self.tls = Endpoint(f"https://localhost:{self.port}", self.data / "ca.pem")
        return self

    def __exit__(self, *_):
        wschat("local", "stop", "--data", self.data)


class Ministack:
    """The emulator `ministack`, in its own process. A context manager.

    With `auth` it verifies signatures and enforces IAM policies; the key "test" is the account's root.
    """

    def __init__(self, folder: Path, auth: bool = False):
        self.folder = folder
        self.auth = auth
        self.python = os.environ.get("MINISTACK_PYTHON", sys.executable)

    def __enter__(self):
        self.port = free_port()
        own = {"GATEWAY_PORT": str(self.port), "BIND_HOST": "127.0.0.1", "TMPDIR": str(self.folder)}
        own["AUTH"] = str(self.auth).lower()
        with open(self.folder / "ministack.log", "wb") as log:
            self.process = subprocess.Popen(
                [str(Path(self.python).absolute()), "-m", "ministack"],
                cwd=self.folder, env=environment() | own, stdin=subprocess.DEVNULL, stdout=log, stderr=log,
            )
        wait_until(self.listens, "ministack listens")
        return self

    def __exit__(self, *_):
        self.process.terminate()
        try:
            self.process.wait(10)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()

    def listens(self):
        assert self.process.poll() is None, (self.folder / "ministack.log").read_text()
        with socket.socket() as probe:
            return probe.connect_ex(("127.0.0.1", self.port)) == 0


class Sam:
    """SAM's command line in a project's folder, for an endpoint."""

    def __init__(self, folder: Path, url: str):
        self.folder = folder
        self.url = url

    def __call__(self, *arguments, expect: int = 0) -> str:
        """Runs a command, which must exit with `expect`. Returns what it printed."""
        own = {"AWS_ENDPOINT_URL": self.url, "SAM_CLI_TELEMETRY": "0", "HOME": str(self.folder)}
        # SAM looks for esbuild there.
        own["PATH"] = os.pathsep.join([str(self.folder / "node_modules/.bin"), os.environ["PATH"]])
        done = subprocess.run(
            [os.environ.get("SAM", "sam"), *map(str, arguments)], cwd=self.folder, env=environment() | own,
            stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=INSTALLING,
        )
        printed = done.stdout + done.stderr
        assert done.returncode == expect, f"sam {' '.join(map(str, arguments))} ended with {done.returncode}\n{printed}"
        return printed

    def deploy(self, stack: str, bucket: str, *arguments, template: str = "template.yaml", expect: int = 0) -> str:
        """`sam deploy` as `--guided` configures it: code goes below the stack's name."""
        return self(
            "deploy", "--template-file", template, "--stack-name", stack, "--s3-bucket", bucket, "--s3-prefix", stack,
            "--region", REGION, "--capabilities", "CAPABILITY_IAM", "CAPABILITY_AUTO_EXPAND", "--no-confirm-changeset", *arguments,
            expect=expect,
        )


def connect(uri: str, **options):
    """A connected WebSocket client. The timeout is this file's: that of `websockets` is too short on a busy machine."""
    return websockets.sync.client.connect(uri, open_timeout=PATIENCE, **options)


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def wait_until(condition, what: str):
    """Waits until the condition is true, and returns its value."""
    deadline = time.monotonic() + PATIENCE
    while not (result := condition()):
        assert time.monotonic() < deadline, f"timed out waiting until {what}"
        time.sleep(0.05)
    return result


def code(version: str = "one") -> bytes:
    """A zip with `function.py` as its bootstrap, which answers with this version."""
    text = (HERE / "function.py").read_text()
    # The interpreter of the tests, because the PATH may have no other.
    text = text.replace("#!/usr/bin/env python3", f"#!{sys.executable}").replace('VERSION = "one"', f'VERSION = "{version}"')
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        entry = zipfile.ZipInfo("bootstrap", (1980, 1, 1, 0, 0, 0))
        entry.external_attr = 0o100755 << 16
        archive.writestr(entry, text)
    return packed.getvalue()


class Project:
    """The template of the chat app with prebuilt handlers, so that nothing is compiled.

    `path` is the template's file. Except for the code, the resources are those of `templates/chat.yaml`.
    """

    FUNCTIONS = {"connect": "Connect", "disconnect": "Disconnect", "send-message": "SendMessage", "default": "Default"}

    def __init__(self, folder: Path):
        self.folder = folder
        self.path = folder / "template.yaml"
        self.text = (ROOT / "templates/chat.yaml").read_text()
        for handler in self.FUNCTIONS:
            self.edit(f"CodeUri: ../lambdas/{handler}\n", f"CodeUri: code/{handler}\n")
            self.write_code(handler, "one")

    def write_code(self, handler: str, version: str):
        bootstrap = self.folder / "code" / handler / "bootstrap"
        bootstrap.parent.mkdir(parents=True, exist_ok=True)
        bootstrap.write_text(f"#!/bin/sh\necho {handler}, version {version}\nexit 1\n")
        bootstrap.chmod(0o755)

    def edit(self, old: str, new: str):
        """Replaces text that must occur exactly once in the template."""
        count = self.text.count(old)
        assert count == 1, f"{old!r} occurs {count} times in the template"
        self.text = self.text.replace(old, new)
        self.path.write_text(self.text)
