//! How REST APIs refuse a client, and what gateway responses make of that. (Developer guide, "Gateway response types for API Gateway",
//! "Gateway responses for REST APIs in API Gateway".)

use std::borrow::Cow;

use http::StatusCode;
use serde_json::{Value, json};

use super::response::Answer;
use super::rest_record::{document, strings};
use crate::local::apigateway::cause::{Cause, IntegrationFailure};
use crate::local::apigateway::mapping::RouteRequest;
use crate::local::apigateway::model::Strings;
use crate::local::context::ports::Records;

/// A type of gateway response.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    AccessDenied,
    AuthorizerConfiguration,
    AuthorizerFailure,
    BadBody,
    BadParameters,
    ExpiredToken,
    IntegrationTimeout,
    InvalidApiKey,
    InvalidSignature,
    MissingAuthenticationToken,
    TooLarge,
    Unauthorized,
    UnsupportedMediaType,
    /// `DEFAULT_4XX`, `DEFAULT_5XX`, by the status.
    Default,
}

impl Kind {
    /// Its name, and the type of error that the client is told in a header.
    fn names(self) -> (&'static str, &'static str) {
        match self {
            Self::AccessDenied => ("ACCESS_DENIED", "AccessDeniedException"),
            Self::AuthorizerConfiguration => ("AUTHORIZER_CONFIGURATION_ERROR", "AuthorizerConfigurationException"),
            Self::AuthorizerFailure => ("AUTHORIZER_FAILURE", "AuthorizerFailureException"),
            Self::BadBody => ("BAD_REQUEST_BODY", "BadRequestException"),
            Self::BadParameters => ("BAD_REQUEST_PARAMETERS", "BadRequestException"),
            Self::ExpiredToken => ("EXPIRED_TOKEN", "ExpiredTokenException"),
            Self::IntegrationTimeout => ("INTEGRATION_TIMEOUT", "InternalServerErrorException"),
            Self::InvalidApiKey => ("INVALID_API_KEY", "ForbiddenException"),
            Self::InvalidSignature => ("INVALID_SIGNATURE", "InvalidSignatureException"),
            Self::MissingAuthenticationToken => ("MISSING_AUTHENTICATION_TOKEN", "MissingAuthenticationTokenException"),
            Self::TooLarge => ("REQUEST_TOO_LARGE", "RequestTooLargeException"),
            Self::Unauthorized => ("UNAUTHORIZED", "UnauthorizedException"),
            Self::UnsupportedMediaType => ("UNSUPPORTED_MEDIA_TYPE", "BadRequestException"),
            Self::Default => ("", "InternalServerErrorException"),
        }
    }

    /// Of a request whose signature is refused with this message.
    pub fn of_signature(message: &str) -> Self {
        match message {
            "Missing Authentication Token" => Self::MissingAuthenticationToken,
            "Signature expired" => Self::ExpiredToken,
            message if message.starts_with("User is not authorized") => Self::AccessDenied,
            _ => Self::InvalidSignature,
        }
    }
}

/// A refusal of a client.
#[derive(Debug)]
pub struct Refusal {
    pub kind: Kind,
    pub status: StatusCode,
    /// What the client is told; nothing where the message is null.
    pub message: Cow<'static, str>,
    pub cause: Cause,
}

impl Refusal {
    /// With the status and the message that its kind has.
    pub fn of(kind: Kind, cause: Cause) -> Self {
        let (status, message) = match kind {
            Kind::BadBody => (StatusCode::BAD_REQUEST, "Invalid request body"),
            Kind::BadParameters => (StatusCode::BAD_REQUEST, "Missing required request parameters"),
            Kind::Unauthorized => (StatusCode::UNAUTHORIZED, "Unauthorized"),
            Kind::MissingAuthenticationToken => (StatusCode::FORBIDDEN, "Missing Authentication Token"),
            // (auth0-samples/jwt-rsa-aws-custom-authorizer#6)
            Kind::AuthorizerConfiguration | Kind::AuthorizerFailure => (StatusCode::INTERNAL_SERVER_ERROR, ""),
            Kind::TooLarge => (StatusCode::PAYLOAD_TOO_LARGE, "HTTP content length exceeded 10485760 bytes."),
            _ => return Self::of_integration(cause),
        };
        Self { kind, status, message: message.into(), cause }
    }

    /// Of an integration that failed.
    pub fn of_integration(cause: Cause) -> Self {
        let (kind, status, message) = match cause.kind() {
            IntegrationFailure::Function => (Kind::Default, StatusCode::BAD_GATEWAY, "Internal server error"),
            IntegrationFailure::Timeout => {
                (Kind::IntegrationTimeout, StatusCode::GATEWAY_TIMEOUT, "Endpoint request timed out")
            }
            IntegrationFailure::MediaType => {
                (Kind::UnsupportedMediaType, StatusCode::UNSUPPORTED_MEDIA_TYPE, "Unsupported Media Type")
            }
            _ => (Kind::Default, StatusCode::INTERNAL_SERVER_ERROR, "Internal server error"),
        };
        Self { kind, status, message: message.into(), cause }
    }

    /// With a message of its own.
    pub fn denied(kind: Kind, message: &'static str, cause: Cause) -> Self {
        Self { kind, status: StatusCode::FORBIDDEN, message: message.into(), cause }
    }

    /// The message as logs have it.
    pub fn label(&self) -> &'static str {
        match self.message {
            Cow::Borrowed(message) => message,
            Cow::Owned(_) => "Missing required request parameters",
        }
    }

    /// Of what works on AWS and not here.
    pub fn not_here(what: String) -> Self {
        let cause = Cause::NotLocally { what };
        Self { kind: Kind::Default, status: StatusCode::NOT_IMPLEMENTED, message: "Not Implemented".into(), cause }
    }

    fn said(&self) -> Value {
        if self.message.is_empty() { Value::Null } else { self.message.as_ref().into() }
    }

    /// The answer of an API without gateway responses.
    fn plain(&self) -> Answer {
        // What an authorizer denies is spelled so (seen in answers of AWS that READMEs show).
        let member = if self.kind == Kind::AccessDenied { "Message" } else { "message" };
        let body = json!({ member: self.said() }).to_string();
        Answer { status: self.status, headers: Default::default(), body: body.into() }
    }

    /// The answer to the client. `event` makes the request's event, as a Lambda proxy would get it.
    pub fn answer(&self, responses: &Responses, variables: &Strings, event: impl FnOnce() -> Value) -> Answer {
        let mut answer = match responses.of(self) {
            Some(response) => self.as_configured(response, variables, event()),
            None => self.plain(),
        };
        let (_, error) = self.kind.names();
        if !answer.headers.contains_key("x-amzn-errortype") {
            answer.set("x-amzn-errortype", error);
        }
        answer.or_type("application/json")
    }

    fn as_configured(&self, response: &Response, variables: &Strings, mut event: Value) -> Answer {
        let said = self.said();
        event["requestContext"]["error"] = json!({
            "message": said, "messageString": said.to_string(), "responseType": response.kind,
        });
        let asked = RouteRequest::of(event.to_string().as_bytes(), variables);
        let mut answer = self.plain();
        answer.status = response.status.unwrap_or(self.status);
        // Its template is this one where it has none.
        answer.body = json!({ "message": said }).to_string().into();
        let json = response.templates.get_key_value("application/json");
        if let Some((content_type, template)) = json.or_else(|| response.templates.iter().next()) {
            match asked.rendered(template, "") {
                Ok(body) => answer.body = body.into(),
                Err(problem) => tracing::warn!("the gateway response {}: {problem}", response.kind),
            }
            answer.set("content-type", content_type);
        }
        for (name, expression) in &response.parameters {
            let Some(header) = name.strip_prefix("gatewayresponse.header.") else { continue };
            match asked.mapped(expression) {
                Ok(Some(value)) => answer.set(header, &value),
                Ok(None) => {}
                Err(problem) => tracing::warn!("the gateway response {}: {name}: {problem}", response.kind),
            }
        }
        answer
    }
}

/// One gateway response.
#[derive(Debug, Clone, Default, PartialEq)]
struct Response {
    /// `UNAUTHORIZED`, `DEFAULT_4XX`.
    kind: String,
    status: Option<StatusCode>,
    /// `gatewayresponse.header.NAME` by expression.
    parameters: Strings,
    /// By content type.
    templates: Strings,
}

/// The gateway responses of an API.
#[derive(Debug, Default)]
pub struct Responses(Vec<Response>);

impl Responses {
    /// Those of an API's document, and of records.
    pub fn read(records: &dyn Records, region: &str, api: &str, model: &Value) -> Self {
        let status = |value: &Value| {
            let number = value.as_u64().or_else(|| value.as_str()?.parse().ok());
            StatusCode::from_u16(u16::try_from(number?).ok()?).ok()
        };
        let document = document(model);
        let of_document = document["x-amazon-apigateway-gateway-responses"].as_object().into_iter().flatten();
        let of_document = of_document.map(|(kind, given)| Response {
            kind: kind.clone(),
            status: status(&given["statusCode"]),
            parameters: strings(&given["responseParameters"]),
            templates: strings(&given["responseTemplates"]),
        });
        let of_records = records.of_type(region, "ApiGateway::GatewayResponse").into_iter();
        let of_records = of_records.filter(|(_, given)| given["RestApiId"] == api).map(|(_, given)| Response {
            kind: given["ResponseType"].as_str().unwrap_or_default().to_owned(),
            status: status(&given["StatusCode"]),
            parameters: strings(&given["ResponseParameters"]),
            templates: strings(&given["ResponseTemplates"]),
        });
        Self(of_document.chain(of_records).collect())
    }

    /// That of a refusal: its own, or the one for all of its class.
    fn of(&self, refusal: &Refusal) -> Option<&Response> {
        let (name, _) = refusal.kind.names();
        let class = if refusal.status.is_server_error() { "DEFAULT_5XX" } else { "DEFAULT_4XX" };
        let named = |name: &str| self.0.iter().find(|response| !name.is_empty() && response.kind == name);
        named(name).or_else(|| named(class))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn response(kind: &str, header: &str, template: Option<&str>) -> Response {
        Response {
            kind: kind.to_owned(),
            status: None,
            parameters: [("gatewayresponse.header.Access-Control-Allow-Origin".to_owned(), header.to_owned())].into(),
            templates: template.iter().map(|one| ("application/json".to_owned(), (*one).to_owned())).collect(),
        }
    }

    fn answered(responses: Vec<Response>, refusal: &Refusal) -> (u16, String, String) {
        let event = || json!({ "multiValueHeaders": { "Origin": ["https://a.example.com"] }, "requestContext": { "stage": "live" } });
        let answer = refusal.answer(&Responses(responses), &Strings::new(), event);
        let origin = answer.headers.get("access-control-allow-origin").map_or("", |value| value.to_str().unwrap());
        (answer.status.as_u16(), origin.to_owned(), String::from_utf8(answer.body.to_vec()).unwrap())
    }

    #[test]
    fn refusals_are_what_the_api_makes_of_them() {
        let denied = Refusal::denied(Kind::AccessDenied, "no", Cause::NoIdentity { missing: Vec::new() });
        let text = |text: &str| text.to_owned();
        assert_eq!(answered(Vec::new(), &denied), (403, text(""), text(r#"{"Message":"no"}"#)));
        let all = response("DEFAULT_4XX", "'*'", None);
        assert_eq!(answered(vec![all.clone()], &denied), (403, text("*"), text(r#"{"message":"no"}"#)));
        let template =
            r#"{"why": $context.error.messageString, "type": "$context.error.responseType", "at": "$context.stage"}"#;
        let own = Response { status: Some(StatusCode::NOT_FOUND), ..response("ACCESS_DENIED", "'x'", Some(template)) };
        let expected = r#"{"why": "no", "type": "ACCESS_DENIED", "at": "live"}"#;
        assert_eq!(answered(vec![all.clone(), own], &denied), (404, text("x"), text(expected)));
        let echoed = response("ACCESS_DENIED", "method.request.header.Origin", None);
        assert_eq!(answered(vec![echoed], &denied).1, "https://a.example.com");
        let failed = Refusal::of(Kind::AuthorizerFailure, Cause::NoIdentity { missing: Vec::new() });
        assert_eq!(answered(vec![all], &failed), (500, text(""), text(r#"{"message":null}"#)));
    }
}
