//! The commands that talk to a running stack: `chat`, `smoke`, `invoke`, `connections`, `open`.

use std::fs;
use std::io::Write;
use std::os::unix::fs::PermissionsExt;
use std::process::Command;

use futures_util::{SinkExt, StreamExt};
use serde_json::Value;
use tokio::net::{TcpListener, TcpStream};
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::protocol::CloseFrame;

use crate::common::client::Client;
use crate::common::terminal::{CTRL_C, Terminal};
use crate::common::{Cloud, Run, eventually, repository};

/// The key Ctrl-D.
const CTRL_D: &str = "\u{4}";

/// A cloud with the stack of `tests/fixtures/talk`; gives its URI, too.
fn talk() -> (Cloud, String) {
    let cloud = Cloud::start().go();
    let from = repository().join("tests/fixtures/talk");
    fs::create_dir(cloud.folder().join("talk")).unwrap();
    for file in ["template.yaml", "talk/index.mjs"] {
        fs::copy(from.join(file), cloud.folder().join(file)).unwrap();
    }
    let uri = cloud.up().uri();
    (cloud, uri)
}

/// Runs a command with this on stdin.
fn feed(cloud: &Cloud, arguments: &[&str], stdin: &str) -> Run {
    let mut file = tempfile::NamedTempFile::new().unwrap();
    file.write_all(stdin.as_bytes()).unwrap();
    let mut command = cloud.command(arguments);
    command.stdin(file.reopen().unwrap());
    cloud.begin_command(&mut command).end()
}

/// The events of `--json`.
fn events(run: &Run) -> Vec<Value> {
    run.stdout.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

#[test]
fn chat_sends_the_lines_of_a_pipe_and_prints_what_comes() {
    let (cloud, uri) = talk();
    let once =
        |arguments: &[&str], stdin: &str| feed(&cloud, &[&["chat", "--local", "--once"], arguments].concat(), stdin);

    let run = once(&[], "{\"action\":\"say\", \"message\":\"one\"}\n").exits(0);
    assert_eq!(run.stdout, "say: one\n");
    assert!(run.stderr.starts_with(&format!("Connected to {uri}.\n")), "{}", run.stderr);
    assert!(run.stderr.contains(" > {\"action\":\"say\",\"message\":\"one\"}\n"), "{}", run.stderr);

    // Plain text goes to $default, unless it is to take the only route.
    assert_eq!(once(&[], "\nhello\n").exits(0).stdout, "$default: hello\n");
    let run = once(&["--as", "alice"], "hello");
    assert_eq!(run.stdout, "say: alice: hello\n");
    assert!(run.stderr.contains("is sent as {\"action\":\"say\",\"message\":\"alice: ...\"}\n"), "{}", run.stderr);
    assert_eq!(once(&["--as", "alice"], "{\"action\":\"x\"}").stdout, "$default: {\"action\":\"x\"}\n");
    assert_eq!(once(&["--as", "alice"], "42").stdout, "say: alice: 42\n");

    // Without --once all lines are sent, and what comes within the wait is printed.
    let run = feed(&cloud, &["chat", "--local", "--wait", "2"], "a\nb\n").exits(0);
    let mut lines: Vec<&str> = run.stdout.lines().collect();
    lines.sort_unstable();
    assert_eq!(lines, ["$default: a", "$default: b"]);

    let run = once(&[], "fail").exits(1);
    assert!(run.stdout.contains("Internal server error"), "{}", run.stdout);
    let logs = format!("what it says: wschat logs --local --data {}", cloud.data().display());
    assert!(run.stderr.contains("the handler of the message failed") && run.stderr.contains(&logs), "{}", run.stderr);

    let run = once(&[], "").exits(1);
    assert!(run.stderr.contains("stdin has none"), "{}", run.stderr);

    let run = once(&["--json", "--subprotocol", "chat"], "hello").exits(0);
    let events = events(&run);
    let names: Vec<&str> = events.iter().map(|event| event["event"].as_str().unwrap()).collect();
    assert_eq!(names, ["connected", "frame", "frame", "chat"]);
    assert_eq!((&events[0]["url"], &events[0]["subprotocol"]), (&uri.clone().into(), &"chat".into()));
    assert_eq!((&events[1]["direction"], &events[1]["text"]), (&"sent".into(), &"hello".into()));
    assert_eq!((&events[2]["direction"], &events[2]["text"]), (&"received".into(), &"$default: hello".into()));
    let last = &events[3];
    assert_eq!((&last["received"], &last["code"], &last["exit_code"]), (&1.into(), &1000.into(), &0.into()));

    // TLS, with the local cloud's own certificate.
    let secure = uri.replacen("ws://", "wss://", 1);
    assert_eq!(once(&["--url", &secure], "hello").exits(0).stdout, "$default: hello\n");

    // A message larger than a frame may be, and one larger than a message may be.
    let large = "x".repeat(100 * 1024);
    assert_eq!(once(&[], &large).exits(0).stdout, format!("$default: {large}\n"));
    let run = once(&[], &"x".repeat(130 * 1024)).exits(1);
    assert!(run.stderr.contains("closes the connection with 1009"), "{}", run.stderr);
    assert!(run.stderr.contains("The server closed the connection: 1009"), "{}", run.stderr);
}

#[test]
fn chat_says_why_a_handshake_is_refused() {
    let (cloud, uri) = talk();
    let chat = |arguments: &[&str]| feed(&cloud, &[&["chat", "--local"], arguments].concat(), "");
    let logs = format!("what the handlers say: wschat logs --local --data {}", cloud.data().display());
    for (door, status, words) in [
        ("403", "403 Forbidden", "the handler of $connect answered 403"),
        ("401", "401 Unauthorized", "the authorizer refused it"),
        ("429", "429 Too Many Requests", "throttled"),
        ("fail", "502 Bad Gateway", "the handler of $connect failed"),
    ] {
        let run = chat(&["--query", &format!("door={door}")]).exits(3);
        let said = &run.stderr;
        assert!(said.contains(&format!("error: the handshake was refused with {status}")), "{said}");
        assert!(said.contains(words), "{said}");
        assert_eq!(said.contains(&logs), door != "429", "{said}");
    }
    let run = chat(&["--query", "door=403", "--json"]).exits(3);
    let events = events(&run);
    assert_eq!((&events[0]["event"], &events[0]["status"]), (&"refused".into(), &403.into()));
    assert_eq!((&events[1]["event"], &events[1]["exit_code"]), (&"failure".into(), &3.into()));

    let run = chat(&["--url", &uri.replace("/live", "/dead")]).exits(3);
    assert!(run.stderr.contains("no stage has this address"), "{}", run.stderr);
    assert!(chat(&["--stage", "dead"]).exits(3).stderr.contains("has no stage \"dead\"; it has live"));
    assert!(
        chat(&["--stack", "other"])
            .exits(3)
            .stderr
            .contains("stack other does not exist in account 000000000000 (us-east-1)")
    );
    assert!(chat(&["--url", "https://x.example.com/y"]).exits(64).stderr.contains("use wss://"));
    assert!(chat(&["--header", "Upgrade: x"]).exits(64).stderr.contains("belongs to the handshake"));
    assert!(chat(&["--url", "ws://127.0.0.1:1/x"]).exits(1).stderr.contains("cannot connect to 127.0.0.1:1"));
    let run = chat(&["--url", &uri, "--as", "alice"]).exits(64);
    assert!(run.stderr.contains("say which route it takes: --route KEY"), "{}", run.stderr);
    assert!(chat(&["--as", "alice", "--route", "sey"]).exits(1).stderr.contains("it has say"));
}

/// A WebSocket server for one client; gives its address and the connection.
async fn server() -> (String, impl Future<Output = WebSocketStream<TcpStream>>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("ws://127.0.0.1:{}/", listener.local_addr().unwrap().port());
    let accepted = async move {
        let (stream, _) = listener.accept().await.unwrap();
        tokio_tungstenite::accept_async(stream).await.unwrap()
    };
    (url, accepted)
}

#[tokio::test]
async fn chat_shows_frames_of_all_kinds_and_what_close_codes_mean() {
    let cloud = Cloud::start().go();
    for (code, exit, words) in [
        (Some(1000), 1, "1000 \"bye\" (closed normally)"),
        (Some(1001), 1, "1001 \"bye\" (going away: API Gateway closes a connection that was idle for 10 minutes"),
        (Some(1008), 1, "1008 \"bye\" (against a policy of the server)"),
        (Some(1009), 1, "(message too big: API Gateway takes messages of up to 128 KB"),
        (Some(1011), 1, "(internal error of the server"),
        (Some(4001), 1, "4001 \"bye\" (a code of the application)"),
        (None, 1, "the connection broke without a close frame"),
    ] {
        let (url, accepted) = server().await;
        let mut command = cloud.command(&["chat", "--once", "--url", &url]);
        let mut file = tempfile::NamedTempFile::new().unwrap();
        file.write_all(b"hello\n").unwrap();
        command.stdin(file.reopen().unwrap());
        let running = cloud.begin_command(&mut command);
        let mut socket = accepted.await;
        assert_eq!(socket.next().await.unwrap().unwrap(), Message::text("hello"));
        socket.send(Message::Ping(vec![1, 2].into())).await.unwrap();
        match code {
            Some(code) => {
                let frame = CloseFrame { code: u16::into(code), reason: "bye".into() };
                socket.close(Some(frame)).await.unwrap();
                while let Some(Ok(_)) = socket.next().await {}
            }
            None => drop(socket),
        }
        let run = running.end().exits(exit);
        assert!(run.stderr.contains(words), "{}", run.stderr);
        assert!(code.is_none() || run.stderr.contains(" < ping, 2 bytes: 01 02\n"), "{}", run.stderr);
    }

    // Nothing comes: that is no error, and no answer.
    let (url, accepted) = server().await;
    let mut command = cloud.command(&["chat", "--once", "--wait", "0.2", "--url", &url]);
    let mut file = tempfile::NamedTempFile::new().unwrap();
    file.write_all(b"hello\n").unwrap();
    command.stdin(file.reopen().unwrap());
    let running = cloud.begin_command(&mut command);
    let mut socket = accepted.await;
    while let Some(Ok(_)) = socket.next().await {}
    let run = running.end().exits(2);
    assert!(run.stderr.contains("No answer came in 0.2 s."), "{}", run.stderr);

    // A binary message is an answer.
    let (url, accepted) = server().await;
    let mut command = cloud.command(&["chat", "--once", "--url", &url]);
    command.stdin(file.reopen().unwrap());
    let running = cloud.begin_command(&mut command);
    let mut socket = accepted.await;
    socket.next().await.unwrap().unwrap();
    socket.send(Message::binary(vec![7; 40])).await.unwrap();
    while let Some(Ok(_)) = socket.next().await {}
    let run = running.end().exits(0);
    assert_eq!(run.stdout, format!("binary, 40 bytes: {}...\n", "07 ".repeat(32)));
}

/// `wschat chat` in a terminal, and after it its exit code and the terminal's settings.
fn terminal(cloud: &Cloud, arguments: &[&str]) -> Terminal {
    let chat = cloud.command(&[&["chat"], arguments].concat());
    let mut shell = Command::new("sh");
    shell.args(["-c", "\"$@\"; echo \"code=$?\"; stty -a", "sh"]).arg(chat.get_program()).args(chat.get_args());
    shell.env("NO_COLOR", "1").current_dir(chat.get_current_dir().unwrap());
    for (name, value) in chat.get_envs() {
        match value {
            Some(value) => shell.env(name, value),
            None => shell.env_remove(name),
        };
    }
    Terminal::start(&shell, 80)
}

#[tokio::test(flavor = "multi_thread")]
async fn in_a_terminal_frames_do_not_tear_the_line_that_is_typed() {
    let cloud = Cloud::start().go();
    let (url, accepted) = server().await;
    let mut terminal = terminal(&cloud, &["--url", &url]);
    let mut socket = accepted.await;
    terminal.until("  connection.");
    terminal.types("hallo");
    terminal.until("> hallo");
    socket.send(Message::text("{ \"tick\": 1 }")).await.unwrap();
    terminal.until("{\"tick\":1}");
    // The line is still there: a letter of it is mended, and it is sent.
    terminal.types("\u{1b}[D\u{1b}[D\u{1b}[D\u{7f}e\r");
    assert_eq!(socket.next().await.unwrap().unwrap(), Message::text("hallo".replace("ha", "he")));
    terminal.until(" > hello");
    // The last line comes back.
    terminal.types("\u{1b}[A!\r");
    assert_eq!(socket.next().await.unwrap().unwrap(), Message::text("hello!"));
    terminal.until(" > hello!");
    terminal.types("unsent\u{15}");
    terminal.types(CTRL_D);
    while let Some(Ok(_)) = socket.next().await {}
    let (_, screen) = terminal.end();
    let text = screen.text();
    let lines: Vec<&str> = text.lines().map(|line| line.get(13..).unwrap_or(line)).collect();
    for line in ["< {\"tick\":1}", "> hello", "> hello!"] {
        assert!(lines.contains(&line), "{line}\n{text}");
    }
    assert!(text.contains("Closed: 1000 (closed normally).\ncode=0\n"), "{text}");
    assert!(text.contains("isig icanon iexten echo "), "{text}");
    assert!(!text.contains("unsent"), "{text}");
}

#[tokio::test(flavor = "multi_thread")]
async fn ctrl_c_and_a_close_restore_the_terminal() {
    let cloud = Cloud::start().go();
    for by_server in [false, true] {
        let (url, accepted) = server().await;
        let mut terminal = terminal(&cloud, &["--url", &url]);
        let mut socket = accepted.await;
        terminal.until("  connection.");
        terminal.types("half a line");
        terminal.until("> half a line");
        if by_server {
            socket.close(Some(CloseFrame { code: 1011.into(), reason: "".into() })).await.unwrap();
        } else {
            terminal.types(CTRL_C);
        }
        while let Some(Ok(_)) = socket.next().await {}
        let (_, screen) = terminal.end();
        let text = screen.text();
        assert!(text.contains(if by_server { "\ncode=1\n" } else { "\ncode=130\n" }), "{text}");
        assert!(text.contains("isig icanon iexten echo "), "{text}");
        assert_eq!(text.contains("The server closed the connection: 1011"), by_server, "{text}");
    }
}

#[tokio::test]
async fn connections_are_listed_shown_and_closed() {
    let (cloud, uri) = talk();
    let connections = |arguments: &[&str]| cloud.wschat(&[&["connections", "--local"], arguments].concat());
    assert_eq!(connections(&[]).exits(0).stderr, "No client is connected.\n");
    let (mut alice, bob) = (Client::connect(&uri).await, Client::connect(&uri).await);
    for text in ["x", r#"{"action":"say","message":"y"}"#, "z"] {
        alice.say(text).await;
        alice.hear().await;
    }
    let run = connections(&["--json"]).exits(0);
    let found = events(&run).remove(0);
    let list = found["connections"].as_array().unwrap();
    assert_eq!((list.len(), &found["exit_code"]), (2, &0.into()), "{found}");
    let counted = |one: &&Value| one["routes"] == serde_json::json!({ "$default": 2, "say": 1 });
    let talker = list.iter().find(counted).unwrap();
    assert_eq!((&talker["source_ip"], &talker["stage"]), (&"127.0.0.1".into(), &"live".into()));
    let id = talker["connection_id"].as_str().unwrap();

    let run = connections(&[id]).exits(0);
    assert_eq!(run.stderr, "1 client is connected:\n");
    assert!(
        run.stdout.starts_with(&format!("{id}  since ")) && run.stdout.ends_with("  $default 2, say 1\n"),
        "{}",
        run.stdout
    );

    // Who has not the process's token sees nothing.
    let mut stream = std::net::TcpStream::connect(("127.0.0.1", cloud.port())).unwrap();
    stream.write_all(b"GET /_wschat/connections HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n").unwrap();
    assert!(std::io::read_to_string(stream).unwrap().starts_with("HTTP/1.1 403"));

    assert_eq!(connections(&["--close", id]).exits(0).stderr, format!("Connection {id} is closed.\n"));
    assert_eq!(alice.closed().await.map(|frame| u16::from(frame.code)), Some(1000));
    let gone = format!("error: no connection {id} is open\n");
    assert_eq!(connections(&["--close", id]).exits(3).stderr, gone);
    let run = connections(&["--close", "BADID"]).exits(64);
    assert!(run.stderr.starts_with("error: \"BADID\" is not the id of a connection\n"), "{}", run.stderr);
    assert_eq!(connections(&[id]).exits(3).stderr, gone);
    bob.close().await;
    eventually("Bob is gone", async || connections(&[]).exits(0).stderr == "No client is connected.\n").await;

    let run = cloud.wschat(&["connections"]).exits(1);
    assert!(run.stderr.contains("AWS has no call that lists the connections"), "{}", run.stderr);
}

#[test]
fn invoke_sends_the_event_of_the_functions_route() {
    let (cloud, _) = talk();
    let invoke = |arguments: &[&str]| cloud.wschat(&[&["invoke", "--local"], arguments].concat());
    let answer = |run: &Run| serde_json::from_str::<Value>(&run.stdout).unwrap();
    let run = invoke(&["Talk"]).exits(0);
    assert_eq!(answer(&run)["body"], "say: hello");
    assert_eq!(run.stderr, "Event: message for route say, body {\"action\":\"say\",\"message\":\"hello\"}\n");
    let run = invoke(&["Talk", "--route", "$default", "--body", "hi"]).exits(0);
    assert_eq!(answer(&run)["body"], "$default: hi");
    assert_eq!(answer(&invoke(&["Talk", "--event", "connect"]).exits(0))["statusCode"], 200);
    assert_eq!(answer(&invoke(&["Talk", "--event", "disconnect"]).exits(0))["statusCode"], 200);

    let run = invoke(&["Talk", "--body", "fail"]).exits(1);
    assert!(run.stderr.contains("error: Talk failed: TypeError: asked to fail:\n  at "), "{}", run.stderr);
    assert!(
        run.stderr.contains("The end of its log:\n") && run.stderr.contains("  REPORT RequestId: "),
        "{}",
        run.stderr
    );
    let run = invoke(&["Talk", "--body", "fail", "--json"]).exits(1);
    let event = events(&run).remove(0);
    assert_eq!((&event["event"], &event["function_error"]), (&"invoke".into(), &"Unhandled".into()));
    assert_eq!(event["payload"]["errorMessage"], "asked to fail");

    let event = r#"{"requestContext":{"routeKey":"x","eventType":"MESSAGE"},"body":"own"}"#;
    fs::write(cloud.folder().join("event.json"), event).unwrap();
    assert_eq!(answer(&invoke(&["Talk", "--event", "event.json"]).exits(0))["body"], "x: own");
    assert_eq!(answer(&feed(&cloud, &["invoke", "--local", "Talk", "--event", "-"], event).exits(0))["body"], "x: own");
    assert!(feed(&cloud, &["invoke", "--local", "Talk", "--event", "-"], "{").exits(1).stderr.contains("is not JSON"));
    assert!(
        invoke(&["Talk", "--event", "missing.json"]).exits(1).stderr.contains("cannot read the event missing.json")
    );
    assert!(invoke(&["Talk", "--event", "connect", "--body", "x"]).exits(64).stderr.contains("those of a message"));
    let run = invoke(&["Tolk"]).exits(3);
    assert!(
        run.stderr.contains("stack app has no function \"Tolk\"\n  did you mean Talk? it has Talk"),
        "{}",
        run.stderr
    );
    assert!(
        invoke(&["Talk", "--stack", "other"])
            .exits(3)
            .stderr
            .contains("stack other does not exist in account 000000000000 (us-east-1)")
    );
}

#[test]
fn a_smoke_test_says_whether_the_stack_works() {
    let (cloud, uri) = talk();
    let run = cloud.wschat(&["smoke", "--local"]).exits(0);
    assert!(run.stderr.starts_with(&format!("Smoke test of {uri}:\n")), "{}", run.stderr);
    assert!(
        run.stderr.contains("✓ send alice") && run.stderr.contains("The smoke test passed: 6 steps in "),
        "{}",
        run.stderr
    );
    run.changes_nothing();
    let run = cloud.wschat(&["smoke", "--local", "--json"]).exits(0);
    let last = events(&run).pop().unwrap();
    assert_eq!((&last["event"], &last["steps"], &last["exit_code"]), (&"smoke".into(), &6.into(), &0.into()));

    let steps = r#"
timeout: 10
steps:
  - { connect: alice, query: { door: "403" }, refused: 403 }
  - { connect: alice }
  - { send: alice, json: { action: say, message: "${greeting} ${run}" } }
  - { expect: alice, matches: "^say: (?<said>.*)$" }
  - { send: alice, text: "{\"said\":\"${said}\"}" }
  - { expect: alice, contains: "${greeting} ${run}" }
  - { expect: alice, nothing: true, timeout: 0.1 }
  - { close: alice }
"#;
    fs::write(cloud.folder().join("steps.yaml"), steps).unwrap();
    let smoke =
        |arguments: &[&str]| cloud.wschat(&[&["smoke", "--local", "--steps", "steps.yaml"], arguments].concat());
    let run = smoke(&["--var", "greeting=good morning"]).exits(0);
    assert!(run.stderr.contains("refused with 403") && run.stderr.contains("8 steps"), "{}", run.stderr);
    let run = smoke(&[]).exits(1);
    assert!(run.stderr.contains("nothing before this step gives the variable \"greeting\""), "{}", run.stderr);
    fs::write(cloud.folder().join("steps.yaml"), "steps: [{ connect: a, refused: 401 }, { connnect: b }]").unwrap();
    assert!(smoke(&[]).exits(1).stderr.contains("connnect"));
    fs::write(cloud.folder().join("steps.yaml"), "steps: [{ connect: a, refused: 401 }]").unwrap();
    let run = smoke(&[]).exits(1);
    assert!(
        run.stderr
            .contains("failed at step 1 of 1, connect a:\n  expected: a refusal with 401\n  came:     a connection\n"),
        "{}",
        run.stderr
    );

    // A handler that fails.
    let handler = cloud.folder().join("talk/index.mjs");
    let text = fs::read_to_string(&handler).unwrap().replace("includes(\"fail\")", "includes(\"smoke\")");
    fs::write(&handler, text).unwrap();
    let run = cloud.wschat(&["up", "--local", "--yes", "--smoke"]).exits(1);
    let said = &run.stderr;
    assert!(said.contains("error: the smoke test failed at step 4 of 6, expect bob or alice:\n"), "{said}");
    assert!(
        said.contains("  expected: a text that contains smoke test ") && said.contains("Internal server error"),
        "{said}"
    );
    assert!(said.contains(&format!("the stack is up ({uri}) and stays as it is")), "{said}");
    assert!(said.contains("what the handlers say: ") && said.contains("wschat logs --local"), "{said}");
    assert_eq!(run.stdout, format!("{uri}\n"));
    assert!(cloud.status().exits(0).stdout.ends_with("Stack is healthy.\n"));
    fs::copy(repository().join("tests/fixtures/talk/talk/index.mjs"), &handler).unwrap();
    let run = cloud.wschat(&["up", "--local", "--yes", "--smoke", "--json"]).exits(0);
    let events = events(&run);
    assert_eq!(events.iter().filter(|event| event["event"] == "smoke_step").count(), 6);
    assert_eq!(events.last().unwrap()["event"], "result");
}

#[test]
fn open_starts_the_browser_where_there_is_one() {
    let cloud = Cloud::start().go();
    let url = format!("http://localhost:{}/_wschat/console", cloud.port());
    let run = cloud.wschat(&["open", "--local", "--print"]).exits(0);
    assert!(run.stdout.starts_with(&url) && run.stdout.lines().count() == 1, "{}", run.stdout);
    let without = |command: &mut Command| {
        for name in ["DISPLAY", "WAYLAND_DISPLAY", "BROWSER", "WSL_DISTRO_NAME"] {
            command.env_remove(name);
        }
    };
    let mut command = cloud.command(&["open", "--local"]);
    without(&mut command);
    let run = cloud.begin_command(&mut command).end().exits(0);
    assert_eq!(run.stderr, "No browser was found here; open the URL in one.\n");

    let programs = cloud.folder().join("programs");
    fs::create_dir(&programs).unwrap();
    fs::write(programs.join("xdg-open"), "#!/bin/sh\necho \"$1\" > opened\n").unwrap();
    fs::set_permissions(programs.join("xdg-open"), fs::Permissions::from_mode(0o755)).unwrap();
    let mut command = cloud.command(&["open", "--local"]);
    without(&mut command);
    command.env("DISPLAY", ":7").env("PATH", &programs);
    let run = cloud.begin_command(&mut command).end().exits(0);
    assert_eq!(run.stderr, "");
    assert_eq!(fs::read_to_string(cloud.folder().join("opened")).unwrap(), run.stdout);

    let run = cloud.wschat(&["open", "--endpoint-url", "http://127.0.0.1:1"]).exits(64);
    assert!(run.stderr.contains("has no page in the AWS console"), "{}", run.stderr);
}
