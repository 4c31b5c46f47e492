//! The resource in which the CDK's templates say what they were made with. No service has it: CloudFormation alone knows it.

use serde_json::Map;
use uuid::Uuid;

use super::{Type, single};

const METADATA: &str = "AWS::CDK::Metadata";

pub const TYPES: &[Type] = &[Type {
    name: METADATA,
    identifier: &["Id"],
    reference: "Id",
    importable: false,
    create: |_, _| Box::pin(async { Ok(single("Id", Uuid::new_v4())) }),
    // It is there as long as its stack says so.
    read: |_, _, _| Box::pin(async { Ok(Some(Map::new())) }),
    delete: |_, _| Box::pin(async { Ok(()) }),
    arn: |_, _, _| None,
}];
