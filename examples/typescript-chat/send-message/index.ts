// sendmessage: sends a message to all connections except its sender's.
import { ApiGatewayManagementApiClient, PostToConnectionCommand } from "@aws-sdk/client-apigatewaymanagementapi";
import { DynamoDBClient } from "@aws-sdk/client-dynamodb";
import { DynamoDBDocumentClient, paginateScan } from "@aws-sdk/lib-dynamodb";
import type { APIGatewayProxyResult, APIGatewayProxyWebsocketEventV2 } from "aws-lambda";

const table = DynamoDBDocumentClient.from(new DynamoDBClient({}));

export const handler = async (event: APIGatewayProxyWebsocketEventV2): Promise<Pick<APIGatewayProxyResult, "statusCode">> => {
  const { connectionId, domainName, stage } = event.requestContext;
  const gateway = new ApiGatewayManagementApiClient({ endpoint: `https://${domainName}/${stage}` });
  const { message } = JSON.parse(event.body ?? "{}") as { message: string };

  const posts: Promise<void>[] = [];
  for await (const page of paginateScan({ client: table }, { TableName: process.env.table })) {
    for (const { connectionId: other } of page.Items ?? []) {
      if (other !== connectionId) posts.push(post(gateway, other, message));
    }
  }
  await Promise.all(posts);
  return { statusCode: 200 };
};

// A connection that has just closed must not stop the delivery to the others.
async function post(gateway: ApiGatewayManagementApiClient, ConnectionId: string, Data: string): Promise<void> {
  try {
    await gateway.send(new PostToConnectionCommand({ ConnectionId, Data }));
  } catch (error) {
    console.warn(`${ConnectionId} was not reached`, error);
  }
}
