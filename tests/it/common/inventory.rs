//! All resources of a cloud, as its services describe them, in a form that can be compared between clouds: without times,
//! and with names instead of the ids that AWS assigns.
//!
//! JSON answers are read directly instead of through the SDK's types, so that no property is forgotten.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use http_body_util::{BodyExt, Full};
use hyper::body::Bytes;
use hyper_util::rt::TokioIo;
use regex_lite::{Captures, Regex};
use serde_json::{Value, json};
use tokio::net::TcpStream;
use wschat::core::schemas::schema;

use super::{Cloud, TESTER};

/// All resources by kind and name: `"table app-Rows-fc7fc51e"`.
pub type Inventory = BTreeMap<String, Value>;

/// Both inventories must be equal.
pub fn same(actual: &Inventory, expected: &Inventory) {
    assert_eq!(differences(actual, expected), [""; 0], "actual | expected");
}

/// The differences between two inventories, as text.
pub fn differences(left: &Inventory, right: &Inventory) -> Vec<String> {
    let whole = |inventory: &Inventory| inventory.iter().map(|(name, one)| (name.clone(), one.clone())).collect();
    let mut found = Vec::new();
    compare("", Some(&Value::Object(whole(left))), Some(&Value::Object(whole(right))), &mut found);
    found
}

fn compare(path: &str, left: Option<&Value>, right: Option<&Value>, found: &mut Vec<String>) {
    match (left, right) {
        (Some(Value::Object(left)), Some(Value::Object(right))) => {
            let names: BTreeSet<&String> = left.keys().chain(right.keys()).collect();
            for name in names {
                compare(&format!("{path}/{name}"), left.get(name), right.get(name), found);
            }
        }
        (Some(Value::Array(left)), Some(Value::Array(right))) => {
            for position in 0..left.len().max(right.len()) {
                compare(&format!("{path}/{position}"), left.get(position), right.get(position), found);
            }
        }
        _ if left == right => {}
        _ => {
            let shown = |value: Option<&Value>| value.map_or_else(|| "-".to_owned(), ToString::to_string);
            found.push(format!("{path}: {} | {}", shown(left), shown(right)));
        }
    }
}

impl Cloud {
    /// As `inventory`, outside of a runtime.
    pub fn inventory_now(&self) -> Inventory {
        tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(self.inventory())
    }

    /// Lists every service.
    pub async fn inventory(&self) -> Inventory {
        let mut all = self.tables().await;
        all.extend(self.functions().await);
        all.extend(self.layers().await);
        all.extend(self.log_groups().await);
        all.extend(self.roles().await);
        all.extend(self.policies().await);
        all.extend(self.apis().await);
        all.extend(self.domains().await);
        all.extend(self.mappings().await);
        for type_name in RECORDED {
            all.extend(self.records(type_name).await.into_iter().map(|record| recorded(type_name, record)));
        }
        let mut minted = Vec::new();
        for one in &all {
            name_ids(one, &mut minted);
        }
        for rest in self.records("AWS::ApiGateway::RestApi").await {
            minted.push((rest["RestApiId"].as_str().unwrap().to_owned(), "REST".to_owned()));
        }
        let mut inventory = Inventory::new();
        for one in all {
            let text = minted.iter().fold(timeless(one).to_string(), |text, (id, name)| text.replace(id, name));
            let one: Value = serde_json::from_str(&digestless(&text)).unwrap();
            let mut name = format!("{} {}", one["kind"].as_str().unwrap(), one["name"].as_str().unwrap());
            // Two APIs may have the same name and must stay separate.
            while inventory.contains_key(&name) {
                name.push_str(", another");
            }
            inventory.insert(name, one);
        }
        inventory
    }

    async fn tables(&self) -> Vec<Value> {
        let names = self.dynamodb("ListTables", json!({})).await;
        let mut tables = Vec::new();
        for name in list(&names, "TableNames") {
            let table = self.dynamodb("DescribeTable", json!({"TableName": name})).await["Table"].take();
            if table.is_null() {
                continue;
            }
            let tags = self.dynamodb("ListTagsOfResource", json!({"ResourceArn": table["TableArn"]})).await;
            tables.push(json!({
                "kind": "table",
                "name": name,
                "description": table,
                "expiry": self.expiry(&name).await,
                "recovery": self.dynamodb("DescribeContinuousBackups", json!({"TableName": name})).await,
                "tags": sorted(list(&tags, "Tags")),
            }));
        }
        tables
    }

    /// The time to live of a table, when what was changed of it is done: `up` does not wait for that.
    async fn expiry(&self, table: &Value) -> Value {
        loop {
            let expiry = self.dynamodb("DescribeTimeToLive", json!({"TableName": table})).await;
            let status = expiry["TimeToLiveDescription"]["TimeToLiveStatus"].as_str().unwrap_or_default();
            if !status.ends_with("ING") {
                return expiry;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }

    async fn functions(&self) -> Vec<Value> {
        let all = self.get("lambda", "/2015-03-31/functions").await;
        let mut functions = Vec::new();
        for function in list(&all, "Functions") {
            let name = function["FunctionName"].as_str().unwrap();
            let policy = self.get("lambda", &format!("/2015-03-31/functions/{name}/policy")).await;
            let policy = policy["Policy"].as_str().map_or(Value::Null, |text| serde_json::from_str(text).unwrap());
            functions.push(json!({
                "kind": "function",
                "name": name,
                "description": self.get("lambda", &format!("/2015-03-31/functions/{name}")).await,
                "policy": sorted(list(&policy, "Statement")),
                "aliases": self.aliases(name).await,
            }));
        }
        functions
    }

    /// A function's aliases, each with its version's properties: version numbers are never reused, so they differ between
    /// clouds.
    async fn aliases(&self, function: &str) -> Vec<Value> {
        let path = format!("/2015-03-31/functions/{function}");
        let mut versions = list(&self.get("lambda", &format!("{path}/versions")).await, "Versions");
        versions.retain(|version| version["Version"] != "$LATEST");
        let mut named = Vec::new();
        for mut alias in list(&self.get("lambda", &format!("{path}/aliases")).await, "Aliases") {
            let name = alias["Name"].as_str().unwrap();
            let policy = self.get("lambda", &format!("{path}/policy?Qualifier={name}")).await;
            let policy = policy["Policy"].as_str().map_or(Value::Null, |text| serde_json::from_str(text).unwrap());
            let number = alias["FunctionVersion"].take();
            let version = versions.iter().position(|version| version["Version"] == number).unwrap();
            alias["version"] = numberless(versions.remove(version));
            alias["policy"] = sorted(list(&policy, "Statement")).into();
            named.push(alias);
        }
        // Versions without an alias belong to the inventory, too.
        named.extend(versions.into_iter().map(numberless));
        named
    }

    /// The layers with their versions, whose numbers are never reused.
    async fn layers(&self) -> Vec<Value> {
        let mut layers = Vec::new();
        for layer in list(&self.get("lambda", "/2018-10-31/layers").await, "Layers") {
            let name = layer["LayerName"].as_str().unwrap();
            let path = format!("/2018-10-31/layers/{name}/versions");
            let mut versions = Vec::new();
            for version in list(&self.get("lambda", &path).await, "LayerVersions") {
                let path = format!("{path}/{}", version["Version"]);
                let mut version = self.get("lambda", &path).await;
                let policy = self.get("lambda", &format!("{path}/policy")).await;
                let policy = policy["Policy"].as_str().map_or(Value::Null, |text| serde_json::from_str(text).unwrap());
                version["Version"].take();
                version["policy"] = sorted(list(&policy, "Statement")).into();
                versions.push(version);
            }
            layers.push(json!({"kind": "layer", "name": name, "versions": sorted(versions)}));
        }
        layers
    }

    async fn log_groups(&self) -> Vec<Value> {
        let all = self.logs("DescribeLogGroups", json!({})).await;
        let mut groups = Vec::new();
        for group in list(&all, "logGroups") {
            let arn = group["arn"].as_str().unwrap().trim_end_matches(":*");
            let tags = self.logs("ListTagsForResource", json!({"resourceArn": arn})).await;
            groups
                .push(json!({"kind": "log group", "name": group["logGroupName"], "description": group, "tags": tags}));
        }
        groups
    }

    /// IAM answers in XML, which the SDK reads.
    async fn roles(&self) -> Vec<Value> {
        let iam = aws_sdk_iam::Client::new(&self.sdk().await);
        let details = iam.get_account_authorization_details().send().await.unwrap();
        let document = |text: Option<&str>| {
            let text = percent_encoding::percent_decode_str(text.unwrap()).decode_utf8().unwrap();
            serde_json::from_str::<Value>(&text).unwrap()
        };
        let mut roles = Vec::new();
        for role in details.role_detail_list() {
            let name = role.role_name().unwrap();
            // Properties that the account's details do not contain.
            let more = iam.get_role().role_name(name).send().await.unwrap().role.unwrap();
            let policies = role
                .role_policy_list()
                .iter()
                .map(|policy| json!({"name": policy.policy_name(), "document": document(policy.policy_document())}));
            let attached = role.attached_managed_policies().iter().map(|policy| json!(policy.policy_arn()));
            let tags = role.tags().iter().map(|tag| json!({"Key": tag.key(), "Value": tag.value()}));
            roles.push(json!({
                "kind": "role",
                "name": name,
                "path": role.path(),
                "trust": document(role.assume_role_policy_document()),
                "description": more.description(),
                "longest": more.max_session_duration(),
                "boundary": role.permissions_boundary().and_then(|it| it.permissions_boundary_arn()),
                "policies": sorted(policies.collect()),
                "attached": sorted(attached.collect()),
                "tags": sorted(tags.collect()),
            }));
        }
        roles
    }

    /// The customer managed policies, without earlier versions.
    async fn policies(&self) -> Vec<Value> {
        let iam = aws_sdk_iam::Client::new(&self.sdk().await);
        let local = aws_sdk_iam::types::PolicyScopeType::Local;
        let mut policies = Vec::new();
        for policy in iam.list_policies().scope(local).send().await.unwrap().policies() {
            let arn = policy.arn().unwrap();
            let more = iam.get_policy().policy_arn(arn).send().await.unwrap().policy.unwrap();
            let version = iam.get_policy_version().policy_arn(arn).version_id(more.default_version_id().unwrap());
            let version = version.send().await.unwrap().policy_version.unwrap();
            let text = percent_encoding::percent_decode_str(version.document().unwrap()).decode_utf8().unwrap();
            let tags = more.tags().iter().map(|tag| json!({"Key": tag.key(), "Value": tag.value()}));
            policies.push(json!({
                "kind": "policy",
                "name": policy.policy_name(),
                "arn": arn,
                "description": more.description(),
                "document": serde_json::from_str::<Value>(&text).unwrap(),
                "tags": sorted(tags.collect()),
            }));
        }
        policies
    }

    /// Event source mappings, called by their source and function: ids differ from cloud to cloud.
    async fn mappings(&self) -> Vec<Value> {
        let all = self.get("lambda", "/2015-03-31/event-source-mappings").await;
        let mut mappings = Vec::new();
        for mut mapping in list(&all, "EventSourceMappings") {
            let arn = mapping["EventSourceMappingArn"].as_str().unwrap().replace(':', "%3A");
            let tags = self.get("lambda", &format!("/2017-03-31/tags/{arn}")).await["Tags"].take();
            let last =
                |member: &str| mapping[member].as_str().unwrap_or_default().rsplit(':').next().unwrap().to_owned();
            let name = format!("{} to {}", last("EventSourceArn"), last("FunctionArn"));
            for minted in ["UUID", "EventSourceMappingArn"] {
                mapping.as_object_mut().unwrap().remove(minted);
            }
            mappings.push(json!({ "kind": "mapping", "name": name, "description": mapping, "tags": tags }));
        }
        mappings
    }

    async fn apis(&self) -> Vec<Value> {
        let mut apis = Vec::new();
        for api in list(&self.get("apigateway", "/v2/apis?maxResults=500").await, "items") {
            let id = api["apiId"].as_str().unwrap();
            let below = async |what: &str| {
                let path = format!("/v2/apis/{id}/{what}?maxResults=500");
                list(&self.get("apigateway", &path).await, "items")
            };
            let mut integrations = below("integrations").await;
            for one in &mut integrations {
                let path = format!("integrations/{}/integrationresponses", one["integrationId"].as_str().unwrap());
                one["responses"] = sorted_by(below(&path).await, "integrationResponseKey").into();
            }
            let mut routes = below("routes").await;
            for route in &mut routes {
                let responses = below(&format!("routes/{}/routeresponses", route["routeId"].as_str().unwrap())).await;
                route["responses"] = responses.into();
            }
            apis.push(json!({
                "kind": "api",
                "name": api["name"],
                "routes": sorted_by(routes, "routeKey"),
                // Those that a document describes have no description to tell them apart.
                "integrations": sorted_by(sorted_by(integrations, "payloadFormatVersion"), "integrationUri"),
                "authorizers": sorted_by(below("authorizers").await, "name"),
                "models": sorted_by(below("models").await, "name"),
                "deployments": below("deployments").await,
                "stages": sorted_by(below("stages").await, "stageName"),
                "description": api,
            }));
        }
        apis
    }

    async fn domains(&self) -> Vec<Value> {
        let mut domains = Vec::new();
        for domain in list(&self.get("apigateway", "/v2/domainnames?maxResults=500").await, "items") {
            let name = domain["domainName"].as_str().unwrap();
            let path = format!("/v2/domainnames/{name}/apimappings?maxResults=500");
            let mappings = list(&self.get("apigateway", &path).await, "items");
            domains.push(json!({
                "kind": "domain name",
                "name": name,
                "mappings": sorted_by(mappings, "apiMappingKey"),
                "description": domain,
            }));
        }
        domains
    }

    /// The properties of everything of a type that Cloud Control keeps.
    pub async fn records(&self, type_name: &str) -> Vec<Value> {
        let Some((_, parent, property)) = PARTS.iter().find(|(of, ..)| *of == type_name) else {
            return self.listed(type_name, None).await;
        };
        let mut found = Vec::new();
        for parent in self.listed(parent, None).await {
            let id = parent[*property].as_str().unwrap();
            match schema(type_name).unwrap().list_models.is_empty() {
                true => found.extend(self.resource(type_name, id).await),
                false => found.extend(self.listed(type_name, Some(json!({ *property: id }))).await),
            }
        }
        found
    }

    /// The properties of everything of a type that lies in what `model` says.
    pub async fn listed(&self, type_name: &str, model: Option<Value>) -> Vec<Value> {
        let model = model.map(|model| model.to_string());
        let answer =
            self.cloud_control("ListResources", json!({ "TypeName": type_name, "ResourceModel": model })).await;
        list(&answer, "ResourceDescriptions").iter().map(properties_in).collect()
    }

    /// The properties of one resource.
    async fn resource(&self, type_name: &str, identifier: &str) -> Option<Value> {
        let input = json!({ "TypeName": type_name, "Identifier": identifier });
        let answer = self.cloud_control("GetResource", input).await;
        (!answer.is_null()).then(|| properties_in(&answer["ResourceDescription"]))
    }

    async fn cloud_control(&self, operation: &str, input: Value) -> Value {
        let headers = [("x-amz-target", format!("CloudApiService.{operation}")), ("content-type", JSON_1_0.to_owned())];
        self.ask("cloudcontrolapi", "POST", "/", &headers, input.to_string()).await
    }

    async fn dynamodb(&self, operation: &str, body: Value) -> Value {
        let headers =
            [("x-amz-target", format!("DynamoDB_20120810.{operation}")), ("content-type", JSON_1_0.to_owned())];
        self.ask("dynamodb", "POST", "/", &headers, body.to_string()).await
    }

    async fn logs(&self, operation: &str, body: Value) -> Value {
        let headers = [("x-amz-target", format!("Logs_20140328.{operation}")), ("content-type", JSON_1_1.to_owned())];
        self.ask("logs", "POST", "/", &headers, body.to_string()).await
    }

    /// A call of SQS.
    pub async fn sqs(&self, operation: &str, body: Value) -> Value {
        let headers = [("x-amz-target", format!("AmazonSQS.{operation}")), ("content-type", JSON_1_0.to_owned())];
        self.ask("sqs", "POST", "/", &headers, body.to_string()).await
    }

    async fn get(&self, service: &str, path: &str) -> Value {
        self.ask(service, "GET", path, &[], String::new()).await
    }

    async fn ask(&self, service: &str, method: &str, path: &str, headers: &[(&str, String)], body: String) -> Value {
        loop {
            let (status, answer) = self.ask_once(service, method, path, headers, &body).await;
            match status {
                200 => return serde_json::from_str(&answer).unwrap(),
                404 => return Value::Null,
                // A table that was deleted since it was listed.
                400 if answer.contains("#ResourceNotFoundException") => return Value::Null,
                // What Cloud Control cannot list.
                405 if answer.contains("UnsupportedActionException") => return Value::Null,
                429 => {}
                400 if answer.contains("Throttling") => {}
                _ => panic!("{service} {method} {path}: {status} {answer}"),
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    async fn ask_once(
        &self,
        service: &str,
        method: &str,
        path: &str,
        headers: &[(&str, String)],
        body: &str,
    ) -> (u16, String) {
        let stream = TcpStream::connect(("127.0.0.1", self.port())).await.unwrap();
        let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await.unwrap();
        let connection = tokio::spawn(connection);
        let scope = format!("{TESTER}/20260101/us-east-1/{service}/aws4_request");
        let mut request = hyper::Request::builder()
            .method(method)
            .uri(path)
            .header("host", format!("127.0.0.1:{}", self.port()))
            // A local cloud that admits all callers does not verify the signature.
            .header("authorization", format!("AWS4-HMAC-SHA256 Credential={scope}, SignedHeaders=host, Signature=0"));
        for (name, value) in headers {
            request = request.header(*name, value);
        }
        let request = request.body(Full::new(Bytes::from(body.to_owned()))).unwrap();
        let answer = sender.send_request(request).await.unwrap();
        let status = answer.status().as_u16();
        let answer = answer.into_body().collect().await.unwrap().to_bytes();
        connection.abort();
        (status, String::from_utf8(answer.into()).unwrap())
    }
}

/// Types that cannot be listed as a whole: what their resources lie in, and the property that names it.
const PARTS: [(&str, &str, &str); 3] = [
    ("AWS::Cognito::UserPoolClient", "AWS::Cognito::UserPool", "UserPoolId"),
    ("AWS::SNS::TopicInlinePolicy", "AWS::SNS::Topic", "TopicArn"),
    ("AWS::SQS::QueueInlinePolicy", "AWS::SQS::Queue", "QueueUrl"),
];

fn properties_in(description: &Value) -> Value {
    serde_json::from_str(description["Properties"].as_str().unwrap()).unwrap()
}

/// The types of records that tests make.
const RECORDED: [&str; 10] = [
    "AWS::Cognito::UserPool",
    "AWS::Cognito::UserPoolClient",
    "AWS::Events::Rule",
    "AWS::S3::Bucket",
    "AWS::S3::BucketPolicy",
    "AWS::SNS::Subscription",
    "AWS::SNS::Topic",
    "AWS::SQS::Queue",
    "AWS::SQS::QueueInlinePolicy",
    "AWS::SSM::Parameter",
];

/// A record, called by its name; what AWS mints differs from cloud to cloud.
fn recorded(type_name: &str, mut record: Value) -> Value {
    let names =
        ["QueueName", "TopicName", "BucketName", "ClientName", "Bucket", "Queue", "Endpoint", "Name", "UserPoolName"];
    let name = names.iter().find_map(|name| record[*name].as_str()).unwrap_or("without name").to_owned();
    for minted in ["UserPoolId", "Arn", "ProviderName", "ProviderURL", "ClientId", "ClientSecret"] {
        record.as_object_mut().unwrap().remove(minted);
    }
    if let Some(tags) = record["Tags"].as_array_mut() {
        tags.sort_by_key(|tag| tag["Key"].to_string());
    }
    json!({ "kind": type_name, "name": name, "description": record })
}

const JSON_1_0: &str = "application/x-amz-json-1.0";
const JSON_1_1: &str = "application/x-amz-json-1.1";

fn list(answer: &Value, member: &str) -> Vec<Value> {
    answer[member].as_array().cloned().unwrap_or_default()
}

fn numberless(mut version: Value) -> Value {
    version["Version"].take();
    version["FunctionArn"].take();
    version
}

fn sorted(mut values: Vec<Value>) -> Vec<Value> {
    values.sort_by_key(ToString::to_string);
    values
}

/// Sorted by a property that the user gave: ids are random.
fn sorted_by(mut values: Vec<Value>, member: &str) -> Vec<Value> {
    values.sort_by_key(|value| (value[member].to_string(), value["description"].to_string()));
    values
}

/// Collects names for the ids of an API and of all its parts, and for what AWS assigns to a domain name.
fn name_ids(one: &Value, names: &mut Vec<(String, String)>) {
    let mut name = |id: &Value, name: String| names.push((id.as_str().unwrap().to_owned(), name));
    if one["kind"] == "domain name" {
        let configuration = &one["description"]["domainNameConfigurations"][0];
        name(&configuration["apiGatewayDomainName"], "ADDRESS".to_owned());
        name(&configuration["hostedZoneId"], "ZONE".to_owned());
        for mapping in list(one, "mappings") {
            name(&mapping["apiMappingId"], "MAPPING".to_owned());
        }
    }
    if one["kind"] != "api" {
        return;
    }
    for model in list(one, "models") {
        name(&model["modelId"], "MODEL".to_owned());
    }
    for authorizer in list(one, "authorizers") {
        name(&authorizer["authorizerId"], "AUTHORIZER".to_owned());
    }
    name(&one["description"]["apiId"], "API".to_owned());
    for (kind, id) in [("routes", "routeId"), ("integrations", "integrationId"), ("deployments", "deploymentId")] {
        for (position, part) in one[kind].as_array().unwrap().iter().enumerate() {
            name(&part[id], format!("{kind}/{position}"));
            for response in list(part, "responses") {
                let id = response.get("routeResponseId").unwrap_or(&response["integrationResponseId"]);
                name(id, "RESPONSE".to_owned());
            }
        }
    }
}

/// Removes properties that differ from run to run.
fn timeless(value: Value) -> Value {
    const PASSING: &[&str] = &[
        // The number of items is not part of a table's configuration.
        "ItemCount",
        "TableSizeBytes",
        "CreatedDate",
        "CreationDateTime",
        "EarliestRestorableDateTime",
        "LastUpdateToPayPerRequestDateTime",
        "LatestRestorableDateTime",
        "LastDecreaseDateTime",
        "LastIncreaseDateTime",
        "LastModified",
        "Location",
        "RevisionId",
        "TableId",
        "createdDate",
        "creationTime",
        "lastUpdatedDate",
        "storedBytes",
    ];
    match value {
        Value::Object(members) => {
            // An empty text means that the property is not set.
            let stays = |(name, value): &(String, Value)| !PASSING.contains(&name.as_str()) && value != "";
            let mut members: Vec<_> = members.into_iter().filter(stays).collect();
            members.sort_by(|one, other| one.0.cmp(&other.0));
            members.into_iter().map(|(name, value)| (name, timeless(value))).collect()
        }
        Value::Array(items) => items.into_iter().map(timeless).collect(),
        other => other,
    }
}

/// Removes digests that depend on ids (those of deployments and of statements), the ids of keys, and the port.
fn digestless(line: &str) -> String {
    let passing = r#":layer:[A-Za-z0-9_-]+:\d+|(?:wschat:resource:\w+-)[0-9a-f]{8}|(?:\d AWS::\S+ \S+ \S+ \S+ made )[^"]*|"[0-9a-f]{10}"|[0-9a-f-]{36}|wschat:[0-9a-f]{16}|"Sid":"[^"]*?-[0-9a-f]{8}"|key/[0-9a-f-]{36}|us-east-1_[0-9a-f]{9}|localhost:\d+|127\.0\.0\.1:\d+"#;
    let replaced = |found: &Captures<'_>| match &found[0] {
        // Records of what cannot be tagged.
        key if key.starts_with("wschat:resource:") => key[..key.len() - 8].to_owned(),
        record if record.contains(" made ") => record[..record.find(" made ").unwrap() + 6].to_owned(),
        id if id.len() == 36 && !id.contains('"') => "ID".to_owned(),
        // What the local Cloud Control mints.
        id if id.len() == 12 && id.starts_with('"') => "\"ID\"".to_owned(),
        sid if sid.starts_with("\"Sid\"") => format!("{}…\"", &sid[..sid.len() - 9]),
        layer if layer.starts_with(":layer") => format!("{}…", layer.trim_end_matches(|c: char| c.is_ascii_digit())),
        deployment if deployment.starts_with("wschat") => "wschat:…".to_owned(),
        key if key.starts_with("key/") => "key/…".to_owned(),
        pool if pool.starts_with("us-east-1_") => "POOL".to_owned(),
        _ => "HERE".to_owned(),
    };
    Regex::new(passing).unwrap().replace_all(line, replaced).into_owned()
}
