//! From a project to a stack that runs, as a library that prints nothing and asks nothing: what AWS has is read here, what a plan
//! says is carried out, and what failed is undone.

pub mod account;
pub mod adopt;
pub mod assembly;
pub mod code;
pub mod deployment;
pub mod eject;
pub mod execute;
pub mod exports;
pub mod fetch;
pub mod logs;
pub mod lookups;
pub mod marking;
pub mod names;
pub mod project;
pub mod read;
pub mod removal;
pub mod session;
pub mod watch;
