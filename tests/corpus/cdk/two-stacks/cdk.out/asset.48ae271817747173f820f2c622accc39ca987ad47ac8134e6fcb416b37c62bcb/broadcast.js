// Sends a text to all connections of the table.
const { ApiGatewayManagementApiClient, PostToConnectionCommand } = require("@aws-sdk/client-apigatewaymanagementapi");
const { DynamoDBClient } = require("@aws-sdk/client-dynamodb");
const { DynamoDBDocumentClient, ScanCommand } = require("@aws-sdk/lib-dynamodb");

const table = DynamoDBDocumentClient.from(new DynamoDBClient({}));

exports.broadcast = async (text, endpoint = process.env.ENDPOINT) => {
  const api = new ApiGatewayManagementApiClient({ endpoint });
  const { Items } = await table.send(new ScanCommand({ TableName: process.env.TABLE_NAME }));
  const posts = Items.map(({ connectionId }) =>
    api.send(new PostToConnectionCommand({ ConnectionId: connectionId, Data: Buffer.from(String(text)) })));
  await Promise.allSettled(posts);
};
