//! `AWS::Lambda::Function`.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::constraints::{self, Refusal};
use super::iam_permissions::{ANY, Permissions, Roles, Subject, kms_key, logs};
use super::serving::{When, is_invoked};
use super::tags::Tags;
use super::{
    Action, Attribute, Kind, Live, Names, Naming, Part, PlanView, Planning, RecorderArn, ResourceView, StepEffects,
    StepView, kind, log_group, names, tags, to_value,
};
use crate::core::logs::Function as LoggedFunction;
use crate::core::words::naming::{Identity, logical_id_in};
use crate::core::words::runtimes;
use crate::core::words::{Path, Problem, ProblemKind, Scope, Token, deserialize, shown};

pub const TYPE: &str = names::FUNCTION;

/// A Lambda function.
pub struct Function;

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct Props {
    pub(crate) function_name: Option<String>,
    pub(crate) role: String,
    /// Empty of a container image, as the handler is.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub(crate) runtime: String,
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub(crate) handler: String,
    /// Where the code comes from makes no difference to what is deployed: that is its digest.
    #[serde(default, skip_serializing)]
    pub(crate) code: Option<Value>,
    #[serde(default)]
    pub(crate) package_type: PackageType,
    /// The container image, out of `Code`.
    pub(crate) image_uri: Option<String>,
    /// Put in by the plan, from the code that was built: base64 of the zip's SHA-256, as Lambda reports it.
    pub(crate) code_sha256: Option<String>,
    #[serde(default)]
    pub(crate) description: String,
    #[serde(default = "three_seconds")]
    pub(crate) timeout: i32,
    #[serde(default = "mebibytes")]
    pub(crate) memory_size: i32,
    #[serde(default)]
    pub(crate) environment: Environment,
    #[serde(default = "x86_64")]
    pub(crate) architectures: Vec<Architecture>,
    #[serde(default)]
    pub(crate) ephemeral_storage: EphemeralStorage,
    #[serde(default)]
    pub(crate) tracing_config: Tracing,
    #[serde(default)]
    pub(crate) layers: Vec<String>,
    #[serde(default)]
    pub(crate) logging_config: Logging,
    pub(crate) dead_letter_config: Option<DeadLetters>,
    pub(crate) vpc_config: Option<Vpc>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) file_system_configs: Vec<FileSystem>,
    pub(crate) kms_key_arn: Option<String>,
    pub(crate) image_config: Option<Image>,
    pub(crate) snap_start: Option<SnapStart>,
    /// This and the next: set by calls of their own, and read only where the template states them.
    pub(crate) recursive_loop: Option<RecursiveLoop>,
    pub(crate) runtime_management_config: Option<RuntimeManagement>,
    pub(crate) reserved_concurrent_executions: Option<i32>,
    #[serde(default, deserialize_with = "tags::deserialize")]
    pub(crate) tags: Tags,
}

/// Where failed invocations go.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct DeadLetters {
    pub(crate) target_arn: Option<String>,
}

/// The network in which a function runs.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct Vpc {
    #[serde(default)]
    pub(crate) subnet_ids: Vec<String>,
    #[serde(default)]
    pub(crate) security_group_ids: Vec<String>,
    #[serde(default)]
    pub(crate) ipv6_allowed_for_dual_stack: bool,
}

/// A file system that a function sees as a folder.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct FileSystem {
    pub(crate) arn: String,
    pub(crate) local_mount_path: String,
}

/// How a container image is started, where it is not as the image says.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct Image {
    #[serde(default)]
    pub(crate) command: Vec<String>,
    #[serde(default)]
    pub(crate) entry_point: Vec<String>,
    pub(crate) working_directory: Option<String>,
}

/// Whether versions start from a snapshot.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct SnapStart {
    pub(crate) apply_on: ApplyOn,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
pub(crate) enum ApplyOn {
    #[default]
    None,
    PublishedVersions,
}

#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct Environment {
    #[serde(default)]
    pub(crate) variables: BTreeMap<String, String>,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
pub(crate) enum PackageType {
    #[default]
    Zip,
    Image,
}

/// The property that names a function's container image.
pub(crate) const IMAGE_URI: &str = "ImageUri";

#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub(crate) enum Architecture {
    #[serde(rename = "x86_64")]
    X86,
    #[serde(rename = "arm64")]
    Arm,
}

#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct EphemeralStorage {
    pub(crate) size: i32,
}

impl Default for EphemeralStorage {
    fn default() -> Self {
        Self { size: 512 }
    }
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct Tracing {
    #[serde(default)]
    pub(crate) mode: TracingMode,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
pub(crate) enum TracingMode {
    #[default]
    PassThrough,
    Active,
}

#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct Logging {
    #[serde(default)]
    pub(crate) log_format: LogFormat,
    /// None for `/aws/lambda/` and the function's name.
    pub(crate) log_group: Option<String>,
    pub(crate) application_log_level: Option<String>,
    pub(crate) system_log_level: Option<String>,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
pub(crate) enum LogFormat {
    #[default]
    Text,
    #[serde(rename = "JSON")]
    Json,
}

pub(crate) fn three_seconds() -> i32 {
    3
}

pub(crate) fn mebibytes() -> i32 {
    128
}

pub(crate) fn x86_64() -> Vec<Architecture> {
    vec![Architecture::X86]
}

/// What Lambda does when a function is invoked in a loop through queues, topics or buckets.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub(crate) enum RecursiveLoop {
    Allow,
    Terminate,
}

/// When a function gets a newer version of its runtime.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct RuntimeManagement {
    pub(crate) update_runtime_on: UpdateRuntimeOn,
    /// The one that it keeps, with `Manual`.
    pub(crate) runtime_version_arn: Option<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub(crate) enum UpdateRuntimeOn {
    Auto,
    FunctionUpdate,
    Manual,
}

impl Logging {
    /// With JSON, AWS reports a level where none was given.
    pub(crate) fn fill_in(&mut self) {
        if self.log_format == LogFormat::Json {
            self.application_log_level.get_or_insert_with(|| "INFO".to_owned());
            self.system_log_level.get_or_insert_with(|| "INFO".to_owned());
        }
    }
}

impl Props {
    /// One spelling: what says nothing is left out, and what has no order has one.
    pub(crate) fn fill_in(&mut self) {
        self.logging_config.fill_in();
        let empty = |text: &Option<String>| text.as_deref().unwrap_or_default().is_empty();
        self.dead_letter_config = self.dead_letter_config.take().filter(|letters| !empty(&letters.target_arn));
        self.kms_key_arn = self.kms_key_arn.take().filter(|arn| !arn.is_empty());
        self.snap_start = self.snap_start.filter(|start| start.apply_on != ApplyOn::None);
        self.image_config = self.image_config.take().filter(|image| *image != Image::default());
        if let Some(vpc) = &mut self.vpc_config {
            vpc.subnet_ids.sort();
            vpc.security_group_ids.sort();
        }
        self.vpc_config = self.vpc_config.take().filter(|vpc| *vpc != Vpc::default());
    }

    /// Whether something `UpdateFunctionConfiguration` sets differs.
    pub(crate) fn configuration_differs(&self, other: &Self) -> bool {
        let configuration = |props: &Self| Self {
            code_sha256: None,
            image_uri: None,
            architectures: Vec::new(),
            reserved_concurrent_executions: None,
            recursive_loop: None,
            runtime_management_config: None,
            tags: Tags::new(),
            ..props.clone()
        };
        configuration(self) != configuration(other)
    }
}

impl Kind for Function {
    fn type_name(&self) -> &'static str {
        TYPE
    }

    fn noun(&self) -> &'static str {
        "function"
    }

    fn widens(&self, logical_id: &str, old: &Value, new: &Value) -> Vec<String> {
        if old.is_null() || old["Role"] == new["Role"] {
            return Vec::new();
        }
        vec![format!("{logical_id} runs as {} instead of {}", shown(new.get("Role")), shown(old.get("Role")))]
    }

    fn deleted_after(&self) -> &'static [&'static str] {
        // A call that is still under way may need it.
        &[names::API, names::ROUTE, names::INTEGRATION]
    }

    fn canonical(&self, properties: &Value) -> Result<Value, Vec<Problem>> {
        let mut props: Props = deserialize::read(properties)?;
        if let Some(uri) = properties["Code"].get(IMAGE_URI) {
            let Some(uri) = uri.as_str() else {
                let place = Path::default().key("Code").key(IMAGE_URI);
                return Err(vec![Problem::new(place, "ImageUri must be a string").kind(ProblemKind::IllTyped)]);
            };
            // CloudFormation takes an image for the code's type, too.
            props.package_type = PackageType::Image;
            props.image_uri = Some(uri.to_owned());
        }
        if !Token::is_in(&props.role) && !props.role.starts_with("arn:") {
            let what = format!("a function's role is given by its ARN, not as \"{}\"", props.role);
            return Err(vec![Problem::new(Path::default().key("Role"), what).help("!GetAtt ROLE.Arn")]);
        }
        props.fill_in();
        Ok(to_value(&props))
    }

    fn refuses(&self, properties: &Value) -> Vec<Refusal> {
        let mut refusals = constraints::check(TYPE, properties);
        let missing = |name: &str, help: Option<&str>| {
            let problem = Problem::new(Path::default(), format!("missing property \"{name}\" of {TYPE}"));
            let problem = Problem { help: help.map(str::to_owned), ..problem.kind(ProblemKind::Missing) };
            Refusal { problem, missing: true }
        };
        let is_image = properties["PackageType"] == "Image" || properties["Code"].get(IMAGE_URI).is_some();
        // `canonical` cannot say it: what the plan and AWS know of a function has no code in it.
        if properties.get("Code").is_none() {
            refusals.push(missing("Code", Some("give the local folder, crate or zip file")));
        }
        for name in ["Handler", "Runtime"] {
            match properties.get(name) {
                None if !is_image => refusals.push(missing(name, None)),
                Some(value) if is_image && !value.is_null() => {
                    let what = format!("{name} is for code in a zip, and this function is a container image");
                    let problem = Problem::of_key(Path::default().key(name), what);
                    refusals.push(Refusal { problem, missing: false });
                }
                _ => {}
            }
        }
        if properties["PackageType"] == "Image"
            && properties["Code"].is_object()
            && properties["Code"].get(IMAGE_URI).is_none()
        {
            let what = "the PackageType is Image, and Code names no image";
            let problem = Problem::new(Path::default().key("Code"), what)
                .help("wschat builds no container images: build it with docker, push it to ECR, and give Code: { ImageUri: URI }");
            refusals.push(Refusal { problem, missing: false });
        }
        refusals
    }

    fn naming(&self) -> Option<Naming> {
        Some(Naming { property: "FunctionName", longest: 64, within: None, path: None })
    }

    fn not_yet(&self) -> &'static [&'static str] {
        &[
            "CapacityProviderConfig",
            "CodeSigningConfigArn",
            "DurableConfig",
            "FileSystemConfigs.S3FilesConfig",
            "FunctionScalingConfig",
            "PublishToLatestPublished",
            "TenancyConfig",
        ]
    }

    fn without_effect_locally(&self, properties: &Value) -> Vec<&'static str> {
        let kept = ["FileSystemConfigs", "KmsKeyArn", RECURSION, RUNTIME_MANAGEMENT, "SnapStart", "VpcConfig"];
        kept.into_iter().filter(|name| properties.get(*name).is_some()).collect()
    }

    fn internal(&self) -> &'static [&'static str] {
        &[CODE, IMAGE_URI]
    }

    fn create_only(&self) -> &'static [&'static str] {
        &["FunctionName", "PackageType"]
    }

    fn any_if_absent(&self) -> &'static [&'static str] {
        // It stays when the last of them has gone: until then it is what they are found by.
        // The others are read only where they are stated.
        &["Tags.wschat:versions", RECURSION, RUNTIME_MANAGEMENT]
    }

    fn hard(&self) -> &'static [&'static str] {
        &["Role"]
    }

    fn attribute(&self, scope: &Scope, name: Option<&str>, attribute: Option<&str>) -> Attribute {
        let name = name.unwrap_or_default();
        match attribute {
            None => Attribute::Known(name.to_owned()),
            Some("Arn") => Attribute::Known(arn(scope, name)),
            Some("SnapStartResponse" | "SnapStartResponse.ApplyOn" | "SnapStartResponse.OptimizationStatus") => {
                Attribute::NotYet
            }
            Some(_) => Attribute::Unknown(&["Arn"]),
        }
    }

    fn keeps_records(&self) -> bool {
        true
    }

    fn permissions_to_record(&self, scope: &Scope, id: Option<&str>, permissions: &mut Permissions) {
        let name = id.unwrap_or(ANY);
        permissions.allow(
            "lambda",
            &["TagResource", "UntagResource"],
            scope.arn("lambda", &format!("function:{name}")),
        );
    }

    fn taggable(&self) -> bool {
        true
    }

    fn recorder_arn(&self) -> Option<RecorderArn> {
        Some(RecorderArn::Attribute("Arn"))
    }

    fn complete(&self, it: &ResourceView<'_>, properties: &mut Value, stack: &dyn Planning) {
        let is_version = |part: ResourceView<'_>| [names::VERSION, names::ALIAS].contains(&part.kind.type_name());
        if let Some(name) = it.name.filter(|name| stack.parts(name).any(is_version)) {
            let is_provisioned = |part: ResourceView<'_>| part.properties.get(PROVISIONED).is_some();
            // Once it is marked, it is looked at even when the template has it no more: then it is taken away.
            let was = stack.live_named(TYPE, name).is_some_and(|live| {
                live.properties["Tags"].get(tags::VERSIONS).is_some_and(|marked| marked == tags::PROVISIONED)
            });
            let provisioned = was || stack.parts(name).any(is_provisioned);
            properties["Tags"][tags::VERSIONS] = if provisioned { tags::PROVISIONED } else { "true" }.into();
        }
        if properties.get(IMAGE_URI).is_some() {
            // The image is what it is called; Lambda's digest of it is known to nobody before.
        } else if let Some(digest) = stack.code(it.logical_id) {
            properties[CODE] = digest.into();
        // No code was built: what is there is as good as any.
        } else if let Some(live) = it.name.and_then(|name| stack.live_named(TYPE, name))
            && let Some(digest) = live.properties.get(CODE)
        {
            properties[CODE] = digest.clone();
        }
    }

    fn byproduct(&self, physical_id: &str) -> Option<(&'static str, String)> {
        Some((log_group::TYPE, format!("{}{physical_id}", log_group::LAMBDA)))
    }

    fn part(&self) -> Part {
        Part::Invoked
    }

    fn has_code(&self) -> bool {
        true
    }

    fn code_property(&self) -> Option<&'static str> {
        Some("Code")
    }

    fn irrecoverable(&self, live: &Live) -> &'static [&'static str] {
        if live.attributes.contains_key(LARGE) { &[CODE] } else { &[] }
    }

    fn is_uploaded(&self, properties: &Value) -> bool {
        properties.get(IMAGE_URI).is_none()
    }

    fn foreign_layers<'a>(&self, properties: &'a Value, scope: &Scope) -> Vec<&'a str> {
        let layers = properties["Layers"].as_array().into_iter().flatten().filter_map(Value::as_str);
        // arn:PARTITION:lambda:REGION:ACCOUNT:layer:NAME:VERSION
        layers.filter(|arn| arn.split(':').nth(4).is_some_and(|account| account != scope.account)).collect()
    }

    fn retired(&self, properties: &Value, live: Option<&Value>) -> Option<Problem> {
        let to: Props = deserialize::read(properties).ok()?;
        let from: Option<Props> = live.and_then(|live| deserialize::read(live).ok());
        let is_kept = |from: &Props| {
            let has_code = to.code_sha256.is_none() || to.code_sha256 == from.code_sha256;
            has_code && to.architectures == from.architectures && !from.configuration_differs(&to)
        };
        if from.as_ref().is_some_and(is_kept) {
            return None;
        }
        let exists = from.is_some_and(|from| from.runtime == to.runtime);
        let since = runtimes::end(&to.runtime)?.refused_since(exists)?;
        let (does, newest) = (if exists { "updates" } else { "creates" }, runtimes::newest(&to.runtime));
        let what = format!("Lambda {does} no functions with {} since {since}", to.runtime);
        let problem = Problem::new(Path::default().key("Runtime"), what);
        Some(newest.into_iter().fold(problem, |problem, newest| problem.help(format!("use {newest}"))))
    }

    fn runs_as<'a>(&self, properties: &'a Value) -> Option<&'a str> {
        properties["Role"].as_str()
    }

    fn code_log(&self, live: &Live) -> Option<(String, LoggedFunction)> {
        let text = |name: &str| live.properties[name].as_str().unwrap_or_default().to_owned();
        let number = |name: &str| live.properties[name].as_u64().and_then(|number| number.try_into().ok());
        let group = live.properties["LoggingConfig"]["LogGroup"].as_str().map(str::to_owned);
        let function = LoggedFunction {
            name: live.logical_id.clone().unwrap_or_else(|| live.physical_id.clone()),
            runtime: text("Runtime"),
            handler: text("Handler"),
            timeout: number("Timeout"),
            memory: number("MemorySize"),
            ..LoggedFunction::default()
        };
        Some((group.unwrap_or_else(|| format!("{}{}", log_group::LAMBDA, live.physical_id)), function))
    }

    fn effects(&self, step: &StepView<'_>, plan: &dyn PlanView) -> StepEffects {
        match step.action {
            Action::Replace => StepEffects::interrupted("invocations fail until it exists again"),
            Action::Delete => gone(step, plan),
            Action::Update => changed(step, plan),
            _ => StepEffects::default(),
        }
    }

    fn permissions_to_list(&self, _: &Scope, _: Roles, permissions: &mut Permissions) {
        permissions.allow("lambda", &["ListFunctions"], "*");
    }

    fn permissions(&self, it: &Subject<'_>, permissions: &mut Permissions) {
        let name = it.name();
        let arn = arn(it.scope, name);
        if [&it.desired, &it.live].iter().any(|side| side["Tags"].get(tags::VERSIONS).is_some()) {
            permissions.allow("lambda", &["ListVersionsByFunction", "ListAliases"], arn.as_str());
            permissions.allow("lambda", &["GetPolicy"], format!("{arn}:{ANY}"));
        }
        let mut allow = |actions: &[&str]| permissions.allow("lambda", actions, arn.as_str());
        allow(&["GetFunction", "GetPolicy"]);
        // Its versions and aliases may have marks, too.
        if it.marks {
            allow(&["ListAliases", "ListVersionsByFunction"]);
        }
        if it.creates {
            allow(&["CreateFunction", "TagResource", "DeleteFunction"]);
            if it.has("ReservedConcurrentExecutions") {
                allow(&["PutFunctionConcurrency"]);
            }
        }
        if it.deletes {
            allow(&["DeleteFunction"]);
        }
        if it.changes(&["Tags"]) {
            allow(&["TagResource", "UntagResource"]);
        }
        if it.changes(&["ReservedConcurrentExecutions"]) {
            allow(&["PutFunctionConcurrency", "DeleteFunctionConcurrency"]);
        }
        // Only a build could tell whether its code differs.
        if (it.updates || it.keeps) && !it.marks {
            allow(&["UpdateFunctionCode"]);
        }
        let outdated = matches!(it.health, Some(super::Health::Outdated(_)));
        for (property, setting) in
            [(RECURSION, "FunctionRecursionConfig"), (RUNTIME_MANAGEMENT, "RuntimeManagementConfig")]
        {
            if it.has(property) {
                allow(&[format!("Get{setting}").as_str(), format!("Put{setting}").as_str()]);
            }
        }
        let apart =
            ["Tags", "ReservedConcurrentExecutions", "CodeSha256", "Architectures", RECURSION, RUNTIME_MANAGEMENT];
        let configures = it.changes_other_than(&apart) || (it.updates && outdated);
        if configures {
            allow(&["UpdateFunctionConfiguration"]);
        }
        if it.creates || configures {
            for role in it.texts("Role") {
                permissions.pass(&role, "lambda.amazonaws.com");
            }
            for layer in it.texts("Layers") {
                // Of a layer that is yet to be published nobody knows the number.
                let layer = match Token::is_in(&layer) {
                    true => it.scope.arn("lambda", &format!("layer:{ANY}")),
                    false => layer,
                };
                permissions.allow("lambda", &["GetLayerVersion"], layer);
            }
            // Lambda looks at these with the caller's rights (CloudFormation's schema of the type, its handlers).
            if it.has_or_had("VpcConfig") {
                permissions.allow("ec2", &["DescribeSecurityGroups", "DescribeSubnets", "DescribeVpcs"], "*");
            }
            if it.has_or_had("FileSystemConfigs") {
                permissions.allow("elasticfilesystem", &["DescribeMountTargets"], "*");
            }
            for key in it.texts("KmsKeyArn") {
                permissions.allow(
                    "kms",
                    &["CreateGrant", "Decrypt", "Encrypt", "GenerateDataKey"],
                    kms_key(it.scope, &key),
                );
            }
        }
        // Lambda may have made its log group, which is read, and deleted with it.
        let group = format!("{}{name}", super::log_group::LAMBDA);
        logs(permissions, it.scope, &group, &["ListTagsForResource"]);
        if it.creates || it.deletes {
            logs(permissions, it.scope, &group, &["TagResource", "DeleteLogGroup"]);
        }
    }

    fn permissions_to_import(&self, it: &Subject<'_>, _: bool, permissions: &mut Permissions) {
        let settings =
            ["CodeSigningConfig", "RecursionConfig", "ScalingConfig"].map(|setting| format!("GetFunction{setting}"));
        let settings = settings.each_ref().map(String::as_str);
        permissions.allow("lambda", &settings, arn(it.scope, it.name()));
        permissions.allow("lambda", &["GetRuntimeManagementConfig"], arn(it.scope, it.name()));
    }
}

/// The property of aliases that a call of its own sets, and reads.
pub(crate) const PROVISIONED: &str = "ProvisionedConcurrencyConfig";

/// The properties that calls of their own set, and read.
pub(crate) const RECURSION: &str = "RecursiveLoop";
pub(crate) const RUNTIME_MANAGEMENT: &str = "RuntimeManagementConfig";

/// The attribute of a live function that holds its resource policy, JSON, where it was read along with it.
pub(crate) const POLICY: &str = "Policy";

/// The attribute of a live function that names the log group which Lambda made for it and which carries no tags yet.
pub(crate) const LOG_GROUP: &str = "LogGroup";

/// The attribute of a live function whose zip is larger than what Lambda takes with a request: its size in MiB. Only the object in
/// S3 that it came from could bring it back, and Lambda does not tell which that was.
pub(crate) const LARGE: &str = "@Large";

/// The largest zip that a request may have, in bytes ("Lambda quotas").
pub(crate) const MAX_SENT: i64 = 50 << 20;

/// The names that wschat gives the function `logical_id` of the stack in `scope` where the template gives none: one as a zip, one as
/// a container image. That is all that a function's identity hangs on beside its logical id.
pub fn generated_names(scope: &Scope, logical_id: &str) -> [String; 2] {
    let naming = Function.naming().map_or(64, |naming| naming.longest);
    [PackageType::Zip, PackageType::Image].map(|package_type| {
        let create_only = json!({ "PackageType": package_type });
        let create_only = create_only.as_object().cloned().unwrap_or_default();
        Identity { scope, type_name: TYPE, logical_id, create_only: &create_only }.name(naming)
    })
}

/// Whether `name` is what wschat calls a function of the stack in `scope`: its digits are those of the logical id that
/// it has in it. (Of one whose logical id had to be cut that cannot be told.)
pub fn is_generated_name(scope: &Scope, name: &str) -> bool {
    logical_id_in(&scope.stack, name)
        .is_some_and(|logical_id| generated_names(scope, logical_id).iter().any(|generated| generated == name))
}

/// The property that is the digest of the code.
pub const CODE: &str = "CodeSha256";

/// Of a function's canonical properties those that its versions freeze: all but what belongs to the function itself.
pub fn frozen(properties: &Value) -> Value {
    // A version has a description of its own.
    const OWN: &[&str] =
        &["FunctionName", "Description", "ReservedConcurrentExecutions", RECURSION, RUNTIME_MANAGEMENT, "Tags"];
    let mut frozen = properties.clone();
    if let Some(members) = frozen.as_object_mut() {
        members.retain(|name, _| !OWN.contains(&name.as_str()));
    }
    frozen
}

/// The bare name in what calls one function, a name or an ARN, and the version or alias that it names, if it does.
pub fn name_and_qualifier(text: &str) -> (&str, Option<&str>) {
    let name = text.rsplit_once("function:").map_or(text, |(_, name)| name);
    name.split_once(':').map_or((name, None), |(name, qualifier)| (name, Some(qualifier)))
}

/// Reads what calls a function as its bare name.
///
/// # Errors
/// When it is no text.
pub(crate) fn name<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<String, D::Error> {
    let text = String::deserialize(deserializer)?;
    Ok(name_and_qualifier(&text).0.to_owned())
}

pub(crate) fn arn(scope: &Scope, name: &str) -> String {
    scope.arn("lambda", &format!("function:{name}"))
}

/// The logical id of the function that `called` names: by a name, an ARN, with or without a qualifier.
pub(super) fn logical_id<'a>(names: &'a dyn Names, called: &'a str) -> &'a str {
    names.logical_id(TYPE, name_and_qualifier(called).0)
}

/// What `UpdateFunctionConfiguration` sets and code depends on: `UpdateFunctionCode` is another call.
const OF_CODE: &[&str] = &["Handler", "Runtime", "Layers"];

/// What changes in place interrupt and lose.
fn changed(step: &StepView<'_>, plan: &dyn PlanView) -> StepEffects {
    let large = step.live.and_then(|live| live.attributes.get(LARGE)).filter(|_| step.change(CODE).is_some());
    let lost = large
        .map(|size| format!("the old code ({size} MiB): a rollback can send 50 MiB at most, and so cannot restore it"));
    StepEffects { interrupted: interrupted(step, plan).into_iter().collect(), lost: lost.into_iter().collect() }
}

fn interrupted(step: &StepView<'_>, plan: &dyn PlanView) -> Option<String> {
    let reserved = step.change("ReservedConcurrentExecutions").and_then(|change| change.new.as_ref()?.as_i64());
    if reserved == Some(0) {
        return Some("every invocation is throttled".to_owned());
    }
    // Behind an alias nobody sees it: a version is published when both calls are through.
    if step.change(CODE).is_none() || !is_invoked(plan, step.id(), When::Before) {
        return None;
    }
    let parts: Vec<&str> = OF_CODE.iter().copied().filter(|property| step.change(property).is_some()).collect();
    if parts.is_empty() {
        return None;
    }
    Some(format!(
        "its old code runs with the new {} until the new code is in place: AWS changes them one after the other (an alias avoids that: AutoPublishAlias)",
        parts.join(" and ")
    ))
}

/// What the end of a function or of an alias interrupts. Where the stack's own API was all that invoked it, its routes
/// say what becomes of those who call them.
pub(super) fn gone(step: &StepView<'_>, plan: &dyn PlanView) -> StepEffects {
    if plan.has_successor(step) || is_only_served(step, plan) {
        return StepEffects::default();
    }
    StepEffects::interrupted("nothing can invoke it any more")
}

/// Whether nobody but the stack's own API invokes a function or an alias, as far as its permissions tell, and it does
/// so no more.
fn is_only_served(step: &StepView<'_>, plan: &dyn PlanView) -> bool {
    let Some(id) = step.physical_id else { return false };
    let on_it =
        |live: &&Live| live.type_name == names::PERMISSION && live.properties["FunctionName"].as_str() == Some(id);
    let for_gateway = |live: &Live| kind(live.type_name).is_some_and(|kind| kind.permits_gateway(&live.properties));
    is_invoked(plan, id, When::Before)
        && plan.live().filter(on_it).all(for_gateway)
        && !is_invoked(plan, id, When::After)
}
