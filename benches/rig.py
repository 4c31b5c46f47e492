"""Shared by the benchmarks: the binary, its environment, and serverless-offline."""

import contextlib
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path

BINARY = str(Path(os.environ["WSCHAT_BIN"]).resolve())
PATIENCE = 60


def clean():
    return {name: value for name, value in os.environ.items() if not name.startswith(("AWS_", "WSCHAT_"))}


def wschat(*arguments, folder, timeout=600):
    done = subprocess.run([BINARY, *arguments], cwd=folder, env=clean(), capture_output=True, text=True, timeout=timeout)
    if done.returncode:
        sys.exit(f"wschat {' '.join(arguments)} ended with {done.returncode}:\n{done.stdout}{done.stderr}")
    return done.stdout.strip()


def free_port():
    with socket.create_server(("127.0.0.1", 0)) as server:
        return server.getsockname()[1]


@contextlib.contextmanager
def serverless_offline(app, *options, variables={}):
    """serverless-offline in the folder of an application, for the time of a `with`; yields the URI."""
    ports = {"WEBSOCKET_PORT": str(free_port())}
    command = [
        "npx", "serverless", "offline", "--websocketPort", ports["WEBSOCKET_PORT"],
        "--httpPort", str(free_port()), "--lambdaPort", str(free_port()), *options,
    ]
    environment = clean() | variables | ports | {"SLS_TELEMETRY_DISABLED": "1", "SLS_NOTIFICATIONS_MODE": "off"}
    process = subprocess.Popen(
        command, cwd=app, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, start_new_session=True
    )
    lines = []
    try:
        for line in process.stdout:
            lines.append(line)
            if "Server ready" in line or "Offline [http for websocket] listening" in line:
                break
        else:
            sys.exit("serverless-offline did not start:\n" + "".join(lines))
        # Its further output must not fill the pipe.
        threading.Thread(target=process.stdout.read, daemon=True).start()
        time.sleep(1)
        yield f"ws://localhost:{ports['WEBSOCKET_PORT']}"
    finally:
        os.killpg(process.pid, signal.SIGTERM)
        process.wait()
