//! Type names that other types refer to: their parents, targets and dependencies.

pub const ALIAS: &str = "AWS::Lambda::Alias";
pub const API: &str = "AWS::ApiGatewayV2::Api";
pub const API_MAPPING: &str = "AWS::ApiGatewayV2::ApiMapping";
pub const AUTHORIZER: &str = "AWS::ApiGatewayV2::Authorizer";
pub const DEPLOYMENT: &str = "AWS::ApiGatewayV2::Deployment";
pub const DOMAIN_NAME: &str = "AWS::ApiGatewayV2::DomainName";
pub const FOREIGN_PERMISSION: &str = "wschat::Lambda::Permission";
pub const FUNCTION: &str = "AWS::Lambda::Function";
pub const INTEGRATION: &str = "AWS::ApiGatewayV2::Integration";
pub const INTEGRATION_RESPONSE: &str = "AWS::ApiGatewayV2::IntegrationResponse";
pub const MODEL: &str = "AWS::ApiGatewayV2::Model";
pub const LAYER_PERMISSION: &str = "AWS::Lambda::LayerVersionPermission";
pub const LAYER_VERSION: &str = "AWS::Lambda::LayerVersion";
pub const PERMISSION: &str = "AWS::Lambda::Permission";
pub const ROLE: &str = "AWS::IAM::Role";
pub const ROUTE: &str = "AWS::ApiGatewayV2::Route";
pub const ROUTE_RESPONSE: &str = "AWS::ApiGatewayV2::RouteResponse";
pub const STAGE: &str = "AWS::ApiGatewayV2::Stage";
pub const TABLE: &str = "AWS::DynamoDB::Table";
pub const VERSION: &str = "AWS::Lambda::Version";
