"""wschat on a pseudo terminal or a pipe, and what a terminal shows of what it has written."""

import codecs
import contextlib
import fcntl
import os
import pty
import re
import signal
import struct
import subprocess
import termios
import threading
import time
from pathlib import Path

from harness import PATIENCE, WSCHAT, environment

# Marks the end of what a command has written: it changes nothing on a screen.
END = "\x1b[0m\x1b[0m\x1b[0m"

SEQUENCE = re.compile(r"\x1b\[([0-9;?]*)([A-Za-z])")


def screen(text: str, columns: int) -> list[str]:
    """The lines that a terminal of this width shows in the end, those included that it has scrolled away. Only what wschat and its
    progress bars write: moves, erasing, colours; every character is one cell wide."""
    rows, row, column, at = [[]], 0, 0, 0
    while at < len(text):
        if sequence := SEQUENCE.match(text, at):
            at = sequence.end()
            number = int(sequence[1]) if sequence[1].isdigit() else 1
            match sequence[2]:
                case "A":
                    row = max(0, row - number)
                case "B":
                    row += number
                case "C":
                    column += number
                case "K":
                    del rows[row][0 if sequence[1] == "2" else column :]
                case "J":
                    del rows[row][column:], rows[row + 1 :]
                case "m" | "h" | "l":
                    pass
                case other:
                    raise ValueError(f"ESC[{sequence[1]}{other}")
        else:
            character = text[at]
            at += 1
            if character == "\r":
                column = 0
            elif character == "\n":
                row += 1
            else:
                if column == columns:
                    row, column = row + 1, 0
                    rows.extend([] for _ in range(row + 1 - len(rows)))
                line = rows[row]
                line.extend(" " * (column + 1 - len(line)))
                line[column] = character
                column += 1
        rows.extend([] for _ in range(row + 1 - len(rows)))
    lines = ["".join(line).rstrip() for line in rows]
    while lines and not lines[-1]:
        lines.pop()
    return lines


class Terminal:
    """`wschat WORDS` in a folder. A context manager.

    On a terminal of `columns` columns, or with pipes where there are none.
    """

    def __init__(self, folder: Path, *words, columns: int | None = 80, variables: dict = {}):
        self.folder, self.words, self.columns = folder, words, columns
        self.variables = {"TERM": "xterm", **variables}
        self.text = ""
        self.news = threading.Condition()

    def __enter__(self):
        command = [str(WSCHAT), *map(str, self.words)]
        options = {"cwd": self.folder, "env": environment() | self.variables}
        if self.columns:
            self.terminal, inner = pty.openpty()
            fcntl.ioctl(inner, termios.TIOCSWINSZ, struct.pack("HHHH", 24, self.columns, 0, 0))
            self.before = termios.tcgetattr(inner)
            # A session of its own, whose terminal this is: Ctrl-C is a signal to it.
            own = lambda: (os.setsid(), fcntl.ioctl(0, termios.TIOCSCTTY, 0))
            self.process = subprocess.Popen(command, stdin=inner, stdout=inner, stderr=inner, preexec_fn=own, **options)
            self.inner = inner
            read = lambda: os.read(self.terminal, 65536)
        else:
            pipe = {"stdin": subprocess.DEVNULL, "stdout": subprocess.PIPE, "stderr": subprocess.STDOUT}
            self.process = subprocess.Popen(command, **pipe, **options)
            read = lambda: os.read(self.process.stdout.fileno(), 65536)
        self.reader = threading.Thread(target=self.listen, args=(read,), daemon=True)
        self.reader.start()
        return self

    def listen(self, read):
        # A character may be cut in two.
        decoder = codecs.getincrementaldecoder("utf-8")(errors="replace")
        with contextlib.suppress(OSError):
            while piece := read():
                with self.news:
                    self.text += decoder.decode(piece)
                    self.news.notify_all()

    def __exit__(self, *_):
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()
        if self.columns:
            os.close(self.inner)
            # It ends when nothing writes there any more. The next terminal may get the same number, and is not to be read by it.
            self.reader.join(PATIENCE)
            os.close(self.terminal)

    @property
    def shown(self) -> str:
        """All that was shown, without the terminal's sequences."""
        return re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", self.text)

    @property
    def lines(self) -> list[str]:
        """The lines that the terminal shows, when the command has ended."""
        assert self.process.poll() is not None
        os.write(self.inner, END.encode())
        with self.news:
            assert self.news.wait_for(lambda: END in self.text, PATIENCE)
            return screen(self.text.partition(END)[0], self.columns)

    @property
    def brief(self) -> str:
        """The end of what was shown; the line at the bottom is drawn over and over."""
        return re.sub(r"([^\r\n]*\? help *)(\s*\1)+", r"\1", self.shown)[-4000:]

    def wait(self, text: str, after: int = 0, patience: float = PATIENCE) -> int:
        """Waits until this is shown, from position `after` on; returns the position behind it."""
        deadline = time.monotonic() + patience
        with self.news:
            while (at := self.shown.find(text, after)) < 0:
                left = deadline - time.monotonic()
                over = self.process.poll() is not None
                assert left > 0 and not over, f"{text!r} was not shown; the command {'has ended' if over else 'runs'}:\n{self.brief}"
                self.news.wait(min(left, 0.5))
        return at + len(text)

    def press(self, keys: str):
        os.write(self.terminal, keys.encode())

    def interrupt(self):
        """Ctrl-C, as the terminal sends it."""
        os.write(self.terminal, b"\x03") if self.columns else self.process.send_signal(signal.SIGINT)

    def end(self) -> int:
        """Waits until it ends; returns the exit code."""
        return self.process.wait(PATIENCE)
