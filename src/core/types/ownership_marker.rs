//! Ownership markers: versions, aliases and integrations carry no tags, so the end of their description says which
//! stack's resource they are.

use super::PropertyError;
use crate::core::words::DeletionPolicy;

/// The property that the plan adds: the logical id, and the deletion policy where it is not `Delete`.
pub const PROPERTY: &str = "OwnershipMarker";

/// The prefix of the marker in a description.
pub(super) const PREFIX: &str = "wschat:";

/// The most characters that Lambda accepts in the description of a version or an alias.
const LONGEST: usize = 256;

/// The marker of a resource.
pub fn of(logical_id: &str, policy: DeletionPolicy) -> String {
    match policy {
        DeletionPolicy::Delete => logical_id.to_owned(),
        kept => format!("{logical_id}:{}", kept.as_str()),
    }
}

/// The logical id and the deletion policy in a marker.
pub fn read(marker: &str) -> (&str, DeletionPolicy) {
    let (logical_id, policy) = marker.split_once(':').unwrap_or((marker, ""));
    (logical_id, DeletionPolicy::read(policy).unwrap_or_default())
}

/// A description with a marker at its end.
///
/// # Errors
/// Both together are longer than Lambda accepts.
pub fn describe(description: &str, marker: Option<&str>) -> Result<String, PropertyError> {
    let Some(marker) = marker else { return Ok(description.to_owned()) };
    let text = format!("{description}{}{PREFIX}{marker}", if description.is_empty() { "" } else { " " });
    if text.chars().count() > LONGEST {
        let most = LONGEST.saturating_sub(PREFIX.len() + marker.len() + 1);
        return Err(PropertyError(format!(
            "its description is too long: wschat ends it with \"{PREFIX}{marker}\", which leaves {most} characters"
        )));
    }
    Ok(text)
}

/// The part of a description that fits before a marker, as `split` returns it.
pub fn fitting(description: &str, marker: Option<&str>) -> String {
    let most = marker.map_or(LONGEST, |marker| LONGEST.saturating_sub(PREFIX.len() + marker.len() + 1));
    description.chars().take(most).collect::<String>().trim_end().to_owned()
}

/// A description without its marker, and the marker.
pub fn split(text: &str) -> (&str, Option<&str>) {
    let is_marker = |marker: &str| {
        let (logical_id, policy) = marker.split_once(':').unwrap_or((marker, ""));
        let is_id = !logical_id.is_empty() && logical_id.chars().all(|c| c.is_ascii_alphanumeric());
        is_id && (policy.is_empty() || DeletionPolicy::read(policy).is_some())
    };
    match text.rsplit_once(PREFIX) {
        Some((words, marker)) if is_marker(marker) && (words.is_empty() || words.ends_with(' ')) => {
            (words.trim_end(), Some(marker))
        }
        _ => (text, None),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_description_keeps_the_users_text_and_the_marker() {
        for words in ["", "the first one", "by wschat: or so"] {
            for policy in [DeletionPolicy::Delete, DeletionPolicy::Retain, DeletionPolicy::RetainExceptOnCreate] {
                let marker = of("EchoVersion1", policy);
                let text = describe(words, Some(&marker)).unwrap();
                assert_eq!(split(&text), (words, Some(marker.as_str())), "{text}");
                assert_eq!(read(&marker), ("EchoVersion1", policy));
            }
        }
        for by_hand in ["", "made by hand", "see wschat:A note", "awschat:Id"] {
            assert_eq!(split(by_hand), (by_hand, None));
        }
    }

    #[test]
    fn a_description_too_long_for_lambda_is_refused() {
        let error = describe(&"x".repeat(250), Some("Echo")).unwrap_err().to_string();
        assert_eq!(
            error,
            "its description is too long: wschat ends it with \"wschat:Echo\", which leaves 244 characters"
        );
    }
}
