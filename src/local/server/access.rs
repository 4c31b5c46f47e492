//! Authentication of callers. The port is on loopback, but every user and every web page of this machine can reach it, and
//! a caller that may create a function runs code as the developer. So each data folder has an access key that only the user
//! can read. Signatures are not verified: the key's id alone is the secret.

use std::io;
use std::sync::Arc;

use aws_credential_types::Credentials;
use serde::{Deserialize, Serialize};

use crate::core::iam::need::Need;
use crate::local::context::ports::{Authorizer, Callers, Roles};
use crate::local::context::store::Store;
use crate::local::iam::{BASE32, random};
use crate::local::protocol::operation::Operation;
use crate::local::protocol::wire::{ApiError, Caller, Request};

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

    fn user_id(&self, access_key_id: Option<&str>) -> String {
        self.roles.user_id(access_key_id)
    }

    fn admits_all(&self) -> bool {
        self.open
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
    pub fn admit(&self, operation: &Operation, request: &Request) -> Result<(), ApiError> {
        let help = format!(
            " (The local cloud knows no access key {}. Its own: {}; to admit all callers: wschat local start --open)",
            request.caller.access_key.as_deref().unwrap_or_default(),
            self.help
        );
        self.check(operation.service, operation.presigned, request, &help)
    }

    /// The same for a caller on another machine, by the head of its request, whose body may name the operation. The refusal says
    /// nothing of this machine.
    ///
    /// # Errors
    /// AWS's refusal of an unsigned call or of another key.
    pub fn admit_remote(&self, service: &str, operation: Option<&Operation>, head: &Request) -> Result<(), ApiError> {
        self.check(service, operation.is_some_and(|operation| operation.presigned), head, "")
    }

    /// Whether the caller signs with a key of this cloud's.
    pub fn knows(&self, caller: &Caller) -> bool {
        caller.access_key.as_ref().is_some_and(|key| *key == self.key.id || self.roles.has_issued(key))
    }

    fn check(&self, service: &str, presigned: bool, request: &Request, help: &str) -> Result<(), ApiError> {
        match &request.caller.access_key {
            Some(_) if self.knows(&request.caller) => Ok(()),
            Some(_) => {
                if service == "s3" {
                    let message = format!("The AWS Access Key Id you provided does not exist in our records.{help}");
                    return Err(ApiError::new(403, "InvalidAccessKeyId", message));
                }
                let (status, code) = match service {
                    "iam" | "sts" | "cloudformation" => (403, "InvalidClientTokenId"),
                    "dynamodb" | "logs" => (400, "UnrecognizedClientException"),
                    _ => (403, "UnrecognizedClientException"),
                };
                let message = format!("The security token included in the request is invalid.{help}");
                Err(ApiError::new(status, code, message))
            }
            None if presigned => Ok(()),
            // API Gateway has its own refusal for unsigned calls, and a bucket's policy may admit them.
            None if service == "execute-api" || service == "s3" => Ok(()),
            None => {
                let code = match service {
                    "iam" | "sts" | "cloudformation" => "MissingAuthenticationToken",
                    _ => "MissingAuthenticationTokenException",
                };
                Err(ApiError::new(403, code, "Request is missing Authentication Token"))
            }
        }
    }
}
