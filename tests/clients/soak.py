"""A soak: 500 sockets that chat through the Node.js example's handlers, on a local cloud that may open 1,024 files at first.

Every request must be answered, every broadcast must reach all permanent clients, and no client may get an error; the number of
processes and the size of the data folder must stay bounded. Prints one line of results, and fails on any problem.

    tests/clients/soak [--seconds 60] [--sockets 500]
"""

import argparse
import asyncio
import json
import os
import resource
import shutil
import sys
import tempfile
import time
from pathlib import Path

from websockets.asyncio.client import connect

from harness import ROOT, wschat

# How many clients connect at the same time, and how many connect and disconnect while the permanent ones stay.
AT_ONCE, VISITORS = 25, 20
# The time between broadcasts in seconds, and the number of requests per second in between.
BROADCAST, REQUESTS = 3.0, 25
# An answer that takes longer counts as lost.
PATIENCE = 60.0
# The local cloud runs at most 64 execution environments, or 16 per core. (AWS's limit is the account's concurrency.)
MAX_PROCESSES = max(64, 16 * (os.cpu_count() or 1)) + 8
# Four log groups of 16 MB, two call logs of 8 MB, and some room.
MAX_GROWTH = 100 << 20


class Seen:
    def __init__(self):
        self.answers = self.delivered = 0
        self.errors = []
        self.latest = []


class Client:
    """A permanent client: counts the messages that it receives, and checks the answers to its requests."""

    def __init__(self, socket, seen):
        self.socket, self.seen = socket, seen
        self.pending = asyncio.Queue()
        self.broadcasts = set()
        self.task = asyncio.create_task(self.listen())

    async def listen(self):
        async for text in self.socket:
            if text.startswith("Use the sendmessage route"):
                await self.pending.put(text)
            elif text.startswith("broadcast "):
                if text in self.broadcasts:
                    self.seen.errors.append(f"twice: {text}")
                self.broadcasts.add(text)
                self.seen.delivered += 1
            else:
                self.seen.errors.append(text)

    async def ask(self):
        begun = time.monotonic()
        await self.socket.send("anything")
        try:
            await asyncio.wait_for(self.pending.get(), PATIENCE)
        except TimeoutError:
            self.seen.errors.append("an answer that never came")
            return
        self.seen.answers += 1
        self.seen.latest.append(time.monotonic() - begun)


async def until(condition, what, seen):
    deadline = time.monotonic() + PATIENCE
    while not condition():
        if time.monotonic() > deadline:
            seen.errors.append(what())
            return
        await asyncio.sleep(0.05)


async def visit(uri, seen, stop):
    while not stop.is_set():
        async with connect(uri, open_timeout=PATIENCE, ping_interval=None) as socket:
            await socket.send("anything")
            async with asyncio.timeout(PATIENCE):
                async for text in socket:
                    if text.startswith("Use the sendmessage route"):
                        break
                    if not text.startswith("broadcast "):
                        seen.errors.append(text)


async def soak(uri, seconds, sockets, watch):
    seen, gate = Seen(), asyncio.Semaphore(AT_ONCE)

    async def join():
        async with gate:
            return Client(await connect(uri, open_timeout=PATIENCE, ping_interval=None), seen)

    clients = await asyncio.gather(*(join() for _ in range(sockets)))
    stop = asyncio.Event()
    visitors = [asyncio.create_task(visit(uri, seen, stop)) for _ in range(VISITORS)]
    end, number, busy = time.monotonic() + seconds, 0, set()
    # The initial growth is over by now.
    before = watch()
    while time.monotonic() < end:
        number += 1
        text, sender = f"broadcast {number}", clients[number % len(clients)]
        await sender.socket.send(json.dumps({"action": "sendmessage", "message": text}))
        for index in range(int(BROADCAST * REQUESTS)):
            asked = asyncio.create_task(clients[(number * 101 + index * 7) % len(clients)].ask())
            busy.add(asked)
            asked.add_done_callback(busy.discard)
            await asyncio.sleep(1 / REQUESTS)
        others = [client for client in clients if client is not sender]
        missing = lambda: sum(text not in client.broadcasts for client in others)
        await until(lambda: missing() == 0, lambda: f"{text} has not reached {missing()}", seen)
        watch()
    await asyncio.gather(*busy)
    stop.set()
    for outcome in await asyncio.gather(*visitors, return_exceptions=True):
        if isinstance(outcome, BaseException):
            seen.errors.append(f"a visitor: {outcome!r}")
    await asyncio.gather(*(client.socket.close() for client in clients))
    return seen, number, before


def descendants(pid):
    found, pending = [], [pid]
    while pending:
        pid = pending.pop()
        try:
            threads = Path(f"/proc/{pid}/task").iterdir()
            children = [int(child) for thread in threads for child in (thread / "children").read_text().split()]
        except OSError:
            continue
        found += children
        pending += children
    return found


def size(folder):
    total = 0
    for path in folder.rglob("*"):
        try:
            total += path.lstat().st_blocks * 512
        except FileNotFoundError:
            pass
    return total


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--seconds", type=float, default=60)
    parser.add_argument("--sockets", type=int, default=500)
    arguments = parser.parse_args()
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (1024, hard))
    with tempfile.TemporaryDirectory() as folder:
        project = Path(folder) / "project"
        shutil.copytree(ROOT / "examples/node-chat", project)
        # A broadcast to 500 clients on a busy machine needs more than the example's 128 MB and 10 s.
        template = project / "template.yaml"
        text = template.read_text()
        assert "    Timeout: 10\n" in text
        template.write_text(text.replace("    Timeout: 10\n", "    Timeout: 29\n    MemorySize: 512\n"))
        data = project / ".wschat/local"
        at = ("--local", "--data", data, "--stack", "soak")
        wschat("local", "start", "--port", "0", "--data", data, cwd=project)
        try:
            uri = wschat("up", *at, timeout=300, cwd=project).strip()
            pid = json.loads((data / "process.json").read_text())["pid"]
            most = {"processes": 0, "bytes": 0}

            def watch():
                most["processes"] = max(most["processes"], len(descendants(pid)))
                now = size(data)
                most["bytes"] = max(most["bytes"], now)
                return now

            seen, broadcasts, before = asyncio.run(soak(uri, arguments.seconds, arguments.sockets, watch))
            after = watch()
        finally:
            wschat("local", "stop", "--data", data, cwd=project)
    latest = sorted(seen.latest)
    at_rank = lambda rank: f"{latest[int(rank * (len(latest) - 1))] * 1000:.0f} ms" if latest else "-"
    print(
        f"soak: {arguments.sockets} sockets, {arguments.seconds:.0f} s, {seen.answers} answers (median {at_rank(0.5)}, "
        f"99 % {at_rank(0.99)}), {broadcasts} broadcasts, {seen.delivered} delivered, {len(seen.errors)} errors, "
        f"{most['processes']} processes at most, data {before >> 20} MB and then {after >> 20} MB"
    )
    amiss = seen.errors[:10]
    if seen.delivered != broadcasts * (arguments.sockets - 1):
        amiss.append(f"{broadcasts * (arguments.sockets - 1)} broadcasts should have been delivered")
    if most["processes"] > MAX_PROCESSES:
        amiss.append(f"more than {MAX_PROCESSES} processes")
    if most["bytes"] - before > MAX_GROWTH:
        amiss.append(f"the data folder grew to {most['bytes'] >> 20} MB")
    if amiss:
        sys.exit("\n".join(amiss))


if __name__ == "__main__":
    main()
