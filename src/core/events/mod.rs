//! The languages of EventBridge: which events a pattern matches (`pattern`). Lambda's event source mappings filter with the same
//! patterns, and SNS's subscriptions with nearly the same.

pub mod pattern;
