//! AWS's own policies, as far as functions and those who deploy them use them; the others exist here, but grant nothing.
//! What they grant is as AWS's managed policy reference has it.

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
    let name = arn.strip_prefix(super::policies::AWS_MANAGED)?;
    POLICIES.iter().find(|(known, _)| *known == name).map(|(_, document)| *document)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_document_is_one_that_iam_takes() {
        for (name, document) in POLICIES {
            assert!(
                super::super::documents::check(document, crate::core::iam::grammar::Purpose::Inline).is_ok(),
                "{name}"
            );
        }
        assert!(document("arn:aws:iam::aws:policy/service-role/AWSLambdaBasicExecutionRole").is_some());
        assert_eq!(document("arn:aws:iam::aws:policy/AmazonS3FullAccess"), None);
    }
}
