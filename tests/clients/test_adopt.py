"""The way from SAM and back: SAM's command line deploys, wschat takes the stack over, changes it and hands it back, SAM goes on.

On wschat's own local cloud all of it, with a client that never stops talking. On ministack, which is another project's, the way over of what
has no API; what it lacks for the rest is tested, too.
"""

import contextlib
import json
import shutil
import threading
import time

import pytest
import yaml
from botocore.exceptions import ClientError

from harness import PATIENCE, ROOT, Endpoint, LocalCloud, Ministack, Project, Sam, connect, wschat
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
        self.closing = contextlib.ExitStack()
        self.socket = self.closing.enter_context(connect(uri))
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
        self.closing.close()
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


def revision_of(aws, function):
    """What changes with every change of a function."""
    return aws.client("lambda").get_function_configuration(FunctionName=function)["RevisionId"]


@pytest.fixture
def cloud(tmp_path):
    with LocalCloud(tmp_path / "cloud") as cloud:
        yield cloud


def test_sam_deploys_to_the_local_cloud(cloud, tmp_path):
    """What SAM's command line makes of the article's template: every resource, with CloudFormation's names and tags."""
    aws = cloud.plain
    project = Project(tmp_path)
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
        wschat("adopt", STACK, *target[2:], *parameters, "--yes", cwd=app.folder)
        assert STACK not in stacks(aws)
        assert wschat("url", "--stack", STACK, "--endpoint-url", aws.url).strip() == uri
        # Nothing is left to do.
        wschat("plan", *target, *parameters, cwd=app.folder)
        app.write_code("changed")
        wschat("up", *target, *parameters, "--yes", cwd=app.folder)
        talker.hears("changed")

        wschat("eject", STACK, *target[2:], *parameters, "--bucket", BUCKET, "--yes", cwd=app.folder)
        assert STACK in stacks(aws)
        after = resources(aws, STACK)
        for kept in ("Rows", "Echo", "EchoRole", "Api", "Stage"):
            assert after[kept] == before[kept]
        talker.hears("changed")

        # SAM goes on: it takes back the policies of deletion that an import demands, adds its metadata, and touches no resource.
        revision = revision_of(aws, after["Echo"])
        sam.deploy(STACK, BUCKET, *PARAMETERS)
        assert resources(aws, STACK) == after and revision_of(aws, after["Echo"]) == revision
        printed = sam.deploy(STACK, BUCKET, *PARAMETERS, "--no-fail-on-empty-changeset")
        assert "No changes to deploy" in printed, printed
        talker.hears("changed")


@pytest.fixture(scope="module")
def ministack(tmp_path_factory):
    with Ministack(tmp_path_factory.mktemp("ministack")) as ministack:
        endpoint = Endpoint(f"http://127.0.0.1:{ministack.port}")
        endpoint.client("s3").create_bucket(Bucket=BUCKET)
        yield endpoint


# What ministack lacks of the way: types that its CloudFormation does not make, and those that it does not import.
UNKNOWN_TYPES = ["AWS::ApiGatewayV2::Deployment", "AWS::ApiGatewayV2::RouteResponse"]
NOT_IMPORTED = {
    "AWS::ApiGatewayV2::Api": ["ApiId"],
    "AWS::ApiGatewayV2::Integration": ["ApiId", "IntegrationId"],
    "AWS::ApiGatewayV2::Route": ["ApiId", "RouteId"],
    "AWS::ApiGatewayV2::Stage": ["ApiId", "StageName"],
    "AWS::Lambda::Permission": ["FunctionName", "Id"],
}


def test_what_ministack_lacks(ministack, tmp_path):
    """Why APIs and the way back are tried on the local cloud alone. Where this fails, ministack has got it: then the test below can go on."""
    app = App(tmp_path / "app")
    printed = Sam(app.folder, ministack.url).deploy("unknown-types", BUCKET, *PARAMETERS, expect=1)
    assert f"Unrecognized resource types: [{', '.join(UNKNOWN_TYPES)}]" in printed, printed

    # Tags that TagResource sets are in GetTags alone, and GetApis shows those that the API began with.
    gateway = ministack.client("apigatewayv2")
    api = gateway.create_api(Name="tagged", ProtocolType="WEBSOCKET", RouteSelectionExpression="$request.body.action", Tags={"a": "1"})
    arn = f"arn:aws:apigateway:us-east-1::/apis/{api['ApiId']}"
    gateway.tag_resource(ResourceArn=arn, Tags={"b": "2"})
    assert "b" in gateway.get_tags(ResourceArn=arn)["Tags"] and "b" not in gateway.get_api(ApiId=api["ApiId"])["Tags"]

    cloudformation = ministack.client("cloudformation")
    with pytest.raises(ClientError) as refused:
        cloudformation.describe_type(Type="RESOURCE", TypeName="AWS::ApiGatewayV2::Stage")
    assert refused.value.response["Error"]["Code"] == "InvalidAction"
    for number, (type_name, identifier) in enumerate(NOT_IMPORTED.items()):
        template = {"Resources": {"It": {"Type": type_name, "DeletionPolicy": "Retain", "Properties": {}}}}
        it = {"ResourceType": type_name, "LogicalResourceId": "It", "ResourceIdentifier": dict.fromkeys(identifier, "x")}
        made = cloudformation.create_change_set(
            StackName=f"import-{number}", ChangeSetName="import", ChangeSetType="IMPORT", TemplateBody=json.dumps(template),
            ResourcesToImport=[it],
        )
        found = cloudformation.describe_change_set(ChangeSetName=made["Id"])
        assert found["StatusReason"] == f"Resource import is not supported by this emulator for {type_name}", found


def test_a_stack_that_sam_made_on_ministack_is_taken_over(ministack, tmp_path):
    """Without the API, for what `test_what_ministack_lacks` says: a table, a function and the role that SAM makes for it."""
    app = App(tmp_path / "app")

    def without_api(document):
        document["Resources"] = {name: document["Resources"][name] for name in ("Rows", "Echo")}
        del document["Outputs"]

    app.edit(without_api)
    Sam(app.folder, ministack.url).deploy(STACK, BUCKET, *PARAMETERS)
    function = resources(ministack, STACK)["Echo"]
    before = inventory(ministack)
    target = ("--stack", STACK, "--template", app.path, "--endpoint-url", ministack.url, "--parameter", "Token=secret")

    def code():
        return ministack.client("lambda").get_function_configuration(FunctionName=function)["CodeSha256"]

    wschat("adopt", STACK, *target[2:], "--yes", cwd=app.folder)
    assert STACK not in stacks(ministack)
    assert inventory(ministack) == before, "the table, the role and the function are those that SAM made"
    wschat("plan", *target, cwd=app.folder)
    old = code()
    app.write_code("changed")
    wschat("up", *target, "--yes", cwd=app.folder)
    assert code() != old and inventory(ministack) == before
