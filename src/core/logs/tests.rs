//! Lines as Lambda, its runtimes and the local cloud write them, and what they are read as.

use serde_json::json;

use super::gateway::{AccessFormat, GatewayLine};
use super::*;

fn function() -> Function {
    Function {
        name: "Connect".to_owned(),
        folder: "connect".to_owned(),
        runtime: "nodejs22.x".to_owned(),
        handler: "index.handler".to_owned(),
        timeout: Some(3),
        memory: Some(128),
        role: Some("ConnectRole".to_owned()),
    }
}

/// Everything that a stream of these messages is read as, without the platform's lines.
fn read(messages: &[&str]) -> Vec<Item> {
    let mut reader = Reader::new(function());
    let mut items: Vec<Item> = messages.iter().flat_map(|message| reader.read(message)).collect();
    items.extend(reader.flush());
    items.retain(|item| !matches!(item, Item::Platform(_)));
    items
}

fn failure(messages: &[&str]) -> Failure {
    match read(messages).pop() {
        Some(Item::Failure(failure)) => failure,
        other => panic!("{other:?} of {messages:?}"),
    }
}

fn places(failure: &Failure) -> Vec<String> {
    failure.stack.iter().map(StackFrame::place).collect()
}

const ID: &str = "79b4f56e-95b1-4643-9700-2807f4e68189";

#[test]
fn lambdas_own_lines_are_read_with_their_fields() {
    let report = Report {
        request_id: ID.to_owned(),
        duration: 34.57,
        init_duration: Some(172.09),
        memory: 128,
        memory_used: Some(69),
        failed: None,
        error_type: None,
    };
    let id = ID.to_owned();
    let table = [
        (format!("START RequestId: {ID} Version: $LATEST\n"), Platform::Start { request_id: id.clone(), version: "$LATEST".into() }),
        (format!("END RequestId: {ID}\n"), Platform::End { request_id: id.clone() }),
        (
            format!("REPORT RequestId: {ID}\tDuration: 34.57 ms\tBilled Duration: 207 ms\tMemory Size: 128 MB\tMax Memory Used: 69 MB\tInit Duration: 172.09 ms\t\nXRAY TraceId: 1-5e34a614-10bdxmplf1fb44f07bc535a1\tSegmentId: 07f5xmpl2d1f6f85\tSampled: true\t\n"),
            Platform::Report(report.clone()),
        ),
        (
            format!("REPORT RequestId: {ID}\tDuration: 3000.00 ms\tBilled Duration: 3000 ms\tMemory Size: 128 MB\tMax Memory Used: 30 MB\tStatus: timeout"),
            Platform::Report(Report {
                duration: 3000.0,
                init_duration: None,
                memory_used: Some(30),
                failed: Some("timeout".into()),
                ..report.clone()
            }),
        ),
        (
            "INIT_START Runtime Version: python:3.12.v36\tRuntime Version ARN: arn:aws:lambda:us-east-1::runtime:188d\n".to_owned(),
            Platform::InitStart { runtime: "python:3.12.v36".into() },
        ),
        (
            "INIT_REPORT Init Duration: 318.67 ms\tPhase: invoke\tStatus: error\tError Type: Runtime.ExitError\n".to_owned(),
            Platform::InitReport {
                phase: "invoke".into(),
                status: "error".into(),
                error_type: Some("Runtime.ExitError".into()),
                milliseconds: 318.67,
            },
        ),
        (
            format!(r#"{{"time":"2026-03-13T18:56:24.046Z","type":"platform.start","record":{{"requestId":"{ID}","version":"$LATEST"}}}}"#),
            Platform::Start { request_id: id.clone(), version: "$LATEST".into() },
        ),
        (
            format!(r#"{{"time":"2026-03-13T18:56:24.046Z","type":"platform.report","record":{{"requestId":"{ID}","metrics":{{"durationMs":34.57,"billedDurationMs":207,"memorySizeMB":128,"maxMemoryUsedMB":69,"initDurationMs":172.09}},"status":"success"}}}}"#),
            Platform::Report(report.clone()),
        ),
    ];
    for (message, expected) in table {
        assert_eq!(Reader::new(function()).read(&message).last(), Some(&Item::Platform(expected)), "{message}");
    }
    for message in
        ["EXTENSION\tName: agent\tState: Ready\tEvents: [INVOKE]", "LAMBDA_WARNING: Unhandled exception. The most"]
    {
        let items = Reader::new(function()).read(message);
        assert!(matches!(items.as_slice(), [Item::Platform(Platform::Other(_))]), "{message}");
    }
}

#[test]
fn output_is_given_without_the_prefix_of_its_runtime() {
    let table = [
        (format!("2026-05-04T10:00:00.123Z\t{ID}\tINFO\thello\tthere\n"), Some(Level::Info), "hello\tthere", true),
        ("2026-05-04T10:00:00.123Z\tundefined\tWARN\tloaded\n".into(), Some(Level::Warn), "loaded", false),
        (
            format!(
                "2026-05-04T10:00:00.123Z\t{ID}\tERROR\tError: x\n    at f (/var/task/lib/a.js:1:7)\n    at node:internal/main:3:1\n"
            ),
            Some(Level::Error),
            "Error: x\n    at f (connect/lib/a.js:1:7)",
            true,
        ),
        (format!("[WARNING]\t2026-05-04T10:00:00.123Z\t{ID}\tlow on disk\n"), Some(Level::Warn), "low on disk", true),
        ("printed\n".into(), None, "printed", false),
        (
            format!(
                "2026-05-04T10:00:00.123Z\t{ID}\tERROR\t(node:8) [DEP0040] DeprecationWarning: The `punycode` module\n"
            ),
            Some(Level::Warn),
            "(node:8) [DEP0040] DeprecationWarning: The `punycode` module",
            true,
        ),
        (
            "(Use `node --trace-warnings ...` to show where the warning was created)".into(),
            Some(Level::Warn),
            "(Use `node --trace-warnings ...` to show where the warning was created)",
            false,
        ),
        (
            format!("2026-05-04T10:00:00.123Z\t{ID}\tERROR\t(node) is down\n"),
            Some(Level::Error),
            "(node) is down",
            true,
        ),
        ("[not a level] x\n".into(), None, "[not a level] x", false),
        ("{not json}".into(), None, "{not json}", false),
        (r#"{"of":"the user's"}"#.into(), None, r#"{"of":"the user's"}"#, false),
        (
            format!(
                r#"{{"timestamp":"2026-05-04T10:00:00.123Z","level":"INFO","requestId":"{ID}","message":"hello"}}"#
            ),
            Some(Level::Info),
            "hello",
            true,
        ),
        (
            format!(
                r#"{{"timestamp":"2026-05-04T10:00:00Z","level":"INFO","message":{{"a":1}},"requestId":"{ID}","table":"t"}}"#
            ),
            Some(Level::Info),
            r#"{"a":1} table=t"#,
            true,
        ),
        (
            format!(
                r#"{{"timestamp":"2026-05-04T10:00:00Z","level":"WARN","message":"slow","took":3,"span":{{"requestId":"{ID}","name":"Lambda runtime invoke"}}}}"#
            ),
            Some(Level::Warn),
            "slow took=3",
            true,
        ),
        (
            format!(
                "\u{1b}[2m2026-05-04T10:00:00.123456Z\u{1b}[0m \u{1b}[32m INFO\u{1b}[0m Lambda runtime invoke{{requestId=\"{ID}\" xrayTraceId=\"Root=1-5\"}}: chat: hello"
            ),
            Some(Level::Info),
            "chat: hello",
            true,
        ),
        (" INFO chat: starts".into(), Some(Level::Info), "chat: starts", false),
        ("INFORMATION is power".into(), None, "INFORMATION is power", false),
    ];
    for (message, level, text, has_id) in table {
        let expected = Output { level, text: text.to_owned(), request_id: has_id.then(|| ID.to_owned()), help: None };
        assert_eq!(read(&[&message]), [Item::Output(expected)], "{message}");
    }
}

#[test]
fn output_belongs_to_the_invocation_that_runs() {
    let start = format!("START RequestId: {ID} Version: $LATEST");
    let items = read(&[&start, "printed\n"]);
    assert_eq!(items[0].request_id(), Some(ID));
}

#[test]
fn an_error_of_nodejs_has_its_own_frames_and_what_to_do() {
    let document = json!({
        "errorType": "TypeError",
        "errorMessage": "Cannot read properties of undefined (reading 'body')",
        "stack": [
            "TypeError: Cannot read properties of undefined (reading 'body')",
            "    at parse (/var/task/lib/parse.js:12:20)",
            "    at Runtime.handler (/var/task/index.js:4:9)",
            "    at Runtime.handleOnceNonStreaming (file:///var/runtime/index.mjs:1173:29)",
            "    at process.processTicksAndRejections (node:internal/process/task_queues:95:5)",
        ],
    });
    let failure = failure(&[&format!("2026-05-04T10:00:00.123Z\t{ID}\tERROR\tInvoke Error \t{document}\n")]);
    assert_eq!(failure.kind, FailureKind::Exception);
    assert_eq!(failure.error_type, "TypeError");
    assert_eq!(places(&failure), ["connect/lib/parse.js:12:20", "connect/index.js:4:9"]);
    assert_eq!(failure.stack[1].function.as_deref(), Some("handler"));
    assert_eq!(failure.request_id.as_deref(), Some(ID));
    assert_eq!(failure.help, "");
}

#[test]
fn code_without_a_file_system_of_its_own_has_its_own_paths_too() {
    let digest = "0123456789abcdef".repeat(4);
    let stack = format!(
        "Error: x\n    at f (/srv/app/.wschat/local/lambda/code/{digest}/index.js:2:3)\n    at g (/srv/app/.wschat/local/lambda/clients/node.cjs:9:1)"
    );
    let document = json!({ "errorType": "Error", "errorMessage": "x", "stack": stack.lines().collect::<Vec<_>>() });
    let failed = failure(&[&format!("2026-05-04T10:00:00.123Z\t{ID}\tERROR\tInvoke Error \t{document}")]);
    assert_eq!(places(&failed), ["connect/index.js:2:3"]);
    // The runtime's own frames are none of a library's, even where the data folder is below /tmp.
    let stack = ["Error: x", "    at load (/tmp/.x/local/lambda/clients/node.cjs:9:1)"];
    let document = json!({ "errorType": "Error", "errorMessage": "x", "stack": stack });
    let failed = failure(&[&format!("2026-05-04T10:00:00.123Z\t{ID}\tERROR\tInvoke Error \t{document}")]);
    assert_eq!(places(&failed), [] as [String; 0]);
}

#[test]
fn each_kind_of_failure_says_what_to_do() {
    let node = |error_type: &str, message: &str, stack: &[&str]| {
        let document = json!({ "errorType": error_type, "errorMessage": message, "stack": stack });
        format!("2026-05-04T10:00:00.123Z\tundefined\tERROR\tUncaught Exception \t{document}\n")
    };
    let exit = |what: &str| format!("RequestId: {ID} Error: Runtime exited with error: {what}\nRuntime.ExitError");
    let denied = "User: arn:aws:sts::000000000000:assumed-role/chat-ConnectRole-d09a7307/chat-Connect-9c795b73 is not authorized to perform: dynamodb:PutItem on resource: arn:aws:dynamodb:us-east-1:000000000000:table/chat because no identity-based policy allows the dynamodb:PutItem action";
    let python = |head: &str, trace: &str| format!("[ERROR] {head}\nTraceback (most recent call last):\n{trace}");
    let table: &[(String, FailureKind, &str)] = &[
        (
            node("AccessDeniedException", denied, &["AccessDeniedException: x"]),
            FailureKind::AccessDenied,
            "allow dynamodb:PutItem on arn:aws:dynamodb:us-east-1:000000000000:table/chat in a policy of the role ConnectRole",
        ),
        (
            python(
                &format!(
                    "ClientError: An error occurred (AccessDeniedException) when calling the PutItem operation: {denied}"
                ),
                "  File \"/var/task/app.py\", line 5, in handler\n    table.put_item(Item=item)",
            ),
            FailureKind::AccessDenied,
            "allow dynamodb:PutItem on arn:aws:dynamodb:us-east-1:000000000000:table/chat in a policy of the role ConnectRole",
        ),
        (
            format!("2026-05-04T10:00:03.010Z {ID} Task timed out after 3.00 seconds\n\n"),
            FailureKind::Timeout,
            "find out what Connect waits for, or raise its Timeout (now 3 s); it logged nothing",
        ),
        (
            exit("signal: killed"),
            FailureKind::OutOfMemory,
            "raise MemorySize (now 128 MB) of Connect, or have it use less",
        ),
        (
            exit("exit status 1"),
            FailureKind::Exit,
            "the process of Connect ended by itself (process.exit, or a crash), and logged nothing before",
        ),
        (
            node(
                "Runtime.ImportModuleError",
                "Error: Cannot find module '@aws-sdk/client-s3/x'\nRequire stack:\n- /var/task/index.js",
                &[],
            ),
            FailureKind::MissingModule,
            "add the package to connect/package.json: npm install --prefix connect @aws-sdk/client-s3",
        ),
        (
            node(
                "Runtime.ImportModuleError",
                "Error: Cannot find module './helper'\nRequire stack:\n- /var/task/index.js",
                &[],
            ),
            FailureKind::MissingModule,
            "there is no file ./helper: check the path of the import, and that the file is in connect/",
        ),
        (
            python("Runtime.ImportModuleError: Unable to import module 'app': No module named 'requests'", ""),
            FailureKind::MissingModule,
            "add requests (or the package that has it) to connect/requirements.txt",
        ),
        (
            node(
                "Runtime.UserCodeSyntaxError",
                "SyntaxError: Unexpected token ';'",
                &[
                    "Runtime.UserCodeSyntaxError: SyntaxError: Unexpected token ';'",
                    "/var/task/index.js:4",
                    "const x = ;",
                    "          ^",
                    "",
                    "SyntaxError: Unexpected token ';'",
                    "    at wrapSafe (node:internal/modules/cjs/loader:1464:18)",
                ],
            ),
            FailureKind::SyntaxError,
            "correct connect/index.js:4",
        ),
        (
            python(
                "Runtime.UserCodeSyntaxError: Syntax error in module 'app': invalid syntax (app.py, line 3)",
                "\u{a0}\u{a0}File \"/var/task/app.py\" Line 3\n\u{a0}\u{a0}\u{a0}\u{a0}def f(:",
            ),
            FailureKind::SyntaxError,
            "correct connect/app.py:3",
        ),
        (
            node("Runtime.HandlerNotFound", "index.handler is undefined or not exported", &[]),
            FailureKind::HandlerNotFound,
            "export the function that Handler of Connect names (index.handler), or change Handler",
        ),
        (
            format!(
                "RequestId: {ID} Error: Couldn't find valid bootstrap(s): [/var/task/bootstrap /opt/bootstrap]\nRuntime.InvalidEntrypoint"
            ),
            FailureKind::NoEntrypoint,
            "the code of Connect needs an executable file `bootstrap` for Lambda's architecture at its root",
        ),
        (
            python(
                "KeyError: 'body'",
                "\u{a0}\u{a0}File \"/var/task/app.py\", line 5, in handler\n\u{a0}\u{a0}\u{a0}\u{a0}return event['body']",
            ),
            FailureKind::Exception,
            "",
        ),
        (
            format!(
                "2026-05-04T10:00:00.123Z\t{ID}\tERROR\tUnhandled Promise Rejection \t{}",
                json!({
                    "errorType": "Runtime.UnhandledPromiseRejection",
                    "errorMessage": "Error: HelloError",
                    "reason": { "errorType": "Error", "errorMessage": "HelloError" },
                    "stack": ["Runtime.UnhandledPromiseRejection: Error: HelloError", "    at hello (/var/task/index.mjs:2:9)"],
                })
            ),
            FailureKind::UnhandledRejection,
            "await the promise, or catch its error; it comes from connect/index.mjs:2:9",
        ),
    ];
    for (message, kind, help) in table {
        let failure = failure(&[message]);
        assert_eq!((failure.kind, failure.help.as_str()), (*kind, *help), "{message}");
    }
}

#[test]
fn errors_in_json_logs_are_failures() {
    let stack = json!(["Error: x", "    at handler (/var/task/index.js:4:9)"]);
    let nodejs = json!({ "timestamp": "2026-05-04T10:00:00.123Z", "level": "ERROR", "requestId": ID,
        "message": { "errorType": "Error", "errorMessage": "x", "stackTrace": stack } });
    let python = json!({ "timestamp": "2026-05-04T10:00:00Z", "log_level": "ERROR", "errorType": "KeyError", "errorMessage": "'x'",
        "requestId": ID, "stackTrace": ["  File \"/var/task/app.py\", line 5, in handler\n    return event['x']\n"] });
    for (document, place) in [(nodejs, "connect/index.js:4:9"), (python, "connect/app.py:5")] {
        let failure = failure(&[&document.to_string()]);
        assert_eq!(places(&failure), [place]);
        assert_eq!(failure.request_id.as_deref(), Some(ID));
    }
    // What a handler logs itself is its output.
    let logged = json!({ "timestamp": "2026-05-04T10:00:00Z", "level": "ERROR", "message": "caught", "logger": "root", "errorType": "KeyError",
        "errorMessage": "'x'", "requestId": ID, "stackTrace": ["  File \"/var/task/app.py\", line 5, in handler\n"] });
    assert!(matches!(read(&[&logged.to_string()]).as_slice(), [Item::Output(_)]));
    // Lambda's own failures have no other line in JSON.
    let report = json!({ "time": "2026-05-04T10:00:00.123Z", "type": "platform.report", "record": {
        "requestId": ID, "status": "timeout", "metrics": { "durationMs": 3000.0, "memorySizeMB": 128 } } });
    let mut reader = Reader::new(function());
    let items = reader.read(&report.to_string());
    let Some(Item::Failure(failure)) = items.first() else { panic!("{items:?}") };
    assert_eq!((failure.kind, failure.message.as_str()), (FailureKind::Timeout, "Task timed out after 3.00 seconds"));
}

#[test]
fn a_failure_that_is_logged_several_times_is_one() {
    let document = json!({ "errorType": "Runtime.HandlerNotFound", "errorMessage": "index.handler is undefined or not exported", "stack": [] });
    let logged = format!("2026-05-04T10:00:00.123Z\tundefined\tERROR\tUncaught Exception \t{document}\n");
    let messages = [
        "INIT_START Runtime Version: nodejs:22.v1\tRuntime Version ARN: arn".to_owned(),
        logged.clone(),
        "INIT_REPORT Init Duration: 18.67 ms\tPhase: init\tStatus: error\tError Type: Runtime.HandlerNotFound"
            .to_owned(),
        logged,
        "INIT_REPORT Init Duration: 18.67 ms\tPhase: invoke\tStatus: error\tError Type: Runtime.HandlerNotFound"
            .to_owned(),
        format!("START RequestId: {ID} Version: $LATEST"),
        format!("RequestId: {ID} Error: Runtime exited with error: exit status 129\nRuntime.ExitError"),
        format!("END RequestId: {ID}"),
        format!(
            "REPORT RequestId: {ID}\tDuration: 1.00 ms\tBilled Duration: 1 ms\tMemory Size: 128 MB\tStatus: error\tError Type: Runtime.ExitError"
        ),
    ];
    let messages: Vec<&str> = messages.iter().map(String::as_str).collect();
    let items = read(&messages);
    let [Item::Failure(failure)] = items.as_slice() else { panic!("{items:?}") };
    // It made the invocation fail that came with it.
    assert_eq!((failure.kind, failure.request_id.as_deref()), (FailureKind::HandlerNotFound, Some(ID)));
    // The next invocation fails again.
    assert_eq!(read(&[messages.as_slice(), messages.as_slice()].concat()).len(), 2);
}

#[test]
fn the_lines_of_a_panic_are_one_failure_with_its_place() {
    let start = format!("START RequestId: {ID} Version: $LATEST");
    let new = [
        start.as_str(),
        "thread 'main' panicked at src/main.rs:12:5:\n",
        "index out of bounds: the len is 0 but the index is 3\n",
        "note: run with `RUST_BACKTRACE=1` environment variable to display a backtrace\n",
    ];
    let old = [
        start.as_str(),
        "thread 'main' panicked at 'index out of bounds: the len is 0 but the index is 3', src/main.rs:12:5\n",
    ];
    for messages in [&new[..], &new[..3], &old[..]] {
        let failure = failure(messages);
        assert_eq!(failure.kind, FailureKind::Panic);
        assert_eq!(failure.message, "index out of bounds: the len is 0 but the index is 3");
        assert_eq!(places(&failure), ["src/main.rs:12:5"]);
        assert_eq!(failure.help, "");
        assert_eq!(failure.request_id.as_deref(), Some(ID));
    }
    // With `panic = "abort"` the process ends: no second failure.
    let abort = format!("RequestId: {ID} Error: Runtime exited with error: signal: aborted\nRuntime.ExitError");
    assert_eq!(read(&[&new[..], &[abort.as_str()]].concat()).len(), 1);
}

#[test]
fn a_caught_refusal_of_aws_says_what_is_missing() {
    let line = format!(
        "2026-05-04T10:00:00.123Z\t{ID}\tERROR\tfailed: User: arn:aws:sts::1:assumed-role/other/f is not authorized to perform: sqs:SendMessage"
    );
    let items = read(&[&line]);
    let [Item::Output(output)] = items.as_slice() else { panic!("{items:?}") };
    assert_eq!(output.help.as_deref(), Some("allow sqs:SendMessage in a policy of the role other"));
}

#[test]
fn an_access_log_in_json_tells_of_refusals() {
    let format = r#"{"id":"$context.requestId","route":"$context.routeKey","who":"$context.connectionId","status":$context.status,"why":"$context.integrationErrorMessage","call":"$context.integration.requestId"}"#;
    let format = AccessFormat::parse(format).unwrap();
    let line = r#"{"id":"a=","route":"hello","who":"C=","status":500,"why":"Invalid permissions on Lambda function","call":"-"}"#;
    let Some(GatewayLine::Refusal(refusal)) = format.read(line) else { panic!("{:?}", format.read(line)) };
    assert_eq!((refusal.status, refusal.route.as_deref(), refusal.connection_id.as_str()), (500, Some("hello"), "C="));
    assert_eq!(refusal.reason, "Invalid permissions on Lambda function");
    let line = r#"{"id":"a=","route":"hello","who":"C=","status":200,"why":"-","call":"r"}"#;
    let Some(GatewayLine::Invocation(invocation)) = format.read(line) else { panic!("{:?}", format.read(line)) };
    assert_eq!((invocation.route.as_str(), invocation.request_id.as_str()), ("hello", "r"));
    assert_eq!(AccessFormat::parse("$context.requestId $context.status"), None);
}

#[test]
fn no_message_makes_it_panic() {
    let long = "é".repeat(3000);
    for message in [
        "",
        "\n",
        "[",
        "[]",
        "{",
        "{}",
        "[ERROR]",
        "[ERROR] ",
        "RequestId: ",
        "thread '",
        "a\tb\tc",
        " ",
        "at (",
        &long,
        "File \"",
        "\u{1b}[",
    ] {
        let mut reader = Reader::new(function());
        reader.read(message);
        reader.flush();
    }
}
