// Calls the handlers as Lambda does, with a stand-in for the AWS SDK. Run: node --test
import assert from "node:assert/strict";
import { existsSync } from "node:fs";
import Module, { createRequire, register } from "node:module";
import { beforeEach, test } from "node:test";

const require = createRequire(import.meta.url);
const sdk = require("./sdk.cjs");

// For require() ...
const resolve = Module._resolveFilename;
Module._resolveFilename = (name, ...rest) =>
  name.startsWith("@aws-sdk/") ? require.resolve("./sdk.cjs") : resolve(name, ...rest);
// ... and for import.
const hook = `export const resolve = (name, context, next) => name.startsWith("@aws-sdk/")
  ? { url: ${JSON.stringify(new URL("./sdk.cjs", import.meta.url).href)}, shortCircuit: true } : next(name, context);`;
register(`data:text/javascript,${encodeURIComponent(hook)}`);

process.env.table = "connections";

// Where the handlers are: beside this folder, or where a build has put them.
const folder = new URL(`${process.env.HANDLERS ?? ".."}/`, import.meta.url);

async function call(name, body) {
  const files = ["index.js", "index.mjs"].map((file) => new URL(`${name}/${file}`, folder));
  const module = await import(files.find((file) => existsSync(file)));
  const handler = module.handler ?? module.default.handler;
  return handler({
    requestContext: { connectionId: "me", domainName: "chat.example", stage: "production" },
    body: body && JSON.stringify(body),
  });
}

beforeEach(() => {
  sdk.sent.length = 0;
});

test("connect stores the connection", async () => {
  assert.deepEqual(await call("connect"), { statusCode: 200 });
  assert.deepEqual(sdk.sent.map(({ name, input }) => [name, input]), [
    ["PutCommand", { TableName: "connections", Item: { connectionId: "me" } }],
  ]);
});

test("disconnect deletes the connection", async () => {
  assert.deepEqual(await call("disconnect"), { statusCode: 200 });
  assert.deepEqual(sdk.sent[0].input, { TableName: "connections", Key: { connectionId: "me" } });
});

test("a message goes to all connections except its sender's", async () => {
  sdk.setItems([{ connectionId: "me" }, { connectionId: "you" }, { connectionId: "them" }]);
  assert.deepEqual(await call("send-message", { action: "sendmessage", message: "hello" }), { statusCode: 200 });
  assert.deepEqual(sdk.sent.map(({ input }) => [input.ConnectionId, input.Data]), [
    ["you", "hello"],
    ["them", "hello"],
  ]);
  assert.equal(sdk.sent[0].endpoint, "https://chat.example/production");
});

test("another message is answered with a hint", async () => {
  assert.deepEqual(await call("default", { action: "other" }), { statusCode: 200 });
  const [, post] = sdk.sent;
  assert.equal(post.input.ConnectionId, "me");
  assert.match(post.input.Data, /^Use the sendmessage route to send a message\. Your info:\{.*"connectionID":"me"\}$/);
});
