#!/usr/bin/env python3
"""Records the output of SAM's own translator (aws-sam-translator, pinned in .ci/requirements.txt) for the templates here.

For NAME.yaml or NAME.json: its resources, conditions and outputs, in NAME.expected.json. For errors/NAME.yaml, which
it must reject: its messages, in errors/NAME.expected.txt. `cargo test --test it sam` compares wschat with the records.

    translate.py            writes them
    translate.py --check    fails if they differ from the translator's output

A comment `# with NAME=VALUE` gives a parameter. The translator only accepts code from S3, so a local path goes in as
s3://local/PATH and comes out as PATH. SAM's CLI sets missing code properties to the template's folder before the translator
sees them. What the translator puts into a random order is sorted. The hash of a REST API's deployment, which is of what
Python 2 would print, is left out.
"""

import datetime
import json
import logging
import os
import pathlib
import re
import sys

os.environ["AWS_DEFAULT_REGION"] = "us-east-1"
logging.disable()  # the translator warns about unpublished metrics

from samtranslator.parser.parser import Parser
from samtranslator.public.exceptions import InvalidDocumentException
from samtranslator.translator.translator import Translator
from samtranslator.yaml_helper import yaml_parse

HERE = pathlib.Path(__file__).resolve().parent


def functions(template: dict) -> list[dict]:
    """The properties of all functions, and those of `Globals`."""
    found = [template["Globals"].get("Function")] if isinstance(template.get("Globals"), dict) else []
    for resource in template["Resources"].values():
        if resource.get("Type") == "AWS::Serverless::Function":
            found.append(resource.get("Properties"))
    return [properties for properties in found if isinstance(properties, dict)]


# Where local files go in, and come out.
LOCAL = {
    "AWS::Serverless::Function": "CodeUri",
    "AWS::Serverless::LayerVersion": "ContentUri",
    "AWS::Serverless::StateMachine": "DefinitionUri",
}
MADE = [("Code", "S3Bucket", "S3Key"), ("Content", "S3Bucket", "S3Key"), ("DefinitionS3Location", "Bucket", "Key")]


def upload(template: dict):
    """Gives what names local files an address in S3."""
    found = [(properties, "CodeUri") for properties in functions(template)]
    for resource in template["Resources"].values():
        if resource.get("Type") in LOCAL and isinstance(resource.get("Properties"), dict):
            found.append((resource["Properties"], LOCAL[resource["Type"]]))
    for properties, name in found:
        place = properties.get(name)
        if isinstance(place, str) and not place.startswith("s3://"):
            properties[name] = f"s3://local/{place}"


def give_code(template: dict):
    """Sets the code of functions without a code property to the template's folder."""
    sources = {"CodeUri", "InlineCode", "ImageUri"}
    if "CodeUri" in template.get("Globals", {}).get("Function", {}):
        return
    for resource in template["Resources"].values():
        if resource.get("Type") == "AWS::Serverless::Function":
            properties = resource.setdefault("Properties", {})
            if not sources & properties.keys():
                properties["CodeUri"] = "."


def translate(path: pathlib.Path) -> dict:
    """The translator's output for the template at `path`; raises the translator's exceptions."""
    text = path.read_text()
    template = yaml_parse(text)
    if path.parent.name != "errors":
        give_code(template)
    upload(template)
    parameters = dict(re.findall(r"^# with (\w+)=(.*)$", text, re.MULTILINE))
    made = Translator(None, Parser()).translate(template, parameters)
    for resource in made["Resources"].values():
        properties = resource.get("Properties", {})
        for name, bucket, key in MADE:
            place = properties.get(name)
            if isinstance(place, dict) and place.get(bucket) == "local":
                properties[name] = place[key]
        if resource["Type"] == "AWS::S3::Bucket" and isinstance(resource.get("DependsOn"), list):
            resource["DependsOn"].sort()
    return {name: made[name] for name in ("Conditions", "Resources", "Outputs") if name in made}


def in_order(names: re.Match) -> str:
    """Sorts the missing parameters of a policy template: the translator lists them in random order."""
    return ", ".join(sorted(names[0].split(", ")))


def record(path: pathlib.Path) -> tuple[pathlib.Path, str]:
    """The path of the record of the template at `path`, and its content."""
    refused = path.parent.name == "errors"
    try:
        made = translate(path)
    except InvalidDocumentException as error:
        if not refused:
            raise SystemExit(f"{path.name}: {[cause.message for cause in error.causes]}") from error
        messages = [re.sub(r"(?<=values: \[).*(?=\])", in_order, cause.message) for cause in error.causes]
        return path.with_suffix(".expected.txt"), "".join(f"{message}\n" for message in messages)
    if refused:
        raise SystemExit(f"errors/{path.name}: the translator takes it")
    # YAML reads a policy's version as a date.
    text = json.dumps(made, indent=2, default=datetime.date.isoformat) + "\n"
    return path.with_suffix(".expected.json"), re.sub(r"(Deployment|deployment id: )[0-9a-f]{10,40}\b", r"\1HASH", text)


def main() -> int:
    check = sys.argv[1:] == ["--check"]
    templates = sorted(path for path in HERE.glob("**/*.*") if re.search(r"(?<!\.expected)\.(yaml|json)$", path.name))
    records = dict(record(path) for path in templates)
    wrong = [path for path in HERE.glob("**/*.expected.*") if path not in records]
    for path, text in records.items():
        if not path.exists() or path.read_text() != text:
            wrong.append(path)
            if not check:
                path.write_text(text)
    for path in wrong:
        print(f"{path.relative_to(HERE)}: {'not what the translator says' if check else 'changed or of no template'}")
    print(f"{len(templates)} templates, {len(wrong)} records {'wrong' if check else 'changed'}")
    return 1 if check and wrong else 0


sys.exit(main())
