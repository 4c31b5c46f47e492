"""Shared by the tests, the soak and the benchmark of `wschat dev`: a small application, and the command on a pseudo terminal or
a pipe."""

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

NODE = 'exports.handler = async () => ({ statusCode: 200, body: "VERSION" });\n'
PYTHON = 'def handler(event, context):\n    return {"statusCode": 200, "body": "VERSION"}\n'

TEMPLATE = """\
Transform: AWS::Serverless-2016-10-31
Resources:
  Api:
    Type: AWS::ApiGatewayV2::Api
    Properties: { Name: dev, ProtocolType: WEBSOCKET, RouteSelectionExpression: $request.body.action }
  Stage:
    Type: AWS::ApiGatewayV2::Stage
    Properties: { ApiId: !Ref Api, StageName: live, AutoDeploy: true }
"""

FUNCTION = """\
  NAME:
    Type: AWS::Serverless::Function
    Properties: { CodeUri: FOLDER, Handler: HANDLER, Runtime: RUNTIME, Timeout: 10 }
  NAMEIntegration:
    Type: AWS::ApiGatewayV2::Integration
    Properties:
      ApiId: !Ref Api
      IntegrationType: AWS_PROXY
      IntegrationUri: !Sub arn:${AWS::Partition}:apigateway:${AWS::Region}:lambda:path/2015-03-31/functions/${NAME.Arn}/invocations
  NAMEPermission:
    Type: AWS::Lambda::Permission
    Properties: { Action: lambda:InvokeFunction, FunctionName: !Ref NAME, Principal: apigateway.amazonaws.com }
"""

ROUTE = """\
  NAMERoute:
    Type: AWS::ApiGatewayV2::Route
    Properties: { ApiId: !Ref Api, RouteKey: KEY, RouteResponseSelectionExpression: $default, Target: !Sub "integrations/${OF}" }
  NAMEResponse:
    Type: AWS::ApiGatewayV2::RouteResponse
    Properties: { ApiId: !Ref Api, RouteId: !Ref NAMERoute, RouteResponseKey: $default }
"""

TABLE = """\
  Table:
    Type: AWS::DynamoDB::Table
    Properties:
      BillingMode: PAY_PER_REQUEST
      KeySchema: [{ AttributeName: id, KeyType: HASH }]
      AttributeDefinitions: [{ AttributeName: id, AttributeType: S }]
"""


def function(name, folder, handler, runtime):
    text = FUNCTION.replace("NAME", name).replace("FOLDER", folder)
    return text.replace("HANDLER", handler).replace("RUNTIME", runtime)


def route(name, key, of):
    return ROUTE.replace("KEY", key).replace("OF", of).replace("NAME", name)


class App:
    """An application in `folder`: the route `node` answers with the version of a Node.js handler, `python` with that of a Python
    handler."""

    def __init__(self, folder: Path):
        self.folder = folder
        self.template = folder / "template.yaml"
        self.node = folder / "node/index.js"
        self.python = folder / "python/app.py"
        for file in (self.node, self.python):
            file.parent.mkdir(parents=True)
        self.save_node("one")
        self.save_python("one")
        self.text = TEMPLATE + function("Node", "node", "index.handler", "nodejs22.x")
        self.text += function("Python", "python", "app.handler", "python3.12")
        self.text += route("Node", "node", "NodeIntegration") + route("Python", "python", "PythonIntegration")
        self.template.write_text(self.text)

    def save_node(self, version):
        self.node.write_text(NODE.replace("VERSION", str(version)))

    def save_python(self, version):
        self.python.write_text(PYTHON.replace("VERSION", str(version)))


def ask(socket, action):
    """What a route answers over an open socket."""
    socket.send(f'{{"action": "{action}"}}')
    return socket.recv(PATIENCE)


class Dev:
    """`wschat dev` in the folder of an application. A context manager.

    On a terminal of `columns` columns, or with pipes where there are none.
    """

    def __init__(self, folder: Path, *arguments, columns: int | None = 80, variables: dict = {}):
        self.folder, self.arguments, self.columns = folder, arguments, columns
        self.variables = {"TERM": "xterm", **variables}
        self.text = ""
        self.news = threading.Condition()

    def __enter__(self):
        command = [str(WSCHAT), "dev", *map(str, self.arguments)]
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
        threading.Thread(target=self.listen, args=(read,), daemon=True).start()
        return self

    def listen(self, read):
        with contextlib.suppress(OSError):
            while piece := read():
                with self.news:
                    self.text += piece.decode(errors="replace")
                    self.news.notify_all()

    def __exit__(self, *_):
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()
        if self.columns:
            os.close(self.inner)
            os.close(self.terminal)

    @property
    def shown(self) -> str:
        """All that was shown, without the terminal's sequences."""
        return re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", self.text)

    @property
    def brief(self) -> str:
        """The end of what was shown; the line at the bottom is drawn over and over."""
        return re.sub(r"([^\r\n]*\? help *)(\s*\1)+", r"\1", self.shown)[-4000:]

    def wait(self, text: str, after: int = 0) -> int:
        """Waits until this is shown, from position `after` on; returns the position behind it."""
        deadline = time.monotonic() + PATIENCE
        with self.news:
            while (at := self.shown.find(text, after)) < 0:
                left = deadline - time.monotonic()
                over = self.process.poll() is not None
                assert left > 0 and not over, f"{text!r} was not shown; the command {'has ended' if over else 'runs'}:\n{self.brief}"
                self.news.wait(min(left, 0.5))
        return at + len(text)

    def ready(self) -> str:
        """Waits until all is deployed; returns the URI."""
        self.wait("for changes.")
        return re.search(r"wss?://[^\s]+/live", self.shown)[0]

    def press(self, keys: str):
        os.write(self.terminal, keys.encode())

    def interrupt(self):
        """Ctrl-C, as the terminal sends it."""
        os.write(self.terminal, b"\x03") if self.columns else self.process.send_signal(signal.SIGINT)

    def end(self) -> int:
        """Waits until it ends; returns the exit code."""
        return self.process.wait(PATIENCE)
