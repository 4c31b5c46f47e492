#!/usr/bin/env python3
"""A runtime for tests: what it does, the event says; how it starts, the variable INIT."""
import http.client
import json
import os
import sys
import threading
import time

VERSION = "one"
START = time.time()

api = http.client.HTTPConnection(os.environ["AWS_LAMBDA_RUNTIME_API"])


def call(method, path, body=None, headers={}):
    api.request(method, "/2018-06-01/runtime" + path, body, headers)
    response = api.getresponse()
    return response.status, response.headers, response.read()


init = os.environ.get("INIT")
if init == "exit":
    print("about to exit", flush=True)
    sys.exit(7)
if init == "error":
    call("POST", "/init/error", json.dumps({"errorType": "Init.Broken", "errorMessage": "no luck"}))
    sys.exit(1)
if init == "hang":
    time.sleep(60)

while True:
    _, head, body = call("GET", "/invocation/next")
    request = head["Lambda-Runtime-Aws-Request-Id"]
    event = json.loads(body)
    todo = event.get("do", "echo") if isinstance(event, dict) else "echo"
    if isinstance(event, dict) and "Records" in event:
        bodies = [record["body"] for record in event["Records"]]
        print("batch", *bodies, flush=True)
        todo = "fail" if "fail" in bodies else "records"
        if "sleep" in bodies:
            time.sleep(30)
    if todo == "exit":
        print("last words", flush=True)
        sys.exit(event["status"])
    if todo == "sleep":
        time.sleep(event["seconds"])
    if todo == "eat":
        eaten = b"x" * event["bytes"]
        time.sleep(10)
    if todo == "later":
        # Not waited for.
        threading.Timer(event["seconds"], lambda: open(event["file"], "w").close()).start()
    result = {
        "echo": lambda: event,
        "sleep": lambda: "slept",
        "later": lambda: "answered",
        "pid": lambda: os.getpid(),
        "version": lambda: VERSION,
        "env": lambda: dict(os.environ),
        "head": lambda: {key.lower(): value for key, value in head.items()},
        "folder": lambda: [os.getcwd(), os.stat("bootstrap").st_mode & 0o777],
        "sh": lambda: os.popen("{ " + event["script"] + "; } 2>&1").read(),
        "big": lambda: "x" * event["length"],
        "fail": lambda: None,
        "records": lambda: {
            "batchItemFailures": [
                {"itemIdentifier": record["messageId"]} for record in event["Records"] if record["body"] == "bad"
            ]
        },
        "print": lambda: None,
        "rude": lambda: call("POST", "/invocation/another/response", "1")[0],
        "impatient": lambda: call("GET", "/invocation/next")[0],
    }[todo]()
    if todo == "print":
        print(event["text"])
        print("to stderr", file=sys.stderr)
        sys.stdout.write("unfinished")
        sys.stdout.flush()
    if todo == "fail":
        document = json.dumps({"errorType": "Handler.Failed", "errorMessage": "as asked"})
        call("POST", f"/invocation/{request}/error", document)
        continue
    call("POST", f"/invocation/{request}/response", json.dumps(result))
