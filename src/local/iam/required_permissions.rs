//! The permissions that IAM's own operations need (Service Authorization Reference, "AWS Identity and Access
//! Management").

use super::{Iam, Role};
use crate::core::iam::need::{Need, creation};
use crate::local::context::CloudContext;
use crate::local::protocol::query::Query;
use crate::local::protocol::service::ServiceCall;

/// The operation on a resource.
fn operation_on(call: &ServiceCall, resource: impl Into<String>) -> Need {
    Need::new(action(call), resource)
}

fn action(call: &ServiceCall) -> String {
    format!("iam:{}", call.operation.name)
}

fn path(query: &Query) -> &str {
    query.get("Path").unwrap_or("/")
}

/// The operation on nothing in particular.
pub fn on_all(call: &ServiceCall) -> Vec<Need> {
    vec![operation_on(call, "*")]
}

/// The operation on the role, with the tags of the request. (`TagRole` needs nothing beside itself.)
pub fn on_role(iam: &Iam, call: &ServiceCall) -> Vec<Need> {
    let query = Query::read(&call.request);
    of_role(iam, &query, |arn| vec![operation_on(call, arn).with_tags(query.tags("Tags"))])
}

/// `CreateRole`, and `TagRole` for its tags.
pub fn creating_role(iam: &Iam, call: &ServiceCall) -> Vec<Need> {
    let query = Query::read(&call.request);
    of_role(iam, &query, |arn| creation(action(call), "iam:TagRole", arn, &query.tags("Tags")))
}

/// Permissions on the role that a request names, with what conditions can ask of it. Its ARN has a path, which the
/// request does not name if the role exists.
fn of_role(iam: &Iam, query: &Query, needs: impl Fn(String) -> Vec<Need>) -> Vec<Need> {
    let Some(name) = query.get("RoleName") else { return needs("*".to_owned()) };
    let state = iam.state.now();
    let role = state.roles.get(name);
    let arn = role.map_or_else(|| CloudContext::arn("iam", "", &format!("role{}{name}", path(query))), Role::arn);
    let with_conditions = |need: Need| {
        let tags = role.into_iter().flat_map(|role| &role.tags);
        let need = tags.fold(need, |need, (key, value)| {
            need.with(&format!("aws:ResourceTag/{key}"), value).with(&format!("iam:ResourceTag/{key}"), value)
        });
        let asked = [("PolicyArn", "iam:PolicyARN"), ("PermissionsBoundary", "iam:PermissionsBoundary")];
        asked.into_iter().fold(need, |need, (parameter, key)| match query.get(parameter) {
            Some(arn) => need.with(key, arn),
            None => need,
        })
    };
    needs(arn).into_iter().map(with_conditions).collect()
}

/// The operation on all roles. AWS names the path that is listed.
pub fn on_roles(call: &ServiceCall) -> Vec<Need> {
    vec![operation_on(call, CloudContext::arn("iam", "", "role/"))]
}

/// The operation on the policy, with the tags of the request.
pub fn on_policy(call: &ServiceCall) -> Vec<Need> {
    let query = Query::read(&call.request);
    vec![operation_on(call, query.get("PolicyArn").unwrap_or("*")).with_tags(query.tags("Tags"))]
}

/// `CreatePolicy`, and `TagPolicy` for its tags.
pub fn creating_policy(call: &ServiceCall) -> Vec<Need> {
    let query = Query::read(&call.request);
    let name = query.get("PolicyName").unwrap_or_default();
    let arn = CloudContext::arn("iam", "", &format!("policy{}{name}", path(&query)));
    creation(action(call), "iam:TagPolicy", arn, &query.tags("Tags"))
}

/// The operation on all policies. AWS names the path that is listed.
pub fn on_policies(call: &ServiceCall) -> Vec<Need> {
    vec![operation_on(call, CloudContext::arn("iam", "", "policy path /"))]
}

/// The operation on the user.
pub fn on_user(call: &ServiceCall) -> Vec<Need> {
    let query = Query::read(&call.request);
    let user = format!("user/{}", query.get("UserName").unwrap_or_default());
    vec![operation_on(call, CloudContext::arn("iam", "", &user))]
}

#[cfg(test)]
mod tests {
    use super::super::authorization::tests::{create_role, open};
    use super::*;
    use crate::local::protocol::service::AnyService;
    use crate::local::protocol::wire::Request;

    /// Actions and resources.
    type Pairs<'a> = &'a [(&'a str, &'a str)];

    #[tokio::test]
    async fn operations_need_their_action_on_their_role() {
        let folder = tempfile::tempdir().unwrap();
        let iam = open(&folder);
        create_role(&iam).await;
        let cases: &[(&str, &str, Pairs<'_>)] = &[
            ("GetRole", "RoleName=worker", &[("GetRole", "role/team/worker")]),
            ("CreateRole", "RoleName=new&Path=/a/", &[("CreateRole", "role/a/new")]),
            (
                "CreateRole",
                "RoleName=new&Tags.member.1.Key=a&Tags.member.1.Value=b",
                &[("CreateRole", "role/new"), ("TagRole", "role/new")],
            ),
            ("TagRole", "RoleName=worker&Tags.member.1.Key=a", &[("TagRole", "role/team/worker")]),
            ("ListRoles", "", &[("ListRoles", "role/")]),
            ("GetPolicy", "PolicyArn=arn:aws:iam::000000000000:policy/p", &[("GetPolicy", "policy/p")]),
            // A parameter of other operations does not change what is checked.
            (
                "DeletePolicy",
                "PolicyArn=arn:aws:iam::000000000000:policy/p&RoleName=worker",
                &[("DeletePolicy", "policy/p")],
            ),
            ("CreatePolicy", "PolicyName=p", &[("CreatePolicy", "policy/p")]),
            ("GetUser", "UserName=local", &[("GetUser", "user/local")]),
        ];
        for (operation, form, expected) in cases {
            let needs: Vec<_> =
                needs(&iam, operation, form).into_iter().map(|need| (need.action, need.resource)).collect();
            let expected: Vec<_> = expected
                .iter()
                .map(|(action, resource)| (format!("iam:{action}"), CloudContext::arn("iam", "", resource)))
                .collect();
            assert_eq!(needs, expected, "{operation} {form}");
        }
        assert_eq!(
            needs(&iam, "GetAccountAuthorizationDetails", ""),
            [Need::new("iam:GetAccountAuthorizationDetails", "*")]
        );
    }

    fn needs(iam: &Iam, operation: &str, form: &str) -> Vec<Need> {
        let request = Request::in_test("POST", "/", &format!("Action={operation}&{form}"));
        iam.needs(&iam.prepare(request).unwrap())
    }
}
