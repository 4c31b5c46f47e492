// $connect: stores the connection.
import { DynamoDBClient } from "@aws-sdk/client-dynamodb";
import { DynamoDBDocumentClient, PutCommand } from "@aws-sdk/lib-dynamodb";
import type { APIGatewayProxyResult, APIGatewayProxyWebsocketEventV2 } from "aws-lambda";

const table = DynamoDBDocumentClient.from(new DynamoDBClient({}));

export const handler = async (event: APIGatewayProxyWebsocketEventV2): Promise<Pick<APIGatewayProxyResult, "statusCode">> => {
  try {
    const Item = { connectionId: event.requestContext.connectionId };
    await table.send(new PutCommand({ TableName: process.env.table, Item }));
  } catch (error) {
    console.error("not written down", error);
    return { statusCode: 500 };
  }
  return { statusCode: 200 };
};
