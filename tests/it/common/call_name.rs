//! Stable names of calls: the same in every run, independent of the ids that AWS assigns and of the order of calls.

use std::collections::HashMap;
use std::fmt;

use form_urlencoded::parse;
use hyper::body::Bytes;
use hyper::http::request::Parts;
use percent_encoding::percent_decode_str;
use serde_json::Value;
use wschat::local::protocol::signature::scope;
use wschat::local::server::cloud;

/// `apigatewayv2.CreateRoute ping 1`: the service, the operation, the resource, and the number among calls of this name.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Name {
    pub service: String,
    pub operation: String,
    pub about: String,
    pub nth: usize,
}

impl Name {
    pub fn mutating(&self) -> bool {
        let operations = cloud::operations();
        let found = operations.iter().find(|one| one.service == self.service && one.name == self.operation);
        found.is_none_or(|operation| operation.changes())
    }
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{} {} {}", self.service, self.operation, self.about, self.nth)
    }
}

/// Names the calls of one run.
#[derive(Default)]
pub struct Namer {
    /// Names for the ids that API Gateway has assigned, learned from its answers.
    minted: HashMap<String, String>,
    /// The number of calls of each name so far.
    seen: HashMap<(String, String, String), usize>,
}

impl Namer {
    /// Names a request of wschat.
    pub fn name(&mut self, head: &Parts, body: &Bytes) -> Name {
        let service = scope(&head.headers, &[]).map(|scope| scope.service).unwrap_or_default();
        let path: Vec<String> = head
            .uri
            .path()
            .split('/')
            .filter(|segment| !segment.is_empty())
            .map(|segment| percent_decode_str(segment).decode_utf8_lossy().into_owned())
            .collect();
        let path: Vec<&str> = path.iter().map(String::as_str).collect();
        let method = head.method.as_str();
        let target = head.headers.get("x-amz-target").and_then(|target| target.to_str().ok());
        let (service, operation, about) = match (service.as_str(), target) {
            (_, Some(target)) => (service, target.rsplit('.').next().unwrap().to_owned(), about_json(body)),
            ("apigateway", _) => {
                ("apigatewayv2".to_owned(), apigateway_operation(method, &path), self.about_apigateway(&path, body))
            }
            ("lambda", _) => (service, lambda_operation(method, &path).to_owned(), about_lambda(&path, body)),
            ("s3", _) => (service, s3_operation(method).to_owned(), about_s3(&path)),
            _ => {
                let (action, about) = about_form(body);
                (service, action, about)
            }
        };
        let nth = self.seen.entry((service.clone(), operation.clone(), about.clone())).or_default();
        *nth += 1;
        Name { service, operation, about, nth: *nth }
    }

    /// Learns names for ids from an answer of API Gateway.
    pub fn learn(&mut self, answer: &Bytes) {
        const TOLD_BY: [(&str, &[&str]); 8] = [
            ("apiId", &["name"]),
            ("routeId", &["routeKey"]),
            ("integrationId", &["description", "integrationType"]),
            ("deploymentId", &["deploymentStatus"]),
            ("routeResponseId", &["routeResponseKey"]),
            ("integrationResponseId", &["integrationResponseKey"]),
            ("modelId", &["name"]),
            ("apiMappingId", &["apiMappingKey", "stage"]),
        ];
        let Ok(answer) = serde_json::from_slice::<Value>(answer) else { return };
        for one in answer["items"].as_array().unwrap_or(&vec![answer.clone()]) {
            for (id, told_by) in TOLD_BY {
                let told = told_by.iter().find_map(|member| one[*member].as_str().filter(|text| !text.is_empty()));
                if let (Some(id), Some(told)) = (one[id].as_str(), told) {
                    self.minted.insert(id.to_owned(), told.to_owned());
                }
            }
        }
    }

    fn about_apigateway(&self, path: &[&str], body: &Bytes) -> String {
        let below = path.iter().skip(2).filter(|segment| !COLLECTIONS.iter().any(|(plural, _)| plural == *segment));
        // The ARN of what is tagged has ids in it.
        let named = |part: &str| self.minted.get(part).map_or(part, String::as_str).to_owned();
        let below: Vec<String> =
            below.map(|segment| segment.split('/').map(named).collect::<Vec<_>>().join("/")).collect();
        let mut about: Vec<&str> = below.iter().map(String::as_str).collect();
        let body: Value = serde_json::from_slice(body).unwrap_or_default();
        if path.len().is_multiple_of(2) {
            // A resource without an id, or whose id was not in an answer.
            let given = [
                "routeKey",
                "routeResponseKey",
                "integrationResponseKey",
                "stageName",
                "domainName",
                "apiMappingKey",
                "name",
                "description",
                "integrationType",
            ];
            about.extend(given.iter().find_map(|member| body[*member].as_str()));
        }
        // Digests depend on ids.
        let about = about.join(" ");
        about.split("wschat:").next().unwrap().trim_end().to_owned()
    }
}

const COLLECTIONS: [(&str, &str); 13] = [
    ("apimappings", "ApiMapping"),
    ("apis", "Api"),
    ("authorizers", "Authorizer"),
    ("deployments", "Deployment"),
    ("domainnames", "DomainName"),
    ("integrationresponses", "IntegrationResponse"),
    ("integrations", "Integration"),
    ("models", "Model"),
    ("requestparameters", "RouteRequestParameter"),
    ("routeresponses", "RouteResponse"),
    ("routes", "Route"),
    ("routesettings", "RouteSettings"),
    ("stages", "Stage"),
];

/// `/v2/apis/ID/routes`: every other segment is a collection.
fn apigateway_operation(method: &str, path: &[&str]) -> String {
    // The account's settings, which are of API Gateway's older API.
    if *path == ["account"] {
        return if method == "GET" { "GetAccount" } else { "UpdateAccount" }.to_owned();
    }
    if path.last() == Some(&"cors") {
        return "DeleteCorsConfiguration".to_owned();
    }
    if method == "PUT" {
        return if path.len() == 2 { "ImportApi" } else { "ReimportApi" }.to_owned();
    }
    if path[1] == "tags" {
        return match method {
            "POST" => "TagResource",
            "DELETE" => "UntagResource",
            _ => "GetTags",
        }
        .to_owned();
    }
    let collection = path.iter().rev().find_map(|segment| COLLECTIONS.iter().find(|(plural, _)| plural == segment));
    let (_, one) = collection.unwrap_or_else(|| panic!("not of API Gateway: {path:?}"));
    match method {
        "POST" => format!("Create{one}"),
        "PATCH" => format!("Update{one}"),
        "DELETE" => format!("Delete{one}"),
        _ if path.len().is_multiple_of(2) => format!("Get{one}s"),
        _ => format!("Get{one}"),
    }
}

/// `/2015-03-31/functions/NAME/policy`.
fn lambda_operation(method: &str, path: &[&str]) -> &'static str {
    if path[1] == "layers" {
        return layer_operation(method, path);
    }
    match (method, path[1], path.get(3).copied()) {
        ("POST", "functions", None) => "CreateFunction",
        ("GET", "functions", None) if path.len() == 2 => "ListFunctions",
        ("GET", "functions", None) => "GetFunction",
        ("DELETE", "functions", None) => "DeleteFunction",
        ("PUT", _, Some("code")) => "UpdateFunctionCode",
        ("PUT", _, Some("configuration")) => "UpdateFunctionConfiguration",
        ("PUT", _, Some("concurrency")) => "PutFunctionConcurrency",
        ("DELETE", _, Some("concurrency")) => "DeleteFunctionConcurrency",
        ("POST", _, Some("versions")) => "PublishVersion",
        ("GET", _, Some("versions")) => "ListVersionsByFunction",
        ("POST", _, Some("aliases")) => "CreateAlias",
        ("GET", _, Some("aliases")) => "ListAliases",
        ("PUT", _, Some("aliases")) => "UpdateAlias",
        ("DELETE", _, Some("aliases")) => "DeleteAlias",
        ("POST", _, Some("policy")) => "AddPermission",
        ("GET", _, Some("policy")) => "GetPolicy",
        ("DELETE", _, Some("policy")) => "RemovePermission",
        ("POST", _, Some("invocations")) => "Invoke",
        ("POST", "event-source-mappings", _) => "CreateEventSourceMapping",
        ("GET", "event-source-mappings", _) if path.len() == 2 => "ListEventSourceMappings",
        ("GET", "event-source-mappings", _) => "GetEventSourceMapping",
        ("PUT", "event-source-mappings", _) => "UpdateEventSourceMapping",
        ("DELETE", "event-source-mappings", _) => "DeleteEventSourceMapping",
        ("POST", "tags", _) => "TagResource",
        ("DELETE", "tags", _) => "UntagResource",
        ("GET", "tags", _) => "ListTags",
        _ => panic!("not of Lambda: {method} {path:?}"),
    }
}

/// `/2018-10-31/layers/NAME/versions/NUMBER/policy`.
fn layer_operation(method: &str, path: &[&str]) -> &'static str {
    match (method, path.len()) {
        ("GET", 2) => "ListLayers",
        ("POST", 4) => "PublishLayerVersion",
        ("GET", 4) => "ListLayerVersions",
        ("GET", 5) => "GetLayerVersion",
        ("DELETE", 5) => "DeleteLayerVersion",
        ("POST", 6) => "AddLayerVersionPermission",
        ("GET", 6) => "GetLayerVersionPolicy",
        ("DELETE", 7) => "RemoveLayerVersionPermission",
        _ => panic!("not of Lambda: {method} {path:?}"),
    }
}

fn about_lambda(path: &[&str], body: &Bytes) -> String {
    match path.get(2) {
        // A function's ARN, for tags, or `NAME:NUMBER`; version numbers differ between runs.
        Some(name) => {
            let last = name.rsplit(':').next().unwrap();
            if last.chars().all(|c| c.is_ascii_digit()) { "version".to_owned() } else { last.to_owned() }
        }
        None => {
            let body: Value = serde_json::from_slice(body).unwrap_or_default();
            body["FunctionName"].as_str().unwrap_or_default().to_owned()
        }
    }
}

/// `/BUCKET/KEY`: of objects alone.
fn s3_operation(method: &str) -> &'static str {
    match method {
        "PUT" => "PutObject",
        "DELETE" => "DeleteObject",
        _ => "GetObject",
    }
}

/// The key of an object, without the ids of requests.
fn about_s3(path: &[&str]) -> String {
    let key = path.get(1..).unwrap_or_default();
    if key.first() == Some(&"answers") { "answers".to_owned() } else { key.join("/") }
}

fn about_json(body: &Bytes) -> String {
    let body: Value = serde_json::from_slice(body).unwrap_or_default();
    if let Some(type_name) = body["TypeName"].as_str() {
        return format!("{type_name} {}", about_record(&body)).trim_end().to_owned();
    }
    if body["ResourceARNList"].is_array() {
        return about_records(&body);
    }
    let given = ["TableName", "ResourceArn", "logGroupName", "logGroupNamePrefix", "resourceArn"];
    let given = given.iter().find_map(|member| body[*member].as_str()).unwrap_or_default();
    given.rsplit([':', '/']).next().unwrap().to_owned()
}

/// The name of a resource of Cloud Control's; nothing where AWS mints its id.
fn about_record(body: &Value) -> String {
    let desired = body["DesiredState"].as_str().map_or(Value::Null, |text| serde_json::from_str(text).unwrap());
    let named = ["QueueName", "TopicName", "Name"].iter().find_map(|name| desired[*name].as_str());
    let name = named.or(body["Identifier"].as_str()).unwrap_or_default().rsplit([':', '/']).next().unwrap();
    let is_minted = name.contains('_') || name.len() == 36;
    if is_minted { String::new() } else { name.to_owned() }
}

/// What the tags that are set or removed record, without the hash of what is in it: ids that AWS mints.
fn about_records(body: &Value) -> String {
    let set = body["Tags"].as_object().into_iter().flatten().map(|(key, _)| key.as_str());
    let removed = body["TagKeys"].as_array().into_iter().flatten().filter_map(Value::as_str);
    let key = set.chain(removed).min().unwrap_or_default();
    key.rsplit_once('-').map_or(key, |(name, _)| name).to_owned()
}

/// The action of a form, and its resource.
fn about_form(body: &Bytes) -> (String, String) {
    let value = |name: &str| parse(body).find(|(key, _)| key == name).map(|(_, value)| value.into_owned());
    let about = ["RoleName", "PolicyName", "PolicyArn", "PhysicalResourceId"].iter().filter_map(|name| value(name));
    (value("Action").unwrap_or_default(), about.collect::<Vec<_>>().join(" "))
}
