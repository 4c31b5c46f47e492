"""Reads an account's resources with boto3, and compares them with a template."""

import json
from collections import Counter
from pathlib import Path

from harness import REGION, Endpoint
from template import FUNCTIONS, Template


def inventory(aws: Endpoint) -> dict[str, list[str]]:
    """The names of all resources in the account that a stack could leave behind."""

    def listed(service, operation, result, name):
        paginator = aws.client(service).get_paginator(operation)
        return sorted(name(item) for page in paginator.paginate() for item in page.get(result, []))

    return {
        "tables": listed("dynamodb", "list_tables", "TableNames", str),
        "roles": listed("iam", "list_roles", "Roles", lambda role: role["RoleName"]),
        "functions": listed("lambda", "list_functions", "Functions", lambda function: function["FunctionName"]),
        "log groups": listed("logs", "describe_log_groups", "logGroups", lambda group: group["logGroupName"]),
        "apis": listed("apigatewayv2", "get_apis", "Items", lambda api: api["ApiId"]),
    }


def assert_as_described(aws: Endpoint, path: Path, stack: str, uri: str):
    """The account must contain exactly the template's resources, with the same properties."""
    found = inventory(aws)
    owned = {kind: by_logical_id(aws, kind, names, stack) for kind, names in found.items()}
    every = {logical_id: name for names in owned.values() for logical_id, name in names.items()}
    account = aws.client("sts").get_caller_identity()["Account"]
    pseudo = {"AWS::StackName": stack, "AWS::Region": REGION, "AWS::Partition": "aws", "AWS::AccountId": account}
    template = Template(path, pseudo | every)

    counts = Counter(resource["Type"] for resource in template.resources.values())
    functions = sum(counts[kind] for kind in FUNCTIONS)
    assert {kind: len(names) for kind, names in found.items()} == {
        "tables": counts["AWS::DynamoDB::Table"],
        "roles": counts["AWS::IAM::Role"],
        "functions": functions,
        "log groups": counts["AWS::Logs::LogGroup"],
        "apis": counts["AWS::ApiGatewayV2::Api"],
    }
    assert every.keys() <= template.resources.keys()

    tables(aws, template)
    roles(aws, template)
    lambdas(aws, template)
    log_groups(aws, template)
    permissions(aws, template)
    gateway(aws, template)
    assert template.resolve(template.outputs["WebSocketURI"]["Value"]) == uri


def by_logical_id(aws, kind, names, stack):
    """The names by the logical ids in their tags; each carries the stack's name."""
    found = {}
    for name in names:
        tags = tags_of(aws, kind, name)
        assert tags["wschat:stack"] == stack, f"{name} of {kind} is not the stack's: {tags}"
        found[tags["wschat:logical-id"]] = name
    assert len(found) == len(names), f"{kind} {names} share logical ids"
    return found


def tags_of(aws, kind, name):
    match kind:
        case "tables":
            dynamodb = aws.client("dynamodb")
            arn = dynamodb.describe_table(TableName=name)["Table"]["TableArn"]
            return {tag["Key"]: tag["Value"] for tag in dynamodb.list_tags_of_resource(ResourceArn=arn)["Tags"]}
        case "roles":
            return {tag["Key"]: tag["Value"] for tag in aws.client("iam").list_role_tags(RoleName=name)["Tags"]}
        case "functions":
            return aws.client("lambda").get_function(FunctionName=name)["Tags"]
        case "log groups":
            return aws.client("logs").list_tags_log_group(logGroupName=name)["tags"]
        case "apis":
            return aws.client("apigatewayv2").get_api(ApiId=name)["Tags"]


def tables(aws, template):
    dynamodb = aws.client("dynamodb")
    for logical_id, wanted in template.of_type("AWS::DynamoDB::Table"):
        name = template.ids[logical_id]
        table = dynamodb.describe_table(TableName=name)["Table"]
        template.attributes[f"{logical_id}.Arn"] = table["TableArn"]
        assert table["TableStatus"] == "ACTIVE"
        assert table["KeySchema"] == wanted["KeySchema"]
        assert table["AttributeDefinitions"] == wanted["AttributeDefinitions"]
        assert table["BillingModeSummary"]["BillingMode"] == wanted["BillingMode"]
        encrypted = table.get("SSEDescription", {}).get("Status") in ("ENABLED", "ENABLING")
        assert encrypted == wanted["SSESpecification"]["SSEEnabled"]
        expiry = dynamodb.describe_time_to_live(TableName=name)["TimeToLiveDescription"]
        assert expiry["AttributeName"] == wanted["TimeToLiveSpecification"]["AttributeName"]
        expires = expiry["TimeToLiveStatus"] in ("ENABLED", "ENABLING")
        assert expires == wanted["TimeToLiveSpecification"]["Enabled"]


def roles(aws, template):
    iam = aws.client("iam")
    for logical_id in (logical_id for logical_id, one in template.resources.items() if one["Type"] == "AWS::IAM::Role"):
        role = iam.get_role(RoleName=template.ids[logical_id])["Role"]
        template.attributes[f"{logical_id}.Arn"] = role["Arn"]
    for logical_id, wanted in template.of_type("AWS::IAM::Role"):
        name = template.ids[logical_id]
        role = iam.get_role(RoleName=name)["Role"]
        assert document(role["AssumeRolePolicyDocument"]) == document(wanted["AssumeRolePolicyDocument"])
        inline = {
            policy: document(iam.get_role_policy(RoleName=name, PolicyName=policy)["PolicyDocument"])
            for policy in iam.list_role_policies(RoleName=name)["PolicyNames"]
        }
        assert inline == {policy["PolicyName"]: document(policy["PolicyDocument"]) for policy in wanted["Policies"]}
        assert iam.list_attached_role_policies(RoleName=name)["AttachedPolicies"] == []


def document(policy):
    """A normalised policy document: sorted, and with lists where IAM also accepts a single value."""
    lists = lambda value: sorted(value if isinstance(value, list) else [value])
    return [
        {
            "Effect": one["Effect"],
            "Action": lists(one["Action"]),
            "Resource": lists(one.get("Resource", [])),
            "Principal": {kind: lists(whom) for kind, whom in one.get("Principal", {}).items()},
            "Condition": one.get("Condition", {}),
        }
        for one in policy["Statement"]
    ]


def lambdas(aws, template):
    client = aws.client("lambda")
    for logical_id, wanted in template.of_type(*FUNCTIONS):
        function = client.get_function(FunctionName=template.ids[logical_id])["Configuration"]
        template.attributes[f"{logical_id}.Arn"] = function["FunctionArn"]
        assert function["State"] == "Active"
        for property in ("Runtime", "Handler", "Architectures", "MemorySize", "Timeout", "Role"):
            assert function[property] == wanted[property], property
        variables = wanted.get("Environment", {}).get("Variables", {})
        assert function.get("Environment", {}).get("Variables", {}) == variables


def log_groups(aws, template):
    for logical_id, wanted in template.of_type("AWS::Logs::LogGroup"):
        name = wanted["LogGroupName"]
        assert template.ids[logical_id] == name
        (group,) = aws.client("logs").describe_log_groups(logGroupNamePrefix=name)["logGroups"]
        assert group["retentionInDays"] == wanted["RetentionInDays"]


def permissions(aws, template):
    wanted_of = {}
    for _, wanted in template.of_type("AWS::Lambda::Permission"):
        wanted_of.setdefault(wanted["FunctionName"], []).append(wanted)
    arns = {template.ids[name]: template.attributes[f"{name}.Arn"] for name, _ in template.of_type(*FUNCTIONS)}
    for function, arn in arns.items():
        policy = json.loads(aws.client("lambda").get_policy(FunctionName=function)["Policy"])
        statements = [{key: value for key, value in one.items() if key != "Sid"} for one in policy["Statement"]]
        assert statements == [
            {
                "Effect": "Allow",
                "Principal": {"Service": wanted["Principal"]},
                "Action": wanted["Action"],
                "Resource": arn,
                "Condition": {"ArnLike": {"AWS:SourceArn": wanted["SourceArn"]}},
            }
            for wanted in wanted_of[function]
        ]


def gateway(aws, template):
    client = aws.client("apigatewayv2")
    ((logical_id, wanted),) = template.of_type("AWS::ApiGatewayV2::Api")
    api = template.ids[logical_id]
    found = client.get_api(ApiId=api)
    template.attributes[f"{logical_id}.ApiEndpoint"] = found["ApiEndpoint"]
    for property in ("Name", "ProtocolType", "RouteSelectionExpression"):
        assert found[property] == wanted[property]

    integrations = client.get_integrations(ApiId=api)["Items"]
    by_uri = {one["IntegrationUri"]: one for one in integrations}
    for logical_id, wanted in template.of_type("AWS::ApiGatewayV2::Integration"):
        one = by_uri.pop(wanted["IntegrationUri"])
        assert one["IntegrationType"] == wanted["IntegrationType"]
        template.ids[logical_id] = one["IntegrationId"]
    assert not by_uri

    routes = {one["RouteKey"]: one for one in client.get_routes(ApiId=api)["Items"]}
    for _, wanted in template.of_type("AWS::ApiGatewayV2::Route"):
        one = routes.pop(wanted["RouteKey"])
        assert (one["Target"], one["AuthorizationType"]) == (wanted["Target"], wanted["AuthorizationType"])
    assert not routes

    (deployment,) = client.get_deployments(ApiId=api)["Items"]
    ((logical_id, _),) = template.of_type("AWS::ApiGatewayV2::Deployment")
    template.ids[logical_id] = deployment["DeploymentId"]
    (stage,) = client.get_stages(ApiId=api)["Items"]
    ((logical_id, wanted),) = template.of_type("AWS::ApiGatewayV2::Stage")
    assert (stage["StageName"], stage["DeploymentId"]) == (wanted["StageName"], wanted["DeploymentId"])
    assert stage["Tags"]["wschat:logical-id"] == logical_id
    template.ids[logical_id] = stage["StageName"]
