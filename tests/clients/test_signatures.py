"""The local cloud verifies who signs a call, as AWS does: the id of an access key, which every presigned address tells, is not enough."""

import hashlib
import http.client
import json
import shutil
import subprocess
from datetime import datetime, timezone
from urllib.parse import parse_qs, urlsplit

import boto3
import pytest
from botocore.auth import SigV4Auth, SigV4QueryAuth
from botocore.awsrequest import AWSRequest
from botocore.config import Config
from botocore.credentials import Credentials
from botocore.exceptions import ClientError

from harness import PATIENCE, REGION, LocalCloud, environment, wschat
from test_boto3 import TRUST

WRONG = "not-the-secret"

# Of each protocol a service and a call, and AWS's refusal of a wrong signature.
CALLS = {
    "lambda": ("list_functions", {}, 403, "InvalidSignatureException"),
    "scheduler": ("list_schedules", {}, 403, "InvalidSignatureException"),
    "apigatewayv2": ("get_apis", {}, 403, "InvalidSignatureException"),
    "dynamodb": ("list_tables", {}, 400, "InvalidSignatureException"),
    "logs": ("describe_log_groups", {}, 400, "InvalidSignatureException"),
    "sqs": ("list_queues", {}, 403, "SignatureDoesNotMatch"),
    "iam": ("list_roles", {}, 403, "SignatureDoesNotMatch"),
    "sns": ("list_topics", {}, 403, "SignatureDoesNotMatch"),
    "s3": ("list_buckets", {}, 403, "SignatureDoesNotMatch"),
}


@pytest.fixture(scope="module")
def locked(tmp_path_factory):
    """A local cloud that admits its own keys alone, and the environment that has its key."""
    with LocalCloud(tmp_path_factory.mktemp("locked"), ()) as cloud:
        yield cloud, json.loads(wschat("env", "--json", "--data", cloud.data))["variables"]


@pytest.fixture
def client(locked):
    """Makes clients with the cloud's own key, or with another one, or with a wrong secret of it."""
    cloud, variables = locked

    def client(service, key=None, secret=None, token=None, **more):
        return boto3.client(
            service,
            endpoint_url=cloud.plain.url,
            region_name=REGION,
            aws_access_key_id=key or variables["AWS_ACCESS_KEY_ID"],
            aws_secret_access_key=secret or variables["AWS_SECRET_ACCESS_KEY"],
            aws_session_token=token,
            config=Config(proxies={}, retries={"max_attempts": 0}, **more),
        )

    return client


@pytest.fixture
def session(client, name):
    """Credentials of a role."""
    arn = client("iam").create_role(RoleName=name, AssumeRolePolicyDocument=anyone())["Role"]["Arn"]
    yield client("sts").assume_role(RoleArn=arn, RoleSessionName="session")["Credentials"]
    client("iam").delete_role(RoleName=name)


def anyone():
    """A trust policy that also lets the local user assume the role."""
    trust = json.loads(TRUST)
    statement = trust["Statement"] if isinstance(trust["Statement"], list) else [trust["Statement"]]
    user = {"Effect": "Allow", "Principal": {"AWS": "*"}, "Action": "sts:AssumeRole"}
    return json.dumps({**trust, "Statement": [*statement, user]})


def refusal(client, operation, arguments):
    with pytest.raises(ClientError) as refused:
        getattr(client, operation)(**arguments)
    return refused.value.response["ResponseMetadata"]["HTTPStatusCode"], refused.value.response["Error"]["Code"]


@pytest.mark.parametrize("service", CALLS)
def test_a_presigned_address_gives_no_key_away(client, session, service):
    """Who gets an address that a role's session has signed knows the id of its key, and calls nothing with it."""
    own = {"key": session["AccessKeyId"], "secret": session["SecretAccessKey"], "token": session["SessionToken"]}
    address = client("s3", **own, signature_version="s3v4").generate_presigned_url("get_object", Params={"Bucket": "b", "Key": "k"})
    told = {name: values[0] for name, values in parse_qs(urlsplit(address).query).items()}
    key, token = told["X-Amz-Credential"].split("/")[0], told["X-Amz-Security-Token"]
    operation, arguments, status, code = CALLS[service]
    getattr(client(service, **own), operation)(**arguments)
    assert refusal(client(service, key, WRONG, token), operation, arguments) == (status, code)
    # Without the token of the session, the right secret is not enough either.
    assert refusal(client(service, key, own["secret"]), operation, arguments)[0] in (400, 403)
    getattr(client(service), operation)(**arguments)
    assert refusal(client(service, secret=WRONG), operation, arguments) == (status, code)


def send(cloud, request):
    """Sends a request of botocore's as it is."""
    parts = urlsplit(request.url)
    connection = http.client.HTTPConnection("127.0.0.1", cloud.port, timeout=PATIENCE)
    connection.request(request.method, f"{parts.path}?{parts.query}", request.body, dict(request.headers.items()))
    answer = connection.getresponse()
    return answer.status, answer.read()


def test_nothing_else_counts_than_what_was_signed(locked):
    cloud, variables = locked
    right = Credentials(variables["AWS_ACCESS_KEY_ID"], variables["AWS_SECRET_ACCESS_KEY"])
    functions = f"{cloud.plain.url}/2015-03-31/functions/"

    def signed(method="GET", url=functions, body=b"", by=right, query=False, **headers):
        request = AWSRequest(method, url, {name.replace("_", "-"): value for name, value in headers.items()}, body)
        (SigV4QueryAuth if query else SigV4Auth)(by, "lambda", REGION).add_auth(request)
        return request.prepare()

    def answer(request, **changes):
        for name, value in changes.items():
            setattr(request, name, value)
        return send(cloud, request)[0]

    assert answer(signed()) == 200
    assert answer(signed(url=functions + "?MaxItems=7&FunctionVersion=ALL")) == 200
    assert answer(signed(url=functions + "?Marker=a%20b%2F%2B~")) == 400, "the marker is not understood, but who sends it is known"
    assert answer(signed(), method="POST") == 403
    assert answer(signed(), url=functions + "?MaxItems=1") == 403
    assert answer(signed(), url=functions + "f") == 403
    # A body that was not signed, also where a header says what was.
    invoke = f"{functions}none/invocations"
    assert answer(signed("POST", invoke, b"{}")) == 404
    assert answer(signed("POST", invoke, b"{}"), body=b"[]") == 403
    request = signed("POST", invoke, b"{}", X_Amz_Content_SHA256=hashlib.sha256(b"{}").hexdigest())
    assert answer(request) == 404
    assert answer(request, body=b"[]") == 403
    # The clock of who signs does not matter in headers, in addresses it does.
    old = signed(query=True)
    assert answer(old) == 200
    assert answer(old, url=old.url.replace("X-Amz-Signature=", "X-Amz-Signature=0")) == 403
    # An address's signature is none for a header's key, and no header's for an address.
    stranger = Credentials(right.access_key, WRONG)
    both = signed(by=stranger)
    assert answer(both, url=signed(query=True).url) == 403
    assert answer(signed(by=stranger, query=True)) == 403
    # What only looks like a signature.
    for authorization in (
        f"AWS4-HMAC-SHA256 Credential={right.access_key}/20260101/{REGION}/lambda/aws4_request, SignedHeaders=host, Signature=0",
        f"AWS4-HMAC-SHA256 Credential={right.access_key}/20260101/{REGION}/lambda/aws4_request",
        f"Bearer Credential={right.access_key}/20260101/{REGION}/lambda/aws4_request",
    ):
        plain = AWSRequest("GET", functions, {"Authorization": authorization, "X-Amz-Date": "20260101T000000Z"}).prepare()
        assert answer(plain) == 403, authorization


def test_the_clock_of_a_caller_may_stand_still(locked, monkeypatch):
    cloud, variables = locked
    right = Credentials(variables["AWS_ACCESS_KEY_ID"], variables["AWS_SECRET_ACCESS_KEY"])
    monkeypatch.setattr("botocore.auth.get_current_datetime", lambda *_, **__: datetime(2020, 1, 1, tzinfo=timezone.utc))
    request = AWSRequest("GET", f"{cloud.plain.url}/2015-03-31/functions/", {}, b"")
    SigV4Auth(right, "lambda", REGION).add_auth(request)
    assert request.headers["X-Amz-Date"].startswith("2020")
    assert send(cloud, request.prepare())[0] == 200
    request = AWSRequest("GET", f"{cloud.plain.url}/2015-03-31/functions/", {}, b"")
    SigV4QueryAuth(right, "lambda", REGION).add_auth(request)
    assert send(cloud, request.prepare())[0] == 403


def test_what_sdks_sign_is_admitted(client, locked, session, name, tmp_path):
    """Paths, queries, headers and bodies that clients write in different ways."""
    cloud, variables = locked
    s3 = client("s3")
    s3.create_bucket(Bucket=name)
    keys = ["a b/c+d.txt", "ü/ß €", "a//b", "100%", "%2F", "x=y&z", "(1)!*'", "~t_-.", "a:b@c,d;e", "q?r#s", " lead", "../up"]
    for key in keys:
        s3.put_object(Bucket=name, Key=key, Body=b"x", Metadata={"note": "two  spaces"})
        assert s3.get_object(Bucket=name, Key=key)["Body"].read() == b"x", key
    for prefix in ("a b", "ü", "+", "%", "a//"):
        s3.list_objects_v2(Bucket=name, Prefix=prefix, Delimiter="/", EncodingType="url")
    # Bodies in chunks, and of more than one part.
    s3.put_object(Bucket=name, Key="big", Body=b"x" * (9 << 20), ChecksumAlgorithm="SHA256")
    plain = client("s3", s3={"payload_signing_enabled": True})
    plain.put_object(Bucket=name, Key="signed", Body=b"y" * 100_000)
    file = tmp_path / "file"
    file.write_bytes(b"z" * (10 << 20))
    s3.upload_file(str(file), name, "file")
    for found in s3.list_objects_v2(Bucket=name)["Contents"]:
        s3.delete_object(Bucket=name, Key=found["Key"])
    s3.delete_bucket(Bucket=name)

    functions = client("lambda")
    for called in ("none", f"arn:aws:lambda:{REGION}:000000000000:function:none:a"):
        with pytest.raises(ClientError, match="ResourceNotFoundException"):
            functions.get_function(FunctionName=called)
    client("scheduler").list_schedules(NamePrefix="a", MaxResults=1)
    gateway = client("apigatewaymanagementapi")
    for connection in ("L0SM9cOFvHcCIhw=", "a/b+c=="):
        assert refusal(gateway, "post_to_connection", {"ConnectionId": connection, "Data": b"x"})[1] != "InvalidSignatureException"
    client("sts").get_caller_identity()
    client("iam").get_role(RoleName=name)
    client("sqs").list_queues(QueueNamePrefix="a b+c")
    client("dynamodb").list_tables()
    client("logs").describe_log_groups(logGroupNamePrefix="/aws/lambda/a b")

    # curl signs by itself (a query only as it is given: it must be in order).
    if shutil.which("curl"):
        signer = f"{variables['AWS_ACCESS_KEY_ID']}:{variables['AWS_SECRET_ACCESS_KEY']}"
        for url in ("/2015-03-31/functions/?FunctionVersion=ALL&MaxItems=3", "/2015-03-31/functions/"):
            ask = ["curl", "-sS", "--noproxy", "*", "-w", "%{http_code}", "-o", "/dev/null", "--aws-sigv4", f"aws:amz:{REGION}:lambda"]
            ran = subprocess.run([*ask, "--user", signer, cloud.plain.url + url], env=environment(), capture_output=True, text=True)
            assert ran.stdout == "200", (ran.stdout, ran.stderr)
