"""Shared by the tests and the soak of `wschat dev`: a small application, and the command."""

import re
from pathlib import Path

from harness import PATIENCE
from terminal import Terminal

NODE = 'exports.handler = async () => ({ statusCode: 200, body: "VERSION" });\n'
PYTHON = 'def handler(event, context):\n    return {"statusCode": 200, "body": "VERSION"}\n'

TEMPLATE = """\
Transform: AWS::Serverless-2016-10-31
Resources:
  Api:
    Type: AWS::ApiGatewayV2::Api
    Properties: { Name: dev, ProtocolType: WEBSOCKET, RouteSelectionExpression: $request.body.action }
  Stage:
    Type: AWS::ApiGatewayV2::Stage
    Properties: { ApiId: !Ref Api, StageName: live, AutoDeploy: true }
"""

FUNCTION = """\
  NAME:
    Type: AWS::Serverless::Function
    Properties: { CodeUri: FOLDER, Handler: HANDLER, Runtime: RUNTIME, Timeout: 10 }
  NAMEIntegration:
    Type: AWS::ApiGatewayV2::Integration
    Properties:
      ApiId: !Ref Api
      IntegrationType: AWS_PROXY
      IntegrationUri: !Sub arn:${AWS::Partition}:apigateway:${AWS::Region}:lambda:path/2015-03-31/functions/${NAME.Arn}/invocations
  NAMEPermission:
    Type: AWS::Lambda::Permission
    Properties: { Action: lambda:InvokeFunction, FunctionName: !Ref NAME, Principal: apigateway.amazonaws.com }
"""

ROUTE = """\
  NAMERoute:
    Type: AWS::ApiGatewayV2::Route
    Properties: { ApiId: !Ref Api, RouteKey: KEY, RouteResponseSelectionExpression: $default, Target: !Sub "integrations/${OF}" }
  NAMEResponse:
    Type: AWS::ApiGatewayV2::RouteResponse
    Properties: { ApiId: !Ref Api, RouteId: !Ref NAMERoute, RouteResponseKey: $default }
"""

TABLE = """\
  Table:
    Type: AWS::DynamoDB::Table
    Properties:
      BillingMode: PAY_PER_REQUEST
      KeySchema: [{ AttributeName: id, KeyType: HASH }]
      AttributeDefinitions: [{ AttributeName: id, AttributeType: S }]
"""


def function(name, folder, handler, runtime):
    text = FUNCTION.replace("NAME", name).replace("FOLDER", folder)
    return text.replace("HANDLER", handler).replace("RUNTIME", runtime)


def route(name, key, of):
    return ROUTE.replace("KEY", key).replace("OF", of).replace("NAME", name)


class App:
    """An application in `folder`: the route `node` answers with the version of a Node.js handler, `python` with that of a Python
    handler."""

    def __init__(self, folder: Path):
        self.folder = folder
        self.template = folder / "template.yaml"
        self.node = folder / "node/index.js"
        self.python = folder / "python/app.py"
        for file in (self.node, self.python):
            file.parent.mkdir(parents=True)
        self.save_node("one")
        self.save_python("one")
        self.text = TEMPLATE + function("Node", "node", "index.handler", "nodejs22.x")
        self.text += function("Python", "python", "app.handler", "python3.12")
        self.text += route("Node", "node", "NodeIntegration") + route("Python", "python", "PythonIntegration")
        self.template.write_text(self.text)

    def save_node(self, version):
        self.node.write_text(NODE.replace("VERSION", str(version)))

    def save_python(self, version):
        self.python.write_text(PYTHON.replace("VERSION", str(version)))


def ask(socket, action):
    """What a route answers over an open socket."""
    socket.send(f'{{"action": "{action}"}}')
    return socket.recv(PATIENCE)


class Dev(Terminal):
    """`wschat dev` in the folder of an application."""

    def __init__(self, folder: Path, *arguments, **options):
        super().__init__(folder, "dev", *arguments, **options)

    def ready(self) -> str:
        """Waits until all is deployed; returns the URI."""
        self.wait("for changes.")
        return re.search(r"wss?://[^\s]+/live", self.shown)[0]
