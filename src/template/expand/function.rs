//! AWS::Serverless::Function: a Lambda function and, where the user gives it no role, a role.

use serde_json::{Map, Value, json};

use super::super::{Resource, Template, intrinsics};
use super::policies::{self, Entry};
use super::{Context, FUNCTION};
use crate::diagnostic::{Path, Problem};

/// Properties that the Lambda function has under the same name.
const PASSED: &[&str] = &[
    "Architectures",
    "CodeSigningConfigArn",
    "Description",
    "Environment",
    "EphemeralStorage",
    "FileSystemConfigs",
    "FunctionName",
    "Handler",
    "KmsKeyArn",
    "Layers",
    "LoggingConfig",
    "MemorySize",
    "PackageType",
    "RecursiveLoop",
    "ReservedConcurrentExecutions",
    "Role",
    "Runtime",
    "RuntimeManagementConfig",
    "SnapStart",
    "TenancyConfig",
    "Timeout",
    "VpcConfig",
];

/// Properties that become something else.
const TRANSLATED: &[&str] = &[
    "AssumeRolePolicyDocument",
    "CodeUri",
    "InlineCode",
    "PermissionsBoundary",
    "Policies",
    "PropagateTags",
    "RolePath",
    "Tags",
    "Tracing",
];

/// Properties that SAM has and wschat has not yet.
const LATER: &[&str] = &[
    "AutoPublishAlias",
    "AutoPublishAliasAllProperties",
    "AutoPublishCodeSha256",
    "CapacityProviderConfig",
    "DeadLetterQueue",
    "DeploymentPreference",
    "DurableConfig",
    "EventInvokeConfig",
    "Events",
    "FunctionScalingConfig",
    "FunctionUrlConfig",
    "ImageConfig",
    "ImageUri",
    "ProvisionedConcurrencyConfig",
    "PublishToLatestPublished",
    "SourceKMSKeyArn",
    "VersionDeletionPolicy",
    "VersionDescription",
];

/// The tag that SAM puts on what it makes.
const SAM_TAG: (&str, &str) = ("lambda:createdBy", "SAM");
const RESERVED_TAGS: &[&str] = &["lambda:createdBy", "serverlessrepo:applicationId", "serverlessrepo:semanticVersion"];

/// All properties of the type.
pub fn properties() -> impl Iterator<Item = &'static str> {
    [PASSED, TRANSLATED, LATER].into_iter().flatten().copied()
}

/// What `resource` is made into.
pub fn expand(
    template: &mut Template,
    context: Context<'_>,
    logical_id: &str,
    resource: Resource,
) -> Vec<(String, Resource)> {
    let path = Path::default().key("Resources").key(logical_id);
    Expansion { template, context, logical_id, path: path.key("Properties"), written: &resource.properties }
        .run(&resource)
}

struct Expansion<'a> {
    template: &'a mut Template,
    context: Context<'a>,
    logical_id: &'a str,
    /// Where the properties are.
    path: Path,
    written: &'a Map<String, Value>,
}

impl Expansion<'_> {
    fn run(&mut self, resource: &Resource) -> Vec<(String, Resource)> {
        self.refuse();
        let mut function = Map::new();
        for name in PASSED {
            if let Some(value) = self.written.get(*name) {
                function.insert((*name).to_owned(), value.clone());
            }
        }
        for name in ["Handler", "Runtime"] {
            if !self.written.contains_key(name) {
                self.problem("", format!("missing property \"{name}\" of {FUNCTION}"));
            }
        }
        if let Some(code) = self.code() {
            function.insert("Code".to_owned(), code);
        }
        let tags = self.tags();
        for (index, key) in tags.iter().enumerate().filter_map(|(index, tag)| Some((index, tag["Key"].as_str()?))) {
            self.note(self.path.key("Tags").index(index), "Tags", Some(key));
        }
        function.insert("Tags".to_owned(), tags.clone().into());
        if let Some(mode) = self.tracing() {
            self.note(self.path.key("TracingConfig").key("Mode"), "Tracing", None);
            function.insert("TracingConfig".to_owned(), json!({ "Mode": mode }));
        }
        let role = match self.written.get("Role") {
            None => Some(self.role(tags)),
            Some(role) => {
                if matches!(intrinsics::call(role), Some(("Fn::If", _))) {
                    self.problem("Role", "Fn::If as the Role of a function is not supported yet");
                }
                None
            }
        };
        let mut made = Vec::new();
        if let Some(role) = role {
            let role_id = format!("{}Role", self.logical_id);
            function.insert("Role".to_owned(), json!({ "Fn::GetAtt": [role_id, "Arn"] }));
            let role = Resource {
                type_name: "AWS::IAM::Role".to_owned(),
                properties: role,
                condition: resource.condition.clone(),
                deletion_policy: resource.deletion_policy.clone(),
                update_replace_policy: resource.update_replace_policy.clone(),
                ..Resource::default()
            };
            made.push((role_id, role));
        }
        let function = Resource {
            type_name: "AWS::Lambda::Function".to_owned(),
            properties: function,
            ignore_globals: None,
            ..resource.clone()
        };
        made.push((self.logical_id.to_owned(), function));
        made
    }

    /// Reports a problem with a property of the function, or with all of them.
    fn problem(&mut self, property: &str, what: impl Into<String>) {
        let path = if property.is_empty() { self.path.clone() } else { self.path.key(property) };
        self.template.problems.push(Problem::new(path, what));
    }

    /// Notes that what stands at `made` comes from `property`, or from `key` in it.
    fn note(&mut self, made: Path, property: &str, key: Option<&str>) {
        let written = self.path.key(property);
        let written = key.map_or(written.clone(), |key| written.key(key));
        let written = self.template.origins.trace(&written);
        self.template.origins.note(made, written);
    }

    fn refuse(&mut self) {
        for name in self.written.keys() {
            let path = self.path.key(name);
            if LATER.contains(&name.as_str()) {
                let what = format!("the property {name} of {FUNCTION} is not supported yet");
                self.template.problems.push(Problem::of_key(path, what));
            } else if !properties().any(|property| property == name) {
                let problem = Problem::of_key(path, format!("unknown property \"{name}\" of {FUNCTION}"));
                self.template.problems.push(problem.suggest(name, properties()));
            }
        }
    }

    /// `Code` of the Lambda function: inline text, a place in S3, or a local path.
    fn code(&mut self) -> Option<Value> {
        let made = self.path.key("Code");
        if let Some(inline) = self.written.get("InlineCode") {
            self.note(made, "InlineCode", None);
            return Some(json!({ "ZipFile": inline }));
        }
        let Some(uri) = self.written.get("CodeUri") else {
            self.problem("", format!("missing property \"CodeUri\" of {FUNCTION}"));
            return None;
        };
        self.note(made, "CodeUri", None);
        match uri {
            Value::String(uri) => Some(in_s3(uri).unwrap_or_else(|| uri.clone().into())),
            Value::Object(place) if place.contains_key("Bucket") && place.contains_key("Key") => {
                let mut code = json!({ "S3Bucket": place["Bucket"], "S3Key": place["Key"] });
                if let Some(version) = place.get("Version") {
                    code["S3ObjectVersion"] = version.clone();
                }
                Some(code)
            }
            // SAM's words.
            Value::Object(_) => {
                self.problem("CodeUri", "'CodeUri' requires Bucket and Key properties to be specified.");
                None
            }
            _ => {
                self.problem("CodeUri", "'CodeUri' must be of type dict or string.");
                None
            }
        }
    }

    /// The tags as a list, SAM's own first: it marks what it makes.
    fn tags(&mut self) -> Vec<Value> {
        let none = Map::new();
        let written = match self.written.get("Tags") {
            None => &none,
            Some(Value::Object(tags)) => tags,
            Some(_) => {
                self.problem("Tags", "Tags of a SAM resource must be a map of keys and values");
                &none
            }
        };
        for key in written.keys().filter(|key| RESERVED_TAGS.contains(&key.as_str())) {
            let what = format!("the tag {key} is reserved for SAM");
            self.template.problems.push(Problem::of_key(self.path.key("Tags").key(key), what));
        }
        let tag = |(key, value): (&String, &Value)| json!({ "Key": key, "Value": value });
        // SAM's translator drops its own tag where tags are propagated.
        let propagated = self.written.get("PropagateTags") == Some(&Value::Bool(true)) && !written.is_empty();
        let sam = json!({ "Key": SAM_TAG.0, "Value": SAM_TAG.1 });
        (!propagated).then_some(sam).into_iter().chain(written.iter().map(tag)).collect()
    }

    /// The tracing mode, unless it is off.
    fn tracing(&self) -> Option<Value> {
        let written = self.written.get("Tracing")?;
        let parameter = match intrinsics::call(written) {
            Some(("Ref", Value::String(name))) => {
                let given = self.context.parameters.get(name).cloned().map(Value::String);
                given.or_else(|| self.template.parameters.get(name)?.default.clone())
            }
            _ => None,
        };
        (parameter.as_ref().unwrap_or(written) != "Disabled").then(|| written.clone())
    }

    /// The role that SAM makes for a function without one.
    fn role(&mut self, tags: Vec<Value>) -> Map<String, Value> {
        let role_id = format!("{}Role", self.logical_id);
        let made = Path::default().key("Resources").key(&role_id);
        let function = Path::default().key("Resources").key(self.logical_id);
        self.template.origins.note(made.clone(), function);
        let made = made.key("Properties");

        let partition = self.context.partition;
        let mut managed = vec![Value::from(policies::managed("AWSLambdaBasicExecutionRole", partition))];
        if self.tracing().is_some() {
            // The old policy's name is spelt so in the commercial partition alone.
            let name = if partition == "aws" { "AWSXrayWriteOnlyAccess" } else { "AWSXRayDaemonWriteAccess" };
            managed.push(policies::managed(name, partition).into());
        }
        if self.written.contains_key("VpcConfig") {
            managed.push(policies::managed("AWSLambdaVPCAccessExecutionRole", partition).into());
        }
        let mut documents: Vec<Value> = Vec::new();
        for (index, policy) in self.policies().into_iter().enumerate() {
            let single = !matches!(self.written.get("Policies"), Some(Value::Array(_)));
            let written = self.path.key("Policies");
            let written = if single { written } else { written.index(index) };
            match policies::entry(&policy, partition) {
                Entry::Managed(arn) => {
                    if !managed.contains(&arn) {
                        self.template.origins.note(made.key("ManagedPolicyArns").index(managed.len()), written);
                        managed.push(arn);
                    }
                }
                Entry::Document(document) => {
                    let made = made.key("Policies").index(documents.len());
                    self.template.origins.note(made.key("PolicyDocument"), written.clone());
                    self.template.origins.note(made, written);
                    documents.push(policies::named(&document, &format!("{role_id}Policy{index}")));
                }
                Entry::Template(name) => {
                    let what = format!("SAM's policy template {name} is not supported yet");
                    let problem = Problem::new(written, what).help("write the statements out, under \"Statement\"");
                    self.template.problems.push(problem);
                }
                Entry::Invalid => {
                    // SAM's words.
                    let what = format!("Policy at index {index} in the 'Policies' property is not valid");
                    self.template.problems.push(Problem::new(written, what));
                }
            }
        }

        let trust = json!({
            "Version": "2012-10-17",
            "Statement": [
                { "Action": ["sts:AssumeRole"], "Effect": "Allow", "Principal": { "Service": ["lambda.amazonaws.com"] } }
            ],
        });
        let trust = self.written.get("AssumeRolePolicyDocument").cloned().unwrap_or(trust);
        let mut role = Map::from_iter([
            ("AssumeRolePolicyDocument".to_owned(), trust),
            ("ManagedPolicyArns".to_owned(), managed.into()),
            ("Tags".to_owned(), tags.into()),
        ]);
        if !documents.is_empty() {
            role.insert("Policies".to_owned(), documents.into());
        }
        for (property, name) in [("RolePath", "Path"), ("PermissionsBoundary", "PermissionsBoundary")] {
            if let Some(value) = self.written.get(property) {
                self.note(made.key(name), property, None);
                role.insert(name.to_owned(), value.clone());
            }
        }
        for name in ["AssumeRolePolicyDocument", "Tags"] {
            if self.written.contains_key(name) {
                self.note(made.key(name), name, None);
            }
        }
        role
    }

    fn policies(&self) -> Vec<Value> {
        match self.written.get("Policies") {
            None => Vec::new(),
            Some(Value::Array(policies)) => policies.clone(),
            Some(one) => vec![one.clone()],
        }
    }
}

/// `s3://bucket/key?versionId=version` as `Code` has it.
fn in_s3(uri: &str) -> Option<Value> {
    let (bucket, key) = uri.strip_prefix("s3://")?.split_once('/')?;
    let (key, version) = match key.split_once("?versionId=") {
        Some((key, version)) => (key, Some(version)),
        None => (key, None),
    };
    let mut code = json!({ "S3Bucket": bucket, "S3Key": key });
    if let Some(version) = version {
        code["S3ObjectVersion"] = version.into();
    }
    Some(code)
}
