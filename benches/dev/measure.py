"""Measures the time from a save to the first answer of the new code over an open socket: of `wschat dev` with Node.js and Python
handlers, on the local cloud as it is and under docs/aws-conditions.toml; and of serverless-offline with the same Node.js handler,
as it is and with --reloadHandler. Prints Markdown. Everything is started for its measurement and stopped after it; only npm uses
the network.
"""

import argparse
import contextlib
import json
import shutil
import signal
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

from websockets.sync.client import connect

from rig import BINARY, PATIENCE, clean, serverless_offline, wschat

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent.parent

NODE = 'exports.handler = async () => ({ statusCode: 200, body: "VERSION" });\n'
PYTHON = 'def handler(event, context):\n    return {"statusCode": 200, "body": "VERSION"}\n'


def answer(client, action):
    client.send(json.dumps({"action": action}))
    text = client.recv(PATIENCE)
    return text if isinstance(text, str) else text.decode()


def saves(uri, action, file, text, times):
    """The times, in seconds, from a save to the first answer of the new code. A client asks all the time, as fast as it is answered."""
    taken = []
    with connect(uri, ping_interval=None, open_timeout=PATIENCE) as client:
        for number in range(times + 2):
            version = f"v{number}"
            answer(client, action)
            # The save before must be over, with all that follows it.
            time.sleep(1)
            begun = time.perf_counter()
            file.write_text(text.replace("VERSION", version))
            while answer(client, action) != version:
                if time.perf_counter() - begun > PATIENCE:
                    sys.exit(f"{file} was saved, and {version} has not answered in {PATIENCE} s")
            # The first ones warm up.
            if number >= 2:
                taken.append(time.perf_counter() - begun)
    return taken


@contextlib.contextmanager
def dev(folder, *conditions):
    """`wschat dev` in a folder; gives the URI. It must be given the time that AWS's conditions take."""
    wschat("local", "start", "--port", "0", *conditions, folder=folder)
    process = subprocess.Popen(
        [BINARY, "dev", "--json"], cwd=folder, env=clean(), stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    try:
        errors = []
        threading.Thread(target=lambda: errors.extend(process.stderr), daemon=True).start()
        for line in process.stdout:
            event = json.loads(line)
            if event["event"] == "watching":
                break
        else:
            sys.exit("wschat dev has ended:\n" + "".join(errors))
        threading.Thread(target=process.stdout.read, daemon=True).start()
        yield event["uris"][0]
    finally:
        process.send_signal(signal.SIGINT)
        process.wait()
        wschat("local", "stop", folder=folder)


def reloads(app, times, *options):
    """As `saves`, for serverless-offline; `None` if it never serves what is saved."""
    file = app / "index.js"
    taken = []
    with serverless_offline(app, *options) as uri, connect(uri, ping_interval=None, open_timeout=PATIENCE) as client:
        for number in range(times + 2):
            version = f"v{number}"
            answer(client, "node")
            time.sleep(1)
            begun = time.perf_counter()
            file.write_text(NODE.replace("VERSION", version))
            while answer(client, "node") != version:
                if time.perf_counter() - begun > 5:
                    return None
            if number >= 2:
                taken.append(time.perf_counter() - begun)
    return taken


def row(name, taken):
    print(f"{name}: {taken and round(statistics.median(taken), 3)}", file=sys.stderr, flush=True)
    if taken is None:
        return f"| {name} | not before it is started again | |"
    return f"| {name} | {statistics.median(taken):.2f} | {min(taken):.2f} to {max(taken):.2f} |"


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--saves", type=int, default=20, help="how often each handler is saved")
    parser.add_argument("--no-rival", action="store_true", help="leave serverless-offline out")
    arguments = parser.parse_args()
    rows = []
    with tempfile.TemporaryDirectory() as scratch:
        for name, conditions in (("", ()), (", under AWS's conditions", ("--conditions", str(ROOT / "docs/aws-conditions.toml")))):
            app = Path(scratch).resolve() / f"app{len(rows)}"
            shutil.copytree(HERE / "app", app)
            with dev(app, *conditions) as uri:
                rows.append(row(f"wschat dev, Node.js{name}", saves(uri, "node", app / "node/index.js", NODE, arguments.saves)))
                rows.append(row(f"wschat dev, Python{name}", saves(uri, "python", app / "python/app.py", PYTHON, arguments.saves)))
        if not arguments.no_rival:
            rival = Path(scratch) / "rival"
            shutil.copytree(HERE / "rival", rival)
            subprocess.run(["npm", "install", "--silent", "--no-audit", "--no-fund"], cwd=rival, check=True)
            rows.append(row("serverless-offline, Node.js", reloads(rival, arguments.saves)))
            rows.append(row("serverless-offline --reloadHandler, Node.js", reloads(rival, arguments.saves, "--reloadHandler")))
    print(f"| from a save to the new answer, {arguments.saves} saves | median, s | from, to, s |\n|---|---|---|")
    print("\n".join(rows))


if __name__ == "__main__":
    main()
