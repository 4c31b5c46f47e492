use serde_json::json;

use super::*;

#[test]
fn every_type_can_be_read() {
    let mut count = 0;
    for name in names() {
        let schema = schema(&name).unwrap_or_else(|| panic!("{name}"));
        count += 1;
        assert_eq!(schema.type_name, name);
        assert!(!schema.properties.is_empty() && !schema.identifier.is_empty(), "{name}");
        for handler in ["create", "read", "delete"] {
            assert!(schema.handlers.contains_key(handler), "{name} {handler}");
        }
        let named = schema.name.iter().chain(&schema.tags).chain(&schema.required);
        for property in named {
            assert!(schema.properties.contains_key(property), "{name} {property}");
        }
        for path in &schema.identifier {
            assert!(schema.shape_of(path).is_some(), "{name} {path}");
        }
    }
    assert!(count > 1500, "{count}");
    assert!(schema("AWS::Lambda::Function").is_none() && schema("AWS::SQS::Queues").is_none());
    // Kept small, because it is part of every binary.
    assert!(TABLE.len() < 700_000, "{}", TABLE.len());
}

#[test]
fn the_table_knows_what_a_queue_is() {
    let queue = schema("AWS::SQS::Queue").unwrap();
    assert_eq!(queue.identifier, ["QueueUrl"]);
    assert_eq!(queue.read_only, ["Arn", "QueueUrl"]);
    assert_eq!(queue.create_only, ["FifoQueue", "QueueName"]);
    assert_eq!((queue.name.as_deref(), queue.tags.as_deref()), (Some("QueueName"), Some("Tags")));
    assert_eq!(queue.actions("list"), ["sqs:ListQueues"]);
    assert!(queue.is_mutable() && queue.actions("sign").is_empty());
    assert_eq!(queue.shape_of("DelaySeconds"), Some(&Shape::Integer));
    assert_eq!(queue.shape_of("RedrivePolicy.maxReceiveCount"), Some(&Shape::Integer));
    assert_eq!(queue.shape_of("RedrivePolicy.maxReceive"), None);
    assert_eq!(queue.shape_of("Tags.Key"), Some(&Shape::Text(TextRule::default())));
}

#[test]
fn values_have_one_spelling() {
    let queue = schema("AWS::SQS::Queue").unwrap();
    for (property, given, expected) in [
        ("DelaySeconds", json!("5"), json!(5)),
        ("DelaySeconds", json!("five"), json!("five")),
        ("FifoQueue", json!("true"), json!(true)),
        ("QueueName", json!(7), json!("7")),
        ("RedrivePolicy", json!("{\"maxReceiveCount\":\"3\"}"), json!({"maxReceiveCount": 3})),
        ("RedriveAllowPolicy", json!("{\"a\":1}"), json!({"a": 1})),
        ("RedriveAllowPolicy", json!("none"), json!("none")),
        (
            "Tags",
            json!([{"Value": "1", "Key": "b"}, {"Key": "a", "Value": 2}]),
            json!([{"Key": "a", "Value": "2"}, {"Key": "b", "Value": "1"}]),
        ),
    ] {
        assert_eq!(queue.properties[property].normal(queue, &given), expected, "{property}");
    }
}

#[test]
fn what_the_template_does_not_state_is_no_difference() {
    let rule = schema("AWS::Events::Rule").unwrap();
    let targets = &rule.properties["Targets"];
    let target = |id: &str| json!({"Id": id, "Arn": "arn"});
    let with_default = |id: &str| json!({"Arn": "arn", "Id": id, "RetryPolicy": {"MaximumRetryAttempts": 185}});
    // A set, whose elements have got defaults and another order.
    let live = json!([with_default("b"), with_default("a")]);
    let desired = json!([target("a"), target("b")]);
    assert_eq!(project(rule, targets, &live, &desired), desired);
    // One more is a difference, and so is another value.
    let more = json!([target("a"), target("b"), target("c")]);
    assert_ne!(project(rule, targets, &more, &desired), desired);
    assert_ne!(project(rule, targets, &desired, &more), more);
    assert_ne!(project(rule, targets, &json!([target("a"), target("x")]), &desired), desired);
}

#[test]
fn whole_numbers_are_integers() {
    let queue = schema("AWS::SQS::Queue").unwrap();
    for (given, expected) in [
        (json!(30.0), "30"),
        (json!("30.0"), "30"),
        (json!("30"), "30"),
        (json!(30), "30"),
        (json!(1.5), "1.5"),
        (json!(1e300), "1e+300"),
    ] {
        assert_eq!(Shape::Integer.normal(queue, &given).to_string(), expected, "{given}");
    }
    assert_eq!(Shape::Number.normal(queue, &json!(30.0)).to_string(), "30.0");
}
