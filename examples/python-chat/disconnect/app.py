"""$disconnect: deletes the connection."""

import os

import boto3

connections = boto3.resource("dynamodb").Table(os.environ["table"])


def handler(event, context):
    connections.delete_item(Key={"connectionId": event["requestContext"]["connectionId"]})
    return {"statusCode": 200}
