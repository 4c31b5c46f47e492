// Lets in who brings the token, in the query or in a header.
exports.handler = async (event) => {
  const token = event.queryStringParameters?.token ?? event.headers?.Authorization;
  const Effect = token && token === process.env.TOKEN ? "Allow" : "Deny";
  const Statement = [{ Action: "execute-api:Invoke", Effect, Resource: event.methodArn }];
  return { principalId: "user", policyDocument: { Version: "2012-10-17", Statement } };
};
