//! Everything that can be worked out without I/O, without a clock and without AWS: from a template's text to a plan. Tested as
//! tables, snapshots and properties. `.ci/walls` holds it to that.

pub mod eject;
pub mod events;
pub mod iam;
pub mod lint;
pub mod logs;
pub mod plan;
pub mod policy;
pub mod schemas;
pub mod stack;
pub mod template;
pub mod types;
pub mod websocket;
pub mod words;
