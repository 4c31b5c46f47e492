"""Eight stacks that go up at once in one account and share its quotas, beside the shortest time in which the quotas let them.

Prints Markdown. Every cloud is started for its measurement and stopped after it; only loopback is used.
"""

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
import time
import tomllib
from collections import Counter
from pathlib import Path

from measure import BINARY, CONDITIONS, THROTTLES, Cloud, grown, middle


def floor(stacks, count):
    """The shortest possible time, in seconds, in which so many stacks of `count` routes can be there, if one who knows all of them
    gave out the account's quotas.

    Each quota allows its burst at once and the rest at its rate. To API Gateway go two calls for each route and three more for each
    stack; to Lambda two for each route, after the role can be assumed; and the deployments go one after the other, the first as soon
    as an API, its integrations and its routes can be there, each followed by its stage.
    """
    conditions = tomllib.loads(CONDITIONS.read_text())
    throttle, latency = conditions["throttle"], conditions["latency_ms"]

    def quota(name, calls):
        return max(0, calls - throttle[name]["burst"]) / throttle[name]["rate"]

    def seconds(*operations):
        return sum(latency[operation] for operation in operations) / 1000

    gateway = quota("apigatewayv2.*", stacks * (2 * count + 2))
    first = seconds("sts.*", "apigatewayv2.CreateApi", "apigatewayv2.CreateIntegration", "apigatewayv2.CreateRoute")
    last = seconds("apigatewayv2.CreateDeployment", "apigatewayv2.CreateStage")
    deployments = first + quota("apigatewayv2.CreateDeployment", stacks) + last
    role = seconds("sts.*", "iam.CreateRole") + conditions["eventual_s"]["iam_role_assumable"]
    functions = quota("lambda.*", 2 * stacks * count) + seconds("lambda.CreateFunction")
    return {
        "API Gateway": gateway,
        "deployments": deployments,
        "Lambda": role + functions + conditions["eventual_s"]["function_pending"],
    }


def up_at_once(cloud, stacks, folder):
    """Seconds until each of the stacks is there."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("AWS_")}
    environment |= {"AWS_ACCESS_KEY_ID": "local", "AWS_SECRET_ACCESS_KEY": "local", "AWS_REGION": "us-east-1"}
    environment["WSCHAT_LOCAL_DIR"] = str(cloud.data)
    begun = time.monotonic()
    running = {}
    for number in range(stacks):
        command = [BINARY, "up", "--yes", "--stack", f"bench{number}", "--endpoint-url", cloud.endpoint]
        output = tempfile.TemporaryFile("w+")
        child = subprocess.Popen(command, cwd=folder, env=environment, stdin=subprocess.DEVNULL, stdout=output, stderr=output)
        running[child.pid] = (child, output)
    seconds = []
    while running:
        pid, status = os.wait()
        child, output = running.pop(pid)
        child.returncode = os.waitstatus_to_exitcode(status)
        seconds.append(time.monotonic() - begun)
        if child.returncode:
            output.seek(0)
            sys.exit(f"wschat up ended with {child.returncode}:\n{output.read()}")
    return seconds


def measure(scratch, stacks, count, times):
    folder = Path(scratch) / f"grown-{count}"
    grown(folder, count)
    lasts, firsts, calls, throttled, busiest = [], [], [], [], []
    for _ in range(times):
        with Cloud(Path(scratch) / f"cloud-{count}") as cloud:
            seconds = up_at_once(cloud, stacks, folder)
            made = cloud.calls()
        lasts.append(max(seconds))
        firsts.append(min(seconds))
        calls.append(len(made))
        throttled.append(sum(call.get("code") in THROTTLES for call in made))
        busiest.append(max(Counter(call["at"][:19] for call in made if call.get("code") in THROTTLES).values(), default=0))
    least = floor(stacks, count)
    binding = max(least, key=least.get)
    print(
        f"| {stacks} of {count} routes | {middle(calls, 0)} | {middle(throttled, 0)} | {max(busiest)} | {middle(firsts, 1)} |"
        f" {middle(lasts, 1)} | {least[binding]:.1f} ({binding}) | {statistics.median(lasts) / least[binding]:.2f} |",
        flush=True,
    )


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--stacks", type=int, default=8, help="how many at once (8)")
    parser.add_argument("--sizes", type=int, nargs="*", default=[4, 20], help="routes of each (4 20)")
    parser.add_argument("--repeat", type=int, default=1, help="how often (1)")
    arguments = parser.parse_args()
    print(
        "| stacks at once | calls | throttled | throttled in one second, most | first there, s | last there, s | shared floor, s |"
        " ratio |"
    )
    print("|---|---|---|---|---|---|---|---|")
    with tempfile.TemporaryDirectory() as scratch:
        for count in arguments.sizes:
            measure(scratch, arguments.stacks, count, arguments.repeat)


if __name__ == "__main__":
    main()
