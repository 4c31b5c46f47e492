"""boto3 against the streams, rules and schedules of the local cloud: what invokes functions beside clients."""

import datetime
import json
import time

import pytest
from botocore.exceptions import ClientError

from harness import REGION, wait_until
from test_boto3 import ACCOUNT, function, role, table  # noqa: F401, fixtures

CLOCK = json.dumps(
    {
        "Version": "2012-10-17",
        "Statement": [
            {"Effect": "Allow", "Principal": {"Service": "scheduler.amazonaws.com"}, "Action": "sts:AssumeRole"}
        ],
    }
)


def code_of(refused):
    return refused.value.response["Error"]["Code"]


def events_of(aws, function):
    """The events that a function was invoked with, by its log."""
    logs = aws.client("logs")
    try:
        found = logs.filter_log_events(logGroupName=f"/aws/lambda/{function}", filterPattern="handling")["events"]
    except logs.exceptions.ResourceNotFoundException:
        return []
    return [json.loads(event["message"].removeprefix("handling ")) for event in found]


def enable_stream(aws, table, view="NEW_AND_OLD_IMAGES"):
    dynamodb = aws.client("dynamodb")
    described = dynamodb.update_table(
        TableName=table, StreamSpecification={"StreamEnabled": True, "StreamViewType": view}
    )["TableDescription"]
    dynamodb.get_waiter("table_exists").wait(TableName=table, WaiterConfig={"Delay": 1})
    return described["LatestStreamArn"]


def records(streams, arn, kind="TRIM_HORIZON", **more):
    """All records of a stream from a position on, and the iterator after them."""
    shard = streams.describe_stream(StreamArn=arn)["StreamDescription"]["Shards"][0]["ShardId"]
    iterator = streams.get_shard_iterator(StreamArn=arn, ShardId=shard, ShardIteratorType=kind, **more)["ShardIterator"]
    answer = streams.get_records(ShardIterator=iterator)
    return answer["Records"], answer["NextShardIterator"]


# -- DynamoDB Streams -------------------------------------------------------------------------------------------------


def test_streams_have_every_kind_of_write(aws, table):
    dynamodb, streams = aws.client("dynamodb"), aws.client("dynamodbstreams")
    arn = enable_stream(aws, table)
    assert [found["StreamArn"] for found in streams.list_streams(TableName=table)["Streams"]] == [arn]
    described = streams.describe_stream(StreamArn=arn)["StreamDescription"]
    assert (described["StreamStatus"], described["StreamViewType"]) == ("ENABLED", "NEW_AND_OLD_IMAGES")
    assert described["KeySchema"] == [{"AttributeName": "id", "KeyType": "HASH"}]
    assert "EndingSequenceNumber" not in described["Shards"][0]["SequenceNumberRange"]
    # Only what comes from now on.
    _, latest = records(streams, arn, "LATEST")

    def item(key, text):
        return {"id": {"S": key}, "text": {"S": text}}

    dynamodb.put_item(TableName=table, Item=item("put", "one"))
    dynamodb.update_item(
        TableName=table, Key={"id": {"S": "put"}}, UpdateExpression="SET #t = :t",
        ExpressionAttributeNames={"#t": "text"}, ExpressionAttributeValues={":t": {"S": "two"}},
    )
    dynamodb.put_item(TableName=table, Item=item("put", "two"))
    dynamodb.delete_item(TableName=table, Key={"id": {"S": "put"}})
    dynamodb.batch_write_item(RequestItems={table: [{"PutRequest": {"Item": item("batch", "b")}}]})
    dynamodb.transact_write_items(TransactItems=[{"Put": {"TableName": table, "Item": item("part", "p")}}])
    dynamodb.execute_statement(Statement=f"INSERT INTO \"{table}\" VALUE {{'id': 'statement', 'text': 's'}}")
    expected = [
        ("INSERT", "put", None, "one"),
        ("MODIFY", "put", "one", "two"),
        ("REMOVE", "put", "two", None),
        ("INSERT", "batch", None, "b"),
        ("INSERT", "part", None, "p"),
        ("INSERT", "statement", None, "s"),
    ]

    def shown(record):
        change = record["dynamodb"]
        old, new = (change.get(image, {}).get("text", {}).get("S") for image in ("OldImage", "NewImage"))
        return record["eventName"], change["Keys"]["id"]["S"], old, new

    found, _ = records(streams, arn)
    assert [shown(record) for record in found] == expected
    assert [shown(record) for record in streams.get_records(ShardIterator=latest)["Records"]] == expected
    assert {record["awsRegion"] for record in found} == {REGION}
    numbers = [int(record["dynamodb"]["SequenceNumber"]) for record in found]
    assert numbers == sorted(set(numbers))
    assert all(record["eventID"] and record["dynamodb"]["SizeBytes"] for record in found)
    second = found[1]["dynamodb"]["SequenceNumber"]
    assert [shown(one) for one in records(streams, arn, "AT_SEQUENCE_NUMBER", SequenceNumber=second)[0]] == expected[1:]
    assert [shown(one) for one in records(streams, arn, "AFTER_SEQUENCE_NUMBER", SequenceNumber=second)[0]] == expected[2:]

    with pytest.raises(ClientError) as refused:
        streams.describe_stream(StreamArn=arn.rsplit("/", 1)[0] + "/2020-01-01T00:00:00.000")
    assert code_of(refused) == "ResourceNotFoundException"
    with pytest.raises(ClientError) as refused:
        streams.get_shard_iterator(StreamArn=arn, ShardId="shardId-00000000000000000001-ffffffff", ShardIteratorType="LATEST")
    assert code_of(refused) == "ResourceNotFoundException"


@pytest.mark.parametrize("view", ["KEYS_ONLY", "NEW_IMAGE", "OLD_IMAGE"])
def test_streams_show_their_view(aws, table, view):
    dynamodb, streams = aws.client("dynamodb"), aws.client("dynamodbstreams")
    arn = enable_stream(aws, table, view)
    for text in ("one", "two"):
        dynamodb.put_item(TableName=table, Item={"id": {"S": "a"}, "text": {"S": text}})
    change = records(streams, arn)[0][1]["dynamodb"]
    assert ("NewImage" in change, "OldImage" in change) == (view == "NEW_IMAGE", view == "OLD_IMAGE")


def test_a_table_of_the_same_name_has_no_records_of_the_one_before(aws, name):
    dynamodb, streams = aws.client("dynamodb"), aws.client("dynamodbstreams")
    for _ in range(2):
        arn = dynamodb.create_table(
            TableName=name,
            BillingMode="PAY_PER_REQUEST",
            KeySchema=[{"AttributeName": "id", "KeyType": "HASH"}],
            AttributeDefinitions=[{"AttributeName": "id", "AttributeType": "S"}],
            StreamSpecification={"StreamEnabled": True, "StreamViewType": "KEYS_ONLY"},
        )["TableDescription"]["LatestStreamArn"]
        dynamodb.get_waiter("table_exists").wait(TableName=name, WaiterConfig={"Delay": 1})
        assert records(streams, arn)[0] == []
        dynamodb.put_item(TableName=name, Item={"id": {"S": "a"}})
        assert len(records(streams, arn)[0]) == 1
        dynamodb.delete_table(TableName=name)
        dynamodb.get_waiter("table_not_exists").wait(TableName=name, WaiterConfig={"Delay": 1})


def test_a_stream_invokes_a_function(aws, table, function):
    dynamodb, client = aws.client("dynamodb"), aws.client("lambda")
    arn = enable_stream(aws, table)
    mapping = client.create_event_source_mapping(
        EventSourceArn=arn,
        FunctionName=function,
        StartingPosition="LATEST",
        MaximumRetryAttempts=1,
        FilterCriteria={"Filters": [{"Pattern": json.dumps({"dynamodb": {"NewImage": {"text": {"S": [{"prefix": "x"}]}}}})}]},
    )
    try:
        for text in ("x1", "y", "x2"):
            dynamodb.put_item(TableName=table, Item={"id": {"S": text}, "text": {"S": text}})
        heard = wait_until(
            lambda: len(found := [one for event in events_of(aws, function) for one in event["Records"]]) == 2 and found,
            "the function has both records",
        )
        assert [one["dynamodb"]["NewImage"]["text"]["S"] for one in heard] == ["x1", "x2"]
        assert {one["eventSourceARN"] for one in heard} == {arn}
        assert isinstance(heard[0]["dynamodb"]["ApproximateCreationDateTime"], int)
        # The function has its records before its answer is noted.
        described = lambda: client.get_event_source_mapping(UUID=mapping["UUID"])
        wait_until(lambda: described()["LastProcessingResult"] == "OK", "the mapping says that its last batch went well")
        assert described()["State"] == "Enabled"
    finally:
        client.delete_event_source_mapping(UUID=mapping["UUID"])


# -- EventBridge ------------------------------------------------------------------------------------------------------


def test_a_rule_invokes_a_function(aws, function, name):
    events, client = aws.client("events"), aws.client("lambda")
    arn = client.get_function(FunctionName=function)["Configuration"]["FunctionArn"]
    pattern = json.dumps({"source": ["chat"], "detail": {"room": [{"prefix": name}]}})
    rule = events.put_rule(Name=name, EventPattern=pattern)["RuleArn"]
    assert rule == f"arn:aws:events:{REGION}:{ACCOUNT}:rule/{name}"
    targets = [
        {
            "Id": "function",
            "Arn": arn,
            "InputTransformer": {"InputPathsMap": {"room": "$.detail.room"}, "InputTemplate": '{"room": <room>, "rule": <aws.events.rule-name>}'},
        }
    ]
    assert events.put_targets(Rule=name, Targets=targets)["FailedEntryCount"] == 0
    assert events.list_targets_by_rule(Rule=name)["Targets"] == targets
    entry = {"Source": "chat", "DetailType": "Joined", "Detail": json.dumps({"room": f"{name}-lobby"})}
    # The function does not allow it yet, so this one is lost.
    assert events.put_events(Entries=[entry])["FailedEntryCount"] == 0
    client.add_permission(
        FunctionName=function, StatementId="rule", Action="lambda:InvokeFunction", Principal="events.amazonaws.com", SourceArn=rule
    )
    entry["Detail"] = json.dumps({"room": f"{name}-kitchen"})
    other = entry | {"Detail": json.dumps({"room": "elsewhere"})}
    answer = events.put_events(Entries=[entry, other, entry | {"Detail": "{"}])
    assert (answer["FailedEntryCount"], answer["Entries"][2]["ErrorCode"]) == (1, "MalformedDetail")
    heard = wait_until(lambda: events_of(aws, function), "the function is invoked")
    assert heard == [{"room": f"{name}-kitchen", "rule": name}]

    assert [found["Name"] for found in events.list_rules(NamePrefix=name)["Rules"]] == [name]
    events.disable_rule(Name=name)
    assert events.describe_rule(Name=name)["State"] == "DISABLED"
    with pytest.raises(ClientError) as refused:
        events.delete_rule(Name=name)
    assert code_of(refused) == "ValidationException"
    events.remove_targets(Rule=name, Ids=["function"])
    events.delete_rule(Name=name)
    with pytest.raises(events.exceptions.ResourceNotFoundException):
        events.describe_rule(Name=name)


def test_a_rule_sends_to_a_queue_and_a_topic(aws, name):
    events, sqs, sns = aws.client("events"), aws.client("sqs"), aws.client("sns")
    rule = f"arn:aws:events:{REGION}:{ACCOUNT}:rule/{name}"
    queue = sqs.create_queue(QueueName=name)["QueueUrl"]
    arn = sqs.get_queue_attributes(QueueUrl=queue, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
    topic = sns.create_topic(Name=name)["TopicArn"]

    def allow(action, resource, service, source):
        condition = {"ArnEquals": {"aws:SourceArn": source}}
        statement = {"Effect": "Allow", "Principal": {"Service": service}, "Action": action, "Resource": resource, "Condition": condition}
        return statement

    policy = {
        "Version": "2012-10-17",
        "Statement": [
            allow("sqs:SendMessage", arn, "events.amazonaws.com", rule),
            allow("sqs:SendMessage", arn, "sns.amazonaws.com", topic),
        ],
    }
    sqs.set_queue_attributes(QueueUrl=queue, Attributes={"Policy": json.dumps(policy)})
    policy = {"Version": "2012-10-17", "Statement": [allow("sns:Publish", topic, "events.amazonaws.com", rule)]}
    sns.set_topic_attributes(TopicArn=topic, AttributeName="Policy", AttributeValue=json.dumps(policy))
    sns.subscribe(TopicArn=topic, Protocol="sqs", Endpoint=arn, Attributes={"RawMessageDelivery": "true"})
    events.put_rule(Name=name, EventPattern=json.dumps({"source": [name]}))
    targets = [{"Id": "queue", "Arn": arn, "Input": '"by queue"'}, {"Id": "topic", "Arn": topic, "Input": '"by topic"'}]
    events.put_targets(Rule=name, Targets=targets)
    events.put_events(Entries=[{"Source": name, "DetailType": "d", "Detail": "{}"}])
    heard = set()

    def all_heard():
        for message in sqs.receive_message(QueueUrl=queue, WaitTimeSeconds=1, MaxNumberOfMessages=10).get("Messages", []):
            heard.add(message["Body"])
        return len(heard) == 2

    wait_until(all_heard, "the queue has both messages")
    assert heard == {'"by queue"', '"by topic"'}


def test_buses_and_patterns(aws, name):
    events = aws.client("events")
    bus = events.create_event_bus(Name=name)["EventBusArn"]
    with pytest.raises(events.exceptions.ResourceAlreadyExistsException):
        events.create_event_bus(Name=name)
    assert events.describe_event_bus(Name=bus)["Name"] == name
    rule = events.put_rule(Name=name, EventBusName=bus, EventPattern='{"source": ["a"]}', Tags=[{"Key": "k", "Value": "v"}])["RuleArn"]
    assert rule.endswith(f":rule/{name}/{name}")
    assert events.list_tags_for_resource(ResourceARN=rule)["Tags"] == [{"Key": "k", "Value": "v"}]
    event = {
        "id": "1", "account": ACCOUNT, "source": "a", "time": "2026-11-29T10:00:00Z", "region": REGION, "resources": [],
        "detail-type": "d", "detail": {"n": 5},
    }
    for pattern, expected in [({"detail": {"n": [{"numeric": [">", 4]}]}}, True), ({"source": ["b"]}, False)]:
        assert events.test_event_pattern(EventPattern=json.dumps(pattern), Event=json.dumps(event))["Result"] is expected
    with pytest.raises(events.exceptions.InvalidEventPatternException):
        events.put_rule(Name=name, EventPattern='{"source": "a"}')
    with pytest.raises(ClientError) as refused:
        events.put_rule(Name=name, ScheduleExpression="cron(0 12 * * *)")
    assert code_of(refused) == "ValidationException"
    events.delete_rule(Name=name, EventBusName=bus)
    events.delete_event_bus(Name=name)


# -- Scheduler --------------------------------------------------------------------------------------------------------


@pytest.fixture
def clock(aws, name):
    iam = aws.client("iam")
    made = iam.create_role(RoleName=f"{name}-clock", AssumeRolePolicyDocument=CLOCK)["Role"]
    # A new role cannot be assumed at once.
    time.sleep(0.1)
    yield made["Arn"]
    iam.delete_role(RoleName=f"{name}-clock")


def test_a_schedule_invokes_a_function(aws, function, clock, role, name):
    scheduler, client = aws.client("scheduler"), aws.client("lambda")
    arn = client.get_function(FunctionName=function)["Configuration"]["FunctionArn"]
    soon = lambda: f"at({datetime.datetime.now(datetime.timezone.utc) + datetime.timedelta(seconds=3):%Y-%m-%dT%H:%M:%S})"
    once = {
        "Name": name,
        "ScheduleExpression": "at(2099-01-01T00:00:00)",
        "FlexibleTimeWindow": {"Mode": "OFF"},
        "Target": {"Arn": arn, "RoleArn": clock},
        "ActionAfterCompletion": "DELETE",
    }
    made = scheduler.create_schedule(**once)["ScheduleArn"]
    assert made == f"arn:aws:scheduler:{REGION}:{ACCOUNT}:schedule/default/{name}"
    with pytest.raises(scheduler.exceptions.ConflictException):
        scheduler.create_schedule(**once)
    scheduler.update_schedule(**once | {"ScheduleExpression": soon()})
    heard = wait_until(lambda: events_of(aws, function), "the function is invoked")
    assert (heard[0]["source"], heard[0]["detail"], heard[0]["resources"]) == ("aws.scheduler", "{}", [made])

    def gone():
        return [one["Name"] for one in scheduler.list_schedules(NamePrefix=name)["Schedules"]] == []

    wait_until(gone, "the schedule is deleted after its completion")

    with pytest.raises(scheduler.exceptions.ValidationException):
        scheduler.create_schedule(**once | {"Target": {"Arn": arn, "RoleArn": role}})
    with pytest.raises(scheduler.exceptions.ValidationException):
        scheduler.create_schedule(**once | {"ScheduleExpression": "rate(1)"})
    group = scheduler.create_schedule_group(Name=name, Tags=[{"Key": "k", "Value": "v"}])["ScheduleGroupArn"]
    assert scheduler.list_tags_for_resource(ResourceArn=group)["Tags"] == [{"Key": "k", "Value": "v"}]
    start = datetime.datetime(2030, 1, 1, tzinfo=datetime.timezone.utc)
    noon = once | {"GroupName": name, "ScheduleExpression": "cron(0 12 * * ? *)", "StartDate": start}
    noon["ScheduleExpressionTimezone"] = "Europe/Berlin"
    scheduler.create_schedule(**noon)
    described = scheduler.get_schedule(Name=name, GroupName=name)
    assert (described["StartDate"], described["ScheduleExpressionTimezone"]) == (start, "Europe/Berlin")
    scheduler.delete_schedule_group(Name=name)
    with pytest.raises(scheduler.exceptions.ResourceNotFoundException):
        scheduler.get_schedule(Name=name, GroupName=name)
