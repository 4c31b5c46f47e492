//! Whether policies allow an action on a resource: the evaluation logic of the IAM user guide ("Policy evaluation
//! logic", "IAM JSON policy elements").

use serde_json::Value;

use super::document::{one_or_more, statements};
use super::need::{Context, Need};

/// The decision of a set of policies on one request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    Allowed,
    /// A statement denies it, which outweighs any other.
    Denied,
    /// No statement matches, which denies it implicitly.
    Unmentioned,
}

/// The decision of all `documents` together on `need`. Statements that cannot be parsed grant nothing.
pub fn verdict<'a>(documents: impl IntoIterator<Item = &'a str>, need: &Need) -> Verdict {
    let mut verdict = Verdict::Unmentioned;
    for document in documents {
        let Ok(document) = serde_json::from_str::<Value>(document) else { continue };
        let Some(statements) = statements(&document) else { continue };
        for statement in statements.into_iter().filter(|statement| applies(statement, need)) {
            if statement["Effect"] == "Deny" {
                return Verdict::Denied;
            }
            verdict = Verdict::Allowed;
        }
    }
    verdict
}

/// Whether a policy of a resource allows an AWS service (`sns.amazonaws.com`) what is needed.
pub fn permits_service(document: &str, service: &str, need: &Need) -> bool {
    let Ok(document) = serde_json::from_str::<Value>(document) else { return false };
    let is_for = |statement: &&Value| {
        let principal = &statement["Principal"];
        let names = |member: &str, name: &str| one_or_more(&principal[member]).contains(&name);
        principal == "*" || names("AWS", "*") || names("Service", service) || names("Service", "*")
    };
    let Some(statements) = statements(&document) else { return false };
    let mut allowed = false;
    for statement in statements.into_iter().filter(is_for).filter(|statement| applies(statement, need)) {
        if statement["Effect"] == "Deny" {
            return false;
        }
        allowed = true;
    }
    allowed
}

fn applies(statement: &Value, need: &Need) -> bool {
    // Actions are case-insensitive, resources are not.
    let action = need.action.to_ascii_lowercase();
    let of_action = |pattern: &str| glob(&pattern.to_ascii_lowercase(), &action);
    let of_resource =
        |pattern: &str| filled_in(pattern, &need.context).is_some_and(|pattern| glob(&pattern, &need.resource));
    element(statement, "Action", "NotAction", of_action)
        && element(statement, "Resource", "NotResource", of_resource)
        && conditions_met(&statement["Condition"], &need.context)
}

/// Whether an element matches, in its positive or its `Not` form.
fn element(statement: &Value, name: &str, contrary: &str, matches: impl Fn(&str) -> bool) -> bool {
    match (statement.get(name), statement.get(contrary)) {
        (Some(patterns), _) => one_or_more(patterns).into_iter().any(matches),
        (None, Some(patterns)) => !one_or_more(patterns).into_iter().any(matches),
        (None, None) => false,
    }
}

/// All operators and all keys must be met; of a key's values, one.
fn conditions_met(conditions: &Value, context: &Context) -> bool {
    let Some(operators) = conditions.as_object() else { return true };
    operators.iter().all(|(operator, keys)| {
        let keys = keys.as_object().into_iter().flatten();
        keys.into_iter().all(|(key, values)| condition_met(operator, key, &texts(values), context))
    })
}

/// How a condition on a key with several values in the request is read.
#[derive(Clone, Copy, PartialEq)]
enum Quantifier {
    ForAllValues,
    ForAnyValue,
}

fn condition_met(operator: &str, key: &str, expected: &[String], context: &Context) -> bool {
    let given = context.get(&key.to_ascii_lowercase());
    let (quantifier, operator) = match operator.split_once(':') {
        Some(("ForAllValues", operator)) => (Some(Quantifier::ForAllValues), operator),
        Some(("ForAnyValue", operator)) => (Some(Quantifier::ForAnyValue), operator),
        _ => (None, operator),
    };
    if operator == "Null" {
        return expected.iter().any(|value| (value == "true") == given.is_none());
    }
    let (operator, if_exists) = match operator.strip_suffix("IfExists") {
        Some(operator) => (operator, true),
        None => (operator, false),
    };
    let Some(comparison) = Comparison::named(operator) else { return false };
    let Some(given) = given else {
        // A missing key meets a negated operator, `IfExists`, and `ForAllValues` (of no values).
        return if_exists || comparison.negated || quantifier == Some(Quantifier::ForAllValues);
    };
    let meets = |value: &String| {
        let any = expected.iter().filter_map(|pattern| filled_in(pattern, context));
        let found = any.into_iter().any(|pattern| (comparison.matches)(&pattern, value));
        found != comparison.negated
    };
    match quantifier {
        Some(Quantifier::ForAllValues) => given.iter().all(meets),
        Some(Quantifier::ForAnyValue) => given.iter().any(meets),
        None if comparison.negated => given.iter().all(meets),
        None => given.iter().any(meets),
    }
}

/// A condition operator: how an expected value compares with a given one, and whether the result is negated.
struct Comparison {
    matches: fn(&str, &str) -> bool,
    negated: bool,
}

impl Comparison {
    /// `None` for an operator that is unknown here: its condition counts as not met.
    fn named(operator: &str) -> Option<Self> {
        let (matches, negated): (fn(&str, &str) -> bool, bool) = match operator {
            "StringEquals" => (|expected, given| expected == given, false),
            "StringNotEquals" => (|expected, given| expected == given, true),
            "StringEqualsIgnoreCase" => (str::eq_ignore_ascii_case, false),
            "StringNotEqualsIgnoreCase" => (str::eq_ignore_ascii_case, true),
            "StringLike" => (glob, false),
            "StringNotLike" => (glob, true),
            "ArnEquals" | "ArnLike" => (arn_like, false),
            "ArnNotEquals" | "ArnNotLike" => (arn_like, true),
            "Bool" => (str::eq_ignore_ascii_case, false),
            "NumericEquals" => (|expected, given| numbers(expected, given, |e, g| g == e), false),
            "NumericNotEquals" => (|expected, given| numbers(expected, given, |e, g| g == e), true),
            "NumericLessThan" => (|expected, given| numbers(expected, given, |e, g| g < e), false),
            "NumericLessThanEquals" => (|expected, given| numbers(expected, given, |e, g| g <= e), false),
            "NumericGreaterThan" => (|expected, given| numbers(expected, given, |e, g| g > e), false),
            "NumericGreaterThanEquals" => (|expected, given| numbers(expected, given, |e, g| g >= e), false),
            _ => return None,
        };
        Some(Self { matches, negated })
    }
}

fn numbers(expected: &str, given: &str, compare: fn(f64, f64) -> bool) -> bool {
    match (expected.parse(), given.parse()) {
        (Ok(expected), Ok(given)) => compare(expected, given),
        _ => false,
    }
}

/// Compares the six parts of an ARN one by one: only in the last does a wildcard match a colon.
fn arn_like(pattern: &str, arn: &str) -> bool {
    let (patterns, parts): (Vec<&str>, Vec<&str>) = (pattern.splitn(6, ':').collect(), arn.splitn(6, ':').collect());
    patterns.len() == parts.len() && patterns.iter().zip(&parts).all(|(pattern, part)| glob(pattern, part))
}

/// Whether text matches a pattern in which `*` is any text and `?` any one character.
pub fn glob(pattern: &str, text: &str) -> bool {
    wildcard(pattern, text, |_| true)
}

/// The same, where `?` matches only characters that `one` accepts.
pub(super) fn wildcard(pattern: &str, text: &str, one: impl Fn(char) -> bool) -> bool {
    let (pattern, text): (Vec<char>, Vec<char>) = (pattern.chars().collect(), text.chars().collect());
    let (mut at, mut from) = (0, 0);
    // Where to go back to when the rest does not match: the last `*` then takes one more character.
    let mut retry: Option<(usize, usize)> = None;
    while from < text.len() {
        match pattern.get(at) {
            Some('*') => {
                retry = Some((at + 1, from));
                at += 1;
            }
            Some(letter) if *letter == text[from] || (*letter == '?' && one(text[from])) => {
                at += 1;
                from += 1;
            }
            _ => {
                let Some((after, taken)) = retry else { return false };
                retry = Some((after, taken + 1));
                (at, from) = (after, taken + 1);
            }
        }
    }
    pattern[at..].iter().all(|letter| *letter == '*')
}

/// A pattern with its policy variables (`${aws:PrincipalArn}`) replaced; `None` where one has no value: such a pattern
/// matches nothing (IAM user guide, "policy variables").
fn filled_in(pattern: &str, context: &Context) -> Option<String> {
    let mut filled = String::new();
    let mut rest = pattern;
    while let Some((before, (name, after))) =
        rest.split_once("${").and_then(|(before, tail)| Some((before, tail.split_once('}')?)))
    {
        let [value] = context.get(&name.to_ascii_lowercase())?.as_slice() else { return None };
        filled.push_str(before);
        filled.push_str(value);
        rest = after;
    }
    Some(filled + rest)
}

/// A condition's values: text, booleans and numbers, one or a list.
fn texts(values: &Value) -> Vec<String> {
    let text = |value: &Value| match value {
        Value::String(text) => text.clone(),
        other => other.to_string(),
    };
    match values {
        Value::Array(values) => values.iter().map(text).collect(),
        one => vec![text(one)],
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TABLE: &str = "arn:aws:dynamodb:eu-west-1:000000000000:table/chat";

    fn need() -> Need {
        Need::new("dynamodb:CreateTable", TABLE)
            .with("aws:RequestedRegion", "eu-west-1")
            .with("iam:PassedToService", "lambda.amazonaws.com")
            .with("aws:PrincipalArn", "arn:aws:iam::000000000000:role/team/deployer")
            .with("team", "chat")
            .with("count", "7")
            .with_tags([("wschat:stack", "chat"), ("Cost", "1")])
    }

    fn said(statements: &str) -> Verdict {
        verdict([format!("{{\"Version\":\"2012-10-17\",\"Statement\":[{statements}]}}").as_str()], &need())
    }

    #[test]
    fn actions_and_resources_match_by_pattern() {
        use Verdict::{Allowed, Denied, Unmentioned};
        let cases = [
            (r#""Action":"*","Resource":"*""#, Allowed),
            (r#""Action":"dynamodb:*","Resource":"*""#, Allowed),
            (r#""Action":["s3:*","DynamoDB:createTABLE"],"Resource":"*""#, Allowed),
            (r#""Action":"dynamodb:Create?able","Resource":"*""#, Allowed),
            (r#""Action":"dynamodb:Create","Resource":"*""#, Unmentioned),
            (r#""Action":"dynamodb:CreateTable*x","Resource":"*""#, Unmentioned),
            (r#""NotAction":"dynamodb:Create*","Resource":"*""#, Unmentioned),
            (r#""NotAction":["iam:*","s3:*"],"Resource":"*""#, Allowed),
            (r#""Action":"*","Resource":"arn:aws:dynamodb:*:*:table/ch*t""#, Allowed),
            (
                r#""Action":"*","Resource":["arn:aws:s3:::x","arn:aws:dynamodb:eu-west-1:000000000000:table/chat"]"#,
                Allowed,
            ),
            (r#""Action":"*","Resource":"arn:aws:dynamodb:eu-west-1:000000000000:table/CHAT""#, Unmentioned),
            (r#""Action":"*","Resource":"arn:aws:dynamodb:us-east-1:*:table/chat""#, Unmentioned),
            (r#""Action":"*","Resource":"arn:aws:dynamodb:*:*:table/${team}""#, Allowed),
            (r#""Action":"*","Resource":"arn:aws:dynamodb:*:*:table/${nobody}*""#, Unmentioned),
            (r#""Action":"*","NotResource":"arn:aws:dynamodb:*:*:table/*""#, Unmentioned),
            (r#""Action":"*","NotResource":"arn:aws:s3:::*""#, Allowed),
            (r#""Action":"*""#, Unmentioned),
        ];
        for (elements, expected) in cases {
            assert_eq!(said(&format!("{{\"Effect\":\"Allow\",{elements}}}")), expected, "{elements}");
            let denied = if expected == Allowed { Denied } else { Allowed };
            let both = format!(
                "{{\"Effect\":\"Allow\",\"Action\":\"*\",\"Resource\":\"*\"}},{{\"Effect\":\"Deny\",{elements}}}"
            );
            assert_eq!(said(&both), denied, "denied: {elements}");
        }
    }

    #[test]
    fn conditions_are_met_as_iam_reads_them() {
        let cases = [
            (r#""StringEquals":{"iam:passedtoservice":"lambda.amazonaws.com"}"#, true),
            (r#""StringEquals":{"iam:PassedToService":["ec2.amazonaws.com","lambda.amazonaws.com"]}"#, true),
            (r#""StringEquals":{"iam:PassedToService":"ec2.amazonaws.com"}"#, false),
            (r#""StringEquals":{"iam:PassedToService":"lambda.*"}"#, false),
            (r#""StringLike":{"iam:PassedToService":"lambda.*"}"#, true),
            (r#""StringEquals":{"aws:RequestedRegion":"eu-west-1","iam:PassedToService":"x"}"#, false),
            (r#""StringEquals":{"aws:RequestedRegion":"eu-west-1"},"StringLike":{"team":"x"}"#, false),
            (r#""StringEquals":{"team":"${team}"}"#, true),
            (r#""StringNotEquals":{"aws:RequestedRegion":["us-east-1","eu-west-1"]}"#, false),
            (r#""StringNotEquals":{"aws:RequestedRegion":"us-east-1"}"#, true),
            (r#""StringEqualsIgnoreCase":{"aws:RequestedRegion":"EU-WEST-1"}"#, true),
            (r#""StringEquals":{"nothing":"x"}"#, false),
            (r#""StringEqualsIfExists":{"nothing":"x"}"#, true),
            (r#""StringEqualsIfExists":{"team":"x"}"#, false),
            (r#""StringNotEquals":{"nothing":"x"}"#, true),
            (r#""Null":{"nothing":"true"}"#, true),
            (r#""Null":{"team":true}"#, false),
            (r#""Null":{"team":"false"}"#, true),
            (r#""ArnLike":{"aws:PrincipalArn":"arn:aws:iam::*:role/team/*"}"#, true),
            (r#""ArnEquals":{"aws:PrincipalArn":"arn:aws:*:role/team/deployer"}"#, false),
            (r#""ArnNotLike":{"aws:PrincipalArn":"arn:aws:iam::*:role/team/*"}"#, false),
            (r#""NumericLessThan":{"count":"8"}"#, true),
            (r#""NumericGreaterThanEquals":{"count":7}"#, true),
            (r#""NumericGreaterThan":{"count":"7"}"#, false),
            (r#""NumericEquals":{"team":"7"}"#, false),
            (r#""Bool":{"nothing":"true"}"#, false),
            (r#""StringEquals":{"aws:RequestTag/wschat:stack":"chat"}"#, true),
            (r#""StringEquals":{"aws:RequestTag/wschat:stack":"other"}"#, false),
            (r#""ForAllValues:StringLike":{"aws:TagKeys":["wschat:*","Cost"]}"#, true),
            (r#""ForAllValues:StringLike":{"aws:TagKeys":"wschat:*"}"#, false),
            (r#""ForAllValues:StringLike":{"nothing":"x"}"#, true),
            (r#""ForAnyValue:StringEquals":{"aws:TagKeys":"Cost"}"#, true),
            (r#""ForAnyValue:StringEquals":{"nothing":"Cost"}"#, false),
            (r#""DateGreaterThan":{"aws:CurrentTime":"2020-01-01T00:00:00Z"}"#, false),
        ];
        for (condition, met) in cases {
            let statement = format!(r#"{{"Effect":"Allow","Action":"*","Resource":"*","Condition":{{{condition}}}}}"#);
            assert_eq!(said(&statement) == Verdict::Allowed, met, "{condition}");
        }
    }

    #[test]
    fn unreadable_documents_grant_nothing() {
        let allow = r#"{"Statement":{"Effect":"Allow","Action":"*","Resource":"*"}}"#;
        assert_eq!(verdict(["{", r#"{"Statement":[]}"#], &need()), Verdict::Unmentioned);
        assert_eq!(verdict(["{", allow], &need()), Verdict::Allowed);
    }
}
