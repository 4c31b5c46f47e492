// The benchmark's chat: the same code runs on wschat and on serverless-offline, which has another address.
import { ApiGatewayManagementApiClient, PostToConnectionCommand } from "@aws-sdk/client-apigatewaymanagementapi";
import { DynamoDBClient } from "@aws-sdk/client-dynamodb";
import { DeleteCommand, DynamoDBDocumentClient, PutCommand, ScanCommand } from "@aws-sdk/lib-dynamodb";

const table = DynamoDBDocumentClient.from(new DynamoDBClient({}));
const TableName = process.env.TABLE;
let gateway;

export const handler = async (event) => {
  const { connectionId, domainName, stage, eventType } = event.requestContext;
  if (eventType === "CONNECT") {
    await table.send(new PutCommand({ TableName, Item: { connectionId } }));
  } else if (eventType === "DISCONNECT") {
    await table.send(new DeleteCommand({ TableName, Key: { connectionId } }));
  } else {
    gateway ??= new ApiGatewayManagementApiClient({ endpoint: process.env.GATEWAY ?? `https://${domainName}/${stage}` });
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
