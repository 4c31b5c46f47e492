//! Policy documents, as IAM reads and refuses them.

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};

use crate::core::iam::grammar::{self, Purpose};
use crate::local::protocol::wire::ApiError;

/// RFC 3986: what stands for itself in a document that is sent in an answer.
const RESERVED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'_').remove(b'.').remove(b'~');

/// A document as IAM puts it into answers.
pub fn encoded(document: &str) -> String {
    utf8_percent_encode(document, RESERVED).to_string()
}

/// Checks a document as IAM does before it keeps it.
///
/// # Errors
/// `MalformedPolicyDocument` (400).
pub fn check(document: &str, purpose: Purpose) -> Result<(), ApiError> {
    let refused = |words: String| ApiError::new(400, "MalformedPolicyDocument", words);
    grammar::refusal(document, purpose).map_or(Ok(()), |words| Err(refused(words)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn documents_travel_percent_encoded() {
        assert_eq!(encoded(r#"{"A": "b-_.~"}"#), "%7B%22A%22%3A%20%22b-_.~%22%7D");
    }
}
