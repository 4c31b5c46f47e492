// The module with which the function of a custom resource answers, where its code is inline: CloudFormation puts one of this
// name and interface beside it. (AWS CloudFormation user guide, "cfn-response module")
"use strict";

const http = require("http");
const https = require("https");

exports.SUCCESS = "SUCCESS";
exports.FAILED = "FAILED";

// Sends the answer; what it returns is settled when that has arrived.
exports.send = (event, context, status, data, physicalResourceId, noEcho, reason) => {
  const body = JSON.stringify({
    Status: status,
    Reason: reason || `The log stream ${context.logStreamName} has the details`,
    PhysicalResourceId: physicalResourceId || context.logStreamName,
    StackId: event.StackId,
    RequestId: event.RequestId,
    LogicalResourceId: event.LogicalResourceId,
    NoEcho: noEcho || false,
    Data: data,
  });
  const headers = { "content-type": "", "content-length": Buffer.byteLength(body) };
  // A handler with a callback ends here; runtimes from Node.js 24 on have no such function.
  const done = () => {
    if (typeof context.done === "function") context.done();
  };
  const client = event.ResponseURL.startsWith("http:") ? http : https;
  return new Promise((resolve) => {
    const request = client.request(event.ResponseURL, { method: "PUT", headers }, (response) => {
      console.log(`The answer to CloudFormation was taken with HTTP status ${response.statusCode}`);
      response.resume();
      resolve();
      done();
    });
    request.on("error", (error) => {
      console.log(`The answer to CloudFormation could not be sent: ${error.message}`);
      resolve();
      done();
    });
    request.end(body);
  });
};
