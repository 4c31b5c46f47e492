//! Compares this Lambda's errors with those recorded on AWS.

use serde::Deserialize;

use super::*;

#[derive(Deserialize)]
struct Recorded {
    refusals: Vec<Case>,
}

#[derive(Deserialize)]
struct Case {
    case: String,
    method: String,
    target: String,
    #[serde(default)]
    body: Value,
    code: String,
    message: Option<String>,
    begins: Option<String>,
}

#[tokio::test]
async fn recorded_refusals_are_given_as_aws_gives_them() {
    let recorded: Recorded =
        serde_json::from_str(include_str!("../../../../tests/fixtures/lambda-refusals.json")).unwrap();
    let cloud = Cloud::new();
    cloud.create(json!({ "FunctionName": "fx" })).await.unwrap();
    let function = "/2015-03-31/functions/fx";
    let permission = json!({ "StatementId": "there", "Action": "lambda:InvokeFunction", "Principal": "*" });
    cloud.call(Method::POST, &format!("{function}/versions"), json!({})).await.unwrap();
    let alias = json!({ "Name": "live", "FunctionVersion": "1" });
    cloud.call(Method::POST, &format!("{function}/aliases"), alias).await.unwrap();
    cloud.call(Method::POST, &format!("{function}/policy"), permission).await.unwrap();
    let before = cloud.get(function).await.unwrap();

    let mut differing = Vec::new();
    for case in &recorded.refusals {
        let body = serde_json::from_str(&case.body.to_string().replace("CODE", &code("two"))).unwrap();
        let answer = match cloud.call(case.method.parse().unwrap(), &case.target, body).await {
            Ok(answer) => format!("taken: {answer}"),
            Err(refusal) => {
                let same = match (&case.message, &case.begins) {
                    (Some(message), _) => refusal.message == *message,
                    (None, begins) => refusal.message.starts_with(begins.as_deref().unwrap()),
                };
                if same && refusal.code == case.code {
                    continue;
                }
                format!("{}: {}", refusal.code, refusal.message)
            }
        };
        let expected = case.message.as_ref().or(case.begins.as_ref()).unwrap();
        differing.push(format!("{}\n  AWS: {}: {expected}\n  here: {answer}", case.case, case.code));
    }
    let all = recorded.refusals.len();
    println!("recorded: {} of {all} refusals of Lambda", all - differing.len());
    assert!(differing.is_empty(), "{}", differing.join("\n"));
    assert!(all >= 63, "the floor: no recorded refusal is dropped");
    assert_eq!(cloud.get(function).await.unwrap(), before, "a refusal changes nothing");
}
