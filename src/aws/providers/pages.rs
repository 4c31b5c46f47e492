//! Lists that come in pages.

use crate::aws::client::{CallError, Meaning};

/// All items of a list: `page` gives the items that follow a token, and the next token.
///
/// # Errors
/// The first page that could not be had.
pub async fn all<T, F>(page: impl Fn(Option<String>) -> F) -> Result<Vec<T>, CallError>
where
    F: Future<Output = Result<(Option<Vec<T>>, Option<String>), CallError>>,
{
    let mut found = Vec::new();
    let mut from = None;
    loop {
        let (items, next) = page(from).await?;
        found.extend(items.unwrap_or_default());
        from = next.filter(|token| !token.is_empty());
        if from.is_none() {
            return Ok(found);
        }
    }
}

/// The same below something that may be gone by now: then there is nothing.
///
/// # Errors
/// The first page that could not be had.
pub async fn below<T, F>(page: impl Fn(Option<String>) -> F) -> Result<Vec<T>, CallError>
where
    F: Future<Output = Result<(Option<Vec<T>>, Option<String>), CallError>>,
{
    match all(page).await {
        Err(error) if error.is(Meaning::NotFound) => Ok(Vec::new()),
        found => found,
    }
}
