//! The server: from a socket to a service, and back.
//!
//! `http` reads requests, which `admission` checks first; `router` finds the service, applies the conditions, checks the caller
//! (`access`), and writes the `call_log`. `cloud` opens the services, `tls` makes the certificates.

pub mod access;
mod admission;
pub mod call_log;
pub mod cloud;
pub mod control;
pub mod http;
pub mod router;
pub mod tls;
