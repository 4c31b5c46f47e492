"""$default: answers other messages with a hint and the connection's info."""

import json

import boto3


def handler(event, context):
    call = event["requestContext"]
    gateway = boto3.client("apigatewaymanagementapi", endpoint_url=f"https://{call['domainName']}/{call['stage']}")
    info = gateway.get_connection(ConnectionId=call["connectionId"])
    del info["ResponseMetadata"]
    info["connectionID"] = call["connectionId"]
    text = "Use the sendmessage route to send a message. Your info:" + json.dumps(info, default=str)
    gateway.post_to_connection(ConnectionId=call["connectionId"], Data=text)
    return {"statusCode": 200}
