//! Who has signed a request: the one place where signatures are held against the keys of this cloud. Calls, handshakes, requests of APIs
//! and addresses of S3 are verified here.

use time::OffsetDateTime;

use super::ports::Callers;
use crate::local::protocol::signature::{Signed, Wrong};

/// Why a request does not prove who has sent it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Unverified {
    /// It has no signature, or only a part of one.
    Unsigned,
    /// It is signed with this access key, which is none of the cloud's.
    UnknownKey(String),
    /// It is signed with the key of a role's session, without the token of the session.
    NoToken,
    Wrong(Wrong),
}

/// Verifies the signature of a request; gives the access key that it is signed with.
///
/// # Errors
/// Why it does not count.
pub fn verify(callers: &dyn Callers, signed: &Signed<'_>) -> Result<String, Unverified> {
    let signature = signed.signature().ok_or(Unverified::Unsigned)?;
    let access_key = &signature.scope.access_key;
    let secret = callers.secret(access_key).ok_or_else(|| Unverified::UnknownKey(access_key.clone()))?;
    if let Some(token) = callers.session_token(access_key)
        && signed.session_token() != Some(&token)
    {
        return Err(Unverified::NoToken);
    }
    signed.check(&signature, &secret, OffsetDateTime::now_utc()).map_err(Unverified::Wrong)?;
    Ok(signature.scope.access_key)
}
