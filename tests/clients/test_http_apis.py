"""boto3 makes HTTP APIs on the local cloud, and Python's own HTTP client calls them."""

import http.server
import json
import threading
import urllib.error
import urllib.request

import pytest
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials
from botocore.exceptions import ClientError

from harness import REGION


class Backend(http.server.BaseHTTPRequestHandler):
    """Answers with the request that it got."""

    def do_GET(self):
        body = self.rfile.read(int(self.headers.get("content-length", 0))).decode()
        seen = {"method": self.command, "path": self.path, "headers": {name.lower(): value for name, value in self.headers.items()}}
        text = json.dumps(seen | {"body": body}).encode()
        self.send_response(418 if "teapot" in self.path else 200)
        self.send_header("content-type", "application/json")
        self.send_header("x-backend", "yes")
        self.send_header("content-length", str(len(text)))
        self.end_headers()
        self.wfile.write(text)

    do_POST = do_GET

    def log_message(self, *_):
        pass


@pytest.fixture(scope="module")
def backend():
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Backend)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()


@pytest.fixture
def gateway(cloud):
    return cloud.plain.client("apigatewayv2")


@pytest.fixture
def api(gateway, name):
    made = gateway.create_api(Name=name, ProtocolType="HTTP")
    assert made["RouteSelectionExpression"] == "$request.method $request.path"
    yield made
    gateway.delete_api(ApiId=made["ApiId"])


def call(url, method="GET", headers=None, body=None):
    """Status, headers and JSON of an answer."""
    request = urllib.request.Request(url, data=body, method=method, headers=headers or {})
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        answer = opener.open(request)
    except urllib.error.HTTPError as error:
        answer = error
    text = answer.read()
    return answer.status, answer.headers, json.loads(text) if text else None


def route(gateway, api, key, **integration):
    made = gateway.create_integration(ApiId=api["ApiId"], PayloadFormatVersion="1.0", **integration)
    target = "integrations/" + made["IntegrationId"]
    return made, gateway.create_route(ApiId=api["ApiId"], RouteKey=key, Target=target)


def test_requests_are_handed_on(gateway, api, backend):
    assert (api["ProtocolType"], api["ApiEndpoint"].startswith("http://")) == ("HTTP", True)
    made, _ = route(
        gateway,
        api,
        "ANY /to/{proxy+}",
        IntegrationType="HTTP_PROXY",
        IntegrationMethod="ANY",
        IntegrationUri=backend + "/there/{proxy}",
        RequestParameters={"overwrite:header.x-new": "$request.path.proxy", "remove:header.x-old": "''"},
        ResponseParameters={"418": {"overwrite:statuscode": "201"}},
    )
    assert (made["TimeoutInMillis"], "PassthroughBehavior" in made) == (30000, False)
    gateway.create_stage(ApiId=api["ApiId"], StageName="$default", AutoDeploy=True)
    status, headers, seen = call(api["ApiEndpoint"] + "/to/a/b?x=1", "POST", {"X-Old": "1", "X-Kept": "2"}, b"hello")
    assert (status, headers["x-backend"]) == (200, "yes")
    assert (seen["method"], seen["path"], seen["body"]) == ("POST", "/there/a/b?x=1", "hello")
    assert (seen["headers"]["x-new"], seen["headers"]["x-kept"], "x-old" in seen["headers"]) == ("a/b", "2", False)
    assert call(api["ApiEndpoint"] + "/to/teapot")[0] == 201
    assert call(api["ApiEndpoint"] + "/elsewhere")[::2] == (404, {"message": "Not Found"})


def test_a_stage_without_auto_deploy_serves_its_deployment(gateway, api, backend):
    for_all = {"IntegrationType": "HTTP_PROXY", "IntegrationMethod": "ANY", "IntegrationUri": backend}
    _, first = route(gateway, api, "GET /first", **for_all)
    deployment = gateway.create_deployment(ApiId=api["ApiId"])["DeploymentId"]
    gateway.create_stage(ApiId=api["ApiId"], StageName="v1", DeploymentId=deployment)
    gateway.update_route(ApiId=api["ApiId"], RouteId=first["RouteId"], RouteKey="GET /second")
    address = api["ApiEndpoint"] + "/v1"
    assert [call(address + path)[0] for path in ("/first", "/second")] == [200, 404]
    deployment = gateway.create_deployment(ApiId=api["ApiId"])["DeploymentId"]
    gateway.update_stage(ApiId=api["ApiId"], StageName="v1", DeploymentId=deployment)
    assert [call(address + path)[0] for path in ("/first", "/second")] == [404, 200]


def test_signed_requests(gateway, api, backend):
    _, made = route(gateway, api, "POST /signed", IntegrationType="HTTP_PROXY", IntegrationMethod="POST", IntegrationUri=backend)
    gateway.update_route(ApiId=api["ApiId"], RouteId=made["RouteId"], AuthorizationType="AWS_IAM")
    gateway.create_stage(ApiId=api["ApiId"], StageName="$default", AutoDeploy=True)
    url = api["ApiEndpoint"] + "/signed?b=2&a=1"
    assert call(url, "POST", body=b"x")[0] == 403
    request = AWSRequest("POST", url, data=b"x", headers={"Content-Type": "text/plain"})
    # (The cloud takes any key, so the signature itself is not checked; `signature.rs` has those that are.)
    SigV4Auth(Credentials("test", "test"), "execute-api", REGION).add_auth(request)
    assert call(url, "POST", dict(request.headers), b"x")[0] == 200


def test_documents_are_imported_and_imported_again(gateway, name, backend):
    def document(path, **more):
        integration = {"type": "http_proxy", "httpMethod": "GET", "uri": backend + "/x", "payloadFormatVersion": "1.0"}
        paths = {path: {"get": {"x-amazon-apigateway-integration": integration, "responses": {}}}}
        tags = [{"name": "team", "x-amazon-apigateway-tag-value": "blue"}]
        return json.dumps({"openapi": "3.0.1", "info": {"title": name, "version": "1"}, "paths": paths, "tags": tags} | more)

    made = gateway.import_api(Body=document("/one"))
    api = made["ApiId"]
    assert (made["Name"], made["Tags"], made["ProtocolType"]) == (name, {"team": "blue"}, "HTTP")
    gateway.create_stage(ApiId=api, StageName="$default", AutoDeploy=True)
    assert call(made["ApiEndpoint"] + "/one")[2]["path"] == "/x"
    cors = {"x-amazon-apigateway-cors": {"allowOrigins": ["https://a.example.com"], "maxAge": 5}}
    again = gateway.reimport_api(ApiId=api, Body=document("/two", **cors))
    assert again["CorsConfiguration"]["AllowOrigins"] == ["https://a.example.com"]
    assert [one["RouteKey"] for one in gateway.get_routes(ApiId=api)["Items"]] == ["GET /two"]
    status, headers, _ = call(made["ApiEndpoint"] + "/two", headers={"Origin": "https://a.example.com"})
    assert (status, headers["access-control-allow-origin"]) == (200, "https://a.example.com")
    gateway.delete_cors_configuration(ApiId=api)
    assert "CorsConfiguration" not in gateway.get_api(ApiId=api)
    gateway.delete_api(ApiId=api)
    with pytest.raises(ClientError) as error:
        gateway.import_api(Body='{"swagger": "2.0"}')
    assert error.value.response["Error"]["Code"] == "BadRequestException"


def test_what_http_apis_do_not_have_is_refused(gateway, api):
    def refused(call, **arguments):
        with pytest.raises(ClientError) as error:
            call(ApiId=api["ApiId"], **arguments)
        return error.value.response["Error"]["Message"]

    assert "formatted properly" in refused(gateway.create_route, RouteKey="items")
    assert "API Key" in refused(gateway.create_route, RouteKey="GET /items", ApiKeyRequired=True)
    assert "HTTP_PROXY and AWS_PROXY" in refused(gateway.create_integration, IntegrationType="MOCK")
    settings = {"LoggingLevel": "INFO"}
    assert "Execution logs" in refused(gateway.create_stage, StageName="x", DefaultRouteSettings=settings)
    jwt = {"Name": "j", "AuthorizerType": "JWT", "IdentitySource": ["$request.header.Authorization"]}
    assert "issuer" in refused(gateway.create_authorizer, **jwt, JwtConfiguration={"Audience": ["a"]})
    made = gateway.create_authorizer(
        ApiId=api["ApiId"], **jwt, JwtConfiguration={"Audience": ["a"], "Issuer": "https://id.invalid"}
    )
    route = gateway.create_route(
        ApiId=api["ApiId"], RouteKey="GET /guarded", AuthorizationType="JWT", AuthorizerId=made["AuthorizerId"]
    )
    gateway.create_stage(ApiId=api["ApiId"], StageName="$default", AutoDeploy=True)
    status, headers, body = call(api["ApiEndpoint"] + "/guarded", headers={"Authorization": "Bearer a.b.c"})
    assert (status, body, "error_description" in headers["www-authenticate"]) == (401, {"message": "Unauthorized"}, True)
    assert call(api["ApiEndpoint"] + "/guarded")[0] == 401
    gateway.delete_route(ApiId=api["ApiId"], RouteId=route["RouteId"])
