"""wschat against ministack: types beside those of the chat template, read back with boto3, unchanged by a second `up`, and gone after `down`.

What ministack lacks for more: its Cloud Control API keeps records that its other services do not know, identified otherwise than AWS
identifies them, and its Resource Groups Tagging API finds neither those nor event source mappings. So topics, queues, rules, schedules,
parameters and secrets of a template, which wschat creates through Cloud Control, cannot be witnessed there (boto3's calls of queues,
topics and buckets are: test_queues.py, test_s3.py), and a mapping is left by a `down` that has no template to name it.
"""

import pytest

from harness import Endpoint, LocalCloud, Ministack, wschat
from proxy import RecordingProxy
from wire import read

TEMPLATE = """
Transform: AWS::Serverless-2016-10-31
Resources:
  Rows:
    Type: AWS::DynamoDB::Table
    Properties:
      BillingMode: PAY_PER_REQUEST
      AttributeDefinitions: [{ AttributeName: id, AttributeType: S }, { AttributeName: at, AttributeType: N }]
      KeySchema: [{ AttributeName: id, KeyType: HASH }]
      GlobalSecondaryIndexes:
        - { IndexName: by-time, KeySchema: [{ AttributeName: at, KeyType: HASH }], Projection: { ProjectionType: KEYS_ONLY } }
      StreamSpecification: { StreamViewType: NEW_IMAGE }
      TimeToLiveSpecification: { AttributeName: until, Enabled: true }
  Words:
    Type: AWS::Lambda::LayerVersion
    Properties: { LayerName: words, Content: layer/, CompatibleRuntimes: [python3.12] }
  Worker:
    Type: AWS::Serverless::Function
    Properties:
      CodeUri: code/
      Handler: index.handler
      Runtime: python3.12
      Layers: [!Ref Words]
      AutoPublishAlias: live
      Environment: { Variables: { TABLE: !Ref Rows } }
      Events:
        Rows: { Type: DynamoDB, Properties: { Stream: !GetAtt Rows.StreamArn, StartingPosition: LATEST, BatchSize: 5 } }
  Log: { Type: AWS::Logs::LogGroup, Properties: { RetentionInDays: 7 } }
"""
TARGET = ("--stack", "types")


@pytest.fixture(scope="module", params=[Ministack, LocalCloud])
def emulator(request, tmp_path_factory):
    """ministack, and the local cloud for comparison."""
    with request.param(tmp_path_factory.mktemp("emulator")) as emulator, RecordingProxy(emulator.port) as proxy:
        proxy.is_ministack = request.param is Ministack
        yield proxy


def test_other_types_are_deployed_and_deleted(emulator, tmp_path):
    aws = Endpoint(emulator.url)
    template = tmp_path / "template.yaml"
    template.write_text(TEMPLATE)
    for path, text in (("layer/words.txt", "hello"), ("code/index.py", "def handler(event, context):\n    return 1\n")):
        (tmp_path / path).parent.mkdir()
        (tmp_path / path).write_text(text)
    target = (*TARGET, "--endpoint-url", emulator.url, "--data", tmp_path / ".wschat/local")
    wschat("up", *target, "--template", template)

    dynamodb, functions, logs = aws.client("dynamodb"), aws.client("lambda"), aws.client("logs")
    [table] = dynamodb.list_tables()["TableNames"]
    described = dynamodb.describe_table(TableName=table)["Table"]
    assert described["StreamSpecification"] == {"StreamEnabled": True, "StreamViewType": "NEW_IMAGE"}
    assert [index["IndexName"] for index in described["GlobalSecondaryIndexes"]] == ["by-time"]
    ttl = dynamodb.describe_time_to_live(TableName=table)["TimeToLiveDescription"]
    assert (ttl["TimeToLiveStatus"], ttl["AttributeName"]) == ("ENABLED", "until")
    [function] = [one["FunctionName"] for one in functions.list_functions()["Functions"]]
    configuration = functions.get_function_configuration(FunctionName=function)
    assert configuration["Environment"]["Variables"] == {"TABLE": table}
    [layer] = functions.list_layer_versions(LayerName="words")["LayerVersions"]
    assert [one["Arn"] for one in configuration["Layers"]] == [layer["LayerVersionArn"]]
    assert functions.get_alias(FunctionName=function, Name="live")["FunctionVersion"] == "1"
    [mapping] = functions.list_event_source_mappings()["EventSourceMappings"]
    assert mapping["EventSourceArn"] == described["LatestStreamArn"] and mapping["BatchSize"] == 5
    assert mapping["FunctionArn"].endswith(f":{function}:live")
    groups = {one["logGroupName"]: one.get("retentionInDays") for one in logs.describe_log_groups()["logGroups"]}
    assert 7 in groups.values()

    emulator.take()
    wschat("up", *target, "--template", template)
    assert [call.operation for call in map(read, emulator.take()) if call.mutates] == []
    wschat("status", *target, "--template", template)

    wschat("down", *target, "--yes")
    assert dynamodb.list_tables()["TableNames"] == [] and functions.list_functions()["Functions"] == []
    assert functions.list_layers()["Layers"] == [] and logs.describe_log_groups()["logGroups"] == []
    left = functions.list_event_source_mappings()["EventSourceMappings"]
    assert len(left) == (1 if emulator.is_ministack else 0)
