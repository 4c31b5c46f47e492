//! Whether a call to the local cloud is allowed.
//!
//! The row of an operation says what permissions it needs (`protocol::service::Permissions`), after AWS's Service
//! Authorization Reference; `iam::Iam` checks them against the policies of the caller.

use super::wire::{ApiError, Request};
use crate::core::iam::need::Need;

/// Decides on calls.
pub trait Authorizer: Send + Sync {
    /// Decides on a call to `service` that needs all of `needs`.
    ///
    /// # Errors
    /// The service's refusal.
    fn authorize(&self, service: &str, request: &Request, needs: &[Need]) -> Result<(), ApiError>;
}
