"""boto3 against what the local gateway has beside routes: models, integration responses, domain names."""

import json

import pytest
from botocore.exceptions import ClientError

from harness import REGION

CERTIFICATE = "arn:aws:acm:us-east-1:000000000000:certificate/one"


@pytest.fixture
def gateway(aws):
    return aws.client("apigatewayv2")


@pytest.fixture
def api(gateway, name):
    made = gateway.create_api(Name=name, ProtocolType="WEBSOCKET", RouteSelectionExpression="$request.body.action")
    yield made["ApiId"]
    gateway.delete_api(ApiId=made["ApiId"])


def refused(call, **arguments):
    """The code and the message of the service's refusal."""
    with pytest.raises(ClientError) as error:
        call(**arguments)
    return error.value.response["Error"]["Code"], error.value.response["Error"]["Message"]


def test_models(gateway, api):
    schema = json.dumps({"type": "object", "required": ["question"]})
    made = gateway.create_model(ApiId=api, Name="Question", Schema=schema, ContentType="application/json")
    model = made["ModelId"]
    assert (made["Name"], json.loads(made["Schema"])) == ("Question", json.loads(schema))
    assert refused(gateway.create_model, ApiId=api, Name="Question", Schema="{}")[0] == "ConflictException"
    assert refused(gateway.create_model, ApiId=api, Name="a-b", Schema="{}")[0] == "BadRequestException"
    gateway.update_model(ApiId=api, ModelId=model, Schema='{"type": "string"}', Description="asked")
    assert gateway.get_model(ApiId=api, ModelId=model)["Description"] == "asked"
    assert [one["ModelId"] for one in gateway.get_models(ApiId=api)["Items"]] == [model]

    route = gateway.create_route(
        ApiId=api,
        RouteKey="$connect",
        RequestModels={"$default": "Question"},
        RequestParameters={"route.request.querystring.a": {"Required": True}},
        AuthorizationType="AWS_IAM",
    )
    assert route["RequestParameters"] == {"route.request.querystring.a": {"Required": True}}
    gateway.delete_route_request_parameter(
        ApiId=api, RouteId=route["RouteId"], RequestParameterKey="route.request.querystring.a"
    )
    again = gateway.get_route(ApiId=api, RouteId=route["RouteId"])
    assert ("RequestParameters" not in again, again["RequestModels"]) == (True, {"$default": "Question"})
    assert again["AuthorizationType"] == "AWS_IAM"
    answer = gateway.create_route_response(
        ApiId=api,
        RouteId=route["RouteId"],
        RouteResponseKey="$default",
        ResponseModels={"$default": "Question"},
        ResponseParameters={"a": {"Required": True}},
    )
    assert (answer["ResponseModels"], answer["ResponseParameters"]) == (
        {"$default": "Question"},
        {"a": {"Required": True}},
    )
    gateway.delete_model(ApiId=api, ModelId=model)
    assert refused(gateway.get_model, ApiId=api, ModelId=model)[0] == "NotFoundException"


def test_integrations_of_every_type(gateway, api):
    http = gateway.create_integration(
        ApiId=api,
        IntegrationType="HTTP",
        IntegrationMethod="GET",
        IntegrationUri="https://example.com",
        ContentHandlingStrategy="CONVERT_TO_BINARY",
        PassthroughBehavior="WHEN_NO_TEMPLATES",
        RequestParameters={"integration.request.header.x-userid": "'value2'"},
        RequestTemplates={"application/json": ""},
        TemplateSelectionExpression="$request.body.name",
        TimeoutInMillis=28999,
    )
    assert http["IntegrationResponseSelectionExpression"] == "${integration.response.statuscode}"
    assert (http["ContentHandlingStrategy"], http["RequestTemplates"]) == ("CONVERT_TO_BINARY", {"application/json": ""})
    create = gateway.create_integration
    aws = "arn:aws:apigateway:us-east-1:sqs:action/SendMessage"
    role = "arn:aws:iam::000000000000:role/caller"
    assert create(ApiId=api, IntegrationType="AWS", IntegrationUri=aws, CredentialsArn=role)["CredentialsArn"] == role
    assert create(ApiId=api, IntegrationType="MOCK")["PassthroughBehavior"] == "WHEN_NO_MATCH"
    proxy = create(ApiId=api, IntegrationType="HTTP_PROXY", IntegrationMethod="ANY", IntegrationUri="http://example.com")
    assert proxy["ConnectionType"] == "INTERNET"
    wrong = refused(create, ApiId=api, IntegrationType="HTTP", IntegrationUri="example.com")
    assert wrong == ("BadRequestException", "Invalid HTTP endpoint specified for URI")

    of = {"ApiId": api, "IntegrationId": http["IntegrationId"]}
    made = gateway.create_integration_response(
        **of,
        IntegrationResponseKey="/2\\d{2}/",
        ContentHandlingStrategy="CONVERT_TO_TEXT",
        ResponseTemplates={"a": "1", "b": "2"},
        TemplateSelectionExpression="\\$default",
    )
    key = {**of, "IntegrationResponseId": made["IntegrationResponseId"]}
    changed = gateway.update_integration_response(**key, ResponseTemplates={"a": ""}, TemplateSelectionExpression="")
    assert (changed["ResponseTemplates"], "TemplateSelectionExpression" in changed) == ({"b": "2"}, False)
    assert gateway.get_integration_response(**key)["IntegrationResponseKey"] == "/2\\d{2}/"
    assert len(gateway.get_integration_responses(**of)["Items"]) == 1
    gateway.delete_integration_response(**key)
    assert refused(gateway.get_integration_response, **key)[0] == "NotFoundException"


def test_domain_names(aws, gateway, api, name):
    domain = f"{name}.example.com"
    integration = gateway.create_integration(
        ApiId=api, IntegrationType="MOCK", RequestTemplates={"$default": '{"statusCode": 200}'}
    )["IntegrationId"]
    gateway.create_route(ApiId=api, RouteKey="$connect", Target=f"integrations/{integration}")
    gateway.create_stage(ApiId=api, StageName="live", AutoDeploy=True)
    configuration = {"CertificateArn": CERTIFICATE, "EndpointType": "REGIONAL", "SecurityPolicy": "TLS_1_2"}
    made = gateway.create_domain_name(DomainName=domain, DomainNameConfigurations=[configuration], Tags={"team": "blue"})
    there = made["DomainNameConfigurations"][0]
    assert (there["DomainNameStatus"], made["ApiMappingSelectionExpression"]) == ("AVAILABLE", "$request.basepath")
    assert there["ApiGatewayDomainName"].startswith("d-") and there["HostedZoneId"].startswith("Z")
    try:
        arn = f"arn:aws:apigateway:{REGION}::/domainnames/{domain}"
        gateway.tag_resource(ResourceArn=arn, Tags={"crew": "red"})
        assert gateway.get_tags(ResourceArn=arn)["Tags"] == {"team": "blue", "crew": "red"}
        assert domain in [one["DomainName"] for one in gateway.get_domain_names()["Items"]]
        other = {**configuration, "CertificateArn": CERTIFICATE + "2"}
        changed = gateway.update_domain_name(DomainName=domain, DomainNameConfigurations=[other])
        assert changed["DomainNameConfigurations"][0]["ApiGatewayDomainName"] == there["ApiGatewayDomainName"]

        mapping = gateway.create_api_mapping(DomainName=domain, ApiId=api, Stage="live", ApiMappingKey="chat")
        assert refused(gateway.delete_api, ApiId=api)[0] == "BadRequestException"
        key = {"DomainName": domain, "ApiMappingId": mapping["ApiMappingId"]}
        gateway.update_api_mapping(**key, ApiId=api, ApiMappingKey="talk")
        assert gateway.get_api_mapping(**key)["ApiMappingKey"] == "talk"
        assert len(gateway.get_api_mappings(DomainName=domain)["Items"]) == 1
        gateway.delete_api_mapping(**key)
        assert gateway.get_api_mappings(DomainName=domain)["Items"] == []
    finally:
        gateway.delete_domain_name(DomainName=domain)
    assert refused(gateway.get_domain_name, DomainName=domain)[0] == "NotFoundException"
