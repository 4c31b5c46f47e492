"""Apps as their users have them, there and back: SAM's command line deploys, wschat takes over, changes a handler, hands the stack back,
and SAM deploys the next change. So do apps that the CDK and the Serverless Framework have synthesised, with CloudFormation.

The apps are `templates/chat.yaml` with handlers that are never run, the examples, and what WSCHAT_TEMPLATES names, with the Node.js
example's handlers; those that are synthesised are of the corpus.
"""

import base64
import hashlib
import io
import json
import re
import shutil
import subprocess
import zipfile

import pytest
from botocore.exceptions import WaiterError

from harness import PATIENCE, ROOT, LocalCloud, Project, Sam, connect, wschat
from readback import inventory
from test_examples import APPS, UP, chat

STACK = "comes-and-goes"
BUCKET = "sams-bucket"
NAMES = ["chat", *(name for name in APPS if name != "node-sdk2"), "typescript"]
TYPESCRIPT = ROOT / "examples/typescript-chat"


class App:
    """An app in a folder, and the file of a handler of it."""

    def __init__(self, name, folder):
        self.folder = folder
        # Handlers of the chat template are no programs.
        self.runs = name != "chat"
        # What SAM has to build before it deploys, with the app's own esbuild.
        self.is_built = name == "typescript"
        if name == "chat":
            folder.mkdir()
            Project(folder)
            self.handler = folder / "code/connect/bootstrap"
        else:
            handlers, template = (TYPESCRIPT, TYPESCRIPT / "template.yaml") if self.is_built else APPS[name]
            shutil.copytree(handlers, folder)
            shutil.copy(template, folder / "template.yaml")
            (self.handler,) = [path for path in (folder / "connect").iterdir() if path.suffix in (".js", ".mjs", ".py", ".ts")]
        self.path = folder / "template.yaml"
        if self.is_built:
            subprocess.run(["npm", "install", "--silent", "--no-audit", "--no-fund"], cwd=folder, check=True, timeout=UP)

    def deploy(self, sam):
        """Deploys it with SAM's command line."""
        if not self.is_built:
            return sam.deploy(STACK, BUCKET)
        sam("build")
        return sam.deploy(STACK, BUCKET, template=".aws-sam/build/template.yaml")

    def change(self, words):
        """Another version of a handler, which does the same."""
        if self.handler.suffix == ".ts":
            self.handler.write_text(self.handler.read_text() + f'console.log("{words}");\n')
            return
        comment = "//" if self.handler.suffix in (".js", ".mjs") else "#"
        self.handler.write_text(self.handler.read_text() + f"{comment} {words}\n")


def resources(aws, stack=STACK):
    pages = aws.client("cloudformation").get_paginator("list_stack_resources").paginate(StackName=stack)
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
        app.deploy(sam)
        before = resources(aws)
        target = ("--stack", STACK, "--template", app.path, "--endpoint-url", aws.url)

        events = [json.loads(line) for line in wschat("adopt", *target, "--yes", "--json", timeout=UP, cwd=app.folder).splitlines()]
        (plan,) = [event for event in events if event["event"] == "plan"]
        different = [step for step in plan["steps"] if step["action"] != "keep"]
        assert not different and events[-1]["done"], json.dumps(different)
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
        app.deploy(sam)
        assert code(aws) != old and resources(aws) == after
        if app.runs:
            chat(uri.strip())
        sam("delete", "--stack-name", STACK, "--no-prompts", "--region", "us-east-1")
        left = inventory(aws)
        # What wschat gave the functions, and no template describes.
        left.pop("log groups", None)
        assert not any(left.values()), left


class Synthesised:
    """An app that another tool has synthesised, in a folder: its template, its code, and how that tool deploys it."""

    def __init__(self, folder, stack, template):
        self.folder = folder
        self.stack = stack
        self.path = folder / template
        self.template = self.path.read_text()

    def deploy(self, aws):
        """Creates the stack, with the code where the template says."""
        raise NotImplementedError

    def change(self):
        """Synthesises it again, with a handler that says something else."""
        raise NotImplementedError

    def changed(self, name, text):
        """A file of the code with another answer."""
        return text.replace("JSON.parse(body).text", "`changed: ${JSON.parse(body).text}`") if name == "chat.js" else text


class Cdk(Synthesised):
    """The CDK's: `cdk.out`, and assets in the bucket that `cdk bootstrap` makes."""

    def __init__(self, folder):
        shutil.copytree(ROOT / "tests/corpus/cdk/chat/cdk.out", folder / "cdk.out")
        super().__init__(folder, "Chat", "cdk.out/Chat.template.json")
        (self.asset,) = (folder / "cdk.out").glob("asset.*")

    def deploy(self, aws):
        bucket = "cdk-hnb659fds-assets-000000000000-us-east-1"
        aws.client("s3").create_bucket(Bucket=bucket)
        files = {path.name: path.read_text() for path in self.asset.iterdir()}
        aws.client("s3").put_object(Bucket=bucket, Key=self.asset.name.removeprefix("asset.") + ".zip", Body=zipped(files))
        aws.client("cloudformation").create_stack(
            StackName=self.stack, TemplateBody=self.template, Capabilities=["CAPABILITY_IAM"]
        )
        aws.client("cloudformation").get_waiter("stack_create_complete").wait(StackName=self.stack, WaiterConfig={"Delay": 1})

    def change(self):
        handler = self.asset / "chat.js"
        handler.write_text(self.changed(handler.name, handler.read_text()))


class Serverless(Synthesised):
    """The Serverless Framework's: `.serverless`, and a bucket for zips that is a resource of the stack."""

    def __init__(self, folder):
        shutil.copytree(ROOT / "tests/corpus/serverless/chat/.serverless", folder / ".serverless")
        super().__init__(folder, "corpus-chat-dev", ".serverless/cloudformation-template-update-stack.json")
        self.zip = folder / ".serverless/corpus-chat.zip"

    def deploy(self, aws):
        client = aws.client("cloudformation")
        of_stack = {"StackName": self.stack, "Capabilities": ["CAPABILITY_IAM", "CAPABILITY_NAMED_IAM"]}
        resources = json.loads(self.template)["Resources"]
        # The Framework makes the bucket first.
        bucket = {"Resources": {"ServerlessDeploymentBucket": resources["ServerlessDeploymentBucket"]}}
        client.create_stack(TemplateBody=json.dumps(bucket), **of_stack)
        client.get_waiter("stack_create_complete").wait(StackName=self.stack, WaiterConfig={"Delay": 1})
        (name,) = client.list_stack_resources(StackName=self.stack)["StackResourceSummaries"]
        key = resources["ConnectLambdaFunction"]["Properties"]["Code"]["S3Key"]
        aws.client("s3").put_object(Bucket=name["PhysicalResourceId"], Key=key, Body=self.zip.read_bytes())
        client.update_stack(TemplateBody=self.template, **of_stack)
        client.get_waiter("stack_update_complete").wait(StackName=self.stack, WaiterConfig={"Delay": 1})

    def change(self):
        old = self.zip.read_bytes()
        with zipfile.ZipFile(self.zip) as archive:
            files = {name: self.changed(name, archive.read(name).decode()) for name in archive.namelist()}
        self.zip.write_bytes(zipped(files))
        # A version is one of the code, by its logical id, too.
        text = self.template.replace(sha256(old), sha256(self.zip.read_bytes()))
        assert text != self.template
        self.path.write_text(re.sub(r"LambdaVersion(\w+)", r"LambdaVersion2\1", text))


def sha256(code):
    """The digest by which Lambda knows code."""
    return base64.b64encode(hashlib.sha256(code).digest()).decode()


def zipped(files):
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        for name, text in files.items():
            archive.writestr(name, text)
    return packed.getvalue()


def hears(uri, words):
    """Two clients of the corpus's chat, of which one hears what the other says."""
    with connect(f"{uri}?token=corpus") as one, connect(f"{uri}?token=corpus") as two:
        one.send('{"action": "send", "text": "hello"}')
        assert two.recv(PATIENCE) == words


def adopted(app, aws, *options):
    """Takes a stack over; the plan of its template must be empty. Gives what wschat says on stdout."""
    target = ("--endpoint-url", aws.url)
    said = wschat("adopt", app.stack, *options, *target, "--yes", "--json", timeout=UP, cwd=app.folder)
    events = [json.loads(line) for line in said.splitlines()]
    (plan,) = [event for event in events if event["event"] == "plan"]
    different = [step for step in plan["steps"] if step["action"] != "keep"]
    assert not different and events[-1]["done"], json.dumps(different)
    assert app.stack not in stacks(aws)


def test_an_app_comes_from_the_cdk_and_goes_back(tmp_path):
    app = Cdk(tmp_path / "app")
    with LocalCloud(tmp_path / "cloud") as cloud:
        aws = cloud.plain
        app.deploy(aws)
        before = resources(aws, app.stack)
        # A command that synthesises is remembered: later runs do not name it.
        adopted(app, aws, "--app", "touch synthesised")
        (app.folder / "synthesised").unlink()
        app.change()
        wschat("up", "--endpoint-url", aws.url, "--yes", timeout=UP, cwd=app.folder)
        assert (app.folder / "synthesised").exists()
        hears(wschat("url", "--endpoint-url", aws.url, cwd=app.folder).strip(), "changed: hello")

        wschat("eject", "--endpoint-url", aws.url, "--yes", timeout=UP, cwd=app.folder)
        after = resources(aws, app.stack)
        assert set(after) == set(before)
        # Those that CloudFormation cannot import, and makes the same again.
        made_again = {id for id in before if before[id] != after[id]}
        assert all("DefaultPolicy" in id or id == "CDKMetadata" for id in made_again), made_again

        client = aws.client("cloudformation")
        client.create_change_set(
            StackName=app.stack, ChangeSetName="again", TemplateBody=app.template, Capabilities=["CAPABILITY_IAM"]
        )
        with pytest.raises(WaiterError, match="FAILED"):
            client.get_waiter("change_set_create_complete").wait(
                StackName=app.stack, ChangeSetName="again", WaiterConfig={"Delay": 1}
            )
        refused = client.describe_change_set(StackName=app.stack, ChangeSetName="again")["StatusReason"]
        assert "didn't contain changes" in refused, refused
        client.delete_stack(StackName=app.stack)
        client.get_waiter("stack_delete_complete").wait(StackName=app.stack, WaiterConfig={"Delay": 1})
        left = inventory(aws)
        left.pop("log groups")
        assert not any(left.values()), left


def test_an_app_comes_from_the_serverless_framework(tmp_path):
    app = Serverless(tmp_path / "app")
    with LocalCloud(tmp_path / "cloud") as cloud:
        aws = cloud.plain
        app.deploy(aws)
        (bucket,) = aws.client("s3").list_buckets()["Buckets"]
        target = ("--template", app.path.relative_to(app.folder), "--endpoint-url", aws.url)
        adopted(app, aws, *target[:2])
        app.change()
        wschat("up", *target, "--yes", timeout=UP, cwd=app.folder)
        hears(wschat("url", *target, cwd=app.folder).strip(), "changed: hello")
        # The bucket for zips has no owner now, and stays. CloudFormation could not import code that is in it.
        wschat("eject", *target, "--yes", expect=1, timeout=UP, cwd=app.folder)
        wschat("down", *target, "--yes", cwd=app.folder)
        assert not any(inventory(aws).values()), inventory(aws)
        assert [one["Name"] for one in aws.client("s3").list_buckets()["Buckets"]] == [bucket["Name"]]
