//! Makes a WebSocket connection: address, proxy, TCP, TLS, handshake; and says at which of them it failed.

use std::fmt;
use std::io;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::PathBuf;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use http::{HeaderName, HeaderValue, Uri, header};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;
use tokio_tungstenite::client_async;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_tungstenite::tungstenite::error::ProtocolError;
use tokio_tungstenite::tungstenite::handshake::client::Request;
use tokio_tungstenite::tungstenite::{self, Error};

use super::{Socket, Transport};
use crate::aws::client::{Network, Tunnel};

/// How long TCP and TLS may take.
const REACH_TIMEOUT: Duration = Duration::from_secs(10);

/// How long the handshake may take. API Gateway waits 29 seconds for the handler of `$connect`.
const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(35);

/// The largest head of a proxy's answer, in bytes.
const MAX_PROXY_ANSWER: usize = 16 * 1024;

/// The headers that make a request a handshake (RFC 6455, 4.1).
const OF_HANDSHAKE: [&str; 5] =
    ["connection", "upgrade", "sec-websocket-key", "sec-websocket-version", "sec-websocket-extensions"];

/// Where to connect to, and what to say there.
#[derive(Debug, Clone, Default)]
pub struct Handshake {
    /// `ws://` or `wss://`.
    pub url: String,
    pub headers: Vec<(String, String)>,
    /// Added to those in the URL.
    pub query: Vec<(String, String)>,
    pub subprotocols: Vec<String>,
}

/// Why there is no connection.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ConnectFailure {
    /// The address, a header or a subprotocol is not valid: a sentence.
    Invalid(String),
    /// Nothing answers there.
    Unreached { to: String, proxy: Option<String>, why: String },
    /// The server answered with something other than 101.
    Refused {
        status: u16,
        reason: String,
        /// What it said, on one line.
        body: String,
    },
    /// The server selected no subprotocol, though some were offered.
    NoSubprotocol,
    /// The answer is not that of a WebSocket server.
    NoWebSocket(String),
}

impl fmt::Display for ConnectFailure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Invalid(what) => f.write_str(what),
            Self::Unreached { to, proxy, why } => {
                write!(f, "cannot connect to {to}")?;
                if let Some(proxy) = proxy {
                    write!(f, " through the proxy {proxy}")?;
                }
                write!(f, ": {why}")
            }
            Self::Refused { status, reason, body } => {
                write!(f, "the handshake was refused with {status}")?;
                if !reason.is_empty() {
                    write!(f, " {reason}")?;
                }
                if body.is_empty() { Ok(()) } else { write!(f, ": {body}") }
            }
            Self::NoSubprotocol => f.write_str("the server selected none of the subprotocols that were offered"),
            Self::NoWebSocket(why) => write!(f, "the server's answer is not a WebSocket handshake: {why}"),
        }
    }
}

impl std::error::Error for ConnectFailure {}

/// Makes connections.
pub struct Connector {
    network: Network,
    /// The PEM file of a CA that is trusted for names of this machine, if it exists.
    local_ca: Option<PathBuf>,
    /// Reading the machine's certificates takes longer than a connection.
    tls: OnceLock<Result<Arc<ClientConfig>, String>>,
}

impl Connector {
    /// A connector that trusts the machine's certificates, and `local_ca` for what it signs.
    pub fn new(network: Network, local_ca: Option<PathBuf>) -> Self {
        Self { network, local_ca, tls: OnceLock::new() }
    }

    /// Connects.
    ///
    /// # Errors
    /// Where it failed.
    pub async fn connect(&self, handshake: &Handshake) -> Result<Socket, ConnectFailure> {
        let request = handshake.request()?;
        let uri = request.uri().clone();
        let has_tls = uri.scheme_str() == Some("wss");
        let host = uri.host().unwrap_or_default().trim_start_matches('[').trim_end_matches(']').to_owned();
        let port = uri.port_u16().unwrap_or(if has_tls { 443 } else { 80 });
        let to = format!("{}:{port}", uri.host().unwrap_or_default());
        let tunnel = as_http(&uri).and_then(|uri| self.network.tunnel(&uri));
        let proxy = tunnel.as_ref().map(|tunnel| format!("{} ({})", tunnel.url, tunnel.variable));
        let unreached = |why: String| ConnectFailure::Unreached { to: to.clone(), proxy: proxy.clone(), why };
        let reach = async {
            let mut transport: Box<dyn Transport> = match &tunnel {
                Some(tunnel) => self.through(tunnel, &host, port).await?,
                None => Box::new(tcp(&host, port).await.map_err(|error| error.to_string())?),
            };
            if has_tls {
                transport = self.secured(transport, &host).await?;
            }
            Ok::<_, String>(transport)
        };
        let transport = match timeout(REACH_TIMEOUT, reach).await {
            Ok(reached) => reached.map_err(&unreached)?,
            Err(_) => return Err(unreached(format!("no answer in {} seconds", REACH_TIMEOUT.as_secs()))),
        };
        match timeout(HANDSHAKE_TIMEOUT, client_async(request, transport)).await {
            Ok(Ok((stream, response))) => {
                let selected = response.headers().get(header::SEC_WEBSOCKET_PROTOCOL);
                let selected = selected.and_then(|name| name.to_str().ok()).map(str::to_owned);
                Ok(Socket::new(stream, selected))
            }
            Ok(Err(error)) => Err(failure(error, &unreached)),
            Err(_) => {
                Err(unreached(format!("the handshake was not answered in {} seconds", HANDSHAKE_TIMEOUT.as_secs())))
            }
        }
    }

    async fn secured(&self, transport: Box<dyn Transport>, host: &str) -> Result<Box<dyn Transport>, String> {
        let config = self.tls.get_or_init(|| self.tls_config()).clone()?;
        let name = ServerName::try_from(host.to_owned())
            .map_err(|_| format!("\"{host}\" is not a host name that TLS can check"))?;
        let stream = TlsConnector::from(config).connect(name, transport).await;
        Ok(Box::new(stream.map_err(|error| format!("TLS: {error}"))?))
    }

    fn tls_config(&self) -> Result<Arc<ClientConfig>, String> {
        let mut roots = RootCertStore::empty();
        roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
        if let Some(file) = self.local_ca.as_ref().filter(|file| file.exists()) {
            let read = CertificateDer::pem_file_iter(file).and_then(Iterator::collect::<Result<Vec<_>, _>>);
            let read = read.map_err(|error| format!("cannot read {}: {error}", file.display()))?;
            roots.add_parsable_certificates(read);
        }
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let builder = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .map_err(|error| error.to_string())?;
        Ok(Arc::new(builder.with_root_certificates(roots).with_no_client_auth()))
    }

    /// A connection through a proxy (RFC 9110, 9.3.6).
    async fn through(&self, tunnel: &Tunnel, host: &str, port: u16) -> Result<Box<dyn Transport>, String> {
        let stream = tcp(&tunnel.host, tunnel.port).await.map_err(|error| error.to_string())?;
        let mut stream: Box<dyn Transport> = Box::new(stream);
        if tunnel.tls {
            stream = self.secured(stream, &tunnel.host).await?;
        }
        let host = if host.contains(':') { format!("[{host}]") } else { host.to_owned() };
        let mut request = format!("CONNECT {host}:{port} HTTP/1.1\r\nHost: {host}:{port}\r\n");
        if let Some(authorization) = tunnel.authorization.as_ref().and_then(|value| value.to_str().ok()) {
            request.push_str(&format!("Proxy-Authorization: {authorization}\r\n"));
        }
        request.push_str("\r\n");
        stream.write_all(request.as_bytes()).await.map_err(|error| error.to_string())?;
        let mut answer = Vec::new();
        // Byte by byte: what follows the answer belongs to the connection.
        while !answer.ends_with(b"\r\n\r\n") && answer.len() < MAX_PROXY_ANSWER {
            answer.push(stream.read_u8().await.map_err(|error| format!("the proxy gave no answer: {error}"))?);
        }
        let line = String::from_utf8_lossy(&answer).lines().next().unwrap_or_default().to_owned();
        let status = line.split(' ').nth(1).and_then(|status| status.parse::<u16>().ok());
        match status {
            Some(200..=299) => Ok(stream),
            _ => Err(format!("the proxy answered \"{line}\"")),
        }
    }
}

impl Handshake {
    /// The request.
    ///
    /// # Errors
    /// What is not valid.
    fn request(&self) -> Result<Request, ConnectFailure> {
        let invalid = |what: String| ConnectFailure::Invalid(what);
        let uri: Uri = self.url.parse().map_err(|error| invalid(format!("\"{}\" is not a URL: {error}", self.url)))?;
        match uri.scheme_str() {
            Some("ws" | "wss") => {}
            Some(other) => {
                let hint = match other {
                    "http" => "; use ws://",
                    "https" => "; use wss://",
                    _ => "",
                };
                return Err(invalid(format!(
                    "\"{}\" is not a WebSocket address: it begins with {other}:{hint}",
                    self.url
                )));
            }
            None => {
                return Err(invalid(format!(
                    "\"{}\" is not a WebSocket address: ws:// or wss:// is missing",
                    self.url
                )));
            }
        }
        let mut request = with_query(&uri, &self.query)
            .and_then(|uri| uri.into_client_request().ok())
            .ok_or_else(|| invalid(format!("\"{}\" is not a WebSocket address", self.url)))?;
        let headers = request.headers_mut();
        headers.insert(header::USER_AGENT, HeaderValue::from_static(concat!("wschat/", env!("CARGO_PKG_VERSION"))));
        let mut own: Vec<HeaderName> = Vec::new();
        for (name, value) in &self.headers {
            let parsed: HeaderName =
                name.parse().map_err(|_| invalid(format!("\"{name}\" cannot be the name of a header")))?;
            if OF_HANDSHAKE.contains(&parsed.as_str()) {
                return Err(invalid(format!("the header {name} belongs to the handshake and cannot be set")));
            }
            let value = HeaderValue::from_str(value)
                .map_err(|_| invalid(format!("the header {name} cannot have this value")))?;
            // The user's own replace ours, and stand beside each other.
            if own.contains(&parsed) {
                headers.append(parsed, value);
            } else {
                own.push(parsed.clone());
                headers.insert(parsed, value);
            }
        }
        if !self.subprotocols.is_empty() {
            let is_token = |name: &String| !name.is_empty() && name.parse::<HeaderName>().is_ok();
            if let Some(wrong) = self.subprotocols.iter().find(|name| !is_token(name)) {
                return Err(invalid(format!("\"{wrong}\" cannot be the name of a subprotocol")));
            }
            let all = HeaderValue::from_str(&self.subprotocols.join(", "));
            headers.insert(header::SEC_WEBSOCKET_PROTOCOL, all.map_err(|error| invalid(error.to_string()))?);
        }
        Ok(request)
    }
}

/// The address with more query parameters.
fn with_query(uri: &Uri, query: &[(String, String)]) -> Option<Uri> {
    if query.is_empty() {
        return Some(uri.clone());
    }
    let mut all = form_urlencoded::Serializer::new(uri.query().unwrap_or_default().to_owned());
    all.extend_pairs(query);
    let mut parts = uri.clone().into_parts();
    parts.path_and_query = format!("{}?{}", uri.path(), all.finish()).parse().ok();
    Uri::from_parts(parts).ok()
}

/// The address as proxies are chosen for it.
fn as_http(uri: &Uri) -> Option<Uri> {
    let mut parts = uri.clone().into_parts();
    let scheme = if uri.scheme_str() == Some("wss") { http::uri::Scheme::HTTPS } else { http::uri::Scheme::HTTP };
    parts.scheme = Some(scheme);
    Uri::from_parts(parts).ok()
}

/// A TCP connection. Names of this machine are not looked up: not every resolver knows `x.localhost`.
async fn tcp(host: &str, port: u16) -> io::Result<TcpStream> {
    let host = host.to_ascii_lowercase();
    let stream = if host == "localhost" || host.ends_with(".localhost") {
        let loopback = [SocketAddr::from((Ipv4Addr::LOCALHOST, port)), SocketAddr::from((Ipv6Addr::LOCALHOST, port))];
        TcpStream::connect(&loopback[..]).await?
    } else {
        TcpStream::connect((host.as_str(), port)).await?
    };
    stream.set_nodelay(true)?;
    Ok(stream)
}

fn failure(error: Error, unreached: &dyn Fn(String) -> ConnectFailure) -> ConnectFailure {
    match error {
        Error::Http(response) => {
            let status = response.status();
            let body = response.body().as_deref().unwrap_or_default();
            let body: String = String::from_utf8_lossy(body).chars().take(500).collect();
            ConnectFailure::Refused {
                status: status.as_u16(),
                reason: status.canonical_reason().unwrap_or_default().to_owned(),
                body: body.split_whitespace().collect::<Vec<_>>().join(" "),
            }
        }
        Error::Protocol(ProtocolError::SecWebSocketSubProtocolError(_)) => ConnectFailure::NoSubprotocol,
        Error::Io(error) => unreached(error.to_string()),
        Error::Protocol(ProtocolError::HandshakeIncomplete) => {
            unreached("the server ended the connection during the handshake".to_owned())
        }
        tungstenite::Error::Url(error) => ConnectFailure::Invalid(error.to_string()),
        other => ConnectFailure::NoWebSocket(other.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(url: &str) -> Handshake {
        Handshake { url: url.to_owned(), ..Handshake::default() }
    }

    #[test]
    fn a_handshake_has_what_was_asked_for() {
        let pair = |name: &str, value: &str| (name.to_owned(), value.to_owned());
        let handshake = Handshake {
            url: "wss://a.example.com/prod?x=1".to_owned(),
            headers: vec![pair("X-A", "1"), pair("x-a", "2"), pair("User-Agent", "me")],
            query: vec![pair("room", "a b&c"), pair("ü", "")],
            subprotocols: vec!["chat".to_owned(), "v2.chat".to_owned()],
        };
        let request = handshake.request().unwrap();
        assert_eq!(request.uri(), "wss://a.example.com/prod?x=1&room=a+b%26c&%C3%BC=");
        let values: Vec<_> = request.headers().get_all("x-a").iter().collect();
        assert_eq!(values, ["1", "2"]);
        assert_eq!(request.headers()["user-agent"], "me");
        assert_eq!(request.headers()["sec-websocket-protocol"], "chat, v2.chat");
        let plain = of("ws://localhost:1/x").request().unwrap();
        assert!(plain.headers()["user-agent"].to_str().unwrap().starts_with("wschat/"));
    }

    #[test]
    fn what_is_not_valid_is_refused() {
        let header = |name: &str, value: &str| Handshake {
            headers: vec![(name.to_owned(), value.to_owned())],
            ..of("ws://localhost/x")
        };
        let protocol = Handshake { subprotocols: vec!["a b".to_owned()], ..of("ws://localhost/x") };
        for (handshake, words) in [
            (of("https://a.example.com/prod"), "use wss://"),
            (of("a.example.com/prod"), "is not a"),
            (of("ftp://a"), "begins with ftp:"),
            (of("ws://"), "is not a"),
            (header("Upgrade", "x"), "belongs to the handshake"),
            (header("a b", "x"), "cannot be the name of a header"),
            (header("X-A", "a\nb"), "cannot have this value"),
            (protocol, "cannot be the name of a subprotocol"),
        ] {
            let error = handshake.request().unwrap_err().to_string();
            assert!(error.contains(words), "{error}");
        }
    }
}
