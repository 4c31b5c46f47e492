// The handler of a socket that answers each frame with itself.
interface Frame {
  body?: string;
}

export const handler = async ({ body }: Frame) => ({ statusCode: 200, body: body ?? "" });
