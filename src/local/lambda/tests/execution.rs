//! Tests of execution with real processes.

use std::os::unix::fs::PermissionsExt;

use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::*;
#[cfg(target_os = "linux")]
use crate::local::context::ports::Apis;
use crate::local::context::ports::Functions;

#[tokio::test]
async fn an_invocation_passes_the_event_and_returns_the_result() {
    let cloud = Cloud::new();
    cloud.create(json!({})).await.unwrap();
    let event = json!({ "text": "Grüße", "list": [1, null] });
    let response = cloud.invoke(event.clone()).await.unwrap();
    assert_eq!(response.status, 200);
    assert_eq!(response.headers["x-amz-executed-version"], "$LATEST");
    assert_eq!(serde_json::from_slice::<Value>(&response.body).unwrap(), event);
    let nothing = cloud.send(Method::POST, "/2015-03-31/functions/chat/invocations", &[], Vec::new()).await.unwrap();
    assert_eq!(nothing.body, "{}");
    let invoked = Functions::invoke(&*cloud.lambda, ARN, "r", "\"hello\"".into(), "cause").await.unwrap();
    assert_eq!(
        (invoked.payload, invoked.function_error, invoked.version),
        ("\"hello\"".into(), None, "$LATEST".to_owned())
    );
}

#[tokio::test]
async fn invocations_and_their_log_lines_are_recorded() {
    let cloud = Cloud::new();
    cloud.create(json!({})).await.unwrap();
    let event = json!({ "do": "print", "text": "a line" }).to_string();
    let recorded = || {
        let news = cloud.context.recorder.since(0, 1000);
        news.events.iter().map(|event| serde_json::to_value(event).unwrap()).collect::<Vec<Value>>()
    };
    Functions::invoke(&*cloud.lambda, ARN, "r", event.clone().into(), "cause").await.unwrap();
    cloud.failure(json!({ "do": "exit", "status": 3 })).await;
    let all = recorded();
    let of = |kind: &str| all.iter().filter(|event| event["type"] == kind).cloned().collect::<Vec<Value>>();
    let [first, second] = &of("invoked")[..] else { panic!("{all:?}") };
    assert_eq!((&first["cause"], &first["cold"], &first["function"]), (&json!("cause"), &json!(true), &json!("chat")));
    assert_eq!(first["event"], json!({ "text": event, "size": event.len() }));
    assert_eq!((&second["cause"], &second["cold"]), (&Value::Null, &json!(false)));
    let [succeeded, failed] = &of("returned")[..] else { panic!("{all:?}") };
    assert_eq!((&succeeded["invocation"], &succeeded["status"]), (&first["invocation"], &json!("success")));
    assert!(succeeded["init"].is_number() && succeeded["memory"] == 128, "{succeeded}");
    assert_eq!((&failed["status"], &failed["errorType"]), (&json!("error"), &json!("Runtime.ExitError")));
    let logged = |invocation: &Value| {
        let lines = of("logged").into_iter().filter(|event| event["invocation"] == *invocation);
        lines.map(|event| event["text"]["text"].as_str().unwrap().to_owned()).collect::<Vec<_>>().join("\n")
    };
    let said = logged(&first["invocation"]);
    assert!(said.contains("a line") && said.contains("to stderr") && !said.contains("REPORT"), "{said}");
    assert!(logged(&second["invocation"]).contains("Runtime exited with error: exit status 3"), "{all:?}");
}

#[tokio::test]
async fn a_wrapper_starts_a_managed_runtime() {
    let cloud = Cloud::new();
    let wrapper = "#!/bin/sh\nexport WRAPPED=\"$#:$(basename \"$1\" | cut -c1-6)\"\nexec \"$@\"\n";
    let mut files = ZipWriter::new(Cursor::new(Vec::new()));
    for (name, text) in [
        ("wrap", wrapper),
        ("main.py", "import os\ndef handler(event, context):\n    return os.environ.get('WRAPPED')\n"),
    ] {
        files.start_file(name, SimpleFileOptions::default().unix_permissions(0o755)).unwrap();
        files.write_all(text.as_bytes()).unwrap();
    }
    let code = json!({ "ZipFile": BASE64_STANDARD.encode(files.finish().unwrap().into_inner()) });
    let variables = json!({ "Variables": { "AWS_LAMBDA_EXEC_WRAPPER": "/var/task/wrap" } });
    let managed = json!({
        "Runtime": "python3.13", "Handler": "main.handler", "Code": code, "Environment": variables,
    });
    cloud.create(managed).await.unwrap();
    assert_eq!(cloud.result(json!({})).await, "7:python");

    // Custom runtimes start without a wrapper.
    cloud.call(Method::DELETE, "/2015-03-31/functions/chat", Value::Null).await.unwrap();
    cloud.create(json!({ "Environment": variables })).await.unwrap();
    assert_eq!(cloud.result(json!({ "do": "version" })).await, "one");

    cloud.call(Method::DELETE, "/2015-03-31/functions/chat", Value::Null).await.unwrap();
    let missing = json!({ "Variables": { "AWS_LAMBDA_EXEC_WRAPPER": "/opt/missing" } });
    cloud.create(json!({ "Runtime": "python3.13", "Handler": "main.handler", "Environment": missing })).await.unwrap();
    let failure = cloud.failure(json!({})).await;
    assert!(failure["errorMessage"].as_str().unwrap().contains("/opt/missing: no such file or directory"), "{failure}");
}

#[tokio::test]
async fn pythons_bytecode_is_stored_outside_the_read_only_code() {
    let cloud = Cloud::new();
    let main = "import sys, other\ndef handler(event, context):\n    return [other.__spec__.cached, len(sys.argv)]\n";
    let mut files = ZipWriter::new(Cursor::new(Vec::new()));
    for (name, text) in [("main.py", main), ("other.py", "")] {
        files.start_file(name, SimpleFileOptions::default()).unwrap();
        files.write_all(text.as_bytes()).unwrap();
    }
    let code = json!({ "ZipFile": BASE64_STANDARD.encode(files.finish().unwrap().into_inner()) });
    let python = json!({ "Runtime": "python3.13", "Handler": "main.handler", "Code": code });
    cloud.create(python).await.unwrap();
    let result = cloud.result(json!({})).await;
    let kept = std::path::Path::new(result[0].as_str().unwrap());
    let bytecode = super::super::folder(cloud.context.store.folder()).join("bytecode");
    assert!(kept.starts_with(bytecode) && kept.is_file(), "{}", kept.display());
    assert_eq!(result[1], 1);
}

#[tokio::test]
async fn one_environment_takes_one_invocation_at_a_time() {
    let cloud = Cloud::new();
    cloud.create(json!({})).await.unwrap();
    let first = cloud.result(json!({ "do": "pid" })).await;
    for _ in 0..5 {
        assert_eq!(cloud.result(json!({ "do": "pid" })).await, first, "a warm environment is used again");
    }
    let (slept, other) = tokio::join!(
        cloud.result(json!({ "do": "sleep", "seconds": 1 })),
        // Polled second, so the warm environment is taken.
        cloud.result(json!({ "do": "pid" })),
    );
    assert_eq!(slept, "slept");
    assert_ne!(other, first);
}

#[tokio::test]
async fn the_environment_has_lambdas_variables_and_none_of_the_machines() {
    let cloud = Cloud::new();
    cloud.create(json!({ "Environment": { "Variables": { "TABLE": "connections" } } })).await.unwrap();
    let variables = cloud.result(json!({ "do": "env" })).await;
    for (name, value) in [
        ("TABLE", "connections"),
        ("_HANDLER", "bootstrap"),
        ("AWS_REGION", "us-east-1"),
        ("AWS_DEFAULT_REGION", "us-east-1"),
        ("AWS_LAMBDA_FUNCTION_NAME", "chat"),
        ("AWS_LAMBDA_FUNCTION_VERSION", "$LATEST"),
        ("AWS_LAMBDA_FUNCTION_MEMORY_SIZE", "128"),
        ("AWS_LAMBDA_LOG_GROUP_NAME", "/aws/lambda/chat"),
        ("AWS_LAMBDA_INITIALIZATION_TYPE", "on-demand"),
        ("AWS_ACCESS_KEY_ID", "key of arn:aws:iam::000000000000:role/chat"),
        ("AWS_SECRET_ACCESS_KEY", "secret"),
        ("AWS_SESSION_TOKEN", "session chat"),
        ("AWS_ENDPOINT_URL", "http://127.0.0.1:4321"),
        ("TZ", ":UTC"),
    ] {
        assert_eq!(variables[name], value, "{name}");
    }
    let bundle = cloud.context.ca_bundle.display().to_string();
    for name in ["SSL_CERT_FILE", "AWS_CA_BUNDLE", "NODE_EXTRA_CA_CERTS", "REQUESTS_CA_BUNDLE"] {
        assert_eq!(variables[name], bundle, "{name}");
    }
    for name in ["_WSCHAT_APIS", "CARGO", "CARGO_MANIFEST_DIR", "USER", "AWS_EXECUTION_ENV"] {
        assert!(variables.get(name).is_none(), "{name}");
    }
}

#[cfg(target_os = "linux")]
#[tokio::test]
async fn a_function_has_a_file_system_of_its_own() {
    let cloud = Cloud::new();
    cloud.lambda.set_apis(Arc::downgrade(&OneApi::shared()));
    if !cloud.lambda.executor.isolates().await {
        eprintln!("this system gives functions no file system of their own");
        return;
    }
    cloud.create(json!({})).await.unwrap();
    let variables = cloud.result(json!({ "do": "env" })).await;
    assert_eq!((&variables["HOME"], &variables["TMPDIR"]), (&json!("/tmp"), &json!("/tmp")));
    assert_eq!(variables["LAMBDA_TASK_ROOT"], "/var/task");
    // Files are shared with other versions, so they must not be writable.
    assert_eq!(cloud.result(json!({ "do": "folder" })).await, json!(["/var/task", 0o555]));

    // The code is protected even from a function that runs as root.
    assert_eq!(cloud.sh("head -1 /var/task/bootstrap").await, "#!/usr/bin/env python3\n");
    for file in ["/var/task/new", "/var/task/bootstrap", "/var/new"] {
        let said = cloud.sh(&format!("LC_ALL=C; echo x > {file}")).await;
        assert!(said.contains("Read-only file system"), "{said}");
    }

    // Only entries of the machine's /tmp that the cloud needs are visible.
    let data = cloud.context.store.folder().strip_prefix("/tmp").ok();
    let data = data.and_then(|data| data.iter().next()).map(|name| format!("{}\n", name.to_str().unwrap()));
    assert_eq!(cloud.sh("ls -A /tmp").await, data.clone().unwrap_or_default());
    assert_eq!(cloud.sh("echo mine > /tmp/mine; cat /tmp/mine").await, "mine\n");
    let (slept, other) = tokio::join!(
        cloud.result(json!({ "do": "sleep", "seconds": 1 })),
        // Polled second, so it gets an environment of its own.
        cloud.sh("ls -A /tmp"),
    );
    assert_eq!((slept, other), (json!("slept"), data.unwrap_or_default()));
    assert!(!std::path::Path::new("/tmp/mine").exists());

    // Its size limit is the function's ephemeral storage.
    let said = cloud.sh("fallocate -l 500M /tmp/most && rm /tmp/most && LC_ALL=C fallocate -l 513M /tmp/full").await;
    assert!(said.contains("No space left on device"), "{said}");
    let target = "/2015-03-31/functions/chat/configuration";
    cloud.call(Method::PUT, target, json!({ "EphemeralStorage": { "Size": 600 } })).await.unwrap();
    assert_eq!(cloud.sh("df -m --output=size /tmp | tail -1").await.trim(), "600");

    // An API's AWS host name resolves to an address without a server, and the failure is explained once.
    let connect =
        "python3 -c 'import socket; socket.create_connection((\"abc123.execute-api.us-east-1.amazonaws.com\", 443))'";
    for _ in 0..2 {
        let said = cloud.sh(connect).await;
        assert!(said.contains("Connection refused") || said.contains("ConnectionRefused"), "{said}");
    }
    let explained =
        "wschat: an executable that builds the address https://abc123.execute-api.us-east-1.amazonaws.com itself ";
    let logged = cloud.logged();
    assert_eq!(logged.iter().filter(|line| line.starts_with(explained)).count(), 1, "{logged:?}");
}

#[tokio::test]
async fn without_namespaces_a_function_has_its_own_folder_and_write_protected_code() {
    let cloud = Cloud::new();
    cloud.lambda.executor.without_isolation();
    cloud.create(json!({})).await.unwrap();
    let variables = cloud.result(json!({ "do": "env" })).await;
    assert_eq!(variables["HOME"], variables["TMPDIR"]);
    let lambda = super::super::folder(cloud.context.store.folder());
    assert!(std::path::Path::new(variables["TMPDIR"].as_str().unwrap()).starts_with(lambda.join("tmp")));
    let root = variables["LAMBDA_TASK_ROOT"].as_str().unwrap();
    assert!(std::path::Path::new(root).starts_with(lambda.join("contents")), "{root}");
    assert_eq!(cloud.result(json!({ "do": "folder" })).await, json!([root, 0o555]));
    let mode = || std::fs::metadata(root).unwrap().permissions().mode() & 0o222;
    assert_eq!(mode(), 0);
    cloud.call(Method::DELETE, "/2015-03-31/functions/chat", Value::Null).await.unwrap();
    cloud.environments(0).await;
    assert_eq!(mode(), 0o200, "who deletes the data folder is not in its way");
}

#[cfg(target_os = "linux")]
#[tokio::test]
async fn only_the_functions_own_process_can_call_the_runtime_api() {
    let cloud = Cloud::new();
    cloud.create(json!({})).await.unwrap();
    let variables = cloud.result(json!({ "do": "env" })).await;
    let address = variables["AWS_LAMBDA_RUNTIME_API"].as_str().unwrap();
    let mut stream = tokio::net::TcpStream::connect(address).await.unwrap();
    let asked =
        format!("GET /2018-06-01/runtime/invocation/next HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n");
    stream.write_all(asked.as_bytes()).await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    assert!(answer.starts_with("HTTP/1.1 403 "), "{answer}");
    assert_eq!(cloud.result(json!({ "do": "sleep", "seconds": 0 })).await, "slept");
}

#[tokio::test]
async fn background_work_is_frozen_until_the_next_invocation() {
    let cloud = Cloud::new();
    cloud.create(json!({})).await.unwrap();
    for attempt in 0..3 {
        let file = cloud.context.store.path(&format!("late{attempt}"));
        // Long enough that the process is frozen before, even on a slow machine.
        let later = json!({ "do": "later", "seconds": 3, "file": file.to_str().unwrap() });
        assert_eq!(cloud.result(later).await, "answered");
        tokio::time::sleep(Duration::from_millis(3500)).await;
        assert!(!file.exists(), "nothing runs after the answer");
        // It continues during the next invocation, if that uses the same environment and lasts long enough on a busy machine.
        for _ in 0..3 {
            cloud.result(json!({ "do": "sleep", "seconds": 2 })).await;
            if file.exists() {
                return;
            }
        }
    }
    panic!("it does not go on");
}

#[cfg(target_os = "linux")]
#[tokio::test]
async fn a_process_over_the_memory_limit_is_killed() {
    let cloud = Cloud::new();
    cloud.create(json!({ "MemorySize": 128 })).await.unwrap();
    assert_eq!(cloud.failure(json!({ "do": "eat", "bytes": 200 << 20 })).await["errorType"], "Runtime.ExitError");
    let failure = cloud.failure(json!({ "do": "eat", "bytes": 200 << 20 })).await;
    let message = failure["errorMessage"].as_str().unwrap();
    assert!(message.ends_with("Runtime exited with error: signal: killed"), "{message}");
    assert_eq!(cloud.result(json!("still there")).await, "still there");
}

#[tokio::test]
async fn invocations_take_a_free_environment_rather_than_wait_for_one_of_their_own() {
    let cloud = Cloud::new();
    cloud.create(json!({})).await.unwrap();
    let all = futures_util::future::join_all((0..200).map(|_| cloud.result(json!({ "do": "pid" })))).await;
    let environments: std::collections::BTreeSet<String> = all.iter().map(Value::to_string).collect();
    assert!(environments.len() < 100, "{} processes for 200 short invocations", environments.len());
}

#[tokio::test]
async fn an_invocation_has_lambdas_headers() {
    let cloud = Cloud::new();
    cloud.create(json!({})).await.unwrap();
    let context = BASE64_STANDARD.encode(r#"{"client":{}}"#);
    let headers = [("x-amz-client-context", context.as_str())];
    let target = "/2015-03-31/functions/chat:$LATEST/invocations";
    let response = cloud.send(Method::POST, target, &headers, br#"{"do":"head"}"#.to_vec()).await.unwrap();
    let head: Value = serde_json::from_slice(&response.body).unwrap();
    assert_eq!(head["lambda-runtime-aws-request-id"], response.headers["x-amzn-requestid"].to_str().unwrap());
    assert_eq!(head["lambda-runtime-invoked-function-arn"], format!("{ARN}:$LATEST"));
    assert_eq!(head["lambda-runtime-client-context"], r#"{"client":{}}"#);
    assert!(head["lambda-runtime-trace-id"].as_str().unwrap().starts_with("Root=1-"));
    let deadline: i64 = head["lambda-runtime-deadline-ms"].as_str().unwrap().parse().unwrap();
    let left = deadline - super::super::state::now();
    assert!((1..=30_000).contains(&left), "{left} ms left of 30 s");
}

#[tokio::test]
async fn an_invocation_times_out() {
    let cloud = Cloud::new();
    cloud.create(json!({ "Timeout": 5 })).await.unwrap();
    let before = cloud.result(json!({ "do": "pid" })).await;
    let response = cloud.invoke(json!({ "do": "sleep", "seconds": 60 })).await.unwrap();
    let request_id = response.headers["x-amzn-requestid"].to_str().unwrap().to_owned();
    let message = format!("RequestId: {request_id} Error: Task timed out after 5.00 seconds");
    assert_eq!(
        serde_json::from_slice::<Value>(&response.body).unwrap(),
        json!({ "errorType": "Sandbox.Timedout", "errorMessage": message })
    );
    assert_ne!(cloud.result(json!({ "do": "pid" })).await, before, "the process was killed");
    let logged = cloud.logged();
    assert!(
        logged.iter().any(|line| line.ends_with(&format!("{request_id} Task timed out after 5.00 seconds\n\n"))),
        "{logged:?}"
    );
    assert!(logged.iter().any(|line| line.starts_with("REPORT") && line.contains("Status: timeout")), "{logged:?}");
}

#[tokio::test]
async fn a_handler_reports_its_error_and_goes_on() {
    let cloud = Cloud::new();
    cloud.create(json!({})).await.unwrap();
    let before = cloud.result(json!({ "do": "pid" })).await;
    let failure = cloud.failure(json!({ "do": "fail" })).await;
    assert_eq!(failure, json!({ "errorType": "Handler.Failed", "errorMessage": "as asked" }));
    assert_eq!(cloud.result(json!({ "do": "pid" })).await, before);
}

#[tokio::test]
async fn a_process_that_ends_is_an_exit_error() {
    let cloud = Cloud::new();
    cloud.create(json!({})).await.unwrap();
    for (status, message) in
        [(1, "Runtime exited with error: exit status 1"), (0, "Runtime exited without providing a reason")]
    {
        let failure = cloud.failure(json!({ "do": "exit", "status": status })).await;
        assert_eq!(failure["errorType"], "Runtime.ExitError");
        assert!(failure["errorMessage"].as_str().unwrap().ends_with(&format!(" Error: {message}")), "{failure}");
    }
    let logged = cloud.logged();
    let last_words = logged.iter().position(|line| line == "last words\n").unwrap();
    let end = logged.iter().position(|line| line.starts_with("END RequestId: ")).unwrap();
    assert!(last_words < end, "{logged:?}");
    assert_eq!(cloud.result(json!({})).await, json!({}), "the next invocation gets a new environment");
}

#[tokio::test]
async fn a_failed_start_is_tried_twice_and_reported() {
    for (init, error_type, message) in
        [("exit", "Runtime.ExitError", "Runtime exited with error: exit status 7"), ("error", "Init.Broken", "no luck")]
    {
        let cloud = Cloud::new();
        cloud.create(json!({ "Environment": { "Variables": { "INIT": init } } })).await.unwrap();
        let failure = cloud.failure(json!({})).await;
        assert_eq!(failure["errorType"], error_type);
        assert!(failure["errorMessage"].as_str().unwrap().ends_with(message), "{failure}");
        let logged = cloud.logged();
        let reports = |phase: &str| {
            let text = format!("\tPhase: {phase}\tStatus: error\tError Type: {error_type}\n");
            logged
                .iter()
                .filter(|line| line.starts_with("INIT_REPORT Init Duration: ") && line.ends_with(&text))
                .count()
        };
        assert_eq!((reports("init"), reports("invoke")), (1, 1), "{logged:?}");
    }
}

#[tokio::test]
async fn a_hanging_start_ends_at_the_invocations_timeout() {
    let timings = ExecutionTimings { init_limit: Duration::from_millis(100), ..ExecutionTimings::default() };
    let cloud = Cloud::with(Duration::ZERO, Duration::ZERO, timings);
    cloud.create(json!({ "Timeout": 1, "Environment": { "Variables": { "INIT": "hang" } } })).await.unwrap();
    let failure = cloud.failure(json!({})).await;
    assert_eq!(failure["errorType"], "Sandbox.Timedout");
    assert!(failure["errorMessage"].as_str().unwrap().ends_with("Task timed out after 1.00 seconds"), "{failure}");
}

#[tokio::test]
async fn code_that_cannot_run_is_reported() {
    for (runtime, name, text, mode, message) in [
        (
            "provided.al2023",
            "other",
            "",
            0o755,
            "Couldn't find valid bootstrap(s): [/var/task/bootstrap /opt/bootstrap]",
        ),
        ("provided.al2023", "bootstrap", "no program", 0o755, "fork/exec /var/task/bootstrap: exec format error"),
        (
            "provided.al2",
            "bootstrap",
            "#!/no/such/interpreter\n",
            0o755,
            "fork/exec /var/task/bootstrap: no such file or directory",
        ),
        ("provided.al2", "bootstrap", "#!/bin/sh\n", 0o644, "fork/exec /var/task/bootstrap: permission denied"),
        (
            "java21",
            "Main.class",
            "",
            0o644,
            "The local cloud does not run java21 without java in the PATH and the runtime client in the code's lib \
             (aws-lambda-java-runtime-interface-client). It runs nodejs, python3, provided.al2023 and provided.al2.",
        ),
    ] {
        let cloud = Cloud::new();
        let code = json!({ "ZipFile": BASE64_STANDARD.encode(archive(name, text, mode)) });
        cloud.create(json!({ "Runtime": runtime, "Code": code })).await.unwrap();
        let failure = cloud.failure(json!({})).await;
        assert_eq!(failure["errorType"], "Runtime.InvalidEntrypoint");
        assert!(failure["errorMessage"].as_str().unwrap().ends_with(message), "{failure}");
    }
}

#[tokio::test]
async fn the_log_reads_as_lambdas() {
    let cloud = Cloud::new();
    cloud.create(json!({ "LoggingConfig": { "LogGroup": "/chat/logs" } })).await.unwrap();
    let headers = [("x-amz-log-type", "Tail")];
    let event = json!({ "do": "print", "text": "one\ntwo" }).to_string().into_bytes();
    let target = "/2015-03-31/functions/chat/invocations";
    let response = cloud.send(Method::POST, target, &headers, event).await.unwrap();
    let id = response.headers["x-amzn-requestid"].to_str().unwrap();
    let logged = cloud.logged();
    let stable: Vec<String> = logged.iter().map(|line| without_numbers(&line.replace(id, "ID"))).collect();
    assert!(stable[0].starts_with(
        "INIT_START Runtime Version: provided:al#.v#\tRuntime Version ARN: arn:aws:lambda:us-east-#::runtime:"
    ));
    let expected = [
        "START RequestId: ID Version: $LATEST\n",
        "one\n",
        "two\n",
        "to stderr\n",
        "unfinished\n",
        "END RequestId: ID\n",
    ];
    // The order of Python's two output streams is not defined.
    let mut lines = stable[1..7].to_vec();
    lines[1..5].sort();
    let mut sorted = expected.to_vec();
    sorted[1..5].sort();
    assert_eq!(lines, sorted);
    let report = stable[7].replace("Max Memory Used: # MB\t", "");
    assert_eq!(
        report,
        "REPORT RequestId: ID\tDuration: #.# ms\tBilled Duration: # ms\tMemory Size: # MB\tInit Duration: #.# ms\t\n"
    );
    let tail = BASE64_STANDARD.decode(response.headers["x-amz-log-result"].as_bytes()).unwrap();
    assert_eq!(String::from_utf8(tail).unwrap(), logged[1..].concat());
    let (group, stream, _) = lock(&cloud.logs.0)[0].clone();
    assert_eq!(group, "/chat/logs");
    let (date, rest) = stream.split_once("/[$LATEST]").unwrap();
    assert_eq!((without_numbers(date), rest.len()), ("#/#/#".to_owned(), 32));
}

#[tokio::test]
async fn json_logs_are_json() {
    let cloud = Cloud::new();
    cloud.create(json!({ "LoggingConfig": { "LogFormat": "JSON", "ApplicationLogLevel": "DEBUG" } })).await.unwrap();
    let variables = cloud.result(json!({ "do": "env" })).await;
    assert_eq!(
        (&variables["AWS_LAMBDA_LOG_FORMAT"], &variables["AWS_LAMBDA_LOG_LEVEL"]),
        (&json!("JSON"), &json!("DEBUG"))
    );
    let kinds: Vec<Value> =
        cloud.logged().iter().map(|line| serde_json::from_str::<Value>(line).unwrap()["type"].take()).collect();
    assert_eq!(kinds, ["platform.initStart", "platform.start", "platform.report"]);
}

#[tokio::test]
async fn new_code_ends_the_old_environment() {
    let updating = Duration::from_millis(300);
    let cloud = Cloud::with(Duration::ZERO, updating, ExecutionTimings::default());
    cloud.create(json!({})).await.unwrap();
    assert_eq!(cloud.result(json!({ "do": "version" })).await, "one");
    let target = "/2015-03-31/functions/chat/code";
    cloud.call(Method::PUT, target, json!({ "ZipFile": code("two") })).await.unwrap();
    let configuration = "/2015-03-31/functions/chat/configuration";
    let updated = async || cloud.get(configuration).await.unwrap()["LastUpdateStatus"] == "Successful";
    eventually("the function is updated", updated).await;
    assert_eq!(cloud.result(json!({ "do": "version" })).await, "two");
    // The old process has ended as well: one environment is left.
    cloud.environments(1).await;
}

#[tokio::test]
async fn an_update_in_progress_is_not_served_yet() {
    let cloud = Cloud::with(Duration::ZERO, Duration::from_secs(3600), ExecutionTimings::default());
    cloud.create(json!({})).await.unwrap();
    cloud.call(Method::PUT, "/2015-03-31/functions/chat/code", json!({ "ZipFile": code("two") })).await.unwrap();
    assert_eq!(cloud.result(json!({ "do": "version" })).await, "one");
}

#[tokio::test]
async fn versions_and_aliases_are_run() {
    let cloud = Cloud::new();
    cloud.create(json!({ "Publish": true })).await.unwrap();
    cloud.call(Method::PUT, "/2015-03-31/functions/chat/code", json!({ "ZipFile": code("two") })).await.unwrap();
    let alias = json!({ "Name": "live", "FunctionVersion": "1" });
    cloud.call(Method::POST, "/2015-03-31/functions/chat/aliases", alias).await.unwrap();
    for (qualifier, version, executed) in [("live", "one", "1"), ("1", "one", "1"), ("$LATEST", "two", "$LATEST")] {
        let target = format!("/2015-03-31/functions/chat/invocations?Qualifier={qualifier}");
        let response = cloud.send(Method::POST, &target, &[], br#"{"do":"version"}"#.to_vec()).await.unwrap();
        assert_eq!(response.body, format!("\"{version}\""));
        assert_eq!(response.headers["x-amz-executed-version"], executed);
    }
}

#[tokio::test]
async fn concurrency_is_limited_where_it_is_reserved() {
    let cloud = Cloud::new();
    cloud.create(json!({})).await.unwrap();
    let target = "/2017-10-31/functions/chat/concurrency";
    for (reserved, events, throttled) in [(0, 1, 1), (1, 2, 1)] {
        cloud.call(Method::PUT, target, json!({ "ReservedConcurrentExecutions": reserved })).await.unwrap();
        let sleeps = (0..events).map(|_| cloud.invoke(json!({ "do": "sleep", "seconds": 0.5 })));
        let refused: Vec<ApiError> =
            futures_util::future::join_all(sleeps).await.into_iter().filter_map(Result::err).collect();
        assert_eq!(refused.len(), throttled);
        for refusal in refused {
            assert_eq!(
                (refusal.status, &*refusal.code, refusal.message.as_str()),
                (429, "TooManyRequestsException", "Rate Exceeded.")
            );
            assert_eq!(refusal.fields["Reason"], "ReservedFunctionConcurrentInvocationLimitExceeded");
        }
    }
    let too_many = cloud.call(Method::PUT, target, json!({ "ReservedConcurrentExecutions": 901 })).await;
    assert!(refused(too_many).2.ends_with("below its minimum value of [100]."));
    cloud.call(Method::DELETE, target, Value::Null).await.unwrap();
    assert_eq!(cloud.get("/2019-09-30/functions/chat/concurrency").await.unwrap(), json!({}));
}

#[tokio::test]
async fn payloads_have_limits() {
    let cloud = Cloud::new();
    cloud.create(json!({})).await.unwrap();
    let target = "/2015-03-31/functions/chat/invocations";
    let mut long = vec![b'x'; 6 * 1024 * 1024 + 1];
    long[0] = b'"';
    *long.last_mut().unwrap() = b'"';
    assert_eq!(
        refused(cloud.send(Method::POST, target, &[], long.clone()).await),
        (
            413,
            "RequestTooLargeException".to_owned(),
            "6291457 byte payload is too large for the RequestResponse invocation type (limit 6291456 bytes)"
                .to_owned()
        )
    );
    let event = [("x-amz-invocation-type", "Event")];
    assert_eq!(refused(cloud.send(Method::POST, target, &event, long).await).0, 413);
    assert_eq!(
        refused(cloud.send(Method::POST, target, &[], b"{not json".to_vec()).await).1,
        "InvalidRequestContentException"
    );
    let before = cloud.result(json!({ "do": "pid" })).await;
    let failure = cloud.failure(json!({ "do": "big", "length": 6 * 1024 * 1024 + 200 })).await;
    assert_eq!(failure["errorType"], "Function.ResponseSizeTooLarge");
    assert_eq!(cloud.result(json!({ "do": "pid" })).await, before, "the runtime was told, not cut off");
    let fitting = cloud.result(json!({ "do": "big", "length": 6 * 1024 * 1024 })).await;
    assert_eq!(fitting.as_str().unwrap().len(), 6 * 1024 * 1024);
}

#[tokio::test]
async fn invalid_runtime_api_transitions_are_refused() {
    let cloud = Cloud::new();
    cloud.create(json!({})).await.unwrap();
    assert_eq!(cloud.result(json!({ "do": "rude" })).await, 400);
    assert_eq!(cloud.result(json!({ "do": "impatient" })).await, 403);
}

#[tokio::test]
async fn events_are_queued_and_tried_three_times() {
    let timings = ExecutionTimings { retries: [Duration::from_millis(10); 2], ..ExecutionTimings::default() };
    let cloud = Cloud::with(Duration::ZERO, Duration::ZERO, timings);
    cloud.create(json!({})).await.unwrap();
    let headers = [("x-amz-invocation-type", "Event")];
    let target = "/2015-03-31/functions/chat/invocations";
    let response = cloud.send(Method::POST, target, &headers, br#"{"do":"fail"}"#.to_vec()).await.unwrap();
    assert_eq!((response.status.as_u16(), response.body.len()), (202, 0));
    let id = response.headers["x-amzn-requestid"].to_str().unwrap();
    let ended = format!("END RequestId: {id}\n");
    let attempts = || cloud.logged().iter().filter(|line| **line == ended).count();
    eventually("it was tried three times", async || attempts() >= 3).await;
    // A later event shows that there is no fourth attempt.
    cloud.result(json!({})).await;
    tokio::time::sleep(Duration::from_millis(50)).await;
    assert_eq!(attempts(), 3);
}

#[tokio::test]
async fn a_dry_run_invokes_nothing() {
    let cloud = Cloud::new();
    cloud.create(json!({})).await.unwrap();
    let headers = [("x-amz-invocation-type", "DryRun")];
    let target = "/2015-03-31/functions/chat/invocations";
    let response = cloud.send(Method::POST, target, &headers, Vec::new()).await.unwrap();
    assert_eq!(response.status, 204);
    assert_eq!(cloud.logged(), [""; 0]);
}

#[tokio::test]
async fn idle_environments_end() {
    let timings = ExecutionTimings { idle: Duration::from_millis(50), ..ExecutionTimings::default() };
    let cloud = Cloud::with(Duration::ZERO, Duration::ZERO, timings);
    cloud.create(json!({})).await.unwrap();
    cloud.result(json!({})).await;
    cloud.environments(0).await;
}

#[tokio::test]
async fn a_deleted_functions_environments_end() {
    let cloud = Cloud::new();
    cloud.create(json!({})).await.unwrap();
    cloud.result(json!({})).await;
    cloud.environments(1).await;
    cloud.call(Method::DELETE, "/2015-03-31/functions/chat", Value::Null).await.unwrap();
    cloud.environments(0).await;
}

/// Clients that leave while their stack is removed leave invocations of `$disconnect` behind. None of them may start an
/// environment, and with it the log group, once the function is deleted.
#[tokio::test]
async fn invocations_that_wait_when_their_function_is_deleted_are_refused() {
    let cloud = Cloud::new();
    cloud.create(json!({})).await.unwrap();
    let invocations = (0..300).map(|_| cloud.invoke(json!({ "do": "sleep", "seconds": 0.2 })));
    let (ended, started) = tokio::join!(futures_util::future::join_all(invocations), async {
        cloud.started(1).await;
        cloud.call(Method::DELETE, "/2015-03-31/functions/chat", Value::Null).await.unwrap();
        cloud.environments_now()
    });
    let refusals: Vec<ApiError> = ended.into_iter().filter_map(Result::err).collect();
    assert!(refusals.iter().all(|refusal| refusal.code == "ResourceNotFoundException"), "{refusals:?}");
    let ran = cloud.logged().iter().filter(|line| line.starts_with("START")).count();
    assert!(ran <= started, "{ran} ran, {started} environments existed when the function was deleted");
    cloud.environments(0).await;
}

#[tokio::test]
async fn shutdown_leaves_no_process() {
    let cloud = Cloud::new();
    cloud.create(json!({})).await.unwrap();
    let warm = cloud.result(json!({ "do": "pid" })).await;
    let (busy, ()) = tokio::join!(cloud.invoke(json!({ "do": "sleep", "seconds": 60 })), async {
        cloud.started(2).await;
        cloud.lambda.shutdown().await;
    });
    assert_eq!(refused(busy).1, "ServiceException");
    let status = format!("/proc/{warm}/cmdline");
    let ended = async || std::fs::read(&status).unwrap_or_default().is_empty();
    eventually("the process has ended", ended).await;
    assert_eq!(refused(cloud.invoke(json!({})).await).1, "ServiceException");
}

/// A fake API Gateway with one API.
#[cfg(target_os = "linux")]
struct OneApi;

#[cfg(target_os = "linux")]
impl OneApi {
    fn shared() -> Arc<dyn Apis> {
        static ONE: std::sync::LazyLock<Arc<dyn Apis>> = std::sync::LazyLock::new(|| Arc::new(OneApi));
        ONE.clone()
    }
}

#[cfg(target_os = "linux")]
impl Apis for OneApi {
    fn apis(&self) -> Vec<(String, String)> {
        vec![("abc123".to_owned(), "us-east-1".to_owned())]
    }
}

impl Cloud {
    /// The output of a shell script that the function runs.
    #[cfg(target_os = "linux")]
    async fn sh(&self, script: &str) -> String {
        self.result(json!({ "do": "sh", "script": script })).await.as_str().unwrap().to_owned()
    }

    /// How many environments exist now, those that are starting included.
    fn environments_now(&self) -> usize {
        self.lambda.executor.live().borrow().values().sum()
    }

    /// Waits until there are this many environments.
    async fn environments(&self, count: usize) {
        self.lambda.executor.live().wait_for(|live| live.values().sum::<usize>() == count).await.unwrap();
    }
}

/// The text with every number in it as `#`.
fn without_numbers(text: &str) -> String {
    let mut out = String::new();
    for c in text.chars() {
        match c {
            '0'..='9' if out.ends_with('#') => {}
            '0'..='9' => out.push('#'),
            c => out.push(c),
        }
    }
    out
}

#[tokio::test]
async fn the_last_lines_of_a_deleted_function_bring_no_log_group_back() {
    let cloud = Cloud::new();
    cloud.create(json!({})).await.unwrap();
    let invocation = async { cloud.invoke(json!({ "do": "sleep", "seconds": 1 })).await };
    let deletion = async {
        cloud.started(1).await;
        cloud.call(Method::DELETE, "/2015-03-31/functions/chat", Value::Null).await.unwrap();
        *lock(&cloud.logs.1) = true;
        cloud.logged().len()
    };
    let (ended, before) = tokio::join!(invocation, deletion);
    ended.unwrap();
    assert_eq!(cloud.logged()[before..], [""; 0]);
    // One of that name that exists again has a group again.
    cloud.create(json!({})).await.unwrap();
    cloud.result(json!({ "do": "sleep", "seconds": 0 })).await;
    assert!(cloud.logged().len() > before);
}
