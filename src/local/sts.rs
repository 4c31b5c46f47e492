//! STS: the caller's identity, and temporary credentials.

use std::io;
use std::sync::Arc;

use async_trait::async_trait;

use super::context::{ACCOUNT, CloudContext};
use super::iam::{Iam, temporary_credentials};
use super::protocol::operation::OperationEffect::Reads;
use super::protocol::service::Permissions::Needs;
use super::protocol::service::{Permissions, Row, Service, ServiceCall};
use crate::core::iam::need::Need;
use crate::local::context::clock::{iso8601, now_millis};
use crate::local::context::ports::Credentials;
use crate::local::protocol::query::{Query, Xml, answer};
use crate::local::protocol::wire::{ApiError, Protocol, Response};

const NAMESPACE: &str = "https://sts.amazonaws.com/doc/2011-06-15/";

/// The shortest ARN, in bytes (STS service model).
const MIN_ARN_LENGTH: usize = 20;

/// The token service of the account; it has no state of its own.
#[derive(Debug)]
pub struct Sts {
    iam: Arc<Iam>,
}

impl Sts {
    /// Opens the service over the account's IAM.
    ///
    /// # Errors
    /// None: it has no state.
    pub fn open(_context: &CloudContext, iam: Arc<Iam>) -> io::Result<Arc<Self>> {
        Ok(Arc::new(Self { iam }))
    }

    fn assume_role(&self, query: &Query) -> Result<Xml, ApiError> {
        let role_arn = query.required("RoleArn")?;
        check_arn(role_arn)?;
        let session = query.check_name("RoleSessionName", 64, "[\\w+=,.@-]*", |letter| {
            letter.is_ascii_alphanumeric() || "_+=,.@-".contains(letter)
        })?;
        let seconds = query.number("DurationSeconds", 900..=43_200)?.unwrap_or(3600);
        let caller = self.iam.identity(&query.caller);
        let (credentials, assumed) = self.iam.assume(&caller, role_arn, session, seconds)?;
        let user = Xml::new().text("AssumedRoleId", assumed.user_id).text("Arn", assumed.arn);
        Ok(Xml::new().element("AssumedRoleUser", user).element("Credentials", written(&credentials, seconds)))
    }

    /// Credentials for the caller itself. They need not be recorded: an unknown key is the local user's.
    fn session_token(&self, query: &Query) -> Result<Xml, ApiError> {
        if self.iam.identity(&query.caller).role.is_some() {
            let message = "Cannot call GetSessionToken with session credentials";
            return Err(ApiError::new(403, "AccessDenied", message));
        }
        let seconds = query.number("DurationSeconds", 900..=129_600)?.unwrap_or(43_200);
        Ok(Xml::new().element("Credentials", written(&temporary_credentials(), seconds)))
    }

    fn get_caller_identity(&self, query: &Query) -> Result<Xml, ApiError> {
        let caller = self.iam.identity(&query.caller);
        Ok(Xml::new().text("Arn", caller.arn).text("UserId", caller.user_id).text("Account", ACCOUNT))
    }
}

#[async_trait]
impl Service for Sts {
    type Run = fn(&Sts, &Query) -> Result<Xml, ApiError>;

    const NAME: &'static str = "sts";
    const PROTOCOL: Protocol = Protocol::Query(NAMESPACE);
    const OPERATIONS: &'static [Row<Self>] = &[
        Row::<Self>::named("AssumeRole", Reads, Needs(on_role), Self::assume_role),
        Row::<Self>::named("GetCallerIdentity", Reads, FREE, Self::get_caller_identity),
        Row::<Self>::named("GetSessionToken", Reads, FREE, Self::session_token),
    ];

    async fn run(&self, run: Self::Run, call: ServiceCall) -> Result<Response, ApiError> {
        let result = run(self, &Query::read(&call.request))?;
        Ok(answer(NAMESPACE, call.operation.name, result))
    }
}

const FREE: Permissions<Sts> = Permissions::None("it is about the caller itself (STS API reference)");

/// `AssumeRole` on the role.
fn on_role(call: &ServiceCall) -> Vec<Need> {
    let query = Query::read(&call.request);
    query.get("RoleArn").map(|role| Need::new("sts:AssumeRole", role)).into_iter().collect()
}

/// Whether `text` is an ARN: it has all parts, and none is empty except the region and the account (recorded answers of
/// AWS).
///
/// # Errors
/// `ValidationError` for text that is no ARN.
fn check_arn(text: &str) -> Result<(), ApiError> {
    let refused = |message: String| Err(ApiError::new(400, "ValidationError", message));
    if text.len() < MIN_ARN_LENGTH {
        return refused(format!(
            "1 validation error detected: Value '{text}' at 'roleArn' failed to satisfy constraint: Member must have \
             length greater than or equal to {MIN_ARN_LENGTH}"
        ));
    }
    let parts: Vec<&str> = text.splitn(6, ':').collect();
    match parts[..] {
        ["arn", partition, service, _, _, resource]
            if ![partition, service, resource].iter().any(|part| part.is_empty()) =>
        {
            Ok(())
        }
        _ => refused(format!("{text} is invalid")),
    }
}

fn written(credentials: &Credentials, seconds: u32) -> Xml {
    Xml::new()
        .text("AccessKeyId", &credentials.access_key_id)
        .text("SecretAccessKey", &credentials.secret_access_key)
        .text("SessionToken", &credentials.session_token)
        .text("Expiration", iso8601(now_millis() + i64::from(seconds) * 1000))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::local::context::ports::Roles;
    use crate::local::context::store::Store;
    use crate::local::protocol::query::testing::{call, texts};

    fn open(folder: &tempfile::TempDir) -> (Arc<Iam>, Arc<Sts>) {
        let context = CloudContext {
            port: 0,
            hosts: Default::default(),
            store: Store::open(folder.path()).unwrap(),
            conditions: Arc::default(),
            ca_bundle: folder.path().join("ca.pem"),
            recorder: Arc::default(),
        };
        let iam = Iam::open(&context).unwrap();
        let sts = Sts::open(&context, iam.clone()).unwrap();
        (iam, sts)
    }

    async fn create_role(iam: &Iam, name: &str, principal: &str) {
        let trust =
            format!(r#"{{"Statement":[{{"Effect":"Allow","Principal":{principal},"Action":"sts:AssumeRole"}}]}}"#);
        call(iam, None, "CreateRole", &[("RoleName", name), ("AssumeRolePolicyDocument", &trust)]).await.unwrap();
    }

    #[tokio::test]
    async fn callers_are_known_by_their_keys_even_after_a_restart() {
        let folder = tempfile::tempdir().unwrap();
        let (iam, sts) = open(&folder);
        let xml = call(&*sts, Some("AKIDANYTHING"), "GetCallerIdentity", &[]).await.unwrap();
        assert_eq!(texts(&xml, "Arn"), ["arn:aws:iam::000000000000:user/local"]);
        assert_eq!(texts(&xml, "Account"), ["000000000000"]);

        create_role(&iam, "worker", r#"{"Service":"lambda.amazonaws.com"}"#).await;
        let issued = iam.issue("arn:aws:iam::000000000000:role/worker", "fn");
        drop((iam, sts));
        let (_, sts) = open(&folder);
        let xml = call(&*sts, Some(&issued.access_key_id), "GetCallerIdentity", &[]).await.unwrap();
        assert_eq!(texts(&xml, "Arn"), ["arn:aws:sts::000000000000:assumed-role/worker/fn"]);
        let user = texts(&xml, "UserId").remove(0);
        assert!(user.starts_with("AROA") && user.ends_with(":fn") && user.len() == 21 + 3, "{user}");
    }

    #[tokio::test]
    async fn only_trusted_principals_can_assume_a_role() {
        let folder = tempfile::tempdir().unwrap();
        let (iam, sts) = open(&folder);
        create_role(&iam, "open", r#"{"AWS":"arn:aws:iam::000000000000:root"}"#).await;
        create_role(&iam, "closed", r#"{"Service":"lambda.amazonaws.com"}"#).await;
        let assume = |role: &'static str, seconds: &'static str| {
            let sts = sts.clone();
            async move {
                let arn = format!("arn:aws:iam::000000000000:role/{role}");
                let parameters = [("RoleArn", arn.as_str()), ("RoleSessionName", "me"), ("DurationSeconds", seconds)];
                call(&*sts, None, "AssumeRole", &parameters).await
            }
        };
        let xml = assume("open", "900").await.unwrap();
        assert_eq!(texts(&xml, "Arn"), ["arn:aws:sts::000000000000:assumed-role/open/me"]);
        let key = texts(&xml, "AccessKeyId").remove(0);
        assert!(key.starts_with("ASIA") && key.len() == 20, "{key}");
        let xml = call(&*sts, Some(&key), "GetCallerIdentity", &[]).await.unwrap();
        assert_eq!(texts(&xml, "Arn"), ["arn:aws:sts::000000000000:assumed-role/open/me"]);

        for (role, seconds, status, message) in [
            (
                "closed",
                "900",
                403,
                "User: arn:aws:iam::000000000000:user/local is not authorized to perform: sts:AssumeRole on \
                 resource: arn:aws:iam::000000000000:role/closed",
            ),
            ("open", "7200", 400, "The requested DurationSeconds exceeds the MaxSessionDuration set for this role."),
        ] {
            let error = assume(role, seconds).await.unwrap_err();
            assert_eq!((error.status, error.message.as_str()), (status, message));
        }
    }

    #[test]
    fn invalid_arns_get_aws_errors() {
        for text in [
            "nothing-valid-in-here",
            "arn::b:::something/test-role",
            "arn:a::::something/test-role",
            "arn:a:::something/test-role",
            "arn:a:a::aaaaaaaaaa:",
        ] {
            let error = check_arn(text).unwrap_err();
            assert_eq!(
                (error.status, &*error.code, error.message),
                (400, "ValidationError", format!("{text} is invalid"))
            );
        }
        assert!(check_arn("arn:aws:iam::1:role").unwrap_err().message.contains("greater than or equal to 20"));
        check_arn("arn:aws:iam::000000000000:role/a:b").unwrap();
    }

    #[tokio::test]
    async fn a_session_token_is_the_callers_own() {
        let folder = tempfile::tempdir().unwrap();
        let (_, sts) = open(&folder);
        let xml = call(&*sts, None, "GetSessionToken", &[]).await.unwrap();
        let key = texts(&xml, "AccessKeyId").remove(0);
        let xml = call(&*sts, Some(&key), "GetCallerIdentity", &[]).await.unwrap();
        assert_eq!(texts(&xml, "Arn"), ["arn:aws:iam::000000000000:user/local"]);
    }

    #[tokio::test]
    async fn session_credentials_cannot_get_a_session_token() {
        let folder = tempfile::tempdir().unwrap();
        let (iam, sts) = open(&folder);
        create_role(&iam, "worker", r#"{"Service":"lambda.amazonaws.com"}"#).await;
        let issued = iam.issue("arn:aws:iam::000000000000:role/worker", "fn");
        let error = call(&*sts, Some(&issued.access_key_id), "GetSessionToken", &[]).await.unwrap_err();
        assert_eq!((error.status, &*error.code), (403, "AccessDenied"));
    }
}
