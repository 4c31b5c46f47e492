"""The chat app, tested as in the AWS tutorial, with third-party clients.

https://docs.aws.amazon.com/apigateway/latest/developerguide/websocket-api-chat-app.html
"""

import json
import os
import pty
import select
import shutil
import subprocess
import time

import pytest
from websockets.exceptions import ConnectionClosed

from harness import PATIENCE, ROOT, LocalCloud, connect, environment, wait_until, wschat
from readback import assert_as_described, inventory

STACK = "tutorial"
WSCAT = "wscat@6.1.0"
# Long enough to compile the handlers.
BUILD = 600


@pytest.fixture(scope="module")
def app(tmp_path_factory):
    """Deploys the app on its own local cloud; yields the cloud and the URI."""
    with LocalCloud(tmp_path_factory.mktemp("tutorial") / ".wschat") as cloud:
        target = ("--local", "--data", cloud.data, "--stack", STACK)
        uri = wschat("up", *target, "--template", ROOT / "templates/chat.yaml", timeout=BUILD).strip()
        yield cloud, uri
        wschat("down", *target, "--yes")
        assert not any(inventory(cloud.plain).values()), inventory(cloud.plain)


def quiet(socket):
    """Whether no message has arrived so far."""
    try:
        return socket.recv(0) is None
    except TimeoutError:
        return True


def test_the_stack_is_as_the_template_says(app):
    cloud, uri = app
    target = ("--local", "--data", cloud.data, "--stack", STACK)
    assert_as_described(cloud.plain, ROOT / "templates/chat.yaml", STACK, uri)
    assert wschat("url", *target).strip() == uri
    assert "Stack is healthy." in wschat("status", *target, "--template", ROOT / "templates/chat.yaml")


def test_two_clients_chat(app):
    cloud, uri = app
    (table,) = inventory(cloud.plain)["tables"]
    connected = lambda: cloud.plain.client("dynamodb").scan(TableName=table)["Count"]
    with connect(uri) as one, connect(uri) as two:
        assert connected() == 2
        one.send('{"action": "sendmessage", "message": "hello, everyone!"}')
        assert two.recv(PATIENCE) == "hello, everyone!"

        two.send("anything else")
        words, _, info = two.recv(PATIENCE).partition("{")
        assert words == "Use the sendmessage route to send a message. Your info:"
        info = json.loads("{" + info)
        assert set(info) == {"ConnectedAt", "Identity", "LastActiveAt", "connectionID"}
        assert info["Identity"]["SourceIp"] == "127.0.0.1"

        two.send('{"action": "sendmessage", "message": "back to you"}')
        # If the first message had also been sent to its sender, it would have arrived first.
        assert one.recv(PATIENCE) == "back to you"
        two.send('{"action": "sendmessage"}')
        assert "missing" in two.recv(PATIENCE)
        assert quiet(one) and quiet(two)
    wait_until(lambda: connected() == 0, "both are forgotten")


def test_a_closed_connection_does_not_stop_the_others(app):
    cloud, uri = app
    (table,) = inventory(cloud.plain)["tables"]
    dynamodb = cloud.plain.client("dynamodb")
    gone = {"connectionId": {"S": "Mg_ugfpqPHcCIVA="}}
    dynamodb.put_item(TableName=table, Item=gone)
    with connect(uri) as one, connect(uri) as two:
        one.send('{"action": "sendmessage", "message": "still there?"}')
        assert two.recv(PATIENCE) == "still there?"
        wait_until(lambda: "Item" not in dynamodb.get_item(TableName=table, Key=gone), "who is gone is forgotten")


@pytest.fixture(scope="module")
def wscat(tmp_path_factory):
    """wscat, the tutorial's own client, from npm."""
    npm = shutil.which("npm")
    assert npm, "npm is needed: it comes with Node.js"
    folder = tmp_path_factory.mktemp("wscat")
    subprocess.run(
        [npm, "install", "--silent", "--no-audit", "--no-fund", "--prefix", folder, WSCAT],
        check=True, cwd=folder, stdin=subprocess.DEVNULL, timeout=BUILD,
    )
    return folder / "node_modules/.bin/wscat"


class Terminal:
    """A program in a terminal, which wscat requires. A context manager."""

    def __init__(self, *command):
        self.master, slave = pty.openpty()
        self.shown = ""
        self.process = subprocess.Popen(
            command, env=environment() | {"TERM": "dumb"}, stdin=slave, stdout=slave, stderr=slave, start_new_session=True
        )
        os.close(slave)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.kill()
        self.process.wait()
        os.close(self.master)

    def type(self, line):
        os.write(self.master, line.encode() + b"\r")

    def shows(self, text):
        """Waits until `text` is shown after the text of the last call."""
        deadline = time.monotonic() + PATIENCE
        while text not in self.shown:
            ready, _, _ = select.select([self.master], [], [], max(0, deadline - time.monotonic()))
            assert ready, f"{text!r} never comes: {self.shown!r}"
            self.shown += os.read(self.master, 65536).decode()
        self.shown = self.shown.partition(text)[2]


def test_wscat_chats(app, wscat):
    _, uri = app
    with connect(uri) as socket, Terminal(wscat, "--no-color", "--connect", uri) as terminal:
        terminal.shows("Connected")
        terminal.type('{"action": "sendmessage", "message": "hello from wscat"}')
        assert socket.recv(PATIENCE) == "hello from wscat"
        socket.send('{"action": "sendmessage", "message": "hello, wscat"}')
        terminal.shows("< hello, wscat")
        terminal.type("what?")
        terminal.shows("< Use the sendmessage route to send a message. Your info:{")


def test_down_closes_the_sockets(tmp_path):
    with LocalCloud(tmp_path / ".wschat") as cloud:
        target = ("--local", "--data", cloud.data, "--stack", STACK)
        uri = wschat("up", *target, "--template", ROOT / "templates/chat.yaml", timeout=BUILD).strip()
        with connect(uri) as socket:
            wschat("down", *target, "--yes")
            with pytest.raises(ConnectionClosed):
                socket.recv(PATIENCE)
        assert not any(inventory(cloud.plain).values()), inventory(cloud.plain)
        wschat("down", *target, "--yes")
        wschat("status", *target, "--template", ROOT / "templates/chat.yaml", expect=3)
