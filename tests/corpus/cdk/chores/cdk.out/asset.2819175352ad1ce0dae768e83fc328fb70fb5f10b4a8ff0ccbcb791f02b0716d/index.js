// Stands for the code of a custom resource of the CDK.
exports.handler = async () => {};
