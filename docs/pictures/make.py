#!/usr/bin/env python3
"""Draws docs/pictures/up.svg: the terminal of a real `wschat up --local` and a chat, in a project of `wschat init`, from what they printed.

Usage: docs/pictures/make.py WSCHAT OUTPUT.svg
Needs Python 3.11, rich (PyPI, MIT), websockets, node and npm. Runs on a local cloud of its own that it stops again.
"""

import asyncio
import os
import pty
import re
import subprocess
import sys
import tempfile
from pathlib import Path

import websockets
from rich.console import Console
from rich.text import Text

COLUMNS = 92


def run(command, folder):
    """What a command prints in a folder, on a terminal of COLUMNS columns, colours included."""
    leader, follower = pty.openpty()
    environment = {**os.environ, "COLUMNS": str(COLUMNS), "TERM": "xterm-256color"}
    subprocess.run(["stty", "cols", str(COLUMNS), "rows", "60"], stdin=follower, check=True)
    child = subprocess.Popen(command, cwd=folder, stdout=follower, stderr=follower, stdin=follower, env=environment)
    os.close(follower)
    printed = b""
    while True:
        try:
            part = os.read(leader, 65536)
        except OSError:
            break
        if not part:
            break
        printed += part
    if child.wait() != 0:
        sys.exit(f"{command} ended with {child.returncode}:\n{printed.decode(errors='replace')}")
    return printed.decode()


def lasting(printed):
    """The lines that stand on the screen at the end: without progress bars, which are drawn over."""
    lines = []
    for line in printed.replace("\r\n", "\n").split("\n"):
        line = line.split("\r")[-1]
        line = re.sub(r"\x1b\[[0-9;]*[A-HJKSTfhlnsu]|\x1b\[\?[0-9;]*[hl]", "", line)
        plain = re.sub(r"\x1b\[[0-9;]*m", "", line).strip()
        if plain and not plain.startswith(("note:", "installing", "@aws-sdk", "includes it")):
            lines.append(line)
    return lines


def shortened(lines, first, last):
    """The first and the last lines, and between them three dots."""
    return lines if len(lines) <= first + last else [*lines[:first], "  ...", *lines[-last:]]


async def chat(uri):
    async with websockets.connect(uri) as one, websockets.connect(uri) as other:
        sent = '{"action":"sendmessage","message":"hello, everyone!"}'
        await one.send(sent)
        return sent, await asyncio.wait_for(other.recv(), 20)


def main():
    wschat, output = os.path.abspath(sys.argv[1]), sys.argv[2]
    with tempfile.TemporaryDirectory() as folder:
        project = Path(folder) / "chat"
        in_project = {"cwd": project, "capture_output": True}
        subprocess.run([wschat, "init", project], check=True, capture_output=True)
        here = ["--local"]
        try:
            subprocess.run([wschat, "local", "start", "--port", "0"], check=True, **in_project)
            up = lasting(run([wschat, "up", *here, "--yes"], project))
            uri = up[-1].split()[-1]
            sent, heard = asyncio.run(chat(uri))
            again = lasting(run([wschat, "up", *here, "--yes"], project))
        finally:
            subprocess.run([wschat, "local", "stop"], check=False, **in_project)
    prompt = "\x1b[1;32m$\x1b[0m "
    plan = [line for line in up if not re.match(r"\s*[0-9.]+ s ", re.sub(r"\x1b\[[0-9;]*m", "", line))]
    steps = [line for line in up if line not in plan]
    lines = [
        f"{prompt}wschat up --local",
        *shortened(plan[:-1], 5, 2),
        *shortened(steps, 2, 2),
        plan[-1],
        f'{prompt}npx wscat -c "$(wschat url --local)"',
        f"> {sent}",
        f"\x1b[2m(the other client)\x1b[0m < {heard}",
        f"{prompt}wschat up --local",
        *again[-2:],
    ]
    console = Console(record=True, width=COLUMNS, file=open(os.devnull, "w"), color_system="standard", force_terminal=True)
    for line in lines:
        console.print(Text.from_ansi(line), overflow="ellipsis", no_wrap=True)
    svg = console.export_svg(title="wschat")
    # No font is fetched from anywhere.
    svg = re.sub(r"@font-face \{[^}]*\}\s*", "", svg).replace("Fira Code, monospace", "monospace")
    Path(output).write_text(svg)


main()
