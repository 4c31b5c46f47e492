// Stands for: what `cdk init` and the L2 constructs of WebSocket APIs make: Lambda integrations, authorizer, table, grants.
const { App, CfnOutput, RemovalPolicy, Stack } = require("aws-cdk-lib");
const { WebSocketApi, WebSocketStage } = require("aws-cdk-lib/aws-apigatewayv2");
const { WebSocketLambdaAuthorizer } = require("aws-cdk-lib/aws-apigatewayv2-authorizers");
const { WebSocketLambdaIntegration } = require("aws-cdk-lib/aws-apigatewayv2-integrations");
const { AttributeType, BillingMode, Table } = require("aws-cdk-lib/aws-dynamodb");
const { Code, Function, Runtime } = require("aws-cdk-lib/aws-lambda");

const app = new App();
const stack = new Stack(app, "Chat", { description: "Stands for: L2 constructs, one function a route, authorizer, table." });
const table = new Table(stack, "Connections", {
  partitionKey: { name: "connectionId", type: AttributeType.STRING },
  billingMode: BillingMode.PAY_PER_REQUEST,
  removalPolicy: RemovalPolicy.DESTROY,
});
const handler = (id, name, environment = { TABLE_NAME: table.tableName }) =>
  new Function(stack, id, { code: Code.fromAsset(process.env.HANDLERS), handler: name, runtime: Runtime.NODEJS_22_X, environment });
const [connect, disconnect, message] = ["connect", "disconnect", "message"].map((name) => handler(name, `chat.${name}`));
[connect, disconnect, message].forEach((it) => table.grantReadWriteData(it));
const api = new WebSocketApi(stack, "Api", {
  connectRouteOptions: {
    integration: new WebSocketLambdaIntegration("Connect", connect),
    authorizer: new WebSocketLambdaAuthorizer("Authorizer", handler("authorizer", "authorizer.handler", { TOKEN: "corpus" }), {
      identitySource: ["route.request.querystring.token"],
    }),
  },
  disconnectRouteOptions: { integration: new WebSocketLambdaIntegration("Disconnect", disconnect) },
});
api.addRoute("send", { integration: new WebSocketLambdaIntegration("Send", message) });
const stage = new WebSocketStage(stack, "Stage", { webSocketApi: api, stageName: "live", autoDeploy: true });
api.grantManageConnections(message);
new CfnOutput(stack, "Url", { value: stage.url });
