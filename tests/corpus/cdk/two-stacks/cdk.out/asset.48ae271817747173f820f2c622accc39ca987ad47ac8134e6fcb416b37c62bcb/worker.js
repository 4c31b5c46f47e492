// What stands behind a socket: each record of a queue, topic, stream or bucket, or the tick of a schedule, goes to all connections.
const { broadcast } = require("./broadcast");

const text = (record) =>
  record.body ?? record.Sns?.Message ?? record.s3?.object.key ?? JSON.stringify(record.dynamodb?.NewImage ?? record);

exports.handler = async (event) => {
  for (const record of event.Records ?? [event]) await broadcast(text(record));
  return { batchItemFailures: [] };
};
