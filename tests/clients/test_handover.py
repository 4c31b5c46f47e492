"""Apps as their users have them, there and back: SAM's command line deploys, wschat takes over, changes a handler, hands the stack back,
and SAM deploys the next change.

The apps are `templates/chat.yaml` with handlers that are never run, the examples, and what WSCHAT_TEMPLATES names, with the Node.js
example's handlers.
"""

import json
import shutil

import pytest

from harness import LocalCloud, Project, Sam, wschat
from readback import inventory
from test_examples import APPS, UP, chat

STACK = "comes-and-goes"
BUCKET = "sams-bucket"
NAMES = ["chat", *(name for name in APPS if name != "node-sdk2")]


class App:
    """An app in a folder, and the file of a handler of it."""

    def __init__(self, name, folder):
        self.folder = folder
        # Handlers of the chat template are no programs.
        self.runs = name != "chat"
        if name == "chat":
            folder.mkdir()
            Project(folder)
            self.handler = folder / "code/connect/bootstrap"
        else:
            handlers, template = APPS[name]
            shutil.copytree(handlers, folder)
            shutil.copy(template, folder / "template.yaml")
            (self.handler,) = [path for path in (folder / "connect").iterdir() if path.suffix in (".js", ".mjs", ".py")]
        self.path = folder / "template.yaml"

    def change(self, words):
        """Another version of a handler, which does the same."""
        comment = "//" if self.handler.suffix in (".js", ".mjs") else "#"
        self.handler.write_text(self.handler.read_text() + f"{comment} {words}\n")


def resources(aws):
    pages = aws.client("cloudformation").get_paginator("list_stack_resources").paginate(StackName=STACK)
    return {one["LogicalResourceId"]: one["PhysicalResourceId"] for page in pages for one in page["StackResourceSummaries"]}


def code(aws):
    """The digest of every function's code."""
    functions = aws.client("lambda").list_functions()["Functions"]
    return {function["FunctionName"]: function["CodeSha256"] for function in functions}


def stacks(aws):
    return {stack["StackName"] for stack in aws.client("cloudformation").describe_stacks()["Stacks"]}


@pytest.mark.parametrize("name", NAMES)
def test_an_app_comes_from_sam_and_goes_back(name, tmp_path):
    app = App(name, tmp_path / "app")
    with LocalCloud(tmp_path / "cloud") as cloud:
        aws = cloud.plain
        aws.client("s3").create_bucket(Bucket=BUCKET)
        sam = Sam(app.folder, aws.url)
        sam.deploy(STACK, BUCKET)
        before = resources(aws)
        target = ("--stack", STACK, "--template", app.path, "--endpoint-url", aws.url)

        events = [json.loads(line) for line in wschat("adopt", *target, "--yes", "--json", timeout=UP, cwd=app.folder).splitlines()]
        (plan,) = [event for event in events if event["event"] == "plan"]
        different = [step for step in plan["steps"] if step["action"] != "keep"]
        assert not different and events[-1]["done"], different
        assert STACK not in stacks(aws)
        app.change("by wschat")
        wschat("up", *target, "--yes", timeout=UP, cwd=app.folder)
        assert set(code(aws)) <= set(before.values())
        uri = wschat("url", *target[:2], *target[4:])
        if app.runs:
            chat(uri.strip())

        wschat("eject", *target, "--bucket", BUCKET, "--yes", timeout=UP, cwd=app.folder)
        assert STACK in stacks(aws)
        after = resources(aws)
        assert set(after) == set(before)
        kept = {logical_id for logical_id in before if before[logical_id] == after[logical_id]}
        # Functions, the table, the API, roles and routes are those that SAM made.
        assert len(kept) > len(before) / 2 and set(code(aws)) <= {after[one] for one in kept}

        old = code(aws)
        app.change("by SAM")
        sam.deploy(STACK, BUCKET)
        assert code(aws) != old and resources(aws) == after
        if app.runs:
            chat(uri.strip())
        sam("delete", "--stack-name", STACK, "--no-prompts", "--region", "us-east-1")
        left = inventory(aws)
        # What wschat gave the functions, and no template describes.
        left.pop("log groups", None)
        assert not any(left.values()), left
