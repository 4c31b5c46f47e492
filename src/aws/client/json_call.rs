//! Calls of services for which there is no client of the SDK here: JSON 1.1 over HTTP, or a form of the query protocol, signed.
//!
//! A client costs seconds of every build, and of these services wschat makes one call each.

use std::time::{Duration, SystemTime};

use aws_credential_types::provider::ProvideCredentials;
use aws_sigv4::http_request::{SignableBody, SignableRequest, SigningSettings, sign};
use aws_sigv4::sign::v4;
use aws_smithy_runtime_api::client::http::HttpConnector;
use aws_smithy_runtime_api::client::orchestrator::{HttpRequest, HttpResponse};
use aws_smithy_runtime_api::client::result::SdkError;
use aws_smithy_types::body::SdkBody;
use aws_smithy_types::error::metadata::ErrorMetadata;
use bytes::Bytes;
use http_body_util::BodyExt;
use serde_json::Value;

use super::call::AwsCall;
use super::connect::Aws;
use super::error::{CallError, xml_text};

/// How long an answer may take, as for the SDK's clients.
const TIMEOUT: Duration = Duration::from_secs(30);

/// A service that is called by its protocol alone.
#[derive(Debug, Clone, Copy)]
pub struct JsonService {
    /// The name in records and errors, which signatures and AWS's own endpoints have, too.
    pub name: &'static str,
    /// What stands before an operation's name in `X-Amz-Target`.
    pub target: &'static str,
    /// The service's name as settings for endpoints have it.
    pub id: &'static str,
}

/// SNS, which speaks the query protocol alone: its name, and that of its settings.
const SNS: (&str, &str) = ("sns", "SNS");
const SNS_VERSION: &str = "2010-03-31";

type Failed = SdkError<ErrorMetadata, HttpResponse>;

/// What is sent to a service.
struct Sent<'a> {
    /// The service's name, and that of its settings.
    service: (&'static str, &'static str),
    headers: &'a [(&'static str, &'a str)],
    body: &'a str,
}

impl Aws {
    /// Makes a call with the given input, and gives the output.
    ///
    /// # Errors
    /// As `Aws::call`.
    pub async fn json_call(
        &self,
        service: JsonService,
        operation: &'static str,
        input: &Value,
    ) -> Result<Value, CallError> {
        let body = input.to_string();
        self.call(AwsCall::new(service.name, operation), || self.send(service, operation, &body)).await
    }

    /// Publishes a message to a topic of this region.
    ///
    /// # Errors
    /// As `Aws::call`.
    pub async fn publish(&self, topic: &str, subject: &str, message: &str) -> Result<(), CallError> {
        let body = form_urlencoded::Serializer::new(String::new())
            .append_pair("Action", "Publish")
            .append_pair("Version", SNS_VERSION)
            .append_pair("TopicArn", topic)
            .append_pair("Subject", subject)
            .append_pair("Message", message)
            .finish();
        let headers = [("content-type", "application/x-www-form-urlencoded")];
        let sent = || self.exchange(Sent { service: SNS, headers: &headers, body: &body });
        self.call(AwsCall::new(SNS.0, "Publish").repeatable(), sent).await.map(drop)
    }

    async fn send(&self, service: JsonService, operation: &str, body: &str) -> Result<Value, Failed> {
        let target = format!("{}.{operation}", service.target);
        let headers = [("content-type", "application/x-amz-json-1.1"), ("x-amz-target", target.as_str())];
        let sent = Sent { service: (service.name, service.id), headers: &headers, body };
        let (answer, body) = self.exchange(sent).await?;
        serde_json::from_slice(&body).map_err(|error| SdkError::response_error(error, answer))
    }

    async fn exchange(&self, sent: Sent<'_>) -> Result<(HttpResponse, Bytes), Failed> {
        let request = self.signed(&sent).await?;
        let uri = request.uri().parse().map_err(SdkError::construction_failure)?;
        let sent = self.network().connector(&uri).call(request);
        let answer = tokio::time::timeout(TIMEOUT, sent).await.map_err(SdkError::timeout_error)?;
        let mut answer = answer.map_err(SdkError::dispatch_failure)?;
        let body = std::mem::replace(answer.body_mut(), SdkBody::taken());
        let body = match body.collect().await {
            Ok(body) => body.to_bytes(),
            Err(error) => return Err(SdkError::response_error(error, answer)),
        };
        if answer.status().is_success() {
            return Ok((answer, body));
        }
        let (code, message) = refusal(&body);
        let error = ErrorMetadata::builder().code(code).message(message).build();
        Err(SdkError::service_error(error, answer))
    }

    async fn signed(&self, sent: &Sent<'_>) -> Result<HttpRequest, Failed> {
        let Sent { service, headers, body } = *sent;
        let provider = self.config.credentials_provider();
        let provider = provider.ok_or_else(|| SdkError::construction_failure("there are no credentials"))?;
        let credentials = provider.provide_credentials().await.map_err(SdkError::construction_failure)?;
        let url = self.endpoint_of(service);
        let identity = credentials.into();
        let parameters = v4::SigningParams::builder()
            .identity(&identity)
            .region(&self.scope().region)
            .name(service.0)
            .time(SystemTime::now())
            .settings(SigningSettings::default())
            .build()
            .map_err(SdkError::construction_failure)?
            .into();
        let signable =
            SignableRequest::new("POST", &url, headers.iter().copied(), SignableBody::Bytes(body.as_bytes()));
        let signed = sign(signable.map_err(SdkError::construction_failure)?, &parameters);
        let (signature, _) = signed.map_err(SdkError::construction_failure)?.into_parts();
        let mut request = HttpRequest::new(SdkBody::from(body.to_owned()));
        request.set_uri(url).map_err(SdkError::construction_failure)?;
        request.set_method("POST").map_err(SdkError::construction_failure)?;
        for (name, value) in headers.iter().copied().chain(signature.headers()) {
            request.headers_mut().insert(name.to_owned(), value.to_owned());
        }
        Ok(request)
    }

    /// Where a service is called.
    fn endpoint_of(&self, (name, id): (&str, &str)) -> String {
        let own = self.settings().and_then(|settings| settings.endpoint(id, &self.config));
        let url = own.or_else(|| self.config.endpoint_url().map(str::to_owned)).unwrap_or_else(|| {
            let scope = self.scope();
            format!("https://{name}.{}.{}", scope.region, scope.url_suffix())
        });
        format!("{}/", url.trim_end_matches('/'))
    }
}

/// Code and message of a refusal, in JSON or in XML.
fn refusal(body: &[u8]) -> (String, String) {
    let text = String::from_utf8_lossy(body);
    if let Ok(refusal) = serde_json::from_str::<Value>(&text) {
        let member =
            |names: [&str; 2]| names.iter().find_map(|name| refusal[*name].as_str()).unwrap_or_default().to_owned();
        // `com.amazonaws.ssm#ParameterNotFound`
        let code = member(["__type", "code"]);
        let code = code.rsplit('#').next().unwrap_or_default().to_owned();
        return (code, member(["message", "Message"]));
    }
    let element = |name: &str| xml_text(&text, name).unwrap_or_default();
    (element("Code"), element("Message"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn refusals_are_read_in_both_forms() {
        let pair = |code: &str, message: &str| (code.to_owned(), message.to_owned());
        let json = br#"{"__type":"com.amazonaws.ssm#ParameterNotFound","message":"none"}"#;
        assert_eq!(refusal(json), pair("ParameterNotFound", "none"));
        let xml = b"<ErrorResponse><Error><Type>Sender</Type><Code>NotFound</Code><Message>Topic does not exist</Message></Error></ErrorResponse>";
        assert_eq!(refusal(xml), pair("NotFound", "Topic does not exist"));
        assert_eq!(refusal(b"<html>"), pair("", ""));
    }
}
