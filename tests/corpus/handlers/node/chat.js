// The handlers of a socket, for the templates of the corpus that are written for Node.js.
const { DynamoDBClient } = require("@aws-sdk/client-dynamodb");
const { DynamoDBDocumentClient, DeleteCommand, PutCommand } = require("@aws-sdk/lib-dynamodb");
const { broadcast } = require("./broadcast");

const table = DynamoDBDocumentClient.from(new DynamoDBClient({}));
const TableName = process.env.TABLE_NAME;

exports.connect = async ({ requestContext }) => {
  await table.send(new PutCommand({ TableName, Item: { connectionId: requestContext.connectionId } }));
  return { statusCode: 200 };
};

exports.disconnect = async ({ requestContext }) => {
  await table.send(new DeleteCommand({ TableName, Key: { connectionId: requestContext.connectionId } }));
  return { statusCode: 200 };
};

// Many templates lead all routes to this one: a connection has no body.
exports.message = async (event) => {
  const { domainName, routeKey, stage } = event.requestContext;
  if (routeKey === "$connect") return exports.connect(event);
  if (routeKey === "$disconnect") return exports.disconnect(event);
  await broadcast(JSON.parse(event.body).text, `https://${domainName}/${stage}`);
  return { statusCode: 200, body: "sent" };
};
