"""wschat's requests are valid: every request of ups, updates and a down is checked against AWS's service models."""

import pytest

from harness import LocalCloud, Project, wschat
from proxy import Exchange, RecordingProxy
from wire import Call, Unreadable, read, violations

# -- The checker itself -----------------------------------------------------------------------------------------------

DOCUMENT = '{"Version":"2012-10-17","Statement":[]}'
FUNCTION = {"FunctionName": "f", "Role": "arn:aws:iam::000000000000:role/r", "Code": {"ZipFile": b"PK"}}


@pytest.mark.parametrize(
    ("service", "operation", "parameters", "complaint"),
    [
        ("iam", "CreateRole", {"AssumeRolePolicyDocument": DOCUMENT}, "RoleName is missing"),
        ("iam", "CreateRole", {"RoleName": "a b", "AssumeRolePolicyDocument": DOCUMENT}, "does not match"),
        ("iam", "CreateRole", {"RoleName": "ä", "AssumeRolePolicyDocument": DOCUMENT}, "does not match"),
        ("iam", "CreateRole", {"RoleName": "a" * 65, "AssumeRolePolicyDocument": DOCUMENT}, "65 is more than 64"),
        ("iam", "TagRole", {"RoleName": "a", "Tags": [{"Key": "k", "Value": "?"}]}, "TagRole.Tags[0].Value: '?' does not match"),
        ("iam", "TagRole", {"RoleName": "a", "Tags": [{"Key": "k", "Value": "v"}] * 51}, "51 is more than 50"),
        ("lambda", "CreateFunction", FUNCTION | {"Runtime": "provided.al2022"}, "is none of"),
        ("lambda", "CreateFunction", FUNCTION | {"MemorySize": 127}, "127 is less than 128"),
        ("lambda", "CreateFunction", FUNCTION | {"Timeout": "3"}, "is no integer"),
        ("lambda", "CreateFunction", FUNCTION | {"Architectures": []}, "0 is less than 1"),
        ("lambda", "CreateFunction", FUNCTION | {"Environment": {"Variables": {"1": "x"}}}, "1 (the key): '1' does not"),
        ("apigatewayv2", "CreateStage", {"ApiId": "a", "StageName": "s" * 129}, "129 is more than 128"),
        ("apigatewayv2", "CreateApi", {"Name": "a", "ProtocolType": "WS"}, "is none of WEBSOCKET, HTTP"),
        ("apigatewayv2", "CreateApi", {"Name": "a", "ProtocolType": "HTTP", "Tags": {"k": ""}}, "0 is less than 1"),
        ("apigatewayv2", "CreateIntegration", {"ApiId": "a", "IntegrationType": "MOCK", "TimeoutInMillis": 49}, "49 is less"),
    ],
)
def test_a_violation_is_found(service, operation, parameters, complaint):
    found = violations(Call(service, operation, parameters, 200))
    assert len(found) == 1 and complaint in found[0], found


def test_valid_parameters_have_no_violation():
    assert violations(Call("lambda", "CreateFunction", FUNCTION | {"Timeout": 3, "MemorySize": 128}, 201)) == []
    assert violations(Call("iam", "CreateRole", {"RoleName": "a", "AssumeRolePolicyDocument": DOCUMENT}, 200)) == []


def exchange(service, method, target, body=b"", **headers):
    authorization = f"AWS4-HMAC-SHA256 Credential=AKID/20261122/us-east-1/{service}/aws4_request, SignedHeaders=host"
    return Exchange(method, target, headers | {"authorization": authorization}, body, 200, b"")


def test_requests_are_read_back():
    call = read(exchange("lambda", "PUT", "/2015-03-31/functions/arn%3Aaws%3Ax/code", b'{"ZipFile":"UEs="}'))
    assert (str(call), call.parameters) == ("lambda.UpdateFunctionCode", {"FunctionName": "arn:aws:x", "ZipFile": b"PK"})
    call = read(exchange("apigateway", "GET", "/v2/apis/a/routes?maxResults=500&nextToken=x"))
    assert (str(call), call.parameters) == ("apigatewayv2.GetRoutes", {"ApiId": "a", "MaxResults": "500", "NextToken": "x"})
    call = read(exchange("apigateway", "DELETE", "/v2/tags/arn%3Aaws?tagKeys=a&tagKeys=b"))
    assert (str(call), call.parameters) == ("apigatewayv2.UntagResource", {"ResourceArn": "arn:aws", "TagKeys": ["a", "b"]})
    body = b"Action=TagRole&Version=2010-05-08&RoleName=r&Tags.member.1.Key=k&Tags.member.1.Value=&Tags.member.2.Key=l"
    call = read(exchange("iam", "POST", "/", body))
    tags = [{"Key": "k", "Value": ""}, {"Key": "l"}]
    assert (str(call), call.parameters, call.problems) == ("iam.TagRole", {"RoleName": "r", "Tags": tags}, [])
    target = {"x-amz-target": "DynamoDB_20120810.DescribeTable"}
    call = read(exchange("dynamodb", "POST", "/", b'{"TableName":"t"}', **target))
    assert (str(call), call.parameters) == ("dynamodb.DescribeTable", {"TableName": "t"})


@pytest.mark.parametrize(
    ("request_", "complaint"),
    [
        (exchange("lambda", "PUT", "/2015-03-31/functions/f/code", b'{"Zip":"UEs="}'), "unknown member Zip"),
        (exchange("lambda", "PUT", "/2015-03-31/functions/f/code", b'{"ZipFile":"?"}'), "is not base64"),
        (exchange("lambda", "GET", "/2015-03-31/functions/f?Quality=1"), "unknown query parameter Quality"),
        (exchange("iam", "POST", "/", b"Action=GetRole&Version=2010-05-08&RoleName=r&Rolename=r"), "unknown field Rolename"),
        (exchange("iam", "POST", "/", b"Action=GetRole&Version=2010-05-09&RoleName=r"), "Version is 2010-05-09"),
        (exchange("logs", "POST", "/", b'{"logGroupName":"g","tag":1}', **{"x-amz-target": "Logs_20140328.CreateLogGroup"}), "unknown member .tag"),
    ],
)
def test_an_unknown_member_is_a_violation(request_, complaint):
    found = violations(read(request_))
    assert any(complaint in one for one in found), found


@pytest.mark.parametrize(
    "request_",
    [
        exchange("lambda", "PATCH", "/2015-03-31/functions/f/code"),
        exchange("iam", "POST", "/", b"Action=MakeRole&Version=2010-05-08"),
        exchange("logs", "POST", "/", b"{}", **{"x-amz-target": "Logs_20140328.MakeLogGroup"}),
        Exchange("GET", "/", {}, b"", 200, b""),
    ],
)
def test_a_request_without_an_operation_cannot_be_read(request_):
    with pytest.raises(Unreadable):
        read(request_)


# -- What wschat sends ------------------------------------------------------------------------------------------------

# Resources and properties of every type that the chat app does not have; one `up` adds them, another removes them.
EXTRAS = """
  ExtraTable:
    Type: AWS::DynamoDB::Table
    Properties:
      BillingMode: PROVISIONED
      ProvisionedThroughput: { ReadCapacityUnits: 1, WriteCapacityUnits: 1 }
      KeySchema:
        - { AttributeName: room, KeyType: HASH }
        - { AttributeName: at, KeyType: RANGE }
      AttributeDefinitions:
        - { AttributeName: at, AttributeType: N }
        - { AttributeName: author, AttributeType: S }
        - { AttributeName: room, AttributeType: S }
      GlobalSecondaryIndexes:
        - IndexName: by-author
          KeySchema: [{ AttributeName: author, KeyType: HASH }]
          Projection: { ProjectionType: INCLUDE, NonKeyAttributes: [text] }
          ProvisionedThroughput: { ReadCapacityUnits: 1, WriteCapacityUnits: 1 }
      LocalSecondaryIndexes:
        - IndexName: by-room
          KeySchema: [{ AttributeName: room, KeyType: HASH }, { AttributeName: author, KeyType: RANGE }]
          Projection: { ProjectionType: KEYS_ONLY }
      StreamSpecification: { StreamViewType: NEW_IMAGE }
      PointInTimeRecoverySpecification: { PointInTimeRecoveryEnabled: true }
      Tags: [{ Key: purpose, Value: "a test: of/everything+more=x@y" }]

  ExtraRole:
    Type: AWS::IAM::Role
    Properties:
      Description: More than needed
      MaxSessionDuration: 7200
      ManagedPolicyArns: [arn:aws:iam::aws:policy/service-role/AWSLambdaBasicExecutionRole]
      AssumeRolePolicyDocument:
        Version: "2012-10-17"
        Statement: [{ Effect: Allow, Principal: { Service: lambda.amazonaws.com }, Action: sts:AssumeRole }]
      Tags: [{ Key: purpose, Value: test }]

  ExtraPolicy:
    Type: AWS::IAM::Policy
    Properties:
      PolicyName: extra
      Roles: [!Ref ExtraRole]
      PolicyDocument:
        Version: "2012-10-17"
        Statement: [{ Effect: Allow, Action: "dynamodb:*", Resource: !GetAtt ExtraTable.Arn }]

  ExtraFunction:
    Type: AWS::Lambda::Function
    Properties:
      Code: code/default
      Runtime: provided.al2023
      Handler: bootstrap
      Role: !GetAtt ExtraRole.Arn
      Description: More than needed
      EphemeralStorage: { Size: 1024 }
      TracingConfig: { Mode: Active }
      LoggingConfig: { LogFormat: JSON, ApplicationLogLevel: INFO, SystemLogLevel: WARN }
      ReservedConcurrentExecutions: 2
      Tags: [{ Key: purpose, Value: test }]

  ExtraLogs:
    Type: AWS::Logs::LogGroup
    Properties:
      RetentionInDays: 1
      Tags: [{ Key: purpose, Value: test }]

  DefaultRouteResponse:
    Type: AWS::ApiGatewayV2::RouteResponse
    Properties:
      ApiId: !Ref Chat
      RouteId: !Ref DefaultRoute
      RouteResponseKey: $default
"""

CHANGES = {
    "settings of a function": [
        ("      Timeout: 29\n", "      Timeout: 20\n      Description: Sends\n      Tags: { a: b }\n"),
    ],
    "a policy": [("Action: dynamodb:PutItem", "Action: [dynamodb:PutItem, dynamodb:GetItem]")],
    "a log group": [("${Connect}\n      RetentionInDays: 14", "${Connect}\n      RetentionInDays: 30")],
    "a route": [("RouteKey: sendmessage", "RouteKey: say")],
    "a permission": [("${Chat}/*/sendmessage", "${Chat}/*/say")],
    "an API": [
        (
            "ProtocolType: WEBSOCKET\n",
            "ProtocolType: WEBSOCKET\n      Description: Chats\n      Version: '2'\n      Tags: { a: b }\n",
        ),
    ],
    "a stage": [
        (
            "StageName: production\n",
            "StageName: production\n      Description: The one\n      StageVariables: { a: b }\n      Tags: { a: b }\n"
            "      DefaultRouteSettings: { ThrottlingBurstLimit: 100, ThrottlingRateLimit: 50 }\n"
            "      RouteSettings: { $connect: { DetailedMetricsEnabled: true } }\n",
        ),
    ],
    "a stage, back again": [
        ("      StageVariables: { a: b }\n      Tags: { a: b }\n", "      StageVariables: { c: d }\n"),
        ("      RouteSettings: { $connect: { DetailedMetricsEnabled: true } }\n", ""),
    ],
    "a table": [
        ("SSEEnabled: true\n", "SSEEnabled: false\n      Tags: [{ Key: a, Value: b }]\n"),
        ("        Enabled: true\n", "        Enabled: false\n"),
    ],
    "a route that answers": [("RouteKey: $default\n", "RouteKey: $default\n      RouteResponseSelectionExpression: $default\n")],
    "more of every type": [("\nOutputs:\n", EXTRAS + "\nOutputs:\n")],
    "most of that again": [
        ("      Description: More than needed\n      MaxSessionDuration: 7200\n", ""),
        ("      ManagedPolicyArns: [arn:aws:iam::aws:policy/service-role/AWSLambdaBasicExecutionRole]\n", ""),
        ("      ReservedConcurrentExecutions: 2\n      Tags: [{ Key: purpose, Value: test }]\n", ""),
        ("      Description: More than needed\n      EphemeralStorage", "      EphemeralStorage"),
        ("      RetentionInDays: 1\n", ""),
        ("PointInTimeRecoveryEnabled: true", "PointInTimeRecoveryEnabled: false"),
        ("dynamodb:*", "dynamodb:Scan"),
        (
            "      BillingMode: PROVISIONED\n"
            "      ProvisionedThroughput: { ReadCapacityUnits: 1, WriteCapacityUnits: 1 }\n",
            "      BillingMode: PAY_PER_REQUEST\n",
        ),
        ("          ProvisionedThroughput: { ReadCapacityUnits: 1, WriteCapacityUnits: 1 }\n", ""),
    ],
}

# The operations that the runs must have called, so that the test cannot pass by seeing too little.
EXPECTED = {
    "apigatewayv2": {
        "CreateApi", "CreateDeployment", "CreateIntegration", "CreateRoute", "CreateRouteResponse", "CreateStage",
        "DeleteApi", "DeleteDeployment", "DeleteRoute", "DeleteRouteSettings", "GetApis", "GetDeployments",
        "GetIntegrations", "GetRoutes", "GetRouteResponses", "GetStages", "TagResource", "UntagResource", "UpdateApi",
        "UpdateRoute", "UpdateStage",
    },
    "dynamodb": {
        "CreateTable", "DeleteTable", "DescribeContinuousBackups", "DescribeTable", "DescribeTimeToLive", "ListTables",
        "ListTagsOfResource", "TagResource", "UpdateContinuousBackups", "UpdateTable", "UpdateTimeToLive",
    },
    "iam": {
        "AttachRolePolicy", "CreateRole", "DeleteRole", "DeleteRolePolicy", "DetachRolePolicy",
        "GetAccountAuthorizationDetails", "PutRolePolicy", "UpdateRole",
    },
    "lambda": {
        "AddPermission", "CreateFunction", "DeleteFunction", "DeleteFunctionConcurrency", "GetFunction", "GetPolicy",
        "ListFunctions", "PutFunctionConcurrency", "RemovePermission", "TagResource", "UntagResource",
        "UpdateFunctionCode", "UpdateFunctionConfiguration",
    },
    "logs": {
        "CreateLogGroup", "DeleteLogGroup", "DeleteRetentionPolicy", "DescribeLogGroups", "ListTagsForResource",
        "PutRetentionPolicy",
    },
    "sts": {"GetCallerIdentity"},
}


def test_every_request_is_valid(tmp_path):
    project = Project(tmp_path)
    found, sent = [], set()
    with LocalCloud(tmp_path) as cloud, RecordingProxy(cloud.port) as proxy:
        target = ("--stack", "wire", "--endpoint-url", proxy.url, "--data", cloud.data)

        def run(what, *arguments):
            wschat(*arguments)
            calls = [read(exchange) for exchange in proxy.take()]
            sent.update(map(str, calls))
            found.extend(f"{what}: {one}" for call in calls for one in violations(call))
            return calls

        def up(what):
            run(what, "up", *target, "--template", project.path, "--yes", "--allow-data-loss", "ExtraTable")
            again = run(f"{what}, again", "up", *target, "--template", project.path)
            assert [str(call) for call in again if call.mutates] == [], f"after {what}, there is nothing more to do"

        up("a first up")
        project.write_code("connect", "two")
        up("a change of code")
        for what, edits in CHANGES.items():
            for old, new in edits:
                project.edit(old, new)
            up(f"a change of {what}")
        extras = project.text[project.text.index("\n  ExtraTable:") : project.text.index("\nOutputs:")]
        project.edit(extras, "")
        up("a change to less of every type")
        run("status", "status", *target, "--template", project.path)
        run("url", "url", *target)
        run("down", "down", *target, "--yes")

    assert not found, f"AWS would refuse {len(found)} requests:\n" + "\n".join(sorted(set(found)))
    expected = {f"{service}.{operation}" for service, operations in EXPECTED.items() for operation in operations}
    assert not expected - sent, "none of these was ever sent"
