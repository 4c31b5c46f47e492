//! From a project to a stack that runs: what AWS has is read here, and what a plan says is carried out.

pub mod account;
pub mod deployment;
pub mod execute;
pub mod project;
pub mod read;
pub mod removal;
pub mod session;
