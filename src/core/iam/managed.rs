//! AWS's managed policies: the names of all, and the documents of those that functions and deployers use, from AWS's
//! managed policy reference.

use crate::core::words::nearest;

/// Paths and names, one a line, written by `make.py --policies`.
const NAMES: &str = include_str!("managed_policies.txt");

/// The prefix of ARNs of AWS's managed policies. Other partitions have lists of their own.
pub const PREFIX: &str = "arn:aws:iam::aws:policy/";

/// The path of policies for service-linked roles; IAM attaches them to no other role.
const SERVICE_LINKED: &str = "aws-service-role/";

/// The result of looking up the ARN of a managed policy.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Known {
    /// AWS has such a policy, or it is not AWS's: the list says nothing about others.
    Fine,
    /// AWS has one of this name at another path: its ARN. Names are unique whatever their path.
    Elsewhere(String),
    /// It is for service-linked roles.
    ServiceLinked,
    /// Not in the list, though AWS adds new ones. The ARN of a similar name, if there is one.
    Unknown(Option<String>),
}

/// Looks up the managed policy that `arn` names.
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

/// Paths and names of all policies.
pub fn all_names() -> impl Iterator<Item = &'static str> + Clone {
    NAMES.lines().filter(|line| !line.starts_with('#'))
}

/// The name without its path.
pub fn name_of(path_and_name: &str) -> &str {
    path_and_name.rsplit('/').next().unwrap_or(path_and_name)
}

/// By the part after `arn:aws:iam::aws:policy/`.
#[rustfmt::skip]
const POLICIES: &[(&str, &str)] = &[
    ("AdministratorAccess", r#"{"Statement":[{"Effect":"Allow","Action":"*","Resource":"*"}]}"#),
    ("AmazonAPIGatewayAdministrator", r#"{"Statement":[{"Effect":"Allow","Action":["apigateway:*"],"Resource":"arn:aws:apigateway:*::/*"}]}"#),
    ("AmazonAPIGatewayInvokeFullAccess", r#"{"Statement":[{"Effect":"Allow","Action":["execute-api:Invoke","execute-api:ManageConnections"],"Resource":"arn:aws:execute-api:*:*:*"}]}"#),
    ("AmazonDynamoDBFullAccess", r#"{"Statement":[{"Effect":"Allow","Action":["dynamodb:*"],"Resource":"*"}]}"#),
    ("AmazonDynamoDBReadOnlyAccess", r#"{"Statement":[{"Effect":"Allow","Action":["dynamodb:BatchGetItem","dynamodb:Describe*","dynamodb:List*","dynamodb:GetItem","dynamodb:Query","dynamodb:Scan","dynamodb:PartiQLSelect"],"Resource":"*"}]}"#),
    ("AWSLambda_FullAccess", r#"{"Statement":[{"Effect":"Allow","Action":["lambda:*","logs:DescribeLogGroups","iam:GetPolicy","iam:GetPolicyVersion","iam:GetRole","iam:GetRolePolicy","iam:ListAttachedRolePolicies","iam:ListRolePolicies","iam:ListRoles"],"Resource":"*"},{"Effect":"Allow","Action":"iam:PassRole","Resource":"*","Condition":{"StringEquals":{"iam:PassedToService":"lambda.amazonaws.com"}}}]}"#),
    ("AWSXRayDaemonWriteAccess", r#"{"Statement":[{"Effect":"Allow","Action":["xray:PutTraceSegments","xray:PutTelemetryRecords","xray:GetSamplingRules","xray:GetSamplingTargets","xray:GetSamplingStatisticSummaries"],"Resource":"*"}]}"#),
    ("AWSXrayWriteOnlyAccess", r#"{"Statement":[{"Effect":"Allow","Action":["xray:PutTraceSegments","xray:PutTelemetryRecords","xray:GetSamplingRules","xray:GetSamplingTargets","xray:GetSamplingStatisticSummaries"],"Resource":"*"}]}"#),
    ("CloudWatchLogsFullAccess", r#"{"Statement":[{"Effect":"Allow","Action":["logs:*"],"Resource":"*"}]}"#),
    ("IAMFullAccess", r#"{"Statement":[{"Effect":"Allow","Action":["iam:*"],"Resource":"*"}]}"#),
    ("service-role/AWSLambdaBasicExecutionRole", r#"{"Statement":[{"Effect":"Allow","Action":["logs:CreateLogGroup","logs:CreateLogStream","logs:PutLogEvents"],"Resource":"*"}]}"#),
    ("service-role/AWSLambdaDynamoDBExecutionRole", r#"{"Statement":[{"Effect":"Allow","Action":["dynamodb:DescribeStream","dynamodb:GetRecords","dynamodb:GetShardIterator","dynamodb:ListStreams","logs:CreateLogGroup","logs:CreateLogStream","logs:PutLogEvents"],"Resource":"*"}]}"#),
    ("service-role/AWSLambdaKinesisExecutionRole", r#"{"Statement":[{"Effect":"Allow","Action":["kinesis:DescribeStream","kinesis:DescribeStreamSummary","kinesis:GetRecords","kinesis:GetShardIterator","kinesis:ListShards","kinesis:ListStreams","kinesis:SubscribeToShard","logs:CreateLogGroup","logs:CreateLogStream","logs:PutLogEvents"],"Resource":"*"}]}"#),
    ("service-role/AWSLambdaMSKExecutionRole", r#"{"Statement":[{"Effect":"Allow","Action":["kafka:DescribeCluster","kafka:DescribeClusterV2","kafka:GetBootstrapBrokers","ec2:CreateNetworkInterface","ec2:DescribeNetworkInterfaces","ec2:DescribeVpcs","ec2:DeleteNetworkInterface","ec2:DescribeSubnets","ec2:DescribeSecurityGroups","logs:CreateLogGroup","logs:CreateLogStream","logs:PutLogEvents"],"Resource":"*"}]}"#),
    ("service-role/AWSLambdaSQSQueueExecutionRole", r#"{"Statement":[{"Effect":"Allow","Action":["sqs:ReceiveMessage","sqs:DeleteMessage","sqs:GetQueueAttributes","logs:CreateLogGroup","logs:CreateLogStream","logs:PutLogEvents"],"Resource":"*"}]}"#),
    ("service-role/AWSLambdaVPCAccessExecutionRole", r#"{"Statement":[{"Effect":"Allow","Action":["ec2:CreateNetworkInterface","ec2:DescribeNetworkInterfaces","ec2:DescribeSubnets","ec2:DeleteNetworkInterface","ec2:AssignPrivateIpAddresses","ec2:UnassignPrivateIpAddresses","logs:CreateLogGroup","logs:CreateLogStream","logs:PutLogEvents"],"Resource":"*"}]}"#),
];

/// The document of one of AWS's policies; `None` for one that is not in the table.
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
    fn iam_accepts_every_document() {
        for (name, document) in POLICIES {
            assert!(refusal(document, Purpose::Inline).is_none(), "{name}");
        }
        assert!(document("arn:aws:iam::aws:policy/service-role/AWSLambdaBasicExecutionRole").is_some());
        assert_eq!(document("arn:aws:iam::aws:policy/AmazonS3FullAccess"), None);
    }
}
