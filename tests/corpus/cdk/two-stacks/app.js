// Stands for: an app of two stacks, where the socket's stack imports table and user pool from the data's, and has a domain name.
const { App, Stack } = require("aws-cdk-lib");
const { ApiMapping, DomainName, WebSocketApi, WebSocketStage } = require("aws-cdk-lib/aws-apigatewayv2");
const { WebSocketLambdaIntegration } = require("aws-cdk-lib/aws-apigatewayv2-integrations");
const { Certificate } = require("aws-cdk-lib/aws-certificatemanager");
const { UserPool } = require("aws-cdk-lib/aws-cognito");
const { AttributeType, Table } = require("aws-cdk-lib/aws-dynamodb");
const { Code, Function, Runtime } = require("aws-cdk-lib/aws-lambda");
const { LogGroup, RetentionDays } = require("aws-cdk-lib/aws-logs");

const app = new App();
const data = new Stack(app, "Data", { description: "Stands for: the stack of two that exports." });
const table = new Table(data, "Connections", { partitionKey: { name: "connectionId", type: AttributeType.STRING } });
const users = new UserPool(data, "People");
const stack = new Stack(app, "Socket", { description: "Stands for: the stack of two that imports." });
const socket = new Function(stack, "Handler", {
  code: Code.fromAsset(process.env.HANDLERS),
  handler: "chat.message",
  runtime: Runtime.NODEJS_22_X,
  environment: { TABLE_NAME: table.tableName, USER_POOL: users.userPoolId },
  logGroup: new LogGroup(stack, "Log", { retention: RetentionDays.ONE_WEEK }),
});
table.grantReadWriteData(socket);
const integration = new WebSocketLambdaIntegration("Integration", socket);
const webSocketApi = new WebSocketApi(stack, "Api", { connectRouteOptions: { integration }, defaultRouteOptions: { integration } });
const stage = new WebSocketStage(stack, "Stage", { webSocketApi, stageName: "live", autoDeploy: true });
stage.grantManagementApiAccess(socket);
const arn = "arn:aws:acm:us-east-1:123456789012:certificate/11111111-2222-3333-4444-555555555555";
const domainName = new DomainName(stack, "Domain", {
  domainName: "ws.example.com",
  certificate: Certificate.fromCertificateArn(stack, "Certificate", arn),
});
new ApiMapping(stack, "Mapping", { api: webSocketApi, domainName, stage });
