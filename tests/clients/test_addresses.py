"""Handlers reach their API by its host name on AWS, which they build in code or read from a variable."""

import json

import pytest

from harness import PATIENCE, LocalCloud, connect, wschat

TEMPLATE = """
Transform: AWS::Serverless-2016-10-31
Resources:
  Api:
    Type: AWS::Serverless::WebSocketApi
    Properties:
      RouteSelectionExpression: $request.body.action
      StageName: p
      Routes:
        $default: {FunctionArn: !GetAtt Echo.Arn}
  Echo:
    Type: AWS::Serverless::Function
    Properties:
      Runtime: %s
      Handler: %s
      CodeUri: src
      Timeout: 20
      Environment:
        Variables:
          URL: !Sub "https://${Api}.execute-api.${AWS::Region}.amazonaws.com/p"
          HOST: !Sub "${Api}.execute-api.${AWS::Region}.${AWS::URLSuffix}/p"
"""

# A local cloud that admits all callers does not verify the signature, so that no SDK is needed.
NODE = """
const https = require("https");
const signed = { authorization: `AWS4-HMAC-SHA256 Credential=${process.env.AWS_ACCESS_KEY_ID}/20260101/us-east-1/execute-api/aws4_request` };
const byHttps = (url, body) => new Promise((resolve, reject) =>
  https.request(url, { method: "POST", headers: signed }, (answer) => answer.resume().on("end", () => resolve(answer.statusCode)))
    .on("error", reject).end(body));
const byFetch = async (url, body) => (await fetch(url, { method: "POST", headers: signed, body })).status;
exports.handler = async ({ requestContext: { eventType, apiId, stage, connectionId } }) => {
  if (eventType !== "MESSAGE") return { statusCode: 200 };
  const built = `https://${apiId}.execute-api.${process.env.AWS_REGION}.amazonaws.com/${stage}`;
  const bases = [built, process.env.URL, `https://${process.env.HOST}`];
  const statuses = [];
  for (const base of bases) {
    const url = new URL(`${base}/@connections/${encodeURIComponent(connectionId)}`);
    const post = url.protocol === "https:" ? [byHttps, byFetch] : [byFetch];
    for (const way of post) statuses.push(await way(url, "to you"));
  }
  if (process.env._WSCHAT_APIS !== undefined) statuses.push("a variable of ours is left");
  return { statusCode: 200, body: JSON.stringify(statuses) };
};
"""

PYTHON = """
import os, urllib.parse, urllib.request, json

def post(base, connection):
    url = base + "/@connections/" + urllib.parse.quote(connection, safe="")
    key = os.environ["AWS_ACCESS_KEY_ID"]
    signed = f"AWS4-HMAC-SHA256 Credential={key}/20260101/us-east-1/execute-api/aws4_request"
    request = urllib.request.Request(url, b"to you", {"Authorization": signed}, method="POST")
    return urllib.request.urlopen(request).status

def handler(event, context):
    about = event["requestContext"]
    if about["eventType"] != "MESSAGE":
        return {"statusCode": 200}
    built = f"https://{about['apiId']}.execute-api.{os.environ['AWS_REGION']}.amazonaws.com/{about['stage']}"
    for base in (built, os.environ["URL"], "https://" + os.environ["HOST"]):
        post(base, about["connectionId"])
    return {"statusCode": 200}
"""


@pytest.mark.parametrize(
    ("runtime", "file", "code", "posts"),
    [("nodejs22.x", "index.js", NODE, 5), ("python3.11", "index.py", PYTHON, 3)],
)
def test_an_api_is_reached_by_its_host_name_on_aws(runtime, file, code, posts, tmp_path):
    (tmp_path / "src").mkdir()
    (tmp_path / "src" / file).write_text(code)
    (tmp_path / "template.yaml").write_text(TEMPLATE % (runtime, "index.handler"))
    with LocalCloud(tmp_path / ".wschat") as cloud:
        uri = wschat("up", "--local", "--data", cloud.data, "--stack", "names", cwd=tmp_path, timeout=300).strip()
        with connect(uri) as client:
            client.send(json.dumps({"action": "anything"}))
            heard = [client.recv(PATIENCE) for _ in range(posts)]
            assert heard == ["to you"] * posts
