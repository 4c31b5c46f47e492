//! Plans, as tables: a template, what is there, and what follows.

use super::*;
use crate::core::stack::{Stack, load};
use crate::core::types::custom_resource::{self, state::State};
use crate::core::types::deployment::{self, FREEZES};
use crate::core::types::{Health, Owner, function, integration, log_group, permission, role, route, stage, table};
use crate::core::words::{DeletionPolicy, Scope};

/// A small chat: one table, one role, one function, and an API with two routes.
pub(super) const CHAT: &str = r#"
Resources:
  Table:
    Type: AWS::DynamoDB::Table
    Properties:
      BillingMode: PAY_PER_REQUEST
      KeySchema: [{AttributeName: id, KeyType: HASH}]
      AttributeDefinitions: [{AttributeName: id, AttributeType: S}]
  Role:
    Type: AWS::IAM::Role
    Properties:
      AssumeRolePolicyDocument:
        Statement: {Effect: Allow, Action: sts:AssumeRole, Principal: {Service: lambda.amazonaws.com}}
  Send:
    Type: AWS::Lambda::Function
    Properties:
      Role: !GetAtt Role.Arn
      Runtime: provided.al2023
      Handler: bootstrap
      Code: ./send
      Environment: {Variables: {table: !Ref Table}}
  Api:
    Type: AWS::ApiGatewayV2::Api
    Properties: {Name: chat, ProtocolType: WEBSOCKET, RouteSelectionExpression: $request.body.action}
  SendIntegration:
    Type: AWS::ApiGatewayV2::Integration
    Properties: {ApiId: !Ref Api, IntegrationType: AWS_PROXY, IntegrationUri: !Sub "arn:x:${Send.Arn}"}
  ConnectRoute:
    Type: AWS::ApiGatewayV2::Route
    Properties: {ApiId: !Ref Api, RouteKey: $connect, Target: !Sub "integrations/${SendIntegration}"}
  SendRoute:
    Type: AWS::ApiGatewayV2::Route
    Properties: {ApiId: !Ref Api, RouteKey: send, Target: !Sub "integrations/${SendIntegration}"}
  Permission:
    Type: AWS::Lambda::Permission
    Properties:
      FunctionName: !Ref Send
      Action: lambda:InvokeFunction
      Principal: apigateway.amazonaws.com
      SourceArn: !Sub "arn:aws:execute-api:${AWS::Region}:${AWS::AccountId}:${Api}/*"
  Deployment:
    Type: AWS::ApiGatewayV2::Deployment
    Properties: {ApiId: !Ref Api}
  Stage:
    Type: AWS::ApiGatewayV2::Stage
    Properties: {ApiId: !Ref Api, StageName: live, DeploymentId: !Ref Deployment}
"#;

pub(super) fn stack(text: &str) -> Stack {
    let scope = Scope {
        stack: "chat".to_owned(),
        account: "123456789012".to_owned(),
        region: "eu-west-1".to_owned(),
        partition: "aws".to_owned(),
    };
    load(text.as_bytes(), &BTreeMap::new(), &scope).unwrap()
}

/// What AWS would have after `stack` came up.
pub(super) fn up(stack: &Stack) -> Vec<Live> {
    let mut live: Vec<Live> = Vec::new();
    let plan = diff(stack, &[], &PlanOptions::default()).unwrap();
    let mut known = BTreeMap::new();
    for (number, step) in plan.steps.iter().enumerate() {
        let desired = step.desired.as_ref().unwrap();
        let properties = Token::substitute(&desired.properties, &|token| known.get(token).cloned());
        let desired = Desired { properties, ..desired.clone() };
        let id = match step.type_name {
            stage::TYPE => "live".to_owned(),
            permission::TYPE => permission::statement_id(&desired).unwrap(),
            _ => desired.name.clone().unwrap_or_else(|| format!("id{number}")),
        };
        for attribute in ["Ref", "ApiId", "DeploymentId", "IntegrationId"] {
            known.insert(Token { logical_id: step.name.clone(), attribute: attribute.to_owned() }, id.clone());
        }
        let mut properties = desired.properties.clone();
        if step.type_name == deployment::TYPE {
            properties[deployment::DIGEST] = Value::from(deployment::digest(&desired));
            properties.as_object_mut().unwrap().remove(FREEZES);
        }
        let parent = match step.type_name {
            permission::TYPE => "FunctionName",
            _ => "ApiId",
        };
        let mut one = Live::new(step.type_name, &id, properties.clone());
        one.parent = properties[parent].as_str().map(str::to_owned).filter(|parent| *parent != id);
        one.logical_id = Some(step.name.clone())
            .filter(|_| ![route::TYPE, integration::TYPE, deployment::TYPE].contains(&step.type_name));
        one.attributes = known
            .iter()
            .filter(|(token, _)| token.logical_id == step.name)
            .map(|(token, value)| (token.attribute.clone(), value.clone()))
            .collect();
        live.push(one);
    }
    live
}

/// The acting steps of a plan: `+ Table`.
pub(super) fn acts(plan: &Plan) -> Vec<String> {
    let acting = plan.steps.iter().filter(|step| step.action != Action::Keep);
    acting.map(|step| format!("{} {}", step.action.glyph(), step.name)).collect()
}

pub(super) fn planned(text: &str, live: &[Live]) -> Plan {
    diff(&stack(text), live, &PlanOptions::default()).unwrap()
}

pub(super) fn index(plan: &Plan, act: &str) -> usize {
    let found = plan.steps.iter().position(|step| format!("{} {}", step.action.glyph(), step.name) == act);
    found.unwrap_or_else(|| panic!("{act} is not in {:?}", acts(plan)))
}

/// Whether `later` waits for `earlier`, directly or through others.
pub(super) fn waits(plan: &Plan, later: usize, earlier: usize) -> bool {
    plan.steps[later].after.iter().any(|step| *step == earlier || waits(plan, *step, earlier))
}

#[test]
fn a_new_stack_is_created_in_three_lanes() {
    let plan = planned(CHAT, &[]);
    assert!(plan.steps.iter().all(|step| step.action == Action::Create));
    let at = |name: &str| index(&plan, &format!("+ {name}"));
    for (later, earlier, expected) in [
        ("Send", "Role", true),
        ("Permission", "Send", true),
        ("SendRoute", "SendIntegration", true),
        ("Deployment", "ConnectRoute", true),
        ("Deployment", "SendRoute", true),
        ("Stage", "Deployment", true),
        // A name is enough: these do not wait for each other.
        ("Send", "Table", false),
        ("SendIntegration", "Send", false),
        ("Deployment", "Send", false),
        ("Role", "Table", false),
    ] {
        assert_eq!(waits(&plan, at(later), at(earlier)), expected, "{later} after {earlier}");
    }
    assert!(plan.steps[at("SendIntegration")].retry_after.contains(&at("Send")));
}

#[test]
fn a_stack_that_is_up_needs_nothing() {
    let plan = planned(CHAT, &up(&stack(CHAT)));
    assert!(plan.is_empty(), "{:?}", acts(&plan));
}

#[test]
fn a_changed_route_is_one_new_deployment_and_the_stage_moves_before_the_old_goes() {
    let live = up(&stack(CHAT));
    let plan = planned(&CHAT.replace("RouteKey: send,", "RouteKey: send, OperationName: Send,"), &live);
    assert_eq!(acts(&plan)[..3], ["~ SendRoute", "+ Deployment", "~ Stage"]);
    let old = plan.steps.iter().position(|step| step.action == Action::Delete).unwrap();
    assert_eq!(plan.steps[old].type_name, deployment::TYPE);
    assert_eq!(acts(&plan).len(), 4);
    assert!(waits(&plan, old, index(&plan, "~ Stage")));
    assert!(waits(&plan, index(&plan, "~ Stage"), index(&plan, "+ Deployment")));
    assert!(waits(&plan, index(&plan, "+ Deployment"), index(&plan, "~ SendRoute")));
}

#[test]
fn a_changed_integration_stands_beside_the_old_until_the_stage_has_moved() {
    let live = up(&stack(CHAT));
    let plan = planned(&CHAT.replace("arn:x:${Send.Arn}", "arn:y:${Send.Arn}"), &live);
    let deleted: Vec<&str> =
        plan.steps.iter().filter(|step| step.action == Action::Delete).map(|step| step.type_name).collect();
    assert_eq!(deleted.len(), 2, "{:?}", acts(&plan));
    for doomed in plan.steps.iter().enumerate().filter(|(_, step)| step.action == Action::Delete).map(|(at, _)| at) {
        assert!(waits(&plan, doomed, index(&plan, "~ Stage")));
    }
    assert!(waits(&plan, index(&plan, "~ SendRoute"), index(&plan, "+ SendIntegration")));
}

#[test]
fn a_route_that_goes_is_gone_before_the_snapshot() {
    let live = up(&stack(CHAT));
    let without = CHAT.split("  SendRoute:").next().unwrap().to_owned()
        + "  Permission:"
        + CHAT.split("  Permission:").nth(1).unwrap();
    let plan = planned(&without, &live);
    let gone =
        plan.steps.iter().position(|step| step.type_name == route::TYPE && step.action == Action::Delete).unwrap();
    assert!(waits(&plan, index(&plan, "+ Deployment"), gone));
}

#[test]
fn what_was_added_by_hand_goes_and_nothing_else_happens() {
    let stack_up = up(&stack(CHAT));
    let api = stack_up.iter().find(|live| live.type_name == types::api::TYPE).unwrap().physical_id.clone();
    let mut live = stack_up.clone();
    live.push(Live::new(route::TYPE, "byhand", json!({"ApiId": api, "RouteKey": "evil"})).below(&api));
    let name = stack_up.iter().find(|live| live.type_name == function::TYPE).unwrap().physical_id.clone();
    live.push(Live::new(permission::TYPE, "open", json!({"FunctionName": name, "Principal": "*"})).below(&name));
    let plan = planned(CHAT, &live);
    assert_eq!(acts(&plan), ["- byhand", "- open"]);
}

#[test]
fn what_is_gone_or_changed_is_repaired() {
    let whole = up(&stack(CHAT));
    let without =
        |type_name: &str| -> Vec<Live> { whole.iter().filter(|live| live.type_name != type_name).cloned().collect() };
    assert_eq!(acts(&planned(CHAT, &without(table::TYPE))), ["+ Table"]);
    assert_eq!(acts(&planned(CHAT, &without(stage::TYPE))), ["+ Stage"]);
    assert_eq!(acts(&planned(CHAT, &without(permission::TYPE))), ["+ Permission"]);
    let mut changed = whole.clone();
    let role = changed.iter_mut().find(|live| live.type_name == role::TYPE).unwrap();
    role.properties["ManagedPolicyArns"] = json!(["arn:aws:iam::aws:policy/AdministratorAccess"]);
    let plan = planned(CHAT, &changed);
    assert_eq!(acts(&plan), ["~ Role"]);
    assert_eq!(plan.steps[index(&plan, "~ Role")].changes[0].property, "ManagedPolicyArns");
}

#[test]
fn data_is_lost_only_when_it_may_be() {
    let live = up(&stack(CHAT));
    let rekeyed = CHAT.replace("AttributeName: id,", "AttributeName: key,");
    let refused = diff(&stack(&rekeyed), &live, &PlanOptions::default()).unwrap_err();
    assert!(refused[0].to_string().contains("--allow-data-loss Table"), "{}", refused[0]);
    let options = PlanOptions { allow_data_loss: ["Table".to_owned()].into(), ..PlanOptions::default() };
    let plan = diff(&stack(&rekeyed), &live, &options).unwrap();
    let old = plan.steps.iter().position(|step| step.action == Action::Delete).unwrap();
    assert_eq!(plan.steps[old].type_name, table::TYPE);
    assert!(waits(&plan, old, index(&plan, "+ Table")), "the new one is there before the old one goes");
}

#[test]
fn what_the_user_named_is_replaced_in_its_place() {
    let named = CHAT.replace("      BillingMode:", "      TableName: connections\n      BillingMode:");
    let live = up(&stack(&named));
    let rekeyed = named.replace("AttributeName: id,", "AttributeName: key,");
    let options = PlanOptions { allow_data_loss: ["Table".to_owned()].into(), ..PlanOptions::default() };
    assert_eq!(acts(&diff(&stack(&rekeyed), &live, &options).unwrap()), ["! Table"]);
}

#[test]
fn what_belongs_to_others_stops_the_plan() {
    let named = CHAT.replace("      BillingMode:", "      TableName: connections\n      BillingMode:");
    let mut live = up(&stack(&named));
    let table = live.iter_mut().find(|live| live.type_name == table::TYPE).unwrap();
    table.owner = Owner::Other("the CloudFormation stack \"sam-app\"".to_owned());
    let errors = diff(&stack(&named), &live, &PlanOptions::default()).unwrap_err();
    assert!(errors[0].to_string().contains("the CloudFormation stack \"sam-app\""), "{}", errors[0]);
}

#[test]
fn of_two_apis_the_oldest_stays() {
    let mut live = up(&stack(CHAT));
    let mut newer = live.iter().find(|live| live.type_name == types::api::TYPE).unwrap().clone();
    newer.physical_id = "newer".to_owned();
    live.push(newer);
    live.push(Live::new(route::TYPE, "r", json!({"ApiId": "newer", "RouteKey": "send"})).below("newer"));
    let plan = planned(CHAT, &live);
    assert_eq!(acts(&plan), ["- Api"], "its routes go with it");
    assert_eq!(plan.steps[index(&plan, "- Api")].physical_id.as_deref(), Some("newer"));
}

#[test]
fn equal_integrations_are_told_apart_by_their_routes() {
    let second = "  Other:\n    Type: AWS::ApiGatewayV2::Integration\n    Properties: {ApiId: !Ref Api, IntegrationType: AWS_PROXY, IntegrationUri: !Sub \"arn:x:${Send.Arn}\"}\n";
    let text = CHAT.replace("  ConnectRoute:", &format!("{second}  ConnectRoute:")).replace(
        "RouteKey: send, Target: !Sub \"integrations/${SendIntegration}\"",
        "RouteKey: send, Target: !Sub \"integrations/${Other}\"",
    );
    let mut live = up(&stack(&text));
    assert!(planned(&text, &live).is_empty());
    // Whatever the order in which AWS lists them.
    live.reverse();
    let plan = planned(&text, &live);
    assert!(plan.is_empty(), "{:?}", acts(&plan));
}

#[test]
fn a_log_group_that_lambda_made_lives_as_long_as_its_function() {
    let mut live = up(&stack(CHAT));
    let function = live.iter().find(|live| live.type_name == function::TYPE).unwrap().physical_id.clone();
    live.push(Live::new(log_group::TYPE, format!("/aws/lambda/{function}"), json!({})));
    assert!(planned(CHAT, &live).is_empty());
    live.push(Live::new(log_group::TYPE, "/aws/lambda/chat-Old-01234567", json!({})));
    assert_eq!(acts(&planned(CHAT, &live)), ["- /aws/lambda/chat-Old-01234567"]);
}

#[test]
fn what_is_retained_stays() {
    let kept =
        CHAT.replace("    Type: AWS::DynamoDB::Table", "    Type: AWS::DynamoDB::Table\n    DeletionPolicy: Retain");
    let mut live = up(&stack(&kept));
    for one in live.iter_mut().filter(|live| live.type_name == table::TYPE) {
        one.deletion_policy = DeletionPolicy::Retain;
    }
    let plan = teardown(&live);
    assert_eq!(plan.steps[index(&plan, "· Table")].action, Action::Retain);
}

#[test]
fn a_teardown_takes_roots_alone_and_functions_before_their_logs() {
    let mut live = up(&stack(CHAT));
    live.push(Live::new(log_group::TYPE, "/aws/lambda/chat-Send-01234567", json!({})));
    let plan = teardown(&live);
    let gone = acts(&plan);
    assert!(!gone.iter().any(|act| act.contains("Route") || act.contains("Permission")), "{gone:?}");
    assert!(waits(&plan, index(&plan, "- /aws/lambda/chat-Send-01234567"), index(&plan, "- Send")));
    assert!(waits(&plan, index(&plan, "- Send"), index(&plan, "- Api")));
}

/// A custom resource that AWS has, of which a function was asked at these times.
fn custom(logical_id: &str, physical_id: &str, (begun, ended): (u64, u64)) -> Live {
    let mut state = State::new(logical_id, json!({}));
    (state.begun, state.ended) = (begun, ended);
    let state = serde_json::to_string(&state).unwrap();
    let live = Live::new(custom_resource::TYPE, physical_id, json!({})).attribute(custom_resource::STATE, state);
    Live { logical_id: Some(logical_id.to_owned()), ..live }
}

#[test]
fn custom_resources_go_before_all_that_their_functions_may_need() {
    let mut live = up(&stack(CHAT));
    live.push(custom("First", "First", (1, 2)));
    live.push(custom("Second", "Second", (3, 4)));
    live.push(custom("Second", "Second (old)", (3, 4)));
    live.push(custom("Beside", "Beside", (1, 5)));
    let plan = teardown(&live);
    let of = |id: &str| plan.steps.iter().position(|step| step.physical_id.as_deref() == Some(id)).unwrap();
    for other in ["- Send", "- Role", "- Table", "- Api"] {
        assert!(["First", "Second", "Second (old)", "Beside"].iter().all(|id| waits(
            &plan,
            index(&plan, other),
            of(id)
        )));
    }
    // What came later may need what was there; what an update has left goes before what took its place.
    assert!(waits(&plan, of("First"), of("Second")) && waits(&plan, of("Second"), of("Second (old)")));
    assert!(!waits(&plan, of("Beside"), of("Second")) && !waits(&plan, of("First"), of("Beside")));
}

/// The way back of a run of which all steps were begun that `begun` picks, without an answer, with `now` there.
fn rolled_back(plan: &Plan, before: &[Live], now: &[Live], begun: impl Fn(&Step) -> bool) -> Rollback {
    let begun: BTreeSet<usize> = (0..plan.steps.len()).filter(|index| begun(&plan.steps[*index])).collect();
    let executed = Executed { unclear: begun.clone(), begun, ..Executed::default() };
    rollback(plan, &executed, &plan.known, before, now)
}

#[test]
fn what_a_failed_run_made_goes_in_reverse() {
    let whole = up(&stack(CHAT));
    let plan = planned(CHAT, &[]);
    let now: Vec<Live> = whole.iter().filter(|live| live.type_name != stage::TYPE).cloned().collect();
    let rollback = rolled_back(&plan, &[], &now, |step| step.action.acts());
    assert!(rollback.lost.is_empty());
    let mut gone = acts(&rollback.plan);
    gone.sort();
    assert_eq!(gone, ["- Api", "- Role", "- Send", "- Table"], "what is inside goes with it");
    assert!(waits(&rollback.plan, index(&rollback.plan, "- Role"), index(&rollback.plan, "- Send")));
    assert!(waits(&rollback.plan, index(&rollback.plan, "- Send"), index(&rollback.plan, "- Api")));
}

#[test]
fn what_was_there_or_is_of_another_run_is_not_undone() {
    let whole = up(&stack(CHAT));
    let before: Vec<Live> = whole.iter().filter(|live| live.type_name != table::TYPE).cloned().collect();
    let plan = planned(CHAT, &before);
    assert_eq!(acts(&rolled_back(&plan, &before, &whole, |_| true).plan), ["- Table"]);
    let table = index(&plan, "+ Table");
    let executed = Executed { begun: [table].into(), adopted: [table].into(), ..Executed::default() };
    assert!(rollback(&plan, &executed, &plan.known, &before, &whole).plan.is_empty());
}

/// What is like it is another run's, or an earlier one's.
#[test]
fn a_create_that_was_refused_or_made_nothing_new_deletes_nothing() {
    let whole = up(&stack(CHAT));
    let before: Vec<Live> = whole.iter().filter(|live| live.type_name != integration::TYPE).cloned().collect();
    let plan = planned(CHAT, &before);
    let step = index(&plan, "+ SendIntegration");
    let made = whole.iter().find(|live| live.type_name == integration::TYPE).unwrap();
    let back = |executed: Executed| {
        let executed = Executed { begun: [step].into(), ..executed };
        let back = rollback(&plan, &executed, &plan.known, &before, &whole);
        (acts(&back.plan), back.lost)
    };
    let gone = [format!("- {}", made.physical_id)];
    let created = BTreeMap::from([(step, made.physical_id.clone())]);
    let (steps, lost) = back(Executed::default());
    assert!(steps.is_empty(), "{steps:?}");
    let stays = "stays: AWS refused to create it, so it is not this run's";
    assert_eq!(lost, [format!("SendIntegration (AWS::ApiGatewayV2::Integration) {stays}")]);
    assert_eq!(back(Executed { unclear: [step].into(), ..Executed::default() }).0, gone);
    assert_eq!(back(Executed { created: created.clone(), ..Executed::default() }).0, gone);
    let (steps, lost) = back(Executed { created, earlier: [step].into(), ..Executed::default() });
    assert!(steps.is_empty(), "{steps:?}");
    assert_eq!(lost, ["SendIntegration (AWS::ApiGatewayV2::Integration) stays: an earlier run created it"]);
}

/// It goes with its function: nothing is said to stay that goes.
#[test]
fn a_refused_log_group_that_goes_with_its_function_does_not_stay() {
    let logs = "  SendLogs: {Type: AWS::Logs::LogGroup, Properties: {LogGroupName: !Sub '/aws/lambda/${Send}'}}\n";
    let text = format!("{CHAT}{logs}");
    let whole = up(&stack(&text));
    let plan = planned(&text, &[]);
    let [function, logs] = ["+ Send", "+ SendLogs"].map(|step| index(&plan, step));
    let id = |type_name| whole.iter().find(|live| live.type_name == type_name).unwrap().physical_id.clone();
    let executed = Executed {
        begun: [function, logs].into(),
        created: BTreeMap::from([(function, id(function::TYPE))]),
        ..Executed::default()
    };
    let back = rollback(&plan, &executed, &plan.known, &[], &whole);
    assert_eq!(back.plan.steps.len(), 2, "{:?}", acts(&back.plan));
    assert!(back.plan.steps.iter().any(|step| step.physical_id == Some(id(log_group::TYPE))));
    assert_eq!(back.lost, [""; 0]);
}

/// A second one that holds data goes only if the user says so.
#[test]
fn a_duplicate_with_data_is_not_deleted_without_being_asked() {
    const POOL: &str = "AWS::Cognito::UserPool";
    let stack = stack("Resources: {Users: {Type: AWS::Cognito::UserPool}}");
    let created = planned("Resources: {Users: {Type: AWS::Cognito::UserPool}}", &[]);
    let pool = |id: &str| {
        let properties = created.steps[0].desired.as_ref().unwrap().properties.clone();
        Live { logical_id: Some("Users".to_owned()), ..Live::new(POOL, id, properties) }
    };
    let both = [pool("us-east-1_1"), pool("us-east-1_2")];
    let errors = diff(&stack, &both, &PlanOptions::default()).unwrap_err();
    assert_eq!(errors.len(), 1, "{errors:?}");
    let expected = "\"us-east-1_2\" has been replaced as Users, and would be deleted with all its data";
    assert_eq!(errors[0].message(), expected);
    assert_eq!(errors[0].help(), "to delete it anyway: --allow-data-loss Users");
    let allowed = PlanOptions { allow_data_loss: ["Users".to_owned()].into(), ..PlanOptions::default() };
    let plan = diff(&stack, &both, &allowed).unwrap();
    let gone = plan.steps.iter().filter(|step| step.action == Action::Delete);
    assert_eq!(gone.map(|step| step.physical_id.as_deref()).collect::<Vec<_>>(), [Some("us-east-1_2")]);
}

/// What AWS never shows comes back only where the run had it, too.
#[test]
fn what_no_reading_gives_is_set_back_where_it_is_known() {
    const PARAMETER: &str = "AWS::SSM::Parameter";
    let tags = |digest: &str, other: &str| json!({"wschat:write-only": digest, "k": other});
    let live = |digest: &str, value: &str| {
        Live::new(PARAMETER, "p", json!({"Name": "p", "Type": "String", "Value": value, "Tags": tags(digest, value)}))
    };
    let before = live("0001", "old");
    let back = |digest: &str| {
        let now = live(digest, "new");
        let mut wanted = now.properties.clone();
        wanted["Description"] = json!("hidden");
        let desired =
            Desired { logical_id: "P".to_owned(), name: Some("p".to_owned()), properties: wanted, code: None };
        let step = Step { name: "P".to_owned(), desired: Some(desired), ..Step::on(&before, Action::Update) };
        let plan = Plan { steps: vec![step], ..Plan::default() };
        rolled_back(&plan, std::slice::from_ref(&before), &[now], |_| true)
    };
    let same = back("0001");
    assert!(same.lost.is_empty(), "{:?}", same.lost);
    let properties = &same.plan.steps[0].desired.as_ref().unwrap().properties;
    assert_eq!((&properties["Description"], &properties["Value"]), (&json!("hidden"), &json!("old")));
    assert_eq!(properties["Tags"], tags("0001", "old"));

    let changed = back("0002");
    assert!(changed.lost.len() == 1 && changed.lost[0].contains("AWS never shows"), "{:?}", changed.lost);
    let properties = &changed.plan.steps[0].desired.as_ref().unwrap().properties;
    assert!(properties["Description"].is_null());
    assert_eq!(properties["Tags"], json!({"k": "old"}));
}

#[test]
fn a_changed_stage_moves_back_before_the_new_deployment_goes() {
    let before = up(&stack(CHAT));
    let plan = planned(&CHAT.replace("RouteKey: send,", "RouteKey: send, OperationName: Send,"), &before);
    let mut now = before.clone();
    let deployment = now.iter().find(|live| live.type_name == deployment::TYPE).unwrap().clone();
    for live in &mut now {
        match live.type_name {
            stage::TYPE => live.properties["DeploymentId"] = json!("new"),
            route::TYPE if live.properties["RouteKey"] == "send" => live.properties["OperationName"] = json!("Send"),
            _ => {}
        }
    }
    let digest = deployment::digest(plan.steps[index(&plan, "+ Deployment")].desired.as_ref().unwrap());
    let mut made = Live { physical_id: "new".to_owned(), ..deployment };
    made.properties["Digest"] = json!(digest);
    now.push(made);
    let rollback = rolled_back(&plan, &before, &now, |step| step.action != Action::Delete);
    let (stage, route) = (index(&rollback.plan, "~ Stage"), index(&rollback.plan, "~ SendRoute"));
    let gone = rollback.plan.steps.iter().position(|step| step.action == Action::Delete).unwrap();
    assert_eq!(rollback.plan.steps[gone].physical_id.as_deref(), Some("new"));
    assert!(waits(&rollback.plan, gone, stage));
    assert!(waits(&rollback.plan, stage, route), "what is put back is put back in the order of the run");
    let old = &before.iter().find(|live| live.type_name == stage::TYPE).unwrap().properties["DeploymentId"];
    assert_eq!(rollback.plan.steps[stage].desired.as_ref().unwrap().properties["DeploymentId"], *old);
}

#[test]
fn a_deleted_route_comes_again_and_other_losses_are_told() {
    let before = up(&stack(CHAT));
    let without = CHAT.replace("  SendRoute:", "  OtherRoute:").replace("RouteKey: send", "RouteKey: other");
    let plan = planned(&without, &before);
    let route =
        plan.steps.iter().position(|step| step.type_name == route::TYPE && step.action == Action::Delete).unwrap();
    let id = plan.steps[route].physical_id.clone().unwrap();
    let now: Vec<Live> = before.iter().filter(|live| live.physical_id != id).cloned().collect();
    let gone = |step: &Step| step.action == Action::Delete && step.type_name == route::TYPE;
    let rollback = rolled_back(&plan, &before, &now, gone);
    let [back] = &rollback.plan.steps[..] else { panic!("{:?}", acts(&rollback.plan)) };
    assert_eq!(back.action, Action::Create);
    assert_eq!(back.desired.as_ref().unwrap().properties["RouteKey"], "send");
    // What was inside it went with it, and comes again after it, under its new id.
    let inside = json!({"ApiId": "api", "RouteId": id, "RouteResponseKey": "$default"});
    let response = Live::new(types::route_response::TYPE, "response", inside).below(&id);
    let rollback = rolled_back(&plan, &[before.clone(), vec![response]].concat(), &now, gone);
    let [route, response] = &rollback.plan.steps[..] else { panic!("{:?}", acts(&rollback.plan)) };
    assert_eq!((&route.after, &response.after), (&[].into(), &[0].into()));
    assert_eq!(response.desired.as_ref().unwrap().properties["RouteId"], Token::text(&route.name, "Ref"));

    let plan = teardown(&before);
    let rollback = rolled_back(&plan, &before, &[], |step| step.type_name == table::TYPE);
    assert_eq!(rollback.lost, ["Table (AWS::DynamoDB::Table) was deleted and cannot be restored"]);
}

#[test]
fn a_plan_says_what_it_interrupts_and_loses() {
    let whole = up(&stack(CHAT));
    let plan = teardown(&whole);
    let of = |name: &str| effects::of(&plan, &plan.steps[index(&plan, name)]);
    assert_eq!(of("- Table").lost[0], "all its rows");
    assert_eq!(of("- Api").interrupted, ["every connection closes"]);
    let mut broken = whole.clone();
    for live in broken.iter_mut().filter(|live| live.type_name == function::TYPE) {
        live.health = Health::Failed("it is".to_owned());
    }
    let plan = planned(CHAT, &broken);
    let effects = effects::of(&plan, &plan.steps[index(&plan, "! Send")]);
    assert_eq!(effects.interrupted, ["invocations fail until it exists again"]);
    let plan = planned(CHAT, &whole);
    assert!(plan.steps.iter().all(|step| effects::of(&plan, step) == effects::StepEffects::default()));
}

#[test]
fn a_plan_says_who_may_do_more() {
    let policy = |actions: &str, resource: &str| {
        let policies = format!(
            "      Policies: [{{PolicyName: p, PolicyDocument: {{Statement: {{Effect: Allow, Action: {actions}, Resource: {resource}}}}}}}]\n  Send:"
        );
        CHAT.replacen("  Send:", &policies, 1)
    };
    let before = up(&stack(&policy("[dynamodb:Get*]", "\"arn:aws:dynamodb:::t*\"")));
    let gained = |text: &str| -> Vec<String> { planned(text, &before).steps.iter().flat_map(widening::of).collect() };
    for (text, expected) in [
        (policy("[dynamodb:Get*]", "\"arn:aws:dynamodb:::t*\""), vec![]),
        (policy("[dynamodb:GetItem]", "\"arn:aws:dynamodb:::table\""), vec![]),
        (
            policy("[dynamodb:GetItem, dynamodb:PutItem]", "\"arn:aws:dynamodb:::t*\""),
            vec!["may dynamodb:PutItem on arn:aws:dynamodb:::t*"],
        ),
        (policy("[dynamodb:Get*]", "\"*\""), vec!["may dynamodb:Get* on *"]),
        (CHAT.to_owned(), vec![]),
        (
            policy("[dynamodb:Get*]", "\"arn:aws:dynamodb:::t*\"").replace("Service: lambda", "Service: edgelambda"),
            vec!["may be assumed by edgelambda.amazonaws.com"],
        ),
    ] {
        assert_eq!(gained(&text), expected, "{text}");
    }
}

#[test]
fn equal_plans_have_equal_digests() {
    let whole = up(&stack(CHAT));
    let mut reversed = whole.clone();
    reversed.reverse();
    let other = CHAT.replace("RouteKey: send,", "RouteKey: send, OperationName: Send,");
    assert_eq!(planned(&other, &whole).digest(), planned(&other, &reversed).digest());
    assert_ne!(planned(&other, &whole).digest(), planned(CHAT, &whole).digest());
}
