"""A reader of SAM templates, only for `templates/chat.yaml`, and independent of the one under test."""

import re
from pathlib import Path

import yaml

FUNCTIONS = {"AWS::Serverless::Function", "AWS::Lambda::Function"}


class Loader(yaml.SafeLoader):
    """YAML with CloudFormation's short forms."""


def short_form(loader, tag, node):
    value = loader.construct_scalar(node) if isinstance(node, yaml.ScalarNode) else loader.construct_sequence(node, True)
    if tag == "Ref":
        return {"Ref": value}
    return {f"Fn::{tag}": value.split(".", 1) if tag == "GetAtt" else value}


Loader.add_multi_constructor("!", short_form)


class Template:
    """`ids` are the values of `Ref`, by logical id; `attributes` are those of `GetAtt`, by `Logical.Attribute`."""

    def __init__(self, path: Path, ids: dict[str, str]):
        document = yaml.load(path.read_text(), Loader)
        self.resources = document["Resources"]
        self.outputs = document["Outputs"]
        self.ids = ids
        self.attributes: dict[str, str] = {}

    def of_type(self, *types):
        """The logical ids of a type, with their resolved properties."""
        for logical_id, resource in self.resources.items():
            if resource["Type"] in types:
                yield logical_id, self.resolve(resource.get("Properties", {}))

    def resolve(self, value):
        match value:
            case {"Ref": name}:
                return self.ids[name]
            case {"Fn::GetAtt": [name, attribute]}:
                return self.attributes[f"{name}.{attribute}"]
            case {"Fn::Sub": str(text)}:
                return re.sub(r"\$\{([^}]+)\}", lambda found: self.named(found[1]), text)
            case dict():
                return {key: self.resolve(inner) for key, inner in value.items()}
            case list():
                return [self.resolve(inner) for inner in value]
        return value

    def named(self, name):
        return self.attributes[name] if "." in name else self.ids[name]
