"""The handlers of a socket, for the templates of the corpus that are written for Python."""

import json
import os

import boto3

table = boto3.resource("dynamodb").Table(os.environ.get("TABLE_NAME", "connections"))


def connect(event, context):
    table.put_item(Item={"connectionId": event["requestContext"]["connectionId"]})
    return {"statusCode": 200}


def disconnect(event, context):
    table.delete_item(Key={"connectionId": event["requestContext"]["connectionId"]})
    return {"statusCode": 200}


def message(event, context):
    at = event["requestContext"]
    broadcast(json.loads(event["body"])["text"], f"https://{at['domainName']}/{at['stage']}")
    return {"statusCode": 200}


def authorizer(event, context):
    effect = "Allow" if (event.get("queryStringParameters") or {}).get("token") == os.environ["TOKEN"] else "Deny"
    statement = {"Action": "execute-api:Invoke", "Effect": effect, "Resource": event["methodArn"]}
    return {"principalId": "user", "policyDocument": {"Version": "2012-10-17", "Statement": [statement]}}


def worker(event, context):
    for record in event.get("Records", [event]):
        broadcast(json.dumps(record, default=str), os.environ["ENDPOINT"])


def broadcast(text, endpoint):
    api = boto3.client("apigatewaymanagementapi", endpoint_url=endpoint)
    for item in table.scan()["Items"]:
        try:
            api.post_to_connection(ConnectionId=item["connectionId"], Data=text.encode())
        except api.exceptions.GoneException:
            table.delete_item(Key={"connectionId": item["connectionId"]})
