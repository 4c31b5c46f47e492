//! AWS's own managed policies: the names of all, and the documents of those that functions and deployers use, as AWS's
//! managed policy reference has them.

use crate::core::words::nearest;

/// Paths and names, a line each, as `make.py --policies` wrote them.
const NAMES: &str = include_str!("managed_policies.txt");

/// What ARNs of AWS's managed policies begin with. Other partitions have lists of their own.
pub const PREFIX: &str = "arn:aws:iam::aws:policy/";

/// Only service-linked roles carry these; IAM attaches them to no other.
const SERVICE_LINKED: &str = "aws-service-role/";

/// What is known of the ARN of a managed policy.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Known {
    /// There is such a policy, or it is none of AWS's own: then the list says nothing of it.
    Fine,
    /// There is one of this name at another path: its ARN. Names are unique whatever their path.
    Elsewhere(String),
    /// It is for a service-linked role.
    ServiceLinked,
    /// The list has none of this name; AWS adds new ones. The ARN of one that may be meant.
    Unknown(Option<String>),
}

/// What is known of the managed policy that `arn` names.
pub fn known(arn: &str) -> Known {
    let Some(given) = arn.strip_prefix(PREFIX) else { return Known::Fine };
    let mut all = all_names();
    let name = name_of(given);
    match all.clone().find(|known| name_of(known) == name) {
        Some(known) if known.starts_with(SERVICE_LINKED) => Known::ServiceLinked,
        Some(known) if known == given => Known::Fine,
        Some(known) => Known::Elsewhere(format!("{PREFIX}{known}")),
        None => {
            let names: Vec<&str> =
                all.clone().filter(|known| !known.starts_with(SERVICE_LINKED)).map(name_of).collect();
            let meant = nearest(name, &names).and_then(|meant| all.find(|known| name_of(known) == meant));
            Known::Unknown(meant.map(|meant| format!("{PREFIX}{meant}")))
        }
    }
}

/// Paths and names of all.
pub fn all_names() -> impl Iterator<Item = &'static str> + Clone {
    NAMES.lines().filter(|line| !line.starts_with('#'))
}

/// What follows the path.
pub fn name_of(path_and_name: &str) -> &str {
    path_and_name.rsplit('/').next().unwrap_or(path_and_name)
}

/// By what follows `arn:aws:iam::aws:policy/`.
#[rustfmt::skip]
const POLICIES: &[(&str, &str)] = &[
    ("AdministratorAccess", r#"{"Statement":[{"Effect":"Allow","Action":"*","Resource":"*"}]}"#),
    ("AmazonAPIGatewayAdministrator", r#"{"Statement":[{"Effect":"Allow","Action":["apigateway:*"],"Resource":"arn:aws:apigateway:*::/*"}]}"#),
    ("AmazonAPIGatewayInvokeFullAccess", r#"{"Statement":[{"Effect":"Allow","Action":["execute-api:Invoke","execute-api:ManageConnections"],"Resource":"arn:aws:execute-api:*:*:*"}]}"#),
    ("AmazonDynamoDBFullAccess", r#"{"Statement":[{"Effect":"Allow","Action":["dynamodb:*"],"Resource":"*"}]}"#),
    ("AmazonDynamoDBReadOnlyAccess", r#"{"Statement":[{"Effect":"Allow","Action":["dynamodb:BatchGetItem","dynamodb:Describe*","dynamodb:List*","dynamodb:GetItem","dynamodb:Query","dynamodb:Scan","dynamodb:PartiQLSelect"],"Resource":"*"}]}"#),
    ("AWSLambda_FullAccess", r#"{"Statement":[{"Effect":"Allow","Action":["lambda:*","logs:DescribeLogGroups","iam:GetPolicy","iam:GetPolicyVersion","iam:GetRole","iam:GetRolePolicy","iam:ListAttachedRolePolicies","iam:ListRolePolicies","iam:ListRoles"],"Resource":"*"},{"Effect":"Allow","Action":"iam:PassRole","Resource":"*","Condition":{"StringEquals":{"iam:PassedToService":"lambda.amazonaws.com"}}}]}"#),
    ("AWSXRayDaemonWriteAccess", r#"{"Statement":[{"Effect":"Allow","Action":["xray:PutTraceSegments","xray:PutTelemetryRecords"],"Resource":"*"}]}"#),
    ("CloudWatchLogsFullAccess", r#"{"Statement":[{"Effect":"Allow","Action":["logs:*"],"Resource":"*"}]}"#),
    ("IAMFullAccess", r#"{"Statement":[{"Effect":"Allow","Action":["iam:*"],"Resource":"*"}]}"#),
    ("service-role/AWSLambdaBasicExecutionRole", r#"{"Statement":[{"Effect":"Allow","Action":["logs:CreateLogGroup","logs:CreateLogStream","logs:PutLogEvents"],"Resource":"*"}]}"#),
    ("service-role/AWSLambdaDynamoDBExecutionRole", r#"{"Statement":[{"Effect":"Allow","Action":["dynamodb:DescribeStream","dynamodb:GetRecords","dynamodb:GetShardIterator","dynamodb:ListStreams","logs:CreateLogGroup","logs:CreateLogStream","logs:PutLogEvents"],"Resource":"*"}]}"#),
];

/// The document of one of AWS's policies; `None` for one that is not kept here.
pub fn document(arn: &str) -> Option<&'static str> {
    let name = arn.strip_prefix(PREFIX)?;
    POLICIES.iter().find(|(known, _)| *known == name).map(|(_, document)| *document)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::iam::grammar::{Purpose, refusal};

    #[test]
    fn arns_are_looked_up_by_name_and_path() {
        let arn = |name: &str| format!("{PREFIX}{name}");
        for (given, expected) in [
            (arn("service-role/AWSLambdaBasicExecutionRole"), Known::Fine),
            (arn("AmazonDynamoDBFullAccess"), Known::Fine),
            ("arn:aws:iam::123456789012:policy/own".to_owned(), Known::Fine),
            ("arn:aws-cn:iam::aws:policy/AWSLambdaBasicExecutionRole".to_owned(), Known::Fine),
            (arn("AWSLambdaBasicExecutionRole"), Known::Elsewhere(arn("service-role/AWSLambdaBasicExecutionRole"))),
            (
                arn("service-role/AWSLambdaBasicExecutionRol"),
                Known::Unknown(Some(arn("service-role/AWSLambdaBasicExecutionRole"))),
            ),
            (arn("aws-service-role/APIGatewayServiceRolePolicy"), Known::ServiceLinked),
            (arn("Zzz"), Known::Unknown(None)),
        ] {
            assert_eq!(known(&given), expected, "{given}");
        }
    }

    #[test]
    fn every_document_is_one_that_iam_takes() {
        for (name, document) in POLICIES {
            assert!(refusal(document, Purpose::Inline).is_none(), "{name}");
        }
        assert!(document("arn:aws:iam::aws:policy/service-role/AWSLambdaBasicExecutionRole").is_some());
        assert_eq!(document("arn:aws:iam::aws:policy/AmazonS3FullAccess"), None);
    }
}
