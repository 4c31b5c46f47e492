//! Authentication of callers. The port is on loopback, but every user and every web page of this machine can reach it, and
//! a caller that may create a function runs code as the developer. So each data folder has an access key that only the user
//! can read. Signatures are not verified: the key's id alone is the secret.

use std::io;
use std::sync::Arc;

use aws_credential_types::Credentials;
use serde::{Deserialize, Serialize};

use crate::core::iam::need::Need;
use crate::local::context::ports::{Authorizer, Callers, Principal, Roles};
use crate::local::context::store::Store;
use crate::local::iam::{BASE32, random};
use crate::local::protocol::operation::Operation;
use crate::local::protocol::wire::{ApiError, Caller, Protocol, Request};

/// The access key of a data folder.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct AccessKey {
    pub id: String,
    pub secret: String,
}

impl AccessKey {
    /// The key as credentials of the SDK.
    pub fn credentials(&self) -> Credentials {
        Credentials::new(&self.id, &self.secret, None, None, "the local cloud")
    }

    /// A key to show where every caller is admitted (`--open`), whatever key it signs with.
    pub fn placeholder() -> Self {
        Self { id: "local".to_owned(), secret: "local".to_owned() }
    }

    const FILE: &str = "access-key";

    /// Reads the key of a data folder, or creates it.
    ///
    /// # Errors
    /// When the file cannot be read or written.
    pub fn open(store: &Store) -> io::Result<Self> {
        let kept: Self = store.load(Self::FILE)?;
        if !kept.id.is_empty() {
            return Ok(kept);
        }
        let made = Self { id: format!("LKIA{}", random(BASE32, 16)), secret: random(BASE32, 40) };
        store.save(Self::FILE, &made)?;
        Ok(made)
    }
}

/// The callers of a cloud, as its gateway checks them.
pub struct KnownCallers {
    pub key: AccessKey,
    /// Whether callers with any key are admitted.
    pub open: bool,
    pub roles: Arc<dyn Roles>,
    /// Checks policies, if the conditions ask for it.
    pub authorizer: Option<Arc<dyn Authorizer>>,
}

impl Callers for KnownCallers {
    fn secret(&self, access_key_id: &str) -> Option<String> {
        if access_key_id == self.key.id {
            return Some(self.key.secret.clone());
        }
        self.roles.secret(access_key_id)
    }

    fn session_token(&self, access_key_id: &str) -> Option<String> {
        self.roles.session_token(access_key_id)
    }

    fn admits_all(&self) -> bool {
        self.open
    }

    fn principal(&self, access_key_id: Option<&str>) -> Principal {
        self.roles.principal(access_key_id)
    }

    fn authorize(&self, request: &Request, needs: &[Need]) -> Result<(), ApiError> {
        self.authorizer.as_ref().map_or(Ok(()), |authorizer| authorizer.authorize("execute-api", request, needs))
    }
}

/// Admits callers by their access key.
pub struct Guard {
    key: AccessKey,
    /// The command that shows the key.
    help: String,
    roles: Arc<dyn Roles>,
}

impl Guard {
    /// `help` is the command that shows the key.
    pub fn new(key: AccessKey, help: String, roles: Arc<dyn Roles>) -> Self {
        Self { key, help, roles }
    }

    /// Admits calls signed with the folder's key, or with a key that this cloud issued for a role.
    ///
    /// # Errors
    /// AWS's refusal of an unsigned call or of another key, with the command that shows the right one.
    pub fn admit(&self, protocol: Protocol, operation: &Operation, request: &Request) -> Result<(), ApiError> {
        let help = format!(
            " (The local cloud knows no access key {}. Its own: {}; to admit all callers: wschat local start --open)",
            request.caller.access_key.as_deref().unwrap_or_default(),
            self.help
        );
        self.check(operation.service, protocol, operation.presigned, request, &help)
    }

    /// The same for a caller on another machine, by the head of its request, whose body may name the operation. The refusal says
    /// nothing of this machine.
    ///
    /// # Errors
    /// AWS's refusal of an unsigned call or of another key.
    pub fn admit_remote(
        &self,
        (service, protocol): (&str, Protocol),
        operation: Option<&Operation>,
        head: &Request,
    ) -> Result<(), ApiError> {
        self.check(service, protocol, operation.is_some_and(|operation| operation.presigned), head, "")
    }

    /// Whether the caller signs with a key of this cloud's.
    pub fn knows(&self, caller: &Caller) -> bool {
        caller.access_key.as_ref().is_some_and(|key| *key == self.key.id || self.roles.has_issued(key))
    }

    /// The codes are AWS's: those of the query protocol, of JSON in the body alone (400), and of JSON with paths.
    fn check(
        &self,
        service: &str,
        protocol: Protocol,
        presigned: bool,
        request: &Request,
        help: &str,
    ) -> Result<(), ApiError> {
        let is_query = matches!(protocol, Protocol::Query(_) | Protocol::AwsJson10Query(_));
        let status = if matches!(protocol, Protocol::AwsJson10 | Protocol::AwsJson11) { 400 } else { 403 };
        let token = request.caller.access_key.as_deref().and_then(|key| self.roles.session_token(key));
        let header = request.headers.get("x-amz-security-token").and_then(|token| token.to_str().ok());
        let given = header.or_else(|| request.query("X-Amz-Security-Token"));
        let has_token = token.is_none() || given == token.as_deref();
        let is_known = self.knows(&request.caller);
        // A temporary key is worth nothing without the token that was issued with it.
        let help = if is_known { "" } else { help };
        match &request.caller.access_key {
            Some(_) if is_known && has_token => Ok(()),
            Some(_) if protocol == Protocol::RestXml && !has_token && given.is_some() => {
                Err(ApiError::new(400, "InvalidToken", "The provided token is malformed or otherwise invalid."))
            }
            Some(_) if protocol == Protocol::RestXml => {
                let message = format!("The AWS Access Key Id you provided does not exist in our records.{help}");
                Err(ApiError::new(status, "InvalidAccessKeyId", message))
            }
            Some(_) => {
                let code = if is_query { "InvalidClientTokenId" } else { "UnrecognizedClientException" };
                let message = format!("The security token included in the request is invalid.{help}");
                Err(ApiError::new(status, code, message))
            }
            None if presigned => Ok(()),
            // API Gateway has its own refusal for unsigned calls, and a bucket's policy may admit them.
            None if service == "execute-api" || protocol == Protocol::RestXml => Ok(()),
            None => {
                let code = if is_query { "MissingAuthenticationToken" } else { "MissingAuthenticationTokenException" };
                Err(ApiError::new(status, code, "Request is missing Authentication Token"))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::local::context::ports::NoRoles;
    use crate::local::dynamodb::DynamoDb;
    use crate::local::protocol::service::Service;
    use crate::local::s3::S3;
    use crate::local::scheduler::Scheduler;
    use crate::local::sns::Sns;
    use crate::local::sqs::Sqs;
    use crate::local::ssm::Ssm;

    /// One role, with a temporary key.
    struct OneRole;

    impl Roles for OneRole {
        fn assumable(&self, _: &str, _: &str) -> bool {
            true
        }

        fn issue(&self, _: &str, _: &str) -> crate::local::context::ports::Credentials {
            unreachable!("nothing is issued here")
        }

        fn has_issued(&self, access_key_id: &str) -> bool {
            access_key_id == "ASIA1"
        }

        fn session_token(&self, access_key_id: &str) -> Option<String> {
            self.has_issued(access_key_id).then(|| "issued".to_owned())
        }
    }

    #[test]
    fn a_temporary_key_needs_the_token_that_was_issued_with_it() {
        fn refused<S: Service>(change: impl FnOnce(&mut Request)) -> Option<(u16, String)> {
            let key = AccessKey { id: "LKIA1".to_owned(), secret: "s".to_owned() };
            let guard = Guard::new(key, "wschat env".to_owned(), Arc::new(OneRole));
            let mut request = Request::in_test("POST", "/", "");
            request.caller.access_key = Some("ASIA1".to_owned());
            change(&mut request);
            let refused = guard.admit_remote((S::NAME, S::PROTOCOL), None, &request).err();
            refused.map(|error| (error.status, error.code.into_owned()))
        }
        let header = |token: &'static str| {
            move |request: &mut Request| drop(request.headers.insert("x-amz-security-token", token.parse().unwrap()))
        };
        let in_query = |token: &'static str| {
            move |request: &mut Request| request.query.push(("X-Amz-Security-Token".to_owned(), token.to_owned()))
        };
        assert_eq!(refused::<Sqs>(header("issued")), None);
        assert_eq!(refused::<Arc<S3>>(in_query("issued")), None);
        let none = |_: &mut Request| {};
        assert_eq!(refused::<Sqs>(none), Some((403, "InvalidClientTokenId".to_owned())));
        assert_eq!(refused::<Sqs>(header("other")), Some((403, "InvalidClientTokenId".to_owned())));
        assert_eq!(refused::<DynamoDb>(header("other")), Some((400, "UnrecognizedClientException".to_owned())));
        assert_eq!(refused::<Scheduler>(none), Some((403, "UnrecognizedClientException".to_owned())));
        assert_eq!(refused::<Arc<S3>>(none), Some((403, "InvalidAccessKeyId".to_owned())));
        assert_eq!(refused::<Arc<S3>>(header("other")), Some((400, "InvalidToken".to_owned())));
        // The folder's own key has none.
        let own = |request: &mut Request| request.caller.access_key = Some("LKIA1".to_owned());
        assert_eq!(refused::<Sqs>(own), None);
    }

    /// What a caller with a wrong key gets, and one without any.
    fn refusals<S: Service>() -> [Option<(u16, String)>; 2] {
        let key = AccessKey { id: "LKIA1".to_owned(), secret: "s".to_owned() };
        let guard = Guard::new(key, "wschat env".to_owned(), Arc::new(NoRoles));
        [Some("LKIA2"), None].map(|key| {
            let mut request = Request::in_test("POST", "/", "");
            request.caller.access_key = key.map(str::to_owned);
            let refused = guard.admit_remote((S::NAME, S::PROTOCOL), None, &request).err();
            refused.map(|error| (error.status, error.code.into_owned()))
        })
    }

    #[test]
    fn refusals_have_the_codes_of_the_services_protocol() {
        let refused = |status: u16, code: &str| Some((status, code.to_owned()));
        let query = [refused(403, "InvalidClientTokenId"), refused(403, "MissingAuthenticationToken")];
        assert_eq!(refusals::<Sns>(), query);
        assert_eq!(refusals::<Sqs>(), query);
        let json = [refused(400, "UnrecognizedClientException"), refused(400, "MissingAuthenticationTokenException")];
        assert_eq!(refusals::<DynamoDb>(), json);
        assert_eq!(refusals::<Arc<Ssm>>(), json);
        let rest = [refused(403, "UnrecognizedClientException"), refused(403, "MissingAuthenticationTokenException")];
        assert_eq!(refusals::<Scheduler>(), rest);
        assert_eq!(refusals::<Arc<S3>>(), [refused(403, "InvalidAccessKeyId"), None]);
    }
}
