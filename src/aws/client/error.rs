//! Failed calls to AWS, sorted by what the caller can do next.

use std::error::Error;
use std::fmt;
use std::time::Duration;

use aws_credential_types::provider::error::CredentialsError;
use aws_smithy_runtime_api::client::orchestrator::HttpResponse;
use aws_smithy_runtime_api::client::result::SdkError;
use aws_smithy_types::error::metadata::{ErrorMetadata, ProvideErrorMetadata};

use super::chain::chain;
use super::network::{Unreached, never_connected};

/// A call that did not succeed.
#[derive(Debug, Clone)]
pub struct CallError {
    /// `lambda.CreateFunction`.
    pub operation: String,
    pub meaning: Meaning,
    /// AWS's error code; empty where no answer came.
    pub code: String,
    pub message: String,
    pub request_id: Option<String>,
    /// How long AWS asks to wait before the next try.
    pub retry_after: Option<Duration>,
    /// The endpoint that could not be reached; nothing was sent then.
    pub unreached: Option<Box<Unreached>>,
    /// Whether AWS had accepted the call: it failed afterwards, and may have had a part of its effect.
    pub is_late: bool,
}

/// What a failed call means for what to do next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Meaning {
    /// Too many calls: nothing happened; retry later.
    Throttled,
    /// Another change to the same resource is in progress, or as many as there may be: nothing happened; retry soon.
    Busy,
    /// No resource has that name or id.
    NotFound,
    /// A resource already has that name.
    Exists,
    /// The credentials lack a permission, or there are none.
    Denied,
    /// No answer, or one that says nothing (5xx): the call may or may not have taken effect.
    Unknown,
    /// The endpoint could not be reached: nothing happened.
    Unreachable,
    /// AWS rejects the request; retrying does not help.
    Refused,
}

impl CallError {
    /// Sorts an SDK error of `service.operation`.
    pub fn of<E>(service: &str, operation: &str, error: &SdkError<E, HttpResponse>) -> Self
    where
        E: ProvideErrorMetadata + Error + 'static,
    {
        let status = error.raw_response().map(|response| response.status().as_u16());
        let header = |name: &str| Some(error.raw_response()?.headers().get(name)?.to_owned());
        let (code, message) = match error.as_service_error() {
            Some(refusal) => (
                refusal.code().unwrap_or_default().to_owned(),
                refusal.message().map_or_else(|| refusal.to_string(), str::to_owned),
            ),
            None => (String::new(), chain(error)),
        };
        let unreached = find::<Unreached>(error).cloned();
        let credentials = find::<CredentialsError>(error);
        // The cause of the credentials' failure says more than "failed to load".
        let cause = credentials.map(|error| match (find::<ErrorMetadata>(error), error.source()) {
            (Some(refusal), _) => {
                format!("{}: {}", refusal.code().unwrap_or_default(), refusal.message().unwrap_or_default())
            }
            (None, Some(source)) => {
                find::<CredentialsError>(source).and_then(|error| error.source()).map_or_else(|| chain(source), chain)
            }
            (None, None) => error.to_string(),
        });
        let message = match (&unreached, cause) {
            (Some(unreached), _) => unreached.to_string(),
            (None, Some(cause)) => cause,
            (None, None) => message,
        };
        let meaning = match error {
            _ if unreached.is_some() => Meaning::Unreachable,
            _ if credentials.is_some() => Meaning::Denied,
            SdkError::ConstructionFailure(_) => Meaning::Refused,
            SdkError::TimeoutError(_) | SdkError::ResponseError(_) => Meaning::Unknown,
            // A connection that was never made carried nothing; one that broke may have carried the whole request.
            SdkError::DispatchFailure(failure) => match failure.as_connector_error() {
                Some(error) if error.is_user() => Meaning::Refused,
                _ if never_connected(&message) => Meaning::Unreachable,
                // The credential providers fail before anything is sent.
                Some(error)
                    if error.is_other() && ["credential", "identity"].iter().any(|word| message.contains(word)) =>
                {
                    Meaning::Denied
                }
                _ => Meaning::Unknown,
            },
            _ => classify(service, operation, status.unwrap_or(0), &code, &message),
        };
        Self {
            operation: format!("{service}.{operation}"),
            meaning,
            code,
            message,
            request_id: header("x-amzn-requestid").or_else(|| header("x-amz-request-id")),
            retry_after: header("retry-after").and_then(|text| text.parse().ok()).map(Duration::from_secs),
            unreached: unreached.map(Box::new),
            is_late: false,
        }
    }

    pub fn is(&self, meaning: Meaning) -> bool {
        self.meaning == meaning
    }

    /// Whether AWS refused to create something, so that nothing is left of the call. (Other changes may follow a create that
    /// succeeded.)
    pub fn has_created_nothing(&self) -> bool {
        let verb = self.operation.rsplit('.').next().unwrap_or_default();
        let creates = ["Add", "Create", "Publish"].iter().any(|prefix| verb.starts_with(prefix));
        creates && !self.is(Meaning::Unknown) && !self.is_late
    }
}

/// The meaning of an error code; the message decides where AWS uses one code for several things.
fn classify(service: &str, operation: &str, status: u16, code: &str, message: &str) -> Meaning {
    let says = |words: &[&str]| {
        let message = message.to_lowercase();
        words.iter().any(|word| message.contains(word))
    };
    match code {
        // Throttles come as HTTP 400, 429 and 503 alike, under these names (smithy-rs and botocore have the same list).
        "TooManyRequestsException"
        | "ThrottlingException"
        | "Throttling"
        | "ThrottledException"
        | "RequestLimitExceeded"
        | "RequestThrottled"
        | "RequestThrottledException"
        | "SlowDown"
        | "BandwidthLimitExceeded"
        | "EC2ThrottledException"
        | "ProvisionedThroughputExceededException"
        | "PriorRequestNotComplete" => Meaning::Throttled,
        // For DynamoDB: as many tables are changing as may at once; fewer calls a second would not help. Elsewhere: a
        // quota that waiting does not lift.
        "LimitExceededException" if service == "dynamodb" => Meaning::Busy,
        "LimitExceededException" if says(&["rate exceeded"]) => Meaning::Throttled,
        "ConcurrentModification"
        | "ConcurrentOperationException"
        | "ConcurrentModificationException"
        | "OperationAbortedException"
        | "EntityTemporarilyUnmodifiable"
        | "ContinuousBackupsUnavailableException"
        | "TransactionInProgressException" => Meaning::Busy,
        "ResourceInUseException" if operation == "CreateTable" && !says(&["being deleted", "deleting"]) => {
            Meaning::Exists
        }
        "ResourceInUseException" => Meaning::Busy,
        "ConflictException" | "ResourceConflictException" if says(&["already exist", "provided already exists"]) => {
            Meaning::Exists
        }
        "ConflictException" | "ResourceConflictException"
            if says(&[
                "concurrent",
                "in progress",
                "state: pending",
                "currently in the following state",
                "try again",
            ]) =>
        {
            Meaning::Busy
        }
        "AlreadyExistsException"
        | "EntityAlreadyExists"
        | "EntityAlreadyExistsException"
        | "ResourceAlreadyExistsException" => Meaning::Exists,
        // The last one is SNS's.
        "NotFoundException" | "ResourceNotFoundException" | "NoSuchEntity" | "NoSuchEntityException" | "NotFound" => {
            Meaning::NotFound
        }
        "AccessDenied"
        | "AccessDeniedException"
        | "UnauthorizedOperation"
        | "InvalidClientTokenId"
        | "SignatureDoesNotMatch"
        | "ExpiredToken"
        | "ExpiredTokenException"
        | "RequestExpired"
        | "RequestTimeTooSkewed"
        | "UnrecognizedClientException"
        | "MissingAuthenticationToken"
        | "InvalidSignatureException" => Meaning::Denied,
        _ if says(&["rate exceeded"]) => Meaning::Throttled,
        _ if status >= 500 => Meaning::Unknown,
        _ if status == 429 => Meaning::Throttled,
        _ => Meaning::Refused,
    }
}

/// The outermost error of this type in an error's chain of causes.
fn find<'a, E: Error + 'static>(error: &'a (dyn Error + 'static)) -> Option<&'a E> {
    std::iter::successors(Some(error), |&error| error.source()).find_map(|error| error.downcast_ref())
}

impl fmt::Display for CallError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.code.is_empty() {
            write!(f, "{}: {}", self.operation, self.message)?;
        } else {
            write!(f, "{}: {}: {}", self.operation, self.code, self.message)?;
        }
        match &self.request_id {
            Some(id) => write!(f, " (request id {id})"),
            None => Ok(()),
        }
    }
}

impl Error for CallError {}

/// What stands in the first element of this name, in an error in XML; `None` where that is empty or not there.
pub(super) fn xml_text(xml: &str, name: &str) -> Option<String> {
    let rest = xml.split_once(&format!("<{name}>"))?.1;
    Some(rest.split_once('<')?.0.to_owned()).filter(|text| !text.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn refusals_are_sorted_by_what_they_mean() {
        let table = [
            ("lambda", "CreateFunction", 429, "TooManyRequestsException", "Rate exceeded", Meaning::Throttled),
            ("iam", "CreateRole", 400, "Throttling", "Rate exceeded", Meaning::Throttled),
            ("dynamodb", "CreateTable", 400, "LimitExceededException", "Subscriber limit exceeded", Meaning::Busy),
            (
                "iam",
                "CreateRole",
                409,
                "LimitExceeded",
                "Cannot exceed quota for RolesPerAccount: 1000",
                Meaning::Refused,
            ),
            (
                "apigatewayv2",
                "CreateRoute",
                409,
                "ConflictException",
                "Unable to complete operation due to concurrent modification. Please try again later.",
                Meaning::Busy,
            ),
            (
                "apigatewayv2",
                "CreateRoute",
                409,
                "ConflictException",
                "Route with key $connect already exists for this API",
                Meaning::Exists,
            ),
            (
                "lambda",
                "CreateFunction",
                409,
                "ResourceConflictException",
                "Function already exist: chat",
                Meaning::Exists,
            ),
            (
                "lambda",
                "UpdateFunctionCode",
                409,
                "ResourceConflictException",
                "The operation cannot be performed at this time. An update is in progress for resource: arn",
                Meaning::Busy,
            ),
            (
                "lambda",
                "AddPermission",
                409,
                "ResourceConflictException",
                "The statement id (a) provided already exists. Please provide a new statement id.",
                Meaning::Exists,
            ),
            ("dynamodb", "CreateTable", 400, "ResourceInUseException", "Table already exists: chat", Meaning::Exists),
            ("dynamodb", "CreateTable", 400, "ResourceInUseException", "Table is being deleted: chat", Meaning::Busy),
            ("dynamodb", "DeleteTable", 400, "ResourceInUseException", "Table is being created: chat", Meaning::Busy),
            ("iam", "GetRole", 404, "NoSuchEntity", "The role with name x cannot be found.", Meaning::NotFound),
            ("sts", "GetCallerIdentity", 403, "ExpiredToken", "The security token is expired", Meaning::Denied),
            ("lambda", "CreateFunction", 500, "ServiceException", "An error occurred", Meaning::Unknown),
            ("lambda", "CreateFunction", 400, "InvalidParameterValueException", "The role defined…", Meaning::Refused),
        ];
        for (service, operation, status, code, message, meaning) in table {
            assert_eq!(classify(service, operation, status, code, message), meaning, "{code}: {message}");
        }
    }
}
