//! Authentication of callers. The port is on loopback, but every user and every web page of this machine can reach it, and
//! a caller that may create a function runs code as the developer. So each data folder has an access key whose secret only the user
//! can read. The ids of keys are no secrets: every presigned address tells one. So each call must be signed with the secret of its key.

use std::io;
use std::sync::Arc;

use aws_credential_types::Credentials;
use serde::{Deserialize, Serialize};

use crate::core::iam::need::Need;
use crate::local::context::ports::{Authorizer, Callers, Principal, Roles};
use crate::local::context::signer::{Unverified, verify};
use crate::local::context::store::Store;
use crate::local::iam::{BASE32, random};
use crate::local::protocol::operation::Operation;
use crate::local::protocol::signature::{Signed, Wrong, is_in_header, pairs};
use crate::local::protocol::wire::{ApiError, Protocol, Request};

const MISMATCH: &str = "The request signature we calculated does not match the signature you provided. Check your AWS Secret Access Key \
                        and signing method. Consult the service documentation for details.";

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

/// Admits callers by their access key and their signature.
pub struct Guard {
    callers: Arc<dyn Callers>,
    /// The command that shows the key.
    help: String,
}

impl Guard {
    /// `help` is the command that shows the key.
    pub fn new(callers: Arc<dyn Callers>, help: String) -> Self {
        Self { callers, help }
    }

    /// Admits calls signed with the folder's key, or with a key that this cloud issued for a role.
    ///
    /// # Errors
    /// AWS's refusal of an unsigned call, of another key or of a wrong signature, with the command that shows the right one.
    pub fn admit(&self, protocol: Protocol, operation: &Operation, request: &Request) -> Result<(), ApiError> {
        // What came to the disk is held against its hash by who reads it from there.
        let body = request.file.is_none().then_some(&request.body[..]);
        self.check(operation.service, protocol, operation.presigned, request, body).map_err(|mut refusal| {
            let own = &self.help;
            match &request.caller.access_key {
                Some(key) if self.callers.secret(key).is_none() => refusal.message.push_str(&format!(
                    " (The local cloud knows no access key {key}. Its own: {own}; to admit all callers: wschat local start --open)"
                )),
                Some(_) => refusal.message.push_str(&format!(
                    " (The local cloud verifies signatures. Its key, with the secret: {own}; a proxy on the way must not change the \
                     Host header, path or body; to admit all callers: wschat local start --open)"
                )),
                None => {}
            }
            refusal
        })
    }

    /// The same for a caller on another machine, by the head of its request, whose body may name the operation. The refusal says
    /// nothing of this machine.
    ///
    /// # Errors
    /// AWS's refusal of an unsigned call, of another key or of a wrong signature.
    pub fn admit_remote(
        &self,
        (service, protocol): (&str, Protocol),
        operation: Option<&Operation>,
        head: &Request,
    ) -> Result<(), ApiError> {
        self.check(service, protocol, operation.is_some_and(|operation| operation.presigned), head, None)
    }

    /// Whether a caller signs with a key of this cloud's, as far as the head of its request tells: where it does not tell the hash of the
    /// body, the signature is verified with the body.
    pub fn knows(&self, head: &Request) -> bool {
        match self.verify(head, None) {
            Ok(()) | Err(Unverified::Wrong(Wrong::Unhashed)) => true,
            // Version 2 of the signature, which S3 verifies.
            Err(Unverified::Unsigned) => {
                let key = head.query("AWSAccessKeyId").filter(|_| !is_in_header(&head.headers));
                key.is_some_and(|key| self.callers.secret(key).is_some())
            }
            Err(_) => false,
        }
    }

    fn verify(&self, request: &Request, body: Option<&[u8]>) -> Result<(), Unverified> {
        verify(&*self.callers, &Signed::call(request, &pairs(&request.headers), body)).map(drop)
    }

    /// The codes are AWS's: those of the query protocol, of JSON in the body alone (400), and of JSON with paths.
    fn check(
        &self,
        service: &str,
        protocol: Protocol,
        presigned: bool,
        request: &Request,
        body: Option<&[u8]>,
    ) -> Result<(), ApiError> {
        let is_query = matches!(protocol, Protocol::Query(_) | Protocol::AwsJson10Query(_));
        let is_s3 = protocol == Protocol::RestXml;
        let status = if matches!(protocol, Protocol::AwsJson10 | Protocol::AwsJson11) { 400 } else { 403 };
        let Some(key) = &request.caller.access_key else {
            // API Gateway has its own refusal for unsigned calls, and a bucket's policy may admit them.
            if presigned || service == "execute-api" || is_s3 {
                return Ok(());
            }
            let code = if is_query { "MissingAuthenticationToken" } else { "MissingAuthenticationTokenException" };
            return Err(ApiError::new(status, code, "Request is missing Authentication Token"));
        };
        let verified = match self.callers.secret(key) {
            None => Err(Unverified::UnknownKey(key.clone())),
            // S3 verifies its addresses itself.
            Some(_) if is_s3 && !is_in_header(&request.headers) => Ok(()),
            Some(_) => self.verify(request, body),
        };
        verified.map_err(|why| match why {
            Unverified::UnknownKey(_) if is_s3 => {
                let message = "The AWS Access Key Id you provided does not exist in our records.";
                ApiError::new(status, "InvalidAccessKeyId", message)
            }
            Unverified::NoToken if is_s3 => {
                ApiError::new(400, "InvalidToken", "The provided token is malformed or otherwise invalid.")
            }
            Unverified::UnknownKey(_) | Unverified::NoToken => {
                let code = if is_query { "InvalidClientTokenId" } else { "UnrecognizedClientException" };
                ApiError::new(status, code, "The security token included in the request is invalid.")
            }
            Unverified::Wrong(Wrong::Unhashed) => {
                let message = "Missing required header for this request: x-amz-content-sha256";
                ApiError::new(400, "InvalidRequest", message)
            }
            Unverified::Unsigned | Unverified::Wrong(_) => {
                let is_xml = matches!(protocol, Protocol::Query(_) | Protocol::RestXml);
                let code = if is_xml { "SignatureDoesNotMatch" } else { "InvalidSignatureException" };
                let message = match why {
                    Unverified::Wrong(Wrong::Expired) => "Signature expired",
                    _ => MISMATCH,
                };
                ApiError::new(status, code, message)
            }
        })
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

    /// What a caller with a wrong key gets, and one without any.
    fn refusals<S: Service>() -> [Option<(u16, String)>; 2] {
        let key = AccessKey { id: "LKIA1".to_owned(), secret: "s".to_owned() };
        let callers = KnownCallers { key, open: false, roles: Arc::new(NoRoles), authorizer: None };
        let guard = Guard::new(Arc::new(callers), "wschat env".to_owned());
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
