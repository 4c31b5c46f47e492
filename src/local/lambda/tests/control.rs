//! Tests of the control plane.

use super::*;
use crate::local::context::ports::Functions;

const FUNCTION: &str = "/2015-03-31/functions/chat";
/// Longer than any test.
const LONG: Duration = Duration::from_secs(3600);

#[tokio::test]
async fn a_new_function_shows_all_that_aws_shows() {
    let cloud = Cloud::with(LONG, Duration::ZERO, ExecutionTimings::default());
    let archive = BASE64_STANDARD.decode(code("one")).unwrap();
    let mut created = cloud
        .create(json!({ "Tags": { "a": "b" }, "Environment": { "Variables": { "TABLE": "t" } }, "Timeout": 10 }))
        .await
        .unwrap();
    let modified = created["LastModified"].take();
    assert!(modified.as_str().unwrap().ends_with("+0000"), "{modified}");
    assert_eq!(created["RevisionId"].take().as_str().unwrap().len(), 36);
    created["RuntimeVersionConfig"].take();
    let sha256 = super::super::packages::Packages::check(&archive).unwrap().sha256;
    let expected = json!({
        "FunctionName": "chat", "FunctionArn": ARN, "Runtime": "provided.al2023", "Role": ROLE, "Handler": "bootstrap",
        "CodeSize": archive.len(), "Description": "", "Timeout": 10, "MemorySize": 128, "LastModified": null,
        "CodeSha256": sha256, "Version": "$LATEST", "Environment": { "Variables": { "TABLE": "t" } },
        "TracingConfig": { "Mode": "PassThrough" }, "RevisionId": null, "State": "Pending",
        "StateReason": "The function is being created.", "StateReasonCode": "Creating", "PackageType": "Zip",
        "Architectures": ["x86_64"], "EphemeralStorage": { "Size": 512 },
        "SnapStart": { "ApplyOn": "None", "OptimizationStatus": "Off" }, "RuntimeVersionConfig": null,
        "LoggingConfig": { "LogFormat": "Text", "LogGroup": "/aws/lambda/chat" },
    });
    assert_eq!(created, expected);
    let shown = cloud.get(FUNCTION).await.unwrap();
    assert_eq!(shown["Tags"], json!({ "a": "b" }));
    assert_eq!(shown["Code"]["RepositoryType"], "S3");
    let location = shown["Code"]["Location"].as_str().unwrap();
    let path = location.strip_prefix("http://localhost:4321").unwrap();
    assert_eq!(cloud.send(Method::GET, path, &[], Vec::new()).await.unwrap().body, archive);
}

#[tokio::test]
async fn pending_refuses_all_but_permissions() {
    let cloud = Cloud::with(LONG, Duration::ZERO, ExecutionTimings::default());
    cloud.create(json!({})).await.unwrap();
    let pending = (
        409,
        "ResourceConflictException".to_owned(),
        "The operation cannot be performed at this time. The function is currently in the following state: Pending"
            .to_owned(),
    );
    assert_eq!(refused(cloud.invoke(json!({})).await), pending);
    assert_eq!(
        refused(cloud.call(Method::PUT, &format!("{FUNCTION}/configuration"), json!({ "Timeout": 5 })).await),
        pending
    );
    assert_eq!(
        refused(cloud.call(Method::PUT, &format!("{FUNCTION}/code"), json!({ "ZipFile": code("two") })).await),
        pending
    );
    let permission =
        json!({ "StatementId": "s", "Action": "lambda:InvokeFunction", "Principal": "apigateway.amazonaws.com" });
    cloud.call(Method::POST, &format!("{FUNCTION}/policy"), permission).await.unwrap();
}

/// Recorded on AWS (LocalStack's snapshots of `test_function_revisions_*`).
#[tokio::test]
async fn the_revision_changes_with_every_state_and_with_policies_and_versions() {
    let pending = Duration::from_millis(50);
    let cloud = Cloud::with(pending, pending, ExecutionTimings::default());
    let revision = |of: &Value| of["RevisionId"].as_str().unwrap().to_owned();
    let settled = |qualifier: &'static str| {
        let cloud = &cloud;
        async move {
            loop {
                let shown = cloud.get(&format!("{FUNCTION}/configuration{qualifier}")).await.unwrap();
                if shown["State"] == "Active" && shown["LastUpdateStatus"] == "Successful" {
                    return revision(&shown);
                }
                tokio::time::sleep(Duration::from_millis(2)).await;
            }
        }
    };
    let mut seen = vec![revision(&cloud.create(json!({})).await.unwrap()), settled("").await];
    let change = |path: &'static str, mut body: Value, seen: &[String]| {
        body["RevisionId"] = json!(seen.last());
        cloud.call(Method::PUT, path, body)
    };
    let code_target = "/2015-03-31/functions/chat/code";
    seen.push(revision(&change(code_target, json!({ "ZipFile": code("two") }), &seen).await.unwrap()));
    seen.push(settled("").await);
    let configuration = "/2015-03-31/functions/chat/configuration";
    seen.push(revision(&change(configuration, json!({ "Timeout": 9 }), &seen).await.unwrap()));
    seen.push(settled("").await);

    let body = json!({ "RevisionId": seen.last() });
    let version = revision(&cloud.call(Method::POST, &format!("{FUNCTION}/versions"), body).await.unwrap());
    assert_eq!(settled("?Qualifier=1").await, version, "a version's own does not change when it becomes active");
    seen.push(version);
    seen.push(settled("").await);

    let permission = json!({ "StatementId": "s", "Action": "lambda:InvokeFunction", "Principal": "*" });
    let mut body = permission.clone();
    body["RevisionId"] = json!(seen.last());
    cloud.call(Method::POST, &format!("{FUNCTION}/policy"), body).await.unwrap();
    seen.push(settled("").await);
    assert_eq!(revision(&cloud.get(&format!("{FUNCTION}/policy")).await.unwrap()), *seen.last().unwrap());
    let target = format!("{FUNCTION}/policy/s?RevisionId={}", seen.last().unwrap());
    cloud.call(Method::DELETE, &target, Value::Null).await.unwrap();
    seen.push(settled("").await);

    let latest = seen.last().unwrap().clone();
    let alias = json!({ "Name": "live", "FunctionVersion": "1" });
    seen.push(revision(&cloud.call(Method::POST, &format!("{FUNCTION}/aliases"), alias).await.unwrap()));
    let mut body = permission;
    body["RevisionId"] = json!(seen.last());
    cloud.call(Method::POST, &format!("{FUNCTION}/policy?Qualifier=live"), body).await.unwrap();
    seen.push(revision(&cloud.get(&format!("{FUNCTION}/policy?Qualifier=live")).await.unwrap()));
    assert_eq!(revision(&cloud.get(&format!("{FUNCTION}/aliases/live")).await.unwrap()), *seen.last().unwrap());
    assert_eq!(settled("").await, latest, "an alias is not of $LATEST");

    let different: std::collections::BTreeSet<&String> = seen.iter().collect();
    assert_eq!(different.len(), seen.len(), "{seen:?}");
}

#[tokio::test]
async fn a_published_version_is_pending_first() {
    let cloud = Cloud::with(Duration::ZERO, LONG, ExecutionTimings::default());
    cloud.create(json!({})).await.unwrap();
    let target = format!("{FUNCTION}/code");
    let published = cloud.call(Method::PUT, &target, json!({ "ZipFile": code("two"), "Publish": true })).await.unwrap();
    assert_eq!(
        (published["Version"].clone(), published["FunctionArn"].clone()),
        (json!("1"), json!(format!("{ARN}:1")))
    );
    assert_eq!(
        (published["State"].clone(), published["StateReasonCode"].clone()),
        (json!("Pending"), json!("Creating"))
    );
    assert!(published.get("LastUpdateStatus").is_none());
    assert_eq!(cloud.get(FUNCTION).await.unwrap()["Configuration"]["LastUpdateStatus"], "InProgress");

    let slow = Cloud::with(Duration::from_millis(50), Duration::ZERO, ExecutionTimings::default());
    slow.create(json!({})).await.unwrap();
    let active = async || slow.get(FUNCTION).await.unwrap()["Configuration"]["State"] == "Active";
    eventually("the function is active", active).await;
    let published = slow.call(Method::POST, &format!("{FUNCTION}/versions"), json!({})).await.unwrap();
    assert_eq!(published["State"], "Pending");
}

#[tokio::test]
async fn retired_runtimes_run_where_the_conditions_are_lenient() {
    let strict = Cloud::new();
    let retired = json!({ "Runtime": "nodejs14.x" });
    assert_eq!(refused(strict.create(retired.clone()).await).1, "InvalidParameterValueException");
    strict.create(json!({})).await.unwrap();
    let target = format!("{FUNCTION}/configuration");
    let refusal = refused(strict.call(Method::PUT, &target, retired.clone()).await);
    assert!(refusal.2.starts_with("The runtime parameter of nodejs14.x is no longer supported"), "{}", refusal.2);

    let mut conditions = Conditions::default();
    conditions.lenient.runtimes = true;
    let lenient = Cloud::under(conditions, ExecutionTimings::default());
    assert_eq!(lenient.create(retired).await.unwrap()["Runtime"], "nodejs14.x");
    assert_eq!(refused(lenient.create(json!({ "Runtime": "rust" })).await).1, "InvalidParameterValueException");
}

#[tokio::test]
async fn an_update_in_progress_refuses_the_next() {
    let cloud = Cloud::with(Duration::ZERO, LONG, ExecutionTimings::default());
    let created = cloud.create(json!({})).await.unwrap();
    assert_eq!((created["State"].clone(), created["LastUpdateStatus"].clone()), (json!("Active"), json!("Successful")));
    let target = format!("{FUNCTION}/configuration");
    let updated = cloud.call(Method::PUT, &target, json!({ "Timeout": 5 })).await.unwrap();
    assert_eq!(updated["LastUpdateStatus"], "InProgress");
    assert_eq!(updated["State"], "Active");
    assert_eq!(updated["Timeout"], 5);
    assert_ne!(updated["RevisionId"], created["RevisionId"]);
    let message =
        format!("The operation cannot be performed at this time. An update is in progress for resource: {ARN}");
    let expected = (409, "ResourceConflictException".to_owned(), message);
    assert_eq!(refused(cloud.call(Method::PUT, &target, json!({ "Timeout": 6 })).await), expected);
    assert_eq!(
        refused(cloud.call(Method::PUT, &format!("{FUNCTION}/code"), json!({ "ZipFile": code("two") })).await),
        expected
    );
}

#[tokio::test]
async fn a_dry_run_and_a_refusal_change_nothing() {
    let cloud = Cloud::new();
    cloud.create(json!({})).await.unwrap();
    let before = cloud.get(FUNCTION).await.unwrap();
    let target = format!("{FUNCTION}/code");
    let rehearsed = cloud.call(Method::PUT, &target, json!({ "ZipFile": code("two"), "DryRun": true })).await.unwrap();
    assert_ne!(rehearsed["CodeSha256"], before["Configuration"]["CodeSha256"]);
    for (body, status, code_) in [
        (json!({ "ZipFile": code("two"), "RevisionId": "stale" }), 412, "PreconditionFailedException"),
        (json!({ "ZipFile": BASE64_STANDARD.encode("no zip") }), 400, "InvalidParameterValueException"),
        (json!({ "S3Bucket": "b", "S3Key": "k" }), 400, "InvalidParameterValueException"),
        (json!({}), 400, "InvalidParameterValueException"),
        (json!({ "ZipFile": code("two"), "Architectures": ["mips"] }), 400, "ValidationException"),
    ] {
        let (status_, refused_code, _) = refused(cloud.call(Method::PUT, &target, body).await);
        assert_eq!((status_, refused_code.as_str()), (status, code_));
    }
    assert_eq!(cloud.get(FUNCTION).await.unwrap(), before);
}

#[tokio::test]
async fn creation_is_refused_in_lambdas_words() {
    let cloud = Cloud::new();
    for (more, status, code_, message) in [
        (
            json!({ "Role": "arn:aws:iam::000000000000:role/young" }),
            400,
            "InvalidParameterValueException",
            "The role defined for the function cannot be assumed by Lambda.",
        ),
        (
            json!({ "FunctionName": "x".repeat(65) }),
            400,
            "InvalidParameterValueException",
            "1 validation error detected: Value 'xxx",
        ),
        (json!({ "FunctionName": "a b" }), 400, "ValidationException", "1 validation error detected: Value 'a b'"),
        (
            json!({ "PackageType": "Image" }),
            400,
            "InvalidParameterValueException",
            "Please provide ImageUri when creating a function with packageType Image.",
        ),
    ] {
        let refusal = refused(cloud.create(more).await);
        assert_eq!((refusal.0, refusal.1.as_str()), (status, code_));
        assert!(refusal.2.starts_with(message), "{}", refusal.2);
    }
    cloud.create(json!({})).await.unwrap();
    let taken = (409, "ResourceConflictException".to_owned(), "Function already exist: chat".to_owned());
    assert_eq!(refused(cloud.create(json!({})).await), taken);
    let long = vec![b' '; 70_167_212];
    let (status, code_, message) = refused(cloud.send(Method::POST, "/2015-03-31/functions", &[], long).await);
    assert_eq!((status, code_.as_str()), (413, "RequestEntityTooLargeException"));
    assert_eq!(message, "Request must be smaller than 70167211 bytes for the CreateFunction operation");
}

#[tokio::test]
async fn unknown_functions_and_aliases_are_not_found() {
    let cloud = Cloud::new();
    for (method, target) in [
        (Method::GET, FUNCTION),
        (Method::GET, "/2015-03-31/functions/chat/configuration"),
        (Method::GET, "/2015-03-31/functions/chat/policy"),
        (Method::DELETE, FUNCTION),
        (Method::POST, "/2015-03-31/functions/chat/invocations"),
        (Method::GET, "/2017-03-31/tags/arn:aws:lambda:us-east-1:000000000000:function:chat"),
    ] {
        let refusal = refused(cloud.call(method, target, Value::Null).await);
        assert_eq!(
            refusal,
            (404, "ResourceNotFoundException".to_owned(), format!("Function not found: {ARN}")),
            "{target}"
        );
    }
    cloud.create(json!({})).await.unwrap();
    let (_, _, message) = refused(cloud.get("/2015-03-31/functions/chat?Qualifier=live").await);
    assert_eq!(message, format!("Function not found: {ARN}:live"));
    let (_, _, message) = refused(cloud.get("/2015-03-31/functions/chat/policy").await);
    assert_eq!(message, "The resource you requested does not exist.");
    assert_eq!(refused(cloud.get("/2015-03-31/layers").await).1, "UnknownOperationException");
}

#[tokio::test]
async fn refusals_carry_lambdas_body() {
    let cloud = Cloud::new();
    let body = |refusal: &ApiError| -> Value {
        serde_json::from_slice(&cloud.lambda.protocol().error(refusal, "r").body).unwrap()
    };
    let missing = cloud.get(FUNCTION).await.unwrap_err();
    assert_eq!(body(&missing), json!({ "Type": "User", "Message": format!("Function not found: {ARN}") }));
    let invalid = cloud.create(json!({ "Handler": null })).await.unwrap_err();
    let message = "Runtime and Handler are mandatory parameters for functions created with deployment packages.";
    assert_eq!(body(&invalid), json!({ "Type": "User", "message": message }));
}

#[tokio::test]
async fn lists_come_in_pages() {
    let cloud = Cloud::new();
    for number in 0..7 {
        cloud.create(json!({ "FunctionName": format!("chat-{number}") })).await.unwrap();
    }
    let mut names = Vec::new();
    let mut target = "/2015-03-31/functions/?MaxItems=3".to_owned();
    let mut pages = 0;
    loop {
        let page = cloud.get(&target).await.unwrap();
        pages += 1;
        let functions = page["Functions"].as_array().unwrap();
        assert!(functions.iter().all(|function| function.get("State").is_none()));
        names.extend(functions.iter().map(|function| function["FunctionName"].as_str().unwrap().to_owned()));
        let Some(marker) = page["NextMarker"].as_str() else { break };
        target = format!("/2015-03-31/functions/?MaxItems=3&Marker={marker}");
    }
    assert_eq!(pages, 3);
    assert_eq!(names, (0..7).map(|number| format!("chat-{number}")).collect::<Vec<_>>());
}

#[tokio::test]
async fn permissions_are_added_read_and_removed() {
    let cloud = Cloud::new();
    cloud.create(json!({})).await.unwrap();
    let source = "arn:aws:execute-api:us-east-1:000000000000:abc/production/$connect";
    let permission = json!({
        "StatementId": "gateway", "Action": "lambda:InvokeFunction", "Principal": "apigateway.amazonaws.com",
        "SourceArn": "arn:aws:execute-api:us-east-1:000000000000:abc/*/$connect",
    });
    let permits = || cloud.lambda.permits(ARN, "apigateway.amazonaws.com", source);
    assert!(!permits());
    let target = format!("{FUNCTION}/policy");
    let added = cloud.call(Method::POST, &target, permission.clone()).await.unwrap();
    let statement: Value = serde_json::from_str(added["Statement"].as_str().unwrap()).unwrap();
    assert_eq!(statement["Resource"], ARN);
    assert!(permits());
    assert!(!cloud.lambda.permits(&format!("{ARN}:live"), "apigateway.amazonaws.com", source));
    assert_eq!(refused(cloud.call(Method::POST, &target, permission).await).0, 409);
    let policy = cloud.get(&target).await.unwrap();
    let document: Value = serde_json::from_str(policy["Policy"].as_str().unwrap()).unwrap();
    assert_eq!(document, json!({ "Version": "2012-10-17", "Id": "default", "Statement": [statement] }));
    let stale = cloud.call(Method::DELETE, &format!("{target}/gateway?RevisionId=stale"), Value::Null).await;
    assert_eq!(refused(stale).0, 412);
    cloud.call(Method::DELETE, &format!("{target}/gateway"), Value::Null).await.unwrap();
    assert!(!permits());
    assert_eq!(refused(cloud.get(&target).await).2, "The resource you requested does not exist.");
}

#[tokio::test]
async fn tags_are_added_and_removed() {
    let cloud = Cloud::new();
    cloud.create(json!({ "Tags": { "a": "1" } })).await.unwrap();
    let target = format!("/2017-03-31/tags/{}", ARN.replace(':', "%3A"));
    cloud.call(Method::POST, &target, json!({ "Tags": { "b": "2", "c": "3" } })).await.unwrap();
    cloud.call(Method::DELETE, &format!("{target}?tagKeys=a&tagKeys=c"), Value::Null).await.unwrap();
    assert_eq!(cloud.get(&target).await.unwrap(), json!({ "Tags": { "b": "2" } }));
    let many: serde_json::Map<String, Value> = (0..50).map(|number| (number.to_string(), json!(""))).collect();
    let refusal = refused(cloud.call(Method::POST, &target, json!({ "Tags": many })).await);
    assert_eq!(refusal.2, "Number of tags exceeds resource tag limit.");
    assert_eq!(cloud.get(&target).await.unwrap(), json!({ "Tags": { "b": "2" } }));
}

#[tokio::test]
async fn versions_are_snapshots_and_aliases_point_to_them() {
    let cloud = Cloud::new();
    cloud.create(json!({})).await.unwrap();
    let versions = format!("{FUNCTION}/versions");
    let first = cloud.call(Method::POST, &versions, json!({})).await.unwrap();
    assert_eq!((first["Version"].clone(), first["FunctionArn"].clone()), (json!("1"), json!(format!("{ARN}:1"))));
    let again = cloud.call(Method::POST, &versions, json!({})).await.unwrap();
    assert_eq!(again["Version"], "1", "nothing has changed since");
    let again = cloud.call(Method::POST, &versions, json!({ "Description": "mine" })).await.unwrap();
    assert_eq!((again["Version"].clone(), again["Description"].clone()), (json!("1"), json!("")));
    cloud.call(Method::PUT, &format!("{FUNCTION}/configuration"), json!({ "Timeout": 9 })).await.unwrap();
    assert_eq!(cloud.call(Method::POST, &versions, json!({})).await.unwrap()["Version"], "2");
    let listed = cloud.get(&versions).await.unwrap();
    let numbers: Vec<&str> =
        listed["Versions"].as_array().unwrap().iter().map(|version| version["Version"].as_str().unwrap()).collect();
    assert_eq!(numbers, ["$LATEST", "1", "2"]);

    let aliases = format!("{FUNCTION}/aliases");
    cloud.call(Method::POST, &aliases, json!({ "Name": "live", "FunctionVersion": "1" })).await.unwrap();
    let live = cloud.get("/2015-03-31/functions/chat:live").await.unwrap();
    assert_eq!(live["Configuration"]["Version"], "1");
    assert_eq!(live["Configuration"]["FunctionArn"], format!("{ARN}:live"));
    assert_eq!(live["Configuration"]["Timeout"], 30);
    assert!(cloud.lambda.exists(&format!("{ARN}:live")) && cloud.lambda.exists(&format!("{ARN}:2")));
    assert!(!cloud.lambda.exists(&format!("{ARN}:3")) && !cloud.lambda.exists(&format!("{ARN}:test")));
    assert_eq!(refused(cloud.call(Method::DELETE, &format!("{FUNCTION}?Qualifier=1"), Value::Null).await).0, 409);
    cloud.call(Method::PUT, &format!("{aliases}/live"), json!({ "FunctionVersion": "2" })).await.unwrap();
    assert_eq!(cloud.get("/2015-03-31/functions/chat:live").await.unwrap()["Configuration"]["Timeout"], 9);
    cloud.call(Method::DELETE, &format!("{FUNCTION}?Qualifier=1"), Value::Null).await.unwrap();
    assert!(!cloud.lambda.exists(&format!("{ARN}:1")));
    cloud.call(Method::DELETE, &format!("{aliases}/live"), Value::Null).await.unwrap();
    assert_eq!(cloud.get(&aliases).await.unwrap(), json!({ "Aliases": [] }));
}

#[tokio::test]
async fn a_description_alone_makes_a_version() {
    let cloud = Cloud::new();
    cloud.create(json!({ "Description": "first" })).await.unwrap();
    let versions = format!("{FUNCTION}/versions");
    let publish = async |body: Value| {
        let published = cloud.call(Method::POST, &versions, body).await.unwrap();
        [published["Version"].clone(), published["Description"].clone()]
    };
    assert_eq!(publish(json!({ "Description": "own" })).await, ["1", "own"]);
    assert_eq!(publish(json!({})).await, ["1", "own"], "the version's description is its own");
    cloud.call(Method::PUT, &format!("{FUNCTION}/configuration"), json!({ "Description": "second" })).await.unwrap();
    assert_eq!(publish(json!({})).await, ["2", "second"]);
    cloud.call(Method::PUT, &format!("{FUNCTION}/configuration"), json!({ "Description": "own" })).await.unwrap();
    assert_eq!(publish(json!({})).await, ["3", "own"]);
    assert_eq!(publish(json!({ "Description": "other" })).await, ["3", "own"]);
}

#[tokio::test]
async fn versions_and_aliases_have_lambdas_limits() {
    let cloud = Cloud::new();
    cloud.create(json!({})).await.unwrap();
    let (versions, aliases) = (format!("{FUNCTION}/versions"), format!("{FUNCTION}/aliases"));
    let long = "x".repeat(257);
    for (target, body, member) in [
        (&versions, json!({ "Description": long }), "description"),
        (&aliases, json!({ "Name": "a", "FunctionVersion": "$LATEST", "Description": long }), "description"),
        (&aliases, json!({ "Name": "a", "FunctionVersion": "live" }), "functionVersion"),
    ] {
        let refusal = refused(cloud.call(Method::POST, target, body).await);
        assert_eq!((refusal.0, &*refusal.1), (400, "ValidationException"));
        assert!(refusal.2.contains(&format!("at '{member}' failed to satisfy constraint")), "{}", refusal.2);
    }
}

#[tokio::test]
async fn the_state_survives_a_restart() {
    let mut cloud = Cloud::with(Duration::ZERO, Duration::ZERO, ExecutionTimings::default());
    cloud.create(json!({ "Tags": { "a": "b" } })).await.unwrap();
    let permission =
        json!({ "StatementId": "s", "Action": "lambda:InvokeFunction", "Principal": "apigateway.amazonaws.com" });
    cloud.call(Method::POST, &format!("{FUNCTION}/policy"), permission).await.unwrap();
    cloud.call(Method::POST, &format!("{FUNCTION}/versions"), json!({})).await.unwrap();
    let before = [cloud.get(FUNCTION).await.unwrap(), cloud.get(&format!("{FUNCTION}/policy")).await.unwrap()];
    cloud.restart();
    let after = [cloud.get(FUNCTION).await.unwrap(), cloud.get(&format!("{FUNCTION}/policy")).await.unwrap()];
    assert_eq!(after, before);
    assert_eq!(cloud.result(json!({ "do": "version" })).await, "one");
}

#[tokio::test]
async fn a_deleted_function_is_gone() {
    let cloud = Cloud::new();
    cloud.create(json!({})).await.unwrap();
    cloud.call(Method::DELETE, FUNCTION, Value::Null).await.unwrap();
    assert!(!cloud.lambda.exists(ARN));
    assert_eq!(cloud.get("/2015-03-31/functions").await.unwrap(), json!({ "Functions": [] }));
    cloud.create(json!({})).await.unwrap();
    assert!(cloud.get(&format!("{FUNCTION}/policy")).await.is_err(), "no policy is left over");
}
