"""wschat against an AWS emulator that nobody here wrote: it provisions what the template says, and no call too much."""

import json

import pytest

from harness import Endpoint, LocalCloud, Ministack, Project, wschat
from proxy import RecordingProxy
from readback import assert_as_described, inventory
from wire import read

STACK = "stranger"


@pytest.fixture(scope="module", params=[Ministack, LocalCloud])
def emulator(request, tmp_path_factory):
    """ministack, and the local cloud to the same standard."""
    with request.param(tmp_path_factory.mktemp("emulator")) as emulator, RecordingProxy(emulator.port) as proxy:
        yield proxy


def calls(proxy):
    return [read(exchange) for exchange in proxy.take()]


def mutations(proxy):
    return [call.operation for call in calls(proxy) if call.mutates]


def test_a_stack_comes_changes_and_goes(emulator, tmp_path):
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
    assert mutations(emulator) == [], "a second up changes nothing, and plan sees nothing to change"

    project.edit("RouteKey: sendmessage", "RouteKey: say")
    wschat("plan", *target, *template, expect=2)
    assert mutations(emulator) == [], "a plan reads"
    wschat("up", *target, *template, "--yes")
    changed = mutations(emulator)
    assert changed.count("CreateDeployment") == 1
    assert changed.index("CreateRoute") < changed.index("CreateDeployment") < changed.index("UpdateStage")
    assert sorted(changed) == ["CreateDeployment", "CreateRoute", "DeleteDeployment", "DeleteRoute", "UpdateStage"]
    assert_as_described(aws, project.path, STACK, uri)
    emulator.take()
    wschat("up", *target, *template)
    wschat("plan", *target, *template)
    assert mutations(emulator) == [], "and the next one has nothing to do again"

    project.write_code("connect", "two")
    wschat("up", *target, *template)
    assert mutations(emulator) == ["UpdateFunctionCode"]

    aws.client("logs").create_log_group(logGroupName=f"/aws/lambda/{STACK}-foreign")
    before["log groups"].append(f"/aws/lambda/{STACK}-foreign")
    wschat("down", *target, "--yes")
    assert inventory(aws) == before, "all that was the stack's is gone, and nothing else"
    emulator.take()
    wschat("down", *target, "--yes")
    assert mutations(emulator) == []
    wschat("status", *target, *template, expect=3)


def test_what_policy_prints_is_enough(tmp_path):
    """With ministack's own check of policies on, and a role that has just what `wschat policy` printed."""
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

        # ministack asks for these on all resources, where AWS asks for them on the one at hand.
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
        # It lets everybody pass any role.
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
