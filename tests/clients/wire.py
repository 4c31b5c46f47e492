"""Parses requests from the wire with AWS's own service models, and validates them against these models.

botocore contains the models but checks little of them; the Rust SDK checks hardly anything. `read` turns a request into
an operation and its parameters, `violations` lists what AWS would reject: unknown and missing members, wrong types,
lengths, numbers and list sizes out of bounds, values outside their enum, text that does not match its pattern.
"""

import base64
import binascii
import functools
import json
from dataclasses import dataclass, field
from urllib.parse import parse_qsl, unquote

import botocore.session
import regex

from proxy import Exchange

# The signing names that differ from the services' names.
SIGNED_AS = {"apigateway": "apigatewayv2", "cloudcontrolapi": "cloudcontrol", "tagging": "resourcegroupstaggingapi"}


class Unreadable(Exception):
    """A request that is not in AWS's models."""


@dataclass
class Call:
    """An operation and its parameters, by the names of the service's model; `problems` are the parts that did not fit."""

    service: str
    operation: str
    parameters: dict
    status: int
    problems: list[str] = field(default_factory=list)

    def __str__(self):
        return f"{self.service}.{self.operation}"

    @property
    def mutates(self) -> bool:
        return not self.operation.startswith(("Describe", "Filter", "Get", "List"))


@functools.cache
def model(service):
    """The service's model, as botocore has it."""
    return botocore.session.get_session().get_service_model(service)


def read(exchange: Exchange) -> Call:
    """The operation of a request, with its parameters."""
    service = service_of(exchange)
    # Services may speak several; the SDK for Rust chooses JSON where it can.
    metadata = model(service).metadata
    protocols = metadata.get("protocols", [metadata["protocol"]])
    protocol = next(one for one in ("json", "query", "rest-json") if one in protocols)
    reader = {"json": read_json, "query": read_query, "rest-json": read_rest}[protocol]
    return reader(service, exchange)


def violations(call: Call) -> list[str]:
    """Everything that AWS's model of the operation does not allow."""
    shape = model(call.service).operation_model(call.operation).input_shape
    found = [f"{call}: {problem}" for problem in call.problems]
    if shape is not None:
        found += [f"{call}{problem}" for problem in check(shape, call.parameters, "")]
    elif call.parameters:
        found.append(f"{call} takes no parameters")
    return found


# -- Reading ----------------------------------------------------------------------------------------------------------


def service_of(exchange):
    credential = regex.search(r"Credential=[^/]+/\d{8}/[^/]+/([^/]+)/aws4_request", exchange.headers.get("authorization", ""))
    if not credential:
        raise Unreadable(f"{exchange.method} {exchange.target} is not signed")
    return SIGNED_AS.get(credential[1], credential[1])


def read_json(service, exchange):
    prefix, _, operation = exchange.headers.get("x-amz-target", "").rpartition(".")
    if prefix != model(service).metadata["targetPrefix"] or operation not in model(service).operation_names:
        raise Unreadable(f"{service} has no target {exchange.headers.get('x-amz-target')}")
    call = Call(service, operation, {}, exchange.status)
    shape = model(service).operation_model(operation).input_shape
    call.parameters = from_json(shape, json.loads(exchange.body or b"{}"), "", call.problems)
    return call


def read_query(service, exchange):
    fields = dict(parse_qsl(exchange.body.decode(), keep_blank_values=True))
    operation = fields.pop("Action", None)
    if operation not in model(service).operation_names:
        raise Unreadable(f"{service} has no action {operation}")
    call = Call(service, operation, {}, exchange.status)
    version = fields.pop("Version", None)
    if version != model(service).api_version:
        call.problems.append(f"Version is {version}, not {model(service).api_version}")
    shape = model(service).operation_model(operation).input_shape
    if shape is not None:
        call.parameters = from_form(shape, fields, "", call.problems)
    call.problems += [f"unknown field {name}" for name in fields]
    return call


def read_rest(service, exchange):
    path, _, query = exchange.target.partition("?")
    query = dict(parse_qsl(query, keep_blank_values=True))
    operation, labels = find_operation(service, exchange.method, path, query)
    call = Call(service, operation, {}, exchange.status)
    shape = model(service).operation_model(operation).input_shape
    body = {}
    if shape is None:
        return call
    if "payload" in shape.serialization:
        payload = shape.serialization["payload"]
        member = shape.members[payload]
        is_document = member.type_name == "structure"
        call.parameters[payload] = (
            from_json(member, json.loads(exchange.body), f".{payload}", call.problems) if is_document else exchange.body
        )
    elif exchange.body:
        body = json.loads(exchange.body)
    for name, member in shape.members.items():
        sent_as = member.serialization.get("name", name)
        match member.serialization.get("location"):
            case "uri":
                call.parameters[name] = from_text(member, labels.pop(sent_as), f".{name}", call.problems)
            case "querystring" if member.type_name == "list":
                values = [value for key, value in parse_qsl(exchange.target.partition("?")[2]) if key == sent_as]
                if values:
                    call.parameters[name] = values
                    query.pop(sent_as)
            case "querystring" if sent_as in query:
                call.parameters[name] = from_text(member, query.pop(sent_as), f".{name}", call.problems)
            case "header" if sent_as.lower() in exchange.headers:
                call.parameters[name] = from_text(member, exchange.headers[sent_as.lower()], f".{name}", call.problems)
            case None if sent_as in body:
                call.parameters[name] = from_json(member, body.pop(sent_as), f".{name}", call.problems)
    call.problems += [f"unknown member {name}" for name in body]
    call.problems += [f"unknown query parameter {name}" for name in query]
    return call


@functools.cache
def routes(service):
    """The service's operations with their methods, paths and what their queries must say, the most specific first."""
    found = []
    for name in model(service).operation_names:
        http = model(service).operation_model(name).http
        path, _, query = http["requestUri"].partition("?")
        pattern = regex.sub(r"\\\{([^}]+?)(\\\+)?\\\}", lambda label: f"({'.+' if label[2] else '[^/]+'})", regex.escape(path))
        labels = regex.findall(r"\{([^}+]+)\+?\}", path)
        said = dict(parse_qsl(query, keep_blank_values=True))
        found.append((len(labels), http["method"], regex.compile(pattern + "/?"), labels, said, name))
    return sorted(found, key=lambda route: (route[0], -len(route[4])))


def find_operation(service, method, path, query):
    """The operation and the labels of its path. What the operation's query always says is taken out of `query`."""
    for _, verb, pattern, labels, said, name in routes(service):
        if verb == method and said.items() <= query.items() and (match := pattern.fullmatch(path)):
            for key in said:
                del query[key]
            return name, dict(zip(labels, map(unquote, match.groups())))
    raise Unreadable(f"{service} has no operation {method} {path}")


def from_text(shape, text, path, problems):
    """A value of a path, a query or a header."""
    try:
        match shape.type_name:
            case "integer" | "long":
                return int(text)
            case "float" | "double":
                return float(text)
            case "boolean":
                return {"true": True, "false": False}[text]
    except (KeyError, ValueError):
        problems.append(f"{path} is no {shape.type_name}: {text!r}")
    return text


def from_json(shape, value, path, problems):
    """A JSON value by the names of the model; members that are not in the model are problems."""
    match shape.type_name, value:
        case "structure", dict():
            names = {member.serialization.get("name", name): name for name, member in shape.members.items()}
            problems += [f"unknown member {path}.{name}" for name in value if name not in names]
            return {
                names[key]: from_json(shape.members[names[key]], inner, f"{path}.{names[key]}", problems)
                for key, inner in value.items()
                if key in names
            }
        case "list", list():
            return [from_json(shape.member, inner, f"{path}[{at}]", problems) for at, inner in enumerate(value)]
        case "map", dict():
            return {key: from_json(shape.value, inner, f"{path}.{key}", problems) for key, inner in value.items()}
        case "blob", str():
            try:
                return base64.b64decode(value, validate=True)
            except binascii.Error:
                problems.append(f"{path} is not base64")
    return value


def from_form(shape, fields, prefix, problems):
    """A value of the query protocol: takes what is below `prefix` out of `fields`."""
    below = [name for name in fields if name.startswith(prefix + ".")] if prefix else list(fields)
    match shape.type_name:
        case "structure":
            found = {}
            for name, member in shape.members.items():
                key = f"{prefix}.{sent_name(name, member)}".lstrip(".")
                if any(field == key or field.startswith(key + ".") for field in below):
                    found[name] = from_form(member, fields, key, problems)
            return found
        case "list":
            # An empty list is sent as an empty field.
            if fields.get(prefix) == "":
                del fields[prefix]
            flattened = shape.serialization.get("flattened")
            inner = prefix if flattened else f"{prefix}.{shape.member.serialization.get('name', 'member')}"
            return [from_form(shape.member, fields, key, problems) for key in numbered(fields, inner)]
        case "map":
            inner = prefix if shape.serialization.get("flattened") else f"{prefix}.entry"
            name, value = shape.key.serialization.get("name", "key"), shape.value.serialization.get("name", "value")
            return {
                from_form(shape.key, fields, f"{key}.{name}", problems): from_form(
                    shape.value, fields, f"{key}.{value}", problems
                )
                for key in numbered(fields, inner)
            }
    return from_text(shape, fields.pop(prefix, ""), prefix, problems)


def sent_name(name, member):
    if member.type_name == "list" and member.serialization.get("flattened"):
        return member.member.serialization.get("name") or member.serialization.get("name", name)
    return member.serialization.get("name", name)


def numbered(fields, prefix):
    """`prefix.1`, `prefix.2` and so on, as long as there are fields below."""
    at = 1
    while any(name == f"{prefix}.{at}" or name.startswith(f"{prefix}.{at}.") for name in list(fields)):
        yield f"{prefix}.{at}"
        at += 1


# -- Checking ---------------------------------------------------------------------------------------------------------

TYPES = {
    "boolean": bool,
    "blob": bytes,
    "double": (int, float),
    "float": (int, float),
    "integer": int,
    "list": list,
    "long": int,
    "map": dict,
    "string": str,
    "structure": dict,
}


def check(shape, value, path):
    """The shape's violations by the value, as texts that begin with the path."""
    wanted = TYPES.get(shape.type_name)
    mistaken = isinstance(value, bool) and shape.type_name != "boolean"
    if wanted and (mistaken or not isinstance(value, wanted)):
        yield f"{path}: {value!r} is no {shape.type_name} ({shape.name})"
        return
    yield from check_bounds(shape, value, path)
    match shape.type_name:
        case "structure":
            for name in shape.required_members:
                if name not in value:
                    yield f"{path}: {name} is missing ({shape.name})"
            if shape.is_tagged_union and len(value) != 1:
                yield f"{path}: just one member may be set, not {sorted(value)} ({shape.name})"
            for name, inner in value.items():
                yield from check(shape.members[name], inner, f"{path}.{name}")
        case "list":
            for at, inner in enumerate(value):
                yield from check(shape.member, inner, f"{path}[{at}]")
        case "map":
            for key, inner in value.items():
                yield from check(shape.key, key, f"{path}.{key} (the key)")
                yield from check(shape.value, inner, f"{path}.{key}")
        case "string":
            if shape.enum and value not in shape.enum:
                yield f"{path}: {value!r} is none of {', '.join(shape.enum)} ({shape.name})"
            if pattern := pattern_of(shape):
                if not pattern.fullmatch(value):
                    yield f"{path}: {value!r} does not match {pattern.pattern} ({shape.name})"


def check_bounds(shape, value, path):
    least, most = bounds(shape)
    size = value if shape.type_name in ("integer", "long", "float", "double") else None
    if size is None and isinstance(value, (str, bytes, list, dict)):
        size = len(value)
    if least is not None and size < least:
        yield f"{path}: {size} is less than {least} ({shape.name})"
    if most is not None and size > most:
        yield f"{path}: {size} is more than {most} ({shape.name})"


def raw(shape):
    """The shape from the model file, because `metadata` has no patterns."""
    return shape._shape_model


def bounds(shape):
    """The minimum and the maximum: of a number's value, or of the length of other values."""
    # API Gateway's model has the bounds of many strings only in their names.
    named = regex.fullmatch(r"(?:String|Uri)WithLengthBetween(\d+)And(\d+)(K?)", shape.name)
    if named:
        return int(named[1]), int(named[2]) * (1024 if named[3] else 1)
    return raw(shape).get("min"), raw(shape).get("max")


def pattern_of(shape):
    text = raw(shape).get("pattern")
    return compiled(text) if text else None


@functools.cache
def compiled(text):
    # The patterns are Java's, where \w and \d are ASCII and a pattern is to match the whole text.
    return regex.compile(text, regex.ASCII)
