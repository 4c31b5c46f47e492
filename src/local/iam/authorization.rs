//! Calls checked against the policies of the caller.

use super::super::context::{ACCOUNT, CloudContext};
use super::{Iam, Role, State};
use crate::core::iam::evaluate::{Verdict, verdict};
use crate::core::iam::managed;
use crate::core::iam::need::Need;
use crate::local::context::ports::Authorizer;
use crate::local::protocol::wire::{ApiError, Request};

impl Authorizer for Iam {
    fn authorize(&self, service: &str, request: &Request, needs: &[Need]) -> Result<(), ApiError> {
        let who = self.identity(&request.caller);
        let Some(name) = &who.role else { return Ok(()) };
        let state = self.state.now();
        // A session outlives its role, but not its rights; a new role of that name is another role.
        let role = state.roles.get(name).filter(|role| who.user_id.starts_with(&role.id));
        for need in needs {
            let arn = role.map_or_else(|| CloudContext::arn("iam", "", &format!("role/{name}")), Role::arn);
            let need = need
                .clone()
                .with("aws:PrincipalArn", arn)
                .with("aws:PrincipalAccount", ACCOUNT)
                .with("aws:PrincipalType", "AssumedRole")
                .with("aws:userid", &who.user_id)
                .with("aws:RequestedRegion", &request.caller.region);
            if let Some(why) = refused(&state, role, &need) {
                return Err(refusal(service, &who.arn, &need, &why));
            }
        }
        Ok(())
    }
}

impl Iam {
    /// The first of `needs` that a role's policies do not allow, for calls that AWS makes as that role.
    pub(super) fn first_refused<'a>(&self, role_arn: &str, region: &str, needs: &'a [Need]) -> Option<&'a Need> {
        let state = self.state.now();
        let role = state.roles.values().find(|role| role.arn() == role_arn);
        needs.iter().find(|need| {
            let need = (*need)
                .clone()
                .with("aws:PrincipalArn", role_arn)
                .with("aws:PrincipalAccount", ACCOUNT)
                .with("aws:PrincipalType", "AssumedRole")
                .with("aws:RequestedRegion", region);
            refused(&state, role, &need).is_some()
        })
    }
}

/// Why a role may not do what is needed, as AWS ends its sentence; `None` where it may.
fn refused(state: &State, role: Option<&Role>, need: &Need) -> Option<String> {
    let action = &need.action;
    let Some(role) = role else { return Some(format!("because no identity-based policy allows the {action} action")) };
    let managed = role.attached.iter().filter_map(|arn| document(state, arn));
    match verdict(role.inline.values().map(String::as_str).chain(managed), need) {
        Verdict::Denied => return Some("with an explicit deny in an identity-based policy".to_owned()),
        Verdict::Unmentioned => return Some(format!("because no identity-based policy allows the {action} action")),
        Verdict::Allowed => {}
    }
    let boundary = role.boundary.as_deref()?;
    match verdict(document(state, boundary), need) {
        Verdict::Denied => Some("with an explicit deny in a permissions boundary".to_owned()),
        Verdict::Unmentioned => Some(format!("because no permissions boundary allows the {action} action")),
        Verdict::Allowed => None,
    }
}

/// The document of a managed policy.
fn document<'a>(state: &'a State, arn: &str) -> Option<&'a str> {
    let document = state.policies.get(arn).map(|policy| policy.document.as_str()).or_else(|| managed::document(arn));
    if document.is_none() {
        tracing::warn!("{arn} grants nothing here: its document is not known");
    }
    document
}

/// A refusal as each service words it. (IAM user guide, "Troubleshoot access denied error messages".)
fn refusal(service: &str, who: &str, need: &Need, why: &str) -> ApiError {
    let (action, resource) = (&need.action, &need.resource);
    let message = format!("User: {who} is not authorized to perform: {action} on resource: {resource} {why}");
    match service {
        "iam" | "s3" | "sts" | "cloudformation" => ApiError::new(403, "AccessDenied", message),
        "dynamodb" => ApiError::new(400, "com.amazon.coral.service#AccessDeniedException", message),
        "logs" => ApiError::new(400, "AccessDeniedException", message),
        "sns" => ApiError::new(403, "AuthorizationError", message),
        // The gateway itself refuses: it does not give reasons, and hides most of the account's number.
        "execute-api" => {
            let resource = resource.replacen(ACCOUNT, &format!("********{}", &ACCOUNT[8..]), 1);
            let message = format!("User: {who} is not authorized to perform: {action} on resource: {resource}");
            ApiError::new(403, "AccessDeniedException", message.clone()).with("Message", message)
        }
        _ => ApiError::new(403, "AccessDeniedException", message),
    }
}

#[cfg(test)]
pub mod tests {
    use std::sync::Arc;

    use http::{HeaderMap, Method};

    use super::*;
    use crate::local::context::ports::Roles;
    use crate::local::context::store::Store;
    use crate::local::protocol::query::testing::call;
    use crate::local::protocol::wire::Caller;

    const ALL: &str = r#"{"Version":"2012-10-17","Statement":{"Effect":"Allow","Action":"*","Resource":"*"}}"#;

    pub fn open(folder: &tempfile::TempDir) -> Arc<Iam> {
        Iam::open(&CloudContext {
            port: 0,
            hosts: Default::default(),
            store: Store::open(folder.path()).unwrap(),
            conditions: Arc::default(),
            ca_bundle: folder.path().join("ca.pem"),
            recorder: Arc::default(),
        })
        .unwrap()
    }

    pub async fn create_role(iam: &Iam) -> String {
        let trust = r#"{"Statement":{"Effect":"Allow","Principal":"*","Action":"sts:AssumeRole"}}"#;
        let parameters = [("RoleName", "worker"), ("Path", "/team/"), ("AssumeRolePolicyDocument", trust)];
        call(iam, None, "CreateRole", &parameters).await.unwrap();
        iam.issue("arn:aws:iam::000000000000:role/team/worker", "me").access_key_id
    }

    fn decide(iam: &Iam, key: &str, service: &str, need: Need) -> Result<(), ApiError> {
        let request = Request {
            method: Method::POST,
            path: "/".into(),
            query: Vec::new(),
            headers: HeaderMap::new(),
            body: Default::default(),
            file: None,
            caller: Caller { access_key: Some(key.to_owned()), region: "eu-west-1".into() },
        };
        iam.authorize(service, &request, &[need])
    }

    #[tokio::test]
    async fn a_role_may_do_what_its_policies_and_its_boundary_allow() {
        let folder = tempfile::tempdir().unwrap();
        let iam = open(&folder);
        let key = create_role(&iam).await;
        let why = |need: Need| decide(&iam, &key, "lambda", need).map_err(|error| error.message).err();
        let put = async |name: &str, document: &str| {
            let parameters = [("RoleName", "worker"), ("PolicyName", name), ("PolicyDocument", document)];
            call(&*iam, None, "PutRolePolicy", &parameters).await.unwrap();
        };
        let says = |why: &str| {
            Some(format!(
                "User: arn:aws:sts::000000000000:assumed-role/worker/me is not authorized to perform: lambda:ListTags on \
                 resource: * {why}"
            ))
        };
        let need = || Need::new("lambda:ListTags", "*");
        let unmentioned = says("because no identity-based policy allows the lambda:ListTags action");

        assert_eq!(why(need()), unmentioned);
        assert_eq!(decide(&iam, "AKIDANYBODY", "lambda", need()), Ok(()));

        put(
            "p",
            r#"{"Statement":{"Effect":"Allow","Action":"*","Resource":"*","Condition":{"StringEquals":{
            "aws:PrincipalArn":"arn:aws:iam::000000000000:role/team/worker","aws:RequestedRegion":"eu-west-1"}}}}"#,
        )
        .await;
        assert_eq!(why(need()), None);

        put("d", r#"{"Statement":{"Effect":"Deny","Action":"lambda:List*","Resource":"*"}}"#).await;
        assert_eq!(why(need()), says("with an explicit deny in an identity-based policy"));
        call(&*iam, None, "DeleteRolePolicy", &[("RoleName", "worker"), ("PolicyName", "d")]).await.unwrap();

        let bound = async |arn: &str| {
            call(&*iam, None, "PutRolePermissionsBoundary", &[("RoleName", "worker"), ("PermissionsBoundary", arn)])
                .await
                .unwrap();
        };
        bound("arn:aws:iam::aws:policy/IAMFullAccess").await;
        assert_eq!(why(need()), says("because no permissions boundary allows the lambda:ListTags action"));
        bound("arn:aws:iam::aws:policy/AdministratorAccess").await;
        assert_eq!(why(need()), None);
    }

    #[tokio::test]
    async fn managed_policies_count_and_a_session_does_not_inherit_a_new_role() {
        let folder = tempfile::tempdir().unwrap();
        let iam = open(&folder);
        let key = create_role(&iam).await;
        let may = |action: &str| decide(&iam, &key, "logs", Need::new(action, "*")).is_ok();
        let attach = async |arn: &str| {
            call(&*iam, None, "AttachRolePolicy", &[("RoleName", "worker"), ("PolicyArn", arn)]).await.unwrap();
        };
        attach("arn:aws:iam::aws:policy/service-role/AWSLambdaBasicExecutionRole").await;
        assert!(may("logs:PutLogEvents") && !may("sqs:SendMessage"));
        call(&*iam, None, "CreatePolicy", &[("PolicyName", "own"), ("PolicyDocument", ALL)]).await.unwrap();
        attach("arn:aws:iam::000000000000:policy/own").await;
        assert!(may("sqs:SendMessage"));

        for arn in ["aws:policy/service-role/AWSLambdaBasicExecutionRole", "000000000000:policy/own"] {
            let arn = format!("arn:aws:iam::{arn}");
            call(&*iam, None, "DetachRolePolicy", &[("RoleName", "worker"), ("PolicyArn", &arn)]).await.unwrap();
        }
        call(&*iam, None, "DeleteRole", &[("RoleName", "worker")]).await.unwrap();
        let new = create_role(&iam).await;
        attach("arn:aws:iam::000000000000:policy/own").await;
        assert!(!may("sqs:SendMessage"));
        assert_eq!(decide(&iam, &new, "logs", Need::new("sqs:SendMessage", "*")), Ok(()));
    }

    #[tokio::test]
    async fn every_service_refuses_in_its_own_way() {
        let folder = tempfile::tempdir().unwrap();
        let iam = open(&folder);
        let key = create_role(&iam).await;
        let cases = [
            ("iam", 403, "AccessDenied"),
            ("sts", 403, "AccessDenied"),
            ("cloudformation", 403, "AccessDenied"),
            ("lambda", 403, "AccessDeniedException"),
            ("apigatewayv2", 403, "AccessDeniedException"),
            ("logs", 400, "AccessDeniedException"),
            ("dynamodb", 400, "com.amazon.coral.service#AccessDeniedException"),
        ];
        for (service, status, code) in cases {
            let error = decide(&iam, &key, service, Need::new("a:B", "*")).unwrap_err();
            assert_eq!((error.status, &*error.code), (status, code), "{service}");
        }
        let need =
            Need::new("execute-api:ManageConnections", "arn:aws:execute-api:eu-west-1:000000000000:x/dev/POST/y");
        assert_eq!(
            decide(&iam, &key, "execute-api", need).unwrap_err().message,
            "User: arn:aws:sts::000000000000:assumed-role/worker/me is not authorized to perform: \
             execute-api:ManageConnections on resource: arn:aws:execute-api:eu-west-1:********0000:x/dev/POST/y"
        );
    }
}
