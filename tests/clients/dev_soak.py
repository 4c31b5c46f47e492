"""A soak of `wschat dev`: handlers are saved over and over, one client stays connected, and each version must answer it. The memory
and the open files of `wschat dev` and of the local cloud must not grow. Prints one line of results, and fails on any problem.

    python tests/clients/dev_soak.py [--saves 200] [--minutes 60]
"""

import argparse
import json
import os
import sys
import tempfile
import time
from pathlib import Path

from dev import App, Dev, ask
from harness import connect, wait_until, wschat

# How much more memory, in MB, a process may have at the end than after the first quarter of the saves; allocators keep some.
MAX_GROWTH = 24


def memory(pid):
    """The resident memory of a process in MB."""
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmRSS:")) // 1024


def files(pid):
    return len(os.listdir(f"/proc/{pid}/fd"))


def soak(saves, minutes=0):
    with tempfile.TemporaryDirectory() as folder:
        app = App(Path(folder).resolve() / "app")
        wschat("local", "start", "--port", 0, cwd=app.folder)
        try:
            server = json.loads((app.folder / ".wschat/local/process.json").read_text())["pid"]
            with Dev(app.folder, columns=None) as dev, connect(dev.ready(), ping_interval=None) as socket:
                state = lambda: [(memory(pid), files(pid)) for pid in (dev.process.pid, server)]
                before = None
                start = time.monotonic()
                for number in range(saves):
                    time.sleep(max(0, start + 60 * minutes * number / saves - time.monotonic()))
                    version, (save, action) = f"v{number}", ((app.save_node, "node"), (app.save_python, "python"))[number % 2]
                    save(version)
                    wait_until(lambda: ask(socket, action) == version, f"{action} answers with {version}")
                    if number == saves // 4:
                        before = state()
                after = state()
                dev.interrupt()
                assert dev.end() == 0
        finally:
            wschat("local", "stop", cwd=app.folder)
    for name, (megabytes, opened), (megabytes_then, opened_then) in zip(("wschat dev", "the local cloud"), before, after):
        print(f"{name}: {saves} saves, {megabytes} MB and then {megabytes_then} MB, {opened} open files and then {opened_then}")
        assert megabytes_then - megabytes <= MAX_GROWTH, f"the memory of {name} grows"
        # Connections that are kept alive come and go.
        assert opened_then - opened <= 8, f"the open files of {name} grow"


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--saves", type=int, default=200)
    parser.add_argument("--minutes", type=float, default=0, help="how long the saves take at least, spread evenly")
    arguments = parser.parse_args()
    sys.exit(soak(arguments.saves, arguments.minutes))
