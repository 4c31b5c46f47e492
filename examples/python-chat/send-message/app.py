"""sendmessage: sends a message to all connections except its sender's."""

import json
import logging
import os

import boto3

log = logging.getLogger()
pages = boto3.client("dynamodb").get_paginator("scan")


def handler(event, context):
    call = event["requestContext"]
    gateway = boto3.client("apigatewaymanagementapi", endpoint_url=f"https://{call['domainName']}/{call['stage']}")
    message = json.loads(event["body"])["message"]
    for page in pages.paginate(TableName=os.environ["table"]):
        for item in page["Items"]:
            other = item["connectionId"]["S"]
            if other != call["connectionId"]:
                post(gateway, other, message)
    return {"statusCode": 200}


def post(gateway, connection, message):
    """A connection that has just closed must not stop the delivery to the others."""
    try:
        gateway.post_to_connection(ConnectionId=connection, Data=message)
    except gateway.exceptions.GoneException:
        log.warning("%s is gone", connection)
