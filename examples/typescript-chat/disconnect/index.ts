// $disconnect: deletes the connection.
import { DynamoDBClient } from "@aws-sdk/client-dynamodb";
import { DeleteCommand, DynamoDBDocumentClient } from "@aws-sdk/lib-dynamodb";
import type { APIGatewayProxyResult, APIGatewayProxyWebsocketEventV2 } from "aws-lambda";

const table = DynamoDBDocumentClient.from(new DynamoDBClient({}));

export const handler = async (event: APIGatewayProxyWebsocketEventV2): Promise<Pick<APIGatewayProxyResult, "statusCode">> => {
  const Key = { connectionId: event.requestContext.connectionId };
  await table.send(new DeleteCommand({ TableName: process.env.table, Key }));
  return { statusCode: 200 };
};
