"""wschat against a third-party AWS emulator: it creates the template's resources without a superfluous call."""

import base64
import hashlib
import io
import json
import zipfile

import pytest

from harness import Endpoint, LocalCloud, Ministack, Project, wschat
from proxy import RecordingProxy
from readback import assert_as_described, inventory
from wire import read

STACK = "stranger"


@pytest.fixture(scope="module", params=[Ministack, LocalCloud])
def emulator(request, tmp_path_factory):
    """ministack, and the local cloud for comparison."""
    with request.param(tmp_path_factory.mktemp("emulator")) as emulator, RecordingProxy(emulator.port) as proxy:
        yield proxy


def calls(proxy):
    return [read(exchange) for exchange in proxy.take()]


def mutations(proxy):
    return [call.operation for call in calls(proxy) if call.mutates]


def test_a_stack_is_deployed_updated_and_deleted(emulator, tmp_path):
    aws = Endpoint(emulator.url)
    before = inventory(aws)
    project = Project(tmp_path)
    target = ("--stack", STACK, "--endpoint-url", emulator.url, "--data", tmp_path / ".wschat/local")
    template = ("--template", project.path)

    uri = wschat("up", *target, *template).strip()
    assert_as_described(aws, project.path, STACK, uri)
    assert wschat("url", *target).strip() == uri
    wschat("status", *target, *template)

    emulator.take()
    assert wschat("up", *target, *template).strip() == uri
    wschat("plan", *target, *template)
    assert mutations(emulator) == [], "a second up makes no changes, and plan finds none"

    project.edit("RouteKey: sendmessage", "RouteKey: say")
    wschat("plan", *target, *template, expect=2)
    assert mutations(emulator) == [], "a plan only reads"
    wschat("up", *target, *template, "--yes")
    changed = mutations(emulator)
    assert changed.count("CreateDeployment") == 1
    assert changed.index("CreateRoute") < changed.index("CreateDeployment") < changed.index("UpdateStage")
    assert sorted(changed) == ["CreateDeployment", "CreateRoute", "DeleteDeployment", "DeleteRoute", "UpdateStage"]
    assert_as_described(aws, project.path, STACK, uri)
    emulator.take()
    wschat("up", *target, *template)
    wschat("plan", *target, *template)
    assert mutations(emulator) == [], "the next up makes no changes"

    project.write_code("connect", "two")
    wschat("up", *target, *template)
    assert mutations(emulator) == ["UpdateFunctionCode"]

    aws.client("logs").create_log_group(logGroupName=f"/aws/lambda/{STACK}-foreign")
    before["log groups"].append(f"/aws/lambda/{STACK}-foreign")
    wschat("down", *target, "--yes")
    assert inventory(aws) == before, "exactly the stack's resources are deleted"
    emulator.take()
    wschat("down", *target, "--yes")
    assert mutations(emulator) == []
    wschat("status", *target, *template, expect=3)


def test_the_printed_policy_is_sufficient(tmp_path):
    """ministack enforces IAM, and the role only has the policy that `wschat policy` printed."""
    with Ministack(tmp_path, auth=True) as ministack:
        url = f"http://127.0.0.1:{ministack.port}"
        aws = Endpoint(url)
        account = aws.client("sts").get_caller_identity()["Account"]
        trust = {"Effect": "Allow", "Principal": {"AWS": f"arn:aws:iam::{account}:root"}, "Action": "sts:AssumeRole"}
        trust = {"Version": "2012-10-17", "Statement": [trust]}
        iam = aws.client("iam")
        role = iam.create_role(RoleName="deployer", AssumeRolePolicyDocument=json.dumps(trust))["Role"]["Arn"]
        folder = tmp_path / "project"
        folder.mkdir()
        project = Project(folder)
        target = ("--stack", STACK, "--endpoint-url", url, "--data", tmp_path / ".wschat/local")
        template = ("--template", project.path)

        # ministack requires these for all resources, AWS only for the resource of the call.
        unscoped = ["dynamodb:ListTagsOfResource", "lambda:CreateFunction"]
        unscoped = {"Effect": "Allow", "Action": unscoped, "Resource": "*"}

        def grant(policy):
            document = policy | {"Statement": [*policy["Statement"], unscoped]}
            iam.put_role_policy(RoleName="deployer", PolicyName="all", PolicyDocument=json.dumps(document))

        def session():
            keys = aws.client("sts").assume_role(RoleArn=role, RoleSessionName="me")["Credentials"]
            return {
                "AWS_ACCESS_KEY_ID": keys["AccessKeyId"],
                "AWS_SECRET_ACCESS_KEY": keys["SecretAccessKey"],
                "AWS_SESSION_TOKEN": keys["SessionToken"],
            }

        def policy(*flags):
            return json.loads(wschat("policy", *target, *flags))

        needed = policy(*template)
        # ministack does not check iam:PassRole.
        checked = [statement for statement in needed["Statement"] if statement["Action"] != ["iam:PassRole"]]
        for statement in checked:
            grant(needed | {"Statement": [other for other in needed["Statement"] if other != statement]})
            wschat("up", *target, *template, "--yes", expect=1, credentials=session())
            wschat("down", *target, "--yes")

        grant(needed)
        wschat("up", *target, *template, "--yes", credentials=session())
        grant(policy(*template))
        wschat("up", *target, *template, "--yes", credentials=session())

        project.edit("RouteKey: sendmessage", "RouteKey: say")
        project.write_code("connect", "two")
        grant(policy(*template))
        wschat("up", *target, *template, "--yes", credentials=session())

        grant(policy("--down"))
        wschat("down", *target, "--yes", credentials=session())
        wschat("status", *target, *template, expect=3)


CODE_IN_S3 = """
Transform: AWS::Serverless-2016-10-31
Resources:
  Words: { Type: AWS::Serverless::LayerVersion, Properties: { ContentUri: "s3://zips/a layer", RetentionPolicy: Delete } }
  Echo:
    Type: AWS::Serverless::Function
    Properties: { CodeUri: "s3://zips/some/code+here", Handler: app.handler, Runtime: python3.12, Layers: [!Ref Words] }
"""


def test_code_is_fetched_from_s3(tmp_path):
    """ministack verifies signatures, those of S3, too."""
    with Ministack(tmp_path, auth=True) as ministack:
        url = f"http://127.0.0.1:{ministack.port}"
        aws = Endpoint(url)
        s3 = aws.client("s3")
        s3.create_bucket(Bucket="zips")

        def put(key, name, text):
            packed = io.BytesIO()
            with zipfile.ZipFile(packed, "w") as archive:
                archive.writestr(name, text)
            s3.put_object(Bucket="zips", Key=key, Body=packed.getvalue())
            return base64.b64encode(hashlib.sha256(packed.getvalue()).digest()).decode()

        first = put("some/code+here", "app.py", "def handler(event, context): return 1")
        content = put("a layer", "python/words.py", "ONE = 1")
        template = tmp_path / "s3.yaml"
        template.write_text(CODE_IN_S3)
        target = ("--stack", STACK, "--endpoint-url", url, "--data", tmp_path / ".wschat/local")
        wschat("up", *target, "--template", template, "--yes")
        client = aws.client("lambda")
        echo = next(one for one in client.list_functions()["Functions"] if one["FunctionName"].startswith(f"{STACK}-Echo-"))
        assert echo["CodeSha256"] == first
        [layer] = echo["Layers"]
        assert client.get_layer_version_by_arn(Arn=layer["Arn"])["Content"]["CodeSha256"] == content
        second = put("some/code+here", "app.py", "def handler(event, context): return 2")
        wschat("up", *target, "--template", template, "--yes")
        assert client.get_function_configuration(FunctionName=echo["FunctionName"])["CodeSha256"] == second
        wschat("down", *target, "--yes")
        assert client.list_layer_versions(LayerName="Words")["LayerVersions"] == []
