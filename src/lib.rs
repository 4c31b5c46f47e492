//! wschat: a SAM or CloudFormation template to a running serverless WebSocket stack, on AWS or on this machine.
//!
//! The way the data takes, and the module that takes each step (`template`, `stack`, `plan`, `types` lie in `core`):
//!
//! ```text
//! template text --template::parse--> Template --template::expand (SAM), stack::resolve--> Stack     (stack::load)
//! AWS           --deploy::read-----> Live
//! (Stack, Live) --plan::diff-------> Plan     --deploy::execute------------> events --> ui, outputs
//! ```
//!
//! `core` is pure: no I/O, no clock, no AWS. `deploy` is the pipeline as a library: `project` loads a template, `session` begins to
//! read AWS, `deployment` builds and reads, plans, carries out and undoes, `removal` removes. It reads AWS and writes it through
//! `aws::providers`, where one resource type is one file, and `aws::client`, where every call is made. `package` builds handler
//! code. `local` is the local cloud: the same AWS protocols, served on loopback. `cli` has one file a command, and what the user is
//! asked and shown between the steps of `deploy`. docs/architecture.md has the map.

pub mod aws;
pub mod cli;
pub mod core;
pub mod deploy;
pub mod local;
mod machine;
pub mod package;
pub mod timings;
pub mod ui;
pub mod websocket;
