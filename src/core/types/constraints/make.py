#!/usr/bin/env python3
"""Writes constraints.tsv: what AWS's service models say of the properties that templates give.

The models are botocore's, the properties are those of CloudFormation's schemas as cfn-lint carries them, and a property
is held against the member of the same name in the input of the operation that sets it. Where names differ, a model says
less than its documentation, or a constraint is not to be used, it is written down here with the reason.

    make.py            writes the files
    make.py --check    fails where they are not what this script would write (CI does that)

It also writes managed_policies.txt, the names of AWS's own managed policies, from the list that moto recorded; --check
leaves that one alone, because AWS adds new ones all the time.
"""

import json
import pathlib
import re
import sys

import botocore.session
from cfnlint.schema.manager import PROVIDER_SCHEMA_MANAGER

HERE = pathlib.Path(__file__).resolve().parent

# Type: service, and the operations whose inputs its properties are members of, the first that has one wins.
TYPES = {
    "AWS::ApiGatewayV2::Api": ("apigatewayv2", ["CreateApi"]),
    "AWS::ApiGatewayV2::ApiMapping": ("apigatewayv2", ["CreateApiMapping"]),
    "AWS::ApiGatewayV2::Authorizer": ("apigatewayv2", ["CreateAuthorizer"]),
    "AWS::ApiGatewayV2::Deployment": ("apigatewayv2", ["CreateDeployment"]),
    "AWS::ApiGatewayV2::DomainName": ("apigatewayv2", ["CreateDomainName"]),
    "AWS::ApiGatewayV2::Integration": ("apigatewayv2", ["CreateIntegration"]),
    "AWS::ApiGatewayV2::IntegrationResponse": ("apigatewayv2", ["CreateIntegrationResponse"]),
    "AWS::ApiGatewayV2::Model": ("apigatewayv2", ["CreateModel"]),
    "AWS::ApiGatewayV2::Route": ("apigatewayv2", ["CreateRoute"]),
    "AWS::ApiGatewayV2::RouteResponse": ("apigatewayv2", ["CreateRouteResponse"]),
    "AWS::ApiGatewayV2::Stage": ("apigatewayv2", ["CreateStage"]),
    "AWS::DynamoDB::Table": ("dynamodb", ["CreateTable", "UpdateTimeToLive", "UpdateContinuousBackups"]),
    "AWS::IAM::ManagedPolicy": ("iam", ["CreatePolicy"]),
    "AWS::IAM::Policy": ("iam", ["PutRolePolicy"]),
    "AWS::IAM::Role": ("iam", ["CreateRole"]),
    "AWS::Lambda::Alias": ("lambda", ["CreateAlias"]),
    "AWS::Lambda::EventSourceMapping": ("lambda", ["CreateEventSourceMapping"]),
    "AWS::Lambda::Function": ("lambda", ["CreateFunction", "PutFunctionConcurrency"]),
    "AWS::Lambda::LayerVersion": ("lambda", ["PublishLayerVersion"]),
    "AWS::Lambda::LayerVersionPermission": ("lambda", ["AddLayerVersionPermission"]),
    "AWS::Lambda::Permission": ("lambda", ["AddPermission"]),
    "AWS::Lambda::Version": ("lambda", ["PublishVersion"]),
    "AWS::Logs::LogGroup": ("logs", ["CreateLogGroup", "PutRetentionPolicy"]),
}

# Properties that are named otherwise in the service: type, property, the name of a shape.
SHAPES = {
    # CreateTable takes an ARN as well, for restores; a table's own name is shorter.
    ("AWS::DynamoDB::Table", "TableName"): "TableName",
    ("AWS::IAM::ManagedPolicy", "ManagedPolicyName"): "policyNameType",
    ("AWS::IAM::ManagedPolicy", "Roles[]"): "roleNameType",
    ("AWS::IAM::Policy", "Roles[]"): "roleNameType",
    ("AWS::IAM::Role", "ManagedPolicyArns[]"): "arnType",
    ("AWS::IAM::Role", "Policies[].PolicyName"): "policyNameType",
    ("AWS::Lambda::Alias", "RoutingConfig.AdditionalVersionWeights[].FunctionVersion"): "AdditionalVersion",
    ("AWS::Lambda::Alias", "RoutingConfig.AdditionalVersionWeights[].FunctionWeight"): "Weight",
}

# What is not held against values: type (or * for all), property, which constraints, why.
LEFT_OUT = [
    ("*", "PolicyDocument", "*", "a document; its grammar is checked elsewhere"),
    ("*", "AssumeRolePolicyDocument", "*", "a document; its grammar is checked elsewhere"),
    ("*", "Code", "*", "comes from a local folder"),
    ("*", "Content", "*", "comes from a local folder"),
    ("*", "Tags", "most", "counted in tags.rs, together with those that wschat sets"),
    ("*", "Tags", "least", "no tags at all are left out of the call"),
    ("AWS::ApiGatewayV2::Authorizer", "IdentitySource", "required", "optional for REQUEST authorizers, says its documentation"),
    ("AWS::ApiGatewayV2::Model", "Schema", "*", "a document; its text is measured when it is made"),
    ("AWS::DynamoDB::Table", "PointInTimeRecoverySpecification.PointInTimeRecoveryEnabled", "required", "CloudFormation takes false for it"),
    ("AWS::DynamoDB::Table", "TableName", "required", "is made up where it is left out"),
    ("AWS::DynamoDB::Table", "TimeToLiveSpecification.AttributeName", "required", "not where time to live is off"),
    ("AWS::IAM::Role", "RoleName", "required", "is made up where it is left out"),
    *[
        ("AWS::Lambda::EventSourceMapping", f"SelfManagedEventSource.Endpoints{part}", "*", "CloudFormation has a structure for the service's map")
        for part in ["", "{key}", "{}", "{}[]"]
    ],
    ("AWS::Lambda::Function", "FunctionName", "required", "is made up where it is left out"),
    ("AWS::Lambda::Function", "Handler", "least", "functions from zips need one, and it is not empty"),
    ("AWS::Lambda::Function", "Runtime", "one of", "there are new ones every year"),
    ("AWS::Lambda::LayerVersion", "CompatibleRuntimes[]", "one of", "there are new ones every year"),
    ("AWS::Lambda::LayerVersion", "LayerName", "required", "is made up where it is left out"),
    ("AWS::Logs::LogGroup", "logGroupName", "required", "is made up where it is left out"),
]

# What documentation says beyond the models; where it is in the models' own documentation, it is read from there.
QUOTAS = "Lambda developer guide, quotas"
TAGGING = "API Gateway developer guide, tag restrictions"
DOCUMENTED = {
    ("AWS::ApiGatewayV2::Stage", "StageName"): ({"pattern": r"(\$default|[a-zA-Z0-9_-]+)"}, "API Gateway: Stage name only allows a-zA-Z0-9_-; $default is for HTTP APIs"),
    ("AWS::ApiGatewayV2::Api", "Tags{key}"): ({"kind": "text", "least": 1, "most": 128}, TAGGING),
    ("AWS::ApiGatewayV2::Api", "Tags{}"): ({"least": 0, "most": 256}, TAGGING),
    ("AWS::ApiGatewayV2::DomainName", "Tags{key}"): ({"kind": "text", "least": 1, "most": 128}, TAGGING),
    ("AWS::ApiGatewayV2::DomainName", "Tags{}"): ({"least": 0, "most": 256}, TAGGING),
    ("AWS::ApiGatewayV2::Model", "Name"): ({"pattern": "[a-zA-Z0-9]+"}, "API Gateway: Model name must be alphanumeric"),
    ("AWS::ApiGatewayV2::Stage", "Tags{key}"): ({"kind": "text", "least": 1, "most": 128}, TAGGING),
    ("AWS::ApiGatewayV2::Stage", "Tags{}"): ({"least": 0, "most": 256}, TAGGING),
    ("AWS::Lambda::Function", "FunctionName"): ({"most": 64, "pattern": "[a-zA-Z0-9-_]+"}, "CreateFunction, FunctionName"),
    ("AWS::Lambda::Function", "MemorySize"): ({"most": 10240}, QUOTAS + "; more is for managed instances"),
    ("AWS::Lambda::Function", "Layers"): ({"kind": "list", "most": 5}, QUOTAS),
    ("AWS::Lambda::LayerVersion", "LayerName"): ({"pattern": "[a-zA-Z0-9-_]+"}, "PublishLayerVersion, LayerName, of a name"),
    ("AWS::ApiGatewayV2::Integration", "TimeoutInMillis"): ({"most": 30000}, "CreateIntegration, TimeoutInMillis, for HTTP APIs; for WebSocket APIs it is less"),
}

# Patterns in words. Those that are one class of characters explain themselves.
WORDS = {
    r"(\u002F)|(\u002F[\u0021-\u007E]+\u002F)": "begins and ends with /, without spaces",
    r"((/[A-Za-z0-9\.,\+@=_-]+)*)/": "begins and ends with /; between them letters, digits and .,+@=_-",
    r"arn:(aws[a-zA-Z-]*)?:iam::\d{12}:role/?[a-zA-Z_0-9+=,.@\-_/]+": "the ARN of a role",
    r"[a-zA-Z]([a-zA-Z0-9_])+": "a letter, then letters, digits and _; two characters at least",
    r"(\$default|[a-zA-Z0-9_-]+)": "letters, digits and _ -",
    r"(\$LATEST(\.PUBLISHED)?|[0-9]+)": "a version's number, or $LATEST",
    r"(lambda:[*]|lambda:[a-zA-Z]+|[*])": "lambda: and the name of an action",
    r"\d{12}": "twelve digits",
    r"[0-9]+": "a version's number",
    r"[^\s]+": "no spaces",
}
WORDS_BEGIN = {
    "((arn:(aws[a-zA-Z-]*)?:lambda:(eusc-)?": "arn:aws:lambda:REGION:12-DIGIT-ACCOUNT:layer:NAME:VERSION",
    "(arn:(aws[a-zA-Z-]*)?:lambda:)?": "a function's name or ARN",
    "arn:(aws[a-zA-Z0-9-]*):": "an ARN",
}

dropped = []


def member(shape, name):
    """The member of a structure that is called so, however its letters are cased."""
    found = [known for known in shape.members if known.lower() == name.lower()]
    return found[0] if found else None


def limits(shape):
    """What a shape demands of its values. API Gateway's lengths and ranges are in the names of its shapes."""
    kind = {"string": "text", "integer": "number", "long": "number", "double": "number", "float": "number"}.get(
        shape.type_name, shape.type_name
    )
    if kind not in ("text", "number", "list", "map"):
        return None
    known = {"kind": kind}
    for key, name in [("min", "least"), ("max", "most"), ("pattern", "pattern"), ("enum", "one of")]:
        if key in shape.metadata:
            known[name] = shape.metadata[key]
    named = re.search(r"WithLengthBetween(Minus)?(\d+)And(\d+)(K?)$", shape.name)
    if named:
        known["least"] = int(named[2]) * (-1 if named[1] else 1)
        known["most"] = int(named[3]) * (1024 if named[4] else 1)
    values = re.search(r"Possible values are: ((?:\d+, )+and \d+)\.", shape.documentation)
    if kind == "number" and values:
        known["one of"] = re.findall(r"\d+", values[1])
    return known


def from_documentation(shape, known):
    """What a member's own documentation says in a form that can be read."""
    text = re.sub(r"<[^>]+>", "", shape.documentation)
    for form in [r"maximum allowed value is ([\d,]+) seconds\.", r"any whole number between [\d,]+ and ([\d,]+) MB"]:
        most = re.search(form, text)
        if most:
            known["most"] = int(most[1].replace(",", ""))
    variables = re.search(r"values must match (\[\S+\]\+)", text)
    return variables[1].replace("&amp;", "&") if variables else None


def translate(pattern, where):
    """The pattern as Rust's regex-lite reads it, and one that values must not have; (None, None) where it cannot be said."""
    refused = None
    start = re.match(r"\(\?!\^(.*?)\$\)", pattern)
    if start:
        refused, pattern = start[1], pattern[start.end() :]
    pattern = pattern.removeprefix("^").removesuffix("$") if pattern.startswith("^") else pattern
    if r"\p{" in pattern:
        # Without tables of Unicode, every character beyond ASCII passes.
        for name, ascii_of in [("L", "A-Za-z"), ("Z", " "), ("N", "0-9")]:
            pattern = pattern.replace(rf"\p{{{name}}}", ascii_of)
        pattern = re.sub(r"\[A-Za-z 0-9", r"[A-Za-z 0-9\\u{80}-\\u{10FFFF}", pattern)
        note(f"{where}: all characters beyond ASCII pass for letters, digits and spaces")
    pattern = re.sub(r"\\u([0-9A-F]{4})", r"\\u{\1}", pattern)
    if re.search(r"\(\?|\\p", pattern):
        note(f"{where}: dropped, {pattern}")
        return None, None
    if pattern in (".*", r"[\s\S]*"):
        return None, None
    return pattern, refused


def note(line):
    if line not in dropped:
        dropped.append(line)


def in_words(pattern):
    if pattern in WORDS:
        return WORDS[pattern]
    if r"\p{" in pattern:
        return "letters, digits, spaces and _.:/=+-@"
    for begin, words in WORDS_BEGIN.items():
        if pattern.startswith(begin):
            return words
    one = re.fullmatch(r"\(?\[((?:[^\]\\]|\\.)+)\][+*]\)?", pattern)
    if not one or one[1].startswith("^"):
        return None
    inside, said = one[1], []
    for part, words in [(r"\w", "letters, digits, _"), ("a-zA-Z", "letters"), ("A-Za-z", "letters"), ("0-9", "digits")]:
        if part in inside:
            inside = inside.replace(part, "", 1)
            said.append(words)
    if re.search(r"\\u", inside):
        return "plain text, without control characters"
    inside = inside.replace("\\", "")
    if re.search(r"\w-\w", inside):
        return None
    return ", ".join(said) + (f" and {' '.join(inside)}" if inside else "")


def rows(type_name):
    service, operations = TYPES[type_name]
    model = botocore.session.get_session().get_service_model(service)
    inputs = [model.operation_model(operation).input_shape for operation in operations]
    schema = PROVIDER_SCHEMA_MANAGER.get_resource_schema("us-east-1", type_name).schema
    found = {}

    def resolve(node):
        return schema["definitions"][node["$ref"].rsplit("/", 1)[1]] if "$ref" in node else node

    def add(path, shape, required=False):
        known = limits(shape) or {"kind": "any"}
        variables = from_documentation(shape, known)
        if required:
            known["required"] = "yes"
        extra, source = DOCUMENTED.get((type_name, path), ({}, None))
        known.update(extra)
        for of, name, what, _ in LEFT_OUT:
            if of in ("*", type_name) and (path == name or path.lower() == name.lower() or path.startswith(name + ".")):
                known = {key: value for key, value in known.items() if key == "kind" or what not in ("*", key)}
        if "pattern" in known:
            source_pattern = known.pop("pattern")
            pattern, refused = translate(source_pattern, f"{type_name} {path}")
            if pattern:
                known["pattern"] = pattern
                words = in_words(source_pattern) or in_words(pattern)
                if refused:
                    known["never"] = refused
                if words:
                    known["words"] = words + (", not digits alone" if refused == "[0-9]+" else "")
        if known.get("least") == 0 and known["kind"] != "number":
            del known["least"]
        if len(known) > 1:
            found[path] = known
        return variables

    def walk(path, node, shape, depth=0):
        node = resolve(node)
        if depth > 6 or shape is None:
            return
        tags = path == "Tags"
        if shape.type_name == "structure" and node.get("properties"):
            for name, below in sorted(node["properties"].items()):
                known = member(shape, name)
                at = f"{path}.{name}"
                if (type_name, at) in SHAPES:
                    add(at, model.shape_for(SHAPES[(type_name, at)]))
                elif known:
                    add(at, shape.members[known], known in shape.required_members)
                    walk(at, below, shape.members[known], depth + 1)
        elif tags and shape.type_name == "list":
            add(path + "{key}", shape.member.members["Key"])
            add(path + "{}", shape.member.members["Value"])
        elif shape.type_name == "list":
            add(path + "[]", shape.member)
            walk(path + "[]", node.get("items", {}), shape.member, depth + 1)
        elif shape.type_name == "map" and (tags or node.get("type") in ("object", ["object", "string"]) or "patternProperties" in node):
            add(path + "{key}", shape.key)
            add(path + "{}", shape.value)
            below = next(iter(node.get("patternProperties", {}).values()), None) or node.get("additionalProperties") or {}
            walk(path + "{}", below if isinstance(below, dict) else {}, shape.value, depth + 1)

    for name, node in sorted(schema["properties"].items()):
        if "/properties/" + name in schema.get("readOnlyProperties", []):
            continue
        given = [(shape, member(shape, name)) for shape in inputs if member(shape, name)]
        if (type_name, name) in SHAPES:
            add(name, model.shape_for(SHAPES[(type_name, name)]))
        elif given:
            shape, known = given[0]
            variables = add(name, shape.members[known], shape is inputs[0] and known in shape.required_members)
            walk(name, node, shape.members[known])
            if variables:
                key, value = found.setdefault(name + "{key}", {"kind": "text"}), found.setdefault(name + "{}", {"kind": "text"})
                key.update({"pattern": "[A-Za-z0-9_]+", "words": "letters, digits and _"})
                value.update({"pattern": variables.replace("]+", "]*"), "words": in_words(variables) or variables})
        else:
            note(f"{type_name} {name}: the service has no member of this name")
    for (of, path), shape in SHAPES.items():
        if of == type_name and path not in found:
            add(path, model.shape_for(shape))
    for (of, path), (extra, _) in DOCUMENTED.items():
        if of == type_name and path not in found:
            found[path] = dict(extra)
    # What is said of a structure is about the one number in it.
    for path in [path for path, known in found.items() if known["kind"] == "any" and "most" in known]:
        found[path + ".Size"]["most"] = found.pop(path)["most"]
    return found


def table():
    lines = []
    for type_name in sorted(TYPES):
        for path, known in sorted(rows(type_name).items()):
            cells = [type_name, path, known.pop("kind")]
            for key in ["required", "least", "most", "one of", "pattern", "never", "words"]:
                if key in known:
                    value = known[key]
                    value = "|".join(value) if isinstance(value, list) else f"{value:g}" if isinstance(value, float) else str(value)
                    assert "\t" not in value and "\n" not in value, value
                    cells.append(f"{key}={value}")
            lines.append("\t".join(cells))
    used = [f"{of} {path}: {json.dumps(extra)} ({source})" for (of, path), (extra, source) in DOCUMENTED.items()]
    left = [f"{of} {path}, {what}: {why}" for of, path, what, why in LEFT_OUT]
    header = [
        "What AWS's services demand of the properties that templates give. Written by make.py; do not edit.",
        "",
        f"Derived from the service models of botocore {botocore.__version__},",
        "Copyright 2012-2026 Amazon.com, Inc. or its affiliates. All Rights Reserved.",
        "Licensed under the Apache License, Version 2.0 (LICENSE-APACHE); changed: an extract, in another form.",
        "",
        "Columns: type, property ([] an element, {} a map's value, {key} its key), kind, constraints.",
        "",
        "From documentation, beyond the models:",
        *sorted(used),
        "Left out on purpose:",
        *sorted(left),
        "Loosened, dropped, or without a counterpart:",
        *sorted(dropped),
    ]
    return "".join(f"# {line}".rstrip() + "\n" for line in header) + "\n".join(lines) + "\n"


def managed_policies():
    """The paths and names of AWS's managed policies, as moto recorded them."""
    import moto
    from moto.iam.aws_managed_policies import aws_managed_policies_data

    prefix = "arn:aws:iam::aws:policy/"
    names = sorted(policy["Path"][1:] + name for name, policy in json.loads(aws_managed_policies_data).items())
    header = f"# AWS's managed policies, path and name: {prefix}... Written by make.py --policies from what moto {moto.__version__} has.\n"
    return header + "".join(f"{name}\n" for name in names)


def main():
    text, path = table(), HERE / "constraints.tsv"
    if "--check" in sys.argv:
        if path.read_text() != text:
            (pathlib.Path("constraints.tsv.new")).write_text(text)
            sys.exit(f"{path.name} is not what make.py writes: run it")
        print(f"{path.name}: {text.count(chr(10)) - text.count(chr(10) + '#') - 1} constraints, as botocore has them")
        return
    path.write_text(text)
    if "--policies" in sys.argv:
        (HERE.parents[1] / "iam/managed_policies.txt").write_text(managed_policies())


if __name__ == "__main__":
    main()
