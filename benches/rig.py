"""Shared by the benchmarks: how wschat and its rivals are installed and started, what their processes use, and the machine."""

import contextlib
import json
import os
import platform
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
BINARY = str(Path(os.environ["WSCHAT_BIN"]).resolve())
CONDITIONS = ROOT / "docs/aws-conditions.toml"
# Where rivals are installed, for all runs.
INSTALLED = (Path(os.environ.get("CARGO_TARGET_DIR", ROOT / "target")) / "benches").resolve()
PATIENCE = 60
# What every emulator takes that does not look at keys.
KEYS = {"AWS_ACCESS_KEY_ID": "test", "AWS_SECRET_ACCESS_KEY": "test", "AWS_REGION": "us-east-1", "AWS_DEFAULT_REGION": "us-east-1"}


class Failed(Exception):
    """A program did not do what it was started for; the text says which, and its last words."""


def clean():
    return {name: value for name, value in os.environ.items() if not name.startswith(("AWS_", "WSCHAT_"))}


def command(*words, folder, variables={}, text="", timeout=600):
    """Runs a command without the user's settings for AWS, with a text on its stdin, and returns what it prints."""
    try:
        done = subprocess.run(words, cwd=folder, env=clean() | variables, input=text, capture_output=True, text=True, timeout=timeout)
    except (OSError, subprocess.TimeoutExpired) as error:
        raise Failed(f"{Path(words[0]).name}: {error}") from error
    if done.returncode:
        what = " ".join([Path(words[0]).name, *map(str, words[1:])])
        raise Failed(f"{what} ended with {done.returncode}:\n{done.stdout}{done.stderr}")
    return done.stdout.strip()


def wschat(*arguments, folder, variables={}):
    return command(BINARY, *arguments, folder=folder, variables=variables)


def exported(folder):
    """The variables of `wschat env`."""
    lines = [line.removeprefix("export ").split("=", 1) for line in wschat("env", folder=folder).splitlines() if "=" in line]
    return {name: value.strip("'\"") for name, value in lines}


def free_port():
    with socket.create_server(("127.0.0.1", 0)) as server:
        return server.getsockname()[1]


# --- Installing ---


def python_packages(name, requirements):
    """An environment with the packages of a requirements file; returns its interpreter. It is kept for the next run."""
    environment = INSTALLED / name
    installed = environment / "installed.txt"
    if not installed.exists() or installed.read_text() != requirements.read_text():
        shutil.rmtree(environment, ignore_errors=True)
        command(sys.executable, "-m", "venv", str(environment), folder=ROOT)
        pip = (str(environment / "bin/pip"), "install", "--quiet", "--disable-pip-version-check", "--requirement", str(requirements))
        command(*pip, folder=ROOT)
        installed.write_text(requirements.read_text())
    return str(environment / "bin/python")


def python_version(python, package):
    return command(python, "-c", f"import importlib.metadata as m; print(m.version({package!r}))", folder=ROOT)


def node_packages(manifest):
    """A folder with the `node_modules` of a package.json; it is kept for the next run."""
    folder = INSTALLED / "node"
    installed = folder / "package.json"
    if not installed.exists() or installed.read_text() != manifest.read_text():
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        shutil.copy(manifest, folder / "installing.json")
        shutil.copy(manifest, installed)
        try:
            command("npm", "install", "--loglevel", "error", "--no-audit", "--no-fund", folder=folder)
        except Failed:
            installed.unlink()
            raise
    return folder


def node_version(folder, package):
    return json.loads((folder / "node_modules" / package / "package.json").read_text())["version"]


# --- Starting ---


@contextlib.contextmanager
def process(words, folder, variables={}, ends=signal.SIGTERM, **streams):
    """A process and all that it starts, for the time of a `with`."""
    started = subprocess.Popen(
        words, cwd=folder, env=clean() | variables, stdin=subprocess.DEVNULL, text=True, start_new_session=True, **streams
    )
    try:
        yield started
    finally:
        # It may have ended by itself.
        with contextlib.suppress(ProcessLookupError):
            os.killpg(started.pid, ends)
        try:
            started.wait(20)
        except subprocess.TimeoutExpired:
            os.killpg(started.pid, signal.SIGKILL)
            started.wait()


def awaited(started, is_ready, name):
    """Reads the output of a process up to the first line that says that it is ready, and returns that line. The rest is read away, so that
    it does not fill the pipe."""
    lines = []
    for line in started.stdout:
        lines.append(line)
        if is_ready(line):
            threading.Thread(target=started.stdout.read, daemon=True).start()
            return line
    raise Failed(f"{name} did not start:\n{''.join(lines)}")


@contextlib.contextmanager
def local_cloud(folder, *options):
    """A local cloud whose data are in a folder, for the time of a `with`; yields its process id."""
    wschat("local", "start", "--port", "0", *options, folder=folder)
    try:
        yield server(folder)
    finally:
        wschat("local", "stop", folder=folder)


def server(folder):
    """The process id of the local cloud of a folder."""
    return json.loads((folder / ".wschat/local/process.json").read_text())["pid"]


@contextlib.contextmanager
def dev(folder, *conditions):
    """`wschat dev` in a folder, with a local cloud of its own; yields the URI."""
    with local_cloud(folder, *conditions):
        words = [BINARY, "dev", "--json"]
        with process(words, folder, ends=signal.SIGINT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT) as started:
            yield json.loads(awaited(started, lambda line: '"watching"' in line, "wschat dev"))["uris"][0]


@contextlib.contextmanager
def serverless_offline(app, *options, variables={}):
    """serverless-offline in the folder of an application that has its packages; yields the URI and the process id."""
    port = str(free_port())
    words = [
        "node_modules/.bin/serverless", "offline", "--websocketPort", port,
        "--httpPort", str(free_port()), "--lambdaPort", str(free_port()), *options,
    ]  # fmt: skip
    variables = variables | {"WEBSOCKET_PORT": port, "SLS_TELEMETRY_DISABLED": "1", "SLS_NOTIFICATIONS_MODE": "off"}
    with process(words, app, variables, stdout=subprocess.PIPE, stderr=subprocess.STDOUT) as started:
        awaited(started, lambda line: "Offline [http for websocket] listening" in line, "serverless-offline")
        yield f"ws://localhost:{port}", started.pid


@contextlib.contextmanager
def ministack(python, folder, variables={}):
    """The emulator ministack with its data in a folder; yields its endpoint and its process id."""
    port = free_port()
    own = KEYS | {"GATEWAY_PORT": str(port), "BIND_HOST": "127.0.0.1", "TMPDIR": str(folder), "AUTH": "false"} | variables
    with open(folder / "ministack.log", "w+") as log, process([python, "-m", "ministack"], folder, own, stdout=log, stderr=log) as started:
        deadline = time.monotonic() + PATIENCE
        while not listens(port):
            if started.poll() is not None or time.monotonic() > deadline:
                log.seek(0)
                raise Failed(f"ministack did not start:\n{log.read()}")
            time.sleep(0.02)
        yield f"http://127.0.0.1:{port}", started.pid


def listens(port):
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


# --- What processes use ---


def family(root):
    """A process and all that it has started, as process ids, each with its fields of /proc/PID/stat from the parent on."""
    stats = {}
    for stat in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError):
            # The name in brackets may hold spaces.
            stats[int(stat.parent.name)] = stat.read_text().rpartition(")")[2].split()

    def belongs(pid):
        while pid in stats:
            if pid == root:
                return True
            pid = int(stats[pid][1])
        return False

    return {pid: fields for pid, fields in stats.items() if belongs(pid)}


def handlers_cpu(server):
    """The CPU time, in seconds, that the processes which a local cloud has started have used so far, as the kernel counts it."""
    used = sum(int(fields[11]) + int(fields[12]) for pid, fields in family(server).items() if pid != server)
    return used / os.sysconf("SC_CLK_TCK")


def memory(root):
    """The memory, in bytes, of a process, and of all processes that it has started. A page that several share counts in parts (PSS)."""

    def proportional(pid):
        # A process may have ended meanwhile.
        with contextlib.suppress(OSError):
            lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
            return next(int(line.split()[1]) * 1024 for line in lines if line.startswith("Pss:"))
        return 0

    parts = {pid: proportional(pid) for pid in family(root)}
    return parts.pop(root), sum(parts.values())


# --- Words ---


def machine():
    """What a reader must know of the machine, and what else it did when the benchmark began."""
    model = ""
    with contextlib.suppress(OSError, StopIteration):
        lines = Path("/proc/cpuinfo").read_text().splitlines()
        model = ", " + next(line.split(":", 1)[1].strip() for line in lines if line.startswith("model name"))
    load = ", ".join(f"{value:.2f}" for value in os.getloadavg())
    return f"{os.cpu_count()} cores{model}; {platform.system()} {platform.release()}; load at the start {load} (1, 5, 15 minutes)"
