//! How calls leave this machine: directly, or through the environment's proxy; and how a failed connection is
//! explained.

use std::collections::BTreeSet;
use std::error::Error;
use std::fmt;
use std::net::{IpAddr, UdpSocket};
use std::sync::{Arc, OnceLock};

use aws_smithy_http_client::proxy::ProxyConfig;
use aws_smithy_http_client::{Connector, tls};
use aws_smithy_runtime_api::client::http::{
    HttpClient, HttpConnector, HttpConnectorFuture, HttpConnectorSettings, SharedHttpClient, SharedHttpConnector,
};
use aws_smithy_runtime_api::client::orchestrator::HttpRequest;
use aws_smithy_runtime_api::client::result::ConnectorError;
use aws_smithy_runtime_api::client::runtime_components::RuntimeComponents;
use aws_types::os_shim_internal::Env;
use http::{HeaderValue, Uri};
use hyper_util::client::proxy::matcher::Matcher;

use super::chain::chain;

/// The environment's proxies, and the configured endpoints: they explain a failed connection.
#[derive(Debug, Default)]
pub struct Network {
    http: Option<Proxy>,
    https: Option<Proxy>,
    /// Scheme, host and port, and the setting that names them.
    endpoints: Vec<(String, String)>,
    services: OnceLock<Vec<(String, String)>>,
    /// Whether every call goes to the local cloud over plain HTTP: then the machine's root certificates are not read,
    /// which takes longer than all calls of an `up` with nothing to do.
    plain: bool,
}

/// One proxy.
struct Proxy {
    /// The variable that names it, and its value without user name and password.
    variable: &'static str,
    url: String,
    config: ProxyConfig,
    /// Tells which hosts the proxy is for.
    matcher: Matcher,
}

impl fmt::Debug for Proxy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}={}", self.variable, self.url)
    }
}

/// A proxy variable that cannot be used.
#[derive(Debug, thiserror::Error)]
#[error("{variable} does not name a proxy: {url}")]
pub struct BadProxy {
    variable: &'static str,
    url: String,
}

/// The proxy on the way of a connection that is no call: a WebSocket.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tunnel {
    /// The variable that names it, and its URL without user name and password.
    pub variable: &'static str,
    pub url: String,
    pub host: String,
    pub port: u16,
    /// Whether the proxy itself is spoken to over TLS.
    pub tls: bool,
    /// The value of `Proxy-Authorization`.
    pub authorization: Option<HeaderValue>,
}

/// No connection was made, so nothing was sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unreached {
    /// Scheme, host and port.
    pub to: String,
    /// The settings that name this endpoint, such as `AWS_ENDPOINT_URL_STS`; empty for AWS's own.
    pub settings: Vec<String>,
    /// The variable and the URL of the proxy on the way.
    pub proxy: Option<(&'static str, String)>,
    pub why: String,
}

impl fmt::Display for Unreached {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "cannot connect to {}", self.to)?;
        if !self.settings.is_empty() {
            write!(f, " ({})", self.settings.join(" and "))?;
        }
        if let Some((variable, url)) = &self.proxy {
            write!(f, " through the proxy {url} ({variable})")?;
        }
        write!(f, ": {}", self.why)
    }
}

impl Error for Unreached {}

impl Network {
    /// Reads `http_proxy`, `https_proxy`, `all_proxy` and `no_proxy`, in either case. As in curl and AWS's CLI the
    /// lower case wins, and an empty variable means no proxy.
    ///
    /// # Errors
    /// A variable whose value is no http or https proxy.
    pub fn from_env(env: &Env) -> Result<Self, BadProxy> {
        let no_proxy = ["no_proxy", "NO_PROXY"].iter().find_map(|name| env.get(name).ok()).unwrap_or_default();
        let proxy = |names: [&'static str; 4]| {
            let Some((variable, value)) = names.into_iter().find_map(|name| Some((name, env.get(name).ok()?))) else {
                return Ok(None);
            };
            if value.trim().is_empty() { Ok(None) } else { Proxy::new(variable, value.trim(), &no_proxy).map(Some) }
        };
        Ok(Self {
            http: proxy(["http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"])?,
            https: proxy(["https_proxy", "HTTPS_PROXY", "all_proxy", "ALL_PROXY"])?,
            ..Self::default()
        })
    }

    /// For the local cloud: no proxies, and no TLS.
    pub fn to_local_cloud() -> Self {
        Self { plain: true, ..Self::default() }
    }

    /// The certificates that TLS trusts: the machine's, or none.
    fn trust(&self) -> tls::TlsContext {
        let store = if self.plain { tls::TrustStore::empty() } else { tls::TrustStore::default() };
        tls::TlsContext::builder().with_trust_store(store).build().unwrap_or_default()
    }

    /// The same, with an endpoint that a setting names.
    pub fn endpoint(mut self, setting: &str, url: &str) -> Self {
        if let Ok(uri) = url.parse::<Uri>() {
            self.endpoints.push((origin(&uri), setting.to_owned()));
        }
        self
    }

    /// Adds endpoints, by the settings that name them, unless a known setting names them already.
    pub fn tell_services(&self, endpoints: Vec<(String, String)>) {
        let parsed = endpoints.into_iter().filter_map(|(setting, url)| Some((origin(&url.parse().ok()?), setting)));
        let others = parsed.filter(|(origin, _)| self.endpoints.iter().all(|(known, _)| known != origin));
        let others: BTreeSet<(String, String)> = others.collect();
        // A second call brings the same list.
        let _ = self.services.set(others.into_iter().collect());
    }

    fn proxy(&self, uri: &Uri) -> Option<&Proxy> {
        let proxy = if uri.scheme_str() == Some("http") { &self.http } else { &self.https };
        proxy
            .as_ref()
            .filter(|proxy| !is_local(uri.host().unwrap_or_default()) && proxy.matcher.intercept(uri).is_some())
    }

    /// The network of this process's environment.
    ///
    /// # Errors
    /// A variable whose value is no http or https proxy.
    pub fn of_this_process() -> Result<Self, BadProxy> {
        Self::from_env(&Env::real())
    }

    /// The proxy on the way to an `http` or `https` address, if there is one.
    pub fn tunnel(&self, uri: &Uri) -> Option<Tunnel> {
        let proxy = self.proxy(uri)?;
        let way = proxy.matcher.intercept(uri)?;
        let tls = way.uri().scheme_str() == Some("https");
        Some(Tunnel {
            variable: proxy.variable,
            url: proxy.url.clone(),
            host: way.uri().host()?.to_owned(),
            port: way.uri().port_u16().unwrap_or(if tls { 443 } else { 80 }),
            tls,
            authorization: way.basic_auth().cloned(),
        })
    }

    /// The failure to call `uri`, if no connection was made.
    fn unreached(&self, uri: &Uri, error: &(dyn Error + 'static)) -> Option<Unreached> {
        if !never_connected(&chain(error)) {
            return None;
        }
        let to = origin(uri);
        let settings =
            self.endpoints.iter().chain(self.services.get().into_iter().flatten()).filter(|(origin, _)| *origin == to);
        Some(Unreached {
            settings: settings.map(|(_, setting)| setting.clone()).collect(),
            proxy: self.proxy(uri).map(|proxy| (proxy.variable, proxy.url.clone())),
            why: innermost(error),
            to,
        })
    }

    /// The HTTP client for the SDK's clients.
    pub fn client(self: &Arc<Self>) -> SharedHttpClient {
        let client = |proxy: Option<&Proxy>| {
            let config = proxy.map_or_else(ProxyConfig::disabled, |proxy| proxy.config.clone());
            let trust = self.trust();
            aws_smithy_http_client::Builder::new().build_with_connector_fn(move |settings, components| {
                let builder = Connector::builder().tls_provider(ring()).tls_context(trust.clone());
                let mut builder = builder.proxy_config(config.clone());
                builder.set_connector_settings(settings.cloned());
                if let Some(sleep) = components.and_then(RuntimeComponents::sleep_impl) {
                    builder.set_sleep_impl(Some(sleep));
                }
                builder.build()
            })
        };
        SharedHttpClient::new(Client {
            network: Arc::clone(self),
            direct: client(None),
            http: self.http.as_ref().map(|proxy| client(Some(proxy))),
            https: self.https.as_ref().map(|proxy| client(Some(proxy))),
        })
    }

    /// A connector for a single call.
    pub fn connector(self: &Arc<Self>, uri: &Uri) -> impl HttpConnector + use<> {
        let config = self.proxy(uri).map_or_else(ProxyConfig::disabled, |proxy| proxy.config.clone());
        let builder = Connector::builder().tls_provider(ring()).tls_context(self.trust());
        let connector = builder.proxy_config(config).build();
        Explaining { network: Arc::clone(self), connector: SharedHttpConnector::new(connector) }
    }
}

impl Proxy {
    fn new(variable: &'static str, value: &str, no_proxy: &str) -> Result<Self, BadProxy> {
        let url = if value.contains("://") { value.to_owned() } else { format!("http://{value}") };
        let uri = url.parse::<Uri>().ok();
        let shown = uri.as_ref().map_or_else(|| without_user(&url), origin);
        let config = uri.and_then(|uri| ProxyConfig::all(uri).ok());
        let Some(config) = config else { return Err(BadProxy { variable, url: shown }) };
        let no_proxy = canonical(no_proxy);
        Ok(Self {
            variable,
            url: shown,
            config: config.no_proxy(&no_proxy),
            matcher: Matcher::builder().all(url).no(no_proxy).build(),
        })
    }
}

/// `NO_PROXY` in the matcher's syntax: names without ports and stars (`*.example.com` is `.example.com`).
fn canonical(no_proxy: &str) -> String {
    let entry = |entry: &str| {
        let entry = entry.trim();
        let name = match entry.rsplit_once(':') {
            Some((name, port)) if !name.contains(':') && port.chars().all(|c| c.is_ascii_digit()) => name,
            _ => entry,
        };
        if name.starts_with("*.") { name[1..].to_owned() } else { name.to_owned() }
    };
    no_proxy.split([',', ' ']).map(entry).filter(|entry| !entry.is_empty()).collect::<Vec<_>>().join(",")
}

/// Whether a host is this machine, or a metadata service that only this machine reaches: called through a proxy, it would
/// answer with the credentials of the proxy's machine.
fn is_local(host: &str) -> bool {
    let host = host.trim_start_matches('[').trim_end_matches(']');
    match host.parse::<IpAddr>() {
        // Only an address of this machine can be bound.
        Ok(address) if UdpSocket::bind((address, 0)).is_ok() => true,
        Ok(IpAddr::V4(address)) => address.is_loopback() || address.is_unspecified() || address.is_link_local(),
        Ok(IpAddr::V6(address)) => {
            // EC2's and EKS's metadata services are in fd00:ec2::/32.
            let of_ec2 = address.segments()[..2] == [0xfd00, 0xec2];
            address.is_loopback() || address.is_unspecified() || address.is_unicast_link_local() || of_ec2
        }
        Err(_) => host.eq_ignore_ascii_case("localhost") || host.to_ascii_lowercase().ends_with(".localhost"),
    }
}

/// Scheme, host and port of a URI.
fn origin(uri: &Uri) -> String {
    let authority = uri.authority().map(|authority| authority.as_str()).unwrap_or_default();
    let host = authority.rsplit('@').next().unwrap_or_default();
    format!("{}://{host}", uri.scheme_str().unwrap_or("https"))
}

/// A proxy setting that is not a URL, without its user name and password.
fn without_user(url: &str) -> String {
    match (url.split_once("://"), url.rsplit_once('@')) {
        (Some((scheme, _)), Some((_, host))) => format!("{scheme}://{host}"),
        _ => url.to_owned(),
    }
}

/// The one cryptography library of this binary.
fn ring() -> tls::Provider {
    tls::Provider::Rustls(tls::rustls_provider::CryptoMode::Ring)
}

/// Whether an error's text says that no connection was made, because of a name, a network, a proxy or TLS.
pub fn never_connected(message: &str) -> bool {
    let message = message.to_lowercase();
    [
        "tcp connect error",
        "connection refused",
        "dns error",
        "failed to lookup",
        "connect timeout",
        "error trying to connect",
        "tunnel error",
        "invalid peer certificate",
        // The peer does not speak TLS.
        "corrupt message",
    ]
    .iter()
    .any(|words| message.contains(words))
}

/// The root cause of an error.
fn innermost(error: &(dyn Error + 'static)) -> String {
    let mut texts: Vec<String> =
        std::iter::successors(Some(error), |&error| error.source()).map(|e| e.to_string()).collect();
    texts.retain(|text| !text.trim().is_empty());
    texts.pop().unwrap_or_else(|| "no connection".to_owned())
}

/// Sends each call directly or through a proxy, as its URI demands.
#[derive(Debug)]
struct Client {
    network: Arc<Network>,
    direct: SharedHttpClient,
    http: Option<SharedHttpClient>,
    https: Option<SharedHttpClient>,
}

impl HttpClient for Client {
    fn http_connector(&self, settings: &HttpConnectorSettings, components: &RuntimeComponents) -> SharedHttpConnector {
        let explaining = |client: &SharedHttpClient| Explaining {
            network: Arc::clone(&self.network),
            connector: client.http_connector(settings, components),
        };
        SharedHttpConnector::new(Routing {
            direct: explaining(&self.direct),
            http: self.http.as_ref().map(explaining),
            https: self.https.as_ref().map(explaining),
        })
    }
}

#[derive(Debug)]
struct Routing {
    direct: Explaining,
    http: Option<Explaining>,
    https: Option<Explaining>,
}

impl HttpConnector for Routing {
    fn call(&self, request: HttpRequest) -> HttpConnectorFuture {
        let uri = request.uri().parse::<Uri>().unwrap_or_default();
        let proxied = if uri.scheme_str() == Some("http") { &self.http } else { &self.https };
        let proxied = proxied.as_ref().filter(|_| self.direct.network.proxy(&uri).is_some());
        proxied.unwrap_or(&self.direct).call(request)
    }
}

/// Makes calls, and adds to a failed connection where it was to lead.
#[derive(Debug)]
struct Explaining {
    network: Arc<Network>,
    connector: SharedHttpConnector,
}

impl HttpConnector for Explaining {
    fn call(&self, request: HttpRequest) -> HttpConnectorFuture {
        let uri = request.uri().parse::<Uri>().unwrap_or_default();
        let network = Arc::clone(&self.network);
        let answer = self.connector.call(request);
        HttpConnectorFuture::new(async move {
            answer.await.map_err(|error| match network.unreached(&uri, &error) {
                Some(unreached) => ConnectorError::io(unreached.into()),
                None => error,
            })
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn proxy_of(variables: &[(&str, &str)], url: &str) -> Option<String> {
        let network = Network::from_env(&Env::from_slice(variables)).unwrap();
        network.proxy(&url.parse().unwrap()).map(|proxy| format!("{proxy:?}"))
    }

    #[test]
    fn the_environment_says_which_proxy_a_call_takes() {
        const AWS: &str = "https://sts.eu-west-1.amazonaws.com/";
        const PLAIN: &str = "http://cloud.test:8080/";
        type Row<'a> = (&'a [(&'a str, &'a str)], &'a str, Option<&'a str>);
        let table: &[Row<'_>] = &[
            (&[], AWS, None),
            (&[("HTTPS_PROXY", "http://p:1")], AWS, Some("HTTPS_PROXY=http://p:1")),
            (&[("https_proxy", "p:1")], AWS, Some("https_proxy=http://p:1")),
            (&[("HTTPS_PROXY", "http://p:1")], PLAIN, None),
            (&[("HTTP_PROXY", "http://p:1")], AWS, None),
            (&[("HTTP_PROXY", "http://p:1")], PLAIN, Some("HTTP_PROXY=http://p:1")),
            (&[("ALL_PROXY", "http://p:1")], AWS, Some("ALL_PROXY=http://p:1")),
            (&[("all_proxy", "http://p:1")], PLAIN, Some("all_proxy=http://p:1")),
            (&[("ALL_PROXY", "http://a:1"), ("HTTPS_PROXY", "http://p:1")], AWS, Some("HTTPS_PROXY=http://p:1")),
            (&[("HTTPS_PROXY", "http://u:1"), ("https_proxy", "http://l:1")], AWS, Some("https_proxy=http://l:1")),
            (&[("HTTPS_PROXY", "http://u:1"), ("https_proxy", "")], AWS, None),
            (&[("HTTPS_PROXY", "https://me:secret@p:1")], AWS, Some("HTTPS_PROXY=https://p:1")),
            (&[("HTTPS_PROXY", "http://p:1"), ("NO_PROXY", "*")], AWS, None),
            (&[("HTTPS_PROXY", "http://p:1"), ("NO_PROXY", "amazonaws.com")], AWS, None),
            (&[("HTTPS_PROXY", "http://p:1"), ("no_proxy", "x, *.amazonaws.com:443")], AWS, None),
            (&[("HTTPS_PROXY", "http://p:1"), ("NO_PROXY", "aws.com")], AWS, Some("HTTPS_PROXY=http://p:1")),
            (&[("HTTP_PROXY", "http://p:1"), ("NO_PROXY", "10.0.0.0/8")], "http://10.1.2.3/", None),
        ];
        for (variables, url, expected) in table {
            assert_eq!(proxy_of(variables, url).as_deref(), *expected, "{variables:?} {url}");
        }
    }

    #[test]
    fn a_tunnel_has_the_proxys_address_and_credentials() {
        let tunnel = |value: &str, url: &str| {
            let network = Network::from_env(&Env::from_slice(&[("HTTPS_PROXY", value)])).unwrap();
            network.tunnel(&url.parse().unwrap())
        };
        let found = tunnel("http://me:secret@p:3128", "https://a.example.com/x").unwrap();
        assert_eq!((found.host.as_str(), found.port, found.tls), ("p", 3128, false));
        assert_eq!(found.url, "http://p:3128");
        assert_eq!(found.authorization.unwrap(), "Basic bWU6c2VjcmV0");
        assert_eq!(
            tunnel("https://p", "https://a.example.com/").map(|found| (found.port, found.tls)),
            Some((443, true))
        );
        assert_eq!(tunnel("http://p:1", "https://localhost:1/"), None);
    }

    #[test]
    fn local_addresses_take_no_proxy() {
        let variables = [("ALL_PROXY", "http://p:1")];
        for host in [
            "localhost:1",
            "api.execute-api.localhost:1",
            "127.0.0.1:1",
            "127.8.8.8",
            "[::1]:1",
            "0.0.0.0:1",
            "169.254.169.254",
            "169.254.170.2",
            "[fd00:ec2::254]",
        ] {
            assert_eq!(proxy_of(&variables, &format!("http://{host}/")), None, "{host}");
        }
        assert!(proxy_of(&variables, "http://localhost.example.com/").is_some());
    }

    #[test]
    fn an_invalid_proxy_is_refused_without_showing_its_password() {
        let table = [
            ("socks5://me:secret@p:1", "HTTPS_PROXY does not name a proxy: socks5://p:1"),
            ("http://me:secret@ p", "HTTPS_PROXY does not name a proxy: http:// p"),
        ];
        for (value, expected) in table {
            let error = Network::from_env(&Env::from_slice(&[("HTTPS_PROXY", value)])).unwrap_err();
            assert_eq!(error.to_string(), expected);
        }
    }

    #[test]
    fn an_address_of_this_machine_needs_no_proxy() {
        assert!(is_local("127.0.0.1") && is_local("[::1]") && !is_local("203.0.113.1") && !is_local("[2001:db8::1]"));
        let socket = UdpSocket::bind("0.0.0.0:0").unwrap();
        // Without a network there is no other address.
        if socket.connect("203.0.113.1:9").is_ok() {
            assert!(is_local(&socket.local_addr().unwrap().ip().to_string()));
        }
    }
}
