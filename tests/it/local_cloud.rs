//! The local cloud through the AWS SDK: every service on one port, over HTTP and TLS, before and after a restart.

use std::fs;
use std::path::PathBuf;
use std::process::Command;

use aws_config::{BehaviorVersion, Region, SdkConfig};
use aws_credential_types::Credentials;
use aws_credential_types::provider::SharedCredentialsProvider;
use aws_sdk_apigatewayv2::types::ProtocolType;
use aws_sdk_dynamodb::types::{
    AttributeDefinition, AttributeValue, BillingMode, KeySchemaElement, KeyType, ScalarAttributeType, TableStatus,
};
use aws_smithy_http_client::tls::rustls_provider::CryptoMode;
use aws_smithy_http_client::tls::{Provider, TlsContext, TrustStore};

struct Cloud {
    folder: tempfile::TempDir,
}

impl Cloud {
    fn start() -> Self {
        let cloud = Self { folder: tempfile::tempdir().unwrap() };
        cloud.local(&["start", "--port", "0", "--open"]);
        cloud
    }

    fn local(&self, args: &[&str]) {
        let mut command = Command::new(env!("CARGO_BIN_EXE_wschat"));
        let output = command.arg("local").args(args).arg("--data").arg(self.data()).output().unwrap();
        assert!(output.status.success(), "{args:?}: {output:?}");
    }

    fn data(&self) -> PathBuf {
        self.folder.path().join("data")
    }

    /// A client's configuration for this cloud; `scheme` is `http` or `https`.
    fn config(&self, scheme: &str) -> SdkConfig {
        let port = fs::read_to_string(self.data().join("port.json")).unwrap();
        let trust = TrustStore::empty().with_pem_certificate(fs::read(self.data().join("ca.pem")).unwrap());
        let tls = TlsContext::builder().with_trust_store(trust).build().unwrap();
        let http = aws_smithy_http_client::Builder::new().tls_provider(Provider::Rustls(CryptoMode::Ring));
        let credentials = Credentials::from_keys("AKIDEXAMPLE", "secret", None);
        SdkConfig::builder()
            .behavior_version(BehaviorVersion::latest())
            .region(Region::new("eu-west-1"))
            .credentials_provider(SharedCredentialsProvider::new(credentials))
            .http_client(http.tls_context(tls).build_https())
            .endpoint_url(format!("{scheme}://localhost:{port}"))
            .build()
    }
}

impl Drop for Cloud {
    fn drop(&mut self) {
        self.local(&["stop"]);
    }
}

#[tokio::test]
async fn every_service_answers_and_keeps_its_state() {
    let cloud = Cloud::start();
    let config = cloud.config("http");

    let identity = aws_sdk_sts::Client::new(&config).get_caller_identity().send().await.unwrap();
    assert_eq!(identity.account(), Some("000000000000"));

    let trust = r#"{"Version":"2012-10-17","Statement":[{"Effect":"Allow",
        "Principal":{"Service":"lambda.amazonaws.com"},"Action":"sts:AssumeRole"}]}"#;
    let role = aws_sdk_iam::Client::new(&config).create_role().role_name("chat").assume_role_policy_document(trust);
    role.send().await.unwrap();

    let table = aws_sdk_dynamodb::Client::new(&config);
    let id = AttributeDefinition::builder().attribute_name("id").attribute_type(ScalarAttributeType::S);
    let key = KeySchemaElement::builder().attribute_name("id").key_type(KeyType::Hash);
    let create = table.create_table().table_name("connections").billing_mode(BillingMode::PayPerRequest);
    let create = create.attribute_definitions(id.build().unwrap()).key_schema(key.build().unwrap());
    create.send().await.unwrap();
    let status = || async {
        let answer = table.describe_table().table_name("connections").send().await.unwrap();
        answer.table().unwrap().table_status().cloned().unwrap()
    };
    while status().await != TableStatus::Active {
        tokio::task::yield_now().await;
    }
    let put = table.put_item().table_name("connections").item("id", AttributeValue::S("a".to_owned()));
    put.send().await.unwrap();

    let logs = aws_sdk_cloudwatchlogs::Client::new(&config);
    logs.create_log_group().log_group_name("/aws/lambda/chat").send().await.unwrap();

    let gateway = aws_sdk_apigatewayv2::Client::new(&config);
    let create = gateway.create_api().name("chat").protocol_type(ProtocolType::Websocket);
    let api = create.route_selection_expression("$request.body.action").send().await.unwrap();

    let functions = aws_sdk_lambda::Client::new(&config).list_functions().send().await.unwrap();
    assert!(functions.functions().is_empty());

    let stack = aws_sdk_cloudformation::Client::new(&config).describe_stacks().stack_name("chat").send().await;
    let error = stack.unwrap_err().into_service_error();
    assert_eq!(error.meta().message(), Some("Stack with id chat does not exist"));

    cloud.local(&["stop"]);
    cloud.local(&["start", "--open"]);
    // The same port, now over TLS: the resources still exist.
    let config = cloud.config("https");
    let roles = aws_sdk_iam::Client::new(&config).list_roles().send().await.unwrap();
    assert_eq!(roles.roles()[0].role_name(), "chat");
    let items = aws_sdk_dynamodb::Client::new(&config).scan().table_name("connections").send().await.unwrap();
    assert_eq!(items.count(), 1);
    let groups = aws_sdk_cloudwatchlogs::Client::new(&config).describe_log_groups().send().await.unwrap();
    assert_eq!(groups.log_groups()[0].log_group_name(), Some("/aws/lambda/chat"));
    let apis = aws_sdk_apigatewayv2::Client::new(&config).get_apis().send().await.unwrap();
    assert_eq!(apis.items()[0].api_id(), api.api_id());
    assert_eq!(apis.items()[0].api_endpoint(), api.api_endpoint());
}
