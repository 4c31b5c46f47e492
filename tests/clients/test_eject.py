"""What `wschat eject` leaves: a template that cfn-lint has nothing against, and with which the AWS CLI has nothing to change."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from harness import PATIENCE, ROOT, LocalCloud, connect, environment, wschat

# npm and pip download the handlers' dependencies.
UP = 300
APPS = {
    "mixed": (ROOT / "tests/fixtures/eject", "template.yaml"),
    "node": (ROOT / "examples/node-chat", "template.yaml"),
    "python": (ROOT / "examples/python-chat", "template.yaml"),
}
BESIDE = Path(sys.executable).parent
CFN_LINT = os.environ.get("CFN_LINT", str(BESIDE / "cfn-lint"))


def run(*command, cwd, expect=0, **variables):
    done = subprocess.run(
        [str(word) for word in command], cwd=cwd, env=environment() | variables, stdin=subprocess.DEVNULL,
        capture_output=True, text=True, timeout=UP, check=False,
    )
    assert done.returncode == expect, f"{command}\n{done.stdout}\n{done.stderr}"
    return done.stdout + done.stderr


@pytest.mark.parametrize("app", APPS)
def test_a_stack_that_was_handed_over_goes_on_with_the_aws_cli(app, tmp_path):
    folder, template = APPS[app]
    project = tmp_path / "project"
    shutil.copytree(folder, project)
    with LocalCloud(tmp_path) as cloud:
        target = ("--local", "--data", cloud.data, "--stack", "chat", "--template", project / template)
        uri = wschat("up", *target, timeout=UP, cwd=project).strip()
        cloud.plain.client("s3").create_bucket(Bucket="code")
        wschat("eject", *target, "--bucket", "code", "--yes", timeout=UP, cwd=project)
        written = project / "template.cloudformation.json"

        # Warnings are about what the user's own template has, too.
        run(CFN_LINT, "--non-zero-exit-code", "error", "--regions", "us-east-1", "--", written, cwd=project)
        resources = json.loads(written.read_text())["Resources"]
        formation = cloud.plain.client("cloudformation")
        (stack,) = formation.describe_stacks(StackName="chat")["Stacks"]
        assert stack["StackStatus"] == "UPDATE_COMPLETE"
        there = formation.list_stack_resources(StackName="chat")["StackResourceSummaries"]
        assert {one["LogicalResourceId"] for one in there} == set(resources)
        # Every function's code is where the template says.
        for resource in resources.values():
            code = resource.get("Properties", {}).get("Code", {})
            if "S3Key" in code:
                cloud.plain.client("s3").head_object(Bucket=code["S3Bucket"], Key=code["S3Key"])

        deploy = (
            BESIDE / "aws", "cloudformation", "deploy", "--stack-name", "chat", "--template-file", written,
            "--capabilities", "CAPABILITY_IAM", "CAPABILITY_NAMED_IAM", "--no-fail-on-empty-changeset", "--endpoint-url", cloud.plain.url,
        )
        assert "No changes to deploy" in run(*deploy, cwd=project)
        with connect(uri) as client:
            client.send('{"action": "anything"}')
            assert client.recv(PATIENCE)
