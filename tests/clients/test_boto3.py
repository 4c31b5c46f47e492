"""boto3 against the local cloud: creates, lists page by page, reads, uses and deletes resources, and gets AWS's exceptions."""

import base64
import hashlib
import io
import json
import ssl
import time
import urllib.request
import zipfile

import pytest
import websockets
from botocore.exceptions import ClientError

from harness import PATIENCE, REGION, code, connect, wait_until

ACCOUNT = "000000000000"
TRUST = json.dumps(
    {
        "Version": "2012-10-17",
        "Statement": [
            {"Effect": "Allow", "Principal": {"Service": "lambda.amazonaws.com"}, "Action": "sts:AssumeRole"}
        ],
    }
)
LOGS = json.dumps(
    {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "logs:*", "Resource": "*"}]}
)


def pages(client, operation, result, size, **arguments):
    """The items of each page of the paginator, at most `size` per page."""
    found = client.get_paginator(operation).paginate(**arguments, PaginationConfig={"PageSize": size})
    return [page.get(result, []) for page in found]


def assert_paged(found, size, names, of=lambda item: item):
    """The pages contain each name exactly once, and all but the last are full."""
    assert len(found) > 1
    assert all(len(page) == size for page in found[:-1])
    listed = [of(item) for page in found for item in page]
    assert len(listed) == len(set(listed))
    assert set(names) <= set(listed)


# -- STS and CloudFormation -------------------------------------------------------------------------------------------


def test_sts(aws, name):
    identity = aws.client("sts").get_caller_identity()
    assert identity["Account"] == ACCOUNT
    assert identity["Arn"].startswith(f"arn:aws:iam::{ACCOUNT}:")
    role = aws.client("iam").create_role(RoleName=name, AssumeRolePolicyDocument=TRUST)["Role"]
    try:
        # The role only trusts Lambda.
        with pytest.raises(ClientError) as refused:
            aws.client("sts").assume_role(RoleArn=role["Arn"], RoleSessionName="test")
        assert refused.value.response["Error"]["Code"] == "AccessDenied"
    finally:
        aws.client("iam").delete_role(RoleName=name)


def test_parameters(aws, name):
    ssm = aws.client("ssm")
    path = f"/{name}/origin"
    ssm.put_parameter(Name=path, Value="one", Type="String")
    try:
        with pytest.raises(ssm.exceptions.ParameterAlreadyExists):
            ssm.put_parameter(Name=path, Value="two", Type="String")
        assert ssm.put_parameter(Name=path, Value="two", Type="String", Overwrite=True)["Version"] == 2
        assert ssm.get_parameter(Name=path)["Parameter"]["Value"] == "two"
        assert ssm.get_parameter(Name=f"{path}:1")["Parameter"]["Value"] == "one"
        found = ssm.get_parameters(Names=[path, f"/{name}/none"])
        assert [one["Name"] for one in found["Parameters"]] == [path]
        assert found["InvalidParameters"] == [f"/{name}/none"]
        for number in range(11):
            ssm.put_parameter(Name=f"/{name}/many/{number:02}", Value=str(number), Type="SecureString")
        found = pages(ssm, "get_parameters_by_path", "Parameters", 10, Path=f"/{name}", Recursive=True, WithDecryption=True)
        assert_paged(found, 10, [path, *(f"/{name}/many/{number:02}" for number in range(11))], lambda one: one["Name"])
    finally:
        for page in ssm.get_paginator("get_parameters_by_path").paginate(Path=f"/{name}", Recursive=True):
            for one in page["Parameters"]:
                ssm.delete_parameter(Name=one["Name"])
    with pytest.raises(ssm.exceptions.ParameterNotFound):
        ssm.get_parameter(Name=path)


def test_secrets(aws, name):
    secrets = aws.client("secretsmanager")
    made = secrets.create_secret(Name=name, SecretString='{"password": "one"}')
    try:
        secrets.put_secret_value(SecretId=name, SecretString="two")
        assert secrets.get_secret_value(SecretId=made["ARN"])["SecretString"] == "two"
        previous = secrets.get_secret_value(SecretId=name, VersionStage="AWSPREVIOUS")
        assert (previous["VersionId"], previous["SecretString"]) == (made["VersionId"], '{"password": "one"}')
        assert secrets.describe_secret(SecretId=name)["VersionIdsToStages"][made["VersionId"]] == ["AWSPREVIOUS"]
    finally:
        secrets.delete_secret(SecretId=name, ForceDeleteWithoutRecovery=True)
    with pytest.raises(secrets.exceptions.ResourceNotFoundException):
        secrets.get_secret_value(SecretId=name)


def test_cloudformation_has_no_stacks(aws):
    cloudformation = aws.client("cloudformation")
    assert cloudformation.describe_stacks()["Stacks"] == []
    assert [page["StackSummaries"] for page in cloudformation.get_paginator("list_stacks").paginate()] == [[]]
    with pytest.raises(ClientError) as refused:
        cloudformation.describe_stacks(StackName="nobodys")
    error = refused.value.response["Error"]
    assert (error["Code"], error["Message"]) == ("ValidationError", "Stack with id nobodys does not exist")


# -- DynamoDB ---------------------------------------------------------------------------------------------------------


@pytest.fixture
def table(aws, name):
    dynamodb = aws.client("dynamodb")
    made = dynamodb.create_table(
        TableName=name,
        BillingMode="PAY_PER_REQUEST",
        KeySchema=[{"AttributeName": "id", "KeyType": "HASH"}],
        AttributeDefinitions=[{"AttributeName": "id", "AttributeType": "S"}],
    )["TableDescription"]
    assert made["TableStatus"] == "CREATING"
    assert made["TableArn"] == f"arn:aws:dynamodb:{REGION}:{ACCOUNT}:table/{name}"
    dynamodb.get_waiter("table_exists").wait(TableName=name, WaiterConfig={"Delay": 1})
    yield name
    dynamodb.delete_table(TableName=name)
    dynamodb.get_waiter("table_not_exists").wait(TableName=name, WaiterConfig={"Delay": 1})
    with pytest.raises(dynamodb.exceptions.ResourceNotFoundException):
        dynamodb.describe_table(TableName=name)


def test_dynamodb_items(aws, table):
    dynamodb = aws.client("dynamodb")
    for at in range(25):
        dynamodb.put_item(TableName=table, Item={"id": {"S": f"{at:02}"}, "n": {"N": str(at)}})
    found = pages(dynamodb, "scan", "Items", 10, TableName=table)
    assert_paged(found, 10, [f"{at:02}" for at in range(25)], lambda item: item["id"]["S"])

    key = {"id": {"S": "07"}}
    changed = dynamodb.update_item(
        TableName=table,
        Key=key,
        UpdateExpression="SET n = n + :one",
        ExpressionAttributeValues={":one": {"N": "1"}},
        ReturnValues="ALL_NEW",
    )
    assert changed["Attributes"]["n"] == {"N": "8"}
    with pytest.raises(dynamodb.exceptions.ConditionalCheckFailedException) as refused:
        dynamodb.put_item(TableName=table, Item=key, ConditionExpression="attribute_not_exists(id)")
    assert refused.value.response["Error"]["Message"] == "The conditional request failed"
    dynamodb.delete_item(TableName=table, Key=key)
    assert "Item" not in dynamodb.get_item(TableName=table, Key=key)


def test_dynamodb_pages_by_size(aws, table):
    dynamodb = aws.client("dynamodb")
    for at in range(4):
        dynamodb.put_item(TableName=table, Item={"id": {"S": str(at)}, "text": {"S": "x" * 390_000}})
    found = [page["Items"] for page in dynamodb.get_paginator("scan").paginate(TableName=table)]
    # A page of a scan is 1 MB.
    assert len(found) == 2
    assert sorted(item["id"]["S"] for page in found for item in page) == ["0", "1", "2", "3"]


def test_dynamodb_tables(aws, table):
    dynamodb = aws.client("dynamodb")
    with pytest.raises(dynamodb.exceptions.ResourceInUseException):
        dynamodb.create_table(
            TableName=table,
            BillingMode="PAY_PER_REQUEST",
            KeySchema=[{"AttributeName": "id", "KeyType": "HASH"}],
            AttributeDefinitions=[{"AttributeName": "id", "AttributeType": "S"}],
        )
    dynamodb.update_time_to_live(
        TableName=table, TimeToLiveSpecification={"AttributeName": "expires", "Enabled": True}
    )
    described = wait_until(
        lambda: (
            found := dynamodb.describe_time_to_live(TableName=table)["TimeToLiveDescription"]
        )["TimeToLiveStatus"] == "ENABLED" and found,
        "TTL is enabled",
    )
    assert described["AttributeName"] == "expires"
    arn = dynamodb.describe_table(TableName=table)["Table"]["TableArn"]
    dynamodb.tag_resource(ResourceArn=arn, Tags=[{"Key": "a", "Value": "b"}])
    assert dynamodb.list_tags_of_resource(ResourceArn=arn)["Tags"] == [{"Key": "a", "Value": "b"}]
    with pytest.raises(ClientError) as refused:
        dynamodb.put_item(TableName=table, Item={"wrong": {"S": "key"}})
    assert refused.value.response["Error"]["Code"] == "ValidationException"


def test_dynamodb_lists_by_pages(cloud, name):
    dynamodb = cloud.plain.client("dynamodb")
    names = [f"{name}-{at}" for at in range(5)]
    for one in names:
        dynamodb.create_table(
            TableName=one,
            BillingMode="PAY_PER_REQUEST",
            KeySchema=[{"AttributeName": "id", "KeyType": "HASH"}],
            AttributeDefinitions=[{"AttributeName": "id", "AttributeType": "S"}],
        )
    assert_paged(pages(dynamodb, "list_tables", "TableNames", 2), 2, names)
    for one in names:
        dynamodb.get_waiter("table_exists").wait(TableName=one, WaiterConfig={"Delay": 1})
        dynamodb.delete_table(TableName=one)


# -- IAM --------------------------------------------------------------------------------------------------------------


def test_iam_roles(aws, name):
    iam = aws.client("iam")
    made = iam.create_role(
        RoleName=name, AssumeRolePolicyDocument=TRUST, Description="for a test", Tags=[{"Key": "a", "Value": "b"}]
    )["Role"]
    assert made["Arn"] == f"arn:aws:iam::{ACCOUNT}:role/{name}"
    with pytest.raises(iam.exceptions.EntityAlreadyExistsException) as refused:
        iam.create_role(RoleName=name, AssumeRolePolicyDocument=TRUST)
    assert refused.value.response["Error"]["Message"] == f"Role with name {name} already exists."
    with pytest.raises(iam.exceptions.MalformedPolicyDocumentException):
        iam.create_role(RoleName=f"{name}-2", AssumeRolePolicyDocument="{")

    found = iam.get_role(RoleName=name)["Role"]
    assert (found["Description"], found["MaxSessionDuration"]) == ("for a test", 3600)
    assert found["AssumeRolePolicyDocument"] == json.loads(TRUST)
    assert iam.list_role_tags(RoleName=name)["Tags"] == [{"Key": "a", "Value": "b"}]

    iam.put_role_policy(RoleName=name, PolicyName="logs", PolicyDocument=LOGS)
    assert iam.get_role_policy(RoleName=name, PolicyName="logs")["PolicyDocument"] == json.loads(LOGS)
    policy = iam.create_policy(PolicyName=name, PolicyDocument=LOGS)["Policy"]["Arn"]
    iam.attach_role_policy(RoleName=name, PolicyArn=policy)
    attached = iam.list_attached_role_policies(RoleName=name)["AttachedPolicies"]
    assert attached == [{"PolicyName": name, "PolicyArn": policy}]

    for forbidden in (lambda: iam.delete_role(RoleName=name), lambda: iam.delete_policy(PolicyArn=policy)):
        with pytest.raises(iam.exceptions.DeleteConflictException):
            forbidden()
    iam.detach_role_policy(RoleName=name, PolicyArn=policy)
    iam.delete_policy(PolicyArn=policy)
    iam.delete_role_policy(RoleName=name, PolicyName="logs")
    iam.delete_role(RoleName=name)
    with pytest.raises(iam.exceptions.NoSuchEntityException) as refused:
        iam.get_role(RoleName=name)
    assert refused.value.response["Error"]["Message"] == f"The role with name {name} cannot be found."


def test_iam_lists_by_pages(cloud, name):
    iam = cloud.plain.client("iam")
    # More than IAM's default page size: 100.
    names = [f"{name}-{at}" for at in range(103)]
    for one in names:
        iam.create_role(RoleName=one, AssumeRolePolicyDocument=TRUST, Path=f"/{name}/")
    try:
        first = iam.list_roles(PathPrefix=f"/{name}/")
        assert first["IsTruncated"] and len(first["Roles"]) == 100
        assert_paged(
            pages(iam, "list_roles", "Roles", 20, PathPrefix=f"/{name}/"), 20, names, lambda role: role["RoleName"]
        )
    finally:
        for one in names:
            iam.delete_role(RoleName=one)


# -- Lambda -----------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def role(cloud):
    """A role for functions."""
    iam = cloud.plain.client("iam")
    made = iam.create_role(RoleName="functions", AssumeRolePolicyDocument=TRUST)["Role"]["Arn"]
    iam.put_role_policy(RoleName="functions", PolicyName="logs", PolicyDocument=LOGS)
    # As on AWS, nothing can assume a new role at once.
    time.sleep(0.5)
    yield made
    iam.delete_role_policy(RoleName="functions", PolicyName="logs")
    iam.delete_role(RoleName="functions")


@pytest.fixture
def function(aws, role, name):
    client = aws.client("lambda")
    made = create_function(client, role, name, Environment={"Variables": {"GREETING": "hello"}})
    assert (made["State"], made["StateReasonCode"]) == ("Pending", "Creating")
    assert made["CodeSha256"] == sha256(code())
    client.get_waiter("function_active_v2").wait(FunctionName=name, WaiterConfig={"Delay": 1})
    yield name
    client.delete_function(FunctionName=name)
    with pytest.raises(client.exceptions.ResourceNotFoundException) as refused:
        client.get_function(FunctionName=name)
    arn = f"arn:aws:lambda:{REGION}:{ACCOUNT}:function:{name}"
    assert refused.value.response["Error"]["Message"] == f"Function not found: {arn}"


def create_function(client, role, name, **more):
    return client.create_function(
        FunctionName=name,
        Role=role,
        Runtime="provided.al2023",
        Handler="bootstrap",
        Code={"ZipFile": code()},
        Timeout=10,
        **more,
    )


def sha256(packed):
    return base64.b64encode(hashlib.sha256(packed).digest()).decode()


def test_lambda_invokes(aws, function):
    client = aws.client("lambda")
    answer = client.invoke(FunctionName=function, Payload=json.dumps({"a": 1}), LogType="Tail")
    assert (answer["StatusCode"], answer["ExecutedVersion"]) == (200, "$LATEST")
    assert json.load(answer["Payload"]) == {"version": "one", "event": {"a": 1}, "greeting": "hello"}
    tail = base64.b64decode(answer["LogResult"]).decode()
    assert "START RequestId: " in tail and 'handling {"a": 1}' in tail and "REPORT RequestId: " in tail

    answer = client.invoke(FunctionName=function, Payload=json.dumps({"fail": True}))
    assert (answer["StatusCode"], answer["FunctionError"]) == (200, "Unhandled")
    assert json.load(answer["Payload"]) == {"errorType": "AsAsked", "errorMessage": "it was to fail"}

    assert client.invoke(FunctionName=function, InvocationType="Event", Payload="{}")["StatusCode"] == 202
    assert client.invoke(FunctionName=function, InvocationType="DryRun")["StatusCode"] == 204
    with pytest.raises(client.exceptions.InvalidRequestContentException):
        client.invoke(FunctionName=function, Payload="no JSON")


def test_lambda_logs(aws, function):
    logs = aws.client("logs")
    request = aws.client("lambda").invoke(FunctionName=function, Payload='{"seen":"here"}')["ResponseMetadata"]["RequestId"]
    group = f"/aws/lambda/{function}"

    def lines():
        try:
            found = logs.get_paginator("filter_log_events").paginate(logGroupName=group)
            texts = [event["message"].rstrip("\n") for page in found for event in page["events"]]
        except logs.exceptions.ResourceNotFoundException:
            return None
        return any(text.startswith("REPORT") for text in texts) and texts

    texts = wait_until(lines, "the invocation is in the log")
    start = texts.index(f"START RequestId: {request} Version: $LATEST")
    handling = texts.index('handling {"seen": "here"}')
    end = texts.index(f"END RequestId: {request}")
    report = next(at for at, text in enumerate(texts) if text.startswith(f"REPORT RequestId: {request}\tDuration: "))
    assert start < handling < end < report
    streams = logs.describe_log_streams(logGroupName=group)["logStreams"]
    events = logs.get_log_events(logGroupName=group, logStreamName=streams[0]["logStreamName"], startFromHead=True)
    assert [event["message"].rstrip("\n") for event in events["events"]][: len(texts)] == texts
    logs.delete_log_group(logGroupName=group)


def test_lambda_updates(aws, function):
    client = aws.client("lambda")
    updated = client.get_waiter("function_updated_v2")
    changed = client.update_function_code(FunctionName=function, ZipFile=code("two"), DryRun=True)
    assert changed["CodeSha256"] == sha256(code("two"))
    assert client.get_function_configuration(FunctionName=function)["CodeSha256"] == sha256(code())

    client.update_function_code(FunctionName=function, ZipFile=code("two"))
    updated.wait(FunctionName=function, WaiterConfig={"Delay": 1})
    client.update_function_configuration(
        FunctionName=function, MemorySize=256, Environment={"Variables": {"GREETING": "moin"}}
    )
    updated.wait(FunctionName=function, WaiterConfig={"Delay": 1})
    answer = json.load(client.invoke(FunctionName=function, Payload="{}")["Payload"])
    assert (answer["version"], answer["greeting"]) == ("two", "moin")

    found = client.get_function(FunctionName=function)
    assert found["Configuration"]["MemorySize"] == 256
    trust = ssl.create_default_context(cafile=aws.ca) if found["Code"]["Location"].startswith("https") else None
    with urllib.request.urlopen(found["Code"]["Location"], context=trust) as download:
        assert download.read() == code("two")


def test_lambda_refuses(aws, role, function, name):
    client = aws.client("lambda")
    with pytest.raises(client.exceptions.ResourceConflictException) as refused:
        create_function(client, role, function)
    assert refused.value.response["Error"]["Message"] == f"Function already exist: {function}"
    with pytest.raises(client.exceptions.InvalidParameterValueException) as refused:
        create_function(client, f"arn:aws:iam::{ACCOUNT}:role/nobody", f"{name}-2")
    message = "The role defined for the function cannot be assumed by Lambda."
    assert refused.value.response["Error"]["Message"] == message
    with pytest.raises(client.exceptions.ResourceNotFoundException):
        client.invoke(FunctionName=f"{name}-2")
    with pytest.raises(ClientError) as refused:
        client.update_function_configuration(FunctionName=function, Timeout=901)
    assert refused.value.response["Error"]["Code"] == "ValidationException"


def test_lambda_permissions(aws, function):
    client = aws.client("lambda")
    statement = dict(
        StatementId="gateway",
        Action="lambda:InvokeFunction",
        Principal="apigateway.amazonaws.com",
        SourceArn=f"arn:aws:execute-api:{REGION}:{ACCOUNT}:abc/*/x",
    )
    client.add_permission(FunctionName=function, **statement)
    with pytest.raises(client.exceptions.ResourceConflictException) as refused:
        client.add_permission(FunctionName=function, **statement)
    assert "(gateway) provided already exists" in refused.value.response["Error"]["Message"]
    policy = json.loads(client.get_policy(FunctionName=function)["Policy"])
    assert policy["Statement"] == [
        {
            "Sid": "gateway",
            "Effect": "Allow",
            "Principal": {"Service": "apigateway.amazonaws.com"},
            "Action": "lambda:InvokeFunction",
            "Resource": f"arn:aws:lambda:{REGION}:{ACCOUNT}:function:{function}",
            "Condition": {"ArnLike": {"AWS:SourceArn": statement["SourceArn"]}},
        }
    ]
    client.remove_permission(FunctionName=function, StatementId="gateway")
    with pytest.raises(client.exceptions.ResourceNotFoundException):
        client.get_policy(FunctionName=function)


def test_lambda_versions_and_tags(aws, function):
    client = aws.client("lambda")
    for version in ("1", "2", "3"):
        client.update_function_code(FunctionName=function, ZipFile=code(version))
        client.get_waiter("function_updated_v2").wait(FunctionName=function, WaiterConfig={"Delay": 1})
        assert client.publish_version(FunctionName=function)["Version"] == version
    client.create_alias(FunctionName=function, Name="live", FunctionVersion="2")
    client.get_waiter("function_active_v2").wait(FunctionName=function, Qualifier="live", WaiterConfig={"Delay": 1})
    answer = client.invoke(FunctionName=function, Qualifier="live", Payload="{}")
    assert (answer["ExecutedVersion"], json.load(answer["Payload"])["version"]) == ("2", "2")
    found = pages(client, "list_versions_by_function", "Versions", 3, FunctionName=function)
    assert_paged(found, 3, ["$LATEST", "1", "2", "3"], lambda version: version["Version"])

    arn = client.get_function_configuration(FunctionName=function)["FunctionArn"]
    client.tag_resource(Resource=arn, Tags={"a": "b", "c": "d"})
    client.untag_resource(Resource=arn, TagKeys=["a"])
    assert client.list_tags(Resource=arn)["Tags"] == {"c": "d"}


def test_lambda_lists_by_pages(cloud, role, name):
    client = cloud.plain.client("lambda")
    # More than Lambda's page size: 50.
    names = [f"{name}-{at}" for at in range(53)]
    for one in names:
        create_function(client, role, one)
    try:
        assert len(client.list_functions()["Functions"]) == 50
        assert_paged(
            pages(client, "list_functions", "Functions", 20), 20, names, lambda function: function["FunctionName"]
        )
    finally:
        for one in names:
            client.get_waiter("function_active_v2").wait(FunctionName=one, WaiterConfig={"Delay": 1})
            client.delete_function(FunctionName=one)


# -- Logs -------------------------------------------------------------------------------------------------------------


def test_logs(aws, name):
    logs = aws.client("logs")
    group = f"/test/{name}"
    logs.create_log_group(logGroupName=group, tags={"a": "b"})
    with pytest.raises(logs.exceptions.ResourceAlreadyExistsException) as refused:
        logs.create_log_group(logGroupName=group)
    assert refused.value.response["Error"]["Message"] == "The specified log group already exists"
    logs.put_retention_policy(logGroupName=group, retentionInDays=14)
    with pytest.raises(logs.exceptions.InvalidParameterException):
        logs.put_retention_policy(logGroupName=group, retentionInDays=15)
    found = logs.describe_log_groups(logGroupNamePrefix=group)["logGroups"]
    assert [(one["logGroupName"], one["retentionInDays"]) for one in found] == [(group, 14)]
    assert logs.list_tags_for_resource(resourceArn=found[0]["arn"].removesuffix(":*"))["tags"] == {"a": "b"}

    logs.create_log_stream(logGroupName=group, logStreamName="s")
    now = found[0]["creationTime"]
    events = [{"timestamp": now + at, "message": f"line {at}"} for at in range(25)]
    logs.put_log_events(logGroupName=group, logStreamName="s", logEvents=events)
    found = pages(logs, "filter_log_events", "events", 10, logGroupName=group)
    listed = [event["message"] for page in found for event in page]
    assert listed == [f"line {at}" for at in range(25)] and len(found) >= 3
    found = logs.filter_log_events(logGroupName=group, filterPattern='"line 7"')["events"]
    assert [event["message"] for event in found] == ["line 7"]

    logs.delete_log_group(logGroupName=group)
    with pytest.raises(logs.exceptions.ResourceNotFoundException) as refused:
        logs.delete_log_group(logGroupName=group)
    assert refused.value.response["Error"]["Message"] == "The specified log group does not exist."


def test_logs_lists_by_pages(cloud, name):
    logs = cloud.plain.client("logs")
    # More than CloudWatch Logs' default page size: 50.
    names = [f"/{name}/{at}" for at in range(53)]
    for one in names:
        logs.create_log_group(logGroupName=one)
    assert len(logs.describe_log_groups(logGroupNamePrefix=f"/{name}/")["logGroups"]) == 50
    found = pages(logs, "describe_log_groups", "logGroups", 20, logGroupNamePrefix=f"/{name}/")
    assert_paged(found, 20, names, lambda group: group["logGroupName"])
    for one in names:
        logs.delete_log_group(logGroupName=one)


# -- Lambda's layers ---------------------------------------------------------------------------------------------------


def packed(files):
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w") as archive:
        for path, text in files.items():
            archive.writestr(path, text)
    return content.getvalue()


def test_lambda_layers(aws, name):
    client = aws.client("lambda")
    arn = f"arn:aws:lambda:{REGION}:{ACCOUNT}:layer:{name}"
    first, second = packed({"python/words.py": "ONE = 1"}), packed({"python/words.py": "ONE = 2"})
    made = client.publish_layer_version(
        LayerName=name, Description="words", Content={"ZipFile": first}, LicenseInfo="MIT",
        CompatibleRuntimes=["python3.12", "python3.13"], CompatibleArchitectures=["x86_64"],
    )
    assert (made["LayerArn"], made["LayerVersionArn"], made["Version"]) == (arn, f"{arn}:1", 1)
    assert (made["Content"]["CodeSha256"], made["Content"]["CodeSize"]) == (sha256(first), len(first))
    assert client.publish_layer_version(LayerName=name, Content={"ZipFile": second})["Version"] == 2

    read = client.get_layer_version(LayerName=name, VersionNumber=1)
    assert (read["Description"], read["LicenseInfo"], read["CompatibleRuntimes"]) == ("words", "MIT", ["python3.12", "python3.13"])
    with urllib.request.urlopen(read["Content"]["Location"]) as answer:
        assert answer.read() == first
    assert client.get_layer_version_by_arn(Arn=f"{arn}:2")["Content"]["CodeSha256"] == sha256(second)
    assert client.get_layer_version(LayerName=arn, VersionNumber=2)["Version"] == 2

    layer = next(layer for page in pages(client, "list_layers", "Layers", 50) for layer in page if layer["LayerName"] == name)
    assert (layer["LayerArn"], layer["LatestMatchingVersion"]["Version"]) == (arn, 2)
    listed = client.list_layer_versions(LayerName=name)["LayerVersions"]
    assert [(version["LayerVersionArn"], version["Version"]) for version in listed] == [(f"{arn}:2", 2), (f"{arn}:1", 1)]
    assert_paged(pages(client, "list_layer_versions", "LayerVersions", 1, LayerName=name), 1, {1, 2}, lambda version: version["Version"])
    for question in ({"CompatibleRuntime": "python3.12"}, {"CompatibleArchitecture": "x86_64"}):
        assert [version["Version"] for version in client.list_layer_versions(LayerName=name, **question)["LayerVersions"]] == [1]
    assert client.list_layer_versions(LayerName="nobodys")["LayerVersions"] == []

    client.delete_layer_version(LayerName=name, VersionNumber=2)
    client.delete_layer_version(LayerName=name, VersionNumber=2)
    assert client.publish_layer_version(LayerName=name, Content={"ZipFile": second})["Version"] == 3, "numbers are never reused"
    for number in (1, 3):
        client.delete_layer_version(LayerName=name, VersionNumber=number)
    assert client.list_layer_versions(LayerName=name)["LayerVersions"] == []
    with pytest.raises(client.exceptions.ResourceNotFoundException) as refused:
        client.get_layer_version(LayerName=name, VersionNumber=1)
    assert refused.value.response["Error"]["Message"] == "The resource you requested does not exist."
    with pytest.raises(client.exceptions.InvalidParameterValueException):
        client.get_layer_version(LayerName=name, VersionNumber=0)
    with pytest.raises(ClientError) as refused:
        client.publish_layer_version(LayerName="no name", Content={"ZipFile": first})
    assert refused.value.response["Error"]["Code"] == "ValidationException"


def test_lambda_layer_permissions(aws, name):
    client = aws.client("lambda")
    client.publish_layer_version(LayerName=name, Content={"ZipFile": packed({"a": "a"})})
    version = {"LayerName": name, "VersionNumber": 1}
    with pytest.raises(client.exceptions.ResourceNotFoundException) as refused:
        client.get_layer_version_policy(**version)
    assert refused.value.response["Error"]["Message"] == "No policy is associated with the given resource."
    allow = {"Action": "lambda:GetLayerVersion"}
    added = client.add_layer_version_permission(**version, **allow, StatementId="one", Principal="210987654321")
    statement = json.loads(added["Statement"])
    assert statement["Principal"] == {"AWS": "arn:aws:iam::210987654321:root"}
    assert statement["Resource"] == f"arn:aws:lambda:{REGION}:{ACCOUNT}:layer:{name}:1"
    client.add_layer_version_permission(**version, **allow, StatementId="all", Principal="*", OrganizationId="o-a1b2c3d4e5")
    policy = client.get_layer_version_policy(**version)
    assert policy["RevisionId"] != added["RevisionId"]
    statements = json.loads(policy["Policy"])["Statement"]
    assert [statement["Sid"] for statement in statements] == ["one", "all"]
    assert statements[1]["Condition"] == {"StringEquals": {"aws:PrincipalOrgID": "o-a1b2c3d4e5"}}
    with pytest.raises(client.exceptions.ResourceConflictException):
        client.add_layer_version_permission(**version, **allow, StatementId="one", Principal="*")
    with pytest.raises(client.exceptions.PreconditionFailedException):
        client.remove_layer_version_permission(**version, StatementId="one", RevisionId=added["RevisionId"])
    client.remove_layer_version_permission(**version, StatementId="one", RevisionId=policy["RevisionId"])
    with pytest.raises(client.exceptions.ResourceNotFoundException):
        client.remove_layer_version_permission(**version, StatementId="one")
    with pytest.raises(ClientError):
        client.add_layer_version_permission(**version, Action="lambda:*", StatementId="two", Principal="*")
    client.delete_layer_version(**version)


def test_lambda_functions_have_layers(aws, role, name):
    client = aws.client("lambda")
    publish = lambda layer: client.publish_layer_version(LayerName=layer, Content={"ZipFile": packed({"a": layer})})
    one, other = publish(f"{name}-1"), publish(f"{name}-2")
    made = create_function(client, role, name, Layers=[one["LayerVersionArn"]])
    assert made["Layers"] == [{"Arn": one["LayerVersionArn"], "CodeSize": one["Content"]["CodeSize"]}]
    client.get_waiter("function_active_v2").wait(FunctionName=name, WaiterConfig={"Delay": 1})
    both = [other["LayerVersionArn"], one["LayerVersionArn"]]
    changed = client.update_function_configuration(FunctionName=name, Layers=both)
    assert [layer["Arn"] for layer in changed["Layers"]] == both
    updated = client.get_waiter("function_updated_v2")
    updated.wait(FunctionName=name, WaiterConfig={"Delay": 1})

    # It keeps what it was given.
    client.delete_layer_version(LayerName=f"{name}-1", VersionNumber=1)
    assert [layer["Arn"] for layer in client.get_function_configuration(FunctionName=name)["Layers"]] == both
    newer = publish(f"{name}-2")
    for layers, message in [
        ([one["LayerVersionArn"]], f"Layer version {one['LayerVersionArn']} does not exist."),
        ([other["LayerVersionArn"], newer["LayerVersionArn"]], "Two different versions of the same layer are not allowed"),
        ([f"arn:aws:lambda:{REGION}:{ACCOUNT}:layer:l{number}:1" for number in range(6)], "Cannot have more than 5 layers."),
    ]:
        with pytest.raises(client.exceptions.InvalidParameterValueException) as refused:
            client.update_function_configuration(FunctionName=name, Layers=layers)
        assert refused.value.response["Error"]["Message"].startswith(message)
    assert "Layers" not in client.update_function_configuration(FunctionName=name, Layers=[])
    client.delete_function(FunctionName=name)
    for number in (1, 2):
        client.delete_layer_version(LayerName=f"{name}-2", VersionNumber=number)


def test_lambda_container_images_are_kept_and_do_not_run(aws, role, name):
    client = aws.client("lambda")
    image = f"{ACCOUNT}.dkr.ecr.{REGION}.amazonaws.com/feed"
    made = client.create_function(
        FunctionName=name, Role=role, PackageType="Image", Code={"ImageUri": f"{image}:1"}, Architectures=["arm64"]
    )
    assert made["PackageType"] == "Image" and "Runtime" not in made and "Handler" not in made
    client.get_waiter("function_active_v2").wait(FunctionName=name, WaiterConfig={"Delay": 1})
    of_image = client.get_function(FunctionName=name)["Code"]
    assert (of_image["RepositoryType"], of_image["ImageUri"]) == ("ECR", f"{image}:1")
    assert of_image["ResolvedImageUri"].startswith(f"{image}@sha256:")
    client.update_function_code(FunctionName=name, ImageUri=f"{image}:2")
    client.get_waiter("function_updated_v2").wait(FunctionName=name, WaiterConfig={"Delay": 1})
    assert client.get_function(FunctionName=name)["Code"]["ImageUri"] == f"{image}:2"
    answer = client.invoke(FunctionName=name)
    error = json.load(answer["Payload"])
    assert answer["FunctionError"] == "Unhandled"
    assert f"does not run container images ({image}:2)" in error["errorMessage"]
    with pytest.raises(client.exceptions.InvalidParameterValueException):
        client.update_function_code(FunctionName=name, ZipFile=code())
    client.delete_function(FunctionName=name)


# -- API Gateway ------------------------------------------------------------------------------------------------------


@pytest.fixture
def api(aws, name):
    gateway = aws.client("apigatewayv2")
    made = gateway.create_api(
        Name=name, ProtocolType="WEBSOCKET", RouteSelectionExpression="$request.body.action", Tags={"a": "b"}
    )
    yield made["ApiId"]
    gateway.delete_api(ApiId=made["ApiId"])
    with pytest.raises(gateway.exceptions.NotFoundException) as refused:
        gateway.get_api(ApiId=made["ApiId"])
    message = f"Invalid API identifier specified {ACCOUNT}:{made['ApiId']}"
    assert refused.value.response["Error"]["Message"] == message


def integrate(gateway, api, function):
    arn = f"arn:aws:lambda:{REGION}:{ACCOUNT}:function:{function}"
    uri = f"arn:aws:apigateway:{REGION}:lambda:path/2015-03-31/functions/{arn}/invocations"
    made = gateway.create_integration(ApiId=api, IntegrationType="AWS_PROXY", IntegrationUri=uri)
    return made["IntegrationId"]


def test_apigateway_control_plane(aws, api):
    gateway = aws.client("apigatewayv2")
    with pytest.raises(gateway.exceptions.BadRequestException):
        gateway.create_deployment(ApiId=api)
    target = f"integrations/{integrate(gateway, api, 'some')}"
    route = gateway.create_route(ApiId=api, RouteKey="$default", Target=target)
    with pytest.raises(gateway.exceptions.ConflictException) as refused:
        gateway.create_route(ApiId=api, RouteKey="$default", Target=target)
    message = "Route with key $default already exists for this API"
    assert refused.value.response["Error"]["Message"] == message
    assert gateway.get_route(ApiId=api, RouteId=route["RouteId"])["Target"] == target

    deployment = gateway.create_deployment(ApiId=api, Description="first")
    gateway.create_stage(ApiId=api, StageName="test", DeploymentId=deployment["DeploymentId"])
    with pytest.raises(gateway.exceptions.ConflictException) as refused:
        gateway.create_stage(ApiId=api, StageName="test", DeploymentId=deployment["DeploymentId"])
    assert refused.value.response["Error"]["Message"] == "Stage already exists"
    with pytest.raises(gateway.exceptions.BadRequestException) as refused:
        gateway.delete_deployment(ApiId=api, DeploymentId=deployment["DeploymentId"])
    message = "Active stages pointing to this deployment must be moved or deleted"
    assert refused.value.response["Error"]["Message"] == message
    gateway.update_stage(ApiId=api, StageName="test", StageVariables={"x": "y"})
    assert gateway.get_stage(ApiId=api, StageName="test")["StageVariables"] == {"x": "y"}
    gateway.delete_stage(ApiId=api, StageName="test")
    gateway.delete_deployment(ApiId=api, DeploymentId=deployment["DeploymentId"])

    arn = f"arn:aws:apigateway:{REGION}::/apis/{api}"
    gateway.tag_resource(ResourceArn=arn, Tags={"c": "d"})
    gateway.untag_resource(ResourceArn=arn, TagKeys=["a"])
    assert gateway.get_tags(ResourceArn=arn)["Tags"] == {"c": "d"} == gateway.get_api(ApiId=api)["Tags"]
    assert gateway.update_api(ApiId=api, Description="described")["Description"] == "described"


def test_apigateway_lists_by_pages(aws, api, name):
    gateway = aws.client("apigatewayv2")
    keys = [f"route-{at}" for at in range(12)]
    for key in keys:
        gateway.create_route(ApiId=api, RouteKey=key)
    assert_paged(pages(gateway, "get_routes", "Items", 5, ApiId=api), 5, keys, lambda route: route["RouteKey"])
    made = [
        gateway.create_api(Name=name, ProtocolType="WEBSOCKET", RouteSelectionExpression="$request.body.action")["ApiId"]
        for _ in range(4)
    ]
    assert_paged(pages(gateway, "get_apis", "Items", 2), 2, made, lambda one: one["ApiId"])
    for one in made:
        gateway.delete_api(ApiId=one)


def test_apigateway_sockets(aws, api, function):
    gateway = aws.client("apigatewayv2")
    target = f"integrations/{integrate(gateway, api, function)}"
    for key in ("$connect", "$disconnect", "echo"):
        gateway.create_route(ApiId=api, RouteKey=key, Target=target)
    echo = next(route for route in gateway.get_routes(ApiId=api)["Items"] if route["RouteKey"] == "echo")
    gateway.update_route(ApiId=api, RouteId=echo["RouteId"], RouteResponseSelectionExpression="$default")
    gateway.create_route_response(ApiId=api, RouteId=echo["RouteId"], RouteResponseKey="$default")
    deployment = gateway.create_deployment(ApiId=api)["DeploymentId"]
    gateway.create_stage(ApiId=api, StageName="test", DeploymentId=deployment)

    plain = f"{gateway.get_api(ApiId=api)['ApiEndpoint']}/test"
    uri = plain.replace("ws://", "wss://") if aws.secure else plain
    trust = ssl.create_default_context(cafile=aws.ca) if aws.secure else None
    with pytest.raises(websockets.exceptions.InvalidStatus) as refused:
        connect(uri, ssl=trust)
    assert refused.value.response.status_code == 500, "nobody may invoke the function yet"

    aws.client("lambda").add_permission(
        FunctionName=function,
        StatementId="gateway",
        Action="lambda:InvokeFunction",
        Principal="apigateway.amazonaws.com",
        SourceArn=f"arn:aws:execute-api:{REGION}:{ACCOUNT}:{api}/*",
    )
    management = aws.client("apigatewaymanagementapi", uri.replace("ws", "http", 1))
    with connect(uri, ssl=trust) as socket:
        socket.send('{"action":"echo","text":"hello"}')
        assert json.loads(socket.recv(PATIENCE)) == {"action": "echo", "text": "hello"}
        socket.send('{"action":"unknown"}')
        answer = json.loads(socket.recv(PATIENCE))
        assert answer["message"] == "Forbidden"
        connection = answer["connectionId"]

        management.post_to_connection(ConnectionId=connection, Data=b"from the back")
        assert socket.recv(PATIENCE) == "from the back"
        found = management.get_connection(ConnectionId=connection)
        assert found["Identity"]["SourceIp"] == "127.0.0.1"
        assert found["ConnectedAt"] <= found["LastActiveAt"]
        with pytest.raises(management.exceptions.PayloadTooLargeException):
            management.post_to_connection(ConnectionId=connection, Data=b"x" * (128 * 1024 + 1))
        management.delete_connection(ConnectionId=connection)
        with pytest.raises(websockets.exceptions.ConnectionClosed):
            socket.recv(PATIENCE)
    with pytest.raises(management.exceptions.GoneException):
        management.post_to_connection(ConnectionId=connection, Data=b"too late")
    with pytest.raises(management.exceptions.GoneException):
        management.get_connection(ConnectionId=connection)
