use std::time::Duration;

use super::*;
use crate::local::context::conditions::Conditions;
use crate::local::context::store::Store;
use crate::local::protocol::query::testing::{call, texts};

const TRUST: &str =
    r#"{"Statement":[{"Effect":"Allow","Principal":{"Service":"lambda.amazonaws.com"},"Action":"sts:AssumeRole"}]}"#;
const GRANT: &str = r#"{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"s3:*","Resource":"*"}]}"#;
const BASIC: &str = "arn:aws:iam::aws:policy/service-role/AWSLambdaBasicExecutionRole";

fn open(folder: &tempfile::TempDir, spread: Duration) -> Arc<Iam> {
    let mut conditions = Conditions::default();
    conditions.eventual.iam_role_assumable = spread;
    let context = CloudContext {
        port: 0,
        hosts: Default::default(),
        store: Store::open(folder.path()).unwrap(),
        conditions: Arc::new(conditions),
        ca_bundle: folder.path().join("ca.pem"),
        recorder: Arc::default(),
    };
    Iam::open(&context).unwrap()
}

/// An IAM with the role `worker`.
async fn with_role() -> (tempfile::TempDir, Arc<Iam>) {
    let folder = tempfile::tempdir().unwrap();
    let iam = open(&folder, Duration::ZERO);
    call(&*iam, None, "CreateRole", &[("RoleName", "worker"), ("AssumeRolePolicyDocument", TRUST)]).await.unwrap();
    (folder, iam)
}

#[tokio::test]
async fn a_role_is_made_read_and_deleted() {
    let folder = tempfile::tempdir().unwrap();
    let iam = open(&folder, Duration::ZERO);
    let made = call(
        &*iam,
        None,
        "CreateRole",
        &[
            ("RoleName", "worker"),
            ("Path", "/app/"),
            ("AssumeRolePolicyDocument", TRUST),
            ("Description", "a <worker>"),
            ("MaxSessionDuration", "7200"),
            ("PermissionsBoundary", "arn:aws:iam::aws:policy/PowerUserAccess"),
            ("Tags.member.1.Key", "stack"),
            ("Tags.member.1.Value", "chat"),
        ],
    )
    .await
    .unwrap();
    assert_eq!(texts(&made, "Arn"), ["arn:aws:iam::000000000000:role/app/worker"]);
    assert_eq!(texts(&made, "MaxSessionDuration"), Vec::<String>::new());
    drop(iam);

    let iam = open(&folder, Duration::ZERO);
    let read = call(&*iam, None, "GetRole", &[("RoleName", "worker")]).await.unwrap();
    assert_eq!(texts(&read, "RoleId"), texts(&made, "RoleId"));
    assert_eq!(texts(&read, "Description"), ["a &lt;worker&gt;"]);
    assert_eq!(texts(&read, "MaxSessionDuration"), ["7200"]);
    assert_eq!(texts(&read, "PermissionsBoundaryArn"), ["arn:aws:iam::aws:policy/PowerUserAccess"]);
    assert_eq!((texts(&read, "Key"), texts(&read, "Value")), (vec!["stack".into()], vec!["chat".into()]));
    assert!(texts(&read, "AssumeRolePolicyDocument")[0].starts_with("%7B%22Statement%22%3A%5B"));

    call(&*iam, None, "DeleteRole", &[("RoleName", "worker")]).await.unwrap();
    let error = call(&*iam, None, "GetRole", &[("RoleName", "worker")]).await.unwrap_err();
    assert_eq!(
        (error.status, &*error.code, &*error.message),
        (404, "NoSuchEntity", "The role with name worker cannot be found.")
    );
}

#[tokio::test]
async fn only_existing_aws_managed_policies_can_be_attached() {
    let (_folder, iam) = with_role().await;
    let attach = async |arn: &str| {
        let parameters = [("RoleName", "worker"), ("PolicyArn", arn)];
        let refusal = call(&*iam, None, "AttachRolePolicy", &parameters).await.err()?;
        Some((refusal.status, refusal.code.to_string(), refusal.message))
    };
    assert_eq!(attach(BASIC).await, None);
    for name in
        ["AWSLambdaBasicExecutionRole", "service-role/AWSLambdaBasicExecutionRol", "AmazonDynamoDbFullAccess", ""]
    {
        let arn = format!("arn:aws:iam::aws:policy/{name}");
        let message = format!("Policy {arn} does not exist or is not attachable.");
        assert_eq!(attach(&arn).await, Some((404, "NoSuchEntity".to_owned(), message)));
        let refusal = call(&*iam, None, "GetPolicy", &[("PolicyArn", &arn)]).await.unwrap_err();
        assert_eq!((refusal.status, &*refusal.code), (404, "NoSuchEntity"));
    }
    let linked = attach("arn:aws:iam::aws:policy/aws-service-role/APIGatewayServiceRolePolicy").await.unwrap();
    assert_eq!((linked.0, &*linked.1), (400, "PolicyNotAttachable"));
    let role = "arn:aws:iam::000000000000:role/worker";
    let message = format!("ARN {role} is not valid.");
    assert_eq!(attach(role).await, Some((400, "ValidationError".to_owned(), message)));
}

#[tokio::test]
async fn errors_have_aws_codes_and_messages() {
    let (_folder, iam) = with_role().await;
    call(&*iam, None, "CreatePolicy", &[("PolicyName", "mine"), ("PolicyDocument", GRANT)]).await.unwrap();
    let long = "x".repeat(65);
    let mine = "arn:aws:iam::000000000000:policy/mine";
    let none = "arn:aws:iam::000000000000:policy/none";
    type Case<'a> = (&'a str, &'a [(&'a str, &'a str)], u16, &'a str, &'a str);
    let cases: &[Case<'_>] = &[
        (
            "CreateRole",
            &[("RoleName", "WORKER"), ("AssumeRolePolicyDocument", TRUST)],
            409,
            "EntityAlreadyExists",
            "Role with name WORKER already exists.",
        ),
        (
            "CreateRole",
            &[("RoleName", &long), ("AssumeRolePolicyDocument", TRUST)],
            400,
            "ValidationError",
            "1 validation error detected: Value 'xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx' at \
             'roleName' failed to satisfy constraint: Member must have length less than or equal to 64",
        ),
        (
            "CreateRole",
            &[("RoleName", "new"), ("AssumeRolePolicyDocument", "{")],
            400,
            "MalformedPolicyDocument",
            "This policy contains invalid Json",
        ),
        (
            "CreateRole",
            &[
                ("RoleName", "new"),
                ("AssumeRolePolicyDocument", TRUST),
                ("Tags.member.1.Key", "a"),
                ("Tags.member.2.Key", "A"),
            ],
            400,
            "InvalidInput",
            "Duplicate tag keys found. Please note that Tag keys are case insensitive.",
        ),
        (
            "UpdateAssumeRolePolicy",
            &[("RoleName", "worker"), ("PolicyDocument", "{")],
            400,
            "MalformedPolicyDocument",
            "This policy contains invalid Json",
        ),
        (
            "AttachRolePolicy",
            &[("RoleName", "worker"), ("PolicyArn", none)],
            404,
            "NoSuchEntity",
            "Policy arn:aws:iam::000000000000:policy/none does not exist or is not attachable.",
        ),
        (
            "AttachRolePolicy",
            &[("RoleName", "worker"), ("PolicyArn", "longpolicynamebutnoarn")],
            400,
            "ValidationError",
            "Invalid ARN:  Could not be parsed!",
        ),
        (
            "DetachRolePolicy",
            &[("RoleName", "worker"), ("PolicyArn", mine)],
            404,
            "NoSuchEntity",
            "Policy arn:aws:iam::000000000000:policy/mine was not found.",
        ),
        (
            "DeleteRolePolicy",
            &[("RoleName", "worker"), ("PolicyName", "none")],
            404,
            "NoSuchEntity",
            "The role policy with name none cannot be found.",
        ),
        (
            "CreatePolicy",
            &[("PolicyName", "mine"), ("PolicyDocument", GRANT)],
            409,
            "EntityAlreadyExists",
            "A policy called mine already exists. Duplicate names are not allowed.",
        ),
        ("GetUser", &[("UserName", "eve")], 404, "NoSuchEntity", "The user with name eve cannot be found."),
        ("LaunchRockets", &[], 400, "InvalidAction", "Could not find operation LaunchRockets for version 2010-05-08"),
    ];
    for (operation, parameters, status, code, message) in cases {
        let error = call(&*iam, None, operation, parameters).await.unwrap_err();
        assert_eq!((error.status, &*error.code, &*error.message), (*status, *code, *message), "{operation}");
    }
}

#[tokio::test]
async fn a_role_with_policies_is_not_deleted() {
    let (_folder, iam) = with_role().await;
    let role = ("RoleName", "worker");
    let delete = async || call(&*iam, None, "DeleteRole", &[role]).await.map_err(|error| error.message);

    call(&*iam, None, "PutRolePolicy", &[role, ("PolicyName", "p"), ("PolicyDocument", GRANT)]).await.unwrap();
    call(&*iam, None, "AttachRolePolicy", &[role, ("PolicyArn", BASIC)]).await.unwrap();
    assert_eq!(delete().await.unwrap_err(), "Cannot delete entity, must detach all policies first.");
    call(&*iam, None, "DetachRolePolicy", &[role, ("PolicyArn", BASIC)]).await.unwrap();
    assert_eq!(delete().await.unwrap_err(), "Cannot delete entity, must delete policies first.");
    call(&*iam, None, "DeleteRolePolicy", &[role, ("PolicyName", "p")]).await.unwrap();
    delete().await.unwrap();
}

#[tokio::test]
async fn policies_and_tags_of_a_role_are_listed_in_full() {
    let (_folder, iam) = with_role().await;
    let role = ("RoleName", "worker");
    call(&*iam, None, "PutRolePolicy", &[role, ("PolicyName", "inline"), ("PolicyDocument", GRANT)]).await.unwrap();
    call(&*iam, None, "AttachRolePolicy", &[role, ("PolicyArn", BASIC)]).await.unwrap();
    call(&*iam, None, "TagRole", &[role, ("Tags.member.1.Key", "k"), ("Tags.member.1.Value", "v")]).await.unwrap();

    let xml = call(&*iam, None, "ListRolePolicies", &[role]).await.unwrap();
    assert!(xml.contains("<PolicyNames><member>inline</member></PolicyNames>"), "{xml}");
    let xml = call(&*iam, None, "ListAttachedRolePolicies", &[role]).await.unwrap();
    assert_eq!(texts(&xml, "PolicyName"), ["AWSLambdaBasicExecutionRole"]);
    let xml = call(&*iam, None, "GetRolePolicy", &[role, ("PolicyName", "inline")]).await.unwrap();
    assert!(texts(&xml, "PolicyDocument")[0].starts_with("%7B%22Version"), "{xml}");

    let details = [("Filter.member.1", "Role")];
    let xml = call(&*iam, None, "GetAccountAuthorizationDetails", &details).await.unwrap();
    assert_eq!(texts(&xml, "RoleName"), ["worker"]);
    assert_eq!(texts(&xml, "PolicyName"), ["inline", "AWSLambdaBasicExecutionRole"]);
    assert_eq!((texts(&xml, "Key"), texts(&xml, "Value")), (vec!["k".into()], vec!["v".into()]));

    call(&*iam, None, "UntagRole", &[role, ("TagKeys.member.1", "k")]).await.unwrap();
    let xml = call(&*iam, None, "ListRoleTags", &[role]).await.unwrap();
    assert!(xml.contains("<Tags></Tags>"), "{xml}");
}

#[tokio::test]
async fn an_update_changes_what_it_names() {
    let (_folder, iam) = with_role().await;
    let role = ("RoleName", "worker");
    call(&*iam, None, "UpdateRole", &[role, ("Description", "d"), ("MaxSessionDuration", "7200")]).await.unwrap();
    call(&*iam, None, "UpdateRole", &[role]).await.unwrap();
    let xml = call(&*iam, None, "GetRole", &[role]).await.unwrap();
    assert_eq!(
        (texts(&xml, "Description"), texts(&xml, "MaxSessionDuration")),
        (vec!["d".into()], vec!["7200".into()])
    );
}

#[tokio::test]
async fn lists_come_in_pages() {
    let folder = tempfile::tempdir().unwrap();
    let iam = open(&folder, Duration::ZERO);
    for name in ["a", "b", "c", "d", "e"] {
        call(&*iam, None, "CreateRole", &[("RoleName", name), ("AssumeRolePolicyDocument", TRUST)]).await.unwrap();
    }
    let mut names = Vec::new();
    let mut marker: Option<String> = None;
    let mut pages = 0;
    loop {
        let mut parameters = vec![("MaxItems", "2")];
        if let Some(marker) = &marker {
            parameters.push(("Marker", marker));
        }
        let xml = call(&*iam, None, "ListRoles", &parameters).await.unwrap();
        names.extend(texts(&xml, "RoleName"));
        pages += 1;
        marker = texts(&xml, "Marker").pop();
        assert_eq!(texts(&xml, "IsTruncated"), [marker.is_some().to_string()]);
        if marker.is_none() {
            break;
        }
    }
    assert_eq!((names.concat().as_str(), pages), ("abcde", 3));
}

#[tokio::test]
async fn a_role_is_assumable_after_the_propagation_delay() {
    let folder = tempfile::tempdir().unwrap();
    let arn = "arn:aws:iam::000000000000:role/worker";
    let slow = open(&folder, Duration::from_secs(3600));
    call(&*slow, None, "CreateRole", &[("RoleName", "worker"), ("AssumeRolePolicyDocument", TRUST)]).await.unwrap();
    assert!(!slow.assumable(arn, "lambda.amazonaws.com"));

    let fast = open(&folder, Duration::ZERO);
    assert!(fast.assumable(arn, "lambda.amazonaws.com"));
    assert!(!fast.assumable(arn, "ec2.amazonaws.com"));
    assert!(!fast.assumable("arn:aws:iam::000000000000:role/nobody", "lambda.amazonaws.com"));
}

#[tokio::test]
async fn the_number_of_stored_sessions_is_limited() {
    let (_folder, iam) = with_role().await;
    let issued: Vec<_> = (0..=2).map(|_| iam.issue("arn:aws:iam::000000000000:role/worker", "s")).collect();
    lock(&iam.sessions).extend((0..MAX_SESSIONS - 1).map(|index| Session {
        access_key: index.to_string(),
        secret: String::new(),
        token: String::new(),
        role_name: "worker".into(),
        role_id: "AROA".into(),
        name: "s".into(),
    }));
    let last = iam.issue("arn:aws:iam::000000000000:role/worker", "s");
    let known =
        |key: &str| iam.identity(&Caller { access_key: Some(key.to_owned()), region: String::new() }).role.is_some();
    assert_eq!(lock(&iam.sessions).len(), MAX_SESSIONS);
    assert!(!known(&issued[0].access_key_id) && known(&last.access_key_id));
}
