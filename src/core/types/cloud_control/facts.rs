//! What no schema says of the types that AWS Cloud Control provisions: tables, each with its source.

use super::QUEUE;
use crate::core::schemas::Schema;

/// Types whose resources hold what cannot be made again, beside those that `holds_data` knows by their names and properties.
const WITH_DATA: &[&str] = &[
    "AWS::Cassandra::Table",
    "AWS::CloudFront::KeyValueStore",
    "AWS::CodeArtifact::Domain",
    "AWS::Cognito::IdentityPool",
    "AWS::Connect::DataTable",
    "AWS::Connect::Instance",
    "AWS::CustomerProfiles::Domain",
    "AWS::EC2::Instance",
    "AWS::ElastiCache::CacheCluster",
    "AWS::ElastiCache::GlobalReplicationGroup",
    "AWS::ElastiCache::ReplicationGroup",
    "AWS::Grafana::Workspace",
    "AWS::KMS::Key",
    "AWS::Kendra::Index",
    "AWS::Kinesis::Stream",
    "AWS::KinesisVideo::Stream",
    "AWS::Lightsail::Instance",
    "AWS::MSK::Cluster",
    "AWS::MSK::ServerlessCluster",
    "AWS::MemoryDB::MultiRegionCluster",
    "AWS::OpenSearchService::Domain",
    "AWS::PaymentCryptography::Key",
    "AWS::QBusiness::Index",
    "AWS::Redshift::Cluster",
    "AWS::Rekognition::Collection",
    "AWS::Route53::HostedZone",
    "AWS::S3Tables::Table",
    "AWS::S3Vectors::Index",
    "AWS::SDB::Domain",
    "AWS::SageMaker::NotebookInstance",
    "AWS::SecretsManager::Secret",
    "AWS::Timestream::InfluxDBCluster",
    "AWS::Timestream::InfluxDBInstance",
    "AWS::Timestream::Table",
    "AWS::WorkSpaces::Workspace",
    "AWS::WorkspacesInstances::WorkspaceInstance",
];

/// Types that hold nothing, although their name or a property looks as if they did: code that lies elsewhere, settings.
const WITHOUT_DATA: &[&str] = &[
    "AWS::AppConfig::ConfigurationProfile",
    "AWS::AppConfig::Environment",
    "AWS::AutoScaling::AutoScalingGroup",
    "AWS::ECS::Gateway",
    "AWS::Glue::Database",
    "AWS::SageMaker::CodeRepository",
    "AWS::WellArchitected::AgentProfile",
];

/// What the names of types end in whose resources hold data.
const HOLDERS: &[&str] = &[
    "AnnotationStore",
    "Archive",
    "Backup",
    "Broker",
    "Bucket",
    "Database",
    "Dataset",
    "Datastore",
    "Disk",
    "EventDataStore",
    "FeatureGroup",
    "FileSystem",
    "GlobalTable",
    "Graph",
    "OpenSearchServerless::Collection",
    "ReferenceStore",
    "Repository",
    "SequenceStore",
    "Snapshot",
    "UserPool",
    "VariantStore",
    "Vault",
    "Volume",
];

/// What properties begin with that protect a resource from being deleted, for what it holds.
const PROTECTION: &[&str] = &["DeletionProtect", "FinalSnapshot", "BackupRetention"];

/// Whether resources of a type hold what cannot be made again: one is not replaced without being asked.
pub(super) fn holds_data(schema: &Schema) -> bool {
    let name = schema.type_name;
    let is_protected = |property: &String| PROTECTION.iter().any(|start| property.starts_with(start));
    let is_likely = HOLDERS.iter().any(|noun| name.ends_with(noun)) || schema.properties.keys().any(is_protected);
    WITH_DATA.contains(&name) || is_likely && !WITHOUT_DATA.contains(&name)
}

/// The services to which roles in a type's properties are passed, where it is one for all of them (IAM user guide, "AWS services that
/// work with IAM", and each service's own page on its roles).
pub(super) const PASSED_TO: &[(&str, &str)] = &[
    ("AWS::Events::Rule", "events.amazonaws.com"),
    ("AWS::Pipes::Pipe", "pipes.amazonaws.com"),
    ("AWS::SNS::Subscription", "sns.amazonaws.com"),
    ("AWS::Scheduler::Schedule", "scheduler.amazonaws.com"),
    ("AWS::StepFunctions::StateMachine", "states.amazonaws.com"),
];

/// What `Ref` gives where it is neither the identifier nor its only part: type, property (CloudFormation's template reference,
/// "Return values" of each type).
pub(super) const REFS: &[(&str, &str)] = &[
    ("AWS::ApiGateway::Authorizer", "AuthorizerId"),
    ("AWS::ApiGateway::Deployment", "DeploymentId"),
    ("AWS::ApiGateway::Model", "Name"),
    ("AWS::ApiGateway::RequestValidator", "RequestValidatorId"),
    ("AWS::ApiGateway::Resource", "ResourceId"),
    ("AWS::ApiGateway::Stage", "StageName"),
    ("AWS::AppConfig::ConfigurationProfile", "ConfigurationProfileId"),
    ("AWS::AppConfig::Environment", "EnvironmentId"),
    ("AWS::AppConfig::HostedConfigurationVersion", "VersionNumber"),
    ("AWS::AppSync::ApiKey", "Arn"),
    ("AWS::AppSync::GraphQLApi", "Arn"),
    ("AWS::ApplicationAutoScaling::ScalingPolicy", "Arn"),
    ("AWS::AutoScaling::LifecycleHook", "LifecycleHookName"),
    ("AWS::AutoScaling::ScheduledAction", "ScheduledActionName"),
    ("AWS::CodeDeploy::DeploymentGroup", "DeploymentGroupName"),
    ("AWS::Cognito::UserPoolClient", "ClientId"),
    ("AWS::Cognito::UserPoolDomain", "Domain"),
    ("AWS::Cognito::UserPoolGroup", "GroupName"),
    ("AWS::Cognito::UserPoolIdentityProvider", "ProviderName"),
    ("AWS::Cognito::UserPoolResourceServer", "Identifier"),
    ("AWS::Cognito::UserPoolUser", "Username"),
    ("AWS::EC2::EIP", "PublicIp"),
    ("AWS::ECS::Service", "ServiceArn"),
    ("AWS::Events::Rule", "Name"),
    ("AWS::Glue::Connection", "Name"),
    ("AWS::Glue::Table", "Name"),
    ("AWS::Logs::LogStream", "LogStreamName"),
    ("AWS::Logs::MetricFilter", "FilterName"),
    ("AWS::Logs::SubscriptionFilter", "FilterName"),
    ("AWS::Route53::RecordSet", "Name"),
    ("AWS::SES::ReceiptRule", "RuleName"),
    ("AWS::SSM::MaintenanceWindowTarget", "WindowTargetId"),
    ("AWS::SSM::MaintenanceWindowTask", "WindowTaskId"),
    ("AWS::ServiceDiscovery::Instance", "InstanceId"),
];

/// Types whose identifier has several parts, all of which `Ref` gives, as Cloud Control has them (the same source). `Ref` of other
/// such types is in neither table and refused, since it is something else for each.
pub(super) const WHOLE_REFS: &[&str] = &[
    "AWS::ApplicationAutoScaling::ScalableTarget",
    "AWS::Bedrock::AgentAlias",
    "AWS::Bedrock::DataSource",
    "AWS::Cassandra::Table",
    "AWS::Timestream::Table",
    "AWS::WAFv2::IPSet",
    "AWS::WAFv2::RegexPatternSet",
    "AWS::WAFv2::RuleGroup",
    "AWS::WAFv2::WebACL",
];

/// Types without tags of which there is one for these properties at most, although AWS mints the identifier: a create of an equal
/// one gives the one that is there. (SNS API reference, `Subscribe`: an equal subscription's ARN is returned; Secrets Manager API
/// reference, `RotateSecret`: a secret has one schedule.)
pub(super) const UNIQUE_BY: &[(&str, &[&str])] = &[
    ("AWS::SNS::Subscription", &["TopicArn", "Protocol", "Endpoint"]),
    ("AWS::SecretsManager::RotationSchedule", &["SecretId"]),
    ("AWS::SecretsManager::SecretTargetAttachment", &["SecretId"]),
];

/// ARNs that follow from a name: type, the attribute that is one, service, what stands before the name. (Service
/// Authorization Reference, "Resource types".) References to them need not wait for AWS.
pub(super) const ARNS: &[(&str, &str, &str, &str)] = &[
    ("AWS::Kinesis::Stream", "Arn", "kinesis", "stream/"),
    ("AWS::SNS::Topic", "TopicArn", "sns", ""),
    (QUEUE, "Arn", "sqs", ""),
    ("AWS::StepFunctions::StateMachine", "Arn", "states", "stateMachine:"),
];

/// Why types that Cloud Control has are not taken: the beginning of their names, a sentence without a full stop.
pub(super) const REFUSED: &[(&str, &str)] = &[
    ("AWS::CloudFormation::", "it belongs to CloudFormation itself, which wschat does not use"),
    (
        "AWS::Lambda::ResourcePolicy",
        "it takes the place of all permissions of a function; describe AWS::Lambda::Permission resources",
    ),
];

/// Services whose resources have ARNs without a region (Service Authorization Reference): the Resource Groups Tagging API finds
/// them in `GLOBAL_REGION` alone (its API reference, `GetResources`).
pub(super) const GLOBAL: &[&str] = &[
    "ARCRegionSwitch",
    "Billing",
    "BillingConductor",
    "Budgets",
    "CE",
    "Chatbot",
    "CloudFront",
    "GlobalAccelerator",
    "IAM",
    "Invoicing",
    "NetworkManager",
    "Organizations",
    "Route53RecoveryControl",
    "Route53RecoveryReadiness",
    "Shield",
];

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::schemas::schema;

    #[test]
    fn the_tables_name_types_that_there_are() {
        let of = |name: &str| schema(name).unwrap_or_else(|| panic!("{name}"));
        for (name, property) in REFS {
            assert!(of(name).shape_of(property).is_some(), "{name} {property}");
        }
        for name in WHOLE_REFS {
            assert!(of(name).identifier.len() > 1 && REFS.iter().all(|(other, _)| other != name), "{name}");
        }
        for (name, properties) in UNIQUE_BY {
            assert!(of(name).tags.is_none() && of(name).read_only.contains(&of(name).identifier[0]), "{name}");
            assert!(properties.iter().all(|property| of(name).properties.contains_key(*property)), "{name}");
        }
        for (name, _) in PASSED_TO {
            assert!(of(name).actions("create").contains(&"iam:PassRole".to_owned()), "{name}");
        }
    }

    #[test]
    fn exceptions_are_ones() {
        let is_likely = |name: &str| {
            let schema = schema(name).unwrap_or_else(|| panic!("{name}"));
            let is_protected = |property: &String| PROTECTION.iter().any(|start| property.starts_with(start));
            HOLDERS.iter().any(|noun| name.ends_with(noun)) || schema.properties.keys().any(is_protected)
        };
        let needless: Vec<_> = WITH_DATA.iter().filter(|name| is_likely(name)).collect();
        assert!(needless.is_empty(), "{needless:?}");
        let needless: Vec<_> = WITHOUT_DATA.iter().filter(|name| !is_likely(name)).collect();
        assert!(needless.is_empty(), "{needless:?}");
    }
}
