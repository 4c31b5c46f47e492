"""boto3, the AWS CLI and curl against the local cloud's S3.

A third-party emulator, ministack, gets the same calls of boto3: it is the second witness that this is how AWS answers.
"""

import hashlib
import json
import os
import subprocess
import sys
import time
import urllib.error
import urllib.request
from concurrent.futures import ThreadPoolExecutor

import boto3
import pytest
from botocore.config import Config
from botocore.exceptions import ClientError

from harness import PATIENCE, REGION, Endpoint, LocalCloud, Ministack, code, environment, wait_until, wschat
from test_boto3 import TRUST
from test_runtimes import once_assumable

SIZE = 20 << 20


@pytest.fixture(scope="module")
def ministack(tmp_path_factory):
    with Ministack(tmp_path_factory.mktemp("ministack")) as ministack:
        yield Endpoint(f"http://127.0.0.1:{ministack.port}")


OURS = ["plain", "tls"]


@pytest.fixture(params=OURS + ["ministack"])
def aws(request):
    """The local cloud over HTTP and TLS, and ministack."""
    if request.param == "ministack":
        return request.getfixturevalue("ministack")
    return getattr(request.getfixturevalue("cloud"), request.param)


# ministack does not give checksums back, repeats versions from page to page, has no public access block by default, and does not check
# the receivers of notifications.
ours = pytest.mark.parametrize("aws", OURS, indirect=True)


@pytest.fixture
def bucket(aws, name):
    s3 = aws.client("s3")
    s3.create_bucket(Bucket=name)
    yield name
    pages = s3.get_paginator("list_objects_v2").paginate(Bucket=name)
    for found in (found for page in pages for found in page.get("Contents", [])):
        s3.delete_object(Bucket=name, Key=found["Key"])
    s3.delete_bucket(Bucket=name)


@pytest.fixture(scope="module")
def locked(tmp_path_factory):
    """A local cloud that admits its own access key only, and the variables that name it."""
    with LocalCloud(tmp_path_factory.mktemp("locked"), options=()) as cloud:
        yield json.loads(wschat("env", "--json", "--data", cloud.data).splitlines()[0])["variables"]


def test_objects(aws, bucket):
    s3 = aws.client("s3")
    put = s3.put_object(Bucket=bucket, Key="a b/ü.txt", Body=b"hello", ContentType="text/plain", Metadata={"room": "blue"}, Tagging="a=1")
    assert put["ETag"] == f'"{hashlib.md5(b"hello").hexdigest()}"'
    got = s3.get_object(Bucket=bucket, Key="a b/ü.txt")
    assert (got["Body"].read(), got["ContentType"], got["Metadata"]) == (b"hello", "text/plain", {"room": "blue"})
    assert got["TagCount"] == 1
    assert s3.get_object(Bucket=bucket, Key="a b/ü.txt", Range="bytes=1-2")["Body"].read() == b"el"
    head = s3.head_object(Bucket=bucket, Key="a b/ü.txt")
    assert (head["ContentLength"], head["ETag"]) == (5, put["ETag"])
    assert abs(head["LastModified"].timestamp() - time.time()) < PATIENCE
    s3.copy_object(Bucket=bucket, Key="copy", CopySource={"Bucket": bucket, "Key": "a b/ü.txt"})
    assert s3.head_object(Bucket=bucket, Key="copy")["Metadata"] == {"room": "blue"}
    s3.put_object_tagging(Bucket=bucket, Key="copy", Tagging={"TagSet": [{"Key": "k", "Value": "v & w"}]})
    assert s3.get_object_tagging(Bucket=bucket, Key="copy")["TagSet"] == [{"Key": "k", "Value": "v & w"}]
    deleted = s3.delete_objects(Bucket=bucket, Delete={"Objects": [{"Key": "copy"}, {"Key": "gone"}]})
    assert [one["Key"] for one in deleted["Deleted"]] == ["copy", "gone"]
    for call, code in (
        (lambda: s3.get_object(Bucket=bucket, Key="gone"), "NoSuchKey"),
        (lambda: s3.head_object(Bucket=bucket, Key="gone"), "404"),
        (lambda: s3.head_bucket(Bucket=f"{bucket}-gone"), "404"),
        (lambda: s3.list_objects_v2(Bucket=f"{bucket}-gone"), "NoSuchBucket"),
        (lambda: s3.delete_bucket(Bucket=bucket), "BucketNotEmpty"),
        (lambda: s3.get_object(Bucket=bucket, Key="a b/ü.txt", IfMatch='"x"'), "PreconditionFailed"),
        (lambda: s3.get_object(Bucket=bucket, Key="a b/ü.txt", IfNoneMatch=put["ETag"]), "304"),
    ):
        with pytest.raises(ClientError) as refused:
            call()
        assert refused.value.response["Error"]["Code"] == code


@ours
def test_checksums(aws, bucket):
    s3 = aws.client("s3")
    # boto3 sends a checksum behind the content, and holds the answer's against it. (It computes others with a library in C alone.)
    for algorithm in ("CRC32", "SHA1", "SHA256"):
        put = s3.put_object(Bucket=bucket, Key=algorithm, Body=b"hello", ChecksumAlgorithm=algorithm)
        got = s3.get_object(Bucket=bucket, Key=algorithm, ChecksumMode="ENABLED")
        assert got["Body"].read() == b"hello" and got[f"Checksum{algorithm}"] == put[f"Checksum{algorithm}"]
    with pytest.raises(ClientError, match="BadDigest"):
        s3.put_object(Bucket=bucket, Key="wrong", Body=b"hello", ChecksumSHA256="uU0nuZNNPgilLlLX2n2r+sSE7+N6U4DukIj3rOLvzek=")
    with pytest.raises(ClientError, match="NotImplemented"):
        s3.get_bucket_replication(Bucket=bucket)


@ours
def test_lists(aws, bucket):
    s3 = aws.client("s3")
    keys = [f"{folder}/{at:02} &+.txt" for folder in "abc" for at in range(7)]
    for key in keys:
        s3.put_object(Bucket=bucket, Key=key, Body=b"x")
    for operation in ("list_objects", "list_objects_v2", "list_object_versions"):
        pages = list(s3.get_paginator(operation).paginate(Bucket=bucket, PaginationConfig={"PageSize": 5}))
        member = "Versions" if operation == "list_object_versions" else "Contents"
        assert len(pages) == 5 and [one["Key"] for page in pages for one in page[member]] == keys
    found = s3.list_objects_v2(Bucket=bucket, Delimiter="/")
    assert [one["Prefix"] for one in found["CommonPrefixes"]] == ["a/", "b/", "c/"] and found["KeyCount"] == 3
    assert s3.list_objects_v2(Bucket=bucket, Prefix="b/", StartAfter=keys[9])["KeyCount"] == 4
    assert bucket in [one["Name"] for one in s3.list_buckets()["Buckets"]]
    assert s3.get_bucket_location(Bucket=bucket)["LocationConstraint"] is None


def test_a_large_object_goes_in_parts(aws, bucket, tmp_path):
    s3 = aws.client("s3")
    content = os.urandom(SIZE)
    (tmp_path / "large").write_bytes(content)
    s3.upload_file(str(tmp_path / "large"), bucket, "large", ExtraArgs={"Metadata": {"a": "b"}})
    head = s3.head_object(Bucket=bucket, Key="large")
    assert head["ContentLength"] == SIZE and head["ETag"].endswith('-3"') and head["Metadata"] == {"a": "b"}
    s3.download_file(bucket, "large", str(tmp_path / "back"))
    assert (tmp_path / "back").read_bytes() == content
    s3.copy({"Bucket": bucket, "Key": "large"}, bucket, "again")
    assert s3.get_object(Bucket=bucket, Key="again")["Body"].read() == content
    begun = s3.create_multipart_upload(Bucket=bucket, Key="given up")
    s3.upload_part(Bucket=bucket, Key="given up", UploadId=begun["UploadId"], PartNumber=1, Body=b"x")
    assert [one["Key"] for one in s3.list_multipart_uploads(Bucket=bucket)["Uploads"]] == ["given up"]
    s3.abort_multipart_upload(Bucket=bucket, Key="given up", UploadId=begun["UploadId"])
    assert "Uploads" not in s3.list_multipart_uploads(Bucket=bucket)


@ours
def test_settings(aws, bucket):
    s3 = aws.client("s3")
    rules = [{"AllowedMethods": ["PUT"], "AllowedOrigins": ["*"]}]
    s3.put_bucket_cors(Bucket=bucket, CORSConfiguration={"CORSRules": rules})
    assert s3.get_bucket_cors(Bucket=bucket)["CORSRules"] == rules
    s3.delete_bucket_cors(Bucket=bucket)
    s3.put_bucket_versioning(Bucket=bucket, VersioningConfiguration={"Status": "Enabled"})
    assert s3.get_bucket_versioning(Bucket=bucket)["Status"] == "Enabled"
    s3.put_bucket_tagging(Bucket=bucket, Tagging={"TagSet": [{"Key": "team", "Value": "blue"}]})
    assert s3.get_bucket_tagging(Bucket=bucket)["TagSet"] == [{"Key": "team", "Value": "blue"}]
    resources = aws.client("resourcegroupstaggingapi").get_resources(TagFilters=[{"Key": "team", "Values": ["blue"]}])
    assert f"arn:aws:s3:::{bucket}" in [one["ResourceARN"] for one in resources["ResourceTagMappingList"]]
    policy = {"Version": "2012-10-17", "Statement": [{"Effect": "Deny", "Principal": "*", "Action": "s3:*", "Resource": "*"}]}
    s3.put_bucket_policy(Bucket=bucket, Policy=json.dumps(policy))
    assert json.loads(s3.get_bucket_policy(Bucket=bucket)["Policy"]) == policy
    assert s3.get_public_access_block(Bucket=bucket)["PublicAccessBlockConfiguration"]["BlockPublicPolicy"] is True
    assert s3.get_bucket_encryption(Bucket=bucket)["ServerSideEncryptionConfiguration"]["Rules"]
    assert s3.get_bucket_acl(Bucket=bucket)["Grants"][0]["Permission"] == "FULL_CONTROL"
    with pytest.raises(ClientError, match="AccessControlListNotSupported"):
        s3.put_object(Bucket=bucket, Key="public", Body=b"x", ACL="public-read")


@ours
def test_notifications(aws, bucket, name):
    s3, sqs = aws.client("s3"), aws.client("sqs")
    url = sqs.create_queue(QueueName=name)["QueueUrl"]
    arn = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
    filters = {"Key": {"FilterRules": [{"Name": "prefix", "Value": "in/"}]}}
    wanted = {"QueueConfigurations": [{"Id": "x", "QueueArn": arn, "Events": ["s3:ObjectCreated:*"], "Filter": filters}]}
    with pytest.raises(ClientError, match="Unable to validate the following destination configurations"):
        s3.put_bucket_notification_configuration(Bucket=bucket, NotificationConfiguration=wanted)
    statement = {
        "Effect": "Allow", "Principal": {"Service": "s3.amazonaws.com"}, "Action": "sqs:SendMessage", "Resource": arn,
        "Condition": {"ArnLike": {"aws:SourceArn": f"arn:aws:s3:::{bucket}"}},
    }
    sqs.set_queue_attributes(QueueUrl=url, Attributes={"Policy": json.dumps({"Version": "2012-10-17", "Statement": [statement]})})
    s3.put_bucket_notification_configuration(Bucket=bucket, NotificationConfiguration=wanted)
    given = s3.get_bucket_notification_configuration(Bucket=bucket)
    assert given["QueueConfigurations"][0]["QueueArn"] == arn and given["QueueConfigurations"][0]["Id"] == "x"
    s3.put_object(Bucket=bucket, Key="out/a", Body=b"x")
    s3.put_object(Bucket=bucket, Key="in/a b", Body=b"hello")

    def received():
        return sqs.receive_message(QueueUrl=url, WaitTimeSeconds=1).get("Messages")

    test = json.loads(wait_until(received, "the test event comes")[0]["Body"])
    assert (test["Event"], test["Bucket"]) == ("s3:TestEvent", bucket)
    [record] = json.loads(wait_until(received, "the event comes")[0]["Body"])["Records"]
    assert (record["eventName"], record["s3"]["object"]["key"], record["s3"]["object"]["size"]) == ("ObjectCreated:Put", "in/a+b", 5)
    sqs.delete_queue(QueueUrl=url)


@ours
def test_code_of_functions(aws, bucket, name):
    s3, functions = aws.client("s3"), aws.client("lambda")
    role = aws.client("iam").create_role(RoleName=name, AssumeRolePolicyDocument=TRUST)["Role"]["Arn"]
    s3.put_object(Bucket=bucket, Key="code.zip", Body=code("one"))
    place = {"S3Bucket": bucket, "S3Key": "code.zip"}
    create = lambda: functions.create_function(FunctionName=name, Role=role, Runtime="provided.al2023", Handler="x", Code=place)
    wait_until(lambda: once_assumable(create), "Lambda can assume the role")
    functions.get_waiter("function_active_v2").wait(FunctionName=name)
    s3.put_object(Bucket=bucket, Key="code.zip", Body=code("two"))
    functions.update_function_code(FunctionName=name, S3Bucket=bucket, S3Key="code.zip")
    functions.get_waiter("function_updated_v2").wait(FunctionName=name)
    with pytest.raises(ClientError, match="NoSuchBucket"):
        functions.update_function_code(FunctionName=name, S3Bucket=f"{bucket}-gone", S3Key="code.zip")
    functions.delete_function(FunctionName=name)
    aws.client("iam").delete_role(RoleName=name)


@pytest.mark.parametrize("version", ["s3v4", "s3", None])
@pytest.mark.parametrize("style", ["path", "virtual"])
def test_presigned(locked, name, version, style):
    """Clients without credentials, with URLs that are signed with version 4 of the signature, with version 2, or as boto3 likes."""
    url = locked["AWS_ENDPOINT_URL"].replace("127.0.0.1", "s3.localhost" if style == "virtual" else "127.0.0.1")
    keys = {"aws_access_key_id": locked["AWS_ACCESS_KEY_ID"], "aws_secret_access_key": locked["AWS_SECRET_ACCESS_KEY"]}
    config = Config(signature_version=version, s3={"addressing_style": style}, proxies={})
    s3 = boto3.client("s3", endpoint_url=url, region_name=REGION, config=config, **keys)
    admin = boto3.client("s3", endpoint_url=locked["AWS_ENDPOINT_URL"], region_name=REGION, **keys)
    admin.create_bucket(Bucket=name)

    def ask(method, target, body=None, **headers):
        host = target.split("/")[2]
        target = target.replace(host, f"127.0.0.1:{host.split(':')[1]}")
        request = urllib.request.Request(target, method=method, data=body, headers={"Host": host, **headers})
        try:
            with urllib.request.urlopen(request, timeout=PATIENCE) as answer:
                return answer.status, answer.read()
        except urllib.error.HTTPError as error:
            return error.code, error.read()

    def presigned(operation, seconds=60, **more):
        return s3.generate_presigned_url(operation, Params={"Bucket": name, "Key": "a b/c", **more}, ExpiresIn=seconds)

    typed = {"Content-Type": "text/plain"}
    assert ask("PUT", presigned("put_object", ContentType="text/plain"), b"hello", **typed)[0] == 200
    assert ask("GET", presigned("get_object")) == (200, b"hello")
    assert ask("GET", presigned("get_object", ResponseContentType="image/png")) == (200, b"hello")
    assert admin.head_object(Bucket=name, Key="a b/c")["ContentType"] == "text/plain"
    for target, said in (
        (presigned("get_object").replace("b/c", "b/d"), b"SignatureDoesNotMatch"),
        (presigned("get_object", seconds=-1) if version == "s3" else None, b"Request has expired"),
        (presigned("get_object").split("?")[0], b""),
        (presigned("get_object").split("&X-Amz-Signature=")[0] if version == "s3v4" else None, b"SignatureDoesNotMatch"),
    ):
        if target:
            status, body = ask("GET", target)
            assert status in (400, 403) and said in body, (target, body)
    assert ask("DELETE", presigned("get_object"))[0] == 403, "it is signed for another method"
    assert ask("DELETE", presigned("delete_object"))[0] == 204
    admin.delete_bucket(Bucket=name)


def test_pages_call_where_the_bucket_lets_them(locked, name):
    """What a browser asks before and after a page of another origin uploads to an address and reads it again."""
    keys = {"aws_access_key_id": locked["AWS_ACCESS_KEY_ID"], "aws_secret_access_key": locked["AWS_SECRET_ACCESS_KEY"]}
    config = Config(signature_version="s3v4", s3={"addressing_style": "path"}, proxies={})
    s3 = boto3.client("s3", endpoint_url=locked["AWS_ENDPOINT_URL"], region_name=REGION, config=config, **keys)
    s3.create_bucket(Bucket=name)
    target = s3.generate_presigned_url("put_object", Params={"Bucket": name, "Key": "a", "ContentType": "text/plain"})
    page = "https://app.example.com"

    def ask(method, url, body=None, **headers):
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        request = urllib.request.Request(url, method=method, data=body, headers=named)
        try:
            with urllib.request.urlopen(request, timeout=PATIENCE) as answer:
                return answer.status, dict(answer.headers), answer.read()
        except urllib.error.HTTPError as error:
            return error.code, dict(error.headers), error.read()

    def preflight(origin, method="PUT", names="content-type"):
        return ask("OPTIONS", target, Origin=origin, Access_Control_Request_Method=method, Access_Control_Request_Headers=names)

    assert preflight(page)[0] == 403, "no bucket lets pages in by itself"
    assert preflight("http://localhost:5173")[0] == 403
    rule = {"AllowedOrigins": [page], "AllowedMethods": ["PUT", "GET"], "AllowedHeaders": ["content-*"], "ExposeHeaders": ["ETag"]}
    s3.put_bucket_cors(Bucket=name, CORSConfiguration={"CORSRules": [{**rule, "MaxAgeSeconds": 60}]})
    status, headers, _ = preflight(page)
    assert status == 200 and headers["access-control-allow-origin"] == page and headers["access-control-max-age"] == "60"
    assert (headers["access-control-allow-methods"], headers["access-control-allow-headers"]) == ("PUT, GET", "content-type")
    for asked in (("https://evil.example.com",), (page, "DELETE"), (page, "PUT", "x-amz-acl"), (page, "PUT", "authorization")):
        status, headers, body = preflight(*asked)
        assert status == 403 and "access-control-allow-origin" not in headers, (asked, body)
    status, headers, _ = ask("PUT", target, b"hello", Origin=page, Content_Type="text/plain")
    assert status == 200 and headers["access-control-expose-headers"] == "ETag" and headers["access-control-allow-origin"] == page
    address = s3.generate_presigned_url("get_object", Params={"Bucket": name, "Key": "a"})
    status, headers, body = ask("GET", address, Origin=page)
    assert (status, body, headers["access-control-allow-origin"]) == (200, b"hello", page)
    # A page can read why it is refused, and one of another origin cannot send anything.
    status, headers, body = ask("GET", address.replace("/a?", "/b?"), Origin=page)
    assert status == 403 and b"SignatureDoesNotMatch" in body and headers["access-control-allow-origin"] == page
    assert ask("PUT", target, b"stolen", Origin="https://evil.example.com", Content_Type="text/plain")[0] == 403
    assert s3.get_object(Bucket=name, Key="a")["Body"].read() == b"hello"
    s3.delete_object(Bucket=name, Key="a")
    s3.delete_bucket(Bucket=name)


@pytest.mark.parametrize("version", ["s3v4", "s3"])
def test_forms(locked, name, version):
    """What `generate_presigned_post` gives a page, sent by another client as a browser sends forms."""
    keys = {"aws_access_key_id": locked["AWS_ACCESS_KEY_ID"], "aws_secret_access_key": locked["AWS_SECRET_ACCESS_KEY"]}
    signer, s3 = (
        boto3.client(
            "s3", endpoint_url=locked["AWS_ENDPOINT_URL"], region_name=REGION,
            config=Config(signature_version=signature, s3={"addressing_style": "path"}, proxies={}), **keys,
        )
        for signature in (version, "s3v4")
    )
    s3.create_bucket(Bucket=name)
    conditions = [["starts-with", "$Content-Type", "text/"], ["content-length-range", 1, 10], {"success_action_status": "201"}]
    post = signer.generate_presigned_post(name, "in/${filename}", Fields={"success_action_status": "201"}, Conditions=conditions)

    def send(text, kind="text/plain", **changed):
        fields = {**post["fields"], "Content-Type": kind, **changed}
        file = f"file=@-;filename=a b.txt;type={kind}"
        arguments = [part for field in fields.items() for part in ("--form-string", "=".join(field))]
        done = subprocess.run(
            ["curl", "--silent", "--noproxy", "*", "--write-out", "\n%{http_code}", *arguments, "--form", file, post["url"]],
            input=text, capture_output=True, timeout=PATIENCE, check=True,
        )
        body, status = done.stdout.rsplit(b"\n", 1)
        return int(status), body.decode()

    status, body = send(b"hello")
    assert status == 201 and "<Key>in/a b.txt</Key>" in body, body
    got = s3.get_object(Bucket=name, Key="in/a b.txt")
    assert (got["Body"].read(), got["ContentType"]) == (b"hello", "text/plain")
    for (text, more), (wanted, said) in (
        ((b"hello world", {}), (400, "EntityTooLarge")),
        ((b"", {}), (400, "EntityTooSmall")),
        ((b"x", {"kind": "image/png"}), (403, "Policy Condition failed")),
        ((b"x", {"key": "out/x"}), (403, "Policy Condition failed")),
        ((b"x", {"x-amz-meta-a": "b"}), (403, "Extra input fields: x-amz-meta-a")),
        ((b"x", {"policy": post["fields"]["policy"][:-4] + "AAAA"}), (403, "SignatureDoesNotMatch")),
    ):
        status, body = send(text, **more)
        assert status == wanted and said in body, (more, status, body)
    assert [one["Key"] for one in s3.list_objects_v2(Bucket=name)["Contents"]] == ["in/a b.txt"]
    s3.delete_object(Bucket=name, Key="in/a b.txt")
    s3.delete_bucket(Bucket=name)


@ours
def test_one_of_many_writers_wins(aws, bucket):
    """What a lock in a bucket takes: of writers that all want to be the first, one is."""
    s3 = aws.client("s3")

    def write(number):
        try:
            s3.put_object(Bucket=bucket, Key="lock", Body=str(number).encode(), IfNoneMatch="*")
            return number
        except ClientError as error:
            assert error.response["Error"]["Code"] == "PreconditionFailed"
            return None

    with ThreadPoolExecutor(16) as pool:
        winners = [one for one in pool.map(write, range(48)) if one is not None]
    assert len(winners) == 1
    assert s3.get_object(Bucket=bucket, Key="lock")["Body"].read() == str(winners[0]).encode()


def test_the_cli_copies_and_synchronises(cloud, name, tmp_path):
    def cli(*arguments, fails=False):
        done = subprocess.run(
            [sys.executable, "-m", "awscli", "--endpoint-url", cloud.plain.url, *map(str, arguments)],
            capture_output=True, env=environment(), stdin=subprocess.DEVNULL, text=True, timeout=PATIENCE, cwd=tmp_path,
        )
        assert (done.returncode != 0) == fails, (arguments, done)
        return done.stdout + done.stderr

    cli("s3", "mb", f"s3://{name}")
    site = tmp_path / "site"
    (site / "pictures").mkdir(parents=True)
    (site / "index.html").write_text("<p>hello")
    (site / "pictures/large.bin").write_bytes(os.urandom(SIZE))
    # S3 tells whole seconds: a file of this one would be newer than what was made of it.
    for file in site.rglob("*.*"):
        os.utime(file, (time.time() - 60,) * 2)
    assert cli("s3", "sync", "site", f"s3://{name}/site").count("upload: ") == 2
    assert cli("s3", "sync", "site", f"s3://{name}/site") == "", "nothing has changed"
    (site / "index.html").write_text("<p>hello again")
    (site / "pictures/large.bin").unlink()
    changed = cli("s3", "sync", "site", f"s3://{name}/site", "--delete")
    assert changed.count("upload: ") == 1 and changed.count("delete: ") == 1, changed
    listed = cli("s3", "ls", f"s3://{name}/site/")
    assert "index.html" in listed and "PRE" not in listed
    cli("s3", "cp", f"s3://{name}/site/index.html", "back.html")
    assert (tmp_path / "back.html").read_text() == "<p>hello again"
    assert "remove_bucket failed" in cli("s3", "rb", f"s3://{name}", fails=True)
    url = cli("s3", "presign", f"s3://{name}/site/index.html").strip()
    page = subprocess.run(["curl", "--silent", "--fail", "--noproxy", "*", url], capture_output=True, text=True, timeout=PATIENCE)
    assert page.stdout == "<p>hello again", page
    cli("s3", "rb", "--force", f"s3://{name}")
    assert name not in cli("s3", "ls")
