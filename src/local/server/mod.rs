//! The server: from a socket to a service, and back.
//!
//! `listeners` accepts connections, `http` reads requests, which `admission` checks first (pages that may call are in
//! `origins`); `router` finds the service, applies the conditions, checks the caller (`access`), and writes the `call_log`.
//! `cloud` opens the services, `tls` makes the certificates.

pub mod access;
mod admission;
mod body;
pub mod call_log;
pub mod cloud;
pub mod control;
pub mod http;
pub mod listeners;
pub mod origins;
pub mod router;
pub mod tls;
