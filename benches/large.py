"""Measures a large stack, and a small one in a large account, on a local cloud without conditions: memory, calls, seconds.

Prints Markdown. `benches/run --large` runs it.
"""

import argparse
import collections
import io
import json
import math
import tempfile
import zipfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import boto3
from botocore.config import Config
from measure import Cloud, grown

LISTS = {"DescribeLogGroups", "GetResources", "ListFunctions", "ListTables"}


class QuickCloud(Cloud):
    """A local cloud that answers at once."""

    def __enter__(self):
        self.data.parent.mkdir(parents=True, exist_ok=True)
        self.verb("local", "start", "--open", "--port", "0")
        self.port = json.loads((self.data / "process.json").read_text())["port"]
        return self


def megabytes(size):
    return math.ceil(size / 1e6)


def stacks(scratch, sizes):
    print("| resources | `up`, s | MB | `up` with nothing to do, s | MB | `status`, s | MB | `down`, s | MB |")
    print("|---|---|---|---|---|---|---|---|---|")
    for count in sizes:
        folder = Path(scratch) / f"stack-{count}"
        folder.mkdir()
        grown(folder, count)
        with QuickCloud(Path(scratch) / f"cloud-{count}") as cloud:
            runs = [cloud.stack(*verb, folder=folder) for verb in [("up", "--yes"), ("up", "--yes"), ("status",), ("down", "--yes")]]
        cells = [f"{seconds:.2f} | {megabytes(memory)}" for _, seconds, memory in runs]
        print(f"| {4 * count + 4} | {' | '.join(cells)} |", flush=True)


def crowd(endpoint, count):
    """Creates so many functions, tables and log groups that belong to nobody."""
    config = Config(max_pool_connections=16, retries={"total_max_attempts": 1})
    keys = {"aws_access_key_id": "local", "aws_secret_access_key": "local"}
    client = lambda name: boto3.client(name, endpoint_url=endpoint, region_name="us-east-1", config=config, **keys)
    functions, tables, groups, iam = (client(name) for name in ["lambda", "dynamodb", "logs", "iam"])
    trust = {"Effect": "Allow", "Principal": {"Service": "lambda.amazonaws.com"}, "Action": "sts:AssumeRole"}
    document = json.dumps({"Version": "2012-10-17", "Statement": trust})
    role = iam.create_role(RoleName="crowd", AssumeRolePolicyDocument=document)["Role"]["Arn"]
    code = io.BytesIO()
    with zipfile.ZipFile(code, "w") as archive:
        archive.writestr("bootstrap", "#!/bin/sh\nexit 1\n")

    def function(number):
        settings = {"Runtime": "provided.al2023", "Handler": "bootstrap", "Role": role}
        while True:
            try:
                return functions.create_function(FunctionName=f"crowd-{number}", Code={"ZipFile": code.getvalue()}, **settings)
            except functions.exceptions.InvalidParameterValueException as error:
                if "assumed" not in str(error):
                    raise

    def table(number):
        tables.create_table(
            TableName=f"crowd-{number}",
            BillingMode="PAY_PER_REQUEST",
            KeySchema=[{"AttributeName": "id", "KeyType": "HASH"}],
            AttributeDefinitions=[{"AttributeName": "id", "AttributeType": "S"}],
        )

    def group(number):
        groups.create_log_group(logGroupName=f"/aws/lambda/crowd-{number}")

    with ThreadPoolExecutor(8) as pool:
        for make in (function, table, group):
            list(pool.map(make, range(count)))


def accounts(scratch, sizes):
    print()
    print("| functions, tables and log groups of others, each | run | pages of lists | other calls | s |")
    print("|---|---|---|---|---|")
    folder = Path(scratch) / "small"
    folder.mkdir()
    grown(folder, 2)
    for count in sizes:
        with QuickCloud(Path(scratch) / f"account-{count}") as cloud:
            crowd(cloud.endpoint, count)
            before = len(cloud.calls())
            for verb in [("up", "--yes"), ("up", "--yes"), ("status",), ("down", "--yes")]:
                _, seconds, _ = cloud.stack(*verb, folder=folder)
                calls = collections.Counter(call["operation"] in LISTS for call in cloud.calls()[before:])
                before += sum(calls.values())
                print(f"| {count} | `{verb[0]}` | {calls[True]} | {calls[False]} | {seconds:.2f} |", flush=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--routes", type=int, nargs="*", default=[24, 249], help="of the large stack (24 249)")
    parser.add_argument("--others", type=int, nargs="*", default=[0, 5000], help="of each in the account (0 5000)")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        stacks(scratch, arguments.routes)
        accounts(scratch, arguments.others)


if __name__ == "__main__":
    main()
