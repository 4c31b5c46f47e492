// $default: answers other messages with a hint and the connection's info.
import {
  ApiGatewayManagementApiClient,
  GetConnectionCommand,
  PostToConnectionCommand,
} from "@aws-sdk/client-apigatewaymanagementapi";
import type { APIGatewayProxyResult, APIGatewayProxyWebsocketEventV2 } from "aws-lambda";

export const handler = async (event: APIGatewayProxyWebsocketEventV2): Promise<Pick<APIGatewayProxyResult, "statusCode">> => {
  const { connectionId, domainName, stage } = event.requestContext;
  const gateway = new ApiGatewayManagementApiClient({ endpoint: `https://${domainName}/${stage}` });
  const { $metadata, ...info } = await gateway.send(new GetConnectionCommand({ ConnectionId: connectionId }));
  const text = `Use the sendmessage route to send a message. Your info:${JSON.stringify({ ...info, connectionID: connectionId })}`;
  await gateway.send(new PostToConnectionCommand({ ConnectionId: connectionId, Data: text }));
  return { statusCode: 200 };
};
