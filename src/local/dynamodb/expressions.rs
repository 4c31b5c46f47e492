//! The limits of expressions that the engine does not check.

use serde_json::Value;

use super::engine::invalid;
use crate::local::protocol::wire::ApiError;

/// How many operators and functions an expression may have. The developer guide (quotas, expression parameters) has
/// this limit for update expressions; AWS applies it to the others, too, with the message below (scylladb#14473, aws-sdk-js#3721). `AND` and
/// `OR` are not counted (scylladb#14473).
const MAX_OPERATORS: usize = 300;

const EXPRESSIONS: [&str; 5] =
    ["ConditionExpression", "FilterExpression", "KeyConditionExpression", "ProjectionExpression", "UpdateExpression"];

/// Checks the number of operators of every expression in a request, including the parts of a transaction.
///
/// # Errors
/// DynamoDB's error for the first one with too many.
pub fn check(input: &Value) -> Result<(), ApiError> {
    let parts = input["TransactItems"].as_array().into_iter().flatten();
    let parts = parts.filter_map(Value::as_object).flat_map(|part| part.values());
    for part in std::iter::once(input).chain(parts) {
        for name in EXPRESSIONS {
            let count = part[name].as_str().map_or(0, operators);
            if count > MAX_OPERATORS {
                // AWS stops counting at the first operator over the limit.
                let count = MAX_OPERATORS + 1;
                let message =
                    format!("Invalid {name}: The expression contains too many operators; operator count: {count}");
                return Err(invalid(message));
            }
        }
    }
    Ok(())
}

/// The number of comparisons, arithmetic operators, `NOT`, `BETWEEN`, `IN` and functions.
fn operators(expression: &str) -> usize {
    let mut count = 0;
    let mut rest = expression;
    while let Some(first) = rest.chars().next() {
        let is_name = |letter: char| letter.is_alphanumeric() || matches!(letter, '_' | '#' | ':' | '.' | '[' | ']');
        let length = match first {
            '<' | '>' => rest.find(|letter| !matches!(letter, '<' | '>' | '=')).unwrap_or(rest.len()),
            _ if is_name(first) => rest.find(|letter| !is_name(letter)).unwrap_or(rest.len()),
            _ => first.len_utf8(),
        };
        let (token, after) = rest.split_at(length);
        let keyword = |names: &[&str]| names.iter().any(|name| token.eq_ignore_ascii_case(name));
        let is_operator = matches!(first, '<' | '>' | '=' | '+' | '-') || keyword(&["NOT", "BETWEEN", "IN"]);
        let is_function = is_name(first) && after.trim_start().starts_with('(') && !keyword(&["AND", "OR"]);
        count += usize::from(is_operator || is_function);
        rest = after;
    }
    count
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn operators_and_functions_count() {
        for (expression, expected) in [
            ("", 0),
            ("a = :a", 1),
            ("a <> :a AND (b >= :b or c<:c)", 3),
            ("NOT attribute_exists (a.b[0])", 2),
            ("a BETWEEN :a AND :b", 1),
            ("a in (:a, :b)", 1),
            ("SET a = if_not_exists(a, :zero) + :one REMOVE b", 3),
            ("#in, notes, betweens", 0),
        ] {
            assert_eq!(operators(expression), expected, "{expression}");
        }
    }

    #[test]
    fn more_than_three_hundred_are_refused_wherever_they_stand() {
        let long = |count: usize| vec!["a=:a"; count].join(" OR ");
        assert!(check(&json!({ "FilterExpression": long(300) })).is_ok());
        for input in [
            json!({ "FilterExpression": long(301) }),
            json!({ "TransactItems": [{ "Put": { "FilterExpression": long(400) } }] }),
        ] {
            let refusal = check(&input).unwrap_err();
            assert_eq!(
                refusal.message,
                "Invalid FilterExpression: The expression contains too many operators; operator count: 301"
            );
        }
    }
}
