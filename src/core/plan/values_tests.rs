//! What a run makes of values that it changes itself: attributes, and dynamic references to the stack's own parameters and secrets.

use super::tests::{acts, index, planned, stack, up, waits};
use super::*;
use crate::core::stack::lookups::Missing;
use crate::core::stack::{Lookup, Stack};
use crate::core::types::{event_source_mapping, function, table};

const STREAM: &str = r#"
Resources:
  Table:
    Type: AWS::DynamoDB::Table
    Properties:
      BillingMode: PAY_PER_REQUEST
      KeySchema: [{AttributeName: id, KeyType: HASH}]
      AttributeDefinitions: [{AttributeName: id, AttributeType: S}]
      StreamSpecification: {StreamViewType: NEW_IMAGE}
  Reader:
    Type: AWS::Lambda::Function
    Properties: {Role: "arn:aws:iam::123456789012:role/r", Runtime: provided.al2023, Handler: bootstrap, Code: ./f}
  Mapping:
    Type: AWS::Lambda::EventSourceMapping
    Properties: {FunctionName: !Ref Reader, EventSourceArn: !GetAtt Table.StreamArn, StartingPosition: LATEST}
"#;

/// What AWS has of a stack, with these values in the place of what a plan does not know.
fn live_with(stack: &Stack, values: &[(&str, &str, &str)]) -> Vec<Live> {
    let mut live = up(stack);
    for (logical_id, attribute, value) in values {
        let known = |token: &Token| {
            (token.logical_id == *logical_id && token.attribute == *attribute).then(|| (*value).to_owned())
        };
        for one in &mut live {
            Token::fill(&mut one.properties, &known);
            if one.logical_id.as_deref() == Some(logical_id) {
                one.attributes.insert((*attribute).to_owned(), (*value).to_owned());
            }
        }
    }
    live
}

fn streaming() -> Vec<Live> {
    live_with(&stack(STREAM), &[("Table", "StreamArn", "arn:aws:dynamodb:eu-west-1:123456789012:table/t/stream/1")])
}

#[test]
fn a_changed_stream_is_another_one_for_all_that_reads_it() {
    let live = streaming();
    let unchanged = planned(STREAM, &live);
    assert_eq!(acts(&unchanged), [""; 0]);
    let arn = Token { logical_id: "Table".to_owned(), attribute: "StreamArn".to_owned() };
    assert!(unchanged.known.contains_key(&arn));

    let plan = planned(&STREAM.replace("NEW_IMAGE", "NEW_AND_OLD_IMAGES"), &live);
    assert!(!plan.known.contains_key(&arn));
    let mut done = acts(&plan);
    done.sort();
    assert_eq!(done, ["+ Mapping", "- Mapping", "~ Table"]);
    assert!(waits(&plan, index(&plan, "+ Mapping"), index(&plan, "~ Table")));

    // Another change of the table leaves the stream as it is.
    let protected = STREAM.replace("BillingMode", "DeletionProtectionEnabled: true\n      BillingMode");
    let plan = planned(&protected, &live);
    assert_eq!(acts(&plan), ["~ Table"]);
    assert!(plan.known.contains_key(&arn));
}

#[test]
fn a_stream_may_be_enabled_on_a_table_that_is_there() {
    let mut live = streaming();
    live.retain(|one| one.type_name != event_source_mapping::TYPE);
    for table in live.iter_mut().filter(|one| one.type_name == table::TYPE) {
        table.properties.as_object_mut().unwrap().remove("StreamSpecification");
        table.attributes.remove("StreamArn");
    }
    let plan = planned(STREAM, &live);
    assert_eq!(acts(&plan), ["~ Table", "+ Mapping"]);
    assert!(waits(&plan, index(&plan, "+ Mapping"), index(&plan, "~ Table")));
}

const VALUES: &str = r#"
Resources:
  Param:
    Type: AWS::SSM::Parameter
    Properties: {Type: String, Value: one}
  Secret:
    Type: AWS::SecretsManager::Secret
    Properties: {Description: first, SecretString: hush}
  Jobs:
    Type: AWS::SQS::Queue
    Properties: {VisibilityTimeout: 60}
  Worker:
    Type: AWS::Lambda::Function
    Properties:
      Role: arn:aws:iam::123456789012:role/r
      Runtime: provided.al2023
      Handler: bootstrap
      Code: ./f
      Environment:
        Variables:
          VALUE: !GetAtt Param.Value
          BY_NAME: !Sub "{{resolve:ssm:${Param}}}"
          DB: !Sub "{{resolve:secretsmanager:${Secret}}}"
          QUEUE: !Ref Jobs
"#;

const QUEUE: &str = "https://sqs.eu-west-1.amazonaws.com/123456789012/old";

/// The plan that makes `text` of what AWS has of `VALUES`.
fn changed(text: &str) -> Plan {
    let values = [("Param", "Value", "one"), ("Secret", "Ref", "arn:secret"), ("Jobs", "Ref", QUEUE)];
    let mut live = live_with(&stack(VALUES), &values);
    for one in live.iter_mut().filter(|one| one.type_name == function::TYPE) {
        one.properties["Environment"]["Variables"] =
            json!({"VALUE": "one", "BY_NAME": "one", "DB": "hush", "QUEUE": QUEUE});
    }
    let options = PlanOptions { allow_data_loss: ["Secret".to_owned()].into(), ..PlanOptions::default() };
    diff(&read(text, Ok("hush")), &live, &options).unwrap()
}

/// The stack of a template with the values that its own parameter and secret have.
fn read(text: &str, secret: Result<&str, Missing>) -> Stack {
    let mut stack = stack(text);
    let name = stack.resources["Param"].name.clone().unwrap();
    stack.own.insert(Lookup::read(&format!("ssm:{name}")).unwrap(), Ok("one".to_owned()));
    stack.own.insert(Lookup::read("secretsmanager:arn:secret").unwrap(), secret.map(str::to_owned));
    stack
}

/// The variables that the plan gives the function, tokens readable.
fn variables(plan: &Plan) -> BTreeMap<String, String> {
    let step = plan.steps.iter().find(|step| step.name == "Worker").unwrap();
    let variables = step.desired.as_ref().unwrap().properties["Environment"]["Variables"].as_object().unwrap().clone();
    variables.into_iter().map(|(name, value)| (name, Token::readable(value.as_str().unwrap()))).collect()
}

#[test]
fn values_of_what_stays_are_compared_and_all_others_are_left_to_their_step() {
    assert_eq!(acts(&changed(VALUES)), [""; 0]);

    let plan = changed(&VALUES.replace("Value: one", "Value: two"));
    assert_eq!(acts(&plan), ["~ Param", "~ Worker"]);
    assert!(waits(&plan, index(&plan, "~ Worker"), index(&plan, "~ Param")));
    let found = variables(&plan);
    assert_eq!((found["VALUE"].as_str(), found["DB"].as_str()), ("<Param.Value>", "hush"));
    assert!(found["BY_NAME"].starts_with("{{resolve:ssm:chat-Param-"), "{found:?}");

    // Neither its ARN nor its URL says how it is.
    assert_eq!(acts(&changed(&VALUES.replace("60", "90"))), ["~ Jobs"]);
}

#[test]
fn a_reference_beside_what_is_replaced_is_not_filled_with_the_old_one() {
    let plan = changed(&VALUES.replace("VisibilityTimeout: 60", "FifoQueue: true"));
    let mut done = acts(&plan);
    done.sort();
    assert_eq!(done, ["+ Jobs", "- Jobs", "~ Worker"]);
    let found = variables(&plan);
    assert_eq!((found["QUEUE"].as_str(), found["DB"].as_str()), ("<Jobs>", "hush"));

    let plan = changed(&VALUES.replace("Description: first", "Name: other"));
    let found = variables(&plan);
    assert_eq!((found["DB"].as_str(), found["QUEUE"].as_str()), ("{{resolve:secretsmanager:<Secret>}}", QUEUE));
}

#[test]
fn a_reference_to_a_value_that_is_not_there_is_an_error_where_it_is_needed() {
    let live = live_with(&stack(VALUES), &[("Secret", "Ref", "arn:secret"), ("Param", "Value", "one")]);
    let missing = || Err(Missing { what: "the secret has no key".to_owned(), help: None });
    let errors = diff(&read(VALUES, missing()), &live, &PlanOptions::default()).unwrap_err();
    assert_eq!(errors[0].message(), "Worker: the secret has no key");
    // The run that changes the secret may give it that key.
    let changed = VALUES.replace("Description: first", "Description: second");
    assert!(diff(&read(&changed, missing()), &live, &PlanOptions::default()).is_ok());
}

#[test]
fn code_that_is_too_large_to_be_sent_is_told_before_and_after() {
    let text = STREAM.to_owned();
    let mut before = streaming();
    for one in before.iter_mut().filter(|one| one.type_name == function::TYPE) {
        one.properties[function::CODE] = "old".into();
        one.attributes.insert(function::LARGE.to_owned(), "80".to_owned());
    }
    let options = PlanOptions { code: [("Reader".to_owned(), "new".to_owned())].into(), ..PlanOptions::default() };
    let plan = diff(&stack(&text), &before, &options).unwrap();
    let step = &plan.steps[index(&plan, "~ Reader")];
    let lost = effects::of(&plan, step).lost;
    assert!(lost.len() == 1 && lost[0].contains("the old code (80 MiB)"), "{lost:?}");

    let mut now = before.clone();
    for one in now.iter_mut().filter(|one| one.type_name == function::TYPE) {
        one.properties[function::CODE] = "new".into();
        one.properties["Timeout"] = 9.into();
    }
    let executed = Executed { begun: [index(&plan, "~ Reader")].into(), ..Executed::default() };
    let back = rollback(&plan, &executed, &plan.known, &before, &now);
    assert!(back.lost.len() == 1 && back.lost[0].contains("CodeSha256 of Reader"), "{:?}", back.lost);
    let properties = &back.plan.steps[0].desired.as_ref().unwrap().properties;
    assert_eq!((&properties[function::CODE], &properties["Timeout"]), (&json!("new"), &json!(3)));
}
