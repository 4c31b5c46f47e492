//! References to functions: a name, a partial ARN or an ARN, each with or without a qualifier.

use super::error;
use crate::local::context::{ACCOUNT, CloudContext};
use crate::local::protocol::service::ServiceCall;
use crate::local::protocol::wire::ApiError;

/// The qualifier of the mutable version.
pub const LATEST: &str = "$LATEST";

/// The pattern that Lambda quotes when it refuses a name.
const PATTERN: &str = r"Member must satisfy regular expression pattern: (arn:(aws[a-zA-Z-]*)?:lambda:)?((eusc-)?[a-z]{2}((-gov)|(-iso([a-z]?)))?-[a-z]+-\d{1}:)?(\d{12}:)?(function:)?([a-zA-Z0-9-_\.]+)(:(\$LATEST(\.PUBLISHED)?|[a-zA-Z0-9-_]+))?";

/// The pattern of a qualifier.
const QUALIFIER: &str = r"Member must satisfy regular expression pattern: \$(LATEST(\.PUBLISHED)?)|[a-zA-Z0-9-_$]+";

/// The longest name or ARN of a function, in bytes (service model; some operations accept longer ones).
pub const MAX_LENGTH: usize = 140;

/// One function of one region.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct FunctionId {
    pub region: String,
    pub name: String,
}

impl FunctionId {
    /// The function that the path of a call names.
    ///
    /// # Errors
    /// As [`Reference::of`], and where the caller named a version or an alias.
    pub fn of(call: &ServiceCall) -> Result<Self, ApiError> {
        Reference::of(call)?.unqualified()
    }

    /// The unqualified ARN.
    pub fn arn(&self) -> String {
        CloudContext::arn("lambda", &self.region, &format!("function:{}", self.name))
    }

    /// The ARN of one version or alias.
    pub fn qualified_arn(&self, qualifier: &str) -> String {
        format!("{}:{qualifier}", self.arn())
    }
}

/// A function with an optional version or alias, as a caller named them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reference {
    pub id: FunctionId,
    /// A version number, `$LATEST` or an alias; `None` where the caller gave none.
    pub qualifier: Option<String>,
}

impl Reference {
    /// Parses the name in a request to `region`, and the separate qualifier.
    ///
    /// # Errors
    /// `ValidationException` for an invalid name; `InvalidParameterValueException` where two qualifiers differ;
    /// `ResourceNotFoundException` for a function of another region or account.
    pub fn read(text: &str, qualifier: Option<&str>, region: &str) -> Result<Self, ApiError> {
        let mut reference = Self::parse(text, region)
            .ok_or_else(|| error::validation(&[error::constraint(text, "functionName", PATTERN)]))?;
        if text.len() > MAX_LENGTH {
            let rule = format!("Member must have length less than or equal to {MAX_LENGTH}");
            return Err(error::validation(&[error::constraint(text, "functionName", &rule)]));
        }
        let is_qualifier = |given: &str| {
            !given.is_empty()
                && (given == "$LATEST.PUBLISHED"
                    || given.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_$".contains(&byte)))
        };
        if let Some(given) = qualifier.filter(|given| !is_qualifier(given)) {
            return Err(error::validation(&[error::constraint(given, "qualifier", QUALIFIER)]));
        }
        if reference.id.region != region {
            let message =
                format!("Functions from '{}' are not reachable in this region ('{region}')", reference.id.region);
            return Err(error::not_found(message));
        }
        match (&reference.qualifier, qualifier) {
            (Some(derived), Some(given)) if derived != given => {
                return Err(error::invalid(
                    "The derived qualifier from the function name does not match the specified qualifier.",
                ));
            }
            (None, Some(given)) => reference.qualifier = Some(given.to_owned()),
            _ => {}
        }
        Ok(reference)
    }

    /// The function, version or alias that the path of a call names.
    ///
    /// # Errors
    /// Lambda's refusals of a name, and of one in another region.
    pub fn of(call: &ServiceCall) -> Result<Self, ApiError> {
        Self::read(call.id(0), call.request.query("Qualifier"), call.region())
    }

    /// Parses a full ARN of any region; `None` where it is not of a function of this account.
    pub fn from_arn(arn: &str) -> Option<Self> {
        let region = arn.strip_prefix("arn:")?.split(':').nth(2)?;
        Self::parse(arn, region)
    }

    /// The ARN with the caller's qualifier, for messages.
    pub fn arn(&self) -> String {
        match &self.qualifier {
            Some(qualifier) => self.id.qualified_arn(qualifier),
            None => self.id.arn(),
        }
    }

    /// The function without a qualifier.
    ///
    /// # Errors
    /// `InvalidParameterValueException` where the caller named a version or an alias.
    pub fn unqualified(self) -> Result<FunctionId, ApiError> {
        match self.qualifier {
            Some(qualifier) if qualifier != LATEST => Err(error::invalid(
                "This operation is permitted on Lambda functions only. Aliases and versions do not support this \
                 operation. Please specify either a function name or an unqualified function ARN.",
            )),
            _ => Ok(self.id),
        }
    }

    fn parse(text: &str, region: &str) -> Option<Self> {
        let mut parts: Vec<&str> = text.split(':').collect();
        let mut home = region;
        if parts.first() == Some(&"arn") {
            if parts.len() < 7 || parts[2] != "lambda" || parts[5] != "function" {
                return None;
            }
            home = parts[3];
            parts.drain(..3);
        }
        if let Some(at) = parts.iter().position(|part| *part == "function").filter(|at| at + 1 < parts.len()) {
            let owner = parts[..at].last().copied();
            if at > 2 || owner.is_some_and(|account| account != ACCOUNT) {
                return None;
            }
            parts.drain(..=at);
        }
        let (name, qualifier) = match parts[..] {
            [name] => (name, None),
            [name, qualifier] => (name, Some(qualifier)),
            _ => return None,
        };
        let plain = |text: &str| {
            !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_')
        };
        if !plain(name) || !qualifier.is_none_or(|text| text == LATEST || plain(text)) {
            return None;
        }
        let id = FunctionId { region: home.to_owned(), name: name.to_owned() };
        Some(Self { id, qualifier: qualifier.map(str::to_owned) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_form_of_a_name_is_read() {
        for (text, qualifier) in [
            ("chat", None),
            ("chat:live", Some("live")),
            ("chat:$LATEST", Some("$LATEST")),
            ("000000000000:function:chat", None),
            ("function:chat:7", Some("7")),
            ("arn:aws:lambda:eu-west-1:000000000000:function:chat", None),
            ("arn:aws:lambda:eu-west-1:000000000000:function:chat:7", Some("7")),
        ] {
            let reference = Reference::read(text, None, "eu-west-1").unwrap();
            assert_eq!(reference.id.arn(), "arn:aws:lambda:eu-west-1:000000000000:function:chat", "{text}");
            assert_eq!(reference.qualifier.as_deref(), qualifier, "{text}");
        }
    }

    #[test]
    fn invalid_names_are_refused() {
        for (text, qualifier, code) in [
            ("", None, "ValidationException"),
            ("my chat", None, "ValidationException"),
            ("chat:a:b", None, "ValidationException"),
            ("arn:aws:s3:::chat", None, "ValidationException"),
            ("999999999999:function:chat", None, "ValidationException"),
            ("arn:aws:lambda:us-east-1:000000000000:function:chat", None, "ResourceNotFoundException"),
            ("chat:1", Some("2"), "InvalidParameterValueException"),
        ] {
            let refusal = Reference::read(text, qualifier, "eu-west-1").unwrap_err();
            assert_eq!(refusal.code, code, "{text}");
        }
    }
}
