//! The names of CloudFormation's resource types.

/// One service a line: its name, and those of its types. Written by `.ci/aws-types`.
const TYPES: &str = include_str!("aws_types.txt");

/// Whether CloudFormation has a type of this name; users name custom resources themselves.
pub fn contains(type_name: &str) -> bool {
    let Some((service, kind)) = type_name.rsplit_once("::") else { return false };
    let of_service = TYPES.lines().find_map(|line| line.strip_prefix(service)?.strip_prefix(' '));
    service == "Custom" || of_service.is_some_and(|kinds| kinds.split(' ').any(|known| known == kind))
}

/// Types that are not supported: why, and what to do instead.
const REFUSED: &[(&str, &str, &str)] = &[(
    "AWS::Route53::RecordSetGroup",
    "AWS Cloud Control cannot make groups of records, and the records of this one are not written out",
    "write each as an AWS::Route53::RecordSet",
)];

/// Why a type is not supported, and what to do instead, where more can be said than that.
pub fn refused(type_name: &str) -> Option<(&'static str, &'static str)> {
    REFUSED.iter().find(|(known, ..)| *known == type_name).map(|(_, why, help)| (*why, *help))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn types_of_aws_are_known_and_typos_are_not() {
        for known in ["AWS::Cognito::UserPool", "AWS::S3::Bucket", "AWS::CloudFormation::Stack", "Custom::Thing"] {
            assert!(contains(known), "{known}");
        }
        for unknown in ["AWS::DynamoDB::Tabel", "AWS::DynamoDB::", "AWS::DynamoDB", "AWS", "", "Logs::LogGroup"] {
            assert!(!contains(unknown), "{unknown}");
        }
    }
}
