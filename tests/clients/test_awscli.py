"""The AWS CLI against the local cloud."""

import json
import subprocess
import sys

import pytest

from harness import PATIENCE, REGION, code, connect, environment
from test_boto3 import ACCOUNT, LOGS, TRUST


@pytest.fixture
def cli(cloud):
    """Runs a command of the CLI and returns its output, parsed if it is JSON."""

    def run(*arguments, url=cloud.plain.url, fails=None):
        done = subprocess.run(
            [sys.executable, "-m", "awscli", "--endpoint-url", url, "--output", "json", *map(str, arguments)],
            capture_output=True, env=environment(), stdin=subprocess.DEVNULL, text=True, timeout=PATIENCE,
        )
        if fails:
            assert done.returncode in (254, 255), done
            assert f"An error occurred ({fails}) when calling the " in done.stderr, done.stderr
            return None
        assert done.returncode == 0, f"aws {arguments}: {done.stderr}"
        return json.loads(done.stdout) if done.stdout.startswith(("{", "[", '"')) else done.stdout

    return run


def test_tables_and_items(cli, name):
    key = ("--key-schema", "AttributeName=id,KeyType=HASH", "--attribute-definitions", "AttributeName=id,AttributeType=S")
    cli("dynamodb", "create-table", "--table-name", name, "--billing-mode", "PAY_PER_REQUEST", *key)
    cli("dynamodb", "wait", "table-exists", "--table-name", name)
    puts = [{"PutRequest": {"Item": {"id": {"S": str(at)}}}} for at in range(7)]
    cli("dynamodb", "batch-write-item", "--request-items", json.dumps({name: puts}))
    paged = cli("dynamodb", "scan", "--table-name", name, "--page-size", 2)
    assert sorted(item["id"]["S"] for item in paged["Items"]) == list("0123456")
    first = cli("dynamodb", "scan", "--table-name", name, "--max-items", 3)
    rest = cli("dynamodb", "scan", "--table-name", name, "--starting-token", first["NextToken"])
    assert len(first["Items"]) == 3 and len(rest["Items"]) == 4
    cli("dynamodb", "delete-table", "--table-name", name)
    cli("dynamodb", "wait", "table-not-exists", "--table-name", name)
    cli("dynamodb", "describe-table", "--table-name", name, fails="ResourceNotFoundException")


def test_roles(cli, name):
    assert cli("sts", "get-caller-identity")["Account"] == ACCOUNT
    for at in range(3):
        cli("iam", "create-role", "--path", f"/{name}/", "--role-name", f"{name}-{at}", "--assume-role-policy-document", TRUST)
    listed = cli("iam", "list-roles", "--path-prefix", f"/{name}/", "--page-size", 2, "--query", "Roles[].RoleName")
    assert listed == [f"{name}-{at}" for at in range(3)]
    first = cli("iam", "list-roles", "--path-prefix", f"/{name}/", "--max-items", 2)
    rest = cli("iam", "list-roles", "--path-prefix", f"/{name}/", "--starting-token", first["NextToken"])
    assert [len(first["Roles"]), len(rest["Roles"])] == [2, 1]
    for at in range(3):
        cli("iam", "delete-role", "--role-name", f"{name}-{at}")
    cli("iam", "get-role", "--role-name", f"{name}-0", fails="NoSuchEntity")


@pytest.fixture
def function(cli, name, tmp_path):
    package = tmp_path / "code.zip"
    package.write_bytes(code())
    role = cli("iam", "create-role", "--role-name", name, "--assume-role-policy-document", TRUST)["Role"]["Arn"]
    cli("iam", "put-role-policy", "--role-name", name, "--policy-name", "logs", "--policy-document", LOGS)
    settings = ("--runtime", "provided.al2023", "--handler", "bootstrap", "--role", role, "--timeout", 10)
    cli("lambda", "create-function", "--function-name", name, *settings, "--zip-file", f"fileb://{package}")
    cli("lambda", "wait", "function-active-v2", "--function-name", name)
    yield name
    cli("lambda", "delete-function", "--function-name", name)
    cli("lambda", "get-function", "--function-name", name, fails="ResourceNotFoundException")
    cli("iam", "delete-role-policy", "--role-name", name, "--policy-name", "logs")
    cli("iam", "delete-role", "--role-name", name)


def test_functions(cli, function, tmp_path):
    out = tmp_path / "out.json"
    answer = cli("lambda", "invoke", "--function-name", function, "--payload", '{"a":1}', out)
    assert answer == {"StatusCode": 200, "ExecutedVersion": "$LATEST"}
    assert json.loads(out.read_text())["event"] == {"a": 1}
    answer = cli("lambda", "invoke", "--function-name", function, "--payload", '{"fail":true}', out)
    assert answer["FunctionError"] == "Unhandled"
    listed = cli("lambda", "list-functions", "--query", "Functions[].FunctionName")
    assert function in listed
    assert len(cli("lambda", "list-functions", "--max-items", 1)["Functions"]) == 1

    group = f"/aws/lambda/{function}"
    stream = cli("logs", "describe-log-streams", "--log-group-name", group)["logStreams"][0]["logStreamName"]
    events = cli("logs", "get-log-events", "--log-group-name", group, "--log-stream-name", stream)["events"]
    assert any(event["message"].startswith("START RequestId: ") for event in events)
    texts = cli("logs", "filter-log-events", "--log-group-name", group, "--filter-pattern", "handling")["events"]
    assert [event["message"].strip() for event in texts] == ['handling {"a": 1}', 'handling {"fail": true}']
    cli("logs", "delete-log-group", "--log-group-name", group)
    cli("logs", "describe-log-streams", "--log-group-name", group, fails="ResourceNotFoundException")


def test_sockets(cli, cloud, function, name):
    expression = "$request.body.action"
    api = cli("apigatewayv2", "create-api", "--name", name, "--protocol-type", "WEBSOCKET", "--route-selection-expression", expression)
    of_api = ("--api-id", api["ApiId"])
    arn = f"arn:aws:lambda:{REGION}:{ACCOUNT}:function:{function}"
    uri = f"arn:aws:apigateway:{REGION}:lambda:path/2015-03-31/functions/{arn}/invocations"
    kind = ("--integration-type", "AWS_PROXY", "--integration-uri", uri)
    integration = cli("apigatewayv2", "create-integration", *of_api, *kind)["IntegrationId"]
    for key in ("$connect", "$default", "other"):
        cli("apigatewayv2", "create-route", *of_api, "--route-key", key, "--target", f"integrations/{integration}")
    cli("apigatewayv2", "create-route", *of_api, "--route-key", "bare")
    again = ("--route-key", "other", "--target", f"integrations/{integration}")
    cli("apigatewayv2", "create-route", *of_api, *again, fails="ConflictException")
    routes = cli("apigatewayv2", "get-routes", *of_api, "--page-size", 2, "--query", "Items[].RouteKey")
    assert sorted(routes) == ["$connect", "$default", "bare", "other"]
    first = cli("apigatewayv2", "get-routes", *of_api, "--max-items", 2)
    rest = cli("apigatewayv2", "get-routes", *of_api, "--starting-token", first["NextToken"])
    assert [len(first["Items"]), len(rest["Items"])] == [2, 2]
    deployment = cli("apigatewayv2", "create-deployment", *of_api)["DeploymentId"]
    cli("apigatewayv2", "create-stage", *of_api, "--stage-name", "test", "--deployment-id", deployment)
    whom = ("--statement-id", "gateway", "--action", "lambda:InvokeFunction", "--principal", "apigateway.amazonaws.com")
    cli("lambda", "add-permission", "--function-name", function, *whom)

    uri = f"{api['ApiEndpoint']}/test"
    management = uri.replace("ws", "http", 1)
    with connect(uri) as socket:
        # The error frame for a route without an integration contains the connection's id.
        socket.send('{"action":"bare"}')
        of_connection = ("--connection-id", json.loads(socket.recv(PATIENCE))["connectionId"])
        cli("apigatewaymanagementapi", "post-to-connection", *of_connection, "--data", "hello", url=management)
        found = cli("apigatewaymanagementapi", "get-connection", *of_connection, url=management)
        assert found["Identity"]["SourceIp"] == "127.0.0.1"
        assert socket.recv(PATIENCE) == "hello"
        cli("apigatewaymanagementapi", "delete-connection", *of_connection, url=management)
    cli("apigatewaymanagementapi", "get-connection", *of_connection, url=management, fails="GoneException")
    cli("apigatewayv2", "delete-api", *of_api)
    cli("apigatewayv2", "get-api", *of_api, fails="NotFoundException")


def test_what_a_gateway_makes_of_answers(cli, name):
    gateway = lambda *arguments, **options: cli("apigatewayv2", *arguments, **options)
    made = gateway("create-api", "--name", name, "--protocol-type", "WEBSOCKET", "--route-selection-expression", "$request.body.action")
    api = ("--api-id", made["ApiId"])
    model = gateway("create-model", *api, "--name", "Question", "--schema", '{"type": "object"}')
    assert [one["ModelId"] for one in gateway("get-models", *api)["Items"]] == [model["ModelId"]]
    gateway("create-model", *api, "--name", "Question", "--schema", "{}", fails="ConflictException")
    integration = gateway("create-integration", *api, "--integration-type", "MOCK")["IntegrationId"]
    of = (*api, "--integration-id", integration)
    gateway("create-integration-response", *of, "--integration-response-key", "$default", "--response-templates", "a=1")
    assert gateway("get-integration-responses", *of)["Items"][0]["ResponseTemplates"] == {"a": "1"}
    gateway("delete-model", *api, "--model-id", model["ModelId"])
    gateway("delete-model", *api, "--model-id", model["ModelId"], fails="NotFoundException")
    gateway("delete-api", *api)


def test_queues(cli, name):
    url = cli("sqs", "create-queue", "--queue-name", name)["QueueUrl"]
    attributes = {"kind": {"DataType": "String", "StringValue": "chat"}}
    sent = cli(
        "sqs", "send-message", "--queue-url", url, "--message-body", "hello", "--message-attributes", json.dumps(attributes),
    )
    received = cli(
        "sqs", "receive-message", "--queue-url", url, "--attribute-names", "All", "--message-attribute-names", "All",
        "--wait-time-seconds", 5,
    )
    [message] = received["Messages"]
    assert (message["MessageId"], message["Body"], message["MessageAttributes"]) == (sent["MessageId"], "hello", attributes)
    # Who sent it is an id: the access key is a secret.
    assert message["Attributes"]["SenderId"].startswith("AIDA")
    cli("sqs", "delete-message", "--queue-url", url, "--receipt-handle", message["ReceiptHandle"])
    counts = cli("sqs", "get-queue-attributes", "--queue-url", url, "--attribute-names", "All")["Attributes"]
    assert counts["ApproximateNumberOfMessages"] == counts["ApproximateNumberOfMessagesNotVisible"] == "0"
    assert url in cli("sqs", "list-queues", "--queue-name-prefix", name)["QueueUrls"]
    cli("sqs", "delete-queue", "--queue-url", url)
    cli("sqs", "get-queue-url", "--queue-name", name, fails="AWS.SimpleQueueService.NonExistentQueue")
