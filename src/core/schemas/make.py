#!/usr/bin/env python3
"""Writes src/core/schemas/schemas.bin: of every resource type that AWS Cloud Control can create, read and delete, what
wschat and its local cloud must know to do so.

It comes from the resource schemas in cfn-lint (MIT-0, Copyright Amazon.com, Inc. or its affiliates), with its corrections.
One line a type, in the order of names: the name, a tab, JSON (below). The lines are cut into parts at the borders of services
and compressed (zlib), since a run needs a few services and not a thousand types. The file begins with a text: a line on
its origin and licence, then a line for each part: its number of bytes, how many they become, the names of its types. An empty
line ends it.

    make.py            writes the file
    make.py --check    fails if it is not what this cfn-lint says
    make.py TYPE       prints a type's line

A type: `p` properties by name, `d` definitions by name, `q` required, `c` create-only, `r` read-only, `w` write-only
(paths: A.B), `i` primary identifier, `n` the property that is its name, unique among those of an account, `t` the property
with the tags, `h` the IAM actions of each handler that there is, `l` what a list of its resources must be told: alternatives,
each the properties of the model that a `ListResources` call takes along.

A shape: "s" text, "i" integer, "n" number, "b" boolean, "j" anything, "J" a JSON document (a map, or its text), "#Name" a
definition; {"l": shape} a list in order, {"u": shape} a list in any order, {"m": shape} a map, {"o": {name: shape}, "q":
[required]} an object, with "D": 1 if its text will do, too. A text may be {"s": {"e": [values]}}, and what is a name
{"s": {"x": longest, "p": pattern}}.
"""

import json
import pathlib
import re
import sys
import zlib

from cfnlint.schema.manager import PROVIDER_SCHEMA_MANAGER
from cfnlint.version import __version__

FOLDER = pathlib.Path(__file__).resolve().parent
FILE = FOLDER / "schemas.bin"
HEADER = f"""\
From the resource schemas of cfn-lint {__version__} (https://github.com/aws-cloudformation/cfn-lint), Copyright Amazon.com, Inc. or \
its affiliates. Licensed under MIT-0. Written by make.py.
"""

# The region whose schemas are taken: it has every type.
REGION = "us-east-1"
# How many bytes of lines a part has at least.
PART = 1 << 18
SCALARS = {"string": "s", "integer": "i", "number": "n", "boolean": "b"}


def kinds(node):
    given = node.get("type", [])
    return given if isinstance(given, list) else [given]


def path_of(pointer):
    """`/properties/A/*/B` as `A.B`."""
    return ".".join(step for step in pointer.removeprefix("/properties/").split("/") if step not in ("*", "properties", "items"))


class Type:
    def __init__(self, name):
        self.name = name
        self.schema = PROVIDER_SCHEMA_MANAGER.get_resource_schema(REGION, name).schema
        self.definitions = {}

    def target(self, reference):
        node = self.schema
        for step in reference.removeprefix("#/").split("/"):
            node = node[step.replace("~1", "/")]
        return node

    def is_wanted(self):
        handlers = self.schema.get("handlers", {})
        return {"create", "read", "delete"} <= set(handlers) and self.schema.get("primaryIdentifier")

    def shape(self, node, top=False):
        if "$ref" in node:
            name = node["$ref"].removeprefix("#/definitions/").removeprefix("#/")
            target = self.target(node["$ref"])
            if set(kinds(target)) & {"object", "array"} or "properties" in target:
                if name not in self.definitions:
                    self.definitions[name] = None
                    self.definitions[name] = self.shape(target)
                return "#" + name
            return self.shape({**target, **{key: value for key, value in node.items() if key != "$ref"}}, top)
        types = [kind for kind in kinds(node) if kind != "null"]
        choices = node.get("anyOf", []) + node.get("oneOf", [])
        if not types and not node.get("properties") and choices:
            shapes = []
            for choice in choices:
                found = self.shape(choice, top)
                shapes += [found] if found not in shapes else []
            return shapes[0] if len(shapes) == 1 else merged(shapes)
        if len(types) > 1:
            if "array" in types:
                # For old templates some lists may be one element, or a map.
                return self.shape({**node, "type": "array"}) if node.get("items") else "j"
            if "object" in types and "string" in types:
                # A document, or its text.
                made = self.shape({**node, "type": "object"})
                return {**made, "D": 1} if isinstance(made, dict) and "o" in made else "J"
            if "object" in types:
                return "j"
            return "s" if "string" in types else "n"
        kind = types[0] if types else "object" if "properties" in node else "any"
        if kind == "object":
            properties = dict(node.get("properties", {}))
            for choice in choices:
                properties.update({name: below for name, below in self.choice(choice).items() if name not in properties})
            if properties:
                made = {"o": {name: self.shape(below) for name, below in sorted(properties.items())}}
                required = sorted(set(node.get("required", [])) & set(properties))
                return {**made, "q": required} if required else made
            patterns = [value for value in node.get("patternProperties", {}).values() if isinstance(value, dict)]
            if len(patterns) == 1:
                return {"m": self.shape(patterns[0])}
            if isinstance(node.get("additionalProperties"), dict):
                return {"m": self.shape(node["additionalProperties"])}
            return "j"
        if kind == "array":
            items = node.get("items")
            inside = self.shape(items) if isinstance(items, dict) else "j"
            return {"u" if node.get("insertionOrder") is False else "l": inside}
        if kind == "string":
            facts = {}
            if node.get("enum") and len(node["enum"]) <= 60:
                facts["e"] = sorted(str(value) for value in node["enum"])
            if top and node.get("maxLength"):
                facts["x"] = node["maxLength"]
            if top and node.get("pattern"):
                facts["p"] = node["pattern"]
            return {"s": facts} if facts else "s"
        return SCALARS.get(kind, "j")

    def choice(self, node):
        """The properties that one of several choices has."""
        if "$ref" in node:
            return self.choice(self.target(node["$ref"]))
        found = dict(node.get("properties", {}))
        for below in node.get("anyOf", []) + node.get("oneOf", []):
            found.update(self.choice(below))
        return found

    def name_property(self):
        """The property that names it, if there is one that AWS cannot change and that no template must give."""
        schema = self.schema
        paths = {key: {path_of(pointer) for pointer in schema.get(key, [])} for key in ("createOnlyProperties", "readOnlyProperties", "primaryIdentifier")}
        short = self.name.split("::")[2]

        def names(name):
            ends = re.fullmatch(r"(.*)Name", name)
            return ends and short.lower().endswith(ends[1].lower()) or paths["primaryIdentifier"] == {name}

        found = [
            name
            for name, node in schema["properties"].items()
            if kinds(node) == ["string"]
            and name in paths["createOnlyProperties"] | paths["primaryIdentifier"]
            and name not in paths["readOnlyProperties"]
            and name not in schema.get("required", [])
            and len(schema["primaryIdentifier"]) == 1
            and names(name)
        ]
        # Of several the one that is the identifier.
        return next(iter(sorted(found, key=lambda name: name not in paths["primaryIdentifier"])), None)

    def tag_property(self):
        tagging = self.schema.get("tagging", {})
        taggable = tagging.get("taggable", self.schema.get("taggable", False)) and tagging.get("tagOnCreate", True)
        name = path_of(tagging.get("tagProperty", "/properties/Tags"))
        return name if taggable and name in self.schema["properties"] and self.tag_form(self.schema["properties"][name]) else None

    def list_models(self):
        """The sets of properties of which a list needs one; none where it needs nothing."""
        model = self.schema["handlers"].get("list", {}).get("handlerSchema", {})
        every = model.get("required", [])
        choices = [choice.get("required", []) for choice in model.get("oneOf", []) + model.get("anyOf", [])] or [[]]
        found = [sorted({*every, *choice}) for choice in choices]
        # What is no property, such as a list of all ids that are sought, no template gives.
        return [] if [] in found else sorted(choice for choice in found if set(choice) <= set(self.schema["properties"])) or found

    def tag_form(self, node):
        """Whether tags are a list of Key and Value, or a map of texts."""
        shape = self.shape(node)
        shape = self.definitions[shape[1:]] if isinstance(shape, str) and shape.startswith("#") else shape
        if isinstance(shape, dict) and ({"l", "u"} & set(shape)):
            item = shape.get("l", shape.get("u"))
            item = self.definitions[item[1:]] if isinstance(item, str) and item.startswith("#") else item
            return isinstance(item, dict) and set(item.get("o", {})) == {"Key", "Value"}
        return shape == "j" or isinstance(shape, dict) and "m" in shape

    def line(self):
        schema = self.schema
        made = {"p": {name: self.shape(node, name == self.name_property()) for name, node in sorted(schema["properties"].items())}}
        tags = self.tag_property()
        used = set()

        def visit(shape):
            if isinstance(shape, str) and shape.startswith("#") and shape not in used:
                used.add(shape)
                visit(self.definitions[shape[1:]])
            elif isinstance(shape, dict):
                for key, value in shape.items():
                    for below in value.values() if key == "o" else [value] if key in "lum" else []:
                        visit(below)

        for shape in made["p"].values():
            visit(shape)
        made["d"] = {name: shape for name, shape in sorted(self.definitions.items()) if "#" + name in used}
        made["q"] = sorted(set(schema.get("required", [])) & set(schema["properties"]))
        paths = {
            "c": "createOnlyProperties",
            "r": "readOnlyProperties",
            "w": "writeOnlyProperties",
            "i": "primaryIdentifier",
        }
        for key, name in paths.items():
            found = [path_of(pointer) for pointer in schema.get(name, [])]
            made[key] = found if key == "i" else sorted(set(found))
        made["n"] = self.name_property()
        made["t"] = tags
        made["l"] = self.list_models()
        made["h"] = {name: sorted(set(handler.get("permissions", []))) for name, handler in sorted(schema["handlers"].items())}
        made = {key: value for key, value in made.items() if value}
        return f"{self.name}\t{json.dumps(made, separators=(',', ':'), sort_keys=False)}\n"


def merged(shapes):
    """One shape for a choice of several."""
    objects = [shape for shape in shapes if isinstance(shape, dict) and "o" in shape]
    if len(objects) == len(shapes):
        return {"o": {name: below for shape in objects for name, below in shape["o"].items()}}
    if all(shape in ("s", "i", "n", "b") or isinstance(shape, dict) and "s" in shape for shape in shapes):
        return "s"
    return "j"


def ours():
    """The types that wschat provisions itself."""
    for file in (FOLDER.parent / "types").glob("*.rs"):
        yield from re.findall(r'^pub const [A-Z_]+: &str = "(AWS::.*)";$', file.read_text(), re.MULTILINE)


def lines():
    own = set(ours())
    for name in sorted(PROVIDER_SCHEMA_MANAGER.get_resource_types(REGION)):
        if name.startswith("AWS::") and not name.startswith("AWS::Serverless::") and name not in own:
            found = Type(name)
            if found.is_wanted():
                yield name, found.line()


def parts():
    part, names, service = "", [], ""
    for name, line in lines():
        if name.split("::")[1] != service and len(part) >= PART:
            yield names, part
            part, names = "", []
        service = name.split("::")[1]
        part, names = part + line, [*names, name]
    yield names, part


def read(data):
    """The text before the parts, without their sizes, and the lines in them: compressed bytes differ between versions of zlib."""
    head, _, rest = data.partition(b"\n\n")
    found, text = [], head.decode().splitlines()
    for line in text[1:]:
        size = int(line.split(" ", 1)[0])
        found.append(zlib.decompress(rest[:size]).decode())
        rest = rest[size:]
    return [line.split(" ", 1)[-1] for line in text[1:]], text[0], "".join(found)


def whole():
    head, bodies = HEADER, []
    for names, text in parts():
        body = zlib.compress(text.encode(), 9)
        head += f"{len(body)} {len(text.encode())} {' '.join(name.removeprefix('AWS::') for name in names)}\n"
        bodies.append(body)
    return head.encode() + b"\n" + b"".join(bodies)


if sys.argv[1:2] == ["--check"]:
    if not FILE.exists() or read(FILE.read_bytes()) != read(whole()):
        sys.exit(f"{FILE.name} is not what cfn-lint says: run src/core/schemas/make.py")
elif sys.argv[1:]:
    print(Type(sys.argv[1]).line(), end="")
else:
    FILE.write_bytes(whole())
