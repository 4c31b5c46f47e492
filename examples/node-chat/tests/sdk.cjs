// Stands in for the AWS SDK: keeps every command in `sent`, and answers some.
class Command {
  constructor(input) {
    this.input = input;
  }
}
class PutCommand extends Command {}
class DeleteCommand extends Command {}
class GetConnectionCommand extends Command {}
class PostToConnectionCommand extends Command {}

const sent = [];
let items = [];

class Client {
  constructor(options) {
    this.options = options;
  }
  async send(command) {
    sent.push({ name: command.constructor.name, input: command.input, endpoint: this.options?.endpoint });
    return { $metadata: {}, ConnectedAt: "2026-01-01T00:00:00.000Z" };
  }
}

exports.sent = sent;
exports.setItems = (found) => {
  items = found;
};
exports.PutCommand = PutCommand;
exports.DeleteCommand = DeleteCommand;
exports.GetConnectionCommand = GetConnectionCommand;
exports.PostToConnectionCommand = PostToConnectionCommand;
exports.DynamoDBClient = Client;
exports.ApiGatewayManagementApiClient = Client;
exports.DynamoDBDocumentClient = { from: (client) => client };
exports.paginateScan = async function* () {
  yield { Items: items };
};
