"use strict";
// What runs a Node.js handler here: between Lambda's Runtime API and the function that _HANDLER names. What handlers
// and logs can see of it is as in AWS's own runtime (aws-lambda-nodejs-runtime-interface-client 3.3 is the measure).

const fs = require("fs");
const http = require("http");
const Module = require("module");
const net = require("net");
const path = require("path");
const { pathToFileURL } = require("url");
const util = require("util");

// nodejs24.x took callbacks away from handlers.
const CALLBACKS = process.env.AWS_EXECUTION_ENV !== "AWS_Lambda_nodejs24.x";

// --- The Runtime API ---

const [hostname, port] = process.env.AWS_LAMBDA_RUNTIME_API.split(":");
// Unused connections of such an agent do not keep the event loop from running empty.
const agent = new http.Agent({ keepAlive: true, maxSockets: 1 });

function call(method, what, body = "", headers = {}) {
  return new Promise((resolve, reject) => {
    const length = { "Content-Type": "application/json", "Content-Length": Buffer.byteLength(body) };
    const options = { hostname, port, method, agent, path: `/2018-06-01/runtime${what}` };
    const request = http.request({ ...options, headers: { ...length, ...headers } }, (response) => {
      const chunks = [];
      response.on("data", (chunk) => chunks.push(chunk));
      response.on("end", () => resolve({ headers: response.headers, body: Buffer.concat(chunks).toString() }));
      response.on("error", reject);
    });
    request.on("error", reject).end(body);
  });
}

function postError(what, error) {
  const document = described(error);
  // A header takes no line breaks and nothing beyond Latin 1.
  const type = String(document.errorType).replace(/[^\x20-\x7e]/g, "?");
  return call("POST", what, JSON.stringify(document), { "Lambda-Runtime-Function-Error-Type": type });
}

// --- Errors ---

function runtimeError(name, message, cause) {
  const error = new Error(message);
  error.name = `Runtime.${name}`;
  // Where it happened is of more use than where it was noticed.
  const where = cause && cause.stack ? cause.stack : error.stack.replace(/^.*\n?/, "");
  error.stack = `${error.name}: ${message}\n${where}`.trimEnd();
  return error;
}

// An error as Lambda answers it.
function described(error) {
  try {
    const like = error && ["name", "message", "stack"].every((part) => typeof error[part] === "string" && error[part]);
    if (util.types.isNativeError(error) || like) {
      return { errorType: error.name, errorMessage: error.message, trace: String(error.stack).split("\n") };
    }
    return { errorType: typeof error, errorMessage: error.toString(), trace: [] };
  } catch {
    const errorMessage = "the handler failed with something that cannot be shown";
    return { errorType: "handled", errorMessage, trace: [] };
  }
}

// --- Logs ---

const JSON_LOGS = process.env.AWS_LAMBDA_LOG_FORMAT === "JSON";
const LEVELS = ["TRACE", "DEBUG", "INFO", "WARN", "ERROR", "FATAL"];
const lowest = Math.max(LEVELS.indexOf((process.env.AWS_LAMBDA_LOG_LEVEL || "").toUpperCase()), 0);
const METHODS = { trace: "TRACE", debug: "DEBUG", info: "INFO", log: "INFO", warn: "WARN", error: "ERROR", fatal: "FATAL" };
let requestId;

function patchConsole() {
  for (const [method, level] of Object.entries(METHODS)) {
    const shown = LEVELS.indexOf(level) >= lowest;
    console[method] = shown ? (...message) => log(level, message) : () => {};
  }
}

function log(level, message) {
  const time = new Date().toISOString();
  const line = JSON_LOGS ? record(time, level, message) : `${time}\t${requestId}\t${level}\t${util.format(...message)}`;
  // One message is one event in the log, however many lines it has: the local cloud turns these back.
  process.stdout.write(line.replace(/\n/g, "\r") + "\n");
}

function record(timestamp, level, message) {
  const entry = { timestamp, level, requestId };
  if (message.length === 1) {
    try {
      return JSON.stringify({ ...entry, message: message[0] }, (_, value) => (value instanceof Error ? flat(value) : value));
    } catch {
      return JSON.stringify({ ...entry, message: util.format(message[0]) });
    }
  }
  const { errorType, errorMessage, stackTrace } = flat(message.find((part) => part instanceof Error) || {});
  return JSON.stringify({ ...entry, message: util.format(...message), errorType, errorMessage, stackTrace });
}

// An error as JSON logs show it.
function flat(error) {
  if (!(error instanceof Error)) return {};
  const name = error.name.startsWith("Runtime.") ? error.name : error.constructor.name;
  return { errorType: name, errorMessage: error.message, stackTrace: String(error.stack).split("\n"), ...error };
}

// Logs an error that nobody caught: "Invoke Error", "Uncaught Exception".
function logError(what, thrown) {
  const error = thrown instanceof Error ? thrown : new Error(thrown);
  if (JSON_LOGS) {
    console.error(error);
    return;
  }
  const visible = (_, value) => {
    if (!(value instanceof Error)) return value;
    const stack = typeof value.stack === "string" ? value.stack.split("\n") : undefined;
    return { errorType: value.name, errorMessage: value.message, code: value.code, ...value, stack };
  };
  let shown;
  try {
    shown = JSON.stringify(error, visible);
  } catch {
    shown = JSON.stringify(described(error));
  }
  console.error(what, `\t${shown}`);
}

// --- The handler ---

// Finds what _HANDLER names: `folder/file.export`, where the export may be nested.
async function load(root, handler) {
  if (handler.includes("..")) {
    throw runtimeError("MalformedHandlerName", `'${handler}' is not a valid handler name: it must not leave the code's folder.`);
  }
  const [, file, name] = /^([^.]*)\.(.*)$/.exec(path.basename(handler)) || [];
  if (file === undefined) throw runtimeError("MalformedHandlerName", "Bad handler");
  const exported = await loadModule(root, path.join(path.dirname(handler), file));
  const found = name.split(".").reduce((value, key) => value && value[key], exported);
  if (!found) throw runtimeError("HandlerNotFound", `${handler} is undefined or not exported`);
  if (typeof found !== "function") throw runtimeError("HandlerNotFound", `${handler} is not a function`);
  if (!CALLBACKS && found.length >= 3) {
    const message = `${handler} takes a callback, which nodejs24.x and later do not have: make it async`;
    throw runtimeError("CallbackHandlerDeprecated", message);
  }
  return found;
}

async function loadModule(root, name) {
  const base = path.resolve(root, name);
  try {
    if (fs.existsSync(base) && fs.statSync(base).isFile()) return require(base);
    if (fs.existsSync(`${base}.js`)) {
      return isModule(path.dirname(base)) ? await import(pathToFileURL(`${base}.js`)) : require(`${base}.js`);
    }
    if (fs.existsSync(`${base}.mjs`)) return await import(pathToFileURL(`${base}.mjs`));
    if (fs.existsSync(`${base}.cjs`)) return require(`${base}.cjs`);
    return require(require.resolve(path.basename(name), { paths: [root, path.dirname(base)] }));
  } catch (error) {
    if (error instanceof SyntaxError) throw runtimeError("UserCodeSyntaxError", String(error), error);
    const missing = error && ["MODULE_NOT_FOUND", "ERR_MODULE_NOT_FOUND"].includes(error.code);
    if (missing) throw runtimeError("ImportModuleError", String(error), error);
    throw error;
  }
}

// Whether the package.json that counts for a folder makes modules of its .js files.
function isModule(folder) {
  const file = path.join(folder, "package.json");
  if (path.basename(folder) === "node_modules") return false;
  if (fs.existsSync(file)) {
    try {
      return JSON.parse(fs.readFileSync(file)).type === "module";
    } catch {
      return false;
    }
  }
  const above = path.dirname(folder);
  return above !== folder && isModule(above);
}

// The folders around the local cloud's are a project's: what is installed there is not there in AWS.
function hideSurroundings() {
  const root = path.dirname(__dirname) + path.sep;
  const above = Module._nodeModulePaths;
  Module._nodeModulePaths = (from) => above(from).filter((folder) => !from.startsWith(root) || folder.startsWith(root));
}

// Leads connections to this cloud's APIs, by the names that these have on AWS, to where they are. The certificate that the
// server shows there is for the name.
function leadToApis([port, ...names]) {
  const ours = new Set(names);
  const led = (options) =>
    options && Number(options.port) === 443 && ours.has(String(options.host).toLowerCase())
      ? { ...options, host: "127.0.0.1", port: Number(port) }
      : options;
  const connect = net.Socket.prototype.connect;
  net.Socket.prototype.connect = function (...given) {
    const [first] = given;
    if (Array.isArray(first)) {
      first[0] = led(first[0]);
    } else if (first && typeof first === "object") {
      given[0] = led(first);
    } else if (Number(first) === 443 && typeof given[1] === "string") {
      const { host, port } = led({ port: first, host: given[1] });
      given.splice(0, 2, port, host);
    }
    return connect.apply(this, given);
  };
}

// Version 2 of the AWS SDK does not know AWS_ENDPOINT_URL. Its global configuration is given the endpoint as soon as it
// is loaded; a client that is made with an endpoint of its own keeps that.
function pointSdk2(endpoint) {
  // Whatever of the SDK is asked for, this comes first and makes the global configuration.
  const loader = path.join("node_modules", "aws-sdk", "lib", "node_loader.js");
  const loadFile = Module._extensions[".js"];
  Module._extensions[".js"] = function (module, filename) {
    loadFile.call(this, module, filename);
    if (filename.endsWith(loader)) module.require("./core").config.update({ endpoint });
  };
}

// --- Invocations ---

// What is done when nothing is left to do in the event loop.
let whenIdle = () => {};
// Where an error goes that nobody caught.
let failing = (error) => postError("/init/error", error);

// Runs one invocation; done when it is answered.
async function invoke(handler) {
  const { headers, body } = await call("GET", "/invocation/next");
  const header = (name) => headers[`lambda-runtime-${name}`];
  requestId = header("aws-request-id");
  process.env._X_AMZN_TRACE_ID = header("trace-id") || "";
  const target = `/invocation/${requestId}`;
  failing = (error) => postError(`${target}/error`, error);

  await new Promise((answered, lost) => {
    let done = false;
    let waits = true;
    const finish = (post) => {
      if (done) return;
      done = true;
      whenIdle = () => {};
      post().then(answered, lost);
    };
    const fail = (error) =>
      finish(() => {
        const reason = error === undefined || error === null ? "handled" : error;
        logError("Invoke Error", reason);
        return postError(`${target}/error`, reason);
      });
    const succeed = (result) => {
      let text;
      try {
        text = JSON.stringify(result === undefined ? null : result);
      } catch {
        return fail(new Error("Unable to stringify response body"));
      }
      // A function, say, is nothing in JSON.
      finish(() => call("POST", `${target}/response`, text === undefined ? "null" : text));
    };
    let called = false;
    const callback = (error, result) => {
      if (called) return;
      called = true;
      if (error !== undefined && error !== null) fail(error);
      else if (waits) whenIdle = () => succeed(result);
      else succeed(result);
    };
    const json = (name) => (header(name) === undefined ? undefined : JSON.parse(header(name)));
    // A handler that answers nothing has answered null.
    whenIdle = () => succeed(null);
    try {
      const context = {
        get callbackWaitsForEmptyEventLoop() {
          return waits;
        },
        set callbackWaitsForEmptyEventLoop(value) {
          waits = value;
        },
        ...(CALLBACKS && {
          succeed,
          fail,
          done: (error, result) => (error === undefined || error === null ? succeed(result) : fail(error)),
        }),
        functionVersion: process.env.AWS_LAMBDA_FUNCTION_VERSION,
        functionName: process.env.AWS_LAMBDA_FUNCTION_NAME,
        memoryLimitInMB: process.env.AWS_LAMBDA_FUNCTION_MEMORY_SIZE,
        logGroupName: process.env.AWS_LAMBDA_LOG_GROUP_NAME,
        logStreamName: process.env.AWS_LAMBDA_LOG_STREAM_NAME,
        clientContext: json("client-context"),
        identity: json("cognito-identity"),
        invokedFunctionArn: header("invoked-function-arn"),
        awsRequestId: requestId,
        getRemainingTimeInMillis: () => Number(header("deadline-ms")) - Date.now(),
      };
      const result = CALLBACKS ? handler(JSON.parse(body), context, callback) : handler(JSON.parse(body), context);
      if (result && typeof result.then === "function") result.then(succeed, fail);
    } catch (error) {
      fail(error);
    }
  });
}

// Reports an error that nobody caught, and ends: no more can be known of the state that the process is in.
function crash(what, error, status) {
  logError(what, error);
  const exit = () => process.exit(status);
  failing(error).then(exit, exit);
}

async function main() {
  patchConsole();
  process.on("beforeExit", () => whenIdle());
  process.on("uncaughtException", (error) => crash("Uncaught Exception", error, 129));
  process.on("unhandledRejection", (reason) => {
    const error = runtimeError("UnhandledPromiseRejection", String(reason), reason);
    crash("Unhandled Promise Rejection", Object.assign(error, { reason }), 128);
  });
  globalThis.awslambda = {
    streamifyResponse() {
      throw new Error("the local cloud does not stream responses");
    },
  };
  hideSurroundings();
  leadToApis((process.env._WSCHAT_APIS || "").split(" "));
  delete process.env._WSCHAT_APIS;
  // The SDK warns of an old Node.js. Where that is this machine's, the function would run with a newer one on AWS.
  const declared = /^AWS_Lambda_nodejs(\d+)\./.exec(process.env.AWS_EXECUTION_ENV || "");
  if (declared && parseInt(process.versions.node) < Number(declared[1])) {
    process.env.AWS_SDK_JS_NODE_VERSION_SUPPORT_WARNING_DISABLED ??= "true";
  }
  if (process.env.AWS_ENDPOINT_URL) pointSdk2(process.env.AWS_ENDPOINT_URL);
  let handler;
  try {
    handler = await load(process.env.LAMBDA_TASK_ROOT, process.env._HANDLER);
  } catch (error) {
    return crash("Uncaught Exception", error, 129);
  }
  for (;;) await invoke(handler);
}

main();
