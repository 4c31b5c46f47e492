"""Measures wschat under docs/aws-conditions.toml: the chat stack, and growing stacks. Rivals are measured by benches/rivals.

Prints Markdown. Every cloud is started for its measurement and stopped after it; only loopback is used.
"""

import argparse
import itertools
import json
import math
import os
import re
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parent.parent
CONDITIONS = REPOSITORY / "docs/aws-conditions.toml"
FLOOR = REPOSITORY / "benches/floor"
BINARY = str(Path(os.environ["WSCHAT_BIN"]).resolve())
THROTTLES = ["TooManyRequestsException", "ThrottlingException", "Throttling"]


class Cloud:
    """A local cloud under the project's conditions, with a working folder. `chance`: that changes of one API collide, if not the file's."""

    def __init__(self, scratch, chance=None, buffers_bodies=False):
        self.data = Path(scratch) / "local"
        self.chance = chance
        self.buffers_bodies = buffers_bodies

    def __enter__(self):
        # The cache of builds is beside the data folder: it may exist already, and is kept.
        self.data.parent.mkdir(parents=True, exist_ok=True)
        conditions = CONDITIONS
        if self.chance is not None or self.buffers_bodies:
            text = CONDITIONS.read_text()
            if self.chance is not None:
                text = re.sub(r"^apigatewayv2_same_api = .*", f"apigatewayv2_same_api = {self.chance}", text, flags=re.MULTILINE)
            if self.buffers_bodies:
                text = text.replace("[link]", "[link]\nbuffers_bodies = true", 1)
            conditions = self.data.parent / "conditions.toml"
            conditions.write_text(text)
        self.verb("local", "start", "--open", "--port", "0", "--conditions", str(conditions))
        self.port = json.loads((self.data / "process.json").read_text())["port"]
        return self

    def __exit__(self, *_):
        self.verb("local", "stop")
        shutil.rmtree(self.data, ignore_errors=True)

    @property
    def endpoint(self):
        return f"http://127.0.0.1:{self.port}"

    def verb(self, *arguments, folder=REPOSITORY, expected=(0,)):
        """Runs wschat, which must end with an expected exit code; returns its stderr, its time in seconds, and its peak memory in bytes."""
        environment = {name: value for name, value in os.environ.items() if not name.startswith("AWS_")}
        environment |= {
            "WSCHAT_LOCAL_DIR": str(self.data),
            "AWS_ACCESS_KEY_ID": "local",
            "AWS_SECRET_ACCESS_KEY": "local",
            "AWS_REGION": "us-east-1",
        }
        with tempfile.TemporaryFile("w+") as output:
            begun = time.monotonic()
            child = subprocess.Popen(
                [BINARY, *arguments], cwd=folder, env=environment, stdin=subprocess.DEVNULL, stdout=output, stderr=output
            )
            _, status, usage = os.wait4(child.pid, 0)
            child.returncode = os.waitstatus_to_exitcode(status)
            seconds = time.monotonic() - begun
            output.seek(0)
            text = output.read()
        if child.returncode not in expected:
            sys.exit(f"wschat {' '.join(arguments)} ended with {child.returncode}:\n{text}")
        return text, seconds, usage.ru_maxrss * 1024

    def stack(self, verb, *arguments, **options):
        return self.verb(verb, "--stack", "bench", "--endpoint-url", self.endpoint, *arguments, **options)

    def calls(self):
        lines = (self.data / "calls.jsonl").read_text().splitlines()
        return [json.loads(line) for line in lines]


def account(text):
    """The output of --timings: makespan, schedule."""
    number = lambda words: float(re.search(words + r" ([0-9.]+)", text).group(1))
    return number("Makespan"), number("Schedule")


def floor(plan, upload=0):
    """What `benches/floor` says of a plan (the output of a command with --json), in seconds."""
    command = [sys.executable, str(FLOOR), "--json", "--conditions", str(CONDITIONS), "--upload", str(upload)]
    done = subprocess.run(command, input=plan, check=True, capture_output=True, text=True)
    return json.loads(done.stdout)["floor"]


def middle(values, digits=2):
    spread = f" ({min(values):.{digits}f} to {max(values):.{digits}f})" if len(values) > 1 else ""
    return f"{statistics.median(values):.{digits}f}{spread}"


def chat(scratch, times):
    rows = {name: [] for name in ["cold `up`", "`up` with nothing to do", "`status`", "`down`"]}
    buffered, floors = [], {}
    for _ in range(times):
        with Cloud(scratch) as cloud:
            plan = cloud.stack("plan", "--json", expected=(2,))[0]
            rows["cold `up`"].append(account(cloud.stack("up", "--yes", "--timings")[0]))
            rows["`up` with nothing to do"].append((cloud.stack("up", "--yes")[1],))
            rows["`status`"].append((cloud.stack("status")[1],))
            rows["`down`"].append(account(cloud.stack("down", "--yes", "--timings")[0]))
        # base64 makes four bytes of three.
        upload = sum(path.stat().st_size for path in newest_zips(Path(scratch) / "build")) * 4 // 3
        floors = {"cold `up`": floor(plan, upload), "`down`": floor(reversed_plan(plan))}
        with Cloud(scratch, buffers_bodies=True) as cloud:
            buffered.append(account(cloud.stack("up", "--yes", "--timings")[0]))
    print("| the chat stack, 28 resources | makespan, s | schedule, s | floor, s | makespan / floor |")
    print("|---|---|---|---|---|")
    rows |= {"cold `up` through a proxy that passes on whole requests": buffered}
    for name, found in rows.items():
        columns = [middle([one[index] for one in found]) if len(found[0]) > index else "" for index in (0, 1)]
        least = floors.get(name)
        columns += [f"{least:.2f}", f"{statistics.median(one[0] for one in found) / least:.2f}"] if least else ["", ""]
        print(f"| {name} | {' | '.join(columns)} |")


def newest_zips(build):
    """The zip of each handler that was built last."""
    newest = {}
    for path in sorted(build.glob("*.zip"), key=lambda path: path.stat().st_mtime):
        newest[re.sub(r"-[0-9a-f]{16}-.*", "", path.name)] = path
    return newest.values()


def reversed_plan(plan):
    """The plan that deletes what another one creates."""
    events = [json.loads(line) for line in plan.splitlines() if line.startswith("{")]
    [event] = [event for event in events if event["event"] == "plan"]
    steps = [step | {"action": "delete", "after": []} for step in event["steps"]]
    return json.dumps(event | {"steps": steps})


def grown(folder, count):
    """A template with `count` routes, each with its own function."""
    bootstrap = folder / "code/bootstrap"
    bootstrap.parent.mkdir(parents=True)
    bootstrap.write_text("#!/bin/sh\nexit 1\n")
    bootstrap.chmod(0o755)
    trust = {"Effect": "Allow", "Principal": {"Service": "lambda.amazonaws.com"}, "Action": "sts:AssumeRole"}
    resources = {
        "Role": {"Type": "AWS::IAM::Role", "Properties": {"AssumeRolePolicyDocument": {"Statement": trust}}},
        "Api": {
            "Type": "AWS::ApiGatewayV2::Api",
            "Properties": {
                "Name": "bench",
                "ProtocolType": "WEBSOCKET",
                "RouteSelectionExpression": "$request.body.action",
            },
        },
    }
    api = {"ApiId": {"Ref": "Api"}}
    for number in range(count):
        resources[f"F{number}"] = {
            "Type": "AWS::Lambda::Function",
            "Properties": {
                "Role": {"Fn::GetAtt": "Role.Arn"},
                "Runtime": "provided.al2023",
                "Handler": "bootstrap",
                "Code": "code",
            },
        }
        uri = "arn:aws:apigateway:${AWS::Region}:lambda:path/2015-03-31/functions/${F%d.Arn}/invocations" % number
        resources[f"I{number}"] = {
            "Type": "AWS::ApiGatewayV2::Integration",
            "Properties": {**api, "IntegrationType": "AWS_PROXY", "IntegrationUri": {"Fn::Sub": uri}},
        }
        target = {"Fn::Sub": "integrations/${I%d}" % number}
        resources[f"R{number}"] = {
            "Type": "AWS::ApiGatewayV2::Route",
            "Properties": {**api, "RouteKey": f"key{number}", "Target": target},
        }
        source = "arn:aws:execute-api:${AWS::Region}:${AWS::AccountId}:${Api}/*/key%d" % number
        resources[f"P{number}"] = {
            "Type": "AWS::Lambda::Permission",
            "Properties": {
                "Action": "lambda:InvokeFunction",
                "FunctionName": {"Ref": f"F{number}"},
                "Principal": "apigateway.amazonaws.com",
                "SourceArn": {"Fn::Sub": source},
            },
        }
    resources["Deployment"] = {"Type": "AWS::ApiGatewayV2::Deployment", "Properties": api}
    resources["Stage"] = {
        "Type": "AWS::ApiGatewayV2::Stage",
        "Properties": {**api, "StageName": "live", "DeploymentId": {"Ref": "Deployment"}},
    }
    (folder / "template.json").write_text(json.dumps({"Resources": resources}))


def growth(scratch, sizes, chances, times):
    print()
    print(
        "| routes and functions | resources | chance of a collision | calls | collisions | throttled | makespan, s | floor, s |"
        " makespan / floor | memory, MB |"
    )
    print("|---|---|---|---|---|---|---|---|---|---|")
    for count, chance in itertools.product(sizes, chances):
        folder = Path(scratch) / f"grown-{count}"
        if not folder.exists():
            grown(folder, count)
        makespans, memories, calls, collisions, throttled = [], [], [], [], []
        for _ in range(times):
            with Cloud(Path(scratch) / f"cloud-{count}", chance) as cloud:
                plan = cloud.stack("plan", "--json", folder=folder, expected=(2,))[0]
                before = len(cloud.calls())
                text, _, memory = cloud.stack("up", "--yes", "--timings", folder=folder)
                made = cloud.calls()[before:]
            makespans.append(account(text)[0])
            memories.append(memory / 1e6)
            calls.append(len(made))
            collisions.append(sum(call.get("code") == "ConflictException" for call in made))
            throttled.append(sum(call.get("code") in THROTTLES for call in made))
        least = floor(plan)
        print(
            f"| {count} | {4 * count + 4} | {chance} | {middle(calls, 0)} | {middle(collisions, 0)} | {middle(throttled, 0)} |"
            f" {middle(makespans, 1)} | {least:.1f} | {statistics.median(makespans) / least:.2f} | {math.ceil(max(memories))} |",
            flush=True,
        )


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--times", type=int, default=3, help="how often the chat stack goes up and down (3)")
    parser.add_argument("--sizes", type=int, nargs="*", default=[10, 50, 200], help="of the growing stack (10 50 200)")
    parser.add_argument("--chances", type=float, nargs="*", default=[0.25], help="that two changes of one API collide (0.25, the file's)")
    parser.add_argument("--repeat", type=int, default=1, help="how often each growing stack goes up (1)")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        if arguments.times:
            # Handlers are built before the measurement.
            with Cloud(scratch) as cloud:
                cloud.stack("plan", expected=(2,))
            chat(scratch, arguments.times)
        growth(scratch, arguments.sizes, arguments.chances, arguments.repeat)


if __name__ == "__main__":
    main()
