"""What README.md shows is what a terminal of 80 columns shows: its commands are run one after the other, and each prints what stands
below it, but for times, ports and ids. The commands of the README that `wschat init` writes are run, too."""

import contextlib
import os
import re
import shlex
import subprocess

import pytest

from harness import INSTALLING, PATIENCE, ROOT, connect, environment, wschat
from terminal import Terminal

# What differs from run to run, and what stands for it.
VOLATILE = [
    (r"\b\d+\.\d\d s\b", "SECONDS"),
    (r"\b\d\d:\d\d:\d\d\.\d{3}\b", "TIME"),
    (r"\blocalhost:\d+/\w{10}\b", "API"),
    (r"\bport \d+\b", "PORT"),
    (r"[\w-]{15}=", "CONNECTION"),
    # Made from the API's id, too.
    (r"Permission-[0-9a-f]{8}\b", "Permission-HASH"),
    # The last column of a row is what AWS calls the resource: of names, the hash is the same on all machines.
    (r"(?<=  )[a-z0-9]{6,10}$", "ID"),
    (r"\b[a-z0-9]{6,10}(?= -> <)", "ID"),
]


def stable(line: str) -> str:
    for pattern, name in VOLATILE:
        line = re.sub(pattern, name, line)
    return line.rstrip()


def transcripts(text: str) -> list[tuple[str, list[str]]]:
    """The commands in the console blocks of a page, each with the lines below it."""
    found = []
    for block in re.findall(r"^```console\n(.*?)^```$", text, re.MULTILINE | re.DOTALL):
        for line in block.splitlines():
            if line.startswith("$ "):
                found.append((line[2:], []))
            else:
                found[-1][1].append(line)
    return found


def differs(expected: list[str], shown: list[str]) -> str | None:
    """The first line of a transcript that is not shown where it should be. `...` stands for any lines; at the end of a line for any
    rest. Steps that end side by side (`✓`) may stand in any order."""
    at, skips = 0, False
    shown = [stable(line) for line in shown if not line.startswith("Port ")]
    for line in map(stable, expected):
        if line.strip() == "...":
            skips = True
            continue
        is_it = lambda other: other.startswith(line[:-3]) if line.endswith("...") else other == line
        if line.startswith("✓ ") and " in " not in line:
            if not any(map(is_it, shown)):
                return line
            skips = True
            continue
        places = range(at, len(shown)) if skips else range(at, min(at + 1, len(shown)))
        place = next((place for place in places if is_it(shown[place])), None)
        if place is None:
            return line
        at, skips = place + 1, False
    return None if skips or at == len(shown) else f"the end, and not {shown[at]!r}"


class Newcomer:
    """A reader who types what README.md says, in a folder beside a clone."""

    def __init__(self, folder):
        self.folder = folder / "clone"
        self.folder.mkdir()

    def type(self, command: str) -> list[str]:
        """Runs a command; returns what the terminal shows in the end."""
        line, _, folder = command.partition(" && cd ")
        program, *words = shlex.split(line)
        if program != "wschat":
            subprocess.run(line, shell=True, cwd=self.folder, check=True)
            return []
        does = {"chat": self.chat, "dev": self.work}.get(words[0], lambda _: None)
        with Terminal(self.folder, *words) as terminal:
            does(terminal)
            assert terminal.process.wait(INSTALLING) == 0, terminal.brief
            lines = terminal.lines
        self.folder = (self.folder / folder).resolve() if folder else self.folder
        return lines

    @property
    def uri(self) -> str:
        return wschat("url", "--local", cwd=self.folder).strip()

    def chat(self, terminal):
        terminal.wait("Ctrl-D")
        with Terminal(self.folder, "chat", "--local") as other:
            other.wait("Ctrl-D")
            terminal.press('{"action":"sendmessage","message":"hello, everyone!"}\r')
            other.wait("< hello, everyone!")
            terminal.press("hi\r")
            terminal.wait("< Use the sendmessage route")
            other.press("\x04")
            other.end()
        terminal.press("\x04")

    def work(self, terminal):
        """What the README says to change, one after the other, and what a client then gets."""
        code = self.folder / "send-message/index.mjs"
        right = code.read_text()
        assert "(gateway, other, message)" in right
        save = lambda message: code.write_text(right.replace("(gateway, other, message)", f"(gateway, other, {message})"))
        terminal.wait("for changes.")
        with connect(self.uri) as one, connect(self.uri) as other:
            send = lambda: one.send('{"action": "sendmessage", "message": "hello"}')
            save("message.toUpperCase()")
            at = terminal.wait("✓ SendMessage updated in ")
            send()
            assert other.recv(PATIENCE) == "HELLO"
            save("message.toUpperCase(")
            at = terminal.wait("the previous version keeps running", at)
            send()
            assert other.recv(PATIENCE) == "HELLO"
            save("message.upper()")
            at = terminal.wait("✓ SendMessage updated in ", at)
            send()
            assert "Internal server error" in one.recv(PATIENCE)
            terminal.wait("message.upper is not a function", at)
            code.write_text(right)
            terminal.wait("✓ SendMessage updated in ", at)
        terminal.press("q")


def test_its_transcripts_are_what_a_terminal_shows(tmp_path):
    newcomer = Newcomer(tmp_path)
    found = transcripts((ROOT / "README.md").read_text())
    assert {command.split()[1] for command, _ in found} >= {"init", "up", "chat", "dev", "logs", "status", "down", "local"}
    problems = []
    try:
        for command, expected in found:
            shown = newcomer.type(command)
            if problem := differs(expected, shown):
                problems.append("\n".join([f"$ {command}: not {problem}", *shown]))
    finally:
        subprocess.run([os.environ.get("WSCHAT_BIN", ROOT / "target/debug/wschat"), "local", "stop"], cwd=newcomer.folder, env=environment())
    assert not problems, "\n\n".join(problems)
    # Nothing is left of it but the project and the local cloud's folder.
    left = {path.name for path in newcomer.folder.iterdir()}
    assert left >= {"template.yaml", "README.md", ".gitignore"} and "node_modules" not in left


COMMAND = re.compile(r"^([a-z].*?)(?:  +#.*)?$")


@pytest.mark.parametrize("language", ["node", "python", "typescript"])
def test_the_commands_of_a_new_projects_readme_work(language, tmp_path):
    project = tmp_path / "chat"
    wschat("init", project, "--lang", language)
    (block,) = re.findall(r"^```sh\n(.*?)^```$", (project / "README.md").read_text(), re.MULTILINE | re.DOTALL)
    commands = [COMMAND.match(line)[1] for line in block.splitlines()]
    assert commands[:2] == ["wschat dev", "wschat chat --local"] and commands[3:] == ["wschat down --local", "wschat up"], commands
    with contextlib.ExitStack() as stack:
        stack.callback(lambda: wschat("local", "stop", cwd=project))
        with Terminal(project, "dev") as dev:
            dev.wait("for changes.", patience=INSTALLING)
            with Terminal(project, "chat", "--local") as one, Terminal(project, "chat", "--local") as other:
                for client in (one, other):
                    client.wait("Ctrl-D")
                one.press('{"action": "sendmessage", "message": "hello"}\r')
                other.wait("< hello")
                for client in (one, other):
                    client.press("\x04")
                    assert client.end() == 0
            subprocess.run(commands[2], shell=True, cwd=project, check=True, capture_output=True, timeout=INSTALLING)
            dev.interrupt()
            assert dev.end() == 0
        with Terminal(project, "down", "--local") as down:
            down.wait("[y/N]")
            down.press("y\r")
            assert down.end() == 0
        wschat("status", "--local", cwd=project, expect=3)
