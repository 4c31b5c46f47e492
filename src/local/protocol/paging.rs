//! Pages of lists whose token is the number of entries before the page.

use serde_json::{Value, json};

/// A page of a list, and the token of the next one; `None` for a token that no page gave.
pub fn page<T>(all: Vec<T>, token: Option<&str>, size: usize) -> Option<(Vec<T>, Option<String>)> {
    let from: usize = token.map_or(Ok(0), str::parse).ok()?;
    let left = all.len().checked_sub(from)?;
    let next = (left > size).then(|| (from + size).to_string());
    Some((all.into_iter().skip(from).take(size).collect(), next))
}

/// The same as an answer in JSON: the page under `member`, beside the next token.
pub fn json_page(all: Vec<Value>, token: Option<&str>, size: usize, member: &str) -> Option<Value> {
    let (page, next) = page(all, token, size)?;
    let mut answer = json!({ member: page });
    if let Some(next) = next {
        answer["NextToken"] = next.into();
    }
    Some(answer)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pages_follow_each_other() {
        let mut seen = Vec::new();
        let mut token = None;
        loop {
            let (page, next) = page((0..5).collect(), token.as_deref(), 2).unwrap();
            seen.extend(page);
            token = next;
            if token.is_none() {
                break;
            }
        }
        assert_eq!(seen, [0, 1, 2, 3, 4]);
    }

    #[test]
    fn a_token_that_no_page_gave_is_none() {
        for token in ["6", "18446744073709551615", "-1", "", "x"] {
            assert_eq!(page(vec![(); 5], Some(token), 2), None, "{token}");
        }
    }
}
