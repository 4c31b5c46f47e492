"""Measures the time from a save to the first answer of the new code over an open socket: of `wschat dev` with Node.js and Python
handlers, on the local cloud as it is and under docs/aws-conditions.toml. Prints Markdown. Everything is started for its measurement and
stopped after it. Rivals are measured by benches/rivals.
"""

import argparse
import shutil
import statistics
import sys
import tempfile
from pathlib import Path

from clients import saves
from rig import CONDITIONS, dev

HERE = Path(__file__).resolve().parent

NODE = 'exports.handler = async () => ({ statusCode: 200, body: "VERSION" });\n'
PYTHON = 'def handler(event, context):\n    return {"statusCode": 200, "body": "VERSION"}\n'


def row(name, uri, action, file, text, times):
    taken = saves(uri, action, lambda version: file.write_text(text.replace("VERSION", version)), times)
    print(f"{name}: {round(statistics.median(taken), 3)}", file=sys.stderr, flush=True)
    return f"| {name} | {statistics.median(taken):.2f} | {min(taken):.2f} to {max(taken):.2f} |"


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--saves", type=int, default=20, help="how often each handler is saved")
    arguments = parser.parse_args()
    rows = []
    with tempfile.TemporaryDirectory() as scratch:
        for name, conditions in (("", ()), (", under AWS's conditions", ("--conditions", str(CONDITIONS)))):
            app = Path(scratch).resolve() / f"app{len(rows)}"
            shutil.copytree(HERE / "app", app)
            with dev(app, *conditions) as uri:
                rows.append(row(f"wschat dev, Node.js{name}", uri, "node", app / "node/index.js", NODE, arguments.saves))
                rows.append(row(f"wschat dev, Python{name}", uri, "python", app / "python/app.py", PYTHON, arguments.saves))
    print(f"| from a save to the new answer, {arguments.saves} saves | median, s | from, to, s |\n|---|---|---|")
    print("\n".join(rows))


if __name__ == "__main__":
    main()
