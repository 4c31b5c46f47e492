//! Runs a route's integration: checks its permission, limits its time and parses its result.

use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use serde::Deserialize;
use serde_json::Value;

use super::cause::{self, Cause};
use super::gateway_log::ClientRequest;
use super::model::{IntegrationConfig, Strings};
use super::rules::Members;
use crate::local::context::ports::Functions;

/// The response of a Lambda proxy integration.
#[derive(Debug, Clone, PartialEq)]
pub struct ProxyResponse {
    /// 200 to 599.
    pub status: u16,
    pub headers: Members,
    /// Decoded from base64 where the handler set `isBase64Encoded`.
    pub body: Option<Vec<u8>>,
}

/// The function in `arn:aws:apigateway:REGION:lambda:path/2015-03-31/functions/FUNCTION_ARN/invocations`, the form of
/// the URI of a WebSocket API's integration.
pub fn function_arn(uri: &str) -> Option<&str> {
    let (service, function) = uri.split_once(":lambda:path/2015-03-31/functions/")?;
    let function = function.strip_suffix("/invocations")?;
    (service.starts_with("arn:aws:apigateway:") && function.starts_with("arn:aws:lambda:")).then_some(function)
}

/// The function of an integration. AWS also accepts its plain ARN, as CDK wrote it until 1.94 (aws-cdk#13820).
pub fn integrated_function(uri: &str) -> Option<&str> {
    function_arn(uri).or_else(|| (uri.starts_with("arn:aws:lambda:") && uri.contains(":function:")).then_some(uri))
}

/// Runs an integration on `event` as the API's route `source_arn` (`arn:aws:execute-api:REGION:ACCOUNT:API/STAGE/KEY`), for
/// the client's request `request`.
///
/// # Errors
/// The [`Cause`] of a failure; the client is told its kind.
pub async fn run(
    integration: &IntegrationConfig,
    functions: &dyn Functions,
    variables: &Strings,
    source_arn: &str,
    event: Bytes,
    request: &mut ClientRequest<'_>,
) -> Result<ProxyResponse, Cause> {
    if integration.integration_type == "MOCK" {
        let status = mocked_status(integration).ok_or(Cause::NoMockedStatus)?;
        return Ok(ProxyResponse { status, headers: Members::new(), body: None });
    }
    let uri = with_variables(integration.integration_uri.as_deref().unwrap_or_default(), variables);
    let function = integrated_function(&uri).ok_or_else(|| Cause::NoFunction { uri: uri.clone() })?;
    let named = || function.to_owned();
    // With credentials the gateway invokes as that role, and the function's resource policy is not checked.
    let permitted =
        integration.credentials_arn.is_some() || functions.permits(function, "apigateway.amazonaws.com", source_arn);
    if !permitted {
        tracing::warn!(function, source_arn, "the function's resource policy does not let API Gateway invoke it");
        return Err(Cause::NotPermitted { function: named(), source_arn: source_arn.to_owned() });
    }
    let limit = Duration::from_millis(integration.timeout_in_millis.into());
    let id = request.begin_invocation(function);
    let Ok(answer) = tokio::time::timeout(limit, functions.invoke(function, &id, event, request.id())).await else {
        tracing::warn!(function, ?limit, "the integration timed out");
        return Err(Cause::TimedOut { function: named(), limit });
    };
    let invoked = answer.map_err(|error| {
        tracing::warn!(function, code = %error.code, message = error.message, "Lambda refused the invocation");
        Cause::NotInvoked { function: named(), code: error.code.into_owned(), message: error.message }
    })?;
    if invoked.function_error.is_some() {
        let error = String::from_utf8_lossy(&invoked.payload).into_owned();
        tracing::warn!(
            function,
            "the function failed: {}; `wschat logs --local` shows where",
            cause::described(&error)
        );
        return Err(Cause::Failed { function: named(), error });
    }
    read(&invoked.payload).ok_or_else(|| {
        let returned = String::from_utf8_lossy(&invoked.payload).into_owned();
        tracing::warn!(function, "malformed Lambda proxy response: {}", cause::quoted(&returned));
        Cause::Malformed { function: named(), returned }
    })
}

/// The `statusCode` in the request template of a MOCK integration. Templates are not evaluated, so it must be a literal number.
/// The template is the one that the selection expression selects, else `$default`, else the only one.
fn mocked_status(integration: &IntegrationConfig) -> Option<u16> {
    let templates = &integration.request_templates;
    let selected = integration.template_selection_expression.as_ref().and_then(|key| templates.get(key));
    let only = || templates.values().next().filter(|_| templates.len() == 1);
    let template = selected.or_else(|| templates.get("$default")).or_else(only)?;
    let (_, rest) = template.split_once("statusCode")?;
    let value = rest.trim_start_matches(|letter: char| letter.is_whitespace() || "\"':".contains(letter));
    let digits = value.split(|letter: char| !letter.is_ascii_digit()).next()?;
    digits.parse().ok().filter(|status| (200..600).contains(status))
}

/// A URI with the stage's variables substituted.
pub fn with_variables(uri: &str, variables: &Strings) -> String {
    variables
        .iter()
        .fold(uri.to_owned(), |uri, (name, value)| uri.replace(&format!("${{stageVariables.{name}}}"), value))
}

/// Parses a proxy response; `None` where it is invalid.
fn read(payload: &[u8]) -> Option<ProxyResponse> {
    #[derive(Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct RawResponse {
        #[serde(default)]
        status_code: Value,
        #[serde(default)]
        headers: Option<Members>,
        #[serde(default)]
        body: Option<String>,
        #[serde(default)]
        is_base64_encoded: bool,
    }
    // Parsed as an object first, because serde would also accept an array for the struct.
    let object: Members = serde_json::from_slice(payload).ok()?;
    let response: RawResponse = serde_json::from_value(Value::Object(object)).ok()?;
    let status = match &response.status_code {
        Value::Null => 200,
        Value::Number(number) => u16::try_from(number.as_u64()?).ok()?,
        Value::String(text) => text.parse().ok()?,
        _ => return None,
    };
    if !(200..600).contains(&status) {
        return None;
    }
    let body = match response.body {
        Some(text) if response.is_base64_encoded => Some(STANDARD.decode(text).ok()?),
        text => text.map(String::into_bytes),
    };
    Some(ProxyResponse { status, headers: response.headers.unwrap_or_default(), body })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_function_is_read_from_the_invocation_uri() {
        let function = "arn:aws:lambda:us-east-1:000000000000:function:f";
        let uri = format!("arn:aws:apigateway:us-east-1:lambda:path/2015-03-31/functions/{function}/invocations");
        assert_eq!(function_arn(&uri), Some(function));
        assert_eq!(function_arn(function), None);
        assert_eq!(integrated_function(&uri), Some(function));
        assert_eq!(integrated_function(function), Some(function));
        assert_eq!(integrated_function("arn:aws:lambda:us-east-1:000000000000:layer:l"), None);
        assert_eq!(function_arn("https://example.com"), None);
    }

    #[test]
    fn a_mock_answers_with_the_status_of_its_template() {
        for (members, status) in [
            (r#""requestTemplates":{"200":"{\"statusCode\": 200}"}"#, Some(200)),
            (r#""requestTemplates":{"$default":"{'statusCode':'403'}","x":""}"#, Some(403)),
            (
                r#""templateSelectionExpression":"b","requestTemplates":{"a":"{\"statusCode\":200}","b":"{\"statusCode\":500}"}"#,
                Some(500),
            ),
            (r#""requestTemplates":{"200":"{}"}"#, None),
            (r#""requestTemplates":{"200":"{\"statusCode\": 20}"}"#, None),
            (r#""description":"none""#, None),
        ] {
            let config = serde_json::from_str(&format!(r#"{{"integrationType":"MOCK",{members}}}"#)).unwrap();
            assert_eq!(mocked_status(&config), status, "{members}");
        }
    }

    #[test]
    fn stage_variables_choose_the_function() {
        let variables = [("fn".to_owned(), "blue".to_owned())].into();
        assert_eq!(with_variables("function:${stageVariables.fn}/x", &variables), "function:blue/x");
    }

    #[test]
    fn proxy_responses_are_read_as_aws_reads_them() {
        for (payload, expected) in [
            (r#"{"statusCode":200}"#, Some((200, None))),
            (r#"{"statusCode":"403","body":"no"}"#, Some((403, Some("no")))),
            (r#"{"body":"x","headers":null}"#, Some((200, Some("x")))),
            (r#"{"statusCode":200,"body":"aGk=","isBase64Encoded":true}"#, Some((200, Some("hi")))),
            ("{}", Some((200, None))),
            ("null", None),
            ("[200]", None),
            (r#""done""#, None),
            ("", None),
            (r#"{"statusCode":101}"#, None),
            (r#"{"statusCode":200,"body":{"a":1}}"#, None),
        ] {
            let returned = read(payload.as_bytes());
            let seen = returned.as_ref().map(|it| (it.status, it.body.as_deref().map(|b| str::from_utf8(b).unwrap())));
            assert_eq!(seen, expected, "{payload}");
        }
    }
}
