//! The stack and its location, from which names and ARNs are made.

/// The stack and its location, from which names and ARNs are made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Scope {
    /// The stack's name: letters, digits and hyphens, at most 128 characters. Empty means every stack, for reading only
    /// (`wschat list`); `check_stack` refuses it to all other commands.
    pub stack: String,
    /// The AWS account, 12 digits.
    pub account: String,
    pub region: String,
    /// `aws`, `aws-cn`, `aws-us-gov`.
    pub partition: String,
}

impl Scope {
    /// The domain of the partition's endpoints (`AWS::URLSuffix`).
    pub fn url_suffix(&self) -> &'static str {
        if self.partition == "aws-cn" { "amazonaws.com.cn" } else { "amazonaws.com" }
    }

    /// An ARN in this account and region; IAM's have no region.
    pub fn arn(&self, service: &str, resource: &str) -> String {
        let region = if service == "iam" { "" } else { &self.region };
        format!("arn:{}:{service}:{region}:{}:{resource}", self.partition, self.account)
    }
}
