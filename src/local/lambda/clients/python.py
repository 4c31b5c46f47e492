"""What runs a Python handler here: between Lambda's Runtime API and the function that _HANDLER names.

What handlers and logs can see of it is as in AWS's own runtime (awslambdaric 4.2 is the measure).
"""

import decimal
import http.client
import importlib
import json
import logging
import os
import site
import socket
import sys
import time
import traceback
from types import SimpleNamespace

ENVIRONMENT = os.environ
JSON_LOGS = ENVIRONMENT.get("AWS_LAMBDA_LOG_FORMAT") == "JSON"
# From 3.12 on, answers are not escaped to ASCII.
ASCII = ENVIRONMENT.get("AWS_EXECUTION_ENV", "").rpartition("python")[2] in ("3.8", "3.9", "3.10", "3.11")
NO_BREAK_SPACE = "\u00a0"


class Fault(Exception):
    """Something that is wrong with the function rather than in it."""

    def __init__(self, kind, message, trace=()):
        super().__init__(message)
        self.kind, self.trace = "Runtime." + kind, list(trace)


class Api:
    """The Runtime API."""

    def __init__(self):
        self.connection = http.client.HTTPConnection(ENVIRONMENT["AWS_LAMBDA_RUNTIME_API"])

    def call(self, method, path, body=None, headers={}):
        self.connection.request(method, "/2018-06-01/runtime" + path, body, headers)
        response = self.connection.getresponse()
        return response.headers, response.read()

    def fail(self, path, document):
        headers = {"Lambda-Runtime-Function-Error-Type": document["errorType"], "Content-Type": "application/json"}
        self.call("POST", path, encode(document), headers)


class Encoder(json.JSONEncoder):
    def default(self, value):
        if isinstance(value, decimal.Decimal):
            return int(value) if value.is_finite() and value == value.to_integral_value() else float(value)
        return super().default(value)


def encode(value):
    return Encoder(ensure_ascii=ASCII).encode(value).encode()


# --- Logs ---


class Unbuffered:
    """A stream whose text is written at once: a process that is killed has said all it said."""

    def __init__(self, stream):
        self.stream = stream

    def __getattr__(self, name):
        return getattr(self.stream, name)

    def write(self, text):
        self.stream.write(text)
        self.stream.flush()

    def writelines(self, lines):
        self.stream.writelines(lines)
        self.stream.flush()


def write_event(text):
    """Writes what is one event in the log, however many lines it has: the local cloud turns these back."""
    sys.stdout.write(text.rstrip("\n").replace("\n", "\r") + "\n")


class Handler(logging.Handler):
    """Where the root logger's records go."""

    request_id = ""

    def emit(self, record):
        record.aws_request_id = self.request_id
        write_event(self.format(record))


class JsonFormatter(logging.Formatter):
    OWN = set(vars(logging.makeLogRecord({}))) | {"message", "asctime", "aws_request_id"}

    def format(self, record):
        error = record.exc_info
        plain = isinstance(record.msg, dict) and not record.args
        entry = {
            "timestamp": self.formatTime(record, "%Y-%m-%dT%H:%M:%SZ"),
            "level": record.levelname,
            "message": record.msg if plain else record.getMessage(),
            "logger": record.name,
            "stackTrace": traceback.format_tb(error[2]) if error else None,
            "errorType": error[0].__name__ if error else None,
            "errorMessage": str(error[1]) if error else None,
            "requestId": record.aws_request_id,
            "location": f"{record.pathname}:{record.funcName}:{record.lineno}" if error else None,
        }
        extra = {name: value for name, value in vars(record).items() if name not in self.OWN and name not in entry}
        shown = {name: value for name, value in {**entry, **extra}.items() if value is not None}
        return json.dumps(shown, ensure_ascii=False, default=str)


def set_up_logs():
    sys.stdout, sys.stderr = Unbuffered(sys.stdout), Unbuffered(sys.stderr)
    logging.Formatter.converter = time.gmtime
    handler = Handler()
    if JSON_LOGS:
        handler.setFormatter(JsonFormatter())
    else:
        form = "[%(levelname)s]\t%(asctime)s.%(msecs)03dZ\t%(aws_request_id)s\t%(message)s"
        handler.setFormatter(logging.Formatter(form, "%Y-%m-%dT%H:%M:%S"))
    root = logging.getLogger()
    root.addHandler(handler)
    level = ENVIRONMENT.get("AWS_LAMBDA_LOG_LEVEL", "").upper().replace("TRACE", "DEBUG").replace("FATAL", "CRITICAL")
    if level in ("DEBUG", "INFO", "WARN", "WARNING", "ERROR", "CRITICAL"):
        root.setLevel(level)


# --- Errors ---


def describe(error, request_id=""):
    """An error as Lambda answers it."""
    if isinstance(error, Fault):
        kind, trace = error.kind, error.trace
    else:
        kind = type(error).__name__
        frames = traceback.extract_tb(error.__traceback__)
        while frames and frames[0].filename == __file__:
            frames.pop(0)
        trace = traceback.format_list(frames)
    return {"errorMessage": str(error), "errorType": kind, "requestId": request_id, "stackTrace": trace}


def log_error(document):
    if JSON_LOGS:
        stamp = {"timestamp": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()), "level": "ERROR"}
        write_event(json.dumps({**stamp, **document}, ensure_ascii=False))
        return
    lines = [": ".join(part for part in ("[ERROR] " + document["errorType"], document["errorMessage"]) if part)]
    lines.append("Traceback (most recent call last):")
    for line in "\n".join(entry.rstrip("\n") for entry in document["stackTrace"]).splitlines():
        text = line.lstrip(" ")
        # Spaces at the start of a line would not be seen in the console.
        lines.append(NO_BREAK_SPACE * (len(line) - len(text)) + text)
    write_event("\n".join(lines))


# --- The handler ---


def load(name):
    """Finds what _HANDLER names: `folder/module.function`."""
    module_name, dot, function_name = name.rpartition(".")
    if not dot:
        raise Fault("MalformedHandlerName", f"Bad handler '{name}': it has no dot between module and function")
    if module_name.split(".")[0] in sys.builtin_module_names:
        raise Fault("BuiltInModuleConflict", f"Cannot use built-in module {module_name} as a handler module")
    try:
        module = importlib.import_module(module_name.replace("/", "."))
    except ImportError as error:
        raise Fault("ImportModuleError", f"Unable to import module '{module_name}': {error}")
    except SyntaxError as error:
        trace = [f'  File "{error.filename}" Line {error.lineno}\n    {error.text}']
        raise Fault("UserCodeSyntaxError", f"Syntax error in module '{module_name}': {error}", trace)
    try:
        return getattr(module, function_name)
    except AttributeError:
        raise Fault("HandlerNotFound", f"Handler '{function_name}' missing on module '{module_name}'")


def parsed(text, what):
    try:
        return json.loads(text)
    except ValueError as error:
        raise Fault("LambdaContextUnmarshalError", f"Unable to parse {what} JSON: {error}")


class Context:
    """What a handler is told of its function and of this invocation."""

    def __init__(self, head):
        self.aws_request_id = head["Lambda-Runtime-Aws-Request-Id"]
        self.invoked_function_arn = head["Lambda-Runtime-Invoked-Function-Arn"]
        self.function_name = ENVIRONMENT.get("AWS_LAMBDA_FUNCTION_NAME")
        self.function_version = ENVIRONMENT.get("AWS_LAMBDA_FUNCTION_VERSION")
        self.memory_limit_in_mb = ENVIRONMENT.get("AWS_LAMBDA_FUNCTION_MEMORY_SIZE")
        self.log_group_name = ENVIRONMENT.get("AWS_LAMBDA_LOG_GROUP_NAME")
        self.log_stream_name = ENVIRONMENT.get("AWS_LAMBDA_LOG_STREAM_NAME")
        self.client_context = None
        given = head["Lambda-Runtime-Client-Context"]
        if given:
            given = parsed(given, "Client Context")
            client = given.get("client") or {}
            names = ("installation_id", "app_title", "app_version_name", "app_version_code", "app_package_name")
            self.client_context = SimpleNamespace(
                custom=given.get("custom"),
                env=given.get("env"),
                client=SimpleNamespace(**{name: client.get(name) for name in names}),
            )
        identity = head["Lambda-Runtime-Cognito-Identity"]
        identity = parsed(identity, "Cognito Identity") if identity else {}
        self.identity = SimpleNamespace(
            cognito_identity_id=identity.get("cognitoIdentityId"),
            cognito_identity_pool_id=identity.get("cognitoIdentityPoolId"),
        )
        self._deadline = int(head["Lambda-Runtime-Deadline-Ms"])

    def get_remaining_time_in_millis(self):
        return max(self._deadline - int(time.time() * 1000), 0)

    def log(self, message):
        write_event(str(message))


def answer(handler, head, body):
    """What the handler returns, as JSON."""
    context = Context(head)
    try:
        event = json.loads(body)
    except ValueError as error:
        raise Fault("UnmarshalError", f"Unable to unmarshal input: {error}")
    result = handler(event, context)
    if isinstance(result, bytes):
        return result
    try:
        return encode(result)
    except Exception as error:
        raise Fault("MarshalError", f"Unable to marshal response: {error}")


def keep_bytecode(folder):
    """Has what Python compiles of the code kept in a folder, for the next start: beside the code nothing can be written."""
    root = ENVIRONMENT["LAMBDA_TASK_ROOT"] + os.sep
    loading = getattr(importlib, "_bootstrap_external", None)
    beside = getattr(loading, "cache_from_source", None)
    if beside is None:
        return

    def place(path, *arguments, **named):
        kept = beside(path, *arguments, **named)
        return os.path.join(folder, kept[len(root) :]) if kept.startswith(root) else kept

    loading.cache_from_source = place


def set_up_path():
    """Code first, then what Python brings, then the SDK that Lambda brings; nothing of this machine's packages."""
    here = os.path.dirname(os.path.abspath(__file__))
    sys.path[0] = ENVIRONMENT["LAMBDA_TASK_ROOT"]
    sys.path.append(os.path.join(os.path.dirname(here), "python%d.%d" % sys.version_info[:2]))
    # `exit` and `quit`, which come with the packages.
    site.setquit()


def lead_to_apis(port, *names):
    """Leads connections to this cloud's APIs, by the names that these have on AWS, to where they are.

    The certificate that the server shows there is for the name.
    """
    look_up = socket.getaddrinfo

    def led(host, service, *arguments, **named):
        name = host.decode() if isinstance(host, bytes) else host
        if str(service) in ("443", "https") and isinstance(name, str) and name.lower() in names:
            host, service = "127.0.0.1", int(port)
        return look_up(host, service, *arguments, **named)

    socket.getaddrinfo = led


def main():
    keep_bytecode(sys.argv.pop())
    set_up_path()
    lead_to_apis(*ENVIRONMENT.pop("_WSCHAT_APIS", "0").split())
    set_up_logs()
    api = Api()
    try:
        handler = load(ENVIRONMENT["_HANDLER"])
    except Exception as error:
        document = describe(error)
        log_error(document)
        api.fail("/init/error", document)
        sys.exit(1)
    while True:
        head, body = api.call("GET", "/invocation/next")
        request_id = Handler.request_id = head["Lambda-Runtime-Aws-Request-Id"]
        ENVIRONMENT["_X_AMZN_TRACE_ID"] = head["Lambda-Runtime-Trace-Id"] or ""
        target = "/invocation/" + request_id
        try:
            result = answer(handler, head, body)
        except Exception as error:
            document = describe(error, request_id)
            log_error(document)
            api.fail(target + "/error", document)
        else:
            api.call("POST", target + "/response", result, {"Content-Type": "application/json"})


if __name__ == "__main__":
    main()
