//! AWS::Serverless::Function: a Lambda function, and a role unless it has one; a version and an alias, if requested.

use serde_json::{Map, Value, json};

use super::Type;
use super::expansion::Expansion;
use super::shape::{Property, Shape, truthy};
use super::{role, versions};
use crate::core::words::{Problem, ProblemKind};

/// The properties. Which of them `Globals` can give follows the translator.
pub const TYPE: Type = Type {
    name: "AWS::Serverless::Function",
    properties: &[
        Property::passed("Architectures", Shape::Any),
        Property::translated("AssumeRolePolicyDocument", Shape::Map),
        Property::translated("AutoPublishAlias", Shape::Text),
        Property::translated("AutoPublishAliasAllProperties", Shape::PlainBool),
        Property::translated("AutoPublishCodeSha256", Shape::Text).local(),
        Property::later("CapacityProviderConfig"),
        Property::passed("CodeSigningConfigArn", Shape::Any),
        Property::translated("CodeUri", Shape::Any),
        Property::translated("DeadLetterQueue", Shape::Map),
        Property::later("DeploymentPreference"),
        Property::passed("Description", Shape::Any),
        Property::passed("DurableConfig", Shape::Map),
        Property::passed("Environment", Shape::MapOfMaps),
        Property::passed("EphemeralStorage", Shape::Any),
        Property::later("EventInvokeConfig"),
        Property::later("Events").local(),
        Property::passed("FileSystemConfigs", Shape::Any),
        Property::passed("FunctionName", Shape::TextOrMap).local(),
        Property::later("FunctionScalingConfig"),
        Property::later("FunctionUrlConfig"),
        Property::passed("Handler", Shape::Any),
        Property::passed("ImageConfig", Shape::Any).local(),
        Property::translated("ImageUri", Shape::Any).local(),
        Property::translated("InlineCode", Shape::Any).local(),
        Property::passed("KmsKeyArn", Shape::Any),
        Property::passed("Layers", Shape::List),
        Property::passed("LoggingConfig", Shape::Any),
        Property::passed("MemorySize", Shape::Any),
        Property::passed("PackageType", Shape::Any).local(),
        Property::translated("PermissionsBoundary", Shape::Text),
        Property::translated("Policies", Shape::Policies).local(),
        Property::translated("PropagateTags", Shape::Bool),
        Property::translated("ProvisionedConcurrencyConfig", Shape::Any),
        Property::passed("PublishToLatestPublished", Shape::Any),
        Property::passed("RecursiveLoop", Shape::Any),
        Property::passed("ReservedConcurrentExecutions", Shape::Any),
        Property::passed("Role", Shape::Text).local(),
        Property::translated("RolePath", Shape::Any),
        Property::passed("Runtime", Shape::Any),
        Property::passed("RuntimeManagementConfig", Shape::Any),
        Property::passed("SnapStart", Shape::Map),
        Property::later("SourceKMSKeyArn"),
        Property::translated("Tags", Shape::Map),
        Property::passed("TenancyConfig", Shape::Any),
        Property::passed("Timeout", Shape::Any),
        Property::translated("Tracing", Shape::TextOrMap),
        Property::translated("VersionDeletionPolicy", Shape::DeleteOrRetain),
        Property::translated("VersionDescription", Shape::Any).local(),
        Property::passed("VpcConfig", Shape::Any),
    ],
    expand,
};

fn expand(expansion: &mut Expansion<'_>) {
    let mut function = expansion.passed();
    if expansion.given("FunctionName").is_none() {
        function.shift_remove("FunctionName");
    }
    package(expansion, &mut function);
    tenancy(expansion);
    let dead_letters = dead_letters(expansion);
    if let Some(target) = &dead_letters {
        function.insert("DeadLetterConfig".to_owned(), json!({ "TargetArn": target }));
        expansion.note(expansion.place("DeadLetterConfig"), &expansion.place("DeadLetterQueue"));
    }
    let tracing = tracing(expansion);
    if let Some(mode) = &tracing {
        function.insert("TracingConfig".to_owned(), json!({ "Mode": mode }));
        expansion.note(expansion.place("TracingConfig").key("Mode"), &expansion.place("Tracing"));
    }
    let mut tags = vec![expansion.sam_tag()];
    tags.extend(expansion.tag_list());
    function.insert("Tags".to_owned(), tags.clone().into());
    versions::publish(expansion, &mut function);
    // When tags are propagated, the translator drops its own.
    if expansion.given("PropagateTags").is_some() && tags.len() > 1 {
        tags.remove(0);
        function.insert("Tags".to_owned(), tags.clone().into());
    }
    expansion.note_tags(&expansion.place("Tags"), &tags);
    let role_id = format!("{}Role", expansion.logical_id);
    let role = role::make(expansion, &role_id, &tags, tracing.is_some());
    role::attach(expansion, &mut function, &role_id, role);
    expansion.make("AWS::Lambda::Function", function);
}

/// Sets `Code` of `function`, and checks the properties of each kind of package.
fn package(expansion: &mut Expansion<'_>, function: &mut Map<String, Value>) {
    let code = match expansion.given("PackageType") {
        Some(kind) if kind == "Image" => {
            for property in ["Handler", "Runtime", "Layers"] {
                if expansion.given(property).is_some() {
                    let what = format!("{property} is for code in a zip, and the PackageType is `Image`");
                    expansion.report(Problem::of_key(expansion.place(property), what));
                }
            }
            match expansion.given("ImageUri") {
                Some(uri) => Some((json!({ "ImageUri": uri }), Some("ImageUri"))),
                None => {
                    let problem = Problem::new(
                        expansion.path().key("Properties"),
                        "'ImageUri' must be given where the PackageType is `Image`",
                    );
                    expansion.report(match expansion.resource.metadata.get("DockerContext") {
                        Some(_) => problem.help(
                            "wschat builds no container images (DockerContext): build it with docker, push it to ECR, and give its ImageUri",
                        ),
                        None => problem,
                    });
                    function.shift_remove("PackageType");
                    expansion.faulty.extend(["Handler", "PackageType", "Runtime"]);
                    None
                }
            }
        }
        Some(kind) if kind != "Zip" => {
            let problem = Problem::new(expansion.place("PackageType"), "'PackageType' must be `Zip` or `Image`");
            expansion.report(problem);
            function.shift_remove("PackageType");
            expansion.faulty.insert("PackageType");
            None
        }
        _ => {
            for (property, example) in [("Handler", "index.handler"), ("Runtime", "nodejs24.x")] {
                if expansion.given(property).is_none() {
                    function.shift_remove(property);
                    expansion.missing_like(property, Some(example));
                }
            }
            if expansion.given("ImageConfig").is_some() {
                let what = "ImageConfig is for images, and the PackageType is `Zip`";
                expansion
                    .report(Problem::of_key(expansion.place("ImageConfig"), what).help("add \"PackageType: Image\""));
            }
            zip(expansion)
        }
    };
    if let Some((code, written)) = code {
        let place = written.map_or_else(|| expansion.path().key("Properties"), |written| expansion.place(written));
        expansion.note(expansion.place("Code"), &place);
        function.insert("Code".to_owned(), code);
    } else {
        // As in `Expansion::make`: the missing code has been reported.
        function.insert("Code".to_owned(), Value::Null);
    }
}

/// `Code` of a zip (inline text, an S3 object, or a local path) and the property that it comes from, if any.
fn zip(expansion: &mut Expansion<'_>) -> Option<(Value, Option<&'static str>)> {
    if let Some(inline) = expansion.get("InlineCode") {
        return Some((json!({ "ZipFile": inline }), Some("InlineCode")));
    }
    let Some(uri) = expansion.get("CodeUri") else {
        // The translator requires one; SAM's CLI, which runs before it, uses the template's folder.
        let meant = ["CodeUri", "InlineCode"].iter().any(|name| expansion.faulty.contains(name));
        return (!meant).then(|| (".".into(), None));
    };
    match location("CodeUri", uri) {
        Ok(code) => Some((code, Some("CodeUri"))),
        Err(what) => {
            expansion.problem("CodeUri", what);
            None
        }
    }
}

/// What a `property` names, in the form of `Code`: an S3 object, or a local path.
///
/// # Errors
/// Why it names nothing.
pub fn location(property: &str, uri: &Value) -> Result<Value, String> {
    match uri {
        Value::String(uri) if uri.contains("{{resolve:") => Err(format!("{property} cannot be a dynamic reference")),
        Value::String(uri) if uri.starts_with("s3://") => in_s3(uri).ok_or_else(|| {
            format!("{property} is not an S3 Uri of the form s3://bucket/key or s3://bucket/key?versionId=version")
        }),
        Value::String(uri) => Ok(uri.clone().into()),
        Value::Object(place) => {
            let parts = [
                ("S3Bucket", "Bucket"),
                ("S3Key", "Key"),
                ("S3ObjectVersion", "Version"),
                ("S3ObjectStorageMode", "StorageMode"),
            ];
            let given = parts.into_iter().filter_map(|(made, name)| Some((made.to_owned(), place.get(name)?.clone())));
            let whole = ["Bucket", "Key"].iter().all(|name| place.get(*name).is_some_and(truthy));
            if whole { Ok(given.collect()) } else { Err(format!("{property} as a map needs a Bucket and a Key")) }
        }
        _ => Err(format!("{property} must be a string (a path here, or an address in S3) or a map")),
    }
}

/// `s3://bucket/key?versionId=version` in the form of `Code`.
fn in_s3(uri: &str) -> Option<Value> {
    let uri = uri.strip_prefix("s3://")?;
    let uri = uri.split_once('#').map_or(uri, |(uri, _)| uri);
    let (place, query) = uri.split_once('?').unwrap_or((uri, ""));
    let (bucket, key) = place.split_once('/').filter(|(bucket, _)| !bucket.is_empty())?;
    let mut code = json!({ "S3Bucket": bucket, "S3Key": key.trim_start_matches('/') });
    let mut versions =
        form_urlencoded::parse(query.as_bytes()).filter(|(name, value)| name == "versionId" && !value.is_empty());
    if let (Some((_, version)), None) = (versions.next(), versions.next()) {
        code["S3ObjectVersion"] = version.into();
    }
    Some(code)
}

/// The tracing mode, unless it is off.
fn tracing(expansion: &mut Expansion<'_>) -> Option<Value> {
    let mut mode = expansion.given("Tracing")?.clone();
    let resolved = expansion.inline("Tracing", &mut mode);
    (resolved != "Disabled").then_some(mode)
}

/// The dead letter queue, for failed invocations.
fn dead_letters(expansion: &mut Expansion<'_>) -> Option<Value> {
    let queue = expansion.given("DeadLetterQueue")?;
    let given = |name: &str| queue.get(name).filter(|value| truthy(value));
    let (Some(kind), Some(target)) = (given("Type"), given("TargetArn")) else {
        expansion
            .problem("DeadLetterQueue", "'DeadLetterQueue' requires Type and TargetArn properties to be specified");
        return None;
    };
    if kind != "SQS" && kind != "SNS" {
        let what = "'DeadLetterQueue' requires a Type of SQS or SNS";
        expansion.report(Problem::new(expansion.place("DeadLetterQueue").key("Type"), what));
        return None;
    }
    Some(target.clone())
}

/// Refuses properties that cannot be combined with `TenancyConfig`.
fn tenancy(expansion: &mut Expansion<'_>) {
    if expansion.given("TenancyConfig").is_none() {
        return;
    }
    for (property, what) in [("ProvisionedConcurrencyConfig", "Provisioned concurrency"), ("SnapStart", "SnapStart")] {
        if expansion.given(property).is_some() {
            let what = format!("{what} is not supported for functions with a tenancy configuration");
            expansion.report(Problem::of_key(expansion.place(property), what).kind(ProblemKind::Unsupported));
        }
    }
}
