//! AWS::Serverless::Function: a Lambda function, and a role unless it has one; a version and an alias, a URL, and what
//! invokes it, if requested.

use serde_json::{Map, Value, json};

use super::Type;
use super::events::{self, EventType, Role, Target, pull, push, rule, schedule};
use super::expansion::Expansion;
use super::shape::{Property, Shape, truthy};
use super::{http_api, invocation, location, rest_api, role, versions};
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
        Property::translated("DeploymentPreference", Shape::Map),
        Property::passed("Description", Shape::Any),
        Property::passed("DurableConfig", Shape::Map),
        Property::passed("Environment", Shape::MapOfMaps),
        Property::passed("EphemeralStorage", Shape::Any),
        Property::translated("EventInvokeConfig", Shape::Map),
        Property::translated("Events", Shape::MapOfMaps).local(),
        Property::passed("FileSystemConfigs", Shape::Any),
        Property::passed("FunctionName", Shape::TextOrMap).local(),
        Property::later("FunctionScalingConfig"),
        Property::translated("FunctionUrlConfig", Shape::Map),
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

/// The types of events that are expanded.
const EVENTS: &[&EventType] = &[
    &push::ALEXA_SKILL,
    &rest_api::EVENT,
    &rule::CLOUD_WATCH_EVENT,
    &push::CLOUD_WATCH_LOGS,
    &push::COGNITO,
    &pull::DOCUMENT_DB,
    &pull::DYNAMO_DB,
    &rule::EVENT_BRIDGE_RULE,
    &http_api::EVENT,
    &push::IOT_RULE,
    &pull::KINESIS,
    &pull::MQ,
    &pull::MSK,
    &push::S3,
    &rule::SCHEDULE,
    &schedule::SCHEDULE_V2,
    &push::SNS,
    &pull::SQS,
];

fn expand(expansion: &mut Expansion<'_>) {
    let mut function = expansion.passed();
    if expansion.given("FunctionName").is_none() {
        function.shift_remove("FunctionName");
    }
    package(expansion, &mut function);
    tenancy(expansion);
    shifts(expansion);
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
    let alias = versions::publish(expansion, &mut function);
    let target = target(expansion.logical_id, alias.as_ref().map(|(_, id)| id.as_str()));
    let before = expansion.template.problems.len();
    invocation::url(expansion, &target);
    let alias = alias.as_ref().map(|(name, id)| (name.as_str(), id.as_str()));
    let policies = invocation::asynchronous(expansion, alias);
    if expansion.template.problems.len() > before {
        // References to what they would have become are no further mistake.
        let made = ["Url", "EventInvokeConfig"].map(|property| format!("{}{property}", expansion.logical_id));
        expansion.template.families.extend(made);
    }
    expansion.note_tags(&expansion.place("Tags"), &tags);
    let role_id = format!("{}Role", expansion.logical_id);
    let mut role = Role(role::of_function(expansion, &role_id, &tags, tracing.is_some(), policies));
    events::expand(expansion, EVENTS, &target, &mut role);
    role::attach(expansion, &mut function, &role_id, role.0);
    expansion.make("AWS::Lambda::Function", function);
    // Then the translator drops its own.
    if expansion.given("PropagateTags").is_some() && tags.len() > 1 {
        tags.remove(0);
        expansion.propagate_tags(&tags);
    }
    refer_to_destinations(expansion);
}

/// What invokes the function: its alias where it has one.
fn target(logical_id: &str, alias: Option<&str>) -> Target {
    let (called, arn) = match alias {
        Some(alias) => (json!({ "Ref": alias }), json!({ "Ref": alias })),
        None => (json!({ "Ref": logical_id }), json!({ "Fn::GetAtt": [logical_id, "Arn"] })),
    };
    Target { id: alias.unwrap_or(logical_id).to_owned(), called, arn, is_function: true, permissions_boundary: None }
}

/// Lets the template refer to the queue and the topic that were created for destinations.
fn refer_to_destinations(expansion: &mut Expansion<'_>) {
    for (property, type_name) in [("DestinationQueue", "AWS::SQS::Queue"), ("DestinationTopic", "AWS::SNS::Topic")] {
        let last = expansion.made.iter().rfind(|(_, made)| made.type_name == type_name);
        if let Some((id, _)) = last {
            expansion.references.insert((expansion.logical_id.to_owned(), property.to_owned()), id.clone());
        }
    }
}

/// Refuses shifts of traffic.
fn shifts(expansion: &mut Expansion<'_>) {
    const PROPERTY: &str = "DeploymentPreference";
    let Some(preference) = expansion.given(PROPERTY) else { return };
    let enabled = preference.get("Enabled").cloned().map(|mut enabled| expansion.inline(PROPERTY, &mut enabled));
    // SAM sees the words, too.
    if enabled.is_some_and(|enabled| enabled == false || enabled == "false" || enabled == "False") {
        return;
    }
    let created = ["CodeDeployServiceRole", "ServerlessDeploymentApplication"].map(str::to_owned);
    expansion.template.families.extend(created);
    expansion.template.families.insert(format!("{}DeploymentGroup", expansion.logical_id));
    let what = "DeploymentPreference is not supported yet: it shifts traffic step by step with CodeDeploy, and wschat moves \
                an alias at once";
    let problem = Problem::of_key(expansion.place(PROPERTY), what).kind(ProblemKind::Unsupported);
    expansion.report(problem.help("leave it out, or set \"Enabled: false\" in it"));
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
    Some((location::code_at(expansion, "CodeUri", uri)?, Some("CodeUri")))
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
    let refused = [
        ("FunctionUrlConfig", "Function URL"),
        ("ProvisionedConcurrencyConfig", "Provisioned concurrency"),
        ("SnapStart", "SnapStart"),
    ];
    for (property, what) in refused {
        if expansion.given(property).is_some() {
            let what = format!("{what} is not supported for functions with a tenancy configuration");
            expansion.report(Problem::of_key(expansion.place(property), what).kind(ProblemKind::Unsupported));
        }
    }
    for (name, event) in expansion.given("Events").and_then(Value::as_object).into_iter().flatten() {
        let kind = event["Type"].as_str().unwrap_or_default();
        if !["Api", "HttpApi"].contains(&kind) {
            let what = format!("Event source '{kind}' is not supported for functions with a tenancy configuration");
            let place = expansion.place("Events").key(name);
            expansion.report(Problem::of_key(place, what).kind(ProblemKind::Unsupported));
        }
    }
}
