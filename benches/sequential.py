"""The baseline: a script that deploys the chat stack with one call after the other, as a careful person would write it.

It creates the resources of templates/chat.yaml with Node.js handlers, changes the code of one function, and deletes all again, with boto3's
own waiters and retries. Usage:

    sequential.py ENDPOINT FOLDER-WITH-ZIPS ANOTHER-ZIP

prints the seconds that each took, and waits for a line on stdin after the first. The zips are named connect.zip, disconnect.zip,
send-message.zip and default.zip; the other one is new code of sendmessage.
"""

import json
import sys
import time
from pathlib import Path

import boto3
from botocore.config import Config
from botocore.exceptions import ClientError

REGION = "us-east-1"
STACK = "sequential"
# Handler, route key, permissions in addition to those for its log.
HANDLERS = [
    ("connect", "$connect", ["dynamodb:PutItem"]),
    ("disconnect", "$disconnect", ["dynamodb:DeleteItem"]),
    ("send-message", "sendmessage", ["dynamodb:Scan", "dynamodb:DeleteItem"]),
    ("default", "$default", ["execute-api:ManageConnections"]),
]


def clients(endpoint):
    # The standard mode retries throttled calls, but no call that may have had an effect.
    config = Config(retries={"mode": "standard", "max_attempts": 20})
    session = boto3.Session("local", "local", region_name=REGION)
    names = ["sts", "dynamodb", "iam", "lambda", "logs", "apigatewayv2"]
    return {name: session.client(name, endpoint_url=endpoint, config=config) for name in names}


def retried(call, code, pause):
    """Repeats a call as long as it fails with this code."""
    while True:
        try:
            return call()
        except ClientError as error:
            if error.response["Error"]["Code"] != code:
                raise
            time.sleep(pause)


def up(aws, zips):
    account = aws["sts"].get_caller_identity()["Account"]
    table = f"{STACK}-connections"
    aws["dynamodb"].create_table(
        TableName=table,
        BillingMode="PAY_PER_REQUEST",
        KeySchema=[{"AttributeName": "connectionId", "KeyType": "HASH"}],
        AttributeDefinitions=[{"AttributeName": "connectionId", "AttributeType": "S"}],
        SSESpecification={"Enabled": True},
    )
    aws["dynamodb"].get_waiter("table_exists").wait(TableName=table, WaiterConfig={"Delay": 1})
    aws["dynamodb"].update_time_to_live(
        TableName=table, TimeToLiveSpecification={"AttributeName": "expiresAt", "Enabled": True}
    )
    api = aws["apigatewayv2"].create_api(
        Name=STACK, ProtocolType="WEBSOCKET", RouteSelectionExpression="$request.body.action"
    )["ApiId"]
    gateway = {"ApiId": api}
    trust = {"Effect": "Allow", "Principal": {"Service": "lambda.amazonaws.com"}, "Action": "sts:AssumeRole"}
    for handler, key, actions in HANDLERS:
        name = f"{STACK}-{handler}"
        role = aws["iam"].create_role(
            RoleName=name, AssumeRolePolicyDocument=json.dumps({"Version": "2012-10-17", "Statement": [trust]})
        )["Role"]["Arn"]
        actions = actions + ["logs:CreateLogStream", "logs:PutLogEvents"]
        policy = {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": actions, "Resource": "*"}]}
        aws["iam"].put_role_policy(RoleName=name, PolicyName=handler, PolicyDocument=json.dumps(policy))
        code = (zips / f"{handler}.zip").read_bytes()
        function = retried(
            lambda: aws["lambda"].create_function(
                FunctionName=name,
                Role=role,
                Runtime="nodejs22.x",
                Handler="index.handler",
                Code={"ZipFile": code},
                MemorySize=256,
                Timeout=10,
                Environment={"Variables": {"table": table}},
            ),
            # The role cannot be assumed yet.
            "InvalidParameterValueException",
            2,
        )["FunctionArn"]
        aws["lambda"].get_waiter("function_active_v2").wait(FunctionName=name, WaiterConfig={"Delay": 1})
        aws["logs"].create_log_group(logGroupName=f"/aws/lambda/{name}")
        aws["logs"].put_retention_policy(logGroupName=f"/aws/lambda/{name}", retentionInDays=14)
        integration = aws["apigatewayv2"].create_integration(
            IntegrationType="AWS_PROXY",
            IntegrationUri=f"arn:aws:apigateway:{REGION}:lambda:path/2015-03-31/functions/{function}/invocations",
            **gateway,
        )["IntegrationId"]
        aws["apigatewayv2"].create_route(RouteKey=key, Target=f"integrations/{integration}", **gateway)
        aws["lambda"].add_permission(
            FunctionName=name,
            StatementId=handler,
            Action="lambda:InvokeFunction",
            Principal="apigateway.amazonaws.com",
            SourceArn=f"arn:aws:execute-api:{REGION}:{account}:{api}/*/{key}",
        )
    deployment = aws["apigatewayv2"].create_deployment(**gateway)["DeploymentId"]
    aws["apigatewayv2"].create_stage(StageName="production", DeploymentId=deployment, **gateway)
    return api, table


def change(aws, code):
    """New code for one function. The script does not look which one it is: its user knows."""
    name = f"{STACK}-send-message"
    aws["lambda"].update_function_code(FunctionName=name, ZipFile=code)
    aws["lambda"].get_waiter("function_updated_v2").wait(FunctionName=name, WaiterConfig={"Delay": 1})


def down(aws, api, table):
    aws["apigatewayv2"].delete_api(ApiId=api)
    for handler, _, _ in HANDLERS:
        name = f"{STACK}-{handler}"
        aws["lambda"].delete_function(FunctionName=name)
        aws["logs"].delete_log_group(logGroupName=f"/aws/lambda/{name}")
        aws["iam"].delete_role_policy(RoleName=name, PolicyName=handler)
        aws["iam"].delete_role(RoleName=name)
    aws["dynamodb"].delete_table(TableName=table)
    aws["dynamodb"].get_waiter("table_not_exists").wait(TableName=table, WaiterConfig={"Delay": 1})


def timed(name, call, *arguments):
    begun = time.monotonic()
    made = call(*arguments)
    print(json.dumps({name: time.monotonic() - begun}), flush=True)
    return made


def main():
    aws, zips, another = clients(sys.argv[1]), Path(sys.argv[2]), Path(sys.argv[3])
    made = timed("up", up, aws, zips)
    sys.stdin.readline()
    timed("change", change, aws, another.read_bytes())
    timed("down", down, aws, *made)


if __name__ == "__main__":
    main()
