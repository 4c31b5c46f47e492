//! The background process of the local cloud: `process` finds, starts and stops it, `folder` is the data folder that it locks and
//! serves, `serve` is what it runs.

pub mod data_part;
pub mod error;
pub mod folder;
pub mod process;
pub mod serve;
