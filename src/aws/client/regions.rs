//! The names of AWS's regions, to tell a typo from a region that is newer than this build.

use crate::core::words::nearest;

/// The regions that the AWS SDK for Rust knows (the partitions in the endpoint rules of aws-sdk-sts 1.124, without the
/// global pseudo-regions). A region that is not among them may exist all the same.
const KNOWN: &[&str] = &[
    "af-south-1",
    "ap-east-1",
    "ap-east-2",
    "ap-northeast-1",
    "ap-northeast-2",
    "ap-northeast-3",
    "ap-south-1",
    "ap-south-2",
    "ap-southeast-1",
    "ap-southeast-2",
    "ap-southeast-3",
    "ap-southeast-4",
    "ap-southeast-5",
    "ap-southeast-6",
    "ap-southeast-7",
    "ca-central-1",
    "ca-west-1",
    "cn-north-1",
    "cn-northwest-1",
    "eu-central-1",
    "eu-central-2",
    "eu-isoe-west-1",
    "eu-north-1",
    "eu-south-1",
    "eu-south-2",
    "eu-west-1",
    "eu-west-2",
    "eu-west-3",
    "eusc-de-east-1",
    "il-central-1",
    "me-central-1",
    "me-south-1",
    "mx-central-1",
    "sa-east-1",
    "us-east-1",
    "us-east-2",
    "us-gov-east-1",
    "us-gov-west-1",
    "us-iso-east-1",
    "us-iso-west-1",
    "us-isob-east-1",
    "us-isob-west-1",
    "us-isof-east-1",
    "us-isof-south-1",
    "us-west-1",
    "us-west-2",
];

/// Whether this build knows a region of that name.
pub fn is_known(region: &str) -> bool {
    KNOWN.contains(&region)
}

/// Whether `region` has the form of a region's name: lower-case words and a number, with hyphens between them.
pub fn is_well_formed(region: &str) -> bool {
    let parts: Vec<&str> = region.split('-').collect();
    let [words @ .., number] = parts.as_slice() else { return false };
    let is_word = |word: &&str| !word.is_empty() && word.chars().all(|c| c.is_ascii_lowercase());
    words.len() >= 2 && words.iter().all(is_word) && !number.is_empty() && number.chars().all(|c| c.is_ascii_digit())
}

/// The region that was probably meant.
pub fn suggestion(region: &str) -> Option<&'static str> {
    let given = region.to_ascii_lowercase().replace(['_', ' '], "-");
    // An availability zone is its region and a letter.
    let zone = given.strip_suffix(|c: char| c.is_ascii_lowercase()).filter(|rest| is_known(rest));
    let known = |name: &str| KNOWN.iter().copied().find(|known| *known == name);
    // The first region that starts with the given text.
    let longer =
        || KNOWN.iter().copied().find(|known| known.strip_prefix(&given).is_some_and(|end| end.starts_with('-')));
    known(&given).or_else(|| known(zone?)).or_else(longer).or_else(|| nearest(&given, KNOWN))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn typos_get_the_meant_region_suggested() {
        let table = [
            ("eu-wset-1", Some("eu-west-1")),
            ("eu-west-1a", Some("eu-west-1")),
            ("eu-west", Some("eu-west-1")),
            ("EU-WEST-1", Some("eu-west-1")),
            ("us_east_1", Some("us-east-1")),
            ("us-east-11", Some("us-east-1")),
            ("frankfurt", None),
        ];
        for (given, meant) in table {
            assert_eq!(suggestion(given), meant, "{given}");
        }
    }

    #[test]
    fn new_regions_are_well_formed() {
        assert!(KNOWN.iter().all(|region| is_well_formed(region)));
        assert!(is_well_formed("eu-west-9") && is_well_formed("xx-isoz-middle-12"));
        for wrong in ["", "eu-west", "eu-west-", "eu-west-1a", "EU-WEST-1", "eu_west_1", "-west-1", "eu-west-1.example"]
        {
            assert!(!is_well_formed(wrong), "{wrong}");
        }
    }
}
