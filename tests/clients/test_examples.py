"""Chat apps with handlers in node and python that use the AWS SDKs: up, two clients chat, down.

The examples are deployed as they are. WSCHAT_TEMPLATES may name more templates, which are then put beside the Node.js
example's handlers, whatever the template calls its resources.
"""

import json
import os
import shutil
import subprocess
from pathlib import Path

import pytest

from harness import PATIENCE, ROOT, LocalCloud, connect, wait_until, wschat
from readback import inventory

# npm and pip download the handlers' dependencies.
UP = 300
NODE = ROOT / "examples/node-chat"
APPS = {
    "node": (NODE, NODE / "template.yaml"),
    "node-sdk2": (ROOT / "tests/fixtures/node-sdk2", NODE / "template.yaml"),
    "python": (ROOT / "examples/python-chat", ROOT / "examples/python-chat/template.yaml"),
}
for _path in filter(None, os.environ.get("WSCHAT_TEMPLATES", "").split(os.pathsep)):
    APPS[f"node-{Path(_path).resolve().parent.name}"] = (NODE, Path(_path).resolve())


def chat(uri):
    with connect(uri) as one, connect(uri) as two:
        one.send('{"action": "sendmessage", "message": "hello, everyone! 👋"}')
        assert two.recv(PATIENCE) == "hello, everyone! 👋"
        two.send("anything else")
        words, _, info = two.recv(PATIENCE).partition("{")
        assert words == "Use the sendmessage route to send a message. Your info:"
        info = json.loads("{" + info)
        assert info["Identity"]["SourceIp"] == "127.0.0.1" and info["connectionID"]
        two.send('{"action": "sendmessage", "message": "back to you"}')
        assert one.recv(PATIENCE) == "back to you"


@pytest.mark.parametrize("app", APPS)
def test_an_example_is_deployed_serves_messages_and_is_deleted(app, tmp_path):
    handlers, template = APPS[app]
    project = tmp_path / "project"
    shutil.copytree(handlers, project)
    shutil.copy(template, project / "template.yaml")
    before = sorted(path.relative_to(project) for path in project.rglob("*"))
    with LocalCloud(project / ".wschat") as cloud:
        target = ("--local", "--data", cloud.data, "--stack", "chat", "--template", project / "template.yaml")
        uri = wschat("up", *target, timeout=UP, cwd=project).strip()
        (table,) = inventory(cloud.plain)["tables"]
        connected = lambda: cloud.plain.client("dynamodb").scan(TableName=table)["Count"]
        chat(uri)
        wait_until(lambda: connected() == 0, "both are forgotten")
        wschat("smoke", *target, cwd=project)
        wait_until(lambda: connected() == 0, "the smoke test's clients are forgotten")
        # The second `up` builds and installs nothing, so nothing changes.
        assert wschat("up", *target, cwd=project).strip() == uri
        chat(uri)
        wschat("down", *target[:-2], "--yes")
        assert not any(inventory(cloud.plain).values()), inventory(cloud.plain)
    shutil.rmtree(project / ".wschat")
    # The first `up` stores the stack's name.
    (project / "wschat.toml").unlink()
    assert sorted(path.relative_to(project) for path in project.rglob("*")) == before


TESTS = {
    "node": ["node", "--test"],
    "python": ["python3", "-m", "unittest", "discover", "tests"],
    "typescript": ["sh", "-c", "npm install --silent --no-audit --no-fund && npm run --silent check && npm test --silent"],
    "rust": ["cargo", "test", "--quiet"],
}
# The handlers in Rust are compiled from nothing, with the AWS SDK.
BUILD = 1200


@pytest.mark.parametrize("language", TESTS)
def test_a_new_project_passes_its_tests_goes_up_and_chats(language, tmp_path):
    project = tmp_path / "chat"
    wschat("init", project, "--lang", language, cwd=tmp_path)
    subprocess.run(TESTS[language], cwd=project, check=True, timeout=BUILD)
    with LocalCloud(project / ".wschat") as cloud:
        uri = wschat("up", "--local", "--data", cloud.data, timeout=BUILD, cwd=project).strip()
        chat(uri)
        assert wschat("up", "--local", "--data", cloud.data, timeout=BUILD, cwd=project).strip() == uri
        wschat("down", "--local", "--data", cloud.data, "--yes", cwd=project)


def test_a_lock_file_determines_the_versions(tmp_path):
    """The lock has an old version, which npm would not choose without it."""
    code = tmp_path / "code"
    code.mkdir()
    (code / "package.json").write_text('{"dependencies": {"ms": "^2.0.0"}, "devDependencies": {"left-pad": "1.3.0"}}')
    subprocess.run(["npm", "install", "--silent", "--package-lock-only", "ms@2.1.0"], cwd=code, check=True, timeout=UP)
    (code / "package.json").write_text('{"dependencies": {"ms": "^2.1.0"}, "devDependencies": {"left-pad": "1.3.0"}}')
    (code / "index.js").write_text(
        "exports.handler = async () => [require('ms/package.json').version, require('fs').readdirSync('node_modules')];"
    )
    (tmp_path / "template.json").write_text(json.dumps(one_function({"Runtime": "nodejs22.x", "CodeUri": "code"})))
    assert answer(tmp_path) == ["2.1.0", ["ms"]]


def test_requirements_are_installed_for_this_machine(tmp_path):
    code = tmp_path / "code"
    code.mkdir()
    (code / "requirements.txt").write_text("markupsafe==3.0.2\n")
    # The package has a compiled part, which must match this interpreter.
    (code / "index.py").write_text(
        "import markupsafe._speedups\ndef handler(event, context):\n    return str(markupsafe.escape('<chat>'))\n"
    )
    (tmp_path / "template.json").write_text(json.dumps(one_function({"Runtime": "python3.13", "CodeUri": "code"})))
    assert answer(tmp_path) == "&lt;chat&gt;"


@pytest.mark.parametrize(
    ("runtime", "code"),
    [
        ("nodejs22.x", "exports.handler = async () => '${AWS::StackName} in ${AWS::Region}, as ${Role}';"),
        ("python3.13", "def handler(event, context):\n  return '${AWS::StackName} in ${AWS::Region}, as ${Role}'\n"),
    ],
)
def test_inline_code_is_run(tmp_path, runtime, code):
    template = one_function({"Runtime": runtime, "InlineCode": {"Fn::Sub": code}})
    (tmp_path / "template.json").write_text(json.dumps(template))
    assert answer(tmp_path) == "chat in us-east-1, as roles-name"


def one_function(properties):
    trust = {"Effect": "Allow", "Principal": {"Service": "lambda.amazonaws.com"}, "Action": "sts:AssumeRole"}
    role = {"RoleName": "roles-name", "AssumeRolePolicyDocument": {"Version": "2012-10-17", "Statement": [trust]}}
    function = {"FunctionName": "one", "Handler": "index.handler", "Timeout": 20, "Role": {"Fn::GetAtt": ["Role", "Arn"]}}
    return {
        "Transform": "AWS::Serverless-2016-10-31",
        "Resources": {
            "Role": {"Type": "AWS::IAM::Role", "Properties": role},
            "One": {"Type": "AWS::Serverless::Function", "Properties": function | properties},
        },
    }


def answer(folder):
    """The answer of the function `one` of the template in `folder`."""
    with LocalCloud(folder / ".wschat") as cloud:
        template = folder / "template.json"
        # The default data folder, below the folder that the command runs in.
        wschat("up", "--local", "--stack", "chat", "--template", template.name, timeout=UP, cwd=folder)
        invoked = cloud.plain.client("lambda").invoke(FunctionName="one")
        payload = json.loads(invoked["Payload"].read())
        assert "FunctionError" not in invoked, payload
        return payload
