//! What plans wait for where clients use the stack meanwhile, and what they cannot spare them.

use proptest::prelude::*;

use super::tests::{CHAT, acts, index, planned, stack, up, waits};
use super::*;
use crate::core::types::{alias, function, inline_policy, integration, permission, role, stage, table};

/// Another function of everything that a function needs, named `Next`.
const NEXT: &str = r#"
  NextRole:
    Type: AWS::IAM::Role
    Properties:
      AssumeRolePolicyDocument:
        Statement: {Effect: Allow, Action: sts:AssumeRole, Principal: {Service: lambda.amazonaws.com}}
  NextRights:
    Type: AWS::IAM::Policy
    Properties:
      PolicyName: rights
      Roles: [!Ref NextRole]
      PolicyDocument: {Statement: {Effect: Allow, Action: "dynamodb:*", Resource: "*"}}
  Rows:
    Type: AWS::DynamoDB::Table
    Properties:
      BillingMode: PAY_PER_REQUEST
      KeySchema: [{AttributeName: id, KeyType: HASH}]
      AttributeDefinitions: [{AttributeName: id, AttributeType: S}]
  Next:
    Type: AWS::Lambda::Function
    Properties:
      Role: !GetAtt NextRole.Arn
      Runtime: provided.al2023
      Handler: bootstrap
      Code: ./next
      Environment: {Variables: {table: !Ref Rows}}
  NextPermission:
    Type: AWS::Lambda::Permission
    Properties:
      FunctionName: !Ref Next
      Action: lambda:InvokeFunction
      Principal: apigateway.amazonaws.com
      SourceArn: !Sub "arn:aws:execute-api:${AWS::Region}:${AWS::AccountId}:${Api}/${Stage}/*"
"#;

/// An integration's URI as API Gateway has it.
const URI: &str = "arn:aws:apigateway:x:lambda:path/2015-03-31/functions/${Send.Arn}/invocations";

fn chat() -> String {
    CHAT.replace("arn:x:${Send.Arn}", URI)
}

/// The chat with its routes on `Next`, and `Send` still there.
fn moved() -> String {
    chat().replace("functions/${Send.Arn}", "functions/${Next.Arn}") + NEXT
}

fn without(text: &str, resources: &[&str]) -> String {
    let mut kept = true;
    let lines = text.lines().filter(|line| {
        if line.starts_with("  ") && !line.starts_with("   ") {
            kept = !resources.contains(&line.trim().trim_end_matches(':'));
        }
        kept
    });
    lines.collect::<Vec<_>>().join("\n")
}

fn interruptions(plan: &Plan) -> Vec<String> {
    plan.interruptions().map(|(step, text)| format!("{}: {text}", step.name)).collect()
}

#[test]
fn a_first_deployment_waits_for_none_of_this() {
    let plan = planned(&moved(), &[]);
    assert!(plan.steps.iter().all(|step| step.ready.is_empty() && step.drain.is_none()));
    assert!(!waits(&plan, index(&plan, "+ Stage"), index(&plan, "+ Next")));
}

#[test]
fn a_stage_moves_when_all_is_ready_that_it_leads_to() {
    let plan = planned(&moved(), &up(&stack(&chat())));
    let moves = &plan.steps[index(&plan, "~ Stage")];
    for name in ["Next", "NextPermission", "NextRole", "NextRights", "Rows", "SendIntegration", "Deployment"] {
        let step = index(&plan, &format!("+ {name}"));
        assert!(moves.after.contains(&step) && moves.ready.contains(&step), "{name}");
    }
    // Although the permission names the stage.
    assert!(!waits(&plan, index(&plan, "+ NextPermission"), index(&plan, "~ Stage")));
    assert_eq!(interruptions(&plan), [""; 0]);
}

#[test]
fn what_an_updated_function_is_led_to_is_ready_before() {
    let before = chat() + NEXT;
    let more = "  More:\n    Type: AWS::DynamoDB::Table\n    Properties:\n      BillingMode: PAY_PER_REQUEST\n      KeySchema: [{AttributeName: id, KeyType: HASH}]\n      AttributeDefinitions: [{AttributeName: id, AttributeType: S}]\n";
    let after = before.replace("table: !Ref Rows", "table: !Ref More") + more;
    let plan = planned(&after, &up(&stack(&before)));
    let (next, table) = (index(&plan, "~ Next"), index(&plan, "+ More"));
    assert!(plan.steps[next].ready.contains(&table));
}

#[test]
fn a_right_is_there_in_its_new_place_before_it_goes_from_the_old_one() {
    let document = r#"{Version: '2012-10-17', Statement: {Effect: Allow, Action: "dynamodb:*", Resource: "*"}}"#;
    let trust = "{Effect: Allow, Action: sts:AssumeRole, Principal: {Service: lambda.amazonaws.com}}\n  NextRights";
    let inline = trust.replace(
        "\n  NextRights",
        &format!("\n      Policies: [{{PolicyName: rows, PolicyDocument: {document}}}]\n  NextRights"),
    );
    let before = (chat() + NEXT).replace(trust, &inline);
    for type_name in ["AWS::IAM::Policy", "AWS::IAM::ManagedPolicy"] {
        let name = if type_name == "AWS::IAM::Policy" { "PolicyName" } else { "ManagedPolicyName" };
        let moved = format!(
            "{}  Moved:\n    Type: {type_name}\n    Properties: {{{name}: rows, Roles: [!Ref NextRole], PolicyDocument: {document}}}\n",
            chat() + NEXT
        );
        let plan = planned(&moved, &up(&stack(&before)));
        assert!(waits(&plan, index(&plan, "~ NextRole"), index(&plan, "+ Moved")), "{type_name}");
    }
    let renamed = (chat() + NEXT).replace("PolicyName: rights", "PolicyName: other");
    let plan = planned(&renamed, &up(&stack(&(chat() + NEXT))));
    let goes =
        plan.steps.iter().position(|step| step.type_name == inline_policy::TYPE && step.action == Action::Delete);
    assert!(goes.is_none_or(|goes| waits(&plan, goes, index(&plan, "+ NextRights"))), "{:?}", acts(&plan));
}

#[test]
fn what_may_not_be_used_any_more_has_its_successor_before() {
    let exact = (chat() + NEXT)
        .replace(r#"Action: "dynamodb:*", Resource: "*""#, "Action: 'dynamodb:*', Resource: !GetAtt Rows.Arn");
    let renamed = exact.replace("Rows", "Lines");
    let plan = planned(&renamed, &up(&stack(&exact)));
    let (rights, table) = (index(&plan, "~ NextRights"), index(&plan, "+ Lines"));
    assert!(plan.steps[rights].ready.contains(&table), "{:?}", acts(&plan));
}

#[test]
fn what_was_served_goes_after_a_drain_and_what_was_not_at_once() {
    let unused = NEXT.replace("Next", "Unused").replace("Rows", "Unused2");
    let before = up(&stack(&(chat() + &unused)));
    let gone = without(&moved(), &["Send", "Role", "Table", "Permission"]);
    let plan = planned(&gone, &before);
    for (act, drains) in [
        ("- Send", true),
        ("- Role", true),
        ("- Table", true),
        ("- Unused", false),
        ("- UnusedRole", false),
        ("- Unused2", false),
    ] {
        let drain = plan.steps[index(&plan, act)].drain.as_ref();
        assert_eq!(drain.is_some(), drains, "{act}");
        if let Some(drain) = drain {
            assert_eq!(drain.duration, Duration::from_secs(29), "{act}");
            assert!(drain.since.contains(&index(&plan, "~ Stage")));
        }
    }
    let integration =
        plan.steps.iter().find(|step| step.type_name == integration::TYPE && step.action == Action::Delete);
    assert!(integration.unwrap().drain.is_some());
    assert!(plan.clone().without_drain().steps.iter().all(|step| step.drain.is_none()));
    // As long as a message may take, and no longer.
    let quick =
        |text: &str| text.replace("IntegrationType: AWS_PROXY", "TimeoutInMillis: 2000, IntegrationType: AWS_PROXY");
    let plan = planned(&quick(&gone), &up(&stack(&quick(&chat()))));
    assert_eq!(plan.drain(), Some(Duration::from_secs(2)));
    // Where nothing that is served changes, nothing was led to what goes.
    let plan = planned(&chat(), &up(&stack(&(chat() + NEXT))));
    assert_eq!((plan.drain(), plan.is_empty()), (None, false));
}

#[test]
fn a_policy_stays_on_a_role_that_goes() {
    let shared = NEXT.replace("Roles: [!Ref NextRole]", "Roles: [!Ref NextRole, !Ref Role]");
    let before = up(&stack(&(chat() + &shared)));
    let renamed = without(&(chat() + &shared), &["Role"]).replace("!GetAtt Role.Arn", "!GetAtt NextRole.Arn");
    let plan = planned(&renamed.replace(", !Ref Role]", "]"), &before);
    let rights = &plan.steps[index(&plan, "~ NextRights")];
    assert_eq!(rights.type_name, inline_policy::TYPE);
    assert_eq!(rights.desired.as_ref().unwrap().properties["Roles"].as_array().unwrap().len(), 2);
}

#[test]
fn the_templates_own_order_wins_and_the_plan_says_so() {
    let before = up(&stack(&chat()));
    let late = moved().replace("  NextPermission:\n", "  NextPermission:\n    DependsOn: Stage\n");
    let plan = planned(&late, &before);
    assert!(waits(&plan, index(&plan, "+ NextPermission"), index(&plan, "~ Stage")));
    assert_eq!(
        interruptions(&plan),
        ["Stage: clients reach NextPermission before it exists: the template makes NextPermission wait for Stage"]
    );
}

/// The rows of docs/no-interruption.md that a plan can tell.
#[test]
fn what_interrupts_is_told_and_what_does_not_is_not() {
    let next = chat() + NEXT;
    let code = |text: &str, digest: &str, live: &[Live]| {
        let code = [("Send".to_owned(), digest.to_owned())].into();
        diff(&stack(text), live, &PlanOptions { code, ..PlanOptions::default() }).unwrap()
    };
    let mut built = up(&stack(&next));
    for live in built.iter_mut().filter(|live| live.type_name == function::TYPE) {
        live.properties["CodeSha256"] = Value::from("old");
    }
    let told = |text: &str| interruptions(&planned(text, &built));
    let quiet = [""; 0];
    assert_eq!(told(&(moved())), quiet);
    assert_eq!(told(&without(&moved(), &["Send", "Permission"])), quiet, "nothing else invoked it");
    assert_eq!(
        told(&without(&next, &["Permission"])),
        ["Permission: apigateway.amazonaws.com may not invoke chat-Send-5b4dbb55 any more"]
            .map(|text| text.replace("chat-Send-5b4dbb55", built_name(&built, "Send")))
    );
    assert_eq!(told(&next.replace("${Api}/*", "${Api}/live/*")), quiet, "a new permission before the old one goes");
    assert_eq!(told(&next.replace("      Code: ./send", "      Code: ./send\n      FunctionName: other")), quiet);
    let by_variable = next
        .replace("${Send.Arn}", "arn:aws:lambda:${AWS::Region}:${AWS::AccountId}:function:${!stageVariables.fn}")
        .replace("StageName: live", "StageName: live, StageVariables: {fn: !Ref Send}");
    let other = by_variable.replace("      Code: ./send", "      Code: ./send\n      FunctionName: other");
    assert_eq!(interruptions(&planned(&other, &up(&stack(&by_variable)))), quiet, "the variable leads to it");
    assert_eq!(told(&next.replace("  Role:\n", "  Role2:\n").replace("!GetAtt Role.", "!GetAtt Role2.")), quiet);
    assert_eq!(told(&next.replace("      Code: ./send", "      Code: ./send\n      MemorySize: 512")), quiet);
    assert_eq!(interruptions(&code(&next, "new", &built)), quiet);
    let handler = next.replacen("Handler: bootstrap", "Handler: other", 1);
    let both = interruptions(&code(&handler, "new", &built));
    assert!(both[0].starts_with("Send: its old code runs with the new Handler until"), "{both:?}");
    assert_eq!(interruptions(&code(&handler, "old", &built)), quiet);
    assert_eq!(
        told(&next.replace("StageName: live", "StageName: other")),
        ["Stage: every connection of the stage closes, and its URI answers no more"]
    );
    assert_eq!(
        told(&without(&next, &["SendRoute"]))[0].split(": ").nth(1),
        Some("messages of \"send\" go to $default, if there is one")
    );
    let named = next.replacen(
        "  Role:\n    Type: AWS::IAM::Role\n    Properties:",
        "  Role:\n    Type: AWS::IAM::Role\n    Properties:\n      RoleName: runs",
        1,
    );
    let plan = planned(&named.replace("RoleName: runs", "RoleName: runs\n      Path: /below/"), &up(&stack(&named)));
    assert_eq!(
        interruptions(&plan),
        ["Role: functions with this role fail until it exists again and Lambda can assume it"]
    );
    let rekeyed = next.replacen("AttributeName: id,", "AttributeName: key,", 1).replacen(
        "AttributeName: id, A",
        "AttributeName: key, A",
        1,
    );
    let options = PlanOptions { allow_data_loss: ["Table".to_owned()].into(), ..PlanOptions::default() };
    let plan = diff(&stack(&rekeyed), &built, &options).unwrap();
    assert!(
        interruptions(&plan)[0].starts_with("Table: the new table begins without the rows of"),
        "{:?}",
        interruptions(&plan)
    );
    // A role that may less while the code that may have used it still runs.
    let narrow = next.replace("Action: \"dynamodb:*\"", "Action: \"dynamodb:GetItem\"");
    assert_eq!(told(&narrow), quiet, "it is what the template asks for");
    let narrow = narrow.replacen("      Code: ./next", "      Code: ./next\n      MemorySize: 512", 1);
    assert_eq!(
        told(&narrow),
        ["NextRights: may no longer dynamodb:* on *, although the old code of Next may still need it"]
    );
}

fn built_name<'a>(live: &'a [Live], id: &str) -> &'a str {
    let is_it = |live: &&Live| live.logical_id.as_deref() == Some(id);
    &live.iter().find(is_it).unwrap().physical_id
}

#[test]
fn a_stage_that_follows_its_api_is_waited_for_by_its_routes() {
    let follows =
        |text: &str| without(text, &["Deployment"]).replace("DeploymentId: !Ref Deployment", "AutoDeploy: true");
    let plan = planned(&follows(&without(&moved(), &["ConnectRoute"])), &up(&stack(&follows(&chat()))));
    let route = index(&plan, "~ SendRoute");
    for name in ["+ Next", "+ NextPermission", "+ NextRights"] {
        assert!(plan.steps[route].ready.contains(&index(&plan, name)), "{name}");
    }
    let gone = plan
        .steps
        .iter()
        .position(|step| step.type_name == crate::core::types::route::TYPE && step.action == Action::Delete);
    assert!(waits(&plan, gone.unwrap(), route), "{:?}", acts(&plan));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(40))]

    /// Whatever a template has wait for what: no plan has a circle, and a stage that exists waits for all that is made
    /// or says why not.
    #[test]
    fn no_order_of_a_template_makes_a_circle(pairs in prop::collection::vec((0_usize..32, 0_usize..32), 0..6)) {
        let text = without(&moved(), &["Send", "Role", "Permission"]);
        let names: Vec<String> = stack(&text).resources.keys().cloned().collect();
        let mut asked: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
        for (from, to) in pairs {
            asked.entry(&names[from % names.len()]).or_default().insert(&names[to % names.len()]);
        }
        let mut changed = text.clone();
        for (from, on) in &asked {
            let on: Vec<&str> = on.iter().copied().collect();
            let head = format!("  {from}:\n");
            changed = changed.replacen(&head, &format!("{head}    DependsOn: [{}]\n", on.join(", ")), 1);
        }
        let scope = stack(&text).scope;
        // What goes round in the template itself is refused.
        let Ok(desired) = crate::core::stack::load(changed.as_bytes(), &BTreeMap::new(), &scope) else {
            return Ok(());
        };
        let plan = diff(&desired, &up(&stack(&chat())), &PlanOptions::default()).unwrap();
        let mut left: BTreeSet<usize> = (0..plan.steps.len()).collect();
        loop {
            let free: Vec<usize> =
                left.iter().copied().filter(|step| plan.steps[*step].after.is_disjoint(&left)).collect();
            if free.is_empty() {
                break;
            }
            left.retain(|step| !free.contains(step));
        }
        prop_assert!(left.is_empty(), "a circle of {:?}", left.iter().map(|step| &plan.steps[*step].name).collect::<Vec<_>>());
        let moves = index(&plan, "~ Stage");
        for (at, step) in plan.steps.iter().enumerate() {
            let led_to = [function::TYPE, permission::TYPE, role::TYPE, inline_policy::TYPE, table::TYPE, alias::TYPE];
            if step.action == Action::Create && led_to.contains(&step.type_name) {
                let told = plan.steps[moves].unready_targets.contains(&at);
                prop_assert!(waits(&plan, moves, at) || told, "{} is led to too soon", step.name);
            }
        }
        prop_assert_eq!(plan.steps[moves].type_name, stage::TYPE);
    }
}
