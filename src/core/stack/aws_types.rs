//! The names of CloudFormation's resource types.

/// One service a line: its name, and those of its types. Written by `.ci/aws-types`.
const TYPES: &str = include_str!("aws_types.txt");

/// Whether CloudFormation has a type of this name; users name custom resources themselves.
pub fn contains(type_name: &str) -> bool {
    let Some((service, kind)) = type_name.rsplit_once("::") else { return false };
    let of_service = TYPES.lines().find_map(|line| line.strip_prefix(service)?.strip_prefix(' '));
    service == "Custom" || of_service.is_some_and(|kinds| kinds.split(' ').any(|known| known == kind))
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
