//! The error of the handlers.

use std::error::Error as StdError;
use std::fmt;

use lambda_runtime::Diagnostic;

/// A failed operation and its cause.
pub struct Error {
    doing: String,
    cause: Box<dyn StdError + Send + Sync>,
}

impl Error {
    /// `doing` completes "failed to ..."; `cause` is AWS's answer or another error.
    pub fn new(doing: impl Into<String>, cause: impl Into<Box<dyn StdError + Send + Sync>>) -> Self {
        Self { doing: doing.into(), cause: cause.into() }
    }
}

impl fmt::Display for Error {
    /// One line with all causes: the SDK's outermost error only says "service error".
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "failed to {}", self.doing)?;
        let mut cause: Option<&dyn StdError> = Some(&*self.cause);
        while let Some(error) = cause {
            write!(f, ": {error}")?;
            cause = error.source();
        }
        Ok(())
    }
}

/// As `Display`, because the log shows this when `main` ends with an error.
impl fmt::Debug for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl StdError for Error {}

impl From<Error> for Diagnostic {
    fn from(error: Error) -> Self {
        Self { error_type: "ChatError".to_owned(), error_message: error.to_string() }
    }
}

#[cfg(test)]
mod tests {
    use std::io;

    use super::*;

    #[test]
    fn an_error_tells_all_its_causes_on_one_line() {
        let refused = io::Error::new(io::ErrorKind::ConnectionRefused, "connection refused");
        let error = Error::new("list the connections", Error::new("send the request", refused));
        assert_eq!(error.to_string(), "failed to list the connections: failed to send the request: connection refused");
        assert_eq!(format!("{error:?}"), error.to_string());
    }
}
