"""`benches/floor` against computations by hand."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

FLOOR = Path(__file__).resolve().parent.parent.parent / "benches/floor"
API, ROUTE, INTEGRATION = (f"AWS::ApiGatewayV2::{name}" for name in ("Api", "Route", "Integration"))
DEPLOYMENT, STAGE = "AWS::ApiGatewayV2::Deployment", "AWS::ApiGatewayV2::Stage"
ROLE, FUNCTION, PERMISSION = "AWS::IAM::Role", "AWS::Lambda::Function", "AWS::Lambda::Permission"
TABLE = "AWS::DynamoDB::Table"


def step(type_name, after=(), action="create"):
    return {"action": action, "type": type_name, "resource": type_name.rsplit("::")[-1], "after": list(after)}


def chat():
    """The chat stack: four routes, each with its function, role and permission."""
    steps = [step(API), step(TABLE)]
    routes = []
    for _ in range(4):
        at = len(steps)
        # The planner's own edges (a function after the table) count for nothing.
        steps += [step(ROLE), step(FUNCTION, [at, 1]), step(PERMISSION, [at + 1, 0])]
        steps += [step(INTEGRATION, [0]), step(ROUTE, [0, at + 3])]
        routes.append(at + 4)
    return [*steps, step(DEPLOYMENT, [0, *routes]), step(STAGE, [0, len(steps)])]


def floor(steps, *options, conditions=None, tmp_path=None):
    if conditions is not None:
        file = tmp_path / "conditions.toml"
        file.write_text(conditions)
        options += ("--conditions", str(file))
    plan = "a line that is no JSON\n" + json.dumps({"event": "plan", "steps": steps})
    command = [sys.executable, str(FLOOR), "--json", *options]
    return json.loads(subprocess.run(command, input=plan, check=True, capture_output=True, text=True).stdout)


def test_the_chat_stack_under_the_projects_conditions():
    # Who calls 0.06, CreateRole 0.3, 9.0 until it can be assumed, 1.5 of Pending beside the answer's 0.7, and one read, 0.08.
    found = floor(chat())
    assert found["floor"] == pytest.approx(0.06 + 0.3 + 9.0 + 1.5 + 0.08)
    assert found["floor"] == pytest.approx(11.0, abs=0.1)
    assert found["by"] == "chain" and [name for name, _ in found["chain"]] == ["who calls", "Role", "Function"]


def test_code_that_takes_longer_than_the_role_decides():
    # 40 MB over 20 Mbit/s are 16 s; then Pending and the read.
    found = floor(chat(), "--upload", str(40_000_000))
    assert found["by"] == "uplink" and found["floor"] == pytest.approx(0.06 + 16 + 1.5 + 0.08)


def test_a_quota_decides_where_there_are_many_routes():
    routes = [step(ROUTE, [0]) for _ in range(240)]
    # The API's own call apart, 240 calls: 40 at once, 200 at ten a second, and the last one's own 0.15.
    found = floor([step(API), *routes])
    assert found["by"] == "quota apigatewayv2.*"
    assert found["floor"] == pytest.approx(0.06 + 0.25 + 20 + 0.15)


def test_what_is_kept_takes_no_time(tmp_path):
    conditions = '[latency_ms]\ndefault = 100\n"dynamodb.*" = 1000\n[eventual_s]\ntable_deleting = 5'
    kept = [step(ROLE, action="keep"), step(FUNCTION, [0], action="update")]
    assert floor(kept, conditions=conditions, tmp_path=tmp_path)["floor"] == pytest.approx(0.2)
    gone = [step(TABLE, action="delete"), step(ROUTE, action="delete")]
    assert floor(gone, conditions=conditions, tmp_path=tmp_path)["floor"] == pytest.approx(0.1 + 1 + 5 + 1)
    assert floor([], conditions=conditions, tmp_path=tmp_path)["floor"] == pytest.approx(0.1)


def test_without_a_plan_it_says_what_to_do():
    done = subprocess.run([sys.executable, str(FLOOR)], input="", capture_output=True, text=True)
    assert done.returncode == 1 and "wschat plan --json" in done.stderr
