#!/usr/bin/env python3
"""A function for tests, which calls Lambda's Runtime API directly."""
import http.client
import json
import os

VERSION = "one"

runtime = http.client.HTTPConnection(os.environ["AWS_LAMBDA_RUNTIME_API"])


def call(method, path, document=None):
    runtime.request(method, "/2018-06-01/runtime/invocation/" + path, document and json.dumps(document))
    response = runtime.getresponse()
    return response.headers, response.read()


def handle(event):
    context = event.get("requestContext")
    if context is None:
        return {"version": VERSION, "event": event, "greeting": os.environ.get("GREETING")}
    if context["routeKey"] == "echo":
        return {"statusCode": 200, "body": event["body"]}
    return {"statusCode": 200}


while True:
    head, body = call("GET", "next")
    request = head["Lambda-Runtime-Aws-Request-Id"]
    event = json.loads(body)
    print("handling", json.dumps(event), flush=True)
    if event.get("fail"):
        call("POST", request + "/error", {"errorType": "AsAsked", "errorMessage": "it was to fail"})
    else:
        call("POST", request + "/response", handle(event))
