"""The way from SAM and back: SAM's command line deploys, wschat takes the stack over, changes it and hands it back, SAM goes on.

On wschat's own local cloud all of it, with a client that never stops talking. On ministack, which nobody here wrote, what it can:
`LACKS` says what it cannot, call by call, and a test fails as soon as it can.
"""

import contextlib
import json
import shutil
import threading
import time
import zipfile
from io import BytesIO

import pytest
import yaml
from botocore.exceptions import ClientError

from harness import HERE, PATIENCE, ROOT, LocalCloud, Ministack, Project, Sam, connect, wschat
from readback import inventory

STACK = "from-sam"
BUCKET = "sams-bucket"
PARAMETERS = ("--parameter-overrides", "Greeting=hello", "Token=secret")
FIXTURE = ROOT / "tests/fixtures/sam-echo"


class App:
    """The app of `tests/fixtures/sam-echo` in a folder: a table, a function whose role SAM makes, a WebSocket API."""

    def __init__(self, folder):
        self.folder = folder
        self.path = folder / "template.yaml"
        shutil.copytree(FIXTURE, folder, dirs_exist_ok=True)

    def edit(self, change):
        document = yaml.safe_load(self.path.read_text())
        change(document)
        self.path.write_text(yaml.safe_dump(document, sort_keys=False))

    def write_code(self, answer: str):
        code = f"exports.handler = async (event) => ({{ statusCode: 200, body: `{answer} ${{event.body}}` }});\n"
        (self.folder / "echo/index.js").write_text(code)


class Talker:
    """A client that says something every tenth of a second, and must be answered every time."""

    def __init__(self, uri: str):
        self.answers = []
        self.socket = connect(uri)
        self.stop = threading.Event()
        self.failure = None
        self.thread = threading.Thread(target=self.talk)

    def talk(self):
        try:
            turn = 0
            while not self.stop.wait(0.1):
                said = json.dumps({"turn": turn})
                self.socket.send(said)
                answer = self.socket.recv(timeout=PATIENCE)
                assert answer.endswith(said), f"{said} was answered: {answer}"
                self.answers.append(answer.removesuffix(said).strip())
                turn += 1
        except Exception as failure:  # noqa: BLE001: told by `__exit__`
            self.failure = failure

    def hears(self, greeting: str):
        """Waits for an answer that begins so."""
        deadline = time.monotonic() + PATIENCE
        while self.answers[-1:] != [greeting]:
            assert self.failure is None and time.monotonic() < deadline, (self.failure, self.answers[-3:])
            time.sleep(0.05)

    def __enter__(self):
        self.thread.start()
        return self

    def __exit__(self, *_):
        self.stop.set()
        self.thread.join()
        with contextlib.suppress(Exception):
            self.socket.close()
        assert self.failure is None, f"after {len(self.answers)} answers: {self.failure}"


def stacks(aws):
    """The names of the stacks that there are."""
    return {stack["StackName"] for stack in aws.client("cloudformation").describe_stacks()["Stacks"]}


def resources(aws, stack):
    """The physical ids of a stack's resources by logical id."""
    pages = aws.client("cloudformation").get_paginator("list_stack_resources").paginate(StackName=stack)
    return {one["LogicalResourceId"]: one["PhysicalResourceId"] for page in pages for one in page["StackResourceSummaries"]}


def output(aws, stack, key):
    (found,) = aws.client("cloudformation").describe_stacks(StackName=stack)["Stacks"]
    return next(one["OutputValue"] for one in found["Outputs"] if one["OutputKey"] == key)


@pytest.fixture
def cloud(tmp_path):
    with LocalCloud(tmp_path / "cloud") as cloud:
        yield cloud


def test_sam_deploys_to_the_local_cloud(cloud, tmp_path):
    """What SAM's command line makes of the article's template: every resource, with CloudFormation's names and tags."""
    aws = cloud.plain
    project = Project(tmp_path / "app")
    aws.client("s3").create_bucket(Bucket=BUCKET)
    sam = Sam(project.folder, aws.url)
    sam.deploy(STACK, BUCKET)
    found = inventory(aws)
    assert [name.rsplit("-", 1)[0] for name in found["tables"]] == [f"{STACK}-Connections"]
    assert len(found["functions"]) == len(found["roles"]) == len(found["log groups"]) == 4
    function = aws.client("lambda").get_function(FunctionName=resources(aws, STACK)["Connect"])
    assert function["Tags"] == {
        "lambda:createdBy": "SAM",
        "aws:cloudformation:stack-name": STACK,
        "aws:cloudformation:stack-id": function["Tags"]["aws:cloudformation:stack-id"],
        "aws:cloudformation:logical-id": "Connect",
    }
    printed = sam.deploy(STACK, BUCKET, "--no-fail-on-empty-changeset")
    assert "No changes to deploy" in printed, printed
    sam("delete", "--stack-name", STACK, "--no-prompts", "--region", "us-east-1")
    assert not any(inventory(aws).values()), inventory(aws)


def test_a_stack_of_sams_is_taken_over_changed_and_handed_back(cloud, tmp_path):
    aws, app = cloud.plain, App(tmp_path / "app")
    aws.client("s3").create_bucket(Bucket=BUCKET)
    sam = Sam(app.folder, aws.url)
    sam.deploy(STACK, BUCKET, *PARAMETERS)
    uri = output(aws, STACK, "Uri")
    before = resources(aws, STACK)
    target = ("--stack", STACK, "--template", app.path, "--endpoint-url", aws.url)
    parameters = ("--parameter", "Token=secret")

    with Talker(uri) as talker:
        talker.hears("hello")
        wschat("adopt", STACK, "--template", app.path, "--endpoint-url", aws.url, *parameters, "--yes", cwd=app.folder)
        assert STACK not in stacks(aws)
        assert wschat("url", "--stack", STACK, "--endpoint-url", aws.url).strip() == uri
        # Nothing is left to do.
        wschat("plan", *target, *parameters, cwd=app.folder)
        app.write_code("changed")
        wschat("up", *target, *parameters, "--yes", cwd=app.folder)
        talker.hears("changed")

        wschat("eject", STACK, "--template", app.path, "--endpoint-url", aws.url, *parameters, "--yes", cwd=app.folder)
        assert STACK in stacks(aws)
        after = resources(aws, STACK)
        for kept in ("Rows", "Echo", "EchoRole", "Api", "Stage"):
            assert after[kept] == before[kept]
        talker.hears("changed")
        printed = sam.deploy(STACK, BUCKET, *PARAMETERS, "--no-fail-on-empty-changeset")
        assert "No changes to deploy" in printed, printed
        talker.hears("changed")


# What ministack's CloudFormation does not have of this, as it says it.
LACKS = {
    "AWS::ApiGatewayV2::Deployment": "Unsupported resource type",
    "AWS::ApiGatewayV2::RouteResponse": "Unsupported resource type",
}


@pytest.fixture
def ministack(tmp_path):
    folder = tmp_path / "ministack"
    folder.mkdir()
    with Ministack(folder) as ministack:
        yield ministack
