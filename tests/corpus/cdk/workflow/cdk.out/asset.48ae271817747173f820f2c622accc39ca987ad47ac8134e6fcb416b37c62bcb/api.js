// A REST or HTTP API beside a socket: what is posted goes to all connections.
const { broadcast } = require("./broadcast");

exports.handler = async (event) => {
  if (event.body) await broadcast(event.body);
  return { statusCode: 202, headers: { "Content-Type": "application/json" }, body: JSON.stringify({ accepted: true }) };
};
