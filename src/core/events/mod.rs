//! The languages of EventBridge: when a schedule is due (`schedule`, `cron`), which events a pattern matches (`pattern`), and what
//! of an event a target gets (`input`). Lambda's event source mappings filter with the same patterns.

pub mod cron;
pub mod input;
pub mod pattern;
pub mod schedule;
