# The module with which the function of a custom resource answers, where its code is inline: CloudFormation puts one of this
# name and interface beside it. (AWS CloudFormation user guide, "cfn-response module")
import json
import urllib.request

SUCCESS = "SUCCESS"
FAILED = "FAILED"


def send(event, context, responseStatus, responseData, physicalResourceId=None, noEcho=False, reason=None):
    """Sends the answer, and returns when it has arrived."""
    answer = {
        "Status": responseStatus,
        "Reason": reason or "The log stream %s has the details" % context.log_stream_name,
        "PhysicalResourceId": physicalResourceId or context.log_stream_name,
        "StackId": event["StackId"],
        "RequestId": event["RequestId"],
        "LogicalResourceId": event["LogicalResourceId"],
        "NoEcho": noEcho,
        "Data": responseData,
    }
    body = json.dumps(answer).encode()
    request = urllib.request.Request(event["ResponseURL"], data=body, method="PUT", headers={"Content-Type": ""})
    try:
        with urllib.request.urlopen(request) as response:
            print("The answer to CloudFormation was taken with HTTP status %d" % response.status)
    except Exception as error:
        print("The answer to CloudFormation could not be sent: %s" % error)
