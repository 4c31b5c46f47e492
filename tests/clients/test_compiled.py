"""What the Serverless Framework and the CDK compile is deployed as it is, with the code that they would upload."""

import shutil

import pytest

from harness import PATIENCE, ROOT, LocalCloud, connect, wschat
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
