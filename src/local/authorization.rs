//! Whether a call to the local cloud is allowed.
//!
//! Every service says for each of its operations what permissions it needs (`wire::Service::needs`), after AWS's Service
//! Authorization Reference; `iam::Iam` holds them against the policies of the caller.

use super::wire::{ApiError, Request};
use crate::core::iam::need::Need;

/// Decides on calls.
pub trait Authorizer: Send + Sync {
    /// Decides on a call to `service` (its name behind the port) that needs all of `needs`.
    ///
    /// # Errors
    /// The service's refusal.
    fn authorize(&self, service: &str, request: &Request, needs: &[Need]) -> Result<(), ApiError>;
}
