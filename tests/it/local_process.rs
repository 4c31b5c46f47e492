//! The process of the local cloud, run as users run it: the built binary, in its own folder.

use std::fs;
use std::io::{Read, Write};
use std::net::{IpAddr, Ipv4Addr, TcpStream, UdpSocket};
use std::path::PathBuf;
use std::process::{Command, Output};

use serde_json::Value;

use crate::common::{at_last, signed};

/// A data folder; its server, if any, is stopped at the end of the test.
struct Cloud {
    folder: tempfile::TempDir,
}

impl Cloud {
    fn new() -> Self {
        Self { folder: tempfile::tempdir().unwrap() }
    }

    fn data(&self) -> PathBuf {
        self.folder.path().join("data")
    }

    fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_wschat"));
        command.current_dir(&self.folder).arg("local").args(args).arg("--data").arg(self.data());
        command
    }

    fn run(&self, args: &[&str]) -> Output {
        self.command(args).output().unwrap()
    }

    /// Runs a verb that must succeed; returns its output.
    fn ok(&self, args: &[&str]) -> String {
        let output = self.run(args);
        assert!(output.status.success(), "{args:?}: {output:?}");
        String::from_utf8(output.stdout).unwrap()
    }

    /// Runs a verb that must fail; returns its error.
    fn fails(&self, args: &[&str]) -> String {
        let output = self.run(args);
        assert_eq!(output.status.code(), Some(1), "{args:?}: {output:?}");
        String::from_utf8(output.stderr).unwrap()
    }

    /// The state file of the running server.
    fn record(&self) -> Value {
        serde_json::from_slice(&fs::read(self.data().join("process.json")).unwrap()).unwrap()
    }

    fn pid(&self) -> u64 {
        self.record()["pid"].as_u64().unwrap()
    }

    fn port(&self) -> u64 {
        self.record()["port"].as_u64().unwrap()
    }

    fn signal(&self, signal: &str) {
        let sent = Command::new("kill").args([signal, &self.pid().to_string()]).status().unwrap();
        assert!(sent.success());
    }

    fn until_stopped(&self) {
        at_last("it has stopped", || self.run(&["status"]).status.code() == Some(3));
    }

    fn conditions(&self, name: &str, text: &str) -> String {
        let path = self.folder.path().join(name);
        fs::write(&path, text).unwrap();
        path.display().to_string()
    }
}

impl Drop for Cloud {
    fn drop(&mut self) {
        self.run(&["stop"]);
    }
}

#[test]
fn start_status_and_stop() {
    let cloud = Cloud::new();
    assert_eq!(cloud.run(&["status"]).status.code(), Some(3));
    assert!(!cloud.data().exists(), "looking leaves no traces");

    let started = cloud.ok(&["start", "--port", "0"]);
    let (pid, port) = (cloud.pid(), cloud.port());
    assert_eq!(started, format!("The local cloud runs on http://localhost:{port} (pid {pid}).\n"));
    let again = cloud.ok(&["start"]);
    assert_eq!(again, format!("The local cloud runs already on http://localhost:{port} (pid {pid}).\n"));
    let status = cloud.ok(&["status"]);
    assert!(status.contains(&format!("localhost:{port}.")) && status.contains(&pid.to_string()), "{status}");
    assert!(cloud.ok(&["logs"]).contains(&format!("on port {port}")));

    assert_eq!(cloud.ok(&["stop"]), "The local cloud stopped.\n");
    assert_eq!(cloud.run(&["status"]).status.code(), Some(3));
    assert_eq!(cloud.ok(&["stop"]), "The local cloud was not running.\n");
}

#[test]
fn its_files_are_private_and_ignored_by_git() {
    use std::os::unix::fs::PermissionsExt;
    let cloud = Cloud::new();
    cloud.ok(&["start", "--port", "0"]);
    let mode = |path: &std::path::Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(&cloud.data()), 0o700);
    // Keys, state and logs: the log of calls has the access key in it.
    let mut private = Vec::new();
    for entry in fs::read_dir(cloud.data()).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_some_and(|kind| ["json", "jsonl", "log"].contains(&kind.to_str().unwrap())) {
            assert_eq!(mode(&path), 0o600, "{}", path.display());
            private.push(path.file_name().unwrap().to_str().unwrap().to_owned());
        }
    }
    for name in ["access-key.json", "console-key.json", "calls.jsonl", "local.log", "process.json"] {
        assert!(private.iter().any(|known| known == name), "{name}: {private:?}");
    }
    assert_eq!(fs::read_to_string(cloud.data().join(".gitignore")).unwrap(), "*\n");
}

#[test]
fn a_cloud_stops_when_its_folder_is_deleted() {
    let cloud = Cloud::new();
    cloud.ok(&["start", "--port", "0"]);
    let pid = cloud.pid();
    fs::remove_dir_all(cloud.data()).unwrap();
    at_last("it ends", || !std::path::Path::new(&format!("/proc/{pid}")).exists());
}

/// Sends one raw request; returns the status and body of the answer.
fn ask(cloud: &Cloud, head: &str, body: &str) -> (String, String) {
    use std::io::{Read, Write};
    let mut stream = std::net::TcpStream::connect(("127.0.0.1", u16::try_from(cloud.port()).unwrap())).unwrap();
    let length = body.len();
    write!(stream, "{head}\r\ncontent-length: {length}\r\nconnection: close\r\n\r\n{body}").unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    (head.split(' ').nth(1).unwrap().to_owned(), body.to_owned())
}

#[test]
fn calls_need_the_key_in_the_data_folder() {
    let cloud = Cloud::new();
    cloud.ok(&["start", "--port", "0"]);
    let key: serde_json::Value =
        serde_json::from_slice(&fs::read(cloud.data().join("access-key.json")).unwrap()).unwrap();
    let (key, secret) = (key["id"].as_str().unwrap(), key["secret"].as_str().unwrap());
    let form = "content-type: application/x-www-form-urlencoded";
    let call = "Action=GetCallerIdentity&Version=2011-06-15";
    let head = |key: (&str, &str), host: &str| {
        format!("POST / HTTP/1.1\r\n{form}\r\n{}", signed(key, "sts", "POST", "/", host).trim_end())
    };
    let (status, body) = ask(&cloud, &head((key, secret), "localhost"), call);
    assert_eq!(status, "200", "{body}");
    for (key, secret, code) in
        [("AKIAEXAMPLE", secret, "InvalidClientTokenId"), (key, "another", "SignatureDoesNotMatch")]
    {
        let (status, body) = ask(&cloud, &head((key, secret), "localhost"), call);
        assert!(status == "403" && body.contains(code), "{status} {body}");
        assert!(body.contains("wschat env --data") && body.contains("wschat local start --open"), "{body}");
    }
    let unsigned = format!("POST / HTTP/1.1\r\nhost: localhost\r\n{form}\r\naccept: */*");
    let (status, body) = ask(&cloud, &unsigned, call);
    assert!(status == "403" && body.contains("MissingAuthenticationToken"), "{status} {body}");
    // An unsigned upload of code.
    let create = "POST /2015-03-31/functions HTTP/1.1\r\nhost: localhost\r\naccept: */*";
    assert_eq!(ask(&cloud, create, "{}").0, "403");
    // Web pages of other origins, and other host names for this address.
    for (host, more) in [
        ("localhost", "origin: https://example.com"),
        ("localhost", "sec-fetch-site: cross-site"),
        ("rebound.example.com", "accept: */*"),
    ] {
        let head = format!("{}\r\n{more}", head((key, secret), host));
        assert_eq!(ask(&cloud, &head, call).0, "403", "{host} {more}");
    }
    // A page can load any GET as an image.
    let target = "/?Action=DeleteRole&RoleName=x&Version=2010-05-08";
    let signed = signed((key, secret), "iam", "GET", target, "localhost");
    let (status, body) = ask(&cloud, &format!("GET {target} HTTP/1.1\r\n{}", signed.trim_end()), "");
    assert!(status == "400" && body.contains("by POST"), "{status} {body}");

    cloud.ok(&["stop"]);
    let said = cloud.ok(&["start", "--open"]);
    assert!(said.ends_with("Every program on this machine may call it, with any access key or none.\n"), "{said}");
    let head = format!("POST / HTTP/1.1\r\nhost: elsewhere.example.com\r\n{form}\r\naccept: */*");
    assert_eq!(ask(&cloud, &head, call).0, "200");
    cloud.ok(&["stop"]);
    cloud.ok(&["start"]);
    let refusal = cloud.fails(&["start", "--open"]);
    assert!(
        refusal.contains("the local cloud is already running and requires its access key\n  stop it first: "),
        "{refusal}"
    );
}

#[tokio::test]
async fn the_console_opens_once_with_a_url_and_its_cookie_survives_a_restart() {
    use wschat::local::daemon::process::console_url;
    let cloud = Cloud::new();
    assert_eq!(console_url(&cloud.data()).await, None);
    cloud.ok(&["start", "--port", "0"]);
    let url = console_url(&cloud.data()).await.unwrap();
    let (address, path) = url.split_once("/_wschat/").unwrap();
    assert_eq!(address, format!("http://localhost:{}", cloud.port()));
    let get = |path: &str, more: &str| format!("GET /_wschat/{path} HTTP/1.1\r\nhost: localhost\r\n{more}");
    assert_eq!(ask(&cloud, &get(path, "accept: */*"), "").0, "303");
    assert_eq!(ask(&cloud, &get(path, "accept: */*"), "").0, "401", "a ticket works once");

    let key: Value = serde_json::from_slice(&fs::read(cloud.data().join("console-key.json")).unwrap()).unwrap();
    let cookie = format!("cookie: wschat-console-{}={}", cloud.port(), key["cookie"].as_str().unwrap());
    cloud.ok(&["stop"]);
    assert_eq!(console_url(&cloud.data()).await, None);
    cloud.ok(&["start"]);
    let (status, body) = ask(&cloud, &get("api/state", &cookie), "");
    assert!(status == "200" && body.contains("\"stacks\":[]"), "{status} {body}");
    assert_eq!(ask(&cloud, &get("api/state", "accept: */*"), "").0, "401");
    assert_eq!(ask(&cloud, &get("api/state", &format!("{cookie}\r\norigin: https://example.com")), "").0, "403");
}

#[test]
fn a_restart_keeps_the_port() {
    let cloud = Cloud::new();
    cloud.ok(&["start", "--port", "0"]);
    let port = cloud.port();
    cloud.ok(&["stop"]);
    cloud.ok(&["start"]);
    assert_eq!(cloud.port(), port);
}

#[test]
fn concurrent_starts_give_one_server() {
    let cloud = Cloud::new();
    let starts: Vec<_> = (0..6)
        .map(|_| {
            let mut command = cloud.command(&["start", "--port", "0"]);
            command.stdout(std::process::Stdio::piped()).stderr(std::process::Stdio::piped());
            command.spawn().unwrap()
        })
        .collect();
    let pid = format!("(pid {})", {
        let outputs: Vec<Output> = starts.into_iter().map(|start| start.wait_with_output().unwrap()).collect();
        let pid = cloud.pid();
        for output in outputs {
            assert!(output.status.success(), "{output:?}");
            let text = String::from_utf8(output.stdout).unwrap();
            assert!(text.contains(&format!("(pid {pid})")), "{text}");
        }
        pid
    });
    assert!(cloud.ok(&["start"]).contains(&pid));
}

#[test]
fn a_killed_server_is_not_mistaken_for_a_running_one() {
    let cloud = Cloud::new();
    cloud.ok(&["start", "--port", "0"]);
    let pid = cloud.pid();
    cloud.signal("-KILL");
    cloud.until_stopped();
    assert!(cloud.data().join("process.json").exists(), "a crash leaves its record");
    cloud.ok(&["start", "--port", "0"]);
    assert_ne!(cloud.pid(), pid);
}

#[test]
fn a_server_that_hangs_is_killed() {
    let cloud = Cloud::new();
    cloud.ok(&["start", "--port", "0"]);
    cloud.signal("-STOP");
    assert_eq!(cloud.run(&["status"]).status.code(), Some(1));
    assert_eq!(cloud.ok(&["stop"]), "The local cloud stopped.\n");
    assert_eq!(cloud.run(&["status"]).status.code(), Some(3));
}

#[test]
fn signals_stop_it_and_a_closed_terminal_does_not() {
    for signal in ["-TERM", "-INT"] {
        let cloud = Cloud::new();
        cloud.ok(&["start", "--port", "0"]);
        cloud.signal("-HUP");
        cloud.ok(&["status"]);
        cloud.signal(signal);
        cloud.until_stopped();
        assert!(!cloud.data().join("process.json").exists(), "it cleans up after itself");
    }
}

#[test]
fn another_build_is_replaced_on_the_same_port() {
    let cloud = Cloud::new();
    let slow = cloud.conditions("slow.toml", "[latency_ms]\ndefault = 1\n");
    cloud.ok(&["start", "--port", "0", "--conditions", &slow]);
    let (pid, port) = (cloud.pid(), cloud.port());
    let mut record = cloud.record();
    record["binary"]["version"] = "0.0.1".into();
    fs::write(cloud.data().join("process.json"), record.to_string()).unwrap();
    let restarted = cloud.ok(&["start"]);
    assert!(restarted.contains("was restarted for this build"), "{restarted}");
    assert!(restarted.contains("slow.toml"), "the conditions stay: {restarted}");
    assert_ne!(cloud.pid(), pid);
    assert_eq!(cloud.port(), port);
}

#[test]
fn options_that_differ_from_the_running_server_are_rejected() {
    let cloud = Cloud::new();
    let slow = cloud.conditions("slow.toml", "[latency_ms]\ndefault = 1\n");
    let slower = cloud.conditions("slower.toml", "[latency_ms]\ndefault = 2\n");
    cloud.ok(&["start", "--port", "0", "--conditions", &slow]);
    cloud.ok(&["start", "--conditions", &slow]);
    let refusal = cloud.fails(&["start", "--conditions", &slower]);
    let stop = format!("\n  stop it first: wschat local stop --data {}", cloud.data().display());
    assert!(refusal.contains(&format!("slow.toml{stop}")), "{refusal}");
    let refusal = cloud.fails(&["start", "--port", "1"]);
    assert!(refusal.contains(&format!("is already running on port {}{stop}", cloud.port())), "{refusal}");
}

#[test]
fn another_port_than_the_usual_one_is_explained() {
    let cloud = Cloud::new();
    cloud.ok(&["start", "--port", "0"]);
    let port = u16::try_from(cloud.port()).unwrap();
    cloud.ok(&["stop"]);
    let taken = std::net::TcpListener::bind(("127.0.0.1", port)).unwrap();
    let started = cloud.ok(&["start"]);
    let why = format!("Port {port} is in use. URIs with port {port} no longer work.\n");
    assert!(started.ends_with(&why), "{started}");
    assert!(!cloud.ok(&["start"]).contains("in use"), "it is said once");
    drop(taken);
}

#[test]
fn a_failed_start_is_reported() {
    let cloud = Cloud::new();
    let wrong = cloud.conditions("wrong.toml", "[latency_ms]\n\"lamda.*\" = 1\n");
    let complaint = cloud.fails(&["start", "--conditions", &wrong]);
    assert!(complaint.contains("did you mean \"lambda.*\"?"), "{complaint}");

    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = taken.local_addr().unwrap().port().to_string();
    let complaint = cloud.fails(&["start", "--port", &port]);
    let expected = format!("the local cloud cannot listen on port {port}: Address already in use (os error ");
    assert!(complaint.contains(&expected) && !complaint.contains("did not start"), "{complaint}");
    assert!(complaint.contains("\n  choose another with --port, or 0 for any free one"), "{complaint}");
    assert_eq!(cloud.run(&["status"]).status.code(), Some(3));
}

#[test]
fn reset_asks_and_deletes_only_its_own_files() {
    let cloud = Cloud::new();
    fs::create_dir(cloud.data()).unwrap();
    fs::write(cloud.data().join("precious"), "").unwrap();
    let refusal = cloud.fails(&["reset", "--yes"]);
    assert!(refusal.contains("nothing was deleted"), "{refusal}");
    assert!(cloud.data().join("precious").exists());

    cloud.ok(&["start", "--port", "0"]);
    // No answer is a no.
    assert_eq!(cloud.run(&["reset"]).status.code(), Some(1));
    cloud.ok(&["status"]);
    assert_eq!(cloud.ok(&["reset", "--yes"]), "The local cloud is gone.\n");
    assert!(!cloud.data().exists());
    assert_eq!(cloud.ok(&["reset", "--yes"]), "There was no local cloud.\n");
}

#[test]
fn a_damaged_file_is_reported_with_the_fix_and_affects_nothing_else() {
    let cloud = Cloud::new();
    cloud.ok(&["start", "--port", "0"]);
    cloud.ok(&["stop"]);
    let key = fs::read(cloud.data().join("access-key.json")).unwrap();
    for (file, part) in [
        ("iam.json", "iam"),
        ("lambda.json", "lambda"),
        ("apigatewayv2.json", "apigateway"),
        ("logs.json", "logs"),
        ("dynamodb-eu-west-1.json", "dynamodb"),
        ("dynamodb-eu-west-1.sqlite", "dynamodb"),
    ] {
        fs::write(cloud.data().join(file), "{\"half").unwrap();
        if file.ends_with("1.json") {
            // It is read together with the file of the region's tables.
            fs::write(cloud.data().join("dynamodb-eu-west-1.sqlite"), "").unwrap();
        }
        let said = cloud.fails(&["start"]);
        let folder = cloud.data().canonicalize().unwrap();
        assert!(said.contains(&format!("{} is damaged: ", folder.join(file).display())), "{said}");
        let way_out = format!("wschat local reset --only {part} --data {}", folder.display());
        assert!(said.contains(&way_out), "{said}");
        cloud.ok(&["reset", "--only", part, "--yes"]);
        cloud.ok(&["start"]);
        cloud.ok(&["stop"]);
    }
    assert_eq!(fs::read(cloud.data().join("access-key.json")).unwrap(), key, "the rest is as it was");
}

#[test]
fn earlier_credentials_do_not_prevent_a_start() {
    let cloud = Cloud::new();
    cloud.ok(&["start", "--port", "0"]);
    cloud.ok(&["stop"]);
    fs::write(cloud.data().join("iam-sessions.json"), "[{").unwrap();
    cloud.ok(&["start"]);
}

#[test]
fn large_logs_do_not_delay_a_start() {
    let cloud = Cloud::new();
    cloud.ok(&["start", "--port", "0"]);
    cloud.ok(&["stop"]);
    // A sparse file: 1.5 GB without disk space.
    let groups = r#"{"us-east-1":{"/g":{"id":"0","created":1,"retention_days":null,"class":"STANDARD","kms_key":null,
        "deletion_protected":false,"tags":{}}}}"#;
    fs::write(cloud.data().join("logs.json"), groups).unwrap();
    fs::create_dir_all(cloud.data().join("logs")).unwrap();
    let journal = cloud.data().join("logs/0.jsonl");
    fs::File::create(&journal).unwrap().set_len(1_500_000_000).unwrap();
    cloud.ok(&["start"]);
    assert_eq!(fs::metadata(&journal).unwrap().len(), 1_500_000_000, "it is not looked at");
}

/// An address of this machine that is not loopback; `None` without a network.
fn own_address() -> Option<IpAddr> {
    let socket = UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0)).unwrap();
    socket.connect("203.0.113.1:9").ok()?;
    Some(socket.local_addr().unwrap().ip())
}

/// Sends a request to an address; returns the answer.
fn exchange(to: IpAddr, port: u64, head: &str) -> String {
    let mut stream = TcpStream::connect((to, u16::try_from(port).unwrap())).unwrap();
    stream.write_all(format!("{head}\r\nconnection: close\r\ncontent-length: 0\r\n\r\n").as_bytes()).unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    answer
}

#[test]
fn beyond_loopback_the_access_key_is_needed_and_the_process_is_out_of_reach() {
    let Some(address) = own_address() else { return };
    let loopback = IpAddr::V4(Ipv4Addr::LOCALHOST);
    let cloud = Cloud::new();
    for host in [address.to_string(), "0.0.0.0".to_owned(), "::".to_owned()] {
        let said = cloud.ok(&["start", "--port", "0", "--host", &host]);
        assert!(said.contains(&format!("It listens on {host}: other machines reach it.")), "{said}");
        assert!(said.contains("AWS calls and @connections need its access key"), "{said}");
        let (port, token) = (cloud.port(), cloud.record()["token"].as_str().unwrap().to_owned());
        let record = cloud.record();
        let own = |part: &str| record["key"][part].as_str().unwrap();
        let key = (own("id"), own("secret"));
        let call = |to: IpAddr, host: &str, key: Option<(&str, &str)>| {
            let target = "/2015-03-31/functions/";
            let head = key.map_or_else(|| format!("host: {host}"), |key| signed(key, "lambda", "GET", target, host));
            exchange(to, port, &format!("GET {target} HTTP/1.1\r\n{}", head.trim_end()))
        };
        let named = format!("{address}:{port}");
        assert!(call(address, &named, Some(key)).starts_with("HTTP/1.1 200"), "{host}");
        assert!(call(loopback, "localhost", Some(key)).starts_with("HTTP/1.1 200"), "{host}");
        // The id of a key is in every presigned address.
        for key in [None, Some(("AKIAIOSFODNN7EXAMPLE", "secret")), Some((key.0, "secret"))] {
            assert!(call(address, &named, key).starts_with("HTTP/1.1 403"), "{host}: {key:?}");
        }
        // A name that somebody else may own, which resolves to this machine.
        assert!(call(address, "rebound.example.com", Some(key)).starts_with("HTTP/1.1 403"), "{host}");
        for (method, path) in [("GET", "/_wschat/health"), ("GET", "/_wschat/connections"), ("POST", "/_wschat/stop")] {
            let ask = |to: IpAddr, host: &str| {
                exchange(to, port, &format!("{method} {path} HTTP/1.1\r\nhost: {host}\r\nx-wschat-token: {token}"))
            };
            assert!(ask(address, &named).starts_with("HTTP/1.1 403"), "{host}: {path}");
        }
        let page = exchange(address, port, &format!("GET /_wschat/console HTTP/1.1\r\nhost: {named}"));
        assert!(page.starts_with("HTTP/1.1 401"), "{page}");
        let page = exchange(address, port, "GET /_wschat/console HTTP/1.1\r\nhost: rebound.example.com");
        assert!(page.starts_with("HTTP/1.1 403"), "{page}");
        let unsigned = format!("POST /live/@connections/L0SM9cOFvHcCIhw= HTTP/1.1\r\nhost: {named}");
        assert!(exchange(address, port, &unsigned).starts_with("HTTP/1.1 403"), "{host}");

        let status: Value = serde_json::from_str(&cloud.ok(&["status", "--json"])).unwrap();
        assert_eq!((&status["state"], &status["process"]["host"]), (&"running".into(), &host.clone().into()));
        if host == address.to_string() {
            let elsewhere = format!("http://{address}:{port}");
            assert_eq!(status["process"]["url_elsewhere"], elsewhere);
            assert!(said.contains(&format!("From other machines: {elsewhere}")), "{said}");
        }
        let refusal = cloud.fails(&["start", "--host", "127.0.0.1"]);
        assert!(refusal.contains(&format!("is already running and listens on {host}\n  stop it first: ")), "{refusal}");
        cloud.ok(&["start", "--host", &host]);
        cloud.ok(&["stop"]);
    }
    let run = cloud.run(&["start", "--port", "0", "--host", "0.0.0.0", "--open"]);
    assert_eq!(run.status.code(), Some(64), "{run:?}");
    assert!(
        String::from_utf8_lossy(&run.stderr).contains("anyone who reaches this machine could run code on it"),
        "{run:?}"
    );
    let refusal = cloud.fails(&["start", "--port", "0", "--host", "203.0.113.1"]);
    assert!(refusal.contains("cannot listen on 203.0.113.1: it is not an address of this machine"), "{refusal}");
    let run = cloud.run(&["start", "--host", "somewhere"]);
    assert_eq!(run.status.code(), Some(64), "{run:?}");
    // Nothing of it is left for the next start.
    assert_eq!(cloud.ok(&["start", "--port", "0"]).lines().count(), 1);
    assert!(TcpStream::connect((address, u16::try_from(cloud.port()).unwrap())).is_err());
}

#[test]
fn addresses_for_clients_are_those_that_the_project_asks_for() {
    let Some(address) = own_address() else { return };
    let folder = tempfile::tempdir().unwrap();
    let template = "Resources:\n  Api:\n    Type: AWS::ApiGatewayV2::Api\n    Properties: {Name: a, ProtocolType: WEBSOCKET, \
                    RouteSelectionExpression: $request.body.action}\n  Stage:\n    Type: AWS::ApiGatewayV2::Stage\n    \
                    Properties: {ApiId: !Ref Api, StageName: live, AutoDeploy: true}\n";
    fs::write(folder.path().join("template.yaml"), template).unwrap();
    let file = format!(
        "[default]\nstack = \"a\"\nlocal = true\n[local]\nhost = \"{address}\"\norigins = [\"http://localhost:5173\"]\n"
    );
    fs::write(folder.path().join("wschat.toml"), file).unwrap();
    let run = |args: &[&str]| {
        let output = Command::new(env!("CARGO_BIN_EXE_wschat")).args(args).current_dir(&folder).output().unwrap();
        assert!(output.status.success(), "{args:?}: {output:?}");
        (String::from_utf8(output.stdout).unwrap(), String::from_utf8(output.stderr).unwrap())
    };
    let started = run(&["local", "start", "--port", "0", "--json"]);
    let stop = || run(&["local", "stop"]);
    let started: Value = serde_json::from_str(&started.0).unwrap();
    let result = std::panic::catch_unwind(|| {
        let port = started["process"]["port"].as_u64().unwrap();
        assert_eq!(started["process"]["origins"], serde_json::json!(["http://localhost:5173"]));
        let (_, said) = run(&["up"]);
        assert!(said.contains("Stack a"), "{said}");
        let url = run(&["url"]).0;
        assert!(url.starts_with(&format!("ws://{address}:{port}/")) && url.ends_with("/live\n"), "{url}");
        let env: Value = serde_json::from_str(&run(&["env", "--json"]).0).unwrap();
        assert_eq!(env["variables"]["AWS_ENDPOINT_URL"], format!("http://127.0.0.1:{port}"));
        // What the file says later stops no command.
        let changed = "[default]\nstack = \"a\"\nlocal = true\n[local]\norigins = [\"http://localhost:3000\"]\n";
        fs::write(folder.path().join("wschat.toml"), changed).unwrap();
        let (_, said) = run(&["up"]);
        for difference in [
            &format!("runs already and listens on {address}, which is not asked for: other machines reach it"),
            "admits web pages of http://localhost:5173, which is not asked for",
            "does not admit web pages of http://localhost:3000; to change that: wschat local stop",
        ] {
            assert!(said.contains(difference), "{difference}: {said}");
        }
    });
    stop();
    result.unwrap();
}
