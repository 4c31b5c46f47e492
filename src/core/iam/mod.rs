//! IAM's policy language, pure: what a policy document may say and how it is spelt. The deployer's types and the local cloud share it.

pub mod document;
pub mod grammar;
