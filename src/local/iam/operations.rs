//! The table of IAM's operations, and how they run.

use async_trait::async_trait;

use super::required_permissions::{
    creating_policy, creating_role, on_all, on_policies, on_policy, on_role, on_roles, on_user,
};
use super::{Answer, Iam, State, get_user, policies, roles, versions};
use crate::local::protocol::operation::OperationEffect;
use crate::local::protocol::query::{Query, answer};
use crate::local::protocol::service::Permissions::{Needs, NeedsByState};
use crate::local::protocol::service::{Permissions, Row, Service, ServiceCall};
use crate::local::protocol::wire::{ApiError, Protocol, Response};

const NAMESPACE: &str = "https://iam.amazonaws.com/doc/2010-05-08/";

/// The function that runs an operation.
#[derive(Clone, Copy)]
pub enum Run {
    Read(fn(&State, &Query) -> Answer),
    Change(fn(&mut State, &Query) -> Answer),
    /// Reads who the caller is, too.
    Ask(fn(&Iam, &Query) -> Answer),
}

use Run::{Ask, Change, Read};

/// All operations.
#[rustfmt::skip]
const OPERATIONS: &[Row<Iam>] = &[
    row("AttachRolePolicy", NeedsByState(on_role), Change(policies::attach_role_policy)),
    row("CreatePolicy", Needs(creating_policy), Change(policies::create_policy)),
    row("CreatePolicyVersion", Needs(on_policy), Change(versions::create_policy_version)),
    row("CreateRole", NeedsByState(creating_role), Change(roles::create_role)),
    row("DeletePolicy", Needs(on_policy), Change(policies::delete_policy)),
    row("DeletePolicyVersion", Needs(on_policy), Change(versions::delete_policy_version)),
    row("DeleteRole", NeedsByState(on_role), Change(roles::delete_role)),
    row("DeleteRolePermissionsBoundary", NeedsByState(on_role), Change(roles::delete_role_permissions_boundary)),
    row("DeleteRolePolicy", NeedsByState(on_role), Change(policies::delete_role_policy)),
    row("DetachRolePolicy", NeedsByState(on_role), Change(policies::detach_role_policy)),
    row("GetAccountAuthorizationDetails", Needs(on_all), Read(roles::get_account_authorization_details)),
    row("GetPolicy", Needs(on_policy), Read(policies::get_policy)),
    row("GetPolicyVersion", Needs(on_policy), Read(versions::get_policy_version)),
    row("GetRole", NeedsByState(on_role), Read(roles::get_role)),
    row("GetRolePolicy", NeedsByState(on_role), Read(policies::get_role_policy)),
    row("GetUser", Needs(on_user), Ask(get_user)),
    row("ListAttachedRolePolicies", NeedsByState(on_role), Read(policies::list_attached_role_policies)),
    row("ListEntitiesForPolicy", Needs(on_policy), Read(policies::list_entities_for_policy)),
    row("ListInstanceProfilesForRole", NeedsByState(on_role), Read(roles::list_instance_profiles_for_role)),
    row("ListPolicies", Needs(on_policies), Read(policies::list_policies)),
    row("ListPolicyTags", Needs(on_policy), Read(policies::list_policy_tags)),
    row("ListPolicyVersions", Needs(on_policy), Read(versions::list_policy_versions)),
    row("ListRolePolicies", NeedsByState(on_role), Read(policies::list_role_policies)),
    row("ListRoleTags", NeedsByState(on_role), Read(roles::list_role_tags)),
    row("ListRoles", Needs(on_roles), Read(roles::list_roles)),
    row("PutRolePermissionsBoundary", NeedsByState(on_role), Change(roles::put_role_permissions_boundary)),
    row("PutRolePolicy", NeedsByState(on_role), Change(policies::put_role_policy)),
    row("SetDefaultPolicyVersion", Needs(on_policy), Change(versions::set_default_policy_version)),
    row("TagPolicy", Needs(on_policy), Change(policies::tag_policy)),
    row("TagRole", NeedsByState(on_role), Change(roles::tag_role)),
    row("UntagPolicy", Needs(on_policy), Change(policies::untag_policy)),
    row("UntagRole", NeedsByState(on_role), Change(roles::untag_role)),
    row("UpdateAssumeRolePolicy", NeedsByState(on_role), Change(roles::update_assume_role_policy)),
    row("UpdateRole", NeedsByState(on_role), Change(roles::update_role)),
    row("UpdateRoleDescription", NeedsByState(on_role), Change(roles::update_role_description)),
];

const fn row(name: &'static str, permissions: Permissions<Iam>, run: Run) -> Row<Iam> {
    let effect = match run {
        Read(_) | Ask(_) => OperationEffect::Reads,
        Change(_) => OperationEffect::Changes,
    };
    Row::named(name, effect, permissions, run)
}

#[async_trait]
impl Service for Iam {
    type Run = Run;

    const NAME: &'static str = "iam";
    const PROTOCOL: Protocol = Protocol::Query(NAMESPACE);
    const OPERATIONS: &'static [Row<Self>] = OPERATIONS;

    async fn run(&self, run: Run, call: ServiceCall) -> Result<Response, ApiError> {
        let query = Query::read(&call.request);
        let result = match run {
            Read(read) => read(&self.state.now(), &query)?,
            Change(change) => self.state.change(|state| change(state, &query))?,
            Ask(ask) => ask(self, &query)?,
        };
        Ok(answer(NAMESPACE, call.operation.name, result))
    }
}
