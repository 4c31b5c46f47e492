"""Measures the local cloud: the time of a call compared with loopback itself; the time of a message from one client to another
and to 49 others; the throughput of the gateway alone; and the time of an `up`. Rivals are measured by benches/rivals.

Prints Markdown. Everything is started for its measurement and stopped after it.
"""

import argparse
import asyncio
import contextlib
import hashlib
import hmac
import os
import shutil
import socket
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

from websockets.asyncio.client import connect

from clients import messages
from rig import PATIENCE, exported, handlers_cpu, server, wschat

HERE = Path(__file__).resolve().parent


# --- A call ---


def round_trips(port, request, times):
    """The median time, in seconds, of a request over one connection until its answer is complete."""
    with socket.create_connection(("127.0.0.1", port)) as connection:
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        taken = []
        for _ in range(times):
            begun = time.perf_counter()
            connection.sendall(request)
            answer = b""
            while b"\r\n\r\n" not in answer:
                answer += connection.recv(65536)
            head, _, body = answer.partition(b"\r\n\r\n")
            length = next(int(line.split(b":")[1]) for line in head.split(b"\r\n") if line.lower().startswith(b"content-length:"))
            while len(body) < length:
                body += connection.recv(65536)
            taken.append(time.perf_counter() - begun)
        return statistics.median(taken)


ECHO = """
import socket, sys
with socket.create_server(("127.0.0.1", 0)) as server:
    print(server.getsockname()[1], flush=True)
    connection, _ = server.accept()
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    while connection.recv(65536):
        connection.sendall(b"HTTP/1.1 200 OK\\r\\nContent-Length: 17\\r\\n\\r\\n" + b'{"TableNames":[]}')
"""


def signature(variables, body):
    """The authorization of the request below, which the local cloud verifies; it does not look at the time."""
    scope = ["20261128", "us-east-1", "dynamodb", "aws4_request"]
    canonical = "POST\n/\n\nhost:localhost\nx-amz-date:20261128T000000Z\n\nhost;x-amz-date\n" + hashlib.sha256(body).hexdigest()
    text = f"AWS4-HMAC-SHA256\n20261128T000000Z\n{'/'.join(scope)}\n{hashlib.sha256(canonical.encode()).hexdigest()}"
    key = b"AWS4" + variables["AWS_SECRET_ACCESS_KEY"].encode()
    for part in [*scope, text]:
        key = hmac.digest(key, part.encode(), "sha256")
    credential = f"{variables['AWS_ACCESS_KEY_ID']}/{'/'.join(scope)}"
    return f"AWS4-HMAC-SHA256 Credential={credential}, SignedHeaders=host;x-amz-date, Signature={key.hex()}"


def call(folder, times):
    """The time of ListTables, and of a fixed answer by a process that does not read the request."""
    variables = exported(folder)
    port = int(variables["AWS_ENDPOINT_URL"].rsplit(":", 1)[1].rstrip("/"))
    body = b"{}"
    request = (
        "POST / HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/x-amz-json-1.0\r\n"
        "X-Amz-Target: DynamoDB_20120810.ListTables\r\nX-Amz-Date: 20261128T000000Z\r\n"
        f"Authorization: {signature(variables, body)}\r\nContent-Length: {len(body)}\r\n\r\n"
    ).encode() + body
    with subprocess.Popen([sys.executable, "-c", ECHO], stdout=subprocess.PIPE, text=True) as echo:
        floor = round_trips(int(echo.stdout.readline()), request, times)
    return round_trips(port, request, times), floor


# --- Messages ---


def chat(uri, arguments, cloud):
    """The cells of a row: the times of a message to one other and to 49 others, and the handlers' own CPU time for it; `cloud` is the
    process of the local cloud."""
    cells = []
    for others, times in ((1, arguments.times), (49, max(arguments.times // 5, 10))):
        used = []
        taken = messages(uri, others, times, lambda: used.append(handlers_cpu(cloud)))
        cells += [milliseconds(statistics.median(taken)), milliseconds((handlers_cpu(cloud) - used[0]) / times)]
    return cells


# --- The gateway alone ---


def resident(pid):
    """The resident memory of a process, in bytes."""
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith("VmRSS:"))


def gateway(scratch, sockets):
    """The messages per second that the gateway itself answers, and the bytes of memory per socket."""
    folder = Path(scratch) / "gateway"
    folder.mkdir()
    load = folder / "load"
    subprocess.run(["rustc", "-O", "--edition", "2024", "-o", load, HERE / "load.rs"], check=True)
    shutil.copy(HERE / "gateway.yaml", folder / "template.yaml")
    wschat("local", "start", "--port", "0", folder=folder)
    try:
        uri = wschat("up", "--local", "--yes", "--stack", "gateway", folder=folder).splitlines()[-1]
        address, path = uri.removeprefix("ws://").split("/", 1)
        address = address.replace("localhost", "127.0.0.1")
        command = [load, "round-trips", address, f"/{path}", "64", "5"]
        answered = int(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
        pid = server(folder)
        before = resident(pid)
        command = [load, "sockets", address, f"/{path}", str(sockets)]
        with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as holder:
            assert holder.stdout.readline() == "open\n"
            each = (resident(pid) - before) / sockets
            holder.stdin.close()
        return answered, each
    finally:
        wschat("local", "stop", folder=folder)


# --- An `up` ---


def lasts(times, *arguments, folder, before=lambda: None):
    """The median time, in seconds, of a command."""
    taken = []
    for _ in range(times):
        before()
        begun = time.perf_counter()
        wschat(*arguments, folder=folder)
        taken.append(time.perf_counter() - begun)
    return statistics.median(taken)


def fresh(app):
    """Deploys the example with an empty table and returns its URI: leftover connections would slow down every message."""
    wschat("down", "--local", "--yes", "--stack", "bench", folder=app)
    return wschat("up", "--local", "--yes", "--stack", "bench", folder=app).splitlines()[-1]


def ups(app):
    """The times of a first `up` of the example, with its code built before, and of an `up` without changes."""
    stack = ("--local", "--yes", "--stack", "bench")
    cold = lasts(7, "up", *stack, folder=app, before=lambda: wschat("down", *stack, folder=app))
    return cold, lasts(11, "up", *stack, folder=app)


@contextlib.contextmanager
def crowd(uri, clients):
    """Clients that connect, send a message and disconnect, in a loop."""
    stop = threading.Event()

    async def one():
        while not stop.is_set():
            with contextlib.suppress(Exception):
                async with connect(uri, open_timeout=PATIENCE, ping_interval=None) as client:
                    await client.send("{}")
                    await asyncio.sleep(2)

    async def all_of_them():
        await asyncio.gather(*(one() for _ in range(clients)))

    thread = threading.Thread(target=lambda: asyncio.run(all_of_them()))
    thread.start()
    try:
        time.sleep(5)
        yield
    finally:
        stop.set()
        thread.join()


def with_rust_handlers(folder):
    """A folder with the chat template and its Rust handlers, built for release: `up --local` would build them for debugging."""
    repository = HERE.parent.parent
    handlers = ["connect", "disconnect", "send-message", "default"]
    packages = [argument for name in handlers for argument in ("--package", name)]
    subprocess.run(["cargo", "build", "--quiet", "--release", *packages], cwd=repository, check=True)
    built = Path(os.environ.get("CARGO_TARGET_DIR", repository / "target")) / "release"
    text = (repository / "templates/chat.yaml").read_text()
    for name in handlers:
        (folder / name).mkdir(parents=True)
        shutil.copy(built / name, folder / name / "bootstrap")
        text = text.replace(f"../lambdas/{name}", name)
    (folder / "template.yaml").write_text(text)
    return folder


def milliseconds(seconds):
    return f"{seconds * 1000:.2f}" if seconds < 0.01 else f"{seconds * 1000:.1f}"


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--times", type=int, default=200, help="how many messages to one other; a fifth of that to 49")
    parser.add_argument("--rust", action="store_true", help="the chat template with its Rust handlers, too (they are compiled)")
    parser.add_argument("--sockets", type=int, default=16000, help="how many sockets are held at once")
    arguments = parser.parse_args()
    rows = []
    with tempfile.TemporaryDirectory() as scratch:
        app = Path(scratch) / "app"
        shutil.copytree(HERE / "app", app)
        wschat("local", "start", "--port", "0", folder=app)
        try:
            cloud = server(app)
            taken, floor = call(app, arguments.times * 10)
            wschat("up", "--local", "--yes", "--stack", "bench", folder=app)
            cold, idle = ups(app)
            node = fresh(app)
            rows.append(("wschat, Node.js", *chat(node, arguments, cloud)))
            if arguments.rust:
                uri = wschat("up", "--local", "--yes", "--stack", "rust", "--data", str(app / ".wschat/local"),
                             folder=with_rust_handlers(Path(scratch) / "rust")).splitlines()[-1]
                rows.append(("wschat, Rust", *chat(uri, arguments, cloud)))
            # Measured last, because it leaves connections behind.
            with crowd(node, 200):
                crowded = lasts(5, "up", "--local", "--yes", "--stack", "bench", folder=app)
        finally:
            wschat("local", "stop", folder=app)
        answered, each = gateway(scratch, arguments.sockets)
    print("| a call | ms |\n|---|---|")
    print(f"| `ListTables` of the local cloud | {milliseconds(taken)} |")
    print(f"| the same bytes, answered by a process that does not look at them | {milliseconds(floor)} |\n")
    columns = ["a message through Lambda, table and `@connections`"]
    columns += ["to one other, ms", "CPU of the handler, ms", "to 49 others, ms", "CPU of the handler, ms"]
    print(f"| {' | '.join(columns)} |\n{'|---' * len(columns)}|")
    for row in rows:
        print(f"| {' | '.join(row)} |")
    print("\n| the gateway alone | |\n|---|---|")
    print(f"| messages a second that no route takes, answered | {answered:,} |")
    print(f"| memory a socket, with {arguments.sockets:,} open, kB | {each / 1000:.1f} |")
    print("\n| `up --local` of the example in Node.js | s |\n|---|---|")
    print(f"| from nothing, code built before | {cold:.3f} |")
    print(f"| nothing to do | {idle:.3f} |")
    print(f"| nothing to do, while 200 clients come and go | {crowded:.3f} |")


if __name__ == "__main__":
    main()
