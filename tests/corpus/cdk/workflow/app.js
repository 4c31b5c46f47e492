// Stands for: assets as parameters (the synthesizer of CDK 1, still in many repositories), L1 constructs, a state machine, mock route.
const { App, LegacyStackSynthesizer, Stack } = require("aws-cdk-lib");
const { CfnApi, CfnIntegration, CfnRoute, CfnStage } = require("aws-cdk-lib/aws-apigatewayv2");
const { Role, ServicePrincipal } = require("aws-cdk-lib/aws-iam");
const { Code, Function, Runtime } = require("aws-cdk-lib/aws-lambda");
const { DefinitionBody, StateMachine } = require("aws-cdk-lib/aws-stepfunctions");
const { LambdaInvoke } = require("aws-cdk-lib/aws-stepfunctions-tasks");

const app = new App();
const stack = new Stack(app, "Workflow", {
  description: "Stands for: assets as parameters, L1 constructs, a state machine behind a route.",
  synthesizer: new LegacyStackSynthesizer(),
});
const worker = new Function(stack, "Worker", {
  code: Code.fromAsset(process.env.HANDLERS),
  handler: "worker.handler",
  runtime: Runtime.NODEJS_22_X,
});
const machine = new StateMachine(stack, "Machine", {
  definitionBody: DefinitionBody.fromChainable(new LambdaInvoke(stack, "Work", { lambdaFunction: worker })),
});
const role = new Role(stack, "Role", { assumedBy: new ServicePrincipal("apigateway.amazonaws.com") });
machine.grantStartExecution(role);
const api = new CfnApi(stack, "Api", {
  name: "workflow",
  protocolType: "WEBSOCKET",
  routeSelectionExpression: "$request.body.action",
});
const route = (id, routeKey, properties) => {
  const integration = new CfnIntegration(stack, `${id}Integration`, { apiId: api.ref, ...properties });
  return new CfnRoute(stack, id, { apiId: api.ref, routeKey, target: `integrations/${integration.ref}` });
};
const start = route("Start", "start", {
  integrationType: "AWS",
  integrationMethod: "POST",
  integrationUri: `arn:aws:apigateway:${stack.region}:states:action/StartExecution`,
  credentialsArn: role.roleArn,
  templateSelectionExpression: "\\$default",
  requestTemplates: { $default: `{"input": "{}", "stateMachineArn": "${machine.stateMachineArn}"}` },
});
const mock = route("Connect", "$connect", {
  integrationType: "MOCK",
  templateSelectionExpression: "200",
  requestTemplates: { 200: '{"statusCode": 200}' },
});
const stage = new CfnStage(stack, "Stage", { apiId: api.ref, stageName: "live", autoDeploy: true });
[start, mock].forEach((it) => stage.addDependency(it));
