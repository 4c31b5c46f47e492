//! Loopback servers that stand in for AWS and for a proxy, and an isolated home folder to run wschat in.

use std::collections::BTreeMap;
use std::fs;
use std::io::{self, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::{Arc, Mutex};

/// A home folder with an AWS configuration, and a working folder.
pub struct Home {
    folder: tempfile::TempDir,
}

/// The exit code and output of a command.
pub struct CommandOutput {
    pub code: Option<i32>,
    pub stdout: String,
    pub stderr: String,
}

impl Home {
    /// A home folder with these files in `~/.aws`.
    pub fn with(files: &[(&str, &str)]) -> Self {
        let home = Self { folder: tempfile::tempdir().unwrap() };
        fs::create_dir(home.project()).unwrap();
        for (name, text) in files {
            home.write(&format!(".aws/{name}"), text);
        }
        home
    }

    /// The folder that commands run in.
    pub fn project(&self) -> PathBuf {
        self.path().join("project")
    }

    pub fn path(&self) -> &Path {
        self.folder.path()
    }

    pub fn write(&self, name: &str, text: &str) {
        let path = self.path().join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }

    /// A command whose environment only has PATH, HOME and these variables.
    pub fn command(&self, arguments: &[&str], variables: &[(&str, &str)]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_wschat"));
        command.env_clear().env("PATH", std::env::var_os("PATH").unwrap()).env("HOME", self.path());
        command.env("AWS_EC2_METADATA_DISABLED", "true").envs(variables.iter().copied());
        command.args(arguments).current_dir(self.project()).stdin(Stdio::null());
        command
    }

    /// Runs a command to its end.
    pub fn run(&self, arguments: &[&str], variables: &[(&str, &str)]) -> CommandOutput {
        let output = self.command(arguments, variables).output().unwrap();
        CommandOutput {
            code: output.status.code(),
            stdout: String::from_utf8(output.stdout).unwrap(),
            stderr: String::from_utf8(output.stderr).unwrap(),
        }
    }
}

/// A recorded request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RecordedRequest {
    /// The Query protocol's action, or the path.
    pub action: String,
    /// The access key that signed it; empty if it is not signed.
    pub key: String,
}

/// A server with a test's answers, which records all requests.
pub struct FakeAws {
    pub url: String,
    asked: Arc<Mutex<Vec<RecordedRequest>>>,
}

impl FakeAws {
    /// `answer` returns status, content type and body.
    pub fn answering(answer: impl Fn(&RecordedRequest) -> (u16, &'static str, String) + Send + Sync + 'static) -> Self {
        let asked: Arc<Mutex<Vec<RecordedRequest>>> = Arc::default();
        let (noted, answer) = (Arc::clone(&asked), Arc::new(answer));
        let address = serve(move |mut stream| {
            while let Some((head, body)) = request(&mut stream)? {
                let one = RecordedRequest::read(&head, &body);
                noted.lock().unwrap().push(one.clone());
                let (status, content_type, body) = answer(&one);
                let length = body.len();
                write!(
                    stream,
                    "HTTP/1.1 {status} Fine\r\ncontent-type: {content_type}\r\ncontent-length: {length}\r\n\r\n{body}"
                )?;
            }
            Ok(())
        });
        Self { url: format!("http://{address}"), asked }
    }

    /// A server that only answers GetCallerIdentity; a key that begins with `ASIA` is in account 333333333333.
    pub fn knowing(accounts: &[(&'static str, &'static str)]) -> Self {
        let accounts: BTreeMap<&str, &str> = accounts.iter().copied().collect();
        Self::answering(move |asked| match (asked.action.as_str(), accounts.get(asked.key.as_str())) {
            ("GetCallerIdentity", Some(account)) => (200, XML, identity(account)),
            ("AssumeRole" | "AssumeRoleWithWebIdentity", _) => (200, XML, session(&asked.action, "ASIAROLE")),
            (path, _) if path.starts_with("/federation/credentials") => (200, "application/json", sso("ASIASSO")),
            (action, _) => (403, XML, refusal("AccessDenied", &format!("not authorized to perform: {action}"))),
        })
    }

    /// A server that rejects everything with this error.
    pub fn refusing(code: &'static str, message: &'static str) -> Self {
        Self::answering(move |_| (403, XML, refusal(code, message)))
    }

    /// All requests so far.
    pub fn asked(&self) -> Vec<RecordedRequest> {
        self.asked.lock().unwrap().clone()
    }

    /// The keys that signed the requests, each once.
    pub fn keys(&self) -> Vec<String> {
        let mut keys: Vec<String> = self.asked().into_iter().map(|asked| asked.key).collect();
        keys.sort();
        keys.dedup();
        keys
    }
}

const XML: &str = "text/xml";

fn identity(account: &str) -> String {
    format!(
        "<GetCallerIdentityResponse xmlns=\"https://sts.amazonaws.com/doc/2011-06-15/\"><GetCallerIdentityResult><Arn>arn:aws:iam::{account}:user/me</Arn><UserId>me</UserId><Account>{account}</Account></GetCallerIdentityResult></GetCallerIdentityResponse>"
    )
}

fn session(action: &str, key: &str) -> String {
    format!(
        "<{action}Response xmlns=\"https://sts.amazonaws.com/doc/2011-06-15/\"><{action}Result><Credentials><AccessKeyId>{key}</AccessKeyId><SecretAccessKey>s</SecretAccessKey><SessionToken>t</SessionToken><Expiration>2099-01-01T00:00:00Z</Expiration></Credentials><AssumedRoleUser><AssumedRoleId>A:me</AssumedRoleId><Arn>arn:aws:sts::333333333333:assumed-role/Deploy/me</Arn></AssumedRoleUser></{action}Result></{action}Response>"
    )
}

fn sso(key: &str) -> String {
    format!(
        r#"{{"roleCredentials":{{"accessKeyId":"{key}","secretAccessKey":"s","sessionToken":"t","expiration":4070908800000}}}}"#
    )
}

fn refusal(code: &str, message: &str) -> String {
    format!(
        "<ErrorResponse><Error><Type>Sender</Type><Code>{code}</Code><Message>{message}</Message></Error><RequestId>r</RequestId></ErrorResponse>"
    )
}

impl RecordedRequest {
    fn read(head: &str, body: &str) -> Self {
        let between = |text: &str, from: &str, to: &str| {
            let rest = text.split_once(from)?.1;
            Some(rest.split(to).next().unwrap_or_default().to_owned())
        };
        let path = head.split(' ').nth(1).unwrap_or_default().to_owned();
        Self {
            action: between(body, "Action=", "&").unwrap_or(path),
            key: between(head, "Credential=", "/").unwrap_or_default(),
        }
    }
}

/// A proxy that rejects tunnels and forwards plain HTTP to one server.
pub struct Proxy {
    pub address: SocketAddr,
    heard: Arc<Mutex<Vec<u8>>>,
}

impl Proxy {
    /// A proxy that forwards to a port of this machine.
    pub fn to(port: u16) -> Self {
        let heard: Arc<Mutex<Vec<u8>>> = Arc::default();
        let noted = Arc::clone(&heard);
        let address = serve(move |mut stream| {
            let Some((head, body)) = request(&mut stream)? else { return Ok(()) };
            noted.lock().unwrap().extend_from_slice(head.as_bytes());
            if head.starts_with("CONNECT ") {
                return stream.write_all(b"HTTP/1.1 403 Forbidden\r\ncontent-length: 0\r\n\r\n");
            }
            // Forwarded unchanged: servers accept the form of requests to proxies (RFC 9112, 3.2.2).
            let mut upstream = TcpStream::connect(("127.0.0.1", port))?;
            upstream.write_all(head.as_bytes())?;
            upstream.write_all(body.as_bytes())?;
            let (mut answers, mut back) = (upstream.try_clone()?, stream.try_clone()?);
            std::thread::spawn(move || {
                let _ = io::copy(&mut answers, &mut back);
                let _ = back.shutdown(Shutdown::Both);
            });
            let mut some = [0; 65536];
            loop {
                let count = stream.read(&mut some)?;
                if count == 0 {
                    return upstream.shutdown(Shutdown::Write);
                }
                noted.lock().unwrap().extend_from_slice(&some[..count]);
                upstream.write_all(&some[..count])?;
            }
        });
        Self { address, heard }
    }

    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Everything that it received.
    pub fn heard(&self) -> String {
        String::from_utf8_lossy(&self.heard.lock().unwrap()).into_owned()
    }

    /// The number of requests whose request line contains `words`.
    pub fn count(&self, words: &str) -> usize {
        self.heard().lines().filter(|line| line.ends_with(" HTTP/1.1") && line.contains(words)).count()
    }
}

/// Serves a new port, each connection in its own thread, until the process ends.
fn serve(answer: impl Fn(TcpStream) -> io::Result<()> + Send + Sync + 'static) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let answer = Arc::new(answer);
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let answer = Arc::clone(&answer);
            // An error means that the connection was broken.
            std::thread::spawn(move || answer(stream));
        }
    });
    address
}

/// The head and the body of the next request; `None` at the end of the connection.
fn request(stream: &mut TcpStream) -> io::Result<Option<(String, String)>> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        let mut byte = [0];
        if stream.read(&mut byte)? == 0 {
            return Ok(None);
        }
        head.push(byte[0]);
    }
    let head = String::from_utf8_lossy(&head).into_owned();
    let length =
        head.lines().find_map(|line| line.to_ascii_lowercase().strip_prefix("content-length:")?.trim().parse().ok());
    let mut body = vec![0; length.unwrap_or(0)];
    stream.read_exact(&mut body)?;
    Ok(Some((head, String::from_utf8_lossy(&body).into_owned())))
}

/// A port of this machine where nothing listens.
pub fn closed_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}
