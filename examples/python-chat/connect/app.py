"""$connect: stores the connection."""

import os

import boto3

connections = boto3.resource("dynamodb").Table(os.environ["table"])


def handler(event, context):
    connections.put_item(Item={"connectionId": event["requestContext"]["connectionId"]})
    return {"statusCode": 200}
