"""Shared by the benchmarks: what clients of an application do, and how long it takes."""

import asyncio
import contextlib
import json
import time

from websockets.asyncio.client import connect as open_socket
from websockets.sync.client import connect as open_simple_socket

from rig import PATIENCE, Failed


@contextlib.asynccontextmanager
async def sockets(uri, count, at_once=8):
    """So many sockets, opened a few at a time and closed the same way."""
    turns = asyncio.Semaphore(at_once)

    async def opened():
        async with turns:
            # No client pings: no rival is measured by the pings of another.
            return await open_socket(uri, open_timeout=PATIENCE, ping_interval=None)

    async def closed(client):
        async with turns:
            await client.close()

    clients = await asyncio.gather(*(opened() for _ in range(count)))
    try:
        yield clients
    finally:
        await asyncio.gather(*(closed(client) for client in clients))


async def sends(sender, others, text):
    """Sends a message of the chat, and waits until all others have received it."""
    await sender.send(json.dumps({"action": "sendmessage", "message": text}))
    try:
        async with asyncio.timeout(PATIENCE):
            got = await asyncio.gather(*(client.recv() for client in others))
    except TimeoutError:
        raise Failed(f"message {text} did not reach all of {len(others)} others in {PATIENCE} s") from None
    if wrong := [one for one in got if one not in (text, text.encode())]:
        raise Failed(f"instead of message {text} came {wrong[0]}")


def first_message(uri):
    """Two clients, and a message from one to the other."""

    async def run():
        async with sockets(uri, 2) as (sender, other):
            await sends(sender, [other], "first")

    asyncio.run(run())


def messages(uri, others, times, warm=lambda: None):
    """The times, in seconds, until all others have received a message of the chat. `warm` is called after those that do not count, which
    start execution environments."""

    async def run():
        taken = []
        async with sockets(uri, others + 1) as (sender, *rest):
            for number in range(times + 5):
                if number == 5:
                    warm()
                begun = time.perf_counter()
                await sends(sender, rest, str(number))
                taken.append(time.perf_counter() - begun)
        return taken[5:]

    return asyncio.run(run())


def held(uri, count, look):
    """Holds so many idle sockets open, and returns the time, in seconds, that opening them took, and what `look` gives then. The sockets
    are cut, not closed: the server is to be stopped next."""

    async def run():
        begun = time.perf_counter()
        async with sockets(uri, count) as clients:
            taken = time.perf_counter() - begun
            # What their opening has begun must be over.
            await asyncio.sleep(3)
            seen = await asyncio.to_thread(look)
            for client in clients:
                client.transport.abort()
            return taken, seen

    return asyncio.run(run())


def answer(client, action):
    client.send(json.dumps({"action": action}))
    text = client.recv(PATIENCE)
    return text if isinstance(text, str) else text.decode()


def saves(uri, action, save, times, patience=PATIENCE):
    """The times, in seconds, from a save to the first answer of the new code; `save(version)` writes code that answers with the version. A
    client asks all the time over one socket, as fast as it is answered."""
    taken = []
    with open_simple_socket(uri, ping_interval=None, open_timeout=PATIENCE) as client:
        for number in range(times + 2):
            version = f"v{number}"
            answer(client, action)
            # The save before must be over, with all that follows it.
            time.sleep(1)
            begun = time.perf_counter()
            save(version)
            while answer(client, action) != version:
                if time.perf_counter() - begun > patience:
                    raise Failed(f"{version} was saved, and has not answered in {patience} s")
            # The first ones warm up.
            if number >= 2:
                taken.append(time.perf_counter() - begun)
    return taken
