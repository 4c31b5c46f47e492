"""Every line of `--json` is an event of docs/json.schema.json, whatever becomes of the command; so are docs/json.md's examples."""

import json
import re
import signal
import subprocess

import pytest
from jsonschema import Draft202012Validator

from harness import PATIENCE, ROOT, WSCHAT, LocalCloud, Project, environment, wschat

SCHEMA = json.loads((ROOT / "docs/json.schema.json").read_text())
STACK = "events"
# The verbs that answer with one event, which is named after them.
ANSWERS = ("plan", "validate", "status", "list")

# A role with a policy that does not exist: IAM refuses to attach it.
REFUSED = """
  Refused:
    Type: AWS::IAM::Role
    DependsOn: Chat
    Properties:
      AssumeRolePolicyDocument:
        Version: "2012-10-17"
        Statement: [{Effect: Allow, Principal: {Service: lambda.amazonaws.com}, Action: sts:AssumeRole}]
      ManagedPolicyArns: [!Sub "arn:aws:iam::${AWS::AccountId}:policy/nobody-has-this-policy"]
"""


# What an event has beside its name; the line as a whole says what else it has.
BODIES = {one["$ref"].rpartition("/")[2] for one in SCHEMA["oneOf"] if "$ref" in one}


def closed(schema):
    """The same schema, in which no object has fields that it does not name: programs ignore new ones, this test does not."""
    if isinstance(schema, list):
        return [closed(item) for item in schema]
    if not isinstance(schema, dict):
        return schema
    inner = {name: closed(value) for name, value in schema.items() if name not in ("oneOf", "$defs")}
    if schema.get("type") == "object" and "properties" in schema:
        inner["unevaluatedProperties"] = False
    inner |= {"oneOf": schema["oneOf"]} if "oneOf" in schema else {}
    return inner | {"$defs": {name: one if name in BODIES else closed(one) for name, one in schema.get("$defs", {}).items()}}


VALIDATOR = Draft202012Validator(closed(SCHEMA))


def check(line: str) -> dict:
    event = json.loads(line)
    problems = [f"{error.json_path}: {error.message}" for error in VALIDATOR.iter_errors(event)]
    assert not problems, f"{line}\n{problems[:3]}"
    return event


class Ran:
    """What `wschat VERB --json` printed: events, all as the schema says, of which the last and no other has the exit code."""

    def __init__(self, code: int, out: str, err: str, verb: str):
        self.code, self.err = code, err
        self.events = [check(line) for line in out.splitlines()]
        assert self.events, err
        assert [event.get("exit_code") for event in self.events] == [None] * (len(self.events) - 1) + [code], (out, err)
        self.last = self.events[-1]
        ends = {"failure"} | ({verb} if verb in ANSWERS else {"result"})
        assert self.last["event"] in ends, self.last

    def names(self) -> set[str]:
        return {event["event"] for event in self.events}


@pytest.fixture
def run(cloud):
    """Runs a verb with --json, and --local unless another place is named."""

    def run(verb: str, *arguments, expect: int, cwd=ROOT, variables: dict = {}) -> Ran:
        place = () if verb == "validate" or "--endpoint-url" in arguments else ("--local", "--data", cloud.data)
        command = [WSCHAT, verb, "--json", *place, *map(str, arguments)]
        ran = subprocess.run(
            command, cwd=cwd, env=environment() | variables, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=PATIENCE
        )
        result = Ran(ran.returncode, ran.stdout, ran.stderr, verb)
        assert result.code == expect, (ran.stdout, ran.stderr)
        return result

    return run


def test_a_stack_comes_and_goes(run, tmp_path):
    project = Project(tmp_path)
    stack = ("--stack", STACK)
    template = (*stack, "--template", project.path)
    assert run("status", *template, expect=3).last["healthy"] is False
    planned = run("plan", *template, expect=2).last
    ran = run("up", *template, "--yes", expect=0)
    assert {"plan", "started", "made", "done", "result"} <= ran.names()
    assert ran.events[0]["digest"] == planned["digest"]
    assert ran.last["uris"] and ran.last["stack"] == STACK
    status = run("status", *template, expect=0).last
    assert status["healthy"] and status["uris"] == ran.last["uris"]
    assert run("plan", *template, expect=0).last["event"] == "plan"
    (listed,) = [one for one in run("list", expect=0).last["stacks"] if one["stack"] == STACK]
    assert listed["uris"] == ran.last["uris"]

    project.write_code("default", "two")
    assert run("up", *template, "--yes", expect=0).last["event"] == "result"
    assert run("down", *stack, "--yes", expect=0).last["retained"] == []
    # What is gone already is no failure.
    assert run("down", *stack, "--yes", expect=0).names() == {"result"}


def test_a_run_that_fails_is_rolled_back(run, tmp_path):
    project = Project(tmp_path)
    project.edit("\nResources:\n", "\nResources:\n" + REFUSED)
    template = ("--stack", "refused", "--template", project.path, "--yes")
    ran = run("up", *template, expect=1)
    assert {"plan", "failed", "rollback", "failure"} <= ran.names()
    (failed,) = [event for event in ran.events if event["event"] == "failed"]
    assert (failed["resource"], failed["call"]["operation"]) == ("Refused", "iam.AttachRolePolicy")
    assert ran.last["error"] == "the deployment failed and was rolled back"
    kept = run("up", *template, "--keep-on-failure", expect=1).last
    assert [hint["command"].split()[:2] for hint in kept["hints"]] == [["wschat", "up"], ["wschat", "down"]]
    run("down", "--stack", "refused", "--yes", expect=0)


def test_problems_are_data(run, tmp_path):
    broken = ROOT / "tests/fixtures/mistakes.yaml"
    found = run("validate", "--template", broken, expect=1).last
    assert found["errors"] == sum(problem["severity"] == "error" for problem in found["problems"]) > 0
    assert {"unknown", "missing", "bad_reference"} <= {problem["kind"] for problem in found["problems"]}
    assert run("validate", expect=0).last["problems"] == []
    for verb in ("plan", "up", "status"):
        failure = run(verb, "--stack", STACK, "--template", broken, expect=1).last
        errors = [problem for problem in found["problems"] if problem["severity"] == "error"]
        kinds = lambda problems: sorted(problem["kind"] for problem in problems)
        assert failure["event"] == "failure" and kinds(failure["problems"]) and set(kinds(failure["problems"])) <= set(kinds(errors))

    name = "taken-by-another-stack"
    template = tmp_path / "template.yaml"
    template.write_text(f"Resources: {{Group: {{Type: AWS::Logs::LogGroup, Properties: {{LogGroupName: {name}}}}}}}")
    run("up", "--stack", "first", "--template", template, expect=0)
    failure = run("up", "--stack", "second", "--template", template, expect=1).last
    (problem,) = failure["problems"]
    assert (problem["kind"], problem["message"]) == ("foreign", failure["error"])
    run("down", "--stack", "first", "--yes", expect=0)


def test_whatever_else_stops_a_command_is_a_failure(run, tmp_path):
    project = Project(tmp_path)
    template = ("--template", project.path)
    nothing = tmp_path / "nothing"
    nothing.mkdir()
    for verb, *arguments in (
        ("up", "--stack", STACK, "--template", "nowhere.yaml"),
        ("up",),
        ("validate",),
        ("up", "--stack", STACK, *template, "--plan", "000000000000"),
        ("plan", "--stack", STACK, *template, "--endpoint-url", "http://127.0.0.1:1"),
        ("list", "--endpoint-url", "http://127.0.0.1:1"),
        ("list", "--endpoint-url", "http://127.0.0.1:1", "--profile", "nobody"),
    ):
        failure = run(verb, *arguments, expect=1, cwd=nothing).last
        assert failure["event"] == "failure" and failure["error"], failure
    # A region that nobody gave, with a way out.
    nowhere = {"AWS_REGION": "", "AWS_DEFAULT_REGION": ""}
    assert run("list", "--endpoint-url", "http://127.0.0.1:1", expect=1, variables=nowhere).last["hints"]

    run("up", "--stack", STACK, *template, "--yes", expect=0)
    # Nobody is there to agree.
    assert run("down", "--stack", STACK, expect=1).last["event"] == "failure"
    run("down", "--stack", STACK, "--yes", expect=0)


def test_an_interrupted_run_ends_with_a_failure(tmp_path):
    (tmp_path / "slow.toml").write_text("[latency_ms]\ndefault = 120\n")
    project = Project(tmp_path)
    cloud = LocalCloud(tmp_path)
    subprocess.run(
        [WSCHAT, "local", "start", "--port", "0", "--data", cloud.data, "--conditions", tmp_path / "slow.toml"],
        env=environment(), check=True, timeout=PATIENCE, capture_output=True,
    )
    try:
        for presses in (1, 2):
            command = [WSCHAT, "up", "--json", "--local", "--data", cloud.data, "--stack", STACK, "--template", project.path, "--yes"]
            process = subprocess.Popen(
                command, cwd=tmp_path, env=environment(), stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
            )
            lines = []
            for line in process.stdout:
                lines.append(line)
                if check(line)["event"] == "started":
                    break
            process.send_signal(signal.SIGINT)
            if presses == 2:
                # The second one counts from when the first is heard.
                for line in process.stderr:
                    if "Stopping" in line:
                        break
                process.send_signal(signal.SIGINT)
            # Not `communicate`, which loses what these files have buffered.
            out, err = process.stdout.read(), process.stderr.read()
            process.wait(PATIENCE)
            ran = Ran(process.returncode, "".join(lines) + out, err, "up")
            assert (ran.code, ran.last["event"]) == (130, "failure"), ran.last
    finally:
        cloud.__exit__()


def test_the_documentation_names_the_events_and_shows_real_ones():
    text = (ROOT / "docs/json.md").read_text()
    events = {one["properties"]["event"]["const"] for one in SCHEMA["oneOf"]}
    documented = re.findall(r"^### `(\w+)`$", text, re.MULTILINE)
    assert sorted(documented) == sorted(events)
    examples = re.findall(r"^```json\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)
    assert {check(example)["event"] for example in examples} == events


def test_an_unknown_event_or_field_would_be_found():
    for line in ('{"event": "unheard_of"}', '{"event": "failure"}'):
        with pytest.raises(AssertionError):
            check(line)
    failure = {"event": "failure", "error": "", "causes": [], "problems": [], "hints": [], "exit_code": 1}
    check(json.dumps(failure))
    for wrong in ({"new": 1}, {"hints": [{"text": "", "command": None, "new": 1}]}, {"exit_code": "1"}):
        with pytest.raises(AssertionError):
            check(json.dumps(failure | wrong))


@pytest.mark.parametrize(
    ("arguments", "expect", "names"),
    [
        (("env",), 0, ["env"]),
        (("policy", "--down", "--local", "--stack", "nowhere"), 0, ["policy"]),
        (("local", "start"), 0, ["local"]),
        (("local", "status"), 0, ["local"]),
        (("local", "--data", "nowhere", "status"), 3, ["local"]),
        (("local", "--data", "nowhere", "stop"), 0, ["local_stopped"]),
        (("local", "--data", "nowhere", "reset", "--yes"), 0, ["local_reset"]),
        (("local", "reset"), 1, ["failure"]),
        (("local", "logs"), 0, ["local_log", "local_logs"]),
        (("local", "logs", "--calls"), 0, ["local_call", "local_logs"]),
        (("completions", "bash"), 0, ["completions"]),
        (("man", "man"), 0, ["man"]),
    ],
    ids=lambda value: "-".join(value) if isinstance(value, tuple) else None,
)
def test_commands_without_a_stack_answer_with_events(cloud, tmp_path, arguments, expect, names):
    cloud.plain.client("sts").get_caller_identity()
    place = () if "--data" in arguments or arguments[0] in ("completions", "man") else ("--data", cloud.data)
    printed = wschat(*arguments, *place, "--json", cwd=tmp_path, expect=expect)
    events = [check(line) for line in printed.splitlines()]
    assert sorted({event["event"] for event in events}) == names
    assert [event.get("exit_code") for event in events] == [None] * (len(events) - 1) + [expect]
