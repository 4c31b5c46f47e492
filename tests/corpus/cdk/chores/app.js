// Stands for: CDK's own custom resources: log retention, auto-delete objects, bucket notifications, a call of the SDK at deployment.
const { App, RemovalPolicy, Stack } = require("aws-cdk-lib");
const { WebSocketApi, WebSocketStage } = require("aws-cdk-lib/aws-apigatewayv2");
const { WebSocketLambdaIntegration } = require("aws-cdk-lib/aws-apigatewayv2-integrations");
const { Code, Function, Runtime } = require("aws-cdk-lib/aws-lambda");
const { RetentionDays } = require("aws-cdk-lib/aws-logs");
const { Bucket, EventType } = require("aws-cdk-lib/aws-s3");
const { LambdaDestination } = require("aws-cdk-lib/aws-s3-notifications");
const { AwsCustomResource, AwsCustomResourcePolicy, PhysicalResourceId } = require("aws-cdk-lib/custom-resources");

const app = new App();
const stack = new Stack(app, "Chores", { description: "Stands for: custom resources that CDK brings." });
const handler = (id, name) =>
  new Function(stack, id, {
    code: Code.fromAsset(process.env.HANDLERS),
    handler: name,
    runtime: Runtime.NODEJS_22_X,
    logRetention: RetentionDays.ONE_WEEK,
  });
const uploads = new Bucket(stack, "Uploads", { removalPolicy: RemovalPolicy.DESTROY, autoDeleteObjects: true });
uploads.addEventNotification(EventType.OBJECT_CREATED, new LambdaDestination(handler("Uploaded", "worker.handler")));
const integration = new WebSocketLambdaIntegration("Integration", handler("Socket", "chat.message"));
const api = new WebSocketApi(stack, "Api", { connectRouteOptions: { integration }, defaultRouteOptions: { integration } });
new WebSocketStage(stack, "Stage", { webSocketApi: api, stageName: "live", autoDeploy: true });
new AwsCustomResource(stack, "Announce", {
  onCreate: {
    service: "SSM",
    action: "putParameter",
    parameters: { Name: "/corpus/endpoint", Value: api.apiEndpoint, Type: "String" },
    physicalResourceId: PhysicalResourceId.of("announce"),
  },
  policy: AwsCustomResourcePolicy.fromSdkCalls({ resources: AwsCustomResourcePolicy.ANY_RESOURCE }),
  installLatestAwsSdk: false,
});
