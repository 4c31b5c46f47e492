//! Who may call: the port is loopback's, but every user and every web page of this machine can reach it, and a caller that
//! may create a function runs code as the developer. So a data folder has an access key, which only the user can read.
//! Signatures are not verified: the key's id alone is the secret.

use std::io;
use std::sync::Arc;

use aws_credential_types::Credentials;
use serde::{Deserialize, Serialize};

use super::iam::{BASE32, random};
use super::ports::Roles;
use super::store::Store;
use super::wire::{ApiError, Request};

/// The access key of a data folder.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct AccessKey {
    pub id: String,
    pub secret: String,
}

impl AccessKey {
    /// The key as the SDK takes it.
    pub fn credentials(&self) -> Credentials {
        Credentials::new(&self.id, &self.secret, None, None, "the local cloud")
    }

    /// One that is as good as any other, where everybody may call.
    pub fn placeholder() -> Self {
        Self { id: "local".to_owned(), secret: "local".to_owned() }
    }

    const FILE: &str = "access-key";

    /// Reads the key of a data folder, making one where there is none.
    ///
    /// # Errors
    /// When the file cannot be read or written.
    pub fn open(store: &Store) -> io::Result<Self> {
        let kept: Self = store.load(Self::FILE)?;
        if !kept.id.is_empty() {
            return Ok(kept);
        }
        let made = Self { id: format!("LKIA{}", random(BASE32, 16)), secret: random(BASE32, 40) };
        store.save_private(Self::FILE, &made)?;
        Ok(made)
    }
}

/// Decides whether a caller is one of this cloud's.
pub struct Guard {
    key: AccessKey,
    /// How to see the key, as a command.
    help: String,
    roles: Arc<dyn Roles>,
}

impl Guard {
    /// `help` is the command that shows the key.
    pub fn new(key: AccessKey, help: String, roles: Arc<dyn Roles>) -> Self {
        Self { key, help, roles }
    }

    /// Lets in who has the folder's key, or one that this cloud has issued for a role.
    ///
    /// # Errors
    /// The refusal of an unsigned call or of any other key, in AWS's words and with the way out.
    pub fn admit(&self, service: &str, operation: &str, request: &Request) -> Result<(), ApiError> {
        match &request.caller.access_key {
            Some(key) if *key == self.key.id || self.roles.has_issued(key) => Ok(()),
            Some(key) => {
                let (status, code) = match service {
                    "iam" | "sts" | "cloudformation" => (403, "InvalidClientTokenId"),
                    "dynamodb" | "logs" => (400, "UnrecognizedClientException"),
                    _ => (403, "UnrecognizedClientException"),
                };
                let message = format!(
                    "The security token included in the request is invalid. (The local cloud knows no access key {key}. \
                     Its own: {}; to let everybody in: wschat local start --open)",
                    self.help
                );
                Err(ApiError::new(status, code, message))
            }
            // Its address is the secret: `GetFunction` gives it as a presigned one.
            None if operation == "DownloadFunctionCode" => Ok(()),
            // API Gateway refuses these in words of its own.
            None if service == "execute-api" => Ok(()),
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
