//! Tags whose keys begin with `aws:` are AWS's own: callers read them, and can neither set nor remove them ("Tagging your AWS
//! resources", "Tag naming limits"). CloudFormation's, which say whose a resource is, stay on it for ever.

use serde_json::Value;

use crate::local::protocol::query::Query;
use crate::local::protocol::service::ServiceCall;
use crate::local::protocol::wire::ApiError;

const RESERVED: &str = "aws:";

/// The operations that set or remove tags, by how their names begin.
const TAGGING: &[&str] = &["Create", "Tag", "Untag"];

/// The code of each service's refusal; of others it is the last one.
const CODES: &[(&str, &str)] = &[
    ("apigatewayv2", "BadRequestException"),
    ("iam", "InvalidInput"),
    ("lambda", "InvalidParameterValueException"),
    ("logs", "InvalidParameterException"),
    ("sns", "InvalidParameter"),
    ("sqs", "InvalidParameterValue"),
    ("tagging", "InvalidParameterException"),
    ("", "ValidationException"),
];

/// Refuses a call that sets or removes a tag of AWS's.
///
/// # Errors
/// That refusal.
pub fn refuse_reserved(call: &ServiceCall) -> Result<(), ApiError> {
    if !TAGGING.iter().any(|verb| call.operation.name.starts_with(verb)) {
        return Ok(());
    }
    let Some(key) = keys(call).into_iter().find(|key| key.to_ascii_lowercase().starts_with(RESERVED)) else {
        return Ok(());
    };
    let service = call.operation.service;
    let code = CODES.iter().find(|(known, _)| *known == service || known.is_empty()).map_or("", |(_, code)| code);
    let message = match service {
        "lambda" => format!("Tag {key} is invalid. Please check the key and the value."),
        _ => format!("{RESERVED} prefixed tag key names are not allowed for external use."),
    };
    Err(ApiError::new(400, code, message))
}

/// The keys of the tags that a call names, in whichever form its service has them.
fn keys(call: &ServiceCall) -> Vec<String> {
    let request = &call.request;
    let of_path =
        request.query.iter().filter(|(name, _)| name.eq_ignore_ascii_case("tagKeys")).map(|(_, key)| key.clone());
    let mut keys: Vec<String> = of_path.collect();
    if let Ok(body) = serde_json::from_slice::<Value>(&request.body) {
        for (name, value) in body.as_object().into_iter().flatten() {
            match (name.to_ascii_lowercase().as_str(), value) {
                ("tags", Value::Object(tags)) => keys.extend(tags.keys().cloned()),
                ("tags" | "tagkeys", Value::Array(items)) => {
                    let key = |item: &Value| {
                        item.as_str().or(item["Key"].as_str()).or(item["key"].as_str()).map(str::to_owned)
                    };
                    keys.extend(items.iter().filter_map(key));
                }
                _ => {}
            }
        }
        return keys;
    }
    let query = Query::read(request);
    keys.extend(query.list("TagKeys").into_iter().map(str::to_owned));
    keys.extend(query.tags("Tags").into_iter().map(|(key, _)| key));
    keys
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::local::protocol::operation::Operation;
    use crate::local::protocol::service::testing;
    use crate::local::protocol::wire::Request;

    #[test]
    fn aws_own_tags_cannot_be_set_or_removed() {
        const TAG: &Operation = &Operation::in_test("lambda", "TagResource");
        const UNTAG: &Operation = &Operation::in_test("iam", "UntagRole");
        const CREATE: &Operation = &Operation::in_test("dynamodb", "CreateTable");
        const LIST: &Operation = &Operation::in_test("lambda", "ListTags");
        for (operation, body, query, expected) in [
            (TAG, r#"{"Tags":{"aws:a":"b"}}"#, "", Some("InvalidParameterValueException")),
            (TAG, r#"{"Tags":{"team":"aws:b"}}"#, "", None),
            (TAG, "", "AWS:a", Some("InvalidParameterValueException")),
            (UNTAG, "Action=UntagRole&TagKeys.member.1=aws:a", "", Some("InvalidInput")),
            (UNTAG, "Action=TagRole&Tags.member.1.Key=aws:a", "", Some("InvalidInput")),
            (CREATE, r#"{"Tags":[{"Key":"aws:a","Value":""}]}"#, "", Some("ValidationException")),
            (CREATE, r#"{"tagKeys":["aws:a"]}"#, "", Some("ValidationException")),
            (LIST, "", "aws:a", None),
        ] {
            let mut request = Request::in_test("POST", "/", body);
            if !query.is_empty() {
                request.query.push(("tagKeys".to_owned(), query.to_owned()));
            }
            let refused = refuse_reserved(&testing::call(operation, Vec::new(), request)).err();
            assert_eq!(refused.as_ref().map(|error| error.code.as_ref()), expected, "{body}{query}");
        }
    }
}
