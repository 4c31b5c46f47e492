"""What the Serverless Framework, the CDK and Go's compiler make is deployed as it is, with the code that they would upload."""

import os
import shutil
import subprocess
import zipfile

import pytest

from harness import INSTALLING, PATIENCE, ROOT, LocalCloud, connect, wschat
from readback import inventory

# npm downloads the SDK that Lambda's runtime includes.
UP = 300
COMPILED = {
    "serverless": "serverless/chat/.serverless/cloudformation-template-update-stack.json",
    "cdk": "cdk/chat/cdk.out/Chat.template.json",
}


@pytest.mark.parametrize("tool", COMPILED)
def test_a_compiled_chat_is_deployed_serves_messages_and_is_deleted(tool, tmp_path):
    corpus = ROOT / "tests/corpus" / COMPILED[tool]
    template = tmp_path / "output" / corpus.name
    shutil.copytree(corpus.parent, template.parent)
    with LocalCloud(tmp_path / "data") as cloud:
        target = ("--local", "--data", cloud.data, "--stack", "chat", "--template", template)
        uri = wschat("up", *target, timeout=UP, cwd=tmp_path).strip()
        with connect(f"{uri}?token=corpus") as one, connect(f"{uri}?token=corpus") as two:
            one.send('{"action": "send", "text": "hello, everyone!"}')
            assert two.recv(PATIENCE) == "hello, everyone!"
        before = inventory(cloud.plain)
        assert wschat("up", *target, cwd=tmp_path).strip() == uri
        assert inventory(cloud.plain) == before
        wschat("down", *target[:-2], "--yes")
        assert not any(inventory(cloud.plain).values()), inventory(cloud.plain)


def test_a_go_binary_in_a_zip_is_deployed_answers_and_is_deleted(tmp_path):
    if not shutil.which("go"):
        pytest.fail("This test builds with Go, which is not installed: apt-get install golang-go")
    shutil.copytree(ROOT / "tests/fixtures/go", tmp_path, dirs_exist_ok=True)
    # As it is built for Lambda: without C, so that the machine's libraries do not matter.
    own = {"CGO_ENABLED": "0", "GOOS": "linux", "GOCACHE": str(tmp_path / "cache"), "GOFLAGS": "-trimpath", "GOPROXY": "off"}
    subprocess.run(["go", "build", "-o", "bootstrap", "."], cwd=tmp_path, env=os.environ | own, check=True, timeout=INSTALLING)
    with zipfile.ZipFile(tmp_path / "echo.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.write(tmp_path / "bootstrap", "bootstrap")
    with LocalCloud(tmp_path / "data") as cloud:
        target = ("--local", "--data", cloud.data, "--stack", "echo", "--template", tmp_path / "template.yaml")
        uri = wschat("up", *target, cwd=tmp_path).strip()
        with connect(uri) as client:
            client.send("hello")
            assert client.recv(PATIENCE) == "go: hello"
        logs = wschat("logs", *target, cwd=tmp_path)
        assert "$default from " in logs and "$connect from " in logs
        before = inventory(cloud.plain)
        assert wschat("up", *target, cwd=tmp_path).strip() == uri
        assert inventory(cloud.plain) == before
        wschat("down", *target[:-2], "--yes")
        assert not any(inventory(cloud.plain).values()), inventory(cloud.plain)
