//! What requests to a method of a REST API must have, where a request validator looks at that. (Developer guide, "Request validation for
//! REST APIs in API Gateway", "x-amazon-apigateway-request-validators object".)

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::event::Facts;
use super::refusal::{Kind, Refusal};
use crate::local::apigateway::cause::Cause;
use crate::local::apigateway::schema::{self, Invalid};
use crate::local::context::ports::Records;

/// What requests must have.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Validation {
    /// `method.request.querystring.room`.
    required: Vec<String>,
    /// What bodies are held against, by content type.
    schemas: BTreeMap<String, Value>,
}

impl Validation {
    /// That of an operation in a document, below the path `item`.
    pub fn of_document(document: &Value, item: &Value, operation: &Value) -> Self {
        const VALIDATOR: &str = "x-amazon-apigateway-request-validator";
        let name = operation[VALIDATOR].as_str().or_else(|| document[VALIDATOR].as_str()).unwrap_or_default();
        let validator = &document["x-amazon-apigateway-request-validators"][name];
        let mut validation = Self::default();
        let lists = [&item["parameters"], &operation["parameters"]];
        let parameters = lists.into_iter().filter_map(Value::as_array).flatten();
        // What a schema refers to is in the document.
        let whole = |schema: &Value| {
            let mut schema = schema.clone();
            if let Some(members) = schema.as_object_mut() {
                members.insert("definitions".to_owned(), document["definitions"].clone());
                members.insert("components".to_owned(), json!({ "schemas": document["components"]["schemas"] }));
            }
            schema
        };
        for parameter in parameters {
            let place = match parameter["in"].as_str() {
                Some("body") if validator["validateRequestBody"] == true => {
                    validation.schemas.insert("application/json".to_owned(), whole(&parameter["schema"]));
                    continue;
                }
                Some("query") => "querystring",
                Some(place @ ("header" | "path")) => place,
                _ => continue,
            };
            if let (true, Some(name)) = (parameter["required"] == true, parameter["name"].as_str())
                && validator["validateRequestParameters"] == true
            {
                validation.required.push(format!("method.request.{place}.{name}"));
            }
        }
        let bodies = operation["requestBody"]["content"].as_object().into_iter().flatten();
        let bodies = bodies.filter(|(_, body)| validator["validateRequestBody"] == true && body["schema"].is_object());
        validation.schemas.extend(bodies.map(|(kind, body)| (kind.clone(), whole(&body["schema"]))));
        validation
    }

    /// That of a record of a method.
    pub fn of_record(records: &dyn Records, region: &str, method: &Value) -> Self {
        let mut validation = Self::default();
        let (api, id) = (&method["RestApiId"], &method["RequestValidatorId"]);
        if !id.is_string() {
            return validation;
        }
        let validators = records.of_type(region, "ApiGateway::RequestValidator").into_iter();
        let validator = validators
            .map(|(_, validator)| validator)
            .find(|validator| validator["RestApiId"] == *api && validator["RequestValidatorId"] == *id);
        let validator = validator.unwrap_or_default();
        if validator["ValidateRequestParameters"] == true {
            let stated = method["RequestParameters"].as_object().into_iter().flatten();
            let required =
                stated.filter(|(_, stated)| **stated == true || stated["Required"] == true || *stated == "true");
            validation.required.extend(required.map(|(name, _)| name.clone()));
        }
        if validator["ValidateRequestBody"] == true {
            let models = records.of_type(region, "ApiGateway::Model");
            for (kind, name) in method["RequestModels"].as_object().into_iter().flatten() {
                let named = models.iter().find(|(_, model)| model["RestApiId"] == *api && model["Name"] == *name);
                let schema = named.map(|(_, model)| match &model["Schema"] {
                    Value::String(text) => serde_json::from_str(text).unwrap_or_default(),
                    schema => schema.clone(),
                });
                validation.schemas.extend(schema.map(|schema| (kind.clone(), schema)));
            }
        }
        validation
    }

    /// Holds a request against it.
    ///
    /// # Errors
    /// Its refusal.
    pub fn check(&self, facts: &Facts<'_>) -> Result<(), Refusal> {
        let has = |name: &String| {
            let name = name.strip_prefix("method.").unwrap_or(name);
            facts.variable(name).is_some_and(|value| !value.is_empty())
        };
        let missing: Vec<String> = self.required.iter().filter(|name| !has(name)).cloned().collect();
        if !missing.is_empty() {
            let names: Vec<&str> = missing.iter().map(|name| name.rsplit('.').next().unwrap_or(name)).collect();
            let message = format!("Missing required request parameters: [{}]", names.join(", "));
            return Err(Refusal {
                message: message.into(),
                ..Refusal::of(Kind::BadParameters, Cause::NoParameter { missing })
            });
        }
        let kind = facts.request.header("content-type").split(';').next().unwrap_or_default().trim();
        let kind = if kind.is_empty() { "application/json" } else { kind };
        let Some((kind, schema)) = self.schemas.iter().find(|(known, _)| known.eq_ignore_ascii_case(kind)) else {
            return Ok(());
        };
        let refused = |problem: String| {
            Err(Refusal::of(Kind::BadBody, Cause::NotOfModel { model: format!("of {kind}"), problem }))
        };
        match serde_json::from_slice(&facts.request.body) {
            Err(error) => refused(format!("it is not JSON: {error}")),
            Ok(body) => match schema::validate(schema, &body) {
                Ok(()) => Ok(()),
                Err(Invalid::Value(problem)) => refused(problem),
                Err(Invalid::Schema(problem)) => {
                    Err(Refusal::of(Kind::Default, Cause::BadModel { model: format!("of {kind}"), problem }))
                }
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use http::Method;

    use super::super::request::Received;
    use super::*;
    use crate::local::apigateway::access_log::AccessRecord;
    use crate::local::apigateway::event::Pairs;
    use crate::local::apigateway::model::Strings;

    /// What a client is told of a request; nothing where it is let through.
    fn said(validation: &Validation, query: &str, content_type: &str, body: &str) -> String {
        let request = Received {
            raw_query: query.to_owned(),
            query: form_urlencoded::parse(query.as_bytes()).into_owned().collect(),
            headers: vec![("Content-Type".to_owned(), content_type.to_owned())],
            body: body.to_owned().into(),
            ..Received::in_test(Method::POST, "/x")
        };
        let info = AccessRecord::new("REQUEST").request_info;
        let (parameters, variables) = (Pairs::new(), Strings::new());
        let facts = Facts {
            request: &request,
            info: &info,
            api: "abc",
            stage: "live",
            route_key: "POST /x",
            resource: "/x",
            parameters: &parameters,
            variables: &variables,
            authorizer: None,
            caller: None,
        };
        validation
            .check(&facts)
            .err()
            .map(|refusal| format!("{} {}", refusal.status.as_u16(), refusal.message))
            .unwrap_or_default()
    }

    struct Kept(Vec<(&'static str, Value)>);

    impl Records for Kept {
        fn of_type(&self, _: &str, type_name: &str) -> Vec<(String, Value)> {
            let of_type = self.0.iter().filter(|(known, _)| *known == type_name);
            of_type.map(|(_, model)| (String::new(), model.clone())).collect()
        }
    }

    #[test]
    fn requests_are_held_against_documents_and_records_alike() {
        let schema = json!({ "type": "object", "required": ["name"], "properties": { "name": { "type": "string" } } });
        let operation = json!({
            "parameters": [
                { "name": "room", "in": "query", "required": true }, { "name": "page", "in": "query" },
                { "in": "body", "name": "Room", "schema": { "$ref": "#/definitions/Room" } },
            ],
            "x-amazon-apigateway-request-validator": "all",
        });
        let document = json!({
            "definitions": { "Room": schema },
            "x-amazon-apigateway-request-validators": { "all": { "validateRequestBody": true, "validateRequestParameters": true } },
        });
        let of_3 = json!({
            "parameters": [{ "name": "room", "in": "query", "required": true }],
            "requestBody": { "content": { "application/json": { "schema": { "$ref": "#/components/schemas/Room" } } } },
        });
        let mut document_3 = document.clone();
        document_3["components"] = json!({ "schemas": { "Room": schema } });
        document_3["x-amazon-apigateway-request-validator"] = "all".into();
        let kept = Kept(vec![
            (
                "ApiGateway::RequestValidator",
                json!({ "RestApiId": "a", "RequestValidatorId": "v", "ValidateRequestBody": true, "ValidateRequestParameters": true }),
            ),
            ("ApiGateway::Model", json!({ "RestApiId": "a", "Name": "Room", "Schema": schema })),
        ]);
        let method = json!({
            "RestApiId": "a", "RequestValidatorId": "v", "RequestModels": { "application/json": "Room" },
            "RequestParameters": { "method.request.querystring.room": true, "method.request.querystring.page": false },
        });
        for validation in [
            Validation::of_document(&document, &Value::Null, &operation),
            Validation::of_document(&document_3, &Value::Null, &of_3),
            Validation::of_record(&kept, "us-east-1", &method),
        ] {
            assert_eq!(said(&validation, "room=1", "application/json", r#"{"name":"a"}"#), "");
            let missing = "400 Missing required request parameters: [room]";
            assert_eq!(said(&validation, "page=1", "application/json", r#"{"name":"a"}"#), missing);
            for body in ["", "x", "{}", r#"{"name":1}"#] {
                assert_eq!(
                    said(&validation, "room=1", "application/json; charset=utf-8", body),
                    "400 Invalid request body"
                );
            }
            assert_eq!(said(&validation, "room=1", "text/plain", "x"), "", "no model is of this type");
        }
        let unguarded = Validation::of_document(&json!({}), &Value::Null, &operation);
        assert_eq!(unguarded, Validation::default());
        assert_eq!(Validation::of_record(&kept, "us-east-1", &json!({ "RestApiId": "a" })), Validation::default());
    }
}
