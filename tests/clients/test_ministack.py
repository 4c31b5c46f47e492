"""wschat against an AWS emulator that nobody here wrote: it provisions what the template says, and no call too much."""

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
    assert mutations(emulator) == [], "a second up changes nothing"

    project.edit("RouteKey: sendmessage", "RouteKey: say")
    wschat("up", *target, *template, "--yes")
    changed = mutations(emulator)
    assert changed.count("CreateDeployment") == 1
    assert changed.index("CreateRoute") < changed.index("CreateDeployment") < changed.index("UpdateStage")
    assert sorted(changed) == ["CreateDeployment", "CreateRoute", "DeleteDeployment", "DeleteRoute", "UpdateStage"]
    assert_as_described(aws, project.path, STACK, uri)
    emulator.take()
    wschat("up", *target, *template)
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
