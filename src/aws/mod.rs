//! AWS: the client that makes every call, the providers that read and write each resource type, and CloudFormation's stacks.

pub mod change_sets;
pub mod client;
pub mod cloudformation;
pub mod providers;
