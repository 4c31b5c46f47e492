use serde_json::json;

use super::*;

/// The problems in `properties`: path, sentence and advice.
fn said(type_name: &str, properties: &Value) -> Vec<(String, String, String)> {
    let problems = check(type_name, properties).into_iter().map(|refusal| refusal.problem);
    problems.map(|problem| (problem.path.to_string(), problem.what, problem.help.unwrap_or_default())).collect()
}

fn authorizer(source: &str) -> Value {
    json!({
        "ApiId": "a", "Name": "n", "AuthorizerType": "REQUEST", "IdentitySource": [source],
        "AuthorizerUri": "arn:aws:apigateway:eu-west-1:lambda:path/2015-03-31/functions/f/invocations",
    })
}

fn keyed(key: &Value) -> Value {
    json!({
        "BillingMode": "PAY_PER_REQUEST", "KeySchema": key,
        "AttributeDefinitions": [{ "AttributeName": "a", "AttributeType": "S" }, { "AttributeName": "b", "AttributeType": "S" }],
    })
}

#[test]
fn every_line_of_the_table_is_read_whole() {
    let kinds = crate::core::types::kinds();
    let lines = TABLE.lines().filter(|line| !line.starts_with('#')).count();
    assert_eq!(BY_TYPE.values().map(Vec::len).sum::<usize>(), lines);
    for (type_name, constraints) in BY_TYPE.iter() {
        assert!(kinds.iter().any(|kind| kind.type_name() == *type_name), "{type_name}");
        for constraint in constraints {
            let demands = constraint.required
                || constraint.least.is_some()
                || constraint.most.is_some()
                || !constraint.one_of.is_empty()
                || constraint.pattern.is_some();
            assert!(demands, "{type_name}: {constraint:?}");
            if let Some(pattern) = &constraint.pattern {
                assert!(pattern.compiled().is_some(), "{type_name}: {}", pattern.text);
                assert!(pattern.never.is_none() || pattern.compiled().is_some_and(|(_, never)| never.is_some()));
            }
        }
    }
}

/// A value that AWS refuses, the problem, and a value that AWS accepts.
struct Case {
    type_name: &'static str,
    refused: Value,
    path: &'static str,
    what: &'static str,
    taken: Value,
}

fn case(type_name: &'static str, refused: Value, path: &'static str, what: &'static str, taken: Value) -> Case {
    Case { type_name, refused, path, what, taken }
}

/// A table that is complete except for `more`.
fn table(more: &Value) -> Value {
    let mut table = json!({
        "BillingMode": "PAY_PER_REQUEST",
        "AttributeDefinitions": [{ "AttributeName": "id", "AttributeType": "S" }],
        "KeySchema": [{ "AttributeName": "id", "KeyType": "HASH" }],
    });
    for (name, value) in more.as_object().into_iter().flatten() {
        table[name] = value.clone();
    }
    table
}

fn function(more: &Value) -> Value {
    let mut function = json!({ "Role": "arn:aws:iam::123456789012:role/r", "Handler": "index.handler" });
    for (name, value) in more.as_object().into_iter().flatten() {
        function[name] = value.clone();
    }
    function
}

fn index(name: &str) -> Value {
    json!({ "IndexName": name, "KeySchema": [{ "AttributeName": "id", "KeyType": "HASH" }],
        "Projection": { "ProjectionType": "ALL" } })
}

fn tags(count: usize) -> Value {
    (0..count).map(|number| json!({ "Key": format!("key{number}"), "Value": "" })).collect()
}

#[test]
fn every_constraint_finds_its_violation_and_nothing_else() {
    const API: &str = "AWS::ApiGatewayV2::Api";
    const STAGE: &str = "AWS::ApiGatewayV2::Stage";
    const INTEGRATION: &str = "AWS::ApiGatewayV2::Integration";
    const TABLE: &str = "AWS::DynamoDB::Table";
    const ROLE: &str = "AWS::IAM::Role";
    const FUNCTION: &str = "AWS::Lambda::Function";
    const ALIAS: &str = "AWS::Lambda::Alias";
    const LOGS: &str = "AWS::Logs::LogGroup";
    let named = |name: &str| json!({ "Name": name, "ProtocolType": "WEBSOCKET" });
    let stage = |name: &str| json!({ "ApiId": "a", "StageName": name });
    let variables = |all: &Value| json!({ "ApiId": "a", "StageName": "s", "StageVariables": all });
    let integration = |more: (&str, Value)| json!({ "ApiId": "a", "IntegrationType": "MOCK", more.0: more.1 });
    let alias = |name: &str| json!({ "FunctionName": "f", "FunctionVersion": "1", "Name": name });
    let name_64 = "n".repeat(64);
    let token = Token::text("Api", "Ref");
    let cases = [
        case(API, named(""), "Name", "Name must not be empty", named("a")),
        case(
            API,
            named(&"n".repeat(129)),
            "Name",
            "Name may have 128 characters at most, not 129",
            named(&"n".repeat(128)),
        ),
        case(STAGE, stage("li ve"), "StageName", "StageName cannot be \"li ve\"", stage("li-ve_1")),
        case(STAGE, stage("$default"), "StageName", "StageName cannot be \"$default\"", stage("default")),
        case(
            STAGE,
            variables(&json!({ "my-color": "x" })),
            "StageVariables/my-color",
            "a name in StageVariables cannot be \"my-color\"",
            variables(&json!({ "my_color": "x?a=b" })),
        ),
        case(
            STAGE,
            variables(&json!({ "color": "sky blue" })),
            "StageVariables/color",
            "color cannot be \"sky blue\"",
            variables(&json!({ "color": token.clone() + " blue" })),
        ),
        case(
            INTEGRATION,
            integration(("TimeoutInMillis", json!(30000))),
            "TimeoutInMillis",
            "TimeoutInMillis must be from 50 to 29000, not 30000",
            integration(("TimeoutInMillis", json!("29000"))),
        ),
        case(
            INTEGRATION,
            integration(("PassthroughBehavior", json!("WHEN_NO_TEMPLATE"))),
            "PassthroughBehavior",
            "PassthroughBehavior cannot be \"WHEN_NO_TEMPLATE\"",
            integration(("PassthroughBehavior", json!("NEVER"))),
        ),
        case(
            TABLE,
            table(&json!({ "TableName": "ab" })),
            "TableName",
            "TableName must have 3 characters at least, not 2",
            table(&json!({ "TableName": "abc" })),
        ),
        case(
            TABLE,
            table(&json!({ "TableName": "my table" })),
            "TableName",
            "TableName cannot be \"my table\"",
            table(&json!({ "TableName": "my.table-1_" })),
        ),
        case(
            TABLE,
            table(&json!({ "GlobalSecondaryIndexes": [index("by id")] })),
            "GlobalSecondaryIndexes/0/IndexName",
            "IndexName cannot be \"by id\"",
            table(&json!({ "GlobalSecondaryIndexes": [index("by-id")] })),
        ),
        case(
            TABLE,
            table(&json!({ "Tags": [{ "Key": "k".repeat(129), "Value": "" }] })),
            "Tags/0/Key",
            "the key of a tag may have 128 characters at most, not 129",
            table(&json!({ "Tags": [{ "Key": "k".repeat(128), "Value": "" }] })),
        ),
        case(
            ROLE,
            json!({ "RoleName": name_64.clone() + "n" }),
            "RoleName",
            "RoleName may have 64 characters at most, not 65",
            json!({ "RoleName": name_64 }),
        ),
        case(
            ROLE,
            json!({ "RoleName": name_64.clone() + &token + "n" }),
            "RoleName",
            "RoleName may have 64 characters at most, not at least 65",
            json!({ "RoleName": name_64.clone() + &token }),
        ),
        case(
            ROLE,
            json!({ "RoleName": "a role" }),
            "RoleName",
            "RoleName cannot be \"a role\"",
            json!({ "RoleName": "a_role+=,.@-" }),
        ),
        case(ROLE, json!({ "Path": "team" }), "Path", "Path cannot be \"team\"", json!({ "Path": "/team/" })),
        case(
            ROLE,
            json!({ "Tags": [{ "Key": "a!", "Value": "" }] }),
            "Tags/0/Key",
            "the key of a tag cannot be \"a!\"",
            json!({ "Tags": [{ "Key": "größe 1", "Value": "a:/=+-@" }] }),
        ),
        case(
            ROLE,
            json!({ "MaxSessionDuration": 60 }),
            "MaxSessionDuration",
            "MaxSessionDuration must be from 3600 to 43200, not 60",
            json!({ "MaxSessionDuration": 3600 }),
        ),
        case(
            ROLE,
            json!({ "Policies": [{ "PolicyName": "a b" }] }),
            "Policies/0/PolicyName",
            "PolicyName cannot be \"a b\"",
            json!({ "Policies": [{ "PolicyName": "a-b" }] }),
        ),
        case(
            FUNCTION,
            function(&json!({ "Timeout": 901 })),
            "Timeout",
            "Timeout must be from 1 to 900, not 901",
            function(&json!({ "Timeout": 900 })),
        ),
        case(
            FUNCTION,
            function(&json!({ "Timeout": 0 })),
            "Timeout",
            "Timeout must be from 1 to 900, not 0",
            function(&json!({ "Timeout": "1" })),
        ),
        case(
            FUNCTION,
            function(&json!({ "FunctionName": "my function" })),
            "FunctionName",
            "FunctionName cannot be \"my function\"",
            function(&json!({ "FunctionName": "my-function_1" })),
        ),
        case(
            FUNCTION,
            function(&json!({ "EphemeralStorage": { "Size": 10241 } })),
            "EphemeralStorage/Size",
            "Size must be from 512 to 10240, not 10241",
            function(&json!({ "EphemeralStorage": { "Size": 10240 } })),
        ),
        case(
            FUNCTION,
            function(&json!({ "EphemeralStorage": {} })),
            "EphemeralStorage",
            "missing property \"Size\" of EphemeralStorage",
            function(&json!({ "EphemeralStorage": { "Size": 512 } })),
        ),
        case(
            FUNCTION,
            function(&json!({ "Layers": vec!["arn:aws:lambda:eu-west-1:123456789012:layer:l:1"; 6] })),
            "Layers",
            "Layers may have 5 elements at most, not 6",
            function(&json!({ "Layers": vec!["arn:aws:lambda:eu-west-1:123456789012:layer:l:1"; 5] })),
        ),
        case(
            FUNCTION,
            function(&json!({ "Layers": ["arn:aws:lambda:eu-west-1:123456789012:layer:l"] })),
            "Layers/0",
            "element 1 of Layers cannot be \"arn:aws:lambda:eu-west-1:123456789012:layer:l\"",
            function(&json!({ "Layers": [token] })),
        ),
        case(
            FUNCTION,
            function(&json!({ "Runtime": "nodejs21.x" })),
            "Runtime",
            "Lambda has no runtime \"nodejs21.x\"",
            function(&json!({ "Runtime": "java25" })),
        ),
        case(
            FUNCTION,
            function(&json!({ "LoggingConfig": { "SystemLogLevel": "ERROR" } })),
            "LoggingConfig/SystemLogLevel",
            "SystemLogLevel cannot be \"ERROR\"",
            function(&json!({ "LoggingConfig": { "LogFormat": "JSON", "SystemLogLevel": "WARN" } })),
        ),
        case(
            FUNCTION,
            json!({ "Role": "arn:aws:iam::12:role/r" }),
            "Role",
            "Role cannot be \"arn:aws:iam::12:role/r\"",
            function(&json!({})),
        ),
        case(ALIAS, alias("12"), "Name", "Name cannot be \"12\"", alias("v12")),
        case(
            LOGS,
            json!({ "LogGroupName": "my logs" }),
            "LogGroupName",
            "LogGroupName cannot be \"my logs\"",
            json!({ "LogGroupName": "/my/logs#1" }),
        ),
        case(
            LOGS,
            json!({ "RetentionInDays": 10 }),
            "RetentionInDays",
            "RetentionInDays cannot be 10",
            json!({ "RetentionInDays": "14" }),
        ),
        case(
            "AWS::Lambda::Permission",
            json!({ "FunctionName": "f", "Action": "InvokeFunction", "Principal": "*" }),
            "Action",
            "Action cannot be \"InvokeFunction\"",
            json!({ "FunctionName": "f", "Action": "lambda:InvokeFunction", "Principal": "*" }),
        ),
        // Constraints from documentation.
        case(
            FUNCTION,
            function(&json!({ "Environment": { "Variables": { "AWS_REGION": "x" } } })),
            "Environment/Variables/AWS_REGION",
            "the variable AWS_REGION cannot be set: it is reserved for Lambda itself",
            function(&json!({ "Environment": { "Variables": { "LANG": "en", "AWS_LAMBDA_EXEC_WRAPPER": "/opt/w" } } })),
        ),
        case(
            FUNCTION,
            function(&json!({ "Environment": { "Variables": { "_HANDLER": "x" } } })),
            "Environment/Variables/_HANDLER",
            "the variable _HANDLER cannot be set: it is reserved for Lambda itself",
            function(&json!({ "Environment": { "Variables": { "HANDLER": "x" } } })),
        ),
        case(
            FUNCTION,
            function(&json!({ "Environment": { "Variables": { "my-var": "x" } } })),
            "Environment/Variables/my-var",
            "a name in Variables cannot be \"my-var\"",
            function(&json!({ "Environment": { "Variables": { "my_var": "" } } })),
        ),
        case(
            FUNCTION,
            // With the name and the JSON around it, this has 4097 bytes, one too many.
            function(&json!({ "Environment": { "Variables": { "LONG": "x".repeat(4086) } } })),
            "Environment/Variables",
            "all variables together may take 4096 bytes as JSON, not 4097",
            function(&json!({ "Environment": { "Variables": { "LONG": "x".repeat(4085) } } })),
        ),
        case(
            TABLE,
            table(&json!({ "Tags": [{ "Key": "aws:team", "Value": "a" }] })),
            "Tags/0/Key",
            "the tag \"aws:team\" cannot be set: aws: is for AWS's own",
            table(&json!({ "Tags": [{ "Key": "team:aws:", "Value": "a" }] })),
        ),
        case(
            API,
            json!({ "Name": "a", "ProtocolType": "WEBSOCKET", "Tags": { "AWS:team": "a" } }),
            "Tags/AWS:team",
            "the tag \"AWS:team\" cannot be set: aws: is for AWS's own",
            json!({ "Name": "a", "ProtocolType": "WEBSOCKET", "Tags": { "team": "" } }),
        ),
        case(
            TABLE,
            table(&json!({ "Tags": [{ "Key": "a", "Value": "1" }, { "Key": "a", "Value": "2" }] })),
            "Tags/1/Key",
            "element 1 has the Key \"a\" already",
            table(&json!({ "Tags": [{ "Key": "a", "Value": "1" }, { "Key": "A", "Value": "1" }] })),
        ),
        case(
            TABLE,
            table(&json!({ "Tags": tags(46) })),
            "Tags",
            "Tags may have 45 elements at most, not 46",
            table(&json!({ "Tags": tags(45) })),
        ),
        case(
            TABLE,
            table(&json!({ "BillingMode": "PROVISIONED" })),
            "",
            "the table needs a ProvisionedThroughput, because the table's BillingMode is PROVISIONED",
            table(&json!({ "BillingMode": "PROVISIONED",
                "ProvisionedThroughput": { "ReadCapacityUnits": 1, "WriteCapacityUnits": 1 } })),
        ),
        case(
            TABLE,
            table(&json!({ "ProvisionedThroughput": { "ReadCapacityUnits": 1, "WriteCapacityUnits": 1 } })),
            "ProvisionedThroughput",
            "a table that is billed by the request takes no ProvisionedThroughput",
            table(&json!({})),
        ),
        case(
            TABLE,
            table(&json!({ "TimeToLiveSpecification": { "Enabled": true } })),
            "TimeToLiveSpecification",
            "missing property \"AttributeName\" of TimeToLiveSpecification",
            table(&json!({ "TimeToLiveSpecification": { "Enabled": false } })),
        ),
        case(
            TABLE,
            table(&json!({ "GlobalSecondaryIndexes": [index("one"), index("one")] })),
            "GlobalSecondaryIndexes/1/IndexName",
            "another index has the name \"one\" already",
            table(&json!({ "GlobalSecondaryIndexes": [index("one"), index("two")] })),
        ),
        case(
            TABLE,
            table(&json!({ "KeySchema": [{ "AttributeName": "id", "KeyType": "RANGE" }] })),
            "KeySchema/0/KeyType",
            "the first attribute of a key must be its HASH attribute",
            table(&json!({})),
        ),
        case(
            ROLE,
            json!({ "ManagedPolicyArns": ["arn:aws:iam::aws:policy/AWSLambdaBasicExecutionRole"] }),
            "ManagedPolicyArns/0",
            "there is no managed policy arn:aws:iam::aws:policy/AWSLambdaBasicExecutionRole",
            json!({ "ManagedPolicyArns": ["arn:aws:iam::aws:policy/service-role/AWSLambdaBasicExecutionRole"] }),
        ),
        case(
            ROLE,
            json!({ "PermissionsBoundary": "arn:aws:iam::aws:policy/aws-service-role/APIGatewayServiceRolePolicy" }),
            "PermissionsBoundary",
            "arn:aws:iam::aws:policy/aws-service-role/APIGatewayServiceRolePolicy can be attached to service-linked roles only",
            json!({ "PermissionsBoundary": "arn:aws:iam::aws:policy/PowerUserAccess" }),
        ),
        case(
            ROLE,
            json!({ "Policies": [{ "PolicyName": "a" }, { "PolicyName": "a" }] }),
            "Policies/1/PolicyName",
            "element 1 has the PolicyName \"a\" already",
            json!({ "Policies": [{ "PolicyName": "a" }, { "PolicyName": "b" }] }),
        ),
        case(
            INTEGRATION,
            integration(("IntegrationUri", json!("arn:aws:lambda:us-east-1:123456789012:function:f"))),
            "IntegrationUri",
            "a MOCK integration calls nothing, and takes no IntegrationUri",
            integration(("IntegrationUri", json!(""))),
        ),
        case(
            INTEGRATION,
            json!({ "ApiId": "a", "IntegrationType": "AWS_PROXY" }),
            "",
            "an AWS_PROXY integration needs an IntegrationUri",
            json!({ "ApiId": "a", "IntegrationType": "AWS_PROXY", "IntegrationUri": "u" }),
        ),
        case(
            INTEGRATION,
            json!({ "ApiId": "a", "IntegrationType": "HTTP" }),
            "",
            "an HTTP integration needs an IntegrationUri",
            json!({ "ApiId": "a", "IntegrationType": "HTTP", "IntegrationUri": "https://example.com" }),
        ),
        case(
            INTEGRATION,
            json!({ "ApiId": "a", "IntegrationType": "HTTP_PROXY", "IntegrationUri": "example.com" }),
            "IntegrationUri",
            "\"example.com\" is not an HTTP endpoint",
            json!({ "ApiId": "a", "IntegrationType": "HTTP_PROXY", "IntegrationUri": "http://example.com" }),
        ),
        case(
            INTEGRATION,
            integration(("ConnectionType", json!("VPC_LINK"))),
            "ConnectionType",
            "an integration with the connection type VPC_LINK needs a ConnectionId",
            integration(("ConnectionType", json!("INTERNET"))),
        ),
        case(
            "AWS::ApiGatewayV2::Route",
            json!({ "ApiId": "a", "RouteKey": "say", "RequestParameters": { "route.request.header.x": { "Required": true } } }),
            "RequestParameters",
            "the route say cannot have request parameters: only $connect can",
            json!({ "ApiId": "a", "RouteKey": "$connect", "RequestParameters": { "route.request.header.x": { "Required": true } } }),
        ),
        case(
            "AWS::ApiGatewayV2::ApiMapping",
            json!({ "ApiId": "a", "DomainName": "d", "Stage": "s", "ApiMappingKey": "a/b" }),
            "ApiMappingKey",
            "\"a/b\" cannot be a mapping's key: it has letters, digits and $-_.+!*'(), alone",
            json!({ "ApiId": "a", "DomainName": "d", "Stage": "s", "ApiMappingKey": "a-b" }),
        ),
        case(
            "AWS::ApiGatewayV2::Model",
            json!({ "ApiId": "a", "Name": "a-b", "Schema": {} }),
            "Name",
            "Name cannot be \"a-b\"",
            json!({ "ApiId": "a", "Name": "ab", "Schema": {} }),
        ),
        case(
            "AWS::ApiGatewayV2::Route",
            json!({ "ApiId": "a", "RouteKey": "say", "AuthorizationType": "AWS_IAM" }),
            "AuthorizationType",
            "the route say cannot have the authorization AWS_IAM: only $connect can",
            json!({ "ApiId": "a", "RouteKey": "$connect", "AuthorizationType": "AWS_IAM" }),
        ),
        case(
            "AWS::ApiGatewayV2::Route",
            json!({ "ApiId": "a", "RouteKey": "$connect", "AuthorizationType": "CUSTOM" }),
            "AuthorizationType",
            "a route with the authorization CUSTOM needs an AuthorizerId",
            json!({ "ApiId": "a", "RouteKey": "$connect", "AuthorizationType": "CUSTOM", "AuthorizerId": "x" }),
        ),
        case(
            "AWS::ApiGatewayV2::RouteResponse",
            json!({ "ApiId": "a", "RouteId": "r", "RouteResponseKey": "default" }),
            "RouteResponseKey",
            "RouteResponseKey cannot be \"default\"",
            json!({ "ApiId": "a", "RouteId": "r", "RouteResponseKey": "$default" }),
        ),
        case(
            STAGE,
            json!({ "ApiId": "a", "StageName": "s", "AccessLogSettings": { "Format": "$context.requestIdentity" } }),
            "AccessLogSettings/Format",
            "the format of access logs must have $context.requestId or $context.extendedRequestId in it",
            json!({ "ApiId": "a", "StageName": "s", "AccessLogSettings": { "Format": "$context.status $context.requestId" } }),
        ),
        case(
            "AWS::ApiGatewayV2::Stage",
            json!({ "ApiId": "a", "StageName": "s", "DefaultRouteSettings": { "ThrottlingBurstLimit": -1 } }),
            "DefaultRouteSettings/ThrottlingBurstLimit",
            "ThrottlingBurstLimit cannot be below 0",
            json!({ "ApiId": "a", "StageName": "s", "DefaultRouteSettings": { "ThrottlingBurstLimit": 1 } }),
        ),
        case(
            "AWS::Lambda::Function",
            function(&json!({ "LoggingConfig": { "ApplicationLogLevel": "DEBUG" } })),
            "LoggingConfig/ApplicationLogLevel",
            "ApplicationLogLevel is for logs in JSON alone",
            function(&json!({ "LoggingConfig": { "LogFormat": "JSON", "ApplicationLogLevel": "DEBUG" } })),
        ),
        case(
            "AWS::Lambda::Permission",
            json!({ "FunctionName": "f", "Action": "lambda:InvokeFunction", "Principal": "apigateway" }),
            "Principal",
            "\"apigateway\" is not a principal",
            json!({ "FunctionName": "f", "Action": "lambda:InvokeFunction", "Principal": "apigateway.amazonaws.com" }),
        ),
        case(
            "AWS::ApiGatewayV2::Authorizer",
            authorizer("$request.header.Authorization"),
            "IdentitySource/0",
            "\"$request.header.Authorization\" cannot be an identity source of a WebSocket API",
            authorizer("route.request.header.Authorization"),
        ),
        case(
            "AWS::DynamoDB::Table",
            keyed(&json!([{ "AttributeName": "a", "KeyType": "HASH" }, { "AttributeName": "b", "KeyType": "HASH" }])),
            "KeySchema/1/KeyType",
            "the second attribute of a key must be its RANGE attribute",
            keyed(&json!([{ "AttributeName": "a", "KeyType": "HASH" }, { "AttributeName": "b", "KeyType": "RANGE" }])),
        ),
        case(
            "AWS::DynamoDB::Table",
            keyed(&json!([{ "AttributeName": "a", "KeyType": "HASH" }, { "AttributeName": "a", "KeyType": "RANGE" }])),
            "KeySchema/1/AttributeName",
            "\"a\" is in this key twice",
            keyed(&json!([{ "AttributeName": "a", "KeyType": "HASH" }, { "AttributeName": "b", "KeyType": "RANGE" }])),
        ),
    ];
    for Case { type_name, refused, path, what, taken } in cases {
        let found = said(type_name, &refused);
        let [(at, said_of_it, _)] = found.as_slice() else { panic!("{type_name} {refused}: {found:#?}") };
        assert_eq!((at.as_str(), said_of_it.as_str()), (path, what), "{type_name}");
        assert_eq!(said(type_name, &taken), [], "{type_name} {taken}");
    }
}

#[test]
fn advice_says_what_is_allowed() {
    for (type_name, properties, help) in [
        ("AWS::Lambda::Function", function(&json!({ "FunctionName": "a b" })), "allowed: letters, digits and - _"),
        (
            "AWS::Lambda::Function",
            function(&json!({ "TracingConfig": { "Mode": "Activ" } })),
            "did you mean \"Active\"?",
        ),
        (
            "AWS::Lambda::Function",
            function(&json!({ "Environment": { "Variables": { "1": "" } } })),
            "allowed: a letter, then letters, digits and _; two characters at least",
        ),
        (
            "AWS::Lambda::Alias",
            json!({ "FunctionName": "f", "FunctionVersion": "1", "Name": "1" }),
            "allowed: letters, digits and - _, not digits alone",
        ),
        (
            "AWS::DynamoDB::Table",
            table(&json!({ "TableClass": "CHEAP" })),
            "allowed: STANDARD, STANDARD_INFREQUENT_ACCESS",
        ),
    ] {
        let found = said(type_name, &properties);
        assert_eq!(found.first().map(|(.., said)| said.as_str()), Some(help), "{properties}");
    }
}
