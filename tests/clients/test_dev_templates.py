"""`wschat dev` on a terminal of 80 columns in projects whose templates WSCHAT_TEMPLATES names: a chat with the logical ids of other
tools, and a handler that brings the whole AWS SDK in its packages."""

import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from dev import Dev
from harness import INSTALLING, PATIENCE, ROOT, connect, wschat

TEMPLATES = [Path(path).resolve() for path in os.environ.get("WSCHAT_TEMPLATES", "").split(os.pathsep) if path]

ROUTE = """\
  EchoRoute:
    Type: AWS::ApiGatewayV2::Route
    Properties:
      ApiId: !Ref API
      RouteKey: echo
      Target: !Join ["/", [integrations, !Ref INTEGRATION]]

"""


class Project:
    """A template with handlers, under git. `sender` is the logical id of the function of `send-message`."""

    def __init__(self, folder: Path, template: Path):
        self.folder = folder
        shutil.copytree(ROOT / "examples/node-chat", folder)
        shutil.rmtree(folder / "send-message")
        shutil.copytree(ROOT / "tests/fixtures/node-sdk2/send-message", folder / "send-message")
        install = ["npm", "install", "--no-audit", "--no-fund", "--ignore-scripts"]
        subprocess.run(install, cwd=folder / "send-message", check=True, capture_output=True, timeout=INSTALLING)
        self.template = folder / "template.yaml"
        self.text = template.read_text()
        self.template.write_text(self.text)
        self.handler = folder / "send-message/index.js"
        self.code = self.handler.read_text()
        (folder / ".gitignore").write_text("node_modules/\n")
        self.git("init", "--quiet")
        self.git("add", "--all")

    def git(self, *words) -> list[str]:
        done = subprocess.run(["git", *words], cwd=self.folder, check=True, capture_output=True, text=True, timeout=PATIENCE)
        return done.stdout.splitlines()

    def logical_id(self, type_name: str, containing: str = "") -> str:
        resources = re.split(r"^(?=  \w+:$)", self.text, flags=re.MULTILINE)
        (found,) = [text for text in resources if f"Type: {type_name}\n" in text and containing in text]
        return re.match(r"  (\w+):", found)[1]

    @property
    def sender(self) -> str:
        return self.logical_id("AWS::Serverless::Function", "CodeUri: send-message/")

    def with_route(self) -> str:
        """The template with the route `echo`, which the function of `$default` answers."""
        default = self.logical_id("AWS::Serverless::Function", "CodeUri: default/")
        integration = self.logical_id("AWS::ApiGatewayV2::Integration", f"${{{default}.Arn}}")
        route = ROUTE.replace("API", self.logical_id("AWS::ApiGatewayV2::Api")).replace("INTEGRATION", integration)
        return self.text.replace("Outputs:\n", f"{route}Outputs:\n")

    def save(self, data: str):
        self.handler.write_text(self.code.replace("Data: message", f"Data: {data}"))


@pytest.fixture(params=TEMPLATES, ids=lambda path: path.parent.name)
def project(request, tmp_path):
    project = Project(tmp_path / "project", request.param)
    wschat("local", "start", "--port", 0, cwd=project.folder)
    yield project
    wschat("local", "stop", cwd=project.folder)


def test_a_day_of_work(project):
    """Saves, mistakes and their mends, while two clients stay connected."""
    with Dev(project.folder) as dev:
        dev.wait("for changes.", patience=INSTALLING)
        uri = re.search(r"ws://\S+", dev.shown)[0]
        with connect(uri) as one, connect(uri) as two:
            send = lambda message: one.send(f'{{"action": "sendmessage", "message": "{message}"}}')
            send("hello")
            assert two.recv(PATIENCE) == "hello"
            at = len(dev.shown)

            project.save("message + '!'")
            at = dev.wait(f"✓ {project.sender} updated in ", at)
            send("hello")
            assert two.recv(PATIENCE) == "hello!"

            # A mistake of syntax, and what is saved is again what is deployed.
            project.save("message + (")
            at = dev.wait("syntax error in", at)
            at = dev.wait("the previous version keeps running", at)
            project.save("message + '!'")
            at = dev.wait("✓ what is saved is deployed", at)

            project.save("message.upper()")
            at = dev.wait(f"✓ {project.sender} updated in ", at)
            send("hello")
            assert "Internal server error" in one.recv(PATIENCE)
            at = dev.wait("✗ uncaught exception: TypeError", at)
            place = f"send-message/index.js:{line_of(project.handler, 'upper')}"
            at = dev.wait(place, dev.wait("message.upper is not a function", at))

            # A route comes and goes; so does the template itself, as with a checkout of another branch.
            project.save("message")
            project.template.write_text(project.with_route())
            at = dev.wait("✓ stack updated in ", at)
            two.send('{"action": "echo"}')
            assert two.recv(PATIENCE).startswith("Use the sendmessage route")
            project.template.rename(project.folder / "other")
            at = dev.wait("there is no template here", at)
            (project.folder / "other").rename(project.template)
            at = dev.wait("✓ what is saved is deployed", at)
            project.template.write_text(project.text)
            at = dev.wait('route "echo"', at)
            at = dev.wait("✓ stack updated in ", at)

            dev.press("r")
            names = sorted(re.findall(r"^  (\w+):\n    Type: AWS::Serverless::Function$", project.text, re.MULTILINE))
            for key, name in enumerate(names, 1):
                at = dev.wait(f"  {key}  {name}", at)
            dev.press(str(len(names)))
            at = dev.wait(f"{names[-1]} restarted.", at)
            dev.press("s")
            at = dev.wait("send>", at)
            dev.press('{"action":"sendmessage","message":"' + "long " * 20 + 'to the end"}')
            at = dev.wait('to the end"}_', at)
            dev.press("\r")
            assert two.recv(PATIENCE).endswith("long to the end")
            send("still here")
            assert two.recv(PATIENCE) == "still here"
        dev.press("q")
        assert dev.end() == 0
    assert project.git("ls-files", "--others", "--exclude-standard") == ["wschat.toml"]
    assert project.git("diff", "--name-only") == []


def line_of(file: Path, text: str) -> int:
    return next(number for number, line in enumerate(file.read_text().splitlines(), 1) if text in line)
