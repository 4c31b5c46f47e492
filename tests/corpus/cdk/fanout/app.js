// Stands for: workers behind the socket in CDK: queue, table stream, topic and schedule as event sources, alarm, dead letters.
const { App, Duration, Stack } = require("aws-cdk-lib");
const { WebSocketApi, WebSocketStage } = require("aws-cdk-lib/aws-apigatewayv2");
const { WebSocketLambdaIntegration } = require("aws-cdk-lib/aws-apigatewayv2-integrations");
const { AttributeType, StreamViewType, TableV2 } = require("aws-cdk-lib/aws-dynamodb");
const { Rule, Schedule } = require("aws-cdk-lib/aws-events");
const { LambdaFunction } = require("aws-cdk-lib/aws-events-targets");
const { Code, Function, Runtime, StartingPosition, Tracing } = require("aws-cdk-lib/aws-lambda");
const { DynamoEventSource, SqsEventSource } = require("aws-cdk-lib/aws-lambda-event-sources");
const { Topic } = require("aws-cdk-lib/aws-sns");
const { SqsSubscription } = require("aws-cdk-lib/aws-sns-subscriptions");
const { Queue } = require("aws-cdk-lib/aws-sqs");

const app = new App();
const stack = new Stack(app, "Fanout", { description: "Stands for: event sources behind a socket." });
const table = new TableV2(stack, "Cards", {
  partitionKey: { name: "connectionId", type: AttributeType.STRING },
  dynamoStream: StreamViewType.NEW_IMAGE,
});
const queue = new Queue(stack, "Inbox", { deadLetterQueue: { queue: new Queue(stack, "Dead"), maxReceiveCount: 3 } });
new Topic(stack, "News").addSubscription(new SqsSubscription(queue));
const handler = (id, name) =>
  new Function(stack, id, {
    code: Code.fromAsset(process.env.HANDLERS),
    handler: name,
    runtime: Runtime.NODEJS_22_X,
    timeout: Duration.seconds(20),
    tracing: Tracing.ACTIVE,
    environment: { TABLE_NAME: table.tableName },
  });
const socket = handler("Socket", "chat.message");
const worker = handler("Worker", "worker.handler");
worker.addEventSource(new SqsEventSource(queue, { batchSize: 5, reportBatchItemFailures: true }));
worker.addEventSource(new DynamoEventSource(table, { startingPosition: StartingPosition.LATEST, retryAttempts: 2 }));
new Rule(stack, "Beat", { schedule: Schedule.rate(Duration.minutes(5)), targets: [new LambdaFunction(worker)] });
worker.metricErrors().createAlarm(stack, "Errors", { threshold: 1, evaluationPeriods: 1 });
const integration = new WebSocketLambdaIntegration("Integration", socket);
const api = new WebSocketApi(stack, "Api", { connectRouteOptions: { integration }, defaultRouteOptions: { integration } });
const stage = new WebSocketStage(stack, "Stage", { webSocketApi: api, stageName: "live", autoDeploy: true });
stage.grantManagementApiAccess(worker);
[socket, worker].forEach((it) => table.grantReadWriteData(it));
queue.grantSendMessages(socket);
worker.addEnvironment("ENDPOINT", stage.callbackUrl);
