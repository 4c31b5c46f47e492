//! Chooses the resource whose tags record each resource that cannot be tagged (`types::cloud_control::record`).

use std::collections::BTreeMap;

use super::edges::{Edge, waits_for};
use super::{Resource, Scope, Token};
use crate::core::types::cloud_control::record::{RECORD, recorded};
use crate::core::types::{Attribute, Part, tags};
use crate::core::words::{Problem, ProblemKind};

/// Tags that a recorder has for wschat itself, and some for the project's. (Whether all of them fit is known to the plan:
/// `plan::tag_budget`.)
const KEPT_FREE: usize = 16;

/// Writes into the properties of each resource that cannot be tagged where it is recorded, and lets it wait for that.
pub(super) fn assign(
    resources: &mut BTreeMap<String, Resource>,
    scope: &Scope,
    edges: &mut Vec<Edge>,
    problems: &mut Vec<Problem>,
) {
    let recorded_ids: Vec<String> =
        resources.values().filter(|one| one.kind.is_recorded()).map(|one| one.logical_id.clone()).collect();
    let mut free: BTreeMap<String, usize> = BTreeMap::new();
    for one in resources.values().filter(|one| one.kind.recorder_arn().is_some()) {
        let own = one.properties["Tags"].as_object().map_or(0, serde_json::Map::len);
        free.insert(one.logical_id.clone(), tags::MAX.saturating_sub(KEPT_FREE + own));
    }
    for id in recorded_ids {
        let Some(resource) = resources.get(&id) else { continue };
        let found = choose(resource, resources, scope, edges, &free);
        let Some((recorder, arn, type_name)) = found else {
            problems.push(unrecorded(resource, &free));
            continue;
        };
        if let Some(free) = free.get_mut(&recorder) {
            *free -= 1;
        }
        let Some(resource) = resources.get_mut(&id) else { continue };
        resource.properties[RECORD] = recorded(&arn, type_name);
        resource.soft.remove(&recorder);
        resource.minted.remove(&recorder);
        if resource.hard.insert(recorder.clone()) {
            edges.push(Edge { from: id, to: recorder, path: resource.path.clone() });
        }
    }
}

/// The recorder of a resource: its logical id, ARN and type. What it is a part of, if anything is, since that goes after it anyway.
fn choose(
    resource: &Resource,
    resources: &BTreeMap<String, Resource>,
    scope: &Scope,
    edges: &[Edge],
    free: &BTreeMap<String, usize>,
) -> Option<(String, String, &'static str)> {
    let service = |one: &Resource| one.kind.type_name().split("::").nth(1).unwrap_or_default();
    let rank = |other: &Resource| {
        let is_named = resource.hard.contains(&other.logical_id) || resource.soft.contains(&other.logical_id);
        match other.kind.part() {
            // What does the work of one that is deleted first is there before it, and goes after it.
            _ if other.kind.has_code() && resource.kind.is_deleted_first() && is_named => 0,
            // Without another one: it is not deleted last.
            _ if other.kind.has_code() => 4,
            // An HTTP API may be imported again, which sets its tags.
            Part::Api if other.kind.is_http(&other.properties) => 3,
            Part::Api => 2,
            _ if is_named && service(other) == service(resource) => 0,
            _ if is_named => 1,
            _ => 3,
        }
    };
    let mut others: Vec<&Resource> = free
        .iter()
        .filter(|(_, free)| **free > 0)
        .filter_map(|(id, _)| resources.get(id))
        .filter(|other| other.logical_id != resource.logical_id)
        .collect();
    others.sort_by_key(|other| (rank(other), &other.logical_id));
    others.into_iter().find_map(|other| {
        let arn = arn_of(other, scope).filter(|_| !waits_for(edges, &other.logical_id, &resource.logical_id))?;
        Some((other.logical_id.clone(), arn, other.kind.type_name()))
    })
}

/// The ARN of a resource whose tags can record others, with tokens for what is not known yet.
pub(super) fn arn_of(resource: &Resource, scope: &Scope) -> Option<String> {
    let token = |attribute: Option<&str>| Token::text(&resource.logical_id, attribute.unwrap_or("Ref"));
    resource.kind.recorder_arn()?.of(scope, |attribute| {
        match resource.kind.attribute(scope, resource.name.as_deref(), attribute) {
            Attribute::Known(value) => Some(value),
            Attribute::Minted => Some(token(attribute)),
            Attribute::Ref => Some(token(None)),
            Attribute::EndsInRef(start) => Some(start + &token(None)),
            Attribute::NotYet | Attribute::Unknown(_) => None,
        }
    })
}

/// The problem that nothing can record a resource.
fn unrecorded(resource: &Resource, free: &BTreeMap<String, usize>) -> Problem {
    let type_name = resource.kind.type_name();
    let (why, help) = match free.is_empty() {
        true => (
            "no other resource of the template has tags that could record it",
            "describe what it belongs to in the same template: an API, a function, a queue, a topic, a bucket",
        ),
        false => (
            "the resources whose tags could record it wait for it, or have too many tags",
            "split the template: a resource has 50 tags at most, and each resource without tags takes one of another's",
        ),
    };
    Problem::new(resource.path.key("Type"), format!("{type_name} cannot be tagged, and {why}"))
        .kind(ProblemKind::Unsupported)
        .help(help)
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::core::stack::load;
    use crate::core::types::cloud_control::record::ON;

    fn scope() -> Scope {
        Scope {
            stack: "chat".to_owned(),
            account: "123456789012".to_owned(),
            region: "eu-west-1".to_owned(),
            partition: "aws".to_owned(),
        }
    }

    fn loaded(resources: Value) -> Result<BTreeMap<String, Resource>, Vec<String>> {
        let text = json!({ "Resources": resources }).to_string();
        let stack = load(text.as_bytes(), &BTreeMap::new(), &scope());
        let stack = stack.map_err(|problems| problems.into_iter().map(|problem| problem.what).collect::<Vec<_>>())?;
        Ok(stack.resources)
    }

    fn mail(topic: Value) -> Value {
        json!({"Type": "AWS::SNS::Subscription", "Properties": {"TopicArn": topic, "Protocol": "email", "Endpoint": "a@b.c"}})
    }

    #[test]
    fn what_it_belongs_to_records_it_before_anything_else() {
        let all = json!({
            "Api": {"Type": "AWS::ApiGatewayV2::Api", "Properties": {
                "Name": "a", "ProtocolType": "WEBSOCKET", "RouteSelectionExpression": "$request.body.action",
            }},
            "Function": {"Type": "AWS::Lambda::Function", "Properties": {
                "Code": "f", "Runtime": "provided.al2023", "Handler": "bootstrap", "Role": "arn:aws:iam::123456789012:role/r",
            }},
            "Queue": {"Type": "AWS::SQS::Queue", "Properties": {"QueueName": "q"}},
            "Topic": {"Type": "AWS::SNS::Topic", "Properties": {"TopicName": "t"}},
            "Users": {"Type": "AWS::Cognito::UserPool"},
            "Mail": mail(json!({"Ref": "Topic"})),
            "Client": {"Type": "AWS::Cognito::UserPoolClient", "Properties": {"UserPoolId": {"Ref": "Users"}}},
            "Url": {"Type": "AWS::Lambda::Url", "Properties": {
                "AuthType": "NONE", "TargetFunctionArn": {"Ref": "Function"},
            }},
        });
        let on = |without: &[&str], id: &str| {
            let mut all = all.clone();
            for gone in without {
                all.as_object_mut().unwrap().remove(*gone);
            }
            let resources = loaded(all).unwrap();
            let resource = &resources[id];
            (Token::readable(resource.properties[RECORD][ON].as_str().unwrap()), resource.hard.clone())
        };
        let (arn, hard) = on(&[], "Mail");
        assert_eq!(arn, "arn:aws:sns:eu-west-1:123456789012:t");
        assert!(hard.contains("Topic"));
        assert!(on(&[], "Client").1.contains("Users"));
        let (arn, hard) = on(&[], "Url");
        assert!(arn.starts_with("arn:aws:apigateway:eu-west-1::/apis/") && hard.contains("Api"), "{arn} {hard:?}");
        let (arn, _) = on(&["Api"], "Url");
        assert_eq!(arn, "arn:aws:sqs:eu-west-1:123456789012:q");
        let (arn, _) = on(&["Api", "Queue", "Topic", "Users", "Mail", "Client"], "Url");
        assert!(arn.starts_with("arn:aws:lambda:eu-west-1:123456789012:function:chat-Function-"), "{arn}");
    }

    #[test]
    fn nothing_waits_for_what_it_records() {
        let refused = |resources: Value| loaded(resources).unwrap_err();
        let alone = json!({"Mail": mail(json!("arn:aws:sns:eu-west-1:123456789012:t"))});
        let said = refused(alone);
        assert!(said[0].contains("AWS::SNS::Subscription cannot be tagged, and no other resource"), "{said:?}");
        let waiting = json!({
            "Mail": mail(json!("arn:aws:sns:eu-west-1:123456789012:t")),
            "Queue": {"Type": "AWS::SQS::Queue", "DependsOn": "Mail"},
        });
        let said = refused(waiting);
        assert!(said[0].contains("wait for it, or have too many tags"), "{said:?}");
    }

    #[test]
    fn what_one_cannot_take_another_one_records() {
        let mut resources = json!({"A": {"Type": "AWS::SQS::Queue"}, "B": {"Type": "AWS::SQS::Queue"}});
        for number in 0..40 {
            let mut mail = mail(json!("arn:aws:sns:eu-west-1:123456789012:t"));
            mail["Properties"]["Endpoint"] = format!("{number}@b.c").into();
            resources[format!("Mail{number:02}")] = mail;
        }
        let resources = loaded(resources).unwrap();
        let recorded_by = |id: &str| resources.values().filter(|one| one.hard.contains(id)).count();
        assert_eq!((recorded_by("A"), recorded_by("B")), (tags::MAX - KEPT_FREE, 40 - (tags::MAX - KEPT_FREE)));
    }
}
