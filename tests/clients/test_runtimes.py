"""Node and Python code in the local cloud: run like Lambda's managed runtimes, with this machine's interpreters.

The expected behaviour is that of AWS's own runtime clients, which are public: aws-lambda-ric and awslambdaric.
"""

import concurrent.futures
import io
import json
import re
import time
import zipfile

import pytest
from botocore.exceptions import ClientError

from harness import REGION, LocalCloud, wait_until

TRUST = json.dumps({
    "Version": "2012-10-17",
    "Statement": {"Effect": "Allow", "Principal": {"Service": "lambda.amazonaws.com"}, "Action": "sts:AssumeRole"},
})
LOGS = json.dumps({"Version": "2012-10-17", "Statement": {"Effect": "Allow", "Action": "logs:*", "Resource": "*"}})
TIME = r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z"


# The runtimes of the functions; this machine's interpreters run them, whatever their versions.
NODE, PYTHON = "nodejs22.x", "python3.13"


@pytest.fixture(scope="module")
def aws(tmp_path_factory):
    with LocalCloud(tmp_path_factory.mktemp("runtimes")) as cloud:
        iam = cloud.plain.client("iam")
        iam.create_role(RoleName="functions", AssumeRolePolicyDocument=TRUST)
        iam.put_role_policy(RoleName="functions", PolicyName="logs", PolicyDocument=LOGS)
        yield cloud.plain


def once_assumable(create):
    """Retries while a new role cannot be assumed yet."""
    try:
        return create()
    except ClientError as error:
        if "cannot be assumed by Lambda" not in str(error):
            raise


class Function:
    """A function with one or several files."""

    def __init__(self, aws, name, runtime, code, handler, **more):
        self.aws, self.name = aws, name
        files = code if isinstance(code, dict) else {"index.js" if runtime.startswith("nodejs") else "index.py": code}
        packed = io.BytesIO()
        with zipfile.ZipFile(packed, "w") as archive:
            for path, text in files.items():
                archive.writestr(path, text)
        self.client = aws.client("lambda")
        create = lambda: self.client.create_function(
            FunctionName=name, Runtime=runtime, Handler=handler, Role="arn:aws:iam::000000000000:role/functions",
            Code={"ZipFile": packed.getvalue()}, **({"Timeout": 120} | more),
        )
        wait_until(lambda: once_assumable(create), "Lambda can assume the role")
        self.client.get_waiter("function_active_v2").wait(FunctionName=name, WaiterConfig={"Delay": 0.1})

    def invoke(self, event=None):
        answer = self.client.invoke(FunctionName=self.name, Payload=json.dumps(event))
        self.request = answer["ResponseMetadata"]["RequestId"]
        self.failed = "FunctionError" in answer
        return json.loads(answer["Payload"].read())

    def result(self, event=None):
        result = self.invoke(event)
        assert not self.failed, result
        return result

    def error(self, event=None):
        result = self.invoke(event)
        assert self.failed, result
        return result

    def log(self):
        """The function's own log lines; the platform's lines are tested elsewhere."""
        logs = self.aws.client("logs")
        events = logs.filter_log_events(logGroupName=f"/aws/lambda/{self.name}")["events"]
        platform = re.compile("INIT_|START |END |REPORT |RequestId: ")
        return [event["message"] for event in events if not platform.match(event["message"])]

    def lines(self, count):
        """The same, after waiting for this number of lines."""
        return wait_until(lambda: len(lines := self.log()) >= count and lines, f"{count} lines are logged")


@pytest.fixture
def node(aws, name):
    return lambda code, handler="index.handler", **more: Function(aws, name, NODE, code, handler, **more)


@pytest.fixture
def python(aws, name):
    return lambda code, handler="index.handler", **more: Function(aws, name, PYTHON, code, handler, **more)


# -- Node.js ----------------------------------------------------------------------------------------------------------

HANDLERS = {
    "async": "exports.handler = async (event) => ({ got: event });",
    "promise": "exports.handler = (event) => new Promise((done) => setTimeout(() => done({ got: event }), 5));",
    "callback": "exports.handler = (event, context, callback) => setTimeout(callback, 5, null, { got: event });",
    "succeed": "exports.handler = (event, context) => context.succeed({ got: event });",
    "done": "exports.handler = (event, context) => context.done(null, { got: event });",
}


@pytest.mark.parametrize("style", HANDLERS)
def test_node_handlers_of_every_style_answer(node, style):
    function = node(HANDLERS[style])
    assert function.result({"n": 1}) == {"got": {"n": 1}}
    assert function.result("again") == {"got": "again"}


def test_a_callback_waits_for_the_event_loop_by_default(node):
    function = node("""
        let late = 0;
        exports.handler = (event, context, callback) => {
          context.callbackWaitsForEmptyEventLoop = event.wait;
          if (event.start) setTimeout(() => { late += 1; }, 50);
          callback(null, { get late() { return late; } });
          callback(null, "a second answer is none");
        };
    """)
    assert function.result({"start": True, "wait": True}) == {"late": 1}
    assert function.result({"start": True, "wait": False}) == {"late": 1}
    # The remaining timer continued with the next invocation.
    assert function.result({"start": False, "wait": True}) == {"late": 2}


def test_from_nodejs24_on_there_are_no_callbacks(aws, name):
    function = Function(aws, name, "nodejs24.x", HANDLERS["callback"], "index.handler")
    error = function.error()
    assert error["errorType"] == "Runtime.CallbackHandlerDeprecated" and "make it async" in error["errorMessage"]
    other = Function(aws, f"{name}-2", "nodejs24.x", "exports.handler = async (e, context) => typeof context.done;", "index.handler")
    assert other.result() == "undefined"


def test_a_node_handler_without_an_answer_answers_null(node):
    assert node("exports.handler = () => 'not a promise';").result() is None


@pytest.mark.parametrize(
    ("files", "handler"),
    [
        ({"index.mjs": "const late = await Promise.resolve(7); export const handler = async () => late;"}, "index.handler"),
        ({"index.js": "export const handler = async () => 7;", "package.json": '{"type": "module"}'}, "index.handler"),
        ({"index.cjs": "exports.handler = async () => 7;"}, "index.handler"),
        ({"src/app.js": "exports.routes = { get: async () => require('./seven') };", "src/seven.js": "module.exports = 7;"}, "src/app.routes.get"),
        ({"node_modules/wrapper/index.js": "exports.handler = async () => 7;"}, "wrapper.handler"),
    ],
    ids=["module", "type-module", "cjs", "nested", "package"],
)
def test_node_code_is_found_in_every_form(node, files, handler):
    assert node(files, handler).result() == 7


def test_a_node_handlers_event_context_and_environment(node):
    function = node("""
        exports.handler = async (event, context) => {
          const left = context.getRemainingTimeInMillis();
          return { ...context, left, trace: process.env._X_AMZN_TRACE_ID, runtime: process.env.AWS_EXECUTION_ENV };
        };
    """, MemorySize=256)
    told = function.result()
    arn = f"arn:aws:lambda:{REGION}:000000000000:function:{function.name}"
    expected = {
        "functionName": function.name, "functionVersion": "$LATEST", "memoryLimitInMB": "256",
        "invokedFunctionArn": arn, "awsRequestId": function.request, "logGroupName": f"/aws/lambda/{function.name}",
        "callbackWaitsForEmptyEventLoop": True, "runtime": f"AWS_Lambda_{NODE}",
    }
    assert {key: told.get(key) for key in expected} == expected
    assert 0 < told["left"] <= 120_000
    assert told["trace"].startswith("Root=1-")


def test_node_errors_are_answered_and_logged(node):
    function = node("""
        class Odd extends Error { constructor(message) { super(message); this.name = "Odd"; this.code = "E1"; } }
        exports.handler = async (event) => {
          if (event === "text") throw "just text";
          if (event === "circle") { const a = {}; a.a = a; return a; }
          throw new Odd("on purpose");
        };
    """)
    error = function.error()
    assert (error["errorType"], error["errorMessage"]) == ("Odd", "on purpose")
    assert error["trace"][0] == "Odd: on purpose" and "index.js" in error["trace"][1]
    (line,) = function.lines(1)
    time, request, level, message = line.split("\t", 3)
    assert re.fullmatch(TIME, time) and (request, level) == (function.request, "ERROR")
    assert message.startswith('Invoke Error \t{"errorType":"Odd","errorMessage":"on purpose","code":"E1",')
    assert function.error("text") == {"errorType": "string", "errorMessage": "just text", "trace": []}
    assert function.error("circle")["errorMessage"] == "Unable to stringify response body"


def test_an_uncaught_error_ends_the_environment(node):
    function = node("""
        let calls = 0;
        exports.handler = async (event) => {
          calls += 1;
          if (event === "reject") { Promise.reject(new TypeError("nobody caught this")); await new Promise(() => {}); }
          if (event === "throw") { setTimeout(() => { throw new RangeError("nor this"); }); await new Promise((done) => setTimeout(done, 5000)); }
          if (event === "exit") process.exit(3);
          return calls;
        };
    """)
    assert [function.result(), function.result()] == [1, 2]
    rejected = function.error("reject")
    assert (rejected["errorType"], rejected["errorMessage"]) == ("Runtime.UnhandledPromiseRejection", "TypeError: nobody caught this")
    assert function.result() == 1, "a new environment"
    thrown = function.error("throw")
    assert (thrown["errorType"], thrown["errorMessage"]) == ("RangeError", "nor this")
    exited = function.error("exit")
    assert exited["errorType"] == "Runtime.ExitError" and exited["errorMessage"].endswith("exit status 3")
    assert function.result() == 1, "a new environment"
    lines = function.lines(2)
    assert "\tERROR\tUnhandled Promise Rejection \t{" in lines[0] and "\tERROR\tUncaught Exception \t{" in lines[1]


def test_a_timeout_ends_the_environment(node):
    # Long enough for the first invocations on a busy machine.
    function = node("let calls = 0; exports.handler = async (event) => { calls += 1; while (event === 'hang'); return calls; };", Timeout=10)
    assert [function.result(), function.result()] == [1, 2]
    assert function.error("hang")["errorMessage"].endswith("Task timed out after 10.00 seconds")
    assert function.result() == 1, "a new environment"


@pytest.mark.parametrize(
    ("code", "handler", "error", "message"),
    [
        ("require('nowhere')", "index.handler", "Runtime.ImportModuleError", "Error: Cannot find module 'nowhere'\n"),
        ("", "app.handler", "Runtime.ImportModuleError", "Error: Cannot find module 'app'\n"),
        ({"index.mjs": "import 'nowhere'"}, "index.handler", "Runtime.ImportModuleError", "Error [ERR_MODULE_NOT_FOUND]"),
        ("const x = ;", "index.handler", "Runtime.UserCodeSyntaxError", "SyntaxError: Unexpected token ';'"),
        ("exports.other = 1", "index.handler", "Runtime.HandlerNotFound", "index.handler is undefined or not exported"),
        ("exports.handler = 1", "index.handler", "Runtime.HandlerNotFound", "index.handler is not a function"),
        ("", "index", "Runtime.MalformedHandlerName", "Bad handler"),
        ("", "../index.handler", "Runtime.MalformedHandlerName", "'../index.handler' is not a valid handler name"),
        ("throw new TypeError('at once')", "index.handler", "TypeError", "at once"),
    ],
)
def test_node_code_that_cannot_start_says_why(node, code, handler, error, message):
    function = node(code, handler)
    answer = function.error()
    assert answer["errorType"] == error and answer["errorMessage"].startswith(message), answer
    assert answer["trace"][0].startswith(f"{error}: {message}".split("\n")[0])
    # Started twice: once in the init phase, once during the invocation.
    lines = function.lines(2)
    assert all(re.match(f"{TIME}\tundefined\tERROR\tUncaught Exception \t{{", line) for line in lines), lines


def test_node_logs_have_time_request_and_level(node):
    function = node("""
        console.log("while starting");
        exports.handler = async () => {
          console.log("one %s", "two", { three: 3 });
          console.warn("several\\nlines");
          console.debug("finest");
          process.stdout.write("as it is\\n");
        };
    """)
    function.result()
    start, *lines, plain = function.lines(5)
    assert re.fullmatch(f"{TIME}\tundefined\tINFO\twhile starting\n", start)
    expected = ["INFO\tone two { three: 3 }\n", "WARN\tseveral\nlines\n", "DEBUG\tfinest\n"]
    assert [line.split("\t", 2)[1:] for line in lines] == [[function.request, line] for line in expected]
    assert plain == "as it is\n"


def test_node_logs_in_json(node):
    function = node("""
        exports.handler = async () => {
          console.debug("not at this level");
          console.info({ answer: 42 });
          console.error("failed:", new TypeError("why"));
        };
    """, LoggingConfig={"LogFormat": "JSON", "ApplicationLogLevel": "INFO"})
    function.result()
    records = wait_until(lambda: [r for r in map(json.loads, function.log()) if "level" in r][1:2] and function.log(), "both are logged")
    info, error = [record for record in map(json.loads, records) if "level" in record]
    assert (info["level"], info["message"], info["requestId"]) == ("INFO", {"answer": 42}, function.request)
    assert (error["level"], error["errorType"], error["errorMessage"]) == ("ERROR", "TypeError", "why")
    assert error["message"].startswith("failed: TypeError: why") and error["stackTrace"][0] == "TypeError: why"


@pytest.mark.parametrize("runtime", ["nodejs20.x", "nodejs24.x"])
def test_the_sdk_warns_of_the_functions_nodejs_and_not_of_this_machines(aws, name, runtime):
    """Where this machine's Node.js is older than the runtime, the SDK for JavaScript would warn of what is not so on AWS."""
    code = "exports.handler = async () => [process.versions.node, process.env.AWS_SDK_JS_NODE_VERSION_SUPPORT_WARNING_DISABLED];"
    version, disabled = Function(aws, name, runtime, code, "index.handler").result()
    is_older = int(version.partition(".")[0]) < int(runtime.removeprefix("nodejs").partition(".")[0])
    assert disabled == ("true" if is_older else None)


def test_a_project_around_the_data_folder_is_ignored(aws, name, tmp_path):
    """A package.json above could turn scripts into modules, and packages installed there would only be missing on AWS."""
    (tmp_path / "package.json").write_text('{"type": "module"}')
    (tmp_path / "node_modules/around").mkdir(parents=True)
    (tmp_path / "node_modules/around/index.js").write_text("")
    with LocalCloud(tmp_path) as cloud:
        cloud.plain.client("iam").create_role(RoleName="functions", AssumeRolePolicyDocument=TRUST)
        assert Function(cloud.plain, name, NODE, HANDLERS["async"], "index.handler").result(1) == {"got": 1}
        error = Function(cloud.plain, f"{name}-2", NODE, "require('around')", "index.handler").error()
        assert error["errorMessage"].startswith("Error: Cannot find module 'around'")


# -- Python -----------------------------------------------------------------------------------------------------------


def test_a_python_handlers_event_context_and_environment(python):
    function = python("""
import os

def handler(event, context):
    names = ["function_name", "function_version", "memory_limit_in_mb", "invoked_function_arn", "aws_request_id", "log_group_name"]
    told = {name: getattr(context, name) for name in names}
    return told | {"left": context.get_remaining_time_in_millis(), "event": event, "runtime": os.environ["AWS_EXECUTION_ENV"]}
""")
    told = function.result({"ü": [1, None]})
    assert told == {
        "function_name": function.name, "function_version": "$LATEST", "memory_limit_in_mb": "128",
        "invoked_function_arn": f"arn:aws:lambda:{REGION}:000000000000:function:{function.name}",
        "aws_request_id": function.request, "log_group_name": f"/aws/lambda/{function.name}",
        "event": {"ü": [1, None]}, "left": told["left"], "runtime": f"AWS_Lambda_{PYTHON}",
    }
    assert 0 < told["left"] <= 120_000


@pytest.mark.parametrize(
    ("files", "handler"),
    [
        ({"src/app.py": "from src.seven import SEVEN\ndef handler(e, c): return SEVEN", "src/seven.py": "SEVEN = 7"}, "src/app.handler"),
        ({"src/app.py": "def handler(e, c): return 7"}, "src.app.handler"),
        ({"app/__init__.py": "def handler(e, c): return 7"}, "app.handler"),
        ({"index.py": "import decimal\ndef handler(e, c): return decimal.Decimal('7')"}, "index.handler"),
    ],
    ids=["folder", "dotted", "package", "decimal"],
)
def test_python_code_is_found_in_every_form(python, files, handler):
    assert python(files, handler).result() == 7


def test_python_does_not_see_this_machines_packages(python):
    function = python("""
import sys

def handler(event, context):
    try:
        import pip
    except ImportError as error:
        return [sys.path[0], str(error)]
""")
    first, error = function.result()
    assert (first == "/var/task" or "contents" in first) and error == "No module named 'pip'"


def test_python_errors_are_answered_and_logged(python):
    function = python("""
import sys

calls = 0

def handler(event, context):
    global calls
    calls += 1
    if event == "exit":
        sys.exit(3)
    if event == "set":
        return {1, 2}
    if event == "count":
        return calls
    return {}["no key"]
""")
    error = function.error()
    assert (error["errorType"], error["errorMessage"], error["requestId"]) == ("KeyError", "'no key'", function.request)
    (frame,) = error["stackTrace"]
    assert re.fullmatch(r'  File ".*/index.py", line 15, in handler\n    return {}\["no key"\]\n(    .*\n)?', frame), frame
    (line,) = function.lines(1)
    first, second, third, *_ = line.split("\n")
    assert (first, second) == ("[ERROR] KeyError: 'no key'", "Traceback (most recent call last):")
    assert third.startswith("\u00a0\u00a0File ") and third.endswith("line 15, in handler")
    marshal = function.error("set")
    assert marshal["errorType"] == "Runtime.MarshalError" and "set is not JSON serializable" in marshal["errorMessage"]
    assert function.result("count") == 3, "a failure ends no environment"
    exited = function.error("exit")
    assert exited["errorType"] == "Runtime.ExitError" and exited["errorMessage"].endswith("exit status 3")
    assert function.result("count") == 1


@pytest.mark.parametrize(
    ("code", "handler", "error", "message"),
    [
        ("import nowhere", "index.handler", "Runtime.ImportModuleError", "Unable to import module 'index': No module named 'nowhere'"),
        ("", "app.handler", "Runtime.ImportModuleError", "Unable to import module 'app': No module named 'app'"),
        ("def handler(:", "index.handler", "Runtime.UserCodeSyntaxError", "Syntax error in module 'index': "),
        ("other = 1", "index.handler", "Runtime.HandlerNotFound", "Handler 'handler' missing on module 'index'"),
        ("", "index", "Runtime.MalformedHandlerName", "Bad handler 'index': "),
        ("", "sys.exit", "Runtime.BuiltInModuleConflict", "Cannot use built-in module sys as a handler module"),
        ("raise RuntimeError('at once')", "index.handler", "RuntimeError", "at once"),
        ("import sys; sys.exit(4)", "index.handler", "Runtime.ExitError", "RequestId: "),
    ],
)
def test_python_code_that_cannot_start_says_why(python, code, handler, error, message):
    function = python(code, handler)
    answer = function.error()
    assert answer["errorType"] == error and answer["errorMessage"].startswith(message), answer
    if error != "Runtime.ExitError":
        lines = function.lines(2)
        assert all(line.startswith(f"[ERROR] {error}: {message}") for line in lines), lines


def test_python_logs_in_lambdas_format(python):
    function = python("""
import logging

log = logging.getLogger()
log.setLevel(logging.INFO)

def handler(event, context):
    print("printed")
    log.info("informed")
    log.debug("not at this level")
    try:
        1 / 0
    except ZeroDivisionError:
        log.exception("failed")
""")
    function.result()
    printed, informed, failed = function.lines(3)
    assert printed == "printed\n"
    assert re.fullmatch(rf"\[INFO\]\t{TIME}\t{function.request}\tinformed\n", informed)
    assert re.match(rf"\[ERROR\]\t{TIME}\t{function.request}\tfailed\nTraceback \(most recent call last\):\n", failed)
    assert failed.endswith("ZeroDivisionError: division by zero\n")


def test_python_logs_in_json(python):
    function = python("""
import logging

def handler(event, context):
    logging.getLogger("chat").info("hello %s", "you", extra={"room": 7})
    logging.debug("not at this level")
""", LoggingConfig={"LogFormat": "JSON", "ApplicationLogLevel": "INFO"})
    function.result()
    own = lambda: [record for record in map(json.loads, function.log()) if "logger" in record]
    (record,) = wait_until(own, "it is logged")
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", record.pop("timestamp"))
    assert record == {"level": "INFO", "message": "hello you", "logger": "chat", "requestId": function.request, "room": 7}


# -- Both -------------------------------------------------------------------------------------------------------------


def test_four_functions_run_at_once_and_stay_warm(aws, name):
    """Each function waits until all four should be running."""
    wait = {
        NODE: "const hit = {};\nexports.handler = async (n) => { const m = n.at - Date.now(); const begun = Date.now(); await new Promise((d) => setTimeout(d, m)); return [process.pid, begun, Date.now()]; };",
        PYTHON: "import os, time\ndef handler(n, c):\n    begun = time.time()\n    time.sleep(max(n['at'] / 1000 - begun, 0))\n    return [os.getpid(), begun * 1000, time.time() * 1000]",
    }
    functions = [Function(aws, f"{name}-{n}", runtime, wait[runtime], "index.handler") for n, runtime in enumerate([*wait, *wait])]

    def all_at_once(seconds):
        at = {"at": (time.time() + seconds) * 1000}
        with concurrent.futures.ThreadPoolExecutor(4) as pool:
            processes, begun, ended = zip(*pool.map(lambda function: function.result(at), functions))
        assert max(begun) < min(ended)
        return processes

    first = all_at_once(4)
    assert all_at_once(1) == first


def test_an_unsupported_runtime_is_reported(aws, name):
    function = Function(aws, name, "java21", {"A.class": ""}, "A::b")
    assert "The local cloud does not run java21 without java in the PATH" in function.error()["errorMessage"]


def test_a_missing_interpreter_is_named_in_the_answer_and_in_the_log(tmp_path, name, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    with LocalCloud(tmp_path) as cloud:
        cloud.plain.client("iam").create_role(RoleName="functions", AssumeRolePolicyDocument=TRUST)
        function = Function(cloud.plain, name, NODE, HANDLERS["async"], "index.handler")
        words = f"no node found to run {NODE} on this machine: install Node.js"
        error = function.error()
        assert error["errorType"] == "Runtime.InvalidEntrypoint" and words in error["errorMessage"]
        logged = cloud.plain.client("logs").filter_log_events(logGroupName=f"/aws/lambda/{name}")["events"]
        assert any(words in event["message"] for event in logged), logged


def test_functions_of_another_deployer_find_the_runtimes_sdk(aws, name):
    node = Function(
        aws, name, NODE,
        """
        const { DynamoDBClient, ListTablesCommand } = require("@aws-sdk/client-dynamodb");
        exports.handler = async () => (await new DynamoDBClient({}).send(new ListTablesCommand({}))).TableNames;
        """,
        "index.handler",
    )
    python = Function(
        aws, name + "-python", PYTHON,
        "import boto3\n\ndef handler(event, context):\n    return boto3.client('dynamodb').list_tables()['TableNames']\n",
        "index.handler",
    )
    assert (node.invoke(), python.invoke()) == ([], [])


# -- Layers -----------------------------------------------------------------------------------------------------------


def layer(aws, name, files):
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        for path, text in files.items():
            entry = zipfile.ZipInfo(path)
            entry.external_attr = 0o100755 << 16
            archive.writestr(entry, text)
    return aws.client("lambda").publish_layer_version(LayerName=name, Content={"ZipFile": packed.getvalue()})["LayerVersionArn"]


def test_node_finds_what_layers_bring(aws, node, name):
    layers = [
        layer(aws, f"{name}-1", {
            "nodejs/node_modules/wire/index.js": "exports.from = 'any';",
            "nodejs/node_modules/both/index.js": "exports.from = 'first';",
        }),
        layer(aws, f"{name}-2", {
            "nodejs/node22/node_modules/wire/index.js": "exports.from = 'node22';",
            "nodejs/node_modules/both/index.js": "exports.from = 'second';",
            "bin/tool": "#!/bin/sh\necho tool\n",
            "extensions/agent": "#!/bin/sh\nexit 1\n",
        }),
    ]
    foreign = f"arn:aws:lambda:{REGION}:580247275435:layer:LambdaInsightsExtension:53"
    code = """
        const { execSync } = require("node:child_process");
        exports.handler = async () => ({ wire: require("wire").from, both: require("both").from, tool: execSync("tool").toString() });
    """
    function = node(code, Layers=[*layers, foreign])
    assert function.result() == {"wire": "node22", "both": "second", "tool": "tool\n"}
    lines = function.lines(2)
    assert any(f"{foreign} is a layer of another account" in line for line in lines), lines
    assert any("the external extension agent of a layer is not started" in line for line in lines), lines


def test_python_finds_what_layers_bring(aws, python, name):
    arn = layer(aws, name, {
        "python/words.py": "FROM = 'python'",
        "python/lib/python3.13/site-packages/site.py2": "",
        "python/lib/python3.13/site-packages/versioned.py": "FROM = 'site-packages'",
        "data/text": "text",
    })
    code = """
import os, versioned, words

def handler(event, context):
    return [words.FROM, versioned.FROM, os.environ["PYTHONPATH"].split(":")[-1]]
"""
    function = python(code, Layers=[arn], Environment={"Variables": {"PYTHONPATH": "/var/task/own"}})
    words, versioned, last = function.result()
    assert (words, versioned) == ("python", "site-packages")
    assert last.endswith("/python")


def test_a_runtime_may_be_in_a_layer(aws, name):
    runtime = """#!/bin/sh
while true; do
  head=$(mktemp)
  curl -sS -o /dev/null -D "$head" "http://$AWS_LAMBDA_RUNTIME_API/2018-06-01/runtime/invocation/next"
  id=$(sed -n 's/^lambda-runtime-aws-request-id: *\\([^[:cntrl:]]*\\).*/\\1/ip' "$head")
  curl -sS -o /dev/null -d '"from a layer"' "http://$AWS_LAMBDA_RUNTIME_API/2018-06-01/runtime/invocation/$id/response"
done
"""
    arn = layer(aws, name, {"bootstrap": runtime})
    function = Function(aws, f"{name}-f", "provided.al2023", {"code": "x"}, "any.handler", Layers=[arn])
    assert function.result() == "from a layer"
