//! Requests and responses through mappings.

use super::*;

fn event() -> Vec<u8> {
    json!({
        "requestContext": {
            "connectionId": "L0SM9cOFvHcCIhw=", "routeKey": "send", "eventType": "MESSAGE", "messageId": "m",
            "requestTimeEpoch": 1_791_000_000_000_u64, "connectedAt": 1, "stage": "dev", "apiId": "a1", "domainName": "localhost:1",
            "identity": { "sourceIp": "127.0.0.1" }, "authorizer": { "principalId": "me", "numKey": "1" },
        },
        "multiValueHeaders": { "X-Token": ["t"], "Accept": ["a", "b"] },
        "multiValueQueryStringParameters": { "user": ["vera"], "tag": ["x", "y"] },
        "body": r#"{"action":"send","pets":[{"id":1,"type":"dog"},{"id":2,"type":"it's \"cat\""}],"n":5}"#,
    })
    .to_string()
    .into_bytes()
}

fn asked() -> RouteRequest {
    RouteRequest::of(&event(), &[("table".to_owned(), "pets".to_owned())].into())
}

#[track_caller]
fn rendered(template: &str) -> String {
    let asked = asked();
    asked.render(template, &asked.body).unwrap().text
}

#[test]
fn the_variables_of_the_mapping_template_reference() {
    for (template, expected) in [
        ("$context.connectionId $context.routeKey $context.identity.sourceIp", "L0SM9cOFvHcCIhw= send 127.0.0.1"),
        ("$context.authorizer.principalId $context.authorizer.numKey <$context.identity.user>", "me 1 <>"),
        ("#set($ttl = $context.requestTimeEpoch / 1000 + 60)$ttl", "1791000060"),
        ("$stageVariables.table $stageVariables['table'] ${stageVariables['table']}", "pets pets pets"),
        ("$input.json('$.pets[0]')", r#"{"id":1,"type":"dog"}"#),
        ("$input.json('$.action')", "\"send\""),
        ("$input.json('$.nothing') <$input.path('$.nothing')>", "\"\" <>"),
        ("$input.path('$.action') $input.path('$.pets').count()", "send 2"),
        ("$input.path('$').pets[1].id", "2"),
        ("#foreach($p in $input.path('$.pets'))$p.type.length()#if($foreach.hasNext),#end#end", "3,10"),
        ("$input.params('user') $input.params('tag') $input.params('x-token') <$input.params('none')>", "vera y t <>"),
        ("$input.params().querystring.keySet()", "[user, tag]"),
        ("#foreach($k in $input.params().keySet())$k #end", "path querystring header "),
        // The single quotes that escapeJavaScript escapes are no JSON: the reference's own remedy.
        (r#""$util.escapeJavaScript($input.path('$.pets[1].type')).replaceAll("\\'","'")""#, r#""it's \"cat\"""#),
        ("#set($o = $util.parseJson('{\"key2\": {\"arr\": [1,2,3]}}'))$o.key2.arr[0]", "1"),
        ("$util.urlEncode('a b&c=ü') $util.urlDecode('a+b%26')", "a+b%26c%3D%C3%BC a b&"),
        ("$util.base64Encode('hi') $util.base64Decode('aGk=')", "aGk= hi"),
    ] {
        assert_eq!(rendered(template), expected, "{template}");
    }
    let asked = asked();
    for (body, template, expected) in [
        ("", "$input.body $input.json('$') <$input.path('$.a')>", "{} {} <>"),
        ("not json", "$input.body $input.json('$.a') <$input.path('$.a')>", "not json \"\" <>"),
        ("[1]", "$input.path('$')[0]", "1"),
    ] {
        assert_eq!(asked.render(template, body).unwrap().text, expected, "{body}");
    }
    for (template, message) in [
        ("$input.path('$[')", "line 1, column 8: \"$[\" is not a JSONPath"),
        ("\n $util.parseJson('{')", "line 2, column 8: parseJson: "),
        ("$util.toJson($input)", "$util has no method toJson"),
    ] {
        let error = asked.render(template, "{}").unwrap_err().to_string();
        assert!(error.contains(message), "{error}");
    }
}

fn integration(members: Value) -> IntegrationConfig {
    let mut config = json!({ "integrationType": "HTTP" });
    for (name, value) in members.as_object().unwrap() {
        config[name] = value.clone();
    }
    serde_json::from_value(config).unwrap()
}

fn body_of(members: Value) -> Result<String, Cause> {
    request(&integration(members), &asked()).map(|made| String::from_utf8(made.body.to_vec()).unwrap())
}

#[test]
fn a_template_is_selected_or_the_message_passes() {
    let own = || asked().body;
    for (members, expected) in [
        (json!({}), own()),
        (json!({ "requestTemplates": { "$default": "d" } }), "d".to_owned()),
        (
            json!({ "requestTemplates": { "$default": "d" }, "templateSelectionExpression": "\\$default" }),
            "d".to_owned(),
        ),
        (json!({ "requestTemplates": { "200": "x" }, "templateSelectionExpression": "200" }), "x".to_owned()),
        (json!({ "requestTemplates": { "application/json": "x" } }), "x".to_owned()),
        (
            json!({ "requestTemplates": { "send": "s", "$default": "d" }, "templateSelectionExpression": "${request.body.action}" }),
            "s".to_owned(),
        ),
        (
            json!({ "requestTemplates": { "other": "s", "$default": "d" }, "templateSelectionExpression": "$request.body.action" }),
            "d".to_owned(),
        ),
        (json!({ "requestTemplates": { "x": "s" }, "templateSelectionExpression": "y" }), own()),
        (json!({ "passthroughBehavior": "WHEN_NO_TEMPLATES" }), own()),
        // A proxy has no templates.
        (
            json!({ "integrationType": "HTTP_PROXY", "requestTemplates": { "$default": "d" }, "passthroughBehavior": "NEVER" }),
            own(),
        ),
    ] {
        assert_eq!(body_of(members.clone()), Ok(expected), "{members}");
    }
    for members in [
        json!({ "passthroughBehavior": "NEVER" }),
        json!({ "passthroughBehavior": "WHEN_NO_TEMPLATES", "requestTemplates": { "x": "s" }, "templateSelectionExpression": "y" }),
    ] {
        assert!(matches!(body_of(members.clone()), Err(Cause::NoTemplate { .. })), "{members}");
    }
    let Err(Cause::Template { key, error, .. }) = body_of(json!({ "requestTemplates": { "$default": "a\n#if(" } }))
    else {
        panic!("the template is wrong")
    };
    assert_eq!(key, "$default");
    assert!(error.starts_with("line 2, column 5: "), "{error}");
}

#[test]
fn parameters_are_mapped_from_the_request_and_overridden_by_the_template() {
    let made = request(
        &integration(json!({
            "requestParameters": {
                "integration.request.header.connectionId": "context.connectionId",
                "integration.request.header.x-static": "'a b'",
                "integration.request.header.x-missing": "route.request.header.none",
                "integration.request.header.x-token": "route.request.header.x-token",
                "integration.request.querystring.user": "route.request.querystring.user",
                "integration.request.querystring.tags": "route.request.multivaluequerystring.tag",
                "integration.request.querystring.table": "stageVariables.table",
                "integration.request.path.id": "route.request.body.pets[0].id",
                "integration.request.path.other": "$request.body.action",
            },
            "requestTemplates": { "$default":
                "#set($context.requestOverride.header.x-static = 'new')#set($context.requestOverride.path.other = \"$input.path('$.n')\")b" },
        })),
        &asked(),
    )
    .unwrap();
    let headers: Vec<_> = made.headers.iter().map(|(name, value)| (name.as_str(), value.to_str().unwrap())).collect();
    assert_eq!(headers, [("connectionid", "L0SM9cOFvHcCIhw="), ("x-static", "new"), ("x-token", "t")]);
    let pair = |(name, value): &(String, String)| format!("{name}={value}");
    assert_eq!(made.query.iter().map(pair).collect::<Vec<_>>(), ["table=pets", "tags=x,y", "user=vera"]);
    assert_eq!(made.path.iter().map(pair).collect::<Vec<_>>(), ["id=1", "other=5"]);
    assert_eq!(made.body, "b");

    let wrong = |name: &str, value: &str| body_of(json!({ "requestParameters": { name: value } })).unwrap_err();
    assert!(matches!(wrong("integration.request.header.x", "nonsense"), Cause::Parameter { .. }));
    assert!(matches!(wrong("integration.request.header.x y", "'a'"), Cause::Parameter { .. }));
    assert!(matches!(wrong("integration.request.cookie.x", "'a'"), Cause::Parameter { .. }));
}

fn answered(responses: Value, backend: Backend) -> Result<(u16, String, HeaderMap), Cause> {
    let responses: Vec<IntegrationResponseConfig> = serde_json::from_value(responses).unwrap();
    let mapped = response(responses.iter(), &asked(), backend)?;
    Ok((mapped.status, String::from_utf8(mapped.body.to_vec()).unwrap(), mapped.headers))
}

fn backend(status: u16, body: &str) -> Backend {
    let headers = [("x-kind".parse().unwrap(), "k".parse().unwrap())].into_iter().collect();
    Backend { status, headers, body: body.to_owned().into(), error: None }
}

#[test]
fn a_response_is_selected_by_status_or_error_and_mapped() {
    let keyed = |key: &str, template: &str| json!({ "integrationResponseKey": key, "responseTemplates": { "$default": template } });
    for (responses, backend, expected) in [
        (json!([]), backend(404, "as it is"), (404, "as it is")),
        (json!([keyed("/2\\d\\d/", "ok"), keyed("$default", "else")]), backend(201, "x"), (201, "ok")),
        (json!([keyed("/2\\d\\d/", "ok"), keyed("$default", "else")]), backend(500, "x"), (500, "else")),
        // The whole status must match.
        (json!([keyed("/20/", "no"), keyed("$default", "else")]), backend(200, "x"), (200, "else")),
        (json!([{ "integrationResponseKey": "$default" }]), backend(200, "x"), (200, "x")),
        (
            json!([keyed("$default", "$input.path('$.a') $context.connectionId")]),
            backend(200, r#"{"a":1}"#),
            (200, "1 L0SM9cOFvHcCIhw="),
        ),
        (json!([keyed("$default", "#set($context.responseOverride.status = 403)no")]), backend(200, ""), (403, "no")),
        (
            json!([{ "integrationResponseKey": "$default", "templateSelectionExpression": "${integration.response.statuscode}",
                     "responseTemplates": { "200": "two", "$default": "other" } }]),
            backend(200, ""),
            (200, "two"),
        ),
        (
            json!([{ "integrationResponseKey": "$default", "templateSelectionExpression": "${integration.response.header.x-kind}",
                     "responseTemplates": { "k": "kind" } }]),
            backend(200, ""),
            (200, "kind"),
        ),
        (
            json!([keyed("/.*no such room.*/", "room"), keyed("$default", "else")]),
            Backend { error: Some("Error:\nno such room".to_owned()), ..backend(502, "") },
            (502, "room"),
        ),
        (
            json!([{ "integrationResponseKey": "$default", "contentHandlingStrategy": "CONVERT_TO_TEXT" }]),
            backend(200, "hi"),
            (200, "aGk="),
        ),
        (
            json!([{ "integrationResponseKey": "$default", "contentHandlingStrategy": "CONVERT_TO_BINARY" }]),
            backend(200, "aGk="),
            (200, "hi"),
        ),
    ] {
        let shown = responses.to_string();
        let (status, body, _) = answered(responses, backend).unwrap();
        assert_eq!((status, body.as_str()), expected, "{shown}");
    }
    assert!(matches!(
        answered(json!([keyed("/2\\d\\d/", "ok")]), backend(404, "")),
        Err(Cause::NoIntegrationResponse { .. })
    ));
}

#[test]
fn headers_of_a_response_are_mapped() {
    let responses = json!([{ "integrationResponseKey": "$default", "responseParameters": {
        "route.response.header.Sec-WebSocket-Protocol": "integration.response.body.protocol",
        "route.response.header.x-kind-too": "integration.response.header.x-kind",
        "route.response.header.x-user": "route.request.querystring.user",
    } }]);
    let (_, _, headers) = answered(responses, backend(200, r#"{"protocol":"chat"}"#)).unwrap();
    assert_eq!(headers["sec-websocket-protocol"], "chat");
    assert_eq!(headers["x-kind-too"], "k");
    assert_eq!(headers["x-user"], "vera");
}

#[test]
fn content_in_base64_is_made_binary_for_the_integration() {
    let config = integration(
        json!({ "contentHandlingStrategy": "CONVERT_TO_BINARY", "requestTemplates": { "$default": "aGk=" } }),
    );
    assert_eq!(request(&config, &asked()).unwrap().body, "hi");
    let config = integration(json!({ "contentHandlingStrategy": "CONVERT_TO_BINARY" }));
    assert!(matches!(request(&config, &asked()), Err(Cause::NotBase64 { .. })));
}
