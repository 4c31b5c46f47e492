"""boto3 against the local cloud's SQS, SNS and event source mappings: boto3 itself checks the digests of messages.

A third-party emulator, ministack, gets the same calls: it is the second witness that this is how AWS answers.
"""

import json
import time

import pytest
from botocore.exceptions import ClientError

from harness import REGION, Endpoint, Ministack, code, wait_until
from test_boto3 import TRUST, assert_paged, pages

ACCOUNT = "000000000000"
QUEUES = f"arn:aws:sqs:{REGION}:{ACCOUNT}"


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


# ministack has no `Creating`, and shows an age that nobody has set.
ours = pytest.mark.parametrize("aws", OURS, indirect=True)


@pytest.fixture
def queue(aws, name):
    sqs = aws.client("sqs")
    url = sqs.create_queue(QueueName=name, tags={"team": "blue"})["QueueUrl"]
    yield url
    sqs.delete_queue(QueueUrl=url)


@pytest.fixture
def topic(aws, name):
    sns = aws.client("sns")
    arn = sns.create_topic(Name=name, Tags=[{"Key": "team", "Value": "blue"}])["TopicArn"]
    yield arn
    sns.delete_topic(TopicArn=arn)


def test_messages(aws, queue):
    sqs = aws.client("sqs")
    attributes = {
        "kind": {"DataType": "String", "StringValue": "chat"},
        "size": {"DataType": "Number", "StringValue": "3"},
        "raw": {"DataType": "Binary", "BinaryValue": b"\0\1"},
    }
    sent = sqs.send_message(QueueUrl=queue, MessageBody="Grüße 👋", MessageAttributes=attributes)
    received = sqs.receive_message(
        QueueUrl=queue, MessageAttributeNames=["All"], MessageSystemAttributeNames=["All"], WaitTimeSeconds=5
    )
    (message,) = received["Messages"]
    assert message["MessageId"] == sent["MessageId"] and message["Body"] == "Grüße 👋"
    assert message["MessageAttributes"] == attributes
    assert message["Attributes"]["ApproximateReceiveCount"] == "1"
    assert "Messages" not in sqs.receive_message(QueueUrl=queue)
    sqs.change_message_visibility(QueueUrl=queue, ReceiptHandle=message["ReceiptHandle"], VisibilityTimeout=0)
    (message,) = sqs.receive_message(QueueUrl=queue, WaitTimeSeconds=5)["Messages"]
    sqs.delete_message(QueueUrl=queue, ReceiptHandle=message["ReceiptHandle"])
    counts = sqs.get_queue_attributes(QueueUrl=queue, AttributeNames=["All"])["Attributes"]
    assert counts["ApproximateNumberOfMessages"] == counts["ApproximateNumberOfMessagesNotVisible"] == "0"


def test_batches(aws, queue):
    sqs = aws.client("sqs")
    entries = [{"Id": str(number), "MessageBody": str(number)} for number in range(10)]
    assert len(sqs.send_message_batch(QueueUrl=queue, Entries=entries)["Successful"]) == 10
    found = {}
    while len(found) < 10:
        answer = sqs.receive_message(QueueUrl=queue, MaxNumberOfMessages=10, WaitTimeSeconds=5)
        found |= {message["Body"]: message["ReceiptHandle"] for message in answer["Messages"]}
    entries = [{"Id": body, "ReceiptHandle": handle} for body, handle in found.items()]
    answer = sqs.delete_message_batch(QueueUrl=queue, Entries=entries)
    assert len(answer["Successful"]) == 10 and not answer.get("Failed")
    with pytest.raises(sqs.exceptions.EmptyBatchRequest):
        sqs.delete_message_batch(QueueUrl=queue, Entries=[])


def test_queues(aws, name, queue):
    sqs = aws.client("sqs")
    assert sqs.get_queue_url(QueueName=name)["QueueUrl"] == queue
    assert sqs.list_queue_tags(QueueUrl=queue)["Tags"] == {"team": "blue"}
    sqs.tag_queue(QueueUrl=queue, Tags={"a": "b"})
    sqs.untag_queue(QueueUrl=queue, TagKeys=["team"])
    assert sqs.list_queue_tags(QueueUrl=queue)["Tags"] == {"a": "b"}
    names = [f"{name}-{number}" for number in range(3)]
    urls = [sqs.create_queue(QueueName=one)["QueueUrl"] for one in names]
    try:
        assert_paged(pages(sqs, "list_queues", "QueueUrls", 2, QueueNamePrefix=f"{name}-"), 2, urls)
    finally:
        for url in urls:
            sqs.delete_queue(QueueUrl=url)
    with pytest.raises(sqs.exceptions.QueueDoesNotExist):
        sqs.get_queue_url(QueueName=names[0])
    # Code of before SQS spoke JSON looks for this code.
    with pytest.raises(ClientError) as refused:
        sqs.send_message(QueueUrl=urls[0], MessageBody="x")
    assert refused.value.response["Error"]["Code"] == "AWS.SimpleQueueService.NonExistentQueue"


def test_dead_letters(aws, name, queue):
    sqs = aws.client("sqs")
    policy = json.dumps({"deadLetterTargetArn": f"{QUEUES}:{name}", "maxReceiveCount": 1})
    attributes = {"RedrivePolicy": policy, "VisibilityTimeout": "0"}
    source = sqs.create_queue(QueueName=f"{name}-source", Attributes=attributes)["QueueUrl"]
    try:
        sqs.send_message(QueueUrl=source, MessageBody="poison")
        assert sqs.receive_message(QueueUrl=source)["Messages"]
        assert "Messages" not in sqs.receive_message(QueueUrl=source)
        (message,) = sqs.receive_message(QueueUrl=queue, WaitTimeSeconds=5)["Messages"]
        assert message["Body"] == "poison"
    finally:
        sqs.delete_queue(QueueUrl=source)


def test_fifo(aws, name):
    sqs = aws.client("sqs")
    attributes = {"FifoQueue": "true", "ContentBasedDeduplication": "true"}
    url = sqs.create_queue(QueueName=f"{name}.fifo", Attributes=attributes)["QueueUrl"]
    try:
        sent = [sqs.send_message(QueueUrl=url, MessageBody=body, MessageGroupId="g") for body in ["1", "1", "2"]]
        assert sent[0]["MessageId"] == sent[1]["MessageId"] and sent[0]["SequenceNumber"] < sent[2]["SequenceNumber"]
        answer = sqs.receive_message(QueueUrl=url, MaxNumberOfMessages=10)
        assert [message["Body"] for message in answer["Messages"]] == ["1", "2"]
    finally:
        sqs.delete_queue(QueueUrl=url)


def test_topics(aws, name, queue, topic):
    sns, sqs = aws.client("sns"), aws.client("sqs")
    assert sns.list_tags_for_resource(ResourceArn=topic)["Tags"] == [{"Key": "team", "Value": "blue"}]
    assert topic in [one["TopicArn"] for one in sns.list_topics()["Topics"]]
    allow = {
        "Effect": "Allow", "Principal": {"Service": "sns.amazonaws.com"}, "Action": "sqs:SendMessage", "Resource": f"{QUEUES}:{name}",
        "Condition": {"ArnEquals": {"aws:SourceArn": topic}},
    }
    sqs.set_queue_attributes(QueueUrl=queue, Attributes={"Policy": json.dumps({"Version": "2012-10-17", "Statement": [allow]})})
    subscription = sns.subscribe(
        TopicArn=topic, Protocol="sqs", Endpoint=f"{QUEUES}:{name}", ReturnSubscriptionArn=True,
        Attributes={"FilterPolicy": json.dumps({"kind": ["chat"]})},
    )["SubscriptionArn"]
    kind = lambda value: {"kind": {"DataType": "String", "StringValue": value}}
    sns.publish(TopicArn=topic, Message="dropped", MessageAttributes=kind("other"))
    sent = sns.publish(TopicArn=topic, Message="hello", Subject="greeting", MessageAttributes=kind("chat"))
    (message,) = sqs.receive_message(QueueUrl=queue, WaitTimeSeconds=5)["Messages"]
    envelope = json.loads(message["Body"])
    assert (envelope["Message"], envelope["Subject"], envelope["MessageId"]) == ("hello", "greeting", sent["MessageId"])
    sqs.delete_message(QueueUrl=queue, ReceiptHandle=message["ReceiptHandle"])

    sns.set_subscription_attributes(SubscriptionArn=subscription, AttributeName="RawMessageDelivery", AttributeValue="true")
    assert sns.get_subscription_attributes(SubscriptionArn=subscription)["Attributes"]["RawMessageDelivery"] == "true"
    entries = [{"Id": str(number), "Message": str(number), "MessageAttributes": kind("chat")} for number in range(3)]
    assert len(sns.publish_batch(TopicArn=topic, PublishBatchRequestEntries=entries)["Successful"]) == 3
    bodies = []
    while len(bodies) < 3:
        answer = sqs.receive_message(QueueUrl=queue, MaxNumberOfMessages=10, MessageAttributeNames=["All"], WaitTimeSeconds=5)
        bodies += [message["Body"] for message in answer["Messages"]]
        assert all(message["MessageAttributes"]["kind"]["StringValue"] == "chat" for message in answer["Messages"])
    assert sorted(bodies) == ["0", "1", "2"]
    (one,) = sns.list_subscriptions_by_topic(TopicArn=topic)["Subscriptions"]
    assert one["SubscriptionArn"] == subscription
    sns.unsubscribe(SubscriptionArn=subscription)
    assert sns.list_subscriptions_by_topic(TopicArn=topic)["Subscriptions"] == []
    with pytest.raises(sns.exceptions.NotFoundException):
        sns.get_topic_attributes(TopicArn=topic + "x")


@ours
def test_mappings(aws, name, queue):
    """A queue's messages reach a function, and what it handles is gone."""
    client, sqs = aws.client("lambda"), aws.client("sqs")
    role = aws.client("iam").create_role(RoleName=name, AssumeRolePolicyDocument=TRUST)["Role"]
    time.sleep(0.1)
    client.create_function(
        FunctionName=name, Role=role["Arn"], Runtime="provided.al2023", Handler="bootstrap", Code={"ZipFile": code()}, Timeout=20,
    )
    mapping = None
    try:
        wait_until(lambda: client.get_function(FunctionName=name)["Configuration"]["State"] == "Active", "it is active")
        made = client.create_event_source_mapping(
            FunctionName=name, EventSourceArn=f"{QUEUES}:{name}", BatchSize=5, Tags={"team": "blue"}
        )
        mapping = made["UUID"]
        assert made["State"] == "Creating" and made["FunctionArn"].endswith(f":function:{name}")
        assert client.list_tags(Resource=made["EventSourceMappingArn"])["Tags"] == {"team": "blue"}
        with pytest.raises(client.exceptions.ResourceConflictException):
            client.create_event_source_mapping(FunctionName=name, EventSourceArn=f"{QUEUES}:{name}")
        state = lambda: client.get_event_source_mapping(UUID=mapping)["State"]
        wait_until(lambda: state() == "Enabled", "it is enabled")
        (listed,) = client.list_event_source_mappings(FunctionName=name)["EventSourceMappings"]
        assert listed["UUID"] == mapping
        sqs.send_message(QueueUrl=queue, MessageBody="work")
        counts = lambda: sqs.get_queue_attributes(QueueUrl=queue, AttributeNames=["All"])["Attributes"]
        left = lambda: [counts()[f"ApproximateNumberOfMessages{kind}"] for kind in ["", "NotVisible"]]
        wait_until(lambda: left() == ["0", "0"], "the message is handled")
        changed = client.update_event_source_mapping(UUID=mapping, Enabled=False, BatchSize=7)
        assert changed["State"] == "Disabling" and changed["BatchSize"] == 7
        wait_until(lambda: state() == "Disabled", "it is disabled")
    finally:
        if mapping:
            wait_until(lambda: client.get_event_source_mapping(UUID=mapping)["State"] in ("Enabled", "Disabled"), "it has settled")
            assert client.delete_event_source_mapping(UUID=mapping)["State"] == "Deleting"
        client.delete_function(FunctionName=name)
        aws.client("iam").delete_role(RoleName=name)


@ours
def test_event_invoke_config(aws, name):
    client = aws.client("lambda")
    role = aws.client("iam").create_role(RoleName=name, AssumeRolePolicyDocument=TRUST)["Role"]
    time.sleep(0.1)
    client.create_function(
        FunctionName=name, Role=role["Arn"], Runtime="provided.al2023", Handler="bootstrap", Code={"ZipFile": code()},
    )
    try:
        put = client.put_function_event_invoke_config(FunctionName=name, MaximumRetryAttempts=1)
        assert put["MaximumRetryAttempts"] == 1 and "MaximumEventAgeInSeconds" not in put
        client.update_function_event_invoke_config(FunctionName=name, MaximumEventAgeInSeconds=60)
        got = client.get_function_event_invoke_config(FunctionName=name)
        assert (got["MaximumRetryAttempts"], got["MaximumEventAgeInSeconds"]) == (1, 60)
        assert len(client.list_function_event_invoke_configs(FunctionName=name)["FunctionEventInvokeConfigs"]) == 1
        client.delete_function_event_invoke_config(FunctionName=name)
        with pytest.raises(client.exceptions.ResourceNotFoundException):
            client.get_function_event_invoke_config(FunctionName=name)
    finally:
        client.delete_function(FunctionName=name)
        aws.client("iam").delete_role(RoleName=name)
