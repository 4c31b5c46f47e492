// The benchmarks' chat. The same file runs on wschat and on its rivals: GATEWAY is the address of @connections where it is not that of the
// event, with API in it for the id of the API.
const { ApiGatewayManagementApiClient, PostToConnectionCommand } = require("@aws-sdk/client-apigatewaymanagementapi");
const { DynamoDBClient } = require("@aws-sdk/client-dynamodb");
const { DeleteCommand, DynamoDBDocumentClient, PutCommand, ScanCommand } = require("@aws-sdk/lib-dynamodb");

const table = DynamoDBDocumentClient.from(new DynamoDBClient({}));
const TableName = process.env.TABLE;
let gateway;

exports.handler = async (event) => {
  const { apiId, connectionId, domainName, stage, eventType } = event.requestContext;
  if (eventType === "CONNECT") {
    await table.send(new PutCommand({ TableName, Item: { connectionId } }));
  } else if (eventType === "DISCONNECT") {
    await table.send(new DeleteCommand({ TableName, Key: { connectionId } }));
  } else {
    const endpoint = process.env.GATEWAY?.replace("API", apiId) || `https://${domainName}/${stage}`;
    gateway ??= new ApiGatewayManagementApiClient({ endpoint });
    const { Items } = await table.send(new ScanCommand({ TableName }));
    const others = Items.filter((item) => item.connectionId !== connectionId);
    await Promise.all(
      others.map((item) =>
        gateway.send(new PostToConnectionCommand({ ConnectionId: item.connectionId, Data: JSON.parse(event.body).message })),
      ),
    );
  }
  return { statusCode: 200 };
};
